#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "canonical_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Our own events (contract 8), one item: what POST /v1/events takes, and what a
 * Standard Webhooks sender carries in `data`. The bodies around them are read by
 * canonical_body.c.
 *
 * Here the sender is a programmer, so the border is as strict as a compiler:
 * each fault of each item is named with a JSON pointer, and a misspelt member
 * gets a suggestion instead of silence. Inside `properties` and `context`
 * anything goes, but for money, which must be money.
 *
 * Invariant: an item becomes exactly one event or at least one error, and an
 * item with an error leaves no trace. `id` is the dedup key within the source;
 * without one a fresh id is made, and a repeat is then a new fact.
 *
 * Orders: order.completed and order.updated restate the order, so they need
 * order_id and total, and become a body of the fold (the core records
 * order.completed once, whatever the sender calls it). placed_at is
 * properties.placed_at, else occurred_at. A refund, a cancellation and a
 * fulfilment are documents under their own id.
 *
 * Times without an offset are refused: this sender can say which it means.
 */

enum {
    ERRORS_LISTED_MAX = 100, /* a reader fixes the first; the count says the rest */
    WHERE_SIZE = 64,
};

/* One item as read so far. */
struct item {
    struct reading *reading;
    json_t *root;
    json_t *properties;
    struct event *event;
    enum event_type type;
    struct str currency;
};

static const char *const ITEM_MEMBERS[] = {
    "id",      "type",   "occurred_at", "identities", "properties",
    "context", "traits", "preferences", "consent",    "act",
};
static const char *const IDENTITY_MEMBERS[] = { "email", "phone", "external_id", "anonymous_id",
                                                "customer_id" };
static const char *const CHANNELS[] = { "email", "sms", "push", "tracking", "sale" };
static const char *const STATES[] = { "subscribed", "pending", "unsubscribed", "never", "invalid" };
static const char *const MONEY_MEMBERS[] = { "total", "subtotal", "discount",         "shipping",
                                             "tax",   "revenue",  "compare_at_price", "price",
                                             "value" };

/* --- errors --------------------------------------------------------------- */

/* One step of a JSON pointer in a URI fragment: "/" and "~" by RFC 6901, what
 * a fragment cannot hold by its percent form, and at most WHERE_SIZE bytes of
 * the name. */
static void pointer_step(struct str key, char *text, size_t size)
{
    static const char plain[] = "-._!$&'()*+,;=:@?";
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < key.size && i < WHERE_SIZE && at + 4 < size; i++) {
        unsigned char c = (unsigned char)key.data[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (c == '/' || c == '~') {
            at += (size_t)snprintf(text + at, size - at, "~%c", c == '/' ? '1' : '0');
        } else if (word || (c != '\0' && strchr(plain, c) != NULL)) {
            at += (size_t)snprintf(text + at, size - at, "%c", c);
        } else {
            at += (size_t)snprintf(text + at, size - at, "%%%02X", c);
        }
    }
}

void canonical_fault(struct reading *reading, const char *where, struct str key,
                     const char *suggestion, const char *detail)
{
    char pointer[PROBLEM_POINTER_SIZE];
    char index[24] = "";
    char step[WHERE_SIZE] = "";
    if (reading->is_list) {
        snprintf(index, sizeof(index), "/%zu", reading->item_index);
    }
    pointer_step(key, step, sizeof(step));
    int size = snprintf(pointer, sizeof(pointer), "#%s%s%s%s", index, where,
                        step[0] != '\0' ? "/" : "", step);
    assert(size > 0 && (size_t)size < sizeof(pointer));
    if (reading->error_count == 0) {
        memcpy(reading->first_pointer, pointer, sizeof(pointer));
        snprintf(reading->first_detail, sizeof(reading->first_detail), "%s%s%s%s", detail,
                 suggestion != NULL ? "; did you mean \"" : "",
                 suggestion != NULL ? suggestion : "", suggestion != NULL ? "\"?" : "");
    }
    reading->error_count++;
    if (reading->error_count > ERRORS_LISTED_MAX) {
        return;
    }
    jsonw_open(&reading->errors_json);
    jsonw_put_z(&reading->errors_json, "pointer", pointer);
    jsonw_put_z(&reading->errors_json, "detail", detail);
    if (suggestion != NULL) {
        jsonw_put_z(&reading->errors_json, "suggestion", suggestion);
    }
    jsonw_close(&reading->errors_json);
}

