#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/batch.h"
#include "pg_fixture.h"
#include "store/batch.h"
#include "store/delivery_store.h"
#include "unit.h"

/*
 * The queue in a real database: who may claim what, what settling frees, and that a
 * frozen batch stays what it is. Instants are counted from `now`, the test's own.
 */

enum {
    SQL_SIZE = 2048,
    LANES_MAX = 8,
};

struct shop {
    struct pg_fixture *fixture;
    int64_t now_ms;
    struct claim_lane lanes[LANES_MAX];
    size_t lane_count;
    struct delivery *claimed;
    size_t claimed_count;
    struct delivery *next;
    size_t next_count;
};

static const struct id workspace = { { 1 } };

static struct id id_of(unsigned kind, unsigned number)
{
    struct id id = { { (uint8_t)kind } };
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static struct id subscription(unsigned number)
{
    return id_of(0x50, number);
}

static struct id owner(unsigned number)
{
    return id_of(0x60, number);
}

static const char *text_of(struct id id, char text[ID_TEXT_SIZE])
{
    id_format(id, text);
    return text;
}

static void shop_open(struct shop *shop, void **state)
{
    *shop = (struct shop){ .fixture = *state, .now_ms = clock_now_ms() };
}

static struct claim_lane *lane_add(struct shop *shop, unsigned number, size_t room)
{
    struct claim_lane *lane = &shop->lanes[shop->lane_count++];
    *lane = (struct claim_lane){ .subscription_id = subscription(number),
                                 .floor_ms = INSTANT_NONE,
                                 .room = room };
    return lane;
}

struct wanted {
    unsigned number;
    unsigned subscription;
    unsigned profile;
    int64_t sequence;
    bool is_ordered;
    int64_t due_ms; /* from now */
    size_t body_bytes;
};

/* The delivery's id ends in `number`, its notification's too. */
static void put(struct shop *shop, const struct wanted *wanted)
{
    char sql[SQL_SIZE];
    char ids[5][ID_TEXT_SIZE];
    snprintf(sql, sizeof(sql),
             "WITH n AS (INSERT INTO notification (workspace_id, created_at, id, profile_id,"
             " topic, sequence, body) VALUES ('%s', 'epoch'::timestamptz + %lld * interval '1 ms', "
             "'%s', '%s',"
             " 'tag.added', %lld, rpad('{\"n\":%u}', %zu)) RETURNING id)"
             " INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at,"
             " subscription_id, profile_id, sequence, is_ordered, due_at)"
             " VALUES ('%s', '%s', '%s', 'epoch'::timestamptz + %lld * interval '1 ms', '%s', "
             "'%s', %lld, %s,"
             " 'epoch'::timestamptz + %lld * interval '1 ms')",
             text_of(workspace, ids[0]), (long long)shop->now_ms,
             text_of(id_of(0x20, wanted->number), ids[1]),
             text_of(id_of(0x40, wanted->profile), ids[2]), (long long)wanted->sequence,
             wanted->number, wanted->body_bytes > 0 ? wanted->body_bytes : 12, ids[0],
             text_of(id_of(0x30, wanted->number), ids[3]), ids[1], (long long)shop->now_ms,
             text_of(subscription(wanted->subscription), ids[4]), ids[2],
             (long long)wanted->sequence, wanted->is_ordered ? "true" : "false",
             (long long)(shop->now_ms + wanted->due_ms));
    pg_fixture_script(shop->fixture->pg, sql);
}

static unsigned number_of(const struct delivery *delivery)
{
    return (unsigned)delivery->id.bytes[14] << 8 | delivery->id.bytes[15];
}

static size_t claim_as(struct shop *shop, struct pg *pg, unsigned who, size_t limit)
{
    struct problem problem = { .detail = "" };
    const struct claim_terms terms = {
        .workspace_id = workspace,
        .workspace_name = STR("aurora"),
        .owner = owner(who),
        .now_ms = shop->now_ms,
        .lease_until_ms = shop->now_ms + LIMIT_DELIVERY_LEASE_MS,
        .limit = limit,
    };
    if (delivery_store_claim(pg, shop->fixture->arena, &terms, shop->lanes, shop->lane_count,
                             &shop->claimed, &shop->claimed_count, &problem) != STATUS_OK) {
        fail_msg("claim: %s", problem.detail);
    }
    return shop->claimed_count;
}

static size_t claim(struct shop *shop)
{
    return claim_as(shop, shop->fixture->pg, 1, 500);
}

static void settle_as(struct shop *shop, unsigned who, const struct settlement *settlement)
{
    struct problem problem = { .detail = "" };
    const struct settle_terms terms = { .owner = owner(who),
                                        .now_ms = shop->now_ms,
                                        .lease_until_ms = shop->now_ms + LIMIT_DELIVERY_LEASE_MS };
    if (delivery_store_settle(shop->fixture->pg, shop->fixture->arena, &terms, settlement, 1,
                              &shop->next, &shop->next_count, &problem) != STATUS_OK) {
        fail_msg("settle: %s", problem.detail);
    }
}

static struct settlement settlement_of(struct shop *shop, const struct delivery *delivery,
                                       int64_t retry_ms)
{
    return (struct settlement){
        .attempt = { .workspace_id = workspace,
                     .id = id_create(),
                     .at_ms = shop->now_ms,
                     .delivery_id = delivery->id,
                     .notification_id = delivery->notification_id,
                     .subscription_id = delivery->subscription_id,
                     .profile_id = delivery->profile_id,
                     .number = delivery->attempt + 1,
                     .outcome = retry_ms > 0 ? ATTEMPT_RETRY : ATTEMPT_DELIVERED,
                     .next_at_ms = retry_ms > 0 ? shop->now_ms + retry_ms : INSTANT_NONE,
                     .body_bytes = (uint32_t)delivery->body.size },
        .settled = retry_ms == 0,
        .is_ordered = delivery->is_ordered,
    };
}

/* retry_ms 0: delivered. */
static void settle(struct shop *shop, const struct delivery *delivery, int64_t retry_ms)
{
    struct settlement settlement = settlement_of(shop, delivery, retry_ms);
    settle_as(shop, 1, &settlement);
}

static int64_t count(struct shop *shop, const char *name, const char *sql)
{
    return pg_fixture_i64(shop->fixture, name, sql);
}

/* --- claims ----------------------------------------------------------------- */

static void each_endpoint_gets_what_it_has_room_for(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    for (unsigned i = 0; i < 30; i++) {
        put(&shop,
            &(struct wanted){
                .number = i, .subscription = 1, .profile = i, .due_ms = -10000 + (int64_t)i });
    }
    put(&shop, &(struct wanted){ .number = 100, .subscription = 2, .profile = 1 });
    put(&shop, &(struct wanted){ .number = 101, .subscription = 3, .profile = 1 });
    put(&shop, &(struct wanted){ .number = 102, .subscription = 2, .profile = 1, .due_ms = 5000 });
    struct claim_lane *busy = lane_add(&shop, 1, 4);
    struct claim_lane *quiet = lane_add(&shop, 2, 10);
    assert_int_equal(claim(&shop), 5); /* of 3, which was not asked, nothing */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(number_of(&shop.claimed[i]), i); /* the longest due first */
    }
    assert_int_equal(number_of(&shop.claimed[4]), 100);
    assert_str_equal(str_trim(shop.claimed[4].body), STR("{\"n\":100}"));
    assert_str_equal(shop.claimed[4].topic, STR("tag.added"));
    assert_int_equal(busy->claimed, 4);
    assert_int_equal(busy->floor_ms, shop.now_ms - 9997); /* nothing comes below it any more */
    assert_int_equal(quiet->floor_ms, shop.now_ms - 5000);
    assert_int_equal(claim(&shop), 4); /* what is leased is not claimed again */
    shop.now_ms += LIMIT_DELIVERY_LEASE_MS + 1000;
    busy->room = 100;
    busy->floor_ms = INSTANT_NONE;
    quiet->floor_ms = INSTANT_NONE;
    assert_int_equal(claim(&shop), 32); /* until the lease runs out; and 102 is due */
}

