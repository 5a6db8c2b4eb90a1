#ifndef APP_ENVIRONMENT_H
#define APP_ENVIRONMENT_H

/*
 * The process's environment. It is changed only before there are threads
 * (systemd_sockets_take), so reading it is safe at any time.
 */

/* NULL when it is not set. */
const char *environment_value(const char *name);

/* So that no child takes it for its own. Before there are threads. */
void environment_forget(const char *name);

#endif
