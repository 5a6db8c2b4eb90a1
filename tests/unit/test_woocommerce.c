#include "payload.h"

static enum normalise_verdict take(struct payload *payload, const char *topic, const char *id,
                                   struct str body)
{
    struct inbound_header headers[] = {
        { STR("X-WC-Webhook-Topic"), str_from_z(topic) },
        { STR("X-WC-Webhook-ID"), str_from_z(id) },
        { STR("X-WC-Webhook-Delivery-ID"), STR("same-in-one-second") },
        { STR("X-WC-Webhook-Source"), STR("https://outlet.example/") },
    };
    return payload_take(payload, headers, ARRAY_COUNT(headers), body);
}

#define BILLING                                                                                  \
    "\"billing\":{\"first_name\":\"John\",\"last_name\":\"Doe\",\"city\":\"San Francisco\","     \
    "\"state\":\"CA\",\"postcode\":\"94103\",\"country\":\"US\",\"email\":\"John@Example.com\"," \
    "\"phone\":\"+1 555 555 0123\"}"

/* %s: status, customer_id, refunds */
static const char ORDER[] =
    "{\"id\":727,\"number\":\"727\",\"status\":\"%s\",\"currency\":\"USD\","
    "\"date_created\":\"2026-11-02T16:28:02\",\"date_created_gmt\":\"2026-11-02T19:28:02\","
    "\"date_modified\":\"2026-11-02T16:28:08\",\"date_modified_gmt\":\"2026-11-02T19:28:08\","
    "\"discount_total\":\"1.00\",\"shipping_total\":\"10.00\",\"total\":\"29.35\","
    "\"total_tax\":\"1.35\",\"customer_id\":%s,\"created_via\":\"checkout\"," BILLING
    ",\"meta_data\":[{\"key\":\"_x\",\"value\":{\"y\":[]}}],\"coupon_lines\":[{\"code\":\"ten\"}],"
    "\"line_items\":[{\"id\":315,\"name\":\"Single\",\"product_id\":93,\"variation_id\":0,"
    "\"quantity\":2,\"subtotal\":\"6.00\",\"total\":\"6.00\",\"sku\":\"\",\"price\":3},"
    "{\"id\":316,\"name\":\"Ship\",\"product_id\":22,\"variation_id\":23,\"quantity\":1,"
    "\"subtotal\":\"12.00\",\"sku\":\"Bar3\",\"price\":12.345}],\"refunds\":%s}";

static struct str order(struct arena *arena, const char *status, const char *customer_id,
                        const char *refunds)
{
    char text[4096];
    int size = snprintf(text, sizeof(text), ORDER, status, customer_id, refunds);
    return str_dup(arena, (struct str){ text, (size_t)size });
}

static void states_an_order(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "woocommerce");
    assert_int_equal(
        take(&payload, "order.created", "3", order(payload.arena, "processing", "25", "[]")),
        NORMALISE_EVENTS);
    payload_check_events(&payload);
    assert_int_equal(payload.normalised.event_count, 1);
    const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
    assert_true(event->occurred_at_ms == payload_ms("2026-11-02T19:28:08Z"));
    assert_str_equal(payload_identifier(event, IDENTITY_CUSTOMER_ID, 0), STR("25"));
    assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("john@example.com"));
    assert_str_equal(payload_identifier(event, IDENTITY_PHONE, 0), STR("+15555550123"));
    assert_str_equal(payload_identifier(event, IDENTITY_ORDER, 0), STR("727"));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "region"), STR("\"US-CA\""));
    const struct order_document *body = event->order;
    assert_int_equal(body->kind, ORDER_BODY);
    assert_int_equal(body->rank, ORDER_PAID);
    assert_true(body->counts);
    assert_int_equal(body->total_minor, 2935);
    assert_true(body->version_ms == payload_ms("2026-11-02T19:28:08Z"));
    assert_true(body->placed_at_ms == payload_ms("2026-11-02T19:28:02Z"));
    assert_str_equal(
        body->body_json,
        STR("{\"order_id\":\"727\",\"number\":\"727\",\"status\":\"processing\",\"total\":29.35,"
            "\"subtotal\":18.00,\"discount\":1.00,\"shipping\":10.00,\"tax\":1.35,"
            "\"currency\":\"USD\",\"coupon\":\"ten\",\"channel\":\"checkout\",\"platform\":\"web\","
            "\"products\":["
            "{\"product_id\":\"93\",\"name\":\"Single\",\"quantity\":2,\"price\":3.00},"
            "{\"product_id\":\"22\",\"variant_id\":\"23\",\"sku\":\"Bar3\",\"name\":\"Ship\","
            "\"quantity\":1,\"price\":12.35}]}"));

    /* A guest is known by billing alone. */
    take(&payload, "order.created", "3", order(payload.arena, "processing", "0", "[]"));
    event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
    assert_int_equal(payload_identifier(event, IDENTITY_CUSTOMER_ID, 0).size, 0);
    assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("john@example.com"));
    payload_end(&payload);
}

