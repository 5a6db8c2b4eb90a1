#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/instant.h"
#include "core/profile/profile.h"
#include "core/rule/property.h"
#include "pg_fixture.h"
#include "store/delivery_permit.h"
#include "unit.h"

/*
 * What is read before a message may leave, in a real database: consent and customers as
 * they stand, and what the message told of as it was written down.
 */

enum {
    SQL_SIZE = 16384,
    QUESTIONS_MAX = 16,
};

static const struct id workspace = { { 1 } };

static struct id id_of(unsigned kind, unsigned number)
{
    struct id id = { { (uint8_t)kind } };
    id.bytes[15] = (uint8_t)number;
    return id;
}

static void ask(const struct pg_fixture *fixture, const struct permit_questions *questions)
{
    struct problem problem = { .detail = "" };
    if (delivery_permit_read(fixture->pg, fixture->arena, workspace, questions, &problem) !=
        STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
}

/* Profiles 1 to 3; 4 was merged into 1; 5 does not decode. */
static void put_profiles(const struct pg_fixture *fixture)
{
    struct profile profile;
    struct str state = { NULL, 0 };
    char hex[2048] = "";
    char sql[SQL_SIZE];
    profile_init(&profile, ID_ZERO, 0);
    assert_true(profile_state_encode(fixture->arena, &profile, &state));
    assert_true(state.size * 2 < sizeof(hex));
    for (size_t i = 0; i < state.size; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)state.data[i]);
    }
    snprintf(sql, sizeof(sql),
             "INSERT INTO profile (workspace_id, id, merged_into, sequence, created_at, updated_at,"
             " decided_at, first_seen_at, identified, orders_count, state, consent)"
             " SELECT '01000000-0000-0000-0000-000000000000', v.id::uuid, v.merged::uuid, 1, now(),"
             " now(), now(), now(), true, v.orders,"
             " CASE WHEN v.orders < 0 THEN '' ELSE '\\x%s'::bytea END, v.consent::jsonb"
             " FROM (VALUES ('40000000-0000-0000-0000-000000000001', NULL, 11,"
             " '{\"email\": \"subscribed\"}'),"
             " ('40000000-0000-0000-0000-000000000002', NULL, 12, '{\"email\": \"unsubscribed\"}'),"
             " ('40000000-0000-0000-0000-000000000003', NULL, 13, '{}'),"
             " ('40000000-0000-0000-0000-000000000004', '40000000-0000-0000-0000-000000000001', 14,"
             " '{\"email\": \"unsubscribed\"}'),"
             " ('40000000-0000-0000-0000-000000000005', NULL, -1, '{}'))"
             " AS v (id, merged, orders, consent)",
             hex);
    pg_fixture_script(fixture->pg, sql);
}

static void consent_is_read_as_it_stands(void **state)
{
    const struct pg_fixture *fixture = *state;
    put_profiles(fixture);
    static const struct {
        unsigned profile;
        bool is_known;
        const char *state;
        const char *why;
    } rows[] = {
        { 1, true, "subscribed", "as it says" },
        { 2, true, "unsubscribed", "as it says" },
        { 3, true, "never", "nothing was ever said" },
        { 4, true, "subscribed", "the survivor's counts" },
        { 9, false, "", "erased" },
    };
    struct consent_question questions[ARRAY_COUNT(rows)];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        questions[i] = (struct consent_question){ .profile_id = id_of(0x40, rows[i].profile),
                                                  .channel = STR("email") };
    }
    ask(fixture,
        &(struct permit_questions){ .consents = questions, .consent_count = ARRAY_COUNT(rows) });
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(questions[i].is_known == rows[i].is_known, rows[i].why);
        assert_row(str_equal_z(questions[i].state, rows[i].state), rows[i].why);
    }
}

/* Beside the consents, in the same round trip. */
static void customers_are_read_as_they_stand(void **state)
{
    const struct pg_fixture *fixture = *state;
    put_profiles(fixture);
    static const struct {
        unsigned profile;
        bool is_known;
        int64_t orders; /* 0: there is no copy */
        const char *why;
    } rows[] = {
        { 2, true, 12, "as it stands" },
        { 1, true, 11, "in the order of asking" },
        { 4, true, 11, "the survivor stands for who was merged" },
        { 2, true, 12, "as often as it is asked" },
        { 5, true, 0, "one that does not decode keeps nobody else from an answer" },
        { 9, false, 0, "erased" },
    };
    struct consent_question consent = { .profile_id = id_of(0x40, 1), .channel = STR("email") };
    struct recheck_question questions[ARRAY_COUNT(rows)];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        questions[i] = (struct recheck_question){ .profile_id = id_of(0x40, rows[i].profile) };
    }
    ask(fixture, &(struct permit_questions){ .consents = &consent,
                                             .consent_count = 1,
                                             .rechecks = questions,
                                             .recheck_count = ARRAY_COUNT(rows) });
    assert_true(str_equal_z(consent.state, "subscribed"));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(questions[i].is_known == rows[i].is_known, rows[i].why);
        assert_row((questions[i].profile != NULL) == (rows[i].orders > 0), rows[i].why);
        if (questions[i].profile != NULL) {
            assert_row(questions[i].profile->orders.count == rows[i].orders, rows[i].why);
        }
    }
    assert_true(id_equal(questions[2].profile->id, id_of(0x40, 1)));
    assert_ptr_not_equal(questions[0].profile, questions[3].profile);
}

