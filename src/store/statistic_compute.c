#include <assert.h>

#include "base/instant.h"
#include "base/money.h"
#include "statistic_priv.h"
#include "store/statistic_store.h"

/*
 * Percentiles over a workspace's orders and profiles.
 *
 * Problem: thresholds must be exact where that is affordable, and the same for
 * the same rows. So a threshold is the value of rank ceil(n * percent / 100) in
 * ascending order, and the rank is found in integers: in percentile_disc's
 * floats 7 % of 100 values would be the eighth, so it is asked for (rank - 1/2) /
 * n. Everything profiles are ranked by comes out of one pass over their rows.
 *
 * Beyond STATISTIC_ROWS_MAX rows a Bernoulli sample of about that many is
 * ranked: it errs by some 0.1 percentage points, which no threshold of a
 * marketer notices, and the sort stays bounded. Rejected: SYSTEM sampling (a
 * block holds the orders of one day, so sales would weigh by blocks), numbering
 * all rows and joining ranks (11.6 s for 300,000 profiles, against 1.4 s), and
 * approximate sketches kept per write (every order would pay for a nightly
 * number).
 *
 * A value that does not fit millionths has no rank, like a null.
 */

enum {
    SHARE_ALL = 1000000,
    QUINTILES = 4,
    DECIMALS_OF_NUMBER = 6,
};

enum rule_attribute statistic_attribute_of(enum statistic_kind kind)
{
    switch (kind) {
    case STATISTIC_ORDER_VALUE:
        return RULE_ORDERS_AVERAGE_VALUE;
    case STATISTIC_COUNT:
        return RULE_ORDERS_COUNT;
    case STATISTIC_REVENUE:
        return RULE_ORDERS_REVENUE;
    case STATISTIC_NET:
        return RULE_ORDERS_NET;
    case STATISTIC_LARGEST:
        return RULE_ORDERS_LARGEST_VALUE;
    case STATISTIC_LAST_AT:
        return RULE_ORDERS_LAST_AT;
    case STATISTIC_KINDS:
        break;
    }
    assert(false);
    return RULE_ATTRIBUTE_NONE;
}

enum statistic_kind statistic_kind_of(enum rule_attribute attribute)
{
    enum statistic_kind kind = STATISTIC_ORDER_VALUE;
    while (kind < STATISTIC_KINDS && statistic_attribute_of(kind) != attribute) {
        kind++;
    }
    return kind;
}

int64_t statistic_minor_worth(struct str currency)
{
    int64_t worth = 1;
    for (unsigned digit = money_decimals(currency); digit < DECIMALS_OF_NUMBER; digit++) {
        worth *= 10;
    }
    return worth;
}

/* ---- statements ---- */

#define ORDER_ROWS_OF                                                    \
    " WHERE o.workspace_id = $1 AND o.counted AND NOT o.counted_foreign" \
    " AND o.placed_at > $2 AND o.placed_at <= $3"
#define PROFILE_ROWS_OF \
    " WHERE p.workspace_id = $1 AND p.merged_into IS NULL AND p.orders_count > 0"

/* The half between two ranks, so that no rounding of a float reaches the next. */
#define WANTED_OF_TOTAL                                                                 \
    " wanted AS (SELECT w.k, t.n, array_agg(w.percent ORDER BY w.percent) AS percents," \
    " array_agg(((greatest(1, (w.percent * t.n + 99999999) / 100000000) - 0.5) / t.n)"  \
    "::float8 ORDER BY w.percent) AS shares"                                            \
    " FROM unnest($4::integer[], $5::bigint[]) AS w (k, percent)"                       \
    " JOIN total t ON t.k = w.k AND t.n > 0 GROUP BY w.k, t.n),"

/* A sample goes between the two halves of a statement. $2 and $3 bound the
 * instants of orders; profiles have no use for them. */
#define ORDER_VALUES                                                             \
    "WITH value AS MATERIALIZED (SELECT o.counted_gross_minor * $7::bigint AS v" \
    " FROM orders o"
