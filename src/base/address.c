#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/*
 * One spelling of an address: sixteen bytes. IPv4 is mapped into IPv6 when it is read,
 * so nothing that compares ever asks for the family; a network is such bytes and how
 * many bits of them count. Rejected: names (trust would hang on DNS), and masks like
 * 255.255.0.0, which can be written so that they are no prefix.
 */

static const struct address_block MAPPED = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96 };

bool address_parse(struct str text, uint8_t out_bytes[16])
{
    char z[INET6_ADDRSTRLEN];
    if (text.size == 0 || text.size >= sizeof(z)) {
        return false;
    }
    memcpy(z, text.data, text.size);
    z[text.size] = '\0';
    uint8_t v4[4];
    if (inet_pton(AF_INET, z, v4) == 1) {
        memcpy(out_bytes, MAPPED.bytes, 12);
        memcpy(out_bytes + 12, v4, sizeof(v4));
        return true;
    }
    return inet_pton(AF_INET6, z, out_bytes) == 1;
}

bool address_block_parse(struct str text, struct address_block *out_block)
{
    struct str address = text;
    struct str bits_text = { NULL, 0 };
    bool has_bits = str_split(text, '/', &address, &bits_text);
    struct address_block block = { .prefix_bits = 128 };
    if (!address_parse(address, block.bytes)) {
        return false;
    }
    if (has_bits) {
        bool is_v4 = str_find(address, ':', 0) < 0;
        uint64_t bits = 0;
        if (!str_to_u64(bits_text, &bits) || bits > (is_v4 ? 32 : 128)) {
            return false;
        }
        block.prefix_bits = (unsigned)bits + (is_v4 ? 96 : 0);
    }
    *out_block = block;
    return true;
}

bool address_block_contains(const struct address_block *block, const uint8_t bytes[16])
{
    size_t whole = block->prefix_bits / 8;
    unsigned rest = block->prefix_bits % 8;
    if (memcmp(block->bytes, bytes, whole) != 0) {
        return false;
    }
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return rest == 0 || ((block->bytes[whole] ^ bytes[whole]) & mask) == 0;
}

bool address_is_v4(const uint8_t bytes[16])
{
    return address_block_contains(&MAPPED, bytes);
}
