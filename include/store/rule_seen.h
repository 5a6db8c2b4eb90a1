#ifndef STORE_RULE_SEEN_H
#define STORE_RULE_SEEN_H

/*
 * Was this ever seen? For warnings when a rule is saved: a property that no
 * event has is mostly a slip of the pen. Read-only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

enum {
    RULE_SEEN_DAYS = 30,
    RULE_SEEN_PEOPLE = 100, /* the most recently seen customers */
    RULE_SEEN_EVENTS = 50,  /* the newest events of each */
};

struct rule_seen_question {
    struct str event;    /* "product.viewed" */
    struct str property; /* "colour", "products.category", "context.platform"; empty: the event */
};

struct rule_seen_answer {
    bool event;
    bool property;
};

/* *out_sample: how many events were looked at; 0 says nothing of anything. */
NODISCARD enum status rule_seen(struct pg *pg, struct arena *arena, struct id workspace_id,
                                const struct rule_seen_question *questions, size_t count,
                                int64_t now_ms, struct rule_seen_answer **out_answers,
                                int64_t *out_sample, struct problem *problem);

#endif
