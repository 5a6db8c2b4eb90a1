#include "store/pg.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pg_priv.h"

/*
 * One connection, always in libpq's pipeline mode.
 *
 * Problem: a batch is some fifteen statements; a round trip each would cost
 * more than the work. And libpq's blocking calls may wait for ever on a dead
 * server, or deadlock with it once both sides' buffers are full.
 *
 * So every statement goes the same way: it is queued (preceded by its Parse
 * the first time), the queue ends with a Sync, and results are collected while
 * the socket is polled for both directions. pg_run is a queue of one. The
 * entries are a FIFO beside libpq, which keeps none.
 *
 *              pg_queue            pg_sync, all collected
 *     idle  ------------->  queued  --------------------->  idle
 *       ^                     |                               |
 *       |  reconnect          | lost, no answer in time       | lost
 *       +-------- closed <----+-------------------------------+
 *
 * Invariants: between calls either nothing is queued or nobody has synced, so
 * closing the connection throws away exactly what was not promised. A name in
 * `prepared` is prepared on this connection, or its Parse is in the queue; a
 * Parse that was refused or skipped takes the name out again. A transaction
 * that was open when the connection was lost is never continued on the next
 * one: until pg_reset or a fresh BEGIN every call answers STATUS_RETRY.
 *
 * Rejected: PQexec and PQexecParams (no bound on the wait), a thread per
 * statement, a pool (each worker owns its connection, so affinity is free).
 */

enum {
    PG_QUEUE_MAX = 128,    /* a batch uses about 20, and as many Parses */
    PG_PREPARED_MAX = 512, /* statements of the program; what exceeds it runs unnamed */
    PG_SQLSTATE_SIZE = 6,
};

/* A server that says nothing for this long is dead: more than
 * statement_timeout, so that a slow statement is refused by the server. */
#define PG_WAIT_MS (30 * 1000)
/* Scripts are migrations: they may build an index for hours. A dead peer is
 * found by the keepalives. */
#define PG_SCRIPT_WAIT_MS (24 * 60 * 60 * 1000)

static const char session_sql[] = "SET timezone = 'UTC';"
                                  "SET synchronous_commit = on;"
                                  "SET jit = off;"
                                  "SET statement_timeout = '20s';"
                                  "SET lock_timeout = '5s';"
                                  "SET idle_in_transaction_session_timeout = '60s'";

/* Correctness 14: on a fresh table the planner believes that a scan is cheap,
 * and a generic plan keeps that belief while the table grows. */
static const char session_hot_sql[] = "SET enable_seqscan = off;"
                                      "SET enable_hashjoin = off;"
                                      "SET enable_mergejoin = off;"
                                      "SET plan_cache_mode = force_generic_plan";

const struct pg_statement pg_begin = { "pg_begin", "BEGIN" };
const struct pg_statement pg_commit = { "pg_commit", "COMMIT" };
const struct pg_statement pg_async_commit = { "pg_async_commit",
                                              "SET LOCAL synchronous_commit TO off" };
const struct pg_statement pg_rollback = { "pg_rollback", "ROLLBACK" };

struct pg_entry {
    const struct pg_statement *statement;
    uint64_t mark;
    bool is_prepare;
};

struct pg {
    char *url;
    bool hot;
    PGconn *connection; /* NULL: closed */
    bool in_transaction;
    bool transaction_lost;
    bool is_stale;            /* the last error was about prepared statements: again may work */
    enum status queue_status; /* a statement could not be queued: the sync must fail */
    struct problem queue_problem;
    size_t entry_count;
    size_t statement_count; /* entries that are not Parses */
    struct pg_entry entries[PG_QUEUE_MAX];
    size_t prepared_count;
    uint64_t prepared[PG_PREPARED_MAX];
    char sqlstate[PG_SQLSTATE_SIZE];
};

static void clear_result_at(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

/* --- classes of errors ---------------------------------------------------- */

static bool is_class(const char *sqlstate, const char *two)
{
    return strncmp(sqlstate, two, 2) == 0;
}

static bool is_one_of(const char *sqlstate, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(sqlstate, *list) == 0) {
            return true;
        }
    }
    return false;
}

