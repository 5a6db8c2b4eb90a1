#include "base/instant.h"
#include "pg_fixture.h"
#include "store/member_read.h"
#include "store/rule_seen.h"
#include "store/transition_read.h"
#include "unit.h"

/*
 * Pages of members and transitions, and what was seen of late: each looks at a
 * bounded number of rows, and no row is on two pages or on none.
 */

#define WORKSPACE "00000000-0000-7000-8000-00000000000a"
#define RULE "00000000-0000-7000-8000-0000000000aa"

static struct id id_of(const char *text)
{
    struct id id = ID_ZERO;
    assert_true(id_parse(str_from_z(text), &id));
    return id;
}

/* --- transitions -------------------------------------------------------------- */

/* 100 in the last 100 seconds; every tenth is of "rare". */
static const char TRANSITIONS[] =
    "INSERT INTO transition (workspace_id, occurred_at, id, profile_id, rule, kind, cause,"
    " decided_at) SELECT '" WORKSPACE "', date_trunc('milliseconds', now()) - n * interval '1 s',"
    " gen_random_uuid(), '00000000-0000-7000-8000-0000000000f1',"
    " CASE WHEN n % 10 = 0 THEN 'rare' ELSE 'usual' END, 'tag', 'event', now()"
    " FROM generate_series(1, 100) n";

static size_t walk(struct pg_fixture *fixture, struct transition_query query, size_t *out_pages)
{
    size_t found = 0;
    *out_pages = 0;
    int64_t last_ms = INSTANT_NEVER;
    for (bool more = true; more; (*out_pages)++) {
        struct transition_page page;
        assert_true(*out_pages < 100);
        assert_int_equal(transition_page(fixture->pg, fixture->arena, &query, &page, NULL),
                         STATUS_OK);
        size_t shown = page.count < query.limit - 1 ? page.count : query.limit - 1;
        for (size_t i = 0; i < shown; i++) {
            assert_true(page.rows[i].occurred_at_ms < last_ms);
            last_ms = page.rows[i].occurred_at_ms;
        }
        found += shown;
        more = page.count == query.limit || page.is_cut;
        if (page.count == query.limit) {
            query.before_ms = page.rows[shown - 1].occurred_at_ms;
            query.before_id = page.rows[shown - 1].id;
        } else if (page.is_cut) {
            query.before_ms = page.cut_ms;
            query.before_id = page.cut_id;
        }
    }
    return found;
}

static void a_rare_rule_is_found_in_short_scans(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct {
        const char *why;
        const char *rule;
        size_t limit;
        size_t scan;
        size_t found;
        size_t pages;
    } CASES[] = {
        { "all, in one page", "", 200, 300, 100, 1 },
        { "all, page by page", "", 11, 300, 100, 10 },
        { "the rare one, in one scan", "rare", 50, 300, 10, 1 },
        { "scans that end where the table ends", "rare", 50, 25, 10, 5 },
        { "scans that end behind it", "rare", 50, 30, 10, 4 },
        { "pages shorter than a scan's matches", "rare", 2, 25, 10, 0 },
        { "scans without a match", "rare", 50, 7, 10, 15 },
        { "a rule that is not there", "none", 50, 300, 0, 1 },
    };
    pg_fixture_script(fixture->pg, TRANSITIONS);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        size_t pages = 0;
        struct transition_query query = { .workspace_id = id_of(WORKSPACE),
                                          .rule = str_from_z(CASES[i].rule),
                                          .before_ms = INT64_C(253370764800000),
                                          .limit = CASES[i].limit,
                                          .scan_limit = CASES[i].scan };
        size_t found = walk(fixture, query, &pages);
        assert_row(found == CASES[i].found, CASES[i].why);
        assert_row(CASES[i].pages == 0 || pages == CASES[i].pages, CASES[i].why);
    }
}

/* --- members ------------------------------------------------------------------ */

