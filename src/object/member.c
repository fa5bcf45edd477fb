/* SPDX-License-Identifier: MIT */
/* See member.h. */
#define _GNU_SOURCE
#include "object/member.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "object/data.h"
#include "object/object.h"
#include "object/persist.h"
#include "object/table.h"
#include "shm/proc.h"

#define BURY_NS \
    5000000u /* patience with the container's mutex: whoever needs the burial, retries */

static struct mbr__container *container_of(struct mbr__lock_world *w)
{
    return (struct mbr__container *)(void *)w;
}

/* ---- who lives ------------------------------------------------------------------------------- */

static uint64_t claim_of(const struct mbr__proc *p)
{
    return (uint64_t)(uint32_t)p->ns << 32 | (uint32_t)p->pid;
}

/* Whether a living process still has the container's memory: it has not after exec. */
static bool has_memory(const struct mbr__container *c, const struct mbr__proc *p, int fd)
{
    char name[48];
    struct stat st;

    (void)snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)p->pid, fd);
    if (stat(name, &st) == 0)
        return st.st_dev == c->dev && st.st_ino == c->ino;
    return errno != ENOENT; /* what we may not see is there */
}

/* Somebody who has claimed a slot and not said yet who he is: only his pid is known. */
static bool claimant_lives(uint64_t claim)
{
    struct mbr__proc self;
    uint64_t start;
    uint32_t pid = (uint32_t)claim;

    if (pid == 0 || pid > MBR__PID_MAX)
        return false;
    if (mbr__proc_self(&self) < 0 || (uint32_t)self.ns != (uint32_t)(claim >> 32))
        return true;
    return mbr__proc_start((pid_t)pid, &start) != -ESRCH;
}

static bool lives(const struct mbr__container *c, uint32_t slot, uint64_t claim)
{
    const struct mbr__member_shm *m = mbr__member_at(c, slot);
    struct mbr__proc p;
    int alive;

    if (mbr_load_acquire(&m->state) != MBR__MEMBER_HERE)
        return claimant_lives(claim);
    p.pid = (pid_t)(uint32_t)claim;
    p.start = mbr_load_relaxed(&m->start);
    p.ns = mbr_load_relaxed(&m->ns);
    if (p.pid <= 0 || p.pid > MBR__PID_MAX)
        return false;
    alive = mbr__proc_alive(&p);
    return alive == 1 ? has_memory(c, &p, mbr_load_relaxed(&m->fd)) : alive != 0;
}

bool mbr__member_alive(struct mbr__container *c, uint32_t slot)
{
    uint64_t claim = mbr_load_acquire(&mbr__member_at(c, slot)->claim);

    if (slot == c->world.self)
        return true;
    return claim != 0 && lives(c, slot, claim);
}

uint32_t mbr__member_bound(const struct mbr__container *c)
{
    uint32_t n = mbr_load_acquire(&c->shm->members);

    return n < MBR_CONTAINER_MEMBERS ? n : MBR_CONTAINER_MEMBERS;
}

uint32_t mbr__member_others(const struct mbr__container *c)
{
    uint32_t bound = mbr__member_bound(c);
    uint32_t n = 0;

    for (uint32_t slot = 0; slot < bound; slot++)
        n += slot != c->world.self &&
             mbr_load_acquire(&mbr__member_at(c, slot)->state) == MBR__MEMBER_HERE;
    return n;
}

/* ---- as the locks see them ------------------------------------------------------------------- */

static struct mbr__member_shm *world_member(struct mbr__lock_world *w, uint32_t slot)
{
    return mbr__member_at(container_of(w), slot);
}

static struct mbr__hold *world_holds(struct mbr__lock_world *w, uint32_t slot)
{
    return mbr__holds_at(container_of(w), slot);
}

static bool world_alive(struct mbr__lock_world *w, uint32_t slot)
{
    return mbr__member_alive(container_of(w), slot);
}

static void world_bury(struct mbr__lock_world *w, uint32_t slot)
{
    mbr__member_bury(container_of(w), slot);
}

/* ---- taking a slot --------------------------------------------------------------------------- */

