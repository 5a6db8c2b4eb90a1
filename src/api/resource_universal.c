#include <stdio.h>

#include <jansson.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/event/event.h"
#include "core/event/universal.h"
#include "query_priv.h"
#include "resource_priv.h"
#include "store/source_store.h"
#include "store/universal_store.h"
#include "universal_priv.h"

/*
 * Universal events: what happens in the world, told to us or by the catalogue.
 *
 * A post is kept once, under the hash of in whose name it came and what its
 * poster calls it; again it is answered "duplicate", whatever else it says then.
 * Several at once are kept all or none. Reaching customers is the work of jobs,
 * of which the answer says the ids; there are none yet.
 */

enum {
    SCAN_ROWS = 10000,
    EVENTS_MAX = 100, /* in one request: an alert of many regions is one event */
};

/* --- posting ---------------------------------------------------------------- */

static void read_type(struct document *document, struct universal_event *event)
{
    document_need(document, "type");
    event->type = document_text(document, "type", LIMIT_DEDUP_KEY_BYTES);
    if (document->status != STATUS_OK || universal_type_is_posted(event->type)) {
        return;
    }
    if (universal_type_is_known(event->type)) {
        document_fail(document, "type", "invalid-field",
                      "%.*s comes from the catalogue: tell the product's stock and price instead",
                      STR_ARG(event->type));
    } else {
        document_fail(document, "type", "invalid-field",
                      "type is weather.changed or universal.<name>, with a name of lower-case "
                      "letters, digits and _");
    }
}

static void read_times(struct document *document, int64_t now_ms, struct universal_event *event)
{
    int64_t claimed_ms = document_instant(document, "occurred_at");
    event->occurred_at_ms =
        event_clamp_instant(claimed_ms == INSTANT_NONE ? now_ms : claimed_ms, now_ms);
    event->expires_at_ms = document_instant(document, "expires_at");
    if (document->status == STATUS_OK && event->expires_at_ms != INSTANT_NONE &&
        event->expires_at_ms <= event->occurred_at_ms) {
        document_fail(document, "expires_at", "invalid-field",
                      "expires_at lies behind occurred_at");
    }
}

static void read_event(struct document *document, const struct source_row *source, int64_t now_ms,
                       struct universal_event *event)
{
    static const char *const members[] = { "id",         "type",     "occurred_at",
                                           "expires_at", "selector", "properties" };
    document_allow(document, members, ARRAY_COUNT(members));
    document_need(document, "id");
    event->posted_id = document_text(document, "id", LIMIT_DEDUP_KEY_BYTES);
    if (document->status == STATUS_OK && event->posted_id.size == 0) {
        document_fail(document, "id", "invalid-field", "id is text of 1 to %u bytes",
                      LIMIT_DEDUP_KEY_BYTES);
    }
    read_type(document, event);
    read_times(document, now_ms, event);
    event->selector_json = universal_read_selector(document);
    event->properties_json = document_object(document, "properties");
    if (document->status == STATUS_OK && event->properties_json.size > LIMIT_PROPERTIES_BYTES) {
        document_fail(document, "properties", "invalid-field", "properties has at most %u bytes",
                      LIMIT_PROPERTIES_BYTES);
    }
    event->source_id = source->id;
    event->recorded_at_ms = now_ms;
    event->id = universal_posted_id(source->id, event->posted_id);
}

struct posting {
    struct universal_event *events;
    size_t count;
    bool is_list;
};

static enum status read_one(const struct resource_request *request, json_t *item,
                            const struct source_row *source, struct universal_event *out_event,
                            struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    if (!json_is_object(item)) {
        (void)problem_set(problem, STATUS_INVALID, "invalid-field", "an event is a JSON object");
        problem_point(problem, "#");
        return STATUS_INVALID;
    }
    document_wrap(&document, request->arena, json_incref(item), problem);
    read_event(&document, source, request->now_ms, out_event);
    return document.status;
}

static enum status read_list(const struct resource_request *request, json_t *list,
                             const struct source_row *source, struct posting *posting,
                             struct problem *problem)
{
    size_t count = json_array_size(list);
    if (count == 0 || count > EVENTS_MAX) {
        return problem_set(problem, STATUS_INVALID, "invalid-field", "1 to %d events at once",
                           EVENTS_MAX);
    }
    posting->is_list = true;
    posting->count = count;
    posting->events = ARENA_NEW_ARRAY(request->arena, count, struct universal_event);
    for (size_t i = 0; posting->events != NULL && i < count; i++) {
        enum status status =
            read_one(request, json_array_get(list, i), source, &posting->events[i], problem);
        if (status != STATUS_OK) {
            char within[PROBLEM_POINTER_SIZE];
            (void)snprintf(within, sizeof(within), "%s", problem->pointer);
            problem_point(problem, "#/%zu%s", i, within[0] != '\0' ? within + 1 : "");
            return status;
        }
    }
    return posting->events != NULL ? STATUS_OK : STATUS_LIMIT;
}

static enum status read_posting(const struct resource_request *request,
                                const struct source_row *source, struct posting *posting,
                                struct problem *problem)
{
    json_t *root = document_parse(request->body, problem);
    enum status status = STATUS_INVALID;
    if (json_is_array(root)) {
        status = read_list(request, root, source, posting, problem);
    } else if (root != NULL) {
        posting->count = 1;
        posting->events = ARENA_NEW(request->arena, struct universal_event);
        status = posting->events == NULL
                     ? STATUS_LIMIT
                     : read_one(request, root, source, posting->events, problem);
    }
    json_decref(root);
    return status;
}