static void the_limit_is_over_all(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    for (unsigned i = 0; i < 20; i++) {
        put(&shop, &(struct wanted){ .number = i, .subscription = 1 + i / 10, .profile = i });
    }
    lane_add(&shop, 1, 10);
    struct claim_lane *second = lane_add(&shop, 2, 10);
    assert_int_equal(claim_as(&shop, shop.fixture->pg, 1, 12), 12);
    assert_true(second->floor_ms <= shop.now_ms - 5000); /* it has more */
    assert_int_equal(claim_as(&shop, shop.fixture->pg, 1, 12), 8);
}

/* --- order ------------------------------------------------------------------ */

static void a_later_one_waits_for_the_earlier(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    put(&shop,
        &(struct wanted){
            .number = 1, .subscription = 1, .profile = 7, .sequence = 10, .is_ordered = true });
    put(&shop, &(struct wanted){ .number = 2,
                                 .subscription = 1,
                                 .profile = 7,
                                 .sequence = 11,
                                 .is_ordered = true,
                                 .due_ms = -60000 });
    put(&shop,
        &(struct wanted){
            .number = 3, .subscription = 1, .profile = 7, .sequence = 12, .is_ordered = true });
    put(&shop,
        &(struct wanted){
            .number = 4, .subscription = 1, .profile = 8, .sequence = 50, .is_ordered = true });
    put(&shop,
        &(struct wanted){
            .number = 5, .subscription = 2, .profile = 7, .sequence = 11, .is_ordered = true });
    lane_add(&shop, 1, 10);
    lane_add(&shop, 2, 10);
    assert_int_equal(claim(&shop), 3); /* each customer's first at each endpoint */
    assert_int_equal(number_of(&shop.claimed[0]), 1);
    assert_int_equal(number_of(&shop.claimed[1]), 4);
    assert_int_equal(number_of(&shop.claimed[2]), 5);
    struct delivery head = shop.claimed[0];

    settle(&shop, &head, 300000); /* put off for five minutes */
    assert_int_equal(shop.next_count, 0);
    shop.now_ms += 1000;
    assert_int_equal(claim(&shop), 0);
    shop.now_ms += 300000;
    shop.lanes[0].floor_ms = INSTANT_NONE;
    assert_int_equal(claim(&shop), 3); /* the others' leases ran out */
    head = shop.claimed[1];
    assert_int_equal(number_of(&head), 1);
    assert_int_equal(head.attempt, 1);

    settle(&shop, &head, 0);
    assert_int_equal(shop.next_count, 1); /* its follower came with it, leased */
    assert_int_equal(number_of(&shop.next[0]), 2);
    assert_str_equal(str_trim(shop.next[0].body), STR("{\"n\":2}"));
    assert_int_equal(claim(&shop), 0);
    struct delivery second = shop.next[0];
    settle(&shop, &second, 0);
    assert_int_equal(number_of(&shop.next[0]), 3);
}

/* --- merges ------------------------------------------------------------------ */

enum {
    SURVIVOR = 7,
    LOSER = 9,
};

