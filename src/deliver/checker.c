#include "deliver/checker.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "deliver/queue.h"

/*
 * "Never knowingly" (correctness 19): what stopped being true or allowed is not sent,
 * as read at most a second before the first byte of each attempt.
 *
 * A read for each message would be a round trip for each; the sending thread must not
 * wait for even one. So questions gather while one reading is under way, and the next
 * takes all of them: at rest a question costs one round trip, at full load hundreds
 * share one. Rejected: asking on the ledger's thread, where a claim of a thousand rows
 * or a slow commit would use up the second.
 */

enum {
    REQUESTS_AT_ONCE = 1024,
};

struct checker {
    struct checker_rules rules;
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct question *asked;
    struct question *asked_last;
    struct question *answered;
    bool stopping;
};

static struct permit_request request_of(const struct delivery *delivery, size_t index)
{
    struct permit_request request = {
        .workspace_id = delivery->workspace_id,
        .subscription_id = delivery->subscription_id,
        .profile_id = delivery->profile_id,
        .notification_id = delivery->notification_id,
        .notification_created_at_ms = delivery->notification_created_at_ms,
    };
    if (delivery->member_count > 0) {
        const struct delivery_member *member = &delivery->members[index];
        request.profile_id = member->profile_id;
        request.notification_id = member->notification_id;
        request.notification_created_at_ms = member->notification_created_at_ms;
    }
    return request;
}

/* The first ones, as many as fit: at least one. Returns their number of requests. */
static size_t take_first(struct checker *checker, struct question **out_first)
{
    struct question *last = checker->asked;
    size_t total = last->count;
    while (last->next != NULL && total + last->next->count <= REQUESTS_AT_ONCE) {
        last = last->next;
        total += last->count;
    }
    *out_first = checker->asked;
    checker->asked = last->next;
    last->next = NULL;
    return total;
}

static enum status permit(struct checker *checker, const struct question *first, size_t total,
                          struct str *reasons)
{
    struct permit_request *requests = calloc(total, sizeof(*requests));
    size_t filled = 0;
    if (requests == NULL || reasons == NULL) {
        free(requests);
        return STATUS_LIMIT;
    }
    for (const struct question *question = first; question != NULL; question = question->next) {
        for (size_t i = 0; i < question->count; i++) {
            requests[filled++] = request_of(&question->queued->delivery, i);
        }
    }
    const struct sender_ops *ops = checker->rules.ops;
    enum status status = ops->permit(ops->app, requests, total, reasons);
    free(requests);
    return status;
}

static void answer(struct checker *checker, struct question *first, size_t total)
{
    int64_t read_at_us = clock_monotonic_us();
    struct str *reasons = calloc(total, sizeof(*reasons));
    enum status status = permit(checker, first, total, reasons);
    size_t taken = 0;
    if (status != STATUS_OK) {
        log_event(LOG_WARN, "nothing is known of what may be sent",
                  LOG_Z("status", status_name(status)));
    }
    for (struct question *question = first; question != NULL; question = question->next) {
        question->read_at_us = read_at_us;
        question->failed = status != STATUS_OK;
        for (size_t i = 0; i < question->count && !question->failed; i++) {
            question->reasons[i] = reasons[taken++];
        }
    }
    free(reasons);
}

static void give(struct checker *checker, struct question *first)
{
    struct question *last = first;
    while (last->next != NULL) {
        last = last->next;
    }
    last->next = checker->answered;
    checker->answered = first;
}

static void *checker_run(void *argument)
{
    struct checker *checker = argument;
    pthread_mutex_lock(&checker->lock);
    while (!checker->stopping) {
        if (checker->asked == NULL) {
            pthread_cond_wait(&checker->changed, &checker->lock);
            continue;
        }
        struct question *first = NULL;
        size_t total = take_first(checker, &first);
        pthread_mutex_unlock(&checker->lock);
        answer(checker, first, total);
        pthread_mutex_lock(&checker->lock);
        give(checker, first);
        checker->rules.wake(checker->rules.context);
    }
    pthread_mutex_unlock(&checker->lock);
    return NULL;
}

enum status checker_start(const struct checker_rules *rules, struct checker **out_checker,
                          struct problem *problem)
{
    struct checker *checker = calloc(1, sizeof(*checker));
    if (checker == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the sender");
    }
    checker->rules = *rules;
    pthread_mutex_init(&checker->lock, NULL);
    pthread_cond_init(&checker->changed, NULL);
    checker->is_running = thread_start(&checker->thread, checker_run, checker);
    if (!checker->is_running) {
        checker_destroy(checker);
        return problem_set(problem, STATUS_BROKEN, "internal",
                           "no thread for the sender's checker");
    }
    *out_checker = checker;
    return STATUS_OK;
}

void checker_stop(struct checker *checker)
{
    if (!checker->is_running) {
        return;
    }
    pthread_mutex_lock(&checker->lock);
    checker->stopping = true;
    pthread_cond_signal(&checker->changed);
    pthread_mutex_unlock(&checker->lock);
    pthread_join(checker->thread, NULL);
    checker->is_running = false;
    for (struct question *question = checker->asked; question != NULL; question = question->next) {
        question->failed = true;
    }
    if (checker->asked != NULL) {
        give(checker, checker->asked);
        checker->asked = NULL;
    }
}

void checker_destroy(struct checker *checker)
{
    if (checker == NULL) {
        return;
    }
    pthread_cond_destroy(&checker->changed);
    pthread_mutex_destroy(&checker->lock);
    free(checker);
}

bool checker_ask(struct checker *checker, struct lane *lane, struct queued *queued)
{
    size_t count = queued->delivery.member_count > 0 ? queued->delivery.member_count : 1;
    struct question *question = calloc(1, sizeof(*question) + count * sizeof(struct str));
    if (question == NULL) {
        return false;
    }
    question->lane = lane;
    question->queued = queued;
    question->count = count;
    pthread_mutex_lock(&checker->lock);
    if (checker->asked == NULL) {
        checker->asked = question;
    } else {
        checker->asked_last->next = question;
    }
    checker->asked_last = question;
    pthread_cond_signal(&checker->changed);
    pthread_mutex_unlock(&checker->lock);
    return true;
}

struct question *checker_answers(struct checker *checker)
{
    pthread_mutex_lock(&checker->lock);
    struct question *first = checker->answered;
    checker->answered = NULL;
    pthread_mutex_unlock(&checker->lock);
    return first;
}
