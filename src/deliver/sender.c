#include "deliver/sender.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/log.h"
#include "deliver/address_guard.h"
#include "deliver/answer_text.h"
#include "deliver/destination.h"
#include "deliver/engine.h"
#include "deliver/key_vault.h"
#include "deliver/ledger.h"
#include "deliver/port_rule.h"
#include "deliver/queue.h"
#include "deliver/transfer.h"

/*
 * From "handed over" to "settled".
 *
 *   hand_over, claim -> inbox -> queue -> flight -> outcome -> ledger -> database
 *                         \________\________\________ dropped: its lease runs out
 *
 * Two threads: this one sends and never waits for anything but the network; the
 * ledger's talks to the database. The row in the database is the truth, what is
 * here is a copy that may be dropped at any time: when its lease does not
 * outlive an attempt (another instance may own it by then), when its endpoint is
 * gone or paused, when its lane is full, at the stop.
 *
 * Invariants:
 * - An attempt starts only if the lease outlasts its timeout (correctness 18).
 * - All attempts of a delivery send the same bytes but for time and signature.
 * - No attempt starts while SETTLE_BACKLOG_MAX outcomes are unsettled: with the
 *   database away we stop ringing bells that we could not mark as rung.
 * - held_count and held_bytes are exactly what lies between hand-over and
 *   destruction of a copy, so memory is bounded whatever the database holds.
 *
 * A retry is never kept here. Its row is put off and a claim brings it back;
 * that costs at most a poll interval and makes a crash while waiting a
 * non-event. Rejected: settling on this thread (a slow disk would show as a slow
 * ESP), and one thread per endpoint.
 */

#define SETTLE_BACKLOG_MAX 1024u
/* At 1.4 KiB a message the count is reached first; this is for the large ones. */
#define HELD_BYTES_MAX ((size_t)32 * 1024 * 1024)
/* One endpoint may fill an eighth of the memory. */
#define LANE_WAITING_MAX (LIMIT_DELIVERY_QUEUE / 8)
/* How long an endpoint's settings are believed: a pause acts within this. */
#define ENDPOINT_FRESH_MS 20
#define ENDPOINT_ARENA_BYTES ((size_t)256 * 1024)
/* The app learns of a 410 with the settlement; until then we know it here. */
#define ENDPOINT_GONE_MS 5000
#define ENDPOINT_CONCURRENCY_MAX 64u
#define TEND_INTERVAL_MS 1000
#define LANE_IDLE_MS 60000
/* Renewed with two thirds left, so that two tries fit before any timeout. */
#define LEASE_RENEW_MS (LIMIT_DELIVERY_LEASE_MS * 2 / 3)
#define BACKLOG_WAIT_MS 10

/* What this file keeps for a lane: its endpoint as of fresh_until_ms, and
 * transfers that are not in use. */
struct outlet {
    struct destination *destination;
    uint32_t concurrency;
    int64_t max_age_ms;
    int64_t fresh_until_ms;
    int64_t gone_until_ms;
    bool active;
    struct flight *idle;
};

struct flight {
    struct flight *next;     /* of the outlet's idle ones */
    struct flight *air_next; /* of those under way */
    struct flight *air_before;
    struct transfer *transfer;
    struct lane *lane;
    struct queued *queued;
    enum native_format format;
    int64_t at_ms;
    int64_t started_us;
};

struct sender {
    struct sender_config config;
    struct address_guard guard;
    struct port_rule ports;
    struct transfer_rules rules;
    struct ledger *ledger;
    struct engine *engine;
    pthread_t thread;
    bool joined;
    atomic_bool stopping;
    atomic_llong stop_at_ms;
    atomic_size_t held_count;
    atomic_size_t held_bytes;

    pthread_mutex_t inbox_lock;
    struct queued *inbox_first;
    struct queued *inbox_last;

    /* The sending thread's own. */
    struct queue *queue;
    struct key_vault *vault;
    struct arena *arena;
    struct flight *air;
    int64_t tend_at_ms;
    size_t renewal_room;
    size_t renewal_count;
    struct delivery *renewal;
};

/* ---- copies in memory ---- */

