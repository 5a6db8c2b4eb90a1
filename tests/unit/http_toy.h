#ifndef TESTS_UNIT_HTTP_TOY_H
#define TESTS_UNIT_HTTP_TOY_H

/*
 * A server with toy routes and shortened clocks, and raw sockets to throw at
 * it; shared by the tests that see the edge from outside. Nothing here knows
 * how the server is made.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/log.h"
#include "http/server.h"
#include "http/tuning.h"
#include "unit.h"

enum {
    ANSWER_SIZE_MAX = 64 * 1024,
    QUIET_MS = 150, /* nothing more is coming */
    ANSWER_MS = 400,
    HEADERS_MS = 600,
    BODY_MS = 600,
    LINGER_MS = 600,
    TICK_MS = 20,
};

/* ---- toy routes ---------------------------------------------------------- */

struct toy {
    struct http_server *server;
    uint16_t port;
    _Atomic(struct http_exchange *) held; /* what /v1/stuck keeps */
    atomic_int observed;
    atomic_int contexts;
    atomic_int started_slow;
};

static inline enum http_outcome echo(struct http_exchange *x, void *app)
{
    (void)app;
    http_reply(x, 200, "application/octet-stream", http_body(x));
    return HTTP_DONE;
}

/* Body size and sum only, for bodies too large to send back. */
static inline enum http_outcome measure(struct http_exchange *x, void *app)
{
    (void)app;
    struct str body = http_body(x);
    unsigned sum = 0;
    for (size_t i = 0; i < body.size; i++) {
        sum += (unsigned char)body.data[i];
    }
    http_reply_json(x, 200, str_printf(http_arena(x), "{\"size\":%zu,\"sum\":%u}", body.size, sum));
    return HTTP_DONE;
}

static inline enum http_outcome show(struct http_exchange *x, void *app)
{
    (void)app;
    const struct principal *principal = http_principal(x);
    struct str id = http_path_param(x, "id");
    struct str query = http_query(x, "q");
    http_reply_header(x, "ETag", STR("\"1\""));
    http_reply_json(x, 200,
                    str_printf(http_arena(x), "{\"id\":\"%.*s\",\"q\":\"%.*s\",\"key\":\"%.*s\"}",
                               STR_ARG(id), STR_ARG(query),
                               STR_ARG(principal != NULL ? principal->key_name : id)));
    return HTTP_DONE;
}

static inline void *complete_later(void *cls)
{
    struct http_exchange *x = cls;
    http_reply_json(x, 200, STR("{\"pending\":true}"));
    http_complete(x);
    return NULL;
}

static inline enum http_outcome pending(struct http_exchange *x, void *app)
{
    (void)app;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, &complete_later, x), 0);
    pthread_detach(thread);
    return HTTP_PENDING;
}

/* Completed before the edge learns that it is pending. */
static inline enum http_outcome hasty(struct http_exchange *x, void *app)
{
    (void)app;
    (void)complete_later(x);
    return HTTP_PENDING;
}

static inline enum http_outcome stuck(struct http_exchange *x, void *app)
{
    struct toy *toy = app;
    atomic_store(&toy->held, x);
    return HTTP_PENDING;
}

static inline enum http_outcome work(struct http_exchange *x, void *app)
{
    struct toy *toy = app;
    assert_ptr_equal(http_worker_context(x), &toy->contexts);
    http_reply_json(x, 200, STR("{\"worker\":true}"));
    return HTTP_DONE;
}

static inline enum http_outcome slow(struct http_exchange *x, void *app)
{
    struct toy *toy = app;
    struct timespec wait = { .tv_nsec = 200000000 };
    atomic_fetch_add(&toy->started_slow, 1);
    (void)nanosleep(&wait, NULL);
    http_reply_json(x, 200, STR("{\"slow\":true}"));
    return HTTP_DONE;
}

static inline enum http_outcome silent(struct http_exchange *x, void *app)
{
    (void)x;
    (void)app;
    return HTTP_DONE;
}

static inline enum http_outcome fault(struct http_exchange *x, void *app)
{
    (void)app;
    struct problem problem;
    enum status status =
        problem_set(&problem, STATUS_BROKEN, "internal", "the disk of db7 is full");
    http_reply_status(x, status, &problem);
    return HTTP_DONE;
}

static inline enum http_outcome invalid(struct http_exchange *x, void *app)
{
    (void)app;
    struct problem problem;
    enum status status = problem_set(&problem, STATUS_INVALID, "unknown-field", "no \"nme\"");
    problem_point(&problem, "#/nme");
    http_reply_status(x, status, &problem);
    return HTTP_DONE;
}

static inline enum http_auth authenticate(void *app, struct arena *arena, struct str key,
                                          struct principal *out_principal)
{
    (void)app;
    if (str_equal(key, STR("old"))) {
        return HTTP_AUTH_EXPIRED;
    }
    if (!str_equal(key, STR("reader")) && !str_equal(key, STR("writer"))) {
        return HTTP_AUTH_UNKNOWN;
    }
    out_principal->scopes = str_equal(key, STR("reader")) ? SCOPE_READ : SCOPE_INGEST;
    out_principal->key_name = str_dup(arena, key);
    return HTTP_AUTH_OK;
}

