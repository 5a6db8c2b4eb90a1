#include "base/instant.h"
#include "batch_priv.h"

/*
 * Profiles that newer rules have not reached yet.
 *
 * A walk over ids, a bounded number of rows a time, so that a step costs the
 * same whether everyone is behind or nobody. Those that wait for their history
 * (a feature lost sight of it, or there were no rules yet) stand in a small
 * index of their own. Rows are locked with SKIP LOCKED: whoever is being written
 * to is met on the next walk.
 */

static const struct pg_statement batch_behind_walk = {
    "batch_behind_walk",
    "SELECT id, ruleset_version < $3 AND merged_into IS NULL FROM profile"
    " WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $4",
};

static const struct pg_statement batch_behind_marked = {
    "batch_behind_marked",
    "SELECT id, true FROM profile WHERE workspace_id = $1 AND id > $2"
    " AND ruleset_version <= 0 AND merged_into IS NULL ORDER BY id LIMIT $3",
};

/* Not "merged_into IS NULL": that would prove a partial index, by which the
 * planner, on a table it knows nothing of, reads the whole workspace for each id
 * (96 ms for 500 of 5,000; 9 ms by the primary key). */
#define LOCK_IDS                                                                                 \
    "SELECT " BATCH_PROFILE_COLUMNS " FROM (SELECT k FROM unnest($2::uuid[]) AS k ORDER BY k) u" \
    " CROSS JOIN LATERAL (SELECT " BATCH_PROFILE_COLUMNS " FROM profile"                         \
    " WHERE workspace_id = $1 AND id = u.k AND COALESCE(merged_into, id) = id FOR UPDATE"

static const struct pg_statement batch_behind_lock = {
    "batch_behind_lock",
    LOCK_IDS " SKIP LOCKED) r",
};

static const struct pg_statement batch_ids_lock = {
    "batch_ids_lock",
    LOCK_IDS ") r",
};

static enum status walk(struct batch *batch, const struct batch_behind *behind,
                        struct pg_result **out_result, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_put_id(&params, behind->after_id);
    if (behind->only_marked) {
        pg_put_i64(&params, (int64_t)behind->limit);
        return pg_run(batch->pg, batch->arena, &batch_behind_marked, &params, out_result, problem);
    }
    pg_put_i64(&params, behind->version);
    pg_put_i64(&params, (int64_t)behind->walk_limit);
    return pg_run(batch->pg, batch->arena, &batch_behind_walk, &params, out_result, problem);
}

static enum status lock_ids(struct batch *batch, const struct pg_statement *statement,
                            const struct id *ids, size_t count, struct profile ***out_profiles,
                            size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_put_ids(&params, ids, count);
    struct pg_result *results[2] = { NULL };
    enum status status = pg_queue(batch->pg, &pg_begin, NULL);
    if (status == STATUS_OK) {
        status = pg_queue(batch->pg, statement, &params);
    }
    if (status == STATUS_OK) {
        status = pg_sync(batch->pg, batch->arena, results, ARRAY_COUNT(results), problem);
    }
    if (status == STATUS_OK) {
        status = batch_profiles_decode(batch, results[1], out_profiles, out_count, problem);
    }
    return status;
}

enum status batch_claim_ids(struct batch *batch, const struct id *ids, size_t count,
                            struct profile ***out_profiles, size_t *out_count,
                            struct problem *problem)
{
    return lock_ids(batch, &batch_behind_lock, ids, count, out_profiles, out_count, problem);
}

enum status batch_lock_ids(struct batch *batch, const struct id *ids, size_t count,
                           struct profile ***out_profiles, size_t *out_count,
                           struct problem *problem)
{
    return lock_ids(batch, &batch_ids_lock, ids, count, out_profiles, out_count, problem);
}

enum status batch_claim_behind(struct batch *batch, const struct batch_behind *behind,
                               struct batch_behind_found *out_found, struct problem *problem)
{
    struct pg_result *result = NULL;
    struct batch_behind_found found = { .last_id = behind->after_id };
    enum status status = walk(batch, behind, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t rows = pg_row_count(result);
    struct id *ids = ARENA_NEW_ARRAY(batch->arena, behind->limit + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    size_t count = 0;
    size_t seen = 0;
    while (seen < rows && count < behind->limit) {
        found.last_id = pg_get_id(result, seen, 0);
        if (pg_get_bool(result, seen, 1)) {
            ids[count++] = found.last_id;
        }
        seen++;
    }
    found.walked = seen;
    found.behind_count = count;
    found.is_open = count > 0;
    found.is_end =
        seen == rows && rows < (behind->only_marked ? behind->limit : behind->walk_limit);
    if (count > 0) {
        status = batch_claim_ids(batch, ids, count, &found.profiles, &found.profile_count, problem);
    }
    if (status == STATUS_OK) {
        found.behind_count -= batch->unreadable; /* nobody waits for them */
        *out_found = found;
    }
    return status;
}
