#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "draft_priv.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * WooCommerce.
 *
 * The hardest sender of the three: HTTP/1.0, no repeat of a failed delivery,
 * no usable delivery id (X-WC-Webhook-Delivery-ID is a hash of the webhook and
 * the second), and an unsigned form-encoded ping before a webhook can be
 * saved. The delivery's key is therefore the webhook's id and a hash of the
 * body: the same bytes from the same webhook are the same delivery. But a deletion
 * is an id and no time, so that of an order deleted, restored and deleted again the
 * two are the same bytes: there the delivery id tells, for none is sent twice.
 *
 * Invariant: an order is stated whole each time, refunds included, with
 * date_modified_gmt as its version. "order.updated" fires when a refund is
 * made and also when it is deleted, and status may leave "cancelled" again
 * when a late payment arrives. So what a body says stands for its version
 * only: refunds and the cancelled status are the body's own (refunded_minor,
 * rank), and the events order.refunded and order.cancelled that are told
 * beside it carry no document of their own, which the fold could never take
 * back. Their keys are the refund's and the order's, so each is told once.
 *
 * Times: *_gmt is UTC without "Z"; the plain ones are shop-local and used only
 * when the former are missing.
 */

struct woo_delivery {
    struct arena *arena;
    const struct source *source;
    const json_t *root;
    struct str verb; /* "created" of "order.created" */
    struct str dedup_key;
    int64_t received_at_ms;
};

/* "refunded" is an order that was completed and given back whole: it leaves
 * the count by default, as in WooCommerce's own reports of customers. */
static const struct order_status_rule ORDER_STATUSES[] = {
    { "checkout-draft", ORDER_OPEN, false }, { "pending", ORDER_OPEN, false },
    { "on-hold", ORDER_OPEN, false },        { "processing", ORDER_PAID, true },
    { "completed", ORDER_FULFILLED, true },  { "refunded", ORDER_FULFILLED, false },
    { "cancelled", ORDER_CANCELLED, false }, { "failed", ORDER_CANCELLED, false },
    { "trash", ORDER_CANCELLED, false },     { NULL, ORDER_OPEN, false },
};

static void woo_draft_init(const struct woo_delivery *delivery, struct draft *draft,
                           size_t capacity)
{
    draft_init(draft, delivery->arena, delivery->source, TRUST_SIGNED, delivery->received_at_ms,
               delivery->dedup_key, capacity);
}

static int64_t woo_instant(const struct woo_delivery *delivery, const char *gmt, const char *local)
{
    int64_t at_ms = border_instant(delivery->root, gmt, NULL);
    if (at_ms == INSTANT_NONE) {
        struct str zone = delivery->source->time_zone;
        at_ms = border_instant(delivery->root, local, zone.size > 0 ? zone.data : NULL);
    }
    return at_ms;
}

static int64_t modified_at(const struct woo_delivery *delivery)
{
    int64_t at_ms = woo_instant(delivery, "date_modified_gmt", "date_modified");
    return at_ms == INSTANT_NONE ? woo_instant(delivery, "date_created_gmt", "date_created")
                                 : at_ms;
}

static int64_t created_at(const struct woo_delivery *delivery)
{
    int64_t at_ms = woo_instant(delivery, "date_created_gmt", "date_created");
    return at_ms == INSTANT_NONE ? modified_at(delivery) : at_ms;
}

static void describe_buyer(struct draft *draft, struct event *event, const json_t *person,
                           const json_t *billing)
{
    const json_t *named =
        border_text(person, "first_name").size > 0 || border_text(person, "last_name").size > 0
            ? person
            : billing;
    struct str country = border_text(billing, "country");
    draft_trait(draft, event, "first_name", border_text(named, "first_name"));
    draft_trait(draft, event, "last_name", border_text(named, "last_name"));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(draft->arena, country, border_text(billing, "state")));
    draft_trait(draft, event, "city", border_text(billing, "city"));
    draft_trait(draft, event, "postal_code", border_text(billing, "postcode"));
}

