#include "base/arena.h"
#include "base/instant.h"
#include "core/profile/profile.h"
#include "core/rule/ruleset.h"
#include "core/rule/verdict.h"
#include "unit.h"

/*
 * Rulesets: what is refused and how it is said, the order of dependence, the
 * indexes, numbers that stay, and the rules every workspace starts with.
 */

enum {
    RULES_MAX = 16
};

#define NOW_MS INT64_C(1795356300000) /* 2026-11-22T14:05:00Z */

static struct arena *arena;
static struct rule_definition definitions[RULES_MAX];
static size_t definition_count;
static struct ruleset_error error;
static struct ruleset *ruleset;
static uint32_t next_number;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create((size_t)64 << 20);
    definition_count = 0;
    next_number = 1;
    ruleset = NULL;
    return arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(arena);
    return 0;
}

static struct rule_definition *define(enum rule_kind kind, const char *name)
{
    struct rule_definition *definition = &definitions[definition_count];
    *definition = (struct rule_definition){
        .name = str_from_z(name),
        .kind = kind,
        .slot = (uint32_t)(10 + definition_count),
        .cases = ARENA_NEW_ARRAY(arena, RULE_CASES_MAX + 1, struct rule_case),
        .enabled = true,
    };
    definition_count++;
    return definition;
}

static void add_case(struct rule_definition *definition, const char *value, const char *when)
{
    struct rule_case *cases = ARENA_NEW_ARRAY(arena, RULE_CASES_MAX + 1, struct rule_case);
    for (size_t i = 0; i < definition->case_count; i++) {
        cases[i] = definition->cases[i];
    }
    cases[definition->case_count++] = (struct rule_case){ str_from_z(value), str_from_z(when) };
    definition->cases = cases;
}

static struct rule_definition *tag(const char *name, const char *when)
{
    struct rule_definition *definition = define(RULE_KIND_TAG, name);
    add_case(definition, "", when);
    return definition;
}

static enum status build_with(const struct feature_number *known, size_t known_count)
{
    return ruleset_build(arena, 7, definitions, definition_count, known, known_count, &next_number,
                         &ruleset, &error);
}

static enum status build(void)
{
    return build_with(NULL, 0);
}

static bool bit(struct rule_bits bits, const char *name)
{
    const struct rule *rule = ruleset_rule(ruleset, str_from_z(name));
    assert_non_null(rule);
    size_t index = (size_t)(rule - ruleset->rules);
    return (bits.words[index / 64] >> (index % 64) & 1) != 0;
}

/* --- what is refused ------------------------------------------------------------ */

static void assert_refused(const char *type, size_t rule, const char *detail)
{
    assert_int_equal(build(), STATUS_INVALID);
    assert_string_equal(error.type, type);
    assert_int_equal(error.rule, rule);
    if (detail != NULL) {
        assert_string_equal(error.error.detail, detail);
    }
    assert_null(ruleset);
    assert_int_equal(next_number, 1);
}

static void test_an_error_names_its_case(void **state)
{
    (void)state;
    tag("fine", "true");
    struct rule_definition *tier = define(RULE_KIND_TIER, "basket");
    add_case(tier, "high", "orders.count > 3");
    add_case(tier, "low", "orders.cuont > 1");
    assert_refused("invalid-expression", 1, NULL);
    assert_int_equal(error.case_index, 1);
    assert_int_equal(error.error.column, 1);
    assert_string_equal(error.error.suggestion, "orders.count");
}

static void test_names_are_unique(void **state)
{
    (void)state;
    tag("same", "true");
    tag("same", "false");
    assert_refused("invalid-field", 1, "another rule is called \"same\"");
}

static void test_names_have_a_form(void **state)
{
    (void)state;
    tag("Upper", "true");
    assert_refused("invalid-field", 0, NULL);
}

static void test_values_are_unique_and_have_a_form(void **state)
{
    (void)state;
    struct rule_definition *tier = define(RULE_KIND_TIER, "basket");
    add_case(tier, "high", "true");
    add_case(tier, "high", "true");
    assert_refused("invalid-field", 0, "the value \"high\" is that of an earlier case");
    assert_int_equal(error.case_index, 1);
    definition_count = 0;
    add_case(define(RULE_KIND_LIFECYCLE, "lifecycle"), "", "true");
    assert_refused("invalid-field", 0, NULL);
}

static void test_a_tag_has_one_case_without_a_value(void **state)
{
    (void)state;
    add_case(define(RULE_KIND_TAG, "one"), "value", "true");
    assert_refused("invalid-field", 0, NULL);
    definition_count = 0;
    define(RULE_KIND_SEGMENT, "none");
    assert_refused("invalid-field", 0, "a rule has at least one case");
}

