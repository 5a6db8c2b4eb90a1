#include "sweep/due.h"

#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "core/decide.h"
#include "store/batch.h"
#include "store/concern_read.h"
#include "store/delivery_store.h"
#include "sweep/traffic.h"

/*
 * The due sweep.
 *
 *   sleep until the least due instant known (a hint from local commits, at most
 *   250 ms for those of other instances)
 *   -> ask all workspaces at once for their least due instant
 *   -> for each that is due: claim up to 256 profiles with SKIP LOCKED, step
 *      each through its instants, save, hand over; those with more by turns,
 *      looking meanwhile who has become due: nobody waits for another's backlog
 *
 * Invariant: sweep and intake run the same decide step, so whoever holds the
 * row's lock emits the transition, and nobody else does (correctness 12). A
 * claim keeps a floor per workspace, so that it never scans what earlier claims
 * left dead at the head of the index; every 30 s one claim starts from the
 * beginning (correctness 15), which also finds rows that were skipped because
 * somebody else had them locked.
 *
 * A sweep's commit does not wait for the disk: what a crash takes with it is due again,
 * and decided again to the same transitions and the same ids. A webhook's commit takes
 * with it to the disk all that stands before it in the log, so nothing durable rests on
 * what is not.
 *
 * Who has just swept looks at once for what is due next: the hints name only the
 * least instant of a commit, and waiting for the poll would make everyone due
 * meanwhile late by half of it. Between two sweeps there are DUE_PACE_MS, so that
 * a steady trickle is claimed by the dozen instead of one by one, which is what
 * a commit costs.
 *
 * A crowd that is due at one instant is a backlog of full batches, and taking them
 * one after the other would have a core and the log to itself, while a webhook
 * that comes meanwhile waits for both. So beside live traffic the batches of a
 * backlog are smaller, with a rest after each that was full; a batch that was not
 * ends the run, and the steady trickle never rests. What a webhook waits for is the
 * batch that it meets: of 60,000 at one instant, by 64 with a rest half as long as
 * the work, the slowest hundredth of 1,000 webhooks a second took up to 2.2 times
 * as long as without; by 32 with a quarter, 1.3 times, and the drain a tenth longer.
 */

#define DUE_POLL_MS 250
#define DUE_BATCH 256
#define DUE_LIVE_BATCH 32
#define DUE_LIVE_REST_PART 4 /* of the time that a batch took */
#define DUE_FULL_SCAN_MS 30000
#define DUE_FLOOR_MARGIN_MS 5000
#define DUE_RETRY_MS 1000
#define DUE_PACE_MS 15
/* Between two looks at all workspaces while one has a backlog; and at least so many
 * times as long as a look takes, which grows with their number. */
#define DUE_LOOK_MS 100
#define DUE_LOOK_SHARE 10
/* Until what was due, but locked by somebody else, is asked for again. */
#define DUE_LOCKED_MS 50

struct due_workspace {
    struct id id;
    int64_t floor_ms;
    int64_t next_ms;
    int64_t waiting_floor_ms; /* of causes that wait for their triggers */
    int64_t waiting_next_ms;
};

struct due_sweep {
    struct due_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int64_t hint_ms; /* the least instant hinted since the last look */
    bool is_stopping;
    struct traffic traffic;
    struct pg *pg;
    struct arena *arena;
    struct due_workspace *workspaces;
    size_t workspace_count;
    int64_t full_scan_at_ms; /* monotonic */
};

/* The only statement that spans workspaces: read-only, two index probes each. */
static const struct pg_statement due_overview = {
    "due_overview",
    "SELECT w.n, d.due_at, t.due_at FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[])"
    " WITH ORDINALITY AS w (id, floor, waiting_floor, n)"
    " LEFT JOIN LATERAL (SELECT due_at FROM profile WHERE workspace_id = w.id"
    " AND due_at >= w.floor ORDER BY due_at LIMIT 1) d ON true"
    " LEFT JOIN LATERAL (SELECT due_at FROM trigger_waiting WHERE workspace_id = w.id"
    " AND due_at >= w.waiting_floor ORDER BY due_at LIMIT 1) t ON true",
};

/* --- which workspaces --------------------------------------------------- */

static struct due_workspace adopted(const struct due_sweep *sweep, struct id workspace_id)
{
    for (size_t i = 0; i < sweep->workspace_count; i++) {
        if (id_equal(sweep->workspaces[i].id, workspace_id)) {
            return sweep->workspaces[i];
        }
    }
    return (struct due_workspace){ .id = workspace_id };
}

