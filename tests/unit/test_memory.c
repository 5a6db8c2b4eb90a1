#include <sys/stat.h>
#include <unistd.h>

#include "app/file.h"
#include "app/memory.h"
#include "unit.h"

/* A machine of 16 GiB under each kind of limit, as its /proc and /sys say it. */

#define GIB (INT64_C(1024) * 1024 * 1024)

static char root[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/test_memory.XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test's own directory */
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[256];
    struct problem problem = { .detail = "" };
    (void)snprintf(path, sizeof(path), "%s%s", root, directory);
    assert_int_equal(file_make_directory(path, 0755, &problem), STATUS_OK);
    (void)snprintf(path, sizeof(path), "%s%s/%s", root, directory, name);
    assert_int_equal(file_replace(path, 0644, str_from_z(text), &problem), STATUS_OK);
}

static void the_least_limit_counts(void **state)
{
    (void)state;
    assert_int_equal(memory_available(root), 0);
    write_file("/proc", "meminfo", "MemTotal:       16777216 kB\nMemFree:         1 kB\n");
    assert_int_equal(memory_available(root), 16 * GIB);

    write_file("/proc/self", "cgroup", "0::/system.slice/shopbell.service\n");
    write_file("/sys/fs/cgroup/system.slice/shopbell.service", "memory.max", "max\n");
    assert_int_equal(memory_available(root), 16 * GIB);
    write_file("/sys/fs/cgroup/system.slice", "memory.max", "4294967296\n");
    assert_int_equal(memory_available(root), 4 * GIB);
    write_file("/sys/fs/cgroup/system.slice/shopbell.service", "memory.max", "1073741824\n");
    assert_int_equal(memory_available(root), 1 * GIB);
    write_file("/sys/fs/cgroup", "memory.max", "536870912\n"); /* a container's own root */
    assert_int_equal(memory_available(root), GIB / 2);
}

static void version_1_too(void **state)
{
    (void)state;
    write_file("/proc/self", "cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n");
    write_file("/sys/fs/cgroup", "memory.max", "max\n");
    write_file("/sys/fs/cgroup/memory/docker/abc", "memory.limit_in_bytes",
               "9223372036854771712\n");
    assert_int_equal(memory_available(root), 16 * GIB);
    write_file("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "2147483648\n");
    assert_int_equal(memory_available(root), 2 * GIB);
}

static void a_quarter_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(memory_shared_buffers_mib(0), 128);
    assert_int_equal(memory_shared_buffers_mib(GIB / 4), 128);
    assert_int_equal(memory_shared_buffers_mib(2 * GIB), 512);
    assert_int_equal(memory_shared_buffers_mib(256 * GIB), 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_limit_counts),
        cmocka_unit_test(version_1_too),
        cmocka_unit_test(a_quarter_within_bounds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
