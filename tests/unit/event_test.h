/* SPDX-License-Identifier: MIT */
/*
 * What the tests of counts and of public wait sets share: memory shared with children, telling
 * whether a thread sleeps, and putting everybody on one CPU so that waiting means sleeping.
 *
 * Include after cmocka.h and shm_test.h, in one file of a test program.
 */
#ifndef MBR_TESTS_EVENT_TEST_H
#define MBR_TESTS_EVENT_TEST_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/atomic.h"
#include "shm/proc.h"

/* Zeroed memory that children share; freed with munmap(at, event_shared_size). */
#define event_shared_size 4096u

static inline void *event_shared(void)
{
    void *at =
        mmap(NULL, event_shared_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(at, MAP_FAILED);
    return at;
}

/* Whether the thread `tid` of the process sleeps in the kernel now. */
static inline bool event_asleep(pid_t pid, pid_t tid)
{
    struct mbr__stat st = {.state = '?'};
    char path[64];
    char text[1024];
    ssize_t n = -1;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, text, sizeof(text));
        close(fd);
    }
    return n > 0 && mbr__stat_parse(text, (size_t)n, &st) == 0 && st.state == 'S';
}

/* Returns once *shown is not 0, which says that somebody is about to sleep, and the thread does.
 */
static inline void event_until_asleep(pid_t pid, pid_t tid, const uint32_t *shown)
{
    while (mbr_load_acquire(shown) == 0 || !event_asleep(pid, tid))
        sched_yield();
}

/* Leaves the calling thread, and those it starts, one CPU; *old is for event_unpin(). */
static inline void event_pin(cpu_set_t *old)
{
    cpu_set_t one;
    size_t cpu = 0;

    assert_int_equal(sched_getaffinity(0, sizeof(*old), old), 0);
    while (!CPU_ISSET(cpu, old))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static inline void event_unpin(const cpu_set_t *old)
{
    assert_int_equal(sched_setaffinity(0, sizeof(*old), old), 0);
}

#endif
