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
 * sending thread must not wait for either, so all its dealings with leases
 * are here, one at a time and therefore on one connection; what ends them is the
 * settler's (settler.c).
 */

/* As many bodies of the greatest size as one claim can bring, and the rows. */
#define CLAIM_ARENA_BYTES ((size_t)LIMIT_DELIVERY_CLAIM * (LIMIT_DELIVERY_BODY_BYTES + 4096u))

struct ledger {
    struct ledger_rules rules;
    pthread_t thread;
    struct arena *arena; /* of one claim; the thread's */
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Under the lock. */
    enum ledger_renewal renewal;
    struct delivery *renewal_deliveries;
    size_t renewal_count;
    int64_t renewal_lease_until_ms;
    struct delivery *returned; /* leases to be given back */
    size_t returned_count;
    size_t returned_capacity;
    bool stopping;

    /* The thread's own. */
    int64_t claim_at_ms;
    bool claim_failing;
};

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

static bool may_end(const struct ledger *ledger)
{
    return ledger->stopping && ledger->renewal != LEDGER_RENEWAL_WAITING &&
           ledger->returned_count == 0;
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
        if (ledger->renewal == LEDGER_RENEWAL_WAITING) {
            run_renewal(ledger);
        } else if (ledger->returned_count > 0) {
            run_return(ledger);
        } else if (ledger->claim_at_ms <= clock_monotonic_ms()) {
            run_claim(ledger);
        } else {
            wait_until(ledger, ledger->claim_at_ms);
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

void ledger_stop(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->stopping = true;
    pthread_cond_signal(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
    pthread_join(ledger->thread, NULL);
}

void ledger_destroy(struct ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    free(ledger->renewal_deliveries);
    free(ledger->returned);
    arena_destroy(ledger->arena);
    pthread_cond_destroy(&ledger->changed);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
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
