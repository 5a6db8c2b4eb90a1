#include "base/arena.h"
#include "base/instant.h"
#include "core/profile/profile.h"
#include "core/rule/program.h"
#include "core/rule/ruleset.h"
#include "core/rule/verdict.h"
#include "unit.h"

/*
 * Programs by hand: the edges of "until", what a part of a rule says by itself,
 * and what a program reads. The property test has the breadth; here each row has
 * a reason.
 */

#define NOW_MS INT64_C(1795356300000) /* 2026-11-22T14:05:00Z, a Sunday */
#define HOUR INSTANT_HOUR_MS
#define DAY INSTANT_DAY_MS

#define TEXT(literal)                   \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    } /* STR() is no constant */

static struct arena *arena;
static struct ruleset *ruleset;
static struct profile profile;
static struct rule_subject subject;

/* A customer since 40 days, silent for 10, with two orders and four views. */
static void make_profile(void)
{
    static struct profile_fact facts[] = {
        { .kind = FACT_TRAIT, .key = TEXT("birth_date"), .value_json = TEXT("\"1988-02-29\"") },
        { .kind = FACT_TRAIT, .key = TEXT("country"), .value_json = TEXT("\"FR\"") },
        { .kind = FACT_TRAIT, .key = TEXT("points"), .value_json = TEXT("\"120.5\"") },
        { .kind = FACT_TRAIT,
          .key = TEXT("renews_at"),
          .value_json = TEXT("\"2026-12-01T14:05:00Z\"") },
        { .kind = FACT_PREFERENCE,
          .key = TEXT("interests"),
          .value_json = TEXT("[\"premium\",\"running\"]") },
    };
    profile_init(&profile, (struct id){ { 1 } }, NOW_MS - 40 * DAY);
    profile.first_seen_at_ms = NOW_MS - 40 * DAY;
    profile.last_seen_at_ms = NOW_MS - 10 * DAY;
    profile.signed_up_at_ms = INSTANT_NONE;
    profile.facts = facts;
    profile.fact_count = ARRAY_COUNT(facts);
    profile.orders.count = 2;
    profile.orders.gross_minor = 10001;
    profile.orders.last_at_ms = NOW_MS - 20 * DAY;
    profile.features = (struct feature_set){ 0 };
    indicators_init(&profile.indicators);
}

static void view(int64_t ago_ms, const char *properties)
{
    struct event *event = ARENA_NEW(arena, struct event);
    static uint8_t number;
    *event = (struct event){
        .id = { { ++number } },
        .type = EVENT_PRODUCT_VIEWED,
        .name = STR("product.viewed"),
        .occurred_at_ms = NOW_MS - ago_ms,
        .properties_json = str_from_z(properties),
    };
    for (size_t i = 0; i < ruleset->fed_count[event->type]; i++) {
        const struct feature *feature = &ruleset->features[ruleset->fed[event->type][i]];
        struct property_view fact;
        property_view_event(&fact, event);
        if (feature_matches(arena, feature, &fact)) {
            assert_true(feature_add(arena, &profile.features, feature, &fact, NOW_MS));
        }
    }
}

static const struct rule *compile(const char *when)
{
    struct rule_case only = { .when = str_from_z(when) };
    struct rule_case *cases = ARENA_NEW(arena, struct rule_case);
    *cases = only;
    struct rule_definition definition = { .name = STR("one"),
                                          .kind = RULE_KIND_SEGMENT,
                                          .cases = cases,
                                          .case_count = 1,
                                          .enabled = true };
    struct ruleset_error error = { 0 };
    uint32_t next = 1;
    enum status status = ruleset_build(arena, 1, &definition, 1, NULL, 0, &next, &ruleset, &error);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", when, error.error.detail);
    }
    make_profile();
    view(HOUR, "{\"category\":\"Shoes\",\"price\":50}");
    view(2 * HOUR, "{\"category\":\"Shoes\",\"price\":70.5}");
    view(30 * HOUR, "{\"category\":\"Hats\"}");
    view(80 * HOUR, "{\"category\":\"Shoes\",\"price\":10}");
    subject =
        (struct rule_subject){ .profile = &profile, .ruleset = ruleset, .currency = STR("EUR") };
    return &ruleset->rules[0];
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_create((size_t)64 << 20);
    return arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(arena);
    return 0;
}

