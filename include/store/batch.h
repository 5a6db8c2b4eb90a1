#ifndef STORE_BATCH_H
#define STORE_BATCH_H

/*
 * What one batch of a workspace's events reads and writes, in three round
 * trips: load, lock, save (correctness 2 gives the lock order and why).
 *
 *   load   BEGIN; receipts inserted; identities and order owners read
 *   lock   missing identities inserted; canonical profiles locked in key
 *          order; owners read again; orders locked; old facts looked up
 *   save   one unnest statement per table; COMMIT
 *
 * Between lock and save there are more only where a batch needs them: one when
 * orders shrank (batch_restore_extremes), one when triggers fired that ask what was
 * rung before (batch_fire), two when a profile's rules ask for its
 * history, and two for each event that made a profile lose sight of it
 * (store/bring_up.h). The sweeps claim profiles instead of load and lock.
 *
 * Every statement serves any number of rows. A new order is inserted in save:
 * should another writer have inserted it since, the unique key fails the whole
 * transaction (STATUS_CONFLICT) and the batch is loaded again, which is cheaper
 * than an empty row for every order ever placed.
 *
 * Threading: one batch, one connection, one thread. Memory: the arena.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/decide.h"
#include "core/trigger/delivery.h"
#include "store/pg.h"

struct batch_owner; /* an identifier or order named by the batch */

struct batch {
    struct pg *pg;
    struct arena *arena;
    struct id workspace_id;
    bool is_open; /* the caller began the transaction that batch_load works in */
    struct event **events;
    size_t event_count;
    bool *is_duplicate; /* per event: its receipt was there */
    bool *is_known;     /* per event: older than the receipt horizon, and its interaction exists */

    struct batch_owner *owners; /* a list, unique */
    size_t owner_count;
    struct batch_owner **owner_table; /* open addressing by identifier */
    size_t owner_table_size;
    struct decision *decision;
    size_t unreadable; /* rows claimed whose state does not decode: left out, left alone */
};

/* Events must be unique by id. */
NODISCARD enum status batch_init(struct batch *batch, struct pg *pg, struct arena *arena,
                                 struct id workspace_id, struct event **events, size_t event_count);

/* Round trip 1. Afterwards is_duplicate is filled and every identity and order
 * owner that exists was put into the decision. */
NODISCARD enum status batch_load(struct batch *batch, struct decision *decision,
                                 struct problem *problem);

enum batch_lock_outcome {
    BATCH_LOCKED,
    BATCH_STALE, /* an owner moved between load and lock: roll back and load again */
};

/* Round trip 2, after decision_plan over the events without a receipt. Profiles and
 * orders are put into the decision; is_known is filled. *out_has_news is false, and
 * nothing is locked, when every event has its receipt. */
NODISCARD enum status batch_plan_and_lock(struct batch *batch, int64_t now_ms, bool *out_has_news,
                                          enum batch_lock_outcome *out_outcome,
                                          struct problem *problem);

/* The counted orders of a profile whose contribution shrank: first, last and
 * largest are read from the orders themselves, less those in this decision. */
NODISCARD enum status batch_restore_extremes(struct batch *batch, struct problem *problem);

/* Between deciding and decision_finish: where triggers fired, what was rung before is
 * locked and given to the decision, in one round trip; else nothing is asked. */
NODISCARD enum status batch_fire(struct batch *batch, struct problem *problem);

struct batch_webhook { /* a raw delivery to keep */
    struct id id;
    struct id source_id;
    int64_t received_at_ms;
    struct str topic;
    struct str dedup_key;
    struct str headers_json;
    struct str body;
};

