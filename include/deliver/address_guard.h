#ifndef DELIVER_ADDRESS_GUARD_H
#define DELIVER_ADDRESS_GUARD_H

/*
 * May we open a connection to this address? Global unicast only, plus what the
 * operator allowed by name. Pure: it judges resolved addresses, never names, so
 * what is checked is what is connected to. Plain value; any thread once set up.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/status.h"
#include "base/str.h"

struct sockaddr;

/* An intranet has a handful of networks; 64 is a mistake in the file, not a
 * need. */
enum {
    ADDRESS_GUARD_BLOCKS_MAX = 64
};

struct address_guard {
    struct address_block allowed[ADDRESS_GUARD_BLOCKS_MAX];
    size_t allowed_count;
};

/* `allow_networks` lists CIDR blocks or single addresses, parted by commas or
 * blanks; NULL or empty allows none. STATUS_INVALID names the bad one,
 * STATUS_LIMIT says there are too many. */
NODISCARD enum status address_guard_init(struct address_guard *guard, const char *allow_networks,
                                         struct problem *problem);

/* False for any family but IPv4 and IPv6. */
bool address_guard_allows(const struct address_guard *guard, const struct sockaddr *address);

/* The same for an address in text ("10.0.0.1", "fe80::1", without brackets or
 * port). False when it is none. */
bool address_guard_allows_text(const struct address_guard *guard, struct str text);

/* Is this text an IPv4 or IPv6 address? */
bool address_text_is_literal(struct str text);

#endif
