#include "sweep/hand_over.h"

#include "base/clock.h"
#include "base/limits.h"

/*
 * Invariant: what is handed over is committed, and leased to this instance in that very
 * commit: no other can send it meanwhile, and what is lost on the way is claimed later.
 */

enum status sweep_save(const struct sweep_sender *sender, struct batch *batch,
                       const struct decision_rows *rows, struct problem *problem)
{
    struct batch_save save = { .rows = rows, .raises_due = true, .may_lag = true };
    struct delivery *deliveries = NULL;
    size_t count = 0;
    size_t wanted = 0;
    for (size_t i = 0; i < rows->notification_count; i++) {
        wanted += rows->notifications[i].subscription_count;
    }
    bool leases = sender->room != NULL && sender->hand_over != NULL && wanted > 0 &&
                  sender->room(sender->app) >= wanted;
    if (leases) {
        save.lease_owner = sender->instance_id;
        save.lease_until_ms = clock_now_ms() + LIMIT_DELIVERY_LEASE_MS;
    }
    enum status status = batch_save(batch, &save, &deliveries, &count, problem);
    if (status == STATUS_OK && leases && count > 0) {
        (void)sender->hand_over(sender->app, deliveries, count);
    }
    return status;
}
