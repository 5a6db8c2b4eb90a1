#include "base/arena.h"
#include "base/codec.h"
#include "unit.h"

enum encoding {
    BASE64,
    BASE64URL,
    HEX
};

static bool decode(enum encoding encoding, struct str text, uint8_t *bytes, size_t capacity,
                   size_t *out_size)
{
    switch (encoding) {
    case BASE64:
        return base64_decode(text, bytes, capacity, out_size);
    case BASE64URL:
        return base64url_decode(text, bytes, capacity, out_size);
    case HEX:
        return hex_decode(text, bytes, capacity, out_size);
    }
    return false;
}

static struct str encode(enum encoding encoding, struct arena *arena, struct str bytes)
{
    const uint8_t *data = (const uint8_t *)bytes.data;
    switch (encoding) {
    case BASE64:
        return base64_encode(arena, data, bytes.size);
    case BASE64URL:
        return base64url_encode(arena, data, bytes.size);
    case HEX:
        return hex_encode(arena, data, bytes.size);
    }
    return STR("");
}

static void decodes(void **state)
{
    (void)state;
    static const struct {
        enum encoding encoding;
        const char *text;
        const char *bytes; /* NULL when refused */
        const char *why;
    } rows[] = {
        { BASE64, "", "", "nothing" },
        { BASE64, "Zg==", "f", "RFC 4648" },
        { BASE64, "Zm8=", "fo", "RFC 4648" },
        { BASE64, "Zm9v", "foo", "RFC 4648" },
        { BASE64, "Zm9vYmFy", "foobar", "RFC 4648" },
        { BASE64, "+/+/", "\xfb\xff\xbf", "its own two characters" },
        { BASE64, "-_-_", NULL, "the other alphabet's" },
        { BASE64, "Zg", NULL, "no padding" },
        { BASE64, "Zg=", NULL, "half the padding" },
        { BASE64, "Zg===", NULL, "too much padding" },
        { BASE64, "Zm9v=", NULL, "padding for nothing" },
        { BASE64, "Zh==", NULL, "stray bits" },
        { BASE64, "Zm9=", NULL, "stray bits" },
        { BASE64, "Z", NULL, "six bits are no byte" },
        { BASE64, "=", NULL, "padding alone" },
        { BASE64, "Zm9v\n", NULL, "line end behind it" },
        { BASE64, "Zm 9v", NULL, "space inside" },
        { BASE64, "Zg==Zg==", NULL, "two texts" },
        { BASE64, "Zm9v*", NULL, "no such character" },
        { BASE64URL, "Zg", "f", "no padding" },
        { BASE64URL, "-_-_", "\xfb\xff\xbf", "its own two characters" },
        { BASE64URL, "Zg==", NULL, "padding" },
        { BASE64URL, "Zh", NULL, "stray bits" },
        { BASE64URL, "+/+/", NULL, "the other alphabet's" },
        { HEX, "", "", "nothing" },
        { HEX, "01ff", "\x01\xff", "the ends" },
        { HEX, "666F6f", "foo", "either case" },
        { HEX, "666", NULL, "odd" },
        { HEX, "66 6f", NULL, "space" },
        { HEX, "0x66", NULL, "prefix" },
        { HEX, "6g", NULL, "no digit" },
        { HEX, "66:6f", NULL, "colon" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t bytes[16];
        size_t size = 77;
        bool good = decode(rows[i].encoding, str_from_z(rows[i].text), bytes, 16, &size);
        assert_row(good == (rows[i].bytes != NULL), rows[i].why);
        if (good) {
            assert_str_equal(((struct str){ (const char *)bytes, size }),
                             str_from_z(rows[i].bytes));
        } else {
            assert_row(size == 77, rows[i].why);
        }
    }
}

static void keeps_to_its_capacity(void **state)
{
    (void)state;
    static const char *const texts[] = { "Zm9vYg==", "Zm9vYg", "666f6f62" };
    for (enum encoding encoding = BASE64; encoding <= HEX; encoding++) {
        uint8_t bytes[5] = { 0, 0, 0, 0, 0xee };
        size_t size = 0;
        struct str text = str_from_z(texts[encoding]);
        assert_false(decode(encoding, text, bytes, 0, &size));
        assert_false(decode(encoding, text, bytes, 3, &size));
        assert_int_equal(bytes[3], 0);
        assert_true(decode(encoding, text, bytes, 4, &size));
        assert_int_equal(size, 4);
        assert_int_equal(bytes[4], 0xee);
    }
}

static void bytes_and_back(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024 * 1024);
    char all[256];
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (char)(i * 7 + 3);
    }
    for (enum encoding encoding = BASE64; encoding <= HEX; encoding++) {
        for (size_t size = 0; size <= sizeof(all); size++) {
            uint8_t back[sizeof(all)];
            size_t back_size = 0;
            struct str text = encode(encoding, arena, (struct str){ all, size });
            assert_non_null(text.data);
            assert_int_equal(text.data[text.size], '\0');
            assert_true(decode(encoding, text, back, sizeof(back), &back_size));
            assert_int_equal(back_size, size);
            assert_memory_equal(back, all, size);
        }
    }
    assert_str_equal(encode(BASE64, arena, STR("fo")), STR("Zm8="));
    assert_str_equal(encode(BASE64URL, arena, STR("fo")), STR("Zm8"));
    assert_str_equal(encode(HEX, arena, STR("\x0f\xf0")), STR("0ff0"));

    CLEANUP(arena_destroy_at) struct arena *small = arena_create(16);
    for (enum encoding encoding = BASE64; encoding <= HEX; encoding++) {
        assert_int_equal(encode(encoding, small, (struct str){ all, 64 }).size, 0);
    }
}

