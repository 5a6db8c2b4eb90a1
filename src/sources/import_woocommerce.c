#include "base/instant.h"
#include "import_priv.h"
#include "platform_priv.h"

/*
 * WooCommerce's orders as its export extensions write them.
 *
 * WooCommerce itself exports no orders with customers; the extensions on its
 * marketplace do, with columns that are documented and nearly alike: order_id,
 * order_date or date, status, order_total, billing_*. Lines of an order are
 * either columns line_item_1, line_item_2, ... or one column line_items, packed
 * as "name:Trail runner|product_id:12|quantity:2|total:49.90", lines apart by
 * ";". Other exporters' columns can be mapped.
 *
 * Invariant: as with webhooks, what a body says stands for its version only. An
 * export names no time of change, so its version is the latest time it does
 * name, and a webhook's date_modified is never before that.
 *
 * Dates are local to the shop, "2016-09-06 06:29:00" or month first, as the
 * extension's documentation has it.
 */

const struct import_column import_woocommerce_order_columns[] = {
    { "order_id", FIELD_ORDER_ID },
    { "order_number", FIELD_NUMBER },
    { "order_number_formatted", FIELD_NUMBER },
    { "order_date", FIELD_PLACED_AT },
    { "date", FIELD_PLACED_AT },
    { "paid_date", FIELD_PAID_AT },
    { "status", FIELD_STATUS },
    { "order_status", FIELD_STATUS },
    { "order_total", FIELD_TOTAL },
    { "total", FIELD_TOTAL },
    { "order_subtotal", FIELD_SUBTOTAL },
    { "discount_total", FIELD_DISCOUNT },
    { "shipping_total", FIELD_SHIPPING },
    { "tax_total", FIELD_TAX },
    { "order_currency", FIELD_CURRENCY },
    { "currency", FIELD_CURRENCY },
    { "customer_id", FIELD_CUSTOMER_ID },
    { "billing_email", FIELD_EMAIL },
    { "billing_phone", FIELD_PHONE },
    { "billing_first_name", FIELD_FIRST_NAME },
    { "billing_last_name", FIELD_LAST_NAME },
    { "billing_country", FIELD_COUNTRY },
    { "billing_state", FIELD_REGION },
    { "billing_city", FIELD_CITY },
    { "billing_postcode", FIELD_POSTAL_CODE },
    { "line_items", FIELD_LINE_ITEMS },
    { "line_item_*", FIELD_LINE_ITEM },
    { NULL, FIELD_NONE },
};

static bool read_order(struct import_rows *rows, struct import_order *order)
{
    static const enum import_field instants[] = { FIELD_PLACED_AT, FIELD_PAID_AT,
                                                  FIELD_FULFILLED_AT, FIELD_UPDATED_AT };
    bool is_there = false;
    if (!import_order_read(rows, order)) {
        return false;
    }
    if (str_starts_with(order->status, STR("wc-"))) {
        order->status = str_drop(order->status, 3);
    }
    if (order->status.size == 0) {
        return import_reject(rows, 0, FIELD_STATUS, "an order needs its status");
    }
    if (!import_order_total(rows, order)) {
        return false;
    }
    if (!import_money(import_value(rows, 0, FIELD_REFUNDED), order->currency, &is_there,
                      &order->refunded_minor)) {
        return import_reject(rows, 0, FIELD_REFUNDED, "not an amount");
    }
    if (order->refunded_minor < 0) {
        order->refunded_minor = -order->refunded_minor; /* as WooCommerce states refunds */
    }
    return import_order_instants(rows, instants, ARRAY_COUNT(instants), true, order);
}

/* One "name:...|product_id:...|quantity:..." */
static void put_packed(struct jsonw *json, struct str packed, struct str currency)
{
    static const char *const texts[] = { "name", "sku", "product_id" };
    jsonw_open(json);
    while (packed.size > 0) {
        struct str part = packed;
        struct str rest = { NULL, 0 };
        struct str key = { NULL, 0 };
        struct str value = { NULL, 0 };
        (void)str_split(packed, '|', &part, &rest);
        packed = rest;
        if (!str_split(part, ':', &key, &value)) {
            continue;
        }
        int64_t quantity = 0;
        bool is_there = false;
        int64_t minor = 0;
        value = str_trim(value);
        for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
            if (str_equal_z(str_trim(key), texts[i])) {
                draft_put_text(json, texts[i], value);
            }
        }
        if (str_equal(key, STR("quantity")) && str_to_i64(value, &quantity)) {
            jsonw_put_i64(json, "quantity", quantity);
        } else if (str_equal(key, STR("total")) &&
                   import_money(value, currency, &is_there, &minor) && is_there) {
            jsonw_put_money(json, "total", minor, currency);
        }
    }
    jsonw_close(json);
}

