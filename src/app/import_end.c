#include "app/import_end.h"

#include "store/import_job.h"

/*
 * Problem: a job that has ended while its chunks are still remembered would be
 * gone on with, and one whose chunks are gone while it is open would be read
 * anew. So both, and that a source's history is complete, are one transaction.
 */

enum {
    NOTE_ARENA_BYTES = 1024 * 1024
};

enum status import_note_progress(struct pg *pg, const struct job_progress *progress,
                                 bool *out_cancel)
{
    struct problem ignored; /* the next note is soon, and the lease longer */
    struct job_progress noted = *progress;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(NOTE_ARENA_BYTES);
    noted.cursor_json = STR("{}");
    return arena != NULL ? job_progress(pg, arena, &noted, out_cancel, &ignored) : STATUS_OK;
}

void import_write_counts(struct jsonw *json, const struct import_counts *counts,
                         size_t header_lines)
{
    jsonw_put_i64(json, "lines", counts->lines + (int64_t)header_lines);
    jsonw_put_i64(json, "records", counts->records);
    jsonw_key(json, "events");
    jsonw_open(json);
    jsonw_put_i64(json, "applied", counts->applied);
    jsonw_put_i64(json, "duplicate", counts->duplicate);
    jsonw_close(json);
    jsonw_put_i64(json, "rejected", counts->rejected);
}

enum status import_end_job(struct pg *pg, struct arena *arena, const struct job_end *end,
                           const struct id *completed, struct problem *problem)
{
    enum status status = pg_run(pg, arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = job_finish(pg, arena, end, problem);
    }
    if (status == STATUS_OK) {
        status = import_job_forget(pg, arena, end->workspace_id, end->job_id, problem);
    }
    if (status == STATUS_OK && completed != NULL) {
        status =
            import_history_complete(pg, arena, end->workspace_id, *completed, end->at_ms, problem);
    }
    if (status == STATUS_OK) {
        status = pg_run(pg, arena, &pg_commit, NULL, NULL, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(pg);
    }
    return status;
}
