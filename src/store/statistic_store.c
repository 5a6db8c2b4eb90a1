#include <assert.h>

#include "base/instant.h"
#include "rule_store_priv.h"

/*
 * Statistics: versioned sets of thresholds (correctness 20).
 *
 * A set is written whole under one version and never changed, so "the set in
 * force" is the rows of one version, and a decision can name it. Numbers travel
 * as text in arrays: a set has some dozens, and is read when configuration
 * changes.
 */

static const struct pg_statement statistic_insert_sql = {
    "statistic_insert",
    "INSERT INTO statistic (workspace_id, version, name, computed_at, n, percents, thresholds)"
    " VALUES ($1, $2, $3, $4, $5, $6::bigint[], $7::bigint[])",
};

static const struct pg_statement statistic_load_sql = {
    "statistic_load",
    "SELECT version, name, n, percents::text[], thresholds::text[] FROM statistic"
    " WHERE workspace_id = $1 AND version = (SELECT max(s.version) FROM statistic s"
    "  WHERE s.workspace_id = $1 AND s.version <= $2) ORDER BY name",
};

static void put_numbers(struct pg_params *params, const int64_t *numbers, size_t count)
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_INT8, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_i64(&array, numbers[i]);
    }
    pg_array_end(&array);
}

enum status statistic_store_save(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct statistics *statistics, int64_t now_ms,
                                 struct problem *problem)
{
    assert(statistics->version > 0);
    for (size_t i = 0; i < statistics->count; i++) {
        const struct statistic *statistic = &statistics->items[i];
        struct pg_params params;
        pg_params_init(&params, arena);
        pg_put_id(&params, workspace_id);
        pg_put_i64(&params, statistics->version);
        pg_put_text(&params, str_from_z(rule_name_info(statistic->attribute)->path));
        pg_put_instant(&params, now_ms);
        pg_put_i64(&params, statistic->n);
        put_numbers(&params, statistic->percents, statistic->count);
        put_numbers(&params, statistic->thresholds, statistic->count);
        enum status status = pg_run(pg, arena, &statistic_insert_sql, &params, NULL, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static bool read_numbers(const struct pg_result *rows, struct arena *arena, size_t row, int column,
                         size_t *out_count, const int64_t **out_numbers)
{
    struct str *texts = NULL;
    size_t count = pg_get_text_array(rows, arena, row, column, &texts);
    int64_t *numbers = ARENA_NEW_ARRAY(arena, count, int64_t);
    bool is_good = numbers != NULL;
    for (size_t i = 0; i < count && is_good; i++) {
        is_good = str_to_i64(texts[i], &numbers[i]);
    }
    *out_count = count;
    *out_numbers = numbers;
    return is_good;
}

bool statistic_row_read(const struct pg_result *rows, struct arena *arena, size_t row, int column,
                        struct statistic *out_statistic)
{
    struct rule_name name = { .attribute = RULE_ATTRIBUTE_NONE };
    const char *nearest = NULL;
    struct statistic statistic = { .n = pg_get_i64(rows, row, column + 1) };
    size_t threshold_count = 0;
    if (!rule_name_resolve(pg_get_text(rows, row, column), &name, &nearest) ||
        !read_numbers(rows, arena, row, column + 2, &statistic.count, &statistic.percents) ||
        !read_numbers(rows, arena, row, column + 3, &threshold_count, &statistic.thresholds) ||
        threshold_count != statistic.count) {
        return false;
    }
    statistic.attribute = name.attribute;
    *out_statistic = statistic;
    return true;
}

enum status statistic_store_load(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 int64_t version, struct statistics *out_statistics,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_i64(&params, version);
    enum status status = pg_run(pg, arena, &statistic_load_sql, &params, &rows, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(rows);
    struct statistic *items = ARENA_NEW_ARRAY(arena, count, struct statistic);
    struct statistics statistics = { .items = items };
    if (items == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the statistics do not fit");
    }
    for (size_t i = 0; i < count; i++) {
        statistics.version = pg_get_i64(rows, i, 0);
        /* A name that this program does not know: of a newer one, and unused here. */
        statistics.count += statistic_row_read(rows, arena, i, 1, &items[statistics.count]) ? 1 : 0;
    }
    *out_statistics = statistics;
    return STATUS_OK;
}