/* As intake saves: the merge, and what rang with it, of the loser first. */
static void merge(struct shop *shop, size_t rung, struct delivery **out_rows, size_t *out_count)
{
    struct problem problem = { .detail = "" };
    struct id to[] = { subscription(1) };
    struct delivery_way way[] = { { .is_ordered = true } };
    struct notification_row bells[2];
    struct identity_decision_row edge = { .id = id_of(0x70, 1),
                                          .kind = IDENTITY_MERGED,
                                          .from_id = id_of(0x40, LOSER),
                                          .into_id = id_of(0x40, SURVIVOR),
                                          .because = IDENTITY_EMAIL,
                                          .at_ms = shop->now_ms };
    for (unsigned i = 0; i < rung; i++) {
        bells[i] = (struct notification_row){
            .id = id_of(0x20, 100 + i),
            .created_at_ms = shop->now_ms,
            .profile_id = id_of(0x40, i == 0 ? LOSER : SURVIVOR),
            .topic = STR("tag.added"),
            .sequence = 50 + i,
            .body = STR("{}"),
            .subscription_ids = to,
            .subscription_ways = way,
            .subscription_count = 1,
        };
    }
    struct decision_rows rows = { .identity_decisions = &edge,
                                  .identity_decision_count = 1,
                                  .notifications = bells,
                                  .notification_count = rung };
    const struct batch_save save = { .rows = &rows,
                                     .lease_owner = owner(1),
                                     .lease_until_ms = shop->now_ms + LIMIT_DELIVERY_LEASE_MS };
    struct batch batch;
    assert_int_equal(
        batch_init(&batch, shop->fixture->pg, shop->fixture->arena, workspace, NULL, 0), STATUS_OK);
    pg_fixture_script(shop->fixture->pg, "BEGIN");
    if (batch_save(&batch, &save, out_rows, out_count, &problem) != STATUS_OK) {
        fail_msg("save: %s", problem.detail);
    }
    pg_fixture_script(
        shop->fixture->pg,
        "INSERT INTO profile (workspace_id, id, merged_into, sequence, created_at, updated_at,"
        " decided_at, first_seen_at, identified, state)"
        " VALUES ('01000000-0000-0000-0000-000000000000', '40000000-0000-0000-0000-000000000009',"
        " '40000000-0000-0000-0000-000000000007', 1, now(), now(), now(), now(), true, '')");
}

static void put_about(struct shop *shop, unsigned number, unsigned profile, bool is_ordered)
{
    put(shop, &(struct wanted){ .number = number,
                                .subscription = 1,
                                .profile = profile,
                                .sequence = number,
                                .is_ordered = is_ordered });
}

static int64_t count_under(struct shop *shop, const char *name, unsigned profile)
{
    char sql[SQL_SIZE];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM delivery WHERE profile_id = '40000000-0000-0000-0000-%012u'",
             profile);
    return count(shop, name, sql);
}

static void a_merge_joins_what_is_pending(void **state)
{
    struct shop shop;
    struct delivery *made = NULL;
    size_t made_count = 0;
    shop_open(&shop, state);
    put_about(&shop, 1, LOSER, true);
    put_about(&shop, 2, SURVIVOR, true);
    put_about(&shop, 3, LOSER, true);
    put_about(&shop, 4, LOSER, false);
    put_about(&shop, 5, 8, true);
    merge(&shop, 2, &made, &made_count);
    assert_int_equal(made_count, 0); /* all waits behind what was pending */
    assert_int_equal(count_under(&shop, "under_survivor", SURVIVOR), 5);
    assert_int_equal(count_under(&shop, "under_loser", LOSER), 1); /* for which order is none */
    assert_int_equal(count_under(&shop, "under_other", 8), 1);
    lane_add(&shop, 1, 10);
    assert_int_equal(claim(&shop), 3);
    struct delivery head = shop.claimed[0];
    for (unsigned next = 2; next <= 3; next++) {
        settle(&shop, &head, 0);
        assert_int_equal(shop.next_count, 1);
        assert_int_equal(number_of(&shop.next[0]), next);
        head = shop.next[0];
    }
    assert_true(id_equal(head.profile_id, id_of(0x40, LOSER))); /* whom it is about */
}

static void what_rings_with_a_merge_is_one_order(void **state)
{
    struct shop shop;
    struct delivery *made = NULL;
    size_t made_count = 0;
    shop_open(&shop, state);
    merge(&shop, 2, &made, &made_count);
    assert_int_equal(made_count, 1); /* the loser's, and the survivor's behind it */
    assert_true(id_equal(made[0].profile_id, id_of(0x40, LOSER)));
    assert_int_equal(count_under(&shop, "both_under_survivor", SURVIVOR), 2);
    shop.now_ms = clock_now_ms() + 1;
    settle(&shop, &made[0], 0);
    assert_int_equal(shop.next_count, 1);
}

/* In memory it is about the loser; what waits behind it went to the survivor. */
static void who_was_merged_in_the_air_wakes_the_survivor(void **state)
{
    struct shop shop;
    struct delivery *made = NULL;
    size_t made_count = 0;
    shop_open(&shop, state);
    put_about(&shop, 1, LOSER, true);
    put_about(&shop, 2, LOSER, true);
    lane_add(&shop, 1, 10);
    assert_int_equal(claim(&shop), 1);
    struct delivery head = shop.claimed[0];
    merge(&shop, 0, &made, &made_count);
    settle(&shop, &head, 0);
    assert_int_equal(shop.next_count, 1);
    assert_int_equal(number_of(&shop.next[0]), 2);
}

static void a_lost_lease_settles_nothing(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    put(&shop,
        &(struct wanted){
            .number = 1, .subscription = 1, .profile = 7, .sequence = 10, .is_ordered = true });
    put(&shop,
        &(struct wanted){
            .number = 2, .subscription = 1, .profile = 7, .sequence = 11, .is_ordered = true });
    lane_add(&shop, 1, 10);
    assert_int_equal(claim_as(&shop, shop.fixture->pg, 2, 500), 1);
    struct delivery head = shop.claimed[0];
    shop.now_ms += LIMIT_DELIVERY_LEASE_MS + 1;
    shop.lanes[0].floor_ms = INSTANT_NONE;
    assert_int_equal(claim(&shop), 1); /* taken over */
    struct settlement late = settlement_of(&shop, &head, 0);
    settle_as(&shop, 2, &late);
    assert_int_equal(shop.next_count, 0);
    assert_int_equal(count(&shop, "rows", "SELECT count(*) FROM delivery"), 2);
}

/* --- batches ---------------------------------------------------------------- */

static struct claim_lane *batched(struct shop *shop, unsigned number, size_t max, int64_t wait_ms)
{
    struct claim_lane *lane = lane_add(shop, number, 16);
    lane->batch_max = max;
    lane->ripe_by_ms = shop->now_ms - wait_ms;
    return lane;
}

static bool contains(struct str text, const char *wanted)
{
    size_t size = strlen(wanted);
    for (size_t at = 0; at + size <= text.size; at++) {
        if (memcmp(text.data + at, wanted, size) == 0) {
            return true;
        }
    }
    return false;
}

