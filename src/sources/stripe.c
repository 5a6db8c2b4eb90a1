#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "delivery_priv.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Stripe.
 *
 * Stripe knows payments, not orders. Here an order is a payment intent: the
 * Checkout Session that asked for it, its charges and its refunds all name it,
 * so they are documents of one order whichever comes. Invoices are left out:
 * their charges tell the same money, and since 2025 nothing in either names the
 * other.
 *
 * Two bodies may state one order. A session says more (discount, shipping, tax,
 * the buyer's address), so it has to stand against its charge. Stripe's times
 * are whole seconds and a payment is over within one; therefore a charge's
 * version is the second in which the charge was made, whatever event brings it,
 * and a session's is that of its event and a millisecond more. A refund must not
 * depend on who wins: it is a document of its own, from the refund's events and
 * from the list in the charge, where there is one (before API version
 * 2022-11-15).
 *
 * The key is the whole "whsec_..." text: what Standard Webhooks decodes, Stripe
 * does not.
 */

enum {
    TOLERANCE_S = 300
};

/* payment_status of a session, status of a charge, and what "captured" makes
 * of the latter. */
static const struct order_status_rule ORDER_STATUSES[] = {
    { "unpaid", ORDER_OPEN, false },
    { "pending", ORDER_OPEN, false },
    { "authorized", ORDER_OPEN, true },
    { "paid", ORDER_PAID, true },
    { "no_payment_required", ORDER_PAID, true },
    { "succeeded", ORDER_PAID, true },
    { "failed", ORDER_CANCELLED, false },
    { NULL, ORDER_OPEN, false },
};

static const json_t *object_of(const struct delivery *delivery)
{
    return border_object(border_object(delivery->root, "data"), "object");
}

static void read_head(struct delivery *delivery)
{
    const json_t *root = delivery->root;
    delivery->topic = border_text(root, "type");
    delivery->id = border_text(root, "id");
    delivery->shop_id = border_text(root, "account");
    delivery->at_ms = delivery_seconds(root, "created");
}

/* --- money ----------------------------------------------------------------- */

/* "usd" -> "USD"; the source's when there is none. */
static struct str currency_of(const struct delivery *delivery, const json_t *object)
{
    enum {
        CODE_SIZE = 3
    };
    struct str code = border_text(object, "currency");
    char *upper = arena_alloc(delivery->arena, CODE_SIZE + 1);
    if (code.size != CODE_SIZE || upper == NULL) {
        return delivery->source->currency;
    }
    for (size_t i = 0; i < CODE_SIZE; i++) {
        char c = code.data[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    upper[CODE_SIZE] = '\0';
    struct str currency = { upper, CODE_SIZE };
    return money_currency_is_valid(currency) ? currency : delivery->source->currency;
}

/* Minor units, but for two currencies that lost their decimals and are still
 * counted in hundredths. */
static bool money_of(const json_t *object, const char *key, struct str currency, int64_t *out_minor)
{
    int64_t amount = 0;
    if (!border_integer(object, key, &amount) || amount > BORDER_MONEY_MINOR_MAX ||
        amount < -BORDER_MONEY_MINOR_MAX) {
        return false;
    }
    bool in_hundredths = (str_equal(currency, STR("ISK")) || str_equal(currency, STR("UGX"))) &&
                         money_decimals(currency) == 0;
    *out_minor = in_hundredths ? amount / 100 : amount;
    return true;
}

static void put_money(struct jsonw *json, const char *name, const json_t *object, const char *key,
                      struct str currency)
{
    int64_t minor = 0;
    if (money_of(object, key, currency, &minor)) {
        jsonw_put_money(json, name, minor, currency);
    }
}

/* --- people ---------------------------------------------------------------- */

/* {"name", "email", "phone", "address"} of a customer, a session or a charge. One
 * address a payment: `email` is taken when the person has none. */
static void describe(struct draft *draft, struct event *event, const json_t *person,
                     struct str email)
{
    const json_t *address = border_object(person, "address");
    struct str country = border_text(address, "country");
    if (!draft_identify(draft, event, IDENTITY_EMAIL, border_text(person, "email"))) {
        draft_identify(draft, event, IDENTITY_EMAIL, email);
    }
    draft_identify(draft, event, IDENTITY_PHONE, border_text(person, "phone"));
    draft_trait(draft, event, "name", border_text(person, "name"));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(draft->arena, country, border_text(address, "state")));
    draft_trait(draft, event, "city", border_text(address, "city"));
    draft_trait(draft, event, "postal_code", border_text(address, "postal_code"));
}

/* An id, or the object that it was expanded to. */
static struct str ref_of(const struct delivery *delivery, const json_t *object, const char *key)
{
    const json_t *expanded = border_object(object, key);
    return expanded != NULL ? border_id(delivery->arena, expanded, "id")
                            : border_id(delivery->arena, object, key);
}

static enum status take_customer(const struct delivery *delivery,
                                 const struct delivery_topic *topic, struct draft *draft,
                                 struct problem *problem)
{
    const json_t *customer = object_of(delivery);
    struct str ref = border_id(delivery->arena, customer, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a customer without id");
    }
    struct event *event = delivery_event(delivery, topic, draft, "customer");
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
    event->properties_json = delivery_named(delivery->arena, "customer_id", ref);
    if (topic->type != EVENT_CUSTOMER_DELETED) {
        const json_t *locale = json_array_get(border_array(customer, "preferred_locales"), 0);
        describe(draft, event, customer, STR(""));
        draft_trait(draft, event, "locale",
                    (struct str){ json_string_value(locale), json_string_length(locale) });
    }
    return STATUS_OK;
}

/* --- orders ---------------------------------------------------------------- */

static struct str body_properties(const struct delivery *delivery, const json_t *object,
                                  const struct order_document *body)
{
    const json_t *details = border_object(object, "total_details");
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 256);
    jsonw_put_str(&json, "order_id", body->order_ref);
    draft_put_text(&json, "number", body->number);
    draft_put_text(&json, "status", body->status);
    jsonw_put_money(&json, "total", body->total_minor, body->currency);
    put_money(&json, "subtotal", object, "amount_subtotal", body->currency);
    put_money(&json, "discount", details, "amount_discount", body->currency);
    put_money(&json, "shipping", details, "amount_shipping", body->currency);
    put_money(&json, "tax", details, "amount_tax", body->currency);
    jsonw_put_str(&json, "currency", body->currency);
    draft_put_text(&json, "reference", border_text(object, "client_reference_id"));
    if (json_is_false(json_object_get(delivery->root, "livemode"))) {
        jsonw_put_bool(&json, "test", true);
    }
    jsonw_close(&json);
    return buf_str(&buf);
}

/* The event of a body that has its ref, status, amount, refunds and version. */
static struct event *body_event(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct order_document *body,
                                const json_t *object)
{
    struct event *event = delivery_event(delivery, topic, draft, topic->more);
    if (event == NULL) {
        return NULL;
    }
    body->kind = ORDER_BODY;
    body->at_ms = event->occurred_at_ms;
    body->rank = draft_status_rank(ORDER_STATUSES, body->status);
    body->counts = draft_status_counts(delivery->source, ORDER_STATUSES, body->status);
    body->body_json = body_properties(delivery, object, body);
    event->order = body;
    event->currency = body->currency;
    event->amount_minor = body->total_minor;
    event->has_amount = true;
    event->properties_json = body->body_json;
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref_of(delivery, object, "customer"));
    draft_identify(draft, event, IDENTITY_ORDER, body->order_ref);
    return event;
}

