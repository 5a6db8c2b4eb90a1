#include "store/seal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/*
 * Secrets at rest.
 *
 * Problem: signing secrets must be read back in plain, so they cannot be
 * hashed; a dump, a backup or a replica must not give them away; and somebody
 * who may write rows must not move a secret to a row of his own.
 *
 * Invariant: one master key, and from it one subkey a purpose, so that no
 * output of one is of use to another. A record is
 *
 *     version | nonce (24) | ciphertext | tag (16)
 *
 * with table and row id as associated data. Nonces are random: 192 bits need
 * no counter. Keys live in guarded, locked memory that is wiped when freed.
 * API keys carry 190 bits of their own, so a fast keyed hash is enough.
 *
 * Rejected: the database's pgcrypto (the key would travel in statements), and
 * a slow password hash (each request would pay for it).
 */

enum {
    SEAL_VERSION = 1,
    NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    RECORD_OVERHEAD = 1 + NONCE_SIZE + TAG_SIZE,
    TABLE_NAME_SIZE_MAX = 63,
    TOKEN_MAC_SIZE = 16,
};

_Static_assert((int)SEAL_MASTER_KEY_SIZE == (int)crypto_kdf_KEYBYTES, "the master key derives");
_Static_assert((int)SEAL_HASH_SIZE == (int)crypto_generichash_BYTES, "one hash is stored whole");

struct seal {
    uint8_t secrets_key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    uint8_t api_keys_key[crypto_generichash_KEYBYTES];
    uint8_t cursor_key[crypto_generichash_KEYBYTES];
};

/* What a record is bound to. The length goes first, so that no table's name
 * can run into the id. */
struct binding {
    uint8_t bytes[1 + TABLE_NAME_SIZE_MAX + ID_SIZE];
    size_t size;
};

static struct binding bind_to(const char *table, struct id row_id)
{
    struct binding binding = { 0 };
    size_t length = strlen(table);
    assert(length > 0 && length <= TABLE_NAME_SIZE_MAX);
    binding.bytes[0] = (uint8_t)length;
    memcpy(binding.bytes + 1, table, length);
    memcpy(binding.bytes + 1 + length, row_id.bytes, ID_SIZE);
    binding.size = 1 + length + ID_SIZE;
    return binding;
}

enum status seal_create(const uint8_t *master_key, struct seal **out_seal)
{
    if (sodium_init() < 0) {
        return STATUS_BROKEN;
    }
    struct seal *seal = sodium_malloc(sizeof(*seal));
    if (seal == NULL) {
        return STATUS_BROKEN;
    }
    crypto_kdf_derive_from_key(seal->secrets_key, sizeof(seal->secrets_key), 1, "secrets_",
                               master_key);
    crypto_kdf_derive_from_key(seal->api_keys_key, sizeof(seal->api_keys_key), 1, "apikeys_",
                               master_key);
    crypto_kdf_derive_from_key(seal->cursor_key, sizeof(seal->cursor_key), 1, "cursor__",
                               master_key);
    sodium_mprotect_readonly(seal);
    *out_seal = seal;
    return STATUS_OK;
}

void seal_destroy(struct seal *seal)
{
    sodium_free(seal);
}

enum status seal_close(const struct seal *seal, struct arena *arena, const char *table,
                       struct id row_id, struct str plain, struct str *out_sealed)
{
    size_t size = 0;
    if (!size_add(plain.size, RECORD_OVERHEAD, &size)) {
        return STATUS_LIMIT;
    }
    uint8_t *record = arena_alloc(arena, size);
    if (record == NULL) {
        return STATUS_LIMIT;
    }
    struct binding binding = bind_to(table, row_id);
    uint8_t *nonce = record + 1;
    record[0] = SEAL_VERSION;
    randombytes_buf(nonce, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        nonce + NONCE_SIZE, NULL, (const uint8_t *)plain.data, plain.size, binding.bytes,
        binding.size, NULL, nonce, seal->secrets_key);
    *out_sealed = (struct str){ (const char *)record, size };
    return STATUS_OK;
}

enum status seal_open(const struct seal *seal, struct arena *arena, const char *table,
                      struct id row_id, struct str sealed, struct str *out_plain)
{
    if (sealed.size < RECORD_OVERHEAD || sealed.data[0] != SEAL_VERSION) {
        return STATUS_DENIED;
    }
    size_t plain_size = sealed.size - RECORD_OVERHEAD;
    uint8_t *plain = arena_alloc(arena, plain_size + 1);
    if (plain == NULL) {
        return STATUS_LIMIT;
    }
    struct binding binding = bind_to(table, row_id);
    const uint8_t *nonce = (const uint8_t *)sealed.data + 1;
    int refused = crypto_aead_xchacha20poly1305_ietf_decrypt(
        plain, NULL, NULL, nonce + NONCE_SIZE, plain_size + TAG_SIZE, binding.bytes, binding.size,
        nonce, seal->secrets_key);
    if (refused != 0) {
        return STATUS_DENIED;
    }
    *out_plain = (struct str){ (const char *)plain, plain_size };
    return STATUS_OK;
}

void seal_key_hash(const struct seal *seal, struct str api_key, uint8_t hash[SEAL_HASH_SIZE])
{
    crypto_generichash(hash, SEAL_HASH_SIZE, (const uint8_t *)api_key.data, api_key.size,
                       seal->api_keys_key, sizeof(seal->api_keys_key));
}

void seal_token_mac(const struct seal *seal, struct str token, uint8_t mac[16])
{
    crypto_generichash(mac, TOKEN_MAC_SIZE, (const uint8_t *)token.data, token.size,
                       seal->cursor_key, sizeof(seal->cursor_key));
}
