#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "shopify_priv.h"
#include "sources/json_border.h"

/*
 * Shopify's orders, and the documents that hang on them.
 *
 * Invariant: the same fact is the same event, whichever topic brings it. One
 * checkout gives orders/create, orders/paid and orders/updated within a
 * second, each with the whole order: each is one body of the same fold. A
 * refund comes by refunds/create (with an order id and no customer, and often
 * before the order) and again inside every later body; a cancellation and a
 * fulfilment likewise. Those take a dedup key of their own, so the first
 * delivery applies them and the others find a receipt.
 *
 * Money is the shop's (total_price and currency, not presentment_money): sums
 * over one shop add up. The total is what was ordered; `current_total_price`
 * was rejected, because it has the refunds taken off already and they would be
 * subtracted twice.
 */

/* Words of financial_status. A part payment counts, since the customer has
 * bought; a pending one (bank transfer, cash on delivery) does not until money
 * or a promise of it is there; a refund later does not undo the purchase, it
 * shows in the net. */
const struct order_status_rule shopify_order_statuses[] = {
    { "pending", ORDER_OPEN, false },   { "expired", ORDER_OPEN, false },
    { "authorized", ORDER_OPEN, true }, { "partially_paid", ORDER_OPEN, true },
    { "paid", ORDER_PAID, true },       { "partially_refunded", ORDER_PAID, true },
    { "refunded", ORDER_PAID, true },   { "voided", ORDER_CANCELLED, false },
    { NULL, ORDER_OPEN, false },
};

/* --- refunds -------------------------------------------------------------- */

static const json_t *shop_money(const json_t *object, const char *set)
{
    return border_object(border_object(object, set), "shop_money");
}

/* Both topics must come to the same currency, so only what stands in the
 * refund itself may decide. */
static struct str refund_currency(const struct shopify_delivery *delivery, const json_t *refund)
{
    const json_t *line = json_array_get(border_array(refund, "refund_line_items"), 0);
    struct str code = border_text(shop_money(line, "subtotal_set"), "currency_code");
    if (code.size == 0) {
        code = border_text(shop_money(refund, "total_duties_set"), "currency_code");
    }
    if (code.size == 0) {
        const json_t *adjustment = json_array_get(border_array(refund, "order_adjustments"), 0);
        code = border_text(shop_money(adjustment, "amount_set"), "currency_code");
    }
    if (code.size == 0) {
        code = border_text(json_array_get(border_array(refund, "transactions"), 0), "currency");
    }
    return money_currency_is_valid(code) ? str_dup(delivery->arena, code)
                                         : delivery->source->currency;
}

/* A member in shop money where the set is there, else the plain one. */
static int64_t money_of(const json_t *object, const char *set, const char *key, struct str currency)
{
    int64_t minor = 0;
    const json_t *in_shop = shop_money(object, set);
    if (in_shop == NULL || !border_money(in_shop, "amount", currency, &minor)) {
        border_money(object, key, currency, &minor);
    }
    return minor;
}

/* What was paid back: the refund transactions that succeeded; where none is
 * listed (a manual gateway, or one in the buyer's own currency), the value of
 * what was given back. Adjustments are negative when they add to a refund. */
static int64_t refund_amount(const json_t *refund, struct str currency)
{
    int64_t paid_minor = 0;
    bool any_paid = false;
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(border_array(refund, "transactions"), i, item)
    {
        struct str its_currency = border_text(item, "currency");
        if (str_equal(border_text(item, "kind"), STR("refund")) &&
            str_equal(border_text(item, "status"), STR("success")) &&
            (its_currency.size == 0 || str_equal(its_currency, currency))) {
            any_paid = true;
            paid_minor =
                border_money_add(paid_minor, money_of(item, "amount_set", "amount", currency));
        }
    }
    if (any_paid) {
        return paid_minor;
    }
    int64_t given_minor = 0;
    json_array_foreach(border_array(refund, "refund_line_items"), i, item)
    {
        given_minor =
            border_money_add(given_minor, money_of(item, "subtotal_set", "subtotal", currency));
        given_minor =
            border_money_add(given_minor, money_of(item, "total_tax_set", "total_tax", currency));
    }
    json_array_foreach(border_array(refund, "order_adjustments"), i, item)
    {
        given_minor =
            border_money_add(given_minor, -money_of(item, "amount_set", "amount", currency));
        given_minor = border_money_add(given_minor,
                                       -money_of(item, "tax_amount_set", "tax_amount", currency));
    }
    return given_minor > 0 ? given_minor : 0;
}

