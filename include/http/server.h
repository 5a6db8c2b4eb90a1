#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

/*
 * The HTTP edge: libmicrohttpd behind a header guard, absolute deadlines, a
 * route table, keys, and a pool of workers for handlers that may block.
 *
 * Inline routes run on libmicrohttpd's epoll threads and must not block; worker
 * routes are suspended and run on http's own threads, each with a context (a
 * database connection) opened by the caller. Everything is bounded: bodies,
 * bytes in flight, connections, the worker queue.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "core/access.h"
#include "http/exchange.h"

struct http_server;

typedef enum http_outcome http_handler_fn(struct http_exchange *x, void *app);

enum http_route_flag {
    HTTP_WORKER = 1 << 0,      /* may block: runs on a worker thread */
    HTTP_BODY_NEEDED = 1 << 1, /* a POST without a body is refused with 411 */
    HTTP_ADMIN = 1 << 2,       /* only on the admin listener */
    HTTP_BOTH = 1 << 3,        /* on both listeners */
    HTTP_ANY_BODY = 1 << 4,    /* not JSON only: hooks, NDJSON, form posts */
    HTTP_RAW_TOKEN = 1 << 5,   /* the path holds a secret: never logged */
    HTTP_PAGES = 1 << 6,       /* scripts of other origins may call it (CORS) */
};

struct http_route {
    enum http_method method; /* HTTP_GET answers HEAD too */
    const char *pattern;     /* "/v1/profiles/{id}/timeline" */
    http_handler_fn *handler;
    uint32_t scopes_any; /* one of these is needed; 0 is an open route */
    uint32_t flags;
    size_t body_limit_bytes; /* 0 means LIMIT_API_BODY_BYTES */
};

enum http_auth {
    HTTP_AUTH_OK,
    HTTP_AUTH_UNKNOWN,
    HTTP_AUTH_EXPIRED
};

/* Looks a bearer key up. Must not block (it runs on epoll threads); fills
 * *out_principal with text that lives in the arena. */
typedef enum http_auth http_authenticate_fn(void *app, struct arena *arena, struct str key,
                                            struct principal *out_principal);

/* May scripts of this origin ("https://aurora.example", "null") call HTTP_PAGES
 * routes at all? Asked before their request, when nobody knows yet which source it
 * is for; whether that one takes it is the handler's business. Must not block. */
typedef bool http_allow_origin_fn(void *app, struct str origin);

/* Counts and latencies for /metrics; called once per answered request. */
typedef void http_observe_fn(void *app, const char *pattern, unsigned http_status,
                             int64_t duration_us);

struct http_config {
    const char *listen;        /* "127.0.0.1:8080", "[::]:8080", "unix:/path", "fd:3" */
    const char *admin_listen;  /* NULL for none */
    const char *tls_cert_file; /* PEM; NULL for plain HTTP */
    const char *tls_key_file;
    const char *trusted_proxies; /* "unix", CIDR blocks, comma separated; NULL for none */
    unsigned epoll_threads;      /* 0 means half of the cores */
    unsigned worker_threads;
    size_t in_flight_bytes_max;
    size_t hook_body_bytes_max; /* replaces LIMIT_HOOK_BODY_BYTES of routes that have it */
    unsigned connections_max;
    unsigned connections_per_address_max; /* not applied to Unix sockets and trusted proxies */
    const struct http_route *routes;
    size_t route_count;
    http_authenticate_fn *authenticate;
    http_allow_origin_fn *allow_origin; /* NULL: none may */
    http_observe_fn *observe;
    void *app;                       /* passed to every callback and handler */
    void *(*worker_open)(void *app); /* NULL return: the server does not start */
    void (*worker_close)(void *app, void *context);
};

struct http_stats {
    unsigned connections;
    size_t in_flight_bytes;
    unsigned suspended;
    uint64_t refused_guard;
    uint64_t refused_overload;
    uint64_t reaped;
    uint64_t watchdog_answers;
};

/* Starts listening and serving. *out_server is untouched on failure. */
NODISCARD enum status http_server_start(const struct http_config *config,
                                        struct http_server **out_server, struct problem *problem);
/* The port actually bound (for ":0"), 0 for Unix sockets. */
uint16_t http_server_port(const struct http_server *server);
void http_server_stats(struct http_server *server, struct http_stats *out_stats);
/* SIGHUP: reads the certificate and key again. */
NODISCARD enum status http_server_reload_tls(struct http_server *server, struct problem *problem);
/* Graceful stop in two steps. Drain: accepts no new connection; new requests on
 * kept-alive ones get 503 "draining"; returns when no request is in progress or
 * the deadline passed. Destroy: stops the threads and frees. */
void http_server_drain(struct http_server *server, int64_t deadline_ms);
void http_server_destroy(struct http_server *server);

#endif
