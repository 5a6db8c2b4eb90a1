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
#include "core/rule/verdict.h"
#include "core/trigger/gates.h"

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
    const struct order *loaded; /* as it was counted before this batch; NULL: not at all */
    bool is_planned;
    bool is_attached;
    bool is_dirty;
};

/* The profile that got an event, by event id. */
struct event_slot {
    struct id event_id;
    struct id profile_id;
};

/* A profile that lost an order, and by which event. */
struct shrunk {
    struct profile *profile;
    const struct event *event;
    int64_t now_ms;
};

/* One row of what was rung, and the rows of who was merged. */
struct rung_slot {
    struct rung_key key;
    struct rung own;  /* as it is stored, and will be */
    struct rung seen; /* joined with the others */
    bool is_dirty;
};

/* A trigger and a cause of it: one outcome. */
struct firing {
    const struct trigger *trigger;
    struct bell *bell;            /* what it would ring */
    struct pending_bell *pending; /* kept for it; NULL: nobody hears it */
    struct profile *profile;      /* as it is at the end */
    int64_t now_ms;
    size_t order;      /* of decision */
    struct id id;      /* the notification's */
    int64_t due_at_ms; /* of OUTCOME_WAITING: until then */
    bool asks_late;    /* an order went: its gates wait for those that remain */
    enum trigger_outcome outcome;
};

struct unsaid; /* decide.c: an event that waits for a history */

/* Who may hear a bell: by topic, and by filter unless the filters wait for what the
 * remaining orders say. */
struct hearing {
    const struct subscription_interest **listeners;
    size_t count;
    bool has_filter;
    bool filters_wait;
    int64_t decided_at_ms; /* as of when filters are asked */
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
    const struct rule_backfill *backfill;
    const struct trigger *trigger; /* NULL: it rings by itself */
    bool is_silent;                /* a gate of its trigger said no */
    const struct ruleset *ruleset; /* whose names the labels have */
    struct hearing hearing;
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
    struct list shrunk;   /* of struct shrunk: asked again with the extremes supplied */
    struct list imported; /* profiles whose rules are decided once, at the end */
    int64_t import_now_ms;
    struct unsaid *unsaid; /* NULL: none */
    struct list bells;
    struct list firings; /* of struct firing: causes of triggers */
    struct list waited;  /* of struct waiting_row */
    struct list rungs;   /* of struct rung_slot */
    struct map rung_map; /* of the same */
    bool knows_rungs;    /* the shell asked which */
    bool is_closed;
    size_t stale_count;
    size_t backfill_count; /* bells that ring since a rule was saved */
    size_t backfill_held_count;
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
/* What was rung of a key; one that was never wanted is NULL, and added as never rung. */
struct rung_slot *decision_find_rung(const struct decision *decision, const struct rung_key *key);
struct rung_slot *decision_add_rung(struct decision *decision, const struct rung_key *key);

/* --- interest/gather.c --------------------------------------------------- */

/* Before an order is changed: remembers what it said, once. */
void interest_remember(struct decision *decision, struct order_slot *slot);
/* What the batch's facts and orders say of products. */
NODISCARD bool interest_gather(struct decision *decision, struct decision_rows *rows);

/* --- decide.c ----------------------------------------------------------- */

/* Asks the rules about the event decided last, if that is still to be done. */
NODISCARD enum status decide_rest(struct decision *decision);

/* --- finish.c ------------------------------------------------------------ */

/* Nothing more is decided: imports and shrunk orders are settled, and the causes of
 * triggers are all known. Once. */
NODISCARD enum status decision_close(struct decision *decision);

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

/* --- judge.c ------------------------------------------------------------ */

/* One rule's new answer, and what a message about it says. */
struct verdict_change {
    const struct transition_row *transition;
    int64_t until_ms;
    int64_t previous_since_ms;
};

struct judgement {
    struct list changes; /* of verdict_change, in order of dependence */
};

/* Why rules are decided, and as of when what they say became true. */
struct occasion {
    int64_t at_ms;
    int64_t true_at_ms;
    enum cause_kind cause;
    const struct event *event; /* NULL: none */
};

/* The rules the profile stands at; NULL when they are not at hand. */
const struct ruleset *judge_ruleset(const struct decision *decision, const struct profile *profile);
/* The newest; NULL when there are no rules at all. */
const struct ruleset *judge_newest(const struct decision *decision);
/* A fresh profile stands at the newest rules: it has no history to fold. */
void judge_welcome(const struct decision *decision, struct profile *profile);

/* Brings a profile that is behind to the newest rules and statistics, silently,
 * if that needs no history; else leaves it, to be hydrated. */
void judge_bring_up(struct decision *decision, struct profile *profile, int64_t now_ms);
/* All rules under `cause`; only a rule's save may ask that it ring. The profile's features are
 * those of the newest rules (hydrated, or an import's end). */
void judge_settle(struct decision *decision, struct profile *profile, int64_t now_ms,
                  enum cause_kind cause);
/* Decides the rules that changed parts and features touched. */
void judge_touched(struct decision *decision, struct profile *profile,
                   const struct occasion *occasion, struct judgement *out_judgement);
/* All rules. */
void judge_all(struct decision *decision, struct profile *profile, const struct occasion *occasion,
               struct judgement *out_judgement);
/* All rules after a merge: what a loser held goes on, since when he held it. */
void judge_merge(struct decision *decision, struct profile *profile,
                 const struct occasion *occasion);
/* Those that time alone can change. */
void judge_timed(struct decision *decision, struct profile *profile,
                 const struct occasion *occasion, struct judgement *out_judgement);
/* Rings for each change. */
void judge_ring(struct decision *decision, struct profile *profile,
                const struct judgement *judgement, const struct event *event, int64_t cause_at_ms,
                int64_t now_ms);

/* The loser's features into the survivor's. Both must have been brought up;
 * what cannot be joined is left to be hydrated. */
void judge_absorb(struct decision *decision, struct profile *survivor, const struct profile *loser,
                  int64_t now_ms);

/* --- decide.c ----------------------------------------------------------- */

/* Steps a profile through every due instant up to now, then brings it up. */
void decide_step(struct decision *decision, struct profile *profile, int64_t now_ms);
/* What counts of an order changed for its owner, from `before` to `after` (NULL:
 * not its order): features and indicators follow. False when the arena is full. */
bool decide_change_order(struct decision *decision, struct profile *owner,
                         const struct order *before, const struct order *after, int64_t now_ms);

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
    const struct rule_backfill *backfill; /* the save is the cause; NULL: it is not */
    const struct trigger *trigger;        /* NULL: it rings by itself */
    const struct concern *concern;        /* of triggers that ask about a product; NULL: none */
};

