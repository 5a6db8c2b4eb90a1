#include "payload.h"
#include "sources/sdk.h"
#include "sources/write_key.h"

static struct canonical_batch batch;

static enum status take_as(struct payload *payload, const char *kind, const char *gpc,
                           struct str body)
{
    const struct inbound_header headers[] = {
        { STR(SDK_HEADER_KIND), str_from_z(kind) },
        { STR(SDK_HEADER_ADDRESS), STR("203.0.113.0") },
        { STR("user-agent"), STR("Mozilla/5.0") },
        { STR("sec-gpc"), str_from_z(gpc) },
    };
    struct inbound inbound = { .headers = headers,
                               .header_count = ARRAY_COUNT(headers),
                               .body = body,
                               .received_at_ms = PAYLOAD_NOW_MS };
    batch = (struct canonical_batch){ .event_count = 0 };
    return sdk_read(payload->arena, &payload->source, &inbound, &batch, &payload->problem);
}

static const struct event *take(struct payload *payload, const char *kind, const char *body)
{
    assert_int_equal(take_as(payload, kind, "", str_from_z(body)), STATUS_OK);
    assert_int_equal(batch.event_count, 1);
    return &batch.events[0];
}

static void begin(struct payload *payload)
{
    payload_begin(payload, "sdk");
    payload->source.respects_gpc = true;
    payload->source.counts_orders = true;
}

/* --- the corpus ------------------------------------------------------------ */

static void names_events_of_the_corpus(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const char *name;
    } rows[] = {
        { "cart_viewed", "cart.updated" },
        { "checkout_started", "checkout.started" },
        { "checkout_step_completed", "checkout.updated" },
        { "coupon_entered", "custom.coupon_entered" },
        { "email_email_delivered", "email.delivered" },
        { "email_unsubscribed", "email.unsubscribed" },
        { "group_group_2", "custom.group" },
        { "identify_identify_2", "customer.updated" },
        { "order_completed", "order.completed" },
        { "order_updated", "order.updated" },
        { "payment_info_entered", "checkout.updated" },
        { "product_added_to_wishlist", "wishlist.product_added" },
        { "product_list_filtered", "product_list.viewed" },
        { "product_removed", "cart.product_removed" },
        { "product_reviewed", "product.reviewed" },
        { "product_shared", "custom.product_shared" },
        { "product_viewed", "product.viewed" },
        { "products_searched", "product.searched" },
        { "track_user_registered", "customer.created" },
        { "wishlist_product_added_to_cart", "cart.product_added" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        char path[128];
        begin(&payload);
        snprintf(path, sizeof(path), "segment/%s.json", rows[i].file);
        struct str body = payload_read(payload.arena, path);
        /* Most of the corpus says what happened, not to whom. */
        json_t *root = border_parse(body, &payload.problem);
        if (json_object_get(root, "userId") == NULL && json_object_get(root, "user_id") == NULL) {
            json_object_set_new(root, "anonymousId", json_string("anon-1"));
        }
        char *text = json_dumps(root, 0);
        assert_int_equal(take_as(&payload, "track", "", str_from_z(text)), STATUS_OK);
        assert_int_equal(batch.event_count, 1);
        assert_str_equal(batch.events[0].name, str_from_z(rows[i].name));
        assert_int_equal(batch.events[0].trust, TRUST_PUBLIC);
        free(text);
        json_decref(root);
        payload_end(&payload);
    }
}

/* --- who, when, where ------------------------------------------------------- */

