#include "sweep/nightly.h"

#include <pthread.h>
#include <stdlib.h>

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/thread.h"
#include "core/decide.h"
#include "store/batch.h"
#include "store/job_store.h"
#include "store/rule_store.h"
#include "store/statistic_store.h"
#include "sweep/statistics.h"
#include "sweep/traffic.h"

/*
 * Refresh, then move whom it moved.
 *
 * A profile that is written to meanwhile is brought to the new set by that
 * write; the job takes those that nobody writes to. It goes by pages of ids, and
 * its cursor commits with each batch of a page, so a crash repeats nothing. Whoever
 * another writer holds is left to that writer.
 *
 * The memory is a batch's, not a page's: a shop's first set moves everybody, and
 * with 5,000 profiles decided in one arena the server grew by 28 MiB and shrank
 * again, page by page.
 */

#define NIGHTLY_PERIOD_MS 30000
#define NIGHTLY_RETRY_MS 5000
#define NIGHTLY_SCAN 5000
/* Profiles locked at a time, so that whoever is written to meanwhile hardly waits
 * (twice as many took some 10 ms). */
#define NIGHTLY_BATCH 64
/* After each batch a rest so many times as long as it took: half of a core by night,
 * a fifth beside live traffic; and no longer than a busy minute can bear, since the
 * first figures of a shop wait for it. */
#define NIGHTLY_REST 1
#define NIGHTLY_LIVE_REST 4
#define NIGHTLY_REST_MS_MAX 1000
#define NIGHTLY_LEASE_MS 60000

static const char KIND[] = "statistics";

struct nightly {
    struct nightly_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;
    struct traffic traffic;
    struct pg *pg;
    struct arena *lasting; /* of one job: the two sets */
    struct arena *page;    /* whom it moves of those looked at together */
    struct arena *arena;   /* of one transaction */
};

struct nightly_job {
    struct nightly *nightly;
    struct job job;
    int64_t version;
    struct statistics before;
    struct statistics after;
    struct id after_id;
    int64_t done;
};

static bool is_stopping(struct nightly *nightly)
{
    pthread_mutex_lock(&nightly->lock);
    bool stops = nightly->is_stopping;
    pthread_mutex_unlock(&nightly->lock);
    return stops;
}

/* False when it is time to stop. */
static bool wait_ms(struct nightly *nightly, int64_t longest_ms)
{
    struct timespec at = thread_deadline(longest_ms);
    pthread_mutex_lock(&nightly->lock);
    if (!nightly->is_stopping) {
        pthread_cond_timedwait(&nightly->wake, &nightly->lock, &at);
    }
    bool goes_on = !nightly->is_stopping;
    pthread_mutex_unlock(&nightly->lock);
    return goes_on;
}

/* --- refresh ------------------------------------------------------------ */

static enum status refresh_one(struct nightly *nightly, const struct registry_workspace *workspace,
                               struct problem *problem)
{
    size_t count = workspace->ruleset_count;
    const struct statistics_refresh refresh = {
        .workspace_id = workspace->id,
        .currency = workspace->currency,
        .time_zone = workspace->time_zone,
        .ruleset = count > 0 ? workspace->rulesets[count - 1] : NULL,
        .statistics = workspace->statistics,
        .now_ms = clock_now_ms(),
    };
    int64_t version = 0;
    arena_reset(nightly->arena);
    enum status status =
        statistics_refresh_due(nightly->pg, nightly->arena, &refresh, &version, problem);
    if (status != STATUS_OK || version == 0) {
        return status;
    }
    const struct job job = {
        .workspace_id = workspace->id,
        .id = id_create(),
        .kind = str_from_z(KIND),
        .parameters_json =
            str_printf(nightly->arena, "{\"statistics_version\":%lld}", (long long)version),
        .total = -1,
        .created_at_ms = clock_now_ms(),
    };
    return job_create(nightly->pg, nightly->arena, &job, problem);
}

