#ifndef CORE_RULE_FEATURE_PRIV_H
#define CORE_RULE_FEATURE_PRIV_H

/*
 * A feature's state as it is worked with. One struct per form; each form's file
 * keeps what it says of its own lists.
 *
 * What all forms share: `lost` is the greatest instant of a fact that is not
 * kept though it is in the window. All facts after it are kept. It is loose
 * when such a fact was removed again, so that it may say too much. A state that
 * cannot tell any more what is true is broken until it is hydrated.
 *
 * The floor of a window at an instant is the instant less the window: facts
 * after it are in. Without a window it is before all instants.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/instant.h"
#include "core/rule/feature.h"

struct feature_lost {
    int64_t at_ms; /* INSTANT_NONE: nothing was thrown away */
    bool is_loose;
};

/* A sum of any number of int64, exact in any order: 128 bits in two's
 * complement. */
struct feature_sum {
    uint64_t low;
    int64_t high;
};

struct feature_total {
    int64_t count;
    struct feature_sum sum;
    int64_t extreme; /* of min and max; with no ties, only a bound */
    int64_t ties;    /* facts that have it */
};

struct feature_times { /* ascending */
    int64_t *items;
    size_t count;
    size_t capacity;
};

struct feature_entry {
    int64_t at_ms;
    int64_t value;
};

struct feature_cell {
    int64_t start_ms;
    int64_t newest_ms;
    int64_t count;
    struct feature_sum sum; /* of sum and avg */
    int64_t extreme;        /* of min and max */
};

struct feature_window {
    struct feature_entry *entries; /* the newest, ascending by instant and value */
    size_t count;
    size_t capacity;
    struct feature_cell *cells; /* older than all entries; ascending */
    size_t cell_count;
    size_t cell_capacity;
};

struct feature_distinct_value {
    uint64_t hash;
    int64_t at_ms; /* its last instant; loose: an upper bound of it */
    bool is_loose;
};

struct feature_distinct {
    struct feature_distinct_value *items; /* ascending by instant and hash */
    size_t count;
    size_t capacity;
};

struct feature_key {
    uint64_t hash;
    struct feature_times times; /* never empty */
};

struct feature_keyed {
    struct feature_key *keys; /* ascending by last instant and hash */
    size_t count;
    size_t capacity;
    struct feature_lost trimmed; /* beyond `keep` of a key */
};

struct feature_edge {
    bool has_entry;
    bool is_loose; /* the entry was removed; what is true lies beyond it */
    int64_t at_ms;
    struct id id;
    struct rule_value value; /* null while loose, and without a property */
};

struct feature_memory {
    const struct feature *feature; /* whose it is: a set is encoded without a ruleset */
    bool is_broken;
    struct feature_lost lost;
    union {
        struct feature_total total;
        struct feature_times newest;
        struct feature_window window;
        struct feature_distinct distinct;
        struct feature_keyed keyed;
        struct feature_edge edge;
    };
};

enum {
    FEATURE_EDGE_TEXT_BYTES_MAX = 64
};

/* More than any state can take: see feature_bytes_max. */
#define FEATURE_STATE_BYTES_LIMIT (64u * 1024)

/* Instants that a state may hold: far beyond any fact, and safe to compute
 * with. */
#define FEATURE_INSTANT_LIMIT_MS (INT64_C(1) << 52)

/* More facts than anyone has: bytes that claim more are refused, and two counts
 * can always be added. */
#define FEATURE_COUNT_MAX (INT64_C(1) << 40)

static inline int64_t feature_count_add(int64_t a, int64_t b)
{
    return a + b < FEATURE_COUNT_MAX ? a + b : FEATURE_COUNT_MAX;
}

static inline bool feature_instant_is_valid(int64_t at_ms)
{
    return at_ms > -FEATURE_INSTANT_LIMIT_MS && at_ms < FEATURE_INSTANT_LIMIT_MS;
}

static inline int64_t feature_floor_ms(const struct feature *feature, int64_t now_ms)
{
    return feature->within_ms > 0 ? now_ms - feature->within_ms : INSTANT_NONE;
}

/* The instant at which a fact of `at_ms` leaves the window. */
static inline int64_t feature_leaves_ms(const struct feature *feature, int64_t at_ms)
{
    return feature->within_ms > 0 ? at_ms + feature->within_ms : INSTANT_NEVER;
}

/* Inline: a comparison walks some 190 of them. */
static inline void feature_sum_absorb(struct feature_sum *sum, struct feature_sum other)
{
    uint64_t low = sum->low + other.low;
    uint64_t carry = low < other.low ? 1 : 0;
    sum->low = low;
    sum->high = (int64_t)((uint64_t)sum->high + (uint64_t)other.high + carry);
}

static inline void feature_sum_add(struct feature_sum *sum, int64_t value)
{
    feature_sum_absorb(sum, (struct feature_sum){ (uint64_t)value, value < 0 ? -1 : 0 });
}

