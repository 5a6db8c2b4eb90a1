#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "sources/import.h"
#include "unit.h"

/*
 * Files as records: what each format makes of a row, what it turns down and how
 * that is named, and that the same file brings the same events.
 */

#define EXPORTED_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define RECEIVED_MS INT64_C(1795356000000) /* 2026-11-22T14:00:00Z */

struct fixture {
    struct arena *arena;
    struct source source;
    struct import_options options;
    struct import_reader *reader;
    struct problem problem;
    struct str rest;
    int64_t line;
};

static void begin(struct fixture *fixture, const char *platform, const char *format,
                  enum import_kind kind)
{
    *fixture = (struct fixture){ .arena = arena_create((size_t)64 * 1024 * 1024) };
    assert_non_null(fixture->arena);
    fixture->source = (struct source){
        .id = { { 1, 2, 3 } },
        .platform = str_from_z(platform),
        .currency = STR("EUR"),
        .time_zone = STR("Europe/Paris"),
    };
    fixture->options = (struct import_options){
        .source = &fixture->source,
        .format = import_format_find(str_from_z(format), &fixture->problem),
        .kind = kind,
        .exported_at_ms = EXPORTED_MS,
        .received_at_ms = RECEIVED_MS,
    };
    assert_non_null(fixture->options.format);
}

static enum status open_text(struct fixture *fixture, const char *text)
{
    size_t used = 0;
    size_t lines = 0;
    struct str head = str_from_z(text);
    enum status status = import_open(fixture->arena, &fixture->options, head, true,
                                     &fixture->reader, &used, &lines, &fixture->problem);
    fixture->rest = str_drop(head, used);
    fixture->line = (int64_t)lines + 1;
    return status;
}

static enum import_verdict next(struct fixture *fixture, struct import_record *record)
{
    *record = (struct import_record){ .used = 0 };
    enum import_verdict verdict =
        import_next(fixture->reader, fixture->arena, fixture->rest, true, record);
    fixture->rest = str_drop(fixture->rest, record->used);
    fixture->line += (int64_t)record->line_count;
    return verdict;
}

static const struct event *only_event(struct fixture *fixture, size_t count)
{
    struct import_record record;
    enum import_verdict verdict = next(fixture, &record);
    if (verdict != IMPORT_RECORD) {
        fail_msg("%.*s: %.*s", STR_ARG(record.column), STR_ARG(record.reason));
    }
    assert_int_equal(record.event_count, count);
    return record.events;
}

static struct str identifier(const struct event *event, enum identity_kind kind)
{
    for (size_t i = 0; i < event->identifier_count; i++) {
        if (event->identifiers[i].kind == kind) {
            return event->identifiers[i].value;
        }
    }
    return (struct str){ NULL, 0 };
}

static struct str fact(const struct event *event, enum fact_kind kind, const char *key)
{
    for (size_t i = 0; i < event->fact_count; i++) {
        if (event->facts[i].kind == kind && str_equal_z(event->facts[i].key, key)) {
            return event->facts[i].value_json;
        }
    }
    return (struct str){ NULL, 0 };
}

static int64_t at(const char *text)
{
    int64_t ms = 0;
    assert_true(instant_parse(str_from_z(text), true, &ms, NULL));
    return ms;
}

/* --- Shopify -------------------------------------------------------------- */

#define SHOPIFY_HEADER                                                                       \
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Currency,Subtotal," \
    "Shipping,Taxes,Total,Discount Code,Discount Amount,Created at,Lineitem quantity,"       \
    "Lineitem name,Lineitem price,Lineitem sku,Billing City,Billing Zip,Billing Province,"   \
    "Billing Country,Notes,Cancelled at,Refunded Amount,Vendor,Id,Source,Phone\n"
#define SHOPIFY_FIRST                                                                        \
    "#1001,Jane@Example.com,paid,2025-10-07 09:50:26 +0200,fulfilled,2025-10-08 14:21:21 "   \
    "+0200,EUR,53.91,0.00,8.99,53.91,WELCOME10,5.99,2025-10-07 09:50:25 +0200,3,Runner "     \
    "size 42,17.97,TR-42,Paris,'75008,75,FR,\"two\nlines\",,10.00,Aurora,7410991464714,web," \
    "+33612345678\n"
