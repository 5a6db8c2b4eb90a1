#ifndef DELIVER_PACE_H
#define DELIVER_PACE_H

/*
 * When may an endpoint be sent to? Its rate, and whether it is believed to be up.
 * Pure: time and chance are arguments. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At most `count` starts in any `per_ms`, as long as it is not slowed down. Zeroed: no
 * limit. */
struct pace {
    uint32_t count; /* 0: as fast as it goes */
    int64_t per_ms;
    uint32_t slots; /* each stands for `group` starts */
    uint32_t group;
    uint32_t in_group;   /* starts that the newest slot stands for */
    uint32_t newest;     /* index */
    uint32_t filled;     /* slots that were ever used */
    uint32_t effective;  /* slots that may be used in per_ms now */
    int64_t *started_ms; /* of each slot the last start */
};

/* Forgets what was counted when the rate is another one. False: no memory, and no
 * limit. */
bool pace_set(struct pace *pace, uint32_t count, int64_t per_ms);
void pace_finish(struct pace *pace);
/* The first instant, not before now_ms, at which one may start. */
int64_t pace_ready_ms(const struct pace *pace, int64_t now_ms);
void pace_start(struct pace *pace, int64_t now_ms);
void pace_halve(struct pace *pace);
void pace_recover(struct pace *pace); /* a sixteenth of the whole */

/*
 * The breaker of one endpoint.
 *
 *            too many failures in a row          its time is over
 *   CLOSED ----------------------> OPEN -------------------------> HALF_OPEN
 *      ^                            ^                              |     |
 *      |                            '------- another failure ------'     |
 *      '------------------------------ an answer ------------------------'
 */
enum breaker_state {
    BREAKER_CLOSED,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN /* one at a time */
};

struct breaker {
    uint32_t failures; /* in a row, by weight */
    int64_t wait_ms;   /* 0: closed */
    int64_t open_until_ms;
};

enum breaker_state breaker_state(const struct breaker *breaker, int64_t now_ms);
/* It opens at BREAKER_WEIGHT_MAX: after five silences, or twenty answers of 5xx. */
enum {
    BREAKER_WEIGHT_FAILED = 1,
    BREAKER_WEIGHT_SILENT = 4,
    BREAKER_WEIGHT_MAX = 20,
};
void breaker_fail(struct breaker *breaker, uint32_t weight, int64_t now_ms, uint32_t jitter);
void breaker_heal(struct breaker *breaker);

#endif
