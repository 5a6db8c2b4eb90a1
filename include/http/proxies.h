#ifndef HTTP_PROXIES_H
#define HTTP_PROXIES_H

/*
 * Which peers speak for others: "unix", CIDR blocks and single addresses,
 * comma separated. Only such a peer's X-Forwarded-For and X-Request-Id count.
 *
 * A plain value; pure but for nothing: no name is ever resolved.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"

struct sockaddr;

enum {
    PROXIES_MAX = 32,
    PROXIES_ADDRESS_TEXT_SIZE = 46
};

/* IPv6, or IPv4 as ::ffff:a.b.c.d, so that both compare alike. */
struct proxies_address {
    uint8_t bytes[16];
    bool is_unix; /* bytes are zero */
};

struct proxies {
    bool trusts_unix;
    size_t block_count;
    struct address_block blocks[PROXIES_MAX];
};

/* NULL or "" trusts nobody. */
NODISCARD enum status proxies_parse(const char *text, struct proxies *out_proxies,
                                    struct problem *problem);

struct proxies_address proxies_address_from(const struct sockaddr *address);
/* False when the text is no literal address; brackets and a port are allowed. */
bool proxies_address_parse(struct str text, struct proxies_address *out_address);
/* PROXIES_ADDRESS_TEXT_SIZE bytes; "unix" for a Unix socket. */
void proxies_address_format(const struct proxies_address *address, char *text);
/* One sender: an IPv4 address, or an IPv6 network of 64 bits. */
void proxies_address_key(const struct proxies_address *address, uint8_t key[16]);

bool proxies_trust(const struct proxies *proxies, const struct proxies_address *address);

/* Who sent this: the peer, or when the peer is trusted the rightmost address
 * of X-Forwarded-For that is not. An unreadable entry ends the walk. */
struct proxies_address proxies_client(const struct proxies *proxies,
                                      const struct proxies_address *peer, struct str forwarded_for);

/* An X-Request-Id that may be taken over: a UUID, or its 32 digits as nginx
 * writes them. */
bool proxies_request_id(struct str text, struct id *out_id);

#endif
