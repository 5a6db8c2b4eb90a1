#include "deliver/settler.h"

#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

/*
 * Settlements wait at most SETTLE_WAIT_MS for company: one commit then serves
 * some hundred messages at full load and none waits noticeably at rest.
 *
 * Invariant: an outcome stays in the list until the store has said OK to it, or
 * has refused it alone and for good. What is lost (crash, stop at the deadline)
 * is sent again when its lease runs out, under the same id: at least once.
 * A batch that fails for another reason than a passing one is cut to single
 * settlements, so one bad row cannot hold the others (correctness 10).
 *
 * It has a connection of its own beside the ledger's because at full load the two
 * halves of the queue's work, claiming and settling, are about as long as each other
 * and all that a message costs the database: one after the other they leave the
 * second core to nobody. They meet in the rows as two instances do. Rejected: several
 * settlers, who would contend for the attempts' pages.
 */

#define SETTLE_WAIT_MS 20
#define SETTLE_BATCH_MAX 256u
/* A transaction of so many rows takes some ten milliseconds. */
#define SETTLE_ROWS_MAX 2000u
#define RETRY_WAIT_MS_MIN 50
#define RETRY_WAIT_MS_MAX 2000

struct settler {
    struct settler_rules rules;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Under the lock. */
    struct outcome *first;
    struct outcome *last;
    size_t count;
    int64_t first_added_at_ms;
    bool stopping;
    int64_t stop_at_ms;

    /* The thread's own. */
    size_t batch_max;
    int64_t retry_wait_ms; /* 0: the last settling went well */
    int64_t settle_not_before_ms;
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

static void settle_forget(struct settler *settler, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome *outcome = settler->first;
        settler->first = outcome->next;
        free(outcome);
    }
    settler->count -= count;
    settler->first_added_at_ms = clock_monotonic_ms();
}

static void settle_put_off(struct settler *settler)
{
    settler->retry_wait_ms =
        settler->retry_wait_ms == 0 ? RETRY_WAIT_MS_MIN : settler->retry_wait_ms * 2;
    if (settler->retry_wait_ms > RETRY_WAIT_MS_MAX) {
        settler->retry_wait_ms = RETRY_WAIT_MS_MAX;
    }
    int64_t jitter_ms = randombytes_uniform((uint32_t)settler->retry_wait_ms / 2 + 1);
    settler->settle_not_before_ms = clock_monotonic_ms() + settler->retry_wait_ms + jitter_ms;
}

static void settle_failed(struct settler *settler, enum status status, size_t count)
{
    if (status == STATUS_RETRY) {
        if (settler->retry_wait_ms == 0) {
            log_event(LOG_WARN, "settling is put off", LOG_I64("waiting", (int64_t)settler->count));
        }
        settle_put_off(settler);
    } else if (count > 1) {
        settler->batch_max = 1;
    } else {
        log_event(LOG_ERROR, "a settlement was refused", LOG_Z("status", status_name(status)),
                  LOG_ID("delivery", settler->first->settlement.attempt.delivery_id));
        settle_forget(settler, 1);
    }
}

/* What the sender has no room for ends its lease: the next claim may have it. */
static void take_next(struct settler *settler, const struct delivery *deliveries, size_t count)
{
    const struct settler_rules *rules = &settler->rules;
    size_t taken = count == 0 ? 0 : rules->take(rules->context, deliveries, count);
    for (size_t i = taken; i < count; i++) {
        rules->give_back(rules->context, &deliveries[i]);
    }
}

static void run_settle(struct settler *settler)
{
    struct settlement settlements[SETTLE_BATCH_MAX];
    struct delivery *next = NULL;
    size_t next_count = 0;
    size_t count = settler->count < settler->batch_max ? settler->count : settler->batch_max;
    const struct outcome *first = settler->first;
    pthread_mutex_unlock(&settler->lock);

    count = settle_collect(first, count, settlements);
    const struct sender_ops *ops = settler->rules.ops;
    enum status status = ops->settle(ops->app, settlements, count, &next, &next_count);
    if (status == STATUS_OK) {
        take_next(settler, next, next_count);
    }

    pthread_mutex_lock(&settler->lock);
    if (status != STATUS_OK) {
        settle_failed(settler, status, count);
        return;
    }
    settle_forget(settler, count);
    settler->retry_wait_ms = 0;
    settler->batch_max =
        settler->batch_max * 2 < SETTLE_BATCH_MAX ? settler->batch_max * 2 : SETTLE_BATCH_MAX;
}

