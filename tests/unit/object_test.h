/* SPDX-License-Identifier: MIT */
/*
 * What tests of containers share: a rendezvous directory of their own, and children.
 * Not here: what is tested.
 */
#ifndef MBR_TESTS_OBJECT_TEST_H
#define MBR_TESTS_OBJECT_TEST_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <membrane/objects.h>

static char object_test_dir[64];

static inline int object_test_setup(void **state)
{
    (void)state;
    (void)snprintf(object_test_dir, sizeof(object_test_dir), "/tmp/mbr-object.XXXXXX");
    if (mkdtemp(object_test_dir) == NULL)
        return -1;
    return setenv("MEMBRANE_DIR", object_test_dir, 1);
}

static inline int object_test_count_links(void)
{
    char command[128];
    FILE *f;
    int n = -1;

    (void)snprintf(command, sizeof(command), "ls -A '%s' | wc -l", object_test_dir);
    f = popen(command, "r");
    if (f == NULL || fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f != NULL)
        (void)pclose(f);
    return n;
}

static inline int object_test_teardown(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", object_test_dir);
    return system(command);
}

/* A child that runs fn(arg) and is over with its result as exit code, or is killed in it. */
static inline pid_t object_test_child(int (*fn)(void *arg), void *arg)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(fn(arg));
    assert_true(pid > 0);
    return pid;
}

/* Its exit code, or -signal. */
static inline int object_test_wait(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* In a child: ends it with the line's number if something does not hold. */
#define CHILD(cond)                                                           \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fprintf(stderr, "child, %s:%d: %s\n", __FILE__, __LINE__, #cond); \
            return 1;                                                         \
        }                                                                     \
    } while (0)

#endif
