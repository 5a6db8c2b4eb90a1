#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "delivery_priv.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Square.
 *
 * The signature covers the address that the subscription was given and the body,
 * so that address is a setting, byte for byte (settings.notification_url), and
 * never put together from what a request says of its host.
 *
 * Orders are thin (an id, a state, a version), but payments are whole: amount,
 * buyer, order. So a payment is the body of its order, with the payment's own
 * time as version, and refunds are its documents. An order paid with several
 * tenders is then known by the latest of its payments only, which setup says;
 * the alternative, an order for each payment, would count more orders than the
 * customer made and lose the order's own cancellation.
 *
 * A refund is one when it is COMPLETED: pending ones fail, and a document is
 * never taken back.
 */

/* Words of a payment. */
static const struct order_status_rule ORDER_STATUSES[] = {
    { "PENDING", ORDER_OPEN, false },     { "APPROVED", ORDER_OPEN, true },
    { "COMPLETED", ORDER_PAID, true },    { "CANCELED", ORDER_CANCELLED, false },
    { "FAILED", ORDER_CANCELLED, false }, { NULL, ORDER_OPEN, false },
};

static void read_head(struct delivery *delivery)
{
    const json_t *root = delivery->root;
    delivery->topic = border_text(root, "type");
    delivery->id = border_text(root, "event_id");
    delivery->shop_id = border_text(root, "merchant_id");
    delivery->at_ms = border_instant(root, "created_at", NULL);
}

/* data.object.<name>, or NULL. */
static const json_t *object_of(const struct delivery *delivery, const char *name)
{
    return border_object(border_object(border_object(delivery->root, "data"), "object"), name);
}

static int64_t instant_of(const struct delivery *delivery, const json_t *object)
{
    int64_t at_ms = border_instant(object, "updated_at", NULL);
    if (at_ms == INSTANT_NONE) {
        at_ms = border_instant(object, "created_at", NULL);
    }
    return at_ms == INSTANT_NONE ? delivery->at_ms : at_ms;
}

/* {"amount": <minor units>, "currency": "USD"} */
static bool money_of(const struct delivery *delivery, const json_t *object, const char *key,
                     struct str *out_currency, int64_t *out_minor)
{
    const json_t *money = border_object(object, key);
    struct str currency = border_text(money, "currency");
    int64_t minor = 0;
    if (!money_currency_is_valid(currency) || !border_integer(money, "amount", &minor) ||
        minor > BORDER_MONEY_MINOR_MAX || minor < -BORDER_MONEY_MINOR_MAX) {
        return false;
    }
    *out_currency = str_dup(delivery->arena, currency);
    *out_minor = minor;
    return true;
}

/* --- customers ------------------------------------------------------------- */

/* Made by the merchant, or by another program: no act of the customer. */
static bool is_made_for_them(const json_t *customer)
{
    static const char *const SOURCES[] = { "DIRECTORY", "IMPORT", "MERGE", "THIRD_PARTY",
                                           "THIRD_PARTY_IMPORT" };
    struct str source = border_text(customer, "creation_source");
    for (size_t i = 0; i < ARRAY_COUNT(SOURCES); i++) {
        if (str_equal_z(source, SOURCES[i])) {
            return true;
        }
    }
    return false;
}

static void describe(struct draft *draft, struct event *event, const json_t *person)
{
    const json_t *address = border_object(person, "address");
    struct str country = border_text(address, "country");
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(person, "email_address"));
    draft_identify(draft, event, IDENTITY_PHONE, border_text(person, "phone_number"));
    draft_trait(draft, event, "first_name", border_text(person, "given_name"));
    draft_trait(draft, event, "last_name", border_text(person, "family_name"));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(draft->arena, country,
                             border_text(address, "administrative_district_level_1")));
    draft_trait(draft, event, "city", border_text(address, "locality"));
    draft_trait(draft, event, "postal_code", border_text(address, "postal_code"));
    struct str born = border_text(person, "birthday");
    if (born.size == sizeof("1998-09-21") - 1 && !str_starts_with(born, STR("0000"))) {
        draft_trait(draft, event, "birth_date", born);
    }
}

