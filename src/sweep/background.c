#include "sweep/background.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "store/batch.h"
#include "store/endpoint_hour.h"
#include "store/migrate.h"
#include "store/retention.h"
#include "sweep/backtest.h"
#include "sweep/care.h"
#include "sweep/delivery_replay.h"
#include "sweep/hydrate.h"
#include "sweep/retain.h"
#include "sweep/silence.h"
#include "sweep/traffic.h"

/*
 * Background work: nothing here is in anybody's way, so it is done in steps,
 * the registry's poll before each, since other instances' configuration must be
 * seen within 250 ms whatever else goes on.
 *
 * Each task has its own period; a failed one is simply due again next time. The
 * thread keeps no state that a crash could lose.
 */

#define BACKGROUND_TICK_MS 250
#define BACKGROUND_RECEIPTS 500 /* one statement: some 10 ms */
#define BACKGROUND_SWEEP_MS 2000
/* A week is shown; a month is for whoever asks the table. */
#define ENDPOINT_HOURS_KEPT_MS (31 * INSTANT_DAY_MS)

/* Long work by itself may have a core. Beside live traffic the steps that lock are
 * short, since a webhook of a customer who is being brought up or folded waits for
 * the step's commit, and after each there is a rest half as long, since the ingest
 * wants both cores now and then. Measured on two cores at 1,000 webhooks/s, with
 * hydration: steps of 50 ms without a rest doubled the ingest's p99. */
#define BACKGROUND_STEP_MS 50
#define BACKGROUND_LIVE_STEP_MS 25
#define BACKGROUND_LIVE_BATCH 64 /* to begin with: adapts to the step */

struct background_task {
    int64_t period_ms;
    int64_t next_ms; /* monotonic */
    enum status (*run)(struct background *background, struct problem *problem);
};

enum {
    TASK_COUNT = 6
};

struct background {
    struct background_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;
    struct pg *pg;
    struct arena *arena;
    struct background_task tasks[TASK_COUNT];
    struct hydrate hydrate;
    struct traffic traffic;
    /* On the connection of hydrate, between its steps. */
    struct backtest backtest;
    struct retain retain;
    struct silence_watch silence;
    struct care_watch care;
    struct delivery_replay replay;
};

static enum status task_flush(struct background *background, struct problem *problem)
{
    (void)problem;
    background->config.flush(background->config.app, background->pg);
    return STATUS_OK;
}

static enum status task_clock(struct background *background, struct problem *problem)
{
    int64_t database_ms = 0;
    int64_t before_ms = clock_now_ms();
    enum status status =
        retention_database_clock(background->pg, background->arena, &database_ms, problem);
    if (status == STATUS_OK) {
        /* Half the round trip belongs to the way there. */
        int64_t ours_ms = before_ms + (clock_now_ms() - before_ms) / 2;
        background->config.clock_offset(background->config.app, database_ms - ours_ms);
    }
    return status;
}

static enum status task_partitions(struct background *background, struct problem *problem)
{
    enum status status = partition_ensure(background->pg, clock_now_ms(), problem);
    if (status == STATUS_OK) {
        const struct partition_keep keep = {
            .now_ms = clock_now_ms(),
            .webhook_ms = background->config.webhook_retention_ms,
            .attempt_ms = background->config.attempt_retention_ms,
            .notification_ms = background->config.notification_retention_ms,
        };
        status = partition_expire(background->pg, &keep, problem);
    }
    return status;
}

typedef enum status expire_fn(struct pg *pg, struct arena *arena, struct id workspace_id,
                              int64_t before_ms, size_t limit, size_t *out_deleted,
                              struct problem *problem);

/* Up to BACKGROUND_SWEEP_MS each time, in statements of BACKGROUND_RECEIPTS. */
static enum status expire_rows(struct background *background, expire_fn *expire,
                               struct id workspace_id, int64_t until_ms, struct problem *problem)
{
    int64_t before_ms = clock_now_ms() - BATCH_RECEIPT_HORIZON_MS;
    size_t deleted = BACKGROUND_RECEIPTS;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && deleted == BACKGROUND_RECEIPTS &&
           clock_monotonic_ms() < until_ms) {
        arena_reset(background->arena);
        status = expire(background->pg, background->arena, workspace_id, before_ms,
                        BACKGROUND_RECEIPTS, &deleted, problem);
    }
    return status;
}

