/* SPDX-License-Identifier: MIT */
/*
 * Processes: parsing /proc/PID/stat, life and death in all their states (with pidfds and without),
 * opening another's descriptors and everything that must be refused there, fork marks.
 *
 * Children say through pipes how far they are; nothing here waits for time to pass.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "shm/proc.h"
#include "shm_test.h"

/* ---- wrapped calls --------------------------------------------------------------------------- */

static int pidfd_error;  /* pidfd_open() fails with this */
static bool no_proc;     /* nothing is found below /proc */
static bool cannot_wipe; /* a kernel without MADV_WIPEONFORK */

long __real_syscall(long number, long a, long b);
long __wrap_syscall(long number, long a, long b);
int __real_open(const char *path, int flags, int mode);
int __wrap_open(const char *path, int flags, int mode);
int __real_openat(int dir, const char *path, int flags, int mode);
int __wrap_openat(int dir, const char *path, int flags, int mode);
int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);

long __wrap_syscall(long number, long a, long b)
{
    if (test_calls_now())
        return -1;
    if (pidfd_error != 0) {
        errno = pidfd_error;
        return -1;
    }
    return __real_syscall(number, a, b);
}

static bool hidden(const char *path)
{
    if (!no_proc || strncmp(path, "/proc/", 6) != 0)
        return false;
    errno = ENOENT;
    return true;
}

int __wrap_open(const char *path, int flags, int mode)
{
    return test_calls_now() || hidden(path) ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int dir, const char *path, int flags, int mode)
{
    return test_calls_now() || hidden(path) ? -1 : __real_openat(dir, path, flags, mode);
}

int __wrap_madvise(void *at, size_t len, int advice)
{
    if (cannot_wipe && advice == MADV_WIPEONFORK) {
        errno = EINVAL;
        return -1;
    }
    return __real_madvise(at, len, advice);
}

TEST_WRAP(ssize_t, -1, read, (int fd, void *buf, size_t len), (fd, buf, len))
TEST_WRAP(int, -1, stat, (const char *path, struct stat *st), (path, st))
TEST_WRAP(int, -1, poll, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout))
TEST_WRAP(int, -1, fstat, (int fd, struct stat *st), (fd, st))
TEST_WRAP(int, -1, fstatfs, (int fd, void *fs), (fd, fs))
TEST_WRAP(ssize_t, -1, readlink, (const char *path, char *buf, size_t len), (path, buf, len))

/* ---- /proc/PID/stat -------------------------------------------------------------------------- */

#define TAIL " S 1 42 42 0 -1 4194560 100 0 0 0 5 3 0 0 20 0 7 0 987654 1 2 3\n"

static void parses_any_name(void **state)
{
    static const char *const names[] = {
        "cat", "", "a b", ")", "((", "x) S 1 2", "(y) Z 1 1", "line\nbreak", ") ) )", "\xff\xfe",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[256];
        struct mbr__stat st;
        int len = snprintf(text, sizeof(text), "42 (%s)" TAIL, names[i]);

        assert_int_equal(mbr__stat_parse(text, (size_t)len, &st), 0);
        assert_int_equal(st.pid, 42);
        assert_int_equal(st.state, 'S');
        assert_int_equal(st.threads, 7);
        assert_int_equal(st.start, 987654);
    }
}

static void refuses_other_text(void **state)
{
    static const char *const texts[] = {
        "",
        "42",
        "42 ",
        "42 (",
        "42 (x)",
        "42 (x) S",
        "42 (x) S ",
        "42 x" TAIL,
        "x (x)" TAIL,
        "-1 (x)" TAIL,
        "0 (x)" TAIL,
        "4194305 (x)" TAIL,
        "99999999999999999999999999 (x)" TAIL,
        "42 (x) SS" TAIL,
        "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
        "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
        "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 -1 18 19 20",
        "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 20",
        "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99999999999999999999 20",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mbr__stat st;

        assert_int_equal(mbr__stat_parse(texts[i], strlen(texts[i]), &st), -EPROTO);
    }
}

/* Every prefix, in memory of exactly its size so that AddressSanitizer sees a step too far. */
static void parses_no_further_than_the_end(void **state)
{
    static const char text[] = "42 (a) b)" TAIL;
    struct mbr__stat st;

    for (size_t len = 0; len < sizeof(text); len++) {
        char *copy = malloc(len + 1);

        memcpy(copy + 1, text, len);
        (void)mbr__stat_parse(copy + 1, len, &st);
        free(copy);
    }
}

