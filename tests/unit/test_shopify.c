#include "base/limits.h"
#include "core/order/order.h"
#include "payload.h"

/* One delivery under a topic, with the headers that Shopify sends. */
static enum normalise_verdict take(struct payload *payload, const char *topic,
                                   const char *webhook_id, struct str body)
{
    struct inbound_header headers[] = {
        { STR("X-Shopify-Topic"), str_from_z(topic) },
        { STR("X-Shopify-Webhook-Id"), str_from_z(webhook_id) },
        { STR("X-Shopify-Event-Id"), STR("ev-1") },
        { STR("X-Shopify-Triggered-At"), STR("2026-11-01T10:00:00.123456789Z") },
    };
    return payload_take(payload, headers, ARRAY_COUNT(headers), body);
}

#define LINE                                                                                  \
    "{\"id\":1,\"product_id\":632910392,\"variant_id\":808950810,\"sku\":\"IPOD\",\"title\":" \
    "\"IPod \\\"Nano\\\"\",\"vendor\":\"Apple\",\"quantity\":2,\"price\":\"199.00\"}"

#define REFUND                                                                                  \
    "{\"id\":890088186047892319,\"order_id\":820982911946154508,"                               \
    "\"processed_at\":\"2026-11-03T09:00:00+01:00\",\"refund_line_items\":[{\"subtotal\":10.5," \
    "\"total_tax\":0.5}],\"transactions\":[{\"kind\":\"refund\",\"status\":\"success\","        \
    "\"amount\":\"12.00\",\"currency\":\"EUR\"},{\"kind\":\"refund\",\"status\":\"failure\","   \
    "\"amount\":\"99.00\"},{\"kind\":\"sale\",\"status\":\"success\",\"amount\":\"5.00\"}],"    \
    "\"order_adjustments\":[]}"

#define ORDER_HEAD                                                                                 \
    "{\"id\":820982911946154508,\"admin_graphql_api_id\":\"gid://shopify/Order/"                   \
    "820982911946154508\",\"name\":\"#1001\",\"email\":\" Jane@Example.com\","                     \
    "\"contact_email\":\"gift@example.com\",\"phone\":\"+33 6 12 34 56 78\","                      \
    "\"created_at\":\"2026-11-02T18:20:11+01:00\",\"processed_at\":\"2026-11-02T18:20:10+01:00\"," \
    "\"updated_at\":\"2026-11-02T18:20:12+01:00\",\"currency\":\"EUR\",\"total_price\":\"420."     \
    "40\","                                                                                        \
    "\"subtotal_price\":\"398.00\",\"total_discounts\":\"1.5\",\"total_tax\":\"0.00\","            \
    "\"shipping_lines\":[{\"price\":\"10.00\"},{\"price\":\"12.40\"}],\"source_name\":\"web\","    \
    "\"discount_codes\":[{\"code\":\"WELCOME\"}],\"cart_token\":\"c1-abc?key=secret\","            \
    "\"checkout_token\":\"chk9\",\"customer_locale\":\"fr-FR\",\"customer\":{\"id\":"              \
    "207119551123456789,\"email\":\"other@example.com\",\"first_name\":\"Jane\",\"last_name\":"    \
    "\"Doe\",\"default_address\":{\"country_code\":\"FR\",\"province_code\":\"75\",\"city\":"      \
    "\"Paris\",\"zip\":\"75011\"}},\"line_items\":[" LINE "],"

#define ORDER_PAID_BODY \
    ORDER_HEAD "\"financial_status\":\"paid\",\"fulfillment_status\":null,\"cancelled_at\":null}"

static void states_an_order(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopify");
    assert_int_equal(take(&payload, "orders/updated", "w-1", STR(ORDER_PAID_BODY)),
                     NORMALISE_EVENTS);
    payload_check_events(&payload);
    assert_str_equal(payload.normalised.topic, STR("orders/updated"));
    assert_str_equal(payload.normalised.dedup_key, STR("w-1"));
    assert_int_equal(payload.normalised.event_count, 1);

    const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
    assert_str_equal(event->dedup_key, STR("w-1"));
    assert_int_equal(event->trust, TRUST_SIGNED);
    assert_true(event->occurred_at_ms == payload_ms("2026-11-02T17:20:12Z"));
    assert_str_equal(payload_identifier(event, IDENTITY_CUSTOMER_ID, 0), STR("207119551123456789"));
    assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("jane@example.com"));
    assert_int_equal(payload_identifier(event, IDENTITY_EMAIL, 1).size, 0);
    assert_str_equal(payload_identifier(event, IDENTITY_PHONE, 0), STR("+33612345678"));
    assert_str_equal(payload_identifier(event, IDENTITY_CART_TOKEN, 0), STR("c1-abc"));
    assert_str_equal(payload_identifier(event, IDENTITY_CART_TOKEN, 1), STR("checkout:chk9"));
    assert_str_equal(payload_identifier(event, IDENTITY_ORDER, 0), STR("820982911946154508"));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "first_name"), STR("\"Jane\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "region"), STR("\"FR-75\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "locale"), STR("\"fr-FR\""));
    assert_int_equal(event->cart_json.size, 0);
    assert_str_equal(event->context_json, STR("{\"shopify_event_id\":\"ev-1\"}"));

    const struct order_document *order = event->order;
    assert_non_null(order);
    assert_int_equal(order->kind, ORDER_BODY);
    assert_str_equal(order->order_ref, STR("820982911946154508"));
    assert_true(order->version_ms == payload_ms("2026-11-02T17:20:12Z"));
    assert_true(order->placed_at_ms == payload_ms("2026-11-02T17:20:10Z"));
    assert_int_equal(order->rank, ORDER_PAID);
    assert_true(order->counts);
    assert_int_equal(order->total_minor, 42040);
    assert_int_equal(order->refunded_minor, 0);
    assert_str_equal(order->number, STR("#1001"));
    assert_str_equal(order->status, STR("paid"));
    assert_str_equal(
        order->body_json,
        STR("{\"order_id\":\"820982911946154508\",\"number\":\"#1001\",\"status\":\"paid\","
            "\"total\":420.40,\"subtotal\":398.00,\"discount\":1.50,\"shipping\":22.40,"
            "\"tax\":0.00,\"currency\":\"EUR\",\"coupon\":\"WELCOME\",\"channel\":\"web\","
            "\"platform\":\"web\","
            "\"products\":[{\"product_id\":\"632910392\",\"variant_id\":\"808950810\","
            "\"sku\":\"IPOD\",\"name\":\"IPod \\\"Nano\\\"\",\"brand\":\"Apple\",\"quantity\":2,"
            "\"price\":199.00}]}"));
    payload_end(&payload);
}

