#ifndef CORE_DECISION_PRIV_H
#define CORE_DECISION_PRIV_H

/*
 * The working set of one batch, as the files of decide share it.
 *
 * Everything lives in the arena. Lists keep the order of arrival, so that what
 * is written does not depend on how a map hashes; maps only find. A full arena
 * is sticky: adders do nothing then, finders may answer NULL, and decide_event
 * ends with STATUS_LIMIT.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/decide.h"

struct map_slot {
    uint64_t hash;
    void *item;
};

struct map {
    struct map_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

struct list {
    void **items;
    size_t count;
    size_t capacity;
};

struct identity_slot {
    struct identity_row *row;
    bool is_planned;  /* by decision_plan: Load inserts it */
    bool is_attached; /* counted on its owner; planned rows are not at first */
};

struct order_slot {
    struct order *order;
    bool is_planned;
    bool is_attached;
    bool is_dirty;
};

/* The profile that got an event, by event id. */
struct event_slot {
    struct id event_id;
    struct id profile_id;
};

/* What rings when the batch commits: a snapshot, rendered at the end. */
struct pending_bell {
    struct str topic;
    struct profile profile;    /* as it was */
    struct profile *live;      /* what became of it: knows the extremes of shrunk orders */
    const struct event *event; /* NULL: time alone */
    int64_t at_ms;             /* when it became true */
    const struct transition_row *transition;
    int64_t until_ms;
    int64_t previous_since_ms;
    const struct identity_decision_row *merge;
    struct notification_row row;
};

struct decision {
    struct arena *arena;
    const struct decide_context *context;
    uint64_t map_seed;

    struct map identity_map; /* of identity_slot */
    struct map order_map;    /* of order_slot */
    struct map profile_map;  /* of profile */
    struct map fresh_map;    /* of struct id */
    struct map event_map;    /* of event_slot */
    struct list identities;
    struct list orders;
    struct list profiles;
    struct list new_identities; /* rows */
    struct list new_orders;     /* rows */
    uint32_t fresh_count;

    struct list interactions; /* rows, each of its own */
    struct list identity_decisions;
    struct list transitions;
    struct list bells;
    size_t stale_count;
};

/* --- decision.c --------------------------------------------------------- */

void list_add(struct arena *arena, struct list *list, void *item);

struct identity_slot *decision_find_identity(const struct decision *decision,
                                             const struct identifier *identifier);
struct order_slot *decision_find_order(const struct decision *decision, struct id source_id,
                                       struct str order_ref);
/* As it is, merged or not. NULL when it was not loaded. */
struct profile *decision_find_profile(const struct decision *decision, struct id id);
struct identity_slot *decision_add_identity(struct decision *decision, struct identity_row *row);
struct order_slot *decision_add_order(struct decision *decision, struct order *order);
/* A new id that no profile has yet; decision_is_fresh from then on. */
struct id decision_fresh_id(struct decision *decision, int64_t now_ms);
struct event_slot *decision_find_event(const struct decision *decision, struct id event_id);
void decision_add_event(struct decision *decision, struct id event_id, struct id profile_id);

/* --- identity/resolve.c ------------------------------------------------- */

/* What an identifier of the event reaches: an identity or an order. */
struct reach {
    enum identity_kind kind;
    struct identity_slot *identity; /* or */
    struct order_slot *order;
};

struct resolution {
    struct reach *reaches; /* strongest first */
    size_t reach_count;
    struct profile *target;
    struct list merges;  /* identity_decision rows of kind IDENTITY_MERGED */
    struct list touched; /* profiles that lost an identity or an order */
    struct list strays;  /* profiles made for an exclusive identity that fits nowhere */
    bool is_created;
    bool was_identified; /* the target, or one merged with it, before the event */
};

/* An event's rows, strongest first, in the arena. STATUS_RETRY when one is in
 * no row: it was not planned. */
NODISCARD enum status resolve_reaches(const struct decision *decision, const struct event *event,
                                      struct resolution *resolution);
/* Whose event it is: chooses the target and creates it if it is fresh. */
NODISCARD enum status resolve_target(struct decision *decision, const struct event *event,
                                     int64_t now_ms, struct resolution *resolution);
/* Gives the event's new rows to the target. */
void resolve_attach(struct decision *decision, const struct event *event, int64_t now_ms,
                    struct resolution *resolution);
/* Merges, moves or leaves every other owner that the event reaches. */
NODISCARD enum status resolve_others(struct decision *decision, const struct event *event,
                                     int64_t now_ms, struct resolution *resolution);

/* --- decide.c ----------------------------------------------------------- */

/* Steps a profile through every due instant up to now. */
void decide_step(struct decision *decision, struct profile *profile, int64_t now_ms);

/* --- trigger/bell.c ----------------------------------------------------- */

/* A bell to ring: `topic` decides who hears it. */
struct bell {
    struct str topic;
    struct profile *profile;
    const struct event *event; /* NULL: time alone */
    int64_t cause_at_ms;       /* how old the cause is: stale beyond a day */
    int64_t at_ms;
    const struct transition_row *transition;
    int64_t until_ms;
    int64_t previous_since_ms;
    const struct identity_decision_row *merge;
};

/* Keeps the bell if somebody wants it and it is not stale. */
void bell_ring(struct decision *decision, const struct bell *bell, int64_t now_ms);

/* --- trigger/render.c --------------------------------------------------- */

/* The body of one notification (contract 3 and 4). False when the arena is
 * full. */
bool render_body(struct arena *arena, const struct decide_context *context,
                 const struct pending_bell *bell, int64_t recorded_at_ms, struct str *out_body);

#endif
