#ifndef SWEEP_NIGHTLY_H
#define SWEEP_NIGHTLY_H

/*
 * Statistics on their own thread and connection: computing them reads whole
 * tables, and nothing else may wait for that. Each workspace is looked at once
 * in half a minute; a new set leaves a job of kind "statistics", in which the
 * profiles between an old and a new threshold are decided again, silently
 * (correctness 20).
 */

#include "base/id.h"
#include "base/status.h"
#include "store/registry.h"

struct nightly;

struct nightly_config {
    const char *database_url;
    struct registry *registry;
    struct id instance_id;
    /* As traffic.h has it: while webhooks come, the job makes room for them. May be
     * NULL. */
    int64_t (*ingested)(void *app);
    /* A step failed and will be tried again: for the log. May be NULL. */
    void (*report)(void *app, const char *work, const struct problem *problem);
    void *app;
};

NODISCARD enum status nightly_start(const struct nightly_config *config,
                                    struct nightly **out_nightly, struct problem *problem);
/* Ends after the statement under way. NULL: nothing. */
void nightly_stop(struct nightly *nightly);

#endif
