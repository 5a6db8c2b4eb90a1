#ifndef SWEEP_STATISTICS_H
#define SWEEP_STATISTICS_H

/*
 * The nightly refresh of a workspace's statistics (correctness 20): at 03:00 of
 * its own time; at once when it has none yet and enough counted orders; and when
 * its rules ask for a percentile that the set lacks, so that a new tier does not
 * wait for the night.
 *
 * Computing reads whole tables of the workspace and may take seconds: for a
 * connection and a thread that nobody waits for. Any number of instances may
 * try the same night; one saves. The new set is in force when registries have
 * loaded anew; who must be decided again is store/statistic_store.h's
 * statistic_store_moved.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "core/rule/ruleset.h"
#include "store/pg.h"

struct statistics_refresh {
    struct id workspace_id;
    struct str currency;
    struct str time_zone;
    const struct ruleset *ruleset;       /* in force; NULL: none yet, RFM only */
    const struct statistics *statistics; /* in force, as the registry has them; may be NULL */
    int64_t now_ms;
};

/* Refreshes if it is time; *out_version is the new set's, 0 when it is not.
 * Opens and commits a transaction of its own; none may be open. One index probe
 * when nothing is due: may be asked every minute. */
NODISCARD enum status statistics_refresh_due(struct pg *pg, struct arena *arena,
                                             const struct statistics_refresh *refresh,
                                             int64_t *out_version, struct problem *problem);

/* The latest 03:00 of the zone that is not after now. An unknown zone is UTC. */
int64_t statistics_last_night_ms(const char *zone, int64_t now_ms);

#endif
