#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/trigger/projection.h"
#include "deliver/sender.h"
#include "deliver/sign.h"
#include "unit.h"

/*
 * The sender against a real receiver on loopback and a store in memory. The
 * receiver behaves as the path says; both remember what they saw.
 */

enum {
    REQUESTS_MAX = 256,
    CONNECTIONS_MAX = 256,
    REQUEST_BYTES_MAX = 4096,
    RECORDS_MAX = 512,
    ENDPOINTS_MAX = 16,
};

/* ---- the resolver ---- */

enum {
    RESOLVER_SLOW_MS = 3000
};

static void sleep_ms(int64_t ms)
{
    struct timespec wait = { .tv_sec = (time_t)(ms / 1000),
                             .tv_nsec = (long)(ms % 1000) * 1000000 };
    nanosleep(&wait, NULL);
}

/* Takes the C library's place for libcurl: names that a test wants and no
 * packet to a name server. One block, as freeaddrinfo() expects. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out_addresses)
{
    (void)service;
    if (strcmp(name, "slow.example") == 0) {
        sleep_ms(RESOLVER_SLOW_MS);
    }
    if (strcmp(name, "inside.example") != 0) {
        return EAI_NONAME;
    }
    struct addrinfo *address = calloc(1, sizeof(*address) + sizeof(struct sockaddr_in));
    assert_non_null(address);
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(address + 1, &v4, sizeof(v4));
    address->ai_family = AF_INET;
    address->ai_socktype = hints->ai_socktype;
    address->ai_addrlen = sizeof(v4);
    address->ai_addr = (struct sockaddr *)(void *)(address + 1);
    *out_addresses = address;
    return 0;
}

/* ---- the receiver ---- */

struct request {
    char head[REQUEST_BYTES_MAX];
    char body[REQUEST_BYTES_MAX];
};

struct receiver;

struct connection {
    struct receiver *receiver;
    int fd;
    pthread_t thread;
};

struct receiver {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock;
    size_t connection_count;
    struct connection connections[CONNECTIONS_MAX];
    size_t request_count;
    size_t active;
    size_t active_max;
    struct request requests[REQUESTS_MAX];
};

static bool say(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        text += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool say_z(int fd, const char *text)
{
    return say(fd, text, strlen(text));
}

static bool say_status(int fd, const char *status, const char *headers)
{
    char text[512];
    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n%scontent-length: 2\r\n\r\nok", status, headers);
    return say_z(fd, text);
}

static bool say_endless(struct receiver *receiver, int fd, const char *head, const char *piece)
{
    bool alive = say_z(fd, head);
    while (alive && !atomic_load(&receiver->stopping)) {
        alive = say_z(fd, piece);
    }
    return false;
}

static bool path_is(const struct request *request, const char *path)
{
    return strncmp(request->head, "POST ", 5) == 0 &&
           strncmp(request->head + 5, path, strlen(path)) == 0 &&
           request->head[5 + strlen(path)] == ' ';
}

static void stay_silent(struct receiver *receiver, int64_t ms)
{
    for (int64_t i = 0; i < ms && !atomic_load(&receiver->stopping); i++) {
        sleep_ms(1);
    }
}

/* Of the members that batch_of makes: the second may come again, the third not. */
static bool say_rejection(int fd)
{
    static const char body[] =
        "{\"rejected\": [{\"id\": \"20000000-0000-0000-0000-000000000001\","
        " \"retry\": true, \"reason\": \"contact is locked\"},"
        " {\"id\": \"20000000-0000-0000-0000-000000000002\", \"retry\": false},"
        " {\"id\": \"99999999-0000-0000-0000-000000000002\"}, 7]}";
    char text[1024];
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s",
             sizeof(body) - 1, body);
    return say_z(fd, text);
}

