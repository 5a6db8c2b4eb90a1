#ifndef CORE_RULE_VERDICT_H
#define CORE_RULE_VERDICT_H

/*
 * What the rules say of a profile: the verdicts that hold, each since when.
 *
 * Only what holds is kept: a tag that is not worn and a tier without a value
 * have no entry, so that a profile pays for its memberships, not for the
 * rules that exist. `since` is part of the log of what was decided, never
 * hydrated.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "core/rule/program.h"
#include "core/rule/ruleset.h"

struct verdict {
    uint32_t slot;    /* of the rule */
    struct str value; /* "active", "high"; empty for a tag or segment: it holds */
    int64_t since_ms;
};

struct verdict_set { /* ascending by slot; the array is replaced, never changed in place */
    const struct verdict *items;
    size_t count;
};

const struct verdict *verdict_find(const struct verdict_set *set, uint32_t slot);
/* A new set with the slot's verdict replaced or, with NULL, removed. False when
 * the arena is full. */
NODISCARD bool verdict_put(struct arena *arena, struct verdict_set *set, uint32_t slot,
                           const struct verdict *verdict);

/* What `rule` says at `at_ms`: false when no case holds. Until: the first
 * instant at which another answer is possible. */
bool rule_verdict(struct arena *arena, const struct rule *rule, const struct rule_subject *subject,
                  int64_t at_ms, struct str *out_value, int64_t *out_until_ms);

#endif
