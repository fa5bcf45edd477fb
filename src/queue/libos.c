/* SPDX-License-Identifier: MIT */
/*
 * The life of a libOS instance and who may call it. Operations and waiting are in op.c, pipes in
 * catmem/.
 */
#define _GNU_SOURCE
#include "queue/libos.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/assert.h"
#include "queue/catloop/pair.h"
#include "queue/catmem/gc.h"
#include "queue/catmem/pipe.h"
#include "queue/sock.h"
#include "shm/proc.h"

/* Its address names the thread. Initial-exec: one instruction instead of a call. */
_Thread_local char mbr__thread_here __attribute__((tls_model("initial-exec")));

uintptr_t mbr__this_thread(void)
{
    return (uintptr_t)&mbr__thread_here;
}

/* All instances, so that those of the thread that ends the process are closed in order. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mbr__list registry = {&registry, &registry};

/* "64K", "1M", "1G" or plain bytes; 0 when it is no such thing. */
static uint64_t parse_size(const char *text)
{
    static const char units[] = "kmg";
    char *end = NULL;
    const char *unit;
    uint64_t n = 0;

    if (text[0] < '0' || text[0] > '9')
        return 0;
    n = strtoull(text, &end, 10);
    if (n > MBR_PIPE_CAPACITY_MAX)
        return 0;
    if (*end == '\0')
        return n;
    unit = strchr(units, *end | 0x20);
    if (unit == NULL || *unit == '\0' || end[1] != '\0')
        return 0;
    return n << 10 * (unit - units + 1);
}

static uint64_t round_capacity(uint64_t bytes)
{
    uint64_t c = MBR__RING_MIN;

    while (c < bytes)
        c <<= 1;
    return c;
}

static int choose_capacity(const struct mbr_libos_options *o, uint64_t *out)
{
    const char *env = getenv("MEMBRANE_CAPACITY");
    uint64_t bytes = MBR_PIPE_CAPACITY_DEFAULT;

    if (o != NULL && o->size < sizeof(*o))
        return -EINVAL;
    if (o != NULL && o->capacity != 0)
        bytes = o->capacity;
    else if (env != NULL && (bytes = parse_size(env)) == 0)
        return -EINVAL;
    if (bytes > MBR_PIPE_CAPACITY_MAX)
        return -EINVAL;
    *out = round_capacity(bytes);
    return 0;
}

static void register_libos(struct mbr_libos *l)
{
    pthread_mutex_lock(&registry_lock);
    mbr__list_push_back(&registry, &l->registry);
    pthread_mutex_unlock(&registry_lock);
}

static void unregister_libos(struct mbr_libos *l)
{
    pthread_mutex_lock(&registry_lock);
    mbr__list_del(&l->registry);
    pthread_mutex_unlock(&registry_lock);
}

/* A bell names a pipe by its slab index + 1. */
static void rang(struct mbr__waitset *ws, uint32_t bell)
{
    struct mbr_libos *l = mbr__container_of(ws, struct mbr_libos, ws);
    struct mbr__pipe *p = NULL;

    if ((bell & MBR__PAIR_BELL) == 0)
        p = mbr__slab_at(&l->pipes, bell - 1);
    if ((bell & MBR__PAIR_BELL) != 0)
        p = mbr__slab_at(&l->pairs, bell & ~MBR__PAIR_BELL);
    if (p != NULL && p->kind == MBR__QUEUE_PIPE) {
        mbr__watch_heat(ws, &p->rx_watch);
        mbr__watch_heat(ws, &p->tx_watch);
    }
}

static int find_kind(const char *name)
{
    static const char *const names[] = {
        [MBR__CATMEM] = "catmem", [MBR__CATLOOP] = "catloop", [MBR__CATNAP] = "catnap"};

    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return i;
    }
    return -ENOTSUP;
}

static void choose_sockets(const struct mbr_libos_options *o, struct mbr__sock_config *out)
{
    *out = (struct mbr__sock_config){.nodelay = true};
    if (o == NULL)
        return;
    out->local = o->local_addr;
    out->nodelay = (o->sockets & MBR_SOCKETS_DELAY) == 0;
    out->linger = (o->sockets & MBR_SOCKETS_LINGER) != 0;
    out->keepalive = (o->sockets & MBR_SOCKETS_KEEPALIVE) != 0;
    out->linger_s = o->linger_s;
    out->keepalive_ms = o->keepalive_ms;
    out->keepalive_interval_ms = o->keepalive_interval_ms;
}

int mbr_libos_open(const char *kind, const struct mbr_libos_options *options,
                   struct mbr_libos **out)
{
    uint64_t capacity = 0;
    int which = kind == NULL ? 0 : find_kind(kind);

    if (kind == NULL || out == NULL)
        return -EINVAL;
    if (which < 0)
        return which;
    int r = choose_capacity(options, &capacity);

