#include <assert.h>

#include "feature_priv.h"

/*
 * EDGE: the first or the last fact, by (instant, id). TOTAL: lifetime count,
 * sum and extreme.
 *
 * Both keep one winner and forget the rest, so both share the question what
 * remains when the winner is removed. It then stands as a bound: what is true
 * lies at it or behind it. A fact that is at least as far out wins exactly,
 * which is what an order does that is subtracted and added again; else the
 * state is incomplete.
 *
 * The first within a window leaves it while others stay; the next first is not
 * known then, and the state is incomplete until it is hydrated.
 */

/* --- EDGE --------------------------------------------------------------------- */

static int compare_facts(int64_t a_ms, struct id a, int64_t b_ms, struct id b)
{
    if (a_ms != b_ms) {
        return a_ms < b_ms ? -1 : 1;
    }
    return id_compare(a, b);
}

/* Texts are kept up to a limit; a longer one wins all the same, as null. Lists
 * are never kept. */
static struct rule_value value_to_keep(struct arena *arena, struct rule_value value)
{
    if (value.type == RULE_LIST ||
        (value.type == RULE_TEXT && value.text.size > FEATURE_EDGE_TEXT_BYTES_MAX)) {
        return RULE_VALUE_NULL;
    }
    if (value.type == RULE_TEXT) {
        value.text = str_dup(arena, value.text);
    }
    return value;
}

static struct feature_edge edge_of(struct arena *arena, const struct feature_fact *fact)
{
    return (struct feature_edge){
        .has_entry = true,
        .at_ms = fact->at_ms,
        .id = fact->id,
        .value = value_to_keep(arena, fact->value),
    };
}

static int compare_edges(const struct feature *feature, const struct feature_edge *a,
                         const struct feature_edge *b)
{
    int order = compare_facts(a->at_ms, a->id, b->at_ms, b->id);
    return feature->function == RULE_FIRST ? -order : order;
}

static void edge_put(const struct feature *feature, struct feature_memory *memory,
                     const struct feature_edge *other)
{
    struct feature_edge *edge = &memory->edge;
    int order = edge->has_entry ? compare_edges(feature, other, edge) : 1;
    if (!edge->has_entry) {
        *edge = *other;
    } else if (order > 0 || (order == 0 && edge->is_loose)) {
        if (!edge->is_loose) {
            feature_lost_note(&memory->lost, edge->at_ms);
        }
        *edge = *other;
    } else if (!other->is_loose) {
        feature_lost_note(&memory->lost, other->at_ms);
    }
}

static bool edge_add(struct arena *arena, const struct feature *feature,
                     struct feature_memory *memory, const struct feature_fact *fact,
                     int64_t floor_ms)
{
    (void)floor_ms;
    struct feature_edge other = edge_of(arena, fact);
    edge_put(feature, memory, &other);
    return !arena_is_full(arena);
}

static void edge_remove(const struct feature *feature, struct feature_memory *memory,
                        const struct feature_fact *fact, int64_t floor_ms)
{
    (void)feature;
    (void)floor_ms;
    struct feature_edge *edge = &memory->edge;
    bool is_it = edge->has_entry && !edge->is_loose && edge->at_ms == fact->at_ms &&
                 id_equal(edge->id, fact->id);
    if (is_it && memory->lost.at_ms == INSTANT_NONE) {
        *edge = (struct feature_edge){ 0 };
    } else if (is_it) {
        edge->is_loose = true;
        edge->value = RULE_VALUE_NULL;
    } else if (!feature_lost_remove(&memory->lost, fact->at_ms)) {
        memory->is_broken = true;
    }
}

static void edge_prune(const struct feature *feature, struct feature_memory *memory,
                       int64_t floor_ms)
{
    (void)feature;
    struct feature_edge *edge = &memory->edge;
    feature_lost_prune(&memory->lost, floor_ms);
    bool is_gone = edge->has_entry && (edge->is_loose || edge->at_ms <= floor_ms);
    if (is_gone && memory->lost.at_ms == INSTANT_NONE) {
        *edge = (struct feature_edge){ 0 };
    } else if (is_gone) {
        edge->is_loose = true;
        edge->value = RULE_VALUE_NULL;
    }
}

static bool edge_absorb(struct arena *arena, const struct feature *feature,
                        struct feature_memory *memory, const struct feature_memory *loser,
                        int64_t floor_ms)
{
    (void)arena;
    (void)floor_ms;
    feature_lost_absorb(&memory->lost, loser->lost);
    if (loser->edge.has_entry) {
        edge_put(feature, memory, &loser->edge);
    }
    return true;
}

