#ifndef CORE_PROFILE_FACT_PRIV_H
#define CORE_PROFILE_FACT_PRIV_H

/*
 * Facts by key and stamp, as profile.c folds them and its codec stores them.
 */

#include <stdbool.h>
#include <stddef.h>

#include "core/profile/profile.h"

/* Strong identities that show as traits (contract 5), strongest first. */
struct fact_identity {
    enum identity_kind kind;
    const char *key;
};
extern const struct fact_identity fact_identities[];
enum {
    FACT_IDENTITY_COUNT = 3
};

int fact_compare_key(const struct profile_fact *a, enum fact_kind kind, struct str key);
/* Index of the first fact that is not before (kind, key). */
size_t fact_position(const struct profile_fact *facts, size_t count, enum fact_kind kind,
                     struct str key);
/* Does `a` set the value when both claim it? A total order over stamps. */
bool fact_wins(const struct profile_fact *a, const struct profile_fact *b);

/* All facts of an event: those it states, then those its identifiers imply and
 * it does not state; without what its trust may not say. Each with its stamp,
 * sorted by (kind, key), one per key. False when the arena is full. */
bool fact_collect(struct arena *arena, const struct event *event, struct profile_fact **out_facts,
                  size_t *out_count);

#endif
