#include "deliver/transfer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/limits.h"
#include "deliver/address_guard.h"
#include "deliver/answer_text.h"
#include "deliver/destination.h"
#include "deliver/port_rule.h"

/*
 * The URL is a stranger's, the network is ours.
 *
 * Invariants:
 * - No packet goes to an address that the guard refuses: it is asked with the
 *   resolved address before every socket, and again before the request on a
 *   connection that is reused, since then no socket is opened.
 * - Nothing of the environment changes where we connect: no proxy but the
 *   operator's, no .netrc, no redirect, no alternative service.
 * - An answer costs at most LIMIT_DELIVERY_ANSWER_BYTES of body (more only for who
 *   asked for more) and
 *   ANSWER_HEADER_BYTES_MAX of headers. Once the headers are complete the
 *   answer counts, even if the rest is too long or never ends: the receiver has
 *   spoken, and asking again would only repeat it.
 *
 * Behind a proxy the receiver's address is never seen here: the proxy resolves
 * the name, and it is the wall. The URL's text (scheme, port, literal address) is
 * judged all the same.
 *
 * HTTP/1.1 only: with one connection for all messages, a receiver that stops
 * reading one stream could stop its others too, and eight connections are
 * plenty. The header lines that change live inside the transfer and are linked
 * in front of the destination's list, so a message costs no allocation here.
 *
 * CURLOPT_QUICK_EXIT: without it, giving up on a name that does not resolve
 * waits for the resolver's thread and with it stops everybody (libcurl 7.88,
 * Curl_resolver_kill).
 */

/* Honest answers have under 2 KiB; libcurl's own bound of 300 KiB times 512
 * transfers is too much memory to lend. */
#define ANSWER_HEADER_BYTES_MAX ((size_t)32 * 1024)
/* Names move; a connection that is used without end would never notice. */
#define CONNECTION_LIFETIME_S 600L
#define CONNECTION_IDLE_S 60L
#define READ_BUFFER_BYTES 4096L

enum {
    LINE_ID,
    LINE_TIMESTAMP,
    LINE_SIGNATURE,
    LINE_TRACE,
    LINE_COUNT,
    LINE_SIZE = 32 + TRANSFER_ID_BYTES_MAX,
    SIGNATURE_LINE_SIZE = 32 + DESTINATION_SIGNATURE_SIZE,
    TARGET_LINES_MAX = 16,
    TARGET_BYTES_MAX = 2048, /* as projection.c makes */
    URL_SIZE = 4096,
};

struct transfer {
    CURL *easy;
    const struct address_guard *guard;
    struct destination *configured; /* whose URL and timeouts are set; held */
    struct destination *sending;    /* whose headers libcurl borrows; held, NULL when idle */
    const struct port_rule *ports;
    bool has_proxy;
    bool port_refused; /* of the configured URL */
    bool has_path;     /* the URL set is the message's, not the destination's */
    struct curl_slist lines[LINE_COUNT];
    char line_text[LINE_COUNT][LINE_SIZE];
    char signature_text[SIGNATURE_LINE_SIZE];
    struct curl_slist target_lines[TARGET_LINES_MAX]; /* of the message; then the destination's */
    char target_text[TARGET_BYTES_MAX];
    int64_t start_by_us;
    bool late;     /* the first byte would leave after that */
    bool refused;  /* the guard said no */
    bool answered; /* the final headers are complete */
    size_t header_bytes;
    size_t answer_seen;
    size_t answer_size;
    size_t answer_capacity;
    char answer[];
};

