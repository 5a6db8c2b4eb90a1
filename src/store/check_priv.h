#ifndef STORE_CHECK_PRIV_H
#define STORE_CHECK_PRIV_H

/*
 * Of a check: what is compared in a file of its own.
 */

#include "store/history.h"
#include "store/interest_read.h"

typedef void check_differ_fn(void *user, struct str what, struct str stored, struct str computed);

/* The interests of one profile, of all its origins together. */
struct check_interests {
    struct arena *arena;
    const struct interest_stored *stored; /* by key */
    size_t stored_count;
    const struct history_side *side; /* the facts */
    int64_t folded_before_ms;        /* facts before may be gone; INSTANT_NONE */
    check_differ_fn *differ;
    void *user;
};
void check_interests(const struct check_interests *check);

#endif
