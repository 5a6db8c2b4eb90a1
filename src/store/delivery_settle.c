#include <stdlib.h>

#include "base/instant.h"
#include "delivery_priv.h"

/*
 * Settling: what an attempt's outcome does to the queue, and to the log of attempts.
 *
 * Invariant: settling says whose lease and which attempt it believes in, so a lost
 * lease changes nothing. Rows are deleted when settled. A batch is believed by its own
 * row, which is locked first; its members follow it in the same transaction, so there
 * is never a batch without its row or a row without its members.
 *
 * Whoever settles an ordered delivery takes the next about its customer in the same
 * transaction, leased to itself; what follows in batches is only woken. Between its
 * statements the insert of a follower may commit unseen: that row is due and newer than
 * any floor, so the next claim has it. What waits behind a notification about somebody
 * who was merged stands under the survivor.
 *
 * Everything a row is known by comes out of a fenced subquery (OFFSET 0): were
 * the workspace or the owner a constant, the planner would take it for the
 * better half, walk the whole queue by it and compare the ids.
 */

static const struct pg_statement delivery_settle_delete = {
    "delivery_settle_delete",
    "DELETE FROM delivery AS d USING (SELECT $1::uuid AS workspace_id, $4::uuid AS owner, u.*"
    " FROM unnest($2::uuid[], $3::integer[]) AS u (id, attempt) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner"
    " AND d.attempt = u.attempt",
};

static const struct pg_statement delivery_settle_later = {
    "delivery_settle_later",
    "UPDATE delivery AS d SET due_at = u.due_at, attempt = u.attempt + 1, lease_owner = NULL,"
    " lease_until = NULL"
    " FROM (SELECT $1::uuid AS workspace_id, $4::uuid AS owner, u.* FROM unnest($2::uuid[],"
    " $3::integer[], $5::timestamptz[]) AS u (id, attempt, due_at) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner"
    " AND d.attempt = u.attempt",
};

/* Nobody takes a batch over, or renews it, before the commit. */
static const struct pg_statement delivery_batch_lock = {
    "delivery_batch_lock",
    "SELECT r.id FROM (SELECT k.id, k.attempt FROM unnest($2::uuid[], $3::integer[])"
    " AS k (id, attempt) ORDER BY k.id) u"
    " CROSS JOIN LATERAL (SELECT b.id FROM delivery_batch b WHERE b.workspace_id = $1"
    " AND b.id = u.id AND b.lease_owner = $4 AND b.attempt = u.attempt FOR UPDATE) r",
};

/* The batches that are still ours, each with the slice of the members' columns that is
 * its own. Each is looked up by its key, once: compared with its members, a settlement
 * of twenty batches looked two thousand members up in every batch there was. */
#define OURS                                                                           \
    " FROM unnest($2::uuid[], $3::integer[], $5::integer[], $6::integer[])"            \
    " AS k (id, attempt, first_n, last_n)"                                             \
    " CROSS JOIN LATERAL (SELECT r.id FROM delivery_batch r WHERE r.workspace_id = $1" \
    " AND r.id = k.id AND r.lease_owner = $4 AND r.attempt = k.attempt OFFSET 0) b"    \
    " CROSS JOIN LATERAL unnest("

static const struct pg_statement delivery_member_delete = {
    "delivery_member_delete",
    "DELETE FROM delivery AS d USING (SELECT $1::uuid AS workspace_id, b.id AS batch_id, m.id" OURS
    "($7::uuid[])[k.first_n:k.last_n]) AS m (id) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.batch_id = u.batch_id",
};

static const struct pg_statement delivery_member_free = {
    "delivery_member_free",
    "UPDATE delivery AS d SET batch_id = NULL, attempt = u.attempt, due_at = u.due_at,"
    " lease_owner = NULL, lease_until = NULL"
    " FROM (SELECT $1::uuid AS workspace_id, b.id AS batch_id, m.id, m.attempt, m.due_at" OURS
    "($7::uuid[])[k.first_n:k.last_n], ($8::integer[])[k.first_n:k.last_n],"
    " ($9::timestamptz[])[k.first_n:k.last_n]) AS m (id, attempt, due_at) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.batch_id = u.batch_id",
};

