#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "delivery_priv.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "shopware_priv.h"
#include "sources/json_border.h"

/*
 * Shopware 6.
 *
 * Two kinds of webhooks. "<entity>.written" and ".deleted" are lists of primary
 * keys, thin; business events ("checkout.order.placed") hold the entity, as the
 * Store API shows it. An order that came whole is a body; if a shop's version
 * leaves the amount out, the same event is kept thin.
 *
 * An order's status is that of its newest payment: "open" says nothing of money,
 * and the order's own state machine ("open", "in_progress", "completed") moves when
 * the merchant works on it. Where no payment is told, the order's state stands, and
 * where the order is cancelled, whatever became of its money. An order's updatedAt
 * does not move with its payments, so its version is the latest time among them all:
 * else a failed payment and the one that followed tie, and the failure wins.
 *
 * source.eventId is kept through repeats. The body's timestamp is when it was
 * sent, which is what bodies without a time of their own have.
 */

static const struct order_status_rule ORDER_STATUSES[] = {
    { "open", ORDER_OPEN, false },
    { "reminded", ORDER_OPEN, false },
    { "unconfirmed", ORDER_OPEN, false },
    { "authorized", ORDER_OPEN, true },
    { "paid_partially", ORDER_OPEN, true },
    { "paid", ORDER_PAID, true },
    { "refunded_partially", ORDER_PAID, true },
    { "refunded", ORDER_PAID, true },
    { "in_progress", ORDER_OPEN, false },
    { "completed", ORDER_FULFILLED, true },
    { "failed", ORDER_CANCELLED, false },
    { "cancelled", ORDER_CANCELLED, false },
    { NULL, ORDER_OPEN, false },
};

static void read_head(struct delivery *delivery)
{
    const json_t *root = delivery->root;
    const json_t *source = border_object(root, "source");
    delivery->topic = border_text(border_object(root, "data"), "event");
    delivery->id = border_text(source, "eventId");
    delivery->shop_id = border_text(source, "shopId");
    delivery->at_ms = delivery_seconds(root, "timestamp");
}

static json_t *payload_of(const json_t *root)
{
    return json_object_get(border_object(root, "data"), "payload");
}

/* "order" of {"order": {...}}, or of a list that holds such an object. */
static const json_t *entity_of(const struct delivery *delivery, const char *name)
{
    const json_t *payload = payload_of(delivery->root);
    const json_t *found = json_is_object(payload) ? border_object(payload, name) : NULL;
    for (size_t i = 0; found == NULL && i < json_array_size(payload); i++) {
        found = border_object(json_array_get(payload, i), name);
    }
    return found;
}

/* Times are RFC 3339, or the shop's UTC without a zone. */
static int64_t instant_of(const struct delivery *delivery, const json_t *object, const char *first,
                          const char *second)
{
    int64_t at_ms = border_instant(object, first, NULL);
    at_ms = at_ms == INSTANT_NONE ? border_instant(object, second, NULL) : at_ms;
    return at_ms == INSTANT_NONE ? delivery->at_ms : at_ms;
}

/* --- lists of keys --------------------------------------------------------- */

/* "order": an identity, or a product. `topic->more` is the entity's name. */
static void name_entity(const struct delivery *delivery, struct draft *draft, struct event *event,
                        const char *entity, struct str key)
{
    if (strcmp(entity, "order") == 0) {
        draft_identify(draft, event, IDENTITY_ORDER, key);
        event->properties_json = delivery_named(delivery->arena, "order_id", key);
    } else if (strcmp(entity, "customer") == 0) {
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, key);
        event->properties_json = delivery_named(delivery->arena, "customer_id", key);
    } else {
        event->product_id = key;
        event->properties_json = delivery_named(delivery->arena, "product_id", key);
    }
}

static void delete_order(const struct delivery *delivery, struct event *event, struct str key)
{
    struct order_document *document = ARENA_NEW(delivery->arena, struct order_document);
    if (document != NULL) {
        *document = (struct order_document){
            .kind = ORDER_DELETION,
            .order_ref = key,
            .at_ms = event->occurred_at_ms,
        };
        event->order = document;
    }
}

