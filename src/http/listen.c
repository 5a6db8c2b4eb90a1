#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http_priv.h"

/*
 * Listening sockets: "host:port", "[::]:port", "unix:/path", "fd:N".
 *
 * We make the socket ourselves and hand it to libmicrohttpd, which then never
 * shuts it down: that is what lets a successor inherit it (fd:N, systemd) with
 * its queue of connections intact.
 *
 * A Unix socket left behind by a crash is in the way of the next start. It is
 * removed only when it is a socket and nobody answers on it; anything else at
 * that path is left alone and is an error. At the end ours is removed only if
 * the path still leads to the very socket we made.
 */

enum {
    LISTEN_BACKLOG = 4096
};

static enum status fail(struct problem *problem, const char *address, const char *what)
{
    char reason[128] = "unknown error";
    (void)strerror_r(errno, reason, sizeof(reason));
    return problem_set(problem, STATUS_INVALID, "invalid-field", "listen %s: %s: %s", address, what,
                       reason);
}

static void close_quietly(int fd)
{
    int saved = errno;
    (void)close(fd);
    errno = saved;
}

static bool set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void set_switch(int fd, int level, int option, int value)
{
    /* None of these is worth failing for: they tune, they do not decide. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_one(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    set_switch(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_switch(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it */
    if (info->ai_family == AF_INET6) {
        set_switch(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (!set_flags(fd) || bind(fd, info->ai_addr, info->ai_addrlen) != 0 ||
        listen(fd, LISTEN_BACKLOG) != 0) {
        close_quietly(fd);
        return -1;
    }
    return fd;
}

static bool split_host_port(const char *address, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0') {
        return false;
    }
    const char *from = address;
    size_t size = (size_t)(colon - address);
    if (size >= 2 && from[0] == '[' && from[size - 1] == ']') {
        from++;
        size -= 2;
    }
    if (size == 0 || size >= host_size) {
        return false;
    }
    memcpy(host, from, size);
    host[size] = '\0';
    *port = colon + 1;
    return true;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage storage = { 0 };
    socklen_t size = sizeof(storage);
    if (getsockname(fd, (struct sockaddr *)&storage, &size) != 0) {
        return 0;
    }
    if (storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &storage, sizeof(v4));
        return ntohs(v4.sin_port);
    }
    if (storage.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &storage, sizeof(v6));
        return ntohs(v6.sin6_port);
    }
    return 0;
}

static enum status open_tcp(const char *address, struct listener *listener, struct problem *problem)
{
    char host[256];
    const char *port = NULL;
    if (!split_host_port(address, host, sizeof(host), &port)) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "listen %s: expected host:port, [host]:port, unix:/path or fd:N",
                           address);
    }
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-field", "listen %s: %s", address,
                           gai_strerror(error));
    }
    int fd = -1;
    for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next) {
        fd = open_one(info);
    }
    freeaddrinfo(found);
    if (fd < 0) {
        return fail(problem, address, "cannot bind");
    }
    listener->fd = fd;
    listener->port = bound_port(fd);
    return STATUS_OK;
}

/* True when the path is free afterwards. */
static bool remove_stale(const struct sockaddr_un *address)
{
    struct stat info;
    if (lstat(address->sun_path, &info) != 0) {
        return errno == ENOENT;
    }
    if (!S_ISSOCK(info.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM, 0);
    if (probe < 0) {
        return false;
    }
    bool refused = connect(probe, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
                   errno == ECONNREFUSED;
    (void)close(probe);
    if (!refused) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(address->sun_path) == 0;
}

static int bind_unix(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    /* fchmod before bind narrows the moment in which the umask decides;
     * chmod after it gives the group its access whatever the umask. */
    if (!set_flags(fd) || fchmod(fd, 0660) != 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        close_quietly(fd);
        return -1;
    }
    if (chmod(address->sun_path, 0660) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int saved = errno;
        (void)unlink(address->sun_path);
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static enum status open_unix(const char *path, struct listener *listener, struct problem *problem)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat info;
    if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path)) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "listen unix:%s: an absolute path of at most %zu bytes is needed", path,
                           sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (!remove_stale(&address)) {
        return fail(problem, path, "the path is taken");
    }
    int fd = bind_unix(&address);
    if (fd < 0) {
        return fail(problem, path, "cannot bind");
    }
    listener->fd = fd;
    listener->is_unix = true;
    listener->unix_path = strdup(path);
    if (listener->unix_path != NULL && lstat(path, &info) == 0) {
        listener->unix_device = info.st_dev;
        listener->unix_inode = info.st_ino;
    }
    return STATUS_OK;
}

static enum status open_inherited(const char *number, struct listener *listener,
                                  struct problem *problem)
{
    uint64_t value = 0;
    if (!str_to_u64(str_from_z(number), &value) || value > 1024) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "listen fd:%s: not a descriptor", number);
    }
    int fd = (int)value;
    int listening = 0;
    socklen_t size = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !set_flags(fd)) {
        return fail(problem, number, "not a socket");
    }
    if (listening == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "listen fd:%s: the socket does not listen", number);
    }
    struct sockaddr_storage storage = { 0 };
    size = sizeof(storage);
    if (getsockname(fd, (struct sockaddr *)&storage, &size) != 0) {
        return fail(problem, number, "no address");
    }
    listener->is_unix = storage.ss_family == AF_UNIX;
    if (!listener->is_unix) {
        set_switch(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    listener->fd = fd;
    listener->is_inherited = true;
    listener->port = bound_port(fd);
    return STATUS_OK;
}

enum status listen_open(const char *address, struct listener *listener, struct problem *problem)
{
    listener->fd = -1;
    if (strncmp(address, "unix:", 5) == 0) {
        return open_unix(address + 5, listener, problem);
    }
    if (strncmp(address, "fd:", 3) == 0) {
        return open_inherited(address + 3, listener, problem);
    }
    return open_tcp(address, listener, problem);
}

/* A connection that the kernel takes and nobody accepts would wait for the
 * whole drain only to be reset; a refused one is repeated elsewhere at once.
 * A shared queue is left alone: the successor serves what waits in it. */
void listen_end(const struct listener *listener)
{
    if (!listener->is_inherited) {
        (void)shutdown(listener->fd, SHUT_RDWR);
    }
}

void listen_close(struct listener *listener)
{
    struct stat info;
    if (listener->unix_path != NULL && lstat(listener->unix_path, &info) == 0 &&
        info.st_dev == listener->unix_device && info.st_ino == listener->unix_inode) {
        (void)unlink(listener->unix_path);
    }
    free(listener->unix_path);
    listener->unix_path = NULL;
    if (listener->fd >= 0) {
        (void)close(listener->fd);
        listener->fd = -1;
    }
}