static void writes_base62(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        size_t width;
        const char *text;
    } rows[] = {
        { 0, 6, "000000" },
        { 61, 1, "z" },
        { 62, 2, "10" },
        { 35, 2, "0Z" },
        { 36, 2, "0a" },
        { UINT32_MAX, 6, "4gfFC3" },
        { UINT64_MAX, 11, "LygHa16AHYF" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[12] = { 0 };
        base62_encode(rows[i].value, text, rows[i].width);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(text[rows[i].width], '\0');
    }
}

/* 62,000 characters: each is expected 1,000 times, with a deviation of 31. */
static void draws_evenly(void **state)
{
    (void)state;
    static char text[62001];
    unsigned seen[256] = { 0 };
    base62_random(text, sizeof(text) - 1);
    assert_int_equal(text[sizeof(text) - 1], '\0');
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        seen[(uint8_t)text[i]]++;
    }
    unsigned kinds = 0;
    for (size_t c = 0; c < 256; c++) {
        kinds += seen[c] > 0;
        assert_true(seen[c] == 0 || (seen[c] > 750 && seen[c] < 1250));
        assert_true(seen[c] == 0 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                    (c >= 'a' && c <= 'z'));
    }
    assert_int_equal(kinds, 62);
}

static void sums(void **state)
{
    (void)state;
    assert_int_equal(crc32_of(STR("")), 0);
    assert_int_equal(crc32_of(STR("123456789")), 0xcbf43926);
    assert_int_equal(crc32_of(STR("\xff\xff\xff\xff")), 0xffffffff);
}

static void decodes_percent(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *decoded; /* NULL when refused */
        const char *why;
    } rows[] = {
        { "", "", "nothing" },
        { "plain", "plain", "nothing to do" },
        { "a%20b%2Fc%2f", "a b/c/", "either case" },
        { "a+b", "a+b", "plus stays" },
        { "%C3%A9", "\xc3\xa9", "UTF-8" },
        { "%2525", "%25", "once" },
        { "%00", NULL, "NUL" },
        { "%", NULL, "cut" },
        { "%2", NULL, "cut" },
        { "%g0", NULL, "no digit" },
        { "% 20", NULL, "space" },
        { "%-1", NULL, "sign" },
    };
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(4096);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct str decoded = STR("before");
        bool good = percent_decode(arena, str_from_z(rows[i].text), &decoded);
        assert_row(good == (rows[i].decoded != NULL), rows[i].why);
        assert_str_equal(decoded, good ? str_from_z(rows[i].decoded) : STR("before"));
    }
    CLEANUP(arena_destroy_at) struct arena *small = arena_create(16);
    struct str decoded = STR("before");
    assert_false(percent_decode(small, STR("longer than the arena has room for"), &decoded));
    assert_str_equal(decoded, STR("before"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),         cmocka_unit_test(keeps_to_its_capacity),
        cmocka_unit_test(bytes_and_back),  cmocka_unit_test(writes_base62),
        cmocka_unit_test(draws_evenly),    cmocka_unit_test(sums),
        cmocka_unit_test(decodes_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
