#ifndef CORE_RULE_VALUE_H
#define CORE_RULE_VALUE_H

/*
 * The values of the rule language: small, plain, exact.
 *
 * A number is a decimal with six digits after the point in an int64: money and
 * averages compare exactly, and the same facts give the same verdict on every
 * machine (correctness 24: no float is stored or compared). Range: up to
 * 9.2e12. Results of * and / are rounded half away from zero, as PostgreSQL's
 * round(numeric, 6) does, so that a filter pushed down to SQL agrees; what does
 * not fit is null.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum rule_type {
    RULE_NULL, /* the value null; as a static type: not known before run time */
    RULE_BOOL,
    RULE_NUMBER,
    RULE_TEXT,
    RULE_INSTANT,
    RULE_DURATION,
    RULE_DATE, /* a calendar day without time: days since 1970 */
    RULE_LIST, /* of texts and numbers */
};

#define RULE_NUMBER_ONE INT64_C(1000000)

struct rule_value {
    enum rule_type type;
    union {
        bool boolean;
        int64_t number; /* millionths */
        int64_t ms;     /* RULE_INSTANT, RULE_DURATION */
        int64_t days;   /* RULE_DATE */
        struct str text;
        struct {
            const struct rule_value *items;
            size_t count;
        } list;
    };
};

#define RULE_VALUE_NULL ((struct rule_value){ .type = RULE_NULL })

const char *rule_type_name(enum rule_type type); /* "a number", "a text", ... for messages */

/* The decimal text "-12.5" exactly; false when it is none, has more than six
 * digits after the point that are not 0, or does not fit. An exponent is taken
 * (JSON numbers have one). */
bool rule_number_parse(struct str text, int64_t *out_number);
/* The shortest text; into at least 24 bytes. Returns its size. */
size_t rule_number_format(int64_t number, char *text);
/* numerator / denominator in millionths, rounded half away from zero; false
 * when the denominator is 0 or the result does not fit. */
bool rule_number_ratio(int64_t numerator, int64_t denominator, int64_t *out_number);
/* Minor units of a currency with `decimals` digits. False when it does not fit. */
bool rule_number_from_minor(int64_t minor, int decimals, int64_t *out_number);

/* A scalar or array of JSON text (as adapters wrote it) as a value: texts
 * unescaped into the arena, arrays as lists of their scalars (at most
 * RULE_LIST_ITEMS_MAX; the rest is left out), null and objects as null. Texts
 * without an escape are borrowed. A full arena gives null. */
struct rule_value rule_value_from_json(struct arena *arena, struct str json);

/* The value as `type`, if it is exactly one: a decimal text as a number, an RFC
 * 3339 text as an instant, "2026-11-22" as a date or (its midnight UTC) an
 * instant, a number as a text. Null when it is not. */
struct rule_value rule_value_as(struct arena *arena, struct rule_value value, enum rule_type type);

/* Equality and order of two values of one type; of different types, never
 * equal and unordered. Texts by bytes. */
bool rule_value_equal(struct rule_value a, struct rule_value b);
/* *out_order < 0, 0, > 0; false when they have no order (null, lists, bools). */
bool rule_value_compare(struct rule_value a, struct rule_value b, int *out_order);

enum {
    RULE_LIST_ITEMS_MAX = 256
};

#endif