static const struct pg_statement delivery_batch_delete = {
    "delivery_batch_delete",
    "DELETE FROM delivery_batch AS d USING (SELECT $1::uuid AS workspace_id, $4::uuid AS owner,"
    " u.* FROM unnest($2::uuid[], $3::integer[]) AS u (id, attempt) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner"
    " AND d.attempt = u.attempt",
};

static const struct pg_statement delivery_batch_later = {
    "delivery_batch_later",
    "UPDATE delivery_batch AS d SET due_at = u.due_at, attempt = u.attempt + 1,"
    " lease_owner = NULL, lease_until = NULL"
    " FROM (SELECT $1::uuid AS workspace_id, $4::uuid AS owner, u.* FROM unnest($2::uuid[],"
    " $3::integer[], $5::timestamptz[]) AS u (id, attempt, due_at) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner"
    " AND d.attempt = u.attempt",
};

static const struct pg_statement delivery_attempt_insert = {
    "delivery_attempt_insert",
    "INSERT INTO attempt (workspace_id, at, id, notification_id, subscription_id, profile_id,"
    " number, outcome, response_status, duration_ms, next_at, body_bytes, error, response,"
    " batch_id, notification_created_at)"
    " SELECT $1, u.* FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::uuid[],"
    " $6::uuid[], $7::integer[], $8::text[], $9::integer[], $10::bigint[], $11::timestamptz[],"
    " $12::integer[], $13::text[], $14::text[], $15::uuid[], $16::timestamptz[]) AS u"
    " ON CONFLICT (workspace_id, at, id) DO NOTHING",
};

/* $2 endpoints, $3 customers, whose rows stand under u.turn_id. */
#define TURNS                                                                                \
    " FROM (SELECT v.subscription_id, coalesce(m.merged_into, v.profile_id) AS turn_id FROM" \
    " unnest($2::uuid[], $3::uuid[]) AS v (subscription_id, profile_id)"                     \
    " LEFT JOIN LATERAL (SELECT p.merged_into FROM profile p WHERE p.workspace_id = $1"      \
    " AND p.id = v.profile_id OFFSET 0) m ON true OFFSET 0) u"

/* The next about these customers, if nobody has it and it is due. */
static const struct pg_statement delivery_next_in_turn = {
    "delivery_next_in_turn",
    "UPDATE delivery AS d SET lease_owner = $4, lease_until = $5"
    " FROM (SELECT DISTINCT $1::uuid AS workspace_id, r.id" TURNS
    " CROSS JOIN LATERAL (SELECT c.id FROM delivery c WHERE c.workspace_id = $1"
    " AND c.subscription_id = u.subscription_id AND c.profile_id = u.turn_id AND c.is_ordered"
    " ORDER BY c.sequence, c.rank, c.id LIMIT 1) r) k"
    " WHERE d.workspace_id = k.workspace_id AND d.id = k.id AND d.due_at <= $6"
    " AND d.batch_id IS NULL AND (d.lease_until IS NULL OR d.lease_until < $6)"
    " RETURNING " DELIVERY_COLUMNS,
};

/* All that waits behind: above the floors of claims again. */
static const struct pg_statement delivery_wake = {
    "delivery_wake",
    "UPDATE delivery AS d SET due_at = $4"
    " FROM (SELECT DISTINCT $1::uuid AS workspace_id, r.id" TURNS
    " CROSS JOIN LATERAL (SELECT c.id FROM delivery c WHERE c.workspace_id = $1"
    " AND c.subscription_id = u.subscription_id AND c.profile_id = u.turn_id AND c.is_ordered"
    " AND c.due_at < $4 AND c.batch_id IS NULL OFFSET 0) r) k"
    " WHERE d.workspace_id = k.workspace_id AND d.id = k.id AND d.batch_id IS NULL"
    " AND d.lease_owner IS NULL AND d.due_at < $4",
};

/* --- rows ----------------------------------------------------------------- */

/* The settlements of one workspace, in order of id: rows are locked in that order. */
struct settling {
    struct pg *pg;
    struct arena *arena;
    const struct settle_terms *terms;
    struct id workspace_id;
    const struct settlement *const *rows;
    size_t count;
};

typedef bool settlement_is_fn(const struct settlement *settlement);

static bool is_alone_settled(const struct settlement *settlement)
{
    return settlement->member_count == 0 && settlement->settled;
}

