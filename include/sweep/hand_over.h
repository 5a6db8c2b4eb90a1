#ifndef SWEEP_HAND_OVER_H
#define SWEEP_HAND_OVER_H

/*
 * The last step of what the sweeps decide: saved, committed, and what may leave at once
 * handed to this instance's sender.
 */

#include "core/trigger/delivery.h"
#include "store/batch.h"

struct sweep_sender {
    struct id instance_id;
    size_t (*room)(void *app);
    size_t (*hand_over)(void *app, const struct delivery *deliveries, size_t count);
    void *app;
};

/* Leases what the sender has room for, saves `rows`, and hands it over once it is
 * committed. What does not fit after all keeps its lease until it runs out, then is
 * claimed. The commit does not wait for the disk (batch_save.may_lag). */
NODISCARD enum status sweep_save(const struct sweep_sender *sender, struct batch *batch,
                                 const struct decision_rows *rows, struct problem *problem);

#endif
