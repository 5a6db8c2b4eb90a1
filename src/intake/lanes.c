#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "lanes_priv.h"

/*
 * Natural batching: while a lane's batch commits, its next one gathers; no
 * timer. Rejected: a fixed number of lanes for every workspace (a quiet shop's
 * events would be spread over commits of one row each), and opening lanes one by
 * one (an event of the same customer could overtake across the change).
 */

/* Up to this a workspace counts as quiet. Half of what a commit of 10 ms gathers
 * at 10,000 events a second: a busy one is far above it, one at 1,000 below. */
#define LANES_QUIET_EVENTS 64
/* A batch in hand for so long is one to get past: it waits for a row, or is cut
 * down to the event that the database refuses. Seen when the next event comes. */
#define LANES_LATE_MS 20

struct workspace_queue {
    struct id workspace_id;
    struct lane_queue lane[LANES_MAX];
    size_t count;                  /* waiting in all lanes */
    uint32_t taken;                /* mask of lanes in hand */
    unsigned next_lane;            /* where the next take starts looking */
    int64_t taken_at_ms;           /* the last take, by the monotonic clock */
    struct workspace_queue *next;  /* ring of all workspaces */
    struct workspace_queue *chain; /* hash bucket */
};

enum {
    BUCKETS = 1024
};

struct lanes {
    unsigned lane_count;
    size_t count;
    struct workspace_queue *turn; /* ring; whose turn it is */
    struct workspace_queue *bucket[BUCKETS];
};

struct lanes *lanes_create(unsigned lane_count)
{
    assert(lane_count > 0 && lane_count <= LANES_MAX);
    struct lanes *lanes = calloc(1, sizeof(*lanes));
    if (lanes != NULL) {
        lanes->lane_count = lane_count;
    }
    return lanes;
}

void lanes_destroy(struct lanes *lanes)
{
    if (lanes == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (lanes->bucket[i] != NULL) {
            struct workspace_queue *queue = lanes->bucket[i];
            lanes->bucket[i] = queue->chain;
            free(queue);
        }
    }
    free(lanes);
}

static struct workspace_queue *lanes_find(struct lanes *lanes, struct id workspace_id)
{
    struct str key = { (const char *)workspace_id.bytes, ID_SIZE };
    size_t bucket = (size_t)hash64(key, 0) % BUCKETS;
    struct workspace_queue *queue = lanes->bucket[bucket];
    while (queue != NULL && !id_equal(queue->workspace_id, workspace_id)) {
        queue = queue->chain;
    }
    if (queue != NULL) {
        return queue;
    }
    queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return NULL;
    }
    queue->workspace_id = workspace_id;
    queue->chain = lanes->bucket[bucket];
    lanes->bucket[bucket] = queue;
    if (lanes->turn == NULL) {
        lanes->turn = queue;
        queue->next = queue;
    } else {
        queue->next = lanes->turn->next;
        lanes->turn->next = queue;
    }
    return queue;
}

bool lanes_add(struct lanes *lanes, struct id workspace_id, struct intake_item *item)
{
    struct workspace_queue *queue = lanes_find(lanes, workspace_id);
    if (queue == NULL) {
        return false;
    }
    item->lane %= lanes->lane_count;
    item->next = NULL;
    struct lane_queue *lane = &queue->lane[item->lane];
    if (lane->tail != NULL) {
        lane->tail->next = item;
    } else {
        lane->head = item;
    }
    lane->tail = item;
    lane->count++;
    queue->count++;
    lanes->count++;
    return true;
}

struct take {
    struct intake_item **tail;
    size_t count;
    size_t bytes;
};

/* Moves items of one lane to the batch until a limit is reached. */
static void lane_take(struct lane_queue *lane, struct take *take)
{
    while (lane->head != NULL && take->count < LIMIT_BATCH_EVENTS &&
           (take->count == 0 || take->bytes + lane->head->size_bytes <= LIMIT_BATCH_BYTES)) {
        struct intake_item *item = lane->head;
        lane->head = item->next;
        if (lane->head == NULL) {
            lane->tail = NULL;
        }
        lane->count--;
        item->next = NULL;
        *take->tail = item;
        take->tail = &item->next;
        take->count++;
        take->bytes += item->size_bytes;
    }
}

