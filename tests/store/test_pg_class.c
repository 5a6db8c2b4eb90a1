#include "pg_fixture.h"
#include "store/pg.h"
#include "unit.h"

/*
 * Which error is whose (correctness 10), by errors that the server really
 * raises where that is possible, else by a function that raises the code.
 */

static const char SCHEMA[] =
    "CREATE TABLE guarded (n bigint PRIMARY KEY, t text NOT NULL, CONSTRAINT short CHECK"
    " (length(t) < 20));"
    "INSERT INTO guarded VALUES (1, 'one');"
    "CREATE TABLE parent (n bigint REFERENCES guarded);"
    "CREATE TABLE ranged (at timestamptz NOT NULL) PARTITION BY RANGE (at);"
    "CREATE TABLE ranged_2026 PARTITION OF ranged FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
    "CREATE FUNCTION raise_state(state text) RETURNS bigint LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = state; END $$";

static const struct {
    const char *why;
    const char *sql;
    enum status status;
    const char *sqlstate;
} CASES[] = {
    { "division by zero is the data's", "SELECT 1 / 0", STATUS_INVALID, "22012" },
    { "a bad uuid is the data's", "SELECT ('secret' || n::text)::uuid FROM guarded", STATUS_INVALID,
      "22P02" },
    { "a number out of range", "SELECT (n + 40000)::smallint FROM guarded", STATUS_INVALID,
      "22003" },
    { "a null where none may be", "INSERT INTO guarded (n) VALUES (5)", STATUS_INVALID, "23502" },
    { "a row that is not there", "INSERT INTO parent VALUES (77)", STATUS_INVALID, "23503" },
    { "a check by name", "INSERT INTO guarded VALUES (6, 'secretsecretsecretsecret')",
      STATUS_INVALID, "23514" },
    { "twice the same key", "INSERT INTO guarded VALUES (1, 'secret')", STATUS_CONFLICT, "23505" },
    { "no partition is ours, not the data's", "INSERT INTO ranged VALUES ('2099-01-01')",
      STATUS_BROKEN, "23514" },
    { "a bug in our SQL", "SELECT missing_column FROM guarded", STATUS_BROKEN, "42703" },
    { "a table that is not there", "SELECT n FROM missing_table", STATUS_BROKEN, "42P01" },
    { "serialization", "SELECT raise_state('40001')", STATUS_RETRY, "40001" },
    { "deadlock", "SELECT raise_state('40P01')", STATUS_RETRY, "40P01" },
    { "a lock that is not to be had", "SELECT raise_state('55P03')", STATUS_RETRY, "55P03" },
    { "shutdown", "SELECT raise_state('57P01')", STATUS_RETRY, "57P01" },
    { "crash shutdown", "SELECT raise_state('57P02')", STATUS_RETRY, "57P02" },
    { "cannot connect now", "SELECT raise_state('57P03')", STATUS_RETRY, "57P03" },
    { "a connection's error", "SELECT raise_state('08006')", STATUS_RETRY, "08006" },
    { "disk full is ours", "SELECT raise_state('53100')", STATUS_BROKEN, "53100" },
    { "a read-only failover is ours", "SELECT raise_state('25006')", STATUS_BROKEN, "25006" },
    { "a cancelled statement is ours", "SELECT raise_state('57014')", STATUS_BROKEN, "57014" },
};

static void every_error_has_its_class(void **state)
{
    struct pg_fixture *fixture = *state;
    char name[32];
    pg_fixture_script(fixture->pg, SCHEMA);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct problem problem = { 0 };
        struct pg_result *rows = NULL;
        snprintf(name, sizeof(name), "case_%zu", i);
        struct pg_statement statement = { name, CASES[i].sql };
        enum status status = pg_run(fixture->pg, fixture->arena, &statement, NULL, &rows, &problem);
        assert_row(status == CASES[i].status, CASES[i].why);
        assert_row(strcmp(pg_sqlstate(fixture->pg), CASES[i].sqlstate) == 0, CASES[i].why);
        assert_row(strstr(problem.detail, CASES[i].sqlstate) != NULL, CASES[i].why);
        assert_row(strstr(problem.detail, "secret") == NULL, CASES[i].why);
        assert_row(rows == NULL, CASES[i].why);
        assert_row(pg_is_connected(fixture->pg), CASES[i].why);
    }
}

static void scripts_have_the_same_classes(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    pg_fixture_script(fixture->pg, SCHEMA);
    assert_int_equal(pg_script(fixture->pg, "INSERT INTO guarded VALUES (1, 'x')", &problem),
                     STATUS_CONFLICT);
    assert_int_equal(pg_script(fixture->pg, "SELECT nonsense", &problem), STATUS_BROKEN);
    pg_fixture_script(fixture->pg, "SELECT 1; SELECT 2");
}

static void a_lock_held_too_long_is_for_retry(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement TAKE = { "take",
                                              "UPDATE guarded SET t = t WHERE n = $1::bigint" };
    pg_fixture_script(fixture->pg, SCHEMA);
    pg_fixture_script(fixture->pg, "INSERT INTO guarded VALUES (2, 'two')");
    struct pg *other = pg_fixture_open(fixture, true);
    struct pg_params one;
    struct pg_params two;
    struct problem problem = { 0 };
    pg_params_init(&one, fixture->arena);
    pg_params_init(&two, fixture->arena);
    pg_put_i64(&one, 1);
    pg_put_i64(&two, 2);
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &pg_begin, NULL, NULL, &problem),
                     STATUS_OK);
    assert_int_equal(pg_run(other, fixture->arena, &pg_begin, NULL, NULL, &problem), STATUS_OK);
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &TAKE, &one, NULL, &problem), STATUS_OK);
    assert_int_equal(pg_run(other, fixture->arena, &TAKE, &two, NULL, &problem), STATUS_OK);
    pg_fixture_script(other, "SET lock_timeout = '200ms'");
    assert_int_equal(pg_run(other, fixture->arena, &TAKE, &one, NULL, &problem), STATUS_RETRY);
    assert_string_equal(pg_sqlstate(other), "55P03");
    pg_reset(other);
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &TAKE, &two, NULL, &problem), STATUS_OK);
    pg_reset(fixture->pg);
    pg_close(other);
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(every_error_has_its_class),
        IN_A_DATABASE(scripts_have_the_same_classes),
        IN_A_DATABASE(a_lock_held_too_long_is_for_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
