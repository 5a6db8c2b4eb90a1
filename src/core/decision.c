#include <assert.h>

#include "decision_priv.h"

/*
 * The working set of a batch: rows that were read, rows that are planned, and
 * what the decisions add.
 *
 * A batch of 512 events names a few thousand rows, found several times each,
 * so they stand in hash maps (open addressing, linear probing, at most 5/8
 * full, grown by rehashing into the arena). Nothing is ever removed, which is
 * what keeps probing simple. Hashes are seeded by the batch's random bytes: a
 * sender cannot prepare identifiers that collide. Iteration goes over lists in
 * order of arrival, never over a map.
 */

enum {
    MAP_CAPACITY_MIN = 64,
    LIST_CAPACITY_MIN = 16
};

typedef bool map_equal_fn(const void *item, const void *key);

static void *map_find(const struct map *map, uint64_t hash, map_equal_fn *equal, const void *key)
{
    if (map->capacity == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)hash & mask; map->slots[i].item != NULL; i = (i + 1) & mask) {
        if (map->slots[i].hash == hash && equal(map->slots[i].item, key)) {
            return map->slots[i].item;
        }
    }
    return NULL;
}

static void map_place(struct map *map, uint64_t hash, void *item)
{
    size_t mask = map->capacity - 1;
    size_t i = (size_t)hash & mask;
    while (map->slots[i].item != NULL) {
        i = (i + 1) & mask;
    }
    map->slots[i] = (struct map_slot){ hash, item };
}

static bool map_reserve(struct arena *arena, struct map *map)
{
    if (map->capacity > 0 && map->count < map->capacity / 8 * 5) {
        return true;
    }
    size_t capacity = map->capacity == 0 ? MAP_CAPACITY_MIN : map->capacity * 2;
    struct map grown = { .capacity = capacity, .count = map->count };
    grown.slots = ARENA_NEW_ARRAY(arena, capacity, struct map_slot);
    if (grown.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].item != NULL) {
            map_place(&grown, map->slots[i].hash, map->slots[i].item);
        }
    }
    *map = grown;
    return true;
}

static void map_add(struct arena *arena, struct map *map, uint64_t hash, void *item)
{
    if (item != NULL && map_reserve(arena, map)) {
        map_place(map, hash, item);
        map->count++;
    }
}