static void copy_drop(struct sender *sender, struct queued *queued)
{
    atomic_fetch_sub(&sender->held_count, 1);
    atomic_fetch_sub(&sender->held_bytes, queued->size_bytes);
    queued_destroy(queued);
}

static bool keep_none(void *context, struct queued *queued)
{
    copy_drop(context, queued);
    return false;
}

/* Not now (paused, held): whoever may send it later need not wait for our lease. */
static bool keep_given_back(void *context, struct queued *queued)
{
    struct sender *sender = context;
    ledger_give_back(sender->ledger, &queued->delivery);
    copy_drop(sender, queued);
    return false;
}

size_t sender_room(struct sender *sender)
{
    size_t held = atomic_load(&sender->held_count);
    if (atomic_load(&sender->stopping) || held >= LIMIT_DELIVERY_QUEUE ||
        atomic_load(&sender->held_bytes) >= HELD_BYTES_MAX) {
        return 0;
    }
    return LIMIT_DELIVERY_QUEUE - held;
}

/* Reserves before it copies, so that two callers cannot both take the last
 * place. */
static bool inbox_reserve(struct sender *sender)
{
    if (atomic_load(&sender->stopping) || atomic_load(&sender->held_bytes) >= HELD_BYTES_MAX) {
        return false;
    }
    if (atomic_fetch_add(&sender->held_count, 1) >= LIMIT_DELIVERY_QUEUE) {
        atomic_fetch_sub(&sender->held_count, 1);
        return false;
    }
    return true;
}

size_t sender_hand_over(struct sender *sender, const struct delivery *deliveries, size_t count)
{
    struct queued *first = NULL;
    struct queued *last = NULL;
    size_t taken = 0;
    while (taken < count && inbox_reserve(sender)) {
        struct queued *queued = queued_create(&deliveries[taken]);
        if (queued == NULL) {
            atomic_fetch_sub(&sender->held_count, 1);
            break;
        }
        atomic_fetch_add(&sender->held_bytes, queued->size_bytes);
        if (last == NULL) {
            first = queued;
        } else {
            last->next = queued;
        }
        last = queued;
        taken++;
    }
    if (taken == 0) {
        return 0;
    }
    pthread_mutex_lock(&sender->inbox_lock);
    bool was_empty = sender->inbox_first == NULL;
    if (was_empty) {
        sender->inbox_first = first;
    } else {
        sender->inbox_last->next = first;
    }
    sender->inbox_last = last;
    pthread_mutex_unlock(&sender->inbox_lock);
    if (was_empty) {
        engine_wake(sender->engine);
    }
    return taken;
}

static void inbox_empty(struct sender *sender)
{
    pthread_mutex_lock(&sender->inbox_lock);
    struct queued *queued = sender->inbox_first;
    sender->inbox_first = NULL;
    sender->inbox_last = NULL;
    pthread_mutex_unlock(&sender->inbox_lock);
    int64_t now_ms = queued == NULL ? 0 : clock_monotonic_ms();
    while (queued != NULL) {
        struct queued *next = queued->next;
        if (!queue_add(sender->queue, queued, now_ms)) {
            copy_drop(sender, queued);
        }
        queued = next;
    }
}

/* ---- endpoints ---- */

static void flight_destroy(struct flight *flight)
{
    transfer_destroy(flight->transfer);
    free(flight);
}

static void outlet_forget_idle(struct outlet *outlet)
{
    while (outlet->idle != NULL) {
        struct flight *flight = outlet->idle;
        outlet->idle = flight->next;
        flight_destroy(flight);
    }
}

static void outlet_destroy(void *data)
{
    struct outlet *outlet = data;
    outlet_forget_idle(outlet);
    destination_release(outlet->destination);
    free(outlet);
}

static struct outlet *outlet_of(struct lane *lane)
{
    if (lane_data(lane) == NULL) {
        lane_set_data(lane, calloc(1, sizeof(struct outlet)));
    }
    return lane_data(lane);
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
    outlet->concurrency = concurrency_of(&endpoint);
    outlet->max_age_ms = endpoint.max_age_ms;
    sodium_memzero(endpoint.secrets, sizeof(endpoint.secrets));
    return outlet->destination != NULL;
}

