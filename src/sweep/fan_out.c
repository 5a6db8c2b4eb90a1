#include "sweep/fan_out.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "fan_out_priv.h"
#include "store/fan_out_store.h"

/*
 * The thread: which jobs, whose turn, and the rests.
 *
 *   sleep until a hint of this instance, at most 250 ms for those of others
 *   -> claim waiting jobs, of each workspace the oldest, up to eight at once
 *   -> a chunk of each by turns (fan_out_chunk.c), until they have ended
 *
 * So a fact that concerns a million does not hold up one that concerns ten. A chunk and
 * its cursor are one transaction, so a crash repeats nothing and skips nothing; who claims
 * the job when its lease has run out goes on from there. Its commit does not wait for the
 * disk: what a crash of the database takes, cursor and all, is decided again to the same
 * notifications.
 *
 * The first chunk is small, so that the first customer is told at once; after that they
 * grow until as many match as fit a short transaction, since a webhook of a customer who is
 * being rung waits for its end. While webhooks come, each is followed by a rest.
 */

#define FAN_OUT_POLL_MS 250
#define FAN_OUT_RETRY_MS 1000
#define FAN_OUT_REST_PART 4 /* of the time that a chunk took, while webhooks come */

enum {
    JOBS_AT_ONCE = 8,
    FAILURES_MAX = 5, /* of one job, one after the other */
};

struct fan_out {
    struct fan_out_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_hinted;
    bool is_stopping;
    struct traffic traffic;
    struct pg *pg;
    struct arena *arena;
    struct fan_out_job jobs[JOBS_AT_ONCE];
    size_t job_count;
    int64_t claim_at_ms; /* monotonic: while jobs run, new ones are looked for now and then */
};

/* --- which jobs ---------------------------------------------------------- */

static bool has_job_of(const struct fan_out *fan, struct id workspace_id)
{
    for (size_t i = 0; i < fan->job_count; i++) {
        if (id_equal(fan->jobs[i].workspace_id, workspace_id)) {
            return true;
        }
    }
    return false;
}

static enum status claim_of(struct fan_out *fan, struct id workspace_id, struct problem *problem)
{
    struct job job;
    int64_t now_ms = clock_now_ms();
    enum status status =
        job_claim(fan->pg, fan->arena, workspace_id, STR(FAN_OUT_KIND),
                  fan->config.sender.instance_id, now_ms, now_ms + FAN_OUT_LEASE_MS, &job, problem);
    if (status != STATUS_OK) {
        return status == STATUS_MISSING ? STATUS_OK : status;
    }
    if (fan_out_job_open(&fan->jobs[fan->job_count], &job)) {
        fan->job_count++;
    }
    return STATUS_OK;
}

static enum status claim(struct fan_out *fan, struct problem *problem)
{
    struct id *workspace_ids = NULL;
    size_t count = 0;
    arena_reset(fan->arena);
    enum status status = job_waiting(fan->pg, fan->arena, STR(FAN_OUT_KIND), clock_now_ms(),
                                     2 * JOBS_AT_ONCE, &workspace_ids, &count, problem);
    for (size_t i = 0; status == STATUS_OK && i < count && fan->job_count < JOBS_AT_ONCE; i++) {
        if (!has_job_of(fan, workspace_ids[i])) {
            status = claim_of(fan, workspace_ids[i], problem);
        }
    }
    return status;
}

/* --- turns --------------------------------------------------------------- */

/* False when it is time to stop. */
static bool rest(struct fan_out *fan, int64_t rest_ms)
{
    struct timespec at = thread_deadline(rest_ms);
    pthread_mutex_lock(&fan->lock);
    int waited = 0;
    while (!fan->is_stopping && waited == 0) {
        waited = pthread_cond_timedwait(&fan->wake, &fan->lock, &at);
    }
    bool goes_on = !fan->is_stopping;
    pthread_mutex_unlock(&fan->lock);
    return goes_on;
}

/* A failure is tried again, the same chunk: it left nothing behind. */
static void settle_failure(struct fan_out *fan, struct fan_out_job *job, enum status status,
                           const struct problem *why)
{
    struct problem problem = { .detail = "" };
    pg_reset(fan->pg);
    if (status == STATUS_CONFLICT) {
        job->has_ended = true; /* its lease ran out: another instance has it */
        return;
    }
    if (status == STATUS_RETRY || !pg_is_connected(fan->pg)) {
        return;
    }
    if (fan->config.report != NULL) {
        fan->config.report(fan->config.app, "fan-out", why);
    }
    if (++job->failure_count < FAILURES_MAX) {
        return;
    }
    const struct fan_out_turn turn = { .pg = fan->pg, .arena = fan->arena, .job = job };
    arena_reset(fan->arena);
    if (fan_out_end(&turn, fan->config.sender.instance_id, JOB_FAILED, NULL,
                    str_from_z(why->detail), &problem) != STATUS_OK) {
        pg_reset(fan->pg);
    }
}

