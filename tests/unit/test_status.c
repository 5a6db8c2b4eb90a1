#include "base/status.h"
#include "unit.h"

static void reports_what_was_said(void **state)
{
    (void)state;
    struct problem problem;
    enum status status =
        problem_set(&problem, STATUS_INVALID, "invalid-field", "%s is %d", "limit", 1001);
    assert_int_equal(status, STATUS_INVALID);
    assert_string_equal(problem.type, "invalid-field");
    assert_string_equal(problem.detail, "limit is 1001");
    assert_string_equal(problem.pointer, "");

    problem_point(&problem, "#/items/%d", 3);
    assert_string_equal(problem.pointer, "#/items/3");

    (void)problem_set(&problem, STATUS_RETRY, "busy", "x");
    assert_string_equal(problem.pointer, "");
}

static void takes_no_report(void **state)
{
    (void)state;
    assert_int_equal(problem_set(NULL, STATUS_BROKEN, "broken", "%d", 1), STATUS_BROKEN);
    problem_point(NULL, "#/%d", 1);
}

static void may_quote_itself(void **state)
{
    (void)state;
    struct problem problem;
    (void)problem_set(&problem, STATUS_INVALID, "a", "inner");
    (void)problem_set(&problem, STATUS_INVALID, "b", "outer: %s", problem.detail);
    assert_string_equal(problem.detail, "outer: inner");
}

static void cuts_between_characters(void **state)
{
    (void)state;
    static const struct {
        const char *character;
        const char *why;
    } rows[] = {
        { "x", "one byte" },
        { "\xc3\xa9", "two bytes" },
        { "\xe2\x82\xac", "three bytes" },
        { "\xf0\x9f\x94\x94", "four bytes" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t lead = 0; lead < 5; lead++) {
            char text[2048] = "aaaaa";
            size_t size = strlen(rows[i].character);
            for (size_t at = lead; at + size < sizeof(text); at += size) {
                memcpy(text + at, rows[i].character, size + 1);
            }
            struct problem problem;
            (void)problem_set(&problem, STATUS_INVALID, text, "%s", text);
            struct str detail = str_from_z(problem.detail);
            assert_row(str_is_text(detail), rows[i].why);
            assert_row(detail.size > PROBLEM_DETAIL_SIZE - 1 - size, rows[i].why);
            assert_row(str_starts_with(str_from_z(text), detail), rows[i].why);
            problem_point(&problem, "%s", text);
            assert_row(str_is_text(str_from_z(problem.pointer)), rows[i].why);
        }
    }
}

static void fits_to_the_last_byte(void **state)
{
    (void)state;
    char text[PROBLEM_DETAIL_SIZE + 1];
    memset(text, 'x', sizeof(text));
    text[PROBLEM_DETAIL_SIZE - 1] = '\0';
    struct problem problem;
    (void)problem_set(&problem, STATUS_INVALID, "a", "%s", text);
    assert_string_equal(problem.detail, text);
}

static void names_every_status(void **state)
{
    (void)state;
    static const char *const names[] = { "ok",       "invalid", "denied", "missing",
                                         "conflict", "limit",   "retry",  "broken" };
    for (int status = STATUS_OK; status <= STATUS_BROKEN; status++) {
        assert_string_equal(status_name((enum status)status), names[status]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_what_was_said), cmocka_unit_test(takes_no_report),
        cmocka_unit_test(may_quote_itself),      cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(fits_to_the_last_byte), cmocka_unit_test(names_every_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