static void detail_error(struct reading *reading, const char *where, struct str key,
                         const char *suggestion, const char *detail)
{
    if (!reading->forgives) {
        canonical_fault(reading, where, key, suggestion, detail);
    }
}

static const char *word_find(const char *const *words, size_t count, struct str word)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_z(word, words[i])) {
            return words[i];
        }
    }
    return NULL;
}

/* --- money and properties ------------------------------------------------- */

/* Writes an amount as a JSON number of the currency; an error when it is none. */
static void write_money(struct item *item, struct jsonw *json, const char *where, const char *key,
                        json_t *value)
{
    int64_t minor = 0;
    jsonw_key(json, key);
    if (json_is_null(value)) {
        jsonw_null(json);
    } else if (border_money_of(value, item->currency, &minor)) {
        jsonw_money(json, minor, item->currency);
    } else {
        jsonw_null(json);
        detail_error(item->reading, where, str_from_z(key), NULL,
                     "not an amount: a number or decimal text in major units is needed");
    }
}

static void write_member(struct item *item, struct jsonw *json, const char *where, const char *key,
                         json_t *value)
{
    if (word_find(MONEY_MEMBERS, ARRAY_COUNT(MONEY_MEMBERS), str_from_z(key)) != NULL &&
        !json_is_object(value) && !json_is_array(value)) {
        write_money(item, json, where, key, value);
        return;
    }
    struct str text = border_dump(item->reading->arena, value, LIMIT_PROPERTIES_BYTES);
    if (text.size == 0) {
        canonical_fault(item->reading, where, str_from_z(key), NULL, "larger than 64 KiB");
    }
    jsonw_key(json, key);
    jsonw_raw(json, text);
}

