#include "api/mask.h"
#include "base/instant.h"
#include "profile_priv.h"
#include "store/notification_read.h"
#include "subscription_priv.h"

/*
 * Notifications, and what became of each call.
 *
 * The body is shown as the bytes that were sent (parsed, since it is JSON
 * inside JSON); a key without pii sees it masked. A key with scope subscribe
 * sees the attempts of its own subscriptions.
 */

static void write_notification(struct jsonw *json, const struct resource_request *request,
                               const struct notification_view *row,
                               const struct delivery_view *deliveries, size_t delivery_count)
{
    bool is_masked = profile_is_masked(request);
    char id[ID_TEXT_SIZE];
    id_format(row->id, id);
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_str(json, "type", row->topic);
    jsonw_put_id_or_null(json, "profile_id", row->profile_id);
    jsonw_put_instant(json, "created_at", row->created_at_ms);
    jsonw_put_i64(json, "sequence", row->sequence);
    jsonw_put_bool(json, "masked", is_masked);
    jsonw_put_raw(json, "body", is_masked ? mask_json(request->arena, row->body) : row->body);
    if (deliveries != NULL) {
        jsonw_key(json, "pending");
        jsonw_open_array(json);
        for (size_t i = 0; i < delivery_count; i++) {
            jsonw_open(json);
            jsonw_put_str_or_null(json, "subscription", deliveries[i].subscription);
            jsonw_put_instant(json, "due_at", deliveries[i].due_at_ms);
            jsonw_put_i64(json, "attempts", deliveries[i].attempts);
            jsonw_close(json);
        }
        jsonw_close_array(json);
    }
    jsonw_key(json, "links");
    jsonw_open(json);
    jsonw_put_str(json, "attempts",
                  str_printf(request->arena, "/v1/notifications/%s/attempts", id));
    jsonw_close(json);
    jsonw_close(json);
}

enum status resource_notification_list(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct notification_query query = { .workspace_id = request->principal->workspace_id,
                                        .topic = request->topic };
    struct notification_view *rows = NULL;
    size_t count = 0;
    enum status status = STATUS_OK;
    if (request->profile.size > 0) {
        struct id requested = ID_ZERO;
        struct id canonical = ID_ZERO;
        struct id *origins = NULL;
        status = profile_resolve(request, request->profile, &requested, &canonical, &origins,
                                 &query.profile_count, problem);
        query.profiles = origins;
    }
    if (status == STATUS_OK) {
        status = page_open(&page, request, "notifications",
                           str_printf(request->arena, "%.*s|%.*s", STR_ARG(request->profile),
                                      STR_ARG(request->topic)),
                           problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    cursor_place(&page, &query.before_ms, &query.before_id);
    query.limit = page.size + 1;
    status = notification_list(request->pg, request->arena, &query, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page.size; i++) {
        write_notification(&page.json, request, &rows[i], NULL, 0);
        if (i + 1 == page.size && count > page.size) {
            next = cursor_format(request->arena, rows[i].created_at_ms, rows[i].id);
        }
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}

enum status resource_notification_show(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct id workspace_id = request->principal->workspace_id;
    struct notification_view row;
    struct delivery_view *deliveries = NULL;
    size_t delivery_count = 0;
    struct id id = ID_ZERO;
    enum status status = STATUS_MISSING;
    if (id_parse(request->name, &id)) {
        status = notification_find(request->pg, request->arena, workspace_id, id, &row, problem);
    }
    if (status == STATUS_OK) {
        status = notification_deliveries(request->pg, request->arena, workspace_id, id, &deliveries,
                                         &delivery_count, problem);
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "notification", request->name, problem);
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_notification(&json, request, &row, deliveries, delivery_count);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}

static void write_attempt(struct jsonw *json, const struct attempt_view *row)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_id(json, "notification_id", row->notification_id);
    jsonw_put_str_or_null(json, "subscription", row->subscription);
    jsonw_put_i64(json, "number", row->number);
    jsonw_put_str(json, "outcome", row->outcome);
    jsonw_put_instant(json, "at", row->at_ms);
    jsonw_put_i64(json, "duration_ms", row->duration_ms);
    jsonw_key(json, "request");
    jsonw_open(json);
    jsonw_put_str_or_null(json, "url", row->url);
    jsonw_put_i64(json, "body_bytes", row->body_bytes);
    jsonw_close(json);
    jsonw_key(json, "response");
    if (row->response_status == 0) {
        jsonw_null(json);
    } else {
        jsonw_open(json);
        jsonw_put_i64(json, "status", row->response_status);
        jsonw_put_str(json, "body", row->response);
        jsonw_close(json);
    }
    jsonw_put_str_or_null(json, "error", row->error);
    jsonw_put_instant(json, "next_at", row->next_at_ms);
    jsonw_close(json);
}

static enum status list_attempts(const struct resource_request *request,
                                 struct attempt_query *query, struct str filters,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct attempt_view *rows = NULL;
    size_t count = 0;
    enum status status = page_open(&page, request, "attempts", filters, problem);
    if (status != STATUS_OK) {
        return status;
    }
    query->workspace_id = request->principal->workspace_id;
    if (!resource_may(request, SCOPE_READ)) {
        query->owner = subscription_owner(request);
    }
    cursor_place(&page, &query->before_ms, &query->before_id);
    query->limit = page.size + 1;
    status = attempt_list(request->pg, request->arena, query, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page.size; i++) {
        write_attempt(&page.json, &rows[i]);
        if (i + 1 == page.size && count > page.size) {
            next = cursor_format(request->arena, rows[i].at_ms, rows[i].id);
        }
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
    return list_attempts(request, &query, request->name, out_answer, problem);
}

enum status resource_attempt_list(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct attempt_query query = { .limit = 0 };
    if (request->subscription.size > 0) {
        struct subscription_row row;
        struct id owner = resource_may(request, SCOPE_READ) ? ID_ZERO : subscription_owner(request);
        enum status status =
            subscription_find(request->pg, request->arena, request->principal->workspace_id, owner,
                              request->subscription, &row, problem);
        if (status != STATUS_OK) {
            return resource_missing(status, "subscription", request->subscription, problem);
        }
        query.subscription_id = row.id;
    }
    return list_attempts(request, &query,
                         str_printf(request->arena, "of|%.*s", STR_ARG(request->subscription)),
                         out_answer, problem);
}