static int64_t clamped(const struct delivery *delivery, int64_t at_ms)
{
    return event_clamp_instant(at_ms != INSTANT_NONE ? at_ms : delivery->inbound->received_at_ms,
                               delivery->inbound->received_at_ms);
}

/* `named`: as in order_form_refunded. */
static void take_one_refund(const struct delivery *delivery, struct draft *draft,
                            const json_t *refund, struct str order_ref, const struct event *named)
{
    int64_t created_ms = delivery_seconds(refund, "created");
    struct order_form_refund form = {
        .order_ref = order_ref,
        .refund_ref = border_id(delivery->arena, refund, "id"),
        .currency = currency_of(delivery, refund),
        .reason = border_text(refund, "reason"),
        .at_ms = created_ms != INSTANT_NONE ? created_ms : delivery->at_ms,
    };
    if (form.refund_ref.size > 0 && money_of(refund, "amount", form.currency, &form.amount_minor) &&
        str_equal(border_text(refund, "status"), STR("succeeded"))) {
        order_form_refunded(draft, &form, named);
    }
}

static enum status take_refund(const struct delivery *delivery, const struct delivery_topic *topic,
                               struct draft *draft, struct problem *problem)
{
    (void)topic;
    const json_t *refund = object_of(delivery);
    struct str order_ref = ref_of(delivery, refund, "payment_intent");
    if (order_ref.size == 0) {
        order_ref = ref_of(delivery, refund, "charge");
    }
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a refund that names neither payment_intent nor charge");
    }
    take_one_refund(delivery, draft, refund, order_ref, NULL);
    return STATUS_OK;
}

