#ifndef SWEEP_DUE_CONCERN_H
#define SWEEP_DUE_CONCERN_H

/*
 * What the customers of causes that waited have to do with the products that these are
 * about, as it is now: for triggers that ask.
 */

#include "core/decide.h"
#include "store/pg.h"

/* Fills `concern` of those rows whose trigger asks. */
NODISCARD enum status due_concerns(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   const struct trigger_set *triggers, struct waiting_row *rows,
                                   size_t count, struct problem *problem);

#endif
