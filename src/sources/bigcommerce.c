#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "delivery_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * BigCommerce.
 *
 * Everything is thin: a scope and an id. Orders without totals, customers
 * without addresses, so what can be known is that something happened to them,
 * and when. The exceptions are whole in themselves: a deletion, a stock level,
 * and a cart that became an order (it names both, and empties the cart).
 *
 * Two ways to prove the sender, of which settings.signing says one. "signed":
 * Standard Webhooks with the app's client secret as key, to the letter (their
 * sample encodes it, because the library decodes). "header": older webhooks,
 * which are not signed; they carry the headers that were registered with them,
 * so one holds a secret of ours. Then nothing of the body is vouched for.
 *
 * The body's `hash` is no dedup key by itself: it may be the same for two scopes
 * of one resource. Scope, hash and time together are one event; a signed
 * delivery has webhook-id.
 */

enum {
    TOLERANCE_S = 300
};

/* An old webhook's own header. */
#define SECRET_HEADER "x-shopbell-secret"

static const struct signature_spec BY_HEADER = {
    .algorithm = SIGNATURE_BEARER,
    .headers = { { .signature = SECRET_HEADER } },
};

static const json_t *data_of(const struct delivery *delivery)
{
    return border_object(delivery->root, "data");
}

/* "stores/abc123" -> "abc123" */
static struct str store_of(struct str producer)
{
    struct str prefix = STR("stores/");
    return str_starts_with(producer, prefix) ? str_drop(producer, prefix.size) : producer;
}

static void read_head(struct delivery *delivery)
{
    const json_t *root = delivery->root;
    delivery->topic = border_text(root, "scope");
    delivery->shop_id = store_of(border_text(root, "producer"));
    delivery->at_ms = delivery_seconds(root, "created_at");
    if (delivery->source->signature == &BY_HEADER) {
        struct str hash = border_text(root, "hash");
        delivery->provenance = PROVENANCE_NONE;
        delivery->id = hash.size == 0
                           ? hash
                           : str_printf(delivery->arena, "%.*s/%.*s/%lld", STR_ARG(delivery->topic),
                                        STR_ARG(draft_cut(hash)), (long long)delivery->at_ms);
    } else {
        delivery->id = str_trim(inbound_header(delivery->inbound, "webhook-id"));
    }
}

/* --- what happened to an order --------------------------------------------- */

static enum status order_missing(struct problem *problem)
{
    return problem_set(problem, STATUS_INVALID, "invalid-event", "an order event without its id");
}

static struct str order_properties(const struct delivery *delivery, const json_t *data,
                                   struct str order_ref, const char *part)
{
    struct buf buf;
    struct jsonw json;
    const json_t *status = border_object(data, "status");
    draft_object_open(&buf, &json, delivery->arena, 128);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_text(&json, "status_id", border_scalar(delivery->arena, status, "new_status_id"));
    draft_put_text(&json, "previous_status_id",
                   border_scalar(delivery->arena, status, "previous_status_id"));
    draft_put_member(&json, delivery->arena, "refund_id", border_object(data, "refund"),
                     "refund_id");
    if (part != NULL) {
        jsonw_put_bool(&json, part, true);
    }
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status take_order(const struct delivery *delivery, const struct delivery_topic *topic,
                              struct draft *draft, struct problem *problem)
{
    const json_t *data = data_of(delivery);
    struct str order_ref = border_id(delivery->arena, data, "id");
    if (order_ref.size == 0) {
        return order_missing(problem);
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "order");
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_ORDER, order_ref);
        event->properties_json = order_properties(delivery, data, order_ref, topic->more);
    }
    return STATUS_OK;
}

/* A shipment is a document of its order, whatever else is in it. */
static enum status take_shipment(const struct delivery *delivery,
                                 const struct delivery_topic *topic, struct draft *draft,
                                 struct problem *problem)
{
    struct arena *arena = delivery->arena;
    struct str order_ref = border_id(arena, data_of(delivery), "orderId");
    struct str ref = border_id(arena, data_of(delivery), "id");
    if (order_ref.size == 0 || ref.size == 0) {
        return order_missing(problem);
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "shipment");
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (event == NULL || document == NULL) {
        return STATUS_OK;
    }
    if (topic->type == EVENT_ORDER_FULFILLED) {
        *document = (struct order_document){
            .kind = ORDER_FULFILMENT,
            .order_ref = order_ref,
            .document_ref = ref,
            .at_ms = event->occurred_at_ms,
        };
        event->order = document;
    }
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    event->properties_json = str_printf(arena, "{\"order_id\":%.*s,\"fulfilment_id\":%.*s}",
                                        STR_ARG(draft_json_text(arena, order_ref)),
                                        STR_ARG(draft_json_text(arena, ref)));
    return STATUS_OK;
}

/* --- carts ----------------------------------------------------------------- */

