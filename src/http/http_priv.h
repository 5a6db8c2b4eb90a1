#ifndef HTTP_HTTP_PRIV_H
#define HTTP_HTTP_PRIV_H

/*
 * What the files of the edge share: the server, a connection, an exchange.
 *
 * Who may touch what: an exchange's request fields are written by its epoll
 * thread before the handler runs and only read afterwards; its reply belongs
 * to whoever holds the exchange; `phase`, `connection` and the watch links
 * belong to the epoll thread; `state` and `references` are atomic.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "base/limits.h"
#include "http/exchange.h"
#include "http/guard.h"
#include "http/proxies.h"
#include "http/route.h"
#include "http/server.h"
#include "http/target.h"
#include "http/tuning.h"
#include "problem_priv.h"

struct tls;
struct workers;
struct address_table;
struct linger_room;

/* ---- the server ---------------------------------------------------------- */

struct listener {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    int fd;
    bool is_admin;
    bool is_unix;
    bool is_inherited; /* fd:N: others may be listening on it too */
    uint16_t port;
    pthread_t acceptor;
    bool is_accepting;
    int wake_fd; /* ends the acceptor */
    unsigned connections_max;
    atomic_uint connection_count;
    char *unix_path; /* ours to remove; NULL otherwise */
    dev_t unix_device;
    ino_t unix_inode;
};

enum {
    LISTENERS_MAX = 2
};

struct http_server {
    atomic_uint references; /* the owner, and every exchange alive */
    struct http_config config;
    struct http_tuning tuning;
    struct proxies proxies;
    struct route_table *routes;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct tls *tls;
    struct workers *workers;
    struct linger_room *linger;

    atomic_bool draining; /* new requests are refused */
    atomic_bool stopping; /* no handler is started any more */
    pthread_t janitor;
    bool janitor_runs;
    atomic_bool janitor_ends;

    pthread_mutex_t connections_mutex;
    struct connection *connections;  /* under connections_mutex */
    struct address_table *addresses; /* under connections_mutex */

    pthread_mutex_t watch_mutex;
    struct http_exchange *watched; /* under watch_mutex */

    atomic_uint connection_count;
    atomic_uint in_progress; /* head seen, answer not yet gone */
    atomic_uint handling;    /* between the start of a handler and its suspension or answer */
    atomic_uint suspended;
    atomic_size_t in_flight_bytes;
    atomic_uint_fast64_t refused_guard;
    atomic_uint_fast64_t refused_overload;
    atomic_uint_fast64_t reaped;
    atomic_uint_fast64_t watchdog_answers;
};

void server_reference(struct http_server *server);
void server_release(struct http_server *server);

/* What libmicrohttpd calls gets a struct listener as its cls. */

/* ---- connections (connections.c) ----------------------------------------- */

#define DEADLINE_NONE INT64_MAX
/* Deadlines grow by so much arrived or to be sent. */
#define DEADLINE_PIECE_BYTES 65536

struct connection {
    struct listener *listener;
    int fd;
    _Atomic int64_t deadline_ms; /* the reaper shuts the socket down after it */
    struct connection *previous; /* under connections_mutex */
    struct connection *next;
    struct proxies_address peer;
    bool is_trusted;
    bool is_counted;
    bool lingers; /* epoll thread only: refused with its body unread */
    uint8_t address_key[16];
};

NODISCARD bool connections_init(struct http_server *server);
void connections_finish(struct http_server *server);
enum MHD_Result connections_accept(void *cls, const struct sockaddr *address,
                                   socklen_t address_size);
void connections_notify(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode code);
void connections_reap(struct http_server *server, int64_t now_ms);
/* NULL when there was no memory for the record. */
struct connection *connection_of(struct MHD_Connection *mhd);

/* ---- refused and still sending (linger.c) --------------------------------- */

NODISCARD bool linger_init(struct http_server *server);
void linger_finish(struct http_server *server); /* closes those that are left */
/* Keeps the socket open beyond its descriptor, which stays the caller's. */
void linger_add(struct http_server *server, int fd);
/* The janitor's sleep: reads, throws away, and closes who is done or late. */
void linger_wait(struct http_server *server, int64_t milliseconds);
size_t linger_count(struct http_server *server);

/* ---- bodies (body.c) ------------------------------------------------------ */

enum body_state {
    BODY_OK,
    BODY_TOO_LARGE,
    BODY_OVERLOADED
};

struct body {
    enum body_state state;
    char *data;
    size_t size;
    size_t capacity; /* of data, and charged to the budget */
    bool is_on_heap;
    size_t limit_bytes;
    size_t received_bytes; /* counts on when the body is no longer kept */
};

/* False when the budget has no room for `declared` bytes. */
NODISCARD bool body_begin(struct http_exchange *x, size_t limit_bytes, size_t declared_bytes);
/* False when the connection is to be cut: the sender goes on far past the limit. */
NODISCARD bool body_add(struct http_exchange *x, const char *data, size_t size);
void body_finish(struct http_exchange *x);

/* ---- exchanges (exchange.c) ----------------------------------------------- */

/*
 *   RECEIVED --epoll thread, handler pending--> SUSPENDED
 *      |                                          |     |
 *      | http_complete                            |     | watchdog, destroy
 *      v                    http_complete         v     v
 *   COMPLETED <-----------------------------------+   EXPIRED
 *
 * Whoever moves it out of SUSPENDED resumes the connection; nobody else may.
 */
enum exchange_state {
    EXCHANGE_RECEIVED,
    EXCHANGE_SUSPENDED,
    EXCHANGE_COMPLETED,
    EXCHANGE_EXPIRED,
};

