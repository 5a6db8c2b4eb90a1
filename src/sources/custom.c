#include <string.h>

#include "base/buf.h"
#include "base/instant.h"
#include "base/limits.h"
#include "custom_priv.h"
#include "draft_priv.h"
#include "sources/json_border.h"

/*
 * A custom source: a shop that has no file here (PrestaShop by a module, Magento by
 * a module, a home-grown one) says in its settings how it signs and what of its JSON
 * is which event. No C is written for it.
 *
 * The mapping makes items of POST /v1/events, and the reader of those takes them; so
 * every check of money, orders, identities and consents is the one that is there, and
 * a mapping that does not fit leaves the delivery in quarantine with the pointer of
 * what was wrong, to be replayed when the mapping is mended.
 *
 * Rejected: a language of templates (a second one to learn, and to secure); mapping
 * at the edge of the shop (then each shop needs code after all).
 */

/* A number of this size or more is milliseconds: as seconds it is the year 5138. */
#define SECONDS_BELOW INT64_C(100000000000)

enum {
    TOKEN_SIZE_MAX = 128,
    ITEMS_MAX = 512,
};

/* --- pointers ------------------------------------------------------------------- */

/* "~1" is "/", "~0" is "~". */
static bool unescape(struct str token, char *text)
{
    size_t size = 0;
    for (size_t i = 0; i < token.size && size + 1 < TOKEN_SIZE_MAX; i++) {
        char c = token.data[i];
        if (c == '~') {
            i++;
            if (i == token.size || (token.data[i] != '0' && token.data[i] != '1')) {
                return false;
            }
            c = token.data[i] == '0' ? '~' : '/';
        }
        text[size++] = c;
    }
    text[size] = '\0';
    return token.size < TOKEN_SIZE_MAX;
}

json_t *custom_at(json_t *root, struct str pointer)
{
    json_t *at = root;
    struct str rest = pointer;
    while (at != NULL && rest.size > 0) {
        char text[TOKEN_SIZE_MAX];
        struct str token = str_drop(rest, 1);
        struct str tail = { NULL, 0 };
        uint64_t index = 0;
        if (str_split(token, '/', &token, &tail)) {
            rest = (struct str){ tail.data - 1, tail.size + 1 };
        } else {
            rest = (struct str){ NULL, 0 };
        }
        if (!unescape(token, text)) {
            return NULL;
        }
        if (json_is_array(at)) {
            at = str_to_u64(token, &index) ? json_array_get(at, (size_t)index) : NULL;
        } else {
            at = json_object_get(at, text);
        }
    }
    return at;
}

/* --- values --------------------------------------------------------------------- */

struct mapping_run {
    struct arena *arena;
    const struct source *source;
    json_t *root; /* of the body */
};

static json_t *text_json(struct str text)
{
    return json_stringn(text.data != NULL ? text.data : "", text.size);
}

/* By the words: numbers and booleans are looked up by how they are written. */
static json_t *translate(const struct mapping_run *run, const struct custom_value *value,
                         const json_t *found)
{
    struct str text = { NULL, 0 };
    if (json_is_string(found)) {
        text = (struct str){ json_string_value(found), json_string_length(found) };
    } else if (json_is_integer(found)) {
        text = str_printf(run->arena, "%lld", (long long)json_integer_value(found));
    } else if (json_is_boolean(found)) {
        text = json_is_true(found) ? STR("true") : STR("false");
    }
    for (size_t i = 0; i < value->word_count; i++) {
        if (str_equal(text, value->words[i].from)) {
            return text_json(value->words[i].to);
        }
    }
    return value->otherwise.size > 0 ? text_json(value->otherwise) : NULL;
}

/* A new reference, or NULL when there is nothing to say. */
static json_t *value_of(const struct mapping_run *run, const struct custom_value *value,
                        json_t *base)
{
    if (value->pointer.size == 0) {
        return value->literal.size > 0 ? text_json(value->literal) : NULL;
    }
    json_t *found = custom_at(base, value->pointer);
    if (found == NULL) {
        found = custom_at(run->root, value->pointer); /* beside the list that `each` walks */
    }
    if (value->words != NULL) {
        return translate(run, value, found);
    }
    if (found == NULL || json_is_null(found)) {
        return value->otherwise.size > 0 ? text_json(value->otherwise) : NULL;
    }
    return json_incref(found);
}

