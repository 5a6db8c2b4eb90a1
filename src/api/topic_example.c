#include "api/topic_example.h"

#include "base/buf.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "core/event/event.h"
#include "core/trigger/care.h"
#include "core/trigger/envelope.h"
#include "core/trigger/subscription.h"

/*
 * Examples of notifications.
 *
 * They follow contract 3 and 4, with the one invented customer of its pages.
 * Kept as text per kind of object: an example that was assembled by the code
 * that renders real ones would show what the code does, not what was promised.
 */

#define EXAMPLE_PROFILE                                                                \
    "{\"id\":\"0198c1f0-7c1e-7b3a-9d55-5f3b2a1c9e10\",\"email\":\"jane@example.com\"," \
    "\"phone\":\"+33612345678\",\"external_id\":\"u_1001\",\"first_name\":\"Jane\","   \
    "\"last_name\":\"Doe\",\"locale\":\"fr-FR\",\"time_zone\":\"Europe/Paris\","       \
    "\"lifecycle\":\"active\",\"tags\":[],\"segments\":[],\"tiers\":{},"               \
    "\"orders\":{\"count\":9,\"revenue\":1124.91,\"average_value\":124.99,"            \
    "\"currency\":\"EUR\",\"last_at\":\"2026-11-02T18:20:11.000Z\"},"                  \
    "\"consent\":{\"email\":\"subscribed\",\"sms\":\"never\",\"push\":\"never\","      \
    "\"tracking\":\"subscribed\",\"sale\":\"never\"}}"

#define EXAMPLE_LINE                                                        \
    "{\"product_id\":\"8213868347001\",\"variant_id\":\"44901482850001\","  \
    "\"sku\":\"TR-42\",\"name\":\"Trail runner\",\"category\":[\"Shoes\"]," \
    "\"quantity\":1,\"price\":132.50}"

struct object_example {
    const char *object; /* the first half of the type */
    const char *json;
};

static const struct object_example OBJECTS[] = {
    { "product", "{\"product_id\":\"8213868347001\",\"variant_id\":\"44901482850001\","
                 "\"name\":\"Trail runner\",\"category\":[\"Shoes\"],\"price\":132.50,"
                 "\"currency\":\"EUR\",\"url\":\"https://aurora.example/products/trail\"}" },
    { "product_list", "{\"category\":[\"Shoes\"],\"url\":\"https://aurora.example/shoes\"}" },
    { "wishlist", EXAMPLE_LINE },
    { "cart",
      "{\"cart_id\":\"c1-7f3a\",\"total\":132.50,\"currency\":\"EUR\",\"products\":[" EXAMPLE_LINE
      "]}" },
    { "checkout",
      "{\"checkout_id\":\"38102456\",\"total\":132.50,\"currency\":\"EUR\","
      "\"recovery_url\":\"https://aurora.example/recover/abc\",\"products\":[" EXAMPLE_LINE "]}" },
    { "order", "{\"order_id\":\"5739001\",\"number\":\"1001\",\"total\":132.50,"
               "\"subtotal\":132.50,\"discount\":0.00,\"shipping\":0.00,\"tax\":22.08,"
               "\"currency\":\"EUR\",\"channel\":\"online\",\"products\":[" EXAMPLE_LINE "]}" },
    { "page", "{\"url\":\"https://aurora.example/\"}" },
    { "form", "{\"name\":\"newsletter\"}" },
    { "consent", "{\"channel\":\"email\",\"state\":\"subscribed\"}" },
    { "preference", "{\"interests\":[\"running\"]}" },
    { "email", "{\"url\":\"https://aurora.example/sale\"}" },
};

