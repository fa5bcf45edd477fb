/* SPDX-License-Identifier: MIT */
/*
 * Regions: what their owner gets, what a peer may do with one, every stranger's descriptor that is
 * refused, and every system call on the way failing in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "shm/proc.h"
#include "shm/region.h"
#include "shm_test.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

/* ---- wrapped calls --------------------------------------------------------------------------- */

static bool old_memfd;    /* a kernel without MFD_NOEXEC_SEAL */
static bool old_madvise;  /* a kernel without MADV_POPULATE_WRITE */
static bool old_seals;    /* a kernel without F_SEAL_FUTURE_WRITE */
static int interruptions; /* fallocate() is interrupted so many times */

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __real_fallocate(int fd, int mode, off_t at, off_t len);
int __wrap_fallocate(int fd, int mode, off_t at, off_t len);
int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

int __wrap_memfd_create(const char *name, unsigned flags)
{
    if (test_calls_now())
        return -1;
    if (old_memfd && (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING)) != 0) {
        errno = EINVAL;
        return -1;
    }
    return __real_memfd_create(name, flags);
}

int __wrap_fallocate(int fd, int mode, off_t at, off_t len)
{
    if (test_calls_now())
        return -1;
    if (interruptions > 0) {
        interruptions--;
        errno = EINTR;
        return -1;
    }
    return __real_fallocate(fd, mode, at, len);
}

int __wrap_madvise(void *at, size_t len, int advice)
{
    if (test_calls_now())
        return -1;
    if (old_madvise && advice == 23) {
        errno = EINVAL;
        return -1;
    }
    return __real_madvise(at, len, advice);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    int arg;

    va_start(args, command);
    arg = va_arg(args, int);
    va_end(args);
    if (test_calls_now())
        return -1;
    if (old_seals && command == F_ADD_SEALS && (arg & F_SEAL_FUTURE_WRITE) != 0) {
        errno = EINVAL;
        return -1;
    }
    return __real_fcntl(fd, command, arg);
}

TEST_WRAP(int, -1, ftruncate, (int fd, off_t len), (fd, len))
TEST_WRAP(int, -1, fstat, (int fd, struct stat *st), (fd, st))
TEST_WRAP(int, -1, fstatfs, (int fd, void *fs), (fd, fs))
TEST_WRAP(off_t, -1, lseek, (int fd, off_t at, int whence), (fd, at, whence))
TEST_WRAP(void *, MAP_FAILED, mmap,
          (void *at, size_t len, int prot, int flags, int fd, off_t offset),
          (at, len, prot, flags, fd, offset))

/* ---- the owner's side ------------------------------------------------------------------------ */

static void creates_zeroed_and_mirrored(void **state)
{
    struct test_held before = test_held();
    struct mbr__region r;
    uint8_t *body;

    assert_int_equal(mbr__region_create("label of mine", PAGE, 4 * PAGE, &r), 0);
    assert_true(r.writable);
    assert_int_equal(r.head, PAGE);
    assert_int_equal(r.body, 4 * PAGE);
    for (size_t i = 0; i < 9 * PAGE; i++)
        assert_int_equal(r.base[i], 0);

    body = mbr__region_body(&r);
    assert_ptr_equal(body, r.base + PAGE);
    memset(body + 4 * PAGE - 8, 0x5a, 16);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(body[i], 0x5a);
        assert_int_equal(body[8 * PAGE - 8 + i], 0x5a);
    }
    assert_int_equal(r.base[0], 0);
    assert_int_equal(__real_fcntl(r.fd, F_GETFD, 0) & FD_CLOEXEC, FD_CLOEXEC);
    mbr__region_release(&r);
    test_assert_held(before);
}