/* The lines of an order, or the variants of a product. */
static void write_products(struct item *item, struct jsonw *json, const char *list,
                           json_t *products)
{
    size_t i = 0;
    json_t *product = NULL;
    jsonw_key(json, list);
    jsonw_open_array(json);
    json_array_foreach(products, i, product)
    {
        char where[WHERE_SIZE];
        snprintf(where, sizeof(where), "/properties/%s/%zu", list, i);
        if (!json_is_object(product)) {
            detail_error(item->reading, where, NO_KEY, NULL, "a product is an object");
            continue;
        }
        jsonw_open(json);
        const char *key = NULL;
        json_t *value = NULL;
        json_object_foreach(product, key, value)
        {
            write_member(item, json, where, key, value);
        }
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static void take_properties(struct item *item)
{
    struct buf buf;
    struct jsonw json;
    if (item->properties == NULL) {
        return;
    }
    draft_object_open(&buf, &json, item->reading->arena, 256);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(item->properties, key, value)
    {
        if (strcmp(key, "products") == 0 && json_is_array(value)) {
            write_products(item, &json, "products", value);
        } else if (strcmp(key, "variants") == 0 && json_is_array(value)) {
            write_products(item, &json, "variants", value);
        } else {
            write_member(item, &json, "/properties", key, value);
        }
    }
    jsonw_close(&json);
    if (buf.failed) {
        canonical_fault(item->reading, "/properties", NO_KEY, NULL, "larger than 64 KiB");
        return;
    }
    item->event->properties_json = buf_str(&buf);
}

/* Columns that analysts group by. */
static void take_columns(struct item *item)
{
    struct arena *arena = item->reading->arena;
    struct event *event = item->event;
    json_t *properties = item->properties;
    event->currency = item->currency;
    event->product_id = draft_cut(border_id(arena, properties, "product_id"));
    json_t *category = json_array_get(border_array(properties, "category"), 0);
    struct str text = border_text(properties, "category");
    if (json_is_string(category)) {
        text = (struct str){ json_string_value(category), json_string_length(category) };
    }
    event->category = str_dup(arena, draft_cut(text));
    static const char *const AMOUNTS[] = { "total", "revenue", "value" };
    for (size_t i = 0; i < ARRAY_COUNT(AMOUNTS) && !event->has_amount; i++) {
        event->has_amount =
            border_money(properties, AMOUNTS[i], item->currency, &event->amount_minor);
    }
}

static void take_currency(struct item *item)
{
    struct str currency = border_text(item->properties, "currency");
    item->currency = item->reading->source->currency;
    if (currency.size == 0) {
        return;
    }
    if (!money_currency_is_valid(currency)) {
        canonical_fault(item->reading, "/properties/currency", NO_KEY, NULL,
                        "not an ISO 4217 code, as in EUR");
        return;
    }
    item->currency = str_dup(item->reading->arena, currency);
}

/* --- context -------------------------------------------------------------- */

static void take_context(struct item *item)
{
    json_t *value = json_object_get(item->root, "context");
    if (value == NULL || json_is_null(value)) {
        return;
    }
    if (!json_is_object(value)) {
        canonical_fault(item->reading, "/context", NO_KEY, NULL, "must be an object");
        return;
    }
    struct str ip = border_text(value, "ip");
    json_t *copy CLEANUP(border_free_at) = NULL;
    if (ip.size > 0) {
        copy = json_copy(value);
        struct str network = draft_network(item->reading->arena, ip);
        json_object_set_new(
            copy, "ip", network.size > 0 ? json_stringn(network.data, network.size) : json_null());
        value = copy;
    }
    item->event->context_json = border_dump(item->reading->arena, value, LIMIT_PROPERTIES_BYTES);
    if (item->event->context_json.size == 0) {
        canonical_fault(item->reading, "/context", NO_KEY, NULL, "larger than 64 KiB");
    }
}

/* --- identities and facts ------------------------------------------------- */

static void take_identity(struct item *item, const char *key, json_t *value)
{
    struct reading *reading = item->reading;
    if (json_is_null(value)) {
        return;
    }
    if (word_find(IDENTITY_MEMBERS, ARRAY_COUNT(IDENTITY_MEMBERS), str_from_z(key)) == NULL) {
        detail_error(reading, "/identities", str_from_z(key),
                     str_nearest(str_from_z(key), IDENTITY_MEMBERS, ARRAY_COUNT(IDENTITY_MEMBERS)),
                     "no identity of this name");
        return;
    }
    struct str text = border_id_of(reading->arena, value);
    enum identity_kind kind = identity_kind_from_name(str_from_z(key));
    if (!draft_identify(&reading->draft, item->event, kind, text)) {
        detail_error(reading, "/identities", str_from_z(key), NULL,
                     kind == IDENTITY_EMAIL ? "not an email address that names a person"
                     : kind == IDENTITY_PHONE
                         ? "not a phone number with its country (+33612345678)"
                         : "not an identifier: text of 1 to 1024 bytes, and no "
                           "placeholder such as \"null\" or \"0\"");
    }
}

static bool needs_identity(const struct item *item)
{
    return !event_type_info(item->type)->universal && item->event->identifier_count == 0;
}

static void take_identities(struct item *item)
{
    json_t *value = json_object_get(item->root, "identities");
    if (value == NULL || json_is_null(value)) {
        return;
    }
    if (!json_is_object(value)) {
        canonical_fault(item->reading, "/identities", NO_KEY, NULL,
                        "must be an object, as in {\"email\": \"jane@example.com\"}");
        return;
    }
    const char *key = NULL;
    json_t *one = NULL;
    json_object_foreach(value, key, one)
    {
        take_identity(item, key, one);
    }
}

static void take_fact(struct item *item, enum fact_kind kind, const char *where, const char *key,
                      json_t *value)
{
    struct reading *reading = item->reading;
    struct str name = str_from_z(key);
    if (name.size == 0 || name.size > LIMIT_DEDUP_KEY_BYTES) {
        detail_error(reading, where, name, NULL, "a name of 1 to 128 bytes is needed");
        return;
    }
    if (kind == FACT_CONSENT) {
        struct str state = border_text(json_object_get(item->root, "consent"), key);
        if (word_find(CHANNELS, ARRAY_COUNT(CHANNELS), name) == NULL) {
            detail_error(reading, where, name, str_nearest(name, CHANNELS, ARRAY_COUNT(CHANNELS)),
                         "no such channel: email, sms, push, tracking or sale");
            return;
        }
        if (word_find(STATES, ARRAY_COUNT(STATES), state) == NULL) {
            detail_error(reading, where, name, str_nearest(state, STATES, ARRAY_COUNT(STATES)),
                         "no such state: subscribed, pending, unsubscribed, never or invalid");
            return;
        }
    }
    struct str json = border_dump(reading->arena, value, LIMIT_TEXT_BYTES);
    if (json.size == 0) {
        detail_error(reading, where, name, NULL, "larger than 1024 bytes");
        return;
    }
    draft_fact_json(&reading->draft, item->event, kind, str_dup(reading->arena, name), json);
}

static void take_facts(struct item *item, enum fact_kind kind, const char *member)
{
    json_t *value = json_object_get(item->root, member);
    char where[WHERE_SIZE];
    snprintf(where, sizeof(where), "/%s", member);
    if (value == NULL || json_is_null(value)) {
        return;
    }
    if (!json_is_object(value)) {
        canonical_fault(item->reading, where, NO_KEY, NULL, "must be an object");
        return;
    }
    if (json_object_size(value) > LIMIT_TRAITS_PER_PROFILE) {
        canonical_fault(item->reading, where, NO_KEY, NULL, "more than 256 members");
        return;
    }
    const char *key = NULL;
    json_t *one = NULL;
    json_object_foreach(value, key, one)
    {
        take_fact(item, kind, where, key, one);
    }
}

/* --- orders --------------------------------------------------------------- */

/* Words that shops and tills use for a status. Without one, or with a word we
 * do not know, an order counts: it was sent to be counted. */
static const struct order_status_rule ORDER_STATUSES[] = {
    { "draft", ORDER_OPEN, false },
    { "open", ORDER_OPEN, false },
    { "pending", ORDER_OPEN, false },
    { "on-hold", ORDER_OPEN, false },
    { "on_hold", ORDER_OPEN, false },
    { "authorized", ORDER_OPEN, true },
    { "processing", ORDER_PAID, true },
    { "paid", ORDER_PAID, true },
    { "refunded", ORDER_PAID, true },
    { "partially_refunded", ORDER_PAID, true },
    { "completed", ORDER_PAID, true },
    { "fulfilled", ORDER_FULFILLED, true },
    { "shipped", ORDER_FULFILLED, true },
    { "delivered", ORDER_FULFILLED, true },
    { "cancelled", ORDER_CANCELLED, false },
    { "canceled", ORDER_CANCELLED, false },
    { "voided", ORDER_CANCELLED, false },
    { "failed", ORDER_CANCELLED, false },
    { NULL, ORDER_OPEN, false },
};

static bool status_is_known(struct str status)
{
    for (const struct order_status_rule *rule = ORDER_STATUSES; rule->status != NULL; rule++) {
        if (str_equal_z(status, rule->status)) {
            return true;
        }
    }
    return false;
}

/* Contract 2 has the platform in the context. Of an order it is kept with the
 * body, which a fold from the beginning reads again. */
static struct str order_body(const struct item *item)
{
    struct str body = item->event->properties_json;
    struct str platform = border_text(border_object(item->root, "context"), "platform");
    if (body.size == 0 || !draft_is_platform(platform) ||
        json_object_get(item->properties, "platform") != NULL) {
        return body;
    }
    return str_printf(item->reading->arena, "%.*s,\"platform\":\"%.*s\"}",
                      STR_ARG(str_take(body, body.size - 1)), STR_ARG(platform));
}

static void take_order_body(struct item *item, struct order_document *document)
{
    struct arena *arena = item->reading->arena;
    json_t *properties = item->properties;
    struct event *event = item->event;
    struct str status = draft_cut(border_text(properties, "status"));
    bool completed = item->type == EVENT_ORDER_COMPLETED;
    document->kind = ORDER_BODY;
    /* Clamped: a till whose clock runs a year ahead must not win for a year. */
    document->version_ms = event->occurred_at_ms;
    document->status = status.size > 0 ? str_dup(arena, status)
                       : completed     ? STR("completed")
                                       : STR("");
    document->rank = draft_status_rank(ORDER_STATUSES, document->status);
    document->counts = completed || !status_is_known(status) ||
                       draft_status_counts(&(struct source){ 0 }, ORDER_STATUSES, status);
    document->number = draft_cut(border_scalar(arena, properties, "number"));
    document->number = str_dup(arena, document->number);
    document->currency = item->currency;
    document->body_json = order_body(item);
    border_money(properties, "refunded", item->currency, &document->refunded_minor);

    int64_t placed_at_ms = event->claimed_at_ms;
    struct str placed = border_text(properties, "placed_at");
    if (placed.size > 0 && !instant_parse(placed, true, &placed_at_ms, NULL)) {
        canonical_fault(item->reading, "/properties/placed_at", NO_KEY, NULL,
                        "an instant with its offset is needed, as in 2026-11-22T14:10:00+01:00");
    }
    document->placed_at_ms = event_clamp_instant(placed_at_ms, event->received_at_ms);
    if (!border_money(properties, "total", item->currency, &document->total_minor)) {
        canonical_fault(item->reading, "/properties/total", NO_KEY, NULL,
                        "an order restates its total: a number or decimal text is needed");
    }
}

static void take_order(struct item *item)
{
    struct arena *arena = item->reading->arena;
    struct event *event = item->event;
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (document == NULL) {
        return;
    }
    document->order_ref = border_id(arena, item->properties, "order_id");
    document->at_ms = event->occurred_at_ms;
    if (!draft_identify(&item->reading->draft, event, IDENTITY_ORDER, document->order_ref)) {
        canonical_fault(item->reading, "/properties/order_id", NO_KEY, NULL,
                        "an event about an order needs the shop's own id of it");
        return;
    }
    switch (item->type) {
    case EVENT_ORDER_COMPLETED:
    case EVENT_ORDER_UPDATED:
        take_order_body(item, document);
        break;
    case EVENT_ORDER_CANCELLED:
        document->kind = ORDER_CANCELLATION;
        break;
    case EVENT_ORDER_REFUNDED:
        document->kind = ORDER_REFUND;
        document->document_ref = border_id(arena, item->properties, "refund_id");
        if (!border_money(item->properties, "total", item->currency, &document->amount_minor) ||
            document->amount_minor < 0) {
            canonical_fault(item->reading, "/properties/total", NO_KEY, NULL,
                            "a refund needs the amount given back, not negative");
        }
        break;
    default:
        document->kind = ORDER_FULFILMENT;
        document->document_ref = border_id(arena, item->properties, "fulfilment_id");
        break;
    }
    if (document->document_ref.size == 0 &&
        (document->kind == ORDER_REFUND || document->kind == ORDER_FULFILMENT)) {
        document->document_ref = event->dedup_key;
    }
    event->order = document;
}

/* --- items ---------------------------------------------------------------- */

static void refuse_unknown_members(struct reading *reading, json_t *root)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(root, key, value)
    {
        struct str name = str_from_z(key);
        if (word_find(ITEM_MEMBERS, ARRAY_COUNT(ITEM_MEMBERS), name) == NULL) {
            canonical_fault(reading, "", name,
                            str_nearest(name, ITEM_MEMBERS, ARRAY_COUNT(ITEM_MEMBERS)),
                            "an event has no such member; your own belong into properties");
        }
    }
}

/* 0 with an error when there is no such type. */
static enum event_type take_type(struct reading *reading, struct str name)
{
    const char *names[EVENT_TYPE_COUNT];
    size_t count = 0;
    enum event_type type = event_type_from_name(name);
    if (type != 0) {
        return type;
    }
    for (int i = 1; i < EVENT_TYPE_COUNT; i++) {
        names[count++] = event_type_info((enum event_type)i)->name;
    }
    canonical_fault(reading, "/type", NO_KEY,
                    name.size == 0 ? NULL : str_nearest(name, names, count),
                    name.size == 0 ? "needed: the name of what happened, as in product.viewed"
                                   : "no event of this type; your own are called custom.<name>");
    return 0;
}

/* False with an error when it is not an instant. */
static bool take_instant(struct reading *reading, json_t *root, int64_t *out_ms)
{
    json_t *value = json_object_get(root, "occurred_at");
    if (value == NULL || json_is_null(value)) {
        *out_ms = reading->default_at_ms;
        return true;
    }
    if (json_is_string(value) &&
        instant_parse(border_text(root, "occurred_at"), true, out_ms, NULL)) {
        return true;
    }
    canonical_fault(reading, "/occurred_at", NO_KEY, NULL,
                    "an instant with its offset is needed, as in 2026-11-22T14:10:00+01:00");
    return false;
}

/* The item's own id, the envelope's, or a fresh one. False with an error. */
static bool take_key(struct reading *reading, json_t *root, struct str *out_key,
                     struct str *out_part)
{
    json_t *value = json_object_get(root, "id");
    if (value == NULL || json_is_null(value)) {
        char text[ID_TEXT_SIZE];
        id_format(id_create(), text);
        *out_key = reading->default_key.size > 0 ? reading->default_key
                                                 : str_printf(reading->arena, "made/%s", text);
        *out_part = str_printf(reading->arena, "%zu", reading->item_index);
        return true;
    }
    struct str key = border_scalar(reading->arena, root, "id");
    if (key.size == 0 || key.size > LIMIT_DEDUP_KEY_BYTES || json_is_boolean(value)) {
        canonical_fault(reading, "/id", NO_KEY, NULL, "text of 1 to 128 characters is needed");
        return false;
    }
    *out_key = str_dup(reading->arena, key);
    *out_part = STR("event");
    return true;
}

static void take_act(struct item *item)
{
    json_t *act = json_object_get(item->root, "act");
    if (act == NULL) {
        return;
    }
    if (!json_is_boolean(act) || item->type != EVENT_CUSTOM) {
        canonical_fault(
            item->reading, "/act", NO_KEY, NULL,
            "true or false, for custom.* only: does it show that the customer is there?");
        return;
    }
    item->event->act = json_is_true(act);
}

static void take_members(struct item *item)
{
    struct reading *reading = item->reading;
    json_t *properties = json_object_get(item->root, "properties");
    if (json_is_object(properties)) {
        item->properties = properties;
    } else if (properties != NULL && !json_is_null(properties)) {
        canonical_fault(reading, "/properties", NO_KEY, NULL, "must be an object");
    }
    take_currency(item);
    take_properties(item);
    take_columns(item);
    if (item->type == EVENT_CART_UPDATED) {
        item->event->cart_json = canonical_cart(reading->arena, reading->source, item->properties,
                                                item->currency, item->event->occurred_at_ms);
    }
    take_context(item);
    take_identities(item);
    take_facts(item, FACT_TRAIT, "traits");
    take_facts(item, FACT_PREFERENCE, "preferences");
    take_facts(item, FACT_CONSENT, "consent");
    take_act(item);
    if (event_type_is_of_order(item->type)) {
        take_order(item);
    } else if ((item->type == EVENT_PRODUCT_UPDATED || item->type == EVENT_PRODUCT_DELETED) &&
               item->event->product_id.size == 0) {
        canonical_fault(reading, "/properties", str_from_z("product_id"), NULL,
                        "which product? its id in the shop");
    } else if (needs_identity(item)) {
        canonical_fault(
            reading, "/identities", NO_KEY, NULL,
            "whose event is it? email, phone, external_id, anonymous_id or customer_id");
    }
}

void canonical_item(struct reading *reading, json_t *root)
{
    size_t errors_before = reading->error_count;
    if (!json_is_object(root)) {
        canonical_fault(reading, "", NO_KEY, NULL, "an event is a JSON object");
        reading->item_index++;
        return;
    }
    refuse_unknown_members(reading, root);
    struct str name = border_text(root, "type");
    name = name.size == 0 && json_object_get(root, "type") == NULL ? reading->default_type : name;
    enum event_type type = take_type(reading, name);
    int64_t claimed_at_ms = INSTANT_NONE;
    struct str key = { NULL, 0 };
    bool timed = take_instant(reading, root, &claimed_at_ms);
    struct str part = { NULL, 0 };
    bool keyed = take_key(reading, root, &key, &part);
    if (type != 0 && timed && keyed) {
        size_t event_count = reading->draft.event_count;
        struct item item = {
            .reading = reading,
            .root = root,
            .event = draft_event(&reading->draft, type, key, part, claimed_at_ms),
            .type = type,
        };
        if (item.event != NULL) {
            if (type == EVENT_CUSTOM) {
                item.event->name = str_dup(reading->arena, name);
            }
            take_members(&item);
        }
        if (reading->error_count > errors_before) {
            reading->draft.event_count = event_count;
        } else if (reading->items != NULL && event_count < reading->draft.event_count) {
            reading->items[event_count] = reading->item_index;
        }
    }
    reading->item_index++;
}
