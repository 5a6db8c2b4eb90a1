#include "store/unmerge.h"

#include <assert.h>
#include <stdlib.h>

#include "batch_priv.h"
#include "core/profile/hydrate.h"
#include "store/batch.h"
#include "store/history.h"

/*
 * One transaction: lock the survivor and its tombstones in key order, find what
 * belongs to the side that leaves (the loser and whoever had been merged into it
 * before), hydrate both sides, decide their stages silently, save. What is pending and
 * was rung about the side that leaves waits its turn there again, among what rings for
 * it from now on; what rang after the merge was about the survivor. What is free by that
 * is found when the floors of claims are forgotten, within half a minute.
 *
 * Rare and by hand, so it takes as many round trips as it reads well in.
 */

static const struct pg_statement unmerge_edge = {
    "unmerge_edge",
    "SELECT d.from_id, COALESCE(p.merged_into, p.id), d.undone_at IS NOT NULL"
    " FROM identity_decision d JOIN profile p ON p.workspace_id = d.workspace_id"
    " AND p.id = d.into_id"
    " WHERE d.workspace_id = $1 AND d.id = $2 AND d.kind = 'merged'"
    " AND ($3 IN (d.from_id, d.into_id, p.merged_into)) FOR UPDATE OF d",
};

static const struct pg_statement unmerge_lock = {
    "unmerge_lock",
    "SELECT " BATCH_PROFILE_COLUMNS " FROM profile"
    " WHERE workspace_id = $1 AND (id = $2 OR merged_into = $2) ORDER BY id FOR UPDATE",
};

/* The loser and everyone merged into it, by edges that still stand. */
static const struct pg_statement unmerge_side = {
    "unmerge_side",
    "WITH RECURSIVE side (id) AS (SELECT $2::uuid UNION SELECT d.from_id"
    " FROM side s JOIN identity_decision d ON d.workspace_id = $1 AND d.into_id = s.id"
    " AND d.kind = 'merged' AND d.undone_at IS NULL AND d.id <> $3)"
    " SELECT id FROM side",
};

static const struct pg_statement unmerge_identity_back = {
    "unmerge_identity_back",
    "UPDATE identity SET profile_id = $2, vouched = false"
    " WHERE workspace_id = $1 AND profile_id = $3"
    " AND origin_id IN (SELECT id FROM unnest($4::uuid[]) AS side (id))",
};

static const struct pg_statement unmerge_tombstones = {
    "unmerge_tombstones",
    "UPDATE profile SET merged_into = $2 WHERE workspace_id = $1 AND merged_into = $3"
    " AND id <> $2 AND id IN (SELECT id FROM unnest($4::uuid[]) AS side (id))",
};

static const struct pg_statement unmerge_deliveries = {
    "unmerge_deliveries",
    "UPDATE delivery AS d SET profile_id = $2 FROM (SELECT $1::uuid AS workspace_id, r.id"
    " FROM (SELECT c.id, c.notification_created_at, c.notification_id FROM delivery c"
    " WHERE c.workspace_id = $1 AND c.profile_id = $3 AND c.is_ordered OFFSET 0) r"
    " CROSS JOIN LATERAL (SELECT n.profile_id FROM notification n WHERE n.workspace_id = $1"
    " AND n.created_at = r.notification_created_at AND n.id = r.notification_id OFFSET 0) n"
    " WHERE n.profile_id IN (SELECT id FROM unnest($4::uuid[]) AS side (id)) OFFSET 0) k"
    " WHERE d.workspace_id = k.workspace_id AND d.id = k.id",
};

static const struct pg_statement unmerge_undo = {
    "unmerge_undo",
    "UPDATE identity_decision SET undone_at = $3 WHERE workspace_id = $1 AND id = $2",
};

struct side {
    struct id *ids; /* origins */
    size_t count;
    struct profile *profile;
    struct history_side facts;
};

struct unmerge_run {
    struct pg *pg;
    struct arena *arena;
    const struct decide_context *context;
    struct id merge_id;
    int64_t now_ms;
    struct id survivor_id;
    struct id loser_id;
    struct decision *decision;
    struct id *all_ids;
    size_t all_count;
    struct side stays;
    struct side leaves;
};