static bool is_alone_later(const struct settlement *settlement)
{
    return settlement->member_count == 0 && !settlement->settled;
}

static bool is_batch(const struct settlement *settlement)
{
    return settlement->member_count > 0;
}

static bool is_batch_settled(const struct settlement *settlement)
{
    return settlement->member_count > 0 && settlement->settled;
}

static bool is_batch_later(const struct settlement *settlement)
{
    return settlement->member_count > 0 && !settlement->settled;
}

static size_t count_rows(const struct settling *settling, settlement_is_fn *is_wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < settling->count; i++) {
        count += is_wanted(settling->rows[i]) ? 1 : 0;
    }
    return count;
}

/* $1 workspace, $2 ids, $3 attempts before, $4 owner, and $5 due instants if wanted. */
static enum status queue_rows(const struct settling *settling, const struct pg_statement *statement,
                              settlement_is_fn *is_wanted, bool with_due)
{
    size_t wanted = count_rows(settling, is_wanted);
    struct pg_params *params = ARENA_NEW(settling->arena, struct pg_params);
    if (wanted == 0) {
        return STATUS_OK;
    }
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    struct pg_array ids;
    struct pg_array numbers;
    struct pg_array instants;
    pg_params_init(params, settling->arena);
    pg_put_id(params, settling->workspace_id);
    pg_array_begin(&ids, params, PG_UUID, wanted);
    pg_array_begin(&numbers, params, PG_INT4, wanted);
    pg_put_id(params, settling->terms->owner);
    if (with_due) {
        pg_array_begin(&instants, params, PG_INSTANT, wanted);
    }
    for (size_t i = 0; i < settling->count; i++) {
        const struct attempt *attempt = &settling->rows[i]->attempt;
        if (is_wanted(settling->rows[i])) {
            pg_array_id(&ids, attempt->delivery_id);
            pg_array_i32(&numbers, (int32_t)attempt->number - 1);
            if (with_due) {
                pg_array_instant(&instants, attempt->next_at_ms);
            }
        }
    }
    pg_array_end(&ids);
    pg_array_end(&numbers);
    if (with_due) {
        pg_array_end(&instants);
    }
    return pg_queue(settling->pg, statement, params);
}

/* --- members -------------------------------------------------------------- */

static bool leaves(const struct member_end *end)
{
    return end->fate == MEMBER_AGAIN || end->fate == MEMBER_FREED;
}

static bool is_over(const struct member_end *end)
{
    return end->fate == MEMBER_SETTLED;
}

typedef bool member_is_fn(const struct member_end *end);

static size_t count_of_batch(const struct settlement *settlement, member_is_fn *is_wanted)
{
    size_t count = 0;
    for (size_t m = 0; m < settlement->member_count; m++) {
        count += is_wanted(&settlement->members[m]) ? 1 : 0;
    }
    return count;
}

static size_t count_members(const struct settling *settling, member_is_fn *is_wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < settling->count; i++) {
        count += count_of_batch(settling->rows[i], is_wanted);
    }
    return count;
}

/* $2, $3, $5 and $6: the batches, and where their slices begin and end. */
static void put_batches(struct pg_params *params, const struct settling *settling,
                        member_is_fn *is_wanted)
{
    size_t batches = count_rows(settling, is_batch);
    struct pg_array ids;
    struct pg_array attempts;
    struct pg_array firsts;
    struct pg_array lasts;
    size_t before = 0;
    pg_array_begin(&ids, params, PG_UUID, batches);
    pg_array_begin(&attempts, params, PG_INT4, batches);
    pg_put_id(params, settling->terms->owner);
    pg_array_begin(&firsts, params, PG_INT4, batches);
    pg_array_begin(&lasts, params, PG_INT4, batches);
    for (size_t i = 0; i < settling->count; i++) {
        const struct settlement *settlement = settling->rows[i];
        if (is_batch(settlement)) {
            size_t count = count_of_batch(settlement, is_wanted);
            pg_array_id(&ids, settlement->attempt.delivery_id);
            pg_array_i32(&attempts, (int32_t)settlement->attempt.number - 1);
            pg_array_i32(&firsts, (int32_t)(before + 1));
            pg_array_i32(&lasts, (int32_t)(before + count));
            before += count;
        }
    }
    pg_array_end(&ids);
    pg_array_end(&attempts);
    pg_array_end(&firsts);
    pg_array_end(&lasts);
}

