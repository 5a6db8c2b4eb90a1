#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "deliver/address_guard.h"
#include "deliver/destination.h"
#include "deliver/key_vault.h"
#include "deliver/port_rule.h"
#include "deliver/sender.h"
#include "deliver/transfer.h"
#include "unit.h"

/*
 * Whom a transfer talks to, against a peer that keeps its connections and
 * remembers the first line of each request.
 */

enum {
    PEER_BYTES_MAX = 8192,
};

struct peer {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_int connections;
    atomic_int requests;
    char connect[PEER_BYTES_MAX]; /* the head of the latest CONNECT */
    char last[PEER_BYTES_MAX];    /* what else came last */
};

/* One connection after the other, each until its client goes. */
static void *peer_run(void *argument)
{
    struct peer *peer = argument;
    for (;;) {
        int fd = accept(peer->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        atomic_fetch_add(&peer->connections, 1);
        for (;;) {
            char head[PEER_BYTES_MAX];
            ssize_t size = recv(fd, head, sizeof(head) - 1, 0);
            if (size <= 0) {
                break;
            }
            head[size] = '\0';
            atomic_fetch_add(&peer->requests, 1);
            bool is_connect = strncmp(head, "CONNECT ", 8) == 0;
            memcpy(is_connect ? peer->connect : peer->last, head, PEER_BYTES_MAX);
            const char *answer = is_connect ? "HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n"
                                            : "HTTP/1.1 204 No Content\r\n\r\n";
            if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) {
                break;
            }
        }
        close(fd);
    }
}

static void peer_open(struct peer *peer)
{
    memset(peer, 0, sizeof(*peer));
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(peer->fd >= 0);
    assert_int_equal(bind(peer->fd, (struct sockaddr *)(void *)&address, size), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)(void *)&address, &size), 0);
    assert_int_equal(listen(peer->fd, 8), 0);
    peer->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
}

static void peer_close(struct peer *peer)
{
    shutdown(peer->fd, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->fd);
}

struct caller {
    struct address_guard guard;
    struct port_rule ports;
    struct key_vault *vault;
    struct transfer *transfer;
    struct destination *destination;
};

static void caller_open(struct caller *caller, const char *networks, const char *ports,
                        const char *proxy, const char *url)
{
    struct endpoint endpoint = { .url = str_from_z(url), .timeout_ms = 3000, .secret_count = 1 };
    assert_true(
        endpoint_secret_read(STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &endpoint.secrets[0]));
    assert_int_equal(address_guard_init(&caller->guard, networks, NULL), STATUS_OK);
    assert_int_equal(port_rule_init(&caller->ports, ports, true, NULL), STATUS_OK);
    const struct transfer_rules rules = {
        .guard = &caller->guard,
        .ports = &caller->ports,
        .allow_http = true,
        .proxy = proxy,
    };
    caller->vault = key_vault_create();
    assert_non_null(caller->vault);
    caller->transfer = transfer_create(&rules, 64, NULL);
    caller->destination = destination_create(caller->vault, &endpoint);
    assert_non_null(caller->transfer);
    assert_non_null(caller->destination);
}

static struct transfer_result caller_post(struct caller *caller)
{
    struct transfer_result result;
    const struct rendition message = { .body = STR("{}") };
    assert_int_equal(
        transfer_begin(caller->transfer, caller->destination, STR("m1"), &message, 1000),
        STATUS_OK);
    CURLcode code = curl_easy_perform(transfer_handle(caller->transfer));
    transfer_finish(caller->transfer, code, 1000, &result);
    return result;
}

static void caller_close(struct caller *caller)
{
    transfer_destroy(caller->transfer);
    destination_release(caller->destination);
    key_vault_destroy(caller->vault);
}

