#include <stdlib.h>

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
    "SELECT k.n, o.source_id, o.order_ref, o.placed_at, o.counted_gross_minor, o.counted_foreign"
    " FROM (SELECT u.id, u.n FROM unnest($2::uuid[], $3::bigint[]) AS u (id, n) UNION"
    " SELECT p.id, u.n FROM unnest($2::uuid[], $3::bigint[]) AS u (id, n)"
    " CROSS JOIN LATERAL (SELECT id FROM profile WHERE workspace_id = $1 AND merged_into = u.id"
    " OFFSET 0) p) k"
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

/* The shrunk profiles, sorted by id, so that an owner finds his. */
struct shrunk {
    struct profile **profiles;
    size_t count;
};

static int compare_profiles(const void *a, const void *b)
{
    const struct profile *const *left = a;
    const struct profile *const *right = b;
    return id_compare((*left)->id, (*right)->id);
}

/* SIZE_MAX: not among them. */
static size_t shrunk_index(const struct shrunk *shrunk, struct id profile_id)
{
    size_t low = 0;
    size_t high = shrunk->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = id_compare(shrunk->profiles[middle]->id, profile_id);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return SIZE_MAX;
}

/* Each profile itself and who was merged into it just now. */
static bool put_origins(const struct batch *batch, struct pg_params *params,
                        const struct shrunk *shrunk)
{
    struct id *merged = NULL;
    size_t *owners = NULL;
    size_t merged_count =
        decision_merged_here(batch->decision, shrunk->profiles, shrunk->count, &merged, &owners);
    size_t count = shrunk->count + merged_count;
    if (arena_is_full(batch->arena)) {
        return false;
    }
    struct pg_array id_array;
    struct pg_array owner_array;
    pg_array_begin(&id_array, params, PG_UUID, count);
    pg_array_begin(&owner_array, params, PG_INT8, count);
    for (size_t i = 0; i < count; i++) {
        bool is_itself = i < shrunk->count;
        pg_array_id(&id_array, is_itself ? shrunk->profiles[i]->id : merged[i - shrunk->count]);
        pg_array_i64(&owner_array, (int64_t)(is_itself ? i : owners[i - shrunk->count]));
    }
    pg_array_end(&id_array);
    pg_array_end(&owner_array);
    return true;
}

static void forget_extremes(const struct shrunk *shrunk)
{
    for (size_t i = 0; i < shrunk->count; i++) {
        struct profile_orders *orders = &shrunk->profiles[i]->orders;
        orders->first_at_ms = INSTANT_NONE;
        orders->last_at_ms = INSTANT_NONE;
        orders->largest_minor = 0;
    }
}

/* Rows as they stand, less the orders of this decision, plus those as decided. */
static void take_extremes(const struct batch *batch, const struct shrunk *shrunk,
                          const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        struct id source_id = pg_get_id(result, row, 1);
        if (batch_find_order(batch, source_id, pg_get_text(result, row, 2)) == NULL) {
            extremes_add(shrunk->profiles[pg_get_i64(result, row, 0)],
                         pg_get_instant(result, row, 3), pg_get_i64(result, row, 4),
                         pg_get_bool(result, row, 5));
        }
    }
    for (const struct batch_owner *owner = batch->owners; owner != NULL; owner = owner->next) {
        const struct order *order = owner->order;
        if (order == NULL || !order->contribution.counted) {
            continue;
        }
        size_t index =
            shrunk_index(shrunk, decision_canonical_id(batch->decision, order->profile_id));
        if (index != SIZE_MAX) {
            extremes_add(shrunk->profiles[index], order->placed_at_ms,
                         order->contribution.gross_minor, order->contribution.foreign);
        }
    }
}

enum status batch_restore_extremes(struct batch *batch, struct problem *problem)
{
    struct shrunk shrunk = { 0 };
    struct pg_params params;
    struct pg_result *result = NULL;
    shrunk.count = decision_shrunk_profiles(batch->decision, &shrunk.profiles);
    if (shrunk.count == 0) {
        return STATUS_OK;
    }
    qsort(shrunk.profiles, shrunk.count, sizeof(struct profile *), compare_profiles);
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    if (!put_origins(batch, &params, &shrunk)) {
        return STATUS_LIMIT;
    }
    enum status status =
        pg_run(batch->pg, batch->arena, &order_extremes, &params, &result, problem);
    if (status == STATUS_OK) {
        forget_extremes(&shrunk);
        take_extremes(batch, &shrunk, result);
    }
    return status;
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