static bool edge_is_complete(const struct feature *feature, const struct feature_memory *memory,
                             int64_t floor_ms)
{
    (void)feature;
    (void)floor_ms;
    return !memory->edge.is_loose;
}

static bool edge_is_empty(const struct feature_memory *memory)
{
    return !memory->edge.has_entry;
}

const struct feature_form_table feature_form_edge = {
    .add = edge_add,
    .remove = edge_remove,
    .prune = edge_prune,
    .absorb = edge_absorb,
    .is_complete = edge_is_complete,
    .is_empty = edge_is_empty,
};

/* --- TOTAL -------------------------------------------------------------------- */

static bool has_extreme(const struct feature *feature)
{
    return feature->function == RULE_MIN || feature->function == RULE_MAX;
}

/* `ties` 0: a bound. */
static void extreme_put(const struct feature *feature, struct feature_total *total, int64_t value,
                        int64_t ties)
{
    if (total->count == 0 || feature_beats(feature->function, value, total->extreme)) {
        total->extreme = value;
        total->ties = ties;
    } else if (value == total->extreme) {
        total->ties = feature_count_add(total->ties, ties);
    }
}

static bool total_add(struct arena *arena, const struct feature *feature,
                      struct feature_memory *memory, const struct feature_fact *fact,
                      int64_t floor_ms)
{
    (void)arena;
    (void)floor_ms;
    struct feature_total *total = &memory->total;
    for (size_t i = 0; i < fact->count; i++) {
        if (has_extreme(feature)) {
            extreme_put(feature, total, fact->numbers[i], 1);
        } else if (feature->function != RULE_COUNT) {
            feature_sum_add(&total->sum, fact->numbers[i]);
        }
        total->count = feature_count_add(total->count, 1);
    }
    return true;
}

/* False when the state does not know any more what is true. */
static bool total_take(const struct feature *feature, struct feature_total *total, int64_t value)
{
    if (total->count == 0) {
        return false;
    }
    total->count--;
    if (feature->function == RULE_SUM || feature->function == RULE_AVG) {
        feature_sum_subtract(&total->sum, value);
    }
    bool is_known = true;
    if (has_extreme(feature) && value == total->extreme) {
        is_known = total->ties > 0;
        total->ties -= is_known ? 1 : 0;
    } else if (has_extreme(feature)) {
        is_known = feature_beats(feature->function, total->extreme, value);
    }
    if (total->count == 0) {
        is_known = is_known && total->sum.low == 0 && total->sum.high == 0;
        *total = (struct feature_total){ 0 };
    }
    return is_known;
}

static void total_remove(const struct feature *feature, struct feature_memory *memory,
                         const struct feature_fact *fact, int64_t floor_ms)
{
    (void)floor_ms;
    for (size_t i = 0; i < fact->count; i++) {
        if (!total_take(feature, &memory->total, fact->numbers[i])) {
            memory->is_broken = true;
        }
    }
}

static void total_prune(const struct feature *feature, struct feature_memory *memory,
                        int64_t floor_ms)
{
    (void)feature;
    (void)memory;
    (void)floor_ms;
}

static bool total_absorb(struct arena *arena, const struct feature *feature,
                         struct feature_memory *memory, const struct feature_memory *loser,
                         int64_t floor_ms)
{
    (void)arena;
    (void)floor_ms;
    if (has_extreme(feature) && loser->total.count > 0) {
        extreme_put(feature, &memory->total, loser->total.extreme, loser->total.ties);
    }
    memory->total.count = feature_count_add(memory->total.count, loser->total.count);
    feature_sum_absorb(&memory->total.sum, loser->total.sum);
    return true;
}

static bool total_is_complete(const struct feature *feature, const struct feature_memory *memory,
                              int64_t floor_ms)
{
    (void)floor_ms;
    return !has_extreme(feature) || memory->total.count == 0 || memory->total.ties > 0;
}

static bool total_is_empty(const struct feature_memory *memory)
{
    return memory->total.count == 0;
}

const struct feature_form_table feature_form_total = {
    .add = total_add,
    .remove = total_remove,
    .prune = total_prune,
    .absorb = total_absorb,
    .is_complete = total_is_complete,
    .is_empty = total_is_empty,
};
