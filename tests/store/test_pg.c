#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/instant.h"
#include "pg_fixture.h"
#include "store/pg.h"
#include "unit.h"

static const struct pg_statement ONE = { "one", "SELECT 1::bigint" };
static const struct pg_statement KEEP = { "keep", "INSERT INTO kept (n) VALUES ($1)" };
static const struct pg_statement DIVIDE = { "divide", "SELECT 10 / $1::bigint" };
static const struct pg_statement MY_PID = { "my_pid", "SELECT pg_backend_pid()" };

static const struct id SOME_ID = { { 1, 2, 3, 4, 5, 6, 7, 0x88, 0x99, 10, 11, 12, 13, 14, 15,
                                     255 } };

static struct pg_result *run_on(struct pg *pg, struct pg_fixture *fixture,
                                const struct pg_statement *statement, struct pg_params *params)
{
    struct pg_result *rows = NULL;
    struct problem problem = { 0 };
    enum status status = pg_run(pg, fixture->arena, statement, params, &rows, &problem);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", statement->name, problem.detail);
    }
    return rows;
}

static struct pg_result *run(struct pg_fixture *fixture, const struct pg_statement *statement,
                             struct pg_params *params)
{
    return run_on(fixture->pg, fixture, statement, params);
}

/* --- parameters and results ----------------------------------------------- */

static void scalars_come_back_as_they_went(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement ECHO_ALL = {
        "echo_all",
        "SELECT $1::uuid, $2::text, $3::bigint, $4::integer, $5::boolean, $6::timestamptz,"
        " $7::bytea, $8::jsonb, $9::text, ($10::timestamptz)::date,"
        " to_char($6 AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS'), $4::smallint",
    };
    struct pg_params params;
    pg_params_init(&params, fixture->arena);
    pg_put_id(&params, SOME_ID);
    pg_put_text(&params, STR("gr\xc3\xbc\xc3\x9f dich"));
    pg_put_i64(&params, INT64_MIN);
    pg_put_i32(&params, -7);
    pg_put_bool(&params, true);
    pg_put_instant(&params, INT64_C(1795357387123));
    pg_put_bytes(&params, ((struct str){ "a\0b", 3 }));
    pg_put_jsonb(&params, STR("{\"a\": [1, null]}"));
    pg_put_text(&params, STR(""));
    pg_put_instant(&params, INT64_C(1795357387123));
    struct pg_result *rows = run(fixture, &ECHO_ALL, &params);
    assert_int_equal(pg_row_count(rows), 1);
    assert_true(id_equal(pg_get_id(rows, 0, 0), SOME_ID));
    assert_str_equal(pg_get_text(rows, 0, 1), STR("gr\xc3\xbc\xc3\x9f dich"));
    assert_true(pg_get_i64(rows, 0, 2) == INT64_MIN);
    assert_int_equal(pg_get_i64(rows, 0, 3), -7);
    assert_true(pg_get_bool(rows, 0, 4));
    assert_int_equal(pg_get_instant(rows, 0, 5), INT64_C(1795357387123));
    assert_str_equal(pg_get_bytes(rows, 0, 6), ((struct str){ "a\0b", 3 }));
    assert_str_equal(pg_get_jsonb(rows, 0, 7), STR("{\"a\": [1, null]}"));
    assert_false(pg_is_null(rows, 0, 8));
    assert_int_equal(pg_get_text(rows, 0, 8).size, 0);
    assert_int_equal(pg_get_instant(rows, 0, 9), INT64_C(1795305600000));
    assert_str_equal(pg_get_text(rows, 0, 10), STR("2026-11-22T14:23:07.123"));
    assert_int_equal(pg_get_i64(rows, 0, 11), -7);
}

