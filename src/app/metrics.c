#include "app/metrics.h"

#include <assert.h>
#include <stdatomic.h>
#include <unistd.h>

#include "app/version.h"
#include "base/str.h"

/*
 * Problem: counting must not slow down what it counts, and its labels must not
 * grow with the traffic. Invariant: all counters exist from the start, one row
 * for each route pattern and code of a fixed list, so a request is an index
 * and three relaxed additions, and memory is the same after a year.
 *
 * Patterns are found by open addressing on their text; the table is built
 * once and never written again. Rejected: a metrics library (none in Debian
 * for C is maintained) and counters per source or subscription, which belong
 * to the API where one may ask for one of them.
 */

enum {
    BOUNDS_MAX = 16,
    CODES_MAX = 32,
    PATTERNS_MAX = 256,
    SLOTS = 1024
};

struct histogram {
    atomic_uint_fast64_t buckets[BOUNDS_MAX + 1];
    atomic_uint_fast64_t sum;
};

struct scale {
    const int64_t *bounds;
    size_t count;
    int64_t unit; /* how many make one of what Prometheus shows */
};

static const int64_t request_bounds_us[] = { 500,   1000,   2500,   5000,   10000,   15000,  25000,
                                             50000, 100000, 250000, 500000, 1000000, 5000000 };
static const int64_t batch_bounds_us[] = { 1000,  2500,   5000,   10000,  25000,
                                           50000, 100000, 250000, 500000, 1000000 };
static const int64_t batch_event_bounds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512 };
static const int64_t attempt_bounds_ms[] = { 5,   10,   25,   50,   100,   250,
                                             500, 1000, 2500, 5000, 10000, 15000 };
static const int64_t lag_bounds_ms[] = { 1, 5, 10, 50, 100, 500, 1000, 10000, 60000 };

#define SCALE(bounds, unit) ((struct scale){ bounds, ARRAY_COUNT(bounds), unit })

/* Every code that an answer may have; others count under the last. */
static const unsigned code_list[] = { 200, 201, 202, 204, 301, 302, 304, 400, 401, 403,
                                      404, 405, 406, 408, 409, 410, 411, 412, 413, 414,
                                      415, 422, 428, 429, 431, 500, 501, 503, 0 };

static const char *const hook_results[] = { "accepted", "unauthorized", "refused", "overloaded",
                                            "failed" };
enum {
    HOOK_ACCEPTED,
    HOOK_UNAUTHORIZED,
    HOOK_REFUSED,
    HOOK_OVERLOADED,
    HOOK_FAILED,
    HOOK_COUNT
};

static const enum attempt_outcome outcome_list[] = { ATTEMPT_DELIVERED, ATTEMPT_RETRY,
                                                     ATTEMPT_GAVE_UP,   ATTEMPT_GONE,
                                                     ATTEMPT_ABORTED,   ATTEMPT_DROPPED };

struct pattern_row {
    const char *pattern;
    atomic_uint_fast64_t codes[CODES_MAX];
    struct histogram duration;
};

struct metrics {
    size_t row_count;
    struct pattern_row rows[PATTERNS_MAX + 1]; /* the last: no route */
    uint16_t slots[SLOTS];                     /* row + 1, 0 is free */
    atomic_uint_fast64_t hooks[HOOK_COUNT];
    struct histogram batch_duration;
    struct histogram batch_events;
    atomic_uint_fast64_t batches_failed;
    atomic_uint_fast64_t attempts[ARRAY_COUNT(outcome_list)];
    struct histogram attempt_duration;
    atomic_uint_fast64_t due_profiles;
    struct histogram due_lag;
};

static_assert(ARRAY_COUNT(code_list) <= CODES_MAX, "one counter for each code");
static_assert(ARRAY_COUNT(request_bounds_us) <= BOUNDS_MAX, "one bucket for each bound");
static_assert(SLOTS > 2 * PATTERNS_MAX, "open addressing needs air");

