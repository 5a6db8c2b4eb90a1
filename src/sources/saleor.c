#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/instant.h"
#include "base/limits.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Saleor.
 *
 * What a webhook holds is whatever GraphQL subscription was registered with it, so
 * setup hands one out and this file reads its answer. Orders of NOTIFY_USER come in
 * another spelling (snake case, amounts as text) and are read too.
 *
 * Two signatures. A webhook without a secret key is signed by the installation's own
 * RSA key, as a JSON Web Signature with the body left out and not encoded (RFC 7797);
 * the keys stand at the shop's own address, which is a setting here and never taken
 * from a header. A webhook with the old secret key has a hex HMAC under the same
 * header name. The form decides, since no JWS is hex.
 *
 * There is no delivery id and no time, so an event is keyed by its topic and body: a
 * repeat has the same bytes. Orders carry updatedAt, by which the newest wins.
 */

enum {
    PROTECTED_BYTES_MAX = 2048,
    ADDRESS_BYTES_MAX = 512,
};

static const struct order_status_rule ORDER_STATUSES[] = {
    { "draft", ORDER_OPEN, false },
    { "unconfirmed", ORDER_OPEN, false },
    { "unfulfilled", ORDER_PAID, true },
    { "partially fulfilled", ORDER_PAID, true },
    { "partially_fulfilled", ORDER_PAID, true },
    { "fulfilled", ORDER_FULFILLED, true },
    { "partially_returned", ORDER_FULFILLED, true },
    { "returned", ORDER_FULFILLED, true },
    { "canceled", ORDER_CANCELLED, false },
    { "expired", ORDER_CANCELLED, false },
    { NULL, ORDER_OPEN, false },
};

/* --- the signature ---------------------------------------------------------- */

/* "<header>..<signature>": {"alg":"RS256","b64":false,"crit":["b64"],"kid":...}. */
static bool read_protected(struct arena *arena, struct str protected, struct str *out_kid)
{
    uint8_t bytes[PROTECTED_BYTES_MAX];
    size_t size = 0;
    if (!base64url_decode(protected, bytes, sizeof(bytes), &size)) {
        return false;
    }
    json_t *header CLEANUP(border_free_at) =
        border_parse((struct str){ (const char *)bytes, size }, NULL);
    const json_t *critical = json_object_get(header, "crit");
    const char *only = json_string_value(json_array_get(critical, 0));
    *out_kid = str_dup(arena, border_text(header, "kid"));
    return str_equal(border_text(header, "alg"), STR("RS256")) &&
           json_is_false(json_object_get(header, "b64")) && json_array_size(critical) == 1 &&
           only != NULL && strcmp(only, "b64") == 0 && out_kid->size > 0;
}

static enum signature_verdict read_jws(struct arena *arena, const struct source *source,
                                       const struct inbound *inbound, struct str text,
                                       struct signature_claim *claim)
{
    struct str protected = { NULL, 0 };
    struct str rest = { NULL, 0 };
    struct str payload = { NULL, 0 };
    struct str signature = { NULL, 0 };
    if (!str_split(text, '.', &protected, &rest) || !str_split(rest, '.', &payload, &signature) ||
        payload.size > 0 || !read_protected(arena, protected, &claim->key_id)) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    if (source->shop_domain.size == 0) {
        return SIGNATURE_NO_SECRET; /* whose keys to ask for is not known yet */
    }
    claim->algorithm = SIGNATURE_RSA_SHA256;
    claim->encoding = SIGNATURE_BASE64URL;
    claim->signatures[0] = (struct signature_text){
        .text = signature,
        .key_url =
            str_printf(arena, "https://%.*s/.well-known/jwks.json", STR_ARG(source->shop_domain)),
    };
    claim->pieces[0] = protected;
    claim->pieces[1] = STR(".");
    claim->pieces[2] = inbound->body;
    claim->piece_count = 3;
    claim->signature_count = 1;
    return SIGNATURE_VALID;
}

