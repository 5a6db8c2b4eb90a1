#include "http/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "http_priv.h"

/*
 * The daemon and its two ends.
 *
 * Start is all or nothing: routes, proxies, certificates, workers and sockets
 * are made in that order, and the first that fails undoes those before it.
 * The end is two steps, because a process has things to finish in between:
 * after drain no request is in progress and no new one begins; destroy answers
 * whatever is still suspended with 503 and joins every thread.
 *
 * Invariant: the server's memory is counted, one for its owner and one for
 * each exchange, so a holder that calls http_complete after destroy still
 * finds the budget it returns its bytes to. MHD_stop_daemon panics on a
 * suspended connection; destroy therefore waits until none is left, and
 * `handling` covers the moment between a handler's start and its suspension.
 *
 * A second daemon serves the admin listener, so a flood on the public one does
 * not hide /metrics.
 */

enum {
    THREAD_STACK_BYTES = 1024 * 1024,
    TLS_CONNECTION_MEMORY_BYTES = 64 * 1024,
    WORKER_QUEUE_REQUESTS = 1024,
    WORKER_THREADS_DEFAULT = 2,
    TICK_MS = 100,
    WRITE_MS = 30000,
    ADMIN_CONNECTIONS = 64,
    SENT_WAIT_MS = 1000, /* for answers of the last moment to leave */
};

static const char tls_priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

struct http_tuning http_tuning_default(void)
{
    return (struct http_tuning){
        .headers_ms = LIMIT_HEADERS_MS,
        .body_ms = LIMIT_BODY_MS,
        .body_ms_per_64k = LIMIT_BODY_MS_PER_64K,
        .linger_ms = LIMIT_LINGER_MS,
        .answer_ms = LIMIT_ANSWER_MS,
        .write_ms = WRITE_MS,
        .idle_s = LIMIT_IDLE_S,
        .tick_ms = TICK_MS,
        .worker_queue_requests = WORKER_QUEUE_REQUESTS,
    };
}

void server_reference(struct http_server *server)
{
    atomic_fetch_add(&server->references, 1);
}

void server_release(struct http_server *server)
{
    if (atomic_fetch_sub(&server->references, 1) == 1) {
        pthread_mutex_destroy(&server->connections_mutex);
        pthread_mutex_destroy(&server->watch_mutex);
        free(server);
    }
}

static void sleep_ms(int64_t milliseconds)
{
    struct timespec wait = { .tv_sec = milliseconds / 1000,
                             .tv_nsec = (long)(milliseconds % 1000) * 1000000 };
    (void)nanosleep(&wait, NULL);
}

static void *janitor_run(void *cls)
{
    struct http_server *server = cls;
    while (!atomic_load(&server->janitor_ends)) {
        linger_wait(server, server->tuning.tick_ms);
        int64_t now_ms = clock_monotonic_ms();
        connections_reap(server, now_ms);
        watch_expire(server, now_ms, false, "overloaded");
    }
    return NULL;
}

static void log_daemon(void *cls, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* libmicrohttpd would write to stderr itself. What it says is about peers that
 * left or broke the rules, which is nothing to wake anyone for. */
static void log_daemon(void *cls, const char *format, va_list arguments)
{
    char text[512];
    (void)cls;
    int size = vsnprintf(text, sizeof(text), format, arguments);
    if (size > 0) {
        struct str line = str_trim(str_from_z(text));
        log_event(LOG_DEBUG, "libmicrohttpd", LOG_STR("detail", line));
    }
}

/* Only the raw target is ever read; decoding the copy would be work for
 * nothing, and cut it at %00. */
static size_t keep_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* Half of the cores: the writers and, on one machine, PostgreSQL have the other,
 * and every epoll thread more is switches between them. One serves 20,000 webhooks
 * a second; on two cores, of two, each webhook cost 3 % more. */
static unsigned pool_size(const struct http_server *server, const struct listener *listener)
{
    if (listener->is_admin) {
        return 1;
    }
    unsigned threads = server->config.epoll_threads;
    if (threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        threads = cores > 1 ? (unsigned)(cores + 1) / 2 : 1;
    }
    return threads;
}

enum {
    DAEMON_OPTIONS_MAX = 24
};

static void daemon_options(struct http_server *server, struct listener *listener,
                           struct MHD_OptionItem *options)
{
    size_t n = 0;
    unsigned threads = pool_size(server, listener);
    bool tls = server->tls != NULL && !listener->is_admin;
    unsigned most = listener->is_admin ? ADMIN_CONNECTIONS : server->config.connections_max;
    size_t memory =
        tls ? (size_t)TLS_CONNECTION_MEMORY_BYTES : (size_t)LIMIT_CONNECTION_MEMORY_BYTES;

    listener->connections_max = most > threads ? most : threads;
    /* The acceptor keeps to the limit. The daemon gives a place back a little after
     * it has said that a connection is closed, and parts the places among its threads. */
    options[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_LIMIT,
                                            (intptr_t)listener->connections_max +
                                                (intptr_t)ACCEPT_ROUND_MAX * threads,
                                            NULL };
    options[n++] =
        (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)memory, NULL };
    options[n++] =
        (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_TIMEOUT, server->tuning.idle_s, NULL };
    options[n++] =
        (struct MHD_OptionItem){ MHD_OPTION_THREAD_STACK_SIZE, THREAD_STACK_BYTES, NULL };
    if (threads > 1) { /* libmicrohttpd takes a pool of one for a mistake */
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, threads, NULL };
    }
    if (tls) {
        union {
            const char *from;
            void *to;
        } priorities = { .from = tls_priorities };
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_callback() };
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, priorities.to };
    }
    options[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    assert(n < DAEMON_OPTIONS_MAX);
}

