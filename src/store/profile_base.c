#include "store/profile_base.h"

#include <string.h>

#include "batch_priv.h"
#include "core/profile/base.h"
#include "store/history.h"

/*
 * What retention does to facts (correctness 7).
 *
 * Problem: dropping a month takes away what hydrate folds, so the next hydrate
 * shrinks customers. And the month is still being written to: facts arrive late,
 * and whoever comes again is known only by the row that is to go.
 *
 * Invariant: a fact is on the timeline or in the base of its origin. Both change
 * in one transaction, under the lock of the profile that the origin belongs to
 * now, as every other write does; so readers under the lock see one or the
 * other, and readers without it read both in one statement (history.c). There is
 * no moment at which a crash, a late fact or a second instance could lose or
 * double one: whatever is there is folded, whenever it came.
 *
 * Only profiles that stand at the newest rules are folded, by these: then each
 * feature that the profile has is in its base too. What a rule that comes later
 * asks starts from what is kept, and its explain says so.
 *
 * Of each event eight bytes of its id stay, by month, in rows that are only
 * added: an import that is repeated after years still has its effect once
 * (correctness 6). A new fact about a month long folded is taken like any other,
 * lies on the timeline until the next pass, and is folded then.
 *
 * Rejected: folding a month and dropping its partition with the rows in it.
 * Between the two everyone would count the month twice or would have to know, of
 * each origin, how far its base reaches; and what arrives in between is lost.
 * Deleting rows costs their WAL once, in the background, and leaves a partition
 * that is empty, which is taken away without anybody waiting (partition.c).
 */

enum {
    NAME_SIZE = 8 /* bytes of an id: among an origin's events of a month that is plenty */
};

/* A loose scan: the next origin that has any, then the next. */
static const struct pg_statement base_origins = {
    "base_origins",
    "WITH RECURSIVE w (id) AS ("
    "(SELECT origin_id FROM interaction WHERE workspace_id = $1 AND origin_id > $2"
    " AND occurred_at < $3 ORDER BY origin_id LIMIT 1)"
    " UNION ALL SELECT (SELECT i.origin_id FROM interaction i WHERE i.workspace_id = $1"
    " AND i.origin_id > w.id AND i.occurred_at < $3 ORDER BY i.origin_id LIMIT 1)"
    " FROM w WHERE w.id IS NOT NULL)"
    " SELECT w.id FROM w WHERE w.id IS NOT NULL LIMIT $4",
};

static const struct pg_statement base_owners = {
    "base_owners",
    "SELECT u.n, p.owner FROM unnest($2::uuid[]) WITH ORDINALITY AS u (id, n)"
    " CROSS JOIN LATERAL (SELECT COALESCE(merged_into, id) AS owner FROM profile"
    " WHERE workspace_id = $1 AND id = u.id OFFSET 0) p",
};

static const struct pg_statement base_tombstones = {
    "base_tombstones",
    "SELECT " BATCH_PROFILE_COLUMNS " FROM unnest($2::uuid[]) AS u (k)"
    " CROSS JOIN LATERAL (SELECT " BATCH_PROFILE_COLUMNS " FROM profile"
    " WHERE workspace_id = $1 AND merged_into = u.k OFFSET 0) r",
};

static const struct pg_statement base_save = {
    "base_save",
    "INSERT INTO profile_base (workspace_id, origin_id, bytes)"
    " SELECT $1, u.origin_id, u.bytes FROM unnest($2::uuid[], $3::bytea[]) AS u (origin_id, bytes)"
    " ON CONFLICT (workspace_id, origin_id) DO UPDATE SET bytes = excluded.bytes",
};

static const struct pg_statement base_names_save = {
    "base_names_save",
    "INSERT INTO folded (workspace_id, origin_id, month, first_id, names)"
    " SELECT $1, u.origin_id, date_trunc('month', u.at AT TIME ZONE 'UTC')::date, u.first_id,"
    " u.names FROM unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::bytea[])"
    " AS u (origin_id, at, first_id, names)",
};

static const struct pg_statement base_facts_gone = {
    "base_facts_gone",
    "DELETE FROM interaction i USING (SELECT $1::uuid AS workspace_id, u.* FROM"
    " unnest($3::uuid[], $4::timestamptz[], $5::uuid[]) AS u (origin_id, last_at, last_id)"
    " OFFSET 0) u WHERE i.workspace_id = u.workspace_id AND i.origin_id = u.origin_id"
    " AND i.occurred_at < $2 AND (i.occurred_at, i.id) <= (u.last_at, u.last_id)",
};

