/* SPDX-License-Identifier: MIT */
/*
 * Containers that membraned keeps on disk: each allocation and each system call of what makes a
 * shelf, a container, its memory, a desk, and a member's end of it fails in turn. An error, nothing
 * left behind, nothing half done, and the same works afterwards.
 *
 * Not here: the disk's own files (object_disk_test.c), damage (shelf_owner_test.c).
 */
#define MBR_OBJECTS_NO_SHORT_NAMES /* the daemon has names of its own */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failalloc.h"
#include "object/disk_served.h"
#include "object/memory.h"
#include "object/object_shm.h"
#include "object/revive.h"
#include "prop.h"
#include "shelf_scene.h"
#include "shm/names.h"
#include "shm/post.h"
#include "shm_test.h"

#define NO_SYNC_FAILS test_calls_now
#include "no_sync.h"

#define BLOCK MBR_OBJECT_BLOCK

/* clang-format off */
TEST_WRAP(int, -1, open, (const char *path, int flags, int mode), (path, flags, mode))
TEST_WRAP(int, -1, openat, (int dir, const char *path, int flags, int mode),
          (dir, path, flags, mode))
TEST_WRAP(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
TEST_WRAP(int, -1, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
TEST_WRAP(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
TEST_WRAP(int, -1, flock, (int fd, int how), (fd, how))
TEST_WRAP(int, -1, eventfd, (unsigned int count, int flags), (count, flags))
TEST_WRAP(int, -1, memfd_create, (const char *name, unsigned int flags), (name, flags))
TEST_WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size))
TEST_WRAP(int, -1, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
TEST_WRAP(void *, MAP_FAILED, mmap,
          (void *at, size_t size, int prot, int flags, int fd, off_t offset),
          (at, size, prot, flags, fd, offset))
TEST_WRAP(int, -1, madvise, (void *at, size_t size, int advice), (at, size, advice))
TEST_WRAP(struct dirent *, NULL, readdir, (DIR * dir), (dir))
TEST_WRAP(ssize_t, -1, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
TEST_WRAP(ssize_t, -1, pwrite, (int fd, const void *from, size_t size, off_t at),
          (fd, from, size, at))
/* clang-format on */

/* The C library's own allocation. */
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
    return failalloc_now() ? NULL : __real_strdup(text);
}

/* ---- what fails ------------------------------------------------------------------------------ */

static const int errors[] = {0 /* an allocation */, EIO, EMFILE, ENOSPC};
static int failing; /* one of them */

static void arm(unsigned n)
{
    if (failing == 0)
        failalloc_arm(n);
    else
        test_calls_arm((int)n, failing);
}

static bool disarm(void)
{
    return failing == 0 ? failalloc_disarm() : test_calls_disarm();
}

static bool is_failure(int rc)
{
    return failing == 0 ? rc == -ENOMEM : rc < 0;
}

static void with_all(void (*run)(void))
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        failing = errors[i];
        run();
        model_remove_tree(scene_place);
    }
}

static struct stored_what some(const char *name, uint32_t uid)
{
    struct stored_what what = {.uid = uid,
                               .group = -1,
                               .flags = MBR_CONTAINER_KEPT | MBR_CONTAINER_PERSISTENT |
                                        MBR_CONTAINER_CHECKSUMS};

    (void)snprintf(what.name, sizeof(what.name), "%s", name);
    return what;
}

static uint64_t charged(const struct shelf *shelf, uint32_t uid)
{
    const struct shelf_owner *owner = mbr__hash_get(&shelf->owners, (uint64_t)uid + 1);

    return owner != NULL ? owner->bytes : 0;
}

/* ---- the shelf ------------------------------------------------------------------------------- */

