#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/instant.h"
#include "pg_fixture.h"
#include "store/registry.h"
#include "unit.h"

static const uint8_t MASTER[SEAL_MASTER_KEY_SIZE] = { 9 };
static const uint8_t LOST_MASTER[SEAL_MASTER_KEY_SIZE] = { 10 };

#define OLDER_MS INT64_C(1795000000000)
#define NEWER_MS INT64_C(1795300000000)

#define WORKSPACE_A "00000000-0000-7000-8000-00000000000a"
#define WORKSPACE_B "00000000-0000-7000-8000-00000000000b"

struct registry_fixture {
    struct pg_fixture *pg;
    struct seal *seal;
    struct registry *registry;
};

static struct id id_of(uint8_t last)
{
    struct id id = { { 0, 0, 0, 0, 0, 0, 0x70, 0, 0x80 } };
    id.bytes[15] = last;
    return id;
}

/* Stands for the sources' settings: a shop's name, or an error. */
static enum status parse_source(struct arena *arena, struct source *source)
{
    if (str_find(source->settings_json, '!', 0) >= 0) {
        source->currency = STR("BAD");
        return STATUS_INVALID;
    }
    if (str_find(source->settings_json, '$', 0) >= 0) {
        source->currency = STR("USD");
        source->shop_domain = str_dup(arena, STR("shop.example"));
    }
    return STATUS_OK;
}

static const char ROWS[] =
    "INSERT INTO workspace (id, name, currency, time_zone, created_at, updated_at, held_at) VALUES"
    " ('" WORKSPACE_A "', 'aurora', 'EUR', 'Europe/Paris', now(), now(), NULL),"
    " ('" WORKSPACE_B "', 'borealis', 'SEK', 'UTC', now(), now(), now());"
    "INSERT INTO source (workspace_id, id, name, platform, settings, created_at, updated_at,"
    " deleted_at) VALUES"
    " ('" WORKSPACE_A "', '00000000-0000-7000-8000-000000000010', 'main', 'shopify',"
    "  '{\"$\": 1}', now(), now(), NULL),"
    " ('" WORKSPACE_A "', '00000000-0000-7000-8000-000000000011', 'old', 'shopify', '{}', now(),"
    "  now(), now()),"
    " ('" WORKSPACE_A "', '00000000-0000-7000-8000-000000000012', 'odd', 'shopify',"
    "  '{\"!\": 1}', now(), now(), NULL),"
    " ('" WORKSPACE_B "', '00000000-0000-7000-8000-000000000013', 'main', 'woocommerce', '{}',"
    "  now(), now(), NULL),"
    " ('00000000-0000-7000-8000-0000000000ff', '00000000-0000-7000-8000-000000000014', 'orphan',"
    "  'shopify', '{}', now(), now(), NULL);"
    "INSERT INTO subscription (workspace_id, id, name, url, topics, headers, concurrency,"
    " timeout_ms, max_age_ms, status, created_at, updated_at) VALUES"
    " ('" WORKSPACE_A
    "', '00000000-0000-7000-8000-000000000020', 'mailhouse', 'https://a.example/x',"
    "  '{order.*,lifecycle.changed}', '{\"X-Account\": \"8841\", \"X-B\": \"2\"}', 8, 15000, NULL,"
    "  'active', now(), now()),"
    " ('" WORKSPACE_A "', '00000000-0000-7000-8000-000000000021', 'slow', 'https://a.example/y',"
    "  '{*}', '{}', 1, 5000, 3600000, 'paused', now(), now()),"
    " ('" WORKSPACE_B "', '00000000-0000-7000-8000-000000000022', 'mailhouse', 'https://b.example',"
    "  '{*}', '{}', 2, 5000, 3600000, 'active', now(), now())";

