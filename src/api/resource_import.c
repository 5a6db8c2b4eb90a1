#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "handlers_priv.h"
#include "resource_priv.h"
#include "rest_priv.h"
#include "rule_priv.h"
#include "source_priv.h"
#include "sources/import.h"
#include "store/import_job.h"
#include "store/job_store.h"

/*
 * POST /v1/imports: a file of history as the body of one request.
 *
 * The body is judged as far as its header at once, so that a wrong column is a
 * 422 and not a failed job; then it is stored beside its job, and a server's
 * import thread reads it from there, which may be another server's. What does
 * not fit one request is imported by the command, or in pieces: a file that is
 * cut between records says the same.
 */

/* Each at most 5 MiB: what may stand in the database for a while. */
#define IMPORTS_WAITING_MAX 50u

static const char *const PARAMETERS[] = { "source",      "kind",    "format",   "map",
                                          "exported_at", "dry_run", "complete", "validate_only" };

static enum status parameter_fault(struct problem *problem, const char *name)
{
    problem_point(problem, "#/query/%s", name);
    return STATUS_INVALID;
}

static enum status check_query(struct http_exchange *x, struct problem *problem)
{
    struct str unknown = http_query_unknown(x, PARAMETERS, ARRAY_COUNT(PARAMETERS));
    if (unknown.size == 0) {
        return STATUS_OK;
    }
    (void)problem_set(problem, STATUS_INVALID, "unknown-field", "no parameter is called so");
    problem_suggest(problem, str_nearest(unknown, PARAMETERS, ARRAY_COUNT(PARAMETERS)));
    problem_point(problem, "#/query/%.*s", STR_ARG(str_take_text(unknown, 60)));
    return STATUS_INVALID;
}

static enum status read_switch(struct http_exchange *x, const char *name, bool *out_value,
                               struct problem *problem)
{
    struct str text = http_query(x, name);
    if (text.size > 0 && !str_equal(text, STR("true")) && !str_equal(text, STR("false"))) {
        (void)problem_set(problem, STATUS_INVALID, "invalid-field", "true or false is expected");
        return parameter_fault(problem, name);
    }
    *out_value = str_equal(text, STR("true"));
    return STATUS_OK;
}

/* What the file is: by the query, else by its beginning. */
static enum status read_format(struct http_exchange *x, struct import_options *options,
                               struct problem *problem)
{
    struct str kind = http_query(x, "kind");
    struct str format = http_query(x, "format");
    enum import_kind detected = 0;
    if (kind.size > 0) {
        options->kind = import_kind_find(kind, problem);
        if (options->kind == 0) {
            return parameter_fault(problem, "kind");
        }
    }
    struct str head = str_take(http_body(x), IMPORT_HEAD_BYTES);
    options->format =
        format.size > 0 ? import_format_find(format, problem) : import_detect(head, &detected);
    if (options->format == NULL) {
        if (format.size == 0) {
            (void)problem_set(problem, STATUS_INVALID, "invalid-field",
                              "the body is neither NDJSON nor begins with the header of a CSV");
        }
        return parameter_fault(problem, "format");
    }
    if (options->kind == 0) {
        options->kind = options->format->kind != 0 ? options->format->kind : detected;
    }
    if (options->kind == 0 && !options->format->is_csv) {
        options->kind = IMPORT_EVENTS;
    }
    if (options->kind == 0) {
        (void)problem_set(problem, STATUS_INVALID, "invalid-field",
                          "what is in the file? customers, orders, products, events or email");
        return parameter_fault(problem, "kind");
    }
    options->map = http_query(x, "map");
    return STATUS_OK;
}

static enum status read_exported(struct http_exchange *x, struct import_options *options,
                                 struct problem *problem)
{
    struct str text = http_query(x, "exported_at");
    options->received_at_ms = http_received_at_ms(x);
    options->exported_at_ms = options->received_at_ms;
    if (text.size > 0 && !instant_parse(text, true, &options->exported_at_ms, NULL)) {
        (void)problem_set(problem, STATUS_INVALID, "invalid-field",
                          "an instant with its offset is needed, as in 2026-11-22T14:10:00+01:00");
        return parameter_fault(problem, "exported_at");
    }
    return STATUS_OK;
}

/* The header, by the very reader that will read the rest. */
static enum status check_header(const struct resource_request *request,
                                const struct import_options *options, struct problem *problem)
{
    struct import_reader *reader = NULL;
    size_t used = 0;
    size_t lines = 0;
    struct str head = str_take(request->body, IMPORT_HEAD_BYTES);
    return import_open(request->arena, options, head, head.size == request->body.size, &reader,
                       &used, &lines, problem);
}

struct upload {
    struct job job;
    bool is_dry;
    bool completes;
};

