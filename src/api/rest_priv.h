#ifndef API_REST_PRIV_H
#define API_REST_PRIV_H

/*
 * From a request to a resource function and back. What a route takes beside
 * its path and body is a set of flags; anything else in its query is refused.
 */

#include "api/resource.h"
#include "http/exchange.h"

enum rest_flag {
    REST_PAGE = 1 << 0,     /* page_size, page_token */
    REST_TOTAL = 1 << 1,    /* include=total */
    REST_PROFILES = 1 << 2, /* order_by, lifecycle, identified, updated_since, filter */
    REST_SOURCE = 1 << 3,
    REST_TOPIC = 1 << 4,
    REST_PROFILE = 1 << 5,
    REST_SUBSCRIPTION = 1 << 6,
    REST_WRITE = 1 << 7,        /* validate_only */
    REST_CREATE = 1 << 8,       /* Idempotency-Key; a write, too */
    REST_CALLS_OUT = 1 << 9,    /* waits for somebody else's endpoint */
    REST_INLINE = 1 << 10,      /* needs no database: not on a worker */
    REST_TRANSITIONS = 1 << 11, /* rule, kind, cause, from, to */
    REST_VALUE = 1 << 12,       /* value, filter */
    REST_JOBS = 1 << 13,        /* kind, status */
    REST_CONTEXT = 1 << 14,
    REST_AS_OF = 1 << 15,
    REST_PRODUCTS = 1 << 17, /* source, product_id, sku */
    REST_EXPLAIN = 1 << 16,  /* rule; as_of, too */
    REST_WAY = 1 << 20,
    REST_RANGE = 1 << 21, /* from, to */
    REST_STATUS = 1 << 22,
    REST_OUTCOME = 1 << 23,
    REST_UNIVERSAL = 1 << 24, /* type, source, product_id */
    REST_INTERESTS = 1 << 25, /* source, product_id */
};

enum http_outcome rest_run(struct http_exchange *x, void *app, resource_fn *resource,
                           unsigned flags);

#endif
