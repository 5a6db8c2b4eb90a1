#ifndef DELIVER_QUEUE_H
#define DELIVER_QUEUE_H

/*
 * Which delivery may start next? Copies of deliveries wait in one lane per
 * subscription; lanes take turns, each within its own concurrency, rate, rest and
 * breaker, all within one total, of which endpoints that do not answer have a share
 * only. Pure bookkeeping without clock or network; instants are of the clock that never
 * jumps. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/trigger/delivery.h"

struct queue;
struct lane;

/* A copy of a delivery: topic, body and members lie behind it. */
struct queued {
    struct queued *next;
    struct delivery delivery;
    size_t size_bytes; /* of the whole copy */
    bool renewing;     /* its lease is part of the renewal under way */
    uint32_t asks;     /* how often it was asked whether it may go, in vain */
};

/* NULL when the system has no memory. */
struct queued *queued_create(const struct delivery *delivery);
void queued_destroy(struct queued *queued);

/* What an attempt told about the endpoint. */
enum lane_news {
    LANE_UNTRIED,   /* nothing was sent */
    LANE_HEARD,     /* it answered, and not that it is unwell */
    LANE_FAILED,    /* 5xx: a failure for its breaker */
    LANE_THROTTLED, /* 429, or 503 with Retry-After: too much at once */
    LANE_SILENT,    /* no answer: one at a time until it speaks again */
};

struct lane_report {
    enum lane_news news;
    int64_t started_ms;
    int64_t rest_ms; /* THROTTLED: nothing before that; 0: it did not say */
    uint32_t jitter;
};

struct queue_rules {
    size_t active_max;               /* over all lanes */
    size_t lane_waiting_max;         /* more than these are not kept */
    void (*lane_finish)(void *data); /* releases what lane_set_data gave */
};

struct lane_limits {
    uint32_t concurrency;
    uint32_t rate_count; /* 0: as fast as it goes */
    int64_t rate_per_ms;
};

struct queue *queue_create(const struct queue_rules *rules);
void queue_destroy(struct queue *queue); /* no delivery may be active */

/* Takes the copy and returns true, or returns false when its lane is full. */
bool queue_add(struct queue *queue, struct queued *queued, int64_t now_ms);
/* Starts the next one whose turn it is: the copy is the caller's, the lane
 * counts it until queue_end. NULL when nothing may start. */
struct queued *queue_start(struct queue *queue, int64_t now_ms, struct lane **out_lane);
void queue_end(struct queue *queue, struct lane *lane, const struct lane_report *report,
               int64_t now_ms);
void queue_set_limits(struct queue *queue, struct lane *lane, const struct lane_limits *limits,
                      int64_t now_ms);
/* When the first of the lanes that wait for an instant may go on; INT64_MAX: none. */
int64_t queue_wake_ms(const struct queue *queue);

/* Visits what waits, in all lanes or in one; where `keep` says false the copy
 * leaves the queue and is the visitor's to destroy. */
typedef bool queue_keep_fn(void *context, struct queued *queued);
void queue_sweep(struct queue *queue, int64_t now_ms, queue_keep_fn *keep, void *context);
void queue_sweep_lane(struct queue *queue, struct lane *lane, int64_t now_ms, queue_keep_fn *keep,
                      void *context);

/* Forgets lanes that hold nothing and were not used since; those of endpoints that are
 * unwell only after QUEUE_UNWELL_MS more, or they would be taken for new ones. */
#define QUEUE_UNWELL_MS (15 * INT64_C(60000))
typedef void queue_retired_fn(void *context, struct id subscription_id);
void queue_retire(struct queue *queue, int64_t unused_since_ms, queue_retired_fn *retired,
                  void *context);

size_t queue_waiting(const struct queue *queue);
size_t queue_active(const struct queue *queue);

struct id lane_subscription(const struct lane *lane);
/* How many copies it is worth to keep for the lane, and from which instant on
 * (0: now; a lane whose closing is short keeps what it has). */
size_t lane_worth_keeping(const struct queue *queue, const struct lane *lane, int64_t now_ms,
                          int64_t *out_closed_until_ms);
void *lane_data(const struct lane *lane); /* NULL at first */
void lane_set_data(struct lane *lane, void *data);

#endif
