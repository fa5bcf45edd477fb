/* SPDX-License-Identifier: MIT */
/*
 * Locks of blocks: taking them, waiting, giving them back, and undoing what a dead member had.
 * lock.h says how it works and why nobody waits in a circle or for ever; object_shm.h what each
 * word is. Each function here may stop for good after any of its stores: what it leaves then is
 * what mbr__lock_bury() finds through the hold.
 *
 * Not here: the mutex of a table (mutex.c).
 */
#include "object/lock.h"

#include <errno.h>

#include "base/clock.h"
#include "object/futex.h"

/* Dead or false owners that one attempt clears away after its deadline; a member that goes on
 * scribbling must not keep it for ever. */
#define LATE_MENDS 16u

#define LOOKS 100u /* at the holds of a member that reads once more what it reads */

/* One attempt to take blocks. */
struct attempt {
    const struct mbr__lock_set *s;
    struct mbr__hold *own;
    uint32_t ticket; /* of a writer; 0 of a reader */
    uint32_t first, end;
    uint64_t deadline;
    uint32_t late_mends;
};

/* ---- looking at holds ------------------------------------------------------------------------ */

/* A member's holds and how many of them may be in use; 0 without any. */
static uint32_t holds_of(struct mbr__lock_world *w, uint32_t slot, struct mbr__hold **holds)
{
    struct mbr__member_shm *m = w->member(w, slot);

    *holds = m == NULL ? NULL : w->holds(w, slot);
    if (*holds == NULL)
        return 0;
    uint32_t n = mbr_load_acquire(&m->holds); /* pair A with the member's own store */

    return n < MBR__OBJ_HOLDS ? n : MBR__OBJ_HOLDS;
}

/* What is found in the part of a free slot is no member's. A member is there before it holds
 * anything, and holds nothing when its slot is freed; so this is asked after its hold was read. */
static bool is_there(struct mbr__lock_world *w, uint32_t slot)
{
    return mbr_load_acquire(&w->member(w, slot)->state) != MBR__MEMBER_FREE; /* pair A, member.c */
}

static bool of_object(const struct mbr__lock_set *s, uint64_t what)
{
    return (what & (MBR__HOLD_IN_USE | MBR__HOLD_VERSION)) == MBR__HOLD_IN_USE &&
           mbr__hold_object(what) == s->object;
}

static bool reads(const struct mbr__lock_set *s, uint64_t what, uint32_t block)
{
    uint32_t first = mbr__hold_first(what);

    return of_object(s, what) && (what & MBR__HOLD_WRITE) == 0 && block >= first &&
           block - first < mbr__hold_held(what);
}

static bool waits_to_read(const struct mbr__lock_set *s, uint64_t what, uint32_t block)
{
    return of_object(s, what) &&
           (what & (MBR__HOLD_WRITE | MBR__HOLD_WAITING)) == MBR__HOLD_WAITING &&
           mbr__hold_first(what) + mbr__hold_held(what) == block;
}

/* How many blocks from its first on a writer's hold accounts for: the one it waits for, too. */
static uint32_t writer_reach(uint64_t what)
{
    return mbr__hold_held(what) + ((what & MBR__HOLD_WAITING) != 0);
}

static bool writes(const struct mbr__lock_set *s, uint64_t what, uint32_t block)
{
    uint32_t first = mbr__hold_first(what);

    return of_object(s, what) && (what & MBR__HOLD_WRITE) != 0 && block >= first &&
           block - first < writer_reach(what);
}

static bool any_reads(const struct mbr__lock_set *s, const struct mbr__hold *holds, uint32_t n,
                      uint32_t block)
{
    for (uint32_t i = 0; i < n; i++) {
        /* Pair A with a reader's leaving: its reading was before our writing. */
        if (reads(s, mbr_load_acquire(&holds[i].what), block))
            return true;
    }
    return false;
}

/*
 * A thread may go on from one hold to another (reads_already()): stating the second when we have
 * passed it, clearing the first before we come to that. It has counted that in between, so we look
 * again. Who counts on and on is taken for a reader.
 */