static enum signature_verdict read_claim(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim)
{
    struct str text = str_trim(inbound_header(inbound, "saleor-signature"));
    if (text.size == 0) {
        text = str_trim(inbound_header(inbound, "x-saleor-signature"));
    }
    if (text.size == 0) {
        return SIGNATURE_HEADER_MISSING;
    }
    if (str_find(text, '.', 0) >= 0) {
        return read_jws(arena, source, inbound, text, claim);
    }
    claim->signatures[0] = (struct signature_text){ .text = text };
    claim->signature_count = 1;
    claim->pieces[0] = inbound->body;
    claim->piece_count = 1;
    return SIGNATURE_VALID;
}

/* --- what both spellings share ----------------------------------------------- */

/* {"total":{"gross":{"amount":9.9}}} by "total", "gross"; {"amount":9.9} by one name. */
static bool graph_money(const json_t *object, const char *name, const char *part,
                        struct str currency, int64_t *out_minor)
{
    const json_t *money = border_object(object, name);
    if (part != NULL) {
        money = border_object(money, part);
    }
    return border_money(money, "amount", currency, out_minor);
}

static void describe(struct draft *draft, struct event *event, const json_t *address,
                     const char *first, const char *last, const char *postal, const char *area)
{
    const json_t *country_of = border_object(address, "country");
    struct str country =
        country_of != NULL ? border_text(country_of, "code") : border_text(address, "country");
    draft_trait(draft, event, "first_name", border_text(address, first));
    draft_trait(draft, event, "last_name", border_text(address, last));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(draft->arena, country, border_text(address, area)));
    draft_trait(draft, event, "city", border_text(address, "city"));
    draft_trait(draft, event, "postal_code", border_text(address, postal));
}

/* --- orders, as the subscription asks for them -------------------------------- */

static void read_graph_line(const json_t *node, struct str currency, struct arena *arena,
                            struct order_form_line *line)
{
    line->product_id =
        border_id(arena, border_object(border_object(node, "variant"), "product"), "id");
    line->variant_id = border_id(arena, node, "productVariantId");
    line->sku = border_text(node, "productSku");
    line->name = border_text(node, "productName");
    border_integer(node, "quantity", &line->quantity);
    graph_money(node, "unitPrice", "gross", currency, &line->price_minor);
}

static bool read_graph_order(struct draft *draft, const json_t *order, struct order_form *form)
{
    struct arena *arena = draft->arena;
    const json_t *address = border_object(order, "billingAddress");
    form->order_ref = border_id(arena, order, "id");
    form->number = border_scalar(arena, order, "number");
    form->status = str_lower(arena, border_text(order, "status"));
    form->currency = border_text(border_object(border_object(order, "total"), "gross"), "currency");
    form->coupon = border_text(order, "voucherCode");
    form->channel = border_text(border_object(order, "channel"), "slug");
    form->placed_at_ms = border_instant(order, "created", NULL);
    form->changed_at_ms = border_instant(order, "updatedAt", NULL);
    form->customer_ref = border_id(arena, border_object(order, "user"), "id");
    form->email = border_text(order, "userEmail");
    form->phone = border_text(address, "phone");
    form->cart_token = border_id(arena, order, "checkoutId");
    graph_money(order, "subtotal", "gross", form->currency, &form->subtotal_minor);
    graph_money(order, "shippingPrice", "gross", form->currency, &form->shipping_minor);
    graph_money(order, "total", "tax", form->currency, &form->tax_minor);
    graph_money(order, "totalRefunded", NULL, form->currency, &form->refunded_minor);
    const json_t *lines = border_array(order, "lines");
    struct order_form_line *rows = order_form_lines(draft, json_array_size(lines));
    for (size_t i = 0; rows != NULL && i < json_array_size(lines); i++) {
        read_graph_line(json_array_get(lines, i), form->currency, arena, &rows[i]);
    }
    form->lines = rows;
    form->line_count = json_array_size(lines);
    return form->order_ref.size > 0 && form->status.size > 0 &&
           graph_money(order, "total", "gross", form->currency, &form->total_minor);
}