static void null_is_null_in_every_type(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement ECHO_NULLS = {
        "echo_nulls",
        "SELECT $1::uuid, $2::text, $3::bigint, $4::integer, $5::smallint, $6::boolean,"
        " $7::timestamptz, $8::bytea, $9::jsonb, $10::date, $11::uuid, $12::text,"
        " $13::timestamptz, $14::timestamptz, NULL::text[]",
    };
    struct pg_params params;
    pg_params_init(&params, fixture->arena);
    static const enum pg_type TYPES[] = { PG_UUID, PG_TEXT,    PG_INT8,  PG_INT4,  PG_INT2,
                                          PG_BOOL, PG_INSTANT, PG_BYTEA, PG_JSONB, PG_DATE };
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        pg_put_null(&params, TYPES[i]);
    }
    pg_put_id_or_null(&params, ID_ZERO);
    pg_put_text_or_null(&params, STR(""));
    pg_put_instant(&params, INSTANT_NONE);
    pg_put_instant(&params, INSTANT_NEVER);
    struct pg_result *rows = run(fixture, &ECHO_NULLS, &params);
    for (int column = 0; column < 15; column++) {
        assert_true(pg_is_null(rows, 0, column));
    }
    struct str *values = NULL;
    assert_true(id_is_zero(pg_get_id(rows, 0, 0)));
    assert_int_equal(pg_get_text(rows, 0, 1).size, 0);
    assert_int_equal(pg_get_i64(rows, 0, 2), 0);
    assert_false(pg_get_bool(rows, 0, 5));
    assert_true(pg_get_instant(rows, 0, 6) == INSTANT_NONE);
    assert_int_equal(pg_get_bytes(rows, 0, 7).size, 0);
    assert_int_equal(pg_get_jsonb(rows, 0, 8).size, 0);
    assert_true(pg_get_instant(rows, 0, 9) == INSTANT_NONE);
    assert_int_equal(pg_get_text_array(rows, fixture->arena, 0, 14, &values), 0);
}

static void instants_are_cut_to_milliseconds(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct {
        const char *why;
        const char *name;
        const char *sql;
        int64_t ms;
    } CASES[] = {
        { "digits beyond are cut, not rounded", "i1",
          "SELECT '2026-11-22T14:03:07.120999Z'::timestamptz", INT64_C(1795356187120) },
        { "before 2000 too", "i2", "SELECT '1999-12-31T23:59:59.999999Z'::timestamptz",
          INT64_C(946684799999) },
        { "before 1970", "i3", "SELECT '1969-12-31T23:59:59.9985Z'::timestamptz", -2 },
        { "infinity is never", "i4", "SELECT 'infinity'::timestamptz", INSTANT_NEVER },
        { "minus infinity is none", "i5", "SELECT '-infinity'::timestamptz", INSTANT_NONE },
        { "a date is its midnight", "i6", "SELECT '1969-12-31'::date", -INSTANT_DAY_MS },
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct pg_statement statement = { CASES[i].name, CASES[i].sql };
        struct pg_result *rows = run(fixture, &statement, NULL);
        assert_row(pg_get_instant(rows, 0, 0) == CASES[i].ms, CASES[i].why);
    }
}

