#include "http/guard.h"

#include "base/limits.h"

/*
 * The header guard.
 *
 * Problem: libmicrohttpd 0.9.75 answers Content-Length together with
 * Transfer-Encoding, takes the first of two lengths, reads "Content-Length :"
 * as an unknown header and folds a continuation into the header's name. Each
 * of these turns the body into a second request (smuggling) as soon as a
 * proxy in front of us reads the head the other way.
 *
 * Invariant: a head that passes has one meaning: one length or one chunked
 * coding, one Host, names made of tchar, values without control bytes, a
 * target that decodes. The tests hold one request for each rule that only
 * this rule refuses.
 *
 * Rejected: repairing (dropping the length when chunked is present, as RFC
 * 9112 allows). No honest sender of webhooks needs it. Not visible here: bare
 * LF, a fold in an ordinary header, NUL in a value; none of them can move the
 * framing once these rules hold.
 */

struct scan {
    const struct guard_request *request;
    struct guard_facts facts;
    size_t host_count;
    size_t length_count;
    size_t coding_count;
    size_t authorization_count;
    struct str length;
    struct str coding;
};

struct verdict_text {
    unsigned http_status;
    const char *type;
    const char *name;
    const char *reason;
};

static const struct verdict_text verdict_texts[] = {
    [GUARD_OK] = { 200, "", "ok", "" },
    [GUARD_VERSION] = { 400, "malformed-request", "version",
                        "the protocol version is not HTTP/1.0 or HTTP/1.1" },
    [GUARD_METHOD] = { 400, "malformed-request", "method", "the method is not known here" },
    [GUARD_TARGET] = { 400, "malformed-request", "target",
                       "the request target holds a byte or an escape that may not stand in it" },
    [GUARD_TARGET_TOO_LONG] = { 414, "uri-too-long", "target-too-long",
                                "the request target is longer than 8192 bytes" },
    [GUARD_HEADERS_TOO_MANY] = { 431, "headers-too-large", "headers-too-many",
                                 "there are more than 100 header fields" },
    [GUARD_HEADER_NAME] = { 400, "malformed-request", "header-name",
                            "a header name is empty or holds a byte that may not stand in it" },
    [GUARD_HEADER_VALUE] = { 400, "malformed-request", "header-value",
                             "a header value holds a control byte" },
    [GUARD_LOOKALIKE] = { 400, "malformed-request", "lookalike",
                          "a header name resembles Content-Length or Transfer-Encoding" },
    [GUARD_HOST] = { 400, "malformed-request", "host",
                     "exactly one well-formed Host header is needed" },
    [GUARD_CONTENT_LENGTH] = { 400, "malformed-request", "content-length",
                               "Content-Length is repeated or not a number" },
    [GUARD_LENGTH_AND_CODING] = { 400, "malformed-request", "length-and-coding",
                                  "Content-Length and Transfer-Encoding exclude each other" },
    [GUARD_TRANSFER_CODING] = { 400, "malformed-request", "transfer-coding",
                                "Transfer-Encoding is repeated, empty, or sent with HTTP/1.0" },
    [GUARD_CODING_UNKNOWN] = { 501, "malformed-request", "coding-unknown",
                               "the only transfer coding understood is chunked" },
    [GUARD_BODY_UNEXPECTED] = { 400, "malformed-request", "body-unexpected",
                                "this method takes no body" },
    [GUARD_AUTHORIZATION] = { 400, "malformed-request", "authorization",
                              "Authorization is repeated" },
};

/* RFC 9110 section 5.6.2. */
static bool is_tchar(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
        return true;
    }
    switch (c) {
    case '!':
    case '#':
    case '$':
    case '%':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '.':
    case '^':
    case '_':
    case '`':
    case '|':
    case '~':
        return true;
    default:
        return false;
    }
}

static bool name_is_good(struct str name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (!is_tchar(name.data[i])) {
            return false;
        }
    }
    return name.size > 0;
}

