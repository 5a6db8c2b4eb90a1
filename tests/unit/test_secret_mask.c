#include "api/secret_mask.h"
#include "base/arena.h"
#include "unit.h"

static void urls(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 16);
    static const struct {
        const char *url;
        const char *shown;
        const char *why;
    } rows[] = {
        { "https://x.example/a", "https://x.example/a", "nothing to hide" },
        { "https://x.example/a?list=7", "https://x.example/a?list=7", "an ordinary parameter" },
        { "https://x.example/a?api_key=abc&list=7", "https://x.example/a?api_key=***&list=7",
          "a key" },
        { "https://x.example/?x=1&TOKEN=t", "https://x.example/?x=1&TOKEN=***",
          "in capitals, last" },
        { "https://x.example/?token", "https://x.example/?token", "without a value" },
        { "https://x.example/?a=1&&secret=b=c", "https://x.example/?a=1&&secret=***",
          "an odd one" },
        { "https://x.example/?", "https://x.example/?", "an empty query" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(str_equal_z(secret_mask_url(arena, str_from_z(rows[i].url)), rows[i].shown),
                   rows[i].why);
    }
    arena_destroy(arena);
}

static void headers_and_their_echo(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 16);
    struct str headers = STR("{\"X-Api-Key\":\"Bearer s3cr3t-value\",\"X-List\":\"newsletter\","
                             "\"X-Short-Token\":\"abc\"}");
    assert_str_equal(
        secret_mask_headers(arena, headers),
        STR("{\"X-Api-Key\":\"***\",\"X-List\":\"newsletter\",\"X-Short-Token\":\"***\"}"));
    assert_str_equal(secret_mask_headers(arena, STR("{}")), STR("{}"));
    assert_str_equal(secret_mask_headers(arena, (struct str){ NULL, 0 }), STR("{}"));
    assert_str_equal(
        secret_mask_echo(arena, STR("no: s3cr3t-value, Bearer s3cr3t-value!"), headers),
        STR("no: ***, Bearer ***!"));
    assert_str_equal(secret_mask_echo(arena, STR("newsletter abc"), headers),
                     STR("newsletter abc"));
    assert_str_equal(secret_mask_echo(arena, (struct str){ NULL, 0 }, headers), STR(""));
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(headers_and_their_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
