#ifndef DELIVER_SIGN_H
#define DELIVER_SIGN_H

/*
 * The Standard Webhooks signatures over id.timestamp.body: v1 (HMAC-SHA256, a
 * secret that both sides know) and v1a (Ed25519, a key that only we know). Pure;
 * any thread.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    SIGN_V1_TEXT_SIZE = 3 + 44 + 1,  /* "v1," base64 of 32 bytes, NUL */
    SIGN_V1A_TEXT_SIZE = 4 + 88 + 1, /* "v1a," base64 of 64 bytes, NUL */
    SIGN_V1A_KEY_SIZE = 64,          /* the seed and the public key behind it */
    SIGN_V1A_PUBLIC_KEY_SIZE = 32,
};

/* Writes SIGN_V1_TEXT_SIZE bytes, NUL included. `timestamp_s` is the very text
 * of the webhook-timestamp header. */
void sign_v1(const uint8_t *key, size_t key_size, struct str webhook_id, struct str timestamp_s,
             struct str body, char *text);

/* How many bytes sign_v1a_message writes. */
size_t sign_v1a_message_size(struct str webhook_id, struct str timestamp_s, struct str body);
/* What is signed, in one piece, as Ed25519 needs it: it reads it twice. */
void sign_v1a_message(struct str webhook_id, struct str timestamp_s, struct str body,
                      uint8_t *message);
/* Writes SIGN_V1A_TEXT_SIZE bytes, NUL included. */
void sign_v1a(const uint8_t key[SIGN_V1A_KEY_SIZE], const uint8_t *message, size_t message_size,
              char *text);

#endif
