#ifndef SWEEP_BACKGROUND_H
#define SWEEP_BACKGROUND_H

/*
 * Background work on its own thread, in short steps: the registry's poll
 * (250 ms), partitions ahead of time, retention, the receipt and idempotency
 * tables, the flush of source health, the watch for silent sources; and, on a second connection of
 * the same thread, profiles on their way to newer rules (hydrate.h), backtests (backtest.h) and
 * facts on their way into bases (retain.h).
 */

#include <stdint.h>

#include "base/status.h"
#include "store/registry.h"

struct background;

struct background_config {
    const char *database_url;
    struct registry *registry;
    struct id instance_id;
    int64_t webhook_retention_ms;
    int64_t attempt_retention_ms;
    int64_t notification_retention_ms;
    int64_t interaction_retention_ms; /* 0: for ever */
    /* Called once a second with the background connection: what app flushes. */
    void (*flush)(void *app, struct pg *pg);
    /* The database's clock minus ours, measured every 30 s. */
    void (*clock_offset)(void *app, int64_t offset_ms);
    /* As traffic.h has it: while webhooks come, long work makes room for them. */
    int64_t (*ingested)(void *app);
    /* A step of long work failed and will be tried again: for the log. May be NULL. */
    void (*report)(void *app, const char *work, const struct problem *problem);
    void *app;
};

NODISCARD enum status background_start(const struct background_config *config,
                                       struct background **out_background, struct problem *problem);
void background_stop(struct background *background);

#endif
