#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "pg_fixture.h"
#include "store/statistic_store.h"
#include "unit.h"

/* 2026-11-22T14:03:07Z */
#define NOW_MS INT64_C(1795356187000)
#define NOW_SQL "'2026-11-22T14:03:07Z'::timestamptz"
#define ONE RULE_NUMBER_ONE
#define SHOP "'00000000-0000-7000-8000-00000000000a'"
#define OTHER "'00000000-0000-7000-8000-00000000000b'"
#define ID_OF_I "('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid"

static const struct id SHOP_ID = { { 0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x0a } };

enum {
    ORDER_COUNT = 401,
    PROFILE_COUNT = 333,
};

/* Scattered, with ties; the SQL below says the same. */
static int64_t scattered(int64_t i)
{
    return i * 7919 % 251;
}
#define SCATTERED_SQL "(i * 7919 % 251)"

static struct id profile_id(int64_t i)
{
    struct id id = { { 0, 0, 0, 0, 0, 0, 0x70, 0, 0x80 } };
    for (int byte = 15; byte > 9; byte--) {
        id.bytes[byte] = (uint8_t)i;
        i >>= 8;
    }
    return id;
}

/* Orders "0" to "400", an hour apart. */
static void insert_orders(struct pg_fixture *fixture)
{
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO orders (workspace_id, source_id, order_ref, origin_id, profile_id, has_body,"
        " rank, counts, placed_at, number, status, currency, total_minor, refunded_minor, deleted,"
        " completed, counted, counted_foreign, counted_gross_minor, counted_refunded_minor,"
        " documents) SELECT " SHOP ", " ID_OF_I ", i::text, " ID_OF_I ", " ID_OF_I
        ", true, 'paid', true, " NOW_SQL " - i * interval '1 hour', '', '', 'EUR', 0, 0, false,"
        " true, true, false, " SCATTERED_SQL ", 0, '' FROM generate_series(0, 400) i");
}

/* Orders that must not be looked at, each worth 7,777,777.00. */
static void insert_strangers(struct pg_fixture *fixture)
{
    static const char *const ROWS[] = {
        SHOP ", 'cancelled', " NOW_SQL " - interval '1 d', false, false, 777777700",
        SHOP ", 'foreign', " NOW_SQL " - interval '1 d', true, true, 777777700",
        SHOP ", 'a year old', " NOW_SQL " - interval '365 d', true, false, 777777700",
        SHOP ", 'to come', " NOW_SQL " + interval '1 ms', true, false, 777777700",
        SHOP ", 'too large', " NOW_SQL ", true, false, 9223372036854775807",
        OTHER ", 'of others', " NOW_SQL " - interval '1 d', true, false, 777777700",
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct str sql = str_printf(
            fixture->arena,
            "INSERT INTO orders (workspace_id, order_ref, placed_at, counted, counted_foreign,"
            " counted_gross_minor, source_id, origin_id, profile_id, has_body, rank, counts,"
            " number, status, currency, total_minor, refunded_minor, deleted, completed,"
            " counted_refunded_minor, documents) SELECT %s, " OTHER ", " OTHER ", " OTHER
            ", true, 'paid', true, '', '', 'EUR', 0, 0, false, true, 0, ''",
            ROWS[i]);
        pg_fixture_script(fixture->pg, sql.data);
    }
}

/* Profiles 1 to 333; the last four are merged away, never bought, of another
 * shop, and have nothing but orders in other money. */
static void insert_profiles(struct pg_fixture *fixture)
{
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO profile (workspace_id, id, merged_into, sequence, created_at, updated_at,"
        " decided_at, first_seen_at, identified, state, orders_count, orders_foreign_count,"
        " orders_gross_minor, orders_refunded_minor, orders_largest_minor, orders_last_at)"
        " SELECT (CASE i WHEN 336 THEN " OTHER " ELSE " SHOP " END)::uuid, " ID_OF_I
        ", CASE i WHEN 334 THEN " SHOP "::uuid END, 1, now(), now(), now(), now(), true, '',"
        " CASE i WHEN 335 THEN 0 ELSE i % 9 + 1 END, CASE i WHEN 337 THEN i % 9 + 1 ELSE 0 END,"
        " CASE i WHEN 337 THEN 0 ELSE " SCATTERED_SQL " * 100 END, i % 7, i % 50,"
        " CASE i WHEN 335 THEN NULL ELSE " NOW_SQL " - i * interval '1 minute' END"
        " FROM generate_series(1, 337) i");
}

