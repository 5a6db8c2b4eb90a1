#ifndef CORE_TRIGGER_MESSAGE_H
#define CORE_TRIGGER_MESSAGE_H

/*
 * What one notification is about, and the names by which its parts are asked
 * for: in `fields`, in the templates of `map`, in the native formats. Pure.
 *
 *   profile.<path>     as rules write it, "profile." or not: orders.count, tiers.basket,
 *                      traits.city; besides profile.id, sequence, first_name, last_name,
 *                      locale, time_zone, orders.currency, and whole: tiers, traits,
 *                      preferences, consent, cart
 *   event.<path>       a property of the causing event; event.id, type, source,
 *                      occurred_at; event alone: all its properties
 *   transition.<x>     rule, kind, from, to
 *   segment.<x>, tag.<x>, tier.<x>, lifecycle.<x>
 *                      name, title, from, to, rule_version, since, until, previous_since:
 *                      of a notification about a rule of that kind
 *   merge.<x>          id, from_id, into_id
 *   trigger.<x>        name, title, version: of a notification that a trigger rang
 *   notification.<x>   id, type, timestamp, recorded_at, expires_at, sequence, workspace,
 *                      cause
 *
 * What a notification has none of is null. By time alone, event.* is null; where no
 * rule's verdict changed, transition.* is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/jsonw.h"
#include "base/str.h"
#include "core/decide.h"
#include "core/rule/expression.h"
#include "core/rule/program.h"
#include "core/rule/property.h"

/* Everything a body may say. Borrowed. */
struct message {
    struct id id;
    struct str topic;
    int64_t at_ms;
    int64_t recorded_at_ms;
    int64_t expires_at_ms; /* as struct envelope has it */
    struct str workspace;
    struct str currency;
    int64_t sequence;
    const struct profile *profile;           /* as it was */
    const struct profile_labels *labels;     /* of that moment */
    struct rule_subject subject;             /* the same for names of rules */
    const struct event *event;               /* NULL: none caused it */
    struct str source;                       /* the event's, by name; empty: not known */
    struct property_view *fact;              /* the event, seen by names; NULL with event */
    const struct transition_row *transition; /* NULL: no rule's verdict */
    int64_t until_ms;
    int64_t previous_since_ms;
    const struct identity_decision_row *merge;
    const struct rule_backfill *backfill;
    const struct trigger *trigger;               /* NULL: none rang it */
    const struct transition_row *const *changes; /* of this event and profile */
    size_t change_count;
    bool is_masked; /* addresses masked, people's names null */
    bool is_test;
};

enum message_object {
    MESSAGE_PROFILE = 1,
    MESSAGE_EVENT,
    MESSAGE_TRANSITION,
    MESSAGE_RULE, /* segment, tag, tier, lifecycle: the object of `data` */
    MESSAGE_MERGE,
    MESSAGE_TRIGGER,
    MESSAGE_NOTIFICATION,
};

enum {
    MESSAGE_STEPS_MAX = 8
};

struct message_name {
    enum message_object object;
    struct str
        steps[MESSAGE_STEPS_MAX]; /* where it stands in `data`: "profile", "orders", "count" */
    size_t step_count;
    struct rule_name rule; /* of MESSAGE_PROFILE: NONE where `member` says it */
    uint8_t member;        /* which, within the object */
    enum rule_kind kind;   /* of MESSAGE_RULE */
    bool is_default;       /* does `fields: default` tell it? */
};

/* False when no such name exists; then *out_nearest is the nearest one or NULL.
 * `names` says which tiers exist; NULL: any. Texts are borrowed from `path`. */
bool message_name_resolve(struct str path, const struct rule_vocabulary *names,
                          struct message_name *out_name, const char **out_nearest);

/* The value as JSON, with its type; null when there is none. A full arena is
 * remembered by it. */
void message_write_value(struct arena *arena, struct jsonw *json, const struct message *message,
                         const struct message_name *name);
/* As text: of null nothing, of a list its items joined by ", ", of an object its JSON. */
void message_add_text(struct arena *arena, struct buf *buf, const struct message *message,
                      const struct message_name *name);

#endif
