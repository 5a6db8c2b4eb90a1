#include "base/limits.h"
#include "core/trigger/projection.h"
#include "unit.h"
#include "world.h"

/*
 * One event at a time, seen from outside: who it belongs to, what it changes,
 * what rings. The world is the shell's stand-in; see world.h.
 */

#define DAY INSTANT_DAY_MS

static int open_world(void **state)
{
    *state = world_open();
    return 0;
}

static int close_world(void **state)
{
    world_close(*state);
    return 0;
}

static bool contains(struct str text, const char *part)
{
    for (size_t i = 0; i < text.size; i++) {
        if (str_starts_with(str_drop(text, i), str_from_z(part))) {
            return true;
        }
    }
    return false;
}

static const struct notification_row *find_rung(const struct world *world, const char *topic)
{
    for (size_t i = 0; i < world->notification_count; i++) {
        if (str_equal_z(world->notifications[i].topic, topic)) {
            return &world->notifications[i];
        }
    }
    fail_msg("%s did not ring", topic);
    return &world->notifications[0];
}

static struct event *order_event(struct world *world, const char *spec, const char *order_ref,
                                 struct order_document document)
{
    struct event *event = world_event(world, spec);
    struct order_document *kept = ARENA_NEW(world->arena, struct order_document);
    *kept = document;
    kept->order_ref = str_from_z(order_ref);
    event->order = kept;
    event->act = false;
    switch (kept->kind) {
    case ORDER_BODY:
        event->type = EVENT_ORDER_UPDATED;
        break;
    case ORDER_REFUND:
        event->type = EVENT_ORDER_REFUNDED;
        break;
    case ORDER_CANCELLATION:
        event->type = EVENT_ORDER_CANCELLED;
        break;
    case ORDER_FULFILMENT:
        event->type = EVENT_ORDER_FULFILLED;
        break;
    case ORDER_DELETION:
        event->type = EVENT_ORDER_UPDATED;
        break;
    }
    event->name = str_from_z(event_type_info(event->type)->name);
    return event;
}

static struct order_document paid_body(int64_t placed_at_ms, int64_t total_minor)
{
    return (struct order_document){
        .kind = ORDER_BODY,
        .version_ms = placed_at_ms,
        .rank = ORDER_PAID,
        .counts = true,
        .placed_at_ms = placed_at_ms,
        .currency = STR("EUR"),
        .total_minor = total_minor,
        .body_json = STR("{\"order_id\":\"o1\"}"),
    };
}

static void assert_stage(const struct world *world, const struct profile *profile,
                         const char *stage)
{
    assert_true(str_equal_z(world_stage(world, profile), stage));
}

static void a_first_event_makes_a_profile(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "*");
    world_apply_one(world, world_event(world, "S e1"));
    assert_int_equal(world->profile_count, 1);
    const struct profile *profile = world_find(world, "e1");
    assert_int_equal(profile->sequence, 1);
    assert_true(profile->identified);
    assert_stage(world, profile, "new");
    assert_int_equal(profile->due_at_ms, WORLD_START_MS + 30 * DAY);
    assert_int_equal(world->interaction_count, 1);
    assert_true(id_equal(world->interactions[0].origin_id, profile->id));
    static const char *const topics[] = { "profile.created", "profile.identified", "page.viewed",
                                          "lifecycle.changed" };
    assert_int_equal(world->notification_count, ARRAY_COUNT(topics));
    for (size_t i = 0; i < ARRAY_COUNT(topics); i++) {
        assert_str_equal(world->notifications[i].topic, str_from_z(topics[i]));
        assert_int_equal(world->notifications[i].sequence, 1);
        assert_int_equal(world->notifications[i].created_at_ms, WORLD_START_MS);
    }
}

static void an_anonymous_profile_is_identified_later(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "profile.*");
    world_apply_one(world, world_event(world, "P a1"));
    assert_false(world_find(world, "a1")->identified);
    assert_int_equal(world->notification_count, 1);
    world_apply_one(world, world_event(world, "P a1 e1"));
    assert_true(world_find(world, "a1")->identified);
    assert_int_equal(world_count_rung(world, "profile.identified"), 1);
    world_apply_one(world, world_event(world, "P a1 e1"));
    world_apply_one(world, world_event(world, "P a1 e1 p1"));
    assert_int_equal(world_count_rung(world, "profile.identified"), 1);
    assert_int_equal(world_count_rung(world, "profile.created"), 1);
}

static void nobody_is_said_so(void **state)
{
    struct world *world = *state;
    struct decision *decision = decision_create(world->arena, &world->context, 1);
    struct event *event = world_event(world, "S");
    assert_int_equal(decision_plan(decision, &event, 1, world->now_ms), STATUS_OK);
    enum decide_outcome outcome = DECIDE_APPLIED;
    assert_int_equal(decide_event(decision, event, world->now_ms, &outcome), STATUS_OK);
    assert_int_equal(outcome, DECIDE_NOBODY);
    assert_true(id_is_zero(decision_event_origin(decision, event)));
    assert_null(decision_event_profile(decision, event->id));
    struct decision_rows rows;
    assert_int_equal(decision_finish(decision, world->now_ms, &rows), STATUS_OK);
    assert_int_equal(rows.profile_count + rows.interaction_count, 0);
}

