#include <pthread.h>

#include "base/instant.h"
#include "pg_fixture.h"
#include "store/rule_store.h"
#include "sweep/statistics.h"
#include "unit.h"

#define ONE RULE_NUMBER_ONE
#define SHOP "'00000000-0000-7000-8000-00000000000a'"
#define ID_OF_I "('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid"

static const struct id SHOP_ID = { { 0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x0a } };
/* 2026-11-22T02:00:00Z: 03:00 in Paris */
#define NIGHT_MS INT64_C(1795312800000)

static int setup(void **state)
{
    (void)pg_fixture_setup_migrated(state);
    struct pg_fixture *fixture = *state;
    pg_fixture_script(fixture->pg, "INSERT INTO workspace (id, name, currency, time_zone,"
                                   " created_at, updated_at) VALUES (" SHOP
                                   ", 'shop', 'EUR', 'Europe/Paris', now(), now())");
    return 0;
}

static void insert_orders(struct pg_fixture *fixture, int count)
{
    struct str sql = str_printf(
        fixture->arena,
        "INSERT INTO orders (workspace_id, source_id, order_ref, origin_id, profile_id, has_body,"
        " rank, counts, placed_at, number, status, currency, total_minor, refunded_minor, deleted,"
        " completed, counted, counted_foreign, counted_gross_minor, counted_refunded_minor,"
        " documents) SELECT " SHOP ", " ID_OF_I ", i::text, " ID_OF_I ", " ID_OF_I
        ", true, 'paid', true, '2026-11-01', '', '', 'EUR', 0, 0, false, true, true, false, i, 0,"
        " '' FROM generate_series(1, %d) i",
        count);
    pg_fixture_script(fixture->pg, sql.data);
}