static void shows_its_label(void **state)
{
    char label[301];
    char link[64];
    char text[512] = {0};
    struct mbr__region r;

    memset(label, 'x', 300);
    label[300] = '\0';
    assert_int_equal(mbr__region_create(label, PAGE, 0, &r), 0);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", r.fd);
    assert_true(readlink(link, text, sizeof(text) - 1) > 0);
    label[MBR__REGION_LABEL_MAX] = '\0';
    assert_non_null(strstr(text, "/memfd:x"));
    assert_non_null(strstr(text, label));
    assert_null(strstr(text, "(deleted)x"));
    mbr__region_release(&r);

    assert_int_equal(mbr__region_create(NULL, PAGE, 0, &r), 0);
    mbr__region_release(&r);
}

static void refuses_bad_sizes(void **state)
{
    static const struct mbr__region zero;
    struct mbr__region r = zero;
    struct test_held before = test_held();

    assert_int_equal(mbr__region_create("x", 0, PAGE, &r), -EINVAL);
    assert_int_equal(mbr__region_create("x", PAGE / 2, PAGE, &r), -EINVAL);
    assert_int_equal(mbr__region_create("x", PAGE, 1, &r), -EINVAL);
    assert_int_equal(mbr__region_create("x", PAGE, MBR__REGION_MAX, &r), -EINVAL);
    assert_int_equal(mbr__region_create("x", MBR__REGION_MAX + PAGE, 0, &r), -EINVAL);
    assert_int_equal(mbr__region_create("x", PAGE, SIZE_MAX - PAGE + 1, &r), -EINVAL);
    assert_memory_equal(&r, &zero, sizeof(r));
    test_assert_held(before);
}

static void nobody_can_take_it_away(void **state)
{
    struct mbr__region r;
    char path[64];
    int fd;

    assert_int_equal(mbr__region_create("x", PAGE, PAGE, &r), 0);
    r.base[5] = 7;
    assert_int_equal(__real_fcntl(r.fd, F_GET_SEALS, 0) & ALL_SEALS, ALL_SEALS);
    assert_true(ftruncate(r.fd, 0) < 0);
    assert_true(ftruncate(r.fd, (off_t)(3 * PAGE)) < 0);
    assert_true(fallocate(r.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)PAGE) < 0);
    assert_true(pwrite(r.fd, "x", 1, 0) < 0);
    assert_true(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0) == MAP_FAILED);
    assert_true(madvise(r.base, PAGE, MADV_REMOVE) < 0);
    assert_true(__real_fcntl(r.fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);

    /* A description of one's own, opened for writing, gives no more. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", r.fd);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        assert_true(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
        assert_true(ftruncate(fd, 0) < 0);
        close(fd);
    }
    r.base[6] = 8; /* the owner still can */
    assert_int_equal(r.base[5], 7);
    mbr__region_release(&r);
}

static void survives_old_kernels_and_signals(void **state)
{
    struct mbr__region owner;
    struct mbr__region peer;

    old_memfd = true;
    old_madvise = true;
    interruptions = 3;
    assert_int_equal(mbr__region_create("x", PAGE, 2 * PAGE, &owner), 0);
    old_memfd = false;
    old_madvise = false;
    assert_int_equal(interruptions, 0);
    assert_int_equal(mbr__region_attach(owner.fd, PAGE, 2 * PAGE, &peer), 0);
    mbr__region_release(&peer);
    mbr__region_release(&owner);

    old_seals = true;
    assert_int_equal(mbr__region_create("x", PAGE, 0, &owner), -ENOSYS);
    old_seals = false;
}

static void over_the_file_size_limit(void *arg)
{
    struct rlimit limit = {PAGE, PAGE};
    struct mbr__region r;

    (void)arg;
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHILD_CHECK(mbr__region_create("x", PAGE, PAGE, &r) == -ENOMEM);
    CHILD_CHECK(mbr__region_create("x", PAGE, 0, &r) == 0);
    mbr__region_release(&r);
}

static void obeys_the_file_size_limit_without_a_signal(void **state)
{
    test_child_passes(over_the_file_size_limit, NULL);
}

static void without_descriptors(void *arg)
{
    struct rlimit limit = {0, 0};
    struct mbr__region r;

    (void)arg;
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHILD_CHECK(mbr__region_create("x", PAGE, PAGE, &r) == -EMFILE);
}