/* The workspaces of the snapshot, each with the floor it had. */
static bool adopt_workspaces(struct due_sweep *sweep, const struct registry_snapshot *snapshot)
{
    size_t count = 0;
    while (snapshot_workspace_at(snapshot, count) != NULL) {
        count++;
    }
    bool is_same = count == sweep->workspace_count;
    for (size_t i = 0; is_same && i < count; i++) {
        is_same = id_equal(sweep->workspaces[i].id, snapshot_workspace_at(snapshot, i)->id);
    }
    if (is_same) {
        return true;
    }
    struct due_workspace *workspaces = calloc(count + 1, sizeof(*workspaces));
    if (workspaces == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        workspaces[i] = adopted(sweep, snapshot_workspace_at(snapshot, i)->id);
    }
    free(sweep->workspaces);
    sweep->workspaces = workspaces;
    sweep->workspace_count = count;
    return true;
}

static int64_t instant_or_never(const struct pg_result *result, size_t row, int column)
{
    return pg_is_null(result, row, column) ? INSTANT_NEVER : pg_get_instant(result, row, column);
}

static enum status look(struct due_sweep *sweep, struct problem *problem)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_array floors;
    struct pg_array waiting_floors;
    struct pg_result *result = NULL;
    arena_reset(sweep->arena);
    pg_params_init(&params, sweep->arena);
    pg_array_begin(&ids, &params, PG_UUID, sweep->workspace_count);
    pg_array_begin(&floors, &params, PG_INSTANT, sweep->workspace_count);
    pg_array_begin(&waiting_floors, &params, PG_INSTANT, sweep->workspace_count);
    for (size_t i = 0; i < sweep->workspace_count; i++) {
        pg_array_id(&ids, sweep->workspaces[i].id);
        pg_array_instant(&floors, sweep->workspaces[i].floor_ms);
        pg_array_instant(&waiting_floors, sweep->workspaces[i].waiting_floor_ms);
    }
    pg_array_end(&ids);
    pg_array_end(&floors);
    pg_array_end(&waiting_floors);
    enum status status = pg_run(sweep->pg, sweep->arena, &due_overview, &params, &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        struct due_workspace *workspace = &sweep->workspaces[pg_get_i64(result, row, 0) - 1];
        workspace->next_ms = instant_or_never(result, row, 1);
        workspace->waiting_next_ms = instant_or_never(result, row, 2);
    }
    return status;
}

/* --- one batch ---------------------------------------------------------- */

struct due_run {
    bool is_waiting; /* causes of triggers, not customers */
    struct due_sweep *sweep;
    struct due_workspace *workspace;
    const struct registry_workspace *configured;
    struct batch batch;
    size_t limit; /* of profiles */
    struct profile **profiles;
    size_t profile_count; /* or of causes */
    size_t found_count;   /* of causes: those of customers that others hold, too */
    int64_t now_ms;
    int64_t greatest_due_ms;
};

