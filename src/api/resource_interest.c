#include "base/instant.h"
#include "profile_priv.h"
#include "store/interest_read.h"
#include "store/source_store.h"

/*
 * What a customer is interested in, newest first: the `interest` of contract 4 for
 * each product and variant. It holds nothing by which a person is known, so there is
 * nothing to mask.
 */

static void write_money(struct jsonw *json, const struct interest *interest)
{
    if (interest->price_seen_at_ms != INSTANT_NONE) {
        jsonw_put_money(json, "price_seen", interest->price_minor, interest->currency);
    } else {
        jsonw_put_null(json, "price_seen");
    }
    jsonw_put_str_or_null(json, "currency", interest->currency);
}

static void write_interest(struct jsonw *json, const struct interest_view *row)
{
    const struct interest *interest = &row->interest;
    jsonw_open(json);
    jsonw_put_str_or_null(json, "source", row->source);
    jsonw_put_str(json, "product_id", row->product_id);
    jsonw_put_str_or_null(json, "variant_id", row->variant_id);
    jsonw_put_str_or_null(json, "name", row->name);
    jsonw_put_str_or_null(json, "variant_name", row->variant_name);
    jsonw_put_instant(json, "viewed_at", interest->viewed_at_ms);
    jsonw_put_i64(json, "view_count", interest->view_count);
    jsonw_put_instant(json, "out_of_stock_seen_at", interest->out_of_stock_seen_at_ms);
    write_money(json, interest);
    jsonw_put_instant(json, "carted_at", interest->carted_at_ms);
    jsonw_put_instant(json, "wished_at", interest_wished_at_ms(interest));
    jsonw_put_instant(json, "bought_at", interest->bought_at_ms);
    jsonw_put_instant(json, "substitute_bought_at", interest->substitute_bought_at_ms);
    jsonw_put_bool(json, "waiting", interest_is_waiting(interest));
    jsonw_close(json);
}

/* "<ms>|<source>|<bytes of the product's id>|<product><variant>": ids of shops may
 * hold anything. */
static struct str write_cursor(struct arena *arena, const struct interest_view *row)
{
    char source[ID_TEXT_SIZE];
    id_format(row->source_id, source);
    return str_printf(arena, "%lld|%s|%zu|%.*s%.*s", (long long)row->newest_at_ms, source,
                      row->product_id.size, STR_ARG(row->product_id), STR_ARG(row->variant_id));
}

static void read_cursor(const struct page *page, struct interest_query *query)
{
    struct str at = { NULL, 0 };
    struct str source = { NULL, 0 };
    struct str size = { NULL, 0 };
    struct str rest = { NULL, 0 };
    int64_t before_ms = 0;
    uint64_t bytes = 0;
    if (str_split(page->cursor, '|', &at, &rest) && str_split(rest, '|', &source, &rest) &&
        str_split(rest, '|', &size, &rest) && str_to_i64(at, &before_ms) &&
        str_to_u64(size, &bytes) && id_parse(source, &query->before_source_id)) {
        query->before_ms = before_ms;
        query->before_product_id = str_take(rest, (size_t)bytes);
        query->before_variant_id = str_drop(rest, (size_t)bytes);
    }
}

static enum status find_source(const struct resource_request *request, struct id *out_id,
                               struct problem *problem)
{
    struct source_row source = { .id = ID_ZERO };
    if (request->source.size == 0) {
        return STATUS_OK;
    }
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     request->source, request->now_ms, &source, problem);
    *out_id = source.id;
    return resource_missing(status, "source", request->source, problem);
}

static enum status open_list(const struct resource_request *request, struct interest_query *query,
                             struct page *page, struct problem *problem)
{
    struct id requested = ID_ZERO;
    struct id canonical = ID_ZERO;
    struct id *origins = NULL;
    char id[ID_TEXT_SIZE];
    enum status status = profile_resolve(request, request->name, &requested, &canonical, &origins,
                                         &query->origin_count, problem);
    query->origins = origins;
    if (status == STATUS_OK) {
        status = find_source(request, &query->source_id, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    id_format(canonical, id);
    struct str filters = str_printf(request->arena, "%s|%.*s|%.*s", id, STR_ARG(request->source),
                                    STR_ARG(request->product_id));
    return page_open(page, request, "interests", filters, problem);
}

enum status resource_profile_interests(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct interest_view *rows = NULL;
    size_t count = 0;
    struct interest_query query = {
        .workspace_id = request->principal->workspace_id,
        .product_id = request->product_id,
        .before_ms = INSTANT_NEVER,
        .before_product_id = STR(""),
        .before_variant_id = STR(""),
    };
    enum status status = open_list(request, &query, &page, problem);
    if (status != STATUS_OK) {
        return status;
    }
    query.limit = page.size + 1;
    read_cursor(&page, &query);
    status = interest_list_read(request->pg, request->arena, &query, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page.size ? count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_interest(&page.json, &rows[i]);
    }
    struct str next = count > page.size ? write_cursor(request->arena, &rows[shown - 1]) : STR("");
    return page_close(&page, next, -1, true, out_answer, problem);
}
