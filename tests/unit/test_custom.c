#include <string.h>

#include "payload.h"
#include "verify/verify.h"

/*
 * A source that says in its settings how it signs and what its bodies mean.
 */

static const char SETTINGS[] =
    "{\"time_zone\":\"Europe/Paris\",\"currency\":\"EUR\","
    "\"signature\":{\"algorithm\":\"sha1\",\"encoding\":\"hex\",\"header\":\"X-Shop-Signature\","
    "\"prefix\":\"sha1=\",\"content\":\"{timestamp}.{body}\",\"timestamp_header\":\"X-Shop-Time\","
    "\"tolerance\":\"2m\"},"
    "\"topic\":{\"pointer\":\"/event\"},\"id\":{\"header\":\"X-Shop-Id\"},"
    "\"events\":["
    "{\"topic\":\"order.state\",\"type\":\"order.updated\",\"id\":\"/order/id\","
    "\"occurred_at\":\"/order/changed\","
    "\"identities\":{\"email\":\"/order/customer/mail\",\"customer_id\":\"/order/customer/id\"},"
    "\"traits\":{\"first_name\":\"/order/customer/name/0\"},"
    "\"consent\":{\"email\":{\"pointer\":\"/order/customer/news\",\"words\":"
    "{\"true\":\"subscribed\",\"false\":\"unsubscribed\"}}},"
    "\"properties\":{\"order_id\":\"/order/id\",\"total\":\"/order/sum\",\"currency\":\"=EUR\","
    "\"status\":{\"pointer\":\"/order/state\",\"words\":{\"4\":\"paid\",\"6\":\"cancelled\"},"
    "\"default\":\"pending\"}},"
    "\"products\":{\"each\":\"/order/a~1b\",\"properties\":{\"product_id\":\"/ref\","
    "\"quantity\":\"/n\",\"price\":\"/price\"}}},"
    "{\"topic\":\"views\",\"type\":\"product.viewed\",\"each\":\"/views\",\"id\":\"/id\","
    "\"occurred_at\":\"/at\",\"identities\":{\"email\":\"/mail\"},"
    "\"properties\":{\"product_id\":\"/ref\"}}]}";

static void custom_begin(struct payload *payload, const char *settings)
{
    payload_begin(payload, "custom");
    struct problem problem = { .type = "" };
    enum status status = platform_parse_settings(payload->arena, payload->platform,
                                                 str_from_z(settings), &payload->source, &problem);
    assert_row(status == STATUS_OK, problem.detail);
}

static enum normalise_verdict take(struct payload *payload, const char *body)
{
    struct inbound_header id = { STR("x-shop-id"), STR("d-1") };
    return payload_take(payload, &id, 1, str_from_z(body));
}

static void a_body_becomes_what_the_mapping_says(void **state)
{
    (void)state;
    struct payload payload;
    custom_begin(&payload, SETTINGS);
    assert_int_equal(
        take(&payload, "{\"event\":\"order.state\",\"order\":{\"id\":9007199254740993,"
                       "\"changed\":\"2026-03-01 10:00:00\",\"sum\":\"49.90\",\"state\":4,"
                       "\"customer\":{\"id\":7,\"mail\":\"Jane@Example.com\",\"name\":[\"Jane\"],"
                       "\"news\":true},"
                       "\"a/b\":[{\"ref\":\"p1\",\"n\":2,\"price\":20},{\"ref\":\"p2\"}]}}"),
        NORMALISE_EVENTS);
    assert_true(str_equal(payload.normalised.topic, STR("order.state")));
    assert_true(str_equal(payload.normalised.dedup_key, STR("d-1")));
    const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
    assert_true(str_equal(event->dedup_key, STR("order.updated/9007199254740993")));
    /* Paris, in winter: one hour ahead. */
    assert_int_equal(event->occurred_at_ms, INT64_C(1772355600000));
    assert_int_equal(event->order->rank, ORDER_PAID);
    assert_true(event->order->counts);
    assert_int_equal(event->order->total_minor, 4990);
    assert_true(str_equal(event->order->order_ref, STR("9007199254740993")));
    assert_int_equal(event->trust, TRUST_SIGNED);
    assert_true(str_equal(payload_member(payload.arena, event->properties_json, "products"),
                          STR("[{\"product_id\":\"p1\",\"quantity\":2,\"price\":20.0},"
                              "{\"product_id\":\"p2\"}]")));
    assert_int_equal(event->fact_count, 2);

    /* A state without a word is the default; it does not count. */
    assert_int_equal(take(&payload, "{\"event\":\"order.state\",\"order\":{\"id\":1,\"sum\":1,"
                                    "\"state\":99,\"customer\":{\"id\":7}}}"),
                     NORMALISE_EVENTS);
    event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
    assert_false(event->order->counts);
    payload_end(&payload);
}

