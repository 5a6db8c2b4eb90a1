#include "deliver/sign.h"

#include <assert.h>

#include <sodium.h>

/*
 * What makes a message ours.
 *
 * Invariant: what is signed are the bytes that are sent, in the order id,
 * timestamp, body, parted by dots; neither id nor timestamp can hold a dot, so
 * no two messages share a signed text. The verify layer has the reading half;
 * it is not shared because it compares against many secrets in constant time
 * and this only writes one.
 */

void sign_v1(const uint8_t *key, size_t key_size, struct str webhook_id, struct str timestamp_s,
             struct str body, char *text)
{
    assert(str_find(webhook_id, '.', 0) < 0);
    assert(str_find(timestamp_s, '.', 0) < 0);

    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_size);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)webhook_id.data, webhook_id.size);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)timestamp_s.data, timestamp_s.size);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)body.data, body.size);
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof(state));

    text[0] = 'v';
    text[1] = '1';
    text[2] = ',';
    sodium_bin2base64(text + 3, SIGN_V1_TEXT_SIZE - 3, mac, sizeof(mac),
                      sodium_base64_VARIANT_ORIGINAL);
}
