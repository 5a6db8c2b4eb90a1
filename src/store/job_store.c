#include "store/job_store.h"

#include <assert.h>

#include "base/instant.h"

/*
 * Jobs.
 *
 * Problem: a job outlives the process that runs it, and two instances must not
 * run it at once. Invariant: a row that is `running` has an owner and a lease;
 * whoever writes progress or the end names itself as the owner, so an instance
 * that slept through its lease finds out before it commits. A job is never put
 * back to queued: it is claimed again while `running`, from its cursor.
 *
 * A job whose cancellation was asked for while nobody held its lease is
 * claimed like any other, and ended by the first progress it writes.
 * Rejected: advisory locks as leases (they end with a connection, not with the
 * work), and LISTEN (a poll once a second over one small index is enough).
 */

#define JOB_COLUMNS                                                                   \
    "workspace_id, id, kind, status, parameters, cursor, done, total, result, error," \
    " cancel, created_at, started_at, finished_at"

static const struct pg_statement job_create_sql = {
    "job_create",
    "INSERT INTO job (workspace_id, id, kind, status, parameters, total, created_at)"
    " VALUES ($1, $2, $3, 'queued', $4, $5, $6)",
};

static const struct pg_statement job_find_sql = {
    "job_find",
    "SELECT " JOB_COLUMNS " FROM job WHERE workspace_id = $1 AND id = $2",
};

static const struct pg_statement job_list_sql = {
    "job_list",
    "SELECT " JOB_COLUMNS " FROM job WHERE workspace_id = $1 AND id < $2"
    " AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR status = $4)"
    " ORDER BY id DESC LIMIT $5",
};

static const struct pg_statement job_open_sql = {
    "job_open",
    "SELECT " JOB_COLUMNS " FROM job WHERE workspace_id = $1 AND kind = $2"
    " AND status IN ('queued', 'running') ORDER BY created_at DESC, id DESC LIMIT 1",
};

/* Over all workspaces and without a lock: the partial index holds open jobs
 * only, a handful at a time. */
static const struct pg_statement job_waiting_sql = {
    "job_waiting",
    "SELECT DISTINCT workspace_id FROM job WHERE status IN ('queued', 'running')"
    " AND kind = $1 AND (lease_until IS NULL OR lease_until <= $2)"
    " ORDER BY workspace_id LIMIT $3",
};

static const struct pg_statement job_claim_sql = {
    "job_claim",
    "UPDATE job SET status = 'running', lease_owner = $3, lease_until = $5,"
    " started_at = coalesce(started_at, $4)"
    " WHERE workspace_id = $1 AND id = (SELECT j.id FROM job j WHERE j.workspace_id = $1"
    " AND j.kind = $2 AND j.status IN ('queued', 'running')"
    " AND (j.lease_until IS NULL OR j.lease_until <= $4)"
    " ORDER BY j.created_at, j.id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING " JOB_COLUMNS,
};

static const struct pg_statement job_progress_sql = {
    "job_progress",
    "UPDATE job SET cursor = $4, done = $5, total = $6, lease_until = $7"
    " WHERE workspace_id = $1 AND id = $2 AND lease_owner = $3 AND status = 'running'"
    " RETURNING cancel",
};

static const struct pg_statement job_finish_sql = {
    "job_finish",
    "UPDATE job SET status = $4, result = $5, error = $6, finished_at = $7,"
    " lease_owner = NULL, lease_until = NULL"
    " WHERE workspace_id = $1 AND id = $2 AND lease_owner = $3 AND status = 'running'",
};

#define JOB_CANCEL                                                            \
    "UPDATE job SET cancel = true,"                                           \
    " status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END," \
    " finished_at = CASE WHEN status = 'queued' THEN $3 ELSE finished_at END"

static const struct pg_statement job_cancel_sql = {
    "job_cancel",
    JOB_CANCEL " WHERE workspace_id = $1 AND id = $2 AND status IN ('queued', 'running')",
};

static const struct pg_statement job_supersede_sql = {
    "job_supersede",
    JOB_CANCEL " WHERE workspace_id = $1 AND kind = $2 AND status IN ('queued', 'running')",
};

