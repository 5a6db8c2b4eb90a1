#ifndef CORE_TRIGGER_MESSAGE_PRIV_H
#define CORE_TRIGGER_MESSAGE_PRIV_H

/*
 * The pieces of a body, between those who write them and the formats that put
 * them together.
 */

#include "core/trigger/projection.h"

/* "cause": why it rings. */
void message_write_cause(struct jsonw *json, const struct message *message);
/* The members of an open `data`; a truncated one is thin and has no others. */
void message_write_data(struct arena *arena, struct jsonw *json,
                        const struct projection *projection, const struct message *message,
                        bool is_truncated);

#endif
