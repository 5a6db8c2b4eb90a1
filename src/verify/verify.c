#include "verify/verify.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/codec.h"
#include "base/instant.h"

/*
 * Is this request signed by someone who holds a live secret of the source?
 *
 * Invariant: every live secret is tried against every well-formed signature
 * over the bytes as they came, each comparison takes the same time, and the
 * first match ends nothing; so the time to answer tells how many secrets a
 * source has, and nothing about them. Whatever cannot be a key (empty, blank,
 * only NULs, not the form that the scheme wants) is not tried at all, since
 * HMAC pads with zeros and would make "" equal "\0": it fails closed.
 *
 * Rejected: comparing the text of signatures (upper-case hex and a missing
 * pad would differ, and memcmp stops early); checking the signed time before
 * the signature (a forged time would then be reported as a clock problem);
 * looking at more than one of several different signature headers (two
 * parsers would choose differently).
 */

enum {
    MAC_SIZE = crypto_auth_hmacsha256_BYTES,
    /* A secret of ours is 32 characters; the longest a shop hands out is 64. */
    KEY_SIZE_MAX = 512,
    /* Standard Webhooks joins one signature per live key; a sender that rolls
     * its key has two, and sixteen is far beyond what any keeps. */
    SIGNATURES_MAX = 16,
    SECRET_SIZE_MIN_SHOP = 8,
    SECRET_SIZE_MIN_OURS = 16,
    WHSEC_KEY_SIZE_MAX = 128,
    WEBHOOK_ID_SIZE_MAX = 256,
    HEADER_NAME_SIZE_MAX = 64,
};

static const char WHSEC_PREFIX[] = "whsec_";

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

struct key {
    const uint8_t *bytes;
    size_t size;
    uint8_t scratch[KEY_SIZE_MAX];
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

/* The bytes to sign with. False when the secret cannot be a key. */
static bool key_init(struct key *key, enum signature_key_form form, struct str secret)
{
    key->bytes = key->scratch;
    key->size = 0;
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
        if (!str_starts_with(secret, str_from_z(WHSEC_PREFIX)) ||
            !base64_decode(str_drop(secret, sizeof(WHSEC_PREFIX) - 1), key->scratch,
                           WHSEC_KEY_SIZE_MAX, &key->size)) {
            return false;
        }
        break;
    }
    return key->size > 0 && !is_blank(key->bytes, key->size);
}

static void key_finish(struct key *key)
{
    sodium_memzero(key->scratch, sizeof(key->scratch));
    key->size = 0;
}

/* --- what is signed ------------------------------------------------------- */

/* The signed bytes in up to five pieces, so that the body is never copied. */
struct signed_bytes {
    struct str pieces[5];
    size_t count;
};

static void mac_compute(const uint8_t *key, size_t key_size, const struct signed_bytes *content,
                        uint8_t mac[MAC_SIZE])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_size);
    for (size_t i = 0; i < content->count; i++) {
        crypto_auth_hmacsha256_update(&state, (const uint8_t *)content->pieces[i].data,
                                      content->pieces[i].size);
    }
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof(state));
}

