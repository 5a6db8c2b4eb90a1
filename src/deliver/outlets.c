#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "deliver/destination.h"
#include "sender_priv.h"

/*
 * Endpoints as the sending thread sees them: settings that are believed for a moment,
 * prepared once (destination.c), and what the gate may be told of the lane.
 */

/* How long an endpoint's settings are believed: a pause acts within this. */
#define ENDPOINT_FRESH_MS 20
#define ENDPOINT_CONCURRENCY_MAX 64u
#define SHUT_MS 1000

void outlet_destroy(void *data)
{
    struct outlet *outlet = data;
    flights_forget_idle(outlet);
    destination_release(outlet->destination);
    free(outlet);
}

struct outlet *outlet_of(struct sender *sender, struct lane *lane)
{
    struct outlet *outlet = lane_data(lane);
    if (outlet == NULL) {
        outlet = calloc(1, sizeof(*outlet));
        if (outlet != NULL) {
            outlet->idle_count = &sender->idle_count;
            lane_set_data(lane, outlet);
        }
    }
    return outlet;
}

static uint32_t concurrency_of(const struct endpoint *endpoint)
{
    if (endpoint->concurrency == 0) {
        return LIMIT_ENDPOINT_CONCURRENCY;
    }
    return endpoint->concurrency < ENDPOINT_CONCURRENCY_MAX ? endpoint->concurrency
                                                            : ENDPOINT_CONCURRENCY_MAX;
}

static bool outlet_read(struct sender *sender, struct outlet *outlet,
                        const struct delivery *delivery)
{
    struct endpoint endpoint = { .active = false };
    const struct sender_ops *ops = &sender->config.ops;
    arena_reset(sender->arena);
    if (!ops->endpoint(ops->app, sender->arena, delivery->workspace_id, delivery->subscription_id,
                       &endpoint) ||
        !endpoint.active) {
        return false;
    }
    if (outlet->destination == NULL || !destination_matches(outlet->destination, &endpoint)) {
        destination_release(outlet->destination);
        outlet->destination = destination_create(sender->vault, &endpoint);
    }
    outlet->limits = (struct lane_limits){ .concurrency = concurrency_of(&endpoint),
                                           .rate_count = endpoint.rate_count,
                                           .rate_per_ms = endpoint.rate_per_ms };
    outlet->max_age_ms = endpoint.max_age_ms;
    outlet->asks_first = endpoint.asks_first && ops->permit != NULL;
    sodium_memzero(endpoint.secrets, sizeof(endpoint.secrets));
    return outlet->destination != NULL;
}

static bool limits_equal(const struct lane_limits *a, const struct lane_limits *b)
{
    return a->concurrency == b->concurrency && a->rate_count == b->rate_count &&
           a->rate_per_ms == b->rate_per_ms;
}

/* By the clock that never jumps, or a correction would freeze an endpoint's settings. */
bool outlet_refresh(struct sender *sender, struct lane *lane, struct outlet *outlet,
                    const struct delivery *delivery)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < outlet->gone_until_ms) {
        return false;
    }
    if (now_ms >= outlet->fresh_until_ms) {
        struct lane_limits before = outlet->limits;
        outlet->active = outlet_read(sender, outlet, delivery);
        outlet->fresh_until_ms = now_ms + ENDPOINT_FRESH_MS;
        if (outlet->active && !limits_equal(&outlet->limits, &before)) {
            queue_set_limits(sender->queue, lane, &outlet->limits, now_ms);
        }
    }
    return outlet->active;
}

void outlet_publish(struct sender *sender, struct lane *lane, struct outlet *outlet)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t closed_until_ms = 0;
    size_t held_max = lane_worth_keeping(sender->queue, lane, now_ms, &closed_until_ms);
    if (outlet->gone_until_ms > now_ms) {
        closed_until_ms = outlet->gone_until_ms;
    }
    if (closed_until_ms > 0) {
        queue_sweep_lane(sender->queue, lane, now_ms, copy_keep_none_leased, sender);
        held_max = 1; /* when it opens again */
    }
    if (outlet->gate_held_max != held_max || outlet->gate_closed_until_ms != closed_until_ms) {
        outlet->gate_held_max = held_max;
        outlet->gate_closed_until_ms = closed_until_ms;
        gate_set(sender->gate, lane_subscription(lane), held_max, closed_until_ms);
    }
}

void outlet_shut(struct sender *sender, struct lane *lane, struct outlet *outlet)
{
    int64_t now_ms = clock_monotonic_ms();
    queue_sweep_lane(sender->queue, lane, now_ms, copy_keep_none_leased, sender);
    if (outlet != NULL) {
        outlet->gate_held_max = 1;
        outlet->gate_closed_until_ms = now_ms + SHUT_MS;
        gate_set(sender->gate, lane_subscription(lane), 1, outlet->gate_closed_until_ms);
    }
}

void outlet_retired(void *context, struct id subscription_id)
{
    struct sender *sender = context;
    gate_forget(sender->gate, subscription_id);
}
