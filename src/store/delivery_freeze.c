#include <stdlib.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/batch.h"
#include "delivery_priv.h"

/*
 * Freezing: what is ripe becomes a batch (delivery_batch.c says what one is).
 *
 * One transaction finds the endpoints whose batch is full or whose oldest has waited long
 * enough, locks the candidates, chooses, and writes the batches, already claimed.
 *
 * Order about a customer: a member may be in a batch only if everything earlier about
 * its customer is in the same batch before it, or settled. `before` counts what is
 * earlier and exists; the k-th chosen of a customer (from 0) is allowed if k of them
 * are. Of ordered members one batch is made at a time, or the second could overtake
 * the first.
 *
 * What an ESP cannot be told, since it has no way to find the customer, is no member: it
 * is handed out alone, to end with its reason.
 *
 * Bodies are read up to BODIES_BYTES, of each endpoint by turns: 4,000 of a quarter MiB
 * would be a GiB. What was not read stays for the next turn; a batch that ends there is
 * as full as one that has reached its bytes.
 */

enum {
    MEMBERS_A_FREEZE = 4000,
};

/* A quarter of the arena of a claim: the bodies, the messages made of them, rows. */
#define BODIES_BYTES ((int64_t)8 * 1024 * 1024)

/* One walk for both questions, what is frozen already being the longest part of it. */
static const struct pg_statement delivery_batch_ripe = {
    "delivery_batch_ripe",
    "SELECT u.n FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::integer[])"
    " WITH ORDINALITY AS u (subscription_id, floor, ripe_by, most, n)"
    " CROSS JOIN LATERAL (SELECT count(*) AS count, min(c.due_at) AS oldest FROM (SELECT r.due_at"
    " FROM delivery r WHERE r.workspace_id = $1 AND r.subscription_id = u.subscription_id"
    " AND r.due_at >= u.floor AND r.due_at <= $6 AND r.batch_id IS NULL"
    " AND (r.lease_until IS NULL OR r.lease_until < $6) ORDER BY r.due_at LIMIT u.most) c) w"
    " WHERE w.count >= u.most OR w.oldest <= u.ripe_by",
};

static const struct pg_statement delivery_batch_pick = {
    "delivery_batch_pick",
    "SELECT " DELIVERY_COLUMNS ", u.n, d.before"
    " FROM unnest($2::uuid[], $3::timestamptz[], $4::integer[]) WITH ORDINALITY"
    " AS u (subscription_id, floor, most, n)"
    " CROSS JOIN LATERAL (SELECT r.*, CASE WHEN r.is_ordered THEN"
    " (SELECT count(*) FROM (SELECT 1 FROM delivery e WHERE e.workspace_id = r.workspace_id"
    " AND e.subscription_id = r.subscription_id AND e.profile_id = r.profile_id AND e.is_ordered"
    " AND (e.sequence, e.rank, e.id) < (r.sequence, r.rank, r.id) LIMIT u.most) x) END AS before"
    " FROM delivery r WHERE r.workspace_id = $1 AND r.subscription_id = u.subscription_id"
    " AND r.due_at >= u.floor AND r.due_at <= $5 AND r.batch_id IS NULL"
    " AND (r.lease_until IS NULL OR r.lease_until < $5)"
    " ORDER BY r.due_at, r.sequence, r.rank, r.id LIMIT u.most FOR UPDATE OF r SKIP LOCKED) d"
    " LIMIT $6",
};

static const struct pg_statement delivery_batch_insert = {
    "delivery_batch_insert",
    "INSERT INTO delivery_batch (workspace_id, id, subscription_id, created_at, due_at, members,"
    " lease_owner, lease_until)"
    " SELECT $1, u.batch_id, u.subscription_id, $5, $5, array_agg(u.id ORDER BY u.n), $6, $7"
    " FROM unnest($2::uuid[], $3::uuid[], $4::uuid[]) WITH ORDINALITY"
    " AS u (id, batch_id, subscription_id, n) GROUP BY u.batch_id, u.subscription_id",
};

