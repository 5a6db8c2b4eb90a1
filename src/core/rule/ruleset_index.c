#include <assert.h>
#include <stdlib.h>

#include "core/rule/verdict.h"
#include "program_priv.h"
#include "ruleset_priv.h"

/*
 * What a write looks up, made once when a ruleset is built.
 *
 * A set of rules is a row of bits in the order of dependence: what an event
 * touches is the union of a few rows, and walking it from the lowest bit decides
 * each rule after those it rests on. 2,000 rules are 32 words; the rows of 1,000
 * features take 256 KiB, once per workspace. Lists of indexes were rejected:
 * their union must be sorted for every event.
 */

enum {
    WORD_BITS = 64
};

static uint64_t *bits_create(struct arena *arena, const struct ruleset *ruleset)
{
    return ARENA_NEW_ARRAY(arena, ruleset->word_count, uint64_t);
}

static void bits_set(uint64_t *words, size_t index)
{
    words[index / WORD_BITS] |= UINT64_C(1) << (index % WORD_BITS);
}

size_t ruleset_feature_index(const struct ruleset *ruleset, uint32_t number)
{
    size_t low = 0;
    size_t high = ruleset->feature_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ruleset->features[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_there = low < ruleset->feature_count && ruleset->features[low].number == number;
    return is_there ? low : ruleset->feature_count;
}

static uint32_t parts_of(const struct rule *rule)
{
    uint32_t parts = 0;
    for (size_t i = 0; i < rule->definition.case_count; i++) {
        parts |= rule_program_reads(rule->programs[i])->parts;
    }
    return parts;
}

static bool index_parts(struct arena *arena, struct ruleset *ruleset)
{
    for (int part = 0; part < RULE_PART_COUNT; part++) {
        uint64_t *words = bits_create(arena, ruleset);
        if (words == NULL) {
            return false;
        }
        for (size_t i = 0; i < ruleset->rule_count; i++) {
            if ((parts_of(&ruleset->rules[i]) & 1u << part) != 0) {
                bits_set(words, i);
            }
        }
        ruleset->by_part[part].words = words;
    }
    return true;
}

/* A row each for `count` things; NULL when the arena is full. */
static struct rule_bits *rows_create(struct arena *arena, const struct ruleset *ruleset,
                                     size_t count, uint64_t **out_words)
{
    struct rule_bits *rows = ARENA_NEW_ARRAY(arena, count, struct rule_bits);
    uint64_t *words = ARENA_NEW_ARRAY(arena, count * ruleset->word_count, uint64_t);
    if (rows == NULL || words == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i].words = words + i * ruleset->word_count;
    }
    *out_words = words;
    return rows;
}

static bool index_features(struct arena *arena, struct ruleset *ruleset)
{
    uint64_t *words = NULL;
    struct rule_bits *rows = rows_create(arena, ruleset, ruleset->feature_count + 1, &words);
    if (rows == NULL) {
        return false;
    }
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        const struct rule *rule = &ruleset->rules[i];
        for (size_t k = 0; k < rule->feature_count; k++) {
            size_t feature = ruleset_feature_index(ruleset, rule->features[k]);
            assert(feature < ruleset->feature_count);
            bits_set(words + feature * ruleset->word_count, i);
        }
    }
    ruleset->by_feature = rows;
    return true;
}

static bool index_dependents(struct arena *arena, struct ruleset *ruleset)
{
    uint64_t *words = NULL;
    struct rule_bits *rows = rows_create(arena, ruleset, ruleset->rule_count + 1, &words);
    if (rows == NULL) {
        return false;
    }
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        for (size_t k = 0; k < ruleset->rules[i].use_count; k++) {
            bits_set(words + ruleset->rules[i].uses[k] * ruleset->word_count, i);
        }
    }
    ruleset->dependents = rows;
    return true;
}

static bool is_silent(struct arena *arena, const struct rule *rule)
{
    for (size_t i = 0; i < rule->definition.case_count; i++) {
        if (!program_is_silent(arena, rule->programs[i])) {
            return false;
        }
    }
    return true;
}

static bool index_all(struct arena *arena, struct ruleset *ruleset)
{
    uint64_t *timed = bits_create(arena, ruleset);
    uint64_t *all = bits_create(arena, ruleset);
    uint64_t *self_standing = bits_create(arena, ruleset);
    if (timed == NULL || all == NULL || self_standing == NULL) {
        return false;
    }
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        bits_set(all, i);
        if (ruleset->rules[i].is_timed) {
            bits_set(timed, i);
        }
        if (!is_silent(arena, &ruleset->rules[i])) {
            bits_set(self_standing, i);
        }
    }
    ruleset->timed.words = timed;
    ruleset->all.words = all;
    ruleset->self_standing.words = self_standing;
    return true;
}

void ruleset_leave_silent(const struct ruleset *ruleset, const struct feature_set *features,
                          const struct verdict_set *verdicts, uint64_t *words, uint64_t *spare)
{
    size_t word_count = ruleset->word_count;
    for (size_t i = 0; i < features->count; i++) {
        size_t index = ruleset_feature_index(ruleset, features->items[i].number);
        for (size_t w = 0; index < ruleset->feature_count && w < word_count; w++) {
            spare[w] |= ruleset->by_feature[index].words[w];
        }
    }
    for (size_t i = 0; i < verdicts->count; i++) {
        const struct rule *rule = ruleset_rule_by_slot(ruleset, verdicts->items[i].slot);
        if (rule != NULL) {
            bits_set(spare, (size_t)(rule - ruleset->rules));
        }
    }
    for (size_t w = 0; w < word_count; w++) {
        words[w] &= spare[w] | ruleset->self_standing.words[w];
    }
}

