#ifndef STORE_STATISTIC_STORE_H
#define STORE_STATISTIC_STORE_H

/*
 * Percentiles over all customers of a workspace (correctness 20): computing a
 * set, when one is due, whom a new one touches, and how long old ones stay.
 * Saving and loading a set is rule_store.h's.
 *
 * Values borrow from the arena given. No function here opens a transaction.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/rule/statistic.h"
#include "store/pg.h"

enum {
    /* Exact up to here; of more, every row has the same chance to be one of
     * about as many. Sorting that many takes PostgreSQL some seconds. */
    STATISTIC_ROWS_MAX = 1000000,
    STATISTIC_KEPT_DAYS = 400,
    STATISTIC_ORDER_DAYS = 365,
};

struct statistic_task {
    struct id workspace_id;
    struct str currency; /* the workspace's: makes money of minor units */
    int64_t now_ms;
    /* What rules ask for, as in struct ruleset; the quintiles of RFM are always
     * added, and attributes without percentiles left out. */
    const enum rule_attribute *attributes;
    const int64_t *percents;
    size_t percent_count;
    int64_t rows_max; /* 0: STATISTIC_ROWS_MAX */
};

/* How much was looked at, in millionths: 1,000,000 is all. */
struct statistic_shares {
    int64_t orders;
    int64_t profiles;
};

/* The set as it would be now, with version 0. A threshold is the least value
 * with at least that share of all values at or below it (percentile_disc), so
 * it is always one that occurs. `n` is the number of values looked at. Reads
 * whole tables of the workspace: for a connection that nobody waits for. */
NODISCARD enum status statistic_store_compute(struct pg *pg, struct arena *arena,
                                              const struct statistic_task *task,
                                              struct statistics **out_statistics,
                                              struct statistic_shares *out_shares,
                                              struct problem *problem);

/* Deletes sets computed more than STATISTIC_KEPT_DAYS ago, never the newest. */
NODISCARD enum status statistic_store_expire(struct pg *pg, struct arena *arena,
                                             struct id workspace_id, int64_t now_ms,
                                             size_t *out_deleted, struct problem *problem);

/* When the newest set was computed (INSTANT_NONE: never), and whether there are
 * enough counted orders for a first one (not counted again once there was one). */
struct statistic_state {
    int64_t computed_at_ms;
    bool has_enough;
};
NODISCARD enum status statistic_store_state(struct pg *pg, struct arena *arena,
                                            struct id workspace_id,
                                            struct statistic_state *out_state,
                                            struct problem *problem);

/* Whom a new set may give another verdict. */
struct statistic_move {
    struct id workspace_id;
    struct str currency;
    const struct statistics *before; /* NULL: there was none */
    const struct statistics *after;
    int64_t hysteresis; /* the greatest of any tier, in millionths */
    struct id after_id; /* zero: from the start */
    size_t scan_max;    /* profiles looked at, at most */
};

struct statistic_moved {
    const struct id *ids; /* ascending */
    size_t count;
    struct id next_id; /* after_id of the next page; zero: this was the last */
};

/* Profiles whose value lies between an old and a new threshold, both included
 * (and below, as far as hysteresis reaches); where only one of the sets has a
 * threshold, all that have the attribute. A page looks at scan_max profiles,
 * however few of them moved. */
NODISCARD enum status statistic_store_moved(struct pg *pg, struct arena *arena,
                                            const struct statistic_move *move,
                                            struct statistic_moved *out_moved,
                                            struct problem *problem);

#endif
