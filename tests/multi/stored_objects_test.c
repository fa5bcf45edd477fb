/* SPDX-License-Identifier: MIT */
/*
 * Persistent containers that membraned keeps: what is there after a kill, for whom, what is not;
 * a live update; damage; and requests by hand that no member of good will would make.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object/broker.h"
#include "object/memory.h"
#include "shm/post.h"
#include "stored.h"

#define OWNER    61031u
#define MEMBER   61032u
#define STRANGER 61033u
#define GROUP    61040u

#define BLOCK MBR_OBJECT_BLOCK

static struct stored daemon_;
static char objects[600]; /* the daemon's directory */
static bool root;
static char *buffer; /* 4 blocks */

static void start(void)
{
    const char *const arguments[] = {"--objects", objects, NULL};

    stored_start(&daemon_, NULL, arguments);
}

static void restart(void)
{
    stored_kill(&daemon_);
    start();
}

static void update(void)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-s", NULL), 0);
    CHECK(strcmp(reply.payload, "OK") == 0);
    (void)close(fd);
}

static int create(const char *name, int group, uint32_t flags)
{
    struct mbr_container_options options = {.size = sizeof(options),
                                            .flags = flags | MBR_CONTAINER_PERSISTENT};

    return mbr_container_create_with(name, group, &options);
}

/* Writes KEY's bytes over the first N of an object, and syncs it. */
static void write_synced(int object, size_t n, uint64_t key)
{
    stage_fill(buffer, n, key);
    CHECK_INT(mbr_object_write(object, 0, buffer, n), 0);
    CHECK_INT(mbr_object_sync(object), 0);
}

static void expect(int container, const char *name, size_t n, uint64_t key)
{
    int object = mbr_object_join(container, name);
    struct mbr_object_attr attr;

    CHECK(object >= 0);
    CHECK_INT(mbr_object_getattr(object, &attr), 0);
    CHECK_INT(attr.size, n);
    CHECK_INT(mbr_object_read(object, 0, buffer, n), 0);
    CHECK(stage_filled(buffer, n, key));
    CHECK_INT(mbr_object_leave(object), 0);
}

static uint32_t count_objects(int container)
{
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;
    uint32_t n = 0;

    while (mbr_container_list(container, &cursor, name) == 1)
        n++;
    return n;
}

/* The one container's file, opened. */
static int open_file(const char *file, int flags)
{
    char path[1200];
    DIR *dir = opendir(objects);
    struct dirent *entry;
    int fd = -1;

    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s/%s", objects, entry->d_name, file);
        CHECK(fd < 0);
        fd = open(path, flags | O_CLOEXEC);
    }
    (void)closedir(dir);
    CHECK(fd >= 0);
    return fd;
}

static bool nothing_left(void)
{
    return stage_count_entries(objects) == 0;
}

static void destroy(const char *name)
{
    int c = mbr_container_join(name);

    CHECK(c >= 0);
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK_INT(mbr_container_join(name), -ENOENT);
    CHECK(nothing_left());
}

/* ---- what is there -----------------------------------------------------------------------------
 */

static void test_synced_is_there_after_a_kill(void **state)
{
    struct mbr_container_attr attr;
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;
    int c = create("c", -1, 0);
    int o;

    (void)state;
    CHECK(c >= 0);
    CHECK_INT(create("c", -1, 0), -EEXIST);
    o = mbr_object_create(c, "o", 3 * BLOCK - 7);
    CHECK(o >= 0);
    write_synced(o, 3 * BLOCK - 7, 1);
    CHECK_INT(mbr_object_write(o, 5, "never synced", 12), 0);
    stored_kill(&daemon_);
    CHECK_INT(mbr_object_sync(o), -ECONNREFUSED);
    CHECK_INT(mbr_object_create(c, "p", 1), -ECONNREFUSED);
    CHECK_INT(mbr_container_leave(c), 0);
    start();
    CHECK_INT(mbr_container_list_kept(&cursor, name), 1);
    CHECK(strcmp(name, "c") == 0);
    c = mbr_container_join("c");
    CHECK(c >= 0);
    CHECK_INT(mbr_container_getattr(c, &attr), 0);
    CHECK_INT(attr.flags, MBR_CONTAINER_KEPT | MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_BROKERED);
    CHECK_INT(attr.uid, geteuid());
    CHECK_INT(attr.group, -1);
    expect(c, "o", 3 * BLOCK - 7, 1);
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK(nothing_left());
    restart();
    CHECK_INT(mbr_container_join("c"), -ENOENT);
}

