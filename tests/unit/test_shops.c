#include "payload.h"
#include "verify/verify.h"

/*
 * Shops whose vendors publish no vector, or no payload: signatures made by
 * another implementation (Python's hmac), and the stories that samples do not
 * tell.
 */

static const char BIGCOMMERCE[] =
    "{\"scope\":\"store/order/created\",\"hash\":\"h1\",\"created_at\":1794999990,"
    "\"producer\":\"stores/abc\",\"data\":{\"type\":\"order\",\"id\":250}}";
static const char ETSY[] = "{\"event_type\":\"order.paid\",\"resource_url\":"
                           "\"https://openapi.etsy.com/v3/application/shops/1/receipts/54321\","
                           "\"shop_id\":42}";
static const char ECWID[] =
    "{\"eventId\":\"80aece08\",\"eventCreated\":1794999990,\"storeId\":1003,\"entityId\":103878161,"
    "\"eventType\":\"order.created\",\"data\":{\"orderId\":\"XJ12H\",\"newPaymentStatus\":\"PAID\"}"
    "}";
static const char SQUARESPACE[] =
    "{\"id\":\"n1\",\"websiteId\":\"w1\",\"topic\":\"order.create\",\"createdOn\":"
    "\"2026-11-18T11:05+00:00\",\"data\":{\"orderId\":\"585d498fdee9f31a60284a37\"}}";

struct case_of {
    const char *platform;
    const char *secret;
    struct inbound_header headers[3];
    const char *body;
    bool covers_body; /* false: a changed body may still verify */
    const char *order_ref;
    int64_t at_ms;
};

static const struct case_of CASES[] = {
    { "bigcommerce",
      "9a7ce1secret",
      { { { "webhook-id", 10 }, { "wh_1", 4 } },
        { { "webhook-timestamp", 17 }, { "1795000000", 10 } },
        { { "webhook-signature", 17 },
          { "v1,psXqcw4BA3fTGejizHjb0htOQonGdgE5Ynnoo7uwgd4=", 47 } } },
      BIGCOMMERCE,
      true,
      "250",
      INT64_C(1794999990000) },
    { "etsy",
      "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng==",
      { { { "webhook-id", 10 }, { "msg_1", 5 } },
        { { "webhook-timestamp", 17 }, { "1795000000", 10 } },
        { { "webhook-signature", 17 },
          { "v1,Yp6qeoINdoVDuuOXAusnwOB2qIRDEIUrZRwE4mk3uNI=", 47 } } },
      ETSY,
      true,
      "54321",
      PAYLOAD_NOW_MS },
    { "ecwid",
      "ecwid-client-secret",
      { { { "X-Ecwid-Webhook-Signature", 25 },
          { "OPBy0V/UWZPTBRa2+hFXFw+HD6wBOjw54XbkjSCjZHs=", 44 } } },
      ECWID,
      false,
      "XJ12H",
      INT64_C(1794999990000) },
    { "squarespace",
      "00112233445566778899aabbccddeeff",
      { { { "Squarespace-Signature", 21 },
          { "5374b1eaaffbfcb4783b62f56b903fc79af19157c4298df167378d87afa26935", 64 } } },
      SQUARESPACE,
      true,
      "585d498fdee9f31a60284a37",
      INT64_C(1794999900000) },
};

static enum signature_verdict judge(struct payload *payload, const struct case_of *row,
                                    const char *secret, struct str body)
{
    struct source_secret secrets[] = { { .value = str_from_z(secret),
                                         .expires_at_ms = INSTANT_NEVER } };
    struct inbound inbound = {
        .headers = row->headers,
        .header_count = ARRAY_COUNT(row->headers),
        .body = body,
        .received_at_ms = PAYLOAD_NOW_MS,
    };
    payload->source.secrets = secrets;
    payload->source.secret_count = 1;
    return verify_inbound(platform_signature(payload->platform, &payload->source), &payload->source,
                          &inbound, payload->arena, NULL)
        .verdict;
}

