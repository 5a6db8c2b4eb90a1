#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/codec.h"
#include "base/instant.h"
#include "verify/key_ring.h"
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
 * Reading a key costs ten times what its signature does (RSA of 2,048 bits, OpenSSL
 * 3.0: 240 us beside 25), so those read lately stay on a shelf.
 *
 * A certificate's chain is not followed: it comes over TLS from the sender's own
 * host, whose chain libcurl has checked, and SNS's file holds no intermediate to
 * follow. That it is of its time is checked.
 */

enum {
    DER_SIZE_MAX = 4096, /* RSA of 16,384 bits takes 2 KiB */
    KEYS_SHELVED = 32,   /* a workspace has a handful of such senders, with two keys each */
};

static EVP_PKEY *read_pem(struct str text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

/* A key as read, and when it may be used: a certificate is of its time. */
struct read_key {
    EVP_PKEY *key; /* NULL: none */
    int64_t from_ms;
    int64_t until_ms;
};

static int64_t instant_of(const ASN1_TIME *time, int64_t otherwise)
{
    static const struct tm EPOCH = { .tm_year = 70, .tm_mday = 1 };
    int days = 0;
    int seconds = 0;
    struct tm parts;
    struct tm epoch = EPOCH;
    if (ASN1_TIME_to_tm(time, &parts) != 1 ||
        OPENSSL_gmtime_diff(&days, &seconds, &epoch, &parts) != 1) {
        return otherwise;
    }
    return days * INSTANT_DAY_MS + seconds * INSTANT_SECOND_MS;
}

static struct read_key read_certificate(struct str text)
{
    struct read_key read = { .key = NULL };
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (certificate != NULL) {
        read.key = X509_get_pubkey(certificate);
        read.from_ms = instant_of(X509_get0_notBefore(certificate), INSTANT_NEVER);
        read.until_ms = instant_of(X509_get0_notAfter(certificate), INSTANT_NONE);
    }
    X509_free(certificate);
    BIO_free(bio);
    return read;
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

static struct read_key read_key(struct str document, struct str id)
{
    struct read_key read = { .key = NULL, .from_ms = INSTANT_NONE, .until_ms = INSTANT_NEVER };
    struct str text = str_trim(document);
    if (text.size == 0 || text.size > KEY_RING_DOCUMENT_BYTES_MAX) {
        return read;
    }
    if (str_starts_with(text, STR("-----BEGIN CERTIFICATE-----"))) {
        return read_certificate(text);
    }
    if (text.data[0] == '{') {
        read.key = jwks_find(text, id);
    } else if (str_starts_with(text, STR("-----BEGIN "))) {
        read.key = read_pem(text);
    } else {
        read.key = read_der(text);
    }
    return read;
}

/* --- keys read lately -------------------------------------------------------- */

/* By the digest of their document. A key is read-only once read, so threads share it
 * by its own count of references. */
static struct key_shelf {
    pthread_mutex_t mutex;
    size_t next;
    struct shelved_key {
        uint8_t digest[crypto_generichash_BYTES];
        struct read_key read;
    } keys[KEYS_SHELVED];
} shelf = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void digest_of(struct str document, struct str id, uint8_t *digest)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)document.data, document.size);
    crypto_generichash_update(&state, (const uint8_t *)"", 1);
    crypto_generichash_update(&state, (const uint8_t *)id.data, id.size);
    crypto_generichash_final(&state, digest, crypto_generichash_BYTES);
}

static struct read_key hold(struct read_key read)
{
    if (read.key != NULL && EVP_PKEY_up_ref(read.key) != 1) {
        read.key = NULL;
    }
    return read;
}

static struct read_key find_shelved(const uint8_t *digest)
{
    struct read_key found = { .key = NULL };
    pthread_mutex_lock(&shelf.mutex);
    for (size_t i = 0; i < KEYS_SHELVED; i++) {
        const struct shelved_key *one = &shelf.keys[i];
        if (one->read.key != NULL && memcmp(one->digest, digest, sizeof(one->digest)) == 0) {
            found = hold(one->read);
            break;
        }
    }
    pthread_mutex_unlock(&shelf.mutex);
    return found;
}

static void put_on_shelf(const uint8_t *digest, struct read_key read)
{
    pthread_mutex_lock(&shelf.mutex);
    struct shelved_key *place = &shelf.keys[shelf.next++ % KEYS_SHELVED];
    EVP_PKEY_free(place->read.key);
    memcpy(place->digest, digest, sizeof(place->digest));
    place->read = hold(read);
    pthread_mutex_unlock(&shelf.mutex);
}

/* The caller frees it. */
static struct read_key get_key(struct str document, struct str id)
{
    uint8_t digest[crypto_generichash_BYTES];
    digest_of(document, id, digest);
    struct read_key read = find_shelved(digest);
    if (read.key == NULL) {
        read = read_key(document, id);
        if (read.key != NULL) {
            put_on_shelf(digest, read);
        }
    }
    return read;
}

bool public_key_is_readable(struct str key_document)
{
    EVP_PKEY *key = read_key(key_document, STR("")).key;
    EVP_PKEY_free(key);
    return key != NULL;
}

/* --- signatures ---------------------------------------------------------------- */

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
    struct read_key read = get_key(public_key->document, public_key->id);
    const EVP_MD *digest = algorithm == SIGNATURE_RSA_SHA1 ? EVP_sha1() : EVP_sha256();
    bool ok = read.key != NULL && public_key->now_ms >= read.from_ms &&
              public_key->now_ms < read.until_ms && key_is_of(algorithm, read.key) &&
              check(read.key, digest, pieces, piece_count, signature, signature_size);
    EVP_PKEY_free(read.key);
    return ok;
}
