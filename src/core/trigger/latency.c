#include "core/trigger/latency.h"

#include "base/compiler.h"

/*
 * Classes a third to twice as wide as what lies before them: a percentile read from them
 * is off by half a class at most, which is less than two days of one endpoint
 * differ. The last one has no end: its percentile is its beginning, the
 * longest timeout there is.
 */

static const int64_t bounds_ms[LATENCY_CLASSES - 1] = { 1,     2,     5,     10,   20,   35,
                                                        50,    75,    100,   150,  250,  400,
                                                        600,   1000,  1500,  2500, 4000, 6000,
                                                        10000, 15000, 22000, 30000 };

size_t latency_class(int64_t duration_ms)
{
    size_t index = 0;
    while (index < ARRAY_COUNT(bounds_ms) && duration_ms >= bounds_ms[index]) {
        index++;
    }
    return index;
}

int64_t latency_percentile_ms(const int64_t counts[LATENCY_CLASSES], int32_t per_mille)
{
    int64_t total = 0;
    for (size_t i = 0; i < LATENCY_CLASSES; i++) {
        total += counts[i];
    }
    if (total == 0) {
        return -1;
    }
    int64_t wanted = (total * per_mille + 999) / 1000;
    int64_t before = 0;
    size_t index = 0;
    while (index < LATENCY_CLASSES - 1 && before + counts[index] < wanted) {
        before += counts[index++];
    }
    int64_t from_ms = index == 0 ? 0 : bounds_ms[index - 1];
    if (index == LATENCY_CLASSES - 1 || counts[index] == 0) {
        return from_ms;
    }
    return from_ms + (bounds_ms[index] - from_ms) * (wanted - before) / counts[index];
}
