#include "store/quarantine_replay.h"

#include "base/limits.h"
#include "silent_priv.h"

/*
 * Problem: quarantining wrote a receipt, so that the sender's repeats do not pile
 * up; the same receipt would now say of the mended event that it is in already.
 *
 * Invariant: the row is locked first, and within that one transaction the receipt
 * goes, the event comes and the row goes. Who comes second finds no row. A body
 * whose other events were applied when it came meets their receipts, so only what
 * was missing is added. The body moves to the raw webhooks where their day is
 * still kept, so that a later replay of the source finds it.
 */

#define QUARANTINE_MATCH                                                              \
    " FROM quarantine q WHERE q.workspace_id = $1 AND q.id > $2"                      \
    " AND ($3::uuid IS NULL OR q.id = $3) AND ($4::uuid IS NULL OR q.source_id = $4)" \
    " AND ($5::text IS NULL OR q.topic = $5)"                                         \
    " AND ($6::timestamptz IS NULL OR q.received_at >= $6) AND q.received_at < $7"

static const struct pg_statement quarantine_next_sql = {
    "quarantine_next",
    "SELECT q.id, q.received_at, q.source_id, q.topic, q.dedup_key, q.event_id, q.reason,"
    " q.headers, q.body" QUARANTINE_MATCH " ORDER BY q.id LIMIT 1",
};

static const struct pg_statement quarantine_count_sql = {
    "quarantine_count",
    "SELECT count(*)" QUARANTINE_MATCH,
};

static const struct pg_statement quarantine_lock_sql = {
    "quarantine_lock",
    "SELECT id FROM quarantine WHERE workspace_id = $1 AND id = $2 FOR UPDATE",
};

static const struct pg_statement quarantine_unreceipt_sql = {
    "quarantine_unreceipt",
    "DELETE FROM receipt WHERE workspace_id = $1 AND event_id = $2",
};

static const struct pg_statement quarantine_delete_sql = {
    "quarantine_delete",
    "DELETE FROM quarantine WHERE workspace_id = $1 AND id = $2",
};

/* Unless the day is gone, or the delivery's other events brought it. */
static const struct pg_statement quarantine_keep_raw_sql = {
    "quarantine_keep_raw",
    "INSERT INTO webhook (workspace_id, received_at, id, source_id, topic, dedup_key, headers,"
    " body) SELECT $1, q.received_at, q.id, q.source_id, q.topic, q.dedup_key, q.headers, q.body"
    " FROM quarantine q WHERE q.workspace_id = $1 AND q.id = $2"
    " AND to_regclass('webhook_' || to_char(q.received_at AT TIME ZONE 'UTC',"
    " '\"y\"YYYY\"m\"MM\"d\"DD')) IS NOT NULL AND NOT EXISTS (SELECT FROM webhook w"
    " WHERE w.workspace_id = $1 AND w.received_at = q.received_at AND w.source_id = q.source_id"
    " AND w.dedup_key = q.dedup_key) ON CONFLICT DO NOTHING",
};

static const struct pg_statement quarantine_explain_sql = {
    "quarantine_explain",
    "UPDATE quarantine SET reason = $3 WHERE workspace_id = $1 AND id = $2 AND reason <> $3",
};

static void put_filter(struct pg_params *params, struct arena *arena,
                       const struct quarantine_filter *filter, struct id after_id)
{
    pg_params_init(params, arena);
    pg_put_id(params, filter->workspace_id);
    pg_put_id(params, after_id);
    pg_put_id_or_null(params, filter->id);
    pg_put_id_or_null(params, filter->source_id);
    pg_put_text_or_null(params, filter->topic);
    pg_put_instant(params, filter->since_ms);
    pg_put_instant(params, filter->until_ms);
}