/* False when it does not fit: then it is null. */
static inline bool feature_sum_value(struct feature_sum sum, int64_t *out_value)
{
    int64_t value = (int64_t)sum.low;
    if (sum.high != (value < 0 ? -1 : 0)) {
        return false;
    }
    *out_value = value;
    return true;
}

/* Of the functions min and max: is `a` further out than `b`? */
static inline bool feature_beats(enum rule_aggregate function, int64_t a, int64_t b)
{
    return function == RULE_MIN ? a < b : a > b;
}

/* --- what all forms share: feature_parts.c ----------------------------------- */

/* A fact of `at_ms` is not kept. */
void feature_lost_note(struct feature_lost *lost, int64_t at_ms);
void feature_lost_prune(struct feature_lost *lost, int64_t floor_ms);
/* A fact of `at_ms` that is not kept is removed. False when none can be. */
NODISCARD bool feature_lost_remove(struct feature_lost *lost, int64_t at_ms);
void feature_lost_absorb(struct feature_lost *lost, struct feature_lost other);

void feature_sum_subtract(struct feature_sum *sum, int64_t value);

NODISCARD bool feature_times_reserve(struct arena *arena, struct feature_times *times,
                                     size_t capacity);
/* Into its place; one too many throws the oldest to `lost`. */
NODISCARD bool feature_times_add(struct arena *arena, struct feature_times *times, size_t keep,
                                 int64_t at_ms, struct feature_lost *lost);
bool feature_times_remove(struct feature_times *times, int64_t at_ms);
void feature_times_prune(struct feature_times *times, int64_t floor_ms);
void feature_times_trim(struct feature_times *times, size_t keep, struct feature_lost *lost);
/* Those in (low, high], as a range of indexes. */
void feature_times_range(const struct feature_times *times, int64_t low_ms, int64_t high_ms,
                         size_t *out_begin, size_t *out_end);

/* --- the forms ---------------------------------------------------------------- */

/* All take pruned states and facts above the floor. `add` and `absorb` are
 * false when the arena is full. A removal that does not add up breaks the
 * state. `is_complete` and `is_empty` speak of a pruned state. */

struct feature_fact { /* what one fact adds to one feature */
    int64_t at_ms;
    struct id id;
    const int64_t *numbers; /* TOTAL, WINDOW */
    const uint64_t *hashes; /* DISTINCT, KEYED: unique */
    size_t count;
    struct rule_value value; /* EDGE */
};

struct feature_form_table {
    bool (*add)(struct arena *arena, const struct feature *feature, struct feature_memory *memory,
                const struct feature_fact *fact, int64_t floor_ms);
    void (*remove)(const struct feature *feature, struct feature_memory *memory,
                   const struct feature_fact *fact, int64_t floor_ms);
    void (*prune)(const struct feature *feature, struct feature_memory *memory, int64_t floor_ms);
    bool (*absorb)(struct arena *arena, const struct feature *feature,
                   struct feature_memory *memory, const struct feature_memory *loser,
                   int64_t floor_ms);
    bool (*is_complete)(const struct feature *feature, const struct feature_memory *memory,
                        int64_t floor_ms);
    bool (*is_empty)(const struct feature_memory *memory);
};

extern const struct feature_form_table feature_form_total;
extern const struct feature_form_table feature_form_newest;
extern const struct feature_form_table feature_form_window;
extern const struct feature_form_table feature_form_distinct;
extern const struct feature_form_table feature_form_keyed;
extern const struct feature_form_table feature_form_edge;

const struct feature_form_table *feature_form_of(const struct feature *feature);

/* --- windows: feature_window.c ------------------------------------------------ */

int64_t feature_cell_ms(const struct feature *feature);

/* --- codec: feature_codec.c --------------------------------------------------- */

struct feature_memory *feature_memory_create(struct arena *arena, const struct feature *feature);
/* A state that holds something; false when the arena or the buffer is full. */
NODISCARD bool feature_memory_encode(const struct feature *feature,
                                     const struct feature_memory *memory, struct buf *buf);
/* NULL when the bytes are none that encode writes, or the arena is full. */
struct feature_memory *feature_memory_decode(struct arena *arena, const struct feature *feature,
                                             struct str bytes);
bool feature_memory_is_empty(const struct feature *feature, const struct feature_memory *memory);

/* Is it stored, complete, and all of it out of the window? Told by its first
 * bytes; what is not told is kept. */
bool feature_state_has_passed(const struct feature *feature, const struct feature_state *state,
                              int64_t now_ms);

/* --- feature.c ----------------------------------------------------------------- */

/* The state as it stands, decoded into the arena when it was not touched. What
 * cannot be read is empty and broken. NULL when the arena is full. */
const struct feature_memory *feature_memory_of(struct arena *arena, const struct feature *feature,
                                               const struct feature_state *state);

#endif
