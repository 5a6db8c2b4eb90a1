#include "base/arena.h"
#include "base/buf.h"
#include "unit.h"

static void writes_what_it_is_given(void **state)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(65536);
    (void)state;
    for (int from_arena = 0; from_arena < 2; from_arena++) {
        struct buf buf;
        buf_init(&buf, from_arena ? arena : NULL, 4096);
        buf_add(&buf, NULL, 0);
        buf_add_str(&buf, STR("one "));
        buf_add_z(&buf, "two ");
        buf_add_char(&buf, '3');
        buf_printf(&buf, "%s", "");
        buf_printf(&buf, " %d%%", 45);
        assert_str_equal(buf_str(&buf), STR("one two 3 45%"));
        buf_reset(&buf);
        assert_int_equal(buf_str(&buf).size, 0);
        buf_finish(&buf);
        buf_finish(&buf);
    }
}

static void writes_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        { 0, "0" },
        { 9, "9" },
        { 10, "10" },
        { -1, "-1" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(buf_finish) struct buf buf;
        buf_init(&buf, NULL, 32);
        buf_add_i64(&buf, rows[i].value);
        assert_str_equal(buf_str(&buf), str_from_z(rows[i].text));
    }
}

static void grows_to_its_maximum_and_not_past(void **state)
{
    (void)state;
    static const size_t maxima[] = { 0, 1, 255, 256, 257, 1000, 70000 };
    for (size_t i = 0; i < ARRAY_COUNT(maxima); i++) {
        CLEANUP(buf_finish) struct buf buf;
        buf_init(&buf, NULL, maxima[i]);
        for (size_t at = 0; at < maxima[i]; at++) {
            buf_add_char(&buf, (char)('a' + at % 26));
        }
        assert_false(buf.failed);
        struct str text = buf_str(&buf);
        assert_int_equal(text.size, maxima[i]);
        for (size_t at = 0; at < maxima[i]; at++) {
            assert_int_equal(text.data[at], 'a' + at % 26);
        }
        buf_add_char(&buf, 'x');
        assert_true(buf.failed);
        assert_int_equal(buf_str(&buf).size, 0);
    }
}

static void stays_failed(void **state)
{
    (void)state;
    CLEANUP(buf_finish) struct buf buf;
    buf_init(&buf, NULL, 4);
    buf_add_z(&buf, "abc");
    buf_add_z(&buf, "de");
    buf_add_char(&buf, 'd');
    assert_true(buf.failed);
    assert_int_equal(buf.size, 3);
    assert_int_equal(buf_str(&buf).size, 0);
    buf_reset(&buf);
    buf_add_z(&buf, "abcd");
    assert_str_equal(buf_str(&buf), STR("abcd"));
}

static void prints_into_the_last_byte(void **state)
{
    (void)state;
    CLEANUP(buf_finish) struct buf buf;
    buf_init(&buf, NULL, 5);
    buf_printf(&buf, "%s", "12345");
    assert_str_equal(buf_str(&buf), STR("12345"));
    buf_printf(&buf, "%d", 6);
    assert_true(buf.failed);
}

static void fails_with_its_arena(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024);
    struct buf buf;
    buf_init(&buf, arena, 100000);
    for (int i = 0; i < 2000; i++) {
        buf_add_char(&buf, 'x');
    }
    assert_true(buf.failed);
    assert_true(arena_is_full(arena));
}

static void refuses_sizes_that_overflow(void **state)
{
    (void)state;
    CLEANUP(buf_finish) struct buf buf;
    buf_init(&buf, NULL, SIZE_MAX - 1);
    buf_add_z(&buf, "abc");
    assert_false(buf_reserve(&buf, SIZE_MAX - 2));
    assert_true(buf.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_is_given),           cmocka_unit_test(writes_numbers),
        cmocka_unit_test(grows_to_its_maximum_and_not_past), cmocka_unit_test(stays_failed),
        cmocka_unit_test(prints_into_the_last_byte),         cmocka_unit_test(fails_with_its_arena),
        cmocka_unit_test(refuses_sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
