#ifndef CORE_SIGNATURE_H
#define CORE_SIGNATURE_H

/*
 * How a platform signs, as data: a source file holds one, verify executes it.
 * Nothing is parsed before it passes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum signature_scheme {
    SIGNATURE_HMAC_SHA256_BODY = 1, /* MAC over the raw body */
    SIGNATURE_STANDARD_WEBHOOKS,    /* id.timestamp.body, v1 and v1a */
};

enum signature_encoding {
    SIGNATURE_BASE64 = 1,
    SIGNATURE_HEX
};

enum signature_key_form {
    SIGNATURE_KEY_TEXT = 1,     /* the secret's bytes as they are */
    SIGNATURE_KEY_WHSEC,        /* whsec_ + base64 */
    SIGNATURE_KEY_HTML_DECODED, /* WooCommerce: wp_specialchars_decode(ENT_QUOTES) */
};

struct signature_spec {
    enum signature_scheme scheme;
    enum signature_encoding encoding;
    enum signature_key_form key_form;
    const char *headers[3]; /* accepted names, preferred first; NULL-terminated */
    int64_t tolerance_ms;   /* of a signed timestamp, both ways; 0: none is signed */
};

/* Contract 7's reasons. */
enum signature_verdict {
    SIGNATURE_VALID,
    SIGNATURE_HEADER_MISSING,
    SIGNATURE_HEADER_MALFORMED,
    SIGNATURE_MISMATCH,
    SIGNATURE_NO_SECRET,
    SIGNATURE_TIMESTAMP_OUTSIDE,
    SIGNATURE_SHOP_MISMATCH,
};

/* A request as verify and sources see it, without HTTP. */
struct inbound_header {
    struct str name;
    struct str value;
};

struct inbound {
    const struct inbound_header *headers;
    size_t header_count;
    struct str body;
    int64_t received_at_ms;
};

/* First value of a header, compared without case; empty when absent. */
struct str inbound_header(const struct inbound *inbound, const char *name);
size_t inbound_header_count(const struct inbound *inbound, const char *name);
const char *signature_verdict_name(enum signature_verdict verdict); /* "signature_mismatch", ... */
const char *signature_verdict_hint(enum signature_verdict verdict); /* one helpful sentence */

#endif
