#include "base/arena.h"
#include "core/rule/name.h"
#include "core/rule/value.h"
#include "unit.h"

enum {
    ARENA_BYTES = 1024 * 1024
};

static void parses_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t number;
        const char *why;
    } rows[] = {
        { "0", true, 0, "zero" },
        { "-0.0", true, 0, "minus zero" },
        { "12", true, 12000000, "whole" },
        { "-12.5", true, -12500000, "below zero" },
        { "0.000001", true, 1, "the smallest" },
        { "0.0000010000", true, 1, "zeros that say nothing" },
        { "0.0000001", false, 0, "one digit past it" },
        { "007.50", true, 7500000, "leading zeros" },
        { "1e3", true, 1000000000, "an exponent" },
        { "1.5E+2", true, 150000000, "with a sign" },
        { "15e-1", true, 1500000, "below zero" },
        { "1e-6", true, 1, "down to the smallest" },
        { "1e-7", false, 0, "and past it" },
        { "0e999999999999999999999", true, 0, "zero, however far" },
        { "1e999999999999999999999", false, 0, "too far" },
        { "1e-999999999999999999999", false, 0, "too near" },
        { "9223372036854.775807", true, INT64_MAX, "the largest" },
        { "9223372036854.775808", false, 0, "one past it" },
        { "-9223372036854.775808", true, INT64_MIN, "the least" },
        { "-9223372036854.775809", false, 0, "one past it, below" },
        { "99999999999999999999999", false, 0, "far past it" },
        { ".5", false, 0, "nothing before the point" },
        { "5.", false, 0, "nothing behind it" },
        { "1.2.3", false, 0, "two points" },
        { "+1", false, 0, "plus" },
        { "--1", false, 0, "two signs" },
        { "1e", false, 0, "an exponent without digits" },
        { "1e+", false, 0, "a sign without digits" },
        { "1e2.5", false, 0, "an exponent with a point" },
        { " 1", false, 0, "space" },
        { "1,5", false, 0, "comma" },
        { "NaN", false, 0, "no number" },
        { "-", false, 0, "sign alone" },
        { "", false, 0, "nothing" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t number = 77;
        bool good = rule_number_parse(str_from_z(rows[i].text), &number);
        assert_row(good == rows[i].good, rows[i].why);
        assert_row(number == (rows[i].good ? rows[i].number : 77), rows[i].why);
    }
}

static void formats_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t number;
        const char *text;
    } rows[] = {
        { 0, "0" },
        { 1, "0.000001" },
        { -1, "-0.000001" },
        { 100000, "0.1" },
        { 1000000, "1" },
        { 10000000, "10" },
        { -12500000, "-12.5" },
        { 66700000, "66.7" },
        { 1000001, "1.000001" },
        { INT64_MAX, "9223372036854.775807" },
        { INT64_MIN, "-9223372036854.775808" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[24];
        int64_t again = 0;
        size_t size = rule_number_format(rows[i].number, text);
        assert_str_equal(((struct str){ text, size }), str_from_z(rows[i].text));
        assert_true(rule_number_parse((struct str){ text, size }, &again));
        assert_int_equal(again, rows[i].number);
    }
}

