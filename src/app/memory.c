#include "app/memory.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

/*
 * Problem: a container's process sees the whole machine in /proc/meminfo and is
 * killed at its own limit.
 *
 * Invariant: the answer is the least of MemTotal and of every limit on the way
 * from our control group to the root, under version 2 (memory.max) and version 1
 * (memory.limit_in_bytes). A group of the host's that is not in sight here is
 * passed over: what limits a container is mounted at the root of its view.
 */

enum {
    TEXT_SIZE = 4096,
    BUFFERS_MIB_MIN = 128,
    BUFFERS_MIB_MAX = 2048,
};

static struct str text_read(const char *path, char text[TEXT_SIZE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return (struct str){ NULL, 0 };
    }
    ssize_t size = read(fd, text, TEXT_SIZE);
    (void)close(fd);
    return (struct str){ text, size > 0 ? (size_t)size : 0 };
}

/* "max", and what version 1 says in its place, are no limit. */
static int64_t limit_read(const char *path)
{
    char text[TEXT_SIZE];
    int64_t bytes = 0;
    return str_to_i64(str_trim(text_read(path, text)), &bytes) && bytes > 0 ? bytes : INT64_MAX;
}

static int64_t machine_bytes(const char *root)
{
    char path[PATH_MAX];
    char text[TEXT_SIZE];
    (void)snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    struct str rest = text_read(path, text);
    struct str line = { NULL, 0 };
    while (str_split(rest, '\n', &line, &rest)) {
        struct str name = { NULL, 0 };
        struct str value = { NULL, 0 }; /* "16318488 kB" */
        struct str unit = { NULL, 0 };
        int64_t kib = 0;
        if (str_split(line, ':', &name, &value) && str_equal_z(name, "MemTotal") &&
            str_split(str_trim(value), ' ', &value, &unit) && str_to_i64(value, &kib)) {
            return kib > 0 && kib < INT64_MAX / 1024 ? kib * 1024 : INT64_MAX;
        }
    }
    return INT64_MAX;
}

/* The least limit of a group and of those above it. */
static int64_t group_bytes(const char *root, const char *mount, struct str group, const char *file)
{
    int64_t least = INT64_MAX;
    for (;;) {
        char path[PATH_MAX];
        while (group.size > 0 && group.data[group.size - 1] == '/') {
            group.size--;
        }
        (void)snprintf(path, sizeof(path), "%s%s%.*s/%s", root, mount, STR_ARG(group), file);
        int64_t bytes = limit_read(path);
        least = bytes < least ? bytes : least;
        if (group.size == 0) {
            return least;
        }
        while (group.size > 0 && group.data[group.size - 1] != '/') {
            group.size--;
        }
    }
}

static bool has_controller(struct str controllers, const char *wanted)
{
    struct str one = controllers;
    while (str_split(controllers, ',', &one, &controllers)) {
        if (str_equal_z(one, wanted)) {
            return true;
        }
    }
    return str_equal_z(controllers, wanted);
}

static int64_t groups_bytes(const char *root)
{
    char path[PATH_MAX];
    char text[TEXT_SIZE];
    int64_t least = INT64_MAX;
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    struct str rest = text_read(path, text);
    struct str line = { NULL, 0 };
    while (str_split(rest, '\n', &line, &rest)) { /* hierarchy:controllers:group */
        struct str number = { NULL, 0 };
        struct str controllers = { NULL, 0 };
        struct str group = { NULL, 0 };
        int64_t bytes = INT64_MAX;
        if (!str_split(line, ':', &number, &group) ||
            !str_split(group, ':', &controllers, &group)) {
            continue;
        }
        if (controllers.size == 0) {
            bytes = group_bytes(root, "/sys/fs/cgroup", group, "memory.max");
        } else if (has_controller(controllers, "memory")) {
            bytes = group_bytes(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
        }
        least = bytes < least ? bytes : least;
    }
    return least;
}

int64_t memory_available(const char *root)
{
    int64_t machine = machine_bytes(root);
    int64_t groups = groups_bytes(root);
    int64_t least = machine < groups ? machine : groups;
    return least == INT64_MAX ? 0 : least;
}

unsigned memory_shared_buffers_mib(int64_t available_bytes)
{
    int64_t quarter_mib = available_bytes / 4 / (1024 * 1024);
    if (quarter_mib < BUFFERS_MIB_MIN) {
        return BUFFERS_MIB_MIN;
    }
    return quarter_mib > BUFFERS_MIB_MAX ? BUFFERS_MIB_MAX : (unsigned)quarter_mib;
}