static enum status refresh_all(struct nightly *nightly, struct problem *problem)
{
    const struct registry_snapshot *snapshot = registry_hold(nightly->config.registry);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && !is_stopping(nightly); i++) {
        const struct registry_workspace *workspace = snapshot_workspace_at(snapshot, i);
        if (workspace == NULL) {
            break;
        }
        status = refresh_one(nightly, workspace, problem);
    }
    registry_release(nightly->config.registry, snapshot);
    return status;
}

/* --- whom it moves ------------------------------------------------------ */

static int64_t greatest_hysteresis(const struct registry_workspace *workspace)
{
    size_t count = workspace->ruleset_count;
    const struct ruleset *newest = count > 0 ? workspace->rulesets[count - 1] : NULL;
    int64_t greatest = 0;
    for (size_t i = 0; newest != NULL && i < newest->rule_count; i++) {
        int64_t hysteresis = newest->rules[i].definition.hysteresis;
        greatest = hysteresis > greatest ? hysteresis : greatest;
    }
    return greatest;
}

static enum status save_page(struct nightly_job *work, struct batch *batch,
                             struct decision *decision, bool *out_cancel, struct problem *problem)
{
    struct nightly *nightly = work->nightly;
    char after[ID_TEXT_SIZE];
    id_format(work->after_id, after);
    const struct job_progress progress = {
        .workspace_id = work->job.workspace_id,
        .job_id = work->job.id,
        .owner = nightly->config.instance_id,
        .cursor_json = str_printf(nightly->arena, "{\"after\":\"%s\"}", after),
        .done = work->done,
        .total = -1,
        .lease_until_ms = clock_now_ms() + NIGHTLY_LEASE_MS,
    };
    enum status status = job_progress(nightly->pg, nightly->arena, &progress, out_cancel, problem);
    struct decision_rows rows = { 0 };
    if (status == STATUS_OK) {
        status = batch_fire(batch, problem);
    }
    if (status == STATUS_OK) {
        status = decision_finish(decision, clock_now_ms(), &rows);
    }
    const struct batch_save save = { .rows = &rows, .raises_due = true };
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    if (status == STATUS_OK) {
        status = batch_save(batch, &save, &deliveries, &delivery_count, problem);
    }
    return status;
}

