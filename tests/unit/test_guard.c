#include <string.h>

#include "base/limits.h"
#include "http/guard.h"
#include "unit.h"

/*
 * Each row is a head that only one rule refuses (or that none does), written
 * as it is on the wire, one header per line. Take a rule out of the guard and
 * its rows fail.
 */

struct row {
    const char *why;
    const char *head; /* request line, then headers, by '\n' */
    enum guard_verdict verdict;
};

#define HOST "\nHost: a.example"

static const struct row rows[] = {
    { "an ordinary GET", "GET /v1/x HTTP/1.1" HOST, GUARD_OK },
    { "a webhook", "POST /v1/hooks/t HTTP/1.1" HOST "\nContent-Length: 3", GUARD_OK },
    { "chunked", "POST / HTTP/1.1" HOST "\nTransfer-Encoding: chunked", GUARD_OK },
    { "chunked, any case", "POST / HTTP/1.1" HOST "\ntransfer-encoding: Chunked", GUARD_OK },
    { "action without a body", "POST /v1/x/pause HTTP/1.1" HOST, GUARD_OK },
    { "1.0 needs no Host", "GET / HTTP/1.0", GUARD_OK },
    { "1.0 with a length", "POST / HTTP/1.0\nContent-Length: 3", GUARD_OK },
    { "GET with length 0", "GET / HTTP/1.1" HOST "\nContent-Length: 0", GUARD_OK },
    { "spaces around a length", "POST / HTTP/1.1" HOST "\nContent-Length:  3 ", GUARD_OK },
    { "a port and an IPv6 host", "GET / HTTP/1.1\nHost: [2001:db8::1]:8080", GUARD_OK },
    { "tab in a value", "GET / HTTP/1.1" HOST "\nX: a\tb", GUARD_OK },
    { "UTF-8 in a value", "GET / HTTP/1.1" HOST "\nX: caf\xc3\xa9", GUARD_OK },
    { "absolute form, same host", "GET http://a.example/x HTTP/1.1" HOST, GUARD_OK },
    { "asterisk for OPTIONS", "OPTIONS * HTTP/1.1" HOST, GUARD_OK },

    { "1: a version of tomorrow", "GET / HTTP/1.9" HOST, GUARD_VERSION },
    { "1: HTTP/2 by preface", "PRI * HTTP/2.0", GUARD_VERSION },
    { "1: no version", "GET / " HOST, GUARD_VERSION },
    { "1: a version in lower case", "GET / http/1.1" HOST, GUARD_VERSION },
    { "1: an unknown method", "BREW / HTTP/1.1" HOST, GUARD_METHOD },
    { "1: control byte in the method", "G\x01T / HTTP/1.1" HOST, GUARD_METHOD },
    { "1: methods know their case", "get / HTTP/1.1" HOST, GUARD_METHOD },
    { "1: CONNECT", "CONNECT / HTTP/1.1" HOST, GUARD_METHOD },

    { "2: space before the colon", "POST / HTTP/1.1" HOST "\nX : 3", GUARD_HEADER_NAME },
    { "2: Content-Length with a space", "POST / HTTP/1.1" HOST "\nContent-Length : 3",
      GUARD_HEADER_NAME },
    { "2: Transfer-Encoding with a space", "POST / HTTP/1.1" HOST "\nTransfer-Encoding : chunked",
      GUARD_HEADER_NAME },
    { "2: leading space", "GET / HTTP/1.1" HOST "\n X: 1", GUARD_HEADER_NAME },
    { "2: empty name", "GET / HTTP/1.1" HOST "\n: 1", GUARD_HEADER_NAME },
    { "2: parenthesis", "GET / HTTP/1.1" HOST "\nX(1): 1", GUARD_HEADER_NAME },
    { "2: beyond ASCII", "GET / HTTP/1.1" HOST "\n\xc3\xa9: 1", GUARD_HEADER_NAME },

    { "3: bare CR in a value", "GET / HTTP/1.1" HOST "\nX: a\rb", GUARD_HEADER_VALUE },
    { "3: escape", "GET / HTTP/1.1" HOST "\nX: a\x1b[0m", GUARD_HEADER_VALUE },
    { "3: DEL", "GET / HTTP/1.1" HOST "\nX: a\x7f", GUARD_HEADER_VALUE },

    { "4: no Host", "GET / HTTP/1.1", GUARD_HOST },
    { "4: two Host", "GET / HTTP/1.1" HOST HOST, GUARD_HOST },
    { "4: two Host on 1.0", "GET / HTTP/1.0" HOST HOST, GUARD_HOST },
    { "4: a list", "GET / HTTP/1.1\nHost: a.example, b.example", GUARD_HOST },
    { "4: an empty one", "GET / HTTP/1.1\nHost:", GUARD_HOST },
    { "4: user information", "GET / HTTP/1.1\nHost: u@a.example", GUARD_HOST },

    { "5: two lengths", "POST / HTTP/1.1" HOST "\nContent-Length: 3\nContent-Length: 31",
      GUARD_CONTENT_LENGTH },
    { "5: twice the same", "POST / HTTP/1.1" HOST "\nContent-Length: 3\nContent-Length: 3",
      GUARD_CONTENT_LENGTH },
    { "5: a list of lengths", "POST / HTTP/1.1" HOST "\nContent-Length: 3, 3",
      GUARD_CONTENT_LENGTH },
    { "5: signed", "POST / HTTP/1.1" HOST "\nContent-Length: +3", GUARD_CONTENT_LENGTH },
    { "5: hexadecimal", "POST / HTTP/1.1" HOST "\nContent-Length: 0x3", GUARD_CONTENT_LENGTH },
    { "5: beyond 64 bits", "POST / HTTP/1.1" HOST "\nContent-Length: 18446744073709551616",
      GUARD_CONTENT_LENGTH },
    { "5: empty", "POST / HTTP/1.1" HOST "\nContent-Length:", GUARD_CONTENT_LENGTH },
    { "5: length and coding",
      "POST / HTTP/1.1" HOST "\nContent-Length: 3\nTransfer-Encoding: chunked",
      GUARD_LENGTH_AND_CODING },
    { "5: coding and length",
      "POST / HTTP/1.1" HOST "\nTransfer-Encoding: chunked\nContent-Length: 0",
      GUARD_LENGTH_AND_CODING },

    { "6: two codings in two fields",
      "POST / HTTP/1.1" HOST "\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
      GUARD_TRANSFER_CODING },
    { "6: chunked on 1.0", "POST / HTTP/1.0\nTransfer-Encoding: chunked", GUARD_TRANSFER_CODING },
    { "6: empty", "POST / HTTP/1.1" HOST "\nTransfer-Encoding:", GUARD_TRANSFER_CODING },
    { "6: gzip", "POST / HTTP/1.1" HOST "\nTransfer-Encoding: gzip, chunked",
      GUARD_CODING_UNKNOWN },
    { "6: xchunked", "POST / HTTP/1.1" HOST "\nTransfer-Encoding: xchunked", GUARD_CODING_UNKNOWN },
    { "6: identity", "POST / HTTP/1.1" HOST "\nTransfer-Encoding: identity", GUARD_CODING_UNKNOWN },
    { "6: chunked with a parameter", "POST / HTTP/1.1" HOST "\nTransfer-Encoding: chunked;a=b",
      GUARD_CODING_UNKNOWN },

    { "7: what a fold leaves behind",
      "POST / HTTP/1.1" HOST "\nContent-Length3:", GUARD_LOOKALIKE },
    { "7: the same for the coding",
      "POST / HTTP/1.1" HOST "\nTransfer-Encodingchunked:", GUARD_LOOKALIKE },
    { "7: underscore", "POST / HTTP/1.1" HOST "\nTransfer_Encoding: chunked", GUARD_LOOKALIKE },
    { "7: underscore in the length", "POST / HTTP/1.1" HOST "\nCONTENT_LENGTH: 3",
      GUARD_LOOKALIKE },

    { "8: GET with a body", "GET / HTTP/1.1" HOST "\nContent-Length: 3", GUARD_BODY_UNEXPECTED },
    { "8: GET chunked", "GET / HTTP/1.1" HOST "\nTransfer-Encoding: chunked",
      GUARD_BODY_UNEXPECTED },
    { "8: HEAD with a body", "HEAD / HTTP/1.1" HOST "\nContent-Length: 1", GUARD_BODY_UNEXPECTED },
    { "8: DELETE with a body", "DELETE / HTTP/1.1" HOST "\nContent-Length: 1",
      GUARD_BODY_UNEXPECTED },

    { "9: %00", "GET /a%00b HTTP/1.1" HOST, GUARD_TARGET },
    { "9: unfinished escape", "GET /a%4 HTTP/1.1" HOST, GUARD_TARGET },
    { "9: control byte", "GET /a\x01 HTTP/1.1" HOST, GUARD_TARGET },
    { "9: space", "GET /a b HTTP/1.1" HOST, GUARD_TARGET },
    { "9: fragment", "GET /a#b HTTP/1.1" HOST, GUARD_TARGET },
    { "9: backslash", "GET /a\\b HTTP/1.1" HOST, GUARD_TARGET },
    { "9: beyond ASCII", "GET /caf\xc3\xa9 HTTP/1.1" HOST, GUARD_TARGET },
    { "9: no slash", "GET v1 HTTP/1.1" HOST, GUARD_TARGET },
    { "9: another scheme", "GET ftp://a.example/ HTTP/1.1" HOST, GUARD_TARGET },
    { "9: asterisk for GET", "GET * HTTP/1.1" HOST, GUARD_TARGET },
    { "9: absolute form of another host", "GET http://b.example/ HTTP/1.1" HOST, GUARD_HOST },

    { "two keys", "GET / HTTP/1.1" HOST "\nAuthorization: Bearer a\nAuthorization: Bearer b",
      GUARD_AUTHORIZATION },
};

