#include "binary_priv.h"
#include "core/profile/profile.h"
#include "fact_priv.h"

/*
 * The `state` column: what a profile knows that has no column of its own, and
 * the facts of one interaction, in the same form.
 *
 *   version 2 | merge count | identity counts | exclusives | cart stamp | facts
 *             | verdicts | indicators | features
 *
 * Facts are the bulk: kind, trust, key, value, stamp; typically 15 of 40 bytes.
 * They must come strictly ascending, since the fold searches them by halves.
 * Unknown versions and impossible bytes are refused whole, never repaired: a
 * guessed state would be written back as the truth.
 */

enum {
    STATE_VERSION = 2,
    STATE_VERSION_WITHOUT_RULES = 1, /* ended with the facts */
    VERDICT_SIZE_MIN = 3,
    FACTS_VERSION = 1,
    PROFILE_FACT_SIZE_MIN = 6 + ID_SIZE,
    EVENT_FACT_SIZE_MIN = 3,
    EXCLUSIVE_SIZE_MIN = 2 + ID_SIZE,
};

/* 256 facts of 1 KiB each at worst, several times over after merges. */
#define STATE_BYTES_MAX ((size_t)4 * 1024 * 1024)

static void put_facts(struct buf *buf, const struct profile *profile)
{
    binary_put_u64(buf, profile->fact_count);
    for (size_t i = 0; i < profile->fact_count; i++) {
        const struct profile_fact *fact = &profile->facts[i];
        binary_put_u64(buf, fact->kind);
        binary_put_u64(buf, fact->trust);
        binary_put_str(buf, fact->key);
        binary_put_str(buf, fact->value_json);
        binary_put_i64(buf, fact->occurred_at_ms);
        binary_put_i64(buf, fact->received_at_ms);
        binary_put_id(buf, fact->event_id);
    }
}

static void put_verdicts(struct buf *buf, const struct verdict_set *verdicts)
{
    binary_put_u64(buf, verdicts->count);
    uint32_t slot = 0;
    for (size_t i = 0; i < verdicts->count; i++) {
        const struct verdict *verdict = &verdicts->items[i];
        binary_put_u64(buf, verdict->slot - slot);
        binary_put_str(buf, verdict->value);
        binary_put_i64(buf, verdict->since_ms);
        slot = verdict->slot;
    }
}

bool profile_state_encode(struct arena *arena, const struct profile *profile, struct str *out_bytes)
{
    struct buf buf;
    buf_init(&buf, arena, STATE_BYTES_MAX);
    buf_add_char(&buf, STATE_VERSION);
    binary_put_u64(&buf, profile->merge_count);
    binary_put_u64(&buf, IDENTITY_KIND_COUNT);
    for (size_t kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        binary_put_u64(&buf, profile->identity_counts[kind]);
    }
    binary_put_u64(&buf, profile->exclusive_count);
    for (size_t i = 0; i < profile->exclusive_count; i++) {
        binary_put_u64(&buf, profile->exclusives[i].kind);
        binary_put_id(&buf, profile->exclusives[i].source_id);
        binary_put_str(&buf, profile->exclusives[i].value);
    }
    binary_put_i64(&buf, profile->cart_at_ms);
    binary_put_id(&buf, profile->cart_event_id);
    put_facts(&buf, profile);
    put_verdicts(&buf, &profile->verdicts);
    if (!indicators_encode(&profile->indicators, &buf) ||
        !feature_set_encode(arena, &profile->features, &buf) || buf.failed) {
        return false;
    }
    *out_bytes = buf_str(&buf);
    return true;
}

static void get_exclusives(struct arena *arena, struct binary_reader *reader,
                           struct profile *profile)
{
    size_t count = binary_get_count(reader, EXCLUSIVE_SIZE_MIN);
    profile->exclusives = NULL;
    profile->exclusive_count = count;
    if (count == 0) {
        return;
    }
    profile->exclusives = ARENA_NEW_ARRAY(arena, count, struct profile_identity);
    if (profile->exclusives == NULL) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < count && !reader->failed; i++) {
        uint64_t kind = binary_get_below(reader, IDENTITY_KIND_COUNT - 1);
        if (kind == 0 || !identity_kind_is_exclusive((enum identity_kind)kind)) {
            reader->failed = true;
        }
        profile->exclusives[i].kind = (enum identity_kind)kind;
        profile->exclusives[i].source_id = binary_get_id(reader);
        profile->exclusives[i].value = binary_get_str(reader);
    }
}

static void get_fact(struct binary_reader *reader, struct profile_fact *fact)
{
    fact->kind = (enum fact_kind)binary_get_below(reader, FACT_CONSENT);
    fact->trust = (enum trust)binary_get_below(reader, TRUST_SIGNED);
    fact->key = binary_get_str(reader);
    fact->value_json = binary_get_str(reader);
    fact->occurred_at_ms = binary_get_i64(reader);
    fact->received_at_ms = binary_get_i64(reader);
    fact->event_id = binary_get_id(reader);
    if (fact->kind < FACT_TRAIT || fact->trust < TRUST_PUBLIC || fact->value_json.size == 0) {
        reader->failed = true;
    }
}