/* --- orders, as NOTIFY_USER spells them --------------------------------------- */

static bool read_notified_order(struct draft *draft, const json_t *order, struct order_form *form)
{
    struct arena *arena = draft->arena;
    struct str currency = border_text(order, "currency");
    form->order_ref = border_id(arena, order, "id");
    form->number = border_scalar(arena, order, "number");
    form->status = str_lower(arena, border_text(order, "status"));
    form->currency = currency;
    form->coupon = border_text(order, "voucher_code");
    form->channel = border_text(order, "channel_slug");
    form->placed_at_ms = border_instant(order, "created", NULL);
    form->email = border_text(order, "email");
    form->phone = border_text(border_object(order, "billing_address"), "phone");
    border_money(order, "subtotal_gross_amount", currency, &form->subtotal_minor);
    border_money(order, "shipping_price_gross_amount", currency, &form->shipping_minor);
    border_money(order, "tax_amount", currency, &form->tax_minor);
    const json_t *lines = border_array(order, "lines");
    struct order_form_line *rows = order_form_lines(draft, json_array_size(lines));
    for (size_t i = 0; rows != NULL && i < json_array_size(lines); i++) {
        const json_t *node = json_array_get(lines, i);
        rows[i].product_id = border_id(arena, border_object(node, "product"), "id");
        rows[i].variant_id = border_id(arena, border_object(node, "variant"), "id");
        rows[i].sku = border_text(node, "product_sku");
        rows[i].name = border_text(node, "product_name");
        border_integer(node, "quantity", &rows[i].quantity);
        border_money(node, "unit_price_gross_amount", currency, &rows[i].price_minor);
    }
    form->lines = rows;
    form->line_count = json_array_size(lines);
    return form->order_ref.size > 0 && form->status.size > 0 &&
           border_money(order, "total_gross_amount", currency, &form->total_minor);
}

static enum status take_order(struct draft *draft, const json_t *order, bool is_notified,
                              struct problem *problem)
{
    struct order_form form;
    order_form_init(&form);
    bool is_whole = is_notified ? read_notified_order(draft, order, &form)
                                : read_graph_order(draft, order, &form);
    if (!is_whole) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order without id, status or total: does the webhook's query ask "
                           "for them? See setup");
    }
    struct event *event = order_form_event(draft, &form, ORDER_STATUSES);
    if (event == NULL) {
        return STATUS_OK;
    }
    if (is_notified) {
        describe(draft, event, border_object(order, "billing_address"), "first_name", "last_name",
                 "postal_code", "country_area");
    } else {
        describe(draft, event, border_object(order, "billingAddress"), "firstName", "lastName",
                 "postalCode", "countryArea");
    }
    if (str_equal(form.status, STR("canceled"))) {
        order_form_cancelled(draft, form.order_ref, event, form.changed_at_ms);
    }
    return STATUS_OK;
}

/* --- everything else ---------------------------------------------------------- */

static enum status take_customer(struct draft *draft, const json_t *user, enum event_type type,
                                 struct problem *problem)
{
    struct arena *arena = draft->arena;
    struct str ref = border_id(arena, user, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a customer without id: does the webhook's query ask for it?");
    }
    const char *when = type == EVENT_CUSTOMER_CREATED ? "dateJoined" : "updatedAt";
    struct event *event =
        draft_event(draft, type, STR(""), STR("customer"), border_instant(user, when, NULL));
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(user, "email"));
    describe(draft, event, border_object(user, "defaultBillingAddress"), "", "", "postalCode",
             "countryArea");
    draft_trait(draft, event, "first_name", border_text(user, "firstName"));
    draft_trait(draft, event, "last_name", border_text(user, "lastName"));
    event->properties_json =
        str_printf(arena, "{\"customer_id\":%.*s}", STR_ARG(draft_json_text(arena, ref)));
    return STATUS_OK;
}

