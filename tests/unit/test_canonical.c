#include "base/limits.h"
#include "payload.h"

static enum status parse(struct payload *payload, struct str body, bool skip_bad,
                         struct canonical_batch *batch)
{
    *batch = (struct canonical_batch){ 0 };
    payload->problem = (struct problem){ .type = "" };
    enum status status = canonical_parse(payload->arena, &payload->source, body, PAYLOAD_NOW_MS,
                                         skip_bad, batch, &payload->problem);
    payload->normalised =
        (struct normalised){ .events = batch->events, .event_count = batch->event_count };
    payload_check_events(payload);
    return status;
}

#define ORDER                                                                                  \
    "{\"id\":\"crm-88213\",\"type\":\"order.completed\",\"occurred_at\":"                      \
    "\"2026-11-12T14:10:00+01:00\",\"identities\":{\"email\":\"Jane@example.com\",\"external_" \
    "id\":"                                                                                    \
    "\"u_1001\",\"anonymous_id\":\"8f0c3d9e-5b1a-4a51-9b0e-2f8f6b1f4a77\"},\"properties\":{"   \
    "\"order_id\":\"1001\",\"total\":132.50,\"currency\":\"EUR\",\"channel\":\"pos\","         \
    "\"location\":"                                                                            \
    "\"Paris 11\",\"products\":[{\"product_id\":\"8213868347001\",\"category\":[\"Shoes\"],"   \
    "\"quantity\":1,\"price\":\"132.5\"}]},\"context\":{\"platform\":\"pos\"}}"

static void reads_the_contracts_example(void **state)
{
    (void)state;
    struct payload payload;
    struct canonical_batch batch;
    payload_begin(&payload, "api");
    assert_int_equal(parse(&payload, STR(ORDER), false, &batch), STATUS_OK);
    assert_int_equal(batch.event_count, 1);
    assert_int_equal(batch.error_count, 0);
    assert_int_equal(batch.errors_json.size, 0);
    const struct event *event = &batch.events[0];
    assert_int_equal(event->type, EVENT_ORDER_COMPLETED);
    assert_int_equal(event->trust, TRUST_KEYED);
    assert_str_equal(event->dedup_key, STR("crm-88213"));
    assert_true(event->occurred_at_ms == payload_ms("2026-11-12T13:10:00Z"));
    assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("jane@example.com"));
    assert_str_equal(payload_identifier(event, IDENTITY_EXTERNAL_ID, 0), STR("u_1001"));
    assert_str_equal(payload_identifier(event, IDENTITY_ORDER, 0), STR("1001"));
    assert_int_equal(event->order->kind, ORDER_BODY);
    assert_int_equal(event->order->rank, ORDER_PAID);
    assert_true(event->order->counts);
    assert_int_equal(event->order->total_minor, 13250);
    assert_true(event->order->placed_at_ms == event->occurred_at_ms);
    assert_true(str_starts_with(event->order->body_json,
                                str_take(event->properties_json, event->properties_json.size - 1)));
    assert_non_null(strstr(event->order->body_json.data, "}],\"platform\":\"pos\"}"));
    assert_str_equal(
        event->properties_json,
        STR("{\"order_id\":\"1001\",\"total\":132.50,\"currency\":\"EUR\",\"channel\":\"pos\","
            "\"location\":\"Paris 11\",\"products\":[{\"product_id\":\"8213868347001\","
            "\"category\":[\"Shoes\"],\"quantity\":1,\"price\":132.50}]}"));
    assert_str_equal(event->context_json, STR("{\"platform\":\"pos\"}"));
    assert_true(event->has_amount);
    assert_int_equal(event->amount_minor, 13250);
    payload_end(&payload);
}

#define WHO "\"identities\":{\"email\":\"a@b.co\"}"

