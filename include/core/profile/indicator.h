#ifndef CORE_PROFILE_INDICATOR_H
#define CORE_PROFILE_INDICATOR_H

/*
 * Indicators ("smart data") every profile has: engagement, buying habits,
 * purchase cycle. Folds like features, but always there.
 *
 * Kept: the newest 64 opens and clicks of mail (machine opens are not among
 * them), and the newest 32 counted orders with instant, channel and platform.
 * Everything shown is evaluated from these at an instant, never accumulated
 * (correctness 24): the score is an integer sum of weight x 2^(-age / 14 d) in
 * millionths from a table, the same on every machine and in every order of
 * arrival.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/id.h"
#include "base/instant.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/order/order.h"

struct indicator_act { /* an open or a click */
    int64_t at_ms;
    uint64_t id; /* the first 8 bytes of the event's id: order among equal instants */
    bool is_click;
};

struct indicator_order {
    int64_t at_ms;
    uint64_t ref_hash; /* which order: to take it away again */
    struct str channel;
    struct str platform;
    struct str place;
};

struct indicators {
    struct indicator_act *acts; /* newest first by (at, id) */
    size_t act_count;
    int64_t last_opened_at_ms; /* INSTANT_NONE: never */
    int64_t last_clicked_at_ms;
    struct indicator_order *orders; /* newest first by (at, ref) */
    size_t order_count;
    int64_t dropped_order_ms; /* the newest order thrown away; INSTANT_NONE: none */
    bool is_incomplete;       /* one was taken away after one was thrown away */
};

void indicators_init(struct indicators *indicators);

/* Email opens and clicks; other events change nothing (false). The arrays are
 * replaced, never changed in place. *out_failed when the arena is full. */
bool indicators_add_event(struct arena *arena, struct indicators *indicators,
                          const struct event *event, bool *out_failed);
/* A counted order comes or goes, as it was when it was counted. */
NODISCARD bool indicators_add_order(struct arena *arena, struct indicators *indicators,
                                    const struct order *order);
NODISCARD bool indicators_remove_order(struct arena *arena, struct indicators *indicators,
                                       const struct order *order);
NODISCARD bool indicators_absorb(struct arena *arena, struct indicators *indicators,
                                 const struct indicators *loser);

/* Millionths of points; false without any mail act: the score is null. */
bool engagement_score(const struct indicators *indicators, int64_t at_ms, int64_t *out_score);
/* The first instant after at_ms at which the score's comparison with `threshold`
 * (millionths) differs from now's; INSTANT_NEVER. By bisection: the score only
 * falls without new acts. */
int64_t engagement_crossing(const struct indicators *indicators, int64_t at_ms, int64_t threshold,
                            bool or_equal);
/* "high" (>= 10 points), "medium" (>= 3), "low"; NULL without mail. Until: when
 * the level changes by time alone. */
const char *engagement_level(const struct indicators *indicators, int64_t at_ms,
                             int64_t *out_until_ms);

/* Median interval between consecutive kept orders, in ms; false below 3 orders
 * (two intervals). */
bool cycle_median(const struct indicators *indicators, int64_t *out_ms);
/* early: before 0.8 of the median; due: up to 1.5; overdue after. NULL without a
 * median. Until: the exact edge. */
const char *cycle_stage(const struct indicators *indicators, int64_t at_ms, int64_t *out_until_ms);

struct habits {
    const char *top_weekday; /* "friday"; NULL without orders */
    int top_hour;            /* 0 to 23; -1 without orders */
    struct str top_platform; /* empty: unknown */
    struct str top_channel;
    struct str top_place;
};
/* The most frequent of the kept orders; ties go to the newest. Weekday and hour
 * are local time of `zone`: the ruleset's, so that a rule says what the profile's
 * JSON shows. NULL: UTC. */
void habits_of(const struct indicators *indicators, const struct zone *zone,
               struct habits *out_habits);

NODISCARD bool indicators_encode(const struct indicators *indicators, struct buf *buf);
/* Reads from the front of *rest and advances it. False on impossible bytes. */
NODISCARD bool indicators_decode(struct arena *arena, struct str *rest,
                                 struct indicators *out_indicators);

#endif
