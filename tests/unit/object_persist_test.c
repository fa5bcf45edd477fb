/* SPDX-License-Identifier: MIT */
/*
 * Persistent containers by operation and error: what is there when the last member has left and the
 * directory is taken anew, what is not, who may have it, damage, several members, failing writes.
 */
#include "object_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "no_sync.h"
#include "object/disk_state.h"

#define BLOCK MBR_OBJECT_BLOCK

static char where[96];  /* the directory of the container */
static int failing;     /* calls until pwrite() fails; 0 never */
static int dying;       /* the process dies: 1 before the next pwrite(), 2 after it */
static int blocks_read; /* since it was set to 0 */
static char *buffer;    /* 3 blocks */

ssize_t __real_pread(int fd, void *buf, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t n, off_t at);
ssize_t __real_pwrite(int fd, const void *buf, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t n, off_t at);

ssize_t __wrap_pread(int fd, void *buf, size_t n, off_t at)
{
    blocks_read += n == BLOCK;
    return __real_pread(fd, buf, n, at);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t n, off_t at)
{
    if (failing > 0 && --failing == 0) {
        errno = ENOSPC;
        return -1;
    }
    if (dying == 2)
        (void)__real_pwrite(fd, buf, n, at);
    if (dying != 0)
        (void)kill(getpid(), SIGKILL);
    return __real_pwrite(fd, buf, n, at);
}

static int setup(void **state)
{
    int rc = object_test_setup(state);

    (void)snprintf(where, sizeof(where), "%s/disk", object_test_dir);
    buffer = calloc(3, BLOCK);
    return rc == 0 && buffer != NULL ? mkdir(where, 0700) : -1;
}

static int teardown(void **state)
{
    free(buffer);
    return object_test_teardown(state);
}

static int make(const char *name, uint32_t flags)
{
    struct mbr_container_options o = {.size = sizeof(o), .flags = flags, .directory = where};

    return mbr_container_create_with(name, -1, &o);
}

/* The directory anew, after all have left. */
static int again(int container)
{
    assert_int_equal(mbr_container_leave(container), 0);
    container = make("c", 0);
    assert_true(container >= 0);
    return container;
}

static void fill(char seed, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = (char)(seed + (char)(i % 251));
}

static void assert_bytes(int object, char seed, size_t size)
{
    static char is[3 * BLOCK];

    assert_int_equal(mbr_object_read(object, 0, is, size), 0);
    fill(seed, size);
    assert_memory_equal(is, buffer, size);
}

static void write_all(int object, char seed, size_t size)
{
    fill(seed, size);
    assert_int_equal(mbr_object_write(object, 0, buffer, size), 0);
}

/* ---- what stays ------------------------------------------------------------------------------ */

static void synced_bytes_stay(void **state)
{
    size_t size = 2 * BLOCK + 777;
    struct mbr_container_attr attr;
    int c = make("c", MBR_CONTAINER_CHECKSUMS);
    int o = mbr_object_create(c, "o", size);

    assert_int_equal(c, 0);
    assert_int_equal(o, 0);
    assert_int_equal(mbr_container_getattr(c, &attr), 0);
    assert_int_equal(attr.flags, MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_CHECKSUMS);
    write_all(o, 1, size);
    assert_int_equal(mbr_object_sync(o), 0);
    assert_int_equal(mbr_object_sync(o), 0);
    c = again(c);
    assert_int_equal(mbr_container_getattr(c, &attr), 0);
    assert_int_equal(attr.objects, 1);
    assert_int_equal(attr.flags, MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_CHECKSUMS);
    o = mbr_object_join(c, "o");
    assert_int_equal(o, 0);
    assert_bytes(o, 1, size);

    /* Not synced: gone. Synced through a pointer: there. */
    char *p;
    int access;

    write_all(o, 2, size);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_bytes(o, 1, size);
    access = mbr_object_get(o, BLOCK, 2, &p);
    assert_true(access >= 0);
    p[1] = 'x';
    assert_int_equal(mbr_object_put(access), 0);
    assert_int_equal(mbr_object_sync(o), 0);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(mbr_object_read(o, BLOCK + 1, buffer, 1), 0);
    assert_int_equal(buffer[0], 'x');
    assert_int_equal(mbr_container_leave(c), 0);
}

