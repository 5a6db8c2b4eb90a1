#include <stdlib.h>

#include "base/clock.h"
#include "batch_priv.h"
#include "core/trigger/projection.h"

/*
 * Save, notifications: with a delivery for each subscription that they ring.
 *
 * Invariant: deliveries are inserted only for notifications whose rows were really
 * inserted (correctness 4), which one statement decides by itself. What comes back is
 * what this process may send at once.
 */

static const struct pg_statement save_notification = {
    "save_notification",
    "WITH rung AS (INSERT INTO notification (workspace_id, created_at, id, profile_id, topic,"
    " sequence, rank, body)"
    " SELECT $1, u.* FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[],"
    " $6::bigint[], $7::integer[], $8::text[]) AS u"
    " ON CONFLICT (workspace_id, created_at, id) DO NOTHING RETURNING id)"
    " INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at,"
    " subscription_id, profile_id, sequence, rank, is_ordered, expires_at, due_at, lease_owner,"
    " lease_until)"
    " SELECT $1, d.id, d.notification_id, d.created_at, d.subscription_id, d.profile_id,"
    " d.sequence, d.rank, d.is_ordered, d.expires_at, $19,"
    " CASE WHEN d.at_once THEN $20::uuid END, CASE WHEN d.at_once THEN $21::timestamptz END"
    /* Sent at once only if nothing earlier about this customer is still unsettled. */
    " FROM (SELECT u.id, u.notification_id, u.created_at, u.subscription_id, u.profile_id,"
    " u.sequence, u.rank, u.is_ordered, u.expires_at,"
    " u.at_once AND NOT (u.is_ordered AND EXISTS (SELECT 1 FROM delivery e"
    " WHERE e.workspace_id = $1 AND e.subscription_id = u.subscription_id"
    " AND e.profile_id = u.profile_id AND e.is_ordered"
    " AND (e.sequence, e.rank, e.id) < (u.sequence, u.rank, u.id))) AS at_once"
    " FROM unnest($9::uuid[], $10::uuid[], $11::timestamptz[], $12::uuid[], $13::uuid[],"
    " $14::bigint[], $15::integer[], $16::boolean[], $17::timestamptz[], $18::boolean[])"
    " AS u (id, notification_id, created_at, subscription_id, profile_id, sequence, rank,"
    " is_ordered, expires_at, at_once)) d"
    /* IS TRUE keeps it a hashed subplan: as a join it would be nested, since hash
     * joins are off here. */
    " WHERE (d.notification_id IN (SELECT id FROM rung)) IS TRUE"
    " ON CONFLICT (workspace_id, id) DO NOTHING RETURNING id, lease_owner IS NOT NULL",
};

/* What some are sent instead of the body. Of a notification that was there before,
 * the first stays: it may be on its way. */
static const struct pg_statement save_rendition = {
    "save_rendition",
    "INSERT INTO rendition (workspace_id, created_at, notification_id, subscription_id, target,"
    " body)"
    " SELECT $1, u.* FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[],"
    " $6::text[]) AS u"
    " ON CONFLICT (workspace_id, created_at, notification_id, subscription_id) DO NOTHING",
};

/* --- notifications and their deliveries --------------------------------- */

/* NULL: the notification's own body. */
static const struct rendition *rendition_of(const struct notification_row *row, size_t index)
{
    bool has_own = row->renditions != NULL && row->renditions[index].body.size > 0;
    return has_own ? &row->renditions[index] : NULL;
}

struct turn {
    struct id subscription_id;
    struct id profile_id;
    size_t index;
};

static int compare_turn(const void *a, const void *b)
{
    const struct turn *left = a;
    const struct turn *right = b;
    int order = id_compare(left->subscription_id, right->subscription_id);
    if (order == 0) {
        order = id_compare(left->profile_id, right->profile_id);
    }
    return order != 0 ? order : (left->index < right->index ? -1 : left->index > right->index);
}

/* Of those that are ordered only the first about its customer: the statement cannot
 * see the others of its own commit. */