static struct str checkout_json(struct draft *draft, const json_t *checkout, struct str currency)
{
    struct buf buf;
    struct jsonw json;
    int64_t minor = 0;
    draft_object_open(&buf, &json, draft->arena, 512);
    draft_put_member(&json, draft->arena, "checkout_id", checkout, "id");
    if (graph_money(checkout, "totalPrice", "gross", currency, &minor)) {
        jsonw_put_money(&json, "total", minor, currency);
        draft_put_text(&json, "currency", currency);
    }
    jsonw_key(&json, "products");
    jsonw_open_array(&json);
    const json_t *lines = border_array(checkout, "lines");
    for (size_t i = 0; i < json_array_size(lines) && buf.size < DRAFT_PRODUCTS_BYTES; i++) {
        const json_t *line = json_array_get(lines, i);
        const json_t *variant = border_object(line, "variant");
        int64_t quantity = 0;
        jsonw_open(&json);
        draft_put_member(&json, draft->arena, "product_id", border_object(variant, "product"),
                         "id");
        draft_put_member(&json, draft->arena, "variant_id", variant, "id");
        draft_put_text(&json, "sku", border_text(variant, "sku"));
        if (border_integer(line, "quantity", &quantity)) {
            jsonw_put_i64(&json, "quantity", quantity);
        }
        jsonw_close(&json);
    }
    jsonw_close_array(&json);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status take_checkout(struct draft *draft, const json_t *checkout, enum event_type type,
                                 struct problem *problem)
{
    struct arena *arena = draft->arena;
    struct str ref = border_id(arena, checkout, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a checkout without id: does the webhook's query ask for it?");
    }
    struct str currency =
        border_text(border_object(border_object(checkout, "totalPrice"), "gross"), "currency");
    struct event *event = draft_event(draft, type, STR(""), STR("checkout"),
                                      border_instant(checkout, "updatedAt", NULL));
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID,
                       border_id(arena, border_object(checkout, "user"), "id"));
        draft_identify(draft, event, IDENTITY_EMAIL, border_text(checkout, "email"));
        draft_identify(draft, event, IDENTITY_CART_TOKEN, ref);
        event->properties_json = checkout_json(draft, checkout, str_dup(arena, currency));
    }
    return STATUS_OK;
}

static enum status take_product(struct draft *draft, const json_t *product, enum event_type type,
                                struct problem *problem)
{
    struct arena *arena = draft->arena;
    struct str ref = border_id(arena, product, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a product without id");
    }
    struct event *event = draft_event(draft, type, STR(""), STR("product"),
                                      border_instant(product, "updatedAt", NULL));
    if (event != NULL) {
        struct buf buf;
        struct jsonw json;
        draft_object_open(&buf, &json, arena, 256);
        jsonw_put_str(&json, "product_id", ref);
        draft_put_text(&json, "name", border_text(product, "name"));
        jsonw_close(&json);
        event->properties_json = buf_str(&buf);
        event->product_id = ref;
    }
    return STATUS_OK;
}

/* --- topics ------------------------------------------------------------------- */

