#include "base/clock.h"
#include "base/id.h"
#include "unit.h"

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        const char *why;
    } rows[] = {
        { "0199d2a0-1111-7222-8333-444455556666", true, "lower case" },
        { "0199D2A0-1111-7222-8333-44445555ABCD", true, "upper case" },
        { "ffffffff-ffff-ffff-ffff-ffffffffffff", true, "any version" },
        { "0199d2a0-1111-7222-8333-44445555666", false, "too short" },
        { "0199d2a0-1111-7222-8333-4444555566666", false, "too long" },
        { "0199d2a01111-7222-8333-444455556666-", false, "dashes elsewhere" },
        { "0199d2a0111172228333444455556666", false, "no dashes" },
        { "{199d2a0-1111-7222-8333-44445555666}", false, "braces" },
        { "g199d2a0-1111-7222-8333-444455556666", false, "no digit" },
        { "0199d2a0-1111-7222-8333-44445555666 ", false, "space" },
        { "", false, "nothing" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct id id = ID_ZERO;
        assert_row(id_parse(str_from_z(rows[i].text), &id) == rows[i].good, rows[i].why);
        assert_row(id_is_zero(id) == !rows[i].good, rows[i].why);
        if (rows[i].good) {
            char text[ID_TEXT_SIZE];
            id_format(id, text);
            assert_row(str_equal_nocase(str_from_z(text), str_from_z(rows[i].text)), rows[i].why);
        }
    }
}

static void orders_by_bytes(void **state)
{
    (void)state;
    struct id low = ID_ZERO;
    struct id high = ID_ZERO;
    high.bytes[0] = 0x80;
    low.bytes[0] = 0x7f;
    low.bytes[15] = 0xff;
    assert_int_equal(id_compare(low, high), -1);
    assert_int_equal(id_compare(high, low), 1);
    assert_int_equal(id_compare(low, low), 0);
    assert_true(id_equal(low, low));
    assert_false(id_equal(low, high));
}

static void is_of_its_time(void **state)
{
    (void)state;
    static const uint8_t ones[10] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
    static const uint8_t zeros[10] = { 0 };
    char text[ID_TEXT_SIZE];
    /* The example of RFC 9562, appendix A.6, begins 017f22e2-79b0-7. */
    id_format(id_from_time(0x017f22e279b0, ones), text);
    assert_string_equal(text, "017f22e2-79b0-7fff-bfff-ffffffffffff");
    id_format(id_from_time(0x017f22e279b0, zeros), text);
    assert_string_equal(text, "017f22e2-79b0-7000-8000-000000000000");
    assert_int_equal(id_compare(id_from_time(1000, ones), id_from_time(1001, zeros)), -1);
}

static void is_new_each_time(void **state)
{
    (void)state;
    int64_t before_ms = clock_now_ms();
    struct id last = ID_ZERO;
    for (int i = 0; i < 1000; i++) {
        struct id id = id_create();
        assert_false(id_equal(id, last));
        assert_int_equal(id.bytes[6] >> 4, 7);
        assert_int_equal(id.bytes[8] >> 6, 2);
        last = id;
    }
    int64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | last.bytes[i];
    }
    assert_in_range(ms, before_ms, clock_now_ms());
}

static struct id hash_of(const char *purpose, struct str a, struct str b)
{
    struct id_hash hash;
    id_hash_begin(&hash, purpose);
    id_hash_add(&hash, a);
    id_hash_add(&hash, b);
    return id_hash_end(&hash);
}

/* Computed with Python's hashlib. Were they to change, causes that rang
 * before an upgrade would ring again after it. */
static void hashes_as_ever(void **state)
{
    (void)state;
    char text[ID_TEXT_SIZE];
    id_format(hash_of("notification", STR("a"), STR("bc")), text);
    assert_string_equal(text, "b21c0588-1334-8d28-915e-49e4e5bdcda3");

    struct id_hash hash;
    struct id id;
    for (uint8_t i = 0; i < ID_SIZE; i++) {
        id.bytes[i] = i;
    }
    id_hash_begin(&hash, "notification");
    id_hash_add(&hash, STR("ab"));
    id_hash_add(&hash, STR("c"));
    id_hash_add_id(&hash, id);
    id_hash_add_i64(&hash, -2);
    id_format(id_hash_end(&hash), text);
    assert_string_equal(text, "f97d081e-a552-8347-982a-d1d71fac20ea");
}

static void hashes_tell_parts_apart(void **state)
{
    (void)state;
    struct id id = hash_of("p", STR("ab"), STR("c"));
    assert_true(id_equal(id, hash_of("p", STR("ab"), STR("c"))));
    assert_false(id_equal(id, hash_of("p", STR("a"), STR("bc"))));
    assert_false(id_equal(id, hash_of("p", STR("abc"), STR(""))));
    assert_false(id_equal(id, hash_of("q", STR("ab"), STR("c"))));
    assert_false(id_equal(hash_of("p", STR(""), STR("x")), hash_of("p", STR("x"), STR(""))));
}

static void hashes_for_tables(void **state)
{
    (void)state;
    assert_true(hash64(STR(""), 0) == UINT64_C(0xefd01f60ba992926));
    assert_true(hash64(STR("jane@example.com"), 0) == UINT64_C(0x8f38eac8ae39a43c));
    assert_true(hash64(STR("jane@example.com"), 7) == UINT64_C(0x6df0ba6f0797e7b5));
}

static void sorts_each_once(void **state)
{
    (void)state;
    struct id ids[] = { { { 3 } }, { { 1 } }, { { 3 } }, { { 2 } }, { { 1 } } };
    assert_int_equal(id_sort_unique(ids, 0), 0);
    assert_int_equal(id_sort_unique(ids, ARRAY_COUNT(ids)), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ids[i].bytes[0], i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(orders_by_bytes),
        cmocka_unit_test(is_of_its_time),
        cmocka_unit_test(is_new_each_time),
        cmocka_unit_test(hashes_as_ever),
        cmocka_unit_test(hashes_tell_parts_apart),
        cmocka_unit_test(hashes_for_tables),
        cmocka_unit_test(sorts_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