static void divides(void **state)
{
    (void)state;
    static const struct {
        int64_t numerator;
        int64_t denominator;
        bool good;
        int64_t number;
        const char *why;
    } rows[] = {
        { 1, 3, true, 333333, "a third" },
        { 2, 3, true, 666667, "rounds up" },
        { -2, 3, true, -666667, "away from zero" },
        { 2, -3, true, -666667, "whichever side the sign is on" },
        { -2, -3, true, 666667, "or both" },
        { 1, 2000000, true, 1, "half goes away from zero" },
        { -1, 2000000, true, -1, "below zero too" },
        { 1, 2000001, true, 0, "less than half goes" },
        { 0, 5, true, 0, "nothing" },
        { 5, 0, false, 0, "by nothing" },
        { INT64_MAX, INT64_MAX, true, 1000000, "the largest by itself" },
        { INT64_MIN, INT64_MIN, true, 1000000, "the least by itself" },
        { INT64_MAX, INT64_MIN, true, -1000000, "nearly minus one" },
        { INT64_MAX, 1000000, true, INT64_MAX, "what just fits" },
        { INT64_MAX, 999999, false, 0, "what just does not" },
        { INT64_MAX, 1, false, 0, "far too large" },
        { 1, INT64_MIN, true, 0, "far too small" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t number = 77;
        bool good = rule_number_ratio(rows[i].numerator, rows[i].denominator, &number);
        assert_row(good == rows[i].good, rows[i].why);
        assert_row(number == (rows[i].good ? rows[i].number : 77), rows[i].why);
    }
}

static void takes_minor_units(void **state)
{
    (void)state;
    int64_t number = 0;
    assert_true(rule_number_from_minor(12490, 2, &number));
    assert_int_equal(number, 124900000);
    assert_true(rule_number_from_minor(-5, 0, &number));
    assert_int_equal(number, -5000000);
    assert_true(rule_number_from_minor(7, 6, &number));
    assert_int_equal(number, 7);
    assert_true(rule_number_from_minor(INT64_MAX / 10000, 2, &number));
    assert_false(rule_number_from_minor(INT64_MAX / 10000 + 1, 2, &number));
}

static void reads_json_texts(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text; /* NULL: null */
        const char *why;
    } rows[] = {
        { "\"\"", "", "empty" },
        { " \"a b\"\n", "a b", "space around" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", "short escapes" },
        { "\"\\u0041\\u00e9\\u20AC\"", "A\u00e9\u20ac", "one, two and three bytes" },
        { "\"\\ud83d\\ude00\"", "\U0001f600", "a pair" },
        { "\"\\ud83dx\"", "\ufffdx", "half a pair" },
        { "\"\\ud83d\\u0041\"", "\ufffdA", "half a pair and another" },
        { "\"\\ude00\"", "\ufffd", "the other half" },
        { "\"\\u0000\"", "\ufffd", "no NUL" },
        { "\"\\ud83d\\ud83d\\ude00\"", "\ufffd\U0001f600", "half a pair and a pair" },
        { "\"a", NULL, "not closed" },
        { "\"a\\", NULL, "ends within an escape" },
        { "\"a\\\"", NULL, "its quote is escaped" },
        { "\"\\x\"", NULL, "no such escape" },
        { "\"\\u12\"", NULL, "two digits" },
        { "\"\\u12g4\"", NULL, "no digit" },
        { "\"a\"b", NULL, "more behind it" },
        { "\"a\" \"b\"", NULL, "two" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *arena = arena_create(ARENA_BYTES);
        struct rule_value value = rule_value_from_json(arena, str_from_z(rows[i].json));
        assert_row((value.type == RULE_TEXT) == (rows[i].text != NULL), rows[i].why);
        if (rows[i].text != NULL) {
            assert_str_equal(value.text, str_from_z(rows[i].text));
            assert_row(str_is_text(value.text), rows[i].why);
        }
        arena_destroy(arena);
    }
}

static void borrows_plain_texts(void **state)
{
    (void)state;
    struct arena *arena = arena_create(ARENA_BYTES);
    struct str json = STR("\"plain\"");
    struct rule_value value = rule_value_from_json(arena, json);
    assert_ptr_equal(value.text.data, json.data + 1);
    assert_int_equal(arena_used_bytes(arena), 0);
    arena_destroy(arena);
}

static void reads_json_scalars(void **state)
{
    (void)state;
    struct arena *arena = arena_create(ARENA_BYTES);
    static const struct {
        const char *json;
        enum rule_type type;
        int64_t number;
        const char *why;
    } rows[] = {
        { "12.5", RULE_NUMBER, 12500000, "a number" },
        { "1.0000005", RULE_NUMBER, 1000001, "more digits are rounded" },
        { "-1.0000005", RULE_NUMBER, -1000001, "away from zero" },
        { "1.00000049", RULE_NUMBER, 1000000, "less than half goes" },
        { "1e-9", RULE_NUMBER, 0, "down to nothing" },
        { "1e20", RULE_NULL, 0, "too large" },
        { "true", RULE_BOOL, 0, "true" },
        { "null", RULE_NULL, 0, "null" },
        { "{\"a\": 1}", RULE_NULL, 0, "an object" },
        { "tru", RULE_NULL, 0, "half a word" },
        { "1 2", RULE_NULL, 0, "two numbers" },
        { "", RULE_NULL, 0, "nothing" },
        { "  ", RULE_NULL, 0, "space" },
        { "]", RULE_NULL, 0, "closes what is not open" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rule_value value = rule_value_from_json(arena, str_from_z(rows[i].json));
        assert_row(value.type == rows[i].type, rows[i].why);
        assert_row(value.type != RULE_NUMBER || value.number == rows[i].number, rows[i].why);
    }
    assert_true(rule_value_from_json(arena, STR("true")).boolean);
    assert_false(rule_value_from_json(arena, STR("false")).boolean);
    arena_destroy(arena);
}

static void reads_json_lists(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        size_t count;
        const char *why;
    } rows[] = {
        { "[]", 0, "empty" },
        { "[ ]", 0, "empty with a space" },
        { "[\"a\"]", 1, "one" },
        { " [ \"a\" , 2 ,true ] ", 3, "three kinds" },
        { "[null, {\"a\": \"]\"}, [1, 2], \"x\"]", 1, "what is no scalar is left out" },
        { "[\"a]\\\"\", \"b\"]", 2, "brackets and quotes within texts" },
        { "[1,,2]", 1, "malformed: what came before" },
        { "[1, 1e99, 3]", 2, "what does not fit is left out" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *arena = arena_create(ARENA_BYTES);
        struct rule_value value = rule_value_from_json(arena, str_from_z(rows[i].json));
        assert_row(value.type == RULE_LIST, rows[i].why);
        assert_row(value.list.count == rows[i].count, rows[i].why);
        arena_destroy(arena);
    }
    struct arena *arena = arena_create(ARENA_BYTES);
    assert_int_equal(rule_value_from_json(arena, STR("[1, 2")).type, RULE_NULL);
    static char many[2 * 300 + 2];
    many[0] = '[';
    for (size_t i = 0; i < 300; i++) {
        many[1 + 2 * i] = '7';
        many[2 + 2 * i] = ',';
    }
    many[600] = ']';
    struct rule_value value = rule_value_from_json(arena, (struct str){ many, 601 });
    assert_int_equal(value.list.count, RULE_LIST_ITEMS_MAX);
    arena_destroy(arena);
}

static void full_arena_gives_null(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1);
    assert_int_equal(rule_value_from_json(arena, STR("\"a\\nb\"")).type, RULE_NULL);
    assert_int_equal(rule_value_from_json(arena, STR("[1]")).type, RULE_NULL);
    struct rule_value number = { .type = RULE_NUMBER, .number = 5 };
    assert_int_equal(rule_value_as(arena, number, RULE_TEXT).type, RULE_NULL);
    arena_destroy(arena);
}

static struct rule_value text_value(const char *text)
{
    return (struct rule_value){ .type = RULE_TEXT, .text = str_from_z(text) };
}

static void converts(void **state)
{
    (void)state;
    struct arena *arena = arena_create(ARENA_BYTES);
    assert_int_equal(rule_value_as(arena, text_value("12.5"), RULE_NUMBER).number, 12500000);
    assert_int_equal(rule_value_as(arena, text_value("12,5"), RULE_NUMBER).type, RULE_NULL);
    assert_int_equal(rule_value_as(arena, text_value("1970-01-02"), RULE_DATE).days, 1);
    assert_int_equal(rule_value_as(arena, text_value("1969-12-31"), RULE_DATE).days, -1);
    assert_int_equal(rule_value_as(arena, text_value("1970-02-30"), RULE_DATE).type, RULE_NULL);
    assert_int_equal(rule_value_as(arena, text_value("1970-01-02T00:00:00Z"), RULE_DATE).type,
                     RULE_NULL);
    assert_int_equal(rule_value_as(arena, text_value("1970-01-02"), RULE_INSTANT).ms, 86400000);
    assert_int_equal(
        rule_value_as(arena, text_value("1970-01-01T01:00:00.5+01:00"), RULE_INSTANT).ms, 500);
    assert_int_equal(rule_value_as(arena, text_value("1970-01-01T01:00:00"), RULE_INSTANT).type,
                     RULE_NULL);
    struct rule_value number = { .type = RULE_NUMBER, .number = -1500000 };
    assert_str_equal(rule_value_as(arena, number, RULE_TEXT).text, STR("-1.5"));
    assert_int_equal(rule_value_as(arena, number, RULE_BOOL).type, RULE_NULL);
    assert_int_equal(rule_value_as(arena, text_value("true"), RULE_BOOL).type, RULE_NULL);
    assert_int_equal(rule_value_as(arena, text_value("3d"), RULE_DURATION).type, RULE_NULL);
    struct rule_value date = { .type = RULE_DATE, .days = 2 };
    assert_int_equal(rule_value_as(arena, date, RULE_INSTANT).ms, 2 * 86400000);
    assert_int_equal(rule_value_as(arena, date, RULE_DATE).days, 2);
    assert_int_equal(rule_value_as(arena, RULE_VALUE_NULL, RULE_TEXT).type, RULE_NULL);
    arena_destroy(arena);
}

static void compares(void **state)
{
    (void)state;
    int order = 7;
    struct rule_value one = { .type = RULE_NUMBER, .number = 1 };
    struct rule_value two = { .type = RULE_NUMBER, .number = 2 };
    struct rule_value instant = { .type = RULE_INSTANT, .ms = 1 };
    struct rule_value truth = { .type = RULE_BOOL, .boolean = true };
    assert_true(rule_value_equal(one, one));
    assert_false(rule_value_equal(one, two));
    assert_false(rule_value_equal(one, instant));
    assert_true(rule_value_equal(truth, truth));
    assert_false(rule_value_equal(RULE_VALUE_NULL, RULE_VALUE_NULL)); /* correctness 23 */
    assert_true(rule_value_compare(one, two, &order) && order < 0);
    assert_true(rule_value_compare(two, one, &order) && order > 0);
    assert_true(rule_value_compare(one, one, &order) && order == 0);
    assert_true(rule_value_compare(text_value("B"), text_value("a"), &order) && order < 0);
    assert_false(rule_value_compare(one, instant, &order));
    assert_false(rule_value_compare(truth, truth, &order));
    assert_false(rule_value_compare(RULE_VALUE_NULL, RULE_VALUE_NULL, &order));

    const struct rule_value items[] = { one, two };
    struct rule_value list = { .type = RULE_LIST, .list = { items, 2 } };
    struct rule_value shorter = { .type = RULE_LIST, .list = { items, 1 } };
    assert_true(rule_value_equal(list, list));
    assert_false(rule_value_equal(list, shorter));
    assert_false(rule_value_compare(list, list, &order));
}

static void every_attribute_has_a_name(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct rule_name_info *info = rule_name_at(0); info != NULL;
         info = rule_name_at(++count)) {
        assert_row(info->attribute == (enum rule_attribute)(count + 1), info->path);
        assert_row(rule_name_info(info->attribute) == info, info->path);
        assert_row(info->title[0] != '\0' && info->part < RULE_PART_COUNT, info->path);
        struct rule_name name = { 0 };
        const char *nearest = NULL;
        bool is_open = str_find(str_from_z(info->path), '<', 0) >= 0;
        struct str path = str_from_z(info->path);
        bool is_told = (1u << info->part & RULE_PARTS_TOLD) != 0;
        bool is_found = info->part == RULE_PART_INTEREST
                            ? rule_name_resolve_interest(path, &name, &nearest)
                        : is_told ? rule_name_resolve_told(path, &name, &nearest)
                                  : rule_name_resolve(path, &name, &nearest);
        assert_row(is_open || is_found, info->path);
        assert_row(is_open || name.attribute == info->attribute, info->path);
    }
    assert_int_equal(count, RULE_ATTRIBUTE_COUNT - 1);
    assert_null(rule_name_info(RULE_ATTRIBUTE_NONE));
}

static void resolves_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum rule_attribute attribute; /* NONE: there is none */
        const char *key;               /* or the nearest name; NULL */
    } rows[] = {
        { "orders.count", RULE_ORDERS_COUNT, "" },
        { "profile.orders.count", RULE_ORDERS_COUNT, "" },
        { "traits.loyalty_tier", RULE_TRAIT, "loyalty_tier" },
        { "profile.traits.a.b", RULE_TRAIT, "a.b" },
        { "tiers.basket", RULE_TIER, "basket" },
        { "preferences.interests", RULE_PREFERENCE, "interests" },
        { "consent.email", RULE_CONSENT, "email" },
        { "consent.mail", RULE_ATTRIBUTE_NONE, "consent.email" },
        { "consent.<channel>", RULE_ATTRIBUTE_NONE, NULL },
        { "order.count", RULE_ATTRIBUTE_NONE, "orders.count" },
        { "country", RULE_ATTRIBUTE_NONE, "traits.country" },
        { "items_count", RULE_ATTRIBUTE_NONE, "cart.items_count" },
        { "trait.vip", RULE_ATTRIBUTE_NONE, "traits.<key>" },
        { "traits.", RULE_ATTRIBUTE_NONE, NULL },
        { "profile", RULE_ATTRIBUTE_NONE, NULL },
        { "", RULE_ATTRIBUTE_NONE, NULL },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rule_name name = { 0 };
        const char *nearest = NULL;
        bool good = rule_name_resolve(str_from_z(rows[i].path), &name, &nearest);
        assert_row(good == (rows[i].attribute != RULE_ATTRIBUTE_NONE), rows[i].path);
        if (good) {
            assert_row(name.attribute == rows[i].attribute, rows[i].path);
            assert_str_equal(name.key, str_from_z(rows[i].key));
        } else if (rows[i].key != NULL) {
            assert_row(nearest != NULL, rows[i].path);
            assert_string_equal(nearest, rows[i].key);
        }
    }
}

