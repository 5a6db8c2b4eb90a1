#include "base/instant.h"
#include "import_priv.h"
#include "shopify_priv.h"

/*
 * Shopify's own exports of orders and customers.
 *
 * Invariant: an order that came by webhook and stands in an export is one
 * order. The export's "Id" is the webhook's order id, so both are bodies of one
 * fold; the export states no time of change, so its version is the latest time
 * that it does state, and a webhook's updated_at is never before that. A
 * cancellation has the webhook's own key and is told once, whoever is first.
 *
 * What the export leaves out stays out: it has no customer id, no ids of
 * products, and a billing name in one piece, which nobody can take apart.
 * "Accepts Email Marketing: no" is also what those have who were never asked,
 * so it says nothing; "yes" is a consent as of when the file was made.
 *
 * The columns are those that the exports are publicly known to have; Shopify
 * adds some from time to time, and a map may name others.
 */

const struct import_column import_shopify_order_columns[] = {
    { "Name", FIELD_NUMBER },
    { "Id", FIELD_ORDER_ID },
    { "Email", FIELD_EMAIL },
    { "Phone", FIELD_PHONE },
    { "Financial Status", FIELD_STATUS },
    { "Fulfillment Status", FIELD_FULFILMENT_STATUS },
    { "Created at", FIELD_PLACED_AT },
    { "Paid at", FIELD_PAID_AT },
    { "Fulfilled at", FIELD_FULFILLED_AT },
    { "Cancelled at", FIELD_CANCELLED_AT },
    { "Currency", FIELD_CURRENCY },
    { "Total", FIELD_TOTAL },
    { "Subtotal", FIELD_SUBTOTAL },
    { "Discount Amount", FIELD_DISCOUNT },
    { "Shipping", FIELD_SHIPPING },
    { "Taxes", FIELD_TAX },
    { "Discount Code", FIELD_COUPON },
    { "Refunded Amount", FIELD_REFUNDED },
    { "Source", FIELD_CHANNEL },
    { "Location", FIELD_LOCATION },
    { "Billing Country", FIELD_COUNTRY },
    { "Billing Province", FIELD_REGION },
    { "Billing City", FIELD_CITY },
    { "Billing Zip", FIELD_POSTAL_CODE },
    { "Lineitem name", FIELD_LINE_NAME },
    { "Lineitem sku", FIELD_LINE_SKU },
    { "Lineitem quantity", FIELD_LINE_QUANTITY },
    { "Lineitem price", FIELD_LINE_PRICE },
    { "Vendor", FIELD_LINE_BRAND },
    { NULL, FIELD_NONE },
};

const struct import_column import_shopify_customer_columns[] = {
    { "Customer ID", FIELD_CUSTOMER_ID },
    { "First Name", FIELD_FIRST_NAME },
    { "Last Name", FIELD_LAST_NAME },
    { "Email", FIELD_EMAIL },
    { "Phone", FIELD_PHONE },
    { "Accepts Email Marketing", FIELD_ACCEPTS_EMAIL },
    { "Accepts SMS Marketing", FIELD_ACCEPTS_SMS },
    { "Default Address Country Code", FIELD_COUNTRY },
    { "Default Address Province Code", FIELD_REGION },
    { "Default Address City", FIELD_CITY },
    { "Default Address Zip", FIELD_POSTAL_CODE },
    { NULL, FIELD_NONE },
};

/* --- orders --------------------------------------------------------------- */

static bool read_order(struct import_rows *rows, struct import_order *order)
{
    static const enum import_field instants[] = { FIELD_PLACED_AT, FIELD_PAID_AT,
                                                  FIELD_FULFILLED_AT, FIELD_CANCELLED_AT,
                                                  FIELD_UPDATED_AT };
    bool is_there = false;
    if (!import_order_read(rows, order) || !import_order_total(rows, order)) {
        return false;
    }
    if (!import_money(import_value(rows, 0, FIELD_REFUNDED), order->currency, &is_there,
                      &order->refunded_minor) ||
        order->refunded_minor < 0) {
        return import_reject(rows, 0, FIELD_REFUNDED, "not an amount, or negative");
    }
    return import_order_instants(rows, instants, ARRAY_COUNT(instants), false, order);
}

