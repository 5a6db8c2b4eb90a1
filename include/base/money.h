#ifndef BASE_MONEY_H
#define BASE_MONEY_H

/*
 * Money is integer minor units plus an ISO 4217 code; never a float. Text of
 * shops ("749.95", "0.0", "12") is read exactly: digits beyond the currency's
 * decimals are rounded half away from zero, as the shops themselves do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    MONEY_TEXT_SIZE = 32
};

/* Three upper-case letters. Unknown codes count as having two decimals. */
bool money_currency_is_valid(struct str currency);
unsigned money_decimals(struct str currency);
/* The currencies that do not have two decimals; NULL behind the last. */
const char *money_exception(size_t index);

/* Decimal text with optional sign and exponent-free fraction. False when it
 * is not such text or does not fit (beyond 9.2e18 minor units). */
bool money_parse(struct str text, struct str currency, int64_t *out_minor);

/* "124.90", "1500" for JPY; NUL-terminated. */
void money_format(int64_t minor, struct str currency, char *text);

#endif
