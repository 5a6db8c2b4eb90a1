#ifndef DELIVER_LEDGER_H
#define DELIVER_LEDGER_H

/*
 * The sender's book-keeper of leases: a thread that claims, renews and gives back
 * through sender_ops, so that no transfer waits for a commit. The other functions may
 * be called from any thread; they never wait for the database.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "deliver/sender.h"

struct ledger;

struct ledger_rules {
    const struct sender_ops *ops; /* borrowed */
    int64_t poll_ms;
    /* How many claimed deliveries fit, and the taking of them. */
    size_t (*room)(void *context);
    size_t (*take)(void *context, const struct delivery *deliveries, size_t count);
    struct sender_gate gate; /* what may be claimed for an endpoint */
    void *context;
};

enum ledger_renewal {
    LEDGER_RENEWAL_NONE,
    LEDGER_RENEWAL_WAITING, /* asked for, not answered */
    LEDGER_RENEWAL_DONE,
    LEDGER_RENEWAL_FAILED,
};

NODISCARD enum status ledger_start(const struct ledger_rules *rules, struct ledger **out_ledger,
                                   struct problem *problem);
/* Claims no more, gives back what it was told to, and joins the thread. */
void ledger_stop(struct ledger *ledger);
void ledger_destroy(struct ledger *ledger); /* stopped before; NULL is fine */

/* The delivery's lease ends now; a courtesy, without which it runs out. */
void ledger_give_back(struct ledger *ledger, const struct delivery *delivery);

/* Asks for new leases; `deliveries` (malloc'd, without texts) is taken. Only
 * when ledger_renewal says NONE. */
void ledger_renew_take(struct ledger *ledger, struct delivery *deliveries, size_t count,
                       int64_t lease_until_ms);
/* DONE and FAILED are told once and with them the lease that was asked for;
 * then it is NONE again. */
enum ledger_renewal ledger_renewal(struct ledger *ledger, int64_t *out_lease_until_ms);

#endif