static void mark_taken(struct mbr__container *c, uint32_t slot, bool taken)
{
    uint64_t bit = UINT64_C(1) << slot % 64;

    if (taken)
        (void)mbr_fetch_or(&c->shm->taken[slot / 64], bit);
    else
        (void)mbr_fetch_and(&c->shm->taken[slot / 64], ~bit);
}

/* A slot that a claimant has left who died before he was a member is claimed anew. */
static bool claim_slot(struct mbr__container *c, uint32_t slot, uint64_t own)
{
    struct mbr__member_shm *m = mbr__member_at(c, slot);
    uint64_t seen = mbr_load_acquire(&m->claim);

    if (seen != 0 && (mbr_load_acquire(&m->state) != MBR__MEMBER_FREE || claimant_lives(seen)))
        return false;
    return mbr_cas(&m->claim, &seen, own); /* pair C with mbr__member_release() */
}

static int try_slot(struct mbr__container *c, uint32_t slot, uint64_t own)
{
    uint32_t bound = mbr__member_bound(c);
    int rc = mbr__container_allocate(c, MBR__OBJ_MEMBERS_AT + MBR__OBJ_MEMBER_STRIDE * slot,
                                     2 * MBR__OBJ_PAGE);

    if (rc < 0)
        return rc;
    if (!claim_slot(c, slot, own))
        return -EBUSY;
    while (bound <= slot && !mbr_cas(&c->shm->members, &bound, slot + 1))
        ;
    mark_taken(c, slot, true);
    return 0;
}

/* Tries the slots that seem to be free, from the first on. */
static int take_slot(struct mbr__container *c, uint64_t own)
{
    for (uint32_t w = 0; w < MBR_CONTAINER_MEMBERS / 64; w++) {
        uint64_t taken = mbr_load_relaxed(&c->shm->taken[w]);

        while (taken != UINT64_MAX) {
            uint32_t b = (uint32_t)__builtin_ctzll(~taken);
            int rc = try_slot(c, w * 64 + b, own);

            if (rc == 0)
                return (int)(w * 64 + b);
            if (rc != -EBUSY)
                return rc;
            taken |= UINT64_C(1) << b;
        }
    }
    return -EUSERS;
}

/* All slots are marked: correct the marks, which a death may have left wrong. The dead who were
 * members must be buried by a member; so the first to go is one that is marked and free. */
static bool correct_marks(struct mbr__container *c)
{
    bool any = false;

    for (uint32_t slot = 0; slot < MBR_CONTAINER_MEMBERS; slot++) {
        struct mbr__member_shm *m = mbr__member_at(c, slot);
        uint64_t claim = mbr_load_acquire(&m->claim);

        if (claim != 0 &&
            (mbr_load_acquire(&m->state) != MBR__MEMBER_FREE || claimant_lives(claim)))
            continue;
        mark_taken(c, slot, false);
        any = true;
    }
    return any;
}

static void introduce(struct mbr__container *c, const struct mbr__proc *self)
{
    struct mbr__member_shm *m = mbr__member_at(c, c->world.self);

    mbr_store_relaxed(&m->start, self->start);
    mbr_store_relaxed(&m->ns, self->ns);
    mbr_store_relaxed(&m->uid, (uint32_t)geteuid());
    mbr_store_relaxed(&m->fd, c->fd);
    mbr_store_relaxed(&m->holds, 0);
    mbr_store_relaxed(&m->joined, 0);
    mbr_store_relaxed(&m->intent, 0);
    for (uint32_t i = 0; i < MBR__MUTEX_TICKETS; i++)
        mbr_store_relaxed(&m->tickets[i], 0);
    mbr_store_release(&m->state, MBR__MEMBER_JOINING);
    c->holds_allocated = MBR__OBJ_PAGE / sizeof(struct mbr__hold);
    c->own_holds = mbr__holds_at(c, c->world.self);
}

static void enter_slot(struct mbr__container *c, uint32_t slot, const struct mbr__proc *self)
{
    c->world = (struct mbr__lock_world){.self = slot,
                                        .member = world_member,
                                        .holds = world_holds,
                                        .alive = world_alive,
                                        .bury = world_bury};
    introduce(c, self);
}

