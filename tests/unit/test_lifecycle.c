#include "base/instant.h"
#include "core/lifecycle/lifecycle.h"
#include "unit.h"

#define SEEN INT64_C(1780315200000)
#define DAY INSTANT_DAY_MS

static void turns_on_the_exact_millisecond(void **state)
{
    (void)state;
    static const struct {
        int64_t last_seen_ms; /* after first seen */
        int64_t orders;
        int64_t at_ms; /* after first seen */
        enum lifecycle stage;
        int64_t until_ms; /* after first seen; -1 never */
        const char *why;
    } rows[] = {
        { 0, 0, 0, LIFECYCLE_NEW, 30 * DAY, "at first sight" },
        { 0, 1, 30 * DAY - 1, LIFECYCLE_NEW, 30 * DAY, "age < 30d, last tick" },
        { 0, 1, 30 * DAY, LIFECYCLE_ACTIVE, 60 * DAY + 1, "age < 30d ends at x + 30d" },
        { 0, 2, 0, LIFECYCLE_ACTIVE, 60 * DAY + 1, "two orders are not new" },
        { 0, 0, 60 * DAY, LIFECYCLE_ACTIVE, 60 * DAY + 1, "silent for 60d is not more than 60d" },
        { 0, 0, 60 * DAY + 1, LIFECYCLE_LAPSED, 180 * DAY + 1, "one tick more is" },
        { 0, 9, 60 * DAY + 1, LIFECYCLE_LAPSED, 180 * DAY + 1, "orders do not help" },
        { 0, 0, 180 * DAY, LIFECYCLE_LAPSED, 180 * DAY + 1, "last tick of lapsed" },
        { 0, 0, 180 * DAY + 1, LIFECYCLE_CHURNED, -1, "churned" },
        { 0, 0, 5000 * DAY, LIFECYCLE_CHURNED, -1, "for good" },
        { 50 * DAY, 0, 110 * DAY, LIFECYCLE_ACTIVE, 110 * DAY + 1, "silence counts from the act" },
        { 50 * DAY, 0, 110 * DAY + 1, LIFECYCLE_LAPSED, 230 * DAY + 1, "and turns there" },
        { -100 * DAY, 0, 0, LIFECYCLE_LAPSED, 80 * DAY + 1, "an act before first sight" },
        { 29 * DAY, 0, 29 * DAY, LIFECYCLE_NEW, 30 * DAY, "new ends before silence does" },
        { -40 * DAY, 0, 0, LIFECYCLE_NEW, 20 * DAY + 1, "silence before new does" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct lifecycle_facts facts = { SEEN, SEEN + rows[i].last_seen_ms, rows[i].orders };
        struct lifecycle_verdict verdict = lifecycle_at(&facts, SEEN + rows[i].at_ms);
        assert_row(verdict.stage == rows[i].stage, rows[i].why);
        int64_t until_ms = rows[i].until_ms < 0 ? INSTANT_NEVER : SEEN + rows[i].until_ms;
        assert_row(verdict.until_ms == until_ms, rows[i].why);
    }
}

static void counts_from_first_sight_without_an_act(void **state)
{
    (void)state;
    const struct lifecycle_facts facts = { SEEN, INSTANT_NONE, 0 };
    assert_int_equal(lifecycle_at(&facts, SEEN + 60 * DAY).stage, LIFECYCLE_ACTIVE);
    assert_int_equal(lifecycle_at(&facts, SEEN + 60 * DAY + 1).stage, LIFECYCLE_LAPSED);
}

/* valid_until is the first instant at which re-evaluation may differ: one tick
 * before it nothing does, whatever the facts. */
static void holds_until_it_says(void **state)
{
    (void)state;
    for (int64_t last = -70; last <= 70; last += 7) {
        for (int64_t orders = 0; orders < 3; orders++) {
            const struct lifecycle_facts facts = { SEEN, SEEN + last * DAY, orders };
            int64_t at_ms = SEEN + (last > 0 ? last : 0) * DAY;
            for (int steps = 0; steps < 5; steps++) {
                struct lifecycle_verdict verdict = lifecycle_at(&facts, at_ms);
                if (verdict.until_ms == INSTANT_NEVER) {
                    break;
                }
                assert_true(verdict.until_ms > at_ms);
                assert_int_equal(lifecycle_at(&facts, verdict.until_ms - 1).stage, verdict.stage);
                assert_int_not_equal(lifecycle_at(&facts, verdict.until_ms).stage, verdict.stage);
                at_ms = verdict.until_ms;
                assert_int_not_equal(steps, 4);
            }
        }
    }
}

static void has_names(void **state)
{
    (void)state;
    assert_null(lifecycle_name(LIFECYCLE_NONE));
    for (int stage = LIFECYCLE_NEW; stage < LIFECYCLE_COUNT; stage++) {
        const char *name = lifecycle_name((enum lifecycle)stage);
        assert_int_equal(lifecycle_from_name(name, strlen(name)), stage);
    }
    assert_int_equal(lifecycle_from_name("lapse", 5), LIFECYCLE_NONE);
    assert_int_equal(lifecycle_from_name("", 0), LIFECYCLE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_on_the_exact_millisecond),
        cmocka_unit_test(counts_from_first_sight_without_an_act),
        cmocka_unit_test(holds_until_it_says),
        cmocka_unit_test(has_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
