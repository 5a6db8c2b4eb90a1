#include "verify/verify.h"

#include <assert.h>
#include <string.h>

#include "base/codec.h"
#include "base/instant.h"
#include "base/limits.h"
#include "verify_priv.h"

/*
 * Is this request signed by someone who holds a live secret of the source?
 *
 * First the claim is read (from headers as the spec says, or by the platform
 * from its body), then it is proven, then the signed time is looked at.
 *
 * Invariant: every live secret is tried against every well-formed signature
 * over the bytes as they came, each comparison takes the same time, and the
 * first match ends nothing; so the time to answer tells how many secrets a
 * source has, and nothing about them.
 *
 * Rejected: comparing the text of signatures (upper-case hex and a missing
 * pad would differ, and memcmp stops early); checking the signed time before
 * the signature (a forged time would then be reported as a clock problem).
 */

enum {
    SIGNATURE_SIZE_MAX = 2048, /* RSA of 16,384 bits */
};

/* A claim's signature as bytes. */
struct signature_bytes {
    uint8_t bytes[SIGNATURE_SIZE_MAX];
    size_t size; /* 0: not well-formed */
};

static void decode(enum signature_encoding encoding, struct str text, struct signature_bytes *out)
{
    bool ok = false;
    out->size = 0;
    switch (encoding) {
    case SIGNATURE_BASE64:
        ok = base64_decode(text, out->bytes, sizeof(out->bytes), &out->size);
        break;
    case SIGNATURE_BASE64URL:
        ok = base64url_decode(text, out->bytes, sizeof(out->bytes), &out->size);
        break;
    case SIGNATURE_HEX:
        ok = hex_decode(text, out->bytes, sizeof(out->bytes), &out->size);
        break;
    }
    if (!ok) {
        out->size = 0;
    }
}

/* What one proof needs. */
struct proof {
    int64_t now_ms;
    enum signature_algorithm algorithm;
    enum signature_encoding encoding;
    enum signature_key_form key_form;
    const struct signature_claim *claim;
    struct arena *arena;
    struct str message; /* the claim's pieces joined, once an Ed25519 key asked for them */
};

/* --- one secret ----------------------------------------------------------- */

static unsigned matches_mac(const struct proof *proof, const struct key *key)
{
    const struct signature_claim *claim = proof->claim;
    size_t size = mac_size(proof->algorithm);
    uint8_t mac[MAC_SIZE_MAX];
    if (!mac_compute(proof->algorithm, key->bytes, key->size, claim->pieces, claim->piece_count,
                     mac)) {
        return 0;
    }
    unsigned equal = 0;
    for (size_t i = 0; i < claim->signature_count; i++) {
        struct signature_bytes given;
        decode(proof->encoding, claim->signatures[i].text, &given);
        if (!claim->signatures[i].is_ed25519 && given.size == size) {
            equal |= sodium_memcmp(mac, given.bytes, size) == 0;
        }
    }
    sodium_memzero(mac, sizeof(mac));
    return equal;
}

/* Ed25519 signs a message, not a digest, so its pieces are joined: once for all
 * keys, since the body is most of it. */
static bool join_pieces(struct proof *proof)
{
    const struct signature_claim *claim = proof->claim;
    if (proof->message.data != NULL) {
        return true;
    }
    size_t size = 0;
    for (size_t i = 0; i < claim->piece_count; i++) {
        size += claim->pieces[i].size;
    }
    char *message = arena_alloc_bytes(proof->arena, size + 1);
    if (message == NULL) {
        return false;
    }
    size_t at = 0;
    for (size_t i = 0; i < claim->piece_count; i++) {
        if (claim->pieces[i].size > 0) {
            memcpy(message + at, claim->pieces[i].data, claim->pieces[i].size);
        }
        at += claim->pieces[i].size;
    }
    proof->message = (struct str){ message, size };
    return true;
}

static unsigned matches_ed25519(struct proof *proof, const struct key *key)
{
    const struct signature_claim *claim = proof->claim;
    if (!join_pieces(proof)) {
        return 0;
    }
    const uint8_t *message = (const uint8_t *)proof->message.data;
    size_t size = proof->message.size;
    unsigned valid = 0;
    for (size_t i = 0; i < claim->signature_count; i++) {
        struct signature_bytes given;
        decode(proof->encoding, claim->signatures[i].text, &given);
        if (claim->signatures[i].is_ed25519 && given.size == crypto_sign_BYTES) {
            valid |= crypto_sign_verify_detached(given.bytes, message, size, key->bytes) == 0;
        }
    }
    return valid;
}

static unsigned matches_public_key(const struct proof *proof, const struct signature_text *text,
                                   struct str key_document)
{
    const struct signature_claim *claim = proof->claim;
    struct public_key key = { key_document, claim->key_id, proof->now_ms };
    struct signature_bytes given;
    decode(proof->encoding, text->text, &given);
    return given.size > 0 && public_key_verify(proof->algorithm, &key, claim->pieces,
                                               claim->piece_count, given.bytes, given.size);
}

/* False when the secret cannot be a key. */
static bool try_secret(struct proof *proof, struct str secret, unsigned *out_matches)
{
    *out_matches = 0;
    if (proof->key_form == SIGNATURE_KEY_PUBLIC) {
        for (size_t i = 0; i < proof->claim->signature_count; i++) {
            *out_matches |= matches_public_key(proof, &proof->claim->signatures[i], secret);
        }
        return true;
    }
    struct key key;
    if (!key_init(&key, proof->key_form, secret)) {
        return false;
    }
    *out_matches = key.is_ed25519 ? matches_ed25519(proof, &key) : matches_mac(proof, &key);
    key_finish(&key);
    return true;
}

/* --- all of them ---------------------------------------------------------- */