/* The server's own text of an array is the judge of our binary form. */
static void arrays_mean_what_the_server_reads(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement AS_TEXT = {
        "as_text",
        "SELECT $1::uuid[]::text, $2::text[]::text, $3::bigint[]::text, $4::integer[]::text,"
        " $5::smallint[]::text, $6::boolean[]::text, $7::timestamptz[]::text, $8::bytea[]::text,"
        " $9::jsonb[]::text, $10::date[]::text",
    };
    struct pg_params params;
    struct pg_array arrays[10];
    static const enum pg_type TYPES[] = { PG_UUID, PG_TEXT,    PG_INT8,  PG_INT4,  PG_INT2,
                                          PG_BOOL, PG_INSTANT, PG_BYTEA, PG_JSONB, PG_DATE };
    pg_params_init(&params, fixture->arena);
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        pg_array_begin(&arrays[i], &params, TYPES[i], 3);
    }
    /* Side by side, as rows are written. */
    pg_array_id(&arrays[0], SOME_ID);
    pg_array_text(&arrays[1], STR(""));
    pg_array_i64(&arrays[2], INT64_MAX);
    pg_array_i32(&arrays[3], INT32_MIN);
    pg_array_i16(&arrays[4], -2);
    pg_array_bool(&arrays[5], true);
    pg_array_instant(&arrays[6], -1);
    pg_array_bytes(&arrays[7], ((struct str){ "\0\xff", 2 }));
    pg_array_jsonb_or_null(&arrays[8], STR("{}"));
    pg_array_day(&arrays[9], -1);
    pg_array_id_or_null(&arrays[0], ID_ZERO);
    pg_array_text_or_null(&arrays[1], STR(""));
    pg_array_null(&arrays[2]);
    pg_array_null(&arrays[3]);
    pg_array_null(&arrays[4]);
    pg_array_null(&arrays[5]);
    pg_array_instant(&arrays[6], INSTANT_NEVER);
    pg_array_bytes_or_null(&arrays[7], STR(""));
    pg_array_jsonb_or_null(&arrays[8], STR(""));
    pg_array_day(&arrays[9], INSTANT_NONE);
    pg_array_id_or_null(&arrays[0], SOME_ID);
    pg_array_text_or_null(&arrays[1],
                          STR("a \"b\" and a text that is longer than was guessed for it,"
                              " so that the array has to grow"));
    pg_array_i64(&arrays[2], -1);
    pg_array_i32(&arrays[3], 0);
    pg_array_i16(&arrays[4], INT16_MAX);
    pg_array_bool(&arrays[5], false);
    pg_array_instant(&arrays[6], INT64_C(1795356187120));
    pg_array_bytes(&arrays[7], STR(""));
    pg_array_jsonb_or_null(&arrays[8], STR("1"));
    pg_array_day(&arrays[9], INT64_C(1795356187120));
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        pg_array_end(&arrays[i]);
    }
    static const char *const EXPECTED[] = {
        "{01020304-0506-0788-990a-0b0c0d0e0fff,NULL,01020304-0506-0788-990a-0b0c0d0e0fff}",
        ("{\"\",NULL,\"a \\\"b\\\" and a text that is longer than was guessed for it,"
         " so that the array has to grow\"}"),
        "{9223372036854775807,NULL,-1}",
        "{-2147483648,NULL,0}",
        "{-2,NULL,32767}",
        "{t,NULL,f}",
        "{\"1969-12-31 23:59:59.999+00\",NULL,\"2026-11-22 14:03:07.12+00\"}",
        "{\"\\\\x00ff\",NULL,\"\\\\x\"}",
        "{\"{}\",NULL,1}",
        "{1969-12-31,NULL,2026-11-22}",
    };
    struct pg_result *rows = run(fixture, &AS_TEXT, &params);
    for (int column = 0; column < 10; column++) {
        assert_str_equal(pg_get_text(rows, 0, column), str_from_z(EXPECTED[column]));
    }
}

static void empty_arrays_unnest_to_no_rows(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement COUNT = {
        "count_empty",
        "SELECT (SELECT count(*) FROM unnest($1::uuid[])), cardinality($2::text[])::bigint,"
        " $2::text[]",
    };
    struct pg_params params;
    struct pg_array ids;
    struct str *values = NULL;
    pg_params_init(&params, fixture->arena);
    pg_array_begin(&ids, &params, PG_UUID, 0);
    pg_array_end(&ids);
    pg_put_text_array(&params, NULL, 0);
    struct pg_result *rows = run(fixture, &COUNT, &params);
    assert_int_equal(pg_get_i64(rows, 0, 0), 0);
    assert_int_equal(pg_get_i64(rows, 0, 1), 0);
    assert_false(pg_is_null(rows, 0, 2));
    assert_int_equal(pg_get_text_array(rows, fixture->arena, 0, 2, &values), 0);
}

static void text_arrays_come_back(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement ECHO_TEXTS = { "echo_texts",
                                                    "SELECT $1::text[], ARRAY['x', NULL]" };
    static const struct str TEXTS[] = { { "order.*", 7 }, { "", 0 }, { "a,\"b\"", 5 } };
    struct pg_params params;
    struct str *values = NULL;
    pg_params_init(&params, fixture->arena);
    pg_put_text_array(&params, TEXTS, ARRAY_COUNT(TEXTS));
    struct pg_result *rows = run(fixture, &ECHO_TEXTS, &params);
    assert_int_equal(pg_get_text_array(rows, fixture->arena, 0, 0, &values), 3);
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        assert_str_equal(values[i], TEXTS[i]);
    }
    assert_int_equal(pg_get_text_array(rows, fixture->arena, 0, 1, &values), 2);
    assert_str_equal(values[0], STR("x"));
    assert_int_equal(values[1].size, 0);
}