static void says_when_an_order_counts(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        const char *when; /* the setting, or NULL */
        enum order_rank rank;
        bool counts;
    } rows[] = {
        { "checkout-draft", NULL, ORDER_OPEN, false },
        { "pending", NULL, ORDER_OPEN, false },
        { "on-hold", NULL, ORDER_OPEN, false },
        { "processing", NULL, ORDER_PAID, true },
        { "completed", NULL, ORDER_FULFILLED, true },
        { "refunded", NULL, ORDER_FULFILLED, false },
        { "cancelled", NULL, ORDER_CANCELLED, false },
        { "failed", NULL, ORDER_CANCELLED, false },
        { "trash", NULL, ORDER_CANCELLED, false },
        { "wc-custom", NULL, ORDER_OPEN, false },
        { "on-hold", "[\"on-hold\",\"processing\"]", ORDER_OPEN, true },
        { "completed", "[\"on-hold\",\"processing\"]", ORDER_FULFILLED, false },
        { "refunded", "[\"processing\",\"completed\",\"refunded\"]", ORDER_FULFILLED, true },
        { "pending", "\"created\"", ORDER_OPEN, true },
        { "processing", "\"paid\"", ORDER_PAID, true },
        { "on-hold", "\"paid\"", ORDER_OPEN, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        char settings[128];
        payload_begin(&payload, "woocommerce");
        snprintf(settings, sizeof(settings), "{\"order_completed_when\":%s}",
                 rows[i].when == NULL ? "null" : rows[i].when);
        assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                                 str_from_z(settings), &payload.source,
                                                 &payload.problem),
                         STATUS_OK);
        take(&payload, "order.updated", "3", order(payload.arena, rows[i].status, "0", "[]"));
        payload_check_events(&payload);
        const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
        assert_row(event->order->rank == rows[i].rank, rows[i].status);
        assert_row(event->order->counts == rows[i].counts, rows[i].status);
        payload_end(&payload);
    }
}

/* order.updated also fires when a refund is deleted: what a body says about
 * money given back stands for its version only. */
static void tells_refunds_and_takes_them_back(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "woocommerce");
    take(
        &payload, "order.updated", "3",
        order(
            payload.arena, "processing", "0",
            "[{\"id\":730,\"reason\":\"\",\"total\":\"-10.00\"},{\"id\":731,\"total\":\"-1.5\"}]"));
    payload_check_events(&payload);
    assert_int_equal(payload.normalised.event_count, 3);
    assert_int_equal(payload_event(&payload, EVENT_ORDER_UPDATED, 0)->order->refunded_minor, 1150);
    const struct event *refund = payload_event(&payload, EVENT_ORDER_REFUNDED, 0);
    assert_str_equal(refund->dedup_key, STR("refund/730"));
    assert_int_equal(refund->amount_minor, 1000);
    assert_null(refund->order);
    assert_str_equal(payload_identifier(refund, IDENTITY_ORDER, 0), STR("727"));
    struct id first = refund->id;

    take(&payload, "order.updated", "3",
         order(payload.arena, "completed", "0", "[{\"id\":730,\"total\":\"-10.00\"}]"));
    assert_int_equal(payload_event(&payload, EVENT_ORDER_UPDATED, 0)->order->refunded_minor, 1000);
    assert_true(id_equal(payload_event(&payload, EVENT_ORDER_REFUNDED, 0)->id, first));
    take(&payload, "order.updated", "3", order(payload.arena, "completed", "0", "[]"));
    assert_int_equal(payload_event(&payload, EVENT_ORDER_UPDATED, 0)->order->refunded_minor, 0);
    payload_end(&payload);
}