/* --- what was told ----------------------------------------------------------- */

/* Notification `number` about a profile, made now. */
static void put_notification(const struct pg_fixture *fixture, int64_t now_ms, unsigned number,
                             unsigned profile, const char *topic, const char *body)
{
    char sql[SQL_SIZE];
    char id[ID_TEXT_SIZE];
    char profile_id[ID_TEXT_SIZE];
    char now[INSTANT_TEXT_SIZE];
    id_format(id_of(0x20, number), id);
    id_format(id_of(0x40, profile), profile_id);
    instant_format(now_ms, now);
    snprintf(sql, sizeof(sql),
             "INSERT INTO notification (workspace_id, created_at, id, profile_id, topic, sequence,"
             " body) VALUES ('01000000-0000-0000-0000-000000000000', '%s', '%s', '%s', '%s', 1,"
             " replace('%s', 'NOW', '%s'))",
             now, id, profile_id, topic, body, now);
    pg_fixture_script(fixture->pg, sql);
}

static void put_facts(const struct pg_fixture *fixture, int64_t now_ms, const char *format)
{
    char sql[SQL_SIZE];
    char now[INSTANT_TEXT_SIZE];
    instant_format(now_ms, now);
    size_t size = 0;
    for (const char *c = format; *c != '\0' && size + INSTANT_TEXT_SIZE < sizeof(sql);) {
        if (strncmp(c, "NOW", 3) == 0) {
            size += (size_t)snprintf(sql + size, sizeof(sql) - size, "%s", now);
            c += 3;
        } else {
            sql[size++] = *c++;
        }
    }
    sql[size] = '\0';
    pg_fixture_script(fixture->pg, sql);
}

static struct str text_at(const struct pg_fixture *fixture, const struct event *event,
                          const char *path)
{
    struct property_view view;
    property_view_event(&view, event);
    struct rule_value value = property_get(fixture->arena, &view, str_from_z(path));
    value = rule_value_as(fixture->arena, value, RULE_TEXT);
    return value.type == RULE_TEXT ? value.text : STR("-");
}

#define CAUSE(number)                                                    \
    "{\"timestamp\":\"NOW\",\"cause\":{\"kind\":\"event\",\"event_id\":" \
    "\"70000000-0000-0000-0000-00000000000" number                       \
    "\",\"event_type\":\"x\",\"source\":\"shop\",\"occurred_at\":\"NOW\"},\"data\":{}}"