static void add(atomic_uint_fast64_t *counter, uint64_t amount)
{
    (void)atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void histogram_add(struct histogram *histogram, struct scale scale, int64_t value)
{
    size_t index = 0;
    while (index < scale.count && value > scale.bounds[index]) {
        index++;
    }
    add(&histogram->buckets[index], 1);
    add(&histogram->sum, value > 0 ? (uint64_t)value : 0);
}

static struct pattern_row *row_find(struct metrics *metrics, const char *pattern)
{
    struct pattern_row *none = &metrics->rows[PATTERNS_MAX];
    if (pattern == NULL || pattern[0] == '\0') {
        return none;
    }
    size_t slot = hash64(str_from_z(pattern), 0) % SLOTS;
    for (; metrics->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        struct pattern_row *row = &metrics->rows[metrics->slots[slot] - 1];
        if (row->pattern == pattern || strcmp(row->pattern, pattern) == 0) {
            return row;
        }
    }
    return none;
}

enum status metrics_create(const struct http_route *routes, size_t route_count,
                           struct metrics **out_metrics)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        return STATUS_BROKEN;
    }
    metrics->rows[PATTERNS_MAX].pattern = "none";
    for (size_t i = 0; i < route_count; i++) {
        const char *pattern = routes[i].pattern;
        if (row_find(metrics, pattern) != &metrics->rows[PATTERNS_MAX]) {
            continue;
        }
        assert(metrics->row_count < PATTERNS_MAX);
        size_t slot = hash64(str_from_z(pattern), 0) % SLOTS;
        while (metrics->slots[slot] != 0) {
            slot = (slot + 1) % SLOTS;
        }
        metrics->rows[metrics->row_count].pattern = pattern;
        metrics->slots[slot] = (uint16_t)++metrics->row_count;
    }
    *out_metrics = metrics;
    return STATUS_OK;
}

void metrics_destroy(struct metrics *metrics)
{
    free(metrics);
}

static size_t hook_result(unsigned http_status)
{
    if (http_status < 300) {
        return HOOK_ACCEPTED;
    }
    if (http_status == 401 || http_status == 403) {
        return HOOK_UNAUTHORIZED;
    }
    if (http_status == 503 || http_status == 429) {
        return HOOK_OVERLOADED;
    }
    return http_status < 500 ? HOOK_REFUSED : HOOK_FAILED;
}

void metrics_request(struct metrics *metrics, const char *pattern, unsigned http_status,
                     int64_t duration_us)
{
    struct pattern_row *row = row_find(metrics, pattern);
    size_t code = 0;
    while (code_list[code] != 0 && code_list[code] != http_status) {
        code++;
    }
    add(&row->codes[code], 1);
    histogram_add(&row->duration, SCALE(request_bounds_us, 1000000), duration_us);
    if (pattern != NULL && strncmp(pattern, "/v1/hooks/", strlen("/v1/hooks/")) == 0) {
        add(&metrics->hooks[hook_result(http_status)], 1);
    }
}

void metrics_batch(struct metrics *metrics, size_t events, int64_t duration_us, enum status status)
{
    histogram_add(&metrics->batch_duration, SCALE(batch_bounds_us, 1000000), duration_us);
    histogram_add(&metrics->batch_events, SCALE(batch_event_bounds, 1), (int64_t)events);
    if (status != STATUS_OK) {
        add(&metrics->batches_failed, 1);
    }
}

void metrics_attempt(struct metrics *metrics, enum attempt_outcome outcome, int64_t duration_ms)
{
    for (size_t i = 0; i < ARRAY_COUNT(outcome_list); i++) {
        if (outcome_list[i] == outcome) {
            add(&metrics->attempts[i], 1);
        }
    }
    histogram_add(&metrics->attempt_duration, SCALE(attempt_bounds_ms, 1000), duration_ms);
}

void metrics_due(struct metrics *metrics, size_t profiles, int64_t lag_ms)
{
    add(&metrics->due_profiles, profiles);
    histogram_add(&metrics->due_lag, SCALE(lag_bounds_ms, 1000), lag_ms);
}

static void write_head(struct buf *text, const char *name, const char *type, const char *help)
{
    buf_printf(text, "# HELP shopbell_%s %s\n# TYPE shopbell_%s %s\n", name, help, name, type);
}

