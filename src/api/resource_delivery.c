#include "base/instant.h"
#include "query_priv.h"
#include "resource_priv.h"
#include "rule_priv.h"
#include "store/delivery_read.h"
#include "store/delivery_replay.h"
#include "store/notification_read.h"
#include "subscription_priv.h"

/*
 * What waits to be sent, and sending again what was settled.
 *
 * A replay has the id and the body of the first time: a receiver that has seen it
 * says so by that id. It goes to whom the notification was sent before and to
 * nobody else: what another subscription may see of it was never decided.
 */

enum {
    SCAN_ROWS = 10000,
    COUNTED_MAX = 10000,
};

static const char *const STATUSES[] = { "waiting", "retrying", "sending", "paused", "held" };

/* --- the list ------------------------------------------------------------------- */

static void write_pending(struct jsonw *json, const struct pending_view *row)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_id(json, "notification_id", row->notification_id);
    jsonw_put_str_or_null(json, "topic", row->topic);
    jsonw_put_str_or_null(json, "subscription", row->subscription);
    jsonw_put_id_or_null(json, "profile_id", row->profile_id);
    jsonw_put_str(json, "status", row->status);
    jsonw_put_instant(json, "created_at", row->created_at_ms);
    jsonw_put_instant(json, "due_at", row->due_at_ms);
    jsonw_put_i64(json, "attempts", row->attempts);
    jsonw_key(json, "last_attempt");
    if (row->last_at_ms == INSTANT_NONE) {
        jsonw_null(json);
    } else {
        jsonw_open(json);
        jsonw_put_instant(json, "at", row->last_at_ms);
        jsonw_put_str(json, "outcome", row->last_outcome);
        if (row->last_response_status > 0) {
            jsonw_put_i64(json, "response_status", row->last_response_status);
        } else {
            jsonw_put_null(json, "response_status");
        }
        jsonw_put_str_or_null(json, "error", row->last_error);
        jsonw_close(json);
    }
    jsonw_close(json);
}

static enum status read_query(const struct resource_request *request, struct pending_query *query,
                              struct problem *problem)
{
    *query = (struct pending_query){
        .workspace_id = request->principal->workspace_id,
        .owner = query_owner(request),
        .topic = request->topic,
        .status = request->state,
        .now_ms = request->now_ms,
        .from_ms = 0,
        .to_ms = INT64_C(253370764800000), /* the year 9999 */
        .scan_limit = SCAN_ROWS,
    };
    enum status status =
        query_one_of(request->state, "status", STATUSES, ARRAY_COUNT(STATUSES), problem);
    if (status == STATUS_OK) {
        status = query_instant(request->from, "from", &query->from_ms, problem);
    }
    if (status == STATUS_OK) {
        status = query_instant(request->to, "to", &query->to_ms, problem);
    }
    if (status == STATUS_OK) {
        status = query_subscription(request, &query->subscription_id, problem);
    }
    if (status == STATUS_OK) {
        status = query_profile(request, &query->profiles, &query->profile_count, problem);
    }
    return status;
}

/* A total is of a whole queue, or of a subscription's: those are counted by index. */
static enum status read_total(const struct resource_request *request,
                              const struct pending_query *query, int64_t *out_total,
                              struct problem *problem)
{
    bool is_whole =
        query->topic.size + query->status.size + request->from.size + request->to.size == 0 &&
        query->profiles == NULL && id_is_zero(query->owner);
    if (!request->want_total) {
        return STATUS_OK;
    }
    if (!is_whole) {
        enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                         "a total is told of all deliveries, or of a"
                                         " subscription's, without other filters");
        problem_point(problem, "#/query/include");
        return status;
    }
    return delivery_count(request->pg, request->arena, query->workspace_id, query->subscription_id,
                          COUNTED_MAX + 1, out_total, problem);
}

static struct str place_format(struct arena *arena, const struct pending_place *place)
{
    char subscription[ID_TEXT_SIZE];
    id_format(place->subscription_id, subscription);
    struct str rest = cursor_format(arena, place->due_at_ms, place->id);
    return str_printf(arena, "%s/%.*s", subscription, STR_ARG(rest));
}

