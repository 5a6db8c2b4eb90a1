#ifndef API_SOURCE_STATS_PRIV_H
#define API_SOURCE_STATS_PRIV_H

/*
 * Counting on the hot path. Any thread; never blocks for longer than a few
 * stores under a striped lock.
 */

#include "api/api.h"
#include "core/signature.h"
#include "store/source_store.h"

struct source_failure {
    enum signature_verdict verdict;
    struct str topic; /* as the headers claim; cut */
    size_t secrets_tried;
    size_t body_bytes;
};

/* One delivery: what became of its events (all zero for none). */
void source_stats_count(struct source_stats *stats, struct id workspace_id, struct id source_id,
                        const struct source_counts *counts, int64_t at_ms);
/* How long an applied delivery was on its way, by its own word. */
void source_stats_lag(struct source_stats *stats, struct id workspace_id, struct id source_id,
                      int64_t lag_ms);
void source_stats_fail(struct source_stats *stats, struct id workspace_id, struct id source_id,
                       const struct source_failure *failure, int64_t at_ms);
void source_stats_secret_used(struct source_stats *stats, struct id workspace_id,
                              struct id source_id, struct id secret_id, int64_t at_ms);
/* A shadow was tried on a request that some secret of the source proves. */
void source_stats_shadow(struct source_stats *stats, struct id workspace_id, struct id source_id,
                         struct id secret_id, bool matches, int64_t at_ms);
void source_stats_key_used(struct source_stats *stats, struct id workspace_id, struct id key_id,
                           int64_t at_ms);

#endif