static enum status daemon_start(struct http_server *server, struct listener *listener,
                                struct problem *problem)
{
    struct MHD_OptionItem options[DAEMON_OPTIONS_MAX];
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET;
    if (server->tls != NULL && !listener->is_admin) {
        flags |= MHD_USE_TLS;
    }
    daemon_options(server, listener, options);
    listener->daemon = MHD_start_daemon(
        flags, 0, &connections_accept, listener, &request_handle, listener,
        /* First, so that complaints about the others are heard. */
        MHD_OPTION_EXTERNAL_LOGGER, &log_daemon, NULL, MHD_OPTION_ARRAY, options,
        MHD_OPTION_URI_LOG_CALLBACK, &request_started, listener, MHD_OPTION_NOTIFY_COMPLETED,
        &request_completed, listener, MHD_OPTION_NOTIFY_CONNECTION, &connections_notify, listener,
        MHD_OPTION_UNESCAPE_CALLBACK, &keep_escaped, NULL, MHD_OPTION_END);
    if (listener->daemon == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal",
                           "libmicrohttpd did not start; its reason is in the debug log");
    }
    return accept_begin(listener)
               ? STATUS_OK
               : problem_set(problem, STATUS_BROKEN, "internal", "no thread for connections");
}

static enum status listener_add(struct http_server *server, const char *address, bool is_admin,
                                struct problem *problem)
{
    struct listener *listener = &server->listeners[server->listener_count];
    *listener = (struct listener){ .server = server, .is_admin = is_admin };
    enum status status = listen_open(address, listener, problem);
    if (status != STATUS_OK) {
        return status;
    }
    server->listener_count++;
    return STATUS_OK;
}

static void config_defaults(struct http_config *config)
{
    if (config->in_flight_bytes_max == 0) {
        config->in_flight_bytes_max = (size_t)LIMIT_IN_FLIGHT_BYTES;
    }
    if (config->connections_max == 0) {
        config->connections_max = LIMIT_CONNECTIONS;
    }
    if (config->connections_per_address_max == 0) {
        config->connections_per_address_max = LIMIT_CONNECTIONS_PER_ADDRESS;
    }
    if (config->worker_threads == 0) {
        config->worker_threads = WORKER_THREADS_DEFAULT;
    }
}

static enum status server_prepare(struct http_server *server, struct problem *problem)
{
    const struct http_config *config = &server->config;
    enum status status = proxies_parse(config->trusted_proxies, &server->proxies, problem);
    if (status == STATUS_OK) {
        status = route_table_create(config->routes, config->route_count, &server->routes, problem);
    }
    if (status == STATUS_OK && config->tls_cert_file != NULL) {
        status =
            config->tls_key_file == NULL
                ? problem_set(problem, STATUS_INVALID, "invalid-field",
                              "a TLS certificate needs its key")
                : tls_create(config->tls_cert_file, config->tls_key_file, &server->tls, problem);
    }
    if (status == STATUS_OK && !connections_init(server)) {
        status = problem_set(problem, STATUS_BROKEN, "internal", "no memory for connections");
    }
    if (status == STATUS_OK && !linger_init(server)) {
        status = problem_set(problem, STATUS_BROKEN, "internal", "no memory for refusals");
    }
    if (status == STATUS_OK) {
        status = workers_create(server, &server->workers, problem);
    }
    if (status == STATUS_OK) {
        status = listener_add(server, config->listen, false, problem);
    }
    if (status == STATUS_OK && config->admin_listen != NULL) {
        status = listener_add(server, config->admin_listen, true, problem);
    }
    return status;
}

