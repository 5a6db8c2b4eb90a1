#ifndef SWEEP_DUE_H
#define SWEEP_DUE_H

/*
 * The due sweep: profiles whose verdict changes by time alone commit their
 * transition at the instant. Its own thread and connection, nothing else on it
 * (correctness 16).
 */

#include <stdint.h>

#include "base/status.h"
#include "store/registry.h"
#include "sweep/hand_over.h"

struct due_sweep;

struct due_config {
    const char *database_url;
    struct registry *registry;
    struct sweep_sender sender;
    /* As traffic.h has it: while webhooks come, a backlog makes room for them. */
    int64_t (*ingested)(void *app);
    void (*observe)(void *app, size_t profiles, int64_t lag_ms);
    void *app;
};

NODISCARD enum status due_start(const struct due_config *config, struct due_sweep **out_sweep,
                                struct problem *problem);
/* A write stored this due instant: sleep no longer than until then. Any thread. */
void due_hint(struct due_sweep *sweep, int64_t due_at_ms);
void due_stop(struct due_sweep *sweep);

#endif
