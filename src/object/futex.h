/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a word of memory that processes share. Not private futexes; the word and what it
 * means are the caller's. Neither touches errno.
 */
#ifndef MBR_OBJECT_FUTEX_H
#define MBR_OBJECT_FUTEX_H

#include <stdint.h>

#define MBR__FUTEX_ALL UINT32_MAX

/* Sleeps while *word is `seen`, until woken for one of `bits`, or until `deadline` (CLOCK_MONOTONIC
 * ns, UINT64_MAX never). 0 look again (perhaps for no reason); -ETIMEDOUT. */
int mbr__futex_wait(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t deadline);

/* Wakes all that sleep on the word with one of `bits`. */
void mbr__futex_wake(uint32_t *word, uint32_t bits);

#endif