static inline void observe(void *app, const char *pattern, unsigned http_status,
                           int64_t duration_us)
{
    struct toy *toy = app;
    assert_non_null(pattern);
    assert_in_range(http_status, 200, 599);
    assert_true(duration_us >= 0);
    atomic_fetch_add(&toy->observed, 1);
}

static inline void *open_context(void *app)
{
    struct toy *toy = app;
    atomic_fetch_add(&toy->contexts, 1);
    return &toy->contexts;
}

static inline void close_context(void *app, void *context)
{
    struct toy *toy = app;
    assert_ptr_equal(context, &toy->contexts);
    atomic_fetch_sub(&toy->contexts, 1);
}

static const struct http_route toy_routes[] = {
    { HTTP_POST, "/v1/echo", &echo, 0, HTTP_ANY_BODY, 0 },
    { HTTP_POST, "/v1/hooks/{token}", &measure, 0, HTTP_ANY_BODY | HTTP_RAW_TOKEN,
      LIMIT_HOOK_BODY_BYTES },
    { HTTP_POST, "/v1/json", &echo, 0, 0, 0 },
    { HTTP_POST, "/v1/needed", &echo, 0, HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/items/{id}", &show, 0, 0, 0 },
    { HTTP_GET, "/v1/private/{id}", &show, SCOPE_READ | SCOPE_PII, 0, 0 },
    { HTTP_POST, "/v1/private", &echo, SCOPE_READ, 0, 0 },
    { HTTP_POST, "/v1/pending", &pending, 0, 0, 0 },
    { HTTP_POST, "/v1/hasty", &hasty, 0, 0, 0 },
    { HTTP_POST, "/v1/stuck", &stuck, 0, HTTP_ANY_BODY, 0 },
    { HTTP_POST, "/v1/worker", &work, 0, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/slow", &slow, 0, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/silent", &silent, 0, 0, 0 },
    { HTTP_GET, "/v1/fault", &fault, 0, 0, 0 },
    { HTTP_GET, "/v1/invalid", &invalid, 0, 0, 0 },
    { HTTP_GET, "/metrics", &silent, 0, HTTP_ADMIN, 0 },
};

static inline struct http_config toy_config(struct toy *toy)
{
    return (struct http_config){
        .listen = "127.0.0.1:0",
        .epoll_threads = 2,
        .worker_threads = 2,
        .routes = toy_routes,
        .route_count = ARRAY_COUNT(toy_routes),
        .authenticate = &authenticate,
        .observe = &observe,
        .app = toy,
        .worker_open = &open_context,
        .worker_close = &close_context,
    };
}

static inline void toy_start(struct toy *toy, const struct http_config *config)
{
    struct http_tuning tuning = http_tuning_default();
    struct problem problem = { 0 };
    tuning.answer_ms = ANSWER_MS;
    tuning.headers_ms = HEADERS_MS;
    tuning.body_ms = BODY_MS;
    tuning.linger_ms = LINGER_MS;
    tuning.tick_ms = TICK_MS;
    tuning.worker_queue_requests = 8;
    if (http_server_start_tuned(config, &tuning, &toy->server, &problem) != STATUS_OK) {
        fail_msg("%s", problem.detail);
    }
    toy->port = http_server_port(toy->server);
}

static inline int start(void **state)
{
    struct toy *toy = calloc(1, sizeof(*toy));
    assert_non_null(toy);
    struct http_config config = toy_config(toy);
    toy_start(toy, &config);
    *state = toy;
    return 0;
}

static inline int stop(void **state)
{
    struct toy *toy = *state;
    http_server_destroy(toy->server);
    assert_int_equal(atomic_load(&toy->contexts), 0);
    struct http_exchange *held = atomic_load(&toy->held);
    if (held != NULL) {
        http_complete(held); /* later than the server itself */
    }
    free(toy);
    return 0;
}

/* ---- raw sockets ---------------------------------------------------------- */

static inline int dial(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* False when the peer has closed. */
static inline bool say(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) {
            return false;
        }
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* Until the peer closes or is quiet; true when it closed. */
static inline bool hear(int fd, char *answer, int quiet_ms)
{
    size_t size = 0;
    for (;;) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        if (poll(&poll_fd, 1, quiet_ms) == 0) {
            answer[size] = '\0';
            return false;
        }
        ssize_t got = recv(fd, answer + size, ANSWER_SIZE_MAX - 1 - size, 0);
        if (got <= 0) {
            answer[size] = '\0';
            return true;
        }
        size += (size_t)got;
    }
}

static inline size_t answers_in(const char *answer)
{
    size_t count = 0;
    const char *at = strstr(answer, "HTTP/1.1 ");
    while (at != NULL) {
        count++;
        at = strstr(at + 1, "HTTP/1.1 ");
    }
    return count;
}

static inline bool converse(uint16_t port, const char *request, size_t size, char *answer)
{
    int fd = dial(port);
    (void)say(fd, request, size);
    bool closed = hear(fd, answer, QUIET_MS);
    (void)close(fd);
    return closed;
}

#endif
