#ifndef STORE_PG_H
#define STORE_PG_H

/*
 * A connection to PostgreSQL, prepared statements, binary parameters, and the
 * classes of its errors. The only place in the program that calls libpq.
 *
 * Statements are named constants beside the function that runs them. A
 * struct pg_statement is prepared on a connection the first time it runs there.
 * Parameters are binary; arrays serve `unnest`, so one statement writes any
 * number of rows. Results are binary too and read through pg_row.
 *
 * Threading: a connection belongs to one thread. Memory: parameters and results
 * live in the arena given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"

struct pg;

struct pg_statement {
    const char *name; /* unique in the program; "": made at run time, never prepared */
    const char *sql;  /* $1 is the workspace id wherever the table has one */
};

/* Opens with application_name shopbell. `hot` sets the planner as correctness
 * 14 asks. The connection is lazily (re)opened: pg_open fails only when out of
 * memory; a lost connection gives STATUS_RETRY and the next call reconnects. */
NODISCARD enum status pg_open(const char *url, bool hot, struct pg **out_pg);
void pg_close(struct pg *pg);
/* Connects now; for readiness checks and start-up. */
NODISCARD enum status pg_connect(struct pg *pg, struct problem *problem);
bool pg_is_connected(const struct pg *pg);

/* --- parameters --------------------------------------------------------- */

/* A growing list of parameters in an arena. Scalars take one value; arrays are
 * begun with their length and then filled. A failed allocation is sticky and
 * makes pg_run return STATUS_LIMIT. */
enum pg_type {
    PG_UUID,
    PG_TEXT,
    PG_INT8,
    PG_INT4,
    PG_INT2,
    PG_BOOL,
    PG_INSTANT,
    PG_BYTEA,
    PG_JSONB,
    PG_DATE
};
enum {
    PG_PARAMETERS_MAX = 40
};

struct pg_params {
    struct arena *arena;
    int count;
    bool failed;
    const char *values[PG_PARAMETERS_MAX];
    int lengths[PG_PARAMETERS_MAX];
    unsigned types[PG_PARAMETERS_MAX]; /* OIDs */
};

void pg_params_init(struct pg_params *params, struct arena *arena);
void pg_put_id(struct pg_params *params, struct id value);
void pg_put_id_or_null(struct pg_params *params, struct id value); /* zero is NULL */
void pg_put_ids(struct pg_params *params, const struct id *ids, size_t count);
void pg_put_text(struct pg_params *params, struct str value);
void pg_put_text_or_null(struct pg_params *params, struct str value); /* "" is NULL */
void pg_put_i64(struct pg_params *params, int64_t value);
void pg_put_i32(struct pg_params *params, int32_t value);
void pg_put_bool(struct pg_params *params, bool value);
void pg_put_instant(struct pg_params *params, int64_t ms); /* INSTANT_NONE and _NEVER are NULL */
void pg_put_bytes(struct pg_params *params, struct str value);
void pg_put_jsonb(struct pg_params *params, struct str value);
void pg_put_null(struct pg_params *params, enum pg_type type);
void pg_put_text_array(struct pg_params *params, const struct str *values, size_t count);

/* Column-wise arrays. pg_array_begin reserves; pg_array_* append; the array is
 * added to the parameters when `count` elements were appended. */
struct pg_array {
    struct pg_params *params;
    enum pg_type type;
    size_t count; /* expected */
    size_t filled;
    bool has_null;
    char *data;
    size_t size;
    size_t capacity;
    int slot;
};
void pg_array_begin(struct pg_array *array, struct pg_params *params, enum pg_type type,
                    size_t count);