static const struct topic {
    const char *name;
    const char *member;
    enum event_type type; /* of an order: unused */
} TOPICS[] = {
    { "order_created", "order", EVENT_ORDER_UPDATED },
    { "order_confirmed", "order", EVENT_ORDER_UPDATED },
    { "order_paid", "order", EVENT_ORDER_UPDATED },
    { "order_fully_paid", "order", EVENT_ORDER_UPDATED },
    { "order_updated", "order", EVENT_ORDER_UPDATED },
    { "order_cancelled", "order", EVENT_ORDER_UPDATED },
    { "order_expired", "order", EVENT_ORDER_UPDATED },
    { "order_fulfilled", "order", EVENT_ORDER_UPDATED },
    { "order_refunded", "order", EVENT_ORDER_UPDATED },
    { "order_fully_refunded", "order", EVENT_ORDER_UPDATED },
    { "notify_user", "order", EVENT_ORDER_UPDATED },
    { "customer_created", "user", EVENT_CUSTOMER_CREATED },
    { "customer_updated", "user", EVENT_CUSTOMER_UPDATED },
    { "customer_deleted", "user", EVENT_CUSTOMER_DELETED },
    { "checkout_created", "checkout", EVENT_CHECKOUT_STARTED },
    { "checkout_updated", "checkout", EVENT_CHECKOUT_UPDATED },
    { "product_created", "product", EVENT_PRODUCT_UPDATED },
    { "product_updated", "product", EVENT_PRODUCT_UPDATED },
    { "product_deleted", "product", EVENT_PRODUCT_DELETED },
};

static const struct topic *topic_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(TOPICS); i++) {
        if (str_equal_nocase_z(name, TOPICS[i].name)) {
            return &TOPICS[i];
        }
    }
    return NULL;
}

static enum status take(struct draft *draft, const struct topic *topic, const json_t *root,
                        struct problem *problem)
{
    bool is_notified = json_object_get(root, "notify_event") != NULL;
    const json_t *object = is_notified ? border_object(root, "payload") : root;
    object = border_object(object, topic->member);
    if (object == NULL && is_notified) {
        return STATUS_OK; /* mail about an account, not about an order */
    }
    if (strcmp(topic->member, "order") == 0) {
        return take_order(draft, object, is_notified, problem);
    }
    if (strcmp(topic->member, "user") == 0) {
        return take_customer(draft, object, topic->type, problem);
    }
    if (strcmp(topic->member, "checkout") == 0) {
        return take_checkout(draft, object, topic->type, problem);
    }
    return take_product(draft, object, topic->type, problem);
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct str name = str_trim(inbound_header(inbound, "saleor-event"));
    if (name.size == 0) {
        name = str_trim(inbound_header(inbound, "x-saleor-event"));
    }
    *out_normalised = (struct normalised){
        .topic = str_lower(arena, draft_cut(name)),
        .dedup_key = draft_dedup_key(arena, STR(""), name, inbound->body),
    };
    const struct topic *topic = topic_find(name);
    if (topic == NULL) {
        return NORMALISE_IGNORED;
    }
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    struct draft draft;
    draft_init(&draft, arena, source, TRUST_SIGNED, inbound->received_at_ms,
               out_normalised->dedup_key, 2);
    /* Without a query Saleor sends a list of its own making. */
    const json_t *event = json_is_array(root) ? json_array_get(root, 0) : root;
    if (take(&draft, topic, event, problem) != STATUS_OK) {
        return arena_is_full(arena) ? NORMALISE_FULL : NORMALISE_UNREADABLE;
    }
    return draft_finish(&draft, out_normalised);
}

/* The shop of the header, where it says one: "https://shop.example/graphql/". */
static bool is_own_shop(const struct source *source, const struct inbound *inbound)
{
    struct str url = str_trim(inbound_header(inbound, "saleor-api-url"));
    struct str host = url;
    struct str rest = { NULL, 0 };
    if (source->shop_domain.size == 0 || !str_starts_with(url, STR("https://"))) {
        return true;
    }
    host = str_drop(url, sizeof("https://") - 1);
    (void)str_split(host, '/', &host, &rest);
    return str_equal_nocase(host, source->shop_domain);
}

/* --- setup -------------------------------------------------------------------- */

