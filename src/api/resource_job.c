#include "base/instant.h"
#include "resource_priv.h"
#include "rule_priv.h"
#include "store/job_store.h"
#include "store/rule_store.h"

/*
 * Long work: how far it is, and stopping it.
 *
 * To cancel is to ask: a job that runs ends at its next step, with what it has
 * done until then done. Asking again, or too late, changes nothing and answers
 * with the job as it is.
 */

void job_write_json(struct jsonw *json, const struct job *job)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", job->id);
    jsonw_put_str(json, "kind", job->kind);
    jsonw_put_z(json, "status", job_status_name(job->status));
    jsonw_put_bool(json, "cancel_requested", job->cancel);
    jsonw_key(json, "progress");
    jsonw_open(json);
    jsonw_put_i64(json, "done", job->done);
    if (job->total >= 0) {
        jsonw_put_i64(json, "total", job->total);
    } else {
        jsonw_put_null(json, "total");
    }
    jsonw_close(json);
    jsonw_put_raw(json, "parameters", job->parameters_json);
    jsonw_put_instant(json, "created_at", job->created_at_ms);
    jsonw_put_instant(json, "started_at", job->started_at_ms);
    jsonw_put_instant(json, "finished_at", job->finished_at_ms);
    jsonw_put_raw(json, "result", job->result_json);
    jsonw_put_str_or_null(json, "error", job->error);
    jsonw_key(json, "links");
    jsonw_open(json);
    if (str_starts_with(job->kind, STR("import"))) {
        char path[ID_TEXT_SIZE + 32];
        char id[ID_TEXT_SIZE];
        id_format(job->id, id);
        (void)snprintf(path, sizeof(path), "/v1/jobs/%s/rejects", id);
        jsonw_put_z(json, "rejects", path);
    }
    jsonw_close(json);
    jsonw_close(json);
}

static enum status find(const struct resource_request *request, struct job *out_job,
                        struct problem *problem)
{
    struct id id = ID_ZERO;
    enum status status = STATUS_MISSING;
    if (id_parse(request->name, &id)) {
        status = job_find(request->pg, request->arena, request->principal->workspace_id, id,
                          out_job, problem);
    }
    return resource_missing(status, "job", request->name, problem);
}

static enum status answer_with(const struct resource_request *request, const struct job *job,
                               enum resource_effect effect, struct resource_answer *out_answer,
                               struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    job_write_json(&json, job);
    return resource_answer_set(&buf, effect, 0, out_answer, problem);
}

enum status job_queue(const struct resource_request *request, struct str kind,
                      struct str parameters_json, struct resource_answer *out_answer,
                      struct problem *problem)
{
    char id[ID_TEXT_SIZE];
    const struct job job = {
        .workspace_id = request->principal->workspace_id,
        .id = id_create(),
        .kind = kind,
        .parameters_json = parameters_json,
        .cursor_json = STR("{}"),
        .result_json = STR("{}"),
        .total = -1,
        .created_at_ms = request->now_ms,
        .started_at_ms = INSTANT_NONE,
        .finished_at_ms = INSTANT_NONE,
    };
    if (request->validate_only) {
        return answer_with(request, &job, RESOURCE_SHOWN, out_answer, problem);
    }
    enum status status = job_create(request->pg, request->arena, &job, problem);
    if (status == STATUS_OK) {
        status = answer_with(request, &job, RESOURCE_ACCEPTED, out_answer, problem);
    }
    if (status == STATUS_OK) {
        id_format(job.id, id);
        out_answer->location = str_printf(request->arena, "/v1/jobs/%s", id);
    }
    return status;
}

enum status resource_job_show(const struct resource_request *request,
                              struct resource_answer *out_answer, struct problem *problem)
{
    struct job job = { .id = ID_ZERO };
    enum status status = find(request, &job, problem);
    return status == STATUS_OK ? answer_with(request, &job, RESOURCE_SHOWN, out_answer, problem)
                               : status;
}

/* Whoever an event brings to the rules of a cancelled job all the same: silently. */
static enum status cancel(const struct resource_request *request, const void *what,
                          struct problem *problem)
{
    const struct job *job = what;
    enum status status = job_cancel(request->pg, request->arena, job->workspace_id, job->id,
                                    request->now_ms, problem);
    bool is_open = job->status <= JOB_RUNNING && !job->cancel;
    if (status == STATUS_OK && is_open && str_equal(job->kind, STR("hydrate"))) {
        status =
            rule_store_silence(request->pg, request->arena, job->workspace_id, INT64_MAX, problem);
    }
    return status;
}

enum status resource_job_cancel(const struct resource_request *request,
                                struct resource_answer *out_answer, struct problem *problem)
{
    struct job job = { .id = ID_ZERO };
    enum status status = find(request, &job, problem);
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, job.workspace_id, cancel, &job, problem);
    }
    if (status == STATUS_OK) {
        status = find(request, &job, problem);
    }
    return status == STATUS_OK ? answer_with(request, &job, RESOURCE_CHANGED, out_answer, problem)
                               : status;
}

static enum status check_state(struct str state, struct problem *problem)
{
    enum job_status unused = JOB_QUEUED;
    if (state.size == 0 || job_status_from_name(state, &unused)) {
        return STATUS_OK;
    }
    enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                     "status is queued, running, succeeded, failed or cancelled");
    problem_point(problem, "#/query/status");
    return status;
}

enum status resource_job_list(const struct resource_request *request,
                              struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct job *jobs = NULL;
    size_t count = 0;
    int64_t unused_ms = 0;
    enum status status = check_state(request->state, problem);
    if (status == STATUS_OK) {
        struct str filters = str_printf(request->arena, "%.*s|%.*s", STR_ARG(request->kind),
                                        STR_ARG(request->state));
        status = page_open(&page, request, "jobs", filters, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct job_query query = {
        .workspace_id = request->principal->workspace_id,
        .kind = request->kind,
        .status = request->state,
        .limit = page.size + 1,
    };
    cursor_place(&page, &unused_ms, &query.before_id);
    status = job_list(request->pg, request->arena, &query, &jobs, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page.size ? count : page.size;
    for (size_t i = 0; i < shown; i++) {
        job_write_json(&page.json, &jobs[i]);
    }
    struct str next = { NULL, 0 };
    if (count > page.size) {
        next = cursor_format(request->arena, jobs[shown - 1].created_at_ms, jobs[shown - 1].id);
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}