static void verifies_what_another_hand_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct case_of *row = &CASES[i];
        struct payload payload;
        payload_begin(&payload, row->platform);
        struct str body = str_from_z(row->body);
        assert_row(judge(&payload, row, row->secret, body) == SIGNATURE_VALID, row->platform);
        char other[64];
        snprintf(other, sizeof(other), "%s", row->secret);
        other[strlen(other) - 4] ^= 1;
        assert_row(judge(&payload, row, other, body) == SIGNATURE_MISMATCH, row->platform);
        struct str longer = str_printf(payload.arena, "%s ", row->body);
        assert_row((judge(&payload, row, row->secret, longer) == SIGNATURE_VALID) !=
                       row->covers_body,
                   row->platform);
        payload_end(&payload);
    }
}

static void names_an_order_and_invents_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct case_of *row = &CASES[i];
        struct payload payload;
        payload_begin(&payload, row->platform);
        assert_row(payload_take(&payload, row->headers, ARRAY_COUNT(row->headers),
                                str_from_z(row->body)) == NORMALISE_EVENTS,
                   row->platform);
        payload_check_events(&payload);
        const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
        assert_true(event->is_thin);
        assert_null(event->order);
        assert_false(event->has_amount);
        assert_row(event->occurred_at_ms == row->at_ms, row->platform);
        assert_str_equal(payload_identifier(event, IDENTITY_ORDER, 0), str_from_z(row->order_ref));
        assert_str_equal(payload_member(payload.arena, event->context_json, "thin"), STR("true"));
        payload_end(&payload);
    }
}

/* Ecwid's signature does not cover what stands beside the id. */
static void believes_ecwid_in_part(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "ecwid");
    payload_take(&payload, NULL, 0, str_from_z(ECWID));
    const struct event *event = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
    assert_str_equal(payload_member(payload.arena, event->context_json, "provenance"),
                     STR("\"partial\""));
    assert_str_equal(event->properties_json, STR("{\"order_id\":\"XJ12H\"}"));
    payload_take(&payload, NULL, 0,
                 STR("{\"eventId\":\"e\",\"eventCreated\":1,\"eventType\":\"customer.deleted\","
                     "\"entityId\":7}"));
    assert_int_equal(payload.normalised.events[0].type, EVENT_CUSTOM);
    payload_end(&payload);
}

static void tells_shopwares_cancellation(void **state)
{
    (void)state;
    struct payload payload;
    payload_begin(&payload, "shopware");
    payload_take(&payload, NULL, 0,
                 STR("{\"data\":{\"event\":\"state_enter.order.state.cancelled\",\"payload\":"
                     "{\"order\":{\"id\":\"c1\",\"amountTotal\":5,\"stateMachineState\":"
                     "{\"technicalName\":\"cancelled\"}}}},\"source\":{\"eventId\":\"e\"}}"));
    payload_check_events(&payload);
    assert_int_equal(payload.normalised.event_count, 2);
    const struct event *told = payload_event(&payload, EVENT_ORDER_CANCELLED, 0);
    assert_null(told->order); /* a merchant may reopen it, as its body says */
    assert_str_equal(payload_identifier(told, IDENTITY_ORDER, 0), STR("c1"));
    payload_end(&payload);
}

static void refuses_another_shop(void **state)
{
    (void)state;
    static const struct {
        const char *platform;
        const char *own;
        const char *body;
    } rows[] = {
        { "bigcommerce", "{\"shop_id\":\"abc\"}", BIGCOMMERCE },
        { "etsy", "{\"shop_id\":42}", ETSY },
        { "ecwid", "{\"shop_id\":\"1003\"}", ECWID },
        { "squarespace", "{\"shop_id\":\"w1\"}", SQUARESPACE },
        { "square", "{\"shop_id\":\"M1\"}",
          "{\"merchant_id\":\"M1\",\"type\":\"location.created\",\"event_id\":\"e\"}" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, rows[i].platform);
        assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                                 str_from_z(rows[i].own), &payload.source,
                                                 &payload.problem),
                         STATUS_OK);
        assert_row(payload_take(&payload, NULL, 0, str_from_z(rows[i].body)) != NORMALISE_FOREIGN,
                   rows[i].platform);
        assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                                 STR("{\"shop_id\":\"other\"}"), &payload.source,
                                                 &payload.problem),
                         STATUS_OK);
        assert_row(payload_take(&payload, NULL, 0, str_from_z(rows[i].body)) == NORMALISE_FOREIGN,
                   rows[i].platform);
        assert_int_equal(payload.normalised.dedup_key.size, 0);
        payload_end(&payload);
    }
}

