#ifndef API_TRIGGER_PRIV_H
#define API_TRIGGER_PRIV_H

/*
 * Shared by the files that read, keep and show triggers.
 */

#include "resource_priv.h"
#include "store/trigger_store.h"

/* What the body says, over the row's name, id and what is not the body's to say.
 * STATUS_INVALID with the problem pointing at the member. */
NODISCARD enum status trigger_read(const struct resource_request *request, struct trigger_row *row,
                                   struct problem *problem);
void trigger_write_json(struct jsonw *json, const struct trigger_row *row);

#endif
