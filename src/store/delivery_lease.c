#include "base/clock.h"
#include "base/instant.h"
#include "store/delivery_store.h"

/*
 * Leases, and what else the sender asks of the store that is not a message.
 *
 * A renewal that reaches no row is no error: the lease was lost, and the copy in
 * memory dies at its turn.
 */

static const struct pg_statement delivery_renew = {
    "delivery_renew",
    "UPDATE delivery AS d SET lease_until = $4"
    " FROM (SELECT $1::uuid AS workspace_id, $3::uuid AS owner, u.id"
    " FROM unnest($2::uuid[]) AS u (id) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner",
};

/* Due anew: where other instances' floors have gone beyond it, they would not look. */
static const struct pg_statement delivery_give_back = {
    "delivery_give_back",
    "UPDATE delivery AS d SET lease_owner = NULL, lease_until = NULL,"
    " due_at = greatest(d.due_at, $4)"
    " FROM (SELECT $1::uuid AS workspace_id, $3::uuid AS owner, u.id"
    " FROM unnest($2::uuid[]) AS u (id) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner",
};

static const struct pg_statement delivery_batch_renew = {
    "delivery_batch_renew",
    "UPDATE delivery_batch AS d SET lease_until = $4"
    " FROM (SELECT $1::uuid AS workspace_id, $3::uuid AS owner, u.id"
    " FROM unnest($2::uuid[]) AS u (id) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner",
};

static const struct pg_statement delivery_release = {
    "delivery_release",
    "UPDATE delivery AS d SET lease_owner = NULL, lease_until = NULL"
    " FROM (SELECT $1::uuid AS workspace_id, $3::uuid AS owner, u.id"
    " FROM unnest($2::uuid[]) AS u (id) OFFSET 0) u"
    " WHERE d.workspace_id = u.workspace_id AND d.id = u.id AND d.lease_owner = u.owner",
};

static const struct pg_statement delivery_name_sender = {
    "delivery_name_sender",
    "SET application_name TO 'shopbell sender'",
};

static const struct pg_statement delivery_count_senders = {
    "delivery_count_senders",
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shopbell sender'"
    " AND datname = current_database()",
};

static const struct pg_statement delivery_disable = {
    "delivery_disable",
    "WITH s AS (UPDATE subscription SET status = 'disabled', status_reason = 'gone_410',"
    " version = version + 1, updated_at = $3 WHERE workspace_id = $1 AND id = $2"
    " AND status <> 'disabled' RETURNING id)"
    " UPDATE workspace SET config_version = config_version + 1"
    " WHERE id = $1 AND EXISTS (SELECT 1 FROM s)",
};

static enum status run_lease(struct pg *pg, struct arena *arena,
                             const struct pg_statement *statement, struct id workspace_id,
                             struct id owner, const struct id *ids, size_t count,
                             int64_t lease_until_ms, struct problem *problem)
{
    struct pg_params params;
    if (count == 0) {
        return STATUS_OK;
    }
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_ids(&params, ids, count);
    pg_put_id(&params, owner);
    if (statement != &delivery_release) {
        pg_put_instant(&params, lease_until_ms);
    }
    return pg_run(pg, arena, statement, &params, NULL, problem);
}

/* The first ones of the same workspace: those alone from the front of `ids`, batches
 * from its back. Returns how many were looked at. */
static size_t sort_out(const struct delivery *deliveries, size_t count, struct id *ids,
                       size_t *out_alone)
{
    size_t seen = 0;
    size_t alone = 0;
    size_t batches = 0;
    while (seen < count && id_equal(deliveries[seen].workspace_id, deliveries[0].workspace_id)) {
        if (deliveries[seen].member_count == 0) {
            ids[alone++] = deliveries[seen].id;
        } else {
            batches++;
            ids[count - batches] = deliveries[seen].id;
        }
        seen++;
    }
    *out_alone = alone;
    return seen;
}

enum status delivery_store_renew(struct pg *pg, struct arena *arena, struct id owner,
                                 const struct delivery *deliveries, size_t count,
                                 int64_t lease_until_ms, struct problem *problem)
{
    struct id *ids = ARENA_NEW_ARRAY(arena, count + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    bool is_given_back = lease_until_ms <= clock_now_ms();
    const struct pg_statement *alone_sql = is_given_back ? &delivery_give_back : &delivery_renew;
    enum status status = STATUS_OK;
    while (count > 0 && status == STATUS_OK) {
        size_t alone = 0;
        size_t seen = sort_out(deliveries, count, ids, &alone);
        struct id workspace_id = deliveries[0].workspace_id;
        status = run_lease(pg, arena, alone_sql, workspace_id, owner, ids, alone, lease_until_ms,
                           problem);
        if (status == STATUS_OK) {
            size_t batches = seen - alone;
            status = run_lease(pg, arena, &delivery_batch_renew, workspace_id, owner,
                               ids + count - batches, batches, lease_until_ms, problem);
        }
        deliveries += seen;
        count -= seen;
    }
    return status;
}

enum status delivery_store_release(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct id owner, const struct id *delivery_ids, size_t count,
                                   struct problem *problem)
{
    return run_lease(pg, arena, &delivery_release, workspace_id, owner, delivery_ids, count, 0,
                     problem);
}

enum status delivery_store_count_senders(struct pg *pg, struct arena *arena, int64_t *out_count,
                                         struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    enum status status = pg_run(pg, arena, &delivery_name_sender, &params, NULL, problem);
    if (status == STATUS_OK) {
        pg_params_init(&params, arena);
        status = pg_run(pg, arena, &delivery_count_senders, &params, &result, problem);
    }
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status delivery_store_disable_subscription(struct pg *pg, struct arena *arena,
                                                struct id workspace_id, struct id subscription_id,
                                                int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &delivery_disable, &params, NULL, problem);
}