static void knows_who_is_meant(void **state)
{
    (void)state;
    struct payload payload;
    begin(&payload);
    const struct event *event = take(
        &payload, "i",
        "{\"type\":\"identify\",\"userId\":1001,\"anonymousId\":\"a-1\",\"traits\":{"
        "\"email\":\" Jane@Example.com\",\"phone\":\"+33 6 12 34 56 78\",\"firstName\":\"Jane\","
        "\"lastName\":\"Doe\",\"birthday\":\"1988-05-17\",\"plan\":\"gold\",\"id\":\"9\","
        "\"address\":{\"city\":\"Paris\",\"country\":\"FR\",\"state\":\"75\","
        "\"postalCode\":\"75011\"}}}");
    assert_int_equal(event->type, EVENT_CUSTOMER_UPDATED);
    assert_false(event->act);
    assert_str_equal(payload_identifier(event, IDENTITY_EXTERNAL_ID, 0), STR("1001"));
    assert_str_equal(payload_identifier(event, IDENTITY_ANONYMOUS_ID, 0), STR("a-1"));
    assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("jane@example.com"));
    assert_str_equal(payload_identifier(event, IDENTITY_PHONE, 0), STR("+33612345678"));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "first_name"), STR("\"Jane\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "last_name"), STR("\"Doe\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "birth_date"), STR("\"1988-05-17\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "plan"), STR("\"gold\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "city"), STR("\"Paris\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "region"), STR("\"FR-75\""));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "postal_code"), STR("\"75011\""));

    /* The alias joins the visitor that was to the customer that is. */
    event =
        take(&payload, "alias", "{\"type\":\"alias\",\"previousId\":\"a-0\",\"userId\":\"1001\"}");
    assert_str_equal(payload_identifier(event, IDENTITY_ANONYMOUS_ID, 0), STR("a-0"));

    /* No identity that a page could guess of another visitor. */
    event = take(&payload, "t",
                 "{\"event\":\"Product Added\",\"anonymousId\":\"a-1\",\"properties\":{"
                 "\"cart_id\":\"7\",\"order_id\":\"8\",\"product_id\":\"p\"}}");
    assert_int_equal(event->identifier_count, 1);

    /* Placeholders name nobody, and a message to nobody is refused. */
    assert_int_equal(take_as(&payload, "t", "", STR("{\"event\":\"X\",\"userId\":\"undefined\"}")),
                     STATUS_INVALID);
    assert_string_equal(payload.problem.type, "invalid-message");
    payload_end(&payload);
}

static void corrects_clocks_by_sent_at(void **state)
{
    (void)state;
    struct payload payload;
    begin(&payload);
    /* A clock one year ahead: ten seconds before sending is ten seconds ago. */
    const struct event *event =
        take(&payload, "t",
             "{\"event\":\"X\",\"anonymousId\":\"a\",\"messageId\":\"m\","
             "\"timestamp\":\"2027-11-18T10:00:00.000Z\",\"sentAt\":\"2027-11-18T10:00:10.000Z\"}");
    assert_true(event->occurred_at_ms == PAYLOAD_NOW_MS - 10000);
    /* The batch's sentAt serves those of its messages that have none. */
    take_as(&payload, "batch", "",
            STR("{\"sentAt\":\"2001-01-01T00:01:00Z\",\"batch\":[{\"type\":\"track\",\"event\":"
                "\"X\",\"userId\":\"u\",\"timestamp\":\"2001-01-01T00:00:00Z\"}]}"));
    assert_true(batch.events[0].occurred_at_ms == PAYLOAD_NOW_MS - 60000);
    /* Without it the claim stands, but never later than the arrival. */
    event = take(&payload, "t",
                 "{\"event\":\"X\",\"anonymousId\":\"a\",\"timestamp\":\"2020-01-01T00:00:00Z\"}");
    assert_true(event->occurred_at_ms == payload_ms("2020-01-01T00:00:00Z"));
    event = take(&payload, "t",
                 "{\"event\":\"X\",\"anonymousId\":\"a\",\"timestamp\":\"2096-01-01T00:00:00Z\"}");
    assert_true(event->occurred_at_ms == PAYLOAD_NOW_MS);
    payload_end(&payload);
}

