#include "base/arena.h"
#include "core/trigger/batch.h"
#include "unit.h"

static const struct id subscription = { { 0x50 } };

static void a_batch_is_known_by_its_members(void **state)
{
    (void)state;
    struct delivery_member members[2] = { { .notification_id = { { 1 } } },
                                          { .notification_id = { { 2 } } } };
    struct id id = batch_id(subscription, members, 2);
    assert_int_equal(id.bytes[6] >> 4, 8);
    assert_true(id_equal(id, batch_id(subscription, members, 2)));
    assert_false(id_equal(id, batch_id(subscription, members, 1)));
    assert_false(id_equal(id, batch_id((struct id){ { 0x51 } }, members, 2)));
    members[1].attempt = 1; /* rejected, and the same company again */
    assert_false(id_equal(id, batch_id(subscription, members, 2)));
}

static void its_body_holds_theirs(void **state)
{
    (void)state;
    struct arena *arena = arena_create(65536);
    const struct str bodies[] = { STR("{\"id\":\"a\"}"), STR("{\"id\":\"b\"}") };
    const struct batch_envelope envelope = { .id = { { 0x9a } },
                                             .frozen_at_ms = INT64_C(1795356189000),
                                             .workspace = STR("aurora") };
    struct str body = { NULL, 0 };
    assert_true(batch_body(arena, &envelope, bodies, 2, &body));
    assert_str_equal(body, STR("{\"id\":\"9a000000-0000-0000-0000-000000000000\","
                               "\"type\":\"notification.batch\","
                               "\"timestamp\":\"2026-11-22T14:03:09.000Z\","
                               "\"workspace\":\"aurora\",\"test\":false,\"data\":{\"count\":2,"
                               "\"notifications\":[{\"id\":\"a\"},{\"id\":\"b\"}]}}"));
    assert_true(body.size <= batch_overhead(2) + bodies[0].size + bodies[1].size);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_known_by_its_members),
        cmocka_unit_test(its_body_holds_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