static struct str parameters_of(const struct resource_request *request,
                                const struct import_options *options, const struct upload *upload)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "source", options->source->name);
    jsonw_put_id(&json, "source_id", options->source->id);
    jsonw_put_z(&json, "kind", import_kind_name(options->kind));
    jsonw_put_z(&json, "format", options->format->name);
    jsonw_put_str_or_null(&json, "map", options->map);
    jsonw_put_instant(&json, "exported_at", options->exported_at_ms);
    jsonw_put_instant(&json, "received_at", options->received_at_ms);
    jsonw_put_bool(&json, "dry_run", upload->is_dry);
    jsonw_put_bool(&json, "complete", upload->completes);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status store_upload(const struct resource_request *request, const struct job *job,
                                struct problem *problem)
{
    enum status status = pg_run(request->pg, request->arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = import_input_insert(request->pg, request->arena, job->workspace_id, job->id,
                                     request->body, job->created_at_ms, problem);
    }
    if (status == STATUS_OK) {
        status = job_create(request->pg, request->arena, job, problem);
    }
    if (status == STATUS_OK) {
        status = pg_run(request->pg, request->arena, &pg_commit, NULL, NULL, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(request->pg);
    }
    return status;
}

static enum status take_upload(struct http_exchange *x, struct resource_request *request,
                               struct upload *upload, struct problem *problem)
{
    struct import_options options = { .kind = 0 };
    struct source_full source = { .platform = NULL };
    int64_t waiting = 0;
    enum status status = check_query(x, problem);
    if (status == STATUS_OK && request->name.size == 0) {
        (void)problem_set(problem, STATUS_INVALID, "invalid-field", "whose history is it?");
        status = parameter_fault(problem, "source");
    }
    if (status == STATUS_OK) {
        status = source_load(request, &source, problem);
    }
    options.source = &source.core;
    if (status == STATUS_OK) {
        status = read_format(x, &options, problem);
    }
    if (status == STATUS_OK) {
        status = read_exported(x, &options, problem);
    }
    if (status == STATUS_OK) {
        status = read_switch(x, "dry_run", &upload->is_dry, problem);
    }
    if (status == STATUS_OK) {
        status = read_switch(x, "complete", &upload->completes, problem);
    }
    if (status == STATUS_OK) {
        status = read_switch(x, "validate_only", &request->validate_only, problem);
    }
    if (status == STATUS_OK) {
        status = check_header(request, &options, problem);
    }
    if (status == STATUS_OK) {
        status = import_input_count(request->pg, request->arena, request->principal->workspace_id,
                                    &waiting, problem);
    }
    if (status == STATUS_OK) {
        status = resource_room(waiting, IMPORTS_WAITING_MAX, "imports at once", problem);
    }
    upload->job = (struct job){
        .workspace_id = request->principal->workspace_id,
        .id = id_create(),
        .kind = STR(IMPORT_JOB_UPLOAD),
        .status = JOB_QUEUED,
        .result_json = STR("{}"),
        .total = (int64_t)request->body.size,
        .created_at_ms = request->now_ms,
        .started_at_ms = INSTANT_NONE,
        .finished_at_ms = INSTANT_NONE,
    };
    if (status == STATUS_OK) {
        upload->job.parameters_json = parameters_of(request, &options, upload);
        status = request->validate_only ? STATUS_OK : store_upload(request, &upload->job, problem);
    }
    return status;
}

enum http_outcome handle_import_create(struct http_exchange *x, void *app)
{
    struct resource_request request = {
        .api = app,
        .pg = http_worker_context(x),
        .arena = http_arena(x),
        .principal = http_principal(x),
        .name = http_query(x, "source"),
        .body = http_body(x),
        .now_ms = clock_now_ms(),
    };
    struct upload upload = { .is_dry = false };
    struct problem problem = { .type = "" };
    enum status status = take_upload(x, &request, &upload, &problem);
    if (status != STATUS_OK) {
        http_reply_status(x, status, &problem);
        return HTTP_DONE;
    }
    struct buf buf;
    struct jsonw json;
    char id[ID_TEXT_SIZE];
    buf_init(&buf, request.arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    job_write_json(&json, &upload.job);
    http_reply_json(x, request.validate_only ? 200 : 202, buf_str(&buf));
    if (!request.validate_only) {
        id_format(upload.job.id, id);
        http_reply_header(x, "Location", str_printf(request.arena, "/v1/jobs/%s", id));
    }
    return HTTP_DONE;
}

/* --- what was rejected -------------------------------------------------------- */

enum status resource_import_rejects(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct id job_id = ID_ZERO;
    struct job job;
    struct page page;
    int64_t after_line = -1;
    struct id unused = ID_ZERO;
    struct import_reject_row *rows = NULL;
    size_t count = 0;
    enum status status = STATUS_MISSING;
    if (id_parse(request->name, &job_id)) {
        status = job_find(request->pg, request->arena, request->principal->workspace_id, job_id,
                          &job, problem);
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "job", request->name, problem);
    }
    status = page_open(&page, request, "rejects", request->name, problem);
    if (status == STATUS_OK && page.cursor.size > 0) {
        (void)cursor_parse(page.cursor, &after_line, &unused);
    }
    if (status == STATUS_OK) {
        status = import_reject_list(request->pg, request->arena, job.workspace_id, job_id,
                                    after_line, page.size + 1, &rows, &count, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page.size ? count : page.size;
    for (size_t i = 0; i < shown; i++) {
        jsonw_open(&page.json);
        jsonw_put_i64(&page.json, "line", rows[i].line);
        jsonw_put_str_or_null(&page.json, "column", rows[i].column);
        jsonw_put_str(&page.json, "reason", rows[i].reason);
        jsonw_close(&page.json);
    }
    struct str next = { NULL, 0 };
    if (count > page.size) {
        next = cursor_format(request->arena, rows[shown - 1].line, job_id);
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}

enum http_outcome handle_import_rejects(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_import_rejects, REST_PAGE);
}
