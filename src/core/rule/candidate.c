#include "core/rule/candidate.h"

/*
 * Compiled twice: among all rules, which finds what it refers to and whether
 * anything is wrong; then with those alone, so that deciding it for a million
 * profiles, or folding a history for it, costs what it needs.
 */

enum {
    CANDIDATE_SLOT = 0x7ffffff0,
};

static bool gives_way(const struct rule_definition *saved, const struct rule_definition *candidate)
{
    return str_equal(saved->name, candidate->name) ||
           (saved->kind == RULE_KIND_LIFECYCLE && candidate->kind == RULE_KIND_LIFECYCLE);
}

/* The candidate last. Its slot is that of the rule it stands for, so that the
 * verdicts of profiles are read as its own. */
static struct rule_definition *gather(struct arena *arena, const struct ruleset *newest,
                                      const struct rule_definition *candidate, size_t *out_count)
{
    struct rule_definition *all =
        ARENA_NEW_ARRAY(arena, newest->rule_count + 1, struct rule_definition);
    struct rule_definition own = *candidate;
    size_t count = 0;
    own.slot = CANDIDATE_SLOT;
    own.enabled = true;
    for (size_t i = 0; all != NULL && i < newest->rule_count; i++) {
        const struct rule_definition *saved = &newest->rules[i].definition;
        if (gives_way(saved, candidate)) {
            own.slot = saved->slot;
            own.id = saved->id;
        } else {
            all[count++] = *saved;
        }
    }
    if (all != NULL) {
        all[count++] = own;
    }
    *out_count = count;
    return all;
}

static struct feature_number *known_numbers(struct arena *arena, const struct ruleset *newest,
                                            uint32_t *out_next)
{
    struct feature_number *known =
        ARENA_NEW_ARRAY(arena, newest->feature_count + 1, struct feature_number);
    uint32_t next = 1;
    for (size_t i = 0; known != NULL && i < newest->feature_count; i++) {
        const struct feature *feature = &newest->features[i];
        known[i] = (struct feature_number){ .key = feature->key,
                                            .number = feature->number,
                                            .version = feature->version,
                                            .keep = feature->keep };
        next = feature->number >= next ? feature->number + 1 : next;
    }
    *out_next = next;
    return known;
}

/* The rule and all it refers to, of a compiled set. */
static size_t take_closure(const struct ruleset *whole, const struct rule *rule, bool *is_used,
                           struct rule_definition *out_definitions)
{
    size_t count = 0;
    is_used[rule - whole->rules] = true;
    /* Each rule stands behind those it refers to. */
    for (size_t i = whole->rule_count; i > 0; i--) {
        const struct rule *used = &whole->rules[i - 1];
        if (!is_used[i - 1]) {
            continue;
        }
        out_definitions[count++] = used->definition;
        for (size_t u = 0; u < used->use_count; u++) {
            is_used[used->uses[u]] = true;
        }
    }
    return count;
}

static struct str find_missing(const struct ruleset *newest, const struct ruleset *ruleset)
{
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        if (ruleset_feature(newest, ruleset->features[i].number) == NULL) {
            return ruleset->features[i].text;
        }
    }
    return (struct str){ NULL, 0 };
}

enum status rule_candidate_build(struct arena *arena, const struct ruleset *newest,
                                 const struct rule_definition *definition,
                                 struct rule_candidate *out_candidate, struct ruleset_error *error)
{
    struct ruleset *whole = NULL;
    struct ruleset *own = NULL;
    uint32_t next = 1;
    size_t count = 0;
    struct rule_definition *all = gather(arena, newest, definition, &count);
    struct feature_number *known = known_numbers(arena, newest, &next);
    bool *is_used = ARENA_NEW_ARRAY(arena, count + 1, bool);
    struct rule_definition *few = ARENA_NEW_ARRAY(arena, count + 1, struct rule_definition);
    if (all == NULL || known == NULL || is_used == NULL || few == NULL) {
        return STATUS_LIMIT;
    }
    uint32_t unused = next;
    enum status status = ruleset_build(arena, newest->version, all, count, known,
                                       newest->feature_count, &unused, &whole, error);
    if (status != STATUS_OK) {
        return status;
    }
    size_t few_count = take_closure(whole, ruleset_rule(whole, definition->name), is_used, few);
    status = ruleset_build(arena, newest->version, few, few_count, known, newest->feature_count,
                           &next, &own, error);
    if (status == STATUS_OK) {
        own->time_zone = newest->time_zone;
        own->zone = newest->zone;
        *out_candidate = (struct rule_candidate){
            .ruleset = own,
            .rule = ruleset_rule(own, definition->name),
            .missing = find_missing(newest, own),
        };
    }
    return status;
}
