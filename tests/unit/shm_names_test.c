/* SPDX-License-Identifier: MIT */
/*
 * Rendezvous names: which directory, what is refused in its place, the lock between processes,
 * links and everything that may stand where a link should, the text of links against its grammar.
 *
 * Processes take turns through pipes; nothing here waits for time to pass.
 */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "prop.h"
#include "shm/names.h"
#include "shm_test.h"

/* ---- wrapped calls --------------------------------------------------------------------------- */

static uid_t pretend_uid;    /* geteuid() says this, unless 0 */
static bool pretend_root;    /* or 0 */
static bool only_look;       /* open() notes the path and fails with ENOSYS */
static char looked_at[5000]; /* that path */
static int random_zeroes;    /* getrandom() gives 0 so many times */

uid_t __real_geteuid(void);
uid_t __wrap_geteuid(void);
int __real_open(const char *path, int flags, int mode);
int __wrap_open(const char *path, int flags, int mode);
ssize_t __real_getrandom(void *buf, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);

uid_t __wrap_geteuid(void)
{
    if (pretend_root)
        return 0;
    return pretend_uid != 0 ? pretend_uid : __real_geteuid();
}

int __wrap_open(const char *path, int flags, int mode)
{
    if (test_calls_now())
        return -1;
    if (only_look) {
        snprintf(looked_at, sizeof(looked_at), "%s", path);
        errno = ENOSYS;
        return -1;
    }
    return __real_open(path, flags, mode);
}

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
    if (test_calls_now())
        return -1;
    if (random_zeroes > 0) {
        random_zeroes--;
        memset(buf, 0, len);
        return (ssize_t)len;
    }
    return __real_getrandom(buf, len, flags);
}

TEST_WRAP(int, -1, openat, (int dir, const char *path, int flags, int mode),
          (dir, path, flags, mode))
