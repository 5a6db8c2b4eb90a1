#ifndef CORE_DECIDE_H
#define CORE_DECIDE_H

/*
 * (snapshot, event, now) -> decision. The one pure function in the middle.
 *
 * A batch is loaded into a struct decision: the rows that its events name,
 * locked. decide_event applies one event at a time (correctness 12): steps the
 * profile through every due instant up to now, resolves whose event it is,
 * folds, decides the rules that the event touched, and appends what is to be
 * written. The
 * shell then saves exactly what the decision holds. Nothing here does I/O,
 * looks at a clock, or allocates outside the arena; the same inputs give the
 * same decision, notification ids included.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/interest/interest.h"
#include "core/order/order.h"
#include "core/profile/profile.h"
#include "core/rule/ruleset.h"
#include "core/rule/statistic.h"
#include "core/trigger/gates.h"
#include "core/trigger/subscription.h"

struct decision; /* opaque: the working set of one batch */
struct history;  /* core/profile/hydrate.h */

struct source_name {
    struct id id;
    struct str name;
};

/* A rule whose save asked that those it concerns be told: whoever stood at rules
 * older than `version` (correctness 11). */
struct rule_backfill {
    struct id rule_id;
    int64_t version; /* of the ruleset that the save made */
    int64_t saved_at_ms;
};

/* How often a customer is rung on one channel, whatever triggers do it. */
struct channel_cap {
    struct str channel;
    struct trigger_cap cap;
};

/* What does not change while a batch is decided. Borrowed. */
struct decide_context {
    struct id workspace_id;
    struct str workspace_name;
    struct str currency;
    const struct subscription_interest *interests;
    size_t interest_count;
    const struct source_name *sources; /* the cause of a notification names its source */
    size_t source_count;
    /* Ascending by version, the one in force last; older ones decide for the
     * profiles that have not reached it yet (correctness 11). */
    const struct ruleset *const *rulesets;
    size_t ruleset_count;
    const struct statistics *statistics; /* NULL: never computed */
    const struct rule_backfill *backfills;
    size_t backfill_count;
    size_t backfill_bells_max;          /* beyond it they change silently, and are counted */
    const struct trigger_set *triggers; /* NULL: none */
    const struct channel_cap *channel_caps;
    size_t channel_cap_count;
    bool knows_history; /* every source's is complete */
    struct str time_zone;
    const struct zone *(*find_zone)(const char *name); /* NULL: all zones are UTC */
    /* History coming in: nothing rings, rules are decided once, at the end, and
     * what changed has the cause `import`. */
    bool is_import;
    /* Of an import: nothing is decided now, for facts of these profiles were taken
     * out; they are marked as waiting for their history. */
    bool leaves_verdicts;
    /* Seeds fresh profile and merge ids; drawn by the shell once a batch. */
    uint8_t random[16];
};

struct identity_row {
    struct identifier identifier;
    struct id profile_id; /* canonical owner */
    struct id origin_id;  /* the profile it first had; never changes */
    enum trust trust;
    int64_t first_seen_at_ms;
    /* Of an anonymous id: a trusted source named it together with the known
     * customer who has it. */
    bool is_vouched;
    /* Must be inserted (Load does, before locking). Load leaves it set if its
     * insert won, and clears it, writing the owner found, if another's did. */
    bool is_new;
    /* profile_id or is_vouched changed in this decision: update. A new row may
     * change its origin_id with it (nothing was stored under it yet). */
    bool is_moved;
};

enum identity_decision_kind {
    IDENTITY_MERGED = 1,
    IDENTITY_CONFLICT,
    IDENTITY_MOVED
};

struct identity_decision_row {
    struct id id;
    enum identity_decision_kind kind;
    struct id event_id;
    struct id from_id; /* merge: loser; moved: former owner; conflict: who kept it */
    struct id into_id; /* merge: survivor; moved and conflict: the event's profile */
    enum identity_kind because;
    int64_t at_ms;
};

struct interaction_row {
    const struct event *event;
    struct id origin_id;
    struct id profile_id;
};

