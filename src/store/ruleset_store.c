#include "base/instant.h"
#include "rule_store_priv.h"
#include "trigger_store_priv.h"

/*
 * Versions of the whole set.
 *
 * Problem: a profile's state speaks of slots and feature numbers, so every
 * instance must give the same rule the same slot and the same feature the same
 * number, and a profile that stands at an older version must still be read by
 * it. Invariant: a row never changes but for settled_at; it holds the texts
 * and the numbers, so compiling it anywhere gives the same program. If
 * compiling it asks for a number that it does not have, this binary spells
 * features otherwise than the one that saved it: that is refused here, not
 * found out in profiles.
 */

#define RULESET_OF                                         \
    " WHERE s.workspace_id = $1 AND s.version = coalesce(" \
    "$2, (SELECT max(n.version) FROM ruleset n WHERE n.workspace_id = $1))"

static const struct pg_statement ruleset_head_sql = {
    "ruleset_head",
    "SELECT s.version, s.next_feature, s.next_slot, s.time_zone FROM ruleset s" RULESET_OF,
};

static const struct pg_statement ruleset_features_sql = {
    "ruleset_features",
    "SELECT f.key, f.number, f.version, f.keep FROM ruleset s CROSS JOIN LATERAL"
    " jsonb_to_recordset(s.features) AS f(key text, number bigint, version bigint, keep "
    "bigint)" RULESET_OF " ORDER BY f.number",
};

static const struct pg_statement ruleset_rules_sql = {
    "ruleset_rules",
    "SELECT d.id, d.name, d.title, d.kind, d.slot, d.version, d.since_version, d.hysteresis,"
    " d.enabled, ARRAY(SELECT coalesce(c.item->>'value', '') FROM jsonb_array_elements(d.cases)"
    "  WITH ORDINALITY AS c(item, place) ORDER BY c.place),"
    " ARRAY(SELECT c.item->>'when' FROM jsonb_array_elements(d.cases)"
    "  WITH ORDINALITY AS c(item, place) ORDER BY c.place)"
    " FROM ruleset s CROSS JOIN LATERAL jsonb_to_recordset(s.rules) AS d(id uuid, name text,"
    " title text, kind text, slot bigint, version bigint, since_version bigint,"
    " hysteresis bigint, enabled boolean, cases jsonb)" RULESET_OF " ORDER BY d.slot, d.id",
};

static const struct pg_statement ruleset_insert_sql = {
    "ruleset_insert",
    "INSERT INTO ruleset (workspace_id, version, created_at, rules, features, next_feature,"
    " next_slot, time_zone) SELECT $1, $2, $3,"
    " (SELECT coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'name', r.name, 'title',"
    "  r.title, 'kind', r.kind, 'slot', r.slot, 'version', r.version, 'since_version',"
    "  r.since_version, 'hysteresis', r.hysteresis, 'enabled', r.enabled, 'cases', r.cases)"
    "  ORDER BY r.slot), '[]') FROM rule r WHERE r.workspace_id = $1)"
    " || (SELECT coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name, 'title', '',"
    "  'kind', 'condition', 'slot', 0, 'version', t.version, 'since_version', 0, 'hysteresis', 0,"
    "  'enabled', true, 'cases', jsonb_build_array(jsonb_build_object('value', NULL, 'when',"
    "  " TRIGGER_ASKS "))) ORDER BY t.id), '[]') FROM trigger t WHERE t.workspace_id = $1"
    "  AND t.keeps),"
    " (SELECT coalesce(jsonb_agg(jsonb_build_object('key', f.key, 'number', f.number,"
    "  'version', f.version, 'keep', f.keep) ORDER BY f.number), '[]')"
    "  FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[])"
    "  AS f(key, number, version, keep)), $8, $9, $10",
};

static const struct pg_statement ruleset_settle_sql = {
    "ruleset_settle",
    "UPDATE ruleset SET settled_at = $3 WHERE workspace_id = $1 AND version = $2"
    " AND settled_at IS NULL",
};

