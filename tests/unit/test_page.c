#include <string.h>

#include "api/fields.h"
#include "api/page.h"
#include "base/arena.h"
#include "unit.h"

static struct seal *make_seal(uint8_t fill)
{
    uint8_t key[SEAL_MASTER_KEY_SIZE];
    struct seal *seal = NULL;
    memset(key, fill, sizeof(key));
    assert_int_equal(seal_create(key, &seal), STATUS_OK);
    return seal;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    struct seal *seal = make_seal(1);
    struct problem problem;
    struct str cursor = { NULL, 0 };
    struct str token = page_token_write(seal, arena, STR("w/profiles/new"), STR("17:abc"));
    assert_true(token.size > 0);
    assert_int_equal(page_token_read(seal, arena, STR("w/profiles/new"), token, &cursor, &problem),
                     STATUS_OK);
    assert_str_equal(cursor, STR("17:abc"));
    seal_destroy(seal);
    arena_destroy(arena);
}

static void test_refusals(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    struct seal *seal = make_seal(1);
    struct seal *other = make_seal(2);
    struct problem problem;
    struct str cursor = STR("untouched");
    struct str query = STR("w/profiles/new");
    struct str token = page_token_write(seal, arena, query, STR("17:abc"));

    assert_int_equal(
        page_token_read(seal, arena, STR("w/profiles/lapsed"), token, &cursor, &problem),
        STATUS_INVALID);
    assert_string_equal(problem.type, "page-token-mismatch");
    assert_int_equal(page_token_read(other, arena, query, token, &cursor, &problem),
                     STATUS_INVALID);
    assert_string_equal(problem.type, "page-token-invalid");
    static const char *const NONSENSE[] = { "", "abc", "!!!!",
                                            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
    for (size_t i = 0; i < ARRAY_COUNT(NONSENSE); i++) {
        assert_int_equal(
            page_token_read(seal, arena, query, str_from_z(NONSENSE[i]), &cursor, &problem),
            STATUS_INVALID);
        assert_string_equal(problem.type, "page-token-invalid");
    }
    assert_str_equal(cursor, STR("untouched"));
    seal_destroy(other);
    seal_destroy(seal);
    arena_destroy(arena);
}

static void test_every_changed_character_is_found(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    struct seal *seal = make_seal(1);
    struct problem problem;
    struct str cursor = { NULL, 0 };
    struct str token = page_token_write(seal, arena, STR("q"), STR("cursor!!"));
    for (size_t i = 0; i < token.size; i++) {
        struct str copy = str_dup(arena, token);
        char *text = (char *)(uintptr_t)copy.data;
        text[i] = text[i] == 'A' ? 'B' : 'A';
        assert_int_equal(page_token_read(seal, arena, STR("q"), copy, &cursor, &problem),
                         STATUS_INVALID);
    }
    seal_destroy(seal);
    arena_destroy(arena);
}

static void test_cursors(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    struct id id = id_create();
    struct id read = ID_ZERO;
    int64_t ms = 0;
    assert_true(cursor_parse(cursor_format(arena, -5, id), &ms, &read));
    assert_int_equal(ms, -5);
    assert_true(id_equal(id, read));
    assert_false(cursor_parse(STR("5"), &ms, &read));
    assert_false(cursor_parse(STR("x:0198c1f0-7c1e-7b3a-9d55-5f3b2a1c9e10"), &ms, &read));
    arena_destroy(arena);
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *items;
        const char *fields;
        const char *expected; /* "!" and what the problem says */
    } rows[] = {
        { "{\"a\":1,\"b\":124.90},{\"a\":2,\"b\":0.10}", "b", "{\"b\":124.90},{\"b\":0.10}" },
        { "{\"a\":{\"b\":[1,2]},\"b\":\"}\\\"],{\",\"c\":[]}", "c, b",
          "{\"b\":\"}\\\"],{\",\"c\":[]}" },
        { "{\"a\":\"\\\\\",\"b\":null}", "b,a", "{\"a\":\"\\\\\",\"b\":null}" },
        { "", "whatever", "" },
        { "{\"email\":1}", "emial", "!no member is called \"emial\"; did you mean \"email\"?" },
        { "{\"a\":1}", "a,,", "!fields is up to 64 names of members, parted by commas" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf buf;
        struct problem problem = { .type = "" };
        buf_init(&buf, NULL, 1 << 16);
        enum status status =
            fields_select(str_from_z(rows[i].items), str_from_z(rows[i].fields), &buf, &problem);
        if (rows[i].expected[0] == '!') {
            assert_int_equal(status, STATUS_INVALID);
            assert_string_equal(problem.detail, rows[i].expected + 1);
        } else {
            assert_int_equal(status, STATUS_OK);
            assert_str_equal(buf_str(&buf), str_from_z(rows[i].expected));
        }
        buf_finish(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_changed_character_is_found),
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
