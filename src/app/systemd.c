#include "app/systemd.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/environment.h"
#include "base/str.h"

/*
 * Socket activation is what makes a restart lose nothing: the socket and its
 * queue of connections outlive the process. libsystemd would bring both
 * functions, and a library to every process for thirty lines of protocol
 * (sd_listen_fds(3) and sd_notify(3) call it stable).
 */

enum {
    FIRST_FD = 3,
    SOCKETS_MAX = 16
};

static bool number_from(const char *name, int64_t *out_number)
{
    const char *text = environment_value(name);
    return text != NULL && str_to_i64(str_from_z(text), out_number);
}

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t size = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1;
}

struct systemd_sockets systemd_sockets_take(void)
{
    struct systemd_sockets sockets = { "", "" };
    int64_t pid = 0;
    int64_t count = 0;
    bool is_for_us = number_from("LISTEN_PID", &pid) && pid == getpid() &&
                     number_from("LISTEN_FDS", &count) && count > 0 && count <= SOCKETS_MAX;
    const char *given_names = environment_value("LISTEN_FDNAMES");
    struct str names = str_from_z(given_names);
    for (int fd = FIRST_FD; is_for_us && fd < FIRST_FD + count; fd++) {
        struct str name = names;
        if (!str_split(names, ':', &name, &names)) {
            names = (struct str){ NULL, 0 };
        }
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || !is_listening(fd)) {
            continue;
        }
        bool is_admin = str_equal_z(name, "admin");
        (void)snprintf(is_admin ? sockets.admin : sockets.http, SYSTEMD_ADDRESS_SIZE, "fd:%d", fd);
    }
    environment_forget("LISTEN_PID");
    environment_forget("LISTEN_FDS");
    environment_forget("LISTEN_FDNAMES");
    return sockets;
}

void systemd_notify(const char *state)
{
    const char *path = environment_value("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = path != NULL ? strlen(path) : 0;
    if (size < 2 || size >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(address.sun_path, path, size);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* the abstract namespace */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, length);
    (void)close(fd);
}

int64_t systemd_watchdog_ms(void)
{
    int64_t period_us = 0;
    int64_t pid = 0;
    if (!number_from("WATCHDOG_USEC", &period_us) || period_us <= 0) {
        return 0;
    }
    if (number_from("WATCHDOG_PID", &pid) && pid != getpid()) {
        return 0;
    }
    int64_t half_ms = period_us / 2000;
    return half_ms > 0 ? half_ms : 1;
}
