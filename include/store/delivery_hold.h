#ifndef STORE_DELIVERY_HOLD_H
#define STORE_DELIVERY_HOLD_H

/*
 * The brake's half of the queue: dropping what grew old while it was pulled.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "store/pg.h"

/* Where a walk over the queue is. */
struct drop_walk {
    struct id after_id; /* zero to begin with */
    int64_t dropped;    /* so far */
    bool is_end;
};
/* Drops what was made before before_ms and nobody has a lease of, among the next
 * `limit` rows, each with an attempt of outcome "dropped" in the log. */
NODISCARD enum status delivery_drop_old(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        int64_t before_ms, int64_t now_ms, size_t limit,
                                        struct drop_walk *walk, struct problem *problem);

#endif
