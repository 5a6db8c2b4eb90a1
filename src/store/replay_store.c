#include "store/replay_store.h"

#include "base/limits.h"
#include "silent_priv.h"
#include "store/interest_rebuild.h"

/*
 * Problem: subtracting from a profile what a wrong fact had added to it is a second
 * engine, and the wrong fact may have made the order that a right one only updates.
 *
 * Invariant: within one transaction the set's receipts, facts and orders go, its
 * events come as if for the first time, and everybody who had or has one of its
 * facts is marked as waiting for his history, from which the sweep folds him
 * silently. What is stored of the set is compared, before and after: if it is the
 * same the transaction is rolled back, so a second replay changes nothing.
 *
 * Whoever owns old facts or orders is locked before intake's own lock order begins,
 * but without waiting: who is held elsewhere makes the set begin anew, so nobody
 * is waited for out of order. What is waited for afterwards may meet a writer that
 * waits for one of them; PostgreSQL breaks that, and both try again.
 *
 * Rejected: rows compared one by one in C (a second reading of every column), and a
 * set for each order by hand of its body (documents are not kept one by one).
 */

static const struct pg_statement webhook_next_sql = {
    "webhook_next",
    "SELECT received_at FROM webhook WHERE workspace_id = $1 AND source_id = $2"
    " AND ($3::text IS NULL OR topic = $3) AND received_at > $4 AND received_at < $5"
    " ORDER BY received_at, id LIMIT 1",
};

static const struct pg_statement webhook_count_sql = {
    "webhook_count",
    "SELECT count(*) FROM webhook WHERE workspace_id = $1 AND source_id = $2"
    " AND ($3::text IS NULL OR topic = $3) AND received_at > $4 AND received_at < $5",
};

static const struct pg_statement webhook_at_sql = {
    "webhook_at",
    "SELECT w.id, w.received_at, w.topic, w.dedup_key, w.headers, w.body"
    " FROM (SELECT DISTINCT t FROM unnest($3::timestamptz[]) AS t) u CROSS JOIN LATERAL"
    " (SELECT id, received_at, topic, dedup_key, headers, body FROM webhook"
    " WHERE workspace_id = $1 AND received_at = u.t AND source_id = $2 OFFSET 0) w"
    " ORDER BY w.received_at, w.id",
};

/* The set's facts; found by the instants, by the index on received_at. */
#define SET_FACTS                                                                   \
    "(SELECT i.* FROM interaction i WHERE i.workspace_id = $1 AND i.source_id = $2" \
    " AND i.received_at = ANY ($3::timestamptz[]))"
#define SET_ORDERS                                                                  \
    "(SELECT r FROM unnest($4::text[]) AS r UNION SELECT order_ref FROM " SET_FACTS \
    " f WHERE order_ref IS NOT NULL)"
/* Canonical profiles of the set's facts and orders. */
#define SET_OWNERS                                                                            \
    "(SELECT COALESCE(p.merged_into, p.id) AS id FROM profile p WHERE p.workspace_id = $1"    \
    " AND p.id IN (SELECT origin_id FROM " SET_FACTS " f UNION SELECT profile_id FROM orders" \
    " WHERE workspace_id = $1 AND source_id = $2 AND order_ref IN " SET_ORDERS "))"

static const struct pg_statement replay_orders_sql = {
    "replay_orders",
    "SELECT r FROM " SET_ORDERS " o (r) ORDER BY r",
};

/* Facts stay under their origin: of each order's owner, and of whoever was merged
 * into him, before or since. */
static const struct pg_statement replay_reach_sql = {
    "replay_reach",
    "SELECT DISTINCT i.received_at FROM orders o"
    " JOIN profile p ON p.workspace_id = $1 AND p.id = o.profile_id"
    " CROSS JOIN LATERAL (SELECT id FROM profile WHERE workspace_id = $1"
    " AND (id = COALESCE(p.merged_into, p.id) OR merged_into = COALESCE(p.merged_into, p.id))) k"
    " JOIN interaction i ON i.workspace_id = $1 AND i.origin_id = k.id"
    " AND i.source_id = $2 AND i.order_ref = o.order_ref"
    " WHERE o.workspace_id = $1 AND o.source_id = $2 AND o.order_ref IN " SET_ORDERS " ORDER BY 1",
};

/* Of a folded fact nothing is left that could be replaced. */
static const struct pg_statement replay_folded_sql = {
    "replay_folded",
    "SELECT EXISTS (SELECT FROM workspace w JOIN orders o ON o.workspace_id = w.id"
    " WHERE w.id = $1 AND o.source_id = $2 AND o.order_ref IN " SET_ORDERS
    " AND w.folded_before IS NOT NULL AND COALESCE(o.placed_at, '-infinity') < w.folded_before)",
};

