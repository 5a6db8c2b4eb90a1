#include <sodium.h>

#include "payload.h"
#include "verify/verify.h"

enum {
    HEADERS_MAX = 8
};

static const struct signature_spec SHOPIFY = {
    .algorithm = SIGNATURE_HMAC_SHA256,
    .encoding = SIGNATURE_BASE64,
    .key_form = SIGNATURE_KEY_TEXT,
    .syntax = SIGNATURE_ALONE,
    .headers = { { .signature = "shopify-hmac-sha256" }, { .signature = "X-Shopify-Hmac-Sha256" } },
};
static const struct signature_spec WOO = {
    .algorithm = SIGNATURE_HMAC_SHA256,
    .encoding = SIGNATURE_BASE64,
    .key_form = SIGNATURE_KEY_HTML_DECODED,
    .syntax = SIGNATURE_ALONE,
    .headers = { { .signature = "X-WC-Webhook-Signature" } },
};
static const struct signature_spec HEX = {
    .algorithm = SIGNATURE_HMAC_SHA256,
    .encoding = SIGNATURE_HEX,
    .key_form = SIGNATURE_KEY_TEXT,
    .syntax = SIGNATURE_ALONE,
    .headers = { { .signature = "shopware-shop-signature" } },
};
static const struct signature_spec STANDARD = {
    .algorithm = SIGNATURE_HMAC_SHA256,
    .encoding = SIGNATURE_BASE64,
    .key_form = SIGNATURE_KEY_WHSEC,
    .syntax = SIGNATURE_LIST,
    .content = "{id}.{timestamp}.{body}",
    .headers = { { "webhook-signature", "webhook-id", "webhook-timestamp" },
                 { "svix-signature", "svix-id", "svix-timestamp" } },
    .tolerance_ms = 300000,
};

/* {"foo": "bar"} under test_secret_key, from Shopify's own SDK test. */
#define FOO_BODY "{\"foo\": \"bar\"}"
#define FOO_SECRET "test_secret_key"
#define FOO_MAC "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g="

/* No key is published here, and an arena takes what a claim needs. */
static struct verify_result verify(const struct signature_spec *spec, const struct source *source,
                                   const struct inbound *inbound)
{
    struct arena *arena = arena_create((size_t)1024 * 1024);
    struct verify_result result = verify_inbound(spec, source, inbound, arena, NULL);
    arena_destroy(arena);
    return result;
}

struct header {
    const char *name;
    const char *value;
};

static struct verify_result check(const struct signature_spec *spec, const char *secret,
                                  const struct header *headers, struct str body, int64_t now_ms)
{
    struct inbound_header rows[HEADERS_MAX];
    size_t count = 0;
    for (; count < HEADERS_MAX && headers[count].name != NULL; count++) {
        rows[count] = (struct inbound_header){ str_from_z(headers[count].name),
                                               str_from_z(headers[count].value) };
    }
    struct source_secret secrets[1] = { { .value = str_from_z(secret),
                                          .expires_at_ms = INSTANT_NEVER } };
    struct source source = { .secrets = secrets, .secret_count = secret != NULL ? 1 : 0 };
    struct inbound inbound = {
        .headers = rows, .header_count = count, .body = body, .received_at_ms = now_ms
    };
    return verify(spec, &source, &inbound);
}