static void write_jobs(struct jsonw *json, const struct universal_posted *posted)
{
    jsonw_key(json, "jobs");
    jsonw_open_array(json);
    for (size_t i = 0; i < posted->job_count; i++) {
        jsonw_open(json);
        jsonw_put_id(json, "id", posted->jobs[i].id);
        jsonw_put_str(json, "trigger", posted->jobs[i].trigger);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static enum status answer_posting(const struct resource_request *request,
                                  const struct posting *posting,
                                  const struct universal_posted *posted,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    if (posting->is_list) {
        jsonw_open(&json);
        jsonw_key(&json, "data");
        jsonw_open_array(&json);
    }
    for (size_t i = 0; i < posting->count; i++) {
        jsonw_open(&json);
        jsonw_put_id(&json, "event_id", posting->events[i].id);
        jsonw_put_z(&json, "status",
                    request->validate_only ? "valid"
                    : posted[i].is_new     ? "applied"
                                           : "duplicate");
        write_jobs(&json, &posted[i]);
        jsonw_close(&json);
    }
    if (posting->is_list) {
        jsonw_close_array(&json);
        jsonw_close(&json);
    }
    return resource_answer_set(&buf, request->validate_only ? RESOURCE_SHOWN : RESOURCE_ACCEPTED, 0,
                               out_answer, problem);
}

static enum status find_source(const struct resource_request *request, struct source_row *source,
                               struct problem *problem)
{
    struct str name = request->source.size > 0 ? request->source : STR("api");
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     name, request->now_ms, source, problem);
    return resource_missing(status, "source", name, problem);
}

enum status resource_universal_post(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct source_row source = { .id = ID_ZERO };
    struct posting posting = { .count = 0 };
    struct universal_posted *posted =
        ARENA_NEW_ARRAY(request->arena, EVENTS_MAX, struct universal_posted);
    enum status status = posted != NULL ? find_source(request, &source, problem) : STATUS_LIMIT;
    if (status == STATUS_OK) {
        status = read_posting(request, &source, &posting, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        status = universal_insert(request->pg, request->arena, request->principal->workspace_id,
                                  posting.events, posting.count, posted, problem);
    }
    return status == STATUS_OK ? answer_posting(request, &posting, posted, out_answer, problem)
                               : status;
}

/* --- reading ---------------------------------------------------------------- */

static void write_event(struct jsonw *json, const struct universal_event *event)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", event->id);
    jsonw_put_str(json, "type", event->type);
    jsonw_put_str_or_null(json, "source", event->source);
    jsonw_put_str_or_null(json, "posted_id", event->posted_id);
    jsonw_put_str_or_null(json, "product_id", event->product_id);
    jsonw_put_str_or_null(json, "variant_id", event->variant_id);
    jsonw_put_str_or_null(json, "sku", event->sku);
    jsonw_put_instant(json, "occurred_at", event->occurred_at_ms);
    jsonw_put_instant(json, "recorded_at", event->recorded_at_ms);
    jsonw_put_instant(json, "expires_at", event->expires_at_ms);
    jsonw_put_raw(json, "selector", event->selector_json);
    jsonw_put_raw(json, "properties", event->properties_json);
    jsonw_close(json);
}

/* universal.<name> is whatever was posted; else it is one of ours. */
static enum status check_type(struct str type, struct problem *problem)
{
    const char *known[8];
    size_t count = 0;
    while (universal_type_name(count) != NULL && count < ARRAY_COUNT(known)) {
        known[count] = universal_type_name(count);
        count++;
    }
    return universal_type_is_known(type) ? STATUS_OK
                                         : query_one_of(type, "type", known, count, problem);
}

static enum status read_query(const struct resource_request *request, struct universal_query *query,
                              int64_t *out_to_ms, struct problem *problem)
{
    struct source_row source = { .id = ID_ZERO };
    *query = (struct universal_query){
        .workspace_id = request->principal->workspace_id,
        .type = request->type,
        .product_id = request->product_id,
        .scan_limit = SCAN_ROWS,
    };
    enum status status = check_type(request->type, problem);
    if (status == STATUS_OK) {
        status = query_instant(request->from, "from", &query->from_ms, problem);
    }
    if (status == STATUS_OK) {
        status = query_instant(request->to, "to", out_to_ms, problem);
    }
    if (status == STATUS_OK && request->source.size > 0) {
        status = find_source(request, &source, problem);
    }
    query->source_id = source.id;
    return status;
}

enum status resource_universal_list(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct universal_query query;
    struct universal_page found = { .count = 0 };
    int64_t to_ms = INSTANT_NONE;
    enum status status = read_query(request, &query, &to_ms, problem);
    if (status == STATUS_OK) {
        struct str filters =
            str_printf(request->arena, "%.*s|%.*s|%.*s|%.*s|%.*s", STR_ARG(request->type),
                       STR_ARG(request->source), STR_ARG(request->product_id),
                       STR_ARG(request->from), STR_ARG(request->to));
        status = page_open(&page, request, "universal-events", filters, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    query_place(&page, to_ms, &query.before_ms, &query.before_id);
    query.limit = page.size + 1;
    status = universal_page(request->pg, request->arena, &query, &found, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = found.count < page.size ? found.count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_event(&page.json, &found.rows[i]);
    }
    struct str next = { NULL, 0 };
    if (found.count > page.size) {
        const struct universal_event *last = &found.rows[shown - 1];
        next = cursor_format(request->arena, last->occurred_at_ms, last->id);
    } else if (found.is_cut) {
        next = cursor_format(request->arena, found.cut_ms, found.cut_id);
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}

enum status resource_universal_show(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct universal_event event;
    struct id id = ID_ZERO;
    enum status status = STATUS_MISSING;
    if (id_parse(request->name, &id)) {
        status = universal_find(request->pg, request->arena, request->principal->workspace_id, id,
                                &event, problem);
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "universal event", request->name, problem);
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_event(&json, &event);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}
