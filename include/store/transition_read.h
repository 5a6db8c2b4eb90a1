#ifndef STORE_TRANSITION_READ_H
#define STORE_TRANSITION_READ_H

/*
 * Changes of verdicts across a workspace, newest first. Read-only; values
 * borrow from the arena given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct transition_entry {
    struct id id;
    struct id profile_id;
    int64_t occurred_at_ms;
    int64_t decided_at_ms;
    struct str rule;
    struct str kind; /* tag segment lifecycle tier */
    struct str from_value;
    struct str to_value;
    struct str cause;
    struct id event_id; /* zero: none */
    int64_t rule_version;
    int64_t ruleset_version;
};

struct transition_query {
    struct id workspace_id;
    struct str rule;  /* empty: any */
    struct str kind;  /* empty: any */
    struct str cause; /* empty: any */
    int64_t from_ms;  /* at or after */
    int64_t before_ms;
    struct id before_id; /* and before (before_ms, before_id) */
    size_t limit;
    size_t scan_limit; /* rows looked at; more than limit */
};

struct transition_page {
    struct transition_entry *rows;
    size_t count;
    /* Filters left out so many that the scan ended early: go on behind this
     * place, even if the page is empty. */
    bool is_cut;
    int64_t cut_ms;
    struct id cut_id;
};
NODISCARD enum status transition_page(struct pg *pg, struct arena *arena,
                                      const struct transition_query *query,
                                      struct transition_page *out_page, struct problem *problem);

#endif