static void a_list_becomes_an_event_for_each_item(void **state)
{
    (void)state;
    struct payload payload;
    custom_begin(&payload, SETTINGS);
    assert_int_equal(take(&payload, "{\"event\":\"views\",\"mail\":\"jane@example.com\",\"views\":["
                                    "{\"id\":\"v1\",\"ref\":\"p1\",\"at\":1772355600},"
                                    "{\"id\":\"v2\",\"ref\":\"p2\",\"at\":1772355600123}]}"),
                     NORMALISE_EVENTS);
    assert_int_equal(payload.normalised.event_count, 2);
    /* What does not stand in the item stands beside the list. */
    assert_int_equal(payload.normalised.events[1].identifier_count, 1);
    assert_int_equal(payload.normalised.events[0].occurred_at_ms, INT64_C(1772355600000));
    assert_int_equal(payload.normalised.events[1].occurred_at_ms, INT64_C(1772355600123));
    payload_end(&payload);
}

static void what_does_not_fit_waits_in_quarantine(void **state)
{
    (void)state;
    struct payload payload;
    custom_begin(&payload, SETTINGS);
    assert_int_equal(take(&payload, "{\"event\":\"order.state\",\"order\":{\"id\":1,"
                                    "\"customer\":{\"id\":7}}}"),
                     NORMALISE_UNREADABLE);
    assert_true(strstr(payload.problem.detail, "total") != NULL);
    assert_int_equal(take(&payload, "{\"event\":\"nothing.known\"}"), NORMALISE_IGNORED);
    assert_int_equal(take(&payload, "event=order"), NORMALISE_UNREADABLE);
    payload_end(&payload);
}

static void settings_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *settings;
        const char *pointer;
    } rows[] = {
        { "no such algorithm", "{\"signature\":{\"algorithm\":\"md5\",\"header\":\"X-S\"}}",
          "#/settings/signature/algorithm" },
        { "no header", "{\"signature\":{\"algorithm\":\"sha256\"}}",
          "#/settings/signature/header" },
        { "a header with a line in it",
          "{\"signature\":{\"algorithm\":\"sha256\",\"header\":\"X-S\\nX\"}}",
          "#/settings/signature/header" },
        { "the body is not signed",
          "{\"signature\":{\"algorithm\":\"sha256\",\"header\":\"X-S\",\"content\":\"{url}\"}}",
          "#/settings/signature/content" },
        { "a time that no header brings",
          "{\"signature\":{\"algorithm\":\"sha256\",\"header\":\"X-S\",\"content\":"
          "\"{timestamp}{body}\"}}",
          "#/settings/signature/content" },
        { "an open brace",
          "{\"signature\":{\"algorithm\":\"sha256\",\"header\":\"X-S\",\"content\":\"{body\"}}",
          "#/settings/signature/content" },
        { "a name of nothing",
          "{\"signature\":{\"algorithm\":\"sha256\",\"header\":\"X-S\",\"content\":\"{body}{}\"}}",
          "#/settings/signature/content" },
        { "more parts than a request is read by: it would be refused for ever",
          "{\"signature\":{\"algorithm\":\"sha256\",\"header\":\"X-S\",\"content\":"
          "\"{header:a}.{header:b}.{header:c}.{header:d}.{header:e}.{header:f}.{body}\"}}",
          "#/settings/signature/content" },
        { "a tolerance of nothing",
          "{\"signature\":{\"algorithm\":\"sha256\",\"header\":\"X-S\",\"tolerance\":\"5m\"}}",
          "#/settings/signature/tolerance" },
        { "a member misspelt", "{\"signature\":{\"algoritm\":\"sha256\"}}",
          "#/settings/signature/algoritm" },
        { "no such event", "{\"events\":[{\"type\":\"order.complete\"}]}",
          "#/settings/events/0/type" },
        { "no pointer",
          "{\"events\":[{\"type\":\"page.viewed\",\"identities\":{\"email\":\"mail\"}}]}",
          "#/settings/events/0/identities/email" },
        { "no such identity",
          "{\"events\":[{\"type\":\"page.viewed\",\"identities\":{\"mail\":\"/mail\"}}]}",
          "#/settings/events/0/identities/mail" },
        { "a list that is none",
          "{\"events\":[{\"type\":\"page.viewed\",\"products\":{\"properties\":{}}}]}",
          "#/settings/events/0/products" },
        { "a topic twice", "{\"topic\":{\"header\":\"X-T\",\"pointer\":\"/t\"}}",
          "#/settings/topic" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        struct problem problem = { .type = "" };
        payload_begin(&payload, "custom");
        enum status status =
            platform_parse_settings(payload.arena, payload.platform, str_from_z(rows[i].settings),
                                    &payload.source, &problem);
        assert_row(status == STATUS_INVALID, rows[i].why);
        assert_row(strcmp(problem.pointer, rows[i].pointer) == 0, problem.pointer);
        payload_end(&payload);
    }
}