/* Signed, and no sense: quarantined with a reason, never a 4xx. */
static void says_what_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *platform;
        const char *body;
        enum normalise_verdict verdict;
        const char *why;
    } rows[] = {
        { "square", "[]", NORMALISE_UNREADABLE, "no object" },
        { "square", "{}", NORMALISE_UNREADABLE, "no topic" },
        { "square", "{\"type\":7}", NORMALISE_UNREADABLE, "a topic that is no text" },
        { "square", "{\"type\":\"x.y\"}", NORMALISE_IGNORED, "a topic we do not take" },
        { "square", "{\"type\":\"customer.created\",\"event_id\":\"e\"}", NORMALISE_UNREADABLE,
          "no customer" },
        { "square",
          "{\"type\":\"payment.created\",\"data\":{\"object\":{\"payment\":{\"id\":\"p\","
          "\"status\":\"COMPLETED\"}}}}",
          NORMALISE_UNREADABLE, "no amount" },
        { "square",
          "{\"type\":\"refund.created\",\"data\":{\"object\":{\"refund\":{\"id\":\"r\","
          "\"order_id\":\"o\",\"status\":\"FAILED\",\"amount_money\":{\"amount\":1,"
          "\"currency\":\"USD\"}}}}}",
          NORMALISE_EVENTS, "a refund that failed is none" },
        { "bigcommerce", "{\"scope\":\"store/order/created\",\"data\":{\"id\":null}}",
          NORMALISE_UNREADABLE, "no order" },
        { "bigcommerce", "{\"scope\":\"store/cart/created\",\"data\":[]}", NORMALISE_UNREADABLE,
          "PHP's empty object" },
        { "bigcommerce", "{\"scope\":\"store/sku/inventory/updated\",\"data\":{\"id\":1}}",
          NORMALISE_UNREADABLE, "no product" },
        { "etsy",
          "{\"event_type\":\"order.paid\",\"resource_url\":\"https://evil.example/v3/"
          "application/shops/1/receipts/54321\"}",
          NORMALISE_UNREADABLE, "an address that is not Etsy's" },
        { "etsy",
          "{\"event_type\":\"order.paid\",\"resource_url\":\"https://openapi.etsy.com/v3/"
          "application/shops/1/listings/54321\"}",
          NORMALISE_UNREADABLE, "no receipt" },
        { "squarespace", "{\"topic\":\"extension.uninstall\"}", NORMALISE_IGNORED, "goodbye" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, rows[i].platform);
        assert_row(payload_take(&payload, NULL, 0, str_from_z(rows[i].body)) == rows[i].verdict,
                   rows[i].why);
        if (rows[i].verdict == NORMALISE_UNREADABLE) {
            assert_row(payload.problem.detail[0] != '\0', rows[i].why);
        }
        payload_end(&payload);
    }
}

#define CHARGE                                                                                  \
    "{\"id\":\"evt_%s\",\"type\":\"%s\",\"created\":%d,\"data\":{\"object\":{\"id\":\"ch_1\","  \
    "\"created\":1794990000,\"amount\":%d,\"amount_refunded\":%d,\"captured\":%s,\"status\":"   \
    "\"succeeded\",\"currency\":\"%s\",\"payment_intent\":\"pi_1\",\"customer\":{\"id\":\"cus_" \
    "1\"},"                                                                                     \
    "\"billing_details\":{\"email\":\"a@example.com\"},\"receipt_email\":\"b@example.com\"}}}"
#define SESSION                                                                                   \
    "{\"id\":\"evt_s\",\"type\":\"checkout.session.completed\",\"created\":1794990000,\"data\":{" \
    "\"object\":{\"id\":\"cs_1\",\"mode\":\"%s\",\"payment_status\":\"paid\",\"amount_total\":"   \
    "1200,"                                                                                       \
    "\"currency\":\"eur\",\"payment_intent\":\"pi_1\",\"customer\":\"cus_1\","                    \
    "\"total_details\":{\"amount_discount\":300}}}}"

