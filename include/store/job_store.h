#ifndef STORE_JOB_STORE_H
#define STORE_JOB_STORE_H

/*
 * Long work as rows: resumable, with progress, one instance at a time.
 *
 *   queued --claim--> running --finish--> succeeded | failed
 *     |                 |   \--lease ran out: claimed again, from its cursor
 *     |                 \--cancel asked--> the worker finishes it as cancelled
 *     \--cancel--> cancelled
 *
 * Values borrow from the arena given. No function opens a transaction: a
 * worker puts job_progress into the transaction that did the work, so the
 * cursor says exactly what was committed. A lease that was lost is
 * STATUS_CONFLICT: roll back and drop the job, another instance has it.
 * STATUS_MISSING comes without words.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

enum job_status {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
};

const char *job_status_name(enum job_status status);
/* False when there is none of this name. */
bool job_status_from_name(struct str name, enum job_status *out_status);

struct job {
    struct id workspace_id;
    struct id id;
    struct str kind; /* hydrate import backtest statistics */
    enum job_status status;
    struct str parameters_json;
    struct str cursor_json; /* "{}" before the first progress */
    int64_t done;
    int64_t total; /* -1: not known */
    struct str result_json;
    struct str error; /* empty: none */
    bool cancel;      /* asked for; the worker finishes it */
    int64_t created_at_ms;
    int64_t started_at_ms;  /* INSTANT_NONE: not yet */
    int64_t finished_at_ms; /* INSTANT_NONE: not yet */
};

/* Queues it: id, workspace, kind, parameters, total and created_at count. */
NODISCARD enum status job_create(struct pg *pg, struct arena *arena, const struct job *job,
                                 struct problem *problem);
NODISCARD enum status job_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct id job_id, struct job *out_job, struct problem *problem);

struct job_query {
    struct id workspace_id;
    struct str kind;     /* empty: any */
    struct str status;   /* empty: any; a name */
    struct id before_id; /* all 0xff starts at the newest */
    size_t limit;
};
/* Newest first. */
NODISCARD enum status job_list(struct pg *pg, struct arena *arena, const struct job_query *query,
                               struct job **out_jobs, size_t *out_count, struct problem *problem);
/* The newest job of a kind that is queued or running; STATUS_MISSING. */
NODISCARD enum status job_open_of(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  struct str kind, struct job *out_job, struct problem *problem);

/* Which workspaces have a job of `kind` that nobody works on? Read-only, over
 * all workspaces; claim in each of them afterwards. */
NODISCARD enum status job_waiting(struct pg *pg, struct arena *arena, struct str kind,
                                  int64_t now_ms, size_t limit, struct id **out_workspace_ids,
                                  size_t *out_count, struct problem *problem);
/* The oldest such job of the workspace, now running under `owner` until
 * `lease_until_ms`. STATUS_MISSING: there is none (any more). */
NODISCARD enum status job_claim(struct pg *pg, struct arena *arena, struct id workspace_id,
                                struct str kind, struct id owner, int64_t now_ms,
                                int64_t lease_until_ms, struct job *out_job,
                                struct problem *problem);

struct job_progress {
    struct id workspace_id;
    struct id job_id;
    struct id owner;
    struct str cursor_json;
    int64_t done;
    int64_t total; /* -1: not known */
    int64_t lease_until_ms;
};
/* Writes it down and renews the lease; *out_cancel says that the job should
 * stop here. STATUS_CONFLICT: the lease is not ours any more. */
NODISCARD enum status job_progress(struct pg *pg, struct arena *arena,
                                   const struct job_progress *progress, bool *out_cancel,
                                   struct problem *problem);

struct job_end {
    struct id workspace_id;
    struct id job_id;
    struct id owner;
    enum job_status status; /* JOB_SUCCEEDED, JOB_FAILED or JOB_CANCELLED */
    struct str result_json; /* empty: {} */
    struct str error;
    int64_t at_ms;
};
/* STATUS_CONFLICT: the lease is not ours any more. */
NODISCARD enum status job_finish(struct pg *pg, struct arena *arena, const struct job_end *end,
                                 struct problem *problem);

/* Queued: cancelled at once. Running: asked for. Ended: nothing. */
NODISCARD enum status job_cancel(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id job_id, int64_t now_ms, struct problem *problem);
/* The same for all jobs of a kind: a newer one does their work. */
NODISCARD enum status job_supersede(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    struct str kind, int64_t now_ms, struct problem *problem);

#endif
