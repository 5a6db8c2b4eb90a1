#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

/*
 * The request target (RFC 9112 section 3.2), read from the raw bytes of the
 * request line: libmicrohttpd decodes %00 into a truncating NUL, so its own
 * idea of the URL is never used.
 *
 * Pure; results borrow from the text given, decoded ones from the arena.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/form.h"
#include "base/str.h"

struct arena;

enum target_verdict {
    TARGET_OK,
    TARGET_TOO_LONG,
    TARGET_MALFORMED, /* forbidden byte, bad escape, %00, or none of the forms */
    TARGET_QUERY_TOO_MANY,
};

enum target_form {
    TARGET_ORIGIN,
    TARGET_ABSOLUTE,
    TARGET_ASTERISK
};

struct target {
    enum target_form form;
    struct str authority; /* absolute form only: "host:port" */
    struct str path;      /* still encoded, begins with '/'; "*" for the asterisk form */
    struct str query;     /* still encoded, without '?' */
};

/* *out_target is untouched unless the verdict is TARGET_OK. */
enum target_verdict target_parse(struct str raw, struct target *out_target);

/* Splits and decodes the query. *out_parameters holds *out_count entries. */
enum target_verdict target_parse_query(struct arena *arena, struct str query,
                                       const struct form_field **out_parameters, size_t *out_count);

/* One path segment, percent-decoded into the arena; '+' stays. False when it
 * does not decode (target_parse has refused those) or the arena is full. */
bool target_decode_segment(struct arena *arena, struct str segment, struct str *out_text);

#endif
