#include <stdlib.h>
#include <time.h>

#include "lanes_priv.h"
#include "unit.h"

/*
 * Two writers, one workspace, and who may take what while a batch is in hand.
 */

enum {
    ITEMS_MAX = 256
};

struct scene {
    struct lanes *lanes;
    struct intake_item items[ITEMS_MAX];
    size_t count;
};

static const struct id WORKSPACE = { .bytes = { 1 } };
static const struct id OTHER = { .bytes = { 2 } };

static struct scene *scene_create(void)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    scene->lanes = lanes_create(2);
    assert_non_null(scene->lanes);
    return scene;
}

static void scene_destroy(struct scene *scene)
{
    lanes_destroy(scene->lanes);
    free(scene);
}

static void add(struct scene *scene, struct id workspace_id, uint32_t lane, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(scene->count < ITEMS_MAX);
        struct intake_item *item = &scene->items[scene->count++];
        item->lane = lane;
        assert_true(lanes_add(scene->lanes, workspace_id, item));
    }
}

static struct lane_batch take(struct scene *scene, size_t wanted)
{
    struct lane_batch batch = { 0 };
    assert_true(lanes_take(scene->lanes, &batch));
    assert_int_equal(batch.count, wanted);
    return batch;
}

static void assert_none(struct scene *scene)
{
    struct lane_batch batch;
    assert_false(lanes_take(scene->lanes, &batch));
}

static void test_quiet_is_taken_whole(void **state)
{
    (void)state;
    struct scene *scene = scene_create();
    add(scene, WORKSPACE, 0, 3);
    add(scene, WORKSPACE, 1, 4);
    struct lane_batch batch = take(scene, 7);
    lanes_return(scene->lanes, &batch, NULL);
    assert_int_equal(lanes_count(scene->lanes), 0);
    scene_destroy(scene);
}

static void test_busy_is_taken_by_two(void **state)
{
    (void)state;
    struct scene *scene = scene_create();
    add(scene, WORKSPACE, 0, 90);
    add(scene, WORKSPACE, 1, 80);
    take(scene, 90);
    assert_true(lanes_are_ready(scene->lanes, WORKSPACE));
    take(scene, 80);
    assert_none(scene);
    scene_destroy(scene);
}

/* A commit for one event beside another's is not worth it; another workspace's
 * is nobody else's business. */
static void test_few_wait_for_the_batch_in_hand(void **state)
{
    (void)state;
    struct scene *scene = scene_create();
    add(scene, WORKSPACE, 0, 1);
    struct lane_batch batch = take(scene, 1);
    add(scene, WORKSPACE, 1, 5);
    assert_false(lanes_are_ready(scene->lanes, WORKSPACE));
    assert_none(scene);
    add(scene, OTHER, 0, 1);
    assert_true(lanes_are_ready(scene->lanes, OTHER));
    take(scene, 1);
    lanes_return(scene->lanes, &batch, NULL);
    assert_true(lanes_are_ready(scene->lanes, WORKSPACE));
    take(scene, 5);
    scene_destroy(scene);
}

static void test_many_do_not_wait(void **state)
{
    (void)state;
    struct scene *scene = scene_create();
    add(scene, WORKSPACE, 0, 1);
    take(scene, 1);
    add(scene, WORKSPACE, 0, 100); /* behind the batch in hand: no matter how many */
    assert_false(lanes_are_ready(scene->lanes, WORKSPACE));
    add(scene, WORKSPACE, 1, 100);
    assert_true(lanes_are_ready(scene->lanes, WORKSPACE));
    take(scene, 100);
    scene_destroy(scene);
}

/* A batch that waits for a row holds up nobody of the other lanes for long. */
static void test_a_late_batch_is_passed(void **state)
{
    (void)state;
    struct scene *scene = scene_create();
    const struct timespec pause = { .tv_nsec = 30 * 1000000L };
    add(scene, WORKSPACE, 0, 1);
    take(scene, 1);
    (void)nanosleep(&pause, NULL);
    add(scene, WORKSPACE, 0, 1);
    assert_false(lanes_are_ready(scene->lanes, WORKSPACE));
    assert_none(scene);
    add(scene, WORKSPACE, 1, 1);
    assert_true(lanes_are_ready(scene->lanes, WORKSPACE));
    take(scene, 1);
    scene_destroy(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_is_taken_whole),
        cmocka_unit_test(test_busy_is_taken_by_two),
        cmocka_unit_test(test_few_wait_for_the_batch_in_hand),
        cmocka_unit_test(test_many_do_not_wait),
        cmocka_unit_test(test_a_late_batch_is_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
