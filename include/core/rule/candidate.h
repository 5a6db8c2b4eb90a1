#ifndef CORE_RULE_CANDIDATE_H
#define CORE_RULE_CANDIDATE_H

/*
 * A rule that is not saved: compiled among those that are, so that it may refer
 * to them and read the features that they keep.
 */

#include "base/arena.h"
#include "base/status.h"
#include "core/rule/ruleset.h"

struct rule_candidate {
    const struct ruleset *ruleset; /* it and what it refers to, with the numbers of today */
    const struct rule *rule;
    /* A feature that no rule keeps, or not that long: profiles know nothing of
     * it before they are folded anew. Its text, or empty. */
    struct str missing;
};

/* A saved rule of the same name, and of a lifecycle the lifecycle there is,
 * gives way to it. Everything lives in the arena and borrows `definition` and
 * `newest`. Statuses as ruleset_build. */
NODISCARD enum status rule_candidate_build(struct arena *arena, const struct ruleset *newest,
                                           const struct rule_definition *definition,
                                           struct rule_candidate *out_candidate,
                                           struct ruleset_error *out_error);

#endif
