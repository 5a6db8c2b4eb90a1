#ifndef STORE_SEAL_H
#define STORE_SEAL_H

/*
 * Secrets at rest: XChaCha20-Poly1305 under a key derived from the master key,
 * bound to the row that holds them, so that no row's secret opens in another.
 * Record: version byte, 24-byte nonce, ciphertext and tag. And the keyed hash
 * of API keys. The master key stays in memory that is locked and wiped.
 */

#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"

struct seal;

enum {
    SEAL_MASTER_KEY_SIZE = 32,
    SEAL_HASH_SIZE = 32
};

/* `master_key` is SEAL_MASTER_KEY_SIZE bytes; copied. */
NODISCARD enum status seal_create(const uint8_t *master_key, struct seal **out_seal);
void seal_destroy(struct seal *seal);

/* Where sealed secrets lie. */
#define SOURCE_SECRET_TABLE "source_secret"
#define SUBSCRIPTION_SECRET_TABLE "subscription_secret"

/* `table` and `row_id` are bound into the record. */
NODISCARD enum status seal_close(const struct seal *seal, struct arena *arena, const char *table,
                                 struct id row_id, struct str plain, struct str *out_sealed);
/* STATUS_DENIED when it was sealed under another key or for another row. */
NODISCARD enum status seal_open(const struct seal *seal, struct arena *arena, const char *table,
                                struct id row_id, struct str sealed, struct str *out_plain);

void seal_key_hash(const struct seal *seal, struct str api_key, uint8_t hash[SEAL_HASH_SIZE]);
/* MAC for page tokens. */
void seal_token_mac(const struct seal *seal, struct str token, uint8_t mac[16]);

#endif
