/* SPDX-License-Identifier: MIT */
/* Sleeping on a word of shared memory: the system calls behind futex.h, and nothing else. */
#define _GNU_SOURCE
#include "object/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

int mbr__futex_wait(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t deadline)
{
    struct timespec at = {.tv_sec = (time_t)(deadline / NS_PER_S),
                          .tv_nsec = (long)(deadline % NS_PER_S)};
    int saved = errno;
    long n = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, deadline == UINT64_MAX ? NULL : &at,
                     NULL, bits);
    int r = n < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;

    errno = saved;
    return r;
}

void mbr__futex_wake(uint32_t *word, uint32_t bits)
{
    int saved = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bits);
    errno = saved;
}
