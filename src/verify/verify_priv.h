#ifndef VERIFY_VERIFY_PRIV_H
#define VERIFY_VERIFY_PRIV_H

/* What the files of this folder share: a claim read from headers, keys, and the
 * two ways to prove a claim. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sodium.h>

#include "core/signature.h"
#include "core/source.h"
#include "verify/verify.h"

enum {
    MAC_SIZE_MAX = crypto_auth_hmacsha512_BYTES,
    /* A secret of ours is 32 characters; the longest a shop hands out is 255. */
    KEY_SIZE_MAX = 512,
};

struct key {
    const uint8_t *bytes;
    size_t size;
    bool is_ed25519; /* a public key: whpk_ */
    uint8_t scratch[KEY_SIZE_MAX];
};

/* secret.c: the bytes to sign with. False when the secret cannot be a key. */
bool key_init(struct key *key, enum signature_key_form form, struct str secret);
void key_finish(struct key *key);

/* claim.c: what the headers of the spec's families say. */
enum signature_verdict claim_read_headers(struct arena *arena, const struct signature_spec *spec,
                                          const struct inbound *inbound,
                                          struct signature_claim *claim);

/* mac.c */
size_t mac_size(enum signature_algorithm algorithm); /* 0: not a MAC */
/* False when the library fails. */
bool mac_compute(enum signature_algorithm algorithm, const uint8_t *key, size_t key_size,
                 const struct str *pieces, size_t piece_count, uint8_t mac[MAC_SIZE_MAX]);

/* public_key.c: is `signature` one of `algorithm` by this key over the pieces?
 * The key is PEM (a public key or a certificate that is valid now), base64 of
 * DER, or a JSON Web Key Set. False for whatever is not so. */
struct public_key {
    struct str document;
    struct str id;  /* of a key set; empty: the only one */
    int64_t now_ms; /* a certificate is of its time */
};
bool public_key_verify(enum signature_algorithm algorithm, const struct public_key *public_key,
                       const struct str *pieces, size_t piece_count, const uint8_t *signature,
                       size_t signature_size);
/* Can it be read at all? */
bool public_key_is_readable(struct str key_document);

/* jwks.c: the RSA key of a JSON Web Key Set by its id; NULL. The caller frees. */
struct evp_pkey_st *jwks_find(struct str document, struct str id);

/* verify.c: the secret at this index is a shadow, and was tried. */
void verify_note_shadow(struct verify_result *result, size_t index, bool matches);

/* bearer.c */
struct verify_result bearer_check(const struct signature_spec *spec, const struct source *source,
                                  const struct inbound *inbound);

#endif