static void test_there_is_one_lifecycle(void **state)
{
    (void)state;
    add_case(define(RULE_KIND_LIFECYCLE, "lifecycle"), "active", "true");
    add_case(define(RULE_KIND_LIFECYCLE, "stages"), "active", "true");
    assert_refused("invalid-field", 1, "\"lifecycle\" is the lifecycle already");
}

static void test_cases_have_a_limit(void **state)
{
    (void)state;
    struct rule_definition *tier = define(RULE_KIND_TIER, "basket");
    for (int i = 0; i < RULE_CASES_MAX; i++) {
        add_case(tier, str_dup_z(arena, str_printf(arena, "v%d", i)), "orders.count > 1");
    }
    assert_int_equal(build(), STATUS_OK);
    ruleset = NULL;
    next_number = 1;
    add_case(tier, "more", "true");
    assert_refused("limit-reached", 0, "a rule has at most 20 cases");
}

static void test_rules_have_a_limit(void **state)
{
    (void)state;
    struct rule_definition *many =
        ARENA_NEW_ARRAY(arena, RULESET_RULES_MAX + 1, struct rule_definition);
    static const struct rule_case only = { .when = { "true", 4 } };
    for (size_t i = 0; i <= RULESET_RULES_MAX; i++) {
        many[i] = (struct rule_definition){ .name = str_printf(arena, "r%zu", i),
                                            .kind = RULE_KIND_TAG,
                                            .slot = (uint32_t)i,
                                            .cases = &only,
                                            .case_count = 1,
                                            .enabled = true };
    }
    assert_int_equal(
        ruleset_build(arena, 1, many, RULESET_RULES_MAX, NULL, 0, &next_number, &ruleset, &error),
        STATUS_OK);
    assert_int_equal(ruleset_build(arena, 1, many, RULESET_RULES_MAX + 1, NULL, 0, &next_number,
                                   &ruleset, &error),
                     STATUS_INVALID);
    assert_string_equal(error.type, "limit-reached");
    assert_int_equal(error.rule, RULESET_RULES_MAX);
}

static void test_a_rule_fits_into_the_state(void **state)
{
    (void)state;
    tag("wide", "sum(order.completed.total within 90d) > sum(order.completed.total within 80d) and "
                "sum(order.completed.total within 70d) > sum(order.completed.total within 60d) and "
                "sum(order.completed.total within 50d) > sum(order.completed.total within 40d) and "
                "sum(order.completed.total within 30d) > sum(order.completed.total within 20d)");
    assert_refused("limit-reached", 0, NULL);
    assert_non_null(strstr(error.error.detail, "sum(order.completed.total within"));
}

static void test_a_circle_is_named(void **state)
{
    (void)state;
    tag("outside", "\"b\" in tags");
    tag("a", "\"c\" in tags");
    tag("b", "\"a\" in tags");
    tag("c", "orders.count > 1 and not \"b\" in tags");
    assert_int_equal(build(), STATUS_INVALID);
    assert_string_equal(error.type, "expression-circular");
    assert_non_null(strstr(error.error.detail, "b -> a -> c -> b"));
    assert_int_equal(error.rule, 2);
}

static void test_a_rule_may_not_refer_to_itself(void **state)
{
    (void)state;
    tag("self", "\"self\" in tags");
    assert_refused("expression-circular", 0, "rules refer to each other in a circle: self -> self");
}

static void test_a_tag_over_all_tags_is_a_circle(void **state)
{
    (void)state;
    tag("any", "traits.favourite in tags");
    assert_refused("expression-circular", 0, NULL);
}

static void test_a_full_arena_is_a_limit(void **state)
{
    (void)state;
    for (size_t size = 1024; size < 64 * 1024; size += 1024) {
        definition_count = 0;
        tag("one", "count(product.viewed within 1d) > 3 and \"two\" in tags");
        tag("two", "orders.count > 3");
        struct arena *small = arena_create(size);
        struct ruleset *built = NULL;
        enum status status = ruleset_build(small, 1, definitions, definition_count, NULL, 0,
                                           &next_number, &built, &error);
        assert_true(status == STATUS_LIMIT || status == STATUS_OK);
        assert_true((built != NULL) == (status == STATUS_OK));
        arena_destroy(small);
    }
}

/* --- order and indexes ------------------------------------------------------------ */

static size_t index_of(const char *name)
{
    const struct rule *rule = ruleset_rule(ruleset, str_from_z(name));
    assert_non_null(rule);
    return (size_t)(rule - ruleset->rules);
}