/* --- charges --------------------------------------------------------------- */

static struct str charge_ref(const struct delivery *delivery, const json_t *charge)
{
    struct str ref = ref_of(delivery, charge, "payment_intent");
    return ref.size > 0 ? ref : border_id(delivery->arena, charge, "id");
}

static struct str charge_status(const struct delivery *delivery, const json_t *charge)
{
    struct str status = border_text(charge, "status");
    bool is_held =
        str_equal(status, STR("succeeded")) && json_is_false(json_object_get(charge, "captured"));
    return is_held ? STR("authorized") : str_dup(delivery->arena, status);
}

static enum status take_charge(const struct delivery *delivery, const struct delivery_topic *topic,
                               struct draft *draft, struct problem *problem)
{
    const json_t *charge = object_of(delivery);
    int64_t created_ms = delivery_seconds(charge, "created");
    struct order_document *body = ARENA_NEW(delivery->arena, struct order_document);
    if (body == NULL) {
        return STATUS_OK;
    }
    *body = (struct order_document){
        .order_ref = charge_ref(delivery, charge),
        .version_ms = created_ms != INSTANT_NONE ? created_ms : delivery->at_ms,
        .placed_at_ms = clamped(delivery, created_ms),
        .number = str_dup(delivery->arena, border_text(charge, "receipt_number")),
        .status = charge_status(delivery, charge),
        .currency = currency_of(delivery, charge),
    };
    if (body->order_ref.size == 0 || body->status.size == 0 ||
        !money_of(charge, "amount", body->currency, &body->total_minor)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a charge without id, status or amount");
    }
    money_of(charge, "amount_refunded", body->currency, &body->refunded_minor);
    struct event *event = body_event(delivery, topic, draft, body, charge);
    describe(draft, event, border_object(charge, "billing_details"),
             border_text(charge, "receipt_email"));
    size_t i = 0;
    const json_t *refund = NULL;
    json_array_foreach(border_array(border_object(charge, "refunds"), "data"), i, refund)
    {
        take_one_refund(delivery, draft, refund, body->order_ref, event);
    }
    return STATUS_OK;
}

/* An attempt that failed is a fact about the customer and no order. The intent
 * tells it too; the charge's id makes one of both. */
static enum status take_failure(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    (void)problem;
    struct arena *arena = delivery->arena;
    const json_t *object = object_of(delivery);
    const json_t *error = border_object(object, "last_payment_error");
    bool is_intent = topic->more != NULL;
    struct str charge =
        is_intent ? ref_of(delivery, error, "charge") : border_id(arena, object, "id");
    struct str key = charge.size > 0 ? str_printf(arena, "failed/%.*s", STR_ARG(charge)) : charge;
    struct str currency = currency_of(delivery, object);
    struct event *event = draft_event(draft, topic->type, key, STR("failed"), delivery->at_ms);
    if (event == NULL) {
        return STATUS_OK;
    }
    event->name = str_from_z(topic->custom);
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref_of(delivery, object, "customer"));
    describe(draft, event, border_object(object, "billing_details"),
             border_text(object, "receipt_email"));

    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    draft_put_text(&json, "payment_id",
                   is_intent ? border_id(arena, object, "id") : charge_ref(delivery, object));
    put_money(&json, "total", object, "amount", currency);
    jsonw_put_str(&json, "currency", currency);
    draft_put_text(&json, "reason",
                   border_text(is_intent ? error : object, is_intent ? "code" : "failure_code"));
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

/* --- sessions -------------------------------------------------------------- */

