#include "binary_priv.h"
#include "core/order/order.h"

/*
 * The `documents` column: what an order knows that has no column of its own.
 *
 *   version 1 | body hash | body's refunded total | deleted at | refunds | fulfilments
 *   parts: count, then each (ref, at, amount), strictly ascending by ref
 *
 * A form with another version, parts out of order, or bytes left over is
 * refused whole: half an order would be saved back as if it were all of it.
 */

enum {
    DOCUMENTS_VERSION = 1,
    PART_SIZE_MIN = 3,
};

#define DOCUMENTS_BYTES_MAX ((size_t)8 * 1024 * 1024)

static void put_parts(struct buf *buf, const struct order_part *parts, size_t count)
{
    binary_put_u64(buf, count);
    for (size_t i = 0; i < count; i++) {
        binary_put_str(buf, parts[i].ref);
        binary_put_i64(buf, parts[i].at_ms);
        binary_put_i64(buf, parts[i].amount_minor);
    }
}

bool order_documents_encode(struct arena *arena, const struct order *order, struct str *out_bytes)
{
    struct buf buf;
    buf_init(&buf, arena, DOCUMENTS_BYTES_MAX);
    buf_add_char(&buf, DOCUMENTS_VERSION);
    binary_put_id(&buf, order->body_hash);
    binary_put_i64(&buf, order->body_refunded_minor);
    binary_put_i64(&buf, order->deleted_at_ms);
    put_parts(&buf, order->refunds, order->refund_count);
    put_parts(&buf, order->fulfilments, order->fulfilment_count);
    if (buf.failed) {
        return false;
    }
    *out_bytes = buf_str(&buf);
    return true;
}

static struct order_part *get_parts(struct arena *arena, struct binary_reader *reader,
                                    size_t *out_count)
{
    size_t count = binary_get_count(reader, PART_SIZE_MIN);
    struct order_part *parts = NULL;
    if (count > 0) {
        parts = ARENA_NEW_ARRAY(arena, count, struct order_part);
        if (parts == NULL) {
            reader->failed = true;
            return NULL;
        }
    }
    for (size_t i = 0; i < count && !reader->failed; i++) {
        parts[i].ref = binary_get_str(reader);
        parts[i].at_ms = binary_get_i64(reader);
        parts[i].amount_minor = binary_get_i64(reader);
        if (i > 0 && str_compare(parts[i - 1].ref, parts[i].ref) >= 0) {
            reader->failed = true;
        }
    }
    *out_count = count;
    return parts;
}

bool order_documents_decode(struct arena *arena, struct str bytes, struct order *order)
{
    if (bytes.size == 0 || bytes.data[0] != DOCUMENTS_VERSION) {
        return false;
    }
    struct str copy = str_dup(arena, bytes);
    struct binary_reader reader = { .rest = str_drop(copy, 1), .failed = copy.size == 0 };
    struct order decoded = *order;
    decoded.body_hash = binary_get_id(&reader);
    decoded.body_refunded_minor = binary_get_i64(&reader);
    decoded.deleted_at_ms = binary_get_i64(&reader);
    decoded.refunds = get_parts(arena, &reader, &decoded.refund_count);
    decoded.fulfilments = get_parts(arena, &reader, &decoded.fulfilment_count);
    if (!binary_is_done(&reader)) {
        return false;
    }
    *order = decoded;
    return true;
}