static void points_at_each_fault(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *item;
        const char *pointer;    /* of the first error; NULL: none */
        const char *suggestion; /* or NULL */
    } rows[] = {
        { "the least", "{\"type\":\"page.viewed\"," WHO "}", NULL, NULL },
        { "no type", "{" WHO "}", "#/type", NULL },
        { "a misspelt type", "{\"type\":\"product.view\"," WHO "}", "#/type", "product.viewed" },
        { "a number as type", "{\"type\":5," WHO "}", "#/type", NULL },
        { "one's own", "{\"type\":\"custom.quiz_done\"," WHO "}", NULL, NULL },
        { "one's own, badly named", "{\"type\":\"custom.Quiz Done\"," WHO "}", "#/type", NULL },
        { "one's own, declared an act", "{\"type\":\"custom.x\",\"act\":true," WHO "}", NULL,
          NULL },
        { "act of what is not one's own", "{\"type\":\"page.viewed\",\"act\":true," WHO "}",
          "#/act", NULL },
        { "a misspelt member", "{\"type\":\"page.viewed\",\"propertys\":{}," WHO "}", "#/propertys",
          "properties" },
        { "an unknown member", "{\"type\":\"page.viewed\",\"zebra\":1," WHO "}", "#/zebra", NULL },
        { "the same within properties",
          "{\"type\":\"page.viewed\",\"properties\":{\"zebra\":{\"a\":[1]}}," WHO "}", NULL, NULL },
        { "nobody", "{\"type\":\"page.viewed\"}", "#/identities", NULL },
        { "nobody is needed for the world",
          "{\"type\":\"product.updated\",\"properties\":{\"product_id\":\"1\"}}", NULL, NULL },
        { "an unknown identity", "{\"type\":\"page.viewed\",\"identities\":{\"emial\":\"a@b.co\"}}",
          "#/identities/emial", "email" },
        { "no email", "{\"type\":\"page.viewed\",\"identities\":{\"email\":\"jane\"}}",
          "#/identities/email", NULL },
        { "a placeholder", "{\"type\":\"page.viewed\",\"identities\":{\"external_id\":\"null\"}}",
          "#/identities/external_id", NULL },
        { "a number as id",
          "{\"type\":\"page.viewed\",\"identities\":{\"external_id\":9007199254740993}}", NULL,
          NULL },
        { "null is not there",
          "{\"type\":\"page.viewed\",\"identities\":{\"email\":\"a@b.co\",\"phone\":null}}", NULL,
          NULL },
        { "identities as a list", "{\"type\":\"page.viewed\",\"identities\":[]}", "#/identities",
          NULL },
        { "no offset", "{\"type\":\"page.viewed\",\"occurred_at\":\"2026-11-12T14:10:00\"," WHO "}",
          "#/occurred_at", NULL },
        { "a number as time", "{\"type\":\"page.viewed\",\"occurred_at\":1795000000," WHO "}",
          "#/occurred_at", NULL },
        { "an empty id", "{\"id\":\"\",\"type\":\"page.viewed\"," WHO "}", "#/id", NULL },
        { "a boolean id", "{\"id\":true,\"type\":\"page.viewed\"," WHO "}", "#/id", NULL },
        { "a numeric id", "{\"id\":12,\"type\":\"page.viewed\"," WHO "}", NULL, NULL },
        { "properties as text", "{\"type\":\"page.viewed\",\"properties\":\"x\"," WHO "}",
          "#/properties", NULL },
        { "context as text", "{\"type\":\"page.viewed\",\"context\":\"x\"," WHO "}", "#/context",
          NULL },
        { "no currency",
          "{\"type\":\"page.viewed\",\"properties\":{\"currency\":\"euro\"}," WHO "}",
          "#/properties/currency", NULL },
        { "no amount", "{\"type\":\"product.viewed\",\"properties\":{\"price\":\"cheap\"}," WHO "}",
          "#/properties/price", NULL },
        { "no amount, in a product",
          "{\"type\":\"cart.updated\",\"properties\":{\"products\":[{\"price\":1},{\"price\":"
          "\"x\"}]}," WHO "}",
          "#/properties/products/1/price", NULL },
        { "a product that is none",
          "{\"type\":\"cart.updated\",\"properties\":{\"products\":[1]}," WHO "}",
          "#/properties/products/0", NULL },
        { "an order without its id",
          "{\"type\":\"order.completed\",\"properties\":{\"total\":1}," WHO "}",
          "#/properties/order_id", NULL },
        { "an order without total",
          "{\"type\":\"order.completed\",\"properties\":{\"order_id\":\"1\"}," WHO "}",
          "#/properties/total", NULL },
        { "an order is reached without a person",
          "{\"type\":\"order.cancelled\",\"properties\":{\"order_id\":\"1\"}}", NULL, NULL },
        { "placed at no time",
          "{\"type\":\"order.updated\",\"properties\":{\"order_id\":\"1\",\"total\":1,"
          "\"placed_at\":\"monday\"}," WHO "}",
          "#/properties/placed_at", NULL },
        { "a refund without amount",
          "{\"type\":\"order.refunded\",\"properties\":{\"order_id\":\"1\"}," WHO "}",
          "#/properties/total", NULL },
        { "a refund below nothing",
          "{\"type\":\"order.refunded\",\"properties\":{\"order_id\":\"1\",\"total\":-1}," WHO "}",
          "#/properties/total", NULL },
        { "consent",
          "{\"type\":\"consent.updated\",\"consent\":{\"email\":\"subscribed\"}," WHO "}", NULL,
          NULL },
        { "consent to no channel",
          "{\"type\":\"consent.updated\",\"consent\":{\"emails\":\"subscribed\"}," WHO "}",
          "#/consent/emails", "email" },
        { "consent in no state",
          "{\"type\":\"consent.updated\",\"consent\":{\"email\":\"subscribd\"}," WHO "}",
          "#/consent/email", "subscribed" },
        { "consent by a boolean",
          "{\"type\":\"consent.updated\",\"consent\":{\"email\":true}," WHO "}", "#/consent/email",
          NULL },
        { "traits as a list", "{\"type\":\"customer.updated\",\"traits\":[1]," WHO "}", "#/traits",
          NULL },
        { "a name that needs escaping as a pointer",
          "{\"type\":\"page.viewed\",\"a/b~c\":1," WHO "}", "#/a~1b~0c", NULL },
        { "no object", "5", NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        struct canonical_batch batch;
        payload_begin(&payload, "api");
        enum status status = parse(&payload, str_from_z(rows[i].item), false, &batch);
        if (strcmp(rows[i].item, "5") == 0) {
            assert_int_equal(status, STATUS_INVALID);
            assert_string_equal(payload.problem.type, "malformed-json");
        } else if (rows[i].pointer == NULL) {
            assert_row(status == STATUS_OK && batch.event_count == 1, rows[i].why);
        } else {
            assert_row(status == STATUS_INVALID && batch.event_count == 0, rows[i].why);
            assert_string_equal(payload.problem.type, "invalid-event");
            assert_row(strcmp(payload.problem.pointer, rows[i].pointer) == 0, rows[i].why);
            json_t *errors = border_parse(batch.errors_json, &payload.problem);
            assert_non_null(errors);
            assert_int_equal(json_array_size(errors), batch.error_count);
            const json_t *first = json_array_get(errors, 0);
            assert_row(str_equal_z(border_text(first, "pointer"), rows[i].pointer), rows[i].why);
            struct str suggestion = border_text(first, "suggestion");
            assert_row(str_equal(suggestion, str_from_z(rows[i].suggestion)), rows[i].why);
            border_free(errors);
        }
        payload_end(&payload);
    }
}

