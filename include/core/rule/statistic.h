#ifndef CORE_RULE_STATISTIC_H
#define CORE_RULE_STATISTIC_H

/*
 * What percentile(attribute, p) compares with: thresholds computed now and then
 * over all customers, kept as versioned rows (correctness 20). A decision
 * takes the version in force as an input, like the clock.
 *
 * percentile(orders.average_value, p) is over all counted orders of 365 days,
 * by their own value; all others are over the profiles that have the attribute.
 * Under STATISTIC_COUNT_MIN there is no threshold: the comparison is with null.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/rule/name.h"

struct statistic {
    enum rule_attribute attribute;
    int64_t n;
    const int64_t *percents;   /* millionths of 0 to 100, ascending */
    const int64_t *thresholds; /* in the attribute's own scale: millionths, or ms for instants */
    size_t count;
};

struct statistics {
    int64_t version; /* of the whole set; 0: never computed */
    const struct statistic *items;
    size_t count;
};

enum {
    STATISTIC_COUNT_MIN = 100
};

/* False: not computed, or over too few. */
bool statistics_percentile(const struct statistics *statistics, enum rule_attribute attribute,
                           int64_t percent, int64_t *out_threshold);

/* The quintile (1 to 5) of a value by the thresholds at 20, 40, 60, 80; equal is
 * the lower one. 0: not known. */
int statistics_quintile(const struct statistics *statistics, enum rule_attribute attribute,
                        int64_t value);

#endif