static const struct event *take_charge(struct payload *payload, const char *type, int amount,
                                       int refunded, const char *captured, const char *currency)
{
    char body[1024];
    snprintf(body, sizeof(body), CHARGE, type, type, 1794990005, amount, refunded, captured,
             currency);
    struct str text = str_dup(payload->arena, str_from_z(body));
    assert_row(payload_take(payload, NULL, 0, text) == NORMALISE_EVENTS, type);
    payload_check_events(payload);
    return payload_event(payload, EVENT_ORDER_UPDATED, 0);
}

/* Session and charge of one payment are one order; within one second the session
 * stands, since it says more. */
static void folds_a_stripe_payment_to_one_order(void **state)
{
    (void)state;
    struct payload payload;
    char body[1024];
    payload_begin(&payload, "stripe");
    const struct event *charge = take_charge(&payload, "charge.succeeded", 1200, 0, "true", "eur");
    snprintf(body, sizeof(body), SESSION, "payment");
    payload_take(&payload, NULL, 0, str_dup(payload.arena, str_from_z(body)));
    const struct event *session = payload_event(&payload, EVENT_ORDER_UPDATED, 0);
    assert_str_equal(charge->order->order_ref, STR("pi_1"));
    assert_str_equal(session->order->order_ref, STR("pi_1"));
    assert_true(charge->order->counts && session->order->counts);
    assert_true(session->order->version_ms > charge->order->version_ms);
    assert_str_equal(payload_member(payload.arena, session->properties_json, "discount"),
                     STR("3.0"));
    /* One address: the payer's, not the receipt's as well. */
    assert_str_equal(payload_identifier(charge, IDENTITY_EMAIL, 0), STR("a@example.com"));
    assert_int_equal(payload_identifier(charge, IDENTITY_EMAIL, 1).size, 0);
    assert_str_equal(payload_identifier(charge, IDENTITY_CUSTOMER_ID, 0), STR("cus_1"));

    /* A later event of the charge is no newer body than the session. */
    const struct event *refunded =
        take_charge(&payload, "charge.refunded", 1200, 1200, "true", "eur");
    assert_true(session->order->version_ms > refunded->order->version_ms);
    assert_true(refunded->order->version_ms == charge->order->version_ms);
    assert_int_equal(refunded->order->refunded_minor, 1200);

    /* What a subscription pays is told by its charges alone. */
    snprintf(body, sizeof(body), SESSION, "subscription");
    assert_int_equal(payload_take(&payload, NULL, 0, str_from_z(body)), NORMALISE_EVENTS);
    assert_int_equal(payload.normalised.event_count, 0);
    payload_end(&payload);
}

static void reads_stripe_money_and_holds(void **state)
{
    (void)state;
    static const struct {
        const char *currency;
        int amount;
        int64_t minor;
        const char *captured;
        bool counts;
        enum order_rank rank;
    } rows[] = {
        { "eur", 1999, 1999, "true", true, ORDER_PAID },
        { "jpy", 500, 500, "true", true, ORDER_PAID },
        { "kwd", 5000, 5000, "true", true, ORDER_PAID },
        { "ugx", 50000, 500, "true", true, ORDER_PAID },
        { "isk", 50000, 500, "true", true, ORDER_PAID },
        { "eur", 1999, 1999, "false", true, ORDER_OPEN },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, "stripe");
        const struct event *event = take_charge(&payload, "charge.captured", rows[i].amount, 0,
                                                rows[i].captured, rows[i].currency);
        assert_row(event->order->total_minor == rows[i].minor, rows[i].currency);
        assert_row(event->order->counts == rows[i].counts, rows[i].currency);
        assert_row(event->order->rank == rows[i].rank, rows[i].currency);
        payload_end(&payload);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies_what_another_hand_signed),
        cmocka_unit_test(names_an_order_and_invents_nothing),
        cmocka_unit_test(believes_ecwid_in_part),
        cmocka_unit_test(tells_shopwares_cancellation),
        cmocka_unit_test(refuses_another_shop),
        cmocka_unit_test(says_what_cannot_be_read),
        cmocka_unit_test(folds_a_stripe_payment_to_one_order),
        cmocka_unit_test(reads_stripe_money_and_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
