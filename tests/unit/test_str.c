#include "base/arena.h"
#include "base/str.h"
#include "unit.h"

static void compares(void **state)
{
    (void)state;
    static const struct {
        struct str a;
        struct str b;
        int order;
        const char *why;
    } rows[] = {
        { { NULL, 0 }, { "", 0 }, 0, "both empty" },
        { { "a", 1 }, { "a", 1 }, 0, "same" },
        { { "a", 1 }, { "ab", 2 }, -1, "a prefix comes first" },
        { { "", 0 }, { "a", 1 }, -1, "nothing comes first" },
        { { "Z", 1 }, { "a", 1 }, -1, "by bytes, not by letters" },
        { { "a", 1 }, { "\xc3\xa9", 2 }, -1, "bytes are unsigned" },
        { { "a\0b", 3 }, { "a\0c", 3 }, -1, "a NUL is a byte" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(str_compare(rows[i].a, rows[i].b) == rows[i].order, rows[i].why);
        assert_row(str_compare(rows[i].b, rows[i].a) == -rows[i].order, rows[i].why);
        assert_row(str_equal(rows[i].a, rows[i].b) == (rows[i].order == 0), rows[i].why);
    }
    assert_true(str_equal_nocase(STR("X-Shopify"), STR("x-sHOPIFY")));
    assert_false(str_equal_nocase(STR("\xc3\x89"), STR("\xc3\xa9")));
    assert_false(str_equal_nocase(STR("["), STR("{")));
    assert_true(str_equal_z(STR(""), NULL));
    assert_false(str_equal_z(STR("a\0"), "a"));
}

static void takes_apart(void **state)
{
    (void)state;
    assert_true(str_starts_with(STR("sbk_1"), STR("sbk_")));
    assert_false(str_starts_with(STR("sb"), STR("sbk_")));
    assert_true(str_ends_with(STR("orders/create"), STR("/create")));
    assert_false(str_ends_with(STR("e"), STR("te")));
    assert_true(str_starts_with(STR("a"), STR("")) && str_ends_with(STR("a"), STR("")));
    assert_str_equal(str_trim(STR(" \t\r\n a b \v\f")), STR("a b"));
    assert_str_equal(str_trim(STR("  ")), STR(""));
    assert_str_equal(str_drop(STR("abc"), 1), STR("bc"));
    assert_str_equal(str_drop(STR("abc"), 4), STR(""));
    assert_str_equal(str_take(STR("abc"), 2), STR("ab"));
    assert_str_equal(str_take(STR("abc"), 4), STR("abc"));
    static const size_t whole[] = { 0, 1, 1, 1, 4, 5, 5 }; /* of "a", three bytes, "b" */
    for (size_t i = 0; i < ARRAY_COUNT(whole); i++) {
        assert_int_equal(str_take_text(STR("a\xe2\x82\xac"
                                           "b"),
                                       i)
                             .size,
                         whole[i]);
    }
    assert_str_equal(str_drop((struct str){ NULL, 0 }, 3), STR(""));
    assert_int_equal(str_find(STR("a.b.c"), '.', 0), 1);
    assert_int_equal(str_find(STR("a.b.c"), '.', 2), 3);
    assert_int_equal(str_find(STR("a.b.c"), '.', 4), -1);
    assert_int_equal(str_find(STR("a"), 'a', 9), -1);
    assert_int_equal(str_find((struct str){ NULL, 0 }, 'a', 0), -1);
}

static void splits(void **state)
{
    (void)state;
    struct str head = STR("before");
    struct str tail = STR("before");
    assert_false(str_split(STR("abc"), '=', &head, &tail));
    assert_str_equal(head, STR("before"));
    assert_true(str_split(STR("k=v=w"), '=', &head, &tail));
    assert_str_equal(head, STR("k"));
    assert_str_equal(tail, STR("v=w"));
    assert_true(str_split(STR("="), '=', &head, &tail));
    assert_int_equal(head.size + tail.size, 0);
    tail = STR("1,2,3");
    assert_true(str_split(tail, ',', &head, &tail));
    assert_str_equal(tail, STR("2,3"));
}

static void reads_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_unsigned;
        bool is_signed;
        int64_t value;
        const char *why;
    } rows[] = {
        { "0", true, true, 0, "zero" },
        { "007", true, true, 7, "leading zeros are digits" },
        { "9223372036854775807", true, true, INT64_MAX, "the largest" },
        { "9223372036854775808", true, false, INT64_MIN, "one past it" },
        { "18446744073709551615", true, false, -1, "the largest unsigned" },
        { "18446744073709551616", false, false, 0, "one past it" },
        { "99999999999999999999", false, false, 0, "overflow in the product" },
        { "-9223372036854775808", false, true, INT64_MIN, "the smallest" },
        { "-9223372036854775809", false, false, 0, "one past it" },
        { "-1", false, true, -1, "one sign" },
        { "-", false, false, 0, "a sign alone" },
        { "--1", false, false, 0, "two signs" },
        { "+1", false, false, 0, "plus" },
        { "", false, false, 0, "nothing" },
        { " 1", false, false, 0, "space" },
        { "1.0", false, false, 0, "fraction" },
        { "1e3", false, false, 0, "exponent" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t unsigned_value = 77;
        int64_t signed_value = 77;
        struct str text = str_from_z(rows[i].text);
        assert_row(str_to_u64(text, &unsigned_value) == rows[i].is_unsigned, rows[i].why);
        assert_row(str_to_i64(text, &signed_value) == rows[i].is_signed, rows[i].why);
        uint64_t wanted = rows[i].is_unsigned ? (uint64_t)rows[i].value : 77;
        assert_row(unsigned_value == wanted, rows[i].why);
        assert_row(signed_value == (rows[i].is_signed ? rows[i].value : 77), rows[i].why);
    }
}

