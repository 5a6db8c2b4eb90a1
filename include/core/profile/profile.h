#ifndef CORE_PROFILE_PROFILE_H
#define CORE_PROFILE_PROFILE_H

/*
 * The unified customer: a fold of its facts.
 *
 * Invariant (design 7): fold(state, event) is incremental and gives the same
 * state as folding the whole history from nothing, in any order of arrival,
 * given the same identity decisions. So each trait, preference and consent
 * keeps the stamp of the fact that set it, and the greatest stamp wins; sums
 * come from order contributions, which cancel exactly.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/jsonw.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/order/order.h"
#include "core/profile/indicator.h"
#include "core/rule/feature.h"
#include "core/rule/verdict.h"

struct profile_fact {
    enum fact_kind kind;
    struct str key;
    struct str value_json; /* "null": known to be absent, kept for its stamp */
    enum trust trust;
    int64_t occurred_at_ms;
    int64_t received_at_ms;
    struct id event_id;
};

struct profile_identity { /* exclusive identities, for the merge rule */
    enum identity_kind kind;
    struct id source_id;
    struct str value;
};

struct profile_orders {
    int64_t count;
    int64_t foreign_count;
    int64_t gross_minor;    /* orders.revenue */
    int64_t refunded_minor; /* orders.refunded */
    int64_t largest_minor;
    int64_t first_at_ms;
    int64_t last_at_ms;
};

/* The verdicts by name, as they stand on the profile's row and in messages. */
struct profile_tier {
    struct str name;
    struct str value;
};

struct profile_labels {
    struct str lifecycle; /* empty: none */
    int64_t lifecycle_since_ms;
    struct str *tags; /* by name */
    size_t tag_count;
    struct str *segments;
    size_t segment_count;
    struct profile_tier *tiers;
    size_t tier_count;
};

/* What those held who were merged into a profile just now. */
struct inherited {
    struct verdict_set verdicts;
    const struct inherited *next;
};

struct profile {
    struct id id;
    struct id merged_into; /* zero: canonical */
    int64_t sequence;      /* version: grows with every write; 0 is not yet stored */
    int64_t created_at_ms;
    int64_t updated_at_ms;
    int64_t decided_at_ms; /* the greatest instant decided at: now never goes back */
    int64_t first_seen_at_ms;
    int64_t last_seen_at_ms; /* INSTANT_NONE: never acted */
    int64_t signed_up_at_ms; /* INSTANT_NONE: no customer.created seen */
    /* The newest act that a page told of: sessions begin by it. INSTANT_NONE: none. */
    int64_t page_seen_at_ms;
    bool identified; /* has an exclusive or strong identity */
    uint32_t merge_count;
    uint32_t identity_counts[IDENTITY_KIND_COUNT];

    struct profile_fact *facts; /* sorted by (kind, key) */
    size_t fact_count;
    struct str facts_bytes; /* the facts as they were stored; empty: they are others now */
    struct profile_identity *exclusives;
    size_t exclusive_count;
    struct profile_orders orders;

    struct str cart_json; /* empty: no cart */
    int64_t cart_at_ms;
    struct id cart_event_id;

    int64_t due_at_ms; /* INSTANT_NEVER: nothing changes by time alone */

    struct feature_set features; /* of the ruleset of `ruleset_version` */
    struct verdict_set verdicts; /* what holds, since when: the log of what was decided */
    struct indicators indicators;
    int64_t ruleset_version;    /* 0: never decided by rules */
    bool needs_history;         /* a feature knows less than its rules ask: to be hydrated */
    int64_t statistics_version; /* the set in force at the last decision */

    /* Working marks of one decision; not stored. */
    bool is_new;
    bool is_dirty;
    bool due_moved;   /* if not dirty besides, only due_at is written */
    bool is_judged;   /* a new one: all rules were asked once */
    bool is_recalled; /* its history was read for this event: all rules are asked */
    bool is_long;     /* its history is longer than a decision may read */
    bool facts_changed;
    bool orders_shrunk; /* a contribution was removed: first, last, largest need the orders */
    bool has_labels;    /* the verdicts changed, and `labels` says them by name */
    struct profile_labels labels;
    uint32_t changed_parts;            /* 1u << enum rule_part, since the rules were last decided */
    uint64_t *touched;                 /* rules whose features changed; NULL: none */
    const struct inherited *inherited; /* until the merge has been judged */
    int64_t stood_at_version;  /* ruleset_version as loaded, until its change has been told */
    struct verdict_set stored; /* verdicts as loaded: what membership says */
};

