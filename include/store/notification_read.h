#ifndef STORE_NOTIFICATION_READ_H
#define STORE_NOTIFICATION_READ_H

/*
 * Reading notifications. Values borrow from the arena given; nothing is written.
 */

#include <stdbool.h>
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
    struct str topic;          /* empty: any */
    struct id subscription_id; /* that it was sent to, or waits for; zero: any */
    int64_t from_ms;           /* made at or after */
    int64_t before_ms;
    struct id before_id; /* and before (before_ms, before_id) */
    size_t limit;
    size_t scan_limit; /* rows looked at; more than limit */
};

struct notification_page {
    struct notification_view *rows;
    size_t count;
    /* So many were left out that the page ended early: go on behind this place,
     * even if the page is empty. */
    bool is_cut;
    int64_t cut_ms;
    struct id cut_id;
};
/* Newest first. */
NODISCARD enum status notification_page(struct pg *pg, struct arena *arena,
                                        const struct notification_query *query,
                                        struct notification_page *out_page,
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

#endif