static const char QUERY[] =
    "subscription {\n"
    "  event {\n"
    "    ... on OrderCreated { order { ...O } }\n"
    "    ... on OrderConfirmed { order { ...O } }\n"
    "    ... on OrderPaid { order { ...O } }\n"
    "    ... on OrderUpdated { order { ...O } }\n"
    "    ... on OrderCancelled { order { ...O } }\n"
    "    ... on OrderFulfilled { order { ...O } }\n"
    "    ... on OrderRefunded { order { ...O } }\n"
    "    ... on CustomerCreated { user { ...U } }\n"
    "    ... on CustomerUpdated { user { ...U } }\n"
    "    ... on CheckoutCreated { checkout { ...C } }\n"
    "    ... on CheckoutUpdated { checkout { ...C } }\n"
    "    ... on ProductUpdated { product { id name updatedAt } }\n"
    "  }\n"
    "}\n"
    "fragment M on TaxedMoney { gross { amount currency } tax { amount } }\n"
    "fragment A on Address { firstName lastName city postalCode countryArea phone country { code } "
    "}\n"
    "fragment O on Order {\n"
    "  id number created updatedAt status userEmail checkoutId voucherCode\n"
    "  user { id } channel { slug } billingAddress { ...A }\n"
    "  total { ...M } subtotal { ...M } shippingPrice { ...M } totalRefunded { amount }\n"
    "  lines { productName productSku productVariantId quantity unitPrice { ...M }\n"
    "    variant { product { id } } }\n"
    "}\n"
    "fragment U on User { id email firstName lastName dateJoined updatedAt\n"
    "  defaultBillingAddress { ...A } }\n"
    "fragment C on Checkout { id email updatedAt user { id } totalPrice { ...M }\n"
    "  lines { quantity variant { id sku product { id } } } }\n";

static const char *const SETUP_TOPICS[] = {
    "ORDER_CREATED",
    "ORDER_CONFIRMED",
    "ORDER_PAID",
    "ORDER_UPDATED",
    "ORDER_CANCELLED",
    "ORDER_FULFILLED",
    "ORDER_REFUNDED",
    "CUSTOMER_CREATED",
    "CUSTOMER_UPDATED",
    "CHECKOUT_CREATED",
    "CHECKOUT_UPDATED",
    "PRODUCT_UPDATED",
    NULL,
};

static const char *const STEPS[] = {
    "PATCH /v1/sources/%s {\"settings\":{\"site_url\":\"https://<the host of your API>\"}}: "
    "its "
    "published keys are believed, and no others",
    "Dashboard > Extensions > your app > Create webhook, asynchronous events as in topics, "
    "target URL = webhook_url, no secret key",
    "Paste the query below as its subscription query",
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "dashboard", .steps = STEPS, .paste = QUERY },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "product views, searches, wish lists",
      "a source of platform sdk, on the storefront's pages" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "A webhook with a secret key is signed by HMAC instead: then store that key as a "
    "secret here. Saleor calls secret keys deprecated.",
    NULL,
};

static const char *const SETTINGS[] = { "site_url",          "time_zone",
                                        "currency",          "order_completed_when",
                                        "allowed_addresses", NULL };
static const char *const HEADERS[] = { "saleor-event",          "x-saleor-event",
                                       "saleor-domain",         "saleor-api-url",
                                       "saleor-signature",      "x-saleor-signature",
                                       "saleor-schema-version", NULL };
static const char *const TOPIC_HEADERS[] = { "saleor-event", "x-saleor-event", NULL };

const struct platform platform_saleor = {
    .name = "saleor",
    .title = "Saleor",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .read_claim = read_claim,
        .may_lack_secret = true,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* Five repeats within minutes, and by hand from its dashboard. */
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = HEADERS,
    .topic_headers = TOPIC_HEADERS,
    .topics = SETUP_TOPICS,
    .order_statuses = ORDER_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when =
        "[\"unfulfilled\",\"partially_fulfilled\",\"fulfilled\",\"partially_returned\",\"returned\"]",
    .is_own_shop = is_own_shop,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
