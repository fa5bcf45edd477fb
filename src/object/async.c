/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous operations: their numbers, states and news. membrane/objects.h has the contract,
 * async_worker.c the thread that carries them out.
 */
#define _GNU_SOURCE
#include "object/async.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <membrane/objects.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "object/async_ops.h"
#include "shm/proc.h"

#define NS_PER_S UINT64_C(1000000000)

/* Made by the first call that needs it, and anew in a child of fork(). */
static struct mbr__async *ops;

/* ---- the table ---- */

static struct mbr__async *table_new(void)
{
    struct mbr__async *a = calloc(1, sizeof(*a));
    pthread_condattr_t attr;

    if (a == NULL)
        return NULL;
    if (pthread_condattr_init(&attr) != 0)
        goto fail;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&a->changed, &attr);

    (void)pthread_condattr_destroy(&attr);
    if (rc != 0)
        goto fail;
    if (pthread_mutex_init(&a->lock, NULL) != 0) {
        (void)pthread_cond_destroy(&a->changed);
        goto fail;
    }
    mbr__list_init(&a->pending);
    mbr__list_init(&a->news);
    a->fd = -1;
    a->mark = mbr__fork_mark();
    return a;
fail:
    free(a);
    return NULL;
}

static void table_free(struct mbr__async *a)
{
    (void)pthread_mutex_destroy(&a->lock);
    (void)pthread_cond_destroy(&a->changed);
    free(a);
}

/* The table of this process, or NULL: there is none yet. *inherited: there is one of an ancestor.
 */
static struct mbr__async *table(bool *inherited)
{
    struct mbr__async *a = mbr_load_acquire(&ops); /* pair C with table_make() */

    *inherited = a != NULL && a->mark != mbr__fork_mark();
    return *inherited ? NULL : a;
}

/* The same, made if need be. Of a parent's table only the descriptor is closed: its lock may be
 * held by a thread that is not here. */
static struct mbr__async *table_make(void)
{
    struct mbr__async *a = mbr_load_acquire(&ops);

    if (a != NULL && a->mark == mbr__fork_mark())
        return a;
    struct mbr__async *fresh = table_new();

    if (fresh == NULL)
        return NULL;
    struct mbr__async *old = a;

    if (!mbr_cas(&ops, &a, fresh)) {
        table_free(fresh);
        return a;
    }
    if (old != NULL && old->fd >= 0)
        (void)close(old->fd);
    return fresh;
}

/* The operation of this number, and the lock; NULL with *rc set, and without it. */
static struct mbr__async_op *find(int number, struct mbr__async **out, int *rc)
{
    bool inherited;
    struct mbr__async *a = table(&inherited);

    *rc = inherited ? -EPERM : -EBADF;
    if (a == NULL || number < 0 || (uint32_t)number >= MBR__ASYNC_OPS)
        return NULL;
    (void)pthread_mutex_lock(&a->lock);
    if (a->op[number].state == MBR__ASYNC_FREE) {
        (void)pthread_mutex_unlock(&a->lock);
        return NULL;
    }
    *out = a;
    return &a->op[number];
}

/* ---- news ---- */

/* The descriptor is readable exactly while there are news: it is told at both changes. */
static void news_began(const struct mbr__async *a)
{
    uint64_t one = 1;

    if (a->fd >= 0)
        (void)!write(a->fd, &one, sizeof(one));
}

static void news_ended(const struct mbr__async *a)
{
    uint64_t count;

    if (a->fd >= 0)
        (void)!read(a->fd, &count, sizeof(count));
}

static void news_take(struct mbr__async *a, struct mbr__async_op *op)
{
    if (mbr__list_empty(&op->node))
        return;
    mbr__list_del(&op->node);
    if (mbr__list_empty(&a->news))
        news_ended(a);
}

void mbr__async_finish(struct mbr__async *a, struct mbr__async_op *op, int result)
{
    bool first = mbr__list_empty(&a->news);

    mbr__list_del(&op->node);
    mbr__list_push_back(&a->news, &op->node);
    mbr__async_unpin(&op->at);
    op->result = result;
    op->state = MBR__ASYNC_ENDED;
    if (first)
        news_began(a);
    (void)pthread_cond_broadcast(&a->changed);
}