static bool member_reads(const struct mbr__lock_set *s, uint32_t slot, uint32_t block)
{
    struct mbr__hold *holds;
    uint32_t n = holds_of(s->world, slot, &holds);
    const struct mbr__member_shm *m = n != 0 ? s->world->member(s->world, slot) : NULL;

    for (uint32_t turn = 0; n != 0 && turn < LOOKS; turn++) {
        uint32_t passed = mbr_load_acquire(&m->passed); /* pair C with enter() */

        if (any_reads(s, holds, n, block))
            return is_there(s->world, slot);
        if (mbr_load_acquire(&m->passed) == passed)
            return false;
    }
    return n != 0;
}

/* Whether a hold of the member accounts for its name in a word of this block. */
static bool member_writes(const struct mbr__lock_set *s, uint32_t slot, uint32_t holder,
                          uint32_t block)
{
    struct mbr__hold *holds;
    uint32_t n = holds_of(s->world, slot, &holds);

    for (uint32_t i = 0; i < n; i++) {
        /* Pair A with mbr__lock_write(): the ticket is older than `what`. */
        if (writes(s, mbr_load_acquire(&holds[i].what), block) &&
            mbr_load_relaxed(&holds[i].ticket) == holder)
            return is_there(s->world, slot);
    }
    return false;
}

/* The slot of the next member after `slot` (UINT32_MAX: the first) that has ever read the block;
 * UINT32_MAX none. */
static uint32_t next_reader(struct mbr__block_lock *l, uint32_t slot)
{
    uint32_t at = slot + 1;

    while (at < MBR_CONTAINER_MEMBERS) {
        uint64_t bits = mbr_load_relaxed(&l->readers[at / 64]) >> at % 64;

        if (bits != 0)
            return at + (uint32_t)__builtin_ctzll(bits);
        at = (at / 64 + 1) * 64;
    }
    return UINT32_MAX;
}

/* Whether somebody reads the block. With `mended` the dead among them are buried, which it says. */
static bool readers_in(const struct mbr__lock_set *s, uint32_t block, bool *mended)
{
    struct mbr__block_lock *l = mbr__lock_of(s, block);
    struct mbr__lock_world *w = s->world;
    bool in = false;

    for (uint32_t slot = next_reader(l, UINT32_MAX); slot != UINT32_MAX;
         slot = next_reader(l, slot)) {
        if (!member_reads(s, slot, block))
            continue;
        if (mended == NULL)
            return true;
        if (w->alive(w, slot)) {
            in = true;
        } else {
            w->bury(w, slot);
            *mended = true;
        }
    }
    return in;
}

/* ---- waking ---------------------------------------------------------------------------------- */

/* `turn` grows after the flag is gone: who sets the flag anew has read turn before, and so does not
 * sleep through this. Readers' flag stays: only a writer that grants clears it. */
static void wake(struct mbr__block_lock *l, uint32_t who)
{
    if ((who & MBR__WAITS_WRITER) != 0)
        (void)mbr_fetch_and(&l->waiters, ~MBR__WAITS_WRITER);
    (void)mbr_fetch_add(&l->turn, 1);
    mbr__futex_wake(&l->turn, who);
}

void mbr__lock_left(const struct mbr__lock_set *s, uint32_t block)
{
    struct mbr__block_lock *l = mbr__lock_of(s, block);

    if (mbr_load_relaxed(&l->writer) != 0 &&
        (mbr_load_relaxed(&l->waiters) & MBR__WAITS_WRITER) != 0)
        wake(l, MBR__WAITS_WRITER);
}

/* After our hold has been made smaller: blocks [from, end) are no longer ours to read. */
static void left(const struct mbr__lock_set *s, uint32_t from, uint32_t end)
{
    mbr_fence_full(); /* pair B with a writer's, between saying that it waits and its look */
    for (uint32_t b = from; b < end; b++)
        mbr__lock_left(s, b);
}

/* ---- giving back ----------------------------------------------------------------------------- */

