#include "app/delivery_queue.h"

#include <stdatomic.h>

#include "app/endpoint_tally.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/trigger/native.h"
#include "store/delivery_store.h"

/*
 * Problem: the sender knows no database and the store no sockets, yet a
 * delivery must be claimed, sent and settled by one instance only.
 *
 * Claims go workspace by workspace, since every hot statement names one. A turn
 * looks at a bounded number of them and the next goes on from there, so a
 * thousand quiet brands cost a poll what sixteen do, and none starves. Each
 * claim starts at its workspace's floor (correctness 15); floors live in a
 * small table where two workspaces may share a slot, since a lost floor costs
 * time and never a message. Every 30 s a floor is forgotten, which is how the
 * leases of an instance that died are found.
 */

enum {
    WORKSPACES_A_TURN = 64,
    FLOOR_SLOTS = 1024,
    FLOOR_FORGET_MS = 30000,
    QUEUE_ARENA_BYTES = 64 * 1024 * 1024,
};

struct floor_slot {
    struct id workspace_id;
    int64_t floor_ms;
    int64_t forget_at_ms; /* monotonic */
};

struct delivery_queue {
    struct delivery_queue_config config;
    struct pg *pg;
    struct arena *arena; /* one call of claim, settle or renew */
    size_t next_workspace;
    struct floor_slot floors[FLOOR_SLOTS];
};

static void log_failure(const char *what, enum status status, const struct problem *problem)
{
    log_event(LOG_WARN, what, LOG_Z("status", status_name(status)),
              LOG_Z("detail", problem->detail));
}

/* What an ESP's own format needs to be called: without a key, nothing. */
static bool native_copy(struct arena *arena, const struct registry_subscription *subscription,
                        struct str *lines, struct endpoint *endpoint)
{
    const struct str prefix = STR(NATIVE_AUTH_PREFIX);
    for (size_t i = 0; i < subscription->secret_count; i++) {
        if (str_starts_with(subscription->secrets[i], prefix)) {
            struct str auth = str_drop(subscription->secrets[i], prefix.size);
            endpoint->header_count +=
                native_lines(arena, endpoint->format, subscription->settings_json, auth,
                             lines + endpoint->header_count);
            return true;
        }
    }
    return false;
}

static bool endpoint_copy(struct arena *arena, const struct registry_subscription *subscription,
                          struct endpoint *out_endpoint)
{
    struct str *lines =
        ARENA_NEW_ARRAY(arena, subscription->header_count + NATIVE_LINES_MAX, struct str);
    struct endpoint endpoint = {
        .url = str_dup(arena, subscription->url),
        .header_lines = lines,
        .concurrency = subscription->concurrency,
        .timeout_ms = subscription->timeout_ms,
        .max_age_ms = subscription->max_age_ms,
    };
    for (size_t i = 0; lines != NULL && i < subscription->header_count; i++) {
        lines[endpoint.header_count++] = str_dup(arena, subscription->header_lines[i]);
    }
    /* What does not read is skipped; without a usable one nothing is sent unsigned. */
    for (size_t i = 0;
         i < subscription->secret_count && endpoint.secret_count < ENDPOINT_SECRETS_MAX; i++) {
        if (endpoint_secret_read(subscription->secrets[i],
                                 &endpoint.secrets[endpoint.secret_count])) {
            endpoint.secret_count++;
        }
    }
    endpoint.format = native_from_name(subscription->format);
    bool can_prove = lines != NULL && (endpoint.format == NATIVE_NONE
                                           ? endpoint.secret_count > 0
                                           : native_copy(arena, subscription, lines, &endpoint));
    endpoint.active = str_equal_z(subscription->status, "active") && can_prove;
    *out_endpoint = endpoint;
    return !arena_is_full(arena);
}

