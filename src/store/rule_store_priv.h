#ifndef STORE_RULE_STORE_PRIV_H
#define STORE_RULE_STORE_PRIV_H

/*
 * Shared by rule_rows.c (rules as rows), ruleset_store.c (versions of the
 * set), and rule_store.c (how a change becomes a version).
 */

#include "store/rule_store.h"

/* All rules of the workspace, ascending by slot. */
NODISCARD enum status rule_rows_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     struct rule_row **out_rules, size_t *out_count,
                                     struct problem *problem);
NODISCARD enum status rule_row_insert(struct pg *pg, struct arena *arena,
                                      const struct rule_row *rule, struct problem *problem);
NODISCARD enum status rule_row_update(struct pg *pg, struct arena *arena,
                                      const struct rule_row *rule, struct problem *problem);
NODISCARD enum status rule_row_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id rule_id, struct problem *problem);

/* What the next version goes on from. */
struct ruleset_head {
    int64_t version; /* 0: there is none yet */
    uint32_t next_feature;
    uint32_t next_slot;
    struct str time_zone;
    struct feature_number *known;
    size_t known_count;
};
NODISCARD enum status ruleset_head_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct ruleset_head *out_head, struct problem *problem);
/* The rules are taken from their table: write the rows first. */
NODISCARD enum status ruleset_insert(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     const struct ruleset *ruleset, const struct ruleset_head *head,
                                     int64_t now_ms, struct problem *problem);

/* False when the arena is full. */
NODISCARD bool ruleset_set_zone(struct arena *arena, struct ruleset *ruleset, struct str time_zone);

/* Columns name, n, percents::text[], thresholds::text[] from `column` on. False
 * when this program does not know the name, or the arena is full. */
bool statistic_row_read(const struct pg_result *rows, struct arena *arena, size_t row, int column,
                        struct statistic *out_statistic);

#endif
