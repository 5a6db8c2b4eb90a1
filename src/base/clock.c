#include "base/clock.h"

#include <assert.h>
#include <time.h>

/*
 * The only readers of the system's clocks. Neither call can fail for these
 * two clocks on Linux; if one did, no time we could answer would be true.
 */

static struct timespec read_clock(clockid_t which)
{
    struct timespec now = { 0 };
    int failed = clock_gettime(which, &now);
    assert(failed == 0);
    (void)failed;
    return now;
}

int64_t clock_now_ms(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_monotonic_us(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
