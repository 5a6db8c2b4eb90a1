#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "platform_priv.h"
#include "shopify_priv.h"
#include "sources/json_border.h"

/*
 * Shopify.
 *
 * Two families of headers: webhooks have X-Shopify-*, the newer events the
 * same names without "X-"; the latter are preferred, as Shopify's own SDK
 * does. Only the body is signed, so a captured body may be replayed under
 * another topic. Where the body names its own class (admin_graphql_api_id:
 * "gid://shopify/Order/..."), that must agree with the topic; what disagrees
 * is quarantined.
 *
 * Invariant: every answer for an authenticated delivery is a 200 in the end.
 * Shopify deletes a subscription that fails eight times in a row, so an
 * unknown topic is ignored and an unreadable body quarantined.
 *
 * Consent has a time of its own (consent_updated_at), often years before the
 * customer's last change. It becomes an event at that time, keyed by what it
 * says, so restating it in every customers/update has one effect and cannot
 * overrule a newer unsubscription from elsewhere. Rejected: consent as facts
 * of customers/update (stamped too new), and of orders (buyer_accepts_marketing
 * is restated by customers/update, with its time).
 */

/* --- shared --------------------------------------------------------------- */

void shopify_draft_init(const struct shopify_delivery *delivery, struct draft *draft,
                        size_t capacity)
{
    draft_init(draft, delivery->arena, delivery->source, TRUST_SIGNED, delivery->received_at_ms,
               delivery->dedup_key, capacity);
}

int64_t shopify_instant(const struct shopify_delivery *delivery, const json_t *object,
                        const char *first, const char *second)
{
    const char *zone =
        delivery->source->time_zone.size > 0 ? delivery->source->time_zone.data : NULL;
    int64_t at_ms = border_instant(object, first, zone);
    if (at_ms == INSTANT_NONE) {
        at_ms = border_instant(object, second, zone);
    }
    return at_ms == INSTANT_NONE ? delivery->triggered_at_ms : at_ms;
}

struct str shopify_currency(const struct shopify_delivery *delivery, const json_t *object,
                            const char *key)
{
    struct str code = border_text(object, key);
    return money_currency_is_valid(code) ? str_dup(delivery->arena, code)
                                         : delivery->source->currency;
}

void shopify_identify_customer(const struct shopify_delivery *delivery, struct draft *draft,
                               struct event *event, const json_t *customer)
{
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, border_id(delivery->arena, customer, "id"));
}

void shopify_describe_customer(const struct shopify_delivery *delivery, struct draft *draft,
                               struct event *event, const json_t *customer, const json_t *address)
{
    const json_t *named =
        border_text(customer, "first_name").size > 0 || border_text(customer, "last_name").size > 0
            ? customer
            : address;
    struct str country = border_text(address, "country_code");
    draft_trait(draft, event, "first_name", border_text(named, "first_name"));
    draft_trait(draft, event, "last_name", border_text(named, "last_name"));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(delivery->arena, country, border_text(address, "province_code")));
    draft_trait(draft, event, "city", border_text(address, "city"));
    draft_trait(draft, event, "postal_code", border_text(address, "zip"));
}

void shopify_write_line(struct jsonw *json, struct arena *arena, const json_t *line,
                        struct str currency)
{
    struct str name = border_text(line, "title");
    draft_put_member(json, arena, "product_id", line, "product_id");
    draft_put_member(json, arena, "variant_id", line, "variant_id");
    draft_put_text(json, "sku", border_text(line, "sku"));
    draft_put_text(json, "name", name.size > 0 ? name : border_text(line, "presentment_title"));
    draft_put_text(json, "brand", border_text(line, "vendor"));
    int64_t quantity = 0;
    if (border_integer(line, "quantity", &quantity)) {
        jsonw_put_i64(json, "quantity", quantity);
    }
    draft_put_money(json, "price", line, "price", currency);
}

/* --- consent -------------------------------------------------------------- */

/* NULL: says nothing. "not_subscribed" is the state of those never asked, and
 * a word only with a time. */
