#include <jansson.h>

#include "base/arena.h"
#include "base/instant.h"
#include "core/trigger/silence.h"
#include "unit.h"

enum {
    HEARD_MS = 1795356187
};

static struct source source_of(const char *id, int64_t expected_ms)
{
    struct source source = { .name = STR("shopify_main"),
                             .platform = STR("shopify"),
                             .workspace_name = STR("aurora"),
                             .expected_silence_ms = expected_ms };
    assert_true(id_parse(str_from_z(id), &source.id));
    return source;
}

#define ONE "0199d2a4-6c11-7e0b-8f0e-3a2b1c0d9e8f"
#define OTHER "0199d2a4-6c11-7e0b-8f0e-3a2b1c0d9e90"

static void due_after_what_is_expected(void **state)
{
    (void)state;
    struct source source = source_of(ONE, INSTANT_HOUR_MS);
    /* "Longer than": the first instant at which health says silent. */
    assert_int_equal(silence_due_ms(&source, HEARD_MS, INSTANT_NONE),
                     HEARD_MS + INSTANT_HOUR_MS + 1);
    assert_int_equal(silence_due_ms(&source, HEARD_MS, HEARD_MS - 1),
                     HEARD_MS + INSTANT_HOUR_MS + 1);
    /* We were down: nobody could be heard. */
    assert_int_equal(silence_due_ms(&source, HEARD_MS, HEARD_MS + 5000),
                     HEARD_MS + 5000 + INSTANT_HOUR_MS + 1);
}

static void its_id_is_its_cause(void **state)
{
    (void)state;
    struct source source = source_of(ONE, INSTANT_HOUR_MS);
    struct source patient = source_of(ONE, INSTANT_DAY_MS);
    struct source other = source_of(OTHER, INSTANT_HOUR_MS);
    struct silence silence = { &source, HEARD_MS, HEARD_MS + 1 };
    struct id id = silence_id(&silence);
    assert_true(id_equal(id, silence_id(&(struct silence){ &source, HEARD_MS, HEARD_MS + 7 })));
    assert_true(id_equal(id, silence_id(&(struct silence){ &patient, HEARD_MS, 0 })));
    assert_false(id_equal(id, silence_id(&(struct silence){ &source, HEARD_MS + 1, 0 })));
    assert_false(id_equal(id, silence_id(&(struct silence){ &other, HEARD_MS, 0 })));
}

static void its_body_names_the_source_and_nobody(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 16);
    struct source source = source_of(ONE, INSTANT_HOUR_MS);
    struct silence silence = { &source, 0, INSTANT_HOUR_MS + 1 };
    struct str body = { NULL, 0 };
    assert_true(silence_body(arena, &silence, INSTANT_HOUR_MS + 400, &body));
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    json_t *expected = json_pack(
        "{s:s, s:s, s:s, s:n, s:s, s:i, s:b, s:{s:s, s:s}, s:{s:{s:s, s:s, s:s, s:s, s:s}}}",
        "type", "ops.source_silent", "timestamp", "1970-01-01T01:00:00.001Z", "recorded_at",
        "1970-01-01T01:00:00.400Z", "expires_at", "workspace", "aurora", "sequence", 0, "test", 0,
        "cause", "kind", "time", "due_at", "1970-01-01T01:00:00.001Z", "data", "source", "id", ONE,
        "name", "shopify_main", "platform", "shopify", "last_accepted_at",
        "1970-01-01T00:00:00.000Z", "expected_silence", "1h");
    assert_non_null(expected);
    assert_int_equal(json_object_del(root, "id"), 0);
    assert_true(json_equal(root, expected));
    json_decref(expected);
    json_decref(root);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_after_what_is_expected),
        cmocka_unit_test(its_id_is_its_cause),
        cmocka_unit_test(its_body_names_the_source_and_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
