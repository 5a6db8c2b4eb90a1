#ifndef STORE_TRIGGER_STORE_H
#define STORE_TRIGGER_STORE_H

/*
 * Triggers as rows, and what came of them. Values borrow from the arena given;
 * functions open no transaction. STATUS_MISSING and STATUS_CONFLICT come without
 * words.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/decide.h"
#include "core/rule/ruleset.h"
#include "core/trigger/trigger.h"
#include "store/pg.h"

struct trigger_row {
    struct id workspace_id;
    struct trigger definition; /* not compiled */
    bool keeps;                /* its condition counts: the ruleset knows it */
    int64_t paused_at_ms;      /* INSTANT_NONE: it is not */
    int64_t created_at_ms;
    int64_t updated_at_ms;
};

/* By name or id. */
NODISCARD enum status trigger_store_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct str name_or_id, struct trigger_row *out_trigger,
                                         struct problem *problem);
/* The first by name that rings with the topic; STATUS_MISSING without words. */
NODISCARD enum status trigger_store_of_topic(struct pg *pg, struct arena *arena,
                                             struct id workspace_id, struct str topic,
                                             struct trigger_row *out_trigger,
                                             struct problem *problem);
/* In the order of names, those after `after` (empty: from the start). */
NODISCARD enum status trigger_store_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct str after, size_t limit,
                                         struct trigger_row **out_triggers, size_t *out_count,
                                         struct problem *problem);
NODISCARD enum status trigger_store_count(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, int64_t *out_count,
                                          struct problem *problem);
NODISCARD enum status trigger_store_insert(struct pg *pg, struct arena *arena,
                                           const struct trigger_row *trigger,
                                           struct problem *problem);
/* Everything but id, name and created_at, if the row still has definition.version;
 * else STATUS_CONFLICT. The version grows by one. */
NODISCARD enum status trigger_store_update(struct pg *pg, struct arena *arena,
                                           const struct trigger_row *trigger,
                                           struct problem *problem);
/* With what was rung and counted of it. */
NODISCARD enum status trigger_store_delete(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct id trigger_id,
                                           struct problem *problem);

/* Another trigger with this topic, if there is one: its name and `when`. */
NODISCARD enum status trigger_store_sharer(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct id but_id,
                                           struct str topic, struct str *out_name,
                                           enum trigger_when *out_when, struct problem *problem);
/* Does any trigger ring with a topic that this pattern matches? */
NODISCARD enum status trigger_store_rings(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, struct str pattern,
                                          bool *out_rings, struct problem *problem);

/* How many causes came to what, on the days that [from, to) touches. */
struct trigger_count {
    struct str mode;
    struct str outcome;
    int64_t count;
};
NODISCARD enum status trigger_store_outcomes(struct pg *pg, struct arena *arena,
                                             struct id workspace_id, struct id trigger_id,
                                             int64_t from_ms, int64_t to_ms,
                                             struct trigger_count **out_counts, size_t *out_count,
                                             struct problem *problem);

/* Counts what became of causes after they rang; of a trigger, day, mode and outcome one row
 * at most. */
NODISCARD enum status trigger_store_add_outcomes(struct pg *pg, struct arena *arena,
                                                 struct id workspace_id,
                                                 const struct outcome_row *rows, size_t count,
                                                 struct problem *problem);

/* --- and the workspace's rules ----------------------------------------------------- */

/* The conditions that the ruleset knows, as definitions. */
NODISCARD enum status trigger_conditions(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct rule_definition **out_conditions, size_t *out_count,
                                         struct problem *problem);
/* Names of the triggers that do not compile beside `ruleset`. */
NODISCARD enum status trigger_find_broken(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, const struct ruleset *ruleset,
                                          struct str **out_names, size_t *out_count,
                                          struct problem *problem);

#endif