static void get_facts(struct arena *arena, struct binary_reader *reader, struct profile *profile)
{
    size_t count = binary_get_count(reader, PROFILE_FACT_SIZE_MIN);
    profile->facts = NULL;
    profile->fact_count = count;
    if (count == 0) {
        return;
    }
    struct profile_fact *facts = ARENA_NEW_ARRAY(arena, count, struct profile_fact);
    profile->facts = facts;
    if (facts == NULL) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < count && !reader->failed; i++) {
        get_fact(reader, &facts[i]);
        if (i > 0 && fact_compare_key(&facts[i - 1], facts[i].kind, facts[i].key) >= 0) {
            reader->failed = true;
        }
    }
}

/* Slots ascend strictly: the first may be 0, a later step may not. */
static void get_verdicts(struct arena *arena, struct binary_reader *reader,
                         struct verdict_set *verdicts)
{
    size_t count = binary_get_count(reader, VERDICT_SIZE_MIN);
    *verdicts = (struct verdict_set){ 0 };
    if (count == 0) {
        return;
    }
    struct verdict *items = ARENA_NEW_ARRAY(arena, count, struct verdict);
    if (items == NULL) {
        reader->failed = true;
        return;
    }
    uint64_t slot = 0;
    for (size_t i = 0; i < count && !reader->failed; i++) {
        uint64_t step = binary_get_below(reader, UINT32_MAX);
        slot += step;
        items[i].slot = (uint32_t)slot;
        items[i].value = binary_get_str(reader);
        items[i].since_ms = binary_get_i64(reader);
        if (slot > UINT32_MAX || (i > 0 && step == 0)) {
            reader->failed = true;
        }
    }
    *verdicts = (struct verdict_set){ items, count };
}

static bool get_rules(struct arena *arena, struct binary_reader *reader, struct profile *profile)
{
    get_verdicts(arena, reader, &profile->verdicts);
    return !reader->failed && indicators_decode(arena, &reader->rest, &profile->indicators) &&
           feature_set_decode(arena, reader->rest, &profile->features);
}

bool profile_state_decode(struct arena *arena, struct str bytes, struct profile *profile)
{
    if (bytes.size == 0 ||
        (bytes.data[0] != STATE_VERSION && bytes.data[0] != STATE_VERSION_WITHOUT_RULES)) {
        return false;
    }
    bool has_rules = bytes.data[0] == STATE_VERSION;
    struct str copy = str_dup(arena, bytes);
    struct binary_reader reader = { .rest = str_drop(copy, 1), .failed = copy.size == 0 };
    struct profile decoded = *profile;
    decoded.merge_count = (uint32_t)binary_get_below(&reader, UINT32_MAX);
    if (binary_get_u64(&reader) != IDENTITY_KIND_COUNT) {
        return false;
    }
    for (size_t kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        decoded.identity_counts[kind] = (uint32_t)binary_get_below(&reader, UINT32_MAX);
    }
    get_exclusives(arena, &reader, &decoded);
    decoded.cart_at_ms = binary_get_i64(&reader);
    decoded.cart_event_id = binary_get_id(&reader);
    get_facts(arena, &reader, &decoded);
    bool is_whole =
        has_rules ? !reader.failed && get_rules(arena, &reader, &decoded) : binary_is_done(&reader);
    if (!is_whole) {
        return false;
    }
    decoded.stored = decoded.verdicts;
    *profile = decoded;
    return true;
}

bool profile_facts_encode(struct arena *arena, const struct event *event, struct str *out_bytes)
{
    struct profile_fact *facts = NULL;
    size_t count = 0;
    if (!fact_collect(arena, event, &facts, &count)) {
        return false;
    }
    if (count == 0) {
        *out_bytes = (struct str){ 0 };
        return true;
    }
    struct buf buf;
    buf_init(&buf, arena, STATE_BYTES_MAX);
    buf_add_char(&buf, FACTS_VERSION);
    binary_put_u64(&buf, count);
    for (size_t i = 0; i < count; i++) {
        binary_put_u64(&buf, facts[i].kind);
        binary_put_str(&buf, facts[i].key);
        binary_put_str(&buf, facts[i].value_json);
    }
    if (buf.failed) {
        return false;
    }
    *out_bytes = buf_str(&buf);
    return true;
}

bool profile_facts_decode(struct arena *arena, struct str bytes, struct event_fact **out_facts,
                          size_t *out_count)
{
    if (bytes.size == 0 || bytes.data[0] != FACTS_VERSION) {
        return false;
    }
    struct str copy = str_dup(arena, bytes);
    struct binary_reader reader = { .rest = str_drop(copy, 1), .failed = copy.size == 0 };
    size_t count = binary_get_count(&reader, EVENT_FACT_SIZE_MIN);
    struct event_fact *facts = NULL;
    if (count > 0) {
        facts = ARENA_NEW_ARRAY(arena, count, struct event_fact);
        if (facts == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < count && !reader.failed; i++) {
        facts[i].kind = (enum fact_kind)binary_get_below(&reader, FACT_CONSENT);
        facts[i].key = binary_get_str(&reader);
        facts[i].value_json = binary_get_str(&reader);
        reader.failed = reader.failed || facts[i].kind < FACT_TRAIT;
    }
    if (!binary_is_done(&reader)) {
        return false;
    }
    *out_facts = facts;
    *out_count = count;
    return true;
}
