#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/instant.h"
#include "base/limits.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Wix. The body is one JSON Web Token, signed with a key whose public half the app's
 * dashboard shows; there are no headers to read.
 *
 * Three envelopes stand inside each other, two of them as text: the token's claims
 * hold `data`, that holds eventType, instanceId and `data`, and that holds the event
 * (id, entityFqdn, slug, entityId, eventTime). Its id stays through repeats.
 *
 * The algorithm is RS256 whatever the token's own header says: another word there is
 * refused before anything is computed. The token's `exp` is checked after its
 * signature, as a signed time.
 *
 * Wix waits 1,250 ms and then counts a failure, so does our deadline. What of an order
 * or a contact is not in the event is not known: it is kept as a thin fact.
 */

enum {
    WIX_ANSWER_MS = 1000,
    TOKEN_HEADER_BYTES_MAX = 1024,
    EXPIRY_LEEWAY_MS = 60 * 1000,
};

static const struct order_status_rule ORDER_STATUSES[] = {
    { "INITIALIZED", ORDER_OPEN, false },   { "PENDING", ORDER_OPEN, false },
    { "APPROVED", ORDER_PAID, true },       { "CANCELED", ORDER_CANCELLED, false },
    { "REJECTED", ORDER_CANCELLED, false }, { NULL, ORDER_OPEN, false },
};

/* --- the token ------------------------------------------------------------------- */

struct token {
    struct str header;
    struct str claims;
    struct str signature;
    struct str signed_part; /* header.claims */
};

static bool token_split(struct str body, struct token *token)
{
    struct str text = str_trim(body);
    struct str rest = { NULL, 0 };
    if (!str_split(text, '.', &token->header, &rest) ||
        !str_split(rest, '.', &token->claims, &token->signature)) {
        return false;
    }
    token->signed_part = str_take(text, token->header.size + 1 + token->claims.size);
    return str_find(token->signature, '.', 0) < 0;
}

static json_t *decode(struct arena *arena, struct str part, size_t size_max)
{
    size_t size = 0;
    uint8_t *bytes = part.size <= size_max ? arena_alloc(arena, part.size + 1) : NULL;
    if (bytes == NULL || !base64url_decode(part, bytes, part.size + 1, &size)) {
        return NULL;
    }
    return border_parse((struct str){ (const char *)bytes, size }, NULL);
}

static enum signature_verdict read_claim(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim)
{
    struct token token;
    int64_t expires_s = 0;
    (void)source;
    if (!token_split(inbound->body, &token)) {
        return SIGNATURE_HEADER_MISSING;
    }
    json_t *header CLEANUP(border_free_at) = decode(arena, token.header, TOKEN_HEADER_BYTES_MAX);
    json_t *claims CLEANUP(border_free_at) = decode(arena, token.claims, LIMIT_HOOK_BODY_BYTES);
    if (!str_equal(border_text(header, "alg"), STR("RS256")) ||
        !border_integer(claims, "exp", &expires_s) || expires_s < 0 ||
        expires_s > INSTANT_NEVER / INSTANT_SECOND_MS) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    /* Until exp it is of now, behind it of then. */
    int64_t expires_ms = expires_s * INSTANT_SECOND_MS;
    claim->timestamp_ms =
        expires_ms < inbound->received_at_ms ? expires_ms : inbound->received_at_ms;
    claim->signatures[0] = (struct signature_text){ .text = token.signature };
    claim->signature_count = 1;
    claim->pieces[0] = token.signed_part;
    claim->piece_count = 1;
    return SIGNATURE_VALID;
}

/* --- the event ------------------------------------------------------------------- */

struct wix_event {
    struct arena *arena;
    const json_t *root;
    struct str fqdn;
    struct str slug;
    struct str entity_id;
    int64_t at_ms;
};

/* The entity, by whatever kind of event brings it. */
static const json_t *entity_of(const struct wix_event *event, const char *name)
{
    static const char *const KINDS[] = { "createdEvent", "updatedEvent" };
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        const json_t *holder = border_object(event->root, KINDS[i]);
        const json_t *entity = border_object(holder, "entity");
        entity = entity != NULL ? entity : border_object(holder, "currentEntity");
        if (entity != NULL) {
            return entity;
        }
    }
    return border_object(border_object(border_object(event->root, "actionEvent"), "body"), name);
}