static void parameters_may_change_after_they_were_put(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement ECHO_TEXT = { "echo_text", "SELECT $1::text" };
    char text[] = "before";
    struct pg_params params;
    pg_params_init(&params, fixture->arena);
    pg_put_text(&params, str_from_z(text));
    text[0] = 'X';
    assert_str_equal(pg_get_text(run(fixture, &ECHO_TEXT, &params), 0, 0), STR("before"));
}

static void affected_rows_are_counted(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement INSERT_SOME = {
        "insert_some", "INSERT INTO kept SELECT generate_series(1, 5)"
    };
    static const struct pg_statement DELETE_SOME = { "delete_some",
                                                     "DELETE FROM kept WHERE n > 3" };
    pg_fixture_script(fixture->pg, "CREATE TABLE kept (n bigint)");
    assert_int_equal(pg_affected(run(fixture, &INSERT_SOME, NULL)), 5);
    assert_int_equal(pg_affected(run(fixture, &DELETE_SOME, NULL)), 2);
}

/* --- limits --------------------------------------------------------------- */

static void parameters_that_do_not_fit_are_a_limit(void **state)
{
    struct pg_fixture *fixture = *state;
    CLEANUP(arena_destroy_at) struct arena *small = arena_create(256);
    static const char LONG[512] = { 'x' };
    struct pg_params params;
    struct problem problem = { 0 };
    pg_fixture_script(fixture->pg, "CREATE TABLE kept (n bigint)");
    pg_params_init(&params, small);
    pg_put_bytes(&params, (struct str){ LONG, sizeof(LONG) });
    pg_put_i64(&params, 1);
    assert_true(params.failed);
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &KEEP, &params, NULL, &problem),
                     STATUS_LIMIT);

    struct pg_params good;
    pg_params_init(&good, fixture->arena);
    pg_put_i64(&good, 1);
    assert_int_equal(pg_queue(fixture->pg, &KEEP, &good), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &KEEP, &params), STATUS_LIMIT);
    assert_int_equal(pg_queue(fixture->pg, &KEEP, &good), STATUS_LIMIT);
    assert_int_equal(pg_sync(fixture->pg, fixture->arena, NULL, 0, &problem), STATUS_LIMIT);
    assert_int_equal(pg_fixture_i64(fixture, "count_kept", "SELECT count(*) FROM kept"), 0);
}

static void rows_that_do_not_fit_are_a_limit(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement WIDE = { "wide", "SELECT repeat('x', 10000)" };
    CLEANUP(arena_destroy_at) struct arena *small = arena_create(2048);
    struct pg_result *rows = NULL;
    struct problem problem = { 0 };
    assert_int_equal(pg_run(fixture->pg, small, &WIDE, NULL, &rows, &problem), STATUS_LIMIT);
    assert_null(rows);
    assert_int_equal(pg_get_i64(run(fixture, &ONE, NULL), 0, 0), 1);
}

static void more_statements_than_are_remembered_still_run(void **state)
{
    struct pg_fixture *fixture = *state;
    char name[32];
    struct pg_params params;
    pg_params_init(&params, fixture->arena);
    pg_put_i64(&params, 5);
    for (int i = 0; i < 530; i++) {
        snprintf(name, sizeof(name), "many_%d", i);
        struct pg_statement statement = { name, "SELECT 10 / $1::bigint" };
        assert_int_equal(pg_get_i64(run(fixture, &statement, &params), 0, 0), 2);
    }
    assert_int_equal(
        pg_fixture_i64(fixture, "prepared_count", "SELECT count(*) FROM pg_prepared_statements"),
        512);
}

/* --- pipelines ------------------------------------------------------------ */