static void takes_one_many_and_lines(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *body;
        enum status status;
        size_t events;
        size_t errors;
        const char *pointer; /* of the first error */
    } rows[] = {
        { "one", "{\"type\":\"page.viewed\"," WHO "}", STATUS_OK, 1, 0, NULL },
        { "one over several lines", "{\n\"type\":\"page.viewed\",\n" WHO "\n}\n", STATUS_OK, 1, 0,
          NULL },
        { "an array", "[{\"type\":\"page.viewed\"," WHO "},\n{\"type\":\"page.viewed\"," WHO "}]",
          STATUS_OK, 2, 0, NULL },
        { "an empty array", "[]", STATUS_OK, 0, 0, NULL },
        { "lines", "{\"type\":\"page.viewed\"," WHO "}\r\n\n{\"type\":\"page.viewed\"," WHO "}\n",
          STATUS_OK, 2, 0, NULL },
        { "a bad one in an array",
          "[{\"type\":\"page.viewed\"," WHO "},{\"type\":\"page.view\"," WHO "}]", STATUS_OK, 1, 1,
          "#/1/type" },
        { "a bad line",
          "{\"type\":\"page.viewed\"," WHO "}\n{\"type\":\n{\"type\":\"page.viewed\"," WHO "}",
          STATUS_OK, 2, 1, "#/1" },
        { "a number among them", "[5,{\"type\":\"page.viewed\"," WHO "}]", STATUS_OK, 1, 1, "#/0" },
        { "nothing", "", STATUS_INVALID, 0, 0, NULL },
        { "no JSON", "hello", STATUS_INVALID, 0, 0, NULL },
        { "an array cut off", "[{\"type\":\"page.viewed\"," WHO "}", STATUS_INVALID, 0, 0, NULL },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        struct canonical_batch batch;
        payload_begin(&payload, "api");
        assert_row(parse(&payload, str_from_z(rows[i].body), true, &batch) == rows[i].status,
                   rows[i].why);
        assert_row(batch.event_count == rows[i].events, rows[i].why);
        assert_row(batch.error_count == rows[i].errors, rows[i].why);
        if (rows[i].pointer != NULL) {
            json_t *errors = border_parse(batch.errors_json, &payload.problem);
            assert_row(
                str_equal_z(border_text(json_array_get(errors, 0), "pointer"), rows[i].pointer),
                rows[i].why);
            border_free(errors);
            /* All or nothing, unless asked. */
            assert_row(parse(&payload, str_from_z(rows[i].body), false, &batch) == STATUS_INVALID,
                       rows[i].why);
            assert_row(batch.event_count == 0 && batch.error_count == rows[i].errors, rows[i].why);
            assert_string_equal(payload.problem.pointer, rows[i].pointer);
        }
        payload_end(&payload);
    }
}