/* One batch in hand is enough for a quiet workspace: a second commit beside it
 * would carry one or two events, at the price in processor time of a hundred,
 * and what comes meanwhile waits for less than it takes. */
static bool queue_is_ready(const struct lanes *lanes, const struct workspace_queue *queue)
{
    if (queue->taken == 0) {
        return queue->count > 0;
    }
    size_t count = 0;
    for (unsigned i = 0; i < lanes->lane_count; i++) {
        count += (queue->taken & (1U << i)) == 0 ? queue->lane[i].count : 0;
    }
    return count > LANES_QUIET_EVENTS ||
           (count > 0 && clock_monotonic_ms() - queue->taken_at_ms >= LANES_LATE_MS);
}

static bool queue_take(struct lanes *lanes, struct workspace_queue *queue,
                       struct lane_batch *out_batch)
{
    /* Lanes with nothing in them are left alone: another writer may take what
     * falls into them meanwhile. */
    bool is_whole = queue->count <= LANES_QUIET_EVENTS;
    struct lane_batch batch = { .workspace_id = queue->workspace_id };
    struct take take = { .tail = &batch.items };
    for (unsigned i = 0; i < lanes->lane_count; i++) {
        unsigned index = (queue->next_lane + i) % lanes->lane_count;
        bool is_free = (queue->taken & (1U << index)) == 0;
        if (!is_free || queue->lane[index].head == NULL) {
            continue;
        }
        lane_take(&queue->lane[index], &take);
        batch.lane_mask |= 1U << index;
        if (!is_whole) {
            queue->next_lane = index + 1;
            break;
        }
    }
    if (take.count == 0) {
        return false;
    }
    queue->taken |= batch.lane_mask;
    queue->taken_at_ms = clock_monotonic_ms();
    queue->count -= take.count;
    lanes->count -= take.count;
    batch.count = take.count;
    *out_batch = batch;
    return true;
}

bool lanes_are_ready(struct lanes *lanes, struct id workspace_id)
{
    const struct workspace_queue *queue = lanes_find(lanes, workspace_id);
    return queue != NULL && queue_is_ready(lanes, queue);
}

bool lanes_take(struct lanes *lanes, struct lane_batch *out_batch)
{
    if (lanes->count == 0) {
        return false;
    }
    struct workspace_queue *first = lanes->turn;
    do {
        struct workspace_queue *queue = lanes->turn;
        lanes->turn = queue->next;
        if (queue_is_ready(lanes, queue) && queue_take(lanes, queue, out_batch)) {
            return true;
        }
    } while (lanes->turn != first);
    return false;
}

void lanes_return(struct lanes *lanes, const struct lane_batch *batch,
                  struct intake_item *unfinished)
{
    struct workspace_queue *queue = lanes_find(lanes, batch->workspace_id);
    assert(queue != NULL && (queue->taken & batch->lane_mask) == batch->lane_mask);
    queue->taken &= ~batch->lane_mask;
    /* Back to the head in the old order: reverse, then push one by one. */
    struct intake_item *reversed = NULL;
    while (unfinished != NULL) {
        struct intake_item *item = unfinished;
        unfinished = item->next;
        item->next = reversed;
        reversed = item;
    }
    while (reversed != NULL) {
        struct intake_item *item = reversed;
        reversed = item->next;
        struct lane_queue *lane = &queue->lane[item->lane];
        item->next = lane->head;
        lane->head = item;
        if (lane->tail == NULL) {
            lane->tail = item;
        }
        lane->count++;
        queue->count++;
        lanes->count++;
    }
}

size_t lanes_count(const struct lanes *lanes)
{
    return lanes->count;
}