/* --- orders --------------------------------------------------------------- */

static void write_products(struct jsonw *json, const struct woo_delivery *delivery,
                           struct str currency)
{
    struct arena *arena = delivery->arena;
    bool cut = false;
    size_t i = 0;
    const json_t *line = NULL;
    jsonw_key(json, "products");
    jsonw_open_array(json);
    json_array_foreach(border_array(delivery->root, "line_items"), i, line)
    {
        cut = json->buf->size > DRAFT_PRODUCTS_BYTES;
        if (cut) {
            break;
        }
        int64_t quantity = 0;
        jsonw_open(json);
        draft_put_member(json, arena, "product_id", line, "product_id");
        draft_put_member(json, arena, "variant_id", line, "variation_id");
        draft_put_text(json, "sku", border_text(line, "sku"));
        draft_put_text(json, "name", border_text(line, "name"));
        if (border_integer(line, "quantity", &quantity)) {
            jsonw_put_i64(json, "quantity", quantity);
        }
        draft_put_money(json, "price", line, "price", currency);
        draft_put_text(json, "image_url", border_text(border_object(line, "image"), "src"));
        jsonw_close(json);
    }
    jsonw_close_array(json);
    if (cut) {
        jsonw_put_bool(json, "products_cut", true);
    }
}

static int64_t subtotal_of(const json_t *order, struct str currency)
{
    int64_t sum = 0;
    size_t i = 0;
    const json_t *line = NULL;
    json_array_foreach(border_array(order, "line_items"), i, line)
    {
        int64_t minor = 0;
        border_money(line, "subtotal", currency, &minor);
        sum = border_money_add(sum, minor);
    }
    return sum;
}

static struct str order_properties(const struct woo_delivery *delivery, struct str order_ref,
                                   struct str status, struct str currency)
{
    const json_t *order = delivery->root;
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 1024);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_text(&json, "number", border_scalar(delivery->arena, order, "number"));
    draft_put_text(&json, "status", status);
    draft_put_money(&json, "total", order, "total", currency);
    jsonw_put_money(&json, "subtotal", subtotal_of(order, currency), currency);
    draft_put_money(&json, "discount", order, "discount_total", currency);
    draft_put_money(&json, "shipping", order, "shipping_total", currency);
    draft_put_money(&json, "tax", order, "total_tax", currency);
    draft_put_text(&json, "currency", currency);
    draft_put_text(&json, "coupon",
                   border_text(json_array_get(border_array(order, "coupon_lines"), 0), "code"));
    draft_put_channel(&json, border_text(order, "created_via"));
    write_products(&json, delivery, currency);
    jsonw_close(&json);
    return buf_str(&buf);
}

/* "total": "-10.00" in an order's list of refunds. */
static int64_t refund_amount(const json_t *refund, struct str currency)
{
    int64_t minor = 0;
    if (!border_money(refund, "total", currency, &minor)) {
        border_money(refund, "amount", currency, &minor);
    }
    return minor < 0 ? -minor : minor;
}

static int64_t refunded_of(const json_t *order, struct str currency)
{
    int64_t sum = 0;
    size_t i = 0;
    const json_t *refund = NULL;
    json_array_foreach(border_array(order, "refunds"), i, refund)
    {
        sum = border_money_add(sum, refund_amount(refund, currency));
    }
    return sum;
}

static void refund_event(const struct woo_delivery *delivery, struct draft *draft,
                         const struct event *body, const json_t *refund)
{
    struct arena *arena = delivery->arena;
    struct str ref = border_id(arena, refund, "id");
    if (ref.size == 0 || body == NULL) {
        return;
    }
    struct str key = str_printf(arena, "refund/%.*s", STR_ARG(ref));
    struct event *event = draft_event(draft, EVENT_ORDER_REFUNDED, key, key, modified_at(delivery));
    if (event == NULL) {
        return;
    }
    event->currency = body->currency;
    event->amount_minor = refund_amount(refund, body->currency);
    event->has_amount = true;
    draft_identify_as(event, body);

    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "order_id", body->order->order_ref);
    jsonw_put_str(&json, "refund_id", ref);
    jsonw_put_money(&json, "total", event->amount_minor, event->currency);
    draft_put_text(&json, "currency", event->currency);
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
}