static struct str session_ref(const struct delivery *delivery, const json_t *session)
{
    struct str ref = ref_of(delivery, session, "payment_intent");
    return ref.size > 0 ? ref : border_id(delivery->arena, session, "id");
}

static enum status take_session(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    const json_t *session = object_of(delivery);
    struct order_document *body = ARENA_NEW(delivery->arena, struct order_document);
    /* A subscription's first payment is told by its charge. */
    if (body == NULL || !str_equal(border_text(session, "mode"), STR("payment"))) {
        return STATUS_OK;
    }
    *body = (struct order_document){
        .order_ref = session_ref(delivery, session),
        .version_ms = delivery->at_ms == INSTANT_NONE ? delivery->inbound->received_at_ms
                                                      : delivery->at_ms + 1,
        .placed_at_ms = clamped(delivery, delivery->at_ms),
        .status = str_dup(delivery->arena, border_text(session, "payment_status")),
        .currency = currency_of(delivery, session),
    };
    if (body->order_ref.size == 0 || body->status.size == 0 ||
        !money_of(session, "amount_total", body->currency, &body->total_minor)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a session without id, payment_status or amount_total");
    }
    struct event *event = body_event(delivery, topic, draft, body, session);
    describe(draft, event, border_object(session, "customer_details"),
             border_text(session, "customer_email"));
    draft_trait(draft, event, "locale", border_text(session, "locale"));
    return STATUS_OK;
}

static enum status take_expired(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    (void)problem;
    const json_t *session = object_of(delivery);
    const json_t *recovery = border_object(border_object(session, "after_expiration"), "recovery");
    struct str currency = currency_of(delivery, session);
    struct event *event = delivery_event(delivery, topic, draft, "session");
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref_of(delivery, session, "customer"));
    describe(draft, event, border_object(session, "customer_details"),
             border_text(session, "customer_email"));

    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 256);
    draft_put_member(&json, delivery->arena, "checkout_id", session, "id");
    put_money(&json, "total", session, "amount_total", currency);
    jsonw_put_str(&json, "currency", currency);
    draft_put_text(&json, "recovery_url", border_text(recovery, "url"));
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

/* --- what else ------------------------------------------------------------- */

static enum status take_subscription(const struct delivery *delivery,
                                     const struct delivery_topic *topic, struct draft *draft,
                                     struct problem *problem)
{
    (void)problem;
    const json_t *subscription = object_of(delivery);
    struct event *event = delivery_event(delivery, topic, draft, "subscription");
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref_of(delivery, subscription, "customer"));
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 128);
    draft_put_member(&json, delivery->arena, "subscription_id", subscription, "id");
    draft_put_text(&json, "status", border_text(subscription, "status"));
    jsonw_put_bool(&json, "ends_with_period", border_is_true(subscription, "cancel_at_period_end"));
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

static enum status take_product(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    const json_t *product = object_of(delivery);
    struct str ref = border_id(delivery->arena, product, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a product without id");
    }
    struct event *event = delivery_event(delivery, topic, draft, "product");
    if (event == NULL) {
        return STATUS_OK;
    }
    const json_t *image = json_array_get(border_array(product, "images"), 0);
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 256);
    jsonw_put_str(&json, "product_id", ref);
    draft_put_text(&json, "name", border_text(product, "name"));
    draft_put_text(&json, "url", border_text(product, "url"));
    draft_put_text(&json, "image_url",
                   (struct str){ json_string_value(image), json_string_length(image) });
    if (json_is_boolean(json_object_get(product, "active"))) {
        jsonw_put_z(&json, "status", border_is_true(product, "active") ? "active" : "archived");
    }
    jsonw_close(&json);
    event->product_id = ref;
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

/* --- topics ---------------------------------------------------------------- */