#define SHOPIFY_MORE \
    "#1001,Jane@Example.com,,,,,,,,,,,,2025-10-07 09:50:25 +0200,1,Cap,9.90,,,,,,,,,Aurora,,,\n"

static void a_shopify_order_is_its_rows(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "shopify", "shopify-orders", IMPORT_ORDERS);
    assert_int_equal(open_text(&fixture, SHOPIFY_HEADER SHOPIFY_FIRST SHOPIFY_MORE
                               "#1002,a@b.co,pending,,,,EUR,,,,5.00,,,2025-10-07 10:00:00 +0200,,"
                               ",,,,,,,,,,,12,,\n"),
                     STATUS_OK);
    const struct event *event = only_event(&fixture, 1);
    assert_int_equal(fixture.line, 5);
    assert_int_equal(event->type, EVENT_ORDER_UPDATED);
    assert_int_equal(event->trust, TRUST_SIGNED);
    assert_int_equal(event->order->kind, ORDER_BODY);
    assert_str_equal(event->order->order_ref, STR("7410991464714"));
    assert_int_equal(event->order->rank, ORDER_FULFILLED);
    assert_true(event->order->counts);
    assert_int_equal(event->order->total_minor, 5391);
    assert_int_equal(event->order->refunded_minor, 1000);
    assert_true(event->order->placed_at_ms == at("2025-10-07T07:50:25Z"));
    /* The latest time that the export states. */
    assert_true(event->order->version_ms == at("2025-10-08T12:21:21Z"));
    assert_str_equal(identifier(event, IDENTITY_EMAIL), STR("jane@example.com"));
    assert_str_equal(identifier(event, IDENTITY_PHONE), STR("+33612345678"));
    assert_str_equal(identifier(event, IDENTITY_ORDER), STR("7410991464714"));
    assert_str_equal(fact(event, FACT_TRAIT, "postal_code"), STR("\"75008\""));
    assert_str_equal(fact(event, FACT_TRAIT, "region"), STR("\"FR-75\""));
    assert_str_equal(
        event->properties_json,
        STR("{\"order_id\":\"7410991464714\",\"number\":\"#1001\",\"status\":\"paid\","
            "\"fulfilment_status\":\"fulfilled\",\"total\":53.91,\"subtotal\":53.91,"
            "\"discount\":5.99,\"shipping\":0.00,\"tax\":8.99,\"currency\":\"EUR\","
            "\"coupon\":\"WELCOME10\",\"channel\":\"web\",\"platform\":\"web\",\"products\":[{"
            "\"sku\":\"TR-42\","
            "\"name\":\"Runner size 42\",\"brand\":\"Aurora\",\"quantity\":3,\"price\":17.97},"
            "{\"name\":\"Cap\",\"brand\":\"Aurora\",\"quantity\":1,\"price\":9.90}]}"));
    event = only_event(&fixture, 1);
    assert_false(event->order->counts);
    struct import_record record;
    assert_int_equal(next(&fixture, &record), IMPORT_END);
    arena_destroy(fixture.arena);
}

static void a_cancelled_order_says_so_under_the_webhooks_key(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "shopify", "shopify-orders", IMPORT_ORDERS);
    assert_int_equal(open_text(&fixture,
                               "Name,Id,Total,Created at,Financial Status,Cancelled at\n"
                               "#7,77,5.00,2025-10-07 10:00:00 +0200,voided,2025-10-09 10:00:00 "
                               "+0200\n"),
                     STATUS_OK);
    const struct event *events = only_event(&fixture, 2);
    assert_int_equal(events[0].order->rank, ORDER_CANCELLED);
    assert_int_equal(events[1].type, EVENT_ORDER_CANCELLED);
    assert_int_equal(events[1].order->kind, ORDER_CANCELLATION);
    assert_true(events[1].occurred_at_ms == at("2025-10-09T08:00:00Z"));
    struct id told = event_id(fixture.source.id, STR("order/77/cancelled"), STR("cancelled"));
    assert_true(id_equal(events[1].id, told));
    arena_destroy(fixture.arena);
}