static void run_open(void)
{
    int fds = test_count_fds();

    for (unsigned n = 0;; n++) {
        struct shelf *shelf = NULL;
        int code;
        bool hit;

        arm(n);
        code = shelf_open(scene_place, 0, &shelf);
        hit = disarm();
        if (!hit)
            assert_int_equal(code, TOOL_EXIT_OK);
        assert_int_equal(code == TOOL_EXIT_OK, shelf != NULL);
        shelf_close(shelf);
        assert_int_equal(test_count_fds(), fds);
        if (!hit) {
            assert_true(n >= 3);
            break;
        }
        assert_int_not_equal(code, TOOL_EXIT_OK);
        shelf_close(scene_open(0));
    }
}

static void test_open(void **state)
{
    (void)state;
    with_all(run_open);
}

static bool is_found(void *user, uint64_t number)
{
    (void)user;
    for (unsigned i = 0; i < scene_count; i++) {
        if (stored_what(scene_found[i])->number == number)
            return true;
    }
    return false;
}

/* What was not found for a reason that may pass is remembered, and found by another look; while it
 * fails, it stays so. */
static void look_again(struct shelf *shelf)
{
    bool missing = scene_count < 2;

    assert_int_equal(shelf_unread(shelf), missing && failing != ENOSPC);
    if (!shelf_unread(shelf))
        return;
    arm(0);
    shelf_scan_again(shelf, is_found, scene_take, NULL);
    assert_true(disarm());
    assert_true(shelf_unread(shelf) || scene_count == 2);
    shelf_scan_again(shelf, is_found, scene_take, NULL);
    assert_false(shelf_unread(shelf));
    assert_int_equal(scene_count, 2);
    shelf_scan_again(shelf, is_found, scene_take, NULL);
    assert_int_equal(scene_count, 2); /* nothing twice */
}

/* Each is found or it is said that it is not; and all are the next time. */
static void run_scan(void)
{
    struct stored_what one = some("one", 10);
    struct stored_what two = some("two", 20);
    struct shelf *shelf = scene_open(0);

    scene_end(scene_make(shelf, &one));
    scene_end(scene_make(shelf, &two));
    shelf_close(shelf);
    for (unsigned n = 0;; n++) {
        int fds = test_count_fds();
        int code;
        bool hit;

        shelf = scene_open(0);
        arm(n);
        code = scene_scan(shelf);
        hit = disarm();
        if (code == TOOL_EXIT_OK)
            assert_int_equal(scene_count + scene_lines, 2);
        if (!hit)
            assert_int_equal(code == TOOL_EXIT_OK && scene_count == 2, true);
        if (code == TOOL_EXIT_OK)
            look_again(shelf);
        scene_free_found();
        shelf_close(shelf);
        assert_int_equal(test_count_fds(), fds);
        if (!hit)
            break;
    }
}

static void test_scan(void **state)
{
    (void)state;
    with_all(run_scan);
}

/* ---- a container ----------------------------------------------------------------------------- */

static void test_stored_and_desk(void **state)
{
    struct stored_what what = some("c", 10);
    struct shelf *shelf = scene_open(0);
    struct stored *stored;

    (void)state;
    failalloc_arm(0);
    assert_null(stored_new(shelf, &what));
    assert_true(failalloc_disarm());
    stored = stored_new(shelf, &what);
    assert_non_null(stored);
    failalloc_arm(0);
    assert_null(desk_new(stored));
    assert_true(failalloc_disarm());
    stored_free(stored);
    shelf_close(shelf);
}

static void run_make(void)
{
    struct stored_what what = some("c", 10);
    struct shelf *shelf = scene_open(0);

    for (unsigned n = 0;; n++) {
        struct stored *stored = stored_new(shelf, &what);
        struct desk *desk = stored != NULL ? desk_new(stored) : NULL;
        int fds = test_count_fds();
        bool hit;
        int rc;

        assert_non_null(desk);
        arm(n);
        rc = scene_do(desk, DESK_MAKE);
        hit = disarm();
        assert_true(rc == 0 || (hit && is_failure(rc)));
        if (rc == 0) {
            assert_int_equal(
                scene_ask(desk, (struct mbr__broker_disk){.op = MBR__BROKER_DISK_DESTROY}, NULL),
                0);
            mbr__disk_close(stored->disk);
            stored->disk = NULL;
        }
        assert_null(stored->disk);
        assert_int_equal(test_count_fds(), fds);
        assert_int_equal(scene_entries(), 0);
        assert_int_equal(charged(shelf, 10), 0);
        scene_end(desk);
        if (!hit)
            break;
    }
    shelf_close(shelf);
}

