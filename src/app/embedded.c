#include "app/embedded.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/environment.h"
#include "app/file.h"
#include "app/memory.h"
#include "app/process.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "store/pg.h"

/*
 * Problem: a first try of Shopbell must not begin with the administration of
 * a database, and what is tried must be safe to keep: so this is a real
 * cluster, with fsync, that survives kill -9 of everything.
 *
 * Invariants. One process per directory: DIR/lock is held (flock) from before
 * the cluster is touched until PostgreSQL has ended. The cluster is made
 * beside its place and renamed into it, so pgdata is complete or absent.
 * PostgreSQL ends when we do: by our SIGINT on a clean stop, by the kernel's
 * (PR_SET_PDEATHSIG) when we are killed; whoever starts next waits for that
 * one to end, then recovers. Nobody but its owner and root reaches it: no TCP,
 * and the socket lies in a directory of mode 0700, which is what makes "trust"
 * right inside (peer would need a map for root).
 *
 * Rejected: pg_ctl (a second process between us and the one to watch) and
 * Debian's pg_createcluster (needs root, and lists it among the system's).
 */

enum {
    POSTGRES_VERSION_LEAST = 15,
    POSTGRES_VERSION_NEWEST = 60, /* that is looked for */
    POSTGRES_PORT = 5432,
    INITDB_MS_MAX = 180000,
    START_MS_MAX = 600000, /* recovery after a crash replays up to max_wal_size */
    REPORT_EVERY_MS = 10000,
    STOP_MS_MAX = 60000,
    ORPHAN_MS_MAX = 60000,
    COMMAND_MS_MAX = 30000, /* a command that has the directory to itself */
    POLL_MS = 20,
    LOG_BYTES_MAX = 10 * 1024 * 1024,
    LOG_TAIL_BYTES = 200,
    CONNECT_TRIES = 50,
    EMBEDDED_ARENA_BYTES = 1024 * 1024,
};

struct embedded {
    struct process_user user;
    pid_t pid; /* 0: joined, or not started */
    bool is_ours;
    int lock_fd;
    char directory[PATH_MAX];
    char data[PATH_MAX + 16];
    char socket_directory[PATH_MAX + 16];
    char log[PATH_MAX + 16];
    char bin[PATH_MAX];
    char url[3 * PATH_MAX + 128];
};

static void report(const struct embedded_config *config, const char *message)
{
    if (config->report != NULL) {
        config->report(config->context, message);
    }
}

static void sleep_ms(int64_t milliseconds)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = milliseconds * 1000000L }, NULL);
}

/* --- the programs ---------------------------------------------------------- */

static bool has_programs(const char *bin)
{
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof(path), "%s/initdb", bin);
    bool has_initdb = access(path, X_OK) == 0;
    (void)snprintf(path, sizeof(path), "%s/postgres", bin);
    return has_initdb && access(path, X_OK) == 0;
}

/* The newest major version under Debian's place; `wanted` (0: any) must match. */
static bool programs_in_debian(unsigned wanted, char bin[PATH_MAX])
{
    unsigned first = wanted > 0 ? wanted : POSTGRES_VERSION_NEWEST;
    unsigned last = wanted > 0 ? wanted : POSTGRES_VERSION_LEAST;
    for (unsigned version = first; version >= last; version--) {
        (void)snprintf(bin, PATH_MAX, "/usr/lib/postgresql/%u/bin", version);
        if (has_programs(bin)) {
            return true;
        }
    }
    return false;
}

static bool programs_in_path(char bin[PATH_MAX])
{
    struct str rest = str_from_z(environment_value("PATH"));
    while (rest.size > 0) {
        struct str part = rest;
        if (!str_split(rest, ':', &part, &rest)) {
            rest = (struct str){ NULL, 0 };
        }
        bool is_absolute = part.size > 0 && part.size < PATH_MAX && part.data[0] == '/';
        if (!is_absolute) {
            continue;
        }
        (void)snprintf(bin, PATH_MAX, "%.*s", STR_ARG(part));
        if (has_programs(bin)) {
            return true;
        }
    }
    return false;
}

