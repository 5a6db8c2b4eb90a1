#include "core/trigger/delivery.h"

#include <assert.h>

#include "base/compiler.h"
#include "base/instant.h"

/*
 * What an answer means, and when to ask again (Standard Webhooks' schedule).
 *
 * Only 2xx settles and only 410 ends a subscription; anything else may be a
 * deploy, a proxy or a firewall that is repaired tomorrow, so all of it is
 * retried, 4xx too. The waits sum to 76 hours, which outlives a weekend.
 * A receiver that says Retry-After is taken at its word, within a second and a
 * day: a fault of its clock must not hold a customer's messages for good.
 *
 * Jitter spreads the messages of an outage over a fifth of the wait; it is the
 * caller's random number, so the answer depends on arguments alone.
 */

static const int64_t waits_ms[] = {
    5 * INSTANT_SECOND_MS, 5 * INSTANT_MINUTE_MS, 30 * INSTANT_MINUTE_MS,
    2 * INSTANT_HOUR_MS,   5 * INSTANT_HOUR_MS,   10 * INSTANT_HOUR_MS,
    14 * INSTANT_HOUR_MS,  20 * INSTANT_HOUR_MS,  24 * INSTANT_HOUR_MS,
};

#define RETRY_AFTER_MS_MIN INSTANT_SECOND_MS
#define RETRY_AFTER_MS_MAX (24 * INSTANT_HOUR_MS)

enum {
    STATUS_GONE_410 = 410
};

struct id delivery_id(struct id notification_id, struct id subscription_id)
{
    struct id_hash hash;
    id_hash_begin(&hash, "delivery");
    id_hash_add_id(&hash, notification_id);
    id_hash_add_id(&hash, subscription_id);
    return id_hash_end(&hash);
}

int64_t delivery_expires_at_ms(int64_t created_at_ms, int64_t expires_at_ms, int64_t max_age_ms)
{
    int64_t by_age_ms = 0;
    int64_t expires_ms = expires_at_ms > 0 ? expires_at_ms : INSTANT_NEVER;
    if (max_age_ms <= 0 || __builtin_add_overflow(created_at_ms, max_age_ms, &by_age_ms)) {
        return expires_ms;
    }
    return by_age_ms < expires_ms ? by_age_ms : expires_ms;
}

static int64_t wait_ms(uint32_t attempt_number, uint32_t jitter, int64_t retry_after_ms)
{
    if (retry_after_ms > RETRY_AFTER_MS_MAX) {
        return RETRY_AFTER_MS_MAX;
    }
    if (retry_after_ms > 0) {
        return retry_after_ms < RETRY_AFTER_MS_MIN ? RETRY_AFTER_MS_MIN : retry_after_ms;
    }
    int64_t wait = waits_ms[attempt_number - 1];
    int64_t spread = wait / 5; /* -10 % to +10 % */
    return wait + (int64_t)(jitter % (uint32_t)(spread + 1)) - spread / 2;
}

enum attempt_outcome delivery_next(int32_t response_status, uint32_t attempt_number,
                                   int64_t retry_after_ms, bool aborted, uint32_t jitter,
                                   int64_t *out_wait_ms)
{
    assert(attempt_number >= 1);
    if (response_status >= 200 && response_status < 300) {
        return ATTEMPT_DELIVERED;
    }
    if (response_status == STATUS_GONE_410) {
        return ATTEMPT_GONE;
    }
    if (aborted) {
        return ATTEMPT_ABORTED;
    }
    if (attempt_number > ARRAY_COUNT(waits_ms)) {
        return ATTEMPT_GAVE_UP;
    }
    *out_wait_ms = wait_ms(attempt_number, jitter, retry_after_ms);
    return ATTEMPT_RETRY;
}

const char *attempt_outcome_name(enum attempt_outcome outcome)
{
    switch (outcome) {
    case ATTEMPT_DELIVERED:
        return "delivered";
    case ATTEMPT_RETRY:
        return "retry";
    case ATTEMPT_GAVE_UP:
        return "gave_up";
    case ATTEMPT_GONE:
        return "gone";
    case ATTEMPT_ABORTED:
        return "aborted";
    case ATTEMPT_DROPPED:
        return "dropped";
    }
    assert(false);
    return NULL;
}
