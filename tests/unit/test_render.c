#include "app/render.h"
#include "unit.h"

/* JSON in, what a person reads out. */

static void objects(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text;
        const char *why;
    } ROWS[] = {
        { "{\"name\":\"a\",\"n\":3,\"x\":1.5,\"t\":true,\"f\":false,\"z\":null}",
          "name: a\nn: 3\nx: 1.5\nt: yes\nf: no\nz: -\n", "scalars" },
        { "{\"a\":{\"b\":{\"c\":1}}}", "a:\n  b:\n    c: 1\n", "objects are indented" },
        { "{\"a\":[\"x\",\"y\"],\"b\":[]}", "a: x, y\nb: -\n", "short lists in a line" },
        { "{\"a\":[{\"b\":1},{\"b\":2}]}", "a:\n  (1)\n    b: 1\n  (2)\n    b: 2\n",
          "lists of objects are counted" },
        { "{\"p\":\"one\\ntwo\\n\"}", "p:\n  one\n  two\n", "several lines stand below" },
        { "{\"a\":\"x\\u001b[31my\"}", "a: x [31my\n", "nothing steers the terminal" },
        { "{\"a\\u0007\":1}", "a : 1\n", "names neither" },
        { "not json", "not json\n", "what is no JSON is passed on" },
        { "{\"a\":{}}", "a: {0}\n", "an empty object" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct buf text;
        buf_init(&text, NULL, 4096);
        render_object(str_from_z(ROWS[i].json), false, &text);
        assert_row(str_equal_z(buf_str(&text), ROWS[i].text), ROWS[i].why);
        buf_finish(&text);
    }
}

static void tables(void **state)
{
    (void)state;
    const char *json = "{\"data\":[{\"name\":\"shop\",\"health\":{\"state\":\"fine\"},\"n\":[1,2]},"
                       "{\"name\":\"caf\xc3\xa9\",\"health\":null,\"n\":[]}],"
                       "\"next_page_token\":null}";
    struct buf text;
    buf_init(&text, NULL, 4096);
    render_table(str_from_z(json), "name,health.state,n", false, &text);
    assert_str_equal(buf_str(&text), STR("NAME  HEALTH STATE  N\n"
                                         "shop  fine          1, 2\n"
                                         "caf\xc3\xa9  -             -\n"));
    buf_reset(&text);
    render_table(STR("{\"data\":[]}"), "name,n", false, &text);
    assert_str_equal(buf_str(&text), STR("NAME  N\n"));
    buf_finish(&text);
}

static void a_long_cell_keeps_its_place(void **state)
{
    (void)state;
    char json[700];
    char long_name[400];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    (void)snprintf(json, sizeof(json), "{\"data\":[{\"name\":\"%s\",\"n\":1}]}", long_name);
    struct buf text;
    buf_init(&text, NULL, 4096);
    render_table(str_from_z(json), "name,n", false, &text);
    assert_str_equal(buf_str(&text), STR("NAME  N\n...   1\n"));
    buf_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects),
        cmocka_unit_test(tables),
        cmocka_unit_test(a_long_cell_keeps_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
