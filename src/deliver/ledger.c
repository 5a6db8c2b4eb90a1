#include "deliver/ledger.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"

/*
 * A commit takes milliseconds, a disk's bad moment a hundred of them. The
 * sending thread must not wait for either, so all its dealings with the
 * database are here, one at a time and therefore on one connection.
 *
 * Settlements wait at most SETTLE_WAIT_MS for company: one commit then serves
 * some hundred messages at full load and none waits noticeably at rest.
 *
 * Invariant: an outcome stays in the list until the store has said OK to it, or
 * has refused it alone and for good. What is lost (crash, stop at the deadline)
 * is sent again when its lease runs out, under the same id: at least once.
 * A batch that fails for another reason than a passing one is cut to single
 * settlements, so one bad row cannot hold the others (correctness 10).
 */

#define SETTLE_WAIT_MS 20
#define SETTLE_BATCH_MAX 256u
/* A transaction of so many rows takes some ten milliseconds. */
#define SETTLE_ROWS_MAX 2000u
#define RETRY_WAIT_MS_MIN 50
#define RETRY_WAIT_MS_MAX 2000
/* As many bodies of the greatest size as one claim can bring, and the rows. */
#define CLAIM_ARENA_BYTES ((size_t)LIMIT_DELIVERY_CLAIM * (LIMIT_DELIVERY_BODY_BYTES + 4096u))

struct ledger {
    struct ledger_rules rules;
    pthread_t thread;
    struct arena *arena; /* of one claim; the thread's */
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Under the lock. */
    struct outcome *first;
    struct outcome *last;
    size_t count;
    int64_t first_added_at_ms;
    enum ledger_renewal renewal;
    struct delivery *renewal_deliveries;
    size_t renewal_count;
    int64_t renewal_lease_until_ms;
    struct delivery *returned; /* leases to be given back */
    size_t returned_count;
    size_t returned_capacity;
    bool stopping;
    int64_t stop_at_ms;

    /* The thread's own. */
    size_t batch_max;
    int64_t retry_wait_ms; /* 0: the last settling went well */
    int64_t settle_not_before_ms;
    int64_t claim_at_ms;
    bool claim_failing;
};

static size_t texts_size(const struct settlement *settlement)
{
    size_t size = settlement->attempt.error.size + settlement->attempt.response.size;
    for (size_t i = 0; i < settlement->member_count; i++) {
        size += settlement->members[i].error.size;
    }
    return size;
}

/* Moves a text to `at`, and tells where the next may be. */
static char *text_move(struct str *text, char *at)
{
    if (text->size > 0) {
        memcpy(at, text->data, text->size);
    }
    text->data = at;
    return at + text->size;
}

struct outcome *outcome_create(const struct settlement *settlement)
{
    size_t members_size = settlement->member_count * sizeof(struct member_end);
    struct outcome *outcome = malloc(sizeof(*outcome) + members_size + texts_size(settlement));
    if (outcome == NULL) {
        return NULL;
    }
    *outcome = (struct outcome){ .settlement = *settlement };
    struct member_end *members = (struct member_end *)(void *)(outcome + 1);
    if (members_size > 0) {
        memcpy(members, settlement->members, members_size);
    }
    outcome->settlement.members = members;
    char *text = (char *)(members + settlement->member_count);
    text = text_move(&outcome->settlement.attempt.error, text);
    text = text_move(&outcome->settlement.attempt.response, text);
    for (size_t i = 0; i < settlement->member_count; i++) {
        text = text_move(&members[i].error, text);
    }
    return outcome;
}

/* The list grows at its end only, so all before its last link may be read unlocked.
 * Returns how many were put. */
static size_t settle_collect(const struct outcome *first, size_t count,
                             struct settlement *settlements)
{
    settlements[0] = first->settlement;
    size_t rows = first->settlement.member_count + 1;
    for (size_t i = 1; i < count; i++) {
        first = first->next;
        rows += first->settlement.member_count + 1;
        if (rows > SETTLE_ROWS_MAX) {
            return i;
        }
        settlements[i] = first->settlement;
    }
    return count;
}