void verify_note_shadow(struct verify_result *result, size_t index, bool matches)
{
    static_assert(LIMIT_SECRETS_PER_SOURCE <= 32, "a bit each");
    uint32_t bit = index < LIMIT_SECRETS_PER_SOURCE ? UINT32_C(1) << index : 0;
    result->shadows_tried |= bit;
    result->shadows_matched |= matches ? bit : 0;
}

static bool may_prove(const struct source_secret *secret, const struct proof *proof)
{
    const char *label = proof->claim->secret_label;
    return secret->expires_at_ms > proof->now_ms &&
           (label == NULL || str_equal_z(secret->label, label));
}

static struct verify_result check_secrets(struct proof *proof, const struct source *source)
{
    struct verify_result result = { .verdict = SIGNATURE_MISMATCH };
    bool valid = false;
    for (size_t i = 0; i < source->secret_count; i++) {
        const struct source_secret *secret = &source->secrets[i];
        unsigned matches = 0;
        if (!may_prove(secret, proof) || !try_secret(proof, secret->value, &matches)) {
            continue;
        }
        if (secret->shadow) {
            verify_note_shadow(&result, i, matches != 0);
            continue;
        }
        result.secrets_tried++;
        if (matches != 0 && !valid) {
            valid = true;
            result.secret_index = i;
        }
    }
    if (valid) {
        result.verdict = SIGNATURE_VALID;
    } else if (result.secrets_tried == 0) {
        result.verdict = SIGNATURE_NO_SECRET;
    }
    return result;
}

/* One valid signature will do, whatever is wrong with the others: Adobe signs with
 * two keys, so that either may be in rotation. One that does not verify under a key
 * fetched a while ago may be of a key that was rotated since. */
static struct verify_result check_published(const struct proof *proof, struct key_ring *ring)
{
    const struct signature_claim *claim = proof->claim;
    struct verify_result result = { .verdict = SIGNATURE_MISMATCH,
                                    .secret_index = VERIFY_NO_SECRET };
    for (size_t i = 0; i < claim->signature_count; i++) {
        const struct signature_text *text = &claim->signatures[i];
        struct str document = { NULL, 0 };
        int64_t age_ms = 0;
        bool is_here = ring != NULL && key_ring_find(ring, proof->arena, text->key_url,
                                                     proof->now_ms, &document, &age_ms);
        if (is_here && matches_public_key(proof, text, document) != 0) {
            result.verdict = SIGNATURE_VALID;
            return result;
        }
        if ((!is_here || age_ms >= KEY_RING_RETRY_MS) && result.verdict != SIGNATURE_KEY_WANTED) {
            result.verdict = SIGNATURE_KEY_WANTED;
            result.key_url = text->key_url;
        }
    }
    return result;
}

static bool is_well_formed(const struct proof *proof)
{
    const struct signature_claim *claim = proof->claim;
    size_t size = mac_size(proof->algorithm);
    for (size_t i = 0; i < claim->signature_count; i++) {
        struct signature_bytes given;
        decode(proof->encoding, claim->signatures[i].text, &given);
        if (given.size > 0 &&
            (size == 0 || claim->signatures[i].is_ed25519 || given.size == size)) {
            return true;
        }
    }
    return false;
}

/* The second of two signatures of which a claim says that both must hold. */
static enum signature_verdict check_also(const struct proof *first, const struct source *source)
{
    struct proof second = *first;
    second.claim = first->claim->also;
    second.message = (struct str){ NULL, 0 };
    if (second.claim == NULL) {
        return SIGNATURE_VALID;
    }
    return is_well_formed(&second) ? check_secrets(&second, source).verdict
                                   : SIGNATURE_HEADER_MALFORMED;
}

struct verify_result verify_inbound(const struct signature_spec *spec, const struct source *source,
                                    const struct inbound *inbound, struct arena *arena,
                                    struct key_ring *ring)
{
    if (spec->algorithm == SIGNATURE_BEARER) {
        return bearer_check(spec, source, inbound);
    }
    struct signature_claim claim = { .timestamp_ms = INSTANT_NONE };
    struct verify_result result = { .verdict = SIGNATURE_NO_SECRET };
    if (spec->algorithm == 0) {
        return result; /* "api" has no signature to be valid */
    }
    result.verdict = spec->read_claim != NULL ? spec->read_claim(arena, source, inbound, &claim)
                                              : claim_read_headers(arena, spec, inbound, &claim);
    struct proof proof = {
        .now_ms = inbound->received_at_ms,
        .algorithm = claim.algorithm != 0 ? claim.algorithm : spec->algorithm,
        .encoding = claim.encoding != 0 ? claim.encoding : spec->encoding,
        .key_form = spec->key_form,
        .claim = &claim,
        .arena = arena,
    };
    if (result.verdict == SIGNATURE_VALID && !is_well_formed(&proof)) {
        result.verdict = SIGNATURE_HEADER_MALFORMED;
    }
    if (result.verdict != SIGNATURE_VALID) {
        return result;
    }
    result = claim.signatures[0].key_url.size > 0 ? check_published(&proof, ring)
                                                  : check_secrets(&proof, source);
    if (result.verdict == SIGNATURE_VALID) {
        result.verdict = check_also(&proof, source);
    }
    bool is_dated = claim.timestamp_ms != INSTANT_NONE;
    int64_t away_ms = is_dated ? inbound->received_at_ms - claim.timestamp_ms : 0;
    if (result.verdict == SIGNATURE_VALID && spec->tolerance_ms > 0 &&
        (!is_dated || away_ms > spec->tolerance_ms || away_ms < -spec->tolerance_ms)) {
        result.verdict = SIGNATURE_TIMESTAMP_OUTSIDE;
    }
    return result;
}