static struct event *body_event(const struct woo_delivery *delivery, struct draft *draft,
                                struct str order_ref, struct str currency)
{
    struct arena *arena = delivery->arena;
    const json_t *order = delivery->root;
    struct event *event =
        draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("order"), modified_at(delivery));
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (event == NULL || document == NULL) {
        return NULL;
    }
    struct str status = str_dup(arena, border_text(order, "status"));
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = order_ref,
        .at_ms = event->occurred_at_ms,
        .version_ms = event->claimed_at_ms,
        .rank = draft_status_rank(ORDER_STATUSES, status),
        .counts = draft_status_counts(delivery->source, ORDER_STATUSES, status),
        .placed_at_ms = event_clamp_instant(created_at(delivery), delivery->received_at_ms),
        .number = str_dup(arena, border_scalar(arena, order, "number")),
        .status = status,
        .currency = currency,
        .refunded_minor = refunded_of(order, currency),
    };
    border_money(order, "total", currency, &document->total_minor);
    document->body_json = order_properties(delivery, order_ref, status, currency);
    event->order = document;
    event->currency = currency;
    event->amount_minor = document->total_minor;
    event->has_amount = true;
    event->properties_json = document->body_json;

    /* Guests have customer_id 0 and are known by billing alone. */
    const json_t *billing = border_object(order, "billing");
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, border_id(arena, order, "customer_id"));
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(billing, "email"));
    draft_identify(draft, event, IDENTITY_PHONE, border_text(billing, "phone"));
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    describe_buyer(draft, event, billing, billing);
    return event;
}

static enum status take_order_deleted(const struct woo_delivery *delivery, struct draft *draft,
                                      struct str order_ref)
{
    struct arena *arena = delivery->arena;
    woo_draft_init(delivery, draft, 1);
    struct event *event =
        draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("order"), INSTANT_NONE);
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

static enum status take_order(const struct woo_delivery *delivery, struct draft *draft,
                              struct problem *problem)
{
    const json_t *order = delivery->root;
    struct str order_ref = border_id(delivery->arena, order, "id");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "an order without id");
    }
    if (str_equal(delivery->verb, STR("deleted"))) {
        return take_order_deleted(delivery, draft, order_ref);
    }
    struct str currency = border_text(order, "currency");
    currency = money_currency_is_valid(currency) ? str_dup(delivery->arena, currency)
                                                 : delivery->source->currency;
    int64_t total_minor = 0;
    if (!border_money(order, "total", currency, &total_minor) ||
        border_text(order, "status").size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order without total or status: the body of another topic?");
    }
    const json_t *refunds = border_array(order, "refunds");
    woo_draft_init(delivery, draft, 2 + json_array_size(refunds));
    const struct event *body = body_event(delivery, draft, order_ref, currency);
    size_t i = 0;
    const json_t *refund = NULL;
    json_array_foreach(refunds, i, refund)
    {
        refund_event(delivery, draft, body, refund);
    }
    if (body != NULL && str_equal(border_text(order, "status"), STR("cancelled"))) {
        order_form_cancellation_told(draft, body->order->order_ref, body, modified_at(delivery));
    }
    return STATUS_OK;
}

/* --- customers ------------------------------------------------------------ */

