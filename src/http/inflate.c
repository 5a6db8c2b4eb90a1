#include "http/inflate.h"

#include <zlib.h>

#include "base/buf.h"
#include "base/limits.h"

/*
 * Bounded decompression.
 *
 * Problem: a kilobyte may stand for a megabyte of zeros. Invariant: at most
 * max_bytes are ever written, and beyond a first piece at most
 * LIMIT_INFLATE_RATIO times what was read; JSON of an SDK shrinks to a tenth,
 * its most repetitive batches to a thirtieth. Output comes in pieces, so a
 * small body never costs the limit.
 */

enum {
    PIECE_BYTES = 16 * 1024,
    GZIP_ONLY = 15 + 16, /* zlib's window bits, "gzip and nothing else" */
};

static bool is_too_much(const struct buf *out, size_t read_bytes, size_t max_bytes)
{
    return out->size > max_bytes ||
           (out->size > LIMIT_INFLATE_FREE_BYTES && out->size / LIMIT_INFLATE_RATIO > read_bytes);
}

static enum inflate_verdict run(z_stream *stream, struct buf *out, size_t size, size_t max_bytes)
{
    unsigned char piece[PIECE_BYTES];
    for (;;) {
        stream->next_out = piece;
        stream->avail_out = sizeof(piece);
        int result = inflate(stream, Z_NO_FLUSH);
        size_t produced = sizeof(piece) - stream->avail_out;
        if (result == Z_MEM_ERROR) {
            return INFLATE_NO_MEMORY;
        }
        if (result != Z_OK && result != Z_STREAM_END) {
            return INFLATE_MALFORMED;
        }
        buf_add(out, piece, produced);
        if (out->failed && arena_is_full(out->arena)) {
            return INFLATE_NO_MEMORY;
        }
        if (out->failed || is_too_much(out, size - stream->avail_in, max_bytes)) {
            return INFLATE_TOO_LARGE;
        }
        if (result == Z_STREAM_END) {
            return stream->avail_in == 0 ? INFLATE_OK : INFLATE_MALFORMED;
        }
        if (produced == 0 && stream->avail_in == 0) {
            return INFLATE_MALFORMED; /* cut short */
        }
    }
}

/* zlib takes its input as mutable but does not write to it. */
static unsigned char *as_input(const char *data)
{
    union {
        const char *from;
        unsigned char *to;
    } pointer = { .from = data };
    return pointer.to;
}

enum inflate_verdict http_inflate(struct arena *arena, struct str compressed, size_t max_bytes,
                                  struct str *out_body)
{
    z_stream stream = { .next_in = as_input(compressed.data) };
    if (compressed.size == 0 || compressed.size > UINT32_MAX) {
        return INFLATE_MALFORMED;
    }
    stream.avail_in = (unsigned)compressed.size;
    if (inflateInit2(&stream, GZIP_ONLY) != Z_OK) {
        return INFLATE_NO_MEMORY;
    }
    struct buf out;
    buf_init(&out, arena, max_bytes + 1);
    enum inflate_verdict verdict = run(&stream, &out, compressed.size, max_bytes);
    inflateEnd(&stream);
    if (verdict == INFLATE_OK) {
        *out_body = buf_str(&out);
    }
    return verdict;
}
