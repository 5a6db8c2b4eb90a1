#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

/*
 * One request and its answer, as a handler sees it.
 *
 * Ownership: the exchange owns its arena; the target, headers and body are
 * borrowed from it and live as long as it. A handler that returns HTTP_DONE
 * has written its answer. One that returns HTTP_PENDING has handed the
 * exchange on: whoever holds it writes the answer and calls http_complete
 * exactly once, from any thread. If the sender's deadline passes first, the
 * watchdog answers 503 in its place and the sender is gone, but the exchange
 * (arena and body included) stays valid until http_complete.
 *
 * Threading: one thread at a time; handing on is a transfer.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/access.h"

struct http_exchange;

enum http_method {
    HTTP_GET = 1,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
};

enum http_outcome {
    HTTP_DONE,
    HTTP_PENDING
};

typedef enum http_outcome http_continue_fn(struct http_exchange *x, void *app);

/* What was asked. Header names are compared without case; absent is the empty
 * string. http_method gives HTTP_GET for HEAD requests too. */
struct arena *http_arena(struct http_exchange *x);
enum http_method http_method_of(const struct http_exchange *x);
struct str http_path(const struct http_exchange *x);
struct str http_path_param(const struct http_exchange *x, const char *name); /* percent-decoded */
struct str http_query(const struct http_exchange *x, const char *name);      /* percent-decoded */
struct str http_query_text(const struct http_exchange *x); /* all of it, as it came */
bool http_query_has(const struct http_exchange *x, const char *name);
/* The first query parameter that is not among `known`, or the empty string:
 * unknown ones are refused, not ignored. */
struct str http_query_unknown(const struct http_exchange *x, const char *const *known,
                              size_t known_count);
struct str http_header(const struct http_exchange *x, const char *name);
size_t http_header_count(const struct http_exchange *x, const char *name);
/* All of them, in the order they came; index below http_header_total. */
size_t http_header_total(const struct http_exchange *x);
void http_header_at(const struct http_exchange *x, size_t index, struct str *out_name,
                    struct str *out_value);
struct str http_body(const struct http_exchange *x);
struct id http_request_id(const struct http_exchange *x);
struct str http_client_address(const struct http_exchange *x); /* after trusted proxies */
int64_t http_received_at_ms(const struct http_exchange *x);    /* wall clock, head complete */
const struct principal *http_principal(const struct http_exchange *x); /* NULL on open routes */
/* The per-thread context of the worker that runs this handler (HTTP_WORKER
 * routes only): made by http_config.worker_open. */
void *http_worker_context(const struct http_exchange *x);

/* The answer. Bodies and header values are borrowed: they must live in the
 * exchange's arena or be static. The last reply call wins. */
void http_reply(struct http_exchange *x, unsigned http_status, const char *content_type,
                struct str body);
void http_reply_json(struct http_exchange *x, unsigned http_status, struct str body);
void http_reply_header(struct http_exchange *x, const char *name, struct str value);
/* RFC 9457, with type, title and code looked up from problem->type. */
void http_reply_problem(struct http_exchange *x, const struct problem *problem);
/* With the `errors` array already rendered as JSON ("[{...}]"). */
void http_reply_problem_with(struct http_exchange *x, const struct problem *problem,
                             struct str errors_json);
/* The one switch from status to HTTP: uses problem->type if set, else the
 * status's own type (broken -> internal, retry -> overloaded, ...). */
void http_reply_status(struct http_exchange *x, enum status status, const struct problem *problem);

/* Changes the answer deadline (milliseconds after the request arrived); for
 * hooks whose sender waits longer or shorter than LIMIT_ANSWER_MS. */
void http_set_answer_deadline(struct http_exchange *x, int64_t milliseconds);

/* Lets `handler` go on with the request on a worker thread, where it may block.
 * The caller returns what this returns: HTTP_PENDING, or HTTP_DONE after a 503
 * when no worker has room. */
enum http_outcome http_continue_on_worker(struct http_exchange *x, http_continue_fn *handler);

/* Attaches what the next owner needs. Borrowed. */
void http_set_user_data(struct http_exchange *x, void *data);
void *http_user_data(const struct http_exchange *x);

void http_complete(struct http_exchange *x);

#endif
