#ifndef DELIVER_QUEUE_H
#define DELIVER_QUEUE_H

/*
 * Which delivery may start next? Copies of deliveries wait in one lane per
 * subscription; lanes take turns, each within its own concurrency, all within
 * one total, half of which is kept for endpoints that answer. Pure bookkeeping without clock or
 * network. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/trigger/delivery.h"

struct queue;
struct lane;

/* A copy of a delivery: topic and body lie behind it. */
struct queued {
    struct queued *next;
    struct delivery delivery;
    size_t size_bytes; /* of the whole copy */
    bool renewing;     /* its lease is part of the renewal under way */
};

/* NULL when the system has no memory. */
struct queued *queued_create(const struct delivery *delivery);
void queued_destroy(struct queued *queued);

/* What an attempt told about the endpoint. */
enum lane_news {
    LANE_UNTRIED, /* nothing was sent */
    LANE_HEARD,   /* it answered, whatever it was */
    LANE_SILENT,  /* no answer: one at a time until it speaks again */
};

struct queue_rules {
    size_t active_max;               /* over all lanes */
    size_t lane_waiting_max;         /* more than these are not kept */
    void (*lane_finish)(void *data); /* releases what lane_set_data gave */
};

struct queue *queue_create(const struct queue_rules *rules);
void queue_destroy(struct queue *queue); /* no delivery may be active */

/* Takes the copy and returns true, or returns false when its lane is full. */
bool queue_add(struct queue *queue, struct queued *queued, int64_t now_ms);
/* Starts the next one whose turn it is: the copy is the caller's, the lane
 * counts it until queue_end. NULL when nothing may start. */
struct queued *queue_start(struct queue *queue, struct lane **out_lane);
void queue_end(struct queue *queue, struct lane *lane, enum lane_news news, int64_t now_ms);
void queue_set_concurrency(struct queue *queue, struct lane *lane, uint32_t concurrency);

/* Visits what waits, in all lanes or in one; where `keep` says false the copy
 * leaves the queue and is the visitor's to destroy. */
typedef bool queue_keep_fn(void *context, struct queued *queued);
void queue_sweep(struct queue *queue, queue_keep_fn *keep, void *context);
void queue_sweep_lane(struct queue *queue, struct lane *lane, queue_keep_fn *keep, void *context);

/* Forgets lanes that hold nothing and were not used since. */
void queue_retire(struct queue *queue, int64_t unused_since_ms);

size_t queue_waiting(const struct queue *queue);
size_t queue_active(const struct queue *queue);

void *lane_data(const struct lane *lane); /* NULL at first */
void lane_set_data(struct lane *lane, void *data);

#endif
