#ifndef STORE_STATISTIC_PRIV_H
#define STORE_STATISTIC_PRIV_H

/*
 * Which attributes have percentiles: by their place in the list, which is also
 * the `k` of the statements, and by the name of their rows.
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

struct statistic_attribute {
    enum rule_attribute attribute;
    const char *name;
};

extern const struct statistic_attribute statistic_attributes[STATISTIC_KINDS];

/* STATISTIC_KINDS when there is none. */
size_t statistic_kind_of(enum rule_attribute attribute);
size_t statistic_kind_named(struct str name);

/* Millionths that one minor unit of a currency is worth. */
int64_t statistic_minor_worth(struct str currency);

#endif
