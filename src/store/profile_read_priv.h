#ifndef STORE_PROFILE_READ_PRIV_H
#define STORE_PROFILE_READ_PRIV_H

/*
 * Between the lists of profiles whose statements are known beforehand and those
 * that take an expression of the asker's.
 */

#include "store/profile_read.h"

#define PROFILE_COLUMNS                                                                 \
    "id, sequence, created_at, updated_at, first_seen_at, last_seen_at, signed_up_at,"  \
    " identified, email, phone, external_id, lifecycle, lifecycle_since, orders_count," \
    " orders_foreign_count, orders_gross_minor, orders_refunded_minor,"                 \
    " orders_largest_minor, orders_first_at, orders_last_at, traits, preferences,"      \
    " consent, cart, tags, segments, tiers, ruleset_version, statistics_version, state"

/* A row of PROFILE_COLUMNS. */
struct profile_view profile_row(const struct pg_result *result, struct arena *arena, size_t row);

/* $1 to $3: the workspace, identified, updated since. */
void profile_put_filter(struct pg_params *params, const struct profile_query *query);
/* $4, $5: the place before the first row, and how many. */
void profile_put_place(struct pg_params *params, const struct profile_query *query);

#endif
