#include <string.h>

#include "binary_priv.h"
#include "feature_priv.h"

/*
 * The stored form of a profile's features. There are some dozens and an event
 * touches a few, so the set is split without looking into its states, and a state
 * that nobody touched goes out as it came in.
 *
 * A set is nothing, or a version byte, the number of states and for each: its
 * number less the one before, twice its size and the flag, its bytes; a size of
 * nothing says that they are those of the state before, as windows of a day, a
 * week and a month are for everybody who came this day. What the bytes of a state
 * are is feature_codec.c's.
 */

enum {
    SET_VERSION = 3,
    SET_VERSION_WITHOUT_SAME = 2, /* is still read */
    ITEM_SIZE_MIN = 2,
};

struct item_before {
    uint32_t number;
    size_t begin; /* its bytes, where they stand */
    size_t size;
};

static bool is_as_before(const struct buf *buf, const struct item_before *before, struct str bytes)
{
    return !buf->failed && before->size == bytes.size &&
           memcmp(buf->data + before->begin, bytes.data, bytes.size) == 0;
}

static void put_item(struct buf *buf, struct item_before *before, const struct feature_state *item,
                     struct str bytes)
{
    bool is_same = is_as_before(buf, before, bytes);
    size_t size = is_same ? 0 : bytes.size;
    binary_put_u64(buf, item->number - before->number);
    binary_put_u64(buf, (uint64_t)size << 1 | (item->is_incomplete ? 1 : 0));
    before->number = item->number;
    if (!is_same && !buf->failed) {
        before->begin = buf->size;
        before->size = size;
        buf_add_str(buf, bytes);
    }
}

bool feature_set_encode(struct arena *arena, const struct feature_set *set, struct buf *buf)
{
    struct item_before before = { 0 };
    struct buf scratch;
    buf_init(&scratch, arena, FEATURE_STATE_BYTES_LIMIT);
    if (set->count > 0) {
        buf_add_char(buf, SET_VERSION);
        binary_put_u64(buf, set->count);
    }
    for (size_t i = 0; i < set->count; i++) {
        const struct feature_state *item = &set->items[i];
        if (!item->is_dirty) {
            put_item(buf, &before, item, item->bytes);
            continue;
        }
        const struct feature_memory *memory = item->decoded;
        buf_reset(&scratch);
        if (!feature_memory_encode(memory->feature, memory, &scratch)) {
            return false;
        }
        put_item(buf, &before, item, buf_str(&scratch));
    }
    return !buf->failed;
}

/* The item behind `before`; where it may say so, with the same bytes. */
static struct feature_state get_item(struct binary_reader *reader,
                                     const struct feature_state *before, bool knows_same)
{
    uint64_t step = binary_get_below(reader, UINT32_MAX);
    uint64_t folded = binary_get_u64(reader);
    uint64_t size = folded >> 1;
    struct feature_state item = { .number = (uint32_t)(before->number + step) };
    item.is_incomplete = (folded & 1) != 0;
    bool is_next = step > 0 && before->number + step <= UINT32_MAX;
    bool has_bytes = size > 0 || (knows_same && before->bytes.size > 0);
    reader->failed = reader->failed || !is_next || !has_bytes || size > reader->rest.size;
    if (!reader->failed && size > 0) {
        item.bytes = str_take(reader->rest, (size_t)size);
        reader->rest = str_drop(reader->rest, item.bytes.size);
        reader->failed = knows_same && str_equal(item.bytes, before->bytes);
    } else {
        item.bytes = before->bytes;
    }
    return item;
}

bool feature_set_decode(struct arena *arena, struct str bytes, struct feature_set *out_set)
{
    struct feature_set set = { 0 };
    if (bytes.size == 0) {
        *out_set = set;
        return true;
    }
    struct binary_reader reader = { .rest = str_drop(bytes, 1) };
    set.count = binary_get_count(&reader, ITEM_SIZE_MIN);
    bool knows_same = bytes.data[0] == SET_VERSION;
    if ((!knows_same && bytes.data[0] != SET_VERSION_WITHOUT_SAME) || set.count == 0) {
        return false;
    }
    /* Room for the features that this batch may bring. */
    set.capacity = set.count + 2;
    set.items = ARENA_NEW_ARRAY(arena, set.capacity, struct feature_state);
    if (set.items == NULL) {
        return false;
    }
    const struct feature_state none = { 0 };
    for (size_t i = 0; i < set.count && !reader.failed; i++) {
        set.items[i] = get_item(&reader, i > 0 ? &set.items[i - 1] : &none, knows_same);
    }
    if (!binary_is_done(&reader)) {
        return false;
    }
    *out_set = set;
    return true;
}
