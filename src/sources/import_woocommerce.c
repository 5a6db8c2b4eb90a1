#include <string.h>

#include "base/instant.h"
#include "base/money.h"
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

struct export_order {
    struct str order_ref;
    struct str status;
    struct str currency;
    int64_t total_minor;
    int64_t refunded_minor;
    int64_t placed_at_ms;
    int64_t version_ms;
};

static bool read_instants(struct import_rows *rows, struct export_order *order)
{
    static const enum import_field fields[] = { FIELD_PLACED_AT, FIELD_PAID_AT, FIELD_FULFILLED_AT,
                                                FIELD_UPDATED_AT };
    order->version_ms = INSTANT_NONE;
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        int64_t at_ms = INSTANT_NONE;
        if (!import_instant(rows->reader, import_value(rows, 0, fields[i]), true, &at_ms)) {
            return import_reject(rows, 0, fields[i], "not an instant");
        }
        order->version_ms = at_ms > order->version_ms ? at_ms : order->version_ms;
        order->placed_at_ms = fields[i] == FIELD_PLACED_AT ? at_ms : order->placed_at_ms;
    }
    if (order->placed_at_ms == INSTANT_NONE) {
        return import_reject(rows, 0, FIELD_PLACED_AT, "an order needs the time it was placed");
    }
    return true;
}

static bool read_order(struct import_rows *rows, struct export_order *order)
{
    bool is_there = false;
    order->order_ref = import_text(rows, 0, FIELD_ORDER_ID);
    order->status = import_value(rows, 0, FIELD_STATUS);
    order->currency = import_value(rows, 0, FIELD_CURRENCY);
    if (str_starts_with(order->status, STR("wc-"))) {
        order->status = str_drop(order->status, 3);
    }
    if (order->order_ref.size == 0 || order->order_ref.size > LIMIT_TEXT_BYTES) {
        return import_reject(rows, 0, FIELD_ORDER_ID, "an order needs its id");
    }
    if (order->status.size == 0) {
        return import_reject(rows, 0, FIELD_STATUS, "an order needs its status");
    }
    if (order->currency.size > 0 && !money_currency_is_valid(order->currency)) {
        return import_reject(rows, 0, FIELD_CURRENCY, "not an ISO 4217 code, as in EUR");
    }
    order->currency =
        order->currency.size > 0 ? order->currency : rows->reader->options.source->currency;
    if (!import_money(import_value(rows, 0, FIELD_TOTAL), order->currency, &is_there,
                      &order->total_minor) ||
        !is_there) {
        return import_reject(rows, 0, FIELD_TOTAL, "not an amount");
    }
    if (!import_money(import_value(rows, 0, FIELD_REFUNDED), order->currency, &is_there,
                      &order->refunded_minor)) {
        return import_reject(rows, 0, FIELD_REFUNDED, "not an amount");
    }
    if (order->refunded_minor < 0) {
        order->refunded_minor = -order->refunded_minor; /* as WooCommerce states refunds */
    }
    return read_instants(rows, order);
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

static bool order_properties(struct import_rows *rows, const struct export_order *order,
                             struct str *out_json)
{
    static const struct {
        enum import_field field;
        const char *key;
    } amounts[] = {
        { FIELD_SUBTOTAL, "subtotal" },
        { FIELD_DISCOUNT, "discount" },
        { FIELD_SHIPPING, "shipping" },
        { FIELD_TAX, "tax" },
    };
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, rows->arena, 1024);
    jsonw_put_str(&json, "order_id", order->order_ref);
    draft_put_text(&json, "number", import_value(rows, 0, FIELD_NUMBER));
    draft_put_text(&json, "status", order->status);
    jsonw_put_money(&json, "total", order->total_minor, order->currency);
    for (size_t i = 0; i < ARRAY_COUNT(amounts); i++) {
        bool is_there = false;
        int64_t minor = 0;
        if (!import_money(import_value(rows, 0, amounts[i].field), order->currency, &is_there,
                          &minor)) {
            return import_reject(rows, 0, amounts[i].field, "not an amount");
        }
        if (is_there) {
            jsonw_put_money(&json, amounts[i].key, minor, order->currency);
        }
    }
    draft_put_text(&json, "currency", order->currency);
    draft_put_text(&json, "coupon", import_value(rows, 0, FIELD_COUPON));
    draft_put_text(&json, "channel", import_value(rows, 0, FIELD_CHANNEL));
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
    struct export_order order = { .placed_at_ms = INSTANT_NONE };
    struct str body_json = { NULL, 0 };
    if (!read_order(rows, &order) || !order_properties(rows, &order, &body_json)) {
        return false;
    }
    const struct import_options *options = &rows->reader->options;
    const struct order_status_rule *statuses = platform_woocommerce.order_statuses;
    struct draft draft;
    draft_init(&draft, rows->arena, options->source, TRUST_SIGNED, options->received_at_ms,
               import_rows_key(rows, "order"), 1);
    struct event *event =
        draft_event(&draft, EVENT_ORDER_UPDATED, STR(""), STR("order"), order.version_ms);
    struct order_document *document = ARENA_NEW(rows->arena, struct order_document);
    if (event == NULL || document == NULL) {
        return true; /* the arena is full, which the caller sees */
    }
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = order.order_ref,
        .at_ms = event->occurred_at_ms,
        .version_ms = event->claimed_at_ms,
        .rank = draft_status_rank(statuses, order.status),
        .counts = draft_status_counts(options->source, statuses, order.status),
        .placed_at_ms = event_clamp_instant(order.placed_at_ms, options->received_at_ms),
        .number = import_value(rows, 0, FIELD_NUMBER),
        .status = order.status,
        .currency = order.currency,
        .total_minor = order.total_minor,
        .refunded_minor = order.refunded_minor,
        .body_json = body_json,
    };
    event->order = document;
    event->currency = order.currency;
    event->amount_minor = order.total_minor;
    event->has_amount = true;
    event->properties_json = body_json;
    draft_identify(&draft, event, IDENTITY_CUSTOMER_ID, import_value(rows, 0, FIELD_CUSTOMER_ID));
    draft_identify(&draft, event, IDENTITY_EMAIL, import_value(rows, 0, FIELD_EMAIL));
    draft_identify(&draft, event, IDENTITY_PHONE, import_text(rows, 0, FIELD_PHONE));
    draft_identify(&draft, event, IDENTITY_ORDER, order.order_ref);
    describe(&draft, event, rows);
    import_take_draft(&draft, out_record);
    return true;
}
