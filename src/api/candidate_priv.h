#ifndef API_CANDIDATE_PRIV_H
#define API_CANDIDATE_PRIV_H

/*
 * A rule that is not saved: compiled among those that are, so that it may refer
 * to them and read the features that they keep.
 */

#include "core/rule/sql.h"
#include "profile_priv.h"
#include "store/rule_store.h"

struct candidate {
    struct arena *arena;           /* its own */
    const struct ruleset *ruleset; /* it and what it refers to, with the numbers of today */
    const struct rule *rule;
    /* A feature that no rule keeps (or not that long): profiles know nothing of
     * it before they are folded anew. Its text, or empty. */
    struct str missing;
};

/* `reader` is open, with rules. A saved rule of the same name, and of a
 * lifecycle the lifecycle there is, gives way to it. STATUS_INVALID with
 * out_error->type of contract 17 and a problem without a pointer. */
NODISCARD enum status candidate_open(const struct profile_reader *reader,
                                     const struct rule_definition *definition,
                                     struct candidate *out_candidate,
                                     struct ruleset_error *out_error, struct problem *problem);
void candidate_close(struct candidate *candidate); /* for CLEANUP(); zeroed is fine */

/* A name that no rule has, in the arena. */
struct str candidate_name(struct arena *arena, const struct profile_reader *reader);

/* --- filters ---------------------------------------------------------------- */

/* An expression that chooses profiles: in SQL where it can be, else here. */
struct filter {
    bool is_sql;
    struct rule_sql sql; /* parameters from PROFILE_FILTER_PARAMETER on */
    struct candidate candidate;
    struct rule_subject subject; /* but for the profile */
    int64_t at_ms;
};

/* Of request->filter. On failure out_answer->errors_json is filled. */
NODISCARD enum status filter_open(const struct resource_request *request,
                                  const struct profile_reader *reader, struct filter *out_filter,
                                  struct resource_answer *out_answer, struct problem *problem);
void filter_close(struct filter *filter); /* for CLEANUP() */
/* For those that are not SQL. */
bool filter_takes(struct arena *arena, const struct filter *filter, const struct profile *profile);

/* Writes a page of profiles that match, behind `query`'s place; *out_next is
 * the cursor behind it, empty at the end of the list. */
struct page;
NODISCARD enum status filter_write_page(struct page *page, const struct profile_query *query,
                                        const struct profile_reader *reader,
                                        const struct filter *filter, struct str *out_next,
                                        struct problem *problem);

/* Cases as SQL, where all of them can be. */
NODISCARD enum status candidate_sql(struct arena *arena, const struct rule_node *root,
                                    const struct profile_reader *reader, int64_t at_ms,
                                    struct rule_sql *out_sql, struct problem *problem);

#endif