/* What is not synced outlives the members, as in any container that is kept. */
static void test_kept_in_memory_too(void **state)
{
    int c = create("c", -1, 0);
    int o = mbr_object_create(c, "o", 100);

    (void)state;
    stage_fill(buffer, 100, 7);
    CHECK_INT(mbr_object_write(o, 0, buffer, 100), 0);
    CHECK_INT(mbr_container_leave(c), 0);
    c = mbr_container_join("c");
    expect(c, "o", 100, 7);
    CHECK_INT(mbr_container_leave(c), 0);
    destroy("c");
}

static void test_changes_are_there_after_a_kill(void **state)
{
    int c = create("c", -1, MBR_CONTAINER_CHECKSUMS);
    int a = mbr_object_create(c, "a", BLOCK);
    int b = mbr_object_create(c, "b", 2 * BLOCK);
    int v = mbr_object_create_with(c, "v", 2 * BLOCK, MBR_WRITE_VERSIONED);

    (void)state;
    CHECK(a >= 0 && b >= 0 && v >= 0);
    write_synced(a, BLOCK, 1);
    write_synced(b, 2 * BLOCK, 2);
    write_synced(v, 2 * BLOCK, 3);
    CHECK_INT(mbr_object_rename(a, "b"), -EEXIST);
    CHECK_INT(mbr_object_rename(a, "a2"), 0);
    CHECK_INT(mbr_object_unlink(c, "b"), 0);
    CHECK_INT(mbr_object_sync(b), 0);
    CHECK_INT(mbr_object_resize(v, 3 * BLOCK), 0);
    CHECK_INT(mbr_object_resize_until(v, BLOCK + 8, 0), -ETIMEDOUT);
    CHECK_INT(mbr_object_resize(v, BLOCK + 8), 0);
    CHECK_INT(mbr_object_sync(v), 0);
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    c = mbr_container_join("c");
    CHECK(c >= 0);
    CHECK_INT(count_objects(c), 2);
    expect(c, "a2", BLOCK, 1);
    expect(c, "v", BLOCK + 8, 3);
    CHECK_INT(mbr_object_join(c, "b"), -ENOENT);
    a = mbr_object_create(c, "b", 9);
    CHECK(a >= 0);
    CHECK_INT(mbr_container_leave(c), 0);
    destroy("c");
}

static void test_live_update_carries_it(void **state)
{
    int c = create("c", -1, 0);
    int o = mbr_object_create(c, "o", 2 * BLOCK);
    int other;

    (void)state;
    write_synced(o, 2 * BLOCK, 1);
    update();
    write_synced(o, 2 * BLOCK, 2);
    CHECK(mbr_object_create(c, "p", 10) >= 0);
    update();
    CHECK_INT(mbr_object_rename(o, "q"), 0);
    other = mbr_container_join("c");
    CHECK(other >= 0);
    CHECK_INT(mbr_container_leave(other), 0);
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    update(); /* nobody has joined it yet */
    c = mbr_container_join("c");
    expect(c, "q", 2 * BLOCK, 2);
    CHECK_INT(count_objects(c), 2);
    CHECK_INT(mbr_container_leave(c), 0);
    destroy("c");
}

static void test_without_a_place(void **state)
{
    struct mbr_container_options options = {
        .size = sizeof(options), .directory = objects, .flags = MBR_CONTAINER_KEPT};

    (void)state;
    CHECK_INT(mbr_container_create_with("d", -1, &options), -EOPNOTSUPP);
    stored_kill(&daemon_);
    CHECK_INT(create("c", -1, 0), -ECONNREFUSED);
    stored_start(&daemon_, NULL, NULL);
    CHECK_INT(create("c", -1, 0), -EOPNOTSUPP);
    restart();
}

/* ---- damage ------------------------------------------------------------------------------------
 */

