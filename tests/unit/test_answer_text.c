#include "deliver/answer_text.h"
#include "unit.h"

static void cleans(void **state)
{
    (void)state;
    const struct {
        struct str raw;
        size_t capacity;
        struct str clean;
        const char *why;
    } rows[] = {
        { { "", 0 }, 8, { "", 0 }, "nothing" },
        { STR("ok"), 8, STR("ok"), "text" },
        { STR("a\r\nb\tc"), 8, STR("a  b c"), "controls become spaces" },
        { STR("a\0b"), 8, STR("a b"), "PostgreSQL refuses NUL" },
        { STR("\x1b[2Jx"), 8, STR(" [2Jx"), "a terminal would clear its screen" },
        { STR("\x7f!"), 8, STR(" !"), "DEL" },
        { STR("\xc2\x9b!"), 8, STR(" !"), "C1 CSI is an escape too" },
        { STR("\xc2\xa0!"), 8, STR("\xc2\xa0!"), "the first after C1" },
        { STR("gr\xc3\xbc\xc3\x9f"), 8, STR("gr\xc3\xbc\xc3\x9f"), "two bytes" },
        { STR("\xe2\x82\xac"), 8, STR("\xe2\x82\xac"), "three bytes" },
        { STR("\xf0\x9f\x94\x94"), 8, STR("\xf0\x9f\x94\x94"), "four bytes" },
        { STR("\xff\xfe"), 8, STR("??"), "no UTF-8" },
        { STR("\xc0\xafx"), 8, STR("??x"), "overlong" },
        { STR("\xed\xa0\x80"), 8, STR("???"), "a surrogate" },
        { STR("\xe2\x82"), 8, STR("??"), "cut in the middle" },
        { STR("\x80\x80"), 8, STR("??"), "continuations alone" },
        { STR("\xf5\x80\x80\x80"), 8, STR("????"), "beyond Unicode" },
        { STR("12345678"), 8, STR("12345678"), "at the capacity" },
        { STR("123456789"), 8, STR("12345678"), "one past it" },
        { STR("1234567\xc3\xbc"), 8, STR("1234567"), "no half characters" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[16];
        size_t size = answer_text_clean(rows[i].raw, text, rows[i].capacity);
        assert_row(str_equal((struct str){ text, size }, rows[i].clean), rows[i].why);
    }
}

static void reads_retry_after(void **state)
{
    (void)state;
    const int64_t now_ms = INT64_C(1000000000000); /* Sun, 09 Sep 2001 01:46:40 GMT */
    static const struct {
        const char *value;
        int64_t wait_ms;
        const char *why;
    } rows[] = {
        { "", 0, "empty" },
        { "0", 0, "now" },
        { "120", 120000, "seconds" },
        { " 120 ", 120000, "blanks around" },
        { "86400", 86400000, "a day" },
        { "86401", 86400000, "more than a day" },
        { "18446744073709551615", 86400000, "as large as it gets" },
        { "18446744073709551616", 0, "larger" },
        { "-5", 0, "negative" },
        { "1.5", 0, "no integer" },
        { "soon", 0, "a word" },
        { "Sun, 09 Sep 2001 01:47:40 GMT", 60000, "a date in a minute" },
        { "Sun, 09 Sep 2001 01:46:40 GMT", 0, "this very second" },
        { "Sat, 08 Sep 2001 01:46:40 GMT", 0, "a date in the past" },
        { "Sun, 09 Sep 2035 01:46:40 GMT", 86400000, "a date far away" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t wait_ms = retry_after_parse(str_from_z(rows[i].value), now_ms);
        assert_row(wait_ms == rows[i].wait_ms, rows[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleans),
        cmocka_unit_test(reads_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
