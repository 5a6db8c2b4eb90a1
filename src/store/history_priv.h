#ifndef STORE_HISTORY_PRIV_H
#define STORE_HISTORY_PRIV_H

/*
 * A row of the timeline as an event: for who reads histories, and for who reads one.
 */

#include "core/event/event.h"
#include "store/pg.h"

#define HISTORY_EVENT_COLUMNS                                                               \
    "id, source_id, type, trust, occurred_at, received_at, product_id, category, currency," \
    " amount_minor, order_ref, facts, properties, context, act"

/* HISTORY_EVENT_COLUMNS from column 1 on. What an order's document said of the order is
 * the order's business. */
NODISCARD enum status history_event(struct arena *arena, const struct pg_result *result, size_t row,
                                    struct event *event, struct problem *problem);

#endif