static void says_when_descriptors_run_out(void **state)
{
    test_child_passes(without_descriptors, NULL);
}

/* ---- the peer's side ------------------------------------------------------------------------- */

static void attaches_read_only(void **state)
{
    struct test_held before = test_held();
    struct mbr__region owner;
    struct mbr__region peer;

    assert_int_equal(mbr__region_create("x", PAGE, 2 * PAGE, &owner), 0);
    assert_int_equal(mbr__region_attach(owner.fd, PAGE, 2 * PAGE, &peer), 0);
    assert_false(peer.writable);
    assert_int_equal(peer.fd, -1);
    owner.base[3] = 33;
    mbr__region_body(&owner)[2 * PAGE] = 44; /* the mirror of its first byte */
    assert_int_equal(peer.base[3], 33);
    assert_int_equal(mbr__region_body(&peer)[0], 44);
    assert_int_equal(mbr__region_body(&peer)[2 * PAGE], 44);
    assert_true(mprotect(peer.base, PAGE, PROT_READ | PROT_WRITE) < 0);

    /* It outlives its owner. */
    mbr__region_drop_fd(&owner);
    assert_int_equal(owner.fd, -1);
    mbr__region_release(&owner);
    assert_int_equal(peer.base[3], 33);
    mbr__region_release(&peer);
    mbr__region_release(&peer);
    mbr__region_release(NULL);
    test_assert_held(before);
}

static void attaches_whatever_size(void **state)
{
    struct mbr__region owner;
    struct mbr__region peer;

    assert_int_equal(mbr__region_create("x", PAGE, 2 * PAGE, &owner), 0);
    assert_int_equal(mbr__region_attach_any(owner.fd, PAGE, 2 * PAGE, &peer), 0);
    assert_int_equal(peer.body, 2 * PAGE);
    mbr__region_release(&peer);
    assert_int_equal(mbr__region_attach_any(owner.fd, 3 * PAGE, SIZE_MAX, &peer), 0);
    assert_int_equal(peer.body, 0);
    mbr__region_release(&peer);
    assert_int_equal(mbr__region_attach_any(owner.fd, PAGE, PAGE, &peer), -EPROTO);
    assert_int_equal(mbr__region_attach_any(owner.fd, 4 * PAGE, SIZE_MAX, &peer), -EPROTO);
    assert_int_equal(mbr__region_attach_any(owner.fd, 0, SIZE_MAX, &peer), -EINVAL);
    assert_int_equal(mbr__region_attach_any(owner.fd, 7, SIZE_MAX, &peer), -EINVAL);
    mbr__region_release(&owner);
}

static void refuses_wrong_sizes(void **state)
{
    struct mbr__region owner;
    struct mbr__region peer;

    assert_int_equal(mbr__region_create("x", PAGE, 2 * PAGE, &owner), 0);
    assert_int_equal(mbr__region_attach(owner.fd, PAGE, PAGE, &peer), -EPROTO);
    assert_int_equal(mbr__region_attach(owner.fd, PAGE, 3 * PAGE, &peer), -EPROTO);
    assert_int_equal(mbr__region_attach(owner.fd, PAGE, 1, &peer), -EINVAL);
    assert_int_equal(mbr__region_attach(-1, PAGE, PAGE, &peer), -EBADF);
    assert_int_equal(mbr__region_attach(100000, PAGE, PAGE, &peer), -EBADF);
    mbr__region_release(&owner);
}

/* Attaches a descriptor that must be refused, and closes it. */
static void refuse(int fd)
{
    static const struct mbr__region zero;
    struct test_held before = test_held();
    struct mbr__region r = zero;

    assert_true(fd >= 0);
    assert_int_equal(mbr__region_attach(fd, PAGE, PAGE, &r), -EPROTO);
    assert_int_equal(mbr__region_attach_any(fd, PAGE, SIZE_MAX, &r), -EPROTO);
    assert_memory_equal(&r, &zero, sizeof(r));
    test_assert_held(before);
    close(fd);
}

