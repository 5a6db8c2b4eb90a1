#include <string.h>

#include "base/codec.h"
#include "verify_priv.h"

/*
 * Secrets: what of them is the key, and which can be one at all.
 *
 * Invariant: whatever cannot be a key (empty, blank, only NULs, not the form
 * that the scheme wants, printed in public documentation) is not tried, since
 * HMAC pads with zeros and would make "" equal "\0": it fails closed.
 */

enum {
    SECRET_SIZE_MIN_SHOP = 8,
    SECRET_SIZE_MIN_OURS = 16,
    SECRET_SIZE_MIN_BEARER = 16,
    WHSEC_KEY_SIZE_MAX = 128,
    PUBLIC_KEY_TEXT_SIZE_MAX = 8192,
};

static const char WHSEC_PREFIX[] = "whsec_";
static const char WHPK_PREFIX[] = "whpk_";

/* Keys that anybody can read in documentation: Mandrill's check and the
 * examples of Standard Webhooks and Svix. */
static const char *const PUBLIC_KEYS[] = {
    "test-webhook",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "whsec_plJ3nmyCDGBKInavdOK15jsl",
};

/* wp_specialchars_decode(ENT_QUOTES): what WooCommerce does to a secret before
 * it signs with it. Numeric forms may carry leading zeros. */
static const struct {
    const char *name; /* between "&" and ";" */
    bool numeric;     /* digits after "#" or "#x": zeros may stand before them */
    char is;
} ENTITIES[] = {
    { "amp", false, '&' }, { "lt", false, '<' },  { "gt", false, '>' },  { "quot", false, '"' },
    { "#38", true, '&' },  { "#60", true, '<' },  { "#62", true, '>' },  { "#34", true, '"' },
    { "#39", true, '\'' }, { "#x26", true, '&' }, { "#x22", true, '"' }, { "#x27", true, '\'' },
};

/* --- keys ----------------------------------------------------------------- */

static bool is_blank(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bool white = bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r');
        if (bytes[i] != 0 && !white) {
            return false;
        }
    }
    return true;
}

/* How much of `text`, after its "&", is "#" or "#x" and leading zeros. 0 when it
 * does not start so; either case of the x will do. */
static size_t numeric_prefix(struct str text, size_t mark_size)
{
    if (text.size < 1 + mark_size || text.data[1] != '#' ||
        (mark_size == 2 && (text.data[2] | 0x20) != 'x')) {
        return 0;
    }
    size_t at = 1 + mark_size;
    while (at < text.size && text.data[at] == '0') {
        at++;
    }
    return at - 1;
}

/* Does `text` start with this entity? Returns its length, "&" and ";"
 * included, or 0. */
static size_t entity_length(struct str text, const char *name, bool numeric)
{
    size_t mark_size = !numeric ? 0 : name[1] == 'x' ? 2 : 1;
    size_t prefix_size = numeric ? numeric_prefix(text, mark_size) : 0;
    if (numeric && prefix_size == 0) {
        return 0;
    }
    struct str rest = str_drop(text, 1 + prefix_size);
    struct str digits = str_from_z(name + mark_size);
    if (!str_starts_with(rest, digits) || rest.size == digits.size ||
        rest.data[digits.size] != ';') {
        return 0;
    }
    return 1 + prefix_size + digits.size + 1;
}

/* One pass, as PHP's strtr: "&amp;lt;" becomes "&lt;" and stays so. */
static bool html_decode(struct str text, uint8_t *bytes, size_t capacity, size_t *out_size)
{
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        if (size == capacity) {
            return false;
        }
        size_t length = 0;
        for (size_t i = 0; text.data[at] == '&' && length == 0 && i < ARRAY_COUNT(ENTITIES); i++) {
            length = entity_length(str_drop(text, at), ENTITIES[i].name, ENTITIES[i].numeric);
            bytes[size] = (uint8_t)ENTITIES[i].is;
        }
        if (length == 0) {
            bytes[size] = (uint8_t)text.data[at];
            length = 1;
        }
        size++;
        at += length;
    }
    *out_size = size;
    return true;
}

/* Standard Webhooks: a shared key (whsec_), or the public half of an Ed25519 key
 * (whpk_). */
static bool whsec_decode(struct key *key, struct str secret)
{
    if (str_starts_with(secret, str_from_z(WHPK_PREFIX))) {
        key->is_ed25519 = true;
        return base64_decode(str_drop(secret, sizeof(WHPK_PREFIX) - 1), key->scratch,
                             crypto_sign_PUBLICKEYBYTES, &key->size) &&
               key->size == crypto_sign_PUBLICKEYBYTES;
    }
    return str_starts_with(secret, str_from_z(WHSEC_PREFIX)) &&
           base64_decode(str_drop(secret, sizeof(WHSEC_PREFIX) - 1), key->scratch,
                         WHSEC_KEY_SIZE_MAX, &key->size);
}

