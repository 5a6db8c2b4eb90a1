#include "deliver/destination.h"
#include "deliver/sender.h"
#include "unit.h"

enum {
    HTTPS_ONLY,
    WITH_HTTP
};

static void checks(void **state)
{
    (void)state;
    static const struct {
        enum status expected;
        int http;
        const char *networks;
        const char *url;
        const char *why;
    } rows[] = {
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.mailhouse.example/shopbell/8841", "usual" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.example", "no path" },
        { STATUS_OK, HTTPS_ONLY, NULL, "HTTPS://Hooks.Example/", "letters of any case" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.example:443/", "the port" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.example:8443/", "the other port" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.example:1024/", "the first free port" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.example:65535/", "the last port" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.example/a?b=c&d=%20", "a query" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://hooks.example./", "rooted name" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://xn--mnchen-3ya.example/", "international name" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://8.8.8.8/", "public address" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://[2606:4700:4700::1111]/", "public address" },
        { STATUS_OK, HTTPS_ONLY, NULL, "https://1password.example/", "name with a digit first" },
        { STATUS_OK, WITH_HTTP, NULL, "http://hooks.example/", "http, allowed" },
        { STATUS_OK, WITH_HTTP, NULL, "http://hooks.example:80/", "http and its port" },
        { STATUS_OK, WITH_HTTP, "127.0.0.0/8", "http://127.0.0.1:9000/", "loopback, allowed" },
        { STATUS_OK, WITH_HTTP, "127.0.0.0/8", "http://localhost:9000/", "by name, allowed" },
        { STATUS_OK, WITH_HTTP, "::1", "http://[::1]:9000/", "IPv6 loopback, allowed" },
        { STATUS_OK, HTTPS_ONLY, "10.0.0.0/8", "https://10.1.2.3/", "intranet, allowed" },

        { STATUS_INVALID, HTTPS_ONLY, NULL, "", "empty" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "http://hooks.example/", "http, not allowed" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "ftp://hooks.example/", "scheme" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "file:///etc/passwd", "scheme" },
        { STATUS_INVALID, WITH_HTTP, NULL, "gopher://hooks.example:6379/_x", "scheme" },
        { STATUS_INVALID, WITH_HTTP, NULL, "dict://127.0.0.1:11211/", "scheme" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "javascript:alert(1)", "scheme" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "hooks.example/x", "no scheme" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "//hooks.example/x", "no scheme" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https:hooks.example", "no slashes" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https:/hooks.example", "one slash" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https:///hooks.example", "three slashes" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://", "no host" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://:8443/", "no host, a port" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://user@hooks.example/", "user" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://user:pass@hooks.example/", "password" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example@127.0.0.1/", "host as user" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://@hooks.example/", "empty user" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example\\@127.0.0.1/", "backslash" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example/#x", "fragment" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example/#", "empty fragment" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://127.0.0.1#@hooks.example/", "fragment" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:80/", "http's port" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:22/", "ssh" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:25/", "smtp" },
        { STATUS_INVALID, WITH_HTTP, NULL, "https://hooks.example:1023/", "the last closed port" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:0/", "port 0" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:6379/", "Redis" },
        { STATUS_INVALID, WITH_HTTP, NULL, "http://hooks.example:9200/", "Elasticsearch" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:65536/", "no such port" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:443:22/", "two ports" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example:https/", "port by name" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://127.0.0.1/", "loopback" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://10.1.2.3/", "private" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://169.254.169.254/latest/", "metadata" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://2130706433/", "loopback as a number" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://0x7f000001/", "in hex" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://017700000001/", "in octal" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://0x7f.1/", "mixed" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://0177.0.0.1/", "octal part" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://127.1/", "short" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://0/", "zero" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://127.0.0.1./", "rooted address" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://0x7f000001./", "rooted hex" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://127%2e0%2e0%2e1/", "escaped dots" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://%31%32%37.0.0.1/", "escaped digits" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://1.2.3.4.5/", "five parts" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://256.1.1.1/", "part too large" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://4294967296/", "number too large" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[::1]/", "IPv6 loopback" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[::ffff:10.0.0.1]/", "mapped" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[::ffff:7f00:1]/", "mapped in hex" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[fe80::1%25eth0]/", "zone" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[2606:4700::1%25lo]/", "zone of a public" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[fd00:ec2::254]/", "metadata" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[::1/", "open bracket" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://[v1.x]/", "future address" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://localhost/", "localhost" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://LOCALHOST./", "localhost, rooted" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://a.localhost/", "below localhost" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks..example/", "empty label" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://.hooks.example/", "leading dot" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example../", "two dots" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://-hooks.example/", "leading dash" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks example/", "blank" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, " https://hooks.example/", "leading blank" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example/\r\nX: y", "line end" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks.example/\t", "tab" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://m\xc3\xbcnchen.example/", "not ASCII" },
        { STATUS_INVALID, HTTPS_ONLY, NULL,
          "https://127\xe3\x80\x82"
          "0\xe3\x80\x82"
          "0\xe3\x80\x82"
          "1/",
          "ideographic dots" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks%00.example/", "escaped NUL" },
        { STATUS_INVALID, HTTPS_ONLY, NULL, "https://hooks%2f.example/", "escaped slash" },
        { STATUS_INVALID, HTTPS_ONLY, "ten", "https://hooks.example/", "bad allow list" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct problem problem;
        const struct sender_config config = {
            .allow_http = rows[i].http == WITH_HTTP,
            .allow_networks = rows[i].networks,
        };
        enum status status = endpoint_url_check(str_from_z(rows[i].url), &config, &problem);
        if (status != rows[i].expected) {
            print_error("%s\n", rows[i].url);
        }
        assert_row(status == rows[i].expected, rows[i].why);
        if (status != STATUS_OK && rows[i].networks == NULL) {
            assert_string_equal(problem.type, "url-not-allowed");
            assert_string_equal(problem.pointer, "#/url");
        }
    }
}

static void goes_by_the_operators_ports(void **state)
{
    (void)state;
    struct problem problem;
    struct sender_config config = { .allow_ports = "443, 6379" };
    assert_int_equal(endpoint_url_check(STR("https://a.example/"), &config, NULL), STATUS_OK);
    assert_int_equal(endpoint_url_check(STR("https://a.example:6379/"), &config, NULL), STATUS_OK);
    assert_int_equal(endpoint_url_check(STR("https://a.example:8443/"), &config, &problem),
                     STATUS_INVALID);
    assert_non_null(strstr(problem.detail, "allow_ports"));
    config.allow_ports = "none";
    assert_int_equal(endpoint_url_check(STR("https://a.example/"), &config, &problem),
                     STATUS_INVALID);
}

static void reads_secrets(void **state)
{
    (void)state;
    static const struct {
        bool sound;
        enum signature_scheme scheme;
        size_t key_size;
        const char *text;
        const char *why;
    } rows[] = {
        { true, SIGNATURE_V1, 24, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1" },
        { true, SIGNATURE_V1A, 64,
          "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkEl"
          "UxuA==",
          "v1a" },
        { false, SIGNATURE_V1A, 0, "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1a, too short" },
        { false, SIGNATURE_V1, 0, "whsec_", "no key" },
        { false, SIGNATURE_V1, 0, "whsec_%%%%", "no base64" },
        { false, SIGNATURE_V1, 0, "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a public key" },
        { false, SIGNATURE_V1, 0, "", "nothing" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct endpoint_secret secret = { .key_size = 0 };
        bool sound = endpoint_secret_read(str_from_z(rows[i].text), &secret);
        assert_row(sound == rows[i].sound, rows[i].why);
        assert_row(secret.key_size == rows[i].key_size, rows[i].why);
        assert_row(!sound || secret.scheme == rows[i].scheme, rows[i].why);
    }
}

static void stands_at_its_limit(void **state)
{
    (void)state;
    char url[2050];
    memset(url, 'x', sizeof(url));
    memcpy(url, "https://hooks.example/", 22);
    assert_int_equal(endpoint_url_check((struct str){ url, 2048 }, NULL, NULL), STATUS_OK);
    assert_int_equal(endpoint_url_check((struct str){ url, 2049 }, NULL, NULL), STATUS_INVALID);
    assert_int_equal(endpoint_url_check(STR("https://hooks.example/\0x"), NULL, NULL),
                     STATUS_INVALID);
}

static void checks_header_lines(void **state)
{
    (void)state;
    const struct {
        bool allowed;
        struct str line;
        const char *why;
    } rows[] = {
        { true, STR("X-Account: 8841"), "usual" },
        { true, STR("Authorization: Bearer abc"), "for gateways" },
        { true, STR("X-A:b"), "no blank" },
        { true, STR("X-A: a:b"), "colon in the value" },
        { false, STR(""), "empty" },
        { false, STR("X-A"), "no colon" },
        { false, STR("X-A:"), "libcurl would take the header out" },
        { false, STR("X-A:  "), "the same with blanks" },
        { false, STR("X-A;"), "libcurl's empty header" },
        { false, STR(": x"), "no name" },
        { false, STR("X A: x"), "blank in the name" },
        { false, STR("X-A : x"), "blank before the colon" },
        { false, STR("X-A: x\r\nY: z"), "line end" },
        { false, STR("X-A: x\nY: z"), "bare line feed" },
        { false, STR("X-A: x\0y"), "NUL" },
        { false, STR("\r\nX-A: x"), "leading line end" },
        { false, STR("Host: other"), "reserved" },
        { false, STR("hOST: other"), "reserved, any case" },
        { false, STR("Content-Length: 0"), "reserved" },
        { false, STR("Transfer-Encoding: chunked"), "reserved" },
        { false, STR("Connection: close"), "reserved" },
        { false, STR("Content-Type: text/plain"), "reserved" },
        { false, STR("Webhook-Signature: v1,x"), "ours" },
        { false, STR("webhook-anything: x"), "ours" },
        { false, STR("Proxy-Authorization: x"), "the proxy's" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(endpoint_header_is_allowed(rows[i].line) == rows[i].allowed, rows[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks),
        cmocka_unit_test(goes_by_the_operators_ports),
        cmocka_unit_test(reads_secrets),
        cmocka_unit_test(stands_at_its_limit),
        cmocka_unit_test(checks_header_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