/* ---- beginning ---- */

/* The lowest free place; the caller knows that there is one. */
static struct mbr__async_op *take_place(struct mbr__async *a)
{
    uint32_t word = 0;

    while (a->taken[word] == UINT64_MAX)
        word++;
    uint32_t bit = (uint32_t)__builtin_ctzll(~a->taken[word]);

    a->taken[word] |= UINT64_C(1) << bit;
    a->used++;
    return &a->op[word * 64 + bit];
}

/* With the lock. 0: there is a thread, and room for one more operation. */
static int make_ready(struct mbr__async *a)
{
    while (a->stop) /* it ends because there was no container; there is one again */
        (void)pthread_cond_wait(&a->changed, &a->lock);
    if (a->used == MBR__ASYNC_OPS)
        return -EAGAIN;
    return a->thread_runs ? 0 : mbr__async_start(a);
}

static int begin(int object, bool write, size_t offset, char *buf, size_t size)
{
    struct mbr__async_at at;
    struct mbr__async *a;
    int rc;

    if (buf == NULL && size != 0)
        return -EINVAL;
    rc = mbr__async_pin(object, offset, size, &at);
    if (rc < 0)
        return rc;
    a = table_make();
    if (a == NULL) {
        mbr__async_unpin(&at);
        return -ENOMEM;
    }
    (void)pthread_mutex_lock(&a->lock);
    rc = make_ready(a);
    if (rc == 0) {
        struct mbr__async_op *op = take_place(a);
        uint32_t serial = op->serial;

        *op = (struct mbr__async_op){.state = MBR__ASYNC_WAITING,
                                     .write = write,
                                     .object = object,
                                     .serial = serial,
                                     .at = at,
                                     .offset = offset,
                                     .size = size,
                                     .buf = buf};
        mbr__list_push_back(&a->pending, &op->node);
        rc = (int)(op - a->op);
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (rc < 0)
        mbr__async_unpin(&at);
    else
        mbr__async_kick(a);
    return rc;
}

int mbr_object_awrite(int object, size_t offset, const void *buf, size_t size)
{
    /* It is only read from; the field serves both directions. */
    return begin(object, true, offset, (char *)(uintptr_t)buf, size);
}

int mbr_object_aread(int object, size_t offset, void *buf, size_t size)
{
    return begin(object, false, offset, buf, size);
}

/* ---- asking ---- */

int mbr_object_opstatus(int operation)
{
    struct mbr__async *a;
    int rc;
    const struct mbr__async_op *op = find(operation, &a, &rc);

    if (op == NULL)
        return rc;
    rc = op->state == MBR__ASYNC_ENDED ? op->result : MBR_OBJECT_INPROGRESS;
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

int mbr_object_opdone(int operation, uint64_t *bytes)
{
    struct mbr__async *a;
    int rc;
    const struct mbr__async_op *op;

    if (bytes == NULL)
        return -EINVAL;
    op = find(operation, &a, &rc);
    if (op == NULL)
        return rc;
    *bytes = mbr_load_acquire(&op->done); /* pair A with the thread, between blocks */
    (void)pthread_mutex_unlock(&a->lock);
    return 0;
}

int mbr_object_opcancel(int operation)
{
    struct mbr__async *a;
    int rc;
    struct mbr__async_op *op = find(operation, &a, &rc);

    if (op == NULL)
        return rc;
    rc = 0;
    if (op->state == MBR__ASYNC_WAITING)
        mbr__async_finish(a, op, -ECANCELED);
    else if (op->state == MBR__ASYNC_RUNNING)
        mbr_store_relaxed(&op->canceled, 1);
    else if (op->result != -ECANCELED)
        rc = -EALREADY;
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

int mbr_object_opwait(int operation, uint64_t deadline_ns)
{
    struct timespec at = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                          .tv_nsec = (long)(deadline_ns % NS_PER_S)};
    struct mbr__async *a;
    int rc;
    const struct mbr__async_op *op = find(operation, &a, &rc);

    if (op == NULL)
        return rc;
    uint32_t serial = op->serial;

    rc = 0;
    /* If the place changes hands meanwhile, the operation has ended and was returned. */
    while (rc == 0 && op->serial == serial && op->state != MBR__ASYNC_ENDED) {
        if (deadline_ns == MBR_FOREVER)
            (void)pthread_cond_wait(&a->changed, &a->lock);
        else
            rc = -pthread_cond_timedwait(&a->changed, &a->lock, &at);
    }
    if (op->serial != serial || op->state == MBR__ASYNC_ENDED)
        rc = 0;
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

int mbr_object_return(int operation)
{
    struct mbr__async *a;
    int rc;
    struct mbr__async_op *op = find(operation, &a, &rc);

    if (op == NULL)
        return rc;
    rc = -EINPROGRESS;
    if (op->state == MBR__ASYNC_ENDED) {
        rc = op->result;
        news_take(a, op);
        op->state = MBR__ASYNC_FREE;
        op->serial++;
        a->taken[(uint32_t)operation / 64] &= ~(UINT64_C(1) << ((uint32_t)operation % 64));
        a->used--;
    }
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

int mbr_object_opfd(void)
{
    struct mbr__async *a = table_make();
    int rc;

    if (a == NULL)
        return -ENOMEM;
    (void)pthread_mutex_lock(&a->lock);
    rc = a->fd;
    if (rc < 0) {
        rc = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        rc = rc < 0 ? -errno : rc;
    }
    if (rc >= 0 && a->fd < 0) {
        a->fd = rc;
        if (!mbr__list_empty(&a->news))
            news_began(a);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

int mbr_object_opnext(void)
{
    bool inherited;
    struct mbr__async *a = table(&inherited);
    int rc = -EAGAIN;

    if (a == NULL)
        return inherited ? -EPERM : -EAGAIN;
    (void)pthread_mutex_lock(&a->lock);
    struct mbr__list *node = mbr__list_first(&a->news);

    if (node != NULL) {
        struct mbr__async_op *op = mbr__container_of(node, struct mbr__async_op, node);

        news_take(a, op);
        rc = (int)(op - a->op);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

/* ---- ending ---- */

/* Ends what has not begun; returns whether the thread is at one of this object's. */
static bool end_waiting(struct mbr__async *a, int object)
{
    struct mbr__list *node = mbr__list_first(&a->pending);
    bool runs = false;

    while (node != NULL) {
        struct mbr__async_op *op = mbr__container_of(node, struct mbr__async_op, node);

        node = mbr__list_next(&a->pending, node);
        if (op->object != object)
            continue;
        if (op->state == MBR__ASYNC_RUNNING)
            runs = true;
        else
            mbr__async_finish(a, op, -ECANCELED);
    }
    return runs;
}

void mbr__async_end_object(int object)
{
    bool inherited;
    struct mbr__async *a = table(&inherited);

    if (a == NULL)
        return;
    (void)pthread_mutex_lock(&a->lock);
    a->enders++;
    while (end_waiting(a, object))
        (void)pthread_cond_wait(&a->changed, &a->lock);
    a->enders--;
    (void)pthread_mutex_unlock(&a->lock);
}

void mbr__async_last_left(void)
{
    bool inherited;
    struct mbr__async *a = table(&inherited);

    if (a == NULL)
        return;
    (void)pthread_mutex_lock(&a->lock);
    if (a->thread_runs && !a->stop) {
        a->stop = true;
        mbr__async_kick(a);
        (void)pthread_mutex_unlock(&a->lock);
        (void)pthread_join(a->thread, NULL);
        (void)pthread_mutex_lock(&a->lock);
        a->thread_runs = false;
        a->stop = false;
        (void)pthread_cond_broadcast(&a->changed);
    }
    (void)pthread_mutex_unlock(&a->lock);
}
