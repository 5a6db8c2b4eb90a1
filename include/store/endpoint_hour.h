#ifndef STORE_ENDPOINT_HOUR_H
#define STORE_ENDPOINT_HOUR_H

/*
 * What became of calls to a subscription, by the hour: counts that add up. Values
 * borrow from the arena given; no function opens a transaction.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/trigger/latency.h"
#include "store/pg.h"

struct endpoint_counts {
    int64_t delivered;
    int64_t retry;
    int64_t gave_up;
    int64_t gone;
    int64_t aborted;
    int64_t durations[LATENCY_CLASSES];
};

struct endpoint_hour {
    struct id workspace_id;
    struct id subscription_id;
    int64_t hour_ms;
    struct endpoint_counts counts;
};
/* Adds to the hours' rows: of one workspace, in order of subscription (two instances
 * take the rows in the same order), each subscription once. */
NODISCARD enum status endpoint_hour_add(struct pg *pg, struct arena *arena,
                                        const struct endpoint_hour *deltas, size_t count,
                                        struct problem *problem);
/* The sum of the hours that begin at or after from_ms. */
NODISCARD enum status endpoint_hour_sum(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct id subscription_id, int64_t from_ms,
                                        struct endpoint_counts *out_counts,
                                        struct problem *problem);
NODISCARD enum status endpoint_hour_expire(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, int64_t before_ms,
                                           struct problem *problem);

/* The same from the log, for a time that is no whole number of hours: of the
 * newest `most` calls since from_ms. */
NODISCARD enum status endpoint_recent(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id subscription_id, int64_t from_ms, int64_t most,
                                      struct endpoint_counts *out_counts, int64_t *out_first_ms,
                                      struct problem *problem);

struct endpoint_backlog {
    int64_t count; /* of at most `most` looked at */
    int64_t waiting;
    int64_t retrying;
    int64_t sending;
    int64_t oldest_at_ms; /* when the oldest of them was made; INSTANT_NONE: none */
    struct str held_reason;
    int64_t held_at_ms;
};
NODISCARD enum status endpoint_backlog(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       struct id subscription_id, int64_t now_ms, int64_t most,
                                       struct endpoint_backlog *out_backlog,
                                       struct problem *problem);
/* Since when it fails; INSTANT_NONE: it does not. */
NODISCARD enum status endpoint_failing(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       struct id subscription_id, int64_t *out_since_ms,
                                       int64_t *out_told, struct problem *problem);

#endif