#define RANKED_ORDERS                                                                  \
    " AND o.counted_gross_minor BETWEEN -$6::bigint AND $6),"                          \
    " total AS (SELECT 0 AS k, count(v) AS n FROM value)," WANTED_OF_TOTAL             \
    " ranked AS (SELECT percentile_disc((SELECT shares FROM wanted))"                  \
    " WITHIN GROUP (ORDER BY v) AS t FROM value)"                                      \
    " SELECT wanted.k, u.percent, wanted.n, u.threshold FROM wanted CROSS JOIN ranked" \
    " CROSS JOIN LATERAL unnest(wanted.percents, ranked.t) AS u (percent, threshold)"  \
    " ORDER BY wanted.k, u.percent"

#define PROFILE_VALUES                                                 \
    "WITH value AS MATERIALIZED (SELECT"                               \
    " CASE WHEN 1 = ANY($4) THEN p.orders_count * 1000000 END AS v1,"  \
    " CASE WHEN 2 = ANY($4) THEN " STATISTIC_REVENUE_SQL " END AS v2," \
    " CASE WHEN 3 = ANY($4) THEN " STATISTIC_NET_SQL " END AS v3,"     \
    " CASE WHEN 4 = ANY($4) THEN " STATISTIC_LARGEST_SQL " END AS v4," \
    " CASE WHEN 5 = ANY($4) THEN " STATISTIC_LAST_AT_SQL " END AS v5"  \
    " FROM profile p"
#define RANKED_PROFILES                                                                           \
    " AND $2::timestamptz < $3::timestamptz),"                                                    \
    " total AS (SELECT a.k, a.n FROM (SELECT count(v1) AS n1, count(v2) AS n2,"                   \
    " count(v3) AS n3, count(v4) AS n4, count(v5) AS n5 FROM value) c CROSS JOIN"                 \
    " LATERAL (VALUES (1, n1), (2, n2), (3, n3), (4, n4), (5, n5)) AS a (k, n))," WANTED_OF_TOTAL \
    " ranked AS (SELECT"                                                                          \
    " percentile_disc((SELECT shares FROM wanted WHERE k = 1)) WITHIN GROUP (ORDER BY v1) AS t1," \
    " percentile_disc((SELECT shares FROM wanted WHERE k = 2)) WITHIN GROUP (ORDER BY v2) AS t2," \
    " percentile_disc((SELECT shares FROM wanted WHERE k = 3)) WITHIN GROUP (ORDER BY v3) AS t3," \
    " percentile_disc((SELECT shares FROM wanted WHERE k = 4)) WITHIN GROUP (ORDER BY v4) AS t4," \
    " percentile_disc((SELECT shares FROM wanted WHERE k = 5)) WITHIN GROUP (ORDER BY v5) AS t5"  \
    " FROM value)"                                                                                \
    " SELECT wanted.k, u.percent, wanted.n, u.threshold FROM wanted CROSS JOIN ranked r"          \
    " CROSS JOIN LATERAL unnest(wanted.percents, CASE wanted.k WHEN 1 THEN r.t1"                  \
    " WHEN 2 THEN r.t2 WHEN 3 THEN r.t3 WHEN 4 THEN r.t4 ELSE r.t5 END)"                          \
    " AS u (percent, threshold) ORDER BY wanted.k, u.percent"
#define SAMPLED " TABLESAMPLE BERNOULLI ($8::bigint / 10000.0)"

static const struct pg_statement statistic_order_count_sql = {
    "statistic_order_count",
    "SELECT count(*) FROM orders o" ORDER_ROWS_OF,
};

static const struct pg_statement statistic_profile_count_sql = {
    "statistic_profile_count",
    "SELECT count(*) FROM profile p" PROFILE_ROWS_OF,
};

static const struct pg_statement statistic_orders_sql = {
    "statistic_orders",
    ORDER_VALUES ORDER_ROWS_OF RANKED_ORDERS,
};

static const struct pg_statement statistic_orders_sampled_sql = {
    "statistic_orders_sampled",
    ORDER_VALUES SAMPLED ORDER_ROWS_OF RANKED_ORDERS,
};

static const struct pg_statement statistic_profiles_sql = {
    "statistic_profiles",
    PROFILE_VALUES PROFILE_ROWS_OF RANKED_PROFILES,
};

