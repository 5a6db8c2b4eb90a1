#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * The ESPs at the other end of the sender, as many as there are ports: one thread,
 * one epoll, so that of two cores most is left to what is measured.
 *
 * It counts requests, and in them notifications (one, or a batch's members), each
 * once for each address that it was sent to: a benchmark of a sender that loses or doubles is none.
 * A message whose header says another id than its body is counted apart. For the first receipt of
 * each notification it keeps how old it was by its own "timestamp", to the millisecond, which is
 * what the event's sender gave; the clock is the same machine's.
 *
 * Three kinds of ports: `well` always answers at once. `hang` and `refuse` do too
 * until "sick" comes on the standard input: from then on the first read and never
 * answer, and at the others nobody listens. "count" prints the figures since the
 * last "reset", one line of JSON; the end of the input ends the program.
 *
 * Rejected: Python (a fifth of the messages), several threads, a file of what was
 * received (its writing would show as the sender's latency).
 */

enum {
    PORTS_MAX = 64,
    EVENTS_MAX = 256,
    FIRST_BYTES = 4096,
    MESSAGE_BYTES_MAX = 64 * 1024 * 1024,
    ID_TEXT = 36,
    ID_SIZE = 16,
};

enum port_kind {
    PORT_WELL = 1,
    PORT_HANG,
    PORT_REFUSE,
};

enum peer_kind {
    PEER_LISTENER = 1,
    PEER_SENDER,
    PEER_COMMANDS,
};

struct peer {
    enum peer_kind kind;
    enum port_kind port;
    int port_number; /* of a listener */
    int fd;
    struct peer *next; /* all that are open, from one of the sick ports */
    struct peer *before;
    char *data;
    size_t size;
    size_t capacity;
};

/* Ids seen: open addressing, at most half full; the zero id is nobody's. */
struct seen {
    uint8_t (*ids)[ID_SIZE];
    size_t room; /* a power of two */
    size_t count;
};

struct receiver {
    int epoll_fd;
    bool is_sick;
    struct peer commands;
    struct peer listeners[PORTS_MAX];
    size_t listener_count;
    struct peer *refused; /* open connections of `refuse` ports */
    struct seen seen;
    uint64_t requests;
    uint64_t notifications;
    uint64_t distinct;
    uint64_t mismatched;
    uint64_t unanswered;
    uint64_t challenges;
    uint64_t bytes;
    int64_t *ages_us; /* of the first receipts at `well` ports */
    size_t age_count;
    size_t age_room;
};

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "receiver: %s: %s\n", what, errno != 0 ? strerror(errno) : "wrong");
    exit(1);
}

static void *reserve(void *old, size_t size)
{
    void *memory = realloc(old, size);
    if (memory == NULL) {
        fail("memory");
    }
    return memory;
}