static bool value_is_good(struct str value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Begins like `framing`, with '_' taken for '-', yet is not it. */
static bool resembles(struct str name, struct str framing)
{
    if (name.size < framing.size) {
        return false;
    }
    for (size_t i = 0; i < framing.size; i++) {
        char c = name.data[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if (c == '_') {
            c = '-';
        }
        if (c != framing.data[i]) {
            return false;
        }
    }
    return !str_equal_nocase(name, framing);
}

/* uri-host [":" port], loosely: what no two readers can read differently. */
static bool host_is_good(struct str host)
{
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '.' && c != '_' && c != ':' && c != '[' && c != ']' &&
            c != '~' && c != '%') {
            return false;
        }
    }
    return host.size > 0;
}

static enum http_method method_from(struct str method)
{
    static const struct {
        struct str name;
        enum http_method method;
    } methods[] = {
        { { "POST", 4 }, HTTP_POST },       { { "GET", 3 }, HTTP_GET },
        { { "HEAD", 4 }, HTTP_HEAD },       { { "PUT", 3 }, HTTP_PUT },
        { { "PATCH", 5 }, HTTP_PATCH },     { { "DELETE", 6 }, HTTP_DELETE },
        { { "OPTIONS", 7 }, HTTP_OPTIONS },
    };
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        if (str_equal(method, methods[i].name)) {
            return methods[i].method;
        }
    }
    return 0;
}

/* By length first: nearly every header is told apart from ours by it. */
static enum guard_verdict scan_header(struct scan *scan, const struct http_header *header)
{
    struct str name = header->name;
    struct str value = str_trim(header->value);
    switch (name.size) {
    case 4:
        if (str_equal_nocase(name, STR("host"))) {
            scan->host_count++;
            scan->facts.host = value;
        }
        break;
    case 12:
        if (str_equal_nocase(name, STR("content-type"))) {
            scan->facts.content_type = value;
        } else if (str_equal_nocase(name, STR("x-request-id"))) {
            scan->facts.request_id = value;
        }
        break;
    case 13:
        if (str_equal_nocase(name, STR("authorization"))) {
            scan->authorization_count++;
            scan->facts.authorization = value;
        }
        break;
    case 14:
        if (str_equal_nocase(name, STR("content-length"))) {
            scan->length_count++;
            scan->length = value;
        }
        break;
    case 15:
        if (str_equal_nocase(name, STR("x-forwarded-for"))) {
            scan->facts.forwarded_for = value;
        }
        break;
    case 17:
        if (str_equal_nocase(name, STR("transfer-encoding"))) {
            scan->coding_count++;
            scan->coding = value;
        }
        break;
    }
    if (resembles(name, STR("content-length")) || resembles(name, STR("transfer-encoding"))) {
        return GUARD_LOOKALIKE;
    }
    return GUARD_OK;
}

static enum guard_verdict scan_headers(struct scan *scan)
{
    const struct guard_request *request = scan->request;
    if (request->headers_seen > LIMIT_HEADERS || request->header_count > LIMIT_HEADERS) {
        return GUARD_HEADERS_TOO_MANY;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (!name_is_good(header->name)) {
            return GUARD_HEADER_NAME;
        }
        if (!value_is_good(header->value)) {
            return GUARD_HEADER_VALUE;
        }
        enum guard_verdict verdict = scan_header(scan, header);
        if (verdict != GUARD_OK) {
            return verdict;
        }
    }
    return GUARD_OK;
}

static enum guard_verdict check_host(const struct scan *scan)
{
    const struct guard_facts *facts = &scan->facts;
    if (scan->host_count > 1 || (scan->host_count == 0 && !facts->is_http_1_0)) {
        return GUARD_HOST;
    }
    if (scan->host_count == 1 && !host_is_good(facts->host)) {
        return GUARD_HOST;
    }
    if (facts->target.form == TARGET_ABSOLUTE && scan->host_count == 1 &&
        !str_equal_nocase(facts->target.authority, facts->host)) {
        return GUARD_HOST;
    }
    return GUARD_OK;
}

