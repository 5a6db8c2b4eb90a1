#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http_priv.h"

/*
 * Sockets that have their refusal and still send.
 *
 * Problem: an answer in libmicrohttpd's first call leaves at once, and the
 * connection ends with it. The kernel resets a socket that is closed with
 * bytes unread, and a reset overtakes the answer: the sender, or the proxy
 * before it (which then says 502), never reads why. So the socket is kept
 * open by a second descriptor after libmicrohttpd has closed its own: what
 * comes in is read and thrown away until the sender has read its answer and
 * closes, or until it has had its bytes or its time.
 *
 * Invariant: a socket here has been shut down for writing, belongs to nobody
 * else, and is closed by the janitor alone, at its deadline at the latest. No
 * memory but the entry is spent on it, and there are LIMIT_LINGERING entries;
 * a refusal for which none is free is closed as before.
 *
 * Rejected: to read the body first and answer then (the answer would wait for
 * a slow sender, and "Expect: 100-continue" would be told to send what nobody
 * wants).
 */

enum {
    READ_BYTES = 64 * 1024,
    READS_IN_A_ROW = 16, /* then it is another's turn */
    EVENTS = 64,
};

struct lingerer {
    int fd; /* -1 when free */
    int64_t deadline_ms;
    size_t left_bytes;
};

struct linger_room {
    int epoll_fd;
    pthread_mutex_t mutex;
    size_t count;                             /* under mutex */
    struct lingerer entries[LIMIT_LINGERING]; /* taken under mutex; then the janitor's */
    char discarded[READ_BYTES];               /* janitor only */
};

bool linger_init(struct http_server *server)
{
    struct linger_room *linger = calloc(1, sizeof(*linger));
    if (linger == NULL) {
        return false;
    }
    linger->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (linger->epoll_fd < 0) {
        free(linger);
        return false;
    }
    pthread_mutex_init(&linger->mutex, NULL);
    for (size_t i = 0; i < LIMIT_LINGERING; i++) {
        linger->entries[i].fd = -1;
    }
    server->linger = linger;
    return true;
}

static struct lingerer *find_free(struct linger_room *linger)
{
    if (linger->count == LIMIT_LINGERING) {
        return NULL;
    }
    struct lingerer *entry = linger->entries;
    while (entry->fd >= 0) {
        entry++;
    }
    return entry;
}

void linger_add(struct http_server *server, int fd)
{
    struct linger_room *linger = server->linger;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        return;
    }
    /* libmicrohttpd ends TLS, but not the connection below it. */
    (void)shutdown(own, SHUT_WR);
    bool is_taken = false;
    pthread_mutex_lock(&linger->mutex);
    struct lingerer *entry = find_free(linger);
    if (entry != NULL) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = entry };
        *entry = (struct lingerer){ .fd = own,
                                    .deadline_ms = clock_monotonic_ms() + server->tuning.linger_ms,
                                    .left_bytes = LIMIT_DISCARD_BYTES };
        is_taken = epoll_ctl(linger->epoll_fd, EPOLL_CTL_ADD, own, &event) == 0;
        if (is_taken) {
            linger->count++;
        } else {
            entry->fd = -1;
        }
    }
    pthread_mutex_unlock(&linger->mutex);
    if (!is_taken) {
        (void)close(own);
    }
}

static void end(struct linger_room *linger, struct lingerer *entry)
{
    pthread_mutex_lock(&linger->mutex);
    /* By hand: libmicrohttpd's descriptor of the same socket may still be open. */
    (void)epoll_ctl(linger->epoll_fd, EPOLL_CTL_DEL, entry->fd, NULL);
    (void)close(entry->fd);
    entry->fd = -1;
    linger->count--;
    pthread_mutex_unlock(&linger->mutex);
}

/* False when nothing more is to be awaited from it. */
static bool discard(struct linger_room *linger, struct lingerer *entry)
{
    for (int i = 0; i < READS_IN_A_ROW; i++) {
        ssize_t got = recv(entry->fd, linger->discarded, READ_BYTES, MSG_DONTWAIT);
        if (got < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        if (got == 0 || (size_t)got >= entry->left_bytes) {
            return false;
        }
        entry->left_bytes -= (size_t)got;
    }
    return true;
}

static void end_late(struct linger_room *linger, int64_t now_ms)
{
    for (size_t i = 0; i < LIMIT_LINGERING; i++) {
        struct lingerer *entry = &linger->entries[i];
        pthread_mutex_lock(&linger->mutex);
        bool is_late = entry->fd >= 0 && entry->deadline_ms <= now_ms;
        pthread_mutex_unlock(&linger->mutex);
        if (is_late) {
            end(linger, entry);
        }
    }
}

void linger_wait(struct http_server *server, int64_t milliseconds)
{
    struct linger_room *linger = server->linger;
    int64_t now_ms = clock_monotonic_ms();
    int64_t until_ms = now_ms + milliseconds;
    while (now_ms < until_ms) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(linger->epoll_fd, events, EVENTS, (int)(until_ms - now_ms));
        for (int i = 0; i < count; i++) {
            struct lingerer *entry = events[i].data.ptr;
            if (!discard(linger, entry)) {
                end(linger, entry);
            }
        }
        now_ms = clock_monotonic_ms();
    }
    if (linger_count(server) > 0) {
        end_late(linger, now_ms);
    }
}

size_t linger_count(struct http_server *server)
{
    pthread_mutex_lock(&server->linger->mutex);
    size_t count = server->linger->count;
    pthread_mutex_unlock(&server->linger->mutex);
    return count;
}

void linger_finish(struct http_server *server)
{
    struct linger_room *linger = server->linger;
    if (linger == NULL) {
        return;
    }
    end_late(linger, INT64_MAX);
    (void)close(linger->epoll_fd);
    pthread_mutex_destroy(&linger->mutex);
    free(linger);
    server->linger = NULL;
}
