#include "base/clock.h"
#include "base/instant.h"
#include "core/trigger/care.h"
#include "pg_fixture.h"
#include "store/care_store.h"
#include "store/delivery_hold.h"
#include "store/delivery_replay.h"
#include "store/endpoint_hour.h"
#include "store/registry.h"
#include "store/seal.h"
#include "sweep/care.h"
#include "unit.h"

/*
 * Five days on a clock that the test moves: attempts are written as the sender
 * would, and two instances look.
 */

#define WORKSPACE "'00000000-0000-7000-8000-00000000000a'"
#define SICK "'00000000-0000-7000-8000-00000000000b'"
#define OPS "'00000000-0000-7000-8000-00000000000c'"

static const struct id WORKSPACE_ID = { { 0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0,
                                          0xa } };
static const struct id SICK_ID = { { 0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0xb } };

struct scene {
    struct pg_fixture *fixture;
    struct registry *registry;
    struct seal *seal;
    struct care_watch watches[2];
    int64_t began_ms;
};

static void insert_subscription(struct pg_fixture *fixture, const char *id, const char *name,
                                const char *topic)
{
    struct str sql = str_printf(
        fixture->arena,
        "INSERT INTO subscription (workspace_id, id, name, url, topics, concurrency, timeout_ms,"
        " status, created_at, updated_at) VALUES (" WORKSPACE ", %s, '%s', 'https://x.example',"
        " '{%s}', 8, 15000, 'active', now(), now())",
        id, name, topic);
    pg_fixture_script(fixture->pg, sql.data);
}

static struct scene open_scene(void **state)
{
    static const uint8_t key[32] = { 7 };
    struct problem problem = { .detail = "" };
    struct scene scene = { .fixture = *state, .began_ms = clock_now_ms() };
    pg_fixture_script(
        scene.fixture->pg,
        "INSERT INTO workspace (id, name, currency, time_zone, created_at, updated_at)"
        " VALUES (" WORKSPACE ", 'aurora', 'EUR', 'UTC', now(), now())");
    insert_subscription(scene.fixture, SICK, "sick", "order.completed");
    insert_subscription(scene.fixture, OPS, "ops", "ops.*");
    assert_int_equal(seal_create(key, &scene.seal), STATUS_OK);
    assert_int_equal(registry_create(scene.fixture->url, scene.seal, NULL, &scene.registry),
                     STATUS_OK);
    assert_int_equal(registry_refresh(scene.registry, true, &problem), STATUS_OK);
    scene.watches[0].registry = scene.registry;
    scene.watches[1].registry = scene.registry;
    return scene;
}

static void close_scene(struct scene *scene)
{
    registry_destroy(scene->registry);
    seal_destroy(scene->seal);
}

static void call(struct scene *scene, int64_t at_ms, const char *outcome)
{
    char at[INSTANT_TEXT_SIZE];
    instant_format(at_ms, at);
    struct str sql = str_printf(
        scene->fixture->arena,
        "INSERT INTO attempt (workspace_id, at, id, notification_id, subscription_id, profile_id,"
        " number, outcome, response_status, duration_ms, body_bytes, error, response,"
        " notification_created_at) VALUES (" WORKSPACE ", '%s', gen_random_uuid(),"
        " gen_random_uuid(), " SICK ", gen_random_uuid(), 1, '%s', 0, 3, 1, '', '', '%s')",
        at, outcome, at);
    pg_fixture_script(scene->fixture->pg, sql.data);
}

/* Both instances, each twice: to the end of the list and over it. */
static void look(struct scene *scene, int64_t now_ms)
{
    struct problem problem = { .detail = "" };
    for (size_t i = 0; i < 4; i++) {
        enum status status = care_watch_turn(&scene->watches[i % 2], scene->fixture->pg,
                                             scene->fixture->arena, now_ms, &problem);
        if (status != STATUS_OK) {
            fail_msg("%s", problem.detail);
        }
    }
}

static int64_t number(struct scene *scene, const char *name, const char *sql)
{
    return pg_fixture_i64(scene->fixture, name, sql);
}

static int64_t bells(struct scene *scene)
{
    int64_t notifications =
        number(scene, "bells", "SELECT count(*) FROM notification WHERE topic LIKE 'ops.%'");
    assert_int_equal(notifications, number(scene, "bell_deliveries",
                                           "SELECT count(*) FROM delivery WHERE subscription_id"
                                           " = " OPS));
    return notifications;
}