static enum guard_verdict check_framing(struct scan *scan)
{
    struct guard_facts *facts = &scan->facts;
    if (scan->length_count > 0 && scan->coding_count > 0) {
        return GUARD_LENGTH_AND_CODING;
    }
    if (scan->length_count > 1) {
        return GUARD_CONTENT_LENGTH;
    }
    if (scan->length_count == 1) {
        if (!str_to_u64(scan->length, &facts->content_length)) {
            return GUARD_CONTENT_LENGTH;
        }
        facts->has_content_length = true;
    }
    if (scan->coding_count > 1 || (scan->coding_count == 1 && facts->is_http_1_0) ||
        (scan->coding_count == 1 && scan->coding.size == 0)) {
        return GUARD_TRANSFER_CODING;
    }
    if (scan->coding_count == 1) {
        if (!str_equal_nocase(scan->coding, STR("chunked"))) {
            return GUARD_CODING_UNKNOWN;
        }
        facts->is_chunked = true;
    }
    return GUARD_OK;
}

static bool method_takes_body(enum http_method method)
{
    switch (method) {
    case HTTP_POST:
    case HTTP_PUT:
    case HTTP_PATCH:
        return true;
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
        break;
    }
    return false;
}

static enum guard_verdict check_request_line(struct scan *scan)
{
    const struct guard_request *request = scan->request;
    scan->facts.is_http_1_0 = str_equal(request->version, STR("HTTP/1.0"));
    if (!scan->facts.is_http_1_0 && !str_equal(request->version, STR("HTTP/1.1"))) {
        return GUARD_VERSION;
    }
    scan->facts.method = method_from(request->method);
    if (scan->facts.method == 0) {
        return GUARD_METHOD;
    }
    enum target_verdict verdict = target_parse(request->raw_target, &scan->facts.target);
    if (verdict == TARGET_TOO_LONG) {
        return GUARD_TARGET_TOO_LONG;
    }
    if (verdict != TARGET_OK) {
        return GUARD_TARGET;
    }
    if (scan->facts.target.form == TARGET_ASTERISK && scan->facts.method != HTTP_OPTIONS) {
        return GUARD_TARGET;
    }
    return GUARD_OK;
}

static enum guard_verdict check_all(struct scan *scan)
{
    enum guard_verdict verdict = check_request_line(scan);
    if (verdict == GUARD_OK) {
        verdict = scan_headers(scan);
    }
    if (verdict == GUARD_OK) {
        verdict = check_host(scan);
    }
    if (verdict == GUARD_OK) {
        verdict = check_framing(scan);
    }
    if (verdict == GUARD_OK && !method_takes_body(scan->facts.method) &&
        (scan->facts.is_chunked || scan->facts.content_length > 0)) {
        verdict = GUARD_BODY_UNEXPECTED;
    }
    if (verdict == GUARD_OK && scan->authorization_count > 1) {
        verdict = GUARD_AUTHORIZATION;
    }
    return verdict;
}

enum guard_verdict guard_check(const struct guard_request *request, struct guard_facts *out_facts)
{
    struct scan scan = { .request = request };
    enum guard_verdict verdict = check_all(&scan);
    if (verdict == GUARD_OK) {
        scan.facts.has_authorization = scan.authorization_count == 1;
        *out_facts = scan.facts;
    }
    return verdict;
}

unsigned guard_http_status(enum guard_verdict verdict)
{
    return verdict_texts[verdict].http_status;
}

const char *guard_problem_type(enum guard_verdict verdict)
{
    return verdict_texts[verdict].type;
}

const char *guard_reason(enum guard_verdict verdict)
{
    return verdict_texts[verdict].reason;
}

const char *guard_verdict_name(enum guard_verdict verdict)
{
    return verdict_texts[verdict].name;
}