/* The major version of the cluster, 0 when there is none yet. */
static unsigned cluster_version(const struct embedded *embedded)
{
    char path[PATH_MAX + 32];
    char text[16] = "";
    (void)snprintf(path, sizeof(path), "%s/PG_VERSION", embedded->data);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t size = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    uint64_t version = 0;
    struct str digits = { text, size > 0 ? (size_t)size : 0 };
    return str_to_u64(str_trim(digits), &version) ? (unsigned)version : 0;
}

static enum status programs_find(struct embedded *embedded, struct problem *problem)
{
    unsigned version = cluster_version(embedded);
    if (programs_in_debian(version, embedded->bin) || programs_in_path(embedded->bin)) {
        return STATUS_OK;
    }
    if (version > 0) {
        return problem_set(problem, STATUS_MISSING, "embedded",
                           "the data under %.120s is PostgreSQL %u's, which is not installed: "
                           "apt-get install postgresql-%u",
                           embedded->directory, version, version);
    }
    return problem_set(problem, STATUS_MISSING, "embedded",
                       "no PostgreSQL %d or later found: apt-get install postgresql",
                       POSTGRES_VERSION_LEAST);
}

/* --- the directory ---------------------------------------------------------- */

static enum status directory_give(const struct embedded *embedded, const char *path,
                                  struct problem *problem)
{
    enum status status = file_make_directory(path, 0700, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (embedded->user.is_other && lchown(path, embedded->user.uid, embedded->user.gid) != 0) {
        return problem_set(problem, STATUS_DENIED, "embedded", "cannot give %.200s to user %s",
                           path, embedded->user.name);
    }
    return STATUS_OK;
}

static enum status directory_open(struct embedded *embedded, const char *directory,
                                  struct problem *problem)
{
    enum status status =
        file_make_directory(directory, embedded->user.is_other ? 0711 : 0700, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (realpath(directory, embedded->directory) == NULL ||
        strpbrk(embedded->directory, "\"\\\n") != NULL) {
        return problem_set(problem, STATUS_INVALID, "embedded", "%.200s: not a usable path",
                           directory);
    }
    size_t blocked_size = 0;
    const char *blocked = process_blocked_at(&embedded->user, embedded->directory, &blocked_size);
    if (blocked != NULL) {
        return problem_set(problem, STATUS_DENIED, "embedded",
                           "PostgreSQL runs as user %s, who may not enter %.*s; choose another "
                           "place, for example --embedded /var/lib/shopbell",
                           embedded->user.name, (int)(blocked_size > 160 ? 160 : blocked_size),
                           blocked);
    }
    (void)snprintf(embedded->data, sizeof(embedded->data), "%s/pgdata", embedded->directory);
    (void)snprintf(embedded->log, sizeof(embedded->log), "%s/postgres.log", embedded->directory);
    return STATUS_OK;
}

static bool lock_take(const struct embedded *embedded, bool is_command)
{
    char text[32];
    if (flock(embedded->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return false;
    }
    int size = snprintf(text, sizeof(text), "%ld%s\n", (long)getpid(), is_command ? " -" : "");
    if (ftruncate(embedded->lock_fd, 0) == 0) {
        (void)!pwrite(embedded->lock_fd, text, (size_t)size, 0);
    }
    return true;
}

/* The process that holds the directory; "-" behind it marks a command, which
 * will be gone in a moment. */
static void lock_read(const struct embedded *embedded, char owner[32])
{
    ssize_t size = pread(embedded->lock_fd, owner, 31, 0);
    owner[size > 0 ? size : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
}

/* STATUS_CONFLICT when another process holds the directory. A server waits for
 * a command to end. */
static enum status directory_lock(struct embedded *embedded, bool is_command,
                                  struct problem *problem)
{
    char path[PATH_MAX + 16];
    char owner[32] = "";
    (void)snprintf(path, sizeof(path), "%s/lock", embedded->directory);
    embedded->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (embedded->lock_fd < 0) {
        return problem_set(problem, STATUS_DENIED, "embedded", "cannot open %.200s", path);
    }
    int64_t deadline_ms = clock_monotonic_ms() + COMMAND_MS_MAX;
    for (;;) {
        if (lock_take(embedded, is_command)) {
            return STATUS_OK;
        }
        lock_read(embedded, owner);
        bool is_passing = strchr(owner, '-') != NULL;
        if (is_command || !is_passing || clock_monotonic_ms() > deadline_ms) {
            break;
        }
        sleep_ms(POLL_MS);
    }
    return problem_set(problem, STATUS_CONFLICT, "embedded",
                       "process %.*s already runs the database under %.160s",
                       (int)strspn(owner, "0123456789"), owner, embedded->directory);
}

/* DIR/run, or a private directory under /tmp when that is too long for a
 * socket's address (107 bytes). */
static void socket_directory_choose(struct embedded *embedded)
{
    const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
    char longest[PATH_MAX + 64];
    int size = snprintf(longest, sizeof(longest), "%s/run/.s.PGSQL.%d", embedded->directory,
                        POSTGRES_PORT);
    if (size > 0 && (size_t)size < room) {
        (void)snprintf(embedded->socket_directory, sizeof(embedded->socket_directory), "%s/run",
                       embedded->directory);
        return;
    }
    (void)snprintf(embedded->socket_directory, sizeof(embedded->socket_directory),
                   "/tmp/shopbell-%016llx",
                   (unsigned long long)hash64(str_from_z(embedded->directory), 0));
}

static enum status socket_directory_make(const struct embedded *embedded, struct problem *problem)
{
    enum status status = directory_give(embedded, embedded->socket_directory, problem);
    if (status != STATUS_OK) {
        return status;
    }
    /* Under /tmp someone else may have been first. */
    struct stat found;
    if (lstat(embedded->socket_directory, &found) != 0 || !S_ISDIR(found.st_mode) ||
        found.st_uid != embedded->user.uid || (found.st_mode & 077) != 0) {
        return problem_set(problem, STATUS_DENIED, "embedded",
                           "%.200s must be a directory of mode 0700 that belongs to %s",
                           embedded->socket_directory,
                           embedded->user.is_other ? embedded->user.name : "you");
    }
    return STATUS_OK;
}

static void url_write(struct embedded *embedded)
{
    struct buf url = { .data = embedded->url,
                       .capacity = sizeof(embedded->url) - 1,
                       .max_bytes = sizeof(embedded->url) - 1 };
    buf_add_z(&url, "postgresql:///shopbell?user=shopbell&port=5432&host=");
    for (const char *c = embedded->socket_directory; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) || strchr("/-._~", *c) != NULL) {
            buf_add_char(&url, *c);
        } else {
            buf_printf(&url, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
    assert(!url.failed);
    embedded->url[url.size] = '\0';
}

/* --- what PostgreSQL says ---------------------------------------------------- */

static int log_open(const struct embedded *embedded)
{
    struct stat found;
    if (stat(embedded->log, &found) == 0 && found.st_size > LOG_BYTES_MAX) {
        char old[PATH_MAX + 32];
        (void)snprintf(old, sizeof(old), "%s.1", embedded->log);
        (void)rename(embedded->log, old);
    }
    return open(embedded->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The last line of the log, for a problem's detail. */
static void log_tail(const struct embedded *embedded, char tail[LOG_TAIL_BYTES])
{
    tail[0] = '\0';
    int fd = open(embedded->log, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > LOG_TAIL_BYTES - 1 ? size - (LOG_TAIL_BYTES - 1) : 0;
    ssize_t count = pread(fd, tail, LOG_TAIL_BYTES - 1, from);
    (void)close(fd);
    struct str text = str_trim((struct str){ tail, count > 0 ? (size_t)count : 0 });
    for (struct str head = text; str_split(text, '\n', &head, &text);) {
    }
    memmove(tail, text.data, text.size);
    tail[text.size] = '\0';
}

static enum status refuse_with_log(const struct embedded *embedded, const char *what,
                                   struct problem *problem)
{
    char tail[LOG_TAIL_BYTES];
    log_tail(embedded, tail);
    return problem_set(problem, STATUS_BROKEN, "embedded", "%s: \"%.150s\"; more in %.120s", what,
                       tail, embedded->log);
}

/* --- initdb --------------------------------------------------------------- */

static const char *const child_environment[] = { "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC",
                                                 NULL };

static void tree_remove(const char *path)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    const char *const argv[] = { "/bin/rm", "-rf", "--", path, NULL };
    struct process_user self = { 0 };
    struct process_spec spec = {
        .argv = argv,
        .environment = child_environment,
        .user = &self,
        .output_fd = fd,
    };
    pid_t pid = 0;
    int wait_status = 0;
    if (process_start(&spec, &pid, NULL) == STATUS_OK) {
        (void)process_wait(pid, INITDB_MS_MAX, &wait_status);
    }
    (void)close(fd);
}

static enum status initdb_run(const struct embedded *embedded, const char *data,
                              struct problem *problem)
{
    char program[PATH_MAX + 16];
    (void)snprintf(program, sizeof(program), "%s/initdb", embedded->bin);
    const char *const argv[] = { program,
                                 "--pgdata",
                                 data,
                                 "--username=shopbell",
                                 "--auth=trust",
                                 "--encoding=UTF8",
                                 "--locale=C.UTF-8",
                                 "--locale-provider=libc",
                                 "--data-checksums",
                                 NULL };
    int fd = log_open(embedded);
    if (fd < 0) {
        return problem_set(problem, STATUS_DENIED, "embedded", "cannot write %.200s",
                           embedded->log);
    }
    struct process_spec spec = {
        .argv = argv,
        .environment = child_environment,
        .user = &embedded->user,
        .output_fd = fd,
        .death_signal = SIGTERM,
    };
    pid_t pid = 0;
    enum status status = process_start(&spec, &pid, problem);
    (void)close(fd);
    if (status != STATUS_OK) {
        return status;
    }
    int wait_status = 0;
    if (!process_wait(pid, INITDB_MS_MAX, &wait_status)) {
        (void)kill(pid, SIGTERM);
        (void)process_wait(pid, STOP_MS_MAX, &wait_status);
        return problem_set(problem, STATUS_BROKEN, "embedded", "initdb did not end in time");
    }
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0) {
        return refuse_with_log(embedded, "initdb failed", problem);
    }
    return STATUS_OK;
}

static enum status cluster_ensure(const struct embedded *embedded,
                                  const struct embedded_config *config, struct problem *problem)
{
    if (cluster_version(embedded) > 0) {
        return STATUS_OK;
    }
    struct stat found;
    if (lstat(embedded->data, &found) == 0) {
        return problem_set(problem, STATUS_CONFLICT, "embedded",
                           "%.200s exists but is no PostgreSQL cluster", embedded->data);
    }
    report(config, "making a new PostgreSQL cluster");
    char beside[PATH_MAX + 32];
    (void)snprintf(beside, sizeof(beside), "%s/pgdata.new", embedded->directory);
    tree_remove(beside);
    enum status status = directory_give(embedded, beside, problem);
    if (status == STATUS_OK) {
        status = initdb_run(embedded, beside, problem);
    }
    if (status != STATUS_OK) {
        tree_remove(beside);
        return status;
    }
    if (rename(beside, embedded->data) != 0) {
        return problem_set(problem, STATUS_BROKEN, "embedded", "cannot rename %.200s", beside);
    }
    return STATUS_OK;
}

/* --- postgres --------------------------------------------------------------- */

/* postmaster.pid: the process on line 1, its state on line 8. */
static pid_t postmaster_read(const struct embedded *embedded, char state[16])
{
    char path[PATH_MAX + 32];
    char text[1024];
    (void)snprintf(path, sizeof(path), "%s/postmaster.pid", embedded->data);
    state[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t size = read(fd, text, sizeof(text));
    (void)close(fd);
    struct str rest = { text, size > 0 ? (size_t)size : 0 };
    int64_t pid = 0;
    struct str line = { NULL, 0 };
    for (int number = 1; str_split(rest, '\n', &line, &rest); number++) {
        if (number == 1 && !str_to_i64(str_trim(line), &pid)) {
            return 0;
        }
        if (number == 8) {
            (void)snprintf(state, 16, "%.*s", (int)(line.size > 15 ? 15 : line.size), line.data);
        }
    }
    return pid > 0 && pid < INT_MAX ? (pid_t)pid : 0;
}

static size_t proc_read(pid_t pid, const char *name, char *text, size_t capacity)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t size = read(fd, text, capacity);
    (void)close(fd);
    return size > 0 ? (size_t)size : 0;
}

enum postmaster_verdict {
    POSTMASTER_GONE,
    POSTMASTER_OTHER,
    POSTMASTER_LIVES
};

/* Is this process a PostgreSQL that works in our data directory? Numbers of
 * processes come round again, in containers within a dozen. In doubt it lives:
 * two postmasters on one cluster would destroy it. (/proc/PID/cwd would say it
 * best, but root in a container may not read it.) */
static enum postmaster_verdict postmaster_check(const struct embedded *embedded, pid_t pid)
{
    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return POSTMASTER_GONE;
    }
    char text[PATH_MAX + 256];
    size_t size = proc_read(pid, "stat", text, sizeof(text) - 1);
    text[size] = '\0';
    const char *behind = strrchr(text, ')');
    if (size == 0 || behind == NULL) {
        return size == 0 && kill(pid, 0) != 0 ? POSTMASTER_GONE : POSTMASTER_LIVES;
    }
    if (strncmp(behind, ") Z", 3) == 0) {
        return POSTMASTER_GONE;
    }
    if (strstr(text, "(postgres)") == NULL) {
        return POSTMASTER_OTHER;
    }
    size = proc_read(pid, "cmdline", text, sizeof(text) - 1);
    text[size] = '\0';
    for (size_t i = 0; i < size; i += strlen(text + i) + 1) {
        if (strcmp(text + i, embedded->data) == 0) {
            return POSTMASTER_LIVES;
        }
    }
    /* Another cluster's server names its own directory. */
    return size > 0 && strstr(text, "postgres") != NULL ? POSTMASTER_OTHER : POSTMASTER_LIVES;
}

/* Left by a process of ours that was killed: it is stopping by itself. */
static enum status orphan_wait(const struct embedded *embedded,
                               const struct embedded_config *config, struct problem *problem)
{
    char state[16];
    pid_t pid = postmaster_read(embedded, state);
    if (pid == 0) {
        return STATUS_OK;
    }
    enum postmaster_verdict verdict = postmaster_check(embedded, pid);
    if (verdict == POSTMASTER_GONE) {
        return STATUS_OK; /* PostgreSQL removes the file itself */
    }
    if (verdict == POSTMASTER_OTHER) {
        char path[PATH_MAX + 32];
        (void)snprintf(path, sizeof(path), "%s/postmaster.pid", embedded->data);
        (void)unlink(path);
        return STATUS_OK;
    }
    report(config, "waiting for the PostgreSQL of an earlier run to end");
    (void)kill(pid, SIGINT);
    int64_t deadline_ms = clock_monotonic_ms() + ORPHAN_MS_MAX;
    while (postmaster_check(embedded, pid) == POSTMASTER_LIVES) {
        if (clock_monotonic_ms() > deadline_ms) {
            return problem_set(problem, STATUS_CONFLICT, "embedded",
                               "PostgreSQL process %ld still works in %.160s", (long)pid,
                               embedded->data);
        }
        sleep_ms(POLL_MS);
    }
    return STATUS_OK;
}

/* Two of the settings are for the slowest answers. A new file of the log
 * is filled with zeros while every commit waits: 16 MiB, up to 50 ms, and at
 * 1,000 webhooks a second one such pause in 1.5 s. So a new file is not filled
 * (its blocks come with the commits, a fifth of a millisecond each), and the
 * files of a busy day are kept for the next one, which costs neither. */
static enum status postgres_start(struct embedded *embedded, struct problem *problem)
{
    char program[PATH_MAX + 16];
    char sockets[PATH_MAX + 64];
    (void)snprintf(program, sizeof(program), "%s/postgres", embedded->bin);
    (void)snprintf(sockets, sizeof(sockets), "unix_socket_directories=\"%s\"",
                   embedded->socket_directory);
    char buffers[64];
    (void)snprintf(buffers, sizeof(buffers), "shared_buffers=%uMB",
                   memory_shared_buffers_mib(memory_available("")));
    const char *const argv[] = { program,
                                 "-D",
                                 embedded->data,
                                 "-c",
                                 "listen_addresses=",
                                 "-c",
                                 sockets,
                                 "-c",
                                 "unix_socket_permissions=0700",
                                 "-c",
                                 "port=5432",
                                 "-c",
                                 buffers,
                                 "-c",
                                 "max_wal_size=2GB",
                                 "-c",
                                 "min_wal_size=1GB",
                                 "-c",
                                 "wal_init_zero=off",
                                 "-c",
                                 "wal_compression=lz4",
                                 "-c",
                                 "max_connections=100",
                                 "-c",
                                 "jit=off",
                                 "-c",
                                 "fsync=on",
                                 "-c",
                                 "synchronous_commit=on",
                                 "-c",
                                 "full_page_writes=on",
                                 "-c",
                                 "logging_collector=off",
                                 "-c",
                                 "cluster_name=shopbell",
                                 NULL };
    int fd = log_open(embedded);
    if (fd < 0) {
        return problem_set(problem, STATUS_DENIED, "embedded", "cannot write %.200s",
                           embedded->log);
    }
    struct process_spec spec = {
        .argv = argv,
        .environment = child_environment,
        .user = &embedded->user,
        .output_fd = fd,
        .death_signal = SIGINT,
    };
    enum status status = process_start(&spec, &embedded->pid, problem);
    (void)close(fd);
    return status;
}

static enum status postgres_await(struct embedded *embedded, const struct embedded_config *config,
                                  struct problem *problem)
{
    int64_t started_ms = clock_monotonic_ms();
    int64_t reported_ms = started_ms;
    for (;;) {
        char state[16];
        int wait_status = 0;
        if (postmaster_read(embedded, state) == embedded->pid &&
            str_starts_with(str_from_z(state), STR("ready"))) {
            return STATUS_OK;
        }
        if (process_wait(embedded->pid, 0, &wait_status)) {
            embedded->pid = 0;
            return refuse_with_log(embedded, "PostgreSQL did not start", problem);
        }
        int64_t now_ms = clock_monotonic_ms();
        if (now_ms - started_ms > START_MS_MAX) {
            return refuse_with_log(embedded, "PostgreSQL is not ready after ten minutes", problem);
        }
        if (now_ms - reported_ms > REPORT_EVERY_MS) {
            report(config, "PostgreSQL is recovering from an unclean stop");
            reported_ms = now_ms;
        }
        sleep_ms(POLL_MS);
    }
}

static void pg_close_at(struct pg **pg)
{
    pg_close(*pg);
}

/* The URL names database "shopbell": the same with "postgres" makes it. */
static enum status database_ensure(const struct embedded *embedded, struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(EMBEDDED_ARENA_BYTES);
    static const struct pg_statement find = {
        .name = "embedded_database_find",
        .sql = "SELECT 1 FROM pg_database WHERE datname = 'shopbell'",
    };
    char url[sizeof(embedded->url) + 16];
    (void)snprintf(url, sizeof(url), "postgresql:///postgres%s",
                   embedded->url + strlen("postgresql:///shopbell"));
    CLEANUP(pg_close_at) struct pg *pg = NULL;
    enum status status = pg_open(url, false, &pg);
    if (arena == NULL || status != STATUS_OK) {
        return problem_set(problem, STATUS_BROKEN, "embedded", "no memory");
    }
    for (int i = 0; i < CONNECT_TRIES; i++) {
        status = pg_connect(pg, problem);
        if (status != STATUS_RETRY) {
            break;
        }
        sleep_ms(POLL_MS);
    }
    struct pg_result *result = NULL;
    if (status == STATUS_OK) {
        status = pg_run(pg, arena, &find, NULL, &result, problem);
    }
    if (status == STATUS_OK && pg_row_count(result) == 0) {
        status = pg_script(pg, "CREATE DATABASE shopbell", problem);
    }
    return status;
}

static enum status start_own(struct embedded *embedded, const struct embedded_config *config,
                             struct problem *problem)
{
    embedded->is_ours = true;
    enum status status = programs_find(embedded, problem);
    if (status == STATUS_OK) {
        status = cluster_ensure(embedded, config, problem);
    }
    if (status == STATUS_OK) {
        status = orphan_wait(embedded, config, problem);
    }
    if (status == STATUS_OK) {
        status = socket_directory_make(embedded, problem);
    }
    if (status == STATUS_OK) {
        status = postgres_start(embedded, problem);
    }
    if (status == STATUS_OK) {
        status = postgres_await(embedded, config, problem);
    }
    return status == STATUS_OK ? database_ensure(embedded, problem) : status;
}

enum status embedded_start(const struct embedded_config *config, struct embedded **out_embedded,
                           struct problem *problem)
{
    struct embedded *embedded = calloc(1, sizeof(*embedded));
    if (embedded == NULL) {
        return problem_set(problem, STATUS_BROKEN, "embedded", "no memory");
    }
    embedded->lock_fd = -1;
    enum status status = process_user_find(&embedded->user, problem);
    if (status == STATUS_OK) {
        status = directory_open(embedded, config->directory, problem);
    }
    if (status == STATUS_OK) {
        socket_directory_choose(embedded);
        url_write(embedded);
        status = directory_lock(embedded, config->may_join, problem);
        if (status == STATUS_OK) {
            status = start_own(embedded, config, problem);
        } else if (status == STATUS_CONFLICT && config->may_join) {
            status = STATUS_OK;
        }
    }
    if (status != STATUS_OK) {
        embedded_stop(embedded);
        return status;
    }
    *out_embedded = embedded;
    return STATUS_OK;
}

const char *embedded_database_url(const struct embedded *embedded)
{
    return embedded->url;
}

const char *embedded_directory(const struct embedded *embedded)
{
    return embedded->directory;
}

bool embedded_is_running(struct embedded *embedded)
{
    int wait_status = 0;
    if (!embedded->is_ours) {
        return true;
    }
    if (embedded->pid > 0 && process_wait(embedded->pid, 0, &wait_status)) {
        embedded->pid = 0;
    }
    return embedded->pid > 0;
}

void embedded_stop(struct embedded *embedded)
{
    if (embedded == NULL) {
        return;
    }
    int wait_status = 0;
    if (embedded->pid > 0 && kill(embedded->pid, SIGINT) == 0 &&
        !process_wait(embedded->pid, STOP_MS_MAX, &wait_status)) {
        (void)kill(embedded->pid, SIGQUIT);
        (void)process_wait(embedded->pid, STOP_MS_MAX, &wait_status);
    }
    if (embedded->is_ours && strncmp(embedded->socket_directory, "/tmp/", 5) == 0) {
        (void)rmdir(embedded->socket_directory);
    }
    if (embedded->lock_fd >= 0) {
        (void)close(embedded->lock_fd);
    }
    free(embedded);
}
