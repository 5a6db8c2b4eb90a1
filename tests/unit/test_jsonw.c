#include "base/instant.h"
#include "base/jsonw.h"
#include "unit.h"

static void writes_a_document(void **state)
{
    (void)state;
    CLEANUP(buf_finish) struct buf buf;
    buf_init(&buf, NULL, 4096);
    struct jsonw json;
    struct id id = ID_ZERO;
    id.bytes[15] = 1;
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "a", STR("x"));
    jsonw_put_str_or_null(&json, "b", STR(""));
    jsonw_put_str_or_null(&json, "c", STR("y"));
    jsonw_put_z(&json, "d", NULL);
    jsonw_put_i64(&json, "e", -5);
    jsonw_put_bool(&json, "f", true);
    jsonw_put_bool(&json, "g", false);
    jsonw_put_id(&json, "h", id);
    jsonw_put_id(&json, "i", ID_ZERO);
    jsonw_put_instant(&json, "j", 0);
    jsonw_put_instant(&json, "k", INSTANT_NONE);
    jsonw_put_money(&json, "l", 12490, STR("EUR"));
    jsonw_put_money(&json, "m", 1500, STR("JPY"));
    jsonw_put_raw(&json, "n", STR("[1]"));
    jsonw_put_raw(&json, "o", STR(""));
    jsonw_put_null(&json, "p");
    jsonw_key_str(&json, STR("q\""));
    jsonw_open_array(&json);
    jsonw_open_array(&json);
    jsonw_close_array(&json);
    jsonw_open(&json);
    jsonw_close(&json);
    jsonw_i64(&json, 1);
    jsonw_null(&json);
    jsonw_close_array(&json);
    jsonw_put_str(&json, "r", STR(""));
    jsonw_close(&json);
    assert_str_equal(
        buf_str(&buf),
        STR("{\"a\":\"x\",\"b\":null,\"c\":\"y\",\"d\":null,\"e\":-5,\"f\":true,\"g\":false,"
            "\"h\":\"00000000-0000-0000-0000-000000000001\",\"i\":null,"
            "\"j\":\"1970-01-01T00:00:00.000Z\",\"k\":null,\"l\":124.90,\"m\":1500,"
            "\"n\":[1],\"o\":null,\"p\":null,\"q\\\"\":[[],{},1,null],\"r\":\"\"}"));
}

static void escapes(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *json;
        const char *why;
    } rows[] = {
        { { NULL, 0 }, "\"\"", "nothing" },
        { { "a\"b\\c", 5 }, "\"a\\\"b\\\\c\"", "quote and backslash" },
        { { "</script>", 9 }, "\"</script>\"", "the slash needs none" },
        { { "\b\f\n\r\t", 5 }, "\"\\b\\f\\n\\r\\t\"", "short escapes" },
        { { "\x01\x1f\x7f", 3 }, "\"\\u0001\\u001f\x7f\"", "long escapes end at space" },
        { { "a\0b", 3 }, "\"a\\u0000b\"", "NUL" },
        { { "\xf0\x9f\x94\x94 caf\xc3\xa9", 10 }, "\"\xf0\x9f\x94\x94 caf\xc3\xa9\"", "UTF-8" },
        { { "\xff\xc3", 2 }, "\"\xff\xc3\"", "what is not UTF-8 is not overrun" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(buf_finish) struct buf buf;
        buf_init(&buf, NULL, 256);
        struct jsonw json;
        jsonw_begin(&json, &buf);
        jsonw_str(&json, rows[i].text);
        assert_row(str_equal_z(buf_str(&buf), rows[i].json), rows[i].why);
    }
}

static void nests_to_its_depth(void **state)
{
    (void)state;
    CLEANUP(buf_finish) struct buf buf;
    buf_init(&buf, NULL, 4096);
    struct jsonw json;
    jsonw_begin(&json, &buf);
    for (int i = 0; i < 63; i++) {
        jsonw_open_array(&json);
        jsonw_i64(&json, 0);
    }
    jsonw_i64(&json, 1);
    for (int i = 0; i < 63; i++) {
        jsonw_close_array(&json);
    }
    struct str text = buf_str(&buf);
    assert_true(str_starts_with(text, STR("[0,[0,[0,")));
    assert_true(str_starts_with(str_drop(text, 62 * 3), STR("[0,1]]]]")));
    /* 63 times "[0" and "]", 62 commas before "[", and ",1". */
    assert_int_equal(text.size, 63 * 3 + 62 + 2);
}

static void fails_with_its_buffer(void **state)
{
    (void)state;
    CLEANUP(buf_finish) struct buf buf;
    buf_init(&buf, NULL, 8);
    struct jsonw json;
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "key", STR("value"));
    jsonw_close(&json);
    assert_true(buf.failed);
    assert_int_equal(buf_str(&buf).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_document),
        cmocka_unit_test(escapes),
        cmocka_unit_test(nests_to_its_depth),
        cmocka_unit_test(fails_with_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