/* Correctness 12: 130 days down is active -> lapsed, and 60 more churned; each
 * edge is its own transition, at its own instant, whoever steps it. */
static void every_due_instant_is_stepped(void **state)
{
    for (int by_event = 0; by_event < 2; by_event++) {
        struct world *world = world_open();
        world_subscribe(world, "lifecycle.changed");
        world_apply_one(world, world_event(world, "S e1"));
        world->now_ms += 200 * DAY;
        if (by_event == 1) {
            world_apply_one(world, world_event(world, "S e1"));
        } else {
            world_sweep(world);
        }
        static const struct {
            const char *from;
            const char *to;
            int64_t at_ms;
        } expected[] = {
            { "", "new", 0 },
            { "new", "active", 30 * DAY },
            { "active", "lapsed", 60 * DAY + 1 },
            { "lapsed", "churned", 180 * DAY + 1 },
            { "churned", "active", 200 * DAY },
        };
        assert_int_equal(world->transition_count, by_event == 1 ? 5 : 4);
        for (size_t i = 0; i < world->transition_count; i++) {
            assert_true(str_equal_z(world->transitions[i].from, expected[i].from));
            assert_true(str_equal_z(world->transitions[i].to, expected[i].to));
            assert_int_equal(world->transitions[i].at_ms, WORLD_START_MS + expected[i].at_ms);
            bool by_time = i >= 1 && i <= 3;
            assert_int_equal(world->transitions[i].cause, by_time ? CAUSE_TIME : CAUSE_EVENT);
            assert_int_equal(id_is_zero(world->transitions[i].event_id), by_time);
        }
        /* What is months old is recorded, and rings nothing. */
        assert_int_equal(world->stale_count, 3);
        assert_int_equal(world->notification_count, by_event == 1 ? 2 : 1);
        world_close(world);
    }
    (void)state;
}

static void a_due_instant_is_exact(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "lifecycle.changed");
    world_apply_one(world, world_event(world, "S e1"));
    int64_t due_ms = WORLD_START_MS + 30 * DAY;
    world->now_ms = due_ms - 1;
    world_sweep(world);
    assert_int_equal(world->transition_count, 1);
    world->now_ms = due_ms;
    world_sweep(world);
    assert_int_equal(world->transition_count, 2);
    assert_int_equal(world->transitions[1].at_ms, due_ms);
    const struct notification_row *row = &world->notifications[1];
    assert_int_equal(row->created_at_ms, due_ms);
    assert_true(contains(row->body, "\"cause\":{\"kind\":\"time\","
                                    "\"due_at\":\"2026-07-01T12:00:00.000Z\"}"));
    assert_true(contains(row->body,
                         "\"lifecycle\":{\"from\":\"new\",\"to\":\"active\",\"rule_version\":1,"
                         "\"since\":\"2026-07-01T12:00:00.000Z\","
                         "\"until\":\"2026-07-31T12:00:00.001Z\","
                         "\"previous_since\":\"2026-06-01T12:00:00.000Z\"}"));
}

/* Sweep and intake run the same steps: the message has one id either way. */
static void who_steps_does_not_matter(void **state)
{
    struct world *world = *state;
    struct id ids[2];
    for (int by_event = 0; by_event < 2; by_event++) {
        struct world *other = world_open();
        world_subscribe(other, "lifecycle.changed");
        world_apply_one(other, world_event(other, "S e1"));
        other->now_ms += 30 * DAY + 5;
        if (by_event == 1) {
            world_apply_one(other, world_event(other, "S e1"));
        } else {
            world_sweep(other);
        }
        assert_int_equal(other->notification_count, 2);
        ids[by_event] = other->notifications[1].id;
        world_close(other);
    }
    assert_true(id_equal(ids[0], ids[1]));
    (void)world;
}

/* The profile's own now never goes back: another instance's clock was ahead. */
static void now_never_goes_back(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S e1"));
    world->now_ms += 30 * DAY;
    world_sweep(world);
    assert_stage(world, world_find(world, "e1"), "active");
    world->now_ms -= 5;
    struct event *event = world_event(world, "S e1");
    event->act = false;
    world_apply_one(world, event);
    assert_stage(world, world_find(world, "e1"), "active");
    assert_int_equal(world_find(world, "e1")->decided_at_ms, WORLD_START_MS + 30 * DAY);
    assert_int_equal(world->transition_count, 2);
}

/* A churned customer stays so whatever the merchant does; a late event of the
 * past does not wake them either. */