#define NEVER INT64_C(-1)

static const struct row {
    const char *when;
    bool verdict;
    int64_t until_ms; /* after NOW; NEVER */
    const char *why;
} rows[] = {
    /* ages (correctness 13) */
    { "age(last_seen_at) >= 10d", true, NEVER, ">= turns at x + d" },
    { "age(last_seen_at) > 10d", false, 1, "> turns one tick later" },
    { "age(last_seen_at) < 10d", false, NEVER, "< ends at x + d" },
    { "age(last_seen_at) <= 10d", true, 1, "<= ends one tick later" },
    { "age(last_seen_at) = 10d", true, 1, "= holds for one tick" },
    { "age(last_seen_at) != 10d", false, 1, "!= the other way round" },
    { "age(last_seen_at) = 11d", false, DAY, "and begins at x + d" },
    { "age(last_seen_at) >= 11d", false, DAY, "in a day" },
    { "11d > age(last_seen_at)", true, DAY, "the constant first" },
    { "age(signed_up_at) >= 1d", false, NEVER, "an unknown age" },
    { "not age(signed_up_at) >= 1d", true, NEVER, "and its opposite" },
    { "age(signed_up_at) != 1d", false, NEVER, "!= wants it to be set" },
    { "age(traits.renews_at) < 1d", true, 10 * DAY, "an open instant, in the future" },
    /* windows (correctness 9, 13) */
    { "count(product.viewed within 1d) >= 2", true, 22 * HOUR, "the second newest leaves" },
    { "count(product.viewed within 1d) >= 3", false, NEVER, "only a fact can help" },
    { "count(product.viewed within 1d) < 3", true, NEVER, "nor hurt" },
    { "count(product.viewed within 2d) = 3", true, 18 * HOUR, "until one leaves" },
    { "count(product.viewed within 2d) = 2", false, 18 * HOUR, "until one leaves" },
    { "count(product.viewed within 2d) != 2", true, 18 * HOUR, "the other way round" },
    { "count(product.viewed where category = \"Shoes\" within 4d) >= 3", true, 16 * HOUR,
      "only those of the category" },
    { "count(product.viewed) >= 4", true, NEVER, "without a window nothing leaves" },
    { "count(product.viewed after last_seen_at) = 4", true, NEVER, "after an instant" },
    { "count(product.viewed after signed_up_at) = 0", true, NEVER, "after nothing is nothing" },
    { "last(product.viewed) > last_seen_at", true, NEVER, "an edge" },
    /* calendar (UTC) */
    { "age_years(traits.birth_date) = 38", true, 8502900000, "born on a leap day: 39 on 1 March" },
    { "days_until(traits.renews_at) <= 9", true, NEVER, "falls for ever" },
    { "days_until(traits.renews_at) < 9", false, 1 * DAY, "nine whole days" },
    { "days_until(traits.renews_at) = 0", false, 9 * DAY, "0 from the instant on" },
    /* logic: which side decides */
    { "age(last_seen_at) > 11d and age(last_seen_at) > 12d", false, 2 * DAY + 1,
      "false while any side is: the latest" },
    { "age(last_seen_at) > 12d and age(last_seen_at) > 11d", false, 2 * DAY + 1,
      "in either order" },
    { "age(last_seen_at) > 12d and orders.count > 5", false, NEVER, "one stands for ever" },
    { "age(last_seen_at) < 12d and age(last_seen_at) < 11d", true, DAY, "true: the soonest" },
    { "age(last_seen_at) < 12d or age(last_seen_at) < 11d", true, 2 * DAY, "true: the latest" },
    { "age(last_seen_at) > 12d or age(last_seen_at) > 11d", false, DAY + 1, "false: the soonest" },
    { "not (age(last_seen_at) > 11d or orders.count > 5)", true, DAY + 1, "not keeps it" },
    { "age(last_seen_at) > 11d and age(last_seen_at) < 20d", false, DAY + 1,
      "the true side does not shorten" },
    /* values */
    { "orders.average_value = 50.01", true, NEVER, "rounded as it is shown" },
    { "traits.points > 120", true, NEVER, "a text that is a number" },
    { "traits.country in (\"DE\", \"FR\")", true, NEVER, "a list" },
    { "\"premium\" in preferences.interests", true, NEVER, "an open list" },
    { "\"FR\" in traits.country", true, NEVER, "a list of one" },
    { "traits.nothing != \"x\"", false, NEVER, "!= wants it to be set" },
    { "not traits.nothing = \"x\"", true, NEVER, "not does not" },
    { "traits.country != \"DE\"", true, NEVER, "set and another" },
    { "orders.revenue / 0 > 1 or not orders.revenue / 0 > 1", true, NEVER, "no quotient is null" },
    { "(orders.count + 0.5) * 3 - 1 = 6.5", true, NEVER, "arithmetic" },
    { "-(orders.count / 4) * 0.000001 = -0.000001", true, NEVER, "half away from zero" },
    { "consent.sms = \"never\"", true, NEVER, "unknown consent" },
    { "orders.revenue > percentile(orders.revenue, 50)", false, NEVER, "no statistic" },
};