static void test_rules_come_after_what_they_refer_to(void **state)
{
    (void)state;
    tag("top", "tiers.basket = \"high\" and lifecycle = \"active\"");
    struct rule_definition *tier = define(RULE_KIND_TIER, "basket");
    add_case(tier, "high", "\"base\" in tags");
    tag("base", "orders.count > 1");
    add_case(define(RULE_KIND_LIFECYCLE, "stages"), "active", "true");
    tag("off", "true")->enabled = false;
    assert_int_equal(build(), STATUS_OK);
    assert_int_equal(ruleset->rule_count, 4);
    assert_true(index_of("base") < index_of("basket"));
    assert_true(index_of("basket") < index_of("top"));
    assert_true(index_of("stages") < index_of("top"));
    assert_int_equal(ruleset->rules[index_of("top")].use_count, 2);
    assert_null(ruleset_rule(ruleset, STR("off")));
    assert_ptr_equal(ruleset->lifecycle, ruleset_rule(ruleset, STR("stages")));
    assert_true(bit(ruleset->dependents[index_of("base")], "basket"));
    assert_false(bit(ruleset->dependents[index_of("base")], "top"));
    assert_true(bit(ruleset->dependents[index_of("stages")], "top"));
    assert_ptr_equal(ruleset_rule_by_slot(ruleset, 12), ruleset_rule(ruleset, STR("base")));
    assert_null(ruleset_rule_by_slot(ruleset, 14));
}

/* What a fact matches is looked up; asking every feature must find the same. */
static size_t check_matches(struct property_view *fact)
{
    uint32_t found[RULESET_FEATURES_MAX];
    size_t count = feature_match_all(arena, ruleset, fact, found);
    size_t matching = 0;
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        bool is_found = false;
        for (size_t k = 0; k < count; k++) {
            is_found = is_found || found[k] == i;
        }
        bool matches = feature_matches(arena, &ruleset->features[i], fact);
        assert_int_equal(is_found, matches);
        matching += matches ? 1 : 0;
    }
    assert_int_equal(count, matching);
    return matching;
}

static size_t matches_of(enum event_type type, const char *name, const char *category,
                         const char *properties)
{
    const struct event event = {
        .type = type,
        .name = str_from_z(name),
        .category = str_from_z(category),
        .properties_json = str_from_z(properties),
    };
    struct property_view fact;
    property_view_event(&fact, &event);
    return check_matches(&fact);
}

