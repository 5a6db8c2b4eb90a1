#include <sodium.h>

#include "payload.h"
#include "verify/verify.h"

/* Email service providers: each is believed for its own signature and for
 * nothing else. */

enum {
    HEADERS_MAX = 4
};

#define URL "https://bell.example/v1/hooks/1"

struct header {
    const char *name;
    const char *value;
};

static size_t headers_of(const struct header *headers, struct inbound_header *out_rows)
{
    size_t count = 0;
    for (; count < HEADERS_MAX && headers[count].name != NULL; count++) {
        out_rows[count] = (struct inbound_header){ str_from_z(headers[count].name),
                                                   str_from_z(headers[count].value) };
    }
    return count;
}

static enum signature_verdict judge(struct payload *payload, const char *secret,
                                    const struct inbound *inbound)
{
    struct source_secret secrets[1] = { { .value = str_from_z(secret),
                                          .expires_at_ms = INSTANT_NEVER } };
    payload->source.secrets = secrets;
    payload->source.secret_count = secret != NULL ? 1 : 0;
    return verify_inbound(platform_signature(payload->platform, &payload->source), &payload->source,
                          inbound, payload->arena, NULL)
        .verdict;
}

#define KLAVIYO_TIME "Wed, 18 Nov 2026 16:00:00 GMT" /* hours ahead, as once recorded */
#define MANDRILL_BODY "zeta=%C3%A9+1&mandrill_events=%5B%7B%22event%22%3A%22open%22%7D%5D"

