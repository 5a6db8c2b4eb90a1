#include <assert.h>

#include "base/id.h"
#include "core/rule/feature.h"
#include "ruleset_priv.h"

/*
 * Is a fact one that a feature is about? The type was told by the ruleset's
 * index; custom events share one type and differ by name.
 *
 * Of all features of a type those are looked up whose `where` wants a property
 * to be a text; what is found by hash is asked as any other, unless its `where`
 * says no more than that: then comparing the texts is the answer.
 */

bool feature_matches(struct arena *arena, const struct feature *feature, struct property_view *fact)
{
    if (fact->type != feature->event_type ||
        (fact->type == EVENT_CUSTOM && !str_equal(fact->name, feature->event_name))) {
        return false;
    }
    if (feature->where == NULL) {
        return true;
    }
    struct rule_subject subject = { .currency = fact->currency, .fact = fact };
    return rule_evaluate(arena, feature->where, &subject, fact->at_ms, NULL);
}

uint64_t feature_choice_hash(enum event_type type, struct str name, struct str text)
{
    return hash64(text, type == EVENT_CUSTOM ? hash64(name, 0) : 0);
}

static size_t first_choice(const struct feature_switch *among, uint64_t hash)
{
    size_t low = 0;
    size_t high = among->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (among->choices[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The text that `property = "text"` compares with; false when it is none. */
static bool text_of(struct arena *arena, struct property_view *fact, struct str property,
                    struct str *out_text)
{
    if (property.size == 0) {
        *out_text = (struct str){ 0 };
        return true;
    }
    struct rule_value value = property_get(arena, fact, property);
    value = rule_value_as(arena, value, RULE_TEXT);
    *out_text = value.text;
    return value.type == RULE_TEXT;
}

static bool choice_matches(struct arena *arena, const struct feature *feature,
                           struct property_view *fact, struct str text)
{
    bool is_answer = feature->where_is_only && fact->type != EVENT_CUSTOM;
    return is_answer ? str_equal(feature->where_text, text) : feature_matches(arena, feature, fact);
}

size_t feature_match_all(struct arena *arena, const struct ruleset *ruleset,
                         struct property_view *fact, uint32_t *out_indexes)
{
    size_t count = 0;
    for (size_t i = 0; i < ruleset->fed_plainly_count[fact->type]; i++) {
        uint32_t index = ruleset->fed_plainly[fact->type][i];
        if (feature_matches(arena, &ruleset->features[index], fact)) {
            out_indexes[count++] = index;
        }
    }
    for (size_t i = 0; i < ruleset->switch_count[fact->type]; i++) {
        const struct feature_switch *among = &ruleset->switches[fact->type][i];
        struct str text = { 0 };
        if (!text_of(arena, fact, among->property, &text)) {
            continue;
        }
        uint64_t hash = feature_choice_hash(fact->type, fact->name, text);
        for (size_t k = first_choice(among, hash);
             k < among->count && among->choices[k].hash == hash; k++) {
            uint32_t index = among->choices[k].index;
            if (choice_matches(arena, &ruleset->features[index], fact, text)) {
                out_indexes[count++] = index;
            }
        }
    }
    assert(count <= RULESET_FEATURES_MAX);
    return count;
}