static void only_acts_wake(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S e1"));
    world->now_ms += 190 * DAY;
    world_sweep(world);
    struct event *event = world_event(world, "S e1");
    event->type = EVENT_EMAIL_DELIVERED;
    event->act = false;
    world_apply_one(world, event);
    assert_stage(world, world_find(world, "e1"), "churned");
    event = world_event(world, "S e1");
    event->occurred_at_ms -= 185 * DAY;
    world_apply_one(world, event);
    assert_stage(world, world_find(world, "e1"), "churned");
    world_apply_one(world, world_event(world, "S e1"));
    assert_stage(world, world_find(world, "e1"), "active");
}

/* Correctness 12: orders 9, 10 and 11 in one batch: ten is seen. */
static void a_batch_hides_nothing(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "order.completed");
    struct event *events[3];
    static const char *const names[] = { "o1", "o2", "o3" };
    for (size_t i = 0; i < 3; i++) {
        struct order_document body = paid_body(world->now_ms, 1000);
        body.currency = STR("EUR");
        events[i] = order_event(world, "S c1", names[i], body);
    }
    world_apply(world, events, 3);
    assert_int_equal(world->notification_count, 3);
    assert_true(contains(world->notifications[0].body, "\"orders\":{\"count\":1,"));
    assert_true(contains(world->notifications[1].body, "\"orders\":{\"count\":2,"));
    assert_true(contains(world->notifications[1].body, "\"revenue\":20.00"));
    assert_true(contains(world->notifications[1].body, "\"lifecycle\":\"active\""));
    assert_true(contains(world->notifications[2].body, "\"orders\":{\"count\":3,"));
    assert_int_equal(world->notifications[2].sequence, 3);
}

static void an_order_completes_once(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "order.*");
    int64_t placed_at_ms = world->now_ms - 5000;
    struct order_document open = paid_body(placed_at_ms, 1000);
    open.rank = ORDER_OPEN;
    open.counts = false;
    world_apply_one(world, order_event(world, "S c1 o1", "o1", open));
    assert_int_equal(world_count_rung(world, "order.completed"), 0);
    struct order_document paid = paid_body(placed_at_ms, 1000);
    struct event *event = order_event(world, "S c1 o1", "o1", paid);
    world_apply_one(world, event);
    assert_int_equal(world_count_rung(world, "order.completed"), 1);
    const struct interaction_row *row = &world->interactions[1];
    assert_int_equal(row->event->type, EVENT_ORDER_COMPLETED);
    assert_int_equal(row->event->occurred_at_ms, placed_at_ms);
    assert_true(id_equal(row->event->id, event->id));
    assert_true(row->event->act);
    const struct notification_row *rung = find_rung(world, "order.completed");
    assert_true(contains(rung->body, "\"data\":{\"order\":{\"order_id\":\"o1\"},\"profile\":{"));
    assert_true(contains(rung->body, "\"event_type\":\"order.completed\",\"source\":\"shop_one\","
                                     "\"occurred_at\":\"2026-06-01T11:59:55.000Z\""));
    /* orders/paid after orders/create, another webhook id; then it says
     * completed itself; then it is cancelled and comes back. */
    world_apply_one(world, order_event(world, "S c1 o1", "o1", paid));
    struct event *again = order_event(world, "S c1 o1", "o1", paid);
    again->type = EVENT_ORDER_COMPLETED;
    world_apply_one(world, again);
    struct order_document cancelled = paid_body(placed_at_ms, 1000);
    cancelled.rank = ORDER_CANCELLED;
    cancelled.version_ms += 1000;
    world_apply_one(world, order_event(world, "S c1 o1", "o1", cancelled));
    assert_int_equal(world_find(world, "c1")->orders.count, 0);
    struct order_document back = paid_body(placed_at_ms, 1000);
    back.version_ms += 2000;
    world_apply_one(world, order_event(world, "S c1 o1", "o1", back));
    assert_int_equal(world_find(world, "c1")->orders.count, 1);
    assert_int_equal(world_count_rung(world, "order.completed"), 1);
    assert_int_equal(world_count_rung(world, "order.updated"), 5);
    assert_int_equal(world->interaction_count, 6);
}

/* The topic that brings the first counting body may be another one. */
static void completion_stands_beside_another_event(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "order.*");
    struct event *event =
        order_event(world, "S c1 o1", "o1", paid_body(world->now_ms - 1000, 1000));
    event->type = EVENT_ORDER_FULFILLED;
    world_apply_one(world, event);
    assert_int_equal(world_count_rung(world, "order.fulfilled"), 1);
    assert_int_equal(world_count_rung(world, "order.completed"), 1);
    assert_int_equal(world->interaction_count, 2);
    assert_false(id_equal(world->interactions[0].event->id, world->interactions[1].event->id));
}

