#include <assert.h>

#include "base/instant.h"
#include "program_priv.h"

/*
 * When does a comparison with time turn?
 *
 * Ages grow by a millisecond each millisecond, so a comparison with a constant
 * has one edge: at since + d, or one tick later (correctness 13). Years and days
 * are whole numbers that step at midnights (UTC) or at multiples of a day from an
 * instant; the edge is where the number first passes the constant.
 *
 * "=" holds for one tick or one step only, and so has two edges.
 */

int64_t turn_add(int64_t a_ms, int64_t b_ms)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(a_ms, b_ms, &sum)) {
        return b_ms > 0 ? INSTANT_NEVER : INSTANT_NONE;
    }
    return sum;
}

static bool order_holds(enum rule_op op, int64_t left, int64_t right)
{
    switch ((int)op) {
    case RULE_OP_EQ:
        return left == right;
    case RULE_OP_NE:
        return left != right;
    case RULE_OP_LT:
        return left < right;
    case RULE_OP_LE:
        return left <= right;
    case RULE_OP_GT:
        return left > right;
    case RULE_OP_GE:
        return left >= right;
    default:
        assert(false); /* an order is one of the above */
        return false;
    }
}

static void lower(int64_t *until_ms, int64_t at_ms)
{
    *until_ms = at_ms < *until_ms ? at_ms : *until_ms;
}

bool turn_age(enum rule_op op, int64_t since_ms, int64_t duration_ms, int64_t at_ms,
              int64_t *out_until_ms)
{
    int64_t edge_ms = turn_add(since_ms, duration_ms);
    bool verdict = order_holds(op, at_ms, edge_ms);
    if (at_ms < edge_ms && order_holds(op, edge_ms, edge_ms) != verdict) {
        lower(out_until_ms, edge_ms);
    } else if (at_ms <= edge_ms && order_holds(op, 1, 0) != verdict) {
        lower(out_until_ms, turn_add(edge_ms, 1));
    }
    return verdict;
}

enum {
    DAYS_FAR = 10 * 1000 * 1000, /* beyond all calendars, and times a day it fits */
    LEAP_YEARS_APART = 9,
};

/* --- whole numbers against a constant in millionths ------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool whole_holds(enum rule_op op, int64_t whole, int64_t constant)
{
    int64_t number = 0;
    if (__builtin_mul_overflow(whole, RULE_NUMBER_ONE, &number)) {
        return false;
    }
    return order_holds(op, number, constant);
}

/* The verdict over whole numbers changes only next to the constant: at the last
 * that is not above it or the first that is not below it, and their neighbours.
 * Going up from `whole`, the first at which it differs; false when none. */
static bool next_up(enum rule_op op, int64_t whole, int64_t constant, int64_t *out_whole)
{
    bool verdict = whole_holds(op, whole, constant);
    int64_t below = floor_div(constant, RULE_NUMBER_ONE);
    for (int64_t candidate = below; candidate <= below + 2; candidate++) {
        if (candidate > whole && whole_holds(op, candidate, constant) != verdict) {
            *out_whole = candidate;
            return true;
        }
    }
    return false;
}

static bool next_down(enum rule_op op, int64_t whole, int64_t constant, int64_t *out_whole)
{
    bool verdict = whole_holds(op, whole, constant);
    int64_t below = floor_div(constant, RULE_NUMBER_ONE);
    for (int64_t candidate = below + 1; candidate >= below - 1; candidate--) {
        if (candidate < whole && whole_holds(op, candidate, constant) != verdict) {
            *out_whole = candidate;
            return true;
        }
    }
    return false;
}

/* --- calendar ---------------------------------------------------------------- */

struct civil {
    int year;
    int month;
    int day;
};

static struct civil civil_of(int64_t days)
{
    struct civil civil = { 0 };
    instant_civil_from_days(days, &civil.year, &civil.month, &civil.day);
    return civil;
}

/* The day of `birth`'s anniversary in a year. 29 February is 1 March where it
 * does not exist: the count of days runs on. */
static int64_t anniversary(const struct civil *birth, int year)
{
    return instant_days_from_civil(year, birth->month, birth->day);
}

/* Days beyond the years 1 to 9999 are no dates; the range keeps years an int. */
static bool is_calendar(int64_t days)
{
    return days > -800000 && days < 3000000;
}

int64_t turn_years(int64_t days, int64_t at_ms, int64_t *out_until_ms)
{
    int64_t today = floor_div(at_ms, INSTANT_DAY_MS);
    if (!is_calendar(days) || !is_calendar(today)) {
        return 0;
    }
    struct civil birth = civil_of(days);
    struct civil now = civil_of(today);
    bool is_past = today >= anniversary(&birth, now.year);
    lower(out_until_ms, anniversary(&birth, now.year + (is_past ? 1 : 0)) * INSTANT_DAY_MS);
    return now.year - birth.year - (is_past ? 0 : 1);
}

