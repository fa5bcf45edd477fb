/* SPDX-License-Identifier: MIT */
/*
 * The asynchronous operations of a process: one table with a lock, a condition and one thread.
 * Shared by async.c (the functions) and async_worker.c (the thread).
 *
 * A child of fork() has a copy of the table without the thread, and with a lock that somebody may
 * have held: it leaves it alone and makes its own at its first operation.
 */
#ifndef MBR_OBJECT_ASYNC_OPS_H
#define MBR_OBJECT_ASYNC_OPS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "object/async_io.h"

#define MBR__ASYNC_OPS 4096u

enum mbr__async_state {
    MBR__ASYNC_FREE = 0,
    MBR__ASYNC_WAITING, /* in `pending`, not begun */
    MBR__ASYNC_RUNNING, /* in `pending`, the thread is at it */
    MBR__ASYNC_ENDED
};

struct mbr__async_op {
    struct mbr__list node; /* in pending, or in news */
    enum mbr__async_state state;
    bool write;
    int object;              /* the number it was begun through */
    int result;              /* once ended */
    uint32_t canceled;       /* asked for; read by the thread without the lock */
    uint32_t serial;         /* of the use of this place: tells who waits that it has changed */
    struct mbr__async_at at; /* keeps the object's number from being given back */
    size_t offset, size;
    char *buf;
    uint64_t done;   /* bytes from its beginning; written by the thread without the lock */
    uint64_t since;  /* when it was found waiting for others; 0 not yet */
    uint32_t queued; /* how often it was let wait for a moment */
};

struct mbr__async {
    uint32_t mark; /* the process it belongs to */
    bool thread_runs;
    bool stop;              /* the thread is asked to end */
    int fd;                 /* eventfd, -1 nobody has asked for it */
    pthread_mutex_t lock;   /* for all of this but the words told above */
    pthread_cond_t changed; /* an operation or the thread has ended */
    pthread_t thread;
    uint32_t kick;            /* futex: there is something new for the thread */
    uint32_t used;            /* operations not returned */
    uint32_t enders;          /* threads that wait for the operations of an object to end */
    struct mbr__list pending; /* in the order in which they were begun */
    struct mbr__list news;    /* ended, and nobody told */
    uint64_t taken[MBR__ASYNC_OPS / 64];
    struct mbr__async_op op[MBR__ASYNC_OPS];
};

/* Both with the lock held. Ends an operation, tells who waits. */
void mbr__async_finish(struct mbr__async *a, struct mbr__async_op *op, int result);

/* Starts the thread. -EAGAIN. */
int mbr__async_start(struct mbr__async *a);

/* Lets the thread look at what there is to do; with or without the lock. */
void mbr__async_kick(struct mbr__async *a);

#endif