static void a_batch_ripens_by_number_or_time(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    struct claim_lane *lane = batched(&shop, 1, 3, 60000);
    put(&shop, &(struct wanted){ .number = 1, .subscription = 1, .profile = 1, .due_ms = -3000 });
    put(&shop, &(struct wanted){ .number = 2, .subscription = 1, .profile = 2, .due_ms = -2000 });
    assert_int_equal(claim(&shop), 0);
    put(&shop, &(struct wanted){ .number = 3, .subscription = 1, .profile = 3, .due_ms = -1000 });
    put(&shop, &(struct wanted){ .number = 4, .subscription = 1, .profile = 4 });
    assert_int_equal(claim(&shop), 1);
    const struct delivery *batch = &shop.claimed[0];
    assert_int_equal(batch->member_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(id_equal(batch->members[i].delivery_id, id_of(0x30, i + 1)));
    }
    assert_str_equal(batch->topic, STR(BATCH_TOPIC));
    assert_true(contains(batch->body, "{\"n\":2}"));
    assert_int_equal(batch->id.bytes[6] >> 4, 8);
    assert_int_equal(claim(&shop), 0); /* the fourth is not ripe */
    lane->ripe_by_ms = shop.now_ms;
    assert_int_equal(claim(&shop), 1);
    assert_int_equal(shop.claimed[0].member_count, 1);
}

/* Crash between freezing and sending, or between sending and settling. */
static void a_frozen_batch_stays_what_it_is(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    struct claim_lane *lane = batched(&shop, 1, 10, 1000);
    put(&shop, &(struct wanted){ .number = 1, .subscription = 1, .profile = 1, .due_ms = -3000 });
    put(&shop, &(struct wanted){ .number = 2, .subscription = 1, .profile = 2, .due_ms = -2000 });
    assert_int_equal(claim_as(&shop, shop.fixture->pg, 2, 500), 1);
    struct delivery before = shop.claimed[0];
    put(&shop,
        &(struct wanted){
            .number = 3, .subscription = 1, .profile = 3, .due_ms = -3000 }); /* too late for it */
    shop.now_ms += LIMIT_DELIVERY_LEASE_MS + 1;
    lane->floor_ms = INSTANT_NONE;
    lane->ripe_by_ms = 0;
    assert_int_equal(claim(&shop), 1);
    struct delivery after = shop.claimed[0];
    assert_true(id_equal(after.id, before.id));
    assert_str_equal(after.body, before.body);

    /* Retried as it is, under the same id. */
    struct member_end ends[2] = {
        { .member = after.members[0],
          .fate = MEMBER_KEPT,
          .outcome = ATTEMPT_RETRY,
          .next_at_ms = shop.now_ms + 5000 },
        { .member = after.members[1],
          .fate = MEMBER_KEPT,
          .outcome = ATTEMPT_RETRY,
          .next_at_ms = shop.now_ms + 5000 },
    };
    struct settlement settlement = settlement_of(&shop, &after, 5000);
    settlement.members = ends;
    settlement.member_count = 2;
    settle_as(&shop, 1, &settlement);
    assert_int_equal(claim(&shop), 0);
    shop.now_ms += 5001;
    assert_int_equal(claim(&shop), 1);
    assert_true(id_equal(shop.claimed[0].id, before.id));
    assert_str_equal(shop.claimed[0].body, before.body);
    assert_int_equal(shop.claimed[0].attempt, 1);
    assert_int_equal(count(&shop, "logged",
                           "SELECT count(*) FROM attempt WHERE number = 1"
                           " AND batch_id IS NOT NULL AND outcome = 'retry'"),
                     2);
}

static void rejected_members_come_again_in_another_batch(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    struct claim_lane *lane = batched(&shop, 1, 3, 0);
    for (unsigned i = 1; i <= 3; i++) {
        put(&shop,
            &(struct wanted){ .number = i, .subscription = 1, .profile = i, .due_ms = -1000 });
    }
    assert_int_equal(claim(&shop), 1);
    struct delivery first = shop.claimed[0];
    struct member_end ends[3] = {
        { .member = first.members[0],
          .fate = MEMBER_SETTLED,
          .outcome = ATTEMPT_DELIVERED,
          .next_at_ms = INSTANT_NONE },
        { .member = first.members[1],
          .fate = MEMBER_AGAIN,
          .outcome = ATTEMPT_RETRY,
          .next_at_ms = shop.now_ms + 5000,
          .error = STR("contact is locked") },
        { .member = first.members[2], .fate = MEMBER_FREED, .next_at_ms = INSTANT_NONE },
    };
    struct settlement settlement = settlement_of(&shop, &first, 0);
    settlement.members = ends;
    settlement.member_count = 3;
    settle_as(&shop, 1, &settlement);
    assert_int_equal(count(&shop, "batches", "SELECT count(*) FROM delivery_batch"), 0);
    assert_int_equal(count(&shop, "left", "SELECT count(*) FROM delivery"), 2);
    assert_int_equal(count(&shop, "attempts", "SELECT count(*) FROM attempt"), 2);
    assert_int_equal(
        count(&shop, "reason", "SELECT count(*) FROM attempt WHERE error = 'contact is locked'"),
        1);

    lane->ripe_by_ms = shop.now_ms;
    assert_int_equal(claim(&shop), 1); /* the freed one at once */
    assert_int_equal(shop.claimed[0].member_count, 1);
    assert_int_equal(shop.claimed[0].members[0].attempt, 0);
    shop.now_ms += 5001;
    lane->ripe_by_ms = shop.now_ms;
    assert_int_equal(claim(&shop), 1);
    assert_int_equal(shop.claimed[0].members[0].attempt, 1);
    assert_true(id_equal(shop.claimed[0].members[0].delivery_id, id_of(0x30, 2)));
}

/* A floor that stayed five seconds behind made every claim walk all that was frozen. */
static void a_floor_follows_what_was_frozen(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    struct claim_lane *lane = batched(&shop, 1, 2, 60000);
    for (unsigned i = 0; i < 3; i++) {
        put(&shop, &(struct wanted){ .number = i + 1,
                                     .subscription = 1,
                                     .profile = i,
                                     .due_ms = -20000 + (int64_t)i * 1000 });
    }
    assert_int_equal(claim(&shop), 1);
    assert_int_equal(lane->floor_ms, shop.now_ms - 19000);
}

