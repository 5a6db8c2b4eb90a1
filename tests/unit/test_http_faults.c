#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "http/server.h"
#include "http_toy.h"

/*
 * The edge under time, load and malice: deadlines, full queues, full budgets,
 * and the end of the server in the middle of things.
 */

#define HOST "Host: a.example\r\n"

static void assert_answer(const char *answer, const char *status, const char *phrase)
{
    if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, status, 3) != 0 ||
        strstr(answer, phrase) == NULL) {
        fail_msg("expected %s and \"%s\": %s", status, phrase, answer);
    }
}

static void ask(int fd, const char *request)
{
    assert_true(say(fd, request, strlen(request)));
}

static struct http_stats stats_of(struct toy *toy)
{
    struct http_stats stats;
    http_server_stats(toy->server, &stats);
    return stats;
}

static void nap(int64_t milliseconds)
{
    struct timespec wait = { .tv_sec = milliseconds / 1000,
                             .tv_nsec = (long)(milliseconds % 1000) * 1000000 };
    (void)nanosleep(&wait, NULL);
}

/* ---- deadlines ------------------------------------------------------------ */

static void the_watchdog_answers_for_the_late(void **state)
{
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    int fd = dial(toy->port);
    int64_t from_ms = clock_monotonic_ms();
    ask(fd, "POST /v1/stuck HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    assert_false(hear(fd, answer, ANSWER_MS / 2));
    assert_string_equal(answer, "");
    assert_int_equal(stats_of(toy).suspended, 1);
    assert_false(hear(fd, answer, ANSWER_MS));
    assert_in_range(clock_monotonic_ms() - from_ms, ANSWER_MS, 4 * ANSWER_MS);
    assert_answer(answer, "503", "/problems/overloaded");
    assert_answer(answer, "503", "Retry-After: 2\r\n");
    assert_int_equal(stats_of(toy).watchdog_answers, 1);
    assert_int_equal(stats_of(toy).suspended, 0);

    /* The holder, late, finds its request whole; the connection lives on. */
    struct http_exchange *held = atomic_exchange(&toy->held, NULL);
    assert_str_equal(http_body(held), STR("hello"));
    assert_int_equal(stats_of(toy).in_flight_bytes, 5);
    http_reply_json(held, 200, STR("{\"late\":true}"));
    http_complete(held);
    assert_int_equal(stats_of(toy).in_flight_bytes, 0);
    ask(fd, "GET /v1/items/7 HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd, answer, QUIET_MS));
    assert_answer(answer, "200", "\"id\":\"7\"");
    assert_null(strstr(answer, "late"));
    (void)close(fd);
}

/* One byte now and then, until the server has had enough. */
static int64_t drip(uint16_t port, const char *begin, const char *drops)
{
    int fd = dial(port);
    int64_t from_ms = clock_monotonic_ms();
    char answer[ANSWER_SIZE_MAX];
    ask(fd, begin);
    bool open = true;
    for (size_t i = 0; open && clock_monotonic_ms() - from_ms < 5000; i++) {
        open = say(fd, &drops[i % strlen(drops)], 1) && !hear(fd, answer, 50);
    }
    (void)close(fd);
    return clock_monotonic_ms() - from_ms;
}

static void dripping_senders_are_cut_off(void **state)
{
    struct toy *toy = *state;
    static const struct {
        const char *why;
        const char *begin;
        const char *drops;
    } drips[] = {
        { "in the request line", "GET /v1/items/", "a" },
        { "in the headers", "GET /v1/items/7 HTTP/1.1\r\n" HOST, "X: 1\r\n" },
        { "in the body", "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length: 9999\r\n\r\n", "a" },
        { "in the chunks", "POST /v1/echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
          "1\r\na\r\n" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(drips); i++) {
        int64_t took_ms = drip(toy->port, drips[i].begin, drips[i].drops);
        assert_row(took_ms >= HEADERS_MS / 2 && took_ms < 4 * HEADERS_MS, drips[i].why);
        assert_row(stats_of(toy).reaped == i + 1, drips[i].why);
    }
}

/* ---- refusals of those who still send -------------------------------------- */

static const struct {
    const char *why;
    const char *head;
    const char *status;
    const char *phrase;
} refusals[] = {
    { "too large by its own word",
      "POST /v1/json HTTP/1.1\r\n" HOST
      "Content-Type: application/json\r\nContent-Length: 2097152\r\n\r\n",
      "413", "/problems/body-too-large" },
    { "no key",
      "POST /v1/private HTTP/1.1\r\n" HOST
      "Content-Type: application/json\r\nContent-Length: 2097152\r\n\r\n",
      "401", "/problems/key-missing" },
    { "no such route", "POST /v2 HTTP/1.1\r\n" HOST "Content-Length: 2097152\r\n\r\n", "404",
      "/problems/route-not-found" },
    { "no JSON", "POST /v1/json HTTP/1.1\r\n" HOST "Content-Length: 2097152\r\n\r\n", "415",
      "/problems/media-type-unsupported" },
    { "refused by the guard", "GET /v1/items/7 HTTP/1.1\r\n" HOST "Content-Length: 2097152\r\n\r\n",
      "400", "/problems/malformed-request" },
};

/* The answer goes out while the body comes in, and is still there to be read
 * when all of the body is gone: no reset has thrown it away. */
static void who_still_sends_reads_the_refusal(void **state)
{
    enum {
        BODY = 2 * 1024 * 1024,
        FIRST = 64 * 1024
    };
    struct toy *toy = *state;
    static char body[BODY];
    char answer[ANSWER_SIZE_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        int fd = dial(toy->port);
        ask(fd, refusals[i].head);
        bool first = say(fd, body, FIRST);
        nap(50); /* the answer has left, and libmicrohttpd has closed */
        bool rest = say(fd, body, BODY - FIRST);
        nap(20);
        bool closed = hear(fd, answer, QUIET_MS);
        assert_row(first && rest && closed, refusals[i].why);
        assert_answer(answer, refusals[i].status, refusals[i].phrase);
        assert_row(answers_in(answer) == 1, refusals[i].why);
        int error = 0;
        socklen_t size = sizeof(error);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
        assert_row(error == 0, refusals[i].why);
        (void)close(fd);
    }
}

static void who_waits_to_be_asked_is_refused_at_once(void **state)
{
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    int fd = dial(toy->port);
    int64_t from_ms = clock_monotonic_ms();
    ask(fd, "POST /v1/json HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
            "Content-Type: application/json\r\nContent-Length: 2097152\r\n\r\n");
    assert_true(hear(fd, answer, LINGER_MS));
    assert_in_range(clock_monotonic_ms() - from_ms, 0, LINGER_MS / 2);
    assert_answer(answer, "413", "/problems/body-too-large");
    assert_null(strstr(answer, "100 Continue"));
    (void)close(fd);
}

/* Whether the server still takes bytes; a reset shows at the second send. */
static bool is_heard(int fd)
{
    nap(20);
    return say(fd, "a", 1);
}

static void the_refused_are_not_heard_for_ever(void **state)
{
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    int fd = dial(toy->port);
    ask(fd, refusals[0].head);
    assert_true(hear(fd, answer, QUIET_MS));
    int64_t from_ms = clock_monotonic_ms();
    while (is_heard(fd) && clock_monotonic_ms() - from_ms < 5000) {
    }
    assert_in_range(clock_monotonic_ms() - from_ms, LINGER_MS / 2, 4 * LINGER_MS);
    (void)close(fd);
}

static void the_refused_are_not_heard_without_end(void **state)
{
    enum {
        PIECE = 64 * 1024,
        SLACK_BYTES = 12 * 1024 * 1024 /* what the kernel keeps on its way */
    };
    struct toy *toy = *state;
    static char piece[PIECE];
    int fd = dial(toy->port);
    ask(fd, refusals[0].head);
    size_t sent = 0;
    while (sent < LIMIT_DISCARD_BYTES + SLACK_BYTES && say(fd, piece, PIECE)) {
        sent += PIECE;
    }
    assert_in_range(sent, LIMIT_DISCARD_BYTES / 2, LIMIT_DISCARD_BYTES + SLACK_BYTES - 1);
    (void)close(fd);
}

/* More of them than there are places: the others are closed as ever, nobody
 * waits, and every place is given back. */
static void places_for_the_refused_are_given_back(void **state)
{
    enum {
        SENDERS = LIMIT_LINGERING + 20
    };
    struct toy *toy = *state;
    static const char other[] = "GET /v1/items/7 HTTP/1.1\r\n" HOST "\r\n";
    static int fds[SENDERS];
    char answer[ANSWER_SIZE_MAX];
    for (size_t i = 0; i < SENDERS; i++) {
        fds[i] = dial(toy->port);
        ask(fds[i], refusals[0].head);
    }
    (void)converse(toy->port, other, sizeof(other) - 1, answer);
    assert_answer(answer, "200", "\"id\":\"7\"");
    for (size_t i = 0; i < SENDERS; i++) {
        (void)close(fds[i]);
    }
    nap(2 * TICK_MS);
    who_still_sends_reads_the_refusal(state);
}

static void silence_is_cut_off(void **state)
{
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    int fd = dial(toy->port);
    assert_true(hear(fd, answer, 4 * HEADERS_MS));
    assert_string_equal(answer, "");
    (void)close(fd);
}

/* A suspended request has its own clock; the reaper leaves it alone. */
static void waiting_for_the_handler_is_no_fault(void **state)
{
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    int fd = dial(toy->port);
    ask(fd, "POST /v1/slow HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd, answer, 2 * HEADERS_MS));
    assert_answer(answer, "200", "{\"slow\":true}");
    assert_int_equal(stats_of(toy).reaped, 0);
    (void)close(fd);
}

/* Resumed when nobody is there any more: libmicrohttpd then reports the
 * request completed without calling the handler again. */
static void clients_may_leave_while_they_wait(void **state)
{
    enum {
        CLIENTS = 40
    };
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    struct linger reset = { .l_onoff = 1 };
    for (size_t i = 0; i < CLIENTS; i++) {
        int fd = dial(toy->port);
        ask(fd, i % 2 == 0 ? "POST /v1/slow HTTP/1.1\r\n" HOST "\r\n"
                           : "POST /v1/pending HTTP/1.1\r\n" HOST "\r\n");
        nap(5);
        if (i % 4 < 2) {
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        }
        (void)close(fd);
    }
    nap(3 * ANSWER_MS);
    assert_int_equal(stats_of(toy).suspended, 0);
    assert_int_equal(stats_of(toy).connections, 0);
    int fd = dial(toy->port);
    ask(fd, "POST /v1/pending HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd, answer, QUIET_MS));
    assert_answer(answer, "200", "{\"pending\":true}");
    (void)close(fd);
}

/* ---- bounds --------------------------------------------------------------- */

static void a_full_queue_is_said_at_once(void **state)
{
    enum {
        CLIENTS = 20
    };
    struct toy *toy = *state;
    char answer[ANSWER_SIZE_MAX];
    int fds[CLIENTS];
    size_t good = 0;
    size_t busy = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = dial(toy->port);
        ask(fds[i], "POST /v1/slow HTTP/1.1\r\n" HOST "\r\n");
    }
    nap(3 * ANSWER_MS);
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)hear(fds[i], answer, 10);
        good += strncmp(answer, "HTTP/1.1 200", 12) == 0;
        busy += strncmp(answer, "HTTP/1.1 503", 12) == 0;
        (void)close(fds[i]);
    }
    /* Two workers, 200 ms each, 400 ms to answer, eight in the queue. */
    assert_int_equal(good + busy, CLIENTS);
    assert_in_range(good, 2, 6);
    assert_true(stats_of(toy).refused_overload >= CLIENTS - 10);
    /* What expired in the queue was not run. */
    nap(300);
    assert_in_range(atomic_load(&toy->started_slow), (int)good, 6);
}

static void declared_bytes_are_not_held(void **state)
{
    enum {
        LIARS = 20
    };
    struct toy *toy = *state;
    int fds[LIARS];
    for (size_t i = 0; i < LIARS; i++) {
        fds[i] = dial(toy->port);
        ask(fds[i], "POST /v1/hooks/t HTTP/1.1\r\n" HOST "Content-Length: 5000000\r\n\r\nx");
    }
    nap(QUIET_MS);
    assert_in_range(stats_of(toy).in_flight_bytes, 1, LIARS * 65536);
    for (size_t i = 0; i < LIARS; i++) {
        (void)close(fds[i]);
    }
    nap(QUIET_MS);
    assert_int_equal(stats_of(toy).in_flight_bytes, 0);
}

static void the_budget_is_kept(void **state)
{
    (void)state;
    struct toy toy = { 0 };
    struct http_config config = toy_config(&toy);
    char answer[ANSWER_SIZE_MAX];
    config.in_flight_bytes_max = 100;
    toy_start(&toy, &config);
    int first = dial(toy.port);
    int second = dial(toy.port);
    ask(first, "POST /v1/stuck HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    nap(50);
    static const char fits[] = "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length: 95\r\n\r\n";
    static const char over[] = "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Length: 96\r\n\r\n";
    static const char bytes[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    ask(second, fits);
    ask(second, bytes);
    assert_false(hear(second, answer, QUIET_MS));
    assert_answer(answer, "200", bytes);
    ask(second, over);
    assert_true(hear(second, answer, QUIET_MS));
    assert_answer(answer, "503", "/problems/overloaded");
    (void)close(first);
    (void)close(second);
    http_server_destroy(toy.server);
    http_complete(atomic_load(&toy.held));
}

static void addresses_hold_a_bounded_number(void **state)
{
    (void)state;
    struct toy toy = { 0 };
    struct http_config config = toy_config(&toy);
    char answer[ANSWER_SIZE_MAX];
    int fds[4];
    config.connections_per_address_max = 3;
    toy_start(&toy, &config);
    for (size_t i = 0; i < 4; i++) {
        fds[i] = dial(toy.port);
        nap(30);
    }
    assert_int_equal(stats_of(&toy).connections, 3);
    assert_true(hear(fds[3], answer, QUIET_MS));
    (void)close(fds[0]);
    nap(100);
    int fd = dial(toy.port);
    ask(fd, "GET /v1/items/7 HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd, answer, QUIET_MS));
    assert_answer(answer, "200", "\"id\":\"7\"");
    for (size_t i = 1; i < 4; i++) {
        (void)close(fds[i]);
    }
    (void)close(fd);
    http_server_destroy(toy.server);
}

/* All at once, three times as many as there is room for: each is served in turn. */
static void beyond_the_limit_they_wait(void **state)
{
    enum {
        ROOM = 8,
        CLIENTS = 3 * ROOM
    };
    (void)state;
    struct toy toy = { 0 };
    struct http_config config = toy_config(&toy);
    char answer[ANSWER_SIZE_MAX];
    int fds[CLIENTS];
    config.connections_max = ROOM;
    toy_start(&toy, &config);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = dial(toy.port);
        ask(fds[i], "GET /v1/items/7 HTTP/1.1\r\n" HOST "\r\n");
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_false(hear(fds[i], answer, QUIET_MS));
        assert_answer(answer, "200", "\"id\":\"7\"");
        assert_true(stats_of(&toy).connections <= ROOM);
        (void)close(fds[i]);
    }
    http_server_destroy(toy.server);
}

/* ---- listeners ------------------------------------------------------------- */

static int dial_unix(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void unix_sockets_are_served(void **state)
{
    (void)state;
    char directory[] = "/tmp/shopbell-http-XXXXXX";
    char listen[64];
    struct toy toy = { 0 };
    struct toy second = { 0 };
    struct stat info;
    char answer[ANSWER_SIZE_MAX];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(listen, sizeof(listen), "unix:%s/http.sock", directory);
    const char *path = listen + 5;
    struct http_config config = toy_config(&toy);
    config.listen = listen;
    config.trusted_proxies = "unix";
    toy_start(&toy, &config);
    assert_int_equal(http_server_port(toy.server), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0660);

    int fd = dial_unix(path);
    ask(fd, "GET /v1/items/7 HTTP/1.1\r\n" HOST
            "X-Request-Id: 0199d31000007000800000000000000f\r\n\r\n");
    assert_false(hear(fd, answer, QUIET_MS));
    assert_answer(answer, "200", "X-Request-Id: 0199d310-0000-7000-8000-00000000000f\r\n");
    (void)close(fd);

    /* A living socket is not stolen; a dead one is replaced; a file stays. */
    struct problem problem;
    assert_int_equal(http_server_start(&config, &second.server, &problem), STATUS_INVALID);
    assert_null(second.server);
    http_server_destroy(toy.server);
    assert_int_equal(stat(path, &info), -1);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, strlen(path) + 1);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)close(dead);
    toy_start(&toy, &config);
    http_server_destroy(toy.server);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(http_server_start(&config, &second.server, &problem), STATUS_INVALID);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void inherited_sockets_are_served(void **state)
{
    (void)state;
    struct toy toy = { 0 };
    char listen_on[32];
    char answer[ANSWER_SIZE_MAX];
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct http_config config = toy_config(&toy);
    struct problem problem;
    (void)snprintf(listen_on, sizeof(listen_on), "fd:%d", fd);
    config.listen = listen_on;
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(http_server_start(&config, &toy.server, &problem), STATUS_INVALID);
    fd = socket(AF_INET, SOCK_STREAM, 0); /* the first was closed with its server */
    (void)snprintf(listen_on, sizeof(listen_on), "fd:%d", fd);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    toy_start(&toy, &config);
    assert_true(toy.port > 0);
    int client = dial(toy.port);
    ask(client, "GET /v1/items/7 HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(client, answer, QUIET_MS));
    assert_answer(answer, "200", "\"id\":\"7\"");
    (void)close(client);
    http_server_destroy(toy.server);
}

/* ---- the end --------------------------------------------------------------- */

struct load {
    struct toy *toy;
    atomic_bool ends;
    atomic_int answered;
    atomic_int drained;
    atomic_int broken; /* connection gone in the middle of an answer */
};

static void *load_run(void *cls)
{
    struct load *load = cls;
    static const char request[] = "POST /v1/pending HTTP/1.1\r\n" HOST "\r\n";
    char answer[4096];
    int fd = dial(load->toy->port);
    while (!atomic_load(&load->ends) && say(fd, request, sizeof(request) - 1)) {
        ssize_t got = recv(fd, answer, sizeof(answer) - 1, 0);
        if (got <= 0) {
            break;
        }
        answer[got] = '\0';
        if (strstr(answer, "HTTP/1.1 200") != NULL) {
            atomic_fetch_add(&load->answered, 1);
        } else if (strstr(answer, "/problems/draining") != NULL) {
            atomic_fetch_add(&load->drained, 1);
            break;
        } else {
            atomic_fetch_add(&load->broken, 1);
        }
    }
    (void)close(fd);
    return NULL;
}

static void draining_under_load_breaks_nothing(void **state)
{
    enum {
        CLIENTS = 8
    };
    struct toy *toy = *state;
    struct load load = { .toy = toy };
    pthread_t threads[CLIENTS];
    char answer[ANSWER_SIZE_MAX];
    int slow = dial(toy->port);
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, &load_run, &load), 0);
    }
    nap(200);
    ask(slow, "POST /v1/slow HTTP/1.1\r\n" HOST "\r\n");
    nap(50);
    http_server_drain(toy->server, 2000);
    assert_false(hear(slow, answer, QUIET_MS) && answer[0] == '\0');
    assert_answer(answer, "200", "{\"slow\":true}");
    assert_answer(answer, "200", "Connection: close\r\n");
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(toy->port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(late, (const struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    (void)close(late);
    atomic_store(&load.ends, true);
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&load.answered) > CLIENTS);
    assert_int_equal(atomic_load(&load.broken), 0);
    assert_int_equal(stats_of(toy).suspended, 0);
    (void)close(slow);
}

/* Each drain is a race with the threads that poll (see accept.c). */
static void many_drains_are_survived(void **state)
{
    enum {
        DRAINS = 400,
        CLIENTS = 3
    };
    (void)state;
    for (int i = 0; i < DRAINS; i++) {
        struct toy toy = { 0 };
        struct http_config config = toy_config(&toy);
        toy_start(&toy, &config);
        struct load load = { .toy = &toy };
        pthread_t threads[CLIENTS];
        for (size_t k = 0; k < CLIENTS; k++) {
            assert_int_equal(pthread_create(&threads[k], NULL, &load_run, &load), 0);
        }
        while (stats_of(&toy).connections < CLIENTS || atomic_load(&load.answered) < CLIENTS) {
            nap(1);
        }
        http_server_drain(toy.server, 1000);
        atomic_store(&load.ends, true);
        http_server_destroy(toy.server);
        for (size_t k = 0; k < CLIENTS; k++) {
            pthread_join(threads[k], NULL);
        }
        assert_int_equal(atomic_load(&load.broken), 0);
    }
}

static void destroy_answers_what_is_suspended(void **state)
{
    (void)state;
    struct toy toy = { 0 };
    struct http_config config = toy_config(&toy);
    char answer[ANSWER_SIZE_MAX];
    toy_start(&toy, &config);
    int fd = dial(toy.port);
    ask(fd, "POST /v1/stuck HTTP/1.1\r\n" HOST "\r\n");
    nap(50);
    http_server_destroy(toy.server);
    assert_true(hear(fd, answer, QUIET_MS));
    assert_answer(answer, "503", "/problems/draining");
    (void)close(fd);
    http_reply_json(atomic_load(&toy.held), 200, STR("{}"));
    http_complete(atomic_load(&toy.held));
}

static void two_listeners_two_faces(void **state)
{
    (void)state;
    char directory[] = "/tmp/shopbell-http-XXXXXX";
    char listen[64];
    struct toy toy = { 0 };
    char answer[ANSWER_SIZE_MAX];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(listen, sizeof(listen), "unix:%s/admin.sock", directory);
    struct http_config config = toy_config(&toy);
    config.admin_listen = listen;
    toy_start(&toy, &config);
    int fd = dial_unix(listen + 5);
    ask(fd, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd, answer, QUIET_MS));
    assert_answer(answer, "500", "/problems/internal"); /* the toy's own answer */
    ask(fd, "GET /v1/items/7 HTTP/1.1\r\n" HOST "\r\n");
    assert_false(hear(fd, answer, QUIET_MS));
    assert_answer(answer, "404", "/problems/route-not-found");
    (void)close(fd);
    http_server_destroy(toy.server);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_watchdog_answers_for_the_late, start, stop),
        cmocka_unit_test_setup_teardown(dripping_senders_are_cut_off, start, stop),
        cmocka_unit_test_setup_teardown(who_still_sends_reads_the_refusal, start, stop),
        cmocka_unit_test_setup_teardown(who_waits_to_be_asked_is_refused_at_once, start, stop),
        cmocka_unit_test_setup_teardown(the_refused_are_not_heard_for_ever, start, stop),
        cmocka_unit_test_setup_teardown(the_refused_are_not_heard_without_end, start, stop),
        cmocka_unit_test_setup_teardown(places_for_the_refused_are_given_back, start, stop),
        cmocka_unit_test_setup_teardown(silence_is_cut_off, start, stop),
        cmocka_unit_test_setup_teardown(waiting_for_the_handler_is_no_fault, start, stop),
        cmocka_unit_test_setup_teardown(clients_may_leave_while_they_wait, start, stop),
        cmocka_unit_test_setup_teardown(a_full_queue_is_said_at_once, start, stop),
        cmocka_unit_test_setup_teardown(declared_bytes_are_not_held, start, stop),
        cmocka_unit_test(the_budget_is_kept),
        cmocka_unit_test(addresses_hold_a_bounded_number),
        cmocka_unit_test(beyond_the_limit_they_wait),
        cmocka_unit_test(unix_sockets_are_served),
        cmocka_unit_test(inherited_sockets_are_served),
        cmocka_unit_test_setup_teardown(draining_under_load_breaks_nothing, start, stop),
        cmocka_unit_test(many_drains_are_survived),
        cmocka_unit_test(destroy_answers_what_is_suspended),
        cmocka_unit_test(two_listeners_two_faces),
    };
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