static enum event_type deleted_type(const char *entity)
{
    return strcmp(entity, "customer") == 0  ? EVENT_CUSTOMER_DELETED
           : strcmp(entity, "product") == 0 ? EVENT_PRODUCT_DELETED
                                            : EVENT_ORDER_UPDATED;
}

/* [{"entity", "operation": insert|update|delete, "primaryKey", "updatedFields"}] */
static enum status take_written(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    const json_t *payload = payload_of(delivery->root);
    size_t i = 0;
    const json_t *entry = NULL;
    json_array_foreach(payload, i, entry)
    {
        struct str key = border_id(delivery->arena, entry, "primaryKey");
        if (key.size == 0) {
            continue;
        }
        bool is_gone = str_equal(border_text(entry, "operation"), STR("delete"));
        bool is_new = str_equal(border_text(entry, "operation"), STR("insert"));
        bool is_customer = strcmp(topic->more, "customer") == 0;
        enum event_type type = is_gone                 ? deleted_type(topic->more)
                               : is_new && is_customer ? EVENT_CUSTOMER_CREATED
                                                       : topic->type;
        struct event *event = draft_event(draft, type, STR(""), key, delivery->at_ms);
        if (event == NULL) {
            return STATUS_OK;
        }
        event->is_thin = !is_gone;
        event->act = false; /* an import writes, and so does the merchant */
        name_entity(delivery, draft, event, topic->more, key);
        if (is_gone && type == EVENT_ORDER_UPDATED) {
            delete_order(delivery, event, key);
        }
    }
    return draft->event_count > 0 ? STATUS_OK
                                  : problem_set(problem, STATUS_INVALID, "invalid-event",
                                                "a list of changes without a primaryKey");
}

/* --- customers ------------------------------------------------------------- */

static void describe(struct draft *draft, struct event *event, const json_t *person)
{
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(person, "email"));
    draft_trait(draft, event, "first_name", border_text(person, "firstName"));
    draft_trait(draft, event, "last_name", border_text(person, "lastName"));
}

static enum status take_customer(const struct delivery *delivery,
                                 const struct delivery_topic *topic, struct draft *draft,
                                 struct problem *problem)
{
    const json_t *customer = entity_of(delivery, "customer");
    struct str ref = border_id(delivery->arena, customer, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a customer without id");
    }
    struct event *event = delivery_event(delivery, topic, draft, "customer");
    if (event == NULL) {
        return STATUS_OK;
    }
    event->act = event->act || topic->custom != NULL; /* a login is theirs */
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
    event->properties_json = delivery_named(delivery->arena, "customer_id", ref);
    if (topic->type != EVENT_CUSTOMER_DELETED) {
        describe(draft, event, customer);
    }
    return STATUS_OK;
}

/* Double opt-in: asked for by "register", given by "confirm". */
static enum status take_newsletter(const struct delivery *delivery,
                                   const struct delivery_topic *topic, struct draft *draft,
                                   struct problem *problem)
{
    const json_t *recipient = entity_of(delivery, "newsletterRecipient");
    struct event *event = delivery_event(delivery, topic, draft, "newsletter");
    if (event == NULL) {
        return STATUS_OK;
    }
    describe(draft, event, recipient);
    if (event->identifier_count == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a newsletter recipient without an e-mail address");
    }
    draft_fact_json(draft, event, FACT_CONSENT, STR("email"),
                    str_printf(delivery->arena, "\"%s\"", topic->more));
    event->properties_json =
        str_printf(delivery->arena, "{\"channel\":\"email\",\"state\":\"%s\"}", topic->more);
    return STATUS_OK;
}

/* --- orders ---------------------------------------------------------------- */

static struct str state_name(const json_t *object)
{
    return border_text(border_object(object, "stateMachineState"), "technicalName");
}

