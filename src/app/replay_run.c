#include "app/replay_run.h"

#include <jansson.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "base/log.h"
#include "replay_priv.h"

/*
 * The life of a replay, whatever it walks over.
 *
 * Problem: an adapter or a mapping was wrong for a week. What it did is mended by
 * reading a week's deliveries again, while new ones come in, and by a process that
 * may be killed.
 *
 * Invariant: each delivery is a transaction of its own that may be done any number
 * of times, so the cursor is written behind it and a crash repeats at most what
 * lies between. Rules, settings and statistics are those of now, looked up again
 * for each delivery. Nothing rings: a replay is told silently (correctness 4c).
 */

enum {
    JOB_ARENA_BYTES = 8 * 1024 * 1024,
    ROWS_BYTES = 1024 * 1024,
    ROWS_SHOWN = 100,
    TYPES_SHOWN = 16,
};

/* --- parameters and cursor ------------------------------------------------------ */

static struct str text_of(const json_t *root, const char *key)
{
    return str_from_z(json_string_value(json_object_get(root, key)));
}

static int64_t instant_of(const json_t *root, const char *key, int64_t otherwise_ms)
{
    int64_t at_ms = otherwise_ms;
    return instant_parse(text_of(root, key), true, &at_ms, NULL) ? at_ms : otherwise_ms;
}

static void read_parameters(struct replay *replay)
{
    struct str text = replay->job.parameters_json;
    json_t *root = json_loadb(text.data, text.size, 0, NULL);
    replay->is_of_quarantine = str_equal(text_of(root, "what"), STR("quarantine"));
    replay->is_dry = json_is_true(json_object_get(root, "dry_run"));
    (void)id_parse(text_of(root, "id"), &replay->row_id);
    (void)id_parse(text_of(root, "source_id"), &replay->source_id);
    replay->topic = str_dup(replay->arena, text_of(root, "topic"));
    replay->since_ms = instant_of(root, "since", INSTANT_NONE);
    replay->until_ms = instant_of(root, "until", replay->job.created_at_ms);
    json_decref(root);
}

struct counter {
    const char *name;
    size_t offset;
};
static const struct counter COUNTERS[] = {
    { "deliveries", offsetof(struct replay_counts, deliveries) },
    { "replayed", offsetof(struct replay_counts, replayed) },
    { "unchanged", offsetof(struct replay_counts, unchanged) },
    { "unreadable", offsetof(struct replay_counts, unreadable) },
    { "refused", offsetof(struct replay_counts, refused) },
    { "ignored", offsetof(struct replay_counts, ignored) },
    { "applied", offsetof(struct replay_counts, applied) },
    { "duplicate", offsetof(struct replay_counts, duplicate) },
};

static int64_t *counter_in(struct replay_counts *counts, const struct counter *counter)
{
    return (int64_t *)(void *)((char *)counts + counter->offset);
}

static void read_cursor(struct replay *replay)
{
    struct str text = replay->job.cursor_json;
    json_t *root = json_loadb(text.data, text.size, 0, NULL);
    replay->after_ms = json_integer_value(json_object_get(root, "at"));
    (void)id_parse(text_of(root, "after"), &replay->after_id);
    for (size_t i = 0; i < ARRAY_COUNT(COUNTERS); i++) {
        *counter_in(&replay->counts, &COUNTERS[i]) =
            json_integer_value(json_object_get(root, COUNTERS[i].name));
    }
    json_decref(root);
}

static void write_counts(struct jsonw *json, struct replay *replay)
{
    for (size_t i = 0; i < ARRAY_COUNT(COUNTERS); i++) {
        jsonw_put_i64(json, COUNTERS[i].name, *counter_in(&replay->counts, &COUNTERS[i]));
    }
}

enum status replay_progress(struct replay *replay, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    arena_reset(replay->work);
    buf_init(&buf, replay->work, 4096);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_i64(&json, "at", replay->after_ms);
    jsonw_put_id(&json, "after", replay->after_id);
    write_counts(&json, replay);
    jsonw_close(&json);
    const struct job_progress progress = {
        .workspace_id = replay->job.workspace_id,
        .job_id = replay->job.id,
        .owner = replay->config->owner,
        .cursor_json = buf_str(&buf),
        .done = replay->counts.deliveries,
        .total = replay->total,
        .lease_until_ms = clock_now_ms() + REPLAY_LEASE_MS,
    };
    enum status status =
        job_progress(replay->config->pg, replay->work, &progress, &replay->is_cancelled, problem);
    bool is_stopping =
        replay->config->is_stopping != NULL && replay->config->is_stopping(replay->config->user);
    return status == STATUS_OK && (replay->is_cancelled || is_stopping) ? STATUS_DENIED : status;
}