static enum status take_cart(const struct delivery *delivery, const struct delivery_topic *topic,
                             struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *data = data_of(delivery);
    struct str cart_ref = border_id(arena, data, "cartId"); /* of a line item */
    struct str order_ref = border_id(arena, data, "orderId");
    if (cart_ref.size == 0) {
        cart_ref = border_id(arena, data, "id");
    }
    if (cart_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a cart event without its id");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "cart");
    if (event == NULL) {
        return STATUS_OK;
    }
    bool is_over = topic->more != NULL;
    draft_identify(draft, event, IDENTITY_CART_TOKEN, cart_ref);
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    event->properties_json = delivery_named(arena, "cart_id", cart_ref);
    if (is_over) { /* nothing is left to read */
        event->cart_json = STR("null");
        event->is_thin = false;
        event->act = order_ref.size > 0;
    }
    return STATUS_OK;
}

/* --- customers ------------------------------------------------------------- */

static enum status take_customer(const struct delivery *delivery,
                                 const struct delivery_topic *topic, struct draft *draft,
                                 struct problem *problem)
{
    const json_t *data = data_of(delivery);
    const json_t *address = border_object(data, "address");
    struct str ref = border_id(delivery->arena, address != NULL ? address : data,
                               address != NULL ? "customer_id" : "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a customer event without the customer's id");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "customer");
    if (event != NULL) {
        event->is_thin = topic->type != EVENT_CUSTOMER_DELETED;
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
        event->properties_json = delivery_named(delivery->arena, "customer_id", ref);
    }
    return STATUS_OK;
}

/* A subscriber's number is nobody's name here; kept for whoever reads it. */
static enum status take_subscriber(const struct delivery *delivery,
                                   const struct delivery_topic *topic, struct draft *draft,
                                   struct problem *problem)
{
    (void)problem;
    struct event *event = delivery_thin_event(delivery, topic, draft, "subscriber");
    if (event != NULL) {
        event->properties_json = delivery_named(
            delivery->arena, "subscriber_id", border_id(delivery->arena, data_of(delivery), "id"));
    }
    return STATUS_OK;
}

/* --- the world ------------------------------------------------------------- */

static enum status take_product(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *data = data_of(delivery);
    const json_t *sku = border_object(data, "sku");
    struct str ref = border_id(arena, sku != NULL ? sku : data, sku != NULL ? "product_id" : "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a product event without the product's id");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "product");
    if (event != NULL) {
        event->is_thin = topic->type != EVENT_PRODUCT_DELETED;
        event->product_id = ref;
        event->properties_json = delivery_named(arena, "product_id", ref);
    }
    return STATUS_OK;
}

/* Only an absolute level says what is there; a difference does not. */
static enum status take_stock(const struct delivery *delivery, const struct delivery_topic *topic,
                              struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *level = border_object(data_of(delivery), "inventory");
    struct str ref = border_id(arena, level, "product_id");
    int64_t stock = 0;
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a stock level without product_id");
    }
    bool is_level = str_equal(border_text(level, "method"), STR("absolute")) &&
                    border_integer(level, "value", &stock);
    struct event *event = delivery_thin_event(delivery, topic, draft, "inventory");
    if (event == NULL) {
        return STATUS_OK;
    }
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 128);
    jsonw_put_str(&json, "product_id", ref);
    draft_put_member(&json, arena, "variant_id", level, "variant_id");
    if (is_level) {
        jsonw_put_i64(&json, "stock", stock);
    }
    jsonw_close(&json);
    event->is_thin = !is_level;
    event->product_id = ref;
    event->properties_json = buf_str(&buf);
    return STATUS_OK;
}

/* --- topics ---------------------------------------------------------------- */

static const struct delivery_topic TOPICS[] = {
    { "store/order/created", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "store/order/updated", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "store/order/archived", take_order, EVENT_ORDER_UPDATED, NULL, "archived" },
    { "store/order/statusUpdated", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "store/order/refund/created", take_order, EVENT_ORDER_REFUNDED, NULL, NULL },
    { "store/order/message/created", take_order, EVENT_ORDER_UPDATED, NULL, "message" },
    { "store/shipment/created", take_shipment, EVENT_ORDER_FULFILLED, NULL, NULL },
    { "store/shipment/updated", take_shipment, EVENT_ORDER_UPDATED, NULL, NULL },
    { "store/shipment/deleted", take_shipment, EVENT_ORDER_UPDATED, NULL, NULL },
    { "store/cart/created", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "store/cart/updated", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "store/cart/deleted", take_cart, EVENT_CART_UPDATED, NULL, "over" },
    { "store/cart/converted", take_cart, EVENT_CART_UPDATED, NULL, "over" },
    { "store/cart/couponApplied", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "store/cart/abandoned", take_cart, EVENT_CUSTOM, "custom.cart_abandoned", NULL },
    { "store/cart/lineItem/created", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "store/cart/lineItem/updated", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "store/cart/lineItem/deleted", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "store/customer/created", take_customer, EVENT_CUSTOMER_CREATED, NULL, NULL },
    { "store/customer/updated", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "store/customer/deleted", take_customer, EVENT_CUSTOMER_DELETED, NULL, NULL },
    { "store/customer/address/created", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "store/customer/address/updated", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "store/customer/address/update", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "store/customer/address/deleted", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "store/subscriber/created", take_subscriber, EVENT_CUSTOM, "custom.subscriber_created",
      NULL },
    { "store/subscriber/updated", take_subscriber, EVENT_CUSTOM, "custom.subscriber_updated",
      NULL },
    { "store/subscriber/deleted", take_subscriber, EVENT_CUSTOM, "custom.subscriber_deleted",
      NULL },
    { "store/product/created", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "store/product/updated", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "store/product/deleted", take_product, EVENT_PRODUCT_DELETED, NULL, NULL },
    { "store/sku/created", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "store/sku/updated", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "store/sku/deleted", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "store/product/inventory/updated", take_stock, EVENT_INVENTORY_UPDATED, NULL, NULL },
    { "store/product/inventory/order/updated", take_stock, EVENT_INVENTORY_UPDATED, NULL, NULL },
    { "store/sku/inventory/updated", take_stock, EVENT_INVENTORY_UPDATED, NULL, NULL },
    { "store/sku/inventory/order/updated", take_stock, EVENT_INVENTORY_UPDATED, NULL, NULL },
    { NULL, NULL, 0, NULL, NULL },
};

