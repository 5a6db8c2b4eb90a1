#include "base/instant.h"
#include "pg_fixture.h"
#include "store/delivery_replay.h"
#include "unit.h"

/*
 * What a replay takes, and where it puts it: into the place that it had.
 */

static const struct id workspace = { { 1 } };
static const struct id mailhouse = { { 0x50 } };

static struct id notification(unsigned number)
{
    return (struct id){ { 0x20, [15] = (uint8_t)number } };
}

/* Three about the one who went, of one commit; one about another; one about nobody. */
static void shop_open(struct pg_fixture *fixture, const char *ordering)
{
    char sql[2048];
    snprintf(sql, sizeof(sql),
             "INSERT INTO subscription (workspace_id, id, name, url, topics, status, concurrency,"
             " timeout_ms, ordering, created_at, updated_at)"
             " VALUES ('01000000-0000-0000-0000-000000000000',"
             " '50000000-0000-0000-0000-000000000000', 'mailhouse', 'https://esp.example', '{*}',"
             " 'active', 8, 15000, '%s', now(), now())",
             ordering);
    pg_fixture_script(fixture->pg, sql);
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO profile (workspace_id, id, merged_into, sequence, created_at, updated_at,"
        " decided_at, first_seen_at, identified, state)"
        " VALUES ('01000000-0000-0000-0000-000000000000', '40000000-0000-0000-0000-000000000009',"
        " '40000000-0000-0000-0000-000000000007', 1, now(), now(), now(), now(), true, '')");
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO notification (workspace_id, created_at, id, profile_id, topic, sequence,"
        " rank, body) SELECT '01000000-0000-0000-0000-000000000000', date_trunc('day', now()),"
        " ('20000000-0000-0000-0000-00000000000' || n)::uuid, p::uuid, 'tag.added', s, r, '{}'"
        " FROM (VALUES (1, '40000000-0000-0000-0000-000000000009', 5, 2),"
        " (2, '40000000-0000-0000-0000-000000000009', 5, 0),"
        " (3, '40000000-0000-0000-0000-000000000009', 4, 7),"
        " (4, '40000000-0000-0000-0000-000000000008', 1, 0),"
        " (5, '00000000-0000-0000-0000-000000000000', 0, 0)) AS v (n, p, s, r)");
}

static int64_t today_ms(struct pg_fixture *fixture)
{
    return pg_fixture_i64(fixture, "today",
                          "SELECT (extract(epoch FROM date_trunc('day', now())) * 1000)::bigint");
}

static enum status queue(struct pg_fixture *fixture, struct id subscription_id, size_t *out_found,
                         size_t *out_queued)
{
    struct problem problem = { .detail = "" };
    struct replay_item items[5];
    int64_t created_at_ms = today_ms(fixture);
    for (unsigned i = 0; i < ARRAY_COUNT(items); i++) {
        items[i] = (struct replay_item){ notification(i + 1), created_at_ms };
    }
    return delivery_replay_queue(fixture->pg, fixture->arena, workspace, subscription_id, items,
                                 ARRAY_COUNT(items), created_at_ms + 1000, out_found, out_queued,
                                 &problem);
}

static void takes_the_place_it_had(void **state)
{
    struct pg_fixture *fixture = *state;
    size_t found = 0;
    size_t queued = 0;
    shop_open(fixture, "profile");
    assert_int_equal(queue(fixture, mailhouse, &found, &queued), STATUS_OK);
    assert_int_equal(found, 5);
    assert_int_equal(queued, 5);
    /* Under who survived; by sequence, then by the order of decision. */
    assert_int_equal(
        pg_fixture_i64(fixture, "turns",
                       "SELECT string_agg(right(notification_id::text, 1), '' ORDER BY sequence,"
                       " rank, id)::bigint FROM delivery WHERE is_ordered"
                       " AND profile_id = '40000000-0000-0000-0000-000000000007'"),
        321);
    assert_int_equal(pg_fixture_i64(fixture, "about_nobody",
                                    "SELECT count(*) FROM delivery WHERE NOT is_ordered"),
                     1);
    assert_int_equal(pg_fixture_i64(fixture, "replayed",
                                    "SELECT count(*) FROM delivery WHERE replayed_at = due_at"),
                     5);
    assert_int_equal(queue(fixture, mailhouse, &found, &queued), STATUS_OK);
    assert_int_equal(queued, 0); /* it is pending */
}

static void has_no_order_where_none_is_asked_for(void **state)
{
    struct pg_fixture *fixture = *state;
    size_t found = 0;
    size_t queued = 0;
    shop_open(fixture, "none");
    assert_int_equal(queue(fixture, (struct id){ { 0x51 } }, &found, &queued), STATUS_MISSING);
    assert_int_equal(queue(fixture, mailhouse, &found, &queued), STATUS_OK);
    assert_int_equal(queued, 5);
    assert_int_equal(pg_fixture_i64(fixture, "ordered",
                                    "SELECT count(*) FROM delivery WHERE is_ordered"
                                    " OR profile_id = '40000000-0000-0000-0000-000000000007'"),
                     0);
}

/* What was sent again since stands where it was sent first: one about the same customer
 * would be queued before it, and might be sent before the walk comes to it. */
static void takes_each_at_its_first_end(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { .detail = "" };
    struct replay_candidate *rows = NULL;
    size_t count = 0;
    int64_t today = today_ms(fixture);
    static const struct {
        unsigned number;
        bool is_wanted;
    } wanted[] = { { 1, false }, { 1, true }, { 2, true }, { 1, false } };
    pg_fixture_script(
        fixture->pg,
        "INSERT INTO attempt (workspace_id, at, id, notification_id, subscription_id, profile_id,"
        " number, outcome, response_status, duration_ms, body_bytes, error, response)"
        " SELECT '01000000-0000-0000-0000-000000000000', date_trunc('day', now())"
        " + s * interval '1 s', gen_random_uuid(), ('20000000-0000-0000-0000-00000000000'"
        " || n)::uuid, '50000000-0000-0000-0000-000000000000', gen_random_uuid(), 1, o, 500, 1, 1,"
        " '', '' FROM (VALUES (0, 1, 'gave_up'), (1, 1, 'retry'), (2, 1, 'gave_up'),"
        " (3, 2, 'gave_up'), (4, 1, 'gave_up')) AS v (s, n, o)");
    const struct replay_walk walk = { .workspace_id = workspace,
                                      .subscription_id = mailhouse,
                                      .since_ms = today + 1000, /* the first lies before */
                                      .until_ms = today + 5000,
                                      .only_failed = true,
                                      .after_ms = today + 1000,
                                      .limit = 10 };
    assert_int_equal(
        delivery_replay_scan(fixture->pg, fixture->arena, &walk, &rows, &count, &problem),
        STATUS_OK);
    assert_int_equal(count, ARRAY_COUNT(wanted));
    for (size_t i = 0; i < count; i++) {
        assert_true(id_equal(rows[i].notification_id, notification(wanted[i].number)));
        assert_int_equal(rows[i].is_wanted, wanted[i].is_wanted);
    }
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup_migrated, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(takes_the_place_it_had),
        IN_A_DATABASE(has_no_order_where_none_is_asked_for),
        IN_A_DATABASE(takes_each_at_its_first_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