static const char MEMBERS[] =
    "INSERT INTO membership (workspace_id, rule_id, value, profile_id, since)"
    " SELECT '" WORKSPACE "', '" RULE "', CASE WHEN n % 3 = 0 THEN 'high' ELSE 'low' END,"
    " gen_random_uuid(), now() FROM generate_series(1, 90) n";

static void members_are_paged_and_counted_no_further_than_asked(void **state)
{
    struct pg_fixture *fixture = *state;
    struct member_query query = { .workspace_id = id_of(WORKSPACE),
                                  .rule_id = id_of(RULE),
                                  .limit = 20 };
    struct id rules[2] = { id_of(WORKSPACE), id_of(RULE) };
    int64_t *counts = NULL;
    int64_t count = 0;
    size_t found = 0;
    pg_fixture_script(fixture->pg, MEMBERS);
    for (size_t on_page = 20; on_page == 20;) {
        struct member_view *rows = NULL;
        assert_int_equal(member_page(fixture->pg, fixture->arena, &query, &rows, &on_page, NULL),
                         STATUS_OK);
        for (size_t i = 0; i < on_page; i++) {
            bool is_behind = str_compare(rows[i].value, query.after_value) > 0 ||
                             id_compare(rows[i].profile_id, query.after_id) > 0;
            assert_true(is_behind);
            query.after_value = rows[i].value;
            query.after_id = rows[i].profile_id;
        }
        found += on_page;
    }
    assert_int_equal(found, 90);
    assert_int_equal(member_count(fixture->pg, fixture->arena, &query, 1000, &count, NULL),
                     STATUS_OK);
    assert_int_equal(count, 90);
    query.has_value = true;
    query.value = STR("high");
    assert_int_equal(member_count(fixture->pg, fixture->arena, &query, 1000, &count, NULL),
                     STATUS_OK);
    assert_int_equal(count, 30);
    assert_int_equal(
        member_counts(fixture->pg, fixture->arena, query.workspace_id, rules, 2, 50, &counts, NULL),
        STATUS_OK);
    assert_int_equal(counts[0], 0);
    assert_int_equal(counts[1], 50);
}

