#include "sweep/retain.h"

#include <jansson.h>

#include "base/clock.h"
#include "base/instant.h"
#include "store/job_store.h"
#include "store/migrate.h"
#include "store/profile_base.h"

/*
 * A step folds a few origins and moves the job's cursor in one transaction, so
 * a crash repeats nothing and skips nothing. Were the cursor lost, nothing
 * would be: what is folded is gone from the timeline.
 *
 * Whoever is held by another writer, or has not been brought up to the newest
 * rules yet, is skipped and met on another walk; after RETAIN_WALKS the job ends
 * and says how many it left. The next look, an hour later, begins again.
 */

#define RETAIN_STEP_MS 50
#define RETAIN_BATCH_FIRST 8
#define RETAIN_BATCH_MAX 256
#define RETAIN_FACTS_MAX 1000 /* of one origin in a step */
#define RETAIN_IDLE_MS 1000
#define RETAIN_WALK_PAUSE_MS 2000
#define RETAIN_WALKS 5
#define RETAIN_LEASE_MS 30000
#define RETAIN_LOOK_MS INSTANT_HOUR_MS

static const struct str kind = { "retention", sizeof("retention") - 1 };

int64_t retain_before(int64_t now_ms, int64_t keep_ms)
{
    return partition_month_floor(now_ms - keep_ms);
}

/* --- the job's row ----------------------------------------------------------- */

static struct str progress_write(struct arena *arena, const struct retain_progress *progress)
{
    char after[ID_TEXT_SIZE];
    id_format(progress->after_id, after);
    return str_printf(arena,
                      "{\"after\":\"%s\",\"facts\":%lld,\"origins\":%lld,\"skipped\":%lld,"
                      "\"walk\":%lld}",
                      after, (long long)progress->facts, (long long)progress->origins,
                      (long long)progress->skipped, (long long)progress->walk);
}

static struct retain_progress progress_read(struct str cursor_json)
{
    struct retain_progress progress = { .walk = 1 };
    json_t *root = json_loadb(cursor_json.data, cursor_json.size, 0, NULL);
    const char *after = json_string_value(json_object_get(root, "after"));
    if (after != NULL && id_parse(str_from_z(after), &progress.after_id)) {
        progress.facts = json_integer_value(json_object_get(root, "facts"));
        progress.origins = json_integer_value(json_object_get(root, "origins"));
        progress.skipped = json_integer_value(json_object_get(root, "skipped"));
        progress.walk = json_integer_value(json_object_get(root, "walk"));
    }
    json_decref(root);
    return progress;
}

static enum status save_progress(struct retain *retain, const struct retain_progress *progress,
                                 bool *out_cancel, struct problem *problem)
{
    const struct job_progress row = {
        .workspace_id = retain->job_workspace_id,
        .job_id = retain->job_id,
        .owner = retain->instance_id,
        .cursor_json = progress_write(retain->arena, progress),
        .done = progress->origins,
        .total = -1,
        .lease_until_ms = clock_now_ms() + RETAIN_LEASE_MS,
    };
    return job_progress(retain->pg, retain->arena, &row, out_cancel, problem);
}

static enum status end_job(struct retain *retain, enum job_status ending, struct problem *problem)
{
    const struct retain_progress *progress = &retain->progress;
    const struct job_end end = {
        .workspace_id = retain->job_workspace_id,
        .job_id = retain->job_id,
        .owner = retain->instance_id,
        .status = ending,
        .result_json = str_printf(retain->arena, "{\"facts\":%lld,\"profiles\":%lld,\"left\":%lld}",
                                  (long long)progress->facts, (long long)progress->origins,
                                  (long long)progress->skipped),
        .at_ms = clock_now_ms(),
    };
    retain->job_id = ID_ZERO;
    return job_finish(retain->pg, retain->arena, &end, problem);
}

/* --- a step of it ------------------------------------------------------------- */