static void the_event_is_found_on_the_timeline(void **state)
{
    const struct pg_fixture *fixture = *state;
    int64_t now_ms = clock_now_ms();
    put_profiles(fixture);
    put_facts(fixture, now_ms,
              "INSERT INTO interaction (workspace_id, origin_id, occurred_at, id, received_at,"
              " source_id, type, trust, currency, amount_minor, order_ref, properties, context)"
              " SELECT '01000000-0000-0000-0000-000000000000', v.origin::uuid, 'NOW', v.id::uuid,"
              " 'NOW', '80000000-0000-0000-0000-000000000000', v.type, 3, 'EUR', v.amount,"
              " v.order_ref, v.properties::jsonb, '{\"platform\": \"ios\"}' FROM (VALUES"
              " ('40000000-0000-0000-0000-000000000002', '70000000-0000-0000-0000-000000000001',"
              " 'product.viewed', NULL, NULL, '{\"category\": \"Shoes\", \"size\": \"42\"}'),"
              /* of who was merged, before and after */
              " ('40000000-0000-0000-0000-000000000004', '70000000-0000-0000-0000-000000000002',"
              " 'custom.quiz', NULL, NULL, '{\"category\": \"Hats\"}'),"
              " ('40000000-0000-0000-0000-000000000001', '70000000-0000-0000-0000-000000000003',"
              " 'product.viewed', NULL, NULL, '{\"category\": \"Coats\"}'),"
              /* of an order: the properties are in its body, or were its own */
              " ('40000000-0000-0000-0000-000000000002', '70000000-0000-0000-0000-000000000004',"
              " 'order.updated', 5000, 'o1', NULL),"
              " ('40000000-0000-0000-0000-000000000002', '70000000-0000-0000-0000-000000000005',"
              " 'order.completed', 5000, 'o1', '{\"category\": \"Then\"}'))"
              " AS v (origin, id, type, amount, order_ref, properties);"
              "INSERT INTO orders (workspace_id, source_id, order_ref, origin_id, profile_id,"
              " has_body, rank, counts, number, status, currency, total_minor, refunded_minor,"
              " deleted, completed, counted, counted_foreign, counted_gross_minor,"
              " counted_refunded_minor, documents, body) VALUES"
              " ('01000000-0000-0000-0000-000000000000', '80000000-0000-0000-0000-000000000000',"
              " 'o1', '40000000-0000-0000-0000-000000000002',"
              " '40000000-0000-0000-0000-000000000002', true, 'paid', true, '1', 'paid', 'EUR',"
              " 5000, 1200, false, true, true, false, 5000, 1200, '', '{\"category\": \"Now\"}')");
    static const struct {
        unsigned profile;
        const char *body;
        bool is_known;
        const char *category; /* NULL: there is no event */
        const char *net;
        const char *why;
    } rows[] = {
        { 2, CAUSE("1"), true, "Shoes", "-", "under the customer" },
        { 4, CAUSE("2"), true, "Hats", "-", "told of who was merged since" },
        { 1, CAUSE("2"), true, "Hats", "-", "told of the survivor" },
        { 4, CAUSE("3"), true, "Coats", "-", "under the survivor" },
        { 2, CAUSE("4"), true, "Now", "38", "in the order as it stands" },
        { 2, CAUSE("5"), true, "Then", "38", "its own, and what was refunded since" },
        { 3, CAUSE("1"), false, NULL, "", "another's: un-merged since" },
        { 2, CAUSE("9"), false, NULL, "", "dropped by retention" },
        { 2, "{\"cause\":{\"kind\":\"time\",\"due_at\":\"NOW\"}}", true, NULL, "",
          "there was none" },
    };
    static const struct str wanted[] = { { "category", 8 }, { "context", 7 } };
    struct recheck_question questions[ARRAY_COUNT(rows) + 1];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        put_notification(fixture, now_ms, (unsigned)i, rows[i].profile, "segment.entered",
                         rows[i].body);
    }
    for (size_t i = 0; i <= ARRAY_COUNT(rows); i++) {
        questions[i] = (struct recheck_question){
            .profile_id = id_of(0x40, i < ARRAY_COUNT(rows) ? rows[i].profile : 2),
            .notification_id = id_of(0x20, (unsigned)i),
            .notification_created_at_ms = now_ms,
            .asks_event = true,
            .properties = wanted,
            .property_count = ARRAY_COUNT(wanted),
        };
    }
    ask(fixture, &(struct permit_questions){ .rechecks = questions,
                                             .recheck_count = ARRAY_COUNT(rows) + 1 });
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct event *event = questions[i].told.event;
        assert_row(questions[i].has_event == rows[i].is_known, rows[i].why);
        assert_row((event != NULL) == (rows[i].category != NULL), rows[i].why);
        if (event == NULL) {
            continue;
        }
        assert_row(str_equal_z(text_at(fixture, event, "category"), rows[i].category), rows[i].why);
        assert_row(str_equal_z(text_at(fixture, event, "net"), rows[i].net), rows[i].why);
        assert_row(str_equal_z(text_at(fixture, event, "context.platform"), "ios"), rows[i].why);
        assert_row(str_equal_z(questions[i].told.source, "shop"), rows[i].why);
        assert_row(event->occurred_at_ms == now_ms, rows[i].why);
    }
    assert_int_equal(questions[1].told.event->type, EVENT_CUSTOM);
    struct recheck_question bare = questions[0];
    bare.property_count = 0; /* a filter that asks for the event's type alone */
    ask(fixture, &(struct permit_questions){ .rechecks = &bare, .recheck_count = 1 });
    assert_true(str_equal_z(text_at(fixture, bare.told.event, "category"), "-"));
    assert_true(str_equal_z(bare.told.event->name, "product.viewed"));
    /* Nobody asked for it. */
    assert_true(str_equal_z(text_at(fixture, questions[0].told.event, "size"), "-"));
    assert_false(questions[ARRAY_COUNT(rows)].has_event); /* no such notification */
}

#define ABOUT(data) "{\"timestamp\":\"NOW\",\"cause\":{\"kind\":\"time\"},\"data\":" data "}"

