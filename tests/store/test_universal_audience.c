#include <stdio.h>

#include "base/buf.h"
#include "base/instant.h"
#include "pg_fixture.h"
#include "store/retention.h"
#include "store/universal_audience.h"
#include "store/universal_store.h"
#include "unit.h"

/*
 * Whom a selector concerns, chunk by chunk, and how long universal events live.
 */

#define SHOP "'00000000-0000-7000-8000-00000000000a'"
#define PROFILES                                                                           \
    "INSERT INTO profile (workspace_id, id, sequence, created_at, updated_at, decided_at," \
    " first_seen_at, identified, state, merged_into, segments, traits)"
#define ID_OF(n) "('00000000-0000-7000-8000-' || lpad(to_hex(" n "), 12, '0'))::uuid"

static const struct id SHOP_ID = { { 0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x0a } };

static void add_profile(struct pg_fixture *fixture, int number, int merged_into,
                        const char *segment, const char *traits)
{
    struct str sql = str_printf(
        fixture->arena,
        PROFILES
        " SELECT " SHOP
        ", " ID_OF("n") ", 1, now(), now(), now(), now(), true, '',"
                        " CASE WHEN m > 0 THEN " ID_OF("m") " END, ARRAY['%s'], '%s'"
                                                            " FROM (VALUES (%d, %d)) AS v (n, m)",
        segment, traits, number, merged_into);
    pg_fixture_script(fixture->pg, sql.data);
}

static int setup(void **state)
{
    (void)pg_fixture_setup_migrated(state);
    struct pg_fixture *fixture = *state;
    add_profile(fixture, 1, 0, "vip", "{\"region\": \"FR-75\", \"postal_code\": \"75011\"}");
    add_profile(fixture, 2, 0, "", "{\"region\": \"FR-75\", \"loyalty_tier\": \"gold\"}");
    add_profile(fixture, 3, 0, "vip", "{\"region\": \"FR-92\", \"postal_code\": \"92100\"}");
    add_profile(fixture, 4, 0, "", "{\"region\": \"FR-29\", \"postal_code\": \"29200\"}");
    add_profile(fixture, 5, 0, "vip", "{\"loyalty_tier\": \"gold\"}");
    /* Merged: whoever it was lives in Paris now, or does not. */
    add_profile(fixture, 6, 2, "", "{\"region\": \"FR-92\"}");
    add_profile(fixture, 7, 4, "", "{\"region\": \"FR-75\"}");
    add_profile(fixture, 8, 0, "", "{\"region\": \"FR-750\", \"postal_code\": \"75\"}");
    add_profile(fixture, 9, 0, "", "{\"region\": null, \"postal_code\": \"7\"}");
    add_profile(fixture, 10, 0, "", "{\"postal_code\": \"75011\"}");
    add_profile(fixture, 11, 0, "", "{\"postal_code\": \"75011\"}");
    return 0;
}

/* The numbers of those who are met, in pages of `limit`, as text. */
static const char *walk(struct pg_fixture *fixture, const char *selector, size_t limit)
{
    struct universal_cursor cursor = { .place = 0 };
    struct universal_audience audience = { .is_end = false };
    struct problem problem = { 0 };
    struct buf text;
    buf_init(&text, fixture->arena, 1024);
    for (int pages = 0; !audience.is_end; pages++) {
        assert_true(pages < 50);
        assert_int_equal(universal_audience(fixture->pg, fixture->arena, SHOP_ID,
                                            str_from_z(selector), &cursor, limit, &audience,
                                            &problem),
                         STATUS_OK);
        assert_true(audience.count <= limit);
        for (size_t i = 0; i < audience.count; i++) {
            buf_printf(&text, "%s%d", text.size > 0 ? " " : "",
                       audience.profile_ids[i].bytes[ID_SIZE - 1]);
        }
        cursor = audience.next;
    }
    return str_dup_z(fixture->arena, buf_str(&text));
}

static const struct {
    const char *why;
    const char *selector;
    const char *expected;
} AUDIENCES[] = {
    { "a region is one value", "{\"regions\": [\"FR-75\"]}", "1 2" },
    { "regions, one after the other; who was merged is met as whom he became",
      "{\"regions\": [\"FR-92\", \"FR-75\"]}", "1 2 3 2" },
    { "a prefix has many codes, in their order", "{\"postal_prefixes\": [\"75\"]}", "8 1 10 11" },
    { "a prefix of a prefix adds nobody", "{\"postal_prefixes\": [\"750\", \"7\"]}",
      "9 8 1 10 11" },
    { "who is in the region is not met again by his code",
      "{\"regions\": [\"FR-75\"], \"postal_prefixes\": [\"75\"]}", "1 2 8 10 11" },
    { "a trait narrows a place",
      "{\"regions\": [\"FR-75\"], \"traits\": {\"loyalty_tier\": [\"silver\", \"gold\"]}}", "2" },
    { "so does a segment", "{\"regions\": [\"FR-75\", \"FR-92\"], \"segments\": [\"vip\"]}",
      "1 3" },
    { "traits alone: everyone is walked", "{\"traits\": {\"loyalty_tier\": [\"gold\"]}}", "2 5 2" },
    { "segments alone, too", "{\"segments\": [\"vip\", \"none\"]}", "1 3 5" },
    { "all of it must fit",
      "{\"segments\": [\"vip\"], \"traits\": {\"loyalty_tier\": [\"gold\"],"
      " \"region\": [\"FR-75\"]}}",
      "" },
    { "everyone", "{\"everyone\": true}", "1 2 3 4 5 2 4 8 9 10 11" },
    { "products are a matter of interest", "{\"products\": [\"7\"]}", "" },
    { "nobody is there", "{\"regions\": [\"DE-BE\", \"DE-BB\"]}", "" },
};

