#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "http/target.h"
#include "unit.h"

static void targets_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *raw;
        enum target_verdict verdict;
        enum target_form form;
        const char *authority;
        const char *path;
        const char *query;
    } rows[] = {
        { "root", "/", TARGET_OK, TARGET_ORIGIN, "", "/", "" },
        { "path and query", "/v1/x?a=b&c", TARGET_OK, TARGET_ORIGIN, "", "/v1/x", "a=b&c" },
        { "a second ? is the query's", "/x?a?b", TARGET_OK, TARGET_ORIGIN, "", "/x", "a?b" },
        { "empty query", "/x?", TARGET_OK, TARGET_ORIGIN, "", "/x", "" },
        { "escapes stay in the path", "/a%2Fb", TARGET_OK, TARGET_ORIGIN, "", "/a%2Fb", "" },
        { "two slashes are a path", "//x", TARGET_OK, TARGET_ORIGIN, "", "//x", "" },
        { "dots are a path", "/v1/../x", TARGET_OK, TARGET_ORIGIN, "", "/v1/../x", "" },
        { "absolute", "http://a:80/x?y", TARGET_OK, TARGET_ABSOLUTE, "a:80", "/x", "y" },
        { "absolute, no path", "HTTPS://a", TARGET_OK, TARGET_ABSOLUTE, "a", "/", "" },
        { "absolute, query only", "http://a?y", TARGET_OK, TARGET_ABSOLUTE, "a", "/", "y" },
        { "asterisk", "*", TARGET_OK, TARGET_ASTERISK, "", "*", "" },
        { "empty", "", TARGET_MALFORMED, 0, "", "", "" },
        { "authority form", "a.example:443", TARGET_MALFORMED, 0, "", "", "" },
        { "absolute without host", "http:///x", TARGET_MALFORMED, 0, "", "", "" },
        { "another scheme", "file:///x", TARGET_MALFORMED, 0, "", "", "" },
        { "%00 in the path", "/a%00", TARGET_MALFORMED, 0, "", "", "" },
        { "%00 in the query", "/a?b=%00", TARGET_MALFORMED, 0, "", "", "" },
        { "escape cut at the end", "/a%4", TARGET_MALFORMED, 0, "", "", "" },
        { "escape of other letters", "/a%g1", TARGET_MALFORMED, 0, "", "", "" },
        { "tab", "/a\tb", TARGET_MALFORMED, 0, "", "", "" },
        { "space", "/a b", TARGET_MALFORMED, 0, "", "", "" },
        { "fragment", "/a#b", TARGET_MALFORMED, 0, "", "", "" },
        { "backslash", "\\a", TARGET_MALFORMED, 0, "", "", "" },
        { "DEL", "/\x7f", TARGET_MALFORMED, 0, "", "", "" },
        { "beyond ASCII", "/\xc3\xa9", TARGET_MALFORMED, 0, "", "", "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct target target = { .path = STR("untouched") };
        enum target_verdict verdict = target_parse(str_from_z(rows[i].raw), &target);
        assert_row(verdict == rows[i].verdict, rows[i].why);
        if (verdict != TARGET_OK) {
            assert_row(str_equal_z(target.path, "untouched"), rows[i].why);
            continue;
        }
        assert_row(target.form == rows[i].form, rows[i].why);
        assert_row(str_equal_z(target.authority, rows[i].authority), rows[i].why);
        assert_row(str_equal_z(target.path, rows[i].path), rows[i].why);
        assert_row(str_equal_z(target.query, rows[i].query), rows[i].why);
    }
}

static void length_is_limited(void **state)
{
    (void)state;
    static char raw[LIMIT_TARGET_BYTES + 1];
    struct target target;
    memset(raw, 'a', sizeof(raw));
    raw[0] = '/';
    assert_int_equal(target_parse((struct str){ raw, LIMIT_TARGET_BYTES }, &target), TARGET_OK);
    assert_int_equal(target_parse((struct str){ raw, LIMIT_TARGET_BYTES + 1 }, &target),
                     TARGET_TOO_LONG);
}

static void queries_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *query;
        size_t count;
        const char *name; /* of the last parameter */
        const char *value;
    } rows[] = {
        { "one", "a=b", 1, "a", "b" },
        { "two", "a=b&c=d", 2, "c", "d" },
        { "no value", "a", 1, "a", "" },
        { "= in the value", "a=b=c", 1, "a", "b=c" },
        { "empty pieces do not count", "&&a=b&", 1, "a", "b" },
        { "escapes", "filter=a%20%3D%20%22b%22", 1, "filter", "a = \"b\"" },
        { "plus is a space", "q=a+b", 1, "q", "a b" },
        { "an escaped plus is a plus", "t=10%2B01", 1, "t", "10+01" },
        { "names are decoded", "%61=b", 1, "a", "b" },
        { "no name", "=b", 1, "", "b" },
        { "nothing", "", 0, "", "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_destroy_at) struct arena *arena = arena_create(65536);
        const struct form_field *parameters = NULL;
        size_t count = 99;
        assert_row(target_parse_query(arena, str_from_z(rows[i].query), &parameters, &count) ==
                       TARGET_OK,
                   rows[i].why);
        assert_row(count == rows[i].count, rows[i].why);
        if (count > 0) {
            assert_row(str_equal_z(parameters[count - 1].name, rows[i].name), rows[i].why);
            assert_row(str_equal_z(parameters[count - 1].value, rows[i].value), rows[i].why);
        }
    }
}

static void parameters_are_limited(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(65536);
    char query[2 * LIMIT_QUERY_PARAMETERS + 2];
    const struct form_field *parameters = NULL;
    size_t count = 0;
    for (size_t i = 0; i <= LIMIT_QUERY_PARAMETERS; i++) {
        memcpy(query + 2 * i, "a&", 2);
    }
    assert_int_equal(target_parse_query(arena, (struct str){ query, 2 * LIMIT_QUERY_PARAMETERS },
                                        &parameters, &count),
                     TARGET_OK);
    assert_int_equal(count, LIMIT_QUERY_PARAMETERS);
    assert_int_equal(
        target_parse_query(arena, (struct str){ query, sizeof(query) }, &parameters, &count),
        TARGET_QUERY_TOO_MANY);
}

static void segments_are_decoded(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(65536);
    struct str text = { NULL, 0 };
    assert_true(target_decode_segment(arena, STR("a%2Fb+c"), &text));
    assert_str_equal(text, STR("a/b+c"));
    assert_false(target_decode_segment(arena, STR("a%00"), &text));
    assert_str_equal(text, STR("a/b+c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_cut),      cmocka_unit_test(length_is_limited),
        cmocka_unit_test(queries_are_decoded),  cmocka_unit_test(parameters_are_limited),
        cmocka_unit_test(segments_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
