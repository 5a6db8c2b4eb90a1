#include "base/limits.h"
#include "deliver/queue.h"
#include "unit.h"

enum {
    ACTIVE_MAX = 16,
    WAITING_MAX = 40
};

#define NOW 1000000

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

static void end(struct queue *queue, struct lane *lane, enum lane_news news, int64_t now_ms)
{
    const struct lane_report report = { .news = news, .started_ms = now_ms };
    queue_end(queue, lane, &report, now_ms);
}

static void forget(void *context, struct id subscription_id)
{
    (void)subscription_id;
    size_t *count = context;
    (*count)++;
}

/* Starts one and forgets the copy. -1: nothing may start. */
static int start(struct queue *queue, struct lane **out_lane)
{
    struct queued *queued = queue_start(queue, NOW, out_lane);
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
        end(queue, lane, LANE_HEARD, 0);
    }
    return lane;
}

static void end_all(struct queue *queue, struct lane **lanes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        end(queue, lanes[i], LANE_UNTRIED, 0);
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
        struct queued *queued = queue_start(queue, NOW, &lane);
        assert_non_null(queued);
        assert_int_equal(queued->delivery.sequence, i);
        queued_destroy(queued);
        end(queue, lane, LANE_HEARD, 0);
    }
    assert_int_equal(queue_waiting(queue), 0);
    queue_destroy(queue);
}

static void takes_turns(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[4];
    make_trusted(queue, 1);
    make_trusted(queue, 2);
    make_trusted(queue, 3);
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
    assert_int_equal(start(queue, &lanes[1]), -1); /* one at first */
    end(queue, lanes[0], LANE_HEARD, 0);
    assert_int_equal(start(queue, &lanes[0]), 1);
    assert_int_equal(start(queue, &lanes[1]), 1);
    assert_int_equal(start(queue, &lanes[2]), -1); /* two then */
    end(queue, lanes[1], LANE_HEARD, 0);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(start(queue, &lanes[i]), 1);
    }
    assert_int_equal(start(queue, &lanes[4]), -1); /* four now */
    end(queue, lanes[3], LANE_HEARD, 0);
    for (size_t i = 3; i < LIMIT_ENDPOINT_CONCURRENCY; i++) {
        assert_int_equal(start(queue, &lanes[i]), 1);
    }
    end(queue, lanes[7], LANE_HEARD, 0);
    assert_int_equal(start(queue, &lanes[7]), 1);
    assert_int_equal(start(queue, &lanes[8]), -1); /* eight, and never more */
    for (size_t i = 7; i > 3; i--) {
        end(queue, lanes[i], LANE_SILENT, 0);
        assert_int_equal(start(queue, &lanes[8]), -1); /* others are still out */
    }
    for (size_t i = 3; i > 0; i--) {
        end(queue, lanes[i], LANE_UNTRIED, 0);
    }
    end(queue, lanes[0], LANE_UNTRIED, 0);
    assert_int_equal(start(queue, &lanes[0]), 1);
    assert_int_equal(start(queue, &lanes[1]), -1); /* one at a time */
    end_all(queue, lanes, 1);
}

static void obeys_a_changed_concurrency(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[ACTIVE_MAX];
    const struct lane_limits limits = { .concurrency = 3 };
    queue_set_limits(queue, make_trusted(queue, 1), &limits, NOW);
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
    queue_sweep(queue, NOW, keep_even, &seen);
    assert_int_equal(seen, 15);
    assert_int_equal(queue_waiting(queue), 8);
    assert_true(add(queue, 1, 12)); /* the end of the list is still its end */
    struct lane *lane = NULL;
    for (int64_t i = 0; i < 9; i++) {
        struct queued *queued = queue_start(queue, NOW, &lane);
        assert_non_null(queued);
        queued_destroy(queued);
        end(queue, lane, LANE_HEARD, 0);
    }
    assert_int_equal(start(queue, &lane), -1);
    add_many(queue, 1, 3);
    queue_sweep(queue, NOW, keep_none, NULL);
    assert_int_equal(start(queue, &lane), -1); /* an empty lane has no turn */
    queue_destroy(queue);
}

