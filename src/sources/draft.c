#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/address.h"
#include "base/instant.h"
#include "base/limits.h"
#include "draft_priv.h"
#include "sources/json_border.h"

/*
 * Events in the making.
 *
 * Invariant: an event's identity is (source, dedup_key, part) and nothing
 * else. Most facts take their delivery's key; a fact that several deliveries
 * may bring (a refund comes by refunds/create and inside every later order)
 * takes a key of its own, made of its object's id, so it has one effect
 * whichever delivery is first, and its receipt says so to the others.
 *
 * Adapters state what the payload states and nothing more: no identifier that
 * names nobody, no trait for an empty field (a shop that knows no first name
 * does not say that there is none).
 */

enum {
    FACTS_PER_EVENT_FIRST = 12
};

void draft_init(struct draft *draft, struct arena *arena, const struct source *source,
                enum trust trust, int64_t received_at_ms, struct str dedup_key, size_t capacity)
{
    *draft = (struct draft){
        .arena = arena,
        .source = source,
        .trust = trust,
        .provenance = PROVENANCE_FULL,
        .received_at_ms = received_at_ms,
        .dedup_key = dedup_key,
        .events = ARENA_NEW_ARRAY(arena, capacity, struct event),
    };
    draft->event_capacity = draft->events == NULL ? 0 : capacity;
}

struct str draft_dedup_key(struct arena *arena, struct str given, struct str topic, struct str body)
{
    if (given.size > 0 && given.size <= LIMIT_DEDUP_KEY_BYTES && str_is_text(given)) {
        return str_dup(arena, given);
    }
    struct id_hash hash;
    id_hash_begin(&hash, "delivery");
    id_hash_add(&hash, given);
    id_hash_add(&hash, topic);
    id_hash_add(&hash, body);
    char text[ID_TEXT_SIZE];
    id_format(id_hash_end(&hash), text);
    return str_printf(arena, "body/%s", text);
}

/* An id of a shop may be long text; a key or a part made of it may not. */
static struct str bounded(struct arena *arena, struct str key)
{
    return key.size <= LIMIT_DEDUP_KEY_BYTES ? key : draft_dedup_key(arena, key, STR(""), STR(""));
}

struct event *draft_event(struct draft *draft, enum event_type type, struct str dedup_key,
                          struct str part, int64_t claimed_at_ms)
{
    if (arena_is_full(draft->arena)) {
        return NULL;
    }
    assert(draft->event_count < draft->event_capacity);
    const struct event_type_info *info = event_type_info(type);
    struct event *event = &draft->events[draft->event_count++];
    struct str key = dedup_key.size > 0 ? bounded(draft->arena, dedup_key) : draft->dedup_key;
    part = bounded(draft->arena, part);
    int64_t claimed = claimed_at_ms == INSTANT_NONE ? draft->received_at_ms : claimed_at_ms;
    *event = (struct event){
        .id = event_id(draft->source->id, key, part),
        .source_id = draft->source->id,
        .dedup_key = key,
        .part = part,
        .type = type,
        .name = str_from_z(info->name),
        .trust = draft->trust,
        .act = info->act,
        .occurred_at_ms = event_clamp_instant(claimed, draft->received_at_ms),
        .claimed_at_ms = claimed,
        .received_at_ms = draft->received_at_ms,
    };
    return event;
}

/* {"thin":true,"provenance":"none", and what the adapter wrote. */
static void mark(const struct draft *draft, struct event *event)
{
    bool is_partial = draft->provenance != PROVENANCE_FULL;
    if (!event->is_thin && !is_partial) {
        return;
    }
    bool has_members = event->context_json.size > 2;
    struct str rest = has_members ? str_drop(event->context_json, 1) : STR("}");
    event->context_json =
        str_printf(draft->arena, "{%s%s%s%s%s%s%.*s", event->is_thin ? "\"thin\":true" : "",
                   event->is_thin && is_partial ? "," : "", is_partial ? "\"provenance\":\"" : "",
                   is_partial ? provenance_name(draft->provenance) : "", is_partial ? "\"" : "",
                   has_members ? "," : "", STR_ARG(rest));
}

enum normalise_verdict draft_finish(struct draft *draft, struct normalised *out_normalised)
{
    for (size_t i = 0; i < draft->event_count; i++) {
        mark(draft, &draft->events[i]);
    }
    if (arena_is_full(draft->arena)) {
        return NORMALISE_FULL;
    }
    out_normalised->events = draft->events;
    out_normalised->event_count = draft->event_count;
    out_normalised->dedup_key = draft->dedup_key;
    return NORMALISE_EVENTS;
}