static void says_when_an_order_counts(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *status; /* JSON */
        const char *rest;   /* further members */
        const char *when;   /* the setting, or NULL */
        enum order_rank rank;
        bool counts;
    } rows[] = {
        { "money to come", "\"pending\"", "", NULL, ORDER_OPEN, false },
        { "money promised", "\"authorized\"", "", NULL, ORDER_OPEN, true },
        { "in part", "\"partially_paid\"", "", NULL, ORDER_OPEN, true },
        { "paid", "\"paid\"", "", NULL, ORDER_PAID, true },
        { "given back in part", "\"partially_refunded\"", "", NULL, ORDER_PAID, true },
        { "given back", "\"refunded\"", "", NULL, ORDER_PAID, true },
        { "voided", "\"voided\"", "", NULL, ORDER_CANCELLED, false },
        { "unknown word", "\"frobbed\"", "", NULL, ORDER_OPEN, false },
        { "no word", "null", "", NULL, ORDER_OPEN, false },
        { "sent", "\"paid\"", "\"fulfillment_status\":\"fulfilled\",", NULL, ORDER_FULFILLED,
          true },
        { "sent before paid", "\"pending\"", "\"fulfillment_status\":\"fulfilled\",", NULL,
          ORDER_FULFILLED, false },
        { "sent in part", "\"paid\"", "\"fulfillment_status\":\"partial\",", NULL, ORDER_PAID,
          true },
        { "cancelled after it was sent", "\"paid\"",
          "\"fulfillment_status\":\"fulfilled\",\"cancelled_at\":\"2026-11-04T00:00:00Z\",", NULL,
          ORDER_CANCELLED, true },
        { "setting created", "\"pending\"", "", "\"created\"", ORDER_OPEN, true },
        { "setting paid, promised only", "\"authorized\"", "", "\"paid\"", ORDER_OPEN, false },
        { "setting paid, given back", "\"refunded\"", "", "\"paid\"", ORDER_PAID, true },
        { "setting by name", "\"authorized\"", "", "\"paid_or_authorized\"", ORDER_OPEN, true },
        { "setting a list, in it", "\"pending\"", "", "[\"pending\",\"paid\"]", ORDER_OPEN, true },
        { "setting a list, not in it", "\"refunded\"", "", "[\"pending\",\"paid\"]", ORDER_PAID,
          false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        char body[512];
        char settings[128];
        payload_begin(&payload, "shopify");
        snprintf(settings, sizeof(settings), "{\"order_completed_when\":%s}",
                 rows[i].when == NULL ? "null" : rows[i].when);
        assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                                 str_from_z(settings), &payload.source,
                                                 &payload.problem),
                         STATUS_OK);
        snprintf(body, sizeof(body), "{\"id\":5,%s\"financial_status\":%s,\"total_price\":\"1\"}",
                 rows[i].rest, rows[i].status);
        assert_int_equal(take(&payload, "orders/create", "w", str_from_z(body)), NORMALISE_EVENTS);
        payload_check_events(&payload);
        const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
        assert_row(event->order->rank == rows[i].rank, rows[i].why);
        assert_row(event->order->counts == rows[i].counts, rows[i].why);
        payload_end(&payload);
    }
}

