#include <assert.h>
#include <stdlib.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/batch.h"
#include "delivery_priv.h"

/*
 * Batches: which notifications leave together.
 *
 * Problem: every retry of a batch must be the same set under the same id, whatever
 * crashed in between, and a digest waits for a day, which memory does not survive.
 *
 * So members wait as ordinary rows of the queue until their batch is ripe (enough of
 * them, or the oldest has waited long enough). Then one transaction (delivery_freeze.c)
 * writes the batch as a row of its own that names them in order: frozen before its first
 * byte is sent. From there on that row is what is claimed, sent and
 * settled; its members carry its id and are nobody's to claim. batch_id is not
 * indexed, so the marking is a HOT update.
 *
 * A member that was erased in between leaves the batch without a trace: the id stays,
 * for what was promised is that nothing is added and nothing is sent under two ids.
 *
 * An ESP that takes lists gets its own call instead of our envelope (native_bulk.c).
 */

enum {
    BATCHES_A_CLAIM = 32,
    BATCHES_A_READ = 8, /* of those: whose bodies are in the arena before the first is sent */
};

static const struct pg_statement delivery_batch_claim_sql = {
    "delivery_batch_claim",
    "WITH taken AS (UPDATE delivery_batch AS b SET lease_owner = $2, lease_until = $3"
    " FROM (SELECT $1::uuid AS workspace_id, r.id FROM unnest($5::uuid[], $6::integer[])"
    " AS u (subscription_id, room)"
    " CROSS JOIN LATERAL (SELECT c.id FROM delivery_batch c WHERE c.workspace_id = $1"
    " AND c.subscription_id = u.subscription_id AND c.due_at <= $4"
    " AND (c.lease_until IS NULL OR c.lease_until < $4)"
    " ORDER BY c.due_at LIMIT u.room FOR UPDATE OF c SKIP LOCKED) r LIMIT $7) k"
    " WHERE b.workspace_id = k.workspace_id AND b.id = k.id"
    " RETURNING b.id, b.subscription_id, b.created_at, b.attempt, b.due_at, b.members)"
    " SELECT " DELIVERY_COLUMNS ", t.id, t.subscription_id, t.created_at, t.attempt, t.due_at"
    " FROM taken t CROSS JOIN LATERAL unnest(t.members) WITH ORDINALITY AS m (id, n)"
    " LEFT JOIN LATERAL (SELECT c.* FROM delivery c WHERE c.workspace_id = $1 AND c.id = m.id"
    " AND c.batch_id = t.id OFFSET 0) d ON true ORDER BY t.due_at, t.id, m.n",
};

static const struct pg_statement delivery_batch_forget = {
    "delivery_batch_forget",
    "DELETE FROM delivery_batch AS d USING (SELECT $1::uuid AS workspace_id, u.id"
    " FROM unnest($2::uuid[]) AS u (id) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id",
};

/* --- a batch as a delivery ------------------------------------------------ */

static struct delivery_member member_of(const struct delivery *row)
{
    return (struct delivery_member){
        .delivery_id = row->id,
        .notification_id = row->notification_id,
        .profile_id = row->profile_id,
        .notification_created_at_ms = row->notification_created_at_ms,
        .expires_at_ms = row->expires_at_ms,
        .replayed_at_ms = row->replayed_at_ms,
        .attempt = row->attempt,
        .body_bytes = (uint32_t)row->body.size,
        .is_ordered = row->is_ordered,
    };
}