/* version 0: the newest. */
static void put_version(struct pg_params *params, struct arena *arena, struct id workspace_id,
                        int64_t version)
{
    pg_params_init(params, arena);
    pg_put_id(params, workspace_id);
    if (version == 0) {
        pg_put_null(params, PG_INT8);
    } else {
        pg_put_i64(params, version);
    }
}

static bool read_head(const struct pg_result *heads, const struct pg_result *features,
                      struct arena *arena, struct ruleset_head *head)
{
    size_t count = pg_row_count(features);
    struct feature_number *known = ARENA_NEW_ARRAY(arena, count, struct feature_number);
    if (known == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        known[i] = (struct feature_number){
            .key = pg_get_text(features, i, 0),
            .number = (uint32_t)pg_get_i64(features, i, 1),
            .version = (uint32_t)pg_get_i64(features, i, 2),
            .keep = (uint32_t)pg_get_i64(features, i, 3),
        };
    }
    *head = (struct ruleset_head){
        .version = pg_get_i64(heads, 0, 0),
        .next_feature = (uint32_t)pg_get_i64(heads, 0, 1),
        .next_slot = (uint32_t)pg_get_i64(heads, 0, 2),
        .time_zone = pg_get_text(heads, 0, 3),
        .known = known,
        .known_count = count,
    };
    return true;
}

static enum status too_big(struct problem *problem)
{
    return problem_set(problem, STATUS_LIMIT, "limit-reached", "the rules do not fit into memory");
}

enum status ruleset_head_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct ruleset_head *out_head, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *results[2] = { NULL, NULL };
    put_version(&params, arena, workspace_id, 0);
    (void)!pg_queue(pg, &ruleset_head_sql, &params);
    (void)!pg_queue(pg, &ruleset_features_sql, &params);
    enum status status = pg_sync(pg, arena, results, ARRAY_COUNT(results), problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(results[0]) == 0) {
        *out_head = (struct ruleset_head){ .next_feature = 1, .next_slot = 1 };
        return STATUS_OK;
    }
    struct ruleset_head head;
    if (!read_head(results[0], results[1], arena, &head)) {
        return too_big(problem);
    }
    *out_head = head;
    return STATUS_OK;
}

/* --- compiling ------------------------------------------------------------ */

static bool read_definition(const struct pg_result *rows, struct arena *arena, size_t row,
                            struct rule_definition *definition)
{
    struct str *values = NULL;
    struct str *whens = NULL;
    size_t count = pg_get_text_array(rows, arena, row, 9, &values);
    size_t when_count = pg_get_text_array(rows, arena, row, 10, &whens);
    struct rule_case *cases = ARENA_NEW_ARRAY(arena, count, struct rule_case);
    if (cases == NULL || when_count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        cases[i] = (struct rule_case){ .value = values[i], .when = whens[i] };
    }
    *definition = (struct rule_definition){
        .id = pg_get_id(rows, row, 0),
        .name = pg_get_text(rows, row, 1),
        .title = pg_get_text(rows, row, 2),
        .is_condition = str_equal(pg_get_text(rows, row, 3), STR("condition")),
        .kind = rule_kind_from_name(pg_get_text(rows, row, 3)),
        .slot = (uint32_t)pg_get_i64(rows, row, 4),
        .version = pg_get_i64(rows, row, 5),
        .since_version = pg_get_i64(rows, row, 6),
        .hysteresis = pg_get_i64(rows, row, 7),
        .enabled = pg_get_bool(rows, row, 8),
        .cases = cases,
        .case_count = count,
    };
    return definition->kind != 0 || definition->is_condition;
}

/* A zone that this machine does not have is UTC here. */
bool ruleset_set_zone(struct arena *arena, struct ruleset *ruleset, struct str time_zone)
{
    const char *name = str_dup_z(arena, time_zone);
    if (name == NULL) {
        return false;
    }
    ruleset->time_zone = str_from_z(name);
    ruleset->zone = instant_zone(name);
    return true;
}

