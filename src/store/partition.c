#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "store/migrate.h"

/*
 * Partitions, made ahead of time (correctness 21).
 *
 * Problem: a row without a partition is refused and with it a whole batch;
 * CREATE TABLE ... PARTITION OF waits for an exclusive lock on the parent and
 * makes every insert behind it wait too; a DEFAULT partition would have to be
 * scanned by every later one.
 *
 * Invariant: the partitions of a table leave no hole from MINVALUE to now and
 * some time beyond. A `_history` partition takes all before the first period,
 * where late facts and causes from before the first start go; then period
 * follows period. So a later run only continues after the newest one, however
 * long the program was down. A partition is made by CREATE TABLE LIKE and
 * ATTACH, which only asks that nobody else alters the parent.
 *
 * One transaction a table, under an advisory lock: of two instances the second
 * waits, finds the partitions there and does nothing.
 *
 * Only tables that are written at the time of the clock simply lose old
 * partitions (webhook, attempt, and notification with its renditions, whose
 * cause is at most a day old). They stay while a delivery of its day is pending.
 *
 * An interaction may still arrive for a time long past, and must find its place:
 * a month whose facts were folded (profile_base.c) is not dropped, which would
 * leave a hole, but becomes part of the history. That swap needs the table for
 * itself for some milliseconds. It waits for that no longer than
 * LOCK_WAIT_MS, during which others may wait behind it, and else is done
 * another time; the few rows that came since the fold move into the history in
 * the same transaction. That the history reaches so far is proven before, so
 * that attaching it again looks at no row. Rejected: DETACH CONCURRENTLY, which
 * leaves the hole while it waits for every reader. Transitions stay.
 */

enum {
    DAYS_AHEAD = 14,
    DAYS_BEFORE = 3,
    MONTHS_AHEAD = 3,
    MONTHS_BEFORE = 25, /* what the default retention keeps of interactions */
    PARTITION_NAME_SIZE = 64,
    PARTITION_SQL_SIZE = 1024,
    LOCK_WAIT_MS = 200,
    MOVED_ROWS_MAX = 1000, /* into the history, while the table is locked */
    PARTITION_ARENA_BYTES = 1024 * 1024,
};

struct partitioned {
    const char *table;
    bool monthly;
};

static const struct partitioned partitioned_tables[] = {
    { "attempt", false },   { "interaction", true }, { "notification", false },
    { "rendition", false }, { "transition", true },  { "webhook", false },
};

/* A period begins at a day; both counted from 1970-01-01 UTC. */
struct period {
    int64_t first_day;
    int64_t end_day; /* the day after */
};

/* The key is the word "partbell" in ASCII. */
static const struct pg_statement partition_lock = {
    "partition_lock",
    "SELECT pg_advisory_xact_lock(8097879449181449324)",
};

/* The newest attached period: names sort as their dates do, and "_history" is
 * the only other kind. */
static const struct pg_statement partition_newest = {
    "partition_newest",
    "SELECT count(*), max(c.relname::text) FILTER (WHERE c.relname::text !~ '_history$')"
    " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = $1::text::regclass",
};

static const struct pg_statement partition_list = {
    "partition_list",
    "SELECT c.relname::text, EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid"
    "  AND i.inhparent = $1::text::regclass),"
    " EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid"
    "  AND i.inhparent = $1::text::regclass AND i.inhdetachpending)"
    " FROM pg_class c"
    " WHERE c.relkind = 'r' AND c.relname::text ~ ('^' || $1 || '_y[0-9]{4}m[0-9]{2}(d[0-9]{2})?$')"
    "  AND c.relnamespace ="
    "   (SELECT p.relnamespace FROM pg_class p WHERE p.oid = $1::text::regclass)"
    " ORDER BY 1",
};

/* A pending delivery still needs the body of its notification. Read once a
 * day over a table that is small by design. */
static const struct pg_statement partition_oldest_delivery = {
    "partition_oldest_delivery",
    "SELECT min(notification_created_at) FROM delivery",
};

/* --- periods -------------------------------------------------------------- */

static int64_t day_of(int64_t ms)
{
    return ms / INSTANT_DAY_MS - (ms % INSTANT_DAY_MS < 0 ? 1 : 0);
}

