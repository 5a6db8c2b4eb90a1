#ifndef STORE_NOTIFICATION_READ_H
#define STORE_NOTIFICATION_READ_H

/*
 * Reading notifications and the log of attempts. Values borrow from the arena
 * given; nothing is written.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct notification_view {
    struct id id;
    int64_t created_at_ms;
    struct id profile_id;
    struct str topic;
    int64_t sequence;
    struct str body;
};

struct notification_query {
    struct id workspace_id;
    const struct id *profiles; /* the origins of one profile, or NULL for all */
    size_t profile_count;
    struct str topic; /* empty: any */
    int64_t before_ms;
    struct id before_id;
    size_t limit;
};

/* Newest first. */
NODISCARD enum status notification_list(struct pg *pg, struct arena *arena,
                                        const struct notification_query *query,
                                        struct notification_view **out_rows, size_t *out_count,
                                        struct problem *problem);
NODISCARD enum status notification_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct id notification_id,
                                        struct notification_view *out_row, struct problem *problem);

/* What still waits to be sent of one notification. */
struct delivery_view {
    struct id id;
    struct str subscription;
    int64_t due_at_ms;
    int64_t attempts;
};
NODISCARD enum status notification_deliveries(struct pg *pg, struct arena *arena,
                                              struct id workspace_id, struct id notification_id,
                                              struct delivery_view **out_rows, size_t *out_count,
                                              struct problem *problem);

struct attempt_view {
    struct id id;
    int64_t at_ms;
    struct id notification_id;
    struct str subscription; /* name; empty when it is gone */
    struct str url;
    struct id profile_id;
    int64_t number;
    struct str outcome;
    int64_t response_status; /* 0: none came */
    int64_t duration_ms;
    int64_t next_at_ms;
    int64_t body_bytes;
    struct str error;
    struct str response;
};

struct attempt_query {
    struct id workspace_id;
    struct id notification_id; /* one of the two, or neither, is not zero */
    struct id subscription_id;
    struct id owner; /* only subscriptions made by this key; zero: all */
    int64_t before_ms;
    struct id before_id;
    size_t limit;
};
/* Newest first. */
NODISCARD enum status attempt_list(struct pg *pg, struct arena *arena,
                                   const struct attempt_query *query,
                                   struct attempt_view **out_rows, size_t *out_count,
                                   struct problem *problem);

#endif