/* ---- ourselves and our kin ------------------------------------------------------------------- */

static void knows_itself(void **state)
{
    struct mbr__proc me;
    struct mbr__proc again;
    uint64_t start;

    assert_int_equal(mbr__proc_self(&me), 0);
    assert_int_equal(me.pid, getpid());
    assert_true(me.ns != 0);
    assert_int_equal(mbr__proc_start(getpid(), &start), 0);
    assert_int_equal(me.start, start);
    no_proc = true; /* from the cache */
    assert_int_equal(mbr__proc_self(&again), 0);
    no_proc = false;
    assert_int_equal(again.start, start);
    assert_int_equal(mbr__proc_alive(&me), 1);
}

static void child_self(void *arg)
{
    const struct mbr__proc *parent = arg;
    struct mbr__proc me;

    test_drop_root(); /* so that it matters that nobody may look into us, not even we */
    CHILD_CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
    CHILD_CHECK(mbr__proc_self(&me) == 0);
    CHILD_CHECK(me.pid == getpid() && me.pid != parent->pid);
    CHILD_CHECK(me.start >= parent->start && me.ns == parent->ns);
    CHILD_CHECK(mbr__proc_alive(parent) == 1);
}

static void child_knows_itself(void **state)
{
    struct mbr__proc me;

    assert_int_equal(mbr__proc_self(&me), 0);
    test_child_passes(child_self, &me);
}

static void child_without_proc(void *arg)
{
    struct mbr__proc me;
    struct mbr__proc parent = *(struct mbr__proc *)arg;
    int fd;

    no_proc = true;
    CHILD_CHECK(mbr__proc_self(&me) == -ENOENT);
    CHILD_CHECK(mbr__proc_alive(&parent) == -ENOENT);
    CHILD_CHECK(mbr__proc_pidfd(&parent, &fd) == -ENOENT);
    CHILD_CHECK(mbr__proc_open_fd(&parent, 0, 'm', O_RDONLY, &fd) == -ENOENT);
    pidfd_error = ENOSYS;
    CHILD_CHECK(mbr__proc_alive(&parent) == -ENOENT);
}

static void nobody_is_dead_because_proc_is_missing(void **state)
{
    struct mbr__proc me;

    assert_int_equal(mbr__proc_self(&me), 0);
    test_child_passes(child_without_proc, &me);
}

static void odd_name(void *arg)
{
    struct mbr__proc me;
    uint64_t start;

    (void)arg;
    CHILD_CHECK(prctl(PR_SET_NAME, "a) Z 1\n(b ") == 0);
    CHILD_CHECK(mbr__proc_self(&me) == 0);
    CHILD_CHECK(mbr__proc_start(getpid(), &start) == 0 && start == me.start);
    pidfd_error = ENOSYS;
    CHILD_CHECK(mbr__proc_alive(&me) == 1);
}

static void survives_odd_names(void **state)
{
    test_child_passes(odd_name, NULL);
}

/* ---- life and death -------------------------------------------------------------------------- */

static intptr_t just_live(void *arg)
{
    (void)arg;
    return 0;
}

static struct mbr__proc proc_of(const struct test_peer *peer)
{
    struct mbr__proc p = {.pid = peer->pid};

    assert_int_equal(mbr__proc_start(peer->pid, &p.start), 0);
    return p;
}

/* With pidfds, and as on kernels that have none. */
static void assert_alive(const struct mbr__proc *p, int expected)
{
    int fds = test_count_fds();

    assert_int_equal(mbr__proc_alive(p), expected);
    pidfd_error = ENOSYS;
    assert_int_equal(mbr__proc_alive(p), expected);
    pidfd_error = EPERM;
    assert_int_equal(mbr__proc_alive(p), expected);
    pidfd_error = 0;
    assert_int_equal(test_count_fds(), fds);
}

