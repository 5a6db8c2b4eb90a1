#include "app/app.h"
#include "app/endpoint_tally.h"
#include "app/metrics.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "sources/platform.h"
#include "store/migrate.h"
#include "store/pg.h"

/*
 * The seams: callbacks through which layers that must not include each other
 * work together. Each is a line or two; what decides stands on either side.
 *
 * Readiness is an opinion about the last seconds, formed without asking
 * anybody: the background thread says once a second that the database answered,
 * now and then what its clock reads and whether its schema is still ours. A
 * probe that asked the database itself would add load exactly when there is
 * too much of it, and block a thread that must not.
 */

enum {
    DATABASE_SILENCE_MS_MAX = 5000,
    CLOCK_OFFSET_MS_MAX = 250, /* correctness 13 */
    SCHEMA_CHECK_MS = 30000,
};

enum status app_parse_source(struct arena *arena, struct source *source)
{
    struct problem problem;
    const struct platform *platform = platform_find(source->platform);
    return platform != NULL
               ? platform_parse_settings(arena, platform, source->settings_json, source, &problem)
               : STATUS_INVALID;
}

size_t app_sender_room(void *app)
{
    const struct app *self = app;
    return sender_room(self->sender);
}

size_t app_hand_over(void *app, const struct delivery *deliveries, size_t count)
{
    const struct app *self = app;
    return sender_hand_over(self->sender, deliveries, count);
}

void app_due_hint(void *app, int64_t due_at_ms)
{
    const struct app *self = app;
    due_hint(self->due, due_at_ms);
}

void app_fan_out_hint(void *app)
{
    const struct app *self = app;
    fan_out_hint(self->fan_out);
}

void app_observe_batch(void *app, size_t events, int64_t duration_us, enum status status)
{
    struct app *self = app;
    metrics_batch(self->metrics, events, duration_us, status);
    if (status == STATUS_OK) {
        atomic_fetch_add(&self->ingested, (int64_t)events);
        atomic_store(&self->database_seen_ms, clock_monotonic_ms());
    }
}

int64_t app_ingested(void *app)
{
    struct app *self = app;
    return atomic_load(&self->ingested);
}

void app_observe_due(void *app, size_t profiles, int64_t lag_ms)
{
    const struct app *self = app;
    metrics_due(self->metrics, profiles, lag_ms);
}

void app_observe_attempt(void *app, enum attempt_outcome outcome, int64_t duration_ms)
{
    const struct app *self = app;
    metrics_attempt(self->metrics, outcome, duration_ms);
}

static void database_check(struct app *self, struct pg *pg)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - self->schema_checked_ms < SCHEMA_CHECK_MS) {
        return;
    }
    self->schema_checked_ms = now_ms;
    struct problem problem = { .detail = "" };
    enum status status = migrate_check(pg, &problem);
    if (status == STATUS_RETRY) {
        return;
    }
    bool matches = status == STATUS_OK;
    if (!matches && atomic_load(&self->schema_matches)) {
        log_event(LOG_ERROR, "the database's schema is no longer this program's",
                  LOG_Z("detail", problem.detail));
    }
    atomic_store(&self->schema_matches, matches);
}

void app_flush(void *app, struct pg *pg)
{
    struct app *self = app;
    source_stats_flush(self->source_stats, pg);
    plan_counts_flush(self->registry, pg);
    endpoint_tally_flush(self->tally, pg);
    if (pg_is_connected(pg)) {
        atomic_store(&self->database_seen_ms, clock_monotonic_ms());
        database_check(self, pg);
    }
}

void app_report_work(void *app, const char *work, const struct problem *problem)
{
    (void)app;
    log_event(LOG_WARN, "a step of long work failed and will be tried again",
              LOG_STR("work", str_from_z(work)), LOG_STR("detail", str_from_z(problem->detail)));
}

void app_clock_offset(void *app, int64_t offset_ms)
{
    struct app *self = app;
    int64_t before_ms = atomic_exchange(&self->clock_offset_ms, offset_ms);
    bool is_off = llabs(offset_ms) > CLOCK_OFFSET_MS_MAX;
    if (is_off && llabs(before_ms) <= CLOCK_OFFSET_MS_MAX) {
        log_event(LOG_ERROR, "the database's clock differs too much from ours: not ready",
                  LOG_I64("offset_ms", offset_ms));
    }
}

static bool database_is_up(const struct app *self)
{
    int64_t silence_ms = clock_monotonic_ms() - atomic_load(&self->database_seen_ms);
    return silence_ms <= DATABASE_SILENCE_MS_MAX;
}

static bool check_write(struct jsonw *json, const char *name, bool is_ok, const char *remedy)
{
    jsonw_key(json, name);
    jsonw_open(json);
    jsonw_put_bool(json, "ok", is_ok);
    if (!is_ok) {
        jsonw_put_z(json, "detail", remedy);
    }
    jsonw_close(json);
    return is_ok;
}

static bool readiness_write(struct app *self, struct jsonw *json)
{
    bool offset_ok = llabs(atomic_load(&self->clock_offset_ms)) <= CLOCK_OFFSET_MS_MAX;
    bool is_ready = check_write(json, "database", database_is_up(self),
                                "the database has not answered for five seconds");
    is_ready = check_write(json, "schema", atomic_load(&self->schema_matches),
                           "migrations are missing: shopbell migrate") &&
               is_ready;
    is_ready = check_write(json, "intake", intake_is_healthy(self->intake),
                           "the last batch failed for a reason of the server's own; see its log") &&
               is_ready;
    is_ready =
        check_write(json, "clock", offset_ok,
                    "the database's clock is more than 250 ms off ours: check NTP on both") &&
        is_ready;
    return check_write(json, "accepting", !atomic_load(&self->is_draining), "shutting down") &&
           is_ready;
}

bool app_readiness(void *app, struct buf *json)
{
    struct jsonw writer;
    jsonw_begin(&writer, json);
    jsonw_open(&writer);
    bool is_ready = readiness_write(app, &writer);
    jsonw_close(&writer);
    return is_ready;
}

void app_write_metrics(void *app, struct buf *text)
{
    struct app *self = app;
    char storage[2048];
    struct buf unread = { .data = storage,
                          .capacity = sizeof(storage) - 1,
                          .max_bytes = sizeof(storage) - 1 };
    struct metrics_gauges gauges = {
        .intake_backlog = intake_backlog(self->intake),
        .sender_room = sender_room(self->sender),
        .database_up = database_is_up(self),
        .ready = app_readiness(self, &unread),
        .clock_offset_ms = atomic_load(&self->clock_offset_ms),
        .started_at_ms = self->started_at_ms,
    };
    http_server_stats(self->http, &gauges.http);
    metrics_write(self->metrics, &gauges, text);
    const struct registry_snapshot *snapshot = registry_hold(self->registry);
    endpoint_tally_write(self->tally, snapshot, text);
    registry_release(self->registry, snapshot);
}

void app_observe_request(void *api, const char *pattern, unsigned http_status, int64_t duration_us)
{
    const struct api *face = api;
    const struct app *self = face->app;
    metrics_request(self->metrics, pattern, http_status, duration_us);
}

void *app_worker_open(void *api)
{
    const struct api *face = api;
    const struct app *self = face->app;
    struct pg *pg = NULL;
    return pg_open(self->cli->database_url, false, &pg) == STATUS_OK ? pg : NULL;
}

void app_worker_close(void *api, void *context)
{
    (void)api;
    pg_close(context);
}
