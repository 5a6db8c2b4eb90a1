#include "sweep/traffic.h"

#include <stddef.h>

#include "base/clock.h"

/*
 * Traffic is what the intake took since the look before, by the time since: no
 * event tells anybody that it came, which would cost each of them something for
 * work that is seldom there. Invariant: between two looks the answer stands, so
 * that asking before each step of a few milliseconds costs a clock.
 *
 * Rejected: the length of the intake's queue. It says that the intake is behind
 * already, and the webhooks in it have waited.
 */

#define TRAFFIC_LOOK_MS 250
#define TRAFFIC_LIVE_PER_S 100

bool traffic_is_live(struct traffic *traffic)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t past_ms = now_ms - traffic->looked_ms;
    if (traffic->ingested == NULL || past_ms < TRAFFIC_LOOK_MS) {
        return traffic->is_live;
    }
    int64_t taken = traffic->ingested(traffic->app);
    traffic->is_live = (taken - traffic->taken) * 1000 >= TRAFFIC_LIVE_PER_S * past_ms;
    traffic->taken = taken;
    traffic->looked_ms = now_ms;
    return traffic->is_live;
}