static void the_transition_is_found_in_its_log(void **state)
{
    const struct pg_fixture *fixture = *state;
    int64_t now_ms = clock_now_ms();
    put_profiles(fixture);
    put_facts(
        fixture, now_ms,
        "INSERT INTO transition (workspace_id, occurred_at, id, profile_id, rule, from_value,"
        " to_value, cause, decided_at, kind, rule_version, ruleset_version)"
        " SELECT '01000000-0000-0000-0000-000000000000', 'NOW', gen_random_uuid(),"
        " '40000000-0000-0000-0000-000000000004', v.rule, v.was, v.became, 'time', 'NOW', v.kind,"
        " 1, 1 FROM (VALUES ('vip', NULL, 'true', 'tag'), ('vip', 'true', NULL, 'tag'),"
        " ('hot', NULL, 'true', 'tag'), ('hot', 'true', NULL, 'segment'),"
        " ('basket', 'mid', 'high', 'tier'), ('basket', 'high', 'mid', 'tier'),"
        " ('stage', 'new', 'active', 'lifecycle'), ('stage', 'active', NULL, 'lifecycle'))"
        " AS v (rule, was, became, kind)");
    static const struct {
        const char *topic;
        const char *body;
        bool is_known;
        const char *told; /* kind rule from to; NULL: there is none */
        const char *why;
    } rows[] = {
        { "tag.added", ABOUT("{\"tag\":{\"name\":\"vip\"}}"), true, "tag vip  true",
          "by its name" },
        { "tag.removed", ABOUT("{\"tag\":{\"name\":\"vip\"}}"), true, "tag vip true ",
          "and direction" },
        { "tag.added", ABOUT("{\"tag\":{\"name\":\"hot\"}}"), true, "tag hot  true", "and kind" },
        { "segment.left", ABOUT("{\"segment\":{\"name\":\"hot\"}}"), true, "segment hot true ",
          "of which there may be two" },
        { "segment.entered", ABOUT("{\"segment\":{\"name\":\"hot\"}}"), false, NULL,
          "that never was, or is not kept" },
        { "tier.changed",
          ABOUT("{\"tier\":{\"name\":\"basket\",\"from\":\"high\",\"to\":\"mid\"}}"), true,
          "tier basket high mid", "by what it said" },
        { "lifecycle.changed", ABOUT("{\"lifecycle\":{\"from\":\"active\",\"to\":null}}"), true,
          "lifecycle stage active ", "which has no name in the body" },
        { "order.completed", ABOUT("{\"order\":[1]}"), true, NULL, "no rule's verdict" },
    };
    struct recheck_question questions[ARRAY_COUNT(rows)];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        put_notification(fixture, now_ms, (unsigned)i, 4, rows[i].topic, rows[i].body);
        questions[i] = (struct recheck_question){
            .profile_id = id_of(0x40, 4),
            .notification_id = id_of(0x20, (unsigned)i),
            .notification_created_at_ms = now_ms,
            .asks_transition = true,
        };
    }
    ask(fixture,
        &(struct permit_questions){ .rechecks = questions, .recheck_count = ARRAY_COUNT(rows) });
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct rule_transition *told = questions[i].told.transition;
        assert_row(questions[i].has_transition == rows[i].is_known, rows[i].why);
        assert_row((told != NULL) == (rows[i].told != NULL), rows[i].why);
        if (told != NULL) {
            struct str seen =
                str_printf(fixture->arena, "%.*s %.*s %.*s %.*s", STR_ARG(told->kind),
                           STR_ARG(told->rule), STR_ARG(told->from), STR_ARG(told->to));
            assert_row(str_equal_z(seen, rows[i].told), rows[i].why);
        }
    }
}

/* The caller asks for less and has lost nothing: neither its connection. */
static void what_does_not_fit_is_said(void **state)
{
    const struct pg_fixture *fixture = *state;
    struct problem problem = { .detail = "" };
    struct recheck_question questions[QUESTIONS_MAX];
    const struct permit_questions all = { .rechecks = questions, .recheck_count = QUESTIONS_MAX };
    put_profiles(fixture);
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        questions[i] = (struct recheck_question){ .profile_id = id_of(0x40, 1) };
    }
    struct arena *small = arena_create(4096);
    assert_int_equal(delivery_permit_read(fixture->pg, small, workspace, &all, &problem),
                     STATUS_LIMIT);
    arena_destroy(small);
    ask(fixture, &all);
    assert_non_null(questions[QUESTIONS_MAX - 1].profile);
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup_migrated, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(consent_is_read_as_it_stands),
        IN_A_DATABASE(customers_are_read_as_they_stand),
        IN_A_DATABASE(the_event_is_found_on_the_timeline),
        IN_A_DATABASE(the_transition_is_found_in_its_log),
        IN_A_DATABASE(what_does_not_fit_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
