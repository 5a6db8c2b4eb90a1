#ifndef SWEEP_TRAFFIC_H
#define SWEEP_TRAFFIC_H

/*
 * Do webhooks come? Work that could wait, or that is faster than it has to be,
 * asks before each step and makes room for them: shorter steps, a rest after each.
 * Each thread has its own; the answer is worked out anew four times a second, and
 * who has nothing to do asks as often, lest it speak of an hour ago.
 */

#include <stdbool.h>
#include <stdint.h>

struct traffic {
    /* How many events the intake has taken so far. NULL: none ever do. */
    int64_t (*ingested)(void *app);
    void *app;
    int64_t taken; /* as of the look before */
    int64_t looked_ms;
    bool is_live;
};

bool traffic_is_live(struct traffic *traffic);

#endif