    if (r < 0)
        return r;
    struct mbr_libos *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return -ENOMEM;
    r = mbr__waitset_init(&l->ws);
    if (r < 0) {
        free(l);
        return r;
    }
    l->ws.rang = rang;
    l->capacity = capacity;
    l->thread = (uintptr_t)&mbr__thread_here;
    l->fork_mark = mbr__fork_mark();
    l->self_pidfd = -1;
    l->spare_fd = -1;
    mbr__sched_init(&l->sched);
    MBR_ASSERT(mbr__slab_init(&l->ops, sizeof(struct mbr__op), MBR__OPS_MAX) == 0);
    MBR_ASSERT(mbr__slab_init(&l->pipes, sizeof(struct mbr__pipe), MBR__QUEUES_MAX) == 0);
    mbr__list_init(&l->done);
    mbr__list_init(&l->peers);
    mbr__list_init(&l->ready);
    MBR_ASSERT(mbr__slab_init(&l->pairs, sizeof(struct mbr__pair), MBR__QUEUES_MAX) == 0);
    mbr__list_init(&l->idle);
    mbr__list_init(&l->served);
    mbr__list_init(&l->targets);
    mbr__hash_init(&l->connections);
    l->kind = (uint8_t)which;
    choose_sockets(options, &l->sockets);
    register_libos(l);
    *out = l;
    return 0;
}

static void mailbox_ready(struct mbr__watch *w, uint32_t events)
{
    (void)events;
    mbr__hello_read(mbr__container_of(w, struct mbr_libos, box_watch), MBR__NOTES_SOME);
}

int mbr__libos_name(struct mbr_libos *l)
{
    if (l->named)
        return 0;
    int r = mbr__names_open(&l->names);

    if (r < 0)
        return r;
    mbr__gc_some(&l->names);
    r = mbr__mailbox_open(&l->names, &l->box);
    if (r == 0) {
        mbr__hello_start(l);
        r = mbr__watch_fd(&l->ws, &l->box_watch, l->box.fd, EPOLLIN, mailbox_ready);
        if (r < 0)
            mbr__mailbox_close(&l->names, &l->box);
    }
    if (r < 0)
        mbr__names_close(&l->names);
    else
        l->spare_fd =
            fcntl(l->ws.bell, F_DUPFD_CLOEXEC, 0); /* without it we only lose the reserve */
    l->named = r == 0;
    return r;
}

static void drop_results(struct mbr_libos *l)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&l->done)) != NULL) {
        struct mbr__op *op = mbr__container_of(node, struct mbr__op, node);

        mbr__buf_unref(op->buf);
        mbr__slab_free(&l->ops, op);
    }
}

void mbr_libos_close(struct mbr_libos *l)
{
    uint32_t cursor = 0;
    struct mbr__pipe *p;

    if (l == NULL)
        return;
    unregister_libos(l);
    l->closing = true;
    while ((p = mbr__slab_next(&l->pipes, &cursor)) != NULL) {
        if (p->kind == MBR__QUEUE_SOCK) {
            (void)mbr__sock_close((struct mbr__sock *)(void *)p);
            continue;
        }
        mbr__pipe_fail(p, &p->pops, EBADF);
        mbr__pipe_fail(p, &p->pushes, EBADF);
        mbr__session_close(p);
    }
    for (cursor = 0; (p = mbr__slab_next(&l->pairs, &cursor)) != NULL;)
        mbr__pair_free(mbr__pair_of(p));
    drop_results(l);
    mbr__hash_fini(&l->connections);
    mbr__buf_unref(l->spare);
    if (l->named) {
        mbr__timer_cancel(&l->ws.timers, &l->box_pause);
        mbr__watch_end(&l->ws, &l->box_watch);
        mbr__mailbox_close(&l->names, &l->box);
        mbr__names_close(&l->names);
    }
    if (l->self_pidfd >= 0)
        close(l->self_pidfd);
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    mbr__slab_fini(&l->pipes);
    mbr__slab_fini(&l->pairs);
    mbr__slab_fini(&l->ops);
    mbr__sched_fini(&l->sched);
    mbr__waitset_fini(&l->ws);
    free(l);
}

int mbr_libos_adopt(struct mbr_libos *l)
{
    if (l == NULL)
        return -EINVAL;
    if (l->fork_mark != mbr__fork_mark())
        return -EPERM;
    l->thread = (uintptr_t)&mbr__thread_here;
    return 0;
}

/* At an orderly exit peers shall see end of file, not a death. Instances of other threads may be in
 * use this moment and are left alone: their peers see a reset, after all that was pushed. */
__attribute__((destructor)) static void close_at_exit(void)
{
    struct mbr__list *node = mbr__list_first(&registry);

    while (node != NULL) {
        struct mbr_libos *l = mbr__container_of(node, struct mbr_libos, registry);
        struct mbr__list *next = mbr__list_next(&registry, node);

        if (l->thread == (uintptr_t)&mbr__thread_here && l->fork_mark == mbr__fork_mark())
            mbr_libos_close(l);
        node = next;
    }
}

void mbr_libos_interrupt(struct mbr_libos *l)
{
    if (l != NULL)
        mbr__waitset_interrupt(&l->ws);
}

int mbr_libos_fd(struct mbr_libos *l)
{
    return l == NULL ? -EINVAL : l->ws.ep;
}

int mbr_libos_prepare(struct mbr_libos *l)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    mbr__sched_run(&l->sched, MBR__SCHED_MAX);
    r = mbr__list_empty(&l->done) && mbr__list_empty(&l->ready) ? mbr__waitset_prepare(&l->ws) : 1;
    mbr__libos_leave(l);
    return r;
}
