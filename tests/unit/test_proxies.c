#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "http/proxies.h"
#include "unit.h"

static struct proxies parsed(const char *text)
{
    struct proxies proxies = { 0 };
    struct problem problem = { 0 };
    if (proxies_parse(text, &proxies, &problem) != STATUS_OK) {
        fail_msg("%s: %s", text, problem.detail);
    }
    return proxies;
}

static void configuration_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        size_t blocks;
        bool trusts_unix;
    } rows[] = {
        { NULL, true, 0, false },
        { "", true, 0, false },
        { "unix", true, 0, true },
        { "10.0.0.0/8", true, 1, false },
        { " unix , 10.0.0.0/8,192.0.2.1, 2001:db8::/32 ", true, 3, true },
        { "0.0.0.0/0", true, 1, false },
        { "10.0.0.0/33", false, 0, false },
        { "2001:db8::/129", false, 0, false },
        { "10.0.0.0/", false, 0, false },
        { "10.0.0/8", false, 0, false },
        { "proxy.example", false, 0, false },
        { "10.0.0.0/8/8", false, 0, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *why = rows[i].text != NULL ? rows[i].text : "NULL";
        struct proxies proxies = { .block_count = 77 };
        enum status status = proxies_parse(rows[i].text, &proxies, NULL);
        assert_row((status == STATUS_OK) == rows[i].good, why);
        if (rows[i].good) {
            assert_row(proxies.block_count == rows[i].blocks, why);
            assert_row(proxies.trusts_unix == rows[i].trusts_unix, why);
        } else {
            assert_row(proxies.block_count == 77, why);
        }
    }
}

static void too_many_blocks_are_refused(void **state)
{
    (void)state;
    char text[(PROXIES_MAX + 1) * 8 + 1] = "";
    for (size_t i = 0; i < PROXIES_MAX; i++) {
        memcpy(text + i * 8, "1.2.3.4,", 9);
    }
    assert_int_equal(parsed(text).block_count, PROXIES_MAX);
    memcpy(text + (size_t)PROXIES_MAX * 8, "1.2.3.4", 8);
    struct proxies proxies;
    assert_int_equal(proxies_parse(text, &proxies, NULL), STATUS_INVALID);
}

static void blocks_match_to_the_bit(void **state)
{
    (void)state;
    static const struct {
        const char *block;
        const char *address;
        bool inside;
    } rows[] = {
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "192.0.2.128/25", "192.0.2.128", true },
        { "192.0.2.128/25", "192.0.2.127", false },
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.0", false },
        { "0.0.0.0/0", "198.51.100.7", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "10.0.0.0/8", "::ffff:10.1.2.3", true },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "::1", "::1", true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct proxies proxies = parsed(rows[i].block);
        struct proxies_address address;
        assert_true(proxies_address_parse(str_from_z(rows[i].address), &address));
        assert_row(proxies_trust(&proxies, &address) == rows[i].inside, rows[i].address);
    }
}

static void the_client_is_the_rightmost_stranger(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *trusted;
        const char *peer; /* NULL is a Unix socket */
        const char *forwarded;
        const char *client;
    } rows[] = {
        { "nobody is trusted", "", "192.0.2.9", "198.51.100.1", "192.0.2.9" },
        { "a stranger's header does not count", "10.0.0.0/8", "192.0.2.9", "198.51.100.1",
          "192.0.2.9" },
        { "one proxy", "10.0.0.0/8", "10.0.0.1", "198.51.100.1", "198.51.100.1" },
        { "what the sender wrote stands left", "10.0.0.0/8", "10.0.0.1",
          "203.0.113.5, 198.51.100.1", "198.51.100.1" },
        { "two proxies", "10.0.0.0/8", "10.0.0.1", "203.0.113.5, 198.51.100.1, 10.0.0.2",
          "198.51.100.1" },
        { "all trusted: the leftmost", "10.0.0.0/8", "10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3" },
        { "no header", "10.0.0.0/8", "10.0.0.1", "", "10.0.0.1" },
        { "garbage ends the walk", "10.0.0.0/8", "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1" },
        { "garbage behind a proxy", "10.0.0.0/8", "10.0.0.1", "junk, 10.0.0.2", "10.0.0.2" },
        { "a port", "10.0.0.0/8", "10.0.0.1", "198.51.100.1:4711", "198.51.100.1" },
        { "IPv6 in brackets", "10.0.0.0/8", "10.0.0.1", "[2001:db8::7]:443", "2001:db8::7" },
        { "nginx on a Unix socket", "unix", NULL, "2001:db8::7", "2001:db8::7" },
        { "a Unix socket that is not trusted", "10.0.0.0/8", NULL, "2001:db8::7", "unix" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct proxies proxies = parsed(rows[i].trusted);
        struct proxies_address peer = { .is_unix = true };
        if (rows[i].peer != NULL) {
            assert_true(proxies_address_parse(str_from_z(rows[i].peer), &peer));
        }
        struct proxies_address client =
            proxies_client(&proxies, &peer, str_from_z(rows[i].forwarded));
        char text[PROXIES_ADDRESS_TEXT_SIZE];
        proxies_address_format(&client, text);
        assert_row(strcmp(text, rows[i].client) == 0, rows[i].why);
    }
}

static void senders_are_counted_by_network(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "::ffff:192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true },
        { "2001:db8:0:1::1", "2001:db8:0:2::1", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct proxies_address a;
        struct proxies_address b;
        uint8_t key_a[16];
        uint8_t key_b[16];
        assert_true(proxies_address_parse(str_from_z(rows[i].a), &a));
        assert_true(proxies_address_parse(str_from_z(rows[i].b), &b));
        proxies_address_key(&a, key_a);
        proxies_address_key(&b, key_b);
        assert_row((memcmp(key_a, key_b, 16) == 0) == rows[i].same, rows[i].b);
    }
}

static void socket_addresses_are_read(void **state)
{
    (void)state;
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr), 1);
    struct proxies_address a = proxies_address_from((const struct sockaddr *)&v4);
    struct proxies_address b = proxies_address_from((const struct sockaddr *)&v6);
    assert_memory_equal(a.bytes, b.bytes, 16);
    assert_false(a.is_unix);
    assert_true(proxies_address_from(NULL).is_unix);
}

static void request_ids_are_uuids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *id; /* NULL: refused */
    } rows[] = {
        { "0199d310-0000-7000-8000-00000000000f", "0199d310-0000-7000-8000-00000000000f" },
        { "0199D31000007000800000000000000F", "0199d310-0000-7000-8000-00000000000f" },
        { "0199d31000007000800000000000000", NULL },
        { "0199d31000007000800000000000000g", NULL },
        { "", NULL },
        { "<script>", NULL },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct id id = ID_ZERO;
        bool good = proxies_request_id(str_from_z(rows[i].text), &id);
        assert_row(good == (rows[i].id != NULL), rows[i].text);
        if (good) {
            char text[ID_TEXT_SIZE];
            id_format(id, text);
            assert_string_equal(text, rows[i].id);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_is_read),
        cmocka_unit_test(too_many_blocks_are_refused),
        cmocka_unit_test(blocks_match_to_the_bit),
        cmocka_unit_test(the_client_is_the_rightmost_stranger),
        cmocka_unit_test(senders_are_counted_by_network),
        cmocka_unit_test(socket_addresses_are_read),
        cmocka_unit_test(request_ids_are_uuids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