/* An instant in whatever form: seconds or milliseconds since 1970, text with or
 * without an offset. Canonical events have one form. */
static json_t *instant_of(const struct mapping_run *run, const struct custom_value *value,
                          json_t *base)
{
    json_t *found CLEANUP(border_free_at) = value_of(run, value, base);
    json_t *holder CLEANUP(border_free_at) = json_object();
    int64_t number = 0;
    char text[64];
    if (found == NULL || json_object_set(holder, "at", found) != 0) {
        return NULL;
    }
    int64_t at_ms = border_integer(holder, "at", &number)
                        ? (number < SECONDS_BELOW ? number * INSTANT_SECOND_MS : number)
                        : border_instant(holder, "at", run->source->time_zone.data);
    if (at_ms == INSTANT_NONE) {
        return json_incref(found); /* the reader says what is wrong with it */
    }
    instant_format(at_ms, text);
    return json_string(text);
}

static void put(json_t *object, const char *name, json_t *value)
{
    if (value != NULL) {
        json_object_set_new(object, name, value);
    }
}

static json_t *members_of(const struct mapping_run *run, const struct custom_members *members,
                          json_t *base)
{
    json_t *object = json_object();
    for (size_t i = 0; i < members->count; i++) {
        put(object, members->members[i].name, value_of(run, &members->members[i].value, base));
    }
    if (json_object_size(object) == 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* --- items ---------------------------------------------------------------------- */

static json_t *products_of(const struct mapping_run *run, const struct custom_event *event,
                           json_t *base)
{
    json_t *list = custom_at(base, event->products_each);
    json_t *products = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *product = members_of(run, &event->product, json_array_get(list, i));
        if (product != NULL) {
            json_array_append_new(products, product);
        }
    }
    return products;
}

static json_t *item_of(const struct mapping_run *run, const struct custom_event *event,
                       json_t *base, struct str fallback_id)
{
    json_t *item = json_object();
    json_t *properties = members_of(run, &event->properties, base);
    json_t *id CLEANUP(border_free_at) = value_of(run, &event->id, base);
    json_t *holder CLEANUP(border_free_at) = json_object();
    if (event->products_each.size > 0) {
        properties = properties != NULL ? properties : json_object();
        put(properties, "products", products_of(run, event, base));
    }
    if (id != NULL) {
        json_object_set(holder, "id", id);
    }
    struct str own = border_id(run->arena, holder, "id");
    put(item, "type", json_string(event->type));
    /* One id may name several facts: an order, and its payment. */
    put(item, "id",
        text_json(own.size > 0 ? str_printf(run->arena, "%s/%.*s", event->type, STR_ARG(own))
                               : fallback_id));
    put(item, "occurred_at", instant_of(run, &event->occurred_at, base));
    put(item, "identities", members_of(run, &event->identities, base));
    put(item, "properties", properties);
    put(item, "traits", members_of(run, &event->traits, base));
    put(item, "preferences", members_of(run, &event->preferences, base));
    put(item, "consent", members_of(run, &event->consent, base));
    return item;
}

static json_t *items_of(const struct mapping_run *run, const struct custom_mapping *mapping,
                        struct str topic, struct str delivery_key, bool *out_is_known)
{
    json_t *items = json_array();
    *out_is_known = false;
    for (size_t i = 0; i < mapping->event_count; i++) {
        const struct custom_event *event = &mapping->events[i];
        if (event->topic.size > 0 && !str_equal(event->topic, topic)) {
            continue;
        }
        *out_is_known = true;
        json_t *list = event->each.size > 0 ? custom_at(run->root, event->each) : NULL;
        size_t count = event->each.size > 0 ? json_array_size(list) : 1;
        for (size_t k = 0; k < count && json_array_size(items) < ITEMS_MAX; k++) {
            json_t *base = event->each.size > 0 ? json_array_get(list, k) : run->root;
            struct str key = str_printf(run->arena, "%.*s/%zu/%zu", STR_ARG(delivery_key), i, k);
            json_array_append_new(items, item_of(run, event, base, key));
        }
    }
    return items;
}

/* --- deliveries ------------------------------------------------------------------- */

static struct str place_text(struct arena *arena, const struct custom_place *place,
                             const struct inbound *inbound, json_t *root)
{
    if (place->header != NULL) {
        struct str text = str_trim(inbound_header(inbound, place->header));
        return str_is_text(text) ? str_dup(arena, draft_cut(text)) : STR("");
    }
    if (place->pointer.size == 0) {
        return STR("");
    }
    return draft_cut(border_id_of(arena, custom_at(root, place->pointer)));
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    const struct custom_mapping *mapping = source->adapter;
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL || mapping == NULL) {
        *out_normalised = (struct normalised){
            .dedup_key = draft_dedup_key(arena, STR(""), STR(""), inbound->body),
        };
        return NORMALISE_UNREADABLE;
    }
    struct str topic = place_text(arena, &mapping->topic, inbound, root);
    struct str id = place_text(arena, &mapping->id, inbound, root);
    *out_normalised = (struct normalised){
        .topic = topic,
        .dedup_key = draft_dedup_key(arena, id, topic, inbound->body),
    };
    struct mapping_run run = { arena, source, root };
    bool is_known = false;
    json_t *items CLEANUP(border_free_at) =
        items_of(&run, mapping, topic, out_normalised->dedup_key, &is_known);
    if (!is_known) {
        return NORMALISE_IGNORED;
    }
    struct canonical_batch batch = { .event_count = 0 };
    enum status status =
        canonical_take(arena, source, items, inbound->received_at_ms, false, &batch, problem);
    if (arena_is_full(arena)) {
        return NORMALISE_FULL;
    }
    if (status != STATUS_OK) {
        return NORMALISE_UNREADABLE;
    }
    out_normalised->events = batch.events;
    out_normalised->event_count = batch.event_count;
    return NORMALISE_EVENTS;
}