static void test_make(void **state)
{
    (void)state;
    with_all(run_make);
}

/* ---- its memory ------------------------------------------------------------------------------ */

static void create(struct desk *desk, uint64_t id, const char *name, uint64_t size, uint64_t policy)
{
    struct mbr__broker_disk request = {
        .op = MBR__BROKER_DISK_CREATE, .id = id, .size = size, .more = policy};

    assert_int_equal(scene_ask(desk, request, name), 0);
}

static struct desk *make_with_objects(struct shelf *shelf)
{
    struct stored_what what = some("c", 10);
    struct desk *desk = scene_make(shelf, &what);

    create(desk, 1, "a", 1, MBR_WRITE_IN_PLACE);
    create(desk, 2, "b", 14 * BLOCK, MBR_WRITE_IN_PLACE); /* with far locks */
    create(desk, 3, "c", 2 * BLOCK, MBR_WRITE_VERSIONED);
    return desk;
}

/* OPENED: its files are open already. */
static bool revive_once(struct shelf *shelf, const struct stored_what *what, bool opened,
                        unsigned n)
{
    int before = test_count_fds();
    struct stored *stored = stored_new(shelf, what);
    struct desk *desk = stored != NULL ? desk_new(stored) : NULL;
    bool hit;
    int rc;

    assert_non_null(desk);
    if (opened)
        assert_int_equal(shelf_open_disk(stored), 0);
    arm(n);
    rc = scene_do(desk, DESK_REVIVE);
    hit = disarm();
    assert_true(rc == 0 || (hit && is_failure(rc)));
    assert_int_equal(rc == 0, desk->fds[0] >= 0);
    if (rc == 0)
        assert_int_equal(mbr__object_memory_check(desk->fds[0]), 0);
    desk_close_fds(desk);
    if (rc == 0) { /* the loop has put that into the container: another one is not made */
        assert_int_equal(scene_do(desk, DESK_REVIVE), 0);
        assert_true(desk->fds[0] < 0);
        stored->remembered = false;
    }
    assert_int_equal(scene_do(desk, DESK_REVIVE), 0);
    assert_int_equal(mbr__object_memory_check(desk->fds[0]), 0);
    assert_true(charged(shelf, 10) > 0);
    shelf_charge(stored, 0);
    scene_end(desk);
    assert_int_equal(test_count_fds(), before);
    return hit;
}

/* ---- memory that members have kept ----------------------------------------------------------- */

static int new_memory(void)
{
    uint64_t id[2] = {mbr__random_id(), mbr__random_id()};
    int fd = -1;

    assert_int_equal(mbr__object_memory_new("c", &fd), 0);
    assert_int_equal(pwrite(fd, id, sizeof(id), offsetof(struct mbr__container_shm, id)),
                     sizeof(id));
    return fd;
}

/* As the daemon that is started next. */
static int adopt(struct shelf *shelf, const struct stored_what *what, int memory)
{
    struct stored *stored = stored_new(shelf, what);
    struct desk *desk = stored != NULL ? desk_new(stored) : NULL;
    int rc;

    assert_non_null(desk);
    desk->lent = memory;
    rc = scene_do(desk, DESK_ADOPT);
    assert_int_equal(stored->remembered, rc == 0);
    desk->lent = -1;
    shelf_charge(stored, 0);
    scene_end(desk);
    return rc;
}