static void place_parse(struct str cursor, struct pending_place *place)
{
    struct str head = { NULL, 0 };
    struct str tail = { NULL, 0 };
    struct pending_place parsed = { .due_at_ms = 0 };
    if (str_split(cursor, '/', &head, &tail) && id_parse(head, &parsed.subscription_id) &&
        cursor_parse(tail, &parsed.due_at_ms, &parsed.id)) {
        *place = parsed;
    }
}

enum status resource_delivery_list(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct pending_query query;
    struct pending_page found = { .count = 0 };
    int64_t total = -1;
    enum status status = read_query(request, &query, problem);
    if (status == STATUS_OK) {
        status = read_total(request, &query, &total, problem);
    }
    if (status == STATUS_OK) {
        struct str filters = str_printf(request->arena, "%.*s|%.*s|%.*s|%.*s|%.*s|%.*s",
                                        STR_ARG(request->subscription), STR_ARG(request->profile),
                                        STR_ARG(request->topic), STR_ARG(request->state),
                                        STR_ARG(request->from), STR_ARG(request->to));
        status = page_open(&page, request, "deliveries", filters, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    place_parse(page.cursor, &query.after);
    query.limit = page.size + 1;
    status = delivery_page(request->pg, request->arena, &query, &found, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = found.count < page.size ? found.count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_pending(&page.json, &found.rows[i]);
    }
    struct str next = { NULL, 0 };
    if (found.count > page.size) {
        const struct pending_view *last = &found.rows[shown - 1];
        next = place_format(request->arena, &(struct pending_place){ last->subscription_id,
                                                                     last->due_at_ms, last->id });
    } else if (found.is_cut) {
        next = place_format(request->arena, &found.cut);
    }
    bool is_exact = total <= COUNTED_MAX;
    return page_close(&page, next, is_exact ? total : COUNTED_MAX, is_exact, out_answer, problem);
}

/* --- one again ------------------------------------------------------------------ */

struct again {
    const struct notification_view *row;
    const struct replay_target *targets;
    size_t target_count;
    struct jsonw *json;
};

static enum status queue_again(const struct resource_request *request, const struct again *again,
                               const struct replay_target *target, struct problem *problem)
{
    size_t found = 0;
    size_t queued = 0;
    const struct notification_view *row = again->row;
    struct replay_item item = { row->id, row->created_at_ms };
    bool is_old =
        target->max_age_ms > 0 && row->created_at_ms <= request->now_ms - target->max_age_ms;
    enum status status = STATUS_OK;
    if (!is_old) {
        status = delivery_replay_queue(request->pg, request->arena,
                                       request->principal->workspace_id, target->subscription_id,
                                       &item, 1, request->now_ms, &found, &queued, problem);
    }
    const char *result = is_old ? "expired" : queued > 0 ? "queued" : "pending";
    jsonw_open(again->json);
    jsonw_put_str(again->json, "subscription", target->name);
    jsonw_put_str(again->json, "subscription_status", target->status);
    jsonw_put_z(again->json, "result", result);
    jsonw_close(again->json);
    return status;
}

static enum status run_statement(const struct resource_request *request,
                                 const struct pg_statement *statement, struct problem *problem)
{
    return pg_run(request->pg, request->arena, statement, NULL, NULL, problem);
}

/* With validate_only the same is done, and undone. */
static enum status queue_all(const struct resource_request *request, const struct again *again,
                             struct problem *problem)
{
    enum status status = run_statement(request, &pg_begin, problem);
    for (size_t i = 0; status == STATUS_OK && i < again->target_count; i++) {
        status = queue_again(request, again, &again->targets[i], problem);
    }
    if (status == STATUS_OK) {
        status =
            run_statement(request, request->validate_only ? &pg_rollback : &pg_commit, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(request->pg);
    }
    return status;
}

/* The one named, or all it was sent to. */
static enum status choose_targets(const struct resource_request *request, struct str name,
                                  struct again *again, struct problem *problem)
{
    struct replay_target *targets = NULL;
    size_t count = 0;
    enum status status = delivery_replay_targets(
        request->pg, request->arena, request->principal->workspace_id, again->row->id,
        subscription_owner(request), &targets, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    again->targets = targets;
    again->target_count = count;
    for (size_t i = 0; name.size > 0 && i < count; i++) {
        char id[ID_TEXT_SIZE];
        id_format(targets[i].subscription_id, id);
        if (str_equal(targets[i].name, name) || str_equal_z(name, id)) {
            again->targets = &targets[i];
            again->target_count = 1;
            return STATUS_OK;
        }
    }
    if (name.size > 0) {
        status = problem_set(problem, STATUS_INVALID, "invalid-field",
                             "it was not sent to a subscription \"%.*s\" yet",
                             STR_ARG(str_take_text(name, 63)));
        problem_point(problem, "#/subscription");
    } else if (count == 0) {
        status = problem_set(problem, STATUS_INVALID, "invalid-field",
                             "it was not sent to anybody who is still subscribed, as far as the"
                             " log reaches");
    }
    return status;
}

enum status resource_notification_replay(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    static const char *const members[] = { "subscription" };
    struct notification_view row = { .id = ID_ZERO };
    struct id id = ID_ZERO;
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, members, ARRAY_COUNT(members));
    struct str name = document_text(&document, "subscription", ID_TEXT_SIZE + 63);
    status = document.status;
    if (status == STATUS_OK) {
        status = id_parse(request->name, &id)
                     ? notification_find(request->pg, request->arena,
                                         request->principal->workspace_id, id, &row, problem)
                     : STATUS_MISSING;
        status = resource_missing(status, "notification", request->name, problem);
    }
    struct buf buf;
    struct jsonw json;
    struct again again = { .row = &row, .json = &json };
    if (status == STATUS_OK) {
        status = choose_targets(request, name, &again, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_id(&json, "notification_id", id);
    jsonw_key(&json, "deliveries");
    jsonw_open_array(&json);
    status = queue_all(request, &again, problem);
    jsonw_close_array(&json);
    jsonw_close(&json);
    return status == STATUS_OK
               ? resource_answer_set(&buf,
                                     request->validate_only ? RESOURCE_SHOWN : RESOURCE_ACCEPTED, 0,
                                     out_answer, problem)
               : status;
}

/* --- many again ----------------------------------------------------------------- */

struct wish {
    int64_t since_ms;
    int64_t until_ms;
    struct str status; /* failed or all */
};

static enum status read_wish(const struct resource_request *request, struct wish *wish,
                             struct problem *problem)
{
    static const char *const members[] = { "since", "until", "status" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, members, ARRAY_COUNT(members));
    document_need(&document, "since");
    wish->since_ms = document_instant(&document, "since");
    wish->until_ms = document_instant(&document, "until");
    wish->status = document_text(&document, "status", 16);
    if (wish->status.size == 0) {
        wish->status = STR("failed");
    }
    if (document.status == STATUS_OK && !str_equal_z(wish->status, "failed") &&
        !str_equal_z(wish->status, "all")) {
        document_fail(&document, "status", "invalid-field", "status is \"failed\" or \"all\"");
    }
    if (wish->until_ms == INSTANT_NONE || wish->until_ms > request->now_ms) {
        wish->until_ms = request->now_ms;
    }
    if (document.status == STATUS_OK && wish->until_ms <= wish->since_ms) {
        document_fail(&document, "since", "invalid-field",
                      "since lies behind until, which is now if left out");
    }
    return document.status;
}

static struct str parameters_of(const struct resource_request *request,
                                const struct subscription_row *row, const struct wish *wish)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "subscription", row->name);
    jsonw_put_id(&json, "subscription_id", row->id);
    jsonw_put_instant(&json, "since", wish->since_ms);
    jsonw_put_instant(&json, "until", wish->until_ms);
    jsonw_put_str(&json, "status", wish->status);
    jsonw_close(&json);
    return buf_str(&buf);
}

enum status resource_subscription_replay(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    struct subscription_row row;
    struct wish wish = { .since_ms = INSTANT_NONE };
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = read_wish(request, &wish, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return job_queue(request, STR("delivery_replay"), parameters_of(request, &row, &wish),
                     out_answer, problem);
}