static int setup(void **state)
{
    static struct registry_fixture fixture;
    void *pg_state = NULL;
    (void)pg_fixture_setup_migrated(&pg_state);
    fixture.pg = pg_state;
    if (seal_create(MASTER, &fixture.seal) != STATUS_OK ||
        registry_create(fixture.pg->url, fixture.seal, parse_source, &fixture.registry) !=
            STATUS_OK) {
        return -1;
    }
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct registry_fixture *fixture = *state;
    void *pg_state = fixture->pg;
    registry_destroy(fixture->registry);
    seal_destroy(fixture->seal);
    return pg_fixture_teardown(&pg_state);
}

static void put_secret(struct registry_fixture *fixture, const struct seal *seal, uint8_t source,
                       uint8_t secret, struct str plain, int64_t created_at_ms,
                       int64_t expires_at_ms)
{
    static const struct pg_statement INSERT = {
        "put_secret",
        "INSERT INTO source_secret (workspace_id, source_id, id, label, sealed, shadow, created_at,"
        " expires_at) VALUES ($1, $2, $3, '', $4, false, $5, $6)",
    };
    struct arena *arena = fixture->pg->arena;
    struct str sealed = { 0 };
    struct pg_params params;
    assert_int_equal(seal_close(seal, arena, "source_secret", id_of(secret), plain, &sealed),
                     STATUS_OK);
    pg_params_init(&params, arena);
    pg_put_id(&params, id_of(0x0a));
    pg_put_id(&params, id_of(source));
    pg_put_id(&params, id_of(secret));
    pg_put_bytes(&params, sealed);
    pg_put_instant(&params, created_at_ms);
    pg_put_instant(&params, expires_at_ms);
    assert_int_equal(pg_run(fixture->pg->pg, arena, &INSERT, &params, NULL, NULL), STATUS_OK);
}

static void put_key(struct registry_fixture *fixture, struct id workspace_id, uint8_t key,
                    struct str prefix)
{
    static const struct pg_statement INSERT = {
        "put_key",
        "INSERT INTO api_key (workspace_id, id, name, prefix, secret_hash, scopes, created_at)"
        " VALUES ($1, $2, $3, $3, $4, '{read,pii}', now())",
    };
    uint8_t hash[SEAL_HASH_SIZE];
    struct pg_params params;
    seal_key_hash(fixture->seal, prefix, hash);
    pg_params_init(&params, fixture->pg->arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, id_of(key));
    pg_put_text(&params, prefix);
    pg_put_bytes(&params, (struct str){ (const char *)hash, sizeof(hash) });
    assert_int_equal(pg_run(fixture->pg->pg, fixture->pg->arena, &INSERT, &params, NULL, NULL),
                     STATUS_OK);
}

