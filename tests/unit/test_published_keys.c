#include <string.h>

#include "payload.h"
#include "verify/verify.h"

/*
 * Senders whose keys stand at an address of theirs: SNS, Adobe I/O, Saleor. The
 * vectors are their own, from the SDKs' tests; the ring holds what their servers
 * would answer.
 */

enum {
    HEADERS_MAX = 16
};

struct fixture {
    struct arena *arena;
    json_t *vectors;
    struct key_ring *ring;
    struct source source;
    const struct platform *platform;
    struct inbound inbound;
    struct inbound_header headers[HEADERS_MAX];
};

static const json_t *vector(const struct fixture *fixture, const char *name)
{
    const json_t *list = json_object_get(fixture->vectors, "vectors");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (str_equal_z(border_text(one, "name"), name)) {
            return one;
        }
    }
    return NULL;
}

static struct str text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return (struct str){ json_string_value(value), json_string_length(value) };
}

/* `file` is read first: where it is not, the test is skipped before it holds more
 * than the arena. */
static void begin(struct fixture *fixture, const char *platform, const char *settings_json,
                  const char *file)
{
    struct problem problem;
    struct arena *arena = arena_create(64u * 1024 * 1024);
    struct str text = file != NULL ? payload_read(arena, file) : STR("{}");
    *fixture = (struct fixture){
        .arena = arena,
        .ring = key_ring_create(),
        .platform = platform_find(str_from_z(platform)),
        .source = { .id = { { 1 } }, .platform = str_from_z(platform), .currency = STR("EUR") },
    };
    assert_non_null(fixture->ring);
    assert_int_equal(platform_parse_settings(fixture->arena, fixture->platform,
                                             str_from_z(settings_json), &fixture->source, &problem),
                     STATUS_OK);
    fixture->vectors = json_loadb(text.data, text.size, 0, NULL);
    fixture->inbound.body = text;
    fixture->inbound.received_at_ms = PAYLOAD_NOW_MS;
}

static void end(struct fixture *fixture)
{
    json_decref(fixture->vectors);
    key_ring_destroy(fixture->ring);
    arena_destroy(fixture->arena);
}

static void take_request(struct fixture *fixture, const json_t *vector)
{
    const char *name = NULL;
    json_t *value = NULL;
    size_t count = 0;
    json_object_foreach(json_object_get(vector, "headers"), name, value)
    {
        assert_true(count < HEADERS_MAX);
        fixture->headers[count++] =
            (struct inbound_header){ str_from_z(name), str_from_z(json_string_value(value)) };
    }
    fixture->inbound.headers = fixture->headers;
    fixture->inbound.header_count = count;
    fixture->inbound.body = text_of(vector, "body");
}

static struct verify_result verify(struct fixture *fixture)
{
    struct verify_result result = verify_inbound(&fixture->platform->signature, &fixture->source,
                                                 &fixture->inbound, fixture->arena, fixture->ring);
    if (result.verdict == SIGNATURE_VALID && fixture->platform->is_own_shop != NULL &&
        !fixture->platform->is_own_shop(&fixture->source, &fixture->inbound)) {
        result.verdict = SIGNATURE_SHOP_MISMATCH;
    }
    return result;
}

static void put(struct fixture *fixture, struct str url, struct str document)
{
    assert_int_equal(key_ring_put(fixture->ring, url, document, fixture->inbound.received_at_ms),
                     STATUS_OK);
}