/* Lets in who waits to read the block, whose word we have. */
static void grant_to(const struct mbr__lock_set *s, uint32_t slot, uint32_t block)
{
    struct mbr__hold *holds;
    uint32_t n = holds_of(s->world, slot, &holds);

    for (uint32_t i = 0; i < n; i++) {
        uint64_t what = mbr_load_acquire(&holds[i].what);

        if (waits_to_read(s, what, block)) /* pair C: what we have written is seen by the reader */
            (void)mbr_cas(&holds[i].what, &what,
                          (what & ~MBR__HOLD_WAITING) + (UINT64_C(1) << MBR__HOLD_HELD_SHIFT));
    }
}

static bool grant(const struct mbr__lock_set *s, uint32_t block)
{
    struct mbr__block_lock *l = mbr__lock_of(s, block);

    if ((mbr_load_relaxed(&l->waiters) & MBR__WAITS_READER) == 0)
        return false;
    (void)mbr_fetch_and(&l->waiters, ~MBR__WAITS_READER); /* pair C with a reader's setting it */
    for (uint32_t slot = next_reader(l, UINT32_MAX); slot != UINT32_MAX;
         slot = next_reader(l, slot))
        grant_to(s, slot, block);
    return true;
}

/* Frees what of a block's words is `ticket`. */
static void give_back(const struct mbr__lock_set *s, uint32_t block, uint32_t ticket)
{
    struct mbr__block_lock *l = mbr__lock_of(s, block);
    uint32_t owner = ticket;
    uint32_t next = ticket;
    bool granted = false;

    if (mbr_load_acquire(&l->writer) == ticket) {
        granted = grant(s, block);
        (void)mbr_cas(&l->writer, &owner, 0); /* pair A: readers and the next writer acquire it */
    } else if (mbr_load_relaxed(&l->next) != ticket) {
        return;
    }
    if (mbr_load_relaxed(&l->next) == ticket)
        (void)mbr_cas(&l->next, &next, 0);
    mbr_fence_full(); /* pair B with a sleeper's, between saying that it waits and its look */
    if (granted || mbr_load_relaxed(&l->waiters) != 0)
        wake(l, MBR__WAITS_WRITER | MBR__WAITS_READER);
}

/* Gives back all that a writer's hold accounts for, and clears it. */
static void leave_writer(const struct mbr__lock_set *s, struct mbr__hold *h, uint64_t what)
{
    uint32_t ticket = mbr_load_relaxed(&h->ticket);
    uint32_t first = mbr__hold_first(what);
    uint32_t end = first + writer_reach(what);

    for (uint32_t b = first; b < end && b < s->blocks && ticket != 0; b++)
        give_back(s, b, ticket);
    mbr_store_release(&h->what, 0); /* pair A with member_writes(): the words were freed before */
}

static void leave_reader(const struct mbr__lock_set *s, struct mbr__hold *h, uint64_t what)
{
    uint32_t first = mbr__hold_first(what);
    uint32_t end = first + mbr__hold_held(what);

    mbr_store_release(&h->what, 0); /* pair A with member_reads() */
    left(s, first, end < s->blocks ? end : s->blocks);
}

static struct mbr__hold *own_hold(const struct mbr__lock_set *s, uint32_t hold)
{
    return &s->world->holds(s->world, s->world->self)[hold];
}

/* The writer's blocks have changed. It still says that it is writing: if it dies here they are torn
 * although they are whole, which is the better of two mistakes. */
static void wrote(const struct mbr__lock_set *s, uint64_t what)
{
    uint32_t first = mbr__hold_first(what);
    uint32_t end = first + mbr__hold_held(what);

    for (uint32_t b = first; b < end && b < s->blocks; b++) {
        struct mbr__block_lock *l = mbr__lock_of(s, b);

        mbr_store_release(&l->version, mbr_load_relaxed(&l->version) + 1); /* pair A: the bytes */
        if (mbr_load_relaxed(&l->torn) != 0)
            mbr_store_relaxed(&l->torn, 0); /* it was written as a whole, else we were not let in */
    }
}

