#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/codec.h"
#include "base/instant.h"
#include "verify_priv.h"

/*
 * Signatures of private keys that somebody else holds.
 *
 * Invariant: the algorithm is the platform's (or, where the claim names one, one
 * of two that the platform allows), never the key's or the sender's choice, and a
 * key of another kind verifies nothing. That closes the confusion by which an RSA
 * key's text becomes an HMAC secret, or "none" an algorithm.
 *
 * A key comes as people have it: PEM from a dashboard, base64 of its DER without
 * armour (SendGrid), a certificate (SNS), or a key set (Saleor). The digest takes
 * the pieces one by one, so the body is not copied.
 *
 * A certificate's chain is not followed: it comes over TLS from the sender's own
 * host, whose chain libcurl has checked, and SNS's file holds no intermediate to
 * follow. That it is of its time is checked.
 */

enum {
    DER_SIZE_MAX = 4096, /* RSA of 16,384 bits takes 2 KiB */
};

static EVP_PKEY *read_pem(struct str text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static bool is_of_its_time(const X509 *certificate, int64_t now_ms)
{
    time_t now = (time_t)(now_ms / INSTANT_SECOND_MS);
    return X509_cmp_time(X509_get0_notBefore(certificate), &now) < 0 &&
           X509_cmp_time(X509_get0_notAfter(certificate), &now) > 0;
}

static EVP_PKEY *read_certificate(struct str text, int64_t now_ms)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = certificate != NULL && is_of_its_time(certificate, now_ms)
                        ? X509_get_pubkey(certificate)
                        : NULL;
    X509_free(certificate);
    BIO_free(bio);
    return key;
}

static EVP_PKEY *read_der(struct str text)
{
    uint8_t der[DER_SIZE_MAX];
    size_t size = 0;
    if (!base64_decode(text, der, sizeof(der), &size)) {
        return NULL;
    }
    const unsigned char *at = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)size);
    if (key != NULL && at != der + size) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static EVP_PKEY *read_key(const struct public_key *public_key)
{
    struct str text = str_trim(public_key->document);
    if (text.size == 0 || text.size > KEY_DOCUMENT_SIZE_MAX) {
        return NULL;
    }
    if (str_starts_with(text, STR("-----BEGIN CERTIFICATE-----"))) {
        return read_certificate(text, public_key->now_ms);
    }
    if (text.data[0] == '{') {
        return jwks_find(text, public_key->id);
    }
    return str_starts_with(text, STR("-----BEGIN ")) ? read_pem(text) : read_der(text);
}

bool public_key_is_readable(struct str key_document)
{
    EVP_PKEY *key = read_key(&(struct public_key){ .document = key_document });
    EVP_PKEY_free(key);
    return key != NULL;
}

static bool key_is_of(enum signature_algorithm algorithm, const EVP_PKEY *key)
{
    int wanted = algorithm == SIGNATURE_ECDSA_SHA256 ? EVP_PKEY_EC : EVP_PKEY_RSA;
    return EVP_PKEY_get_base_id(key) == wanted;
}

static bool check(EVP_PKEY *key, const EVP_MD *digest, const struct str *pieces, size_t piece_count,
                  const uint8_t *signature, size_t signature_size)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context != NULL && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1;
    for (size_t i = 0; ok && i < piece_count; i++) {
        ok = EVP_DigestVerifyUpdate(context, pieces[i].data, pieces[i].size) == 1;
    }
    ok = ok && EVP_DigestVerifyFinal(context, signature, signature_size) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

bool public_key_verify(enum signature_algorithm algorithm, const struct public_key *public_key,
                       const struct str *pieces, size_t piece_count, const uint8_t *signature,
                       size_t signature_size)
{
    EVP_PKEY *key = read_key(public_key);
    const EVP_MD *digest = algorithm == SIGNATURE_RSA_SHA1 ? EVP_sha1() : EVP_sha256();
    bool ok = key != NULL && key_is_of(algorithm, key) &&
              check(key, digest, pieces, piece_count, signature, signature_size);
    EVP_PKEY_free(key);
    return ok;
}