static const char *in_order(const char *numbers)
{
    static char sorted[64];
    size_t used = 0;
    for (int n = 1; n <= 11; n++) {
        char word[16];
        (void)snprintf(word, sizeof(word), "%d", n);
        struct str rest = str_from_z(numbers);
        struct str item = { NULL, 0 };
        bool more = rest.size > 0;
        while (more) {
            more = str_split(rest, ' ', &item, &rest);
            if (str_equal_z(more ? item : rest, word)) {
                used += (size_t)snprintf(sorted + used, sizeof(sorted) - used, "%s%s",
                                         used > 0 ? " " : "", word);
            }
        }
    }
    sorted[used] = '\0';
    return sorted;
}

static void test_audiences_in_pages_of_any_size(void **state)
{
    struct pg_fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_COUNT(AUDIENCES); i++) {
        assert_string_equal(walk(fixture, AUDIENCES[i].selector, 1), AUDIENCES[i].expected);
        const char *pairs = str_dup_z(
            fixture->arena, str_from_z(in_order(walk(fixture, AUDIENCES[i].selector, 2))));
        assert_string_equal(pairs, in_order(AUDIENCES[i].expected));
    }
}

/* A cursor is a place: who merged into one behind it is met all the same. */
static void test_a_merge_between_two_pages_hides_nobody(void **state)
{
    struct pg_fixture *fixture = *state;
    struct universal_cursor cursor = { .place = 0 };
    struct universal_audience audience;
    struct problem problem = { 0 };
    struct str selector = STR("{\"postal_prefixes\": [\"75\"]}");
    assert_int_equal(universal_audience(fixture->pg, fixture->arena, SHOP_ID, selector, &cursor, 3,
                                        &audience, &problem),
                     STATUS_OK);
    assert_int_equal(audience.count, 3);
    pg_fixture_script(
        fixture->pg,
        "UPDATE profile SET traits = '{\"postal_code\": \"75011\"}' WHERE id = " ID_OF(
            "2") "; UPDATE profile SET merged_into = " ID_OF("2") " WHERE id = " ID_OF("11"));
    cursor = audience.next;
    assert_int_equal(universal_audience(fixture->pg, fixture->arena, SHOP_ID, selector, &cursor, 3,
                                        &audience, &problem),
                     STATUS_OK);
    assert_int_equal(audience.count, 1);
    assert_int_equal(audience.profile_ids[0].bytes[ID_SIZE - 1], 2);
}

static void test_old_ones_go_and_unexpired_ones_stay(void **state)
{
    struct pg_fixture *fixture = *state;
    struct universal_event events[3];
    struct universal_posted posted[ARRAY_COUNT(events)];
    struct problem problem = { 0 };
    size_t deleted = 0;
    for (size_t i = 0; i < ARRAY_COUNT(events); i++) {
        events[i] = (struct universal_event){
            .id = { { (uint8_t)(i + 1) } },
            .type = STR("weather.changed"),
            .source_id = SHOP_ID,
            .posted_id = STR("x"),
            .occurred_at_ms = 1000,
            .recorded_at_ms = 2000,
            .expires_at_ms = i == 0 ? INSTANT_NONE : (int64_t)i * 5000,
            .selector_json = STR("{}"),
            .properties_json = STR("{}"),
        };
    }
    assert_int_equal(universal_insert(fixture->pg, fixture->arena, SHOP_ID, events,
                                      ARRAY_COUNT(events), posted, &problem),
                     STATUS_OK);
    assert_true(posted[0].is_new && posted[1].is_new && posted[2].is_new);
    assert_int_equal(
        universal_insert(fixture->pg, fixture->arena, SHOP_ID, events, 1, posted, &problem),
        STATUS_OK);
    assert_false(posted[0].is_new);
    assert_int_equal(
        retention_universal(fixture->pg, fixture->arena, SHOP_ID, 6000, 10, &deleted, &problem),
        STATUS_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(
        universal_find(fixture->pg, fixture->arena, SHOP_ID, events[2].id, &events[0], &problem),
        STATUS_OK);
}

static int64_t jobs(struct pg_fixture *fixture)
{
    return pg_fixture_i64(fixture, "jobs", "SELECT count(*) FROM job");
}

static void test_jobs_of_facts_go_when_they_are_old_and_have_ended(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    size_t deleted = 0;
    int64_t before = jobs(fixture);
    char sql[1024];
    char shop[ID_TEXT_SIZE];
    id_format(SHOP_ID, shop);
    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO job (workspace_id, id, kind, status, created_at, finished_at)"
                   " SELECT '%s', (lpad(to_hex(j.ms), 12, '0') || '70008000000000000000')::uuid,"
                   " j.kind, 'succeeded', now(), CASE WHEN j.ended THEN now() END FROM (VALUES"
                   " (1000, 'fan_out', true), (2000, 'fan_out', false), (3000, 'import', true),"
                   " (9000, 'fan_out', true)) AS j (ms, kind, ended)",
                   shop);
    pg_fixture_script(fixture->pg, sql);
    assert_int_equal(
        retention_fan_outs(fixture->pg, fixture->arena, SHOP_ID, 5000, 10, &deleted, &problem),
        STATUS_OK);
    assert_int_equal(deleted, 1); /* the first: the others run, are no fan-outs, or are new */
    assert_int_equal(jobs(fixture), before + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_audiences_in_pages_of_any_size, setup,
                                        pg_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_merge_between_two_pages_hides_nobody, setup,
                                        pg_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_old_ones_go_and_unexpired_ones_stay, setup,
                                        pg_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_jobs_of_facts_go_when_they_are_old_and_have_ended,
                                        setup, pg_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
