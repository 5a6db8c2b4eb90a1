#ifndef STORE_PROFILE_FILTER_H
#define STORE_PROFILE_FILTER_H

/*
 * Profiles chosen by an expression that became SQL (core/rule/sql.h), in pages,
 * counted, and drawn at random.
 *
 * Values borrow from the arena given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "core/rule/sql.h"
#include "store/pg.h"
#include "store/profile_read.h"

enum {
    PROFILE_FILTER_PARAMETER = 10, /* the first number of a filter's own */
    /* One is left for a list of profiles. */
    PROFILE_FILTER_PARAMETERS_MAX = PG_PARAMETERS_MAX - PROFILE_FILTER_PARAMETER,
};

/* Where the scan of a page ended, if it did before the list did. */
struct profile_edge {
    bool is_cut;
    struct id id;
    int64_t at_ms; /* by last seen */
};

/* A page as profile_page gives it, of those that match. At most scan_max rows
 * are looked at: when *out_edge is cut, go on behind it, however few were
 * found. */
NODISCARD enum status profile_filter_page(struct pg *pg, struct arena *arena,
                                          const struct profile_query *query,
                                          const struct rule_sql *filter, size_t scan_max,
                                          struct profile_view **out_profiles, size_t *out_count,
                                          struct profile_edge *out_edge, struct problem *problem);

/* Of `ids`, in no order, the canonical profiles that match. */
NODISCARD enum status profile_filter_among(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, const struct id *ids,
                                           size_t id_count, const struct rule_sql *filter,
                                           struct profile_view **out_profiles, size_t *out_count,
                                           struct problem *problem);

/* How many match, counting no further than `most`. */
NODISCARD enum status profile_filter_count(struct pg *pg, struct arena *arena,
                                           const struct profile_query *query,
                                           const struct rule_sql *filter, int64_t most,
                                           int64_t *out_count, struct problem *problem);

struct profile_tally {
    int64_t matching;
    int64_t all;
};
/* Of all canonical profiles of the workspace. */
NODISCARD enum status profile_filter_tally(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, const struct rule_sql *filter,
                                           struct profile_tally *out_tally,
                                           struct problem *problem);

/* Canonical profiles of a sample, behind `after_id`, ascending: those whose id
 * has a random tail below `threshold` of 65,536 (that or more: all). */
NODISCARD enum status profile_sample(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     int64_t threshold, struct id after_id, size_t limit,
                                     struct profile_view **out_profiles, size_t *out_count,
                                     struct problem *problem);

#endif
