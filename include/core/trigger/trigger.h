#ifndef CORE_TRIGGER_TRIGGER_H
#define CORE_TRIGGER_TRIGGER_H

/*
 * When this happens and this holds, ring with this topic (contract 11): the
 * definition, as people write it and as decisions use it. Pure, plain values.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/rule/expression.h"
#include "core/rule/program.h"
#include "core/rule/ruleset.h"

enum trigger_when {
    TRIGGER_EVENT = 1, /* an event of the customer */
    TRIGGER_ENTERS,    /* a tag or segment begins to hold */
    TRIGGER_LEAVES,
    TRIGGER_CHANGES,   /* a lifecycle or tier */
    TRIGGER_UNIVERSAL, /* a fact about the world: rings whom it concerns, one by one */
};

enum trigger_mode {
    TRIGGER_DRAFT = 1, /* counts what it would have done */
    TRIGGER_TEST,      /* rings as a test, whatever rang before */
    TRIGGER_LIVE,
};

enum trigger_per {
    TRIGGER_PER_PROFILE = 1,
    TRIGGER_PER_PRODUCT,
    TRIGGER_PER_VARIANT,
};

struct trigger_cap {
    int64_t count; /* 0: no cap */
    int64_t per_ms;
};

struct trigger_quiet { /* from inclusive, to exclusive, through midnight if from > to */
    bool is_set;
    int32_t from_minute; /* of the local day */
    int32_t to_minute;
    struct str zone; /* "profile": the customer's, else the workspace's; or an IANA name */
    bool drops;      /* else the bell waits until the hours are over */
};

struct trigger {
    struct id id;
    struct str name;
    struct str title;
    int64_t version;
    struct str topic;
    enum trigger_mode mode;
    bool is_paused;
    enum trigger_when when;
    struct str what; /* the event's or fact's name, or the rule's */
    struct str from; /* of TRIGGER_CHANGES; empty: any */
    struct str to;
    struct str audience;  /* of TRIGGER_UNIVERSAL: who is concerned; empty: all it names */
    struct str condition; /* empty: always */
    bool recheck;         /* all of it is asked again before each attempt */
    int64_t wait_ms;      /* 0: at once */
    struct str channel;   /* empty: needs no consent */
    bool once;
    int64_t cooldown_ms; /* 0: none */
    enum trigger_per cooldown_per;
    struct trigger_cap profile_cap;
    struct trigger_cap total_cap;
    int32_t priority;   /* of those that compete for what a cap leaves, the greater first */
    int64_t expires_ms; /* 0: never */
    struct trigger_quiet quiet;
    int64_t holdout; /* millionths */
    bool require_history;

    /* Compiled: trigger_compile. */
    enum event_type event_type;
    uint32_t rule_slot;
    const struct rule_node *root;
    const struct rule_program *program;          /* of the condition; NULL: always */
    const struct rule_program *audience_program; /* NULL: all */
    bool audience_asks_profile; /* more than the fact, the product and the interest in it */
};

const char *trigger_when_name(enum trigger_when when);     /* "event" */
enum trigger_when trigger_when_from_name(struct str name); /* 0: none */
const char *trigger_mode_name(enum trigger_mode mode);
enum trigger_mode trigger_mode_from_name(struct str name);
const char *trigger_per_name(enum trigger_per per);
enum trigger_per trigger_per_from_name(struct str name);

/* What is wrong with a definition: at which member of contract 11, in words; of the
 * condition, and where in its text. */
struct trigger_error {
    const char *member; /* "if", "when/event", "when/enters", "topic" */
    struct rule_error error;
    bool is_expression; /* error has a place */
};

/* Resolves what it names against `ruleset` (NULL: none yet) and compiles the
 * condition. STATUS_INVALID with *out_error filled; STATUS_LIMIT when the arena is
 * full. */
NODISCARD enum status trigger_compile(struct arena *arena, const struct ruleset *ruleset,
                                      struct trigger *trigger, struct trigger_error *out_error);
/* Do the condition or the audience count, or ask for a percentile? Then the workspace's
 * rules must know them: see ruleset_build. */
bool trigger_keeps(const struct trigger *trigger);
/* Does it name this rule, in `when`, in the audience or in the condition? */
bool trigger_uses_rule(const struct trigger *trigger, struct str rule);

/* May a trigger of this name ring with this topic? An event's, a derived one, what
 * is about the service, and another trigger's default are not free. */
bool trigger_topic_is_free(struct str name, struct str topic);

/* --- many of them ------------------------------------------------------------ */

/* A workspace's, by what fires them: what no trigger names costs one look. */
struct trigger_set {
    const struct trigger *const *by_event[EVENT_TYPE_COUNT];
    size_t by_event_count[EVENT_TYPE_COUNT];
    const struct trigger *const *by_rule; /* ascending by slot */
    size_t by_rule_count;
    const struct trigger *const *universal; /* jobs ring these (sweep/fan_out.h) */
    size_t universal_count;
};

/* Of those that are not paused. NULL when the arena is full. */
const struct trigger_set *trigger_set_create(struct arena *arena, const struct trigger *triggers,
                                             size_t count);
/* The first of a rule's, and how many. */
const struct trigger *const *trigger_set_of_rule(const struct trigger_set *set, uint32_t slot,
                                                 size_t *out_count);
/* The one with this id among the set's; NULL: none. */
const struct trigger *trigger_set_find(const struct trigger_set *set, struct id id);

enum {
    TRIGGERS_MAX = 500, /* a workspace's: each is asked at every event that it names */
    TRIGGER_CAP_MAX = 50,
};
#define TRIGGER_TOTAL_CAP_MAX INT64_C(1000000000)

#endif