void pg_array_id(struct pg_array *array, struct id value);
void pg_array_id_or_null(struct pg_array *array, struct id value);
void pg_array_text(struct pg_array *array, struct str value);
void pg_array_text_or_null(struct pg_array *array, struct str value);
void pg_array_i64(struct pg_array *array, int64_t value);
void pg_array_i32(struct pg_array *array, int32_t value);
void pg_array_i16(struct pg_array *array, int16_t value);
void pg_array_bool(struct pg_array *array, bool value);
void pg_array_instant(struct pg_array *array, int64_t ms); /* INSTANT_NONE and _NEVER are NULL */
void pg_array_day(struct pg_array *array, int64_t ms);     /* the UTC day of an instant, as date */
void pg_array_bytes(struct pg_array *array, struct str value);
void pg_array_bytes_or_null(struct pg_array *array, struct str value);
void pg_array_jsonb_or_null(struct pg_array *array, struct str value); /* "" is NULL */
void pg_array_null(struct pg_array *array);
void pg_array_end(struct pg_array *array); /* asserts filled == count */
/* Arrays side by side: the columns of the rows that one statement unnests. */
void pg_columns_begin(struct pg_array *columns, struct pg_params *params, const enum pg_type *types,
                      size_t column_count, size_t row_count);
void pg_columns_end(struct pg_array *columns, size_t column_count);

/* --- running ------------------------------------------------------------ */

struct pg_result; /* rows in the arena; no release */

/* One statement, one round trip, its own transaction unless one is open.
 * out_result may be NULL. Class of the error by SQLSTATE (correctness 10):
 * 40001 40P01 55P03 57P01-03 08* and a lost connection -> STATUS_RETRY; 23505
 * -> STATUS_CONFLICT; other 22* and 23* -> STATUS_INVALID (without "no partition
 * of relation", which is ours); the rest -> STATUS_BROKEN. */
NODISCARD enum status pg_run(struct pg *pg, struct arena *arena,
                             const struct pg_statement *statement, struct pg_params *params,
                             struct pg_result **out_result, struct problem *problem);

/* Several statements in one round trip (libpq pipeline mode). Queue them, then
 * sync once: results come in order, the first error aborts the rest and is
 * returned. Not a transaction by itself: queue pg_begin and pg_commit. */
NODISCARD enum status pg_queue(struct pg *pg, const struct pg_statement *statement,
                               struct pg_params *params); /* NULL params: none */
NODISCARD enum status pg_sync(struct pg *pg, struct arena *arena, struct pg_result **out_results,
                              size_t result_count, struct problem *problem);

/* How many statements are queued and not yet synced. */
size_t pg_queued(const struct pg *pg);

extern const struct pg_statement pg_begin;
extern const struct pg_statement pg_commit;
/* In a transaction whose effect is made again after a crash, the same: its end does not
 * wait for the disk. Whatever commits later and waits brings it there too. */
extern const struct pg_statement pg_async_commit;
extern const struct pg_statement pg_rollback;

/* Rolls back whatever is open and forgets what is queued; never fails (a broken
 * connection is closed). A transaction that was lost with its connection is not
 * continued: until this or pg_begin every call answers STATUS_RETRY. */
void pg_reset(struct pg *pg);

/* Plain SQL text without parameters, several statements allowed: migrations
 * and DDL only. */
NODISCARD enum status pg_script(struct pg *pg, const char *sql, struct problem *problem);

/* SQLSTATE of the last error, "" when there was none. */
const char *pg_sqlstate(const struct pg *pg);

/* --- results ------------------------------------------------------------ */

size_t pg_row_count(const struct pg_result *result);
size_t pg_affected(const struct pg_result *result); /* rows of an INSERT, UPDATE, DELETE */
bool pg_is_null(const struct pg_result *result, size_t row, int column);
struct id pg_get_id(const struct pg_result *result, size_t row, int column);    /* NULL: zero */
struct str pg_get_text(const struct pg_result *result, size_t row, int column); /* NULL: empty */
struct str pg_get_bytes(const struct pg_result *result, size_t row, int column);
struct str pg_get_jsonb(const struct pg_result *result, size_t row, int column); /* the text */
int64_t pg_get_i64(const struct pg_result *result, size_t row,
                   int column); /* int2, int4, int8; NULL: 0 */
bool pg_get_bool(const struct pg_result *result, size_t row, int column);
int64_t pg_get_instant(const struct pg_result *result, size_t row,
                       int column); /* NULL: INSTANT_NONE */
/* A text[] column; NULL gives none. */
size_t pg_get_text_array(const struct pg_result *result, struct arena *arena, size_t row,
                         int column, struct str **out_values);

#endif