static void watch(const struct receiver *receiver, struct peer *peer)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = peer } };
    if (epoll_ctl(receiver->epoll_fd, EPOLL_CTL_ADD, peer->fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

/* --- ids ------------------------------------------------------------------ */

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool id_read(const char *text, uint8_t id[ID_SIZE])
{
    size_t filled = 0;
    for (size_t i = 0; i < ID_TEXT;) {
        if (text[i] == '-') {
            i++;
            continue;
        }
        int high = digit(text[i]);
        int low = digit(text[i + 1]);
        if (high < 0 || low < 0 || filled == ID_SIZE) {
            return false;
        }
        id[filled++] = (uint8_t)(high * 16 + low);
        i += 2;
    }
    return filled == ID_SIZE;
}

static size_t seen_place(const struct seen *seen, const uint8_t id[ID_SIZE])
{
    static const uint8_t NOBODY[ID_SIZE];
    uint64_t hash = 0;
    memcpy(&hash, id, sizeof(hash));
    hash = (hash ^ hash >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 20) & (seen->room - 1);
    while (memcmp(seen->ids[at], id, ID_SIZE) != 0 && memcmp(seen->ids[at], NOBODY, ID_SIZE) != 0) {
        at = (at + 1) & (seen->room - 1);
    }
    return at;
}

static void seen_grow(struct seen *seen)
{
    struct seen more = { .room = seen->room == 0 ? 65536 : seen->room * 2, .count = seen->count };
    more.ids = calloc(more.room, ID_SIZE);
    if (more.ids == NULL) {
        fail("memory");
    }
    static const uint8_t NOBODY[ID_SIZE];
    for (size_t i = 0; i < seen->room; i++) {
        if (memcmp(seen->ids[i], NOBODY, ID_SIZE) != 0) {
            memcpy(more.ids[seen_place(&more, seen->ids[i])], seen->ids[i], ID_SIZE);
        }
    }
    free(seen->ids);
    *seen = more;
}

/* True the first time. */
static bool seen_add(struct seen *seen, const uint8_t id[ID_SIZE])
{
    if (seen->count * 2 >= seen->room) {
        seen_grow(seen);
    }
    size_t at = seen_place(seen, id);
    if (memcmp(seen->ids[at], id, ID_SIZE) == 0) {
        return false;
    }
    memcpy(seen->ids[at], id, ID_SIZE);
    seen->count++;
    return true;
}

/* --- one message ---------------------------------------------------------- */

static const char *find(const char *data, size_t size, const char *what)
{
    const char *at = memmem(data, size, what, strlen(what));
    return at == NULL ? NULL : at + strlen(what);
}

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* "2026-11-22T14:03:07.120Z", microseconds since the epoch. */
static int64_t instant_us(const char *text)
{
    struct tm tm = { .tm_isdst = 0 };
    int milliseconds = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &milliseconds) != 7) {
        return -1;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000000 + (int64_t)milliseconds * 1000;
}

static void keep_age(struct receiver *receiver, const char *from, size_t size)
{
    const char *timestamp = find(from, size, "\"timestamp\":\"");
    int64_t at_us = timestamp == NULL ? -1 : instant_us(timestamp);
    if (at_us < 0) {
        return;
    }
    if (receiver->age_count == receiver->age_room) {
        receiver->age_room = receiver->age_room == 0 ? 65536 : receiver->age_room * 2;
        receiver->ages_us =
            reserve(receiver->ages_us, receiver->age_room * sizeof(*receiver->ages_us));
    }
    receiver->ages_us[receiver->age_count++] = now_us() - at_us;
}

/* What the request line adds to an id: one notification to two addresses is two. */
static uint64_t address_of(const char *head, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size && head[i] != '\r'; i++) {
        hash = (hash ^ (uint8_t)head[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* Each notification in the body; a batch begins with an id of its own. */
static void take_body(struct receiver *receiver, const struct peer *peer, const char *body,
                      size_t size)
{
    static const char KEY[] = "{\"id\":\"";
    static const char THEN[] = "\",\"type\":\"";
    const char *end = body + size;
    const char *at = body;
    uint64_t address = address_of(peer->data, peer->size);
    bool is_batch = find(body, size < 256 ? size : 256, "\"notification.batch\"") != NULL;
    while ((at = find(at, (size_t)(end - at), KEY)) != NULL) {
        uint8_t id[ID_SIZE];
        if ((size_t)(end - at) < ID_TEXT + sizeof(THEN) ||
            memcmp(at + ID_TEXT, THEN, sizeof(THEN) - 1) != 0 || !id_read(at, id)) {
            continue;
        }
        if (is_batch) {
            is_batch = false;
            continue;
        }
        receiver->notifications++;
        for (size_t i = 0; i < sizeof(address); i++) {
            id[i] ^= (uint8_t)(address >> (8 * i));
        }
        if (seen_add(&receiver->seen, id)) {
            receiver->distinct++;
            if (peer->port == PORT_WELL) {
                keep_age(receiver, at, (size_t)(end - at));
            }
        }
    }
}

static bool header_agrees(const char *head, size_t size, const char *body, size_t body_size)
{
    const char *claimed = find(head, size, "webhook-id: ");
    const char *own = find(body, body_size, "{\"id\":\"");
    return claimed != NULL && own != NULL && body_size > ID_TEXT + 8 &&
           memcmp(claimed, own, ID_TEXT) == 0;
}

static void answer(struct receiver *receiver, const struct peer *peer, size_t head_size,
                   size_t whole)
{
    static const char EMPTY[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const char *body = peer->data + head_size;
    size_t size = whole - head_size;
    receiver->requests++;
    receiver->bytes += whole;
    const char *challenge = find(body, size, "\"challenge\":\"");
    if (challenge != NULL && find(body, size, "\"subscription.challenge\"") != NULL) {
        char text[512];
        int length = (int)strcspn(challenge, "\"");
        int all = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s",
                           length, length, challenge);
        receiver->challenges++;
        (void)send(peer->fd, text, (size_t)all, MSG_NOSIGNAL);
        return;
    }
    receiver->mismatched += header_agrees(peer->data, head_size, body, size) ? 0 : 1;
    if (receiver->is_sick && peer->port == PORT_HANG) {
        receiver->unanswered++;
        return;
    }
    take_body(receiver, peer, body, size);
    (void)send(peer->fd, EMPTY, sizeof(EMPTY) - 1, MSG_NOSIGNAL);
}

/* --- connections ---------------------------------------------------------- */

static void peer_close(struct receiver *receiver, struct peer *peer)
{
    if (peer->port == PORT_REFUSE) {
        *(peer->before == NULL ? &receiver->refused : &peer->before->next) = peer->next;
        if (peer->next != NULL) {
            peer->next->before = peer->before;
        }
    }
    (void)close(peer->fd);
    free(peer->data);
    free(peer);
}

static void peer_accept(struct receiver *receiver, const struct peer *listener)
{
    int on = 1;
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct peer *peer = reserve(NULL, sizeof(*peer));
        *peer = (struct peer){ .kind = PEER_SENDER, .port = listener->port, .fd = fd };
        peer->capacity = FIRST_BYTES;
        peer->data = reserve(NULL, peer->capacity + 1);
        if (peer->port == PORT_REFUSE) {
            peer->next = receiver->refused;
            if (peer->next != NULL) {
                peer->next->before = peer;
            }
            receiver->refused = peer;
        }
        watch(receiver, peer);
    }
}

static size_t message_size(const struct peer *peer, size_t *out_head_size)
{
    const char *end = memmem(peer->data, peer->size, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t body_size = 0;
    const char *line = peer->data;
    while (line < end) {
        if (strncasecmp(line, "content-length:", 15) == 0) {
            body_size = strtoul(line + 15, NULL, 10);
        }
        line = find(line, (size_t)(end + 2 - line), "\r\n");
    }
    *out_head_size = (size_t)(end - peer->data) + 4;
    return *out_head_size + body_size;
}

static void peer_read(struct receiver *receiver, struct peer *peer)
{
    if (peer->size == peer->capacity && peer->capacity < MESSAGE_BYTES_MAX) {
        peer->capacity *= 2;
        peer->data = reserve(peer->data, peer->capacity + 1);
    }
    ssize_t size = recv(peer->fd, peer->data + peer->size, peer->capacity - peer->size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        peer_close(receiver, peer);
        return;
    }
    peer->size += (size_t)size;
    peer->data[peer->size] = '\0';
    size_t head_size = 0;
    for (size_t whole = message_size(peer, &head_size); whole > 0 && peer->size >= whole;
         whole = message_size(peer, &head_size)) {
        answer(receiver, peer, head_size, whole);
        peer->size -= whole;
        memmove(peer->data, peer->data + whole, peer->size + 1);
    }
}

static void listener_open(struct receiver *receiver, struct peer *listener)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)listener->port_number),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int on = 1;
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener->fd, 4096) != 0) {
        fail("a port");
    }
    watch(receiver, listener);
}