static void retires_unused_lanes(void **state)
{
    (void)state;
    static int data;
    size_t forgotten = 0;
    struct queue *queue = queue_for_test();
    struct lane *lane = NULL;
    finished_count = 0;
    assert_true(add(queue, 1, 100));
    queue_retire(queue, 1000, forget, &forgotten);
    assert_int_equal(start(queue, &lane), 1); /* it had something waiting */
    assert_null(lane_data(lane));
    lane_set_data(lane, &data);
    queue_retire(queue, 1000, forget, &forgotten);
    assert_int_equal(finished_count, 0); /* active */
    end(queue, lane, LANE_HEARD, 500);
    queue_retire(queue, 500, forget, &forgotten);
    assert_int_equal(finished_count, 0); /* used just now */
    queue_retire(queue, 501, forget, &forgotten);
    assert_int_equal(finished_count, 1);
    queue_destroy(queue);
}

/* --- care ------------------------------------------------------------------ */

static size_t start_all(struct queue *queue, int64_t now_ms, struct lane **lanes, size_t most)
{
    size_t count = 0;
    while (count < most) {
        struct queued *queued = queue_start(queue, now_ms, &lanes[count]);
        if (queued == NULL) {
            break;
        }
        queued_destroy(queued);
        count++;
    }
    return count;
}

static void end_at(struct queue *queue, struct lane **lanes, size_t count,
                   const struct lane_report *report, int64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        queue_end(queue, lanes[i], report, now_ms);
    }
}

static void rests_when_asked_and_comes_back_slower(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[ACTIVE_MAX];
    struct lane *lane = make_trusted(queue, 1);
    add_many(queue, 1, WAITING_MAX);
    assert_int_equal(start_all(queue, NOW, lanes, ACTIVE_MAX), LIMIT_ENDPOINT_CONCURRENCY);
    const struct lane_report throttled = { .news = LANE_THROTTLED,
                                           .started_ms = NOW,
                                           .rest_ms = 3000 };
    /* All eight were under way: that is one reason to slow down, not eight. */
    end_at(queue, lanes, LIMIT_ENDPOINT_CONCURRENCY, &throttled, NOW + 10);
    assert_int_equal(start_all(queue, NOW + 20, lanes, ACTIVE_MAX), 0);
    assert_int_equal(queue_wake_ms(queue), NOW + 3010);
    assert_int_equal(start_all(queue, NOW + 3009, lanes, ACTIVE_MAX), 0);
    size_t half = start_all(queue, NOW + 3010, lanes, ACTIVE_MAX);
    assert_int_equal(half, LIMIT_ENDPOINT_CONCURRENCY / 2);
    const struct lane_report heard = { .news = LANE_HEARD, .started_ms = NOW + 3010 };
    end_at(queue, lanes, half, &heard, NOW + 3020);
    /* One more for a whole round of answers. */
    assert_int_equal(start_all(queue, NOW + 3030, lanes, ACTIVE_MAX), half + 1);
    end_at(queue, lanes, half + 1, &heard, NOW + 3040);
    int64_t closed_ms = -1;
    assert_int_equal(lane_worth_keeping(queue, lane, NOW + 3040, &closed_ms), WAITING_MAX);
    assert_int_equal(closed_ms, 0);
    queue_destroy(queue);
}

static void closes_for_a_long_rest(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lane = make_trusted(queue, 1);
    assert_true(add(queue, 1, 0));
    assert_int_equal(start(queue, &lane), 1);
    const struct lane_report throttled = { .news = LANE_THROTTLED, .rest_ms = 600000 };
    queue_end(queue, lane, &throttled, NOW);
    int64_t closed_ms = 0;
    assert_int_equal(lane_worth_keeping(queue, lane, NOW, &closed_ms), 0);
    assert_in_range(closed_ms, NOW + 590000, NOW + 600000);
    assert_int_equal(lane_worth_keeping(queue, lane, NOW + 600000, &closed_ms), WAITING_MAX);
    queue_destroy(queue);
}

