#ifndef BASE_FORM_H
#define BASE_FORM_H

/*
 * application/x-www-form-urlencoded, as queries and some senders' bodies are:
 * name=value pairs between "&", "+" for a space, "%hh" for a byte.
 *
 * The order of the fields is kept, and so are repeats: what a repeated name
 * means is the reader's business (a signature over all fields needs them all).
 */

#include <stddef.h>

#include "base/str.h"

struct arena;

struct form_field {
    struct str name; /* decoded; in the arena, or borrowed from the text */
    struct str value;
};

enum form_verdict {
    FORM_OK,
    FORM_TOO_MANY,  /* more than the limit */
    FORM_MALFORMED, /* an escape is none, or the arena is full */
};

/* A piece without "=" is a name with an empty value; empty pieces are none. */
enum form_verdict form_parse(struct arena *arena, struct str text, size_t limit,
                             const struct form_field **out_fields, size_t *out_count);

/* The first value under a name; empty when there is none. */
struct str form_find(const struct form_field *fields, size_t count, const char *name);

#endif
