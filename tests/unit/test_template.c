#include "base/instant.h"
#include "core/profile/profile.h"
#include "core/rule/ruleset.h"
#include "core/rule/verdict.h"
#include "core/trigger/template.h"
#include "unit.h"

/*
 * Templates and the names in them: what is said of a customer, an event and a
 * verdict, with its type or as text; what is refused and where.
 */

#define NOW_MS INT64_C(1795356300000) /* 2026-11-22T14:05:00Z */

#define TEXT(literal)                   \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    } /* STR() is no constant */

static struct arena *arena;

static struct profile_fact facts[] = {
    { .kind = FACT_TRAIT, .key = TEXT("birth_date"), .value_json = TEXT("\"1988-02-29\"") },
    { .kind = FACT_TRAIT, .key = TEXT("email"), .value_json = TEXT("\"jane@example.com\"") },
    { .kind = FACT_TRAIT, .key = TEXT("first_name"), .value_json = TEXT("\"Jane \\\"J\\\"\"") },
    { .kind = FACT_TRAIT, .key = TEXT("phone"), .value_json = TEXT("\"+33612345678\"") },
    { .kind = FACT_TRAIT, .key = TEXT("points"), .value_json = TEXT("120.50") },
    { .kind = FACT_TRAIT, .key = TEXT("shoe.size"), .value_json = TEXT("{\"eu\":42}") },
    { .kind = FACT_PREFERENCE,
      .key = TEXT("interests"),
      .value_json = TEXT("[\"premium\",\"running\"]") },
    { .kind = FACT_CONSENT, .key = TEXT("email"), .value_json = TEXT("\"subscribed\"") },
};

static struct profile profile;
static struct profile_labels labels;
static struct profile_tier tier = { TEXT("basket"), TEXT("high") };
static struct event event;
static struct property_view fact;
static struct rule rule;
static struct transition_row transition;
static struct message message;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create((size_t)8 * 1024 * 1024);
    profile_init(&profile, (struct id){ { 1 } }, NOW_MS - INSTANT_DAY_MS);
    profile.facts = facts;
    profile.fact_count = ARRAY_COUNT(facts);
    profile.sequence = 418;
    profile.orders = (struct profile_orders){ .count = 3,
                                              .gross_minor = 12490,
                                              .first_at_ms = NOW_MS - INSTANT_DAY_MS,
                                              .last_at_ms = NOW_MS };
    profile.cart_json = STR("{\"value\":10,\"recovery_url\":\"https://x.example/r\"}");
    labels = (struct profile_labels){ .tiers = &tier, .tier_count = 1 };
    event = (struct event){
        .id = { { 2 } },
        .type = EVENT_ORDER_COMPLETED,
        .name = STR("order.completed"),
        .occurred_at_ms = NOW_MS,
        .currency = STR("EUR"),
        .has_amount = true,
        .amount_minor = 13250,
        .properties_json = STR("{\"order_id\":\"1001\",\"total\":132.50,\"email\":\"x@y.example\","
                               "\"products\":[{\"sku\":\"a\"},{\"sku\":\"b\"}],"
                               "\"shipping_address\":{\"city\":\"Paris\"}}"),
        .context_json = STR("{\"campaign\":{\"source\":\"mail\"}}"),
    };
    property_view_event(&fact, &event);
    rule.definition = (struct rule_definition){
        .name = STR("basket"), .title = STR("Basket value"), .kind = RULE_KIND_TIER, .version = 7
    };
    transition = (struct transition_row){
        .rule = &rule, .had = false, .has = true, .to = STR("high"), .at_ms = NOW_MS
    };
    message = (struct message){
        .id = { { 3 } },
        .topic = STR("tier.changed"),
        .at_ms = NOW_MS,
        .recorded_at_ms = NOW_MS + 5,
        .workspace = STR("aurora"),
        .currency = STR("EUR"),
        .sequence = 418,
        .profile = &profile,
        .labels = &labels,
        .subject = { .profile = &profile,
                     .currency = STR("EUR"),
                     .fact = &fact,
                     .source = STR("web") },
        .event = &event,
        .source = STR("web"),
        .fact = &fact,
        .transition = &transition,
        .until_ms = INSTANT_NEVER,
        .previous_since_ms = INSTANT_NONE,
    };
    indicators_init(&profile.indicators);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(arena);
    return 0;
}

