#include "core/rule/feature.h"

#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "core/rule/name.h"
#include "feature_priv.h"

/*
 * A profile's features: what a fact adds to which, and when a state has to be
 * read from history again.
 *
 * A fact is first turned into what the feature keeps of it (numbers, hashes, a
 * value); if that is nothing, or it is out of the window, no state is touched.
 * A property that is null is no fact: count(e.p) counts facts that have p. Of a
 * list, sums and extremes take each number, distinct and max_count each value
 * once.
 *
 * Invariant: after each change a state is pruned, its flag says whether it is
 * complete, and one that holds nothing is not in the set. A flag that was set
 * by anyone else stays until the state is written from history: it is taken
 * into the state as "broken".
 *
 * Decoded states are changed in place, also seen through a copy of the set. So
 * a copy of a profile is good for what notifications show, not for asking what
 * a feature said before.
 */

enum {
    FACT_VALUES_MAX = RULE_LIST_ITEMS_MAX,
    NUMBER_TEXT_SIZE = 24,
};

/* The same on every machine and for ever: hashes are stored. */
#define VALUE_HASH_SEED UINT64_C(0x53686f7062656c6c)

/* --- what a fact adds --------------------------------------------------------- */

struct contribution {
    struct feature_fact fact;
    int64_t numbers[FACT_VALUES_MAX];
    uint64_t hashes[FACT_VALUES_MAX];
};

/* A number and its text are one value: shops send ids as either. Instants are
 * told by their milliseconds. */
static bool hash_value(struct rule_value value, uint64_t *out_hash)
{
    char text[NUMBER_TEXT_SIZE];
    struct str bytes = { 0 };
    switch (value.type) {
    case RULE_TEXT:
        bytes = value.text;
        break;
    case RULE_NUMBER:
        bytes = (struct str){ text, rule_number_format(value.number, text) };
        break;
    case RULE_BOOL:
        bytes = value.boolean ? STR("true") : STR("false");
        break;
    case RULE_INSTANT:
        bytes = (struct str){ text, rule_number_format(value.ms, text) };
        break;
    case RULE_NULL:
    case RULE_DURATION:
    case RULE_DATE:
    case RULE_LIST:
        return false;
    }
    *out_hash = hash64(bytes, VALUE_HASH_SEED);
    return true;
}

static void add_hash(struct contribution *contribution, struct rule_value value)
{
    uint64_t hash = 0;
    if (contribution->fact.count == FACT_VALUES_MAX || !hash_value(value, &hash)) {
        return;
    }
    for (size_t i = 0; i < contribution->fact.count; i++) {
        if (contribution->hashes[i] == hash) {
            return;
        }
    }
    contribution->hashes[contribution->fact.count++] = hash;
}

static void add_number(struct arena *arena, struct contribution *contribution,
                       struct rule_value value)
{
    struct rule_value number = rule_value_as(arena, value, RULE_NUMBER);
    if (number.type == RULE_NUMBER && contribution->fact.count < FACT_VALUES_MAX) {
        contribution->numbers[contribution->fact.count++] = number.number;
    }
}

static void add_values(struct arena *arena, const struct feature *feature,
                       struct contribution *contribution, struct rule_value value)
{
    bool is_hashed = feature->form == FEATURE_DISTINCT || feature->form == FEATURE_KEYED;
    const struct rule_value *items = value.type == RULE_LIST ? value.list.items : &value;
    size_t count = value.type == RULE_LIST ? value.list.count : 1;
    for (size_t i = 0; i < count; i++) {
        if (is_hashed) {
            add_hash(contribution, items[i]);
        } else {
            add_number(arena, contribution, items[i]);
        }
    }
}

/* Properties of the typed core are kept as what rules take them for. */
static struct rule_value typed(struct arena *arena, struct str property, struct rule_value value)
{
    enum rule_type type = rule_property_type(property);
    return type != RULE_NULL ? rule_value_as(arena, value, type) : value;
}