static const char *consent_state(struct str state, bool has_time)
{
    static const struct {
        const char *shopify;
        const char *ours;
    } STATES[] = {
        { "subscribed", "subscribed" }, { "unsubscribed", "unsubscribed" },
        { "pending", "pending" },       { "invalid", "invalid" },
        { "redacted", "unsubscribed" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(STATES); i++) {
        if (str_equal_nocase_z(state, STATES[i].shopify)) {
            return STATES[i].ours;
        }
    }
    return has_time && str_equal_nocase(state, STR("not_subscribed")) ? "never" : NULL;
}

static struct event *consent_event(const struct shopify_delivery *delivery, struct draft *draft,
                                   const char *channel, const char *state, int64_t at_ms,
                                   struct str customer_ref)
{
    struct arena *arena = delivery->arena;
    struct str key = { NULL, 0 };
    if (at_ms != INSTANT_NONE) {
        key = str_printf(arena, "consent/%s/%.*s/%lld/%s", channel, STR_ARG(customer_ref),
                         (long long)at_ms, state);
    } else {
        at_ms = delivery->triggered_at_ms;
    }
    struct event *event =
        draft_event(draft, EVENT_CONSENT_UPDATED, key, str_from_z(channel), at_ms);
    if (event != NULL) {
        /* By the customer or by the merchant: the payload does not tell, and
         * silence must not be broken by the merchant. */
        event->act = false;
        draft_fact_json(draft, event, FACT_CONSENT, str_from_z(channel),
                        str_printf(arena, "\"%s\"", state));
        event->properties_json =
            str_printf(arena, "{\"channel\":\"%s\",\"state\":\"%s\"}", channel, state);
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, customer_ref);
    }
    return event;
}

/* {"state":..., "consent_updated_at":...} of one channel. `needs_time` where
 * the delivery itself says nothing about when. */
static struct event *consent_of(const struct shopify_delivery *delivery, struct draft *draft,
                                const char *channel, const json_t *consent, bool needs_time,
                                struct str customer_ref)
{
    int64_t at_ms = border_instant(consent, "consent_updated_at", NULL);
    const char *state = consent_state(border_text(consent, "state"), at_ms != INSTANT_NONE);
    if (state == NULL || (needs_time && at_ms == INSTANT_NONE)) {
        return NULL;
    }
    return consent_event(delivery, draft, channel, state, at_ms, customer_ref);
}

static enum status take_consent(const struct shopify_delivery *delivery, struct draft *draft,
                                struct problem *problem)
{
    const json_t *root = delivery->root;
    struct str customer_ref = border_id(delivery->arena, root, "customer_id");
    if (customer_ref.size == 0) {
        customer_ref = border_id(delivery->arena, root, "id");
    }
    if (customer_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "consent without customer_id");
    }
    shopify_draft_init(delivery, draft, 2);
    struct event *event =
        consent_of(delivery, draft, "email", border_object(root, "email_marketing_consent"), false,
                   customer_ref);
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(root, "email_address"));
    event = consent_of(delivery, draft, "sms", border_object(root, "sms_marketing_consent"), false,
                       customer_ref);
    draft_identify(draft, event, IDENTITY_PHONE, border_text(root, "phone"));
    return STATUS_OK;
}

/* --- customers ------------------------------------------------------------ */

/* Before 2022 a customer had one flag and its time. */
static void old_consent(const struct shopify_delivery *delivery, struct draft *draft,
                        struct event *customer, struct str customer_ref)
{
    const json_t *root = delivery->root;
    int64_t at_ms = border_instant(root, "accepts_marketing_updated_at", NULL);
    bool accepts = border_is_true(root, "accepts_marketing");
    if (at_ms != INSTANT_NONE) {
        consent_event(delivery, draft, "email", accepts ? "subscribed" : "unsubscribed", at_ms,
                      customer_ref);
    } else if (accepts) {
        draft_undated_consent(draft, customer, "email");
    }
}