static int64_t month_begin(int64_t day, int months_later)
{
    int year = 0;
    int month = 0;
    int day_of_month = 0;
    instant_civil_from_days(day, &year, &month, &day_of_month);
    int months = year * 12 + (month - 1) + months_later;
    return instant_days_from_civil(months / 12, months % 12 + 1, 1);
}

static struct period period_of(const struct partitioned *what, int64_t day)
{
    if (what->monthly) {
        return (struct period){ month_begin(day, 0), month_begin(day, 1) };
    }
    return (struct period){ day, day + 1 };
}

static void period_name(const struct partitioned *what, struct period period, char *name)
{
    int year = 0;
    int month = 0;
    int day = 0;
    instant_civil_from_days(period.first_day, &year, &month, &day);
    if (what->monthly) {
        snprintf(name, PARTITION_NAME_SIZE, "%s_y%04dm%02d", what->table, year, month);
    } else {
        snprintf(name, PARTITION_NAME_SIZE, "%s_y%04dm%02dd%02d", what->table, year, month, day);
    }
}

/* The period of a partition's name; false for names that are not ours. */
static bool period_parse(const struct partitioned *what, struct str name, struct period *out_period)
{
    size_t stem = strlen(what->table);
    struct str digits = str_drop(name, stem);
    if (digits.size != (what->monthly ? strlen("_y2026m11") : strlen("_y2026m11d22"))) {
        return false;
    }
    uint64_t year = 0;
    uint64_t month = 0;
    uint64_t day = 1;
    bool is_date = str_to_u64(str_take(str_drop(digits, 2), 4), &year) &&
                   str_to_u64(str_take(str_drop(digits, 7), 2), &month) &&
                   (what->monthly || str_to_u64(str_take(str_drop(digits, 10), 2), &day));
    if (!is_date || month < 1 || month > 12 || day < 1 || day > 31) {
        return false;
    }
    int64_t first = instant_days_from_civil((int)year, (int)month, (int)day);
    *out_period = period_of(what, first);
    return true;
}

static void day_text(int64_t day, char *text)
{
    instant_format(day * INSTANT_DAY_MS, text);
}

/* --- making --------------------------------------------------------------- */

static enum status attach(struct pg *pg, const char *table, const char *name, const char *from,
                          const char *to, struct problem *problem)
{
    char sql[PARTITION_SQL_SIZE];
    int length = snprintf(sql, sizeof(sql),
                          "CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
                          " INCLUDING STORAGE INCLUDING COMPRESSION);"
                          "ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
                          name, table, table, name, from, to);
    assert(length > 0 && (size_t)length < sizeof(sql));
    return pg_script(pg, sql, problem);
}

static enum status attach_period(struct pg *pg, const struct partitioned *what,
                                 struct period period, struct problem *problem)
{
    char name[PARTITION_NAME_SIZE];
    char day[INSTANT_TEXT_SIZE];
    char from[INSTANT_TEXT_SIZE + 2];
    char to[INSTANT_TEXT_SIZE + 2];
    period_name(what, period, name);
    day_text(period.first_day, day);
    snprintf(from, sizeof(from), "'%s'", day);
    day_text(period.end_day, day);
    snprintf(to, sizeof(to), "'%s'", day);
    return attach(pg, what->table, name, from, to, problem);
}

static enum status attach_history(struct pg *pg, const struct partitioned *what, int64_t end_day,
                                  struct problem *problem)
{
    char name[PARTITION_NAME_SIZE];
    char day[INSTANT_TEXT_SIZE];
    char to[INSTANT_TEXT_SIZE + 2];
    snprintf(name, sizeof(name), "%s_history", what->table);
    day_text(end_day, day);
    snprintf(to, sizeof(to), "'%s'", day);
    return attach(pg, what->table, name, "MINVALUE", to, problem);
}