TEST_WRAP(int, -1, fstat, (int fd, struct stat *st), (fd, st))
TEST_WRAP(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
TEST_WRAP(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
TEST_WRAP(int, -1, flock, (int fd, int how), (fd, how))
TEST_WRAP(ssize_t, -1, readlinkat, (int dir, const char *path, char *buf, size_t len),
          (dir, path, buf, len))
TEST_WRAP(int, -1, symlinkat, (const char *text, int dir, const char *path), (text, dir, path))
TEST_WRAP(int, -1, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
TEST_WRAP(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
TEST_WRAP(DIR *, NULL, fdopendir, (int fd), (fd))

/* ---- the place of a test --------------------------------------------------------------------- */

static char scratch[] = "/tmp/membrane-names-XXXXXX";
static char place[64]; /* $MEMBRANE_DIR: scratch/d */

static char *in_scratch(const char *name)
{
    static char path[4][128];
    static int next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", scratch, name);
    return p;
}

static void clean_scratch(void)
{
    char command[128];

    snprintf(command, sizeof(command), "chmod -R u+rwx %s/* 2>/dev/null; rm -rf %s/*", scratch,
             scratch);
    if (system(command) != 0)
        fprintf(stderr, "cannot clean %s\n", scratch);
}

static int setup(void **state)
{
    snprintf(place, sizeof(place), "%s/d", scratch);
    setenv("MEMBRANE_DIR", place, 1);
    return 0;
}

static int teardown(void **state)
{
    umask(022);
    clean_scratch();
    return 0;
}

static int make_scratch(void **state)
{
    if (mkdtemp(scratch) == NULL)
        return -1;
    return chmod(scratch, 0755);
}

static int remove_scratch(void **state)
{
    return rmdir(scratch);
}

static struct mbr__link some_link(void)
{
    return (struct mbr__link){.owner = {4711, 123456789, 0xfee1dead},
                              .fd = 5,
                              .wake = -1,
                              .state = 'w',
                              .id = {UINT64_MAX, 0},
                              .inst = 0x1234,
                              .value = 99};
}

static void assert_link_equal(const struct mbr__link *a, const struct mbr__link *b)
{
    assert_int_equal(a->owner.pid, b->owner.pid);
    assert_int_equal(a->owner.start, b->owner.start);
    assert_int_equal(a->owner.ns, b->owner.ns);
    assert_int_equal(a->fd, b->fd);
    assert_int_equal(a->wake, b->wake);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->id[0], b->id[0]);
    assert_int_equal(a->id[1], b->id[1]);
    assert_int_equal(a->inst, b->inst);
    assert_int_equal(a->value, b->value);
}

/* ---- which directory ------------------------------------------------------------------------- */

static void assert_looks_at(const char *expected)
{
    struct mbr__names n;

    looked_at[0] = '\0';
    only_look = true;
    assert_int_equal(mbr__names_open(&n), -ENOSYS);
    only_look = false;
    assert_string_equal(looked_at, expected);
}

static void chooses_the_directory(void **state)
{
    setenv("XDG_RUNTIME_DIR", "/some/where", 1);
    setenv("MEMBRANE_DIR", "/my/place", 1);
    assert_looks_at("/my/place");
    setenv("MEMBRANE_DIR", "/my/place///", 1);
    assert_looks_at("/my/place");
    setenv("MEMBRANE_DIR", "", 1);
    pretend_root = true;
    assert_looks_at("/run/membrane");
    unsetenv("MEMBRANE_DIR");
    assert_looks_at("/run/membrane");
    pretend_root = false;

    pretend_uid = 3999999999u;
    assert_looks_at("/some/where/membrane");
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_looks_at("/dev/shm/membrane-3999999999");
    unsetenv("XDG_RUNTIME_DIR");
    assert_looks_at("/dev/shm/membrane-3999999999");
    pretend_uid = 0;
}

static void refuses_bad_paths(void **state)
{
    static const char *const paths[] = {"relative", "./x",    ".",       "/",
                                        "///",      "/tmp/.", "/tmp/..", "/tmp/./"};
    char *path = malloc(PATH_MAX + 10);
    struct mbr__names n = {.dir = -9};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        setenv("MEMBRANE_DIR", paths[i], 1);
        assert_int_equal(mbr__names_open(&n), -EINVAL);
    }
    memset(path, 'x', PATH_MAX + 9);
    path[0] = '/';
    path[PATH_MAX + 9] = '\0';
    setenv("MEMBRANE_DIR", path, 1);
    assert_int_equal(mbr__names_open(&n), -ENAMETOOLONG);
    path[PATH_MAX - 1] = '\0'; /* too long a component */
    setenv("MEMBRANE_DIR", path, 1);
    assert_int_equal(mbr__names_open(&n), -ENAMETOOLONG);
    free(path);
    setenv("MEMBRANE_DIR", in_scratch("no/such/parent"), 1);
    assert_int_equal(mbr__names_open(&n), -ENOENT);
    close(creat(in_scratch("file"), 0600));
    setenv("MEMBRANE_DIR", in_scratch("file/below"), 1);
    assert_int_equal(mbr__names_open(&n), -ENOTDIR);
    assert_int_equal(n.dir, -9);
}

static void makes_the_directory(void **state)
{
    struct test_held before = test_held();
    struct mbr__names n;
    struct stat st;

    for (int again = 0; again < 2; again++) {
        assert_int_equal(mbr__names_open(&n), 0);
        assert_string_equal(n.path, place);
        assert_int_equal(stat(place, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(fcntl(n.dir, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        mbr__names_close(&n);
        mbr__names_close(&n);
        test_assert_held(before);
    }
    mbr__names_close(NULL);
    n = (struct mbr__names){0};
    mbr__names_close(&n);
    assert_true(fcntl(0, F_GETFD) >= 0);
}

static void with_umask(void *arg)
{
    struct mbr__names n;
    struct stat st;

    test_drop_root();
    CHILD_CHECK(setenv("MEMBRANE_DIR", in_scratch("open/d"), 1) == 0);
    umask(0200);
    CHILD_CHECK(mbr__names_open(&n) == 0);
    CHILD_CHECK(stat(n.path, &st) == 0 && (st.st_mode & 07777) == 0700);
    mbr__names_close(&n);
    CHILD_CHECK(rmdir(n.path) == 0);

    umask(0777); /* cannot even be opened */
    CHILD_CHECK(mbr__names_open(&n) == -EACCES);
    CHILD_CHECK(stat(n.path, &st) < 0 && errno == ENOENT);
}

static void copes_with_any_umask(void **state)
{
    assert_int_equal(mkdir(in_scratch("open"), 0777), 0);
    assert_int_equal(chmod(in_scratch("open"), 0777), 0);
    test_child_passes(with_umask, NULL);
}

static void refused_as(int expected)
{
    struct test_held before = test_held();
    struct mbr__names n = {.dir = -9};

    assert_int_equal(mbr__names_open(&n), expected);
    assert_int_equal(n.dir, -9);
    test_assert_held(before);
}

static void refuses_squatters(void **state)
{
    static const mode_t modes[] = {0777, 0755, 0701, 0710, 0500, 01777};
    struct mbr__names n;

    assert_int_equal(mkdir(in_scratch("real"), 0700), 0);
    assert_int_equal(symlink(in_scratch("real"), place), 0);
    refused_as(-EPERM);
    setenv("MEMBRANE_DIR", in_scratch("d/"), 1); /* a slash makes the kernel follow it */
    refused_as(-EPERM);
    setup(state);
    assert_int_equal(unlink(place), 0);

    assert_int_equal(symlink("nowhere", place), 0);
    refused_as(-EPERM);
    assert_int_equal(unlink(place), 0);

    close(creat(place, 0700));
    refused_as(-EPERM);
    assert_int_equal(unlink(place), 0);
    assert_int_equal(mkfifo(place, 0700), 0);
    refused_as(-EPERM);
    assert_int_equal(unlink(place), 0);

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(mkdir(place, 0700), 0);
        assert_int_equal(chmod(place, modes[i]), 0);
        refused_as(-EPERM);
        assert_int_equal(rmdir(place), 0);
    }
    assert_int_equal(mkdir(place, 0700), 0);
    assert_int_equal(chmod(place, 0711), 0); /* others pass through, and can do nothing else */
    assert_int_equal(mbr__names_open(&n), 0);
    mbr__names_close(&n);
    assert_int_equal(chmod(place, 02700), 0); /* inherited from the parent: harmless */
    assert_int_equal(mbr__names_open(&n), 0);
    mbr__names_close(&n);
    if (geteuid() == 0) {
        assert_int_equal(chown(place, 65534, 65534), 0);
        refused_as(-EPERM);
    }
}

/* ---- the lock -------------------------------------------------------------------------------- */

static struct mbr__names names;

static intptr_t hold_lock(void *arg)
{
    static struct mbr__names own;

    CHILD_CHECK(mbr__names_open(&own) == 0);
    CHILD_CHECK(mbr__names_lock(&own, 0) == 0);
    return 0;
}

static void one_holder_at_a_time(void **state)
{
    struct test_peer peer;
    uint64_t before;

    assert_int_equal(mbr__names_open(&names), 0);
    assert_int_equal(mbr__names_lock(&names, 0), 0);
    mbr__names_unlock(&names);
    mbr__names_unlock(&names);

    for (int killed = 0; killed <= 1; killed++) {
        peer = test_peer_start(hold_lock, NULL, NULL);
        assert_int_equal(mbr__names_lock(&names, 0), -ETIMEDOUT);
        before = mbr__now_ns();
        assert_int_equal(mbr__names_lock(&names, 5000000), -ETIMEDOUT);
        assert_true(mbr__now_ns() - before >= 5000000);
        assert_false(names.locked);
        test_peer_end(&peer, killed);
        assert_int_equal(mbr__names_lock(&names, 0), 0); /* even while it is a zombie */
        mbr__names_unlock(&names);
        test_peer_reap(&peer);
    }
    mbr__names_close(&names);
}

static void two_handles_exclude_each_other(void **state)
{
    struct mbr__names other;

    assert_int_equal(mbr__names_open(&names), 0);
    assert_int_equal(mbr__names_open(&other), 0);
    assert_int_equal(mbr__names_lock(&names, MBR__LOCK_NS), 0);
    assert_int_equal(mbr__names_lock(&other, 0), -ETIMEDOUT);
    mbr__names_close(&names); /* unlocks */
    assert_int_equal(mbr__names_lock(&other, 0), 0);
    mbr__names_close(&other);
}

static void with_inherited_handle(void *arg)
{
    struct mbr__names own;

    CHILD_CHECK(names.locked);
    CHILD_CHECK(mbr__names_lock(&names, 0) == -ESTALE);
    mbr__names_unlock(&names); /* harms nobody */
    CHILD_CHECK(mbr__names_open(&own) == 0);
    CHILD_CHECK(mbr__names_lock(&own, 0) == -ETIMEDOUT);
    mbr__names_close(&names);
    CHILD_CHECK(mbr__names_lock(&own, 0) == -ETIMEDOUT);
}

static void child_cannot_break_the_lock(void **state)
{
    assert_int_equal(mbr__names_open(&names), 0);
    assert_int_equal(mbr__names_lock(&names, 0), 0);
    test_child_passes(with_inherited_handle, NULL);
    assert_true(names.locked);
    mbr__names_close(&names);
}

/* Many writers of one counter, kept in a link: no step is lost. */
#define COUNTERS 4
#define COUNTS   50

static void *count_up(void *arg)
{
    struct mbr__names n;

    if (mbr__names_open(&n) != 0)
        return arg;
    for (int i = 0; i < COUNTS; i++) {
        struct mbr__link l = some_link();

        l.value = 0;
        if (mbr__names_lock(&n, MBR__NEVER) != 0)
            return arg;
        (void)mbr__names_read(&n, "counter", &l);
        l.value++;
        if (mbr__names_write(&n, "counter", &l) != 0)
            return arg;
        mbr__names_unlock(&n);
    }
    mbr__names_close(&n);
    return NULL;
}

static void loses_no_step_between_threads(void **state)
{
    pthread_t threads[COUNTERS];
    struct mbr__link l;
    void *failed;

    for (int i = 0; i < COUNTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &names), 0);
    for (int i = 0; i < COUNTERS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(mbr__names_open(&names), 0);
    assert_int_equal(mbr__names_read(&names, "counter", &l), 0);
    assert_int_equal(l.value, COUNTERS * COUNTS);
    mbr__names_close(&names);
}

/* ---- links ----------------------------------------------------------------------------------- */

static int count_entry(void *arg, const char *file)
{
    (*(int *)arg)++;
    return 0;
}

static int entries(struct mbr__names *n)
{
    int count = 0;

    assert_int_equal(mbr__names_each(n, count_entry, &count), 0);
    return count;
}

static void writes_reads_and_removes(void **state)
{
    struct mbr__link l = some_link();
    struct mbr__link got;

    assert_int_equal(mbr__names_open(&names), 0);
    assert_int_equal(mbr__names_read(&names, "p", &got), -ENOENT);
    assert_int_equal(mbr__names_remove(&names, "p"), -ENOENT);
    assert_int_equal(mbr__names_write(&names, "p", &l), 0);
    assert_int_equal(mbr__names_read(&names, "p", &got), 0);
    assert_link_equal(&got, &l);
    l.wake = 17;
    l.state = 'x';
    assert_int_equal(mbr__names_write(&names, "p", &l), 0);
    assert_int_equal(mbr__names_read(&names, "p", &got), 0);
    assert_link_equal(&got, &l);
    assert_int_equal(entries(&names), 1);

    /* Left by a writer that was killed. */
    assert_int_equal(symlinkat("m1 half", names.dir, MBR__NAMES_TEMP), 0);
    assert_int_equal(mbr__names_write(&names, "p", &l), 0);
    assert_int_equal(entries(&names), 1);
    assert_int_equal(mbr__names_remove(&names, "p"), 0);
    assert_int_equal(entries(&names), 0);

    l.fd = -1;
    assert_int_equal(mbr__names_write(&names, "p", &l), -EINVAL);
    assert_int_equal(entries(&names), 0);
    mbr__names_close(&names);
}

static void leaves_strangers_alone(void **state)
{
    static const char *const texts[] = {"/etc/passwd", "m1", "m2 1 2 3 4 - a 1 2 3 4",
                                        "m1 1 2 3 4 - a 1 2 3 4 "};
    struct mbr__link l = some_link();
    struct mbr__link got;
    char text[400];
    int fd;

    assert_int_equal(mbr__names_open(&names), 0);
    memset(text, '1', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 0; i <= sizeof(texts) / sizeof(texts[0]); i++) {
        const char *t = i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : text;

        assert_int_equal(symlinkat(t, names.dir, "p"), 0);
        assert_int_equal(mbr__names_read(&names, "p", &got), -EPROTO);
        assert_int_equal(mbr__names_write(&names, "p", &l), -EPROTO);
        assert_int_equal(mbr__names_remove(&names, "p"), -EPROTO);
        assert_int_equal(entries(&names), 1);
        assert_int_equal(unlinkat(names.dir, "p", 0), 0);
    }

    fd = openat(names.dir, "p", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    assert_int_equal(mbr__names_read(&names, "p", &got), -EPROTO);
    assert_int_equal(mbr__names_write(&names, "p", &l), -EPROTO);
    assert_int_equal(mbr__names_remove(&names, "p"), -EPROTO);
    assert_int_equal(unlinkat(names.dir, "p", 0), 0);

    assert_int_equal(mkdirat(names.dir, MBR__NAMES_TEMP, 0700), 0);
    assert_int_equal(mbr__names_write(&names, "p", &l), -EPROTO);
    assert_int_equal(unlinkat(names.dir, MBR__NAMES_TEMP, AT_REMOVEDIR), 0);
    mbr__names_close(&names);
}

static void takes_bare_names_only(void **state)
{
    static const char *const files[] = {"", ".", "..", "/", "/p", "a/b", "../x", "x/"};
    struct mbr__link l = some_link();

    assert_int_equal(mbr__names_open(&names), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_int_equal(mbr__names_read(&names, files[i], &l), -EINVAL);
        assert_int_equal(mbr__names_write(&names, files[i], &l), -EINVAL);
        assert_int_equal(mbr__names_remove(&names, files[i]), -EINVAL);
    }
    mbr__names_close(&names);
}

static int remove_entry(void *arg, const char *file)
{
    (*(int *)arg)++;
    return mbr__names_remove(&names, file);
}

static int stop_at_second(void *arg, const char *file)
{
    return ++*(int *)arg == 2 ? -ECANCELED : 0;
}

static void visits_each_entry(void **state)
{
    struct mbr__link l = some_link();
    struct test_held before;
    char file[16];
    int count = 0;

    assert_int_equal(mbr__names_open(&names), 0);
    assert_int_equal(entries(&names), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(file, sizeof(file), "p%d", i);
        assert_int_equal(mbr__names_write(&names, file, &l), 0);
    }
    before = test_held();
    assert_int_equal(entries(&names), 100);
    assert_int_equal(entries(&names), 100);
    assert_int_equal(mbr__names_each(&names, stop_at_second, &count), -ECANCELED);
    assert_int_equal(count, 2);
    count = 0;
    assert_int_equal(mbr__names_each(&names, remove_entry, &count), 0);
    assert_int_equal(count, 100);
    assert_int_equal(entries(&names), 0);
    test_assert_held(before);
    mbr__names_close(&names);
}

/* ---- names and texts ------------------------------------------------------------------------- */

static void checks_names(void **state)
{
    char name[301];

    memset(name, 'n', sizeof(name));
    name[300] = '\0';
    assert_int_equal(mbr__name_check(name), -ENAMETOOLONG);
    name[241] = '\0';
    assert_int_equal(mbr__name_check(name), -ENAMETOOLONG);
    name[240] = '\0';
    assert_int_equal(mbr__name_check(name), 0);

    assert_int_equal(mbr__name_check("a"), 0);
    assert_int_equal(mbr__name_check(".."), 0); /* it gets a suffix */
    assert_int_equal(mbr__name_check("#new"), 0);
    assert_int_equal(mbr__name_check("gr\xc3\xbc\xc3\x9f"
                                     "e \xf0\x9f\xa6\x8a"),
                     0);
    assert_int_equal(mbr__name_check(NULL), -EINVAL);
    assert_int_equal(mbr__name_check(""), -EINVAL);
    assert_int_equal(mbr__name_check("/"), -EINVAL);
    assert_int_equal(mbr__name_check("a/b"), -EINVAL);
    assert_int_equal(mbr__name_check("\xff"), -EINVAL);
    assert_int_equal(mbr__name_check("a\xc3"), -EINVAL);
    assert_int_equal(mbr__name_check("\xc0\xaf"), -EINVAL); /* an overlong '/' */
    assert_int_equal(mbr__name_check("\xed\xa0\x80"), -EINVAL);
}

static void parses_its_own_text_only(void **state)
{
    static const char good[] = "m1 4711 99 fee1 5 - w ffffffffffffffff 0 12 a";
    static const char *const bad[] = {
        "",
        "m",
        "m1",
        "m1 ",
        "m2 4711 99 fee1 5 - w 1 0 12 a",
        "m1 4711 99 fee1 5 - w 1 0 12",
        "m1 4711 99 fee1 5 - w 1 0 12 a ",
        "m1 4711 99 fee1 5 - w 1 0 12 a\n",
        "m1 4711 99 fee1 5 - w 1 0 12 a b",
        " m1 4711 99 fee1 5 - w 1 0 12 a",
        "m1  4711 99 fee1 5 - w 1 0 12 a",
        "m1 0 99 fee1 5 - w 1 0 12 a",
        "m1 -1 99 fee1 5 - w 1 0 12 a",
        "m1 +1 99 fee1 5 - w 1 0 12 a",
        "m1 4194305 99 fee1 5 - w 1 0 12 a",
        "m1 04711 99 fee1 5 - w 1 0 12 a",
        "m1 4711 0x9 fee1 5 - w 1 0 12 a",
        "m1 4711 18446744073709551616 fee1 5 - w 1 0 12 a",
        "m1 4711 99 FEE1 5 - w 1 0 12 a",
        "m1 4711 99 10000000000000000 5 - w 1 0 12 a",
        "m1 4711 99 fee1 -5 - w 1 0 12 a",
        "m1 4711 99 fee1 2147483648 - w 1 0 12 a",
        "m1 4711 99 fee1 5 -1 w 1 0 12 a",
        "m1 4711 99 fee1 5 2147483648 w 1 0 12 a",
        "m1 4711 99 fee1 5 -- w 1 0 12 a",
        "m1 4711 99 fee1 5 - W 1 0 12 a",
        "m1 4711 99 fee1 5 -   1 0 12 a",
        "m1 4711 99 fee1 5 - ww 1 0 12 a",
        "m1 4711 99 fee1 5 - w 1 00 12 a",
        "m1 4711 99 fee1 5 - w 1 0 12 g",
        "m1 4711 99 fee1 5 - w 1 0 12 -",
    };
    struct mbr__link l;

    assert_int_equal(mbr__link_parse(good, strlen(good), &l), 0);
    assert_int_equal(l.owner.pid, 4711);
    assert_int_equal(l.owner.start, 99);
    assert_int_equal(l.owner.ns, 0xfee1);
    assert_int_equal(l.fd, 5);
    assert_int_equal(l.wake, -1);
    assert_int_equal(l.id[0], UINT64_MAX);
    assert_int_equal(l.value, 10);
    assert_int_equal(mbr__link_parse(good, sizeof(good), &l), -EPROTO); /* with a NUL */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mbr__link_parse(bad[i], strlen(bad[i]), &l), -EPROTO);
}

static uint64_t any_u64(struct prop *p)
{
    uint64_t v = (uint64_t)prop_choose(p, UINT32_MAX) << 32 | prop_choose(p, UINT32_MAX);

    return v >> prop_choose(p, 64);
}

/* Any link survives being written and read; the text fits. */
static bool text_holds_any_link(struct prop *p)
{
    while (prop_more(p)) {
        struct mbr__link a = {
            .owner = {(pid_t)(1 + prop_choose(p, MBR__PID_MAX)), any_u64(p), any_u64(p)},
            .fd = (int)prop_choose(p, INT_MAX),
            .wake = (int)prop_choose(p, INT_MAX) - 1,
            .state = (char)('a' + prop_choose(p, 26)),
            .id = {any_u64(p), any_u64(p)},
            .inst = any_u64(p),
            .value = any_u64(p)};
        char text[MBR__LINK_TEXT];
        struct mbr__link b;
        int len = mbr__link_format(&a, text);

        PROP_CHECK(p, len > 0 && len < MBR__LINK_TEXT - 1);
        PROP_CHECK(p, strlen(text) == (size_t)len);
        PROP_CHECK(p, mbr__link_parse(text, (size_t)len, &b) == 0);
        PROP_CHECK(p, b.owner.pid == a.owner.pid && b.owner.start == a.owner.start);
        PROP_CHECK(p, b.owner.ns == a.owner.ns && b.fd == a.fd && b.wake == a.wake);
        PROP_CHECK(p, b.state == a.state && b.id[0] == a.id[0] && b.id[1] == a.id[1]);
        PROP_CHECK(p, b.inst == a.inst && b.value == a.value);
    }
    return true;
}

/* A damaged text is refused, or means what it says: it comes out again as it went in. The copy has
 * exactly its size, so that AddressSanitizer sees a step too far. */
static bool damage_is_refused(struct prop *p)
{
    struct mbr__link l = some_link();
    char text[MBR__LINK_TEXT];
    size_t len = (size_t)mbr__link_format(&l, text);

    while (prop_more(p)) {
        size_t at = prop_choose(p, (uint32_t)len);
        char again[MBR__LINK_TEXT];
        char *copy;
        int r;

        if (prop_choose(p, 4) == 0)
            len = at + 1;
        else
            text[at] = "0123456789abcdef -mw\n\xff"[prop_choose(p, 22)];
        copy = malloc(len);
        memcpy(copy, text, len);
        r = mbr__link_parse(copy, len, &l);
        if (r == 0)
            r = mbr__link_format(&l, again) == (int)len && memcmp(again, copy, len) == 0 ? 0 : 1;
        free(copy);
        PROP_CHECK(p, r == 0 || r == -EPROTO);
    }
    return true;
}

static void texts_hold_any_link(void **state)
{
    prop_run("text_holds_any_link", text_holds_any_link, 100);
}

static void texts_resist_damage(void **state)
{
    prop_run("damage_is_refused", damage_is_refused, 300);
}

static void identities_are_random(void **state)
{
    uint64_t seen[100];

    random_zeroes = 2;
    for (int i = 0; i < 100; i++) {
        if (i >= 50)
            test_calls_arm(0, ENOSYS); /* a sandbox without getrandom() */
        seen[i] = mbr__random_id();
        assert_int_not_equal(seen[i], 0);
        for (int j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
    (void)test_calls_disarm();
    assert_int_equal(random_zeroes, 0);
}

/* ---- failures -------------------------------------------------------------------------------- */

static int try_open(void)
{
    struct mbr__names n;
    int err = mbr__names_open(&n);

    if (err == 0)
        mbr__names_close(&n);
    return err;
}

static int try_make(void)
{
    int err = try_open();

    (void)rmdir(place);
    return err;
}

static int try_lock(void)
{
    int err = mbr__names_lock(&names, 0);

    mbr__names_unlock(&names);
    return err;
}

static int try_write(void)
{
    struct mbr__link l = some_link();

    return mbr__names_write(&names, "p", &l);
}

static int try_each(void)
{
    int count = 0;

    return mbr__names_each(&names, count_entry, &count);
}

static int try_read(void)
{
    struct mbr__link l;

    return mbr__names_read(&names, "p", &l);
}

/* Each system call in turn fails: an error, nothing stays open, nothing is left in the directory
 * beside the link "p". */
static void each_call_fails(int (*fn)(void), int error, int turns_min)
{
    struct test_held before = test_held();
    int turns = 0;

    for (;; turns++) {
        bool hit;
        int err;

        test_calls_arm(turns, error);
        err = fn();
        hit = test_calls_disarm();
        test_assert_held(before);
        if (fn == try_write)
            assert_true(entries(&names) <= 1);
        if (!hit) {
            assert_int_equal(err, 0);
            break;
        }
    }
    assert_true(turns >= turns_min);
}

static void survives_failures(void **state)
{
    each_call_fails(try_make, EMFILE, 4);
    each_call_fails(try_make, EACCES, 4);
    assert_int_equal(mbr__names_open(&names), 0);
    each_call_fails(try_open, EMFILE, 2);
    each_call_fails(try_lock, ENOLCK, 1);
    each_call_fails(try_lock, EINTR, 1);
    each_call_fails(try_write, ENOSPC, 3);
    each_call_fails(try_write, EIO, 3);
    each_call_fails(try_read, EIO, 1);
    each_call_fails(try_each, EMFILE, 2);
    mbr__names_close(&names);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chooses_the_directory),
        TEST(refuses_bad_paths),
        TEST(makes_the_directory),
        TEST(copes_with_any_umask),
        TEST(refuses_squatters),
        TEST(one_holder_at_a_time),
        TEST(two_handles_exclude_each_other),
        TEST(child_cannot_break_the_lock),
        TEST(loses_no_step_between_threads),
        TEST(writes_reads_and_removes),
        TEST(leaves_strangers_alone),
        TEST(takes_bare_names_only),
        TEST(visits_each_entry),
        TEST(checks_names),
        TEST(parses_its_own_text_only),
        TEST(texts_hold_any_link),
        TEST(texts_resist_damage),
        TEST(identities_are_random),
        TEST(survives_failures),
    };

    return cmocka_run_group_tests_name("shm_names", tests, make_scratch, remove_scratch);
}
