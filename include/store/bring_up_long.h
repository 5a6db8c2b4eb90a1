#ifndef STORE_BRING_UP_LONG_H
#define STORE_BRING_UP_LONG_H

/*
 * Bringing up one profile whose history does not fit into memory or into a
 * short transaction: its events are folded page by page without its lock, and
 * only the end (orders, identities, verdicts) happens under it. If the profile
 * was written to meanwhile, it is folded again; the last time under the lock
 * from the beginning.
 */

#include "base/arena.h"
#include "base/status.h"
#include "core/decide.h"
#include "store/pg.h"

struct bring_up_long {
    struct pg *pg; /* no transaction is open */
    struct arena *lasting;
    struct arena *page; /* reset by each page */
    const struct decide_context *context;
    struct id profile_id;
    int64_t now_ms;
};

/* Of rules whose save asked for them. */
struct bring_up_bells {
    size_t rung;
    size_t held; /* beyond the context's limit */
};

/* Commits. STATUS_OK too when there is nothing left to do, or somebody else
 * holds the profile. */
NODISCARD enum status bring_up_long(const struct bring_up_long *bring_up,
                                    struct bring_up_bells *out_bells, struct problem *problem);

#endif