static const struct pg_statement delivery_batch_pass = {
    "delivery_batch_pass",
    "UPDATE delivery AS d SET lease_owner = $3, lease_until = $4"
    " FROM (SELECT $1::uuid AS workspace_id, u.id FROM unnest($2::uuid[]) AS u (id) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id",
};

static const struct pg_statement delivery_batch_mark = {
    "delivery_batch_mark",
    "UPDATE delivery AS d SET batch_id = u.batch_id"
    " FROM (SELECT $1::uuid AS workspace_id, u.id, u.batch_id FROM unnest($2::uuid[], $3::uuid[])"
    " AS u (id, batch_id) OFFSET 0) u WHERE d.workspace_id = u.workspace_id AND d.id = u.id",
};

/* --- order ---------------------------------------------------------------- */

/* A candidate with what decides its place. */
struct candidate {
    struct delivery row;
    int64_t before; /* earlier ones about its customer that exist */
    size_t place;   /* by due time */
    size_t lane;
};

static int compare_customer(const struct candidate *left, const struct candidate *right)
{
    return id_compare(left->row.profile_id, right->row.profile_id);
}

static int compare_sequence(const void *a, const void *b)
{
    const struct candidate *const *left = a;
    const struct candidate *const *right = b;
    const struct delivery *x = &(*left)->row;
    const struct delivery *y = &(*right)->row;
    int order = compare_customer(*left, *right);
    if (order != 0) {
        return order;
    }
    if (x->sequence != y->sequence) {
        return x->sequence < y->sequence ? -1 : 1;
    }
    if (x->rank != y->rank) {
        return x->rank < y->rank ? -1 : 1;
    }
    return id_compare(x->id, y->id);
}

static int compare_place(const void *a, const void *b)
{
    const struct candidate *const *left = a;
    const struct candidate *const *right = b;
    int order = compare_customer(*left, *right);
    return order != 0 ? order
                      : ((*left)->place < (*right)->place ? -1 : (*left)->place > (*right)->place);
}

/* Leaves out who has something earlier outside, and hands a customer's places out in
 * the order of its sequence. Returns how many stay. */
static size_t arrange(struct arena *arena, struct candidate *candidates, size_t count)
{
    struct candidate **by_sequence = ARENA_NEW_ARRAY(arena, count, struct candidate *);
    struct candidate **by_place = ARENA_NEW_ARRAY(arena, count, struct candidate *);
    struct candidate *arranged = ARENA_NEW_ARRAY(arena, count, struct candidate);
    bool *is_out = ARENA_NEW_ARRAY(arena, count, bool);
    if (by_sequence == NULL || by_place == NULL || arranged == NULL || is_out == NULL) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        candidates[i].place = i;
        by_sequence[i] = by_place[i] = &candidates[i];
    }
    /* Pointers are what is sorted. NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(by_sequence, count, sizeof(*by_sequence), compare_sequence);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(by_place, count, sizeof(*by_place), compare_place);
    size_t nth = 0;
    for (size_t i = 0; i < count; i++) {
        const struct candidate *candidate = by_sequence[i];
        bool is_same = i > 0 && compare_customer(by_sequence[i - 1], candidate) == 0;
        nth = is_same ? nth : 0;
        is_out[by_place[i]->place] = candidate->row.is_ordered && candidate->before != (int64_t)nth;
        nth += candidate->row.is_ordered ? 1 : 0;
        arranged[by_place[i]->place] = *candidate;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_out[i]) {
            candidates[kept++] = arranged[i];
        }
    }
    return kept;
}

/* --- freezing ------------------------------------------------------------- */

struct freezing {
    struct pg *pg;
    struct arena *arena;
    const struct claim_terms *terms;
    struct claim_lane *lanes;
    struct claim_lane **ripe;
    size_t ripe_count;
    struct candidate *candidates; /* lane by lane */
    size_t candidate_count;
    struct delivery *rows;  /* the same, with bodies: of each lane the first so many */
    struct delivery *alone; /* of them that are no members */
    size_t alone_count;
    struct delivery *batches;
    size_t batch_count;
    size_t member_count;
};

