#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "payload_file.h"

/*
 * The load generator, and the ESP at the other end: one thread, one epoll.
 *
 * Problem: on a machine of two cores the generator takes its share from the
 * server it measures. So requests come ready from a file (payloads.py), are
 * written by one system call, and answers are only looked at as far as
 * needed.
 *
 * Closed loop: each of N connections sends when it has its answer. Open loop:
 * request i is due at i/rate seconds, whatever became of those before; its
 * latency counts from when it was due, not from when a connection was free
 * (otherwise a server that stalls is asked less while it stalls, and looks
 * good: coordinated omission).
 *
 * The ESP answers every notification at once and notes when its last byte came;
 * the order id in the body says to which request it belongs. Latencies are kept
 * one by one and sorted at the end: no buckets, no rounding.
 *
 * Rejected: wrk (closed loop only, one body, no receiver), several threads (the
 * cores are the server's).
 */

enum {
    CONNECTIONS_MAX = 4096,
    EVENTS_MAX = 256,
    ANSWER_BYTES_MAX = 16 * 1024,
    MESSAGE_BYTES_MAX = 1024 * 1024,
    STATUS_MAX = 600,
};

struct options {
    const char *file;
    int port;
    const char *source;
    int connections;
    uint64_t offset;
    uint64_t count; /* 0: to the end of the file */
    double seconds; /* give up (closed loop with no count: stop) after so long */
    double rate;    /* 0: closed loop */
    int esp_port;
    double esp_wait_seconds;
    bool hold;         /* serve the ESP, and begin when stdin says so */
    const char *trace; /* a file for each answer's start and latency, or NULL */
};

enum peer_kind {
    PEER_SHOP = 1, /* a connection to the server */
    PEER_LISTENER,
    PEER_ESP, /* a connection from the server */
    PEER_TIMER,
    PEER_STDIN,
};

struct peer {
    enum peer_kind kind;
    int fd;
    bool is_busy;
    bool waits_to_write;
    uint64_t index; /* of the request in flight */
    size_t sent;
    char *data;
    size_t size;
    size_t capacity;
    struct peer *next_idle;
};

struct load {
    struct options options;
    struct payload_file payloads;
    int epoll_fd;
    struct peer timer;
    struct peer listener;
    struct peer standard_input;
    struct peer *shops;
    struct peer *idle_head; /* a queue: each connection is used in turn */
    struct peer *idle_tail;
    bool is_started;
    uint64_t next; /* request to send, from 0 */
    uint64_t total;
    uint64_t answered;
    uint64_t lost; /* connections that ended with a request in flight */
    int64_t begin_ns;
    int64_t end_ns;
    int64_t *start_ns; /* per request: due (open loop) or sent (closed loop) */
    int64_t *ack_ns;
    int64_t *ack_start_ns; /* of the same request */
    int64_t *esp_ns;       /* latency of the first notification, 0: none */
    uint64_t statuses[STATUS_MAX];
    uint64_t applied;
    uint64_t notified; /* requests that a notification came for */
    uint64_t notifications;
    uint64_t challenges;
};

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "load: %s: %s\n", what, errno != 0 ? strerror(errno) : "wrong");
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *reserve(void *old, size_t size)
{
    void *memory = realloc(old, size);
    if (memory == NULL) {
        fail("memory");
    }
    return memory;
}

