#ifndef API_INBOUND_PRIV_H
#define API_INBOUND_PRIV_H

/*
 * A hook's request as verify and sources see it. Everything returned is borrowed
 * from the exchange or lives in its arena.
 */

#include "core/signature.h"
#include "core/source.h"
#include "http/exchange.h"
#include "sources/platform.h"

/* False when the arena is full. */
bool inbound_collect(struct http_exchange *x, const char *public_url, struct str token,
                     struct inbound *out_inbound);

/* What is stored with the raw body: the headers that a replay needs. */
struct str inbound_headers_json(struct arena *arena, const struct platform *platform,
                                const struct source *source, const struct inbound *inbound);

/* The topic that the headers claim; empty when they claim none. */
struct str inbound_topic(const struct platform *platform, const struct inbound *inbound);

/* Does it come from where the source's settings say? */
bool inbound_address_is_allowed(const struct source *source, const struct inbound *inbound);

#endif
