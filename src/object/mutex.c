/* SPDX-License-Identifier: MIT */
/*
 * The lock of a table: a word that names who has it, taken by compare-and-swap, slept on for a few
 * milliseconds at a time. Whoever finds its owner dead has it, and is told whose work to mend.
 * lock.h has the contract. Not here: the locks of blocks (lock.c), what is mended (table.c).
 */
#include <errno.h>

#include "base/clock.h"
#include "object/futex.h"
#include "object/lock.h"

/* Takes the word from an owner that is dead or no member: 0 or -EOWNERDEAD it is ours, -EAGAIN. */
static int inherit(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint32_t own,
                   uint32_t *dead)
{
    uint32_t old = mbr_load_acquire(&m->word);
    uint32_t slot = mbr__holder_slot(old);

    if (old == 0)
        return -EAGAIN;
    if (slot < MBR_CONTAINER_MEMBERS && w->alive(w, slot))
        return -EAGAIN;
    if (!mbr_cas(&m->word, &old, own)) /* pair C: what the dead one has written is seen */
        return -EAGAIN;
    if (slot >= MBR_CONTAINER_MEMBERS)
        return 0; /* nobody's name: somebody has scribbled over it */
    *dead = slot;
    return -EOWNERDEAD;
}

static bool take(struct mbr__shm_mutex *m, uint32_t own)
{
    uint32_t free = 0;

    return mbr_cas(&m->word, &free, own); /* pair C with the exchange in mbr__shm_unlock() */
}

int mbr__shm_lock(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint64_t deadline,
                  uint32_t *dead)
{
    uint32_t own = mbr__holder(w->self, mbr_fetch_add(&w->member(w, w->self)->nonce, 1) + 1);

    if (take(m, own))
        return 0;
    for (;;) {
        uint32_t turn = mbr_load_acquire(&m->turn);
        uint64_t now = mbr__now_ns();
        uint64_t look = now + MBR__LOCK_LOOK_NS;

        /* Pair B with mbr__shm_unlock(): either it sees that we wait, or we see that it is free. */
        mbr_store_relaxed(&m->waiters, 1);
        mbr_fence_full();
        if (take(m, own))
            return 0;
        if (now < deadline &&
            mbr__futex_wait(&m->turn, turn, MBR__FUTEX_ALL, look < deadline ? look : deadline) == 0)
            continue;
        int r = inherit(w, m, own, dead);

        if (r != -EAGAIN)
            return r;
        if (now >= deadline)
            return -ETIMEDOUT;
    }
}

void mbr__shm_unlock(struct mbr__lock_world *w, struct mbr__shm_mutex *m)
{
    (void)w;
    (void)mbr_exchange(&m->word, 0); /* pair C with take() */
    mbr_fence_full();                /* pair B with the sleeper's, see above */
    if (mbr_load_relaxed(&m->waiters) == 0)
        return;
    mbr_store_relaxed(&m->waiters, 0);
    (void)mbr_fetch_add(&m->turn, 1);
    mbr__futex_wake(&m->turn, MBR__FUTEX_ALL);
}
