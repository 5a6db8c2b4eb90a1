#ifndef STORE_STATISTIC_PRIV_H
#define STORE_STATISTIC_PRIV_H

/*
 * Which attributes have percentiles: by their place in the list, which is also
 * the `k` of the statements.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "core/rule/name.h"

enum statistic_kind {
    STATISTIC_ORDER_VALUE, /* of orders; all others are of profiles */
    STATISTIC_COUNT,
    STATISTIC_REVENUE,
    STATISTIC_NET,
    STATISTIC_LARGEST,
    STATISTIC_LAST_AT,
    STATISTIC_KINDS,
};

/* RULE_ORDERS_AVERAGE_VALUE for orders' values, and so on. */
enum rule_attribute statistic_attribute_of(enum statistic_kind kind);
/* STATISTIC_KINDS when there is none. */
enum statistic_kind statistic_kind_of(enum rule_attribute attribute);

/* What a profile `p` is ranked by, as rows (k, v). $6 is the greatest number of
 * minor units that fits, $7 what one is worth in millionths; what does not fit
 * is null. */
#define STATISTIC_REVENUE_SQL        \
    "CASE WHEN p.orders_gross_minor" \
    " BETWEEN -$6::bigint AND $6 THEN p.orders_gross_minor * $7::bigint END"
#define STATISTIC_NET_SQL                                      \
    "CASE WHEN p.orders_gross_minor - p.orders_refunded_minor" \
    " BETWEEN -$6::bigint AND $6"                              \
    " THEN (p.orders_gross_minor - p.orders_refunded_minor) * $7::bigint END"
#define STATISTIC_LARGEST_SQL          \
    "CASE WHEN p.orders_largest_minor" \
    " BETWEEN -$6::bigint AND $6 THEN p.orders_largest_minor * $7::bigint END"
#define STATISTIC_LAST_AT_SQL "(extract(epoch FROM p.orders_last_at) * 1000)::bigint"
#define STATISTIC_PROFILE_VALUES                                                             \
    " (1, p.orders_count * 1000000), (2, " STATISTIC_REVENUE_SQL "), (3, " STATISTIC_NET_SQL \
    "), (4, " STATISTIC_LARGEST_SQL "), (5, " STATISTIC_LAST_AT_SQL ")"

/* Millionths that one minor unit of a currency is worth. */
int64_t statistic_minor_worth(struct str currency);

#endif
