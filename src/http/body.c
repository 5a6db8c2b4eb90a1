#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "http_priv.h"

/*
 * Request bodies within a budget.
 *
 * Problem: a sender that declares 5 MiB and sends nothing must not hold 5 MiB,
 * or fifty of them empty the budget of everyone. Invariant: what is charged to
 * the budget is what is allocated, and that is at most 64 KiB more than twice
 * what has arrived; the charge is returned when the exchange dies, not when
 * its answer leaves, because a late holder still reads the body.
 *
 * Small bodies (nearly all) are one allocation in the arena, made when the
 * length is known. Larger ones are on the heap, where the system's realloc
 * moves pages instead of copying them; this is the one allocation of a request
 * outside its arena. Past the limit the rest is thrown away, so that the
 * sender, still writing, can read its 413; libmicrohttpd takes no answer in
 * the middle of a body.
 */

enum {
    BODY_FIRST_BYTES = 64 * 1024,
};

static bool budget_take(struct http_server *server, size_t bytes)
{
    size_t before = atomic_fetch_add(&server->in_flight_bytes, bytes);
    if (bytes > server->config.in_flight_bytes_max ||
        before > server->config.in_flight_bytes_max - bytes) {
        atomic_fetch_sub(&server->in_flight_bytes, bytes);
        return false;
    }
    return true;
}

static void budget_return(struct http_server *server, size_t bytes)
{
    atomic_fetch_sub(&server->in_flight_bytes, bytes);
}

bool body_begin(struct http_exchange *x, size_t limit_bytes, size_t declared_bytes)
{
    struct body *body = &x->body;
    *body = (struct body){ .limit_bytes = limit_bytes };
    size_t most = x->server->config.in_flight_bytes_max;
    if (declared_bytes > most || atomic_load(&x->server->in_flight_bytes) > most - declared_bytes) {
        return false;
    }
    if (declared_bytes == 0 || declared_bytes > BODY_FIRST_BYTES) {
        return true;
    }
    if (!budget_take(x->server, declared_bytes)) {
        return false;
    }
    body->capacity = declared_bytes;
    body->data = arena_alloc_bytes(x->arena, declared_bytes);
    return body->data != NULL;
}

static bool grow(struct http_exchange *x, size_t needed)
{
    struct body *body = &x->body;
    size_t capacity = body->capacity < BODY_FIRST_BYTES ? BODY_FIRST_BYTES : body->capacity * 2;
    while (capacity < needed) {
        capacity *= 2;
    }
    if (capacity > body->limit_bytes) {
        capacity = body->limit_bytes;
    }
    size_t more = capacity - body->capacity;
    if (!budget_take(x->server, more)) {
        return false;
    }
    char *data = realloc(body->is_on_heap ? body->data : NULL, capacity);
    if (data == NULL) {
        budget_return(x->server, more);
        return false;
    }
    if (!body->is_on_heap && body->size > 0) {
        memcpy(data, body->data, body->size);
    }
    body->data = data;
    body->capacity = capacity;
    body->is_on_heap = true;
    return true;
}

static void drop(struct http_exchange *x, enum body_state why)
{
    body_finish(x);
    x->body.state = why;
    x->closes = true;
}

bool body_add(struct http_exchange *x, const char *data, size_t size)
{
    struct body *body = &x->body;
    body->received_bytes += size;
    if (body->state != BODY_OK) {
        return body->received_bytes <= body->limit_bytes + LIMIT_DISCARD_BYTES;
    }
    if (size > body->limit_bytes - body->size) {
        drop(x, BODY_TOO_LARGE);
        return true;
    }
    if (body->size + size > body->capacity && !grow(x, body->size + size)) {
        drop(x, BODY_OVERLOADED);
        return true;
    }
    memcpy(body->data + body->size, data, size);
    body->size += size;
    return true;
}

void body_finish(struct http_exchange *x)
{
    struct body *body = &x->body;
    if (body->is_on_heap) {
        free(body->data);
    }
    budget_return(x->server, body->capacity);
    body->data = NULL;
    body->size = 0;
    body->capacity = 0;
    body->is_on_heap = false;
}