static void a_customer_without_dates_is_as_of_the_file(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "shopify", "shopify-customers", IMPORT_CUSTOMERS);
    assert_int_equal(
        open_text(&fixture, "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,"
                            "Default Address Zip,Phone,Accepts SMS Marketing\n"
                            "'7210448301122,Jane,Doe,jane@example.com,yes,'75011,'+33612345678,no\n"
                            ",No,Id,no@example.com,no,,,no\n"),
        STATUS_OK);
    struct import_record record;
    assert_int_equal(next(&fixture, &record), IMPORT_RECORD);
    assert_int_equal(record.event_count, 2);
    const struct event *event = &record.events[0];
    assert_int_equal(event->type, EVENT_CUSTOMER_UPDATED);
    assert_true(event->occurred_at_ms == EXPORTED_MS);
    assert_false(event->act);
    assert_str_equal(identifier(event, IDENTITY_CUSTOMER_ID), STR("7210448301122"));
    assert_str_equal(identifier(event, IDENTITY_PHONE), STR("+33612345678"));
    assert_str_equal(fact(event, FACT_TRAIT, "first_name"), STR("\"Jane\""));
    /* Since when, nobody says: whatever has a date is newer. */
    const struct event *consent = &record.events[1];
    assert_str_equal(fact(consent, FACT_CONSENT, "email"), STR("\"subscribed\""));
    assert_true(consent->facts_at_ms == INSTANT_FIRST_MS);
    assert_true(consent->occurred_at_ms == EXPORTED_MS);
    assert_str_equal(identifier(consent, IDENTITY_CUSTOMER_ID), STR("7210448301122"));
    assert_int_equal(next(&fixture, &record), IMPORT_REJECTED);
    assert_str_equal(record.column, STR("Customer ID"));
    arena_destroy(fixture.arena);
}

/* --- WooCommerce ------------------------------------------------------------ */

static void a_woocommerce_order_reads_its_packed_lines(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "woocommerce", "woocommerce-orders", IMPORT_ORDERS);
    assert_int_equal(
        open_text(&fixture,
                  "order_id,order_number,order_date,paid_date,status,order_total,order_currency,"
                  "customer_id,billing_email,billing_first_name,billing_country,billing_state,"
                  "line_item_1,line_item_2\n"
                  "4415,4415,9/6/2016 6:29:00,2016-09-06 06:30:00,wc-completed,58.14,EUR,0,"
                  "jane@example.com,Jane,FR,75,name:Trail runner|product_id:12|sku:TR|quantity:2|"
                  "total:49.90,name:Cap|quantity:1\n"),
        STATUS_OK);
    const struct event *event = only_event(&fixture, 1);
    assert_str_equal(event->order->order_ref, STR("4415"));
    assert_str_equal(event->order->status, STR("completed"));
    assert_int_equal(event->order->rank, ORDER_FULFILLED);
    assert_true(event->order->counts);
    /* Local to Paris, in summer. */
    assert_true(event->order->placed_at_ms == at("2016-09-06T04:29:00Z"));
    assert_true(event->order->version_ms == at("2016-09-06T04:30:00Z"));
    assert_int_equal(identifier(event, IDENTITY_CUSTOMER_ID).size, 0);
    assert_str_equal(
        event->properties_json,
        STR("{\"order_id\":\"4415\",\"number\":\"4415\",\"status\":\"completed\",\"total\":58.14,"
            "\"currency\":\"EUR\",\"products\":[{\"name\":\"Trail runner\",\"product_id\":\"12\","
            "\"sku\":\"TR\",\"quantity\":2,\"total\":49.90},{\"name\":\"Cap\",\"quantity\":1}]}"));
    arena_destroy(fixture.arena);
}

/* --- our own ---------------------------------------------------------------- */

