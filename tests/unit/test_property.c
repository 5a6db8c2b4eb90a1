#include "base/arena.h"
#include "base/instant.h"
#include "core/rule/property.h"
#include "unit.h"

static struct rule_value get(struct arena *arena, const char *json, const char *path)
{
    struct property_view view = {
        .type = EVENT_PRODUCT_VIEWED,
        .currency = STR("EUR"),
        .properties_json = str_from_z(json),
        .context_json = STR("{\"platform\":\"web\",\"campaign\":{\"source\":\"mail\"}}"),
    };
    return property_get(arena, &view, str_from_z(path));
}

/* "null", "n:12.5", "t:text", "b:true", "[a|b]" of a value. */
static const char *describe(struct arena *arena, struct rule_value value)
{
    char text[24];
    struct str line = { 0 };
    switch (value.type) {
    case RULE_BOOL:
        return value.boolean ? "b:true" : "b:false";
    case RULE_NUMBER:
        line = (struct str){ text, rule_number_format(value.number, text) };
        return str_dup_z(arena, str_printf(arena, "n:%.*s", STR_ARG(line)));
    case RULE_TEXT:
        return str_dup_z(arena, str_printf(arena, "t:%.*s", STR_ARG(value.text)));
    case RULE_LIST:
        for (size_t i = 0; i < value.list.count; i++) {
            line = str_printf(arena, "%.*s%s%s", STR_ARG(line), i > 0 ? "|" : "",
                              describe(arena, value.list.items[i]));
        }
        return str_dup_z(arena, str_printf(arena, "[%.*s]", STR_ARG(line)));
    default:
        return "null";
    }
}

static void test_paths(void **state)
{
    static const struct {
        const char *why;
        const char *json;
        const char *path;
        const char *value;
    } rows[] = {
        { "a text", "{\"name\":\"Boot\"}", "name", "t:Boot" },
        { "a number keeps its digits", "{\"price\":12.50}", "price", "n:12.5" },
        { "a truth", "{\"in_stock\":false}", "in_stock", "b:false" },
        { "null is not there", "{\"name\":null}", "name", "null" },
        { "an object is no value", "{\"name\":{}}", "name", "null" },
        { "not there", "{\"name\":\"x\"}", "brand", "null" },
        { "a key that begins alike", "{\"names\":1,\"name\":2}", "name", "n:2" },
        { "a key with an escape", "{\"na\\u006de\":3}", "name", "n:3" },
        { "no properties at all", "", "name", "null" },
        { "an empty object", "{}", "name", "null" },
        { "spaces and lines", " {\n \"name\" :\t\"x\" } ", "name", "t:x" },
        { "brackets within a text", "{\"a\":\"}],\\\"{\",\"b\":1}", "b", "n:1" },
        { "behind deep values", "{\"a\":[[{\"b\":[]}],{}],\"b\":1}", "b", "n:1" },
        { "through objects", "{\"a\":{\"b\":{\"c\":\"x\"}}}", "a.b.c", "t:x" },
        { "a member missing on the way", "{\"a\":{\"x\":1}}", "a.b.c", "null" },
        { "a scalar on the way", "{\"a\":1}", "a.b", "null" },
        { "an array of scalars", "{\"tags\":[\"a\",1]}", "tags", "[t:a|n:1]" },
        { "of an array of objects, the members",
          "{\"products\":[{\"category\":\"A\"},{},{\"category\":\"B\"}]}", "products.category",
          "[t:A|t:B]" },
        { "members that are arrays are one list", "{\"p\":[{\"t\":[\"a\"]},{\"t\":[\"b\"]}]}",
          "p.t", "[t:a|t:b]" },
        { "arrays behind objects", "{\"a\":{\"p\":[{\"c\":1}]}}", "a.p.c", "[n:1]" },
        { "objects behind arrays", "{\"p\":[{\"a\":{\"c\":1}},{\"a\":{\"c\":2}}]}", "p.a.c",
          "[n:1|n:2]" },
        { "a list of nothing is null", "{\"products\":[{},{}]}", "products.category", "null" },
        { "scalars among the objects are left out", "{\"p\":[1,{\"c\":2}]}", "p.c", "[n:2]" },
        { "the context", "{}", "context.platform", "t:web" },
        { "deep in the context", "{}", "context.campaign.source", "t:mail" },
        { "a property is not the context", "{\"platform\":\"ios\"}", "context.platform", "t:web" },
        { "cut off: what came before stands", "{\"a\":1,\"b\":{\"c\":", "a", "n:1" },
        { "cut off: the rest is null", "{\"a\":1,\"b\":{\"c\":", "b", "null" },
        { "cut off in a text", "{\"a\":\"x", "a", "null" },
        { "cut off behind an escape", "{\"a\":\"x\\", "a", "null" },
        { "no colon", "{\"a\" 1}", "a", "null" },
        { "no object", "[1]", "a", "null" },
        { "without the column, the revenue of the properties", "{\"revenue\":7}", "revenue",
          "n:7" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024 * 1024);
        const char *seen = describe(arena, get(arena, rows[i].json, rows[i].path));
        assert_row(strcmp(seen, rows[i].value) == 0, rows[i].why);
    }
}

