#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_priv.h"

/*
 * A thread that takes a listener's connections and gives them to libmicrohttpd.
 *
 * Problem: a drain must stop taking connections while the others are served. With
 * its own listening socket libmicrohttpd 0.9.75 can do that by MHD_quiesce_daemon
 * only, and that takes the socket out of the epoll set while the thread that polls
 * does the same; whoever comes second ends the process with a panic. Of six runs of
 * 400 drains under load none came to its end.
 *
 * Invariant: no connection is taken after accept_end has returned. Who is beyond the
 * limit waits in the kernel's queue, as he did there, and is not refused.
 */

enum {
    FULL_WAIT_MS = 5, /* until it is asked again whether there is room */
    OUT_OF_FILES_WAIT_MS = 50,
    ROUND_MAX = 64, /* taken before the count is looked at again */
};

static bool is_full(const struct listener *listener)
{
    return atomic_load(&listener->connection_count) >= listener->connections_max;
}

/* False: wait a little, the process or the machine is out of something. */
static bool take_one(struct listener *listener, bool *out_more)
{
    struct sockaddr_storage storage = { 0 };
    struct sockaddr *address = (struct sockaddr *)&storage;
    socklen_t size = sizeof(storage);
    int fd = accept4(listener->fd, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        /* Refused, it closes the descriptor and has said why. */
        (void)MHD_add_connection(listener->daemon, fd, address, size);
        return true;
    }
    *out_more = errno == EINTR || errno == ECONNABORTED;
    return *out_more || errno == EAGAIN;
}

static void *accept_run(void *cls)
{
    struct listener *listener = cls;
    int wait_ms = -1;
    for (;;) {
        struct pollfd at[] = { { .fd = listener->wake_fd, .events = POLLIN },
                               { .fd = wait_ms < 0 ? listener->fd : -1, .events = POLLIN } };
        (void)poll(at, 2, wait_ms);
        if (at[0].revents != 0) {
            return NULL;
        }
        bool more = true;
        bool has_means = true;
        for (int i = 0; i < ROUND_MAX && more && has_means && !is_full(listener); i++) {
            has_means = take_one(listener, &more);
        }
        wait_ms = !has_means ? OUT_OF_FILES_WAIT_MS : is_full(listener) ? FULL_WAIT_MS : -1;
    }
}

bool accept_begin(struct listener *listener)
{
    listener->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (listener->wake_fd < 0) {
        return false;
    }
    listener->is_accepting = pthread_create(&listener->acceptor, NULL, &accept_run, listener) == 0;
    if (!listener->is_accepting) {
        (void)close(listener->wake_fd);
    }
    return listener->is_accepting;
}

void accept_end(struct listener *listener)
{
    const uint64_t one = 1;
    if (!listener->is_accepting) {
        return;
    }
    while (write(listener->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    pthread_join(listener->acceptor, NULL);
    listener->is_accepting = false;
    (void)close(listener->wake_fd);
}
