#ifndef DELIVER_SIGN_H
#define DELIVER_SIGN_H

/*
 * The Standard Webhooks signature, scheme v1: HMAC-SHA256 over
 * id.timestamp.body, base64. Pure; any thread.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    SIGN_V1_TEXT_SIZE = 3 + 44 + 1
}; /* "v1," base64 of 32 bytes, NUL */

/* Writes SIGN_V1_TEXT_SIZE bytes, NUL included. `timestamp_s` is the very text
 * of the webhook-timestamp header. */
void sign_v1(const uint8_t *key, size_t key_size, struct str webhook_id, struct str timestamp_s,
             struct str body, char *text);

#endif