enum cause_kind {
    CAUSE_EVENT = 1,
    CAUSE_TIME,
    CAUSE_MERGE,
    CAUSE_IMPORT,
    CAUSE_MANUAL,
    CAUSE_RULE,
    CAUSE_STATISTIC,
};

/* A rule's verdict changed for a profile. */
struct transition_row {
    struct id id;
    struct id profile_id;
    const struct rule *rule; /* of the ruleset that decided */
    int64_t ruleset_version;
    bool had; /* it held before: `from` says what; empty for a tag or segment */
    bool has;
    struct str from;
    struct str to;
    enum cause_kind cause;
    struct id event_id; /* zero when time alone */
    int64_t at_ms;      /* when it became true */
    int64_t decided_at_ms;
};

struct rendition; /* core/trigger/projection.h */

struct notification_row {
    struct id id;          /* hash of the cause (correctness 4) */
    int64_t created_at_ms; /* the instant of the cause: part of the key */
    struct id profile_id;
    struct id event_id; /* of the cause; zero when time alone */
    struct str topic;
    struct str body; /* the bytes that every attempt sends (correctness 19) */
    int64_t sequence;
    int64_t expires_at_ms; /* not worth sending to anybody after this; 0: the schedule's end */
    const struct id *subscription_ids;            /* who gets it; deliveries follow from it */
    const struct delivery_way *subscription_ways; /* and how; NULL: at once, in no order */
    size_t subscription_count;
    /* What each of them is sent instead of `body`; one with an empty body: nothing
     * else. NULL: nobody. */
    const struct rendition *renditions;
    bool is_backfill; /* rings because a rule was saved */
};

/* What was rung, as it is to be stored. */
struct rung_row {
    struct rung_key key;
    struct rung rung;
};

/* What a customer has to do with what a fact is about. Borrowed; members may be NULL. */
struct concern {
    const struct rule_product *product;
    const struct interest *interest;
};

/* A cause that waits, as it was. */
struct waiting_row {
    struct id id; /* the notification's */
    int64_t due_at_ms;
    struct id trigger_id;
    struct id profile_id;
    int64_t at_ms;             /* when the cause became true */
    const struct event *event; /* NULL: by time alone */
    bool is_change;            /* of a rule's verdict; the event may be its cause */
    uint32_t rule_slot;
    bool had;
    bool has;
    struct str from;
    struct str to;
    int64_t previous_since_ms;
    const struct concern *concern; /* as it is when it is due; NULL: nothing was asked */
};

/* So many causes of a trigger came to this. */
struct outcome_row {
    struct id trigger_id;
    int64_t at_ms; /* an instant of the day */
    enum trigger_mode mode;
    enum trigger_outcome outcome;
    int64_t count;
};

/* Who has which verdict now: what membership lists. */
struct membership_row {
    struct id profile_id;
    struct id rule_id;
    struct str value;
    int64_t since_ms;
};

/* --- building the working set (the shell's Load) ------------------------ */

struct decision *decision_create(struct arena *arena, const struct decide_context *context,
                                 size_t event_count_hint);

/* What was read. Pointers are kept: rows must live in the arena. */
void decision_put_identity(struct decision *decision, struct identity_row *row);
void decision_put_profile(struct decision *decision, struct profile *profile);
void decision_put_order(struct decision *decision, struct order *order);

/* Correctness 2, step 2: which identities (and orders) the events name that no
 * row exists for, each planned to a profile: that of the event's strongest
 * known identifier, or a fresh one. The shell inserts them before it locks.
 * Idempotent per event; call for all events after decision_put_identity and
 * decision_put_order, before locking. An event that names nobody (no
 * identifier, no order) gets none: decide_event then answers DECIDE_NOBODY. */
NODISCARD enum status decision_plan(struct decision *decision, struct event *const *events,
                                    size_t count, int64_t now_ms);
/* The planned rows, new ones first inserted by the shell; profile ids of
 * known rows that must be locked, sorted, unique. */
size_t decision_new_identities(const struct decision *decision, struct identity_row ***out_rows);
size_t decision_new_orders(const struct decision *decision, struct order ***out_orders);
size_t decision_profile_ids_to_lock(const struct decision *decision, const struct id **out_ids);

