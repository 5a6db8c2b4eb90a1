#ifndef SWEEP_DELIVERY_REPLAY_H
#define SWEEP_DELIVERY_REPLAY_H

/*
 * Jobs of kind "delivery_replay": what a subscription got in a range of time, or
 * what of it failed, is queued again, a chunk a step.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "store/job_store.h"
#include "store/pg.h"

#define DELIVERY_REPLAY_JOB STR("delivery_replay")

/* Any thread, its own; zero but for the first three. */
struct delivery_replay {
    struct id instance_id;
    struct pg *pg;       /* hot; no transaction is open */
    struct arena *arena; /* reset by each step */
    /* Kept between steps. */
    int64_t idle_until_ms; /* monotonic */
    struct id job_id;      /* zero: none in work */
    struct id job_workspace_id;
};

/* One chunk. *out_worked: there may be more to do at once. */
NODISCARD enum status delivery_replay_step(struct delivery_replay *replay, bool *out_worked,
                                           struct problem *problem);

#endif
