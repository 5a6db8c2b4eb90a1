#ifndef CORE_RULE_FEATURE_H
#define CORE_RULE_FEATURE_H

/*
 * An aggregate of a profile's history, kept so that a rule costs nothing to
 * read and an event costs only what it touches.
 *
 * Invariant (design 7): folding one fact at a time in any order of arrival
 * gives the same state as folding all of them from nothing, once both are
 * pruned to the same instant. So what is kept is always "the newest" of
 * something by a total order, never "the first that came".
 *
 * Forms (correctness 9 and 17):
 *   TOTAL     lifetime count and sum: exact, subtracts exactly
 *   NEWEST    the newest k+1 instants: count within or after, compared with k
 *   WINDOW    instants with values: 64 exact, older ones in cells of an hour
 *             (within <= 7 d) or a day, at most 128 cells
 *   DISTINCT  the newest k+1 distinct values, each with its last instant
 *   KEYED     at most 64 keys, each with its newest k+1 instants
 *   EDGE      first or last: instant, id and value
 *
 * What was thrown away is remembered by the greatest instant thrown away, so a
 * feature knows whether it still knows: removing a fact (an order cancelled or
 * moved) from a form that threw one away marks it incomplete until the profile
 * is hydrated.
 *
 * Facts of order.completed are the orders themselves as they stand now: the
 * caller removes the old contribution and adds the new one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/id.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/rule/expression.h"
#include "core/rule/program.h"
#include "core/rule/property.h"
#include "core/rule/value.h"

enum feature_form {
    FEATURE_TOTAL = 1,
    FEATURE_NEWEST,
    FEATURE_WINDOW,
    FEATURE_DISTINCT,
    FEATURE_KEYED,
    FEATURE_EDGE,
};

/* Immutable, shared by all rules that need it. Hash-consed by form, event,
 * where, property, by, and within; `keep` is the greatest that any rule asks. */
struct feature {
    uint32_t number;  /* stable within a workspace, for as long as any ruleset has it */
    uint32_t version; /* the ruleset version that brought it */
    struct str key;   /* canonical text: what makes two features one, without keep */
    struct str text;  /* for people: key and "up to 3" */
    enum feature_form form;
    enum rule_aggregate
        function; /* of EDGE: first or last; of WINDOW and TOTAL: what values mean */
    enum event_type event_type;
    struct str event_name;
    struct str property; /* empty: the event itself */
    struct str by;
    const struct rule_program *where; /* NULL: all */
    /* `where` holds only if this property is this text, and if it asks no more,
     * always then; empty: it asks no such thing. */
    struct str where_property;
    struct str where_text;
    bool where_is_only;
    int64_t within_ms; /* 0: no window */
    uint32_t keep;     /* NEWEST, DISTINCT, KEYED: entries kept */
};

/* One profile's features as stored: only those that hold anything, ascending by
 * number. Bytes are the stored form; each is decoded when it is touched. */
struct feature_state {
    uint32_t number;
    bool is_incomplete; /* knows less than a comparison needs: hydrate */
    struct str bytes;   /* encoded; see feature_codec.c */
    void *decoded;      /* NULL until touched; in the arena of the batch */
    bool is_dirty;      /* decoded differs from bytes */
};

struct feature_set {
    struct feature_state *items;
    size_t count;
    size_t capacity;
};

/* NULL when the profile holds nothing for it. */
struct feature_state *feature_find(const struct feature_set *set, uint32_t number);

/* Adds a fact that matches (its `where` holds; callers ask feature_matches).
 * `now_ms`: what fell out of the window by then is pruned. False when the arena
 * is full. Facts may come in any order; adding the same fact twice counts twice
 * (receipts see to that). */
NODISCARD bool feature_add(struct arena *arena, struct feature_set *set,
                           const struct feature *feature, struct property_view *fact,
                           int64_t now_ms);
/* Takes one away that was added with the same values. */
NODISCARD bool feature_remove(struct arena *arena, struct feature_set *set,
                              const struct feature *feature, struct property_view *fact,
                              int64_t now_ms);
bool feature_matches(struct arena *arena, const struct feature *feature,
                     struct property_view *fact);

struct ruleset;
/* The indexes of all features of a ruleset that a fact matches, in no order,
 * and how many: at most RULESET_FEATURES_MAX. */
size_t feature_match_all(struct arena *arena, const struct ruleset *ruleset,
                         struct property_view *fact, uint32_t *out_indexes);

/* A merge: the survivor's set takes the loser's in; as if all facts had come
 * to one profile. False when the arena is full. */
NODISCARD bool feature_absorb(struct arena *arena, struct feature_set *set,
                              const struct feature *feature, const struct feature_set *loser,
                              int64_t now_ms);

struct feature_reading {
    struct rule_value value; /* counts and sums of nothing are 0, all else null */
    int64_t until_ms;        /* exclusive; the first instant at which value may differ */
    bool at_least;           /* only the newest are kept: the count is a lower bound */
};

/* The value at `at_ms` of facts after `after_ms` (INSTANT_NONE: all). `state`
 * NULL: nothing. */
bool feature_read(struct arena *arena, const struct feature *feature,
                  const struct feature_state *state, int64_t after_ms, int64_t at_ms,
                  struct feature_reading *out_reading);

/* `value op constant` at `at_ms`, and exactly until when that verdict holds
 * (correctness 13): for count >= k the instant at which the k-th newest leaves. */
bool feature_compare(struct arena *arena, const struct feature *feature,
                     const struct feature_state *state, int64_t after_ms, enum rule_op op,
                     struct rule_value constant, int64_t at_ms, bool *out_verdict,
                     int64_t *out_until_ms);

/* The stored form of a whole set: number, flags, size, bytes each. Prunes
 * nothing. Decode refuses what it does not know; states of numbers that
 * `features` does not have are dropped by feature_set_keep. */
NODISCARD bool feature_set_encode(struct arena *arena, const struct feature_set *set,
                                  struct buf *buf);
NODISCARD bool feature_set_decode(struct arena *arena, struct str bytes,
                                  struct feature_set *out_set);

/* Drops the states of all others than `features`, which ascend by number. */
void feature_set_keep(struct feature_set *set, const struct feature *features, size_t count);

/* Drops the stored states of which nothing is left in the window at `now_ms`: a
 * segment of a day's views would else stay in the profile for ever. `features`
 * ascend by number; states of others stay, and those that were touched. */
void feature_set_prune(struct feature_set *set, const struct feature *features, size_t count,
                       int64_t now_ms);

/* The most bytes this feature's state can ever take: a rule whose features
 * together exceed RULE_STATE_BYTES_MAX is refused when saved. */
size_t feature_bytes_max(const struct feature *feature);

/* Semantic equality of two states after pruning both to `now_ms`: for tests
 * and `shopbell check`. */
bool feature_equal(struct arena *arena, const struct feature *feature,
                   const struct feature_state *a, const struct feature_state *b, int64_t now_ms);

enum {
    FEATURE_EXACT_MAX = 64,
    FEATURE_CELLS_MAX = 128,
    FEATURE_KEYS_MAX = 64,
    FEATURE_KEEP_MAX = 65, /* comparisons with counts above 64 use WINDOW with cells */
    RULE_STATE_BYTES_MAX = 8192,
};

#endif
