#include "core/event/event.h"
#include "core/event/universal.h"
#include "unit.h"

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool is_known;
        bool is_posted;
        const char *why;
    } ROWS[] = {
        { "product.back_in_stock", true, false, "the catalogue alone says so" },
        { "product.price_raised", true, false, "that, too" },
        { "weather.changed", true, true, "somebody has to say" },
        { "universal.sale_started", true, true, "one's own" },
        { "universal.a", true, true, "the shortest" },
        { "universal.", false, false, "without a name" },
        { "universal.Sale", false, false, "a capital" },
        { "universal.1st", false, false, "a digit first" },
        { "universal.a.b", false, false, "a second dot" },
        { "product.updated", false, false, "a document, not a fact of the world" },
        { "order.completed", false, false, "a customer's" },
        { "", false, false, "nothing" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct str type = str_from_z(ROWS[i].type);
        assert_row(universal_type_is_known(type) == ROWS[i].is_known, ROWS[i].why);
        assert_row(universal_type_is_posted(type) == ROWS[i].is_posted, ROWS[i].why);
    }
    for (size_t i = 0; universal_type_name(i) != NULL; i++) {
        struct str name = str_from_z(universal_type_name(i));
        assert_true(universal_type_is_known(name));
        assert_row(event_type_from_name(name) == 0, universal_type_name(i));
    }
}

static void test_the_id_is_of_the_source_and_the_posters_name(void **state)
{
    (void)state;
    struct id one = { { 1 } };
    struct id two = { { 2 } };
    struct id first = universal_posted_id(one, STR("storm"));
    assert_true(id_equal(first, universal_posted_id(one, STR("storm"))));
    assert_false(id_equal(first, universal_posted_id(two, STR("storm"))));
    assert_false(id_equal(first, universal_posted_id(one, STR("storm2"))));
    assert_int_equal(first.bytes[6] >> 4, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_the_id_is_of_the_source_and_the_posters_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