void mbr__unlock(const struct mbr__lock_set *s, uint32_t hold)
{
    struct mbr__hold *h = own_hold(s, hold);
    uint64_t what = mbr_load_relaxed(&h->what);

    if (what == 0)
        return;
    if ((what & MBR__HOLD_WRITE) == 0) {
        leave_reader(s, h, what);
        return;
    }
    if ((what & MBR__HOLD_WRITING) != 0) {
        wrote(s, what);
        what &= ~MBR__HOLD_WRITING;
        mbr_store_release(&h->what, what); /* no pair: for who buries us, all was before */
    }
    leave_writer(s, h, what);
}

void mbr__lock_writing(const struct mbr__lock_set *s, uint32_t hold)
{
    struct mbr__hold *h = own_hold(s, hold);

    mbr_store_release(&h->what, mbr_load_relaxed(&h->what) | MBR__HOLD_WRITING);
    mbr_fence_full(); /* no pair: no byte is changed before it is said */
}

/* ---- the dead and the false ------------------------------------------------------------------ */

static void tear(const struct mbr__lock_set *s, uint64_t what, uint32_t ticket)
{
    uint32_t first = mbr__hold_first(what);
    uint32_t end = first + mbr__hold_held(what);

    for (uint32_t b = first; b < end && b < s->blocks; b++) {
        struct mbr__block_lock *l = mbr__lock_of(s, b);

        if (mbr_load_acquire(&l->writer) != ticket)
            continue; /* torn and freed by somebody who has died while he buried */
        mbr_store_relaxed(&l->version, mbr_load_relaxed(&l->version) + 1);
        mbr_store_release(&l->torn, MBR__TORN); /* pair A through the word, which is freed later */
    }
}

void mbr__lock_bury(const struct mbr__lock_set *s, struct mbr__hold *hold)
{
    uint64_t what = mbr_load_acquire(&hold->what);
    uint32_t ticket = mbr_load_relaxed(&hold->ticket);

    if (!of_object(s, what)) {
        mbr_store_release(&hold->what, 0); /* a pinned version, or nothing that we know */
    } else if ((what & MBR__HOLD_WRITE) == 0) {
        leave_reader(s, hold, what);
    } else {
        if ((what & MBR__HOLD_WRITING) != 0 && ticket != 0)
            tear(s, what, ticket);
        leave_writer(s, hold, what);
    }
}

/*
 * Looks at who has a word of the block: buries him if he is dead, clears the word if no hold of his
 * accounts for it. A hold is older than the word and is cleared after it, so a word that is the
 * same before and after a look at the holds was accounted for all the while, or is false.
 */
static bool look_at_owner(const struct mbr__lock_set *s, uint32_t *word, uint32_t block)
{
    struct mbr__lock_world *w = s->world;
    uint32_t holder = mbr_load_acquire(word); /* pair A with its taking: the hold is older */
    uint32_t slot = mbr__holder_slot(holder);
    bool known = slot < MBR_CONTAINER_MEMBERS && w->member(w, slot) != NULL;

    if (holder == 0)
        return false;
    if (known && !w->alive(w, slot)) {
        w->bury(w, slot);
        if (mbr_load_acquire(word) != holder)
            return true;
    }
    if (known && member_writes(s, slot, holder, block))
        return false;
    if (!mbr_cas(word, &holder, 0))
        return false;
    mbr_fence_full(); /* pair B as in give_back() */
    wake(mbr__lock_of(s, block), MBR__WAITS_WRITER | MBR__WAITS_READER);
    return true;
}

/* Whether something was in the way of taking the block that is not any more. */
static bool look(struct attempt *a, uint32_t block)
{
    struct mbr__block_lock *l = mbr__lock_of(a->s, block);
    uint32_t writer = mbr_load_relaxed(&l->writer);
    bool mended = false;

    if (a->ticket != 0 && writer == a->ticket)
        (void)readers_in(a->s, block, &mended);
    else
        mended = look_at_owner(a->s, writer != 0 ? &l->writer : &l->next, block);
    return mended;
}