/* False: the fact adds nothing. */
static bool contribute(struct arena *arena, const struct feature *feature,
                       struct property_view *view, struct contribution *contribution)
{
    struct feature_fact *fact = &contribution->fact;
    bool has_property = feature->property.size > 0;
    *fact = (struct feature_fact){ .at_ms = view->at_ms, .id = view->id };
    if (has_property) {
        fact->value = property_get(arena, view, feature->property);
    }
    if (has_property && feature->form == FEATURE_EDGE) {
        fact->value = typed(arena, feature->property, fact->value);
    }
    if (has_property && fact->value.type == RULE_NULL) {
        return false;
    }
    fact->numbers = contribution->numbers;
    fact->hashes = contribution->hashes;
    if (feature->form == FEATURE_KEYED) {
        add_values(arena, feature, contribution, property_get(arena, view, feature->by));
    } else if (feature->form == FEATURE_NEWEST || feature->form == FEATURE_EDGE ||
               feature->function == RULE_COUNT) {
        contribution->numbers[0] = 0;
        fact->count = 1;
    } else {
        add_values(arena, feature, contribution, fact->value);
    }
    return fact->count > 0;
}

/* Instants out of all reason are no facts: the state could not hold them. */
static bool is_in_window(const struct feature *feature, int64_t at_ms, int64_t now_ms)
{
    return feature_instant_is_valid(at_ms) && feature_instant_is_valid(at_ms - INSTANT_FIRST_MS) &&
           at_ms > feature_floor_ms(feature, now_ms);
}

/* --- the set ------------------------------------------------------------------ */

const struct feature_form_table *feature_form_of(const struct feature *feature)
{
    switch (feature->form) {
    case FEATURE_TOTAL:
        return &feature_form_total;
    case FEATURE_NEWEST:
        return &feature_form_newest;
    case FEATURE_WINDOW:
        return &feature_form_window;
    case FEATURE_DISTINCT:
        return &feature_form_distinct;
    case FEATURE_KEYED:
        return &feature_form_keyed;
    case FEATURE_EDGE:
        return &feature_form_edge;
    }
    assert(false); /* a form of the table */
    return NULL;
}

/* The first index whose number is not below. */
static size_t set_place(const struct feature_set *set, uint32_t number)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct feature_state *feature_find(const struct feature_set *set, uint32_t number)
{
    size_t place = set_place(set, number);
    bool is_there = place < set->count && set->items[place].number == number;
    return is_there ? &set->items[place] : NULL;
}

static struct feature_state *set_insert(struct arena *arena, struct feature_set *set,
                                        uint32_t number)
{
    size_t place = set_place(set, number);
    if (set->count == set->capacity) {
        size_t capacity = set->capacity * 2 + 4;
        struct feature_state *items = ARENA_NEW_ARRAY(arena, capacity, struct feature_state);
        if (items == NULL) {
            return NULL;
        }
        if (set->count > 0) {
            memcpy(items, set->items, set->count * sizeof(*items));
        }
        set->items = items;
        set->capacity = capacity;
    }
    memmove(set->items + place + 1, set->items + place, (set->count - place) * sizeof(*set->items));
    set->items[place] = (struct feature_state){ .number = number };
    set->count++;
    return &set->items[place];
}

static void set_erase(struct feature_set *set, struct feature_state *item)
{
    size_t place = (size_t)(item - set->items);
    memmove(item, item + 1, (set->count - place - 1) * sizeof(*item));
    set->count--;
}

void feature_set_keep(struct feature_set *set, const struct feature *features, size_t count)
{
    size_t kept = 0;
    size_t next = 0;
    for (size_t i = 0; i < set->count; i++) {
        while (next < count && features[next].number < set->items[i].number) {
            next++;
        }
        if (next < count && features[next].number == set->items[i].number) {
            set->items[kept++] = set->items[i];
        }
    }
    set->count = kept;
}