static void test_features_are_looked_up(void **state)
{
    (void)state;
    tag("a", "count(product.viewed where category = \"Shoes\" within 1d) >= 3");
    tag("b", "count(product.viewed where \"Shoes\" = category and price > 5 within 1d) >= 3");
    tag("c", "count(product.viewed where category = \"Shoes\" or price > 5 within 1d) >= 3");
    tag("d", "count(product.viewed where not category = \"Shoes\" within 1d) >= 3");
    tag("e", "count(product.viewed where price > 5 and size = \"42\" within 1d) >= 3");
    tag("f", "count(product.viewed where size = \"42\" and category = \"Hats\" within 1d) >= 3");
    tag("g", "count(product.viewed where size = 42 within 1d) >= 3");
    tag("h", "count(product.viewed where maker.name = \"Eva\" within 1d) >= 3");
    tag("i", "count(product.viewed where new = \"true\" within 1d) >= 3");
    tag("j", "count(product.viewed where category ~= \"shoes\" within 1d) >= 3");
    tag("k", "count(product.viewed where size = \"\" within 1d) >= 3");
    tag("l", "count(custom.quiz where size = \"42\" within 1d) >= 3");
    tag("m", "count(custom.quiz within 1d) >= 3");
    tag("n", "count(custom.poll where size = \"42\" within 1d) >= 3");
    tag("o", "count(product.viewed within 1d) >= 3");
    assert_int_equal(build(), STATUS_OK);
    assert_int_equal(ruleset->switch_count[EVENT_PRODUCT_VIEWED], 4);
    static const struct {
        const char *category;
        const char *properties;
        size_t matching;
    } views[] = {
        { "Shoes", "{}", 4 },                           /* a c j o */
        { "", "{\"category\":\"Shoes\"}", 4 },          /* the same, from the text */
        { "Shoes", "{\"price\":6}", 5 },                /* and b */
        { "Hats", "{\"price\":\"6\"}", 3 },             /* c d o */
        { "Hats", "{\"size\":42}", 4 },                 /* d f g o */
        { "Hats", "{\"size\":\"42\",\"price\":9}", 6 }, /* c d e f g o */
        { "Hats", "{\"size\":[\"42\"]}", 2 },           /* a list is no text */
        { "Hats", "{\"size\":\"\"}", 3 },               /* k */
        { "Hats", "{\"size\":null}", 2 },
        { "Hats", "{\"maker\":{\"name\":\"Eva\"}}", 3 },
        { "Hats", "{\"new\":true}", 2 }, /* a truth is no text */
        { "", "{\"category\":[\"Shoes\"]}", 2 },
        { "", "", 2 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
        size_t matching = matches_of(EVENT_PRODUCT_VIEWED, "product.viewed", views[i].category,
                                     views[i].properties);
        assert_int_equal(matching, views[i].matching);
    }
    assert_int_equal(matches_of(EVENT_CUSTOM, "custom.quiz", "", "{\"size\":\"42\"}"), 2);
    assert_int_equal(matches_of(EVENT_CUSTOM, "custom.quiz", "", "{}"), 1);
    assert_int_equal(matches_of(EVENT_CUSTOM, "custom.poll", "", "{\"size\":42}"), 1);
    assert_int_equal(matches_of(EVENT_CUSTOM, "custom.other", "", "{\"size\":42}"), 0);
    assert_int_equal(matches_of(EVENT_CART_UPDATED, "cart.updated", "", "{}"), 0);
}

static bool is_asked(const char *name, const struct feature_set *features,
                     const struct verdict_set *verdicts)
{
    uint64_t words[1] = { ruleset->all.words[0] };
    uint64_t spare[1] = { 0 };
    ruleset_leave_silent(ruleset, features, verdicts, words, spare);
    return bit((struct rule_bits){ words }, name);
}

static void test_who_never_did_is_not_asked(void **state)
{
    (void)state;
    tag("views", "count(product.viewed within 1d) >= 2");
    tag("french", "traits.country = \"FR\" and count(product.viewed within 1d) >= 2");
    tag("either", "count(product.viewed within 1d) >= 2 or orders.count > 1");
    tag("both", "count(product.viewed within 1d) >= 2 or count(email.opened) >= 1");
    tag("few", "count(product.viewed within 1d) < 2");
    tag("least", "min(order.completed.total within 90d) < 5");
    struct rule_definition *tier = define(RULE_KIND_TIER, "viewer");
    add_case(tier, "many", "count(product.viewed within 1d) >= 2");
    add_case(tier, "all", "orders.count >= 0");
    assert_int_equal(build(), STATUS_OK);

    struct feature_set features = { 0 };
    struct verdict_set verdicts = { 0 };
    assert_false(is_asked("views", &features, &verdicts));
    assert_false(is_asked("french", &features, &verdicts));
    assert_true(is_asked("either", &features, &verdicts));
    assert_false(is_asked("both", &features, &verdicts));
    assert_true(is_asked("few", &features, &verdicts));
    assert_false(is_asked("least", &features, &verdicts)); /* of nothing: null */
    assert_true(is_asked("viewer", &features, &verdicts));

    struct feature_state opened = {
        .number = ruleset_rule(ruleset, STR("both"))->features[0],
    };
    const struct rule *views = ruleset_rule(ruleset, STR("views"));
    if (opened.number == views->features[0]) {
        opened.number = ruleset_rule(ruleset, STR("both"))->features[1];
    }
    features = (struct feature_set){ .items = &opened, .count = 1 };
    assert_true(is_asked("both", &features, &verdicts));
    assert_false(is_asked("views", &features, &verdicts));

    /* Whoever is in it must be told that they left. */
    const struct verdict held = { .slot = views->definition.slot };
    verdicts = (struct verdict_set){ .items = &held, .count = 1 };
    assert_true(is_asked("views", &features, &verdicts));
    assert_false(is_asked("french", &features, &verdicts));
}

static void test_indexes(void **state)
{
    (void)state;
    tag("orders", "orders.count > 1");
    tag("views", "count(product.viewed where category = \"Shoes\" within 1d) >= 3");
    tag("same_views", "not count(product.viewed where category = \"Shoes\" within 24h) >= 2");
    tag("carts", "age(cart.updated_at) > 1h");
    tag("lives", "count(product.viewed) >= 3");
    assert_int_equal(build(), STATUS_OK);
    assert_int_equal(ruleset->feature_count, 2);
    assert_int_equal(ruleset->fed_count[EVENT_PRODUCT_VIEWED], 2);
    assert_int_equal(ruleset->fed_count[EVENT_CART_UPDATED], 0);
    assert_true(bit(ruleset->by_part[RULE_PART_ORDERS], "orders"));
    assert_false(bit(ruleset->by_part[RULE_PART_ORDERS], "views"));
    assert_true(bit(ruleset->by_part[RULE_PART_CART], "carts"));
    assert_true(bit(ruleset->timed, "carts"));
    assert_true(bit(ruleset->timed, "views"));
    assert_false(bit(ruleset->timed, "orders"));
    assert_false(bit(ruleset->timed, "lives"));
    assert_true(bit(ruleset->all, "lives"));
    const struct rule *views = ruleset_rule(ruleset, STR("views"));
    assert_int_equal(views->feature_count, 1);
    const struct feature *feature = ruleset_feature(ruleset, views->features[0]);
    assert_int_equal(feature->form, FEATURE_NEWEST);
    assert_int_equal(feature->keep, 4);
    assert_true(str_equal(
        feature->text, STR("count(product.viewed where category = \"Shoes\" within 1d) up to 3")));
    size_t index = (size_t)(feature - ruleset->features);
    assert_true(bit(ruleset->by_feature[index], "views"));
    assert_true(bit(ruleset->by_feature[index], "same_views"));
    assert_false(bit(ruleset->by_feature[index], "lives"));
}

static void test_percentiles_asked_for_are_listed_once(void **state)
{
    (void)state;
    tag("a", "orders.revenue > percentile(orders.revenue, 90)");
    tag("b", "orders.revenue > percentile(orders.revenue, 90) and "
             "orders.count > percentile(orders.count, 50)");
    assert_int_equal(build(), STATUS_OK);
    assert_int_equal(ruleset->percent_count, 2);
    assert_int_equal(ruleset->percents[0], 90 * RULE_NUMBER_ONE);
    assert_int_equal(ruleset->percent_attributes[1], RULE_ORDERS_COUNT);
}

/* --- forms -------------------------------------------------------------------------- */

static const struct form_case {
    const char *when;
    enum feature_form form;
    uint32_t keep;
} forms[] = {
    { "count(product.viewed within 1d) >= 3", FEATURE_NEWEST, 4 },
    { "count(product.viewed within 1d) > 2.5", FEATURE_NEWEST, 4 },
    { "count(product.viewed within 1d) = 0", FEATURE_NEWEST, 1 },
    { "count(product.viewed within 1d) > -4", FEATURE_NEWEST, 1 },
    { "count(product.viewed within 1d) >= 64", FEATURE_NEWEST, 65 },
    { "count(product.viewed within 1d) >= 65", FEATURE_WINDOW, 0 },
    { "count(product.viewed within 1d) >= orders.count", FEATURE_WINDOW, 0 },
    { "count(product.viewed within 1d) * 2 >= 5", FEATURE_WINDOW, 0 },
    { "count(product.viewed after orders.last_at) >= 2", FEATURE_NEWEST, 3 },
    { "count(product.viewed) >= 3", FEATURE_TOTAL, 0 },
    { "sum(order.completed.total within 90d) > 500", FEATURE_WINDOW, 0 },
    { "sum(order.completed.total) > 500", FEATURE_TOTAL, 0 },
    { "avg(order.completed.total) > 500", FEATURE_TOTAL, 0 },
    { "max(product.viewed.price within 2d) > 5", FEATURE_WINDOW, 0 },
    { "distinct(product.viewed.product_id within 7d) > 5", FEATURE_DISTINCT, 6 },
    { "distinct(product.viewed.product_id) > orders.count", FEATURE_DISTINCT, 65 },
    { "max_count(product.viewed by category within 1d) >= 3", FEATURE_KEYED, 4 },
    { "last(product.viewed) > orders.last_at", FEATURE_EDGE, 0 },
};

static void test_forms_follow_from_what_is_asked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        definition_count = 0;
        tag("one", forms[i].when);
        assert_int_equal(build(), STATUS_OK);
        assert_int_equal(ruleset->feature_count, 1);
        assert_int_equal(ruleset->features[0].form, forms[i].form);
        assert_int_equal(ruleset->features[0].keep, forms[i].keep);
    }
}

