#ifndef SWEEP_CARE_H
#define SWEEP_CARE_H

/*
 * Looks for endpoints that only fail: tells who listens to ops.*, and disables
 * one when our patience is at its end.
 */

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/registry.h"

struct care_watch {
    struct registry *registry;
    size_t next_workspace;
};

/* One turn over at most so many workspaces, as of now_ms. A failed one is looked
 * at next time. */
NODISCARD enum status care_watch_turn(struct care_watch *watch, struct pg *pg, struct arena *arena,
                                      int64_t now_ms, struct problem *problem);

#endif
