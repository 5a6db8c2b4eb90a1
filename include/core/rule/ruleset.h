#ifndef CORE_RULE_RULESET_H
#define CORE_RULE_RULESET_H

/*
 * All rules of a workspace at one version, compiled, with the indexes that make
 * a write cost what it touches: event type -> features, feature -> rules,
 * changed part -> rules, rule -> rules that refer to it.
 *
 * Rules stand in an order in which each comes after those it refers to, so one
 * pass over the touched ones, in that order, is enough. Slots and feature
 * numbers are stable across versions: the profile's state speaks of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/instant.h"
#include "base/status.h"
#include "core/event/event.h"
#include "core/rule/expression.h"
#include "core/rule/feature.h"
#include "core/rule/program.h"

struct verdict_set;

struct rule_case {
    struct str value; /* lifecycle and tier; empty for tag and segment, which have one case */
    struct str when;
};

struct rule_definition {
    struct id id;
    struct str name;
    struct str title;
    enum rule_kind kind;
    uint32_t slot;         /* stable number within the workspace */
    int64_t version;       /* of the rule itself: grows with each edit of it */
    int64_t since_version; /* the ruleset version that last changed its meaning */
    const struct rule_case *cases;
    size_t case_count;
    int64_t hysteresis; /* tiers: millionths; a tier is left only this share below its threshold */
    bool enabled;
    /* The condition of a trigger: what it counts is kept as a rule's is, and nothing
     * is decided by it. It has one case and neither kind nor slot. */
    bool is_condition;
};

struct rule {
    struct rule_definition definition;
    const struct rule_node *const *trees;       /* per case */
    const struct rule_program *const *programs; /* per case */
    bool is_timed;
    const uint32_t *features; /* numbers, ascending, unique, of all cases */
    size_t feature_count;
    const uint32_t *uses; /* indexes of the rules it refers to */
    size_t use_count;
};

/* Numbers given before, so that they stay: as stored in the ruleset's row. */
struct feature_number {
    struct str key;
    uint32_t number;
    uint32_t version;
    uint32_t keep; /* a feature that must keep more than it did is a new one */
};

/* Features of an event type whose `where` asks a property for a text: a fact
 * looks up its own text once, instead of running every `where`. Custom events
 * are told apart by their name too. */
struct feature_choice {
    uint64_t hash; /* of the text; of a custom event's name and the text */
    uint32_t index;
};

struct feature_switch {
    struct str property;                  /* empty: custom events by name alone */
    const struct feature_choice *choices; /* ascending by hash */
    size_t count;
};

struct rule_bits { /* a set of rules, by index */
    const uint64_t *words;
};

struct ruleset {
    int64_t version;
    /* The workspace's, as it was when the version was made: local time (habits)
     * is part of what a version means, so a new zone is a new version. UTC until
     * who compiles it says otherwise. */
    struct str time_zone;
    const struct zone *zone;
    const struct rule *rules; /* in order of dependence */
    size_t rule_count;
    const uint32_t *by_name;        /* indexes of rules, ascending by name */
    const uint32_t *by_slot;        /* and by slot */
    const struct rule *lifecycle;   /* the rule of that kind: at most one; NULL: none */
    size_t word_count;              /* of a rule_bits */
    const struct feature *features; /* ascending by number */
    size_t feature_count;
    /* Features fed by an event type: indexes into features. */
    const uint32_t *fed[EVENT_TYPE_COUNT];
    size_t fed_count[EVENT_TYPE_COUNT];
    /* The same features: those to look up, and the rest. */
    const struct feature_switch *switches[EVENT_TYPE_COUNT];
    size_t switch_count[EVENT_TYPE_COUNT];
    const uint32_t *fed_plainly[EVENT_TYPE_COUNT];
    size_t fed_plainly_count[EVENT_TYPE_COUNT];
    struct rule_bits by_part[RULE_PART_COUNT];
    const struct rule_bits *by_feature; /* per feature index */
    const struct rule_bits *dependents; /* per rule index */
    struct rule_bits timed;
    struct rule_bits all;
    struct rule_bits self_standing; /* may hold though the profile keeps none of their features */
    const int64_t *percents;        /* (attribute, percent) pairs that programs ask for */
    const enum rule_attribute *percent_attributes;
    size_t percent_count;
};

/* What is wrong with which rule. */
struct ruleset_error {
    size_t rule; /* index into the definitions */
    size_t case_index;
    const char *type; /* contract 17: invalid-expression expression-circular limit-reached */
    struct rule_error error;
};

/* Compiles enabled definitions. `known`: numbers of the version before;
 * *next_number is where new ones start, and is advanced. Everything lives in
 * the arena and borrows the definitions' texts. STATUS_INVALID with *out_error;
 * STATUS_LIMIT when the arena is full. */
NODISCARD enum status ruleset_build(struct arena *arena, int64_t version,
                                    const struct rule_definition *definitions, size_t count,
                                    const struct feature_number *known, size_t known_count,
                                    uint32_t *next_number, struct ruleset **out_ruleset,
                                    struct ruleset_error *out_error);

/* The names that an expression beside these rules (NULL: none) may use. False when
 * the arena is full. */
bool ruleset_vocabulary(struct arena *arena, const struct ruleset *ruleset,
                        enum rule_context context, struct rule_vocabulary *out_names);

/* NULL when there is none. */
const struct rule *ruleset_rule(const struct ruleset *ruleset, struct str name);
const struct rule *ruleset_rule_by_slot(const struct ruleset *ruleset, uint32_t slot);
const struct feature *ruleset_feature(const struct ruleset *ruleset, uint32_t number);

/* Takes out of `words` (a set of rules) those that are false of who keeps none of
 * their features, and so need not be asked: see rule/silent.c. `spare` is as
 * large, and zero. Who was said to be in a rule is asked in any case. */
void ruleset_leave_silent(const struct ruleset *ruleset, const struct feature_set *features,
                          const struct verdict_set *verdicts, uint64_t *words, uint64_t *spare);

/* Does going from `before` to `after` need history? True when `after` has a
 * feature that `before` (may be NULL) did not keep as well. */
bool ruleset_needs_history(const struct ruleset *before, const struct ruleset *after);

enum {
    RULESET_RULES_MAX = 2000,
    RULESET_FEATURES_MAX = 1000,
    RULE_CASES_MAX = 20,
};

/* The rules every workspace starts with (design 7): definitions without id,
 * slot and versions. NULL past the end. */
const struct rule_definition *rule_shipped(size_t index);

/* Attributes of which the programs ask for a percentile that `statistics` (NULL:
 * never computed) do not tell, each once: what is compared with it is compared
 * with null. Room for percent_count of them. */
size_t ruleset_untold(const struct ruleset *ruleset, const struct statistics *statistics,
                      enum rule_attribute *out_attributes);

#endif
