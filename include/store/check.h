#ifndef STORE_CHECK_H
#define STORE_CHECK_H

/*
 * Does what is stored of a profile follow from its history? Each profile is
 * folded anew out of the facts, orders and identities in the database and
 * compared with its row: features, facts, indicators, sums of orders, verdicts,
 * labels, memberships, interests, and due_at, which may be earlier than computed but never
 * later (correctness 16).
 *
 * Beside running servers: a page of profiles is read in one transaction of its
 * own snapshot, and locks nothing. Profiles that wait for their history are
 * left out: they are known to lack something.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/pg.h"
#include "store/registry.h"

struct check_difference { /* borrowed for the call */
    struct id profile_id;
    struct str what;
    struct str stored;
    struct str computed;
};

typedef void check_report_fn(void *user, const struct check_difference *difference);

struct check_options {
    const struct registry_workspace *workspace;
    int64_t sample; /* so many, drawn; 0: all */
    bool repair;    /* fold those that differ anew, silently, cause `manual` */
    check_report_fn *report;
    void *user;
};

struct check_counts {
    int64_t checked;
    int64_t differing; /* profiles */
    int64_t waiting;   /* left out: their history is asked for already, or their rules are gone */
    int64_t too_long;  /* left out: more than CHECK_FACTS_MAX facts */
    int64_t repaired;
};

enum {
    CHECK_FACTS_MAX = 100000
};

/* `arena` is reset as it goes. */
NODISCARD enum status check_profiles(struct pg *pg, struct arena *arena,
                                     const struct check_options *options,
                                     struct check_counts *out_counts, struct problem *problem);

#endif
