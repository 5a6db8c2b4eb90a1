#include "api/page.h"

#include <string.h>

#include <sodium.h>

#include "api/fields.h"
#include "base/codec.h"
#include "base/instant.h"
#include "base/limits.h"

/*
 * Pages and their tokens.
 *
 * Token: base64url of MAC (16 bytes), hash of the query (8), cursor. The hash
 * tells "another query" from "not ours"; both lie under the MAC. Rejected:
 * offsets (page 10,000 costs 10,000 pages) and server-side cursors (state that
 * outlives the request).
 */

enum {
    TOKEN_MAC_SIZE = 16,
    TOKEN_QUERY_SIZE = 8,
    TOKEN_HEAD_SIZE = TOKEN_MAC_SIZE + TOKEN_QUERY_SIZE,
    TOKEN_SIZE_MAX = 1024,
};

/* A thousand profiles or notifications at 16 KiB each. */
#define PAGE_BYTES_MAX (16u * 1024 * 1024)
#define PAGE_HEAD "{\"data\":["

static void query_hash(struct str query, uint8_t out_hash[TOKEN_QUERY_SIZE])
{
    uint64_t hash = hash64(query, 0);
    for (size_t i = 0; i < TOKEN_QUERY_SIZE; i++) {
        out_hash[i] = (uint8_t)(hash >> (8 * i));
    }
}

struct str page_token_write(const struct seal *seal, struct arena *arena, struct str query,
                            struct str cursor)
{
    uint8_t bytes[TOKEN_SIZE_MAX];
    if (cursor.size > sizeof(bytes) - TOKEN_HEAD_SIZE) {
        return (struct str){ NULL, 0 };
    }
    query_hash(query, bytes + TOKEN_MAC_SIZE);
    memcpy(bytes + TOKEN_HEAD_SIZE, cursor.data, cursor.size);
    size_t size = TOKEN_HEAD_SIZE + cursor.size;
    seal_token_mac(
        seal, (struct str){ (const char *)bytes + TOKEN_MAC_SIZE, size - TOKEN_MAC_SIZE }, bytes);
    return base64url_encode(arena, bytes, size);
}

enum status page_token_read(const struct seal *seal, struct arena *arena, struct str query,
                            struct str token, struct str *out_cursor, struct problem *problem)
{
    uint8_t bytes[TOKEN_SIZE_MAX];
    size_t size = 0;
    uint8_t mac[TOKEN_MAC_SIZE];
    if (!base64url_decode(token, bytes, sizeof(bytes), &size) || size < TOKEN_HEAD_SIZE) {
        return problem_set(problem, STATUS_INVALID, "page-token-invalid",
                           "page_token is not one of ours");
    }
    struct str rest = { (const char *)bytes + TOKEN_MAC_SIZE, size - TOKEN_MAC_SIZE };
    seal_token_mac(seal, rest, mac);
    if (sodium_memcmp(mac, bytes, TOKEN_MAC_SIZE) != 0) {
        return problem_set(problem, STATUS_INVALID, "page-token-invalid",
                           "page_token is not one of ours");
    }
    uint8_t expected[TOKEN_QUERY_SIZE];
    query_hash(query, expected);
    if (memcmp(expected, rest.data, TOKEN_QUERY_SIZE) != 0) {
        return problem_set(problem, STATUS_INVALID, "page-token-mismatch",
                           "page_token was made for another list, filter or order");
    }
    struct str cursor = str_dup(arena, str_drop(rest, TOKEN_QUERY_SIZE));
    if (arena_is_full(arena)) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    *out_cursor = cursor;
    return STATUS_OK;
}

enum status page_open(struct page *page, const struct resource_request *request, const char *list,
                      struct str filters, struct problem *problem)
{
    struct arena *arena = request->arena;
    char workspace[ID_TEXT_SIZE];
    id_format(request->principal->workspace_id, workspace);
    *page = (struct page){ .request = request, .size = request->page_size };
    if (page->size == 0) {
        page->size = LIMIT_PAGE_DEFAULT;
    }
    if (page->size > LIMIT_PAGE_MAX) {
        page->size = LIMIT_PAGE_MAX;
    }
    page->query = str_printf(arena, "%s/%s/%.*s", workspace, list, STR_ARG(filters));
    if (request->page_token.size > 0) {
        enum status status = page_token_read(request->api->seal, arena, page->query,
                                             request->page_token, &page->cursor, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    buf_init(&page->buf, arena, PAGE_BYTES_MAX);
    jsonw_begin(&page->json, &page->buf);
    jsonw_open(&page->json);
    jsonw_key(&page->json, "data");
    jsonw_open_array(&page->json);
    return STATUS_OK;
}

/* Of the items written so far, the members that were asked for. */
static enum status page_narrow(struct page *page, struct problem *problem)
{
    struct buf narrow;
    struct str all = buf_str(&page->buf);
    buf_init(&narrow, page->request->arena, PAGE_BYTES_MAX);
    buf_add_str(&narrow, str_take(all, sizeof(PAGE_HEAD) - 1));
    enum status status = fields_select(str_drop(all, sizeof(PAGE_HEAD) - 1), page->request->fields,
                                       &narrow, problem);
    if (status != STATUS_OK) {
        problem_point(problem, page->request->body.size > 0 ? "#/fields" : "#/query/fields");
    }
    page->buf = narrow; /* which jsonw goes on writing to */
    return status;
}

enum status page_close(struct page *page, struct str next_cursor, int64_t total, bool exact,
                       struct resource_answer *out_answer, struct problem *problem)
{
    struct jsonw *json = &page->json;
    if (page->request->fields.size > 0 && !page->buf.failed) {
        enum status status = page_narrow(page, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    jsonw_close_array(json);
    struct str token = { NULL, 0 };
    if (next_cursor.size > 0) {
        token = page_token_write(page->request->api->seal, page->request->arena, page->query,
                                 next_cursor);
    }
    jsonw_put_str_or_null(json, "next_page_token", token);
    if (total >= 0) {
        jsonw_key(json, "total");
        jsonw_open(json);
        jsonw_put_i64(json, "count", total);
        jsonw_put_bool(json, "exact", exact);
        jsonw_close(json);
    }
    jsonw_close(json);
    if (page->buf.failed || arena_is_full(page->request->arena)) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached",
                           "the page is too large; ask for a smaller page_size");
    }
    *out_answer = (struct resource_answer){ .effect = RESOURCE_SHOWN, .json = buf_str(&page->buf) };
    return STATUS_OK;
}

struct str cursor_format(struct arena *arena, int64_t ms, struct id id)
{
    char text[ID_TEXT_SIZE];
    id_format(id, text);
    return str_printf(arena, "%lld:%s", (long long)ms, text);
}

bool cursor_parse(struct str cursor, int64_t *out_ms, struct id *out_id)
{
    struct str head = { NULL, 0 };
    struct str tail = { NULL, 0 };
    int64_t ms = 0;
    struct id id = ID_ZERO;
    if (!str_split(cursor, ':', &head, &tail) || !str_to_i64(head, &ms) || !id_parse(tail, &id)) {
        return false;
    }
    *out_ms = ms;
    *out_id = id;
    return true;
}

void cursor_place(const struct page *page, int64_t *out_ms, struct id *out_id)
{
    if (page->cursor.size == 0 || !cursor_parse(page->cursor, out_ms, out_id)) {
        *out_ms = INSTANT_LAST_MS;
        memset(out_id->bytes, 0xff, sizeof(out_id->bytes));
    }
}