static void settle_forget(struct ledger *ledger, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome *outcome = ledger->first;
        ledger->first = outcome->next;
        free(outcome);
    }
    ledger->count -= count;
    ledger->first_added_at_ms = clock_monotonic_ms();
}

static void settle_put_off(struct ledger *ledger)
{
    ledger->retry_wait_ms =
        ledger->retry_wait_ms == 0 ? RETRY_WAIT_MS_MIN : ledger->retry_wait_ms * 2;
    if (ledger->retry_wait_ms > RETRY_WAIT_MS_MAX) {
        ledger->retry_wait_ms = RETRY_WAIT_MS_MAX;
    }
    int64_t jitter_ms = randombytes_uniform((uint32_t)ledger->retry_wait_ms / 2 + 1);
    ledger->settle_not_before_ms = clock_monotonic_ms() + ledger->retry_wait_ms + jitter_ms;
}

static void settle_failed(struct ledger *ledger, enum status status, size_t count)
{
    if (status == STATUS_RETRY) {
        if (ledger->retry_wait_ms == 0) {
            log_event(LOG_WARN, "settling is put off", LOG_I64("waiting", (int64_t)ledger->count));
        }
        settle_put_off(ledger);
    } else if (count > 1) {
        ledger->batch_max = 1;
    } else {
        log_event(LOG_ERROR, "a settlement was refused", LOG_Z("status", status_name(status)),
                  LOG_ID("delivery", ledger->first->settlement.attempt.delivery_id));
        settle_forget(ledger, 1);
    }
}

/* What was leased and not taken: a lease that ends now lets the next claim have it. */
static void give_back(struct ledger *ledger, const struct delivery *deliveries, size_t count)
{
    if (count > 0) {
        ledger->rules.ops->renew(ledger->rules.ops->app, deliveries, count, clock_now_ms());
    }
}

static size_t take(struct ledger *ledger, const struct delivery *deliveries, size_t count)
{
    size_t taken = count == 0 ? 0 : ledger->rules.take(ledger->rules.context, deliveries, count);
    give_back(ledger, deliveries + taken, count - taken);
    return taken;
}

static void run_settle(struct ledger *ledger)
{
    struct settlement settlements[SETTLE_BATCH_MAX];
    struct delivery *next = NULL;
    size_t next_count = 0;
    size_t count = ledger->count < ledger->batch_max ? ledger->count : ledger->batch_max;
    const struct outcome *first = ledger->first;
    pthread_mutex_unlock(&ledger->lock);

    count = settle_collect(first, count, settlements);
    const struct sender_ops *ops = ledger->rules.ops;
    enum status status = ops->settle(ops->app, settlements, count, &next, &next_count);
    if (status == STATUS_OK && next_count > 0) {
        take(ledger, next, next_count);
    }

    pthread_mutex_lock(&ledger->lock);
    if (status != STATUS_OK) {
        settle_failed(ledger, status, count);
        return;
    }
    settle_forget(ledger, count);
    ledger->retry_wait_ms = 0;
    ledger->batch_max =
        ledger->batch_max * 2 < SETTLE_BATCH_MAX ? ledger->batch_max * 2 : SETTLE_BATCH_MAX;
}

static void run_return(struct ledger *ledger)
{
    struct delivery *returned = ledger->returned;
    size_t count = ledger->returned_count;
    ledger->returned = NULL;
    ledger->returned_count = 0;
    ledger->returned_capacity = 0;
    pthread_mutex_unlock(&ledger->lock);
    give_back(ledger, returned, count);
    free(returned);
    pthread_mutex_lock(&ledger->lock);
}

static void run_renewal(struct ledger *ledger)
{
    struct delivery *deliveries = ledger->renewal_deliveries;
    pthread_mutex_unlock(&ledger->lock);
    enum status status = ledger->rules.ops->renew(
        ledger->rules.ops->app, deliveries, ledger->renewal_count, ledger->renewal_lease_until_ms);
    free(deliveries);
    pthread_mutex_lock(&ledger->lock);
    ledger->renewal_deliveries = NULL;
    ledger->renewal = status == STATUS_OK ? LEDGER_RENEWAL_DONE : LEDGER_RENEWAL_FAILED;
}

