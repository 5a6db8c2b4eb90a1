#include "base/arena.h"
#include "base/clock.h"
#include "http_priv.h"

/*
 * libmicrohttpd's view of a request: a first call with the head, one per piece
 * of body, a last one without; and after a suspension that last one again.
 *
 * Invariant: `phase` says which of these calls comes next, so no call is ever
 * told apart by its arguments. Every path through the last call either queues
 * an answer or leaves the connection suspended with a party that will resume
 * it: the holder by http_complete, or the watchdog.
 */

void *request_started(void *cls, const char *raw_target, struct MHD_Connection *mhd)
{
    struct listener *listener = cls;
    struct http_exchange *x = exchange_create(listener, mhd, str_from_z(raw_target));
    if (x != NULL) {
        /* A kept-alive connection had time to be idle; a begun head has not. */
        int64_t deadline_ms = clock_monotonic_ms() + listener->server->tuning.headers_ms;
        if (deadline_ms < atomic_load(&x->connection->deadline_ms)) {
            atomic_store(&x->connection->deadline_ms, deadline_ms);
        }
    }
    return x;
}

static void extend_body_deadline(struct http_exchange *x)
{
    const struct http_tuning *tuning = &x->server->tuning;
    int64_t pieces = (int64_t)(x->body.received_bytes / DEADLINE_PIECE_BYTES);
    atomic_store(&x->connection->deadline_ms,
                 x->received_us / 1000 + tuning->body_ms + pieces * tuning->body_ms_per_64k);
}

static enum MHD_Result begin(struct http_exchange *x, const char *method, const char *version)
{
    atomic_fetch_add(&x->server->in_progress, 1);
    x->is_counted = true;
    enum admission admission = admit_request(x, method, version);
    if (admission == ADMIT_REFUSE_CLOSE) {
        x->connection->lingers = true;
        return reply_send(x);
    }
    x->phase = PHASE_BODY;
    extend_body_deadline(x);
    return MHD_YES;
}

static enum MHD_Result take_body(struct http_exchange *x, const char *data, size_t *size)
{
    if (!body_add(x, data, *size)) {
        return MHD_NO;
    }
    *size = 0;
    extend_body_deadline(x);
    return MHD_YES;
}

/* The holder may have answered already; then the exchange has left RECEIVED
 * and nobody else will resume it. */
static enum MHD_Result suspend(struct http_exchange *x)
{
    if (atomic_load(&x->state) == EXCHANGE_COMPLETED) {
        return reply_send(x);
    }
    watch_add(x);
    MHD_suspend_connection(x->mhd);
    enum exchange_state expected = EXCHANGE_RECEIVED;
    if (!atomic_compare_exchange_strong(&x->state, &expected, EXCHANGE_SUSPENDED)) {
        MHD_resume_connection(x->mhd);
    }
    return MHD_YES;
}

static enum MHD_Result run_worker(struct http_exchange *x)
{
    exchange_reference(x);
    if (!workers_push(x->server->workers, x)) {
        exchange_release(x);
        reply_problem_type(x, "overloaded", "");
        return reply_send(x);
    }
    return suspend(x);
}

static enum MHD_Result run_inline(struct http_exchange *x)
{
    exchange_reference(x);
    if (x->match.route->handler(x, x->server->config.app) == HTTP_PENDING) {
        return suspend(x);
    }
    exchange_release(x);
    return reply_send(x);
}

/* False when the body did not come in whole; the answer is in x->reply. */
static bool body_is_whole(struct http_exchange *x)
{
    switch (x->body.state) {
    case BODY_TOO_LARGE: {
        struct problem problem;
        (void)problem_set(&problem, STATUS_LIMIT, "body-too-large",
                          "this route takes at most %zu bytes", x->body.limit_bytes);
        http_reply_problem(x, &problem);
        return false;
    }
    case BODY_OVERLOADED:
        reply_problem_type(x, "overloaded", "");
        return false;
    case BODY_OK:
        break;
    }
    if ((x->match.route->flags & HTTP_BODY_NEEDED) != 0 && x->body.size == 0) {
        reply_problem_type(x, "length-required", "");
        return false;
    }
    return true;
}

static enum MHD_Result dispatch(struct http_exchange *x)
{
    struct http_server *server = x->server;
    atomic_store(&x->connection->deadline_ms, DEADLINE_NONE);
    if (x->reply.http_status != 0 || !body_is_whole(x)) {
        return reply_send(x);
    }
    x->phase = PHASE_HANDLING;
    x->answer_from_ms = clock_monotonic_ms();
    atomic_fetch_add(&server->handling, 1);
    enum MHD_Result result = MHD_YES;
    if (atomic_load(&server->stopping)) {
        reply_problem_type(x, "draining", "");
        result = reply_send(x);
    } else if ((x->match.route->flags & HTTP_WORKER) != 0) {
        result = run_worker(x);
    } else {
        result = run_inline(x);
    }
    atomic_fetch_sub(&server->handling, 1);
    return result;
}

static enum MHD_Result resumed(struct http_exchange *x)
{
    watch_remove(x);
    if (atomic_load(&x->state) == EXCHANGE_EXPIRED) {
        return reply_send_expired(x);
    }
    return reply_send(x);
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd's signature */
enum MHD_Result request_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload_data,
                               size_t *upload_data_size, void **context)
{
    struct http_exchange *x = *context;
    (void)cls;
    (void)mhd;
    (void)url;
    if (x == NULL) {
        return MHD_NO;
    }
    switch (x->phase) {
    case PHASE_HEAD:
        return begin(x, method, version);
    case PHASE_BODY:
        if (*upload_data_size > 0) {
            return take_body(x, upload_data, upload_data_size);
        }
        return dispatch(x);
    case PHASE_HANDLING:
        return resumed(x);
    case PHASE_ANSWERED:
        break;
    }
    return MHD_NO;
}

void request_completed(void *cls, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code)
{
    struct http_exchange *x = *context;
    (void)cls;
    (void)mhd;
    (void)code;
    if (x == NULL) {
        return;
    }
    *context = NULL;
    watch_remove(x); /* a client that left is not handed to the handler again */
    struct http_server *server = x->server;
    const struct http_tuning *tuning = &server->tuning;
    atomic_store(&x->connection->deadline_ms,
                 clock_monotonic_ms() + tuning->headers_ms + (int64_t)tuning->idle_s * 1000);
    if (x->is_counted) {
        atomic_fetch_sub(&server->in_progress, 1);
    }
    exchange_release(x);
}