/* The customer's first message fell due last: what stays is older than what was frozen. */
static void a_floor_does_not_pass_what_stays(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    struct claim_lane *lane = batched(&shop, 1, 1, 0);
    for (unsigned i = 1; i <= 2; i++) {
        put(&shop, &(struct wanted){ .number = i,
                                     .subscription = 1,
                                     .profile = 7,
                                     .sequence = 3 - (int64_t)i,
                                     .is_ordered = true,
                                     .due_ms = i == 1 ? -20000 : -10000 });
    }
    assert_int_equal(claim(&shop), 1);
    assert_true(id_equal(shop.claimed[0].members[0].delivery_id, id_of(0x30, 2)));
    assert_int_equal(lane->floor_ms, shop.now_ms - 20000);
}

static void fill(struct shop *shop, unsigned subscriptions, unsigned each, unsigned body_bytes)
{
    char sql[SQL_SIZE];
    char ids[2][ID_TEXT_SIZE];
    for (unsigned i = 1; i <= subscriptions; i++) {
        snprintf(sql, sizeof(sql),
                 "WITH n AS (INSERT INTO notification (workspace_id, created_at, id, profile_id,"
                 " topic, sequence, body) SELECT '%s', date_trunc('second', now()), md5('%u-' ||"
                 " g)::uuid, md5('p')::uuid, 'tag.added', 1, rpad('{}', %u) FROM "
                 "generate_series(1, %u) g"
                 " RETURNING workspace_id, created_at, id, profile_id) INSERT INTO delivery"
                 " (workspace_id, id, notification_id, notification_created_at, subscription_id,"
                 " profile_id, sequence, due_at) SELECT workspace_id, id, id, created_at, '%s',"
                 " profile_id, 1, now() - interval '10 seconds' FROM n",
                 text_of(workspace, ids[0]), i, body_bytes, each, text_of(subscription(i), ids[1]));
        pg_fixture_script(shop->fixture->pg, sql);
    }
}

/* The first lanes took all that one freeze may hold, turn by turn. */
static void ripe_lanes_share_a_freeze(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    fill(&shop, 4, 1600, 2);
    for (unsigned i = 1; i <= 4; i++) {
        (void)batched(&shop, i, 100, 0);
    }
    assert_int_equal(claim(&shop), 40);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(shop.lanes[i].claimed, 10);
    }
}

/* All bodies of a freeze did not fit into the arena of a claim, and nothing was sent, turn
 * by turn. */
static void a_freeze_reads_bodies_up_to_so_many_bytes(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    fill(&shop, 2, 600, 100000);
    for (unsigned i = 1; i <= 2; i++) {
        (void)batched(&shop, i, 100, 60000); /* none is ripe by its age, at the end neither */
    }
    struct arena *own = shop.fixture->arena;
    size_t members[2] = { 0 };
    for (size_t turn = 0; turn < 30 && members[0] + members[1] < 1200; turn++) {
        shop.fixture->arena =
            arena_create(LIMIT_DELIVERY_CLAIM * (size_t)(LIMIT_DELIVERY_BODY_BYTES + 4096));
        (void)claim(&shop);
        for (size_t i = 0; i < shop.claimed_count; i++) {
            const struct delivery *batch = &shop.claimed[i];
            members[id_equal(batch->subscription_id, subscription(2))] += batch->member_count;
            assert_in_range(batch->body.size, 1000, LIMIT_DELIVERY_BATCH_BYTES);
        }
        assert_in_range(members[0] > members[1] ? members[0] - members[1] : members[1] - members[0],
                        0, 10);
        arena_destroy(shop.fixture->arena);
        shop.lanes[0].ripe_by_ms = shop.lanes[1].ripe_by_ms = shop.now_ms;
    }
    shop.fixture->arena = own;
    assert_int_equal(members[0], 600);
    assert_int_equal(members[1], 600);
}

static int64_t batches_looked_at(struct shop *shop)
{
    (void)count(shop, "flush", "SELECT count(pg_stat_force_next_flush()::text)");
    return count(shop, "looked",
                 "SELECT (seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables"
                 " WHERE relname = 'delivery_batch'");
}

/* Every member was compared with every batch that was under way. */
static void a_settlement_looks_at_its_own_batches(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    fill(&shop, 2, 160, 2);
    for (unsigned i = 1; i <= 2; i++) {
        (void)batched(&shop, i, 10, 0);
    }
    assert_int_equal(claim(&shop), 32);
    const struct delivery *batch = &shop.claimed[7];
    struct member_end ends[10];
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        ends[i] = (struct member_end){ .member = batch->members[i],
                                       .fate = i < 9 ? MEMBER_SETTLED : MEMBER_FREED,
                                       .outcome = ATTEMPT_DELIVERED,
                                       .next_at_ms = INSTANT_NONE };
    }
    struct settlement settlement = settlement_of(&shop, batch, 0);
    settlement.members = ends;
    settlement.member_count = ARRAY_COUNT(ends);
    int64_t before = batches_looked_at(&shop);
    settle_as(&shop, 1, &settlement);
    assert_in_range(batches_looked_at(&shop) - before, 1, 4);
    assert_int_equal(count(&shop, "left", "SELECT count(*) FROM delivery"), 311);
    assert_int_equal(count(&shop, "free", "SELECT count(*) FROM delivery WHERE batch_id IS NULL"),
                     1);
}

