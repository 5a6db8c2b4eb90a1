#include "base/instant.h"
#include "core/trigger/delivery.h"
#include "unit.h"

static void answers_mean(void **state)
{
    (void)state;
    static const struct {
        int32_t status;
        uint32_t attempt;
        bool aborted;
        enum attempt_outcome outcome;
        const char *why;
    } rows[] = {
        { 200, 1, false, ATTEMPT_DELIVERED, "ok" },
        { 204, 9, false, ATTEMPT_DELIVERED, "ok, late" },
        { 299, 1, true, ATTEMPT_DELIVERED, "taken is taken" },
        { 300, 1, false, ATTEMPT_RETRY, "redirects are not followed" },
        { 199, 1, false, ATTEMPT_RETRY, "no answer yet" },
        { 400, 1, false, ATTEMPT_RETRY, "a deploy may cure it" },
        { 404, 1, false, ATTEMPT_RETRY, "so may this" },
        { 410, 1, false, ATTEMPT_GONE, "gone" },
        { 410, 10, false, ATTEMPT_GONE, "gone, at the end" },
        { 500, 1, true, ATTEMPT_ABORTED, "this message only" },
        { 0, 1, false, ATTEMPT_RETRY, "silence" },
        { 503, 9, false, ATTEMPT_RETRY, "the last wait" },
        { 503, 10, false, ATTEMPT_GAVE_UP, "the schedule's end" },
        { 503, 4000000000u, false, ATTEMPT_GAVE_UP, "far beyond it" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t wait_ms = -1;
        enum attempt_outcome outcome =
            delivery_next(rows[i].status, rows[i].attempt, 0, rows[i].aborted, 7, &wait_ms);
        assert_row(outcome == rows[i].outcome, rows[i].why);
        assert_row((wait_ms != -1) == (outcome == ATTEMPT_RETRY), rows[i].why);
    }
}

static void waits_as_promised(void **state)
{
    (void)state;
    static const int64_t waits_ms[] = {
        5 * INSTANT_SECOND_MS, 5 * INSTANT_MINUTE_MS, 30 * INSTANT_MINUTE_MS,
        2 * INSTANT_HOUR_MS,   5 * INSTANT_HOUR_MS,   10 * INSTANT_HOUR_MS,
        14 * INSTANT_HOUR_MS,  20 * INSTANT_HOUR_MS,  24 * INSTANT_HOUR_MS,
    };
    for (uint32_t attempt = 1; attempt <= ARRAY_COUNT(waits_ms); attempt++) {
        int64_t expected_ms = waits_ms[attempt - 1];
        int64_t least_ms = INT64_MAX;
        int64_t most_ms = 0;
        for (uint32_t i = 0; i < 2000; i++) {
            int64_t wait_ms = 0;
            uint32_t jitter = i * 2147483u;
            assert_int_equal(delivery_next(500, attempt, 0, false, jitter, &wait_ms),
                             ATTEMPT_RETRY);
            least_ms = wait_ms < least_ms ? wait_ms : least_ms;
            most_ms = wait_ms > most_ms ? wait_ms : most_ms;
        }
        assert_true(least_ms >= expected_ms * 9 / 10);
        assert_true(most_ms <= expected_ms * 11 / 10);
        assert_true(most_ms - least_ms > expected_ms / 6);
    }
}

static void honours_retry_after(void **state)
{
    (void)state;
    static const struct {
        int64_t retry_after_ms;
        int64_t expected_ms;
        const char *why;
    } rows[] = {
        { 7000, 7000, "as it says" },
        { 1, 1000, "not at once" },
        { 24 * INSTANT_HOUR_MS, 24 * INSTANT_HOUR_MS, "a day" },
        { 24 * INSTANT_HOUR_MS + 1, 24 * INSTANT_HOUR_MS, "at most a day" },
        { INT64_MAX, 24 * INSTANT_HOUR_MS, "whatever it says" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t wait_ms = 0;
        delivery_next(503, 3, rows[i].retry_after_ms, false, 12345, &wait_ms);
        assert_row(wait_ms == rows[i].expected_ms, rows[i].why);
    }
    int64_t wait_ms = -1;
    assert_int_equal(delivery_next(503, 10, 5000, false, 0, &wait_ms), ATTEMPT_GAVE_UP);
    assert_int_equal(wait_ms, -1);
}

static void ids_are_of_notification_and_subscription(void **state)
{
    (void)state;
    struct id a = { { 1 } };
    struct id b = { { 2 } };
    assert_true(id_equal(delivery_id(a, b), delivery_id(a, b)));
    assert_false(id_equal(delivery_id(a, b), delivery_id(b, a)));
    assert_false(id_equal(delivery_id(a, a), delivery_id(a, b)));
}

static void expires_with_what_ends_first(void **state)
{
    (void)state;
    static const struct {
        int64_t created_at_ms;
        int64_t expires_at_ms;
        int64_t max_age_ms;
        int64_t expected_ms;
        const char *why;
    } rows[] = {
        { 1000, 0, 0, INSTANT_NEVER, "the schedule's end" },
        { 1000, INSTANT_NONE, 0, INSTANT_NEVER, "as the store says it" },
        { 1000, INSTANT_NEVER, 0, INSTANT_NEVER, "and as we do" },
        { 1000, 0, 500, 1500, "too old for who is told" },
        { 1000, 1400, 0, 1400, "not worth it to anybody" },
        { 1000, 1400, 500, 1400, "which was sooner" },
        { 1000, 1600, 500, 1500, "and which was later" },
        { 1000, 0, INT64_MAX, INSTANT_NEVER, "beyond all instants" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(delivery_expires_at_ms(rows[i].created_at_ms, rows[i].expires_at_ms,
                                          rows[i].max_age_ms) == rows[i].expected_ms,
                   rows[i].why);
    }
}

static void outcomes_have_names(void **state)
{
    (void)state;
    assert_string_equal(attempt_outcome_name(ATTEMPT_DELIVERED), "delivered");
    assert_string_equal(attempt_outcome_name(ATTEMPT_RETRY), "retry");
    assert_string_equal(attempt_outcome_name(ATTEMPT_GAVE_UP), "gave_up");
    assert_string_equal(attempt_outcome_name(ATTEMPT_GONE), "gone");
    assert_string_equal(attempt_outcome_name(ATTEMPT_ABORTED), "aborted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_mean),
        cmocka_unit_test(waits_as_promised),
        cmocka_unit_test(honours_retry_after),
        cmocka_unit_test(ids_are_of_notification_and_subscription),
        cmocka_unit_test(expires_with_what_ends_first),
        cmocka_unit_test(outcomes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
