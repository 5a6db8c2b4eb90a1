#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

/*
 * Is this request head free of doubt? libmicrohttpd 0.9.75 accepts heads that
 * two readers understand differently; the guard refuses them before a byte of
 * the body is read.
 *
 * Pure and total; borrows everything. The facts it collects on its one pass
 * over the headers are what the rest of the edge needs, so that nobody looks
 * a header up a second time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "http/exchange.h"
#include "http/target.h"

struct http_header {
    struct str name;
    struct str value;
};

struct guard_request {
    struct str method;
    struct str version;
    struct str raw_target;
    const struct http_header *headers;
    size_t header_count;
    size_t headers_seen; /* may exceed header_count when the collector ran out of room */
};

enum guard_verdict {
    GUARD_OK,
    GUARD_VERSION,           /* not exactly HTTP/1.0 or HTTP/1.1 */
    GUARD_METHOD,            /* not one of enum http_method */
    GUARD_TARGET,            /* control byte, %00, wrong form, ... */
    GUARD_TARGET_TOO_LONG,   /* 414 */
    GUARD_HEADERS_TOO_MANY,  /* 431 */
    GUARD_HEADER_NAME,       /* empty, or a byte that is no tchar */
    GUARD_HEADER_VALUE,      /* a control byte other than HTAB */
    GUARD_LOOKALIKE,         /* Content-Length3, Transfer_Encoding: what a fold leaves behind */
    GUARD_HOST,              /* none, two, malformed, or not the target's */
    GUARD_CONTENT_LENGTH,    /* two, or no number */
    GUARD_LENGTH_AND_CODING, /* Content-Length with Transfer-Encoding */
    GUARD_TRANSFER_CODING,   /* two, empty, or on HTTP/1.0 */
    GUARD_CODING_UNKNOWN,    /* 501: a coding that is not chunked */
    GUARD_BODY_UNEXPECTED,   /* GET, HEAD, DELETE or OPTIONS with a body */
    GUARD_AUTHORIZATION,     /* two of them */
};

struct guard_facts {
    enum http_method method;
    bool is_http_1_0;
    bool is_chunked;
    bool has_content_length;
    uint64_t content_length; /* 0 when absent */
    bool has_authorization;
    struct str host;
    struct str authorization;
    struct str content_type;
    struct str forwarded_for; /* the last X-Forwarded-For field */
    struct str request_id;    /* X-Request-Id as sent */
    struct target target;
};

/* *out_facts is untouched unless the verdict is GUARD_OK. */
enum guard_verdict guard_check(const struct guard_request *request, struct guard_facts *out_facts);

/* What the sender is told; static text without anything of the request. */
unsigned guard_http_status(enum guard_verdict verdict);
const char *guard_problem_type(enum guard_verdict verdict);
const char *guard_reason(enum guard_verdict verdict);
/* "length-and-coding", for logs. */
const char *guard_verdict_name(enum guard_verdict verdict);

#endif
