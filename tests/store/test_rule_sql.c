#include <string.h>

#include "core/profile/profile.h"
#include "core/rule/program.h"
#include "core/rule/sql.h"
#include "pg_fixture.h"
#include "unit.h"

/*
 * What is pushed down to SQL finds whom the program finds, on rows full of nulls
 * and of JSON that is not what anybody expected (correctness 23).
 */

enum {
    PROFILES = 60
};

#define NOW_MS INT64_C(1795356300000) /* 2026-11-22T14:05:00Z */

static uint64_t random_state = 42;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % below);
}

static struct profile profiles[PROFILES];

static const char *const keys[] = { "a", "b", "c" };
static const char *const values[] = {
    "null",       "\"FR\"",     "\"fr\"",     "7",      "7.50",       "-0.0",       "1e3",
    "0.1234567",  "1e20",       "true",       "\"7\"",  "\"7.5\"",    "\"\"",       "[]",
    "[\"FR\",7]", "[[\"FR\"]]", "{\"FR\":1}", "[null]", "\"FRANCE\"", "\"a\\\"b\"", "[7.50]",
};

static struct str json_of(struct arena *arena, const struct profile *profile, enum fact_kind kind)
{
    struct str json = STR("");
    for (size_t i = 0; i < profile->fact_count; i++) {
        const struct profile_fact *fact = &profile->facts[i];
        if (fact->kind == kind) {
            json = str_printf(arena, "%.*s%s\"%.*s\":%.*s", STR_ARG(json), json.size > 0 ? "," : "",
                              STR_ARG(fact->key), STR_ARG(fact->value_json));
        }
    }
    return str_printf(arena, "{%.*s}", STR_ARG(json));
}

static int64_t draw_instant(void)
{
    return draw(3) == 0 ? INSTANT_NONE
                        : NOW_MS - (int64_t)draw(4) * 30 * INSTANT_DAY_MS + (int64_t)draw(3) - 1;
}

static struct str instant_sql(struct arena *arena, int64_t ms)
{
    char text[INSTANT_TEXT_SIZE];
    if (ms == INSTANT_NONE) {
        return STR("NULL");
    }
    instant_format(ms, text);
    return str_printf(arena, "'%s'", text);
}

static void make_profile(struct arena *arena, struct profile *profile, size_t number)
{
    struct id id = { { 0 } };
    id.bytes[ID_SIZE - 1] = (uint8_t)number;
    profile_init(profile, id, NOW_MS);
    profile->first_seen_at_ms = NOW_MS - 60 * INSTANT_DAY_MS;
    profile->last_seen_at_ms = draw_instant();
    profile->signed_up_at_ms = draw_instant();
    profile->identified = draw(2) > 0;
    profile->orders.count = draw(4);
    profile->orders.foreign_count = draw((uint32_t)profile->orders.count + 1);
    profile->orders.gross_minor = draw(2000);
    profile->orders.refunded_minor = draw(500);
    profile->orders.largest_minor = draw(1000);
    profile->orders.last_at_ms = draw_instant();
    profile->facts = ARENA_NEW_ARRAY(arena, 8, struct profile_fact);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (draw(5) > 0) {
            profile->facts[profile->fact_count++] = (struct profile_fact){
                .kind = FACT_TRAIT,
                .key = str_from_z(keys[i]),
                .value_json = str_from_z(values[draw(ARRAY_COUNT(values))]),
            };
        }
    }
    if (draw(2) > 0) {
        profile->facts[profile->fact_count++] = (struct profile_fact){
            .kind = FACT_TRAIT, .key = STR("email"), .value_json = STR("\"jane@example.com\"")
        };
    }
    if (draw(2) > 0) {
        profile->facts[profile->fact_count++] =
            (struct profile_fact){ .kind = FACT_PREFERENCE,
                                   .key = STR("i"),
                                   .value_json = str_from_z(values[draw(ARRAY_COUNT(values))]) };
    }
    if (draw(2) > 0) {
        profile->facts[profile->fact_count++] = (struct profile_fact){
            .kind = FACT_CONSENT, .key = STR("email"), .value_json = STR("\"subscribed\"")
        };
    }
}