/* --- commands ------------------------------------------------------------- */

/* Connections end where they are read next: an event of theirs may be at hand. */
static void fall_sick(struct receiver *receiver)
{
    receiver->is_sick = true;
    for (size_t i = 0; i < receiver->listener_count; i++) {
        if (receiver->listeners[i].port == PORT_REFUSE) {
            (void)close(receiver->listeners[i].fd);
            receiver->listeners[i].fd = -1;
        }
    }
    for (struct peer *peer = receiver->refused; peer != NULL; peer = peer->next) {
        (void)shutdown(peer->fd, SHUT_RDWR);
    }
}

static void reset(struct receiver *receiver)
{
    receiver->requests = 0;
    receiver->notifications = 0;
    receiver->distinct = 0;
    receiver->mismatched = 0;
    receiver->unanswered = 0;
    receiver->bytes = 0;
    receiver->age_count = 0;
}

static int compare_us(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static double age_ms(struct receiver *receiver, double share)
{
    size_t at = (size_t)(share * (double)receiver->age_count);
    if (receiver->age_count == 0) {
        return 0;
    }
    at = at < receiver->age_count ? at : receiver->age_count - 1;
    return (double)receiver->ages_us[at] / 1000;
}

static void report(struct receiver *receiver)
{
    if (receiver->age_count > 0) {
        qsort(receiver->ages_us, receiver->age_count, sizeof(*receiver->ages_us), compare_us);
    }
    printf("{\"requests\": %" PRIu64 ", \"notifications\": %" PRIu64 ", \"distinct\": %" PRIu64
           ", \"mismatched\": %" PRIu64 ", \"unanswered\": %" PRIu64 ", \"challenges\": %" PRIu64
           ", \"bytes\": %" PRIu64 ", \"aged\": %zu, \"p50_ms\": %.3f, \"p90_ms\": %.3f,"
           " \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           receiver->requests, receiver->notifications, receiver->distinct, receiver->mismatched,
           receiver->unanswered, receiver->challenges, receiver->bytes, receiver->age_count,
           age_ms(receiver, 0.5), age_ms(receiver, 0.9), age_ms(receiver, 0.99),
           age_ms(receiver, 1));
    (void)fflush(stdout);
}

/* One command a read: whoever gives them waits for "ok" or the figures. */
static void obey(struct receiver *receiver)
{
    char line[64];
    ssize_t size = read(0, line, sizeof(line) - 1);
    if (size <= 0) {
        exit(0);
    }
    line[size] = '\0';
    if (strcmp(line, "count\n") == 0) {
        report(receiver);
        return;
    }
    if (strcmp(line, "sick\n") == 0) {
        fall_sick(receiver);
    } else if (strcmp(line, "reset\n") == 0) {
        reset(receiver);
    } else {
        fail(line);
    }
    (void)puts("ok");
    (void)fflush(stdout);
}

static void dispatch(struct receiver *receiver, struct peer *peer)
{
    switch (peer->kind) {
    case PEER_LISTENER:
        peer_accept(receiver, peer);
        break;
    case PEER_SENDER:
        peer_read(receiver, peer);
        break;
    case PEER_COMMANDS:
        obey(receiver);
        break;
    }
}

static void listeners_read(struct receiver *receiver, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc && receiver->listener_count < PORTS_MAX; i += 2) {
        static const char *const NAMES[] = { "--well", "--hang", "--refuse" };
        struct peer listener = { .kind = PEER_LISTENER };
        for (size_t kind = 0; kind < sizeof(NAMES) / sizeof(NAMES[0]); kind++) {
            if (strcmp(argv[i], NAMES[kind]) == 0) {
                listener.port = (enum port_kind)(kind + PORT_WELL);
            }
        }
        listener.port_number = (int)strtol(argv[i + 1], NULL, 10);
        if (listener.port == 0 || listener.port_number <= 0) {
            break;
        }
        receiver->listeners[receiver->listener_count++] = listener;
    }
    if (receiver->listener_count == 0 || argc != 1 + 2 * (int)receiver->listener_count) {
        (void)fprintf(stderr, "usage: receiver (--well PORT | --hang PORT | --refuse PORT)...\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct receiver receiver;
    struct rlimit files;
    listeners_read(&receiver, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    receiver.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < receiver.listener_count; i++) {
        listener_open(&receiver, &receiver.listeners[i]);
    }
    receiver.commands = (struct peer){ .kind = PEER_COMMANDS, .fd = 0 };
    watch(&receiver, &receiver.commands);
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(receiver.epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            dispatch(&receiver, events[i].data.ptr);
        }
    }
}
