#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "sender_priv.h"

/*
 * Leases of what waits here: renewed in one go well before they end, and given back
 * when the process stops, so that the next need not wait for them to run out.
 */

/* Renewed with two thirds left, so that two tries fit before any timeout. */
#define LEASE_RENEW_MS (LIMIT_DELIVERY_LEASE_MS * 2 / 3)

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
        delivery->target = (struct str){ NULL, 0 };
        delivery->body = (struct str){ NULL, 0 };
        delivery->members = NULL;
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
    queue_sweep(sender->queue, clock_monotonic_ms(), keep_leased, sender);
    if (sender->renewal_count == 0) {
        free(sender->renewal);
    } else {
        ledger_renew_take(sender->ledger, sender->renewal, sender->renewal_count,
                          clock_now_ms() + LIMIT_DELIVERY_LEASE_MS);
    }
    sender->renewal = NULL;
}

void leases_tend(struct sender *sender)
{
    int64_t lease_until_ms = 0;
    int64_t now_ms = clock_monotonic_ms();
    switch (ledger_renewal(sender->ledger, &lease_until_ms)) {
    case LEDGER_RENEWAL_WAITING:
        return;
    case LEDGER_RENEWAL_DONE:
        queue_sweep(sender->queue, now_ms, keep_renewed, &lease_until_ms);
        break;
    case LEDGER_RENEWAL_FAILED:
        queue_sweep(sender->queue, now_ms, keep_not_renewed, NULL);
        break;
    case LEDGER_RENEWAL_NONE:
        break;
    }
    leases_ask(sender);
}

void leases_release(struct sender *sender)
{
    inbox_empty(sender);
    queue_sweep(sender->queue, clock_monotonic_ms(), copy_keep_none_leased, sender);
}