struct member_columns {
    struct pg_array ids;
    struct pg_array attempts;
    struct pg_array instants;
};

static void put_member(struct member_columns *columns, const struct settling *settling,
                       const struct settlement *settlement, const struct member_end *end)
{
    pg_array_id(&columns->ids, end->member.delivery_id);
    if (leaves(end)) {
        /* What the batch tried in vain before counts for its members too. */
        uint32_t made = end->member.attempt + settlement->attempt.number - 1;
        bool is_freed = end->fate == MEMBER_FREED;
        pg_array_i32(&columns->attempts, (int32_t)(is_freed ? made : made + 1));
        pg_array_instant(&columns->instants, is_freed ? settling->terms->now_ms : end->next_at_ms);
    }
}

static enum status queue_members(const struct settling *settling, member_is_fn *is_wanted)
{
    size_t wanted = count_members(settling, is_wanted);
    struct pg_params *params = ARENA_NEW(settling->arena, struct pg_params);
    bool is_free = is_wanted == leaves;
    if (wanted == 0) {
        return STATUS_OK;
    }
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    struct member_columns columns;
    pg_params_init(params, settling->arena);
    pg_put_id(params, settling->workspace_id);
    put_batches(params, settling, is_wanted);
    pg_array_begin(&columns.ids, params, PG_UUID, wanted);
    if (is_free) {
        pg_array_begin(&columns.attempts, params, PG_INT4, wanted);
        pg_array_begin(&columns.instants, params, PG_INSTANT, wanted);
    }
    for (size_t i = 0; i < settling->count; i++) {
        for (size_t m = 0; m < settling->rows[i]->member_count; m++) {
            if (is_wanted(&settling->rows[i]->members[m])) {
                put_member(&columns, settling, settling->rows[i], &settling->rows[i]->members[m]);
            }
        }
    }
    pg_array_end(&columns.ids);
    if (is_free) {
        pg_array_end(&columns.attempts);
        pg_array_end(&columns.instants);
    }
    return pg_queue(settling->pg, is_free ? &delivery_member_free : &delivery_member_delete,
                    params);
}

/* --- the log -------------------------------------------------------------- */

enum {
    ATTEMPT_COLUMNS = 15
};

static void put_attempt(struct pg_array *columns, const struct attempt *attempt)
{
    pg_array_instant(&columns[0], attempt->at_ms);
    pg_array_id(&columns[1], attempt->id);
    pg_array_id(&columns[2], attempt->notification_id);
    pg_array_id(&columns[3], attempt->subscription_id);
    pg_array_id(&columns[4], attempt->profile_id);
    pg_array_i32(&columns[5], (int32_t)attempt->number);
    pg_array_text(&columns[6], str_from_z(attempt_outcome_name(attempt->outcome)));
    pg_array_i32(&columns[7], attempt->response_status);
    pg_array_i64(&columns[8], attempt->duration_ms);
    pg_array_instant(&columns[9], attempt->next_at_ms);
    pg_array_i32(&columns[10], (int32_t)attempt->body_bytes);
    pg_array_text(&columns[11], attempt->error);
    pg_array_text(&columns[12], attempt->response);
    pg_array_id_or_null(&columns[13], attempt->batch_id);
    pg_array_instant(&columns[14], attempt->notification_created_at_ms);
}

/* The answer of a batch is kept once, with its first member, or a thousand rows would
 * repeat it. */
static void put_member_attempt(struct pg_array *columns, const struct settlement *settlement,
                               const struct member_end *end)
{
    struct attempt attempt = settlement->attempt;
    if (end != settlement->members) {
        attempt.id = id_create();
        attempt.response = STR("");
    }
    attempt.notification_id = end->member.notification_id;
    attempt.profile_id = end->member.profile_id;
    attempt.notification_created_at_ms = end->member.notification_created_at_ms;
    attempt.batch_id = settlement->attempt.delivery_id;
    attempt.number = end->member.attempt + settlement->attempt.number;
    attempt.outcome = end->outcome;
    attempt.next_at_ms = end->next_at_ms;
    attempt.body_bytes = end->member.body_bytes;
    if (end->error.size > 0) {
        attempt.error = end->error;
    }
    put_attempt(columns, &attempt);
}