/* True when something may be sent to the lane's endpoint now. By the clock that
 * never jumps, or a correction would freeze an endpoint's settings. */
static bool outlet_refresh(struct sender *sender, struct lane *lane, struct outlet *outlet,
                           const struct delivery *delivery)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < outlet->gone_until_ms) {
        return false;
    }
    if (now_ms >= outlet->fresh_until_ms) {
        uint32_t before = outlet->concurrency;
        outlet->active = outlet_read(sender, outlet, delivery);
        outlet->fresh_until_ms = now_ms + ENDPOINT_FRESH_MS;
        if (outlet->active && outlet->concurrency != before) {
            queue_set_concurrency(sender->queue, lane, outlet->concurrency);
        }
    }
    return outlet->active;
}

/* ---- what became of an attempt ---- */

static void settle(struct sender *sender, const struct settlement *settlement)
{
    struct outcome *outcome = outcome_create(settlement);
    if (outcome == NULL) {
        log_event(LOG_ERROR, "no memory to settle; the delivery will be sent again",
                  LOG_ID("delivery", settlement->attempt.delivery_id));
        return;
    }
    ledger_add_take(sender->ledger, outcome);
    if (sender->config.ops.observe != NULL) {
        sender->config.ops.observe(sender->config.ops.app, settlement->attempt.outcome,
                                   settlement->attempt.duration_ms);
    }
}

static struct attempt attempt_of(const struct delivery *delivery, int64_t at_ms)
{
    return (struct attempt){
        .workspace_id = delivery->workspace_id,
        .id = id_create(),
        .at_ms = at_ms,
        .delivery_id = delivery->id,
        .notification_id = delivery->notification_id,
        .subscription_id = delivery->subscription_id,
        .profile_id = delivery->profile_id,
        .notification_created_at_ms = delivery->notification_created_at_ms,
        .number = delivery->attempt + 1,
        .next_at_ms = INSTANT_NONE,
        .body_bytes = (uint32_t)delivery->body.size,
    };
}

/* After this instant the message is not wanted any more. */
static int64_t expires_at_ms(const struct delivery *delivery, int64_t max_age_ms)
{
    int64_t expires_ms = 0;
    if (max_age_ms <= 0 ||
        __builtin_add_overflow(delivery->notification_created_at_ms, max_age_ms, &expires_ms)) {
        return INSTANT_NEVER;
    }
    return expires_ms;
}

/* What an ESP's answer means beyond what delivery_next knows. */
static enum attempt_outcome judge_native(enum native_format format, int32_t status,
                                         enum attempt_outcome outcome)
{
    switch (native_meaning(format, status)) {
    case NATIVE_FINAL:
        return ATTEMPT_GAVE_UP;
    case NATIVE_REPEATED:
        return ATTEMPT_DELIVERED;
    case NATIVE_AS_USUAL:
        break;
    }
    return outcome;
}

static struct settlement judge(const struct flight *flight, const struct transfer_result *result,
                               int64_t expires_ms, int64_t now_ms)
{
    struct settlement settlement = { .attempt =
                                         attempt_of(&flight->queued->delivery, flight->at_ms) };
    struct attempt *attempt = &settlement.attempt;
    int64_t wait_ms = 0;
    attempt->response_status = result->status;
    attempt->duration_ms = (clock_monotonic_us() - flight->started_us) / 1000;
    attempt->error = str_from_z(result->error);
    attempt->outcome = delivery_next(result->status, attempt->number, result->retry_after_ms,
                                     result->aborted, randombytes_random(), &wait_ms);
    attempt->outcome = judge_native(flight->format, result->status, attempt->outcome);
    switch (attempt->outcome) {
    case ATTEMPT_RETRY:
        if (now_ms + wait_ms < expires_ms) {
            attempt->next_at_ms = now_ms + wait_ms;
        } else {
            attempt->outcome = ATTEMPT_GAVE_UP;
            settlement.settled = true;
        }
        break;
    case ATTEMPT_GONE:
        settlement.settled = true;
        settlement.disable_subscription = true;
        break;
    case ATTEMPT_DELIVERED:
    case ATTEMPT_GAVE_UP:
    case ATTEMPT_ABORTED:
        settlement.settled = true;
        break;
    }
    return settlement;
}