static void tells_a_cancellation_once(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "woocommerce");
    take(&payload, "order.updated", "3", order(payload.arena, "cancelled", "0", "[]"));
    payload_check_events(&payload);
    assert_int_equal(payload.normalised.event_count, 2);
    struct id first = payload_event(&payload, EVENT_ORDER_CANCELLED, 0)->id;
    assert_null(payload_event(&payload, EVENT_ORDER_CANCELLED, 0)->order);
    take(&payload, "order.updated", "4", order(payload.arena, "cancelled", "25", "[]"));
    assert_true(id_equal(payload_event(&payload, EVENT_ORDER_CANCELLED, 0)->id, first));
    payload_end(&payload);
}

static void keys_a_delivery_by_its_bytes(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "woocommerce");
    struct str body = order(payload.arena, "processing", "0", "[]");
    take(&payload, "order.updated", "3", body);
    struct str key = payload.normalised.dedup_key;
    take(&payload, "order.updated", "3", body);
    assert_str_equal(payload.normalised.dedup_key, key);
    assert_true(str_starts_with(key, STR("3/")));
    take(&payload, "order.updated", "4", body);
    assert_false(str_equal(payload.normalised.dedup_key, key));
    take(&payload, "order.created", "3", body);
    assert_false(str_equal(payload.normalised.dedup_key, key));
    take(&payload, "order.updated", "3", order(payload.arena, "completed", "0", "[]"));
    assert_false(str_equal(payload.normalised.dedup_key, key));
    payload_end(&payload);
}

static void keys_a_deletion_by_its_delivery(void **state)
{
    (void)state;
    static const char *const ids[] = { "first", "first", "after it was restored" };
    struct payload payload;
    struct str keys[ARRAY_COUNT(ids)];
    payload_begin(&payload, "woocommerce");
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        struct inbound_header headers[] = {
            { STR("X-WC-Webhook-Topic"), STR("order.deleted") },
            { STR("X-WC-Webhook-ID"), STR("3") },
            { STR("X-WC-Webhook-Delivery-ID"), str_from_z(ids[i]) },
        };
        assert_int_equal(payload_take(&payload, headers, ARRAY_COUNT(headers), STR("{\"id\":727}")),
                         NORMALISE_EVENTS);
        keys[i] = payload.normalised.dedup_key;
    }
    assert_str_equal(keys[0], keys[1]);
    assert_false(str_equal(keys[0], keys[2]));
    payload_end(&payload);
}

static void knows_the_ping(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *header;
        const char *body;
        bool ping;
    } rows[] = {
        { "as WooCommerce sends it", "Content-Type", "webhook_id=12", true },
        { "a header of a real delivery", "X-WC-Webhook-Topic", "webhook_id=12", false },
        { "in lower case, too", "x-wc-webhook-id", "webhook_id=12", false },
        { "no number", "Content-Type", "webhook_id=abc", false },
        { "nothing", "Content-Type", "webhook_id=", false },
        { "more behind it", "Content-Type", "webhook_id=12&x=1", false },
        { "JSON", "Content-Type", "{\"id\":1}", false },
        { "empty", "Content-Type", "", false },
    };
    const struct platform *platform = platform_find(STR("woocommerce"));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct inbound_header header = { str_from_z(rows[i].header), STR("x") };
        struct inbound inbound = { .headers = &header,
                                   .header_count = 1,
                                   .body = str_from_z(rows[i].body),
                                   .received_at_ms = PAYLOAD_NOW_MS };
        assert_row(platform->greet(NULL, NULL, &inbound, NULL) == rows[i].ping, rows[i].why);
    }
}

