#ifndef API_EXPLAIN_PRIV_H
#define API_EXPLAIN_PRIV_H

/*
 * Between the answer that explains a verdict and the tree within it.
 */

#include "moment_priv.h"

/* Of one answer: what is read of a timeline, and what is shown of it. */
#define EXPLAIN_FACTS_MAX 4000
#define EXPLAIN_EVENTS_MAX 20

/* The newest facts of the profile, read as far as somebody looks. */
struct explain_facts {
    const struct interaction_view **rows;
    size_t count;
    bool is_end;           /* there are no more */
    bool is_cut;           /* somebody looked beyond EXPLAIN_FACTS_MAX */
    struct order **orders; /* all of the profile */
    size_t order_count;
    const struct profile_base *bases;
    size_t base_count;
    bool has_beside; /* orders and bases were read */
};

struct explain {
    const struct resource_request *request;
    const struct profile_reader *reader;
    const struct moment *moment;
    struct rule_subject subject;
    bool is_masked;
    struct explain_facts facts;
    enum status status; /* the first failure of reading */
    struct problem *problem;
    /* Of the case being written. */
    const struct rule_program *program;
    struct str text;
};

/* One node with all below it, as an element or under the key written before. */
void explain_write_tree(struct jsonw *json, struct explain *explain, const struct rule_node *node);
/* Orders and bases, once, when somebody asks; a failure is explain->status. */
void explain_read_beside(struct explain *explain);
/* "events" of an aggregate, newest first, with "events_cut" when there may be
 * more than could be looked at. Members of an open object. */
void explain_write_events(struct jsonw *json, struct explain *explain,
                          const struct rule_aggregation *what, int64_t after_ms);

#endif
