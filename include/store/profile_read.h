#ifndef STORE_PROFILE_READ_H
#define STORE_PROFILE_READ_H

/*
 * Reading profiles and what hangs on them, for answers: never locks, never
 * writes. Values borrow from the arena given. STATUS_MISSING comes without
 * words.
 *
 * Facts lie under their origin profile and a merge is an edge (correctness 8),
 * so whoever reads a profile first asks for its origins and passes them on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct profile_view {
    struct id id;
    int64_t sequence;
    int64_t created_at_ms;
    int64_t updated_at_ms;
    int64_t first_seen_at_ms;
    int64_t last_seen_at_ms;
    int64_t signed_up_at_ms;
    bool identified;
    struct str email;
    struct str phone;
    struct str external_id;
    struct str lifecycle;
    int64_t lifecycle_since_ms;
    int64_t orders_count;
    int64_t orders_foreign_count;
    int64_t orders_gross_minor;
    int64_t orders_refunded_minor;
    int64_t orders_largest_minor;
    int64_t orders_first_at_ms;
    int64_t orders_last_at_ms;
    struct str traits_json;
    struct str preferences_json;
    struct str consent_json;
    struct str cart_json; /* empty: none */
    const struct str *tags;
    size_t tag_count;
    const struct str *segments;
    size_t segment_count;
    struct str tiers_json;
    int64_t ruleset_version; /* negative: waits to be hydrated */
    int64_t statistics_version;
    struct str state; /* profile_state_decode reads it */
};

/* The survivor of `profile_id` (itself when it was never merged). */
NODISCARD enum status profile_canonical(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct id profile_id, struct id *out_canonical,
                                        struct problem *problem);
/* The canonical profile first, then all that were merged into it. */
NODISCARD enum status profile_origins(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id canonical_id, struct id **out_ids,
                                      size_t *out_count, struct problem *problem);
NODISCARD enum status profile_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct id profile_id, struct profile_view *out_profile,
                                   struct problem *problem);
/* Whose identity is this? `kind` is a name; source_id zero for kinds that are
 * not of one source. */
NODISCARD enum status profile_lookup(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     struct str kind, struct id source_id, struct str value,
                                     struct id *out_profile_id, struct problem *problem);

struct identity_view {
    struct str kind;
    struct str value;
    struct str source; /* name; empty for kinds that are not of one source */
    int64_t trust;
    int64_t first_seen_at_ms;
};
NODISCARD enum status profile_identities(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         const struct id *origins, size_t origin_count,
                                         struct identity_view **out_identities, size_t *out_count,
                                         struct problem *problem);

/* One page of canonical profiles. */
enum profile_order {
    PROFILE_BY_CREATION,
    PROFILE_BY_LAST_SEEN
};
struct profile_query {
    struct id workspace_id;
    enum profile_order order;
    bool descending;
    struct str lifecycle;     /* empty: any */
    int identified;           /* 1 yes, 0 no, -1 any */
    int64_t updated_since_ms; /* INSTANT_NONE: any */
    /* Behind this one; the zero id starts at the beginning. By last seen,
     * profiles that never acted are left out. */
    struct id after_id;
    int64_t after_ms;
    size_t limit;
};
NODISCARD enum status profile_page(struct pg *pg, struct arena *arena,
                                   const struct profile_query *query,
                                   struct profile_view **out_profiles, size_t *out_count,
                                   struct problem *problem);
/* How many match, counting no further than `most`. */
NODISCARD enum status profile_count(struct pg *pg, struct arena *arena,
                                    const struct profile_query *query, int64_t most,
                                    int64_t *out_count, struct problem *problem);

/* The place in a list that runs from the newest to the oldest. */
struct history_place {
    int64_t before_ms;
    struct id before_id;
};

struct interaction_view {
    struct id id;
    struct id origin_id;
    int64_t occurred_at_ms;
    int64_t received_at_ms;
    struct str source;
    struct str type;
    int64_t trust;
    struct str product_id;
    struct str category;
    struct str currency;
    bool has_amount;
    int64_t amount_minor;
    struct str order_ref;
    struct str properties_json; /* empty: none */
    struct str context_json;
};
NODISCARD enum status profile_interactions(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, const struct id *origins,
                                           size_t origin_count, struct history_place place,
                                           size_t limit, struct interaction_view **out_rows,
                                           size_t *out_count, struct problem *problem);

struct transition_view {
    struct id id;
    struct id profile_id;
    int64_t occurred_at_ms;
    struct str rule;
    struct str from_value; /* empty: none */
    struct str to_value;
    struct str cause;
    struct id event_id;
    int64_t decided_at_ms;
    struct str rule_kind; /* tag segment lifecycle tier */
    int64_t rule_version;
};
NODISCARD enum status profile_transitions(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, const struct id *origins,
                                          size_t origin_count, struct history_place place,
                                          size_t limit, struct transition_view **out_rows,
                                          size_t *out_count, struct problem *problem);

struct order_view {
    struct id source_id;
    struct str source;
    struct str order_ref;
    struct str rank;
    int64_t placed_at_ms;
    struct str number;
    struct str status;
    struct str currency;
    int64_t total_minor;
    int64_t refunded_minor;
    int64_t cancelled_at_ms;
    bool deleted;
    bool completed;
    bool counted;
    bool counted_foreign;
    struct str body_json;
};
struct order_place {
    int64_t before_ms;
    struct id before_source_id;
    struct str before_ref;
};
/* Orders whose body has come, newest first. */
NODISCARD enum status profile_orders_read(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, const struct id *origins,
                                          size_t origin_count, struct order_place place,
                                          size_t limit, struct order_view **out_rows,
                                          size_t *out_count, struct problem *problem);

struct merge_view {
    struct id id;
    struct str kind;
    struct id event_id;
    struct id from_id;
    struct id into_id;
    struct str because;
    int64_t at_ms;
    int64_t undone_at_ms;
};
/* Identity decisions about any of the origins, newest first. */
NODISCARD enum status profile_merges(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     const struct id *origins, size_t origin_count,
                                     struct history_place place, size_t limit,
                                     struct merge_view **out_rows, size_t *out_count,
                                     struct problem *problem);

#endif
