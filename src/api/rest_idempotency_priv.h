#ifndef API_REST_IDEMPOTENCY_PRIV_H
#define API_REST_IDEMPOTENCY_PRIV_H

/*
 * Idempotency-Key around a creation. Memory: the request's arena.
 */

#include "api/resource.h"
#include "http/exchange.h"
#include "store/idempotency.h"

struct rest_idempotency {
    bool active; /* a key was sent and this is the first request with it */
    struct idempotency_key key;
    struct id seal_id;
};

/* False: answered already (a repeat, in progress, a mismatch, an error). */
bool rest_idempotency_begin(struct http_exchange *x, const struct resource_request *request,
                            struct rest_idempotency *once);
void rest_idempotency_end(const struct resource_request *request,
                          const struct rest_idempotency *once, enum status status,
                          const struct resource_answer *answer);

#endif