static bool queue_endpoint(void *app, struct arena *arena, struct id workspace_id,
                           struct id subscription_id, struct endpoint *out_endpoint)
{
    struct delivery_queue *queue = app;
    const struct registry_snapshot *snapshot = registry_hold(queue->config.registry);
    const struct registry_subscription *subscription =
        snapshot != NULL ? snapshot_subscription(snapshot, subscription_id) : NULL;
    bool is_known = subscription != NULL && id_equal(subscription->workspace_id, workspace_id) &&
                    endpoint_copy(arena, subscription, out_endpoint);
    const struct registry_workspace *workspace =
        snapshot != NULL ? snapshot_workspace(snapshot, workspace_id) : NULL;
    if (is_known && (workspace == NULL || workspace->held)) {
        out_endpoint->active = false; /* the brake */
    }
    registry_release(queue->config.registry, snapshot);
    return is_known;
}

static struct floor_slot *floor_of(struct delivery_queue *queue, struct id workspace_id)
{
    struct str bytes = { (const char *)workspace_id.bytes, sizeof(workspace_id.bytes) };
    struct floor_slot *slot = &queue->floors[hash64(bytes, 0) % FLOOR_SLOTS];
    int64_t now_ms = clock_monotonic_ms();
    if (!id_equal(slot->workspace_id, workspace_id) || now_ms >= slot->forget_at_ms) {
        *slot = (struct floor_slot){
            .workspace_id = workspace_id,
            .floor_ms = INSTANT_NONE,
            .forget_at_ms = now_ms + FLOOR_FORGET_MS,
        };
    }
    return slot;
}

static enum status claim_one(struct delivery_queue *queue, struct arena *arena,
                             struct id workspace_id, size_t limit, struct delivery **out_deliveries,
                             size_t *out_count)
{
    struct problem problem = { .detail = "" };
    struct floor_slot *slot = floor_of(queue, workspace_id);
    int64_t now_ms = clock_now_ms();
    int64_t floor_ms = slot->floor_ms;
    size_t count = 0;
    enum status status = delivery_store_claim(
        queue->pg, arena, workspace_id, queue->config.instance_id, limit, now_ms, slot->floor_ms,
        now_ms + LIMIT_DELIVERY_LEASE_MS, out_deliveries, &count, &floor_ms, &problem);
    if (status != STATUS_OK) {
        log_failure("claim failed", status, &problem);
        return status;
    }
    if (count > 0) {
        slot->floor_ms = floor_ms;
    }
    *out_count = count;
    return STATUS_OK;
}

/* Claims of several workspaces in one array, in the order of their turns. */
static enum status claims_join(struct arena *arena, struct delivery *const *parts,
                               const size_t *sizes, size_t part_count,
                               struct delivery **out_deliveries, size_t *out_count)
{
    size_t total = 0;
    for (size_t i = 0; i < part_count; i++) {
        total += sizes[i];
    }
    struct delivery *all = ARENA_NEW_ARRAY(arena, total, struct delivery);
    if (all == NULL && total > 0) {
        return STATUS_LIMIT;
    }
    size_t filled = 0;
    for (size_t i = 0; i < part_count; i++) {
        for (size_t n = 0; n < sizes[i]; n++) {
            all[filled++] = parts[i][n];
        }
    }
    *out_deliveries = all;
    *out_count = total;
    return STATUS_OK;
}

static size_t workspaces_pick(struct delivery_queue *queue, struct id picked[WORKSPACES_A_TURN])
{
    const struct registry_snapshot *snapshot = registry_hold(queue->config.registry);
    size_t count = 0;
    size_t looked = 0;
    while (snapshot != NULL && looked < WORKSPACES_A_TURN) {
        const struct registry_workspace *workspace =
            snapshot_workspace_at(snapshot, queue->next_workspace);
        if (workspace == NULL && (queue->next_workspace == 0 || looked > 0)) {
            queue->next_workspace = 0;
            break;
        }
        if (workspace == NULL) {
            queue->next_workspace = 0;
            continue;
        }
        queue->next_workspace++;
        looked++;
        if (!workspace->held) {
            picked[count++] = workspace->id;
        }
    }
    registry_release(queue->config.registry, snapshot);
    return count;
}

