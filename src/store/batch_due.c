#include "base/instant.h"
#include "batch_priv.h"

/*
 * Profiles outside a batch of events: those that are due, and one to be read.
 *
 * A claim walks the index of due instants from a floor and skips what others
 * hold; whoever skips a row meets it again at the next poll.
 */

static const struct pg_statement batch_due_claim = {
    "batch_due_claim",
    "SELECT " BATCH_PROFILE_COLUMNS " FROM profile"
    " WHERE workspace_id = $1 AND due_at >= $2 AND due_at <= $3"
    " ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED",
};

static const struct pg_statement batch_profile_read = {
    "batch_profile_read",
    "SELECT " BATCH_PROFILE_COLUMNS " FROM profile WHERE workspace_id = $1 AND id ="
    " (SELECT COALESCE(merged_into, id) FROM profile WHERE workspace_id = $1 AND id = $2)",
};

enum status batch_claim_due(struct batch *batch, int64_t floor_ms, int64_t now_ms, size_t limit,
                            struct profile ***out_profiles, size_t *out_count,
                            struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_put_instant(&params, floor_ms < 0 ? 0 : floor_ms);
    pg_put_instant(&params, now_ms);
    pg_put_i64(&params, (int64_t)limit);
    enum status status = pg_queue(batch->pg, &pg_begin, NULL);
    if (status == STATUS_OK) {
        status = pg_queue(batch->pg, &batch_due_claim, &params);
    }
    struct pg_result *results[2] = { NULL };
    if (status == STATUS_OK) {
        status = pg_sync(batch->pg, batch->arena, results, 2, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct profile **profiles = NULL;
    size_t count = 0;
    status = batch_profiles_decode(batch, results[1], &profiles, &count, problem);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        decision_put_profile(batch->decision, profiles[i]);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *out_profiles = profiles;
    *out_count = count;
    return STATUS_OK;
}

enum status batch_read_profile(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct id profile_id, struct profile **out_profile,
                               struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, profile_id);
    enum status status = pg_run(pg, arena, &batch_profile_read, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        *out_profile = NULL;
        return STATUS_OK;
    }
    return batch_profile_decode(arena, result, 0, out_profile, problem);
}
