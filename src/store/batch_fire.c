#include "base/buf.h"
#include "batch_priv.h"
#include "trigger_store_priv.h"

/*
 * What triggers rang, read and written: between decide and save, and in save.
 *
 * Problem (correctness 25): two concurrent causes must not both pass a cooldown, a
 * merge must neither forget nor double what was rung, and a batch that fires
 * nothing must pay nothing.
 *
 * Invariant: a customer's rows are written only by who holds his profile's lock, as
 * everything of a customer is (correctness 2), so what the gates decide on is what
 * stands there at commit. Rows over everybody belong to no profile: a missing one is
 * inserted first, then all are locked in the order of their keys, after the profiles,
 * until the commit. The upsert still says "WHERE it rang no more often than I know":
 * who forgot to lock would write nothing rather than undo a ring.
 *
 * A merge moves no row. A customer's record is that of all who were merged into him,
 * joined when it is read; so taking the merge back gives each side what it was rung.
 */

static const struct pg_statement fire_row_insert = {
    "fire_row_insert",
    "INSERT INTO rung (workspace_id, trigger_id, profile_id, part, count)"
    " SELECT $1, u.t, '00000000-0000-0000-0000-000000000000', '', 0 FROM unnest($2::uuid[])"
    " AS u (t) ORDER BY u.t"
    " ON CONFLICT (workspace_id, trigger_id, profile_id, part) DO NOTHING",
};

static const struct pg_statement fire_row_lock = {
    "fire_row_lock",
    "SELECT u.n, r.profile_id, r.last_at, r.count, r.window_at, r.window_count, r.recent::text[]"
    " FROM (SELECT k.n, k.t, k.p, k.part FROM (SELECT v.n, v.t, v.p, v.part"
    "  FROM unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::text[]) AS v (n, t, p, part)"
    "  UNION SELECT v.n, v.t, m.id, v.part"
    "  FROM unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::text[]) AS v (n, t, p, part)"
    "  CROSS JOIN LATERAL (SELECT id FROM profile WHERE workspace_id = $1 AND merged_into = v.p"
    "  OFFSET 0) m) k ORDER BY k.t, k.p, k.part) u"
    " CROSS JOIN LATERAL (SELECT profile_id, last_at, count, window_at, window_count, recent"
    "  FROM rung WHERE workspace_id = $1 AND trigger_id = u.t AND profile_id = u.p"
    "  AND part = u.part FOR UPDATE) r",
};

static const struct pg_statement fire_row_save = {
    "fire_row_save",
    "INSERT INTO rung AS r (workspace_id, trigger_id, profile_id, part, last_at, count, window_at,"
    " window_count, recent)"
    " SELECT $1, u.t, u.p, u.part, u.last_at, u.count, u.window_at, u.window_count,"
    " u.recent::bigint[]"
    " FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::bigint[],"
    " $7::timestamptz[], $8::bigint[], $9::text[])"
    " AS u (t, p, part, last_at, count, window_at, window_count, recent)"
    " ON CONFLICT (workspace_id, trigger_id, profile_id, part) DO UPDATE SET"
    " last_at = EXCLUDED.last_at, count = EXCLUDED.count, window_at = EXCLUDED.window_at,"
    " window_count = EXCLUDED.window_count, recent = EXCLUDED.recent"
    " WHERE r.count < EXCLUDED.count",
};

/* --- reading ------------------------------------------------------------------ */

struct key_columns {
    struct pg_array n;
    struct pg_array trigger;
    struct pg_array profile;
    struct pg_array part;
};

static void put_key(struct key_columns *columns, size_t n, const struct rung_key *key,
                    struct id profile_id)
{
    pg_array_i64(&columns->n, (int64_t)n);
    pg_array_id(&columns->trigger, key->trigger_id);
    pg_array_id(&columns->profile, profile_id);
    pg_array_text(&columns->part, key->part);
}

/* Each key, and those of whoever was merged into its customer in this batch, which no
 * row says yet. */
static enum status put_keys(struct batch *batch, const struct rung_key *keys, size_t count,
                            struct pg_params *params)
{
    struct id **merged = ARENA_NEW_ARRAY(batch->arena, count, struct id *);
    size_t *merged_counts = ARENA_NEW_ARRAY(batch->arena, count, size_t);
    size_t total = count;
    if (merged == NULL || merged_counts == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        merged_counts[i] = decision_merged_into(batch->decision, keys[i].profile_id, &merged[i]);
        total += merged_counts[i];
    }
    struct key_columns columns;
    pg_array_begin(&columns.n, params, PG_INT8, total);
    pg_array_begin(&columns.trigger, params, PG_UUID, total);
    pg_array_begin(&columns.profile, params, PG_UUID, total);
    pg_array_begin(&columns.part, params, PG_TEXT, total);
    for (size_t i = 0; i < count; i++) {
        put_key(&columns, i, &keys[i], keys[i].profile_id);
        for (size_t k = 0; k < merged_counts[i]; k++) {
            put_key(&columns, i, &keys[i], merged[i][k]);
        }
    }
    pg_array_end(&columns.n);
    pg_array_end(&columns.trigger);
    pg_array_end(&columns.profile);
    pg_array_end(&columns.part);
    return arena_is_full(batch->arena) ? STATUS_LIMIT : STATUS_OK;
}

