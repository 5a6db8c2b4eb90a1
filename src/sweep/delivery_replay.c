#include "sweep/delivery_replay.h"

#include <jansson.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "store/delivery_replay.h"
#include "store/notification_read.h"

/*
 * Sending again, in chunks.
 *
 * A chunk and the cursor behind it are one transaction, so a process that is
 * killed leaves every notification either queued, with the cursor past it, or
 * untouched. Nothing is remembered between chunks but which job it is: the
 * parameters and the cursor are read from its row each time, which a second
 * instance does as well when the lease of a dead one has run out.
 */

#define LEASE_MS 10000
#define IDLE_MS 500
enum {
    CHUNK = 200,
    CURSOR_BYTES = 1024,
};

struct chunk {
    struct replay_walk walk;
    int64_t looked; /* at attempts */
    int64_t queued;
    int64_t pending; /* already */
    int64_t missing; /* not kept any more */
};

static int64_t instant_of(const json_t *root, const char *key)
{
    int64_t at_ms = 0;
    (void)instant_parse(str_from_z(json_string_value(json_object_get(root, key))), true, &at_ms,
                        NULL);
    return at_ms;
}

static void chunk_read(const struct job *job, struct chunk *chunk)
{
    json_t *root = json_loadb(job->parameters_json.data, job->parameters_json.size, 0, NULL);
    json_t *cursor = json_loadb(job->cursor_json.data, job->cursor_json.size, 0, NULL);
    const char *status = json_string_value(json_object_get(root, "status"));
    *chunk = (struct chunk){
        .walk = { .workspace_id = job->workspace_id,
                  .since_ms = instant_of(root, "since"),
                  .until_ms = instant_of(root, "until"),
                  .only_failed = status == NULL || strcmp(status, "failed") == 0,
                  .limit = CHUNK },
        .looked = json_integer_value(json_object_get(cursor, "looked")),
        .queued = json_integer_value(json_object_get(cursor, "queued")),
        .pending = json_integer_value(json_object_get(cursor, "pending")),
        .missing = json_integer_value(json_object_get(cursor, "missing")),
    };
    chunk->walk.after_ms = chunk->walk.since_ms;
    (void)id_parse(str_from_z(json_string_value(json_object_get(root, "subscription_id"))),
                   &chunk->walk.subscription_id);
    if (json_is_integer(json_object_get(cursor, "at"))) {
        chunk->walk.after_ms = json_integer_value(json_object_get(cursor, "at"));
        (void)id_parse(str_from_z(json_string_value(json_object_get(cursor, "after"))),
                       &chunk->walk.after_id);
    }
    json_decref(cursor);
    json_decref(root);
}

static struct str chunk_write(struct arena *arena, const struct chunk *chunk, bool has_place)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, CURSOR_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    if (has_place) {
        jsonw_put_i64(&json, "at", chunk->walk.after_ms);
        jsonw_put_id(&json, "after", chunk->walk.after_id);
        jsonw_put_i64(&json, "looked", chunk->looked);
    }
    jsonw_put_i64(&json, "queued", chunk->queued);
    jsonw_put_i64(&json, "pending", chunk->pending);
    jsonw_put_i64(&json, "missing", chunk->missing);
    jsonw_close(&json);
    return buf_str(&buf);
}