static void says_by_which_platform_an_order_came(void **state)
{
    (void)state;
    static const struct {
        const char *source_name; /* JSON */
        const char *members;
    } rows[] = {
        { "\"web\"", "\"channel\":\"web\",\"platform\":\"web\"" },
        { "\"pos\"", "\"channel\":\"pos\",\"platform\":\"pos\"" },
        { "\"iphone\"", "\"channel\":\"iphone\",\"platform\":\"ios\"" },
        { "\"android\"", "\"channel\":\"android\",\"platform\":\"android\"" },
        { "\"580111\"", "\"channel\":\"580111\",\"platform\":\"api\"" },
        { "\"shopify_draft_order\"", "\"channel\":\"shopify_draft_order\",\"products\"" },
        { "null", "\"currency\":\"EUR\",\"products\"" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        char body[256];
        payload_begin(&payload, "shopify");
        snprintf(body, sizeof(body), "{\"id\":5,\"total_price\":\"1\",\"source_name\":%s}",
                 rows[i].source_name);
        assert_int_equal(take(&payload, "orders/create", "w", str_from_z(body)), NORMALISE_EVENTS);
        payload_check_events(&payload);
        const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
        const char *order = str_dup_z(payload.arena, event->order->body_json);
        assert_row(strstr(order, rows[i].members) != NULL, rows[i].source_name);
        payload_end(&payload);
    }
}

/* A refund is one fact, by whichever of its two ways it comes. */
static void gives_a_refund_one_identity(void **state)
{
    (void)state;
    struct payload alone;
    struct payload within;
    payload_begin(&alone, "shopify");
    payload_begin(&within, "shopify");
    assert_int_equal(take(&alone, "refunds/create", "w-9", STR(REFUND)), NORMALISE_EVENTS);
    assert_int_equal(take(&within, "orders/updated", "w-8",
                          STR(ORDER_HEAD "\"financial_status\":\"partially_refunded\","
                                         "\"refunds\":[" REFUND "]}")),
                     NORMALISE_EVENTS);
    payload_check_events(&alone);
    payload_check_events(&within);
    assert_int_equal(alone.normalised.event_count, 1);
    assert_int_equal(within.normalised.event_count, 2);
    const struct event *a = payload_event(&alone, EVENT_ORDER_REFUNDED, 0);
    const struct event *b = payload_event(&within, EVENT_ORDER_REFUNDED, 0);
    assert_true(id_equal(a->id, b->id));
    assert_str_equal(a->dedup_key, STR("refund/890088186047892319"));
    assert_int_equal(a->order->kind, ORDER_REFUND);
    assert_str_equal(a->order->order_ref, STR("820982911946154508"));
    assert_str_equal(a->order->document_ref, STR("890088186047892319"));
    assert_int_equal(a->order->amount_minor, 1200);
    assert_int_equal(b->order->amount_minor, 1200);
    assert_true(a->occurred_at_ms == b->occurred_at_ms);
    assert_str_equal(a->properties_json, b->properties_json);
    assert_int_equal(payload_event(&within, EVENT_ORDER_UPDATED, 0)->order->refunded_minor, 1200);
    /* Alone it names no customer: the order is the way to them. */
    assert_int_equal(a->identifier_count, 1);
    assert_str_equal(payload_identifier(a, IDENTITY_ORDER, 0), STR("820982911946154508"));
    assert_true(b->identifier_count > 1);
    payload_end(&alone);
    payload_end(&within);
}

/* Bodies and refunds in any order of arrival give the same order. */
static void folds_a_refund_before_its_order(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopify");
    assert_int_equal(take(&payload, "refunds/create", "w-9", STR(REFUND)), NORMALISE_EVENTS);
    const struct order_document *refund = payload.normalised.events[0].order;
    assert_int_equal(take(&payload, "orders/create", "w-1", STR(ORDER_PAID_BODY)),
                     NORMALISE_EVENTS);
    const struct order_document *body = payload.normalised.events[0].order;
    struct order first = { .placed_at_ms = INSTANT_NONE,
                           .cancelled_at_ms = INSTANT_NONE,
                           .deleted_at_ms = INSTANT_NONE };
    struct order last = first;
    assert_true(order_fold(payload.arena, &first, refund));
    assert_true(order_fold(payload.arena, &first, body));
    assert_true(order_fold(payload.arena, &last, body));
    assert_true(order_fold(payload.arena, &last, refund));
    struct order_contribution a = order_contribution_now(&first, STR("EUR"));
    struct order_contribution b = order_contribution_now(&last, STR("EUR"));
    assert_true(a.counted && b.counted);
    assert_int_equal(a.gross_minor, 42040);
    assert_int_equal(b.gross_minor, 42040);
    assert_int_equal(a.refunded_minor, 1200);
    assert_int_equal(b.refunded_minor, 1200);
    payload_end(&payload);
}

static void adds_up_refunds(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *members;
        int64_t amount_minor;
    } rows[] = {
        { "nothing given back", "\"transactions\":[]", 0 },
        { "lists that are not there", "\"transactions\":null,\"refund_line_items\":{}", 0 },
        { "two that succeeded",
          "\"transactions\":[{\"kind\":\"refund\",\"status\":\"success\",\"amount\":\"1.10\"},"
          "{\"kind\":\"refund\",\"status\":\"success\",\"amount\":\"2.20\"}]",
          330 },
        { "lines, where no money moved through Shopify",
          "\"transactions\":[],\"refund_line_items\":[{\"subtotal\":199,\"total_tax\":19.9}]",
          21890 },
        { "shipping given back, too",
          "\"refund_line_items\":[{\"subtotal\":\"10.00\",\"total_tax\":\"1.00\"}],"
          "\"order_adjustments\":[{\"kind\":\"shipping_refund\",\"amount\":\"-5.00\","
          "\"tax_amount\":\"-0.50\"}]",
          1650 },
        { "less than the lines were worth",
          "\"refund_line_items\":[{\"subtotal\":\"10.00\",\"total_tax\":\"0.00\"}],"
          "\"order_adjustments\":[{\"kind\":\"refund_discrepancy\",\"amount\":\"4.00\","
          "\"tax_amount\":\"0.00\"}]",
          600 },
        { "in shop money, whatever the buyer's",
          "\"refund_line_items\":[{\"subtotal\":11.0,\"subtotal_set\":{\"shop_money\":{\"amount\":"
          "\"10.00\",\"currency_code\":\"EUR\"},\"presentment_money\":{\"amount\":\"11.00\","
          "\"currency_code\":\"USD\"}}}]",
          1000 },
        { "a transaction in the buyer's currency is not added to shop money",
          "\"refund_line_items\":[{\"subtotal_set\":{\"shop_money\":{\"amount\":\"10.00\","
          "\"currency_code\":\"EUR\"}}}],\"transactions\":[{\"kind\":\"refund\",\"status\":"
          "\"success\",\"amount\":\"11.00\",\"currency\":\"USD\"}]",
          1000 },
        { "never below nothing",
          "\"order_adjustments\":[{\"amount\":\"4.00\",\"tax_amount\":\"0.00\"}]", 0 },
        { "absurd amounts are no money",
          "\"refund_line_items\":[{\"subtotal\":\"99999999999999999999\"}]", 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        char body[1024];
        payload_begin(&payload, "shopify");
        snprintf(body, sizeof(body), "{\"id\":1,\"order_id\":2,%s}", rows[i].members);
        assert_int_equal(take(&payload, "refunds/create", "w", str_from_z(body)), NORMALISE_EVENTS);
        assert_row(payload.normalised.events[0].order->amount_minor == rows[i].amount_minor,
                   rows[i].why);
        payload_end(&payload);
    }
}

static void tells_cancellation_and_fulfilment_once(void **state)
{
    (void)state;
    static const char body[] =
        ORDER_HEAD "\"financial_status\":\"paid\",\"fulfillment_status\":\"fulfilled\","
                   "\"cancelled_at\":\"2026-11-05T12:00:00Z\",\"cancel_reason\":\"customer\","
                   "\"fulfillments\":[{\"id\":11,\"status\":\"success\",\"created_at\":\"2026-11-"
                   "04T12:00:00Z\"},"
                   "{\"id\":12,\"status\":\"cancelled\"},{\"id\":13,\"status\":\"pending\"}]}";
    static const char *const TOPICS[] = { "orders/cancelled", "orders/updated",
                                          "orders/fulfilled" };
    struct id cancelled[ARRAY_COUNT(TOPICS)];
    struct id fulfilled[ARRAY_COUNT(TOPICS)];
    for (size_t i = 0; i < ARRAY_COUNT(TOPICS); i++) {
        struct payload payload;
        payload_begin(&payload, "shopify");
        assert_int_equal(take(&payload, TOPICS[i], TOPICS[i], str_from_z(body)), NORMALISE_EVENTS);
        payload_check_events(&payload);
        assert_int_equal(payload.normalised.event_count, 3);
        const struct event *cancellation = payload_event(&payload, EVENT_ORDER_CANCELLED, 0);
        const struct event *fulfilment = payload_event(&payload, EVENT_ORDER_FULFILLED, 0);
        assert_str_equal(cancellation->part, STR("cancelled"));
        assert_int_equal(cancellation->order->kind, ORDER_CANCELLATION);
        assert_true(cancellation->order->at_ms == payload_ms("2026-11-05T12:00:00Z"));
        assert_int_equal(fulfilment->order->kind, ORDER_FULFILMENT);
        assert_str_equal(fulfilment->order->document_ref, STR("11"));
        cancelled[i] = cancellation->id;
        fulfilled[i] = fulfilment->id;
        payload_end(&payload);
    }
    assert_true(id_equal(cancelled[0], cancelled[1]) && id_equal(cancelled[0], cancelled[2]));
    assert_true(id_equal(fulfilled[0], fulfilled[1]) && id_equal(fulfilled[0], fulfilled[2]));

    struct payload payload;
    payload_begin(&payload, "shopify");
    assert_int_equal(take(&payload, "fulfillments/update", "w",
                          STR("{\"id\":11,\"order_id\":820982911946154508,\"status\":\"success\","
                              "\"created_at\":\"2026-11-04T12:00:00Z\"}")),
                     NORMALISE_EVENTS);
    assert_true(id_equal(payload.normalised.events[0].id, fulfilled[0]));
    assert_int_equal(take(&payload, "fulfillments/create", "w",
                          STR("{\"id\":11,\"order_id\":820982911946154508,"
                              "\"status\":\"pending\"}")),
                     NORMALISE_EVENTS);
    assert_int_equal(payload.normalised.events[0].type, EVENT_ORDER_UPDATED);
    assert_null(payload.normalised.events[0].order);
    payload_end(&payload);
}

static void clears_the_cart_when_bought(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopify");
    take(&payload, "orders/create", "w", STR(ORDER_PAID_BODY));
    assert_str_equal(payload.normalised.events[0].cart_json, STR("null"));
    take(&payload, "orders/updated", "w", STR(ORDER_PAID_BODY));
    assert_int_equal(payload.normalised.events[0].cart_json.size, 0);
    payload_end(&payload);
}

static void joins_cart_checkout_and_order_by_token(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopify");
    assert_int_equal(
        take(&payload, "carts/update", "w",
             STR("{\"id\":\"c1-abc\",\"token\":\"c1-abc?key=secret\",\"line_items\":[{"
                 "\"product_id\":1,\"variant_id\":2,\"quantity\":3,\"title\":\"Board\","
                 "\"price\":\"749.95\",\"line_price\":\"2249.85\",\"price_set\":{\"shop_money\":"
                 "{\"amount\":\"749.95\",\"currency_code\":\"USD\"}}}],"
                 "\"updated_at\":\"2026-11-02T04:44:14.751Z\"}")),
        NORMALISE_EVENTS);
    payload_check_events(&payload);
    const struct event *cart = payload_event(&payload, EVENT_CART_UPDATED, 0);
    assert_str_equal(payload_identifier(cart, IDENTITY_CART_TOKEN, 0), STR("c1-abc"));
    assert_str_equal(
        cart->cart_json,
        STR("{\"updated_at\":\"2026-11-02T04:44:14.751Z\",\"value\":2249.85,\"currency\":\"USD\","
            "\"items_count\":3,\"categories\":[],\"recovery_url\":null,\"items\":[{\"source\":"
            "\"main\",\"category\":[],\"product_id\":\"1\",\"variant_id\":\"2\",\"name\":\"Board\","
            "\"quantity\":3,\"price\":749.95}]}"));
    /* The key that opens the cart is not kept anywhere. */
    assert_int_equal(str_find(cart->properties_json, '?', 0), -1);

    static const char checkout[] =
        "{\"id\":1,\"token\":\"chk9\",\"cart_token\":\"c1-abc\",\"email\":\"\",\"customer\":null,"
        "\"currency\":\"EUR\",\"subtotal_price\":\"5.00\",\"abandoned_checkout_url\":"
        "\"https://a.example/r\",\"completed_at\":%s,\"created_at\":\"2026-11-02T04:45:00Z\","
        "\"line_items\":[{\"quantity\":1,\"price\":\"5.00\",\"line_price\":\"5.00\"}]}";
    char body[1024];
    snprintf(body, sizeof(body), checkout, "null");
    assert_int_equal(take(&payload, "checkouts/create", "w", str_from_z(body)), NORMALISE_EVENTS);
    payload_check_events(&payload);
    const struct event *started = payload_event(&payload, EVENT_CHECKOUT_STARTED, 0);
    assert_int_equal(started->identifier_count, 2);
    assert_str_equal(payload_identifier(started, IDENTITY_CART_TOKEN, 0), STR("c1-abc"));
    assert_str_equal(payload_identifier(started, IDENTITY_CART_TOKEN, 1), STR("checkout:chk9"));
    assert_str_equal(payload_member(payload.arena, started->cart_json, "recovery_url"),
                     STR("\"https://a.example/r\""));
    snprintf(body, sizeof(body), checkout, "\"2026-11-02T05:00:00Z\"");
    assert_int_equal(take(&payload, "checkouts/update", "w", str_from_z(body)), NORMALISE_EVENTS);
    assert_str_equal(payload_event(&payload, EVENT_CHECKOUT_UPDATED, 0)->cart_json, STR("null"));

    assert_int_equal(
        take(&payload, "carts/update", "w", STR("{\"token\":\"c1-abc\",\"line_items\":[]}")),
        NORMALISE_EVENTS);
    assert_str_equal(payload_event(&payload, EVENT_CART_UPDATED, 0)->cart_json, STR("null"));
    payload_end(&payload);
}

static void states_customers_and_consent(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopify");
    static const char body[] =
        "{\"id\":207119551,\"email\":\"Jane@Example.com\",\"phone\":\"\",\"first_name\":null,"
        "\"last_name\":\"Doe\",\"created_at\":\"2026-10-01T00:00:00Z\","
        "\"updated_at\":\"2026-11-01T00:00:00Z\",\"default_address\":[],"
        "\"email_marketing_consent\":{\"state\":\"subscribed\",\"consent_updated_at\":"
        "\"2026-01-09T08:11:22Z\"},\"sms_marketing_consent\":{\"state\":\"not_subscribed\","
        "\"consent_updated_at\":null}}";
    assert_int_equal(take(&payload, "customers/create", "w-1", str_from_z(body)), NORMALISE_EVENTS);
    payload_check_events(&payload);
    assert_int_equal(payload.normalised.event_count, 2);
    const struct event *created = payload_event(&payload, EVENT_CUSTOMER_CREATED, 0);
    assert_true(created->occurred_at_ms == payload_ms("2026-10-01T00:00:00Z"));
    assert_int_equal(created->identifier_count, 2);
    assert_int_equal(payload_fact(created, FACT_TRAIT, "first_name").size, 0);
    assert_str_equal(payload_fact(created, FACT_TRAIT, "last_name"), STR("\"Doe\""));
    assert_int_equal(payload_fact(created, FACT_CONSENT, "email").size, 0);

    /* Consent happened when it was given, and restating it changes nothing. */
    const struct event *consent = payload_event(&payload, EVENT_CONSENT_UPDATED, 0);
    assert_true(consent->occurred_at_ms == payload_ms("2026-01-09T08:11:22Z"));
    assert_str_equal(payload_fact(consent, FACT_CONSENT, "email"), STR("\"subscribed\""));
    assert_false(consent->act);
    struct id first = consent->id;
    assert_int_equal(take(&payload, "customers/update", "w-2", str_from_z(body)), NORMALISE_EVENTS);
    assert_true(id_equal(payload_event(&payload, EVENT_CONSENT_UPDATED, 0)->id, first));
    assert_int_equal(take(&payload, "customers_email_marketing_consent/update", "w-3",
                          STR("{\"customer_id\":207119551,\"email_address\":\"jane@example.com\","
                              "\"email_marketing_consent\":{\"state\":\"subscribed\","
                              "\"consent_updated_at\":\"2026-01-09T08:11:22Z\"}}")),
                     NORMALISE_EVENTS);
    assert_true(id_equal(payload_event(&payload, EVENT_CONSENT_UPDATED, 0)->id, first));
    assert_int_equal(payload.normalised.events[0].identifier_count, 2);

    assert_int_equal(take(&payload, "customers_marketing_consent/update", "w-4",
                          STR("{\"id\":207119551,\"phone\":\"+33612345678\","
                              "\"sms_marketing_consent\":{\"state\":\"unsubscribed\"}}")),
                     NORMALISE_EVENTS);
    consent = payload_event(&payload, EVENT_CONSENT_UPDATED, 0);
    assert_str_equal(payload_fact(consent, FACT_CONSENT, "sms"), STR("\"unsubscribed\""));
    assert_str_equal(consent->dedup_key, STR("w-4"));
    assert_true(consent->occurred_at_ms == payload_ms("2026-11-01T10:00:00.123Z"));

    assert_int_equal(
        take(&payload, "customers/merge", "w-5",
             STR("{\"admin_graphql_api_customer_kept_id\":\"gid://shopify/Customer/1\","
                 "\"admin_graphql_api_customer_deleted_id\":"
                 "\"gid://shopify/Customer/2\",\"status\":\"completed\"}")),
        NORMALISE_EVENTS);
    payload_check_events(&payload);
    assert_int_equal(payload.normalised.event_count, 1);
    const struct event *merged = payload_event(&payload, EVENT_CUSTOMER_UPDATED, 0);
    assert_true(merged->unites_customers);
    assert_str_equal(payload_identifier(merged, IDENTITY_CUSTOMER_ID, 0), STR("1"));
    assert_str_equal(payload_identifier(merged, IDENTITY_CUSTOMER_ID, 1), STR("2"));
    payload_end(&payload);
}

static void judges_topics(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *topic;
        const char *body;
        enum normalise_verdict verdict;
        size_t events;
    } rows[] = {
        { "a topic we do not take", "draft_orders/create", "{\"id\":1}", NORMALISE_IGNORED, 0 },
        { "a merge that failed", "customers/merge",
          "{\"admin_graphql_api_customer_kept_id\":\"gid://shopify/Customer/1\","
          "\"admin_graphql_api_customer_deleted_id\":\"gid://shopify/Customer/2\","
          "\"status\":\"failed\"}",
          NORMALISE_EVENTS, 0 },
        { "a topic that is not there", "orders/frobbed", "no json", NORMALISE_IGNORED, 0 },
        { "no topic", "", "{\"id\":1}", NORMALISE_UNREADABLE, 0 },
        { "a topic that is no text", "orders/\xff", "{\"id\":1}", NORMALISE_UNREADABLE, 0 },
        { "no JSON", "orders/create", "hello", NORMALISE_UNREADABLE, 0 },
        { "a list", "orders/create", "[]", NORMALISE_UNREADABLE, 0 },
        { "an order without id", "orders/create", "{\"id\":null,\"total_price\":\"1\"}",
          NORMALISE_UNREADABLE, 0 },
        { "a customer replayed as an order", "orders/create", "{\"id\":1,\"email\":\"a@b.co\"}",
          NORMALISE_UNREADABLE, 0 },
        { "a body of another class", "customers/delete",
          "{\"id\":1,\"admin_graphql_api_id\":\"gid://shopify/Order/1\"}", NORMALISE_UNREADABLE,
          0 },
        { "its own class", "customers/delete",
          "{\"id\":1,\"admin_graphql_api_id\":\"gid://shopify/Customer/1\"}", NORMALISE_EVENTS, 1 },
        { "null, \"\" , [] and {} where people are", "orders/create",
          "{\"id\":1,\"total_price\":\"1\",\"customer\":null,\"email\":\"\",\"refunds\":{},"
          "\"line_items\":null,\"billing_address\":[],\"note_attributes\":{}}",
          NORMALISE_EVENTS, 1 },
        { "a total that is no amount", "orders/create", "{\"id\":1,\"total_price\":\"x\"}",
          NORMALISE_UNREADABLE, 0 },
        { "a deleted order", "orders/delete", "{\"id\":1}", NORMALISE_EVENTS, 1 },
        { "an edit", "orders/edited", "{\"order_edit\":{\"order_id\":7}}", NORMALISE_EVENTS, 1 },
        { "an edit of nothing", "orders/edited", "{\"order_edit\":{}}", NORMALISE_UNREADABLE, 0 },
        { "a deleted checkout by number", "checkouts/delete", "{\"id\":1}", NORMALISE_EVENTS, 0 },
        { "a deleted checkout by token", "checkouts/delete", "{\"token\":\"chk9\"}",
          NORMALISE_EVENTS, 1 },
        { "consent that says nothing", "customers_email_marketing_consent/update",
          "{\"customer_id\":1,\"email_marketing_consent\":{\"state\":null}}", NORMALISE_EVENTS, 0 },
        { "a product", "products/update", "{\"id\":1,\"title\":\"x\"}", NORMALISE_EVENTS, 1 },
        { "a product gone", "products/delete", "{\"id\":1}", NORMALISE_EVENTS, 1 },
        { "stock", "inventory_levels/update", "{\"inventory_item_id\":5,\"available\":null}",
          NORMALISE_EVENTS, 1 },
        { "data request", "customers/data_request", "{\"shop_id\":1}", NORMALISE_UNREADABLE, 0 },
        { "redact", "customers/redact", "{\"shop_id\":1}", NORMALISE_UNREADABLE, 0 },
        { "shop redact", "shop/redact", "{\"shop_id\":1}", NORMALISE_UNREADABLE, 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, "shopify");
        enum normalise_verdict verdict =
            take(&payload, rows[i].topic, "w", str_from_z(rows[i].body));
        assert_row(verdict == rows[i].verdict, rows[i].why);
        assert_row(verdict != NORMALISE_UNREADABLE || payload.problem.detail[0] != '\0',
                   rows[i].why);
        if (verdict == NORMALISE_EVENTS) {
            payload_check_events(&payload);
            assert_row(payload.normalised.event_count == rows[i].events, rows[i].why);
        }
        payload_end(&payload);
    }
    struct payload payload;
    payload_begin(&payload, "shopify");
    take(&payload, "customers/redact", "w", STR("{\"shop_id\":1}"));
    assert_string_equal(payload.problem.detail, "privacy request: to be handled by an operator");
    payload_end(&payload);
}

