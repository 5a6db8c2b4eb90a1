#ifndef DELIVER_SENDER_PRIV_H
#define DELIVER_SENDER_PRIV_H

/*
 * The parts of the sending thread (sender.c tells how they go together):
 * copies of deliveries in memory, endpoints as outlets, flights (attempts under
 * way), verdicts on them, and leases. All of it is the sending thread's own,
 * except what is said to be for any thread.
 */

#include <pthread.h>
#include <stdatomic.h>

#include <curl/curl.h>

#include "deliver/address_guard.h"
#include "deliver/checker.h"
#include "deliver/engine.h"
#include "deliver/gate.h"
#include "deliver/key_vault.h"
#include "deliver/ledger.h"
#include "deliver/port_rule.h"
#include "deliver/queue.h"
#include "deliver/sender.h"
#include "deliver/settler.h"
#include "deliver/transfer.h"

/* What is kept for a lane: its endpoint as of fresh_until_ms, and transfers that are
 * not in use. */
struct outlet {
    struct destination *destination;
    struct lane_limits limits;
    int64_t max_age_ms;
    int64_t fresh_until_ms;
    int64_t gone_until_ms;
    bool active;
    bool asks_first;
    struct flight *idle;
    size_t *idle_count;   /* of all outlets */
    size_t gate_held_max; /* as the gate was last told */
    int64_t gate_closed_until_ms;
};

struct flight {
    struct flight *next;     /* of the outlet's idle ones */
    struct flight *air_next; /* of those under way */
    struct flight *air_before;
    struct transfer *transfer;
    struct lane *lane;
    struct queued *queued;
    int64_t at_ms;
    int64_t started_us;
    enum native_format format;
    bool is_of_batch; /* its transfer keeps a long answer */
};

struct sender {
    struct sender_config config;
    struct address_guard guard;
    struct port_rule ports;
    struct transfer_rules rules;
    struct ledger *ledger;
    struct settler *settler;
    struct checker *checker;
    struct engine *engine;
    struct gate *gate;
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
    size_t idle_count;   /* flights kept by outlets */
    size_t asking_count; /* copies that wait for permission */
    int64_t tend_at_ms;
    size_t renewal_room;
    size_t renewal_count;
    struct delivery *renewal;
};

/* --- copies.c -------------------------------------------------------------- */

/* Destroys a copy; its row is another matter. */
void copy_drop(struct sender *sender, struct queued *queued);
/* And gives its lease back, so that it may be claimed again at once. */
void copy_give_back(struct sender *sender, struct queued *queued);
/* For queue_sweep, with the sender as context. */
bool copy_keep_none(void *context, struct queued *queued);
bool copy_keep_none_leased(void *context, struct queued *queued);
/* Moves what was handed over into the lanes. */
void inbox_empty(struct sender *sender);

/* --- outlets.c ------------------------------------------------------------- */

/* Made at first; NULL: no memory. */
struct outlet *outlet_of(struct sender *sender, struct lane *lane);
void outlet_destroy(void *data);
/* True when something may be sent to the lane's endpoint now. */
bool outlet_refresh(struct sender *sender, struct lane *lane, struct outlet *outlet,
                    const struct delivery *delivery);
/* Tells the gate what became of the lane, and gives back what it may not keep. */
void outlet_publish(struct sender *sender, struct lane *lane, struct outlet *outlet);
/* Nothing may be sent to it for now (paused, held, not known here): gives back what
 * waits, and claims leave it alone for a moment, or they would go in a circle. */
void outlet_shut(struct sender *sender, struct lane *lane, struct outlet *outlet);
/* For queue_retire. */
void outlet_retired(void *context, struct id subscription_id);

/* --- verdict.c: what became of an attempt ----------------------------------- */

/* The app learns of a 410 with the settlement; until then we know it here. */
#define ENDPOINT_GONE_MS 5000

void verdict_settle(struct sender *sender, const struct settlement *settlement);
/* Has any of it expired? */
bool verdict_is_expired(const struct delivery *delivery, int64_t max_age_ms, int64_t now_ms);
/* Nothing is sent: what has a reason (by member, or the one) or expired is settled, the
 * rest of a batch is freed for another. `reasons` may be NULL. */
void verdict_drop(struct sender *sender, const struct delivery *delivery, const struct str *reasons,
                  int64_t max_age_ms, int64_t now_ms);
/* Ends it without a call. */
void verdict_unsent(struct sender *sender, const struct delivery *delivery, struct str why,
                    int64_t now_ms);
/* Settles a flight by its result; returns what it told of the endpoint. */
struct lane_report verdict_of_flight(struct sender *sender, const struct flight *flight,
                                     const struct transfer_result *result, int64_t now_ms);

/* --- flights.c -------------------------------------------------------------- */

/* False when it could not be started; the copy is the caller's again. start_by_us is of
 * the clock that never jumps; 0: whenever. */
bool flight_start(struct sender *sender, struct lane *lane, struct queued *queued,
                  int64_t start_by_us);
void flight_end(struct sender *sender, struct flight *flight, CURLcode code);
/* Drops the flight as if it had never been: the stop's deadline. */
void flight_abort(struct sender *sender, struct flight *flight);
void flights_forget_idle(struct outlet *outlet);

/* --- turns.c ---------------------------------------------------------------- */

/* Ends the lane's turn with this copy without having sent anything. */
void turn_pass(struct sender *sender, struct lane *lane);
/* Sends what may start now. False when outcomes pile up and it has to wait. */
bool turns_start(struct sender *sender);
/* Goes on with what was asked about. */
void turns_collect_answers(struct sender *sender);
/* Asks (again) whether the copy may go. */
void turn_ask(struct sender *sender, struct lane *lane, struct queued *queued);
/* At the end, with the checker stopped: gives back what was asked about. */
void turns_end(struct sender *sender);

/* --- leases.c --------------------------------------------------------------- */

void leases_tend(struct sender *sender);
/* Gives back all that was not started. */
void leases_release(struct sender *sender);

#endif