static bool claim_some(struct ledger *ledger, size_t limit)
{
    const struct sender_ops *ops = ledger->rules.ops;
    struct delivery *deliveries = NULL;
    size_t count = 0;
    bool more = false;
    enum status status =
        ops->claim(ops->app, ledger->arena, &ledger->rules.gate, limit, &deliveries, &count, &more);
    if (status != STATUS_OK) {
        if (!ledger->claim_failing) {
            log_event(LOG_WARN, "claiming failed", LOG_Z("status", status_name(status)));
        }
        ledger->claim_failing = true;
        return false;
    }
    ledger->claim_failing = false;
    return take(ledger, deliveries, count) == count && more;
}

static void run_claim(struct ledger *ledger)
{
    pthread_mutex_unlock(&ledger->lock);
    size_t limit = ledger->rules.room(ledger->rules.context);
    limit = limit < LIMIT_DELIVERY_CLAIM ? limit : LIMIT_DELIVERY_CLAIM;
    bool more = limit > 0 && claim_some(ledger, limit);
    arena_reset(ledger->arena);
    ledger->claim_at_ms = clock_monotonic_ms() + (more ? 0 : ledger->rules.poll_ms);
    pthread_mutex_lock(&ledger->lock);
}

static int64_t settle_at_ms(const struct ledger *ledger)
{
    if (ledger->count == 0) {
        return INT64_MAX;
    }
    bool at_once = ledger->stopping || ledger->count >= ledger->batch_max;
    int64_t at_ms = at_once ? 0 : ledger->first_added_at_ms + SETTLE_WAIT_MS;
    return at_ms > ledger->settle_not_before_ms ? at_ms : ledger->settle_not_before_ms;
}

static bool may_end(const struct ledger *ledger)
{
    if (!ledger->stopping || ledger->renewal == LEDGER_RENEWAL_WAITING ||
        ledger->returned_count > 0) {
        return false;
    }
    return ledger->count == 0 ||
           (ledger->retry_wait_ms > 0 && clock_monotonic_ms() >= ledger->stop_at_ms);
}

static void wait_until(struct ledger *ledger, int64_t at_ms)
{
    struct timespec until = {
        .tv_sec = (time_t)(at_ms / 1000),
        .tv_nsec = (long)(at_ms % 1000) * 1000000,
    };
    pthread_cond_timedwait(&ledger->changed, &ledger->lock, &until);
}

static void *ledger_run(void *argument)
{
    struct ledger *ledger = argument;
    pthread_mutex_lock(&ledger->lock);
    while (!may_end(ledger)) {
        int64_t now_ms = clock_monotonic_ms();
        int64_t at_ms = settle_at_ms(ledger);
        if (ledger->renewal == LEDGER_RENEWAL_WAITING) {
            run_renewal(ledger);
        } else if (ledger->returned_count > 0) {
            run_return(ledger);
        } else if (at_ms <= now_ms) {
            run_settle(ledger);
        } else if (!ledger->stopping && ledger->claim_at_ms <= now_ms) {
            run_claim(ledger);
        } else if (ledger->stopping) {
            wait_until(ledger, at_ms < ledger->stop_at_ms ? at_ms : ledger->stop_at_ms);
        } else {
            wait_until(ledger, at_ms < ledger->claim_at_ms ? at_ms : ledger->claim_at_ms);
        }
    }
    pthread_mutex_unlock(&ledger->lock);
    return NULL;
}

