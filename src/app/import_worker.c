#include "app/import_worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "app/import_end.h"
#include "app/import_run.h"
#include "app/replay_run.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/thread.h"
#include "store/import_job.h"
#include "store/job_store.h"

/*
 * Claim a job, read its upload, run it, end it; and replays, which are history
 * read anew.
 *
 * A second's wait is no matter for history, so this polls. A server that stops,
 * or loses the database, lets the job run out of its lease: the next claim goes
 * on with the chunks that are in. What the file itself is to blame for fails the
 * job with the words that the upload would have got.
 */

enum {
    POLL_MS = 1000,
    LEASE_MS = 30000,
    WORKSPACES_A_TURN = 16,
    WORKER_ARENA_BYTES = 64 * 1024 * 1024,
    NOTE_MS = 500,
};

struct import_worker {
    struct registry *registry;
    struct id instance_id;
    char *database_url;
    struct pg *pg;
    struct arena *arena;
    pthread_t thread;
    bool is_started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;
};

/* One job in work. */
struct work {
    struct import_worker *worker;
    struct job job;
    struct str body;
    struct import_options options;
    bool is_dry;
    bool completes;
    bool is_cancelled;
    int64_t noted_ms;
    size_t header_lines;
};

static bool is_stopping(struct import_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool stopping = worker->is_stopping;
    pthread_mutex_unlock(&worker->lock);
    return stopping;
}

/* --- callbacks of the run ----------------------------------------------------- */

static ssize_t read_body(void *user, int64_t offset, void *bytes, size_t size,
                         struct problem *problem)
{
    const struct work *work = user;
    struct str rest = str_drop(work->body, (size_t)offset);
    (void)problem;
    size = size < rest.size ? size : rest.size;
    memcpy(bytes, rest.size > 0 ? rest.data : "", size);
    return (ssize_t)size;
}

static bool note_progress(void *user, int64_t done_bytes, const struct import_counts *counts)
{
    struct work *work = user;
    struct import_worker *worker = work->worker;
    (void)counts;
    if (is_stopping(worker)) {
        return false;
    }
    if (clock_monotonic_ms() - work->noted_ms < NOTE_MS) {
        return true;
    }
    work->noted_ms = clock_monotonic_ms();
    struct job_progress progress = {
        .workspace_id = work->job.workspace_id,
        .job_id = work->job.id,
        .owner = worker->instance_id,
        .done = done_bytes,
        .total = work->job.total,
        .lease_until_ms = clock_now_ms() + LEASE_MS,
    };
    enum status status = import_note_progress(worker->pg, &progress, &work->is_cancelled);
    /* The lease is another's: that one reads on. */
    return status != STATUS_CONFLICT && !work->is_cancelled;
}

/* --- one job ---------------------------------------------------------------- */

static struct str text_of(const json_t *root, const char *key)
{
    return str_from_z(json_string_value(json_object_get(root, key)));
}

static int64_t instant_of(const json_t *root, const char *key, int64_t fallback_ms)
{
    int64_t at_ms = fallback_ms;
    return instant_parse(text_of(root, key), true, &at_ms, NULL) ? at_ms : fallback_ms;
}

/* The job's parameters, as the upload's handler wrote them. */
static enum status read_parameters(struct work *work, const struct source **out_source,
                                   const struct registry_snapshot *snapshot,
                                   struct problem *problem)
{
    json_error_t error;
    struct id source_id = ID_ZERO;
    struct arena *arena = work->worker->arena;
    struct str parameters = work->job.parameters_json;
    json_t *root = json_loadb(parameters.data, parameters.size, 0, &error);
    work->options = (struct import_options){
        .format = import_format_find(text_of(root, "format"), problem),
        .kind = import_kind_find(text_of(root, "kind"), problem),
        .map = str_dup(arena, text_of(root, "map")),
        .exported_at_ms = instant_of(root, "exported_at", work->job.created_at_ms),
        .received_at_ms = instant_of(root, "received_at", work->job.created_at_ms),
    };
    work->is_dry = json_is_true(json_object_get(root, "dry_run"));
    work->completes = json_is_true(json_object_get(root, "complete"));
    if (id_parse(text_of(root, "source_id"), &source_id)) {
        *out_source = snapshot_source(snapshot, source_id);
    }
    json_decref(root);
    if (work->options.format == NULL || work->options.kind == 0) {
        return STATUS_INVALID;
    }
    if (*out_source == NULL || (*out_source)->deleted) {
        return problem_set(problem, STATUS_INVALID, "object-not-found",
                           "the source has been deleted meanwhile");
    }
    work->options.source = *out_source;
    return STATUS_OK;
}