static int64_t settle_at_ms(const struct settler *settler)
{
    if (settler->count == 0) {
        return INT64_MAX;
    }
    bool at_once = settler->stopping || settler->count >= settler->batch_max;
    int64_t at_ms = at_once ? 0 : settler->first_added_at_ms + SETTLE_WAIT_MS;
    return at_ms > settler->settle_not_before_ms ? at_ms : settler->settle_not_before_ms;
}

static bool may_end(const struct settler *settler)
{
    return settler->stopping &&
           (settler->count == 0 ||
            (settler->retry_wait_ms > 0 && clock_monotonic_ms() >= settler->stop_at_ms));
}

static void wait_until(struct settler *settler, int64_t at_ms)
{
    if (settler->stopping && settler->stop_at_ms < at_ms) {
        at_ms = settler->stop_at_ms;
    }
    if (at_ms == INT64_MAX) {
        pthread_cond_wait(&settler->changed, &settler->lock);
        return;
    }
    struct timespec until = {
        .tv_sec = (time_t)(at_ms / 1000),
        .tv_nsec = (long)(at_ms % 1000) * 1000000,
    };
    pthread_cond_timedwait(&settler->changed, &settler->lock, &until);
}

static void *settler_run(void *argument)
{
    struct settler *settler = argument;
    pthread_mutex_lock(&settler->lock);
    while (!may_end(settler)) {
        int64_t at_ms = settle_at_ms(settler);
        if (at_ms <= clock_monotonic_ms()) {
            run_settle(settler);
        } else {
            wait_until(settler, at_ms);
        }
    }
    pthread_mutex_unlock(&settler->lock);
    return NULL;
}

enum status settler_start(const struct settler_rules *rules, struct settler **out_settler,
                          struct problem *problem)
{
    struct settler *settler = calloc(1, sizeof(*settler));
    if (settler == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the sender");
    }
    settler->rules = *rules;
    settler->batch_max = SETTLE_BATCH_MAX;
    pthread_mutex_init(&settler->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&settler->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!thread_start(&settler->thread, settler_run, settler)) {
        settler_destroy(settler);
        return problem_set(problem, STATUS_BROKEN, "internal", "no thread for the settlements");
    }
    *out_settler = settler;
    return STATUS_OK;
}

void settler_stop(struct settler *settler, int64_t deadline_ms)
{
    pthread_mutex_lock(&settler->lock);
    settler->stopping = true;
    settler->stop_at_ms = deadline_ms;
    settler->settle_not_before_ms = 0;
    settler->retry_wait_ms = 0;
    pthread_cond_signal(&settler->changed);
    pthread_mutex_unlock(&settler->lock);
    pthread_join(settler->thread, NULL);
    if (settler->count > 0) {
        log_event(LOG_WARN, "stopped before all was settled",
                  LOG_I64("unsettled", (int64_t)settler->count));
    }
}

void settler_destroy(struct settler *settler)
{
    if (settler == NULL) {
        return;
    }
    while (settler->first != NULL) {
        struct outcome *outcome = settler->first;
        settler->first = outcome->next;
        free(outcome);
    }
    pthread_cond_destroy(&settler->changed);
    pthread_mutex_destroy(&settler->lock);
    free(settler);
}

void settler_add_take(struct settler *settler, struct outcome *outcome)
{
    pthread_mutex_lock(&settler->lock);
    outcome->next = NULL;
    if (settler->count == 0) {
        settler->first = outcome;
        settler->first_added_at_ms = clock_monotonic_ms();
    } else {
        settler->last->next = outcome;
    }
    settler->last = outcome;
    settler->count++;
    if (settler->count == 1 || settler->count == settler->batch_max) {
        pthread_cond_signal(&settler->changed);
    }
    pthread_mutex_unlock(&settler->lock);
}

size_t settler_backlog(struct settler *settler)
{
    pthread_mutex_lock(&settler->lock);
    size_t count = settler->count;
    pthread_mutex_unlock(&settler->lock);
    return count;
}