static enum status expire_workspace(struct background *background, struct id workspace_id,
                                    int64_t until_ms, struct problem *problem)
{
    int64_t now_ms = clock_now_ms();
    size_t deleted = 0;
    enum status status =
        expire_rows(background, retention_receipts, workspace_id, until_ms, problem);
    if (status == STATUS_OK) {
        status = expire_rows(background, retention_universal, workspace_id, until_ms, problem);
    }
    if (status == STATUS_OK) {
        status = expire_rows(background, retention_fan_outs, workspace_id, until_ms, problem);
    }
    if (status == STATUS_OK) {
        status = endpoint_hour_expire(background->pg, background->arena, workspace_id,
                                      now_ms - ENDPOINT_HOURS_KEPT_MS, problem);
    }
    if (status == STATUS_OK) {
        status = retention_idempotency(background->pg, background->arena, workspace_id,
                                       now_ms - INSTANT_DAY_MS, &deleted, problem);
    }
    return status;
}

static enum status task_receipts(struct background *background, struct problem *problem)
{
    const struct registry_snapshot *snapshot = registry_hold(background->config.registry);
    int64_t until_ms = clock_monotonic_ms() + BACKGROUND_SWEEP_MS;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK; i++) {
        const struct registry_workspace *workspace = snapshot_workspace_at(snapshot, i);
        if (workspace == NULL) {
            break;
        }
        status = expire_workspace(background, workspace->id, until_ms, problem);
    }
    registry_release(background->config.registry, snapshot);
    return status;
}

static enum status task_silence(struct background *background, struct problem *problem)
{
    return silence_watch_turn(&background->silence, background->pg, background->arena, problem);
}

static enum status task_care(struct background *background, struct problem *problem)
{
    return care_watch_turn(&background->care, background->pg, background->arena, clock_now_ms(),
                           problem);
}

/* A failed refresh keeps the snapshot that is there; the next tick tries again. */
static void refresh_registry(struct background *background)
{
    struct problem problem = { 0 };
    enum status status = registry_refresh(background->config.registry, false, &problem);
    (void)status;
}

static void run_due_tasks(struct background *background)
{
    for (size_t i = 0; i < TASK_COUNT; i++) {
        struct background_task *task = &background->tasks[i];
        struct problem problem = { 0 };
        if (clock_monotonic_ms() < task->next_ms) {
            continue;
        }
        arena_reset(background->arena);
        if (task->run(background, &problem) != STATUS_OK) {
            pg_reset(background->pg);
        }
        task->next_ms = clock_monotonic_ms() + task->period_ms;
        /* Between steps, so that a slow one does not hide a new source. */
        refresh_registry(background);
    }
}

static bool tick(struct background *background, int64_t wait_ms)
{
    struct timespec at = thread_deadline(wait_ms);
    pthread_mutex_lock(&background->lock);
    if (!background->is_stopping) {
        pthread_cond_timedwait(&background->wake, &background->lock, &at);
    }
    bool goes_on = !background->is_stopping;
    pthread_mutex_unlock(&background->lock);
    return goes_on;
}

/* True when webhooks come, for which the steps are short. */
static bool make_room(struct background *background)
{
    bool was_live = background->traffic.is_live;
    bool is_live = traffic_is_live(&background->traffic);
    struct hydrate *hydrate = &background->hydrate;
    hydrate->step_ms = is_live ? BACKGROUND_LIVE_STEP_MS : BACKGROUND_STEP_MS;
    background->retain.step_ms = hydrate->step_ms;
    if (is_live && !was_live && hydrate->batch_size > BACKGROUND_LIVE_BATCH) {
        hydrate->batch_size = BACKGROUND_LIVE_BATCH;
    }
    return is_live;
}

typedef enum status step_fn(struct background *background, bool *out_worked,
                            struct problem *problem);

static enum status step_hydrate(struct background *background, bool *out_worked,
                                struct problem *problem)
{
    return hydrate_step(&background->hydrate, out_worked, problem);
}

static enum status step_backtest(struct background *background, bool *out_worked,
                                 struct problem *problem)
{
    background->backtest.pg = background->hydrate.pg;
    return backtest_step(&background->backtest, out_worked, problem);
}

static enum status step_retain(struct background *background, bool *out_worked,
                               struct problem *problem)
{
    background->retain.pg = background->hydrate.pg;
    return retain_step(&background->retain, out_worked, problem);
}

/* A few short statements a chunk: they fit beside live traffic as they are. */
static enum status step_replay(struct background *background, bool *out_worked,
                               struct problem *problem)
{
    background->replay.pg = background->hydrate.pg;
    background->replay.arena = background->retain.arena;
    return delivery_replay_step(&background->replay, out_worked, problem);
}

/* One step of long work; while webhooks come, and there is more, a rest after it.
 * False when it is time to stop. */
static bool run_step(struct background *background, const char *work, step_fn *step,
                     bool *out_worked)
{
    struct problem problem = { 0 };
    bool is_live = make_room(background);
    int64_t began_ms = clock_monotonic_ms();
    enum status status = step(background, out_worked, &problem);
    if (status != STATUS_OK && status != STATUS_RETRY && background->config.report != NULL) {
        background->config.report(background->config.app, work, &problem);
    }
    int64_t took_ms = clock_monotonic_ms() - began_ms;
    return !*out_worked || !is_live || tick(background, took_ms / 2 + 1);
}

