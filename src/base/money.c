#include "base/money.h"

#include <string.h>

/*
 * Decimal text to minor units and back, exactly.
 *
 * Invariant: no floating point, so 0.1 + 0.2 of a shop is 0.3 here. The only
 * loss is the documented rounding of digits beyond the currency's decimals,
 * half away from zero. Rejected: keeping such digits as a scale per amount;
 * no platform charges them, they come from unit prices.
 */

/* ISO 4217 currencies whose decimals are not two. */
static const struct {
    char code[4];
    uint8_t decimals;
} exceptions[] = {
    { "BIF", 0 }, { "CLP", 0 }, { "DJF", 0 }, { "GNF", 0 }, { "ISK", 0 }, { "JPY", 0 },
    { "KMF", 0 }, { "KRW", 0 }, { "PYG", 0 }, { "RWF", 0 }, { "UGX", 0 }, { "UYI", 0 },
    { "VND", 0 }, { "VUV", 0 }, { "XAF", 0 }, { "XOF", 0 }, { "XPF", 0 }, { "BHD", 3 },
    { "IQD", 3 }, { "JOD", 3 }, { "KWD", 3 }, { "LYD", 3 }, { "OMR", 3 }, { "TND", 3 },
    { "CLF", 4 }, { "UYW", 4 },
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool money_currency_is_valid(struct str currency)
{
    if (currency.size != 3) {
        return false;
    }
    for (size_t i = 0; i < currency.size; i++) {
        if (currency.data[i] < 'A' || currency.data[i] > 'Z') {
            return false;
        }
    }
    return true;
}

unsigned money_decimals(struct str currency)
{
    for (size_t i = 0; i < ARRAY_COUNT(exceptions); i++) {
        if (str_equal_z(currency, exceptions[i].code)) {
            return exceptions[i].decimals;
        }
    }
    return 2;
}

const char *money_exception(size_t index)
{
    return index < ARRAY_COUNT(exceptions) ? exceptions[index].code : NULL;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (!is_digit(s.data[i])) {
            return false;
        }
    }
    return s.size > 0;
}

/* value * 10 + digit; false on overflow. */
static bool push_digit(int64_t *value, int digit)
{
    return !__builtin_mul_overflow(*value, (int64_t)10, value) &&
           !__builtin_add_overflow(*value, (int64_t)digit, value);
}

static bool magnitude_of(struct str whole, struct str fraction, unsigned decimals,
                         int64_t *out_magnitude)
{
    int64_t magnitude = 0;
    for (size_t i = 0; i < whole.size; i++) {
        if (!push_digit(&magnitude, whole.data[i] - '0')) {
            return false;
        }
    }
    for (size_t i = 0; i < decimals; i++) {
        if (!push_digit(&magnitude, i < fraction.size ? fraction.data[i] - '0' : 0)) {
            return false;
        }
    }
    bool up = fraction.size > decimals && fraction.data[decimals] >= '5';
    if (__builtin_add_overflow(magnitude, (int64_t)up, &magnitude)) {
        return false;
    }
    *out_magnitude = magnitude;
    return true;
}

bool money_parse(struct str text, struct str currency, int64_t *out_minor)
{
    bool negative = str_starts_with(text, STR("-"));
    if (negative || str_starts_with(text, STR("+"))) {
        text = str_drop(text, 1);
    }
    struct str whole = text;
    struct str fraction = { 0 };
    bool has_point = str_split(text, '.', &whole, &fraction);
    int64_t magnitude = 0;
    if (!all_digits(whole) || (has_point && !all_digits(fraction)) ||
        !magnitude_of(whole, fraction, money_decimals(currency), &magnitude)) {
        return false;
    }
    *out_minor = negative ? -magnitude : magnitude;
    return true;
}

void money_format(int64_t minor, struct str currency, char *text)
{
    char digits[MONEY_TEXT_SIZE];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    unsigned decimals = money_decimals(currency);
    uint64_t left = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    /* At least one digit stands before the point. */
    for (unsigned count = 0; left > 0 || count <= decimals; count++) {
        if (count == decimals && decimals > 0) {
            digits[--at] = '.';
        }
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    }
    if (minor < 0) {
        digits[--at] = '-';
    }
    memcpy(text, digits + at, sizeof(digits) - at);
}