/* Of the derived topics, by the member of data. */
static const struct object_example DERIVED[] = {
    { "lifecycle", "{\"from\":\"active\",\"to\":\"lapsed\",\"rule_version\":1,"
                   "\"since\":\"2026-11-22T03:12:44.000Z\",\"until\":\"2027-03-22T03:12:44.000Z\","
                   "\"previous_since\":\"2026-06-01T09:00:03.000Z\"}" },
    { "tag", "{\"name\":\"frequent_buyer\",\"title\":\"Frequent buyer\",\"rule_version\":1,"
             "\"since\":\"2026-11-02T18:20:11.000Z\",\"until\":\"2027-01-31T18:20:11.000Z\"}" },
    { "segment",
      "{\"name\":\"shoes_three_views\",\"title\":\"Viewed shoes three times in 24 hours\","
      "\"rule_version\":7,\"since\":\"2026-11-22T14:03:07.120Z\","
      "\"until\":\"2026-11-23T13:41:55.020Z\"}" },
    { "tier", "{\"name\":\"basket\",\"title\":\"Basket value\",\"from\":\"mid\",\"to\":\"high\","
              "\"rule_version\":2,\"since\":\"2026-11-02T18:20:11.000Z\",\"until\":null,"
              "\"previous_since\":\"2026-06-01T09:00:03.000Z\"}" },
    { "merge",
      "{\"id\":\"0199d1aa-0001-7000-8000-000000000003\","
      "\"from_id\":\"0199a000-0000-7000-8000-00000000000a\","
      "\"into_id\":\"0198c1f0-7c1e-7b3a-9d55-5f3b2a1c9e10\",\"because\":{\"kind\":\"email\"}}" },
    { "source", "{\"id\":\"0199d2a4-6c11-7e0b-8f0e-3a2b1c0d9e8f\",\"name\":\"shopify_main\","
                "\"platform\":\"shopify\",\"last_accepted_at\":\"2026-11-22T08:03:07.119Z\","
                "\"expected_silence\":\"6h\"}" },
    { "subscription",
      "{\"id\":\"0199d2a4-7d22-7e0b-8f0e-3a2b1c0d9e8f\",\"name\":\"mailhouse\","
      "\"status\":\"active\",\"reason\":null,\"failing_since\":\"2026-11-20T02:03:07.120Z\","
      "\"failing_percent\":50,\"disabled_from\":\"2026-11-25T02:03:07.120Z\"}" },
    /* By the whole topic, where an object is told of in another way. */
    { CARE_DISABLED_TOPIC,
      "{\"id\":\"0199d2a4-7d22-7e0b-8f0e-3a2b1c0d9e8f\",\"name\":\"mailhouse\","
      "\"status\":\"disabled\",\"reason\":\"failing_5d\","
      "\"failing_since\":\"2026-11-17T14:03:07.120Z\",\"failing_percent\":null,"
      "\"disabled_from\":null}" },
};

static const struct topic_info *derived_topic(struct str topic)
{
    for (size_t i = 0; topic_derived(i) != NULL; i++) {
        if (str_equal_z(topic, topic_derived(i)->name)) {
            return topic_derived(i);
        }
    }
    return NULL;
}

static struct str object_of(struct str topic)
{
    struct str object = topic;
    struct str action = { NULL, 0 };
    (void)str_split(topic, '.', &object, &action);
    return object;
}

static void write_cause(struct jsonw *json, struct str topic, int64_t at_ms)
{
    jsonw_key(json, "cause");
    jsonw_open(json);
    if (str_equal(topic, STR("lifecycle.changed")) || topic_is_of_service(topic)) {
        jsonw_put_z(json, "kind", "time");
        jsonw_put_instant(json, "due_at", at_ms);
    } else {
        bool is_event = event_type_from_name(topic) != 0;
        jsonw_put_z(json, "kind", "event");
        jsonw_put_z(json, "event_id", "0199d2b1-0c2d-7a44-9a55-0b7f3f1e2d10");
        jsonw_put_str(json, "event_type", is_event ? topic : STR("customer.created"));
        jsonw_put_z(json, "source", "shopify_main");
        jsonw_put_instant(json, "occurred_at", at_ms);
    }
    jsonw_close(json);
}

static struct str example_of(const struct object_example *examples, size_t count, struct str object)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_z(object, examples[i].object)) {
            return str_from_z(examples[i].json);
        }
    }
    return STR("{}");
}

static void write_object(struct jsonw *json, struct str topic, const struct topic_info *derived)
{
    if (derived != NULL) {
        if (derived->object != NULL) {
            bool is_told_apart = str_equal(topic, STR(CARE_DISABLED_TOPIC));
            jsonw_put_raw(json, derived->object,
                          example_of(DERIVED, ARRAY_COUNT(DERIVED),
                                     is_told_apart ? topic : str_from_z(derived->object)));
        }
        return;
    }
    struct str object = object_of(topic);
    jsonw_key_str(json, object);
    jsonw_raw(json, example_of(OBJECTS, ARRAY_COUNT(OBJECTS), object));
}

struct str topic_example_write(struct arena *arena, struct str topic,
                               const struct topic_example *example)
{
    const struct topic_info *derived = derived_topic(topic);
    enum event_type type = event_type_from_name(topic);
    if (derived == NULL && (type == 0 || event_type_info(type)->universal)) {
        return (struct str){ NULL, 0 };
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, 64u * 1024);
    jsonw_begin(&json, &buf);
    bool is_of_service = topic_is_of_service(topic);
    envelope_open(&json, &(struct envelope){ .id = example->id,
                                             .type = topic,
                                             .at_ms = example->at_ms,
                                             .recorded_at_ms = example->at_ms + 40,
                                             .expires_at_ms = example->expires_at_ms,
                                             .workspace = example->workspace,
                                             .sequence = is_of_service ? 0 : 418,
                                             .test = example->test });
    write_cause(&json, topic, example->at_ms);
    jsonw_key(&json, "data");
    jsonw_open(&json);
    write_object(&json, topic, derived);
    if (!is_of_service) {
        jsonw_put_raw(&json, "profile", STR(EXAMPLE_PROFILE));
    }
    jsonw_close(&json);
    jsonw_close(&json);
    return buf_str(&buf);
}
