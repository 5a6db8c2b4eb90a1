#include "base/instant.h"
#include "statistic_priv.h"
#include "store/statistic_store.h"

/*
 * Whom a new set of statistics may give another verdict: so that a nightly
 * refresh decides thousands again, not millions.
 *
 * A comparison with a threshold differs only for values between the old one and
 * the new one. Equal values are included, since >= and > turn on different
 * sides; a profile's average may be taken rounded to minor units or exactly, so
 * its range is a minor unit wider. A tier with hysteresis is left below its
 * threshold, so ranges reach down that share of it.
 *
 * Pages are of profiles looked at, not of profiles found: a statement reads
 * scan_max rows by the primary key whatever moved.
 */

#define OWN_AVERAGE                                          \
    " (0, CASE WHEN p.orders_count > p.orders_foreign_count" \
    " THEN round(p.orders_gross_minor::numeric * $7::bigint" \
    " / (p.orders_count - p.orders_foreign_count)) END),"

static const struct pg_statement statistic_moved_sql = {
    "statistic_moved",
    "WITH page AS MATERIALIZED (SELECT p.id, p.orders_count, p.orders_foreign_count,"
    " p.orders_gross_minor, p.orders_refunded_minor, p.orders_largest_minor, p.orders_last_at"
    " FROM profile p WHERE p.workspace_id = $1 AND p.id > $2 AND p.merged_into IS NULL"
    " ORDER BY p.id LIMIT $3)"
    " SELECT f.id, f.is_moved, f.n FROM (SELECT p.id, p.orders_count > 0 AND EXISTS (SELECT 1"
    " FROM unnest($4::integer[], $5::bigint[], $8::bigint[]) AS m (k, low, high)"
    " JOIN (VALUES" OWN_AVERAGE STATISTIC_PROFILE_VALUES ") AS a (k, v)"
    " ON a.k = m.k WHERE a.v BETWEEN m.low AND m.high) AS is_moved,"
    " count(*) OVER () AS n, lead(p.id) OVER (ORDER BY p.id) IS NULL AS is_last"
    " FROM page p) f WHERE f.is_moved OR f.is_last ORDER BY f.id",
};

struct range {
    enum statistic_kind kind;
    int64_t low;
    int64_t high;
};

struct ranges {
    struct range *items;
    size_t count;
};

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return a > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

/* Where a tier is left that is entered at `threshold`. */
static int64_t left_at(int64_t threshold, int64_t hysteresis)
{
    int64_t size = threshold < 0 ? -(threshold + 1) : threshold;
    int64_t share = size / RULE_NUMBER_ONE * hysteresis +
                    size % RULE_NUMBER_ONE * hysteresis / RULE_NUMBER_ONE + 1;
    return hysteresis > 0 ? add_saturated(threshold, -share) : threshold;
}

static void add_range(struct ranges *ranges, const struct statistic_move *move,
                      enum statistic_kind kind, int64_t a, int64_t b)
{
    int64_t low = a < b ? a : b;
    int64_t high = a < b ? b : a;
    if (kind != STATISTIC_LAST_AT) {
        low = left_at(low, move->hysteresis);
    }
    if (kind == STATISTIC_ORDER_VALUE) {
        int64_t worth = statistic_minor_worth(move->currency);
        low = add_saturated(low, -worth);
        high = add_saturated(high, worth);
    }
    ranges->items[ranges->count++] = (struct range){ kind, low, high };
}

/* One threshold of ours: where theirs is another, a range; where they have none,
 * it concerns everybody. */