/* Keeps the bell if somebody wants it and it is not stale. */
void bell_ring(struct decision *decision, const struct bell *bell, int64_t now_ms);

/* The steps of it, for triggers: is its cause too old, who hears it, and keeping it. */
bool bell_is_stale(const struct bell *bell, int64_t now_ms);
struct hearing bell_hear(const struct decision *decision, const struct bell *bell, int64_t now_ms);
struct pending_bell *bell_keep(struct decision *decision, const struct bell *bell,
                               const struct hearing *hearing);
struct id bell_id(const struct decision *decision, const struct bell *bell);
/* As of when filters are asked: of time alone the instant at which it became true, as
 * the rules were. */
int64_t bell_asked_at_ms(const struct bell *bell, int64_t now_ms);

/* Asks the filters that waited. False when nobody is left. */
bool bell_settle(struct decision *decision, struct pending_bell *bell);
/* The rules' view of a bell, for filters and names. `fact` is filled when there is
 * an event. */
struct rule_subject bell_subject(const struct decision *decision, const struct profile *profile,
                                 const struct event *event, struct property_view *fact);

/* --- trigger/fire.c ------------------------------------------------------- */

/* The triggers of an event, and those of a change of a verdict: their gates are asked
 * as far as the customer decides. */
void fire_event(struct decision *decision, const struct bell *bell, int64_t now_ms);
void fire_transition(struct decision *decision, const struct bell *bell, int64_t now_ms);
/* What waited for the orders that remain, and which rows the rest needs. */
void fire_close(struct decision *decision);
/* The gates that rest on what was rung, in order of priority. */
void fire_settle(struct decision *decision);
bool fire_finish(struct decision *decision, int64_t recorded_at_ms, struct decision_rows *rows);

/* --- trigger/render.c --------------------------------------------------- */

/* What is sent: the row's body, its subscriptions, and what some of them get
 * instead. False when the arena is full. */
bool render_row(const struct decision *decision, struct pending_bell *bell, int64_t recorded_at_ms);
/* First, last and largest order after one went away are known only when the
 * shell has looked at the orders that remain. */
void render_extremes(struct pending_bell *bell);

#endif