static int open_record(int flags)
{
    char path[200];

    (void)snprintf(path, sizeof(path), "%s/%016x/%s", scene_place, 1u, MBR__DISK_MEMORY);
    return open(path, flags | O_CLOEXEC);
}

static void spoil_record(struct shelf *shelf, const struct stored_what *what, int memory)
{
    int fd = open_record(O_RDWR);
    unsigned char byte;

    assert_true(fd >= 0);
    for (off_t i = 0; i < 16; i++) {
        assert_int_equal(pread(fd, &byte, 1, i), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, i), 1);
        assert_int_equal(adopt(shelf, what, memory), -ESTALE);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, i), 1);
    }
    assert_int_equal(adopt(shelf, what, memory), 0);
    for (off_t i = 15; i >= 0; i -= 5) {
        assert_int_equal(ftruncate(fd, i), 0);
        assert_int_equal(adopt(shelf, what, memory), -ESTALE);
    }
    (void)close(fd);
    (void)snprintf(scene_said, sizeof(scene_said), "%s/%016x/%s", scene_place, 1u,
                   MBR__DISK_MEMORY);
    assert_int_equal(unlink(scene_said), 0);
    assert_int_equal(adopt(shelf, what, memory), -ESTALE);
}

/* The last memory is taken back, also over failures; one before it never. */
static void test_adopt(void **state)
{
    struct shelf *shelf = scene_open(0);
    struct stored_what what = some("c", 10);
    struct stored *stored = stored_new(shelf, &what);
    struct desk *desk = stored != NULL ? desk_new(stored) : NULL;
    int first = new_memory();
    int second;
    bool hit = true;

    (void)state;
    assert_non_null(desk);
    desk->lent = first;
    assert_int_equal(scene_do(desk, DESK_MAKE), 0);
    desk->lent = -1;
    what = stored->what;
    scene_end(desk);
    for (unsigned n = 0; hit; n++) {
        int rc;

        stored = stored_new(shelf, &what);
        desk = desk_new(stored);
        assert_non_null(desk);
        desk->lent = first;
        arm(n);
        rc = scene_do(desk, DESK_ADOPT);
        hit = disarm();
        assert_true(rc == 0 || (hit && is_failure(rc)));
        desk->lent = -1;
        scene_end(desk);
    }
    second = new_memory();
    assert_int_equal(adopt(shelf, &what, second), -ESTALE);
    assert_int_equal(adopt(shelf, &what, first), 0);
    stored = stored_new(shelf, &what);
    desk = desk_new(stored);
    assert_int_equal(scene_do(desk, DESK_REVIVE), 0);
    (void)close(second);
    second = desk->fds[0];
    desk->fds[0] = -1;
    scene_end(desk);
    assert_int_equal(adopt(shelf, &what, first), -ESTALE);
    assert_int_equal(adopt(shelf, &what, second), 0);
    spoil_record(shelf, &what, second);
    (void)close(first);
    (void)close(second);
    shelf_close(shelf);
}

static void run_revive(void)
{
    struct shelf *shelf = scene_open(0);
    struct desk *desk = make_with_objects(shelf);
    struct stored_what what = desk->stored->what;
    unsigned n;

    shelf_charge(desk->stored, 0);
    scene_end(desk);
    for (int opened = 0; opened < 2; opened++) {
        for (n = 0; revive_once(shelf, &what, opened != 0, n); n++)
            continue;
        assert_true(n > 0);
    }
    shelf_close(shelf);
}

static void test_revive(void **state)
{
    (void)state;
    with_all(run_revive);
}

/* ---- requests -------------------------------------------------------------------------------- */

