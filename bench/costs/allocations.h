/* SPDX-License-Identifier: MIT */
/*
 * Counts calls of malloc and its kin. The program is linked with --wrap for each of them and with
 * the archives of the libraries, so every call out of our own code comes by here; calls that the C
 * library makes for itself do not.
 */
#ifndef BENCH_COSTS_ALLOCATIONS_H
#define BENCH_COSTS_ALLOCATIONS_H

#include <stdint.h>

/* Calls so far, of all threads; free() counts as well. */
uint64_t costs_allocations(void);

#endif