static bool is_disabled(struct scene *scene)
{
    return number(scene, "disabled",
                  "SELECT count(*) FROM subscription WHERE id = " SICK
                  " AND status = 'disabled' AND status_reason = 'failing_5d'") == 1;
}

static void five_days_of_failures_are_told_and_end(void **state)
{
    struct scene scene = open_scene(state);
    static const struct {
        int64_t hour;
        int64_t bells;
        const char *why;
    } steps[] = {
        { 0, 0, "one failure" },        { 6, 0, "an outage" },    { 59, 0, "nearly half" },
        { 60, 1, "half of five days" }, { 83, 1, "nearly 70 %" }, { 84, 2, "70 %" },
        { 107, 2, "nearly 90 %" },      { 108, 3, "90 %" },       { 119, 3, "nearly five days" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        int64_t at_ms = scene.began_ms + steps[i].hour * INSTANT_HOUR_MS;
        call(&scene, at_ms, "retry");
        look(&scene, at_ms + 100);
        assert_row(bells(&scene) == steps[i].bells, steps[i].why);
        assert_row(!is_disabled(&scene), steps[i].why);
        /* Time in which nothing is tried proves nothing. */
        look(&scene, at_ms + 30 * INSTANT_MINUTE_MS);
        assert_row(bells(&scene) == steps[i].bells, steps[i].why);
    }
    int64_t version = number(&scene, "config", "SELECT config_version FROM workspace");
    int64_t end_ms = scene.began_ms + 120 * INSTANT_HOUR_MS;
    call(&scene, end_ms, "gave_up");
    look(&scene, end_ms + 100);
    assert_true(is_disabled(&scene));
    assert_int_equal(bells(&scene), 4);
    assert_int_equal(number(&scene, "config", "SELECT config_version FROM workspace"), version + 1);
    look(&scene, end_ms + INSTANT_HOUR_MS);
    assert_int_equal(bells(&scene), 4);
    close_scene(&scene);
}

static void one_success_ends_it(void **state)
{
    struct scene scene = open_scene(state);
    int64_t hour_ms = scene.began_ms;
    for (int64_t hour = 0; hour < 200; hour += 5, hour_ms += 5 * INSTANT_HOUR_MS) {
        call(&scene, hour_ms, hour == 50 || hour == 100 || hour == 155 ? "delivered" : "retry");
        look(&scene, hour_ms + 100);
    }
    assert_int_equal(bells(&scene), 0);
    assert_int_equal(number(&scene, "failing",
                            "SELECT count(*) FROM subscription WHERE id = " SICK
                            " AND failing_since IS NOT NULL"),
                     1);
    close_scene(&scene);
}

static void a_success_written_late_counts(void **state)
{
    struct scene scene = open_scene(state);
    int64_t at_ms = scene.began_ms;
    call(&scene, at_ms, "retry");
    look(&scene, at_ms + 100);
    /* Begun 10 s before a failure that is seen, and settled after the look. */
    call(&scene, at_ms + 20000, "retry");
    look(&scene, at_ms + 20100);
    call(&scene, at_ms + 10000, "delivered");
    call(&scene, at_ms + 21000, "retry");
    look(&scene, at_ms + 21100);
    struct str sql = str_printf(scene.fixture->arena,
                                "SELECT (extract(epoch FROM failing_since) * 1000)::bigint - %lld"
                                " FROM subscription WHERE id = " SICK,
                                (long long)at_ms);
    assert_int_equal(number(&scene, "moved", sql.data), 20000);
    close_scene(&scene);
}

static void who_is_resumed_is_forgiven(void **state)
{
    struct scene scene = open_scene(state);
    struct problem problem = { .detail = "" };
    for (int64_t hour = 0; hour <= 120; hour += 20) {
        call(&scene, scene.began_ms + hour * INSTANT_HOUR_MS, "retry");
        look(&scene, scene.began_ms + hour * INSTANT_HOUR_MS + 100);
    }
    assert_true(is_disabled(&scene));
    int64_t told = bells(&scene);
    int64_t resumed_ms = scene.began_ms + 121 * INSTANT_HOUR_MS;
    assert_int_equal(care_forgive(scene.fixture->pg, scene.fixture->arena, WORKSPACE_ID, SICK_ID,
                                  resumed_ms, &problem),
                     STATUS_OK);
    pg_fixture_script(scene.fixture->pg,
                      "UPDATE subscription SET status = 'active', status_reason = NULL");
    look(&scene, resumed_ms + 100);
    int64_t again_ms = resumed_ms + 2 * INSTANT_MINUTE_MS;
    call(&scene, again_ms, "retry");
    look(&scene, again_ms + 100);
    assert_false(is_disabled(&scene));
    assert_int_equal(bells(&scene), told);
    assert_int_equal(number(&scene, "anew",
                            "SELECT count(*) FROM subscription WHERE id = " SICK
                            " AND failing_since IS NOT NULL AND failing_told = 0"),
                     1);
    close_scene(&scene);
}

static void what_one_answer_ended_is_told_once(void **state)
{
    struct scene scene = open_scene(state);
    pg_fixture_script(scene.fixture->pg, "UPDATE subscription SET status = 'disabled',"
                                         " status_reason = 'gone_410' WHERE name = 'sick'");
    look(&scene, scene.began_ms + 100);
    look(&scene, scene.began_ms + 5000);
    assert_int_equal(bells(&scene), 1);
    close_scene(&scene);
}

static int64_t calls_looked_at(struct scene *scene)
{
    (void)number(scene, "flush", "SELECT count(pg_stat_force_next_flush()::text)");
    return number(scene, "looked",
                  "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables"
                  " WHERE relname LIKE 'attempt%'");
}

/* The calls of the busy one were walked for each that had none. */
static void an_idle_endpoint_costs_no_walk(void **state)
{
    struct scene scene = open_scene(state);
    pg_fixture_script(
        scene.fixture->pg,
        "INSERT INTO attempt (workspace_id, at, id, notification_id, subscription_id, profile_id,"
        " number, outcome, response_status, duration_ms, body_bytes, error, response)"
        " SELECT " WORKSPACE ", now() - interval '1 ms' * g, md5('a' || g)::uuid,"
        " md5('n')::uuid, " OPS ", md5('p')::uuid, 1, 'delivered', 200, 3, 1, '', ''"
        " FROM generate_series(1, 2000) g");
    int64_t before = calls_looked_at(&scene);
    look(&scene, scene.began_ms + 1000);
    assert_in_range(calls_looked_at(&scene) - before, 1, 20);
    close_scene(&scene);
}

static void hours_add_up(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { .detail = "" };
    struct endpoint_hour delta = { .workspace_id = WORKSPACE_ID,
                                   .subscription_id = SICK_ID,
                                   .hour_ms = 500 * INSTANT_HOUR_MS };
    struct endpoint_counts sum;
    delta.counts.delivered = 3;
    delta.counts.durations[4] = 2;
    delta.counts.durations[22] = 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(endpoint_hour_add(fixture->pg, fixture->arena, &delta, 1, &problem),
                         STATUS_OK);
    }
    struct endpoint_hour deltas[2] = { delta, delta };
    deltas[0].hour_ms -= INSTANT_HOUR_MS;
    deltas[0].counts.gone = 1;
    deltas[1].subscription_id.bytes[15]++;
    deltas[1].counts.durations[0] = 7;
    assert_int_equal(endpoint_hour_add(fixture->pg, fixture->arena, deltas, 2, &problem),
                     STATUS_OK);
    assert_int_equal(endpoint_hour_sum(fixture->pg, fixture->arena, WORKSPACE_ID,
                                       deltas[1].subscription_id, 0, &sum, &problem),
                     STATUS_OK);
    assert_int_equal(sum.delivered, 3);
    assert_int_equal(sum.durations[0], 7);
    assert_int_equal(sum.durations[4], 2);
    assert_int_equal(endpoint_hour_sum(fixture->pg, fixture->arena, WORKSPACE_ID, SICK_ID,
                                       500 * INSTANT_HOUR_MS, &sum, &problem),
                     STATUS_OK);
    assert_int_equal(sum.delivered, 9);
    assert_int_equal(sum.gone, 0);
    assert_int_equal(sum.durations[4], 6);
    assert_int_equal(sum.durations[22], 3);
    assert_int_equal(endpoint_hour_sum(fixture->pg, fixture->arena, WORKSPACE_ID, SICK_ID,
                                       499 * INSTANT_HOUR_MS, &sum, &problem),
                     STATUS_OK);
    assert_int_equal(sum.delivered, 12);
    assert_int_equal(sum.gone, 1);
    assert_int_equal(endpoint_hour_expire(fixture->pg, fixture->arena, WORKSPACE_ID,
                                          500 * INSTANT_HOUR_MS, &problem),
                     STATUS_OK);
    assert_int_equal(pg_fixture_i64(fixture, "hours", "SELECT count(*) FROM endpoint_hour"), 2);
}

