#include "http/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Trusted proxies.
 *
 * Problem: X-Forwarded-For is a header like any other, so anyone may write
 * one; a proxy appends to what it was given. Invariant: the address we take is
 * the rightmost that no trusted proxy vouches for further, so a sender can
 * only ever add entries to the left of the truth. Rejected: the leftmost
 * entry, which is the sender's own claim, and names in the configuration,
 * which would make trust depend on DNS.
 */

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool block_parse(struct str text, struct proxies *proxies)
{
    size_t at = proxies->block_count;
    if (at == PROXIES_MAX || !address_block_parse(text, &proxies->blocks[at])) {
        return false;
    }
    proxies->block_count++;
    return true;
}

enum status proxies_parse(const char *text, struct proxies *out_proxies, struct problem *problem)
{
    struct proxies proxies = { 0 };
    struct str rest = str_from_z(text);
    while (rest.size > 0) {
        struct str piece = rest;
        struct str tail = { NULL, 0 };
        (void)str_split(rest, ',', &piece, &tail);
        rest = tail;
        piece = str_trim(piece);
        if (piece.size == 0) {
            continue;
        }
        if (str_equal(piece, STR("unix"))) {
            proxies.trusts_unix = true;
        } else if (!block_parse(piece, &proxies)) {
            return problem_set(problem, STATUS_INVALID, "invalid-field",
                               "trusted_proxies: \"%.*s\" is not \"unix\", an address or a block "
                               "such as 10.0.0.0/8 (at most %d)",
                               STR_ARG(piece), PROXIES_MAX);
        }
    }
    *out_proxies = proxies;
    return STATUS_OK;
}

struct proxies_address proxies_address_from(const struct sockaddr *address)
{
    struct proxies_address result = { .is_unix = true };
    if (address == NULL) {
        return result;
    }
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        memcpy(result.bytes, mapped_prefix, sizeof(mapped_prefix));
        memcpy(result.bytes + 12, &v4.sin_addr, 4);
        result.is_unix = false;
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        memcpy(result.bytes, &v6.sin6_addr, 16);
        result.is_unix = false;
    }
    return result;
}

bool proxies_address_parse(struct str text, struct proxies_address *out_address)
{
    struct proxies_address address = { 0 };
    struct str literal = str_trim(text);
    ptrdiff_t close = str_find(literal, ']', 0);
    if (literal.size > 0 && literal.data[0] == '[' && close > 0) {
        literal = str_drop(str_take(literal, (size_t)close), 1);
    } else {
        ptrdiff_t colon = str_find(literal, ':', 0);
        if (colon > 0 && str_find(literal, ':', (size_t)colon + 1) < 0) {
            literal = str_take(literal, (size_t)colon);
        }
    }
    if (!address_parse(literal, address.bytes)) {
        return false;
    }
    *out_address = address;
    return true;
}

void proxies_address_format(const struct proxies_address *address, char *text)
{
    if (address->is_unix) {
        memcpy(text, "unix", 5);
        return;
    }
    const char *written =
        address_is_v4(address->bytes)
            ? inet_ntop(AF_INET, address->bytes + 12, text, PROXIES_ADDRESS_TEXT_SIZE)
            : inet_ntop(AF_INET6, address->bytes, text, PROXIES_ADDRESS_TEXT_SIZE);
    if (written == NULL) {
        text[0] = '\0';
    }
}

void proxies_address_key(const struct proxies_address *address, uint8_t key[16])
{
    memcpy(key, address->bytes, 16);
    if (!address_is_v4(address->bytes)) {
        memset(key + 8, 0, 8);
    }
}

bool proxies_trust(const struct proxies *proxies, const struct proxies_address *address)
{
    if (address->is_unix) {
        return proxies->trusts_unix;
    }
    for (size_t i = 0; i < proxies->block_count; i++) {
        if (address_block_contains(&proxies->blocks[i], address->bytes)) {
            return true;
        }
    }
    return false;
}

static ptrdiff_t last_comma(struct str list)
{
    for (size_t i = list.size; i > 0; i--) {
        if (list.data[i - 1] == ',') {
            return (ptrdiff_t)i - 1;
        }
    }
    return -1;
}

struct proxies_address proxies_client(const struct proxies *proxies,
                                      const struct proxies_address *peer, struct str forwarded_for)
{
    struct proxies_address client = *peer;
    struct str rest = forwarded_for;
    while (rest.size > 0 && proxies_trust(proxies, &client)) {
        ptrdiff_t comma = last_comma(rest);
        struct str entry = comma < 0 ? rest : str_drop(rest, (size_t)comma + 1);
        rest = comma < 0 ? (struct str){ NULL, 0 } : str_take(rest, (size_t)comma);
        if (!proxies_address_parse(entry, &client)) {
            break;
        }
    }
    return client;
}

bool proxies_request_id(struct str text, struct id *out_id)
{
    enum {
        DIGITS = 32
    };
    static const size_t dash_before[] = { 8, 12, 16, 20 };
    if (text.size != DIGITS) {
        return id_parse(text, out_id);
    }
    char dashed[ID_TEXT_SIZE];
    size_t size = 0;
    size_t next = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        if (next < 4 && dash_before[next] == i) {
            dashed[size] = '-';
            size++;
            next++;
        }
        dashed[size] = text.data[i];
        size++;
    }
    return id_parse((struct str){ dashed, size }, out_id);
}