static void a_refund_may_come_first(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "order.completed");
    world_apply_one(world, world_event(world, "S c1"));
    struct order_document refund = {
        .kind = ORDER_REFUND, .document_ref = STR("r1"), .amount_minor = 400, .at_ms = world->now_ms
    };
    world_apply_one(world, order_event(world, "S o1", "o1", refund));
    assert_int_equal(world->profile_count, 2);
    world_apply_one(world, order_event(world, "S c1 o1", "o1", paid_body(world->now_ms, 1000)));
    const struct profile *profile = world_find(world, "c1");
    assert_ptr_equal(profile, world_find(world, "o1"));
    assert_int_equal(profile->orders.gross_minor, 1000);
    assert_int_equal(profile->orders.refunded_minor, 400);
    assert_int_equal(profile->orders.count, 1);
    assert_int_equal(world_count_rung(world, "order.completed"), 1);
    assert_int_equal(world_count_decisions(world, IDENTITY_MERGED), 1);
}

static void an_order_changes_its_customer(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "lifecycle.changed");
    static const char *const names[] = { "o1", "o2" };
    for (size_t i = 0; i < 2; i++) {
        char spec[16];
        snprintf(spec, sizeof(spec), "S c1 %s", names[i]);
        world_apply_one(world, order_event(world, spec, names[i],
                                           paid_body(world->now_ms - 1000 * (int64_t)i,
                                                     1000 + 500 * (int64_t)i)));
    }
    assert_stage(world, world_find(world, "c1"), "active");
    struct order_document moved = paid_body(world->now_ms - 1000, 1500);
    moved.version_ms = world->now_ms + 1000;
    world_apply_one(world, order_event(world, "S c2 o2", "o2", moved));
    const struct profile *before = world_find(world, "c1");
    const struct profile *after = world_find(world, "c2");
    assert_int_equal(before->orders.count, 1);
    assert_int_equal(before->orders.gross_minor, 1000);
    assert_int_equal(before->orders.largest_minor, 1000); /* asked of the orders */
    assert_int_equal(before->orders.first_at_ms, world->now_ms);
    assert_int_equal(after->orders.count, 1);
    assert_int_equal(after->orders.gross_minor, 1500);
    assert_stage(world, before, "new"); /* one order again */
    assert_int_equal(before->sequence, 3);
    assert_int_equal(world_count_decisions(world, IDENTITY_MOVED), 1);
    assert_int_equal(world_count_rung(world, "lifecycle.changed"), 4);
}

static void an_order_empties_an_older_cart(void **state)
{
    struct world *world = *state;
    struct event *cart = world_event(world, "S c1");
    cart->type = EVENT_CART_UPDATED;
    cart->cart_json = STR("{\"items_count\":2}");
    world_apply_one(world, cart);
    assert_int_not_equal(world_find(world, "c1")->cart_json.size, 0);
    world_apply_one(world, order_event(world, "S c1 o1", "o1", paid_body(world->now_ms, 1000)));
    assert_int_not_equal(world_find(world, "c1")->cart_json.size, 0); /* not later */
    world->now_ms += 1;
    world_apply_one(world, order_event(world, "S c1 o2", "o2", paid_body(world->now_ms, 1000)));
    assert_int_equal(world_find(world, "c1")->cart_json.size, 0);
}

/* Correctness 8: a merge rings profile.merged and nothing else by itself. */
static void a_merge_is_silent(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "P a1"));
    world->now_ms += 70 * DAY; /* a1 has lapsed by now, and nobody swept */
    world_apply_one(world, world_event(world, "S c1"));
    world_subscribe(world, "*");
    struct event *event = world_event(world, "S c1 a1");
    event->act = false;
    event->type = EVENT_CUSTOMER_UPDATED;
    world_apply_one(world, event);
    const struct profile *survivor = world_find(world, "c1");
    assert_ptr_equal(survivor, world_find(world, "a1"));
    assert_stage(world, survivor, "active"); /* first seen 70 days ago */
    assert_int_equal(survivor->merge_count, 1);
    assert_int_equal(world_count_rung(world, "profile.merged"), 1);
    assert_int_equal(world_count_rung(world, "customer.updated"), 1);
    assert_int_equal(world_count_rung(world, "profile.identified"), 0);
    assert_int_equal(world_count_rung(world, "profile.created"), 0);
    const struct notification_row *row = find_rung(world, "profile.merged");
    assert_true(contains(row->body, "\"data\":{\"merge\":{\"id\":\""));
    assert_true(contains(row->body, "\"because\":{\"kind\":\"anonymous_id\"}},\"profile\":{"));
    bool merged = false;
    for (size_t i = 0; i < world->transition_count; i++) {
        merged = merged || world->transitions[i].cause == CAUSE_MERGE;
    }
    assert_true(merged);
    size_t tombstones = 0;
    for (size_t i = 0; i < world->profile_count; i++) {
        tombstones += id_is_zero(world->profiles[i]->merged_into) ? 0 : 1;
        if (!id_is_zero(world->profiles[i]->merged_into)) {
            assert_int_equal(world->profiles[i]->due_at_ms, INSTANT_NEVER);
        }
    }
    assert_int_equal(tombstones, 1);
}

