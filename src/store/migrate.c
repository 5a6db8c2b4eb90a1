#include "store/migrate.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/codec.h"

/*
 * Numbered steps, forward only.
 *
 * Problem: two instances start at once, a step fails half way, an older binary
 * meets a newer database, somebody edits a step that was already applied.
 *
 * Invariant: a step and the record of it commit together, under one advisory
 * lock, in ascending order without a gap; the record holds the checksum of
 * the text that ran. What does not fit is refused, never repaired. Rejected:
 * down-migrations (they are never tested on the day they are needed) and a
 * separate tool (one more thing to install and to mix up).
 */

enum {
    CHECKSUM_SIZE = 32,
    MIGRATION_ARENA_BYTES = 1024 * 1024,
};

/* The key is the word "shopbell" in ASCII. A waiting instance must outlast a
 * long step; the steps themselves wait for locks only as long as anyone. */
static const char lock_sql[] = "SET statement_timeout = 0; SET lock_timeout = 0;"
                               "SELECT pg_advisory_lock(8316019240417455212);"
                               "SET lock_timeout = '5s'";
static const char unlock_sql[] = "SELECT pg_advisory_unlock(8316019240417455212);"
                                 "SET statement_timeout = '20s'";

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS shopbell_migration ("
                                " number     integer PRIMARY KEY,"
                                " slug       text NOT NULL,"
                                " checksum   text NOT NULL,"
                                " applied_at timestamptz NOT NULL)";

static const struct pg_statement migration_table = {
    "migration_table",
    "SELECT to_regclass('shopbell_migration') IS NOT NULL",
};

static const struct pg_statement migration_list = {
    "migration_list",
    "SELECT number, slug, checksum FROM shopbell_migration ORDER BY number",
};

static const struct pg_statement migration_record = {
    "migration_record",
    "INSERT INTO shopbell_migration (number, slug, checksum, applied_at)"
    " VALUES ($1, $2, $3, now())",
};

static struct str checksum_of(struct arena *arena, const struct migration *step)
{
    uint8_t hash[CHECKSUM_SIZE];
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)step->sql, strlen(step->sql), NULL, 0);
    return hex_encode(arena, hash, sizeof(hash));
}

/* --- comparing ------------------------------------------------------------ */

/* How many embedded steps the rows cover: they must be the first ones, with
 * the same text. */
static enum status compare(struct arena *arena, const struct pg_result *rows, size_t *out_applied,
                           struct problem *problem)
{
    size_t count = pg_row_count(rows);
    for (size_t i = 0; i < count; i++) {
        int64_t number = pg_get_i64(rows, i, 0);
        struct str slug = pg_get_text(rows, i, 1);
        const struct migration *step = &migrations[i];
        if (step->number == 0) {
            return problem_set(problem, STATUS_CONFLICT, "internal",
                               "the database is ahead of this program: it has migration %lld"
                               " (%.*s); use a newer program",
                               (long long)number, STR_ARG(slug));
        }
        if (number != step->number) {
            return problem_set(problem, STATUS_CONFLICT, "internal",
                               "the database has migration %lld (%.*s) where %d (%s) should be",
                               (long long)number, STR_ARG(slug), step->number, step->slug);
        }
        struct str checksum = checksum_of(arena, step);
        if (checksum.size == 0) {
            return problem_set(problem, STATUS_LIMIT, "internal", "no memory for a checksum");
        }
        if (!str_equal(pg_get_text(rows, i, 2), checksum)) {
            return problem_set(problem, STATUS_CONFLICT, "internal",
                               "migration %d (%s) was applied with another text", step->number,
                               step->slug);
        }
    }
    *out_applied = count;
    return STATUS_OK;
}

static enum status read_applied(struct pg *pg, struct arena *arena, size_t *out_applied,
                                struct problem *problem)
{
    struct pg_result *rows = NULL;
    enum status status = pg_run(pg, arena, &migration_list, NULL, &rows, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return compare(arena, rows, out_applied, problem);
}

enum status migrate_check(struct pg *pg, struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(MIGRATION_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    struct pg_result *found = NULL;
    enum status status = pg_run(pg, arena, &migration_table, NULL, &found, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t applied = 0;
    if (pg_get_bool(found, 0, 0)) {
        status = read_applied(pg, arena, &applied, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    const struct migration *next = &migrations[applied];
    if (next->number != 0) {
        return problem_set(problem, STATUS_MISSING, "internal",
                           "migration %d (%s) is not applied; run shopbell migrate", next->number,
                           next->slug);
    }
    return STATUS_OK;
}

/* --- applying ------------------------------------------------------------- */

static enum status apply_in_transaction(struct pg *pg, struct arena *arena,
                                        const struct migration *step, struct problem *problem)
{
    enum status status = pg_run(pg, arena, &pg_begin, NULL, NULL, problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = pg_script(pg, step->sql, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_i32(&params, step->number);
    pg_put_text(&params, str_from_z(step->slug));
    pg_put_text(&params, checksum_of(arena, step));
    status = pg_run(pg, arena, &migration_record, &params, NULL, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return pg_run(pg, arena, &pg_commit, NULL, NULL, problem);
}

static enum status apply_locked(struct pg *pg, size_t *out_applied,
                                void (*report)(void *context, const struct migration *step),
                                void *context, struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(MIGRATION_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    enum status status = pg_script(pg, table_sql, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t applied = 0;
    status = read_applied(pg, arena, &applied, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t first = applied;
    for (; migrations[applied].number != 0; applied++) {
        if (report != NULL) {
            report(context, &migrations[applied]);
        }
        status = apply_in_transaction(pg, arena, &migrations[applied], problem);
        if (status != STATUS_OK) {
            pg_reset(pg);
            return status;
        }
    }
    *out_applied = applied - first;
    return STATUS_OK;
}

enum status migrate_apply(struct pg *pg, size_t *out_applied,
                          void (*report)(void *context, const struct migration *step),
                          void *context, struct problem *problem)
{
    enum status status = pg_script(pg, lock_sql, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t applied = 0;
    status = apply_locked(pg, &applied, report, context, problem);
    /* A lost connection has given the lock back already. */
    enum status unlocked = pg_script(pg, unlock_sql, NULL);
    if (status == STATUS_OK && unlocked == STATUS_OK) {
        *out_applied = applied;
    }
    return status == STATUS_OK ? unlocked : status;
}