static int64_t refresh_with(struct pg_fixture *fixture, int64_t now_ms,
                            const struct ruleset *ruleset, const struct statistics *statistics)
{
    struct statistics_refresh refresh = { SHOP_ID, STR("EUR"), STR("Europe/Paris"),
                                          ruleset, statistics, now_ms };
    struct problem problem = { 0 };
    int64_t version = -1;
    enum status status =
        statistics_refresh_due(fixture->pg, fixture->arena, &refresh, &version, &problem);
    if (status != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
    return version;
}

static int64_t refresh_at(struct pg_fixture *fixture, int64_t now_ms)
{
    return refresh_with(fixture, now_ms, NULL, NULL);
}

static int64_t config_version(struct pg_fixture *fixture)
{
    return pg_fixture_i64(fixture, "config_version", "SELECT config_version FROM workspace");
}

static void nights_are_of_the_workspace(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int64_t now_ms;
        int64_t night_ms;
        const char *why;
    } rows[] = {
        { "Europe/Paris", NIGHT_MS, NIGHT_MS, "03:00 itself" },
        { "Europe/Paris", NIGHT_MS - 1, NIGHT_MS - INSTANT_DAY_MS, "just before" },
        { "Europe/Paris", NIGHT_MS + INSTANT_DAY_MS - 1, NIGHT_MS, "a day later" },
        { "UTC", NIGHT_MS, NIGHT_MS - 23 * INSTANT_HOUR_MS, "two at night in Greenwich" },
        { "America/New_York", NIGHT_MS, NIGHT_MS - 18 * INSTANT_HOUR_MS, "evening in New York" },
        { "Nowhere/Else", NIGHT_MS, NIGHT_MS - 23 * INSTANT_HOUR_MS, "an unknown zone is UTC" },
        /* 2026-03-29: the clock jumps from 02:00 to 03:00, which is 01:00Z. */
        { "Europe/Paris", 1774746000000, 1774746000000, "the night of 23 hours" },
        { "Europe/Paris", 1774745999999, 1774663200000, "just before that" },
        /* 2026-10-25: 03:00 is 02:00Z, after the hour that came twice. */
        { "Europe/Paris", 1792893600000, 1792893600000, "the night of 25 hours" },
        { "Europe/Paris", 1792893599999, 1792803600000, "just before that" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(statistics_last_night_ms(rows[i].zone, rows[i].now_ms) == rows[i].night_ms,
                   rows[i].why);
    }
}

static void the_first_set_waits_for_orders_and_not_for_the_night(void **state)
{
    struct pg_fixture *fixture = *state;
    insert_orders(fixture, 99);
    assert_int_equal(refresh_at(fixture, NIGHT_MS), 0);
    assert_int_equal(config_version(fixture), 1);
    pg_fixture_script(fixture->pg, "TRUNCATE orders");
    insert_orders(fixture, 100);
    assert_int_equal(refresh_at(fixture, NIGHT_MS + 5 * INSTANT_HOUR_MS), 1);
    assert_int_equal(config_version(fixture), 2);
}

static void then_once_a_night(void **state)
{
    struct pg_fixture *fixture = *state;
    insert_orders(fixture, 100);
    assert_int_equal(refresh_at(fixture, NIGHT_MS + 1000), 1);
    assert_int_equal(refresh_at(fixture, NIGHT_MS + 2000), 0);
    assert_int_equal(refresh_at(fixture, NIGHT_MS + INSTANT_DAY_MS - 1), 0);
    assert_int_equal(config_version(fixture), 2);
    assert_int_equal(refresh_at(fixture, NIGHT_MS + INSTANT_DAY_MS), 2);
    assert_int_equal(config_version(fixture), 3);
    /* Many nights missed are one refresh; what is too old goes. */
    assert_int_equal(refresh_at(fixture, NIGHT_MS + 401 * INSTANT_DAY_MS), 3);
    assert_int_equal(pg_fixture_i64(fixture, "least", "SELECT min(version) FROM statistic"), 2);
}

/* The set is what was computed: it comes back with its thresholds. */
static void what_rules_ask_for_is_in_the_set(void **state)
{
    struct pg_fixture *fixture = *state;
    static const enum rule_attribute ATTRIBUTES[] = { RULE_ORDERS_AVERAGE_VALUE, RULE_ORDERS_NET };
    static const int64_t PERCENTS[] = { 25 * ONE, 50 * ONE };
    const struct ruleset ruleset = { .percents = PERCENTS,
                                     .percent_attributes = ATTRIBUTES,
                                     .percent_count = 1 };
    insert_orders(fixture, 100);
    assert_int_equal(refresh_with(fixture, NIGHT_MS, &ruleset, NULL), 1);
    struct statistics set;
    assert_int_equal(
        statistic_store_load(fixture->pg, fixture->arena, SHOP_ID, INT64_MAX, &set, NULL),
        STATUS_OK);
    int64_t threshold = 0;
    assert_true(statistics_percentile(&set, RULE_ORDERS_AVERAGE_VALUE, 25 * ONE, &threshold));
    assert_int_equal(threshold, 25 * 10000);

    /* Asked for more: not at once, but not in the night only. */
    const struct ruleset more = { .percents = PERCENTS,
                                  .percent_attributes = ATTRIBUTES,
                                  .percent_count = 2 };
    int64_t soon_ms = NIGHT_MS + 5 * INSTANT_MINUTE_MS;
    assert_int_equal(refresh_with(fixture, soon_ms, &ruleset, &set), 0);
    assert_int_equal(refresh_with(fixture, soon_ms - 1, &more, &set), 0);
    assert_int_equal(refresh_with(fixture, soon_ms, &more, &set), 2);
    /* A registry that is behind does not make a third: net is there, of nobody. */
    assert_int_equal(refresh_with(fixture, soon_ms + INSTANT_HOUR_MS, &more, &set), 0);
    assert_int_equal(config_version(fixture), 3);
}

struct instance {
    struct pg_fixture *fixture;
    pthread_t thread;
    enum status status;
    int64_t version;
};

static void *refresh_of_instance(void *argument)
{
    struct instance *instance = argument;
    struct statistics_refresh refresh = { SHOP_ID, STR("EUR"), STR("Europe/Paris"),
                                          NULL,    NULL,       NIGHT_MS };
    struct pg *pg = NULL;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(16u * 1024 * 1024);
    instance->status = pg_open(instance->fixture->url, false, &pg);
    if (instance->status == STATUS_OK) {
        instance->status = statistics_refresh_due(pg, arena, &refresh, &instance->version, NULL);
    }
    pg_close(pg);
    return NULL;
}

static void of_several_instances_one_saves(void **state)
{
    struct pg_fixture *fixture = *state;
    struct instance instances[4] = { 0 };
    insert_orders(fixture, 100);
    for (size_t i = 0; i < ARRAY_COUNT(instances); i++) {
        instances[i].fixture = fixture;
        assert_int_equal(
            pthread_create(&instances[i].thread, NULL, refresh_of_instance, &instances[i]), 0);
    }
    int64_t sum = 0;
    for (size_t i = 0; i < ARRAY_COUNT(instances); i++) {
        pthread_join(instances[i].thread, NULL);
        assert_int_equal(instances[i].status, STATUS_OK);
        sum += instances[i].version;
    }
    assert_int_equal(sum, 1);
    assert_int_equal(config_version(fixture), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(nights_are_of_the_workspace),
        TEST(the_first_set_waits_for_orders_and_not_for_the_night),
        TEST(then_once_a_night),
        TEST(what_rules_ask_for_is_in_the_set),
        TEST(of_several_instances_one_saves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