/* Correctness 10. A violated constraint has a name; "no partition of relation"
 * (23514 too) has none, whatever the server's language. */
static enum status classify(const char *sqlstate, bool has_constraint)
{
    static const char *const passing[] = { "40001", "40P01", "55P03", "57P01",
                                           "57P02", "57P03", NULL };
    if (is_class(sqlstate, "08") || is_one_of(sqlstate, passing)) {
        return STATUS_RETRY;
    }
    if (strcmp(sqlstate, "23505") == 0) {
        return STATUS_CONFLICT;
    }
    if (strcmp(sqlstate, "23514") == 0 && !has_constraint) {
        return STATUS_BROKEN;
    }
    if (is_class(sqlstate, "22") || is_class(sqlstate, "23")) {
        return STATUS_INVALID;
    }
    return STATUS_BROKEN;
}

/* The statement is unknown or known otherwise on this connection, or a
 * migration changed what it returns. A fresh connection knows nothing. */
static bool is_stale_plan(const char *sqlstate, const char *message)
{
    static const char *const stale[] = { "26000", "42P05", NULL };
    return is_one_of(sqlstate, stale) ||
           (strcmp(sqlstate, "0A000") == 0 && strstr(message, "cached plan") != NULL);
}

static const char *problem_type(enum status status)
{
    switch (status) {
    case STATUS_RETRY:
        return "database-unavailable";
    case STATUS_CONFLICT:
        return "name-taken";
    case STATUS_INVALID:
        return "invalid-field";
    case STATUS_LIMIT:
        return "limit-reached";
    case STATUS_OK:
    case STATUS_DENIED:
    case STATUS_MISSING:
    case STATUS_BROKEN:
        break;
    }
    return "internal";
}

static void keep_sqlstate(struct pg *pg, const char *sqlstate)
{
    snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", sqlstate != NULL ? sqlstate : "XX000");
}

/* Never the DETAIL, and of class 22 not even the message: both quote values. */
static enum status error_report(struct pg *pg, const char *name, const PGresult *result,
                                struct problem *problem)
{
    keep_sqlstate(pg, PQresultErrorField(result, PG_DIAG_SQLSTATE));
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (message == NULL) {
        message = "no message";
    }
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    enum status status = classify(pg->sqlstate, constraint != NULL);
    if (is_stale_plan(pg->sqlstate, message)) {
        pg->is_stale = true;
        status = STATUS_RETRY;
    }
    if (is_class(pg->sqlstate, "22")) {
        message = "the database refused a value";
    }
    return problem_set(problem, status, problem_type(status), "statement %s: %s (SQLSTATE %s)",
                       name, message, pg->sqlstate);
}

/* --- the connection ------------------------------------------------------- */

static void disconnect(struct pg *pg)
{
    if (pg->in_transaction) {
        pg->transaction_lost = true;
    }
    PQfinish(pg->connection);
    pg->connection = NULL;
    pg->in_transaction = false;
    pg->entry_count = 0;
    pg->statement_count = 0;
    pg->prepared_count = 0;
}

static enum status lost(struct pg *pg, const char *why, struct problem *problem)
{
    if (pg->sqlstate[0] == '\0') { /* else the server said why before it went */
        keep_sqlstate(pg, "08006");
    }
    disconnect(pg);
    return problem_set(problem, STATUS_RETRY, "database-unavailable",
                       "the connection to the database was lost: %s", why);
}

static void ignore_notice(void *context, const PGresult *notice)
{
    (void)context;
    (void)notice;
}

static int poll_again(struct pollfd *watched, int wait_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    for (;;) {
        int ready = poll(watched, 1, wait_ms);
        if (ready >= 0 || errno != EINTR) {
            return ready;
        }
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        wait_ms = left_ms > 0 ? (int)left_ms : 0;
    }
}