static void names_and_sizes_stay(void **state)
{
    char name[MBR_OBJECT_NAME_MAX + 1];
    struct mbr_object_attr attr;
    uint64_t cursor = 0;
    int c = make("c", 0);
    int a = mbr_object_create(c, "a", 100);
    int b = mbr_object_create(c, "b", BLOCK);

    assert_int_equal(mbr_object_create(c, "doomed", 5), 2);
    write_all(b, 9, BLOCK);
    assert_int_equal(mbr_object_sync(b), 0);
    assert_int_equal(mbr_object_rename(a, "alpha"), 0);
    assert_int_equal(mbr_object_rename(a, "b"), -EEXIST);
    assert_int_equal(mbr_object_resize(b, 10), 0);
    assert_int_equal(mbr_object_resize(b, 2 * BLOCK), 0);
    assert_int_equal(mbr_object_unlink(c, "doomed"), 0);
    assert_int_equal(mbr_object_sync(2), 0); /* it has no name: nothing to do */
    assert_int_equal(mbr_object_resize(2, 6), 0);
    c = again(c);
    assert_int_equal(mbr_container_list(c, &cursor, name), 1);
    assert_int_equal(mbr_container_list(c, &cursor, name), 1);
    assert_int_equal(mbr_container_list(c, &cursor, name), 0);
    a = mbr_object_join(c, "alpha");
    assert_int_equal(mbr_object_getattr(a, &attr), 0);
    assert_int_equal(attr.size, 100);
    b = mbr_object_join(c, "b");
    assert_int_equal(mbr_object_getattr(b, &attr), 0);
    assert_int_equal(attr.size, 2 * BLOCK);
    assert_int_equal(mbr_object_read(b, 0, buffer, 12), 0);
    assert_int_equal(buffer[9], 9 + 9);
    assert_int_equal(buffer[10], 0);
    assert_int_equal(mbr_object_unlink(c, "alpha"), 0);
    assert_int_equal(mbr_object_destroy(b), 0);
    c = again(c);
    cursor = 0;
    assert_int_equal(mbr_container_list(c, &cursor, name), 0);
    assert_int_equal(mbr_object_create(c, "b", 1), 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void versions_stay(void **state)
{
    size_t size = BLOCK + 500;
    struct mbr_object_attr attr;
    int c = make("c", MBR_CONTAINER_CHECKSUMS);
    int o = mbr_object_create_with(c, "o", size, MBR_WRITE_VERSIONED);

    assert_int_equal(o, 0);
    for (char seed = 1; seed < 5; seed++) {
        write_all(o, seed, size);
        assert_int_equal(mbr_object_sync(o), 0);
    }
    write_all(o, 9, size);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(o, 0);
    assert_bytes(o, 4, size);
    assert_int_equal(mbr_object_getattr(o, &attr), 0);
    assert_int_equal(attr.policy, MBR_WRITE_VERSIONED);
    write_all(o, 5, size);
    assert_int_equal(mbr_object_resize(o, 100), 0);
    assert_int_equal(mbr_object_sync(o), 0);
    assert_int_equal(mbr_object_resize(o, 2 * BLOCK), 0);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_bytes(o, 5, 100);
    assert_int_equal(mbr_object_read(o, 100, buffer, 2 * BLOCK - 100), 0);
    assert_int_equal(buffer[0], 0);
    failing = 1;
    assert_int_equal(mbr_object_resize(o, 7), -ENOSPC);
    failing = 0;
    assert_int_equal(mbr_object_getattr(o, &attr), 0);
    assert_int_equal(attr.size, 2 * BLOCK);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void never_joined_can_be_unlinked(void **state)
{
    int c = make("c", 0);
    int o = mbr_object_create(c, "o", 100);

    write_all(o, 3, 100);
    assert_int_equal(mbr_object_sync(o), 0);
    c = again(c);
    assert_int_equal(mbr_object_unlink(c, "o"), 0);
    o = mbr_object_create(c, "o", 100);
    assert_int_equal(mbr_object_read(o, 0, buffer, 100), 0);
    assert_int_equal(buffer[5], 0);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(mbr_object_read(o, 0, buffer, 100), 0);
    assert_int_equal(buffer[5], 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void destroying_removes_the_files(void **state)
{
    int c = make("c", 0);

    assert_int_equal(mbr_object_create(c, "o", 100), 0);
    assert_int_equal(mbr_object_leave(0), 0);
    assert_int_equal(mbr_container_destroy(c), 0);
    assert_int_equal(rmdir(where), 0);
    assert_int_equal(mkdir(where, 0700), 0);
    c = make("c", 0);
    assert_int_equal(mbr_object_join(c, "o"), -ENOENT);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* ---- who may have it ------------------------------------------------------------------------- */

static void refuses_bad_options(void **state)
{
    struct mbr_container_options o = {.size = sizeof(o), .directory = "/nowhere/at/all"};
    char file[128];

    assert_int_equal(mbr_container_create_with("c", -1, &o), -ENOENT);
    o.directory = "";
    assert_int_equal(mbr_container_create_with("c", -1, &o), -ENOENT);
    o.directory = "/dev/null";
    assert_int_equal(mbr_container_create_with("c", -1, &o), -ENOTDIR);
    o.directory = where;
    o.flags = MBR_CONTAINER_KEPT;
    assert_int_equal(mbr_container_create_with("c", -1, &o), -EOPNOTSUPP);
    o.flags = 0;
    assert_int_equal(mbr_container_create_with("c", (int)getgid(), &o), -EOPNOTSUPP);
    (void)snprintf(file, sizeof(file), "%s/letter", where);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(make("c", 0), -ENOTEMPTY);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(object_test_count_links(), 1); /* the directory itself */
    assert_int_equal(mbr_object_sync(0), -EBADF);
    assert_int_equal(mbr_container_create("v", -1), 0);
    assert_int_equal(mbr_object_create(0, "o", 1), 0);
    assert_int_equal(mbr_object_sync(0), -EOPNOTSUPP);
    assert_int_equal(mbr_container_leave(0), 0);
}

static int child_is_refused(void *arg)
{
    (void)arg;
    CHILD(make("other", 0) == -EEXIST);
    CHILD(make("c", 0) == -EEXIST);
    return 0;
}

static int child_changes(void *arg)
{
    int c = mbr_container_join("c");
    int o = mbr_object_join(c, "o");

    (void)arg;
    CHILD(c == 0 && o == 0);
    CHILD(mbr_object_read(o, 0, buffer, 2) == 0 && buffer[0] == 4);
    CHILD(mbr_object_write(o, 0, "!", 1) == 0);
    CHILD(mbr_object_sync(o) == 0);
    CHILD(mbr_object_create(c, "by child", 10) == 1);
    CHILD(mbr_object_resize(o, 50) == 0);
    return mbr_container_leave(c);
}

static void members_share_the_directory(void **state)
{
    int c = make("c", 0);
    int o = mbr_object_create(c, "o", 100);

    write_all(o, 4, 100);
    assert_int_equal(object_test_wait(object_test_child(child_is_refused, NULL)), 0);
    assert_int_equal(object_test_wait(object_test_child(child_changes, NULL)), 0);
    assert_int_equal(mbr_object_create(c, "by parent", 10), 1);
    c = again(c);
    assert_int_equal(mbr_object_join(c, "by child"), 0);
    assert_int_equal(mbr_object_join(c, "by parent"), 1);
    o = mbr_object_join(c, "o");
    assert_int_equal(mbr_object_read(o, 0, buffer, 51), -ERANGE);
    assert_int_equal(mbr_object_read(o, 0, buffer, 50), 0);
    assert_int_equal(buffer[0], '!');
    assert_int_equal(buffer[1], 5);
    assert_int_equal(mbr_container_leave(c), 0);
}

#define CREATED 300

static int child_creates(void *arg)
{
    int c = mbr_container_join("c");
    char name[32];

    CHILD(c >= 0);
    for (int i = 0; i < CREATED; i++) {
        int o;

        (void)snprintf(name, sizeof(name), "%s %d", (const char *)arg, i);
        o = mbr_object_create(c, name, 10);
        CHILD(o >= 0);
        CHILD(mbr_object_leave(o) == 0);
    }
    return mbr_container_leave(c);
}

/* Who has begun later may come to the disk first. */
static void members_create_at_the_same_time(void **state)
{
    static char one[] = "one", other[] = "other";
    int c = make("c", 0);
    pid_t first = object_test_child(child_creates, one);
    pid_t second = object_test_child(child_creates, other);
    uint64_t at = 0;
    char name[MBR_OBJECT_NAME_MAX + 1];
    int n = 0;

    assert_int_equal(object_test_wait(first), 0);
    assert_int_equal(object_test_wait(second), 0);
    c = again(c);
    while (mbr_container_list(c, &at, name) == 1)
        n++;
    assert_int_equal(n, 2 * CREATED);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

/* Whatever comes to it gets that error, and nothing stays behind. */
static void refuses_the_second_block(int o, int error)
{
    struct mbr_object_attr attr;
    char *p = NULL;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(mbr_object_read(o, BLOCK, buffer, 1), error);
        assert_int_equal(mbr_object_read_until(o, 0, buffer, 2 * BLOCK, 0), error);
        assert_int_equal(mbr_object_get(o, BLOCK + 7, 1, &p), error);
        assert_int_equal(mbr_object_get(o, BLOCK - 1, 2, &p), error);
        assert_int_equal(mbr_object_edit(o, BLOCK, BLOCK, &p), error);
        assert_int_equal(mbr_object_write(o, BLOCK - 1, "xx", 2), error);
        assert_int_equal(mbr_object_write(o, 2 * BLOCK - 1, "x", 1), error);
    }
    assert_int_equal(mbr_object_getattr(o, &attr), 0);
    assert_int_equal(attr.torn, 0);
}

static void finds_damage(void **state)
{
    char path[160];
    int c = make("c", MBR_CONTAINER_CHECKSUMS);
    int o = mbr_object_create(c, "o", 2 * BLOCK);
    int fd;

    write_all(o, 5, 2 * BLOCK);
    assert_int_equal(mbr_object_create(c, "sound", 10), 1);
    assert_int_equal(mbr_object_sync(o), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", where, MBR__DISK_BLOCKS);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(__real_pwrite(fd, "oops", 4, BLOCK + 500), 4);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(o, 0);
    refuses_the_second_block(o, -EBADMSG);
    assert_int_equal(mbr_object_sync(o), 0);
    assert_bytes(o, 5, BLOCK);
    assert_int_equal(ftruncate(fd, 700), 0);
    refuses_the_second_block(o, -EIO);
    assert_bytes(o, 5, BLOCK); /* it is in memory */
    assert_int_equal(mbr_object_join(c, "sound"), 1);
    assert_int_equal(mbr_object_read(1, 0, buffer, 10), 0);
    assert_int_equal(buffer[9], 0);
    assert_int_equal(mbr_container_leave(c), 0);
    close(fd);
    (void)snprintf(path, sizeof(path), "%s/%s", where, MBR__DISK_JOURNAL);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(__real_pwrite(fd, "oops", 4, 50), 4);
    close(fd);
    assert_int_equal(make("c", 0), -EBADMSG);
    assert_int_equal(object_test_count_links(), 1);
}

/* Two blocks, of which the second was damaged; the first one's bytes are those of seed 5. */
static int damaged_second_block(int *c)
{
    char path[160];
    int o, fd;

    *c = make("c", MBR_CONTAINER_CHECKSUMS);
    o = mbr_object_create(*c, "o", 2 * BLOCK);
    write_all(o, 5, 2 * BLOCK);
    assert_int_equal(mbr_object_sync(o), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", where, MBR__DISK_BLOCKS);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(__real_pwrite(fd, "oops", 4, BLOCK + 500), 4);
    close(fd);
    *c = again(*c);
    return mbr_object_join(*c, "o");
}

static void writing_all_of_it_mends_a_block(void **state)
{
    int c;
    int o = damaged_second_block(&c);
    int operation;

    refuses_the_second_block(o, -EBADMSG);
    operation = mbr_object_awrite(o, BLOCK + 1, buffer, BLOCK - 1);
    assert_int_equal(mbr_object_opwait(operation, MBR_FOREVER), 0);
    assert_int_equal(mbr_object_return(operation), -EBADMSG);
    fill(6, BLOCK);
    assert_int_equal(mbr_object_write(o, BLOCK, buffer, BLOCK), 0);
    assert_int_equal(mbr_object_read(o, BLOCK + 500, buffer, 4), 0);
    fill(6, BLOCK);
    operation = mbr_object_awrite(o, BLOCK, buffer, BLOCK);
    assert_int_equal(mbr_object_opwait(operation, MBR_FOREVER), 0);
    assert_int_equal(mbr_object_return(operation), 0);
    assert_int_equal(mbr_object_sync(o), 0);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(mbr_object_read(o, BLOCK, buffer + BLOCK, BLOCK), 0);
    fill(6, BLOCK);
    assert_memory_equal(buffer, buffer + BLOCK, BLOCK);
    assert_bytes(o, 5, BLOCK);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* What has no name any more cannot be read from the disk: it was read before. */
static void unlinked_bytes_stay(void **state)
{
    int c;
    int o = damaged_second_block(&c);

    assert_int_equal(mbr_object_unlink(c, "o"), 0);
    assert_int_equal(mbr_object_create(c, "other", 3 * BLOCK), 1);
    write_all(1, 9, 3 * BLOCK);
    assert_int_equal(mbr_object_sync(1), 0); /* where the old ones were */
    refuses_the_second_block(o, -EBADMSG);
    assert_bytes(o, 5, BLOCK);
    assert_int_equal(mbr_object_repair(o, 0, 2 * BLOCK), 0);
    refuses_the_second_block(o, -EBADMSG);
    assert_int_equal(mbr_object_resize(o, BLOCK), 0);
    assert_int_equal(mbr_object_resize(o, 2 * BLOCK), 0);
    assert_int_equal(mbr_object_read(o, BLOCK, buffer, BLOCK), 0);
    assert_int_equal(buffer[500], 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

static uint64_t allocated(int object)
{
    struct mbr_object_attr attr;

    assert_int_equal(mbr_object_getattr(object, &attr), 0);
    return attr.allocated;
}

static void reads_block_by_block(void **state)
{
    size_t size = 2 * BLOCK + 777;
    int c = make("c", MBR_CONTAINER_CHECKSUMS);
    int o = mbr_object_create(c, "o", size);
    char *p = NULL;
    int access;

    write_all(o, 1, size);
    assert_int_equal(mbr_object_sync(o), 0);
    c = again(c);
    blocks_read = 0;
    o = mbr_object_join(c, "o");
    assert_int_equal(allocated(o), 0);
    assert_int_equal(mbr_object_sync(o), 0);
    assert_int_equal(blocks_read, 0);
    access = mbr_object_get(o, BLOCK + 3, 5, &p);
    assert_true(access >= 0);
    fill(1, BLOCK + 8);
    assert_memory_equal(p, buffer + BLOCK + 3, 5);
    assert_int_equal(blocks_read, 1);
    assert_int_equal(allocated(o), BLOCK);
    assert_int_equal(mbr_object_put(access), 0);
    assert_int_equal(mbr_object_put(mbr_object_get(o, BLOCK, 5, &p)), 0);
    assert_int_equal(blocks_read, 1);

    /* Smaller, larger: what was on the disk alone stays, what has gone is zeroes. */
    assert_int_equal(mbr_object_resize(o, 2 * BLOCK + 700), 0);
    assert_int_equal(mbr_object_resize(o, 3 * BLOCK), 0);
    assert_bytes(o, 1, 2 * BLOCK + 700);
    assert_int_equal(mbr_object_read(o, 2 * BLOCK + 700, buffer, 77), 0);
    assert_int_equal(buffer[0] | buffer[76], 0);
    assert_int_equal(blocks_read, 2); /* the third one was stored as less than a block */
    assert_int_equal(allocated(o), 3 * BLOCK);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(mbr_object_resize(o, 10), 0);
    assert_int_equal(mbr_object_resize(o, 2 * BLOCK), 0);
    assert_bytes(o, 1, 10);
    assert_int_equal(mbr_object_read(o, 10, buffer, 2 * BLOCK - 10), 0);
    assert_int_equal(buffer[0] | buffer[BLOCK], 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* An object of 10 GiB on the disk, of which only one block has ever been written. */
static void joins_what_does_not_fit_into_memory(void **state)
{
    static const uint64_t set[2] = {1, 2};
    uint64_t size = UINT64_C(10) << 30;
    struct mbr__disk_dirty dirty = {9999, buffer};
    struct mbr__disk_write *write = NULL;
    struct mbr__disk *d = NULL;
    int c, o;

    assert_int_equal(mbr__disk_open(where, MBR__JOURNAL_CHECKSUMS, set, &d), 0);
    assert_int_equal(mbr__disk_create(d, 1, "o", size, MBR_WRITE_IN_PLACE), 0);
    fill(7, BLOCK);
    assert_int_equal(mbr__disk_write(d, 1, &dirty, 1, &write), 0);
    assert_int_equal(mbr__disk_commit(d, write), 0);
    mbr__disk_close(d);
    c = make("c", 0);
    o = mbr_object_join(c, "o");
    assert_int_equal(o, 0);
    assert_int_equal(allocated(o), 0);
    assert_int_equal(mbr_object_read(o, 9999 * BLOCK + 1, buffer, 9), 0);
    assert_int_equal(buffer[8], 7 + 9);
    assert_int_equal(mbr_object_read(o, size - 9, buffer, 9), 0);
    assert_int_equal(buffer[8], 0);
    assert_int_equal(mbr_object_write(o, 5000 * BLOCK - 4, "straddle", 8), 0);
    assert_int_equal(allocated(o), 4 * BLOCK);
    assert_int_equal(mbr_object_sync(o), 0);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(mbr_object_read(o, 5000 * BLOCK - 4, buffer, 8), 0);
    assert_memory_equal(buffer, "straddle", 8);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void finds_damage_in_a_version(void **state)
{
    char path[160];
    int c = make("c", MBR_CONTAINER_CHECKSUMS);
    int o = mbr_object_create_with(c, "o", 2 * BLOCK, MBR_WRITE_VERSIONED);
    int fd;

    write_all(o, 5, 2 * BLOCK);
    assert_int_equal(mbr_object_create(c, "sound", 10), 1);
    assert_int_equal(mbr_object_sync(o), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", where, MBR__DISK_BLOCKS);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(__real_pwrite(fd, "oops", 4, BLOCK + 500), 4);
    c = again(c);
    assert_int_equal(mbr_object_join(c, "o"), -EBADMSG);
    assert_int_equal(ftruncate(fd, 700), 0);
    assert_int_equal(mbr_object_join(c, "o"), -EIO);
    assert_int_equal(mbr_object_join(c, "sound"), 0);
    assert_int_equal(mbr_object_unlink(c, "o"), 0);
    assert_int_equal(mbr_container_leave(c), 0);
    close(fd);
}

static void a_full_disk_changes_nothing(void **state)
{
    struct mbr_object_attr attr;
    int c = make("c", 0);
    int o = mbr_object_create(c, "o", BLOCK);

    write_all(o, 6, BLOCK);
    assert_int_equal(mbr_object_sync(o), 0);
    write_all(o, 7, BLOCK);
    for (int n = 1; n <= 2; n++) {
        failing = n;
        assert_int_equal(mbr_object_sync(o), -ENOSPC);
    }
    failing = 1;
    assert_int_equal(mbr_object_create(c, "p", 10), -ENOSPC);
    failing = 1;
    assert_int_equal(mbr_object_rename(o, "q"), -ENOSPC);
    failing = 1;
    assert_int_equal(mbr_object_resize(o, 2 * BLOCK), -ENOSPC);
    failing = 1;
    assert_int_equal(mbr_object_resize(o, 5), -ENOSPC);
    failing = 1;
    assert_int_equal(mbr_object_unlink(c, "o"), -ENOSPC);
    failing = 1;
    assert_int_equal(mbr_object_destroy(o), -ENOSPC);
    failing = 1;
    assert_int_equal(mbr_container_destroy_until(c, 0), -ENOSPC);
    failing = 0;
    assert_int_equal(mbr_object_getattr(o, &attr), 0);
    assert_int_equal(attr.size, BLOCK);
    assert_string_equal(attr.name, "o");
    assert_bytes(o, 7, BLOCK);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_bytes(o, 6, BLOCK);
    assert_int_equal(mbr_object_leave(o), 0);
    failing = 1;
    assert_int_equal(mbr_container_destroy(c), -ENOSPC);
    assert_int_equal(mbr_object_join(c, "o"), 0);
    assert_int_equal(mbr_object_leave(0), 0);
    assert_int_equal(mbr_container_destroy(c), 0);
}

/* ---- dying while the size is changed ---- */

struct change {
    enum mbr_write_policy policy;
    int when; /* as dying */
    size_t to;
    size_t stands; /* what others see then */
    bool looked;   /* they look at it; else they only leave */
};

static int child_dies_resizing(void *arg)
{
    const struct change *change = arg;
    int o = mbr_object_join(mbr_container_join("c"), "o");

    CHILD(o == 0);
    dying = change->when;
    (void)mbr_object_resize(o, change->to);
    return 1;
}

/* A container with an object of 3,000 bytes, in which somebody has died so. */
static int after_a_death(struct change *change, int *object)
{
    int c = make("c", 0);

    *object = mbr_object_create_with(c, "o", 3000, change->policy);
    assert_int_equal(*object, 0);
    write_all(*object, 3, 3000);
    assert_int_equal(mbr_object_sync(*object), 0);
    assert_int_equal(object_test_wait(object_test_child(child_dies_resizing, change)), -SIGKILL);
    return c;
}

static uint64_t size_of(int object)
{
    struct mbr_object_attr attr;

    assert_int_equal(mbr_object_getattr(object, &attr), 0);
    assert_int_equal(attr.users, 1);
    return attr.size;
}

static void survives(struct change *change)
{
    int o;
    int c = after_a_death(change, &o);

    if (change->looked)
        assert_int_equal(size_of(o), change->stands);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(size_of(o), change->stands);
    assert_bytes(o, 3, change->stands < 3000 ? change->stands : 3000);
    assert_int_equal(mbr_object_resize(o, 9000), 0);
    assert_int_equal(mbr_object_read(o, change->stands, buffer, 1000), 0);
    assert_int_equal(buffer[0] | buffer[999], 0);
    assert_int_equal(mbr_object_destroy(o), 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* Memory and disk have the same size again, and those who live that which they have seen. */
static void a_death_while_resizing_is_mended(void **state)
{
    static struct change changes[] = {
        {MBR_WRITE_IN_PLACE, 1, 9000, 3000, true},  {MBR_WRITE_IN_PLACE, 2, 9000, 3000, true},
        {MBR_WRITE_IN_PLACE, 2, 9000, 3000, false}, {MBR_WRITE_IN_PLACE, 1, 100, 100, true},
        {MBR_WRITE_IN_PLACE, 2, 100, 100, true},    {MBR_WRITE_IN_PLACE, 1, 100, 100, false},
    };

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        survives(&changes[i]);
}

static void a_death_while_a_version_is_resized_is_mended(void **state)
{
    struct change change = {MBR_WRITE_VERSIONED, 2, 9000, 3000, true};
    int o;
    int c = after_a_death(&change, &o);

    assert_int_equal(mbr_object_write(o, 0, buffer, 1), 0);
    c = again(c);
    o = mbr_object_join(c, "o");
    assert_int_equal(size_of(o), 3000);
    assert_bytes(o, 3, 3000);
    assert_int_equal(mbr_container_leave(c), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(synced_bytes_stay),
        T(names_and_sizes_stay),
        T(versions_stay),
        T(never_joined_can_be_unlinked),
        T(destroying_removes_the_files),
        T(refuses_bad_options),
        T(members_share_the_directory),
        T(members_create_at_the_same_time),
        T(finds_damage),
        T(writing_all_of_it_mends_a_block),
        T(unlinked_bytes_stay),
        T(reads_block_by_block),
        T(joins_what_does_not_fit_into_memory),
        T(finds_damage_in_a_version),
        T(a_full_disk_changes_nothing),
        T(a_death_while_resizing_is_mended),
        T(a_death_while_a_version_is_resized_is_mended),
    };

    return cmocka_run_group_tests_name("object_persist", tests, NULL, NULL);
}
