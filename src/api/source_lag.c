#include "api/source_lag.h"

#include "base/instant.h"

/*
 * Buckets of lag: 0, 1, 2, 3 ms, then four to an octave.
 *
 * Problem: instances count apart and their counts are added, and a percentile
 * cannot be. Buckets can; four to an octave are exact enough to tell 5 s from
 * 6, and 124 of them reach beyond a month.
 */

enum {
    PER_OCTAVE_BITS = 2,
    PER_OCTAVE = 1 << PER_OCTAVE_BITS,
};

unsigned source_lag_bucket(int64_t lag_ms)
{
    if (lag_ms < PER_OCTAVE) {
        return lag_ms > 0 ? (unsigned)lag_ms : 0;
    }
    unsigned octave = 63U - (unsigned)__builtin_clzll((unsigned long long)lag_ms);
    unsigned shift = octave - PER_OCTAVE_BITS;
    unsigned part = (unsigned)(lag_ms >> shift) & (PER_OCTAVE - 1);
    unsigned bucket = PER_OCTAVE + shift * PER_OCTAVE + part;
    return bucket < SOURCE_LAG_BUCKETS ? bucket : SOURCE_LAG_BUCKETS - 1;
}

int64_t source_lag_bound_ms(unsigned bucket)
{
    if (bucket < PER_OCTAVE) {
        return bucket;
    }
    unsigned shift = bucket / PER_OCTAVE - 1;
    int64_t part = PER_OCTAVE + bucket % PER_OCTAVE;
    return ((part + 1) << shift) - 1;
}

int64_t source_lag_percentile_ms(const int64_t counts[SOURCE_LAG_BUCKETS], int per_mille)
{
    int64_t total = 0;
    for (unsigned i = 0; i < SOURCE_LAG_BUCKETS; i++) {
        total += counts[i];
    }
    int64_t wanted = (total * per_mille + 999) / 1000;
    int64_t seen = 0;
    for (unsigned i = 0; total > 0 && i < SOURCE_LAG_BUCKETS; i++) {
        seen += counts[i];
        if (seen >= wanted) {
            return source_lag_bound_ms(i);
        }
    }
    return -1;
}

/* The last sixty minutes out of two hours of the clock: of the one before counts
 * the share that still lies within. */
int64_t source_last_hour(int64_t this_hour, int64_t hour_before, int64_t now_ms)
{
    int64_t past_ms = now_ms % INSTANT_HOUR_MS;
    return this_hour + hour_before * (INSTANT_HOUR_MS - past_ms) / INSTANT_HOUR_MS;
}
