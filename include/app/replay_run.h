#ifndef APP_REPLAY_RUN_H
#define APP_REPLAY_RUN_H

/*
 * A job of kind "replay": deliveries read anew by today's adapters and settings.
 * The server's history thread runs it, or the command that asked for it.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "store/job_store.h"
#include "store/registry.h"

#define REPLAY_JOB STR("replay")
#define REPLAY_LEASE_MS 30000

struct replay_config {
    const char *database_url;
    struct registry *registry;
    struct id owner; /* who holds the job's lease */
    struct pg *pg;   /* for the job's row */
    bool (*is_stopping)(void *user);
    void *user;
};

/* STATUS_OK: the job has ended, well or not. Anything else: it runs out of its
 * lease and is gone on with, from its cursor, by whoever claims it next. */
NODISCARD enum status replay_run(const struct replay_config *config, const struct job *job,
                                 struct problem *problem);

#endif