/* Sends what is buffered and waits until libpq can say something. */
static enum status await_result(struct pg *pg, int wait_ms, struct problem *problem)
{
    while (PQisBusy(pg->connection)) {
        if (PQstatus(pg->connection) == CONNECTION_BAD) {
            return lost(pg, "it was closed", problem);
        }
        int unsent = PQflush(pg->connection);
        if (unsent < 0) {
            return lost(pg, "it cannot be written to", problem);
        }
        struct pollfd watched = {
            .fd = PQsocket(pg->connection),
            .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)),
        };
        if (poll_again(&watched, wait_ms) <= 0) {
            return lost(pg, "it did not answer in time", problem);
        }
        bool is_readable = (watched.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
        /* A last word may have come with the end: it is parsed first, and the
         * next turn sees that the connection is bad. */
        if (is_readable && !PQconsumeInput(pg->connection) &&
            PQstatus(pg->connection) != CONNECTION_BAD) {
            return lost(pg, "it cannot be read from", problem);
        }
    }
    return STATUS_OK;
}

/* Several statements in one string; outside pipeline mode. */
static enum status run_script(struct pg *pg, const char *sql, int wait_ms, struct problem *problem)
{
    if (!PQexitPipelineMode(pg->connection) || !PQsendQuery(pg->connection, sql)) {
        return lost(pg, "it took no script", problem);
    }
    enum status status = STATUS_OK;
    for (;;) {
        enum status waited = await_result(pg, wait_ms, problem);
        if (waited != STATUS_OK) {
            return waited;
        }
        CLEANUP(clear_result_at) PGresult *result = PQgetResult(pg->connection);
        if (result == NULL) {
            break;
        }
        if (PQresultStatus(result) == PGRES_FATAL_ERROR && status == STATUS_OK) {
            status = error_report(pg, "script", result, problem);
        }
    }
    if (PQstatus(pg->connection) == CONNECTION_BAD) {
        return lost(pg, "it was closed", status == STATUS_OK ? problem : NULL);
    }
    PGTransactionStatusType transaction = PQtransactionStatus(pg->connection);
    pg->in_transaction = transaction != PQTRANS_IDLE;
    return status;
}

static enum status connect_now(struct pg *pg, struct problem *problem)
{
    /* Ours first, so that the URL may say otherwise. The socket's timeouts
     * find a peer that died without a word within some 5 s. */
    static const char *const keys[] = { "application_name",
                                        "connect_timeout",
                                        "keepalives",
                                        "keepalives_idle",
                                        "keepalives_interval",
                                        "keepalives_count",
                                        "tcp_user_timeout",
                                        "client_encoding",
                                        "dbname",
                                        NULL };
    const char *const values[] = { "shopbell", "5",    "1",    "2",     "1",
                                   "3",        "5000", "UTF8", pg->url, NULL };
    pg->connection = PQconnectdbParams(keys, values, 1);
    if (pg->connection == NULL || PQstatus(pg->connection) != CONNECTION_OK) {
        struct str why = str_trim(str_from_z(PQerrorMessage(pg->connection)));
        enum status status = problem_set(problem, STATUS_RETRY, "database-unavailable",
                                         "cannot connect to the database: %.*s", STR_ARG(why));
        keep_sqlstate(pg, "08001");
        disconnect(pg);
        return status;
    }
    PQsetNoticeReceiver(pg->connection, ignore_notice, NULL);
    if (PQsetnonblocking(pg->connection, 1) != 0) {
        return lost(pg, "it cannot be made non-blocking", problem);
    }
    enum status status = run_script(pg, session_sql, PG_WAIT_MS, problem);
    if (status == STATUS_OK && pg->hot) {
        status = run_script(pg, session_hot_sql, PG_WAIT_MS, problem);
    }
    if (status != STATUS_OK) {
        disconnect(pg);
    }
    return status;
}

/* An idle connection that has something to say was closed by the server (a
 * restart, an idle limit): better to see that before a statement is risked. */
static bool is_gone(const struct pg *pg)
{
    struct pollfd watched = { .fd = PQsocket(pg->connection), .events = POLLIN };
    return poll_again(&watched, 0) != 0;
}

static enum status ensure_connected(struct pg *pg, struct problem *problem)
{
    bool is_idle = pg->entry_count == 0 && !pg->in_transaction;
    if (pg->connection != NULL && is_idle && is_gone(pg)) {
        disconnect(pg);
    }
    return pg->connection != NULL ? STATUS_OK : connect_now(pg, problem);
}

