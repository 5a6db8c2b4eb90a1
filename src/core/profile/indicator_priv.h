#ifndef CORE_PROFILE_INDICATOR_PRIV_H
#define CORE_PROFILE_INDICATOR_PRIV_H

/*
 * What the fold of indicators and its codec agree on: how much is kept, in
 * which order, and between which instants.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/profile/indicator.h"

enum {
    INDICATOR_ACTS_MAX = 64,
    INDICATOR_ORDERS_MAX = 32,
    /* Of a channel, platform or place: 32 orders with three texts each stay under
     * 5 KB even if all differ. */
    INDICATOR_TEXT_BYTES_MAX = 48,
};

/* 0001-01-01 to the last millisecond of 9999, as instant_parse takes them:
 * differences and a few half-lives more never overflow. */
#define INDICATOR_AT_MIN (-INT64_C(62135596800000))
#define INDICATOR_AT_MAX INT64_C(253402300799999)

/* Negative when `a` stands before `b`: newer, or as new with the greater id. */
int indicator_act_compare(const struct indicator_act *a, const struct indicator_act *b);
int indicator_order_compare(const struct indicator_order *a, const struct indicator_order *b);

uint64_t indicator_ref_hash(const struct order *order);
/* The order as it is kept. Texts borrow from its body where they can. False when
 * the arena is full. */
bool indicator_order_of(struct arena *arena, const struct order *order,
                        struct indicator_order *out_order);

#endif