/* False when the connection is to be closed. */
static bool answer(struct receiver *receiver, int fd, const struct request *request)
{
    static const struct {
        const char *path;
        const char *status;
        const char *headers;
    } rows[] = {
        { "/200", "200 OK", "" },
        { "/204ish", "202 Accepted", "" },
        { "/302", "302 Found", "location: /target\r\n" },
        { "/400", "400 Bad Request", "" },
        { "/404", "404 Not Found", "" },
        { "/410", "410 Gone", "" },
        { "/429", "429 Too Many Requests", "Retry-After: 120\r\n" },
        { "/500", "500 Oops", "" },
        { "/slow", "200 OK", "" },
        { "/rest", "429 Too Many Requests", "Retry-After: 1\r\n" },
        { "/abort", "400 Bad Request", "Webhook-Delivery: abort-message\r\n" },
        { "/target", "200 OK", "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (path_is(request, rows[i].path)) {
            return say_status(fd, rows[i].status, rows[i].headers);
        }
    }
    if (path_is(request, "/reject")) {
        return say_rejection(fd);
    }
    if (path_is(request, "/never")) {
        stay_silent(receiver, 60000);
    } else if (path_is(request, "/never-ends")) {
        say_z(fd, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
        stay_silent(receiver, 60000);
    } else if (path_is(request, "/huge")) {
        return say_endless(receiver, fd, "HTTP/1.1 200 OK\r\n\r\n",
                           "0123456789abcdef0123456789abcdef");
    } else if (path_is(request, "/huge-head")) {
        return say_endless(receiver, fd, "HTTP/1.1 200 OK\r\n",
                           "x-filler: 0123456789abcdef01234567\r\n");
    } else if (path_is(request, "/continue")) {
        return say_z(fd, "HTTP/1.1 100 Continue\r\n\r\n") && say_status(fd, "200 OK", "");
    } else if (path_is(request, "/only-continue")) {
        say_z(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    } else if (path_is(request, "/bye")) {
        say_status(fd, "200 OK", ""); /* and closes without having said so */
    } else if (path_is(request, "/garbage")) {
        say_z(fd, "SSH-2.0-OpenSSH_9.2\r\n");
    }
    return false; /* "/close" and the rest */
}

static const char *find_nocase(const char *text, const char *wanted)
{
    size_t size = strlen(wanted);
    for (; *text != '\0'; text++) {
        if (strncasecmp(text, wanted, size) == 0) {
            return text;
        }
    }
    return NULL;
}

static size_t content_length(const char *head)
{
    const char *at = find_nocase(head, "\r\ncontent-length: ");
    return at == NULL ? 0 : strtoul(at + 18, NULL, 10);
}

/* Reads one request; what follows it would be a pipelined one, which libcurl
 * never sends. */
static bool request_read(int fd, struct request *out_request)
{
    char text[2 * REQUEST_BYTES_MAX] = "";
    size_t size = 0;
    for (;;) {
        char *end = strstr(text, "\r\n\r\n");
        if (end != NULL && size - (size_t)(end + 4 - text) >= content_length(text)) {
            snprintf(out_request->head, REQUEST_BYTES_MAX, "%.*s", (int)(end + 2 - text), text);
            snprintf(out_request->body, REQUEST_BYTES_MAX, "%s", end + 4);
            return true;
        }
        ssize_t got = recv(fd, text + size, sizeof(text) - 1 - size, 0);
        if (got <= 0) {
            return false;
        }
        size += (size_t)got;
        text[size] = '\0';
    }
}

static void *connection_run(void *argument)
{
    struct connection *connection = argument;
    struct receiver *receiver = connection->receiver;
    struct request request;
    bool open = true;
    while (open && request_read(connection->fd, &request)) {
        pthread_mutex_lock(&receiver->lock);
        if (receiver->request_count < REQUESTS_MAX) {
            receiver->requests[receiver->request_count] = request;
        }
        receiver->request_count++;
        receiver->active++;
        if (receiver->active > receiver->active_max) {
            receiver->active_max = receiver->active;
        }
        pthread_mutex_unlock(&receiver->lock);
        /* Counted out before the answer, or the next one seems to overlap. */
        if (path_is(&request, "/slow")) {
            stay_silent(receiver, 100);
        }
        pthread_mutex_lock(&receiver->lock);
        receiver->active--;
        pthread_mutex_unlock(&receiver->lock);
        open = answer(receiver, connection->fd, &request);
    }
    shutdown(connection->fd, SHUT_RDWR);
    return NULL;
}

static void *receiver_run(void *argument)
{
    struct receiver *receiver = argument;
    for (;;) {
        int fd = accept(receiver->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        pthread_mutex_lock(&receiver->lock);
        assert_true(receiver->connection_count < CONNECTIONS_MAX);
        struct connection *connection = &receiver->connections[receiver->connection_count];
        receiver->connection_count++;
        *connection = (struct connection){ .receiver = receiver, .fd = fd };
        pthread_create(&connection->thread, NULL, connection_run, connection);
        pthread_mutex_unlock(&receiver->lock);
    }
}

static void receiver_open(struct receiver *receiver)
{
    memset(receiver, 0, sizeof(*receiver));
    pthread_mutex_init(&receiver->lock, NULL);
    receiver->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    struct sockaddr *any = (struct sockaddr *)(void *)&address;
    assert_int_equal(bind(receiver->fd, any, size), 0);
    assert_int_equal(listen(receiver->fd, 128), 0);
    assert_int_equal(getsockname(receiver->fd, any, &size), 0);
    receiver->port = ntohs(address.sin_port);
    pthread_create(&receiver->thread, NULL, receiver_run, receiver);
}

static void receiver_close(struct receiver *receiver)
{
    atomic_store(&receiver->stopping, true);
    shutdown(receiver->fd, SHUT_RDWR);
    pthread_join(receiver->thread, NULL);
    close(receiver->fd);
    for (size_t i = 0; i < receiver->connection_count; i++) {
        shutdown(receiver->connections[i].fd, SHUT_RDWR);
        pthread_join(receiver->connections[i].thread, NULL);
        close(receiver->connections[i].fd);
    }
    pthread_mutex_destroy(&receiver->lock);
}

static size_t receiver_count(struct receiver *receiver)
{
    pthread_mutex_lock(&receiver->lock);
    size_t count = receiver->request_count;
    pthread_mutex_unlock(&receiver->lock);
    return count;
}

/* ---- the store ---- */

struct record {
    struct settlement settlement;
    struct member_end members[8];
    char reasons[8][64];
    char error[256];
    char response[1200];
    size_t response_size;
};

struct fake_endpoint {
    const char *path; /* NULL: unknown */
    const char *host; /* NULL: 127.0.0.1 */
    uint32_t concurrency;
    int64_t timeout_ms;
    int64_t max_age_ms;
    bool inactive;
    enum native_format format;
    bool asks_first;
    uint32_t rate_count;
    int64_t rate_per_ms;
};

struct house {
    struct receiver receiver;
    struct sender *sender;
    pthread_mutex_t lock;
    struct fake_endpoint endpoints[ENDPOINTS_MAX];
    size_t record_count;
    struct record records[RECORDS_MAX];
    size_t settle_calls;
    size_t settle_failures;     /* the first so many calls fail */
    enum status settle_failure; /* with this */
    struct id refused;          /* a delivery that always breaks its batch */
    struct delivery *claimable;
    size_t claimable_count;
    size_t claim_calls;
    size_t last_room;      /* of endpoint 0, as a claim saw it */
    struct delivery *next; /* whose turn comes with the first settling */
    size_t next_count;
    struct str reason; /* why nothing may be sent; empty: it may */
    size_t permit_calls;
    int64_t permit_ms; /* how long it takes */
    size_t renewed_count;
    int64_t renewed_until_ms;
    enum status renew_status;
    int64_t renew_ms; /* how long it takes */
    size_t observed;
};

static const uint8_t signing_keys[2][24] = { "the current key, 24 byte",
                                             "the former key, 24 bytes" };

static bool fake_endpoint(void *app, struct arena *arena, struct id workspace_id,
                          struct id subscription_id, struct endpoint *out_endpoint)
{
    (void)workspace_id;
    struct house *house = app;
    const struct fake_endpoint *fake = &house->endpoints[subscription_id.bytes[0]];
    if (fake->path == NULL) {
        return false;
    }
    struct str *lines = ARENA_NEW_ARRAY(arena, 2, struct str);
    lines[0] = STR("X-Account: 8841");
    lines[1] = STR("X-Evil: a\r\nX-Injected: b");
    struct endpoint endpoint = {
        .url = str_printf(arena, "http://%s:%u%s", fake->host == NULL ? "127.0.0.1" : fake->host,
                          house->receiver.port, fake->path),
        .secret_count = 2,
        .header_lines = lines,
        .header_count = 2,
        .concurrency = fake->concurrency,
        .timeout_ms = fake->timeout_ms,
        .max_age_ms = fake->max_age_ms,
        .asks_first = fake->asks_first,
        .rate_count = fake->rate_count,
        .rate_per_ms = fake->rate_per_ms,
        .active = !fake->inactive,
        .format = fake->format,
    };
    for (size_t i = 0; i < 2; i++) {
        memcpy(endpoint.secrets[i].key, signing_keys[i], sizeof(signing_keys[i]));
        endpoint.secrets[i].key_size = sizeof(signing_keys[i]);
    }
    *out_endpoint = endpoint;
    return true;
}

static enum status fake_claim(void *app, struct arena *arena, const struct sender_gate *gate,
                              size_t limit, struct delivery **out_deliveries, size_t *out_count,
                              bool *out_more)
{
    struct house *house = app;
    house->last_room = gate->room(gate->context, (struct id){ { 0, 1 } });
    pthread_mutex_lock(&house->lock);
    house->claim_calls++;
    size_t count = house->claimable_count < limit ? house->claimable_count : limit;
    struct delivery *deliveries = ARENA_NEW_ARRAY(arena, count + 1, struct delivery);
    for (size_t i = 0; i < count; i++) {
        deliveries[i] = house->claimable[i];
        deliveries[i].body = str_dup(arena, house->claimable[i].body);
    }
    house->claimable += count;
    house->claimable_count -= count;
    pthread_mutex_unlock(&house->lock);
    *out_deliveries = deliveries;
    *out_count = count;
    *out_more = count == limit;
    return STATUS_OK;
}

static void record_add(struct house *house, const struct settlement *settlement)
{
    assert_true(house->record_count < RECORDS_MAX);
    struct record *record = &house->records[house->record_count];
    const struct attempt *attempt = &settlement->attempt;
    record->settlement = *settlement;
    snprintf(record->error, sizeof(record->error), "%.*s", STR_ARG(attempt->error));
    snprintf(record->response, sizeof(record->response), "%.*s", STR_ARG(attempt->response));
    record->response_size = attempt->response.size;
    for (size_t i = 0; i < settlement->member_count && i < ARRAY_COUNT(record->members); i++) {
        record->members[i] = settlement->members[i];
        snprintf(record->reasons[i], sizeof(record->reasons[i]), "%.*s",
                 STR_ARG(settlement->members[i].error));
    }
    house->record_count++;
}

static enum status fake_settle(void *app, const struct settlement *settlements, size_t count,
                               struct delivery **out_next, size_t *out_next_count)
{
    struct house *house = app;
    enum status status = STATUS_OK;
    pthread_mutex_lock(&house->lock);
    house->settle_calls++;
    if (house->settle_calls <= house->settle_failures) {
        status = house->settle_failure;
    }
    for (size_t i = 0; i < count; i++) {
        if (!id_is_zero(house->refused) &&
            id_equal(settlements[i].attempt.delivery_id, house->refused)) {
            status = STATUS_BROKEN;
        }
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        record_add(house, &settlements[i]);
    }
    *out_next = house->next;
    *out_next_count = status == STATUS_OK ? house->next_count : 0;
    house->next_count -= *out_next_count;
    pthread_mutex_unlock(&house->lock);
    return status;
}

static enum status fake_renew(void *app, const struct delivery *deliveries, size_t count,
                              int64_t lease_until_ms)
{
    struct house *house = app;
    assert_non_null(deliveries);
    sleep_ms(house->renew_ms);
    pthread_mutex_lock(&house->lock);
    house->renewed_count += count;
    house->renewed_until_ms = lease_until_ms;
    pthread_mutex_unlock(&house->lock);
    return house->renew_status;
}

static enum status fake_permit(void *app, const struct permit_request *requests, size_t count,
                               struct str *out_reasons)
{
    struct house *house = app;
    sleep_ms(house->permit_ms);
    pthread_mutex_lock(&house->lock);
    house->permit_calls++;
    for (size_t i = 0; i < count; i++) {
        /* Of a batch the last one; see batch_of. */
        bool is_meant = house->reason.size > 0 && requests[i].notification_id.bytes[15] != 0;
        out_reasons[i] = is_meant ? house->reason : STR("");
    }
    pthread_mutex_unlock(&house->lock);
    return STATUS_OK;
}

static void fake_observe(void *app, enum attempt_outcome outcome, int64_t duration_ms)
{
    struct house *house = app;
    (void)outcome;
    assert_true(duration_ms >= 0);
    pthread_mutex_lock(&house->lock);
    house->observed++;
    pthread_mutex_unlock(&house->lock);
}

static struct sender_config config_of(struct house *house)
{
    return (struct sender_config){
        .ops = { .endpoint = fake_endpoint,
                 .claim = fake_claim,
                 .settle = fake_settle,
                 .renew = fake_renew,
                 .permit = fake_permit,
                 .observe = fake_observe,
                 .app = house },
        .allow_networks = "127.0.0.0/8",
        .allow_http = true,
        .poll_ms = 20,
    };
}

static struct house *house_create(void)
{
    struct house *house = calloc(1, sizeof(*house));
    assert_non_null(house);
    pthread_mutex_init(&house->lock, NULL);
    receiver_open(&house->receiver);
    return house;
}

static void house_start_with(struct house *house, const struct sender_config *config)
{
    struct problem problem;
    assert_int_equal(sender_start(config, &house->sender, &problem), STATUS_OK);
}

static void house_start(struct house *house)
{
    struct sender_config config = config_of(house);
    house_start_with(house, &config);
}

static void house_destroy(struct house *house)
{
    if (house->sender != NULL) {
        sender_stop(house->sender, clock_monotonic_ms());
        sender_destroy(house->sender);
    }
    receiver_close(&house->receiver);
    pthread_mutex_destroy(&house->lock);
    free(house);
}

static size_t house_settled(struct house *house)
{
    pthread_mutex_lock(&house->lock);
    size_t count = house->record_count;
    pthread_mutex_unlock(&house->lock);
    return count;
}

static size_t house_claims(struct house *house)
{
    pthread_mutex_lock(&house->lock);
    size_t count = house->claim_calls;
    pthread_mutex_unlock(&house->lock);
    return count;
}

static bool wait_settled(struct house *house, size_t count, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;
    while (house_settled(house) < count) {
        if (clock_monotonic_ms() > until_ms) {
            return false;
        }
        sleep_ms(1);
    }
    return true;
}

static bool wait_room(struct house *house, size_t room, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;
    while (sender_room(house->sender) != room) {
        if (clock_monotonic_ms() > until_ms) {
            return false;
        }
        sleep_ms(1);
    }
    return true;
}

#define BODY STR("{\"type\":\"lifecycle.changed\"}")

static struct delivery delivery_to(uint8_t endpoint)
{
    struct delivery delivery = {
        .workspace_id = id_create(),
        .notification_id = id_create(),
        .notification_created_at_ms = clock_now_ms(),
        .profile_id = id_create(),
        .subscription_id = { { endpoint, 1 } },
        .lease_until_ms = clock_now_ms() + LIMIT_DELIVERY_LEASE_MS,
        .topic = STR("lifecycle.changed"),
        .body = BODY,
    };
    delivery.id = delivery_id(delivery.notification_id, delivery.subscription_id);
    return delivery;
}

static void hand_over_many(struct house *house, uint8_t endpoint, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct delivery delivery = delivery_to(endpoint);
        assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    }
}

static struct str header_of(const struct request *request, const char *name)
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\r\n%s: ", name);
    const char *at = find_nocase(request->head, wanted);
    if (at == NULL) {
        return STR("");
    }
    at += strlen(wanted);
    return (struct str){ at, (size_t)(strstr(at, "\r\n") - at) };
}

/* ---- what it sends ---- */

static void sends_what_the_contract_says(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    house_start(house);
    struct delivery delivery = delivery_to(0);
    char body[] = "{\"type\":\"lifecycle.changed\"}";
    delivery.body = str_from_z(body);
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    memset(body, 'X', sizeof(body) - 1); /* it must have its own copy */
    assert_true(wait_settled(house, 1, 2000));

    const struct request *request = &house->receiver.requests[0];
    char id[ID_TEXT_SIZE];
    id_format(delivery.notification_id, id);
    assert_str_equal(header_of(request, "webhook-id"), str_from_z(id));
    assert_str_equal(header_of(request, "content-type"), STR("application/json"));
    assert_str_equal(header_of(request, "user-agent"), STR("Shopbell/1.0"));
    assert_str_equal(header_of(request, "x-account"), STR("8841"));
    assert_str_equal(header_of(request, "x-evil"), STR(""));
    assert_str_equal(header_of(request, "x-injected"), STR(""));
    assert_str_equal(header_of(request, "expect"), STR(""));
    assert_int_equal(header_of(request, "traceparent").size, 55);
    assert_str_equal(str_from_z(request->body), BODY);

    struct str timestamp = header_of(request, "webhook-timestamp");
    int64_t seconds = 0;
    assert_true(str_to_i64(timestamp, &seconds));
    assert_in_range(seconds, clock_now_ms() / 1000 - 5, clock_now_ms() / 1000);
    char both[2 * SIGN_V1_TEXT_SIZE];
    sign_v1(signing_keys[0], sizeof(signing_keys[0]), str_from_z(id), timestamp, BODY, both);
    both[SIGN_V1_TEXT_SIZE - 1] = ' ';
    sign_v1(signing_keys[1], sizeof(signing_keys[1]), str_from_z(id), timestamp, BODY,
            both + SIGN_V1_TEXT_SIZE);
    assert_str_equal(header_of(request, "webhook-signature"), str_from_z(both));

    const struct attempt *attempt = &house->records[0].settlement.attempt;
    assert_true(id_equal(attempt->delivery_id, delivery.id));
    assert_true(id_equal(attempt->workspace_id, delivery.workspace_id));
    assert_true(id_equal(attempt->notification_id, delivery.notification_id));
    assert_true(id_equal(attempt->subscription_id, delivery.subscription_id));
    assert_true(id_equal(attempt->profile_id, delivery.profile_id));
    assert_int_equal(attempt->number, 1);
    assert_int_equal(attempt->body_bytes, BODY.size);
    assert_int_equal(house->observed, 1);
    house_destroy(house);
}

static void sends_the_header_lines_of_the_message(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    house_start(house);
    struct delivery delivery = delivery_to(0);
    char target[] = "content-type: application/cloudevents+json\nce-id: 7\n";
    delivery.target = str_from_z(target);
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    memset(target, 'X', sizeof(target) - 1); /* it must have its own copy */
    assert_true(wait_settled(house, 1, 2000));
    const struct request *request = &house->receiver.requests[0];
    assert_str_equal(header_of(request, "content-type"), STR("application/cloudevents+json"));
    assert_str_equal(header_of(request, "ce-id"), STR("7"));
    assert_str_equal(header_of(request, "x-account"), STR("8841"));
    const char *first = find_nocase(request->head, "content-type:");
    assert_null(find_nocase(first + 1, "content-type:"));
    house_destroy(house);
}

/* ---- ESPs in their own words ---- */

static void sends_an_esp_its_own_headers_and_no_others(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/400", .format = NATIVE_KLAVIYO };
    house_start(house);
    struct delivery delivery = delivery_to(0);
    char target[] = "/200";
    delivery.target = str_from_z(target);
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    memset(target, 'X', sizeof(target) - 1); /* it must have its own copy */
    assert_true(wait_settled(house, 1, 2000));
    struct delivery plain = delivery_to(0);
    assert_int_equal(sender_hand_over(house->sender, &plain, 1), 1);
    assert_true(wait_settled(house, 2, 2000));
    const struct request *requests = house->receiver.requests;
    assert_true(path_is(&requests[0], "/200"));
    assert_true(path_is(&requests[1], "/400")); /* the URL's own again, on the same handle */
    static const char *const absent[] = { "webhook-id", "webhook-signature", "traceparent" };
    for (size_t i = 0; i < ARRAY_COUNT(absent); i++) {
        assert_row(header_of(&requests[0], absent[i]).size == 0, absent[i]);
    }
    assert_str_equal(header_of(&requests[0], "content-type"), STR("application/vnd.api+json"));
    assert_str_equal(header_of(&requests[0], "x-account"), STR("8841"));
    house_destroy(house);
}

static void judges_answers_as_an_esp_means_them(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum native_format format;
        enum attempt_outcome outcome;
    } rows[] = {
        { "/400", NATIVE_KLAVIYO, ATTEMPT_GAVE_UP },
        { "/404", NATIVE_KLAVIYO, ATTEMPT_RETRY },
        { "/404", NATIVE_MAILCHIMP, ATTEMPT_GAVE_UP },
        { "/429", NATIVE_KLAVIYO, ATTEMPT_RETRY },
        { "/410", NATIVE_KLAVIYO, ATTEMPT_GONE },
        { "/204ish", NATIVE_BRAZE, ATTEMPT_DELIVERED },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct house *house = house_create();
        house->endpoints[0] =
            (struct fake_endpoint){ .path = rows[i].path, .format = rows[i].format };
        house_start(house);
        hand_over_many(house, 0, 1);
        assert_row(wait_settled(house, 1, 2000), rows[i].path);
        const struct settlement *settlement = &house->records[0].settlement;
        assert_row(settlement->attempt.outcome == rows[i].outcome, rows[i].path);
        assert_row(settlement->settled == (rows[i].outcome != ATTEMPT_RETRY), rows[i].path);
        house_destroy(house);
    }
}