static void bounds_a_request(void **state)
{
    (void)state;
    for (size_t count = LIMIT_EVENTS_PER_REQUEST; count <= LIMIT_EVENTS_PER_REQUEST + 1; count++) {
        for (int lines = 0; lines < 2; lines++) {
            struct payload payload;
            struct canonical_batch batch;
            struct buf body;
            payload_begin(&payload, "api");
            buf_init(&body, NULL, 4u * 1024 * 1024);
            buf_add_z(&body, lines ? "" : "[");
            for (size_t i = 0; i < count; i++) {
                buf_printf(&body, "%s{\"id\":%zu,\"type\":\"inventory.updated\"}",
                           i == 0  ? ""
                           : lines ? "\n"
                                   : ",",
                           i + 1);
            }
            buf_add_z(&body, lines ? "" : "]");
            enum status status = canonical_parse(payload.arena, &payload.source, buf_str(&body),
                                                 PAYLOAD_NOW_MS, false, &batch, &payload.problem);
            assert_int_equal(status, count > LIMIT_EVENTS_PER_REQUEST ? STATUS_LIMIT : STATUS_OK);
            buf_finish(&body);
            payload_end(&payload);
        }
    }
    struct payload payload;
    struct canonical_batch batch;
    char id[LIMIT_DEDUP_KEY_BYTES + 2];
    payload_begin(&payload, "api");
    for (size_t size = LIMIT_DEDUP_KEY_BYTES; size <= LIMIT_DEDUP_KEY_BYTES + 1; size++) {
        memset(id, 'x', size);
        id[size] = '\0';
        struct str body =
            str_printf(payload.arena, "{\"id\":\"%s\",\"type\":\"inventory.updated\"}", id);
        assert_int_equal(parse(&payload, body, false, &batch),
                         size > LIMIT_DEDUP_KEY_BYTES ? STATUS_INVALID : STATUS_OK);
    }
    payload_end(&payload);
}

