/* SPDX-License-Identifier: MIT */
/*
 * The one thread that carries out the asynchronous operations of a process.
 *
 * It goes through what is pending and tries each operation without waiting; those whose blocks
 * others have stay where they are, and hold up nobody but later operations on the same bytes, which
 * keep their order. When none can go on it sleeps until something new is begun, for a few
 * milliseconds at most, and tries again. One that has only been tried would lose to others who wait
 * in the lock's own order, so the eldest that is held up is let wait there, too, for a moment now
 * and then.
 *
 * Not here: copying and locking (async_io.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "object/async_ops.h"

#define NS_PER_MS   UINT64_C(1000000)
#define NAP_MIN_NS  (NS_PER_MS / 20)
#define NAP_MAX_NS  (4 * NS_PER_MS)
#define PATIENCE_NS (2 * NS_PER_MS) /* how long an operation is only tried */
/* How long it waits in the lock's order at a time: an eighth of what it has waited already. */
#define QUEUE_MIN_NS (NS_PER_MS / 2)
#define QUEUE_MAX_NS (5 * NS_PER_MS)

/* ---- sleeping ---- */

void mbr__async_kick(struct mbr__async *a)
{
    (void)mbr_fetch_add(&a->kick, 1); /* pair C with the look in nap() */
    (void)syscall(SYS_futex, &a->kick, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Without the lock. Sleeps unless there was a kick since `seen` was read. */
static void nap(struct mbr__async *a, uint32_t seen, uint64_t ns)
{
    struct timespec span = {.tv_sec = 0, .tv_nsec = (long)ns};

    (void)syscall(SYS_futex, &a->kick, FUTEX_WAIT_PRIVATE, seen, ns == MBR__NEVER ? NULL : &span,
                  NULL, 0);
}

/* ---- one round ---- */

/* Whether the two may not change places. */
static bool same_bytes(const struct mbr__async_op *x, const struct mbr__async_op *y)
{
    return mbr__async_same(&x->at, &y->at) && (x->write || y->write) &&
           x->offset < y->offset + y->size && y->offset < x->offset + x->size;
}

/* Whether one that was begun earlier, and waits still, is about the same bytes. */
static bool is_behind(const struct mbr__async *a, const struct mbr__async_op *op)
{
    for (const struct mbr__list *node = op->node.prev; node != &a->pending; node = node->prev) {
        if (same_bytes(op, mbr__container_of(node, struct mbr__async_op, node)))
            return true;
    }
    return false;
}

/* Tries an operation; the lock is given up meanwhile. What is true of it afterwards: it is still in
 * the list, and running. */
static int attempt(struct mbr__async *a, struct mbr__async_op *op, uint64_t deadline)
{
    int rc;

    op->state = MBR__ASYNC_RUNNING;
    (void)pthread_mutex_unlock(&a->lock);
    rc = mbr__async_copy(&op->at, op->write, op->offset, op->size, op->buf, deadline, &op->canceled,
                         &op->done);
    (void)pthread_mutex_lock(&a->lock);
    return mbr_load_relaxed(&op->canceled) != 0 ? -ECANCELED : rc;
}

/* What an attempt has led to: the end, or going on to wait. */
static bool settle(struct mbr__async *a, struct mbr__async_op *op, int rc)
{
    if (rc != -ETIMEDOUT) {
        mbr__async_finish(a, op, rc);
        return true;
    }
    op->state = MBR__ASYNC_WAITING;
    if (op->since == 0)
        op->since = mbr__now_ns();
    if (a->enders > 0)
        (void)pthread_cond_broadcast(&a->changed);
    return false;
}

/* Tries each that may be; returns whether any has ended. */
static bool attempt_all(struct mbr__async *a)
{
    struct mbr__list *node = mbr__list_first(&a->pending);
    bool ended = false;

    while (node != NULL && !a->stop) {
        struct mbr__async_op *op = mbr__container_of(node, struct mbr__async_op, node);
        bool tried = !is_behind(a, op);
        int rc = tried ? attempt(a, op, 0) : 0;

        /* Its neighbours may have gone meanwhile, so only now is it known who is next. */
        node = mbr__list_next(&a->pending, node);
        if (tried && settle(a, op, rc))
            ended = true;
    }
    return ended;
}

/* Of those that have been tried for long the one that was let wait least often; NULL there is none.
 */
static struct mbr__async_op *most_patient(const struct mbr__async *a, uint64_t now)
{
    struct mbr__async_op *best = NULL;

    for (struct mbr__list *node = mbr__list_first(&a->pending); node != NULL;
         node = mbr__list_next(&a->pending, node)) {
        struct mbr__async_op *op = mbr__container_of(node, struct mbr__async_op, node);

        if (op->since != 0 && now - op->since > PATIENCE_NS &&
            (best == NULL || op->queued < best->queued))
            best = op;
    }
    return best;
}

/* Lets one wait in the lock's order for a moment. Returns whether it has ended. */
static bool queue_one(struct mbr__async *a)
{
    uint64_t now = mbr__now_ns();
    struct mbr__async_op *op = most_patient(a, now);

    if (op == NULL)
        return false;
    uint64_t span = (now - op->since) / 8;

    if (span < QUEUE_MIN_NS)
        span = QUEUE_MIN_NS;
    if (span > QUEUE_MAX_NS)
        span = QUEUE_MAX_NS;
    op->queued++;
    return settle(a, op, attempt(a, op, now + span));
}

/* ---- the thread ---- */

static void *run(void *arg)
{
    struct mbr__async *a = arg;
    uint64_t pause = NAP_MIN_NS;

    (void)pthread_setname_np(pthread_self(), "mbr-object");
    (void)pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        uint32_t seen = mbr_load_acquire(&a->kick); /* pair C with mbr__async_kick() */

        if (attempt_all(a) || (!mbr__list_empty(&a->pending) && queue_one(a))) {
            pause = NAP_MIN_NS;
            continue;
        }
        bool idle = mbr__list_empty(&a->pending);

        (void)pthread_mutex_unlock(&a->lock);
        nap(a, seen, idle ? MBR__NEVER : pause);
        (void)pthread_mutex_lock(&a->lock);
        pause = idle ? NAP_MIN_NS : pause < NAP_MAX_NS ? 2 * pause : NAP_MAX_NS;
    }
    (void)pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* The thread inherits the mask: no signal of the program may end up in it. */
int mbr__async_start(struct mbr__async *a)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return -EAGAIN;
    int rc = pthread_create(&a->thread, NULL, run, a);

    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return -EAGAIN;
    a->thread_runs = true;
    return 0;
}