static const struct {
    struct mbr__broker_disk request;
    const char *name;
} steps[] = {
    {{.op = MBR__BROKER_DISK_OPEN}, NULL},
    {{.op = MBR__BROKER_DISK_CREATE, .id = 4, .size = 3 * BLOCK}, "d"},
    {{.op = MBR__BROKER_DISK_RENAME, .id = 4}, "e"},
    {{.op = MBR__BROKER_DISK_BEGIN, .id = 4, .size = 3 * BLOCK}, NULL},
    {{.op = MBR__BROKER_DISK_BLOCK, .id = 4, .more = 1}, NULL},
    {{.op = MBR__BROKER_DISK_COMMIT, .id = 4}, NULL},
    {{.op = MBR__BROKER_DISK_RESIZE, .id = 4, .size = 2 * BLOCK, .more = UINT64_MAX}, NULL},
    {{.op = MBR__BROKER_DISK_REMOVE, .id = 2}, NULL},
    {{.op = MBR__BROKER_DISK_STATE}, NULL},
};

#define BEGIN  3u
#define STEPS  (sizeof(steps) / sizeof(steps[0]))
#define ROUNDS 400u /* more than any of them has calls */

static int do_step(struct desk *desk, size_t step, int lent)
{
    int rc;

    if (steps[step].request.op == MBR__BROKER_DISK_OPEN)
        desk->lent = fcntl(lent, F_DUPFD_CLOEXEC, 0);
    rc = scene_ask(desk, steps[step].request, steps[step].name);
    assert_int_equal(rc == 0 && steps[step].request.op == MBR__BROKER_DISK_OPEN,
                     desk->fds[0] >= 0 && desk->fds[1] >= 0);
    desk_close_fds(desk);
    return rc;
}

/* What a member does after a write has failed. */
static void write_again(struct desk *desk, size_t until, int lent)
{
    for (size_t i = BEGIN; i < until; i++)
        assert_int_equal(do_step(desk, i, lent), 0);
}

/* One step, until nothing fails in it. Whatever has failed may be asked for again. */
static void run_step(struct desk *desk, size_t step, int lent)
{
    uint32_t op = steps[step].request.op;

    for (unsigned n = 0; n < ROUNDS; n++) {
        const struct mbr__catalog *catalog = mbr__disk_catalog(desk->stored->disk);
        uint64_t last = catalog->last_id;
        size_t count = catalog->by_id.count;
        bool hit;
        int rc;

        arm(n);
        rc = do_step(desk, step, lent);
        hit = disarm();
        if (rc == 0)
            return;
        assert_true(hit && is_failure(rc));
        catalog = mbr__disk_catalog(desk->stored->disk);
        assert_int_equal(catalog->last_id, last);
        assert_int_equal(catalog->by_id.count, count);
        if (op == MBR__BROKER_DISK_BLOCK || op == MBR__BROKER_DISK_COMMIT)
            write_again(desk, step, lent);
    }
    fail_msg("step %zu has not come to its end", step);
}

/* The same from the files. */
static void check_all(struct shelf *shelf, const struct stored_what *what,
                      const unsigned char *bytes)
{
    unsigned char *read = malloc(BLOCK);
    struct stored *stored = stored_new(shelf, what);
    const struct mbr__catalog_object *o;

    assert_non_null(read);
    assert_non_null(stored);
    assert_int_equal(shelf_open_disk(stored), 0);
    assert_int_equal(mbr__disk_catalog(stored->disk)->by_id.count, 3);
    o = mbr__catalog_by_id(mbr__disk_catalog(stored->disk), 4);
    assert_non_null(o);
    assert_string_equal(o->name, "e");
    assert_int_equal(o->size, 2 * BLOCK);
    assert_int_equal(mbr__disk_read(stored->disk, 4, 1, read), 0);
    assert_memory_equal(read, bytes, BLOCK);
    stored_free(stored);
    free(read);
}