bool delivery_batch_compose(struct arena *arena, struct str workspace_name,
                            enum native_format format, const struct delivery *rows, size_t count,
                            struct delivery *batch)
{
    const struct native_bulk *bulk = native_bulk(format);
    struct native_rendition call = { .body = { NULL, 0 } };
    struct delivery_member *members = ARENA_NEW_ARRAY(arena, count, struct delivery_member);
    struct str *bodies = ARENA_NEW_ARRAY(arena, count, struct str);
    if (members == NULL || bodies == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        members[i] = member_of(&rows[i]);
        bodies[i] = rows[i].body;
        batch->is_ordered = batch->is_ordered || rows[i].is_ordered;
    }
    if (id_is_zero(batch->id)) {
        batch->id = batch_id(batch->subscription_id, members, count);
    }
    batch->notification_id = batch->id;
    batch->topic = STR(BATCH_TOPIC);
    batch->members = members;
    batch->member_count = count;
    if (bulk != NULL) {
        bool is_joined = native_join(arena, bulk, bodies, count, &call);
        batch->target = call.target;
        batch->body = call.body;
        return is_joined;
    }
    const struct batch_envelope envelope = { .id = batch->id,
                                             .frozen_at_ms = batch->notification_created_at_ms,
                                             .workspace = workspace_name };
    return batch_body(arena, &envelope, bodies, count, &batch->body);
}

/* --- frozen before -------------------------------------------------------- */

enum {
    COLUMN_BATCH = DELIVERY_COLUMN_COUNT,
    COLUMN_SUBSCRIPTION,
    COLUMN_FROZEN_AT,
    COLUMN_ATTEMPT,
    COLUMN_DUE_AT,
};

static struct claim_lane *lane_of(struct claim_lane *lanes, size_t lane_count, struct id id)
{
    for (size_t i = 0; i < lane_count; i++) {
        if (id_equal(lanes[i].subscription_id, id)) {
            return &lanes[i];
        }
    }
    return NULL;
}

/* The members of what was claimed, batch by batch, and where each batch's begin. */
struct claimed {
    const struct pg_result *result;
    struct delivery *rows;
    size_t row_count;
    struct delivery *batches;
    enum native_format *formats; /* of batches */
    size_t *begins;              /* one more than batches */
    size_t batch_count;
    struct id *empty; /* all of whose members were erased */
    size_t empty_count;
};

/* Rows from..to of the result are one batch. */
static void sort_out(struct claimed *claimed, const struct claim_terms *terms, size_t from,
                     size_t to)
{
    const struct pg_result *result = claimed->result;
    size_t begin = claimed->row_count;
    for (size_t row = from; row < to; row++) {
        if (!pg_is_null(result, row, 0)) {
            claimed->rows[claimed->row_count++] =
                delivery_of_row(result, row, terms->workspace_id, terms->lease_until_ms);
        }
    }
    struct id id = pg_get_id(result, from, COLUMN_BATCH);
    if (claimed->row_count == begin) {
        claimed->empty[claimed->empty_count++] = id;
        return;
    }
    claimed->batches[claimed->batch_count++] = (struct delivery){
        .workspace_id = terms->workspace_id,
        .id = id,
        .subscription_id = pg_get_id(result, from, COLUMN_SUBSCRIPTION),
        .notification_created_at_ms = pg_get_instant(result, from, COLUMN_FROZEN_AT),
        .attempt = (uint32_t)pg_get_i64(result, from, COLUMN_ATTEMPT),
        .due_at_ms = pg_get_instant(result, from, COLUMN_DUE_AT),
        .lease_until_ms = terms->lease_until_ms,
    };
    claimed->begins[claimed->batch_count] = claimed->row_count;
}

