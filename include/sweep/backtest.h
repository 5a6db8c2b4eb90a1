#ifndef SWEEP_BACKTEST_H
#define SWEEP_BACKTEST_H

/*
 * What would a rule have done? A job that folds the histories of profiles as of
 * each day of a period and counts who would have entered and left (correctness
 * 7: by what was known on that day, with the statistics stored then). It
 * promises verdicts, not past notifications.
 *
 * Threading: one thread; the connection is the caller's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "core/profile/as_of.h"
#include "core/rule/candidate.h"
#include "store/pg.h"
#include "store/registry.h"

enum {
    BACKTEST_DAYS_MAX = 92,
};

/* As committed: what the job's cursor says. */
struct backtest_count {
    struct id after_id;
    int64_t looked_at;
    int64_t left_out; /* histories longer than BACKTEST_FACTS_MAX */
    int64_t profiles; /* that entered */
    int64_t twice_or_more;
    int64_t first_ms; /* when the first fact was received; INSTANT_NEVER: none seen */
    int64_t entered[BACKTEST_DAYS_MAX];
    int64_t left[BACKTEST_DAYS_MAX];
};

struct backtest {
    struct pg *pg;
    struct arena *arena;   /* reset by each step */
    struct arena *scratch; /* and by each profile */
    struct arena *lasting; /* and by each job */
    struct registry *registry;
    struct id instance_id;
    int64_t idle_until_ms; /* monotonic: nothing to do was found before */
    /* The job that is ours; zero: none. */
    struct id job_id;
    struct id workspace_id;
    const struct registry_snapshot *snapshot; /* held: the candidate borrows from it */
    struct rule_candidate candidate;
    struct as_of *days; /* day_count + 1: the ends of the day before the first and of each */
    size_t day_count;
    int64_t told_from_ms; /* the percentiles it asks for were stored; INSTANT_NEVER: not yet */
    int64_t threshold;    /* of profile_sample */
    int64_t all;          /* profiles there are */
    size_t batch_size;    /* adapts to the time a step takes */
    struct backtest_count count;
};

/* Takes memory for the work; false when there is none. */
NODISCARD bool backtest_init(struct backtest *backtest);
void backtest_close(struct backtest *backtest); /* zeroed is fine */

/* One step of at most some 50 ms. *out_worked: there was something to do, and
 * maybe more. */
NODISCARD enum status backtest_step(struct backtest *backtest, bool *out_worked,
                                    struct problem *problem);

#endif