/* We have the last slot there is. The dead can only be buried by a member: so bury them from here,
 * and leave this one to the next who finds all others taken. */
static void leave_last_slot(struct mbr__container *c, const struct mbr__proc *self)
{
    int slot;

    mbr__member_look(c, MBR_CONTAINER_MEMBERS);
    slot = take_slot(c, claim_of(self));
    if (slot < 0)
        return; /* everybody lives */
    mbr__member_release(c);
    enter_slot(c, (uint32_t)slot, self);
}

int mbr__member_claim(struct mbr__container *c)
{
    struct mbr__proc self;
    int rc = mbr__proc_self(&self);
    int slot;

    if (rc < 0)
        return rc;
    slot = take_slot(c, claim_of(&self));
    if (slot == -EUSERS && correct_marks(c))
        slot = take_slot(c, claim_of(&self));
    if (slot < 0)
        return slot;
    enter_slot(c, (uint32_t)slot, &self);
    if (slot == MBR_CONTAINER_MEMBERS - 1)
        leave_last_slot(c, &self);
    return 0;
}

static void free_slot(struct mbr__container *c, uint32_t slot)
{
    struct mbr__member_shm *m = mbr__member_at(c, slot);

    mbr_store_release(&m->state, MBR__MEMBER_FREE);
    mbr_store_release(&m->claim, 0); /* pair C with claim_slot() */
    mark_taken(c, slot, false);
    mbr__container_changed(c);
}

void mbr__member_release(struct mbr__container *c)
{
    free_slot(c, c->world.self);
}

/* ---- burials --------------------------------------------------------------------------------- */

/* Gives back what a hold of a dead member has. False if its locks cannot be reached. */
static bool bury_hold(struct mbr__container *c, struct mbr__hold *h)
{
    uint64_t what = mbr_load_acquire(&h->what);
    uint32_t object = mbr__hold_object(what);
    uint32_t most = mbr__blocks_of(MBR_OBJECT_SIZE_MAX);
    uint32_t blocks = MBR__OBJ_NEAR_LOCKS;
    struct mbr__view *v;

    if ((what & MBR__HOLD_IN_USE) == 0 || object == 0 || object > mbr__table_bound(c)) {
        mbr_store_release(&h->what, 0);
        return true;
    }
    /* It may also have taken the block after those that it says it has. */
    if ((what & MBR__HOLD_VERSION) == 0)
        blocks = mbr__hold_first(what) + mbr__hold_held(what) + 1;
    if (mbr__view_new(c, object - 1, 0, blocks < most ? blocks : most, &v) < 0)
        return false;
    mbr__lock_bury(&v->set, h);
    mbr__view_free(v);
    return true;
}

static bool bury_holds(struct mbr__container *c, uint32_t slot)
{
    struct mbr__hold *holds = mbr__holds_at(c, slot);
    uint32_t n = mbr_load_acquire(&mbr__member_at(c, slot)->holds);

    for (uint32_t i = 0; i < n && i < MBR__OBJ_HOLDS; i++) {
        if (mbr_load_acquire(&holds[i].what) != 0 && !bury_hold(c, &holds[i]))
            return false;
    }
    return true;
}

/* Who has died while he changed the size of an object in place leaves memory and disk different.
 * (Of a versioned one: the next writer, or sync.) If it cannot be mended now, the next one who
 * wants to change the size does it. */
static void mend_size(struct mbr__container *c, uint32_t index)
{
    struct mbr__entry *e = mbr__entry_at(c, index);
    uint32_t dead;
    int rc = mbr__shm_lock(&c->world, &e->writer, 0, &dead);

    if (rc < 0 && rc != -EOWNERDEAD)
        return;
    if (rc == -EOWNERDEAD)
        mbr__data_cut(c, index, mbr_load_relaxed(&e->size));
    (void)mbr__persist_follow_size(c, index, MBR_FOREVER);
    mbr__shm_unlock(&c->world, &e->writer);
}

