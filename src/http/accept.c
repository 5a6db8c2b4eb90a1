#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
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
 * limit waits in the kernel's queue and is not refused. What was taken is counted only
 * when a thread of the daemon has begun with it; so near the limit no more are taken
 * before those have been.
 */

enum {
    FULL_WAIT_MS = 5, /* until it is counted again */
    OUT_OF_FILES_WAIT_MS = 50,
};

enum take {
    TAKE_ONE,
    TAKE_GONE, /* it has left meanwhile */
    TAKE_NONE,
    TAKE_NO_MEANS, /* the process or the machine is out of something */
};

static enum take take(struct listener *listener)
{
    struct sockaddr_storage storage = { 0 };
    struct sockaddr *address = (struct sockaddr *)&storage;
    socklen_t size = sizeof(storage);
    int fd = accept4(listener->fd, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        /* Refused, it closes the descriptor and has said why. */
        (void)MHD_add_connection(listener->daemon, fd, address, size);
        return TAKE_ONE;
    }
    return errno == EINTR || errno == ECONNABORTED ? TAKE_GONE
           : errno == EAGAIN                       ? TAKE_NONE
                                                   : TAKE_NO_MEANS;
}

/* Takes those that wait. Returns how long to wait; -1: until one comes. */
static int take_round(struct listener *listener)
{
    unsigned count = atomic_load(&listener->connection_count);
    unsigned most = listener->connections_max;
    unsigned room = count < most ? most - count : 0;
    unsigned taken = 0;
    enum take last = TAKE_GONE;
    while (taken < room && taken < ACCEPT_ROUND_MAX && last <= TAKE_GONE) {
        last = take(listener);
        taken += last == TAKE_ONE ? 1 : 0;
    }
    if (last == TAKE_NO_MEANS) {
        return OUT_OF_FILES_WAIT_MS;
    }
    return room == 0 || (taken > 0 && room - taken < ACCEPT_ROUND_MAX) ? FULL_WAIT_MS : -1;
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
        wait_ms = take_round(listener);
    }
}

bool accept_begin(struct listener *listener)
{
    listener->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (listener->wake_fd < 0) {
        return false;
    }
    listener->is_accepting = thread_start(&listener->acceptor, accept_run, listener);
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
