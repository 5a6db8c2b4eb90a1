#ifndef STORE_INTEREST_REBUILD_H
#define STORE_INTEREST_REBUILD_H

/*
 * Interests made anew from the facts that are there: after facts were replaced
 * (replay), and where a check found them wrong.
 */

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/pg.h"

/* Within an open transaction, under the locks of the profiles that the origins belong
 * to. Of an origin whose facts retention has folded, what is there stays as far as it
 * is more than the facts that are left say. */
NODISCARD enum status interest_rebuild(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       const struct id *origins, size_t count,
                                       struct problem *problem);

#endif