static enum status keep_first_in_turn(struct arena *arena, struct batch_deliveries *made)
{
    size_t count = 0;
    struct turn *turns = ARENA_NEW_ARRAY(arena, made->count + 1, struct turn);
    if (turns == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < made->count; i++) {
        if (made->rows[i].is_ordered) {
            turns[count++] = (struct turn){ made->rows[i].subscription_id, made->turns[i], i };
        }
    }
    qsort(turns, count, sizeof(*turns), compare_turn);
    for (size_t i = 1; i < count; i++) {
        if (id_equal(turns[i].subscription_id, turns[i - 1].subscription_id) &&
            id_equal(turns[i].profile_id, turns[i - 1].profile_id)) {
            made->at_once[turns[i].index] = false;
        }
    }
    return STATUS_OK;
}

static enum status make_deliveries(struct batch *batch, const struct batch_save *save,
                                   struct batch_deliveries *out_made)
{
    size_t count = 0;
    for (size_t i = 0; i < save->rows->notification_count; i++) {
        count += save->rows->notifications[i].subscription_count;
    }
    struct delivery *deliveries = ARENA_NEW_ARRAY(batch->arena, count + 1, struct delivery);
    struct id *turns = ARENA_NEW_ARRAY(batch->arena, count + 1, struct id);
    bool *at_once = ARENA_NEW_ARRAY(batch->arena, count + 1, bool);
    if (deliveries == NULL || turns == NULL || at_once == NULL) {
        return STATUS_LIMIT;
    }
    size_t filled = 0;
    for (size_t i = 0; i < save->rows->notification_count; i++) {
        const struct notification_row *row = &save->rows->notifications[i];
        struct id turn = batch_survivor(save->rows, row->profile_id);
        for (size_t k = 0; k < row->subscription_count; k++) {
            const struct rendition *own = rendition_of(row, k);
            struct delivery_way way = { .is_ordered = false };
            if (row->subscription_ways != NULL) {
                way = row->subscription_ways[k];
            }
            at_once[filled] = !way.is_batched;
            turns[filled] = turn;
            deliveries[filled++] = (struct delivery){
                .workspace_id = batch->workspace_id,
                .id = delivery_id(row->id, row->subscription_ids[k]),
                .notification_id = row->id,
                .notification_created_at_ms = row->created_at_ms,
                .subscription_id = row->subscription_ids[k],
                .profile_id = row->profile_id,
                .sequence = row->sequence,
                .rank = (uint32_t)i,
                .is_ordered = way.is_ordered,
                .expires_at_ms =
                    delivery_expires_at_ms(row->created_at_ms, row->expires_at_ms, way.max_age_ms),
                .due_at_ms = row->created_at_ms,
                .lease_until_ms = save->lease_until_ms,
                .topic = row->topic,
                .target = own != NULL ? own->target : (struct str){ NULL, 0 },
                .body = own != NULL ? own->body : row->body,
            };
        }
    }
    *out_made = (struct batch_deliveries){
        .rows = deliveries, .turns = turns, .at_once = at_once, .count = count
    };
    return keep_first_in_turn(batch->arena, out_made);
}

static void put_notifications(struct pg_params *params, const struct decision_rows *rows)
{
    static const enum pg_type types[] = { PG_INSTANT, PG_UUID, PG_UUID, PG_TEXT,
                                          PG_INT8,    PG_INT4, PG_TEXT };
    struct pg_array columns[ARRAY_COUNT(types)];
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), rows->notification_count);
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        pg_array_instant(&columns[0], row->created_at_ms);
        pg_array_id(&columns[1], row->id);
        pg_array_id(&columns[2], row->profile_id);
        pg_array_text(&columns[3], row->topic);
        pg_array_i64(&columns[4], row->sequence);
        pg_array_i32(&columns[5], (int32_t)i);
        pg_array_text(&columns[6], row->body);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
}

static void put_deliveries(struct pg_params *params, const struct batch_deliveries *made)
{
    static const enum pg_type types[] = { PG_UUID, PG_UUID, PG_INSTANT, PG_UUID,    PG_UUID,
                                          PG_INT8, PG_INT4, PG_BOOL,    PG_INSTANT, PG_BOOL };
    const struct delivery *deliveries = made->rows;
    struct pg_array columns[ARRAY_COUNT(types)];
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), made->count);
    for (size_t i = 0; i < made->count; i++) {
        pg_array_id(&columns[0], deliveries[i].id);
        pg_array_id(&columns[1], deliveries[i].notification_id);
        pg_array_instant(&columns[2], deliveries[i].notification_created_at_ms);
        pg_array_id(&columns[3], deliveries[i].subscription_id);
        pg_array_id(&columns[4], made->turns[i]);
        pg_array_i64(&columns[5], deliveries[i].sequence);
        pg_array_i32(&columns[6], (int32_t)deliveries[i].rank);
        pg_array_bool(&columns[7], deliveries[i].is_ordered);
        pg_array_instant(&columns[8], deliveries[i].expires_at_ms);
        pg_array_bool(&columns[9], made->at_once[i]);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
}

