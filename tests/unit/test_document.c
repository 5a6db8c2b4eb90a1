#include <string.h>

#include "api/document.h"
#include "base/arena.h"
#include "base/instant.h"
#include "base/limits.h"
#include "unit.h"

/* RFC 7396, appendix A, as far as both sides are objects. */
static void test_merge_patch(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        const char *patch;
        const char *result;
    } ROWS[] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
        { "{\"a\":1}", "", "{\"a\":1}" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct arena *arena = arena_create(1 << 20);
        struct problem problem;
        struct str result = { NULL, 0 };
        assert_int_equal(document_merge_patch(arena, str_from_z(ROWS[i].target),
                                              str_from_z(ROWS[i].patch), &result, &problem),
                         STATUS_OK);
        assert_row(str_equal(result, str_from_z(ROWS[i].result)), ROWS[i].patch);
        arena_destroy(arena);
    }
}

static void test_what_is_no_document(void **state)
{
    (void)state;
    static const char *const ROWS[] = { "[1]",
                                        "\"a\"",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"a\":1} x",
                                        "{\"a\":\"\\u0000\"}",
                                        "{\"a\":\"\xff\"}",
                                        "{" };
    struct arena *arena = arena_create(1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct document document;
        struct problem problem;
        assert_row(document_open(&document, arena, str_from_z(ROWS[i]), &problem) == STATUS_INVALID,
                   ROWS[i]);
        assert_string_equal(problem.type, "malformed-json");
    }
    arena_destroy(arena);
}

static void test_depth_at_the_limit_and_one_past_it(void **state)
{
    (void)state;
    char text[2 * LIMIT_JSON_DEPTH + 8];
    for (size_t depth = LIMIT_JSON_DEPTH; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(document_is_shallow((struct str){ text, 2 * depth }),
                         depth == LIMIT_JSON_DEPTH);
    }
    memset(text, '[', sizeof(text));
    text[0] = '"';
    assert_true(document_is_shallow((struct str){ text, sizeof(text) }));
}

static void test_the_first_fault_sticks(void **state)
{
    (void)state;
    static const char *const KNOWN[] = { "name", "title", "count", "wait", "at" };
    static const struct {
        const char *why;
        const char *json;
        const char *type; /* empty: fine */
        const char *pointer;
    } ROWS[] = {
        { "all there",
          "{\"name\":\"a_1\",\"count\":3,\"wait\":\"2s\",\"at\":\"2026-11-22T00:00:00Z\"}", "",
          "" },
        { "null is absent", "{\"name\":\"a\",\"count\":null}", "", "" },
        { "an unknown member", "{\"name\":\"a\",\"titel\":\"x\"}", "unknown-field", "#/titel" },
        { "a needed one is missing", "{}", "invalid-field", "#/name" },
        { "a name with a capital", "{\"name\":\"A\"}", "invalid-field", "#/name" },
        { "a name that begins with a digit", "{\"name\":\"1a\"}", "invalid-field", "#/name" },
        { "a number over its range", "{\"name\":\"a\",\"count\":11}", "invalid-field", "#/count" },
        { "a number that is text", "{\"name\":\"a\",\"count\":\"3\"}", "invalid-field", "#/count" },
        { "a duration without unit", "{\"name\":\"a\",\"wait\":\"2\"}", "invalid-field", "#/wait" },
        { "a duration out of range", "{\"name\":\"a\",\"wait\":\"2h\"}", "invalid-field",
          "#/wait" },
        { "an instant without offset", "{\"name\":\"a\",\"at\":\"2026-11-22T00:00:00\"}",
          "invalid-field", "#/at" },
        { "two faults: the first is told", "{\"count\":99,\"wait\":7}", "invalid-field", "#/name" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct arena *arena = arena_create(1 << 20);
        struct problem problem = { .type = "" };
        struct document document;
        assert_int_equal(document_open(&document, arena, str_from_z(ROWS[i].json), &problem),
                         STATUS_OK);
        document_allow(&document, KNOWN, ARRAY_COUNT(KNOWN));
        (void)document_name(&document, "name");
        (void)document_i64(&document, "count", 1, 1, 10);
        (void)document_duration(&document, "wait", 0, 0, INSTANT_MINUTE_MS);
        (void)document_instant(&document, "at");
        assert_row(strcmp(problem.type, ROWS[i].type) == 0, ROWS[i].why);
        assert_row(strcmp(problem.pointer, ROWS[i].pointer) == 0, ROWS[i].why);
        assert_row((document.status == STATUS_OK) == (ROWS[i].type[0] == '\0'), ROWS[i].why);
        document_close(&document);
        arena_destroy(arena);
    }
}

static void test_hundredths(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *json;
        int64_t expected; /* -1: refused */
    } ROWS[] = {
        { "absent", "{}", 7 },
        { "whole", "{\"n\":3}", 300 },
        { "what no double is exactly", "{\"n\":0.07}", 7 },
        { "the greatest that is allowed", "{\"n\":100}", 10000 },
        { "one past it", "{\"n\":100.01}", -1 },
        { "less than nothing", "{\"n\":-0.01}", -1 },
        { "a third decimal", "{\"n\":1.005}", -1 },
        { "text", "{\"n\":\"1\"}", -1 },
        { "huge", "{\"n\":1e300}", -1 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct arena *arena = arena_create(1 << 20);
        struct problem problem = { .type = "" };
        struct document document;
        assert_int_equal(document_open(&document, arena, str_from_z(ROWS[i].json), &problem),
                         STATUS_OK);
        int64_t number = document_hundredths(&document, "n", 7, 10000);
        assert_row((document.status == STATUS_OK) == (ROWS[i].expected >= 0), ROWS[i].why);
        assert_row(ROWS[i].expected < 0 || number == ROWS[i].expected, ROWS[i].why);
        document_close(&document);
        arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge_patch),
        cmocka_unit_test(test_what_is_no_document),
        cmocka_unit_test(test_depth_at_the_limit_and_one_past_it),
        cmocka_unit_test(test_the_first_fault_sticks),
        cmocka_unit_test(test_hundredths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
