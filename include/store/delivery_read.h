#ifndef STORE_DELIVERY_READ_H
#define STORE_DELIVERY_READ_H

/*
 * What waits to be sent, read: subscription by subscription, of each the longest
 * due first. Values borrow from the arena given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct pending_view {
    struct id id;
    struct id subscription_id;
    struct id notification_id;
    int64_t created_at_ms; /* of the notification */
    struct str topic;
    struct str subscription;
    struct id profile_id;
    struct str status; /* waiting retrying sending paused held */
    int64_t due_at_ms;
    int64_t attempts;
    int64_t last_at_ms; /* of the last attempt; INSTANT_NONE: none yet */
    struct str last_outcome;
    int64_t last_response_status;
    struct str last_error;
};

struct pending_place {
    struct id subscription_id; /* zero: before all */
    int64_t due_at_ms;
    struct id id;
};

struct pending_query {
    struct id workspace_id;
    struct id subscription_id; /* zero: any */
    struct str topic;          /* empty: any */
    struct str status;         /* empty: any */
    const struct id *profiles; /* or NULL */
    size_t profile_count;
    struct id owner; /* only subscriptions made by this key; zero: all */
    int64_t now_ms;
    struct pending_place after; /* behind it */
    int64_t from_ms;            /* due at or after */
    int64_t to_ms;              /* due before */
    size_t limit;
    size_t scan_limit;
};

struct pending_page {
    struct pending_view *rows;
    size_t count;
    bool is_cut; /* as of attempts */
    struct pending_place cut;
};
NODISCARD enum status delivery_page(struct pg *pg, struct arena *arena,
                                    const struct pending_query *query,
                                    struct pending_page *out_page, struct problem *problem);
/* How many there are, up to `most`; of one subscription or of all. */
NODISCARD enum status delivery_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     struct id subscription_id, int64_t most, int64_t *out_count,
                                     struct problem *problem);

#endif
