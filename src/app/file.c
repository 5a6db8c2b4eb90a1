#include "app/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"

/*
 * Problem: a key file that is half written, or a configuration replaced while
 * someone reads it, costs more than the file is worth. Invariant: a path holds
 * either what was there before or all of the new text. So creation is
 * exclusive and removes what it could not finish, and replacement goes by
 * rename. Rejected: stdio, which hides when the data reaches the disk.
 */

static void close_at(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

static enum status refuse(struct problem *problem, const char *verb, const char *path)
{
    int code = errno;
    enum status status = STATUS_BROKEN;
    if (code == ENOENT) {
        status = STATUS_MISSING;
    } else if (code == EEXIST) {
        status = STATUS_CONFLICT;
    } else if (code == EACCES || code == EPERM) {
        status = STATUS_DENIED;
    }
    char reason[96] = "";
    if (strerror_r(code, reason, sizeof(reason)) != 0) {
        (void)snprintf(reason, sizeof(reason), "error %d", code);
    }
    return problem_set(problem, status, "file", "cannot %s %.160s: %s", verb, path, reason);
}

enum status file_read_from(struct arena *arena, int fd, const char *name, size_t max_bytes,
                           struct str *out_text, struct problem *problem)
{
    char *data = arena_alloc(arena, max_bytes + 2);
    if (data == NULL) {
        return problem_set(problem, STATUS_LIMIT, "file", "no memory to read %.160s", name);
    }
    size_t size = 0;
    while (size <= max_bytes) {
        ssize_t count = read(fd, data + size, max_bytes + 1 - size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return refuse(problem, "read", name);
        }
        if (count == 0) {
            data[size] = '\0';
            *out_text = (struct str){ data, size };
            return STATUS_OK;
        }
        size += (size_t)count;
    }
    return problem_set(problem, STATUS_LIMIT, "file", "%.160s is larger than %zu bytes", name,
                       max_bytes);
}

enum status file_read(struct arena *arena, const char *path, size_t max_bytes, struct str *out_text,
                      struct problem *problem)
{
    CLEANUP(close_at) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return refuse(problem, "read", path);
    }
    return file_read_from(arena, fd, path, max_bytes, out_text, problem);
}

enum status file_read_or_stdin(struct arena *arena, const char *path, size_t max_bytes,
                               struct str *out_text, struct problem *problem)
{
    return strcmp(path, "-") == 0
               ? file_read_from(arena, STDIN_FILENO, "stdin", max_bytes, out_text, problem)
               : file_read(arena, path, max_bytes, out_text, problem);
}

static bool write_all(int fd, struct str text)
{
    while (text.size > 0) {
        ssize_t count = write(fd, text.data, text.size);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        text = str_drop(text, count > 0 ? (size_t)count : 0);
    }
    return fsync(fd) == 0;
}

enum status file_create(const char *path, mode_t mode, struct str text, struct problem *problem)
{
    CLEANUP(close_at) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return refuse(problem, "create", path);
    }
    if (fchmod(fd, mode) != 0 || !write_all(fd, text)) {
        enum status status = refuse(problem, "write", path);
        (void)unlink(path);
        return status;
    }
    return STATUS_OK;
}

enum status file_replace(const char *path, mode_t mode, struct str text, struct problem *problem)
{
    char beside[PATH_MAX];
    int size = snprintf(beside, sizeof(beside), "%s.new", path);
    if (size < 0 || (size_t)size >= sizeof(beside)) {
        errno = ENAMETOOLONG;
        return refuse(problem, "write", path);
    }
    (void)unlink(beside);
    enum status status = file_create(beside, mode, text, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return rename(beside, path) == 0 ? STATUS_OK : refuse(problem, "replace", path);
}

enum status file_make_directory(const char *path, mode_t mode, struct problem *problem)
{
    char partial[PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(partial)) {
        errno = ENAMETOOLONG;
        return refuse(problem, "create", path);
    }
    memcpy(partial, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (partial[i] != '/' && partial[i] != '\0') {
            continue;
        }
        char kept = partial[i];
        partial[i] = '\0';
        if (mkdir(partial, mode) != 0 && errno != EEXIST) {
            return refuse(problem, "create", partial);
        }
        partial[i] = kept;
    }
    struct stat found;
    if (stat(path, &found) != 0) {
        return refuse(problem, "open", path);
    }
    if (!S_ISDIR(found.st_mode)) {
        errno = ENOTDIR;
        return refuse(problem, "open", path);
    }
    return STATUS_OK;
}