static bool is_logged(const struct member_end *end)
{
    return end->fate != MEMBER_FREED;
}

static enum status queue_attempts(const struct settling *settling)
{
    static const enum pg_type types[ATTEMPT_COLUMNS] = { PG_INSTANT, PG_UUID,    PG_UUID,   PG_UUID,
                                                         PG_UUID,    PG_INT4,    PG_TEXT,   PG_INT4,
                                                         PG_INT8,    PG_INSTANT, PG_INT4,   PG_TEXT,
                                                         PG_TEXT,    PG_UUID,    PG_INSTANT };
    struct pg_array columns[ATTEMPT_COLUMNS];
    struct pg_params *params = ARENA_NEW(settling->arena, struct pg_params);
    size_t wanted =
        settling->count - count_rows(settling, is_batch) + count_members(settling, is_logged);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_params_init(params, settling->arena);
    pg_put_id(params, settling->workspace_id);
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), wanted);
    for (size_t i = 0; i < settling->count; i++) {
        const struct settlement *settlement = settling->rows[i];
        if (settlement->member_count == 0) {
            put_attempt(columns, &settlement->attempt);
        }
        for (size_t m = 0; m < settlement->member_count; m++) {
            if (is_logged(&settlement->members[m])) {
                put_member_attempt(columns, settlement, &settlement->members[m]);
            }
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(settling->pg, &delivery_attempt_insert, params);
}

/* --- turns ---------------------------------------------------------------- */

static bool frees_alone(const struct settlement *settlement)
{
    return is_alone_settled(settlement) && settlement->is_ordered;
}

static bool frees_member(const struct member_end *end)
{
    return end->member.is_ordered && end->fate != MEMBER_KEPT;
}

static struct pg_params *turn_params(const struct settling *settling, size_t wanted,
                                     struct pg_array *subscriptions, struct pg_array *profiles)
{
    struct pg_params *params = ARENA_NEW(settling->arena, struct pg_params);
    if (params != NULL) {
        pg_params_init(params, settling->arena);
        pg_put_id(params, settling->workspace_id);
        pg_array_begin(subscriptions, params, PG_UUID, wanted);
        pg_array_begin(profiles, params, PG_UUID, wanted);
    }
    return params;
}

static enum status queue_next(const struct settling *settling)
{
    size_t wanted = count_rows(settling, frees_alone);
    struct pg_array subscriptions;
    struct pg_array profiles;
    if (wanted == 0) {
        return STATUS_OK;
    }
    struct pg_params *params = turn_params(settling, wanted, &subscriptions, &profiles);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < settling->count; i++) {
        if (frees_alone(settling->rows[i])) {
            pg_array_id(&subscriptions, settling->rows[i]->attempt.subscription_id);
            pg_array_id(&profiles, settling->rows[i]->attempt.profile_id);
        }
    }
    pg_array_end(&subscriptions);
    pg_array_end(&profiles);
    pg_put_id(params, settling->terms->owner);
    pg_put_instant(params, settling->terms->lease_until_ms);
    pg_put_instant(params, settling->terms->now_ms);
    return pg_queue(settling->pg, &delivery_next_in_turn, params);
}

static enum status queue_wake(const struct settling *settling)
{
    size_t wanted = count_members(settling, frees_member);
    struct pg_array subscriptions;
    struct pg_array profiles;
    if (wanted == 0) {
        return STATUS_OK;
    }
    struct pg_params *params = turn_params(settling, wanted, &subscriptions, &profiles);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < settling->count; i++) {
        for (size_t m = 0; m < settling->rows[i]->member_count; m++) {
            if (frees_member(&settling->rows[i]->members[m])) {
                pg_array_id(&subscriptions, settling->rows[i]->attempt.subscription_id);
                pg_array_id(&profiles, settling->rows[i]->members[m].member.profile_id);
            }
        }
    }
    pg_array_end(&subscriptions);
    pg_array_end(&profiles);
    pg_put_instant(params, settling->terms->now_ms);
    return pg_queue(settling->pg, &delivery_wake, params);
}

/* --- one workspace -------------------------------------------------------- */