static enum status take_customer(const struct shopify_delivery *delivery, struct draft *draft,
                                 struct problem *problem)
{
    const json_t *root = delivery->root;
    struct str customer_ref = border_id(delivery->arena, root, "id");
    if (customer_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a customer without id");
    }
    shopify_draft_init(delivery, draft, 4);
    bool is_new = str_equal(delivery->topic, STR("customers/create"));
    int64_t at_ms = is_new ? shopify_instant(delivery, root, "created_at", "updated_at")
                           : shopify_instant(delivery, root, "updated_at", "created_at");
    struct event *event =
        draft_event(draft, is_new ? EVENT_CUSTOMER_CREATED : EVENT_CUSTOMER_UPDATED, STR(""),
                    STR("customer"), at_ms);
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, customer_ref);
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(root, "email"));
    draft_identify(draft, event, IDENTITY_PHONE, border_text(root, "phone"));
    shopify_describe_customer(delivery, draft, event, root, border_object(root, "default_address"));
    draft_trait(draft, event, "locale", border_text(root, "locale"));
    event->properties_json = str_printf(delivery->arena, "{\"customer_id\":%.*s}",
                                        STR_ARG(draft_json_text(delivery->arena, customer_ref)));

    const json_t *email = border_object(root, "email_marketing_consent");
    if (email != NULL) {
        consent_of(delivery, draft, "email", email, true, customer_ref);
    } else {
        old_consent(delivery, draft, event, customer_ref);
    }
    consent_of(delivery, draft, "sms", border_object(root, "sms_marketing_consent"), true,
               customer_ref);
    return STATUS_OK;
}

static void customer_gone(const struct shopify_delivery *delivery, struct draft *draft,
                          struct str customer_ref)
{
    struct event *event = draft_event(draft, EVENT_CUSTOMER_DELETED, STR(""), STR("customer"),
                                      delivery->triggered_at_ms);
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, customer_ref);
        event->properties_json =
            str_printf(delivery->arena, "{\"customer_id\":%.*s}",
                       STR_ARG(draft_json_text(delivery->arena, customer_ref)));
    }
}

static enum status take_customer_deleted(const struct shopify_delivery *delivery,
                                         struct draft *draft, struct problem *problem)
{
    struct str customer_ref = border_id(delivery->arena, delivery->root, "id");
    if (customer_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a customer without id");
    }
    shopify_draft_init(delivery, draft, 1);
    customer_gone(delivery, draft, customer_ref);
    return STATUS_OK;
}

/* "gid://shopify/Customer/207119551" -> "207119551" */
static struct str gid_last(struct str gid)
{
    for (size_t i = gid.size; i > 0; i--) {
        if (gid.data[i - 1] == '/') {
            return str_drop(gid, i);
        }
    }
    return gid;
}

/* Two numbers are one customer now: one event names both, and the other number
 * stays known, since documents from before the merge still come under it. That
 * is no deletion of the customer, whatever the payload calls it. Shopify also
 * sends this topic for a merge that failed or has only begun. */
static enum status take_customer_merged(const struct shopify_delivery *delivery,
                                        struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    struct str kept = gid_last(border_text(delivery->root, "admin_graphql_api_customer_kept_id"));
    struct str gone =
        gid_last(border_text(delivery->root, "admin_graphql_api_customer_deleted_id"));
    if (kept.size == 0 || gone.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a merge that does not name both customers");
    }
    shopify_draft_init(delivery, draft, 1);
    struct str state = border_text(delivery->root, "status");
    if (state.size > 0 && !str_equal_nocase(state, STR("completed"))) {
        return STATUS_OK;
    }
    struct event *event =
        draft_event(draft, EVENT_CUSTOMER_UPDATED, STR(""), STR("kept"), delivery->triggered_at_ms);
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, kept);
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, gone);
        event->unites_customers = true;
        event->properties_json =
            str_printf(arena, "{\"customer_id\":%.*s,\"merged_customer_id\":%.*s}",
                       STR_ARG(draft_json_text(arena, draft_cut(kept))),
                       STR_ARG(draft_json_text(arena, draft_cut(gone))));
    }
    return STATUS_OK;
}