static bool is_for_all(const struct rung_key *key)
{
    return id_is_zero(key->profile_id);
}

static enum status queue_inserts(struct batch *batch, const struct rung_key *keys, size_t count)
{
    struct pg_params params;
    struct pg_array triggers;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += is_for_all(&keys[i]) ? 1 : 0;
    }
    if (total == 0) {
        return STATUS_OK;
    }
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_array_begin(&triggers, &params, PG_UUID, total);
    for (size_t i = 0; i < count; i++) {
        if (is_for_all(&keys[i])) {
            pg_array_id(&triggers, keys[i].trigger_id);
        }
    }
    pg_array_end(&triggers);
    return pg_queue(batch->pg, &fire_row_insert, &params);
}

static bool read_rung(const struct batch *batch, const struct pg_result *rows, size_t row,
                      struct rung *rung)
{
    struct str *texts = NULL;
    size_t count = pg_get_text_array(rows, batch->arena, row, 6, &texts);
    int64_t *recent = ARENA_NEW_ARRAY(batch->arena, count + 1, int64_t);
    if (recent == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        (void)str_to_i64(texts[i], &recent[i]);
    }
    *rung = (struct rung){
        .last_at_ms = pg_get_instant(rows, row, 2),
        .count = pg_get_i64(rows, row, 3),
        .window_at_ms = pg_get_instant(rows, row, 4),
        .window_count = pg_get_i64(rows, row, 5),
        .recent = recent,
        .recent_count = count,
    };
    return true;
}

static enum status take_rows(struct batch *batch, const struct pg_result *rows)
{
    for (size_t row = 0; row < pg_row_count(rows); row++) {
        struct rung rung;
        if (!read_rung(batch, rows, row, &rung) ||
            !decision_put_rung(batch->decision, (size_t)pg_get_i64(rows, row, 0),
                               pg_get_id(rows, row, 1), &rung)) {
            return STATUS_LIMIT;
        }
    }
    return STATUS_OK;
}

enum status batch_fire(struct batch *batch, struct problem *problem)
{
    const struct rung_key *keys = NULL;
    size_t count = 0;
    enum status status = decision_rung_keys(batch->decision, &keys, &count);
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    struct pg_params params;
    struct pg_result *results[2] = { NULL };
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    status = queue_inserts(batch, keys, count);
    size_t before = pg_queued(batch->pg);
    if (status == STATUS_OK) {
        status = put_keys(batch, keys, count, &params);
    }
    if (status == STATUS_OK) {
        status = pg_queue(batch->pg, &fire_row_lock, &params);
    }
    if (status == STATUS_OK) {
        status = pg_sync(batch->pg, batch->arena, results, before + 1, problem);
    }
    return status == STATUS_OK ? take_rows(batch, results[before]) : status;
}

/* --- writing ------------------------------------------------------------------ */

/* '{1764582487000,1764582499000}' */
static struct str recent_text(struct arena *arena, const struct rung *rung)
{
    struct buf buf;
    buf_init(&buf, arena, (size_t)TRIGGER_CAP_MAX * 24 + 2);
    buf_add_char(&buf, '{');
    for (size_t i = 0; i < rung->recent_count; i++) {
        buf_printf(&buf, i > 0 ? ",%lld" : "%lld", (long long)rung->recent[i]);
    }
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

enum status batch_queue_rungs(struct batch *batch, const struct decision_rows *rows)
{
    static const enum pg_type types[] = { PG_UUID, PG_UUID,    PG_TEXT, PG_INSTANT,
                                          PG_INT8, PG_INSTANT, PG_INT8, PG_TEXT };
    struct pg_array c[ARRAY_COUNT(types)];
    struct pg_params params;
    if (rows->rung_count == 0) {
        return STATUS_OK;
    }
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_columns_begin(c, &params, types, ARRAY_COUNT(types), rows->rung_count);
    for (size_t i = 0; i < rows->rung_count; i++) {
        const struct rung_row *row = &rows->rungs[i];
        pg_array_id(&c[0], row->key.trigger_id);
        pg_array_id(&c[1], row->key.profile_id);
        pg_array_text(&c[2], row->key.part);
        pg_array_instant(&c[3], row->rung.last_at_ms);
        pg_array_i64(&c[4], row->rung.count);
        pg_array_instant(&c[5], row->rung.window_at_ms);
        pg_array_i64(&c[6], row->rung.window_count);
        pg_array_text(&c[7], recent_text(batch->arena, &row->rung));
    }
    pg_columns_end(c, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &fire_row_save, &params);
}

enum status batch_queue_outcomes(struct batch *batch, const struct decision_rows *rows)
{
    struct pg_params params;
    if (rows->outcome_count == 0) {
        return STATUS_OK;
    }
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    trigger_put_outcomes(&params, rows->outcomes, rows->outcome_count);
    return pg_queue(batch->pg, &trigger_outcome_add_sql, &params);
}
