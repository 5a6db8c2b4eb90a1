#include <string.h>

#include "unit.h"
#include "verify/key_ring.h"

#define NOW_MS INT64_C(1795000000000)

static struct arena *arena;
static struct key_ring *ring;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create((size_t)1024 * 1024);
    ring = key_ring_create();
    return arena == NULL || ring == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    key_ring_destroy(ring);
    arena_destroy(arena);
    return 0;
}

static struct str url_of(size_t number)
{
    return str_printf(arena, "https://keys.example/%zu.pem", number);
}

static bool has(size_t number, int64_t now_ms)
{
    struct str document = { NULL, 0 };
    int64_t age_ms = 0;
    return key_ring_find(ring, arena, url_of(number), now_ms, &document, &age_ms);
}

static void a_key_is_believed_for_a_day(void **state)
{
    (void)state;
    struct str document = { NULL, 0 };
    int64_t age_ms = 0;
    assert_int_equal(key_ring_put(ring, url_of(1), STR("old"), NOW_MS - 5), STATUS_OK);
    assert_int_equal(key_ring_put(ring, url_of(1), STR("new"), NOW_MS), STATUS_OK);
    assert_true(has(1, NOW_MS + KEY_RING_FRESH_MS - 1));
    assert_false(has(1, NOW_MS + KEY_RING_FRESH_MS));
    assert_true(key_ring_find(ring, arena, url_of(1), NOW_MS + 7, &document, &age_ms));
    assert_str_equal(document, STR("new"));
    assert_int_equal(age_ms, 7);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEY_RING_KEYS_MAX; i++) {
        int64_t fetched_at_ms = NOW_MS + (i == 3 ? -1 : (int64_t)i);
        assert_int_equal(key_ring_put(ring, url_of(i), STR("key"), fetched_at_ms), STATUS_OK);
    }
    for (size_t i = 0; i < KEY_RING_KEYS_MAX; i++) {
        assert_true(has(i, NOW_MS + 1000));
    }
    assert_int_equal(key_ring_put(ring, url_of(KEY_RING_KEYS_MAX), STR("key"), NOW_MS + 1000),
                     STATUS_OK);
    for (size_t i = 0; i <= KEY_RING_KEYS_MAX; i++) {
        assert_int_equal(has(i, NOW_MS + 1000), i != 3);
    }
}

static void a_document_has_a_limit(void **state)
{
    (void)state;
    static char bytes[KEY_RING_DOCUMENT_BYTES_MAX + 1];
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(key_ring_put(ring, url_of(1), (struct str){ bytes, sizeof(bytes) }, NOW_MS),
                     STATUS_LIMIT);
    assert_int_equal(key_ring_put(ring, url_of(1), STR(""), NOW_MS), STATUS_LIMIT);
    assert_false(has(1, NOW_MS));
    assert_int_equal(
        key_ring_put(ring, url_of(1), (struct str){ bytes, sizeof(bytes) - 1 }, NOW_MS), STATUS_OK);
    assert_true(has(1, NOW_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_believed_for_a_day, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_makes_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_document_has_a_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