static struct str status_of(const struct delivery *delivery, const json_t *order)
{
    const json_t *payments = border_array(order, "transactions");
    const json_t *last = json_array_get(payments, json_array_size(payments) - 1);
    struct str own = state_name(order);
    struct str status = json_array_size(payments) > 0 ? state_name(last) : STR("");
    bool is_own = status.size == 0 || str_equal(own, STR("cancelled"));
    return str_dup(delivery->arena, is_own ? own : status);
}

static int64_t stated_at(const json_t *object)
{
    int64_t at_ms = border_instant(object, "updatedAt", NULL);
    return at_ms == INSTANT_NONE ? border_instant(object, "createdAt", NULL) : at_ms;
}

static int64_t changed_at(const struct delivery *delivery, const json_t *order)
{
    int64_t changed_ms = stated_at(order);
    size_t i = 0;
    const json_t *payment = NULL;
    json_array_foreach(border_array(order, "transactions"), i, payment)
    {
        int64_t at_ms = stated_at(payment);
        changed_ms = at_ms > changed_ms ? at_ms : changed_ms;
    }
    return changed_ms == INSTANT_NONE ? delivery->at_ms : changed_ms;
}

static void write_products(struct jsonw *json, struct arena *arena, const json_t *order,
                           struct str currency)
{
    size_t i = 0;
    const json_t *line = NULL;
    jsonw_key(json, "products");
    jsonw_open_array(json);
    json_array_foreach(border_array(order, "lineItems"), i, line)
    {
        int64_t quantity = 0;
        if (json->buf->size > DRAFT_PRODUCTS_BYTES) {
            break;
        }
        if (border_id(arena, line, "productId").size == 0) {
            continue; /* a discount, a surcharge */
        }
        jsonw_open(json);
        draft_put_member(json, arena, "product_id", line, "productId");
        draft_put_text(json, "sku", border_text(border_object(line, "payload"), "productNumber"));
        draft_put_text(json, "name", border_text(line, "label"));
        if (border_integer(line, "quantity", &quantity)) {
            jsonw_put_i64(json, "quantity", quantity);
        }
        draft_put_money(json, "price", line, "unitPrice", currency);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static struct str order_properties(const struct delivery *delivery, const json_t *order,
                                   const struct order_document *body)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 512);
    jsonw_put_str(&json, "order_id", body->order_ref);
    draft_put_text(&json, "number", body->number);
    draft_put_text(&json, "status", body->status);
    jsonw_put_money(&json, "total", body->total_minor, body->currency);
    draft_put_money(&json, "subtotal", order, "positionPrice", body->currency);
    draft_put_money(&json, "shipping", order, "shippingTotal", body->currency);
    draft_put_text(&json, "currency", body->currency);
    write_products(&json, delivery->arena, order, body->currency);
    jsonw_close(&json);
    return buf_str(&buf);
}

static void add_body(const struct delivery *delivery, struct event *event, const json_t *order,
                     struct str order_ref)
{
    struct arena *arena = delivery->arena;
    struct order_document *body = ARENA_NEW(arena, struct order_document);
    struct str code = border_text(border_object(order, "currency"), "isoCode");
    struct str currency =
        money_currency_is_valid(code) ? str_dup(arena, code) : delivery->source->currency;
    int64_t total_minor = 0;
    event->is_thin = !border_money(order, "amountTotal", currency, &total_minor);
    if (body == NULL || event->is_thin) {
        event->properties_json = delivery_named(arena, "order_id", order_ref);
        return;
    }
    struct str status = status_of(delivery, order);
    *body = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = order_ref,
        .at_ms = event->occurred_at_ms,
        .version_ms = event->claimed_at_ms,
        .rank = draft_status_rank(ORDER_STATUSES, status),
        .counts = draft_status_counts(delivery->source, ORDER_STATUSES, status),
        .placed_at_ms =
            event_clamp_instant(instant_of(delivery, order, "orderDateTime", "createdAt"),
                                delivery->inbound->received_at_ms),
        .number = str_dup(arena, border_scalar(arena, order, "orderNumber")),
        .status = status,
        .currency = currency,
        .total_minor = total_minor,
        /* Of "refunded_partially" nobody says how much. */
        .refunded_minor = str_equal(status, STR("refunded")) ? total_minor : 0,
    };
    body->body_json = order_properties(delivery, order, body);
    event->order = body;
    event->currency = currency;
    event->amount_minor = total_minor;
    event->has_amount = true;
    event->properties_json = body->body_json;
}