static enum status run_file(struct work *work, struct import_counts *counts,
                            struct problem *problem)
{
    struct import_worker *worker = work->worker;
    struct import_run_config config = {
        .database_url = worker->database_url,
        .registry = worker->registry,
        .workspace_id = work->job.workspace_id,
        .job_id = work->job.id,
        .is_dry = work->is_dry,
        .read = read_body,
        .on_progress = note_progress,
        .user = work,
    };
    struct import_range *ranges = NULL;
    struct import_reader *reader = NULL;
    size_t used = 0;
    struct str head = str_take(work->body, IMPORT_HEAD_BYTES);
    enum status status =
        import_open(worker->arena, &work->options, head, head.size == work->body.size, &reader,
                    &used, &work->header_lines, problem);
    if (status == STATUS_OK) {
        status =
            import_store_ranges(worker->pg, worker->arena, work->job.workspace_id, work->job.id,
                                &ranges, &config.range_count, &config.counts, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    config.reader = reader;
    config.ranges = ranges;
    config.first_byte = (int64_t)used;
    config.first_line = (int64_t)work->header_lines + 1;
    return import_run(&config, counts, problem);
}

static struct str result_of(const struct work *work, const struct import_counts *counts)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, work->worker->arena, 4096);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_bool(&json, "dry_run", work->is_dry);
    import_write_counts(&json, counts, work->header_lines);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status end_job(const struct work *work, enum job_status outcome,
                           const struct import_counts *counts, const char *error,
                           struct problem *problem)
{
    struct import_worker *worker = work->worker;
    struct job_end end = {
        .workspace_id = work->job.workspace_id,
        .job_id = work->job.id,
        .owner = worker->instance_id,
        .status = outcome,
        .result_json = result_of(work, counts),
        .error = str_from_z(error),
        .at_ms = clock_now_ms(),
    };
    bool completes = outcome == JOB_SUCCEEDED && work->completes && !work->is_dry;
    return import_end_job(worker->pg, worker->arena, &end,
                          completes ? &work->options.source->id : NULL, problem);
}

static bool is_of_file(enum status status)
{
    return status == STATUS_INVALID || status == STATUS_MISSING || status == STATUS_BROKEN ||
           status == STATUS_LIMIT;
}

static void do_job(struct work *work, const struct registry_snapshot *snapshot)
{
    struct problem problem = { .type = "" };
    struct import_counts counts = { 0 };
    const struct source *source = NULL;
    struct import_worker *worker = work->worker;
    enum status status = read_parameters(work, &source, snapshot, &problem);
    if (status == STATUS_OK) {
        status = import_input_read(worker->pg, worker->arena, work->job.workspace_id, work->job.id,
                                   &work->body, &problem);
    }
    if (status == STATUS_OK) {
        status = run_file(work, &counts, &problem);
    }
    enum job_status outcome = JOB_SUCCEEDED;
    if (work->is_cancelled) {
        outcome = JOB_CANCELLED;
    } else if (is_of_file(status)) {
        outcome = JOB_FAILED;
    } else if (status != STATUS_OK) {
        return; /* stopped, or the database is away: the lease runs out */
    }
    struct problem fault = { .type = "" };
    if (end_job(work, outcome, &counts, outcome == JOB_SUCCEEDED ? "" : problem.detail, &fault) !=
        STATUS_OK) {
        log_event(LOG_WARN, "import_not_ended", LOG_ID("job", work->job.id),
                  LOG_Z("detail", fault.detail));
        return;
    }
    log_event(outcome == JOB_FAILED ? LOG_WARN : LOG_INFO, "import_ended",
              LOG_ID("job", work->job.id), LOG_Z("status", job_status_name(outcome)),
              LOG_I64("records", counts.records), LOG_I64("rejected", counts.rejected));
}

static void do_import(struct import_worker *worker, const struct job *job)
{
    struct work work = { .worker = worker, .job = *job };
    const struct registry_snapshot *snapshot = registry_hold(worker->registry);
    do_job(&work, snapshot);
    registry_release(worker->registry, snapshot);
}

static bool is_stopping_now(void *user)
{
    return is_stopping(user);
}

static void do_replay(struct import_worker *worker, const struct job *job)
{
    struct problem problem = { .type = "" };
    const struct replay_config config = {
        .database_url = worker->database_url,
        .registry = worker->registry,
        .owner = worker->instance_id,
        .pg = worker->pg,
        .is_stopping = is_stopping_now,
        .user = worker,
    };
    if (replay_run(&config, job, &problem) != STATUS_OK && !is_stopping(worker)) {
        log_event(LOG_WARN, "replay_not_ended", LOG_ID("job", job->id),
                  LOG_Z("detail", problem.detail));
    }
}

/* True when there was one. */
static bool claim_one(struct import_worker *worker, struct str kind,
                      void (*run)(struct import_worker *worker, const struct job *job))
{
    struct id *workspaces = NULL;
    size_t count = 0;
    struct problem problem = { .type = "" };
    int64_t now_ms = clock_now_ms();
    arena_reset(worker->arena);
    enum status status = job_waiting(worker->pg, worker->arena, kind, now_ms, WORKSPACES_A_TURN,
                                     &workspaces, &count, &problem);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct job job;
        status = job_claim(worker->pg, worker->arena, workspaces[i], kind, worker->instance_id,
                           now_ms, now_ms + LEASE_MS, &job, &problem);
        if (status == STATUS_MISSING) {
            status = STATUS_OK;
            continue;
        }
        if (status == STATUS_OK) {
            run(worker, &job);
            return true;
        }
    }
    if (status != STATUS_OK) {
        pg_reset(worker->pg);
    }
    return false;
}

