#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "http_priv.h"

/*
 * Whether a request may come in: everything that can be known from its head,
 * in the order guard, stop, route, key, media type, size.
 *
 * Invariant: the headers are walked once. What is refused here is answered in
 * libmicrohttpd's first call, before the body is read and before "100
 * Continue", and the connection ends with it; a sender in the middle of its
 * body is heard out by linger.c, so that it can read why. Refusals of requests
 * that have no body and did nothing suspicious (404, 405, OPTIONS) wait for the
 * second call, because an answer in the first would cost an honest client its
 * connection.
 */

enum {
    PAGE_BYTES_MAX = 16 * 1024
};

struct collector {
    struct http_header headers[LIMIT_HEADERS];
    size_t kept;
    size_t seen;
    size_t bytes;
};

static enum MHD_Result collect(void *cls, enum MHD_ValueKind kind, const char *name,
                               size_t name_size, const char *value, size_t value_size)
{
    struct collector *collector = cls;
    (void)kind;
    collector->seen++;
    if (collector->kept < LIMIT_HEADERS) {
        collector->headers[collector->kept] = (struct http_header){
            .name = { name, name_size },
            .value = { value != NULL ? value : "", value != NULL ? value_size : 0 },
        };
        collector->kept++;
        collector->bytes += name_size + value_size;
    }
    return MHD_YES;
}

/* libmicrohttpd's copy dies with the connection; a late holder reads ours. */
static bool copy_headers(struct http_exchange *x, const struct collector *collector)
{
    x->headers = ARENA_NEW_ARRAY(x->arena, collector->kept + 1, struct http_header);
    char *bytes = arena_alloc_bytes(x->arena, collector->bytes + 1);
    if (x->headers == NULL || bytes == NULL) {
        return false;
    }
    for (size_t i = 0; i < collector->kept; i++) {
        const struct http_header *from = &collector->headers[i];
        memcpy(bytes, from->name.data, from->name.size);
        x->headers[i].name = (struct str){ bytes, from->name.size };
        bytes += from->name.size;
        memcpy(bytes, from->value.data, from->value.size);
        x->headers[i].value = str_trim((struct str){ bytes, from->value.size });
        bytes += from->value.size;
    }
    x->header_count = collector->kept;
    return true;
}

static void take_facts(struct http_exchange *x, const struct guard_facts *facts)
{
    x->method = facts->method == HTTP_HEAD ? HTTP_GET : facts->method;
    x->is_head = facts->method == HTTP_HEAD;
    x->target = facts->target;
    if (!x->connection->is_trusted) {
        return;
    }
    struct id id;
    if (proxies_request_id(facts->request_id, &id) && !id_is_zero(id)) {
        x->request_id = id;
    }
    x->client = proxies_client(&x->server->proxies, &x->connection->peer, facts->forwarded_for);
    proxies_address_format(&x->client, x->client_text);
}

static bool has_body(const struct guard_facts *facts)
{
    return facts->is_chunked || facts->content_length > 0;
}

static enum admission refuse(struct http_exchange *x)
{
    x->closes = true;
    return ADMIT_REFUSE_CLOSE;
}

/* Answered in the second call when there is no body to skip. */
static enum admission decline(struct http_exchange *x, const struct guard_facts *facts)
{
    return has_body(facts) ? refuse(x) : ADMIT_READ_BODY;
}

static bool reply_problem_page(struct http_exchange *x)
{
    struct str slug = str_drop(x->target.path, sizeof("/problems/") - 1);
    struct buf buf;
    if (!str_starts_with(x->target.path, STR("/problems/")) || x->method != HTTP_GET) {
        return false;
    }
    buf_init(&buf, x->arena, PAGE_BYTES_MAX);
    if (!problem_render_page(&buf, slug)) {
        return false;
    }
    x->pattern = "/problems/{slug}";
    http_reply(x, 200, "text/html; charset=utf-8", buf_str(&buf));
    return true;
}

