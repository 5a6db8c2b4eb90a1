#include "core/trigger/choice.h"
#include "unit.h"

/*
 * What subscriptions may ask for, and what is refused; golden/projection.golden has
 * what comes out.
 */

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create((size_t)8 * 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(arena);
    return 0;
}

static enum status parse(const char *fields, const char *map, struct projection *out_projection,
                         struct projection_error *out_error)
{
    const struct projection_text text = { .fields = str_from_z(fields),
                                          .format = STR("shopbell"),
                                          .map_json = str_from_z(map) };
    return projection_parse(arena, &text, out_projection, out_error);
}

static void refuses_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *map;
        const char *member;
        const char *name;
        const char *detail;
    } rows[] = {
        { "defualt", "{}", "fields", "",
          "fields is one of default, thin, full, changed, or a list of names" },
        { "[\"orders.count\",\"order.count\"]", "{}", "fields", "",
          "no name is called \"order.count\"; did you mean \"orders.count\"?" },
        { "[7]", "{}", "fields", "",
          "fields is one of default, thin, full, changed, or a list of names" },
        { "[]", "{}", "fields", "", "fields is empty and map adds nothing: name at least one" },
        { "default", "{\"profile\": \"x\"}", "map", "profile",
          "data has a member \"profile\" already; with \"fields\": [] all names are free" },
        { "thin", "{\"order\": \"x\"}", "map", "order",
          "data has a member \"order\" already; with \"fields\": [] all names are free" },
        { "thin", "{\"\": \"x\"}", "map", "", "a member's name has 1 to 100 bytes" },
        { "thin", "{\"a\": 7}", "map", "a", "a template is a text, as \"{profile.email}\"" },
        { "thin", "{\"a\": \"{emial}\"}", "map", "a",
          "no name is called \"emial\"; did you mean \"email\"?" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct projection projection;
        struct projection_error error = { .member = "" };
        assert_int_equal(parse(rows[i].fields, rows[i].map, &projection, &error), STATUS_INVALID);
        assert_string_equal(error.error.detail, rows[i].detail);
        assert_string_equal(error.member, rows[i].member);
        assert_str_equal(error.name, str_from_z(rows[i].name));
    }
}

static void a_name_is_as_long_as_its_characters(void **state)
{
    (void)state;
    struct projection projection;
    struct projection_error error = { .member = "" };
    assert_int_equal(parse("[\"pr\xc3\xa9nom\"]", "{}", &projection, &error), STATUS_INVALID);
    assert_int_equal(error.error.line, 1);
    assert_int_equal(error.error.column, 1);
    assert_int_equal(error.error.length, 6);
    assert_string_equal(error.error.expected, "a name");
}

static void a_list_has_each_part_once_and_always_the_id(void **state)
{
    (void)state;
    struct projection projection;
    struct projection_error error;
    assert_int_equal(parse("[\"tiers.basket\",\"tiers\",\"orders.count\",\"profile.orders.count\","
                           "\"event\",\"event.total\"]",
                           "{}", &projection, &error),
                     STATUS_OK);
    static const char *const last[] = { "event", "id", "count", "tiers" };
    assert_int_equal(projection.name_count, ARRAY_COUNT(last));
    for (size_t i = 0; i < ARRAY_COUNT(last); i++) {
        const struct message_name *name = &projection.names[i];
        assert_str_equal(name->steps[name->step_count - 1], str_from_z(last[i]));
    }
    assert_int_equal(parse("[]", "{\"profile\": \"{email}\"}", &projection, &error), STATUS_OK);
    assert_int_equal(projection.name_count, 0);
}

static void knows_what_is_more_than_the_default(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *map;
        bool is_within;
    } rows[] = {
        { "default", "{}", true },
        { "thin", "{}", true },
        { "changed", "{}", true },
        { "full", "{}", false },
        { "[\"email\",\"first_name\",\"orders.last_at\",\"consent\",\"event.total\"]", "{}", true },
        { "[\"traits.first_name\"]", "{}", true },
        { "[\"traits.city\"]", "{}", false },
        { "[\"traits\"]", "{}", false },
        { "[\"orders.first_at\"]", "{}", false },
        { "thin", "{\"a\": \"x {email}\"}", true },
        { "thin", "{\"a\": \"x {engagement.score}\"}", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct projection projection;
        struct projection_error error;
        assert_int_equal(parse(rows[i].fields, rows[i].map, &projection, &error), STATUS_OK);
        assert_row(projection_is_within_default(&projection) == rows[i].is_within, rows[i].fields);
    }
}

/* An ESP's event name is no property, and says as much. */
static void an_event_name_counts_as_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *map;
        bool is_within;
        bool uses_basket;
    } rows[] = {
        { "{\"metric\": \"{notification.type}\"}", true, false },
        { "{\"metric\": \"score {engagement.score}\"}", false, false },
        { "{\"metric\": \"basket {tiers.basket}\"}", true, true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct choice_text text = { .fields = STR("default"),
                                          .format = STR("klaviyo"),
                                          .map_json = str_from_z(rows[i].map),
                                          .settings_json = STR("{}") };
        const struct rule_known basket = { STR("basket"), RULE_KIND_TIER };
        const struct rule_vocabulary names = { RULE_CONTEXT_FILTER, &basket, 1 };
        struct choice choice;
        struct projection_error error;
        assert_int_equal(choice_parse(arena, &text, &names, &choice, &error), STATUS_OK);
        assert_row(projection_is_within_default(choice.projection) == rows[i].is_within,
                   rows[i].map);
        assert_row(choice_uses_rule(&choice, STR("basket")) == rows[i].uses_basket, rows[i].map);
    }
}

static void what_is_usual_costs_nothing(void **state)
{
    (void)state;
    struct choice_text text = { .fields = STR("default"),
                                .format = STR("shopbell"),
                                .map_json = STR("{}") };
    struct rule_vocabulary names;
    struct choice choice;
    struct projection_error error;
    assert_true(choice_vocabulary(arena, NULL, &names));
    assert_int_equal(choice_parse(arena, &text, &names, &choice, &error), STATUS_OK);
    assert_null(choice.projection);
    assert_null(choice.filter);
    text.is_masked = true;
    assert_int_equal(choice_parse(arena, &text, &names, &choice, &error), STATUS_OK);
    assert_non_null(choice.projection);
}

static void a_filter_asks_for_a_person_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        bool asks;
    } rows[] = {
        { "email = \"a@b.example\"", true },
        { "not (orders.count > 1 or phone starts_with \"+33\")", true },
        { "traits.last_name = \"Doe\"", true },
        { "event.shipping.address = \"x\"", true },
        { "email is set and phone is not set", false },
        { "traits.city = \"Paris\" and external_id is set", false },
        { "consent.email = \"subscribed\"", false },
    };
    struct rule_vocabulary names;
    assert_true(choice_vocabulary(arena, NULL, &names));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct choice_text text = { .filter = str_from_z(rows[i].filter),
                                          .fields = STR("default"),
                                          .format = STR("shopbell"),
                                          .map_json = STR("{}") };
        struct choice choice;
        struct projection_error error;
        assert_int_equal(choice_parse(arena, &text, &names, &choice, &error), STATUS_OK);
        assert_row(choice_asks_person(&choice) == rows[i].asks, rows[i].filter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refuses_with_the_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_as_long_as_its_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_has_each_part_once_and_always_the_id, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(knows_what_is_more_than_the_default, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_event_name_counts_as_what_it_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_usual_costs_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_filter_asks_for_a_person_or_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