static void opens_after_failures_and_asks_less_and_less(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lane = make_trusted(queue, 1);
    int64_t now_ms = NOW;
    int64_t closed_ms = 0;
    const struct lane_report failed = { .news = LANE_FAILED };
    for (size_t i = 0; i < 20; i++) {
        assert_true(lane_worth_keeping(queue, lane, now_ms, &closed_ms) > 1);
        assert_true(add(queue, 1, now_ms));
        assert_int_equal(start(queue, &lane), 1);
        queue_end(queue, lane, &failed, now_ms);
    }
    int64_t wait_ms = 5000;
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(lane_worth_keeping(queue, lane, now_ms, &closed_ms), 0);
        assert_int_equal(closed_ms, now_ms + wait_ms);
        struct queued *refused = queued_create(&(struct delivery){ .subscription_id = { { 1 } } });
        assert_false(queue_add(queue, refused, now_ms)); /* it stays in the database */
        now_ms = closed_ms;
        assert_int_equal(lane_worth_keeping(queue, lane, now_ms, &closed_ms), 1);
        assert_true(queue_add(queue, refused, now_ms)); /* one, to see */
        struct queued *probe = queue_start(queue, now_ms, &lane);
        assert_non_null(probe);
        queued_destroy(probe);
        queue_end(queue, lane, &failed, now_ms);
        wait_ms = wait_ms * 2 < 300000 ? wait_ms * 2 : 300000;
    }
    now_ms += wait_ms;
    assert_true(add(queue, 1, now_ms));
    struct queued *probe = queue_start(queue, now_ms, &lane);
    queued_destroy(probe);
    const struct lane_report heard = { .news = LANE_HEARD };
    queue_end(queue, lane, &heard, now_ms);
    assert_int_equal(lane_worth_keeping(queue, lane, now_ms, &closed_ms), WAITING_MAX);
    queue_destroy(queue);
}

/* In any second no more than ten begin, from the first to the last. */
static void keeps_the_rate_in_every_window(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    int64_t started_ms[WAITING_MAX];
    size_t count = 0;
    struct lane *lane = make_trusted(queue, 1);
    const struct lane_limits limits = { .concurrency = 8, .rate_count = 10, .rate_per_ms = 1000 };
    const struct lane_report heard = { .news = LANE_HEARD };
    queue_set_limits(queue, lane, &limits, NOW);
    add_many(queue, 1, WAITING_MAX);
    for (int64_t now_ms = NOW; count < WAITING_MAX; now_ms += 7) {
        assert_true(now_ms < NOW + 5000);
        struct queued *queued = queue_start(queue, now_ms, &lane);
        while (queued != NULL) {
            started_ms[count++] = now_ms;
            queued_destroy(queued);
            queue_end(queue, lane, &heard, now_ms);
            queued = queue_start(queue, now_ms, &lane);
        }
    }
    for (size_t i = 10; i < count; i++) {
        assert_true(started_ms[i] - started_ms[i - 10] >= 1000);
    }
    assert_int_equal(started_ms[9], NOW); /* and the first ten at once */
    queue_destroy(queue);
}

static void leaves_room_for_new_ones_beside_the_silent(void **state)
{
    (void)state;
    struct queue *queue = queue_for_test();
    struct lane *lanes[ACTIVE_MAX];
    for (uint8_t endpoint = 0; endpoint < 20; endpoint++) {
        assert_true(add(queue, endpoint, 0));
        assert_int_equal(start(queue, &lanes[0]), endpoint);
        end(queue, lanes[0], LANE_SILENT, NOW);
    }
    for (uint8_t endpoint = 0; endpoint < 20; endpoint++) {
        assert_true(add(queue, endpoint, 0));
    }
    for (uint8_t endpoint = 100; endpoint < 120; endpoint++) {
        assert_true(add(queue, endpoint, 0));
    }
    size_t silent = 0;
    size_t count = 0;
    for (;; count++) {
        int endpoint = start(queue, &lanes[count]);
        if (endpoint < 0) {
            break;
        }
        silent += endpoint < 100 ? 1 : 0;
    }
    assert_int_equal(silent, ACTIVE_MAX / 4);
    assert_int_equal(count, ACTIVE_MAX / 4 + ACTIVE_MAX / 2);
    end_all(queue, lanes, count);
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
        cmocka_unit_test(rests_when_asked_and_comes_back_slower),
        cmocka_unit_test(closes_for_a_long_rest),
        cmocka_unit_test(opens_after_failures_and_asks_less_and_less),
        cmocka_unit_test(keeps_the_rate_in_every_window),
        cmocka_unit_test(leaves_room_for_new_ones_beside_the_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
