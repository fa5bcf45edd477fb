/* SPDX-License-Identifier: MIT */
/* How often a thread has jumped (longjmp(3)): what it had in hand before may be nobody's. */
#ifndef MBR_SHIM_JUMPS_H
#define MBR_SHIM_JUMPS_H

#include <stdbool.h>
#include <stdint.h>

struct shim_conn;

extern __thread uint32_t shim_jumps __attribute__((tls_model("initial-exec")));

/* Around a call of the kernel that may block, with a reference of c: if a jump leaves it,
 * shim_jumped() gives the reference back. What the first returns goes to the second. */
bool shim_blocks(struct shim_conn *c);
void shim_unblocks(bool noted);
/* In between: how the thread is counted as asleep on c (conn.h), which is undone, too. */
void shim_blocks_asleep(bool noted, uint32_t how);

/* Gives back what the thread held where it last blocked, if it has jumped out of there; and where
 * it was in a poll (poll.c). */
void shim_jumped(void);
void shim_poll_jumped(void);

#endif
