#include "core/signature.h"

#include <assert.h>

#include "base/form.h"

/*
 * Words for verdicts, headers of a request without HTTP, and templates of what is
 * signed: they are refused when they are saved by the reading they will have when a
 * webhook comes.
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
        if (str_equal_nocase_z(inbound->headers[i].name, name)) {
            return inbound->headers[i].value;
        }
    }
    return (struct str){ 0 };
}

size_t inbound_header_count(const struct inbound *inbound, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < inbound->header_count; i++) {
        count += str_equal_nocase_z(inbound->headers[i].name, name) ? 1 : 0;
    }
    return count;
}

struct str inbound_parameter(struct arena *arena, const struct inbound *inbound, const char *name)
{
    enum {
        PARAMETERS_MAX = 32
    };
    const struct form_field *fields = NULL;
    size_t count = 0;
    return form_parse(arena, inbound->query, PARAMETERS_MAX, &fields, &count) == FORM_OK
               ? form_find(fields, count, name)
               : STR("");
}

enum signature_verdict inbound_header_single(const struct inbound *inbound, const char *name,
                                             struct str *out_value)
{
    struct str value = { NULL, 0 };
    bool found = false;
    for (size_t i = 0; i < inbound->header_count; i++) {
        const struct inbound_header *header = &inbound->headers[i];
        if (!str_equal_nocase_z(header->name, name)) {
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

/* --- templates ------------------------------------------------------------ */

bool signature_next_part(struct str *template, struct str *out_text, bool *out_is_name)
{
    struct str rest = *template;
    *out_text = (struct str){ NULL, 0 };
    if (rest.size == 0) {
        return false;
    }
    *out_is_name = rest.data[0] == '{';
    if (*out_is_name) {
        struct str behind = { NULL, 0 };
        if (!str_split(str_drop(rest, 1), '}', out_text, &behind) || out_text->size == 0) {
            return false;
        }
        *template = behind;
        return true;
    }
    ptrdiff_t brace = str_find(rest, '{', 0);
    size_t size = brace < 0 ? rest.size : (size_t)brace;
    *out_text = str_take(rest, size);
    *template = str_drop(rest, size);
    return true;
}

static bool is_body(struct str name)
{
    return str_equal(name, STR("body")) || str_equal(name, STR("body_base64"));
}

static bool is_known(struct str name, const struct signature_headers *headers)
{
    return is_body(name) || str_equal(name, STR("url")) ||
           (str_equal(name, STR("id")) && headers->id != NULL) ||
           (str_equal(name, STR("timestamp")) && headers->timestamp != NULL) ||
           (str_starts_with(name, STR("header:")) && name.size > sizeof("header:") - 1);
}

const char *signature_content_fault(struct str content, const struct signature_headers *headers)
{
    struct str text = { NULL, 0 };
    bool is_name = false;
    bool has_body = content.size == 0;
    bool all_known = true;
    size_t count = 0;
    while (signature_next_part(&content, &text, &is_name)) {
        all_known = all_known && (!is_name || is_known(text, headers));
        has_body = has_body || (is_name && is_body(text));
        count++;
    }
    if (!all_known || content.size > 0) {
        return "{body}, {body_base64}, {url}, {header:x-name}, {id} (with id_header) and "
               "{timestamp} (with timestamp_header) are known";
    }
    if (!has_body) {
        return "the signed content contains {body}, or the signature vouches for nothing";
    }
    static_assert(SIGNATURE_PIECES_MAX == 12, "said below");
    return count <= SIGNATURE_PIECES_MAX
               ? NULL
               : "the signed content has at most 12 parts: names in braces, and what stands "
                 "between them";
}

/* --- words ---------------------------------------------------------------- */

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
