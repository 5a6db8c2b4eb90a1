#include "core/trigger/subscription.h"
#include "unit.h"

static void matches(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *topic;
        bool matches;
        const char *why;
    } rows[] = {
        { "order.completed", "order.completed", true, "exact" },
        { "order.completed", "order.updated", false, "another" },
        { "order.*", "order.completed", true, "a whole segment" },
        { "order.*", "orders.completed", false, "a longer segment" },
        { "product.*", "product_list.viewed", false, "a segment that begins alike" },
        { "*", "lifecycle.changed", true, "all" },
        { "*", "custom.quiz", true, "custom ones too" },
        { "*", "ops.source_silent", false, "but not our alarms" },
        { "*", "subscription.challenge", false, "nor challenges" },
        { "ops.*", "ops.source_silent", true, "alarms for who asks" },
        { "order.", "order.completed", false, "half a pattern" },
        { "", "order.completed", false, "no pattern" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bool seen = topic_matches(str_from_z(rows[i].pattern), str_from_z(rows[i].topic));
        assert_row(seen == rows[i].matches, rows[i].why);
    }
}

static void wants_any_of_its_topics(void **state)
{
    (void)state;
    const struct str topics[] = { STR("lifecycle.changed"), STR("order.*") };
    const struct subscription_interest interest = { .topics = topics, .topic_count = 2 };
    assert_true(subscription_wants(&interest, STR("order.refunded")));
    assert_true(subscription_wants(&interest, STR("lifecycle.changed")));
    assert_false(subscription_wants(&interest, STR("profile.created")));
    const struct subscription_interest nothing = { 0 };
    assert_false(subscription_wants(&nothing, STR("order.refunded")));
}

static void knows_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        bool valid;
        const char *why;
    } rows[] = {
        { "*", true, "all" },
        { "order.completed", true, "an event" },
        { "order.*", true, "a segment" },
        { "product_list.*", true, "a segment with an underscore" },
        { "profile.*", true, "a derived segment" },
        { "lifecycle.changed", true, "a derived topic" },
        { "ops.*", true, "alarms" },
        { "ops.source_silent", true, "one of them" },
        { "subscription.*", false, "never asked for" },
        { "custom.quiz_done", true, "an event of the shop's own" },
        { "custom.*", true, "all of them" },
        { "product.updated", false, "universal: through triggers only" },
        { "inventory.*", false, "a segment of universal events only" },
        { "product.*", true, "a segment with others too" },
        { "trigger.tenth_order", true, "a trigger's own, which may come later" },
        { "trigger.*", true, "all of them" },
        { "trigger.Tenth", false, "no name" },
        { "order.complete", false, "misspelt" },
        { "ord.*", false, "half a segment" },
        { "*.completed", false, "the wrong half" },
        { "order*", false, "no dot" },
        { ".*", false, "no segment" },
        { "", false, "nothing" },
        { "Order.Completed", false, "capitals" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(topic_pattern_is_valid(str_from_z(rows[i].pattern)) == rows[i].valid,
                   rows[i].why);
    }
}

static void lists_derived_topics(void **state)
{
    (void)state;
    size_t count = 0;
    while (topic_derived(count) != NULL) {
        const struct topic_info *info = topic_derived(count);
        assert_true(topic_pattern_is_valid(str_from_z(info->name)));
        assert_non_null(info->title);
        count++;
    }
    assert_int_equal(count, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(wants_any_of_its_topics),
        cmocka_unit_test(knows_patterns),
        cmocka_unit_test(lists_derived_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