static struct event *take_thin(const struct wix_event *event, struct draft *draft,
                               enum identity_kind kind)
{
    struct event *thin = draft_event(draft, EVENT_CUSTOM, STR(""), STR("thin"), event->at_ms);
    if (thin != NULL) {
        const char *what = kind == IDENTITY_ORDER ? "order" : "contact";
        thin->name = str_printf(event->arena, "custom.wix_%s_%.*s", what,
                                STR_ARG(str_take_text(event->slug, 32)));
        thin->act = false;
        thin->is_thin = true;
        draft_identify(draft, thin, kind, event->entity_id);
        thin->properties_json =
            str_printf(event->arena, "{\"%s_id\":%.*s}", what,
                       STR_ARG(draft_json_text(event->arena, event->entity_id)));
    }
    return thin;
}

static bool amount(const json_t *object, const char *name, struct str currency, int64_t *out_minor)
{
    return border_money(border_object(object, name), "amount", currency, out_minor);
}

static void read_lines(struct draft *draft, const json_t *order, struct order_form *form)
{
    const json_t *items = border_array(order, "lineItems");
    struct order_form_line *lines = order_form_lines(draft, json_array_size(items));
    for (size_t i = 0; lines != NULL && i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const json_t *reference = border_object(item, "catalogReference");
        lines[i].product_id = border_id(draft->arena, reference, "catalogItemId");
        lines[i].variant_id =
            border_id(draft->arena, border_object(reference, "options"), "variantId");
        lines[i].sku = border_text(border_object(item, "physicalProperties"), "sku");
        lines[i].name = border_text(border_object(item, "productName"), "original");
        border_integer(item, "quantity", &lines[i].quantity);
        amount(item, "price", form->currency, &lines[i].price_minor);
    }
    form->lines = lines;
    form->line_count = json_array_size(items);
}

static void describe(struct draft *draft, struct event *event, const json_t *billing)
{
    const json_t *address = border_object(billing, "address");
    const json_t *person = border_object(billing, "contactDetails");
    draft_trait(draft, event, "first_name", border_text(person, "firstName"));
    draft_trait(draft, event, "last_name", border_text(person, "lastName"));
    draft_trait(draft, event, "country", border_text(address, "country"));
    draft_trait(draft, event, "region", border_text(address, "subdivision"));
    draft_trait(draft, event, "city", border_text(address, "city"));
    draft_trait(draft, event, "postal_code", border_text(address, "postalCode"));
}

static void take_order(const struct wix_event *wix, struct draft *draft)
{
    struct arena *arena = wix->arena;
    const json_t *order = entity_of(wix, "order");
    const json_t *prices = border_object(order, "priceSummary");
    const json_t *buyer = border_object(order, "buyerInfo");
    const json_t *billing = border_object(order, "billingInfo");
    struct order_form form;
    order_form_init(&form);
    form.order_ref = wix->entity_id;
    form.number = border_scalar(arena, order, "number");
    form.status = border_text(order, "status");
    form.currency = border_text(order, "currency");
    form.placed_at_ms = border_instant(order, "createdDate", NULL);
    form.changed_at_ms = border_instant(order, "updatedDate", NULL);
    form.customer_ref = border_id(arena, buyer, "contactId");
    form.email = border_text(buyer, "email");
    form.phone = border_text(border_object(billing, "contactDetails"), "phone");
    amount(prices, "subtotal", form.currency, &form.subtotal_minor);
    amount(prices, "shipping", form.currency, &form.shipping_minor);
    amount(prices, "tax", form.currency, &form.tax_minor);
    amount(prices, "discount", form.currency, &form.discount_minor);
    if (form.status.size == 0 || !amount(prices, "total", form.currency, &form.total_minor)) {
        take_thin(wix, draft, IDENTITY_ORDER);
        return;
    }
    read_lines(draft, order, &form);
    struct event *event = order_form_event(draft, &form, ORDER_STATUSES);
    if (event != NULL) {
        describe(draft, event, billing);
    }
    if (event != NULL && str_equal(form.status, STR("CANCELED"))) {
        order_form_cancelled(draft, form.order_ref, event, form.changed_at_ms);
    }
}

static void take_contact(const struct wix_event *wix, struct draft *draft)
{
    const json_t *contact = entity_of(wix, "contact");
    const json_t *primary = border_object(contact, "primaryInfo");
    const json_t *name = border_object(border_object(contact, "info"), "name");
    bool is_deletion = str_equal(wix->slug, STR("deleted"));
    if (contact == NULL && !is_deletion) {
        take_thin(wix, draft, IDENTITY_CUSTOMER_ID);
        return;
    }
    struct event *event =
        draft_event(draft,
                    is_deletion                            ? EVENT_CUSTOMER_DELETED
                    : str_equal(wix->slug, STR("created")) ? EVENT_CUSTOMER_CREATED
                                                           : EVENT_CUSTOMER_UPDATED,
                    STR(""), STR("customer"), wix->at_ms);
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, wix->entity_id);
        draft_identify(draft, event, IDENTITY_EMAIL, border_text(primary, "email"));
        draft_identify(draft, event, IDENTITY_PHONE, border_text(primary, "phone"));
        draft_trait(draft, event, "first_name", border_text(name, "first"));
        draft_trait(draft, event, "last_name", border_text(name, "last"));
        event->properties_json = str_printf(wix->arena, "{\"customer_id\":%.*s}",
                                            STR_ARG(draft_json_text(wix->arena, wix->entity_id)));
    }
}