static const struct pg_statement statistic_profiles_sampled_sql = {
    "statistic_profiles_sampled",
    PROFILE_VALUES SAMPLED PROFILE_ROWS_OF RANKED_PROFILES,
};

/* ---- what is wanted ---- */

struct wanted {
    int64_t *percents; /* ascending, unique */
    size_t count;
};

static void want(struct wanted *wanted, int64_t percent)
{
    size_t place = wanted->count;
    while (place > 0 && wanted->percents[place - 1] >= percent) {
        place--;
    }
    if (place < wanted->count && wanted->percents[place] == percent) {
        return;
    }
    for (size_t i = wanted->count; i > place; i--) {
        wanted->percents[i] = wanted->percents[i - 1];
    }
    wanted->percents[place] = percent;
    wanted->count++;
}

static void want_asked(struct wanted *wanted, const struct statistic_task *task,
                       enum rule_attribute attribute)
{
    for (size_t i = 0; i < task->percent_count; i++) {
        bool is_percent = task->percents[i] >= 0 && task->percents[i] <= 100 * RULE_NUMBER_ONE;
        if (is_percent && task->attributes[i] == attribute) {
            want(wanted, task->percents[i]);
        }
    }
}

static bool collect(struct arena *arena, const struct statistic_task *task,
                    struct wanted *out_wanted)
{
    for (enum statistic_kind kind = 0; kind < STATISTIC_KINDS; kind++) {
        struct wanted *wanted = &out_wanted[kind];
        wanted->percents = ARENA_NEW_ARRAY(arena, task->percent_count + QUINTILES, int64_t);
        if (wanted->percents == NULL) {
            return false;
        }
        bool is_rfm =
            kind == STATISTIC_COUNT || kind == STATISTIC_REVENUE || kind == STATISTIC_LAST_AT;
        for (int64_t quintile = 1; is_rfm && quintile <= QUINTILES; quintile++) {
            want(wanted, quintile * 20 * RULE_NUMBER_ONE);
        }
        want_asked(wanted, task, statistic_attribute_of(kind));
    }
    return true;
}

/* ---- running ---- */

struct computation {
    struct pg *pg;
    struct arena *arena;
    const struct statistic_task *task;
    struct wanted wanted[STATISTIC_KINDS];
    struct statistic *items;
    size_t count;
};

static void put_bounds(struct pg_params *params, const struct statistic_task *task)
{
    pg_put_instant(params, task->now_ms - STATISTIC_ORDER_DAYS * INSTANT_DAY_MS);
    pg_put_instant(params, task->now_ms);
}

static void put_wanted(struct pg_params *params, const struct wanted *wanted,
                       enum statistic_kind first, enum statistic_kind end)
{
    size_t count = 0;
    for (enum statistic_kind kind = first; kind < end; kind++) {
        count += wanted[kind].count;
    }
    struct pg_array kinds;
    struct pg_array percents;
    pg_array_begin(&kinds, params, PG_INT4, count);
    pg_array_begin(&percents, params, PG_INT8, count);
    for (enum statistic_kind kind = first; kind < end; kind++) {
        for (size_t i = 0; i < wanted[kind].count; i++) {
            pg_array_i32(&kinds, (int32_t)kind);
            pg_array_i64(&percents, wanted[kind].percents[i]);
        }
    }
    pg_array_end(&kinds);
    pg_array_end(&percents);
}

/* One attribute's rows; a value that no row has has no threshold. */
static bool add_item(struct computation *computation, const struct pg_result *result,
                     enum statistic_kind kind)
{
    size_t capacity = computation->wanted[kind].count;
    int64_t *percents = ARENA_NEW_ARRAY(computation->arena, capacity, int64_t);
    int64_t *thresholds = ARENA_NEW_ARRAY(computation->arena, capacity, int64_t);
    if (percents == NULL || thresholds == NULL) {
        return false;
    }
    struct statistic *item = &computation->items[computation->count];
    *item = (struct statistic){ .attribute = statistic_attribute_of(kind) };
    for (size_t row = 0; row < pg_row_count(result) && item->count < capacity; row++) {
        if (pg_get_i64(result, row, 0) == (int64_t)kind) {
            percents[item->count] = pg_get_i64(result, row, 1);
            thresholds[item->count] = pg_get_i64(result, row, 3);
            item->n = pg_get_i64(result, row, 2);
            item->count++;
        }
    }
    item->percents = percents;
    item->thresholds = thresholds;
    computation->count++;
    return true;
}

