#include "base/instant.h"
#include "core/trigger/choice.h"
#include "core/trigger/recheck.h"
#include "unit.h"
#include "world.h"

/*
 * A filter asked again: of the event and the transition that were told, and of the
 * customer as he is by then, whether or not a sweep has been there.
 */

static int open_world(void **state)
{
    *state = world_open();
    return *state == NULL;
}

static int close_world(void **state)
{
    world_close(*state);
    return 0;
}

static const struct rule_program *compile(struct world *world, const char *filter)
{
    const struct choice_text text = { .filter = str_from_z(filter),
                                      .fields = STR("default"),
                                      .format = STR("shopbell") };
    struct rule_vocabulary names;
    struct choice choice;
    struct projection_error error = { .member = NULL };
    assert_true(choice_vocabulary(world->arena, world_newest_rules(world), &names));
    if (choice_parse(world->arena, &text, &names, &choice, &error) != STATUS_OK) {
        fail_msg("%s: %s", filter, error.error.detail);
    }
    return choice.filter;
}

/* Of a copy of what the world has stored. */
static bool holds_for(struct world *world, const char *customer, const char *filter,
                      const struct recheck_told *told)
{
    struct decide_context context = world->context;
    struct profile profile = *world_find(world, customer);
    bool holds = false;
    context.interest_count = 0;
    struct decision *decision = decision_create(world->arena, &context, 0);
    assert_non_null(decision);
    decision_put_profile(decision, &profile);
    assert_int_equal(
        recheck_filter(decision, &profile, compile(world, filter), told, world->now_ms, &holds),
        STATUS_OK);
    return holds;
}

static void only_what_may_change_is_asked_again(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *filter;
        bool is_needed;
        bool asks_event;
        bool asks_transition;
    } rows[] = {
        { "true", false, false, false },
        { "event.total >= 100", false, true, false },
        { "event.type = \"order.completed\" and event.source = \"web\"", false, true, false },
        { "transition.to = \"high\"", false, false, true },
        { "event.total >= 100 or transition.to is set", false, true, true },
        { "age(event.occurred_at) < 1h", true, true, false },
        { "consent.email = \"subscribed\"", true, false, false },
        { "\"frequent_buyer\" in tags", true, false, false },
        { "tiers.basket = \"high\"", true, false, false },
        { "lifecycle = \"active\" and transition.to = \"active\"", true, false, true },
        { "event.total > orders.average_value", true, true, false },
        { "rfm.recency = 5", true, false, false },
        { "traits.country is set", true, false, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct rule_program *filter = compile(world, rows[i].filter);
        assert_row(recheck_is_needed(filter) == rows[i].is_needed, rows[i].filter);
        assert_row(recheck_asks_event(filter) == rows[i].asks_event, rows[i].filter);
        assert_row(recheck_asks_transition(filter) == rows[i].asks_transition, rows[i].filter);
    }
}

