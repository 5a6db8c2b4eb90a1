#include "pg_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/migrate.h"
#include "unit.h"

enum {
    FIXTURE_ARENA_BYTES = 512 * 1024 * 1024,
    SKIPPED = 77,
    SQL_SIZE = 256
};

static const char *base_url(void)
{
    const char *url = getenv("SHOPBELL_TEST_PG_URL");
    if (url == NULL || strlen(url) >= PG_FIXTURE_URL_SIZE - PG_FIXTURE_NAME_SIZE) {
        fprintf(stderr, "run this beneath tests/support/with_postgres\n");
        exit(SKIPPED);
    }
    return url;
}

/* The same server, another database: what stands between the last "/" before
 * the parameters and the "?" is its name. */
static void url_of(const char *name, char *url)
{
    const char *base = base_url();
    const char *parameters = strchr(base, '?');
    assert_non_null(parameters);
    const char *slash = parameters;
    while (*slash != '/') {
        slash--;
    }
    snprintf(url, PG_FIXTURE_URL_SIZE, "%.*s/%s%s", (int)(slash - base), base, name, parameters);
}

static struct pg *open_url(const char *url, bool hot)
{
    struct pg *pg = NULL;
    assert_int_equal(pg_open(url, hot, &pg), STATUS_OK);
    return pg;
}

void pg_fixture_script(struct pg *pg, const char *sql)
{
    struct problem problem = { 0 };
    enum status status = pg_script(pg, sql, &problem);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", sql, problem.detail);
    }
}

struct pg *pg_fixture_open(const struct pg_fixture *fixture, bool hot)
{
    return open_url(fixture->url, hot);
}

static void admin_script(const char *format, const char *name, const char *other)
{
    char sql[SQL_SIZE];
    struct pg *admin = open_url(base_url(), false);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof(sql), format, name, other);
#pragma GCC diagnostic pop
    pg_fixture_script(admin, sql);
    pg_close(admin);
}

/* Made once, for all tests of a program. */
static const char *template_name(bool has_partitions)
{
    static char names[2][PG_FIXTURE_NAME_SIZE];
    char *name = names[has_partitions];
    if (name[0] != '\0') {
        return name;
    }
    snprintf(name, PG_FIXTURE_NAME_SIZE, "template_%d_%d", (int)getpid(), has_partitions);
    char url[PG_FIXTURE_URL_SIZE];
    struct problem problem = { 0 };
    size_t applied = 0;
    admin_script("CREATE DATABASE %s%s", name, "");
    url_of(name, url);
    struct pg *pg = open_url(url, false);
    if (migrate_apply(pg, &applied, NULL, NULL, &problem) != STATUS_OK ||
        (has_partitions && partition_ensure(pg, clock_now_ms(), &problem) != STATUS_OK)) {
        fail_msg("template: %s", problem.detail);
    }
    pg_close(pg);
    return name;
}

static int setup(void **state, const char *template)
{
    static int number = 0;
    struct pg_fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    snprintf(fixture->name, sizeof(fixture->name), "fixture_%d_%d", (int)getpid(), ++number);
    admin_script("CREATE DATABASE %s TEMPLATE %s", fixture->name, template);
    url_of(fixture->name, fixture->url);
    fixture->arena = arena_create(FIXTURE_ARENA_BYTES);
    assert_non_null(fixture->arena);
    fixture->pg = open_url(fixture->url, true);
    *state = fixture;
    return 0;
}

int pg_fixture_setup(void **state)
{
    return setup(state, "template0");
}

int pg_fixture_setup_migrated(void **state)
{
    return setup(state, template_name(true));
}

int pg_fixture_setup_unpartitioned(void **state)
{
    return setup(state, template_name(false));
}

int pg_fixture_teardown(void **state)
{
    struct pg_fixture *fixture = *state;
    pg_close(fixture->pg);
    admin_script("DROP DATABASE %s%s WITH (FORCE)", fixture->name, "");
    arena_destroy(fixture->arena);
    free(fixture);
    return 0;
}

int64_t pg_fixture_i64(const struct pg_fixture *fixture, const char *name, const char *sql)
{
    const struct pg_statement statement = { name, sql };
    struct pg_result *rows = NULL;
    struct problem problem = { 0 };
    if (pg_run(fixture->pg, fixture->arena, &statement, NULL, &rows, &problem) != STATUS_OK) {
        fail_msg("%s: %s", sql, problem.detail);
    }
    assert_int_equal(pg_row_count(rows), 1);
    return pg_get_i64(rows, 0, 0);
}
