#include "base/instant.h"
#include "query_priv.h"
#include "resource_priv.h"
#include "store/delivery_read.h"

/* What waits to be sent. */

enum {
    SCAN_ROWS = 10000,
    COUNTED_MAX = 10000,
};

static const char *const STATUSES[] = { "waiting", "retrying", "sending", "paused", "held" };

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
        .to_ms = INSTANT_LAST_MS,
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