/* A lease means that somebody may have it in the air. */
static void what_is_leased_is_not_dropped(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { .detail = "" };
    int64_t now_ms = clock_now_ms();
    size_t calls = 0;
    struct drop_walk walk = { .dropped = 0 };
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at,"
        " subscription_id, profile_id, sequence, due_at, lease_until) SELECT " WORKSPACE
        ", gen_random_uuid(), gen_random_uuid(), now() - CASE WHEN i % 2 = 0"
        " THEN interval '3 hours' ELSE interval '1 minute' END, " SICK
        ", gen_random_uuid(), 1, now(), CASE WHEN i % 20 = 0 THEN now() + interval '1 minute' END"
        " FROM generate_series(1, 100) i");
    while (!walk.is_end) {
        assert_int_equal(delivery_drop_old(fixture->pg, fixture->arena, WORKSPACE_ID,
                                           now_ms - 2 * INSTANT_HOUR_MS, now_ms, 30, &walk,
                                           &problem),
                         STATUS_OK);
        calls++;
    }
    assert_int_equal(walk.dropped, 45);
    assert_int_equal(calls, 4);
    assert_int_equal(pg_fixture_i64(fixture, "left", "SELECT count(*) FROM delivery"), 55);
    assert_int_equal(
        pg_fixture_i64(fixture, "logged", "SELECT count(*) FROM attempt WHERE outcome = 'dropped'"),
        45);
}

