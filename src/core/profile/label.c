#include "core/profile/profile.h"

/*
 * Verdicts by name. A profile knows its rules by slot, which is short and
 * survives a new version; people and columns know them by name.
 *
 * Sorted by name, so that the same verdicts always read the same.
 */

static void sort_names(struct str *names, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct str name = names[i];
        size_t k = i;
        while (k > 0 && str_compare(names[k - 1], name) > 0) {
            names[k] = names[k - 1];
            k--;
        }
        names[k] = name;
    }
}

static void sort_tiers(struct profile_tier *tiers, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct profile_tier tier = tiers[i];
        size_t k = i;
        while (k > 0 && str_compare(tiers[k - 1].name, tier.name) > 0) {
            tiers[k] = tiers[k - 1];
            k--;
        }
        tiers[k] = tier;
    }
}

static void add_label(struct profile_labels *labels, const struct rule *rule,
                      const struct verdict *verdict)
{
    switch (rule->definition.kind) {
    case RULE_KIND_TAG:
        labels->tags[labels->tag_count++] = rule->definition.name;
        break;
    case RULE_KIND_SEGMENT:
        labels->segments[labels->segment_count++] = rule->definition.name;
        break;
    case RULE_KIND_LIFECYCLE:
        labels->lifecycle = verdict->value;
        labels->lifecycle_since_ms = verdict->since_ms;
        break;
    case RULE_KIND_TIER:
        labels->tiers[labels->tier_count++] =
            (struct profile_tier){ rule->definition.name, verdict->value };
        break;
    }
}

bool profile_labels_of(struct arena *arena, const struct profile *profile,
                       const struct ruleset *ruleset, struct profile_labels *out_labels)
{
    struct profile_labels labels = { .lifecycle_since_ms = INSTANT_NONE };
    size_t count = ruleset != NULL ? profile->verdicts.count : 0;
    if (count == 0) {
        *out_labels = labels;
        return true;
    }
    labels.tags = ARENA_NEW_ARRAY(arena, count, struct str);
    labels.segments = ARENA_NEW_ARRAY(arena, count, struct str);
    labels.tiers = ARENA_NEW_ARRAY(arena, count, struct profile_tier);
    if (labels.tags == NULL || labels.segments == NULL || labels.tiers == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct verdict *verdict = &profile->verdicts.items[i];
        const struct rule *rule = ruleset_rule_by_slot(ruleset, verdict->slot);
        if (rule != NULL) {
            add_label(&labels, rule, verdict);
        }
    }
    sort_names(labels.tags, labels.tag_count);
    sort_names(labels.segments, labels.segment_count);
    sort_tiers(labels.tiers, labels.tier_count);
    *out_labels = labels;
    return true;
}
