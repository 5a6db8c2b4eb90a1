#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

/*
 * Bytes in, verdict out: is this request signed by someone who holds a live
 * secret of the source? All live secrets are tried, in constant time, over the
 * raw body. Pure but for libsodium and libcrypto; thread-safe. The arena takes the
 * little that a claim needs (an Ed25519 message is a copy of the body); the ring may
 * be NULL where no key is published.
 */

#include <stddef.h>
#include <stdint.h>

#include "core/signature.h"
#include "core/source.h"
#include "verify/key_ring.h"

/* No secret of the source: it was a key that the sender publishes. */
#define VERIFY_NO_SECRET SIZE_MAX

struct verify_result {
    enum signature_verdict verdict;
    size_t secrets_tried;
    size_t secret_index; /* which matched, or VERIFY_NO_SECRET; meaningful only when valid */
    /* Bit i: of the secret at index i, a shadow that was tried; that matches. */
    uint32_t shadows_tried;
    uint32_t shadows_matched;
    struct str key_url; /* what to fetch, of SIGNATURE_KEY_WANTED; in the arena */
};

struct verify_result verify_inbound(const struct signature_spec *spec, const struct source *source,
                                    const struct inbound *inbound, struct arena *arena,
                                    struct key_ring *ring);

/* Is this a secret the scheme can use? (whsec_ form, not blank, not a publicly
 * known key.) On false *out_reason is static text. */
bool verify_secret_is_usable(const struct signature_spec *spec, struct str secret,
                             const char **out_reason);

#endif