/* Profiles on their way to newer rules: as many steps as fit between two polls
 * of the registry. True when there is more. */
static bool run_hydrate(struct background *background)
{
    int64_t until_ms = clock_monotonic_ms() + BACKGROUND_TICK_MS;
    bool worked = true;
    bool goes_on = true;
    while (worked && goes_on && clock_monotonic_ms() < until_ms) {
        goes_on = run_step(background, "hydrate", step_hydrate, &worked);
    }
    return worked;
}

static void *background_thread(void *argument)
{
    struct background *background = argument;
    int64_t wait_ms = BACKGROUND_TICK_MS;
    while (tick(background, wait_ms)) {
        refresh_registry(background);
        run_due_tasks(background);
        bool backtests = false;
        bool retains = false;
        bool replays = false;
        bool hydrates = run_hydrate(background);
        if (run_step(background, "backtest", step_backtest, &backtests) &&
            run_step(background, "retention", step_retain, &retains)) {
            (void)run_step(background, "delivery replay", step_replay, &replays);
        }
        wait_ms = hydrates || backtests || retains || replays ? 0 : BACKGROUND_TICK_MS;
    }
    struct problem problem = { 0 };
    (void)task_flush(background, &problem);
    return NULL;
}

enum status background_start(const struct background_config *config,
                             struct background **out_background, struct problem *problem)
{
    struct background *background = calloc(1, sizeof(*background));
    if (background == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for background work");
    }
    background->config = *config;
    background->traffic = (struct traffic){ .ingested = config->ingested, .app = config->app };
    background->tasks[0] = (struct background_task){ 1000, 0, task_flush };
    background->tasks[1] = (struct background_task){ 30000, 0, task_clock };
    background->tasks[2] = (struct background_task){ INSTANT_HOUR_MS, 0, task_partitions };
    background->tasks[3] = (struct background_task){ 10000, 0, task_receipts };
    background->tasks[4] = (struct background_task){ 1000, 0, task_silence };
    background->tasks[5] = (struct background_task){ 2000, 0, task_care };
    background->silence = (struct silence_watch){ .registry = config->registry };
    background->care = (struct care_watch){ .registry = config->registry };
    background->replay = (struct delivery_replay){ .instance_id = config->instance_id };
    pthread_mutex_init(&background->lock, NULL);
    pthread_cond_init(&background->wake, NULL);
    background->arena = arena_create(LIMIT_ARENA_REQUEST_BYTES);
    background->hydrate = (struct hydrate){ .registry = config->registry,
                                            .instance_id = config->instance_id,
                                            .arena = arena_create(LIMIT_ARENA_BATCH_BYTES),
                                            .page = arena_create(LIMIT_ARENA_BATCH_BYTES) };
    background->backtest =
        (struct backtest){ .registry = config->registry, .instance_id = config->instance_id };
    background->retain = (struct retain){ .registry = config->registry,
                                          .instance_id = config->instance_id,
                                          .arena = arena_create(LIMIT_ARENA_BATCH_BYTES),
                                          .keep_ms = config->interaction_retention_ms };
    if (background->arena == NULL || background->retain.arena == NULL ||
        !backtest_init(&background->backtest) || background->hydrate.arena == NULL ||
        background->hydrate.page == NULL ||
        pg_open(config->database_url, false, &background->pg) != STATUS_OK ||
        pg_open(config->database_url, true, &background->hydrate.pg) != STATUS_OK ||
        !thread_start(&background->thread, background_thread, background)) {
        pg_close(background->pg);
        pg_close(background->hydrate.pg);
        arena_destroy(background->arena);
        arena_destroy(background->hydrate.arena);
        arena_destroy(background->hydrate.page);
        arena_destroy(background->retain.arena);
        backtest_close(&background->backtest);
        free(background);
        return problem_set(problem, STATUS_BROKEN, "internal", "background work does not start");
    }
    *out_background = background;
    return STATUS_OK;
}

void background_stop(struct background *background)
{
    if (background == NULL) {
        return;
    }
    pthread_mutex_lock(&background->lock);
    background->is_stopping = true;
    pthread_cond_signal(&background->wake);
    pthread_mutex_unlock(&background->lock);
    pthread_join(background->thread, NULL);
    pg_close(background->pg);
    pg_close(background->hydrate.pg);
    arena_destroy(background->arena);
    arena_destroy(background->hydrate.arena);
    arena_destroy(background->hydrate.page);
    arena_destroy(background->retain.arena);
    backtest_close(&background->backtest);
    pthread_cond_destroy(&background->wake);
    pthread_mutex_destroy(&background->lock);
    free(background);
}