/* The first of the features [from, count) whose number is not below. */
static size_t features_place(const struct feature *features, size_t from, size_t count,
                             uint32_t number)
{
    size_t low = from;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (features[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void feature_set_prune(struct feature_set *set, const struct feature *features, size_t count,
                       int64_t now_ms)
{
    size_t kept = 0;
    size_t next = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct feature_state *item = &set->items[i];
        bool is_known = false;
        if (item->decoded == NULL) {
            next = features_place(features, next, count, item->number);
            is_known = next < count && features[next].number == item->number;
        }
        if (!is_known || !feature_state_has_passed(&features[next], item, now_ms)) {
            set->items[kept++] = *item;
        }
    }
    set->count = kept;
}

/* --- states ------------------------------------------------------------------- */

static bool is_complete(const struct feature *feature, const struct feature_memory *memory,
                        int64_t floor_ms)
{
    return !memory->is_broken && !memory->lost.is_loose &&
           feature_form_of(feature)->is_complete(feature, memory, floor_ms);
}

/* The bytes, or what stands for bytes that say nothing. NULL when the arena is
 * full. */
static struct feature_memory *decode_state(struct arena *arena, const struct feature *feature,
                                           struct str bytes)
{
    struct feature_memory *memory = feature_memory_decode(arena, feature, bytes);
    if (memory == NULL) {
        memory = feature_memory_create(arena, feature);
        if (memory != NULL) {
            memory->is_broken = true;
        }
    }
    return memory;
}

const struct feature_memory *feature_memory_of(struct arena *arena, const struct feature *feature,
                                               const struct feature_state *state)
{
    if (state == NULL) {
        return feature_memory_create(arena, feature);
    }
    if (state->decoded != NULL) {
        return state->decoded;
    }
    return decode_state(arena, feature, state->bytes);
}

/* A flag that the state itself does not account for was set by someone else.
 * Nothing was pruned since the flag was written, so the floor is not asked. */
static void heed_flag(const struct feature *feature, const struct feature_state *state,
                      struct feature_memory *memory)
{
    if (state->is_incomplete && is_complete(feature, memory, INSTANT_NONE)) {
        memory->is_broken = true;
    }
}

/* The state to change, made if it is not there. */
static struct feature_state *set_touch(struct arena *arena, struct feature_set *set,
                                       const struct feature *feature)
{
    struct feature_state *item = feature_find(set, feature->number);
    bool is_new = item == NULL;
    if (is_new) {
        item = set_insert(arena, set, feature->number);
    }
    if (item == NULL || item->decoded != NULL) {
        return item;
    }
    struct feature_memory *memory =
        is_new ? feature_memory_create(arena, feature) : decode_state(arena, feature, item->bytes);
    if (memory == NULL) {
        return NULL;
    }
    heed_flag(feature, item, memory);
    item->decoded = memory;
    return item;
}

/* A decoded state of its own, for pruning and merging. NULL when the arena is
 * full. */
static struct feature_memory *state_copy(struct arena *arena, const struct feature *feature,
                                         const struct feature_state *state)
{
    struct str bytes = state->bytes;
    if (state->is_dirty) {
        struct buf buf;
        buf_init(&buf, arena, FEATURE_STATE_BYTES_LIMIT);
        if (!feature_memory_encode(feature, state->decoded, &buf)) {
            return NULL;
        }
        bytes = buf_str(&buf);
    }
    struct feature_memory *memory = decode_state(arena, feature, bytes);
    if (memory != NULL) {
        heed_flag(feature, state, memory);
    }
    return memory;
}

static void set_settle(struct feature_set *set, const struct feature *feature,
                       struct feature_state *item, int64_t floor_ms)
{
    struct feature_memory *memory = item->decoded;
    item->is_dirty = true;
    item->is_incomplete = !is_complete(feature, memory, floor_ms);
    if (feature_memory_is_empty(feature, memory)) {
        set_erase(set, item);
    }
}

bool feature_add(struct arena *arena, struct feature_set *set, const struct feature *feature,
                 struct property_view *fact, int64_t now_ms)
{
    struct contribution contribution;
    if (!is_in_window(feature, fact->at_ms, now_ms) ||
        !contribute(arena, feature, fact, &contribution)) {
        return !arena_is_full(arena);
    }
    const struct feature_form_table *form = feature_form_of(feature);
    int64_t floor_ms = feature_floor_ms(feature, now_ms);
    struct feature_state *item = set_touch(arena, set, feature);
    if (item == NULL) {
        return false;
    }
    form->prune(feature, item->decoded, floor_ms);
    if (!form->add(arena, feature, item->decoded, &contribution.fact, floor_ms)) {
        return false;
    }
    set_settle(set, feature, item, floor_ms);
    return true;
}

bool feature_remove(struct arena *arena, struct feature_set *set, const struct feature *feature,
                    struct property_view *fact, int64_t now_ms)
{
    struct contribution contribution;
    if (!is_in_window(feature, fact->at_ms, now_ms) ||
        !contribute(arena, feature, fact, &contribution)) {
        return !arena_is_full(arena);
    }
    const struct feature_form_table *form = feature_form_of(feature);
    int64_t floor_ms = feature_floor_ms(feature, now_ms);
    struct feature_state *item = set_touch(arena, set, feature);
    if (item == NULL) {
        return false;
    }
    form->prune(feature, item->decoded, floor_ms);
    form->remove(feature, item->decoded, &contribution.fact, floor_ms);
    /* Without anything left of the window, what is loose or a bound goes too. */
    form->prune(feature, item->decoded, floor_ms);
    set_settle(set, feature, item, floor_ms);
    return true;
}

bool feature_absorb(struct arena *arena, struct feature_set *set, const struct feature *feature,
                    const struct feature_set *loser, int64_t now_ms)
{
    const struct feature_state *other = feature_find(loser, feature->number);
    if (other == NULL) {
        return true;
    }
    const struct feature_form_table *form = feature_form_of(feature);
    int64_t floor_ms = feature_floor_ms(feature, now_ms);
    struct feature_state *item = set_touch(arena, set, feature);
    struct feature_memory *memory = state_copy(arena, feature, other);
    if (item == NULL || memory == NULL) {
        return false;
    }
    struct feature_memory *kept = item->decoded;
    form->prune(feature, kept, floor_ms);
    form->prune(feature, memory, floor_ms);
    kept->is_broken = kept->is_broken || memory->is_broken;
    if (!form->absorb(arena, feature, kept, memory, floor_ms)) {
        return false;
    }
    set_settle(set, feature, item, floor_ms);
    return true;
}

/* The bytes of a state as it is at the floor; empty when it holds nothing. */
static bool pruned_bytes(struct arena *arena, const struct feature *feature,
                         const struct feature_state *state, int64_t floor_ms, struct buf *buf)
{
    buf_init(buf, arena, FEATURE_STATE_BYTES_LIMIT);
    if (state == NULL) {
        return true;
    }
    struct feature_memory *memory = state_copy(arena, feature, state);
    if (memory == NULL) {
        return false;
    }
    feature_form_of(feature)->prune(feature, memory, floor_ms);
    return feature_memory_is_empty(feature, memory) || feature_memory_encode(feature, memory, buf);
}

bool feature_equal(struct arena *arena, const struct feature *feature,
                   const struct feature_state *a, const struct feature_state *b, int64_t now_ms)
{
    struct buf left;
    struct buf right;
    int64_t floor_ms = feature_floor_ms(feature, now_ms);
    return pruned_bytes(arena, feature, a, floor_ms, &left) &&
           pruned_bytes(arena, feature, b, floor_ms, &right) &&
           str_equal(buf_str(&left), buf_str(&right));
}
