#ifndef CORE_PROFILE_AS_OF_H
#define CORE_PROFILE_AS_OF_H

/*
 * A profile as its facts make it at an instant in the past (correctness 7):
 * facts with occurred_at up to then, decided by the rules given. Orders count
 * from placed_at on, less what came later and says when: refunds by their own
 * document, a cancellation, a deletion. Of the body only the last one is kept: a
 * total or a status that it changed has no time, and is as known today; a
 * refunded figure that only it says counts from its version on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/profile/hydrate.h"
#include "core/profile/profile.h"
#include "core/rule/statistic.h"

struct as_of {
    int64_t at_ms;
    int64_t known_at_ms;                 /* facts received up to then; INSTANT_NEVER: all */
    const struct statistics *statistics; /* in force then */
    struct str currency;
};

/* Of what was folded into a base it is only known that it happened before an
 * instant and was received by another: no moment before is told apart. */
bool as_of_can_tell(const struct history *whole, const struct as_of *as_of);

/* Replaces `profile` by itself as of then. `whole` is its history up to today,
 * with the rules to decide by; its now_ms is not looked at. Verdicts have at_ms
 * as their `since`: when they began is not a fold of facts. False when the arena
 * is full, when nothing had happened by then or when that cannot be told any
 * more (profile is as it was). */
bool profile_as_of(struct arena *arena, struct profile *profile, const struct history *whole,
                   const struct as_of *as_of);

/* How many facts of it count then: while that stays, so does the fold. */
size_t as_of_fact_count(const struct history *whole, const struct as_of *as_of);

/* All rules of `ruleset` decided at `at_ms`, from no verdict at all. */
bool profile_decide_as_of(struct arena *arena, struct profile *profile,
                          const struct ruleset *ruleset, const struct as_of *as_of);

#endif