static enum status queue_rows(struct batch *batch, const struct batch_save *save,
                              const struct batch_deliveries *made)
{
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    put_notifications(params, save->rows);
    put_deliveries(params, made);
    /* Due now: the instant of the cause may be the past of a late event, which the
     * floors of claims have left behind. */
    int64_t due_at_ms = clock_now_ms();
    for (size_t i = 0; i < save->rows->notification_count; i++) {
        int64_t created = save->rows->notifications[i].created_at_ms;
        due_at_ms = created > due_at_ms ? created : due_at_ms;
    }
    pg_put_instant(params, due_at_ms);
    pg_put_id_or_null(params, save->lease_owner);
    pg_put_instant(params, id_is_zero(save->lease_owner) ? INSTANT_NONE : save->lease_until_ms);
    return pg_queue(batch->pg, &save_notification, params);
}

static size_t count_renditions(const struct decision_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        for (size_t k = 0; row->renditions != NULL && k < row->subscription_count; k++) {
            count += rendition_of(row, k) != NULL ? 1 : 0;
        }
    }
    return count;
}

static void put_rendition(struct pg_array *columns, const struct notification_row *row,
                          size_t index)
{
    const struct rendition *own = rendition_of(row, index);
    if (own == NULL) {
        return;
    }
    pg_array_instant(&columns[0], row->created_at_ms);
    pg_array_id(&columns[1], row->id);
    pg_array_id(&columns[2], row->subscription_ids[index]);
    pg_array_text(&columns[3], own->target);
    pg_array_text(&columns[4], own->body);
}

/* Nothing is said to the database when all want the default. */
static enum status queue_renditions(struct batch *batch, const struct decision_rows *rows)
{
    static const enum pg_type types[] = { PG_INSTANT, PG_UUID, PG_UUID, PG_TEXT, PG_TEXT };
    size_t count = count_renditions(rows);
    struct pg_array columns[ARRAY_COUNT(types)];
    if (count == 0) {
        return STATUS_OK;
    }
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        for (size_t k = 0; row->renditions != NULL && k < row->subscription_count; k++) {
            put_rendition(columns, row, k);
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &save_rendition, params);
}

enum status batch_queue_notifications(struct batch *batch, const struct batch_save *save,
                                      struct batch_deliveries *out_made)
{
    if (save->rows->notification_count == 0) {
        return STATUS_OK;
    }
    enum status status = make_deliveries(batch, save, out_made);
    if (status == STATUS_OK) {
        status = queue_rows(batch, save, out_made);
    }
    return status == STATUS_OK ? queue_renditions(batch, save->rows) : status;
}

static int compare_id(const void *a, const void *b)
{
    const struct id *left = a;
    const struct id *right = b;
    return id_compare(*left, *right);
}

enum status batch_keep_inserted(struct batch *batch, const struct pg_result *result,
                                bool only_leased, struct batch_deliveries *made)
{
    size_t inserted = pg_row_count(result);
    struct id *ids = ARENA_NEW_ARRAY(batch->arena, inserted + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    size_t wanted = 0;
    for (size_t row = 0; row < inserted; row++) {
        if (!only_leased || pg_get_bool(result, row, 1)) {
            ids[wanted++] = pg_get_id(result, row, 0);
        }
    }
    qsort(ids, wanted, sizeof(*ids), compare_id);
    size_t kept = 0;
    for (size_t i = 0; i < made->count; i++) {
        if (bsearch(&made->rows[i].id, ids, wanted, sizeof(*ids), compare_id) != NULL) {
            made->rows[kept++] = made->rows[i];
        }
    }
    made->count = kept;
    return STATUS_OK;
}