static void test_verdicts_and_untils(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct rule *rule = compile(rows[i].when);
        int64_t until_ms = 0;
        bool verdict = rule_evaluate(arena, rule->programs[0], &subject, NOW_MS, &until_ms);
        int64_t expected_ms = rows[i].until_ms == NEVER ? INSTANT_NEVER : NOW_MS + rows[i].until_ms;
        if (verdict != rows[i].verdict || until_ms != expected_ms) {
            print_error("%s: %d until NOW + %lld\n", rows[i].when, verdict,
                        (long long)(until_ms - NOW_MS));
        }
        assert_row(verdict == rows[i].verdict, rows[i].why);
        assert_row(until_ms == expected_ms, rows[i].why);
    }
}

static const struct rule_node *operand_of(const struct rule *rule)
{
    return rule->trees[0]->left;
}

static void test_a_part_speaks_for_itself(void **state)
{
    (void)state;
    const struct rule *rule =
        compile("count(product.viewed where category = \"Shoes\" within 4d) >= 1");
    int64_t until_ms = 0;
    bool at_least = false;
    struct rule_value value = rule_evaluate_node(arena, rule->programs[0], operand_of(rule),
                                                 &subject, NOW_MS, &until_ms, &at_least);
    assert_int_equal(value.type, RULE_NUMBER);
    assert_int_equal(value.number, 2 * RULE_NUMBER_ONE);
    assert_true(at_least); /* of three, two are kept */
    assert_int_equal(ruleset->feature_count, 1);
    value = rule_evaluate_node(arena, rule->programs[0], rule->trees[0]->right, &subject, NOW_MS,
                               &until_ms, NULL);
    assert_int_equal(value.number, RULE_NUMBER_ONE);
    assert_true(until_ms == INSTANT_NEVER);

    rule = compile("age(last_seen_at) > 3d");
    value = rule_evaluate_node(arena, rule->programs[0], operand_of(rule), &subject, NOW_MS,
                               &until_ms, NULL);
    assert_int_equal(value.type, RULE_DURATION);
    assert_int_equal(value.ms, 10 * DAY);
    assert_int_equal(until_ms, NOW_MS + 1);
    value = rule_evaluate_node(arena, rule->programs[0], operand_of(rule)->left, &subject, NOW_MS,
                               NULL, NULL);
    assert_int_equal(value.ms, NOW_MS - 10 * DAY);
}

