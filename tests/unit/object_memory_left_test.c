/* SPDX-License-Identifier: MIT */
/*
 * How much memory is left by what the kernel says, which is written into a directory here: the
 * machine's, the limits of control groups, what is missing, what makes no sense.
 */
#include "object_test.h"

#include <sys/stat.h>

#include "object/memory_left.h"

#define MIB (UINT64_C(1) << 20)

static void make_directory(const char *name)
{
    char path[200];

    (void)snprintf(path, sizeof(path), "%s%s", object_test_dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_file(const char *name, const char *text)
{
    char path[200];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s%s", object_test_dir, name);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    int rc = object_test_setup(state);

    make_directory("/proc");
    make_directory("/proc/self");
    make_directory("/sys");
    make_directory("/sys/fs");
    make_directory("/sys/fs/cgroup");
    make_directory("/sys/fs/cgroup/a");
    make_directory("/sys/fs/cgroup/a/b");
    return rc;
}

static void assert_left(uint64_t mib)
{
    assert_int_equal(mbr__memory_left(object_test_dir), mib == UINT64_MAX ? mib : mib * MIB);
}

static void machine(void **state)
{
    (void)state;
    assert_left(UINT64_MAX); /* there is no such file */
    make_file("/proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:\n");
    assert_left(UINT64_MAX);
    make_file("/proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:   1048576 kB\nBuffers: 1 kB\n");
    assert_left(1024);
    make_file("/proc/meminfo", "MemAvailable: 99999999999999999999999 kB\n");
    assert_left(UINT64_MAX);
}

static void group(void **state)
{
    (void)state;
    make_file("/proc/meminfo", "MemAvailable: 1048576 kB\n");
    make_file("/proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n");
    assert_left(1024); /* the group has no such files */
    make_file("/sys/fs/cgroup/a/b/memory.max", "max\n");
    make_file("/sys/fs/cgroup/a/b/memory.current", "104857600\n");
    assert_left(1024);
    make_file("/sys/fs/cgroup/a/b/memory.max", "524288000\n");
    assert_left(400);
    make_file("/sys/fs/cgroup/a/b/memory.stat",
              "anon 1\nfile 62914560\ninactive_file 31457280\nactive_file 20971520\n");
    assert_left(450);
    make_file("/sys/fs/cgroup/a/b/memory.current", "924288000\n");
    make_file("/sys/fs/cgroup/a/b/memory.stat", "");
    assert_left(0); /* over it already */
    make_file("/sys/fs/cgroup/a/b/memory.current", "nonsense\n");
    assert_left(1024);
}

static void groups_above_count(void **state)
{
    (void)state;
    make_file("/proc/meminfo", "MemAvailable: 1048576 kB\n");
    make_file("/proc/self/cgroup", "0::/a/b\n");
    make_file("/sys/fs/cgroup/a/b/memory.max", "524288000\n");
    make_file("/sys/fs/cgroup/a/b/memory.current", "0\n");
    make_file("/sys/fs/cgroup/a/memory.max", "314572800\n");
    make_file("/sys/fs/cgroup/a/memory.current", "104857600\n");
    assert_left(200);
    make_file("/sys/fs/cgroup/memory.max", "104857600\n"); /* a container's own topmost one */
    make_file("/sys/fs/cgroup/memory.current", "1048576\n");
    assert_left(99);
    make_file("/proc/self/cgroup", "0::/\n");
    assert_left(99);
    make_file("/proc/self/cgroup", "0::/../../elsewhere\n");
    assert_left(1024);
    make_file("/proc/self/cgroup", "4:cpu:/a\n");
    assert_left(1024);
}

static void groups_of_the_first_kind(void **state)
{
    (void)state;
    make_directory("/sys/fs/cgroup/memory");
    make_directory("/sys/fs/cgroup/memory/x");
    make_file("/proc/meminfo", "MemAvailable: 1048576 kB\n");
    make_file("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,cpuset:/y\n3:memory:/x\n0::/\n");
    make_file("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "524288000\n");
    make_file("/sys/fs/cgroup/memory/x/memory.usage_in_bytes", "209715200\n");
    make_file("/sys/fs/cgroup/memory/x/memory.stat",
              "inactive_file 1\ntotal_inactive_file 104857600\ntotal_active_file 0\n");
    make_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    make_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "304857600\n");
    assert_left(400);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, object_test_teardown)
    const struct CMUnitTest tests[] = {T(machine), T(group), T(groups_above_count),
                                       T(groups_of_the_first_kind)};

    return cmocka_run_group_tests_name("object_memory_left", tests, NULL, NULL);
}
