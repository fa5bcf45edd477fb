/* SPDX-License-Identifier: MIT */
/*
 * What the tests of src/shm share: counting what a process has open and mapped, making the nth
 * system call fail, and running a piece of a test in a child.
 *
 * Include after cmocka.h, in one file of a test program. Not here: the wrappers themselves; each
 * program wraps what its module calls, with TEST_WRAP below, and names them in CMake.
 */
#ifndef MBR_TESTS_SHM_TEST_H
#define MBR_TESTS_SHM_TEST_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- failing calls --------------------------------------------------------------------------- */

/* Wrapped calls left until one fails; -1 when not armed. */
static int test_calls_left = -1;
static int test_calls_errno;
static bool test_calls_hit;

/* The wrapped call after `after` successful ones fails with `error`, later ones work again. */
static inline void test_calls_arm(int after, int error)
{
    test_calls_hit = false;
    test_calls_errno = error;
    test_calls_left = after;
}

/* Whether a call has failed since then: if not, each call has had its turn. */
static inline bool test_calls_disarm(void)
{
    test_calls_left = -1;
    return test_calls_hit;
}

static inline bool test_calls_now(void)
{
    if (test_calls_left < 0 || test_calls_left-- > 0)
        return false;
    test_calls_hit = true;
    errno = test_calls_errno;
    return true;
}

/* Defines __wrap_NAME, which fails when it is its turn: type, failure value, name, parameters with
 * and without types. */
#define TEST_WRAP(type, failure, name, params, args) \
    type __real_##name params;                       \
    type __wrap_##name params;                       \
    type __wrap_##name params                        \
    {                                                \
        if (test_calls_now())                        \
            return failure;                          \
        return __real_##name args;                   \
    }

/* ---- what is open ---------------------------------------------------------------------------- */

/* The sanitizers' own reservations shrink as they hand out memory; then only memfds are counted. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

struct test_held {
    int fds;
    uint64_t mapped; /* bytes of memfds and of reservations without any access */
};

static inline int test_count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static inline struct test_held test_held(void)
{
    struct test_held held = {.fds = test_count_fds()};
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from;
        unsigned long to;
        char access[5];

        assert_int_equal(sscanf(line, "%lx-%lx %4s", &from, &to, access), 3);
        if ((!TEST_SANITIZED && strncmp(access, "---", 3) == 0) || strstr(line, "/memfd:") != NULL)
            held.mapped += to - from;
    }
    fclose(maps);
    return held;
}

static inline void test_assert_held(struct test_held before)
{
    struct test_held now = test_held();

    assert_int_equal(now.fds, before.fds);
    assert_int_equal(now.mapped, before.mapped);
}

/* ---- children -------------------------------------------------------------------------------- */

/* In a child: ends it as failed, saying where. cmocka's own asserts would run the parent's rest. */
#define CHILD_CHECK(cond)                                                                          \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: in child: %s (errno %d)\n", __FILE__, __LINE__, #cond, errno); \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Runs fn in a child and returns its wait status. A child that hangs is killed by SIGALRM. */
static inline int test_in_child(void (*fn)(void *arg), void *arg)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(50);
        fn(arg);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static inline void test_child_passes(void (*fn)(void *arg), void *arg)
{
    int status = test_in_child(fn, arg);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A child that runs fn, says that it is ready, and then stays until it is told to go. */
struct test_peer {
    pid_t pid;
    int ready;  /* it writes what fn returned */
    int finish; /* it ends when this is closed */
};

/* What fn returns reaches the parent as *value. */
static inline struct test_peer test_peer_start(intptr_t (*fn)(void *arg), void *arg,
                                               intptr_t *value)
{
    struct test_peer peer;
    int ready[2];
    int finish[2];
    intptr_t got = -1;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(finish, O_CLOEXEC), 0);
    peer.pid = fork();
    assert_true(peer.pid >= 0);
    if (peer.pid == 0) {
        char byte;

        alarm(50);
        close(ready[0]);
        close(finish[1]);
        got = fn(arg);
        CHILD_CHECK(write(ready[1], &got, sizeof(got)) == sizeof(got));
        while (read(finish[0], &byte, 1) < 0 && errno == EINTR)
            ;
        _exit(0);
    }
    close(ready[1]);
    close(finish[0]);
    peer.ready = ready[0];
    peer.finish = finish[1];
    assert_int_equal(read(peer.ready, &got, sizeof(got)), sizeof(got));
    if (value != NULL)
        *value = got;
    return peer;
}

/* Lets the peer end, or kills it; it stays a zombie until test_peer_reap(). */
static inline void test_peer_end(struct test_peer *peer, bool kill_it)
{
    siginfo_t info;

    if (kill_it)
        kill(peer->pid, SIGKILL);
    close(peer->finish);
    close(peer->ready);
    assert_int_equal(waitid(P_PID, (id_t)peer->pid, &info, WEXITED | WNOWAIT), 0);
}

static inline void test_peer_reap(struct test_peer *peer)
{
    int status;

    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
}

/* In a child: becomes an unprivileged user if it is root. The same one in every child. */
static inline void test_drop_root(void)
{
    if (geteuid() == 0)
        CHILD_CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
}

#endif