enum {
    HEADERS_MAX = 128
};

/* Cuts as libmicrohttpd does: the name is what stands before the colon. */
static void read_head(const char *head, struct http_header *headers, struct guard_request *out)
{
    struct str rest = str_from_z(head);
    struct str line = rest;
    struct str tail = { NULL, 0 };
    *out = (struct guard_request){ .headers = headers };
    (void)str_split(rest, '\n', &line, &tail);
    ptrdiff_t first = str_find(line, ' ', 0);
    assert_true(first > 0);
    size_t last = line.size;
    while (line.data[last - 1] != ' ') {
        last--;
    }
    out->method = str_take(line, (size_t)first);
    out->version = str_drop(line, last);
    out->raw_target = str_drop(str_take(line, last > 0 ? last - 1 : 0), (size_t)first + 1);
    while (tail.size > 0) {
        struct str next = { NULL, 0 };
        rest = tail;
        line = rest;
        (void)str_split(rest, '\n', &line, &next);
        tail = next;
        struct http_header *header = &headers[out->header_count];
        assert_true(str_split(line, ':', &header->name, &header->value));
        header->value = str_trim(header->value);
        out->header_count++;
    }
    out->headers_seen = out->header_count;
}

static void every_row_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct http_header headers[HEADERS_MAX];
        struct guard_request request;
        struct guard_facts facts;
        memset(&facts, 0xa5, sizeof(facts));
        read_head(rows[i].head, headers, &request);
        enum guard_verdict verdict = guard_check(&request, &facts);
        if (verdict != rows[i].verdict) {
            fail_msg("%s: %s, expected %s", rows[i].why, guard_verdict_name(verdict),
                     guard_verdict_name(rows[i].verdict));
        }
        const unsigned char *first = (const unsigned char *)&facts;
        if (verdict != GUARD_OK && *first != 0xa5) {
            fail_msg("%s: facts were touched", rows[i].why);
        }
        if (verdict != GUARD_OK) {
            assert_in_range(guard_http_status(verdict), 400, 501);
            assert_true(strlen(guard_reason(verdict)) > 0);
            assert_true(strlen(guard_problem_type(verdict)) > 0);
        }
    }
}