static void what_was_told_stays_what_it_was(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S e1"));
    static const struct event event = {
        .type = EVENT_ORDER_COMPLETED,
        .name = { "order.completed", 15 },
        .currency = { "EUR", 3 },
        .has_amount = true,
        .amount_minor = 15000,
        .properties_json = { "{\"channel\":\"pos\"}", 17 },
    };
    static const struct rule_transition transition = { .rule = { "basket", 6 },
                                                       .kind = { "tier", 4 },
                                                       .to = { "high", 4 } };
    const struct recheck_told whole = { .event = &event,
                                        .source = STR("shop_one"),
                                        .transition = &transition };
    const struct recheck_told nothing = { .event = NULL };
    static const struct {
        const char *filter;
        bool of_whole;
        bool of_nothing;
    } rows[] = {
        { "identified and event.total >= 100", true, false },
        { "identified and event.total >= 200", false, false },
        { "identified and event.channel = \"pos\"", true, false },
        { "identified and event.type = \"order.completed\"", true, false },
        { "identified and event.source = \"shop_one\"", true, false },
        { "identified and event.source is not set", false, true },
        { "identified and transition.rule = \"basket\"", true, false },
        { "identified and transition.kind = \"tier\"", true, false },
        { "identified and transition.from is not set", true, true },
        { "identified and transition.to = \"high\"", true, false },
        { "not identified and transition.to = \"high\"", false, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(holds_for(world, "e1", rows[i].filter, &whole) == rows[i].of_whole,
                   rows[i].filter);
        assert_row(holds_for(world, "e1", rows[i].filter, &nothing) == rows[i].of_nothing,
                   rows[i].filter);
    }
}

/* The sweep has not been there: the row still says that he is in. */
static void a_verdict_is_that_of_the_instant(void **state)
{
    struct world *world = *state;
    static const char when[] = "count(product.viewed within 1h) >= 1";
    static const struct rule_case only = { .when = { when, sizeof(when) - 1 } };
    static const char then[] = "not \"looking\" in segments";
    static const struct rule_case other = { .when = { then, sizeof(then) - 1 } };
    const struct rule_definition rules[] = {
        { .name = STR("looking"), .kind = RULE_KIND_SEGMENT, .cases = &only, .case_count = 1 },
        { .name = STR("away"), .kind = RULE_KIND_TAG, .cases = &other, .case_count = 1 },
    };
    const struct recheck_told told = { .event = NULL };
    world_set_rules(world, rules, ARRAY_COUNT(rules));
    struct event *event = world_event(world, "S e1");
    event->type = EVENT_PRODUCT_VIEWED;
    event->name = STR("product.viewed");
    world_apply_one(world, event);
    int64_t entered_at_ms = world->now_ms;
    static const struct {
        int64_t after_ms;
        bool is_in;
        const char *why;
    } rows[] = {
        { 0, true, "as he entered" },
        { INSTANT_HOUR_MS - 1, true, "to the last millisecond" },
        { INSTANT_HOUR_MS, false, "and not one longer" },
        { 3 * INSTANT_DAY_MS, false, "however long nobody swept" },
    };
    size_t transitions = world->transition_count;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        world->now_ms = entered_at_ms + rows[i].after_ms;
        assert_row(holds_for(world, "e1", "\"looking\" in segments", &told) == rows[i].is_in,
                   rows[i].why);
        assert_row(holds_for(world, "e1", "\"away\" in tags", &told) == !rows[i].is_in,
                   rows[i].why);
    }
    assert_int_equal(world->transition_count, transitions); /* nothing was decided for good */
    assert_int_equal(world_find(world, "e1")->due_at_ms, entered_at_ms + INSTANT_HOUR_MS);
}

static void ages_are_of_the_instant_too(void **state)
{
    struct world *world = *state;
    const struct recheck_told told = { .event = NULL };
    world_apply_one(world, world_event(world, "S e1"));
    world->now_ms += INSTANT_HOUR_MS - 1;
    assert_true(holds_for(world, "e1", "age(last_seen_at) < 1h", &told));
    world->now_ms += 1;
    assert_false(holds_for(world, "e1", "age(last_seen_at) < 1h", &told));
    /* Behind the instant that was decided at last there is no now. */
    world_sweep(world);
    world_find(world, "e1")->decided_at_ms = world->now_ms;
    world->now_ms -= INSTANT_HOUR_MS;
    assert_false(holds_for(world, "e1", "age(last_seen_at) < 1h", &told));
}

/* A rule that was edited meanwhile and needs no history: what it says now. */
static void who_is_behind_the_rules_is_brought_up(void **state)
{
    struct world *world = *state;
    static const struct rule_case old = { .when = { "orders.count >= 0", 17 } };
    static const struct rule_case new = { .when = { "orders.count >= 1", 17 } };
    struct rule_definition rule = {
        .name = STR("vip"), .kind = RULE_KIND_TAG, .cases = &old, .case_count = 1
    };
    const struct recheck_told told = { .event = NULL };
    world_set_rules(world, &rule, 1);
    world_apply_one(world, world_event(world, "S e1"));
    assert_true(holds_for(world, "e1", "\"vip\" in tags", &told));
    rule.cases = &new;
    world_set_rules(world, &rule, 1);
    assert_false(holds_for(world, "e1", "\"vip\" in tags", &told));
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(only_what_may_change_is_asked_again),   IN_WORLD(what_was_told_stays_what_it_was),
        IN_WORLD(a_verdict_is_that_of_the_instant),      IN_WORLD(ages_are_of_the_instant_too),
        IN_WORLD(who_is_behind_the_rules_is_brought_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
