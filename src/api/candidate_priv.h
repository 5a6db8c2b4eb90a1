#ifndef API_CANDIDATE_PRIV_H
#define API_CANDIDATE_PRIV_H

/*
 * A rule that is not saved: compiled among those that are, so that it may refer
 * to them and read the features that they keep.
 */

#include "core/rule/candidate.h"
#include "core/rule/sql.h"
#include "profile_priv.h"
#include "store/rule_store.h"

struct candidate {
    struct arena *arena; /* its own */
    struct rule_candidate made;
};

/* `reader` is open, with rules. STATUS_INVALID with out_error->type of contract 17 and a problem
 * without a pointer. */
NODISCARD enum status candidate_open(const struct profile_reader *reader,
                                     const struct rule_definition *definition,
                                     struct candidate *out_candidate,
                                     struct ruleset_error *out_error, struct problem *problem);
void candidate_close(struct candidate *candidate); /* for CLEANUP(); zeroed is fine */

/* A name that no rule has, in the arena. */
struct str candidate_name(struct arena *arena, const struct profile_reader *reader);

/* One from a request's JSON: as a rule's, "kind" may be left out. */
struct json_t;
NODISCARD enum status candidate_read(const struct resource_request *request,
                                     const struct profile_reader *reader, struct json_t *root_taken,
                                     struct rule_change *out_change, struct problem *problem);
/* As candidate_open; what is wrong with it is told as of a save. */
NODISCARD enum status
candidate_open_change(const struct resource_request *request, const struct profile_reader *reader,
                      const struct rule_change *change, struct candidate *out_candidate,
                      struct resource_answer *out_answer, struct problem *problem);

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

/* Writes a page of profiles that match, behind `query`'s place; *out_next is
 * the cursor behind it, empty at the end of the list. */
struct page;
NODISCARD enum status filter_write_page(struct page *page, const struct profile_query *query,
                                        const struct profile_reader *reader,
                                        const struct filter *filter, struct str *out_next,
                                        struct problem *problem);

/* Which of these profiles match; `scratch` holds them meanwhile. */
NODISCARD enum status filter_choose(struct pg *pg, struct arena *scratch, struct id workspace_id,
                                    const struct filter *filter, const struct id *ids, size_t count,
                                    bool *out_taken, struct problem *problem);
/* For a list that was asked for its total. */
enum status filter_refuse_total(const struct resource_request *request, struct problem *problem);

/* Cases as SQL, where all of them can be. */
NODISCARD enum status candidate_sql(struct arena *arena, const struct rule_node *root,
                                    const struct profile_reader *reader, int64_t at_ms,
                                    struct rule_sql *out_sql, struct problem *problem);

#endif