static void test_a_file_that_is_cut_off(void **state)
{
    int c = create("c", -1, 0);
    int o = mbr_object_create(c, "o", 2 * BLOCK);
    int fd;

    (void)state;
    write_synced(o, 2 * BLOCK, 1);
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    fd = open_file("membrane-blocks", O_RDWR);
    CHECK_INT(ftruncate(fd, BLOCK + 10), 0);
    (void)close(fd);
    c = mbr_container_join("c");
    CHECK(c >= 0);
    o = mbr_object_join(c, "o");
    CHECK(o >= 0);
    CHECK_INT(mbr_object_read(o, 0, buffer, BLOCK), 0);
    CHECK_INT(mbr_object_read(o, 0, buffer, 2 * BLOCK), -EIO);
    o = mbr_object_create(c, "p", BLOCK);
    CHECK(o >= 0);
    write_synced(o, BLOCK, 3);
    fd = open_file("membrane-journal", O_RDWR);
    CHECK_INT(ftruncate(fd, 100), 0);
    (void)close(fd);
    CHECK_INT(mbr_object_sync(o), -EIO);
    CHECK_INT(mbr_object_create(c, "q", 1), -EIO);
    CHECK_INT(mbr_object_leave(o), 0);
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK(nothing_left());
}

static void test_bytes_that_are_others(void **state)
{
    int c = create("c", -1, MBR_CONTAINER_CHECKSUMS);
    int o = mbr_object_create(c, "o", BLOCK);
    int fd;

    (void)state;
    write_synced(o, BLOCK, 1);
    CHECK(mbr_object_create(c, "p", 1) >= 0);
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    fd = open_file("membrane-blocks", O_RDWR);
    CHECK_INT(pwrite(fd, "#", 1, 4711), 1);
    (void)close(fd);
    c = mbr_container_join("c");
    CHECK_INT(mbr_object_read(mbr_object_join(c, "o"), 0, buffer, 1), -EBADMSG);
    CHECK(mbr_object_join(c, "p") >= 0);
    CHECK_INT(mbr_container_leave(c), 0);
    stored_kill(&daemon_);
    fd = open_file("membrane-owner", O_RDWR);
    CHECK_INT(pwrite(fd, "#", 1, 14), 1);
    start();
    CHECK(stored_said(&daemon_, "not served"));
    CHECK_INT(mbr_container_join("c"), -ENOENT);
    stored_kill(&daemon_);
    CHECK_INT(pwrite(fd, "\0", 1, 14), 1);
    (void)close(fd);
    start();
    destroy("c");
}

static void test_files_that_may_not_grow(void **state)
{
    struct rlimit little = {UINT64_C(1) << 20, RLIM_INFINITY};
    struct rlimit much = {RLIM_INFINITY, RLIM_INFINITY};
    int c = create("c", -1, 0);
    int o = mbr_object_create(c, "o", 3 * BLOCK);

    (void)state;
    write_synced(o, 3 * BLOCK, 1);
    CHECK_INT(prlimit(daemon_.pid, RLIMIT_FSIZE, &little, NULL), 0);
    stage_fill(buffer, 3 * BLOCK, 2);
    CHECK_INT(mbr_object_write(o, 0, buffer, 3 * BLOCK), 0);
    CHECK_INT(mbr_object_sync(o), -EFBIG);
    CHECK_INT(prlimit(daemon_.pid, RLIMIT_FSIZE, &much, NULL), 0);
    restart();
    CHECK_INT(mbr_container_leave(c), 0);
    c = mbr_container_join("c");
    expect(c, "o", 3 * BLOCK, 1);
    o = mbr_object_join(c, "o");
    write_synced(o, 3 * BLOCK, 3);
    CHECK_INT(mbr_container_leave(c), 0);
    destroy("c");
}

/* A file system of 4 MiB, which ends with this process. */
static bool mount_little(const char *path)
{
    return mkdir(path, 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, "size=4m,mode=700") == 0;
}

static void test_a_disk_that_is_full(void **state)
{
    char little[600];
    const char *const arguments[] = {"--objects", little, NULL};
    int c;
    int o;

    (void)state;
    (void)snprintf(little, sizeof(little), "%s/little", stage_dir());
    if (!root || !mount_little(little)) {
        print_message("skipped: no small file system can be mounted here\n");
        skip();
    }
    stored_kill(&daemon_);
    stored_start(&daemon_, NULL, arguments);
    c = create("c", -1, 0);
    o = mbr_object_create(c, "o", 2 * BLOCK);
    CHECK(o >= 0);
    write_synced(o, 2 * BLOCK, 1);
    stage_fill(buffer, 2 * BLOCK, 2);
    CHECK_INT(mbr_object_write(o, 0, buffer, 2 * BLOCK), 0);
    CHECK_INT(mbr_object_sync(o), -ENOSPC); /* the old blocks stay until the new ones are there */
    CHECK_INT(mbr_object_resize(o, BLOCK), 0);
    CHECK_INT(mbr_object_sync(o), 0);
    CHECK_INT(mbr_container_leave(c), 0);
    stored_kill(&daemon_);
    stored_start(&daemon_, NULL, arguments);
    c = mbr_container_join("c");
    expect(c, "o", BLOCK, 2);
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK_INT(stage_count_entries(little), 0);
    restart();
}

