#include <assert.h>
#include <string.h>

#include "feature_priv.h"

/*
 * KEYED: how often each key occurred: at most 64 keys, the newest instants of
 * each.
 *
 * Problem: with a 65th key one must go, and it may come back. Kept as "the
 * newest 64 keys, each with what it has", a key that went and came back has
 * only what followed, one whose facts arrived in another order has all, and
 * the fold depends on the order of arrival.
 *
 * Invariant: `lost` is a horizon, the last instant of the 65th newest key, and
 * of no key is anything kept that is not after it. Facts after the horizon
 * never belonged to a key that went (its last instant is not after it), so
 * they are all there: the state is a function of the facts. The price is a
 * window that reaches back only as far as 64 different keys do, and it is said.
 * Rejected: reading history whenever a key comes back; who looks at more than
 * 64 products a day would cost that at each view.
 *
 * `trimmed` is the greatest instant, after the horizon, that was thrown away
 * because its key has `keep` newer ones.
 *
 * A removal that could move the horizon, or that leaves a hole in a key that
 * was trimmed, breaks the state: only orders are removed, and they seldom have
 * so many keys.
 */

static int64_t last_of(const struct feature_key *key)
{
    return key->times.items[key->times.count - 1];
}

static bool key_find(const struct feature_keyed *keyed, uint64_t hash, size_t *out_index)
{
    for (size_t i = keyed->count; i > 0; i--) {
        if (keyed->keys[i - 1].hash == hash) {
            *out_index = i - 1;
            return true;
        }
    }
    return false;
}

static bool is_before(const struct feature_key *a, const struct feature_key *b)
{
    int64_t a_ms = last_of(a);
    int64_t b_ms = last_of(b);
    return a_ms < b_ms || (a_ms == b_ms && a->hash < b->hash);
}

/* The key's last instant changed: it moves to its place. */
static void key_settle(struct feature_keyed *keyed, size_t index)
{
    struct feature_key key = keyed->keys[index];
    while (index + 1 < keyed->count && is_before(&keyed->keys[index + 1], &key)) {
        keyed->keys[index] = keyed->keys[index + 1];
        index++;
    }
    while (index > 0 && is_before(&key, &keyed->keys[index - 1])) {
        keyed->keys[index] = keyed->keys[index - 1];
        index--;
    }
    keyed->keys[index] = key;
}

static void keys_drop(struct feature_keyed *keyed, size_t index, size_t count)
{
    memmove(keyed->keys + index, keyed->keys + index + count,
            (keyed->count - index - count) * sizeof(*keyed->keys));
    keyed->count -= count;
}

/* Keys have one instant at least, so they are pruned by their last first. */
static void keys_prune(struct feature_keyed *keyed, int64_t floor_ms)
{
    size_t count = 0;
    while (count < keyed->count && last_of(&keyed->keys[count]) <= floor_ms) {
        count++;
    }
    if (count > 0) {
        keys_drop(keyed, 0, count);
    }
    for (size_t i = 0; i < keyed->count; i++) {
        feature_times_prune(&keyed->keys[i].times, floor_ms);
    }
}

static void raise_horizon(struct feature_memory *memory, int64_t at_ms)
{
    feature_lost_note(&memory->lost, at_ms);
    keys_prune(&memory->keyed, memory->lost.at_ms);
    feature_lost_prune(&memory->keyed.trimmed, memory->lost.at_ms);
}

static void limit_keys(struct feature_memory *memory)
{
    while (memory->keyed.count > FEATURE_KEYS_MAX) {
        size_t index = memory->keyed.count - FEATURE_KEYS_MAX - 1;
        raise_horizon(memory, last_of(&memory->keyed.keys[index]));
    }
}

static bool key_append(struct arena *arena, struct feature_keyed *keyed, uint64_t hash)
{
    if (keyed->count == keyed->capacity) {
        size_t capacity = keyed->capacity * 2 + 2;
        struct feature_key *keys = ARENA_NEW_ARRAY(arena, capacity, struct feature_key);
        if (keys == NULL) {
            return false;
        }
        if (keyed->count > 0) {
            memcpy(keys, keyed->keys, keyed->count * sizeof(*keys));
        }
        keyed->keys = keys;
        keyed->capacity = capacity;
    }
    keyed->keys[keyed->count++] = (struct feature_key){ .hash = hash };
    return true;
}