static void adapt(struct retain *retain, int64_t found, int64_t took_ms)
{
    if (took_ms > retain->step_ms && retain->batch_size > 1) {
        retain->batch_size /= 2;
    } else if (took_ms < retain->step_ms / 2 && found >= (int64_t)retain->batch_size &&
               retain->batch_size < RETAIN_BATCH_MAX) {
        retain->batch_size *= 2;
    }
}

static enum status walk_on(struct retain *retain, const struct base_walked *walked, bool cancel,
                           struct problem *problem)
{
    if (cancel) {
        return end_job(retain, JOB_CANCELLED, problem);
    }
    if (!walked->is_end) {
        return STATUS_OK;
    }
    if (retain->progress.skipped == 0 || retain->progress.walk >= RETAIN_WALKS) {
        return end_job(retain, JOB_SUCCEEDED, problem);
    }
    retain->progress.after_id = ID_ZERO;
    retain->progress.skipped = 0;
    retain->progress.walk++;
    retain->idle_until_ms = clock_monotonic_ms() + RETAIN_WALK_PAUSE_MS;
    return STATUS_OK;
}

static enum status job_step(struct retain *retain, const struct ruleset *newest,
                            struct problem *problem)
{
    const struct base_walk walk = {
        .workspace_id = retain->job_workspace_id,
        .ruleset = newest,
        .before_ms = retain->job_before_ms,
        .after_id = retain->progress.after_id,
        .origins_max = retain->batch_size,
        .facts_max = RETAIN_FACTS_MAX,
    };
    int64_t started_ms = clock_monotonic_ms();
    struct base_walked walked = { 0 };
    struct retain_progress progress = retain->progress;
    bool cancel = false;
    arena_reset(retain->arena);
    enum status status = base_walk(retain->pg, retain->arena, &walk, &walked, problem);
    progress.after_id = walked.last_id;
    progress.facts += walked.facts;
    progress.origins += walked.origins;
    progress.skipped += walked.skipped;
    if (status == STATUS_OK) {
        status = save_progress(retain, &progress, &cancel, problem);
    }
    if (status == STATUS_OK && walked.is_open) {
        status = pg_run(retain->pg, retain->arena, &pg_commit, NULL, NULL, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    retain->progress = progress;
    adapt(retain, walked.origins + walked.skipped, clock_monotonic_ms() - started_ms);
    return walk_on(retain, &walked, cancel, problem);
}

/* --- which job ----------------------------------------------------------------- */

static enum status find_job(struct retain *retain, struct problem *problem)
{
    struct id *workspace_ids = NULL;
    size_t count = 0;
    struct job job;
    int64_t now_ms = clock_now_ms();
    enum status status =
        job_waiting(retain->pg, retain->arena, kind, now_ms, 1, &workspace_ids, &count, problem);
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    status = job_claim(retain->pg, retain->arena, workspace_ids[0], kind, retain->instance_id,
                       now_ms, now_ms + RETAIN_LEASE_MS, &job, problem);
    if (status != STATUS_OK) {
        return status == STATUS_MISSING ? STATUS_OK : status;
    }
    json_t *root = json_loadb(job.parameters_json.data, job.parameters_json.size, 0, NULL);
    retain->job_before_ms = json_integer_value(json_object_get(root, "before_ms"));
    json_decref(root);
    retain->job_id = job.id;
    retain->job_workspace_id = job.workspace_id;
    retain->progress = progress_read(job.cursor_json);
    return STATUS_OK;
}

static enum status queue_job(struct retain *retain, struct id workspace_id, int64_t before_ms,
                             bool *out_queued, struct problem *problem)
{
    struct job open;
    enum status status = job_open_of(retain->pg, retain->arena, workspace_id, kind, &open, problem);
    if (status != STATUS_MISSING) {
        return status;
    }
    const struct job job = {
        .workspace_id = workspace_id,
        .id = id_create(),
        .kind = kind,
        .parameters_json = str_printf(retain->arena, "{\"before_ms\":%lld}", (long long)before_ms),
        .cursor_json = STR("{}"),
        .total = -1,
        .created_at_ms = clock_now_ms(),
    };
    *out_queued = true;
    return job_create(retain->pg, retain->arena, &job, problem);
}

enum status retain_look(struct retain *retain, size_t *out_queued, struct problem *problem)
{
    int64_t before_ms = retain_before(clock_now_ms(), retain->keep_ms);
    struct id *ids = NULL;
    size_t count = 0;
    const struct registry_snapshot *snapshot = registry_hold(retain->registry);
    arena_reset(retain->arena);
    enum status status = base_wanted(retain->pg, retain->arena, before_ms, &ids, &count, problem);
    *out_queued = 0;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct registry_workspace *workspace = snapshot_workspace(snapshot, ids[i]);
        bool is_queued = false;
        if (workspace != NULL && workspace->ruleset_count > 0) {
            status = queue_job(retain, ids[i], before_ms, &is_queued, problem);
        }
        *out_queued += is_queued ? 1 : 0;
    }
    registry_release(retain->registry, snapshot);
    return status;
}

static enum status merge_months(struct retain *retain, struct problem *problem)
{
    size_t merged = 0;
    return partition_merge_history(retain->pg, retain_before(clock_now_ms(), retain->keep_ms),
                                   &merged, problem);
}

static enum status look(struct retain *retain, struct problem *problem)
{
    size_t queued = 0;
    enum status status = retain_look(retain, &queued, problem);
    if (status == STATUS_OK) {
        status = merge_months(retain, problem);
    }
    if (status == STATUS_OK) {
        retain->look_at_ms = clock_monotonic_ms() + RETAIN_LOOK_MS;
    }
    return status;
}

/* --- a step --------------------------------------------------------------------- */

static enum status work(struct retain *retain, struct problem *problem)
{
    const struct registry_snapshot *snapshot = registry_hold(retain->registry);
    const struct registry_workspace *workspace =
        snapshot_workspace(snapshot, retain->job_workspace_id);
    enum status status = STATUS_OK;
    if (workspace == NULL || workspace->ruleset_count == 0) {
        retain->job_id = ID_ZERO; /* its lease runs out, then it is claimed again */
    } else {
        status = job_step(retain, workspace->rulesets[workspace->ruleset_count - 1], problem);
    }
    registry_release(retain->registry, snapshot);
    return status;
}

enum status retain_step(struct retain *retain, bool *out_worked, struct problem *problem)
{
    enum status status = STATUS_OK;
    *out_worked = false;
    if (clock_monotonic_ms() < retain->idle_until_ms) {
        return STATUS_OK;
    }
    if (retain->batch_size == 0) {
        retain->batch_size = RETAIN_BATCH_FIRST;
    }
    if (retain->step_ms == 0) {
        retain->step_ms = RETAIN_STEP_MS;
    }
    arena_reset(retain->arena);
    if (!id_is_zero(retain->job_id)) {
        status = work(retain, problem);
        if (status == STATUS_OK && id_is_zero(retain->job_id) && retain->keep_ms > 0) {
            status = merge_months(retain, problem); /* it has ended: they may be empty */
        }
    } else if (retain->keep_ms > 0 && clock_monotonic_ms() >= retain->look_at_ms) {
        status = look(retain, problem);
    }
    if (status == STATUS_OK && id_is_zero(retain->job_id)) {
        status = find_job(retain, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(retain->pg);
        retain->job_id = ID_ZERO;
    }
    *out_worked = status == STATUS_OK && !id_is_zero(retain->job_id) &&
                  clock_monotonic_ms() >= retain->idle_until_ms;
    if (id_is_zero(retain->job_id)) {
        retain->idle_until_ms = clock_monotonic_ms() + RETAIN_IDLE_MS;
    }
    return status;
}