/* Ends it without a call. */
static void settle_unsent(struct sender *sender, const struct delivery *delivery, struct str why,
                          int64_t now_ms)
{
    struct settlement settlement = {
        .attempt = attempt_of(delivery, now_ms),
        .settled = true,
    };
    settlement.attempt.outcome = ATTEMPT_GAVE_UP;
    settlement.attempt.error = why;
    settle(sender, &settlement);
}

/* ---- flights ---- */

static struct flight *flight_of(struct sender *sender, struct outlet *outlet)
{
    struct flight *flight = outlet->idle;
    if (flight != NULL) {
        outlet->idle = flight->next;
        return flight;
    }
    flight = calloc(1, sizeof(*flight));
    if (flight == NULL) {
        return NULL;
    }
    flight->transfer = transfer_create(&sender->rules, ANSWER_TEXT_BYTES_MAX, flight);
    if (flight->transfer == NULL) {
        free(flight);
        return NULL;
    }
    return flight;
}

static void flight_to_idle(struct outlet *outlet, struct flight *flight)
{
    flight->queued = NULL;
    flight->next = outlet->idle;
    outlet->idle = flight;
}

static void air_add(struct sender *sender, struct flight *flight)
{
    flight->air_before = NULL;
    flight->air_next = sender->air;
    if (sender->air != NULL) {
        sender->air->air_before = flight;
    }
    sender->air = flight;
}

static void air_remove(struct sender *sender, struct flight *flight)
{
    if (flight->air_before == NULL) {
        sender->air = flight->air_next;
    } else {
        flight->air_before->air_next = flight->air_next;
    }
    if (flight->air_next != NULL) {
        flight->air_next->air_before = flight->air_before;
    }
}

/* False when it could not be started; the copy is the caller's again. */
static bool flight_start(struct sender *sender, struct lane *lane, struct outlet *outlet,
                         struct queued *queued, int64_t now_ms)
{
    struct flight *flight = flight_of(sender, outlet);
    if (flight == NULL) {
        return false;
    }
    char webhook_id[ID_TEXT_SIZE];
    id_format(queued->delivery.notification_id, webhook_id);
    const struct rendition message = { queued->delivery.target, queued->delivery.body };
    if (transfer_begin(flight->transfer, outlet->destination, str_from_z(webhook_id), &message,
                       now_ms) != STATUS_OK) {
        flight_destroy(flight);
        return false;
    }
    flight->lane = lane;
    flight->queued = queued;
    flight->format = destination_format(outlet->destination);
    flight->at_ms = now_ms;
    flight->started_us = clock_monotonic_us();
    if (!engine_add(sender->engine, transfer_handle(flight->transfer))) {
        flight_destroy(flight);
        return false;
    }
    air_add(sender, flight);
    return true;
}

static void flight_end(struct sender *sender, struct flight *flight, CURLcode code)
{
    struct lane *lane = flight->lane;
    struct outlet *outlet = lane_data(lane);
    int64_t now_ms = clock_now_ms();
    engine_remove(sender->engine, transfer_handle(flight->transfer));
    air_remove(sender, flight);

    struct transfer_result result;
    transfer_finish(flight->transfer, code, now_ms, &result);
    int64_t expires_ms = expires_at_ms(&flight->queued->delivery, outlet->max_age_ms);
    struct settlement settlement = judge(flight, &result, expires_ms, now_ms);
    char text[ANSWER_TEXT_BYTES_MAX];
    settlement.attempt.response =
        (struct str){ text, answer_text_clean(result.body, text, sizeof(text)) };
    settle(sender, &settlement);

    if (settlement.disable_subscription) {
        log_event(LOG_INFO, "an endpoint answered 410 and is disabled",
                  LOG_ID("subscription", settlement.attempt.subscription_id));
        outlet->gone_until_ms = clock_monotonic_ms() + ENDPOINT_GONE_MS;
        queue_sweep_lane(sender->queue, lane, keep_none, sender);
    }
    copy_drop(sender, flight->queued);
    flight_to_idle(outlet, flight);
    queue_end(sender->queue, lane, result.status == 0 ? LANE_SILENT : LANE_HEARD,
              clock_monotonic_ms());
}