static enum status queue_batches(const struct settling *settling)
{
    if (count_rows(settling, is_batch) == 0) {
        return STATUS_OK;
    }
    enum status status = queue_rows(settling, &delivery_batch_lock, is_batch, false);
    if (status == STATUS_OK) {
        status = queue_members(settling, is_over);
    }
    if (status == STATUS_OK) {
        status = queue_members(settling, leaves);
    }
    if (status == STATUS_OK) {
        status = queue_rows(settling, &delivery_batch_delete, is_batch_settled, false);
    }
    if (status == STATUS_OK) {
        status = queue_rows(settling, &delivery_batch_later, is_batch_later, true);
    }
    return status == STATUS_OK ? queue_wake(settling) : status;
}

static enum status queue_all(const struct settling *settling, size_t *out_next_index)
{
    enum status status = pg_queue(settling->pg, &pg_begin, NULL);
    if (status == STATUS_OK) {
        status = pg_queue(settling->pg, &pg_async_commit, NULL);
    }
    if (status == STATUS_OK) {
        status = queue_rows(settling, &delivery_settle_delete, is_alone_settled, false);
    }
    if (status == STATUS_OK) {
        status = queue_rows(settling, &delivery_settle_later, is_alone_later, true);
    }
    if (status == STATUS_OK) {
        status = queue_batches(settling);
    }
    if (status == STATUS_OK) {
        status = queue_attempts(settling);
    }
    *out_next_index = pg_queued(settling->pg);
    if (status == STATUS_OK) {
        status = queue_next(settling);
    }
    return status == STATUS_OK ? pg_queue(settling->pg, &pg_commit, NULL) : status;
}

/* What is leased but cannot be read comes back when its lease runs out. */
static void read_next(const struct settling *settling, const struct pg_result *result,
                      struct delivery_list *next, struct problem *problem)
{
    size_t count = pg_row_count(result);
    if (count == 0 || delivery_list_reserve(next, settling->arena, count) != STATUS_OK) {
        return;
    }
    struct delivery *rows = &next->rows[next->count];
    for (size_t row = 0; row < count; row++) {
        rows[row] =
            delivery_of_row(result, row, settling->workspace_id, settling->terms->lease_until_ms);
    }
    if (delivery_read_bodies(settling->pg, settling->arena, settling->workspace_id, rows, count,
                             problem) == STATUS_OK) {
        next->count += count;
    }
}

static enum status settle_workspace(const struct settling *settling, struct delivery_list *next,
                                    struct problem *problem)
{
    struct pg_result *results[12] = { NULL };
    size_t next_index = 0;
    enum status status = queue_all(settling, &next_index);
    bool has_next = count_rows(settling, frees_alone) > 0;
    if (status == STATUS_OK) {
        status = pg_sync(settling->pg, settling->arena, results, pg_queued(settling->pg), problem);
    }
    if (status != STATUS_OK) {
        pg_reset(settling->pg);
        return status;
    }
    if (has_next) {
        read_next(settling, results[next_index], next, problem);
    }
    return STATUS_OK;
}

static int compare_settlement(const void *a, const void *b)
{
    const struct settlement *const *left = a;
    const struct settlement *const *right = b;
    int order = id_compare((*left)->attempt.workspace_id, (*right)->attempt.workspace_id);
    return order != 0 ? order
                      : id_compare((*left)->attempt.delivery_id, (*right)->attempt.delivery_id);
}

enum status delivery_store_settle(struct pg *pg, struct arena *arena,
                                  const struct settle_terms *terms,
                                  const struct settlement *settlements, size_t count,
                                  struct delivery **out_next, size_t *out_next_count,
                                  struct problem *problem)
{
    struct delivery_list next = { .count = 0 };
    const struct settlement **sorted = ARENA_NEW_ARRAY(arena, count + 1, const struct settlement *);
    if (sorted == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &settlements[i];
    }
    /* Pointers are what is sorted. NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(sorted, count, sizeof(*sorted), compare_settlement);
    for (size_t from = 0; from < count;) {
        struct settling settling = { .pg = pg, .arena = arena, .terms = terms };
        settling.workspace_id = sorted[from]->attempt.workspace_id;
        settling.rows = sorted + from;
        while (from < count &&
               id_equal(sorted[from]->attempt.workspace_id, settling.workspace_id)) {
            from++;
            settling.count++;
        }
        enum status status = settle_workspace(&settling, &next, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    *out_next = next.rows;
    *out_next_count = next.count;
    return STATUS_OK;
}
