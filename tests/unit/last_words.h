/* SPDX-License-Identifier: MIT */
/*
 * What is said by a program that breaks an invariant: it runs in a child, which must abort, and its
 * output is the parent's to look at. Not here: breakers.
 */
#ifndef MBR_TESTS_LAST_WORDS_H
#define MBR_TESTS_LAST_WORDS_H

#include <membrane/base.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LAST_WORDS_MAX 1024

/* Runs BREAKER in a child with SINK (NULL: the default). OUTPUT, of LAST_WORDS_MAX bytes, is what
 * the child has written to stdout and stderr. */
static inline void last_words(void (*breaker)(void), struct mbr_log_sink *sink, char *output)
{
    const struct rlimit no_core = {0, 0};
    size_t length = 0;
    int status = 0;
    int ends[2];
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        (void)mbr_log_set_sink(sink);
        if (dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(ends[1], STDERR_FILENO) >= 0)
            breaker();
        _exit(1);
    }
    (void)close(ends[1]);
    while (length < LAST_WORDS_MAX - 1 &&
           (got = read(ends[0], output + length, LAST_WORDS_MAX - 1 - length)) > 0)
        length += (size_t)got;
    output[length] = '\0';
    (void)close(ends[0]);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#endif