static void test_one_text_in_two_forms_is_two_features(void **state)
{
    (void)state;
    tag("few", "count(product.viewed within 1d) >= 3");
    tag("many", "count(product.viewed within 1d) >= 100");
    tag("total", "count(product.viewed) >= 3");
    tag("since", "count(product.viewed after orders.last_at) >= 3");
    assert_int_equal(build(), STATUS_OK);
    assert_int_equal(ruleset->feature_count, 4);
}

/* --- numbers that stay ---------------------------------------------------------------- */

static void test_numbers_stay_unless_more_must_be_kept(void **state)
{
    (void)state;
    tag("views", "count(product.viewed within 1d) >= 3");
    tag("carts", "count(cart.updated within 1d) >= 3");
    assert_int_equal(build(), STATUS_OK);
    const struct ruleset *first = ruleset;
    assert_true(ruleset_needs_history(NULL, first));
    struct feature_number known[2];
    for (size_t i = 0; i < 2; i++) {
        const struct feature *feature = &first->features[i];
        known[i] = (struct feature_number){ feature->key, feature->number, feature->version,
                                            feature->keep };
    }
    uint32_t views = ruleset_rule(first, STR("views"))->features[0];
    uint32_t carts = ruleset_rule(first, STR("carts"))->features[0];

    definition_count = 0;
    tag("views", "count(product.viewed within 1d) >= 2");
    tag("carts", "count(cart.updated within 1d) >= 3 and orders.count > 1");
    assert_int_equal(build_with(known, 2), STATUS_OK);
    assert_int_equal(ruleset_rule(ruleset, STR("views"))->features[0], views);
    assert_int_equal(ruleset_feature(ruleset, views)->keep, 4);
    assert_false(ruleset_needs_history(first, ruleset));
    assert_int_equal(next_number, 3);

    definition_count = 0;
    tag("views", "count(product.viewed within 1d) >= 5");
    tag("carts", "count(cart.updated within 1d) >= 3");
    assert_int_equal(build_with(known, 2), STATUS_OK);
    assert_int_equal(ruleset_rule(ruleset, STR("views"))->features[0], 3);
    assert_int_equal(ruleset_feature(ruleset, 3)->keep, 6);
    assert_int_equal(ruleset_rule(ruleset, STR("carts"))->features[0], carts);
    assert_true(ruleset_needs_history(first, ruleset));
    assert_false(ruleset_needs_history(ruleset, first) && ruleset_feature(first, 3) != NULL);
}