static void saleor_signs_with_the_shops_own_keys(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "saleor", "{\"site_url\":\"https://shop.saleor.cloud/graphql/\"}",
          "vectors.json");
    const json_t *good = vector(&fixture, "saleor-jws-detached");
    take_request(&fixture, good);
    struct str url = STR("https://shop.saleor.cloud/.well-known/jwks.json");
    struct verify_result result = verify(&fixture);
    assert_int_equal(result.verdict, SIGNATURE_KEY_WANTED);
    assert_true(str_equal(result.key_url, url));

    char *set = json_dumps(json_object_get(good, "jwks"), JSON_COMPACT);
    put(&fixture, url, str_from_z(set));
    free(set);
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_VALID);
    assert_int_equal(verify(&fixture).secret_index, VERIFY_NO_SECRET);

    take_request(&fixture, vector(&fixture, "saleor-jws-forged"));
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_MISMATCH);
    /* Behind the retry time the key may have been rotated: asked for once more. */
    fixture.inbound.received_at_ms += KEY_RING_RETRY_MS;
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_KEY_WANTED);

    /* Whose keys they are is the source's word, never a header's. */
    fixture.source.shop_domain = (struct str){ NULL, 0 };
    take_request(&fixture, good);
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_NO_SECRET);
    end(&fixture);
}

static void adobe_signs_twice_and_one_will_do(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "adobe_io_events", "{\"client_id\":\"client_id1\"}", "vectors.json");
    const json_t *good = vector(&fixture, "adobe-io-events");
    take_request(&fixture, good);
    struct str first = STR("https://static.adobeioevents.com/prod/keys/pub-key-1.pem");
    struct str second = STR("https://static.adobeioevents.com/prod/keys/pub-key-2.pem");
    assert_true(str_equal(verify(&fixture).key_url, first));
    put(&fixture, first, STR("not a key"));
    assert_true(str_equal(verify(&fixture).key_url, second));
    put(&fixture, second, text_of(good, "public_key_pem"));
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_VALID);

    fixture.inbound.body = STR("{}");
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_MISMATCH);
    end(&fixture);

    /* Adobe's keys sign for everybody. */
    begin(&fixture, "adobe_io_events", "{\"client_id\":\"another\"}", "vectors.json");
    take_request(&fixture, vector(&fixture, "adobe-io-events"));
    put(&fixture, first, text_of(vector(&fixture, "adobe-io-events"), "public_key_pem"));
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_SHOP_MISMATCH);
    end(&fixture);
    begin(&fixture, "adobe_io_events", "{}", "vectors.json");
    take_request(&fixture, vector(&fixture, "adobe-io-events"));
    put(&fixture, first, text_of(vector(&fixture, "adobe-io-events"), "public_key_pem"));
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_SHOP_MISMATCH);
    end(&fixture);
}

static void a_key_path_names_a_file_and_nothing_else(void **state)
{
    (void)state;
    static const char *const PATHS[] = { "//evil.example/k.pem",
                                         "/../k.pem",
                                         "/k.pem@evil.example",
                                         "/k.pem?x=1",
                                         "k.pem",
                                         "/",
                                         "/k.pem#",
                                         "/k%2e.pem" };
    struct fixture fixture;
    begin(&fixture, "adobe_io_events", "{\"client_id\":\"client_id1\"}", NULL);
    for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++) {
        struct inbound_header headers[] = {
            { STR("x-adobe-digital-signature-1"), STR("aGVsbG8=") },
            { STR("x-adobe-public-key1-path"), str_from_z(PATHS[i]) },
        };
        fixture.inbound.headers = headers;
        fixture.inbound.header_count = ARRAY_COUNT(headers);
        struct verify_result result = verify(&fixture);
        bool is_there = result.verdict == SIGNATURE_KEY_WANTED;
        /* A doubled slash stays a path on the pinned host. */
        assert_row(!is_there ||
                       str_starts_with(result.key_url, STR("https://static.adobeioevents.com/")),
                   PATHS[i]);
        assert_row(is_there == (i == 0), PATHS[i]);
    }
    end(&fixture);
}