static void results_come_in_the_order_of_the_queue(void **state)
{
    struct pg_fixture *fixture = *state;
    struct pg_result *results[4] = { NULL };
    struct pg_params params;
    struct problem problem = { 0 };
    pg_fixture_script(fixture->pg, "CREATE TABLE kept (n bigint)");
    pg_params_init(&params, fixture->arena);
    pg_put_i64(&params, 5);
    assert_int_equal(pg_queue(fixture->pg, &pg_begin, NULL), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &KEEP, &params), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &DIVIDE, &params), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &pg_commit, NULL), STATUS_OK);
    assert_int_equal(pg_queued(fixture->pg), 4);
    assert_int_equal(pg_sync(fixture->pg, fixture->arena, results, 4, &problem), STATUS_OK);
    assert_int_equal(pg_queued(fixture->pg), 0);
    assert_int_equal(pg_affected(results[1]), 1);
    assert_int_equal(pg_get_i64(results[2], 0, 0), 2);
    assert_int_equal(pg_fixture_i64(fixture, "count_kept", "SELECT count(*) FROM kept"), 1);
}

static void the_first_error_aborts_the_rest_and_nothing_is_kept(void **state)
{
    struct pg_fixture *fixture = *state;
    struct pg_result *results[5] = { NULL };
    struct pg_params zero;
    struct problem problem = { 0 };
    pg_fixture_script(fixture->pg, "CREATE TABLE kept (n bigint)");
    pg_params_init(&zero, fixture->arena);
    pg_put_i64(&zero, 0);
    assert_int_equal(pg_queue(fixture->pg, &pg_begin, NULL), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &KEEP, &zero), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &DIVIDE, &zero), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &ONE, NULL), STATUS_OK);
    assert_int_equal(pg_queue(fixture->pg, &pg_commit, NULL), STATUS_OK);
    assert_int_equal(pg_sync(fixture->pg, fixture->arena, results, 5, &problem), STATUS_INVALID);
    assert_string_equal(pg_sqlstate(fixture->pg), "22012");
    assert_null(results[0]);
    pg_reset(fixture->pg);
    assert_true(pg_is_connected(fixture->pg));
    /* The Parse of ONE was skipped by the server, so it must be sent again. */
    assert_int_equal(pg_get_i64(run(fixture, &ONE, NULL), 0, 0), 1);
    assert_int_equal(pg_fixture_i64(fixture, "count_kept", "SELECT count(*) FROM kept"), 0);
}

static void a_refused_parse_is_forgotten(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement LATER = { "later", "SELECT n FROM made_later" };
    struct problem problem = { 0 };
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &LATER, NULL, NULL, &problem),
                     STATUS_BROKEN);
    pg_fixture_script(fixture->pg, "CREATE TABLE made_later (n bigint)");
    assert_int_equal(pg_row_count(run(fixture, &LATER, NULL)), 0);
}

static void a_failed_transaction_does_not_commit_silently(void **state)
{
    struct pg_fixture *fixture = *state;
    struct pg_params zero;
    struct problem problem = { 0 };
    pg_params_init(&zero, fixture->arena);
    pg_put_i64(&zero, 0);
    (void)run(fixture, &pg_begin, NULL);
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &DIVIDE, &zero, NULL, &problem),
                     STATUS_INVALID);
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &pg_commit, NULL, NULL, &problem),
                     STATUS_BROKEN);
    pg_reset(fixture->pg);
    assert_int_equal(pg_get_i64(run(fixture, &ONE, NULL), 0, 0), 1);
}

static void what_was_queued_and_never_synced_does_not_happen(void **state)
{
    struct pg_fixture *fixture = *state;
    struct pg_params params;
    pg_fixture_script(fixture->pg, "CREATE TABLE kept (n bigint)");
    pg_params_init(&params, fixture->arena);
    pg_put_i64(&params, 1);
    assert_int_equal(pg_queue(fixture->pg, &KEEP, &params), STATUS_OK);
    pg_reset(fixture->pg);
    assert_int_equal(pg_fixture_i64(fixture, "count_kept", "SELECT count(*) FROM kept"), 0);
}

/* Both directions are filled far beyond the sockets' buffers: who only writes
 * until done, or only reads, hangs here. */