static enum signature_verdict verify(struct payload *payload, const char *signature,
                                     const char *time, struct str token)
{
    struct inbound_header headers[] = {
        { STR("X-Shop-Signature"), str_from_z(signature) },
        { STR("X-Shop-Time"), str_from_z(time) },
    };
    struct source_secret secret = { .value = STR("correct-horse-battery"),
                                    .expires_at_ms = INSTANT_NEVER };
    struct inbound inbound = {
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
        .body = STR("{}"),
        .received_at_ms = PAYLOAD_NOW_MS,
        .token = token,
    };
    payload->source.secrets = &secret;
    payload->source.secret_count = 1;
    return verify_inbound(platform_signature(payload->platform, &payload->source), &payload->source,
                          &inbound, payload->arena, NULL)
        .verdict;
}

static void it_signs_as_its_settings_say(void **state)
{
    (void)state;
    struct payload payload;
    custom_begin(&payload, SETTINGS);
    /* printf '1795000000.{}' | openssl dgst -sha1 -hmac correct-horse-battery */
    static const char GOOD[] = "sha1=80f1a5e4e05da28bd8beb958b13e808472f9bb3d";
    assert_int_equal(verify(&payload, GOOD, "1795000000", STR("")), SIGNATURE_VALID);
    assert_int_equal(verify(&payload, GOOD, "1795000001", STR("")), SIGNATURE_MISMATCH);
    assert_int_equal(verify(&payload, GOOD + 5, "1795000000", STR("")), SIGNATURE_HEADER_MALFORMED);
    payload_end(&payload);

    custom_begin(&payload, "{\"signature\":{\"algorithm\":\"none\"},"
                           "\"events\":[{\"type\":\"page.viewed\",\"identities\":"
                           "{\"email\":\"/mail\"}}]}");
    assert_int_equal(verify(&payload, "", "", STR("correct-horse-battery")), SIGNATURE_VALID);
    assert_int_equal(verify(&payload, "", "", STR("correct-horse-batterz")), SIGNATURE_MISMATCH);
    assert_int_equal(verify(&payload, "", "", STR("")), SIGNATURE_HEADER_MISSING);
    assert_int_equal(take(&payload, "{\"mail\":\"jane@example.com\"}"), NORMALISE_EVENTS);
    const struct event *event = payload_event(&payload, EVENT_PAGE_VIEWED, 0);
    assert_int_equal(event->trust, TRUST_KEYED);
    assert_true(str_equal(event->context_json, STR("{\"provenance\":\"none\"}")));
    payload_end(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_becomes_what_the_mapping_says),
        cmocka_unit_test(a_list_becomes_an_event_for_each_item),
        cmocka_unit_test(what_does_not_fit_waits_in_quarantine),
        cmocka_unit_test(settings_are_refused_with_their_place),
        cmocka_unit_test(it_signs_as_its_settings_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
