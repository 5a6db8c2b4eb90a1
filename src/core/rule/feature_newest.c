#include <assert.h>
#include <string.h>

#include "feature_priv.h"

/*
 * NEWEST: the newest `keep` instants. DISTINCT: the newest `keep` values, each
 * by its last instant.
 *
 * Invariant of both: what is kept is the greatest by a total order of all that
 * is in the window, and `lost` is the greatest instant among the rest. So
 * `lost` is at most the oldest kept, and a list that is not full while
 * something is lost has a hole: a kept fact was removed, and the one that
 * should take its place is gone. A fact that is not before `lost` fills the
 * hole exactly, which is what an order does that is subtracted and added again.
 *
 * Why `lost` does not depend on the order of arrival for DISTINCT, where a
 * value that was thrown away may come back: it comes back only by pushing
 * another out, and the least kept never decreases, so the one pushed out is at
 * least as new. The greatest instant thrown away is that of one that stays
 * away.
 */

/* --- NEWEST ------------------------------------------------------------------- */

static bool newest_add(struct arena *arena, const struct feature *feature,
                       struct feature_memory *memory, const struct feature_fact *fact,
                       int64_t floor_ms)
{
    (void)floor_ms;
    /* In a list with a hole this one is not known to be the next. */
    if (fact->at_ms < memory->lost.at_ms) {
        return true;
    }
    return feature_times_add(arena, &memory->newest, feature->keep, fact->at_ms, &memory->lost);
}

static void newest_remove(const struct feature *feature, struct feature_memory *memory,
                          const struct feature_fact *fact, int64_t floor_ms)
{
    (void)feature;
    (void)floor_ms;
    if (!feature_times_remove(&memory->newest, fact->at_ms) &&
        !feature_lost_remove(&memory->lost, fact->at_ms)) {
        memory->is_broken = true;
    }
}

static void newest_prune(const struct feature *feature, struct feature_memory *memory,
                         int64_t floor_ms)
{
    feature_times_prune(&memory->newest, floor_ms);
    feature_times_trim(&memory->newest, feature->keep, &memory->lost);
    feature_lost_prune(&memory->lost, floor_ms);
}

static bool newest_absorb(struct arena *arena, const struct feature *feature,
                          struct feature_memory *memory, const struct feature_memory *loser,
                          int64_t floor_ms)
{
    (void)floor_ms;
    for (size_t i = 0; i < loser->newest.count; i++) {
        if (!feature_times_add(arena, &memory->newest, feature->keep, loser->newest.items[i],
                               &memory->lost)) {
            return false;
        }
    }
    feature_lost_absorb(&memory->lost, loser->lost);
    /* Only a list with a hole keeps anything before what was lost. */
    if (memory->lost.at_ms != INSTANT_NONE) {
        feature_times_prune(&memory->newest, memory->lost.at_ms - 1);
    }
    return true;
}

static bool newest_is_complete(const struct feature *feature, const struct feature_memory *memory,
                               int64_t floor_ms)
{
    (void)floor_ms;
    return memory->newest.count >= feature->keep || memory->lost.at_ms == INSTANT_NONE;
}

static bool newest_is_empty(const struct feature_memory *memory)
{
    return memory->newest.count == 0;
}

const struct feature_form_table feature_form_newest = {
    .add = newest_add,
    .remove = newest_remove,
    .prune = newest_prune,
    .absorb = newest_absorb,
    .is_complete = newest_is_complete,
    .is_empty = newest_is_empty,
};

/* --- DISTINCT ----------------------------------------------------------------- */

static bool is_before(const struct feature_distinct_value *a,
                      const struct feature_distinct_value *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->hash < b->hash);
}

static bool distinct_find(const struct feature_distinct *distinct, uint64_t hash, size_t *out_index)
{
    for (size_t i = distinct->count; i > 0; i--) {
        if (distinct->items[i - 1].hash == hash) {
            *out_index = i - 1;
            return true;
        }
    }
    return false;
}

static void distinct_drop(struct feature_distinct *distinct, size_t index, size_t count)
{
    memmove(distinct->items + index, distinct->items + index + count,
            (distinct->count - index - count) * sizeof(*distinct->items));
    distinct->count -= count;
}

static bool distinct_insert(struct arena *arena, struct feature_distinct *distinct,
                            struct feature_distinct_value value)
{
    if (distinct->count == distinct->capacity) {
        size_t capacity = distinct->capacity * 2 + 2;
        struct feature_distinct_value *items =
            ARENA_NEW_ARRAY(arena, capacity, struct feature_distinct_value);
        if (items == NULL) {
            return false;
        }
        if (distinct->count > 0) {
            memcpy(items, distinct->items, distinct->count * sizeof(*items));
        }
        distinct->items = items;
        distinct->capacity = capacity;
    }
    size_t place = distinct->count;
    while (place > 0 && is_before(&value, &distinct->items[place - 1])) {
        distinct->items[place] = distinct->items[place - 1];
        place--;
    }
    distinct->items[place] = value;
    distinct->count++;
    return true;
}

static void distinct_lose(struct feature_memory *memory, const struct feature_distinct_value *value)
{
    feature_lost_note(&memory->lost, value->at_ms);
    memory->lost.is_loose =
        memory->lost.is_loose || (value->is_loose && memory->lost.at_ms == value->at_ms);
}

