#include "deliver/engine.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

/*
 * libcurl's event interface over one epoll descriptor.
 *
 * curl_multi_poll walks every transfer on each wake-up; with 500 that wait for
 * slow endpoints, the fast one pays for all of them. Here a wake-up costs what
 * happened. Invariant: the epoll set is exactly what on_socket was last told,
 * and due_at_ms the time on_timer was last told (-1: none); a new transfer
 * shows as a timer of 0 ms.
 */

enum {
    EVENTS_PER_WAIT = 256
};

struct engine {
    CURLM *multi;
    int epoll_fd;
    int wake_fd;
    int64_t due_at_ms;
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *known)
{
    (void)easy;
    struct engine *engine = data;
    if (what == CURL_POLL_REMOVE) {
        /* May be closed already, which took it out. */
        epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        curl_multi_assign(engine->multi, fd, NULL);
        return 0;
    }
    struct epoll_event event = { .data.fd = fd };
    event.events =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    int first = known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    int second = known == NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(engine->epoll_fd, first, fd, &event) != 0 &&
        epoll_ctl(engine->epoll_fd, second, fd, &event) != 0) {
        return -1;
    }
    curl_multi_assign(engine->multi, fd, engine);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *data)
{
    (void)multi;
    struct engine *engine = data;
    engine->due_at_ms = timeout_ms < 0 ? -1 : clock_monotonic_ms() + timeout_ms;
    return 0;
}

static bool engine_open(struct engine *engine, long connections_max)
{
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    engine->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    engine->multi = curl_multi_init();
    if (engine->epoll_fd < 0 || engine->wake_fd < 0 || engine->multi == NULL) {
        return false;
    }
    struct epoll_event event = { .events = EPOLLIN, .data.fd = engine->wake_fd };
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->wake_fd, &event) != 0) {
        return false;
    }
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
    curl_multi_setopt(engine->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, connections_max);
    return true;
}

struct engine *engine_create(long connections_max)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return NULL;
    }
    engine->due_at_ms = -1;
    if (!engine_open(engine, connections_max)) {
        engine_destroy(engine);
        return NULL;
    }
    return engine;
}

void engine_destroy(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    curl_multi_cleanup(engine->multi);
    if (engine->wake_fd >= 0) {
        close(engine->wake_fd);
    }
    if (engine->epoll_fd >= 0) {
        close(engine->epoll_fd);
    }
    free(engine);
}

bool engine_add(struct engine *engine, CURL *easy)
{
    return curl_multi_add_handle(engine->multi, easy) == CURLM_OK;
}

void engine_remove(struct engine *engine, CURL *easy)
{
    curl_multi_remove_handle(engine->multi, easy);
}

void engine_kick(struct engine *engine)
{
    if (engine->due_at_ms >= 0 && engine->due_at_ms <= clock_monotonic_ms()) {
        int running = 0;
        engine->due_at_ms = -1;
        curl_multi_socket_action(engine->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

static void engine_dispatch(struct engine *engine, const struct epoll_event *event)
{
    if (event->data.fd == engine->wake_fd) {
        uint64_t count = 0;
        while (read(engine->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR) {
        }
        return;
    }
    int what = ((event->events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
               ((event->events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((event->events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    int running = 0;
    curl_multi_socket_action(engine->multi, event->data.fd, what, &running);
}

void engine_wait(struct engine *engine, int timeout_ms)
{
    if (engine->due_at_ms >= 0) {
        int64_t left_ms = engine->due_at_ms - clock_monotonic_ms();
        if (left_ms < timeout_ms) {
            timeout_ms = left_ms > 0 ? (int)left_ms : 0;
        }
    }
    struct epoll_event events[EVENTS_PER_WAIT];
    int count = epoll_wait(engine->epoll_fd, events, EVENTS_PER_WAIT, timeout_ms);
    for (int i = 0; i < count; i++) {
        engine_dispatch(engine, &events[i]);
    }
    engine_kick(engine);
}

bool engine_next_ended(struct engine *engine, CURL **out_easy, CURLcode *out_code)
{
    int left = 0;
    CURLMsg *message = curl_multi_info_read(engine->multi, &left);
    while (message != NULL && message->msg != CURLMSG_DONE) {
        message = curl_multi_info_read(engine->multi, &left);
    }
    if (message == NULL) {
        return false;
    }
    *out_easy = message->easy_handle;
    *out_code = message->data.result;
    return true;
}

void engine_wake(struct engine *engine)
{
    uint64_t one = 1;
    while (write(engine->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}