/* --- what the walks use --------------------------------------------------------- */

enum status replay_context(const struct replay *replay, const struct registry_snapshot *snapshot,
                           struct decide_context *out_context, struct problem *problem)
{
    const struct registry_workspace *workspace =
        snapshot_workspace(snapshot, replay->job.workspace_id);
    if (workspace == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "the workspace is not configured");
    }
    registry_decide_context(workspace, out_context);
    out_context->is_import = true;
    return STATUS_OK;
}

void replay_note(struct replay *replay, struct id id, const struct stored_delivery *delivery,
                 struct event *const *events, size_t event_count, struct str why)
{
    struct jsonw json;
    if (replay->row_count >= ROWS_SHOWN) {
        return;
    }
    if (replay->row_count++ > 0) {
        buf_add_char(&replay->rows, ',');
    }
    jsonw_begin(&json, &replay->rows);
    jsonw_open(&json);
    jsonw_put_id(&json, "id", id);
    jsonw_put_instant(&json, "received_at", delivery->received_at_ms);
    jsonw_put_str(&json, "topic", delivery->topic);
    jsonw_key(&json, "events");
    jsonw_open_array(&json);
    for (size_t i = 0; i < event_count && i < TYPES_SHOWN; i++) {
        jsonw_str(&json, events[i]->name);
    }
    jsonw_close_array(&json);
    jsonw_put_i64(&json, "event_count", (int64_t)event_count);
    jsonw_put_str_or_null(&json, "reason", why);
    jsonw_close(&json);
}

/* --- the whole ------------------------------------------------------------------ */

static struct str result_of(struct replay *replay)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, replay->arena, (size_t)2 * ROWS_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_bool(&json, "dry_run", replay->is_dry);
    write_counts(&json, replay);
    buf_add_char(&replay->rows, ']');
    jsonw_put_raw(&json, "rows", replay->rows.failed ? STR("[]") : buf_str(&replay->rows));
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status end_job(struct replay *replay, enum job_status outcome, const char *error,
                           struct problem *problem)
{
    const struct job_end end = {
        .workspace_id = replay->job.workspace_id,
        .job_id = replay->job.id,
        .owner = replay->config->owner,
        .status = outcome,
        .result_json = result_of(replay),
        .error = str_from_z(error),
        .at_ms = clock_now_ms(),
    };
    log_event(outcome == JOB_FAILED ? LOG_WARN : LOG_INFO, "replay_ended",
              LOG_ID("job", replay->job.id), LOG_Z("status", job_status_name(outcome)),
              LOG_I64("deliveries", replay->counts.deliveries),
              LOG_I64("replayed", replay->counts.replayed));
    return job_finish(replay->config->pg, replay->arena, &end, problem);
}

static enum status walk_and_end(struct replay *replay, struct problem *problem)
{
    struct problem fault = { .type = "" };
    read_parameters(replay);
    read_cursor(replay);
    enum status status = registry_refresh(replay->config->registry, false, &fault);
    if (status == STATUS_OK) {
        status = replay->is_of_quarantine ? replay_quarantine(replay, &fault)
                                          : replay_webhooks(replay, &fault);
    }
    if (status == STATUS_OK) {
        return end_job(replay, JOB_SUCCEEDED, "", problem);
    }
    if (replay->is_cancelled) {
        return end_job(replay, JOB_CANCELLED, "", problem);
    }
    if (status == STATUS_DENIED || status == STATUS_RETRY || status == STATUS_CONFLICT) {
        *problem = fault;
        return STATUS_RETRY;
    }
    return end_job(replay, JOB_FAILED, fault.detail, problem);
}

enum status replay_run(const struct replay_config *config, const struct job *job,
                       struct problem *problem)
{
    struct replay replay = { .config = config, .job = *job, .total = job->total };
    replay.arena = arena_create(JOB_ARENA_BYTES);
    replay.page = arena_create(LIMIT_ARENA_BATCH_BYTES);
    replay.work = arena_create(LIMIT_ARENA_BATCH_BYTES);
    enum status status = replay.arena != NULL && replay.page != NULL && replay.work != NULL
                             ? pg_open(config->database_url, true, &replay.pg)
                             : STATUS_BROKEN;
    if (status == STATUS_OK) {
        buf_init(&replay.rows, replay.arena, ROWS_BYTES);
        buf_add_char(&replay.rows, '[');
        status = walk_and_end(&replay, problem);
    } else {
        status = problem_set(problem, STATUS_RETRY, "internal", "no memory for a replay");
    }
    pg_close(replay.pg);
    arena_destroy(replay.work);
    arena_destroy(replay.page);
    arena_destroy(replay.arena);
    return status;
}