static void watch(const struct load *load, struct peer *peer, uint32_t events, int operation)
{
    struct epoll_event event = { .events = events, .data = { .ptr = peer } };
    if (epoll_ctl(load->epoll_fd, operation, peer->fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

static void set_socket(int fd)
{
    int on = 1;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

/* --- the shop's side ------------------------------------------------------ */

static void shop_connect(struct load *load, struct peer *shop)
{
    struct sockaddr_in address = loopback(load->options.port);
    shop->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (shop->fd < 0 || connect(shop->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        fail("connect");
    }
    set_socket(shop->fd);
    shop->size = 0;
    shop->waits_to_write = false;
    watch(load, shop, EPOLLIN, EPOLL_CTL_ADD);
}

static void shop_write(struct load *load, struct peer *shop)
{
    const struct payload_request *request =
        &load->payloads.requests[load->options.offset + shop->index];
    while (shop->sent < request->size) {
        ssize_t size =
            send(shop->fd, request->data + shop->sent, request->size - shop->sent, MSG_NOSIGNAL);
        if (size > 0) {
            shop->sent += (size_t)size;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            return; /* its end is read next */
        }
    }
    bool waits = shop->sent < request->size;
    if (waits != shop->waits_to_write) {
        watch(load, shop, waits ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
        shop->waits_to_write = waits;
    }
}

static void shop_send(struct load *load, struct peer *shop, int64_t start_ns)
{
    shop->is_busy = true;
    shop->index = load->next++;
    shop->sent = 0;
    load->start_ns[shop->index] = start_ns;
    shop_write(load, shop);
}

static int64_t due_ns(const struct load *load, uint64_t index)
{
    return load->begin_ns + (int64_t)((double)index * 1e9 / load->options.rate);
}

static void idle_put(struct load *load, struct peer *shop)
{
    shop->next_idle = NULL;
    if (load->idle_tail != NULL) {
        load->idle_tail->next_idle = shop;
    } else {
        load->idle_head = shop;
    }
    load->idle_tail = shop;
}

/* Open loop: sends what is due, as far as connections are free. */
static void send_due(struct load *load)
{
    int64_t now = now_ns();
    while (load->next < load->total && load->idle_head != NULL && due_ns(load, load->next) <= now) {
        struct peer *shop = load->idle_head;
        load->idle_head = shop->next_idle;
        if (load->idle_head == NULL) {
            load->idle_tail = NULL;
        }
        shop_send(load, shop, due_ns(load, load->next));
    }
    if (load->next < load->total) {
        int64_t at = due_ns(load, load->next);
        at = at > now ? at : now + 1000000; /* late: an answer sends it, or this looks again */
        struct itimerspec alarm = { .it_value = { .tv_sec = at / 1000000000,
                                                  .tv_nsec = at % 1000000000 } };
        (void)timerfd_settime(load->timer.fd, TFD_TIMER_ABSTIME, &alarm, NULL);
    }
}

static void shop_next(struct load *load, struct peer *shop)
{
    shop->is_busy = false;
    if (load->options.rate > 0) {
        idle_put(load, shop);
        send_due(load);
    } else if (load->next < load->total) {
        shop_send(load, shop, now_ns());
    }
}

/* The whole size of the message in the buffer, or 0 while its head is not
 * complete. A message without a length has no body. */
static size_t message_size(const struct peer *peer, size_t *out_head_size)
{
    const char *end = memmem(peer->data, peer->size, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t head_size = (size_t)(end - peer->data) + 4;
    size_t body_size = 0;
    const char *line = peer->data;
    while (line < end) {
        if (strncasecmp(line, "content-length:", 15) == 0) {
            body_size = strtoul(line + 15, NULL, 10);
        }
        line = (const char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) + 2;
    }
    *out_head_size = head_size;
    return head_size + body_size;
}

static void shop_answered(struct load *load, const struct peer *shop, size_t size)
{
    int64_t now = now_ns();
    unsigned long status = strtoul(shop->data + 9, NULL, 10);
    load->statuses[status < STATUS_MAX ? status : 0]++;
    if (memmem(shop->data, size, "\"status\":\"applied\"", 18) != NULL ||
        memmem(shop->data, size, "\"status\": \"applied\"", 19) != NULL) {
        load->applied++;
    }
    load->ack_start_ns[load->answered] = load->start_ns[shop->index];
    load->ack_ns[load->answered++] = now - load->start_ns[shop->index];
    load->end_ns = now;
}

static void shop_lost(struct load *load, struct peer *shop)
{
    (void)close(shop->fd);
    bool was_busy = shop->is_busy;
    shop_connect(load, shop);
    if (was_busy) {
        load->lost++;
        load->end_ns = now_ns();
        shop_next(load, shop);
    }
}

static void shop_read(struct load *load, struct peer *shop)
{
    ssize_t size = recv(shop->fd, shop->data + shop->size, ANSWER_BYTES_MAX - shop->size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        shop_lost(load, shop);
        return;
    }
    shop->size += (size_t)size;
    size_t head_size = 0;
    size_t whole = message_size(shop, &head_size);
    if (whole > 0 && shop->size >= whole) {
        shop_answered(load, shop, whole);
        shop->size = 0;
        shop_next(load, shop);
    }
}

/* --- the ESP -------------------------------------------------------------- */

static struct peer *peer_new(enum peer_kind kind, size_t capacity)
{
    struct peer *peer = reserve(NULL, sizeof(*peer));
    *peer = (struct peer){ .kind = kind, .fd = -1, .capacity = capacity };
    peer->data = reserve(NULL, capacity + 1);
    return peer;
}

static void esp_accept(struct load *load)
{
    for (;;) {
        int fd = accept4(load->listener.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        struct peer *esp = peer_new(PEER_ESP, 8192);
        esp->fd = fd;
        set_socket(fd);
        watch(load, esp, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void esp_close(struct peer *esp)
{
    (void)close(esp->fd);
    free(esp->data);
    free(esp);
}

static void esp_take(struct load *load, const char *body, size_t size)
{
    static const char KEY[] = "\"order_id\":\"";
    load->notifications++;
    const char *at = memmem(body, size, KEY, sizeof(KEY) - 1);
    if (at == NULL) {
        return;
    }
    uint64_t order = strtoull(at + sizeof(KEY) - 1, NULL, 10);
    uint64_t index = order - load->payloads.first_order - load->options.offset;
    if (index < load->next && load->esp_ns[index] == 0) {
        load->esp_ns[index] = now_ns() - load->start_ns[index];
        load->notified++;
    }
}

static void esp_answer(struct load *load, struct peer *esp, const char *body, size_t size)
{
    static const char KEY[] = "\"challenge\":\"";
    static const char TYPE[] = "\"subscription.challenge\"";
    char answer[512];
    int length = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    if (memmem(body, size, TYPE, sizeof(TYPE) - 1) != NULL) {
        const char *challenge = memmem(body, size, KEY, sizeof(KEY) - 1);
        const char *end = challenge == NULL ? NULL : strchr(challenge + sizeof(KEY) - 1, '"');
        int text = end == NULL ? 0 : (int)(end - challenge) - (int)sizeof(KEY) + 1;
        length =
            snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s",
                     text, text, end == NULL ? "" : challenge + sizeof(KEY) - 1);
        load->challenges++;
    } else {
        esp_take(load, body, size);
    }
    (void)send(esp->fd, answer, (size_t)length, MSG_NOSIGNAL);
}

static void esp_read(struct load *load, struct peer *esp)
{
    if (esp->size == esp->capacity && esp->capacity < MESSAGE_BYTES_MAX) {
        esp->capacity *= 2;
        esp->data = reserve(esp->data, esp->capacity + 1);
    }
    ssize_t size = recv(esp->fd, esp->data + esp->size, esp->capacity - esp->size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        esp_close(esp);
        return;
    }
    esp->size += (size_t)size;
    esp->data[esp->size] = '\0';
    for (;;) {
        size_t head_size = 0;
        size_t whole = message_size(esp, &head_size);
        if (whole == 0 || esp->size < whole) {
            return;
        }
        esp_answer(load, esp, esp->data + head_size, whole - head_size);
        esp->size -= whole;
        memmove(esp->data, esp->data + whole, esp->size + 1);
    }
}

static void esp_listen(struct load *load)
{
    struct sockaddr_in address = loopback(load->options.esp_port);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 1024) != 0) {
        fail("the ESP's port");
    }
    load->listener = (struct peer){ .kind = PEER_LISTENER, .fd = fd };
    watch(load, &load->listener, EPOLLIN, EPOLL_CTL_ADD);
}

/* --- the run -------------------------------------------------------------- */

static void begin(struct load *load)
{
    load->is_started = true;
    for (int i = 0; i < load->options.connections; i++) {
        struct peer *shop = &load->shops[i];
        *shop = (struct peer){ .kind = PEER_SHOP, .fd = -1 };
        shop->data = reserve(NULL, ANSWER_BYTES_MAX + 1);
        shop_connect(load, shop);
    }
    load->begin_ns = now_ns();
    load->end_ns = load->begin_ns;
    for (int i = 0; i < load->options.connections; i++) {
        if (load->options.rate > 0) {
            idle_put(load, &load->shops[i]);
        } else {
            shop_next(load, &load->shops[i]);
        }
    }
    if (load->options.rate > 0) {
        send_due(load);
    }
}

static void dispatch(struct load *load, struct peer *peer, uint32_t events)
{
    switch (peer->kind) {
    case PEER_SHOP:
        if ((events & EPOLLOUT) != 0) {
            shop_write(load, peer);
        }
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            shop_read(load, peer);
        }
        break;
    case PEER_LISTENER:
        esp_accept(load);
        break;
    case PEER_ESP:
        esp_read(load, peer);
        break;
    case PEER_TIMER: {
        uint64_t expirations = 0;
        (void)!read(peer->fd, &expirations, sizeof(expirations));
        send_due(load);
        break;
    }
    case PEER_STDIN: {
        char line[64];
        (void)!read(0, line, sizeof(line));
        (void)epoll_ctl(load->epoll_fd, EPOLL_CTL_DEL, 0, NULL);
        begin(load);
        break;
    }
    }
}

/* Are all answers here, and all notifications or the time for them over? */
static bool is_finished(const struct load *load)
{
    if (!load->is_started) {
        return false;
    }
    int64_t now = now_ns();
    double seconds = (double)(now - load->begin_ns) / 1e9;
    if (load->options.seconds > 0 && seconds > load->options.seconds) {
        return true;
    }
    if (load->answered + load->lost < load->total) {
        return false;
    }
    return load->options.esp_port == 0 || load->notified >= load->answered ||
           (double)(now - load->end_ns) / 1e9 > load->options.esp_wait_seconds;
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    while (!is_finished(load)) {
        int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, 100);
        for (int i = 0; i < count; i++) {
            dispatch(load, events[i].data.ptr, events[i].events);
        }
    }
}

/* --- the report ----------------------------------------------------------- */

static int compare_ns(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static void report_latency(const char *name, int64_t *values, uint64_t count)
{
    static const double SHARES[] = { 0.5, 0.9, 0.99, 0.999 };
    static const char *const NAMES[] = { "p50", "p90", "p99", "p999" };
    if (count == 0) {
        printf("\"%s\": null", name);
        return;
    }
    qsort(values, count, sizeof(*values), compare_ns);
    printf("\"%s\": {", name);
    for (size_t i = 0; i < 4; i++) {
        uint64_t at = (uint64_t)(SHARES[i] * (double)count);
        printf("\"%s\": %.3f, ", NAMES[i], (double)values[at < count ? at : count - 1] / 1e6);
    }
    printf("\"max\": %.3f}", (double)values[count - 1] / 1e6);
}

static void report_statuses(const struct load *load)
{
    const char *comma = "";
    printf("\"statuses\": {");
    for (size_t status = 0; status < STATUS_MAX; status++) {
        if (load->statuses[status] > 0) {
            printf("%s\"%zu\": %" PRIu64, comma, status, load->statuses[status]);
            comma = ", ";
        }
    }
    printf("}, ");
}

static void report_esp(struct load *load)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < load->next; i++) {
        if (load->esp_ns[i] != 0) {
            load->esp_ns[count++] = load->esp_ns[i];
        }
    }
    printf(", \"challenges\": %" PRIu64 ", \"notifications\": %" PRIu64 ", \"notified\": %" PRIu64
           ", ",
           load->challenges, load->notifications, load->notified);
    report_latency("to_esp_ms", load->esp_ns, count);
}

static void report(struct load *load)
{
    double seconds = (double)(load->end_ns - load->begin_ns) / 1e9;
    printf("{\"loop\": \"%s\", \"connections\": %d, \"rate\": %.0f, \"body_bytes\": %" PRIu64
           ", \"sent\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"applied\": %" PRIu64
           ", \"lost\": %" PRIu64 ", \"seconds\": %.6f, \"per_second\": %.1f, ",
           load->options.rate > 0 ? "open" : "closed", load->options.connections,
           load->options.rate, load->payloads.body_bytes, load->next, load->answered, load->applied,
           load->lost, seconds, seconds > 0 ? (double)load->answered / seconds : 0.0);
    report_statuses(load);
    report_latency("ack_ms", load->ack_ns, load->answered);
    if (load->options.esp_port > 0) {
        report_esp(load);
    }
    printf("}\n");
}

/* Which latencies belong to which seconds: "start latency", both in nanoseconds,
 * the start by the monotonic clock that every process here shares. */
static void write_trace(const struct load *load)
{
    FILE *file = fopen(load->options.trace, "w");
    if (file == NULL) {
        fail("the trace");
    }
    for (uint64_t i = 0; i < load->answered; i++) {
        (void)fprintf(file, "%" PRId64 " %" PRId64 "\n", load->ack_start_ns[i], load->ack_ns[i]);
    }
    if (fclose(file) != 0) {
        fail("the trace");
    }
}

/* --- the beginning -------------------------------------------------------- */

static void options_read(struct options *options, int argc, char **argv)
{
    static const struct option LONG[] = {
        { "port", required_argument, NULL, 'p' },
        { "source", required_argument, NULL, 's' },
        { "connections", required_argument, NULL, 'c' },
        { "offset", required_argument, NULL, 'o' },
        { "count", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 't' },
        { "rate", required_argument, NULL, 'r' },
        { "esp-port", required_argument, NULL, 'e' },
        { "esp-wait", required_argument, NULL, 'w' },
        { "hold", no_argument, NULL, 'h' },
        { "trace", required_argument, NULL, 'f' },
        { NULL, 0, NULL, 0 },
    };
    *options = (struct options){ .connections = 1, .esp_wait_seconds = 10 };
    for (int key = 0; (key = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
        switch (key) {
        case 'p':
            options->port = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            options->source = optarg;
            break;
        case 'c':
            options->connections = (int)strtol(optarg, NULL, 10);
            break;
        case 'o':
            options->offset = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            options->count = strtoull(optarg, NULL, 10);
            break;
        case 't':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'r':
            options->rate = strtod(optarg, NULL);
            break;
        case 'e':
            options->esp_port = (int)strtol(optarg, NULL, 10);
            break;
        case 'w':
            options->esp_wait_seconds = strtod(optarg, NULL);
            break;
        case 'h':
            options->hold = true;
            break;
        case 'f':
            options->trace = optarg;
            break;
        default:
            exit(2);
        }
    }
    options->file = optind < argc ? argv[optind] : NULL;
}

static void load_prepare(struct load *load)
{
    const struct options *options = &load->options;
    const char *fault = payload_file_open(options->file, options->source, &load->payloads);
    if (fault != NULL) {
        fail(fault);
    }
    uint64_t left =
        load->payloads.count > options->offset ? load->payloads.count - options->offset : 0;
    load->total = options->count > 0 ? options->count : left;
    if (load->total == 0 || load->total > left) {
        fail("the file has not so many requests");
    }
    load->start_ns = reserve(NULL, load->total * sizeof(*load->start_ns));
    load->ack_ns = reserve(NULL, load->total * sizeof(*load->ack_ns));
    load->ack_start_ns = reserve(NULL, load->total * sizeof(*load->ack_start_ns));
    load->esp_ns = reserve(NULL, load->total * sizeof(*load->esp_ns));
    memset(load->esp_ns, 0, load->total * sizeof(*load->esp_ns));
    load->shops = reserve(NULL, (size_t)options->connections * sizeof(*load->shops));
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->timer =
        (struct peer){ .kind = PEER_TIMER,
                       .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) };
    watch(load, &load->timer, EPOLLIN, EPOLL_CTL_ADD);
    if (options->esp_port > 0) {
        esp_listen(load);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    options_read(&load.options, argc, argv);
    if (load.options.file == NULL || load.options.port == 0 || load.options.source == NULL ||
        load.options.connections < 1 || load.options.connections > CONNECTIONS_MAX) {
        (void)fprintf(stderr,
                      "usage: load FILE --port PORT --source ID [--connections N] [--offset N]\n"
                      "       [--count N] [--seconds S] [--rate PER_SECOND]\n"
                      "       [--esp-port PORT [--esp-wait S]] [--hold] [--trace FILE]\n");
        return 2;
    }
    load_prepare(&load);
    if (load.options.hold) {
        load.standard_input = (struct peer){ .kind = PEER_STDIN, .fd = 0 };
        watch(&load, &load.standard_input, EPOLLIN, EPOLL_CTL_ADD);
        (void)puts("ready");
        (void)fflush(stdout);
    } else {
        begin(&load);
    }
    run(&load);
    if (load.options.trace != NULL) {
        write_trace(&load);
    }
    report(&load);
    return 0;
}