static enum status take_customer(const struct woo_delivery *delivery, struct draft *draft,
                                 struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *root = delivery->root;
    struct str ref = border_id(arena, root, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a customer without id");
    }
    bool is_new = str_equal(delivery->verb, STR("created"));
    bool is_gone = str_equal(delivery->verb, STR("deleted"));
    int64_t at_ms = is_new ? created_at(delivery) : modified_at(delivery);
    woo_draft_init(delivery, draft, 1);
    struct event *event = draft_event(draft,
                                      is_gone  ? EVENT_CUSTOMER_DELETED
                                      : is_new ? EVENT_CUSTOMER_CREATED
                                               : EVENT_CUSTOMER_UPDATED,
                                      STR(""), STR("customer"), at_ms);
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
    event->properties_json =
        str_printf(arena, "{\"customer_id\":%.*s}", STR_ARG(draft_json_text(arena, ref)));
    if (is_gone) {
        return STATUS_OK;
    }
    const json_t *billing = border_object(root, "billing");
    if (!draft_identify(draft, event, IDENTITY_EMAIL, border_text(root, "email"))) {
        draft_identify(draft, event, IDENTITY_EMAIL, border_text(billing, "email"));
    }
    draft_identify(draft, event, IDENTITY_PHONE, border_text(billing, "phone"));
    describe_buyer(draft, event, root, billing);
    return STATUS_OK;
}

/* --- products ------------------------------------------------------------- */

static struct str product_properties(const struct woo_delivery *delivery, struct str ref)
{
    const json_t *root = delivery->root;
    struct str currency = delivery->source->currency;
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 256);
    jsonw_put_str(&json, "product_id", ref);
    draft_put_text(&json, "name", border_text(root, "name"));
    draft_put_text(&json, "sku", border_text(root, "sku"));
    size_t i = 0;
    const json_t *category = NULL;
    jsonw_key(&json, "category");
    jsonw_open_array(&json);
    json_array_foreach(border_array(root, "categories"), i, category)
    {
        if (border_text(category, "name").size > 0 && buf.size < DRAFT_PRODUCTS_BYTES) {
            jsonw_str(&json, draft_cut(border_text(category, "name")));
        }
    }
    jsonw_close_array(&json);
    draft_put_text(&json, "url", border_text(root, "permalink"));
    draft_put_text(&json, "image_url",
                   border_text(json_array_get(border_array(root, "images"), 0), "src"));
    draft_put_text(&json, "status", border_text(root, "status"));
    draft_put_money(&json, "price", root, "price", currency);
    draft_put_money(&json, "compare_at_price", root, "regular_price", currency);
    draft_put_text(&json, "currency", currency);
    int64_t stock = 0;
    if (border_integer(root, "stock_quantity", &stock)) {
        jsonw_put_i64(&json, "stock", stock);
    }
    if (border_text(root, "stock_status").size > 0) {
        jsonw_put_bool(&json, "in_stock",
                       !str_equal(border_text(root, "stock_status"), STR("outofstock")));
    }
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status take_product(const struct woo_delivery *delivery, struct draft *draft,
                                struct problem *problem)
{
    struct arena *arena = delivery->arena;
    struct str ref = border_id(arena, delivery->root, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a product without id");
    }
    bool is_gone = str_equal(delivery->verb, STR("deleted"));
    woo_draft_init(delivery, draft, 1);
    struct event *event =
        draft_event(draft, is_gone ? EVENT_PRODUCT_DELETED : EVENT_PRODUCT_UPDATED, STR(""),
                    STR("product"), modified_at(delivery));
    if (event != NULL) {
        const json_t *category = json_array_get(border_array(delivery->root, "categories"), 0);
        event->product_id = ref;
        event->category = str_dup(arena, draft_cut(border_text(category, "name")));
        event->currency = delivery->source->currency;
        event->properties_json = product_properties(delivery, ref);
    }
    return STATUS_OK;
}

/* --- deliveries ----------------------------------------------------------- */

static const struct {
    const char *resource;
    enum status (*take)(const struct woo_delivery *delivery, struct draft *draft,
                        struct problem *problem);
} RESOURCES[] = {
    { "order", take_order },
    { "customer", take_customer },
    { "product", take_product },
};

