#include <jansson.h>

#include "api/topic_example.h"
#include "base/arena.h"
#include "core/event/event.h"
#include "core/trigger/subscription.h"
#include "unit.h"

static const struct topic_example EXAMPLE = { .at_ms = 1795356187120,
                                              .workspace = { "aurora", 6 } };

/* Every topic that may be subscribed to has an example in the envelope's form. */
static void check(struct arena *arena, const char *topic, const char *object)
{
    struct str body = topic_example_write(arena, str_from_z(topic), &EXAMPLE);
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    assert_row(root != NULL, topic);
    assert_row(
        str_equal(str_from_z(json_string_value(json_object_get(root, "type"))), str_from_z(topic)),
        topic);
    const json_t *data = json_object_get(root, "data");
    bool is_of_service = topic_is_of_service(str_from_z(topic));
    assert_row(json_is_object(json_object_get(data, "profile")) == !is_of_service, topic);
    assert_row(object == NULL || json_is_object(json_object_get(data, object)), topic);
    assert_row(json_is_object(json_object_get(root, "cause")), topic);
    json_decref(root);
}

static void test_every_topic(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 22);
    for (int type = 1; type < EVENT_TYPE_COUNT; type++) {
        const struct event_type_info *info = event_type_info((enum event_type)type);
        if (!info->universal && type != EVENT_CUSTOM) {
            char object[64] = "";
            for (size_t i = 0; info->name[i] != '.'; i++) {
                object[i] = info->name[i];
                object[i + 1] = '\0';
            }
            check(arena, info->name, object);
        }
    }
    check(arena, "custom.loyalty_joined", "custom");
    for (size_t i = 0; topic_derived(i) != NULL; i++) {
        check(arena, topic_derived(i)->name, topic_derived(i)->object);
    }
    assert_int_equal(topic_example_write(arena, STR("order.complted"), &EXAMPLE).size, 0);
    assert_int_equal(topic_example_write(arena, STR("product.updated"), &EXAMPLE).size, 0);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_topic) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
