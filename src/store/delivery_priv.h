#ifndef STORE_DELIVERY_PRIV_H
#define STORE_DELIVERY_PRIV_H

#include "store/delivery_store.h"

/* The columns that delivery_of_row reads, in its order. */
#define DELIVERY_COLUMNS                                                                   \
    "d.id, d.notification_id, d.notification_created_at, d.subscription_id, d.profile_id," \
    " d.sequence, d.attempt, d.due_at, d.rank, d.is_ordered, d.expires_at, d.replayed_at"

enum {
    DELIVERY_COLUMN_COUNT = 12
};

/* Nothing commits so long after the instant that stands in its row: below a floor older
 * than that nothing appears any more. */
#define DELIVERY_FLOOR_SLACK_MS 5000

struct delivery delivery_of_row(const struct pg_result *result, size_t row, struct id workspace_id,
                                int64_t lease_until_ms);

/* Topic and body of each, and whom it is about: until then profile_id is the row's,
 * under which an ordered one waits its turn. */
NODISCARD enum status delivery_read_bodies(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct delivery *deliveries,
                                           size_t count, struct problem *problem);

/* The same, but bodies of about `bytes_max` together, of the subscriptions by turns: of
 * each the first so many rows, of all together at least one. The others get their
 * topic only. */
NODISCARD enum status delivery_read_bodies_within(struct pg *pg, struct arena *arena,
                                                  struct id workspace_id,
                                                  struct delivery *deliveries, size_t count,
                                                  int64_t bytes_max, struct problem *problem);

/* A list that grows in the arena. */
struct delivery_list {
    struct delivery *rows;
    size_t count;
    size_t capacity;
};
NODISCARD enum status delivery_list_reserve(struct delivery_list *list, struct arena *arena,
                                            size_t more);

/* Frozen batches that are due, claimed. */
NODISCARD enum status delivery_batch_claim(struct pg *pg, struct arena *arena,
                                           const struct claim_terms *terms,
                                           struct claim_lane *lanes, size_t lane_count,
                                           struct delivery_list *list, struct problem *problem);
/* Members, id (where it has none yet) and message of a batch made of `rows`, in their
 * order. False when the arena is full. */
NODISCARD bool delivery_batch_compose(struct arena *arena, struct str workspace_name,
                                      enum native_format format, const struct delivery *rows,
                                      size_t count, struct delivery *batch);
/* Freezes what is ripe, claimed. */
NODISCARD enum status delivery_batch_freeze(struct pg *pg, struct arena *arena,
                                            const struct claim_terms *terms,
                                            struct claim_lane *lanes, size_t lane_count,
                                            struct delivery_list *list, struct problem *problem);

#endif
