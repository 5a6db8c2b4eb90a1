#ifndef STORE_DELIVERY_PERMIT_H
#define STORE_DELIVERY_PERMIT_H

/*
 * What is true of customers now, for the question whether they may still be told of;
 * and what they were told of, as it was.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/trigger/recheck.h"
#include "store/pg.h"

struct consent_question {
    struct id profile_id;
    struct str channel;
    /* The answers. */
    bool is_known;    /* there is such a customer */
    struct str state; /* subscribed pending unsubscribed never invalid */
};

struct recheck_question {
    struct id profile_id;
    struct id notification_id;
    int64_t notification_created_at_ms;
    bool asks_event; /* which of what was told is wanted */
    bool asks_transition;
    const struct str *properties; /* of the event; others need not come along */
    size_t property_count;
    /* The answers. */
    bool is_known;           /* there is such a customer */
    struct profile *profile; /* a copy of what is stored; NULL: it does not decode */
    bool has_event;          /* it is known which it was, or that there was none */
    bool has_transition;
    struct recheck_told told;
};

struct permit_questions {
    struct consent_question *consents;
    size_t consent_count;
    struct recheck_question *rechecks;
    size_t recheck_count;
};

struct cause_question {
    struct id notification_id;
    int64_t notification_created_at_ms;
    /* The answers. */
    struct str trigger;       /* its name; empty: none rang it */
    const struct event *fact; /* about the world; NULL: it was none, or is not kept */
    struct str source;        /* of the fact, by name */
};

/* Which triggers rang, and by which facts: asked first, for it says what else to ask. */
NODISCARD enum status delivery_permit_causes(struct pg *pg, struct arena *arena,
                                             struct id workspace_id,
                                             struct cause_question *questions, size_t count,
                                             struct problem *problem);

/* Of one workspace, in one round trip, a statement for each kind of question that is
 * asked; who was merged is answered for by the survivor. */
NODISCARD enum status delivery_permit_read(struct pg *pg, struct arena *arena,
                                           struct id workspace_id,
                                           const struct permit_questions *questions,
                                           struct problem *problem);

#endif
