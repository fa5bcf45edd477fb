/* SPDX-License-Identifier: MIT */
/*
 * The busy path, to be counted rather than timed: instructions, system calls, allocations. A turn
 * is one message through a pipe whose two ends are in one thread: demi_push, demi_wait, demi_pop,
 * demi_wait, demi_sgafree. Nothing in it depends on another process, so counts repeat exactly.
 */
#ifndef BENCH_COSTS_TURNS_H
#define BENCH_COSTS_TURNS_H

#include <demi/types.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of ring: so large that a message of 1 MiB goes in one piece. */
#define COSTS_RING_BYTES ((size_t)8 << 20)

struct costs_pipe {
    int in, out; /* queue descriptors of the two ends */
};

/* Starts the demi API in this thread and opens both ends; the environment must lead to it
 * (membrane/meet.h). Negative errno. */
int costs_open(struct costs_pipe *pipe);
void costs_close(const struct costs_pipe *pipe);

/* So many turns with messages of `size` bytes. Negative errno. */
int costs_turns(const struct costs_pipe *pipe, uint64_t count, size_t size);

/* So many messages of 64 bytes from a forked process to this one; nothing may be open yet. Blocks.
 * Negative errno. */
int costs_stream(uint64_t count);

#endif
