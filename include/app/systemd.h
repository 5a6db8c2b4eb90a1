#ifndef APP_SYSTEMD_H
#define APP_SYSTEMD_H

/*
 * The two things a service manager hands over and hears: listening sockets
 * (LISTEN_FDS) and the state of the service (NOTIFY_SOCKET). Without them in
 * the environment every function does nothing.
 *
 * Call systemd_sockets once, before there are threads: it changes the
 * environment, so that no child takes the sockets for its own.
 */

#include <stdint.h>

enum {
    SYSTEMD_ADDRESS_SIZE = 16
};

struct systemd_sockets {
    char http[SYSTEMD_ADDRESS_SIZE];  /* "fd:3", or "" */
    char admin[SYSTEMD_ADDRESS_SIZE]; /* the socket named "admin", or "" */
};

struct systemd_sockets systemd_sockets_take(void);

/* "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=...", "WATCHDOG=1". */
void systemd_notify(const char *state);
/* How often the watchdog wants to hear of us, halved; 0: it does not. */
int64_t systemd_watchdog_ms(void);

#endif