static void the_smaller_id_survives(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S e1"));
    struct id first = world_find(world, "e1")->id;
    world->now_ms += 1000;
    world_apply_one(world, world_event(world, "S c1"));
    world_apply_one(world, world_event(world, "S c1 e1"));
    assert_true(id_equal(world_find(world, "c1")->id, first));
}

/* A cookie that moved leaves no facts under the other customer's origin. */
static void a_moved_identity_has_a_new_origin(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S a1 c1"));
    world_apply_one(world, world_event(world, "S a1 c2"));
    world_apply_one(world, world_event(world, "P a1"));
    struct id second = world_find(world, "c2")->id;
    assert_true(id_equal(world->interactions[2].profile_id, second));
    assert_true(id_equal(world->interactions[2].origin_id, second));
    assert_int_equal(world_find(world, "c1")->identity_counts[IDENTITY_ANONYMOUS_ID], 0);
    assert_int_equal(world_find(world, "c2")->identity_counts[IDENTITY_ANONYMOUS_ID], 1);
    /* Nothing of the second customer was ever stored under the first. */
    for (size_t i = 0; i < world->identity_count; i++) {
        if (str_equal_z(world->identities[i]->identifier.value, "c2")) {
            assert_true(id_equal(world->identities[i]->origin_id, second));
        }
    }
}

static void a_merged_origin_stays(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S e1"));
    world->now_ms += 1;
    world_apply_one(world, world_event(world, "S c1"));
    struct id origin = world_find(world, "c1")->id;
    world_apply_one(world, world_event(world, "S c1 e1"));
    world_apply_one(world, world_event(world, "S c1"));
    assert_true(id_equal(world->interactions[3].origin_id, origin));
    assert_true(id_equal(world->interactions[3].profile_id, world_find(world, "e1")->id));
}

static void identities_of_a_kind_are_limited(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < (int)LIMIT_IDENTITIES_PER_KIND + 1; i++) {
        char spec[32];
        snprintf(spec, sizeof(spec), "S c1 e%d", i);
        world_apply_one(world, world_event(world, spec));
        size_t conflicts = world_count_decisions(world, IDENTITY_CONFLICT);
        assert_int_equal(conflicts, i < (int)LIMIT_IDENTITIES_PER_KIND ? 0 : 1);
    }
    const struct profile *profile = world_find(world, "c1");
    assert_int_equal(profile->identity_counts[IDENTITY_EMAIL], LIMIT_IDENTITIES_PER_KIND);
    assert_int_equal(profile->sequence, LIMIT_IDENTITIES_PER_KIND + 1); /* the event went on */
    /* Nor does it merge with anyone who has one more. */
    world_apply_one(world, world_event(world, "S e999"));
    world_apply_one(world, world_event(world, "S c1 e999"));
    assert_ptr_not_equal(world_find(world, "e999"), world_find(world, "c1"));
}

static void merges_are_limited(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < (int)LIMIT_MERGES_PER_PROFILE + 1; i++) {
        char spec[32];
        snprintf(spec, sizeof(spec), "S o%d", i);
        world_apply_one(world, world_event(world, spec));
        if (i == 0) {
            world_apply_one(world, world_event(world, "S c1"));
        }
        snprintf(spec, sizeof(spec), "S c1 o%d", i);
        world_apply_one(world, world_event(world, spec));
    }
    assert_int_equal(world_find(world, "c1")->merge_count, LIMIT_MERGES_PER_PROFILE);
    assert_int_equal(world_count_decisions(world, IDENTITY_MERGED), LIMIT_MERGES_PER_PROFILE);
    assert_int_equal(world_count_decisions(world, IDENTITY_MOVED), 1);
}

static void a_full_profile_is_refused(void **state)
{
    struct world *world = *state;
    struct event *event = world_event(world, "S c1");
    size_t count = LIMIT_TRAITS_PER_PROFILE + 1;
    event->facts = ARENA_NEW_ARRAY(world->arena, count, struct event_fact);
    for (size_t i = 0; i < count; i++) {
        event->facts[i] =
            (struct event_fact){ FACT_TRAIT, str_printf(world->arena, "k%zu", i), STR("1") };
    }
    event->fact_count = count;
    struct decision *decision = decision_create(world->arena, &world->context, 1);
    assert_int_equal(decision_plan(decision, &event, 1, world->now_ms), STATUS_OK);
    enum decide_outcome outcome = DECIDE_APPLIED;
    assert_int_equal(decide_event(decision, event, world->now_ms, &outcome), STATUS_OK);
    assert_int_equal(outcome, DECIDE_STATE_FULL);
    struct decision_rows rows;
    assert_int_equal(decision_finish(decision, world->now_ms, &rows), STATUS_OK);
    /* Its identity is in the database by now: it points at a profile. */
    assert_int_equal(rows.profile_count, 1);
    assert_int_equal(rows.profiles[0]->fact_count, 0);
    assert_int_equal(rows.interaction_count, 0);
    event->fact_count = LIMIT_TRAITS_PER_PROFILE;
    world_apply_one(world, event);
    assert_int_equal(world_find(world, "c1")->fact_count, LIMIT_TRAITS_PER_PROFILE);
}

