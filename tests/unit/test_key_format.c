#include <string.h>

#include "api/key_format.h"
#include "unit.h"

static void test_what_is_made_passes(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        char text[API_KEY_SIZE + 1];
        struct str prefix = { NULL, 0 };
        key_format_create(text);
        assert_int_equal(strlen(text), API_KEY_SIZE);
        assert_true(key_format_check(str_from_z(text), &prefix));
        assert_str_equal(prefix, str_take(str_from_z(text), API_KEY_PREFIX_SIZE));
    }
}

static void test_every_single_change_is_found(void **state)
{
    (void)state;
    char text[API_KEY_SIZE + 1];
    struct str prefix = { NULL, 0 };
    key_format_create(text);
    for (size_t i = 0; i < API_KEY_SIZE; i++) {
        char kept = text[i];
        text[i] = kept == 'a' ? 'b' : 'a';
        assert_false(key_format_check(str_from_z(text), &prefix));
        text[i] = kept;
    }
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *text;
        bool valid;
    } ROWS[] = {
        { "a key of the contract's form whose checksum is right",
          "sbk_jK8OvVGuAeGF_rFs3mOBDl3XUtQZfAZPn1RGGJZxh6RBg1jSP92", true },
        { "the last character missing", "sbk_jK8OvVGuAeGF_rFs3mOBDl3XUtQZfAZPn1RGGJZxh6RBg1jSP9",
          false },
        { "one character too many", "sbk_jK8OvVGuAeGF_rFs3mOBDl3XUtQZfAZPn1RGGJZxh6RBg1jSP922",
          false },
        { "two characters exchanged", "sbk_Kj8OvVGuAeGF_rFs3mOBDl3XUtQZfAZPn1RGGJZxh6RBg1jSP92",
          false },
        { "another kind of key", "sbw_jK8OvVGuAeGF_rFs3mOBDl3XUtQZfAZPn1RGGJZxh6RBg1jSP92", false },
        { "a sign that is not base62", "sbk_jK8OvVGuAeG-_rFs3mOBDl3XUtQZfAZPn1RGGJZxh6RBg1jSP92",
          false },
        { "nothing", "", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct str prefix = { NULL, 0 };
        assert_row(key_format_check(str_from_z(ROWS[i].text), &prefix) == ROWS[i].valid,
                   ROWS[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made_passes),
        cmocka_unit_test(test_every_single_change_is_found),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
