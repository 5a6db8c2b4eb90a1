#ifndef CORE_LIFECYCLE_LIFECYCLE_H
#define CORE_LIFECYCLE_LIFECYCLE_H

/*
 * The lifecycle stage of a profile at an instant, and until when it holds.
 *
 *   churned   silent for more than 180 d
 *   lapsed    silent for more than 60 d
 *   new       first seen less than 30 d ago and fewer than 2 orders
 *   active    everyone else
 *
 * Silence is counted from last_seen_at, or from first_seen_at for a profile
 * that never acted. Edges (correctness 13): `age > d` turns at x + d + 1 ms,
 * `age < d` ends at x + d. Pure; a rule language replaces the constants later,
 * the two questions stay.
 */

#include <stdint.h>

enum lifecycle {
    LIFECYCLE_NONE, /* not yet decided */
    LIFECYCLE_NEW,
    LIFECYCLE_ACTIVE,
    LIFECYCLE_LAPSED,
    LIFECYCLE_CHURNED,
    LIFECYCLE_COUNT,
};

struct lifecycle_facts {
    int64_t first_seen_at_ms;
    int64_t last_seen_at_ms; /* INSTANT_NONE: never acted */
    int64_t order_count;
};

struct lifecycle_verdict {
    enum lifecycle stage;
    int64_t until_ms; /* exclusive: the first instant at which it may differ; INSTANT_NEVER */
};

struct lifecycle_verdict lifecycle_at(const struct lifecycle_facts *facts, int64_t at_ms);
const char *lifecycle_name(enum lifecycle stage); /* NULL for LIFECYCLE_NONE */
enum lifecycle lifecycle_from_name(const char *name, unsigned long size); /* NONE when unknown */

#endif