enum status pg_open(const char *url, bool hot, struct pg **out_pg)
{
    struct pg *pg = calloc(1, sizeof(*pg));
    char *copy = strdup(url);
    if (pg == NULL || copy == NULL) {
        free(pg);
        free(copy);
        return STATUS_BROKEN;
    }
    pg->url = copy;
    pg->hot = hot;
    *out_pg = pg;
    return STATUS_OK;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL) {
        return;
    }
    disconnect(pg);
    free(pg->url);
    free(pg);
}

enum status pg_connect(struct pg *pg, struct problem *problem)
{
    return ensure_connected(pg, problem);
}

bool pg_is_connected(const struct pg *pg)
{
    return pg->connection != NULL && PQstatus(pg->connection) == CONNECTION_OK;
}

/* --- queueing ------------------------------------------------------------- */

static bool is_prepared(const struct pg *pg, uint64_t mark)
{
    for (size_t i = 0; i < pg->prepared_count; i++) {
        if (pg->prepared[i] == mark) {
            return true;
        }
    }
    return false;
}

static void forget_prepared(struct pg *pg, uint64_t mark)
{
    for (size_t i = 0; i < pg->prepared_count; i++) {
        if (pg->prepared[i] == mark) {
            pg->prepared[i] = pg->prepared[--pg->prepared_count];
            return;
        }
    }
}

static void add_entry(struct pg *pg, const struct pg_statement *statement, uint64_t mark,
                      bool is_prepare)
{
    assert(pg->entry_count < PG_QUEUE_MAX);
    pg->entries[pg->entry_count++] = (struct pg_entry){ statement, mark, is_prepare };
    pg->statement_count += is_prepare ? 0 : 1;
}

static const int *binary_formats(void)
{
    static const int formats[PG_PARAMETERS_MAX] = {
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    };
    return formats;
}

/* Parse when it is the first time here, then Bind and Execute. False when
 * libpq cannot take more: the connection is lost or memory is out. */
static bool send_statement(struct pg *pg, const struct pg_statement *statement,
                           const struct pg_params *params)
{
    PGconn *connection = pg->connection;
    uint64_t mark = hash64(str_from_z(statement->name), 0);
    bool is_known = is_prepared(pg, mark);
    bool is_nameless = statement->name[0] == '\0';
    if (is_nameless || (!is_known && pg->prepared_count == PG_PREPARED_MAX)) {
        add_entry(pg, statement, mark, false);
        return PQsendQueryParams(connection, statement->sql, params->count, params->types,
                                 params->values, params->lengths, binary_formats(), 1);
    }
    if (!is_known) {
        if (!PQsendPrepare(connection, statement->name, statement->sql, params->count,
                           params->types)) {
            return false;
        }
        pg->prepared[pg->prepared_count++] = mark;
        add_entry(pg, statement, mark, true);
    }
    if (!PQsendQueryPrepared(connection, statement->name, params->count, params->values,
                             params->lengths, binary_formats(), 1)) {
        return false;
    }
    add_entry(pg, statement, mark, false);
    return true;
}

static enum status queue_statement(struct pg *pg, const struct pg_statement *statement,
                                   const struct pg_params *params, struct problem *problem)
{
    static const struct pg_params none = { 0 };
    if (params == NULL) {
        params = &none;
    }
    if (params->failed || pg->entry_count + 2 > PG_QUEUE_MAX) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached",
                           "statement %s: the parameters do not fit", statement->name);
    }
    if (statement == &pg_begin || statement == &pg_rollback) {
        pg->transaction_lost = false;
    }
    if (pg->transaction_lost) {
        return problem_set(problem, STATUS_RETRY, "database-unavailable",
                           "the connection to the database was lost in a transaction");
    }
    pg->sqlstate[0] = '\0';
    enum status status = ensure_connected(pg, problem);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_ready =
        PQpipelineStatus(pg->connection) == PQ_PIPELINE_ON || PQenterPipelineMode(pg->connection);
    if (!is_ready || !send_statement(pg, statement, params)) {
        return lost(pg, "it took no statement", problem);
    }
    return STATUS_OK;
}

