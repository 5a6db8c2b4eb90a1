#ifndef STORE_MEMBER_READ_H
#define STORE_MEMBER_READ_H

/*
 * Who is a member of a rule: pages and counts. Read-only; values borrow from
 * the arena given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct member_view {
    struct id profile_id;
    struct str value; /* empty for tags and segments */
    int64_t since_ms;
    bool identified;
    struct str email;
    struct str phone;
    struct str external_id;
    struct str lifecycle;
    int64_t last_seen_at_ms;
};

struct member_query {
    struct id workspace_id;
    struct id rule_id;
    bool has_value; /* only those with `value` */
    struct str value;
    /* Behind this one, in the order of (value, id); the zero id starts. */
    struct str after_value;
    struct id after_id;
    size_t limit;
};
NODISCARD enum status member_page(struct pg *pg, struct arena *arena,
                                  const struct member_query *query, struct member_view **out_rows,
                                  size_t *out_count, struct problem *problem);

/* For each of `rule_ids`, in their order, counting no further than `most`. */
NODISCARD enum status member_counts(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    const struct id *rule_ids, size_t rule_count, int64_t most,
                                    int64_t **out_counts, struct problem *problem);
/* Those of the query's rule and value. */
NODISCARD enum status member_count(struct pg *pg, struct arena *arena,
                                   const struct member_query *query, int64_t most,
                                   int64_t *out_count, struct problem *problem);

/* Deletes at most `limit` rows of rules that are no more; *out_count of them.
 * For the job that follows a deletion: until then nobody sees them. */
NODISCARD enum status member_drop_orphans(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, size_t limit, size_t *out_count,
                                          struct problem *problem);

#endif
