#ifndef APP_PROCESS_H
#define APP_PROCESS_H

/*
 * Programs we start: with another user's rights if need be, away from our
 * terminal, and gone when we are.
 *
 * Threading: only before the process has threads (fork copies one), and a
 * child dies with the thread that started it, so the main one.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

struct process_user {
    bool is_other; /* we are root and the child shall not be */
    uid_t uid;
    gid_t gid;
    char name[33];
};

struct process_spec {
    const char *const *argv; /* argv[0] is the program's path */
    const char *const *environment;
    const struct process_user *user;
    int output_fd;    /* its stdout and stderr */
    int death_signal; /* sent to it when our main thread ends; 0 for none */
};

/* Who runs PostgreSQL: ourselves, or as root "postgres", else "nobody". */
NODISCARD enum status process_user_find(struct process_user *out_user, struct problem *problem);

NODISCARD enum status process_start(const struct process_spec *spec, pid_t *out_pid,
                                    struct problem *problem);
/* Waits at most so long (milliseconds). False: still running. */
bool process_wait(pid_t pid, int64_t timeout_ms, int *out_wait_status);

/* The first directory on the way to `path` that this user may not enter, or
 * NULL when the way is free; borrowed from `path`, length in *out_size. */
const char *process_blocked_at(const struct process_user *user, const char *path, size_t *out_size);

#endif
