#ifndef STORE_EXPLAIN_READ_H
#define STORE_EXPLAIN_READ_H

/*
 * What an answer about a verdict needs beside the profile: which statistics
 * were in force then, and whether everything that happened is known.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "store/pg.h"

/* The newest set of statistics computed by then; 0: none was, or is kept. */
NODISCARD enum status statistic_version_at(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, int64_t at_ms,
                                           int64_t *out_version, struct problem *problem);

/* Does every source of the workspace have its whole history here? */
NODISCARD enum status history_is_complete(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, bool *out_complete,
                                          struct problem *problem);

#endif
