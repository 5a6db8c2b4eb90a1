#include <pthread.h>

#include "pg_fixture.h"
#include "store/migrate.h"
#include "unit.h"

static size_t embedded_count(void)
{
    size_t count = 0;
    while (migrations[count].number != 0) {
        count++;
    }
    return count;
}

static size_t apply(struct pg *pg)
{
    size_t applied = 999;
    struct problem problem = { 0 };
    if (migrate_apply(pg, &applied, NULL, NULL, &problem) != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
    return applied;
}

static void embedded_migrations_ascend_from_one(void **state)
{
    (void)state;
    assert_true(embedded_count() >= 1);
    for (size_t i = 0; i < embedded_count(); i++) {
        assert_int_equal(migrations[i].number, i + 1);
        assert_true(strlen(migrations[i].slug) > 0);
        assert_true(strlen(migrations[i].sql) > 0);
    }
    assert_string_equal(migrations[0].slug, "spine");
}

static void report_number(void *context, const struct migration *step)
{
    int *last = context;
    assert_int_equal(step->number, *last + 1);
    *last = step->number;
}

static void an_empty_database_gets_all_and_then_none(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    int last = 0;
    size_t applied = 0;
    assert_int_equal(migrate_check(fixture->pg, &problem), STATUS_MISSING);
    assert_non_null(strstr(problem.detail, "shopbell migrate"));
    assert_int_equal(migrate_apply(fixture->pg, &applied, report_number, &last, &problem),
                     STATUS_OK);
    assert_int_equal(applied, embedded_count());
    assert_int_equal(last, (int)embedded_count());
    assert_int_equal(migrate_check(fixture->pg, &problem), STATUS_OK);
    assert_int_equal(apply(fixture->pg), 0);
    assert_int_equal(pg_fixture_i64(fixture, "recorded", "SELECT count(*) FROM shopbell_migration"),
                     (int)embedded_count());
}

/* Locks and timeouts that a migration needs must not stay behind. */
static void the_session_is_left_as_it_was(void **state)
{
    struct pg_fixture *fixture = *state;
    (void)apply(fixture->pg);
    assert_int_equal(pg_fixture_i64(fixture, "locks",
                                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
                     0);
    assert_int_equal(
        pg_fixture_i64(fixture, "timeouts",
                       "SELECT count(*) FROM pg_settings WHERE (name = 'statement_timeout'"
                       " AND setting = '20000') OR (name = 'lock_timeout' AND setting = '5000')"),
        2);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct {
        const char *why;
        const char *change;
        const char *word;
    } CASES[] = {
        { "a text that was edited after it ran",
          "UPDATE shopbell_migration SET checksum = 'other' WHERE number = 1", "another text" },
        { "a database that is ahead",
          "INSERT INTO shopbell_migration VALUES (9999, 'future', 'x', now())", "ahead" },
        { "a gap", "UPDATE shopbell_migration SET number = 7000 WHERE number = 1", "should be" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct problem problem = { 0 };
        size_t applied = 999;
        (void)apply(fixture->pg);
        pg_fixture_script(fixture->pg, "CREATE TABLE kept AS SELECT * FROM shopbell_migration");
        pg_fixture_script(fixture->pg, CASES[i].change);
        assert_row(migrate_check(fixture->pg, &problem) == STATUS_CONFLICT, CASES[i].why);
        assert_row(strstr(problem.detail, CASES[i].word) != NULL, CASES[i].why);
        assert_row(migrate_apply(fixture->pg, &applied, NULL, NULL, &problem) == STATUS_CONFLICT,
                   CASES[i].why);
        assert_row(applied == 999, CASES[i].why);
        pg_fixture_script(fixture->pg, "TRUNCATE shopbell_migration;"
                                       "INSERT INTO shopbell_migration SELECT * FROM kept;"
                                       "DROP TABLE kept");
    }
}

/* The first step stumbles over a table that is there already: neither its
 * other tables nor its record may stay. */
static void a_step_that_fails_leaves_nothing(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    size_t applied = 999;
    pg_fixture_script(fixture->pg, "CREATE TABLE delivery (in_the_way boolean)");
    assert_int_equal(migrate_apply(fixture->pg, &applied, NULL, NULL, &problem), STATUS_BROKEN);
    assert_int_equal(applied, 999);
    assert_int_equal(pg_fixture_i64(fixture, "recorded", "SELECT count(*) FROM shopbell_migration"),
                     0);
    assert_int_equal(pg_fixture_i64(fixture, "made",
                                    "SELECT count(*) FROM pg_class WHERE"
                                    " relname = 'workspace'"),
                     0);
    pg_fixture_script(fixture->pg, "DROP TABLE delivery");
    assert_int_equal(apply(fixture->pg), embedded_count());
}

struct racer {
    struct pg *pg;
    enum status status;
    size_t applied;
};

static void *race(void *context)
{
    struct racer *racer = context;
    racer->status = migrate_apply(racer->pg, &racer->applied, NULL, NULL, NULL);
    return NULL;
}

static void of_two_instances_one_migrates(void **state)
{
    struct pg_fixture *fixture = *state;
    struct racer racers[3] = { { 0 } };
    pthread_t threads[3];
    size_t applied = 0;
    for (size_t i = 0; i < 3; i++) {
        racers[i].pg = pg_fixture_open(fixture, false);
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].status, STATUS_OK);
        applied += racers[i].applied;
        pg_close(racers[i].pg);
    }
    assert_int_equal(applied, embedded_count());
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded_migrations_ascend_from_one),
        IN_A_DATABASE(an_empty_database_gets_all_and_then_none),
        IN_A_DATABASE(the_session_is_left_as_it_was),
        IN_A_DATABASE(what_does_not_fit_is_refused),
        IN_A_DATABASE(a_step_that_fails_leaves_nothing),
        IN_A_DATABASE(of_two_instances_one_migrates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