/* Drops the flight as if it had never been: the stop's deadline. */
static void flight_abort(struct sender *sender, struct flight *flight)
{
    struct transfer_result result;
    engine_remove(sender->engine, transfer_handle(flight->transfer));
    air_remove(sender, flight);
    transfer_finish(flight->transfer, CURLE_ABORTED_BY_CALLBACK, clock_now_ms(), &result);
    copy_drop(sender, flight->queued);
    queue_end(sender->queue, flight->lane, LANE_UNTRIED, clock_monotonic_ms());
    flight_destroy(flight);
}

/* ---- turns ---- */

/* Sends, settles or drops one copy; all paths but the first give the lane its
 * place back. */
static void start_one(struct sender *sender, struct lane *lane, struct queued *queued)
{
    int64_t now_ms = clock_now_ms();
    const struct delivery *delivery = &queued->delivery;
    struct outlet *outlet = outlet_of(lane);
    if (outlet == NULL || !outlet_refresh(sender, lane, outlet, delivery)) {
        queue_sweep_lane(sender->queue, lane, keep_given_back, sender);
        ledger_give_back(sender->ledger, delivery);
    } else if (delivery->lease_until_ms - now_ms <= destination_timeout_ms(outlet->destination)) {
        log_event(LOG_DEBUG, "lease too short to send", LOG_ID("delivery", delivery->id));
    } else if (now_ms >= expires_at_ms(delivery, outlet->max_age_ms)) {
        settle_unsent(sender, delivery, STR("expired before it could be sent"), now_ms);
    } else if (destination_format(outlet->destination) != NATIVE_NONE &&
               !native_is_call(delivery->body)) {
        settle_unsent(sender, delivery, delivery->body, now_ms);
    } else if (flight_start(sender, lane, outlet, queued, now_ms)) {
        return;
    }
    copy_drop(sender, queued);
    queue_end(sender->queue, lane, LANE_UNTRIED, clock_monotonic_ms());
}

/* False when outcomes pile up and starting has to wait. */
static bool start_ready(struct sender *sender)
{
    struct lane *lane = NULL;
    while (ledger_backlog(sender->ledger) < SETTLE_BACKLOG_MAX) {
        struct queued *queued = queue_start(sender->queue, &lane);
        if (queued == NULL) {
            return true;
        }
        start_one(sender, lane, queued);
    }
    return false;
}

static size_t collect_ended(struct sender *sender)
{
    size_t ended = 0;
    CURL *easy = NULL;
    CURLcode code = CURLE_OK;
    while (engine_next_ended(sender->engine, &easy, &code)) {
        char *owner = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &owner);
        flight_end(sender, (struct flight *)(void *)owner, code);
        ended++;
    }
    return ended;
}

/* ---- leases ---- */

static bool keep_renewed(void *context, struct queued *queued)
{
    const int64_t *lease_until_ms = context;
    /* A lease that ran out meanwhile may be another's: the row's renewal did not
     * reach it, and the copy dies at its turn. */
    if (queued->renewing && queued->delivery.lease_until_ms > clock_now_ms()) {
        queued->delivery.lease_until_ms = *lease_until_ms;
    }
    queued->renewing = false;
    return true;
}

static bool keep_not_renewed(void *context, struct queued *queued)
{
    (void)context;
    queued->renewing = false;
    return true;
}

static bool keep_leased(void *context, struct queued *queued)
{
    struct sender *sender = context;
    int64_t left_ms = queued->delivery.lease_until_ms - clock_now_ms();
    if (left_ms <= 0) {
        copy_drop(sender, queued);
        return false;
    }
    if (left_ms < LEASE_RENEW_MS && sender->renewal_count < sender->renewal_room) {
        struct delivery *delivery = &sender->renewal[sender->renewal_count];
        *delivery = queued->delivery;
        delivery->topic = (struct str){ NULL, 0 };
        delivery->body = (struct str){ NULL, 0 };
        queued->renewing = true;
        sender->renewal_count++;
    }
    return true;
}