static struct event *refund_event(const struct shopify_delivery *delivery, struct draft *draft,
                                  const json_t *refund, struct str order_ref)
{
    struct arena *arena = delivery->arena;
    struct str refund_ref = border_id(arena, refund, "id");
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (refund_ref.size == 0 || document == NULL) {
        return NULL;
    }
    struct str currency = refund_currency(delivery, refund);
    int64_t at_ms = shopify_instant(delivery, refund, "processed_at", "created_at");
    struct str key = str_printf(arena, "refund/%.*s", STR_ARG(refund_ref));
    struct event *event = draft_event(draft, EVENT_ORDER_REFUNDED, key, key, at_ms);
    if (event == NULL) {
        return NULL;
    }
    *document = (struct order_document){
        .kind = ORDER_REFUND,
        .order_ref = order_ref,
        .document_ref = refund_ref,
        .at_ms = event->occurred_at_ms,
        .amount_minor = refund_amount(refund, currency),
    };
    event->order = document;
    event->currency = currency;
    event->amount_minor = document->amount_minor;
    event->has_amount = true;

    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "order_id", order_ref);
    jsonw_put_str(&json, "refund_id", refund_ref);
    jsonw_put_money(&json, "total", document->amount_minor, currency);
    jsonw_put_str(&json, "currency", currency);
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return event;
}

enum status shopify_take_refund(const struct shopify_delivery *delivery, struct draft *draft,
                                struct problem *problem)
{
    struct str order_ref = border_id(delivery->arena, delivery->root, "order_id");
    if (order_ref.size == 0 || border_id(delivery->arena, delivery->root, "id").size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a refund without id or order_id");
    }
    shopify_draft_init(delivery, draft, 1);
    struct event *event = refund_event(delivery, draft, delivery->root, order_ref);
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    return STATUS_OK;
}

/* --- fulfilments ---------------------------------------------------------- */

/* A fulfilment is created as "pending" or "open" and becomes "success". Old
 * payloads have null, which was a success. */
static bool fulfilment_is_done(const json_t *fulfilment)
{
    struct str status = border_text(fulfilment, "status");
    return status.size == 0 || str_equal(status, STR("success"));
}

static struct str fulfilment_properties(struct arena *arena, const json_t *fulfilment,
                                        struct str order_ref, struct str ref)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "order_id", order_ref);
    jsonw_put_str(&json, "fulfilment_id", ref);
    draft_put_text(&json, "status", border_text(fulfilment, "status"));
    draft_put_text(&json, "tracking_company", border_text(fulfilment, "tracking_company"));
    draft_put_text(&json, "tracking_number", border_text(fulfilment, "tracking_number"));
    draft_put_text(&json, "tracking_url", border_text(fulfilment, "tracking_url"));
    jsonw_close(&json);
    return buf_str(&buf);
}

static struct event *fulfilment_event(const struct shopify_delivery *delivery, struct draft *draft,
                                      const json_t *fulfilment, struct str order_ref)
{
    struct arena *arena = delivery->arena;
    struct str ref = border_id(arena, fulfilment, "id");
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (ref.size == 0 || document == NULL) {
        return NULL;
    }
    int64_t at_ms = shopify_instant(delivery, fulfilment, "created_at", "updated_at");
    struct str key = str_printf(arena, "fulfilment/%.*s", STR_ARG(ref));
    struct event *event = draft_event(draft, EVENT_ORDER_FULFILLED, key, key, at_ms);
    if (event == NULL) {
        return NULL;
    }
    *document = (struct order_document){
        .kind = ORDER_FULFILMENT,
        .order_ref = order_ref,
        .document_ref = ref,
        .at_ms = event->occurred_at_ms,
    };
    event->order = document;
    event->properties_json = fulfilment_properties(arena, fulfilment, order_ref, ref);
    return event;
}