bool turn_years_compare(enum rule_op op, int64_t days, int64_t constant, int64_t at_ms,
                        int64_t *out_until_ms)
{
    int64_t step_ms = INSTANT_NEVER;
    int64_t years = turn_years(days, at_ms, &step_ms);
    int64_t next = 0;
    if (is_calendar(days) && next_up(op, years, constant, &next) && next < 10000) {
        struct civil birth = civil_of(days);
        lower(out_until_ms, anniversary(&birth, birth.year + (int)next) * INSTANT_DAY_MS);
    }
    return whole_holds(op, years, constant);
}

/* From `today` on: 0 on the day itself. */
static int64_t days_to_anniversary(int64_t days, int64_t today)
{
    struct civil birth = civil_of(days);
    int year = civil_of(today).year;
    int64_t next = anniversary(&birth, year);
    next = next >= today ? next : anniversary(&birth, year + 1);
    return next - today;
}

/* Rounded up: it falls by one at each whole number of days before the instant. */
static int64_t days_to_instant(int64_t target_ms, int64_t at_ms)
{
    int64_t left_ms = 0;
    if (__builtin_sub_overflow(target_ms, at_ms, &left_ms)) {
        return 0;
    }
    return left_ms / INSTANT_DAY_MS + (left_ms % INSTANT_DAY_MS > 0);
}

int64_t turn_days(struct rule_value value, int64_t at_ms, int64_t *out_until_ms)
{
    int64_t today = floor_div(at_ms, INSTANT_DAY_MS);
    if (value.type == RULE_DATE) {
        if (!is_calendar(value.days) || !is_calendar(today)) {
            return 0;
        }
        lower(out_until_ms, (today + 1) * INSTANT_DAY_MS);
        return days_to_anniversary(value.days, today);
    }
    int64_t days = days_to_instant(value.ms, at_ms);
    lower(out_until_ms, turn_add(value.ms, -(days - 1) * INSTANT_DAY_MS));
    return days;
}

/* The number falls to 0 on the day and then starts again from that of the next
 * year: 364, or 365 before a leap day. Leap years are at most eight years apart,
 * so what has not turned by then never does. */
static void date_turn(enum rule_op op, int64_t days, int64_t constant, int64_t at_ms,
                      int64_t *out_until_ms)
{
    int64_t today = floor_div(at_ms, INSTANT_DAY_MS);
    int64_t left = days_to_anniversary(days, today);
    bool verdict = whole_holds(op, left, constant);
    int64_t next = 0;
    if (next_down(op, left, constant, &next) && next >= 0) {
        lower(out_until_ms, (today + left - next) * INSTANT_DAY_MS);
        return;
    }
    int64_t after = today + left + 1;
    for (int year = 0; year < LEAP_YEARS_APART; year++) {
        int64_t from = days_to_anniversary(days, after);
        if (whole_holds(op, from, constant) != verdict) {
            lower(out_until_ms, after * INSTANT_DAY_MS);
            return;
        }
        if (next_down(op, from, constant, &next) && next >= 0) {
            lower(out_until_ms, (after + from - next) * INSTANT_DAY_MS);
            return;
        }
        after += from + 1;
    }
}

bool turn_days_compare(enum rule_op op, struct rule_value value, int64_t constant, int64_t at_ms,
                       int64_t *out_until_ms)
{
    int64_t step_ms = INSTANT_NEVER;
    int64_t days = turn_days(value, at_ms, &step_ms);
    int64_t next = 0;
    if (value.type == RULE_DATE) {
        if (step_ms != INSTANT_NEVER) {
            date_turn(op, value.days, constant, at_ms, out_until_ms);
        }
    } else if (next_down(op, days, constant, &next) && next > -DAYS_FAR && next < DAYS_FAR) {
        lower(out_until_ms, turn_add(value.ms, -next * INSTANT_DAY_MS));
    }
    return whole_holds(op, days, constant);
}

bool turn_multiply(int64_t a, int64_t b, int64_t *out_product)
{
    /* Both split at the point; all four products have the sign of a * b. */
    int64_t a_whole = a / RULE_NUMBER_ONE;
    int64_t a_rest = a % RULE_NUMBER_ONE;
    int64_t b_whole = b / RULE_NUMBER_ONE;
    int64_t b_rest = b % RULE_NUMBER_ONE;
    int64_t rest = a_rest * b_rest;
    int64_t half = rest < 0 ? -RULE_NUMBER_ONE / 2 : RULE_NUMBER_ONE / 2;
    int64_t product = 0;
    int64_t part = 0;
    bool overflows = __builtin_mul_overflow(a_whole, b, &product);
    overflows = __builtin_mul_overflow(a_rest, b_whole, &part) || overflows;
    overflows = __builtin_add_overflow(product, part, &product) || overflows;
    overflows =
        __builtin_add_overflow(product, (rest + half) / RULE_NUMBER_ONE, &product) || overflows;
    if (overflows) {
        return false;
    }
    *out_product = product;
    return true;
}
