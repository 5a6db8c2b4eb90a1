#include <pthread.h>

#include "base/instant.h"
#include "pg_fixture.h"
#include "store/migrate.h"
#include "unit.h"

/* 2026-11-22T14:03:07Z */
#define NOW_MS INT64_C(1795356187000)

static void ensure(struct pg *pg, int64_t now_ms)
{
    struct problem problem = { 0 };
    if (partition_ensure(pg, now_ms, &problem) != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
}

static int64_t partition_count(struct pg_fixture *fixture)
{
    return pg_fixture_i64(fixture, "partition_count",
                          "SELECT count(*) FROM pg_inherits i JOIN"
                          " pg_class c ON c.oid = i.inhrelid WHERE"
                          " c.relkind = 'r'");
}

static bool exists(struct pg_fixture *fixture, const char *name)
{
    static const struct pg_statement EXISTS = { "partition_exists",
                                                "SELECT to_regclass($1) IS NOT NULL" };
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, fixture->arena);
    pg_put_text(&params, str_from_z(name));
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &EXISTS, &params, &rows, NULL), STATUS_OK);
    return pg_get_bool(rows, 0, 0);
}

static enum status insert_notification(struct pg_fixture *fixture, int64_t at_ms)
{
    static const struct pg_statement INSERT = {
        "insert_notification",
        "INSERT INTO notification VALUES ('00000000-0000-0000-0000-000000000001', $1,"
        " '00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000003', 't', 1,"
        " '{}') ON CONFLICT DO NOTHING",
    };
    struct pg_params params;
    pg_params_init(&params, fixture->arena);
    pg_put_instant(&params, at_ms);
    return pg_run(fixture->pg, fixture->arena, &INSERT, &params, NULL, NULL);
}