static void message_id_is_the_event(void **state)
{
    (void)state;
    static const char alone[] =
        "{\"type\":\"track\",\"event\":\"X\",\"userId\":\"u\",\"messageId\":\"m-1\"}";
    struct payload payload;
    begin(&payload);
    struct id first = take(&payload, "track", alone)->id;
    struct str both =
        str_printf(payload.arena, "{\"batch\":[{\"type\":\"page\",\"userId\":\"u\"},%s]}", alone);
    assert_int_equal(take_as(&payload, "batch", "", both), STATUS_OK);
    assert_int_equal(batch.event_count, 2);
    assert_true(id_equal(batch.events[1].id, first));

    /* Without one, the bytes are, if they say when; else each is its own. */
    static const char dated[] = "{\"event\":\"X\",\"userId\":\"u\",\"timestamp\":"
                                "\"2026-11-18T10:00:00Z\"}";
    first = take(&payload, "t", dated)->id;
    assert_true(id_equal(take(&payload, "t", dated)->id, first));
    static const char alike[] = "{\"batch\":[{\"type\":\"page\",\"userId\":\"u\"},"
                                "{\"type\":\"page\",\"userId\":\"u\"}]}";
    assert_int_equal(take_as(&payload, "batch", "", str_from_z(alike)), STATUS_OK);
    assert_false(id_equal(batch.events[0].id, batch.events[1].id));

    struct buf text;
    buf_init(&text, payload.arena, 4096);
    buf_add_z(&text, "{\"event\":\"X\",\"userId\":\"u\",\"messageId\":\"");
    for (size_t i = 0; i < 300; i++) {
        buf_add_char(&text, 'x');
    }
    buf_add_z(&text, "\"}");
    assert_int_equal(take_as(&payload, "t", "", buf_str(&text)), STATUS_OK);
    assert_in_range(batch.events[0].dedup_key.size, 1, 128);
    payload_end(&payload);
}

static void keeps_the_context_it_may(void **state)
{
    (void)state;
    static const char body[] =
        "{\"event\":\"X\",\"anonymousId\":\"a\",\"context\":{\"ip\":\"198.51.100.77\",\"locale\":"
        "\"fr-FR\",\"page\":{\"url\":\"https://aurora.example/x\",\"referrer\":\"https://"
        "r.example\"},"
        "\"campaign\":{\"source\":\"letter\",\"medium\":\"email\",\"name\":\"spring\"}}}";
    struct payload payload;
    begin(&payload);
    const struct event *event = take(&payload, "t", body);
    assert_str_equal(payload_member(payload.arena, event->context_json, "platform"),
                     STR("\"web\""));
    assert_str_equal(payload_member(payload.arena, event->context_json, "ip"),
                     STR("\"198.51.100.0\""));
    assert_str_equal(payload_member(payload.arena, event->context_json, "user_agent"),
                     STR("\"Mozilla/5.0\""));
    assert_str_equal(payload_member(payload.arena, event->context_json, "locale"),
                     STR("\"fr-FR\""));
    assert_str_equal(payload_member(payload.arena, event->context_json, "page_url"),
                     STR("\"https://aurora.example/x\""));
    assert_str_equal(payload_member(payload.arena, event->context_json, "campaign"),
                     STR("{\"source\":\"letter\",\"medium\":\"email\",\"name\":\"spring\"}"));
    assert_true(event->act);

    /* Global Privacy Control: a refusal of sale, and no trace of the machine. */
    assert_int_equal(take_as(&payload, "t", "1", str_from_z(body)), STATUS_OK);
    event = &batch.events[0];
    assert_str_equal(payload_fact(event, FACT_CONSENT, "sale"), STR("\"unsubscribed\""));
    assert_int_equal(payload_member(payload.arena, event->context_json, "ip").size, 0);
    assert_int_equal(payload_member(payload.arena, event->context_json, "user_agent").size, 0);
    payload.source.respects_gpc = false;
    assert_int_equal(take_as(&payload, "t", "1", str_from_z(body)), STATUS_OK);
    assert_int_equal(payload_fact(&batch.events[0], FACT_CONSENT, "sale").size, 0);

    /* Phones say so themselves; a server is no place of the customer's. */
    event = take(&payload, "screen",
                 "{\"type\":\"screen\",\"name\":\"Home\",\"anonymousId\":\"a\",\"context\":{"
                 "\"os\":{\"name\":\"iOS\"},\"device\":{\"type\":\"ios\"}}}");
    assert_int_equal(event->type, EVENT_PAGE_VIEWED);
    assert_str_equal(payload_member(payload.arena, event->context_json, "platform"),
                     STR("\"ios\""));
    assert_str_equal(payload_member(payload.arena, event->properties_json, "name"),
                     STR("\"Home\""));
    payload_end(&payload);
}