static void a_batch_keeps_the_order_about_a_customer(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    batched(&shop, 1, 10, 0);
    put(&shop, &(struct wanted){ .number = 1,
                                 .subscription = 1,
                                 .profile = 7,
                                 .sequence = 3,
                                 .is_ordered = true,
                                 .due_ms = -9000 });
    put(&shop, &(struct wanted){ .number = 2,
                                 .subscription = 1,
                                 .profile = 7,
                                 .sequence = 1,
                                 .is_ordered = true,
                                 .due_ms = -2000 });
    put(&shop, &(struct wanted){ .number = 3,
                                 .subscription = 1,
                                 .profile = 8,
                                 .sequence = 9,
                                 .is_ordered = true,
                                 .due_ms = -5000 });
    put(&shop, &(struct wanted){ .number = 4,
                                 .subscription = 1,
                                 .profile = 7,
                                 .sequence = 2,
                                 .is_ordered = true,
                                 .due_ms = -4000 });
    /* This one's predecessor is not due: it must wait. */
    put(&shop, &(struct wanted){ .number = 5,
                                 .subscription = 1,
                                 .profile = 9,
                                 .sequence = 1,
                                 .is_ordered = true,
                                 .due_ms = 4000 });
    put(&shop, &(struct wanted){ .number = 6,
                                 .subscription = 1,
                                 .profile = 9,
                                 .sequence = 2,
                                 .is_ordered = true,
                                 .due_ms = -4000 });
    assert_int_equal(claim(&shop), 1);
    static const unsigned expected[] = { 2, 3, 4, 1 };
    assert_int_equal(shop.claimed[0].member_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(id_equal(shop.claimed[0].members[i].delivery_id, id_of(0x30, expected[i])));
    }
    put(&shop,
        &(struct wanted){
            .number = 7, .subscription = 1, .profile = 7, .sequence = 4, .is_ordered = true });
    assert_int_equal(claim(&shop), 0); /* not while the others are out */
}

static void a_batch_is_no_longer_than_a_message_may_be(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    batched(&shop, 1, 100, 0);
    for (unsigned i = 0; i < 9; i++) {
        put(&shop, &(struct wanted){ .number = i,
                                     .subscription = 1,
                                     .profile = i,
                                     .body_bytes = (size_t)200 * 1024,
                                     .due_ms = -100 });
    }
    assert_int_equal(claim(&shop), 2);
    assert_int_equal(shop.claimed[0].member_count, 5);
    assert_int_equal(shop.claimed[1].member_count, 4);
    assert_true(shop.claimed[0].body.size <= LIMIT_DELIVERY_BATCH_BYTES);
}

static void an_erased_member_leaves_its_batch(void **state)
{
    struct shop shop;
    shop_open(&shop, state);
    struct claim_lane *lane = batched(&shop, 1, 10, 0);
    put(&shop, &(struct wanted){ .number = 1, .subscription = 1, .profile = 1 });
    put(&shop, &(struct wanted){ .number = 2, .subscription = 1, .profile = 2 });
    assert_int_equal(claim_as(&shop, shop.fixture->pg, 2, 500), 1);
    pg_fixture_script(shop.fixture->pg, "DELETE FROM delivery WHERE profile_id::text LIKE '%01'");
    shop.now_ms += LIMIT_DELIVERY_LEASE_MS + 1;
    lane->floor_ms = INSTANT_NONE;
    assert_int_equal(claim(&shop), 1);
    assert_int_equal(shop.claimed[0].member_count, 1);
    pg_fixture_script(shop.fixture->pg, "DELETE FROM delivery");
    shop.now_ms += LIMIT_DELIVERY_LEASE_MS + 1;
    assert_int_equal(claim(&shop), 0);
    assert_int_equal(count(&shop, "none", "SELECT count(*) FROM delivery_batch"), 0);
}

/* --- leases, consent, senders ------------------------------------------------- */

static void leases_are_renewed_and_given_back(void **state)
{
    struct shop shop;
    struct problem problem = { .detail = "" };
    shop_open(&shop, state);
    put(&shop, &(struct wanted){ .number = 1, .subscription = 1, .profile = 1 });
    put(&shop, &(struct wanted){ .number = 2, .subscription = 2, .profile = 2 });
    lane_add(&shop, 1, 10);
    batched(&shop, 2, 10, 0);
    assert_int_equal(claim(&shop), 2);
    struct delivery held[2] = { shop.claimed[0], shop.claimed[1] };
    assert_int_equal(delivery_store_renew(shop.fixture->pg, shop.fixture->arena, owner(1), held, 2,
                                          shop.now_ms + 3 * LIMIT_DELIVERY_LEASE_MS, &problem),
                     STATUS_OK);
    shop.now_ms += 2 * LIMIT_DELIVERY_LEASE_MS;
    shop.lanes[0].floor_ms = INSTANT_NONE;
    shop.lanes[1].floor_ms = INSTANT_NONE;
    assert_int_equal(claim(&shop), 0);
    assert_int_equal(delivery_store_renew(shop.fixture->pg, shop.fixture->arena, owner(1), held, 2,
                                          shop.now_ms - 1, &problem),
                     STATUS_OK);
    shop.lanes[0].floor_ms = INSTANT_NONE;
    shop.lanes[1].floor_ms = INSTANT_NONE;
    assert_int_equal(claim(&shop), 2);
}

static void senders_count_each_other(void **state)
{
    struct pg_fixture *fixture = *state;
    struct problem problem = { .detail = "" };
    struct pg *other = pg_fixture_open(fixture, true);
    int64_t senders = 0;
    assert_int_equal(delivery_store_count_senders(other, fixture->arena, &senders, &problem),
                     STATUS_OK);
    assert_int_equal(senders, 1);
    assert_int_equal(delivery_store_count_senders(fixture->pg, fixture->arena, &senders, &problem),
                     STATUS_OK);
    assert_int_equal(senders, 2);
    pg_close(other);
}

/* --- plans ------------------------------------------------------------------- */

static void explain(struct shop *shop, const char *name, const char *sql, const char *wanted)
{
    static char text[16384];
    const struct pg_statement statement = { name, sql };
    struct pg_result *rows = NULL;
    struct problem problem = { .detail = "" };
    size_t size = 0;
    if (pg_run(shop->fixture->pg, shop->fixture->arena, &statement, NULL, &rows, &problem) !=
        STATUS_OK) {
        fail_msg("%s: %s", name, problem.detail);
    }
    for (size_t row = 0; row < pg_row_count(rows); row++) {
        struct str line = pg_get_text(rows, row, 0);
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%.*s\n", STR_ARG(line));
    }
    bool walks = strstr(text, "Seq Scan on delivery") != NULL;
    if (walks || strstr(text, wanted) == NULL) {
        fail_msg("%s wants %s:\n%s", name, wanted, text);
    }
}

/* Whatever the table holds, an endpoint's rows are found by its own part of the index,
 * and what is earlier about a customer, or waits when they are merged, by the order's. */
