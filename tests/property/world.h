#ifndef TESTS_PROPERTY_WORLD_H
#define TESTS_PROPERTY_WORLD_H

/*
 * A database of arrays around the pure core: load, plan, lock, decide, save,
 * as the shell does it, so that tests of decide see what users would. Profiles
 * and orders pass through their codecs on every save and load.
 *
 * One thread; memory lives in the world's arena until world_close.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "core/decide.h"
#include "core/profile/as_of.h"
#include "core/profile/hydrate.h"

enum {
    WORLD_ROWS_MAX = 4096,
    WORLD_INTERESTS_MAX = 40,
    WORLD_RULESETS_MAX = 8,
    WORLD_RULES_MAX = 128,
};

/* 2026-06-01T12:00:00Z: where the tests' calendars begin. */
#define WORLD_START_MS INT64_C(1780315200000)

struct world_base {
    struct id origin_id;
    struct str bytes;
};

struct world {
    struct arena *arena;
    struct decide_context context;
    struct subscription_interest interests[WORLD_INTERESTS_MAX];
    struct source_name sources[2];
    const struct ruleset *rulesets[WORLD_RULESETS_MAX]; /* at first the shipped rules alone */
    struct str rule_names[WORLD_RULES_MAX];             /* their slots, less one */
    size_t rule_name_count;
    uint32_t next_feature;
    const struct zone *zone; /* of the rulesets made from now on; NULL: UTC */
    size_t history_max;      /* of one profile, read while it is decided (correctness 11) */
    int64_t now_ms;
    int64_t event_count; /* made by world_event */
    uint32_t batch_count;

    struct identity_row *identities[WORLD_ROWS_MAX];
    size_t identity_count;
    struct profile *profiles[WORLD_ROWS_MAX];
    size_t profile_count;
    struct order *orders[WORLD_ROWS_MAX];
    size_t order_count;
    struct id receipts[WORLD_ROWS_MAX];
    size_t receipt_count;

    struct world_base bases[WORLD_ROWS_MAX];
    size_t base_count;

    /* Logs, append-only; but retention takes interactions out. */
    struct interaction_row interactions[WORLD_ROWS_MAX];
    size_t interaction_count;
    struct identity_decision_row decisions[WORLD_ROWS_MAX];
    size_t decision_count;
    bool undone[WORLD_ROWS_MAX]; /* per decision: a merge that was taken back */
    struct transition_row transitions[WORLD_ROWS_MAX];
    size_t transition_count;
    struct notification_row notifications[WORLD_ROWS_MAX];
    size_t notification_count;
    size_t stale_count;
};

struct world *world_open(void);
void world_close(struct world *world);
/* Subscribes to all topics of a pattern. */
void world_subscribe(struct world *world, const char *pattern);

/* "S c1 e1": trust (S signed, K keyed, P public, M signed and source 1 says that
 * its customer_ids are one customer) and identifiers, each a letter
 * for its kind and a name: x external_id, c and d customer_id of source 1 and
 * 2, e email, p phone, a anonymous_id, t cart token, o order. A viewed page, at
 * the world's now; change it as needed before world_apply. */
struct event *world_event(struct world *world, const char *spec);
/* One commit. Events with a receipt are duplicates and left out. */
void world_apply(struct world *world, struct event *const *events, size_t count);
void world_apply_one(struct world *world, struct event *event);
/* Time alone: what the due sweep does, for every profile. */
void world_sweep(struct world *world);
/* The first instant at which a sweep has something to do. */
int64_t world_due_at(const struct world *world);

/* The next version of the rules: only these. Slots, ids and feature numbers go
 * on from the version before; without a profile yet there is none before. */
void world_set_rules(struct world *world, const struct rule_definition *definitions, size_t count);
const struct ruleset *world_newest_rules(const struct world *world);
/* What the background sweep does: whoever is behind is brought up, however long
 * its history. */
void world_hydrate(struct world *world);
/* Takes back the latest merge that `identifier` came to its profile by. */
void world_unmerge(struct world *world, const char *identifier);
/* One that stands, by its decision. False when one side has no fact of its own. */
bool world_unmerge_edge(struct world *world, size_t edge);
/* The profile folded anew out of what is stored, under the newest rules; its
 * verdicts are what the rules say now. Not stored. */
struct profile *world_hydrated(struct world *world, const struct profile *profile);

/* The same as of an instant; NULL when nothing had happened, or it cannot be told. */
struct profile *world_hydrated_as_of(struct world *world, const struct profile *profile,
                                     int64_t at_ms);
/* What retention does: the facts before an instant go into the bases of their
 * origins, `step` at a time; of whoever stands at the newest rules. How many. */
size_t world_drop(struct world *world, int64_t before_ms, size_t step);

/* The canonical profile that one identifier ("c1") names; NULL when unknown. */
struct profile *world_find(struct world *world, const char *identifier);
/* Its lifecycle stage by name; empty when it has none. */
struct str world_stage(const struct world *world, const struct profile *profile);
struct order *world_find_order(struct world *world, const char *order_ref);
size_t world_count_decisions(const struct world *world, enum identity_decision_kind kind);
/* How many notifications have this topic. */
size_t world_count_rung(const struct world *world, const char *topic);

/* What must not depend on the order of arrival: facts, orders, identities, the
 * stage at now; without ids of profiles, sequences and logs. */
struct str world_state(struct world *world);
/* Everything, to the byte. */
struct str world_everything(struct world *world);

#endif