/* ---- expectations ---- */

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The definition, word by word: the least value with at least that share of
 * values at or below it. */
static int64_t percentile(const int64_t *values, size_t count, int64_t percent)
{
    int64_t *sorted = malloc(count * sizeof(*sorted));
    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare);
    int64_t found = sorted[count - 1];
    for (size_t i = 0; i < count; i++) {
        size_t at_or_below = 0;
        while (at_or_below < count && sorted[at_or_below] <= sorted[i]) {
            at_or_below++;
        }
        if ((int64_t)at_or_below * 100 * ONE >= percent * (int64_t)count) {
            found = sorted[i];
            break;
        }
    }
    free(sorted);
    return found;
}

static const struct statistic *item_of(const struct statistics *statistics,
                                       enum rule_attribute attribute)
{
    size_t i = 0;
    while (i < statistics->count && statistics->items[i].attribute != attribute) {
        i++;
    }
    assert_true(i < statistics->count);
    return &statistics->items[i];
}

static void check(const struct statistics *statistics, enum rule_attribute attribute,
                  const int64_t *values, size_t count)
{
    const struct statistic *item = item_of(statistics, attribute);
    assert_int_equal(item->n, count);
    for (size_t i = 0; i < item->count; i++) {
        assert_true(i == 0 || item->percents[i] > item->percents[i - 1]);
        int64_t wanted = percentile(values, count, item->percents[i]);
        if (item->thresholds[i] != wanted) {
            fail_msg("percentile %lld of attribute %d is %lld, not %lld",
                     (long long)item->percents[i], (int)attribute, (long long)wanted,
                     (long long)item->thresholds[i]);
        }
    }
}