static enum status take_order(const struct delivery *delivery, const struct delivery_topic *topic,
                              struct draft *draft, struct problem *problem)
{
    const json_t *order = entity_of(delivery, "order");
    const json_t *buyer = border_object(order, "orderCustomer");
    struct str order_ref = border_id(delivery->arena, order, "id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "an order without id");
    }
    struct event *event =
        draft_event(draft, topic->type, STR(""), STR("order"), changed_at(delivery, order));
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID,
                   border_id(delivery->arena, buyer, "customerId"));
    describe(draft, event, buyer);
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    add_body(delivery, event, order, order_ref);
    if (str_equal(state_name(order), STR("cancelled"))) {
        order_form_cancellation_told(draft, order_ref, event, event->occurred_at_ms);
    }
    return STATUS_OK;
}

/* --- topics ---------------------------------------------------------------- */

#define ORDER_STATE(machine, state)                                                         \
    {                                                                                       \
        "state_enter." machine ".state." state, take_order, EVENT_ORDER_UPDATED, NULL, NULL \
    }

static const struct delivery_topic TOPICS[] = {
    { "checkout.order.placed", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    ORDER_STATE("order_transaction", "paid"),
    ORDER_STATE("order_transaction", "paid_partially"),
    ORDER_STATE("order_transaction", "authorized"),
    ORDER_STATE("order_transaction", "refunded"),
    ORDER_STATE("order_transaction", "refunded_partially"),
    ORDER_STATE("order_transaction", "cancelled"),
    ORDER_STATE("order_transaction", "failed"),
    ORDER_STATE("order", "in_progress"),
    ORDER_STATE("order", "completed"),
    ORDER_STATE("order", "cancelled"),
    ORDER_STATE("order_delivery", "shipped"),
    { "order.written", take_written, EVENT_ORDER_UPDATED, NULL, "order" },
    { "order.deleted", take_written, EVENT_ORDER_UPDATED, NULL, "order" },
    { "customer.written", take_written, EVENT_CUSTOMER_UPDATED, NULL, "customer" },
    { "customer.deleted", take_written, EVENT_CUSTOMER_DELETED, NULL, "customer" },
    { "product.written", take_written, EVENT_PRODUCT_UPDATED, NULL, "product" },
    { "product.deleted", take_written, EVENT_PRODUCT_DELETED, NULL, "product" },
    { "checkout.customer.register", take_customer, EVENT_CUSTOMER_CREATED, NULL, NULL },
    { "checkout.customer.guest_register", take_customer, EVENT_CUSTOMER_CREATED, NULL, NULL },
    { "checkout.customer.login", take_customer, EVENT_CUSTOM, "custom.customer_login", NULL },
    { "checkout.customer.deleted", take_customer, EVENT_CUSTOMER_DELETED, NULL, NULL },
    { "newsletter.register", take_newsletter, EVENT_CONSENT_UPDATED, NULL, "pending" },
    { "newsletter.confirm", take_newsletter, EVENT_CONSENT_UPDATED, NULL, "subscribed" },
    { "newsletter.unsubscribe", take_newsletter, EVENT_CONSENT_UPDATED, NULL, "unsubscribed" },
    { NULL, NULL, 0, NULL, NULL },
};

static size_t room(const json_t *root)
{
    return 2 + json_array_size(payload_of(root)); /* an order and its cancellation */
}

static const struct delivery_form FORM = { .topics = TOPICS, .read_head = read_head, .room = room };

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    if (shopware_is_handshake(inbound)) {
        *out_normalised = (struct normalised){ .event_count = 0 };
        return shopware_shake_hands(arena, source, inbound, out_normalised, problem);
    }
    if (inbound->is_get) { /* a page of the shop; we have none to show */
        *out_normalised = (struct normalised){ .event_count = 0 };
        return NORMALISE_IGNORED;
    }
    return delivery_normalise(&FORM, arena, source, inbound, out_normalised, problem);
}

