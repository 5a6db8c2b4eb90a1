#include <stdio.h>

#include "base/compiler.h"
#include "base/jsonw.h"
#include "core/access.h"
#include "problem_priv.h"

/*
 * RFC 9457 problems.
 *
 * Problem: an error's `type` is the part that programs read, so it must be the
 * same text wherever the error arises. Invariant: every slug of the contract
 * stands here once, with its status; a slug that does not is our own mistake
 * and is answered as "internal". `type` is a path on this very server, and the
 * page it opens is made of the same row.
 */

static const struct problem_type types[] = {
    { "malformed-request", 400, 0, "The request is malformed",
      "The request line, a header or the way the body is framed breaks the rules of HTTP. The "
      "connection was closed. Check the client or the proxy in between." },
    { "malformed-json", 400, 0, "The body is not JSON",
      "The body is not well-formed UTF-8 JSON, or it is nested too deeply, or a name stands twice "
      "in one object." },
    { "page-token-invalid", 400, 0, "The page token is not valid",
      "Use next_page_token exactly as the previous page gave it, or start again without one." },
    { "page-token-mismatch", 400, 0, "The page token belongs to another query",
      "A page token goes with the filter and the order it was made for. Start again without one." },
    { "idempotency-key-missing", 400, 0, "An Idempotency-Key is needed",
      "Send the Idempotency-Key header, so that a repeat of the request has no second effect." },
    { "write-key-invalid", 400, 0, "The write key is not valid",
      "The key is misspelt, or its source was deleted. Copy it from the source again." },
    { "invalid-message", 400, 0, "The message is not valid",
      "It cannot be taken as it is; the detail says why. To send it again will not help." },
    { "key-missing", 401, 0, "A key is needed", "Send Authorization: Bearer sbk_..." },
    { "key-invalid", 401, 0, "The key is not valid",
      "The key is misspelt or was revoked. Make another with shopbell key create." },
    { "key-expired", 401, 0, "The key has expired", "Make another key and remove this one." },
    { "signature-invalid", 401, 0, "The signature is not valid",
      "The body does not match its signature under any live secret of the source. The source's "
      "health shows the reason; shopbell source verify explains it." },
    { "scope-insufficient", 403, 0, "The key may not do this",
      "The member needed lists the scopes of which the key must have one." },
    { "address-not-allowed", 403, 0, "The address is not allowed",
      "The source or key takes requests from certain addresses only." },
    { "origin-not-allowed", 403, 0, "The origin is not allowed",
      "Name the page's origin in the source's setting allowed_origins." },
    { "route-not-found", 404, 0, "There is no such route", "Compare the path with /openapi.yaml." },
    { "profile-not-found", 404, 0, "There is no such profile",
      "The id is not known in this workspace." },
    { "object-not-found", 404, 0, "There is no such object",
      "The name or id is not known in this workspace." },
    { "method-not-allowed", 405, 0, "The method is not allowed here",
      "The Allow header lists the methods that are." },
    { "not-acceptable", 406, 0, "No acceptable form exists",
      "The Accept header asks for a form that this route does not have." },
    { "name-taken", 409, 0, "The name is taken",
      "Names are unique within a workspace and never change." },
    { "rule-in-use", 409, 0, "The rule is in use",
      "Another rule, trigger or subscription refers to it." },
    { "idempotency-in-progress", 409, 0, "The first request is still running",
      "Wait and repeat with the same Idempotency-Key." },
    { "job-running", 409, 0, "A job is running", "Wait for the job, or cancel it." },
    { "merge-blocked", 409, 0, "The merge is blocked",
      "The profiles may not be merged; the detail says why." },
    { "profile-erased", 410, 0, "The profile was erased",
      "It was erased on request and does not come back." },
    { "source-deleted", 410, 0, "The source was deleted",
      "Remove the webhook at the shop, or create the source again." },
    { "length-required", 411, 0, "A body is needed",
      "Send a body with Content-Length or chunked." },
    { "etag-mismatch", 412, 0, "The object has changed",
      "Read it again and repeat with its new ETag." },
    { "body-too-large", 413, 0, "The body is too large",
      "The detail names the limit. Send fewer items at once." },
    { "uri-too-long", 414, 0, "The request target is too long",
      "Use the POST form of the route, which takes its parameters in the body." },
    { "media-type-unsupported", 415, 0, "The media type is not supported",
      "Send Content-Type: application/json." },
    { "invalid-field", 422, 0, "A field is not valid", "The member errors points at it." },
    { "unknown-field", 422, 0, "A field is not known",
      "The member errors points at it; unknown fields are refused, not ignored." },
    { "invalid-expression", 422, 0, "The expression is not valid",
      "The member errors gives line, column and what was expected." },
    { "expression-circular", 422, 0, "The expression refers to itself",
      "Rules may refer to rules, but not in a circle." },
    { "limit-reached", 422, 0, "A limit was reached", "The detail names the limit." },
    { "topic-reserved", 422, 0, "The topic is reserved",
      "Names that begin with a reserved word are made by Shopbell only." },
    { "idempotency-mismatch", 422, 0, "The Idempotency-Key was used for another body",
      "Use a new key for a new request." },
    { "url-not-allowed", 422, 0, "The URL is not allowed",
      "Receivers need https and a public address." },
    { "challenge-failed", 422, 0, "The receiver did not confirm",
      "The endpoint must echo the challenge or confirm it." },
    { "invalid-event", 422, 0, "An event is not valid",
      "The member errors points at each; nothing was stored unless on_error=skip was given." },
    { "etag-required", 428, 0, "An ETag is needed",
      "Send If-Match with the ETag of the version you have read." },
    { "rate-limited", 429, 1, "Too many requests", "Wait as Retry-After says." },
    { "headers-too-large", 431, 0, "The headers are too large", "Send fewer or shorter headers." },
    { "internal", 500, 0, "Something went wrong on our side",
      "Report the request_id; the log holds the reason under it." },
    { "overloaded", 503, 2, "The server is busy",
      "Nothing was stored. Repeat as Retry-After says; shops do so by themselves." },
    { "database-unavailable", 503, 5, "The database cannot be reached",
      "Nothing was stored. Repeat as Retry-After says." },
    { "draining", 503, 2, "The server is stopping",
      "Nothing was stored. Repeat on a new connection." },
};