static void words_in_the_bodys_place_end_it_without_a_call(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .format = NATIVE_MAILCHIMP };
    house_start(house);
    struct delivery delivery = delivery_to(0);
    delivery.body = STR("not sent: nobody is known by that name");
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    assert_true(wait_settled(house, 1, 2000));
    assert_int_equal(house->records[0].settlement.attempt.outcome, ATTEMPT_GAVE_UP);
    assert_true(house->records[0].settlement.settled);
    assert_string_equal(house->records[0].error, "not sent: nobody is known by that name");
    assert_int_equal(receiver_count(&house->receiver), 0);
    house_destroy(house);
}

static void calls_an_esp_once(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .format = NATIVE_BREVO };
    struct sender_config config = config_of(house);
    struct arena *arena = arena_create(65536);
    struct endpoint endpoint;
    struct sender_answer answered = { .status = -1 };
    assert_true(fake_endpoint(house, arena, ID_ZERO, ID_ZERO, &endpoint));
    assert_int_equal(sender_call_once(&config, arena, &endpoint, BODY, &answered), STATUS_OK);
    assert_int_equal(answered.status, 200);
    assert_int_equal(sender_call_once(&config, arena, &endpoint, STR(""), &answered), STATUS_OK);
    const struct request *asked = &house->receiver.requests[1];
    assert_int_equal(strncmp(asked->head, "GET /200 ", 9), 0);
    assert_str_equal(header_of(asked, "x-account"), STR("8841"));
    /* A path that could lead elsewhere is none. */
    static const char *const targets[] = { "//evil.example/", "evil", "@evil", "/a b",
                                           "/a\r\nx: y" };
    for (size_t i = 0; i < ARRAY_COUNT(targets); i++) {
        const struct rendition message = { .target = str_from_z(targets[i]), .body = BODY };
        assert_row(sender_post_rendition(&config, arena, &endpoint, STR("x"), &message,
                                         &answered) == STATUS_INVALID,
                   targets[i]);
    }
    assert_int_equal(receiver_count(&house->receiver), 2);
    arena_destroy(arena);
    house_destroy(house);
}

