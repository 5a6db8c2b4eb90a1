#include <string.h>

#include "http/server.h"
#include "http_toy.h"

/*
 * What the edge answers, as conversations: bytes in, the status line and a
 * phrase out, and whether the connection ends with it. Every row's answer is
 * also checked to be the only one: a second would be a smuggled request.
 */

#define HOST "Host: a.example\r\n"
#define END "\r\n"

struct row {
    const char *why;
    const char *request;
    const char *status; /* "200" */
    const char *phrase; /* somewhere in the answer; NULL for any */
    bool closes;
    size_t answers;
};

static const struct row rows[] = {
    { "GET with parameters", "GET /v1/items/a%20b?q=c+d HTTP/1.1\r\n" HOST END, "200",
      "{\"id\":\"a b\",\"q\":\"c d\",\"key\":\"a b\"}", false, 1 },
    { "HEAD has the headers only", "HEAD /v1/items/7 HTTP/1.1\r\n" HOST END, "200",
      "Content-Length: 27\r\n", false, 1 },
    { "never cached", "GET /v1/items/7 HTTP/1.1\r\n" HOST END, "200", "Cache-Control: no-store\r\n",
      false, 1 },
    { "a handler's header", "GET /v1/items/7 HTTP/1.1\r\n" HOST END, "200", "ETag: \"1\"\r\n",
      false, 1 },
    { "every answer has an id", "GET /v1/items/7 HTTP/1.1\r\n" HOST END, "200", "X-Request-Id: 0",
      false, 1 },
    { "a stranger's request id is not taken",
      "GET /v1/items/7 HTTP/1.1\r\n" HOST
      "X-Request-Id: ffffffff-ffff-7fff-8fff-ffffffffffff\r\n" END,
      "200", "X-Request-Id: 0", false, 1 },
    { "POST", "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello", "200", "hello",
      false, 1 },
    { "chunked",
      "POST /v1/echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
      "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
      "200", "hello", false, 1 },
    { "POST without a body", "POST /v1/json HTTP/1.1\r\n" HOST END, "200", "Content-Length: 0\r\n",
      false, 1 },
    { "HTTP/1.0 closes", "POST /v1/echo HTTP/1.0\r\nContent-Length: 5\r\n" END "hello", "200",
      "hello", true, 1 },
    { "HTTP/1.0 kept alive",
      "POST /v1/echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n" END "hello",
      "200", "hello", false, 1 },
    { "Connection: close", "GET /v1/items/7 HTTP/1.1\r\n" HOST "Connection: close\r\n" END, "200",
      NULL, true, 1 },
    { "pipelined, in order",
      "GET /v1/items/1 HTTP/1.1\r\n" HOST END "POST /v1/pending HTTP/1.1\r\n" HOST END
      "GET /v1/items/2 HTTP/1.1\r\n" HOST END,
      "200", "\"id\":\"2\"", false, 3 },

    { "completed by another thread", "POST /v1/pending HTTP/1.1\r\n" HOST END, "200",
      "{\"pending\":true}", false, 1 },
    { "completed before it is pending", "POST /v1/hasty HTTP/1.1\r\n" HOST END, "200",
      "{\"pending\":true}", false, 1 },
    { "a worker route", "POST /v1/worker HTTP/1.1\r\n" HOST END, "200", "{\"worker\":true}", false,
      1 },
    { "a handler without an answer", "GET /v1/silent HTTP/1.1\r\n" HOST END, "500",
      "/problems/internal", false, 1 },
    { "our own fault is not explained", "GET /v1/fault HTTP/1.1\r\n" HOST END, "500",
      "\"detail\":\"Report the request_id", false, 1 },
    { "the asker's fault is", "GET /v1/invalid HTTP/1.1\r\n" HOST END, "422",
      "\"errors\":[{\"pointer\":\"#/nme\"", false, 1 },

    { "no such route", "GET /v1/itemz/7 HTTP/1.1\r\n" HOST END, "404", "did you mean /v1/items/7?",
      false, 1 },
    { "no such route, with a body", "POST /v2 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END, "404",
      "/problems/route-not-found", true, 1 },
    { "an admin route", "GET /metrics HTTP/1.1\r\n" HOST END, "404", NULL, false, 1 },
    { "wrong method", "DELETE /v1/items/7 HTTP/1.1\r\n" HOST END, "405",
      "Allow: GET, HEAD, OPTIONS\r\n", false, 1 },
    { "OPTIONS", "OPTIONS /v1/echo HTTP/1.1\r\n" HOST END, "204", "Allow: OPTIONS, POST\r\n", false,
      1 },
    { "OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST END, "204", "GET, HEAD", false, 1 },
    { "a problem's page", "GET /problems/overloaded HTTP/1.1\r\n" HOST END, "200",
      "The server is busy", false, 1 },
    { "no such problem", "GET /problems/nonsense HTTP/1.1\r\n" HOST END, "404", NULL, false, 1 },
    { "a secret path is not repeated",
      "POST /v1/hooks/s3cret HTTP/1.1\r\n" HOST "Content-Length: 9999999\r\n" END, "413",
      "\"instance\":\"/v1/hooks/{token}\"", true, 1 },

    { "no key", "GET /v1/private/7 HTTP/1.1\r\n" HOST END, "401", "/problems/key-missing", true,
      1 },
    { "no key, says how", "GET /v1/private/7 HTTP/1.1\r\n" HOST END, "401",
      "WWW-Authenticate: Bearer\r\n", true, 1 },
    { "basic is no key",
      "GET /v1/private/7 HTTP/1.1\r\n" HOST "Authorization: Basic cmVhZGVyOg==\r\n" END, "401",
      "/problems/key-missing", true, 1 },
    { "unknown key", "GET /v1/private/7 HTTP/1.1\r\n" HOST "Authorization: Bearer x\r\n" END, "401",
      "/problems/key-invalid", true, 1 },
    { "expired key", "GET /v1/private/7 HTTP/1.1\r\n" HOST "Authorization: Bearer old\r\n" END,
      "401", "/problems/key-expired", true, 1 },
    { "key without the scope",
      "GET /v1/private/7 HTTP/1.1\r\n" HOST "Authorization: Bearer writer\r\n" END, "403",
      "\"needed\":[\"read\",\"pii\"]", true, 1 },
    { "good key, any case of the scheme",
      "GET /v1/private/7 HTTP/1.1\r\n" HOST "authorization: bearer reader\r\n" END, "200",
      "\"key\":\"reader\"", false, 1 },
    { "refused before the body",
      "POST /v1/private HTTP/1.1\r\n" HOST "Content-Length: 100\r\nExpect: 100-continue\r\n" END,
      "401", NULL, true, 1 },

    { "text is not JSON",
      "POST /v1/json HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n" END
      "{}",
      "415", NULL, true, 1 },
    { "a body without a type", "POST /v1/json HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "{}",
      "415", NULL, true, 1 },
    { "JSON with parameters",
      "POST /v1/json HTTP/1.1\r\n" HOST
      "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n" END "{}",
      "200", "{}", false, 1 },
    { "merge patch is JSON",
      "POST /v1/json HTTP/1.1\r\n" HOST
      "Content-Type: application/merge-patch+json\r\nContent-Length: 2\r\n" END "{}",
      "200", "{}", false, 1 },
    { "a body is needed", "POST /v1/needed HTTP/1.1\r\n" HOST END, "411",
      "/problems/length-required", true, 1 },
    { "an empty chunked body is none",
      "POST /v1/needed HTTP/1.1\r\n" HOST
      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n",
      "411", NULL, false, 1 },
    { "API bodies are small",
      "POST /v1/json HTTP/1.1\r\n" HOST
      "Content-Type: application/json\r\nContent-Length: 262145\r\n" END,
      "413", "at most 262144", true, 1 },

    { "length and coding",
      "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END
      "0\r\n\r\nGET /v1/items/7 HTTP/1.1\r\n" HOST END,
      "400", "exclude each other", true, 1 },
    { "two lengths",
      "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 5\r\n" END
      "GET /v1/items/7 HTTP/1.1\r\n" HOST END,
      "400", "/problems/malformed-request", true, 1 },
    { "space before the colon",
      "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length : 3\r\n" END
      "GET /v1/items/7 HTTP/1.1\r\n" HOST END,
      "400", NULL, true, 1 },
    { "a folded length",
      "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length:\r\n 3\r\n" END
      "GET /v1/items/7 HTTP/1.1\r\n" HOST END,
      "400", NULL, true, 1 },
    { "a folded coding",
      "POST /v1/echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n" END
      "0\r\n\r\nGET /v1/items/7 HTTP/1.1\r\n" HOST END,
      "400", NULL, true, 1 },
    { "two Host", "GET /v1/items/7 HTTP/1.1\r\n" HOST "Host: b.example\r\n" END, "400", NULL, true,
      1 },
    { "no Host", "GET /v1/items/7 HTTP/1.1\r\n" END, "400", NULL, true, 1 },
    { "an unknown coding",
      "POST /v1/echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n" END, "501", NULL,
      true, 1 },
    { "chunked on 1.0", "POST /v1/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n",
      "400", NULL, true, 1 },
    { "GET with a body", "GET /v1/items/7 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "abc",
      "400", NULL, true, 1 },
    { "%00", "GET /v1/items/a%00b HTTP/1.1\r\n" HOST END, "400", NULL, true, 1 },
    { "a space in the target", "GET /v1/items/a b HTTP/1.1\r\n" HOST END, "400", NULL, true, 1 },
    { "HTTP/1.9", "GET /v1/items/7 HTTP/1.9\r\n" HOST END, "400", NULL, true, 1 },
    { "a method of tomorrow", "BREW /v1/items/7 HTTP/1.1\r\n" HOST END, "400", NULL, true, 1 },
    { "65 query parameters",
      "GET "
      "/v1/items/7?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a"
      "&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a HTTP/1.1\r\n" HOST END,
      "400", "64 parameters", true, 1 },
    { "the server lives", "GET /v1/items/7 HTTP/1.1\r\n" HOST END, "200", NULL, false, 1 },
};

static void conversations_go_as_written(void **state)
{
    struct toy *toy = *state;
    static char answer[ANSWER_SIZE_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        bool closed = converse(toy->port, row->request, strlen(row->request), answer);
        bool good = strncmp(answer, "HTTP/1.1 ", 9) == 0 &&
                    strncmp(answer + 9, row->status, 3) == 0 && closed == row->closes &&
                    answers_in(answer) == row->answers &&
                    (row->phrase == NULL || strstr(answer, row->phrase) != NULL);
        if (!good) {
            fail_msg("%s: %s\n%s", row->why, closed ? "closed" : "open", answer);
        }
    }
    assert_true(atomic_load(&toy->observed) >= (int)ARRAY_COUNT(rows));
}

static void expect_is_answered_before_the_body(void **state)
{
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    static const char head[] =
        "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n" END;
    int fd = dial(toy->port);
    assert_true(say(fd, head, sizeof(head) - 1));
    assert_false(hear(fd, answer, QUIET_MS));
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_true(say(fd, "hello", 5));
    assert_false(hear(fd, answer, QUIET_MS));
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
    assert_non_null(strstr(answer, "hello"));
    (void)close(fd);
}

static void huge_heads_are_refused(void **state)
{
    struct toy *toy = *state;
    static char request[64 * 1024];
    static char answer[ANSWER_SIZE_MAX];
    static const struct {
        const char *why;
        const char *begin;
        const char *repeated;
        size_t count;
        const char *end;
        const char *status;
    } heads[] = {
        { "101 headers", "GET /v1/items/7 HTTP/1.1\r\n" HOST, "X: 1\r\n", 100, END, " 431" },
        { "100 headers", "GET /v1/items/7 HTTP/1.1\r\n" HOST, "X: 1\r\n", 99, END, " 200" },
        { "40 KB in one header", "GET /v1/items/7 HTTP/1.1\r\n" HOST "X: ", "xxxxxxxxxx", 4000,
          END END, " 431" },
        { "a target of 9 KB", "GET /", "xxxxxxxxxx", 900, " HTTP/1.1\r\n" HOST END, " 414" },
        { "a target of 40 KB", "GET /", "xxxxxxxxxx", 4000, " HTTP/1.1\r\n" HOST END, " 414" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        size_t size = strlen(heads[i].begin);
        memcpy(request, heads[i].begin, size);
        for (size_t j = 0; j < heads[i].count; j++) {
            memcpy(request + size, heads[i].repeated, strlen(heads[i].repeated));
            size += strlen(heads[i].repeated);
        }
        memcpy(request + size, heads[i].end, strlen(heads[i].end));
        size += strlen(heads[i].end);
        (void)converse(toy->port, request, size, answer);
        assert_row(strstr(answer, heads[i].status) != NULL, heads[i].why);
    }
}

/* A body of `size` bytes, sent in pieces; what the server says. */
static void send_body(uint16_t port, size_t size, bool chunked, char *answer)
{
    enum {
        PIECE = 64 * 1024
    };
    static char piece[PIECE + 16];
    char head[256];
    int fd = dial(port);
    int head_size =
        chunked
            ? snprintf(head, sizeof(head),
                       "POST /v1/hooks/t HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n")
            : snprintf(head, sizeof(head),
                       "POST /v1/hooks/t HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", size);
    bool open = say(fd, head, (size_t)head_size);
    for (size_t sent = 0; sent < size && open; sent += PIECE) {
        size_t now = size - sent < PIECE ? size - sent : PIECE;
        int lead = chunked ? snprintf(piece, 16, "%zx\r\n", now) : 0;
        memset(piece + lead, 1, now);
        open = say(fd, piece, (size_t)lead + now) && (!chunked || say(fd, "\r\n", 2));
    }
    if (open && chunked) {
        (void)say(fd, "0\r\n\r\n", 5);
    }
    (void)hear(fd, answer, 1000);
    (void)close(fd);
}

static void bodies_end_at_their_limit(void **state)
{
    struct toy *toy = *state;
    static char answer[ANSWER_SIZE_MAX];
    static const struct {
        size_t size;
        bool chunked;
        const char *status;
        const char *phrase;
    } bodies[] = {
        { 65537, false, "200", "{\"size\":65537,\"sum\":65537}" },
        { 65537, true, "200", "{\"size\":65537,\"sum\":65537}" },
        { LIMIT_HOOK_BODY_BYTES, false, "200", "{\"size\":5242880,\"sum\":5242880}" },
        { LIMIT_HOOK_BODY_BYTES, true, "200", "{\"size\":5242880,\"sum\":5242880}" },
        { LIMIT_HOOK_BODY_BYTES + 1, false, "413", "body-too-large" },
        { LIMIT_HOOK_BODY_BYTES + 1, true, "413", "body-too-large" },
        { 6 * 1024 * 1024, false, "413", "body-too-large" },
        { 6 * 1024 * 1024, true, "413", "body-too-large" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        send_body(toy->port, bodies[i].size, bodies[i].chunked, answer);
        if (strncmp(answer + 9, bodies[i].status, 3) != 0 ||
            strstr(answer, bodies[i].phrase) == NULL) {
            fail_msg("%zu bytes, chunked %d: %s", bodies[i].size, bodies[i].chunked, answer);
        }
    }
    struct http_stats stats;
    http_server_stats(toy->server, &stats);
    assert_int_equal(stats.in_flight_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conversations_go_as_written, start, stop),
        cmocka_unit_test_setup_teardown(expect_is_answered_before_the_body, start, stop),
        cmocka_unit_test_setup_teardown(huge_heads_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(bodies_end_at_their_limit, start, stop),
    };
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
