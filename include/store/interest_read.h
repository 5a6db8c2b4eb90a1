#ifndef STORE_INTEREST_READ_H
#define STORE_INTEREST_READ_H

/*
 * Interests, read: who is interested in a product, in pages for a fan-out; and what
 * one customer is interested in. Values borrow from the arena given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/interest/interest.h"
#include "core/rule/program.h"
#include "store/pg.h"

/* --- who is interested ---------------------------------------------------- */

/* What is asked about, and where its interests lie: under the shop's source and
 * under those of pages, which have no catalogue of their own; under the variant and
 * under ''. Read anew for each chunk: sources come and go. */
struct interest_target {
    struct id workspace_id;
    struct id source_id;
    struct str product_id;
    struct str variant_id;       /* empty: all variants */
    struct rule_product product; /* as told: the catalogue's, of the variant or, if it has none
                                    such, of the product; ids alone where it knows neither */
    struct str *substitutes;     /* product ids, as declared */
    size_t substitute_count;
    struct id *side_source_ids;
    struct str *side_variant_ids;
    size_t side_count;
};

/* Fills all but the first four members. */
NODISCARD enum status interest_target_read(struct pg *pg, struct arena *arena,
                                           struct interest_target *target, struct problem *problem);

/* The shop whose catalogue knows the product, where target->source_id is a page's: what is
 * bought stands there. Stays as it is where none does. */
NODISCARD enum status interest_target_shop(struct pg *pg, struct arena *arena,
                                           struct interest_target *target, struct problem *problem);

struct interested {
    struct id profile_id; /* canonical */
    struct interest interest;
};

struct interest_page {
    struct interested *items; /* by profile id, each once */
    size_t count;
    size_t walked;     /* origins */
    struct id last_id; /* origin: where the next page begins */
    bool is_end;
};

/* The next `limit` origins behind after_id, resolved to their canonical profiles, each
 * with its whole interest in the product, but for substitutes. A customer of several
 * origins is on the page of the least of them, whatever merged meanwhile: who stands behind
 * the cursor was there (correctness 25). */
NODISCARD enum status interest_page_read(struct pg *pg, struct arena *arena,
                                         const struct interest_target *target, struct id after_id,
                                         size_t limit, struct interest_page *out_page,
                                         struct problem *problem);

/* What these bought instead of it, and when: fills substitute_bought_at_ms. */
NODISCARD enum status interest_substitutes_read(struct pg *pg, struct arena *arena,
                                                const struct interest_target *target,
                                                const struct id *profile_ids,
                                                struct interest *interests, size_t count,
                                                struct problem *problem);

/* All of it, of some profiles; who has none is told nothing (all null). In their order. */
NODISCARD enum status interest_of_profiles(struct pg *pg, struct arena *arena,
                                           const struct interest_target *target,
                                           const struct id *profile_ids, size_t count,
                                           struct interest *out_interests, struct problem *problem);

/* --- one customer's ------------------------------------------------------- */

struct interest_view {
    struct id source_id; /* the shop's, where its catalogue knows the product */
    struct str source;
    struct str product_id;
    struct str variant_id;
    struct str name;
    struct str variant_name;
    int64_t newest_at_ms; /* of all that is known */
    struct interest interest;
};

/* Newest first, behind the place given. */
struct interest_query {
    struct id workspace_id;
    const struct id *origins;
    size_t origin_count;
    struct id source_id;   /* zero: all */
    struct str product_id; /* empty: all */
    int64_t before_ms;     /* INSTANT_NEVER: from the newest on */
    struct id before_source_id;
    struct str before_product_id;
    struct str before_variant_id;
    size_t limit;
};
NODISCARD enum status interest_list_read(struct pg *pg, struct arena *arena,
                                         const struct interest_query *query,
                                         struct interest_view **out_rows, size_t *out_count,
                                         struct problem *problem);

/* --- as stored ------------------------------------------------------------- */

/* All rows of some origins, joined by group: for `check`. Ascending by group and key;
 * groups are indexes of the caller's, the key's origin is zero. */
struct interest_stored {
    size_t group;
    struct interest_row row;
};
NODISCARD enum status interest_stored_read(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, const struct id *origins,
                                           const size_t *groups, size_t count,
                                           struct interest_stored **out_rows, size_t *out_count,
                                           struct problem *problem);

#endif
