#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * A growable byte buffer that knows its maximum (after curl's dynbuf).
 *
 * The maximum is stated at init, so no input can make it grow without bound;
 * the first write that does not fit marks it failed for good, and it may be
 * checked once at the end. Memory comes from an arena, or from the heap when
 * arena is NULL; then buf_finish releases it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct arena;

struct buf {
    char *data;
    size_t size;
    size_t capacity;
    size_t max_bytes;
    struct arena *arena;
    bool failed;
};

void buf_init(struct buf *buf, struct arena *arena, size_t max_bytes);
void buf_finish(struct buf *buf);               /* a zeroed or finished buffer is fine */
void buf_reset(struct buf *buf);                /* empties it and forgets the failure */
bool buf_reserve(struct buf *buf, size_t more); /* room for `more` further bytes */

void buf_add(struct buf *buf, const void *data, size_t size);
void buf_add_str(struct buf *buf, struct str s);
void buf_add_z(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* What was written; valid until the next write. Empty when failed. */
struct str buf_str(const struct buf *buf);

#endif