enum status shopify_take_fulfilment(const struct shopify_delivery *delivery, struct draft *draft,
                                    struct problem *problem)
{
    struct arena *arena = delivery->arena;
    struct str order_ref = border_id(arena, delivery->root, "order_id");
    struct str ref = border_id(arena, delivery->root, "id");
    if (order_ref.size == 0 || ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a fulfilment without id or order_id");
    }
    shopify_draft_init(delivery, draft, 1);
    struct event *event = NULL;
    if (fulfilment_is_done(delivery->root)) {
        event = fulfilment_event(delivery, draft, delivery->root, order_ref);
    } else {
        int64_t at_ms = shopify_instant(delivery, delivery->root, "updated_at", "created_at");
        event = draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("fulfilment"), at_ms);
        if (event != NULL) {
            event->properties_json = fulfilment_properties(arena, delivery->root, order_ref, ref);
        }
    }
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    return STATUS_OK;
}

/* --- bodies --------------------------------------------------------------- */

/* Sums what a body says about money given back, so that its own figure and the
 * refunds one by one agree. */
static int64_t body_refunded(const struct shopify_delivery *delivery, const json_t *order)
{
    int64_t sum = 0;
    size_t i = 0;
    const json_t *refund = NULL;
    json_array_foreach(border_array(order, "refunds"), i, refund)
    {
        sum = border_money_add(sum, refund_amount(refund, refund_currency(delivery, refund)));
    }
    return sum;
}

static void write_products(struct jsonw *json, struct arena *arena, const json_t *order,
                           struct str currency)
{
    bool cut = false;
    size_t i = 0;
    const json_t *line = NULL;
    jsonw_key(json, "products");
    jsonw_open_array(json);
    json_array_foreach(border_array(order, "line_items"), i, line)
    {
        cut = json->buf->size > DRAFT_PRODUCTS_BYTES;
        if (cut) {
            break;
        }
        jsonw_open(json);
        shopify_write_line(json, arena, line, currency);
        jsonw_close(json);
    }
    jsonw_close_array(json);
    if (cut) {
        jsonw_put_bool(json, "products_cut", true);
    }
}

static int64_t shipping_total(const json_t *order, struct str currency, bool *out_known)
{
    int64_t sum = 0;
    const json_t *money = shop_money(order, "total_shipping_price_set");
    *out_known = money != NULL && border_money(money, "amount", currency, &sum);
    size_t i = 0;
    const json_t *line = NULL;
    if (*out_known) {
        return sum;
    }
    json_array_foreach(border_array(order, "shipping_lines"), i, line)
    {
        int64_t price = 0;
        *out_known = border_money(line, "price", currency, &price) || *out_known;
        sum = border_money_add(sum, price);
    }
    return sum;
}

