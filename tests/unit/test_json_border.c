#include "base/limits.h"
#include "payload.h"

static void accepts_one_reading_only(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool read;
        const char *why;
    } rows[] = {
        { "{}", true, "an object" },
        { "[]", true, "an array" },
        { " {\"a\": [1, 2.5, \"x\", null, true]}\r\n", true, "white space around it" },
        { "", false, "nothing" },
        { "   ", false, "blank" },
        { "1", false, "a number alone" },
        { "\"x\"", false, "a string alone" },
        { "{\"a\":1", false, "cut off" },
        { "{\"a\":1}}", false, "more behind it" },
        { "{\"a\":1} {\"a\":2}", false, "two documents" },
        { "{\"a\":1,\"a\":2}", false, "a name twice" },
        { "{\"a\":{\"b\":1,\"b\":1}}", false, "a name twice, deeper, same value" },
        { "{\"a\":1,\"\\u0061\":2}", false, "a name twice, one escaped" },
        { "{\"a\":\"\\u0000\"}", false, "U+0000 in a string" },
        { "{\"\\u0000\":1}", false, "U+0000 in a name" },
        { "{\"a\":\"\\ud800\"}", false, "half a surrogate pair" },
        { "{\"a\":\"\\ud83d\\ude00\"}", true, "a surrogate pair" },
        { "{\"a\":\"\xff\"}", false, "no UTF-8" },
        { "{\"a\":\"\xc0\xaf\"}", false, "overlong UTF-8" },
        { "{\"a\":\"\xed\xa0\x80\"}", false, "a surrogate in UTF-8" },
        { "{\"a\":NaN}", false, "not a number" },
        { "{\"a\":01}", false, "a leading zero" },
        { "{\"a\":1e999}", false, "beyond a double" },
        { "{\"a\":9223372036854775807}", true, "the greatest integer" },
        { "{\"a\":9223372036854775808}", false, "one past it" },
        { "{'a':1}", false, "single quotes" },
        { "{\"a\":1,}", false, "a comma too many" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct problem problem = { .type = "" };
        json_t *tree = border_parse(str_from_z(rows[i].text), &problem);
        assert_row((tree != NULL) == rows[i].read, rows[i].why);
        assert_row(tree != NULL || strcmp(problem.type, "malformed-json") == 0, rows[i].why);
        border_free(tree);
    }
    /* A NUL byte is neither the end nor text. */
    struct problem problem;
    assert_null(border_parse((struct str){ "{}\0", 3 }, &problem));
}

static void bounds_depth(void **state)
{
    (void)state;
    char text[2 * 10000 + 1];
    struct problem problem;
    for (size_t depth = LIMIT_JSON_DEPTH; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct str body = { text, 2 * depth };
        json_t *tree = border_parse(body, &problem);
        assert_true((tree != NULL) == (depth == LIMIT_JSON_DEPTH));
        border_free(tree);
    }
    memset(text, '[', 10000);
    memset(text + 10000, ']', 10000);
    assert_true(border_is_too_deep((struct str){ text, 20000 }));
    assert_null(border_parse((struct str){ text, 20000 }, &problem));
    assert_false(border_is_too_deep(STR("{\"a\":\"[[[[[[[[\\\"[[[[\"}")));
    memset(text, '[', 100);
    text[0] = '"'; /* brackets within text are no depth */
    text[99] = '"';
    assert_false(border_is_too_deep((struct str){ text, 100 }));
}