static void repeats_the_same_message(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/500" };
    house_start(house);
    struct delivery delivery = delivery_to(0);
    for (uint32_t i = 0; i < 3; i++) {
        delivery.attempt = i;
        assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
        assert_true(wait_settled(house, i + 1, 2000));
        assert_int_equal(house->records[i].settlement.attempt.number, i + 1);
    }
    const struct request *requests = house->receiver.requests;
    for (size_t i = 1; i < 3; i++) {
        assert_str_equal(header_of(&requests[i], "webhook-id"),
                         header_of(&requests[0], "webhook-id"));
        assert_string_equal(requests[i].body, requests[0].body);
    }
    assert_int_equal(house->receiver.connection_count, 1); /* kept alive */
    house_destroy(house);
}

static void survives_closed_connections(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/bye" };
    house_start(house);
    for (size_t i = 0; i < 5; i++) {
        hand_over_many(house, 0, 1);
        assert_true(wait_settled(house, i + 1, 2000));
        assert_int_equal(house->records[i].settlement.attempt.outcome, ATTEMPT_DELIVERED);
    }
    house_destroy(house);
}

/* ---- what it makes of answers ---- */

static void judges_answers(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint32_t attempt;
        int64_t max_age_ms;
        enum attempt_outcome outcome;
        int32_t status;
        int64_t wait_ms; /* 0: settled */
        bool disables;
        const char *why;
    } rows[] = {
        { "/200", 0, 0, ATTEMPT_DELIVERED, 200, 0, false, "delivered" },
        { "/204ish", 0, 0, ATTEMPT_DELIVERED, 202, 0, false, "any 2xx" },
        { "/continue", 0, 0, ATTEMPT_DELIVERED, 200, 0, false, "100 is no answer yet" },
        { "/only-continue", 0, 0, ATTEMPT_RETRY, 0, 5000, false, "100 alone is none" },
        { "/500", 0, 0, ATTEMPT_RETRY, 500, 5000, false, "first wait" },
        { "/500", 1, 0, ATTEMPT_RETRY, 500, 300000, false, "second wait" },
        { "/400", 0, 0, ATTEMPT_RETRY, 400, 5000, false, "4xx may be a deploy" },
        { "/404", 0, 0, ATTEMPT_RETRY, 404, 5000, false, "4xx may be a deploy" },
        { "/302", 0, 0, ATTEMPT_RETRY, 302, 5000, false, "a redirect is no answer" },
        { "/429", 0, 0, ATTEMPT_RETRY, 429, 120000, false, "Retry-After" },
        { "/410", 0, 0, ATTEMPT_GONE, 410, 0, true, "gone" },
        { "/abort", 0, 0, ATTEMPT_ABORTED, 400, 0, false, "abort-message" },
        { "/500", 9, 0, ATTEMPT_GAVE_UP, 500, 0, false, "the schedule's end" },
        { "/500", 1, 60000, ATTEMPT_GAVE_UP, 500, 0, false, "too old by then" },
        { "/500", 1, 600000, ATTEMPT_RETRY, 500, 300000, false, "still young by then" },
        { "/close", 0, 0, ATTEMPT_RETRY, 0, 5000, false, "closed without a word" },
        { "/garbage", 0, 0, ATTEMPT_RETRY, 0, 5000, false, "not HTTP" },
        { "/never", 0, 0, ATTEMPT_RETRY, 0, 5000, false, "silence" },
        { "/never-ends", 0, 0, ATTEMPT_DELIVERED, 200, 0, false, "it has spoken" },
        { "/huge", 0, 0, ATTEMPT_DELIVERED, 200, 0, false, "cut at 8 KiB" },
        { "/huge-head", 0, 0, ATTEMPT_RETRY, 0, 5000, false, "endless headers" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct house *house = house_create();
        house->endpoints[0] = (struct fake_endpoint){ .path = rows[i].path,
                                                      .timeout_ms = 300,
                                                      .max_age_ms = rows[i].max_age_ms };
        house_start(house);
        struct delivery delivery = delivery_to(0);
        delivery.attempt = rows[i].attempt;
        int64_t before_ms = clock_now_ms();
        assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
        assert_row(wait_settled(house, 1, 3000), rows[i].why);
        const struct settlement *settlement = &house->records[0].settlement;
        int64_t wait_ms = settlement->attempt.next_at_ms - before_ms;
        assert_row(settlement->attempt.outcome == rows[i].outcome, rows[i].why);
        assert_row(settlement->attempt.response_status == rows[i].status, rows[i].why);
        assert_row(settlement->settled == (rows[i].wait_ms == 0), rows[i].why);
        assert_row(settlement->disable_subscription == rows[i].disables, rows[i].why);
        assert_row((house->records[0].error[0] != '\0') == (rows[i].status == 0), rows[i].why);
        if (rows[i].wait_ms == 0) {
            assert_row(settlement->attempt.next_at_ms == INSTANT_NONE, rows[i].why);
        } else {
            assert_row(wait_ms >= rows[i].wait_ms * 9 / 10, rows[i].why);
            assert_row(wait_ms <= rows[i].wait_ms * 11 / 10 + 1000, rows[i].why);
        }
        assert_row(receiver_count(&house->receiver) == 1, rows[i].why); /* no redirect either */
        assert_row(house->records[0].response_size <= 1024, rows[i].why);
        house_destroy(house);
    }
}