static void a_big_batch_does_not_deadlock(void **state)
{
    struct pg_fixture *fixture = *state;
    enum {
        ELEMENT_SIZE = 10 * 1024,
        ELEMENTS = 512,
        STATEMENTS = 8
    };
    static const struct pg_statement ECHO_BYTES = { "echo_bytes",
                                                    "SELECT b FROM unnest($1::bytea[]) b" };
    struct pg_result *results[STATEMENTS];
    struct problem problem = { 0 };
    char *element = arena_alloc(fixture->arena, ELEMENT_SIZE);
    memset(element, 'e', ELEMENT_SIZE);
    alarm(60);
    for (size_t i = 0; i < STATEMENTS; i++) {
        struct pg_params params;
        struct pg_array bodies;
        pg_params_init(&params, fixture->arena);
        pg_array_begin(&bodies, &params, PG_BYTEA, ELEMENTS);
        for (size_t j = 0; j < ELEMENTS; j++) {
            pg_array_bytes(&bodies, (struct str){ element, ELEMENT_SIZE });
        }
        pg_array_end(&bodies);
        assert_int_equal(pg_queue(fixture->pg, &ECHO_BYTES, &params), STATUS_OK);
    }
    assert_int_equal(pg_sync(fixture->pg, fixture->arena, results, STATEMENTS, &problem),
                     STATUS_OK);
    alarm(0);
    for (size_t i = 0; i < STATEMENTS; i++) {
        assert_int_equal(pg_row_count(results[i]), ELEMENTS);
        assert_str_equal(pg_get_bytes(results[i], ELEMENTS - 1, 0),
                         ((struct str){ element, ELEMENT_SIZE }));
    }
}

/* --- lost connections ----------------------------------------------------- */

static void terminate(struct pg_fixture *fixture, int64_t pid)
{
    char sql[96];
    struct pg *other = pg_fixture_open(fixture, false);
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", (int)pid);
    pg_fixture_script(other, sql);
    pg_close(other);
    (void)poll(NULL, 0, 100);
}

static void an_idle_connection_that_was_closed_is_opened_again(void **state)
{
    struct pg_fixture *fixture = *state;
    int64_t before = pg_get_i64(run(fixture, &MY_PID, NULL), 0, 0);
    terminate(fixture, before);
    assert_true(pg_get_i64(run(fixture, &MY_PID, NULL), 0, 0) != before);
    assert_int_equal(pg_fixture_i64(fixture, "hot",
                                    "SELECT count(*) FROM pg_settings WHERE name"
                                    " = 'enable_seqscan' AND setting = 'off'"),
                     1);
}

static void a_lost_transaction_is_not_continued(void **state)
{
    struct pg_fixture *fixture = *state;
    struct pg_params params;
    struct problem problem = { 0 };
    pg_fixture_script(fixture->pg, "CREATE TABLE kept (n bigint)");
    pg_params_init(&params, fixture->arena);
    pg_put_i64(&params, 1);
    int64_t pid = pg_get_i64(run(fixture, &MY_PID, NULL), 0, 0);
    (void)run(fixture, &pg_begin, NULL);
    (void)run(fixture, &KEEP, &params);
    terminate(fixture, pid);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pg_run(fixture->pg, fixture->arena, &KEEP, &params, NULL, &problem),
                         STATUS_RETRY);
    }
    assert_int_equal(pg_queue(fixture->pg, &KEEP, &params), STATUS_RETRY);
    assert_int_equal(pg_sync(fixture->pg, fixture->arena, NULL, 0, &problem), STATUS_RETRY);
    pg_reset(fixture->pg);
    (void)run(fixture, &KEEP, &params);
    assert_int_equal(pg_fixture_i64(fixture, "count_kept", "SELECT count(*) FROM kept"), 1);
}

struct killer {
    struct pg_fixture *fixture;
    int64_t pid;
};

static void *kill_soon(void *context)
{
    struct killer *killer = context;
    (void)poll(NULL, 0, 300);
    terminate(killer->fixture, killer->pid);
    return NULL;
}

static void a_statement_that_is_cut_off_is_for_retry(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement SLEEP = { "sleep", "SELECT 1::bigint FROM pg_sleep(20)" };
    struct problem problem = { 0 };
    struct killer killer = { fixture, pg_get_i64(run(fixture, &MY_PID, NULL), 0, 0) };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, kill_soon, &killer), 0);
    int64_t begin_ms = clock_monotonic_ms();
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &SLEEP, NULL, NULL, &problem),
                     STATUS_RETRY);
    assert_true(clock_monotonic_ms() - begin_ms < 5000);
    assert_string_equal(pg_sqlstate(fixture->pg), "57P01");
    assert_false(pg_is_connected(fixture->pg));
    pthread_join(thread, NULL);
    assert_int_equal(pg_get_i64(run(fixture, &ONE, NULL), 0, 0), 1);
}

