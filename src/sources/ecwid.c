#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "delivery_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Ecwid.
 *
 * Its signature covers the event's id and time, which stand in the body, and
 * nothing else: not the type, the store, the entity. Who sees one delivery can
 * hang any story on its signature, once (the id is the dedup key, and no other
 * id verifies). So the events are thin, carry provenance "partial", and of the
 * rest of the body nothing but names of resources is taken: not the payment
 * status that stands beside an order's id.
 *
 * Rejected: a window on eventCreated. It is when something happened, not when it
 * was sent, and repeats come for a day.
 */

#define SIGNATURE_HEADER "x-ecwid-webhook-signature"

static void read_head(struct delivery *delivery)
{
    const json_t *root = delivery->root;
    delivery->topic = border_text(root, "eventType");
    delivery->id = border_text(root, "eventId");
    delivery->shop_id = border_id(delivery->arena, root, "storeId");
    delivery->at_ms = delivery_seconds(root, "eventCreated");
    delivery->provenance = PROVENANCE_PARTIAL;
}

/* "<eventCreated>.<eventId>", out of a body that nobody has vouched for. */
static enum signature_verdict read_claim(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim)
{
    (void)source;
    struct problem unseen;
    struct str signature = str_trim(inbound_header(inbound, SIGNATURE_HEADER));
    if (signature.size == 0) {
        return SIGNATURE_HEADER_MISSING;
    }
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, &unseen);
    struct str id = str_dup(arena, border_text(root, "eventId"));
    struct str created = border_scalar(arena, root, "eventCreated");
    if (id.size == 0 || created.size == 0 || inbound_header_count(inbound, SIGNATURE_HEADER) > 1) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    claim->signatures[0] = (struct signature_text){ .text = signature };
    claim->signature_count = 1;
    claim->pieces[0] = created;
    claim->pieces[1] = STR(".");
    claim->pieces[2] = id;
    claim->piece_count = 3;
    return SIGNATURE_VALID;
}

/* An order's own id is data.orderId; older deliveries have its number as
 * entityId, where newer ones have a number for internal use. */
static struct str order_of(const struct delivery *delivery)
{
    struct str ref = border_id(delivery->arena, border_object(delivery->root, "data"), "orderId");
    return ref.size > 0 ? ref : border_id(delivery->arena, delivery->root, "entityId");
}

static enum status take_order(const struct delivery *delivery, const struct delivery_topic *topic,
                              struct draft *draft, struct problem *problem)
{
    struct str order_ref = order_of(delivery);
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "an order event without id");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "order");
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_ORDER, order_ref);
        event->properties_json = delivery_named(delivery->arena, "order_id", order_ref);
    }
    return STATUS_OK;
}

/* An unfinished order is a cart that became an order's number beforehand. A
 * deletion is not vouched for, so it empties nothing. */
static enum status take_cart(const struct delivery *delivery, const struct delivery_topic *topic,
                             struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    struct str cart_ref = border_id(arena, border_object(delivery->root, "data"), "cartId");
    if (cart_ref.size == 0) {
        cart_ref = order_of(delivery);
    }
    if (cart_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a cart event without id");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "cart");
    if (event != NULL) {
        event->act = topic->more == NULL;
        draft_identify(draft, event, IDENTITY_CART_TOKEN, cart_ref);
        event->properties_json = delivery_named(arena, "cart_id", cart_ref);
    }
    return STATUS_OK;
}

static enum status take_customer(const struct delivery *delivery,
                                 const struct delivery_topic *topic, struct draft *draft,
                                 struct problem *problem)
{
    struct str ref = border_id(delivery->arena, delivery->root, "entityId");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a customer event without id");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "customer");
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
        event->properties_json = delivery_named(delivery->arena, "customer_id", ref);
    }
    return STATUS_OK;
}

static enum status take_product(const struct delivery *delivery, const struct delivery_topic *topic,
                                struct draft *draft, struct problem *problem)
{
    struct str ref = border_id(delivery->arena, delivery->root, "entityId");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a product event without id");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "product");
    if (event != NULL) {
        event->product_id = ref;
        event->properties_json = delivery_named(delivery->arena, "product_id", ref);
    }
    return STATUS_OK;
}

/* That something was deleted is one more unsigned word: it is told, and nothing
 * is undone for it. */
static const struct delivery_topic TOPICS[] = {
    { "order.created", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "order.updated", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "order.deleted", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "unfinished_order.created", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "unfinished_order.updated", take_cart, EVENT_CART_UPDATED, NULL, NULL },
    { "unfinished_order.deleted", take_cart, EVENT_CART_UPDATED, NULL, "gone" },
    { "customer.created", take_customer, EVENT_CUSTOMER_CREATED, NULL, NULL },
    { "customer.updated", take_customer, EVENT_CUSTOMER_UPDATED, NULL, NULL },
    { "customer.deleted", take_customer, EVENT_CUSTOM, "custom.customer_deleted", NULL },
    { "product.created", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { "product.updated", take_product, EVENT_PRODUCT_UPDATED, NULL, NULL },
    { NULL, NULL, 0, NULL, NULL },
};
static const struct delivery_form FORM = { .topics = TOPICS, .read_head = read_head };

static const char *const SETUP_TOPICS[] = {
    "order.created",
    "order.updated",
    "order.deleted",
    "unfinished_order.created",
    "unfinished_order.updated",
    "unfinished_order.deleted",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "product.created",
    "product.updated",
    NULL,
};

static const char *const STEPS[] = {
    "my.ecwid.com/#develop-apps > the app > Webhooks: URL = webhook_url, events = topics",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the app's client secret>\",\"label\":\"app\"}",
    "When more than one store has the app: settings.shop_id = the store id",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "app", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { "what is in an order, a cart or a customer: Ecwid sends their ids only",
      "import customers and orders (shopbell import), send new ones to POST /v1/events" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "Ecwid signs the event's id and time, not what it says: events carry provenance partial, and "
    "nothing but names of resources is taken from them.",
    NULL,
};

const struct platform platform_ecwid = {
    .name = "ecwid",
    .title = "Ecwid",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = SIGNATURE_HEADER } },
        .read_claim = read_claim,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_PARTIAL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* Repeats of a day are what implementers report; the vendor's page is silent. */
    .dedup_horizon_ms = 7 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = SETUP_TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = delivery_settings,
    .default_order_completed_when = "[]",
    .parse_settings = delivery_parse_settings,
    .delivery = &FORM,
    .setup = { WAYS, GAPS, WARNINGS },
};