/* What libmicrohttpd's next call of the access handler means. */
enum exchange_phase {
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_HANDLING,
    PHASE_ANSWERED
};

enum {
    REPLY_HEADERS_MAX = 12
};

struct reply {
    unsigned http_status; /* 0 while there is none */
    const char *content_type;
    struct str body;
    unsigned retry_after_s;
    const char *problem_type; /* static, for the log; NULL when it is no problem */
    size_t header_count;
    struct {
        const char *name;
        struct str value;
    } headers[REPLY_HEADERS_MAX];
};

struct http_exchange {
    struct http_server *server;
    struct listener *listener;
    struct arena *arena;
    atomic_uint references; /* the epoll thread's, and the holder's while pending */
    _Atomic enum exchange_state state;
    enum exchange_phase phase;

    struct MHD_Connection *mhd;
    struct connection *connection;

    struct str raw_target;
    enum http_method method;
    bool is_head;
    bool closes;     /* the answer ends the connection */
    bool is_counted; /* in server->in_progress */
    struct target target;
    const struct form_field *parameters;
    size_t parameter_count;
    struct http_header *headers;
    size_t header_count;
    struct route_match match;       /* match.route is NULL when nothing handles it */
    const char *pattern;            /* for logs and metrics */
    http_continue_fn *continuation; /* instead of the route's handler; NULL */
    const char *refusal;            /* the guard's verdict, for logs; NULL otherwise */
    struct body body;
    struct id request_id;
    int64_t received_at_ms;
    int64_t received_us; /* monotonic */
    _Atomic int64_t answer_ms;
    int64_t answer_from_ms; /* monotonic: the request was complete */
    struct proxies_address client;
    char client_text[PROXIES_ADDRESS_TEXT_SIZE];
    struct principal principal;
    bool has_principal;
    void *user_data;
    void *worker_context;

    struct reply reply;

    bool is_watched;                      /* epoll thread only */
    struct http_exchange *watch_previous; /* under watch_mutex */
    struct http_exchange *watch_next;
    const char *expired_type; /* written by whoever expires it */
};

/* NULL when there is no memory. The raw target is copied. */
struct http_exchange *exchange_create(struct listener *listener, struct MHD_Connection *mhd,
                                      struct str raw_target);
void exchange_reference(struct http_exchange *x);
void exchange_release(struct http_exchange *x);
/* SUSPENDED -> EXPIRED; true when this call made the step, and then the
 * caller resumes the connection. */
NODISCARD bool exchange_expire(struct http_exchange *x, const char *problem_type);

/* ---- answers (reply.c) ---------------------------------------------------- */

/* Queues x->reply (or an internal error when none was given). Epoll thread,
 * from within the access handler only. */
enum MHD_Result reply_send(struct http_exchange *x);
/* Answers in place of a holder who is late, without touching arena or reply. */
enum MHD_Result reply_send_expired(struct http_exchange *x);
void reply_problem_type(struct http_exchange *x, const char *type, const char *detail);
void reply_refuse_scope(struct http_exchange *x, uint32_t needed_scopes);
void reply_refuse_guard(struct http_exchange *x, enum guard_verdict verdict);

/* ---- the way in (admit.c, request.c) -------------------------------------- */

enum admission {
    ADMIT_READ_BODY,    /* go on; the answer may stand in x->reply already */
    ADMIT_REFUSE_CLOSE, /* answer at once and close */
};

enum admission admit_request(struct http_exchange *x, const char *method, const char *version);

void *request_started(void *cls, const char *raw_target, struct MHD_Connection *mhd);
enum MHD_Result request_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload_data,
                               size_t *upload_data_size, void **context);
void request_completed(void *cls, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code);

/* ---- suspended requests (watch.c) ----------------------------------------- */

void watch_add(struct http_exchange *x);
void watch_remove(struct http_exchange *x); /* nothing when it is not there */
/* Answers those whose deadline has passed (`everything`: all of them). */
void watch_expire(struct http_server *server, int64_t now_ms, bool everything,
                  const char *problem_type);

/* ---- workers (worker.c) ---------------------------------------------------- */

NODISCARD enum status workers_create(struct http_server *server, struct workers **out_workers,
                                     struct problem *problem);
/* Takes the holder's reference along; false when the queue is full. */
NODISCARD bool workers_push(struct workers *workers, struct http_exchange *x);
void workers_destroy(struct workers *workers); /* joins; NULL is fine */

/* ---- connections taken (accept.c) ------------------------------------------ */

enum {
    ACCEPT_ROUND_MAX = 64, /* taken before the count is looked at again */
};
/* Takes the connections of a listener whose daemon runs, on a thread of its own. */
NODISCARD bool accept_begin(struct listener *listener);
/* Takes no more: none after it returns. Does nothing before accept_begin. */
void accept_end(struct listener *listener);

/* ---- sockets and certificates (listen.c, tls.c) --------------------------- */

NODISCARD enum status listen_open(const char *address, struct listener *listener,
                                  struct problem *problem);
/* From now on connecting is refused, unless the socket is shared with a successor. */
void listen_end(const struct listener *listener);
void listen_close(struct listener *listener);

NODISCARD enum status tls_create(const char *cert_file, const char *key_file, struct tls **out_tls,
                                 struct problem *problem);
NODISCARD enum status tls_reload(struct tls *tls, struct problem *problem);
void tls_destroy(struct tls *tls);
/* A gnutls_certificate_retrieve_function2, as libmicrohttpd wants it. */
void *tls_callback(void);

#endif