/* --- facts ------------------------------------------------------------------ */

static void reads_forms_and_preferences(void **state)
{
    (void)state;
    struct payload payload;
    begin(&payload);
    const struct event *event =
        take(&payload, "t",
             "{\"event\":\"Form Submitted\",\"anonymousId\":\"a\",\"properties\":{\"form_id\":"
             "\"welcome\",\"fields\":{\"email\":\"jane@example.com\",\"firstName\":\"Jane\","
             "\"interests\":[\"premium\",\"running\"],\"Shoe size\":42,\"comment\":\"\"}}}");
    assert_int_equal(event->type, EVENT_FORM_SUBMITTED);
    assert_str_equal(payload_identifier(event, IDENTITY_EMAIL, 0), STR("jane@example.com"));
    assert_str_equal(payload_fact(event, FACT_TRAIT, "first_name"), STR("\"Jane\""));
    assert_str_equal(payload_fact(event, FACT_PREFERENCE, "interests"),
                     STR("[\"premium\",\"running\"]"));
    assert_str_equal(payload_fact(event, FACT_PREFERENCE, "shoe_size"), STR("42"));
    assert_int_equal(payload_fact(event, FACT_PREFERENCE, "comment").size, 0);
    assert_int_equal(payload_fact(event, FACT_PREFERENCE, "form_id").size, 0);

    event = take(&payload, "t",
                 "{\"event\":\"Preference Updated\",\"userId\":\"u\",\"properties\":{"
                 "\"frequency\":\"weekly\"}}");
    assert_str_equal(payload_fact(event, FACT_PREFERENCE, "frequency"), STR("\"weekly\""));

    event = take(&payload, "t",
                 "{\"event\":\"Consent Updated\",\"userId\":\"u\",\"properties\":{"
                 "\"email\":\"unsubscribed\",\"tracking\":false,\"pigeon\":true,\"sms\":7}}");
    assert_str_equal(payload_fact(event, FACT_CONSENT, "email"), STR("\"unsubscribed\""));
    assert_str_equal(payload_fact(event, FACT_CONSENT, "tracking"), STR("\"unsubscribed\""));
    assert_int_equal(payload_fact(event, FACT_CONSENT, "pigeon").size, 0);
    assert_int_equal(payload_fact(event, FACT_CONSENT, "sms").size, 0);
    payload_end(&payload);
}

