#ifndef APP_ENDPOINT_TALLY_H
#define APP_ENDPOINT_TALLY_H

/*
 * What becomes of calls, counted per subscription until it is added to the
 * hour's row, and shown to Prometheus for a bounded number of subscriptions.
 *
 * Threading: add by the settler's thread, flush by the background's, write by any.
 */

#include "base/buf.h"
#include "base/status.h"
#include "core/trigger/delivery.h"
#include "store/pg.h"
#include "store/registry.h"

struct endpoint_tally;

struct endpoint_tally *endpoint_tally_create(void); /* NULL: no memory */
void endpoint_tally_destroy(struct endpoint_tally *tally);

/* `tally` may be NULL: nobody counts. */
void endpoint_tally_add(struct endpoint_tally *tally, const struct attempt *attempt);
/* Adds what was counted to the rows; what fails is kept for the next time. */
void endpoint_tally_flush(struct endpoint_tally *tally, struct pg *pg);
/* The exposition format; names are the snapshot's. */
void endpoint_tally_write(struct endpoint_tally *tally, const struct registry_snapshot *snapshot,
                          struct buf *text);

#endif