static enum status due_decide(struct due_run *run, struct decision *decision)
{
    for (size_t i = 0; i < run->profile_count; i++) {
        int64_t due_ms = run->profiles[i]->due_at_ms;
        run->greatest_due_ms = due_ms > run->greatest_due_ms ? due_ms : run->greatest_due_ms;
        enum status status = decide_due(decision, run->profiles[i], run->now_ms);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* Customers that are due, or causes whose wait is over. */
static enum status claim_and_decide(struct due_run *run, struct decision *decision,
                                    struct problem *problem)
{
    const struct batch_due due = { run->is_waiting ? run->workspace->waiting_floor_ms
                                                   : run->workspace->floor_ms,
                                   run->now_ms, run->limit };
    struct waiting_row *waiting = NULL;
    size_t waiting_count = 0;
    enum status status = run->is_waiting
                             ? batch_claim_waiting(&run->batch, &due, &waiting, &waiting_count,
                                                   &run->found_count, problem)
                             : batch_claim_due(&run->batch, due.floor_ms, due.now_ms, due.limit,
                                               &run->profiles, &run->profile_count, problem);
    if (status == STATUS_OK) {
        status = registry_catch_up(run->sweep->config.registry, decision, problem);
    }
    if (status != STATUS_OK || !run->is_waiting) {
        return status == STATUS_OK ? due_decide(run, decision) : status;
    }
    status = concerns_read(run->sweep->pg, run->sweep->arena, run->workspace->id,
                           run->configured->trigger_set, waiting, waiting_count, problem);
    for (size_t i = 0; i < waiting_count && status == STATUS_OK; i++) {
        struct profile *profile = decision_profile(decision, waiting[i].profile_id);
        run->greatest_due_ms = waiting[i].due_at_ms;
        status = decide_waiting(decision, profile, &waiting[i], run->now_ms);
    }
    run->profile_count = waiting_count;
    return status;
}

static enum status due_save(struct due_run *run, struct decision *decision, struct problem *problem)
{
    struct decision_rows rows = { 0 };
    enum status status = batch_fire(&run->batch, problem);
    if (status == STATUS_OK) {
        status = decision_finish(decision, clock_now_ms(), &rows);
    }
    return status == STATUS_OK ? sweep_save(&run->sweep->config.sender, &run->batch, &rows, problem)
                               : status;
}

static enum status due_batch(struct due_run *run, struct problem *problem)
{
    struct due_sweep *sweep = run->sweep;
    struct decide_context context;
    registry_decide_context(run->configured, &context);
    randombytes_buf(context.random, sizeof(context.random));
    arena_reset(sweep->arena);
    struct decision *decision = decision_create(sweep->arena, &context, DUE_BATCH);
    if (decision == NULL) {
        return STATUS_LIMIT;
    }
    enum status status =
        batch_init(&run->batch, sweep->pg, sweep->arena, context.workspace_id, NULL, 0);
    run->batch.decision = decision;
    run->now_ms = clock_now_ms();
    if (status == STATUS_OK) {
        status = claim_and_decide(run, decision, problem);
    }
    if (status == STATUS_OK && run->profile_count > 0) {
        status = due_save(run, decision, problem);
    }
    if (status != STATUS_OK || run->profile_count == 0) {
        pg_reset(sweep->pg);
    }
    return status;
}

static void wait_at_most(struct due_sweep *sweep, int64_t wait_ms)
{
    struct timespec at = thread_deadline(wait_ms);
    pthread_cond_timedwait(&sweep->wake, &sweep->lock, &at);
}

/* Whatever is hinted meanwhile. False when it is time to stop. */
static bool rest(struct due_sweep *sweep, int64_t rest_ms)
{
    int64_t until_ms = clock_monotonic_ms() + rest_ms;
    pthread_mutex_lock(&sweep->lock);
    for (int64_t left_ms = rest_ms; !sweep->is_stopping && left_ms > 0;) {
        wait_at_most(sweep, left_ms);
        left_ms = until_ms - clock_monotonic_ms();
    }
    bool goes_on = !sweep->is_stopping;
    pthread_mutex_unlock(&sweep->lock);
    return goes_on;
}

struct due_turn {
    size_t count;
    bool is_full; /* there is more, and nobody stops us */
};

/* One batch. */
static enum status take_turn(struct due_sweep *sweep, struct due_workspace *workspace,
                             const struct registry_workspace *configured, bool is_waiting,
                             struct due_turn *out_turn, struct problem *problem)
{
    bool is_live = traffic_is_live(&sweep->traffic);
    int64_t began_ms = clock_monotonic_ms();
    int64_t *floor_ms = is_waiting ? &workspace->waiting_floor_ms : &workspace->floor_ms;
    struct due_run run = { .is_waiting = is_waiting,
                           .sweep = sweep,
                           .workspace = workspace,
                           .configured = configured,
                           .limit = is_live ? DUE_LIVE_BATCH : DUE_BATCH,
                           .greatest_due_ms = INSTANT_FIRST_MS };
    enum status status = due_batch(&run, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (run.profile_count > 0) {
        int64_t reached_ms = run.greatest_due_ms - DUE_FLOOR_MARGIN_MS;
        *floor_ms = reached_ms > *floor_ms ? reached_ms : *floor_ms;
        if (sweep->config.observe != NULL) {
            sweep->config.observe(sweep->config.app, run.profile_count,
                                  clock_now_ms() - run.greatest_due_ms);
        }
    }
    int64_t took_ms = clock_monotonic_ms() - began_ms;
    int64_t rest_ms = is_live ? took_ms / DUE_LIVE_REST_PART + 1 : 0;
    *out_turn =
        (struct due_turn){ .count = run.profile_count,
                           .is_full = run.profile_count == run.limit && rest(sweep, rest_ms) };
    return STATUS_OK;
}

/* --- the loop ----------------------------------------------------------- */

struct due_pass {
    bool is_any_due;
    bool is_any_full;
    int64_t pause_ms; /* until what is due now is asked for again */
};

static enum status take_if_due(struct due_sweep *sweep, struct due_workspace *workspace,
                               const struct registry_workspace *configured, bool is_waiting,
                               struct due_pass *pass, struct problem *problem)
{
    int64_t *next_ms = is_waiting ? &workspace->waiting_next_ms : &workspace->next_ms;
    struct due_turn turn = { .count = 0 };
    if (*next_ms > clock_now_ms() || configured == NULL) {
        return STATUS_OK;
    }
    enum status status = take_turn(sweep, workspace, configured, is_waiting, &turn, problem);
    pass->is_any_due = true;
    pass->is_any_full = pass->is_any_full || turn.is_full;
    pass->pause_ms = turn.count > 0 ? DUE_PACE_MS : pass->pause_ms;
    *next_ms = turn.is_full ? *next_ms : INSTANT_NEVER;
    return status;
}

/* A batch of each that is due. Who has no more is not asked again before the next
 * look. */
static enum status sweep_round(struct due_sweep *sweep, const struct registry_snapshot *snapshot,
                               struct due_pass *pass, struct problem *problem)
{
    enum status status = STATUS_OK;
    pass->is_any_full = false;
    for (size_t i = 0; i < sweep->workspace_count && status == STATUS_OK; i++) {
        struct due_workspace *workspace = &sweep->workspaces[i];
        const struct registry_workspace *configured = snapshot_workspace(snapshot, workspace->id);
        status = take_if_due(sweep, workspace, configured, false, pass, problem);
        if (status == STATUS_OK) {
            status = take_if_due(sweep, workspace, configured, true, pass, problem);
        }
    }
    return status;
}

/* What is due now, by turns, then when there is something to do again. */
static enum status sweep_workspaces(struct due_sweep *sweep,
                                    const struct registry_snapshot *snapshot,
                                    struct problem *problem)
{
    struct due_pass pass = { .is_any_full = true, .pause_ms = DUE_LOCKED_MS };
    int64_t look_at_ms = 0; /* monotonic */
    enum status status = STATUS_OK;
    while (status == STATUS_OK && pass.is_any_full) {
        int64_t began_ms = clock_monotonic_ms();
        if (began_ms >= look_at_ms) {
            status = look(sweep, problem);
            int64_t took_ms = clock_monotonic_ms() - began_ms;
            look_at_ms = began_ms + DUE_LOOK_MS + DUE_LOOK_SHARE * took_ms;
        }
        if (status == STATUS_OK) {
            status = sweep_round(sweep, snapshot, &pass, problem);
        }
    }
    if (status == STATUS_OK && pass.is_any_due) {
        status = look(sweep, problem);
        int64_t earliest_ms = clock_now_ms() + pass.pause_ms;
        for (size_t i = 0; i < sweep->workspace_count; i++) {
            struct due_workspace *workspace = &sweep->workspaces[i];
            workspace->next_ms =
                workspace->next_ms < earliest_ms ? earliest_ms : workspace->next_ms;
            workspace->waiting_next_ms =
                workspace->waiting_next_ms < earliest_ms ? earliest_ms : workspace->waiting_next_ms;
        }
    }
    return status;
}

static enum status sweep_once(struct due_sweep *sweep, struct problem *problem)
{
    (void)traffic_is_live(&sweep->traffic); /* so that a backlog finds a fresh answer */
    if (clock_monotonic_ms() >= sweep->full_scan_at_ms) {
        for (size_t i = 0; i < sweep->workspace_count; i++) {
            sweep->workspaces[i].floor_ms = 0;
            sweep->workspaces[i].waiting_floor_ms = 0;
        }
        sweep->full_scan_at_ms = clock_monotonic_ms() + DUE_FULL_SCAN_MS;
    }
    const struct registry_snapshot *snapshot = registry_hold(sweep->config.registry);
    arena_reset(sweep->arena);
    enum status status = adopt_workspaces(sweep, snapshot) ? STATUS_OK : STATUS_BROKEN;
    if (status == STATUS_OK && sweep->workspace_count > 0) {
        status = sweep_workspaces(sweep, snapshot, problem);
    }
    registry_release(sweep->config.registry, snapshot);
    return status;
}

static int64_t least_next(const struct due_sweep *sweep)
{
    int64_t least = INSTANT_NEVER;
    for (size_t i = 0; i < sweep->workspace_count; i++) {
        const struct due_workspace *workspace = &sweep->workspaces[i];
        least = workspace->next_ms < least ? workspace->next_ms : least;
        least = workspace->waiting_next_ms < least ? workspace->waiting_next_ms : least;
    }
    return least;
}

/* False when it is time to stop. */
static bool sleep_until_due(struct due_sweep *sweep, int64_t longest_ms)
{
    pthread_mutex_lock(&sweep->lock);
    int64_t started_ms = clock_now_ms();
    for (;;) {
        int64_t now_ms = clock_now_ms();
        int64_t due_ms = least_next(sweep);
        due_ms = sweep->hint_ms < due_ms ? sweep->hint_ms : due_ms;
        int64_t wait_ms = longest_ms - (now_ms - started_ms);
        if (due_ms != INSTANT_NEVER && due_ms - now_ms < wait_ms) {
            wait_ms = due_ms - now_ms;
        }
        if (wait_ms <= 0 || now_ms < started_ms || sweep->is_stopping) {
            break;
        }
        wait_at_most(sweep, wait_ms);
    }
    if (sweep->hint_ms <= clock_now_ms()) {
        sweep->hint_ms = INSTANT_NEVER;
    }
    bool goes_on = !sweep->is_stopping;
    pthread_mutex_unlock(&sweep->lock);
    return goes_on;
}

static void *due_thread(void *argument)
{
    struct due_sweep *sweep = argument;
    int64_t longest_ms = 0;
    while (sleep_until_due(sweep, longest_ms)) {
        struct problem problem = { 0 };
        enum status status = sweep_once(sweep, &problem);
        if (status != STATUS_OK) {
            pg_reset(sweep->pg);
            for (size_t i = 0; i < sweep->workspace_count; i++) {
                sweep->workspaces[i].next_ms = INSTANT_NEVER;
                sweep->workspaces[i].waiting_next_ms = INSTANT_NEVER;
            }
        }
        longest_ms = status == STATUS_OK ? DUE_POLL_MS : DUE_RETRY_MS;
    }
    return NULL;
}

void due_hint(struct due_sweep *sweep, int64_t due_at_ms)
{
    pthread_mutex_lock(&sweep->lock);
    if (due_at_ms < sweep->hint_ms) {
        sweep->hint_ms = due_at_ms;
        pthread_cond_signal(&sweep->wake);
    }
    pthread_mutex_unlock(&sweep->lock);
}

enum status due_start(const struct due_config *config, struct due_sweep **out_sweep,
                      struct problem *problem)
{
    struct due_sweep *sweep = calloc(1, sizeof(*sweep));
    if (sweep == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the due sweep");
    }
    sweep->config = *config;
    sweep->traffic = (struct traffic){ .ingested = config->ingested, .app = config->app };
    sweep->hint_ms = INSTANT_NEVER;
    pthread_mutex_init(&sweep->lock, NULL);
    pthread_cond_init(&sweep->wake, NULL);
    sweep->arena = arena_create(LIMIT_ARENA_BATCH_BYTES);
    if (sweep->arena == NULL || pg_open(config->database_url, true, &sweep->pg) != STATUS_OK ||
        !thread_start(&sweep->thread, due_thread, sweep)) {
        pg_close(sweep->pg);
        arena_destroy(sweep->arena);
        free(sweep);
        return problem_set(problem, STATUS_BROKEN, "internal", "the due sweep does not start");
    }
    *out_sweep = sweep;
    return STATUS_OK;
}

void due_stop(struct due_sweep *sweep)
{
    if (sweep == NULL) {
        return;
    }
    pthread_mutex_lock(&sweep->lock);
    sweep->is_stopping = true;
    pthread_cond_signal(&sweep->wake);
    pthread_mutex_unlock(&sweep->lock);
    pthread_join(sweep->thread, NULL);
    pg_close(sweep->pg);
    arena_destroy(sweep->arena);
    pthread_cond_destroy(&sweep->wake);
    pthread_mutex_destroy(&sweep->lock);
    free(sweep->workspaces);
    free(sweep);
}