void list_add(struct arena *arena, struct list *list, void *item)
{
    if (item == NULL) {
        return;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? LIST_CAPACITY_MIN : list->capacity * 2;
        void **items = ARENA_NEW_ARRAY(arena, capacity, void *);
        if (items == NULL) {
            return;
        }
        for (size_t i = 0; i < list->count; i++) {
            items[i] = list->items[i];
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
}

/* --- keys --------------------------------------------------------------- */

static uint64_t identifier_hash(const struct decision *decision, const struct identifier *key)
{
    uint64_t by_source = id_hash64(key->source_id, decision->map_seed + key->kind);
    return hash64(key->value, by_source);
}

static bool identity_slot_equal(const void *item, const void *key)
{
    const struct identifier *a = &((const struct identity_slot *)item)->row->identifier;
    const struct identifier *b = key;
    return a->kind == b->kind && id_equal(a->source_id, b->source_id) &&
           str_equal(a->value, b->value);
}

struct order_key {
    struct id source_id;
    struct str order_ref;
};

static uint64_t order_hash(const struct decision *decision, const struct order_key *key)
{
    return hash64(key->order_ref, id_hash64(key->source_id, decision->map_seed));
}

static bool order_slot_equal(const void *item, const void *key)
{
    const struct order *a = ((const struct order_slot *)item)->order;
    const struct order_key *b = key;
    return id_equal(a->source_id, b->source_id) && str_equal(a->order_ref, b->order_ref);
}

static bool profile_equal(const void *item, const void *key)
{
    return id_equal(((const struct profile *)item)->id, *(const struct id *)key);
}

static bool id_item_equal(const void *item, const void *key)
{
    return id_equal(*(const struct id *)item, *(const struct id *)key);
}

static bool event_slot_equal(const void *item, const void *key)
{
    return id_equal(((const struct event_slot *)item)->event_id, *(const struct id *)key);
}

static uint64_t rung_hash(const struct decision *decision, const struct rung_key *key)
{
    uint64_t by_trigger = id_hash64(key->trigger_id, decision->map_seed);
    return hash64(key->part, id_hash64(key->profile_id, by_trigger));
}

static bool rung_slot_equal(const void *item, const void *key)
{
    const struct rung_key *a = &((const struct rung_slot *)item)->key;
    const struct rung_key *b = key;
    return id_equal(a->trigger_id, b->trigger_id) && id_equal(a->profile_id, b->profile_id) &&
           str_equal(a->part, b->part);
}

/* --- the working set ---------------------------------------------------- */

struct decision *decision_create(struct arena *arena, const struct decide_context *context,
                                 size_t event_count_hint)
{
    struct decision *decision = ARENA_NEW(arena, struct decision);
    if (decision == NULL) {
        return NULL;
    }
    decision->arena = arena;
    decision->context = context;
    struct str random = { (const char *)context->random, sizeof(context->random) };
    decision->map_seed = hash64(random, 0);
    size_t capacity = MAP_CAPACITY_MIN;
    while (capacity < event_count_hint * 4) {
        capacity *= 2;
    }
    decision->identity_map.slots = ARENA_NEW_ARRAY(arena, capacity, struct map_slot);
    decision->identity_map.capacity = decision->identity_map.slots == NULL ? 0 : capacity;
    return arena_is_full(arena) ? NULL : decision;
}

struct identity_slot *decision_add_identity(struct decision *decision, struct identity_row *row)
{
    struct identity_slot *slot = ARENA_NEW(decision->arena, struct identity_slot);
    if (slot != NULL) {
        slot->row = row;
        slot->is_attached = true;
        map_add(decision->arena, &decision->identity_map,
                identifier_hash(decision, &row->identifier), slot);
        list_add(decision->arena, &decision->identities, slot);
    }
    return slot;
}

struct order_slot *decision_add_order(struct decision *decision, struct order *order)
{
    struct order_slot *slot = ARENA_NEW(decision->arena, struct order_slot);
    if (slot != NULL) {
        slot->order = order;
        slot->is_attached = true;
        struct order_key key = { order->source_id, order->order_ref };
        map_add(decision->arena, &decision->order_map, order_hash(decision, &key), slot);
        list_add(decision->arena, &decision->orders, slot);
    }
    return slot;
}

void decision_put_identity(struct decision *decision, struct identity_row *row)
{
    if (decision_find_identity(decision, &row->identifier) == NULL) {
        decision_add_identity(decision, row);
    }
}

void decision_put_order(struct decision *decision, struct order *order)
{
    if (decision_find_order(decision, order->source_id, order->order_ref) == NULL) {
        decision_add_order(decision, order);
    }
}

void decision_put_profile(struct decision *decision, struct profile *profile)
{
    if (decision_find_profile(decision, profile->id) == NULL) {
        map_add(decision->arena, &decision->profile_map, id_hash64(profile->id, decision->map_seed),
                profile);
        list_add(decision->arena, &decision->profiles, profile);
    }
}

struct identity_slot *decision_find_identity(const struct decision *decision,
                                             const struct identifier *identifier)
{
    return map_find(&decision->identity_map, identifier_hash(decision, identifier),
                    identity_slot_equal, identifier);
}

struct order_slot *decision_find_order(const struct decision *decision, struct id source_id,
                                       struct str order_ref)
{
    struct order_key key = { source_id, order_ref };
    return map_find(&decision->order_map, order_hash(decision, &key), order_slot_equal, &key);
}

struct profile *decision_find_profile(const struct decision *decision, struct id id)
{
    return map_find(&decision->profile_map, id_hash64(id, decision->map_seed), profile_equal, &id);
}

struct id decision_canonical_id(const struct decision *decision, struct id id)
{
    const struct profile *profile = decision_find_profile(decision, id);
    while (profile != NULL && !id_is_zero(profile->merged_into)) {
        id = profile->merged_into;
        profile = decision_find_profile(decision, id);
    }
    return id;
}

/* Version 7 from the batch's randomness: the counter keeps the ids of one
 * batch apart, the random bytes those of different batches. */
struct id decision_fresh_id(struct decision *decision, int64_t now_ms)
{
    enum {
        RANDOM_SIZE = 10
    };
    uint8_t random[RANDOM_SIZE];
    uint32_t counter = ++decision->fresh_count;
    for (size_t i = 0; i < RANDOM_SIZE; i++) {
        random[i] = decision->context->random[i];
    }
    for (size_t i = 0; i < sizeof(counter); i++) {
        random[RANDOM_SIZE - 1 - i] ^= (uint8_t)(counter >> (8 * i));
    }
    struct id *fresh = ARENA_NEW(decision->arena, struct id);
    if (fresh == NULL) {
        return ID_ZERO;
    }
    *fresh = id_from_time(now_ms, random);
    map_add(decision->arena, &decision->fresh_map, id_hash64(*fresh, decision->map_seed), fresh);
    return *fresh;
}

bool decision_is_fresh(const struct decision *decision, struct id profile_id)
{
    return map_find(&decision->fresh_map, id_hash64(profile_id, decision->map_seed), id_item_equal,
                    &profile_id) != NULL;
}

struct event_slot *decision_find_event(const struct decision *decision, struct id event_id)
{
    return map_find(&decision->event_map, id_hash64(event_id, decision->map_seed), event_slot_equal,
                    &event_id);
}

void decision_add_event(struct decision *decision, struct id event_id, struct id profile_id)
{
    struct event_slot *slot = ARENA_NEW(decision->arena, struct event_slot);
    if (slot != NULL) {
        slot->event_id = event_id;
        slot->profile_id = profile_id;
        map_add(decision->arena, &decision->event_map, id_hash64(event_id, decision->map_seed),
                slot);
    }
}

struct rung_slot *decision_find_rung(const struct decision *decision, const struct rung_key *key)
{
    return map_find(&decision->rung_map, rung_hash(decision, key), rung_slot_equal, key);
}

struct rung_slot *decision_add_rung(struct decision *decision, const struct rung_key *key)
{
    struct rung_slot *slot = decision_find_rung(decision, key);
    if (slot != NULL) {
        return slot;
    }
    slot = ARENA_NEW(decision->arena, struct rung_slot);
    if (slot != NULL) {
        *slot = (struct rung_slot){ .key = *key, .own = rung_none(), .seen = rung_none() };
        map_add(decision->arena, &decision->rung_map, rung_hash(decision, key), slot);
        list_add(decision->arena, &decision->rungs, slot);
    }
    return slot;
}

/* --- what the shell asks between the steps ------------------------------ */

size_t decision_new_identities(const struct decision *decision, struct identity_row ***out_rows)
{
    size_t count = decision->new_identities.count;
    struct identity_row **rows = ARENA_NEW_ARRAY(decision->arena, count + 1, struct identity_row *);
    if (rows == NULL) {
        *out_rows = NULL;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = decision->new_identities.items[i];
    }
    *out_rows = rows;
    return count;
}

size_t decision_new_orders(const struct decision *decision, struct order ***out_orders)
{
    size_t count = decision->new_orders.count;
    struct order **orders = ARENA_NEW_ARRAY(decision->arena, count + 1, struct order *);
    if (orders == NULL) {
        *out_orders = NULL;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        orders[i] = decision->new_orders.items[i];
    }
    *out_orders = orders;
    return count;
}

static void sift_down(struct id *ids, size_t root, size_t count)
{
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && id_compare(ids[child], ids[child + 1]) < 0) {
            child++;
        }
        if (id_compare(ids[root], ids[child]) >= 0) {
            return;
        }
        struct id swapped = ids[root];
        ids[root] = ids[child];
        ids[child] = swapped;
        root = child;
    }
}

