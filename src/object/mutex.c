/* SPDX-License-Identifier: MIT */
/*
 * The lock of a table: a word that names who has it, taken by compare-and-swap, slept on for a few
 * milliseconds at a time. Whoever finds its owner dead has it, and is told whose work to mend.
 *
 * Who takes it writes the word into one of its member's tickets before, and clears that after it
 * has freed it; the word says which ticket. So a word that its owner has no ticket for is false: it
 * was scribbled, or its owner is dead and his slot is another's now. A member that scribbles may
 * write such a ticket as well, for somebody who lives: so each process knows its own by heart, does
 * not believe what is said of itself, and puts right what others see of it, a little at each turn.
 *
 * lock.h has the contract. Not here: the locks of blocks (lock.c), what is mended (table.c).
 */
#include <errno.h>

#include "base/clock.h"
#include "object/futex.h"
#include "object/lock.h"

#define TICKET_NAP_NS 1000000u /* when a process's tickets are all taken */

static uint32_t *ticket_of(struct mbr__lock_world *w, uint32_t word)
{
    uint32_t i = word >> MBR__HOLDER_BITS & (MBR__MUTEX_TICKETS - 1);

    return &w->member(w, mbr__holder_slot(word))->tickets[i];
}

static struct mbr__own_ticket *own_of(struct mbr__lock_world *w, uint32_t word)
{
    return &w->own[word >> MBR__HOLDER_BITS & (MBR__MUTEX_TICKETS - 1)];
}

/* One that nobody has and that says something all the same: it is taken for that moment. */
static void correct_ticket(struct mbr__lock_world *w, struct mbr__member_shm *m, uint32_t i)
{
    uint32_t none = 0;

    if (mbr_load_relaxed(&m->tickets[i]) == 0 || mbr_load_relaxed(&w->own[i].word) != 0 ||
        !mbr_cas(&w->own[i].word, &none, UINT32_MAX))
        return;
    mbr_store_release(&m->tickets[i], 0);
    mbr_store_release(&w->own[i].word, 0);
}

/* A ticket of ours that no other thread has: the word it stands for; 0 there is none. */
static uint32_t take_ticket(struct mbr__lock_world *w)
{
    struct mbr__member_shm *m = w->member(w, w->self);
    uint32_t count = mbr_fetch_add(&m->nonce, 1);

    correct_ticket(w, m, count % MBR__MUTEX_TICKETS);
    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++) {
        uint32_t word = mbr__holder(w->self, count << MBR__MUTEX_TICKET_BITS | i);
        uint32_t none = 0;

        if (mbr_load_relaxed(&w->own[i].word) == 0 && mbr_cas(&w->own[i].word, &none, word)) {
            mbr_store_release(&m->tickets[i], word);
            return word; /* pair A with is_accounted(), through the mutex's word */
        }
    }
    return 0;
}

static int wait_ticket(struct mbr__lock_world *w, uint64_t deadline, uint32_t *word)
{
    while ((*word = take_ticket(w)) == 0) {
        uint32_t never = 0;
        uint64_t now = mbr__now_ns();

        if (now >= deadline)
            return -ETIMEDOUT;
        (void)mbr__futex_wait(&never, 0, MBR__FUTEX_ALL, now + TICKET_NAP_NS);
    }
    return 0;
}

static void give_ticket(struct mbr__lock_world *w, uint32_t word)
{
    struct mbr__own_ticket *own = own_of(w, word);

    mbr_store_release(ticket_of(w, word), 0); /* pair A: the mutex was freed before */
    mbr_store_relaxed(&own->mutex, 0);
    mbr_store_release(&own->word, 0);
}

/* Whether a living owner has a ticket for the word; `m` still has it afterwards. */
static bool is_accounted(struct mbr__lock_world *w, uint32_t word)
{
    if (mbr__holder_slot(word) == w->self)
        return mbr_load_acquire(&own_of(w, word)->word) == word;
    return w->member(w, mbr__holder_slot(word)) != NULL && w->alive(w, mbr__holder_slot(word)) &&
           mbr_load_acquire(ticket_of(w, word)) == word;
}

/* Takes the word from an owner that is dead or none: 0 or -EOWNERDEAD it is ours, -EAGAIN. */
static int inherit(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint32_t own,
                   uint32_t *dead)
{
    uint32_t old = mbr_load_acquire(&m->word);
    uint32_t slot = mbr__holder_slot(old);

    if (old == own)
        return 0; /* written there by somebody else: nobody has it by our ticket but us */
    if (old == 0 || (slot < MBR_CONTAINER_MEMBERS && is_accounted(w, old)))
        return -EAGAIN;
    /* The ticket is older than the word and younger than its end: were the word true all the while,
     * we had seen it. Pair C: what the dead one has written is seen. */
    if (!mbr_cas(&m->word, &old, own))
        return -EAGAIN;
    if (slot >= MBR_CONTAINER_MEMBERS || slot == w->self)
        return 0; /* nobody's name, or ours: somebody has scribbled over it */
    *dead = slot;
    return -EOWNERDEAD;
}

/* The word that the caller, who has the mutex, has taken it by. Others may have written over it. */
static uint32_t word_of(struct mbr__lock_world *w, const struct mbr__shm_mutex *m, uint32_t word)
{
    if (mbr__holder_slot(word) == w->self && mbr_load_relaxed(&own_of(w, word)->word) == word)
        return word;
    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++) {
        if (mbr_load_relaxed(&w->own[i].mutex) == (uintptr_t)m)
            return mbr_load_relaxed(&w->own[i].word);
    }
    return 0;
}

static bool take(struct mbr__shm_mutex *m, uint32_t own)
{
    uint32_t free = 0;

    return mbr_cas(&m->word, &free, own); /* pair C with the exchange in mbr__shm_unlock() */
}

static int wait(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint32_t own,
                uint64_t deadline, uint32_t *dead)
{
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

int mbr__shm_lock(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint64_t deadline,
                  uint32_t *dead)
{
    uint32_t own = 0;
    int r = wait_ticket(w, deadline, &own);

    if (r < 0)
        return r;
    if (!take(m, own))
        r = wait(w, m, own, deadline, dead);
    if (r == -ETIMEDOUT)
        give_ticket(w, own);
    else
        mbr_store_relaxed(&own_of(w, own)->mutex, (uintptr_t)m);
    return r;
}

void mbr__shm_unlock(struct mbr__lock_world *w, struct mbr__shm_mutex *m)
{
    uint32_t own = word_of(w, m, mbr_exchange(&m->word, 0)); /* pair C with take() */

    if (own != 0)
        give_ticket(w, own);
    mbr_fence_full(); /* pair B with the sleeper's, see above */
    if (mbr_load_relaxed(&m->waiters) == 0)
        return;
    mbr_store_relaxed(&m->waiters, 0);
    (void)mbr_fetch_add(&m->turn, 1);
    mbr__futex_wake(&m->turn, MBR__FUTEX_ALL);
}
