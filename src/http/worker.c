#include <assert.h>
#include <stdlib.h>

#include "base/thread.h"
#include "http_priv.h"

/*
 * Threads for handlers that may block.
 *
 * Problem: a handler that asks the database must not hold an epoll thread.
 * Invariant: the queue never grows past its capacity (a full one is a 503 at
 * once, while the sender still listens), and a request that expired while it
 * waited is not run, since nobody is left to be told. Each thread has one
 * context, a database connection, opened before the first request and closed
 * after the last.
 */

struct worker {
    struct workers *workers;
    pthread_t thread;
    void *context;
};

struct workers {
    struct http_server *server;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool ends;
    size_t head;  /* index of the oldest */
    size_t count; /* waiting */
    size_t capacity;
    struct http_exchange **ring;
    size_t thread_count;
    struct worker threads[];
};

bool workers_push(struct workers *workers, struct http_exchange *x)
{
    pthread_mutex_lock(&workers->mutex);
    bool room = workers->count < workers->capacity && !workers->ends;
    if (room) {
        workers->ring[(workers->head + workers->count) % workers->capacity] = x;
        workers->count++;
        pthread_cond_signal(&workers->wake);
    }
    pthread_mutex_unlock(&workers->mutex);
    return room;
}

/* NULL when the pool ends and nothing waits. */
static struct http_exchange *pop(struct workers *workers)
{
    struct http_exchange *x = NULL;
    pthread_mutex_lock(&workers->mutex);
    while (workers->count == 0 && !workers->ends) {
        pthread_cond_wait(&workers->wake, &workers->mutex);
    }
    if (workers->count > 0) {
        x = workers->ring[workers->head];
        workers->head = (workers->head + 1) % workers->capacity;
        workers->count--;
    }
    pthread_mutex_unlock(&workers->mutex);
    return x;
}

static void *run(void *cls)
{
    struct worker *worker = cls;
    struct http_server *server = worker->workers->server;
    for (;;) {
        struct http_exchange *x = pop(worker->workers);
        if (x == NULL) {
            return NULL;
        }
        if (atomic_load(&x->state) == EXCHANGE_EXPIRED) {
            http_complete(x);
            continue;
        }
        x->worker_context = worker->context;
        http_continue_fn *handler =
            x->continuation != NULL ? x->continuation : x->match.route->handler;
        if (handler(x, server->config.app) == HTTP_DONE) {
            http_complete(x);
        }
    }
}

static void close_contexts(struct workers *workers, size_t count)
{
    const struct http_config *config = &workers->server->config;
    for (size_t i = 0; i < count; i++) {
        if (config->worker_close != NULL && workers->threads[i].context != NULL) {
            config->worker_close(config->app, workers->threads[i].context);
        }
    }
}

static void join(struct workers *workers, size_t count)
{
    pthread_mutex_lock(&workers->mutex);
    workers->ends = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->mutex);
    for (size_t i = 0; i < count; i++) {
        pthread_join(workers->threads[i].thread, NULL);
    }
}

static void release(struct workers *workers)
{
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->mutex);
    free(workers->ring);
    free(workers);
}

static struct workers *allocate(struct http_server *server)
{
    size_t threads = server->config.worker_threads;
    size_t capacity = server->tuning.worker_queue_requests;
    size_t size = 0;
    if (!size_mul(threads, sizeof(struct worker), &size) ||
        !size_add(size, sizeof(struct workers), &size)) {
        return NULL;
    }
    struct workers *workers = calloc(1, size);
    struct http_exchange **ring = calloc(capacity, sizeof(struct http_exchange *));
    if (workers == NULL || ring == NULL) {
        free(workers);
        free(ring);
        return NULL;
    }
    workers->server = server;
    workers->ring = ring;
    workers->capacity = capacity;
    workers->thread_count = threads;
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->wake, NULL);
    return workers;
}

static enum status open_contexts(struct workers *workers, struct problem *problem)
{
    const struct http_config *config = &workers->server->config;
    for (size_t i = 0; i < workers->thread_count; i++) {
        workers->threads[i].workers = workers;
        if (config->worker_open == NULL) {
            continue;
        }
        workers->threads[i].context = config->worker_open(config->app);
        if (workers->threads[i].context == NULL) {
            close_contexts(workers, i);
            return problem_set(problem, STATUS_BROKEN, "internal", "worker %zu could not be opened",
                               i);
        }
    }
    return STATUS_OK;
}

enum status workers_create(struct http_server *server, struct workers **out_workers,
                           struct problem *problem)
{
    struct workers *workers = allocate(server);
    if (workers == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the workers");
    }
    enum status status = open_contexts(workers, problem);
    if (status != STATUS_OK) {
        release(workers);
        return status;
    }
    for (size_t i = 0; i < workers->thread_count; i++) {
        if (!thread_start(&workers->threads[i].thread, run, &workers->threads[i])) {
            join(workers, i);
            close_contexts(workers, workers->thread_count);
            release(workers);
            return problem_set(problem, STATUS_BROKEN, "internal",
                               "worker thread %zu could not be started", i);
        }
    }
    *out_workers = workers;
    return STATUS_OK;
}

void workers_destroy(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    join(workers, workers->thread_count);
    assert(workers->count == 0);
    close_contexts(workers, workers->thread_count);
    release(workers);
}