static const struct pg_statement replay_owners_sql = {
    "replay_owners",
    "SELECT DISTINCT id FROM " SET_OWNERS " s ORDER BY id",
};

static const struct pg_statement replay_lock_sql = {
    "replay_lock",
    "SELECT r.id FROM (SELECT k FROM unnest($2::uuid[]) AS k ORDER BY k) u"
    " CROSS JOIN LATERAL (SELECT id FROM profile WHERE workspace_id = $1 AND id = u.k"
    " FOR UPDATE NOWAIT) r",
};

static const struct pg_statement replay_digest_sql = {
    "replay_digest",
    "SELECT concat(md5((SELECT string_agg(f::text, chr(10) ORDER BY f.id, f.occurred_at) "
    "FROM " SET_FACTS
    " f)), md5((SELECT string_agg(o::text, chr(10) ORDER BY o.order_ref) FROM orders o"
    " WHERE o.workspace_id = $1 AND o.source_id = $2 AND o.order_ref IN " SET_ORDERS ")),"
    " md5((SELECT string_agg(n::text, chr(10) ORDER BY n.kind, n.source_id, n.value)"
    " FROM identity n WHERE n.workspace_id = $1 AND n.profile_id IN (SELECT id FROM " SET_OWNERS
    " s UNION SELECT origin_id FROM " SET_FACTS " f))))",
};

static const struct pg_statement replay_receipts_sql = {
    "replay_receipts",
    "DELETE FROM receipt WHERE workspace_id = $1 AND source_id = $2"
    " AND received_at = ANY ($3::timestamptz[])",
};

static const struct pg_statement replay_orders_delete_sql = {
    "replay_orders_delete",
    "DELETE FROM orders WHERE workspace_id = $1 AND source_id = $2 AND order_ref IN " SET_ORDERS,
};

static const struct pg_statement replay_facts_delete_sql = {
    "replay_facts_delete",
    "DELETE FROM interaction WHERE workspace_id = $1 AND source_id = $2"
    " AND received_at = ANY ($3::timestamptz[])",
};

/* Under which interests may lie. */
static const struct pg_statement replay_origins_sql = {
    "replay_origins",
    "SELECT origin_id FROM " SET_FACTS " f UNION SELECT o.origin_id FROM orders o"
    " WHERE o.workspace_id = $1 AND o.source_id = $2 AND o.order_ref IN " SET_ORDERS,
};

/* A negative version waits for its history. */
static const struct pg_statement replay_mark_sql = {
    "replay_mark",
    "UPDATE profile SET ruleset_version = -ruleset_version WHERE workspace_id = $1"
    " AND ruleset_version > 0 AND (id IN (SELECT id FROM " SET_OWNERS " s)"
    " OR id IN (SELECT k FROM unnest($5::uuid[]) AS k))",
};

/* --- reading -------------------------------------------------------------------- */

static void put_walk(struct pg_params *params, struct arena *arena, const struct webhook_walk *walk)
{
    pg_params_init(params, arena);
    pg_put_id(params, walk->workspace_id);
    pg_put_id(params, walk->source_id);
    pg_put_text_or_null(params, walk->topic);
    pg_put_instant(params, walk->after_ms);
    pg_put_instant(params, walk->until_ms);
}

enum status webhook_next(struct pg *pg, struct arena *arena, const struct webhook_walk *walk,
                         int64_t *out_at_ms, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_walk(&params, arena, walk);
    enum status status = pg_run(pg, arena, &webhook_next_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_at_ms = pg_get_instant(result, 0, 0);
    return STATUS_OK;
}

enum status webhook_count(struct pg *pg, struct arena *arena, const struct webhook_walk *walk,
                          int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_walk(&params, arena, walk);
    enum status status = pg_run(pg, arena, &webhook_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

static void put_instants(struct pg_params *params, const int64_t *instants, size_t count)
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&array, instants[i]);
    }
    pg_array_end(&array);
}

enum status webhook_at(struct pg *pg, struct arena *arena, struct id workspace_id,
                       struct id source_id, const int64_t *instants, size_t count,
                       struct batch_webhook **out_rows, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    put_instants(&params, instants, count);
    enum status status = pg_run(pg, arena, &webhook_at_sql, &params, &result, problem);
    size_t rows = status == STATUS_OK ? pg_row_count(result) : 0;
    *out_rows = ARENA_NEW_ARRAY(arena, rows + 1, struct batch_webhook);
    if (status == STATUS_OK && *out_rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < rows; i++) {
        (*out_rows)[i] = (struct batch_webhook){
            .id = pg_get_id(result, i, 0),
            .source_id = source_id,
            .received_at_ms = pg_get_instant(result, i, 1),
            .topic = pg_get_text(result, i, 2),
            .dedup_key = pg_get_text(result, i, 3),
            .headers_json = pg_get_text(result, i, 4),
            .body = pg_get_bytes(result, i, 5),
        };
    }
    *out_count = rows;
    return status;
}