/* Sleeps until the block's turn is no longer `turn`, or it is time to look for the dead. */
static int nap(struct attempt *a, uint32_t block, uint32_t turn)
{
    struct mbr__block_lock *l = mbr__lock_of(a->s, block);
    uint32_t who = a->ticket != 0 ? MBR__WAITS_WRITER : MBR__WAITS_READER;
    uint64_t now = mbr__now_ns();
    uint64_t until = now + MBR__LOCK_LOOK_NS;

    if (until > a->deadline)
        until = a->deadline;
    if (now < a->deadline && mbr__futex_wait(&l->turn, turn, who, until) == 0)
        return 0;
    bool mended = look(a, block);

    if (now < a->deadline)
        return 0;
    return mended && a->late_mends++ < LATE_MENDS ? 0 : -ETIMEDOUT;
}

/* ---- torn blocks ----------------------------------------------------------------------------- */

static bool is_torn(uint32_t torn)
{
    return torn != 0 && torn != MBR__ABSENT && torn != MBR__LOST;
}

/* What to say of a block that we have: 0 it is sound, or a matter of persist.h. */
static int tell(struct mbr__block_lock *l)
{
    uint32_t torn = mbr_load_relaxed(&l->torn);

    while (is_torn(torn)) {
        if (torn != MBR__TORN)
            return -ENOTRECOVERABLE;
        if (mbr_cas(&l->torn, &torn, MBR__TORN_TOLD)) /* pair C: one of those who read it is told */
            return -EOWNERDEAD;
    }
    return 0;
}

static int tell_all(const struct attempt *a, uint32_t whole_first, uint32_t whole_end)
{
    for (uint32_t b = a->first; b < a->end; b++) {
        int r = b >= whole_first && b < whole_end ? 0 : tell(mbr__lock_of(a->s, b));

        if (r < 0)
            return r;
    }
    return 0;
}

uint32_t mbr__lock_repair(const struct mbr__lock_set *s, uint32_t first, uint32_t count)
{
    uint32_t n = 0;

    for (uint32_t b = first; b < first + count; b++) {
        struct mbr__block_lock *l = mbr__lock_of(s, b);

        uint32_t torn = mbr_load_relaxed(&l->torn);
        bool mended = false;

        while (is_torn(torn) && !mended)
            mended = mbr_cas(&l->torn, &torn, 0); /* pair C, tell() */
        n += mended;
    }
    return n;
}

void mbr__lock_zeroed(const struct mbr__lock_set *s, uint32_t first, uint32_t count)
{
    for (uint32_t b = first; b < first + count; b++)
        mbr_store_relaxed(&mbr__lock_of(s, b)->torn, 0);
}

/* ---- readers --------------------------------------------------------------------------------- */

/*
 * Whether this thread reads the block already, through another hold. The writer that is in our way
 * waits for that one then, and will see ours, which was stated while the other still was there, or
 * see that we have passed it. Of another thread's hold that could not be said: it may only be about
 * to see the writer, too.
 */
static bool reads_already(const struct attempt *a, uint32_t block)
{
    struct mbr__lock_world *w = a->s->world;
    uint32_t thread = mbr_load_relaxed(&a->own->thread);
    struct mbr__hold *holds;
    uint32_t n = thread != 0 ? holds_of(w, w->self, &holds) : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (&holds[i] != a->own && mbr_load_relaxed(&holds[i].thread) == thread &&
            reads(a->s, mbr_load_acquire(&holds[i].what), block)) { /* no pair: it is our own */
            (void)mbr_fetch_add(&w->member(w, w->self)->passed, 1); /* pair C, member_reads() */
            return true;
        }
    }
    return false;
}

/* Whether a writer has the block or is about to. In this order: the one takes the word before it
 * takes back that it is the next. */