/* ---- several users -----------------------------------------------------------------------------
 */

static void owner_creates(struct stage_actor *parent, void *argument)
{
    int c;
    int o;

    (void)argument;
    stage_become_user(OWNER, GROUP);
    c = create("shared", GROUP, 0);
    CHECK(c >= 0);
    o = mbr_object_create(c, "o", 2 * BLOCK);
    CHECK(o >= 0);
    write_synced(o, 2 * BLOCK, 1);
    stage_say(parent, 1);
    (void)stage_hear(parent);
}

static void member_changes(struct stage_actor *parent, void *argument)
{
    char path[700];
    int c;
    int o;

    (void)argument;
    stage_become_user(MEMBER, GROUP);
    CHECK(opendir(objects) == NULL);
    c = mbr_container_join("shared");
    CHECK(c >= 0);
    expect(c, "o", 2 * BLOCK, 1);
    o = mbr_object_join(c, "o");
    write_synced(o, 2 * BLOCK, 2);
    CHECK(mbr_object_create(c, "members", 10) >= 0);
    CHECK_INT(mbr_container_destroy(c), -EACCES);
    /* What it has of the files can be read and not be written, nor opened to write. */
    for (int fd = 0; fd < 64; fd++) {
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, path + 100, 500);
        path[100 + (n > 0 ? n : 0)] = '\0';
        if (strstr(path + 100, "membrane-") == NULL || strstr(path + 100, "memfd") != NULL)
            continue;
        CHECK_INT(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        CHECK(open(path, O_RDWR) < 0 && errno == EACCES);
    }
    CHECK_INT(mbr_container_leave(c), 0);
    (void)parent;
}

static void stranger_fails(struct stage_actor *parent, void *argument)
{
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;

    (void)parent;
    (void)argument;
    stage_become_user(STRANGER, 0);
    CHECK_INT(mbr_container_join("shared"), -EACCES);
    CHECK_INT(mbr_container_list_kept(&cursor, name), 0);
}

static void owner_destroys(struct stage_actor *parent, void *argument)
{
    int c;

    (void)parent;
    (void)argument;
    stage_become_user(OWNER, 0);
    c = mbr_container_join("shared");
    CHECK(c >= 0);
    expect(c, "o", 2 * BLOCK, 2);
    CHECK_INT(mbr_container_destroy(c), 0);
}

static void play(stage_role *role)
{
    struct stage_actor actor;

    stage_spawn(&actor, role, NULL);
    stage_join_ok(&actor);
}

static void test_two_users(void **state)
{
    struct stage_actor owner;

    (void)state;
    if (!root)
        skip();
    stage_spawn(&owner, owner_creates, NULL);
    CHECK_INT(stage_hear(&owner), 1);
    play(stranger_fails);
    play(member_changes);
    stage_kill(&owner);
    restart();
    play(stranger_fails);
    play(owner_destroys);
    CHECK(nothing_left());
}

static void owner_fills(struct stage_actor *parent, void *argument)
{
    int made = 0;
    int rc = 0;
    int c;
    int o;

    (void)parent;
    (void)argument;
    stage_become_user(OWNER, 0);
    c = create("full", -1, 0);
    CHECK(c >= 0);
    CHECK_INT(create("another", -1, 0), -EDQUOT);
    CHECK_INT(create("full", -1, 0), -EEXIST); /* so that it can be joined */
    while (rc == 0 && made < 20) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%d", made);
        o = mbr_object_create(c, name, BLOCK);
        CHECK(o >= 0);
        stage_fill(buffer, BLOCK, 1);
        CHECK_INT(mbr_object_write(o, 0, buffer, BLOCK), 0);
        rc = mbr_object_sync(o);
        made += rc == 0;
    }
    CHECK_INT(rc, -EDQUOT);
    CHECK_INT(made, 7); /* the objects count, too */
    CHECK_INT(mbr_object_unlink(c, "0"), 0);
    CHECK_INT(mbr_object_sync(o), 0);
    CHECK_INT(mbr_container_destroy(c), 0);
}

