#include "base/arena.h"
#include "base/instant.h"
#include "core/profile/as_of.h"
#include "core/rule/candidate.h"
#include "core/rule/sentence.h"
#include "unit.h"

/*
 * The reason of a verdict in words; a rule tried among those that are saved; and
 * the cut of a history that makes a profile of then.
 */

#define NOW_MS INT64_C(1795356300000) /* 2026-11-22T14:05:00Z */
#define HOUR INSTANT_HOUR_MS
#define DAY INSTANT_DAY_MS

static struct arena *arena;

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

static struct rule_definition define(const char *name, const char *when, uint32_t slot)
{
    struct rule_case *only = ARENA_NEW(arena, struct rule_case);
    only->when = str_from_z(when);
    return (struct rule_definition){ .name = str_from_z(name),
                                     .kind = RULE_KIND_SEGMENT,
                                     .slot = slot,
                                     .cases = only,
                                     .case_count = 1,
                                     .enabled = true };
}

static struct ruleset *build(const struct rule_definition *definitions, size_t count)
{
    struct ruleset *ruleset = NULL;
    struct ruleset_error error = { .type = "" };
    uint32_t next = 1;
    enum status status =
        ruleset_build(arena, 1, definitions, count, NULL, 0, &next, &ruleset, &error);
    if (status != STATUS_OK) {
        fail_msg("%s", error.error.detail);
    }
    return ruleset;
}

static struct event viewed(uint8_t number, int64_t ago_ms, const char *properties)
{
    return (struct event){ .id = { { number } },
                           .type = EVENT_PRODUCT_VIEWED,
                           .name = STR("product.viewed"),
                           .act = true,
                           .occurred_at_ms = NOW_MS - ago_ms,
                           .received_at_ms = NOW_MS - ago_ms + 2 * DAY,
                           .properties_json = str_from_z(properties) };
}

/* Three views, an hour, two hours and three days ago; all came two days late. */
static struct history some_history(const struct ruleset *ruleset)
{
    static struct event events[3];
    events[0] = viewed(1, 3 * DAY, "{\"category\":\"Shoes\",\"price\":10}");
    events[1] = viewed(2, 2 * HOUR, "{\"category\":\"Shoes\",\"price\":70.5}");
    events[2] = viewed(3, HOUR, "{\"category\":\"Hats\"}");
    return (
        struct history){ .events = events, .event_count = ARRAY_COUNT(events), .ruleset = ruleset };
}

/* --- sentences -------------------------------------------------------------- */

static const struct row {
    const char *when;
    const char *text;
    bool rests_on_count;
} rows[] = {
    { "count(product.viewed where category = \"Shoes\" within 24h) >= 1",
      "product.viewed with category \"Shoes\" happened once in 24h (at least 1 needed)", true },
    { "count(product.viewed within 7d) > 2",
      "product.viewed happened 3 times in 7d (more than 2 needed)", true },
    { "2 < count(product.viewed within 7d)",
      "product.viewed happened 3 times in 7d (more than 2 needed)", true },
    { "count(product.viewed within 1h) >= 1",
      "product.viewed did not happen in 1h (at least 1 needed)", false },
    { "not count(product.viewed) >= 4", "product.viewed happened 3 times (less than 4 needed)",
      false },
    { "count(product.viewed where price > 50) = 1",
      "product.viewed where event.price > 50 happened once (1 needed)", false },
    { "max(product.viewed.price) >= 70", "max(product.viewed.price) is 70.5 (at least 70 needed)",
      false },
    { "age(first_seen_at) >= 2d", "first_seen_at was 3 days ago (at least 2d needed)", false },
    { "age(signed_up_at) >= 2d", "signed_up_at is not set (at least 2d needed)", false },
    { "signed_up_at is set", "signed_up_at is not set", false },
    { "traits.first_name = \"Jane\"", "traits.first_name is \"Jane\" (\"Jane\" needed)", false },
    { "traits.first_name in (\"Jo\", \"Al\")",
      "traits.first_name is \"Jane\" (one of (\"Jo\", \"Al\") needed)", false },
    { "\"vip\" in segments", "\"vip\" is not in segments", false },
    { "orders.count >= 1 or count(product.viewed within 7d) >= 3 or identified",
      "product.viewed happened 3 times in 7d (at least 3 needed)", true },
    { "orders.count >= 1 and identified and count(product.viewed within 7d) >= 3",
      "orders.count is 0 (at least 1 needed), and identified is false", false },
    { "orders.revenue >= percentile(orders.revenue, 50)",
      "orders.revenue is 0 (at least percentile(orders.revenue, 50), which is not known, needed)",
      false },
    { "true", "the rule says true", false },
};

