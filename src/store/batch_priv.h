#ifndef STORE_BATCH_PRIV_H
#define STORE_BATCH_PRIV_H

/*
 * Shared by the files of a batch: the rows as values, and what each adds to the save.
 */

#include "store/batch.h"

/* An identifier (or order) that the batch names, and whose it was when read. */
struct batch_owner {
    struct identifier identifier;
    struct id profile_id; /* zero: not known */
    struct id origin_id;
    struct order *order; /* of IDENTITY_ORDER, when its row exists */
    bool is_inserted;    /* an identity that this batch inserts */
    struct batch_owner *next;
};

/* The batch's row of an order, by the table of owners; NULL when it has none. */
const struct order *batch_find_order(const struct batch *batch, struct id source_id,
                                     struct str order_ref);

struct batch_event_key {
    struct id id;
    size_t index;
};

#define BATCH_PROFILE_COLUMNS                                                        \
    "id, merged_into, sequence, created_at, updated_at, decided_at, first_seen_at,"  \
    " last_seen_at, signed_up_at, identified, ruleset_version, statistics_version,"  \
    " due_at, orders_count, orders_foreign_count, orders_gross_minor,"               \
    " orders_refunded_minor, orders_largest_minor, orders_first_at, orders_last_at," \
    " cart, state"

#define BATCH_ORDER_COLUMNS                                                         \
    "profile_id, origin_id, has_body, version_at, rank, counts, placed_at, number," \
    " status, currency, total_minor, cancelled_at, deleted, completed, counted,"    \
    " counted_foreign, counted_gross_minor, counted_refunded_minor, documents, body"

NODISCARD enum status batch_profile_decode(struct arena *arena, const struct pg_result *result,
                                           size_t row, struct profile **out_profile,
                                           struct problem *problem);
/* All rows; one that does not decode must not keep the others from the sweep: it
 * is counted in batch->unreadable and left out. */
NODISCARD enum status batch_profiles_decode(struct batch *batch, const struct pg_result *result,
                                            struct profile ***out_profiles, size_t *out_count,
                                            struct problem *problem);
/* Fills `order`, whose key and owner are already there, from BATCH_ORDER_COLUMNS
 * less the first two (profile_id, origin_id); `first` is the column of has_body. */
NODISCARD enum status batch_order_decode(struct arena *arena, const struct pg_result *result,
                                         size_t row, int first, struct order *order,
                                         struct problem *problem);

/* Parameters that begin with the workspace; NULL when the arena is full. */
struct pg_params *batch_params(const struct batch *batch);

/* --- batch_profile.c --- customers: those that are new, or the others. */
NODISCARD enum status batch_queue_profiles(struct batch *batch, const struct batch_save *save,
                                           bool is_new);
NODISCARD enum status batch_queue_woken(struct batch *batch, const struct decision_rows *rows);
NODISCARD enum status batch_queue_merges(struct batch *batch, const struct decision_rows *rows);
NODISCARD enum status batch_queue_moves(struct batch *batch, const struct decision_rows *rows);
/* Who is there in place of it when the merges of this commit are done. */
struct id batch_survivor(const struct decision_rows *rows, struct id profile_id);

/* --- batch_notify.c --- */

/* The deliveries of a commit, under whom each waits its turn, and which of them may
 * leave at once. */
struct batch_deliveries {
    struct delivery *rows;
    struct id *turns;
    bool *at_once;
    size_t count;
};

/* Nothing when nobody is notified. */
NODISCARD enum status batch_queue_notifications(struct batch *batch, const struct batch_save *save,
                                                struct batch_deliveries *out_made);
/* Keeps the deliveries whose rows the first statement of those returned, of those that
 * were to be leased only the ones that are. */
NODISCARD enum status batch_keep_inserted(struct batch *batch, const struct pg_result *result,
                                          bool only_leased, struct batch_deliveries *made);

/* --- batch_fire.c --- what triggers rang, and what came of their causes; nothing when
 * none fired. */
NODISCARD enum status batch_queue_rungs(struct batch *batch, const struct decision_rows *rows);
NODISCARD enum status batch_queue_outcomes(struct batch *batch, const struct decision_rows *rows);
/* --- batch_wait.c --- causes that begin to wait, and those that are done. */
NODISCARD enum status batch_queue_waiting(struct batch *batch, const struct decision_rows *rows);

#endif