static void judges_body_macs(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const struct signature_spec *spec;
        const char *secret;
        struct header headers[4];
        const char *body;
        enum signature_verdict verdict;
    } rows[] = {
        { "the SDK's own vector",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_VALID },
        { "header names have no case",
          &SHOPIFY,
          FOO_SECRET,
          { { "x-shopify-hmac-sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_VALID },
        { "the events family, without X-",
          &SHOPIFY,
          FOO_SECRET,
          { { "shopify-hmac-sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_VALID },
        { "without X- is preferred, right",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", "nonsense" }, { "shopify-hmac-sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_VALID },
        { "without X- is preferred, wrong",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC }, { "shopify-hmac-sha256", "nonsense" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "the same header twice, equal",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC }, { "X-Shopify-Hmac-SHA256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_VALID },
        { "the same header twice, different",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC },
            { "X-Shopify-Hmac-SHA256", "3X6clrsy+C8mmzR/MeTh6b/EcLr46WLZaU+24GrPXOM=" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "no header",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Topic", "orders/create" } },
          FOO_BODY,
          SIGNATURE_HEADER_MISSING },
        { "an empty header",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", "" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "another secret",
          &SHOPIFY,
          "test_secret_kez",
          { { "X-Shopify-Hmac-Sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_MISMATCH },
        { "no secret",
          &SHOPIFY,
          NULL,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_NO_SECRET },
        { "a truncated body",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC } },
          "{\"foo\": \"bar\"",
          SIGNATURE_MISMATCH },
        { "a re-serialised body",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC } },
          "{\"foo\":\"bar\"}",
          SIGNATURE_MISMATCH },
        { "a truncated signature",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "junk behind the signature",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", FOO_MAC "=" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "no padding",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "a good form of 31 bytes",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "hex where base64 is due",
          &SHOPIFY,
          FOO_SECRET,
          { { "X-Shopify-Hmac-Sha256",
              "076ded5cdebcd60674a8858d46b82dcc113d5d20e8e72694bbac1f9a1bb76bb8" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "hex, lower case",
          &HEX,
          FOO_SECRET,
          { { "shopware-shop-signature",
              "076ded5cdebcd60674a8858d46b82dcc113d5d20e8e72694bbac1f9a1bb76bb8" } },
          FOO_BODY,
          SIGNATURE_VALID },
        { "hex, upper case",
          &HEX,
          FOO_SECRET,
          { { "shopware-shop-signature",
              "076DED5CDEBCD60674A8858D46B82DCC113D5D20E8E72694BBAC1F9A1BB76BB8" } },
          FOO_BODY,
          SIGNATURE_VALID },
        { "hex, a digit short",
          &HEX,
          FOO_SECRET,
          { { "shopware-shop-signature",
              "076ded5cdebcd60674a8858d46b82dcc113d5d20e8e72694bbac1f9a1bb76bb" } },
          FOO_BODY,
          SIGNATURE_HEADER_MALFORMED },
        { "an empty secret fails closed",
          &SHOPIFY,
          "",
          { { "X-Shopify-Hmac-Sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_NO_SECRET },
        { "a blank secret fails closed",
          &SHOPIFY,
          " \t ",
          { { "X-Shopify-Hmac-Sha256", FOO_MAC } },
          FOO_BODY,
          SIGNATURE_NO_SECRET },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct verify_result result = check(rows[i].spec, rows[i].secret, rows[i].headers,
                                            str_from_z(rows[i].body), PAYLOAD_NOW_MS);
        assert_row(result.verdict == rows[i].verdict, rows[i].why);
    }
}

/* base64(HMAC-SHA256(key, body)), computed apart from the code under test. */
static void mac_text(struct str key, struct str body, char *text, size_t size)
{
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state hmac;
    crypto_auth_hmacsha256_init(&hmac, (const uint8_t *)key.data, key.size);
    crypto_auth_hmacsha256_update(&hmac, (const uint8_t *)body.data, body.size);
    crypto_auth_hmacsha256_final(&hmac, mac);
    sodium_bin2base64(text, size, mac, sizeof(mac), sodium_base64_VARIANT_ORIGINAL);
}

static void fails_closed_on_nul_keys(void **state)
{
    (void)state;
    char mac[64];
    char nuls[16] = { 0 };
    mac_text(STR(""), STR("{}"), mac, sizeof(mac)); /* HMAC pads: "" is "\0" */
    struct inbound_header header = { STR("X-Shopify-Hmac-Sha256"), str_from_z(mac) };
    struct inbound inbound = {
        .headers = &header, .header_count = 1, .body = STR("{}"), .received_at_ms = PAYLOAD_NOW_MS
    };
    struct source_secret secret = { .value = { nuls, sizeof(nuls) },
                                    .expires_at_ms = INSTANT_NEVER };
    struct source source = { .secrets = &secret, .secret_count = 1 };
    for (size_t size = 0; size <= sizeof(nuls); size++) {
        secret.value.size = size;
        struct verify_result result = verify(&SHOPIFY, &source, &inbound);
        assert_int_equal(result.verdict, SIGNATURE_NO_SECRET);
        assert_int_equal(result.secrets_tried, 0);
    }
}

/* Shopify's SDK test: a session cookie signed with the same secret is no
 * webhook; what is signed is the body, and the cookie's value is not it. */
static void refuses_a_replayed_cookie(void **state)
{
    (void)state;
    char mac[64];
    mac_text(STR(FOO_SECRET), STR("offline_shop1.myshopify.com"), mac, sizeof(mac));
    struct header headers[] = { { "X-Shopify-Hmac-Sha256", mac }, { NULL, NULL } };
    struct verify_result result =
        check(&SHOPIFY, FOO_SECRET, headers, STR(FOO_BODY), PAYLOAD_NOW_MS);
    assert_int_equal(result.verdict, SIGNATURE_MISMATCH);
}

static void decodes_entities_as_wordpress_does(void **state)
{
    (void)state;
    static const struct {
        const char *stored;
        const char *used;
        const char *why;
    } rows[] = {
        { "k7Qe2mZ9xT4vB1nR", "k7Qe2mZ9xT4vB1nR", "nothing to decode" },
        { "a&amp;b0123456789", "a&b0123456789", "ampersand" },
        { "&lt;&gt;&quot;&#039;&#39;x", "<>\"''x", "named and decimal" },
        { "&#x27;&#x026;&#X22;", "'&\"", "hexadecimal, with zeros, either case" },
        { "&amp;lt;", "&lt;", "one pass only" },
        { "&apos;&nbsp;&", "&apos;&nbsp;&", "what ENT_QUOTES does not know stays" },
        { "&amp", "&amp", "no semicolon" },
        { "&#0;x&#;", "&#0;x&#;", "zeros that lead nowhere" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char mac[64];
        mac_text(str_from_z(rows[i].used), STR("{}"), mac, sizeof(mac));
        struct header headers[] = { { "X-WC-Webhook-Signature", mac }, { NULL, NULL } };
        struct verify_result result =
            check(&WOO, rows[i].stored, headers, STR("{}"), PAYLOAD_NOW_MS);
        assert_row(result.verdict == SIGNATURE_VALID, rows[i].why);
    }
}

static void tries_all_live_secrets(void **state)
{
    (void)state;
    struct inbound_header header = { STR("X-Shopify-Hmac-Sha256"), STR(FOO_MAC) };
    struct inbound inbound = { .headers = &header,
                               .header_count = 1,
                               .body = STR(FOO_BODY),
                               .received_at_ms = PAYLOAD_NOW_MS };
    struct source_secret secrets[] = {
        { .value = STR("the wrong one"), .expires_at_ms = INSTANT_NEVER },
        { .value = STR(FOO_SECRET), .expires_at_ms = PAYLOAD_NOW_MS + 1 },
        { .value = STR(FOO_SECRET), .expires_at_ms = INSTANT_NEVER, .shadow = true },
        { .value = STR("another wrong one"), .expires_at_ms = INSTANT_NEVER },
    };
    struct source source = { .secrets = secrets, .secret_count = ARRAY_COUNT(secrets) };
    struct verify_result result = verify(&SHOPIFY, &source, &inbound);
    assert_int_equal(result.verdict, SIGNATURE_VALID);
    assert_int_equal(result.secrets_tried, 3);
    assert_int_equal(result.secret_index, 1);
    assert_int_equal(result.shadows_matched, 1 << 2);
    assert_int_equal(result.shadows_tried, 1 << 2);

    /* One tick later the secret is dead; the shadow decides nothing. */
    inbound.received_at_ms = PAYLOAD_NOW_MS + 1;
    result = verify(&SHOPIFY, &source, &inbound);
    assert_int_equal(result.verdict, SIGNATURE_MISMATCH);
    assert_int_equal(result.secrets_tried, 2);
    assert_int_equal(result.shadows_matched, 1 << 2);
    assert_int_equal(result.shadows_tried, 1 << 2);

    secrets[0].expires_at_ms = secrets[3].expires_at_ms = 0;
    result = verify(&SHOPIFY, &source, &inbound);
    assert_int_equal(result.verdict, SIGNATURE_NO_SECRET);
}

#define WH_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define WH_ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define WH_AT "1614265330"
#define WH_MAC "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define WH_BODY "{\"test\": 2432232314}"
#define WH_AT_MS INT64_C(1614265330000)

static void judges_standard_webhooks(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *id;
        const char *at;
        const char *signature;
        int64_t now_ms;
        enum signature_verdict verdict;
    } rows[] = {
        { "the library's vector", WH_ID, WH_AT, WH_MAC, WH_AT_MS, SIGNATURE_VALID },
        { "at the edge, late", WH_ID, WH_AT, WH_MAC, WH_AT_MS + 300000, SIGNATURE_VALID },
        { "past the edge, late", WH_ID, WH_AT, WH_MAC, WH_AT_MS + 300001,
          SIGNATURE_TIMESTAMP_OUTSIDE },
        { "at the edge, early", WH_ID, WH_AT, WH_MAC, WH_AT_MS - 300000, SIGNATURE_VALID },
        { "past the edge, early", WH_ID, WH_AT, WH_MAC, WH_AT_MS - 300001,
          SIGNATURE_TIMESTAMP_OUTSIDE },
        { "one of several", WH_ID, WH_AT,
          "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TB"
          "Ag== v1,3X6clrsy+C8mmzR/MeTh6b/EcLr46WLZaU+24GrPXOM= " WH_MAC,
          WH_AT_MS, SIGNATURE_VALID },
        { "none of several", WH_ID, WH_AT,
          "v1,3X6clrsy+C8mmzR/MeTh6b/EcLr46WLZaU+24GrPXOM= v1,"
          "3X6clrsy+C8mmzR/MeTh6b/EcLr46WLZaU+24GrPXOM=",
          WH_AT_MS, SIGNATURE_MISMATCH },
        { "no version", WH_ID, WH_AT, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", WH_AT_MS,
          SIGNATURE_HEADER_MALFORMED },
        { "another version only", WH_ID, WH_AT,
          "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", WH_AT_MS, SIGNATURE_HEADER_MALFORMED },
        { "another id", "msg_p5jXN8AQM9LWM0D4loKWxJel", WH_AT, WH_MAC, WH_AT_MS,
          SIGNATURE_MISMATCH },
        { "an id with a dot could move the borders", "msg.p5", WH_AT, WH_MAC, WH_AT_MS,
          SIGNATURE_HEADER_MALFORMED },
        { "an empty id", "", WH_AT, WH_MAC, WH_AT_MS, SIGNATURE_HEADER_MALFORMED },
        { "another time is another text", WH_ID, "1614265331", WH_MAC, WH_AT_MS,
          SIGNATURE_MISMATCH },
        { "a time in words", WH_ID, "now", WH_MAC, WH_AT_MS, SIGNATURE_HEADER_MALFORMED },
        { "a negative time", WH_ID, "-1", WH_MAC, WH_AT_MS, SIGNATURE_HEADER_MALFORMED },
        { "a time beyond counting", WH_ID, "99999999999999999999", WH_MAC, WH_AT_MS,
          SIGNATURE_HEADER_MALFORMED },
        { "no id", NULL, WH_AT, WH_MAC, WH_AT_MS, SIGNATURE_HEADER_MISSING },
        { "no time", WH_ID, NULL, WH_MAC, WH_AT_MS, SIGNATURE_HEADER_MISSING },
        { "no signature", WH_ID, WH_AT, NULL, WH_AT_MS, SIGNATURE_HEADER_MISSING },
    };
    static const char *const FAMILIES[][3] = {
        { "webhook-id", "webhook-timestamp", "webhook-signature" },
        { "Svix-Id", "Svix-Timestamp", "Svix-Signature" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows) * 2; i++) {
        size_t row = i / 2;
        const char *const values[] = { rows[row].id, rows[row].at, rows[row].signature };
        struct header headers[4] = { { NULL, NULL } };
        size_t count = 0;
        for (size_t j = 0; j < 3; j++) {
            if (values[j] != NULL) {
                headers[count++] = (struct header){ FAMILIES[i % 2][j], values[j] };
            }
        }
        struct verify_result result =
            check(&STANDARD, WH_SECRET, headers, STR(WH_BODY), rows[row].now_ms);
        assert_row(result.verdict == rows[row].verdict, rows[row].why);
    }
}

/* Signed by openssl dgst -sha256 -mac HMAC with the secret's 32 bytes. */
static void takes_the_key_out_of_its_text(void **state)
{
    (void)state;
    const char *secret = "whsec_AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vsXM09o=";
    struct header headers[] = { { "webhook-id", "msg_1" },
                                { "webhook-timestamp", "1795000000" },
                                { "webhook-signature",
                                  "v1,Hyqz3QI7HGPx3CnIc/3e5Zp2bDFXMQJ3qNP/gw9cEkc=" },
                                { NULL, NULL } };
    assert_int_equal(check(&STANDARD, secret, headers, STR("{\"a\":1}"), PAYLOAD_NOW_MS).verdict,
                     SIGNATURE_VALID);
    assert_int_equal(check(&STANDARD, secret, headers, STR("{\"a\":2}"), PAYLOAD_NOW_MS).verdict,
                     SIGNATURE_MISMATCH);
    /* The whsec_ text itself is not the key. */
    assert_int_equal(
        check(&STANDARD, secret + 6, headers, STR("{\"a\":1}"), PAYLOAD_NOW_MS).verdict,
        SIGNATURE_NO_SECRET);
}

static void says_which_secrets_are_usable(void **state)
{
    (void)state;
    static const struct {
        const struct signature_spec *spec;
        const char *secret;
        bool usable;
        const char *why;
    } rows[] = {
        { &SHOPIFY, "12345678", true, "the shortest a shop may make" },
        { &SHOPIFY, "1234567", false, "one shorter" },
        { &SHOPIFY, "", false, "empty" },
        { &SHOPIFY, "          ", false, "blank" },
        { &SHOPIFY, "shpss_0123456789abcdef\n", false, "pasted with its line break" },
        { &SHOPIFY, "test-webhook", false, "Mandrill's, known to all" },
        { &WOO, "k7Qe2mZ9xT4vB1nR", true, "the shortest of ours" },
        { &WOO, "k7Qe2mZ9xT4vB1n", false, "one shorter" },
        { &WOO, "k7Qe2mZ9x&amp;4v", false, "long only before it is decoded" },
        { &STANDARD, WH_SECRET, false, "the standard's example, known to all" },
        { &STANDARD, "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng==", true, "16 bytes" },
        { &STANDARD, "whsec_MTIzNDU2Nzg5MDEyMzQ1", false, "15 bytes" },
        { &STANDARD, "MTIzNDU2Nzg5MDEyMzQ1Ng==", false, "no prefix" },
        { &STANDARD, "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng", false, "no padding" },
        { &STANDARD, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false, "only NULs" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *reason = NULL;
        bool usable = verify_secret_is_usable(rows[i].spec, str_from_z(rows[i].secret), &reason);
        assert_row(usable == rows[i].usable, rows[i].why);
        assert_row((reason == NULL) == rows[i].usable, rows[i].why);
    }
}

/* The last of eight public keys signed: for all of them the body is copied once,
 * or the arena is full before it is asked. */
static void finds_the_key_of_a_large_body(void **state)
{
    (void)state;
    enum {
        KEYS = 8
    };
    static char body[300 * 1024];
    static char content[sizeof(body) + 64];
    char texts[KEYS][64];
    struct source_secret secrets[KEYS];
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    uint8_t private_key[crypto_sign_SECRETKEYBYTES];
    memset(body, 'x', sizeof(body));
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(crypto_sign_keypair(public_key, private_key), 0);
        memcpy(texts[i], "whpk_", 5);
        sodium_bin2base64(texts[i] + 5, sizeof(texts[i]) - 5, public_key, sizeof(public_key),
                          sodium_base64_VARIANT_ORIGINAL);
        secrets[i] =
            (struct source_secret){ .value = str_from_z(texts[i]), .expires_at_ms = INSTANT_NEVER };
    }
    int size = snprintf(content, sizeof(content), "%s.%s.", WH_ID, WH_AT);
    memcpy(content + size, body, sizeof(body));
    uint8_t signature[crypto_sign_BYTES];
    crypto_sign_detached(signature, NULL, (const uint8_t *)content, (size_t)size + sizeof(body),
                         private_key);
    char header[4 + sodium_base64_ENCODED_LEN(sizeof(signature), sodium_base64_VARIANT_ORIGINAL)];
    memcpy(header, "v1a,", 4);
    sodium_bin2base64(header + 4, sizeof(header) - 4, signature, sizeof(signature),
                      sodium_base64_VARIANT_ORIGINAL);
    const struct inbound_header headers[] = { { STR("webhook-id"), STR(WH_ID) },
                                              { STR("webhook-timestamp"), STR(WH_AT) },
                                              { STR("webhook-signature"), str_from_z(header) } };
    const struct source source = { .secrets = secrets, .secret_count = KEYS };
    const struct inbound inbound = { .headers = headers,
                                     .header_count = ARRAY_COUNT(headers),
                                     .body = { body, sizeof(body) },
                                     .received_at_ms = WH_AT_MS };
    struct verify_result result = verify(&STANDARD, &source, &inbound);
    assert_int_equal(result.verdict, SIGNATURE_VALID);
    assert_int_equal(result.secret_index, KEYS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_body_macs),
        cmocka_unit_test(fails_closed_on_nul_keys),
        cmocka_unit_test(refuses_a_replayed_cookie),
        cmocka_unit_test(decodes_entities_as_wordpress_does),
        cmocka_unit_test(tries_all_live_secrets),
        cmocka_unit_test(judges_standard_webhooks),
        cmocka_unit_test(finds_the_key_of_a_large_body),
        cmocka_unit_test(takes_the_key_out_of_its_text),
        cmocka_unit_test(says_which_secrets_are_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
