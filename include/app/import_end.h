#ifndef APP_IMPORT_END_H
#define APP_IMPORT_END_H

/*
 * The job of an import while it runs and when it is over: the same for a file
 * that a command reads and for one that was uploaded.
 *
 * Threading: a connection belongs to one thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/jsonw.h"
#include "base/status.h"
#include "store/import_store.h"
#include "store/job_store.h"
#include "store/pg.h"

/* Writes down how far it is and renews the lease; a cursor is not needed: the
 * chunks are it. STATUS_CONFLICT: the lease is another's. */
NODISCARD enum status import_note_progress(struct pg *pg, const struct job_progress *progress,
                                           bool *out_cancel);

/* Lines with those of the header, records, events and what was rejected:
 * members of the open object. */
void import_write_counts(struct jsonw *json, const struct import_counts *counts,
                         size_t header_lines);

/* Ends the job and forgets its chunks, in one transaction. `completed` (may be
 * NULL): with this file all of that source's history is in. */
NODISCARD enum status import_end_job(struct pg *pg, struct arena *arena, const struct job_end *end,
                                     const struct id *completed, struct problem *problem);

#endif