/* Where the next period begins; makes the history when there is nothing yet. */
static enum status find_begin(struct pg *pg, struct arena *arena, const struct partitioned *what,
                              int64_t today, int64_t *out_day, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *newest = NULL;
    pg_params_init(&params, arena);
    pg_put_text(&params, str_from_z(what->table));
    enum status status = pg_run(pg, arena, &partition_newest, &params, &newest, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_is_null(newest, 0, 1)) {
        /* The first run; or all days expired while the program was down. */
        int64_t begin = what->monthly ? month_begin(today, -MONTHS_BEFORE) : today - DAYS_BEFORE;
        *out_day = begin;
        bool has_history = pg_get_i64(newest, 0, 0) > 0;
        return has_history ? STATUS_OK : attach_history(pg, what, begin, problem);
    }
    struct period period;
    if (!period_parse(what, pg_get_text(newest, 0, 1), &period)) {
        return problem_set(problem, STATUS_BROKEN, "internal",
                           "table %s has partitions that are not ours", what->table);
    }
    *out_day = period.end_day;
    return STATUS_OK;
}

static enum status ensure_table(struct pg *pg, struct arena *arena, const struct partitioned *what,
                                int64_t today, struct problem *problem)
{
    enum status status = pg_run(pg, arena, &pg_begin, NULL, NULL, problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = pg_run(pg, arena, &partition_lock, NULL, NULL, problem);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t day = 0;
    status = find_begin(pg, arena, what, today, &day, problem);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t end = what->monthly ? month_begin(today, MONTHS_AHEAD + 1) : today + DAYS_AHEAD + 1;
    while (day < end) {
        struct period period = period_of(what, day);
        status = attach_period(pg, what, period, problem);
        if (status != STATUS_OK) {
            return status;
        }
        day = period.end_day;
    }
    return pg_run(pg, arena, &pg_commit, NULL, NULL, problem);
}

int64_t partition_month_floor(int64_t at_ms)
{
    return month_begin(day_of(at_ms), 0) * INSTANT_DAY_MS;
}

enum status partition_ensure(struct pg *pg, int64_t now_ms, struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(PARTITION_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    for (size_t i = 0; i < ARRAY_COUNT(partitioned_tables); i++) {
        enum status status =
            ensure_table(pg, arena, &partitioned_tables[i], day_of(now_ms), problem);
        if (status != STATUS_OK) {
            pg_reset(pg);
            return status;
        }
    }
    return STATUS_OK;
}

/* --- dropping ------------------------------------------------------------- */

/* In steps that each stand alone: a crash between them leaves a table that the
 * next run finds and finishes. */
static enum status drop_partition(struct pg *pg, const char *table, struct str name,
                                  bool is_attached, bool is_pending, struct problem *problem)
{
    char sql[PARTITION_SQL_SIZE];
    if (is_attached) {
        snprintf(sql, sizeof(sql), "ALTER TABLE %s DETACH PARTITION %.*s %s", table, STR_ARG(name),
                 is_pending ? "FINALIZE" : "CONCURRENTLY");
        enum status status = pg_script(pg, sql, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    snprintf(sql, sizeof(sql), "DROP TABLE %.*s", STR_ARG(name));
    return pg_script(pg, sql, problem);
}

/* What to do about a partition whose time is over. */
struct expiry {
    struct pg *pg;
    struct arena *arena;
    partition_report_fn *report; /* not NULL: only say so */
    void *user;
};

static enum status expire_one(const struct expiry *expiry, const char *table,
                              const struct pg_result *rows, size_t row, struct problem *problem)
{
    struct str name = pg_get_text(rows, row, 0);
    if (expiry->report != NULL) {
        expiry->report(expiry->user, name);
        return STATUS_OK;
    }
    return drop_partition(expiry->pg, table, name, pg_get_bool(rows, row, 1),
                          pg_get_bool(rows, row, 2), problem);
}

static enum status expire_table(const struct expiry *expiry, const struct partitioned *what,
                                int64_t before_ms, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, expiry->arena);
    pg_put_text(&params, str_from_z(what->table));
    enum status status =
        pg_run(expiry->pg, expiry->arena, &partition_list, &params, &rows, problem);
    for (size_t i = 0; status == STATUS_OK && i < pg_row_count(rows); i++) {
        struct period period;
        if (period_parse(what, pg_get_text(rows, i, 0), &period) &&
            period.end_day <= day_of(before_ms)) {
            status = expire_one(expiry, what->table, rows, i, problem);
        }
    }
    return status;
}

/* One instance at a time does this; the others find the lock taken and leave
 * it to that one. Not in a transaction: DETACH CONCURRENTLY refuses one. */
static const struct pg_statement partition_expire_lock = {
    "partition_expire_lock",
    "SELECT pg_try_advisory_lock(8097879449181449325)",
};
static const struct pg_statement partition_expire_unlock = {
    "partition_expire_unlock",
    "SELECT pg_advisory_unlock(8097879449181449325)",
};

static enum status oldest_delivery(struct pg *pg, struct arena *arena, int64_t *out_ms,
                                   struct problem *problem)
{
    struct pg_result *rows = NULL;
    enum status status = pg_run(pg, arena, &partition_oldest_delivery, NULL, &rows, problem);
    if (status == STATUS_OK) {
        *out_ms = pg_is_null(rows, 0, 0) ? INSTANT_NEVER : pg_get_instant(rows, 0, 0);
    }
    return status;
}

/* Bodies go day by day; a day with a pending delivery keeps itself and what is
 * younger. */
static const struct partitioned bodies[] = {
    { "rendition", false },
    { "notification", false },
};

static enum status expire_bodies(const struct expiry *expiry, int64_t expires_ms,
                                 struct problem *problem)
{
    int64_t pending_ms = 0;
    enum status status = oldest_delivery(expiry->pg, expiry->arena, &pending_ms, problem);
    int64_t before_ms = pending_ms < expires_ms ? pending_ms : expires_ms;
    for (size_t i = 0; status == STATUS_OK && i < ARRAY_COUNT(bodies); i++) {
        status = expire_table(expiry, &bodies[i], before_ms, problem);
    }
    return status;
}

static enum status expire_all(const struct expiry *expiry, const struct partition_keep *keep,
                              struct problem *problem)
{
    static const struct partitioned webhook = { "webhook", false };
    static const struct partitioned attempt = { "attempt", false };
    enum status status = STATUS_OK;
    if (keep->webhook_ms > 0) {
        status = expire_table(expiry, &webhook, keep->now_ms - keep->webhook_ms, problem);
    }
    if (status == STATUS_OK && keep->attempt_ms > 0) {
        status = expire_table(expiry, &attempt, keep->now_ms - keep->attempt_ms, problem);
    }
    if (status == STATUS_OK && keep->notification_ms > 0) {
        status = expire_bodies(expiry, keep->now_ms - keep->notification_ms, problem);
    }
    return status;
}

enum status partition_expire(struct pg *pg, const struct partition_keep *keep,
                             struct problem *problem)
{
    assert(keep->webhook_ms >= 0);
    assert(keep->attempt_ms >= 0);
    assert(keep->notification_ms >= 0);
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(PARTITION_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    struct pg_result *locked = NULL;
    enum status status = pg_run(pg, arena, &partition_expire_lock, NULL, &locked, problem);
    if (status != STATUS_OK || !pg_get_bool(locked, 0, 0)) {
        return status;
    }
    const struct expiry expiry = { .pg = pg, .arena = arena };
    status = expire_all(&expiry, keep, problem);
    enum status unlocked = pg_run(pg, arena, &partition_expire_unlock, NULL, NULL, NULL);
    return status == STATUS_OK ? unlocked : status;
}

enum status partition_expiring(struct pg *pg, struct arena *arena,
                               const struct partition_keep *keep, partition_report_fn *report,
                               void *user, struct problem *problem)
{
    const struct expiry expiry = { .pg = pg, .arena = arena, .report = report, .user = user };
    return expire_all(&expiry, keep, problem);
}

/* --- into the history ------------------------------------------------------- */

static enum status is_nearly_empty(struct pg *pg, struct arena *arena, struct str name,
                                   bool *out_is, struct problem *problem)
{
    char sql[PARTITION_SQL_SIZE];
    struct pg_result *rows = NULL;
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM (SELECT 1 FROM %.*s LIMIT %d) few",
             STR_ARG(name), MOVED_ROWS_MAX + 1);
    const struct pg_statement count = { "", sql };
    enum status status = pg_run(pg, arena, &count, NULL, &rows, problem);
    if (status == STATUS_OK) {
        *out_is = pg_get_i64(rows, 0, 0) <= MOVED_ROWS_MAX;
    }
    return status;
}

/* The constraint is what ATTACH would else read every row for. */
static enum status prove_history(struct pg *pg, const char *end, struct problem *problem)
{
    char sql[PARTITION_SQL_SIZE];
    snprintf(sql, sizeof(sql),
             "BEGIN; SET LOCAL lock_timeout = %d; ALTER TABLE interaction_history"
             " DROP CONSTRAINT IF EXISTS interaction_history_reach,"
             " ADD CONSTRAINT interaction_history_reach CHECK (occurred_at < '%s') NOT VALID;"
             "COMMIT",
             LOCK_WAIT_MS, end);
    enum status status = pg_script(pg, sql, problem);
    return status == STATUS_OK ? pg_script(pg,
                                           "ALTER TABLE interaction_history"
                                           " VALIDATE CONSTRAINT interaction_history_reach",
                                           problem)
                               : status;
}

static enum status swap_month(struct pg *pg, struct str name, const char *end,
                              struct problem *problem)
{
    char sql[PARTITION_SQL_SIZE];
    int length = snprintf(
        sql, sizeof(sql),
        "BEGIN; SET LOCAL lock_timeout = %d; LOCK TABLE interaction IN ACCESS EXCLUSIVE MODE;"
        "ALTER TABLE interaction DETACH PARTITION %.*s;"
        "ALTER TABLE interaction DETACH PARTITION interaction_history;"
        "INSERT INTO interaction_history SELECT * FROM %.*s; DROP TABLE %.*s;"
        "ALTER TABLE interaction ATTACH PARTITION interaction_history"
        " FOR VALUES FROM (MINVALUE) TO ('%s'); COMMIT",
        LOCK_WAIT_MS, STR_ARG(name), STR_ARG(name), STR_ARG(name), end);
    assert(length > 0 && (size_t)length < sizeof(sql));
    return pg_script(pg, sql, problem);
}

static enum status merge_months(struct pg *pg, struct arena *arena, int64_t before_ms,
                                size_t *out_merged, struct problem *problem)
{
    static const struct partitioned interaction = { "interaction", true };
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, arena);
    pg_put_text(&params, str_from_z(interaction.table));
    enum status status = pg_run(pg, arena, &partition_list, &params, &rows, problem);
    bool goes_on = status == STATUS_OK;
    for (size_t i = 0; goes_on && i < pg_row_count(rows); i++) {
        struct str name = pg_get_text(rows, i, 0);
        struct period period;
        char end[INSTANT_TEXT_SIZE];
        bool is_next = period_parse(&interaction, name, &period) &&
                       period.end_day <= day_of(before_ms) && pg_get_bool(rows, i, 1);
        if (!is_next) {
            break; /* they come by time */
        }
        day_text(period.end_day, end);
        status = is_nearly_empty(pg, arena, name, &goes_on, problem);
        if (status == STATUS_OK && goes_on) {
            status = prove_history(pg, end, problem);
        }
        if (status == STATUS_OK && goes_on) {
            status = swap_month(pg, name, end, problem);
        }
        goes_on = goes_on && status == STATUS_OK;
        *out_merged += goes_on ? 1 : 0;
    }
    return status;
}

enum status partition_merge_history(struct pg *pg, int64_t before_ms, size_t *out_merged,
                                    struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(PARTITION_ARENA_BYTES);
    struct pg_result *locked = NULL;
    *out_merged = 0;
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    enum status status = pg_run(pg, arena, &partition_expire_lock, NULL, &locked, problem);
    if (status != STATUS_OK || !pg_get_bool(locked, 0, 0)) {
        return status;
    }
    status = merge_months(pg, arena, before_ms, out_merged, problem);
    if (status != STATUS_OK) {
        pg_reset(pg); /* the script's transaction; the advisory lock outlives it */
    }
    enum status unlocked = pg_run(pg, arena, &partition_expire_unlock, NULL, NULL, NULL);
    bool was_busy = status == STATUS_RETRY;
    return status == STATUS_OK || was_busy ? unlocked : status;
}
