#include "base/limits.h"
#include "deliver/queue.h"
#include "unit.h"

enum {
    ACTIVE_MAX = 16,
    WAITING_MAX = 40
};

static size_t finished_count;

static void finish(void *data)
{
    finished_count++;
    assert_non_null(data);
}

static struct queue *queue_for_test(void)
{
    const struct queue_rules rules = {
        .active_max = ACTIVE_MAX,
        .lane_waiting_max = WAITING_MAX,
        .lane_finish = finish,
    };
    struct queue *queue = queue_create(&rules);
    assert_non_null(queue);
    return queue;
}

static bool add(struct queue *queue, uint8_t endpoint, int64_t sequence)
{
    const struct delivery delivery = { .subscription_id = { { endpoint } },
                                       .sequence = sequence,
                                       .topic = STR("topic"),
                                       .body = STR("body") };
    struct queued *queued = queued_create(&delivery);
    assert_non_null(queued);
    bool added = queue_add(queue, queued, sequence);
    if (!added) {
        queued_destroy(queued);
    }
    return added;
}

static void add_many(struct queue *queue, uint8_t endpoint, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        assert_true(add(queue, endpoint, i));
    }
}

/* Starts one and forgets the copy. -1: nothing may start. */
static int start(struct queue *queue, struct lane **out_lane)
{
    struct queued *queued = queue_start(queue, out_lane);
    if (queued == NULL) {
        return -1;
    }
    int endpoint = queued->delivery.subscription_id.bytes[0];
    queued_destroy(queued);
    return endpoint;
}

/* Lets a lane answer until it is trusted with all of its concurrency. */
static struct lane *make_trusted(struct queue *queue, uint8_t endpoint)
{
    struct lane *lane = NULL;
    for (size_t i = 0; i < 4; i++) {
        assert_true(add(queue, endpoint, 0));
        assert_int_equal(start(queue, &lane), endpoint);
        queue_end(queue, lane, LANE_HEARD, 0);
    }
    return lane;
}

static void end_all(struct queue *queue, struct lane **lanes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        queue_end(queue, lanes[i], LANE_UNTRIED, 0);
    }
    assert_int_equal(queue_active(queue), 0);
    queue_destroy(queue);
}

static void copies_texts(void **state)
{
    (void)state;
    char body[] = "body";
    const struct delivery delivery = { .topic = STR("t"), .body = { body, 4 } };
    struct queued *queued = queued_create(&delivery);
    assert_non_null(queued);
    body[0] = 'X';
    assert_str_equal(queued->delivery.body, STR("body"));
    assert_str_equal(queued->delivery.topic, STR("t"));
    queued_destroy(queued);
}

static void keeps_order_within_a_lane(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    add_many(queue, 1, WAITING_MAX);
    for (int64_t i = 0; i < WAITING_MAX; i++) {
        struct lane *lane = NULL;
        struct queued *queued = queue_start(queue, &lane);
        assert_non_null(queued);
        assert_int_equal(queued->delivery.sequence, i);
        queued_destroy(queued);
        queue_end(queue, lane, LANE_HEARD, 0);
    }
    assert_int_equal(queue_waiting(queue), 0);
    queue_destroy(queue);
}

static void takes_turns(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[4];
    add_many(queue, 1, 30);
    add_many(queue, 2, 1);
    add_many(queue, 3, 2);
    static const int expected[] = { 1, 2, 3, 1 };
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_int_equal(start(queue, &lanes[i]), expected[i]);
    }
    end_all(queue, lanes, 4);
}

static void grows_with_answers_and_shrinks_with_silence(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[ACTIVE_MAX];
    add_many(queue, 1, 30);
    assert_int_equal(start(queue, &lanes[0]), 1);
    assert_int_equal(start(queue, &lanes[1]), 1);
    assert_int_equal(start(queue, &lanes[2]), -1); /* two at first */
    queue_end(queue, lanes[1], LANE_HEARD, 0);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(start(queue, &lanes[i]), 1);
    }
    assert_int_equal(start(queue, &lanes[4]), -1); /* four now */
    queue_end(queue, lanes[3], LANE_HEARD, 0);
    for (size_t i = 3; i < LIMIT_ENDPOINT_CONCURRENCY; i++) {
        assert_int_equal(start(queue, &lanes[i]), 1);
    }
    queue_end(queue, lanes[7], LANE_HEARD, 0);
    assert_int_equal(start(queue, &lanes[7]), 1);
    assert_int_equal(start(queue, &lanes[8]), -1); /* eight, and never more */
    for (size_t i = 7; i > 0; i--) {
        queue_end(queue, lanes[i], LANE_SILENT, 0);
        assert_int_equal(start(queue, &lanes[8]), -1); /* others are still out */
    }
    queue_end(queue, lanes[0], LANE_SILENT, 0);
    assert_int_equal(start(queue, &lanes[0]), 1);
    assert_int_equal(start(queue, &lanes[1]), -1); /* one at a time */
    end_all(queue, lanes, 1);
}