/* --- identifiers ---------------------------------------------------------- */

static int identifier_compare(const struct identifier *a, const struct identifier *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    int order = id_compare(a->source_id, b->source_id);
    return order != 0 ? order : str_compare(a->value, b->value);
}

bool draft_identify(struct draft *draft, struct event *event, enum identity_kind kind,
                    struct str value)
{
    struct identifier new = { .kind = kind };
    if (event == NULL || value.size == 0 ||
        !identity_normalise(draft->arena, kind, value, &new.value)) {
        return false;
    }
    if (identity_kind_is_of_source(kind)) {
        new.source_id = draft->source->id;
    }
    if (event->identifiers == NULL) {
        event->identifiers =
            ARENA_NEW_ARRAY(draft->arena, LIMIT_IDENTIFIERS_PER_EVENT, struct identifier);
    }
    if (event->identifiers == NULL || event->identifier_count == LIMIT_IDENTIFIERS_PER_EVENT) {
        return false;
    }
    size_t at = event->identifier_count;
    while (at > 0) {
        int order = identifier_compare(&event->identifiers[at - 1], &new);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            break;
        }
        at--;
    }
    memmove(&event->identifiers[at + 1], &event->identifiers[at],
            (event->identifier_count - at) * sizeof(new));
    event->identifiers[at] = new;
    event->identifier_count++;
    return true;
}

void draft_identify_as(struct event *event, const struct event *other)
{
    if (event != NULL && other != NULL) {
        event->identifiers = other->identifiers;
        event->identifier_count = other->identifier_count;
    }
}

/* --- facts ---------------------------------------------------------------- */

struct str draft_cut(struct str text)
{
    return str_take_text(text, LIMIT_TEXT_BYTES);
}

struct str draft_json_text(struct arena *arena, struct str text)
{
    struct buf buf;
    buf_init(&buf, arena, 6 * text.size + 8);
    buf_reserve(&buf, text.size + 2);
    struct jsonw json;
    jsonw_begin(&json, &buf);
    jsonw_str(&json, text);
    return buf_str(&buf);
}

void draft_fact_json(struct draft *draft, struct event *event, enum fact_kind kind, struct str key,
                     struct str value_json)
{
    if (event == NULL || value_json.size == 0) {
        return;
    }
    /* Grows by doubling: full at 12, 24, 48, ... */
    size_t count = event->fact_count;
    bool full = count == 0;
    for (size_t at = FACTS_PER_EVENT_FIRST; at <= count; at *= 2) {
        full = full || at == count;
    }
    if (full) {
        size_t capacity = count == 0 ? FACTS_PER_EVENT_FIRST : count * 2;
        struct event_fact *facts = ARENA_NEW_ARRAY(draft->arena, capacity, struct event_fact);
        if (facts == NULL) {
            return;
        }
        if (count > 0) {
            memcpy(facts, event->facts, count * sizeof(*facts));
        }
        event->facts = facts;
    }
    event->facts[event->fact_count++] =
        (struct event_fact){ .kind = kind, .key = key, .value_json = value_json };
}

void draft_trait(struct draft *draft, struct event *event, const char *key, struct str text)
{
    if (text.size > 0) {
        draft_fact_json(draft, event, FACT_TRAIT, str_from_z(key),
                        draft_json_text(draft->arena, draft_cut(text)));
    }
}

void draft_undated_consent(struct draft *draft, const struct event *customer, const char *channel)
{
    struct str part = str_printf(draft->arena, "consent/%s", channel);
    if (customer == NULL) {
        return;
    }
    struct event *event = draft_event(draft, EVENT_CONSENT_UPDATED, customer->dedup_key, part,
                                      customer->claimed_at_ms);
    if (event == NULL) {
        return;
    }
    event->act = false;
    event->facts_at_ms = INSTANT_FIRST_MS;
    event->properties_json = str_printf(
        draft->arena, "{\"channel\":\"%s\",\"state\":\"subscribed\",\"undated\":true}", channel);
    draft_fact_json(draft, event, FACT_CONSENT, str_from_z(channel), STR("\"subscribed\""));
    draft_identify_as(event, customer);
}

/* --- members -------------------------------------------------------------- */

