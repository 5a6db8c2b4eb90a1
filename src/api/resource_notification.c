#include "api/mask.h"
#include "base/instant.h"
#include "profile_priv.h"
#include "query_priv.h"
#include "store/notification_read.h"

/*
 * Notifications.
 *
 * The body is shown as the bytes that were sent (parsed, since it is JSON
 * inside JSON); a key without pii sees it masked.
 */

enum {
    SCAN_ROWS = 10000,
    SCAN_SENT_ROWS = 2000, /* each is looked up in the log */
};

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

static enum status read_query(const struct resource_request *request,
                              struct notification_query *query, int64_t *out_to_ms,
                              struct problem *problem)
{
    *query = (struct notification_query){
        .workspace_id = request->principal->workspace_id,
        .topic = request->topic,
        .from_ms = 0,
        .scan_limit = request->subscription.size > 0 ? SCAN_SENT_ROWS : SCAN_ROWS,
    };
    enum status status = query_instant(request->from, "from", &query->from_ms, problem);
    if (status == STATUS_OK) {
        status = query_instant(request->to, "to", out_to_ms, problem);
    }
    if (status == STATUS_OK) {
        status = query_subscription(request, &query->subscription_id, problem);
    }
    if (status == STATUS_OK) {
        status = query_profile(request, &query->profiles, &query->profile_count, problem);
    }
    return status;
}

enum status resource_notification_list(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct notification_query query;
    struct notification_page found = { .count = 0 };
    int64_t to_ms = INSTANT_NONE;
    enum status status = read_query(request, &query, &to_ms, problem);
    if (status == STATUS_OK) {
        struct str filters =
            str_printf(request->arena, "%.*s|%.*s|%.*s|%.*s|%.*s", STR_ARG(request->profile),
                       STR_ARG(request->topic), STR_ARG(request->subscription),
                       STR_ARG(request->from), STR_ARG(request->to));
        status = page_open(&page, request, "notifications", filters, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    query_place(&page, to_ms, &query.before_ms, &query.before_id);
    query.limit = page.size + 1;
    status = notification_page(request->pg, request->arena, &query, &found, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = found.count < page.size ? found.count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_notification(&page.json, request, &found.rows[i], NULL, 0);
    }
    struct str next = { NULL, 0 };
    if (found.count > page.size) {
        const struct notification_view *last = &found.rows[shown - 1];
        next = cursor_format(request->arena, last->created_at_ms, last->id);
    } else if (found.is_cut) {
        next = cursor_format(request->arena, found.cut_ms, found.cut_id);
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