static void reply_no_route(struct http_exchange *x)
{
    struct str nearest =
        route_nearest(x->server->routes, x->listener->is_admin, x->target.path, x->arena);
    struct problem problem = { .type = "route-not-found" };
    if (nearest.size > 0) {
        (void)problem_set(&problem, STATUS_MISSING, "route-not-found",
                          "no route is called %.*s; did you mean %.*s?", STR_ARG(x->target.path),
                          STR_ARG(nearest));
    } else {
        (void)problem_set(&problem, STATUS_MISSING, "route-not-found", "no route is called %.*s",
                          STR_ARG(str_take_text(x->target.path, 200)));
    }
    http_reply_problem(x, &problem);
}

/* A browser asks beforehand what a page's script may send (CORS). Without
 * credentials: the key is in each request, and no cookie of ours exists. */
static void answer_preflight(struct http_exchange *x)
{
    const struct http_config *config = &x->server->config;
    struct str origin = http_header(x, "origin");
    if (!route_is_for_pages(x->server->routes, x->listener->is_admin, x->target.path)) {
        return;
    }
    http_reply_header(x, "Vary", STR("Origin"));
    if (origin.size == 0 || http_header_count(x, "origin") != 1 || config->allow_origin == NULL ||
        !config->allow_origin(config->app, origin)) {
        return;
    }
    http_reply_header(x, "Access-Control-Allow-Origin", origin);
    http_reply_header(x, "Access-Control-Allow-Methods", STR("GET, POST"));
    http_reply_header(x, "Access-Control-Allow-Headers",
                      STR("Authorization, Content-Type, Content-Encoding, X-Retry-Count"));
    http_reply_header(x, "Access-Control-Max-Age", STR("7200"));
}

/* True when the route is known; otherwise the answer is in x->reply. */
static bool find_route(struct http_exchange *x)
{
    struct http_server *server = x->server;
    bool admin = x->listener->is_admin;
    enum route_verdict verdict =
        route_find(server->routes, admin, x->method, x->target.path, &x->match);
    if (verdict == ROUTE_FOUND) {
        x->pattern = x->match.route->pattern;
        return true;
    }
    if (verdict == ROUTE_UNKNOWN && reply_problem_page(x)) {
        return false;
    }
    struct str allowed = route_allowed(server->routes, admin, x->target.path, x->arena);
    if (allowed.size == 0) {
        reply_no_route(x);
        return false;
    }
    http_reply_header(x, "Allow", allowed);
    if (x->method == HTTP_OPTIONS) {
        answer_preflight(x);
        http_reply(x, 204, NULL, (struct str){ NULL, 0 });
    } else {
        reply_problem_type(x, "method-not-allowed", "");
    }
    return false;
}

/* True when the route is open or the key opens it. */
static bool authenticate(struct http_exchange *x, const struct guard_facts *facts)
{
    static const struct str scheme = { "Bearer ", 7 };
    const struct http_config *config = &x->server->config;
    uint32_t needed = x->match.route->scopes_any;
    if (needed == 0) {
        return true;
    }
    if (!str_equal_nocase(str_take(facts->authorization, scheme.size), scheme)) {
        reply_problem_type(x, "key-missing", "");
        return false;
    }
    struct str key = str_trim(str_drop(facts->authorization, scheme.size));
    struct principal principal = { 0 };
    enum http_auth verdict = HTTP_AUTH_UNKNOWN;
    if (config->authenticate != NULL && key.size > 0) {
        verdict = config->authenticate(config->app, x->arena, key, &principal);
    }
    if (verdict != HTTP_AUTH_OK) {
        reply_problem_type(x, verdict == HTTP_AUTH_EXPIRED ? "key-expired" : "key-invalid", "");
        return false;
    }
    x->principal = principal;
    x->has_principal = true;
    if ((principal.scopes & needed) == 0) {
        reply_refuse_scope(x, needed);
        return false;
    }
    return true;
}

/* "application/json" or "application/...+json", whatever parameters follow. */
static bool is_json(struct str content_type)
{
    struct str essence = content_type;
    struct str parameters = { NULL, 0 };
    (void)str_split(content_type, ';', &essence, &parameters);
    essence = str_trim(essence);
    if (str_equal_nocase(essence, STR("application/json"))) {
        return true;
    }
    return essence.size > sizeof("application/+json") - 1 &&
           str_equal_nocase(str_take(essence, 12), STR("application/")) &&
           str_equal_nocase(str_drop(essence, essence.size - 5), STR("+json"));
}