/* Ten calls of one notification are one candidate, wherever a walk is cut. */
static void a_walk_takes_each_notification_once(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { .detail = "" };
    struct replay_walk walk = { .workspace_id = WORKSPACE_ID,
                                .subscription_id = SICK_ID,
                                .until_ms = clock_now_ms() + INSTANT_DAY_MS,
                                .only_failed = true,
                                .limit = 7 };
    size_t wanted = 0;
    size_t count = walk.limit;
    /* 40 notifications, called 1 to 10 times; every fourth was delivered in the end,
     * every fourth is not settled yet. */
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO attempt (workspace_id, at, id, notification_id, subscription_id, profile_id,"
        " number, outcome, response_status, duration_ms, body_bytes, error, response)"
        " SELECT " WORKSPACE ", date_trunc('milliseconds', now()) + (n * 3 + i * 50) * interval"
        " '1 ms', gen_random_uuid(), md5(n::text)::uuid, " SICK ", gen_random_uuid(), i,"
        " CASE WHEN i < n % 10 + 1 OR n % 4 = 1 THEN 'retry' WHEN n % 4 = 0 THEN 'delivered'"
        " ELSE 'gave_up' END, 0, 1, 1, '', '' FROM generate_series(1, 40) n"
        " CROSS JOIN LATERAL generate_series(1, n % 10 + 1) i");
    while (count == walk.limit) {
        struct replay_candidate *rows = NULL;
        assert_int_equal(
            delivery_replay_scan(fixture->pg, fixture->arena, &walk, &rows, &count, &problem),
            STATUS_OK);
        for (size_t i = 0; i < count; i++) {
            wanted += rows[i].is_wanted ? 1 : 0;
            walk.after_ms = rows[i].at_ms;
            walk.after_id = rows[i].attempt_id;
        }
    }
    assert_int_equal(wanted, 20);
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup_migrated, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(five_days_of_failures_are_told_and_end),
        IN_A_DATABASE(one_success_ends_it),
        IN_A_DATABASE(a_success_written_late_counts),
        IN_A_DATABASE(who_is_resumed_is_forgiven),
        IN_A_DATABASE(what_one_answer_ended_is_told_once),
        IN_A_DATABASE(an_idle_endpoint_costs_no_walk),
        IN_A_DATABASE(hours_add_up),
        IN_A_DATABASE(what_is_leased_is_not_dropped),
        IN_A_DATABASE(a_walk_takes_each_notification_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