static void reads_no_endless_answer(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *error;
    } rows[] = {
        { "/huge", "" },
        { "/huge-head", "the answer's headers are too long" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct house *house = house_create();
        house->endpoints[0] = (struct fake_endpoint){ .path = rows[i].path, .timeout_ms = 20000 };
        house_start(house);
        hand_over_many(house, 0, 1);
        assert_row(wait_settled(house, 1, 5000), rows[i].path);
        assert_string_equal(house->records[0].error, rows[i].error);
        house_destroy(house);
    }
}

static void does_not_send_what_expired(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .max_age_ms = 60000 };
    house_start(house);
    struct delivery delivery = delivery_to(0);
    delivery.notification_created_at_ms -= 60001;
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    assert_true(wait_settled(house, 1, 2000));
    assert_int_equal(house->records[0].settlement.attempt.outcome, ATTEMPT_GAVE_UP);
    assert_true(house->records[0].settlement.settled);
    assert_int_equal(house->receiver.connection_count, 0);
    house_destroy(house);
}

/* Its age counts from the instant at which somebody asked for it again. */
static void sends_what_expired_and_was_asked_for_again(void **state)
{
    (void)state;
    static const struct {
        int64_t replayed_ago_ms;
        enum attempt_outcome outcome;
    } rows[] = { { 0, ATTEMPT_DELIVERED }, { 60001, ATTEMPT_GAVE_UP } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct house *house = house_create();
        house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .max_age_ms = 60000 };
        house_start(house);
        struct delivery delivery = delivery_to(0);
        delivery.replayed_at_ms = delivery.notification_created_at_ms - rows[i].replayed_ago_ms;
        delivery.notification_created_at_ms -= 120000;
        assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
        assert_true(wait_settled(house, 1, 2000));
        assert_int_equal(house->records[0].settlement.attempt.outcome, rows[i].outcome);
        house_destroy(house);
    }
}

static void disables_what_is_gone(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/410", .concurrency = 1 };
    house_start(house);
    hand_over_many(house, 0, 20);
    assert_true(wait_settled(house, 1, 2000));
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE, 2000));
    assert_true(receiver_count(&house->receiver) < 3); /* those behind it were dropped */
    house_destroy(house);
}

/* ---- whom it talks to ---- */

static void refuses_private_addresses(void **state)
{
    (void)state;
    static const char *const hosts[] = { "127.0.0.1", "localhost", "2130706433",
                                         "[::ffff:127.0.0.1]", "inside.example" };
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        struct house *house = house_create();
        house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .host = hosts[i] };
        struct sender_config config = config_of(house);
        config.allow_networks = NULL;
        house_start_with(house, &config);
        hand_over_many(house, 0, 1);
        assert_row(wait_settled(house, 1, 6000), hosts[i]);
        assert_row(house->records[0].settlement.attempt.outcome == ATTEMPT_RETRY, hosts[i]);
        assert_row(house->receiver.connection_count == 0, hosts[i]);
        assert_row(strstr(house->records[0].error, "not public") != NULL, hosts[i]);
        assert_row(strstr(house->records[0].error, "127") == NULL, hosts[i]);
        house_destroy(house);
    }
}

static void refuses_plain_http(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    struct sender_config config = config_of(house);
    config.allow_http = false;
    house_start_with(house, &config);
    hand_over_many(house, 0, 1);
    assert_true(wait_settled(house, 1, 2000));
    assert_int_equal(house->records[0].settlement.attempt.response_status, 0);
    assert_int_equal(house->receiver.connection_count, 0);
    house_destroy(house);
}

static void drops_what_nobody_wants(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[1] = (struct fake_endpoint){ .path = "/200", .inactive = true };
    house_start(house);
    hand_over_many(house, 0, 5); /* unknown */
    hand_over_many(house, 1, 5); /* paused */
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE, 2000));
    sleep_ms(100);
    assert_int_equal(house_settled(house), 0);
    assert_int_equal(receiver_count(&house->receiver), 0);
    /* Their leases are given back: who may send them later need not wait a minute. */
    pthread_mutex_lock(&house->lock);
    assert_int_equal(house->renewed_count, 10);
    assert_true(house->renewed_until_ms <= clock_now_ms());
    pthread_mutex_unlock(&house->lock);
    house_destroy(house);
}

/* ---- fairness ---- */

static void keeps_endpoints_apart(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/never", .timeout_ms = 5000 };
    house->endpoints[1] = (struct fake_endpoint){ .path = "/200" };
    house_start(house);
    hand_over_many(house, 0, 200);
    int64_t before_ms = clock_monotonic_ms();
    hand_over_many(house, 1, 50);
    assert_true(wait_settled(house, 50, 4000));
    assert_true(clock_monotonic_ms() - before_ms < 2000); /* less than the other's timeout */
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(house->records[i].settlement.attempt.subscription_id.bytes[0], 1);
    }
    house_destroy(house);
}

