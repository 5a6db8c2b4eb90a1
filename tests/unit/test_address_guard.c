#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "deliver/address_guard.h"
#include "unit.h"

/* Through a sockaddr, as libcurl hands it over. */
static bool allows(const struct address_guard *guard, const char *text)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(443) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(443) };
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        return address_guard_allows(guard, (const struct sockaddr *)(const void *)&v4);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_guard_allows(guard, (const struct sockaddr *)(const void *)&v6);
}

static void judges_addresses(void **state)
{
    (void)state;
    static const struct {
        bool allowed;
        const char *address;
        const char *why;
    } rows[] = {
        { true, "1.1.1.1", "public" },
        { true, "8.8.8.8", "public" },
        { true, "93.184.216.34", "public" },
        { true, "223.255.255.255", "the last before multicast" },
        { true, "9.255.255.255", "before 10/8" },
        { true, "11.0.0.0", "behind 10/8" },
        { true, "126.255.255.255", "before loopback" },
        { true, "128.0.0.0", "behind loopback" },
        { true, "100.63.255.255", "before 100.64/10" },
        { true, "100.128.0.0", "behind 100.64/10" },
        { true, "172.15.255.255", "before 172.16/12" },
        { true, "172.32.0.0", "behind 172.16/12" },
        { true, "169.253.255.255", "before link-local" },
        { true, "169.255.0.0", "behind link-local" },
        { true, "192.167.255.255", "before 192.168/16" },
        { true, "192.169.0.0", "behind 192.168/16" },
        { true, "192.0.1.0", "between two blocks" },
        { true, "198.17.255.255", "before benchmarks" },
        { true, "198.20.0.0", "behind benchmarks" },
        { true, "203.0.112.255", "before documentation" },
        { true, "203.0.114.0", "behind documentation" },
        { true, "168.63.129.15", "beside Azure's host" },
        { false, "0.0.0.0", "this host" },
        { false, "0.255.255.255", "this network" },
        { false, "10.0.0.0", "private" },
        { false, "10.255.255.255", "private" },
        { false, "100.64.0.0", "carrier-grade NAT" },
        { false, "100.127.255.255", "carrier-grade NAT" },
        { false, "100.100.100.200", "Alibaba's metadata" },
        { false, "127.0.0.1", "loopback" },
        { false, "127.255.255.254", "all of it is loopback" },
        { false, "168.63.129.16", "Azure's host" },
        { false, "169.254.169.254", "cloud metadata" },
        { false, "169.254.0.0", "link-local" },
        { false, "172.16.0.0", "private" },
        { false, "172.31.255.255", "private" },
        { false, "192.0.0.192", "Oracle's metadata" },
        { false, "192.0.2.1", "documentation" },
        { false, "192.88.99.1", "6to4 relay" },
        { false, "192.168.0.0", "private" },
        { false, "192.168.255.255", "private" },
        { false, "198.18.0.0", "benchmarks" },
        { false, "198.19.255.255", "benchmarks" },
        { false, "198.51.100.7", "documentation" },
        { false, "203.0.113.7", "documentation" },
        { false, "224.0.0.1", "multicast" },
        { false, "239.255.255.250", "multicast" },
        { false, "240.0.0.1", "reserved" },
        { false, "255.255.255.255", "broadcast" },
        { true, "2606:4700:4700::1111", "public" },
        { true, "2a00:1450:4001::1", "public" },
        { true, "2000::1", "the first of global unicast" },
        { true, "2001:200::1", "behind the protocol assignments" },
        { true, "2001:db7:ffff::1", "before documentation" },
        { true, "2001:db9::", "behind documentation" },
        { true, "2003::1", "behind 6to4" },
        { true, "3fff:1000::", "behind documentation" },
        { false, "::", "unspecified" },
        { false, "::1", "loopback" },
        { false, "::2", "compatible, of 0.0.0.2" },
        { false, "::7f00:1", "loopback, compatible" },
        { false, "::ffff:127.0.0.1", "loopback, mapped" },
        { false, "::ffff:10.1.2.3", "private, mapped" },
        { false, "::ffff:169.254.169.254", "metadata, mapped" },
        { true, "::ffff:8.8.8.8", "public, mapped" },
        { false, "::ffff:0:8.8.8.8", "SIIT is not mapped" },
        { true, "64:ff9b::8.8.8.8", "public by NAT64" },
        { false, "64:ff9b::10.0.0.1", "private by NAT64" },
        { false, "64:ff9b::127.0.0.1", "loopback by NAT64" },
        { false, "64:ff9b:1::8.8.8.8", "local NAT64" },
        { false, "100::1", "discard" },
        { false, "2001::1", "Teredo" },
        { false, "2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo" },
        { false, "2001:2::1", "benchmarks" },
        { false, "2001:10::1", "ORCHID" },
        { false, "2001:20::1", "ORCHID 2" },
        { false, "2001:db8::1", "documentation" },
        { false, "2002:7f00:1::1", "6to4 of loopback" },
        { false, "2002:0808:0808::1", "6to4 of a public one" },
        { false, "3ffe::1", "6bone" },
        { false, "3fff::1", "documentation" },
        { false, "3fff:0fff::1", "documentation" },
        { false, "4000::1", "behind global unicast" },
        { false, "5f00::1", "segment routing" },
        { false, "fc00::1", "unique local" },
        { false, "fd00:ec2::254", "Amazon's metadata" },
        { false, "fe80::1", "link-local" },
        { false, "febf::1", "link-local" },
        { false, "fec0::1", "site-local" },
        { false, "ff02::1", "multicast" },
    };
    struct address_guard guard;
    assert_int_equal(address_guard_init(&guard, NULL, NULL), STATUS_OK);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_row(allows(&guard, rows[i].address) == rows[i].allowed, rows[i].why);
        assert_row(address_guard_allows_text(&guard, str_from_z(rows[i].address)) ==
                       rows[i].allowed,
                   rows[i].why);
    }
}

