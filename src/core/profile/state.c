#include <stdlib.h>

#include "binary_priv.h"
#include "core/profile/profile.h"
#include "fact_priv.h"

/*
 * The `state` column: what a profile knows that has no column of its own, and
 * the facts of one interaction, in the same form.
 *
 *   version 3 | merge count | identity counts | exclusives | cart stamp | facts
 *             | verdicts | indicators | features
 *   version 4 | the same, with when a page last told of an act before the facts
 *
 * Facts were the bulk, and of a fact its stamp (trust, two instants, the event's
 * id: 29 bytes for a value of six). But an account's facts come in one event, so
 * stamps stand once, ascending, and a fact names its own; keys and values that
 * most shops use are numbers of a table. Seven facts of an account take 150
 * bytes, not 360. They must come strictly ascending, since the fold searches
 * them by halves.
 *
 * Most events say nothing about the customer: then the facts go out as the bytes
 * they came in as.
 *
 * Unknown versions and impossible bytes are refused whole, never repaired: a
 * guessed state would be written back as the truth. Version 2 was never
 * released.
 */

enum {
    STATE_VERSION = 3,
    STATE_VERSION_WITH_PAGES = 4,    /* most customers of a shop without our script have none */
    STATE_VERSION_WITHOUT_RULES = 1, /* ended with the facts, each with its stamp */
    VERDICT_SIZE_MIN = 3,
    FACTS_VERSION = 1,
    FACTS_VERSION_DATED = 2, /* and when they were said */
    STAMPED_FACT_SIZE_MIN = 6 + ID_SIZE,
    STAMP_SIZE_MIN = 3 + ID_SIZE,
    PROFILE_FACT_SIZE_MIN = 3,
    EVENT_FACT_SIZE_MIN = 3,
    EXCLUSIVE_SIZE_MIN = 2,
    KIND_BITS = 2,
    STATE_BYTES_USUAL = 1024,
};

/* 256 facts of 1 KiB each at worst, several times over after merges. */
#define STATE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* --- words ------------------------------------------------------------------- */

#define TEXT(literal)                   \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

/* Their numbers are stored: only ever add at the end, with a new version. */
static const struct str known_keys[] = {
    TEXT("email"),       TEXT("phone"),        TEXT("external_id"), TEXT("first_name"),
    TEXT("last_name"),   TEXT("country"),      TEXT("city"),        TEXT("region"),
    TEXT("postal_code"), TEXT("gender"),       TEXT("birth_date"),  TEXT("locale"),
    TEXT("time_zone"),   TEXT("loyalty_tier"), TEXT("interests"),   TEXT("frequency"),
    TEXT("sms"),         TEXT("push"),         TEXT("tracking"),    TEXT("sale"),
};
static const struct str known_values[] = {
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("\"subscribed\""),
    TEXT("\"unsubscribed\""),
    TEXT("\"never\""),
    TEXT("0"),
    TEXT("1"),
};

struct words {
    const struct str *items;
    size_t count;
};

static const struct words keys = { known_keys, ARRAY_COUNT(known_keys) };
static const struct words values = { known_values, ARRAY_COUNT(known_values) };

/* The number of a word, or their count. */
static size_t word_number(struct words words, struct str word)
{
    size_t number = 0;
    while (number < words.count && !str_equal(words.items[number], word)) {
        number++;
    }
    return number;
}

/* A number of the table, or behind those the size of what follows. */
static void put_word(struct buf *buf, struct words words, struct str word)
{
    size_t number = word_number(words, word);
    if (number < words.count) {
        binary_put_u64(buf, number);
        return;
    }
    binary_put_u64(buf, words.count + word.size);
    buf_add_str(buf, word);
}

static struct str get_word(struct binary_reader *reader, struct words words)
{
    uint64_t number = binary_get_u64(reader);
    if (number < words.count) {
        return words.items[number];
    }
    uint64_t size = number - words.count;
    if (size > reader->rest.size) {
        reader->failed = true;
        return (struct str){ 0 };
    }
    struct str word = str_take(reader->rest, (size_t)size);
    reader->rest = str_drop(reader->rest, (size_t)size);
    reader->failed = reader->failed || word_number(words, word) < words.count;
    return word;
}

