#include "deliver/address_guard.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Who names a URL names a machine that we then talk to from inside the
 * operator's network. So the address decides, at the moment of connecting.
 *
 * Invariant: an address passes if it is global unicast after the IPv4 that
 * hides in it was taken out, or if it lies in a block that the operator
 * allowed. IPv6 has the rule (2000::/3 is all that is global) with the holes
 * that IANA's registries cut in it; IPv4 has no rule, only the registry.
 *
 * IPv4 inside IPv6: the mapped, the compatible and the well-known nat64 forms
 * reach exactly that IPv4 host, so they are judged as it. 6to4 and Teredo reach
 * it through a relay of strangers and have no honest use any more: refused
 * whole, as is local nat64, whose layout only its operator knows (who may allow
 * the block).
 *
 * Rejected: judging the text of a URL (decimal, octal, names that resolve
 * inside, rebinding between check and use).
 */

#define BLOCK_V4(a, b, c, d, bits)                                            \
    {                                                                         \
        { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }, 96 + (bits) \
    }

static const struct address_block refused_v4[] = {
    BLOCK_V4(0, 0, 0, 0, 8),        /* this network */
    BLOCK_V4(10, 0, 0, 0, 8),       /* private */
    BLOCK_V4(100, 64, 0, 0, 10),    /* carrier-grade NAT; Alibaba's metadata */
    BLOCK_V4(127, 0, 0, 0, 8),      /* loopback */
    BLOCK_V4(168, 63, 129, 16, 32), /* Azure's host agent, in public space */
    BLOCK_V4(169, 254, 0, 0, 16),   /* link-local; metadata of most clouds */
    BLOCK_V4(172, 16, 0, 0, 12),    /* private */
    BLOCK_V4(192, 0, 0, 0, 24),     /* protocol assignments; Oracle's metadata */
    BLOCK_V4(192, 0, 2, 0, 24),     /* documentation */
    BLOCK_V4(192, 88, 99, 0, 24),   /* 6to4 relays */
    BLOCK_V4(192, 168, 0, 0, 16),   /* private */
    BLOCK_V4(198, 18, 0, 0, 15),    /* benchmarks */
    BLOCK_V4(198, 51, 100, 0, 24),  /* documentation */
    BLOCK_V4(203, 0, 113, 0, 24),   /* documentation */
    BLOCK_V4(224, 0, 0, 0, 4),      /* multicast */
    BLOCK_V4(240, 0, 0, 0, 4),      /* reserved, broadcast */
};

static const struct address_block global_v6 = { { 0x20 }, 3 };

static const struct address_block refused_v6[] = {
    { { 0x20, 0x01, 0x00 }, 23 },       /* protocol assignments: Teredo, ORCHID, tests */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
    { { 0x20, 0x02 }, 16 },             /* 6to4 */
    { { 0x3f, 0xfe }, 16 },             /* the former 6bone */
    { { 0x3f, 0xff, 0x00 }, 20 },       /* documentation */
};

static const struct address_block mapped = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96 };
static const struct address_block compatible = { { 0 }, 96 };
static const struct address_block nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };

static bool any_contains(const struct address_block *blocks, size_t count, const uint8_t bytes[16])
{
    for (size_t i = 0; i < count; i++) {
        if (address_block_contains(&blocks[i], bytes)) {
            return true;
        }
    }
    return false;
}

static void make_mapped(const void *v4, uint8_t out_bytes[16])
{
    uint8_t last[4];
    memcpy(last, v4, sizeof(last));
    memcpy(out_bytes, mapped.bytes, 12);
    memcpy(out_bytes + 12, last, sizeof(last));
}

static bool bytes_are_global(const uint8_t bytes[16])
{
    uint8_t canonical[16];
    memcpy(canonical, bytes, sizeof(canonical));
    if (address_block_contains(&compatible, bytes) || address_block_contains(&nat64, bytes)) {
        make_mapped(bytes + 12, canonical);
    }
    if (address_block_contains(&mapped, canonical)) {
        return !any_contains(refused_v4, ARRAY_COUNT(refused_v4), canonical);
    }
    return address_block_contains(&global_v6, canonical) &&
           !any_contains(refused_v6, ARRAY_COUNT(refused_v6), canonical);
}

static bool bytes_are_allowed(const struct address_guard *guard, const uint8_t bytes[16])
{
    return bytes_are_global(bytes) || any_contains(guard->allowed, guard->allowed_count, bytes);
}

enum status address_guard_init(struct address_guard *guard, const char *allow_networks,
                               struct problem *problem)
{
    struct address_guard fresh = { .allowed_count = 0 };
    const char *rest = allow_networks == NULL ? "" : allow_networks;
    for (;;) {
        rest += strspn(rest, ", \t\r\n");
        struct str word = { rest, strcspn(rest, ", \t\r\n") };
        if (word.size == 0) {
            break;
        }
        if (fresh.allowed_count == ADDRESS_GUARD_BLOCKS_MAX) {
            return problem_set(problem, STATUS_LIMIT, "limit-reached",
                               "allow_networks may list %d networks", ADDRESS_GUARD_BLOCKS_MAX);
        }
        if (!address_block_parse(word, &fresh.allowed[fresh.allowed_count])) {
            return problem_set(problem, STATUS_INVALID, "invalid-field",
                               "\"%.*s\" in allow_networks is not a network such as 10.1.0.0/16",
                               STR_ARG(word));
        }
        fresh.allowed_count++;
        rest += word.size;
    }
    *guard = fresh;
    return STATUS_OK;
}

bool address_guard_allows(const struct address_guard *guard, const struct sockaddr *address)
{
    uint8_t bytes[16];
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        make_mapped(&v4.sin_addr, bytes);
        return bytes_are_allowed(guard, bytes);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        memcpy(bytes, &v6.sin6_addr, sizeof(bytes));
        return bytes_are_allowed(guard, bytes);
    }
    return false;
}

bool address_guard_allows_text(const struct address_guard *guard, struct str text)
{
    uint8_t bytes[16];
    return address_parse(text, bytes) && bytes_are_allowed(guard, bytes);
}

bool address_text_is_literal(struct str text)
{
    uint8_t bytes[16];
    return address_parse(text, bytes);
}