/* --- privacy -------------------------------------------------------------- */

/* A request that a person must see to: what is quarantined is not lost, and the
 * source says how many wait. */
static enum status take_privacy(const struct shopify_delivery *delivery, struct draft *draft,
                                struct problem *problem)
{
    (void)delivery;
    (void)draft;
    return problem_set(problem, STATUS_INVALID, "invalid-event",
                       SOURCE_PRIVACY_REASON ": to be handled by an operator");
}

/* --- topics --------------------------------------------------------------- */

static const struct {
    const char *topic;
    const char *class; /* of admin_graphql_api_id; NULL: nothing to compare */
    shopify_take_fn *take;
} TOPICS[] = {
    { "orders/updated", "Order", shopify_take_order },
    { "orders/create", "Order", shopify_take_order },
    { "orders/paid", "Order", shopify_take_order },
    { "orders/cancelled", "Order", shopify_take_order },
    { "orders/fulfilled", "Order", shopify_take_order },
    { "orders/partially_fulfilled", "Order", shopify_take_order },
    { "orders/edited", NULL, shopify_take_order_edited },
    { "orders/delete", "Order", shopify_take_order_deleted },
    { "refunds/create", "Refund", shopify_take_refund },
    { "fulfillments/create", "Fulfillment", shopify_take_fulfilment },
    { "fulfillments/update", "Fulfillment", shopify_take_fulfilment },
    { "carts/create", "Cart", shopify_take_cart },
    { "carts/update", "Cart", shopify_take_cart },
    { "checkouts/create", "Checkout", shopify_take_checkout },
    { "checkouts/update", "Checkout", shopify_take_checkout },
    { "checkouts/delete", "Checkout", shopify_take_checkout_deleted },
    { "order_transactions/create", "OrderTransaction", shopify_take_transaction },
    { "disputes/create", NULL, shopify_take_dispute },
    { "customers/create", "Customer", take_customer },
    { "customers/update", "Customer", take_customer },
    { "customers/delete", "Customer", take_customer_deleted },
    { "customers/merge", NULL, take_customer_merged },
    { "customers_email_marketing_consent/update", NULL, take_consent },
    { "customers_marketing_consent/update", NULL, take_consent },
    { "products/create", "Product", shopify_take_product },
    { "products/update", "Product", shopify_take_product },
    { "products/delete", "Product", shopify_take_product },
    { "inventory_levels/update", "InventoryLevel", shopify_take_inventory },
    { "customers/data_request", NULL, take_privacy },
    { "customers/redact", NULL, take_privacy },
    { "shop/redact", NULL, take_privacy },
};

/* "gid://shopify/Order/820982911946154508" under orders/updated? */
static bool class_agrees(const json_t *root, const char *class)
{
    static const char prefix[] = "gid://shopify/";
    struct str gid = border_text(root, "admin_graphql_api_id");
    if (class == NULL || !str_starts_with(gid, str_from_z(prefix))) {
        return true;
    }
    struct str rest = str_drop(gid, sizeof(prefix) - 1);
    struct str named = { NULL, 0 };
    struct str id = { NULL, 0 };
    return !str_split(rest, '/', &named, &id) || str_equal_z(named, class);
}

static struct str header_either(const struct inbound *inbound, const char *name_with_x)
{
    struct str value = inbound_header(inbound, name_with_x + strlen("X-"));
    return str_trim(value.size > 0 ? value : inbound_header(inbound, name_with_x));
}

/* The events family may name the resource and the action apart. */
static struct str topic_named(struct arena *arena, const struct inbound *inbound)
{
    struct str topic = header_either(inbound, "X-Shopify-Topic");
    struct str action = header_either(inbound, "X-Shopify-Action");
    if (topic.size > 0 && action.size > 0 && str_find(topic, '/', 0) < 0) {
        return str_printf(arena, "%.*s/%.*s", STR_ARG(draft_cut(topic)),
                          STR_ARG(draft_cut(action)));
    }
    return str_dup(arena, draft_cut(topic));
}

