/* SPDX-License-Identifier: MIT */
/*
 * Members of a container without a container: their pages, holds and the locks of two objects in
 * plain memory, for tests of object/lock.h. A member dies when the test says so.
 */
#ifndef MBR_TESTS_LOCK_WORLD_H
#define MBR_TESTS_LOCK_WORLD_H

#include <pthread.h>
#include <string.h>

#include "object/lock.h"

#define MEMBERS 4u
#define HOLDS   4u  /* in use */
#define BLOCKS  20u /* some of them far */
#define OBJECTS 2u

/* What they share. */
static struct {
    struct mbr__member_shm page[MEMBERS];
    struct mbr__hold holds[MEMBERS][MBR__OBJ_HOLDS];
    struct mbr__block_lock locks[OBJECTS][BLOCKS];
    struct mbr__shm_mutex mutex;
} shared;

/* How one member sees the others. */
struct member {
    struct mbr__lock_world world;
    struct mbr__lock_set set[OBJECTS];
};

static struct member members[MEMBERS];
static bool dead[MEMBERS];
static unsigned burials;
static pthread_mutex_t burying = PTHREAD_MUTEX_INITIALIZER;

static struct mbr__member_shm *page_of(struct mbr__lock_world *w, uint32_t slot)
{
    (void)w;
    return slot < MEMBERS ? &shared.page[slot] : NULL;
}

static struct mbr__hold *holds_at(struct mbr__lock_world *w, uint32_t slot)
{
    (void)w;
    return slot < MEMBERS ? shared.holds[slot] : NULL;
}

static bool is_alive(struct mbr__lock_world *w, uint32_t slot)
{
    return page_of(w, slot) != NULL && mbr_load_acquire(&shared.page[slot].state) != 0 &&
           !__atomic_load_n(&dead[slot], __ATOMIC_ACQUIRE);
}

static void bury_member(struct mbr__lock_world *w, uint32_t slot)
{
    struct member *m = (struct member *)w;

    pthread_mutex_lock(&burying);
    if (mbr_load_acquire(&shared.page[slot].state) != MBR__MEMBER_FREE && !is_alive(w, slot)) {
        burials++;
        for (uint32_t i = 0; i < HOLDS; i++) {
            uint64_t what = mbr_load_acquire(&shared.holds[slot][i].what);
            uint32_t object = mbr__hold_object(what);

            if (what != 0)
                mbr__lock_bury(&m->set[object == OBJECTS], &shared.holds[slot][i]);
        }
        mbr_store_release(&shared.page[slot].state, MBR__MEMBER_FREE);
    }
    pthread_mutex_unlock(&burying);
}

static void world_reset(void)
{
    memset(&shared, 0, sizeof(shared));
    memset(dead, 0, sizeof(dead));
    burials = 0;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        shared.page[i].state = MBR__MEMBER_HERE;
        shared.page[i].holds = HOLDS;
        members[i].world = (struct mbr__lock_world){.self = i,
                                                    .member = page_of,
                                                    .holds = holds_at,
                                                    .alive = is_alive,
                                                    .bury = bury_member};
        for (uint32_t k = 0; k < OBJECTS; k++)
            members[i].set[k] = (struct mbr__lock_set){.world = &members[i].world,
                                                       .near = shared.locks[k],
                                                       .far = shared.locks[k] + MBR__OBJ_NEAR_LOCKS,
                                                       .object = k + 1,
                                                       .blocks = BLOCKS};
    }
}

/* Whether nobody has or awaits anything. */
static bool nothing_held(void)
{
    bool any = false;

    for (uint32_t k = 0; k < OBJECTS; k++) {
        for (uint32_t b = 0; b < BLOCKS; b++)
            any |= shared.locks[k][b].writer != 0 || shared.locks[k][b].next != 0;
    }
    for (uint32_t i = 0; i < MEMBERS * HOLDS; i++)
        any |= shared.holds[i / HOLDS][i % HOLDS].what != 0;
    return !any;
}

#endif
