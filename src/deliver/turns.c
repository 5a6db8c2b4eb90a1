#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "deliver/destination.h"
#include "sender_priv.h"

/*
 * Whose turn it is, and what is done with it.
 *
 * A turn takes one of its lane's places until queue_end, on every path: sent, dropped,
 * settled unsent, or asked about first. What was asked about goes on when the answer is
 * there, if that is still fresh; its first byte must leave within PERMIT_US of the
 * reading, or the transfer refuses to send it.
 */

/* No attempt starts while so many outcomes are unsettled. */
#define SETTLE_BACKLOG_MAX 1024u
#define PERMIT_US 1000000
/* Less than this left, and asking again is better than connecting in vain. */
#define PERMIT_LEFT_US 300000

void turn_pass(struct sender *sender, struct lane *lane)
{
    const struct lane_report report = { .news = LANE_UNTRIED };
    queue_end(sender->queue, lane, &report, clock_monotonic_ms());
}

void turn_ask(struct sender *sender, struct lane *lane, struct queued *queued)
{
    if (!atomic_load(&sender->stopping) && checker_ask(sender->checker, lane, queued)) {
        sender->asking_count++;
        return;
    }
    copy_give_back(sender, queued);
    turn_pass(sender, lane);
}

static bool lease_is_long_enough(const struct delivery *delivery, const struct outlet *outlet,
                                 int64_t now_ms)
{
    if (delivery->lease_until_ms - now_ms > destination_timeout_ms(outlet->destination)) {
        return true;
    }
    log_event(LOG_DEBUG, "lease too short to send", LOG_ID("delivery", delivery->id));
    return false;
}

/* Sends, asks about, settles or drops one copy; all paths but the first two give the
 * lane its place back. */
static void start_one(struct sender *sender, struct lane *lane, struct queued *queued)
{
    int64_t now_ms = clock_now_ms();
    const struct delivery *delivery = &queued->delivery;
    struct outlet *outlet = outlet_of(sender, lane);
    if (outlet == NULL || !outlet_refresh(sender, lane, outlet, delivery)) {
        outlet_shut(sender, lane, outlet);
        copy_give_back(sender, queued);
        turn_pass(sender, lane);
        return;
    }
    if (!lease_is_long_enough(delivery, outlet, now_ms)) {
        /* another instance may own it */
    } else if (verdict_is_expired(delivery, outlet->max_age_ms, now_ms)) {
        verdict_drop(sender, delivery, NULL, outlet->max_age_ms, now_ms);
    } else if (delivery->member_count == 0 &&
               destination_format(outlet->destination) != NATIVE_NONE &&
               !native_is_call(delivery->body)) {
        verdict_unsent(sender, delivery, delivery->body, now_ms);
    } else if (outlet->asks_first) {
        turn_ask(sender, lane, queued);
        return;
    } else if (flight_start(sender, lane, queued, 0)) {
        return;
    }
    copy_drop(sender, queued);
    turn_pass(sender, lane);
}

bool turns_start(struct sender *sender)
{
    struct lane *lane = NULL;
    while (settler_backlog(sender->settler) < SETTLE_BACKLOG_MAX) {
        struct queued *queued = queue_start(sender->queue, clock_monotonic_ms(), &lane);
        if (queued == NULL) {
            return true;
        }
        start_one(sender, lane, queued);
    }
    return false;
}

static bool has_reason(const struct question *question)
{
    for (size_t i = 0; i < question->count; i++) {
        if (question->reasons[i].size > 0) {
            return true;
        }
    }
    return false;
}

static void go_on(struct sender *sender, const struct question *question)
{
    struct lane *lane = question->lane;
    struct queued *queued = question->queued;
    const struct delivery *delivery = &queued->delivery;
    struct outlet *outlet = lane_data(lane);
    int64_t now_ms = clock_now_ms();
    int64_t left_us = question->read_at_us + PERMIT_US - clock_monotonic_us();
    if (question->failed) {
        copy_give_back(sender, queued);
        turn_pass(sender, lane);
        return;
    }
    if (!lease_is_long_enough(delivery, outlet, now_ms)) {
        /* another instance may own it */
    } else if (has_reason(question)) {
        verdict_drop(sender, delivery, question->reasons, outlet->max_age_ms, now_ms);
    } else if (left_us < PERMIT_LEFT_US) {
        turn_ask(sender, lane, queued);
        return;
    } else if (flight_start(sender, lane, queued, question->read_at_us + PERMIT_US)) {
        return;
    }
    copy_drop(sender, queued);
    turn_pass(sender, lane);
}

void turns_collect_answers(struct sender *sender)
{
    struct question *question = sender->asking_count > 0 ? checker_answers(sender->checker) : NULL;
    while (question != NULL) {
        struct question *next = question->next;
        sender->asking_count--;
        go_on(sender, question);
        free(question);
        question = next;
    }
}

void turns_end(struct sender *sender)
{
    struct question *question = checker_answers(sender->checker);
    while (question != NULL) {
        struct question *next = question->next;
        sender->asking_count--;
        copy_give_back(sender, question->queued);
        turn_pass(sender, question->lane);
        free(question);
        question = next;
    }
}
