#ifndef CORE_PROFILE_HYDRATE_H
#define CORE_PROFILE_HYDRATE_H

/*
 * A profile out of its history: the same fold as event by event, from nothing
 * or, where retention dropped facts, from the bases they were folded into.
 * Identity decisions are replayed, not made again: the caller says which
 * identities and which origins' facts belong to the profile.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "core/event/event.h"
#include "core/order/order.h"
#include "core/profile/base.h"
#include "core/profile/profile.h"

struct history {
    const struct profile_base *bases; /* of its origins, where facts were dropped */
    size_t base_count;
    const struct event *events; /* as stored, properties too; no order document */
    size_t event_count;
    struct order *const *orders; /* those the profile owns, contributions as counted */
    size_t order_count;
    const struct identifier *identifiers;
    size_t identifier_count;
    const struct ruleset *ruleset; /* whose features are folded; NULL: none */
    int64_t now_ms;                /* what fell out of its window by then is not kept */
};

/* Replaces everything in `profile` that is a fold of facts; keeps its id,
 * created_at, sequence, and the log of what was decided (its verdicts). The
 * cart is kept if the event that set it is part of the history, else emptied.
 * False when the arena is full or the history has nothing in it. */
bool profile_hydrate(struct arena *arena, struct profile *profile, const struct history *history);

/* Without an event and without a base there is nothing to fold. */
static inline bool history_is_empty(const struct history *history)
{
    return history->event_count == 0 && history->base_count == 0;
}

/* The same in pieces, for a history that does not fit into memory: begin, take
 * in the bases, fold pages of events in any order (history->events; between
 * pages the fresh state may go through the codec), end with orders and
 * identifiers, which replaces `profile`. owns_cart: the event that set the cart
 * was in a base or among the pages. */
void hydrate_begin(struct profile *fresh, const struct profile *profile);
bool hydrate_bases(struct arena *arena, struct profile *fresh, const struct history *history);
bool hydrate_fold(struct arena *arena, struct profile *fresh, const struct history *history);
bool hydrate_owns(const struct history *history, struct id event_id);
bool hydrate_end(struct arena *arena, struct profile *fresh, struct profile *profile,
                 const struct history *history, bool owns_cart);

#endif