static struct str written(const char *text)
{
    struct template template = { NULL, 0 };
    struct rule_error error = { 0 };
    if (template_parse(arena, str_from_z(text), NULL, &template, &error) != STATUS_OK) {
        fail_msg("%s: %s", text, error.detail);
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, 65536);
    jsonw_begin(&json, &buf);
    template_write(arena, &json, &template, &message);
    return buf_str(&buf);
}

struct row {
    const char *template;
    const char *json;
    const char *why;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct str seen = written(rows[i].template);
        if (!str_equal_z(seen, rows[i].json)) {
            fail_msg("%s (%s): %.*s is not %s", rows[i].template, rows[i].why, STR_ARG(seen),
                     rows[i].json);
        }
    }
}

static void tells_what_a_message_has(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "", "\"\"", "nothing is an empty text" },
        { "plain } text", "\"plain } text\"", "text is itself" },
        { "{{name} {{{{", "\"{name} {{\"", "two braces are one" },
        { "{orders.count}", "3", "a number keeps its type" },
        { "{profile.orders.revenue}", "124.90", "money has its decimals" },
        { "{orders.average_value}", "41.63", "and is rounded as everywhere" },
        { "{orders.currency}", "\"EUR\"", "beside its currency" },
        { "{identified}", "false", "a bool" },
        { "{preferences.interests}", "[\"premium\",\"running\"]", "a list" },
        { "I like {preferences.interests}.", "\"I like premium, running.\"", "a list in a text" },
        { "{tags}", "[]", "a list of nothing" },
        { "{traits.points}", "120.50", "a trait as it was told" },
        { "{traits.shoe.size}", "{\"eu\":42}", "a trait that is an object, its key dotted" },
        { "{traits.unknown}", "null", "what is not there is null" },
        { "Hi {traits.unknown}!", "\"Hi !\"", "and nothing in a text" },
        { "{profile.first_name}", "\"Jane \\\"J\\\"\"", "quotes stay escaped" },
        { "Hi {first_name}", "\"Hi Jane \\\"J\\\"\"", "and are escaped anew" },
        { "{consent.email}/{consent.sms}", "\"subscribed/never\"", "consent is never unknown" },
        { "{tiers}", "{\"basket\":\"high\"}", "tiers as a whole" },
        { "{profile.id}", "\"01000000-0000-0000-0000-000000000000\"", "an id" },
        { "{profile.orders.last_at}", "\"2026-11-22T14:05:00.000Z\"", "an instant" },
        { "{event.total}", "132.50", "a property as it was told" },
        { "{event.order_id} for {event.total}", "\"1001 for 132.50\"", "two of them" },
        { "{event.products.sku}", "[\"a\",\"b\"]", "through an array" },
        { "{event.context.campaign.source}", "\"mail\"", "the context" },
        { "{event.type} {event.source}", "\"order.completed web\"", "of the event itself" },
        { "{transition.from}", "null", "from nothing" },
        { "{transition.rule}: {transition.to} ({transition.kind})", "\"basket: high (tier)\"",
          "the transition" },
        { "{tier.title} v{tier.rule_version}", "\"Basket value v7\"", "the rule" },
        { "{segment.name}", "null", "it is not about a segment" },
        { "{tier.until}", "null", "never" },
        { "{merge.from_id}", "null", "nor a merge" },
        { "{notification.workspace}/{notification.sequence}", "\"aurora/418\"", "the envelope" },
        { "{notification.cause}", "\"event\"", "why" },
        { "{notification.expires_at}", "null", "until the schedule ends" },
    };
    check(rows, ARRAY_COUNT(rows));
}

static void time_alone_has_no_event(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "{event}", "null", "no event" },
        { "{event.total}", "null", "no property" },
        { "{event.type}", "null", "no type" },
        { "{notification.cause}", "\"time\"", "but a cause" },
    };
    message.event = NULL;
    message.fact = NULL;
    message.subject.fact = NULL;
    check(rows, ARRAY_COUNT(rows));
}

