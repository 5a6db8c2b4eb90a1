#include "store/delivery_store.h"

#include <stdlib.h>

#include "base/instant.h"
#include "delivery_priv.h"

/*
 * Claims of the delivery queue.
 *
 * Problem: a queue table dies of its own dead rows (every claim scans those at the
 * head of its index until they can be cleaned, and they cannot while an analyst's
 * snapshot is open), and of its dead endpoints (a million pending rows of the sick
 * stand before the one of the healthy).
 *
 * So a claim never asks "what is due?" but asks each endpoint that may be sent to,
 * one index probe each, for at most as many as it has room for; an endpoint whose
 * lane rests, is open or is full is not asked at all, and its pending rows are never
 * walked. Each endpoint has its own floor on due_at (correctness 15): after a claim
 * that took all it might, the greatest due instant taken, at most now less 5 s; after
 * one that found less, now less 5 s, for whatever becomes due later is written with a
 * later instant. What is older than a floor (leases that ran out) is found when the
 * caller forgets the floor, every 30 s.
 *
 * A claim moves nothing but the lease, which is not indexed, so it stays HOT. What was
 * found and locked is updated where it lies (ctid): its key would be looked up in an
 * index of a million random ids, a third of what a claim costs. One that moved between
 * the snapshot and the lock is not there; nobody moves what is due and free without
 * taking it or making it due anew, and the next claim has it.
 *
 * Nothing waits for a claim's commit: what a crash of the database loses is leases, and
 * whatever is sent again for that carries the same id.
 *
 * Ordered rows: blocked ones are skipped by a probe of the partial index. They are
 * looked at only while they are newer than the floor, and whoever settles what stands
 * before them takes or wakes them, so a customer whose head is retried for 76 h costs
 * its endpoint nothing. Rejected: putting due_at of blocked rows off (two index writes
 * for each, and a race with the insert to close).
 *
 * A row waits its turn under the canonical profile of whom its notification is about: a
 * merge moves what is pending to the survivor (batch_profile.c), un-merging moves it back
 * (unmerge.c), and whoever was merged only after a row was read is looked up when it is
 * settled. Consent and the log of attempts go by whom the notification is about.
 *
 * Rejected: one claim over (workspace, due_at) that leaves out the sick by a list of
 * ids: it still reads their rows; and a table of endpoints with something due, which
 * every commit of a notification would have to update.
 */

static const struct pg_statement delivery_claim = {
    "delivery_claim",
    "UPDATE delivery AS d SET lease_owner = $2, lease_until = $3"
    " FROM (SELECT $1::uuid AS workspace_id, r.place FROM unnest($5::uuid[], $6::timestamptz[],"
    " $7::integer[]) AS u (subscription_id, floor, room)"
    " CROSS JOIN LATERAL (SELECT c.ctid AS place FROM delivery c WHERE c.workspace_id = $1"
    " AND c.subscription_id = u.subscription_id AND c.due_at >= u.floor AND c.due_at <= $4"
    " AND (c.lease_until IS NULL OR c.lease_until < $4) AND c.batch_id IS NULL"
    " AND (NOT c.is_ordered OR NOT EXISTS (SELECT 1 FROM delivery e"
    " WHERE e.workspace_id = c.workspace_id AND e.subscription_id = c.subscription_id"
    " AND e.profile_id = c.profile_id AND e.is_ordered"
    " AND (e.sequence, e.rank, e.id) < (c.sequence, c.rank, c.id)))"
    " ORDER BY c.due_at LIMIT u.room FOR UPDATE OF c SKIP LOCKED) r LIMIT $8) k"
    " WHERE d.workspace_id = k.workspace_id AND d.ctid = k.place"
    " RETURNING " DELIVERY_COLUMNS,
};

/* Topic, body and target of the n-th of what was asked for, and whom it is about. */
#define BODIES                                                                                 \
    "SELECT u.n, r.topic, coalesce(q.body, r.body) AS body, coalesce(q.target, '') AS target," \
    " r.profile_id, u.subscription_id"                                                         \
    " FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[]) WITH ORDINALITY"                  \
    " AS u (created_at, id, subscription_id, n)"                                               \
    " CROSS JOIN LATERAL (SELECT topic, body, profile_id FROM notification"                    \
    " WHERE workspace_id = $1 AND created_at = u.created_at AND id = u.id OFFSET 0) r"         \
    " LEFT JOIN LATERAL (SELECT body, target FROM rendition WHERE workspace_id = $1"           \
    " AND created_at = u.created_at AND notification_id = u.id"                                \
    " AND subscription_id = u.subscription_id OFFSET 0) q ON true"

static const struct pg_statement delivery_bodies = {
    "delivery_bodies",
    BODIES,
};