static void old_causes_do_not_ring(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "page.viewed");
    static const struct {
        int64_t age_ms;
        bool rings;
        const char *why;
    } rows[] = {
        { 0, true, "now" },
        { DAY, true, "a day old" },
        { DAY + 1, false, "a tick more" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct event *event = world_event(world, "S e1");
        event->occurred_at_ms -= rows[i].age_ms;
        size_t before = world->notification_count;
        world_apply_one(world, event);
        assert_row(world->notification_count == before + (rows[i].rings ? 1 : 0), rows[i].why);
    }
    assert_int_equal(world->stale_count, 1);
    assert_int_equal(world->interaction_count, 3);
}

/* Paid by bank transfer, three days after it was placed: news today. */
static void a_late_payment_rings(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "*");
    world_apply_one(world,
                    order_event(world, "S c1 o1", "o1", paid_body(world->now_ms - 3 * DAY, 1000)));
    assert_int_equal(world_count_rung(world, "order.completed"), 1);
    assert_int_equal(world_count_rung(world, "profile.created"), 1);
    assert_int_equal(world_count_rung(world, "lifecycle.changed"), 1);
    assert_int_equal(world->stale_count, 0);
}

static void nobody_asked_nothing_rings(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "order.*");
    world_apply_one(world, world_event(world, "S e1"));
    assert_int_equal(world->notification_count, 0);
    world_subscribe(world, "page.viewed");
    world_subscribe(world, "*");
    world_apply_one(world, world_event(world, "S e1"));
    assert_int_equal(world->notification_count, 1);
    assert_int_equal(world->notifications[0].subscription_count, 2);
    struct event *universal = world_event(world, "S e1");
    universal->type = EVENT_PRODUCT_UPDATED;
    world_apply_one(world, universal);
    assert_int_equal(world->notification_count, 1);
}

static void writes_the_envelope(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "custom.*");
    world_apply_one(world, world_event(world, "S e1"));
    struct event *event = world_event(world, "K e1");
    event->type = EVENT_CUSTOM;
    event->name = STR("custom.quiz_done");
    event->source_id = (struct id){ { 2 } };
    event->properties_json = STR("{\"score\":7}");
    event->occurred_at_ms -= 120;
    world_apply_one(world, event);
    assert_int_equal(world->notification_count, 1);
    const struct notification_row *row = &world->notifications[0];
    char id[ID_TEXT_SIZE];
    char event_id[ID_TEXT_SIZE];
    char profile_id[ID_TEXT_SIZE];
    id_format(row->id, id);
    id_format(event->id, event_id);
    id_format(row->profile_id, profile_id);
    struct str expected = str_printf(
        world->arena,
        "{\"id\":\"%s\",\"type\":\"custom.quiz_done\","
        "\"timestamp\":\"2026-06-01T11:59:59.880Z\","
        "\"recorded_at\":\"2026-06-01T12:00:00.000Z\",\"expires_at\":null,"
        "\"workspace\":\"aurora\",\"sequence\":2,\"test\":false,"
        "\"cause\":{\"kind\":\"event\",\"event_id\":\"%s\","
        "\"event_type\":\"custom.quiz_done\",\"source\":\"shop_two\","
        "\"occurred_at\":\"2026-06-01T11:59:59.880Z\"},"
        "\"data\":{\"custom\":{\"score\":7},\"profile\":{\"id\":\"%s\",\"email\":\"e1\",",
        id, event_id, profile_id);
    assert_true(str_starts_with(row->body, expected));
    assert_true(str_ends_with(row->body, STR("\"sale\":\"never\"}}}}")));
}

/* One body per id and subscriber: who takes no message older than an hour is told so
 * in bytes of his own, which those who want the same share. */
static void the_envelope_says_until_when(void **state)
{
    struct world *world = *state;
    static const int64_t max_ages_ms[] = { 0, INSTANT_HOUR_MS, 2 * INSTANT_HOUR_MS,
                                           INSTANT_HOUR_MS };
    for (size_t i = 0; i < ARRAY_COUNT(max_ages_ms); i++) {
        world_subscribe(world, "page.viewed");
        world->interests[i].way.max_age_ms = max_ages_ms[i];
    }
    struct event *event = world_event(world, "S e1");
    event->occurred_at_ms -= 30 * INSTANT_MINUTE_MS; /* what counts is when we were told */
    world_apply_one(world, event);
    assert_int_equal(world->notification_count, 1);
    const struct notification_row *row = &world->notifications[0];
    assert_int_equal(row->subscription_count, ARRAY_COUNT(max_ages_ms));
    assert_true(contains(row->body, "\"expires_at\":null,"));
    assert_int_equal(row->renditions[0].body.size, 0);
    assert_true(contains(row->renditions[1].body, "\"expires_at\":\"2026-06-01T13:00:00.000Z\","));
    assert_true(contains(row->renditions[2].body, "\"expires_at\":\"2026-06-01T14:00:00.000Z\","));
    assert_ptr_equal(row->renditions[3].body.data, row->renditions[1].body.data);
    /* But for that it is the same message. */
    assert_int_equal(row->renditions[1].body.size,
                     row->body.size + sizeof("\"2026-06-01T13:00:00.000Z\"") - sizeof("null"));
}