/* --- facts ------------------------------------------------------------------- */

struct stamp {
    enum trust trust;
    int64_t occurred_at_ms;
    int64_t received_at_ms;
    struct id event_id;
};

static struct stamp stamp_of(const struct profile_fact *fact)
{
    return (struct stamp){ fact->trust, fact->occurred_at_ms, fact->received_at_ms,
                           fact->event_id };
}

static int compare_stamps(const void *a, const void *b)
{
    const struct stamp *left = a;
    const struct stamp *right = b;
    if (left->occurred_at_ms != right->occurred_at_ms) {
        return left->occurred_at_ms < right->occurred_at_ms ? -1 : 1;
    }
    if (left->received_at_ms != right->received_at_ms) {
        return left->received_at_ms < right->received_at_ms ? -1 : 1;
    }
    if (left->trust != right->trust) {
        return left->trust < right->trust ? -1 : 1;
    }
    return id_compare(left->event_id, right->event_id);
}

/* Each once, ascending; NULL when the arena is full. */
static struct stamp *collect_stamps(struct arena *arena, const struct profile *profile,
                                    size_t *out_count)
{
    struct stamp *stamps = ARENA_NEW_ARRAY(arena, profile->fact_count, struct stamp);
    if (stamps == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < profile->fact_count; i++) {
        stamps[i] = stamp_of(&profile->facts[i]);
    }
    qsort(stamps, profile->fact_count, sizeof(*stamps), compare_stamps);
    size_t count = 0;
    for (size_t i = 0; i < profile->fact_count; i++) {
        if (count == 0 || compare_stamps(&stamps[count - 1], &stamps[i]) != 0) {
            stamps[count++] = stamps[i];
        }
    }
    *out_count = count;
    return stamps;
}

static void put_stamps(struct buf *buf, const struct stamp *stamps, size_t count)
{
    binary_put_u64(buf, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t delay_ms = (uint64_t)stamps[i].received_at_ms - (uint64_t)stamps[i].occurred_at_ms;
        binary_put_u64(buf, stamps[i].trust);
        binary_put_i64(buf, stamps[i].occurred_at_ms);
        binary_put_i64(buf, (int64_t)delay_ms);
        binary_put_id(buf, stamps[i].event_id);
    }
}

static bool put_facts(struct arena *arena, struct buf *buf, const struct profile *profile)
{
    if (profile->facts_bytes.size > 0) {
        buf_add_str(buf, profile->facts_bytes);
        return true;
    }
    binary_put_u64(buf, profile->fact_count);
    if (profile->fact_count == 0) {
        return true;
    }
    size_t count = 0;
    const struct stamp *stamps = collect_stamps(arena, profile, &count);
    if (stamps == NULL) {
        return false;
    }
    put_stamps(buf, stamps, count);
    for (size_t i = 0; i < profile->fact_count; i++) {
        const struct profile_fact *fact = &profile->facts[i];
        struct stamp stamp = stamp_of(fact);
        const struct stamp *its = bsearch(&stamp, stamps, count, sizeof(stamp), compare_stamps);
        binary_put_u64(buf, (uint64_t)(its - stamps) << KIND_BITS | fact->kind);
        put_word(buf, keys, fact->key);
        put_word(buf, values, fact->value_json);
    }
    return true;
}

/* --- the whole --------------------------------------------------------------- */

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

/* Kinds that are of no source have none to store. */
static void put_exclusive(struct buf *buf, const struct profile_identity *exclusive)
{
    bool has_source = !id_is_zero(exclusive->source_id);
    binary_put_u64(buf, (uint64_t)exclusive->kind << 1 | (has_source ? 1 : 0));
    if (has_source) {
        binary_put_id(buf, exclusive->source_id);
    }
    binary_put_str(buf, exclusive->value);
}

