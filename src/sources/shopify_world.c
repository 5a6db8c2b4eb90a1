#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "shopify_priv.h"
#include "sources/json_border.h"

/*
 * What Shopify says of the world (products, stock), and of payments beside an
 * order's own body.
 *
 * A payment that went through says nothing that the order does not: its body
 * comes by orders/paid or orders/updated. One that failed, and a dispute, are
 * facts about the customer that no body tells.
 */

static void write_variant(struct jsonw *json, struct arena *arena, const json_t *variant,
                          struct str currency)
{
    int64_t stock = 0;
    jsonw_open(json);
    draft_put_member(json, arena, "variant_id", variant, "id");
    draft_put_text(json, "sku", border_text(variant, "sku"));
    draft_put_text(json, "name", border_text(variant, "title"));
    draft_put_money(json, "price", variant, "price", currency);
    draft_put_money(json, "compare_at_price", variant, "compare_at_price", currency);
    draft_put_member(json, arena, "inventory_item_id", variant, "inventory_item_id");
    if (border_integer(variant, "inventory_quantity", &stock)) {
        jsonw_put_i64(json, "stock", stock);
    }
    jsonw_close(json);
}

static struct str product_properties(const struct shopify_delivery *delivery, struct str ref)
{
    struct arena *arena = delivery->arena;
    const json_t *root = delivery->root;
    struct str currency = delivery->source->currency;
    const json_t *variants = border_array(root, "variants");
    struct str handle = border_text(root, "handle");
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "product_id", ref);
    draft_put_text(&json, "name", border_text(root, "title"));
    draft_put_text(&json, "category", border_text(root, "product_type"));
    draft_put_text(&json, "brand", border_text(root, "vendor"));
    draft_put_text(&json, "status", border_text(root, "status"));
    if (handle.size > 0 && delivery->source->shop_domain.size > 0) {
        draft_put_text(&json, "url",
                       str_printf(arena, "https://%.*s/products/%.*s",
                                  STR_ARG(delivery->source->shop_domain),
                                  STR_ARG(draft_cut(handle))));
    }
    draft_put_text(&json, "image_url", border_text(border_object(root, "image"), "src"));
    draft_put_money(&json, "price", json_array_get(variants, 0), "price", currency);
    draft_put_text(&json, "currency", currency);
    jsonw_key(&json, "variants");
    jsonw_open_array(&json);
    for (size_t i = 0; i < json_array_size(variants) && buf.size < DRAFT_PRODUCTS_BYTES; i++) {
        write_variant(&json, arena, json_array_get(variants, i), currency);
    }
    jsonw_close_array(&json);
    jsonw_close(&json);
    return buf_str(&buf);
}

enum status shopify_take_product(const struct shopify_delivery *delivery, struct draft *draft,
                                 struct problem *problem)
{
    struct arena *arena = delivery->arena;
    struct str ref = border_id(arena, delivery->root, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a product without id");
    }
    shopify_draft_init(delivery, draft, 1);
    bool is_gone = str_equal(delivery->topic, STR("products/delete"));
    int64_t at_ms = shopify_instant(delivery, delivery->root, "updated_at", "created_at");
    struct event *event =
        draft_event(draft, is_gone ? EVENT_PRODUCT_DELETED : EVENT_PRODUCT_UPDATED, STR(""),
                    STR("product"), at_ms);
    if (event != NULL) {
        event->product_id = ref;
        event->category = str_dup(arena, draft_cut(border_text(delivery->root, "product_type")));
        event->currency = delivery->source->currency;
        event->properties_json = product_properties(delivery, ref);
    }
    return STATUS_OK;
}

enum status shopify_take_inventory(const struct shopify_delivery *delivery, struct draft *draft,
                                   struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *root = delivery->root;
    struct str ref = border_id(arena, root, "inventory_item_id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a stock level without inventory_item_id");
    }
    shopify_draft_init(delivery, draft, 1);
    int64_t at_ms = shopify_instant(delivery, root, "updated_at", "created_at");
    struct event *event =
        draft_event(draft, EVENT_INVENTORY_UPDATED, STR(""), STR("inventory"), at_ms);
    if (event == NULL) {
        return STATUS_OK;
    }
    struct buf buf;
    struct jsonw json;
    int64_t stock = 0;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "inventory_item_id", ref);
    draft_put_member(&json, arena, "location", root, "location_id");
    if (border_integer(root, "available", &stock)) {
        jsonw_put_i64(&json, "stock", stock);
    }
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

/* --- payments -------------------------------------------------------------- */

static struct event *payment_event(const struct shopify_delivery *delivery, struct draft *draft,
                                   const char *name, struct str order_ref, int64_t at_ms)
{
    struct event *event = draft_event(draft, EVENT_CUSTOM, STR(""), STR("payment"), at_ms);
    const json_t *root = delivery->root;
    struct str currency = shopify_currency(delivery, root, "currency");
    if (event == NULL) {
        return NULL;
    }
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 256);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_money(&json, "total", root, "amount", currency);
    draft_put_text(&json, "currency", currency);
    draft_put_text(&json, "kind", border_text(root, "kind"));
    draft_put_text(&json, "type", border_text(root, "type"));
    draft_put_text(&json, "status", border_text(root, "status"));
    draft_put_text(&json, "reason", border_text(root, "reason"));
    draft_put_text(&json, "error_code", border_text(root, "error_code"));
    jsonw_close(&json);
    event->name = str_from_z(name);
    event->properties_json = buf_str(&buf);
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    return event;
}

static bool has_failed(const json_t *transaction)
{
    struct str status = border_text(transaction, "status");
    struct str kind = border_text(transaction, "kind");
    return (str_equal(status, STR("failure")) || str_equal(status, STR("error"))) &&
           !str_equal(kind, STR("refund")) && !str_equal(kind, STR("void"));
}

enum status shopify_take_transaction(const struct shopify_delivery *delivery, struct draft *draft,
                                     struct problem *problem)
{
    struct str order_ref = border_id(delivery->arena, delivery->root, "order_id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a transaction without order_id");
    }
    shopify_draft_init(delivery, draft, 1);
    if (has_failed(delivery->root)) {
        payment_event(delivery, draft, "custom.payment_failed", order_ref,
                      shopify_instant(delivery, delivery->root, "processed_at", "created_at"));
    }
    return STATUS_OK;
}

enum status shopify_take_dispute(const struct shopify_delivery *delivery, struct draft *draft,
                                 struct problem *problem)
{
    struct str order_ref = border_id(delivery->arena, delivery->root, "order_id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a dispute without order_id");
    }
    shopify_draft_init(delivery, draft, 1);
    payment_event(delivery, draft, "custom.order_disputed", order_ref,
                  shopify_instant(delivery, delivery->root, "initiated_at", "created_at"));
    return STATUS_OK;
}