static void large_bodies_are_sent_thin(void **state)
{
    struct world *world = *state;
    world_subscribe(world, "order.*");
    size_t size = LIMIT_DELIVERY_BODY_BYTES;
    char *text = (char *)arena_alloc(world->arena, size);
    memset(text, 'x', size);
    memcpy(text, "{\"n\":\"", 6);
    memcpy(text + size - 2, "\"}", 2);
    struct order_document document = paid_body(world->now_ms, 1000);
    document.body_json = (struct str){ text, size };
    world_apply_one(world, order_event(world, "S c1 o1", "o1", document));
    assert_int_equal(world->notification_count, 1);
    struct str body = world->notifications[0].body;
    assert_true(body.size < 1024);
    assert_true(contains(body, "\"test\":false,\"truncated\":true,\"cause\":{"));
    assert_true(contains(body, "\"data\":{\"order\":{\"order_id\":\"o1\"},\"profile\":{\"id\":\""));
    /* One that just fits is whole. */
    document.order_ref = STR("o2");
    document.body_json = (struct str){ text, size - 4096 };
    text[size - 4096 - 2] = '"';
    text[size - 4096 - 1] = '}';
    world_apply_one(world, order_event(world, "S c1 o2", "o2", document));
    assert_true(world->notifications[1].body.size > size - 4096);
    assert_false(contains(world->notifications[1].body, "truncated"));
}

static void a_full_arena_gives_up_the_batch(void **state)
{
    struct world *world = *state;
    size_t limited = 0;
    bool finished = false;
    for (size_t bytes = 4096; bytes < 512u * 1024 && !finished; bytes += 512) {
        struct arena *arena = arena_create(bytes);
        struct event *event =
            order_event(world, "S c1 e1 a1 o1", "o1", paid_body(world->now_ms, 1000));
        struct decision *decision = decision_create(arena, &world->context, 1);
        enum status status = STATUS_LIMIT;
        enum decide_outcome outcome = DECIDE_NOBODY;
        if (decision != NULL) {
            status = decision_plan(decision, &event, 1, world->now_ms);
        }
        if (status == STATUS_OK) {
            status = decide_event(decision, event, world->now_ms, &outcome);
        }
        struct decision_rows rows = { 0 };
        if (status == STATUS_OK) {
            status = decision_finish(decision, world->now_ms, &rows);
        }
        if (status == STATUS_OK) {
            assert_int_equal(rows.profile_count, 1);
            assert_int_equal(rows.interaction_count, 1);
            finished = true;
        } else {
            assert_int_equal(status, STATUS_LIMIT);
            limited++;
        }
        arena_destroy(arena);
    }
    assert_true(finished);
    assert_true(limited > 5);
}

/* Correctness 2: who is not locked may not be decided about. */
static void an_unloaded_owner_asks_for_a_reload(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S e1"));
    struct decision *decision = decision_create(world->arena, &world->context, 1);
    struct identity_row row = *world->identities[0];
    decision_put_identity(decision, &row);
    struct event *event = world_event(world, "S e1");
    assert_int_equal(decision_plan(decision, &event, 1, world->now_ms), STATUS_OK);
    const struct id *ids = NULL;
    assert_int_equal(decision_profile_ids_to_lock(decision, &ids), 1);
    assert_true(id_equal(ids[0], row.profile_id));
    enum decide_outcome outcome = DECIDE_NOBODY;
    assert_int_equal(decide_event(decision, event, world->now_ms, &outcome), STATUS_RETRY);
}

/* Another lane's insert won: the row is the winner's now, and so the event. */
static void a_lost_insert_follows_the_winner(void **state)
{
    struct world *world = *state;
    world_apply_one(world, world_event(world, "S e1"));
    struct profile *winner = world_find(world, "e1");
    world->context.random[3] ^= 0xff; /* each batch draws its own */
    struct decision *decision = decision_create(world->arena, &world->context, 1);
    struct event *event = world_event(world, "S e1 p1");
    assert_int_equal(decision_plan(decision, &event, 1, world->now_ms), STATUS_OK);
    struct identity_row **rows = NULL;
    assert_int_equal(decision_new_identities(decision, &rows), 2);
    assert_true(decision_is_fresh(decision, rows[0]->profile_id));
    rows[0]->is_new = false; /* e1: what the next statement read */
    rows[0]->profile_id = winner->id;
    rows[0]->origin_id = winner->id;
    decision_put_profile(decision, winner);
    enum decide_outcome outcome = DECIDE_NOBODY;
    assert_int_equal(decide_event(decision, event, world->now_ms, &outcome), STATUS_OK);
    assert_ptr_equal(decision_event_profile(decision, event->id), winner);
    struct decision_rows saved;
    assert_int_equal(decision_finish(decision, world->now_ms, &saved), STATUS_OK);
    assert_int_equal(saved.profile_count, 1);
    assert_int_equal(saved.moved_identity_count, 1);
    assert_true(id_equal(saved.moved_identities[0]->profile_id, winner->id));
    assert_true(id_equal(saved.moved_identities[0]->origin_id, winner->id));
    assert_int_equal(winner->identity_counts[IDENTITY_EMAIL], 1);
    assert_int_equal(winner->identity_counts[IDENTITY_PHONE], 1);
}