static void sees_life_and_death(void **state)
{
    struct test_peer peer = test_peer_start(just_live, NULL, NULL);
    struct mbr__proc p = proc_of(&peer);
    struct mbr__proc other = p;
    struct pollfd poll_death;
    siginfo_t info;
    int pidfd;

    assert_alive(&p, 1);
    other.start++; /* the same pid, used by another before */
    assert_alive(&other, 0);
    assert_int_equal(mbr__proc_pidfd(&other, &pidfd), -ESRCH);

    assert_int_equal(kill(p.pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)p.pid, &info, WSTOPPED | WNOWAIT), 0);
    assert_alive(&p, 1);
    assert_int_equal(kill(p.pid, SIGCONT), 0);

    assert_int_equal(mbr__proc_pidfd(&p, &pidfd), 0);
    assert_int_equal(fcntl(pidfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_false(mbr__pidfd_dead(pidfd));
    test_peer_end(&peer, true);
    poll_death = (struct pollfd){.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&poll_death, 1, -1), 1);
    assert_true(mbr__pidfd_dead(pidfd));
    close(pidfd);

    assert_alive(&p, 0); /* a zombie */
    assert_int_equal(mbr__proc_pidfd(&p, &pidfd), -ESRCH);
    test_peer_reap(&peer);
    assert_alive(&p, 0);
    assert_int_equal(mbr__proc_pidfd(&p, &pidfd), -ESRCH);
    assert_int_equal(mbr__proc_start(p.pid, &p.start), -ESRCH);
}

static void bad_pids_are_dead(void **state)
{
    static const pid_t pids[] = {0, -1, INT32_MIN, MBR__PID_MAX, INT32_MAX};
    int fd;

    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        struct mbr__proc p = {.pid = pids[i], .start = 1};
        uint64_t start;

        assert_alive(&p, 0);
        assert_int_equal(mbr__proc_start(pids[i], &start), -ESRCH);
        assert_int_equal(mbr__proc_pidfd(&p, &fd), -ESRCH);
        assert_true(mbr__proc_open_fd(&p, 0, 'm', O_RDONLY, &fd) < 0);
    }
}

static void *until_told(void *arg)
{
    int *fds = arg;
    char byte;

    /* Only when the first thread is gone, which nothing but its state in /proc tells. */
    for (;;) {
        char path[64];
        char text[512] = {0};
        struct mbr__stat st;
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
        fd = open(path, O_RDONLY | O_CLOEXEC, 0);
        CHILD_CHECK(fd >= 0);
        n = read(fd, text, sizeof(text));
        close(fd);
        CHILD_CHECK(n > 0 && mbr__stat_parse(text, (size_t)n, &st) == 0);
        if (st.state == 'Z')
            break;
        sched_yield();
    }
    CHILD_CHECK(write(fds[1], "x", 1) == 1);
    while (read(fds[0], &byte, 1) < 0 && errno == EINTR)
        ;
    _exit(0);
}

static void lives_while_any_thread_runs(void **state)
{
    int up[2];
    int down[2];
    struct mbr__proc p = {0};
    siginfo_t info;
    char byte;

    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    p.pid = fork();
    if (p.pid == 0) {
        static int fds[2];
        pthread_t thread;

        alarm(50);
        close(down[1]);
        fds[0] = down[0];
        fds[1] = up[1];
        CHILD_CHECK(pthread_create(&thread, NULL, until_told, fds) == 0);
        __real_syscall(SYS_exit, 0, 0); /* this thread alone */
    }
    assert_int_equal(mbr__proc_start(p.pid, &p.start), 0);
    assert_int_equal(read(up[0], &byte, 1), 1);
    assert_alive(&p, 1);
    close(down[1]);
    assert_int_equal(waitid(P_PID, (id_t)p.pid, &info, WEXITED | WNOWAIT), 0);
    assert_alive(&p, 0);
    assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
    close(down[0]);
    close(up[0]);
    close(up[1]);
}

static void does_not_judge_other_namespaces(void **state)
{
    struct mbr__proc p;
    int fd;

    assert_int_equal(mbr__proc_self(&p), 0);
    p.ns ^= 1;
    p.start++;
    assert_int_equal(mbr__proc_alive(&p), -EXDEV);
    assert_int_equal(mbr__proc_pidfd(&p, &fd), -EXDEV);
    assert_int_equal(mbr__proc_open_fd(&p, 0, 'm', O_RDONLY, &fd), -EXDEV);
    p.ns = 0; /* not known */
    assert_int_equal(mbr__proc_alive(&p), 0);
}

/* ---- descriptors of others ------------------------------------------------------------------- */