static enum status take_customer(const struct delivery *delivery,
                                 const struct delivery_topic *topic, struct draft *draft,
                                 struct problem *problem)
{
    const json_t *customer = object_of(delivery, "customer");
    struct str ref = border_id(delivery->arena, customer, "id");
    bool is_gone = topic->type == EVENT_CUSTOMER_DELETED;
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a customer without id");
    }
    struct event *event = draft_event(draft, topic->type, STR(""), STR("customer"),
                                      is_gone ? delivery->at_ms : instant_of(delivery, customer));
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
    event->properties_json = delivery_named(delivery->arena, "customer_id", ref);
    if (is_gone) {
        return STATUS_OK;
    }
    event->act = event->act && !is_made_for_them(customer);
    describe(draft, event, customer);
    /* "false" is no permission: nobody was asked. */
    if (border_is_true(border_object(customer, "preferences"), "email_unsubscribed")) {
        draft_fact_json(draft, event, FACT_CONSENT, STR("email"), STR("\"unsubscribed\""));
    }
    return STATUS_OK;
}

/* --- orders ---------------------------------------------------------------- */

/* The one object of data.object, whose name repeats the topic's. */
static const json_t *thin_order(const struct delivery *delivery)
{
    json_t *object = border_object(border_object(delivery->root, "data"), "object");
    const json_t *value = json_object_iter_value(json_object_iter(object));
    return json_is_object(value) ? value : NULL;
}

static enum status take_order(const struct delivery *delivery, const struct delivery_topic *topic,
                              struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *order = thin_order(delivery);
    struct str order_ref = border_id(arena, order, "order_id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order event without order_id");
    }
    int64_t at_ms = instant_of(delivery, order);
    struct event *event = draft_event(draft, topic->type, STR(""), STR("order"), at_ms);
    if (event == NULL) {
        return STATUS_OK;
    }
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 128);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_text(&json, "status", border_text(order, "state"));
    draft_put_text(&json, "version", border_scalar(arena, order, "version"));
    draft_put_text(&json, "location", border_text(order, "location_id"));
    jsonw_close(&json);
    event->is_thin = true;
    event->properties_json = buf_str(&buf);
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    if (str_equal(border_text(order, "state"), STR("CANCELED"))) {
        order_form_cancelled(draft, order_ref, NULL, at_ms);
    }
    return STATUS_OK;
}

/* --- payments -------------------------------------------------------------- */

static struct str payment_properties(const struct delivery *delivery, const json_t *payment,
                                     const struct order_document *body)
{
    struct str currency = { NULL, 0 };
    int64_t tip_minor = 0;
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 256);
    jsonw_put_str(&json, "order_id", body->order_ref);
    draft_put_member(&json, delivery->arena, "payment_id", payment, "id");
    draft_put_text(&json, "number", body->number);
    draft_put_text(&json, "status", body->status);
    jsonw_put_money(&json, "total", body->total_minor, body->currency);
    if (money_of(delivery, payment, "tip_money", &currency, &tip_minor)) {
        jsonw_put_money(&json, "tip", tip_minor, currency);
    }
    jsonw_put_str(&json, "currency", body->currency);
    draft_put_text(&json, "payment_method", border_text(payment, "source_type"));
    draft_put_text(&json, "location", border_text(payment, "location_id"));
    jsonw_close(&json);
    return buf_str(&buf);
}

static bool read_payment(const struct delivery *delivery, const json_t *payment,
                         struct order_document *body)
{
    struct arena *arena = delivery->arena;
    struct str refund_currency = { NULL, 0 };
    struct str status = str_dup(arena, border_text(payment, "status"));
    int64_t created_ms = border_instant(payment, "created_at", NULL);
    *body = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = border_id(arena, payment, "order_id"),
        .rank = draft_status_rank(ORDER_STATUSES, status),
        .counts = draft_status_counts(delivery->source, ORDER_STATUSES, status),
        .placed_at_ms =
            event_clamp_instant(created_ms != INSTANT_NONE ? created_ms : delivery->at_ms,
                                delivery->inbound->received_at_ms),
        .number = str_dup(arena, border_text(payment, "receipt_number")),
        .status = status,
    };
    if (body->order_ref.size == 0) {
        body->order_ref = border_id(arena, payment, "id");
    }
    money_of(delivery, payment, "refunded_money", &refund_currency, &body->refunded_minor);
    return body->order_ref.size > 0 && status.size > 0 &&
           (money_of(delivery, payment, "total_money", &body->currency, &body->total_minor) ||
            money_of(delivery, payment, "amount_money", &body->currency, &body->total_minor));
}

