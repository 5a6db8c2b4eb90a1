#ifndef SOURCES_SDK_H
#define SOURCES_SDK_H

/*
 * What pages and the analytics SDKs send (contract 8): a message, or a batch of
 * them.
 */

#include "sources/platform.h"

/* Headers under which the HTTP side says what a request is, so that a raw one
 * can be read again from what was kept of it. */
#define SDK_HEADER_KIND "x-shopbell-kind"       /* "track", ... "batch": the route's */
#define SDK_HEADER_ADDRESS "x-shopbell-address" /* of a browser, truncated */

/* Reads a body of a source whose platform is `sdk`. The good messages become
 * events, the bad ones are listed. STATUS_INVALID when there is nothing good in
 * it: to send it again will not help. */
NODISCARD enum status sdk_read(struct arena *arena, const struct source *source,
                               const struct inbound *inbound, struct canonical_batch *out_batch,
                               struct problem *problem);

/* An address as far as it may be kept: /24 or /48. Empty when it is none. */
struct str sdk_network(struct arena *arena, struct str address);

/* The write key within a body, without belief in anything else of it; empty when
 * there is none. Borrowed from the arena. */
struct str sdk_body_key(struct arena *arena, struct str body);

#endif