static const char *const VERBS[] = { "created", "updated", "deleted", "restored" };

static enum normalise_verdict take(size_t resource, struct woo_delivery *delivery, struct str body,
                                   struct normalised *out_normalised, struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(body, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    if (!json_is_object(root)) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "the body is no JSON object");
        return NORMALISE_UNREADABLE;
    }
    struct draft draft = { .arena = delivery->arena };
    delivery->root = root;
    enum status status = RESOURCES[resource].take(delivery, &draft, problem);
    if (arena_is_full(delivery->arena)) {
        return NORMALISE_FULL;
    }
    return status == STATUS_OK ? draft_finish(&draft, out_normalised) : NORMALISE_UNREADABLE;
}

static bool verb_is_known(struct str verb)
{
    for (size_t i = 0; i < ARRAY_COUNT(VERBS); i++) {
        if (str_equal_z(verb, VERBS[i])) {
            return true;
        }
    }
    return false;
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct str topic =
        str_dup(arena, draft_cut(str_trim(inbound_header(inbound, "X-WC-Webhook-Topic"))));
    topic = str_is_text(topic) ? topic : STR("");
    struct str webhook_id = str_trim(inbound_header(inbound, "X-WC-Webhook-ID"));
    struct id_hash hash;
    id_hash_begin(&hash, "woocommerce delivery");
    id_hash_add(&hash, topic);
    id_hash_add(&hash, inbound->body);
    if (str_ends_with(topic, STR(".deleted"))) {
        id_hash_add(&hash, str_trim(inbound_header(inbound, "X-WC-Webhook-Delivery-ID")));
    }
    char hash_text[ID_TEXT_SIZE];
    id_format(id_hash_end(&hash), hash_text);
    if (webhook_id.size > 32 || !str_is_text(webhook_id)) {
        webhook_id = STR("");
    }
    struct woo_delivery delivery = {
        .arena = arena,
        .source = source,
        .dedup_key = str_printf(arena, "%.*s/%s", STR_ARG(webhook_id), hash_text),
        .received_at_ms = inbound->received_at_ms,
    };
    if (arena_is_full(arena)) {
        return NORMALISE_FULL;
    }
    *out_normalised = (struct normalised){ .topic = topic, .dedup_key = delivery.dedup_key };
    if (topic.size == 0) {
        problem_set(problem, STATUS_INVALID, "invalid-event",
                    "no readable X-WC-Webhook-Topic header");
        return NORMALISE_UNREADABLE;
    }
    struct str resource = { NULL, 0 };
    if (!str_split(topic, '.', &resource, &delivery.verb) || !verb_is_known(delivery.verb)) {
        return NORMALISE_IGNORED;
    }
    for (size_t i = 0; i < ARRAY_COUNT(RESOURCES); i++) {
        if (str_equal_z(resource, RESOURCES[i].resource)) {
            return take(i, &delivery, inbound->body, out_normalised, problem);
        }
    }
    return NORMALISE_IGNORED;
}

/* "webhook_id=12" without any X-WC header: WooCommerce tries the address
 * before it saves a webhook. */
static bool greet(struct arena *arena, const struct source *source, const struct inbound *inbound,
                  struct handshake *out_handshake)
{
    (void)arena;
    (void)source;
    (void)out_handshake;
    struct str body = str_trim(inbound->body);
    uint64_t number = 0;
    if (!str_starts_with(body, STR("webhook_id=")) ||
        !str_to_u64(str_drop(body, sizeof("webhook_id=") - 1), &number)) {
        return false;
    }
    for (size_t i = 0; i < inbound->header_count; i++) {
        struct str name = inbound->headers[i].name;
        if (str_equal_nocase(str_take(name, sizeof("X-WC-") - 1), STR("X-WC-"))) {
            return false;
        }
    }
    return true;
}

