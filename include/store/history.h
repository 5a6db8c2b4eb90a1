#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

/*
 * The facts of profiles, as they were stored: what hydrate folds.
 *
 * Facts stay under their origin for ever (correctness 8), so a profile's
 * history is that of itself and of everyone merged into it: the bases that
 * retention left, and the facts that are still there.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "core/profile/hydrate.h"
#include "store/pg.h"

/* An origin and the side (a profile, by index) whose history it is part of. */
struct history_origin {
    struct id id;
    size_t side;
};

struct history_request {
    struct id workspace_id;
    const struct history_origin *origins;
    size_t origin_count;
    size_t side_count;
    size_t facts_max;  /* of one origin; beyond it the side is cut */
    int64_t before_ms; /* only events before; 0: all */
    bool only_events;  /* and bases: neither orders nor identities */
    /* Orders and identities go with their origin (un-merge), not with the
     * profile they belong to now. */
    bool by_origin;
};

struct history_side {
    struct profile_base *bases;
    size_t base_count;
    struct event *events; /* by origin and time */
    size_t event_count;
    bool is_cut; /* longer than was asked for: not a whole history */
    struct order **orders;
    size_t order_count;
    struct identifier *identifiers;
    size_t identifier_count;
};

static inline struct history history_of_side(const struct history_side *side,
                                             const struct ruleset *ruleset, int64_t now_ms)
{
    return (struct history){
        .bases = side->bases,
        .base_count = side->base_count,
        .events = side->events,
        .event_count = side->event_count,
        .orders = side->orders,
        .order_count = side->order_count,
        .identifiers = side->identifiers,
        .identifier_count = side->identifier_count,
        .ruleset = ruleset,
        .now_ms = now_ms,
    };
}

/* One round trip, outside or within a transaction. The caller holds the
 * profiles' locks, or takes what it gets for a look. */
NODISCARD enum status history_read(struct pg *pg, struct arena *arena,
                                   const struct history_request *request,
                                   struct history_side **out_sides, struct problem *problem);

/* One page of one origin's events, behind (after_ms, after_id), oldest first. */
struct history_place_after {
    int64_t after_ms;
    struct id after_id;
};
NODISCARD enum status history_page(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct id origin_id, struct history_place_after place,
                                   size_t limit, struct event **out_events, size_t *out_count,
                                   struct problem *problem);

/* Each profile and everyone merged into it; side = index into `profiles`. */
NODISCARD enum status history_origins(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      const struct id *profiles, size_t profile_count,
                                      struct history_origin **out_origins, size_t *out_count,
                                      struct problem *problem);

#endif
