#include "batch_priv.h"

/*
 * The rare paths of a batch, out of the way of the hot ones: what a shrunk
 * profile's first, last and largest order are, and the one event that the data's
 * own error keeps out.
 */

/* The orders of a profile stand under its own id and those of whoever was merged
 * into it, now or before. */
static const struct pg_statement order_extremes = {
    "order_extremes",
    "SELECT o.source_id, o.order_ref, o.placed_at, o.counted_gross_minor, o.counted_foreign"
    " FROM (SELECT u.id FROM unnest($2::uuid[]) AS u (id) UNION SELECT p.id"
    " FROM unnest($2::uuid[]) AS u (id) CROSS JOIN LATERAL (SELECT id FROM profile"
    " WHERE workspace_id = $1 AND merged_into = u.id OFFSET 0) p) k"
    " CROSS JOIN LATERAL (SELECT source_id, order_ref, placed_at, counted_gross_minor,"
    " counted_foreign FROM orders WHERE workspace_id = $1 AND profile_id = k.id AND counted"
    " OFFSET 0) o",
};

static const struct pg_statement quarantine_insert = {
    "quarantine_insert",
    "INSERT INTO quarantine (workspace_id, id, received_at, source_id, topic, dedup_key, event_id,"
    " reason, headers, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    " ON CONFLICT (workspace_id, id) DO NOTHING",
};

static const struct pg_statement quarantine_receipt = {
    "quarantine_receipt",
    "INSERT INTO receipt (workspace_id, event_id, source_id, received_at) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (workspace_id, event_id) DO NOTHING",
};

/* Rows as they stand, less the orders of this decision, plus those as decided. */
static void extremes_add(struct profile *profile, int64_t placed_at_ms, int64_t gross_minor,
                         bool is_foreign)
{
    struct profile_orders *orders = &profile->orders;
    if (orders->first_at_ms == INSTANT_NONE || placed_at_ms < orders->first_at_ms) {
        orders->first_at_ms = placed_at_ms;
    }
    if (orders->last_at_ms == INSTANT_NONE || placed_at_ms > orders->last_at_ms) {
        orders->last_at_ms = placed_at_ms;
    }
    if (!is_foreign && gross_minor > orders->largest_minor) {
        orders->largest_minor = gross_minor;
    }
}

/* The profile itself and, of those locked, who was merged into it just now. */
static void put_origins(const struct batch *batch, struct pg_params *params, struct id profile_id)
{
    const struct id *locked = NULL;
    size_t locked_count = decision_profile_ids_to_lock(batch->decision, &locked);
    size_t count = 1;
    for (size_t i = 0; i < locked_count; i++) {
        bool is_merged = id_equal(decision_canonical_id(batch->decision, locked[i]), profile_id);
        count += is_merged && !id_equal(locked[i], profile_id) ? 1 : 0;
    }
    struct pg_array array;
    pg_array_begin(&array, params, PG_UUID, count);
    pg_array_id(&array, profile_id);
    for (size_t i = 0; i < locked_count; i++) {
        bool is_merged = id_equal(decision_canonical_id(batch->decision, locked[i]), profile_id);
        if (is_merged && !id_equal(locked[i], profile_id)) {
            pg_array_id(&array, locked[i]);
        }
    }
    pg_array_end(&array);
}

static enum status restore_one(struct batch *batch, struct profile *profile,
                               struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    put_origins(batch, &params, profile->id);
    enum status status =
        pg_run(batch->pg, batch->arena, &order_extremes, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    profile->orders.first_at_ms = INSTANT_NONE;
    profile->orders.last_at_ms = INSTANT_NONE;
    profile->orders.largest_minor = 0;
    for (size_t row = 0; row < pg_row_count(result); row++) {
        struct id source_id = pg_get_id(result, row, 0);
        if (batch_find_order(batch, source_id, pg_get_text(result, row, 1)) == NULL) {
            extremes_add(profile, pg_get_instant(result, row, 2), pg_get_i64(result, row, 3),
                         pg_get_bool(result, row, 4));
        }
    }
    for (const struct batch_owner *owner = batch->owners; owner != NULL; owner = owner->next) {
        const struct order *order = owner->order;
        if (order != NULL && order->contribution.counted &&
            id_equal(decision_canonical_id(batch->decision, order->profile_id), profile->id)) {
            extremes_add(profile, order->placed_at_ms, order->contribution.gross_minor,
                         order->contribution.foreign);
        }
    }
    return STATUS_OK;
}

enum status batch_restore_extremes(struct batch *batch, struct problem *problem)
{
    struct profile **profiles = NULL;
    size_t count = decision_shrunk_profiles(batch->decision, &profiles);
    for (size_t i = 0; i < count; i++) {
        enum status status = restore_one(batch, profiles[i], problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status batch_quarantine_store(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   const struct batch_quarantine *quarantine,
                                   struct problem *problem)
{
    struct pg_params row;
    pg_params_init(&row, arena);
    pg_put_id(&row, workspace_id);
    pg_put_id(&row, quarantine->id);
    pg_put_instant(&row, quarantine->received_at_ms);
    pg_put_id(&row, quarantine->source_id);
    pg_put_text(&row, quarantine->topic);
    pg_put_text(&row, quarantine->dedup_key);
    pg_put_id_or_null(&row, quarantine->event_id);
    pg_put_text(&row, quarantine->reason);
    pg_put_text(&row, quarantine->headers_json);
    pg_put_bytes(&row, quarantine->body);
    struct pg_params receipt;
    pg_params_init(&receipt, arena);
    pg_put_id(&receipt, workspace_id);
    pg_put_id(&receipt, quarantine->event_id);
    pg_put_id(&receipt, quarantine->source_id);
    pg_put_instant(&receipt, quarantine->received_at_ms);
    bool with_receipt = !id_is_zero(quarantine->event_id);
    enum status status = pg_queue(pg, &pg_begin, NULL);
    if (status == STATUS_OK && with_receipt) {
        status = pg_queue(pg, &quarantine_receipt, &receipt);
    }
    if (status == STATUS_OK) {
        status = pg_queue(pg, &quarantine_insert, &row);
    }
    if (status == STATUS_OK) {
        status = pg_queue(pg, &pg_commit, NULL);
    }
    struct pg_result *results[4] = { NULL };
    if (status == STATUS_OK) {
        status = pg_sync(pg, arena, results, with_receipt ? 4 : 3, problem);
    }
    return status;
}
