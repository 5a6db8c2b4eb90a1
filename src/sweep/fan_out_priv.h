#ifndef SWEEP_FAN_OUT_PRIV_H
#define SWEEP_FAN_OUT_PRIV_H

/*
 * A job of fan_out.c, and a chunk of it.
 */

#include "core/trigger/gates.h"
#include "store/job_store.h"
#include "sweep/fan_out.h"
#include "sweep/traffic.h"

#define FAN_OUT_LEASE_MS 30000

enum {
    FAN_OUT_CURSOR_BYTES = 8192
};

/* Plain values, kept between chunks. */
struct fan_out_job {
    struct id workspace_id;
    struct id id;
    struct id trigger_id;
    struct id event_id;
    char cursor[FAN_OUT_CURSOR_BYTES]; /* JSON, as it was last committed */
    size_t limit;                      /* of the next page */
    unsigned failure_count;
    bool has_ended;
};

struct fan_out_turn {
    const struct fan_out_config *config;
    const struct registry_workspace *workspace; /* NULL: it is no more */
    struct pg *pg;
    struct arena *arena;
    struct fan_out_job *job;
};

/* From its row; false when that makes no sense. */
bool fan_out_job_open(struct fan_out_job *out_job, const struct job *row);

/* The next chunk, or the end of it. STATUS_RETRY: the same chunk once more; STATUS_CONFLICT:
 * the job is somebody else's. */
NODISCARD enum status fan_out_chunk(const struct fan_out_turn *turn, struct problem *problem);

/* `ended`: why before its end; NULL: it came to it. */
NODISCARD enum status fan_out_end(const struct fan_out_turn *turn, struct id owner,
                                  enum job_status ending, const char *ended, struct str error,
                                  struct problem *problem);

#endif