static void obeys_the_operator(void **state)
{
    (void)state;
    static const struct {
        bool allowed;
        const char *networks;
        const char *address;
        const char *why;
    } rows[] = {
        { true, "127.0.0.0/8", "127.0.0.1", "named" },
        { true, "127.0.0.0/8", "::ffff:127.0.0.1", "named, mapped" },
        { false, "127.0.0.0/8", "::1", "the other loopback was not" },
        { false, "127.0.0.0/8", "10.0.0.1", "not named" },
        { true, "127.0.0.0/8", "8.8.8.8", "what is public stays allowed" },
        { true, "10.1.0.0/16, 10.3.0.0/16", "10.3.0.1", "the second of two" },
        { false, "10.1.0.0/16, 10.3.0.0/16", "10.2.255.255", "between the two" },
        { true, "10.1.2.3", "10.1.2.3", "one address" },
        { false, "10.1.2.3", "10.1.2.4", "its neighbour" },
        { true, "10.1.2.128/25", "10.1.2.128", "an odd prefix" },
        { false, "10.1.2.128/25", "10.1.2.127", "an odd prefix" },
        { true, "0.0.0.0/0", "192.168.1.1", "all of IPv4" },
        { false, "0.0.0.0/0", "fd00::1", "all of IPv4 only" },
        { true, "fd00::/8\n::1", "::1", "IPv6, parted by lines" },
        { true, "fd00::/8\n::1", "fd12::1", "IPv6" },
        { false, "fd00::/8", "fc00::1", "IPv6, beside it" },
        { true, "::/0", "127.0.0.1", "everything" },
        { false, "10.0.0.0/8", "2002:0a00:0001::1", "6to4 does not come in by the IPv4 block" },
        { true, "64:ff9b:1::/48", "64:ff9b:1::10.0.0.1", "local NAT64, named" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct address_guard guard;
        assert_int_equal(address_guard_init(&guard, rows[i].networks, NULL), STATUS_OK);
        assert_row(allows(&guard, rows[i].address) == rows[i].allowed, rows[i].why);
    }
}

static void refuses_bad_networks(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "10.0.0.0/33", "10.0.0.0/-1",  "10.0.0.0/",      "10.0.0/8",    "ten",
        "::1/129",     "fe80::1%lo",   "10.0.0.0/8;::1", "/8",          "127.0.0.1:80",
        "0x7f.0.0.1",  "10.0.0.0/8/8", "localhost",      "10.0.0.0/ 8",
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct address_guard guard = { .allowed_count = 7 };
        struct problem problem;
        assert_row(address_guard_init(&guard, rows[i], &problem) == STATUS_INVALID, rows[i]);
        assert_int_equal(guard.allowed_count, 7); /* untouched */
    }
}

static void counts_networks(void **state)
{
    (void)state;
    char text[(ADDRESS_GUARD_BLOCKS_MAX + 1) * 12 + 1] = "";
    for (size_t i = 0; i < ADDRESS_GUARD_BLOCKS_MAX; i++) {
        memcpy(text + i * 12, "10.0.0.0/08,", 13);
    }
    struct address_guard guard;
    assert_int_equal(address_guard_init(&guard, text, NULL), STATUS_OK);
    memcpy(text + (size_t)ADDRESS_GUARD_BLOCKS_MAX * 12, "10.0.0.0/08,", 13);
    assert_int_equal(address_guard_init(&guard, text, NULL), STATUS_LIMIT);
}

static void knows_only_internet_addresses(void **state)
{
    (void)state;
    struct address_guard guard;
    assert_int_equal(address_guard_init(&guard, "0.0.0.0/0 ::/0", NULL), STATUS_OK);
    struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "/run/x" };
    assert_false(address_guard_allows(&guard, (const struct sockaddr *)(const void *)&local));
    static const char *const texts[] = {
        "", "[::1]", "::1%lo", "127.1", "example.com", "1.2.3.4 "
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_row(!address_guard_allows_text(&guard, str_from_z(texts[i])), texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_addresses),
        cmocka_unit_test(obeys_the_operator),
        cmocka_unit_test(refuses_bad_networks),
        cmocka_unit_test(counts_networks),
        cmocka_unit_test(knows_only_internet_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