void draft_object_open(struct buf *buf, struct jsonw *json, struct arena *arena, size_t size_hint)
{
    buf_init(buf, arena, LIMIT_PROPERTIES_BYTES);
    buf_reserve(buf, size_hint);
    jsonw_begin(json, buf);
    jsonw_open(json);
}

void draft_put_text(struct jsonw *json, const char *key, struct str text)
{
    if (text.size > 0) {
        jsonw_put_str(json, key, draft_cut(text));
    }
}

void draft_put_member(struct jsonw *json, struct arena *arena, const char *key,
                      const json_t *object, const char *name)
{
    draft_put_text(json, key, border_id(arena, object, name));
}

bool draft_put_money(struct jsonw *json, const char *key, const json_t *object, const char *name,
                     struct str currency)
{
    int64_t minor = 0;
    if (!border_money(object, name, currency, &minor)) {
        return false;
    }
    jsonw_put_money(json, key, minor, currency);
    return true;
}

struct str draft_region(struct arena *arena, struct str country, struct str region)
{
    if (country.size != 2 || region.size == 0 || region.size > 3) {
        return region;
    }
    for (size_t i = 0; i < region.size; i++) {
        char c = region.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'))) {
            return region;
        }
    }
    return str_printf(arena, "%.*s-%.*s", STR_ARG(country), STR_ARG(region));
}

/* --- statuses ------------------------------------------------------------- */

/* Shopify's source_name and WooCommerce's created_via, which share no word. What
 * a merchant typed in ("shopify_draft_order", "admin") came by no platform. */
static const struct {
    struct str word;
    const char *platform;
} channels[] = {
    { { "web", 3 }, "web" },    { { "checkout", 8 }, "web" },      { { "store-api", 9 }, "web" },
    { { "iphone", 6 }, "ios" }, { { "ios", 3 }, "ios" },           { { "android", 7 }, "android" },
    { { "pos", 3 }, "pos" },    { { "pos-rest-api", 12 }, "pos" }, { { "rest-api", 8 }, "api" },
    { { "api", 3 }, "api" },
};

void draft_put_channel(struct jsonw *json, struct str word)
{
    uint64_t app = 0;
    draft_put_text(json, "channel", word);
    for (size_t i = 0; i < ARRAY_COUNT(channels); i++) {
        if (str_equal(word, channels[i].word)) {
            jsonw_put_z(json, "platform", channels[i].platform);
        }
    }
    if (str_to_u64(word, &app)) { /* a Shopify app's number */
        jsonw_put_z(json, "platform", "api");
    }
}

bool draft_is_platform(struct str word)
{
    bool is_one = false;
    for (size_t i = 0; i < ARRAY_COUNT(channels); i++) {
        is_one = is_one || str_equal_z(word, channels[i].platform);
    }
    return is_one;
}

static const struct order_status_rule *rule_find(const struct order_status_rule *rules,
                                                 struct str status)
{
    for (const struct order_status_rule *rule = rules; rule->status != NULL; rule++) {
        if (str_equal_z(status, rule->status)) {
            return rule;
        }
    }
    return NULL;
}

bool draft_status_counts(const struct source *source, const struct order_status_rule *rules,
                         struct str status)
{
    if (source->order_completed_when_count == 0) {
        const struct order_status_rule *rule = rule_find(rules, status);
        return rule != NULL && rule->counts;
    }
    for (size_t i = 0; i < source->order_completed_when_count; i++) {
        if (str_equal(source->order_completed_when[i], status) ||
            str_equal(source->order_completed_when[i], STR("created"))) {
            return true;
        }
    }
    return false;
}

enum order_rank draft_status_rank(const struct order_status_rule *rules, struct str status)
{
    const struct order_status_rule *rule = rule_find(rules, status);
    return rule == NULL ? ORDER_OPEN : rule->rank;
}

struct str draft_network(struct arena *arena, struct str address)
{
    char text[INET6_ADDRSTRLEN] = "";
    uint8_t bytes[16];
    if (!address_parse(address, bytes)) {
        return (struct str){ NULL, 0 };
    }
    if (address_is_v4(bytes)) {
        bytes[15] = 0;
        inet_ntop(AF_INET, bytes + 12, text, sizeof(text));
    } else {
        memset(bytes + 6, 0, 10);
        inet_ntop(AF_INET6, bytes, text, sizeof(text));
    }
    return str_dup(arena, str_from_z(text));
}
