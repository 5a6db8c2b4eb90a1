#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/*
 * A buffer that knows its maximum.
 *
 * Invariant: size <= capacity <= max_bytes, and data has room for one byte
 * more than capacity, which is where vsnprintf may put its NUL. After a
 * failure nothing is written any more, so what buf_str would show is either
 * all or nothing. Rejected: an error code per write, which every one of a
 * hundred lines of a builder would have to check.
 */

enum {
    BUF_CAPACITY_MIN = 256
};

static bool fail(struct buf *buf)
{
    buf->failed = true;
    return false;
}

void buf_init(struct buf *buf, struct arena *arena, size_t max_bytes)
{
    assert(max_bytes < SIZE_MAX);
    *buf = (struct buf){ .max_bytes = max_bytes, .arena = arena };
}

void buf_finish(struct buf *buf)
{
    if (buf->arena == NULL) {
        free(buf->data);
    }
    *buf = (struct buf){ 0 };
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

static bool grow(struct buf *buf, size_t capacity)
{
    char *data = buf->arena != NULL ? arena_alloc_bytes(buf->arena, capacity + 1)
                                    : realloc(buf->data, capacity + 1);
    if (data == NULL) {
        return fail(buf);
    }
    if (buf->arena != NULL && buf->size > 0) {
        memcpy(data, buf->data, buf->size);
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

bool buf_reserve(struct buf *buf, size_t more)
{
    if (buf->failed) {
        return false;
    }
    if (more <= buf->capacity - buf->size) {
        return true;
    }
    if (more > buf->max_bytes - buf->size) {
        return fail(buf);
    }
    size_t needed = buf->size + more;
    size_t capacity = buf->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : buf->capacity;
    while (capacity < needed) {
        capacity = capacity > buf->max_bytes / 2 ? buf->max_bytes : capacity * 2;
    }
    return grow(buf, capacity < buf->max_bytes ? capacity : buf->max_bytes);
}

void buf_add(struct buf *buf, const void *data, size_t size)
{
    if (buf_reserve(buf, size) && size > 0) {
        memcpy(buf->data + buf->size, data, size);
        buf->size += size;
    }
}

void buf_add_str(struct buf *buf, struct str s)
{
    buf_add(buf, s.data, s.size);
}

void buf_add_z(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    if (buf_reserve(buf, 1)) {
        buf->data[buf->size] = c;
        buf->size++;
    }
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        at--;
        digits[at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) {
        at--;
        digits[at] = '-';
    }
    buf_add(buf, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    assert(length >= 0);
    if (!buf_reserve(buf, (size_t)length) || length == 0) {
        return;
    }
    va_start(list, format);
    vsnprintf(buf->data + buf->size, (size_t)length + 1, format, list);
    va_end(list);
    buf->size += (size_t)length;
}

struct str buf_str(const struct buf *buf)
{
    return buf->failed ? (struct str){ NULL, 0 } : (struct str){ buf->data, buf->size };
}