static void put_products(const struct import_rows *rows, struct jsonw *json, struct str currency)
{
    bool is_cut = false;
    struct str list = import_value(rows, 0, FIELD_LINE_ITEMS);
    jsonw_key(json, "products");
    jsonw_open_array(json);
    while (list.size > 0 && !is_cut) {
        struct str item = list;
        struct str rest = { NULL, 0 };
        (void)str_split(list, ';', &item, &rest);
        put_packed(json, item, currency);
        list = rest;
        is_cut = json->buf->size > DRAFT_PRODUCTS_BYTES;
    }
    for (size_t i = 0; i < rows->reader->header_count && !is_cut; i++) {
        struct str item = str_trim(rows->rows[0].fields[i]);
        if (rows->reader->fields[i] == FIELD_LINE_ITEM && item.size > 0) {
            put_packed(json, item, currency);
            is_cut = json->buf->size > DRAFT_PRODUCTS_BYTES;
        }
    }
    jsonw_close_array(json);
    if (is_cut) {
        jsonw_put_bool(json, "products_cut", true);
    }
}

static bool order_properties(struct import_rows *rows, const struct import_order *order,
                             struct str *out_json)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, rows->arena, 1024);
    jsonw_put_str(&json, "order_id", order->order_ref);
    draft_put_text(&json, "number", import_value(rows, 0, FIELD_NUMBER));
    draft_put_text(&json, "status", order->status);
    if (!import_order_put_amounts(rows, &json, order)) {
        return false;
    }
    put_products(rows, &json, order->currency);
    jsonw_close(&json);
    *out_json = buf_str(&buf);
    return true;
}

static void describe(struct draft *draft, struct event *event, const struct import_rows *rows)
{
    struct str country = import_value(rows, 0, FIELD_COUNTRY);
    draft_trait(draft, event, "first_name", import_value(rows, 0, FIELD_FIRST_NAME));
    draft_trait(draft, event, "last_name", import_value(rows, 0, FIELD_LAST_NAME));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(rows->arena, country, import_value(rows, 0, FIELD_REGION)));
    draft_trait(draft, event, "city", import_value(rows, 0, FIELD_CITY));
    draft_trait(draft, event, "postal_code", import_text(rows, 0, FIELD_POSTAL_CODE));
}

bool import_woocommerce_order(struct import_rows *rows, struct import_record *out_record)
{
    struct import_order order = { .placed_at_ms = INSTANT_NONE };
    struct str body_json = { NULL, 0 };
    if (!read_order(rows, &order) || !order_properties(rows, &order, &body_json)) {
        return false;
    }
    const struct import_options *options = &rows->reader->options;
    const struct order_status_rule *statuses = platform_woocommerce.order_statuses;
    struct draft draft;
    draft_init(&draft, rows->arena, options->source, TRUST_SIGNED, options->received_at_ms,
               import_rows_key(rows, "order"), 1);
    struct event *event = import_order_event(
        &draft, rows, &order, draft_status_rank(statuses, order.status), statuses, body_json);
    if (event == NULL) {
        return true; /* the arena is full, which the caller sees */
    }
    draft_identify(&draft, event, IDENTITY_CUSTOMER_ID, import_value(rows, 0, FIELD_CUSTOMER_ID));
    draft_identify(&draft, event, IDENTITY_EMAIL, import_value(rows, 0, FIELD_EMAIL));
    draft_identify(&draft, event, IDENTITY_PHONE, import_text(rows, 0, FIELD_PHONE));
    draft_identify(&draft, event, IDENTITY_ORDER, order.order_ref);
    describe(&draft, event, rows);
    import_take_draft(&draft, out_record);
    return true;
}