static void a_reason_is_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct rule_definition definitions[] = { define("vip", "orders.count > 9", 1),
                                                       define("one", rows[i].when, 2) };
        const struct ruleset *ruleset = build(definitions, 2);
        const struct rule *rule = ruleset_rule(ruleset, STR("one"));
        const struct history history = some_history(ruleset);
        const struct as_of now = { .at_ms = NOW_MS,
                                   .known_at_ms = INSTANT_NEVER,
                                   .currency = STR("EUR") };
        struct profile profile;
        struct profile_fact fact = { .kind = FACT_TRAIT,
                                     .key = STR("first_name"),
                                     .value_json = STR("\"Jane\"") };
        profile_init(&profile, (struct id){ { 1 } }, NOW_MS);
        assert_true(profile_as_of(arena, &profile, &history, &now));
        profile.facts = &fact;
        profile.fact_count = 1;
        const struct rule_subject subject = { .profile = &profile,
                                              .ruleset = ruleset,
                                              .currency = STR("EUR") };
        struct rule_sentence said =
            rule_sentence(arena, rule->programs[0], rule->trees[0], &subject, NOW_MS, false);
        assert_str_equal(said.text, str_from_z(rows[i].text));
        assert_row(said.rests_on_count == rows[i].rests_on_count, rows[i].when);
        said = rule_sentence(arena, rule->programs[0], rule->trees[0], &subject, NOW_MS, true);
        assert_row(str_find(said.text, 'J', 0) < 0 || rows[i].text[0] != 't' ||
                       str_starts_with(said.text, STR("traits.first_name is hidden")),
                   rows[i].when);
    }
}

/* --- candidates ------------------------------------------------------------- */

static void a_candidate_keeps_the_numbers_of_today(void **state)
{
    (void)state;
    const struct rule_definition saved[] = {
        define("viewers", "count(product.viewed within 7d) >= 3", 1),
        define("buyers", "count(order.completed) >= 1", 2),
        define("both", "\"viewers\" in segments and \"buyers\" in segments", 3),
    };
    const struct ruleset *today = build(saved, ARRAY_COUNT(saved));
    struct rule_candidate made;
    struct ruleset_error error = { .type = "" };
    struct rule_definition tried =
        define("tried", "\"viewers\" in segments and count(product.viewed within 7d) >= 2", 0);
    assert_int_equal(rule_candidate_build(arena, today, &tried, &made, &error), STATUS_OK);
    assert_int_equal(made.missing.size, 0);
    assert_int_equal(made.ruleset->rule_count, 2); /* without buyers and both */
    assert_int_equal(made.ruleset->feature_count, 1);
    assert_int_equal(made.ruleset->features[0].number,
                     ruleset_rule(today, STR("viewers"))->features[0]);
    assert_str_equal(made.rule->definition.name, STR("tried"));

    tried = define("tried", "count(product.viewed within 7d) >= 9", 0);
    assert_int_equal(rule_candidate_build(arena, today, &tried, &made, &error), STATUS_OK);
    assert_true(made.missing.size > 0); /* more than is kept */

    tried = define("viewers", "count(product.viewed within 7d) >= 1", 0);
    assert_int_equal(rule_candidate_build(arena, today, &tried, &made, &error), STATUS_OK);
    assert_int_equal(made.rule->definition.slot, 1); /* it stands for the one there is */

    tried = define("viewers", "\"both\" in segments", 0);
    assert_int_equal(rule_candidate_build(arena, today, &tried, &made, &error), STATUS_INVALID);
    assert_string_equal(error.type, "expression-circular");
}

/* --- as of ------------------------------------------------------------------ */

static const struct cut {
    int64_t ago_ms;
    bool as_known_then;
    size_t facts;
    bool verdict;
    const char *why;
} cuts[] = {
    { 0, false, 3, true, "all of it" },
    { HOUR, false, 3, true, "the instant of a fact has it" },
    { HOUR + 1, false, 2, false, "the millisecond before has not" },
    { 3 * DAY, false, 1, false, "the first" },
    { 3 * DAY + 1, false, 0, false, "nothing had happened" },
    { 0, true, 1, false, "two had happened but not come" },
    { DAY, true, 1, false, "what came a day ago" },
    { DAY + 1, true, 0, false, "nothing had come" },
};

static void a_history_is_cut_on_the_millisecond(void **state)
{
    (void)state;
    const struct rule_definition definition = define("one", "count(product.viewed) >= 3", 1);
    const struct ruleset *ruleset = build(&definition, 1);
    const struct history history = some_history(ruleset);
    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
        int64_t at_ms = NOW_MS - cuts[i].ago_ms;
        const struct as_of as_of = { .at_ms = at_ms,
                                     .known_at_ms = cuts[i].as_known_then ? at_ms : INSTANT_NEVER,
                                     .currency = STR("EUR") };
        struct profile profile;
        profile_init(&profile, (struct id){ { 1 } }, NOW_MS);
        assert_row(as_of_fact_count(&history, &as_of) == cuts[i].facts, cuts[i].why);
        bool is_made = profile_as_of(arena, &profile, &history, &as_of);
        assert_row(is_made == (cuts[i].facts > 0), cuts[i].why);
        assert_row((verdict_find(&profile.verdicts, 1) != NULL) == cuts[i].verdict, cuts[i].why);
    }
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_reason_is_a_sentence),
        CASE(a_candidate_keeps_the_numbers_of_today),
        CASE(a_history_is_cut_on_the_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
