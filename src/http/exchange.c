#include "http/exchange.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "http_priv.h"

/*
 * The life of one request.
 *
 * Problem: three parties may end a suspended request (its holder, the
 * watchdog, the server's end), each from its own thread, and libmicrohttpd has
 * undefined behaviour when a connection is resumed twice or once too often.
 * Invariant: `state` leaves SUSPENDED once, by compare and exchange, and the
 * party that made the step is the one that resumes. Memory is counted apart
 * from that: the epoll thread and the holder have a reference each, so a
 * holder who comes late writes into memory that is still there and that
 * nobody reads any more.
 *
 * Rejected: a lock per exchange (the two atomics are the whole protocol), and
 * answering from the holder's thread, which 0.9.75 lets happen and races.
 */

struct http_exchange *exchange_create(struct listener *listener, struct MHD_Connection *mhd,
                                      struct str raw_target)
{
    struct connection *connection = connection_of(mhd);
    struct arena *arena = arena_create((size_t)LIMIT_ARENA_REQUEST_BYTES);
    if (arena == NULL || connection == NULL) {
        arena_destroy(arena);
        return NULL;
    }
    struct http_exchange *x = ARENA_NEW(arena, struct http_exchange);
    if (x == NULL) {
        arena_destroy(arena);
        return NULL;
    }
    /* One byte beyond the limit is enough for the guard to see the excess. */
    x->raw_target = str_dup(arena, str_take(raw_target, (size_t)LIMIT_TARGET_BYTES + 1));
    x->server = listener->server;
    x->listener = listener;
    x->arena = arena;
    x->mhd = mhd;
    x->connection = connection;
    x->pattern = "unmatched";
    atomic_init(&x->references, 1);
    atomic_init(&x->state, EXCHANGE_RECEIVED);
    atomic_init(&x->answer_ms, listener->server->tuning.answer_ms);
    server_reference(x->server);
    return x;
}

void exchange_reference(struct http_exchange *x)
{
    atomic_fetch_add(&x->references, 1);
}

void exchange_release(struct http_exchange *x)
{
    if (atomic_fetch_sub(&x->references, 1) != 1) {
        return;
    }
    struct http_server *server = x->server;
    body_finish(x);
    arena_destroy(x->arena);
    server_release(server);
}

bool exchange_expire(struct http_exchange *x, const char *problem_type)
{
    enum exchange_state expected = EXCHANGE_SUSPENDED;
    if (!atomic_compare_exchange_strong(&x->state, &expected, EXCHANGE_EXPIRED)) {
        return false;
    }
    x->expired_type = problem_type;
    return true;
}

void http_complete(struct http_exchange *x)
{
    enum exchange_state seen = atomic_load(&x->state);
    bool moved = false;
    while (!moved && seen != EXCHANGE_EXPIRED) {
        assert(seen != EXCHANGE_COMPLETED);
        moved = atomic_compare_exchange_weak(&x->state, &seen, EXCHANGE_COMPLETED);
    }
    if (moved && seen == EXCHANGE_SUSPENDED) {
        MHD_resume_connection(x->mhd);
    }
    exchange_release(x);
}

struct arena *http_arena(struct http_exchange *x)
{
    return x->arena;
}

enum http_method http_method_of(const struct http_exchange *x)
{
    return x->method;
}

struct str http_path(const struct http_exchange *x)
{
    return x->target.path;
}

struct str http_path_param(const struct http_exchange *x, const char *name)
{
    struct str text = { NULL, 0 };
    for (size_t i = 0; i < x->match.parameter_count; i++) {
        if (str_equal_z(x->match.names[i], name)) {
            (void)target_decode_segment(x->arena, x->match.values[i], &text);
            break;
        }
    }
    return text;
}

static const struct form_field *parameter_find(const struct http_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->parameter_count; i++) {
        if (str_equal_z(x->parameters[i].name, name)) {
            return &x->parameters[i];
        }
    }
    return NULL;
}

struct str http_query(const struct http_exchange *x, const char *name)
{
    const struct form_field *parameter = parameter_find(x, name);
    return parameter != NULL ? parameter->value : (struct str){ NULL, 0 };
}

bool http_query_has(const struct http_exchange *x, const char *name)
{
    return parameter_find(x, name) != NULL;
}

struct str http_query_unknown(const struct http_exchange *x, const char *const *known,
                              size_t known_count)
{
    for (size_t i = 0; i < x->parameter_count; i++) {
        bool found = false;
        for (size_t j = 0; j < known_count && !found; j++) {
            found = str_equal_z(x->parameters[i].name, known[j]);
        }
        if (!found) {
            /* A parameter without a name ("?=1") is unknown too. */
            return x->parameters[i].name.size > 0 ? x->parameters[i].name : STR("=");
        }
    }
    return (struct str){ NULL, 0 };
}

struct str http_header(const struct http_exchange *x, const char *name)
{
    struct str wanted = str_from_z(name);
    for (size_t i = 0; i < x->header_count; i++) {
        if (str_equal_nocase(x->headers[i].name, wanted)) {
            return x->headers[i].value;
        }
    }
    return (struct str){ NULL, 0 };
}

size_t http_header_count(const struct http_exchange *x, const char *name)
{
    struct str wanted = str_from_z(name);
    size_t count = 0;
    for (size_t i = 0; i < x->header_count; i++) {
        if (str_equal_nocase(x->headers[i].name, wanted)) {
            count++;
        }
    }
    return count;
}

size_t http_header_total(const struct http_exchange *x)
{
    return x->header_count;
}

void http_header_at(const struct http_exchange *x, size_t index, struct str *out_name,
                    struct str *out_value)
{
    assert(index < x->header_count);
    *out_name = x->headers[index].name;
    *out_value = x->headers[index].value;
}

struct str http_query_text(const struct http_exchange *x)
{
    return x->target.query;
}

enum http_outcome http_continue_on_worker(struct http_exchange *x, http_continue_fn *handler)
{
    x->continuation = handler;
    if (workers_push(x->server->workers, x)) {
        return HTTP_PENDING;
    }
    reply_problem_type(x, "overloaded", "");
    return HTTP_DONE;
}

struct str http_body(const struct http_exchange *x)
{
    return (struct str){ x->body.data, x->body.size };
}

struct id http_request_id(const struct http_exchange *x)
{
    return x->request_id;
}

struct str http_client_address(const struct http_exchange *x)
{
    return str_from_z(x->client_text);
}

int64_t http_received_at_ms(const struct http_exchange *x)
{
    return x->received_at_ms;
}

const struct principal *http_principal(const struct http_exchange *x)
{
    return x->has_principal ? &x->principal : NULL;
}

void *http_worker_context(const struct http_exchange *x)
{
    return x->worker_context;
}

void http_set_answer_deadline(struct http_exchange *x, int64_t milliseconds)
{
    atomic_store(&x->answer_ms, milliseconds);
}

void http_set_user_data(struct http_exchange *x, void *data)
{
    x->user_data = data;
}

void *http_user_data(const struct http_exchange *x)
{
    return x->user_data;
}
