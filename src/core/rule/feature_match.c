#include "core/rule/feature.h"

/*
 * Is a fact one that a feature is about? The type was told by the ruleset's
 * index; custom events share one type and differ by name.
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