/* One chunk. False when it is time to stop. */
static bool take_turn(struct fan_out *fan, struct fan_out_job *job)
{
    struct problem problem = { .detail = "" };
    bool is_live = traffic_is_live(&fan->traffic);
    int64_t began_ms = clock_monotonic_ms();
    const struct registry_snapshot *snapshot = registry_hold(fan->config.registry);
    const struct fan_out_turn turn = {
        .config = &fan->config,
        .workspace = snapshot_workspace(snapshot, job->workspace_id),
        .pg = fan->pg,
        .arena = fan->arena,
        .job = job,
    };
    arena_reset(fan->arena);
    enum status status = fan_out_chunk(&turn, &problem);
    registry_release(fan->config.registry, snapshot);
    if (status == STATUS_OK) {
        job->failure_count = 0;
    } else {
        settle_failure(fan, job, status, &problem);
    }
    int64_t took_ms = clock_monotonic_ms() - began_ms;
    if (status != STATUS_OK && status != STATUS_RETRY) {
        return rest(fan, FAN_OUT_RETRY_MS);
    }
    return rest(fan, is_live ? took_ms / FAN_OUT_REST_PART + 1 : 0);
}

static bool take_turns(struct fan_out *fan)
{
    bool goes_on = true;
    for (size_t i = 0; i < fan->job_count && goes_on; i++) {
        goes_on = take_turn(fan, &fan->jobs[i]);
    }
    size_t kept = 0;
    for (size_t i = 0; i < fan->job_count; i++) {
        if (!fan->jobs[i].has_ended) {
            fan->jobs[kept++] = fan->jobs[i];
        }
    }
    fan->job_count = kept;
    return goes_on;
}

/* --- the loop ------------------------------------------------------------ */

static bool sleep_until_hint(struct fan_out *fan)
{
    struct timespec at = thread_deadline(FAN_OUT_POLL_MS);
    pthread_mutex_lock(&fan->lock);
    int waited = 0;
    while (!fan->is_stopping && !fan->is_hinted && waited == 0) {
        waited = pthread_cond_timedwait(&fan->wake, &fan->lock, &at);
    }
    fan->is_hinted = false;
    bool goes_on = !fan->is_stopping;
    pthread_mutex_unlock(&fan->lock);
    return goes_on;
}

static void *fan_out_thread(void *argument)
{
    struct fan_out *fan = argument;
    bool goes_on = true;
    while (goes_on && (fan->job_count > 0 || sleep_until_hint(fan))) {
        struct problem problem = { .detail = "" };
        enum status status = STATUS_OK;
        int64_t now_ms = clock_monotonic_ms();
        if (fan->job_count == 0 || (fan->job_count < JOBS_AT_ONCE && now_ms >= fan->claim_at_ms)) {
            status = claim(fan, &problem);
            fan->claim_at_ms = now_ms + FAN_OUT_POLL_MS;
        }
        if (status != STATUS_OK) {
            pg_reset(fan->pg);
            goes_on = rest(fan, FAN_OUT_RETRY_MS);
        }
        goes_on = goes_on && take_turns(fan);
    }
    return NULL;
}

enum status fan_out_start(const struct fan_out_config *config, struct fan_out **out_fan,
                          struct problem *problem)
{
    struct fan_out *fan = calloc(1, sizeof(*fan));
    if (fan == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for fan-outs");
    }
    fan->config = *config;
    fan->traffic = (struct traffic){ .ingested = config->ingested, .app = config->app };
    pthread_mutex_init(&fan->lock, NULL);
    pthread_cond_init(&fan->wake, NULL);
    fan->arena = arena_create(LIMIT_ARENA_BATCH_BYTES);
    if (fan->arena == NULL || pg_open(config->database_url, true, &fan->pg) != STATUS_OK ||
        !thread_start(&fan->thread, fan_out_thread, fan)) {
        pg_close(fan->pg);
        arena_destroy(fan->arena);
        free(fan);
        return problem_set(problem, STATUS_BROKEN, "internal", "fan-outs do not start");
    }
    *out_fan = fan;
    return STATUS_OK;
}

void fan_out_hint(struct fan_out *fan)
{
    pthread_mutex_lock(&fan->lock);
    fan->is_hinted = true;
    pthread_cond_signal(&fan->wake);
    pthread_mutex_unlock(&fan->lock);
}

void fan_out_stop(struct fan_out *fan)
{
    if (fan == NULL) {
        return;
    }
    pthread_mutex_lock(&fan->lock);
    fan->is_stopping = true;
    pthread_cond_signal(&fan->wake);
    pthread_mutex_unlock(&fan->lock);
    pthread_join(fan->thread, NULL);
    pg_close(fan->pg);
    arena_destroy(fan->arena);
    pthread_cond_destroy(&fan->wake);
    pthread_mutex_destroy(&fan->lock);
    free(fan);
}
