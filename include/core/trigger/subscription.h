#ifndef CORE_TRIGGER_SUBSCRIPTION_H
#define CORE_TRIGGER_SUBSCRIPTION_H

/*
 * Who wants to hear of what, and what is sent of it, as far as a decision needs
 * it. URL and secret stay with the sender.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

struct rule_program;
struct projection;

/* How its deliveries leave. */
struct delivery_way {
    bool is_ordered;    /* one about a customer at a time */
    bool is_batched;    /* not at once, but together with others */
    int64_t max_age_ms; /* older ones do not; 0: as long as the schedule lasts */
};

struct subscription_interest {
    struct id subscription_id;
    struct delivery_way way;
    const struct str *topics; /* "order.completed", "order.*", "*" */
    size_t topic_count;
    const struct rule_program *filter; /* NULL: all */
    /* What it asked for does not compile any more: it gets nothing, rather than
     * what it did not ask for. */
    bool is_closed;
    const struct projection *projection; /* NULL: the default body */
};

/* "*" matches all but ops.* and subscription.*; "order.*" a whole first segment. */
bool topic_matches(struct str pattern, struct str topic);
/* Is it about the service itself (ops.*, subscription.*), not about a customer? Of a
 * pattern: are all that it matches? */
bool topic_is_of_service(struct str topic);
bool subscription_wants(const struct subscription_interest *interest, struct str topic);

/* Is this a pattern someone may subscribe to? Exact topics must be known
 * (an event type of a customer, custom.<name>, or a derived topic). */
bool topic_pattern_is_valid(struct str pattern);

/* Is it "object.action" in lower case? */
bool topic_is_well_formed(struct str topic);
/* Is it an event's name, a derived topic, or kept for the service? Others are free for
 * triggers, whose own is trigger.<name>. */
bool topic_is_built_in(struct str topic);

/* Derived topics of this version, for GET /v1/topics: static names. */
struct topic_info {
    const char *name;
    const char *title;
    const char *object; /* the member of data beside the profile, if there is one; or NULL */
};
const struct topic_info *topic_derived(size_t index); /* NULL past the end */

#endif
