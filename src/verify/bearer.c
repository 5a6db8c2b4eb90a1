#include <string.h>

#include "base/codec.h"
#include "verify_priv.h"

/*
 * Senders that do not sign: who knows the secret may speak.
 *
 * The secret stands where the sender's settings allow one: in the last segment
 * of the address, as the password of Basic, as a Bearer token, or in a header
 * that the platform lets people set. Every place is looked at, and every live
 * secret is compared with every place, in constant time for secrets of one
 * length. A user name says nothing; "user:password" as a whole is accepted too,
 * since that is what people store.
 *
 * Nothing of the body is vouched for: such events carry provenance "none".
 */

enum {
    PLACES_MAX = 8,
    BASIC_SIZE_MAX = 1024,
};

struct places {
    struct str texts[PLACES_MAX];
    size_t count;
    uint8_t basic[BASIC_SIZE_MAX];
};

static void add(struct places *places, struct str text)
{
    if (text.size > 0 && places->count < PLACES_MAX) {
        places->texts[places->count++] = text;
    }
}

static void add_authorization(struct places *places, struct str value)
{
    struct str scheme = { NULL, 0 };
    struct str rest = { NULL, 0 };
    size_t size = 0;
    if (!str_split(value, ' ', &scheme, &rest)) {
        return;
    }
    rest = str_trim(rest);
    if (str_equal_nocase(scheme, STR("bearer"))) {
        add(places, rest);
    } else if (str_equal_nocase(scheme, STR("basic")) &&
               base64_decode(rest, places->basic, sizeof(places->basic), &size)) {
        struct str pair = { (const char *)places->basic, size };
        struct str user = { NULL, 0 };
        struct str password = { NULL, 0 };
        add(places, pair);
        if (str_split(pair, ':', &user, &password)) {
            add(places, password);
        }
    }
}

static bool same(struct str secret, struct str text)
{
    return secret.size == text.size && sodium_memcmp(secret.data, text.data, text.size) == 0;
}

struct verify_result bearer_check(const struct signature_spec *spec, const struct source *source,
                                  const struct inbound *inbound)
{
    struct verify_result result = { .verdict = SIGNATURE_HEADER_MISSING };
    struct places places = { .count = 0 };
    struct str value = { NULL, 0 };
    add(&places, inbound->token);
    if (inbound_header_single(inbound, "authorization", &value) == SIGNATURE_VALID) {
        add_authorization(&places, value);
    }
    for (size_t i = 0; i < SIGNATURE_FAMILIES_MAX && spec->headers[i].signature != NULL; i++) {
        if (inbound_header_single(inbound, spec->headers[i].signature, &value) == SIGNATURE_VALID) {
            add(&places, value);
        }
    }
    bool valid = false;
    for (size_t i = 0; i < source->secret_count; i++) {
        const struct source_secret *secret = &source->secrets[i];
        if (secret->expires_at_ms <= inbound->received_at_ms || secret->value.size == 0) {
            continue;
        }
        unsigned equal = 0;
        for (size_t p = 0; p < places.count; p++) {
            equal |= same(secret->value, places.texts[p]);
        }
        if (secret->shadow) {
            verify_note_shadow(&result, i, equal != 0);
            continue;
        }
        result.secrets_tried++;
        if (equal != 0 && !valid) {
            valid = true;
            result.secret_index = i;
        }
    }
    sodium_memzero(places.basic, sizeof(places.basic));
    if (valid) {
        result.verdict = SIGNATURE_VALID;
    } else if (result.secrets_tried == 0) {
        result.verdict = SIGNATURE_NO_SECRET;
    } else if (places.count > 0) {
        result.verdict = SIGNATURE_MISMATCH;
    }
    return result;
}