static void waits_for_no_resolver(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] =
        (struct fake_endpoint){ .path = "/200", .host = "slow.example", .timeout_ms = 300 };
    house->endpoints[1] = (struct fake_endpoint){ .path = "/200" };
    house_start(house);
    int64_t before_ms = clock_monotonic_ms();
    hand_over_many(house, 0, 1);
    for (size_t i = 1; i <= 10; i++) {
        sleep_ms(100); /* beyond the moment when the first is given up */
        hand_over_many(house, 1, 1);
        assert_true(wait_settled(house, i, 1000));
    }
    assert_true(wait_settled(house, 11, 1000));
    assert_true(clock_monotonic_ms() - before_ms < RESOLVER_SLOW_MS);
    sender_stop(house->sender, clock_monotonic_ms() + 1000);
    assert_true(clock_monotonic_ms() - before_ms < RESOLVER_SLOW_MS);
    house_destroy(house);
}

static void obeys_concurrency(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/slow", .concurrency = 3 };
    house_start(house);
    hand_over_many(house, 0, 12);
    assert_true(wait_settled(house, 12, 5000));
    assert_int_equal(house->receiver.active_max, 3);
    house_destroy(house);
}

static void asks_the_silent_one_at_a_time(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/never", .timeout_ms = 200 };
    house_start(house);
    hand_over_many(house, 0, 40);
    assert_true(wait_settled(house, 4, 3000)); /* two at first, then one and one */
    assert_in_range(receiver_count(&house->receiver), 4, 6);
    house_destroy(house);
}

static void is_full_at_its_limit(void **state)
{
    (void)state;
    struct house *house = house_create();
    for (size_t i = 0; i < ENDPOINTS_MAX; i++) {
        house->endpoints[i] =
            (struct fake_endpoint){ .path = "/never", .concurrency = 1, .timeout_ms = 10000 };
    }
    house_start(house);
    size_t count = LIMIT_DELIVERY_QUEUE + 1;
    struct delivery *deliveries = calloc(count, sizeof(*deliveries));
    assert_non_null(deliveries);
    for (size_t i = 0; i < count; i++) {
        deliveries[i] = delivery_to((uint8_t)(i % ENDPOINTS_MAX));
    }
    assert_int_equal(sender_room(house->sender), LIMIT_DELIVERY_QUEUE);
    assert_int_equal(sender_hand_over(house->sender, deliveries, count), LIMIT_DELIVERY_QUEUE);
    assert_int_equal(sender_room(house->sender), 0);
    assert_int_equal(sender_hand_over(house->sender, deliveries, 1), 0);
    free(deliveries);
    house_destroy(house);
}

static void lets_no_endpoint_fill_the_memory(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] =
        (struct fake_endpoint){ .path = "/never", .concurrency = 1, .timeout_ms = 10000 };
    house_start(house);
    hand_over_many(house, 0, LIMIT_DELIVERY_QUEUE / 2);
    size_t kept = LIMIT_DELIVERY_QUEUE / 8 + 1; /* and the one that is being asked */
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE - kept, 2000));
    house_destroy(house);
}

/* ---- leases, claims, settling ---- */

static void wants_a_lease_that_outlasts_the_timeout(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .timeout_ms = 10000 };
    house_start(house);
    struct delivery delivery = delivery_to(0);
    delivery.lease_until_ms = clock_now_ms() + 10000;
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE, 2000));
    assert_int_equal(house->receiver.connection_count, 0);
    delivery.lease_until_ms = clock_now_ms() + 11000;
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    assert_true(wait_settled(house, 1, 2000));
    house_destroy(house);
}

static void renews_what_waits(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] =
        (struct fake_endpoint){ .path = "/never", .concurrency = 1, .timeout_ms = 10000 };
    house_start(house);
    for (size_t i = 0; i < 3; i++) {
        struct delivery delivery = delivery_to(0);
        delivery.lease_until_ms = clock_now_ms() + 20000;
        assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    }
    hand_over_many(house, 0, 5); /* these have time */
    sleep_ms(2300);
    pthread_mutex_lock(&house->lock);
    assert_int_equal(house->renewed_count, 2); /* one is under way */
    assert_true(house->renewed_until_ms > clock_now_ms() + 50000);
    pthread_mutex_unlock(&house->lock);
    sleep_ms(1500); /* and what was renewed is not asked for again */
    assert_int_equal(house->renewed_count, 2);
    house_destroy(house);
}

static void drops_what_another_may_own(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->renew_status = STATUS_RETRY;
    house->endpoints[0] =
        (struct fake_endpoint){ .path = "/never", .concurrency = 1, .timeout_ms = 1000 };
    house_start(house);
    hand_over_many(house, 0, 1);
    for (size_t i = 0; i < 3; i++) {
        struct delivery delivery = delivery_to(0);
        delivery.lease_until_ms = clock_now_ms() + 1500;
        assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    }
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE, 5000));
    assert_int_equal(receiver_count(&house->receiver), 1);
    house_destroy(house);
}

/* The renewal is answered after the lease ran out: another instance may have
 * claimed the row in between, and the statement did not touch it. */
static void believes_no_late_renewal(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->renew_ms = 1500;
    house->endpoints[0] =
        (struct fake_endpoint){ .path = "/never", .concurrency = 1, .timeout_ms = 3300 };
    house_start(house);
    hand_over_many(house, 0, 1);
    struct delivery delivery = delivery_to(0);
    delivery.lease_until_ms = clock_now_ms() + 1800;
    assert_int_equal(sender_hand_over(house->sender, &delivery, 1), 1);
    assert_true(wait_settled(house, 1, 6000));
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE, 1000));
    assert_int_equal(house->renewed_count, 1);
    assert_int_equal(receiver_count(&house->receiver), 1);
    house_destroy(house);
}

/* With the database away no bell rings that could not be marked as rung. */
static void stops_sending_when_it_cannot_settle(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->settle_failures = SIZE_MAX;
    house->settle_failure = STATUS_RETRY;
    for (size_t i = 0; i < 4; i++) {
        house->endpoints[i] = (struct fake_endpoint){ .path = "/200" };
    }
    house_start(house);
    for (uint8_t i = 0; i < 4; i++) {
        hand_over_many(house, i, 500);
    }
    for (size_t i = 0; i < 5000 && receiver_count(&house->receiver) < 1024; i++) {
        sleep_ms(1);
    }
    sleep_ms(300);
    assert_in_range(receiver_count(&house->receiver), 1024, 1024 + 4 * LIMIT_ENDPOINT_CONCURRENCY);
    house_destroy(house);
}

static void sends_what_it_claims(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    struct delivery deliveries[30];
    for (size_t i = 0; i < ARRAY_COUNT(deliveries); i++) {
        deliveries[i] = delivery_to(0);
    }
    house->claimable = deliveries;
    house->claimable_count = ARRAY_COUNT(deliveries);
    house_start(house);
    assert_true(wait_settled(house, ARRAY_COUNT(deliveries), 3000));
    int64_t before_ms = clock_monotonic_ms();
    size_t calls = house_claims(house);
    while (house_claims(house) < calls + 5) {
        sleep_ms(1);
    }
    assert_true(clock_monotonic_ms() - before_ms >= 80); /* not more often than asked */
    house_destroy(house);
}

static void gives_back_what_does_not_fit(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    char *body = calloc(1, LIMIT_DELIVERY_BODY_BYTES);
    struct delivery deliveries[200]; /* 50 MiB, more than is held at once */
    assert_non_null(body);
    for (size_t i = 0; i < ARRAY_COUNT(deliveries); i++) {
        deliveries[i] = delivery_to(0);
        deliveries[i].body = (struct str){ body, LIMIT_DELIVERY_BODY_BYTES };
    }
    house->claimable = deliveries;
    house->claimable_count = ARRAY_COUNT(deliveries);
    house_start(house);
    size_t accounted = 0;
    for (size_t i = 0; i < 10000 && accounted < ARRAY_COUNT(deliveries); i++) {
        sleep_ms(1);
        pthread_mutex_lock(&house->lock);
        accounted = house->record_count + house->renewed_count;
        pthread_mutex_unlock(&house->lock);
    }
    assert_int_equal(accounted, ARRAY_COUNT(deliveries));
    assert_in_range(house->renewed_count, 1, ARRAY_COUNT(deliveries));
    assert_true(house->renewed_until_ms <= clock_now_ms()); /* their lease is over */
    free(body);
    house_destroy(house);
}

