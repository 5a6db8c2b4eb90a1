#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <jansson.h>

#include "base/codec.h"
#include "verify_priv.h"

/*
 * RSA keys as JSON (RFC 7517), of senders that publish a set of them.
 *
 * Only RSA keys for signatures are read: the set says what each key is, and a key
 * that says otherwise is none, however well it would verify. The document is at
 * most KEY_RING_DOCUMENT_BYTES_MAX, from a host that was pinned.
 */

enum {
    MODULUS_SIZE_MAX = 1024, /* 8,192 bits */
    EXPONENT_SIZE_MAX = 8,
};

static bool member_is(const json_t *key, const char *name, const char *value, bool may_lack)
{
    const char *text = json_string_value(json_object_get(key, name));
    return text == NULL ? may_lack : str_equal_z(str_from_z(value), text);
}

static BIGNUM *read_number(const json_t *key, const char *name, size_t size_max)
{
    uint8_t bytes[MODULUS_SIZE_MAX];
    size_t size = 0;
    struct str text = str_from_z(json_string_value(json_object_get(key, name)));
    return base64url_decode(text, bytes, size_max, &size) && size > 0
               ? BN_bin2bn(bytes, (int)size, NULL)
               : NULL;
}

static EVP_PKEY *make_key(const BIGNUM *modulus, const BIGNUM *exponent)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *params = NULL;
    if (builder != NULL && context != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        params = OSSL_PARAM_BLD_to_param(builder);
    }
    if (params != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *read_jwk(const json_t *key)
{
    if (!member_is(key, "kty", "RSA", false) || !member_is(key, "use", "sig", true) ||
        !member_is(key, "alg", "RS256", true)) {
        return NULL;
    }
    BIGNUM *modulus = read_number(key, "n", MODULUS_SIZE_MAX);
    BIGNUM *exponent = read_number(key, "e", EXPONENT_SIZE_MAX);
    EVP_PKEY *made = modulus != NULL && exponent != NULL ? make_key(modulus, exponent) : NULL;
    BN_free(modulus);
    BN_free(exponent);
    return made;
}

EVP_PKEY *jwks_find(struct str document, struct str id)
{
    json_t *root = json_loadb(document.data, document.size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *keys = json_object_get(root, "keys");
    EVP_PKEY *found = NULL;
    for (size_t i = 0; found == NULL && i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        struct str kid = str_from_z(json_string_value(json_object_get(key, "kid")));
        if (str_equal(kid, id)) {
            found = read_jwk(key);
        }
    }
    json_decref(root);
    return found;
}