static bool side_has(const struct side *side, struct id id)
{
    for (size_t i = 0; i < side->count; i++) {
        if (id_equal(side->ids[i], id)) {
            return true;
        }
    }
    return false;
}

static void params_begin(struct unmerge_run *run, struct pg_params *params)
{
    pg_params_init(params, run->arena);
    pg_put_id(params, run->context->workspace_id);
}

/* --- what is read ------------------------------------------------------- */

static enum status read_edge(struct unmerge_run *run, struct id profile_id, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    params_begin(run, &params);
    pg_put_id(&params, run->merge_id);
    pg_put_id(&params, profile_id);
    enum status status = pg_run(run->pg, run->arena, &unmerge_edge, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return problem_set(problem, STATUS_MISSING, "object-not-found",
                           "this profile has no such merge");
    }
    if (pg_get_bool(result, 0, 2)) {
        return problem_set(problem, STATUS_CONFLICT, "merge-blocked", "it was undone already");
    }
    run->loser_id = pg_get_id(result, 0, 0);
    run->survivor_id = pg_get_id(result, 0, 1);
    return STATUS_OK;
}

static enum status lock_profiles(struct unmerge_run *run, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    params_begin(run, &params);
    pg_put_id(&params, run->survivor_id);
    enum status status = pg_run(run->pg, run->arena, &unmerge_lock, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    run->all_count = pg_row_count(result);
    run->all_ids = ARENA_NEW_ARRAY(run->arena, run->all_count + 1, struct id);
    if (run->all_ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < run->all_count; row++) {
        run->all_ids[row] = pg_get_id(result, row, 0);
        bool is_loser = id_equal(run->all_ids[row], run->loser_id);
        if (!is_loser && !id_equal(run->all_ids[row], run->survivor_id)) {
            continue;
        }
        struct profile **out = is_loser ? &run->leaves.profile : &run->stays.profile;
        status = batch_profile_decode(run->arena, result, row, out, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (run->leaves.profile == NULL || run->stays.profile == NULL) {
        return problem_set(problem, STATUS_RETRY, "overloaded", "the profiles moved meanwhile");
    }
    return STATUS_OK;
}

/* Origins of the side that leaves; the others stay. */
static enum status split_sides(struct unmerge_run *run, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    params_begin(run, &params);
    pg_put_id(&params, run->loser_id);
    pg_put_id(&params, run->merge_id);
    enum status status = pg_run(run->pg, run->arena, &unmerge_side, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    run->leaves.ids = ARENA_NEW_ARRAY(run->arena, pg_row_count(result) + 1, struct id);
    run->stays.ids = ARENA_NEW_ARRAY(run->arena, run->all_count + 1, struct id);
    if (run->leaves.ids == NULL || run->stays.ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < pg_row_count(result); row++) {
        run->leaves.ids[run->leaves.count++] = pg_get_id(result, row, 0);
    }
    for (size_t i = 0; i < run->all_count; i++) {
        if (!side_has(&run->leaves, run->all_ids[i])) {
            run->stays.ids[run->stays.count++] = run->all_ids[i];
        }
    }
    return STATUS_OK;
}

/* Each fact, order and identity goes where its origin goes. */
static enum status read_histories(struct unmerge_run *run, struct problem *problem)
{
    struct history_origin *origins =
        ARENA_NEW_ARRAY(run->arena, run->all_count + 1, struct history_origin);
    if (origins == NULL) {
        return STATUS_LIMIT;
    }
    enum {
        SIDE_STAYS,
        SIDE_LEAVES,
        SIDE_COUNT
    };
    for (size_t i = 0; i < run->all_count; i++) {
        bool leaves = side_has(&run->leaves, run->all_ids[i]);
        origins[i] = (struct history_origin){ run->all_ids[i], leaves ? SIDE_LEAVES : SIDE_STAYS };
    }
    const struct history_request request = {
        .workspace_id = run->context->workspace_id,
        .origins = origins,
        .origin_count = run->all_count,
        .side_count = SIDE_COUNT,
        .facts_max = UNMERGE_FACTS_MAX,
        .by_origin = true,
    };
    struct history_side *sides = NULL;
    enum status status = history_read(run->pg, run->arena, &request, &sides, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (sides[SIDE_STAYS].is_cut || sides[SIDE_LEAVES].is_cut) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached",
                           "the history is longer than %d facts", UNMERGE_FACTS_MAX);
    }
    run->stays.facts = sides[SIDE_STAYS];
    run->leaves.facts = sides[SIDE_LEAVES];
    return STATUS_OK;
}

/* --- what is decided and written ---------------------------------------- */

static enum status hydrate_side(struct unmerge_run *run, struct side *side, struct problem *problem)
{
    const struct decide_context *context = run->context;
    const struct history history = history_of_side(
        &side->facts,
        context->ruleset_count > 0 ? context->rulesets[context->ruleset_count - 1] : NULL,
        run->now_ms);
    if (!profile_hydrate(run->arena, side->profile, &history)) {
        return problem_set(problem, STATUS_CONFLICT, "merge-blocked",
                           "one side has no facts of its own");
    }
    side->profile->merge_count = (uint32_t)side->count - 1;
    decision_put_profile(run->decision, side->profile);
    return decide_silently(run->decision, side->profile, run->now_ms, CAUSE_MERGE);
}

static enum status write_back(struct unmerge_run *run, const struct pg_statement *statement,
                              struct problem *problem)
{
    struct pg_params params;
    params_begin(run, &params);
    pg_put_id(&params, run->loser_id);
    pg_put_id(&params, run->survivor_id);
    pg_put_ids(&params, run->leaves.ids, run->leaves.count);
    return pg_run(run->pg, run->arena, statement, &params, NULL, problem);
}

static enum status save(struct unmerge_run *run, struct problem *problem)
{
    struct pg_params params;
    params_begin(run, &params);
    pg_put_id(&params, run->merge_id);
    pg_put_instant(&params, run->now_ms);
    enum status status = pg_run(run->pg, run->arena, &unmerge_undo, &params, NULL, problem);
    if (status == STATUS_OK) {
        status = write_back(run, &unmerge_identity_back, problem);
    }
    if (status == STATUS_OK) {
        status = write_back(run, &unmerge_tombstones, problem);
    }
    if (status == STATUS_OK) {
        status = write_back(run, &unmerge_deliveries, problem);
    }
    struct decision_rows rows = { 0 };
    if (status == STATUS_OK) {
        status = decision_finish(run->decision, run->now_ms, &rows);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct batch batch;
    status = batch_init(&batch, run->pg, run->arena, run->context->workspace_id, NULL, 0);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < run->leaves.facts.order_count; i++) {
        run->leaves.facts.orders[i]->profile_id = run->loser_id;
    }
    rows.orders = run->leaves.facts.orders;
    rows.order_count = run->leaves.facts.order_count;
    const struct batch_save what = { .rows = &rows, .raises_due = true, .orders_are_stored = true };
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    return batch_save(&batch, &what, &deliveries, &delivery_count, problem);
}

static enum status unmerge_all(struct unmerge_run *run, struct id profile_id,
                               struct problem *problem)
{
    enum status status = read_edge(run, profile_id, problem);
    if (status == STATUS_OK) {
        status = lock_profiles(run, problem);
    }
    if (status == STATUS_OK) {
        status = split_sides(run, problem);
    }
    if (status == STATUS_OK) {
        status = read_histories(run, problem);
    }
    struct side *const sides[] = { &run->stays, &run->leaves };
    for (size_t i = 0; i < ARRAY_COUNT(sides) && status == STATUS_OK; i++) {
        assert(sides[i]->profile != NULL); /* lock_profiles */
        sides[i]->profile->merged_into = ID_ZERO;
        status = hydrate_side(run, sides[i], problem);
    }
    return status == STATUS_OK ? save(run, problem) : status;
}

enum status unmerge(struct pg *pg, struct arena *arena, const struct decide_context *context,
                    struct id profile_id, struct id merge_id, int64_t now_ms,
                    struct unmerged *out_unmerged, struct problem *problem)
{
    struct unmerge_run run = { .pg = pg,
                               .arena = arena,
                               .context = context,
                               .merge_id = merge_id,
                               .now_ms = now_ms,
                               .decision = decision_create(arena, context, 2) };
    if (run.decision == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = pg_run(pg, arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = unmerge_all(&run, profile_id, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(pg);
        return status;
    }
    out_unmerged->survivor_id = run.survivor_id;
    out_unmerged->restored_id = run.loser_id;
    return STATUS_OK;
}
