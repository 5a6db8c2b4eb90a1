#ifndef DELIVER_CHECKER_H
#define DELIVER_CHECKER_H

/*
 * Asks the app whether notifications may still go, many at a time, on a thread of its
 * own. The other functions are for the sending thread and never wait.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "deliver/sender.h"

struct checker;
struct lane;
struct queued;

struct question {
    struct question *next;
    struct lane *lane;
    struct queued *queued;
    int64_t read_at_us; /* monotonic, taken before the reading began */
    bool failed;        /* nothing is known */
    size_t count;
    struct str reasons[]; /* of each member, or the one; empty: it may go */
};

struct checker_rules {
    const struct sender_ops *ops; /* borrowed */
    void (*wake)(void *context);  /* answers have come; any thread */
    void *context;
};

NODISCARD enum status checker_start(const struct checker_rules *rules, struct checker **out_checker,
                                    struct problem *problem);
/* Joins the thread; what was not answered has failed. */
void checker_stop(struct checker *checker);
void checker_destroy(struct checker *checker); /* stopped, and emptied; NULL is fine */

/* False: no memory, nothing was asked. */
bool checker_ask(struct checker *checker, struct lane *lane, struct queued *queued);
/* A list, to be freed one by one; NULL: nothing new. */
struct question *checker_answers(struct checker *checker);

#endif