/* An object, or the text of one. */
static json_t *unwrap(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (json_is_string(value)) {
        return border_parse((struct str){ json_string_value(value), json_string_length(value) },
                            NULL);
    }
    return json_is_object(value) ? json_incref(value) : NULL;
}

static enum normalise_verdict take(struct arena *arena, const struct source *source,
                                   const struct inbound *inbound, const json_t *root,
                                   struct normalised *out_normalised)
{
    struct wix_event event = {
        .arena = arena,
        .root = root,
        .fqdn = border_text(root, "entityFqdn"),
        .slug = border_text(root, "slug"),
        .entity_id = border_id(arena, root, "entityId"),
        .at_ms = border_instant(root, "eventTime", NULL),
    };
    struct draft draft;
    out_normalised->dedup_key =
        draft_dedup_key(arena, border_text(root, "id"), STR(""), inbound->body);
    draft_init(&draft, arena, source, TRUST_SIGNED, inbound->received_at_ms,
               out_normalised->dedup_key, 2);
    if (event.entity_id.size == 0) {
        return NORMALISE_IGNORED;
    }
    if (str_equal(event.fqdn, STR("wix.ecom.v1.order"))) {
        take_order(&event, &draft);
    } else if (str_equal(event.fqdn, STR("wix.contacts.v4.contact"))) {
        take_contact(&event, &draft);
    } else {
        return NORMALISE_IGNORED;
    }
    return draft_finish(&draft, out_normalised);
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct token token;
    json_t *claims CLEANUP(border_free_at) = NULL;
    json_t *outer CLEANUP(border_free_at) = NULL;
    json_t *inner CLEANUP(border_free_at) = NULL;
    if (token_split(inbound->body, &token)) {
        claims = decode(arena, token.claims, LIMIT_HOOK_BODY_BYTES);
        outer = unwrap(claims, "data");
        inner = unwrap(outer, "data");
    }
    *out_normalised = (struct normalised){
        .topic = str_dup(arena, draft_cut(border_text(outer, "eventType"))),
        .dedup_key = draft_dedup_key(arena, STR(""), STR(""), inbound->body),
    };
    if (outer == NULL) {
        problem_set(problem, STATUS_INVALID, "invalid-event",
                    "the token's data is not the text of an object");
        return NORMALISE_UNREADABLE;
    }
    return inner != NULL ? take(arena, source, inbound, inner, out_normalised) : NORMALISE_IGNORED;
}

/* --- setup ------------------------------------------------------------------------ */

static const char *const TOPICS[] = { "wix.ecom.v1.order_approved",
                                      "wix.ecom.v1.order_canceled",
                                      "wix.ecom.v1.order_payment_status_updated",
                                      "wix.contacts.v4.contact_created",
                                      "wix.contacts.v4.contact_updated",
                                      "wix.contacts.v4.contact_deleted",
                                      NULL };

static const char *const STEPS[] = {
    "App dashboard > Develop > Webhooks: add one for each of topics, callback URL = "
    "webhook_url",
    "Copy the app's public key shown there",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the public key, PEM>\",\"label\":\"app\"}",
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "app", .steps = STEPS },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "product views, searches, wish lists", "a source of platform sdk, on the site's pages" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "Wix waits 1.25 seconds for an answer; at 1 second Shopbell says 503 and Wix comes "
    "again.",
    NULL,
};

static const char *const SETTINGS[] = { "time_zone", "currency", "order_completed_when",
                                        "allowed_addresses", NULL };

const struct platform platform_wix = {
    .name = "wix",
    .title = "Wix",
    .signature = {
        .algorithm = SIGNATURE_RSA_SHA256,
        .encoding = SIGNATURE_BASE64URL,
        .key_form = SIGNATURE_KEY_PUBLIC,
        .syntax = SIGNATURE_ALONE,
        .tolerance_ms = EXPIRY_LEEWAY_MS,
        .read_claim = read_claim,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = WIX_ANSWER_MS,
    /* Twelve repeats over two days. */
    .dedup_horizon_ms = 4 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = ORDER_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when = "[\"APPROVED\"]",
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
