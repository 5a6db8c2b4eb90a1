#ifndef SWEEP_FAN_OUT_PRIV_H
#define SWEEP_FAN_OUT_PRIV_H

/*
 * A job of fan_out.c, its cursor (fan_out_job.c), and a chunk of it (fan_out_chunk.c).
 */

#include "core/trigger/gates.h"
#include "store/job_store.h"
#include "store/universal_audience.h"
#include "sweep/fan_out.h"
#include "sweep/traffic.h"

#define FAN_OUT_LEASE_MS 30000

enum {
    FAN_OUT_CURSOR_BYTES = 8192,
    FAN_OUT_LIMIT_FIRST = 200, /* of a job's first page */
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

/* How far it has come, and what was counted on the way. */
struct fan_out_cursor {
    struct id product_source_id; /* of a selector's products: zero before the first */
    struct str product_id;
    struct id after_id;
    struct universal_cursor place;
    int64_t walked;
    int64_t concerned;
    int64_t outcomes[OUTCOME_COUNT];
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

/* As it was last committed; a new job's is all zero. Texts live in the turn's arena. */
void fan_out_cursor_read(struct fan_out_cursor *cursor, const struct fan_out_turn *turn);

/* Into the arena; empty when there is no memory. */
struct str fan_out_cursor_write(const struct fan_out_cursor *cursor, struct arena *arena);

/* `ended`: why before its end; NULL: it came to it. */
NODISCARD enum status fan_out_end(const struct fan_out_turn *turn, struct id owner,
                                  enum job_status ending, const char *ended, struct str error,
                                  struct problem *problem);

/* The next chunk, or the end of it. STATUS_RETRY: the same chunk once more; STATUS_CONFLICT:
 * the job is somebody else's. */
NODISCARD enum status fan_out_chunk(const struct fan_out_turn *turn, struct problem *problem);

#endif