static bool is_taken(struct mbr__block_lock *l)
{
    uint32_t next = mbr_load_acquire(&l->next); /* pair A with take() */

    return (next | mbr_load_acquire(&l->writer)) != 0; /* pair A with give_back() */
}

/* Says that we read all blocks and looks who is in the way from `from` on: the first such block, or
 * the end. What is before `from` is ours already. */
static uint32_t enter(struct attempt *a, uint32_t from)
{
    uint32_t self = a->s->world->self;
    uint64_t bit = UINT64_C(1) << self % 64;

    mbr_store_release(&a->own->what, mbr__hold_of(a->s->object, a->first, a->end - a->first));
    mbr_fence_full(); /* pair B with drain() */
    for (uint32_t b = from; b < a->end; b++) {
        struct mbr__block_lock *l = mbr__lock_of(a->s, b);

        if ((mbr_load_relaxed(&l->readers[self / 64]) & bit) == 0) {
            (void)mbr_fetch_or(&l->readers[self / 64], bit);
            mbr_fence_full(); /* pair B: a writer that has not seen the bit is seen by us */
        }
        if (is_taken(l) && !reads_already(a, b))
            return b;
    }
    return a->end;
}

/* Waits for `block`, having what is below it: 1 it was granted to us; 0 it is free; -ETIMEDOUT;
 * -EPROTO. */
static int await_reading(struct attempt *a, uint32_t block, uint64_t waiting, uint64_t granted)
{
    struct mbr__block_lock *l = mbr__lock_of(a->s, block);

    for (;;) {
        uint32_t turn = mbr_load_acquire(&l->turn); /* no pair: older than the look below */

        (void)mbr_fetch_or(&l->waiters, MBR__WAITS_READER); /* pair C with grant() */
        mbr_fence_full(); /* pair B with give_back(): it sees the flag, or we that it is free */
        uint64_t what = mbr_load_acquire(&a->own->what); /* pair C with grant_to() */

        if (what == granted)
            return 1;
        if (what != waiting)
            return -EPROTO;
        if (!is_taken(l))
            return 0;
        int r = nap(a, block, turn);

        if (r < 0)
            return r;
    }
}

/* Gives up `block` and what is above it, and waits for it. 1 granted, 0 it may be tried again; a
 * negative errno with nothing held. */
static int wait_reading(struct attempt *a, uint32_t block)
{
    uint64_t granted = mbr__hold_of(a->s->object, a->first, block - a->first + 1);
    uint64_t waiting = mbr__hold_of(a->s->object, a->first, block - a->first) | MBR__HOLD_WAITING;
    uint64_t then = waiting;

    mbr_store_release(&a->own->what, waiting);
    left(a->s, block, a->end);
    int r = await_reading(a, block, waiting, granted);

    if (r == 1)
        return 1;
    uint64_t now = r == 0 ? mbr__hold_of(a->s->object, a->first, a->end - a->first) : 0;

    if (r == -EPROTO) {
        mbr_store_release(&a->own->what, 0);
        left(a->s, a->first, a->end);
        return r;
    }
    if (!mbr_cas(&a->own->what, &then, now)) /* pair C with grant_to(), which was first */
        return then == granted ? 1 : -EPROTO;
    if (r < 0)
        left(a->s, a->first, block);
    return r;
}

int mbr__lock_read(const struct mbr__lock_set *s, uint32_t hold, uint32_t first, uint32_t count,
                   uint64_t deadline)
{
    struct attempt a = {.s = s,
                        .own = own_hold(s, hold),
                        .first = first,
                        .end = first + count,
                        .deadline = deadline};
    uint32_t block = enter(&a, first);
    int r;

    while (block < a.end) {
        r = wait_reading(&a, block);
        if (r < 0)
            return r;
        block += (uint32_t)r;
        if (block < a.end)
            block = enter(&a, block);
    }
    r = tell_all(&a, 0, 0);
    if (r < 0)
        leave_reader(s, a.own, mbr__hold_of(s->object, first, count));
    return r;
}

/* ---- writers --------------------------------------------------------------------------------- */

