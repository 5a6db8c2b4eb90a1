#include "deliver/destination.h"

#include <assert.h>

#include <curl/curl.h>
#include <sodium.h>

#include "base/codec.h"
#include "base/limits.h"
#include "deliver/key_vault.h"
#include "deliver/sender.h"
#include "deliver/sign.h"

/*
 * What does not change between two messages is prepared once.
 *
 * At thousands of small POSTs a second the cost is libcurl's set-up: copying a
 * URL, building a header list. Invariant: a destination never changes after it
 * was made; a changed endpoint makes a new one, and transfers under way keep
 * the old. Keys lie in the vault and are wiped with it; an ESP's, which libcurl wants
 * as a header line, lies with the others and is wiped as well. Rejected: header
 * lists per message (eight allocations each).
 */

enum {
    CONTENT_TYPE_SIZE = 64,
};

_Static_assert((int)DESTINATION_SIGNATURE_SIZE ==
                   (int)ENDPOINT_SECRETS_PER_SCHEME *
                       ((int)SIGN_V1_TEXT_SIZE + (int)SIGN_V1A_TEXT_SIZE),
               "each secret may sign");

/* A transfer may not outlast half of its lease, or no lease ever covers it. */
#define TIMEOUT_MS_MAX (LIMIT_DELIVERY_LEASE_MS / 2)

struct destination {
    unsigned references;
    char *url;
    struct key_vault *vault;
    struct endpoint_secret *secrets[ENDPOINT_SECRETS_MAX]; /* in the vault */
    size_t secret_count;
    int64_t timeout_ms;
    enum native_format format;
    struct curl_slist *headers;
    uint64_t header_hash; /* of the lines as they were given */
};

/* Ours by contract 3, or what frames the message (smuggling). */
static const char *const reserved_names[] = {
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "trailer",
    "upgrade",
    "transfer-encoding",
    "user-agent",
};

static bool name_is_token(struct str name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return name.size > 0;
}

static bool name_is_reserved(struct str name)
{
    if (str_equal_nocase(str_take(name, 8), STR("webhook-")) ||
        str_equal_nocase(str_take(name, 6), STR("proxy-"))) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(reserved_names); i++) {
        if (str_equal_nocase_z(name, reserved_names[i])) {
            return true;
        }
    }
    return false;
}

bool endpoint_header_is_allowed(struct str line)
{
    struct str name = { NULL, 0 };
    struct str value = { NULL, 0 };
    if (line.size > LIMIT_TEXT_BYTES || !str_split(line, ':', &name, &value)) {
        return false;
    }
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    /* "Name:" alone is libcurl's way to take a header out. */
    return name_is_token(name) && !name_is_reserved(name) && str_trim(value).size > 0;
}

static bool add_header(struct destination *destination, struct str line)
{
    char z[LIMIT_TEXT_BYTES + 1];
    assert(line.size < sizeof(z));
    memcpy(z, line.data, line.size);
    z[line.size] = '\0';
    struct curl_slist *longer = curl_slist_append(destination->headers, z);
    if (longer == NULL) {
        return false;
    }
    destination->headers = longer;
    return true;
}

