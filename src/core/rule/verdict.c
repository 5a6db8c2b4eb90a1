#include "core/rule/verdict.h"

#include "base/instant.h"
#include "program_priv.h"

/*
 * A set of what holds, and what one rule says.
 *
 * Cases are asked in order and the first that holds is the verdict. It stands
 * until any case asked so far may turn: one before it that does not hold may
 * begin to, and it may cease to hold. Cases behind it were not asked and do
 * not matter.
 *
 * A tier that is held is left only a share below its threshold (hysteresis),
 * so that a customer at the edge does not flicker with every refresh. That
 * makes the verdict depend on the verdict before, which is part of the log of
 * what was decided: nothing else in the engine does.
 */

static size_t position_of(const struct verdict_set *set, uint32_t slot)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle].slot < slot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool stands_at(const struct verdict_set *set, size_t position, uint32_t slot)
{
    return position < set->count && set->items[position].slot == slot;
}

const struct verdict *verdict_find(const struct verdict_set *set, uint32_t slot)
{
    size_t position = position_of(set, slot);
    return stands_at(set, position, slot) ? &set->items[position] : NULL;
}

bool verdict_put(struct arena *arena, struct verdict_set *set, uint32_t slot,
                 const struct verdict *verdict)
{
    size_t position = position_of(set, slot);
    size_t replaced = stands_at(set, position, slot) ? 1 : 0;
    size_t added = verdict != NULL ? 1 : 0;
    if (replaced == 0 && added == 0) {
        return true;
    }
    size_t count = set->count - replaced + added;
    struct verdict *items = ARENA_NEW_ARRAY(arena, count + 1, struct verdict);
    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < position; i++) {
        items[i] = set->items[i];
    }
    if (verdict != NULL) {
        items[position] = *verdict;
        items[position].slot = slot;
    }
    for (size_t i = position + replaced; i < set->count; i++) {
        items[i - replaced + added] = set->items[i];
    }
    *set = (struct verdict_set){ .items = items, .count = count };
    return true;
}

/* The value that is held now, or empty. */
static struct str held_value(const struct rule *rule, const struct rule_subject *subject)
{
    struct str held = { 0 };
    if (rule->definition.kind == RULE_KIND_TIER && rule->definition.hysteresis > 0) {
        const struct verdict *verdict = attribute_verdict(subject, rule->definition.slot);
        if (verdict != NULL) {
            held = verdict->value;
        }
    }
    return held;
}

bool rule_verdict(struct arena *arena, const struct rule *rule, const struct rule_subject *subject,
                  int64_t at_ms, struct str *out_value, int64_t *out_until_ms)
{
    const struct rule_definition *definition = &rule->definition;
    struct str held = held_value(rule, subject);
    int64_t until_ms = INSTANT_NEVER;
    bool holds = false;
    for (size_t i = 0; i < definition->case_count && !holds; i++) {
        struct str value = definition->cases[i].value;
        bool is_held = held.size > 0 && str_equal(held, value);
        int64_t case_until_ms = INSTANT_NEVER;
        holds = program_evaluate(arena, rule->programs[i], subject, at_ms,
                                 is_held ? definition->hysteresis : 0,
                                 out_until_ms != NULL ? &case_until_ms : NULL);
        until_ms = case_until_ms < until_ms ? case_until_ms : until_ms;
        if (holds) {
            *out_value = value;
        }
    }
    if (out_until_ms != NULL) {
        *out_until_ms = until_ms;
    }
    return holds;
}