static enum status sort_all(struct claimed *claimed, struct arena *arena,
                            const struct claim_terms *terms, struct claim_lane *lanes,
                            size_t lane_count)
{
    size_t count = pg_row_count(claimed->result);
    claimed->rows = ARENA_NEW_ARRAY(arena, count, struct delivery);
    claimed->batches = ARENA_NEW_ARRAY(arena, BATCHES_A_CLAIM, struct delivery);
    claimed->formats = ARENA_NEW_ARRAY(arena, BATCHES_A_CLAIM, enum native_format);
    claimed->begins = ARENA_NEW_ARRAY(arena, BATCHES_A_CLAIM + 1, size_t);
    claimed->empty = ARENA_NEW_ARRAY(arena, BATCHES_A_CLAIM, struct id);
    if (arena_is_full(arena)) {
        return STATUS_LIMIT;
    }
    for (size_t from = 0; from < count;) {
        struct id id = pg_get_id(claimed->result, from, COLUMN_BATCH);
        size_t to = from;
        while (to < count && id_equal(pg_get_id(claimed->result, to, COLUMN_BATCH), id)) {
            to++;
        }
        struct claim_lane *lane =
            lane_of(lanes, lane_count, pg_get_id(claimed->result, from, COLUMN_SUBSCRIPTION));
        assert(lane != NULL);
        lane->claimed++;
        claimed->formats[claimed->batch_count] = lane->format;
        sort_out(claimed, terms, from, to);
        from = to;
    }
    return STATUS_OK;
}

static enum status forget_empty(struct pg *pg, struct arena *arena, struct id workspace_id,
                                const struct claimed *claimed, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_ids(&params, claimed->empty, claimed->empty_count);
    return pg_run(pg, arena, &delivery_batch_forget, &params, NULL, problem);
}

/* What fits into the arena is sent; the rest comes back when its lease runs out. */
static enum status compose_all(struct pg *pg, struct arena *arena, const struct claim_terms *terms,
                               const struct claimed *claimed, struct delivery_list *list,
                               struct problem *problem)
{
    enum status status = delivery_list_reserve(list, arena, claimed->batch_count);
    for (size_t first = 0; first < claimed->batch_count && status == STATUS_OK;) {
        size_t left = claimed->batch_count - first;
        size_t last = first + (left < BATCHES_A_READ ? left : BATCHES_A_READ);
        size_t begin = claimed->begins[first];
        status = delivery_read_bodies(pg, arena, terms->workspace_id, &claimed->rows[begin],
                                      claimed->begins[last] - begin, problem);
        for (; first < last && status == STATUS_OK; first++) {
            struct delivery *batch = &claimed->batches[first];
            size_t from = claimed->begins[first];
            status = delivery_batch_compose(arena, terms->workspace_name, claimed->formats[first],
                                            &claimed->rows[from], claimed->begins[first + 1] - from,
                                            batch)
                         ? STATUS_OK
                         : STATUS_LIMIT;
            if (status == STATUS_OK) {
                list->rows[list->count++] = *batch;
            }
        }
    }
    return status;
}

enum status delivery_batch_claim(struct pg *pg, struct arena *arena,
                                 const struct claim_terms *terms, struct claim_lane *lanes,
                                 size_t lane_count, struct delivery_list *list,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_array rooms;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, terms->workspace_id);
    pg_put_id(&params, terms->owner);
    pg_put_instant(&params, terms->lease_until_ms);
    pg_put_instant(&params, terms->now_ms);
    pg_array_begin(&ids, &params, PG_UUID, lane_count);
    pg_array_begin(&rooms, &params, PG_INT4, lane_count);
    for (size_t i = 0; i < lane_count; i++) {
        pg_array_id(&ids, lanes[i].subscription_id);
        pg_array_i32(&rooms, (int32_t)(lanes[i].room - lanes[i].claimed));
    }
    pg_array_end(&ids);
    pg_array_end(&rooms);
    pg_put_i64(&params, BATCHES_A_CLAIM);
    enum status status = pg_run(pg, arena, &delivery_batch_claim_sql, &params, &result, problem);
    if (status != STATUS_OK || pg_row_count(result) == 0) {
        return status;
    }
    struct claimed claimed = { .result = result };
    status = sort_all(&claimed, arena, terms, lanes, lane_count);
    if (status == STATUS_OK && claimed.empty_count > 0) {
        status = forget_empty(pg, arena, terms->workspace_id, &claimed, problem);
    }
    return status == STATUS_OK ? compose_all(pg, arena, terms, &claimed, list, problem) : status;
}