static enum status decide_some(struct nightly_job *work, const struct registry_workspace *workspace,
                               const struct id *ids, size_t id_count, bool *out_cancel,
                               struct problem *problem)
{
    struct nightly *nightly = work->nightly;
    struct decide_context context;
    registry_decide_context(workspace, &context);
    randombytes_buf(context.random, sizeof(context.random));
    arena_reset(nightly->arena);
    struct batch batch;
    struct decision *decision = decision_create(nightly->arena, &context, id_count);
    if (decision == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = batch_init(&batch, nightly->pg, nightly->arena, workspace->id, NULL, 0);
    batch.decision = decision;
    struct profile **profiles = NULL;
    size_t count = 0;
    if (status == STATUS_OK) {
        status = batch_claim_ids(&batch, ids, id_count, &profiles, &count, problem);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        decision_put_profile(decision, profiles[i]);
    }
    if (status == STATUS_OK) {
        status = registry_catch_up(nightly->config.registry, decision, problem);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = decide_due(decision, profiles[i], clock_now_ms());
    }
    work->after_id = ids[id_count - 1];
    work->done += (int64_t)count;
    return status == STATUS_OK ? save_page(work, &batch, decision, out_cancel, problem) : status;
}

static bool rest(struct nightly *nightly, int64_t took_ms)
{
    int64_t share = traffic_is_live(&nightly->traffic) ? NIGHTLY_LIVE_REST : NIGHTLY_REST;
    int64_t rest_ms = share * (took_ms + 1);
    return wait_ms(nightly, rest_ms < NIGHTLY_REST_MS_MAX ? rest_ms : NIGHTLY_REST_MS_MAX);
}

static enum status decide_page(struct nightly_job *work, const struct registry_workspace *workspace,
                               const struct statistic_moved *moved, bool *out_cancel,
                               struct problem *problem)
{
    enum status status = STATUS_OK;
    for (size_t first = 0; first < moved->count && status == STATUS_OK && !*out_cancel;
         first += NIGHTLY_BATCH) {
        size_t count = moved->count - first;
        count = count < NIGHTLY_BATCH ? count : NIGHTLY_BATCH;
        int64_t started_ms = clock_monotonic_ms();
        status = decide_some(work, workspace, moved->ids + first, count, out_cancel, problem);
        if (!rest(work->nightly, clock_monotonic_ms() - started_ms) && status == STATUS_OK) {
            status = STATUS_RETRY; /* the lease runs out, another instance goes on */
        }
    }
    work->after_id = moved->next_id;
    return status;
}

static enum status next_page(struct nightly_job *work, const struct registry_workspace *workspace,
                             bool *out_ended, bool *out_cancel, struct problem *problem)
{
    struct nightly *nightly = work->nightly;
    const struct statistic_move move = {
        .workspace_id = workspace->id,
        .currency = workspace->currency,
        .before = work->before.version > 0 ? &work->before : NULL,
        .after = &work->after,
        .hysteresis = greatest_hysteresis(workspace),
        .after_id = work->after_id,
        .scan_max = NIGHTLY_SCAN,
    };
    struct statistic_moved moved = { 0 };
    arena_reset(nightly->page);
    enum status status = statistic_store_moved(nightly->pg, nightly->page, &move, &moved, problem);
    if (status != STATUS_OK) {
        return status;
    }
    *out_ended = id_is_zero(moved.next_id);
    if (moved.count == 0) {
        work->after_id = moved.next_id;
        return STATUS_OK;
    }
    return decide_page(work, workspace, &moved, out_cancel, problem);
}

static enum status end_job(struct nightly_job *work, bool cancelled, struct problem *problem)
{
    const struct job_end end = {
        .workspace_id = work->job.workspace_id,
        .job_id = work->job.id,
        .owner = work->nightly->config.instance_id,
        .status = cancelled ? JOB_CANCELLED : JOB_SUCCEEDED,
        .result_json =
            str_printf(work->nightly->arena, "{\"profiles\":%lld}", (long long)work->done),
        .at_ms = clock_now_ms(),
    };
    return job_finish(work->nightly->pg, work->nightly->arena, &end, problem);
}

/* All pages. The registry must have heard of the set: else the next look. */
static enum status run_job(struct nightly_job *work, const struct registry_workspace *workspace,
                           struct problem *problem)
{
    bool ended = false;
    bool cancel = false;
    enum status status = STATUS_OK;
    if (workspace == NULL || workspace->statistics == NULL ||
        workspace->statistics->version < work->version) {
        return problem_set(problem, STATUS_RETRY, "overloaded", "the set is not in force yet");
    }
    while (status == STATUS_OK && !ended && !cancel) {
        if (is_stopping(work->nightly)) {
            return STATUS_RETRY; /* the lease runs out, another instance goes on */
        }
        status = next_page(work, workspace, &ended, &cancel, problem);
    }
    return status == STATUS_OK ? end_job(work, cancel, problem) : status;
}

static enum status load_job(struct nightly_job *work, struct problem *problem)
{
    struct nightly *nightly = work->nightly;
    const struct str parameters = work->job.parameters_json;
    const struct str cursor = work->job.cursor_json;
    json_t *root = json_loadb(parameters.data, parameters.size, 0, NULL);
    work->version = json_integer_value(json_object_get(root, "statistics_version"));
    json_decref(root);
    root = json_loadb(cursor.data, cursor.size, 0, NULL);
    const char *after = json_string_value(json_object_get(root, "after"));
    if (after != NULL) {
        (void)id_parse(str_from_z(after), &work->after_id);
    }
    json_decref(root);
    work->done = work->job.done;
    struct id workspace_id = work->job.workspace_id;
    enum status status = statistic_store_load(nightly->pg, nightly->lasting, workspace_id,
                                              work->version - 1, &work->before, problem);
    if (status == STATUS_OK) {
        status = statistic_store_load(nightly->pg, nightly->lasting, workspace_id, work->version,
                                      &work->after, problem);
    }
    return status;
}

static enum status serve_job(struct nightly *nightly, struct problem *problem)
{
    struct id *workspace_ids = NULL;
    size_t count = 0;
    int64_t now_ms = clock_now_ms();
    arena_reset(nightly->lasting);
    enum status status = job_waiting(nightly->pg, nightly->lasting, str_from_z(KIND), now_ms, 1,
                                     &workspace_ids, &count, problem);
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    struct nightly_job work = { .nightly = nightly };
    status = job_claim(nightly->pg, nightly->lasting, workspace_ids[0], str_from_z(KIND),
                       nightly->config.instance_id, now_ms, now_ms + NIGHTLY_LEASE_MS, &work.job,
                       problem);
    if (status == STATUS_OK) {
        status = load_job(&work, problem);
    }
    if (status != STATUS_OK) {
        return status == STATUS_MISSING ? STATUS_OK : status;
    }
    status = registry_refresh(nightly->config.registry, false, problem);
    const struct registry_snapshot *snapshot = registry_hold(nightly->config.registry);
    if (status == STATUS_OK) {
        status = run_job(&work, snapshot_workspace(snapshot, work.job.workspace_id), problem);
    }
    registry_release(nightly->config.registry, snapshot);
    return status;
}

/* --- the thread --------------------------------------------------------- */

static void *nightly_thread(void *argument)
{
    struct nightly *nightly = argument;
    int64_t pause_ms = NIGHTLY_RETRY_MS;
    while (wait_ms(nightly, pause_ms)) {
        struct problem problem = { 0 };
        enum status status = refresh_all(nightly, &problem);
        if (status == STATUS_OK) {
            status = serve_job(nightly, &problem);
        }
        if (status != STATUS_OK) {
            pg_reset(nightly->pg);
            if (status != STATUS_RETRY && nightly->config.report != NULL) {
                nightly->config.report(nightly->config.app, KIND, &problem);
            }
        }
        pause_ms = status == STATUS_OK ? NIGHTLY_PERIOD_MS : NIGHTLY_RETRY_MS;
    }
    return NULL;
}

static void nightly_free(struct nightly *nightly)
{
    pg_close(nightly->pg);
    arena_destroy(nightly->arena);
    arena_destroy(nightly->page);
    arena_destroy(nightly->lasting);
    pthread_cond_destroy(&nightly->wake);
    pthread_mutex_destroy(&nightly->lock);
    free(nightly);
}

enum status nightly_start(const struct nightly_config *config, struct nightly **out_nightly,
                          struct problem *problem)
{
    struct nightly *nightly = calloc(1, sizeof(*nightly));
    if (nightly == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for statistics");
    }
    nightly->config = *config;
    nightly->traffic = (struct traffic){ .ingested = config->ingested, .app = config->app };
    pthread_mutex_init(&nightly->lock, NULL);
    pthread_cond_init(&nightly->wake, NULL);
    nightly->lasting = arena_create(LIMIT_ARENA_REQUEST_BYTES);
    nightly->page = arena_create(LIMIT_ARENA_REQUEST_BYTES);
    nightly->arena = arena_create(LIMIT_ARENA_BATCH_BYTES);
    if (nightly->lasting == NULL || nightly->page == NULL || nightly->arena == NULL ||
        pg_open(config->database_url, false, &nightly->pg) != STATUS_OK ||
        !thread_start(&nightly->thread, nightly_thread, nightly)) {
        nightly_free(nightly);
        return problem_set(problem, STATUS_BROKEN, "internal", "statistics do not start");
    }
    *out_nightly = nightly;
    return STATUS_OK;
}

void nightly_stop(struct nightly *nightly)
{
    if (nightly == NULL) {
        return;
    }
    pthread_mutex_lock(&nightly->lock);
    nightly->is_stopping = true;
    pthread_cond_signal(&nightly->wake);
    pthread_mutex_unlock(&nightly->lock);
    pthread_join(nightly->thread, NULL);
    nightly_free(nightly);
}