/* After locking: a locked profile that exists in no row yet is created by
 * decide itself. Says whether `profile_id` is one of the fresh ids planned. */
bool decision_is_fresh(const struct decision *decision, struct id profile_id);

/* --- deciding ----------------------------------------------------------- */

enum decide_outcome {
    DECIDE_APPLIED,
    DECIDE_NOBODY,     /* identifies nobody: an interaction without an owner is not kept */
    DECIDE_STATE_FULL, /* the profile cannot hold more: quarantine the event */
};

/* `now_ms` is the clock; the profile's decided_at wins if it is later. An event
 * that was decided in this batch already has no second effect.
 * STATUS_LIMIT when the arena is full: the whole batch must be given up.
 * STATUS_RETRY when an owner was not loaded: roll back and load again. */
NODISCARD enum status decide_event(struct decision *decision, const struct event *event,
                                   int64_t now_ms, enum decide_outcome *out_outcome);

/* Time alone: steps one loaded profile through its due instants up to now. */
NODISCARD enum status decide_due(struct decision *decision, struct profile *profile,
                                 int64_t now_ms);

/* A cause of a trigger that waited is due: steps its loaded profile up to now, and asks
 * the trigger's gates of what is now. Its row goes when the decision is saved. */
NODISCARD enum status decide_waiting(struct decision *decision, struct profile *profile,
                                     const struct waiting_row *waiting, int64_t now_ms);

/* A fact about the world: steps the loaded profile up to now, and rings the trigger for
 * him as an event of his own would. Whom the audience leaves out is not concerned: no
 * outcome is counted, and *out_is_concerned is false. */
NODISCARD enum status decide_universal(struct decision *decision, struct profile *profile,
                                       const struct trigger *trigger, const struct event *fact,
                                       const struct concern *concern, int64_t expires_at_ms,
                                       int64_t now_ms, bool *out_is_concerned);

/* The id under which it rings for a customer. */
struct id decide_universal_id(struct id workspace_id, const struct trigger *trigger,
                              struct id fact_id, struct id profile_id);

/* After a hydrate, an un-merge, an import, an edit: all rules once, at now;
 * records what changed under `cause`, and rings nothing but what a rule's save
 * asked for (correctness 11). The profile's features must be those of the newest ruleset; it stands
 * there afterwards. */
NODISCARD enum status decide_silently(struct decision *decision, struct profile *profile,
                                      int64_t now_ms, enum cause_kind cause);

/* A loaded profile stands at rules newer than the newest of the context: whoever
 * decided it would lose what those rules keep. Reload the configuration and
 * begin again (correctness 11). */
bool decision_is_ahead(const struct decision *decision);

/* Loaded profiles that stand behind the newest rules and can only be brought up
 * from their history; in the arena. */
size_t decision_wanting_history(const struct decision *decision, struct profile ***out_profiles);

/* Profiles that lost sight of their history by the event decided last: their
 * rules have not been asked about it yet (correctness 9). The shell may read
 * each history and give it to decision_recall, or mark the profile `is_long`;
 * the next decide_event, or decision_finish, asks the rules. Whoever got nothing
 * keeps the old verdict of the rules concerned, for the sweep to settle. */
size_t decision_losing_sight(const struct decision *decision, struct profile ***out_profiles);
/* `stored`: as it stood before this batch, which adds what is its own. The
 * rules are then asked under the event. */
NODISCARD enum status decision_recall(struct decision *decision, struct profile *profile,
                                      const struct history *stored);
/* Who was merged into each of `profiles` in this batch, which no row says yet:
 * ids, and the index of the profile they now stand for. In the arena. */
size_t decision_merged_here(const struct decision *decision, struct profile *const *profiles,
                            size_t count, struct id **out_ids, size_t **out_owners);

/* For profiles with orders_shrunk: the shell may supply the extremes from the
 * orders themselves before Save (at most once per profile). */
size_t decision_shrunk_profiles(const struct decision *decision, struct profile ***out_profiles);