static enum status server_run(struct http_server *server, struct problem *problem)
{
    if (!thread_start(&server->janitor, janitor_run, server)) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no thread for the deadlines");
    }
    server->janitor_runs = true;
    for (size_t i = 0; i < server->listener_count; i++) {
        enum status status = daemon_start(server, &server->listeners[i], problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status http_server_start_tuned(const struct http_config *config,
                                    const struct http_tuning *tuning,
                                    struct http_server **out_server, struct problem *problem)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the server");
    }
    server->config = *config;
    server->tuning = *tuning;
    config_defaults(&server->config);
    atomic_init(&server->references, 1);
    pthread_mutex_init(&server->connections_mutex, NULL);
    pthread_mutex_init(&server->watch_mutex, NULL);

    sigset_t before; /* the daemons' threads inherit the mask */
    thread_signals_block(&before);
    enum status status = server_prepare(server, problem);
    if (status == STATUS_OK) {
        status = server_run(server, problem);
    }
    thread_signals_restore(&before);
    if (status != STATUS_OK) {
        http_server_destroy(server);
        return status;
    }
    *out_server = server;
    return STATUS_OK;
}

enum status http_server_start(const struct http_config *config, struct http_server **out_server,
                              struct problem *problem)
{
    struct http_tuning tuning = http_tuning_default();
    return http_server_start_tuned(config, &tuning, out_server, problem);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->listeners[0].port;
}

void http_server_stats(struct http_server *server, struct http_stats *out_stats)
{
    *out_stats = (struct http_stats){
        .connections = atomic_load(&server->connection_count),
        .in_flight_bytes = atomic_load(&server->in_flight_bytes),
        .suspended = atomic_load(&server->suspended),
        .refused_guard = atomic_load(&server->refused_guard),
        .refused_overload = atomic_load(&server->refused_overload),
        .reaped = atomic_load(&server->reaped),
        .watchdog_answers = atomic_load(&server->watchdog_answers),
    };
}

enum status http_server_reload_tls(struct http_server *server, struct problem *problem)
{
    return server->tls != NULL ? tls_reload(server->tls, problem) : STATUS_OK;
}

static void quiesce(struct listener *listener)
{
    if (listener->is_accepting) {
        accept_end(listener);
        listen_end(listener);
    }
}

void http_server_drain(struct http_server *server, int64_t deadline_ms)
{
    enum {
        POLL_MS = 5
    };
    int64_t until_ms = clock_monotonic_ms() + deadline_ms;
    atomic_store(&server->draining, true);
    for (size_t i = 0; i < server->listener_count; i++) {
        /* The admin listener goes on: who waits for us to stop looks there. */
        if (!server->listeners[i].is_admin) {
            quiesce(&server->listeners[i]);
        }
    }
    while (atomic_load(&server->in_progress) > 0 && clock_monotonic_ms() < until_ms) {
        sleep_ms(POLL_MS);
    }
}

/* Until no handler runs on an epoll thread and nothing is suspended. */
static void end_suspended(struct http_server *server)
{
    atomic_store(&server->stopping, true);
    while (atomic_load(&server->handling) > 0 || atomic_load(&server->suspended) > 0) {
        watch_expire(server, 0, true, "draining");
        sleep_ms(1);
    }
    int64_t until_ms = clock_monotonic_ms() + SENT_WAIT_MS;
    while (atomic_load(&server->in_progress) > 0 && clock_monotonic_ms() < until_ms) {
        sleep_ms(1);
    }
}

static void stop_daemons(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        quiesce(&server->listeners[i]);
    }
    end_suspended(server);
    for (size_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].daemon != NULL) {
            MHD_stop_daemon(server->listeners[i].daemon);
            server->listeners[i].daemon = NULL;
        }
    }
    int64_t until_ms = clock_monotonic_ms() + SENT_WAIT_MS;
    while (server->janitor_runs && linger_count(server) > 0 && clock_monotonic_ms() < until_ms) {
        sleep_ms(1);
    }
}

void http_server_destroy(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    atomic_store(&server->draining, true);
    stop_daemons(server);
    if (server->janitor_runs) {
        atomic_store(&server->janitor_ends, true);
        pthread_join(server->janitor, NULL);
    }
    linger_finish(server);
    workers_destroy(server->workers);
    for (size_t i = 0; i < server->listener_count; i++) {
        listen_close(&server->listeners[i]);
    }
    connections_finish(server);
    tls_destroy(server->tls);
    route_table_destroy(server->routes);
    server->tls = NULL;
    server->workers = NULL;
    server->routes = NULL;
    server_release(server);
}