static int memfd(unsigned more_flags)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | more_flags);

    if (fd >= 0 && more_flags == 0)
        assert_int_equal(ftruncate(fd, (off_t)(2 * PAGE)), 0);
    return fd;
}

static void fill(int fd, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        assert_int_equal(pwrite(fd, "f", 1, (off_t)(at + i)), 1);
}

static void refuses_missing_seals(void **state)
{
    static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL};
    struct mbr__region r;
    int fd;

    for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
        fd = memfd(0);
        fill(fd, 0, 2 * PAGE);
        assert_int_equal(__real_fcntl(fd, F_ADD_SEALS, ALL_SEALS & ~seals[i]), 0);
        refuse(fd);
    }
    fd = memfd(0);
    fill(fd, 0, 2 * PAGE);
    refuse(dup(fd));

    /* The same file with all of them, and one more, will do. */
    assert_int_equal(__real_fcntl(fd, F_ADD_SEALS, ALL_SEALS | F_SEAL_WRITE), 0);
    assert_int_equal(mbr__region_attach(fd, PAGE, PAGE, &r), 0);
    mbr__region_release(&r);
    close(fd);

    fd = memfd_create("hostile", MFD_CLOEXEC); /* may not be sealed at all */
    assert_int_equal(ftruncate(fd, (off_t)(2 * PAGE)), 0);
    fill(fd, 0, 2 * PAGE);
    refuse(fd);
}

static void refuses_holes(void **state)
{
    int fd = memfd(0);

    assert_int_equal(__real_fcntl(fd, F_ADD_SEALS, ALL_SEALS), 0);
    refuse(fd);

    fd = memfd(0);
    fill(fd, 0, PAGE);
    assert_int_equal(__real_fcntl(fd, F_ADD_SEALS, ALL_SEALS), 0);
    refuse(fd);

    /* Blocks beyond the end count as blocks of the file, and fill no hole in it. */
    fd = memfd(0);
    fill(fd, 0, PAGE);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)(2 * PAGE), (off_t)(8 * PAGE)), 0);
    assert_int_equal(__real_fcntl(fd, F_ADD_SEALS, ALL_SEALS), 0);
    refuse(fd);

    fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* no bytes at all */
    assert_int_equal(__real_fcntl(fd, F_ADD_SEALS, ALL_SEALS), 0);
    refuse(fd);
}

