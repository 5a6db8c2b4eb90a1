#ifndef API_KEY_FORMAT_H
#define API_KEY_FORMAT_H

/*
 * The form of API keys (contract 6): "sbk_", 12 base62 characters that name
 * it, "_", 32 that are secret, 6 that check the rest (CRC-32). A typing error
 * is told apart from a revoked key without a look at the table, and secret
 * scanners know it by its form. Pure but for randomness.
 */

#include <stdbool.h>

#include "base/str.h"

enum {
    API_KEY_PREFIX_SIZE = 16, /* "sbk_" and 12 */
    API_KEY_SIZE = 55,        /* without NUL */
};

/* Writes API_KEY_SIZE characters and NUL. */
void key_format_create(char *text);
/* *out_prefix borrows from the key. */
bool key_format_check(struct str key, struct str *out_prefix);

#endif
