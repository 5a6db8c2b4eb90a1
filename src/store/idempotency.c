#include "store/idempotency.h"

#include "base/instant.h"

/*
 * Idempotency keys.
 *
 * Invariant: of all requests with one key, on any instance, one inserts the
 * row and goes on; the primary key decides. Its row without an answer means
 * "in progress"; if its process died, the row may be taken over after a
 * minute, which is longer than any request may last. Rejected: holding a
 * transaction open during the request, which would make repeats wait instead
 * of telling them so.
 */

#define IDEMPOTENCY_ABANDONED_MS (60 * INSTANT_SECOND_MS)

/* $5 is now, $6 the instant before which a row counts as abandoned, $7 the one
 * before which it has expired. A row of zero or one. */
static const struct pg_statement idempotency_take_sql = {
    "idempotency_take",
    "INSERT INTO idempotency (workspace_id, key, route, fingerprint, created_at)"
    " VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (workspace_id, key, route) DO UPDATE SET fingerprint = excluded.fingerprint,"
    " created_at = excluded.created_at, http_status = NULL, answer = NULL, location = NULL"
    " WHERE idempotency.created_at < $7"
    " OR (idempotency.http_status IS NULL AND idempotency.created_at < $6"
    " AND idempotency.fingerprint = excluded.fingerprint)"
    " RETURNING 1",
};

static const struct pg_statement idempotency_read_sql = {
    "idempotency_read",
    "SELECT fingerprint, http_status, answer, location FROM idempotency"
    " WHERE workspace_id = $1 AND key = $2 AND route = $3",
};

static const struct pg_statement idempotency_store_sql = {
    "idempotency_store",
    "UPDATE idempotency SET http_status = $4, answer = $5, location = $6"
    " WHERE workspace_id = $1 AND key = $2 AND route = $3",
};

static const struct pg_statement idempotency_forget_sql = {
    "idempotency_forget",
    "DELETE FROM idempotency WHERE workspace_id = $1 AND key = $2 AND route = $3"
    " AND http_status IS NULL",
};

static void put_key(struct pg_params *params, struct arena *arena,
                    const struct idempotency_key *key)
{
    pg_params_init(params, arena);
    pg_put_id(params, key->workspace_id);
    pg_put_text(params, key->key);
    pg_put_text(params, key->route);
}

enum status idempotency_begin(struct pg *pg, struct arena *arena, const struct idempotency_key *key,
                              int64_t now_ms, enum idempotency_verdict *out_verdict,
                              struct idempotency_answer *out_stored, struct problem *problem)
{
    struct pg_params params;
    put_key(&params, arena, key);
    pg_put_bytes(&params, key->fingerprint);
    pg_put_instant(&params, now_ms);
    pg_put_instant(&params, now_ms - IDEMPOTENCY_ABANDONED_MS);
    pg_put_instant(&params, now_ms - INSTANT_DAY_MS);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &idempotency_take_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) > 0) {
        *out_verdict = IDEMPOTENCY_FIRST;
        return STATUS_OK;
    }
    put_key(&params, arena, key);
    status = pg_run(pg, arena, &idempotency_read_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_gone = pg_row_count(result) == 0; /* the first has failed in between */
    if (!is_gone && !str_equal(pg_get_bytes(result, 0, 0), key->fingerprint)) {
        *out_verdict = IDEMPOTENCY_MISMATCH;
    } else if (is_gone || pg_is_null(result, 0, 1)) {
        *out_verdict = IDEMPOTENCY_IN_PROGRESS;
    } else {
        *out_verdict = IDEMPOTENCY_REPEAT;
        *out_stored = (struct idempotency_answer){
            .http_status = (int32_t)pg_get_i64(result, 0, 1),
            .answer = pg_get_text(result, 0, 2),
            .location = pg_get_text(result, 0, 3),
        };
    }
    return STATUS_OK;
}

enum status idempotency_store(struct pg *pg, struct arena *arena, const struct idempotency_key *key,
                              const struct idempotency_answer *answer, struct problem *problem)
{
    struct pg_params params;
    put_key(&params, arena, key);
    pg_put_i32(&params, answer->http_status);
    pg_put_text(&params, answer->answer);
    pg_put_text_or_null(&params, answer->location);
    return pg_run(pg, arena, &idempotency_store_sql, &params, NULL, problem);
}

enum status idempotency_forget(struct pg *pg, struct arena *arena,
                               const struct idempotency_key *key, struct problem *problem)
{
    struct pg_params params;
    put_key(&params, arena, key);
    return pg_run(pg, arena, &idempotency_forget_sql, &params, NULL, problem);
}
