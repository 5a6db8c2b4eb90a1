#ifndef API_SOURCE_LAG_H
#define API_SOURCE_LAG_H

/*
 * How late deliveries come, counted in buckets that grow by a quarter of an
 * octave: whoever reads a percentile is at most a fourth too high.
 *
 * Pure.
 */

#include <stdint.h>

#include "store/source_store.h"

/* Below SOURCE_LAG_BUCKETS; a negative lag (a clock ahead of ours) is none. */
unsigned source_lag_bucket(int64_t lag_ms);
/* The greatest lag that is counted in the bucket. */
int64_t source_lag_bound_ms(unsigned bucket);
/* The bound of the bucket that holds the given thousandth; -1 without counts. */
int64_t source_lag_percentile_ms(const int64_t counts[SOURCE_LAG_BUCKETS], int per_mille);

/* Of the last sixty minutes, by the counts of this hour of the clock and of the one before. */
int64_t source_last_hour(int64_t this_hour, int64_t hour_before, int64_t now_ms);

#endif