static bool media_is_good(struct http_exchange *x, const struct guard_facts *facts)
{
    if ((x->match.route->flags & HTTP_ANY_BODY) != 0 || is_json(facts->content_type)) {
        return true;
    }
    if (!has_body(facts) && facts->content_type.size == 0) {
        return true;
    }
    if (x->method == HTTP_GET || x->method == HTTP_DELETE || x->method == HTTP_OPTIONS) {
        return true;
    }
    reply_problem_type(x, "media-type-unsupported", "");
    return false;
}

static size_t body_limit_of(const struct http_exchange *x)
{
    size_t limit = x->match.route->body_limit_bytes;
    if (limit == 0) {
        return (size_t)LIMIT_API_BODY_BYTES;
    }
    if (limit == (size_t)LIMIT_HOOK_BODY_BYTES && x->server->config.hook_body_bytes_max > 0) {
        return x->server->config.hook_body_bytes_max;
    }
    return limit;
}

static bool size_is_good(struct http_exchange *x, const struct guard_facts *facts)
{
    size_t limit = body_limit_of(x);
    if ((x->match.route->flags & HTTP_BODY_NEEDED) != 0 && !has_body(facts)) {
        reply_problem_type(x, "length-required", "");
        return false;
    }
    if (facts->content_length > limit) {
        struct problem problem;
        (void)problem_set(&problem, STATUS_LIMIT, "body-too-large",
                          "the body has %llu bytes; this route takes at most %zu",
                          (unsigned long long)facts->content_length, limit);
        http_reply_problem(x, &problem);
        return false;
    }
    if (!body_begin(x, limit, (size_t)facts->content_length)) {
        reply_problem_type(x, "overloaded", "");
        return false;
    }
    return true;
}

static enum admission admit_checked(struct http_exchange *x, const struct guard_facts *facts)
{
    if (atomic_load(&x->server->draining) && !x->listener->is_admin) {
        reply_problem_type(x, "draining", "");
        return refuse(x);
    }
    if (!find_route(x)) {
        return decline(x, facts);
    }
    if (!authenticate(x, facts)) {
        return refuse(x);
    }
    if (!media_is_good(x, facts)) {
        return decline(x, facts);
    }
    if (!size_is_good(x, facts)) {
        return refuse(x);
    }
    enum target_verdict verdict = TARGET_OK;
    if (x->target.query.size > 0) {
        verdict =
            target_parse_query(x->arena, x->target.query, &x->parameters, &x->parameter_count);
    }
    if (verdict != TARGET_OK) {
        reply_problem_type(x, "malformed-request", "the query holds more than 64 parameters");
        return refuse(x);
    }
    return ADMIT_READ_BODY;
}

enum admission admit_request(struct http_exchange *x, const char *method, const char *version)
{
    struct collector collector;
    collector.kept = 0;
    collector.seen = 0;
    collector.bytes = 0;
    x->received_us = clock_monotonic_us();
    x->received_at_ms = clock_now_ms();
    x->request_id = id_create();
    x->client = x->connection->peer;
    proxies_address_format(&x->client, x->client_text);
    (void)MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, &collect, &collector);

    struct guard_request request = {
        .method = str_from_z(method),
        .version = str_from_z(version),
        .raw_target = x->raw_target,
        .headers = collector.headers,
        .header_count = collector.kept,
        .headers_seen = collector.seen,
    };
    struct guard_facts facts;
    enum guard_verdict verdict = guard_check(&request, &facts);
    if (verdict != GUARD_OK) {
        atomic_fetch_add(&x->server->refused_guard, 1);
        reply_refuse_guard(x, verdict);
        return refuse(x);
    }
    take_facts(x, &facts);
    if (!copy_headers(x, &collector)) {
        reply_problem_type(x, "overloaded", "");
        return refuse(x);
    }
    return admit_checked(x, &facts);
}
