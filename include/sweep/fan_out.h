#ifndef SWEEP_FAN_OUT_H
#define SWEEP_FAN_OUT_H

/*
 * Fan-outs: a fact about the world rings the triggers of those whom it concerns, one
 * customer after the other. Its own thread and connection, below live traffic.
 */

#include <stdint.h>

#include "base/status.h"
#include "store/registry.h"
#include "sweep/hand_over.h"

struct fan_out;

struct fan_out_config {
    const char *database_url;
    struct registry *registry;
    struct sweep_sender sender;
    /* As traffic.h has it: while webhooks come, each chunk is followed by a rest. */
    int64_t (*ingested)(void *app);
    void (*report)(void *app, const char *work, const struct problem *problem);
    void *app;
};

NODISCARD enum status fan_out_start(const struct fan_out_config *config, struct fan_out **out_fan,
                                    struct problem *problem);
/* A fact may have been written: look at once. Any thread. */
void fan_out_hint(struct fan_out *fan);
void fan_out_stop(struct fan_out *fan);

#endif
