#ifndef STORE_BRING_UP_H
#define STORE_BRING_UP_H

/*
 * Profiles whose newer rules ask for their history: read, folded anew, decided
 * silently at now (correctness 11). Within the transaction that holds their
 * locks; the caller saves.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/decide.h"
#include "store/pg.h"

struct bring_up {
    struct pg *pg;
    struct arena *arena;
    struct decision *decision; /* the profiles are in it */
    const struct decide_context *context;
    int64_t now_ms;
    size_t facts_max;      /* of one origin: longer histories are left as they are */
    enum cause_kind cause; /* of what changes; 0: other rules, or an import */
};

struct bring_up_left { /* whose histories were too long, in the arena */
    struct id *ids;
    size_t count;
};

/* Two round trips if any profile of the decision wants its history, else none.
 * Instants that fell due are stepped through first, under the rules the profile
 * stood at, and ring. out_left may be NULL. */
NODISCARD enum status bring_up_profiles(const struct bring_up *bring_up,
                                        struct bring_up_left *out_left, struct problem *problem);

/* After decide_event: whoever lost sight of a history with it gets it back, if it
 * is short, before the rules are asked about the event (correctness 9). Two round
 * trips if there is anyone, else none. */
NODISCARD enum status bring_up_sight(const struct bring_up *bring_up, struct problem *problem);

#endif