static void knows_kinds_and_properties(void **state)
{
    (void)state;
    for (int kind = RULE_KIND_TAG; kind <= RULE_KIND_TIER; kind++) {
        const char *name = rule_kind_name((enum rule_kind)kind);
        assert_int_equal(rule_kind_from_name(str_from_z(name)), kind);
    }
    assert_int_equal(rule_kind_from_name(STR("tags")), 0);
    assert_int_equal(rule_kind_from_name(STR("")), 0);
    assert_int_equal(rule_property_type(STR("price")), RULE_NUMBER);
    assert_int_equal(rule_property_type(STR("category")), RULE_TEXT);
    assert_int_equal(rule_property_type(STR("in_stock")), RULE_BOOL);
    assert_int_equal(rule_property_type(STR("occurred_at")), RULE_INSTANT);
    assert_int_equal(rule_property_type(STR("color")), RULE_NULL);
    assert_int_equal(rule_property_type(STR("products.price")), RULE_NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_numbers),
        cmocka_unit_test(formats_numbers),
        cmocka_unit_test(divides),
        cmocka_unit_test(takes_minor_units),
        cmocka_unit_test(reads_json_texts),
        cmocka_unit_test(borrows_plain_texts),
        cmocka_unit_test(reads_json_scalars),
        cmocka_unit_test(reads_json_lists),
        cmocka_unit_test(full_arena_gives_null),
        cmocka_unit_test(converts),
        cmocka_unit_test(compares),
        cmocka_unit_test(every_attribute_has_a_name),
        cmocka_unit_test(resolves_names),
        cmocka_unit_test(knows_kinds_and_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
