#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "http_priv.h"

/*
 * Answers.
 *
 * Problem: an answer is written by whoever holds the exchange, but must be
 * queued by the epoll thread from inside libmicrohttpd's handler. So a reply
 * is data in the exchange (status, body and headers borrowed from its arena),
 * and queueing is one function that adds what every answer has: X-Request-Id,
 * Cache-Control, and what its status asks for. This is also the one switch
 * from a status to HTTP, and the place of the one log line per request.
 *
 * Rejected: shared prepared responses. Every answer carries its own request
 * id, and the shapes of answers are the handlers' business.
 */

enum {
    PROBLEM_BODY_BYTES_MAX = 1024 * 1024,
    HEADER_VALUE_SIZE_MAX = 2048,
};

static const char media_json[] = "application/json";
static const char media_problem[] = "application/problem+json";

/* When even the report of a failure does not fit into the arena. */
static const char body_last_resort[] =
    "{\"type\":\"/problems/internal\",\"title\":\"Something went wrong on our side\","
    "\"status\":500}";

void http_reply(struct http_exchange *x, unsigned http_status, const char *content_type,
                struct str body)
{
    x->reply.http_status = http_status;
    x->reply.content_type = content_type;
    x->reply.body = body;
    x->reply.retry_after_s = 0;
    x->reply.problem_type = NULL;
}

void http_reply_json(struct http_exchange *x, unsigned http_status, struct str body)
{
    http_reply(x, http_status, media_json, body);
}

void http_reply_header(struct http_exchange *x, const char *name, struct str value)
{
    struct reply *reply = &x->reply;
    size_t at = 0;
    while (at < reply->header_count &&
           !str_equal_nocase_z(str_from_z(reply->headers[at].name), name)) {
        at++;
    }
    assert(at < REPLY_HEADERS_MAX);
    reply->headers[at].name = name;
    reply->headers[at].value = value;
    if (at == reply->header_count) {
        reply->header_count++;
    }
}

/* A path with a secret in it is not repeated to whoever keeps our answers. */
static struct str instance_of(const struct http_exchange *x)
{
    if (x->match.route != NULL && (x->match.route->flags & HTTP_RAW_TOKEN) != 0) {
        return str_from_z(x->pattern);
    }
    return x->target.path;
}

static void reply_report(struct http_exchange *x, struct problem_report *report)
{
    struct buf buf;
    report->instance = instance_of(x);
    report->request_id = x->request_id;
    buf_init(&buf, x->arena, PROBLEM_BODY_BYTES_MAX);
    problem_render(&buf, report);
    unsigned http_status =
        report->http_status != 0 ? report->http_status : report->type->http_status;
    if (buf.failed) {
        http_reply(x, 500, media_problem, str_from_z(body_last_resort));
    } else {
        http_reply(x, http_status, media_problem, buf_str(&buf));
    }
    x->reply.retry_after_s = report->type->retry_after_s;
    x->reply.problem_type = report->type->slug;
}

/* What went wrong inside is for the log; the asker gets the id to ask with. */
static void log_internal(const struct http_exchange *x, const struct problem *problem)
{
    log_event(LOG_ERROR, "request failed", LOG_ID("request_id", x->request_id),
              LOG_Z("route", x->pattern),
              LOG_Z("detail", problem != NULL ? problem->detail : "no reason given"));
}

static void reply_status_with(struct http_exchange *x, enum status status,
                              const struct problem *problem, struct str errors_json)
{
    struct problem_report report = { .type = problem_type_of(status, problem) };
    if (report.type->http_status == 500) {
        log_internal(x, problem);
    } else if (problem != NULL) {
        report.detail = str_from_z(problem->detail);
        report.pointer = str_from_z(problem->pointer);
        report.errors_json = errors_json;
    }
    reply_report(x, &report);
}

void http_reply_problem(struct http_exchange *x, const struct problem *problem)
{
    reply_status_with(x, STATUS_BROKEN, problem, (struct str){ NULL, 0 });
}