static void members_of_a_rule_that_is_no_more_go_in_steps(void **state)
{
    struct pg_fixture *fixture = *state;
    size_t count = 0;
    pg_fixture_script(fixture->pg, MEMBERS);
    pg_fixture_script(fixture->pg,
                      "INSERT INTO rule (workspace_id, id, name, slot, kind, cases, version,"
                      " since_version, created_at, updated_at) VALUES ('" WORKSPACE "',"
                      " '00000000-0000-7000-8000-0000000000bb', 'kept', 1, 'tag', '[]', 1, 1,"
                      " now(), now());"
                      "INSERT INTO membership VALUES ('" WORKSPACE "',"
                      " '00000000-0000-7000-8000-0000000000bb', '',"
                      " '00000000-0000-7000-8000-0000000000f1', now())");
    for (size_t left = 90; left > 0; left -= count) {
        assert_int_equal(
            member_drop_orphans(fixture->pg, fixture->arena, id_of(WORKSPACE), 40, &count, NULL),
            STATUS_OK);
        assert_int_equal(count, left < 40 ? left : 40);
    }
    assert_int_equal(
        member_drop_orphans(fixture->pg, fixture->arena, id_of(WORKSPACE), 40, &count, NULL),
        STATUS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(pg_fixture_i64(fixture, "kept", "SELECT count(*) FROM membership"), 1);
}

/* --- seen --------------------------------------------------------------------- */

static const char FACTS[] =
    "INSERT INTO profile (workspace_id, id, sequence, created_at, updated_at, decided_at,"
    " first_seen_at, last_seen_at, last_seen_day, identified, state) VALUES ('" WORKSPACE "',"
    " '00000000-0000-7000-8000-0000000000f1', 1, now(), now(), now(), now(), now(),"
    " (now() AT TIME ZONE 'UTC')::date, true, '');"
    "INSERT INTO interaction (workspace_id, origin_id, occurred_at, id, received_at, source_id,"
    " type, trust, properties, context) VALUES ('" WORKSPACE "',"
    " '00000000-0000-7000-8000-0000000000f1', now() - interval '1 minute', gen_random_uuid(),"
    " now(), gen_random_uuid(), 'product.viewed', 2,"
    " '{\"color\": \"red\", \"products\": [{\"sku\": \"A\"}, {\"size\": 42}]}',"
    " '{\"platform\": \"web\"}');"
    "INSERT INTO orders (workspace_id, source_id, order_ref, origin_id, profile_id, has_body, rank,"
    " counts, placed_at, number, status, currency, total_minor, refunded_minor, deleted, completed,"
    " counted, counted_foreign, counted_gross_minor, counted_refunded_minor, documents, body)"
    " VALUES ('" WORKSPACE "', gen_random_uuid(), '1', gen_random_uuid(),"
    " '00000000-0000-7000-8000-0000000000f1', true, 'paid', true, now() - interval '1 day', '1',"
    " 'paid', 'EUR', 100, 0, false, true, true, false, 100, 0, '', '{\"coupon\": \"TEN\"}')";

static void what_was_seen_is_told_from_what_was_not(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct {
        const char *event;
        const char *property;
        bool sees_event;
        bool sees_property;
    } CASES[] = {
        { "product.viewed", "color", true, true },
        { "product.viewed", "colour", true, false },
        { "product.viewed", "products.size", true, true }, /* through the array */
        { "product.viewed", "products.weight", true, false },
        { "product.viewed", "context.platform", true, true },
        { "product.viewed", "platform", true, false }, /* of the context, not of the event */
        { "order.completed", "coupon", true, true },   /* of the order itself */
        { "custom.quiz_done", "score", false, false },
    };
    struct rule_seen_question questions[ARRAY_COUNT(CASES)];
    struct rule_seen_answer *answers = NULL;
    int64_t sample = -1;
    int64_t now_ms = pg_fixture_i64(fixture, "now",
                                    "SELECT (extract(epoch FROM now()) * 1000)"
                                    "::bigint");
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        questions[i].event = str_from_z(CASES[i].event);
        questions[i].property = str_from_z(CASES[i].property);
    }
    assert_int_equal(rule_seen(fixture->pg, fixture->arena, id_of(WORKSPACE), questions,
                               ARRAY_COUNT(CASES), now_ms, &answers, &sample, NULL),
                     STATUS_OK);
    assert_int_equal(sample, 0);
    pg_fixture_script(fixture->pg, FACTS);
    assert_int_equal(rule_seen(fixture->pg, fixture->arena, id_of(WORKSPACE), questions,
                               ARRAY_COUNT(CASES), now_ms, &answers, &sample, NULL),
                     STATUS_OK);
    assert_int_equal(sample, 2);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_row(answers[i].event == CASES[i].sees_event, CASES[i].property);
        assert_row(answers[i].property == CASES[i].sees_property, CASES[i].property);
    }
    /* 31 days later none of it counts. */
    assert_int_equal(rule_seen(fixture->pg, fixture->arena, id_of(WORKSPACE), questions,
                               ARRAY_COUNT(CASES), now_ms + 31 * INSTANT_DAY_MS, &answers, &sample,
                               NULL),
                     STATUS_OK);
    assert_int_equal(sample, 0);
}

int main(void)
{
#define CASE(function) \
    cmocka_unit_test_setup_teardown(function, pg_fixture_setup_migrated, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_rare_rule_is_found_in_short_scans),
        CASE(members_are_paged_and_counted_no_further_than_asked),
        CASE(members_of_a_rule_that_is_no_more_go_in_steps),
        CASE(what_was_seen_is_told_from_what_was_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
