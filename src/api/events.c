#include <string.h>

#include "base/buf.h"
#include "base/jsonw.h"
#include "handlers_priv.h"
#include "ingest_priv.h"
#include "plan_priv.h"
#include "sources/platform.h"

/*
 * POST /v1/events: a program of the brand tells us something. Products are
 * events too: PUT of one, and POST /v1/products/bulk of many, a line each.
 *
 * Unlike a shop it can read an answer, so a bad item is a 422 with a pointer
 * to it and nothing is stored, unless it asked for on_error=skip. Runs on the
 * epoll thread like a hook; the body's limit bounds what parsing may take.
 */

static void reply_field(struct http_exchange *x, const char *type, const char *name,
                        const char *detail)
{
    struct problem problem;
    (void)problem_set(&problem, STATUS_INVALID, type, "%s", detail);
    problem_point(&problem, "#/%s", name);
    http_reply_problem(x, &problem);
}

/* Are all parameters known and sensible? Else answered. */
static bool check_query(struct http_exchange *x)
{
    static const char *const KNOWN[] = { "on_error", "source", "validate_only" };
    struct str unknown = http_query_unknown(x, KNOWN, ARRAY_COUNT(KNOWN));
    if (unknown.size > 0) {
        reply_field(x, "unknown-field", "query",
                    "the parameters are on_error, source and validate_only");
        return false;
    }
    struct str on_error = http_query(x, "on_error");
    if (on_error.size > 0 && !str_equal(on_error, STR("skip"))) {
        reply_field(x, "invalid-field", "query/on_error", "on_error is \"skip\" or left out");
        return false;
    }
    struct str validate = http_query(x, "validate_only");
    if (validate.size > 0 && !str_equal(validate, STR("true")) &&
        !str_equal(validate, STR("false"))) {
        reply_field(x, "invalid-field", "query/validate_only", "validate_only is true or false");
        return false;
    }
    return true;
}

static bool wants_representation(struct http_exchange *x)
{
    struct str prefer = http_header(x, "prefer");
    struct str wanted = STR("return=representation");
    for (size_t i = 0; i + wanted.size <= prefer.size; i++) {
        if (str_equal_nocase(str_take(str_drop(prefer, i), wanted.size), wanted)) {
            return true;
        }
    }
    return false;
}

/* What would have been taken: validate_only, or nothing good among it. */
static void reply_unsent(struct http_exchange *x, const struct canonical_batch *batch, bool valid)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, http_arena(x), 4u * 1024 * 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_z(&json, "status", valid ? "valid" : "ignored");
    jsonw_put_raw(&json, "events",
                  STR("{\"applied\":0,\"duplicate\":0,\"ignored\":0,\"quarantined\":0}"));
    jsonw_put_null(&json, "receipt_id");
    jsonw_put_raw(&json, "rejected", batch->error_count > 0 ? batch->errors_json : STR("[]"));
    jsonw_close(&json);
    http_reply_json(x, 200, buf_str(&buf));
}

typedef enum status parse_fn(struct http_exchange *x, const struct source *source, bool skip,
                             struct canonical_batch *out_batch, struct problem *problem);

/* Two lists "[...]" as one. */
static struct str join_lists(struct arena *arena, struct str a, struct str b)
{
    if (a.size <= 2 || b.size <= 2) {
        return a.size > 2 ? a : b;
    }
    return str_printf(arena, "%.*s,%.*s", STR_ARG(str_take(a, a.size - 1)),
                      STR_ARG(str_drop(b, 1)));
}

/* Moves the events that stay together, their reasons with them. */
static void drop_rejected(struct canonical_batch *batch, const struct plan_check *check)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        if (check->rejected[i]) {
            continue;
        }
        if (check->reasons != NULL) {
            check->reasons[kept] = check->reasons[i];
        }
        batch->events[kept++] = batch->events[i];
    }
    batch->event_count = kept;
}

/* The tracking plans of the source; false: answered. */
static bool follow_plans(struct http_exchange *x, struct plan_check *check,
                         struct canonical_batch *batch)
{
    enum status status = plan_apply(check);
    if (status != STATUS_OK) {
        http_reply_status(x, STATUS_RETRY, NULL);
        return false;
    }
    if (check->rejected_count == 0) {
        return true;
    }
    if (!http_query_has(x, "on_error")) {
        struct problem problem;
        (void)problem_set(&problem, STATUS_INVALID, "invalid-event",
                          "%zu of %zu events do not match the schema of their type",
                          check->rejected_count, batch->event_count);
        http_reply_problem_with(x, &problem, check->errors_json);
        return false;
    }
    batch->errors_json = join_lists(check->arena, batch->errors_json, check->errors_json);
    batch->error_count += check->rejected_count;
    drop_rejected(batch, check);
    return true;
}