/* An interest goes when the last of its facts has. */
static const struct pg_statement base_interests_gone = {
    "base_interests_gone",
    "DELETE FROM interest i USING (SELECT $1::uuid AS workspace_id, u.origin_id FROM"
    " unnest($3::uuid[]) AS u (origin_id) OFFSET 0) u WHERE i.workspace_id = u.workspace_id"
    " AND i.origin_id = u.origin_id AND coalesce(greatest(i.viewed_at, i.carted_at,"
    " i.wished_at, i.unwished_at, i.bought_at), '-infinity') < $2",
};

static const struct pg_statement base_workspace = {
    "base_workspace",
    "UPDATE workspace SET folded_before = $2"
    " WHERE id = $1 AND (folded_before IS NULL OR folded_before < $2)",
};

/* In order, or the planner reads a partition for a workspace that is not in it. */
static const struct pg_statement base_wanted_sql = {
    "base_wanted",
    "SELECT w.id FROM workspace w CROSS JOIN LATERAL (SELECT origin_id FROM interaction"
    " WHERE workspace_id = w.id AND occurred_at < $1 ORDER BY origin_id LIMIT 1) i ORDER BY w.id",
};

static const struct pg_statement base_left_count = {
    "base_left_count",
    "SELECT count(*), count(DISTINCT origin_id), min(occurred_at) FROM interaction"
    " WHERE workspace_id = $1 AND occurred_at < $2",
};

static const struct pg_statement base_before = {
    "base_before",
    "SELECT folded_before FROM workspace WHERE id = $1",
};

struct base_run {
    struct pg *pg;
    struct arena *arena;
    const struct base_walk *walk;
    struct problem *problem;
    struct id *ids; /* origins that have facts, ascending */
    size_t count;
    struct history_origin *origins; /* those that are ours to fold: each a side of its own */
    size_t origin_count;
    struct id *cart_event_ids;
    size_t cart_count;
    struct history_side *sides;
    int64_t facts;
};

static void params_begin(const struct base_run *run, struct pg_params *params)
{
    pg_params_init(params, run->arena);
    pg_put_id(params, run->walk->workspace_id);
}

/* --- who ------------------------------------------------------------------------ */

static enum status find_origins(struct base_run *run)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    params_begin(run, &params);
    pg_put_id(&params, run->walk->after_id);
    pg_put_instant(&params, run->walk->before_ms);
    pg_put_i64(&params, (int64_t)run->walk->origins_max);
    enum status status = pg_run(run->pg, run->arena, &base_origins, &params, &result, run->problem);
    if (status != STATUS_OK) {
        return status;
    }
    run->count = pg_row_count(result);
    run->ids = ARENA_NEW_ARRAY(run->arena, run->count + 1, struct id);
    run->origins = ARENA_NEW_ARRAY(run->arena, run->count + 1, struct history_origin);
    if (run->ids == NULL || run->origins == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < run->count; row++) {
        run->ids[row] = pg_get_id(result, row, 0);
    }
    return STATUS_OK;
}

/* Whose each origin is now; zero where there is no such profile. */
static enum status read_owners(const struct base_run *run, struct id *owners)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    params_begin(run, &params);
    pg_put_ids(&params, run->ids, run->count);
    enum status status = pg_run(run->pg, run->arena, &base_owners, &params, &result, run->problem);
    memset(owners, 0, run->count * sizeof(*owners));
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        owners[(size_t)pg_get_i64(result, row, 0) - 1] = pg_get_id(result, row, 1);
    }
    return status;
}

static bool is_ours(const struct base_run *run, struct profile *const *profiles, size_t count,
                    struct id owner_id)
{
    for (size_t i = 0; i < count; i++) {
        if (id_equal(profiles[i]->id, owner_id)) {
            return !profiles[i]->needs_history &&
                   profiles[i]->ruleset_version == run->walk->ruleset->version;
        }
    }
    return false;
}

/* The carts that stand, of these and of everyone merged into them. One whose row
 * does not decode has none. */
