#ifndef CORE_PROFILE_BASE_H
#define CORE_PROFILE_BASE_H

/*
 * The effect of facts that are no longer kept (correctness 7): retention folds
 * them into the base of their origin, and hydrate starts from there.
 *
 * Invariant: a fact is in the base of its origin or on the timeline, never in
 * both and never in neither. So base and timeline together are the history
 * they were before, whatever arrives late and in whatever order.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/profile/profile.h"
#include "core/rule/feature.h"

enum {
    BASE_STEPS_MAX = 16
};

/* Some facts before `before_ms` were folded by the rules of this version:
 * features that came later know nothing of them. */
struct base_step {
    int64_t ruleset_version;
    int64_t before_ms;
};

struct profile_base {
    struct id origin_id;
    int64_t before_ms;   /* all of its facts occurred before; INSTANT_NONE: it has none */
    int64_t received_ms; /* when the last of them was received */
    int64_t fact_count;
    struct base_step steps[BASE_STEPS_MAX]; /* both ascend */
    size_t step_count;
    /* Of its events those that set a cart which still stands somewhere. */
    struct id *cart_event_ids;
    size_t cart_count;
    /* Only what is a fold of events: seen times, traits and the like, indicators
     * and features. No order: those are kept. */
    struct profile facts;
};

void base_init(struct profile_base *base, struct id origin_id);

struct base_facts {
    const struct event *events; /* as stored, all before `before_ms` */
    size_t event_count;
    const struct ruleset *ruleset; /* whose features are folded; not NULL */
    int64_t before_ms;             /* what had left its window by then is not kept */
    /* Which events set the carts of the profile they belong to and of everyone
     * who was merged into it: a merge that is taken back gives a cart back. */
    const struct id *cart_event_ids;
    size_t cart_count;
};
/* False when the arena is full. Borrows from the events. */
bool base_fold(struct arena *arena, struct profile_base *base, const struct base_facts *facts);

/* Versioned, refused whole when impossible. The origin is not part of it. */
bool base_encode(struct arena *arena, const struct profile_base *base, struct str *out_bytes);
bool base_decode(struct arena *arena, struct str bytes, struct profile_base *base);

/* Did one of the events of these bases set this cart? */
bool bases_own_cart(const struct profile_base *bases, size_t count, struct id event_id);
/* All that was folded had happened by the millisecond before: the first instant
 * that can be asked for. INSTANT_NONE: nothing was folded. */
int64_t bases_before(const struct profile_base *bases, size_t count);
/* Since when the feature knows every fact; INSTANT_NONE: from the beginning. */
int64_t bases_complete_since(const struct profile_base *bases, size_t count,
                             const struct feature *feature);

#endif