static void refuses_other_objects(void **state)
{
    char disk[] = "/tmp/membrane-region-XXXXXX";
    char name[64];
    int pair[2];
    int fd = mkstemp(disk);

    fill(fd, 0, 2 * PAGE);
    refuse(dup(fd));
    unlink(disk);
    refuse(fd);

    refuse(open("/dev/zero", O_RDWR | O_CLOEXEC));
    refuse(open("/dev/null", O_RDWR | O_CLOEXEC));
    refuse(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    refuse(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    refuse(pair[0]);
    refuse(pair[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    refuse(pair[0]);
    refuse(pair[1]);

    snprintf(name, sizeof(name), "/membrane-region-%d", (int)getpid());
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    fill(fd, 0, 2 * PAGE);
    refuse(dup(fd));
    shm_unlink(name);
    refuse(fd);
}

static void refuses_huge_pages(void **state)
{
    int fd = memfd(MFD_HUGETLB);

    if (fd < 0)
        skip();
    if (ftruncate(fd, 2 << 20) == 0)
        (void)__real_fcntl(fd, F_ADD_SEALS, ALL_SEALS);
    refuse(fd);
}

/* ---- forks ----------------------------------------------------------------------------------- */

/* The child has no mapping. Something else of its own may be there: release must leave it alone. */
static void inherited(void *arg)
{
    struct mbr__region *r = arg;
    unsigned char there;
    uint8_t *base = r->base;
    int fd = r->fd;
    uint8_t *own;

    CHILD_CHECK(mincore(base, PAGE, &there) < 0 && errno == ENOMEM);
    own = mmap(base, PAGE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHILD_CHECK(own == base);
    own[0] = 9;
    mbr__region_release(r);
    CHILD_CHECK(own[0] == 9);
    CHILD_CHECK(r->base == NULL && r->fd == -1);
    CHILD_CHECK(__real_fcntl(fd, F_GETFD, 0) < 0 && errno == EBADF);
}

static void child_does_not_inherit_it(void **state)
{
    struct mbr__region owner;
    struct mbr__region peer;

    assert_int_equal(mbr__region_create("x", PAGE, PAGE, &owner), 0);
    assert_int_equal(mbr__region_attach(owner.fd, PAGE, PAGE, &peer), 0);
    test_child_passes(inherited, &owner);
    owner.base[1] = 1;
    assert_int_equal(peer.base[1], 1);

    /* An attached one has no descriptor to lose; give it one for the check. */
    peer.fd = dup(owner.fd);
    test_child_passes(inherited, &peer);
    mbr__region_release(&peer);
    mbr__region_release(&owner);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void each_call_of_create_fails(int error)
{
    struct mbr__region r = {.fd = -2};
    struct test_held before = test_held();
    int turns = 0;

    for (;; turns++) {
        bool hit;
        int err;

        test_calls_arm(turns, error);
        err = mbr__region_create("x", PAGE, 2 * PAGE, &r);
        hit = test_calls_disarm();
        if (err == 0)
            mbr__region_release(&r);
        else
            assert_int_equal(r.fd, -2);
        test_assert_held(before);
        if (!hit)
            break;
        if (error == ENOMEM)
            assert_int_equal(err, -ENOMEM);
        r = (struct mbr__region){.fd = -2};
    }
    assert_true(turns >= 8);
}

static void survives_failures_of_create(void **state)
{
    each_call_of_create_fails(ENOMEM);
    each_call_of_create_fails(ENOSPC);
    each_call_of_create_fails(EINVAL);
    each_call_of_create_fails(EPERM);
}

static void survives_failures_of_attach(void **state)
{
    struct mbr__region owner;
    struct mbr__region r;
    struct test_held before;
    int turns = 0;

    assert_int_equal(mbr__region_create("x", PAGE, 2 * PAGE, &owner), 0);
    before = test_held();
    for (;; turns++) {
        bool hit;
        int err;

        test_calls_arm(turns, ENOMEM);
        err = mbr__region_attach(owner.fd, PAGE, 2 * PAGE, &r);
        hit = test_calls_disarm();
        if (err == 0)
            mbr__region_release(&r);
        else
            assert_true(err == -EPROTO || err == -ENOMEM);
        test_assert_held(before);
        if (!hit)
            break;
        assert_true(err < 0);
    }
    assert_true(turns >= 7);
    mbr__region_release(&owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates_zeroed_and_mirrored),
        cmocka_unit_test(shows_its_label),
        cmocka_unit_test(refuses_bad_sizes),
        cmocka_unit_test(nobody_can_take_it_away),
        cmocka_unit_test(survives_old_kernels_and_signals),
        cmocka_unit_test(obeys_the_file_size_limit_without_a_signal),
        cmocka_unit_test(says_when_descriptors_run_out),
        cmocka_unit_test(attaches_read_only),
        cmocka_unit_test(attaches_whatever_size),
        cmocka_unit_test(refuses_wrong_sizes),
        cmocka_unit_test(refuses_missing_seals),
        cmocka_unit_test(refuses_holes),
        cmocka_unit_test(refuses_other_objects),
        cmocka_unit_test(refuses_huge_pages),
        cmocka_unit_test(child_does_not_inherit_it),
        cmocka_unit_test(survives_failures_of_create),
        cmocka_unit_test(survives_failures_of_attach),
    };

    (void)mbr__fork_mark(); /* its page is made once and stays: not a leak of what is tested */
    return cmocka_run_group_tests_name("shm_region", tests, NULL, NULL);
}