/* What a peer has open; it sends us the numbers. */
static struct {
    int mem;
    int pipe[2];
    int fifo;
    int zero;
    int dir;
    int disk;
    int listener;
} theirs;

static char scratch[] = "/tmp/membrane-proc-XXXXXX";

static void open_things(void)
{
    char path[128];

    theirs.mem = memfd_create("theirs", 0);
    CHILD_CHECK(ftruncate(theirs.mem, 10) == 0 && pwrite(theirs.mem, "hello", 5, 0) == 5);
    CHILD_CHECK(pipe(theirs.pipe) == 0);
    snprintf(path, sizeof(path), "%s/fifo", scratch);
    theirs.fifo = open(path, O_RDWR, 0);
    theirs.zero = open("/dev/zero", O_RDWR, 0);
    theirs.dir = open("/", O_RDONLY, 0);
    snprintf(path, sizeof(path), "%s/memfd:disk", scratch);
    theirs.disk = open(path, O_RDWR | O_CREAT, 0600);
    theirs.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHILD_CHECK(theirs.fifo >= 0 && theirs.zero >= 0 && theirs.dir >= 0 && theirs.disk >= 0);
    CHILD_CHECK(theirs.listener >= 0);
}

/* A child that has opened them and then stopped. */
static struct test_peer peer_with_things(void)
{
    struct test_peer peer;
    int report[2];

    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    peer.pid = fork();
    assert_true(peer.pid >= 0);
    if (peer.pid == 0) {
        alarm(50);
        open_things();
        CHILD_CHECK(write(report[1], &theirs, sizeof(theirs)) == sizeof(theirs));
        (void)raise(SIGSTOP); /* and never goes on: it is killed */
        _exit(0);
    }
    assert_int_equal(read(report[0], &theirs, sizeof(theirs)), sizeof(theirs));
    peer.ready = report[0];
    peer.finish = report[1];
    return peer;
}

static int make_scratch(void **state)
{
    char path[128];

    if (mkdtemp(scratch) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/fifo", scratch);
    return mkfifo(path, 0600);
}

static int remove_scratch(void **state)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/fifo", scratch);
    unlink(path);
    snprintf(path, sizeof(path), "%s/memfd:disk", scratch);
    unlink(path);
    return rmdir(scratch);
}