static void a_claim_begins_with_its_endpoint(void **state)
{
    static const char CLAIM[] =
        "EXPLAIN SELECT r.id FROM unnest('{50000000-0000-0000-0000-000000000001}'::uuid[])"
        " AS u (s) CROSS JOIN LATERAL (SELECT c.id FROM delivery c"
        " WHERE c.workspace_id = '01000000-0000-0000-0000-000000000000'"
        " AND c.subscription_id = u.s AND c.due_at >= '2026-01-01' AND c.due_at <= now()"
        " AND (c.lease_until IS NULL OR c.lease_until < now()) AND c.batch_id IS NULL"
        " AND (NOT c.is_ordered OR NOT EXISTS (SELECT 1 FROM delivery e"
        " WHERE e.workspace_id = c.workspace_id AND e.subscription_id = c.subscription_id"
        " AND e.profile_id = c.profile_id AND e.is_ordered"
        " AND (e.sequence, e.rank, e.id) < (c.sequence, c.rank, c.id)))"
        " ORDER BY c.due_at LIMIT 10 FOR UPDATE OF c SKIP LOCKED) r";
    static const char MERGE[] =
        "EXPLAIN SELECT r.id FROM unnest('{40000000-0000-0000-0000-000000000009}'::uuid[])"
        " AS u (from_id) CROSS JOIN LATERAL (SELECT c.id FROM delivery c"
        " WHERE c.workspace_id = '01000000-0000-0000-0000-000000000000'"
        " AND c.profile_id = u.from_id AND c.is_ordered"
        " ORDER BY c.subscription_id, c.sequence, c.rank, c.id FOR UPDATE) r";
    struct shop shop;
    shop_open(&shop, state);
    for (int round = 0; round < 2; round++) {
        const char *names[2][3] = { { "plan_due_empty", "plan_order_empty", "plan_merge_empty" },
                                    { "plan_due_skewed", "plan_order_skewed",
                                      "plan_merge_skewed" } };
        explain(&shop, names[round][0], CLAIM, "Index Scan using delivery_due");
        explain(&shop, names[round][1], CLAIM, "using delivery_order");
        explain(&shop, names[round][2], MERGE, "using delivery_order");
        /* One dead endpoint with nearly all of it. */
        pg_fixture_script(shop.fixture->pg,
                          "INSERT INTO delivery (workspace_id, id, notification_id,"
                          " notification_created_at, subscription_id, profile_id, sequence,"
                          " due_at) SELECT '01000000-0000-0000-0000-000000000000',"
                          " gen_random_uuid(), gen_random_uuid(), now(), CASE WHEN n % 1000 = 0"
                          " THEN '50000000-0000-0000-0000-000000000001'::uuid ELSE"
                          " '50000000-0000-0000-0000-000000000002' END, gen_random_uuid(), n,"
                          " now() FROM generate_series(1, 20000) AS g (n);"
                          "ANALYZE delivery");
    }
    lane_add(&shop, 1, 100);
    shop.now_ms = clock_now_ms() + 1000;
    assert_int_equal(claim(&shop), 40);
}

/* --- any interleaving ---------------------------------------------------------- */

enum {
    STORIES = 12,
    STEPS = 160,
    PROFILES = 4,
    MESSAGES = 60,
};

struct story {
    struct shop shop;
    unsigned seed;
    unsigned next_number;
    int64_t sequence;               /* of all customers: it only grows */
    int64_t delivered[2][PROFILES]; /* the last sequence, by endpoint */
    bool is_seen[3 * MESSAGES];     /* by number */
    bool is_done[3 * MESSAGES];
    struct delivery held[2][MESSAGES]; /* by instance, as if in its memory */
    size_t held_count[2];
};

static unsigned draw(struct story *story, unsigned below)
{
    story->seed = story->seed * 1103515245u + 12345u;
    return (story->seed >> 16) % below;
}

/* Deep copies are not needed: the arena lives as long as the story. */
static void hold(struct story *story, unsigned who, const struct delivery *rows, size_t row_count)
{
    for (size_t i = 0; i < row_count; i++) {
        assert_true(story->held_count[who] < MESSAGES);
        story->held[who][story->held_count[who]++] = rows[i];
    }
}

static void see(struct story *story, const struct delivery *delivery, struct id id,
                struct id profile_id, int64_t sequence)
{
    unsigned endpoint = delivery->subscription_id.bytes[15] - 1u;
    unsigned number = (unsigned)id.bytes[14] << 8 | id.bytes[15];
    unsigned profile = profile_id.bytes[15];
    if (story->is_seen[number]) {
        return; /* a repeat, under the same id */
    }
    story->is_seen[number] = true;
    if (sequence < story->delivered[endpoint][profile]) {
        fail_msg("%u at %u: %lld after %lld", profile, endpoint, (long long)sequence,
                 (long long)story->delivered[endpoint][profile]);
    }
    story->delivered[endpoint][profile] = sequence;
}

/* The sequences are the numbers: see story_step. */
static void receive(struct story *story, const struct delivery *delivery)
{
    if (delivery->member_count == 0) {
        see(story, delivery, delivery->id, delivery->profile_id, delivery->sequence);
    }
    for (size_t i = 0; i < delivery->member_count; i++) {
        const struct delivery_member *member = &delivery->members[i];
        see(story, delivery, member->delivery_id, member->profile_id,
            (int64_t)member->delivery_id.bytes[14] << 8 | member->delivery_id.bytes[15]);
    }
}

static void done(struct story *story, struct id id)
{
    story->is_done[(unsigned)id.bytes[14] << 8 | id.bytes[15]] = true;
}

static void story_settle(struct story *story, unsigned who, const struct delivery *delivery,
                         bool is_taken)
{
    struct shop *shop = &story->shop;
    struct member_end ends[MESSAGES];
    struct settlement settlement = settlement_of(shop, delivery, is_taken ? 0 : 5000);
    for (size_t i = 0; i < delivery->member_count; i++) {
        ends[i] = (struct member_end){
            .member = delivery->members[i],
            .fate = is_taken ? MEMBER_SETTLED : MEMBER_KEPT,
            .outcome = settlement.attempt.outcome,
            .next_at_ms = settlement.attempt.next_at_ms,
        };
        if (is_taken) {
            done(story, delivery->members[i].delivery_id);
        }
    }
    if (is_taken && delivery->member_count == 0) {
        done(story, delivery->id);
    }
    settlement.members = ends;
    settlement.member_count = delivery->member_count;
    settle_as(shop, who, &settlement);
    hold(story, who, shop->next, shop->next_count);
}

