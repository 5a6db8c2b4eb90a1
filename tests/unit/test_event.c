#include "core/event/event.h"
#include "core/signature.h"
#include "unit.h"

static void names_and_types_agree(void **state)
{
    (void)state;
    size_t acts = 0;
    for (int type = EVENT_SESSION_STARTED; type < EVENT_TYPE_COUNT; type++) {
        const struct event_type_info *info = event_type_info((enum event_type)type);
        assert_non_null(info->name);
        assert_non_null(info->title);
        acts += info->act ? 1 : 0;
        if (type != EVENT_CUSTOM) {
            assert_row(event_type_from_name(str_from_z(info->name)) == (enum event_type)type,
                       info->name);
        }
    }
    /* Contract 2: so many types are the customer's own act. */
    assert_int_equal(acts, 22);
}

static void marks_acts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool act;
        bool universal;
        const char *why;
    } rows[] = {
        { "product.viewed", true, false, "the customer looks" },
        { "order.completed", true, false, "the customer buys" },
        { "order.updated", false, false, "the merchant edits" },
        { "order.fulfilled", false, false, "the merchant ships" },
        { "customer.updated", false, false, "merchant's edits too" },
        { "email.delivered", false, false, "a machine's doing" },
        { "email.clicked", true, false, "the customer's doing" },
        { "inventory.updated", false, true, "about the world" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        enum event_type type = event_type_from_name(str_from_z(rows[i].name));
        assert_row(type != 0, rows[i].why);
        assert_row(event_type_info(type)->act == rows[i].act, rows[i].why);
        assert_row(event_type_info(type)->universal == rows[i].universal, rows[i].why);
    }
}

static void takes_custom_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum event_type type;
        const char *why;
    } rows[] = {
        { "custom.quiz_done", EVENT_CUSTOM, "a name" },
        { "custom.a", EVENT_CUSTOM, "one letter" },
        { "custom.a2345678901234567890123456789012345678901234567890123456789_123", EVENT_CUSTOM,
          "63 characters" },
        { "custom.a2345678901234567890123456789012345678901234567890123456789_1234", 0,
          "64 characters" },
        { "custom.", 0, "nothing" },
        { "custom.*", 0, "a pattern is no name" },
        { "custom.Quiz", 0, "capital" },
        { "custom.1st", 0, "begins with a digit" },
        { "custom.a.b", 0, "two dots" },
        { "custom.a-b", 0, "dash" },
        { "product.view", 0, "nearly" },
        { "", 0, "empty" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(event_type_from_name(str_from_z(rows[i].name)) == rows[i].type, rows[i].why);
    }
}

static void clamps_time(void **state)
{
    (void)state;
    const int64_t received_ms = INT64_C(1780315200000);
    static const struct {
        int64_t claimed_ms;
        int64_t expected_ms;
        const char *why;
    } rows[] = {
        { INT64_C(1780315200000), INT64_C(1780315200000), "just now" },
        { INT64_C(1780315200001), INT64_C(1780315200000), "a tick ahead" },
        { INT64_C(1811851200000), INT64_C(1780315200000), "a clock one year ahead" },
        { INSTANT_FIRST_MS, INSTANT_FIRST_MS, "the first instant" },
        { INSTANT_FIRST_MS - 1, INSTANT_FIRST_MS, "a tick before it" },
        { 0, INSTANT_FIRST_MS, "1970" },
        { INSTANT_NONE, INSTANT_FIRST_MS, "none" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(event_clamp_instant(rows[i].claimed_ms, received_ms) == rows[i].expected_ms,
                   rows[i].why);
    }
}

static void ids_follow_from_the_delivery(void **state)
{
    (void)state;
    struct id one = { { 1 } };
    struct id two = { { 2 } };
    struct id id = event_id(one, STR("d-1"), STR("0"));
    assert_true(id_equal(id, event_id(one, STR("d-1"), STR("0"))));
    assert_false(id_equal(id, event_id(two, STR("d-1"), STR("0"))));
    assert_false(id_equal(id, event_id(one, STR("d-2"), STR("0"))));
    assert_false(id_equal(id, event_id(one, STR("d-1"), STR("1"))));
    /* Parts do not run together. */
    assert_false(id_equal(event_id(one, STR("ab"), STR("c")), event_id(one, STR("a"), STR("bc"))));
    assert_int_equal(id.bytes[6] >> 4, 8);
}

static void reads_headers_without_case(void **state)
{
    (void)state;
    const struct inbound_header headers[] = {
        { STR("X-Shopify-Hmac-SHA256"), STR("one") },
        { STR("webhook-id"), STR("msg_1") },
        { STR("x-shopify-hmac-sha256"), STR("two") },
    };
    const struct inbound inbound = { .headers = headers, .header_count = 3 };
    assert_str_equal(inbound_header(&inbound, "x-shopify-hmac-sha256"), STR("one"));
    assert_str_equal(inbound_header(&inbound, "Webhook-Id"), STR("msg_1"));
    assert_int_equal(inbound_header(&inbound, "webhook-signature").size, 0);
    assert_int_equal(inbound_header_count(&inbound, "X-SHOPIFY-HMAC-SHA256"), 2);
    assert_int_equal(inbound_header_count(&inbound, "none"), 0);
}

static void verdicts_have_words(void **state)
{
    (void)state;
    static const char *const names[] = {
        "valid",
        "header_missing",
        "header_malformed",
        "signature_mismatch",
        "no_secret",
        "timestamp_outside_tolerance",
        "shop_mismatch",
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_string_equal(signature_verdict_name((enum signature_verdict)i), names[i]);
        assert_true(strlen(signature_verdict_hint((enum signature_verdict)i)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_types_agree),
        cmocka_unit_test(marks_acts),
        cmocka_unit_test(takes_custom_names),
        cmocka_unit_test(clamps_time),
        cmocka_unit_test(ids_follow_from_the_delivery),
        cmocka_unit_test(reads_headers_without_case),
        cmocka_unit_test(verdicts_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