static void settles_in_the_end(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    house->settle_failures = 3;
    house->settle_failure = STATUS_RETRY;
    house_start(house);
    hand_over_many(house, 0, 10);
    assert_true(wait_settled(house, 10, 5000));
    sleep_ms(100);
    assert_int_equal(house_settled(house), 10);
    assert_int_equal(receiver_count(&house->receiver), 10); /* none was sent again */
    house_destroy(house);
}

static void settles_around_a_bad_one(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    struct delivery bad = delivery_to(0);
    house->refused = bad.id;
    house_start(house);
    hand_over_many(house, 0, 5);
    assert_int_equal(sender_hand_over(house->sender, &bad, 1), 1);
    hand_over_many(house, 0, 5);
    assert_true(wait_settled(house, 10, 5000));
    for (size_t i = 0; i < 10; i++) {
        assert_false(id_equal(house->records[i].settlement.attempt.delivery_id, bad.id));
    }
    house_destroy(house);
}

static void settles_in_batches(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .concurrency = 32 };
    house_start(house);
    hand_over_many(house, 0, 200);
    assert_true(wait_settled(house, 200, 5000));
    assert_true(house->settle_calls < 100);
    house_destroy(house);
}

/* ---- batches ---- */

/* Notification ids end in 0, 1, 2 and so on; see fake_permit. */
static struct delivery batch_of(uint8_t endpoint, struct delivery_member *members, size_t count)
{
    struct delivery batch = delivery_to(endpoint);
    batch.profile_id = ID_ZERO;
    batch.notification_id = batch.id;
    for (size_t i = 0; i < count; i++) {
        members[i] = (struct delivery_member){
            .delivery_id = { { 0x30, [15] = (uint8_t)i } },
            .notification_id = { { 0x20, [15] = (uint8_t)i } },
            .profile_id = { { 0x40, [15] = (uint8_t)i } },
            .notification_created_at_ms = clock_now_ms(),
            .body_bytes = 10,
        };
    }
    batch.members = members;
    batch.member_count = count;
    return batch;
}

static void honours_what_a_receiver_rejects(void **state)
{
    (void)state;
    struct house *house = house_create();
    struct delivery_member members[4];
    house->endpoints[0] = (struct fake_endpoint){ .path = "/reject" };
    house_start(house);
    struct delivery batch = batch_of(0, members, 4);
    assert_int_equal(sender_hand_over(house->sender, &batch, 1), 1);
    assert_true(wait_settled(house, 1, 2000));
    const struct record *record = &house->records[0];
    static const enum member_fate fates[] = { MEMBER_SETTLED, MEMBER_AGAIN, MEMBER_SETTLED,
                                              MEMBER_SETTLED };
    static const enum attempt_outcome outcomes[] = { ATTEMPT_DELIVERED, ATTEMPT_RETRY,
                                                     ATTEMPT_GAVE_UP, ATTEMPT_DELIVERED };
    assert_true(record->settlement.settled);
    assert_int_equal(record->settlement.member_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(record->members[i].fate, fates[i]);
        assert_int_equal(record->members[i].outcome, outcomes[i]);
        assert_true(id_equal(record->members[i].member.delivery_id, members[i].delivery_id));
    }
    assert_string_equal(record->reasons[1], "contact is locked");
    assert_string_equal(record->reasons[2], "rejected by the receiver");
    assert_in_range(record->members[1].next_at_ms, clock_now_ms() + 3000, clock_now_ms() + 6000);
    house_destroy(house);
}

static void keeps_a_batch_that_was_not_taken(void **state)
{
    (void)state;
    struct house *house = house_create();
    struct delivery_member members[3];
    house->endpoints[0] = (struct fake_endpoint){ .path = "/500" };
    house_start(house);
    struct delivery batch = batch_of(0, members, 3);
    assert_int_equal(sender_hand_over(house->sender, &batch, 1), 1);
    assert_true(wait_settled(house, 1, 2000));
    assert_false(house->records[0].settlement.settled);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(house->records[0].members[i].fate, MEMBER_KEPT);
    }
    house_destroy(house);
}

/* What expired is settled, the others are free for another batch. */
static void sends_no_batch_with_a_member_that_expired(void **state)
{
    (void)state;
    struct house *house = house_create();
    struct delivery_member members[3];
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    house_start(house);
    struct delivery batch = batch_of(0, members, 3);
    members[1].expires_at_ms = clock_now_ms() - 1;
    assert_int_equal(sender_hand_over(house->sender, &batch, 1), 1);
    assert_true(wait_settled(house, 1, 2000));
    assert_true(house->records[0].settlement.settled);
    assert_int_equal(house->records[0].members[0].fate, MEMBER_FREED);
    assert_int_equal(house->records[0].members[1].fate, MEMBER_SETTLED);
    assert_int_equal(house->records[0].members[1].outcome, ATTEMPT_GAVE_UP);
    assert_int_equal(house->records[0].members[2].fate, MEMBER_FREED);
    assert_int_equal(house->receiver.connection_count, 0);
    house_destroy(house);
}

/* ---- permission ---- */

static void asks_before_each_attempt(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .asks_first = true };
    house_start(house);
    hand_over_many(house, 0, 1);
    assert_true(wait_settled(house, 1, 2000));
    assert_int_equal(house->records[0].settlement.attempt.outcome, ATTEMPT_DELIVERED);
    pthread_mutex_lock(&house->lock);
    house->reason = STR("the customer has unsubscribed from the channel");
    pthread_mutex_unlock(&house->lock);
    hand_over_many(house, 0, 1);
    assert_true(wait_settled(house, 2, 2000));
    assert_int_equal(house->records[1].settlement.attempt.outcome, ATTEMPT_DROPPED);
    assert_true(house->records[1].settlement.settled);
    assert_string_equal(house->records[1].error, "the customer has unsubscribed from the channel");
    assert_int_equal(receiver_count(&house->receiver), 1);
    assert_int_equal(house->permit_calls, 2);
    house_destroy(house);
}

static void drops_a_member_and_frees_the_others(void **state)
{
    (void)state;
    struct house *house = house_create();
    struct delivery_member members[2];
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .asks_first = true };
    house->reason = STR("no");
    house_start(house);
    struct delivery batch = batch_of(0, members, 2);
    assert_int_equal(sender_hand_over(house->sender, &batch, 1), 1);
    assert_true(wait_settled(house, 1, 2000));
    assert_int_equal(house->records[0].members[0].fate, MEMBER_FREED);
    assert_int_equal(house->records[0].members[1].fate, MEMBER_SETTLED);
    assert_int_equal(house->records[0].members[1].outcome, ATTEMPT_DROPPED);
    assert_int_equal(receiver_count(&house->receiver), 0);
    house_destroy(house);
}

/* A reading that took too long is none: it is asked for again, and a stop in between
 * gives all back. */
static void believes_no_old_answer(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200", .asks_first = true };
    house->permit_ms = 900;
    house_start(house);
    hand_over_many(house, 0, 1);
    sleep_ms(1500);
    assert_int_equal(receiver_count(&house->receiver), 0);
    sender_stop(house->sender, clock_monotonic_ms() + 3000);
    assert_int_equal(house->record_count, 0);
    assert_int_equal(house->renewed_count, 1);
    assert_int_equal(receiver_count(&house->receiver), 0);
    house_destroy(house);
}

/* ---- care for the endpoint ---- */

