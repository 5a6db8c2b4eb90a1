#ifndef STORE_CONCERN_READ_H
#define STORE_CONCERN_READ_H

/*
 * What customers have to do with the products that causes of triggers are about, as it is
 * now: when a wait is over, and before a message leaves; for triggers that ask.
 */

#include "core/decide.h"
#include "store/pg.h"

/* Fills `concern` of those rows whose trigger asks. */
NODISCARD enum status concerns_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    const struct trigger_set *triggers, struct waiting_row *rows,
                                    size_t count, struct problem *problem);

#endif