static const char *const status_names[] = {
    [JOB_QUEUED] = "queued", [JOB_RUNNING] = "running",     [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed", [JOB_CANCELLED] = "cancelled",
};

const char *job_status_name(enum job_status status)
{
    return status_names[status];
}

bool job_status_from_name(struct str name, enum job_status *out_status)
{
    for (size_t i = 0; i < ARRAY_COUNT(status_names); i++) {
        if (str_equal_z(name, status_names[i])) {
            *out_status = (enum job_status)i;
            return true;
        }
    }
    return false;
}

static struct job job_row(const struct pg_result *result, size_t row)
{
    struct job job = {
        .workspace_id = pg_get_id(result, row, 0),
        .id = pg_get_id(result, row, 1),
        .kind = pg_get_text(result, row, 2),
        .parameters_json = pg_get_jsonb(result, row, 4),
        .cursor_json = pg_get_jsonb(result, row, 5),
        .done = pg_get_i64(result, row, 6),
        .total = pg_is_null(result, row, 7) ? -1 : pg_get_i64(result, row, 7),
        .result_json = pg_get_jsonb(result, row, 8),
        .error = pg_get_text(result, row, 9),
        .cancel = pg_get_bool(result, row, 10),
        .created_at_ms = pg_get_instant(result, row, 11),
        .started_at_ms = pg_get_instant(result, row, 12),
        .finished_at_ms = pg_get_instant(result, row, 13),
    };
    bool is_known = job_status_from_name(pg_get_text(result, row, 3), &job.status);
    assert(is_known);
    return job;
}

static void put_total(struct pg_params *params, int64_t total)
{
    if (total < 0) {
        pg_put_null(params, PG_INT8);
    } else {
        pg_put_i64(params, total);
    }
}

enum status job_create(struct pg *pg, struct arena *arena, const struct job *job,
                       struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, job->workspace_id);
    pg_put_id(&params, job->id);
    pg_put_text(&params, job->kind);
    pg_put_jsonb(&params, job->parameters_json.size > 0 ? job->parameters_json : STR("{}"));
    put_total(&params, job->total);
    pg_put_instant(&params, job->created_at_ms);
    return pg_run(pg, arena, &job_create_sql, &params, NULL, problem);
}

static enum status find_one(struct pg *pg, struct arena *arena,
                            const struct pg_statement *statement, struct pg_params *params,
                            struct job *out_job, struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_job = job_row(result, 0);
    return STATUS_OK;
}

enum status job_find(struct pg *pg, struct arena *arena, struct id workspace_id, struct id job_id,
                     struct job *out_job, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, job_id);
    return find_one(pg, arena, &job_find_sql, &params, out_job, problem);
}

enum status job_list(struct pg *pg, struct arena *arena, const struct job_query *query,
                     struct job **out_jobs, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, query->workspace_id);
    pg_put_id(&params, query->before_id);
    pg_put_text_or_null(&params, query->kind);
    pg_put_text_or_null(&params, query->status);
    pg_put_i64(&params, (int64_t)query->limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &job_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct job *jobs = ARENA_NEW_ARRAY(arena, count, struct job);
    if (jobs == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        jobs[i] = job_row(result, i);
    }
    *out_jobs = jobs;
    *out_count = count;
    return STATUS_OK;
}

enum status job_open_of(struct pg *pg, struct arena *arena, struct id workspace_id, struct str kind,
                        struct job *out_job, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, kind);
    return find_one(pg, arena, &job_open_sql, &params, out_job, problem);
}

enum status job_waiting(struct pg *pg, struct arena *arena, struct str kind, int64_t now_ms,
                        size_t limit, struct id **out_workspace_ids, size_t *out_count,
                        struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_text(&params, kind);
    pg_put_instant(&params, now_ms);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &job_waiting_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct id *ids = ARENA_NEW_ARRAY(arena, count, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = pg_get_id(result, i, 0);
    }
    *out_workspace_ids = ids;
    *out_count = count;
    return STATUS_OK;
}

enum status job_claim(struct pg *pg, struct arena *arena, struct id workspace_id, struct str kind,
                      struct id owner, int64_t now_ms, int64_t lease_until_ms, struct job *out_job,
                      struct problem *problem)
{
    assert(lease_until_ms > now_ms);
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, kind);
    pg_put_id(&params, owner);
    pg_put_instant(&params, now_ms);
    pg_put_instant(&params, lease_until_ms);
    return find_one(pg, arena, &job_claim_sql, &params, out_job, problem);
}

static enum status lease_lost(struct problem *problem)
{
    return problem_set(problem, STATUS_CONFLICT, "job-running",
                       "the job's lease was taken over by another instance");
}

enum status job_progress(struct pg *pg, struct arena *arena, const struct job_progress *progress,
                         bool *out_cancel, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, progress->workspace_id);
    pg_put_id(&params, progress->job_id);
    pg_put_id(&params, progress->owner);
    pg_put_jsonb(&params, progress->cursor_json);
    pg_put_i64(&params, progress->done);
    put_total(&params, progress->total);
    pg_put_instant(&params, progress->lease_until_ms);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &job_progress_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return lease_lost(problem);
    }
    *out_cancel = pg_get_bool(result, 0, 0);
    return STATUS_OK;
}

enum status job_finish(struct pg *pg, struct arena *arena, const struct job_end *end,
                       struct problem *problem)
{
    assert(end->status != JOB_QUEUED);
    assert(end->status != JOB_RUNNING);
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, end->workspace_id);
    pg_put_id(&params, end->job_id);
    pg_put_id(&params, end->owner);
    pg_put_text(&params, str_from_z(job_status_name(end->status)));
    pg_put_jsonb(&params, end->result_json.size > 0 ? end->result_json : STR("{}"));
    pg_put_text_or_null(&params, end->error);
    pg_put_instant(&params, end->at_ms);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &job_finish_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_affected(result) == 0) {
        return lease_lost(problem);
    }
    return status;
}

enum status job_cancel(struct pg *pg, struct arena *arena, struct id workspace_id, struct id job_id,
                       int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, job_id);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &job_cancel_sql, &params, NULL, problem);
}

enum status job_supersede(struct pg *pg, struct arena *arena, struct id workspace_id,
                          struct str kind, int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, kind);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &job_supersede_sql, &params, NULL, problem);
}