static void makes_documents_of_orders(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *type;
        const char *properties; /* beside order_id */
        enum order_document_kind kind;
        const char *document_ref;
        enum order_rank rank;
        bool counts;
        int64_t total_minor; /* or the amount of a refund */
    } rows[] = {
        { "an update without status counts", "order.updated", "\"total\":\"10\"", ORDER_BODY, "",
          ORDER_OPEN, true, 1000 },
        { "pending", "order.updated", "\"total\":10,\"status\":\"pending\"", ORDER_BODY, "",
          ORDER_OPEN, false, 1000 },
        { "cancelled", "order.updated", "\"total\":10,\"status\":\"cancelled\"", ORDER_BODY, "",
          ORDER_CANCELLED, false, 1000 },
        { "shipped", "order.updated", "\"total\":10,\"status\":\"shipped\"", ORDER_BODY, "",
          ORDER_FULFILLED, true, 1000 },
        { "completed says so whatever the status", "order.completed",
          "\"total\":10,\"status\":\"pending\"", ORDER_BODY, "", ORDER_OPEN, true, 1000 },
        { "a refund with its id", "order.refunded", "\"total\":2.5,\"refund_id\":77", ORDER_REFUND,
          "77", 0, false, 250 },
        { "a refund by the event's id", "order.refunded", "\"total\":\"2.5\"", ORDER_REFUND, "e-1",
          0, false, 250 },
        { "a cancellation", "order.cancelled", "\"reason\":\"x\"", ORDER_CANCELLATION, "", 0, false,
          0 },
        { "a fulfilment", "order.fulfilled", "\"fulfilment_id\":\"f-1\"", ORDER_FULFILMENT, "f-1",
          0, false, 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        struct canonical_batch batch;
        payload_begin(&payload, "api");
        struct str body = str_printf(payload.arena,
                                     "{\"id\":\"e-1\",\"type\":\"%s\",\"properties\":{"
                                     "\"order_id\":1001,%s}}",
                                     rows[i].type, rows[i].properties);
        assert_row(parse(&payload, body, false, &batch) == STATUS_OK, rows[i].why);
        const struct order_document *order = batch.events[0].order;
        assert_row(order->kind == rows[i].kind, rows[i].why);
        assert_str_equal(order->order_ref, STR("1001"));
        assert_str_equal(order->document_ref, str_from_z(rows[i].document_ref));
        assert_row(order->rank == rows[i].rank, rows[i].why);
        assert_row(order->counts == rows[i].counts, rows[i].why);
        assert_row(order->total_minor + order->amount_minor == rows[i].total_minor, rows[i].why);
        payload_end(&payload);
    }
}

static void does_not_let_a_fast_clock_win(void **state)
{
    (void)state;
    struct payload payload;
    struct canonical_batch batch;
    payload_begin(&payload, "api");
    assert_int_equal(parse(&payload,
                           STR("{\"type\":\"order.completed\",\"occurred_at\":"
                               "\"2099-01-01T00:00:00Z\",\"properties\":{\"order_id\":1,"
                               "\"total\":1}}"),
                           false, &batch),
                     STATUS_OK);
    assert_true(batch.events[0].order->version_ms == PAYLOAD_NOW_MS);
    assert_true(batch.events[0].claimed_at_ms == payload_ms("2099-01-01T00:00:00Z"));
    payload_end(&payload);
}