static struct str order_properties(struct arena *arena, const json_t *order, struct str order_ref,
                                   struct str status, struct str currency)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 1024);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_text(&json, "number", border_text(order, "name"));
    draft_put_text(&json, "status", status);
    draft_put_text(&json, "fulfilment_status", border_text(order, "fulfillment_status"));
    draft_put_money(&json, "total", order, "total_price", currency);
    draft_put_money(&json, "subtotal", order, "subtotal_price", currency);
    draft_put_money(&json, "discount", order, "total_discounts", currency);
    bool shipping_known = false;
    int64_t shipping_minor = shipping_total(order, currency, &shipping_known);
    if (shipping_known) {
        jsonw_put_money(&json, "shipping", shipping_minor, currency);
    }
    draft_put_money(&json, "tax", order, "total_tax", currency);
    draft_put_text(&json, "currency", currency);
    draft_put_text(&json, "coupon",
                   border_text(json_array_get(border_array(order, "discount_codes"), 0), "code"));
    draft_put_channel(&json, border_text(order, "source_name"));
    draft_put_member(&json, arena, "location", order, "location_id");
    if (border_is_true(order, "test")) {
        jsonw_put_bool(&json, "test", true);
    }
    write_products(&json, arena, order, currency);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum order_rank body_rank(const json_t *order, struct str status)
{
    if (border_text(order, "cancelled_at").size > 0) {
        return ORDER_CANCELLED;
    }
    enum order_rank rank = draft_status_rank(shopify_order_statuses, status);
    bool fulfilled = str_equal(border_text(order, "fulfillment_status"), STR("fulfilled"));
    return fulfilled && rank < ORDER_FULFILLED ? ORDER_FULFILLED : rank;
}

static void identify_buyer(const struct shopify_delivery *delivery, struct draft *draft,
                           struct event *event, struct str order_ref)
{
    const json_t *order = delivery->root;
    const json_t *customer = border_object(order, "customer");
    shopify_identify_customer(delivery, draft, event, customer);
    /* One address per order: a gift's recipient in a second field must not be
     * joined to the buyer. */
    if (!draft_identify(draft, event, IDENTITY_EMAIL, border_text(order, "email")) &&
        !draft_identify(draft, event, IDENTITY_EMAIL, border_text(order, "contact_email"))) {
        draft_identify(draft, event, IDENTITY_EMAIL, border_text(customer, "email"));
    }
    if (!draft_identify(draft, event, IDENTITY_PHONE, border_text(order, "phone"))) {
        draft_identify(draft, event, IDENTITY_PHONE, border_text(customer, "phone"));
    }
    shopify_identify_cart(draft, event, border_text(order, "cart_token"));
    shopify_identify_checkout(draft, event, border_text(order, "checkout_token"));
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);

    const json_t *address = border_object(customer, "default_address");
    if (address == NULL) {
        address = border_object(order, "billing_address");
    }
    shopify_describe_customer(delivery, draft, event, customer, address);
    draft_trait(draft, event, "locale", border_text(order, "customer_locale"));
}

static struct event *body_event(const struct shopify_delivery *delivery, struct draft *draft,
                                struct str order_ref)
{
    struct arena *arena = delivery->arena;
    const json_t *order = delivery->root;
    int64_t at_ms = shopify_instant(delivery, order, "updated_at", "created_at");
    struct event *event = draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("order"), at_ms);
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (event == NULL || document == NULL) {
        return NULL;
    }
    struct str status = str_dup(arena, border_text(order, "financial_status"));
    struct str currency = shopify_currency(delivery, order, "currency");
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = order_ref,
        .at_ms = event->occurred_at_ms,
        .version_ms = event->claimed_at_ms,
        .rank = body_rank(order, status),
        .counts = draft_status_counts(delivery->source, shopify_order_statuses, status),
        .placed_at_ms =
            event_clamp_instant(shopify_instant(delivery, order, "processed_at", "created_at"),
                                delivery->received_at_ms),
        .number = str_dup(arena, border_text(order, "name")),
        .status = status,
        .currency = currency,
        .refunded_minor = body_refunded(delivery, order),
    };
    border_money(order, "total_price", currency, &document->total_minor);
    document->body_json = order_properties(arena, order, order_ref, status, currency);
    event->order = document;
    event->currency = currency;
    event->amount_minor = document->total_minor;
    event->has_amount = true;
    event->properties_json = document->body_json;
    identify_buyer(delivery, draft, event, order_ref);

    /* Bought: what was in the cart is no longer abandoned. Only the creation
     * says so; an update weeks later must not empty a new cart. */
    if (str_equal(delivery->topic, STR("orders/create")) &&
        (border_text(order, "cart_token").size > 0 ||
         border_text(order, "checkout_token").size > 0)) {
        event->cart_json = STR("null");
    }
    return event;
}