static bool put_products(struct import_rows *rows, struct jsonw *json, struct str currency)
{
    bool is_cut = false;
    jsonw_key(json, "products");
    jsonw_open_array(json);
    for (size_t i = 0; i < rows->count && !is_cut; i++) {
        int64_t quantity = 0;
        struct str count = import_value(rows, i, FIELD_LINE_QUANTITY);
        if (count.size == 0 && import_value(rows, i, FIELD_LINE_NAME).size == 0) {
            continue;
        }
        jsonw_open(json);
        draft_put_text(json, "sku", import_value(rows, i, FIELD_LINE_SKU));
        draft_put_text(json, "name", import_value(rows, i, FIELD_LINE_NAME));
        draft_put_text(json, "brand", import_value(rows, i, FIELD_LINE_BRAND));
        if (str_to_i64(count, &quantity)) {
            jsonw_put_i64(json, "quantity", quantity);
        } else if (count.size > 0) {
            return import_reject(rows, i, FIELD_LINE_QUANTITY, "not a whole number");
        }
        if (!import_put_money(rows, json, i, FIELD_LINE_PRICE, "price", currency)) {
            return false;
        }
        jsonw_close(json);
        is_cut = json->buf->size > DRAFT_PRODUCTS_BYTES;
    }
    jsonw_close_array(json);
    if (is_cut) {
        jsonw_put_bool(json, "products_cut", true);
    }
    return true;
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
    draft_put_text(&json, "fulfilment_status", import_value(rows, 0, FIELD_FULFILMENT_STATUS));
    if (!import_order_put_amounts(rows, &json, order)) {
        return false;
    }
    draft_put_text(&json, "location", import_text(rows, 0, FIELD_LOCATION));
    if (!put_products(rows, &json, order->currency)) {
        return false;
    }
    jsonw_close(&json);
    *out_json = buf_str(&buf);
    return true;
}

static enum order_rank order_rank_of(const struct import_rows *rows,
                                     const struct import_order *order)
{
    if (order->cancelled_at_ms != INSTANT_NONE) {
        return ORDER_CANCELLED;
    }
    enum order_rank rank = draft_status_rank(shopify_order_statuses, order->status);
    bool is_fulfilled = str_equal(import_value(rows, 0, FIELD_FULFILMENT_STATUS), STR("fulfilled"));
    return is_fulfilled && rank < ORDER_FULFILLED ? ORDER_FULFILLED : rank;
}

static void describe(struct draft *draft, struct event *event, const struct import_rows *rows)
{
    struct str country = import_text(rows, 0, FIELD_COUNTRY);
    draft_trait(draft, event, "first_name", import_value(rows, 0, FIELD_FIRST_NAME));
    draft_trait(draft, event, "last_name", import_value(rows, 0, FIELD_LAST_NAME));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(rows->arena, country, import_text(rows, 0, FIELD_REGION)));
    draft_trait(draft, event, "city", import_text(rows, 0, FIELD_CITY));
    draft_trait(draft, event, "postal_code", import_text(rows, 0, FIELD_POSTAL_CODE));
}

static struct event *body_event(struct draft *draft, struct import_rows *rows,
                                const struct import_order *order, struct str body_json)
{
    struct event *event = import_order_event(draft, rows, order, order_rank_of(rows, order),
                                             shopify_order_statuses, body_json);
    if (event == NULL) {
        return NULL;
    }
    draft_identify(draft, event, IDENTITY_EMAIL, import_text(rows, 0, FIELD_EMAIL));
    draft_identify(draft, event, IDENTITY_PHONE, import_text(rows, 0, FIELD_PHONE));
    draft_identify(draft, event, IDENTITY_ORDER, order->order_ref);
    describe(draft, event, rows);
    return event;
}