bool profile_state_encode(struct arena *arena, const struct profile *profile, struct str *out_bytes)
{
    struct buf buf;
    buf_init(&buf, arena, STATE_BYTES_MAX);
    (void)buf_reserve(&buf, STATE_BYTES_USUAL);
    bool has_page = profile->page_seen_at_ms != INSTANT_NONE;
    buf_add_char(&buf, has_page ? STATE_VERSION_WITH_PAGES : STATE_VERSION);
    binary_put_u64(&buf, profile->merge_count);
    binary_put_u64(&buf, IDENTITY_KIND_COUNT);
    for (size_t kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        binary_put_u64(&buf, profile->identity_counts[kind]);
    }
    binary_put_u64(&buf, profile->exclusive_count);
    for (size_t i = 0; i < profile->exclusive_count; i++) {
        put_exclusive(&buf, &profile->exclusives[i]);
    }
    binary_put_i64(&buf, profile->cart_at_ms);
    binary_put_id(&buf, profile->cart_event_id);
    if (has_page) {
        binary_put_i64(&buf, profile->page_seen_at_ms);
    }
    bool has_facts = put_facts(arena, &buf, profile);
    put_verdicts(&buf, &profile->verdicts);
    if (!has_facts || !indicators_encode(&profile->indicators, &buf) ||
        !feature_set_encode(arena, &profile->features, &buf) || buf.failed) {
        return false;
    }
    *out_bytes = buf_str(&buf);
    return true;
}

/* Before version 3 the kind stood alone, and each had a source. */
static void get_exclusive(struct binary_reader *reader, bool is_old,
                          struct profile_identity *exclusive)
{
    uint64_t head = binary_get_below(reader, (uint64_t)IDENTITY_KIND_COUNT << 1);
    bool has_source = is_old || (head & 1) != 0;
    exclusive->kind = (enum identity_kind)(is_old ? head : head >> 1);
    if (exclusive->kind == 0 || exclusive->kind >= IDENTITY_KIND_COUNT ||
        !identity_kind_is_exclusive(exclusive->kind)) {
        reader->failed = true;
    }
    if (has_source) {
        exclusive->source_id = binary_get_id(reader);
        reader->failed = reader->failed || (!is_old && id_is_zero(exclusive->source_id));
    }
    exclusive->value = binary_get_str(reader);
}

static void get_exclusives(struct arena *arena, struct binary_reader *reader, bool is_old,
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
        get_exclusive(reader, is_old, &profile->exclusives[i]);
    }
}

static void get_stamped_fact(struct binary_reader *reader, struct profile_fact *fact)
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

/* NULL when there are none, or the reader has failed. */
static struct stamp *get_stamps(struct arena *arena, struct binary_reader *reader,
                                size_t *out_count)
{
    size_t count = binary_get_count(reader, STAMP_SIZE_MIN);
    struct stamp *stamps = count > 0 ? ARENA_NEW_ARRAY(arena, count, struct stamp) : NULL;
    if (stamps == NULL) {
        reader->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < count && !reader->failed; i++) {
        struct stamp *stamp = &stamps[i];
        stamp->trust = (enum trust)binary_get_below(reader, TRUST_SIGNED);
        stamp->occurred_at_ms = binary_get_i64(reader);
        stamp->received_at_ms =
            (int64_t)((uint64_t)stamp->occurred_at_ms + (uint64_t)binary_get_i64(reader));
        stamp->event_id = binary_get_id(reader);
        if (stamp->trust < TRUST_PUBLIC || (i > 0 && compare_stamps(stamp - 1, stamp) >= 0)) {
            reader->failed = true;
        }
    }
    *out_count = count;
    return stamps;
}