/* --- setup ------------------------------------------------------------------------ */

static const char EXAMPLE[] =
    "{\"settings\": {\n"
    "  \"signature\": {\"algorithm\": \"sha256\", \"encoding\": \"hex\", \"header\": "
    "\"X-Signature\", \"content\": \"{body}\"},\n"
    "  \"topic\": {\"pointer\": \"/event\"},\n"
    "  \"id\": {\"pointer\": \"/id\"},\n"
    "  \"events\": [{\n"
    "    \"topic\": \"order.paid\", \"type\": \"order.completed\", \"occurred_at\": "
    "\"/order/paid_at\",\n"
    "    \"identities\": {\"email\": \"/order/customer/email\", \"customer_id\": "
    "\"/order/customer/id\"},\n"
    "    \"properties\": {\"order_id\": \"/order/id\", \"total\": \"/order/total\", \"currency\": "
    "\"=EUR\"},\n"
    "    \"products\": {\"each\": \"/order/lines\", \"properties\": {\"product_id\": \"/ref\", "
    "\"name\": \"/title\", \"quantity\": \"/qty\", \"price\": \"/price\"}}\n"
    "  }]\n"
    "}}\n";

static const char *const TOPICS[] = { "*", NULL };

static const char *const STEPS[] = {
    "PATCH /v1/sources/%s with settings as below: how the shop signs, where the topic stands, "
    "and what of a body is which event (JSON pointers; \"=text\" is a constant)",
    "Let the shop post JSON to webhook_url, signed with the secret (shown once)",
    "POST /v1/sources/%s/verify with one captured request: it says whether the signature "
    "holds and which events would come of it, and stores nothing",
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "mapping", .steps = STEPS, .paste = EXAMPLE },
    { .way = NULL },
};
static const char *const WARNINGS[] = {
    "With \"algorithm\": \"none\" nothing is signed: the secret is the last segment of "
    "the address, a Bearer token or a password.",
    NULL,
};

static const char *const SETTINGS[] = {
    "signature",         "topic", "id", "events", "time_zone", "currency", "notification_url",
    "allowed_addresses", NULL
};

const struct platform platform_custom = {
    .name = "custom",
    .title = "Custom",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = "x-signature" } },
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .makes_secret = true,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 7 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .default_order_completed_when = "[\"order.completed\"]",
    .parse_settings = custom_parse_settings,
    .normalise = normalise,
    .setup = { .ways = WAYS, .warnings = WARNINGS },
};