static bool add_headers(struct destination *destination, const struct endpoint *endpoint)
{
    const struct native_info *native = native_info(endpoint->format);
    char type[CONTENT_TYPE_SIZE];
    int size = snprintf(type, sizeof(type), "Content-Type: %s",
                        native != NULL ? native->content_type : "");
    assert(size > 0 && (size_t)size < sizeof(type));
    /* An empty Expect keeps libcurl from waiting for "100 Continue". */
    if (native != NULL && !add_header(destination, str_from_z(type))) {
        return false;
    }
    if (!add_header(destination, STR("Expect:"))) {
        return false;
    }
    for (size_t i = 0; i < endpoint->header_count; i++) {
        if (endpoint_header_is_allowed(endpoint->header_lines[i]) &&
            !add_header(destination, endpoint->header_lines[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t header_hash(const struct endpoint *endpoint)
{
    uint64_t hash = endpoint->header_count;
    for (size_t i = 0; i < endpoint->header_count; i++) {
        hash = hash64(endpoint->header_lines[i], hash);
    }
    return hash;
}

static int64_t timeout_of(const struct endpoint *endpoint)
{
    if (endpoint->timeout_ms <= 0) {
        return LIMIT_DELIVERY_TIMEOUT_MS;
    }
    return endpoint->timeout_ms < TIMEOUT_MS_MAX ? endpoint->timeout_ms : TIMEOUT_MS_MAX;
}

static bool add_secrets(struct destination *destination, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->secret_count; i++) {
        struct endpoint_secret *secret = key_vault_take(destination->vault);
        if (secret == NULL) {
            return false;
        }
        *secret = endpoint->secrets[i];
        destination->secrets[destination->secret_count++] = secret;
    }
    return true;
}

struct destination *destination_create(struct key_vault *vault, const struct endpoint *endpoint)
{
    assert(endpoint->secret_count <= ENDPOINT_SECRETS_MAX);
    struct destination *destination = calloc(1, sizeof(*destination));
    if (destination == NULL) {
        return NULL;
    }
    destination->references = 1;
    destination->timeout_ms = timeout_of(endpoint);
    destination->format = endpoint->format;
    destination->header_hash = header_hash(endpoint);
    destination->vault = vault;
    destination->url = malloc(endpoint->url.size + 1);
    if (destination->url == NULL || !add_secrets(destination, endpoint) ||
        !add_headers(destination, endpoint)) {
        destination_release(destination);
        return NULL;
    }
    memcpy(destination->url, endpoint->url.data, endpoint->url.size);
    destination->url[endpoint->url.size] = '\0';
    return destination;
}

struct destination *destination_hold(struct destination *destination)
{
    destination->references++;
    return destination;
}

void destination_release(struct destination *destination)
{
    if (destination == NULL) {
        return;
    }
    assert(destination->references > 0);
    destination->references--;
    if (destination->references > 0) {
        return;
    }
    /* An ESP's key stands in one of the lines. */
    for (struct curl_slist *line = destination->headers; line != NULL; line = line->next) {
        sodium_memzero(line->data, strlen(line->data));
    }
    curl_slist_free_all(destination->headers);
    for (size_t i = 0; i < destination->secret_count; i++) {
        key_vault_give_back(destination->vault, destination->secrets[i]);
    }
    free(destination->url);
    free(destination);
}

bool endpoint_secret_read(struct str text, struct endpoint_secret *out_secret)
{
    const struct str symmetric = STR("whsec_");
    const struct str asymmetric = STR("whsk_");
    struct endpoint_secret secret = { .scheme = SIGNATURE_V1 };
    bool is_sound = false;
    if (str_starts_with(text, symmetric)) {
        is_sound = base64_decode(str_drop(text, symmetric.size), secret.key, sizeof(secret.key),
                                 &secret.key_size) &&
                   secret.key_size > 0;
    } else if (str_starts_with(text, asymmetric)) {
        secret.scheme = SIGNATURE_V1A;
        is_sound = base64_decode(str_drop(text, asymmetric.size), secret.key, sizeof(secret.key),
                                 &secret.key_size) &&
                   secret.key_size == SIGN_V1A_KEY_SIZE;
    }
    if (is_sound) {
        *out_secret = secret;
    }
    sodium_memzero(&secret, sizeof(secret));
    return is_sound;
}

static bool secrets_match(const struct destination *destination, const struct endpoint *endpoint)
{
    if (destination->secret_count != endpoint->secret_count) {
        return false;
    }
    for (size_t i = 0; i < endpoint->secret_count; i++) {
        const struct endpoint_secret *mine = destination->secrets[i];
        const struct endpoint_secret *theirs = &endpoint->secrets[i];
        if (mine->scheme != theirs->scheme || mine->key_size != theirs->key_size ||
            sodium_memcmp(mine->key, theirs->key, mine->key_size) != 0) {
            return false;
        }
    }
    return true;
}

bool destination_matches(const struct destination *destination, const struct endpoint *endpoint)
{
    return str_equal_z(endpoint->url, destination->url) &&
           destination->timeout_ms == timeout_of(endpoint) &&
           destination->format == endpoint->format &&
           destination->header_hash == header_hash(endpoint) &&
           secrets_match(destination, endpoint);
}

const char *destination_url(const struct destination *destination)
{
    return destination->url;
}

enum native_format destination_format(const struct destination *destination)
{
    return destination->format;
}

int64_t destination_timeout_ms(const struct destination *destination)
{
    return destination->timeout_ms;
}

struct curl_slist *destination_headers(const struct destination *destination)
{
    return destination->headers;
}

/* The text for Ed25519, or NULL: not needed, or (with *out_failed) no memory. */
static uint8_t *message_of(const struct destination *destination, struct str webhook_id,
                           struct str timestamp_s, struct str body, bool *out_failed)
{
    bool is_needed = false;
    for (size_t i = 0; i < destination->secret_count; i++) {
        is_needed = is_needed || destination->secrets[i]->scheme == SIGNATURE_V1A;
    }
    if (!is_needed) {
        return NULL;
    }
    uint8_t *message = malloc(sign_v1a_message_size(webhook_id, timestamp_s, body));
    *out_failed = message == NULL;
    if (message != NULL) {
        sign_v1a_message(webhook_id, timestamp_s, body, message);
    }
    return message;
}

bool destination_sign(const struct destination *destination, struct str webhook_id,
                      struct str timestamp_s, struct str body, char *text)
{
    bool has_failed = false;
    uint8_t *message = message_of(destination, webhook_id, timestamp_s, body, &has_failed);
    if (has_failed) {
        return false;
    }
    text[0] = '\0';
    for (size_t i = 0; i < destination->secret_count; i++) {
        const struct endpoint_secret *secret = destination->secrets[i];
        if (i > 0) {
            *text++ = ' ';
        }
        switch (secret->scheme) {
        case SIGNATURE_V1:
            sign_v1(secret->key, secret->key_size, webhook_id, timestamp_s, body, text);
            text += SIGN_V1_TEXT_SIZE - 1;
            break;
        case SIGNATURE_V1A:
            sign_v1a(secret->key, message, sign_v1a_message_size(webhook_id, timestamp_s, body),
                     text);
            text += SIGN_V1A_TEXT_SIZE - 1;
            break;
        }
    }
    free(message);
    return true;
}
