#include "core/trigger/gates.h"
#include "unit.h"

/* Offsets of Europe/Paris around both changes of 2026, without files. */
#define PARIS "Europe/Paris"

static int64_t at(const char *text)
{
    int64_t ms = 0;
    assert_true(instant_parse(str_from_z(text), true, &ms, NULL));
    return ms;
}

static void quiet_hours_end(void **state)
{
    (void)state;
    static const struct {
        int32_t from;
        int32_t to;
        const char *at;
        const char *until; /* NULL: not quiet */
        const char *why;
    } rows[] = {
        { 1260, 480, "2026-11-22T20:30:00+01:00", NULL, "before they begin" },
        { 1260, 480, "2026-11-22T21:00:00+01:00", "2026-11-23T08:00:00+01:00", "as they begin" },
        { 1260, 480, "2026-11-23T00:10:00+01:00", "2026-11-23T08:00:00+01:00", "after midnight" },
        { 1260, 480, "2026-11-23T08:00:00+01:00", NULL, "as they end" },
        { 720, 840, "2026-11-23T13:00:00+01:00", "2026-11-23T14:00:00+01:00", "within a day" },
        { 720, 840, "2026-11-23T14:00:00+01:00", NULL, "and after it" },
        { 1260, 480, "2026-03-28T22:00:00+01:00", "2026-03-29T08:00:00+02:00",
          "a night that is an hour shorter" },
        { 1260, 480, "2026-10-24T22:00:00+02:00", "2026-10-25T08:00:00+01:00",
          "a night that is an hour longer" },
        { 1260, 150, "2026-03-28T23:00:00+01:00", "2026-03-29T03:30:00+02:00",
          "an end that the clock skips moves on" },
        { 1260, 150, "2026-10-24T23:00:00+02:00", "2026-10-25T02:30:00+02:00",
          "of an end that comes twice the first" },
        { 1260, 150, "2026-10-25T02:10:00+01:00", NULL, "and then they are over" },
    };
    const struct zone *paris = instant_zone(PARIS);
    assert_non_null(paris);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct trigger_quiet quiet = { .is_set = true,
                                             .from_minute = rows[i].from,
                                             .to_minute = rows[i].to };
        int64_t until_ms = gates_quiet_until_ms(&quiet, paris, at(rows[i].at));
        int64_t expected_ms = rows[i].until != NULL ? at(rows[i].until) : INSTANT_NONE;
        assert_row(until_ms == expected_ms, rows[i].why);
    }
    const struct trigger_quiet none = { .is_set = false };
    assert_int_equal(gates_quiet_until_ms(&none, paris, 0), INSTANT_NONE);
}

static void holds_out_a_share_for_ever(void **state)
{
    (void)state;
    struct trigger trigger = { .holdout = 250000 };
    struct id workspace = ID_ZERO;
    struct id profile = ID_ZERO;
    size_t count = 0;
    for (unsigned i = 0; i < 4000; i++) {
        profile.bytes[14] = (uint8_t)(i >> 8);
        profile.bytes[15] = (uint8_t)i;
        bool is_held = gates_holds_out(&trigger, workspace, profile);
        count += is_held ? 1 : 0;
        trigger.holdout = 500000; /* who is in the smaller group is in the larger */
        assert_true(!is_held || gates_holds_out(&trigger, workspace, profile));
        trigger.holdout = 0;
        assert_false(gates_holds_out(&trigger, workspace, profile));
        trigger.holdout = 250000;
    }
    assert_in_range(count, 900, 1100);
}

static void the_first_gate_that_is_shut_says_why(void **state)
{
    (void)state;
    const int64_t now_ms = 1000 * INSTANT_HOUR_MS;
    const int64_t recent[] = { now_ms - 2 * INSTANT_HOUR_MS, now_ms - INSTANT_HOUR_MS };
    const struct rung rung = {
        .last_at_ms = recent[1], .count = 2, .recent = recent, .recent_count = 2
    };
    const struct rung none = rung_none();
    const struct {
        struct trigger trigger;
        const struct rung *seen;
        enum trigger_outcome outcome;
        const char *why;
    } rows[] = {
        { { .once = true }, &none, OUTCOME_NOTIFIED, "never before" },
        { { .once = true }, &rung, OUTCOME_COOLED_DOWN, "once" },
        { { .cooldown_ms = INSTANT_HOUR_MS, .cooldown_per = TRIGGER_PER_PROFILE },
          &rung,
          OUTCOME_NOTIFIED,
          "the very instant at which it is over" },
        { { .cooldown_ms = INSTANT_HOUR_MS + 1, .cooldown_per = TRIGGER_PER_PROFILE },
          &rung,
          OUTCOME_COOLED_DOWN,
          "a tick before" },
        { { .profile_cap = { 2, 2 * INSTANT_HOUR_MS } },
          &rung,
          OUTCOME_NOTIFIED,
          "the older one has left" },
        { { .profile_cap = { 2, 2 * INSTANT_HOUR_MS + 1 } },
          &rung,
          OUTCOME_CAPPED,
          "and is still there" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct gates_record record = { .profile = rows[i].seen };
        assert_row(gates_ask(&rows[i].trigger, &record, now_ms, false) == rows[i].outcome,
                   rows[i].why);
    }
    const struct gates_record record = { .profile = &none };
    assert_int_equal(gates_ask(&rows[0].trigger, &record, now_ms, true), OUTCOME_HELD_OUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_hours_end),
        cmocka_unit_test(holds_out_a_share_for_ever),
        cmocka_unit_test(the_first_gate_that_is_shut_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