/* Puts the waiting ones with an ending lease into an array for the ledger. */
static void leases_ask(struct sender *sender)
{
    sender->renewal_count = 0;
    sender->renewal_room = queue_waiting(sender->queue);
    if (sender->renewal_room == 0) {
        return;
    }
    sender->renewal = malloc(sender->renewal_room * sizeof(*sender->renewal));
    if (sender->renewal == NULL) {
        return;
    }
    queue_sweep(sender->queue, keep_leased, sender);
    if (sender->renewal_count == 0) {
        free(sender->renewal);
    } else {
        ledger_renew_take(sender->ledger, sender->renewal, sender->renewal_count,
                          clock_now_ms() + LIMIT_DELIVERY_LEASE_MS);
    }
    sender->renewal = NULL;
}

static void leases_tend(struct sender *sender)
{
    int64_t lease_until_ms = 0;
    switch (ledger_renewal(sender->ledger, &lease_until_ms)) {
    case LEDGER_RENEWAL_WAITING:
        return;
    case LEDGER_RENEWAL_DONE:
        queue_sweep(sender->queue, keep_renewed, &lease_until_ms);
        break;
    case LEDGER_RENEWAL_FAILED:
        queue_sweep(sender->queue, keep_not_renewed, NULL);
        break;
    case LEDGER_RENEWAL_NONE:
        break;
    }
    leases_ask(sender);
}

static bool keep_released(void *context, struct queued *queued)
{
    struct sender *sender = context;
    if (sender->renewal_count < sender->renewal_room) {
        sender->renewal[sender->renewal_count] = queued->delivery;
        sender->renewal[sender->renewal_count].topic = (struct str){ NULL, 0 };
        sender->renewal[sender->renewal_count].body = (struct str){ NULL, 0 };
        sender->renewal_count++;
    }
    copy_drop(sender, queued);
    return false;
}

/* At the stop: what was not started gets a lease that ends now, so that the
 * next process need not wait for it to run out. A courtesy; without it they
 * come back a minute later. */
static void leases_release(struct sender *sender)
{
    int64_t unused = 0;
    inbox_empty(sender);
    sender->renewal_count = 0;
    sender->renewal_room = queue_waiting(sender->queue);
    bool free_to_ask = ledger_renewal(sender->ledger, &unused) != LEDGER_RENEWAL_WAITING;
    sender->renewal = free_to_ask && sender->renewal_room > 0
                          ? malloc(sender->renewal_room * sizeof(*sender->renewal))
                          : NULL;
    if (sender->renewal == NULL) {
        sender->renewal_room = 0;
    }
    queue_sweep(sender->queue, keep_released, sender);
    if (sender->renewal_count > 0) {
        ledger_renew_take(sender->ledger, sender->renewal, sender->renewal_count, clock_now_ms());
    }
    sender->renewal = NULL;
}

/* ---- the thread ---- */

static void tend(struct sender *sender)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < sender->tend_at_ms) {
        return;
    }
    sender->tend_at_ms = now_ms + TEND_INTERVAL_MS;
    leases_tend(sender);
    queue_retire(sender->queue, now_ms - LANE_IDLE_MS);
}

static void run_until_stop(struct sender *sender)
{
    while (!atomic_load(&sender->stopping)) {
        inbox_empty(sender);
        bool free_to_start = start_ready(sender);
        engine_kick(sender->engine);
        tend(sender);
        bool ended = collect_ended(sender) > 0;
        int wait_ms = free_to_start ? TEND_INTERVAL_MS : BACKLOG_WAIT_MS;
        engine_wait(sender->engine, ended ? 0 : wait_ms);
        collect_ended(sender);
    }
}

static void run_out(struct sender *sender)
{
    leases_release(sender);
    while (queue_active(sender->queue) > 0) {
        int64_t left_ms = atomic_load(&sender->stop_at_ms) - clock_monotonic_ms();
        if (left_ms <= 0) {
            break;
        }
        engine_wait(sender->engine, left_ms < TEND_INTERVAL_MS ? (int)left_ms : TEND_INTERVAL_MS);
        collect_ended(sender);
    }
    while (sender->air != NULL) {
        flight_abort(sender, sender->air);
    }
}