enum status ledger_start(const struct ledger_rules *rules, struct ledger **out_ledger,
                         struct problem *problem)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    struct arena *arena = arena_create(CLAIM_ARENA_BYTES);
    if (ledger == NULL || arena == NULL) {
        free(ledger);
        arena_destroy(arena);
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the sender");
    }
    ledger->rules = *rules;
    ledger->arena = arena;
    ledger->batch_max = SETTLE_BATCH_MAX;
    pthread_mutex_init(&ledger->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ledger->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!thread_start(&ledger->thread, ledger_run, ledger)) {
        ledger_destroy(ledger);
        return problem_set(problem, STATUS_BROKEN, "internal", "no thread for the sender's ledger");
    }
    *out_ledger = ledger;
    return STATUS_OK;
}

void ledger_stop(struct ledger *ledger, int64_t deadline_ms)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->stopping = true;
    ledger->stop_at_ms = deadline_ms;
    ledger->settle_not_before_ms = 0;
    ledger->retry_wait_ms = 0;
    pthread_cond_signal(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
    pthread_join(ledger->thread, NULL);
    if (ledger->count > 0) {
        log_event(LOG_WARN, "stopped before all was settled",
                  LOG_I64("unsettled", (int64_t)ledger->count));
    }
}

void ledger_destroy(struct ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    while (ledger->first != NULL) {
        struct outcome *outcome = ledger->first;
        ledger->first = outcome->next;
        free(outcome);
    }
    free(ledger->renewal_deliveries);
    free(ledger->returned);
    arena_destroy(ledger->arena);
    pthread_cond_destroy(&ledger->changed);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
}

void ledger_add_take(struct ledger *ledger, struct outcome *outcome)
{
    pthread_mutex_lock(&ledger->lock);
    outcome->next = NULL;
    if (ledger->count == 0) {
        ledger->first = outcome;
        ledger->first_added_at_ms = clock_monotonic_ms();
    } else {
        ledger->last->next = outcome;
    }
    ledger->last = outcome;
    ledger->count++;
    if (ledger->count == 1 || ledger->count == ledger->batch_max) {
        pthread_cond_signal(&ledger->changed);
    }
    pthread_mutex_unlock(&ledger->lock);
}

size_t ledger_backlog(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    size_t count = ledger->count;
    pthread_mutex_unlock(&ledger->lock);
    return count;
}

void ledger_give_back(struct ledger *ledger, const struct delivery *delivery)
{
    pthread_mutex_lock(&ledger->lock);
    if (ledger->returned_count == ledger->returned_capacity) {
        size_t capacity = ledger->returned_capacity == 0 ? 64 : ledger->returned_capacity * 2;
        struct delivery *returned = realloc(ledger->returned, capacity * sizeof(*returned));
        if (returned == NULL) {
            pthread_mutex_unlock(&ledger->lock);
            return;
        }
        ledger->returned = returned;
        ledger->returned_capacity = capacity;
    }
    struct delivery *copy = &ledger->returned[ledger->returned_count++];
    *copy = *delivery;
    copy->topic = (struct str){ NULL, 0 };
    copy->target = (struct str){ NULL, 0 };
    copy->body = (struct str){ NULL, 0 };
    copy->members = NULL;
    if (ledger->returned_count == 1) {
        pthread_cond_signal(&ledger->changed);
    }
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_renew_take(struct ledger *ledger, struct delivery *deliveries, size_t count,
                       int64_t lease_until_ms)
{
    pthread_mutex_lock(&ledger->lock);
    assert(ledger->renewal == LEDGER_RENEWAL_NONE);
    ledger->renewal = LEDGER_RENEWAL_WAITING;
    ledger->renewal_deliveries = deliveries;
    ledger->renewal_count = count;
    ledger->renewal_lease_until_ms = lease_until_ms;
    pthread_cond_signal(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
}

enum ledger_renewal ledger_renewal(struct ledger *ledger, int64_t *out_lease_until_ms)
{
    pthread_mutex_lock(&ledger->lock);
    enum ledger_renewal renewal = ledger->renewal;
    if (renewal == LEDGER_RENEWAL_DONE || renewal == LEDGER_RENEWAL_FAILED) {
        ledger->renewal = LEDGER_RENEWAL_NONE;
        *out_lease_until_ms = ledger->renewal_lease_until_ms;
    }
    pthread_mutex_unlock(&ledger->lock);
    return renewal;
}