static struct event *cancellation_event(const struct shopify_delivery *delivery,
                                        struct draft *draft, struct str order_ref)
{
    struct arena *arena = delivery->arena;
    const json_t *order = delivery->root;
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    int64_t at_ms = shopify_instant(delivery, order, "cancelled_at", "updated_at");
    struct str key = str_printf(arena, "order/%.*s/cancelled", STR_ARG(order_ref));
    struct event *event = draft_event(draft, EVENT_ORDER_CANCELLED, key, STR("cancelled"), at_ms);
    if (event == NULL || document == NULL) {
        return NULL;
    }
    *document = (struct order_document){
        .kind = ORDER_CANCELLATION,
        .order_ref = order_ref,
        .at_ms = event->occurred_at_ms,
    };
    event->order = document;

    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_text(&json, "number", border_text(order, "name"));
    draft_put_text(&json, "reason", border_text(order, "cancel_reason"));
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return event;
}

enum status shopify_take_order(const struct shopify_delivery *delivery, struct draft *draft,
                               struct problem *problem)
{
    const json_t *order = delivery->root;
    struct str order_ref = border_id(delivery->arena, order, "id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "an order without id");
    }
    int64_t total_minor = 0;
    struct str currency = shopify_currency(delivery, order, "currency");
    if (!border_money(order, "total_price", currency, &total_minor)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order whose total_price is no amount: the body of another topic?");
    }
    const json_t *refunds = border_array(order, "refunds");
    const json_t *fulfilments = border_array(order, "fulfillments");
    shopify_draft_init(delivery, draft,
                       2 + json_array_size(refunds) + json_array_size(fulfilments));
    const struct event *body = body_event(delivery, draft, order_ref);
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(refunds, i, item)
    {
        draft_identify_as(refund_event(delivery, draft, item, order_ref), body);
    }
    json_array_foreach(fulfilments, i, item)
    {
        if (fulfilment_is_done(item)) {
            draft_identify_as(fulfilment_event(delivery, draft, item, order_ref), body);
        }
    }
    if (border_text(order, "cancelled_at").size > 0) {
        draft_identify_as(cancellation_event(delivery, draft, order_ref), body);
    }
    return STATUS_OK;
}

enum status shopify_take_order_deleted(const struct shopify_delivery *delivery, struct draft *draft,
                                       struct problem *problem)
{
    struct arena *arena = delivery->arena;
    struct str order_ref = border_id(arena, delivery->root, "id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "an order without id");
    }
    shopify_draft_init(delivery, draft, 1);
    struct event *event =
        draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("order"), delivery->triggered_at_ms);
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (event == NULL || document == NULL) {
        return STATUS_OK;
    }
    *document = (struct order_document){
        .kind = ORDER_DELETION,
        .order_ref = order_ref,
        .at_ms = event->occurred_at_ms,
    };
    event->order = document;
    event->properties_json = str_printf(arena, "{\"order_id\":%.*s,\"deleted\":true}",
                                        STR_ARG(draft_json_text(arena, order_ref)));
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    return STATUS_OK;
}

/* {"order_edit":{"order_id":...}} says that something changed, not what it now
 * is; the orders/updated beside it brings the body. */
enum status shopify_take_order_edited(const struct shopify_delivery *delivery, struct draft *draft,
                                      struct problem *problem)
{
    const json_t *edit = border_object(delivery->root, "order_edit");
    struct str order_ref = border_id(delivery->arena, edit, "order_id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order edit without order_id");
    }
    shopify_draft_init(delivery, draft, 1);
    int64_t at_ms = shopify_instant(delivery, edit, "committed_at", "created_at");
    struct event *event = draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("edit"), at_ms);
    if (event != NULL) {
        event->properties_json = str_printf(delivery->arena, "{\"order_id\":%.*s,\"edited\":true}",
                                            STR_ARG(draft_json_text(delivery->arena, order_ref)));
        draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    }
    return STATUS_OK;
}
