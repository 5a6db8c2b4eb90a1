#ifndef STORE_TRIGGER_STORE_PRIV_H
#define STORE_TRIGGER_STORE_PRIV_H

/*
 * Shared by who keeps triggers and who loads them into a snapshot: the row.
 */

#include "store/trigger_store.h"

#define TRIGGER_COLUMNS                                                               \
    "workspace_id, id, name, version, title, topic, mode, paused_at, when_kind,"      \
    " when_what, when_from, when_to, condition, keeps, wait_ms, channel, once,"       \
    " cooldown_ms, cooldown_per, profile_cap_count, profile_cap_ms, total_cap_count," \
    " total_cap_ms, priority, expires_ms, quiet_from, quiet_to, quiet_zone,"          \
    " quiet_drops, holdout, require_history, audience, recheck, created_at, updated_at"

/* All that a trigger asks, as one expression: what it counts is kept. */
#define TRIGGER_ASKS                                                   \
    "CASE WHEN audience IS NULL THEN condition WHEN condition IS NULL" \
    " THEN audience ELSE '(' || audience || ') and (' || condition || ')' END"

/* Adds to what is counted: a day, a mode and an outcome at most once in `rows`. */
extern const struct pg_statement trigger_outcome_add_sql;
void trigger_put_outcomes(struct pg_params *params, const struct outcome_row *rows, size_t count);

struct trigger_row trigger_row_read(const struct pg_result *result, size_t row);

#endif
