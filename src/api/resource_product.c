#include "base/instant.h"
#include "resource_priv.h"
#include "store/catalogue.h"
#include "store/source_store.h"

/*
 * The catalogue: what can be bought, variant by variant. How it comes in:
 * product_events.c and the shops' own webhooks.
 */

enum {
    PRODUCT_TOTAL_MAX = 10000
};

static void put_texts(struct jsonw *json, const char *key, const struct str *texts, size_t count)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(json, texts[i]);
    }
    jsonw_close_array(json);
}

static void put_money(struct jsonw *json, const char *key, bool is_there, int64_t minor,
                      struct str currency)
{
    if (is_there) {
        jsonw_put_money(json, key, minor, currency);
    } else {
        jsonw_put_null(json, key);
    }
}

static void write_product(struct jsonw *json, const struct product_view *row)
{
    jsonw_open(json);
    jsonw_put_str_or_null(json, "source", row->source);
    jsonw_put_str(json, "product_id", row->product_id);
    jsonw_put_str_or_null(json, "variant_id", row->variant_id);
    jsonw_put_str_or_null(json, "sku", row->sku);
    jsonw_put_str_or_null(json, "name", row->name);
    jsonw_put_str_or_null(json, "variant_name", row->variant_name);
    put_texts(json, "category", row->category, row->category_count);
    jsonw_put_str_or_null(json, "brand", row->brand);
    put_money(json, "price", row->has_price, row->price_minor, row->currency);
    put_money(json, "compare_at_price", row->has_compare_at, row->compare_at_minor, row->currency);
    jsonw_put_str_or_null(json, "currency", row->currency);
    if (row->has_stock) {
        jsonw_put_i64(json, "stock", row->stock_total);
    } else {
        jsonw_put_null(json, "stock");
    }
    jsonw_put_raw(json, "stock_by_location", row->stock_json);
    jsonw_put_instant(json, "stock_at", row->stock_at_ms);
    jsonw_put_str_or_null(json, "url", row->url);
    jsonw_put_str_or_null(json, "image_url", row->image_url);
    put_texts(json, "substitutes", row->substitutes, row->substitute_count);
    jsonw_put_str(json, "inventory_item_id", row->inventory_item_id);
    jsonw_put_instant(json, "version_at", row->version_at_ms);
    jsonw_put_instant(json, "first_seen_at", row->first_seen_at_ms);
    jsonw_close(json);
}

/* "<source>|<bytes of the product's id>|<product><variant>": ids of shops may
 * hold anything. */
static struct str write_cursor(struct arena *arena, const struct product_view *row)
{
    char source[ID_TEXT_SIZE];
    id_format(row->source_id, source);
    return str_printf(arena, "%s|%zu|%.*s%.*s", source, row->product_id.size,
                      STR_ARG(row->product_id), STR_ARG(row->variant_id));
}

static void read_cursor(const struct page *page, struct product_query *query)
{
    struct str source = { NULL, 0 };
    struct str rest = { NULL, 0 };
    struct str size = { NULL, 0 };
    uint64_t bytes = 0;
    if (str_split(page->cursor, '|', &source, &rest) && str_split(rest, '|', &size, &rest) &&
        str_to_u64(size, &bytes) && id_parse(source, &query->after_source_id)) {
        query->after_product_id = str_take(rest, (size_t)bytes);
        query->after_variant_id = str_drop(rest, (size_t)bytes);
    }
}

static enum status read_total(const struct resource_request *request,
                              const struct product_query *query, int64_t *out_total,
                              bool *out_exact, struct problem *problem)
{
    int64_t total = 0;
    if (!request->want_total) {
        return STATUS_OK;
    }
    enum status status =
        product_count(request->pg, request->arena, query, PRODUCT_TOTAL_MAX + 1, &total, problem);
    if (status == STATUS_OK) {
        *out_exact = total <= PRODUCT_TOTAL_MAX;
        *out_total = *out_exact ? total : PRODUCT_TOTAL_MAX;
    }
    return status;
}

enum status resource_product_list(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct source_row source = { .id = ID_ZERO };
    struct product_view *rows = NULL;
    size_t count = 0;
    int64_t total = -1;
    bool exact = true;
    struct product_query query = {
        .workspace_id = request->principal->workspace_id,
        .product_id = request->product_id,
        .sku = request->sku,
    };
    enum status status = STATUS_OK;
    if (request->source.size > 0) {
        status = source_find(request->pg, request->arena, query.workspace_id, request->source,
                             request->now_ms, &source, problem);
        status = resource_missing(status, "source", request->source, problem);
    }
    if (status == STATUS_OK) {
        struct str filters = str_printf(request->arena, "%.*s|%.*s|%.*s", STR_ARG(request->source),
                                        STR_ARG(request->product_id), STR_ARG(request->sku));
        status = page_open(&page, request, "products", filters, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    query.source_id = source.id;
    query.limit = page.size + 1;
    read_cursor(&page, &query);
    status = product_page(request->pg, request->arena, &query, &rows, &count, problem);
    if (status == STATUS_OK) {
        status = read_total(request, &query, &total, &exact, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page.size ? count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_product(&page.json, &rows[i]);
    }
    struct str next = count > page.size ? write_cursor(request->arena, &rows[shown - 1]) : STR("");
    return page_close(&page, next, total, exact, out_answer, problem);
}
