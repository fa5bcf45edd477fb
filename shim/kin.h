/* SPDX-License-Identifier: MIT */
/*
 * One end of an upgraded connection in several processes: after fork.
 *
 * The regions are inherited by the child. What the two processes must agree on beyond them lies
 * behind the structure that the peer reads, in the first page of the end's own region: a lock for
 * each direction, the number of the last sleep, and who there is. Whoever reads or writes takes the
 * lock of that direction as long as there are others; the indices of the rings are where they
 * always were. While there are others nobody sleeps for longer than SHIM_KIN_SLICE_NS without
 * looking by himself, since one process may take the byte that was to wake another.
 *
 * The last process to close says goodbye to the peer; the others leave without a word. One that was
 * killed, or left by _exit(), is found out by its number; until then it costs a little speed.
 *
 * Not here: which connections are shared at a fork, and when (fork.c).
 */
#ifndef MBR_SHIM_KIN_H
#define MBR_SHIM_KIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/atomic.h"

#define SHIM_KIN_AT       1024u /* its place in the region */
#define SHIM_KIN_MAX      32    /* processes with one end; one more: back to the kernel */
#define SHIM_KIN_SLICE_NS 10000000u

struct shim_conn;

/* Written by the processes of this end alone; the peer could read it and does not. */
struct shim_kin {
    pthread_mutex_t rx; /* robust and process-shared, as is tx */
    pthread_mutex_t tx;
    uint32_t count;             /* of those in pids */
    uint32_t joined;            /* 1: not only the process that made it has used it since */
    uint32_t epoch;             /* as in struct shim_conn, for all of them */
    uint32_t shut;              /* as in struct shim_conn, of all of them */
    uint32_t last;              /* 1: somebody has left as the last one */
    uint64_t rx_tcp;            /* as in struct shim_conn; under rx */
    int32_t pids[SHIM_KIN_MAX]; /* 0 free; negative: a child of -pid that has not begun yet */
};

/* Whether there is (or was, as far as one can tell) somebody else. c->kin may be NULL. */
static inline bool shim_kin_others(const struct shim_kin *k)
{
    return k != NULL && mbr_load_relaxed(&k->count) > 1;
}

/* ... who has also made use of it. */
static inline bool shim_kin_crowd(const struct shim_kin *k)
{
    return shim_kin_others(k) && mbr_load_relaxed(&k->joined);
}

/* Whether any connection of this process has kin: how epolls know whether to look. */
bool shim_kin_any(void);

/* Forgets processes that are dead, and returns how many others are left. */
uint32_t shim_kin_count_others(struct shim_kin *k);

/* Whether one more process has a place. */
bool shim_kin_room(struct shim_kin *k);

/* This process has closed its last descriptor, or becomes another program. Whether it is the last
 * one: of several that leave at once exactly one is told so. */
bool shim_kin_leave(struct shim_kin *k);

/* It has not become another program after all; `last` is what it was told. */
void shim_kin_rejoin(struct shim_kin *k, bool last);

/* Locks one of the two. 0; -EAGAIN `wait` is false and somebody has it; -EOWNERDEAD its owner died:
 * we have it now; another negative errno: not locked. */
int shim_kin_lock(pthread_mutex_t *m, bool wait);

/*
 * Before a fork, for an upgraded connection that nobody is in: rx, tx and park are held. Makes its
 * end shareable and keeps a place for the child. False: no place, or no memory.
 */
bool shim_kin_prepare(struct shim_conn *c);

/* In the child, for each connection that was prepared. */
void shim_kin_born(struct shim_conn *c);

/* The connection's memory is about to go. */
void shim_kin_drop(struct shim_conn *c);

#endif