static struct str topic_of(struct arena *arena, const struct inbound *inbound)
{
    struct str topic = topic_named(arena, inbound);
    return str_is_text(topic) ? topic : STR("");
}

/* Keeps the merchant's action, which several deliveries may share. */
static void add_context(struct draft *draft, const struct inbound *inbound)
{
    struct str action_id = header_either(inbound, "X-Shopify-Event-Id");
    if (action_id.size == 0 || action_id.size > LIMIT_TEXT_BYTES || !str_is_text(action_id)) {
        return;
    }
    struct str context = str_printf(draft->arena, "{\"shopify_event_id\":%.*s}",
                                    STR_ARG(draft_json_text(draft->arena, action_id)));
    for (size_t i = 0; i < draft->event_count; i++) {
        draft->events[i].context_json = context;
    }
}

static enum normalise_verdict take(shopify_take_fn *function, const char *class,
                                   struct shopify_delivery *delivery, const struct inbound *inbound,
                                   struct normalised *out_normalised, struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    if (!json_is_object(root)) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "the body is no JSON object");
        return NORMALISE_UNREADABLE;
    }
    if (!class_agrees(root, class)) {
        problem_set(problem, STATUS_INVALID, "invalid-event",
                    "the body is of another kind than topic %.*s: replayed under a wrong topic?",
                    STR_ARG(delivery->topic));
        return NORMALISE_UNREADABLE;
    }
    struct draft draft = { .arena = delivery->arena };
    delivery->root = root;
    enum status status = function(delivery, &draft, problem);
    if (arena_is_full(delivery->arena)) {
        return NORMALISE_FULL;
    }
    if (status != STATUS_OK) {
        return NORMALISE_UNREADABLE;
    }
    add_context(&draft, inbound);
    return draft_finish(&draft, out_normalised);
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct str topic = topic_of(arena, inbound);
    struct str webhook_id = header_either(inbound, "X-Shopify-Webhook-Id");
    struct shopify_delivery delivery = {
        .arena = arena,
        .source = source,
        .topic = topic,
        .dedup_key = draft_dedup_key(arena, webhook_id, topic, inbound->body),
        .received_at_ms = inbound->received_at_ms,
        .triggered_at_ms = INSTANT_NONE,
    };
    struct str triggered_at = header_either(inbound, "X-Shopify-Triggered-At");
    if (!instant_parse(triggered_at, false, &delivery.triggered_at_ms, NULL)) {
        delivery.triggered_at_ms = INSTANT_NONE;
    }
    if (arena_is_full(arena)) {
        return NORMALISE_FULL;
    }
    *out_normalised = (struct normalised){ .topic = topic, .dedup_key = delivery.dedup_key };
    if (topic.size == 0) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "no readable X-Shopify-Topic header");
        return NORMALISE_UNREADABLE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(TOPICS); i++) {
        if (str_equal_z(topic, TOPICS[i].topic)) {
            return take(TOPICS[i].take, TOPICS[i].class, &delivery, inbound, out_normalised,
                        problem);
        }
    }
    return NORMALISE_IGNORED;
}

/* The header is not signed, so its absence proves nothing; a wrong name proves
 * a webhook that was pointed at the wrong source. */
static bool is_own_shop(const struct source *source, const struct inbound *inbound)
{
    struct str shop = header_either(inbound, "X-Shopify-Shop-Domain");
    return source->shop_domain.size == 0 || shop.size == 0 ||
           str_equal_nocase(shop, source->shop_domain);
}

/* --- setup ---------------------------------------------------------------- */

