#ifndef STORE_RULE_STORE_H
#define STORE_RULE_STORE_H

/*
 * Rules as rows, and the versions of the whole set that follow from them.
 *
 * Values borrow from the arena given. rule_store_save and rule_store_ship run
 * in the caller's transaction, and lock the workspace's row in it: so versions
 * ascend without a gap, and what was compiled is what is stored. The caller
 * raises config_version in the same transaction (workspace_touch).
 * STATUS_MISSING comes without words.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/rule/ruleset.h"
#include "core/rule/statistic.h"
#include "store/pg.h"

struct rule_row {
    struct id workspace_id;
    /* definition.version grows with every edit, .since_version is the ruleset
     * version that last changed the meaning. */
    struct rule_definition definition;
    const struct str *expose;
    size_t expose_count;
    bool shipped; /* came with the program: may be restored */
    int64_t created_at_ms;
    int64_t updated_at_ms;
    /* The ruleset version whose coming rings for this rule: its last save asked so
     * (notify_existing). 0: it rings for nobody who was there before. */
    int64_t notify_version;
    int64_t notify_at_ms; /* of that save */
};

/* By name or id. */
NODISCARD enum status rule_store_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct str name_or_id, struct rule_row *out_rule,
                                      struct problem *problem);
/* In the order of names, those after `after` (empty: from the start). */
NODISCARD enum status rule_store_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct str after, size_t limit, struct rule_row **out_rules,
                                      size_t *out_count, struct problem *problem);
NODISCARD enum status rule_store_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       int64_t *out_count, struct problem *problem);

/* --- changing ------------------------------------------------------------- */

enum rule_action {
    RULE_PUT,    /* create, or replace */
    RULE_CREATE, /* STATUS_CONFLICT "name-taken" when it is there */
    RULE_DELETE, /* STATUS_MISSING; STATUS_CONFLICT "rule-in-use" */
};

struct rule_change {
    enum rule_action action;
    /* The rule must be at this version; 0: at any, or not there; -1: there. */
    int64_t expected_version;
    /* What people set: definition's name, title, kind, cases, hysteresis,
     * enabled; expose. `shipped`: this is the program's own text, which a rule
     * of the workspace's own is not replaced by. The rest is found or made. */
    struct rule_row wanted;
    bool notifies; /* those whom this save concerns are told, if it changes a meaning */
};

enum rule_effect {
    RULE_UNCHANGED,
    RULE_CREATED,
    RULE_RETITLED, /* title, expose: no new ruleset version */
    RULE_CHANGED,  /* its meaning */
    RULE_DELETED,
};

struct rule_outcome {
    enum rule_effect effect;
    struct rule_row row; /* as it is now */
};

struct rule_saved {
    struct rule_outcome *outcomes; /* one per change */
    const struct ruleset *ruleset; /* compiled: the one in force from now on */
    int64_t former_version;        /* 0: there was none */
    struct id job_id;              /* the hydrate job; zero: none was needed */
};

/* What the compiler found, and where. */
struct rule_fault {
    struct ruleset_error error;
    struct str rule;           /* its name; empty: no expression is to blame */
    size_t change_index;       /* into the changes; SIZE_MAX: a rule that was not edited */
    const struct str *used_by; /* of "rule-in-use": names of rules */
    size_t used_by_count;
    const struct str *subscriptions; /* of "rule-in-use" too: names of subscriptions */
    size_t subscription_count;
    const struct str *triggers; /* and of triggers */
    size_t trigger_count;
};

/* All changes together are one new version, or none if none changes a meaning
 * and the workspace's time zone is still that of the newest version.
 * With profiles there, a version brings a job of kind "hydrate" with parameters
 * {"ruleset_version": v} and ends those before it. STATUS_INVALID with
 * *out_fault (fault.rule not empty when an expression is to blame) and the
 * problem's type of contract 17. */
NODISCARD enum status rule_store_save(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      const struct rule_change *changes, size_t count,
                                      int64_t now_ms, struct rule_saved *out_saved,
                                      struct rule_fault *out_fault, struct problem *problem);

/* In the caller's transaction, after the conditions of triggers changed: a version
 * that keeps what they count, and a job that brings everybody to it. STATUS_INVALID
 * with *out_error when one of them asks for more than a ruleset keeps. */
NODISCARD enum status rule_store_keep(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      int64_t now_ms, struct ruleset_error *out_error,
                                      struct problem *problem);

/* The newest version, compiled in `arena` from its row. STATUS_MISSING: none. */
NODISCARD enum status rule_store_compile(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct ruleset **out_ruleset, struct problem *problem);
/* A certain version. STATUS_MISSING: no such row; STATUS_INVALID: this program
 * does not understand it, or numbers its features otherwise. */
NODISCARD enum status rule_store_compile_version(struct pg *pg, struct arena *arena,
                                                 struct id workspace_id, int64_t version,
                                                 struct ruleset **out_ruleset,
                                                 struct problem *problem);

/* Every profile has reached `version`: older ones are compiled no more, and
 * their rows may go. In the caller's transaction, with workspace_touch. */
NODISCARD enum status rule_store_settle(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        int64_t version, int64_t now_ms, struct problem *problem);

/* No save up to this version rings any more: everybody knows, or it was enough.
 * In the caller's transaction, with workspace_touch. */
NODISCARD enum status rule_store_silence(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         int64_t version, struct problem *problem);

/* --- what every workspace starts with --------------------------------------- */

/* Gives a workspace without a ruleset the shipped rules. Of another, whose time
 * zone is not that of its newest ruleset, it makes a new version; else nothing. */
NODISCARD enum status rule_store_ship(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      int64_t now_ms, struct problem *problem);
/* The same for all workspaces that need it, each in a transaction of its own:
 * after migrating. Any number of instances at once. */
NODISCARD enum status rule_store_ship_all(struct pg *pg, int64_t now_ms, size_t *out_count,
                                          struct problem *problem);
/* The shipped rule of this name as it may be put back; STATUS_MISSING. */
NODISCARD enum status rule_store_shipped(struct str name, struct rule_row *out_rule);

/* --- statistics ------------------------------------------------------------- */

/* A whole set under its version, which must be new. In the caller's
 * transaction, with workspace_touch. */
NODISCARD enum status statistic_store_save(struct pg *pg, struct arena *arena,
                                           struct id workspace_id,
                                           const struct statistics *statistics, int64_t now_ms,
                                           struct problem *problem);
/* The newest set not above `version` (INT64_MAX: the newest); version 0 and no
 * items when there is none. */
NODISCARD enum status statistic_store_load(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, int64_t version,
                                           struct statistics *out_statistics,
                                           struct problem *problem);

#endif
