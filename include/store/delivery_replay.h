#ifndef STORE_DELIVERY_REPLAY_H
#define STORE_DELIVERY_REPLAY_H

/*
 * Sending again what was settled: which notifications a subscription got, and
 * putting them back into the queue under their own ids. Values borrow from the
 * arena given; no function opens a transaction.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct replay_walk {
    struct id workspace_id;
    struct id subscription_id;
    int64_t since_ms; /* attempts from it on */
    int64_t until_ms; /* and before it */
    bool only_failed;
    int64_t after_ms; /* behind this place */
    struct id after_id;
    size_t limit; /* attempts looked at */
};
struct replay_candidate {
    int64_t at_ms;
    struct id attempt_id;
    struct id notification_id;
    int64_t created_at_ms; /* INSTANT_NONE: the attempt does not say */
    bool is_wanted;        /* its first settled attempt of the range, and its outcome fits */
};
/* In the order of attempts; fewer than the limit: that was all. */
NODISCARD enum status delivery_replay_scan(struct pg *pg, struct arena *arena,
                                           const struct replay_walk *walk,
                                           struct replay_candidate **out_rows, size_t *out_count,
                                           struct problem *problem);

struct replay_item {
    struct id notification_id;
    int64_t created_at_ms;
};
/* As new deliveries, due now, in the subscription's order. *out_found: how many of the
 * notifications are still kept; *out_queued: how many of them were not pending already.
 * STATUS_MISSING: there is no such subscription. */
NODISCARD enum status delivery_replay_queue(struct pg *pg, struct arena *arena,
                                            struct id workspace_id, struct id subscription_id,
                                            const struct replay_item *items, size_t count,
                                            int64_t now_ms, size_t *out_found, size_t *out_queued,
                                            struct problem *problem);

/* Whom a notification was sent to, and is still there. */
struct replay_target {
    struct id subscription_id;
    struct str name;
    struct str status;
};
NODISCARD enum status delivery_replay_targets(struct pg *pg, struct arena *arena,
                                              struct id workspace_id, struct id notification_id,
                                              struct id owner, struct replay_target **out_targets,
                                              size_t *out_count, struct problem *problem);

#endif