static const char *const SETUP_TOPICS[] = {
    "customers/create",
    "customers/update",
    "customers/delete",
    "customers/merge",
    "customers_email_marketing_consent/update",
    "customers_marketing_consent/update",
    "orders/create",
    "orders/updated",
    "orders/paid",
    "orders/cancelled",
    "orders/fulfilled",
    "orders/partially_fulfilled",
    "orders/edited",
    "orders/delete",
    "refunds/create",
    "fulfillments/create",
    "fulfillments/update",
    "order_transactions/create",
    "disputes/create",
    "carts/create",
    "carts/update",
    "checkouts/create",
    "checkouts/update",
    "checkouts/delete",
    "products/create",
    "products/update",
    "products/delete",
    "inventory_levels/update",
    NULL,
};

static const char *const ADMIN_STEPS[] = {
    "Shopify admin > Settings > Notifications > Webhooks > Create webhook, once for each of topics",
    "Format JSON, URL = webhook_url, newest API version",
    "Copy the signing key shown on that page",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the key>\",\"label\":\"notifications page\"}",
    "Send test notification, then GET /v1/sources/%s: status is active",
    NULL,
};

static const char *const APP_STEPS[] = {
    "Paste into shopify.app.toml, run shopify app deploy",
    "POST /v1/sources/%s/secrets {\"secret\":\"<client secret>\",\"label\":\"app\"}",
    NULL,
};

static void write_toml(struct buf *paste, const struct source *source, struct str webhook_url,
                       struct str secret)
{
    (void)source;
    (void)secret; /* Shopify makes it */
    buf_add_z(paste, "[webhooks]\napi_version = \"2026-10\"\n\n[[webhooks.subscriptions]]\n"
                     "topics = [");
    for (size_t i = 0; SETUP_TOPICS[i] != NULL; i++) {
        buf_printf(paste, "%s\"%s\"", i == 0 ? "" : ", ", SETUP_TOPICS[i]);
    }
    buf_printf(paste, "]\nuri = \"%.*s\"\n\n[[webhooks.subscriptions]]\n", STR_ARG(webhook_url));
    buf_printf(paste,
               "compliance_topics = [\"customers/data_request\", \"customers/redact\", "
               "\"shop/redact\"]\nuri = \"%.*s\"\n",
               STR_ARG(webhook_url));
}

static const struct setup_way WAYS[] = {
    { .way = "admin", .steps = ADMIN_STEPS },
    { .way = "app", .steps = APP_STEPS, .write_paste = write_toml },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "product views, searches, wish lists",
      "send them to POST /v1/events from your own pages or a custom pixel" },
    { "history before today",
      "send it to POST /v1/events, oldest first, with the orders' own ids" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "Webhooks made on the Notifications page and by an app are signed with different "
    "keys: store both if you use both.",
    "customers/data_request, customers/redact and shop/redact are kept for an operator "
    "(health.privacy_requests counts them, GET /v1/quarantine lists them): answer them "
    "within 30 days.",
    NULL,
};

static const char *const SETTINGS[] = { "shop_domain",          "time_zone",         "currency",
                                        "order_completed_when", "allowed_addresses", NULL };

static const char *const HEADERS[] = {
    "x-shopify-topic",        "x-shopify-shop-domain",
    "x-shopify-webhook-id",   "x-shopify-event-id",
    "x-shopify-triggered-at", "x-shopify-api-version",
    "x-shopify-test",         "shopify-topic",
    "shopify-shop-domain",    "shopify-webhook-id",
    "shopify-event-id",       "shopify-triggered-at",
    "shopify-api-version",    NULL,
};
static const char *const TOPIC_HEADERS[] = { "shopify-topic", "x-shopify-topic", NULL };

const struct platform platform_shopify = {
    .name = "shopify",
    .title = "Shopify",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = "shopify-hmac-sha256" },
                     { .signature = "x-shopify-hmac-sha256" } },
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* Eight repeats in four hours, but "a delivery may be a day late", and its
     * console sends again by hand. */
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 6 * INSTANT_HOUR_MS,
    .headers = HEADERS,
    .topic_headers = TOPIC_HEADERS,
    .topics = SETUP_TOPICS,
    .order_statuses = shopify_order_statuses,
    .settings = SETTINGS,
    .default_order_completed_when = "\"paid_or_authorized\"",
    .is_own_shop = is_own_shop,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