static void test_columns(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024 * 1024);
    struct event event = {
        .type = EVENT_CHECKOUT_STARTED,
        .name = STR("checkout.started"),
        .occurred_at_ms = 5,
        .product_id = STR("p1"),
        .category = STR("Shoes"),
        .currency = STR("EUR"),
        .amount_minor = 12490,
        .has_amount = true,
        .properties_json = STR("{\"product_id\":\"other\",\"total\":1,\"brand\":\"b\"}"),
    };
    struct property_view view;
    property_view_event(&view, &event);
    struct {
        const char *path;
        const char *value;
    } rows[] = {
        { "total", "n:124.9" },   { "revenue", "n:124.9" },  { "net", "n:124.9" },
        { "product_id", "t:p1" }, { "category", "t:Shoes" }, { "currency", "t:EUR" },
        { "brand", "t:b" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rule_value value = property_get(arena, &view, str_from_z(rows[i].path));
        assert_row(strcmp(describe(arena, value), rows[i].value) == 0, rows[i].path);
    }
    struct rule_value at = property_get(arena, &view, STR("occurred_at"));
    assert_true(at.type == RULE_INSTANT && at.ms == 5);
    event.currency = STR("JPY");
    property_view_event(&view, &event);
    struct rule_value total = property_get(arena, &view, STR("total"));
    assert_int_equal(total.number, 12490 * RULE_NUMBER_ONE);
}

static void test_order_as_it_stands(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024 * 1024);
    struct order order = {
        .order_ref = STR("1001"),
        .placed_at_ms = 77,
        .currency = STR("EUR"),
        .total_minor = 9999,
        .body_json = STR("{\"coupon\":\"X\",\"total\":\"99.99\",\"products\":[{\"sku\":\"s\"}]}"),
        .contribution = { .counted = true, .gross_minor = 5000, .refunded_minor = 1250 },
    };
    struct property_view view;
    property_view_order(&view, &order);
    assert_int_equal(view.at_ms, 77);
    assert_int_equal(view.type, EVENT_ORDER_COMPLETED);
    assert_false(id_is_zero(view.id));
    assert_string_equal(describe(arena, property_get(arena, &view, STR("total"))), "n:50");
    assert_string_equal(describe(arena, property_get(arena, &view, STR("net"))), "n:37.5");
    assert_string_equal(describe(arena, property_get(arena, &view, STR("coupon"))), "t:X");
    assert_string_equal(describe(arena, property_get(arena, &view, STR("order_id"))), "t:1001");
    assert_string_equal(describe(arena, property_get(arena, &view, STR("products.sku"))), "[t:s]");
}

static void test_foreign_order_has_no_amounts(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024 * 1024);
    struct order order = {
        .currency = STR("USD"),
        .body_json = STR("{\"total\":\"99.99\",\"revenue\":1}"),
        .contribution = { .counted = true, .foreign = true },
    };
    struct property_view view;
    property_view_order(&view, &order);
    assert_string_equal(describe(arena, property_get(arena, &view, STR("total"))), "null");
    assert_string_equal(describe(arena, property_get(arena, &view, STR("revenue"))), "null");
    assert_string_equal(describe(arena, property_get(arena, &view, STR("net"))), "null");
}

static void test_scanned_once(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024 * 1024);
    struct property_view view = { .properties_json = STR("{\"a\":1}") };
    assert_false(view.is_scanned);
    (void)property_get(arena, &view, STR("net"));
    assert_false(view.is_scanned);
    (void)property_get(arena, &view, STR("a"));
    assert_true(view.is_scanned);
    size_t used = arena_used_bytes(arena);
    (void)property_get(arena, &view, STR("a"));
    assert_int_equal(arena_used_bytes(arena), used);
}

static void test_full_arena_is_null(void **state)
{
    (void)state;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(64);
    assert_string_equal(describe(arena, get(arena, "{\"a\":1}", "a")), "null");
    assert_true(arena_is_full(arena));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_order_as_it_stands),
        cmocka_unit_test(test_foreign_order_has_no_amounts),
        cmocka_unit_test(test_scanned_once),
        cmocka_unit_test(test_full_arena_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