static void a_csv_names_paths_of_the_event(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "api", "csv", IMPORT_ORDERS);
    fixture.options.map = STR("Amount=total,E-mail=email");
    assert_int_equal(
        open_text(&fixture,
                  "\xEF\xBB\xBF"
                  "order_id;placed_at;Amount;E-mail;products.sku;products.quantity;"
                  "properties.gift;traits.zip;nothing\n"
                  "1001;2025-06-01 12:00:00;132.50;jane@example.com;TR-42;2;true;00123;x\n"
                  "1001;2025-06-01 12:00:00;;;CAP;1;;;\n"
                  "1002;2025-06-02T12:00:00+02:00;abc;a@b.co;;;;;\n"),
        STATUS_OK);
    assert_str_equal(import_unused_columns(fixture.reader), STR("nothing"));
    const struct event *event = only_event(&fixture, 1);
    assert_int_equal(event->type, EVENT_ORDER_COMPLETED);
    assert_int_equal(event->trust, TRUST_KEYED);
    assert_true(event->occurred_at_ms == at("2025-06-01T10:00:00Z"));
    assert_int_equal(event->order->total_minor, 13250);
    assert_str_equal(identifier(event, IDENTITY_EMAIL), STR("jane@example.com"));
    assert_str_equal(fact(event, FACT_TRAIT, "zip"), STR("\"00123\""));
    assert_str_equal(event->properties_json,
                     STR("{\"order_id\":\"1001\",\"total\":132.50,\"gift\":true,"
                         "\"placed_at\":\"2025-06-01T10:00:00.000Z\",\"products\":[{\"sku\":"
                         "\"TR-42\",\"quantity\":2},{\"sku\":\"CAP\",\"quantity\":1}]}"));
    struct import_record record;
    assert_int_equal(fixture.line, 4);
    assert_int_equal(next(&fixture, &record), IMPORT_REJECTED);
    assert_str_equal(record.column, STR("Amount"));
    assert_str_equal(record.reason, STR("not an amount: a number or decimal text in major units "
                                        "is needed"));
    arena_destroy(fixture.arena);
}

static void a_customer_with_dates_came_when_they_say(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "api", "csv", IMPORT_CUSTOMERS);
    assert_int_equal(open_text(&fixture,
                               "external_id,email,created_at,first_name,consent.email\n"
                               "u1,jane@example.com,2019-04-02T17:45:00Z,Jane,subscribed\n"),
                     STATUS_OK);
    const struct event *events = only_event(&fixture, 2);
    assert_int_equal(events[0].type, EVENT_CUSTOMER_CREATED);
    assert_true(events[0].occurred_at_ms == at("2019-04-02T17:45:00Z"));
    assert_int_equal(events[0].fact_count, 0);
    assert_int_equal(events[1].type, EVENT_CUSTOMER_UPDATED);
    assert_true(events[1].occurred_at_ms == EXPORTED_MS);
    assert_str_equal(fact(&events[1], FACT_CONSENT, "email"), STR("\"subscribed\""));
    assert_false(id_equal(events[0].id, events[1].id));
    arena_destroy(fixture.arena);
}

