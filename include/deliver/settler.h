#ifndef DELIVER_SETTLER_H
#define DELIVER_SETTLER_H

/*
 * What became of attempts, on its way into the database: a thread that settles through
 * sender_ops, many at once. The other functions may be called from any thread; they
 * never wait for the database.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "deliver/sender.h"

struct settler;

/* A settlement with its texts and members. */
struct outcome {
    struct outcome *next;
    struct settlement settlement;
};

/* Copies; NULL when the system has no memory. */
struct outcome *outcome_create(const struct settlement *settlement);

struct settler_rules {
    const struct sender_ops *ops; /* borrowed */
    /* Deliveries whose turn came with a settlement: takes the first so many. */
    size_t (*take)(void *context, const struct delivery *deliveries, size_t count);
    /* Ends the lease of one that was not taken. */
    void (*give_back)(void *context, const struct delivery *delivery);
    void *context;
};

NODISCARD enum status settler_start(const struct settler_rules *rules, struct settler **out_settler,
                                    struct problem *problem);
/* Settles what is there until the deadline (monotonic clock), once at least, and joins
 * the thread. What is then left unsettled is lost here and comes back when its lease
 * runs out. */
void settler_stop(struct settler *settler, int64_t deadline_ms);
void settler_destroy(struct settler *settler); /* stopped before; NULL is fine */

void settler_add_take(struct settler *settler, struct outcome *outcome);
size_t settler_backlog(struct settler *settler);

#endif