/* "https://outlet.example:8443/shop/" -> "outlet.example" */
static struct str url_host(struct str url)
{
    struct str head = { NULL, 0 };
    struct str rest = url;
    if (str_split(url, ':', &head, &rest) && str_starts_with(rest, STR("//"))) {
        rest = str_drop(rest, 2);
    } else {
        rest = url;
    }
    size_t size = 0;
    while (size < rest.size && rest.data[size] != '/' && rest.data[size] != ':' &&
           rest.data[size] != '?') {
        size++;
    }
    return str_take(rest, size);
}

static bool is_own_shop(const struct source *source, const struct inbound *inbound)
{
    struct str site = str_trim(inbound_header(inbound, "X-WC-Webhook-Source"));
    return source->shop_domain.size == 0 || site.size == 0 ||
           str_equal_nocase(url_host(site), source->shop_domain);
}

/* --- setup ---------------------------------------------------------------- */

static const char *const SETUP_TOPICS[] = {
    "customer.created", "customer.updated", "customer.deleted", "order.created",
    "order.updated",    "order.deleted",    "order.restored",   "product.created",
    "product.updated",  "product.deleted",  "product.restored", NULL,
};

static void write_paste(struct buf *paste, const struct source *source, struct str webhook_url,
                        struct str secret)
{
    (void)source;
    buf_add_z(paste, "for t in");
    for (size_t i = 0; SETUP_TOPICS[i] != NULL; i++) {
        buf_printf(paste, " %s", SETUP_TOPICS[i]);
    }
    buf_add_z(paste, "; do\n  wp wc webhook create --user=1 --status=active "
                     "--name=\"Shopbell $t\" --topic=$t \\\n    --delivery_url='");
    buf_printf(paste, "%.*s' --secret='%.*s'\ndone\n", STR_ARG(webhook_url),
               STR_ARG(secret.size > 0 ? secret : STR("<the secret>")));
}

static const char *const CLI_STEPS[] = { "Run on the shop's server, as its user", NULL };
static const char *const ADMIN_STEPS[] = {
    "WooCommerce > Settings > Advanced > Webhooks > Add webhook, once for each of topics",
    "Status Active, Delivery URL = webhook_url, Secret = the secret above (shown once), API "
    "version v3",
    "Saving sends an unsigned ping: it is answered 200 and does nothing",
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "wp-cli", .steps = CLI_STEPS, .write_paste = write_paste },
    { .way = "admin", .steps = ADMIN_STEPS },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "carts, product views, wish lists: WooCommerce has no webhook for them",
      "send them to POST /v1/events from your own pages" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "WooCommerce does not repeat a failed delivery and disables a webhook after 5 in "
    "a row: Shopbell holds its requests for up to 50 s rather than refuse them.",
    "WooCommerce decodes HTML entities in a secret before it signs: use letters and "
    "digits only, as the secrets made here are.",
    NULL,
};

static const char *const SETTINGS[] = { "site_url",          "time_zone",
                                        "currency",          "order_completed_when",
                                        "allowed_addresses", NULL };

static const char *const HEADERS[] = {
    "x-wc-webhook-source",
    "x-wc-webhook-topic",
    "x-wc-webhook-resource",
    "x-wc-webhook-event",
    "x-wc-webhook-id",
    "x-wc-webhook-delivery-id",
    NULL,
};
static const char *const TOPIC_HEADERS[] = { "x-wc-webhook-topic", NULL };

const struct platform platform_woocommerce = {
    .name = "woocommerce",
    .title = "WooCommerce",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_HTML_DECODED,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = "x-wc-webhook-signature" } },
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .makes_secret = true,
    .answer_ms = LIMIT_ANSWER_WOOCOMMERCE_MS,
    /* It never repeats; this covers repeats by hand and by its queue. */
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = HEADERS,
    .topic_headers = TOPIC_HEADERS,
    .topics = SETUP_TOPICS,
    .order_statuses = ORDER_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when = "[\"processing\",\"completed\"]",
    .greet = greet,
    .is_own_shop = is_own_shop,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
