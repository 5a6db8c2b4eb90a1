#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "registry_priv.h"
#include "rule_store_priv.h"

/*
 * Compiled rules and statistics of a snapshot.
 *
 * Problem: configuration is loaded anew at every change of anything, and to
 * compile 2,000 rules costs some 50 ms: a workspace whose rules did not change
 * must not pay, nor must the thousand others. Invariant: a version never
 * changes, so its compiled form is made once per process and shared by all
 * snapshots that name it, each with a reference; it lives in an arena of its
 * own that goes with the last of them. One that does not compile (a newer
 * program saved it) is remembered as such, counted, and left out: the
 * workspace is then without the newest rules, but not without its sources.
 *
 * Versions older than the newest settled one are not loaded; of the rest at
 * most four, the newest: profiles further behind are brought up from history.
 * Only refreshes take references, one at a time, from a snapshot that is held;
 * they are let go anywhere, so the count is atomic.
 */

enum {
    /* 2,000 rules of the largest size; a usual workspace takes 100 KiB. */
    RULES_ARENA_BYTES = 128 * 1024 * 1024
};

struct registry_rules {
    atomic_uint reference_count;
    struct arena *arena;
    struct id workspace_id;
    int64_t version;
    struct ruleset *ruleset; /* NULL: it does not compile here */
};

const struct pg_statement registry_rulesets_sql = {
    "registry_rulesets",
    "SELECT k.workspace_id, k.version FROM (SELECT w.id AS workspace_id, r.version,"
    " max(r.version) FILTER (WHERE r.settled_at IS NOT NULL) OVER (PARTITION BY w.id) AS settled"
    " FROM workspace w CROSS JOIN LATERAL (SELECT s.version, s.settled_at FROM ruleset s"
    "  WHERE s.workspace_id = w.id ORDER BY s.version DESC LIMIT 4) r) k"
    " WHERE k.version >= coalesce(k.settled, 0) ORDER BY k.workspace_id, k.version",
};

const struct pg_statement registry_backfills_sql = {
    "registry_backfills",
    "SELECT workspace_id, id, notify_version, notify_at FROM rule WHERE notify_version > 0"
    " ORDER BY workspace_id, id",
};

const struct pg_statement registry_statistics_sql = {
    "registry_statistics",
    "SELECT s.workspace_id, s.version, s.name, s.n, s.percents::text[], s.thresholds::text[]"
    " FROM workspace w CROSS JOIN LATERAL (SELECT m.version FROM statistic m"
    "  WHERE m.workspace_id = w.id ORDER BY m.version DESC LIMIT 1) v"
    " JOIN statistic s ON s.workspace_id = w.id AND s.version = v.version"
    " ORDER BY s.workspace_id, s.name",
};

const struct pg_statement registry_exposures_sql = {
    "registry_exposures",
    "SELECT r.workspace_id, s.source, r.name FROM rule r"
    " CROSS JOIN LATERAL unnest(r.expose) AS s (source) WHERE r.enabled AND r.expose <> '{}'"
    " ORDER BY r.workspace_id, r.name, s.source",
};

void registry_rules_release(struct registry_rules *rules)
{
    if (atomic_fetch_sub(&rules->reference_count, 1) == 1) {
        arena_destroy(rules->arena);
        free(rules);
    }
}

/* --- compiling ------------------------------------------------------------ */

static enum status compile(struct pg *pg, struct id workspace_id, int64_t version,
                           struct registry_rules **out_rules, struct problem *problem)
{
    struct registry_rules *rules = calloc(1, sizeof(*rules));
    struct arena *arena = arena_create(RULES_ARENA_BYTES);
    if (rules == NULL || arena == NULL) {
        free(rules);
        arena_destroy(arena);
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the rules");
    }
    atomic_init(&rules->reference_count, 1);
    rules->arena = arena;
    rules->workspace_id = workspace_id;
    rules->version = version;
    struct problem unseen = { .type = "" };
    enum status status =
        rule_store_compile_version(pg, arena, workspace_id, version, &rules->ruleset, &unseen);
    if (status == STATUS_RETRY || status == STATUS_BROKEN) {
        registry_rules_release(rules);
        if (problem != NULL) {
            *problem = unseen;
        }
        return status;
    }
    if (status != STATUS_OK) {
        rules->ruleset = NULL;
    }
    *out_rules = rules;
    return STATUS_OK;
}

/* Both lists ascend, so the cursor only moves on. NULL: not there. */
static struct registry_rules *find_former(const struct registry_snapshot *former, size_t *cursor,
                                          struct id workspace_id, int64_t version)
{
    if (former == NULL) {
        return NULL;
    }
    for (; *cursor < former->rules_count; (*cursor)++) {
        struct registry_rules *rules = former->rules[*cursor];
        int order = id_compare(rules->workspace_id, workspace_id);
        if (order == 0 && rules->version == version) {
            return rules;
        }
        if (order > 0 || (order == 0 && rules->version > version)) {
            return NULL;
        }
    }
    return NULL;
}

