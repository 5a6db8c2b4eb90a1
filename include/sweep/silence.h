#ifndef SWEEP_SILENCE_H
#define SWEEP_SILENCE_H

/*
 * Looks for sources that fell silent, and rings who listens to ops.source_silent.
 */

#include "base/arena.h"
#include "base/status.h"
#include "store/registry.h"

struct silence_watch {
    struct registry *registry;
    size_t next_workspace;
};

/* One turn over at most so many workspaces. A failed one is looked at next time. */
NODISCARD enum status silence_watch_turn(struct silence_watch *watch, struct pg *pg,
                                         struct arena *arena, struct problem *problem);

#endif