/* octet_length does not fetch what lies beside the table. */
static const struct pg_statement delivery_bodies_within = {
    "delivery_bodies_within",
    "SELECT w.n, w.topic, CASE WHEN w.bytes - octet_length(w.body) < $5 THEN w.body END,"
    " w.target, w.profile_id FROM (SELECT v.*, sum(octet_length(v.body))"
    " OVER (ORDER BY v.turn, v.n ROWS UNBOUNDED PRECEDING) AS bytes"
    " FROM (SELECT b.*, row_number() OVER (PARTITION BY b.subscription_id ORDER BY b.n) AS turn"
    " FROM (" BODIES ") b) v) w",
};

struct delivery delivery_of_row(const struct pg_result *result, size_t row, struct id workspace_id,
                                int64_t lease_until_ms)
{
    return (struct delivery){
        .workspace_id = workspace_id,
        .id = pg_get_id(result, row, 0),
        .notification_id = pg_get_id(result, row, 1),
        .notification_created_at_ms = pg_get_instant(result, row, 2),
        .subscription_id = pg_get_id(result, row, 3),
        .profile_id = pg_get_id(result, row, 4),
        .sequence = pg_get_i64(result, row, 5),
        .attempt = (uint32_t)pg_get_i64(result, row, 6),
        .due_at_ms = pg_get_instant(result, row, 7),
        .rank = (uint32_t)pg_get_i64(result, row, 8),
        .is_ordered = pg_get_bool(result, row, 9),
        .expires_at_ms = pg_get_instant(result, row, 10),
        .replayed_at_ms = pg_get_instant(result, row, 11),
        .lease_until_ms = lease_until_ms,
    };
}

static enum status read_bodies(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct delivery *deliveries, size_t count, const int64_t *bytes_max,
                               struct problem *problem)
{
    struct pg_params params;
    struct pg_array instants;
    struct pg_array ids;
    struct pg_array subscriptions;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_array_begin(&instants, &params, PG_INSTANT, count);
    pg_array_begin(&ids, &params, PG_UUID, count);
    pg_array_begin(&subscriptions, &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&instants, deliveries[i].notification_created_at_ms);
        pg_array_id(&ids, deliveries[i].notification_id);
        pg_array_id(&subscriptions, deliveries[i].subscription_id);
    }
    pg_array_end(&instants);
    pg_array_end(&ids);
    pg_array_end(&subscriptions);
    if (bytes_max != NULL) {
        pg_put_i64(&params, *bytes_max);
    }
    enum status status =
        pg_run(pg, arena, bytes_max != NULL ? &delivery_bodies_within : &delivery_bodies, &params,
               &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        struct delivery *delivery = &deliveries[(size_t)pg_get_i64(result, row, 0) - 1];
        delivery->topic = pg_get_text(result, row, 1);
        delivery->body = pg_get_text(result, row, 2);
        delivery->target = pg_get_text(result, row, 3);
        delivery->profile_id = pg_get_id(result, row, 4);
    }
    return status;
}

enum status delivery_read_bodies(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct delivery *deliveries, size_t count, struct problem *problem)
{
    return read_bodies(pg, arena, workspace_id, deliveries, count, NULL, problem);
}

enum status delivery_read_bodies_within(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct delivery *deliveries, size_t count,
                                        int64_t bytes_max, struct problem *problem)
{
    return read_bodies(pg, arena, workspace_id, deliveries, count, &bytes_max, problem);
}

enum status delivery_list_reserve(struct delivery_list *list, struct arena *arena, size_t more)
{
    if (list->capacity - list->count >= more) {
        return STATUS_OK;
    }
    size_t capacity = (list->count + more) * 2;
    struct delivery *rows = ARENA_NEW_ARRAY(arena, capacity, struct delivery);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    if (list->count > 0) {
        memcpy(rows, list->rows, list->count * sizeof(*rows));
    }
    list->rows = rows;
    list->capacity = capacity;
    return STATUS_OK;
}

