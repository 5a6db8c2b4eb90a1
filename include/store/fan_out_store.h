#ifndef STORE_FAN_OUT_STORE_H
#define STORE_FAN_OUT_STORE_H

/*
 * What a fan-out asks of the database besides the pages of customers
 * (interest_read.h, universal_audience.h). Values borrow from the arena.
 */

#include <stdbool.h>
#include <stddef.h>

#include "store/universal_store.h"

#define FAN_OUT_KIND "fan_out" /* of its jobs, which are made with the fact */

/* Has the opposite been told of the same thing since? Who would be rung now would be told
 * what is over. */
NODISCARD enum status fan_out_is_overtaken(struct pg *pg, struct arena *arena,
                                           struct id workspace_id,
                                           const struct universal_event *fact, bool *out_overtaken,
                                           struct problem *problem);

/* The next product that a selector names, by its id or by a category of its path, behind
 * (after_source_id, after_product_id). STATUS_MISSING: there is none. */
NODISCARD enum status fan_out_product(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct str selector_json, struct id after_source_id,
                                      struct str after_product_id, struct id *out_source_id,
                                      struct str *out_product_id, struct problem *problem);

/* Which notifications of a fact exist already: those of `ids`, in place, *io_count of them
 * are left. A fact's notifications are all of the instant at which it was recorded. */
NODISCARD enum status fan_out_rung(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   int64_t recorded_at_ms, struct id *ids, size_t *io_count,
                                   struct problem *problem);

/* Who was merged into any of `profile_ids`: pairs. */
struct fan_out_merged {
    struct id profile_id;
    struct id from_id;
};
NODISCARD enum status fan_out_merged(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     const struct id *profile_ids, size_t count,
                                     struct fan_out_merged **out_merged, size_t *out_count,
                                     struct problem *problem);

#endif
