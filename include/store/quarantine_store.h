#ifndef STORE_QUARANTINE_STORE_H
#define STORE_QUARANTINE_STORE_H

/*
 * What was verified but not understood, read. Values borrow from the arena.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct quarantine_row {
    struct id id;
    struct id source_id; /* of quarantine_next only */
    int64_t received_at_ms;
    struct str source;
    struct str topic;
    struct str dedup_key;
    struct id event_id; /* zero: the whole body */
    struct str reason;
    struct str headers_json;
    int64_t body_bytes;
    struct str body; /* of quarantine_find and quarantine_next only */
};

/* Newest first; source_id zero means all. */
NODISCARD enum status quarantine_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id source_id, int64_t before_ms, struct id before_id,
                                      size_t limit, struct quarantine_row **out_rows,
                                      size_t *out_count, struct problem *problem);
NODISCARD enum status quarantine_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id quarantine_id, struct quarantine_row *out_row,
                                      struct problem *problem);

#endif