/* --- verdicts ----------------------------------------------------------------------------- */

static struct profile profile;
static struct rule_subject subject;

static void begin_profile(const struct statistics *statistics)
{
    profile_init(&profile, (struct id){ { 1 } }, NOW_MS - 400 * INSTANT_DAY_MS);
    profile.first_seen_at_ms = NOW_MS - 400 * INSTANT_DAY_MS;
    profile.last_seen_at_ms = INSTANT_NONE;
    indicators_init(&profile.indicators);
    subject = (struct rule_subject){
        .profile = &profile,
        .ruleset = ruleset,
        .statistics = statistics,
        .currency = STR("EUR"),
    };
}

static void ship(void)
{
    definition_count = 0;
    for (const struct rule_definition *shipped = rule_shipped(0); shipped != NULL;
         shipped = rule_shipped(definition_count)) {
        definitions[definition_count] = *shipped;
        definitions[definition_count].slot = (uint32_t)definition_count;
        definition_count++;
    }
    enum status status = build();
    if (status != STATUS_OK) {
        print_error("%s\n", error.error.detail);
    }
    assert_int_equal(status, STATUS_OK);
}

static const char *verdict_at(const char *name, int64_t at_ms, int64_t *out_until_ms)
{
    const struct rule *rule = ruleset_rule(ruleset, str_from_z(name));
    assert_non_null(rule);
    struct str value = { 0 };
    if (!rule_verdict(arena, rule, &subject, at_ms, &value, out_until_ms)) {
        return "";
    }
    return rule->definition.kind == RULE_KIND_TAG ? "yes" : str_dup_z(arena, value);
}

static void test_the_shipped_lifecycle_steps_to_the_millisecond(void **state)
{
    (void)state;
    ship();
    begin_profile(NULL);
    int64_t first_ms = NOW_MS;
    profile.first_seen_at_ms = first_ms;
    profile.last_seen_at_ms = first_ms;
    profile.orders.count = 1;
    static const struct {
        const char *stage;
        int64_t from_ms;
    } steps[] = {
        { "new", 0 },
        { "active", 30 * INSTANT_DAY_MS },
        { "lapsed", 60 * INSTANT_DAY_MS + 1 },
        { "churned", 180 * INSTANT_DAY_MS + 1 },
    };
    for (int never_acted = 0; never_acted < 2; never_acted++) {
        profile.last_seen_at_ms = never_acted ? INSTANT_NONE : first_ms;
        int64_t at_ms = first_ms;
        for (size_t i = 0; i < 4; i++) {
            int64_t until_ms = 0;
            assert_int_equal(at_ms, first_ms + steps[i].from_ms);
            assert_string_equal(verdict_at("lifecycle", at_ms, &until_ms), steps[i].stage);
            at_ms = until_ms;
        }
        assert_true(at_ms == INSTANT_NEVER);
    }
}

static void test_the_shipped_cart_is_abandoned_between_an_hour_and_a_week(void **state)
{
    (void)state;
    ship();
    begin_profile(NULL);
    int64_t until_ms = 0;
    assert_string_equal(verdict_at("abandoned_cart", NOW_MS, &until_ms), "");
    assert_true(until_ms == INSTANT_NEVER);
    profile.cart_json = STR("{\"items_count\":2,\"value\":10}");
    profile.cart_at_ms = NOW_MS;
    assert_string_equal(verdict_at("abandoned_cart", NOW_MS, &until_ms), "");
    assert_int_equal(until_ms, NOW_MS + INSTANT_HOUR_MS);
    assert_string_equal(verdict_at("abandoned_cart", until_ms, &until_ms), "yes");
    assert_int_equal(until_ms, NOW_MS + 7 * INSTANT_DAY_MS);
    assert_string_equal(verdict_at("abandoned_cart", until_ms, &until_ms), "");
}