static void test_a_user_has_a_limit(void **state)
{
    const char *const arguments[] = {"--objects", objects, "--config", NULL, NULL};
    const char *with_config[5];
    char path[600];
    FILE *file;

    (void)state;
    if (!root)
        skip();
    (void)snprintf(path, sizeof(path), "%s/conf", stage_dir());
    file = fopen(path, "we");
    CHECK(file != NULL &&
          fputs("[limits]\nstored-per-user = 8M\ncontainers-per-user = 1\n", file) >= 0);
    CHECK(fclose(file) == 0);
    memcpy(with_config, arguments, sizeof(with_config));
    with_config[3] = path;
    stored_kill(&daemon_);
    stored_start(&daemon_, NULL, with_config);
    play(owner_fills);
    restart();
    CHECK(nothing_left());
}

/* ---- requests by hand --------------------------------------------------------------------------
 */

struct hand {
    int session;
    int desk;
    uint32_t seq;
    struct mbr__broker_disk_reply reply;
    int fds[2];
};

static int ask(struct hand *h, struct mbr__broker_disk request, const char *name, size_t length,
               int fd)
{
    struct mbr__note note = {.len = sizeof(request) + length};
    uint64_t deadline = UINT64_MAX;

    request.seq = ++h->seq;
    memcpy(note.data, &request, sizeof(request));
    if (length > 0)
        memcpy(note.data + sizeof(request), name, length);
    if (fd >= 0)
        note.fds[note.nfds++] = fd;
    CHECK_INT(mbr__broker_send(h->session, &note, deadline), 0);
    CHECK_INT(mbr__broker_receive(h->session, &note, deadline), 0);
    CHECK_INT(note.len, sizeof(h->reply));
    memcpy(&h->reply, note.data, sizeof(h->reply));
    CHECK_INT(h->reply.seq, h->seq);
    h->fds[0] = note.nfds > 0 ? note.fds[0] : -1;
    h->fds[1] = note.nfds > 1 ? note.fds[1] : -1;
    return h->reply.status;
}

static int plain(struct hand *h, uint32_t op, uint64_t id, uint64_t size, uint64_t block)
{
    return ask(h, (struct mbr__broker_disk){.op = op, .id = id, .size = size, .more = block}, NULL,
               0, -1);
}

static int named(struct hand *h, uint32_t op, uint64_t id, uint64_t size, const char *name)
{
    return ask(h, (struct mbr__broker_disk){.op = op, .id = id, .size = size}, name, strlen(name),
               -1);
}

static void begin_hand(struct hand *h)
{
    struct mbr__broker_found found;

    *h = (struct hand){.fds = {-1, -1}};
    CHECK_INT(mbr__broker_join("c", &found), 0);
    (void)close(found.memory);
    h->session = found.session;
    CHECK_INT(mbr__object_desk_new(MBR__BROKER_DESK, &h->desk), 0);
}

static void end_hand(struct hand *h)
{
    (void)close(h->session);
    (void)close(h->desk);
}