/* --- the thread ------------------------------------------------------------- */

static void *worker_main(void *user)
{
    struct import_worker *worker = user;
    while (!is_stopping(worker)) {
        if (claim_one(worker, STR(IMPORT_JOB_UPLOAD), do_import) ||
            claim_one(worker, REPLAY_JOB, do_replay)) {
            continue;
        }
        struct timespec until = thread_deadline(POLL_MS);
        pthread_mutex_lock(&worker->lock);
        if (!worker->is_stopping) {
            (void)pthread_cond_timedwait(&worker->wake, &worker->lock, &until);
        }
        pthread_mutex_unlock(&worker->lock);
    }
    return NULL;
}

enum status import_worker_start(const char *database_url, struct registry *registry,
                                struct id instance_id, struct import_worker **out_worker,
                                struct problem *problem)
{
    struct import_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return problem_set(problem, STATUS_BROKEN, "start", "no memory");
    }
    worker->registry = registry;
    worker->instance_id = instance_id;
    worker->database_url = strdup(database_url);
    worker->arena = arena_create(WORKER_ARENA_BYTES);
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_cond_init(&worker->wake, NULL);
    enum status status = worker->database_url != NULL && worker->arena != NULL
                             ? pg_open(database_url, false, &worker->pg)
                             : STATUS_BROKEN;
    worker->is_started = status == STATUS_OK && thread_start(&worker->thread, worker_main, worker);
    if (!worker->is_started) {
        import_worker_stop(worker);
        return problem_set(problem, STATUS_BROKEN, "start", "no import thread");
    }
    *out_worker = worker;
    return STATUS_OK;
}

void import_worker_stop(struct import_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    pthread_mutex_lock(&worker->lock);
    worker->is_stopping = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    if (worker->is_started) {
        pthread_join(worker->thread, NULL);
    }
    pg_close(worker->pg);
    arena_destroy(worker->arena);
    (void)pthread_cond_destroy(&worker->wake);
    (void)pthread_mutex_destroy(&worker->lock);
    free(worker->database_url);
    free(worker);
}