static enum status find_ripe(struct freezing *freezing, size_t lane_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_array columns[4];
    static const enum pg_type types[] = { PG_UUID, PG_INSTANT, PG_INSTANT, PG_INT4 };
    struct pg_result *result = NULL;
    size_t count = 0;
    struct claim_lane **batched = ARENA_NEW_ARRAY(freezing->arena, lane_count, struct claim_lane *);
    if (batched == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < lane_count; i++) {
        struct claim_lane *lane = &freezing->lanes[i];
        if (lane->batch_max > 0 && lane->claimed < lane->room) {
            batched[count++] = lane;
        }
    }
    pg_params_init(&params, freezing->arena);
    pg_put_id(&params, freezing->terms->workspace_id);
    pg_columns_begin(columns, &params, types, ARRAY_COUNT(columns), count);
    for (size_t i = 0; i < count; i++) {
        int64_t floor_ms = batched[i]->floor_ms;
        pg_array_id(&columns[0], batched[i]->subscription_id);
        pg_array_instant(&columns[1], floor_ms == INSTANT_NONE ? 0 : floor_ms);
        pg_array_instant(&columns[2], batched[i]->ripe_by_ms);
        pg_array_i32(&columns[3], (int32_t)batched[i]->batch_max);
    }
    pg_columns_end(columns, ARRAY_COUNT(columns));
    pg_put_instant(&params, freezing->terms->now_ms);
    enum status status =
        pg_run(freezing->pg, freezing->arena, &delivery_batch_ripe, &params, &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        batched[freezing->ripe_count++] = batched[(size_t)pg_get_i64(result, row, 0) - 1];
    }
    freezing->ripe = batched;
    return status;
}

/* Whole batches, and as many for each lane that is ripe, or the first few would be given
 * all that a freeze may hold, turn by turn. */
static size_t most_members(const struct freezing *freezing, const struct claim_lane *lane)
{
    size_t batches = MEMBERS_A_FREEZE / freezing->ripe_count / lane->batch_max;
    size_t room = lane->room - lane->claimed;
    batches = batches == 0 ? 1 : batches;
    return lane->batch_max * (batches < room ? batches : room);
}

/* In a transaction that stays open. */
static enum status pick(struct freezing *freezing, struct problem *problem)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_array floors;
    struct pg_array mosts;
    struct pg_result *results[2] = { NULL };
    pg_params_init(&params, freezing->arena);
    pg_put_id(&params, freezing->terms->workspace_id);
    pg_array_begin(&ids, &params, PG_UUID, freezing->ripe_count);
    pg_array_begin(&floors, &params, PG_INSTANT, freezing->ripe_count);
    pg_array_begin(&mosts, &params, PG_INT4, freezing->ripe_count);
    for (size_t i = 0; i < freezing->ripe_count; i++) {
        const struct claim_lane *lane = freezing->ripe[i];
        pg_array_id(&ids, lane->subscription_id);
        pg_array_instant(&floors, lane->floor_ms == INSTANT_NONE ? 0 : lane->floor_ms);
        pg_array_i32(&mosts, (int32_t)most_members(freezing, lane));
    }
    pg_array_end(&ids);
    pg_array_end(&floors);
    pg_array_end(&mosts);
    pg_put_instant(&params, freezing->terms->now_ms);
    pg_put_i64(&params, MEMBERS_A_FREEZE);
    enum status status = pg_queue(freezing->pg, &pg_begin, NULL);
    if (status == STATUS_OK) {
        status = pg_queue(freezing->pg, &delivery_batch_pick, &params);
    }
    if (status == STATUS_OK) {
        status = pg_sync(freezing->pg, freezing->arena, results, ARRAY_COUNT(results), problem);
    }
    size_t count = status == STATUS_OK ? pg_row_count(results[1]) : 0;
    freezing->candidates = ARENA_NEW_ARRAY(freezing->arena, count + 1, struct candidate);
    if (freezing->candidates == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < count; row++) {
        freezing->candidates[row] = (struct candidate){
            .row = delivery_of_row(results[1], row, freezing->terms->workspace_id, 0),
            .lane = (size_t)pg_get_i64(results[1], row, DELIVERY_COLUMN_COUNT) - 1,
            .before = pg_get_i64(results[1], row, DELIVERY_COLUMN_COUNT + 1),
        };
    }
    freezing->candidate_count = count;
    return status;
}