static void opens_memory_and_pipes(void **state)
{
    struct test_peer peer = peer_with_things();
    struct mbr__proc p = proc_of(&peer);
    char text[5];
    int flags;
    int fd;

    assert_int_equal(mbr__proc_open_fd(&p, theirs.mem, 'm', O_RDONLY, &fd), 0);
    assert_int_equal(pread(fd, text, 5, 0), 5);
    assert_memory_equal(text, "hello", 5);
    assert_true(pwrite(fd, "x", 1, 0) < 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(fd);

    /* The child is stopped and its pipe has no other reader, so writing says that it is that one.
     */
    assert_int_equal(mbr__proc_open_fd(&p, theirs.pipe[0], 'p', O_WRONLY, &fd), 0);
    flags = fcntl(fd, F_GETFL);
    assert_int_equal(flags & O_ACCMODE, O_WRONLY);
    assert_int_equal(flags & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(write(fd, "w", 1), 1);
    close(fd);
    assert_int_equal(mbr__proc_open_fd(&p, theirs.pipe[0], 'p', O_RDONLY, &fd), 0);
    assert_int_equal(read(fd, text, 5), 1);
    close(fd);
    test_peer_end(&peer, true);
    test_peer_reap(&peer);
}

static void refuses_everything_else(void **state)
{
    struct test_held before = test_held();
    struct test_peer peer = peer_with_things();
    struct mbr__proc p = proc_of(&peer);
    struct mbr__proc was = p;
    const int no_memory[] = {theirs.pipe[0], theirs.fifo, theirs.zero,
                             theirs.dir,     theirs.disk, theirs.listener};
    const int no_pipe[] = {theirs.mem, theirs.fifo, theirs.zero,
                           theirs.dir, theirs.disk, theirs.listener};
    int fd = -7;

    for (size_t i = 0; i < sizeof(no_memory) / sizeof(no_memory[0]); i++)
        assert_int_equal(mbr__proc_open_fd(&p, no_memory[i], 'm', O_RDONLY, &fd), -EPROTO);
    for (size_t i = 0; i < sizeof(no_pipe) / sizeof(no_pipe[0]); i++)
        assert_int_equal(mbr__proc_open_fd(&p, no_pipe[i], 'p', O_WRONLY, &fd), -EPROTO);
    assert_int_equal(mbr__proc_open_fd(&p, 999, 'm', O_RDONLY, &fd), -ENOENT);
    assert_int_equal(mbr__proc_open_fd(&p, -1, 'm', O_RDONLY, &fd), -ENOENT);
    was.start--;
    assert_int_equal(mbr__proc_open_fd(&was, theirs.mem, 'm', O_RDONLY, &fd), -ESRCH);

    test_peer_end(&peer, true);
    assert_int_equal(mbr__proc_open_fd(&p, theirs.mem, 'm', O_RDONLY, &fd), -ESRCH);
    test_peer_reap(&peer);
    assert_int_equal(mbr__proc_open_fd(&p, theirs.mem, 'm', O_RDONLY, &fd), -ESRCH);
    assert_int_equal(fd, -7);
    test_assert_held(before);
}

/* Opened for both, so that writing can never raise SIGPIPE: the writer is a reader itself. */
static void a_pipe_without_reader(void **state)
{
    struct mbr__proc me;
    int ends[2];
    int fd;

    assert_int_equal(mbr__proc_self(&me), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(mbr__proc_open_fd(&me, ends[0], 'p', O_RDWR, &fd), 0);
    close(ends[0]);
    assert_int_equal(write(fd, "w", 1), 1);
    close(fd);
    close(ends[1]);
}

static intptr_t open_memory_as_nobody(void *arg)
{
    int fd;

    test_drop_root();
    CHILD_CHECK(prctl(PR_SET_DUMPABLE, arg != NULL) == 0);
    fd = memfd_create("private", MFD_CLOEXEC);
    CHILD_CHECK(fd >= 0);
    return fd;
}

struct target {
    struct mbr__proc p;
    int fd;
    int expected;
};

static void open_as_nobody(void *arg)
{
    struct target *t = arg;
    int fd = -1;

    test_drop_root();
    CHILD_CHECK(mbr__proc_open_fd(&t->p, t->fd, 'm', O_RDONLY, &fd) == t->expected);
    CHILD_CHECK(mbr__proc_alive(&t->p) == 1);
}

static void non_dumpable_owners_are_refused(void **state)
{
    static int yes;

    for (int dumpable = 0; dumpable <= 1; dumpable++) {
        intptr_t fd;
        struct test_peer peer = test_peer_start(open_memory_as_nobody, dumpable ? &yes : NULL, &fd);
        struct target t = {proc_of(&peer), (int)fd, dumpable ? 0 : -EACCES};

        test_child_passes(open_as_nobody, &t);
        test_peer_end(&peer, false);
        test_peer_reap(&peer);
    }
}

/* ---- fork marks ------------------------------------------------------------------------------ */

static uint32_t *marks; /* shared: [0] parent, [1] child, [2] grandchild */

static void *read_mark(void *arg)
{
    *(uint32_t *)arg = mbr__fork_mark();
    return NULL;
}

static void third_generation(void *arg)
{
    marks[2] = mbr__fork_mark();
    CHILD_CHECK(mbr__fork_mark() == marks[2]);
}

static void second_generation(void *arg)
{
    pthread_t threads[4];
    uint32_t seen[4];

    /* All of them may be the first to ask. */
    for (int i = 0; i < 4; i++)
        CHILD_CHECK(pthread_create(&threads[i], NULL, read_mark, &seen[i]) == 0);
    for (int i = 0; i < 4; i++)
        CHILD_CHECK(pthread_join(threads[i], NULL) == 0);
    marks[1] = mbr__fork_mark();
    for (int i = 0; i < 4; i++)
        CHILD_CHECK(seen[i] == marks[1]);
    CHILD_CHECK(test_in_child(third_generation, NULL) == 0);
    CHILD_CHECK(mbr__fork_mark() == marks[1]);
}

/* A child that never asks leaves the asking to its own child. */
static void silent_generation(void *arg)
{
    CHILD_CHECK(test_in_child(third_generation, NULL) == 0);
}

static void check_marks(void)
{
    uint32_t mine = mbr__fork_mark();

    assert_int_not_equal(mine, 0);
    test_child_passes(second_generation, NULL);
    assert_int_not_equal(marks[1], mine);
    assert_int_not_equal(marks[2], mine);
    assert_int_not_equal(marks[2], marks[1]);
    test_child_passes(silent_generation, NULL);
    assert_int_not_equal(marks[2], mine);
    assert_int_equal(mbr__fork_mark(), mine);
}

static void tells_generations_apart(void **state)
{
    check_marks();
}

/* The choice is made at the first call, so this needs a process that has not made one. */
static void tells_them_apart_without_wiping(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execl("/proc/self/exe", "test", "cannot-wipe", (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- failures -------------------------------------------------------------------------------- */

static int fail_alive(const struct mbr__proc *p, int fd)
{
    return mbr__proc_alive(p);
}

static int fail_pidfd(const struct mbr__proc *p, int fd)
{
    int got;
    int err = mbr__proc_pidfd(p, &got);

    if (err == 0)
        close(got);
    return err;
}

static int fail_open(const struct mbr__proc *p, int fd)
{
    int got;
    int err = mbr__proc_open_fd(p, fd, 'm', O_RDONLY, &got);

    if (err == 0)
        close(got);
    return err;
}

/* Each call in turn fails; nothing stays open, and nobody is taken for dead because of it. */
static void each_call_fails(int (*fn)(const struct mbr__proc *p, int fd), int error, int turns_min)
{
    struct mbr__proc me;
    int fd = memfd_create("mine", MFD_CLOEXEC);
    int fds = test_count_fds();
    int turns = 0;

    assert_int_equal(mbr__proc_self(&me), 0);
    for (;; turns++) {
        bool hit;
        int err;

        test_calls_arm(turns, error);
        err = fn(&me, fd);
        hit = test_calls_disarm();
        assert_int_equal(test_count_fds(), fds);
        if (fn == fail_alive)
            assert_int_not_equal(err, 0);
        if (!hit)
            break;
    }
    assert_true(turns >= turns_min);
    close(fd);
}

static void survives_failures(void **state)
{
    each_call_fails(fail_alive, EMFILE, 4);
    each_call_fails(fail_alive, EPERM, 4);
    each_call_fails(fail_alive, EINTR, 4);
    each_call_fails(fail_pidfd, EMFILE, 4);
    each_call_fails(fail_open, EMFILE, 8);
    each_call_fails(fail_open, EACCES, 8);
}

static void runs_out_of_descriptors(void *arg)
{
    struct rlimit limit = {0, 0};
    struct mbr__proc me;
    int fd;

    CHILD_CHECK(mbr__proc_self(&me) == 0);
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHILD_CHECK(mbr__proc_alive(&me) == -EMFILE);
    CHILD_CHECK(mbr__proc_pidfd(&me, &fd) == -EMFILE);
    CHILD_CHECK(mbr__proc_open_fd(&me, 0, 'm', O_RDONLY, &fd) == -EMFILE);
}

static void says_when_descriptors_run_out(void **state)
{
    test_child_passes(runs_out_of_descriptors, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_any_name),
        cmocka_unit_test(refuses_other_text),
        cmocka_unit_test(parses_no_further_than_the_end),
        cmocka_unit_test(knows_itself),
        cmocka_unit_test(child_knows_itself),
        cmocka_unit_test(nobody_is_dead_because_proc_is_missing),
        cmocka_unit_test(survives_odd_names),
        cmocka_unit_test(sees_life_and_death),
        cmocka_unit_test(bad_pids_are_dead),
        cmocka_unit_test(lives_while_any_thread_runs),
        cmocka_unit_test(does_not_judge_other_namespaces),
        cmocka_unit_test(opens_memory_and_pipes),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(a_pipe_without_reader),
        cmocka_unit_test(non_dumpable_owners_are_refused),
        cmocka_unit_test(tells_generations_apart),
        cmocka_unit_test(tells_them_apart_without_wiping),
        cmocka_unit_test(survives_failures),
        cmocka_unit_test(says_when_descriptors_run_out),
    };
    const struct CMUnitTest again[] = {cmocka_unit_test(tells_generations_apart)};

    marks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc > 1) {
        cannot_wipe = true;
        return cmocka_run_group_tests_name("shm_proc_cannot_wipe", again, NULL, NULL);
    }
    return cmocka_run_group_tests_name("shm_proc", tests, make_scratch, remove_scratch);
}