const struct problem_type *problem_type_find(struct str slug)
{
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (str_equal_z(slug, types[i].slug)) {
            return &types[i];
        }
    }
    return NULL;
}

static const char *slug_of_status(enum status status)
{
    switch (status) {
    case STATUS_INVALID:
        return "invalid-field";
    case STATUS_DENIED:
        return "scope-insufficient";
    case STATUS_MISSING:
        return "object-not-found";
    case STATUS_CONFLICT:
        return "name-taken";
    case STATUS_LIMIT:
        return "limit-reached";
    case STATUS_RETRY:
        return "overloaded";
    case STATUS_OK:
    case STATUS_BROKEN:
        break;
    }
    return "internal";
}

const struct problem_type *problem_type_of(enum status status, const struct problem *problem)
{
    const char *slug = slug_of_status(status);
    if (problem != NULL && problem->type[0] != '\0') {
        slug = problem->type;
    }
    const struct problem_type *type = problem_type_find(str_from_z(slug));
    return type != NULL ? type : problem_type_find(STR("internal"));
}

static void render_errors(struct jsonw *json, const struct problem_report *report)
{
    if (report->errors_json.size > 0) {
        jsonw_put_raw(json, "errors", report->errors_json);
    } else if (report->pointer.size > 0) {
        jsonw_key(json, "errors");
        jsonw_open_array(json);
        jsonw_open(json);
        jsonw_put_str(json, "pointer", report->pointer);
        jsonw_put_str(json, "detail", report->detail);
        jsonw_close(json);
        jsonw_close_array(json);
    }
}

static void render_needed(struct jsonw *json, uint32_t scopes)
{
    if (scopes == 0) {
        return;
    }
    jsonw_key(json, "needed");
    jsonw_open_array(json);
    for (unsigned i = 0; i < ACCESS_SCOPE_COUNT; i++) {
        if ((scopes & (1u << i)) != 0) {
            jsonw_z(json, access_scope_name((enum access_scope)(1u << i)));
        }
    }
    jsonw_close_array(json);
}

void problem_render(struct buf *buf, const struct problem_report *report)
{
    const struct problem_type *type = report->type;
    struct jsonw json;
    jsonw_begin(&json, buf);
    jsonw_open(&json);
    jsonw_key(&json, "type");
    char path[16 + PROBLEM_TYPE_SIZE];
    int size = snprintf(path, sizeof(path), "/problems/%s", type->slug);
    jsonw_str(&json, (struct str){ path, size > 0 ? (size_t)size : 0 });
    jsonw_put_z(&json, "title", type->title);
    jsonw_put_i64(&json, "status",
                  report->http_status != 0 ? report->http_status : type->http_status);
    jsonw_put_str(&json, "detail",
                  report->detail.size > 0 ? report->detail : str_from_z(type->help));
    jsonw_put_str(&json, "instance", report->instance);
    jsonw_put_id(&json, "request_id", report->request_id);
    render_needed(&json, report->needed_scopes);
    render_errors(&json, report);
    jsonw_close(&json);
}

bool problem_render_page(struct buf *buf, struct str slug)
{
    const struct problem_type *type = problem_type_find(slug);
    if (type == NULL) {
        return false;
    }
    buf_printf(buf,
               "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width\"><title>%s</title>"
               "<style>body{font:18px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;"
               "padding:0 1em}code{background:#8882;padding:.1em .3em}"
               ":root{color-scheme:light dark}</style></head>\n"
               "<body><h1>%s</h1>\n<p>%s</p>\n"
               "<p>Type <code>/problems/%s</code>, HTTP status <code>%u</code>.</p>\n",
               type->title, type->title, type->help, type->slug, type->http_status);
    if (type->retry_after_s > 0) {
        buf_add_z(buf, "<p>The answer's <code>Retry-After</code> says when to ask again.</p>\n");
    }
    buf_add_z(buf, "</body></html>\n");
    return true;
}