static void decided_twice_is_decided_once(void **state)
{
    struct world *world = *state;
    struct decision *decision = decision_create(world->arena, &world->context, 1);
    struct event *event = world_event(world, "S e1");
    for (int turn = 0; turn < 2; turn++) {
        enum decide_outcome outcome = DECIDE_NOBODY;
        assert_int_equal(decision_plan(decision, &event, 1, world->now_ms), STATUS_OK);
        assert_int_equal(decide_event(decision, event, world->now_ms, &outcome), STATUS_OK);
        assert_int_equal(outcome, DECIDE_APPLIED);
    }
    struct decision_rows rows;
    assert_int_equal(decision_finish(decision, world->now_ms, &rows), STATUS_OK);
    assert_int_equal(rows.interaction_count, 1);
    assert_int_equal(rows.profiles[0]->sequence, 1);
}

/* The import's views move neither last_seen_at nor any trait: only a feature says
 * that the rule is to be asked. Once for the three of them. */
static void an_import_of_the_past_is_decided_once(void **state)
{
    struct world *world = *state;
    static const struct rule_case only = {
        .when = { "count(product.viewed within 30d) >= 3",
                  sizeof("count(product.viewed within 30d) >= 3") - 1 }
    };
    const struct rule_definition rule = {
        .name = STR("viewer"), .kind = RULE_KIND_SEGMENT, .cases = &only, .case_count = 1
    };
    world_set_rules(world, &rule, 1);
    world_subscribe(world, "segment.*");
    world_apply_one(world, world_event(world, "S e1"));
    struct event *views[3];
    for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
        views[i] = world_event(world, "S e1");
        views[i]->type = EVENT_PRODUCT_VIEWED;
        views[i]->name = STR("product.viewed");
        views[i]->occurred_at_ms = world->now_ms - (int64_t)(i + 1) * DAY;
    }
    /* First seen long before, so that the import changes no part of the profile. */
    world_find(world, "e1")->first_seen_at_ms = world->now_ms - 90 * DAY;
    size_t before = world->transition_count;
    world->context.is_import = true;
    world_apply(world, views, ARRAY_COUNT(views));
    assert_int_equal(world->transition_count, before + 1);
    assert_int_equal(world->transitions[before].cause, CAUSE_IMPORT);
    assert_int_equal(world_count_rung(world, "segment.entered"), 0);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_import_of_the_past_is_decided_once),
        IN_WORLD(a_first_event_makes_a_profile),
        IN_WORLD(an_anonymous_profile_is_identified_later),
        IN_WORLD(nobody_is_said_so),
        IN_WORLD(every_due_instant_is_stepped),
        IN_WORLD(a_due_instant_is_exact),
        IN_WORLD(who_steps_does_not_matter),
        IN_WORLD(now_never_goes_back),
        IN_WORLD(only_acts_wake),
        IN_WORLD(a_batch_hides_nothing),
        IN_WORLD(an_order_completes_once),
        IN_WORLD(completion_stands_beside_another_event),
        IN_WORLD(a_refund_may_come_first),
        IN_WORLD(an_order_changes_its_customer),
        IN_WORLD(an_order_empties_an_older_cart),
        IN_WORLD(a_merge_is_silent),
        IN_WORLD(the_smaller_id_survives),
        IN_WORLD(a_moved_identity_has_a_new_origin),
        IN_WORLD(a_merged_origin_stays),
        IN_WORLD(identities_of_a_kind_are_limited),
        IN_WORLD(merges_are_limited),
        IN_WORLD(a_full_profile_is_refused),
        IN_WORLD(old_causes_do_not_ring),
        IN_WORLD(a_late_payment_rings),
        IN_WORLD(nobody_asked_nothing_rings),
        IN_WORLD(writes_the_envelope),
        IN_WORLD(the_envelope_says_until_when),
        IN_WORLD(large_bodies_are_sent_thin),
        IN_WORLD(a_full_arena_gives_up_the_batch),
        IN_WORLD(an_unloaded_owner_asks_for_a_reload),
        IN_WORLD(a_lost_insert_follows_the_winner),
        IN_WORLD(decided_twice_is_decided_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
