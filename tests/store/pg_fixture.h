#ifndef TESTS_STORE_PG_FIXTURE_H
#define TESTS_STORE_PG_FIXTURE_H

/*
 * A database of its own for each test, on the cluster that
 * tests/support/with_postgres started. Setup and teardown are cmocka's; the
 * state is a struct pg_fixture.
 */

#include "base/arena.h"
#include "store/pg.h"

enum {
    PG_FIXTURE_URL_SIZE = 512,
    PG_FIXTURE_NAME_SIZE = 40
};

struct pg_fixture {
    struct arena *arena;
    struct pg *pg;                   /* hot, to `url` */
    char name[PG_FIXTURE_NAME_SIZE]; /* of the database */
    char url[PG_FIXTURE_URL_SIZE];
};

/* An empty database. */
int pg_fixture_setup(void **state);
/* One with all migrations and the partitions of now, copied from a template
 * that the first use makes. */
int pg_fixture_setup_migrated(void **state);
int pg_fixture_setup_unpartitioned(void **state); /* migrated, without a partition */
int pg_fixture_teardown(void **state);

/* For a second connection: asserts that it could be opened. */
struct pg *pg_fixture_open(const struct pg_fixture *fixture, bool hot);
/* Runs SQL text that must succeed. */
void pg_fixture_script(struct pg *pg, const char *sql);
/* The one bigint that a query gives. `sql` is prepared under `name`. */
int64_t pg_fixture_i64(const struct pg_fixture *fixture, const char *name, const char *sql);

#endif