static void keeps_facts_and_hides_addresses(void **state)
{
    (void)state;
    struct payload payload;
    struct canonical_batch batch;
    payload_begin(&payload, "api");
    assert_int_equal(
        parse(&payload,
              STR("{\"type\":\"customer.updated\"," WHO ",\"traits\":{\"loyalty_tier\":\"gold\","
                  "\"points\":12,\"gone\":null,\"list\":[\"a\",1.1]},\"preferences\":"
                  "{\"interests\":[\"running\"]},\"consent\":{\"email\":\"subscribed\"},"
                  "\"context\":{\"ip\":\"203.0.113.77\",\"locale\":\"fr\"}}"),
              false, &batch),
        STATUS_OK);
    const struct event *event = &batch.events[0];
    assert_str_equal(payload_fact(event, FACT_TRAIT, "loyalty_tier"), STR("\"gold\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "points"), STR("12"));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "gone"), STR("null"));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "list"), STR("[\"a\",1.1]"));
    assert_str_equal(payload_fact(event, FACT_PREFERENCE, "interests"), STR("[\"running\"]"));
    assert_str_equal(payload_fact(event, FACT_CONSENT, "email"), STR("\"subscribed\""));
    assert_str_equal(event->context_json, STR("{\"ip\":\"203.0.113.0\",\"locale\":\"fr\"}"));
    assert_int_equal(parse(&payload,
                           STR("{\"type\":\"page.viewed\"," WHO ",\"context\":{\"ip\":"
                               "\"2001:db8:1:2:3:4:5:6\"}}"),
                           false, &batch),
                     STATUS_OK);
    assert_str_equal(batch.events[0].context_json, STR("{\"ip\":\"2001:db8:1::\"}"));
    assert_int_equal(
        parse(&payload,
              STR("{\"type\":\"page.viewed\"," WHO ",\"context\":{\"ip\":\"localhost\"}}"), false,
              &batch),
        STATUS_OK);
    assert_str_equal(batch.events[0].context_json, STR("{\"ip\":null}"));

    /* Without an id each is a fact of its own. */
    struct id first = batch.events[0].id;
    assert_true(str_starts_with(batch.events[0].dedup_key, STR("made/")));
    parse(&payload, STR("{\"type\":\"page.viewed\"," WHO "}"), false, &batch);
    assert_false(id_equal(batch.events[0].id, first));
    payload_end(&payload);
}

static void reads_standard_webhooks(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *body;
        enum normalise_verdict verdict;
        size_t events;
        const char *keys[2];
    } rows[] = {
        { "an envelope",
          "{\"type\":\"page.viewed\",\"timestamp\":\"2026-11-12T13:10:00Z\",\"data\":{" WHO "}}",
          NORMALISE_EVENTS,
          1,
          { "msg_1" } },
        { "data with its own words",
          "{\"type\":\"x.y\",\"timestamp\":\"2020-01-01T00:00:00Z\",\"data\":{\"id\":\"e-1\","
          "\"type\":\"page.viewed\",\"occurred_at\":\"2026-11-12T13:10:00Z\"," WHO "}}",
          NORMALISE_EVENTS,
          1,
          { "e-1" } },
        { "an event without envelope",
          "{\"type\":\"page.viewed\",\"occurred_at\":\"2026-11-12T13:10:00Z\"," WHO "}",
          NORMALISE_EVENTS,
          1,
          { "msg_1" } },
        { "several",
          "[{\"id\":\"e-1\",\"type\":\"page.viewed\",\"occurred_at\":\"2026-11-12T13:10:00Z\"," WHO
          "},{\"type\":\"page.viewed\"," WHO "}]",
          NORMALISE_EVENTS,
          2,
          { "e-1", "msg_1" } },
        { "several without ids are told apart by their place",
          "{\"type\":\"page.viewed\",\"occurred_at\":\"2026-11-12T13:10:00Z\"," WHO
          "}\n{\"type\":\"page.viewed\"," WHO "}",
          NORMALISE_EVENTS,
          2,
          { "msg_1", "msg_1" } },
        { "somebody else's envelope",
          "{\"type\":\"invoice.paid\",\"data\":{\"id\":1}}",
          NORMALISE_IGNORED,
          0,
          { NULL } },
        { "a bad item",
          "{\"type\":\"page.viewed\",\"data\":{\"x\":1}}",
          NORMALISE_UNREADABLE,
          0,
          { NULL } },
        { "no JSON", "hello", NORMALISE_UNREADABLE, 0, { NULL } },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        struct inbound_header header = { STR("Webhook-Id"), STR("msg_1") };
        payload_begin(&payload, "standard_webhooks");
        for (int turn = 0; turn < 2; turn++) {
            struct id before =
                turn > 0 && rows[i].events > 0 ? payload.normalised.events[0].id : ID_ZERO;
            assert_row(payload_take(&payload, &header, 1, str_from_z(rows[i].body)) ==
                           rows[i].verdict,
                       rows[i].why);
            assert_str_equal(payload.normalised.dedup_key, STR("msg_1"));
            if (rows[i].verdict != NORMALISE_EVENTS) {
                continue;
            }
            payload_check_events(&payload);
            assert_row(payload.normalised.event_count == rows[i].events, rows[i].why);
            for (size_t j = 0; j < rows[i].events; j++) {
                assert_row(str_equal_z(payload.normalised.events[j].dedup_key, rows[i].keys[j]),
                           rows[i].why);
            }
            assert_int_equal(payload.normalised.events[0].trust, TRUST_SIGNED);
            assert_row(payload.normalised.events[0].occurred_at_ms ==
                           payload_ms("2026-11-12T13:10:00Z"),
                       rows[i].why);
            assert_true(turn == 0 || id_equal(before, payload.normalised.events[0].id));
        }
        payload_end(&payload);
    }
}

