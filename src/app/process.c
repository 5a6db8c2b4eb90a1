#include "app/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

/*
 * Problem: a child that outlives a killed parent keeps the data directory
 * locked; one that shares our terminal gets our Ctrl-C and dies before we have
 * stopped using it; one that inherits our ignored signals cannot be stopped.
 *
 * So each gets its own session, a clean signal state, no descriptor of ours
 * but its output, and asks the kernel for a signal when our main thread ends.
 * The kernel forgets that wish when credentials change, so it is made after
 * the user is dropped, and the parent is looked at once more, since it may
 * have died in between. Rejected: posix_spawn (no user, no death signal) and
 * a shell.
 */

enum {
    PROCESS_POLL_MS = 10,
    PROCESS_EXIT_SETUP = 126,
    PROCESS_EXIT_EXEC = 127
};

enum status process_user_find(struct process_user *out_user, struct problem *problem)
{
    if (geteuid() != 0) {
        *out_user = (struct process_user){ .uid = geteuid(), .gid = getegid() };
        return STATUS_OK;
    }
    static const char *const names[] = { "postgres", "nobody" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct passwd entry;
        struct passwd *found = NULL;
        char text[1024];
        if (getpwnam_r(names[i], &entry, text, sizeof(text), &found) == 0 && found != NULL &&
            entry.pw_uid != 0) {
            *out_user =
                (struct process_user){ .is_other = true, .uid = entry.pw_uid, .gid = entry.pw_gid };
            (void)snprintf(out_user->name, sizeof(out_user->name), "%s", names[i]);
            return STATUS_OK;
        }
    }
    return problem_set(problem, STATUS_MISSING, "embedded",
                       "PostgreSQL must not run as root, and there is no user postgres or nobody");
}

static bool user_become(const struct process_user *user)
{
    if (!user->is_other) {
        return true;
    }
    return initgroups(user->name, user->gid) == 0 && setgid(user->gid) == 0 &&
           setuid(user->uid) == 0;
}

static bool signals_reset(void)
{
    static const int ignored[] = { SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2 };
    struct sigaction action = { .sa_handler = SIG_DFL };
    for (size_t i = 0; i < ARRAY_COUNT(ignored); i++) {
        (void)sigaction(ignored[i], &action, NULL);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    return pthread_sigmask(SIG_SETMASK, &none, NULL) == 0;
}

NORETURN static void child_run(const struct process_spec *spec, pid_t parent)
{
    int input = open("/dev/null", O_RDONLY);
    bool is_ready = input >= 0 && dup2(input, 0) == 0 && dup2(spec->output_fd, 1) == 1 &&
                    dup2(spec->output_fd, 2) == 2 && setsid() > 0 && signals_reset() &&
                    chdir("/") == 0 && user_become(spec->user);
    (void)umask(077);
    if (is_ready && spec->death_signal != 0) {
        is_ready = prctl(PR_SET_PDEATHSIG, spec->death_signal) == 0 && getppid() == parent;
    }
    if (!is_ready) {
        _exit(PROCESS_EXIT_SETUP);
    }
    union {
        const char *const *constant;
        char *const *variable; /* execve's type predates const */
    } argv = { spec->argv }, environment = { spec->environment };
    (void)execve(spec->argv[0], argv.variable, environment.variable);
    _exit(PROCESS_EXIT_EXEC);
}

enum status process_start(const struct process_spec *spec, pid_t *out_pid, struct problem *problem)
{
    assert(spec->argv[0] != NULL);
    assert(spec->output_fd > 2);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        return problem_set(problem, STATUS_BROKEN, "process", "cannot start %.200s", spec->argv[0]);
    }
    if (pid == 0) {
        child_run(spec, parent);
    }
    *out_pid = pid;
    return STATUS_OK;
}

bool process_wait(pid_t pid, int64_t timeout_ms, int *out_wait_status)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        int wait_status = 0;
        pid_t ended = waitpid(pid, &wait_status, WNOHANG);
        if (ended == pid) {
            *out_wait_status = wait_status;
            return true;
        }
        if (ended < 0 && errno != EINTR) {
            *out_wait_status = 0; /* someone else reaped it */
            return true;
        }
        if (clock_monotonic_ms() >= deadline_ms) {
            return false;
        }
        (void)nanosleep(&(struct timespec){ .tv_nsec = PROCESS_POLL_MS * 1000000L }, NULL);
    }
}

static bool user_may_enter(const struct process_user *user, const char *directory)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(user_become(user) && chdir(directory) == 0 ? 0 : 1);
    }
    int wait_status = 0;
    return pid > 0 && waitpid(pid, &wait_status, 0) == pid && WIFEXITED(wait_status) &&
           WEXITSTATUS(wait_status) == 0;
}

const char *process_blocked_at(const struct process_user *user, const char *path, size_t *out_size)
{
    char partial[PATH_MAX];
    size_t size = strlen(path);
    assert(path[0] == '/');
    if (!user->is_other || size >= sizeof(partial)) {
        return NULL;
    }
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (!user_may_enter(user, partial)) {
            *out_size = i;
            return path;
        }
    }
    return NULL;
}