/* Heap sort: qsort may allocate. */
static void sort_ids(struct id *ids, size_t count)
{
    for (size_t root = count / 2; root > 0; root--) {
        sift_down(ids, root - 1, count);
    }
    for (size_t end = count; end > 1; end--) {
        struct id swapped = ids[0];
        ids[0] = ids[end - 1];
        ids[end - 1] = swapped;
        sift_down(ids, 0, end - 1);
    }
}

size_t decision_profile_ids_to_lock(const struct decision *decision, const struct id **out_ids)
{
    size_t capacity = decision->identities.count + decision->orders.count;
    struct id *ids = ARENA_NEW_ARRAY(decision->arena, capacity + 1, struct id);
    if (ids == NULL) {
        *out_ids = NULL;
        return 0;
    }
    size_t count = 0;
    for (size_t i = 0; i < decision->identities.count; i++) {
        const struct identity_slot *slot = decision->identities.items[i];
        ids[count++] = slot->row->profile_id;
    }
    for (size_t i = 0; i < decision->orders.count; i++) {
        const struct order_slot *slot = decision->orders.items[i];
        ids[count++] = slot->order->profile_id;
    }
    sort_ids(ids, count);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool repeated = kept > 0 && id_equal(ids[kept - 1], ids[i]);
        if (!repeated && !decision_is_fresh(decision, ids[i])) {
            ids[kept++] = ids[i];
        }
    }
    *out_ids = ids;
    return kept;
}

size_t decision_shrunk_profiles(const struct decision *decision, struct profile ***out_profiles)
{
    size_t capacity = decision->profiles.count + 1;
    struct profile **shrunk = ARENA_NEW_ARRAY(decision->arena, capacity, struct profile *);
    size_t count = 0;
    for (size_t i = 0; shrunk != NULL && i < decision->profiles.count; i++) {
        struct profile *profile = decision->profiles.items[i];
        if (profile->orders_shrunk && id_is_zero(profile->merged_into)) {
            shrunk[count++] = profile;
        }
    }
    *out_profiles = shrunk;
    return count;
}

size_t decision_stale_count(const struct decision *decision)
{
    return decision->stale_count;
}

size_t decision_backfill_count(const struct decision *decision)
{
    return decision->backfill_count;
}

size_t decision_backfill_held_count(const struct decision *decision)
{
    return decision->backfill_held_count;
}

struct profile *decision_profile(const struct decision *decision, struct id profile_id)
{
    return decision_find_profile(decision, profile_id);
}

const struct profile *decision_event_profile(const struct decision *decision, struct id event_id)
{
    const struct event_slot *slot = decision_find_event(decision, event_id);
    if (slot == NULL) {
        return NULL;
    }
    return decision_find_profile(decision, decision_canonical_id(decision, slot->profile_id));
}