static const struct delivery_topic TOPICS[] = {
    { "charge.succeeded", take_charge, EVENT_ORDER_UPDATED, NULL, "charge" },
    { "checkout.session.completed", take_session, EVENT_ORDER_UPDATED, NULL, "session" },
    { "checkout.session.async_payment_succeeded", take_session, EVENT_ORDER_UPDATED, NULL,
      "session" },
    { "checkout.session.async_payment_failed", take_session, EVENT_ORDER_UPDATED, NULL, "session" },
    { "checkout.session.expired", take_expired, EVENT_CUSTOM, "custom.checkout_expired", NULL },
    { "charge.pending", take_charge, EVENT_ORDER_UPDATED, NULL, "charge" },
    { "charge.captured", take_charge, EVENT_ORDER_UPDATED, NULL, "charge" },
    { "charge.updated", take_charge, EVENT_ORDER_UPDATED, NULL, "charge" },
    { "charge.refunded", take_charge, EVENT_ORDER_UPDATED, NULL, "charge" },
    { "charge.failed", take_failure, EVENT_CUSTOM, "custom.payment_failed", NULL },
    { "payment_intent.payment_failed", take_failure, EVENT_CUSTOM, "custom.payment_failed",
      "intent" },
    { "refund.created", take_refund, EVENT_ORDER_REFUNDED, NULL, NULL },
    { "refund.updated", take_refund, EVENT_ORDER_REFUNDED, NULL, NULL },
    { "charge.refund.updated", take_refund, EVENT_ORDER_REFUNDED, NULL, NULL },
    { "customer.created", take_customer, EVENT_CUSTOMER_CREATED, NULL, NULL },
    { "customer.updated", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "customer.deleted", take_customer, EVENT_CUSTOMER_DELETED, NULL, NULL },
    { "customer.subscription.created", take_subscription, EVENT_CUSTOM,
      "custom.subscription_created", NULL },
    { "customer.subscription.updated", take_subscription, EVENT_CUSTOM,
      "custom.subscription_updated", NULL },
    { "customer.subscription.deleted", take_subscription, EVENT_CUSTOM,
      "custom.subscription_deleted", NULL },
    { "product.created", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "product.updated", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "product.deleted", take_product, EVENT_PRODUCT_DELETED, NULL, NULL },
    { NULL, NULL, 0, NULL, NULL },
};

/* A charge and the refunds listed in it. */
static size_t room(const json_t *root)
{
    const json_t *object = border_object(border_object(root, "data"), "object");
    return 1 + json_array_size(border_array(border_object(object, "refunds"), "data"));
}

static const struct delivery_form FORM = { .topics = TOPICS, .read_head = read_head, .room = room };

/* --- setup ----------------------------------------------------------------- */

static const char *const SETUP_TOPICS[] = {
    "charge.succeeded",
    "charge.pending",
    "charge.captured",
    "charge.refunded",
    "charge.failed",
    "refund.created",
    "refund.updated",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "product.created",
    "product.updated",
    "product.deleted",
    NULL,
};

static const char *const STEPS[] = {
    "Stripe Dashboard > Developers > Webhooks > Add endpoint: URL = webhook_url, events = topics",
    ("Reveal the signing secret: POST /v1/sources/%s/secrets "
     "{\"secret\":\"whsec_...\",\"label\":\"endpoint\"}"),
    "For a Connect endpoint: settings.shop_id = the account, acct_...",
    "Send test event, then GET /v1/sources/%s",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "admin", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { "what was bought: Stripe's webhooks have no lines",
      "send order.completed with products to POST /v1/events" },
    { "money that never was a charge (invoices paid elsewhere, free subscriptions)",
      "send it to POST /v1/events" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "Beside a shop's own source (Shopify, WooCommerce) the same order would count twice: leave out "
    "the charges that the shop takes through Stripe.",
    "The sender's clock and ours must agree to 300 s: the signature covers the time.",
    NULL,
};

static const char *const SETTINGS[] = { "shop_id",           "time_zone",
                                        "currency",          "order_completed_when",
                                        "allowed_addresses", NULL };

const struct platform platform_stripe = {
    .name = "stripe",
    .title = "Stripe",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_PAIRS,
        .mark = "v1",
        .content = "{timestamp}.{body}",
        .headers = { { .signature = "stripe-signature" } },
        .tolerance_ms = TOLERANCE_S * INSTANT_SECOND_MS,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* Three days of repeats. */
    .dedup_horizon_ms = 4 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = SETUP_TOPICS,
    .order_statuses = ORDER_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when = "\"paid_or_authorized\"",
    .parse_settings = delivery_parse_settings,
    .delivery = &FORM,
    .setup = { WAYS, GAPS, WARNINGS },
};