/* --- the set --------------------------------------------------------------------- */

static void put_set(struct pg_params *params, struct arena *arena, const struct replay_set *set,
                    bool with_orders)
{
    pg_params_init(params, arena);
    pg_put_id(params, set->workspace_id);
    pg_put_id(params, set->source_id);
    put_instants(params, set->instants, set->instant_count);
    if (with_orders) {
        pg_put_text_array(params, set->orders, set->order_count);
    }
}

static enum status run_set(struct pg *pg, struct arena *arena, const struct pg_statement *statement,
                           const struct replay_set *set, bool with_orders,
                           struct pg_result **out_result, struct problem *problem)
{
    struct pg_params params;
    put_set(&params, arena, set, with_orders);
    return pg_run(pg, arena, statement, &params, out_result, problem);
}

enum status replay_reach(struct pg *pg, struct arena *arena, const struct replay_set *set,
                         struct replay_reach *out_reach, struct problem *problem)
{
    struct pg_result *orders = NULL;
    struct pg_result *instants = NULL;
    struct pg_result *folded = NULL;
    enum status status = run_set(pg, arena, &replay_orders_sql, set, true, &orders, problem);
    if (status == STATUS_OK) {
        status = run_set(pg, arena, &replay_reach_sql, set, true, &instants, problem);
    }
    if (status == STATUS_OK) {
        status = run_set(pg, arena, &replay_folded_sql, set, true, &folded, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    out_reach->is_folded = pg_get_bool(folded, 0, 0);
    out_reach->order_count = pg_row_count(orders);
    out_reach->instant_count = pg_row_count(instants);
    out_reach->orders = ARENA_NEW_ARRAY(arena, out_reach->order_count + 1, struct str);
    out_reach->instants = ARENA_NEW_ARRAY(arena, out_reach->instant_count + 1, int64_t);
    if (out_reach->orders == NULL || out_reach->instants == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < out_reach->order_count; i++) {
        out_reach->orders[i] = pg_get_text(orders, i, 0);
    }
    for (size_t i = 0; i < out_reach->instant_count; i++) {
        out_reach->instants[i] = pg_get_instant(instants, i, 0);
    }
    return STATUS_OK;
}

struct replacing {
    struct silent silent;
    const struct replay_set *set;
    struct id *owners; /* of what it was */
    size_t owner_count;
    struct id *origins; /* of what it was */
    size_t origin_count;
    struct str before;
};

static enum status digest(const struct replacing *run, struct str *out_digest,
                          struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = run_set(run->silent.pg, run->silent.arena, &replay_digest_sql, run->set,
                                 true, &result, problem);
    if (status == STATUS_OK) {
        *out_digest = str_dup(run->silent.arena, pg_get_text(result, 0, 0));
    }
    return status;
}

static enum status read_ids(const struct replacing *run, const struct pg_statement *statement,
                            struct id **out_ids, size_t *out_count, struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status =
        run_set(run->silent.pg, run->silent.arena, statement, run->set, true, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    *out_count = pg_row_count(result);
    *out_ids = ARENA_NEW_ARRAY(run->silent.arena, *out_count + 1, struct id);
    for (size_t i = 0; *out_ids != NULL && i < *out_count; i++) {
        (*out_ids)[i] = pg_get_id(result, i, 0);
    }
    return *out_ids != NULL ? STATUS_OK : STATUS_LIMIT;
}

/* And read once more behind the locks (correctness 2). */
static enum status lock_owners(struct replacing *run, struct problem *problem)
{
    struct pg_params params;
    struct id *again = NULL;
    size_t count = 0;
    enum status status =
        read_ids(run, &replay_owners_sql, &run->owners, &run->owner_count, problem);
    if (status == STATUS_OK) {
        pg_params_init(&params, run->silent.arena);
        pg_put_id(&params, run->set->workspace_id);
        pg_put_ids(&params, run->owners, run->owner_count);
        status =
            pg_run(run->silent.pg, run->silent.arena, &replay_lock_sql, &params, NULL, problem);
    }
    if (status == STATUS_OK) {
        status = read_ids(run, &replay_owners_sql, &again, &count, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_same = count == run->owner_count;
    for (size_t i = 0; i < count && is_same; i++) {
        is_same = id_equal(again[i], run->owners[i]);
    }
    return is_same ? STATUS_OK : problem_set(problem, STATUS_CONFLICT, "", "owners moved");
}

/* Owners, then what they are rid of. */
static enum status take_out(struct replacing *run, struct problem *problem)
{
    struct pg *pg = run->silent.pg;
    struct arena *arena = run->silent.arena;
    enum status status = pg_run(pg, arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = run_set(pg, arena, &replay_receipts_sql, run->set, false, NULL, problem);
    }
    if (status == STATUS_OK) {
        status = lock_owners(run, problem);
    }
    if (status == STATUS_OK) {
        status = read_ids(run, &replay_origins_sql, &run->origins, &run->origin_count, problem);
    }
    if (status == STATUS_OK) {
        status = digest(run, &run->before, problem);
    }
    if (status == STATUS_OK) {
        status = run_set(pg, arena, &replay_orders_delete_sql, run->set, true, NULL, problem);
    }
    if (status == STATUS_OK) {
        status = run_set(pg, arena, &replay_facts_delete_sql, run->set, false, NULL, problem);
    }
    return status;
}

static enum status put_in(struct replacing *run, int64_t *out_applied, struct problem *problem)
{
    const struct batch_save save = { .stays_open = true, .leaves_interests = true };
    if (run->set->event_count == 0) {
        return STATUS_OK;
    }
    enum status status = silent_load(&run->silent, run->set->workspace_id, run->set->events,
                                     run->set->event_count, problem);
    if (status == STATUS_OK) {
        status = silent_decide(&run->silent, out_applied, problem);
    }
    return status == STATUS_OK && run->silent.has_news ? silent_save(&run->silent, &save, problem)
                                                       : status;
}

/* Of whoever had one of the facts, or has one now. */
static enum status rebuild_interests(const struct replacing *run, struct problem *problem)
{
    struct pg *pg = run->silent.pg;
    struct arena *arena = run->silent.arena;
    struct id workspace_id = run->set->workspace_id;
    struct id *now = NULL;
    size_t count = 0;
    enum status status = read_ids(run, &replay_origins_sql, &now, &count, problem);
    if (status == STATUS_OK) {
        status =
            interest_rebuild(pg, arena, workspace_id, run->origins, run->origin_count, problem);
    }
    return status == STATUS_OK ? interest_rebuild(pg, arena, workspace_id, now, count, problem)
                               : status;
}

static enum status mark_and_commit(struct replacing *run, struct problem *problem)
{
    struct pg_params params;
    enum status status = rebuild_interests(run, problem);
    if (status != STATUS_OK) {
        return status;
    }
    put_set(&params, run->silent.arena, run->set, true);
    pg_put_ids(&params, run->owners, run->owner_count);
    status = pg_run(run->silent.pg, run->silent.arena, &replay_mark_sql, &params, NULL, problem);
    return status == STATUS_OK
               ? pg_run(run->silent.pg, run->silent.arena, &pg_commit, NULL, NULL, problem)
               : status;
}

static enum status replace_once(struct replacing *run, struct replay_outcome *outcome,
                                struct problem *problem)
{
    struct str after = { NULL, 0 };
    enum status status = take_out(run, problem);
    if (status == STATUS_OK) {
        status = put_in(run, &outcome->applied, problem);
    }
    if (status == STATUS_OK) {
        status = digest(run, &after, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    outcome->is_changed = !str_equal(run->before, after);
    if (outcome->is_changed && !run->set->is_dry) {
        return mark_and_commit(run, problem);
    }
    pg_reset(run->silent.pg);
    return STATUS_OK;
}

enum status replay_replace(struct pg *pg, struct arena *arena, const struct decide_context *context,
                           const struct replay_set *set, struct replay_outcome *out_outcome,
                           struct problem *problem)
{
    enum status status = STATUS_RETRY;
    for (unsigned turn = 0; turn < LIMIT_BATCH_RETRIES; turn++) {
        struct replacing run = {
            .silent = { .pg = pg, .arena = arena, .context = *context, .is_open = true },
            .set = set,
        };
        run.silent.context.leaves_verdicts = true;
        arena_reset(arena);
        *problem = (struct problem){ 0 };
        *out_outcome = (struct replay_outcome){ .applied = 0 };
        status = replace_once(&run, out_outcome, problem);
        if (status != STATUS_OK) {
            pg_reset(pg);
        }
        if (status != STATUS_RETRY && status != STATUS_CONFLICT) {
            return status;
        }
        silent_pause(turn);
    }
    return STATUS_RETRY;
}