static enum status compile(struct arena *arena, const struct ruleset_head *head,
                           const struct pg_result *rows, struct ruleset **out_ruleset,
                           struct problem *problem)
{
    size_t count = pg_row_count(rows);
    struct rule_definition *definitions = ARENA_NEW_ARRAY(arena, count, struct rule_definition);
    if (definitions == NULL) {
        return too_big(problem);
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_definition(rows, arena, i, &definitions[i])) {
            return arena_is_full(arena)
                       ? too_big(problem)
                       : problem_set(problem, STATUS_INVALID, "internal",
                                     "ruleset %lld has a kind of rule that is not known",
                                     (long long)head->version);
        }
    }
    uint32_t next_feature = head->next_feature;
    struct ruleset *ruleset = NULL;
    struct ruleset_error error = { .rule = 0 };
    enum status status = ruleset_build(arena, head->version, definitions, count, head->known,
                                       head->known_count, &next_feature, &ruleset, &error);
    if (status == STATUS_LIMIT) {
        return too_big(problem);
    }
    if (status != STATUS_OK) {
        struct str name = error.rule < count ? definitions[error.rule].name : STR("");
        return problem_set(problem, STATUS_INVALID, "internal", "ruleset %lld, rule %.*s: %s",
                           (long long)head->version, STR_ARG(name), error.error.detail);
    }
    if (next_feature != head->next_feature) {
        return problem_set(problem, STATUS_INVALID, "internal",
                           "ruleset %lld was saved by a program that spells features otherwise",
                           (long long)head->version);
    }
    if (!ruleset_set_zone(arena, ruleset, head->time_zone)) {
        return too_big(problem);
    }
    *out_ruleset = ruleset;
    return STATUS_OK;
}

enum status rule_store_compile_version(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       int64_t version, struct ruleset **out_ruleset,
                                       struct problem *problem)
{
    struct pg_params params;
    struct pg_result *results[3] = { NULL, NULL, NULL };
    put_version(&params, arena, workspace_id, version);
    (void)!pg_queue(pg, &ruleset_head_sql, &params);
    (void)!pg_queue(pg, &ruleset_features_sql, &params);
    (void)!pg_queue(pg, &ruleset_rules_sql, &params);
    enum status status = pg_sync(pg, arena, results, ARRAY_COUNT(results), problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(results[0]) == 0) {
        return STATUS_MISSING;
    }
    struct ruleset_head head;
    if (!read_head(results[0], results[1], arena, &head)) {
        return too_big(problem);
    }
    return compile(arena, &head, results[2], out_ruleset, problem);
}

enum status rule_store_compile(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct ruleset **out_ruleset, struct problem *problem)
{
    return rule_store_compile_version(pg, arena, workspace_id, 0, out_ruleset, problem);
}

/* --- writing -------------------------------------------------------------- */

static void put_number_column(struct pg_params *params, const struct ruleset *ruleset,
                              uint32_t (*column)(const struct feature *feature))
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_INT8, ruleset->feature_count);
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        pg_array_i64(&array, column(&ruleset->features[i]));
    }
    pg_array_end(&array);
}

static uint32_t number_of(const struct feature *feature)
{
    return feature->number;
}

static uint32_t version_of(const struct feature *feature)
{
    return feature->version;
}

static uint32_t keep_of(const struct feature *feature)
{
    return feature->keep;
}

enum status ruleset_insert(struct pg *pg, struct arena *arena, struct id workspace_id,
                           const struct ruleset *ruleset, const struct ruleset_head *head,
                           int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    struct pg_array keys;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_i64(&params, ruleset->version);
    pg_put_instant(&params, now_ms);
    pg_array_begin(&keys, &params, PG_TEXT, ruleset->feature_count);
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        pg_array_text(&keys, ruleset->features[i].key);
    }
    pg_array_end(&keys);
    put_number_column(&params, ruleset, number_of);
    put_number_column(&params, ruleset, version_of);
    put_number_column(&params, ruleset, keep_of);
    pg_put_i32(&params, (int32_t)head->next_feature);
    pg_put_i32(&params, (int32_t)head->next_slot);
    pg_put_text(&params, ruleset->time_zone);
    return pg_run(pg, arena, &ruleset_insert_sql, &params, NULL, problem);
}

enum status rule_store_settle(struct pg *pg, struct arena *arena, struct id workspace_id,
                              int64_t version, int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_i64(&params, version);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &ruleset_settle_sql, &params, NULL, problem);
}