static enum http_outcome take(struct http_exchange *x, const struct api *api,
                              const struct registry_snapshot *snapshot, const struct source *source,
                              parse_fn *parse, bool *out_released)
{
    struct arena *arena = http_arena(x);
    struct canonical_batch batch = { .event_count = 0 };
    struct problem problem = { .type = "" };
    enum status status = parse(x, source, http_query_has(x, "on_error"), &batch, &problem);
    if (status != STATUS_OK) {
        if (batch.errors_json.size > 0) {
            http_reply_problem_with(x, &problem, batch.errors_json);
        } else {
            http_reply_status(x, status, &problem);
        }
        return HTTP_DONE;
    }
    bool only_validate = str_equal(http_query(x, "validate_only"), STR("true"));
    struct plan_check check = {
        .arena = arena,
        .workspace = snapshot_workspace(snapshot, source->workspace_id),
        .source_id = source->id,
        .events = batch.events,
        .event_count = batch.event_count,
        .now_ms = http_received_at_ms(x),
        .may_reject = true,
        .only_validate = only_validate,
        .items = batch.items,
        .is_list = batch.is_list,
    };
    if (!follow_plans(x, &check, &batch)) {
        return HTTP_DONE;
    }
    if (only_validate || batch.event_count == 0) {
        reply_unsent(x, &batch, only_validate);
        return HTTP_DONE;
    }
    struct ingest *ingest = ingest_create(x, api, snapshot, source);
    if (ingest == NULL) {
        http_reply_status(x, STATUS_RETRY, NULL);
        return HTTP_DONE;
    }
    char receipt[ID_TEXT_SIZE];
    id_format(ingest->delivery.receipt_id, receipt);
    ingest->delivery.topic = STR("events");
    ingest->delivery.dedup_key = str_dup(arena, str_from_z(receipt));
    ingest->delivery.events = batch.events;
    ingest->delivery.event_count = batch.event_count;
    ingest->delivery.quarantine_reasons = check.reasons;
    ingest->has_followed_plans = true;
    ingest->delivery.want_details = wants_representation(x);
    ingest->rejected_json = batch.errors_json;
    ingest->rejected_count = batch.error_count;
    *out_released = true;
    return ingest_submit(ingest);
}

static enum http_outcome take_for(struct http_exchange *x, const struct api *api, struct str name,
                                  parse_fn *parse)
{
    if (!check_query(x)) {
        return HTTP_DONE;
    }
    const struct registry_snapshot *snapshot = registry_hold(api->registry);
    const struct source *source =
        ingest_source(snapshot, http_principal(x)->workspace_id, name.size > 0 ? name : STR("api"));
    bool released = false;
    enum http_outcome outcome = HTTP_DONE;
    if (source == NULL) {
        reply_field(x, "invalid-field", "query/source", "no source of this workspace is called so");
    } else {
        outcome = take(x, api, snapshot, source, parse, &released);
    }
    if (!released) {
        registry_release(api->registry, snapshot);
    }
    return outcome;
}

static enum status parse_events(struct http_exchange *x, const struct source *source, bool skip,
                                struct canonical_batch *out_batch, struct problem *problem)
{
    return canonical_parse(http_arena(x), source, http_body(x), http_received_at_ms(x), skip,
                           out_batch, problem);
}

static enum status parse_products(struct http_exchange *x, const struct source *source, bool skip,
                                  struct canonical_batch *out_batch, struct problem *problem)
{
    return canonical_products_parse(http_arena(x), source, http_body(x), http_received_at_ms(x),
                                    skip, out_batch, problem);
}

static enum status parse_product(struct http_exchange *x, const struct source *source, bool skip,
                                 struct canonical_batch *out_batch, struct problem *problem)
{
    (void)skip;
    return canonical_product_parse(http_arena(x), source, http_body(x),
                                   http_path_param(x, "product_id"), http_received_at_ms(x),
                                   out_batch, problem);
}

enum http_outcome handle_events(struct http_exchange *x, void *app)
{
    return take_for(x, app, http_query(x, "source"), parse_events);
}

enum http_outcome handle_product_bulk(struct http_exchange *x, void *app)
{
    return take_for(x, app, http_query(x, "source"), parse_products);
}

enum http_outcome handle_product_put(struct http_exchange *x, void *app)
{
    return take_for(x, app, http_path_param(x, "name"), parse_product);
}
