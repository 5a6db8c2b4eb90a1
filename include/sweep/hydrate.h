#ifndef SWEEP_HYDRATE_H
#define SWEEP_HYDRATE_H

/*
 * Bringing profiles to newer rules, in steps (correctness 11), silently but for
 * rules whose save asked that those it concerns be told: those
 * whose rules need no more than their state are decided again from it; the
 * others are folded anew from their history. A job per ruleset version walks
 * all profiles; those marked as waiting for their history are served all the
 * time.
 *
 * Threading: one thread, the connection and arena are the caller's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "store/pg.h"
#include "store/registry.h"

/* How far a job's walk over all profiles has come: its cursor. */
struct hydrate_walk {
    struct id after_id;
    int64_t met;  /* behind, on this walk */
    int64_t done; /* rows walked, on this walk */
    int64_t round;
    int64_t rung; /* bells of rules whose save asked for them, on all walks */
};

struct hydrate {
    struct pg *pg;
    struct arena *arena; /* reset by each step */
    struct arena *page;  /* of one page of a long history */
    struct registry *registry;
    struct id instance_id;
    size_t batch_size;     /* adapts to the time a step takes; 0: begin */
    int64_t step_ms;       /* how long a step may take; 0: 50 */
    int64_t idle_until_ms; /* monotonic: nothing to do was found before */
    /* The job that is ours; zero: none. */
    struct id job_id;
    struct id job_workspace_id;
    int64_t job_version; /* the ruleset to bring everyone to */
    int64_t job_total;
    struct hydrate_walk walk; /* as committed */
};

/* One step of some `step_ms`, and longer where a profile's history is folded page by
 * page. *out_worked: there was something to do, and maybe more. */
NODISCARD enum status hydrate_step(struct hydrate *hydrate, bool *out_worked,
                                   struct problem *problem);

#endif