static void mend_sizes(struct mbr__container *c, uint32_t slot, const uint32_t *list, uint32_t n)
{
    uint32_t bound = mbr__table_bound(c);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = mbr_load_relaxed(&list[i]) - 1;
        const struct mbr__entry *e = index < bound ? mbr__entry_at(c, index) : NULL;

        if (e != NULL && mbr_load_relaxed(&e->resizing) == slot + 1 &&
            mbr_load_relaxed(&e->policy) == MBR_WRITE_IN_PLACE)
            mend_size(c, index);
    }
}

static bool bury_joined(struct mbr__container *c, uint32_t slot)
{
    uint32_t n = mbr_load_acquire(&mbr__member_at(c, slot)->joined);
    uint64_t size;
    uint8_t *list;

    n = n < MBR_CONTAINER_OBJECTS ? n : MBR_CONTAINER_OBJECTS;
    if (n == 0)
        return true;
    size = mbr__page_up(sizeof(uint32_t) * (uint64_t)n);
    if (mbr__container_map(c, MBR__OBJ_JOINED_AT + MBR__OBJ_JOINED_STRIDE * slot, size, &list) < 0)
        return false;
    if (mbr__is_persistent(c))
        mend_sizes(c, slot, (const uint32_t *)(const void *)list, n);
    mbr__table_bury(c, slot, (uint32_t *)(void *)list, n);
    (void)munmap(list, size);
    return true;
}

/* With the container's mutex. What it was changing comes first: the rest may depend on it. */
static void bury(struct mbr__container *c, uint32_t slot)
{
    if (mbr_load_acquire(&mbr__member_at(c, slot)->intent) != 0) {
        mbr__table_mend(c, slot);
        mbr__persist_mend(c);
    }
    if (!bury_holds(c, slot) || !bury_joined(c, slot))
        return; /* no memory: the next one who meets it tries again */
    if (mbr_load_relaxed(&c->shm->destroyer) == slot + 1 &&
        mbr_load_relaxed(&c->shm->state) == MBR__CONTAINER_DYING)
        mbr_store_release(&c->shm->state, MBR__CONTAINER_LIVE);
    free_slot(c, slot);
}

void mbr__member_bury(struct mbr__container *c, uint32_t slot)
{
    uint64_t claim;

    if (mbr__container_lock(c, mbr__deadline_ns(BURY_NS)) < 0)
        return;
    claim = mbr_load_acquire(&mbr__member_at(c, slot)->claim);
    if (slot != c->world.self && claim != 0 && !lives(c, slot, claim))
        bury(c, slot);
    mbr__container_unlock(c);
}

static bool pid_is_gone(const struct mbr__container *c, uint32_t slot)
{
    const struct mbr__member_shm *m = mbr__member_at(c, slot);
    uint64_t claim = mbr_load_acquire(&m->claim);
    struct mbr__proc p = {.pid = (pid_t)(uint32_t)claim, .ns = mbr_load_relaxed(&m->ns)};

    return claim != 0 && slot != c->world.self && mbr_load_acquire(&m->state) == MBR__MEMBER_HERE &&
           mbr__proc_same_namespace(&p) && mbr__proc_none(p.pid);
}

void mbr__member_sweep(struct mbr__container *c, const uint64_t *slots)
{
    uint32_t bound = mbr__member_bound(c);

    for (uint32_t w = 0; w * 64 < bound; w++) {
        uint64_t left = slots != NULL ? mbr_load_relaxed(&slots[w]) : UINT64_MAX;

        for (; left != 0; left &= left - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(left);

            if (slot < bound && pid_is_gone(c, slot))
                mbr__member_bury(c, slot);
        }
    }
    mbr__member_look(c, MBR__LOOK_AT);
}

void mbr__member_look(struct mbr__container *c, uint32_t count)
{
    uint32_t bound = mbr__member_bound(c);

    for (uint32_t i = 0; i < count && i < bound; i++) {
        uint32_t slot = mbr_fetch_add(&c->shm->look, 1) % bound;
        uint64_t claim = mbr_load_acquire(&mbr__member_at(c, slot)->claim);

        if (claim != 0 && slot != c->world.self && !lives(c, slot, claim))
            mbr__member_bury(c, slot);
    }
}
