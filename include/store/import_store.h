#ifndef STORE_IMPORT_STORE_H
#define STORE_IMPORT_STORE_H

/*
 * A file of history as rows: its chunks, written silently, and its job.
 *
 * A chunk is some hundred events in one transaction, with the row that says
 * that these bytes of the file are in. So after a crash the file is gone on
 * with exactly where it stopped, chunk by chunk, whatever the order in which
 * several writers had committed them.
 *
 * Threading: a connection belongs to one thread. Values borrow from the arena.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/decide.h"
#include "store/pg.h"

/* The first so many rejected lines are kept with the job. */
#define IMPORT_REJECTS_MAX 10000

struct import_reject {
    int64_t line;
    struct str column; /* of a CSV, or member; may be empty */
    struct str reason;
};

struct import_counts {
    int64_t lines;
    int64_t records;
    int64_t applied;   /* events that were new */
    int64_t duplicate; /* events that were there already */
    int64_t rejected;  /* records */
};

struct import_chunk {
    struct id workspace_id;
    struct id job_id;
    int64_t first_byte;
    int64_t end_byte;
    int64_t first_line;
    /* The events are those of one lane: customers who share none of theirs with
     * the other lanes, which write at the same time. */
    unsigned lane;
    unsigned lanes; /* bits: all that the chunk has; this one is among them */
    struct event **events;
    const int64_t *event_lines; /* of each event: the line its record began at */
    size_t event_count;
    const struct import_reject *rejects;
    size_t reject_count;
    size_t reject_room; /* how many of them to keep */
    int64_t line_count;
    int64_t record_count;
};

struct import_outcome {
    struct import_counts counts;
    /* Events that the database refused for their own sake; in `kept`. */
    struct import_reject *refused;
    size_t refused_count;
};

/* Writes one lane of a chunk and commits it, trying again what is passing. `context` is
 * that of the workspace, as an import; its random seed is drawn here. STATUS_RETRY: the
 * database is away. The arena is reset. */
NODISCARD enum status import_store_chunk(struct pg *pg, struct arena *arena, struct arena *kept,
                                         const struct decide_context *context,
                                         const struct import_chunk *chunk,
                                         struct import_outcome *out_outcome,
                                         struct problem *problem);

struct import_range { /* a chunk that is in, or some lanes of it */
    int64_t first_byte;
    int64_t end_byte;
    int64_t first_line;
    int64_t line_count;
    unsigned lanes;      /* bits */
    unsigned lanes_done; /* bits */
};

/* The chunks that are in, by their place in the file, and what they counted. */
NODISCARD enum status import_store_ranges(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, struct id job_id,
                                          struct import_range **out_ranges, size_t *out_count,
                                          struct import_counts *out_counts,
                                          struct problem *problem);

#endif
