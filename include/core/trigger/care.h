#ifndef CORE_TRIGGER_CARE_H
#define CORE_TRIGGER_CARE_H

/*
 * Endpoints that only fail: how near the end of our patience one is, and what is
 * told of it, as ops.subscription_failing and ops.subscription_disabled. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/instant.h"
#include "base/str.h"

#define CARE_FAILING_TOPIC "ops.subscription_failing"
#define CARE_DISABLED_TOPIC "ops.subscription_disabled"
#define CARE_REASON "failing_5d"
#define CARE_PATIENCE_MS (5 * INSTANT_DAY_MS)

enum {
    CARE_DISABLE = 100
};

/* 0, or the stage reached: 50, 70, 90, or CARE_DISABLE. From the first call that
 * failed to the last one; time in which nothing was tried proves nothing. */
int32_t care_stage(int64_t failing_since_ms, int64_t failed_at_ms);

struct care_notice {
    struct id workspace_id;
    struct str workspace_name;
    struct id subscription_id;
    struct str name;
    struct str reason; /* of a disabled one: failing_5d, gone_410 */
    int32_t stage;
    int64_t failing_since_ms; /* INSTANT_NONE: it was disabled by one answer */
    int64_t at_ms;            /* the call that reached the stage, or when it was disabled */
};

struct str care_topic(const struct care_notice *notice);
struct id care_id(const struct care_notice *notice);
/* False when the arena is full. */
bool care_body(struct arena *arena, const struct care_notice *notice, int64_t now_ms,
               struct str *out_body);

#endif
