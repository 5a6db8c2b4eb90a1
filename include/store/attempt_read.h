#ifndef STORE_ATTEMPT_READ_H
#define STORE_ATTEMPT_READ_H

/*
 * The log of calls, read: newest first. Values borrow from the arena given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct attempt_view {
    struct id id;
    int64_t at_ms;
    struct id notification_id;
    struct str topic;        /* empty: the notification is not kept any more */
    struct str subscription; /* name; empty when it is gone */
    struct str url;
    struct str headers_json; /* as they are configured now */
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
    /* At most one of these three narrows: by an index. */
    struct id notification_id;
    struct id subscription_id;
    const struct id *profiles; /* the origins of one profile, or NULL */
    size_t profile_count;
    /* These leave out of what was looked at. */
    struct str topic;   /* empty: any */
    struct str outcome; /* empty: any */
    struct id owner;    /* only subscriptions made by this key; zero: all */
    int64_t from_ms;    /* at or after */
    int64_t before_ms;
    struct id before_id; /* and before (before_ms, before_id) */
    size_t limit;
    size_t scan_limit; /* rows looked at; more than limit */
};

struct attempt_page {
    struct attempt_view *rows;
    size_t count;
    /* So many were left out that the page ended early: go on behind this place,
     * even if the page is empty. */
    bool is_cut;
    int64_t cut_ms;
    struct id cut_id;
};
NODISCARD enum status attempt_page(struct pg *pg, struct arena *arena,
                                   const struct attempt_query *query, struct attempt_page *out_page,
                                   struct problem *problem);

#endif