static void reads_what_shops_vary(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1024u * 1024);
    struct problem problem;
    json_t *tree = border_parse(
        STR("{\"null\":null,\"empty\":\"\",\"list\":[],\"object\":{},\"text\":\" x \","
            "\"id\":820982911946154508,\"id_text\":\"820982911946154508\",\"zero\":0,"
            "\"zero_text\":\"0\",\"real\":1.5,\"full\":{\"a\":1},\"items\":[1],\"yes\":true,"
            "\"count\":\"12\",\"minus\":-3,\"least\":-9223372036854775808}"),
        &problem);
    assert_non_null(tree);
    static const char *const NOTHING[] = { "null", "empty", "list", "object", "absent" };
    for (size_t i = 0; i < ARRAY_COUNT(NOTHING); i++) {
        int64_t number = 7;
        assert_null(border_object(tree, NOTHING[i]));
        assert_null(border_array(tree, NOTHING[i]));
        assert_int_equal(border_text(tree, NOTHING[i]).size, 0);
        assert_int_equal(border_id(arena, tree, NOTHING[i]).size, 0);
        assert_false(border_money(tree, NOTHING[i], STR("EUR"), &number));
        assert_false(border_integer(tree, NOTHING[i], &number));
        assert_int_equal(number, 7);
        assert_true(border_instant(tree, NOTHING[i], NULL) == INSTANT_NONE);
    }
    assert_str_equal(border_text(tree, "text"), STR("x"));
    assert_str_equal(border_id(arena, tree, "id"), STR("820982911946154508"));
    assert_str_equal(border_id(arena, tree, "id_text"), STR("820982911946154508"));
    assert_str_equal(border_id(arena, tree, "minus"), STR("-3"));
    assert_str_equal(border_id(arena, tree, "least"), STR("-9223372036854775808"));
    assert_str_equal(border_scalar(arena, tree, "zero"), STR("0"));
    assert_int_equal(border_id(arena, tree, "zero").size, 0);
    assert_int_equal(border_id(arena, tree, "zero_text").size, 0);
    assert_int_equal(border_id(arena, tree, "real").size, 0);
    assert_non_null(border_object(tree, "full"));
    assert_null(border_object(tree, "items"));
    assert_non_null(border_array(tree, "items"));
    assert_null(border_array(tree, "full"));
    assert_true(border_is_true(tree, "yes"));
    assert_false(border_is_true(tree, "id"));
    int64_t number = 0;
    assert_true(border_integer(tree, "count", &number));
    assert_int_equal(number, 12);
    assert_true(border_integer(tree, "minus", &number));
    assert_int_equal(number, -3);
    assert_false(border_integer(tree, "real", &number));
    /* Nothing to look into is nothing found. */
    assert_int_equal(border_text(NULL, "a").size, 0);
    assert_null(border_object(NULL, "a"));
    border_free(tree);
    arena_destroy(arena);
}

static void reads_money_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *currency;
        bool read;
        int64_t minor;
        const char *why;
    } rows[] = {
        { "\"749.95\"", "EUR", true, 74995, "text" },
        { "\"0.0\"", "EUR", true, 0, "one decimal" },
        { "199", "EUR", true, 19900, "an integer" },
        { "3.5", "EUR", true, 350, "a real" },
        { "124.9", "EUR", true, 12490, "a real that no double holds" },
        { "0.1", "EUR", true, 10, "a real that no double holds" },
        { "1.005", "EUR", true, 101, "half a cent goes away from zero, as written" },
        { "-1.005", "EUR", true, -101, "and so below zero" },
        { "8.155", "EUR", true, 816, "the double lies below the half" },
        { "0.00001", "EUR", true, 0, "less than a cent" },
        { "1500", "JPY", true, 1500, "no decimals" },
        { "1500.5", "JPY", true, 1501, "decimals of a currency without" },
        { "1.2345", "KWD", true, 1235, "three decimals" },
        { "9999999999999.99", "EUR", true, INT64_C(999999999999999), "fifteen digits" },
        { "\"10000000000000.00\"", "EUR", true, BORDER_MONEY_MINOR_MAX, "the most" },
        { "\"10000000000000.01\"", "EUR", false, 0, "one cent more" },
        { "1e15", "EUR", false, 0, "a real beyond fifteen digits" },
        { "\"1e3\"", "EUR", false, 0, "an exponent in text" },
        { "\"12,50\"", "EUR", false, 0, "a comma" },
        { "\"abc\"", "EUR", false, 0, "no number" },
        { "true", "EUR", false, 0, "a boolean" },
        { "[]", "EUR", false, 0, "an empty list" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[64];
        struct problem problem;
        snprintf(text, sizeof(text), "{\"price\":%s}", rows[i].json);
        json_t *tree = border_parse(str_from_z(text), &problem);
        assert_non_null(tree);
        int64_t minor = 0;
        assert_row(border_money(tree, "price", str_from_z(rows[i].currency), &minor) ==
                       rows[i].read,
                   rows[i].why);
        assert_row(minor == rows[i].minor, rows[i].why);
        border_free(tree);
    }
    assert_true(border_money_add(BORDER_MONEY_MINOR_MAX, BORDER_MONEY_MINOR_MAX) ==
                BORDER_MONEY_MINOR_MAX);
    assert_true(border_money_add(-BORDER_MONEY_MINOR_MAX, -1) == -BORDER_MONEY_MINOR_MAX);
}