static void lets_a_lane_rest_when_asked(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/rest" };
    house_start(house);
    hand_over_many(house, 0, 5);
    sleep_ms(500);
    assert_int_equal(receiver_count(&house->receiver), 1); /* one heard it for all */
    assert_int_equal(house_settled(house), 1);             /* the others made no attempt */
    sleep_ms(800);
    assert_int_equal(receiver_count(&house->receiver), 2);
    house_destroy(house);
}

static void gives_back_what_an_open_lane_holds(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/500", .concurrency = 1 };
    house_start(house);
    hand_over_many(house, 0, 35);
    assert_true(wait_settled(house, 20, 3000));
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE, 2000));
    sleep_ms(100);
    assert_int_equal(receiver_count(&house->receiver), 20);
    assert_int_equal(house->renewed_count, 15);
    assert_int_equal(house->last_room, 0); /* and claims are told */
    hand_over_many(house, 0, 1);
    assert_true(wait_room(house, LIMIT_DELIVERY_QUEUE, 2000));
    assert_int_equal(receiver_count(&house->receiver), 20);
    house_destroy(house);
}

static void keeps_the_rate(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] =
        (struct fake_endpoint){ .path = "/200", .rate_count = 5, .rate_per_ms = 1000 };
    house_start(house);
    hand_over_many(house, 0, 12);
    sleep_ms(700);
    assert_int_equal(receiver_count(&house->receiver), 5);
    sleep_ms(700);
    assert_int_equal(receiver_count(&house->receiver), 10);
    assert_true(wait_settled(house, 12, 3000));
    house_destroy(house);
}

static void sends_what_a_settling_frees(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    struct delivery next = delivery_to(0);
    house->next = &next;
    house->next_count = 1;
    house_start(house);
    hand_over_many(house, 0, 1);
    assert_true(wait_settled(house, 2, 2000));
    assert_true(id_equal(house->records[1].settlement.attempt.delivery_id, next.id));
    house_destroy(house);
}

/* ---- the end ---- */

static void stop_waits_for_what_runs(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/slow", .concurrency = 4 };
    house_start(house);
    hand_over_many(house, 0, 10);
    sleep_ms(40);
    sender_stop(house->sender, clock_monotonic_ms() + 3000);
    assert_true(house->record_count >= 1);
    assert_true(house->renewed_count > 0); /* given back */
    assert_int_equal(house->record_count + house->renewed_count, 10);
    assert_true(house->renewed_until_ms <= clock_now_ms());
    struct delivery late = delivery_to(0);
    assert_int_equal(sender_hand_over(house->sender, &late, 1), 0);
    assert_int_equal(sender_room(house->sender), 0);
    house_destroy(house);
}

static void stop_keeps_its_deadline(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/never" };
    house_start(house);
    hand_over_many(house, 0, 20);
    sleep_ms(40);
    int64_t before_ms = clock_monotonic_ms();
    sender_stop(house->sender, before_ms + 200);
    assert_in_range(clock_monotonic_ms() - before_ms, 190, 3000);
    assert_int_equal(house->record_count, 0); /* nobody knows, so nobody settles */
    house_destroy(house);
}

static void stop_does_not_wait_for_the_database(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    house->settle_failures = SIZE_MAX;
    house->settle_failure = STATUS_RETRY;
    house_start(house);
    hand_over_many(house, 0, 3);
    sleep_ms(100);
    int64_t before_ms = clock_monotonic_ms();
    sender_stop(house->sender, before_ms + 300);
    assert_in_range(clock_monotonic_ms() - before_ms, 200, 3000);
    house_destroy(house);
}

/* ---- one at once ---- */

static void posts_once(void **state)
{
    (void)state;
    struct house *house = house_create();
    house->endpoints[0] = (struct fake_endpoint){ .path = "/200" };
    struct sender_config config = config_of(house);
    struct arena *arena = arena_create(65536);
    struct endpoint endpoint;
    struct sender_answer answered = { .status = -1 };
    assert_true(fake_endpoint(house, arena, ID_ZERO, ID_ZERO, &endpoint));
    assert_int_equal(
        sender_post_once(&config, arena, &endpoint, STR("challenge_1"), BODY, &answered),
        STATUS_OK);
    assert_int_equal(answered.status, 200);
    assert_str_equal(answered.body, STR("ok"));
    assert_int_equal(answered.error.size, 0);
    assert_str_equal(header_of(&house->receiver.requests[0], "webhook-id"), STR("challenge_1"));

    config.allow_networks = NULL;
    assert_int_equal(
        sender_post_once(&config, arena, &endpoint, STR("challenge_2"), BODY, &answered),
        STATUS_OK);
    assert_int_equal(answered.status, 0);
    assert_true(answered.error.size > 0);
    assert_int_equal(house->receiver.connection_count, 1);

    static const char *const ids[] = { "", "a.b", "a b", "a\r\nx: y" };
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        assert_row(sender_post_once(&config, arena, &endpoint, str_from_z(ids[i]), BODY,
                                    &answered) == STATUS_INVALID,
                   ids[i]);
    }
    arena_destroy(arena);
    house_destroy(house);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_the_contract_says),
        cmocka_unit_test(sends_the_header_lines_of_the_message),
        cmocka_unit_test(sends_an_esp_its_own_headers_and_no_others),
        cmocka_unit_test(judges_answers_as_an_esp_means_them),
        cmocka_unit_test(words_in_the_bodys_place_end_it_without_a_call),
        cmocka_unit_test(calls_an_esp_once),
        cmocka_unit_test(repeats_the_same_message),
        cmocka_unit_test(survives_closed_connections),
        cmocka_unit_test(judges_answers),
        cmocka_unit_test(reads_no_endless_answer),
        cmocka_unit_test(does_not_send_what_expired),
        cmocka_unit_test(sends_what_expired_and_was_asked_for_again),
        cmocka_unit_test(disables_what_is_gone),
        cmocka_unit_test(refuses_private_addresses),
        cmocka_unit_test(refuses_plain_http),
        cmocka_unit_test(drops_what_nobody_wants),
        cmocka_unit_test(keeps_endpoints_apart),
        cmocka_unit_test(waits_for_no_resolver),
        cmocka_unit_test(obeys_concurrency),
        cmocka_unit_test(asks_the_silent_one_at_a_time),
        cmocka_unit_test(is_full_at_its_limit),
        cmocka_unit_test(lets_no_endpoint_fill_the_memory),
        cmocka_unit_test(wants_a_lease_that_outlasts_the_timeout),
        cmocka_unit_test(renews_what_waits),
        cmocka_unit_test(drops_what_another_may_own),
        cmocka_unit_test(believes_no_late_renewal),
        cmocka_unit_test(stops_sending_when_it_cannot_settle),
        cmocka_unit_test(sends_what_it_claims),
        cmocka_unit_test(gives_back_what_does_not_fit),
        cmocka_unit_test(settles_in_the_end),
        cmocka_unit_test(settles_around_a_bad_one),
        cmocka_unit_test(settles_in_batches),
        cmocka_unit_test(honours_what_a_receiver_rejects),
        cmocka_unit_test(keeps_a_batch_that_was_not_taken),
        cmocka_unit_test(sends_no_batch_with_a_member_that_expired),
        cmocka_unit_test(asks_before_each_attempt),
        cmocka_unit_test(drops_a_member_and_frees_the_others),
        cmocka_unit_test(believes_no_old_answer),
        cmocka_unit_test(lets_a_lane_rest_when_asked),
        cmocka_unit_test(gives_back_what_an_open_lane_holds),
        cmocka_unit_test(keeps_the_rate),
        cmocka_unit_test(sends_what_a_settling_frees),
        cmocka_unit_test(stop_waits_for_what_runs),
        cmocka_unit_test(stop_keeps_its_deadline),
        cmocka_unit_test(stop_does_not_wait_for_the_database),
        cmocka_unit_test(posts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