static enum status collect_carts(struct base_run *run, struct profile *const *profiles,
                                 size_t count)
{
    struct id *ids = ARENA_NEW_ARRAY(run->arena, count + 1, struct id);
    struct pg_params params;
    struct pg_result *result = NULL;
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = profiles[i]->id;
    }
    params_begin(run, &params);
    pg_put_ids(&params, ids, count);
    enum status status =
        pg_run(run->pg, run->arena, &base_tombstones, &params, &result, run->problem);
    size_t rows = status == STATUS_OK ? pg_row_count(result) : 0;
    run->cart_event_ids = ARENA_NEW_ARRAY(run->arena, count + rows + 1, struct id);
    if (status == STATUS_OK && run->cart_event_ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; status == STATUS_OK && i < count + rows; i++) {
        struct profile *profile = i < count ? profiles[i] : NULL;
        struct problem unreadable = { 0 };
        if (i >= count && batch_profile_decode(run->arena, result, i - count, &profile,
                                               &unreadable) == STATUS_LIMIT) {
            return STATUS_LIMIT;
        }
        if (profile != NULL && !id_is_zero(profile->cart_event_id)) {
            run->cart_event_ids[run->cart_count++] = profile->cart_event_id;
        }
    }
    return status;
}

/* Opens the transaction. Owners are read before the locks, to know whom to lock,
 * and after, since a merge may have come between. */
static enum status lock_owners(struct base_run *run)
{
    struct batch batch;
    struct profile **profiles = NULL;
    size_t count = 0;
    struct id *owners = ARENA_NEW_ARRAY(run->arena, run->count + 1, struct id);
    if (owners == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = read_owners(run, owners);
    if (status == STATUS_OK) {
        status = batch_init(&batch, run->pg, run->arena, run->walk->workspace_id, NULL, 0);
    }
    if (status == STATUS_OK) {
        status = batch_claim_ids(&batch, owners, run->count, &profiles, &count, run->problem);
    }
    if (status == STATUS_OK) {
        status = read_owners(run, owners);
    }
    for (size_t i = 0; status == STATUS_OK && i < run->count; i++) {
        if (is_ours(run, profiles, count, owners[i])) {
            run->origins[run->origin_count] =
                (struct history_origin){ run->ids[i], run->origin_count };
            run->origin_count++;
        }
    }
    return status == STATUS_OK ? collect_carts(run, profiles, count) : status;
}

/* --- what ----------------------------------------------------------------------- */

static enum status read_facts(struct base_run *run)
{
    const struct history_request request = {
        .workspace_id = run->walk->workspace_id,
        .origins = run->origins,
        .origin_count = run->origin_count,
        .side_count = run->origin_count,
        .facts_max = run->walk->facts_max,
        .before_ms = run->walk->before_ms,
        .only_events = true,
    };
    enum status status = history_read(run->pg, run->arena, &request, &run->sides, run->problem);
    size_t kept = 0;
    /* Another instance may have been there before the lock. */
    for (size_t i = 0; status == STATUS_OK && i < run->origin_count; i++) {
        if (run->sides[i].event_count > 0) {
            run->origins[kept] = run->origins[i];
            run->sides[kept++] = run->sides[i];
        }
    }
    run->origin_count = status == STATUS_OK ? kept : 0;
    return status;
}

static enum status fold_side(const struct base_run *run, size_t index, struct str *out_bytes)
{
    const struct history_side *side = &run->sides[index];
    const struct base_facts facts = {
        .events = side->events,
        .event_count = side->event_count,
        .ruleset = run->walk->ruleset,
        .before_ms = run->walk->before_ms,
        .cart_event_ids = run->cart_event_ids,
        .cart_count = run->cart_count,
    };
    struct profile_base base;
    base_init(&base, run->origins[index].id);
    if (side->base_count > 0) {
        base = side->bases[0];
    }
    bool is_folded = base_fold(run->arena, &base, &facts) &&
                     base_encode(run->arena, &base, out_bytes) && !arena_is_full(run->arena);
    return is_folded ? STATUS_OK : STATUS_LIMIT;
}

static enum status queue_bases(struct base_run *run)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_array bytes;
    params_begin(run, &params);
    pg_array_begin(&ids, &params, PG_UUID, run->origin_count);
    pg_array_begin(&bytes, &params, PG_BYTEA, run->origin_count);
    for (size_t i = 0; i < run->origin_count; i++) {
        struct str base = { NULL, 0 };
        enum status status = fold_side(run, i, &base);
        if (status != STATUS_OK) {
            return status;
        }
        pg_array_id(&ids, run->origins[i].id);
        pg_array_bytes(&bytes, base);
        run->facts += (int64_t)run->sides[i].event_count;
    }
    pg_array_end(&ids);
    pg_array_end(&bytes);
    return pg_queue(run->pg, &base_save, &params);
}