static void reads_dates_with_and_without_zone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *zone;
        const char *utc; /* NULL: no instant */
        const char *why;
    } rows[] = {
        { "2021-12-31T19:00:00-05:00", "Europe/Paris", "2022-01-01T00:00:00Z", "its own offset" },
        { "2023-12-11T04:44:14.751Z", NULL, "2023-12-11T04:44:14.751Z", "milliseconds" },
        { "2017-03-21T19:09:28", NULL, "2017-03-21T19:09:28Z", "no zone: UTC" },
        { "2017-03-21T16:09:28", "Europe/Paris", "2017-03-21T15:09:28Z", "local, winter" },
        { "2017-07-21T16:09:28", "Europe/Paris", "2017-07-21T14:09:28Z", "local, summer" },
        { "2017-03-21T16:09:28", "No/Where", "2017-03-21T16:09:28Z", "a zone that is none" },
        { "yesterday", NULL, NULL, "words" },
        { "2017-13-01T00:00:00Z", NULL, NULL, "a thirteenth month" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[128];
        struct problem problem;
        snprintf(text, sizeof(text), "{\"at\":\"%s\"}", rows[i].text);
        json_t *tree = border_parse(str_from_z(text), &problem);
        int64_t expected = rows[i].utc == NULL ? INSTANT_NONE : payload_ms(rows[i].utc);
        assert_row(border_instant(tree, "at", rows[i].zone) == expected, rows[i].why);
        border_free(tree);
    }
}

static void dumps_within_its_bound(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1024u * 1024);
    struct problem problem;
    json_t *tree =
        border_parse(STR("{\"a\": 124.9, \"b\": \"\\u00e9\\n\", \"c\": [1, null]}"), &problem);
    struct str text = STR("{\"a\":124.9,\"b\":\"\xc3\xa9\\n\",\"c\":[1,null]}");
    assert_str_equal(border_dump(arena, tree, text.size), text);
    assert_int_equal(border_dump(arena, tree, text.size - 1).size, 0);
    border_free(tree);
    arena_destroy(arena);
}

/* One that does not fit into the thread's region, one beside it, and a part that
 * is kept when its tree goes. */
static void trees_lie_side_by_side(void **state)
{
    (void)state;
    enum {
        ELEMENTS = 20000
    };
    static char text[3 * ELEMENTS + 1];
    struct problem problem;
    text[0] = '[';
    for (size_t i = 0; i < ELEMENTS; i++) { /* many are opened, none in another */
        memcpy(text + 1 + 3 * i, i + 1 < ELEMENTS ? "[]," : "[]]", 3);
    }
    json_t *large = border_parse((struct str){ text, 3 * ELEMENTS + 1 }, &problem);
    json_t *small = border_parse(STR("{\"a\":{\"b\":\"kept\"}}"), &problem);
    assert_int_equal(json_array_size(large), ELEMENTS);
    border_free(large);
    assert_str_equal(border_text(border_object(small, "a"), "b"), STR("kept"));
    json_t *part = json_incref(border_object(small, "a"));
    border_free(small);
    json_t *next = border_parse(STR("{\"c\":{\"d\":\"other\"}}"), &problem);
    assert_str_equal(border_text(part, "b"), STR("kept"));
    json_object_set_new(part, "b", json_string("new"));
    assert_str_equal(border_text(part, "b"), STR("new"));
    json_decref(part);
    assert_str_equal(border_text(border_object(next, "c"), "d"), STR("other"));
    border_free(next);
}

int main(void)
{
    border_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_one_reading_only),
        cmocka_unit_test(bounds_depth),
        cmocka_unit_test(reads_what_shops_vary),
        cmocka_unit_test(reads_money_exactly),
        cmocka_unit_test(reads_dates_with_and_without_zone),
        cmocka_unit_test(dumps_within_its_bound),
        cmocka_unit_test(trees_lie_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