void http_reply_problem_with(struct http_exchange *x, const struct problem *problem,
                             struct str errors_json)
{
    reply_status_with(x, STATUS_BROKEN, problem, errors_json);
}

void http_reply_status(struct http_exchange *x, enum status status, const struct problem *problem)
{
    assert(status != STATUS_OK);
    reply_status_with(x, status, problem, (struct str){ NULL, 0 });
}

void reply_problem_type(struct http_exchange *x, const char *type, const char *detail)
{
    struct problem_report report = { .type = problem_type_find(str_from_z(type)),
                                     .detail = str_from_z(detail) };
    assert(report.type != NULL);
    reply_report(x, &report);
}

void reply_refuse_scope(struct http_exchange *x, uint32_t needed_scopes)
{
    struct problem_report report = { .type = problem_type_find(STR("scope-insufficient")),
                                     .needed_scopes = needed_scopes };
    reply_report(x, &report);
}

void reply_refuse_guard(struct http_exchange *x, enum guard_verdict verdict)
{
    struct problem_report report = {
        .type = problem_type_find(str_from_z(guard_problem_type(verdict))),
        .http_status = guard_http_status(verdict),
        .detail = str_from_z(guard_reason(verdict)),
    };
    x->refusal = guard_verdict_name(verdict);
    reply_report(x, &report);
}

static const char *method_name(const struct http_exchange *x)
{
    switch (x->method) {
    case HTTP_GET:
        return x->is_head ? "HEAD" : "GET";
    case HTTP_HEAD:
        return "HEAD";
    case HTTP_POST:
        return "POST";
    case HTTP_PUT:
        return "PUT";
    case HTTP_PATCH:
        return "PATCH";
    case HTTP_DELETE:
        return "DELETE";
    case HTTP_OPTIONS:
        return "OPTIONS";
    }
    return "none"; /* refused before the method was read */
}

/* The one line per request. Ids and names only: no query, no address, and the
 * pattern in place of the path when the path holds a secret or is not ours. */
/* Ids and names are made of these. Whoever puts an e-mail address or a phone number
 * into a path of ours is answered, but not written down. */
static bool path_is_of_names(struct str path)
{
    for (size_t i = 0; i < path.size; i++) {
        char c = path.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || strchr("/._-", c) == NULL)) {
            return false;
        }
    }
    return true;
}

static void log_request(const struct http_exchange *x, const struct reply *reply,
                        int64_t duration_us)
{
    struct log_field fields[10];
    size_t count = 0;
    fields[count++] = LOG_ID("request_id", x->request_id);
    fields[count++] = LOG_Z("method", method_name(x));
    fields[count++] = LOG_Z("route", x->pattern);
    fields[count++] = LOG_I64("status", reply->http_status);
    fields[count++] = LOG_I64("duration_us", duration_us);
    if (x->match.route != NULL && (x->match.route->flags & HTTP_RAW_TOKEN) == 0 &&
        x->match.parameter_count > 0 && path_is_of_names(x->target.path)) {
        fields[count++] = LOG_STR("path", x->target.path);
    }
    if (x->body.received_bytes > 0) {
        fields[count++] = LOG_I64("body_bytes", (int64_t)x->body.received_bytes);
    }
    if (x->has_principal) {
        fields[count++] = LOG_ID("key_id", x->principal.key_id);
    }
    if (reply->problem_type != NULL) {
        fields[count++] = LOG_Z("problem", reply->problem_type);
    }
    if (x->refusal != NULL) {
        fields[count++] = LOG_Z("refused", x->refusal);
    }
    log_write(LOG_INFO, "request", fields, count);
}

static void add_header(struct MHD_Response *response, const char *name, struct str value)
{
    char text[HEADER_VALUE_SIZE_MAX];
    if (value.size >= sizeof(text)) {
        log_event(LOG_ERROR, "header too long to send", LOG_Z("name", name));
        return;
    }
    if (value.size > 0) {
        memcpy(text, value.data, value.size);
    }
    text[value.size] = '\0';
    if (MHD_add_response_header(response, name, text) != MHD_YES) {
        log_event(LOG_ERROR, "header refused", LOG_Z("name", name));
    }
}

