/* SPDX-License-Identifier: MIT */
/* Processes that share one end of a connection; kin.h says how. */
#include "kin.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conn.h"
#include "shm/proc.h"

static_assert(SHIM_KIN_AT >= sizeof(struct shim_half), "behind what the peer reads");
static_assert(SHIM_KIN_AT + sizeof(struct shim_kin) <= SHIM_HALF_HEAD, "in the first page");

static uint32_t with_kin;  /* connections of this process */
static int32_t child_mark; /* what stands in the places of a child that is being made */

bool shim_kin_any(void)
{
    return mbr_load_relaxed(&with_kin) > 0;
}

/* ---- who there is ---------------------------------------------------------------------------- */

/* Takes what is in the place out of it, unless somebody else has. */
static void strike(struct shim_kin *k, int i, int32_t pid)
{
    if (mbr_cas(&k->pids[i], &pid, 0))
        mbr_fetch_add(&k->count, UINT32_MAX);
}

static bool is_dead(int32_t pid)
{
    return kill(pid < 0 ? -pid : pid, 0) < 0 && errno == ESRCH;
}

uint32_t shim_kin_count_others(struct shim_kin *k)
{
    int32_t self = getpid();
    uint32_t n = 0;

    for (int i = 0; i < SHIM_KIN_MAX; i++) {
        int32_t pid = mbr_load_relaxed(&k->pids[i]);

        if (pid == 0 || pid == self)
            continue;
        if (is_dead(pid))
            strike(k, i, pid);
        else
            n++;
    }
    return n;
}

bool shim_kin_room(struct shim_kin *k)
{
    if (mbr_load_relaxed(&k->count) < SHIM_KIN_MAX)
        return true;
    (void)shim_kin_count_others(k);
    return mbr_load_relaxed(&k->count) < SHIM_KIN_MAX;
}

bool shim_kin_leave(struct shim_kin *k)
{
    int32_t self = getpid();
    uint32_t nobody = 0;

    for (int i = 0; i < SHIM_KIN_MAX; i++) {
        if (mbr_load_relaxed(&k->pids[i]) == self)
            strike(k, i, self);
    }
    mbr_fence_full(); /* of two that leave at once, one at least sees the other gone */
    return shim_kin_count_others(k) == 0 && mbr_cas(&k->last, &nobody, (uint32_t)1);
}

static bool claim(struct shim_kin *k, int32_t pid)
{
    for (int i = 0; i < SHIM_KIN_MAX; i++) {
        int32_t none = 0;

        if (!mbr_cas(&k->pids[i], &none, pid))
            continue;
        mbr_fetch_add(&k->count, 1);
        return true;
    }
    return false;
}

void shim_kin_rejoin(struct shim_kin *k, bool last)
{
    if (last)
        mbr_store_release(&k->last, (uint32_t)0);
    (void)claim(k, getpid());
}

/* ---- locks ----------------------------------------------------------------------------------- */

static bool init_lock(pthread_mutex_t *m)
{
    pthread_mutexattr_t a;
    int err;

    if (pthread_mutexattr_init(&a) != 0)
        return false;
    err = pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    if (err == 0)
        err = pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    if (err == 0)
        err = pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
    return err == 0;
}

int shim_kin_lock(pthread_mutex_t *m, bool wait)
{
    int err = wait ? pthread_mutex_lock(m) : pthread_mutex_trylock(m);

    if (err == EOWNERDEAD)
        (void)pthread_mutex_consistent(m);
    return err == EBUSY ? -EAGAIN : -err;
}

/* ---- fork ------------------------------------------------------------------------------------ */

static bool inheritable(struct mbr__region *r)
{
    return madvise(r->base, r->head + 2 * r->body, MADV_DOFORK) == 0;
}

static bool found(struct shim_conn *c)
{
    struct shim_kin *k = (struct shim_kin *)(void *)(c->mine.base + SHIM_KIN_AT);

    if (shim_kin(c) != NULL)
        return true;
    if (!inheritable(&c->mine) || !inheritable(&c->theirs) || !init_lock(&k->rx) ||
        !init_lock(&k->tx))
        return false;
    k->epoch = c->epoch;
    k->rx_tcp = c->rx_tcp;
    k->shut = c->shut;
    if (!claim(k, getpid()))
        return false;
    mbr_fetch_add(&with_kin, 1);
    mbr_store_release(&c->kin, k);
    return true;
}

bool shim_kin_prepare(struct shim_conn *c)
{
    /* What has been sent through the kernel is counted here alone; from now on nothing is. */
    if (!c->tx_ring && !shim_switch_tx(c) && c->own->left == SHIM_LEFT_NO)
        return false;
    if (!found(c))
        return false;
    (void)shim_kin_count_others(shim_kin(c));
    child_mark = -getpid();
    return claim(shim_kin(c), child_mark);
}

void shim_kin_born(struct shim_conn *c)
{
    struct shim_kin *k = shim_kin(c);
    int32_t self = getpid();
    bool placed = false;

    for (int i = 0; i < SHIM_KIN_MAX && !placed; i++) {
        int32_t want = child_mark;

        placed = mbr_cas(&k->pids[i], &want, self);
    }
    if (!placed) /* the parent is dead, and somebody has noticed */
        (void)claim(k, self);
    c->kin_late = 1;
    c->mine.mark = c->theirs.mark = mbr__fork_mark();
}

void shim_kin_drop(struct shim_conn *c)
{
    if (shim_kin(c) == NULL)
        return;
    c->kin = NULL;
    mbr_fetch_add(&with_kin, UINT32_MAX);
}