static curl_socket_t on_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = data;
    /* Behind a proxy the only address that we call is the proxy's. */
    bool is_allowed =
        purpose == CURLSOCKTYPE_IPCXN && !transfer->port_refused &&
        (transfer->has_proxy || address_guard_allows(transfer->guard, &address->addr));
    if (!is_allowed) {
        transfer->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* libcurl's types, though nothing is written. NOLINTNEXTLINE(readability-non-const-parameter) */
static int on_before_request(void *data, char *remote, char *local, int remote_port, int local_port)
{
    (void)local;
    (void)remote_port;
    (void)local_port;
    struct transfer *transfer = data;
    if (transfer->port_refused ||
        (!transfer->has_proxy && !address_guard_allows_text(transfer->guard, str_from_z(remote)))) {
        transfer->refused = true;
        return CURL_PREREQFUNC_ABORT;
    }
    if (transfer->start_by_us > 0 && clock_monotonic_us() > transfer->start_by_us) {
        transfer->late = true;
        return CURL_PREREQFUNC_ABORT;
    }
    return CURL_PREREQFUNC_OK;
}

/* As above. NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_header(char *line, size_t unit, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t size = unit * count;
    transfer->header_bytes += size;
    if (transfer->header_bytes > ANSWER_HEADER_BYTES_MAX) {
        return 0;
    }
    bool is_end = size > 0 && (line[0] == '\r' || line[0] == '\n');
    if (is_end && !transfer->answered) {
        long status = 0;
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        transfer->answered = status >= 200;
    }
    return size;
}

static size_t on_body(char *bytes, size_t unit, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t size = unit * count;
    size_t room = transfer->answer_capacity - transfer->answer_size;
    size_t kept = size < room ? size : room;
    memcpy(transfer->answer + transfer->answer_size, bytes, kept);
    transfer->answer_size += kept;
    transfer->answer_seen += size;
    size_t most = transfer->answer_capacity > LIMIT_DELIVERY_ANSWER_BYTES
                      ? transfer->answer_capacity
                      : LIMIT_DELIVERY_ANSWER_BYTES;
    return transfer->answer_seen > most ? 0 : size;
}

static void set_safety(CURL *easy, const struct transfer_rules *rules)
{
    const char *protocols = rules->allow_http ? "https,http" : "https";
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 0L);
    curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_PROXY, rules->proxy != NULL ? rules->proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, rules->proxy != NULL ? "" : "*");
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, rules->proxy != NULL ? 1L : 0L);
    /* Its answer to CONNECT is not the receiver's, our headers are not for it. */
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (rules->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, rules->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static void set_fixed(struct transfer *transfer, const struct transfer_rules *rules, void *owner)
{
    CURL *easy = transfer->easy;
    set_safety(easy, rules);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, owner);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Shopbell/1.0");
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, READ_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S);
}

struct transfer *transfer_create(const struct transfer_rules *rules, size_t answer_capacity,
                                 void *owner)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer) + answer_capacity);
    if (transfer == NULL) {
        return NULL;
    }
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL) {
        free(transfer);
        return NULL;
    }
    transfer->guard = rules->guard;
    transfer->ports = rules->ports;
    transfer->has_proxy = rules->proxy != NULL;
    transfer->answer_capacity = answer_capacity;
    for (size_t i = 0; i < LINE_COUNT; i++) {
        transfer->lines[i].data =
            i == LINE_SIGNATURE ? transfer->signature_text : transfer->line_text[i];
        transfer->lines[i].next = i + 1 < LINE_COUNT ? &transfer->lines[i + 1] : NULL;
    }
    set_fixed(transfer, rules, owner);
    return transfer;
}

void transfer_destroy(struct transfer *transfer)
{
    if (transfer == NULL) {
        return;
    }
    curl_easy_cleanup(transfer->easy);
    destination_release(transfer->sending);
    destination_release(transfer->configured);
    free(transfer);
}