static void reads_both_families_of_headers(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopify");
    struct inbound_header headers[] = {
        { STR("X-Shopify-Topic"), STR("shop/redact") },
        { STR("shopify-topic"), STR("products") },
        { STR("Shopify-Action"), STR("update") },
        { STR("shopify-webhook-id"), STR("new-1") },
        { STR("X-Shopify-Webhook-Id"), STR("old-1") },
        { STR("shopify-shop-domain"), STR("Aurora.myshopify.com") },
    };
    assert_int_equal(payload_take(&payload, headers, ARRAY_COUNT(headers), STR("{\"id\":1}")),
                     NORMALISE_EVENTS);
    assert_str_equal(payload.normalised.topic, STR("products/update"));
    assert_str_equal(payload.normalised.dedup_key, STR("new-1"));

    struct inbound inbound = { .headers = headers, .header_count = ARRAY_COUNT(headers) };
    assert_true(payload.platform->is_own_shop(&payload.source, &inbound));
    payload.source.shop_domain = STR("aurora.myshopify.com");
    assert_true(payload.platform->is_own_shop(&payload.source, &inbound));
    payload.source.shop_domain = STR("borealis.myshopify.com");
    assert_false(payload.platform->is_own_shop(&payload.source, &inbound));

    /* Without a webhook id the bytes themselves are the key. */
    assert_int_equal(payload_take(&payload, headers + 1, 2, STR("{\"id\":1}")), NORMALISE_EVENTS);
    struct str key = payload.normalised.dedup_key;
    assert_true(str_starts_with(key, STR("body/")));
    payload_take(&payload, headers + 1, 2, STR("{\"id\":1}"));
    assert_str_equal(payload.normalised.dedup_key, key);
    payload_take(&payload, headers + 1, 2, STR("{\"id\":2}"));
    assert_false(str_equal(payload.normalised.dedup_key, key));
    payload_end(&payload);
}