/* The bytes to sign with. False when the secret cannot be a key. */
bool key_init(struct key *key, enum signature_key_form form, struct str secret)
{
    key->bytes = key->scratch;
    key->size = 0;
    key->is_ed25519 = false;
    switch (form) {
    case SIGNATURE_KEY_TEXT:
        key->bytes = (const uint8_t *)secret.data;
        key->size = secret.size;
        break;
    case SIGNATURE_KEY_HTML_DECODED:
        if (!html_decode(secret, key->scratch, sizeof(key->scratch), &key->size)) {
            return false;
        }
        break;
    case SIGNATURE_KEY_WHSEC:
        if (!whsec_decode(key, secret)) {
            return false;
        }
        break;
    case SIGNATURE_KEY_HEX:
        if (!hex_decode(secret, key->scratch, sizeof(key->scratch), &key->size)) {
            return false;
        }
        break;
    case SIGNATURE_KEY_PUBLIC:
    case SIGNATURE_KEY_FETCHED:
        return false;
    }
    return key->size > 0 && !is_blank(key->bytes, key->size);
}

void key_finish(struct key *key)
{
    sodium_memzero(key->scratch, sizeof(key->scratch));
    key->size = 0;
}

/* --- secrets -------------------------------------------------------------- */

static bool is_public(struct str secret)
{
    for (size_t i = 0; i < ARRAY_COUNT(PUBLIC_KEYS); i++) {
        if (str_equal_z(secret, PUBLIC_KEYS[i])) {
            return true;
        }
    }
    return false;
}

/* Of a key that HMAC uses. */
static const char *key_fault(enum signature_key_form form, struct str secret)
{
    struct key key;
    bool is_key = key_init(&key, form, secret);
    size_t size = is_key ? key.size : 0;
    key_finish(&key);
    switch (form) {
    case SIGNATURE_KEY_TEXT:
        return size >= SECRET_SIZE_MIN_SHOP ? NULL : "the secret is shorter than 8 characters";
    case SIGNATURE_KEY_HTML_DECODED:
        return size >= SECRET_SIZE_MIN_OURS ? NULL : "the secret is shorter than 16 characters";
    case SIGNATURE_KEY_WHSEC:
        return size >= SECRET_SIZE_MIN_OURS
                   ? NULL
                   : "the secret must be whsec_ and the base64 of 16 to 128 bytes (24 to 64 is "
                     "the standard's advice), or whpk_ and the base64 of an Ed25519 public key";
    case SIGNATURE_KEY_HEX:
        return size >= SECRET_SIZE_MIN_SHOP
                   ? NULL
                   : "the secret must be hex digits, two a byte, of at least 8 bytes";
    case SIGNATURE_KEY_PUBLIC:
    case SIGNATURE_KEY_FETCHED:
        break;
    }
    return "this platform has no secrets";
}

static const char *secret_fault(const struct signature_spec *spec, struct str secret)
{
    if (spec->algorithm == 0 || spec->key_form == SIGNATURE_KEY_FETCHED) {
        return "this platform has no secrets";
    }
    if (secret.size == 0 || is_blank((const uint8_t *)secret.data, secret.size)) {
        return "the secret is empty";
    }
    if (spec->key_form == SIGNATURE_KEY_PUBLIC) {
        return secret.size <= PUBLIC_KEY_TEXT_SIZE_MAX && public_key_is_readable(secret)
                   ? NULL
                   : "a public key is needed: PEM (-----BEGIN PUBLIC KEY-----), or the base64 "
                     "that the sender shows";
    }
    if (str_trim(secret).size != secret.size) {
        return "the secret has white space around it; copy it without the line break";
    }
    if (secret.size > KEY_SIZE_MAX || !str_is_text(secret)) {
        return "the secret is not text of at most 512 bytes";
    }
    if (is_public(secret)) {
        return "this secret is printed in public documentation: anybody can sign with it";
    }
    if (spec->algorithm == SIGNATURE_BEARER) {
        return secret.size >= SECRET_SIZE_MIN_BEARER ? NULL
                                                     : "nothing is signed here, so the secret is "
                                                       "all there is: at least 16 characters";
    }
    return key_fault(spec->key_form, secret);
}

bool verify_secret_is_usable(const struct signature_spec *spec, struct str secret,
                             const char **out_reason)
{
    const char *fault = secret_fault(spec, secret);
    if (fault == NULL) {
        return true;
    }
    if (out_reason != NULL) {
        *out_reason = fault;
    }
    return false;
}