enum status pg_queue(struct pg *pg, const struct pg_statement *statement, struct pg_params *params)
{
    if (pg->queue_status == STATUS_OK) {
        pg->queue_status = queue_statement(pg, statement, params, &pg->queue_problem);
    }
    return pg->queue_status;
}

size_t pg_queued(const struct pg *pg)
{
    return pg->statement_count;
}

/* --- collecting ----------------------------------------------------------- */

/* One entry's result in `*result` (to be cleared by the caller), and the NULL
 * that ends it in libpq's protocol swallowed. */
static enum status next_result(struct pg *pg, PGresult **out_result, struct problem *problem)
{
    enum status status = await_result(pg, PG_WAIT_MS, problem);
    if (status != STATUS_OK) {
        return status;
    }
    PGresult *result = PQgetResult(pg->connection);
    if (result == NULL) {
        return lost(pg, "it answered out of order", problem);
    }
    if (PQresultStatus(result) != PGRES_PIPELINE_SYNC) {
        status = await_result(pg, PG_WAIT_MS, problem);
        PGresult *end = status == STATUS_OK ? PQgetResult(pg->connection) : NULL;
        PQclear(end);
    }
    *out_result = result;
    return STATUS_OK;
}

/* What is kept while a queue is collected. */
struct pg_collection {
    struct arena *arena;
    struct pg_result **results;
    size_t count;
    enum status status; /* of the first error */
    struct problem *problem;
};

static enum status take_rows(struct pg_collection *collection, const struct pg_entry *entry,
                             PGresult *rows)
{
    if (entry->statement == &pg_commit && strcmp(PQcmdStatus(rows), "ROLLBACK") == 0) {
        return problem_set(collection->problem, STATUS_BROKEN, "internal",
                           "COMMIT of a transaction that had failed");
    }
    if (collection->results == NULL) {
        return STATUS_OK;
    }
    struct pg_result *copy = pg_result_copy(collection->arena, rows);
    if (copy == NULL) {
        return problem_set(collection->problem, STATUS_LIMIT, "limit-reached",
                           "statement %s: the rows do not fit", entry->statement->name);
    }
    collection->results[collection->count++] = copy;
    return STATUS_OK;
}

static void take_entry(struct pg *pg, struct pg_collection *collection,
                       const struct pg_entry *entry, PGresult *result)
{
    enum status status = STATUS_OK;
    ExecStatusType outcome = PQresultStatus(result);
    bool is_done = outcome == PGRES_COMMAND_OK || outcome == PGRES_TUPLES_OK;
    if (entry->is_prepare && !is_done) {
        forget_prepared(pg, entry->mark);
    }
    if (outcome == PGRES_PIPELINE_ABORTED || (is_done && entry->is_prepare)) {
        return;
    }
    if (is_done) {
        if (collection->status != STATUS_OK) {
            return;
        }
        status = take_rows(collection, entry, result);
    } else if (collection->status == STATUS_OK) {
        status = error_report(pg, entry->statement->name, result, collection->problem);
    }
    if (collection->status == STATUS_OK) {
        collection->status = status;
    }
}

/* Collects up to and with the Sync. Returns an error of the connection; one of
 * a statement is left in the collection. */
static enum status collect(struct pg *pg, struct pg_collection *collection)
{
    struct problem *problem = collection->problem;
    size_t entry_count = pg->entry_count;
    for (size_t i = 0; i <= entry_count; i++) {
        /* The first error is the one to report: a server that shuts down says
         * so (57P01), and then the socket closes. */
        bool has_failed = collection->status != STATUS_OK;
        CLEANUP(clear_result_at) PGresult *result = NULL;
        enum status status = next_result(pg, &result, has_failed ? NULL : problem);
        if (status != STATUS_OK) {
            return status;
        }
        bool is_sync = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (is_sync != (i == entry_count)) {
            return lost(pg, "it answered out of order", has_failed ? NULL : problem);
        }
        if (!is_sync) {
            const struct pg_entry entry = pg->entries[i];
            take_entry(pg, collection, &entry, result);
        }
        if (pg->connection == NULL) {
            return STATUS_RETRY;
        }
    }
    pg->entry_count = 0;
    pg->statement_count = 0;
    PGTransactionStatusType transaction = PQtransactionStatus(pg->connection);
    pg->in_transaction = transaction != PQTRANS_IDLE;
    return STATUS_OK;
}