static bool take(struct attempt *a, struct mbr__block_lock *l)
{
    uint32_t next = mbr_load_relaxed(&l->next);
    uint32_t free = 0;

    if (next != 0 && next != a->ticket)
        return false;
    if (!mbr_cas(&l->writer, &free, a->ticket)) /* pair A with give_back() */
        return false;
    if (next == a->ticket) {
        (void)mbr_cas(&l->next, &next, 0);
        mbr_fence_full(); /* pair B with a sleeper's: it may reserve the word now */
        if ((mbr_load_relaxed(&l->waiters) & MBR__WAITS_WRITER) != 0)
            wake(l, MBR__WAITS_WRITER);
    }
    return true;
}

/* Takes the word. Who has slept and finds it taken again is the next. */
static int take_word(struct attempt *a, uint32_t block)
{
    struct mbr__block_lock *l = mbr__lock_of(a->s, block);

    if (take(a, l))
        return 0;
    for (bool slept = false;; slept = true) {
        uint32_t turn = mbr_load_acquire(&l->turn); /* no pair: older than the look below */
        uint32_t none = 0;

        (void)mbr_fetch_or(&l->waiters, MBR__WAITS_WRITER); /* pair C with wake() */
        mbr_fence_full(); /* pair B with give_back(): it sees the flag, or we that it is free */
        if (take(a, l))
            return 0;
        if (slept && mbr_load_relaxed(&l->next) == 0)
            (void)mbr_cas(&l->next, &none, a->ticket); /* pair A: our hold is older */
        int r = nap(a, block, turn);

        if (r < 0)
            return r;
    }
}

/* Waits until those who read it have left; no new ones get in. */
static int drain(struct attempt *a, uint32_t block)
{
    struct mbr__block_lock *l = mbr__lock_of(a->s, block);

    mbr_fence_full(); /* pair B with enter(): a reader sees our word, or we see its hold */
    while (readers_in(a->s, block, NULL)) {
        uint32_t turn = mbr_load_acquire(&l->turn); /* no pair: older than the look below */

        (void)mbr_fetch_or(&l->waiters, MBR__WAITS_WRITER); /* pair C with wake() */
        mbr_fence_full(); /* pair B with left(): it sees the flag, or we that it has left */
        if (!readers_in(a->s, block, NULL))
            break;
        int r = nap(a, block, turn);

        if (r < 0)
            return r;
    }
    return 0;
}

/* Takes block after block, each said before it is taken. */
static int take_all(struct attempt *a)
{
    uint32_t object = a->s->object;

    for (uint32_t b = a->first; b < a->end; b++) {
        /* Pair A with member_writes(), through the word. */
        mbr_store_release(&a->own->what, mbr__hold_of(object, a->first, b - a->first) |
                                             MBR__HOLD_WRITE | MBR__HOLD_WAITING);
        int r = take_word(a, b);

        if (r == 0)
            r = drain(a, b);
        if (r < 0)
            return r;
    }
    mbr_store_release(&a->own->what,
                      mbr__hold_of(object, a->first, a->end - a->first) | MBR__HOLD_WRITE);
    return 0;
}

int mbr__lock_write(const struct mbr__lock_set *s, uint32_t hold, uint32_t first, uint32_t count,
                    uint32_t whole_first, uint32_t whole_end, uint64_t deadline)
{
    struct mbr__lock_world *w = s->world;
    uint32_t nonce = mbr_fetch_add(&w->member(w, w->self)->nonce, 1);
    struct attempt a = {.s = s,
                        .own = own_hold(s, hold),
                        .ticket = mbr__holder(w->self, nonce),
                        .first = first,
                        .end = first + count,
                        .deadline = deadline};

    mbr_store_relaxed(&a.own->ticket, a.ticket); /* seen with `what` */
    int r = take_all(&a);

    if (r == 0)
        r = tell_all(&a, whole_first, whole_end);
    if (r < 0) /* the whole region: also what it was about to wait for */
        leave_writer(s, a.own, mbr__hold_of(s->object, first, count));
    return r;
}
