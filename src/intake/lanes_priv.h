#ifndef INTAKE_LANES_H
#define INTAKE_LANES_H

/*
 * Where events wait: one queue per workspace, cut into as many lanes as there
 * are writers. Not thread-safe: intake holds its lock around every call.
 *
 * Invariant: an event of one customer always falls into the same lane (the hash
 * of its strongest identifier), and a lane is in the hands of one writer at a
 * time, so one customer's events are decided in the order they came. What waits
 * in a quiet workspace is taken together, in one batch, and what comes meanwhile
 * waits for its commit, unless that takes long. A busy workspace is taken lane by
 * lane, so that its writers seldom want the same row.
 *
 * Measured at 1,000 a second, with a second writer at once beside the first: the
 * median is 1.25 ms, not 1.4, and the processor 7 % busier; with something else
 * on one of the two cores the slowest hundredth takes 12 to 16 ms, not 9 to 13.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "intake/intake.h"

enum {
    LANES_MAX = 32,
    INTAKE_ITEM_QUARANTINE = -1, /* the delivery as a whole, unreadable */
};

struct intake_item {
    struct intake_delivery *delivery;
    int64_t event_index;
    size_t size_bytes;
    uint32_t lane;
    struct intake_item *next;
};

struct lane_queue {
    struct intake_item *head;
    struct intake_item *tail;
    size_t count;
    bool is_taken;
};

struct lanes; /* all workspaces */

/* A batch in one writer's hands. */
struct lane_batch {
    struct id workspace_id;
    struct intake_item *items; /* in order of arrival within each lane */
    size_t count;
    uint32_t lane_mask; /* the lanes taken */
};

struct lanes *lanes_create(unsigned lane_count);
void lanes_destroy(struct lanes *lanes);
/* False when there is no memory for the workspace's queue. */
bool lanes_add(struct lanes *lanes, struct id workspace_id, struct intake_item *item);
/* True when a batch of this workspace may be taken now. */
bool lanes_are_ready(struct lanes *lanes, struct id workspace_id);
/* Takes the next batch (at most LIMIT_BATCH_EVENTS and LIMIT_BATCH_BYTES), round
 * robin over workspaces. False when nothing may be taken now. */
bool lanes_take(struct lanes *lanes, struct lane_batch *out_batch);
/* Gives the lanes back. Items of `unfinished` return to the head of theirs. */
void lanes_return(struct lanes *lanes, const struct lane_batch *batch,
                  struct intake_item *unfinished);
size_t lanes_count(const struct lanes *lanes); /* waiting, without those taken */

#endif
