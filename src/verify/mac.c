#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "verify_priv.h"

/*
 * Keyed hashes over pieces. SHA-256 and SHA-512 are libsodium's; SHA-1, which it
 * leaves out on purpose, is libcrypto's: two old senders sign with it, and a
 * keyed SHA-1 is not what collisions break.
 */

enum {
    SHA1_SIZE = 20,
};

size_t mac_size(enum signature_algorithm algorithm)
{
    switch (algorithm) {
    case SIGNATURE_HMAC_SHA256:
        return crypto_auth_hmacsha256_BYTES;
    case SIGNATURE_HMAC_SHA1:
        return SHA1_SIZE;
    case SIGNATURE_HMAC_SHA512:
        return crypto_auth_hmacsha512_BYTES;
    case SIGNATURE_RSA_SHA256:
    case SIGNATURE_RSA_SHA1:
    case SIGNATURE_ECDSA_SHA256:
    case SIGNATURE_BEARER:
        break;
    }
    return 0;
}

static void compute_sha256(const uint8_t *key, size_t key_size, const struct str *pieces,
                           size_t piece_count, uint8_t *mac)
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_size);
    for (size_t i = 0; i < piece_count; i++) {
        crypto_auth_hmacsha256_update(&state, (const uint8_t *)pieces[i].data, pieces[i].size);
    }
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof(state));
}

static void compute_sha512(const uint8_t *key, size_t key_size, const struct str *pieces,
                           size_t piece_count, uint8_t *mac)
{
    crypto_auth_hmacsha512_state state;
    crypto_auth_hmacsha512_init(&state, key, key_size);
    for (size_t i = 0; i < piece_count; i++) {
        crypto_auth_hmacsha512_update(&state, (const uint8_t *)pieces[i].data, pieces[i].size);
    }
    crypto_auth_hmacsha512_final(&state, mac);
    sodium_memzero(&state, sizeof(state));
}

static bool compute_sha1(const uint8_t *key, size_t key_size, const struct str *pieces,
                         size_t piece_count, uint8_t *mac)
{
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", (char[]){ "SHA1" }, 0),
                            OSSL_PARAM_construct_end() };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
    bool ok = context != NULL && EVP_MAC_init(context, key, key_size, params) == 1;
    for (size_t i = 0; ok && i < piece_count; i++) {
        ok = EVP_MAC_update(context, (const uint8_t *)pieces[i].data, pieces[i].size) == 1;
    }
    size_t size = 0;
    ok = ok && EVP_MAC_final(context, mac, &size, MAC_SIZE_MAX) == 1 && size == SHA1_SIZE;
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(hmac);
    return ok;
}

bool mac_compute(enum signature_algorithm algorithm, const uint8_t *key, size_t key_size,
                 const struct str *pieces, size_t piece_count, uint8_t mac[MAC_SIZE_MAX])
{
    switch (algorithm) {
    case SIGNATURE_HMAC_SHA256:
        compute_sha256(key, key_size, pieces, piece_count, mac);
        return true;
    case SIGNATURE_HMAC_SHA512:
        compute_sha512(key, key_size, pieces, piece_count, mac);
        return true;
    case SIGNATURE_HMAC_SHA1:
        return compute_sha1(key, key_size, pieces, piece_count, mac);
    case SIGNATURE_RSA_SHA256:
    case SIGNATURE_RSA_SHA1:
    case SIGNATURE_ECDSA_SHA256:
    case SIGNATURE_BEARER:
        break;
    }
    return false;
}