/* `ruleset` may be NULL: no labels. False when the arena is full. */
bool profile_labels_of(struct arena *arena, const struct profile *profile,
                       const struct ruleset *ruleset, struct profile_labels *out_labels);

void profile_init(struct profile *profile, struct id id, int64_t created_at_ms);

/* Folds what the event itself says (seen times, facts, cart). Orders and
 * identities are decide's business, except that placing an order that counts is
 * an act of the customer at placed_at. Texts are borrowed from the event. False
 * when the arena is full or LIMIT_TRAITS_PER_PROFILE is reached (the fact is
 * left out). */
bool profile_fold_event(struct arena *arena, struct profile *profile, const struct event *event);

/* Does the customer come back to the shop's pages with this event, after half an
 * hour without one? Asked before the event is folded. */
bool profile_begins_session(const struct profile *profile, const struct event *event);

/* Removes `before` and adds `after` of an order placed at `placed_at_ms`. */
void profile_count_order(struct profile *profile, const struct order_contribution *before,
                         const struct order_contribution *after, int64_t placed_at_ms);

/* Folds the loser into the survivor: union of facts by stamp, sums, extremes,
 * indicators. Features and verdicts are decide's business. */
bool profile_absorb(struct arena *arena, struct profile *survivor, const struct profile *loser);
/* Of that, what is a fold of events alone: seen times, facts, indicators. */
bool profile_absorb_events(struct arena *arena, struct profile *profile,
                           const struct profile *other);

/* The ruleset's features of `profile`: a fact comes, or goes as it was when it
 * came. Marks the rules to be decided again. False when the arena is full. */
bool profile_add_fact(struct arena *arena, struct profile *profile, const struct ruleset *ruleset,
                      struct property_view *fact, int64_t now_ms);
bool profile_remove_fact(struct arena *arena, struct profile *profile,
                         const struct ruleset *ruleset, struct property_view *fact, int64_t now_ms);
/* An order's contribution changed from `before` to `after` (a view each; NULL:
 * it did not count): what both say alike is not touched. */
bool profile_change_order(struct arena *arena, struct profile *profile,
                          const struct ruleset *ruleset, struct property_view *before,
                          struct property_view *after, int64_t now_ms);

static inline void profile_touch(struct profile *profile, enum rule_part part)
{
    profile->changed_parts |= 1u << part;
}

/* The value of a fact, or the empty string: JSON text. */
struct str profile_fact_value(const struct profile *profile, enum fact_kind kind, const char *key);

/* Versioned binary form of facts, exclusives, identity counts, merge count, cart
 * stamp, indicators, verdicts, features: the `state` column. Decode refuses
 * versions it does not know; of version 1, which had no rules, what is missing
 * stays as profile_init left it. */
bool profile_state_encode(struct arena *arena, const struct profile *profile,
                          struct str *out_bytes);
bool profile_state_decode(struct arena *arena, struct str bytes, struct profile *profile);

/* The same codec for the facts of one interaction (NULL column when empty). */
bool profile_facts_encode(struct arena *arena, const struct event *event, struct str *out_bytes);
bool profile_facts_decode(struct arena *arena, struct str bytes, struct event_fact **out_facts,
                          size_t *out_count, int64_t *out_at_ms);

/* Members of one kind as a JSON object, for the jsonb columns and answers:
 * traits without email, phone, external_id (they are columns). Consent always
 * has all five channels, "never" when unknown. */
void profile_write_facts(struct jsonw *json, const struct profile *profile, enum fact_kind kind);

/* lifecycle, tags, segments, tiers: four members of an open object. */
void profile_write_labels(struct jsonw *json, const struct profile_labels *labels);

/* The "profile" object of a notification (contract 4, `fields: default`). */
void profile_write_default(struct jsonw *json, const struct profile *profile,
                           const struct profile_labels *labels, struct str currency);

#endif