static void get_fact(struct binary_reader *reader, const struct stamp *stamps, size_t stamp_count,
                     bool *is_used, struct profile_fact *fact)
{
    uint64_t head = binary_get_u64(reader);
    uint64_t number = head >> KIND_BITS;
    fact->kind = (enum fact_kind)(head & ((1u << KIND_BITS) - 1));
    fact->key = get_word(reader, keys);
    fact->value_json = get_word(reader, values);
    if (fact->kind < FACT_TRAIT || fact->kind > FACT_CONSENT || number >= stamp_count ||
        fact->value_json.size == 0) {
        reader->failed = true;
        return;
    }
    is_used[number] = true;
    fact->trust = stamps[number].trust;
    fact->occurred_at_ms = stamps[number].occurred_at_ms;
    fact->received_at_ms = stamps[number].received_at_ms;
    fact->event_id = stamps[number].event_id;
}

static void get_facts(struct arena *arena, struct binary_reader *reader, bool is_old,
                      struct profile *profile)
{
    const char *begin = reader->rest.data;
    size_t count = binary_get_count(reader, is_old ? STAMPED_FACT_SIZE_MIN : PROFILE_FACT_SIZE_MIN);
    profile->facts = NULL;
    profile->fact_count = count;
    profile->facts_bytes = (struct str){ 0 };
    if (count == 0) {
        return;
    }
    size_t stamp_count = 0;
    const struct stamp *stamps = is_old ? NULL : get_stamps(arena, reader, &stamp_count);
    struct profile_fact *facts = ARENA_NEW_ARRAY(arena, count, struct profile_fact);
    bool *is_used = ARENA_NEW_ARRAY(arena, stamp_count + 1, bool);
    profile->facts = facts;
    if (facts == NULL || is_used == NULL) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < count && !reader->failed; i++) {
        if (is_old) {
            get_stamped_fact(reader, &facts[i]);
        } else {
            get_fact(reader, stamps, stamp_count, is_used, &facts[i]);
        }
        if (i > 0 && fact_compare_key(&facts[i - 1], facts[i].kind, facts[i].key) >= 0) {
            reader->failed = true;
        }
    }
    for (size_t i = 0; i < stamp_count; i++) {
        reader->failed = reader->failed || !is_used[i];
    }
    if (!is_old && !reader->failed) {
        profile->facts_bytes = (struct str){ begin, (size_t)(reader->rest.data - begin) };
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
    if (bytes.size == 0) {
        return false;
    }
    char version = bytes.data[0];
    if (version != STATE_VERSION && version != STATE_VERSION_WITH_PAGES &&
        version != STATE_VERSION_WITHOUT_RULES) {
        return false;
    }
    bool is_old = version == STATE_VERSION_WITHOUT_RULES;
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
    get_exclusives(arena, &reader, is_old, &decoded);
    decoded.cart_at_ms = binary_get_i64(&reader);
    decoded.cart_event_id = binary_get_id(&reader);
    if (version == STATE_VERSION_WITH_PAGES) {
        decoded.page_seen_at_ms = binary_get_i64(&reader);
        reader.failed = reader.failed || decoded.page_seen_at_ms == INSTANT_NONE;
    }
    get_facts(arena, &reader, is_old, &decoded);
    bool is_whole =
        is_old ? binary_is_done(&reader) : !reader.failed && get_rules(arena, &reader, &decoded);
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
    buf_add_char(&buf, event->facts_at_ms != 0 ? FACTS_VERSION_DATED : FACTS_VERSION);
    if (event->facts_at_ms != 0) {
        binary_put_i64(&buf, event->facts_at_ms);
    }
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
                          size_t *out_count, int64_t *out_at_ms)
{
    bool is_dated = bytes.size > 0 && bytes.data[0] == FACTS_VERSION_DATED;
    if (bytes.size == 0 || (bytes.data[0] != FACTS_VERSION && !is_dated)) {
        return false;
    }
    struct str copy = str_dup(arena, bytes);
    struct binary_reader reader = { .rest = str_drop(copy, 1), .failed = copy.size == 0 };
    int64_t at_ms = is_dated ? binary_get_i64(&reader) : 0;
    reader.failed = reader.failed || (is_dated && at_ms == 0);
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
    *out_at_ms = at_ms;
    return true;
}
