#ifndef HTTP_INFLATE_H
#define HTTP_INFLATE_H

/*
 * A body that came with Content-Encoding: gzip.
 */

#include <stddef.h>

#include "base/arena.h"
#include "base/str.h"

enum inflate_verdict {
    INFLATE_OK,
    INFLATE_MALFORMED, /* not exactly one gzip member */
    INFLATE_TOO_LARGE, /* more than max_bytes, or more than any honest text shrinks */
    INFLATE_NO_MEMORY,
};

/* *out_body lives in the arena and is untouched unless the verdict is OK. */
enum inflate_verdict http_inflate(struct arena *arena, struct str compressed, size_t max_bytes,
                                  struct str *out_body);

#endif
