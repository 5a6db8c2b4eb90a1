#ifndef STORE_DELIVERY_PERMIT_H
#define STORE_DELIVERY_PERMIT_H

/*
 * What is true of customers now, for the question whether they may still be told of.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/pg.h"

struct consent_question {
    struct id profile_id;
    struct str channel;
    /* The answers. */
    bool is_known;    /* there is such a customer */
    struct str state; /* subscribed pending unsubscribed never invalid */
};

/* Of one workspace, in one round trip; who was merged is answered for by the survivor. */
NODISCARD enum status delivery_permit_read(struct pg *pg, struct arena *arena,
                                           struct id workspace_id,
                                           struct consent_question *questions, size_t count,
                                           struct problem *problem);

#endif
