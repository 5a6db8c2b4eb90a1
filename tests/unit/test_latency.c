#include "base/compiler.h"
#include "core/trigger/latency.h"
#include "unit.h"

static void every_duration_has_a_class(void **state)
{
    (void)state;
    assert_int_equal(latency_class(-1), 0);
    assert_int_equal(latency_class(0), 0);
    assert_int_equal(latency_class(1), 1);
    assert_int_equal(latency_class(29999), LATENCY_CLASSES - 2);
    assert_int_equal(latency_class(30000), LATENCY_CLASSES - 1);
    assert_int_equal(latency_class(INT64_MAX), LATENCY_CLASSES - 1);
    for (int64_t ms = 0; ms < 40000; ms++) {
        assert_true(latency_class(ms) <= latency_class(ms + 1));
    }
}

static void of_none_there_is_no_percentile(void **state)
{
    (void)state;
    static const int64_t none[LATENCY_CLASSES] = { 0 };
    assert_int_equal(latency_percentile_ms(none, 990), -1);
}

/* Against the exact percentile of what was counted: never off by more than the
 * width of its class. */
static void percentiles_lie_in_their_class(void **state)
{
    (void)state;
    static const int32_t asked[] = { 1, 500, 950, 990, 1000 };
    int64_t counts[LATENCY_CLASSES] = { 0 };
    enum {
        TOTAL = 5000
    };
    for (int64_t i = 0; i < TOTAL; i++) {
        counts[latency_class(i)]++; /* 0 to 4,999 ms, each once */
    }
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
        int64_t exact = (int64_t)TOTAL * asked[i] / 1000 - 1;
        int64_t told = latency_percentile_ms(counts, asked[i]);
        assert_true(latency_class(told) >= latency_class(exact) &&
                    latency_class(told) <= latency_class(exact) + 1);
    }
    assert_true(latency_percentile_ms(counts, 500) <= latency_percentile_ms(counts, 950));
}

static void what_has_no_end_is_its_beginning(void **state)
{
    (void)state;
    int64_t counts[LATENCY_CLASSES] = { 0 };
    counts[LATENCY_CLASSES - 1] = 3;
    assert_int_equal(latency_percentile_ms(counts, 500), 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_duration_has_a_class),
        cmocka_unit_test(of_none_there_is_no_percentile),
        cmocka_unit_test(percentiles_lie_in_their_class),
        cmocka_unit_test(what_has_no_end_is_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
