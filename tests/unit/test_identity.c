#include "base/arena.h"
#include "base/limits.h"
#include "core/event/event.h"
#include "unit.h"

static void normalises(void **state)
{
    (void)state;
    static const struct {
        enum identity_kind kind;
        const char *value;
        const char *expected; /* NULL: identifies nobody */
        const char *why;
    } rows[] = {
        { IDENTITY_EMAIL, " Jane.Doe@Example.COM ", "jane.doe@example.com", "case and space" },
        { IDENTITY_EMAIL, "jane+shop@example.com", "jane+shop@example.com", "tags are kept" },
        { IDENTITY_EMAIL, "j\xc3\xa9@example.com", "j\xc3\xa9@example.com", "UTF-8" },
        { IDENTITY_EMAIL, "jane", NULL, "no address" },
        { IDENTITY_EMAIL, "jane@", NULL, "no domain" },
        { IDENTITY_EMAIL, "@example.com", NULL, "no local part" },
        { IDENTITY_EMAIL, "jane@localhost", NULL, "no dot" },
        { IDENTITY_EMAIL, "jane@example.", NULL, "ends with a dot" },
        { IDENTITY_EMAIL, "jane@.com", NULL, "begins with a dot" },
        { IDENTITY_EMAIL, "jane@exam..ple.com", NULL, "two dots" },
        { IDENTITY_EMAIL, "a@b@c.com", NULL, "two at signs" },
        { IDENTITY_EMAIL, "jane doe@example.com", NULL, "a space inside" },
        { IDENTITY_EMAIL, "jane@exa mple.com", NULL, "a space in the domain" },
        { IDENTITY_EMAIL, "a@example.com,b@example.com", NULL, "two addresses" },
        { IDENTITY_EMAIL, "test@test.com", NULL, "blocked" },
        { IDENTITY_EMAIL, "TEST@TEST.com", NULL, "blocked in any case" },
        { IDENTITY_EMAIL, "null", NULL, "the word null" },
        { IDENTITY_PHONE, "+33 6 12", "+33612", "spaces" },
        { IDENTITY_PHONE, "+33 6.12-34 (56) 78", "+33612345678", "separators" },
        { IDENTITY_PHONE, "0033612345678", "+33612345678", "the other international prefix" },
        { IDENTITY_PHONE, "+44 (0)20 7946 0958", "+442079460958", "the trunk zero" },
        { IDENTITY_PHONE, "+123456789012345", "+123456789012345", "15 digits" },
        { IDENTITY_PHONE, "+1234567890123456", NULL, "16 digits" },
        { IDENTITY_PHONE, "+12345", "+12345", "five digits" },
        { IDENTITY_PHONE, "+1234", NULL, "four digits" },
        { IDENTITY_PHONE, "06 12 34 56 78", NULL, "national: whose country?" },
        { IDENTITY_PHONE, "+0612345678", NULL, "no country begins with 0" },
        { IDENTITY_PHONE, "+1111111111", NULL, "one digit only" },
        { IDENTITY_PHONE, "+33 six", NULL, "letters" },
        { IDENTITY_PHONE, "+", NULL, "nothing but the sign" },
        { IDENTITY_CUSTOMER_ID, " 207119551 ", "207119551", "trimmed" },
        { IDENTITY_CUSTOMER_ID, "0", NULL, "WooCommerce's guest" },
        { IDENTITY_CUSTOMER_ID, "guest", NULL, "guest" },
        { IDENTITY_CUSTOMER_ID, "null", NULL, "null" },
        { IDENTITY_EXTERNAL_ID, "U_1001", "U_1001", "case is kept" },
        { IDENTITY_EXTERNAL_ID, "undefined", NULL, "undefined" },
        { IDENTITY_EXTERNAL_ID, "[object Object]", NULL, "a script's stringified object" },
        { IDENTITY_EXTERNAL_ID,
          "a\x01"
          "b",
          NULL, "control character" },
        { IDENTITY_EXTERNAL_ID, "a\xff", NULL, "not UTF-8" },
        { IDENTITY_EXTERNAL_ID, "", NULL, "empty" },
        { IDENTITY_EXTERNAL_ID, " \t ", NULL, "blank" },
        { IDENTITY_ANONYMOUS_ID, "8f0c3d9e-5b1a-4a51-9b0e-2f8f6b1f4a77",
          "8f0c3d9e-5b1a-4a51-9b0e-2f8f6b1f4a77", "a UUID" },
        { IDENTITY_ANONYMOUS_ID, "00000000-0000-0000-0000-000000000000", NULL,
          "iOS without consent" },
        { IDENTITY_CART_TOKEN, "eyJ0", "eyJ0", "any token" },
        { IDENTITY_ORDER, "450789469", "450789469", "an order" },
    };
    struct arena *arena = arena_create(1024 * 1024);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct str value = STR("untouched");
        bool named = identity_normalise(arena, rows[i].kind, str_from_z(rows[i].value), &value);
        assert_row(named == (rows[i].expected != NULL), rows[i].why);
        const char *expected = named ? rows[i].expected : "untouched";
        assert_row(str_equal_z(value, expected), rows[i].why);
    }
    arena_destroy(arena);
}

