#include <string.h>
#include <zlib.h>

#include "http/inflate.h"
#include "unit.h"

enum {
    MAX = 1024 * 1024
};

static struct str compress_gzip(struct arena *arena, const void *data, size_t size)
{
    size_t capacity = size + 1024;
    unsigned char *out = arena_alloc(arena, capacity);
    unsigned char *in = arena_alloc(arena, size + 1);
    assert_non_null(out);
    assert_non_null(in);
    memcpy(in, data, size);
    z_stream stream = { .next_in = in, .avail_in = (unsigned)size, .next_out = out };
    stream.avail_out = (unsigned)capacity;
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return (struct str){ (char *)out, capacity - stream.avail_out };
}

static void reads_what_was_compressed(void **state)
{
    (void)state;
    struct arena *arena = arena_create(64u * 1024 * 1024);
    static const char text[] = "{\"batch\":[]}";
    struct str body = { NULL, 0 };
    struct str packed = compress_gzip(arena, text, sizeof(text) - 1);
    assert_int_equal(http_inflate(arena, packed, MAX, &body), INFLATE_OK);
    assert_str_equal(body, str_from_z(text));
    packed = compress_gzip(arena, "", 0);
    assert_int_equal(http_inflate(arena, packed, MAX, &body), INFLATE_OK);
    assert_int_equal(body.size, 0);
    arena_destroy(arena);
}

static void refuses_what_is_not_one_member(void **state)
{
    (void)state;
    struct arena *arena = arena_create(64u * 1024 * 1024);
    static const char text[] = "{\"batch\":[{\"type\":\"page\"}]}";
    struct str packed = compress_gzip(arena, text, sizeof(text) - 1);
    struct str body = STR("untouched");
    for (size_t size = 0; size < packed.size; size++) {
        assert_int_equal(http_inflate(arena, str_take(packed, size), MAX, &body),
                         INFLATE_MALFORMED);
    }
    char *both = arena_alloc(arena, packed.size * 2);
    memcpy(both, packed.data, packed.size);
    memcpy(both + packed.size, packed.data, packed.size);
    assert_int_equal(http_inflate(arena, (struct str){ both, packed.size * 2 }, MAX, &body),
                     INFLATE_MALFORMED);
    assert_int_equal(http_inflate(arena, STR("{\"plain\":true}"), MAX, &body), INFLATE_MALFORMED);
    assert_str_equal(body, STR("untouched"));
    arena_destroy(arena);
}

static void stops_at_its_bounds(void **state)
{
    (void)state;
    struct arena *arena = arena_create(64u * 1024 * 1024);
    size_t size = 8 * 1024 * 1024;
    unsigned char *data = arena_alloc(arena, size);
    struct str body = { NULL, 0 };
    /* Zeros: a thousandfold. */
    struct str packed = compress_gzip(arena, data, 512 * 1024);
    assert_int_equal(http_inflate(arena, packed, MAX, &body), INFLATE_TOO_LARGE);
    /* As many as come for free. */
    packed = compress_gzip(arena, data, 60 * 1024);
    assert_int_equal(http_inflate(arena, packed, MAX, &body), INFLATE_OK);
    assert_int_equal(body.size, 60 * 1024);
    /* Text that hardly shrinks, up to the limit and one more. */
    uint32_t word = 1;
    for (size_t i = 0; i < size; i++) {
        word = word * 1664525u + 1013904223u;
        data[i] = (unsigned char)(word >> 24);
    }
    packed = compress_gzip(arena, data, MAX);
    assert_int_equal(http_inflate(arena, packed, MAX, &body), INFLATE_OK);
    assert_int_equal(body.size, MAX);
    assert_memory_equal(body.data, data, MAX);
    packed = compress_gzip(arena, data, MAX + 1);
    assert_int_equal(http_inflate(arena, packed, MAX, &body), INFLATE_TOO_LARGE);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_compressed),
        cmocka_unit_test(refuses_what_is_not_one_member),
        cmocka_unit_test(stops_at_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
