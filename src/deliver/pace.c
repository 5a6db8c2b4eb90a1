#include "deliver/pace.h"

#include <assert.h>
#include <stdlib.h>

#include "base/instant.h"

/*
 * A rate is a promise about every window of time, not about the average: "50 a second"
 * must hold between any instant and a second later, for that is how receivers count.
 *
 * So the starts of the last `count` messages are remembered, and the next may go when
 * the oldest of them is `per` ago. A bucket of tokens, full after a rest, would send
 * twice the rate within one window; one that is never full paces what could go at
 * once. Beyond SLOTS_MAX a slot stands for a group of starts and keeps the last of
 * them, which errs towards slower.
 *
 * The breaker asks a dead endpoint less and less often. A silence weighs four times an
 * answer of 5xx: it holds a transfer for its whole timeout, while with eight requests
 * under way one bad second of a deploy gives a dozen answers. From 5 s to 5 min, which nobody
 * notices after an outage of hours. Jitter keeps endpoints that died together from being asked
 * together.
 */

enum {
    SLOTS_MAX = 1024,
    RECOVERY_PARTS = 16,
};

#define OPEN_MS_MIN (5 * INSTANT_SECOND_MS)
#define OPEN_MS_MAX (5 * INSTANT_MINUTE_MS)

bool pace_set(struct pace *pace, uint32_t count, int64_t per_ms)
{
    if (pace->count == count && pace->per_ms == per_ms) {
        return true;
    }
    pace_finish(pace);
    if (count == 0) {
        return true;
    }
    assert(per_ms > 0);
    uint32_t group = (count + SLOTS_MAX - 1) / SLOTS_MAX;
    uint32_t slots = count / group;
    int64_t *started_ms = calloc(slots, sizeof(*started_ms));
    if (started_ms == NULL) {
        return false;
    }
    *pace = (struct pace){ .count = count,
                           .per_ms = per_ms,
                           .slots = slots,
                           .group = group,
                           .effective = slots,
                           .started_ms = started_ms };
    return true;
}

void pace_finish(struct pace *pace)
{
    free(pace->started_ms);
    *pace = (struct pace){ .count = 0 };
}

int64_t pace_ready_ms(const struct pace *pace, int64_t now_ms)
{
    if (pace->count == 0 || (pace->filled > 0 && pace->in_group < pace->group) ||
        pace->filled < pace->effective) {
        return now_ms;
    }
    uint32_t back = pace->effective - 1;
    uint32_t oldest = (pace->newest + pace->slots - back) % pace->slots;
    int64_t ready_ms = pace->started_ms[oldest] + pace->per_ms;
    return ready_ms > now_ms ? ready_ms : now_ms;
}

void pace_start(struct pace *pace, int64_t now_ms)
{
    if (pace->count == 0) {
        return;
    }
    if (pace->filled > 0 && pace->in_group < pace->group) {
        pace->in_group++;
    } else {
        pace->newest = pace->filled == 0 ? 0 : (pace->newest + 1) % pace->slots;
        pace->filled += pace->filled < pace->slots ? 1 : 0;
        pace->in_group = 1;
    }
    pace->started_ms[pace->newest] = now_ms;
}

void pace_halve(struct pace *pace)
{
    if (pace->effective > 1) {
        pace->effective /= 2;
    }
}

void pace_recover(struct pace *pace)
{
    uint32_t step = (pace->slots + RECOVERY_PARTS - 1) / RECOVERY_PARTS;
    pace->effective = pace->slots - pace->effective < step ? pace->slots : pace->effective + step;
}

enum breaker_state breaker_state(const struct breaker *breaker, int64_t now_ms)
{
    if (breaker->wait_ms == 0) {
        return BREAKER_CLOSED;
    }
    return now_ms < breaker->open_until_ms ? BREAKER_OPEN : BREAKER_HALF_OPEN;
}

void breaker_fail(struct breaker *breaker, uint32_t weight, int64_t now_ms, uint32_t jitter)
{
    breaker->failures += weight;
    switch (breaker_state(breaker, now_ms)) {
    case BREAKER_CLOSED:
        breaker->wait_ms = breaker->failures >= BREAKER_WEIGHT_MAX ? OPEN_MS_MIN : 0;
        break;
    case BREAKER_OPEN:
        return; /* was under way when it opened */
    case BREAKER_HALF_OPEN:
        breaker->wait_ms *= 2;
        break;
    }
    breaker->wait_ms = breaker->wait_ms < OPEN_MS_MAX ? breaker->wait_ms : OPEN_MS_MAX;
    int64_t spread_ms = breaker->wait_ms / 5;
    breaker->open_until_ms =
        now_ms + breaker->wait_ms + (int64_t)(jitter % (uint32_t)(spread_ms + 1));
}

void breaker_heal(struct breaker *breaker)
{
    *breaker = (struct breaker){ .failures = 0 };
}