static void sns_signs_for_topics_that_are_named(void **state)
{
    (void)state;
    static const char SETTINGS[] =
        "{\"topic_arns\":[\"arn:aws:sns:us-west-2:131990247566:dongie-standard-topic\"]}";
    static const char *const FILES[] = { "sns/subscription_confirmation.json",
                                         "sns/notification_signature_v2.json" };
    struct str url = STR("https://sns.us-west-2.amazonaws.com/"
                         "SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem");
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        struct fixture fixture;
        begin(&fixture, "amazon_sns", SETTINGS, FILES[i]);
        fixture.inbound.received_at_ms = INT64_C(1772830000000); /* of the certificate's time */
        assert_true(str_equal(verify(&fixture).key_url, url));
        put(&fixture, url,
            payload_read(fixture.arena,
                         "sns/SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem"));
        assert_int_equal(verify(&fixture).verdict, SIGNATURE_VALID);

        char *changed = (char *)arena_alloc(fixture.arena, fixture.inbound.body.size + 1);
        memcpy(changed, fixture.inbound.body.data, fixture.inbound.body.size);
        char *at = strstr(changed, "\"Message\": \"");
        assert_non_null(at);
        at[sizeof("\"Message\": \"") - 1] = 'X';
        fixture.inbound.body.data = changed;
        assert_int_equal(verify(&fixture).verdict, SIGNATURE_MISMATCH);
        end(&fixture);

        begin(&fixture, "amazon_sns", "{}", FILES[i]);
        assert_int_equal(verify(&fixture).verdict, SIGNATURE_SHOP_MISMATCH);
        end(&fixture);
    }
}

static void a_certificate_is_of_its_time(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, "amazon_sns",
          "{\"topic_arns\":[\"arn:aws:sns:us-west-2:131990247566:dongie-standard-topic\"]}",
          "sns/notification_signature_v2.json");
    fixture.inbound.received_at_ms = INT64_C(4102444800000); /* 2100 */
    put(&fixture,
        STR("https://sns.us-west-2.amazonaws.com/"
            "SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem"),
        payload_read(fixture.arena,
                     "sns/SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem"));
    assert_int_equal(verify(&fixture).verdict, SIGNATURE_MISMATCH);
    end(&fixture);
}

/* The address of a key is a stranger's word until its host is known. */
static void keys_are_fetched_from_the_sender_only(void **state)
{
    (void)state;
    static const char *const URLS[] = {
        "https://evil.example/k.pem",
        "http://sns.us-west-2.amazonaws.com/k.pem",
        "https://sns.us-west-2.amazonaws.com.evil.example/k.pem",
        "https://sns.us-west-2.amazonaws.com@evil.example/k.pem",
        "https://sns.us-west-2.amazonaws.com:8443/k.pem",
        "https://sns.x.amazonaws.com/k.pem",
        "https://sns.us_west.amazonaws.com/k.pem",
        "https://sns.us-west-2.amazonaws.com/k.txt",
        "https://evil.example/?sns.us-west-2.amazonaws.com/k.pem",
        "https://sns.us-west-2.amazonaws.com\\\\@evil.example/k.pem",
        "https://sns.us-west-2.amazonaws.com/k.pem#.pem",
    };
    struct fixture fixture;
    begin(&fixture, "amazon_sns", "{\"topic_arns\":[\"arn:aws:sns:eu-west-1:1:t\"]}", NULL);
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        fixture.inbound.body = str_printf(
            fixture.arena,
            "{\"Type\":\"Notification\",\"MessageId\":\"m\",\"TopicArn\":"
            "\"arn:aws:sns:eu-west-1:1:t\",\"Message\":\"{}\",\"Timestamp\":"
            "\"2026-01-01T00:00:00Z\",\"SignatureVersion\":\"2\",\"Signature\":\"aGVsbG8=\","
            "\"SigningCertURL\":\"%s\"}",
            URLS[i]);
        assert_row(verify(&fixture).verdict == SIGNATURE_HEADER_MALFORMED, URLS[i]);
    }
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_fetched_from_the_sender_only),
        cmocka_unit_test(a_key_path_names_a_file_and_nothing_else),
        cmocka_unit_test(saleor_signs_with_the_shops_own_keys),
        cmocka_unit_test(adobe_signs_twice_and_one_will_do),
        cmocka_unit_test(sns_signs_for_topics_that_are_named),
        cmocka_unit_test(a_certificate_is_of_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
