#ifndef BASE_ID_H
#define BASE_ID_H

/*
 * Ids are UUIDs (RFC 9562): version 7 for rows (time-ordered, so inserts touch
 * the right edge of their index), version 8 made from a hash for what must be
 * the same whenever it is computed again: notifications, batches, and the
 * interactions that guard against a second effect (correctness 4 and 6).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    ID_SIZE = 16,
    ID_TEXT_SIZE = 37, /* with NUL */
};

struct id {
    uint8_t bytes[ID_SIZE];
};

#define ID_ZERO ((struct id){ { 0 } })

bool id_is_zero(struct id id);
bool id_equal(struct id a, struct id b);
int id_compare(struct id a, struct id b); /* by bytes, as PostgreSQL orders uuid */
/* Puts them in order, each once; how many are left. */
size_t id_sort_unique(struct id *ids, size_t count);

/* Lower-case text of ID_TEXT_SIZE bytes. */
void id_format(struct id id, char *text);
/* Any case, with dashes. False on anything else. */
bool id_parse(struct str text, struct id *out_id);

/* Version 7 from an instant and 10 random bytes: pure, for core. */
struct id id_from_time(int64_t ms, const uint8_t random[10]);
/* Version 7 from the clock and the system's randomness. Thread-safe. */
struct id id_create(void);

/* Collects what an id is a hash of; each part is length-prefixed, so ("ab",
 * "c") and ("a", "bc") differ. BLAKE2b, cut to 122 bits: version 8. */
struct id_hash {
    _Alignas(64) uint8_t state[384]; /* crypto_generichash_state */
};
void id_hash_begin(struct id_hash *hash, const char *purpose);
void id_hash_add(struct id_hash *hash, struct str part);
void id_hash_add_id(struct id_hash *hash, struct id part);
void id_hash_add_i64(struct id_hash *hash, int64_t part);
struct id id_hash_end(struct id_hash *hash);

/* A 64-bit hash for tables and lanes, the same on every machine (FNV-1a with
 * a final mix). Not for anything an attacker profits from colliding. */
uint64_t hash64(struct str s, uint64_t seed);
/* Of an id, for tables in memory alone: not the same on every machine. */
uint64_t id_hash64(struct id id, uint64_t seed);

#endif
