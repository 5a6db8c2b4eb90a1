#include <jansson.h>

#include "base/arena.h"
#include "core/trigger/care.h"
#include "unit.h"

#define SINCE_MS INT64_C(1795356187000)

static void stages_lie_between_calls(void **state)
{
    (void)state;
    static const struct {
        int64_t failing_ms;
        int32_t stage;
        const char *why;
    } rows[] = {
        { 0, 0, "one call" },
        { 60 * INSTANT_HOUR_MS - 1, 0, "just before half" },
        { 60 * INSTANT_HOUR_MS, 50, "half" },
        { 84 * INSTANT_HOUR_MS - 1, 50, "just before 70 %" },
        { 84 * INSTANT_HOUR_MS, 70, "70 %" },
        { 108 * INSTANT_HOUR_MS, 90, "90 %" },
        { 120 * INSTANT_HOUR_MS - 1, 90, "just before five days" },
        { 120 * INSTANT_HOUR_MS, CARE_DISABLE, "five days" },
        { 900 * INSTANT_HOUR_MS, CARE_DISABLE, "and more" },
        { -5, 0, "a call that began before the first that failed" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(care_stage(SINCE_MS, SINCE_MS + rows[i].failing_ms) == rows[i].stage,
                   rows[i].why);
    }
}

static struct care_notice notice_of(int32_t stage)
{
    struct care_notice notice = { .workspace_name = STR("aurora"),
                                  .name = STR("mailhouse"),
                                  .stage = stage,
                                  .failing_since_ms = SINCE_MS,
                                  .at_ms = SINCE_MS + 60 * INSTANT_HOUR_MS };
    notice.subscription_id.bytes[15] = 7;
    return notice;
}

static void its_id_is_its_cause(void **state)
{
    (void)state;
    struct care_notice notice = notice_of(50);
    struct id id = care_id(&notice);
    notice.at_ms += 5000; /* another call may be the one that a look meets */
    assert_true(id_equal(id, care_id(&notice)));
    notice.stage = 70;
    assert_false(id_equal(id, care_id(&notice)));
    notice = notice_of(50);
    notice.failing_since_ms++;
    assert_false(id_equal(id, care_id(&notice)));
    notice = notice_of(50);
    notice.subscription_id.bytes[15] = 8;
    assert_false(id_equal(id, care_id(&notice)));
    notice = notice_of(CARE_DISABLE);
    notice.failing_since_ms = INSTANT_NONE;
    id = care_id(&notice);
    notice.at_ms++;
    assert_false(id_equal(id, care_id(&notice)));
}

static const char *member(const json_t *root, const char *name)
{
    const json_t *data = json_object_get(json_object_get(root, "data"), "subscription");
    return json_string_value(json_object_get(data, name));
}

static void its_body_says_when_it_ends(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 16);
    struct str body = { NULL, 0 };
    struct care_notice notice = notice_of(50);
    assert_true(care_body(arena, &notice, notice.at_ms + 40, &body));
    json_t *root = json_loadb(body.data, body.size, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "type")), CARE_FAILING_TOPIC);
    assert_string_equal(member(root, "status"), "active");
    char ends[INSTANT_TEXT_SIZE];
    instant_format(SINCE_MS + CARE_PATIENCE_MS, ends);
    assert_string_equal(member(root, "disabled_from"), ends);
    json_decref(root);
    notice = notice_of(CARE_DISABLE);
    notice.reason = STR(CARE_REASON);
    assert_true(care_body(arena, &notice, notice.at_ms, &body));
    root = json_loadb(body.data, body.size, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "type")), CARE_DISABLED_TOPIC);
    assert_string_equal(member(root, "status"), "disabled");
    assert_string_equal(member(root, "reason"), "failing_5d");
    json_decref(root);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_lie_between_calls),
        cmocka_unit_test(its_id_is_its_cause),
        cmocka_unit_test(its_body_says_when_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
