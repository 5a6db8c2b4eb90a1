#ifndef STORE_UNMERGE_H
#define STORE_UNMERGE_H

/*
 * A merge undone (correctness 8): the edge is taken away and both sides are
 * hydrated from the facts that kept their origin. Identities and orders first
 * seen after the merge stay with the survivor. Rings nothing.
 */

#include "base/arena.h"
#include "base/status.h"
#include "core/decide.h"
#include "store/pg.h"

/* More facts than this are not folded in one transaction: STATUS_LIMIT. */
#define UNMERGE_FACTS_MAX 100000

struct unmerged {
    struct id survivor_id;
    struct id restored_id; /* the loser of the merge, a profile again */
};

/* `merge_id` is an identity decision of kind merged. STATUS_MISSING when there
 * is none, or none that `profile_id` (survivor or loser, canonical or not) is
 * part of; STATUS_CONFLICT when it was undone already. */
NODISCARD enum status unmerge(struct pg *pg, struct arena *arena,
                              const struct decide_context *context, struct id profile_id,
                              struct id merge_id, int64_t now_ms, struct unmerged *out_unmerged,
                              struct problem *problem);

#endif
