/* SPDX-License-Identifier: MIT */
/*
 * What a pipe costs that is open, known to both ends, has been used in both directions, each side
 * having woken the other one out of its sleep, and waits: memory and descriptors of each end,
 * counted inside the processes that have them.
 */
#ifndef BENCH_COSTS_IDLE_H
#define BENCH_COSTS_IDLE_H

#include <stdint.h>

/* What a process has. */
struct costs_holdings {
    int64_t descriptors;
    int64_t shared; /* bytes of memfds that it can write, whether or not it still has them open */
    int64_t anonymous; /* bytes of private memory */
    int64_t tables;    /* bytes of page tables */
};

struct costs_idle {
    struct costs_holdings creator, opener; /* for each end of each pipe */
    struct costs_holdings instance;        /* for an instance that has had a pipe and has none */
};

/*
 * Makes `pipes` pipes between one process and `peers` others (a divisor of `pipes`) and counts.
 * Forks; blocks for less than a second. Negative errno.
 */
int costs_idle(unsigned pipes, unsigned peers, struct costs_idle *out);

#endif