enum status registry_rules_load(struct pg *pg, const struct pg_result *rows,
                                const struct registry_snapshot *former,
                                struct registry_snapshot *snapshot, struct problem *problem)
{
    size_t count = pg_row_count(rows);
    size_t cursor = 0;
    snapshot->rules = ARENA_NEW_ARRAY(snapshot->arena, count, struct registry_rules *);
    if (snapshot->rules == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached",
                           "the configuration does not fit into memory");
    }
    for (size_t i = 0; i < count; i++) {
        struct id workspace_id = pg_get_id(rows, i, 0);
        int64_t version = pg_get_i64(rows, i, 1);
        struct registry_rules *rules = find_former(former, &cursor, workspace_id, version);
        if (rules != NULL) {
            atomic_fetch_add(&rules->reference_count, 1);
        } else {
            enum status status = compile(pg, workspace_id, version, &rules, problem);
            if (status != STATUS_OK) {
                return status;
            }
        }
        assert(rules != NULL);
        snapshot->rules[snapshot->rules_count++] = rules;
        snapshot->unreadable_ruleset_count += rules->ruleset == NULL ? 1 : 0;
    }
    return STATUS_OK;
}

/* --- into the workspaces ---------------------------------------------------- */

enum status registry_rules_attach(struct registry_snapshot *snapshot)
{
    size_t cursor = 0;
    size_t count = 0;
    const struct ruleset **rulesets =
        ARENA_NEW_ARRAY(snapshot->arena, snapshot->rules_count, const struct ruleset *);
    if (rulesets == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < snapshot->rules_count; i++) {
        const struct registry_rules *rules = snapshot->rules[i];
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &cursor, rules->workspace_id);
        if (workspace == NULL || rules->ruleset == NULL) {
            continue;
        }
        if (workspace->ruleset_count++ == 0) {
            workspace->rulesets = &rulesets[count];
        }
        rulesets[count++] = rules->ruleset;
    }
    return STATUS_OK;
}

enum status registry_statistics_load(const struct pg_result *rows,
                                     struct registry_snapshot *snapshot)
{
    size_t count = pg_row_count(rows);
    size_t cursor = 0;
    size_t used = 0;
    struct arena *arena = snapshot->arena;
    struct statistic *items = ARENA_NEW_ARRAY(arena, count, struct statistic);
    struct statistics *set = NULL;
    const struct registry_workspace *of = NULL;
    if (items == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &cursor, pg_get_id(rows, i, 0));
        if (workspace == NULL) {
            continue;
        }
        if (workspace != of) {
            set = ARENA_NEW(arena, struct statistics);
            if (set == NULL) {
                return STATUS_LIMIT;
            }
            *set = (struct statistics){ .version = pg_get_i64(rows, i, 1), .items = &items[used] };
            workspace->statistics = set;
            of = workspace;
        }
        if (statistic_row_read(rows, arena, i, 2, &items[used])) {
            used++;
            set->count++;
        }
    }
    return STATUS_OK;
}

enum status registry_backfills_load(const struct pg_result *rows,
                                    struct registry_snapshot *snapshot)
{
    size_t count = pg_row_count(rows);
    size_t cursor = 0;
    struct rule_backfill *items = ARENA_NEW_ARRAY(snapshot->arena, count, struct rule_backfill);
    if (items == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct rule_backfill){ .rule_id = pg_get_id(rows, i, 1),
                                           .version = pg_get_i64(rows, i, 2),
                                           .saved_at_ms = pg_get_instant(rows, i, 3) };
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &cursor, pg_get_id(rows, i, 0));
        if (workspace != NULL && workspace->backfill_count++ == 0) {
            workspace->backfills = &items[i];
        }
    }
    return STATUS_OK;
}

enum status registry_exposures_load(const struct pg_result *rows,
                                    struct registry_snapshot *snapshot)
{
    size_t count = pg_row_count(rows);
    size_t cursor = 0;
    struct registry_exposure *exposures =
        ARENA_NEW_ARRAY(snapshot->arena, count + 1, struct registry_exposure);
    if (exposures == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &cursor, pg_get_id(rows, i, 0));
        exposures[i] = (struct registry_exposure){ .source = pg_get_text(rows, i, 1),
                                                   .rule = pg_get_text(rows, i, 2) };
        if (workspace != NULL) {
            workspace->exposures =
                workspace->exposure_count == 0 ? &exposures[i] : workspace->exposures;
            workspace->exposure_count++;
        }
    }
    return STATUS_OK;
}