/* Known answers made by Python's hmac; PAYLOAD_NOW_MS is 100 s after most. */
static void believes_what_is_signed(void **state)
{
    (void)state;
    static const char klaviyo[] = "{\"data\":[],\"meta\":{\"klaviyo_webhook_id\":\"whk_1\","
                                  "\"timestamp\":\"2026-11-18T11:00:00+00:00\"}}";
    static const char klaviyo_old[] = "{\"data\":[],\"meta\":{\"klaviyo_webhook_id\":\"whk_1\","
                                      "\"timestamp\":\"2026-11-16T11:00:00+00:00\"}}";
    static const char klaviyo_mac[] =
        "468d6e58ce44141a6d1a10180216e12cf86d2c01eebbcbdffe3c75feaa8425ce";
    static const char mailgun[] =
        "{\"signature\":{\"timestamp\":\"1794999900\",\"token\":\"0123456789abcdef\","
        "\"signature\":\"03fe1d7af87f07968acb279dda00c389eb7e626e9aa4e23f4161c3e02b0efbe5\"}}";
    static const char mailgun_other[] =
        "{\"signature\":{\"timestamp\":\"1794999900\",\"token\":\"0123456789abcdee\","
        "\"signature\":\"03fe1d7af87f07968acb279dda00c389eb7e626e9aa4e23f4161c3e02b0efbe5\"}}";
    static const char mailersend[] = "{\"type\":\"activity.opened\",\"data\":{\"id\":\"1\"}}";
    static const char mailersend_mac[] =
        "7cbc42a7bb289effd00ec9af9f83810a7612e742d324b01d3480d150e3fd6e0b";
    static const char mailchimp[] = "type=unsubscribe&fired_at=2026-11-18+11%3A00%3A00";
    static const char mailchimp_mac[] =
        "t=1794999900,v1=b1466892d2cb511473eaedc1fdebef3f8b86163b4cefc01bcd26b5e24251abb1";
    static const char cio_mac[] =
        "cba60c856c78e244356141c4c2a5af0b0198b07e8efcbae46bb956f2e79d4a46";
    static const struct {
        const char *why;
        const char *platform;
        const char *settings;
        const char *secret;
        struct header headers[HEADERS_MAX];
        const char *body;
        enum signature_verdict verdict;
    } rows[] = {
        { "Klaviyo: body, then the header's text",
          "klaviyo",
          "",
          "klaviyo-secret-0001",
          { { "Klaviyo-Signature", klaviyo_mac },
            { "Klaviyo-Timestamp", KLAVIYO_TIME },
            { "Klaviyo-Webhook-Id", "whk_1" } },
          klaviyo,
          SIGNATURE_VALID },
        { "Klaviyo: header, then body",
          "klaviyo",
          "",
          "klaviyo-secret-0001",
          { { "Klaviyo-Signature",
              "f52bc58b3149d4fe4183b85ad63f32363193dd965e90e32bbf396393a97e7492" },
            { "Klaviyo-Timestamp", KLAVIYO_TIME } },
          klaviyo,
          SIGNATURE_MISMATCH },
        { "Klaviyo: the window is of the time in the body",
          "klaviyo",
          "",
          "klaviyo-secret-0001",
          { { "Klaviyo-Signature",
              "2db98b6114ba68ebed9d3a101a3c96808c89c20b502c4992088858735778e6fc" },
            { "Klaviyo-Timestamp", KLAVIYO_TIME } },
          klaviyo_old,
          SIGNATURE_TIMESTAMP_OUTSIDE },
        { "Klaviyo: two webhooks' ids",
          "klaviyo",
          "",
          "klaviyo-secret-0001",
          { { "Klaviyo-Signature", klaviyo_mac },
            { "Klaviyo-Timestamp", KLAVIYO_TIME },
            { "Klaviyo-Webhook-Id", "whk_2" } },
          klaviyo,
          SIGNATURE_MISMATCH },
        { "Klaviyo: no time at all",
          "klaviyo",
          "",
          "klaviyo-secret-0001",
          { { "Klaviyo-Signature", klaviyo_mac }, { "Klaviyo-Timestamp", KLAVIYO_TIME } },
          "{\"data\":[]}",
          SIGNATURE_HEADER_MALFORMED },
        { "Mailgun: time and token",
          "mailgun",
          "",
          "mailgun-signing-key",
          { { NULL, NULL } },
          mailgun,
          SIGNATURE_VALID },
        { "Mailgun: another token",
          "mailgun",
          "",
          "mailgun-signing-key",
          { { NULL, NULL } },
          mailgun_other,
          SIGNATURE_MISMATCH },
        { "Mailgun: no signature in it",
          "mailgun",
          "",
          "mailgun-signing-key",
          { { NULL, NULL } },
          "{\"event-data\":{}}",
          SIGNATURE_HEADER_MISSING },
        { "Mailgun: no JSON",
          "mailgun",
          "",
          "mailgun-signing-key",
          { { NULL, NULL } },
          "timestamp=1",
          SIGNATURE_HEADER_MISSING },
        { "MailerSend: the body",
          "mailersend",
          "",
          "mailersend-secret",
          { { "Signature", mailersend_mac } },
          mailersend,
          SIGNATURE_VALID },
        { "MailerSend: another body",
          "mailersend",
          "",
          "mailersend-secret",
          { { "Signature", mailersend_mac } },
          "{\"type\":\"activity.opened\",\"data\":{\"id\":\"2\"}}",
          SIGNATURE_MISMATCH },
        { "Mailchimp: signed, and told to be",
          "mailchimp",
          "{\"signed\":true}",
          "mailchimp-signing-secret",
          { { "X-Mailchimp-Signature", mailchimp_mac } },
          mailchimp,
          SIGNATURE_VALID },
        { "Mailchimp: a signature is no password",
          "mailchimp",
          "{}",
          "mailchimp-signing-secret",
          { { "X-Mailchimp-Signature", mailchimp_mac } },
          mailchimp,
          SIGNATURE_HEADER_MISSING },
        { "Mailchimp: told to be signed, a password is nothing",
          "mailchimp",
          "{\"signed\":true}",
          "mailchimp-signing-secret",
          { { "Authorization", "Bearer mailchimp-signing-secret" } },
          mailchimp,
          SIGNATURE_HEADER_MISSING },
        { "Mandrill: the address, then the fields by name, decoded",
          "mandrill",
          "",
          "mandrill-webhook-key",
          { { "X-Mandrill-Signature", "NUYixVevxpGxe3H2x0DQOorUjnA=" } },
          MANDRILL_BODY,
          SIGNATURE_VALID },
        { "Mandrill: another value",
          "mandrill",
          "",
          "mandrill-webhook-key",
          { { "X-Mandrill-Signature", "NUYixVevxpGxe3H2x0DQOorUjnA=" } },
          "zeta=%C3%A9+2&mandrill_events=%5B%7B%22event%22%3A%22open%22%7D%5D",
          SIGNATURE_MISMATCH },
        { "Mandrill: a bad escape",
          "mandrill",
          "",
          "mandrill-webhook-key",
          { { "X-Mandrill-Signature", "NUYixVevxpGxe3H2x0DQOorUjnA=" } },
          "mandrill_events=%5",
          SIGNATURE_HEADER_MALFORMED },
        { "Customer.io: v0, time, body",
          "customerio",
          "",
          "customerio-signing-key",
          { { "X-CIO-Signature", cio_mac }, { "X-CIO-Timestamp", "1794999900" } },
          "{\"metric\":\"opened\"}",
          SIGNATURE_VALID },
        { "Customer.io: another time",
          "customerio",
          "",
          "customerio-signing-key",
          { { "X-CIO-Signature", cio_mac }, { "X-CIO-Timestamp", "1794999901" } },
          "{\"metric\":\"opened\"}",
          SIGNATURE_MISMATCH },
        { "Postmark: Basic",
          "postmark",
          "",
          "0123456789abcdef",
          { { "Authorization", "Basic YW55OjAxMjM0NTY3ODlhYmNkZWY=" } },
          "{}",
          SIGNATURE_VALID },
        { "Brevo: Bearer",
          "brevo",
          "",
          "0123456789abcdef",
          { { "Authorization", "Bearer 0123456789abcdef" } },
          "{}",
          SIGNATURE_VALID },
        { "SparkPost: a header",
          "sparkpost",
          "",
          "0123456789abcdef",
          { { "X-Shopbell-Token", "0123456789abcdef" } },
          "[]",
          SIGNATURE_VALID },
        { "Mailjet: nothing",
          "mailjet",
          "",
          "0123456789abcdef",
          { { NULL, NULL } },
          "[]",
          SIGNATURE_HEADER_MISSING },
        { "Mailjet: another secret",
          "mailjet",
          "",
          "0123456789abcdef",
          { { "X-Shopbell-Token", "0123456789abcdee" } },
          "[]",
          SIGNATURE_MISMATCH },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct payload payload;
        struct inbound_header headers[HEADERS_MAX];
        payload_begin(&payload, rows[i].platform);
        assert_int_equal(platform_parse_settings(payload.arena, payload.platform,
                                                 str_from_z(rows[i].settings), &payload.source,
                                                 &payload.problem),
                         STATUS_OK);
        struct inbound inbound = {
            .headers = headers,
            .header_count = headers_of(rows[i].headers, headers),
            .body = str_from_z(rows[i].body),
            .received_at_ms = PAYLOAD_NOW_MS,
            .url = STR(URL),
        };
        assert_row(judge(&payload, rows[i].secret, &inbound) == rows[i].verdict, rows[i].why);
        assert_row(judge(&payload, "some-other-secret", &inbound) != SIGNATURE_VALID, rows[i].why);
        payload_end(&payload);
    }
}