static const int64_t percents[] = { 33300000, 66700000 };
static const int64_t thresholds[] = { 50 * RULE_NUMBER_ONE, 100 * RULE_NUMBER_ONE };

static void test_the_shipped_tier_has_three_thirds(void **state)
{
    (void)state;
    ship();
    struct statistic statistic = { .attribute = RULE_ORDERS_AVERAGE_VALUE,
                                   .n = STATISTIC_COUNT_MIN,
                                   .percents = percents,
                                   .thresholds = thresholds,
                                   .count = 2 };
    struct statistics statistics = { .version = 1, .items = &statistic, .count = 1 };
    begin_profile(&statistics);
    profile.orders.count = 2;
    static const struct {
        int64_t gross_minor;
        const char *value;
    } values[] = {
        { 20002, "high" }, { 20000, "mid" }, { 10002, "mid" }, { 10000, "low" }, { 2, "low" },
    };
    for (size_t i = 0; i < 5; i++) {
        profile.orders.gross_minor = values[i].gross_minor;
        assert_string_equal(verdict_at("basket", NOW_MS, NULL), values[i].value);
    }
    statistic.n = STATISTIC_COUNT_MIN - 1;
    assert_string_equal(verdict_at("basket", NOW_MS, NULL), "");
    statistic.n = STATISTIC_COUNT_MIN;
    profile.orders.count = 0;
    assert_string_equal(verdict_at("basket", NOW_MS, NULL), "");
}

static void test_a_tier_is_left_a_share_below_its_threshold(void **state)
{
    (void)state;
    ship();
    struct statistic statistic = { .attribute = RULE_ORDERS_AVERAGE_VALUE,
                                   .n = STATISTIC_COUNT_MIN,
                                   .percents = percents,
                                   .thresholds = thresholds,
                                   .count = 2 };
    struct statistics statistics = { .version = 1, .items = &statistic, .count = 1 };
    begin_profile(&statistics);
    profile.orders.count = 1;
    profile.orders.gross_minor = 9900; /* 99: under 100, above 98 */
    assert_string_equal(verdict_at("basket", NOW_MS, NULL), "mid");
    uint32_t slot = ruleset_rule(ruleset, STR("basket"))->definition.slot;
    struct verdict high = { .value = STR("high"), .since_ms = 1 };
    assert_true(verdict_put(arena, &profile.verdicts, slot, &high));
    assert_string_equal(verdict_at("basket", NOW_MS, NULL), "high");
    profile.orders.gross_minor = 9800;
    assert_string_equal(verdict_at("basket", NOW_MS, NULL), "mid");
    struct verdict low = { .value = STR("low"), .since_ms = 1 };
    assert_true(verdict_put(arena, &profile.verdicts, slot, &low));
    profile.orders.gross_minor = 4950;
    assert_string_equal(verdict_at("basket", NOW_MS, NULL), "low");
    profile.orders.gross_minor = 5100;
    assert_string_equal(verdict_at("basket", NOW_MS, NULL), "mid");
}

static void test_an_earlier_case_that_may_begin_bounds_the_verdict(void **state)
{
    (void)state;
    struct rule_definition *tier = define(RULE_KIND_TIER, "age");
    add_case(tier, "old", "age(created_at) >= 500d");
    add_case(tier, "young", "age(created_at) >= 100d");
    assert_int_equal(build(), STATUS_OK);
    begin_profile(NULL);
    int64_t until_ms = 0;
    assert_string_equal(verdict_at("age", NOW_MS, &until_ms), "young");
    assert_int_equal(until_ms, NOW_MS + 100 * INSTANT_DAY_MS);
    assert_string_equal(verdict_at("age", until_ms, &until_ms), "old");
    assert_true(until_ms == INSTANT_NEVER);
}

static void test_labels_are_read_through_the_ruleset(void **state)
{
    (void)state;
    tag("base", "orders.count > 1");
    tag("above", "\"base\" in tags");
    struct rule_definition *segment = define(RULE_KIND_SEGMENT, "any");
    add_case(segment, "", "traits.favourite in tags and lifecycle = \"active\"");
    add_case(define(RULE_KIND_LIFECYCLE, "stages"), "active", "true");
    assert_int_equal(build(), STATUS_OK);
    begin_profile(NULL);
    struct profile_fact favourite = { .kind = FACT_TRAIT,
                                      .key = STR("favourite"),
                                      .value_json = STR("\"base\"") };
    profile.facts = &favourite;
    profile.fact_count = 1;
    assert_string_equal(verdict_at("above", NOW_MS, NULL), "");
    struct verdict holds = { .since_ms = 1 };
    struct verdict active = { .value = STR("active"), .since_ms = 1 };
    assert_true(verdict_put(arena, &profile.verdicts, 10, &holds));
    assert_string_equal(verdict_at("above", NOW_MS, NULL), "yes");
    assert_false(rule_verdict(arena, ruleset_rule(ruleset, STR("any")), &subject, NOW_MS,
                              &(struct str){ 0 }, NULL));
    assert_true(verdict_put(arena, &profile.verdicts, 13, &active));
    assert_true(rule_verdict(arena, ruleset_rule(ruleset, STR("any")), &subject, NOW_MS,
                             &(struct str){ 0 }, NULL));
}