static void lines_may_leave_out_what_their_kind_says(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        enum import_kind kind;
        const char *line;
        const char *type;   /* of the event; NULL: turned down */
        const char *column; /* where */
    } rows[] = {
        { "an event with all", IMPORT_EVENTS,
          "{\"id\":\"e1\",\"type\":\"page.viewed\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
          "\"identities\":{\"email\":\"a@b.co\"}}",
          "page.viewed", NULL },
        { "an event needs its type", IMPORT_EVENTS, "{\"occurred_at\":\"2025-01-01T00:00:00Z\"}",
          NULL, "type" },
        { "history needs its time", IMPORT_EVENTS,
          "{\"type\":\"page.viewed\",\"identities\":{\"email\":\"a@b.co\"}}", NULL, "occurred_at" },
        { "null is no time", IMPORT_EVENTS,
          "{\"type\":\"page.viewed\",\"occurred_at\":null,\"identities\":{\"email\":\"a@b.co\"}}",
          NULL, "occurred_at" },
        { "an order is one by its kind, at its time", IMPORT_ORDERS,
          "{\"identities\":{\"email\":\"a@b.co\"},\"properties\":{\"order_id\":\"1\",\"total\":5,"
          "\"placed_at\":\"2025-01-01T00:00:00Z\"}}",
          "order.completed", NULL },
        { "no page view among orders", IMPORT_ORDERS,
          "{\"type\":\"page.viewed\",\"occurred_at\":\"2025-01-01T00:00:00Z\"}", NULL, "type" },
        { "a customer is one, as of the file", IMPORT_CUSTOMERS,
          "{\"identities\":{\"email\":\"a@b.co\"},\"id\":null}", "customer.updated", NULL },
        { "an empty object is nobody", IMPORT_CUSTOMERS, "{}", NULL, "identities" },
        { "a mail's fate", IMPORT_EMAIL,
          "{\"type\":\"email.opened\",\"occurred_at\":\"2025-01-01T00:00:00Z\",\"identities\":"
          "{\"email\":\"a@b.co\"}}",
          "email.opened", NULL },
        { "no order among mails", IMPORT_EMAIL,
          "{\"type\":\"order.completed\",\"occurred_at\":\"2025-01-01T00:00:00Z\"}", NULL, "type" },
        { "a bad email names its place", IMPORT_CUSTOMERS,
          "{\"identities\":{\"email\":\"nobody\"}}", NULL, "identities.email" },
        { "the world is no customer", IMPORT_EVENTS,
          "{\"type\":\"product.updated\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
          "\"properties\":{\"product_id\":\"1\"}}",
          NULL, "type" },
        { "a list is no event", IMPORT_EVENTS, "[1]", NULL, "" },
        { "not JSON", IMPORT_EVENTS, "{\"type\":", NULL, "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct fixture fixture;
        struct import_record record;
        begin(&fixture, "api", "ndjson", rows[i].kind);
        assert_int_equal(open_text(&fixture, rows[i].line), STATUS_OK);
        enum import_verdict verdict = next(&fixture, &record);
        assert_row(verdict == (rows[i].type != NULL ? IMPORT_RECORD : IMPORT_REJECTED),
                   rows[i].why);
        if (rows[i].type != NULL) {
            assert_row(record.event_count == 1, rows[i].why);
            assert_row(str_equal_z(record.events[0].name, rows[i].type), rows[i].why);
        } else {
            assert_row(str_equal_z(record.column, rows[i].column), rows[i].why);
            assert_row(record.reason.size > 0, rows[i].why);
        }
        arena_destroy(fixture.arena);
    }
}

/* --- the same statement is the same event ------------------------------------- */

static struct id id_of(const char *format, enum import_kind kind, const char *text,
                       int64_t exported_at_ms)
{
    struct fixture fixture;
    begin(&fixture, "api", format, kind);
    fixture.options.exported_at_ms = exported_at_ms;
    assert_int_equal(open_text(&fixture, text), STATUS_OK);
    struct id id = only_event(&fixture, 1)[0].id;
    arena_destroy(fixture.arena);
    return id;
}

static void what_a_record_says_is_its_id(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *format;
        enum import_kind kind;
        const char *one;
        const char *other;
        bool is_same;
    } rows[] = {
        { "members in another order", "ndjson", IMPORT_CUSTOMERS,
          "{\"traits\":{\"a\":1,\"b\":2},\"identities\":{\"email\":\"a@b.co\"}}",
          "{\"identities\":{\"email\":\"a@b.co\"}, \"traits\":{\"b\":2, \"a\":1}}", true },
        { "another trait", "ndjson", IMPORT_CUSTOMERS,
          "{\"traits\":{\"a\":1},\"identities\":{\"email\":\"a@b.co\"}}",
          "{\"traits\":{\"a\":2},\"identities\":{\"email\":\"a@b.co\"}}", false },
        { "its own id", "ndjson", IMPORT_CUSTOMERS,
          "{\"id\":\"c1\",\"traits\":{\"a\":1},\"identities\":{\"email\":\"a@b.co\"}}",
          "{\"id\":\"c1\",\"traits\":{\"a\":2},\"identities\":{\"email\":\"a@b.co\"}}", true },
        { "the same row", "csv", IMPORT_CUSTOMERS, "email,traits.a\na@b.co,1\n",
          "email,traits.a\na@b.co,1\n", true },
        { "another row", "csv", IMPORT_CUSTOMERS, "email,traits.a\na@b.co,1\n",
          "email,traits.a\na@b.co,2\n", false },
        { "one more column that nothing is made of", "shopify-customers", IMPORT_CUSTOMERS,
          "Customer ID,Email\n7,a@b.co\n", "Customer ID,Note,Email\n7,x,a@b.co\n", true },
        { "an order that was paid meanwhile", "shopify-orders", IMPORT_ORDERS,
          "Name,Id,Total,Created at,Financial Status\n#7,77,5.00,2025-10-07 10:00:00 "
          "+0200,pending\n",
          "Name,Id,Total,Created at,Financial Status\n#7,77,5.00,2025-10-07 10:00:00 +0200,paid\n",
          false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct id one = id_of(rows[i].format, rows[i].kind, rows[i].one, EXPORTED_MS);
        /* The day of the export is no statement about the customer. */
        struct id other =
            id_of(rows[i].format, rows[i].kind, rows[i].other, EXPORTED_MS + 86400000);
        assert_row(id_equal(one, other) == rows[i].is_same, rows[i].why);
    }
}