/* A value that is not kept. */
static bool distinct_add_new(struct arena *arena, const struct feature *feature,
                             struct feature_memory *memory,
                             const struct feature_distinct_value *value)
{
    struct feature_distinct *distinct = &memory->distinct;
    bool is_full = distinct->count >= feature->keep;
    if (value->at_ms < memory->lost.at_ms) {
        return true;
    }
    bool is_tied = memory->lost.at_ms != INSTANT_NONE && value->at_ms == memory->lost.at_ms;
    if ((is_full && is_before(value, &distinct->items[0])) || (!is_full && is_tied)) {
        distinct_lose(memory, value);
        return true;
    }
    if (is_full) {
        distinct_lose(memory, &distinct->items[0]);
        distinct_drop(distinct, 0, 1);
    }
    return distinct_insert(arena, distinct, *value);
}

static bool distinct_put(struct arena *arena, const struct feature *feature,
                         struct feature_memory *memory, const struct feature_distinct_value *value)
{
    struct feature_distinct *distinct = &memory->distinct;
    size_t index = 0;
    if (!distinct_find(distinct, value->hash, &index)) {
        return distinct_add_new(arena, feature, memory, value);
    }
    struct feature_distinct_value *kept = &distinct->items[index];
    if (value->at_ms == kept->at_ms) {
        kept->is_loose = kept->is_loose && value->is_loose;
    } else if (value->at_ms > kept->at_ms) {
        distinct_drop(distinct, index, 1);
        return distinct_insert(arena, distinct, *value);
    }
    return true;
}

static bool distinct_add(struct arena *arena, const struct feature *feature,
                         struct feature_memory *memory, const struct feature_fact *fact,
                         int64_t floor_ms)
{
    (void)floor_ms;
    for (size_t i = 0; i < fact->count; i++) {
        struct feature_distinct_value value = { fact->hashes[i], fact->at_ms, false };
        if (!distinct_put(arena, feature, memory, &value)) {
            return false;
        }
    }
    return true;
}

/* The last instant of a value goes: an earlier one may have been. Until the
 * same or a newer one comes, the value stands as a bound and does not count. */
static void distinct_remove_value(struct feature_memory *memory, uint64_t hash, int64_t at_ms)
{
    size_t index = 0;
    if (!distinct_find(&memory->distinct, hash, &index)) {
        memory->is_broken = !feature_lost_remove(&memory->lost, at_ms) || memory->is_broken;
        return;
    }
    struct feature_distinct_value *kept = &memory->distinct.items[index];
    if (at_ms > kept->at_ms) {
        memory->is_broken = true;
    } else if (at_ms == kept->at_ms) {
        kept->is_loose = true;
    }
}

static void distinct_remove(const struct feature *feature, struct feature_memory *memory,
                            const struct feature_fact *fact, int64_t floor_ms)
{
    (void)feature;
    (void)floor_ms;
    for (size_t i = 0; i < fact->count; i++) {
        distinct_remove_value(memory, fact->hashes[i], fact->at_ms);
    }
}

static void distinct_prune(const struct feature *feature, struct feature_memory *memory,
                           int64_t floor_ms)
{
    struct feature_distinct *distinct = &memory->distinct;
    size_t count = 0;
    while (count < distinct->count && distinct->items[count].at_ms <= floor_ms) {
        count++;
    }
    while (distinct->count - count > feature->keep) {
        distinct_lose(memory, &distinct->items[count]);
        count++;
    }
    if (count > 0) {
        distinct_drop(distinct, 0, count);
    }
    feature_lost_prune(&memory->lost, floor_ms);
}

static bool distinct_absorb(struct arena *arena, const struct feature *feature,
                            struct feature_memory *memory, const struct feature_memory *loser,
                            int64_t floor_ms)
{
    struct feature_lost lost = memory->lost;
    /* What either side lost must not keep out what the other side kept. */
    memory->lost = (struct feature_lost){ .at_ms = INSTANT_NONE };
    for (size_t i = 0; i < loser->distinct.count; i++) {
        if (!distinct_put(arena, feature, memory, &loser->distinct.items[i])) {
            return false;
        }
    }
    feature_lost_absorb(&memory->lost, lost);
    feature_lost_absorb(&memory->lost, loser->lost);
    struct feature_distinct *distinct = &memory->distinct;
    size_t count = 0;
    while (count < distinct->count && distinct->items[count].at_ms < memory->lost.at_ms) {
        count++;
    }
    if (count > 0) {
        distinct_drop(distinct, 0, count);
    }
    distinct_prune(feature, memory, floor_ms);
    return true;
}

static bool distinct_is_complete(const struct feature *feature, const struct feature_memory *memory,
                                 int64_t floor_ms)
{
    (void)floor_ms;
    const struct feature_distinct *distinct = &memory->distinct;
    for (size_t i = 0; i < distinct->count; i++) {
        if (distinct->items[i].is_loose) {
            return false;
        }
    }
    return distinct->count >= feature->keep || memory->lost.at_ms == INSTANT_NONE;
}

static bool distinct_is_empty(const struct feature_memory *memory)
{
    return memory->distinct.count == 0;
}

const struct feature_form_table feature_form_distinct = {
    .add = distinct_add,
    .remove = distinct_remove,
    .prune = distinct_prune,
    .absorb = distinct_absorb,
    .is_complete = distinct_is_complete,
    .is_empty = distinct_is_empty,
};