static void test_a_set_of_verdicts_is_replaced_not_changed(void **state)
{
    (void)state;
    struct verdict_set set = { 0 };
    static const uint32_t slots[] = { 5, 1, 9, 3 };
    for (size_t i = 0; i < 4; i++) {
        struct verdict verdict = { .value = STR("v"), .since_ms = (int64_t)i };
        assert_true(verdict_put(arena, &set, slots[i], &verdict));
    }
    struct verdict_set before = set;
    assert_true(verdict_put(arena, &set, 5, NULL));
    assert_true(verdict_put(arena, &set, 7, NULL));
    assert_true(verdict_put(arena, &set, 3, &(struct verdict){ .since_ms = 42 }));
    assert_int_equal(set.count, 3);
    assert_int_equal(before.count, 4);
    assert_non_null(verdict_find(&before, 5));
    assert_null(verdict_find(&set, 5));
    assert_int_equal(verdict_find(&set, 3)->since_ms, 42);
    assert_int_equal(verdict_find(&before, 3)->since_ms, 3);
    for (size_t i = 1; i < set.count; i++) {
        assert_true(set.items[i - 1].slot < set.items[i].slot);
    }
}

static void test_quintiles(void **state)
{
    (void)state;
    static const int64_t fifths[] = { 20000000, 40000000, 60000000, 80000000 };
    static const int64_t edges[] = { 10, 20, 30, 40 };
    struct statistic statistic = { .attribute = RULE_ORDERS_COUNT,
                                   .n = 100,
                                   .percents = fifths,
                                   .thresholds = edges,
                                   .count = 4 };
    struct statistics statistics = { .version = 1, .items = &statistic, .count = 1 };
    assert_int_equal(statistics_quintile(&statistics, RULE_ORDERS_COUNT, 10), 1);
    assert_int_equal(statistics_quintile(&statistics, RULE_ORDERS_COUNT, 11), 2);
    assert_int_equal(statistics_quintile(&statistics, RULE_ORDERS_COUNT, 41), 5);
    assert_int_equal(statistics_quintile(&statistics, RULE_ORDERS_REVENUE, 41), 0);
    assert_int_equal(statistics_quintile(NULL, RULE_ORDERS_COUNT, 41), 0);
    statistic.count = 3;
    assert_int_equal(statistics_quintile(&statistics, RULE_ORDERS_COUNT, 41), 0);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_an_error_names_its_case),
        CASE(test_names_are_unique),
        CASE(test_names_have_a_form),
        CASE(test_values_are_unique_and_have_a_form),
        CASE(test_a_tag_has_one_case_without_a_value),
        CASE(test_there_is_one_lifecycle),
        CASE(test_cases_have_a_limit),
        CASE(test_rules_have_a_limit),
        CASE(test_a_rule_fits_into_the_state),
        CASE(test_a_circle_is_named),
        CASE(test_a_rule_may_not_refer_to_itself),
        CASE(test_a_tag_over_all_tags_is_a_circle),
        CASE(test_a_full_arena_is_a_limit),
        CASE(test_rules_come_after_what_they_refer_to),
        CASE(test_features_are_looked_up),
        CASE(test_indexes),
        CASE(test_who_never_did_is_not_asked),
        CASE(test_percentiles_asked_for_are_listed_once),
        CASE(test_forms_follow_from_what_is_asked),
        CASE(test_one_text_in_two_forms_is_two_features),
        CASE(test_numbers_stay_unless_more_must_be_kept),
        CASE(test_the_shipped_lifecycle_steps_to_the_millisecond),
        CASE(test_the_shipped_cart_is_abandoned_between_an_hour_and_a_week),
        CASE(test_the_shipped_tier_has_three_thirds),
        CASE(test_a_tier_is_left_a_share_below_its_threshold),
        CASE(test_an_earlier_case_that_may_begin_bounds_the_verdict),
        CASE(test_labels_are_read_through_the_ruleset),
        CASE(test_a_set_of_verdicts_is_replaced_not_changed),
        CASE(test_quintiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