/* --- faults ----------------------------------------------------------------- */

static void rejects_name_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *rows;
        int64_t line;
        const char *column;
    } rows[] = {
        { "no amount", "#1,1,abc,2025-10-07 10:00:00 +0200,paid,1,x\n", 2, "Total" },
        { "no total", "#1,1,,2025-10-07 10:00:00 +0200,paid,1,x\n", 2, "Total" },
        { "no id", "#1,,5.00,2025-10-07 10:00:00 +0200,paid,1,x\n", 2, "Id" },
        { "no time", "#1,1,5.00,yesterday,paid,1,x\n", 2, "Created at" },
        { "time left out", "#1,1,5.00,,paid,1,x\n", 2, "Created at" },
        { "a quantity of the second row",
          "#1,1,5.00,2025-10-07 10:00:00 +0200,paid,1,x\n#1,,,,,two,y\n", 3, "Lineitem quantity" },
        { "fewer fields", "#1,1,5.00\n", 2, "" },
        { "a stray quote", "#1,1,5\"00,x,paid,1,x\n", 2, "Total" },
        { "too large an amount", "#1,1,99999999999999999.00,2025-10-07 10:00:00 +0200,paid,1,x\n",
          2, "Total" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct fixture fixture;
        struct import_record record;
        char text[512];
        begin(&fixture, "shopify", "shopify-orders", IMPORT_ORDERS);
        snprintf(text, sizeof(text),
                 "Name,Id,Total,Created at,Financial Status,Lineitem quantity,Lineitem name\n%s",
                 rows[i].rows);
        assert_int_equal(open_text(&fixture, text), STATUS_OK);
        int64_t first_line = fixture.line;
        enum import_verdict verdict = next(&fixture, &record);
        assert_row(verdict == IMPORT_REJECTED, rows[i].why);
        assert_row(first_line + (int64_t)record.line == rows[i].line, rows[i].why);
        assert_row(str_equal_z(record.column, rows[i].column), rows[i].why);
        assert_row(record.reason.size > 0, rows[i].why);
        verdict = next(&fixture, &record);
        assert_row(verdict == IMPORT_END, rows[i].why);
        arena_destroy(fixture.arena);
    }
}

static void a_file_that_is_another_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *format;
        enum import_kind kind;
        const char *map;
        const char *text;
        const char *says;
    } rows[] = {
        { "a needed column is missing", "shopify-orders", IMPORT_ORDERS, "",
          "Name,Total,Created at,Financial Status\n", "order_id" },
        { "it may be mapped", "shopify-orders", IMPORT_ORDERS, "Order=order_id",
          "Name,Total,Created at,Financial Status,Order\n", NULL },
        { "a map to nothing known", "shopify-orders", IMPORT_ORDERS, "Name=ordre_id",
          "Name,Id,Total,Created at,Financial Status\n", "order_id" },
        { "a map of a column that is not there", "csv", IMPORT_ORDERS, "Totl=total",
          "order_id,Total\n", "Total" },
        { "a map without a field", "csv", IMPORT_ORDERS, "Total", "order_id,Total\n",
          "COLUMN=FIELD" },
        { "two columns that mean the same", "csv", IMPORT_ORDERS, "Amount=total",
          "order_id,Total,Amount\n", "two columns" },
        { "nothing known at all", "csv", IMPORT_ORDERS, "", "a,b,c\n", "map them" },
        { "an empty file", "csv", IMPORT_ORDERS, "", "", "header" },
        { "customers are no orders", "shopify-customers", IMPORT_ORDERS, "", "Customer ID,Email\n",
          "customers" },
        { "no map for NDJSON", "ndjson", IMPORT_ORDERS, "a=b", "{}\n", "NDJSON" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct fixture fixture;
        begin(&fixture, "shopify", rows[i].format, rows[i].kind);
        fixture.options.map = str_from_z(rows[i].map);
        enum status status = open_text(&fixture, rows[i].text);
        assert_row(status == (rows[i].says == NULL ? STATUS_OK : STATUS_INVALID), rows[i].why);
        if (rows[i].says != NULL) {
            assert_row(strstr(fixture.problem.detail, rows[i].says) != NULL, rows[i].why);
        }
        arena_destroy(fixture.arena);
    }
}