/* A URL was checked when it was saved, by the rules of that day. */
static bool port_is_refused(const struct transfer *transfer, const char *url)
{
    char *text = NULL;
    uint64_t port = 0;
    CURLU *parts = curl_url();
    bool is_allowed = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                      curl_url_get(parts, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                      str_to_u64(str_from_z(text), &port) &&
                      port_rule_allows(transfer->ports, port);
    curl_free(text);
    curl_url_cleanup(parts);
    return !is_allowed;
}

static bool configure(struct transfer *transfer, struct destination *destination)
{
    if (transfer->configured == destination) {
        return true;
    }
    long timeout_ms = (long)destination_timeout_ms(destination);
    long connect_ms =
        timeout_ms < LIMIT_DELIVERY_CONNECT_MS ? timeout_ms : (long)LIMIT_DELIVERY_CONNECT_MS;
    if (curl_easy_setopt(transfer->easy, CURLOPT_URL, destination_url(destination)) != CURLE_OK) {
        return false;
    }
    curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    transfer->port_refused = port_is_refused(transfer, destination_url(destination));
    destination_release(transfer->configured);
    transfer->configured = destination_hold(destination);
    transfer->has_path = false;
    return true;
}

static bool id_is_sendable(struct str id)
{
    for (size_t i = 0; i < id.size; i++) {
        if (id.data[i] <= 0x20 || id.data[i] >= 0x7f || id.data[i] == '.') {
            return false;
        }
    }
    return id.size > 0 && id.size <= TRANSFER_ID_BYTES_MAX;
}

/* A path, and nothing that could name another host or end the line. */
static bool path_is_sendable(struct str path)
{
    for (size_t i = 0; i < path.size; i++) {
        if (path.data[i] <= 0x20 || path.data[i] >= 0x7f) {
            return false;
        }
    }
    return path.size == 0 || (path.data[0] == '/' && !str_starts_with(path, STR("//")));
}

/* The trace is the message's, the span the attempt's: retries share a trace. */
static void write_trace(char *line, struct str webhook_id)
{
    uint8_t random[24];
    struct id id;
    randombytes_buf(random, sizeof(random));
    if (id_parse(webhook_id, &id)) {
        memcpy(random, id.bytes, sizeof(id.bytes));
    }
    random[23] |= 1; /* neither may be all zero */
    char hex[2 * sizeof(random) + 1];
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    snprintf(line, LINE_SIZE, "traceparent: 00-%.32s-%.16s-01", hex, hex + 32);
}

/* The same host, another path. libcurl copies the text. */
static enum status set_path(struct transfer *transfer, const struct destination *destination,
                            struct str path)
{
    if (path.size == 0 && !transfer->has_path) {
        return STATUS_OK;
    }
    char url[URL_SIZE];
    struct str base = str_from_z(destination_url(destination));
    if (path.size > 0) {
        base = native_url_origin(base);
    }
    int size = snprintf(url, sizeof(url), "%.*s%.*s", STR_ARG(base), STR_ARG(path));
    if (size < 0 || (size_t)size >= sizeof(url)) {
        return STATUS_INVALID;
    }
    transfer->has_path = path.size > 0;
    return curl_easy_setopt(transfer->easy, CURLOPT_URL, url) == CURLE_OK ? STATUS_OK
                                                                          : STATUS_BROKEN;
}

static bool write_lines(struct transfer *transfer, struct destination *destination,
                        struct str webhook_id, struct str body, int64_t now_ms)
{
    char timestamp[24];
    int timestamp_size = snprintf(timestamp, sizeof(timestamp), "%lld", (long long)now_ms / 1000);
    assert(timestamp_size > 0);
    char signature[DESTINATION_SIGNATURE_SIZE];
    if (!destination_sign(destination, webhook_id,
                          (struct str){ timestamp, (size_t)timestamp_size }, body, signature)) {
        return false;
    }
    snprintf(transfer->line_text[LINE_ID], LINE_SIZE, "webhook-id: %.*s", STR_ARG(webhook_id));
    snprintf(transfer->line_text[LINE_TIMESTAMP], LINE_SIZE, "webhook-timestamp: %s", timestamp);
    snprintf(transfer->signature_text, SIGNATURE_LINE_SIZE, "webhook-signature: %s", signature);
    write_trace(transfer->line_text[LINE_TRACE], webhook_id);
    transfer->lines[LINE_COUNT - 1].next = &transfer->target_lines[0];
    return true;
}

/* The message's own lines; without any it is JSON like all others. False for what
 * is no header line. */
static bool write_target(struct transfer *transfer, const struct destination *destination,
                         struct str target)
{
    target = target.size > 0 ? target : STR("content-type: application/json\n");
    if (target.size > sizeof(transfer->target_text)) {
        return false;
    }
    memcpy(transfer->target_text, target.data, target.size);
    size_t count = 0;
    for (size_t from = 0; from < target.size;) {
        ptrdiff_t end = str_find(target, '\n', from);
        if (end <= (ptrdiff_t)from || count == TARGET_LINES_MAX) {
            return false;
        }
        transfer->target_text[end] = '\0';
        transfer->target_lines[count].data = transfer->target_text + from;
        transfer->target_lines[count].next =
            count + 1 < TARGET_LINES_MAX ? &transfer->target_lines[count + 1] : NULL;
        count++;
        from = (size_t)end + 1;
    }
    transfer->target_lines[count - 1].next = destination_headers(destination);
    return true;
}

static void forget_answer(struct transfer *transfer)
{
    transfer->start_by_us = 0;
    transfer->late = false;
    transfer->refused = false;
    transfer->answered = false;
    transfer->header_bytes = 0;
    transfer->answer_seen = 0;
    transfer->answer_size = 0;
}

enum status transfer_begin(struct transfer *transfer, struct destination *destination,
                           struct str webhook_id, const struct rendition *message, int64_t now_ms)
{
    assert(transfer->sending == NULL);
    struct str body = message->body;
    bool is_native = destination_format(destination) != NATIVE_NONE;
    bool is_sendable = is_native ? path_is_sendable(message->target)
                                 : write_target(transfer, destination, message->target);
    if (!id_is_sendable(webhook_id) || !is_sendable) {
        return STATUS_INVALID;
    }
    if (!configure(transfer, destination)) {
        return STATUS_BROKEN;
    }
    /* An ESP's API knows its own headers; ours would only tell it who we are. */
    if (is_native) {
        if (set_path(transfer, destination, message->target) != STATUS_OK) {
            return STATUS_BROKEN;
        }
    } else if (!write_lines(transfer, destination, webhook_id, body, now_ms)) {
        return STATUS_BROKEN;
    }
    forget_answer(transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER,
                     is_native ? destination_headers(destination) : transfer->lines);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body.size > 0 ? body.data : "");
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    transfer->sending = destination_hold(destination);
    return STATUS_OK;
}

