#ifndef STORE_UNIVERSAL_AUDIENCE_H
#define STORE_UNIVERSAL_AUDIENCE_H

/*
 * Whom a universal event concerns by its selector's regions, postal prefixes,
 * traits and segments, page by page. Products and categories are a matter of
 * interest, and not looked at here.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

/* Where to go on: zeroed at the beginning. Plain values, to be kept with a job. */
struct universal_cursor {
    size_t place;     /* of regions, then of postal prefixes */
    struct str value; /* a postal code; within a place in the order of (value, id) */
    struct id id;     /* of an origin profile */
};

struct universal_audience {
    struct id *profile_ids; /* canonical, each once in a page */
    size_t count;           /* may be 0 before the end */
    struct universal_cursor next;
    bool is_end;
};

/* Looks at no more than `limit` profiles. The walk is over all profiles there are,
 * merged ones too, each resolved to its canonical one, which has to fit today: a merge
 * meanwhile hides nobody. Who is merged, or moved, may be met twice; what he is rung by
 * has one id. A selector of products and categories alone ends at once. */
NODISCARD enum status universal_audience(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct str selector_json,
                                         const struct universal_cursor *cursor, size_t limit,
                                         struct universal_audience *out_audience,
                                         struct problem *problem);

/* Which of `ids` (canonical) fit the selector's regions, postal prefixes, traits and
 * segments: in place, ascending; *io_count of them are left. */
NODISCARD enum status universal_fitting(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct str selector_json, struct id *ids, size_t *io_count,
                                        struct problem *problem);

#endif