static void facts_are_collected(void **state)
{
    (void)state;
    struct http_header headers[HEADERS_MAX];
    struct guard_request request;
    struct guard_facts facts;
    read_head("POST /v1/x?a=b HTTP/1.1\nhost: a.example\ncontent-length: 42\n"
              "CONTENT-TYPE: application/json\nauthorization: Bearer k\n"
              "x-forwarded-for: 192.0.2.1\nX-Forwarded-For: 192.0.2.2\nx-request-id: r",
              headers, &request);
    assert_int_equal(guard_check(&request, &facts), GUARD_OK);
    assert_int_equal(facts.method, HTTP_POST);
    assert_int_equal(facts.content_length, 42);
    assert_true(facts.has_content_length);
    assert_false(facts.is_chunked);
    assert_true(facts.has_authorization);
    assert_true(str_equal_z(facts.content_type, "application/json"));
    assert_true(str_equal_z(facts.authorization, "Bearer k"));
    assert_true(str_equal_z(facts.forwarded_for, "192.0.2.2"));
    assert_true(str_equal_z(facts.request_id, "r"));
    assert_true(str_equal_z(facts.target.path, "/v1/x"));
    assert_true(str_equal_z(facts.target.query, "a=b"));
}

static enum guard_verdict with_header_count(size_t count)
{
    struct http_header headers[HEADERS_MAX];
    struct guard_facts facts;
    headers[0] = (struct http_header){ STR("Host"), STR("a.example") };
    for (size_t i = 1; i < count; i++) {
        headers[i] = (struct http_header){ STR("X"), STR("1") };
    }
    struct guard_request request = { .method = STR("GET"),
                                     .version = STR("HTTP/1.1"),
                                     .raw_target = STR("/"),
                                     .headers = headers,
                                     .header_count = count,
                                     .headers_seen = count };
    return guard_check(&request, &facts);
}

static enum guard_verdict with_target_size(size_t size)
{
    static char target[LIMIT_TARGET_BYTES + 2];
    struct http_header header = { STR("Host"), STR("a.example") };
    struct guard_facts facts;
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    struct guard_request request = { .method = STR("GET"),
                                     .version = STR("HTTP/1.1"),
                                     .raw_target = { target, size },
                                     .headers = &header,
                                     .header_count = 1,
                                     .headers_seen = 1 };
    return guard_check(&request, &facts);
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    assert_int_equal(with_header_count(LIMIT_HEADERS), GUARD_OK);
    assert_int_equal(with_header_count(LIMIT_HEADERS + 1), GUARD_HEADERS_TOO_MANY);
    assert_int_equal(with_target_size(LIMIT_TARGET_BYTES), GUARD_OK);
    assert_int_equal(with_target_size(LIMIT_TARGET_BYTES + 1), GUARD_TARGET_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_verdict),
        cmocka_unit_test(facts_are_collected),
        cmocka_unit_test(limits_hold_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