static void save_profile(const struct pg_fixture *fixture, const struct profile *profile)
{
    struct arena *arena = fixture->arena;
    char id[ID_TEXT_SIZE];
    id_format(profile->id, id);
    struct str traits = json_of(arena, profile, FACT_TRAIT);
    struct str preferences = json_of(arena, profile, FACT_PREFERENCE);
    struct str consent = json_of(arena, profile, FACT_CONSENT);
    bool has_email = profile_fact_value(profile, FACT_TRAIT, "email").size > 0;
    struct str last_seen = instant_sql(arena, profile->last_seen_at_ms);
    struct str signed_up = instant_sql(arena, profile->signed_up_at_ms);
    struct str last_order = instant_sql(arena, profile->orders.last_at_ms);
    struct str first_seen = instant_sql(arena, profile->first_seen_at_ms);
    struct str sql = str_printf(
        arena,
        "INSERT INTO profile (workspace_id, id, sequence, created_at, updated_at, decided_at,"
        " first_seen_at, last_seen_at, signed_up_at, identified, email, orders_count,"
        " orders_foreign_count, orders_gross_minor, orders_refunded_minor, orders_largest_minor,"
        " orders_last_at, traits, preferences, consent, state) VALUES"
        " ('%s', '%s', 1, now(), now(), now(), %.*s, %.*s, %.*s, %s, %s, %d, %d, %d, %d, %d, %.*s,"
        " '%.*s', '%.*s', '%.*s', '')",
        id, id, STR_ARG(first_seen), STR_ARG(last_seen), STR_ARG(signed_up),
        profile->identified ? "true" : "false", has_email ? "'jane@example.com'" : "NULL",
        (int)profile->orders.count, (int)profile->orders.foreign_count,
        (int)profile->orders.gross_minor, (int)profile->orders.refunded_minor,
        (int)profile->orders.largest_minor, STR_ARG(last_order), STR_ARG(traits),
        STR_ARG(preferences), STR_ARG(consent));
    pg_fixture_script(fixture->pg, str_dup_z(arena, sql));
}

static const char *const filters[] = {
    "traits.a is set",
    "traits.a is not set",
    "traits.a = \"FR\"",
    "traits.a = \"7.5\"",
    "traits.a = \"7\"",
    "traits.b = \"0\"",
    "traits.b = \"1000\"",
    "traits.a != \"FR\"",
    "not traits.a = \"FR\"",
    "not traits.a != \"FR\"",
    "traits.b ~= \"fr\"",
    "traits.b starts_with \"FR\"",
    "traits.c < \"FR\"",
    "traits.c >= \"7.5\"",
    "traits.a in (\"FR\", \"7\", \"\")",
    "not traits.a in (\"FR\", \"7.5\")",
    "\"FR\" in traits.a",
    "\"7.5\" in traits.a",
    "\"7\" in preferences.i or \"FR\" in preferences.i",
    "not \"FR\" in preferences.i",
    "email is set",
    "email = \"jane@example.com\"",
    "email != \"x\"",
    "not email contains \"@example\"",
    "email starts_with \"jane\"",
    "phone != \"x\" or phone ~= \"y\"",
    "identified",
    "not identified and orders.count >= 2",
    "identified = true",
    "orders.count != 2",
    "orders.revenue > 9.99",
    "orders.net <= 5",
    "orders.refunded = 0",
    "orders.average_value >= 3.34",
    "orders.average_value != 3.34",
    "not orders.average_value < 5",
    "orders.largest_value is set and orders.foreign_count > 0",
    "orders.revenue > orders.net",
    "age(last_seen_at) >= 30d",
    "age(last_seen_at) > 30d",
    "age(last_seen_at) < 60d",
    "age(last_seen_at) <= 60d",
    "age(last_seen_at) = 30d",
    "age(last_seen_at) != 30d",
    "not age(last_seen_at) > 30d",
    "last_seen_at > signed_up_at",
    "last_seen_at != signed_up_at",
    "orders.last_at >= 2026-10-23T14:05:00Z",
    "signed_up_at is not set",
    "consent.email = \"subscribed\" or consent.sms != \"never\"",
    "lifecycle = \"active\" or lifecycle is set",
    "lifecycle != \"active\"",
    "true and not false",
};

static const char *const refused[] = {
    "engagement.score > 5",
    "count(product.viewed within 1d) > 1",
    "traits.a = 7",
    "traits.a = traits.b",
    "age(traits.a) > 1d",
    "orders.count + 1 > 2",
    "cart.value > 1",
    "traits.email = \"x\"",
    "event.category = \"Shoes\"",
    "orders.revenue > percentile(orders.revenue, 50)",
    "traits.a contains \"FR\"",
};

static struct rule_node *parse(struct arena *arena, const char *text)
{
    static const struct rule_known rules[] = {
        { { "x", 1 }, RULE_KIND_TAG },
        { { "s", 1 }, RULE_KIND_SEGMENT },
        { { "basket", 6 }, RULE_KIND_TIER },
    };
    struct rule_vocabulary vocabulary = {
        .context = RULE_CONTEXT_TRIGGER,
        .rules = rules,
        .rule_count = ARRAY_COUNT(rules),
    };
    struct rule_node *root = NULL;
    struct rule_error error = { 0 };
    if (rule_parse(arena, str_from_z(text), &vocabulary, &root, &error) != STATUS_OK) {
        fail_msg("%s: %s", text, error.detail);
    }
    return root;
}

