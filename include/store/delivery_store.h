#ifndef STORE_DELIVERY_STORE_H
#define STORE_DELIVERY_STORE_H

/*
 * The delivery queue as the sender uses it: claim, settle, renew. Leases are by
 * time; a claim commits at once and no transaction is ever held across HTTP.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/trigger/delivery.h"
#include "store/pg.h"

/* Claims up to `limit` due deliveries of one workspace for `owner`. `floor_ms`
 * keeps the scan off the dead entries at the head of the index (correctness
 * 15); INSTANT_NONE starts from the beginning. *out_floor_ms is the greatest
 * due instant claimed, less 5 s. */
NODISCARD enum status delivery_store_claim(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct id owner, size_t limit,
                                           int64_t now_ms, int64_t floor_ms, int64_t lease_until_ms,
                                           struct delivery **out_deliveries, size_t *out_count,
                                           int64_t *out_floor_ms, struct problem *problem);

/* Writes the attempts; deletes the settled, puts off the others. Only rows still
 * leased to `owner` at the attempt made are touched. One transaction per
 * workspace; synchronous_commit off (a repeat carries the same id). */
struct delivery_settlement {
    struct attempt attempt;
    bool settled;
};
NODISCARD enum status delivery_store_settle(struct pg *pg, struct arena *arena, struct id owner,
                                            const struct delivery_settlement *settlements,
                                            size_t count, struct problem *problem);

NODISCARD enum status delivery_store_renew(struct pg *pg, struct arena *arena, struct id owner,
                                           const struct delivery *deliveries, size_t count,
                                           int64_t lease_until_ms, struct problem *problem);

/* Gives leases back, for what was committed but not handed over. */
NODISCARD enum status delivery_store_release(struct pg *pg, struct arena *arena,
                                             struct id workspace_id, struct id owner,
                                             const struct id *delivery_ids, size_t count,
                                             struct problem *problem);

/* Disables a subscription (410 Gone) and bumps the configuration. */
NODISCARD enum status delivery_store_disable_subscription(struct pg *pg, struct arena *arena,
                                                          struct id workspace_id,
                                                          struct id subscription_id, int64_t now_ms,
                                                          struct problem *problem);

#endif