static void run_requests(void)
{
    struct shelf *shelf = scene_open(0);
    struct desk *desk = make_with_objects(shelf);
    struct stored_what what = desk->stored->what;
    int fds = test_count_fds();
    unsigned char *bytes;
    int lent;

    assert_int_equal(mbr__object_desk_new(BLOCK, &lent), 0);
    bytes = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, lent, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    model_fill(bytes, 77, BLOCK);
    for (size_t i = 0; i < STEPS; i++)
        run_step(desk, i, lent);
    assert_int_equal(charged(shelf, 10), desk->stored->bytes);
    assert_int_equal(charged(shelf, 10), 3 * 1024 + BLOCK);
    assert_int_equal(test_count_fds(), fds + 2); /* the desk, at both ends */
    scene_end(desk);
    check_all(shelf, &what, bytes);
    (void)munmap(bytes, BLOCK);
    (void)close(lent);
    shelf_close(shelf);
}

static void test_requests(void **state)
{
    (void)state;
    with_all(run_requests);
}

/* ---- a member's end -------------------------------------------------------------------------- */

static void run_serve(void)
{
    int fds = test_count_fds();

    for (unsigned n = 0;; n++) {
        struct mbr__disk *disk = NULL;
        bool hit;
        int rc;

        arm(n);
        rc = mbr__disk_serve(-1, &disk); /* asks for nothing yet */
        hit = disarm();
        assert_true(rc == 0 || (hit && is_failure(rc)));
        assert_int_equal(rc == 0, disk != NULL);
        mbr__disk_close(disk);
        assert_int_equal(test_count_fds(), fds);
        if (!hit) {
            assert_true(n >= 2);
            break;
        }
    }
}

static void test_serve(void **state)
{
    (void)state;
    with_all(run_serve);
}

/* The daemon's answer to the request SEQ, which may be there before it is asked for. */
static void put_answer(struct desk *desk, int to, uint32_t seq)
{
    struct mbr__note note = {.len = sizeof(desk->answer), .nfds = 2};

    assert_int_equal(
        scene_ask(desk, (struct mbr__broker_disk){.op = MBR__BROKER_DISK_OPEN, .seq = seq}, NULL),
        0);
    memcpy(note.data, &desk->answer, sizeof(desk->answer));
    memcpy(note.fds, desk->fds, sizeof(desk->fds));
    assert_int_equal(mbr__conn_send(to, &note), 0);
    desk_close_fds(desk);
}

/* What was opened first is read; if that fails, the next refresh opens it again. */
static bool refresh_once(struct desk *desk, unsigned n)
{
    int fds = test_count_fds();
    struct mbr__disk *disk;
    int ends[2];
    bool hit;
    int rc;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                     0);
    assert_int_equal(mbr__disk_serve(ends[0], &disk), 0);
    mbr__disk_deadline(disk, 1); /* answers are there: whoever waits has asked once too often */
    put_answer(desk, ends[1], 1);
    arm(n);
    rc = mbr__disk_refresh(disk, false);
    hit = disarm();
    assert_true(rc == 0 || (hit && is_failure(rc)));
    if (rc != 0) {
        put_answer(desk, ends[1], 2);
        assert_int_equal(mbr__disk_refresh(disk, false), 0);
    }
    assert_int_equal(mbr__disk_catalog(disk)->by_id.count, 3);
    mbr__disk_close(disk);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(test_count_fds(), fds);
    return hit;
}

static void run_refresh(void)
{
    struct shelf *shelf = scene_open(0);
    struct desk *desk = make_with_objects(shelf);
    unsigned n;

    for (n = 0; refresh_once(desk, n); n++)
        continue;
    assert_true(n > 0);
    scene_end(desk);
    shelf_close(shelf);
}

static void test_refresh(void **state)
{
    (void)state;
    with_all(run_refresh);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, scene_begin, scene_clear)
    const struct CMUnitTest tests[] = {
        T(test_open),   T(test_scan),     T(test_stored_and_desk), T(test_make),    T(test_adopt),
        T(test_revive), T(test_requests), T(test_serve),           T(test_refresh),
    };

    return cmocka_run_group_tests(tests, scene_group_begin, scene_group_end);
}
