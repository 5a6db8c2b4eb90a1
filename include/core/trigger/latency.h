#ifndef CORE_TRIGGER_LATENCY_H
#define CORE_TRIGGER_LATENCY_H

/*
 * How long calls take, as counts in fixed classes: they add up over hours and
 * instances, which percentiles do not. Pure.
 */

#include <stddef.h>
#include <stdint.h>

enum {
    LATENCY_CLASSES = 23
};

size_t latency_class(int64_t duration_ms);
/* Below it lie `per_mille` of all; within a class as if they lay evenly. -1: of none. */
int64_t latency_percentile_ms(const int64_t counts[LATENCY_CLASSES], int32_t per_mille);

#endif