/* Attributes `first` to `end`, by the whole table or by a sample of it. */
static enum status rank(struct computation *computation, enum statistic_kind first,
                        enum statistic_kind end, int64_t share, struct problem *problem)
{
    const struct statistic_task *task = computation->task;
    bool is_sample = share < SHARE_ALL;
    const struct pg_statement *statement =
        is_sample ? &statistic_profiles_sampled_sql : &statistic_profiles_sql;
    if (first == STATISTIC_ORDER_VALUE) {
        statement = is_sample ? &statistic_orders_sampled_sql : &statistic_orders_sql;
    }
    int64_t worth = statistic_minor_worth(task->currency);
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, computation->arena);
    pg_put_id(&params, task->workspace_id);
    put_bounds(&params, task);
    put_wanted(&params, computation->wanted, first, end);
    pg_put_i64(&params, INT64_MAX / worth);
    pg_put_i64(&params, worth);
    if (is_sample) {
        pg_put_i64(&params, share);
    }
    enum status status =
        pg_run(computation->pg, computation->arena, statement, &params, &result, problem);
    for (enum statistic_kind kind = first; kind < end && status == STATUS_OK; kind++) {
        bool is_wanted = computation->wanted[kind].count > 0;
        status = !is_wanted || add_item(computation, result, kind) ? STATUS_OK : STATUS_LIMIT;
    }
    return status;
}

static enum status measure(struct computation *computation, bool of_orders, int64_t *out_share,
                           struct problem *problem)
{
    const struct statistic_task *task = computation->task;
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, computation->arena);
    pg_put_id(&params, task->workspace_id);
    if (of_orders) {
        put_bounds(&params, task);
    }
    enum status status =
        pg_run(computation->pg, computation->arena,
               of_orders ? &statistic_order_count_sql : &statistic_profile_count_sql, &params,
               &result, problem);
    if (status == STATUS_OK) {
        int64_t rows = pg_get_i64(result, 0, 0);
        int64_t rows_max = task->rows_max > 0 ? task->rows_max : STATISTIC_ROWS_MAX;
        *out_share = rows > rows_max ? rows_max * SHARE_ALL / rows : SHARE_ALL;
    }
    return status;
}

enum status statistic_store_compute(struct pg *pg, struct arena *arena,
                                    const struct statistic_task *task,
                                    struct statistics **out_statistics,
                                    struct statistic_shares *out_shares, struct problem *problem)
{
    struct computation computation = { .pg = pg, .arena = arena, .task = task };
    struct statistics *statistics = ARENA_NEW(arena, struct statistics);
    computation.items = ARENA_NEW_ARRAY(arena, STATISTIC_KINDS, struct statistic);
    if (statistics == NULL || computation.items == NULL ||
        !collect(arena, task, computation.wanted)) {
        return STATUS_LIMIT;
    }
    struct statistic_shares shares = { SHARE_ALL, SHARE_ALL };
    enum status status = STATUS_OK;
    if (computation.wanted[STATISTIC_ORDER_VALUE].count > 0) {
        status = measure(&computation, true, &shares.orders, problem);
        if (status == STATUS_OK) {
            status = rank(&computation, STATISTIC_ORDER_VALUE, STATISTIC_ORDER_VALUE + 1,
                          shares.orders, problem);
        }
    }
    if (status == STATUS_OK) {
        status = measure(&computation, false, &shares.profiles, problem);
    }
    if (status == STATUS_OK) {
        status = rank(&computation, STATISTIC_COUNT, STATISTIC_KINDS, shares.profiles, problem);
    }
    if (status == STATUS_OK) {
        *statistics = (struct statistics){ .items = computation.items, .count = computation.count };
        *out_statistics = statistics;
        *out_shares = shares;
    }
    return status;
}