/* One instant of one key, without regard to how many keys there are. */
static bool keyed_put(struct arena *arena, const struct feature *feature,
                      struct feature_memory *memory, uint64_t hash, int64_t at_ms)
{
    struct feature_keyed *keyed = &memory->keyed;
    size_t index = 0;
    if (at_ms <= memory->lost.at_ms) {
        return true;
    }
    if (!key_find(keyed, hash, &index)) {
        if (!key_append(arena, keyed, hash)) {
            return false;
        }
        index = keyed->count - 1;
    }
    if (!feature_times_add(arena, &keyed->keys[index].times, feature->keep, at_ms,
                           &keyed->trimmed)) {
        return false;
    }
    key_settle(keyed, index);
    return true;
}

static bool keyed_add(struct arena *arena, const struct feature *feature,
                      struct feature_memory *memory, const struct feature_fact *fact,
                      int64_t floor_ms)
{
    (void)floor_ms;
    for (size_t i = 0; i < fact->count; i++) {
        if (!keyed_put(arena, feature, memory, fact->hashes[i], fact->at_ms)) {
            return false;
        }
        limit_keys(memory);
    }
    return true;
}

/* False when the state does not know any more what is true. */
static bool key_remove(const struct feature *feature, struct feature_memory *memory, uint64_t hash,
                       int64_t at_ms)
{
    struct feature_keyed *keyed = &memory->keyed;
    size_t index = 0;
    if (at_ms <= memory->lost.at_ms) {
        return feature_lost_remove(&memory->lost, at_ms);
    }
    if (!key_find(keyed, hash, &index)) {
        return false;
    }
    struct feature_times *times = &keyed->keys[index].times;
    bool was_full = times->count >= feature->keep;
    if (!feature_times_remove(times, at_ms)) {
        return was_full && feature_lost_remove(&keyed->trimmed, at_ms);
    }
    bool is_known = !was_full || keyed->trimmed.at_ms == INSTANT_NONE;
    if (times->count > 0) {
        key_settle(keyed, index);
        return is_known;
    }
    keys_drop(keyed, index, 1);
    return is_known && memory->lost.at_ms == INSTANT_NONE;
}

static void keyed_remove(const struct feature *feature, struct feature_memory *memory,
                         const struct feature_fact *fact, int64_t floor_ms)
{
    (void)floor_ms;
    for (size_t i = 0; i < fact->count; i++) {
        if (!key_remove(feature, memory, fact->hashes[i], fact->at_ms)) {
            memory->is_broken = true;
        }
    }
}

static void keyed_prune(const struct feature *feature, struct feature_memory *memory,
                        int64_t floor_ms)
{
    struct feature_keyed *keyed = &memory->keyed;
    keys_prune(keyed, floor_ms);
    for (size_t i = 0; i < keyed->count; i++) {
        feature_times_trim(&keyed->keys[i].times, feature->keep, &keyed->trimmed);
    }
    feature_lost_prune(&memory->lost, floor_ms);
    feature_lost_prune(&keyed->trimmed, floor_ms);
}

static bool keyed_absorb(struct arena *arena, const struct feature *feature,
                         struct feature_memory *memory, const struct feature_memory *loser,
                         int64_t floor_ms)
{
    (void)floor_ms;
    struct feature_keyed *keyed = &memory->keyed;
    feature_lost_absorb(&memory->lost, loser->lost);
    feature_lost_absorb(&keyed->trimmed, loser->keyed.trimmed);
    keys_prune(keyed, memory->lost.at_ms);
    for (size_t i = 0; i < loser->keyed.count; i++) {
        const struct feature_key *key = &loser->keyed.keys[i];
        for (size_t j = 0; j < key->times.count; j++) {
            if (!keyed_put(arena, feature, memory, key->hash, key->times.items[j])) {
                return false;
            }
        }
    }
    limit_keys(memory);
    feature_lost_prune(&keyed->trimmed, memory->lost.at_ms);
    return true;
}

static bool keyed_is_complete(const struct feature *feature, const struct feature_memory *memory,
                              int64_t floor_ms)
{
    (void)feature;
    (void)floor_ms;
    return !memory->keyed.trimmed.is_loose;
}

static bool keyed_is_empty(const struct feature_memory *memory)
{
    return memory->keyed.count == 0 && memory->keyed.trimmed.at_ms == INSTANT_NONE;
}

const struct feature_form_table feature_form_keyed = {
    .add = keyed_add,
    .remove = keyed_remove,
    .prune = keyed_prune,
    .absorb = keyed_absorb,
    .is_complete = keyed_is_complete,
    .is_empty = keyed_is_empty,
};