static void *sender_run(void *argument)
{
    struct sender *sender = argument;
    run_until_stop(sender);
    run_out(sender);
    return NULL;
}

static size_t ledger_room(void *context)
{
    return sender_room(context);
}

static size_t ledger_take(void *context, const struct delivery *deliveries, size_t count)
{
    return sender_hand_over(context, deliveries, count);
}

static void sender_free(struct sender *sender)
{
    struct queued *queued = sender->inbox_first;
    while (queued != NULL) {
        struct queued *next = queued->next;
        queued_destroy(queued);
        queued = next;
    }
    queue_destroy(sender->queue);
    key_vault_destroy(sender->vault);
    engine_destroy(sender->engine);
    ledger_destroy(sender->ledger);
    arena_destroy(sender->arena);
    pthread_mutex_destroy(&sender->inbox_lock);
    free(sender);
    curl_global_cleanup();
}

static bool sender_prepare(struct sender *sender)
{
    const struct queue_rules rules = {
        .active_max = LIMIT_DELIVERY_ACTIVE,
        .lane_waiting_max = LANE_WAITING_MAX,
        .lane_finish = outlet_destroy,
    };
    sender->rules = (struct transfer_rules){
        .guard = &sender->guard,
        .ports = &sender->ports,
        .allow_http = sender->config.allow_http,
        .ca_file = sender->config.ca_file,
        .proxy = sender->config.proxy,
    };
    sender->queue = queue_create(&rules);
    sender->vault = key_vault_create();
    sender->engine = engine_create(LIMIT_DELIVERY_ACTIVE);
    sender->arena = arena_create(ENDPOINT_ARENA_BYTES);
    return sender->queue != NULL && sender->vault != NULL && sender->engine != NULL &&
           sender->arena != NULL;
}

static bool sender_start_thread(struct sender *sender)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&sender->thread, NULL, sender_run, sender) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static enum status sender_launch(struct sender *sender, struct problem *problem)
{
    const struct ledger_rules rules = {
        .ops = &sender->config.ops,
        .poll_ms = sender->config.poll_ms > 0 ? sender->config.poll_ms : 250,
        .room = ledger_room,
        .take = ledger_take,
        .context = sender,
    };
    enum status status = ledger_start(&rules, &sender->ledger, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (!sender_start_thread(sender)) {
        ledger_stop(sender->ledger, 0);
        return problem_set(problem, STATUS_BROKEN, "internal", "no thread for the sender");
    }
    return STATUS_OK;
}

enum status sender_start(const struct sender_config *config, struct sender **out_sender,
                         struct problem *problem)
{
    assert(config->ops.endpoint != NULL);
    assert(config->ops.claim != NULL);
    assert(config->ops.settle != NULL);
    assert(config->ops.renew != NULL);
    struct address_guard guard;
    struct port_rule ports;
    enum status status = address_guard_init(&guard, config->allow_networks, problem);
    if (status == STATUS_OK) {
        status = port_rule_init(&ports, config->allow_ports, config->allow_http, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL || sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(sender);
        return problem_set(problem, STATUS_BROKEN, "internal", "the libraries do not start");
    }
    sender->config = *config;
    sender->guard = guard;
    sender->ports = ports;
    pthread_mutex_init(&sender->inbox_lock, NULL);
    status = sender_prepare(sender)
                 ? sender_launch(sender, problem)
                 : problem_set(problem, STATUS_BROKEN, "internal", "no memory for the sender");
    if (status != STATUS_OK) {
        sender_free(sender);
        return status;
    }
    *out_sender = sender;
    return STATUS_OK;
}

void sender_stop(struct sender *sender, int64_t deadline_ms)
{
    if (sender->joined) {
        return;
    }
    atomic_store(&sender->stop_at_ms, deadline_ms);
    atomic_store(&sender->stopping, true);
    engine_wake(sender->engine);
    pthread_join(sender->thread, NULL);
    ledger_stop(sender->ledger, deadline_ms);
    sender->joined = true;
}

void sender_destroy(struct sender *sender)
{
    if (sender == NULL) {
        return;
    }
    sender_stop(sender, 0);
    sender_free(sender);
}