static void stands_at_its_limits(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1024 * 1024);
    char text[LIMIT_TEXT_BYTES + 1];
    memset(text, 'a', sizeof(text));
    struct str value = { 0 };
    assert_true(identity_normalise(arena, IDENTITY_EXTERNAL_ID,
                                   (struct str){ text, LIMIT_TEXT_BYTES }, &value));
    assert_int_equal(value.size, LIMIT_TEXT_BYTES);
    assert_false(identity_normalise(arena, IDENTITY_EXTERNAL_ID,
                                    (struct str){ text, LIMIT_TEXT_BYTES + 1 }, &value));
    /* RFC 5321: 64 before the sign, 254 in all. */
    memset(text, 'b', sizeof(text));
    text[64] = '@';
    memcpy(text + 254 - 4, ".com", 4);
    assert_true(identity_normalise(arena, IDENTITY_EMAIL, (struct str){ text, 254 }, &value));
    memcpy(text + 254 - 4, "bbbb", 4);
    memcpy(text + 255 - 4, ".com", 4);
    assert_false(identity_normalise(arena, IDENTITY_EMAIL, (struct str){ text, 255 }, &value));
    memset(text, 'b', sizeof(text));
    memcpy(text + 65, "@example.com", 12);
    assert_false(identity_normalise(arena, IDENTITY_EMAIL, (struct str){ text, 77 }, &value));
    arena_destroy(arena);
}

static void kinds_have_ranks(void **state)
{
    (void)state;
    static const struct {
        enum identity_kind kind;
        const char *name;
        bool exclusive;
        bool strong;
        bool of_source;
    } rows[] = {
        { IDENTITY_EXTERNAL_ID, "external_id", true, true, false },
        { IDENTITY_CUSTOMER_ID, "customer_id", true, true, true },
        { IDENTITY_EMAIL, "email", false, true, false },
        { IDENTITY_PHONE, "phone", false, true, false },
        { IDENTITY_ANONYMOUS_ID, "anonymous_id", false, false, false },
        { IDENTITY_CART_TOKEN, "cart_token", false, false, true },
        { IDENTITY_ORDER, "order", false, false, true },
    };
    assert_int_equal(ARRAY_COUNT(rows), IDENTITY_KIND_COUNT - 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_string_equal(identity_kind_name(rows[i].kind), rows[i].name);
        assert_int_equal(identity_kind_from_name(str_from_z(rows[i].name)), rows[i].kind);
        assert_row(identity_kind_is_exclusive(rows[i].kind) == rows[i].exclusive, rows[i].name);
        assert_row(identity_kind_is_strong(rows[i].kind) == rows[i].strong, rows[i].name);
        assert_row(identity_kind_is_of_source(rows[i].kind) == rows[i].of_source, rows[i].name);
    }
    assert_int_equal(identity_kind_from_name(STR("cookie")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalises),
        cmocka_unit_test(stands_at_its_limits),
        cmocka_unit_test(kinds_have_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