static void knows_its_own_shop(void **state)
{
    (void)state;
    static const struct {
        const char *site_url;
        const char *header;
        bool own;
    } rows[] = {
        { "https://outlet.example", "https://outlet.example/", true },
        { "https://Outlet.Example/shop", "http://outlet.EXAMPLE/shop/", true },
        { "https://outlet.example:8443/", "https://outlet.example:8443/", true },
        { "https://outlet.example", "https://outlet.example.evil/", false },
        { "https://outlet.example", "https://other.example/", false },
        { "https://outlet.example", "", true },
        { NULL, "https://any.example/", true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        char settings[128] = "{}";
        payload_begin(&payload, "woocommerce");
        if (rows[i].site_url != NULL) {
            snprintf(settings, sizeof(settings), "{\"site_url\":\"%s\"}", rows[i].site_url);
        }
        assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                                 str_from_z(settings), &payload.source,
                                                 &payload.problem),
                         STATUS_OK);
        struct inbound_header header = { STR("X-WC-Webhook-Source"), str_from_z(rows[i].header) };
        struct inbound inbound = { .headers = &header,
                                   .header_count = 1,
                                   .body = STR("{}"),
                                   .received_at_ms = PAYLOAD_NOW_MS };
        assert_row(payload.platform->is_own_shop(&payload.source, &inbound) == rows[i].own,
                   rows[i].header);
        payload_end(&payload);
    }
}

static void judges_topics(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *topic;
        const char *body;
        enum normalise_verdict verdict;
        enum event_type type;
    } rows[] = {
        { "coupons are not ours", "coupon.created", "{\"id\":1}", NORMALISE_IGNORED, 0 },
        { "actions are not ours", "action.woocommerce_add_to_cart", "{\"action\":\"x\",\"arg\":1}",
          NORMALISE_IGNORED, 0 },
        { "a verb that is none", "order.frobbed", "{\"id\":1}", NORMALISE_IGNORED, 0 },
        { "no topic", "", "{\"id\":1}", NORMALISE_UNREADABLE, 0 },
        { "no JSON", "order.created", "webhook_id=1", NORMALISE_UNREADABLE, 0 },
        { "an order without total", "order.created", "{\"id\":1,\"status\":\"pending\"}",
          NORMALISE_UNREADABLE, 0 },
        { "an order without status", "order.created", "{\"id\":1,\"total\":\"1\"}",
          NORMALISE_UNREADABLE, 0 },
        { "a deleted order has its id only", "order.deleted", "{\"id\":1}", NORMALISE_EVENTS,
          EVENT_ORDER_UPDATED },
        { "a restored order is whole", "order.restored",
          "{\"id\":1,\"total\":\"1\",\"status\":\"pending\",\"billing\":[],\"refunds\":{},"
          "\"line_items\":null}",
          NORMALISE_EVENTS, EVENT_ORDER_UPDATED },
        { "a new customer", "customer.created", "{\"id\":25,\"email\":\"\",\"billing\":[]}",
          NORMALISE_EVENTS, EVENT_CUSTOMER_CREATED },
        { "a changed one", "customer.updated", "{\"id\":25}", NORMALISE_EVENTS,
          EVENT_CUSTOMER_UPDATED },
        { "a deleted one", "customer.deleted", "{\"id\":25}", NORMALISE_EVENTS,
          EVENT_CUSTOMER_DELETED },
        { "nobody", "customer.updated", "{\"id\":0}", NORMALISE_UNREADABLE, 0 },
        { "a product", "product.restored", "{\"id\":794,\"categories\":[{\"name\":\"Hats\"}]}",
          NORMALISE_EVENTS, EVENT_PRODUCT_UPDATED },
        { "a deleted product", "product.deleted", "{\"id\":794}", NORMALISE_EVENTS,
          EVENT_PRODUCT_DELETED },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, "woocommerce");
        enum normalise_verdict verdict =
            take(&payload, rows[i].topic, "3", str_from_z(rows[i].body));
        assert_row(verdict == rows[i].verdict, rows[i].why);
        if (verdict == NORMALISE_EVENTS) {
            payload_check_events(&payload);
            assert_row(payload.normalised.events[0].type == rows[i].type, rows[i].why);
        }
        payload_end(&payload);
    }
}