/* Told under the webhook's key: see cancellation_event in shopify_order.c. */
static void cancellation_event(struct draft *draft, const struct import_rows *rows,
                               const struct import_order *order, const struct event *body)
{
    struct order_document *document = ARENA_NEW(rows->arena, struct order_document);
    struct str key = str_printf(rows->arena, "order/%.*s/cancelled", STR_ARG(order->order_ref));
    struct event *event =
        draft_event(draft, EVENT_ORDER_CANCELLED, key, STR("cancelled"), order->cancelled_at_ms);
    if (event == NULL || document == NULL) {
        return;
    }
    *document = (struct order_document){
        .kind = ORDER_CANCELLATION,
        .order_ref = order->order_ref,
        .at_ms = event->occurred_at_ms,
    };
    event->order = document;
    event->properties_json = str_printf(rows->arena, "{\"order_id\":%.*s}",
                                        STR_ARG(draft_json_text(rows->arena, order->order_ref)));
    draft_identify_as(event, body);
}

bool import_shopify_order(struct import_rows *rows, struct import_record *out_record)
{
    struct import_order order = { .placed_at_ms = INSTANT_NONE, .cancelled_at_ms = INSTANT_NONE };
    struct str body_json = { NULL, 0 };
    if (!read_order(rows, &order) || !order_properties(rows, &order, &body_json)) {
        return false;
    }
    const struct import_options *options = &rows->reader->options;
    struct draft draft;
    draft_init(&draft, rows->arena, options->source, TRUST_SIGNED, options->received_at_ms,
               import_rows_key(rows, "order"), 2);
    const struct event *body = body_event(&draft, rows, &order, body_json);
    if (order.cancelled_at_ms != INSTANT_NONE && body != NULL) {
        cancellation_event(&draft, rows, &order, body);
    }
    import_take_draft(&draft, out_record);
    return true;
}

/* --- customers ------------------------------------------------------------ */

bool import_shopify_customer(struct import_rows *rows, struct import_record *out_record)
{
    const struct import_options *options = &rows->reader->options;
    struct str customer_ref = import_text(rows, 0, FIELD_CUSTOMER_ID);
    if (customer_ref.size == 0) {
        return import_reject(rows, 0, FIELD_CUSTOMER_ID, "a customer needs its id");
    }
    struct draft draft;
    draft_init(&draft, rows->arena, options->source, TRUST_SIGNED, options->received_at_ms,
               import_rows_key(rows, "customer"), 3);
    struct event *event = draft_event(&draft, EVENT_CUSTOMER_UPDATED, STR(""), STR("customer"),
                                      options->exported_at_ms);
    if (!draft_identify(&draft, event, IDENTITY_CUSTOMER_ID, customer_ref)) {
        return import_reject(rows, 0, FIELD_CUSTOMER_ID, "not an id");
    }
    draft_identify(&draft, event, IDENTITY_EMAIL, import_text(rows, 0, FIELD_EMAIL));
    draft_identify(&draft, event, IDENTITY_PHONE, import_text(rows, 0, FIELD_PHONE));
    describe(&draft, event, rows);
    if (str_equal_nocase(import_value(rows, 0, FIELD_ACCEPTS_EMAIL), STR("yes"))) {
        draft_undated_consent(&draft, event, "email");
    }
    if (str_equal_nocase(import_value(rows, 0, FIELD_ACCEPTS_SMS), STR("yes"))) {
        draft_undated_consent(&draft, event, "sms");
    }
    if (event != NULL) {
        event->properties_json = str_printf(rows->arena, "{\"customer_id\":%.*s}",
                                            STR_ARG(draft_json_text(rows->arena, customer_ref)));
    }
    import_take_draft(&draft, out_record);
    return true;
}