/* --- settings and setup ---------------------------------------------------- */

static enum status parse_settings(struct arena *arena, struct str settings_json,
                                  struct source *source, struct problem *problem)
{
    enum status status = delivery_parse_settings(arena, settings_json, source, problem);
    json_t *settings CLEANUP(border_free_at) = border_parse(settings_json, problem);
    struct shopware_settings *own = ARENA_NEW(arena, struct shopware_settings);
    struct str name = border_text(settings, "app_name");
    if (status != STATUS_OK || own == NULL) {
        return status;
    }
    *own = (struct shopware_settings){ .app_name =
                                           name.size > 0 ? str_dup(arena, name) : STR("Shopbell") };
    if (source->adapter != NULL) {
        own->shop_id = *(const struct str *)source->adapter;
    }
    source->adapter = own;
    return STATUS_OK;
}

static const char *const SETUP_TOPICS[] = {
    "checkout.order.placed",
    "state_enter.order_transaction.state.paid",
    "state_enter.order_transaction.state.paid_partially",
    "state_enter.order_transaction.state.authorized",
    "state_enter.order_transaction.state.refunded",
    "state_enter.order_transaction.state.refunded_partially",
    "state_enter.order_transaction.state.cancelled",
    "state_enter.order.state.completed",
    "state_enter.order.state.cancelled",
    "order.deleted",
    "checkout.customer.register",
    "checkout.customer.guest_register",
    "checkout.customer.login",
    "customer.written",
    "customer.deleted",
    "newsletter.register",
    "newsletter.confirm",
    "newsletter.unsubscribe",
    "product.written",
    "product.deleted",
    NULL,
};

static const char *const STEPS[] = {
    "Make the app's secret: openssl rand -hex 32, and store it: POST /v1/sources/%s/secrets "
    "{\"secret\":\"<it>\",\"label\":\"app\"}",
    "custom/apps/Shopbell/manifest.xml: <name>Shopbell</name>, "
    "<setup><registrationUrl>webhook_url</registrationUrl><secret>it</secret></setup>, one "
    "<webhook name=\"...\" url=\"webhook_url\" event=\"...\"/> for each of topics, and "
    "<permissions> to read order, customer, product, newsletter_recipient",
    "bin/console app:install --activate Shopbell: the shop registers, and a secret with label "
    "shop appears at GET /v1/sources/%s/secrets",
    "Another name in the manifest: settings.app_name; one shop only: settings.shop_id",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "app", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { "what changed in an entity: *.written names it only",
      "business events bring orders and registrations whole; import the rest" },
    { "carts, product views, wish lists", "send them from your own pages" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "A shop that registers again must sign with the secret that it has. One that lost it: DELETE "
    "its secrets with label shop, then install the app again.",
    "Shopware switches a webhook off after 10 errors.",
    NULL,
};

static const char *const SETTINGS[] = {
    "shop_id",           "app_name", "time_zone", "currency", "order_completed_when",
    "allowed_addresses", NULL
};

static const char *const HEADERS[] = { "sw-version", "x-shopware-event-id", "x-shopware-sequence",
                                       "x-shopware-attempt", NULL };

const struct platform platform_shopware = {
    .name = "shopware",
    .title = "Shopware 6",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = "shopware-shop-signature" } },
        .read_claim = shopware_read_claim,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* Its new transport repeats up to four hours later, in order. */
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = HEADERS,
    .topics = SETUP_TOPICS,
    .order_statuses = ORDER_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when = "\"paid_or_authorized\"",
    .takes_get = true,
    .parse_settings = parse_settings,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