static void reads_local_times_by_the_shops_zone(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "woocommerce"); /* Europe/Paris */
    take(&payload, "customer.created", "3",
         STR("{\"id\":25,\"date_created\":\"2026-11-02T16:00:00\",\"date_created_gmt\":null}"));
    assert_true(payload.normalised.events[0].occurred_at_ms == payload_ms("2026-11-02T15:00:00Z"));
    take(&payload, "customer.created", "3",
         STR("{\"id\":25,\"date_created\":\"2026-11-02T16:00:00\",\"date_created_gmt\":"
             "\"2026-11-02T19:00:00\"}"));
    assert_true(payload.normalised.events[0].occurred_at_ms == payload_ms("2026-11-02T19:00:00Z"));
    payload_end(&payload);
}

static void reads_real_payloads(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const char *topic;
        enum event_type type;
    } rows[] = {
        { "woocommerce/order_created.json", "order.created", EVENT_ORDER_UPDATED },
        { "woocommerce/order_retrieved.json", "order.updated", EVENT_ORDER_UPDATED },
        { "woocommerce/customer_updated.json", "customer.updated", EVENT_CUSTOMER_UPDATED },
        { "woocommerce/product_created.json", "product.created", EVENT_PRODUCT_UPDATED },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, "woocommerce");
        struct str body = payload_read(payload.arena, rows[i].file);
        assert_row(take(&payload, rows[i].topic, "3", body) == NORMALISE_EVENTS, rows[i].file);
        payload_check_events(&payload);
        assert_int_equal(payload.normalised.event_count, 1);
        assert_row(payload.normalised.events[0].type == rows[i].type, rows[i].file);
        if (i == 0) {
            const struct event *event = &payload.normalised.events[0];
            assert_int_equal(event->order->total_minor, 2935);
            assert_true(event->order->version_ms == payload_ms("2017-03-22T19:28:08Z"));
            /* "(555) 555-5555" says no country, so it names nobody. */
            assert_int_equal(payload_identifier(event, IDENTITY_PHONE, 0).size, 0);
        }
        payload_end(&payload);
    }
}

static void explains_its_setup(void **state)
{
    (void)state;
    struct payload payload;
    struct buf buf;
    struct jsonw json;
    payload_begin(&payload, "woocommerce");
    buf_init(&buf, payload.arena, 65536);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    platform_write_setup(payload.platform, &json, &payload.source,
                         STR("https://bell.example/v1/hooks/1"),
                         STR("k7Qe2mZ9xT4vB1nR8sW5yU3oP6aL0dFg"));
    jsonw_close(&json);
    json_t *tree = border_parse(buf_str(&buf), &payload.problem);
    assert_non_null(tree);
    struct str paste = border_text(json_array_get(border_array(tree, "ways"), 0), "paste");
    assert_str_equal(
        paste, STR("for t in customer.created customer.updated customer.deleted order.created "
                   "order.updated order.deleted order.restored product.created product.updated "
                   "product.deleted product.restored; do\n  wp wc webhook create --user=1 "
                   "--status=active --name=\"Shopbell $t\" --topic=$t \\\n    "
                   "--delivery_url='https://bell.example/v1/hooks/1' "
                   "--secret='k7Qe2mZ9xT4vB1nR8sW5yU3oP6aL0dFg'\ndone"));
    border_free(tree);
    payload_end(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_an_order),
        cmocka_unit_test(says_when_an_order_counts),
        cmocka_unit_test(tells_refunds_and_takes_them_back),
        cmocka_unit_test(tells_a_cancellation_once),
        cmocka_unit_test(keys_a_delivery_by_its_bytes),
        cmocka_unit_test(keys_a_deletion_by_its_delivery),
        cmocka_unit_test(knows_the_ping),
        cmocka_unit_test(knows_its_own_shop),
        cmocka_unit_test(judges_topics),
        cmocka_unit_test(reads_local_times_by_the_shops_zone),
        cmocka_unit_test(reads_real_payloads),
        cmocka_unit_test(explains_its_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