static struct statistics *compute(struct pg_fixture *fixture, const struct statistic_task *task,
                                  struct statistic_shares *out_shares)
{
    struct problem problem = { 0 };
    struct statistics *statistics = NULL;
    enum status status = statistic_store_compute(fixture->pg, fixture->arena, task, &statistics,
                                                 out_shares, &problem);
    if (status != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
    assert_int_equal(statistics->version, 0);
    return statistics;
}

/* ---- computing ---- */

static void orders_are_ranked_by_their_own_value(void **state)
{
    struct pg_fixture *fixture = *state;
    static const enum rule_attribute ATTRIBUTES[] = {
        RULE_ORDERS_AVERAGE_VALUE, RULE_ORDERS_AVERAGE_VALUE,
        RULE_ORDERS_AVERAGE_VALUE, RULE_ORDERS_AVERAGE_VALUE,
        RULE_ORDERS_AVERAGE_VALUE, RULE_ORDERS_AVERAGE_VALUE,
        RULE_ORDERS_AVERAGE_VALUE, RULE_EMAIL,
    };
    static const int64_t PERCENTS[] = { 66666667, 33333333,      0,       100 * ONE, 7 * ONE,
                                        33333333, 100 * ONE + 1, 50 * ONE };
    insert_orders(fixture);
    insert_strangers(fixture);
    struct statistic_task task = { .workspace_id = SHOP_ID,
                                   .currency = STR("EUR"),
                                   .now_ms = NOW_MS,
                                   .attributes = ATTRIBUTES,
                                   .percents = PERCENTS,
                                   .percent_count = ARRAY_COUNT(PERCENTS) };
    struct statistic_shares shares = { 0, 0 };
    struct statistics *statistics = compute(fixture, &task, &shares);
    assert_int_equal(shares.orders, ONE);
    int64_t values[ORDER_COUNT];
    for (int64_t i = 0; i < ORDER_COUNT; i++) {
        values[i] = scattered(i) * 10000;
    }
    check(statistics, RULE_ORDERS_AVERAGE_VALUE, values, ORDER_COUNT);
    assert_int_equal(item_of(statistics, RULE_ORDERS_AVERAGE_VALUE)->count, 5);
    int64_t threshold = -1;
    assert_true(
        statistics_percentile(statistics, RULE_ORDERS_AVERAGE_VALUE, 100 * ONE, &threshold));
    assert_int_equal(threshold, 250 * 10000);
    /* Nobody asked for a median of emails; quintiles are there unasked. */
    assert_int_equal(statistics->count, 4);
}

/* 7 % of 100 values is the seventh; 0.07 * 100 in floats is more than 7. */
static void ranks_are_of_whole_numbers(void **state)
{
    struct pg_fixture *fixture = *state;
    static const enum rule_attribute ATTRIBUTES[] = { RULE_ORDERS_AVERAGE_VALUE };
    static const int64_t PERCENTS[] = { 7 * ONE };
    insert_orders(fixture);
    pg_fixture_script(fixture->pg, "DELETE FROM orders WHERE order_ref::int >= 100;"
                                   "UPDATE orders SET counted_gross_minor = order_ref::int + 1");
    struct statistic_task task = { SHOP_ID, STR("JPY"), NOW_MS, ATTRIBUTES, PERCENTS, 1, 0 };
    struct statistic_shares shares;
    struct statistics *statistics = compute(fixture, &task, &shares);
    int64_t threshold = 0;
    assert_true(statistics_percentile(statistics, RULE_ORDERS_AVERAGE_VALUE, 7 * ONE, &threshold));
    assert_int_equal(threshold, 7 * ONE); /* and a yen has no cents */
}

static void customers_are_ranked_by_each_attribute(void **state)
{
    struct pg_fixture *fixture = *state;
    static const enum rule_attribute ATTRIBUTES[] = { RULE_ORDERS_NET, RULE_ORDERS_LARGEST_VALUE,
                                                      RULE_ORDERS_COUNT, RULE_ORDERS_NET };
    static const int64_t PERCENTS[] = { 90 * ONE, 12345678, 50 * ONE, 10 * ONE };
    insert_profiles(fixture);
    struct statistic_task task = { SHOP_ID, STR("EUR"), NOW_MS, ATTRIBUTES, PERCENTS, 4, 0 };
    struct statistic_shares shares = { 0, 0 };
    struct statistics *statistics = compute(fixture, &task, &shares);
    assert_int_equal(shares.profiles, ONE);
    enum {
        WITH_FOREIGN = PROFILE_COUNT + 1
    };
    int64_t counts[WITH_FOREIGN];
    int64_t revenues[WITH_FOREIGN];
    int64_t nets[WITH_FOREIGN];
    int64_t largest[WITH_FOREIGN];
    int64_t last[WITH_FOREIGN];
    for (int64_t k = 0; k < WITH_FOREIGN; k++) {
        int64_t i = k < PROFILE_COUNT ? k + 1 : 337;
        int64_t gross = k < PROFILE_COUNT ? scattered(i) * 100 : 0;
        counts[k] = (i % 9 + 1) * ONE;
        revenues[k] = gross * 10000;
        nets[k] = (gross - i % 7) * 10000;
        largest[k] = i % 50 * 10000;
        last[k] = NOW_MS - i * INSTANT_MINUTE_MS;
    }
    check(statistics, RULE_ORDERS_COUNT, counts, WITH_FOREIGN);
    check(statistics, RULE_ORDERS_REVENUE, revenues, WITH_FOREIGN);
    check(statistics, RULE_ORDERS_NET, nets, WITH_FOREIGN);
    check(statistics, RULE_ORDERS_LARGEST_VALUE, largest, WITH_FOREIGN);
    check(statistics, RULE_ORDERS_LAST_AT, last, WITH_FOREIGN);
    assert_int_equal(item_of(statistics, RULE_ORDERS_COUNT)->count, 5);
    assert_int_equal(item_of(statistics, RULE_ORDERS_NET)->count, 2);
    assert_int_equal(statistics_quintile(statistics, RULE_ORDERS_LAST_AT, NOW_MS), 5);
    assert_int_equal(statistics_quintile(statistics, RULE_ORDERS_LAST_AT, 0), 1);
}

static void few_have_numbers_but_no_threshold(void **state)
{
    struct pg_fixture *fixture = *state;
    struct statistic_task task = { SHOP_ID, STR("EUR"), NOW_MS, NULL, NULL, 0, 0 };
    struct statistic_shares shares;
    struct statistics *statistics = compute(fixture, &task, &shares);
    assert_int_equal(statistics->count, 3);
    assert_int_equal(item_of(statistics, RULE_ORDERS_COUNT)->n, 0);
    assert_int_equal(item_of(statistics, RULE_ORDERS_COUNT)->count, 0);
    insert_profiles(fixture);
    pg_fixture_script(fixture->pg, "DELETE FROM profile WHERE orders_last_at < " NOW_SQL
                                   " - interval '99 minutes'");
    statistics = compute(fixture, &task, &shares);
    int64_t threshold = 0;
    assert_int_equal(item_of(statistics, RULE_ORDERS_COUNT)->n, 99);
    assert_int_equal(item_of(statistics, RULE_ORDERS_COUNT)->count, 4);
    assert_false(statistics_percentile(statistics, RULE_ORDERS_COUNT, 20 * ONE, &threshold));
    assert_int_equal(statistics_quintile(statistics, RULE_ORDERS_COUNT, 5 * ONE), 0);
}

/* Which rows a sample takes is the database's dice: bounds that a fair one
 * breaks once in a billion runs. */
static void many_are_sampled(void **state)
{
    struct pg_fixture *fixture = *state;
    static const enum rule_attribute ATTRIBUTES[] = { RULE_ORDERS_AVERAGE_VALUE };
    static const int64_t PERCENTS[] = { 50 * ONE };
    insert_orders(fixture);
    insert_profiles(fixture);
    struct statistic_task task = { SHOP_ID, STR("EUR"), NOW_MS, ATTRIBUTES, PERCENTS, 1, 100 };
    struct statistic_shares shares = { 0, 0 };
    struct statistics *statistics = compute(fixture, &task, &shares);
    assert_int_equal(shares.orders, 100 * ONE / ORDER_COUNT);
    assert_int_equal(shares.profiles, 100 * ONE / (PROFILE_COUNT + 1));
    const struct statistic *orders = item_of(statistics, RULE_ORDERS_AVERAGE_VALUE);
    const struct statistic *profiles = item_of(statistics, RULE_ORDERS_REVENUE);
    assert_in_range(orders->n, 40, 160);
    assert_in_range(profiles->n, 40, 160);
    assert_true(orders->thresholds[0] % 10000 == 0);
    assert_in_range(orders->thresholds[0], 1, 249 * 10000);
}

/* ---- moving ---- */

static struct statistics *set_of(struct pg_fixture *fixture, enum rule_attribute attribute,
                                 int64_t n, int64_t percent, int64_t threshold)
{
    struct statistics *statistics = ARENA_NEW(fixture->arena, struct statistics);
    struct statistic *item = ARENA_NEW(fixture->arena, struct statistic);
    int64_t *numbers = ARENA_NEW_ARRAY(fixture->arena, 2, int64_t);
    numbers[0] = percent;
    numbers[1] = threshold;
    *item = (struct statistic){ attribute, n, &numbers[0], &numbers[1], 1 };
    *statistics = (struct statistics){ 1, item, 1 };
    return statistics;
}

/* Over all pages; counts what it gets and checks that ids ascend. */
static size_t moved_count(struct pg_fixture *fixture, struct statistic_move *move)
{
    size_t count = 0;
    size_t pages = 0;
    struct id last = ID_ZERO;
    move->after_id = ID_ZERO;
    do {
        struct statistic_moved moved;
        assert_int_equal(statistic_store_moved(fixture->pg, fixture->arena, move, &moved, NULL),
                         STATUS_OK);
        for (size_t i = 0; i < moved.count; i++) {
            assert_true(id_compare(moved.ids[i], last) > 0);
            last = moved.ids[i];
        }
        count += moved.count;
        pages++;
        assert_true(pages < 1000);
        assert_true(id_is_zero(moved.next_id) || id_compare(moved.next_id, move->after_id) > 0);
        move->after_id = moved.next_id;
    } while (!id_is_zero(move->after_id));
    return count;
}

static void only_those_between_thresholds_moved(void **state)
{
    struct pg_fixture *fixture = *state;
    insert_profiles(fixture);
    struct statistic_move move = { .workspace_id = SHOP_ID, .currency = STR("EUR") };
    static const size_t SCANS[] = { 1, 10, 335, 336, 5000 };
    for (size_t i = 0; i < ARRAY_COUNT(SCANS); i++) {
        move.scan_max = SCANS[i];
        /* 37 to 38 customers have each of 1 to 9 orders; the one with foreign
         * orders only has 5. */
        move.before = set_of(fixture, RULE_ORDERS_COUNT, 100, 50 * ONE, 4 * ONE);
        move.after = set_of(fixture, RULE_ORDERS_COUNT, 100, 50 * ONE, 6 * ONE);
        assert_int_equal(moved_count(fixture, &move), 3 * 37 + 1);
        move.before = move.after;
        assert_int_equal(moved_count(fixture, &move), 0);
    }
    /* Nobody has 2.5 orders. */
    move.before = set_of(fixture, RULE_ORDERS_COUNT, 100, 50 * ONE, 2400000);
    move.after = set_of(fixture, RULE_ORDERS_COUNT, 100, 50 * ONE, 2500000);
    assert_int_equal(moved_count(fixture, &move), 0);
    /* With hysteresis of a fifth, whoever is above 1.92 may leave later. */
    move.hysteresis = 200000;
    assert_int_equal(moved_count(fixture, &move), 37);
    move.hysteresis = 0;
    /* A minute of last orders, both ends. */
    move.before = set_of(fixture, RULE_ORDERS_LAST_AT, 100, 50 * ONE, NOW_MS - INSTANT_MINUTE_MS);
    move.after =
        set_of(fixture, RULE_ORDERS_LAST_AT, 100, 50 * ONE, NOW_MS - 2 * INSTANT_MINUTE_MS);
    assert_int_equal(moved_count(fixture, &move), 2);
}

static void a_threshold_that_comes_or_goes_moves_all(void **state)
{
    struct pg_fixture *fixture = *state;
    const size_t buyers = PROFILE_COUNT + 1;
    insert_profiles(fixture);
    struct statistic_move move = { .workspace_id = SHOP_ID,
                                   .currency = STR("EUR"),
                                   .scan_max = 100 };
    struct statistics *enough = set_of(fixture, RULE_ORDERS_COUNT, 100, 50 * ONE, 4 * ONE);
    struct statistics *few = set_of(fixture, RULE_ORDERS_COUNT, 99, 50 * ONE, 4 * ONE);
    struct statistics *other = set_of(fixture, RULE_ORDERS_COUNT, 100, 60 * ONE, 4 * ONE);
    const struct {
        const struct statistics *before;
        const struct statistics *after;
        size_t count;
        const char *why;
    } rows[] = {
        { NULL, enough, buyers, "the first set" },
        { few, enough, buyers, "there were too few" },
        { enough, few, buyers, "there are too few" },
        { enough, other, buyers, "another percent is asked for" },
        { few, few, 0, "there still are too few" },
        { NULL, few, 0, "a first set without thresholds" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        move.before = rows[i].before;
        move.after = rows[i].after;
        assert_row(moved_count(fixture, &move) == rows[i].count, rows[i].why);
    }
}

static void averages_move_by_their_exact_value(void **state)
{
    struct pg_fixture *fixture = *state;
    insert_profiles(fixture);
    /* 100 cents by 3 orders: 0.333333, and with a cent on both sides. */
    pg_fixture_script(fixture->pg,
                      "UPDATE profile SET orders_count = 3, orders_gross_minor = 100000000;"
                      "UPDATE profile SET orders_gross_minor = 100 WHERE id ="
                      " '00000000-0000-7000-8000-000000000007'");
    struct statistic_move move = { .workspace_id = SHOP_ID,
                                   .currency = STR("EUR"),
                                   .scan_max = 1000 };
    move.before = set_of(fixture, RULE_ORDERS_AVERAGE_VALUE, 100, 50 * ONE, 343332);
    move.after = set_of(fixture, RULE_ORDERS_AVERAGE_VALUE, 100, 50 * ONE, 343333);
    struct statistic_moved moved;
    assert_int_equal(statistic_store_moved(fixture->pg, fixture->arena, &move, &moved, NULL),
                     STATUS_OK);
    assert_int_equal(moved.count, 1);
    assert_true(id_equal(moved.ids[0], profile_id(7)));
    move.before = set_of(fixture, RULE_ORDERS_AVERAGE_VALUE, 100, 50 * ONE, 343334);
    move.after = set_of(fixture, RULE_ORDERS_AVERAGE_VALUE, 100, 50 * ONE, 343335);
    assert_int_equal(statistic_store_moved(fixture->pg, fixture->arena, &move, &moved, NULL),
                     STATUS_OK);
    assert_int_equal(moved.count, 0);
}

/* ---- keeping ---- */

static void insert_set(struct pg_fixture *fixture, int version, int age_days)
{
    struct str sql = str_printf(
        fixture->arena,
        "INSERT INTO statistic (workspace_id, version, name, computed_at, n, percents, thresholds)"
        " SELECT " SHOP ", %d, name, " NOW_SQL " - interval '%d d', 1, '{}', '{}'"
        " FROM unnest(ARRAY['orders.count', 'orders.revenue']) AS name",
        version, age_days);
    pg_fixture_script(fixture->pg, sql.data);
}

static void old_sets_go_but_never_the_newest(void **state)
{
    struct pg_fixture *fixture = *state;
    size_t deleted = 77;
    insert_set(fixture, 1, 500);
    insert_set(fixture, 2, 401);
    assert_int_equal(
        statistic_store_expire(fixture->pg, fixture->arena, SHOP_ID, NOW_MS, &deleted, NULL),
        STATUS_OK);
    assert_int_equal(deleted, 2);
    insert_set(fixture, 3, 400);
    insert_set(fixture, 4, 0);
    assert_int_equal(
        statistic_store_expire(fixture->pg, fixture->arena, SHOP_ID, NOW_MS, &deleted, NULL),
        STATUS_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(pg_fixture_i64(fixture, "least", "SELECT min(version) FROM statistic"), 3);
}

static void says_whether_a_set_is_due(void **state)
{
    struct pg_fixture *fixture = *state;
    struct statistic_state due;
    insert_orders(fixture);
    pg_fixture_script(fixture->pg, "UPDATE orders SET counted = order_ref::int < 99");
    assert_int_equal(statistic_store_state(fixture->pg, fixture->arena, SHOP_ID, &due, NULL),
                     STATUS_OK);
    assert_true(due.computed_at_ms == INSTANT_NONE);
    assert_false(due.has_enough);
    pg_fixture_script(fixture->pg, "UPDATE orders SET counted = order_ref::int < 100");
    insert_set(fixture, 7, 3);
    insert_set(fixture, 8, 2);
    assert_int_equal(statistic_store_state(fixture->pg, fixture->arena, SHOP_ID, &due, NULL),
                     STATUS_OK);
    assert_true(due.computed_at_ms == NOW_MS - 2 * INSTANT_DAY_MS);
    assert_true(due.has_enough);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, pg_fixture_setup_migrated, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(orders_are_ranked_by_their_own_value),
        TEST(ranks_are_of_whole_numbers),
        TEST(customers_are_ranked_by_each_attribute),
        TEST(few_have_numbers_but_no_threshold),
        TEST(many_are_sampled),
        TEST(only_those_between_thresholds_moved),
        TEST(a_threshold_that_comes_or_goes_moves_all),
        TEST(averages_move_by_their_exact_value),
        TEST(old_sets_go_but_never_the_newest),
        TEST(says_whether_a_set_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