static void bounds_keys_made_of_long_ids(void **state)
{
    (void)state;
    struct payload payload;
    char id[301];
    struct id ids[2];
    memset(id, '7', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    payload_begin(&payload, "shopify");
    for (int i = 0; i < 2; i++) {
        id[299] = (char)('1' + i);
        struct str body = str_printf(payload.arena, "{\"id\":\"%s\",\"order_id\":\"%s\"}", id, id);
        assert_int_equal(take(&payload, "refunds/create", "w", body), NORMALISE_EVENTS);
        payload_check_events(&payload);
        const struct event *event = payload_event(&payload, EVENT_ORDER_REFUNDED, 0);
        assert_true(event->dedup_key.size <= LIMIT_DEDUP_KEY_BYTES);
        assert_true(event->part.size <= LIMIT_DEDUP_KEY_BYTES);
        assert_str_equal(event->order->document_ref, str_from_z(id));
        ids[i] = event->id;
    }
    assert_false(id_equal(ids[0], ids[1]));
    payload_end(&payload);
}

static void clamps_what_clocks_claim(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopify");
    assert_int_equal(take(&payload, "orders/create", "w",
                          STR("{\"id\":1,\"total_price\":\"1\",\"updated_at\":"
                              "\"2099-01-01T00:00:00Z\",\"created_at\":\"1970-01-01T00:00:00Z\"}")),
                     NORMALISE_EVENTS);
    const struct event *event = &payload.normalised.events[0];
    assert_true(event->occurred_at_ms == PAYLOAD_NOW_MS);
    assert_true(event->claimed_at_ms == payload_ms("2099-01-01T00:00:00Z"));
    assert_true(event->order->placed_at_ms == INSTANT_FIRST_MS);
    payload_end(&payload);
}

static void bounds_a_long_order(void **state)
{
    (void)state;
    struct payload payload;
    struct buf body;
    payload_begin(&payload, "shopify");
    buf_init(&body, NULL, 4u * 1024 * 1024);
    buf_add_z(&body, ORDER_HEAD);
    body.size -= sizeof("],") - 1;
    for (int i = 0; i < 3000; i++) {
        buf_add_z(&body, "," LINE);
    }
    buf_add_z(&body, "],\"financial_status\":\"paid\"}");
    assert_int_equal(take(&payload, "orders/create", "w", buf_str(&body)), NORMALISE_EVENTS);
    payload_check_events(&payload);
    struct str properties = payload.normalised.events[0].properties_json;
    assert_true(properties.size > 0 && properties.size <= 64u * 1024);
    assert_str_equal(payload_member(payload.arena, properties, "products_cut"), STR("true"));
    buf_finish(&body);

    struct arena *small = arena_create(2048);
    struct arena *large = payload.arena;
    payload.arena = small;
    assert_int_equal(take(&payload, "orders/create", "w", STR(ORDER_PAID_BODY)), NORMALISE_FULL);
    arena_destroy(small);
    payload.arena = large;
    payload_end(&payload);
}

static void reads_real_payloads(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const char *topic;
        enum event_type type;
        size_t events;
    } rows[] = {
        { "shopify/refunds_create.json", "refunds/create", EVENT_ORDER_REFUNDED, 1 },
        { "shopify/carts_update_real.json", "carts/update", EVENT_CART_UPDATED, 1 },
        { "shopify/checkouts_create.json", "checkouts/create", EVENT_CHECKOUT_STARTED, 1 },
        { "shopify/checkouts_update_rest.json", "checkouts/update", EVENT_CHECKOUT_UPDATED, 1 },
        { "shopify/checkouts_delete.json", "checkouts/delete", 0, 0 },
        { "shopify/customers_update_rest.json", "customers/update", EVENT_CUSTOMER_UPDATED, 1 },
        { "shopify/customers_email_marketing_consent_update.json",
          "customers_email_marketing_consent/update", 0, 0 },
        { "shopify/orders_edited.json", "orders/edited", EVENT_ORDER_UPDATED, 1 },
        { "shopify/fulfillments_create.json", "fulfillments/create", EVENT_ORDER_UPDATED, 1 },
        { "shopify/inventory_levels_update.json", "inventory_levels/update",
          EVENT_INVENTORY_UPDATED, 1 },
        { "shopify/products_create.json", "products/create", EVENT_PRODUCT_UPDATED, 1 },
        { "shopify/products_delete.json", "products/delete", EVENT_PRODUCT_DELETED, 1 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, "shopify");
        struct str body = payload_read(payload.arena, rows[i].file);
        assert_row(take(&payload, rows[i].topic, "w", body) == NORMALISE_EVENTS, rows[i].file);
        payload_check_events(&payload);
        assert_row(payload.normalised.event_count == rows[i].events, rows[i].file);
        if (rows[i].events > 0) {
            assert_row(payload.normalised.events[0].type == rows[i].type, rows[i].file);
        }
        payload_end(&payload);
    }
    struct payload payload;
    payload_begin(&payload, "shopify");
    take(&payload, "refunds/create", "w",
         payload_read(payload.arena, "shopify/refunds_create.json"));
    const struct order_document *refund = payload.normalised.events[0].order;
    assert_str_equal(refund->document_ref, STR("890088186047892400"));
    assert_int_equal(refund->amount_minor, 39800); /* no transactions: two lines of 199 USD */
    assert_str_equal(payload.normalised.events[0].currency, STR("USD"));
    take(&payload, "carts/update", "w",
         payload_read(payload.arena, "shopify/carts_update_real.json"));
    assert_str_equal(payload_member(payload.arena, payload.normalised.events[0].cart_json, "value"),
                     STR("2249.85"));
    payload_end(&payload);
}

