#ifndef STORE_RETENTION_H
#define STORE_RETENTION_H

/*
 * Rows whose time is over, deleted in small batches so that no statement holds
 * anything for long. (Whole partitions are store/migrate.h's.)
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/pg.h"

/* At most `limit` receipts of one workspace older than `before_ms`;
 * *out_deleted says how many. */
NODISCARD enum status retention_receipts(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         int64_t before_ms, size_t limit, size_t *out_deleted,
                                         struct problem *problem);
/* The same of universal events, without those that have not expired. */
NODISCARD enum status retention_universal(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, int64_t before_ms, size_t limit,
                                          size_t *out_deleted, struct problem *problem);
/* And of the jobs of fan-outs that have ended: each fact makes some. */
NODISCARD enum status retention_fan_outs(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         int64_t before_ms, size_t limit, size_t *out_deleted,
                                         struct problem *problem);
NODISCARD enum status retention_idempotency(struct pg *pg, struct arena *arena,
                                            struct id workspace_id, int64_t before_ms,
                                            size_t *out_deleted, struct problem *problem);
/* The database's clock, in milliseconds. */
NODISCARD enum status retention_database_clock(struct pg *pg, struct arena *arena,
                                               int64_t *out_now_ms, struct problem *problem);

#endif
