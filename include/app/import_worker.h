#ifndef APP_IMPORT_WORKER_H
#define APP_IMPORT_WORKER_H

/*
 * The server's thread for history: what was uploaded to POST /v1/imports, and
 * replays. One job at a time, of whichever workspace, by whichever instance claims
 * it first.
 */

#include "base/id.h"
#include "base/status.h"
#include "store/registry.h"

struct import_worker;

NODISCARD enum status import_worker_start(const char *database_url, struct registry *registry,
                                          struct id instance_id, struct import_worker **out_worker,
                                          struct problem *problem);
/* Ends after the chunks in hand; what is left is gone on with by the next
 * instance that claims it. Accepts NULL. */
void import_worker_stop(struct import_worker *worker);

#endif