static void explains_its_setup(void **state)
{
    (void)state;
    struct payload payload;
    struct buf buf;
    struct jsonw json;
    payload_begin(&payload, "shopify");
    buf_init(&buf, payload.arena, 65536);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    platform_write_setup(payload.platform, &json, &payload.source,
                         STR("https://bell.example/v1/hooks/1"), STR(""));
    jsonw_close(&json);
    json_t *tree = border_parse(buf_str(&buf), &payload.problem);
    assert_non_null(tree);
    const json_t *ways = border_array(tree, "ways");
    assert_int_equal(json_array_size(ways), 2);
    assert_string_equal(
        json_string_value(json_array_get(border_array(json_array_get(ways, 0), "steps"), 3)),
        "POST /v1/sources/main/secrets {\"secret\":\"<the key>\",\"label\":\"notifications "
        "page\"}");
    struct str paste = border_text(json_array_get(ways, 1), "paste");
    assert_true(str_starts_with(paste, STR("[webhooks]\napi_version = \"2026-10\"\n")));
    /* Every topic that setup asks for is one that is taken. */
    size_t i = 0;
    const json_t *topic = NULL;
    json_array_foreach(border_array(tree, "topics"), i, topic)
    {
        assert_row(take(&payload, json_string_value(topic), "w", STR("{}")) != NORMALISE_IGNORED,
                   json_string_value(topic));
    }
    assert_true(i > 20);
    border_free(tree);
    payload_end(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_an_order),
        cmocka_unit_test(says_when_an_order_counts),
        cmocka_unit_test(says_by_which_platform_an_order_came),
        cmocka_unit_test(gives_a_refund_one_identity),
        cmocka_unit_test(folds_a_refund_before_its_order),
        cmocka_unit_test(adds_up_refunds),
        cmocka_unit_test(tells_cancellation_and_fulfilment_once),
        cmocka_unit_test(clears_the_cart_when_bought),
        cmocka_unit_test(joins_cart_checkout_and_order_by_token),
        cmocka_unit_test(states_customers_and_consent),
        cmocka_unit_test(judges_topics),
        cmocka_unit_test(reads_both_families_of_headers),
        cmocka_unit_test(bounds_keys_made_of_long_ids),
        cmocka_unit_test(clamps_what_clocks_claim),
        cmocka_unit_test(bounds_a_long_order),
        cmocka_unit_test(reads_real_payloads),
        cmocka_unit_test(explains_its_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
