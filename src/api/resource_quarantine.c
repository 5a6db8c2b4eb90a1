#include "base/codec.h"
#include "base/instant.h"
#include "profile_priv.h"
#include "store/quarantine_store.h"
#include "store/source_store.h"

/*
 * What was signed but not understood.
 *
 * The body may hold anything, so it cannot be masked: a key without pii does
 * not get it. It is shown as text when it is text, else in base64.
 */

static void write_row(struct jsonw *json, const struct resource_request *request,
                      const struct quarantine_row *row, bool with_body)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_instant(json, "received_at", row->received_at_ms);
    jsonw_put_str_or_null(json, "source", row->source);
    jsonw_put_str(json, "topic", row->topic);
    jsonw_put_str(json, "dedup_key", row->dedup_key);
    jsonw_put_id(json, "event_id", row->event_id);
    jsonw_put_str(json, "reason", row->reason);
    jsonw_put_i64(json, "body_bytes", row->body_bytes);
    if (with_body) {
        bool is_masked = profile_is_masked(request);
        bool is_text = str_is_text(row->body);
        jsonw_put_bool(json, "masked", is_masked);
        jsonw_put_raw(json, "headers", row->headers_json);
        if (is_masked) {
            jsonw_put_null(json, "body");
            jsonw_put_null(json, "body_base64");
        } else if (is_text) {
            jsonw_put_str(json, "body", row->body);
            jsonw_put_null(json, "body_base64");
        } else {
            jsonw_put_null(json, "body");
            jsonw_put_str(
                json, "body_base64",
                base64_encode(request->arena, (const uint8_t *)row->body.data, row->body.size));
        }
    }
    jsonw_close(json);
}

enum status resource_quarantine_list(const struct resource_request *request,
                                     struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct id workspace_id = request->principal->workspace_id;
    struct source_row source = { .id = ID_ZERO };
    struct quarantine_row *rows = NULL;
    size_t count = 0;
    enum status status = STATUS_OK;
    if (request->source.size > 0) {
        status = source_find(request->pg, request->arena, workspace_id, request->source,
                             request->now_ms, &source, problem);
        status = resource_missing(status, "source", request->source, problem);
    }
    if (status == STATUS_OK) {
        status = page_open(&page, request, "quarantine", request->source, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    int64_t before_ms = 0;
    struct id before_id = ID_ZERO;
    cursor_place(&page, &before_ms, &before_id);
    status = quarantine_list(request->pg, request->arena, workspace_id, source.id, before_ms,
                             before_id, page.size + 1, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page.size; i++) {
        write_row(&page.json, request, &rows[i], false);
        if (i + 1 == page.size && count > page.size) {
            next = cursor_format(request->arena, rows[i].received_at_ms, rows[i].id);
        }
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}

enum status resource_quarantine_show(const struct resource_request *request,
                                     struct resource_answer *out_answer, struct problem *problem)
{
    struct quarantine_row row;
    struct id id = ID_ZERO;
    enum status status = STATUS_MISSING;
    if (id_parse(request->name, &id)) {
        status = quarantine_find(request->pg, request->arena, request->principal->workspace_id, id,
                                 &row, problem);
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "quarantined delivery", request->name, problem);
    }
    struct buf buf;
    struct jsonw json;
    /* A body of 5 MiB, every byte escaped. */
    buf_init(&buf, request->arena, 40u * 1024 * 1024);
    jsonw_begin(&json, &buf);
    write_row(&json, request, &row, true);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}