static bool is_unread(const struct delivery *row)
{
    return row->topic.data != NULL && row->body.data == NULL;
}

/* Leaves out what an ESP cannot be told. */
static void pass_alone(struct freezing *freezing)
{
    size_t kept = 0;
    for (size_t i = 0; i < freezing->candidate_count; i++) {
        const struct claim_lane *lane = freezing->ripe[freezing->candidates[i].lane];
        if (!is_unread(&freezing->rows[i]) && lane->format != NATIVE_NONE &&
            !native_is_call(freezing->rows[i].body)) {
            freezing->rows[i].lease_until_ms = freezing->terms->lease_until_ms;
            freezing->alone[freezing->alone_count++] = freezing->rows[i];
            continue;
        }
        freezing->candidates[kept] = freezing->candidates[i];
        freezing->rows[kept++] = freezing->rows[i];
    }
    freezing->candidate_count = kept;
}

/* Arranges each lane's candidates and closes the gaps. */
static enum status choose(struct freezing *freezing, struct problem *problem)
{
    size_t kept = 0;
    for (size_t from = 0; from < freezing->candidate_count;) {
        size_t to = from;
        while (to < freezing->candidate_count &&
               freezing->candidates[to].lane == freezing->candidates[from].lane) {
            to++;
        }
        size_t stay = arrange(freezing->arena, &freezing->candidates[from], to - from);
        memmove(&freezing->candidates[kept], &freezing->candidates[from],
                stay * sizeof(*freezing->candidates));
        kept += stay;
        from = to;
    }
    freezing->candidate_count = kept;
    freezing->rows = ARENA_NEW_ARRAY(freezing->arena, kept + 1, struct delivery);
    freezing->alone = ARENA_NEW_ARRAY(freezing->arena, kept + 1, struct delivery);
    freezing->batches = ARENA_NEW_ARRAY(freezing->arena, kept + 1, struct delivery);
    if (freezing->rows == NULL || freezing->alone == NULL || freezing->batches == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < kept; i++) {
        freezing->rows[i] = freezing->candidates[i].row;
    }
    enum status status = STATUS_OK;
    if (kept > 0) {
        status = delivery_read_bodies_within(freezing->pg, freezing->arena,
                                             freezing->terms->workspace_id, freezing->rows, kept,
                                             BODIES_BYTES, problem);
    }
    if (status == STATUS_OK) {
        pass_alone(freezing);
    }
    return status;
}

/* How many of `count` rows fit into one message: at least the first, unless it was not read. */
static size_t fitting(const struct delivery *rows, size_t count, enum native_format format,
                      bool *out_is_cut)
{
    const struct native_bulk *bulk = native_bulk(format);
    size_t most = bulk != NULL ? bulk->bytes_max : LIMIT_DELIVERY_BATCH_BYTES;
    size_t bytes = batch_overhead(count);
    size_t fit = 0;
    while (fit < count && !is_unread(&rows[fit]) &&
           (fit == 0 || bytes + rows[fit].body.size <= most)) {
        bytes += rows[fit].body.size;
        fit++;
    }
    *out_is_cut = fit < count;
    return fit;
}

static int64_t oldest_due_ms(const struct delivery *rows, size_t count)
{
    int64_t oldest = INSTANT_NEVER;
    for (size_t i = 0; i < count; i++) {
        oldest = rows[i].due_at_ms < oldest ? rows[i].due_at_ms : oldest;
    }
    return oldest;
}

