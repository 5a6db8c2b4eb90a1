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
#include "core/trigger/native.h"
#include "store/pg.h"

/* What one endpoint may be given by a claim. */
struct claim_lane {
    struct id subscription_id;
    /* Nothing due before it is looked at (correctness 15); INSTANT_NONE: from the
     * beginning. Moved up by the claim. */
    int64_t floor_ms;
    size_t room; /* messages at most: notifications or batches */
    /* Batches: of at most so many members; 0: notifications go alone. A batch is
     * frozen when so many are due, or the oldest has been since ripe_by_ms. */
    size_t batch_max;
    int64_t ripe_by_ms;
    enum native_format format; /* whose list a batch is; NATIVE_NONE: ours */
    size_t claimed;            /* by the claim: messages */
};

struct claim_terms {
    struct id workspace_id;
    struct str workspace_name; /* batches name it */
    struct id owner;
    int64_t now_ms;
    int64_t lease_until_ms;
    size_t limit; /* notifications, alone or in batches; a batch may go beyond it */
};

/* Claims what is due for these endpoints of one workspace, in order of due time for
 * each: notifications, batches frozen before, batches that are ripe now. An ordered
 * notification is claimed only if nothing earlier about its customer exists. */
NODISCARD enum status delivery_store_claim(struct pg *pg, struct arena *arena,
                                           const struct claim_terms *terms,
                                           struct claim_lane *lanes, size_t lane_count,
                                           struct delivery **out_deliveries, size_t *out_count,
                                           struct problem *problem);

/* Writes the attempts; deletes the settled, puts off the others. Only rows still
 * leased to `owner` at the attempt made are touched. One transaction per
 * workspace; synchronous_commit off (a repeat carries the same id).
 * *out_next are ordered deliveries whose turn came with it, leased to `owner`. */
struct settle_terms {
    struct id owner;
    int64_t now_ms;
    int64_t lease_until_ms; /* of what comes next */
};
NODISCARD enum status delivery_store_settle(struct pg *pg, struct arena *arena,
                                            const struct settle_terms *terms,
                                            const struct settlement *settlements, size_t count,
                                            struct delivery **out_next, size_t *out_next_count,
                                            struct problem *problem);

/* Deliveries and batches; ordered by workspace is cheapest. With an instant that is not
 * after now they are given back, and due at that instant if they were before. */
NODISCARD enum status delivery_store_renew(struct pg *pg, struct arena *arena, struct id owner,
                                           const struct delivery *deliveries, size_t count,
                                           int64_t lease_until_ms, struct problem *problem);

/* Gives leases back, for what was committed but not handed over. */
NODISCARD enum status delivery_store_release(struct pg *pg, struct arena *arena,
                                             struct id workspace_id, struct id owner,
                                             const struct id *delivery_ids, size_t count,
                                             struct problem *problem);

/* How many senders share the database's queue, this one included: each takes its share
 * of an endpoint's rate. The connection tells the others of itself by its name. */
NODISCARD enum status delivery_store_count_senders(struct pg *pg, struct arena *arena,
                                                   int64_t *out_count, struct problem *problem);

/* Disables a subscription (410 Gone) and bumps the configuration. */
NODISCARD enum status delivery_store_disable_subscription(struct pg *pg, struct arena *arena,
                                                          struct id workspace_id,
                                                          struct id subscription_id, int64_t now_ms,
                                                          struct problem *problem);

#endif