/* When the notification was made; INSTANT_NONE: it is not kept. */
static enum status find_created(const struct delivery_replay *replay, const struct chunk *chunk,
                                const struct replay_candidate *row, int64_t *out_ms,
                                struct problem *problem)
{
    struct notification_view view;
    *out_ms = row->created_at_ms;
    if (row->created_at_ms != INSTANT_NONE) {
        return STATUS_OK;
    }
    enum status status = notification_find(replay->pg, replay->arena, chunk->walk.workspace_id,
                                           row->notification_id, &view, problem);
    if (status == STATUS_OK) {
        *out_ms = view.created_at_ms;
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

static enum status queue_wanted(const struct delivery_replay *replay, struct chunk *chunk,
                                const struct replay_candidate *rows, size_t count,
                                struct problem *problem)
{
    struct replay_item items[CHUNK];
    size_t wanted = 0;
    size_t found = 0;
    size_t queued = 0;
    const struct replay_walk *walk = &chunk->walk;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        int64_t created_at_ms = INSTANT_NONE;
        if (!rows[i].is_wanted) {
            continue;
        }
        status = find_created(replay, chunk, &rows[i], &created_at_ms, problem);
        if (created_at_ms == INSTANT_NONE) {
            chunk->missing++;
        } else {
            items[wanted++] = (struct replay_item){ rows[i].notification_id, created_at_ms };
        }
    }
    if (status == STATUS_OK && wanted > 0) {
        status = delivery_replay_queue(replay->pg, replay->arena, walk->workspace_id,
                                       walk->subscription_id, items, wanted, clock_now_ms(), &found,
                                       &queued, problem);
    }
    chunk->queued += (int64_t)queued;
    chunk->pending += (int64_t)(found - queued);
    chunk->missing += (int64_t)(wanted - found);
    return status;
}

static enum status end_job(struct delivery_replay *replay, const struct chunk *chunk,
                           enum job_status ending, const char *error, struct problem *problem)
{
    const struct job_end end = {
        .workspace_id = replay->job_workspace_id,
        .job_id = replay->job_id,
        .owner = replay->instance_id,
        .status = ending,
        .result_json = chunk_write(replay->arena, chunk, false),
        .error = str_from_z(error),
        .at_ms = clock_now_ms(),
    };
    replay->job_id = ID_ZERO;
    return job_finish(replay->pg, replay->arena, &end, problem);
}

/* In an open transaction. */
static enum status work_chunk(struct delivery_replay *replay, struct chunk *chunk, bool *out_cancel,
                              bool *out_is_end, struct problem *problem)
{
    struct replay_candidate *rows = NULL;
    size_t count = 0;
    enum status status =
        delivery_replay_scan(replay->pg, replay->arena, &chunk->walk, &rows, &count, problem);
    if (status == STATUS_OK) {
        status = queue_wanted(replay, chunk, rows, count, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (count > 0) {
        chunk->walk.after_ms = rows[count - 1].at_ms;
        chunk->walk.after_id = rows[count - 1].attempt_id;
        chunk->looked += (int64_t)count;
    }
    const struct job_progress progress = {
        .workspace_id = replay->job_workspace_id,
        .job_id = replay->job_id,
        .owner = replay->instance_id,
        .cursor_json = chunk_write(replay->arena, chunk, true),
        .done = chunk->queued + chunk->pending + chunk->missing,
        .total = -1,
        .lease_until_ms = clock_now_ms() + LEASE_MS,
    };
    *out_is_end = count < CHUNK;
    return job_progress(replay->pg, replay->arena, &progress, out_cancel, problem);
}

static enum status work(struct delivery_replay *replay, struct problem *problem)
{
    struct job job;
    struct chunk chunk;
    bool cancel = false;
    bool is_end = false;
    enum status status = job_find(replay->pg, replay->arena, replay->job_workspace_id,
                                  replay->job_id, &job, problem);
    if (status == STATUS_OK) {
        chunk_read(&job, &chunk);
        status = pg_run(replay->pg, replay->arena, &pg_begin, NULL, NULL, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!job.cancel) {
        status = work_chunk(replay, &chunk, &cancel, &is_end, problem);
    }
    if (status == STATUS_OK) {
        status = pg_run(replay->pg, replay->arena, &pg_commit, NULL, NULL, problem);
    }
    if (status == STATUS_MISSING) {
        pg_reset(replay->pg);
        return end_job(replay, &chunk, JOB_FAILED, "the subscription is gone", problem);
    }
    if (status == STATUS_OK && (job.cancel || cancel)) {
        return end_job(replay, &chunk, JOB_CANCELLED, "", problem);
    }
    return status == STATUS_OK && is_end ? end_job(replay, &chunk, JOB_SUCCEEDED, "", problem)
                                         : status;
}

static enum status find_job(struct delivery_replay *replay, struct problem *problem)
{
    struct id *workspace_ids = NULL;
    size_t count = 0;
    struct job job;
    int64_t now_ms = clock_now_ms();
    enum status status = job_waiting(replay->pg, replay->arena, DELIVERY_REPLAY_JOB, now_ms, 1,
                                     &workspace_ids, &count, problem);
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    status = job_claim(replay->pg, replay->arena, workspace_ids[0], DELIVERY_REPLAY_JOB,
                       replay->instance_id, now_ms, now_ms + LEASE_MS, &job, problem);
    if (status == STATUS_OK) {
        replay->job_id = job.id;
        replay->job_workspace_id = job.workspace_id;
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

enum status delivery_replay_step(struct delivery_replay *replay, bool *out_worked,
                                 struct problem *problem)
{
    enum status status = STATUS_OK;
    *out_worked = false;
    if (id_is_zero(replay->job_id) && clock_monotonic_ms() < replay->idle_until_ms) {
        return STATUS_OK;
    }
    arena_reset(replay->arena);
    status = id_is_zero(replay->job_id) ? find_job(replay, problem) : work(replay, problem);
    if (status != STATUS_OK) {
        pg_reset(replay->pg);
        replay->job_id = ID_ZERO;
    }
    *out_worked = status == STATUS_OK && !id_is_zero(replay->job_id);
    if (id_is_zero(replay->job_id)) {
        replay->idle_until_ms = clock_monotonic_ms() + IDLE_MS;
    }
    return status;
}
