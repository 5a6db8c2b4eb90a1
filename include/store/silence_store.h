#ifndef STORE_SILENCE_STORE_H
#define STORE_SILENCE_STORE_H

/*
 * Which sources are silent, and that it was told, once.
 */

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

/* A source that was heard before; of its silence since then nobody was told. */
struct silence_row {
    struct id source_id;
    int64_t last_accepted_at_ms;
};
NODISCARD enum status silence_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct silence_row **out_rows, size_t *out_count,
                                   struct problem *problem);
/* Since when some instance has lived without a gap; INSTANT_NONE: not known. */
NODISCARD enum status silence_alive_since(struct pg *pg, struct arena *arena, int64_t *out_since_ms,
                                          struct problem *problem);

struct silence_notice {
    struct id workspace_id;
    struct silence_row row;
    struct id id; /* of the notification */
    int64_t created_at_ms;
    struct str topic;
    struct str body;
    const struct id *subscription_ids;
    size_t subscription_count;
};
/* The notification, its deliveries, and that it was told: all of it, or nothing
 * when the source was heard meanwhile or another instance was first. */
NODISCARD enum status silence_tell(struct pg *pg, struct arena *arena,
                                   const struct silence_notice *notice, int64_t now_ms,
                                   struct problem *problem);

#endif