static void write_gauge(struct buf *text, const char *name, const char *help, double value)
{
    write_head(text, name, "gauge", help);
    buf_printf(text, "shopbell_%s %.12g\n", name, value);
}

static void write_counter(struct buf *text, const char *name, const char *help, uint64_t value)
{
    write_head(text, name, "counter", help);
    buf_printf(text, "shopbell_%s %llu\n", name, (unsigned long long)value);
}

/* `label` is `route="..."`, or "". */
static void write_histogram(struct buf *text, const char *name, const char *label,
                            const struct histogram *histogram, struct scale scale)
{
    const char *comma = label[0] != '\0' ? "," : "";
    const char *open = label[0] != '\0' ? "{" : "";
    const char *close = label[0] != '\0' ? "}" : "";
    uint64_t count = 0;
    for (size_t i = 0; i < scale.count; i++) {
        count += get(&histogram->buckets[i]);
        buf_printf(text, "shopbell_%s_bucket{%s%sle=\"%.6g\"} %llu\n", name, label, comma,
                   (double)scale.bounds[i] / (double)scale.unit, (unsigned long long)count);
    }
    count += get(&histogram->buckets[scale.count]);
    buf_printf(text, "shopbell_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, comma,
               (unsigned long long)count);
    buf_printf(text, "shopbell_%s_sum%s%s%s %.9g\n", name, open, label, close,
               (double)get(&histogram->sum) / (double)scale.unit);
    buf_printf(text, "shopbell_%s_count%s%s%s %llu\n", name, open, label, close,
               (unsigned long long)count);
}

static void write_codes(struct buf *text, const struct pattern_row *row)
{
    for (size_t code = 0; code < ARRAY_COUNT(code_list); code++) {
        uint64_t count = get(&row->codes[code]);
        if (count == 0) {
            continue; /* five thousand zeros would say nothing */
        }
        char name[16] = "other";
        if (code_list[code] != 0) {
            (void)snprintf(name, sizeof(name), "%u", code_list[code]);
        }
        buf_printf(text, "shopbell_http_requests_total{route=\"%s\",code=\"%s\"} %llu\n",
                   row->pattern, name, (unsigned long long)count);
    }
}

static bool row_is_used(const struct pattern_row *row)
{
    for (size_t code = 0; code < ARRAY_COUNT(code_list); code++) {
        if (get(&row->codes[code]) > 0) {
            return true;
        }
    }
    return false;
}

static void write_requests(const struct metrics *metrics, struct buf *text)
{
    write_head(text, "http_requests_total", "counter", "Answered requests.");
    for (size_t i = 0; i <= PATTERNS_MAX; i++) {
        if (metrics->rows[i].pattern != NULL) {
            write_codes(text, &metrics->rows[i]);
        }
    }
    write_head(text, "http_request_duration_seconds", "histogram",
               "From the complete head to the answer.");
    for (size_t i = 0; i <= PATTERNS_MAX; i++) {
        const struct pattern_row *row = &metrics->rows[i];
        if (row->pattern != NULL && row_is_used(row)) {
            char label[160];
            (void)snprintf(label, sizeof(label), "route=\"%.140s\"", row->pattern);
            write_histogram(text, "http_request_duration_seconds", label, &row->duration,
                            SCALE(request_bounds_us, 1000000));
        }
    }
    write_head(text, "webhooks_total", "counter", "Webhooks by what became of them.");
    for (size_t i = 0; i < HOOK_COUNT; i++) {
        buf_printf(text, "shopbell_webhooks_total{result=\"%s\"} %llu\n", hook_results[i],
                   (unsigned long long)get(&metrics->hooks[i]));
    }
}

