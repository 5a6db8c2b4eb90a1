#include "base/id.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"

/*
 * UUIDs of version 7 and 8.
 *
 * Invariant: an id that is a hash depends on its purpose and parts alone, on
 * every machine: parts are prefixed by their length as eight bytes, least
 * first, and numbers are hashed in that order too. Changing any of this
 * would make the same cause ring twice, so a test pins an id.
 */

static_assert(sizeof(((struct id_hash *)NULL)->state) >= sizeof(crypto_generichash_state),
              "the header's state holds the library's");
static_assert(_Alignof(struct id_hash) >= 64, "crypto_generichash_state is aligned to 64");
static_assert(ID_SIZE >= crypto_generichash_BYTES_MIN && ID_SIZE <= crypto_generichash_BYTES_MAX,
              "BLAKE2b gives 16 bytes");

#define HASH64_BASIS UINT64_C(0xcbf29ce484222325)
#define HASH64_PRIME UINT64_C(0x00000100000001b3)

static void set_version(struct id *id, uint8_t version)
{
    id->bytes[6] = (uint8_t)(version << 4 | (id->bytes[6] & 0x0f));
    id->bytes[8] = (uint8_t)(0x80 | (id->bytes[8] & 0x3f));
}

bool id_is_zero(struct id id)
{
    return id_equal(id, ID_ZERO);
}

bool id_equal(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, ID_SIZE) == 0;
}

int id_compare(struct id a, struct id b)
{
    int order = memcmp(a.bytes, b.bytes, ID_SIZE);
    return order < 0 ? -1 : order > 0;
}

static int compare_ids(const void *a, const void *b)
{
    const struct id *left = a;
    const struct id *right = b;
    return id_compare(*left, *right);
}

size_t id_sort_unique(struct id *ids, size_t count)
{
    size_t kept = 0;
    qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !id_equal(ids[i], ids[kept - 1])) {
            ids[kept++] = ids[i];
        }
    }
    return kept;
}

static bool has_dash_before(size_t index)
{
    return index == 4 || index == 6 || index == 8 || index == 10;
}

void id_format(struct id id, char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < ID_SIZE; i++) {
        if (has_dash_before(i)) {
            text[at++] = '-';
        }
        text[at++] = hex[id.bytes[i] >> 4];
        text[at++] = hex[id.bytes[i] & 15];
    }
    text[at] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool id_parse(struct str text, struct id *out_id)
{
    struct id id = ID_ZERO;
    size_t at = 0;
    if (text.size != ID_TEXT_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < ID_SIZE; i++) {
        if (has_dash_before(i) && text.data[at++] != '-') {
            return false;
        }
        int high = hex_digit(text.data[at++]);
        int low = hex_digit(text.data[at++]);
        if (high < 0 || low < 0) {
            return false;
        }
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out_id = id;
    return true;
}

struct id id_from_time(int64_t ms, const uint8_t random[10])
{
    assert(ms >= 0);
    assert(ms >> 48 == 0);
    struct id id = ID_ZERO;
    for (size_t i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)((uint64_t)ms >> (40 - 8 * i));
    }
    memcpy(id.bytes + 6, random, 10);
    set_version(&id, 7);
    return id;
}

struct id id_create(void)
{
    uint8_t random[10];
    randombytes_buf(random, sizeof(random));
    return id_from_time(clock_now_ms(), random);
}

static void hash_update(struct id_hash *hash, const void *data, size_t size)
{
    void *state = hash->state;
    int failed = crypto_generichash_update(state, data, size);
    assert(failed == 0);
    (void)failed;
}

static void little_endian(uint64_t value, uint8_t bytes[8])
{
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

void id_hash_begin(struct id_hash *hash, const char *purpose)
{
    void *state = hash->state;
    int failed = crypto_generichash_init(state, NULL, 0, ID_SIZE);
    assert(failed == 0);
    (void)failed;
    id_hash_add(hash, str_from_z(purpose));
}

void id_hash_add(struct id_hash *hash, struct str part)
{
    uint8_t size[8];
    little_endian(part.size, size);
    hash_update(hash, size, sizeof(size));
    if (part.size > 0) {
        hash_update(hash, part.data, part.size);
    }
}

void id_hash_add_id(struct id_hash *hash, struct id part)
{
    id_hash_add(hash, (struct str){ (const char *)part.bytes, ID_SIZE });
}

void id_hash_add_i64(struct id_hash *hash, int64_t part)
{
    uint8_t bytes[8];
    little_endian((uint64_t)part, bytes);
    id_hash_add(hash, (struct str){ (const char *)bytes, sizeof(bytes) });
}

struct id id_hash_end(struct id_hash *hash)
{
    struct id id = ID_ZERO;
    void *state = hash->state;
    int failed = crypto_generichash_final(state, id.bytes, ID_SIZE);
    assert(failed == 0);
    (void)failed;
    set_version(&id, 8);
    return id;
}

/* The last mix of MurmurHash3. */
static uint64_t mix(uint64_t hash)
{
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

uint64_t hash64(struct str s, uint64_t seed)
{
    uint64_t hash = HASH64_BASIS ^ seed;
    for (size_t i = 0; i < s.size; i++) {
        hash = (hash ^ (uint8_t)s.data[i]) * HASH64_PRIME;
    }
    return mix(hash); /* FNV leaves its high bits poor */
}

uint64_t id_hash64(struct id id, uint64_t seed)
{
    uint64_t halves[2];
    static_assert(sizeof(halves) == ID_SIZE, "an id is two words");
    memcpy(halves, id.bytes, sizeof(halves));
    return mix(mix(halves[0] ^ seed) ^ halves[1]);
}