static int compare_due(const void *a, const void *b)
{
    const struct delivery *left = a;
    const struct delivery *right = b;
    int order = id_compare(left->subscription_id, right->subscription_id);
    if (order != 0) {
        return order;
    }
    if (left->due_at_ms != right->due_at_ms) {
        return left->due_at_ms < right->due_at_ms ? -1 : 1;
    }
    if (left->sequence != right->sequence) {
        return left->sequence < right->sequence ? -1 : 1;
    }
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

/* `rows` are in order of subscription; of one lane the last is due last. */
static void move_floor(struct claim_lane *lane, const struct delivery *rows, size_t count,
                       bool saw_all, int64_t now_ms)
{
    size_t from = 0;
    size_t to = count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (id_compare(rows[middle].subscription_id, lane->subscription_id) <= 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    size_t claimed = 0;
    while (from > claimed &&
           id_equal(rows[from - claimed - 1].subscription_id, lane->subscription_id)) {
        claimed++;
    }
    lane->claimed = claimed;
    int64_t floor_ms = lane->floor_ms;
    if (saw_all && claimed < lane->room) {
        floor_ms = now_ms - DELIVERY_FLOOR_SLACK_MS;
    } else if (claimed > 0) {
        int64_t newest_ms = rows[from - 1].due_at_ms;
        int64_t settled_ms = now_ms - DELIVERY_FLOOR_SLACK_MS;
        floor_ms = newest_ms < settled_ms ? newest_ms : settled_ms;
    }
    lane->floor_ms = floor_ms > lane->floor_ms ? floor_ms : lane->floor_ms;
}

static size_t count_alone(const struct claim_lane *lanes, size_t lane_count)
{
    size_t count = 0;
    for (size_t i = 0; i < lane_count; i++) {
        count += lanes[i].batch_max == 0 ? 1 : 0;
    }
    return count;
}

static enum status run_claim(struct pg *pg, struct arena *arena, const struct claim_terms *terms,
                             const struct claim_lane *lanes, size_t lane_count,
                             struct pg_result **out_result, struct problem *problem)
{
    size_t alone = count_alone(lanes, lane_count);
    struct pg_params params;
    struct pg_array ids;
    struct pg_array floors;
    struct pg_array rooms;
    pg_params_init(&params, arena);
    pg_put_id(&params, terms->workspace_id);
    pg_put_id(&params, terms->owner);
    pg_put_instant(&params, terms->lease_until_ms);
    pg_put_instant(&params, terms->now_ms);
    pg_array_begin(&ids, &params, PG_UUID, alone);
    pg_array_begin(&floors, &params, PG_INSTANT, alone);
    pg_array_begin(&rooms, &params, PG_INT4, alone);
    for (size_t i = 0; i < lane_count; i++) {
        if (lanes[i].batch_max == 0) {
            pg_array_id(&ids, lanes[i].subscription_id);
            pg_array_instant(&floors, lanes[i].floor_ms == INSTANT_NONE ? 0 : lanes[i].floor_ms);
            pg_array_i32(&rooms, (int32_t)lanes[i].room);
        }
    }
    pg_array_end(&ids);
    pg_array_end(&floors);
    pg_array_end(&rooms);
    pg_put_i64(&params, (int64_t)terms->limit);
    struct pg_result *results[4] = { NULL };
    enum status status = pg_queue(pg, &pg_begin, NULL);
    if (status == STATUS_OK) {
        status = pg_queue(pg, &pg_async_commit, NULL); /* a repeat carries the same id */
    }
    if (status == STATUS_OK) {
        status = pg_queue(pg, &delivery_claim, &params);
    }
    if (status == STATUS_OK) {
        status = pg_queue(pg, &pg_commit, NULL);
    }
    if (status == STATUS_OK) {
        status = pg_sync(pg, arena, results, ARRAY_COUNT(results), problem);
    }
    if (status != STATUS_OK) {
        pg_reset(pg);
        return status;
    }
    *out_result = results[2];
    return STATUS_OK;
}

static enum status claim_alone(struct pg *pg, struct arena *arena, const struct claim_terms *terms,
                               struct claim_lane *lanes, size_t lane_count,
                               struct delivery_list *list, struct problem *problem)
{
    struct pg_result *result = NULL;
    if (count_alone(lanes, lane_count) == 0) {
        return STATUS_OK;
    }
    enum status status = run_claim(pg, arena, terms, lanes, lane_count, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    status = delivery_list_reserve(list, arena, count);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t row = 0; row < count; row++) {
        list->rows[row] = delivery_of_row(result, row, terms->workspace_id, terms->lease_until_ms);
    }
    list->count = count;
    if (count > 0) {
        qsort(list->rows, count, sizeof(*list->rows), compare_due);
    }
    for (size_t i = 0; i < lane_count; i++) {
        if (lanes[i].batch_max == 0) {
            move_floor(&lanes[i], list->rows, count, count < terms->limit, terms->now_ms);
        }
    }
    return count == 0
               ? STATUS_OK
               : delivery_read_bodies(pg, arena, terms->workspace_id, list->rows, count, problem);
}

enum status delivery_store_claim(struct pg *pg, struct arena *arena,
                                 const struct claim_terms *terms, struct claim_lane *lanes,
                                 size_t lane_count, struct delivery **out_deliveries,
                                 size_t *out_count, struct problem *problem)
{
    struct delivery_list list = { .count = 0 };
    for (size_t i = 0; i < lane_count; i++) {
        lanes[i].claimed = 0;
    }
    enum status status = claim_alone(pg, arena, terms, lanes, lane_count, &list, problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = delivery_batch_claim(pg, arena, terms, lanes, lane_count, &list, problem);
    if (status == STATUS_OK && count_alone(lanes, lane_count) < lane_count) {
        status = delivery_batch_freeze(pg, arena, terms, lanes, lane_count, &list, problem);
    }
    if (status != STATUS_OK && list.count == 0) {
        return status;
    }
    /* What was claimed before a failure is leased to us: it must be sent. */
    *out_deliveries = list.rows;
    *out_count = list.count;
    return STATUS_OK;
}