static void counts_orders_that_say_what_they_cost(void **state)
{
    (void)state;
    struct payload payload;
    begin(&payload);
    const struct event *event = take(
        &payload, "track",
        "{\"event\":\"Order Completed\",\"userId\":\"u\",\"properties\":{\"order_id\":\"1001\","
        "\"revenue\":22.5,\"currency\":\"usd\",\"products\":[{\"product_id\":\"p\",\"price\":"
        "\"free\"},\"junk\",{\"product_id\":\"q\",\"price\":3}]}}");
    assert_int_equal(event->type, EVENT_ORDER_COMPLETED);
    assert_non_null(event->order);
    assert_int_equal(event->order->total_minor, 2250);
    assert_str_equal(event->order->currency, STR("USD"));
    assert_true(event->order->counts);
    assert_str_equal(payload_member(payload.arena, event->properties_json, "products"),
                     STR("[{\"product_id\":\"p\",\"price\":null},{\"product_id\":\"q\",\"price\":"
                         "3.0}]"));

    /* What cannot be counted, or shall not, is kept as what the page calls it. */
    static const char *const bodies[] = {
        "{\"event\":\"Order Completed\",\"userId\":\"u\",\"properties\":{\"total\":5}}",
        "{\"event\":\"Order Completed\",\"userId\":\"u\",\"properties\":{\"order_id\":\"1\"}}",
        ("{\"event\":\"Order Completed\",\"userId\":\"u\",\"properties\":{\"order_id\":\"1\","
         "\"total\":-5}}"),
        "{\"event\":\"Order Completed\",\"userId\":\"u\"}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        event = take(&payload, "track", bodies[i]);
        assert_str_equal(event->name, STR("custom.order_completed"));
        assert_null(event->order);
    }
    payload.source.counts_orders = false;
    event =
        take(&payload, "track",
             "{\"event\":\"Order Completed\",\"userId\":\"u\",\"properties\":{\"order_id\":\"1\","
             "\"total\":5}}");
    assert_str_equal(event->name, STR("custom.order_completed"));
    assert_null(event->order);
    payload_end(&payload);
}

static void restates_the_cart(void **state)
{
    (void)state;
    struct payload payload;
    begin(&payload);
    const struct event *event =
        take(&payload, "t",
             "{\"event\":\"Cart Viewed\",\"anonymousId\":\"a\",\"timestamp\":"
             "\"2026-11-18T10:00:00.000Z\",\"properties\":{\"products\":[{\"product_id\":\"p\","
             "\"name\":\"Trail runner\",\"category\":\"Shoes\",\"price\":40,\"quantity\":2},"
             "{\"product_id\":\"q\",\"category\":[\"Shoes\",\"Sale\"],\"price\":\"9.90\"},7]}}");
    assert_int_equal(event->type, EVENT_CART_UPDATED);
    assert_str_equal(
        event->cart_json,
        STR("{\"updated_at\":\"2026-11-18T10:00:00.000Z\",\"value\":89.90,\"currency\":\"EUR\","
            "\"items_count\":3,\"recovery_url\":null,\"items\":[{\"source\":\"main\","
            "\"product_id\":\"p\",\"name\":\"Trail runner\",\"category\":[\"Shoes\"],"
            "\"quantity\":2,\"price\":40.00},{\"source\":\"main\",\"product_id\":\"q\","
            "\"category\":[\"Shoes\"],\"quantity\":1,\"price\":9.90}],\"categories\":[\"Shoes\"]"
            "}"));
    event =
        take(&payload, "t",
             "{\"event\":\"Cart Viewed\",\"anonymousId\":\"a\",\"properties\":{\"products\":[]}}");
    assert_str_equal(event->cart_json, STR("null"));
    event = take(&payload, "t", "{\"event\":\"Cart Viewed\",\"anonymousId\":\"a\"}");
    assert_int_equal(event->cart_json.size, 0);
    payload_end(&payload);
}

static void keeps_the_good_of_a_batch(void **state)
{
    (void)state;
    struct payload payload;
    begin(&payload);
    assert_int_equal(
        take_as(&payload, "batch", "",
                STR("{\"batch\":[7,{\"type\":\"page\",\"anonymousId\":\"a\"},{\"type\":\"track\","
                    "\"userId\":\"u\"},{\"type\":\"dance\",\"userId\":\"u\"},{\"type\":\"track\","
                    "\"event\":\"???\",\"userId\":\"u\"},{\"type\":\"track\",\"event\":\"Y\"}]}")),
        STATUS_OK);
    assert_int_equal(batch.event_count, 1);
    assert_int_equal(batch.error_count, 5);
    static const char *const nothing[] = {
        "{\"batch\":[]}", "{}", "[]", "{\"batch\":[null]}", "nonsense", "{\"type\":\"page\"}"
    };
    for (size_t i = 0; i < ARRAY_COUNT(nothing); i++) {
        assert_int_equal(take_as(&payload, "batch", "", str_from_z(nothing[i])), STATUS_INVALID);
    }
    payload_end(&payload);
}