static int64_t newest_due_ms(const struct delivery *rows, size_t count)
{
    int64_t newest = INSTANT_NONE;
    for (size_t i = 0; i < count; i++) {
        newest = rows[i].due_at_ms > newest ? rows[i].due_at_ms : newest;
    }
    return newest;
}

static int64_t earlier_ms(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool freeze_one(struct freezing *freezing, const struct claim_lane *lane, size_t from,
                       size_t count)
{
    struct delivery batch = {
        .workspace_id = freezing->terms->workspace_id,
        .subscription_id = lane->subscription_id,
        .notification_created_at_ms = freezing->terms->now_ms,
        .due_at_ms = freezing->terms->now_ms,
        .lease_until_ms = freezing->terms->lease_until_ms,
    };
    if (!delivery_batch_compose(freezing->arena, freezing->terms->workspace_name, lane->format,
                                &freezing->rows[from], count, &batch)) {
        return false;
    }
    freezing->batches[freezing->batch_count++] = batch;
    freezing->member_count += count;
    return true;
}

/* Cuts one lane's rows into batches, as long as they are ripe. */
static enum status cut_lane(struct freezing *freezing, struct claim_lane *lane, size_t from,
                            size_t to)
{
    int64_t frozen_ms = INSTANT_NONE;
    while (from < to && lane->claimed < lane->room) {
        size_t count = to - from < lane->batch_max ? to - from : lane->batch_max;
        bool is_cut = false;
        const struct delivery *rows = &freezing->rows[from];
        size_t fit = fitting(rows, count, lane->format, &is_cut);
        if (fit == 0) {
            break;
        }
        if (count < lane->batch_max && !is_cut && oldest_due_ms(rows, count) > lane->ripe_by_ms) {
            break;
        }
        if (!freeze_one(freezing, lane, from, fit)) {
            return STATUS_LIMIT;
        }
        const struct delivery *batch = &freezing->batches[freezing->batch_count - 1];
        int64_t newest_ms = newest_due_ms(rows, fit);
        frozen_ms = newest_ms > frozen_ms ? newest_ms : frozen_ms;
        lane->claimed++;
        from += fit;
        if (batch->is_ordered) {
            break;
        }
    }
    /* Not beyond what stays, nor what may yet be committed. What stands behind something
     * earlier was left out before: it is woken. */
    int64_t stays_ms = oldest_due_ms(&freezing->rows[from], to - from);
    int64_t floor_ms = earlier_ms(earlier_ms(frozen_ms, stays_ms),
                                  freezing->terms->now_ms - DELIVERY_FLOOR_SLACK_MS);
    lane->floor_ms = floor_ms > lane->floor_ms ? floor_ms : lane->floor_ms;
    return STATUS_OK;
}

static enum status cut(struct freezing *freezing)
{
    enum status status = STATUS_OK;
    for (size_t from = 0; from < freezing->candidate_count && status == STATUS_OK;) {
        size_t lane = freezing->candidates[from].lane;
        size_t to = from;
        while (to < freezing->candidate_count && freezing->candidates[to].lane == lane) {
            to++;
        }
        status = cut_lane(freezing, freezing->ripe[lane], from, to);
        from = to;
    }
    return status;
}

static void put_members(struct pg_params *params, const struct freezing *freezing,
                        bool with_subscription)
{
    struct pg_array ids;
    struct pg_array batch_ids;
    struct pg_array subscription_ids;
    pg_array_begin(&ids, params, PG_UUID, freezing->member_count);
    pg_array_begin(&batch_ids, params, PG_UUID, freezing->member_count);
    if (with_subscription) {
        pg_array_begin(&subscription_ids, params, PG_UUID, freezing->member_count);
    }
    for (size_t b = 0; b < freezing->batch_count; b++) {
        const struct delivery *batch = &freezing->batches[b];
        for (size_t i = 0; i < batch->member_count; i++) {
            pg_array_id(&ids, batch->members[i].delivery_id);
            pg_array_id(&batch_ids, batch->id);
            if (with_subscription) {
                pg_array_id(&subscription_ids, batch->subscription_id);
            }
        }
    }
    pg_array_end(&ids);
    pg_array_end(&batch_ids);
    if (with_subscription) {
        pg_array_end(&subscription_ids);
    }
}

static void put_alone(struct pg_params *params, const struct freezing *freezing)
{
    struct pg_array ids;
    pg_params_init(params, freezing->arena);
    pg_put_id(params, freezing->terms->workspace_id);
    pg_array_begin(&ids, params, PG_UUID, freezing->alone_count);
    for (size_t i = 0; i < freezing->alone_count; i++) {
        pg_array_id(&ids, freezing->alone[i].id);
    }
    pg_array_end(&ids);
    pg_put_id(params, freezing->terms->owner);
    pg_put_instant(params, freezing->terms->lease_until_ms);
}

static enum status write_batches(struct freezing *freezing, struct problem *problem)
{
    struct pg_params insert;
    struct pg_params mark;
    struct pg_params pass;
    struct pg_result *results[4] = { NULL };
    const struct claim_terms *terms = freezing->terms;
    pg_params_init(&insert, freezing->arena);
    pg_put_id(&insert, terms->workspace_id);
    put_members(&insert, freezing, true);
    pg_put_instant(&insert, terms->now_ms);
    pg_put_id(&insert, terms->owner);
    pg_put_instant(&insert, terms->lease_until_ms);
    pg_params_init(&mark, freezing->arena);
    pg_put_id(&mark, terms->workspace_id);
    put_members(&mark, freezing, false);
    enum status status = STATUS_OK;
    if (freezing->batch_count > 0) {
        status = pg_queue(freezing->pg, &delivery_batch_insert, &insert);
        if (status == STATUS_OK) {
            status = pg_queue(freezing->pg, &delivery_batch_mark, &mark);
        }
    }
    if (status == STATUS_OK && freezing->alone_count > 0) {
        put_alone(&pass, freezing);
        status = pg_queue(freezing->pg, &delivery_batch_pass, &pass);
    }
    if (status == STATUS_OK) {
        status = pg_queue(freezing->pg, &pg_commit, NULL);
    }
    if (status == STATUS_OK) {
        status = pg_sync(freezing->pg, freezing->arena, results, pg_queued(freezing->pg), problem);
    }
    return status;
}

static enum status freeze(struct freezing *freezing, struct problem *problem)
{
    enum status status = pick(freezing, problem);
    if (status == STATUS_OK) {
        status = choose(freezing, problem);
    }
    if (status == STATUS_OK) {
        status = cut(freezing);
    }
    if (status == STATUS_OK) {
        status = write_batches(freezing, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(freezing->pg);
    }
    return status;
}

enum status delivery_batch_freeze(struct pg *pg, struct arena *arena,
                                  const struct claim_terms *terms, struct claim_lane *lanes,
                                  size_t lane_count, struct delivery_list *list,
                                  struct problem *problem)
{
    struct freezing freezing = { .pg = pg, .arena = arena, .terms = terms, .lanes = lanes };
    enum status status = find_ripe(&freezing, lane_count, problem);
    if (status != STATUS_OK || freezing.ripe_count == 0) {
        return status;
    }
    status = freeze(&freezing, problem);
    if (status == STATUS_OK) {
        status = delivery_list_reserve(list, arena, freezing.batch_count + freezing.alone_count);
    }
    for (size_t i = 0; status == STATUS_OK && i < freezing.batch_count; i++) {
        list->rows[list->count++] = freezing.batches[i];
    }
    for (size_t i = 0; status == STATUS_OK && i < freezing.alone_count; i++) {
        list->rows[list->count++] = freezing.alone[i];
    }
    return status;
}