static bool reply_has(const struct reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++) {
        if (str_equal_nocase_z(str_from_z(reply->headers[i].name), name)) {
            return true;
        }
    }
    return false;
}

static void add_headers(const struct http_exchange *x, const struct reply *reply,
                        struct MHD_Response *response)
{
    char id_text[ID_TEXT_SIZE];
    id_format(x->request_id, id_text);
    (void)MHD_add_response_header(response, "X-Request-Id", id_text);
    if (reply->content_type != NULL) {
        (void)MHD_add_response_header(response, "Content-Type", reply->content_type);
    }
    if (!reply_has(reply, "Cache-Control")) {
        (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    for (size_t i = 0; i < reply->header_count; i++) {
        add_header(response, reply->headers[i].name, reply->headers[i].value);
    }
    if (reply->http_status == 401 && !reply_has(reply, "WWW-Authenticate")) {
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    }
    if (reply->retry_after_s > 0 && !reply_has(reply, "Retry-After")) {
        char seconds[16];
        int size = snprintf(seconds, sizeof(seconds), "%u", reply->retry_after_s);
        add_header(response, "Retry-After", (struct str){ seconds, (size_t)size });
    }
    if (x->closes || atomic_load(&x->server->draining)) {
        (void)MHD_add_response_header(response, "Connection", "close");
    }
}

/* libmicrohttpd takes the buffer as mutable but does not write to it. */
static void *as_mutable(const char *data)
{
    union {
        const char *from;
        void *to;
    } pointer = { .from = data };
    return pointer.to;
}

static enum MHD_Result queue(struct http_exchange *x, const struct reply *reply,
                             enum MHD_ResponseMemoryMode mode)
{
    struct http_server *server = x->server;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        reply->body.size, as_mutable(reply->body.size > 0 ? reply->body.data : ""), mode);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(x, reply, response);
    int64_t now_us = clock_monotonic_us();
    int64_t duration_us = now_us - x->received_us;
    log_request(x, reply, duration_us);
    if (server->config.observe != NULL) {
        server->config.observe(server->config.app, x->pattern, reply->http_status, duration_us);
    }
    int64_t pieces = (int64_t)(reply->body.size / DEADLINE_PIECE_BYTES);
    atomic_store(&x->connection->deadline_ms,
                 now_us / 1000 + server->tuning.write_ms + pieces * server->tuning.body_ms_per_64k);
    x->phase = PHASE_ANSWERED;
    enum MHD_Result result = MHD_queue_response(x->mhd, reply->http_status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result reply_send(struct http_exchange *x)
{
    if (x->reply.http_status == 0) {
        struct problem problem = { .detail = "a handler ended without an answer" };
        http_reply_status(x, STATUS_BROKEN, &problem);
    }
    if (x->reply.http_status == 503) {
        atomic_fetch_add(&x->server->refused_overload, 1);
    }
    /* The arena outlives the answer: it goes when libmicrohttpd reports the
     * request completed. */
    return queue(x, &x->reply, MHD_RESPMEM_PERSISTENT);
}

enum MHD_Result reply_send_expired(struct http_exchange *x)
{
    const struct problem_type *type = problem_type_find(str_from_z(x->expired_type));
    struct problem_report report = { .type = type,
                                     .instance = instance_of(x),
                                     .request_id = x->request_id };
    struct buf buf;
    buf_init(&buf, NULL, PROBLEM_BODY_BYTES_MAX);
    problem_render(&buf, &report);
    struct reply reply = {
        .http_status = type->http_status,
        .content_type = media_problem,
        .body = buf_str(&buf),
        .retry_after_s = type->retry_after_s,
        .problem_type = type->slug,
    };
    enum MHD_Result result = queue(x, &reply, MHD_RESPMEM_MUST_COPY);
    buf_finish(&buf);
    return result;
}
