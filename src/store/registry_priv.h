#ifndef STORE_REGISTRY_PRIV_H
#define STORE_REGISTRY_PRIV_H

/*
 * Shared by registry.c (who holds a snapshot), registry_load.c (how one is
 * built) and registry_rules.c (compiled rules, which snapshots share).
 */

#include "base/arena.h"
#include "store/registry.h"

/* What tells whether anything changed. */
struct registry_number {
    int64_t version_sum;
    int64_t workspace_count;
    int64_t instance_key_sum; /* those stand under no workspace */
};

/* Open addressing over pointers to objects; at most half full. The hash is of
 * the id, or of the prefix for keys. */
struct registry_table {
    const void **slots;
    size_t mask;
};

/* One compiled version of one workspace; shared, counted. */
struct registry_rules;

struct registry_snapshot {
    struct registry_snapshot *self; /* readers see it const; the count is ours */
    unsigned reference_count;       /* guarded by the registry's lock */
    struct arena *arena;
    char *vault; /* plain secrets: guarded memory, wiped when released */
    size_t vault_size;
    size_t vault_used;
    struct registry_number number;
    int64_t stale_at_ms; /* the first expiry of a secret; INSTANT_NEVER */
    size_t unreadable_secret_count;
    size_t unreadable_source_count;
    size_t unreadable_ruleset_count;
    size_t unreadable_choice_count;
    size_t unreadable_trigger_count;

    struct registry_workspace *workspaces;
    size_t workspace_count;
    struct source *sources;
    size_t source_count;
    struct registry_subscription *subscriptions;
    size_t subscription_count;
    struct subscription_interest *interests; /* of the active ones, in their order */
    size_t interest_count;
    struct registry_key *keys;
    size_t key_count;
    struct registry_schema *schemas;
    size_t schema_count;
    struct registry_rules **rules; /* ascending by workspace and version */
    size_t rules_count;

    struct registry_table workspace_table;
    struct registry_table source_table;
    struct registry_table subscription_table;
    struct registry_table key_table; /* by prefix */
};

NODISCARD enum status registry_number_read(struct pg *pg, struct arena *arena,
                                           struct registry_number *out_number,
                                           struct problem *problem);

/* What a snapshot is built with. */
struct registry_inputs {
    struct pg *pg;
    const struct seal *seal;
    registry_parse_source_fn *parse_source;
    const struct registry_snapshot *former; /* its compiled rules are taken over; may be NULL */
};

/* One consistent read of everything. The snapshot has one reference. */
NODISCARD enum status registry_load(const struct registry_inputs *from, int64_t now_ms,
                                    struct registry_snapshot **out_snapshot,
                                    struct problem *problem);
void registry_snapshot_destroy(struct registry_snapshot *snapshot);
/* The workspace of a row, for rows that ascend by workspace: `*cursor` walks
 * along. NULL: the snapshot has none. */
struct registry_workspace *registry_workspace_of(struct registry_snapshot *snapshot, size_t *cursor,
                                                 struct id workspace_id);

/* Rows: workspace_id, version. */
extern const struct pg_statement registry_rulesets_sql;
/* Rows: workspace_id, rule id, notify_version, notify_at. */
extern const struct pg_statement registry_backfills_sql;
/* Rows: workspace_id, version, name, n, percents, thresholds. */
extern const struct pg_statement registry_statistics_sql;
/* Rows: workspace_id, source, rule. */
extern const struct pg_statement registry_exposures_sql;
NODISCARD enum status registry_exposures_load(const struct pg_result *rows,
                                              struct registry_snapshot *snapshot);
/* Rows: workspace_id, source_id, event_type, id, version, mode, body. */
extern const struct pg_statement registry_schemas_sql;
/* Shared with `former` where they are the same. */
NODISCARD enum status registry_schemas_load(const struct pg_result *rows,
                                            const struct registry_snapshot *former,
                                            struct registry_snapshot *snapshot);
void registry_schemas_release(struct registry_snapshot *snapshot);
/* Fills snapshot->rules: shared with `former` where they are the same. */
NODISCARD enum status registry_rules_load(struct pg *pg, const struct pg_result *rows,
                                          const struct registry_snapshot *former,
                                          struct registry_snapshot *snapshot,
                                          struct problem *problem);
NODISCARD enum status registry_rules_attach(struct registry_snapshot *snapshot);
NODISCARD enum status registry_statistics_load(const struct pg_result *rows,
                                               struct registry_snapshot *snapshot);
NODISCARD enum status registry_backfills_load(const struct pg_result *rows,
                                              struct registry_snapshot *snapshot);
/* After the rules were attached: their names are what filters may say. */
NODISCARD enum status registry_choices_load(struct registry_snapshot *snapshot);
/* Rows: as trigger_row_read takes them. */
extern const struct pg_statement registry_triggers_sql;
/* Rows: workspace_id, channel, count, per_ms. */
extern const struct pg_statement registry_channel_caps_sql;
/* After the rules were attached, too. */
NODISCARD enum status registry_triggers_load(const struct pg_result *rows,
                                             struct registry_snapshot *snapshot);
NODISCARD enum status registry_channel_caps_load(const struct pg_result *rows,
                                                 struct registry_snapshot *snapshot);
void registry_rules_release(struct registry_rules *rules);

#endif