/* A rule that changes while a connection is kept counts for the connection, too. */
static void asks_again_for_a_kept_connection(void **state)
{
    (void)state;
    struct peer peer;
    struct caller caller;
    char url[64];
    peer_open(&peer);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", peer.port);
    caller_open(&caller, "127.0.0.0/8", NULL, NULL, url);
    assert_int_equal(caller_post(&caller).status, 204);
    assert_int_equal(caller_post(&caller).status, 204);
    assert_int_equal(atomic_load(&peer.connections), 1); /* it is kept */

    assert_int_equal(address_guard_init(&caller.guard, "10.0.0.0/8", NULL), STATUS_OK);
    struct transfer_result result = caller_post(&caller);
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.error, "not public"));
    assert_int_equal(atomic_load(&peer.requests), 2); /* not a byte of the third */
    assert_int_equal(atomic_load(&peer.connections), 1);
    caller_close(&caller);
    peer_close(&peer);
}

static void calls_no_port_that_is_closed_meanwhile(void **state)
{
    (void)state;
    struct peer peer;
    struct caller caller;
    char url[64];
    peer_open(&peer);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", peer.port);
    caller_open(&caller, "127.0.0.0/8", "443", NULL, url);
    struct transfer_result result = caller_post(&caller);
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.error, "port"));
    assert_int_equal(atomic_load(&peer.connections), 0);
    caller_close(&caller);
    peer_close(&peer);
}

static void takes_no_proxy_from_the_environment(void **state)
{
    (void)state;
    static const char *const names[] = { "http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy",
                                         "ALL_PROXY" };
    struct peer proxy;
    struct peer peer;
    struct caller caller;
    char url[64];
    peer_open(&proxy);
    peer_open(&peer);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", proxy.port);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_int_equal(setenv(names[i], url, 1), 0);
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", peer.port);
    caller_open(&caller, "127.0.0.0/8", NULL, NULL, url);
    assert_int_equal(caller_post(&caller).status, 204);
    assert_int_equal(atomic_load(&proxy.connections), 0);
    caller_close(&caller);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
    peer_close(&peer);
    peer_close(&proxy);
}

/* The proxy is told the name and none of our headers; its own answer is not the
 * receiver's; its address needs no leave, since the operator named it. */
static void goes_through_the_operators_proxy(void **state)
{
    (void)state;
    struct peer proxy;
    struct caller caller;
    char url[64];
    peer_open(&proxy);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", proxy.port);
    caller_open(&caller, NULL, NULL, url, "https://hooks.example/x");
    struct transfer_result result = caller_post(&caller);
    assert_int_equal(result.status, 0); /* what answers behind it speaks no TLS */
    assert_int_equal(atomic_load(&proxy.connections), 1);
    assert_non_null(strstr(proxy.connect, "CONNECT hooks.example:443 HTTP/1.1"));
    assert_null(strstr(proxy.connect, "webhook-"));
    caller_close(&caller);

    caller_open(&caller, NULL, NULL, url, "http://hooks.example/x");
    result = caller_post(&caller);
    assert_int_equal(result.status, 204); /* not the 200 of the proxy */
    assert_non_null(strstr(proxy.last, "POST /x HTTP/1.1"));
    assert_non_null(strstr(proxy.last, "webhook-signature: v1,"));
    caller_close(&caller);
    peer_close(&proxy);
}

static void judges_ports_behind_a_proxy(void **state)
{
    (void)state;
    struct peer proxy;
    struct caller caller;
    char url[64];
    peer_open(&proxy);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", proxy.port);
    caller_open(&caller, NULL, "443", url, "https://hooks.example:8443/x");
    struct transfer_result result = caller_post(&caller);
    assert_int_equal(result.status, 0); /* the port is ours to judge, with a proxy too */
    assert_int_equal(atomic_load(&proxy.connections), 0);
    caller_close(&caller);
    peer_close(&proxy);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_again_for_a_kept_connection),
        cmocka_unit_test(calls_no_port_that_is_closed_meanwhile),
        cmocka_unit_test(takes_no_proxy_from_the_environment),
        cmocka_unit_test(goes_through_the_operators_proxy),
        cmocka_unit_test(judges_ports_behind_a_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