/* The vendors' own known answers, through each platform's spec. */
static void agrees_with_the_vendors(void **state)
{
    (void)state;
    static const struct {
        const char *vector;
        const char *platform;
        const char *signature; /* of the spec, where the vector has it under another name */
        const char *timestamp;
        const char *mark; /* before the vector's signature */
    } rows[] = {
        { "sendgrid-single", "sendgrid", "X-Twilio-Email-Event-Webhook-Signature",
          "X-Twilio-Email-Event-Webhook-Timestamp", "" },
        { "mailgun-permanent_failure", "mailgun", "", "", "" },
        { "mandrill-url-check", "mandrill", "X-Mandrill-Signature", "", "" },
        /* The same construction as Customer.io's, which has no "v0=" before it. */
        { "slack-docs-v0", "customerio", "X-Slack-Signature", "X-Slack-Request-Timestamp", "v0=" },
    };
    struct payload payload;
    payload_begin(&payload, "sendgrid");
    json_t *root = border_parse(payload_read(payload.arena, "vectors.json"), &payload.problem);
    size_t checked = 0;
    size_t at = 0;
    const json_t *vector = NULL;
    json_array_foreach(json_object_get(root, "vectors"), at, vector)
    {
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            if (!str_equal_z(border_text(vector, "name"), rows[i].vector)) {
                continue;
            }
            payload.platform = platform_find(str_from_z(rows[i].platform));
            const struct signature_headers *names = &payload.platform->signature.headers[0];
            const json_t *given = json_object_get(vector, "headers");
            const char *file = json_string_value(json_object_get(vector, "body_file"));
            const char *secret = json_string_value(json_object_get(vector, "secret"));
            const char *key = json_string_value(json_object_get(vector, "public_key_der_base64"));
            const char *body = json_string_value(json_object_get(vector, "body"));
            struct str timestamp = border_text(given, rows[i].timestamp);
            struct inbound_header headers[] = {
                { str_from_z(names->signature),
                  str_drop(border_text(given, rows[i].signature), strlen(rows[i].mark)) },
                { str_from_z(names->timestamp), timestamp },
            };
            struct str notification_url = border_text(vector, "notification_url");
            int64_t at_s = 1661590666; /* of Mailgun's file */
            (void)str_to_i64(timestamp, &at_s);
            struct inbound inbound = {
                .headers = headers,
                .header_count = names->timestamp != NULL ? 2 : 1,
                .body = file != NULL ? payload_read(payload.arena, file) : str_from_z(body),
                .received_at_ms = at_s * INSTANT_SECOND_MS,
                .url = notification_url,
            };
            const char *proof = key != NULL ? key : secret;
            assert_row(judge(&payload, proof, &inbound) == SIGNATURE_VALID, rows[i].vector);
            struct str body_with_more = str_printf(payload.arena, "%.*s ", STR_ARG(inbound.body));
            if (payload.platform->signature.read_claim == NULL) {
                inbound.body = body_with_more;
                assert_row(judge(&payload, proof, &inbound) == SIGNATURE_MISMATCH, rows[i].vector);
            }
            checked++;
        }
    }
    assert_int_equal(checked, ARRAY_COUNT(rows));
    border_free(root);
    payload_end(&payload);
}

/* Mandrill's check is signed with a key that anybody can read. */
static void the_public_key_is_for_nothing(void **state)
{
    (void)state;
    struct payload payload;
    struct handshake handshake = { 0 };
    payload_begin(&payload, "mandrill");
    const struct platform *mandrill = payload.platform;
    struct inbound inbound = { .body = STR("mandrill_events=%5B%5D"), .url = STR(URL) };
    assert_true(mandrill->greet(payload.arena, &payload.source, &inbound, &handshake));
    inbound.body = STR("mandrill_events=%5B%7B%22event%22%3A%22unsub%22%7D%5D");
    assert_false(mandrill->greet(payload.arena, &payload.source, &inbound, &handshake));
    assert_false(verify_secret_is_usable(&mandrill->signature, STR("test-webhook"), NULL));
    inbound = (struct inbound){ .is_get = true };
    assert_true(mandrill->greet(payload.arena, &payload.source, &inbound, &handshake));
    payload_end(&payload);
}

int main(void)
{
    if (sodium_init() < 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_what_is_signed),
        cmocka_unit_test(agrees_with_the_vendors),
        cmocka_unit_test(the_public_key_is_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