enum status quarantine_next(struct pg *pg, struct arena *arena,
                            const struct quarantine_filter *filter, struct id after_id,
                            struct quarantine_row *out_row, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_filter(&params, arena, filter, after_id);
    enum status status = pg_run(pg, arena, &quarantine_next_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_row = (struct quarantine_row){
        .id = pg_get_id(result, 0, 0),
        .received_at_ms = pg_get_instant(result, 0, 1),
        .source_id = pg_get_id(result, 0, 2),
        .topic = pg_get_text(result, 0, 3),
        .dedup_key = pg_get_text(result, 0, 4),
        .event_id = pg_get_id(result, 0, 5),
        .reason = pg_get_text(result, 0, 6),
        .headers_json = pg_get_text(result, 0, 7),
        .body = pg_get_bytes(result, 0, 8),
    };
    out_row->body_bytes = (int64_t)out_row->body.size;
    return STATUS_OK;
}

enum status quarantine_count(struct pg *pg, struct arena *arena,
                             const struct quarantine_filter *filter, int64_t *out_count,
                             struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_filter(&params, arena, filter, ID_ZERO);
    enum status status = pg_run(pg, arena, &quarantine_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

static enum status run_on(const struct silent *silent, const struct quarantine_attempt *attempt,
                          const struct pg_statement *statement, struct id id, size_t *out_rows,
                          struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, silent->arena);
    pg_put_id(&params, attempt->workspace_id);
    pg_put_id(&params, id);
    enum status status = pg_run(silent->pg, silent->arena, statement, &params, &result, problem);
    if (status == STATUS_OK && out_rows != NULL) {
        *out_rows = pg_row_count(result);
    }
    return status;
}

/* The row locked, its receipt taken back. */
static enum status open_row(struct silent *silent, const struct quarantine_attempt *attempt,
                            struct problem *problem)
{
    size_t found = 0;
    enum status status = pg_run(silent->pg, silent->arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = run_on(silent, attempt, &quarantine_lock_sql, attempt->row->id, &found, problem);
    }
    if (status == STATUS_OK && found == 0) {
        return STATUS_MISSING;
    }
    return status == STATUS_OK ? run_on(silent, attempt, &quarantine_unreceipt_sql,
                                        attempt->row->event_id, NULL, problem)
                               : status;
}

static enum status apply_once(struct silent *silent, const struct quarantine_attempt *attempt,
                              int64_t *out_applied, struct problem *problem)
{
    *out_applied = 0;
    enum status status = open_row(silent, attempt, problem);
    if (status == STATUS_OK && attempt->event_count > 0) {
        status = silent_load(silent, attempt->workspace_id, attempt->events, attempt->event_count,
                             problem);
        if (status == STATUS_OK) {
            status = silent_decide(silent, out_applied, problem);
        }
        if (status == STATUS_OK) {
            status =
                run_on(silent, attempt, &quarantine_keep_raw_sql, attempt->row->id, NULL, problem);
        }
    }
    if (status == STATUS_OK) {
        status = run_on(silent, attempt, &quarantine_delete_sql, attempt->row->id, NULL, problem);
    }
    return status == STATUS_OK ? silent_commit(silent, problem) : status;
}

enum status quarantine_apply(struct pg *pg, struct arena *arena,
                             const struct decide_context *context,
                             const struct quarantine_attempt *attempt, int64_t *out_applied,
                             struct problem *problem)
{
    struct silent silent = { .pg = pg, .arena = arena, .context = *context, .is_open = true };
    enum status status = STATUS_RETRY;
    for (unsigned turn = 0; turn < LIMIT_BATCH_RETRIES; turn++) {
        arena_reset(arena);
        *problem = (struct problem){ 0 };
        silent.has_news = false;
        status = apply_once(&silent, attempt, out_applied, problem);
        if (status != STATUS_OK) {
            pg_reset(pg);
        }
        if (status != STATUS_RETRY && status != STATUS_CONFLICT) {
            return status;
        }
        silent_pause(turn);
    }
    return STATUS_RETRY;
}

enum status quarantine_explain(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct id id, struct str reason, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, id);
    pg_put_text(&params, reason);
    return pg_run(pg, arena, &quarantine_explain_sql, &params, NULL, problem);
}