static const struct delivery_form FORM = { .topics = TOPICS, .read_head = read_head };

/* --- settings and setup ---------------------------------------------------- */

static enum status parse_settings(struct arena *arena, struct str settings_json,
                                  struct source *source, struct problem *problem)
{
    json_t *settings CLEANUP(border_free_at) = border_parse(settings_json, problem);
    const json_t *signing = json_object_get(settings, "signing");
    struct str word = border_text(settings, "signing");
    bool is_header = str_equal(word, STR("header"));
    if (signing != NULL && !json_is_null(signing) && !is_header &&
        !str_equal(word, STR("signed"))) {
        problem_set(problem, STATUS_INVALID, "invalid-field",
                    "\"signed\" (the app's client secret) or \"header\" is needed");
        problem_point(problem, "#/settings/signing");
        return STATUS_INVALID;
    }
    source->signature = is_header ? &BY_HEADER : NULL;
    return delivery_parse_settings(arena, settings_json, source, problem);
}

static const char *const SETUP_TOPICS[] = {
    "store/customer/*", "store/order/*", "store/cart/*",       "store/shipment/*",
    "store/product/*",  "store/sku/*",   "store/subscriber/*", NULL,
};

static const char *const SIGNED_STEPS[] = {
    "BigCommerce control panel > Settings > API accounts: an app with the scopes of topics, read "
    "only",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the app's client secret>\",\"label\":\"app\"}",
    "Once for each of topics: POST https://api.bigcommerce.com/stores/<store hash>/v3/hooks, "
    "X-Auth-Token: <access token>, {\"scope\":\"store/order/*\",\"destination\":\"<webhook_url>\","
    "\"is_active\":true}",
    "PUT settings.shop_id = the store hash, when more than one store has the app",
    NULL,
};

static const char *const HEADER_STEPS[] = {
    "For webhooks that are not signed: create the source with settings.signing = \"header\"",
    "Make a secret (openssl rand -hex 24) and store it: POST /v1/sources/%s/secrets "
    "{\"secret\":\"<it>\",\"label\":\"header\"}",
    "Register each of topics as above with \"headers\":{\"" SECRET_HEADER "\":\"<it>\"}",
    NULL,
};

static const struct setup_way WAYS[] = {
    { .way = "api", .steps = SIGNED_STEPS },
    { .way = "unsigned", .steps = HEADER_STEPS },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "what is in an order, a cart or a customer: BigCommerce sends their ids only",
      "import customers and orders (shopbell import), send new ones to POST /v1/events" },
    { "product views, searches, wish lists", "send them from your own pages" },
    { NULL, NULL },
};

static const char *const WARNINGS[] = {
    "An address that answers fewer than 90 in 100 of two minutes' webhooks is blocked for three "
    "minutes, and a webhook that fails for 48 hours is switched off.",
    "settings.signing = \"header\" proves the sender by a secret that travels with each request; "
    "such events carry provenance none.",
    NULL,
};

static const char *const SETTINGS[] = { "shop_id",  "signing",           "time_zone",
                                        "currency", "allowed_addresses", NULL };

const struct platform platform_bigcommerce = {
    .name = "bigcommerce",
    .title = "BigCommerce",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_LIST,
        .content = "{id}.{timestamp}.{body}",
        .headers = { { "webhook-signature", "webhook-id", "webhook-timestamp" } },
        .tolerance_ms = TOLERANCE_S * INSTANT_SECOND_MS,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* Eleven repeats, the last after 48 hours. */
    .dedup_horizon_ms = 3 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = SETUP_TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .default_order_completed_when = "[]",
    .parse_settings = parse_settings,
    .delivery = &FORM,
    .setup = { WAYS, GAPS, WARNINGS },
};