static enum status take_payment(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    const json_t *payment = object_of(delivery, "payment");
    struct order_document *body = ARENA_NEW(delivery->arena, struct order_document);
    if (body == NULL) {
        return STATUS_OK;
    }
    if (!read_payment(delivery, payment, body)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a payment without id, status or amount");
    }
    struct event *event =
        draft_event(draft, topic->type, STR(""), STR("payment"), instant_of(delivery, payment));
    if (event == NULL) {
        return STATUS_OK;
    }
    body->at_ms = event->occurred_at_ms;
    body->version_ms = event->claimed_at_ms;
    body->body_json = payment_properties(delivery, payment, body);
    event->order = body;
    event->currency = body->currency;
    event->amount_minor = body->total_minor;
    event->has_amount = true;
    event->properties_json = body->body_json;
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID,
                   border_id(delivery->arena, payment, "customer_id"));
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(payment, "buyer_email_address"));
    draft_identify(draft, event, IDENTITY_ORDER, body->order_ref);
    return STATUS_OK;
}

static enum status take_refund(const struct delivery *delivery, const struct delivery_topic *topic,
                               struct draft *draft, struct problem *problem)
{
    (void)topic;
    struct arena *arena = delivery->arena;
    const json_t *refund = object_of(delivery, "refund");
    struct str ref = border_id(arena, refund, "id");
    struct str order_ref = border_id(arena, refund, "order_id");
    struct str currency = { NULL, 0 };
    int64_t minor = 0;
    if (order_ref.size == 0) {
        order_ref = border_id(arena, refund, "payment_id");
    }
    if (ref.size == 0 || order_ref.size == 0 ||
        !money_of(delivery, refund, "amount_money", &currency, &minor)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a refund without id, order or amount");
    }
    if (!str_equal(border_text(refund, "status"), STR("COMPLETED"))) {
        return STATUS_OK;
    }
    const struct order_form_refund form = {
        .order_ref = order_ref,
        .refund_ref = ref,
        .currency = currency,
        .amount_minor = minor,
        .at_ms = instant_of(delivery, refund),
    };
    order_form_refunded(draft, &form, NULL);
    return STATUS_OK;
}

/* --- what else names a customer -------------------------------------------- */

/* An invoice says whose an order is, which the payment may not. */
static enum status take_invoice(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *invoice = object_of(delivery, "invoice");
    const json_t *buyer = border_object(invoice, "primary_recipient");
    struct str order_ref = border_id(arena, invoice, "order_id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "an invoice without order_id");
    }
    struct event *event =
        draft_event(draft, topic->type, STR(""), STR("invoice"), instant_of(delivery, invoice));
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, border_id(arena, buyer, "customer_id"));
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    describe(draft, event, buyer);

    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_member(&json, arena, "invoice_id", invoice, "id");
    draft_put_text(&json, "invoice_number", border_text(invoice, "invoice_number"));
    draft_put_text(&json, "invoice_status", border_text(invoice, "status"));
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

/* Members worth keeping of whatever it is. A gift card's number opens it, and
 * is none of them. */
static const char *const FACT_MEMBERS[] = { "status",          "state",      "balance",
                                            "lifetime_points", "program_id", "plan_variation_id" };

static enum status take_fact(const struct delivery *delivery, const struct delivery_topic *topic,
                             struct draft *draft, struct problem *problem)
{
    (void)problem;
    struct arena *arena = delivery->arena;
    const json_t *object = object_of(delivery, topic->more);
    const json_t *around = border_object(border_object(delivery->root, "data"), "object");
    struct event *event = delivery_event(delivery, topic, draft, "fact");
    struct str currency = { NULL, 0 };
    int64_t minor = 0;
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, border_id(arena, object, "customer_id"));
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID,
                   border_id(arena, around, "linked_customer_id"));
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID,
                   border_id(arena, around, "unlinked_customer_id"));
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    draft_put_member(&json, arena, "id", object, "id");
    for (size_t i = 0; i < ARRAY_COUNT(FACT_MEMBERS); i++) {
        int64_t number = 0;
        if (json_is_integer(json_object_get(object, FACT_MEMBERS[i])) &&
            border_integer(object, FACT_MEMBERS[i], &number)) {
            jsonw_put_i64(&json, FACT_MEMBERS[i], number);
        } else {
            draft_put_text(&json, FACT_MEMBERS[i], border_text(object, FACT_MEMBERS[i]));
        }
    }
    if (money_of(delivery, object, "balance_money", &currency, &minor)) {
        jsonw_put_money(&json, "balance", minor, currency);
        jsonw_put_str(&json, "currency", currency);
    }
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

/* --- topics ---------------------------------------------------------------- */

