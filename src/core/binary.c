#include <assert.h>
#include <string.h>

#include "binary_priv.h"

/*
 * Numbers as little-endian base 128, signed ones folded so that small
 * negatives stay short; texts as length and bytes; ids as they are.
 *
 * The reader trusts no length: each is compared with what is left before it is
 * used, and an over-long number is refused rather than wrapped, so that one
 * value has one form (state is compared byte for byte in tests).
 */

enum {
    VARINT_BYTES_MAX = 10
};

void binary_put_u64(struct buf *buf, uint64_t value)
{
    char bytes[VARINT_BYTES_MAX];
    size_t size = 0;
    if (buf->capacity - buf->size >= VARINT_BYTES_MAX && !buf->failed) {
        char *to = buf->data + buf->size;
        while (value >= 0x80) {
            to[size++] = (char)(value | 0x80);
            value >>= 7;
        }
        to[size++] = (char)value;
        buf->size += size;
        return;
    }
    while (value >= 0x80) {
        bytes[size++] = (char)(value | 0x80);
        value >>= 7;
    }
    bytes[size++] = (char)value;
    buf_add(buf, bytes, size);
}

void binary_put_i64(struct buf *buf, int64_t value)
{
    uint64_t folded = (uint64_t)value << 1;
    binary_put_u64(buf, value < 0 ? ~folded : folded);
}

void binary_put_str(struct buf *buf, struct str value)
{
    binary_put_u64(buf, value.size);
    buf_add_str(buf, value);
}

void binary_put_id(struct buf *buf, struct id value)
{
    buf_add(buf, value.bytes, ID_SIZE);
}

static void fail(struct binary_reader *reader)
{
    reader->failed = true;
    reader->rest = (struct str){ 0 };
}

uint64_t binary_get_u64(struct binary_reader *reader)
{
    uint64_t value = 0;
    if (reader->rest.size > 0 && (uint8_t)reader->rest.data[0] < 0x80) {
        value = (uint8_t)reader->rest.data[0];
        reader->rest.data++;
        reader->rest.size--;
        return value;
    }
    for (size_t i = 0; i < VARINT_BYTES_MAX && i < reader->rest.size; i++) {
        uint8_t byte = (uint8_t)reader->rest.data[i];
        bool too_large = i == VARINT_BYTES_MAX - 1 && byte > 1;
        bool over_long = i > 0 && byte == 0;
        if (too_large || over_long) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            reader->rest = str_drop(reader->rest, i + 1);
            return value;
        }
    }
    fail(reader);
    return 0;
}

int64_t binary_get_i64(struct binary_reader *reader)
{
    uint64_t folded = binary_get_u64(reader);
    uint64_t value = folded >> 1;
    return (folded & 1) != 0 ? -(int64_t)value - 1 : (int64_t)value;
}

struct str binary_get_str(struct binary_reader *reader)
{
    uint64_t size = binary_get_u64(reader);
    if (size > reader->rest.size) {
        fail(reader);
        return (struct str){ 0 };
    }
    struct str value = str_take(reader->rest, (size_t)size);
    reader->rest = str_drop(reader->rest, (size_t)size);
    return value;
}

struct id binary_get_id(struct binary_reader *reader)
{
    struct id value = ID_ZERO;
    if (reader->rest.size < ID_SIZE) {
        fail(reader);
        return value;
    }
    memcpy(value.bytes, reader->rest.data, ID_SIZE);
    reader->rest = str_drop(reader->rest, ID_SIZE);
    return value;
}

uint64_t binary_get_below(struct binary_reader *reader, uint64_t max)
{
    uint64_t value = binary_get_u64(reader);
    if (value > max) {
        fail(reader);
        return 0;
    }
    return value;
}

bool binary_get_bool(struct binary_reader *reader)
{
    return binary_get_below(reader, 1) == 1;
}

size_t binary_get_count(struct binary_reader *reader, size_t item_size_min)
{
    assert(item_size_min > 0);
    uint64_t count = binary_get_u64(reader);
    if (count > reader->rest.size / item_size_min) {
        fail(reader);
        return 0;
    }
    return (size_t)count;
}

bool binary_is_done(const struct binary_reader *reader)
{
    return !reader->failed && reader->rest.size == 0;
}
