#include "store/quarantine_store.h"

/*
 * Quarantine, read.
 *
 * Lists never carry bodies: a body may be 5 MiB and a page a thousand rows.
 * Newest first means by id for the whole workspace, since ids carry their
 * instant, and by the instant for one source, since that is its index.
 */

#define QUARANTINE_SELECT                                                             \
    "SELECT q.id, q.received_at, s.name, q.topic, q.dedup_key, q.event_id, q.reason," \
    " q.headers, octet_length(q.body)"
#define QUARANTINE_FROM                                                                   \
    " FROM quarantine q LEFT JOIN source s ON s.workspace_id = $1 AND s.id = q.source_id" \
    " WHERE q.workspace_id = $1"

static const struct pg_statement quarantine_list_sql = {
    "quarantine_list",
    QUARANTINE_SELECT QUARANTINE_FROM " AND q.id < $2 ORDER BY q.id DESC LIMIT $3",
};

static const struct pg_statement quarantine_list_source_sql = {
    "quarantine_list_source",
    QUARANTINE_SELECT QUARANTINE_FROM
    " AND q.source_id = $4 AND q.received_at <= $5 AND (q.received_at, q.id) < ($5, $2)"
    " ORDER BY q.received_at DESC, q.id DESC LIMIT $3",
};

static const struct pg_statement quarantine_find_sql = {
    "quarantine_find",
    QUARANTINE_SELECT ", q.body" QUARANTINE_FROM " AND q.id = $2",
};

static struct quarantine_row quarantine_row_read(const struct pg_result *result, size_t row)
{
    return (struct quarantine_row){
        .id = pg_get_id(result, row, 0),
        .received_at_ms = pg_get_instant(result, row, 1),
        .source = pg_get_text(result, row, 2),
        .topic = pg_get_text(result, row, 3),
        .dedup_key = pg_get_text(result, row, 4),
        .event_id = pg_get_id(result, row, 5),
        .reason = pg_get_text(result, row, 6),
        .headers_json = pg_get_text(result, row, 7),
        .body_bytes = pg_get_i64(result, row, 8),
    };
}

enum status quarantine_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct id source_id, int64_t before_ms, struct id before_id,
                            size_t limit, struct quarantine_row **out_rows, size_t *out_count,
                            struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, before_id);
    pg_put_i64(&params, (int64_t)limit);
    const struct pg_statement *statement = &quarantine_list_sql;
    if (!id_is_zero(source_id)) {
        statement = &quarantine_list_source_sql;
        pg_put_id(&params, source_id);
        pg_put_instant(&params, before_ms);
    }
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct quarantine_row *rows = ARENA_NEW_ARRAY(arena, count, struct quarantine_row);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = quarantine_row_read(result, i);
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status quarantine_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct id quarantine_id, struct quarantine_row *out_row,
                            struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, quarantine_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &quarantine_find_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_row = quarantine_row_read(result, 0);
    out_row->body = pg_get_bytes(result, 0, 9);
    return STATUS_OK;
}