static void nobody_there_is_for_retry_at_once(void **state)
{
    (void)state;
    static const char *const URLS[] = {
        "postgresql://shopbell@/shopbell?host=/nonexistent",
        "postgresql://shopbell@127.0.0.1:1/shopbell",
    };
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        struct pg *pg = NULL;
        struct problem problem = { 0 };
        int64_t begin_ms = clock_monotonic_ms();
        assert_int_equal(pg_open(URLS[i], false, &pg), STATUS_OK);
        assert_int_equal(pg_connect(pg, &problem), STATUS_RETRY);
        assert_non_null(strstr(problem.detail, "cannot connect"));
        assert_int_equal(pg_queue(pg, &ONE, NULL), STATUS_RETRY);
        assert_int_equal(pg_sync(pg, NULL, NULL, 0, &problem), STATUS_RETRY);
        assert_true(clock_monotonic_ms() - begin_ms < 1000);
        pg_close(pg);
    }
}

/* A pooler or an operator may take prepared statements away. */
static void statements_that_vanished_are_prepared_again(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { 0 };
    (void)run(fixture, &ONE, NULL);
    pg_fixture_script(fixture->pg, "DEALLOCATE ALL");
    assert_int_equal(pg_get_i64(run(fixture, &ONE, NULL), 0, 0), 1);
    (void)run(fixture, &pg_begin, NULL);
    pg_fixture_script(fixture->pg, "DEALLOCATE ALL");
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &ONE, NULL, NULL, &problem), STATUS_RETRY);
    assert_string_equal(pg_sqlstate(fixture->pg), "26000");
    pg_reset(fixture->pg);
    assert_int_equal(pg_get_i64(run(fixture, &ONE, NULL), 0, 0), 1);
}

static void a_migration_beneath_us_is_survived(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct pg_statement ALL = { "all_of_it", "SELECT * FROM changing" };
    pg_fixture_script(fixture->pg,
                      "CREATE TABLE changing (a bigint); INSERT INTO changing VALUES (1)");
    (void)run(fixture, &ALL, NULL);
    pg_fixture_script(fixture->pg, "ALTER TABLE changing ALTER a TYPE text, ADD b bigint");
    assert_str_equal(pg_get_text(run(fixture, &ALL, NULL), 0, 0), STR("1"));
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(scalars_come_back_as_they_went),
        IN_A_DATABASE(null_is_null_in_every_type),
        IN_A_DATABASE(instants_are_cut_to_milliseconds),
        IN_A_DATABASE(arrays_mean_what_the_server_reads),
        IN_A_DATABASE(empty_arrays_unnest_to_no_rows),
        IN_A_DATABASE(text_arrays_come_back),
        IN_A_DATABASE(parameters_may_change_after_they_were_put),
        IN_A_DATABASE(affected_rows_are_counted),
        IN_A_DATABASE(parameters_that_do_not_fit_are_a_limit),
        IN_A_DATABASE(rows_that_do_not_fit_are_a_limit),
        IN_A_DATABASE(more_statements_than_are_remembered_still_run),
        IN_A_DATABASE(results_come_in_the_order_of_the_queue),
        IN_A_DATABASE(the_first_error_aborts_the_rest_and_nothing_is_kept),
        IN_A_DATABASE(a_refused_parse_is_forgotten),
        IN_A_DATABASE(a_failed_transaction_does_not_commit_silently),
        IN_A_DATABASE(what_was_queued_and_never_synced_does_not_happen),
        IN_A_DATABASE(a_big_batch_does_not_deadlock),
        IN_A_DATABASE(an_idle_connection_that_was_closed_is_opened_again),
        IN_A_DATABASE(a_lost_transaction_is_not_continued),
        IN_A_DATABASE(a_statement_that_is_cut_off_is_for_retry),
        IN_A_DATABASE(nobody_there_is_for_retry_at_once),
        IN_A_DATABASE(statements_that_vanished_are_prepared_again),
        IN_A_DATABASE(a_migration_beneath_us_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