static int64_t month_of(int64_t at_ms)
{
    int year = 0;
    int month = 0;
    int day = 0;
    instant_civil_from_days(at_ms / INSTANT_DAY_MS, &year, &month, &day);
    return (int64_t)year * 12 + month;
}

/* Events come by time: how many from `first` on are of its month? */
static size_t month_run(const struct history_side *side, size_t first)
{
    size_t end = first + 1;
    while (end < side->event_count && month_of(side->events[end].occurred_at_ms) ==
                                          month_of(side->events[first].occurred_at_ms)) {
        end++;
    }
    return end - first;
}

static size_t count_months(const struct base_run *run)
{
    size_t count = 0;
    for (size_t i = 0; i < run->origin_count; i++) {
        const struct history_side *side = &run->sides[i];
        for (size_t k = 0; k < side->event_count; k += month_run(side, k)) {
            count++;
        }
    }
    return count;
}

static bool add_names(const struct base_run *run, const struct event *events, size_t count,
                      struct pg_array *out_names)
{
    char *names = arena_alloc(run->arena, count * NAME_SIZE);
    if (names == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(names + i * NAME_SIZE, events[i].id.bytes, NAME_SIZE);
    }
    pg_array_bytes(out_names, (struct str){ names, count * NAME_SIZE });
    return true;
}