static bool index_fed(struct arena *arena, struct ruleset *ruleset)
{
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        size_t count = 0;
        for (size_t i = 0; i < ruleset->feature_count; i++) {
            count += ruleset->features[i].event_type == (enum event_type)type;
        }
        uint32_t *fed = ARENA_NEW_ARRAY(arena, count + 1, uint32_t);
        if (fed == NULL) {
            return false;
        }
        count = 0;
        for (size_t i = 0; i < ruleset->feature_count; i++) {
            if (ruleset->features[i].event_type == (enum event_type)type) {
                fed[count++] = (uint32_t)i;
            }
        }
        ruleset->fed[type] = fed;
        ruleset->fed_count[type] = count;
    }
    return true;
}

/* --- by what `where` asks ----------------------------------------------------- */

/* A profile engine has a hundred segments of "views in this category": without
 * this, an event that is in one category runs a hundred `where`s to find it. */

static bool is_chosen(const struct feature *feature)
{
    return feature->where_property.size > 0 || feature->event_type == EVENT_CUSTOM;
}

static int compare_choices(const void *a, const void *b)
{
    const struct feature_choice *left = a;
    const struct feature_choice *right = b;
    if (left->hash != right->hash) {
        return left->hash < right->hash ? -1 : 1;
    }
    return (left->index > right->index) - (left->index < right->index);
}

/* The features of the list that ask `property`, as a switch. */
static bool fill_switch(struct arena *arena, const struct ruleset *ruleset, int type,
                        struct str property, struct feature_switch *out_switch)
{
    struct feature_choice *choices =
        ARENA_NEW_ARRAY(arena, ruleset->fed_count[type], struct feature_choice);
    if (choices == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < ruleset->fed_count[type]; i++) {
        uint32_t index = ruleset->fed[type][i];
        const struct feature *feature = &ruleset->features[index];
        if (is_chosen(feature) && str_equal(feature->where_property, property)) {
            choices[count++] = (struct feature_choice){
                feature_choice_hash(feature->event_type, feature->event_name, feature->where_text),
                index
            };
        }
    }
    qsort(choices, count, sizeof(*choices), compare_choices);
    *out_switch = (struct feature_switch){ property, choices, count };
    return true;
}

static bool has_switch(const struct feature_switch *switches, size_t count, struct str property)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(switches[i].property, property)) {
            return true;
        }
    }
    return false;
}

static bool index_switches(struct arena *arena, struct ruleset *ruleset, int type)
{
    size_t fed_count = ruleset->fed_count[type];
    struct feature_switch *switches = ARENA_NEW_ARRAY(arena, fed_count + 1, struct feature_switch);
    uint32_t *plain = ARENA_NEW_ARRAY(arena, fed_count + 1, uint32_t);
    if (switches == NULL || plain == NULL) {
        return false;
    }
    size_t count = 0;
    size_t plain_count = 0;
    for (size_t i = 0; i < fed_count; i++) {
        uint32_t index = ruleset->fed[type][i];
        struct str property = ruleset->features[index].where_property;
        if (!is_chosen(&ruleset->features[index])) {
            plain[plain_count++] = index;
        } else if (!has_switch(switches, count, property)) {
            if (!fill_switch(arena, ruleset, type, property, &switches[count])) {
                return false;
            }
            count++;
        }
    }
    ruleset->switches[type] = switches;
    ruleset->switch_count[type] = count;
    ruleset->fed_plainly[type] = plain;
    ruleset->fed_plainly_count[type] = plain_count;
    return true;
}

static bool index_choices(struct arena *arena, struct ruleset *ruleset)
{
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (!index_switches(arena, ruleset, type)) {
            return false;
        }
    }
    return true;
}

/* --- by name and by slot ----------------------------------------------------- */

struct key { /* what is sorted: qsort has no argument for the rules */
    struct str name;
    uint32_t slot;
    uint32_t index;
};

static int compare_names(const void *a, const void *b)
{
    return str_compare(((const struct key *)a)->name, ((const struct key *)b)->name);
}

static int compare_slots(const void *a, const void *b)
{
    uint32_t left = ((const struct key *)a)->slot;
    uint32_t right = ((const struct key *)b)->slot;
    return (left > right) - (left < right);
}

static const uint32_t *sorted(struct arena *arena, const struct ruleset *ruleset,
                              int (*compare)(const void *, const void *))
{
    struct key *keys = ARENA_NEW_ARRAY(arena, ruleset->rule_count + 1, struct key);
    uint32_t *indexes = ARENA_NEW_ARRAY(arena, ruleset->rule_count + 1, uint32_t);
    if (keys == NULL || indexes == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        const struct rule_definition *definition = &ruleset->rules[i].definition;
        keys[i] = (struct key){ definition->name, definition->slot, (uint32_t)i };
    }
    qsort(keys, ruleset->rule_count, sizeof(*keys), compare);
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        indexes[i] = keys[i].index;
    }
    return indexes;
}

bool ruleset_index(struct arena *arena, struct ruleset *ruleset)
{
    ruleset->word_count = (ruleset->rule_count + WORD_BITS - 1) / WORD_BITS;
    ruleset->word_count += ruleset->word_count == 0;
    ruleset->by_name = sorted(arena, ruleset, compare_names);
    ruleset->by_slot = sorted(arena, ruleset, compare_slots);
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        if (ruleset->rules[i].definition.kind == RULE_KIND_LIFECYCLE) {
            ruleset->lifecycle = &ruleset->rules[i];
        }
    }
    return ruleset->by_name != NULL && ruleset->by_slot != NULL && index_parts(arena, ruleset) &&
           index_features(arena, ruleset) && index_dependents(arena, ruleset) &&
           index_all(arena, ruleset) && index_fed(arena, ruleset) && index_choices(arena, ruleset);
}