enum status pg_sync(struct pg *pg, struct arena *arena, struct pg_result **out_results,
                    size_t result_count, struct problem *problem)
{
    assert(out_results == NULL || result_count == pg->statement_count ||
           pg->queue_status != STATUS_OK);
    pg->is_stale = false;
    if (pg->queue_status != STATUS_OK) {
        enum status failed = pg->queue_status;
        disconnect(pg); /* no Sync was sent, so the server does nothing of it */
        pg->queue_status = STATUS_OK;
        if (problem != NULL) {
            *problem = pg->queue_problem;
        }
        return failed;
    }
    if (pg->entry_count == 0) {
        return STATUS_OK;
    }
    pg->sqlstate[0] = '\0';
    if (!PQpipelineSync(pg->connection)) {
        return lost(pg, "it cannot be written to", problem);
    }
    struct pg_collection collection = { .arena = arena, .problem = problem };
    if (out_results != NULL) {
        collection.results = ARENA_NEW_ARRAY(arena, result_count, struct pg_result *);
        if (collection.results == NULL) {
            disconnect(pg);
            return problem_set(problem, STATUS_LIMIT, "limit-reached", "the rows do not fit");
        }
    }
    enum status status = collect(pg, &collection);
    if (status == STATUS_OK) {
        status = collection.status;
    }
    if (pg->is_stale) {
        disconnect(pg);
    }
    if (status == STATUS_OK && out_results != NULL) {
        for (size_t i = 0; i < result_count; i++) {
            out_results[i] = collection.results[i];
        }
    }
    return status;
}

static enum status run_once(struct pg *pg, struct arena *arena,
                            const struct pg_statement *statement, const struct pg_params *params,
                            struct pg_result **out_result, struct problem *problem)
{
    enum status status = queue_statement(pg, statement, params, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return pg_sync(pg, arena, out_result, out_result != NULL ? 1 : 0, problem);
}

enum status pg_run(struct pg *pg, struct arena *arena, const struct pg_statement *statement,
                   struct pg_params *params, struct pg_result **out_result, struct problem *problem)
{
    assert(pg->entry_count == 0 && pg->queue_status == STATUS_OK);
    assert(arena != NULL || out_result == NULL);
    pg->is_stale = false;
    bool was_in_transaction = pg->in_transaction;
    enum status status = run_once(pg, arena, statement, params, out_result, problem);
    if (pg->is_stale && !was_in_transaction) {
        /* Nothing was done, and the connection is new: once more. */
        status = run_once(pg, arena, statement, params, out_result, problem);
    }
    return status;
}

void pg_reset(struct pg *pg)
{
    if (pg->entry_count > 0 || pg->queue_status != STATUS_OK) {
        disconnect(pg); /* no Sync was sent, so the server does nothing of it */
    }
    if (pg->in_transaction && run_once(pg, NULL, &pg_rollback, NULL, NULL, NULL) != STATUS_OK) {
        disconnect(pg);
    }
    pg->transaction_lost = false;
    pg->queue_status = STATUS_OK;
}

enum status pg_script(struct pg *pg, const char *sql, struct problem *problem)
{
    assert(pg->entry_count == 0 && pg->queue_status == STATUS_OK);
    pg->sqlstate[0] = '\0';
    pg->is_stale = false;
    if (pg->transaction_lost) {
        return problem_set(problem, STATUS_RETRY, "database-unavailable",
                           "the connection to the database was lost in a transaction");
    }
    enum status status = ensure_connected(pg, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return run_script(pg, sql, PG_SCRIPT_WAIT_MS, problem);
}

const char *pg_sqlstate(const struct pg *pg)
{
    return pg->sqlstate;
}
