#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

/*
 * IP addresses and networks as values: who may be called, whose word counts,
 * where a sender may come from. Text in, bytes out; no name is ever resolved.
 *
 * IPv4 is ::ffff:a.b.c.d, so that one comparison serves both families.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct address_block {
    uint8_t bytes[16];
    unsigned prefix_bits; /* of 128 */
};

/* A literal without brackets or port; false when it is none. */
bool address_parse(struct str text, uint8_t out_bytes[16]);
/* "10.0.0.0/8", "2001:db8::/32", or a single address. */
bool address_block_parse(struct str text, struct address_block *out_block);
bool address_block_contains(const struct address_block *block, const uint8_t bytes[16]);
bool address_is_v4(const uint8_t bytes[16]);

#endif