static void refresh(struct registry_fixture *fixture)
{
    struct problem problem = { 0 };
    if (registry_refresh(fixture->registry, false, &problem) != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
}

/* --- what is in a snapshot ------------------------------------------------ */

static void an_empty_database_is_an_empty_snapshot(void **state)
{
    struct registry_fixture *fixture = *state;
    assert_null(registry_hold(fixture->registry));
    refresh(fixture);
    const struct registry_snapshot *snapshot = registry_hold(fixture->registry);
    assert_non_null(snapshot);
    assert_null(snapshot_workspace_at(snapshot, 0));
    assert_null(snapshot_workspace(snapshot, id_of(1)));
    assert_null(snapshot_source(snapshot, id_of(1)));
    assert_null(snapshot_subscription(snapshot, ID_ZERO));
    assert_null(snapshot_key(snapshot, STR("")));
    registry_release(fixture->registry, snapshot);
}

static void everything_is_where_it_belongs(void **state)
{
    struct registry_fixture *fixture = *state;
    pg_fixture_script(fixture->pg->pg, ROWS);
    put_secret(fixture, fixture->seal, 0x10, 0x31, STR("older"), OLDER_MS, INSTANT_NONE);
    put_secret(fixture, fixture->seal, 0x10, 0x30, STR("newer"), NEWER_MS, INSTANT_NEVER);
    put_secret(fixture, fixture->seal, 0x12, 0x32, STR("odd one"), NEWER_MS, INSTANT_NONE);
    put_key(fixture, id_of(0x0a), 0x40, STR("sbk_aaaaaaaaaaaa"));
    put_key(fixture, ID_ZERO, 0x41, STR("sbk_instance0000"));
    refresh(fixture);
    const struct registry_snapshot *snapshot = registry_hold(fixture->registry);

    const struct registry_workspace *a = snapshot_workspace(snapshot, id_of(0x0a));
    const struct registry_workspace *b = snapshot_workspace(snapshot, id_of(0x0b));
    assert_ptr_equal(a, snapshot_workspace_at(snapshot, 0));
    assert_ptr_equal(b, snapshot_workspace_at(snapshot, 1));
    assert_null(snapshot_workspace_at(snapshot, 2));
    assert_str_equal(a->name, STR("aurora"));
    assert_false(a->held);
    assert_true(b->held);
    assert_int_equal(a->source_count, 3);
    assert_int_equal(b->source_count, 1);
    assert_true(id_equal(b->sources[0].id, id_of(0x13)));
    assert_int_equal(a->interest_count, 2); /* what is rung while one is paused waits */
    assert_true(id_equal(a->interests[0].subscription_id, id_of(0x20)));
    assert_int_equal(a->interests[0].topic_count, 2);
    assert_str_equal(a->interests[0].topics[1], STR("lifecycle.changed"));
    assert_true(id_equal(a->interests[1].subscription_id, id_of(0x21)));
    assert_int_equal(b->interest_count, 1);
    assert_true(id_equal(b->interests[0].subscription_id, id_of(0x22)));

    const struct source *main_source = snapshot_source(snapshot, id_of(0x10));
    assert_ptr_equal(main_source, &a->sources[0]);
    assert_str_equal(main_source->currency, STR("USD"));
    assert_str_equal(main_source->shop_domain, STR("shop.example"));
    assert_str_equal(main_source->time_zone, STR("Europe/Paris"));
    assert_int_equal(main_source->time_zone.data[main_source->time_zone.size], '\0');
    assert_str_equal(main_source->workspace_name, STR("aurora"));
    assert_int_equal(main_source->secret_count, 2);
    assert_str_equal(main_source->secrets[0].value, STR("newer"));
    assert_str_equal(main_source->secrets[1].value, STR("older"));
    assert_true(main_source->secrets[0].expires_at_ms == INSTANT_NEVER);
    assert_true(snapshot_source(snapshot, id_of(0x11))->deleted);
    assert_int_equal(snapshot_source(snapshot, id_of(0x11))->secret_count, 0);
    assert_str_equal(snapshot_source(snapshot, id_of(0x12))->secrets[0].value, STR("odd one"));
    assert_null(snapshot_source(snapshot, id_of(0x14)));

    const struct registry_subscription *mailhouse = snapshot_subscription(snapshot, id_of(0x20));
    assert_int_equal(mailhouse->header_count, 2);
    assert_str_equal(mailhouse->header_lines[0], STR("X-Account: 8841"));
    assert_int_equal(mailhouse->concurrency, 8);
    assert_int_equal(mailhouse->max_age_ms, 0);
    assert_str_equal(snapshot_subscription(snapshot, id_of(0x21))->status, STR("paused"));

    const struct registry_key *key = snapshot_key(snapshot, STR("sbk_aaaaaaaaaaaa"));
    uint8_t hash[SEAL_HASH_SIZE];
    seal_key_hash(fixture->seal, STR("sbk_aaaaaaaaaaaa"), hash);
    assert_memory_equal(key->secret_hash, hash, sizeof(hash));
    assert_int_equal(key->principal.scopes, SCOPE_READ | SCOPE_PII);
    assert_str_equal(key->principal.workspace_name, STR("aurora"));
    assert_true(key->expires_at_ms == INSTANT_NEVER);
    key = snapshot_key(snapshot, STR("sbk_instance0000"));
    assert_true(id_is_zero(key->principal.workspace_id));
    assert_null(snapshot_key(snapshot, STR("sbk_bbbbbbbbbbbb")));
    registry_release(fixture->registry, snapshot);
}

/* A lost master key, or settings that only a newer version reads, must not
 * stop the shops whose configuration is fine. */
static void what_cannot_be_read_is_left_out_and_told_once(void **state)
{
    struct registry_fixture *fixture = *state;
    struct seal *lost = NULL;
    struct problem problem = { 0 };
    assert_int_equal(seal_create(LOST_MASTER, &lost), STATUS_OK);
    pg_fixture_script(fixture->pg->pg, ROWS);
    put_secret(fixture, lost, 0x10, 0x30, STR("unreadable"), NEWER_MS, INSTANT_NONE);
    put_secret(fixture, fixture->seal, 0x10, 0x31, STR("readable"), OLDER_MS, INSTANT_NONE);
    seal_destroy(lost);
    assert_int_equal(registry_refresh(fixture->registry, true, &problem), STATUS_OK);
    assert_non_null(strstr(problem.detail, "1 secrets"));
    assert_non_null(strstr(problem.detail, "1 sources"));
    const struct registry_snapshot *snapshot = registry_hold(fixture->registry);
    const struct source *source = snapshot_source(snapshot, id_of(0x10));
    assert_int_equal(source->secret_count, 1);
    assert_str_equal(source->secrets[0].value, STR("readable"));
    assert_str_equal(snapshot_source(snapshot, id_of(0x12))->currency, STR("EUR"));
    registry_release(fixture->registry, snapshot);
    problem = (struct problem){ 0 };
    assert_int_equal(registry_refresh(fixture->registry, true, &problem), STATUS_OK);
    assert_string_equal(problem.detail, "");
}

/* --- when there is a new one ---------------------------------------------- */

static bool is_replaced(struct registry_fixture *fixture)
{
    const struct registry_snapshot *before = registry_hold(fixture->registry);
    refresh(fixture);
    const struct registry_snapshot *after = registry_hold(fixture->registry);
    bool replaced = before != after;
    registry_release(fixture->registry, after);
    registry_release(fixture->registry, before);
    return replaced;
}

static void only_a_change_makes_a_new_snapshot(void **state)
{
    struct registry_fixture *fixture = *state;
    pg_fixture_script(fixture->pg->pg, ROWS);
    refresh(fixture);
    assert_false(is_replaced(fixture));
    pg_fixture_script(fixture->pg->pg,
                      "UPDATE workspace SET config_version = config_version + 1, title = 'x'"
                      " WHERE name = 'borealis'");
    assert_true(is_replaced(fixture));
    assert_false(is_replaced(fixture));
    put_key(fixture, ID_ZERO, 0x41, STR("sbk_instance0000"));
    assert_true(is_replaced(fixture));
    pg_fixture_script(fixture->pg->pg, "DELETE FROM api_key");
    assert_true(is_replaced(fixture));
    pg_fixture_script(fixture->pg->pg, "DELETE FROM workspace WHERE name = 'borealis'");
    assert_true(is_replaced(fixture));
}

static void a_secret_that_expires_is_gone_after_the_next_refresh(void **state)
{
    struct registry_fixture *fixture = *state;
    int64_t soon_ms = clock_now_ms() + 400;
    pg_fixture_script(fixture->pg->pg, ROWS);
    put_secret(fixture, fixture->seal, 0x10, 0x31, STR("retired"), OLDER_MS, soon_ms);
    put_secret(fixture, fixture->seal, 0x10, 0x30, STR("current"), NEWER_MS, INSTANT_NONE);
    refresh(fixture);
    const struct registry_snapshot *snapshot = registry_hold(fixture->registry);
    assert_int_equal(snapshot_source(snapshot, id_of(0x10))->secret_count, 2);
    assert_int_equal(snapshot_source(snapshot, id_of(0x10))->secrets[1].expires_at_ms, soon_ms);
    registry_release(fixture->registry, snapshot);
    while (clock_now_ms() < soon_ms) {
        nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
    }
    assert_true(is_replaced(fixture));
    snapshot = registry_hold(fixture->registry);
    assert_int_equal(snapshot_source(snapshot, id_of(0x10))->secret_count, 1);
    assert_str_equal(snapshot_source(snapshot, id_of(0x10))->secrets[0].value, STR("current"));
    registry_release(fixture->registry, snapshot);
}

static void what_is_held_outlives_its_replacement(void **state)
{
    struct registry_fixture *fixture = *state;
    pg_fixture_script(fixture->pg->pg, ROWS);
    refresh(fixture);
    const struct registry_snapshot *held = registry_hold(fixture->registry);
    const struct registry_workspace *workspace = snapshot_workspace_at(held, 0);
    pg_fixture_script(fixture->pg->pg, "UPDATE workspace SET name = name || '2',"
                                       " config_version = config_version + 1");
    refresh(fixture);
    assert_str_equal(workspace->name, STR("aurora"));
    registry_release(fixture->registry, held);
}

static void a_database_that_is_away_leaves_the_snapshot(void **state)
{
    struct registry_fixture *fixture = *state;
    char sql[128];
    struct problem problem = { 0 };
    pg_fixture_script(fixture->pg->pg, ROWS);
    refresh(fixture);
    pg_close(fixture->pg->pg);
    fixture->pg->pg = NULL;
    struct pg *admin = NULL;
    assert_int_equal(pg_open(getenv("SHOPBELL_TEST_PG_URL"), false, &admin), STATUS_OK);
    snprintf(sql, sizeof(sql), "ALTER DATABASE %s RENAME TO away", fixture->pg->name);
    pg_fixture_script(admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                             " WHERE datname LIKE 'fixture%'");
    pg_fixture_script(admin, sql);
    assert_int_equal(registry_refresh(fixture->registry, true, &problem), STATUS_RETRY);
    const struct registry_snapshot *snapshot = registry_hold(fixture->registry);
    assert_non_null(snapshot_workspace(snapshot, id_of(0x0a)));
    registry_release(fixture->registry, snapshot);
    snprintf(sql, sizeof(sql), "ALTER DATABASE away RENAME TO %s", fixture->pg->name);
    pg_fixture_script(admin, sql);
    pg_close(admin);
    refresh(fixture);
}

/* --- threads -------------------------------------------------------------- */

struct readers {
    struct registry *registry;
    atomic_bool stop;
    atomic_long read_count;
};

static void *read_on(void *context)
{
    struct readers *readers = context;
    while (!atomic_load(&readers->stop)) {
        const struct registry_snapshot *snapshot = registry_hold(readers->registry);
        const struct registry_workspace *workspace = snapshot_workspace(snapshot, id_of(0x0a));
        assert_true(str_starts_with(workspace->name, STR("aurora")));
        assert_int_equal(workspace->source_count, 3);
        registry_release(readers->registry, snapshot);
        atomic_fetch_add(&readers->read_count, 1);
    }
    return NULL;
}

static void readers_and_refreshes_do_not_meet(void **state)
{
    struct registry_fixture *fixture = *state;
    struct readers readers = { .registry = fixture->registry };
    pthread_t threads[3];
    pg_fixture_script(fixture->pg->pg, ROWS);
    refresh(fixture);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers), 0);
    }
    for (int i = 0; i < 50; i++) {
        assert_int_equal(registry_refresh(fixture->registry, true, NULL), STATUS_OK);
    }
    atomic_store(&readers.stop, true);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&readers.read_count) > 0);
}

int main(void)
{
#define IN_A_DATABASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(an_empty_database_is_an_empty_snapshot),
        IN_A_DATABASE(everything_is_where_it_belongs),
        IN_A_DATABASE(what_cannot_be_read_is_left_out_and_told_once),
        IN_A_DATABASE(only_a_change_makes_a_new_snapshot),
        IN_A_DATABASE(a_secret_that_expires_is_gone_after_the_next_refresh),
        IN_A_DATABASE(what_is_held_outlives_its_replacement),
        IN_A_DATABASE(a_database_that_is_away_leaves_the_snapshot),
        IN_A_DATABASE(readers_and_refreshes_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