/* An instance sends what it holds; a message is seen before it is settled, and then
 * it may be taken, refused, or never settled since the instance died. */
static void story_send(struct story *story, unsigned who)
{
    if (story->held_count[who] == 0) {
        return;
    }
    unsigned index = draw(story, (unsigned)story->held_count[who]);
    struct delivery delivery = story->held[who][index];
    story->held[who][index] = story->held[who][--story->held_count[who]];
    if (delivery.lease_until_ms <= story->shop.now_ms) {
        return; /* no attempt without a lease */
    }
    unsigned fate = draw(story, 10);
    if (fate < 2) {
        story_settle(story, who, &delivery, false); /* it never arrived */
        return;
    }
    receive(story, &delivery);
    if (fate > 2) {
        story_settle(story, who, &delivery, true);
    } /* else: killed between the answer and the settling */
}

static void story_claim(struct story *story, unsigned who)
{
    struct shop *shop = &story->shop;
    for (size_t i = 0; i < shop->lane_count; i++) {
        shop->lanes[i].room = 1 + draw(story, 4);
        shop->lanes[i].ripe_by_ms = shop->now_ms - draw(story, 2) * 3000;
        if (draw(story, 3) == 0) {
            shop->lanes[i].floor_ms = INSTANT_NONE;
        }
    }
    size_t found = claim_as(shop, shop->fixture->pg, who, 500);
    hold(story, who, shop->claimed, found);
}

static void story_write(struct story *story)
{
    if (story->next_number >= MESSAGES) {
        return;
    }
    unsigned profile = draw(story, PROFILES);
    for (unsigned endpoint = 1; endpoint <= 2; endpoint++) {
        unsigned number = ++story->sequence & 0xffffu;
        put(&story->shop, &(struct wanted){ .number = number,
                                            .subscription = endpoint,
                                            .profile = profile,
                                            .sequence = number,
                                            .is_ordered = true });
    }
    story->next_number++;
}

static void story_step(struct story *story)
{
    unsigned who = draw(story, 2);
    switch (draw(story, 6)) {
    case 0:
        story_write(story);
        break;
    case 1:
        story_claim(story, who);
        break;
    case 2:
        story->shop.now_ms += draw(story, 4000);
        break;
    case 3:
        if (draw(story, 12) == 0) { /* the instance dies */
            story->held_count[who] = 0;
            story->shop.now_ms += LIMIT_DELIVERY_LEASE_MS + 1;
        }
        break;
    default:
        story_send(story, who);
        break;
    }
}

static void nothing_overtakes_and_nothing_is_lost(void **state)
{
    struct story *story = calloc(1, sizeof(*story));
    assert_non_null(story);
    for (unsigned seed = 1; seed <= STORIES; seed++) {
        *story = (struct story){ .seed = seed };
        shop_open(&story->shop, state);
        pg_fixture_script(story->shop.fixture->pg,
                          "TRUNCATE delivery, delivery_batch, notification, attempt");
        lane_add(&story->shop, 1, 4);
        batched(&story->shop, 2, 5, 3000);
        for (unsigned i = 0; i < STEPS; i++) {
            story_step(story);
        }
        for (unsigned i = 0;
             i < 4000 &&
             story->shop.claimed_count + story->held_count[0] + story->held_count[1] +
                     (size_t)count(&story->shop, "left_of_story", "SELECT count(*) FROM delivery") >
                 0;
             i++) {
            story->shop.now_ms += 2000;
            story_claim(story, i % 2);
            story_send(story, i % 2);
            story_send(story, i % 2);
        }
        for (int64_t number = 1; number <= story->sequence; number++) {
            if (!story->is_done[number]) {
                fail_msg("seed %u: %lld is lost", seed, (long long)number);
            }
        }
        assert_int_equal(count(&story->shop, "no_batches", "SELECT count(*) FROM delivery_batch"),
                         0);
        arena_reset(story->shop.fixture->arena);
    }
    free(story);
}

int main(void)
{
#define IN_A_DATABASE(test) \
    cmocka_unit_test_setup_teardown(test, pg_fixture_setup_migrated, pg_fixture_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DATABASE(each_endpoint_gets_what_it_has_room_for),
        IN_A_DATABASE(the_limit_is_over_all),
        IN_A_DATABASE(a_later_one_waits_for_the_earlier),
        IN_A_DATABASE(a_merge_joins_what_is_pending),
        IN_A_DATABASE(what_rings_with_a_merge_is_one_order),
        IN_A_DATABASE(who_was_merged_in_the_air_wakes_the_survivor),
        IN_A_DATABASE(a_lost_lease_settles_nothing),
        IN_A_DATABASE(a_batch_ripens_by_number_or_time),
        IN_A_DATABASE(a_frozen_batch_stays_what_it_is),
        IN_A_DATABASE(rejected_members_come_again_in_another_batch),
        IN_A_DATABASE(a_floor_follows_what_was_frozen),
        IN_A_DATABASE(a_floor_does_not_pass_what_stays),
        IN_A_DATABASE(ripe_lanes_share_a_freeze),
        IN_A_DATABASE(a_freeze_reads_bodies_up_to_so_many_bytes),
        IN_A_DATABASE(a_settlement_looks_at_its_own_batches),
        IN_A_DATABASE(a_batch_keeps_the_order_about_a_customer),
        IN_A_DATABASE(a_batch_is_no_longer_than_a_message_may_be),
        IN_A_DATABASE(an_erased_member_leaves_its_batch),
        IN_A_DATABASE(leases_are_renewed_and_given_back),
        IN_A_DATABASE(senders_count_each_other),
        IN_A_DATABASE(a_claim_begins_with_its_endpoint),
        IN_A_DATABASE(nothing_overtakes_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
