#include "base/clock.h"
#include "sweep/traffic.h"
#include "unit.h"

static int64_t taken_of(void *app)
{
    const int64_t *taken = app;
    return *taken;
}

/* The look before was so long ago, when 5,000 had been taken. */
static bool is_live(int64_t ago_ms, int64_t since_then)
{
    int64_t taken = 5000 + since_then;
    struct traffic traffic = { .ingested = taken_of,
                               .app = &taken,
                               .taken = 5000,
                               .looked_ms = clock_monotonic_ms() - ago_ms };
    return traffic_is_live(&traffic);
}

static void a_hundred_a_second_are_traffic(void **state)
{
    (void)state;
    assert_false(is_live(1000, 0));
    assert_false(is_live(1000, 99));
    assert_true(is_live(1000, 110));
    assert_false(is_live(10000, 990));
    assert_true(is_live(10000, 1100));
}

static void an_answer_stands_until_the_next_look(void **state)
{
    (void)state;
    int64_t taken = 0;
    struct traffic traffic = { .ingested = taken_of,
                               .app = &taken,
                               .looked_ms = clock_monotonic_ms() - 1000 };
    taken = 1000;
    assert_true(traffic_is_live(&traffic));
    assert_int_equal(traffic.taken, 1000);
    assert_true(traffic_is_live(&traffic));
    traffic.looked_ms -= 1000; /* a second passes, and nobody comes */
    assert_false(traffic_is_live(&traffic));
    taken = 2000;
    assert_false(traffic_is_live(&traffic));
}

static void without_an_intake_there_is_none(void **state)
{
    (void)state;
    struct traffic traffic = { 0 };
    assert_false(traffic_is_live(&traffic));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_a_second_are_traffic),
        cmocka_unit_test(an_answer_stands_until_the_next_look),
        cmocka_unit_test(without_an_intake_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
