#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "http/guard.h"
#include "http/proxies.h"
#include "http/target.h"

/*
 * Any bytes as a request head, cut the way libmicrohttpd cuts them: request
 * line, then one header per line, NUL for a line that has no colon. What the
 * guard accepts must have one meaning, so the promises of its header are
 * checked here with code that shares nothing with it.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FUZZ_HEADERS_MAX = LIMIT_HEADERS + 8
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static struct str next_line(struct str *rest)
{
    struct str line = *rest;
    struct str tail = { NULL, 0 };
    (void)str_split(*rest, '\n', &line, &tail);
    *rest = tail;
    return line;
}

static size_t count_of(const struct guard_request *request, struct str name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        count += str_equal_nocase(request->headers[i].name, name);
    }
    return count;
}

static void check_promises(const struct guard_request *request, const struct guard_facts *facts)
{
    size_t lengths = count_of(request, STR("content-length"));
    size_t codings = count_of(request, STR("transfer-encoding"));
    size_t hosts = count_of(request, STR("host"));
    must(lengths + codings <= 1);
    must(hosts == 1 || (hosts == 0 && facts->is_http_1_0));
    must(facts->is_chunked == (codings == 1));
    must(facts->has_content_length == (lengths == 1));
    must(!(facts->is_chunked && facts->is_http_1_0));
    must(count_of(request, STR("authorization")) <= 1);
    for (size_t i = 0; i < facts->target.path.size; i++) {
        must(facts->target.path.data[i] > ' ' && facts->target.path.data[i] < 0x7f);
    }
}

/* Accepted targets decode; nothing decodes to a NUL. */
static void check_target(const struct guard_facts *facts)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(1024 * 1024);
    const struct form_field *parameters = NULL;
    size_t count = 0;
    must(arena != NULL);
    enum target_verdict verdict =
        target_parse_query(arena, facts->target.query, &parameters, &count);
    must(verdict == TARGET_OK || verdict == TARGET_QUERY_TOO_MANY);
    for (size_t i = 0; verdict == TARGET_OK && i < count; i++) {
        must(str_find(parameters[i].name, '\0', 0) < 0);
        must(str_find(parameters[i].value, '\0', 0) < 0);
    }
    struct str text = { NULL, 0 };
    must(target_decode_segment(arena, facts->target.path, &text));
    must(str_find(text, '\0', 0) < 0);
}

static void check_proxies(const struct guard_facts *facts)
{
    struct proxies proxies = { .trusts_unix = true };
    struct proxies_address peer = { .is_unix = true };
    char text[PROXIES_ADDRESS_TEXT_SIZE];
    struct proxies_address client = proxies_client(&proxies, &peer, facts->forwarded_for);
    proxies_address_format(&client, text);
    must(memchr(text, '\0', sizeof(text)) != NULL);
    struct id id;
    (void)proxies_request_id(facts->request_id, &id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_header headers[FUZZ_HEADERS_MAX];
    struct guard_request request = { .headers = headers };
    struct guard_facts facts;
    struct str rest = { (const char *)data, size };
    struct str line = next_line(&rest);
    (void)str_split(line, ' ', &request.method, &line);
    request.raw_target = line;
    (void)str_split(line, ' ', &request.raw_target, &request.version);
    while (rest.size > 0 && request.header_count < FUZZ_HEADERS_MAX) {
        struct http_header *header = &headers[request.header_count];
        *header = (struct http_header){ .name = next_line(&rest) };
        (void)str_split(header->name, ':', &header->name, &header->value);
        request.header_count++;
    }
    request.headers_seen = request.header_count;
    enum guard_verdict verdict = guard_check(&request, &facts);
    if (verdict == GUARD_OK) {
        check_promises(&request, &facts);
        check_target(&facts);
        check_proxies(&facts);
    } else {
        must(guard_http_status(verdict) >= 400);
    }
    return 0;
}
