/* SPDX-License-Identifier: MIT */
/*
 * The demi_* calls on pipes, memory and waiting: the thread's instance, positive errnos, timespecs.
 * Everything else is the native API's. Network calls are in network.c.
 */
#define _GNU_SOURCE
#include "queue/demi/demi.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

#include "queue/demi/config.h"

#define NS_PER_S UINT64_C(1000000000)

/* Initial-exec: one instruction instead of a call. */
static _Thread_local struct mbr_libos *instance __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_error;

static _Thread_local bool memory_only;

struct mbr_libos *demi_this(void)
{
    return instance;
}

bool demi_is_memory(void)
{
    return memory_only;
}

/* A thread that ends closes its pipes in order, as a process that exits does. */
static void close_instance(void *l)
{
    instance = NULL;
    mbr_libos_close(l);
}

static void make_key(void)
{
    once_error = pthread_key_create(&thread_end, close_instance);
}

/* 0, or the upstream name of what the caller did wrong. */
static int positive(int r)
{
    return r < 0 ? -r : 0;
}

int demi_init(const struct demi_args *args)
{
    struct demi_config config = {0};
    struct mbr_libos *l = NULL;

    (void)args; /* as upstream: the environment configures us */
    if (instance != NULL && mbr_libos_adopt(instance) == -EPERM) {
        mbr_libos_close(instance); /* inherited by a fork: dead here, and no obstacle */
        instance = NULL;
    }
    if (instance != NULL)
        return EEXIST;
    if (pthread_once(&once, make_key) != 0 || once_error != 0)
        return ENOMEM;
    int r = demi_config_read(&config);

    config.options.size = sizeof(config.options);
    if (r == 0)
        r = mbr_libos_open(config.libos, &config.options, &l);
    if (r == -ENOTSUP)
        r = -EINVAL; /* an unknown kind is a bad setting */
    if (r == 0 && pthread_setspecific(thread_end, l) != 0) {
        mbr_libos_close(l);
        r = -ENOMEM;
    }
    if (r == 0) {
        instance = l;
        memory_only = !config.network;
    }
    return positive(r);
}

int demi_create_pipe(int *memqd_out, const char *name)
{
    if (instance == NULL)
        return ENOSYS;
    return positive(mbr_pipe_create(instance, name, NULL, memqd_out));
}

int demi_open_pipe(int *memqd_out, const char *name)
{
    if (instance == NULL)
        return ENOSYS;
    return positive(mbr_pipe_open(instance, name, NULL, memqd_out));
}

int demi_close(int qd)
{
    return instance == NULL ? ENOSYS : positive(mbr_close(instance, qd));
}

int demi_push(demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga)
{
    return instance == NULL ? ENOSYS : positive(mbr_push(instance, qd, sga, qt_out));
}

int demi_pop(demi_qtoken_t *qt_out, int qd)
{
    if (instance == NULL)
        return ENOSYS;
    return qt_out == NULL ? EINVAL : positive(mbr_pop(instance, qd, 0, qt_out));
}

demi_sgarray_t demi_sgaalloc(size_t size)
{
    return instance == NULL ? (demi_sgarray_t){0} : mbr_sga_alloc(size);
}

int demi_sgafree(demi_sgarray_t *sga)
{
    return instance == NULL ? ENOSYS : positive(mbr_sga_free(sga));
}

/* NULL is for ever; what is out of range is refused. */
static int to_ns(const struct timespec *ts, uint64_t *ns)
{
    *ns = MBR_FOREVER;
    if (ts == NULL)
        return 0;
    if (ts->tv_sec < 0 || ts->tv_nsec < 0 || (uint64_t)ts->tv_nsec >= NS_PER_S)
        return EINVAL;
    if ((uint64_t)ts->tv_sec < MBR_FOREVER / NS_PER_S)
        *ns = (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
    return 0;
}

int demi_wait(demi_qresult_t *qr_out, demi_qtoken_t qt, const struct timespec *timeout)
{
    uint64_t ns;

    if (instance == NULL)
        return ENOSYS;
    int r = to_ns(timeout, &ns);

    return r != 0 ? r : positive(mbr_wait(instance, qt, ns, qr_out));
}

int demi_wait_any(demi_qresult_t *qr_out, int *ready_offset, const demi_qtoken_t qts[], int num_qts,
                  const struct timespec *timeout)
{
    uint64_t ns;

    if (instance == NULL)
        return ENOSYS;
    int r = to_ns(timeout, &ns);

    return r != 0 ? r : positive(mbr_wait_any(instance, qts, num_qts, ns, qr_out, ready_offset));
}

int demi_wait_next_n(demi_qresult_t *qr_out, int num_qrs, int *num_qrs_out,
                     const struct timespec *timeout)
{
    uint64_t ns;

    if (instance == NULL)
        return ENOSYS;
    int r = to_ns(timeout, &ns);

    return r != 0 ? r : positive(mbr_wait_next_n(instance, num_qrs, ns, qr_out, num_qrs_out));
}