static void check_objects(struct hand *h)
{
    const uint64_t most = MBR_OBJECT_SIZE_MAX;
    uint64_t id;

    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 0, 1, "x"), -EINVAL);
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, UINT64_MAX, 1, "x"), -EINVAL);
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 1, 1, "x"), -EINVAL); /* has been */
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 100, 0, "x"), -EINVAL);
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 100, most + 1, "x"), -EFBIG);
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 100, 1, ""), -EINVAL);
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 100, 1, "a/b"), -EINVAL);
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 100, 1, "\xff"), -EINVAL);
    CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, 100, 1, "o"), -EEXIST);
    CHECK_INT(ask(h, (struct mbr__broker_disk){.op = MBR__BROKER_DISK_CREATE, .id = 100, .size = 1},
                  "a\0b", 3, -1),
              -EINVAL);
    CHECK_INT(ask(h,
                  (struct mbr__broker_disk){
                      .op = MBR__BROKER_DISK_CREATE, .id = 100, .size = 1, .more = 2},
                  "x", 1, -1),
              -EINVAL);
    CHECK_INT(ask(h,
                  (struct mbr__broker_disk){
                      .op = MBR__BROKER_DISK_CREATE, .id = 100, .size = most, .more = 1},
                  "x", 1, -1),
              -EFBIG);
    CHECK_INT(named(h, MBR__BROKER_DISK_RENAME, 99, 0, "x"), -ENOENT);
    CHECK_INT(named(h, MBR__BROKER_DISK_RENAME, 1, 0, "o"), -EEXIST);
    CHECK_INT(plain(h, MBR__BROKER_DISK_REMOVE, 99, 0, 0), -ENOENT);
    CHECK_INT(plain(h, MBR__BROKER_DISK_RESIZE, 99, 1, UINT64_MAX), -ENOENT);
    CHECK_INT(plain(h, MBR__BROKER_DISK_RESIZE, 1, 0, UINT64_MAX), -EINVAL);
    CHECK_INT(plain(h, MBR__BROKER_DISK_RESIZE, 1, UINT64_MAX, UINT64_MAX), -EFBIG);
    CHECK_INT(plain(h, MBR__BROKER_DISK_RESIZE, 1, 1, 1), -ETIMEDOUT);
    CHECK_INT(named(h, MBR__BROKER_DISK_REMOVE, 1, 0, "name"), -EINVAL);
    for (id = 200; id < 230; id++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)id);
        CHECK_INT(named(h, MBR__BROKER_DISK_CREATE, id, most, name), 0);
    }
    for (id = 200; id < 230; id++)
        CHECK_INT(plain(h, MBR__BROKER_DISK_REMOVE, id, 0, 0), 0);
}

static void check_blocks(struct hand *h)
{
    int memory = -1;
    int null = open("/dev/zero", O_RDWR | O_CLOEXEC);

    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, 0), -EAGAIN);
    CHECK_INT(plain(h, MBR__BROKER_DISK_COMMIT, 1, 0, 0), -EAGAIN);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BEGIN, 99, 0, 0), -ENOENT);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BEGIN, 1, 2 * BLOCK, 0), 0);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, 0), -EPROTO); /* no desk */
    CHECK_INT(ask(h, (struct mbr__broker_disk){.op = MBR__BROKER_DISK_OPEN}, NULL, 0, null),
              -EPROTO);
    CHECK_INT(mbr__object_memory_new("not a desk", &memory), 0);
    CHECK_INT(ask(h, (struct mbr__broker_disk){.op = MBR__BROKER_DISK_OPEN}, NULL, 0, memory),
              -EPROTO);
    CHECK_INT(ask(h, (struct mbr__broker_disk){.op = MBR__BROKER_DISK_STATE}, NULL, 0, h->desk),
              -EINVAL);
    CHECK_INT(ask(h, (struct mbr__broker_disk){.op = MBR__BROKER_DISK_OPEN}, NULL, 0, h->desk), 0);
    CHECK(h->fds[0] >= 0 && h->fds[1] >= 0);
    CHECK(write(h->fds[0], "x", 1) < 0 && write(h->fds[1], "x", 1) < 0);
    CHECK(ftruncate(h->fds[0], 0) < 0);
    (void)close(h->fds[0]);
    (void)close(h->fds[1]);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, 2), -ERANGE);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, UINT32_MAX), -ERANGE);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 2, 0, 0), -EAGAIN); /* another object */
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, 1), 0);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, 1), -EINVAL);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, 0), -EINVAL);
    CHECK_INT(plain(h, MBR__BROKER_DISK_ABANDON, 0, 0, 0), 0);
    CHECK_INT(plain(h, MBR__BROKER_DISK_COMMIT, 1, 0, 0), -EAGAIN);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BEGIN, 1, 2 * BLOCK, 0), 0);
    CHECK_INT(plain(h, MBR__BROKER_DISK_COMMIT, 1, 0, 0), 0); /* of nothing */
    CHECK_INT(plain(h, MBR__BROKER_DISK_BEGIN, 1, 2 * BLOCK, 0), 0);
    CHECK_INT(plain(h, MBR__BROKER_DISK_BLOCK, 1, 0, 1), 0);
    CHECK_INT(plain(h, MBR__BROKER_DISK_RESIZE, 1, BLOCK, UINT64_MAX), 0);
    CHECK_INT(plain(h, MBR__BROKER_DISK_COMMIT, 1, 0, 0), -EAGAIN); /* of another size by now */
    CHECK_INT(plain(h, MBR__BROKER_DISK_BEGIN, 1, 2 * BLOCK, 0), -EAGAIN);
    CHECK_INT(plain(h, MBR__BROKER_DISK_RESIZE, 1, 2 * BLOCK, UINT64_MAX), 0);
    (void)close(null);
    (void)close(memory);
}

