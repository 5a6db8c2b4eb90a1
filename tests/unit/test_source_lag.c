#include "api/source_lag.h"
#include "base/instant.h"
#include "unit.h"

static void every_lag_is_in_its_bucket(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SOURCE_LAG_BUCKETS; i++) {
        int64_t bound_ms = source_lag_bound_ms(i);
        assert_int_equal(source_lag_bucket(bound_ms), i);
        if (i + 1 < SOURCE_LAG_BUCKETS) {
            assert_int_equal(source_lag_bucket(bound_ms + 1), i + 1);
        }
        /* At most a fourth more than the least lag of the bucket. */
        int64_t least_ms = i > 0 ? source_lag_bound_ms(i - 1) + 1 : 0;
        assert_true((bound_ms - least_ms) * 4 <= least_ms);
    }
    assert_int_equal(source_lag_bucket(-5), 0);
    assert_int_equal(source_lag_bucket(INT64_MAX), SOURCE_LAG_BUCKETS - 1);
    assert_true(source_lag_bucket(31 * INSTANT_DAY_MS) < SOURCE_LAG_BUCKETS - 1);
}

static void percentiles_are_of_deliveries(void **state)
{
    (void)state;
    int64_t counts[SOURCE_LAG_BUCKETS] = { 0 };
    assert_int_equal(source_lag_percentile_ms(counts, 500), -1);
    counts[source_lag_bucket(800)] = 1;
    assert_in_range(source_lag_percentile_ms(counts, 500), 800, 1000);
    assert_in_range(source_lag_percentile_ms(counts, 990), 800, 1000);
    counts[source_lag_bucket(800)] = 98;
    counts[source_lag_bucket(60000)] = 2;
    assert_in_range(source_lag_percentile_ms(counts, 500), 800, 1000);
    assert_in_range(source_lag_percentile_ms(counts, 980), 800, 1000);
    assert_in_range(source_lag_percentile_ms(counts, 990), 60000, 75000);
}

static void an_hour_slides_over_two(void **state)
{
    (void)state;
    static const struct {
        int64_t past_minutes;
        int64_t counted;
        const char *why;
    } ROWS[] = {
        { 0, 600, "the hour has just begun: all of the one before" },
        { 15, 450 + 40, "three quarters of it" },
        { 30, 300 + 40, "half of it" },
        { 60, 600, "and at its end nothing of it" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        int64_t minutes = ROWS[i].past_minutes;
        bool is_next = minutes == 60;
        int64_t now_ms = INSTANT_HOUR_MS * 500 + minutes * INSTANT_MINUTE_MS - (is_next ? 1 : 0);
        int64_t this_hour = minutes == 0 ? 0 : is_next ? 600 : 40;
        assert_row(source_last_hour(this_hour, 600, now_ms) == ROWS[i].counted, ROWS[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour_slides_over_two),
        cmocka_unit_test(every_lag_is_in_its_bucket),
        cmocka_unit_test(percentiles_are_of_deliveries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
