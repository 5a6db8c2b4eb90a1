#include <assert.h>

#include "base/compiler.h"
#include "http_priv.h"

/*
 * The watchdog of suspended requests.
 *
 * Problem: libmicrohttpd neither times a suspended connection out nor notices
 * that its client left, and a shop that waits 5 s and hears nothing counts a
 * failure. Invariant: an exchange is in the list from before its suspension
 * until libmicrohttpd speaks of it again: by the handler call after resumption
 * or, when the client has left meanwhile, by the completion alone. So while it
 * is there its epoll thread's reference is alive and whoever expires it may
 * resume it.
 *
 * The list is scanned whole, ten times a second: at 8192 entries that is some
 * tens of microseconds, less than keeping it sorted would cost the hot path.
 */

enum {
    EXPIRE_BATCH = 64
};

void watch_add(struct http_exchange *x)
{
    struct http_server *server = x->server;
    assert(!x->is_watched);
    x->is_watched = true;
    atomic_fetch_add(&server->suspended, 1);
    pthread_mutex_lock(&server->watch_mutex);
    x->watch_previous = NULL;
    x->watch_next = server->watched;
    if (server->watched != NULL) {
        server->watched->watch_previous = x;
    }
    server->watched = x;
    pthread_mutex_unlock(&server->watch_mutex);
}

void watch_remove(struct http_exchange *x)
{
    struct http_server *server = x->server;
    if (!x->is_watched) {
        return;
    }
    x->is_watched = false;
    pthread_mutex_lock(&server->watch_mutex);
    if (x->watch_previous != NULL) {
        x->watch_previous->watch_next = x->watch_next;
    } else {
        assert(server->watched == x);
        server->watched = x->watch_next;
    }
    if (x->watch_next != NULL) {
        x->watch_next->watch_previous = x->watch_previous;
    }
    pthread_mutex_unlock(&server->watch_mutex);
    atomic_fetch_sub(&server->suspended, 1);
}

static size_t collect(struct http_server *server, int64_t now_ms, bool everything,
                      const char *problem_type, struct MHD_Connection **batch)
{
    size_t count = 0;
    pthread_mutex_lock(&server->watch_mutex);
    for (struct http_exchange *x = server->watched; x != NULL && count < EXPIRE_BATCH;
         x = x->watch_next) {
        bool due = everything || x->answer_from_ms + atomic_load(&x->answer_ms) <= now_ms;
        if (due && exchange_expire(x, problem_type)) {
            batch[count] = x->mhd;
            count++;
        }
    }
    pthread_mutex_unlock(&server->watch_mutex);
    return count;
}

void watch_expire(struct http_server *server, int64_t now_ms, bool everything,
                  const char *problem_type)
{
    struct MHD_Connection *batch[EXPIRE_BATCH];
    size_t count = EXPIRE_BATCH;
    while (count == EXPIRE_BATCH) {
        count = collect(server, now_ms, everything, problem_type, batch);
        atomic_fetch_add(&server->watchdog_answers, count);
        /* Outside the lock: resuming takes libmicrohttpd's own. */
        for (size_t i = 0; i < count; i++) {
            MHD_resume_connection(batch[i]);
        }
    }
}