/* Whatever a member says: the others' objects are there afterwards, and the daemon is. */
static void test_hostile_requests(void **state)
{
    int c = create("c", -1, 0);
    int a = mbr_object_create(c, "o", 2 * BLOCK);
    int b = mbr_object_create(c, "p", 2 * BLOCK);
    struct hand h;

    (void)state;
    CHECK(a >= 0 && b >= 0);
    write_synced(b, 2 * BLOCK, 2);
    begin_hand(&h);
    check_objects(&h);
    check_blocks(&h);
    end_hand(&h);
    write_synced(a, 2 * BLOCK, 1);
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    c = mbr_container_join("c");
    CHECK_INT(count_objects(c), 2);
    expect(c, "o", 2 * BLOCK, 1);
    expect(c, "p", 2 * BLOCK, 2);
    CHECK_INT(mbr_container_leave(c), 0);
    destroy("c");
}

/* Of one that has gone nothing is done later than what others ask for after its end. */
static void test_the_dead_come_first_or_never(void **state)
{
    struct mbr__broker_disk request = {
        .op = MBR__BROKER_DISK_RESIZE, .id = 1, .size = 10, .more = UINT64_MAX};
    int c = create("c", -1, 0);
    int o = mbr_object_create(c, "o", BLOCK);

    (void)state;
    write_synced(o, BLOCK, 1);
    for (int i = 0; i < 50; i++) {
        struct mbr__note note = {.len = sizeof(request)};
        struct hand h;

        begin_hand(&h);
        memcpy(note.data, &request, sizeof(request));
        CHECK_INT(kill(daemon_.pid, SIGSTOP), 0);
        CHECK_INT(mbr__broker_send(h.session, &note, UINT64_MAX), 0);
        end_hand(&h);
        CHECK_INT(kill(daemon_.pid, SIGCONT), 0);
        write_synced(o, BLOCK, 2);
    }
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    c = mbr_container_join("c");
    expect(c, "o", BLOCK, 2);
    CHECK_INT(mbr_container_leave(c), 0);
    destroy("c");
}

/* A daemon that is stopped is waited for until the deadline, and what it does then is mended. */
static void test_deadline(void **state)
{
    int c = create("c", -1, 0);
    int o = mbr_object_create(c, "o", BLOCK);

    (void)state;
    write_synced(o, BLOCK, 1);
    CHECK_INT(kill(daemon_.pid, SIGSTOP), 0);
    CHECK_INT(mbr_object_resize_until(o, 10, 1), -ETIMEDOUT);
    CHECK_INT(kill(daemon_.pid, SIGCONT), 0);
    write_synced(o, BLOCK, 2);
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    c = mbr_container_join("c");
    expect(c, "o", BLOCK, 2);
    CHECK_INT(mbr_container_leave(c), 0);
    destroy("c");
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_synced_is_there_after_a_kill),
        cmocka_unit_test(test_kept_in_memory_too),
        cmocka_unit_test(test_changes_are_there_after_a_kill),
        cmocka_unit_test(test_live_update_carries_it),
        cmocka_unit_test(test_without_a_place),
        cmocka_unit_test(test_a_file_that_is_cut_off),
        cmocka_unit_test(test_bytes_that_are_others),
        cmocka_unit_test(test_files_that_may_not_grow),
        cmocka_unit_test(test_a_disk_that_is_full),
        cmocka_unit_test(test_two_users),
        cmocka_unit_test(test_a_user_has_a_limit),
        cmocka_unit_test(test_hostile_requests),
        cmocka_unit_test(test_the_dead_come_first_or_never),
        cmocka_unit_test(test_deadline),
    };

    (void)argc;
    (void)argv;
    stored_need();
    root = geteuid() == 0;
    buffer = calloc(4, BLOCK);
    CHECK(buffer != NULL);
    (void)snprintf(objects, sizeof(objects), "%s/objects", stage_dir());
    if (root)
        CHECK_INT(chmod(stage_dir(), 0755), 0);
    start();
    CHECK_INT(setenv("XENSTORED_PATH", daemon_.path, 1), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(90, argc, argv, run);
}
