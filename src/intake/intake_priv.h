#ifndef INTAKE_INTAKE_PRIV_H
#define INTAKE_INTAKE_PRIV_H

/*
 * What the queue side (intake.c) and the writers (writer.c, range.c) share.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "intake/intake.h"
#include "lanes_priv.h"
#include "store/pg.h"

enum intake_state {
    INTAKE_RUNNING,
    INTAKE_DRAINING,
    INTAKE_STOPPED
};

struct writer {
    struct intake *intake;
    struct pg *pg;
    struct arena *arena;
    pthread_t thread;
    bool is_started;
    /* Deliveries of a commit whose answer was lost: their leases are given back
     * once the database answers again (correctness 18). */
    struct id *unknown_ids;
    size_t unknown_count;
    struct id unknown_workspace_id;
};

struct intake {
    struct intake_config config;
    pthread_mutex_t lock;
    /* What is told of events lives in their delivery's arena, which belongs to one
     * thread at a time; but the events may be in the lanes of several writers. */
    pthread_mutex_t details_lock;
    pthread_cond_t work;  /* there may be something to take */
    pthread_cond_t quiet; /* the backlog became empty */
    struct lanes *lanes;
    size_t in_work;                  /* taken by writers, not yet settled */
    _Atomic enum intake_state state; /* written under lock; writers peek without */
    atomic_bool is_healthy;
    struct writer writer[LANES_MAX];
    unsigned writer_count;
};

/* Items of one workspace, in order; at most LIMIT_BATCH_EVENTS. */
struct item_range {
    struct intake_item **items;
    size_t count;
};

/* Decides and commits all of a range and settles its items, or changes nothing. */
NODISCARD enum status range_attempt(struct writer *writer, struct item_range range,
                                    struct problem *problem);

/* Decides and commits a batch. Every item is settled when it returns, but for
 * those in *out_unfinished, which the database did not take now and whose
 * senders still wait. */
void writer_process(struct writer *writer, const struct lane_batch *batch,
                    struct intake_item **out_unfinished);

/* One item is done; the last of its delivery calls `done`. */
void item_settle(struct intake_item *item, enum event_result result, enum status status);

static inline const struct event *item_event(const struct intake_item *item)
{
    return &item->delivery->events[item->event_index];
}

#endif
