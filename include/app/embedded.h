#ifndef APP_EMBEDDED_H
#define APP_EMBEDDED_H

/*
 * A private PostgreSQL under one directory: `serve --embedded DIR`.
 *
 *   DIR/pgdata        the cluster, made once
 *   DIR/run           the Unix socket, or /tmp/shopbell-<hash> when that path
 *                     is too long for one
 *   DIR/postgres.log  what PostgreSQL says
 *   DIR/master.key    the key that seals secrets
 *   DIR/lock          held by the process that runs it
 *
 * Threading: the main thread, before there are others.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/status.h"

struct embedded;

struct embedded_config {
    const char *directory; /* made when missing */
    /* When another process runs it: use its PostgreSQL (commands), or refuse
     * (the server). */
    bool may_join;
    /* Called before what may take a while; may be NULL. */
    void (*report)(void *context, const char *message);
    void *context;
};

/* Starts (or joins) it and waits until it takes connections; the database
 * "shopbell" exists then. STATUS_CONFLICT when it is running already. */
NODISCARD enum status embedded_start(const struct embedded_config *config,
                                     struct embedded **out_embedded, struct problem *problem);

/* postgresql:///shopbell?host=... */
const char *embedded_database_url(const struct embedded *embedded);
/* The absolute path of DIR. */
const char *embedded_directory(const struct embedded *embedded);
/* False once our PostgreSQL has ended by itself. Reaps it. */
bool embedded_is_running(struct embedded *embedded);

/* Fast shutdown, and waits for it. A joined one is left running. NULL is fine. */
void embedded_stop(struct embedded *embedded);

#endif
