#ifndef SWEEP_RETAIN_H
#define SWEEP_RETAIN_H

/*
 * Interactions whose time is over (`retention.interaction`): folded into the
 * bases of their origins in short steps, a job a workspace, and then
 * the months that are empty become part of the history.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "store/pg.h"
#include "store/registry.h"

struct retain_progress { /* of the job, as in its cursor */
    struct id after_id;
    int64_t facts;
    int64_t origins;
    int64_t skipped; /* in this walk */
    int64_t walk;
};

struct retain {
    struct registry *registry;
    struct id instance_id;
    struct pg *pg;       /* hot; no transaction is open */
    struct arena *arena; /* reset by each step */
    int64_t keep_ms;     /* 0: for ever */
    int64_t step_ms;     /* how long a step may take; 0: 50 */
    /* Kept between steps; zero to begin with. */
    int64_t look_at_ms; /* monotonic: when to look for work again */
    int64_t idle_until_ms;
    size_t batch_size;
    struct id job_id; /* zero: none in work */
    struct id job_workspace_id;
    int64_t job_before_ms;
    struct retain_progress progress;
};

/* Facts before it go: the beginning of a month. */
int64_t retain_before(int64_t now_ms, int64_t keep_ms);
/* One step. *out_worked: there may be more to do at once. */
NODISCARD enum status retain_step(struct retain *retain, bool *out_worked, struct problem *problem);
/* Queues a job for each workspace that has such facts and none on its way. */
NODISCARD enum status retain_look(struct retain *retain, size_t *out_queued,
                                  struct problem *problem);

#endif
