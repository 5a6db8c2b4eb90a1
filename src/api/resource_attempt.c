#include "api/secret_mask.h"
#include "base/instant.h"
#include "query_priv.h"
#include "resource_priv.h"
#include "store/attempt_read.h"

/*
 * What became of each call: what was asked, what was answered, without what would
 * let the reader make the call himself. The headers are those of today's
 * settings; a log of each call's own would keep retired secrets for a month.
 *
 * A key with scope subscribe sees the attempts of its own subscriptions.
 */

enum {
    SCAN_ROWS = 10000
};

static const char *const OUTCOMES[] = { "delivered", "retry",   "gave_up",
                                        "gone",      "aborted", "dropped" };

static void write_attempt(struct jsonw *json, struct arena *arena, const struct attempt_view *row)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_id(json, "notification_id", row->notification_id);
    jsonw_put_str_or_null(json, "topic", row->topic);
    jsonw_put_id_or_null(json, "profile_id", row->profile_id);
    jsonw_put_str_or_null(json, "subscription", row->subscription);
    jsonw_put_i64(json, "number", row->number);
    jsonw_put_str(json, "outcome", row->outcome);
    jsonw_put_instant(json, "at", row->at_ms);
    jsonw_put_i64(json, "duration_ms", row->duration_ms);
    jsonw_key(json, "request");
    jsonw_open(json);
    jsonw_put_z(json, "method", "POST");
    jsonw_put_str_or_null(json, "url", secret_mask_url(arena, row->url));
    jsonw_put_raw(json, "headers", secret_mask_headers(arena, row->headers_json));
    jsonw_put_i64(json, "body_bytes", row->body_bytes);
    jsonw_close(json);
    jsonw_key(json, "response");
    if (row->response_status == 0) {
        jsonw_null(json);
    } else {
        jsonw_open(json);
        jsonw_put_i64(json, "status", row->response_status);
        jsonw_put_str(json, "body", secret_mask_echo(arena, row->response, row->headers_json));
        jsonw_close(json);
    }
    jsonw_put_str_or_null(json, "error", row->error);
    jsonw_put_instant(json, "next_at", row->next_at_ms);
    jsonw_close(json);
}

static enum status list_attempts(const struct resource_request *request,
                                 struct attempt_query *query, struct str filters, int64_t to_ms,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct attempt_page found = { .count = 0 };
    enum status status = page_open(&page, request, "attempts", filters, problem);
    if (status != STATUS_OK) {
        return status;
    }
    query->workspace_id = request->principal->workspace_id;
    query->scan_limit = SCAN_ROWS;
    query->owner = query_owner(request);
    query_place(&page, to_ms, &query->before_ms, &query->before_id);
    query->limit = page.size + 1;
    status = attempt_page(request->pg, request->arena, query, &found, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = found.count < page.size ? found.count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_attempt(&page.json, request->arena, &found.rows[i]);
    }
    struct str next = { NULL, 0 };
    if (found.count > page.size) {
        const struct attempt_view *last = &found.rows[shown - 1];
        next = cursor_format(request->arena, last->at_ms, last->id);
    } else if (found.is_cut) {
        next = cursor_format(request->arena, found.cut_ms, found.cut_id);
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}

enum status resource_notification_attempts(const struct resource_request *request,
                                           struct resource_answer *out_answer,
                                           struct problem *problem)
{
    struct attempt_query query = { .limit = 0 };
    if (!id_parse(request->name, &query.notification_id)) {
        return resource_missing(STATUS_MISSING, "notification", request->name, problem);
    }
    return list_attempts(request, &query, request->name, INSTANT_NONE, out_answer, problem);
}

/* An index narrows by one of the two; by both, a customer has fewer. */
static enum status read_narrow(const struct resource_request *request, struct attempt_query *query,
                               struct problem *problem)
{
    if (request->profile.size > 0 && request->subscription.size > 0) {
        enum status status =
            problem_set(problem, STATUS_INVALID, "invalid-field",
                        "attempts are narrowed by a profile or by a subscription, not by both");
        problem_point(problem, "#/query/profile");
        return status;
    }
    enum status status = query_subscription(request, &query->subscription_id, problem);
    if (status == STATUS_OK) {
        status = query_profile(request, &query->profiles, &query->profile_count, problem);
    }
    return status;
}

enum status resource_attempt_list(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    int64_t to_ms = INSTANT_NONE;
    struct attempt_query query = { .topic = request->topic,
                                   .outcome = request->outcome,
                                   .from_ms = 0 };
    enum status status =
        query_one_of(request->outcome, "outcome", OUTCOMES, ARRAY_COUNT(OUTCOMES), problem);
    if (status == STATUS_OK) {
        status = query_instant(request->from, "from", &query.from_ms, problem);
    }
    if (status == STATUS_OK) {
        status = query_instant(request->to, "to", &to_ms, problem);
    }
    if (status == STATUS_OK) {
        status = read_narrow(request, &query, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct str filters = str_printf(request->arena, "of|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s",
                                    STR_ARG(request->subscription), STR_ARG(request->profile),
                                    STR_ARG(request->topic), STR_ARG(request->outcome),
                                    STR_ARG(request->from), STR_ARG(request->to));
    return list_attempts(request, &query, filters, to_ms, out_answer, problem);
}