static void obeys_a_changed_concurrency(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[ACTIVE_MAX];
    queue_set_concurrency(queue, make_trusted(queue, 1), 3);
    add_many(queue, 1, 20);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(start(queue, &lanes[i]), 1);
    }
    assert_int_equal(start(queue, &lanes[3]), -1);
    end_all(queue, lanes, 3);
}

static void keeps_half_for_those_who_answer(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[ACTIVE_MAX];
    make_trusted(queue, 200);
    for (uint8_t endpoint = 0; endpoint < 100; endpoint++) {
        assert_true(add(queue, endpoint, 0)); /* never heard of */
    }
    for (size_t i = 0; i < ACTIVE_MAX / 2; i++) {
        assert_in_range(start(queue, &lanes[i]), 0, 99);
    }
    assert_int_equal(start(queue, &lanes[8]), -1);
    add_many(queue, 200, 8);
    for (size_t i = ACTIVE_MAX / 2; i < ACTIVE_MAX; i++) {
        assert_int_equal(start(queue, &lanes[i]), 200);
    }
    end_all(queue, lanes, ACTIVE_MAX);
}

static void stays_within_the_total(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[ACTIVE_MAX + 1];
    for (uint8_t endpoint = 0; endpoint < 100; endpoint++) {
        make_trusted(queue, endpoint);
    }
    for (uint8_t endpoint = 0; endpoint < 100; endpoint++) {
        assert_true(add(queue, endpoint, 0));
    }
    for (size_t i = 0; i < ACTIVE_MAX; i++) {
        assert_true(start(queue, &lanes[i]) >= 0);
    }
    assert_int_equal(start(queue, &lanes[ACTIVE_MAX]), -1);
    end_all(queue, lanes, ACTIVE_MAX);
}

static void is_full_at_its_limit(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    add_many(queue, 1, WAITING_MAX);
    assert_false(add(queue, 1, 0));
    assert_true(add(queue, 2, 0)); /* another lane has room */
    assert_int_equal(queue_waiting(queue), WAITING_MAX + 1);
    queue_destroy(queue);
}

static bool keep_even(void *context, struct queued *queued)
{
    size_t *seen = context;
    (*seen)++;
    if (queued->delivery.sequence % 2 == 0) {
        return true;
    }
    queued_destroy(queued);
    return false;
}

static bool keep_none(void *context, struct queued *queued)
{
    (void)context;
    queued_destroy(queued);
    return false;
}

static void sweeps(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    size_t seen = 0;
    add_many(queue, 1, 11);
    add_many(queue, 2, 4);
    queue_sweep(queue, keep_even, &seen);
    assert_int_equal(seen, 15);
    assert_int_equal(queue_waiting(queue), 8);
    assert_true(add(queue, 1, 12)); /* the end of the list is still its end */
    struct lane *lane = NULL;
    for (int64_t i = 0; i < 9; i++) {
        struct queued *queued = queue_start(queue, &lane);
        assert_non_null(queued);
        queued_destroy(queued);
        queue_end(queue, lane, LANE_HEARD, 0);
    }
    assert_int_equal(start(queue, &lane), -1);
    add_many(queue, 1, 3);
    queue_sweep(queue, keep_none, NULL);
    assert_int_equal(start(queue, &lane), -1); /* an empty lane has no turn */
    queue_destroy(queue);
}

static void retires_unused_lanes(void **state)
{
    (void)state;
    static int data;
    struct queue *queue = queue_for_test();
    struct lane *lane = NULL;
    finished_count = 0;
    assert_true(add(queue, 1, 100));
    queue_retire(queue, 1000);
    assert_int_equal(start(queue, &lane), 1); /* it had something waiting */
    assert_null(lane_data(lane));
    lane_set_data(lane, &data);
    queue_retire(queue, 1000);
    assert_int_equal(finished_count, 0); /* active */
    queue_end(queue, lane, LANE_HEARD, 500);
    queue_retire(queue, 500);
    assert_int_equal(finished_count, 0); /* used just now */
    queue_retire(queue, 501);
    assert_int_equal(finished_count, 1);
    queue_destroy(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_texts),
        cmocka_unit_test(keeps_order_within_a_lane),
        cmocka_unit_test(takes_turns),
        cmocka_unit_test(grows_with_answers_and_shrinks_with_silence),
        cmocka_unit_test(obeys_a_changed_concurrency),
        cmocka_unit_test(keeps_half_for_those_who_answer),
        cmocka_unit_test(stays_within_the_total),
        cmocka_unit_test(is_full_at_its_limit),
        cmocka_unit_test(sweeps),
        cmocka_unit_test(retires_unused_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