static void knows_text(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        bool good;
        const char *why;
    } rows[] = {
        { { NULL, 0 }, true, "nothing" },
        { { "plain text of more than eight bytes", 35 }, true, "ASCII" },
        { { "\x01\x7f", 2 }, true, "controls" },
        { { "a\0b", 3 }, false, "NUL" },
        { { "12345678\0", 9 }, false, "NUL behind a word" },
        { { "1234\0"
            "678",
            8 },
          false,
          "NUL inside a word" },
        { { "\xc2\x80", 2 }, true, "first of two bytes" },
        { { "\xc1\xbf", 2 }, false, "overlong of two" },
        { { "\xe0\xa0\x80", 3 }, true, "first of three bytes" },
        { { "\xe0\x9f\xbf", 3 }, false, "overlong of three" },
        { { "\xed\x9f\xbf", 3 }, true, "last before the surrogates" },
        { { "\xed\xa0\x80", 3 }, false, "surrogate" },
        { { "\xee\x80\x80", 3 }, true, "first behind the surrogates" },
        { { "\xf0\x90\x80\x80", 4 }, true, "first of four bytes" },
        { { "\xf0\x8f\xbf\xbf", 4 }, false, "overlong of four" },
        { { "\xf4\x8f\xbf\xbf", 4 }, true, "U+10FFFF" },
        { { "\xf4\x90\x80\x80", 4 }, false, "one past it" },
        { { "\xf5\x80\x80\x80", 4 }, false, "no such lead" },
        { { "\x80", 1 }, false, "continuation alone" },
        { { "\xc3", 1 }, false, "cut after one of two" },
        { { "\xe2\x82", 2 }, false, "cut after two of three" },
        { { "\xf0\x9f\x94", 3 }, false, "cut after three of four" },
        { { "\xe2\x82\x41", 3 }, false, "third byte is not one" },
        { { "abcdefg\xc3\xa9hijklmnop", 18 }, true, "across the word's edge" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(str_is_text(rows[i].text) == rows[i].good, rows[i].why);
    }
}

/* Every two-byte text against the definition, whatever the fast path does. */
static void knows_all_pairs(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char bytes[10] = { 'x', 'x', 'x', (char)a, (char)b, 'x', 'x', 'x', 'x', 'x' };
            bool ascii = a > 0 && a < 0x80 && b > 0 && b < 0x80;
            bool pair = a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf;
            assert_int_equal(str_is_text((struct str){ bytes, sizeof(bytes) }), ascii || pair);
        }
    }
}

static void copies(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(128);
    char text[] = "Jane";
    struct str copy = str_dup(arena, str_from_z(text));
    const char *copy_z = str_dup_z(arena, str_take(str_from_z(text), 2));
    text[0] = 'j';
    assert_str_equal(copy, STR("Jane"));
    assert_string_equal(copy_z, "Ja");
    assert_str_equal(str_lower(arena, STR("J\xc3\x89.X")), STR("j\xc3\x89.x"));
    assert_str_equal(str_printf(arena, "%d of %s", 3, "5"), STR("3 of 5"));
    assert_int_equal(str_dup(arena, STR("")).size, 0);

    assert_null(str_dup(arena, (struct str){ text, SIZE_MAX }).data);
    assert_true(arena_is_full(arena));
    assert_null(str_printf(arena, "%0200d", 1).data);
    assert_null(str_dup_z(arena, STR("")));
    assert_null(str_lower(arena, STR("A")).data);
}

static void finds_the_nearest(void **state)
{
    (void)state;
    static const char *const names[] = { "subscribe", "configure", "read", "privacy" };
    static const struct {
        const char *word;
        const char *nearest;
        const char *why;
    } rows[] = {
        { "read", "read", "the same" },
        { "raed", NULL, "two of four is half" },
        { "rea", "read", "one missing" },
        { "subcsribe", "subscribe", "swapped letters are two edits" },
        { "privat", "privacy", "two edits of six" },
        { "config", NULL, "three edits of six is half" },
        { "konfigura", "configure", "two edits" },
        { "subscrip", "subscribe", "two edits of eight" },
        { "", NULL, "nothing is near nothing" },
        { "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL,
          "too long for a name" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *nearest = str_nearest(str_from_z(rows[i].word), names, ARRAY_COUNT(names));
        assert_row(str_equal_z(str_from_z(nearest), rows[i].nearest), rows[i].why);
    }
    assert_null(str_nearest(STR("read"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),   cmocka_unit_test(takes_apart),
        cmocka_unit_test(splits),     cmocka_unit_test(reads_numbers),
        cmocka_unit_test(knows_text), cmocka_unit_test(knows_all_pairs),
        cmocka_unit_test(copies),     cmocka_unit_test(finds_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