void transfer_start_by(struct transfer *transfer, int64_t start_by_us)
{
    transfer->start_by_us = start_by_us;
}

enum status transfer_begin_get(struct transfer *transfer, struct destination *destination)
{
    assert(transfer->sending == NULL);
    if (!configure(transfer, destination)) {
        return STATUS_BROKEN;
    }
    forget_answer(transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
    bool is_native = destination_format(destination) != NATIVE_NONE;
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER,
                     is_native ? destination_headers(destination) : NULL);
    transfer->sending = destination_hold(destination);
    return STATUS_OK;
}

CURL *transfer_handle(struct transfer *transfer)
{
    return transfer->easy;
}

static struct str answer_header(CURL *easy, const char *name)
{
    struct curl_header *header = NULL;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return (struct str){ NULL, 0 };
    }
    return str_from_z(header->value);
}

/* libcurl's own words may hold resolved addresses; these never do. */
static const char *error_words(const struct transfer *transfer, CURLcode code)
{
    if (transfer->refused) {
        return transfer->port_refused ? "the port is not one that is called"
                                      : "the host resolves to an address that is not public";
    }
    if (transfer->late) {
        return "connecting took longer than a permission to send lasts";
    }
    if (transfer->header_bytes > ANSWER_HEADER_BYTES_MAX) {
        return "the answer's headers are too long";
    }
    return code == CURLE_OK ? "the answer has no status" : curl_easy_strerror(code);
}

void transfer_finish(struct transfer *transfer, CURLcode code, int64_t now_ms,
                     struct transfer_result *out_result)
{
    assert(transfer->sending != NULL);
    struct transfer_result result = { .body = { transfer->answer, transfer->answer_size } };
    if (transfer->answered) {
        long status = 0;
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        result.status = (int32_t)status;
        result.retry_after_ms =
            retry_after_parse(answer_header(transfer->easy, "retry-after"), now_ms);
        result.aborted = str_equal_nocase(
            str_trim(answer_header(transfer->easy, "webhook-delivery")), STR("abort-message"));
    } else {
        result.late = transfer->late;
        result.error = error_words(transfer, code);
    }
    destination_release(transfer->sending);
    transfer->sending = NULL;
    *out_result = result;
}
