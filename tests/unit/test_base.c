#include "base/instant.h"
#include "core/profile/base.h"
#include "core/rule/ruleset.h"
#include "unit.h"

/*
 * What a base knows of the rules its facts were folded by. That folding changes
 * nothing else is test_retention's.
 */

enum {
    STEPS_MAX = 4
};

struct row {
    const char *why;
    struct base_step folds[STEPS_MAX]; /* ruleset_version 0 ends */
    struct base_step steps[STEPS_MAX];
};

static const struct row rows[] = {
    { "one", { { 3, 10 } }, { { 3, 10 } } },
    { "later facts by later rules", { { 3, 10 }, { 5, 20 } }, { { 3, 10 }, { 5, 20 } } },
    { "the same rules, further", { { 3, 10 }, { 3, 20 } }, { { 3, 20 } } },
    { "the same rules, late facts", { { 3, 20 }, { 3, 10 } }, { { 3, 20 } } },
    { "late facts by later rules say nothing new", { { 3, 20 }, { 5, 10 } }, { { 3, 20 } } },
    { "further by older rules: they know less", { { 5, 10 }, { 3, 20 } }, { { 3, 20 } } },
    { "between two", { { 3, 10 }, { 7, 30 }, { 5, 20 } }, { { 3, 10 }, { 5, 20 }, { 7, 30 } } },
    { "over the middle one", { { 3, 10 }, { 5, 20 }, { 4, 25 } }, { { 3, 10 }, { 4, 25 } } },
};

static void fold(struct arena *arena, struct profile_base *base, struct base_step step)
{
    const struct ruleset ruleset = { .version = step.ruleset_version };
    const struct event event = { .type = EVENT_PAGE_VIEWED,
                                 .name = STR("page.viewed"),
                                 .occurred_at_ms = step.before_ms - 1,
                                 .received_at_ms = step.before_ms };
    const struct base_facts facts = {
        .events = &event, .event_count = 1, .ruleset = &ruleset, .before_ms = step.before_ms
    };
    assert_true(base_fold(arena, base, &facts));
}

/* As it is read again: only what can be written is written. */
static struct profile_base stored(struct arena *arena, const struct profile_base *base)
{
    struct str bytes = { NULL, 0 };
    struct profile_base decoded = { .origin_id = base->origin_id };
    assert_true(base_encode(arena, base, &bytes));
    assert_true(base_decode(arena, bytes, &decoded));
    return decoded;
}

static void steps_are_a_staircase(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *arena = arena_create(1024 * 1024);
        struct profile_base base;
        size_t count = 0;
        base_init(&base, (struct id){ { 7 } });
        for (size_t k = 0; k < STEPS_MAX && rows[i].folds[k].ruleset_version > 0; k++) {
            fold(arena, &base, rows[i].folds[k]);
        }
        base = stored(arena, &base);
        for (; count < STEPS_MAX && rows[i].steps[count].ruleset_version > 0; count++) {
            const struct base_step *expected = &rows[i].steps[count];
            assert_row(base.steps[count].ruleset_version == expected->ruleset_version, rows[i].why);
            assert_row(base.steps[count].before_ms == expected->before_ms, rows[i].why);
        }
        assert_row(base.step_count == count, rows[i].why);
        arena_destroy(arena);
    }
}

/* At the limit each version is told apart; one past it the two oldest are not, and
 * what came between them is taken to know what only the newer of them does. */
static void too_many_steps_claim_less(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1024 * 1024);
    const struct feature second = { .version = 11 };
    const struct feature last = { .version = 9 + BASE_STEPS_MAX + 1 };
    struct profile_base base;
    base_init(&base, (struct id){ { 7 } });
    for (int64_t i = 1; i <= BASE_STEPS_MAX; i++) {
        fold(arena, &base, (struct base_step){ 9 + i, i * 100 });
    }
    assert_int_equal(base.step_count, BASE_STEPS_MAX);
    assert_int_equal(bases_complete_since(&base, 1, &second), 100);

    fold(arena, &base, (struct base_step){ 10 + BASE_STEPS_MAX, (BASE_STEPS_MAX + 1) * 100 });
    base = stored(arena, &base);
    assert_int_equal(base.step_count, BASE_STEPS_MAX);
    assert_int_equal(bases_complete_since(&base, 1, &second), 200);
    assert_int_equal(bases_complete_since(&base, 1, &last), BASE_STEPS_MAX * 100);
    assert_int_equal(bases_before(&base, 1), (BASE_STEPS_MAX + 1) * 100);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_a_staircase),
        cmocka_unit_test(too_many_steps_claim_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