static void compare_one(struct ranges *ranges, const struct statistic_move *move,
                        const struct statistics *ours, const struct statistics *theirs,
                        enum rule_attribute attribute, int64_t percent)
{
    int64_t mine = 0;
    int64_t other = 0;
    enum statistic_kind kind = statistic_kind_of(attribute);
    bool has_mine = statistics_percentile(ours, attribute, percent, &mine);
    bool has_other = statistics_percentile(theirs, attribute, percent, &other);
    if (kind == STATISTIC_KINDS || !has_mine) {
        return;
    }
    if (!has_other) {
        ranges->items[ranges->count++] = (struct range){ kind, INT64_MIN, INT64_MAX };
    } else if (mine != other) {
        add_range(ranges, move, kind, mine, other);
    }
}

/* Called both ways round: what both have gives its range twice. */
static void compare_sets(struct ranges *ranges, const struct statistic_move *move,
                         const struct statistics *ours, const struct statistics *theirs)
{
    for (size_t i = 0; ours != NULL && i < ours->count; i++) {
        const struct statistic *item = &ours->items[i];
        for (size_t j = 0; j < item->count; j++) {
            compare_one(ranges, move, ours, theirs, item->attribute, item->percents[j]);
        }
    }
}

static size_t threshold_count(const struct statistics *statistics)
{
    size_t count = 0;
    for (size_t i = 0; statistics != NULL && i < statistics->count; i++) {
        count += statistics->items[i].count;
    }
    return count;
}

static void put_ranges(struct pg_params *params, const struct ranges *ranges, int64_t worth)
{
    struct pg_array kinds;
    struct pg_array lows;
    struct pg_array highs;
    pg_array_begin(&kinds, params, PG_INT4, ranges->count);
    pg_array_begin(&lows, params, PG_INT8, ranges->count);
    for (size_t i = 0; i < ranges->count; i++) {
        pg_array_i32(&kinds, (int32_t)ranges->items[i].kind);
        pg_array_i64(&lows, ranges->items[i].low);
    }
    pg_array_end(&kinds);
    pg_array_end(&lows);
    pg_put_i64(params, INT64_MAX / worth);
    pg_put_i64(params, worth);
    pg_array_begin(&highs, params, PG_INT8, ranges->count);
    for (size_t i = 0; i < ranges->count; i++) {
        pg_array_i64(&highs, ranges->items[i].high);
    }
    pg_array_end(&highs);
}

static enum status read_page(struct arena *arena, const struct pg_result *result, size_t scan_max,
                             struct statistic_moved *out_moved)
{
    size_t row_count = pg_row_count(result);
    struct statistic_moved moved = { .count = 0 };
    struct id *ids = ARENA_NEW_ARRAY(arena, row_count + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < row_count; row++) {
        if (pg_get_bool(result, row, 1)) {
            ids[moved.count++] = pg_get_id(result, row, 0);
        }
    }
    if (row_count > 0 && (size_t)pg_get_i64(result, 0, 2) == scan_max) {
        moved.next_id = pg_get_id(result, row_count - 1, 0);
    }
    moved.ids = ids;
    *out_moved = moved;
    return STATUS_OK;
}

enum status statistic_store_moved(struct pg *pg, struct arena *arena,
                                  const struct statistic_move *move,
                                  struct statistic_moved *out_moved, struct problem *problem)
{
    size_t capacity = threshold_count(move->before) + threshold_count(move->after) + 1;
    struct ranges ranges = { .items = ARENA_NEW_ARRAY(arena, capacity, struct range) };
    if (ranges.items == NULL) {
        return STATUS_LIMIT;
    }
    compare_sets(&ranges, move, move->after, move->before);
    compare_sets(&ranges, move, move->before, move->after);
    if (ranges.count == 0) {
        *out_moved = (struct statistic_moved){ .count = 0 };
        return STATUS_OK;
    }
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, move->workspace_id);
    pg_put_id(&params, move->after_id);
    pg_put_i64(&params, (int64_t)move->scan_max);
    put_ranges(&params, &ranges, statistic_minor_worth(move->currency));
    enum status status = pg_run(pg, arena, &statistic_moved_sql, &params, &result, problem);
    return status == STATUS_OK ? read_page(arena, result, move->scan_max, out_moved) : status;
}
