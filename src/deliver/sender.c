#include <assert.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "sender_priv.h"

/*
 * From "handed over" to "settled".
 *
 *   hand_over, claim -> inbox -> queue -> [asked] -> flight -> outcome -> settler -> database
 *                         \________\________\________\________ given back, or its lease runs out
 *
 * Four threads: this one sends and never waits for anything but the network; the
 * ledger's claims, the settler's settles, and the checker's asks the database whether
 * what is about to be sent may be. The row in the database is the truth, what is here is a copy
 * that may be dropped at any time: when its lease does not outlive an attempt (another instance may
 * own it by then), when its endpoint is gone, paused, resting or open, when its lane is
 * full, at the stop.
 *
 * Invariants:
 * - An attempt starts only if the lease outlasts its timeout (correctness 18).
 * - All attempts of a delivery, and of a batch, send the same bytes but for time and
 *   signature.
 * - Of an ordered endpoint at most one delivery about a customer is here at a time:
 *   the next is leased by the transaction that settles it (delivery_settle.c). No chain
 *   in memory could be overtaken by another instance, for there is none.
 * - No attempt starts while SETTLE_BACKLOG_MAX outcomes are unsettled: with the
 *   database away we stop ringing bells that we could not mark as rung.
 *
 * A retry is never kept here. Its row is put off and a claim brings it back;
 * that costs at most a poll interval and makes a crash while waiting a
 * non-event. Rejected: settling on this thread (a slow disk would show as a slow
 * ESP), and one thread per endpoint.
 */

/* One endpoint may fill an eighth of the memory. */
#define LANE_WAITING_MAX (LIMIT_DELIVERY_QUEUE / 8)
#define ENDPOINT_ARENA_BYTES ((size_t)256 * 1024)
#define TEND_INTERVAL_MS 1000
#define LANE_IDLE_MS 60000
#define BACKLOG_WAIT_MS 10

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

/* ---- the thread ---- */

static void tend(struct sender *sender)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < sender->tend_at_ms) {
        return;
    }
    sender->tend_at_ms = now_ms + TEND_INTERVAL_MS;
    leases_tend(sender);
    queue_retire(sender->queue, now_ms - LANE_IDLE_MS, outlet_retired, sender);
}

/* Until the next tending, or until a lane that waits for an instant may go on. */
static int wait_ms(const struct sender *sender, bool free_to_start)
{
    int64_t wake_ms = queue_wake_ms(sender->queue);
    if (!free_to_start) {
        return BACKLOG_WAIT_MS;
    }
    if (wake_ms == INT64_MAX) {
        return TEND_INTERVAL_MS;
    }
    int64_t left_ms = wake_ms - clock_monotonic_ms();
    left_ms = left_ms > 0 ? left_ms : 0;
    return left_ms < TEND_INTERVAL_MS ? (int)left_ms : TEND_INTERVAL_MS;
}

static void run_until_stop(struct sender *sender)
{
    while (!atomic_load(&sender->stopping)) {
        inbox_empty(sender);
        turns_collect_answers(sender);
        bool free_to_start = turns_start(sender);
        engine_kick(sender->engine);
        tend(sender);
        bool ended = collect_ended(sender) > 0;
        engine_wait(sender->engine, ended ? 0 : wait_ms(sender, free_to_start));
        collect_ended(sender);
    }
}

static void run_out(struct sender *sender)
{
    leases_release(sender);
    checker_stop(sender->checker);
    turns_end(sender);
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

static size_t gate_room_of(void *context, struct id subscription_id)
{
    struct sender *sender = context;
    return gate_room(sender->gate, subscription_id, clock_monotonic_ms());
}

static void wake_sender(void *context)
{
    struct sender *sender = context;
    engine_wake(sender->engine);
}

static size_t ledger_room(void *context)
{
    return sender_room(context);
}

static size_t ledger_take(void *context, const struct delivery *deliveries, size_t count)
{
    return sender_hand_over(context, deliveries, count);
}

static void sender_give_back(void *context, const struct delivery *delivery)
{
    struct sender *sender = context;
    ledger_give_back(sender->ledger, delivery);
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
    settler_destroy(sender->settler);
    ledger_destroy(sender->ledger);
    checker_destroy(sender->checker);
    gate_destroy(sender->gate);
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
    sender->gate = gate_create(LANE_WAITING_MAX);
    return sender->queue != NULL && sender->engine != NULL && sender->arena != NULL &&
           sender->gate != NULL;
}

static enum status sender_launch(struct sender *sender, struct problem *problem)
{
    const struct ledger_rules rules = {
        .ops = &sender->config.ops,
        .poll_ms = sender->config.poll_ms > 0 ? sender->config.poll_ms : 250,
        .room = ledger_room,
        .take = ledger_take,
        .gate = { .room = gate_room_of, .context = sender },
        .context = sender,
    };
    const struct checker_rules checker = {
        .ops = &sender->config.ops,
        .wake = wake_sender,
        .context = sender,
    };
    const struct settler_rules settler = {
        .ops = &sender->config.ops,
        .take = ledger_take,
        .give_back = sender_give_back,
        .context = sender,
    };
    enum status status = checker_start(&checker, &sender->checker, problem);
    if (status == STATUS_OK) {
        status = ledger_start(&rules, &sender->ledger, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = settler_start(&settler, &sender->settler, problem);
    if (status == STATUS_OK && !thread_start(&sender->thread, sender_run, sender)) {
        settler_stop(sender->settler, 0);
        status = problem_set(problem, STATUS_BROKEN, "internal", "no thread for the sender");
    }
    if (status != STATUS_OK) {
        ledger_stop(sender->ledger);
    }
    return status;
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
        if (sender->checker != NULL) {
            checker_stop(sender->checker);
        }
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
    settler_stop(sender->settler, deadline_ms);
    ledger_stop(sender->ledger);
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