static void test_what_is_not_there_reads_as_nothing(void **state)
{
    (void)state;
    const struct rule *rule =
        compile("orders.count > 0 or traits.a in tags or lifecycle = \"active\" or"
                " engagement.score > 1 or engagement.level = \"low\" or cart.value > 1 or"
                " count(product.viewed within 1d) > 0 or habits.top_hour > 1 or rfm.recency > 1");
    struct rule_subject nothing = { 0 };
    int64_t until_ms = 0;
    assert_false(rule_evaluate(arena, rule->programs[0], &nothing, NOW_MS, &until_ms));
    assert_true(until_ms == INSTANT_NEVER);
}

static void test_what_a_program_reads(void **state)
{
    (void)state;
    const struct rule *rule =
        compile("orders.count > 1 and traits.country = \"FR\" and"
                " count(product.viewed within 1d) > 1 and count(product.viewed within 2d) > 1");
    const struct rule_reads *reads = rule_program_reads(rule->programs[0]);
    assert_int_equal(reads->parts, 1u << RULE_PART_ORDERS | 1u << RULE_PART_TRAITS);
    assert_int_equal(reads->feature_count, 2);
    assert_true(reads->features[0] < reads->features[1]);
    assert_int_equal(reads->rule_count, 0);
    assert_true(reads->is_timed);
    rule = compile("not age(created_at) > 1d and identified");
    assert_true(rule_program_reads(rule->programs[0])->is_timed);
    rule = compile("identified and count(product.viewed) > 1");
    assert_false(rule_program_reads(rule->programs[0])->is_timed);
}

static void test_a_where_has_no_aggregates(void **state)
{
    (void)state;
    struct rule_node *root = NULL;
    struct rule_error error = { 0 };
    struct rule_vocabulary vocabulary = { .context = RULE_CONTEXT_TRIGGER };
    const struct rule_program *program = NULL;
    assert_int_equal(
        rule_parse(arena, STR("count(product.viewed) > 1"), &vocabulary, &root, &error), STATUS_OK);
    assert_int_equal(rule_compile(arena, root, NULL, &program), STATUS_INVALID);
    assert_null(program);
    assert_int_equal(rule_parse(arena, STR("event.category = \"Shoes\" and event.price > 5"),
                                &vocabulary, &root, &error),
                     STATUS_OK);
    assert_int_equal(rule_compile(arena, root, NULL, &program), STATUS_OK);
    struct event event = { .type = EVENT_PRODUCT_VIEWED,
                           .name = STR("product.viewed"),
                           .properties_json = STR("{\"category\":\"Shoes\",\"price\":\"5.01\"}") };
    struct property_view fact;
    property_view_event(&fact, &event);
    struct rule_subject filter = { .fact = &fact };
    assert_true(rule_evaluate(arena, program, &filter, NOW_MS, NULL));
}

/* A customer with few facts and one with many are read in two ways. */
static void test_a_fact_is_found_among_few_and_many(void **state)
{
    (void)state;
    const struct rule *rule = compile("traits.points = \"120.5\" and traits.key07 = \"x\""
                                      " and not preferences.key07 is set");
    for (size_t count = 8; count < 60; count++) {
        struct profile_fact *facts = ARENA_NEW_ARRAY(arena, count, struct profile_fact);
        for (size_t i = 0; i < count; i++) {
            bool is_last = i + 1 == count;
            facts[i] = (struct profile_fact){
                .kind = FACT_TRAIT,
                .key = is_last ? STR("points") : str_printf(arena, "key%02zu", i + 1),
                .value_json = is_last ? STR("\"120.5\"") : STR("\"x\""),
            };
        }
        profile.facts = facts;
        profile.fact_count = count;
        assert_int_equal(rule_evaluate(arena, rule->programs[0], &subject, NOW_MS, NULL), true);
        profile.facts = facts + 7;
        profile.fact_count = count - 7;
        assert_int_equal(rule_evaluate(arena, rule->programs[0], &subject, NOW_MS, NULL), false);
    }
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_verdicts_and_untils),
        CASE(test_a_part_speaks_for_itself),
        CASE(test_what_is_not_there_reads_as_nothing),
        CASE(test_what_a_program_reads),
        CASE(test_a_fact_is_found_among_few_and_many),
        CASE(test_a_where_has_no_aggregates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