static void write_work(const struct metrics *metrics, struct buf *text)
{
    write_head(text, "ingest_commit_duration_seconds", "histogram", "One batch, load to commit.");
    write_histogram(text, "ingest_commit_duration_seconds", "", &metrics->batch_duration,
                    SCALE(batch_bounds_us, 1000000));
    write_head(text, "ingest_batch_events", "histogram", "Events of one batch.");
    write_histogram(text, "ingest_batch_events", "", &metrics->batch_events,
                    SCALE(batch_event_bounds, 1));
    write_counter(text, "ingest_batches_failed_total", "Batches that did not commit.",
                  get(&metrics->batches_failed));
    write_head(text, "delivery_attempts_total", "counter", "Calls to subscribers by outcome.");
    for (size_t i = 0; i < ARRAY_COUNT(outcome_list); i++) {
        buf_printf(text, "shopbell_delivery_attempts_total{outcome=\"%s\"} %llu\n",
                   attempt_outcome_name(outcome_list[i]),
                   (unsigned long long)get(&metrics->attempts[i]));
    }
    write_head(text, "delivery_attempt_duration_seconds", "histogram", "One call to a subscriber.");
    write_histogram(text, "delivery_attempt_duration_seconds", "", &metrics->attempt_duration,
                    SCALE(attempt_bounds_ms, 1000));
    write_counter(text, "due_profiles_total", "Profiles whose verdict time changed.",
                  get(&metrics->due_profiles));
    write_head(text, "due_lag_seconds", "histogram", "From the due instant to its commit.");
    write_histogram(text, "due_lag_seconds", "", &metrics->due_lag, SCALE(lag_bounds_ms, 1000));
}

static void write_gauges(const struct metrics_gauges *gauges, struct buf *text)
{
    write_gauge(text, "ready", "1 when /readyz answers 200.", gauges->ready ? 1 : 0);
    write_gauge(text, "database_up", "1 when the database answered lately.",
                gauges->database_up ? 1 : 0);
    write_gauge(text, "clock_offset_seconds", "The database's clock minus ours.",
                (double)gauges->clock_offset_ms / 1000.0);
    write_gauge(text, "ingest_backlog_events", "Events waiting or in work.",
                (double)gauges->intake_backlog);
    write_gauge(text, "delivery_room", "Deliveries that would fit into memory.",
                (double)gauges->sender_room);
    write_gauge(text, "http_connections", "Open connections.", (double)gauges->http.connections);
    write_gauge(text, "http_suspended", "Requests waiting for their commit or a worker.",
                (double)gauges->http.suspended);
    write_gauge(text, "http_in_flight_bytes", "Bodies in memory.",
                (double)gauges->http.in_flight_bytes);
    write_counter(text, "http_refused_guard_total", "Heads refused by the guard.",
                  gauges->http.refused_guard);
    write_counter(text, "http_refused_overload_total", "Requests shed.",
                  gauges->http.refused_overload);
    write_counter(text, "http_reaped_total", "Connections cut at a deadline.", gauges->http.reaped);
    write_counter(text, "http_watchdog_answers_total", "Requests answered 503 at their deadline.",
                  gauges->http.watchdog_answers);
}

static int64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages = 0;
    char text[128] = "";
    if (file != NULL) {
        if (fgets(text, sizeof(text), file) != NULL) {
            char *second = strchr(text, ' ');
            pages = second != NULL ? strtoll(second, NULL, 10) : 0;
        }
        (void)fclose(file);
    }
    return pages * sysconf(_SC_PAGESIZE);
}

void metrics_write(const struct metrics *metrics, const struct metrics_gauges *gauges,
                   struct buf *text)
{
    write_head(text, "build_info", "gauge", "Always 1.");
    buf_printf(text, "shopbell_build_info{version=\"%s\"} 1\n", SHOPBELL_VERSION);
    write_gauges(gauges, text);
    write_requests(metrics, text);
    write_work(metrics, text);
    buf_printf(text,
               "# HELP process_resident_memory_bytes Resident memory.\n"
               "# TYPE process_resident_memory_bytes gauge\n"
               "process_resident_memory_bytes %lld\n",
               (long long)resident_bytes());
    buf_printf(text,
               "# HELP process_start_time_seconds When it started.\n"
               "# TYPE process_start_time_seconds gauge\n"
               "process_start_time_seconds %.3f\n",
               (double)gauges->started_at_ms / 1000.0);
}