static enum status queue_claim(void *app, struct arena *arena, size_t limit,
                               struct delivery **out_deliveries, size_t *out_count)
{
    struct delivery_queue *queue = app;
    struct id workspaces[WORKSPACES_A_TURN];
    struct delivery *parts[WORKSPACES_A_TURN];
    size_t sizes[WORKSPACES_A_TURN];
    size_t part_count = 0;
    size_t workspace_count = workspaces_pick(queue, workspaces);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < workspace_count && limit > 0 && status == STATUS_OK; i++) {
        status =
            claim_one(queue, arena, workspaces[i], limit, &parts[part_count], &sizes[part_count]);
        if (status == STATUS_OK) {
            limit -= sizes[part_count];
            part_count++;
        }
    }
    /* What was claimed before a failure is leased to us: it must be sent. */
    if (part_count == 0 && status != STATUS_OK) {
        return status;
    }
    return claims_join(arena, parts, sizes, part_count, out_deliveries, out_count);
}

static void subscriptions_disable(struct delivery_queue *queue,
                                  const struct settlement *settlements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!settlements[i].disable_subscription) {
            continue;
        }
        struct problem problem = { .detail = "" };
        const struct attempt *attempt = &settlements[i].attempt;
        enum status status =
            delivery_store_disable_subscription(queue->pg, queue->arena, attempt->workspace_id,
                                                attempt->subscription_id, clock_now_ms(), &problem);
        if (status != STATUS_OK) {
            log_failure("disabling a subscription failed", status, &problem);
            continue;
        }
        log_event(LOG_WARN, "subscription disabled: its endpoint answered 410 Gone",
                  LOG_ID("subscription", attempt->subscription_id));
        if (registry_refresh(queue->config.registry, true, &problem) != STATUS_OK) {
            log_event(LOG_WARN, "registry not refreshed", LOG_Z("detail", problem.detail));
        }
    }
}

static enum status queue_settle(void *app, const struct settlement *settlements, size_t count)
{
    struct delivery_queue *queue = app;
    struct problem problem = { .detail = "" };
    arena_reset(queue->arena);
    struct delivery_settlement *rows =
        ARENA_NEW_ARRAY(queue->arena, count, struct delivery_settlement);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i].attempt = settlements[i].attempt;
        rows[i].settled = settlements[i].settled;
    }
    enum status status = delivery_store_settle(queue->pg, queue->arena, queue->config.instance_id,
                                               rows, count, &problem);
    if (status != STATUS_OK) {
        log_failure("settling failed", status, &problem);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        endpoint_tally_add(queue->config.tally, &settlements[i].attempt);
    }
    subscriptions_disable(queue, settlements, count);
    return STATUS_OK;
}

static enum status queue_renew(void *app, const struct delivery *deliveries, size_t count,
                               int64_t lease_until_ms)
{
    struct delivery_queue *queue = app;
    struct problem problem = { .detail = "" };
    arena_reset(queue->arena);
    enum status status = delivery_store_renew(queue->pg, queue->arena, queue->config.instance_id,
                                              deliveries, count, lease_until_ms, &problem);
    if (status != STATUS_OK) {
        log_failure("renewing leases failed", status, &problem);
    }
    return status;
}

static void queue_observe(void *app, enum attempt_outcome outcome, int64_t duration_ms)
{
    const struct delivery_queue *queue = app;
    if (queue->config.observe != NULL) {
        queue->config.observe(queue->config.app, outcome, duration_ms);
    }
}

enum status delivery_queue_create(const struct delivery_queue_config *config,
                                  struct delivery_queue **out_queue)
{
    struct delivery_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return STATUS_BROKEN;
    }
    queue->config = *config;
    queue->arena = arena_create(QUEUE_ARENA_BYTES);
    if (queue->arena == NULL || pg_open(config->database_url, true, &queue->pg) != STATUS_OK) {
        delivery_queue_destroy(queue);
        return STATUS_BROKEN;
    }
    *out_queue = queue;
    return STATUS_OK;
}

void delivery_queue_destroy(struct delivery_queue *queue)
{
    if (queue == NULL) {
        return;
    }
    pg_close(queue->pg);
    arena_destroy(queue->arena);
    free(queue);
}

void delivery_queue_ops(struct delivery_queue *queue, struct sender_ops *out_ops)
{
    out_ops->endpoint = queue_endpoint;
    out_ops->claim = queue_claim;
    out_ops->settle = queue_settle;
    out_ops->renew = queue_renew;
    out_ops->observe = queue_observe;
    out_ops->app = queue;
}