/* Between the last decide and decision_finish, where triggers fired: the rows of what
 * was rung that their gates need. The shell locks them, reads those of whoever was
 * merged into the profiles too, and gives all that exist to decision_put_rung. No keys:
 * nothing to do. The keys are sorted as rows are locked. */
NODISCARD enum status decision_rung_keys(struct decision *decision,
                                         const struct rung_key **out_keys, size_t *out_count);
/* Who was merged into a profile in this batch; in the arena. */
size_t decision_merged_into(const struct decision *decision, struct id profile_id,
                            struct id **out_ids);
/* A row of keys[index], or of somebody who was merged into its profile. */
NODISCARD bool decision_put_rung(struct decision *decision, size_t index, struct id profile_id,
                                 const struct rung *rung);

/* The profile that an id stands for after the merges of this batch: for rows
 * of a loser that are not in the working set. */
struct id decision_canonical_id(const struct decision *decision, struct id profile_id);

/* --- what to write (the shell's Save) ----------------------------------- */

struct decision_rows {
    struct profile **profiles; /* dirty; is_new tells insert from update */
    size_t profile_count;
    struct profile **woken; /* nothing changed but due_at */
    size_t woken_count;
    struct identity_row **moved_identities;
    size_t moved_identity_count;
    struct order **orders; /* dirty */
    size_t order_count;
    struct interaction_row *interactions;
    size_t interaction_count;
    struct identity_decision_row *identity_decisions;
    size_t identity_decision_count;
    struct transition_row *transitions;
    size_t transition_count;
    struct membership_row *memberships_gone; /* value and since are what they were */
    size_t membership_gone_count;
    struct membership_row *memberships_come; /* or with another `since` */
    size_t membership_come_count;
    struct notification_row *notifications;
    size_t notification_count;
    /* What the batch adds to interests: each key once, ascending. */
    struct interest_row **interests;
    size_t interest_count;
    /* What an order no longer says: when it was last bought is asked of the orders
     * that remain, once these are written. */
    struct interest_loss *interest_losses;
    size_t interest_loss_count;
    struct rung_row *rungs;
    size_t rung_count;
    struct outcome_row *outcomes;
    size_t outcome_count;
    struct waiting_row *waitings; /* new */
    size_t waiting_count;
    struct waiting_row *waited; /* done: they go */
    size_t waited_count;
};

struct interest_loss {
    struct interest_key key;
    struct id profile_id; /* who owns the origin's orders now */
};

/* Renders the notifications (with recorded_at = recorded_at_ms). Profiles keep
 * is_new and facts_changed, which Save reads. Once, after the last decide. */
NODISCARD enum status decision_finish(struct decision *decision, int64_t recorded_at_ms,
                                      struct decision_rows *out_rows);

/* Bells whose cause was older than a day: counted, not rung (correctness 4). */
size_t decision_stale_count(const struct decision *decision);

/* Bells of backfills: those that ring, and those beyond the context's limit. */
size_t decision_backfill_count(const struct decision *decision);
size_t decision_backfill_held_count(const struct decision *decision);

/* Under which origin the event's interaction is kept, known after
 * decision_plan: with occurred_at and id the key by which Load looks for an
 * event beyond the receipts' horizon (correctness 6). Zero: it names nobody. */
struct id decision_event_origin(const struct decision *decision, const struct event *event);

/* A profile of the working set; NULL when it was not loaded. */
struct profile *decision_profile(const struct decision *decision, struct id profile_id);

/* The profile that got the event, for `Prefer: return=representation`. NULL
 * when it had none. */
const struct profile *decision_event_profile(const struct decision *decision, struct id event_id);

/* Which of these rules hold for the visitor whom the event's anonymous id names:
 * bit n is rules[n], at most DECISION_TOLD_MAX. None for anyone else's, whomever
 * the event claims to be of (core/expose.c). */
enum {
    DECISION_TOLD_MAX = 64
};
uint64_t decision_tells_visitor(const struct decision *decision, const struct event *event,
                                const struct str *rules, size_t count);

#endif