static void masks_what_is_personal_under_any_name(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "{email}", "\"j***@example.com\"", "an address" },
        { "mail: {profile.email}", "\"mail: j***@example.com\"", "in a text" },
        { "{phone}", "\"+33*****78\"", "a number" },
        { "{first_name}", "null", "names are gone" },
        { "Hi {traits.first_name}", "\"Hi \"", "in a text too" },
        { "{traits.birth_date}", "null", "a birthday" },
        { "{event.email}", "\"x***@y.example\"", "in a property" },
        { "{event.shipping_address}", "null", "an address as a whole" },
        { "{event.shipping_address.city}", "\"Paris\"", "a city is no address" },
        { "{cart}", "{\"value\":10,\"recovery_url\":null}", "a link that is a key" },
        { "{consent}",
          "{\"email\":\"subscribed\",\"sms\":\"never\",\"push\":\"never\","
          "\"tracking\":\"never\",\"sale\":\"never\"}",
          "a permission is not personal" },
        { "{orders.count}", "3", "nor a number" },
    };
    message.is_masked = true;
    check(rows, ARRAY_COUNT(rows));
    struct str traits = written("{traits}");
    assert_str_equal(traits, STR("{\"birth_date\":null,\"first_name\":null,\"points\":120.50,"
                                 "\"shoe.size\":{\"eu\":42}}"));
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
        uint32_t column;
        uint32_t length;
        const char *detail;
        const char *suggestion;
    } rows[] = {
        { "Hi {profile.emial}", 1, 5, 13,
          "no name is called \"profile.emial\"; did you mean \"email\"?", "email" },
        { "\xc3\xa9\n {segment.nam}", 2, 3, 11,
          "no name is called \"segment.nam\"; did you mean \"segment.name\"?", "segment.name" },
        { "{tiers.baskt}", 1, 2, 11, "no name is called \"tiers.baskt\"", "" },
        { "{}", 1, 2, 0, "no name is called \"\"", "" },
        { "{event.}", 1, 2, 6, "no name is called \"event.\"", "" },
        { "{event.a..b}", 1, 2, 10, "no name is called \"event.a..b\"", "" },
        { "{event.a.b.c.d.e.f.g.h}", 1, 2, 21, "no name is called \"event.a.b.c.d.e.f.g.h\"", "" },
        { "open {email", 1, 6, 1,
          "this brace is not closed; a brace that is meant as text is written {{", "{{" },
        { "{ email }", 1, 2, 7, "no name is called \" email \"; did you mean \"email\"?", "email" },
    };
    static const struct rule_known known[] = { { TEXT("basket"), RULE_KIND_TIER } };
    const struct rule_vocabulary names = { RULE_CONTEXT_FILTER, known, ARRAY_COUNT(known) };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct template template = { NULL, 0 };
        struct rule_error error = { 0 };
        assert_int_equal(template_parse(arena, str_from_z(rows[i].text), &names, &template, &error),
                         STATUS_INVALID);
        assert_string_equal(error.detail, rows[i].detail);
        assert_string_equal(error.suggestion, rows[i].suggestion);
        assert_int_equal(error.line, rows[i].line);
        assert_int_equal(error.column, rows[i].column);
        assert_int_equal(error.length, rows[i].length);
        assert_null(template.parts);
    }
    struct template template;
    struct rule_error error;
    assert_int_equal(template_parse(arena, STR("{tiers.basket}"), &names, &template, &error),
                     STATUS_OK);
}

static void has_limits(void **state)
{
    (void)state;
    static char text[TEMPLATE_BYTES_MAX + 1];
    struct template template;
    struct rule_error error;
    memset(text, 'x', sizeof(text));
    assert_int_equal(
        template_parse(arena, (struct str){ text, TEMPLATE_BYTES_MAX }, NULL, &template, &error),
        STATUS_OK);
    assert_int_equal(
        template_parse(arena, (struct str){ text, sizeof(text) }, NULL, &template, &error),
        STATUS_INVALID);
    for (size_t parts = TEMPLATE_PARTS_MAX; parts <= TEMPLATE_PARTS_MAX + 1; parts++) {
        struct buf buf;
        buf_init(&buf, arena, 65536);
        for (size_t i = 0; i < parts; i++) {
            buf_add_z(&buf, "{email}");
        }
        assert_int_equal(template_parse(arena, buf_str(&buf), NULL, &template, &error),
                         parts == TEMPLATE_PARTS_MAX ? STATUS_OK : STATUS_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_what_a_message_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(time_alone_has_no_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(masks_what_is_personal_under_any_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_it_does_not_know, set_up, tear_down),
        cmocka_unit_test_setup_teardown(has_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