static void checks_settings(void **state)
{
    (void)state;
    static const struct {
        const char *platform;
        const char *settings;
        const char *type;    /* of the problem; NULL: fine */
        const char *pointer; /* of the problem */
    } rows[] = {
        { "shopify", "{}", NULL, NULL },
        { "shopify", "", NULL, NULL },
        { "shopify",
          "{\"shop_domain\":\"Aurora.myshopify.com\",\"time_zone\":\"Europe/Paris\",\"currency\":"
          "\"EUR\",\"order_completed_when\":\"paid_or_authorized\"}",
          NULL, NULL },
        { "shopify", "{\"shop_domain\":null,\"time_zone\":null}", NULL, NULL },
        { "shopify", "{\"shop_domian\":\"x.example\"}", "unknown-field", "#/settings/shop_domian" },
        { "shopify", "{\"site_url\":\"https://x.example\"}", "unknown-field",
          "#/settings/site_url" },
        { "shopify", "{\"shop_domain\":\"https://x.example\"}", "invalid-field",
          "#/settings/shop_domain" },
        { "shopify", "{\"shop_domain\":7}", "invalid-field", "#/settings/shop_domain" },
        { "shopify", "{\"time_zone\":\"Europe/Pariss\"}", "invalid-field", "#/settings/time_zone" },
        { "shopify", "{\"time_zone\":\"../../etc/passwd\"}", "invalid-field",
          "#/settings/time_zone" },
        { "shopify", "{\"currency\":\"eur\"}", "invalid-field", "#/settings/currency" },
        { "shopify", "{\"order_completed_when\":\"shipped\"}", "invalid-field",
          "#/settings/order_completed_when" },
        { "shopify", "{\"order_completed_when\":[\"payed\"]}", "invalid-field",
          "#/settings/order_completed_when" },
        { "shopify", "{\"order_completed_when\":[]}", "invalid-field",
          "#/settings/order_completed_when" },
        { "shopify", "{\"order_completed_when\":[5]}", "invalid-field",
          "#/settings/order_completed_when" },
        { "shopify", "[]", "invalid-field", "#/settings" },
        { "shopify", "{\"currency\":", "invalid-field", "#/settings" },
        { "woocommerce",
          "{\"site_url\":\"https://outlet.example\",\"order_completed_when\":"
          "[\"processing\",\"completed\"]}",
          NULL, NULL },
        { "woocommerce", "{\"site_url\":\"outlet.example\"}", "invalid-field",
          "#/settings/site_url" },
        { "woocommerce", "{\"site_url\":\"https://\"}", "invalid-field", "#/settings/site_url" },
        { "standard_webhooks", "{\"currency\":\"JPY\"}", NULL, NULL },
        { "standard_webhooks", "{\"order_completed_when\":\"paid\"}", "unknown-field",
          "#/settings/order_completed_when" },
        { "api", "{\"time_zone\":\"UTC\"}", NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, rows[i].platform);
        payload.source.currency = STR("GBP");
        enum status status =
            platform_parse_settings(payload.arena, payload.platform, str_from_z(rows[i].settings),
                                    &payload.source, &payload.problem);
        assert_row((status == STATUS_OK) == (rows[i].type == NULL), rows[i].settings);
        if (rows[i].type != NULL) {
            assert_int_equal(status, STATUS_INVALID);
            assert_string_equal(payload.problem.type, rows[i].type);
            assert_string_equal(payload.problem.pointer, rows[i].pointer);
            assert_str_equal(payload.source.currency, STR("GBP")); /* untouched */
        }
        payload_end(&payload);
    }
    struct payload payload;
    payload_begin(&payload, "shopify");
    payload.source.time_zone = STR("");
    assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                             STR("{\"shop_domain\":\"Aurora.myshopify.com\"}"),
                                             &payload.source, &payload.problem),
                     STATUS_OK);
    assert_str_equal(payload.source.shop_domain, STR("aurora.myshopify.com"));
    assert_str_equal(payload.source.time_zone, STR("UTC"));
    payload_end(&payload);
    assert_null(platform_find(STR("magento")));
    for (size_t i = 0; platform_at(i) != NULL; i++) {
        assert_ptr_equal(platform_find(str_from_z(platform_at(i)->name)), platform_at(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_contracts_example),
        cmocka_unit_test(points_at_each_fault),
        cmocka_unit_test(takes_one_many_and_lines),
        cmocka_unit_test(bounds_a_request),
        cmocka_unit_test(makes_documents_of_orders),
        cmocka_unit_test(does_not_let_a_fast_clock_win),
        cmocka_unit_test(keeps_facts_and_hides_addresses),
        cmocka_unit_test(reads_standard_webhooks),
        cmocka_unit_test(checks_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
