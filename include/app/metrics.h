#ifndef APP_METRICS_H
#define APP_METRICS_H

/*
 * Counters and histograms for Prometheus. Counting is wait-free: relaxed
 * atomics, no lock, no allocation; the text is written from whatever values
 * are there, so sums may lag each other by an event.
 *
 * Threading: every function but create and destroy from any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "core/trigger/delivery.h"
#include "http/server.h"

struct metrics;

/* Gauges that are read when the text is written. */
struct metrics_gauges {
    struct http_stats http;
    size_t intake_backlog;
    size_t sender_room;
    bool database_up;
    bool ready;
    int64_t clock_offset_ms;
    int64_t started_at_ms;
};

/* One row of counters for each distinct pattern of the table (borrowed). */
NODISCARD enum status metrics_create(const struct http_route *routes, size_t route_count,
                                     struct metrics **out_metrics);
void metrics_destroy(struct metrics *metrics);

void metrics_request(struct metrics *metrics, const char *pattern, unsigned http_status,
                     int64_t duration_us);
void metrics_batch(struct metrics *metrics, size_t events, int64_t duration_us, enum status status);
void metrics_attempt(struct metrics *metrics, enum attempt_outcome outcome, int64_t duration_ms);
void metrics_due(struct metrics *metrics, size_t profiles, int64_t lag_ms);

/* The exposition format, version 0.0.4. */
void metrics_write(const struct metrics *metrics, const struct metrics_gauges *gauges,
                   struct buf *text);

#endif
