#include "store/import_job.h"

#include <string.h>

#include "store/workspace.h"

/*
 * A file that a command reads is nowhere but on the machine of that command. So
 * its job is of a kind of its own, which no server claims, and is found again by
 * the file's fingerprint. Who reads it holds an advisory lock of the session:
 * it falls with the process, at once, where a lease would have to run out.
 */

static const struct pg_statement import_job_find_file = {
    "import_job_find_file",
    "SELECT id, parameters, status IN ('queued', 'running') FROM job WHERE workspace_id = $1"
    " AND kind = '" IMPORT_JOB_FILE "' AND parameters ->> 'fingerprint' = $2"
    " ORDER BY status IN ('queued', 'running') DESC, created_at DESC LIMIT 1",
};

static const struct pg_statement import_job_insert = {
    "import_job_insert",
    "INSERT INTO job (workspace_id, id, kind, status, parameters, total, lease_owner, lease_until,"
    " created_at, started_at)"
    " VALUES ($1, $2, '" IMPORT_JOB_FILE "', 'running', $3, $4, $5, $6, $7, $7)",
};

static const struct pg_statement import_job_lock_try = {
    "import_job_lock_try",
    "SELECT pg_try_advisory_lock($1)",
};

static const struct pg_statement import_job_own = {
    "import_job_own",
    "UPDATE job SET status = 'running', lease_owner = $3, lease_until = $4, cancel = false"
    " WHERE workspace_id = $1 AND id = $2",
};

static const struct pg_statement import_chunk_delete = {
    "import_chunk_delete",
    "DELETE FROM import_chunk WHERE workspace_id = $1 AND job_id = $2",
};

static const struct pg_statement import_input_delete = {
    "import_input_delete",
    "DELETE FROM import_input WHERE workspace_id = $1 AND job_id = $2",
};

static const struct pg_statement import_input_store = {
    "import_input_store",
    "INSERT INTO import_input (workspace_id, job_id, body, created_at) VALUES ($1, $2, $3, $4)",
};

static const struct pg_statement import_input_load = {
    "import_input_load",
    "SELECT body FROM import_input WHERE workspace_id = $1 AND job_id = $2",
};

static const struct pg_statement import_input_counted = {
    "import_input_counted",
    "SELECT count(*) FROM import_input WHERE workspace_id = $1",
};

static const struct pg_statement import_reject_page = {
    "import_reject_page",
    "SELECT line, field, reason FROM job_reject WHERE workspace_id = $1 AND job_id = $2"
    " AND line > $3 ORDER BY line LIMIT $4",
};

static const struct pg_statement import_source_complete = {
    "import_source_complete",
    "UPDATE source SET history_complete = true, version = version + 1, updated_at = $3"
    " WHERE workspace_id = $1 AND id = $2 AND NOT history_complete",
};

enum status import_job_of_file(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct str fingerprint, struct id *out_job_id,
                               struct str *out_parameters_json, bool *out_is_open,
                               struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, fingerprint);
    enum status status = pg_run(pg, arena, &import_job_find_file, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_job_id = pg_get_id(result, 0, 0);
    *out_parameters_json = pg_get_jsonb(result, 0, 1);
    *out_is_open = pg_get_bool(result, 0, 2);
    return STATUS_OK;
}

enum status import_job_create(struct pg *pg, struct arena *arena, const struct import_job *job,
                              struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, job->workspace_id);
    pg_put_id(&params, job->id);
    pg_put_jsonb(&params, job->parameters_json);
    if (job->total < 0) {
        pg_put_null(&params, PG_INT8);
    } else {
        pg_put_i64(&params, job->total);
    }
    pg_put_id(&params, job->owner);
    pg_put_instant(&params, job->lease_until_ms);
    pg_put_instant(&params, job->created_at_ms);
    return pg_run(pg, arena, &import_job_insert, &params, NULL, problem);
}

enum status import_job_lock(struct pg *pg, struct arena *arena, struct id job_id, bool *out_is_ours,
                            struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    int64_t key = 0;
    memcpy(&key, job_id.bytes + ID_SIZE - sizeof(key), sizeof(key));
    pg_params_init(&params, arena);
    pg_put_i64(&params, key);
    enum status status = pg_run(pg, arena, &import_job_lock_try, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_is_ours = pg_get_bool(result, 0, 0);
    }
    return status;
}

static void put_job(struct pg_params *params, struct arena *arena, struct id workspace_id,
                    struct id job_id)
{
    pg_params_init(params, arena);
    pg_put_id(params, workspace_id);
    pg_put_id(params, job_id);
}

enum status import_job_take(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct id job_id, struct id owner, int64_t lease_until_ms,
                            struct problem *problem)
{
    struct pg_params params;
    put_job(&params, arena, workspace_id, job_id);
    pg_put_id(&params, owner);
    pg_put_instant(&params, lease_until_ms);
    return pg_run(pg, arena, &import_job_own, &params, NULL, problem);
}

enum status import_job_forget(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct id job_id, struct problem *problem)
{
    struct pg_params chunks;
    struct pg_params input;
    put_job(&chunks, arena, workspace_id, job_id);
    put_job(&input, arena, workspace_id, job_id);
    enum status status = pg_run(pg, arena, &import_chunk_delete, &chunks, NULL, problem);
    return status == STATUS_OK ? pg_run(pg, arena, &import_input_delete, &input, NULL, problem)
                               : status;
}

enum status import_input_insert(struct pg *pg, struct arena *arena, struct id workspace_id,
                                struct id job_id, struct str body, int64_t now_ms,
                                struct problem *problem)
{
    struct pg_params params;
    put_job(&params, arena, workspace_id, job_id);
    pg_put_bytes(&params, body);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &import_input_store, &params, NULL, problem);
}

enum status import_input_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct id job_id, struct str *out_body, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_job(&params, arena, workspace_id, job_id);
    enum status status = pg_run(pg, arena, &import_input_load, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_body = pg_get_bytes(result, 0, 0);
    return STATUS_OK;
}

enum status import_input_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                               int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    enum status status = pg_run(pg, arena, &import_input_counted, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status import_reject_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct id job_id, int64_t after_line, size_t limit,
                               struct import_reject_row **out_rows, size_t *out_count,
                               struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_job(&params, arena, workspace_id, job_id);
    pg_put_i64(&params, after_line);
    pg_put_i64(&params, (int64_t)limit);
    enum status status = pg_run(pg, arena, &import_reject_page, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct import_reject_row *rows = ARENA_NEW_ARRAY(arena, count + 1, struct import_reject_row);
    if (rows == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory for a page");
    }
    for (size_t row = 0; row < count; row++) {
        rows[row] = (struct import_reject_row){
            .line = pg_get_i64(result, row, 0),
            .column = pg_get_text(result, row, 1),
            .reason = pg_get_text(result, row, 2),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status import_history_complete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    struct id source_id, int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    put_job(&params, arena, workspace_id, source_id);
    pg_put_instant(&params, now_ms);
    enum status status = pg_run(pg, arena, &import_source_complete, &params, NULL, problem);
    return status == STATUS_OK ? workspace_touch(pg, arena, workspace_id, problem) : status;
}
