#include "api/mask.h"
#include "base/arena.h"
#include "unit.h"

static void test_words(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    assert_str_equal(mask_email(arena, STR("jane@example.com")), STR("j***@example.com"));
    assert_str_equal(mask_email(arena, STR("@example.com")), STR("@***"));
    assert_str_equal(mask_email(arena, STR("not an address")), STR("n***"));
    assert_str_equal(mask_email(arena, STR("\xc3\xa9l@x.example")), STR("\xc3\xa9***@x.example"));
    assert_str_equal(mask_phone(arena, STR("+33612345678")), STR("+33*****78"));
    assert_str_equal(mask_phone(arena, STR("12345")), STR("1***"));
    assert_str_equal(mask_word(arena, STR("\xc3\x89mile")), STR("\xc3\x89***"));
    assert_str_equal(mask_word(arena, STR("")), STR(""));
    assert_str_equal(mask_identity(arena, STR("email"), STR("a@b.example")), STR("a***@b.example"));
    assert_str_equal(mask_identity(arena, STR("customer_id"), STR("207119551")), STR("207119551"));
    arena_destroy(arena);
}

static void test_documents(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *json;
        const char *masked;
    } ROWS[] = {
        { "plain facts stay", "{\"total\":132.5,\"name\":\"Trail\"}",
          "{\"total\":132.5,\"name\":\"Trail\"}" },
        { "names by kind", "{\"first_name\":\"Jane\",\"last_name\":null}",
          "{\"first_name\":\"J***\",\"last_name\":null}" },
        { "an address under any name", "{\"contact\":\"jane@example.com\"}",
          "{\"contact\":\"j***@example.com\"}" },
        { "deep in a list", "{\"a\":[{\"b\":[\"x\",\"jane@example.com\"]}]}",
          "{\"a\":[{\"b\":[\"x\",\"j***@example.com\"]}]}" },
        { "a whole address object", "{\"shipping_address\":{\"street\":\"Main 1\"}}",
          "{\"shipping_address\":null}" },
        { "a link that opens a cart", "{\"recovery_url\":\"https://x.example/r/abc\"}",
          "{\"recovery_url\":null}" },
        { "a phone that is a number", "{\"phone\":33612345678}", "{\"phone\":null}" },
        { "case of the member's name", "{\"Email\":\"jane@example.com\"}",
          "{\"Email\":\"j***@example.com\"}" },
        { "not JSON shows nothing", "{\"a\":", "null" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct arena *arena = arena_create(1 << 20);
        struct str masked = mask_json(arena, str_from_z(ROWS[i].json));
        assert_row(str_equal(masked, str_from_z(ROWS[i].masked)), ROWS[i].why);
        arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