static enum status queue_names(struct base_run *run)
{
    static const enum pg_type types[] = { PG_UUID, PG_INSTANT, PG_UUID, PG_BYTEA };
    struct pg_params params;
    struct pg_array columns[ARRAY_COUNT(types)];
    size_t count = count_months(run);
    params_begin(run, &params);
    pg_columns_begin(columns, &params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < run->origin_count; i++) {
        const struct history_side *side = &run->sides[i];
        size_t length = 0;
        for (size_t k = 0; k < side->event_count; k += length) {
            length = month_run(side, k);
            pg_array_id(&columns[0], run->origins[i].id);
            pg_array_instant(&columns[1], side->events[k].occurred_at_ms);
            pg_array_id(&columns[2], side->events[k].id);
            if (!add_names(run, &side->events[k], length, &columns[3])) {
                return STATUS_LIMIT;
            }
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(run->pg, &base_names_save, &params);
}

static enum status queue_gone(struct base_run *run)
{
    struct pg_params params;
    struct pg_array columns[3];
    params_begin(run, &params);
    pg_put_instant(&params, run->walk->before_ms);
    pg_array_begin(&columns[0], &params, PG_UUID, run->origin_count);
    pg_array_begin(&columns[1], &params, PG_INSTANT, run->origin_count);
    pg_array_begin(&columns[2], &params, PG_UUID, run->origin_count);
    for (size_t i = 0; i < run->origin_count; i++) {
        const struct history_side *side = &run->sides[i];
        const struct event *last = &side->events[side->event_count - 1];
        pg_array_id(&columns[0], run->origins[i].id);
        pg_array_instant(&columns[1], last->occurred_at_ms);
        pg_array_id(&columns[2], last->id);
    }
    pg_columns_end(columns, ARRAY_COUNT(columns));
    return pg_queue(run->pg, &base_facts_gone, &params);
}

static enum status queue_interests_gone(struct base_run *run)
{
    struct pg_params params;
    struct pg_array ids;
    params_begin(run, &params);
    pg_put_instant(&params, run->walk->before_ms);
    pg_array_begin(&ids, &params, PG_UUID, run->origin_count);
    for (size_t i = 0; i < run->origin_count; i++) {
        pg_array_id(&ids, run->origins[i].id);
    }
    pg_array_end(&ids);
    return pg_queue(run->pg, &base_interests_gone, &params);
}

static enum status queue_workspace(struct base_run *run)
{
    struct pg_params params;
    params_begin(run, &params);
    pg_put_instant(&params, run->walk->before_ms);
    return pg_queue(run->pg, &base_workspace, &params);
}

static enum status save(struct base_run *run)
{
    enum {
        GONE = 2,
        STATEMENTS = 5
    };
    struct pg_result *results[STATEMENTS] = { NULL };
    enum status status = queue_bases(run);
    if (status == STATUS_OK) {
        status = queue_names(run);
    }
    if (status == STATUS_OK) {
        status = queue_gone(run);
    }
    if (status == STATUS_OK) {
        status = queue_interests_gone(run);
    }
    if (status == STATUS_OK) {
        status = queue_workspace(run);
    }
    if (status == STATUS_OK) {
        status = pg_sync(run->pg, run->arena, results, STATEMENTS, run->problem);
    }
    if (status == STATUS_OK && (int64_t)pg_affected(results[GONE]) != run->facts) {
        return problem_set(run->problem, STATUS_BROKEN, "internal",
                           "%zu facts deleted where %lld were folded", pg_affected(results[GONE]),
                           (long long)run->facts);
    }
    return status;
}

/* One that has more is met again; what lies behind it is done and costs nothing. */
static struct id last_id(const struct base_run *run)
{
    struct id last = run->walk->after_id;
    for (size_t i = 0; i < run->count; i++) {
        for (size_t k = 0; k < run->origin_count; k++) {
            if (id_equal(run->origins[k].id, run->ids[i]) && run->sides[k].is_cut) {
                return last;
            }
        }
        last = run->ids[i];
    }
    return last;
}

enum status base_walk(struct pg *pg, struct arena *arena, const struct base_walk *walk,
                      struct base_walked *out_walked, struct problem *problem)
{
    struct base_run run = { .pg = pg, .arena = arena, .walk = walk, .problem = problem };
    enum status status = find_origins(&run);
    if (status == STATUS_OK && run.count == 0) {
        *out_walked = (struct base_walked){ .last_id = walk->after_id, .is_end = true };
        return STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = lock_owners(&run);
    }
    int64_t skipped = (int64_t)(run.count - run.origin_count);
    if (status == STATUS_OK && run.origin_count > 0) {
        status = read_facts(&run);
    }
    if (status == STATUS_OK && run.origin_count > 0) {
        status = save(&run);
    }
    if (status == STATUS_OK) {
        struct id last = last_id(&run);
        *out_walked = (struct base_walked){
            .facts = run.facts,
            .origins = (int64_t)run.origin_count,
            .skipped = skipped,
            .last_id = last,
            .is_end = run.count < walk->origins_max && id_equal(last, run.ids[run.count - 1]),
            .is_open = true,
        };
    }
    return status;
}

/* --- questions ------------------------------------------------------------------ */

static enum status ask(struct pg *pg, struct arena *arena, const struct pg_statement *statement,
                       struct id workspace_id, int64_t before_ms, struct pg_result **out_result,
                       struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    if (before_ms != INSTANT_NONE) {
        pg_put_instant(&params, before_ms);
    }
    return pg_run(pg, arena, statement, &params, out_result, problem);
}

enum status base_wanted(struct pg *pg, struct arena *arena, int64_t before_ms,
                        struct id **out_workspace_ids, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_instant(&params, before_ms);
    enum status status = pg_run(pg, arena, &base_wanted_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct id *ids = ARENA_NEW_ARRAY(arena, count + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < count; row++) {
        ids[row] = pg_get_id(result, row, 0);
    }
    *out_workspace_ids = ids;
    *out_count = count;
    return STATUS_OK;
}

enum status base_count_left(struct pg *pg, struct arena *arena, struct id workspace_id,
                            int64_t before_ms, struct base_left *out_left, struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status =
        ask(pg, arena, &base_left_count, workspace_id, before_ms, &result, problem);
    if (status == STATUS_OK) {
        *out_left = (struct base_left){ .facts = pg_get_i64(result, 0, 0),
                                        .origins = pg_get_i64(result, 0, 1),
                                        .first_ms = pg_get_instant(result, 0, 2) };
    }
    return status;
}

enum status base_folded_before(struct pg *pg, struct arena *arena, struct id workspace_id,
                               int64_t *out_before_ms, struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = ask(pg, arena, &base_before, workspace_id, INSTANT_NONE, &result, problem);
    if (status == STATUS_OK) {
        *out_before_ms = pg_get_instant(result, 0, 0);
    }
    return status;
}