/* Tries all live secrets against all signatures. */
static struct verify_result mac_check(const struct signature_spec *spec,
                                      const struct source *source, int64_t now_ms,
                                      const struct signed_bytes *content,
                                      uint8_t (*signatures)[MAC_SIZE], size_t signature_count)
{
    struct verify_result result = { .verdict = SIGNATURE_MISMATCH };
    bool valid = false;
    for (size_t i = 0; i < source->secret_count; i++) {
        const struct source_secret *secret = &source->secrets[i];
        struct key key;
        if (secret->expires_at_ms <= now_ms || !key_init(&key, spec->key_form, secret->value)) {
            continue;
        }
        uint8_t mac[MAC_SIZE];
        mac_compute(key.bytes, key.size, content, mac);
        key_finish(&key);
        unsigned equal = 0;
        for (size_t s = 0; s < signature_count; s++) {
            equal |= sodium_memcmp(mac, signatures[s], MAC_SIZE) == 0;
        }
        sodium_memzero(mac, sizeof(mac));
        if (secret->shadow) {
            result.shadow_matches += equal;
            continue;
        }
        result.secrets_tried++;
        if (equal != 0 && !valid) {
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

/* --- headers -------------------------------------------------------------- */

/* The one value of a header. HEADER_MALFORMED when it is there several times
 * and says different things. */
static enum signature_verdict header_single(const struct inbound *inbound, const char *name,
                                            struct str *out_value)
{
    struct str value = { NULL, 0 };
    bool found = false;
    for (size_t i = 0; i < inbound->header_count; i++) {
        const struct inbound_header *header = &inbound->headers[i];
        if (!str_equal_nocase(header->name, str_from_z(name))) {
            continue;
        }
        if (found && !str_equal(value, header->value)) {
            return SIGNATURE_HEADER_MALFORMED;
        }
        found = true;
        value = header->value;
    }
    if (!found) {
        return SIGNATURE_HEADER_MISSING;
    }
    *out_value = str_trim(value);
    return SIGNATURE_VALID;
}

/* The preferred of the accepted signature headers. */
static enum signature_verdict header_preferred(const struct signature_spec *spec,
                                               const struct inbound *inbound, const char **out_name,
                                               struct str *out_value)
{
    for (size_t i = 0; i < ARRAY_COUNT(spec->headers) && spec->headers[i] != NULL; i++) {
        enum signature_verdict verdict = header_single(inbound, spec->headers[i], out_value);
        if (verdict != SIGNATURE_HEADER_MISSING) {
            *out_name = spec->headers[i];
            return verdict;
        }
    }
    return SIGNATURE_HEADER_MISSING;
}

static bool mac_decode(enum signature_encoding encoding, struct str text, uint8_t mac[MAC_SIZE])
{
    size_t size = 0;
    bool decoded = encoding == SIGNATURE_HEX ? hex_decode(text, mac, MAC_SIZE, &size)
                                             : base64_decode(text, mac, MAC_SIZE, &size);
    return decoded && size == MAC_SIZE;
}

/* --- schemes -------------------------------------------------------------- */

static struct verify_result verify_body(const struct signature_spec *spec,
                                        const struct source *source, const struct inbound *inbound)
{
    const char *name = NULL;
    struct str text = { NULL, 0 };
    enum signature_verdict verdict = header_preferred(spec, inbound, &name, &text);
    if (verdict != SIGNATURE_VALID) {
        return (struct verify_result){ .verdict = verdict };
    }
    uint8_t signatures[1][MAC_SIZE] = { { 0 } };
    if (!mac_decode(spec->encoding, text, signatures[0])) {
        return (struct verify_result){ .verdict = SIGNATURE_HEADER_MALFORMED };
    }
    struct signed_bytes content = { .pieces = { inbound->body }, .count = 1 };
    return mac_check(spec, source, inbound->received_at_ms, &content, signatures, 1);
}

/* "webhook-signature" -> "webhook-id": Svix sends the same three headers under
 * its own first word. */
static enum signature_verdict header_sibling(const struct inbound *inbound, const char *name,
                                             const char *last_word, struct str *out_value)
{
    static const char suffix[] = "-signature";
    size_t size = strlen(name);
    assert(size > sizeof(suffix) - 1 && size < HEADER_NAME_SIZE_MAX);
    char sibling[HEADER_NAME_SIZE_MAX + 16];
    snprintf(sibling, sizeof(sibling), "%.*s-%s", (int)(size - (sizeof(suffix) - 1)), name,
             last_word);
    return header_single(inbound, sibling, out_value);
}

/* The v1 entries of "v1,<base64> v1a,<base64> ..."; other versions are left to
 * those who know them. Returns how many; 0 when there is none. */
static size_t v1_list_decode(struct str list, uint8_t (*signatures)[MAC_SIZE])
{
    size_t count = 0;
    for (bool more = true; more && count < SIGNATURES_MAX;) {
        struct str entry = list;
        more = str_split(list, ' ', &entry, &list);
        if (str_starts_with(entry, STR("v1,")) &&
            mac_decode(SIGNATURE_BASE64, str_drop(entry, 3), signatures[count])) {
            count++;
        }
    }
    return count;
}

static struct verify_result verify_standard(const struct signature_spec *spec,
                                            const struct source *source,
                                            const struct inbound *inbound)
{
    const char *name = NULL;
    struct str list = { NULL, 0 };
    struct str id = { NULL, 0 };
    struct str timestamp = { NULL, 0 };
    enum signature_verdict verdict = header_preferred(spec, inbound, &name, &list);
    if (verdict == SIGNATURE_VALID) {
        verdict = header_sibling(inbound, name, "id", &id);
    }
    if (verdict == SIGNATURE_VALID) {
        verdict = header_sibling(inbound, name, "timestamp", &timestamp);
    }
    if (verdict != SIGNATURE_VALID) {
        return (struct verify_result){ .verdict = verdict };
    }

    uint8_t signatures[SIGNATURES_MAX][MAC_SIZE];
    size_t signature_count = v1_list_decode(list, signatures);
    uint64_t timestamp_s = 0;
    if (signature_count == 0 || id.size == 0 || id.size > WEBHOOK_ID_SIZE_MAX ||
        str_find(id, '.', 0) >= 0 || timestamp.size > 12 || !str_to_u64(timestamp, &timestamp_s)) {
        return (struct verify_result){ .verdict = SIGNATURE_HEADER_MALFORMED };
    }

    struct signed_bytes content = {
        .pieces = { id, STR("."), timestamp, STR("."), inbound->body },
        .count = 5,
    };
    struct verify_result result =
        mac_check(spec, source, inbound->received_at_ms, &content, signatures, signature_count);
    int64_t away_ms = inbound->received_at_ms - (int64_t)timestamp_s * INSTANT_SECOND_MS;
    if (result.verdict == SIGNATURE_VALID && spec->tolerance_ms > 0 &&
        (away_ms > spec->tolerance_ms || away_ms < -spec->tolerance_ms)) {
        result.verdict = SIGNATURE_TIMESTAMP_OUTSIDE;
    }
    return result;
}

struct verify_result verify_inbound(const struct signature_spec *spec, const struct source *source,
                                    const struct inbound *inbound)
{
    switch (spec->scheme) {
    case SIGNATURE_HMAC_SHA256_BODY:
        return verify_body(spec, source, inbound);
    case SIGNATURE_STANDARD_WEBHOOKS:
        return verify_standard(spec, source, inbound);
    }
    /* A platform without a scheme ("api") has no signature to be valid. */
    return (struct verify_result){ .verdict = SIGNATURE_NO_SECRET };
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

static const char *secret_fault(const struct signature_spec *spec, struct str secret)
{
    struct key key;
    if (secret.size == 0 || is_blank((const uint8_t *)secret.data, secret.size)) {
        return "the secret is empty";
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
    bool is_key = key_init(&key, spec->key_form, secret);
    size_t size = key.size;
    key_finish(&key);
    switch (spec->key_form) {
    case SIGNATURE_KEY_TEXT:
        return is_key && size >= SECRET_SIZE_MIN_SHOP ? NULL
                                                      : "the secret is shorter than 8 characters";
    case SIGNATURE_KEY_HTML_DECODED:
        return is_key && size >= SECRET_SIZE_MIN_OURS ? NULL
                                                      : "the secret is shorter than 16 characters";
    case SIGNATURE_KEY_WHSEC:
        return is_key && size >= SECRET_SIZE_MIN_OURS
                   ? NULL
                   : "the secret must be whsec_ and the base64 of 16 to 128 bytes (24 to 64 is "
                     "the standard's advice)";
    }
    return "this platform has no secrets";
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

void verify_sign_v1(const uint8_t *key, size_t key_size, struct str id, int64_t timestamp_s,
                    struct str body, char *text)
{
    char timestamp[24];
    int length = snprintf(timestamp, sizeof(timestamp), "%lld", (long long)timestamp_s);
    struct signed_bytes content = {
        .pieces = { id, STR("."), { timestamp, (size_t)length }, STR("."), body },
        .count = 5,
    };
    uint8_t mac[MAC_SIZE];
    mac_compute(key, key_size, &content, mac);
    static_assert(VERIFY_V1_TEXT_SIZE ==
                      3 + sodium_base64_ENCODED_LEN(MAC_SIZE, sodium_base64_VARIANT_ORIGINAL),
                  "\"v1,\", 44 characters and NUL");
    text[0] = 'v';
    text[1] = '1';
    text[2] = ',';
    sodium_bin2base64(text + 3, VERIFY_V1_TEXT_SIZE - 3, mac, sizeof(mac),
                      sodium_base64_VARIANT_ORIGINAL);
}