static void the_first_run_makes_history_and_what_comes(void **state)
{
    struct pg_fixture *fixture = *state;
    ensure(fixture->pg, NOW_MS);
    static const struct {
        const char *name;
        bool exists;
    } CASES[] = {
        { "interaction_history", true },   { "interaction_y2024m09", false },
        { "interaction_y2024m10", true },  { "interaction_y2026m11", true },
        { "interaction_y2027m02", true },  { "interaction_y2027m03", false },
        { "transition_history", true },    { "transition_y2027m02", true },
        { "webhook_history", true },       { "webhook_y2026m11d18", false },
        { "webhook_y2026m11d19", true },   { "webhook_y2026m12d06", true },
        { "webhook_y2026m12d07", false },  { "notification_y2026m11d22", true },
        { "attempt_y2026m12d01", true },   { "rendition_history", true },
        { "rendition_y2026m12d06", true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_row(exists(fixture, CASES[i].name) == CASES[i].exists, CASES[i].name);
    }
    /* 25 months back, this one, 3 ahead, history; 3 days back, today, 14 ahead, history. */
    assert_int_equal(partition_count(fixture), 2 * (25 + 1 + 3 + 1) + 4 * (3 + 1 + 14 + 1));
}

/* An index that the partition lacks would not be noticed by any insert. */
static void partitions_have_what_their_parents_have(void **state)
{
    struct pg_fixture *fixture = *state;
    ensure(fixture->pg, NOW_MS);
    assert_int_equal(pg_fixture_i64(fixture, "indexes",
                                    "SELECT count(*) FROM pg_index WHERE indrelid ="
                                    " 'notification_y2026m11d22'::regclass AND indisvalid"),
                     2);
    assert_int_equal(pg_fixture_i64(fixture, "compression",
                                    "SELECT count(*) FROM pg_attribute WHERE attrelid ="
                                    " 'webhook_y2026m11d22'::regclass AND attcompression = 'l'"),
                     1);
}

static void a_second_run_changes_nothing(void **state)
{
    struct pg_fixture *fixture = *state;
    ensure(fixture->pg, NOW_MS);
    int64_t before = partition_count(fixture);
    ensure(fixture->pg, NOW_MS + INSTANT_HOUR_MS);
    assert_int_equal(partition_count(fixture), before);
    /* A clock that was set back makes none, and loses none. */
    ensure(fixture->pg, NOW_MS - 30 * INSTANT_DAY_MS);
    assert_int_equal(partition_count(fixture), before);
}

static void no_instant_is_without_a_place_after_a_long_rest(void **state)
{
    struct pg_fixture *fixture = *state;
    int64_t later_ms = NOW_MS + 100 * INSTANT_DAY_MS;
    ensure(fixture->pg, NOW_MS);
    assert_int_equal(insert_notification(fixture, later_ms), STATUS_BROKEN);
    ensure(fixture->pg, later_ms);
    for (int64_t day = -40; day <= 114; day++) {
        assert_int_equal(insert_notification(fixture, NOW_MS + day * INSTANT_DAY_MS), STATUS_OK);
    }
    assert_int_equal(pg_fixture_i64(fixture, "kept", "SELECT count(*) FROM notification"), 155);
}

/* Of attempts and their notifications. */
static enum status expire(struct pg_fixture *fixture, int64_t now_ms, int64_t webhook_ms,
                          int64_t attempt_ms)
{
    struct problem problem = { 0 };
    const struct partition_keep keep = { .now_ms = now_ms,
                                         .webhook_ms = webhook_ms,
                                         .attempt_ms = attempt_ms,
                                         .notification_ms = attempt_ms };
    return partition_expire(fixture->pg, &keep, &problem);
}

static void bodies_go_by_a_retention_of_their_own(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    int64_t later_ms = NOW_MS + 40 * INSTANT_DAY_MS;
    const struct partition_keep keep = { .now_ms = later_ms,
                                         .notification_ms = 30 * INSTANT_DAY_MS };
    ensure(fixture->pg, NOW_MS);
    ensure(fixture->pg, later_ms);
    assert_int_equal(partition_expire(fixture->pg, &keep, &problem), STATUS_OK);
    assert_false(exists(fixture, "notification_y2026m12d01"));
    assert_true(exists(fixture, "notification_y2026m12d02"));
    assert_true(exists(fixture, "attempt_y2026m12d01"));
    assert_true(exists(fixture, "webhook_y2026m12d01"));
}

static void old_days_go_and_history_stays(void **state)
{
    struct pg_fixture *fixture = *state;
    int64_t later_ms = NOW_MS + 40 * INSTANT_DAY_MS; /* 2027-01-01 */
    ensure(fixture->pg, NOW_MS);
    ensure(fixture->pg, later_ms);
    assert_int_equal(expire(fixture, later_ms, 30 * INSTANT_DAY_MS, 0), STATUS_OK);
    assert_false(exists(fixture, "webhook_y2026m12d01"));
    assert_true(exists(fixture, "webhook_y2026m12d02"));
    assert_true(exists(fixture, "webhook_history"));
    assert_true(exists(fixture, "attempt_y2026m11d22"));
    assert_true(exists(fixture, "notification_y2026m11d22"));
    assert_int_equal(expire(fixture, later_ms, 0, 30 * INSTANT_DAY_MS), STATUS_OK);
    assert_false(exists(fixture, "attempt_y2026m12d01"));
    assert_false(exists(fixture, "notification_y2026m12d01"));
    assert_false(exists(fixture, "rendition_y2026m12d01"));
    int64_t before = partition_count(fixture);
    ensure(fixture->pg, later_ms);
    assert_int_equal(partition_count(fixture), before);
}

static void a_pending_delivery_keeps_its_notification(void **state)
{
    struct pg_fixture *fixture = *state;
    int64_t later_ms = NOW_MS + 60 * INSTANT_DAY_MS;
    ensure(fixture->pg, NOW_MS);
    ensure(fixture->pg, later_ms);
    pg_fixture_script(fixture->pg,
                      "INSERT INTO delivery (workspace_id, id, notification_id,"
                      " notification_created_at, subscription_id, profile_id, sequence, due_at)"
                      " SELECT z, z, z, '2026-11-24T12:00Z', z, z, 1, now()"
                      " FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid z) ids");
    assert_int_equal(expire(fixture, later_ms, 0, 30 * INSTANT_DAY_MS), STATUS_OK);
    assert_false(exists(fixture, "notification_y2026m11d23"));
    assert_true(exists(fixture, "notification_y2026m11d24"));
    assert_false(exists(fixture, "rendition_y2026m11d23"));
    assert_true(exists(fixture, "rendition_y2026m11d24"));
    assert_false(exists(fixture, "attempt_y2026m11d24"));
}

static void what_a_crash_left_detached_is_finished(void **state)
{
    struct pg_fixture *fixture = *state;
    int64_t later_ms = NOW_MS + 40 * INSTANT_DAY_MS;
    ensure(fixture->pg, NOW_MS);
    ensure(fixture->pg, later_ms);
    pg_fixture_script(fixture->pg,
                      "ALTER TABLE webhook DETACH PARTITION webhook_y2026m11d20 CONCURRENTLY");
    assert_int_equal(expire(fixture, later_ms, 30 * INSTANT_DAY_MS, 0), STATUS_OK);
    assert_false(exists(fixture, "webhook_y2026m11d20"));
}

static void all_days_may_expire_during_a_long_rest(void **state)
{
    struct pg_fixture *fixture = *state;
    int64_t later_ms = NOW_MS + 400 * INSTANT_DAY_MS;
    ensure(fixture->pg, NOW_MS);
    assert_int_equal(expire(fixture, later_ms, INSTANT_DAY_MS, INSTANT_DAY_MS), STATUS_OK);
    assert_false(exists(fixture, "webhook_y2026m12d06"));
    ensure(fixture->pg, later_ms);
    assert_true(exists(fixture, "webhook_y2027m12d27"));
    assert_int_equal(insert_notification(fixture, later_ms - 2 * INSTANT_DAY_MS), STATUS_OK);
}

static void *race(void *context)
{
    struct pg *pg = context;
    struct problem problem = { 0 };
    return partition_ensure(pg, NOW_MS, &problem) == STATUS_OK ? pg : NULL;
}

static void instances_may_run_it_at_once(void **state)
{
    struct pg_fixture *fixture = *state;
    struct pg *sessions[3];
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        sessions[i] = pg_fixture_open(fixture, false);
        assert_int_equal(pthread_create(&threads[i], NULL, race, sessions[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        void *done = NULL;
        pthread_join(threads[i], &done);
        assert_non_null(done);
        pg_close(sessions[i]);
    }
    assert_int_equal(partition_count(fixture), 2 * 30 + 4 * 19);
}

/* Ahead of time means: without waiting for a reader or making a writer wait. */
static void a_long_query_is_not_in_the_way(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    ensure(fixture->pg, NOW_MS);
    struct pg *analyst = pg_fixture_open(fixture, false);
    assert_int_equal(pg_run(analyst, fixture->arena, &pg_begin, NULL, NULL, &problem), STATUS_OK);
    pg_fixture_script(analyst, "SELECT count(*) FROM webhook, notification");
    struct pg *maker = pg_fixture_open(fixture, false);
    pg_fixture_script(maker, "SET lock_timeout = '200ms'");
    ensure(maker, NOW_MS + 5 * INSTANT_DAY_MS);
    assert_true(exists(fixture, "webhook_y2026m12d11"));
    pg_close(maker);
    pg_close(analyst);
}

/* --- months that become history ------------------------------------------ */

/* 2024-12-01 */
#define BEFORE_MS INT64_C(1733011200000)

static void insert_interaction(struct pg *pg, const char *at)
{
    char sql[512];
    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO interaction (workspace_id, origin_id, occurred_at, id, received_at,"
                   " source_id, type, trust) VALUES ('00000000-0000-0000-0000-000000000001',"
                   " '00000000-0000-0000-0000-000000000002', '%s', gen_random_uuid(), now(),"
                   " '00000000-0000-0000-0000-000000000003', 'page.viewed', 3)",
                   at);
    pg_fixture_script(pg, sql);
}

static int64_t history_rows(struct pg_fixture *fixture)
{
    return pg_fixture_i64(fixture, "history_rows", "SELECT count(*) FROM interaction_history");
}

static size_t merge(struct pg_fixture *fixture, int64_t before_ms)
{
    struct problem problem = { 0 };
    size_t merged = 0;
    if (partition_merge_history(fixture->pg, before_ms, &merged, &problem) != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
    return merged;
}

/* The rows that are still there come along, and later ones find their place. */
static void a_folded_month_becomes_history(void **state)
{
    struct pg_fixture *fixture = *state;
    ensure(fixture->pg, NOW_MS);
    insert_interaction(fixture->pg, "2024-05-01T00:00Z");
    insert_interaction(fixture->pg, "2024-11-15T12:00Z");
    assert_true(exists(fixture, "interaction_y2024m10"));
    assert_int_equal(merge(fixture, BEFORE_MS - 1), 1); /* November has not ended by then */
    assert_true(exists(fixture, "interaction_y2024m11"));
    assert_int_equal(merge(fixture, BEFORE_MS), 1);
    assert_false(exists(fixture, "interaction_y2024m10"));
    assert_false(exists(fixture, "interaction_y2024m11"));
    assert_true(exists(fixture, "interaction_y2024m12"));
    assert_int_equal(history_rows(fixture), 2);
    insert_interaction(fixture->pg, "2024-11-30T23:59:59.999Z");
    insert_interaction(fixture->pg, "2024-12-01T00:00Z");
    assert_int_equal(history_rows(fixture), 3);
    ensure(fixture->pg, NOW_MS);
    assert_int_equal(merge(fixture, BEFORE_MS), 0);
}

static void a_month_that_is_not_folded_stays(void **state)
{
    struct pg_fixture *fixture = *state;
    ensure(fixture->pg, NOW_MS);
    for (int i = 0; i < 1001; i++) {
        insert_interaction(fixture->pg, "2024-10-15T12:00Z");
    }
    assert_int_equal(merge(fixture, BEFORE_MS), 0);
    assert_true(exists(fixture, "interaction_y2024m10"));
    assert_true(exists(fixture, "interaction_y2024m11"));
}

/* Who reads for long is not waited for, and nobody waits behind the attempt. */
static void a_reader_puts_it_off(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    ensure(fixture->pg, NOW_MS);
    struct pg *analyst = pg_fixture_open(fixture, false);
    assert_int_equal(pg_run(analyst, fixture->arena, &pg_begin, NULL, NULL, &problem), STATUS_OK);
    pg_fixture_script(analyst, "SELECT count(*) FROM interaction");
    assert_int_equal(merge(fixture, BEFORE_MS), 0);
    assert_true(exists(fixture, "interaction_y2024m10"));
    struct pg *writer = pg_fixture_open(fixture, false);
    pg_fixture_script(writer, "SET lock_timeout = '50ms'");
    insert_interaction(writer, "2024-10-15T12:00Z");
    pg_close(writer);
    pg_close(analyst);
    assert_int_equal(merge(fixture, BEFORE_MS), 2);
    assert_int_equal(history_rows(fixture), 1);
}

static void note_name(void *user, struct str name)
{
    size_t *count = user;
    *count += str_equal(name, STR("webhook_y2026m11d19")) ? 1 : 0;
}

static void what_would_expire_is_only_told(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    const struct partition_keep keep = { .now_ms = NOW_MS + 31 * INSTANT_DAY_MS,
                                         .webhook_ms = 30 * INSTANT_DAY_MS,
                                         .attempt_ms = 30 * INSTANT_DAY_MS };
    size_t told = 0;
    ensure(fixture->pg, NOW_MS);
    assert_int_equal(
        partition_expiring(fixture->pg, fixture->arena, &keep, note_name, &told, &problem),
        STATUS_OK);
    assert_int_equal(told, 1);
    assert_true(exists(fixture, "webhook_y2026m11d19"));
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup_unpartitioned, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(the_first_run_makes_history_and_what_comes),
        IN_A_DATABASE(partitions_have_what_their_parents_have),
        IN_A_DATABASE(a_second_run_changes_nothing),
        IN_A_DATABASE(no_instant_is_without_a_place_after_a_long_rest),
        IN_A_DATABASE(bodies_go_by_a_retention_of_their_own),
        IN_A_DATABASE(old_days_go_and_history_stays),
        IN_A_DATABASE(a_pending_delivery_keeps_its_notification),
        IN_A_DATABASE(what_a_crash_left_detached_is_finished),
        IN_A_DATABASE(all_days_may_expire_during_a_long_rest),
        IN_A_DATABASE(instances_may_run_it_at_once),
        IN_A_DATABASE(a_long_query_is_not_in_the_way),
        IN_A_DATABASE(a_folded_month_becomes_history),
        IN_A_DATABASE(a_month_that_is_not_folded_stays),
        IN_A_DATABASE(a_reader_puts_it_off),
        IN_A_DATABASE(what_would_expire_is_only_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
