#ifndef CORE_SIGNATURE_H
#define CORE_SIGNATURE_H

/*
 * How a platform signs, as data: a source file holds one, verify executes it.
 *
 * Two kinds of spec. Most platforms sign in headers, and their spec says which
 * headers, over which content. Some sign inside the body (SNS, Mailgun,
 * Mandrill, Ecwid, Wix): their spec has a `read_claim` that finds the claim
 * there, and reads nothing else of a body that nobody has vouched for yet.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct source;

enum signature_algorithm {
    SIGNATURE_HMAC_SHA256 = 1,
    SIGNATURE_HMAC_SHA1, /* Mandrill, Segment: a keyed SHA-1 is not what is broken of it */
    SIGNATURE_HMAC_SHA512,
    SIGNATURE_RSA_SHA256,   /* PKCS#1 v1.5 */
    SIGNATURE_RSA_SHA1,     /* SNS, SignatureVersion 1 */
    SIGNATURE_ECDSA_SHA256, /* P-256, DER */
    /* Nothing is signed: who knows the secret may speak. Its place is the path's
     * token, a Basic password, a Bearer token, or one of spec->headers. */
    SIGNATURE_BEARER,
};

enum signature_encoding {
    SIGNATURE_BASE64 = 1,
    SIGNATURE_BASE64URL, /* of JOSE: no padding */
    SIGNATURE_HEX,
};

/* What a live secret of the source is. */
enum signature_key_form {
    SIGNATURE_KEY_TEXT = 1,     /* the secret's bytes as they are */
    SIGNATURE_KEY_WHSEC,        /* whsec_ + base64, and whpk_ + base64 of an Ed25519 key */
    SIGNATURE_KEY_HTML_DECODED, /* WooCommerce: wp_specialchars_decode(ENT_QUOTES) */
    SIGNATURE_KEY_HEX,          /* Squarespace: the bytes whose hex it is */
    SIGNATURE_KEY_PUBLIC,       /* a public key: PEM, or base64 of its DER (SPKI) */
    SIGNATURE_KEY_FETCHED,      /* none: each claim has a key_url */
};

/* How a header holds its signatures. */
enum signature_syntax {
    SIGNATURE_ALONE = 1, /* mark + signature; the mark may be empty ("sha256=") */
    SIGNATURE_LIST,      /* "v1,<signature> v1a,<signature> ..." */
    SIGNATURE_PAIRS,     /* "t=<seconds>,v1=<signature>,..."; mark names the signature's key */
};

/* One family of headers. id and timestamp are NULL where there is none. */
struct signature_headers {
    const char *signature;
    const char *id;
    const char *timestamp;
};

enum {
    SIGNATURES_MAX = 16, /* a sender that rolls its key has two; none keeps more than a few */
    SIGNATURE_PIECES_MAX = 12,
    SIGNATURE_FAMILIES_MAX = 3,
};

/* What a request says about its own signature, still unproven. All borrowed
 * from the request or in its arena. */
struct signature_claim {
    struct signature_text {
        struct str text;
        bool is_ed25519; /* v1a of Standard Webhooks */
        /* Not empty: no secret of the source proves it, but the key published
         * there. read_claim has pinned the host; nobody else looks. */
        struct str key_url;
    } signatures[SIGNATURES_MAX];
    size_t signature_count;
    struct str pieces[SIGNATURE_PIECES_MAX]; /* the signed bytes, in order */
    size_t piece_count;
    int64_t timestamp_ms;               /* the signed time; INSTANT_NONE when none is signed */
    enum signature_algorithm algorithm; /* 0: the spec's */
    enum signature_encoding encoding;   /* 0: the spec's */
    struct str key_id;                  /* which of a key set; empty: the only one */
    const char *secret_label;           /* only secrets of this label prove it; NULL: any */
    /* Another claim, which must hold as well (Shopware, when a shop that is known
     * comes again); NULL: none. */
    const struct signature_claim *also;
};

struct inbound;

/* Contract 7's reasons. */
enum signature_verdict {
    SIGNATURE_VALID,
    SIGNATURE_HEADER_MISSING,
    SIGNATURE_HEADER_MALFORMED,
    SIGNATURE_MISMATCH,
    SIGNATURE_NO_SECRET,
    SIGNATURE_TIMESTAMP_OUTSIDE,
    SIGNATURE_SHOP_MISMATCH,
    SIGNATURE_ADDRESS_NOT_ALLOWED,
    SIGNATURE_KEY_WANTED, /* the published key is not at hand: fetch it, ask again */
};

struct signature_spec {
    enum signature_algorithm algorithm; /* 0: the platform takes no webhooks */
    enum signature_encoding encoding;
    enum signature_key_form key_form;
    enum signature_syntax syntax;
    const char *mark; /* of the syntax; NULL: none ("v1" in a list and in pairs) */
    /* What is signed, with {body} {url} {id} {timestamp} {body_base64} and
     * {header:x-name} put in; "" or NULL: {body}. */
    const char *content;
    /* Accepted families, preferred first; signature NULL ends. */
    struct signature_headers headers[SIGNATURE_FAMILIES_MAX];
    int64_t tolerance_ms; /* of a signed timestamp, both ways; 0: none is signed */
    bool may_lack_secret; /* there is another way than by a secret (published keys) */
    /* NULL: the claim is read from headers, as said above. VALID when *claim is
     * complete, else why not. */
    enum signature_verdict (*read_claim)(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim);
};

/* The next part of a content template: what stands as it is, or a name in braces.
 * False when the template is at its end, or when a brace is not closed or empty
 * (*template is not empty then). */
bool signature_next_part(struct str *template, struct str *out_text, bool *out_is_name);
/* Why no request could be read by this template under these headers, as static text;
 * NULL: it can be. It must contain the body, or a signature would vouch for nothing. */
const char *signature_content_fault(struct str content, const struct signature_headers *headers);

/* How much of what an event says its sender vouched for. */
enum provenance {
    PROVENANCE_FULL = 1, /* every byte is signed */
    PROVENANCE_PARTIAL,  /* something is (Mailgun: time and token; Ecwid: the event's id) */
    PROVENANCE_NONE,     /* whoever knew the secret said so */
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
    bool is_get;       /* GET or HEAD: a handshake, never a delivery */
    struct str query;  /* as it came, without "?" */
    struct str token;  /* the secret part of the path; empty: none was given */
    struct str url;    /* of the source as its sender was told, without the token */
    struct str client; /* the sender's address as text */
};

/* First value of a header, compared without case; empty when absent. */
struct str inbound_header(const struct inbound *inbound, const char *name);
size_t inbound_header_count(const struct inbound *inbound, const char *name);
/* The first parameter of the query under a name; empty when there is none, or the
 * query is no form. */
struct str inbound_parameter(struct arena *arena, const struct inbound *inbound, const char *name);
/* The one value of a header, trimmed. HEADER_MALFORMED when it is there several
 * times and says different things, since two parsers would choose differently. */
enum signature_verdict inbound_header_single(const struct inbound *inbound, const char *name,
                                             struct str *out_value);
const char *signature_verdict_name(enum signature_verdict verdict); /* "signature_mismatch", ... */
const char *signature_verdict_hint(enum signature_verdict verdict); /* one helpful sentence */
const char *provenance_name(enum provenance provenance);            /* "full", ... */

#endif
