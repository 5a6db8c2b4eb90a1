#ifndef STORE_IMPORT_JOB_H
#define STORE_IMPORT_JOB_H

/*
 * The job of an import, beyond what every job has (store/job_store.h): which
 * file it is about, who reads that file, and what was uploaded.
 *
 * Threading: a connection belongs to one thread. Values borrow from the arena.
 * No function opens a transaction.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

/* A file read by a command has a job of this kind: no server may claim it. */
#define IMPORT_JOB_FILE "import_file"
/* What was uploaded waits for a server as this. */
#define IMPORT_JOB_UPLOAD "import"

/* The newest job for the same file: unfinished (*out_is_open), or one that has
 * ended. STATUS_MISSING. */
NODISCARD enum status import_job_of_file(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct str fingerprint, struct id *out_job_id,
                                         struct str *out_parameters_json, bool *out_is_open,
                                         struct problem *problem);
struct import_job {
    struct id workspace_id;
    struct id id;
    struct str parameters_json;
    int64_t total; /* bytes; -1: not known */
    struct id owner;
    int64_t lease_until_ms;
    int64_t created_at_ms;
};
/* Makes a job that its owner works on already. */
NODISCARD enum status import_job_create(struct pg *pg, struct arena *arena,
                                        const struct import_job *job, struct problem *problem);
/* Only one process works on the file: until the connection ends. False in
 * *out_is_ours: another one does. */
NODISCARD enum status import_job_lock(struct pg *pg, struct arena *arena, struct id job_id,
                                      bool *out_is_ours, struct problem *problem);
/* The lease of an unfinished job becomes `owner`'s. */
NODISCARD enum status import_job_take(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id job_id, struct id owner, int64_t lease_until_ms,
                                      struct problem *problem);
/* Its chunks and its upload are not needed any more. */
NODISCARD enum status import_job_forget(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct id job_id, struct problem *problem);

NODISCARD enum status import_input_insert(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, struct id job_id, struct str body,
                                          int64_t now_ms, struct problem *problem);
NODISCARD enum status import_input_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct id job_id, struct str *out_body,
                                        struct problem *problem);

/* How many uploads of the workspace wait or are being read. */
NODISCARD enum status import_input_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         int64_t *out_count, struct problem *problem);

struct import_reject_row {
    int64_t line;
    struct str column;
    struct str reason;
};
/* Those behind `after_line`, in the order of the file. */
NODISCARD enum status import_reject_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct id job_id, int64_t after_line, size_t limit,
                                         struct import_reject_row **out_rows, size_t *out_count,
                                         struct problem *problem);

/* All of the source's history is in: its customers' past is known from now on.
 * Raises the workspace's config_version. */
NODISCARD enum status import_history_complete(struct pg *pg, struct arena *arena,
                                              struct id workspace_id, struct id source_id,
                                              int64_t now_ms, struct problem *problem);

#endif
