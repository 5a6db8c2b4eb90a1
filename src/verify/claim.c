#include <string.h>

#include "base/codec.h"
#include "base/instant.h"
#include "verify_priv.h"

/*
 * What a request's headers claim: signatures, signed time, signed bytes.
 *
 * Platforms differ in three ways only: how the header holds its signatures, in
 * which order which pieces are signed, and where the time stands. So a spec says
 * these, the pieces as a template ("{id}.{timestamp}.{body}"), and this file
 * reads any of them. The body is a piece as it came; it is never copied.
 *
 * Rejected: looking at more than one of several different signature headers (two
 * parsers would choose differently); numbers for times in any shape but decimal
 * seconds (a body that says its time otherwise has a read_claim).
 */

enum {
    WEBHOOK_ID_SIZE_MAX = 256,
    SECONDS_DIGITS_MAX = 12,
};

/* What the pieces of a template stand for. */
struct parts {
    struct str id;
    struct str timestamp;
};

static void add_signature(struct signature_claim *claim, struct str text, bool is_ed25519)
{
    if (claim->signature_count < SIGNATURES_MAX) {
        claim->signatures[claim->signature_count++] =
            (struct signature_text){ .text = text, .is_ed25519 = is_ed25519 };
    }
}

/* "v1,<signature> v1a,<signature>": other versions are left to those who know
 * them. */
static void read_list(struct str list, struct signature_claim *claim)
{
    for (bool more = true; more;) {
        struct str entry = list;
        more = str_split(list, ' ', &entry, &list);
        if (str_starts_with(entry, STR("v1,"))) {
            add_signature(claim, str_drop(entry, 3), false);
        } else if (str_starts_with(entry, STR("v1a,"))) {
            add_signature(claim, str_drop(entry, 4), true);
        }
    }
}

/* "t=1492774577,v1=5257a8...,v0=6ffbb5...": the mark's entries count, t is the
 * time; two different times are none. */
static bool read_pairs(struct str list, struct str mark, struct signature_claim *claim,
                       struct str *timestamp)
{
    for (bool more = true; more;) {
        struct str entry = list;
        struct str name = { NULL, 0 };
        struct str value = { NULL, 0 };
        more = str_split(list, ',', &entry, &list);
        if (!str_split(str_trim(entry), '=', &name, &value)) {
            continue;
        }
        if (str_equal(name, STR("t"))) {
            if (timestamp->size > 0 && !str_equal(*timestamp, value)) {
                return false;
            }
            *timestamp = value;
        } else if (str_equal(name, mark)) {
            add_signature(claim, value, false);
        }
    }
    return true;
}

static bool read_signatures(const struct signature_spec *spec, struct str text,
                            struct signature_claim *claim, struct str *timestamp)
{
    struct str mark = str_from_z(spec->mark);
    switch (spec->syntax) {
    case SIGNATURE_ALONE:
        if (str_starts_with(text, mark)) {
            add_signature(claim, str_drop(text, mark.size), false);
        }
        return true;
    case SIGNATURE_LIST:
        read_list(text, claim);
        return true;
    case SIGNATURE_PAIRS:
        return read_pairs(text, mark, claim, timestamp);
    }
    return false;
}

/* One "{...}" of the template; false when it names nothing. */
static bool put_piece(struct arena *arena, const struct inbound *inbound, struct str name,
                      const struct parts *parts, struct str *out_piece)
{
    if (str_equal(name, STR("body"))) {
        *out_piece = inbound->body;
    } else if (str_equal(name, STR("id"))) {
        *out_piece = parts->id;
    } else if (str_equal(name, STR("timestamp"))) {
        *out_piece = parts->timestamp;
    } else if (str_equal(name, STR("url"))) {
        *out_piece = inbound->url;
    } else if (str_equal(name, STR("body_base64"))) {
        *out_piece = base64_encode(arena, (const uint8_t *)inbound->body.data, inbound->body.size);
    } else if (str_starts_with(name, STR("header:"))) {
        const char *header = str_dup_z(arena, str_drop(name, sizeof("header:") - 1));
        return header != NULL &&
               inbound_header_single(inbound, header, out_piece) == SIGNATURE_VALID;
    } else {
        return false;
    }
    return true;
}

static bool read_pieces(struct arena *arena, struct str content, const struct inbound *inbound,
                        const struct parts *parts, struct signature_claim *claim)
{
    struct str text = { NULL, 0 };
    bool is_name = false;
    while (signature_next_part(&content, &text, &is_name)) {
        if (claim->piece_count == SIGNATURE_PIECES_MAX) {
            return false;
        }
        struct str *piece = &claim->pieces[claim->piece_count++];
        *piece = text;
        if (is_name && !put_piece(arena, inbound, text, parts, piece)) {
            return false;
        }
    }
    return content.size == 0;
}

static bool read_time(const struct signature_spec *spec, struct str timestamp,
                      struct signature_claim *claim)
{
    uint64_t seconds = 0;
    if (spec->tolerance_ms == 0) {
        return true;
    }
    if (timestamp.size > SECONDS_DIGITS_MAX || !str_to_u64(timestamp, &seconds)) {
        return false;
    }
    claim->timestamp_ms = (int64_t)seconds * INSTANT_SECOND_MS;
    return true;
}

/* The preferred of the accepted families that the request has. */
static const struct signature_headers *find_family(const struct signature_spec *spec,
                                                   const struct inbound *inbound)
{
    for (size_t i = 0; i < SIGNATURE_FAMILIES_MAX && spec->headers[i].signature != NULL; i++) {
        if (inbound_header_count(inbound, spec->headers[i].signature) > 0) {
            return &spec->headers[i];
        }
    }
    return NULL;
}

enum signature_verdict claim_read_headers(struct arena *arena, const struct signature_spec *spec,
                                          const struct inbound *inbound,
                                          struct signature_claim *claim)
{
    const struct signature_headers *names = find_family(spec, inbound);
    if (names == NULL) {
        return SIGNATURE_HEADER_MISSING;
    }
    struct parts parts = { .id = { NULL, 0 } };
    struct str text = { NULL, 0 };
    enum signature_verdict verdict = inbound_header_single(inbound, names->signature, &text);
    if (verdict == SIGNATURE_VALID && names->id != NULL) {
        verdict = inbound_header_single(inbound, names->id, &parts.id);
    }
    if (verdict == SIGNATURE_VALID && names->timestamp != NULL) {
        verdict = inbound_header_single(inbound, names->timestamp, &parts.timestamp);
    }
    if (verdict != SIGNATURE_VALID) {
        return verdict;
    }
    /* A point in the id would let it reach into the time that follows it. */
    if (names->id != NULL && (parts.id.size == 0 || parts.id.size > WEBHOOK_ID_SIZE_MAX ||
                              str_find(parts.id, '.', 0) >= 0)) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    struct str content = str_from_z(spec->content);
    if (!read_signatures(spec, text, claim, &parts.timestamp) || claim->signature_count == 0 ||
        !read_time(spec, parts.timestamp, claim) ||
        !read_pieces(arena, content.size > 0 ? content : STR("{body}"), inbound, &parts, claim)) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    return SIGNATURE_VALID;
}