/* --- keys -------------------------------------------------------------------- */

static void write_keys_are_ids_spelt_otherwise(void **state)
{
    (void)state;
    struct id ids[] = { ID_ZERO,
                        { { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                            255, 255 } },
                        id_create(),
                        { { 0, 1 } } };
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        char text[WRITE_KEY_SIZE + 1];
        struct id back = ID_ZERO;
        write_key_format(ids[i], text);
        assert_int_equal(strlen(text), WRITE_KEY_SIZE);
        assert_true(write_key_parse(str_from_z(text), &back));
        assert_true(id_equal(back, ids[i]));
        for (size_t at = 0; at < WRITE_KEY_SIZE; at++) {
            char kept = text[at];
            text[at] = kept == 'x' ? 'y' : 'x';
            assert_false(write_key_parse(str_from_z(text), &back));
            text[at] = kept;
        }
        for (size_t at = 4; at + 1 < WRITE_KEY_SIZE - 2; at++) {
            char kept = text[at];
            text[at] = text[at + 1];
            text[at + 1] = kept;
            assert_true(text[at] == kept || !write_key_parse(str_from_z(text), &back));
            text[at + 1] = text[at];
            text[at] = kept;
        }
    }
    struct id back = ID_ZERO;
    /* A number beyond 128 bits is no second spelling of one within. */
    assert_false(write_key_parse(STR("sbw_zzzzzzzzzzzzzzzzzzzzzzzz"), &back));
    assert_false(write_key_parse(STR(""), &back));
    assert_false(write_key_parse(STR("sbw_"), &back));
}

static void settings_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *settings;
        bool good;
    } rows[] = {
        { "{}", true },
        { "{\"allowed_origins\":[\"https://Aurora.example\",\"http://localhost:3000\"]}", true },
        { "{\"allowed_origins\":[\"https://aurora.example/\"]}", false },
        { "{\"allowed_origins\":[\"aurora.example\"]}", false },
        { "{\"allowed_origins\":[\"https://a.example:0\"]}", false },
        { "{\"allowed_origins\":[\"*\"]}", false },
        { "{\"allowed_origins\":\"https://a.example\"}", false },
        { "{\"respect_gpc\":false,\"count_orders\":false}", true },
        { "{\"respect_gpc\":\"no\"}", false },
        { "{\"allowed_origin\":[]}", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        payload_begin(&payload, "sdk");
        enum status status =
            platform_parse_settings(payload.arena, payload.platform, str_from_z(rows[i].settings),
                                    &payload.source, &payload.problem);
        assert_int_equal(status, rows[i].good ? STATUS_OK : STATUS_INVALID);
        payload_end(&payload);
    }
    struct payload payload;
    payload_begin(&payload, "sdk");
    assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                             str_from_z(rows[1].settings), &payload.source,
                                             &payload.problem),
                     STATUS_OK);
    assert_int_equal(payload.source.allowed_origin_count, 2);
    assert_str_equal(payload.source.allowed_origins[0], STR("https://aurora.example"));
    assert_true(payload.source.respects_gpc && payload.source.counts_orders);
    payload_end(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_events_of_the_corpus),
        cmocka_unit_test(knows_who_is_meant),
        cmocka_unit_test(corrects_clocks_by_sent_at),
        cmocka_unit_test(message_id_is_the_event),
        cmocka_unit_test(keeps_the_context_it_may),
        cmocka_unit_test(reads_forms_and_preferences),
        cmocka_unit_test(counts_orders_that_say_what_they_cost),
        cmocka_unit_test(restates_the_cart),
        cmocka_unit_test(keeps_the_good_of_a_batch),
        cmocka_unit_test(write_keys_are_ids_spelt_otherwise),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
