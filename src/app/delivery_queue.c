#include "app/delivery_queue.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "app/delivery_claims.h"
#include "app/delivery_permit.h"
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
 * Four threads meet here: the ledger's (claims and leases, on one connection), the
 * settler's (on a second), the checker's (delivery_permit.c, on a third), and the
 * sending one, which only reads the registry.
 *
 * An endpoint's rate is shared by the instances: each takes its equal part, by a count
 * that is at most SHARE_FRESH_MS old. An instance that comes is believed a few seconds
 * late, in which the rate may be exceeded by its part. Rejected: leasing tokens from the
 * database, a write for each message to save those seconds.
 */

enum {
    QUEUE_ARENA_BYTES = 64 * 1024 * 1024,
    SHARE_FRESH_MS = 5000,
};

struct delivery_queue {
    struct delivery_queue_config config;
    struct pg *pg;       /* the ledger's */
    struct arena *arena; /* one call of renew */
    struct pg *settle_pg;
    struct arena *settle_arena; /* one call of settle */
    struct delivery_claims *claims;
    struct delivery_permit *permit;
    int64_t share_at_ms; /* when the senders are to be counted again */
    atomic_int_fast64_t senders;
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
        .asks_first = delivery_permit_is_needed(subscription),
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
    endpoint.active = str_equal_z(subscription->status, "active") && can_prove &&
                      delivery_permit_can_ask(subscription);
    *out_endpoint = endpoint;
    return !arena_is_full(arena);
}

/* Less than one a period each is one in a longer period. */
static void share_rate(struct delivery_queue *queue,
                       const struct registry_subscription *subscription, struct endpoint *endpoint)
{
    int64_t senders = atomic_load(&queue->senders);
    int64_t count = subscription->rate_count;
    if (count <= 0) {
        return;
    }
    endpoint->rate_count = (uint32_t)(count >= senders ? count / senders : 1);
    endpoint->rate_per_ms = count >= senders
                                ? subscription->rate_per_ms
                                : (subscription->rate_per_ms * senders + count - 1) / count;
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
    if (is_known) {
        share_rate(queue, subscription, out_endpoint);
    }
    registry_release(queue->config.registry, snapshot);
    return is_known;
}

static void senders_count(struct delivery_queue *queue)
{
    struct problem problem = { .detail = "" };
    int64_t count = 1;
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < queue->share_at_ms) {
        return;
    }
    queue->share_at_ms = now_ms + SHARE_FRESH_MS;
    arena_reset(queue->arena);
    enum status status = delivery_store_count_senders(queue->pg, queue->arena, &count, &problem);
    if (status != STATUS_OK) {
        log_failure("counting the senders failed", status, &problem);
        return;
    }
    atomic_store(&queue->senders, count > 1 ? count : 1);
}

static enum status queue_claim(void *app, struct arena *arena, const struct sender_gate *gate,
                               size_t limit, struct delivery **out_deliveries, size_t *out_count,
                               bool *out_more)
{
    struct delivery_queue *queue = app;
    senders_count(queue);
    return delivery_claims_run(queue->claims, queue->pg, arena, gate, limit, out_deliveries,
                               out_count, out_more);
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
        enum status status = delivery_store_disable_subscription(
            queue->settle_pg, queue->settle_arena, attempt->workspace_id, attempt->subscription_id,
            clock_now_ms(), &problem);
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

static enum status queue_settle(void *app, const struct settlement *settlements, size_t count,
                                struct delivery **out_next, size_t *out_next_count)
{
    struct delivery_queue *queue = app;
    struct problem problem = { .detail = "" };
    arena_reset(queue->settle_arena);
    int64_t now_ms = clock_now_ms();
    const struct settle_terms terms = {
        .owner = queue->config.instance_id,
        .now_ms = now_ms,
        .lease_until_ms = now_ms + LIMIT_DELIVERY_LEASE_MS,
    };
    enum status status =
        delivery_store_settle(queue->settle_pg, queue->settle_arena, &terms, settlements, count,
                              out_next, out_next_count, &problem);
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
    bool is_given_back = lease_until_ms <= clock_now_ms();
    for (size_t i = 0; is_given_back && i < count; i++) {
        delivery_claims_forget_floor(queue->claims, deliveries[i].subscription_id);
    }
    enum status status = delivery_store_renew(queue->pg, queue->arena, queue->config.instance_id,
                                              deliveries, count, lease_until_ms, &problem);
    if (status != STATUS_OK) {
        log_failure("renewing leases failed", status, &problem);
    }
    return status;
}

static enum status queue_permit(void *app, const struct permit_request *requests, size_t count,
                                struct str *out_reasons)
{
    struct delivery_queue *queue = app;
    return delivery_permit_run(queue->permit, requests, count, out_reasons);
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
    queue->settle_arena = arena_create(QUEUE_ARENA_BYTES);
    queue->claims = delivery_claims_create(config->registry, config->instance_id);
    atomic_init(&queue->senders, 1);
    if (queue->arena == NULL || queue->settle_arena == NULL || queue->claims == NULL ||
        delivery_permit_create(config->database_url, config->registry, &queue->permit) !=
            STATUS_OK ||
        pg_open(config->database_url, true, &queue->pg) != STATUS_OK ||
        pg_open(config->database_url, true, &queue->settle_pg) != STATUS_OK) {
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
    pg_close(queue->settle_pg);
    delivery_permit_destroy(queue->permit);
    delivery_claims_destroy(queue->claims);
    arena_destroy(queue->arena);
    arena_destroy(queue->settle_arena);
    free(queue);
}

void delivery_queue_ops(struct delivery_queue *queue, struct sender_ops *out_ops)
{
    out_ops->endpoint = queue_endpoint;
    out_ops->claim = queue_claim;
    out_ops->settle = queue_settle;
    out_ops->renew = queue_renew;
    out_ops->permit = queue_permit;
    out_ops->observe = queue_observe;
    out_ops->app = queue;
}