/* Parameters as literals, from the last: "$12" begins with "$1". */
static struct str fill_in(struct arena *arena, const struct rule_sql *sql)
{
    struct str text = sql->text;
    for (size_t i = sql->parameter_count; i > 0; i--) {
        struct str mark = str_printf(arena, "$%zu::", i);
        for (size_t at = 0; at + mark.size <= text.size; at++) {
            if (memcmp(text.data + at, mark.data, mark.size) == 0) {
                text = str_printf(arena, "%.*s'%.*s'::%.*s", (int)at, text.data,
                                  STR_ARG(sql->parameters[i - 1]),
                                  STR_ARG(str_drop(text, at + mark.size)));
            }
        }
    }
    return text;
}

/* Bit i: the profile whose id ends in i. */
static int64_t found_by(const struct pg_fixture *fixture, const struct rule_node *root,
                        const char *name)
{
    const struct rule_sql_options options = { .currency = STR("EUR"),
                                              .at_ms = NOW_MS,
                                              .first_parameter = 1 };
    struct rule_sql sql;
    struct problem problem = { 0 };
    enum status status = rule_sql(fixture->arena, root, &options, &sql, &problem);
    assert_row(status == STATUS_OK, problem.detail);
    struct str expression = fill_in(fixture->arena, &sql);
    struct str query =
        str_printf(fixture->arena,
                   "SELECT coalesce(bit_or(1::bigint << get_byte(uuid_send(p.id), 15)), 0)::bigint"
                   " FROM profile p WHERE %.*s",
                   STR_ARG(expression));
    return pg_fixture_i64(fixture, name, str_dup_z(fixture->arena, query));
}

static void labels_are_columns(void **state)
{
    static const struct {
        const char *filter;
        int64_t found;
    } rows[] = {
        { "\"x\" in tags", 1 },
        { "not \"x\" in tags", 2 },
        { "\"s\" in segments", 2 },
        { "tiers.basket = \"high\"", 1 },
        { "tiers.basket != \"high\" or tiers.basket is not set", 2 },
        { "not tiers.basket = \"high\" and \"s\" in segments", 2 },
        { "lifecycle = \"active\"", 2 },
        { "lifecycle != \"active\"", 0 },
        { "not lifecycle in (\"active\", \"new\")", 1 },
    };
    struct pg_fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        make_profile(fixture->arena, &profiles[i], i);
        save_profile(fixture, &profiles[i]);
    }
    pg_fixture_script(fixture->pg,
                      "UPDATE profile SET tags = '{x,y}', tiers = '{\"basket\":\"high\"}'"
                      " WHERE get_byte(uuid_send(id), 15) = 0;"
                      "UPDATE profile SET segments = '{s}', lifecycle = 'active'"
                      " WHERE get_byte(uuid_send(id), 15) = 1");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rule_node *root = parse(fixture->arena, rows[i].filter);
        const char *name = str_dup_z(fixture->arena, str_printf(fixture->arena, "l%zu", i));
        assert_row(found_by(fixture, root, name) == rows[i].found, rows[i].filter);
    }
}

static void both_find_the_same(void **state)
{
    struct pg_fixture *fixture = *state;
    struct arena *arena = fixture->arena;
    for (size_t i = 0; i < PROFILES; i++) {
        make_profile(arena, &profiles[i], i);
        save_profile(fixture, &profiles[i]);
    }
    size_t telling = 0;
    for (size_t f = 0; f < ARRAY_COUNT(filters); f++) {
        struct rule_node *root = parse(arena, filters[f]);
        const struct rule_program *program = NULL;
        assert_int_equal(rule_compile(arena, root, NULL, &program), STATUS_OK);
        const char *name = str_dup_z(arena, str_printf(arena, "f%zu", f));
        int64_t found = found_by(fixture, root, name);
        int64_t expected = 0;
        for (size_t i = 0; i < PROFILES; i++) {
            struct rule_subject subject = { .profile = &profiles[i], .currency = STR("EUR") };
            if (rule_evaluate(arena, program, &subject, NOW_MS, NULL)) {
                expected |= INT64_C(1) << i;
            }
        }
        if (found != expected) {
            print_error("%s differs in %llx\n", filters[f], (unsigned long long)(found ^ expected));
        }
        assert_row(found == expected, filters[f]);
        telling += expected != 0 && expected != (INT64_C(1) << PROFILES) - 1;
    }
    assert_true(telling > ARRAY_COUNT(filters) * 3 / 4);
}

static void what_is_no_column_is_refused(void **state)
{
    struct pg_fixture *fixture = *state;
    const struct rule_sql_options options = { .currency = STR("EUR"),
                                              .at_ms = NOW_MS,
                                              .first_parameter = 1 };
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        struct rule_sql sql;
        struct problem problem = { 0 };
        struct rule_node *root = parse(fixture->arena, refused[i]);
        assert_row(rule_sql(fixture->arena, root, &options, &sql, &problem) == STATUS_INVALID,
                   refused[i]);
        assert_non_null(strstr(problem.detail, "cannot be pushed down"));
    }
}

int main(void)
{
#define CASE(function) \
    cmocka_unit_test_setup_teardown(function, pg_fixture_setup_migrated, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(both_find_the_same),
        CASE(labels_are_columns),
        CASE(what_is_no_column_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
