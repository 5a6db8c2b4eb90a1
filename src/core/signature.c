#include "core/signature.h"

#include <assert.h>

/*
 * Words for verdicts, and headers of a request without HTTP.
 *
 * The verdict's name is what a source's health shows (contract 7); the hint is
 * one sentence for the person who pastes secrets at midnight. The caller of
 * the webhook sees neither: a signature oracle helps only attackers.
 */

struct verdict_text {
    const char *name;
    const char *hint;
};

static const struct verdict_text texts[] = {
    [SIGNATURE_VALID] = { "valid", "The signature is valid." },
    [SIGNATURE_HEADER_MISSING] = { "header_missing",
                                   "The request carries no signature header: the sender has no "
                                   "secret set, or a proxy strips the header." },
    [SIGNATURE_HEADER_MALFORMED] = { "header_malformed",
                                     "The signature header is not of the platform's form: is "
                                     "this source's platform the right one?" },
    [SIGNATURE_MISMATCH] = { "signature_mismatch",
                             "No stored secret matches: compare the secret at the shop with the "
                             "one stored here; a proxy that rewrites bodies has the same effect." },
    [SIGNATURE_NO_SECRET] = { "no_secret",
                              "This source has no secret yet: store the one the shop signs with." },
    [SIGNATURE_TIMESTAMP_OUTSIDE] = { "timestamp_outside_tolerance",
                                      "The signed timestamp is too far from our clock: check the "
                                      "clocks of both machines." },
    [SIGNATURE_SHOP_MISMATCH] = { "shop_mismatch",
                                  "The webhook names another shop than this source's settings." },
    [SIGNATURE_ADDRESS_NOT_ALLOWED] = { "not_allowed_address",
                                        "The request came from an address that is not among the "
                                        "source's allowed_addresses: has the sender new ones, or "
                                        "does a proxy hide them (trusted_proxies)?" },
    [SIGNATURE_KEY_WANTED] = { "key_unavailable",
                               "The key that the sender publishes could not be fetched: may this "
                               "machine call the sender's key server?" },
};

struct str inbound_header(const struct inbound *inbound, const char *name)
{
    for (size_t i = 0; i < inbound->header_count; i++) {
        if (str_equal_nocase(inbound->headers[i].name, str_from_z(name))) {
            return inbound->headers[i].value;
        }
    }
    return (struct str){ 0 };
}

size_t inbound_header_count(const struct inbound *inbound, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < inbound->header_count; i++) {
        count += str_equal_nocase(inbound->headers[i].name, str_from_z(name)) ? 1 : 0;
    }
    return count;
}

enum signature_verdict inbound_header_single(const struct inbound *inbound, const char *name,
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

const char *signature_verdict_name(enum signature_verdict verdict)
{
    assert(verdict < ARRAY_COUNT(texts));
    return texts[verdict].name;
}

const char *signature_verdict_hint(enum signature_verdict verdict)
{
    assert(verdict < ARRAY_COUNT(texts));
    return texts[verdict].hint;
}

const char *provenance_name(enum provenance provenance)
{
    static const char *const names[] = {
        [PROVENANCE_FULL] = "full",
        [PROVENANCE_PARTIAL] = "partial",
        [PROVENANCE_NONE] = "none",
    };
    assert(provenance >= PROVENANCE_FULL && provenance < ARRAY_COUNT(names));
    return names[provenance];
}
