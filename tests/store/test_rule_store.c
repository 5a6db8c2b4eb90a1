#include "base/instant.h"
#include "pg_fixture.h"
#include "store/job_store.h"
#include "store/registry.h"
#include "store/rule_store.h"
#include "store/workspace.h"
#include "unit.h"

/*
 * Rules as rows, and the versions that follow from them.
 */

#define NOW_MS INT64_C(1795356187000) /* 2026-11-22T14:03:07Z */
#define WORKSPACE "00000000-0000-7000-8000-00000000000a"

static const uint8_t MASTER[SEAL_MASTER_KEY_SIZE] = { 9 };

static struct id workspace_id(void)
{
    struct id id = ID_ZERO;
    (void)id_parse(STR(WORKSPACE), &id);
    return id;
}

static int setup(void **state)
{
    int failed = pg_fixture_setup_migrated(state);
    struct pg_fixture *fixture = *state;
    pg_fixture_script(
        fixture->pg, "INSERT INTO workspace (id, name, currency, time_zone, created_at,"
                     " updated_at) VALUES ('" WORKSPACE "', 'aurora', 'EUR', 'UTC', now(), now())");
    return failed;
}

static void ship(struct pg_fixture *fixture)
{
    size_t count = 0;
    struct problem problem = { .type = "" };
    if (rule_store_ship_all(fixture->pg, NOW_MS, &count, &problem) != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
}

static void add_profile(struct pg_fixture *fixture)
{
    pg_fixture_script(fixture->pg,
                      "INSERT INTO profile (workspace_id, id, sequence, created_at, updated_at,"
                      " decided_at, first_seen_at, identified, state) VALUES ('" WORKSPACE "',"
                      " '00000000-0000-7000-8000-0000000000f1', 1, now(), now(), now(), now(),"
                      " true, '')");
}

static struct rule_change put(const char *name, enum rule_kind kind, const char *when)
{
    static struct rule_case cases[16];
    static size_t used = 0;
    struct rule_case *only = &cases[used++ % ARRAY_COUNT(cases)];
    *only = (struct rule_case){ .value = STR(""), .when = str_from_z(when) };
    return (struct rule_change){
        .action = RULE_PUT,
        .wanted = { .definition = { .name = str_from_z(name),
                                    .title = STR("A rule"),
                                    .kind = kind,
                                    .cases = only,
                                    .case_count = 1,
                                    .enabled = true } },
    };
}

struct save {
    enum status status;
    struct rule_saved saved;
    struct rule_fault fault;
    struct problem problem;
};

/* In a transaction that is kept if the save succeeds. */
static struct save save(struct pg_fixture *fixture, struct rule_change change)
{
    struct save save = { .status = STATUS_BROKEN };
    struct rule_change *changes = ARENA_NEW(fixture->arena, struct rule_change);
    *changes = change;
    assert_int_equal(pg_run(fixture->pg, fixture->arena, &pg_begin, NULL, NULL, NULL), STATUS_OK);
    save.status = rule_store_save(fixture->pg, fixture->arena, workspace_id(), changes, 1,
                                  NOW_MS + 1000, &save.saved, &save.fault, &save.problem);
    if (save.status == STATUS_OK) {
        assert_int_equal(pg_run(fixture->pg, fixture->arena, &pg_commit, NULL, NULL, NULL),
                         STATUS_OK);
    } else {
        pg_reset(fixture->pg);
    }
    return save;
}

static struct save saved(struct pg_fixture *fixture, struct rule_change change)
{
    struct save done = save(fixture, change);
    if (done.status != STATUS_OK) {
        fail_msg("%s: %s", done.problem.type, done.problem.detail);
    }
    return done;
}

static void a_workspace_gets_the_shipped_rules_once(void **state)
{
    struct pg_fixture *fixture = *state;
    size_t count = 0;
    size_t shipped = 0;
    while (rule_shipped(shipped) != NULL) {
        shipped++;
    }
    assert_int_equal(rule_store_ship_all(fixture->pg, NOW_MS, &count, NULL), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(rule_store_ship_all(fixture->pg, NOW_MS, &count, NULL), STATUS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(pg_fixture_i64(fixture, "rules", "SELECT count(*) FROM rule WHERE shipped"),
                     (int)shipped);
    assert_int_equal(pg_fixture_i64(fixture, "versions", "SELECT max(version) FROM ruleset"), 1);
    /* Nobody is there to be brought up. */
    assert_int_equal(pg_fixture_i64(fixture, "jobs", "SELECT count(*) FROM job"), 0);
    assert_int_equal(pg_fixture_i64(fixture, "touched", "SELECT config_version FROM workspace"), 2);
}

static void shipping_to_profiles_brings_them_up(void **state)
{
    struct pg_fixture *fixture = *state;
    add_profile(fixture);
    ship(fixture);
    assert_int_equal(pg_fixture_i64(fixture, "jobs",
                                    "SELECT (parameters->>'ruleset_version')::bigint FROM job"
                                    " WHERE kind = 'hydrate' AND status = 'queued'"),
                     1);
}

/* What a row gives is what was compiled before it was written. */
static void a_version_compiles_to_the_same_numbers(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    struct save first = saved(fixture, put("shoes", RULE_KIND_SEGMENT,
                                           "count(product.viewed where category = \"Shoes\" within"
                                           " 24h) >= 3"));
    struct ruleset *again = NULL;
    assert_int_equal(rule_store_compile(fixture->pg, fixture->arena, workspace_id(), &again, NULL),
                     STATUS_OK);
    assert_int_equal(again->version, 2);
    assert_int_equal(again->rule_count, first.saved.ruleset->rule_count);
    assert_int_equal(again->feature_count, first.saved.ruleset->feature_count);
    for (size_t i = 0; i < again->feature_count; i++) {
        assert_int_equal(again->features[i].number, first.saved.ruleset->features[i].number);
        assert_int_equal(again->features[i].version, first.saved.ruleset->features[i].version);
        assert_true(str_equal(again->features[i].key, first.saved.ruleset->features[i].key));
    }
    for (size_t i = 0; i < again->rule_count; i++) {
        const struct rule_definition *a = &again->rules[i].definition;
        const struct rule_definition *b = &first.saved.ruleset->rules[i].definition;
        assert_true(id_equal(a->id, b->id));
        assert_int_equal(a->slot, b->slot);
        assert_int_equal(a->since_version, b->since_version);
    }
}

static void numbers_and_slots_are_given_once(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    struct rule_change views = put("views", RULE_KIND_TAG, "count(page.viewed within 1h) >= 2");
    struct save first = saved(fixture, views);
    uint32_t number = ruleset_rule(first.saved.ruleset, STR("views"))->features[0];
    uint32_t slot = first.saved.outcomes[0].row.definition.slot;
    struct rule_change gone = views;
    gone.action = RULE_DELETE;
    (void)saved(fixture, gone);
    struct save second = saved(fixture, views);
    assert_true(ruleset_rule(second.saved.ruleset, STR("views"))->features[0] > number);
    assert_true(second.saved.outcomes[0].row.definition.slot > slot);
    assert_int_equal(second.saved.ruleset->version, 4);
}

static void the_same_content_changes_nothing(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    add_profile(fixture);
    struct rule_change change = put("vip", RULE_KIND_TAG, "orders.count >= 10");
    struct save first = saved(fixture, change);
    struct save same = saved(fixture, change);
    assert_int_equal(first.saved.outcomes[0].effect, RULE_CREATED);
    assert_false(id_is_zero(first.saved.job_id));
    assert_int_equal(same.saved.outcomes[0].effect, RULE_UNCHANGED);
    assert_int_equal(same.saved.outcomes[0].row.definition.version, 1);
    assert_true(id_is_zero(same.saved.job_id));
    assert_int_equal(same.saved.ruleset->version, 2);
}

static void a_title_makes_no_version_of_the_set(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    add_profile(fixture);
    struct rule_change change = put("vip", RULE_KIND_TAG, "orders.count >= 10");
    (void)saved(fixture, change);
    change.wanted.definition.title = STR("Very important");
    struct save titled = saved(fixture, change);
    assert_int_equal(titled.saved.outcomes[0].effect, RULE_RETITLED);
    assert_int_equal(titled.saved.outcomes[0].row.definition.version, 2);
    assert_int_equal(titled.saved.outcomes[0].row.definition.since_version, 2);
    assert_true(id_is_zero(titled.saved.job_id));
    assert_int_equal(pg_fixture_i64(fixture, "version", "SELECT max(version) FROM ruleset"), 2);
    assert_int_equal(pg_fixture_i64(fixture, "title",
                                    "SELECT count(*) FROM rule WHERE title = 'Very important'"),
                     1);
}

static void a_newer_save_replaces_the_job_that_waits(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    add_profile(fixture);
    struct save first = saved(fixture, put("vip", RULE_KIND_TAG, "orders.count >= 10"));
    struct save second = saved(fixture, put("vip", RULE_KIND_TAG, "orders.count >= 20"));
    struct job job;
    assert_int_equal(second.saved.outcomes[0].effect, RULE_CHANGED);
    assert_int_equal(second.saved.outcomes[0].row.definition.since_version, 3);
    assert_int_equal(
        job_find(fixture->pg, fixture->arena, workspace_id(), first.saved.job_id, &job, NULL),
        STATUS_OK);
    assert_int_equal(job.status, JOB_CANCELLED);
    assert_int_equal(job.finished_at_ms, NOW_MS + 1000);
    assert_int_equal(
        job_open_of(fixture->pg, fixture->arena, workspace_id(), STR("hydrate"), &job, NULL),
        STATUS_OK);
    assert_true(id_equal(job.id, second.saved.job_id));
}

static void what_is_wrong_is_said_and_nothing_is_written(void **state)
{
    struct pg_fixture *fixture = *state;
    static const struct {
        const char *why;
        const char *name;
        enum rule_kind kind;
        const char *when;
        const char *type;
        bool is_expression;
    } CASES[] = {
        { "an event that does not exist", "a", RULE_KIND_TAG, "count(product.view) >= 3",
          "invalid-expression", true },
        { "a circle of one", "a", RULE_KIND_TAG, "\"a\" in tags", "expression-circular", true },
        { "another kind under the same name", "at_risk", RULE_KIND_SEGMENT, "true", "invalid-field",
          false },
        { "a second lifecycle", "stages", RULE_KIND_LIFECYCLE, "true", "invalid-field", false },
    };
    ship(fixture);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct save done = save(fixture, put(CASES[i].name, CASES[i].kind, CASES[i].when));
        assert_row(done.status == STATUS_INVALID, CASES[i].why);
        assert_row(strcmp(done.problem.type, CASES[i].type) == 0, CASES[i].why);
        assert_row((done.fault.rule.size > 0) == CASES[i].is_expression, CASES[i].why);
        assert_row(!CASES[i].is_expression || done.fault.change_index == 0, CASES[i].why);
    }
    assert_int_equal(pg_fixture_i64(fixture, "version", "SELECT max(version) FROM ruleset"), 1);
    assert_int_equal(pg_fixture_i64(fixture, "own", "SELECT count(*) FROM rule WHERE NOT shipped"),
                     0);
}

static void a_rule_in_use_stays(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    (void)saved(fixture, put("vip", RULE_KIND_TAG, "orders.count >= 10"));
    (void)saved(fixture,
                put("vip_idle", RULE_KIND_SEGMENT, "\"vip\" in tags and age(last_seen_at) > 30d"));
    struct rule_change gone = put("vip", RULE_KIND_TAG, "true");
    gone.action = RULE_DELETE;
    struct save refused = save(fixture, gone);
    assert_int_equal(refused.status, STATUS_CONFLICT);
    assert_string_equal(refused.problem.type, "rule-in-use");
    assert_int_equal(refused.fault.used_by_count, 1);
    assert_true(str_equal(refused.fault.used_by[0], STR("vip_idle")));
    gone.wanted.definition.name = STR("vip_idle");
    (void)saved(fixture, gone);
    gone.wanted.definition.name = STR("vip");
    (void)saved(fixture, gone);
    assert_int_equal(save(fixture, gone).status, STATUS_MISSING);
}

static void an_edit_of_what_was_edited_meanwhile_is_refused(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    struct rule_change change = put("vip", RULE_KIND_TAG, "orders.count >= 10");
    change.expected_version = -1;
    assert_string_equal(save(fixture, change).problem.type, "etag-mismatch");
    change.expected_version = 0;
    (void)saved(fixture, change);
    change = put("vip", RULE_KIND_TAG, "orders.count >= 11");
    change.expected_version = 2;
    assert_int_equal(save(fixture, change).status, STATUS_CONFLICT);
    change.expected_version = 1;
    assert_int_equal(saved(fixture, change).saved.outcomes[0].row.definition.version, 2);
}

static void a_shipped_rule_is_put_back_but_not_over_ones_own(void **state)
{
    struct pg_fixture *fixture = *state;
    ship(fixture);
    (void)saved(fixture, put("at_risk", RULE_KIND_TAG, "true"));
    struct rule_change restore = { .action = RULE_PUT };
    assert_int_equal(rule_store_shipped(STR("at_risk"), &restore.wanted), STATUS_OK);
    struct save restored = saved(fixture, restore);
    assert_int_equal(restored.saved.outcomes[0].effect, RULE_CHANGED);
    assert_int_equal(restored.saved.outcomes[0].row.definition.version, 3);
    struct rule_change gone = restore;
    gone.action = RULE_DELETE;
    (void)saved(fixture, gone);
    (void)saved(fixture, put("at_risk", RULE_KIND_TAG, "true"));
    assert_string_equal(save(fixture, restore).problem.type, "name-taken");
}

/* --- the registry ------------------------------------------------------------ */

static const struct registry_workspace *hold(struct registry *registry,
                                             const struct registry_snapshot **out_snapshot)
{
    assert_int_equal(registry_refresh(registry, true, NULL), STATUS_OK);
    *out_snapshot = registry_hold(registry);
    return snapshot_workspace(*out_snapshot, workspace_id());
}

static void the_registry_shares_what_did_not_change(void **state)
{
    struct pg_fixture *fixture = *state;
    struct seal *seal = NULL;
    struct registry *registry = NULL;
    const struct registry_snapshot *first = NULL;
    const struct registry_snapshot *second = NULL;
    assert_int_equal(seal_create(MASTER, &seal), STATUS_OK);
    assert_int_equal(registry_create(fixture->url, seal, NULL, &registry), STATUS_OK);
    const struct registry_workspace *workspace = hold(registry, &first);
    assert_int_equal(workspace->ruleset_count, 0);
    assert_null(workspace->statistics);
    registry_release(registry, first);

    ship(fixture);
    workspace = hold(registry, &first);
    assert_int_equal(workspace->ruleset_count, 1);
    const struct ruleset *one = workspace->rulesets[0];
    (void)saved(fixture, put("vip", RULE_KIND_TAG, "orders.count >= 10"));
    workspace = hold(registry, &second);
    assert_int_equal(workspace->ruleset_count, 2);
    assert_ptr_equal(workspace->rulesets[0], one);
    assert_int_equal(workspace->rulesets[1]->version, 2);
    registry_release(registry, first);
    registry_release(registry, second);

    assert_int_equal(
        rule_store_settle(fixture->pg, fixture->arena, workspace_id(), 2, NOW_MS, NULL), STATUS_OK);
    workspace = hold(registry, &first);
    assert_int_equal(workspace->ruleset_count, 1);
    assert_int_equal(workspace->rulesets[0]->version, 2);
    assert_non_null(ruleset_rule(workspace->rulesets[0], STR("vip")));
    registry_release(registry, first);
    registry_destroy(registry);
    seal_destroy(seal);
}

static void at_most_four_versions_are_kept_compiled(void **state)
{
    struct pg_fixture *fixture = *state;
    static const char *const whens[] = { "orders.count >= 1", "orders.count >= 2",
                                         "orders.count >= 3", "orders.count >= 4",
                                         "orders.count >= 5" };
    struct seal *seal = NULL;
    struct registry *registry = NULL;
    const struct registry_snapshot *snapshot = NULL;
    ship(fixture);
    for (size_t i = 0; i < ARRAY_COUNT(whens); i++) {
        (void)saved(fixture, put("vip", RULE_KIND_TAG, whens[i]));
    }
    assert_int_equal(seal_create(MASTER, &seal), STATUS_OK);
    assert_int_equal(registry_create(fixture->url, seal, NULL, &registry), STATUS_OK);
    const struct registry_workspace *workspace = hold(registry, &snapshot);
    assert_int_equal(workspace->ruleset_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(workspace->rulesets[i]->version, 3 + i);
    }
    registry_release(registry, snapshot);
    registry_destroy(registry);
    seal_destroy(seal);
}

static void rules_that_do_not_compile_stop_nothing_else(void **state)
{
    struct pg_fixture *fixture = *state;
    struct seal *seal = NULL;
    struct registry *registry = NULL;
    const struct registry_snapshot *snapshot = NULL;
    struct problem problem = { .type = "" };
    ship(fixture);
    pg_fixture_script(fixture->pg,
                      "INSERT INTO ruleset SELECT workspace_id, 2, now(), replace(rules::text,"
                      " 'orders.count', 'orders.tomorrow')::jsonb, features, next_feature,"
                      " next_slot FROM ruleset");
    assert_int_equal(seal_create(MASTER, &seal), STATUS_OK);
    assert_int_equal(registry_create(fixture->url, seal, NULL, &registry), STATUS_OK);
    assert_int_equal(registry_refresh(registry, true, &problem), STATUS_OK);
    assert_non_null(strstr(problem.detail, "1 versions of rules do not compile"));
    const struct registry_workspace *workspace = hold(registry, &snapshot);
    assert_int_equal(workspace->ruleset_count, 1);
    assert_int_equal(workspace->rulesets[0]->version, 1);
    registry_release(registry, snapshot);
    registry_destroy(registry);
    seal_destroy(seal);
}

static void the_newest_statistics_are_in_force(void **state)
{
    struct pg_fixture *fixture = *state;
    static const int64_t percents[] = { 33300000, 66700000 };
    static const int64_t low[] = { 10000000, 20000000 };
    static const int64_t high[] = { 30000000, 40000000 };
    struct statistic item = { .attribute = RULE_ORDERS_AVERAGE_VALUE,
                              .n = 500,
                              .percents = percents,
                              .thresholds = low,
                              .count = 2 };
    struct statistics set = { .version = 1, .items = &item, .count = 1 };
    struct statistics loaded;
    int64_t threshold = 0;
    struct seal *seal = NULL;
    struct registry *registry = NULL;
    const struct registry_snapshot *snapshot = NULL;
    assert_int_equal(
        statistic_store_save(fixture->pg, fixture->arena, workspace_id(), &set, NOW_MS, NULL),
        STATUS_OK);
    item.thresholds = high;
    set.version = 2;
    assert_int_equal(
        statistic_store_save(fixture->pg, fixture->arena, workspace_id(), &set, NOW_MS, NULL),
        STATUS_OK);
    assert_int_equal(
        statistic_store_load(fixture->pg, fixture->arena, workspace_id(), 1, &loaded, NULL),
        STATUS_OK);
    assert_int_equal(loaded.version, 1);
    assert_true(statistics_percentile(&loaded, RULE_ORDERS_AVERAGE_VALUE, percents[1], &threshold));
    assert_int_equal(threshold, 20000000);
    assert_int_equal(seal_create(MASTER, &seal), STATUS_OK);
    assert_int_equal(registry_create(fixture->url, seal, NULL, &registry), STATUS_OK);
    const struct registry_workspace *workspace = hold(registry, &snapshot);
    assert_int_equal(workspace->statistics->version, 2);
    assert_true(statistics_percentile(workspace->statistics, RULE_ORDERS_AVERAGE_VALUE, percents[0],
                                      &threshold));
    assert_int_equal(threshold, 30000000);
    registry_release(registry, snapshot);
    registry_destroy(registry);
    seal_destroy(seal);
}

/* --- jobs -------------------------------------------------------------------- */

static void one_instance_at_a_time_has_a_job(void **state)
{
    struct pg_fixture *fixture = *state;
    struct pg *pg = fixture->pg;
    struct arena *arena = fixture->arena;
    struct id one = id_create();
    struct id other = id_create();
    struct job job = { .workspace_id = workspace_id(),
                       .id = id_create(),
                       .kind = STR("hydrate"),
                       .total = -1,
                       .created_at_ms = NOW_MS };
    struct job claimed;
    struct id *waiting = NULL;
    size_t count = 0;
    bool cancel = false;
    assert_int_equal(job_create(pg, arena, &job, NULL), STATUS_OK);
    assert_int_equal(job_waiting(pg, arena, job.kind, NOW_MS, 10, &waiting, &count, NULL),
                     STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(
        job_claim(pg, arena, workspace_id(), job.kind, one, NOW_MS, NOW_MS + 1000, &claimed, NULL),
        STATUS_OK);
    assert_int_equal(claimed.status, JOB_RUNNING);
    assert_int_equal(job_claim(pg, arena, workspace_id(), job.kind, other, NOW_MS + 999,
                               NOW_MS + 5000, &claimed, NULL),
                     STATUS_MISSING);
    struct job_progress progress = { .workspace_id = workspace_id(),
                                     .job_id = job.id,
                                     .owner = one,
                                     .cursor_json = STR("{\"after\": 7}"),
                                     .done = 7,
                                     .total = 9,
                                     .lease_until_ms = NOW_MS + 2000 };
    assert_int_equal(job_progress(pg, arena, &progress, &cancel, NULL), STATUS_OK);
    assert_false(cancel);
    /* The lease ran out: another goes on where the first one was. */
    assert_int_equal(job_claim(pg, arena, workspace_id(), job.kind, other, NOW_MS + 2000,
                               NOW_MS + 5000, &claimed, NULL),
                     STATUS_OK);
    assert_int_equal(claimed.done, 7);
    assert_true(str_equal(claimed.cursor_json, STR("{\"after\": 7}")));
    assert_int_equal(job_progress(pg, arena, &progress, &cancel, NULL), STATUS_CONFLICT);
    struct job_end end = { .workspace_id = workspace_id(),
                           .job_id = job.id,
                           .owner = one,
                           .status = JOB_SUCCEEDED,
                           .at_ms = NOW_MS + 3000 };
    assert_int_equal(job_finish(pg, arena, &end, NULL), STATUS_CONFLICT);
    assert_int_equal(job_cancel(pg, arena, workspace_id(), job.id, NOW_MS, NULL), STATUS_OK);
    progress.owner = other;
    assert_int_equal(job_progress(pg, arena, &progress, &cancel, NULL), STATUS_OK);
    assert_true(cancel);
    end.owner = other;
    end.status = JOB_CANCELLED;
    assert_int_equal(job_finish(pg, arena, &end, NULL), STATUS_OK);
    assert_int_equal(job_find(pg, arena, workspace_id(), job.id, &claimed, NULL), STATUS_OK);
    assert_int_equal(claimed.status, JOB_CANCELLED);
    assert_int_equal(job_waiting(pg, arena, job.kind, NOW_MS + 9000, 10, &waiting, &count, NULL),
                     STATUS_OK);
    assert_int_equal(count, 0);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_workspace_gets_the_shipped_rules_once),
        CASE(shipping_to_profiles_brings_them_up),
        CASE(a_version_compiles_to_the_same_numbers),
        CASE(numbers_and_slots_are_given_once),
        CASE(the_same_content_changes_nothing),
        CASE(a_title_makes_no_version_of_the_set),
        CASE(a_newer_save_replaces_the_job_that_waits),
        CASE(what_is_wrong_is_said_and_nothing_is_written),
        CASE(a_rule_in_use_stays),
        CASE(an_edit_of_what_was_edited_meanwhile_is_refused),
        CASE(a_shipped_rule_is_put_back_but_not_over_ones_own),
        CASE(the_registry_shares_what_did_not_change),
        CASE(at_most_four_versions_are_kept_compiled),
        CASE(rules_that_do_not_compile_stop_nothing_else),
        CASE(the_newest_statistics_are_in_force),
        CASE(one_instance_at_a_time_has_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