static const struct delivery_topic TOPICS[] = {
    { "customer.created", take_customer, EVENT_CUSTOMER_CREATED, NULL, NULL },
    { "customer.updated", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "customer.deleted", take_customer, EVENT_CUSTOMER_DELETED, NULL, NULL },
    { "order.created", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "order.updated", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "order.fulfillment.updated", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "payment.created", take_payment, EVENT_ORDER_UPDATED, NULL, NULL },
    { "payment.updated", take_payment, EVENT_ORDER_UPDATED, NULL, NULL },
    { "refund.created", take_refund, EVENT_ORDER_REFUNDED, NULL, NULL },
    { "refund.updated", take_refund, EVENT_ORDER_REFUNDED, NULL, NULL },
    { "invoice.payment_made", take_invoice, EVENT_ORDER_UPDATED, NULL, NULL },
    { "invoice.refunded", take_invoice, EVENT_ORDER_UPDATED, NULL, NULL },
    { "loyalty.account.created", take_fact, EVENT_CUSTOM, "custom.loyalty_created",
      "loyalty_account" },
    { "loyalty.account.updated", take_fact, EVENT_CUSTOM, "custom.loyalty_updated",
      "loyalty_account" },
    { "loyalty.account.deleted", take_fact, EVENT_CUSTOM, "custom.loyalty_deleted",
      "loyalty_account" },
    { "gift_card.customer_linked", take_fact, EVENT_CUSTOM, "custom.gift_card_linked",
      "gift_card" },
    { "gift_card.customer_unlinked", take_fact, EVENT_CUSTOM, "custom.gift_card_unlinked",
      "gift_card" },
    { "subscription.created", take_fact, EVENT_CUSTOM, "custom.subscription_created",
      "subscription" },
    { "subscription.updated", take_fact, EVENT_CUSTOM, "custom.subscription_updated",
      "subscription" },
    { NULL, NULL, 0, NULL, NULL },
};

/* An order that is cancelled tells two facts. */
static size_t room(const json_t *root)
{
    (void)root;
    return 2;
}

static const struct delivery_form FORM = { .topics = TOPICS, .read_head = read_head, .room = room };

/* --- setup ----------------------------------------------------------------- */

static const char *const SETUP_TOPICS[] = {
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "order.created",
    "order.updated",
    "order.fulfillment.updated",
    "payment.created",
    "payment.updated",
    "refund.created",
    "refund.updated",
    "invoice.payment_made",
    "invoice.refunded",
    "loyalty.account.created",
    "loyalty.account.updated",
    "loyalty.account.deleted",
    "gift_card.customer_linked",
    "gift_card.customer_unlinked",
    "subscription.created",
    "subscription.updated",
    NULL,
};

static const char *const STEPS[] = {
    "developer.squareup.com > the application > Webhooks > Subscriptions > Add subscription",
    "Notification URL = webhook_url, events = topics",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the subscription's signature key>\","
    "\"label\":\"subscription\"}",
    "When a proxy gives us another address than Square has: settings.notification_url = Square's, "
    "to the letter",
    "When more than one merchant uses the application: settings.shop_id = the merchant id",
    "Send test event, then GET /v1/sources/%s",
    NULL,
};

static const struct setup_way WAYS[] = { { .way = "admin", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { "what is in an order: Square sends its id and state; its payments bring amount and buyer",
      "send order.completed with products to POST /v1/events" },
    { "an order paid with several tenders is known by the latest payment",
      "send such orders to POST /v1/events" },
    { "stock levels and the catalogue", "send product.updated to POST /v1/events" },
    { NULL, NULL },
};

static const char *const WARNINGS[] = {
    "The signature covers the notification URL: changed by a slash, nothing verifies.",
    "Square disables a subscription after three weeks without a 2xx.",
    NULL,
};

static const char *const SETTINGS[] = {
    "notification_url",     "shop_id",           "time_zone", "currency",
    "order_completed_when", "allowed_addresses", NULL
};

static const char *const HEADERS[] = { "square-environment", "square-retry-number",
                                       "square-retry-reason", NULL };

const struct platform platform_square = {
    .name = "square",
    .title = "Square",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .content = "{url}{body}",
        .headers = { { .signature = "x-square-hmacsha256-signature" } },
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* Eleven repeats in 24 hours; an older page of theirs says 72. */
    .dedup_horizon_ms = 4 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = HEADERS,
    .topics = SETUP_TOPICS,
    .order_statuses = ORDER_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when = "\"paid_or_authorized\"",
    .parse_settings = delivery_parse_settings,
    .delivery = &FORM,
    .setup = { WAYS, GAPS, WARNINGS },
};