static void a_kind_has_a_name_and_the_nearest_is_told(void **state)
{
    (void)state;
    struct problem problem;
    assert_int_equal(import_kind_find(STR("orders"), &problem), IMPORT_ORDERS);
    assert_int_equal(import_kind_find(STR("products"), &problem), IMPORT_PRODUCTS);
    assert_int_equal(import_kind_find(STR("oders"), &problem), 0);
    assert_non_null(strstr(problem.detail, "\"orders\""));
}

static void sees_what_a_file_is(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *format;
        enum import_kind kind;
    } rows[] = {
        { SHOPIFY_HEADER, "shopify-orders", IMPORT_ORDERS },
        { "Customer ID,Email,Accepts Email Marketing\n", "shopify-customers", IMPORT_CUSTOMERS },
        { "order_id,date,status,order_total,billing_email\n", "woocommerce-orders", IMPORT_ORDERS },
        { "type,occurred_at,email\n", "csv", IMPORT_EVENTS },
        { "order_id,total\n", "csv", IMPORT_ORDERS },
        { "a,b\n", "csv", 0 },
        { "  {\"type\":\"x\"}\n", "ndjson", 0 },
        { "PK\x03\x04", NULL, 0 },
        { "", NULL, 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        enum import_kind kind = 0;
        const struct import_format *format = import_detect(str_from_z(rows[i].head), &kind);
        assert_row((format == NULL) == (rows[i].format == NULL), rows[i].head);
        if (format != NULL) {
            assert_row(strcmp(format->name, rows[i].format) == 0, rows[i].head);
            assert_row(kind == rows[i].kind, rows[i].head);
        }
    }
}

/* An order's end is seen in the row after it: never before. */
static void cut_anywhere_gives_the_same_records(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "shopify", "shopify-orders", IMPORT_ORDERS);
    static const char text[] = SHOPIFY_HEADER SHOPIFY_FIRST SHOPIFY_MORE SHOPIFY_MORE
        "#1002,a@b.co,paid,,,,EUR,,,,5.00,,,2025-10-07 10:00:00 +0200,1,Cap,5.00,,,,,,,,,,12,,\n";
    assert_int_equal(open_text(&fixture, text), STATUS_OK);
    size_t first = sizeof(SHOPIFY_FIRST SHOPIFY_MORE SHOPIFY_MORE) - 1;
    for (size_t cut = 1; cut < fixture.rest.size; cut++) {
        struct import_record record = { .used = 0 };
        enum import_verdict verdict =
            import_next(fixture.reader, fixture.arena, str_take(fixture.rest, cut), false, &record);
        if (verdict == IMPORT_MORE) {
            continue;
        }
        assert_true(cut > first);
        assert_int_equal(verdict, IMPORT_RECORD);
        assert_int_equal(record.used, first);
    }
    arena_destroy(fixture.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shopify_order_is_its_rows),
        cmocka_unit_test(a_cancelled_order_says_so_under_the_webhooks_key),
        cmocka_unit_test(a_customer_without_dates_is_as_of_the_file),
        cmocka_unit_test(a_woocommerce_order_reads_its_packed_lines),
        cmocka_unit_test(a_csv_names_paths_of_the_event),
        cmocka_unit_test(a_customer_with_dates_came_when_they_say),
        cmocka_unit_test(lines_may_leave_out_what_their_kind_says),
        cmocka_unit_test(what_a_record_says_is_its_id),
        cmocka_unit_test(rejects_name_line_and_column),
        cmocka_unit_test(a_file_that_is_another_is_refused),
        cmocka_unit_test(a_kind_has_a_name_and_the_nearest_is_told),
        cmocka_unit_test(sees_what_a_file_is),
        cmocka_unit_test(cut_anywhere_gives_the_same_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