struct batch_save {
    const struct decision_rows *rows;
    const struct batch_webhook *webhooks;
    size_t webhook_count;
    /* Deliveries that may leave at once (not batched, and nothing earlier about an
     * ordered endpoint's customer unsettled) are leased to `lease_owner` until
     * lease_until_ms; none when it is zero. */
    struct id lease_owner;
    int64_t lease_until_ms;
    /* The sweep raises due_at to what was computed; a write only lowers it. */
    bool raises_due;
    bool orders_are_stored; /* all orders are updates (un-merge) */
    bool stays_open;        /* no COMMIT: the caller has more to say */
    bool tells_world;       /* it happens now: what changes in the catalogue is news */
    bool leaves_interests;  /* the caller makes them anew (replay) */
    /* After a crash it is decided again, to the same effect: the commit does not wait for
     * the disk. Of a webhook never. */
    bool may_lag;
};

/* Round trip 3. *out_deliveries are those whose rows were really inserted, and leased
 * if leases were asked for. */
NODISCARD enum status batch_save(struct batch *batch, const struct batch_save *save,
                                 struct delivery **out_deliveries, size_t *out_delivery_count,
                                 struct problem *problem);

/* One event that the data's own error keeps out: its receipt, the raw body and
 * the reason, in a transaction of its own. event_id zero: no receipt. */
struct batch_quarantine {
    struct id id;
    struct id source_id;
    struct id event_id;
    int64_t received_at_ms;
    struct str topic;
    struct str dedup_key;
    struct str reason;
    struct str headers_json;
    struct str body;
};
NODISCARD enum status batch_quarantine_store(struct pg *pg, struct arena *arena,
                                             struct id workspace_id,
                                             const struct batch_quarantine *quarantine,
                                             struct problem *problem);

/* Profiles due at or before `now`, locked with SKIP LOCKED in a transaction
 * left open for batch_save; at most `limit`, due at or after `floor`. */
NODISCARD enum status batch_claim_due(struct batch *batch, int64_t floor_ms, int64_t now_ms,
                                      size_t limit, struct profile ***out_profiles,
                                      size_t *out_count, struct problem *problem);
/* Profiles that stand at an older ruleset than `version`, or that wait for their
 * history. Walks on from after_id over at most walk_limit rows until `limit` are
 * found; those that nobody else holds are locked in a transaction left open. */
struct batch_behind {
    struct id after_id;
    int64_t version;
    bool only_marked; /* only those that wait for their history */
    size_t limit;
    size_t walk_limit;
};
struct batch_behind_found {
    struct profile **profiles; /* locked */
    size_t profile_count;
    size_t behind_count; /* locked or not */
    bool is_open;        /* a transaction */
    size_t walked;
    struct id last_id; /* go on behind this one */
    bool is_end;
};
NODISCARD enum status batch_claim_behind(struct batch *batch, const struct batch_behind *behind,
                                         struct batch_behind_found *out_found,
                                         struct problem *problem);

/* Those of `ids` that are canonical and that nobody else holds, locked in a
 * transaction left open. */
NODISCARD enum status batch_claim_ids(struct batch *batch, const struct id *ids, size_t count,
                                      struct profile ***out_profiles, size_t *out_count,
                                      struct problem *problem);

/* The same, waiting for whoever holds them. Who is missing was merged, or is no more. */
NODISCARD enum status batch_lock_ids(struct batch *batch, const struct id *ids, size_t count,
                                     struct profile ***out_profiles, size_t *out_count,
                                     struct problem *problem);

/* Causes of triggers that waited until now, in the order of their instants; their
 * customers are locked, those that nobody else holds, in a transaction left open (if
 * *out_found, which counts the others too, is not 0) and put into the decision. */
struct batch_due {
    int64_t floor_ms;
    int64_t now_ms;
    size_t limit;
};
NODISCARD enum status batch_claim_waiting(struct batch *batch, const struct batch_due *due,
                                          struct waiting_row **out_rows, size_t *out_count,
                                          size_t *out_found, struct problem *problem);

/* One profile as stored, not locked; *out_profile NULL when there is none.
 * Follows merged_into once. For reads. */
NODISCARD enum status batch_read_profile(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct id profile_id, struct profile **out_profile,
                                         struct problem *problem);

/* How long receipts are kept; an older event is looked up by its interaction. */
#define BATCH_RECEIPT_HORIZON_MS (32 * INSTANT_DAY_MS)

#endif
