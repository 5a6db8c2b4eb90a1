#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/instant.h"
#include "core/trigger/delivery.h"
#include "seeds.h"

/*
 * Outages on a virtual clock: an endpoint is away from the first attempt on and comes
 * back at an instant drawn from the schedule's 76 hours and the day after. Whatever it
 * answers meanwhile, with Retry-After or without, its message is delivered once, at most
 * one wait after it is back, unless the schedule had ended by then; and the schedule does
 * not end before its tenth attempt.
 */

enum {
    SEEDS = 20000,
    ATTEMPTS = 10,
};

#define SCHEDULE_MS (76 * INSTANT_HOUR_MS)
#define WAIT_MS_MAX (24 * INSTANT_HOUR_MS * 11 / 10)
/* Nine waits, each a tenth short at most: 68 hours. */
#define SCHEDULE_MS_MIN (SCHEDULE_MS * 9 / 10 - INSTANT_HOUR_MS)

struct totals {
    size_t delivered;
    size_t gave_up;
    size_t attempts;
};

static uint32_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 32);
}

static int32_t draw_failure(uint64_t *state)
{
    static const int32_t answers[] = { 0, 0, 301, 400, 401, 404, 408, 429, 500, 502, 503, 504 };
    return answers[draw(state) % (sizeof(answers) / sizeof(answers[0]))];
}

static void run(uint64_t seed, struct totals *totals)
{
    uint64_t state = seed * 2 + 1;
    bool says_when = draw(&state) % 4 == 0;
    int64_t back_at_ms = (int64_t)(draw(&state) % (uint32_t)(100 * INSTANT_HOUR_MS));
    back_at_ms = draw(&state) % 3 == 0 ? back_at_ms / 1000 : back_at_ms;
    int64_t now_ms = 0;
    enum attempt_outcome outcome = ATTEMPT_RETRY;
    for (uint32_t number = 1; outcome == ATTEMPT_RETRY; number++) {
        assert(number <= ATTEMPTS);
        bool is_back = now_ms >= back_at_ms;
        int32_t status = is_back ? 200 : draw_failure(&state);
        int64_t retry_after_ms =
            says_when && !is_back ? (int64_t)(draw(&state) % (48 * 3600)) * 1000 : 0;
        int64_t wait_ms = 0;
        outcome = delivery_next(status, number, retry_after_ms, false, draw(&state), &wait_ms);
        totals->attempts++;
        if (is_back) {
            assert(outcome == ATTEMPT_DELIVERED);
            assert(now_ms - back_at_ms <= WAIT_MS_MAX);
        } else if (outcome == ATTEMPT_RETRY) {
            assert(wait_ms > 0 && wait_ms <= WAIT_MS_MAX);
            now_ms += wait_ms;
        } else {
            assert(outcome == ATTEMPT_GAVE_UP);
            assert(number == ATTEMPTS);
            assert(says_when || now_ms >= SCHEDULE_MS_MIN);
        }
    }
    totals->delivered += outcome == ATTEMPT_DELIVERED ? 1 : 0;
    totals->gave_up += outcome == ATTEMPT_GAVE_UP ? 1 : 0;
}

int main(void)
{
    const struct seeds seeds = seeds_of(SEEDS);
    struct totals totals = { 0 };
    for (uint64_t seed = seeds.first; seed <= seeds.last; seed += seeds.step) {
        run(seed, &totals);
    }
    printf("%zu outages, %zu attempts, %zu delivered, %zu given up\n", seeds.count, totals.attempts,
           totals.delivered, totals.gave_up);
    assert(seeds.is_chosen || (totals.delivered > 0 && totals.gave_up > 0));
    return 0;
}
