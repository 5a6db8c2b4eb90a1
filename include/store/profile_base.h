#ifndef STORE_PROFILE_BASE_H
#define STORE_PROFILE_BASE_H

/*
 * Facts whose time is over, folded into the bases of their origins and deleted
 * in the same transaction, a few origins at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "core/rule/ruleset.h"
#include "store/pg.h"

struct base_walk {
    struct id workspace_id;
    const struct ruleset *ruleset; /* the newest */
    int64_t before_ms;
    struct id after_id; /* go on behind this origin */
    size_t origins_max;
    size_t facts_max; /* of one origin */
};

struct base_walked {
    int64_t facts;
    int64_t origins;
    int64_t skipped;   /* held by somebody else, or not at the newest rules */
    struct id last_id; /* go on behind this one */
    bool is_end;
    bool is_open; /* a transaction that the caller commits or resets */
};

NODISCARD enum status base_walk(struct pg *pg, struct arena *arena, const struct base_walk *walk,
                                struct base_walked *out_walked, struct problem *problem);

struct base_left {
    int64_t facts;
    int64_t origins;
    int64_t first_ms; /* INSTANT_NONE: there are none */
};
/* The workspaces that have a fact before that instant. */
NODISCARD enum status base_wanted(struct pg *pg, struct arena *arena, int64_t before_ms,
                                  struct id **out_workspace_ids, size_t *out_count,
                                  struct problem *problem);
/* All of them counted: reads every one. */
NODISCARD enum status base_count_left(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      int64_t before_ms, struct base_left *out_left,
                                      struct problem *problem);
/* Facts before it may be folded; INSTANT_NONE: none was. */
NODISCARD enum status base_folded_before(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         int64_t *out_before_ms, struct problem *problem);

#endif
