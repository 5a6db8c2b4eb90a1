#include "core/lifecycle/lifecycle.h"

#include <assert.h>

#include "base/instant.h"
#include "base/str.h"

/*
 * A stage and the first instant at which it may end by time alone.
 *
 * Without new facts a profile only moves down: new -> active -> lapsed ->
 * churned, or new -> lapsed when it is silent from the start. So stepping
 * from `until` to `until` ends after at most three steps, and each edge is one
 * exact millisecond: `age > d` turns at x + d + 1 ms, `age < d` ends at x + d.
 */

#define LIFECYCLE_CHURNED_MS (180 * INSTANT_DAY_MS)
#define LIFECYCLE_LAPSED_MS (60 * INSTANT_DAY_MS)
#define LIFECYCLE_NEW_MS (30 * INSTANT_DAY_MS)
#define LIFECYCLE_NEW_ORDERS_MAX 2

static const char *const names[LIFECYCLE_COUNT] = {
    [LIFECYCLE_NEW] = "new",
    [LIFECYCLE_ACTIVE] = "active",
    [LIFECYCLE_LAPSED] = "lapsed",
    [LIFECYCLE_CHURNED] = "churned",
};

struct lifecycle_verdict lifecycle_at(const struct lifecycle_facts *facts, int64_t at_ms)
{
    assert(facts->first_seen_at_ms != INSTANT_NONE);
    int64_t silent_since_ms =
        facts->last_seen_at_ms != INSTANT_NONE ? facts->last_seen_at_ms : facts->first_seen_at_ms;
    int64_t churned_at_ms = silent_since_ms + LIFECYCLE_CHURNED_MS + 1;
    int64_t lapsed_at_ms = silent_since_ms + LIFECYCLE_LAPSED_MS + 1;
    int64_t grown_at_ms = facts->first_seen_at_ms + LIFECYCLE_NEW_MS;

    if (at_ms >= churned_at_ms) {
        return (struct lifecycle_verdict){ LIFECYCLE_CHURNED, INSTANT_NEVER };
    }
    if (at_ms >= lapsed_at_ms) {
        return (struct lifecycle_verdict){ LIFECYCLE_LAPSED, churned_at_ms };
    }
    if (at_ms < grown_at_ms && facts->order_count < LIFECYCLE_NEW_ORDERS_MAX) {
        int64_t until_ms = grown_at_ms < lapsed_at_ms ? grown_at_ms : lapsed_at_ms;
        return (struct lifecycle_verdict){ LIFECYCLE_NEW, until_ms };
    }
    return (struct lifecycle_verdict){ LIFECYCLE_ACTIVE, lapsed_at_ms };
}

const char *lifecycle_name(enum lifecycle stage)
{
    assert(stage < LIFECYCLE_COUNT);
    return names[stage];
}

enum lifecycle lifecycle_from_name(const char *name, unsigned long size)
{
    for (int stage = LIFECYCLE_NEW; stage < LIFECYCLE_COUNT; stage++) {
        if (str_equal_z((struct str){ name, size }, names[stage])) {
            return (enum lifecycle)stage;
        }
    }
    return LIFECYCLE_NONE;
}
