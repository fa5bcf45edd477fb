/* SPDX-License-Identifier: MIT */
/*
 * The wait set's rounds: looking, spinning, parking. wait.h has the contract; descriptors are in
 * wait_fd.c.
 *
 * The park is pair B of base/atomic.h: we show our wish, fence, look again, sleep; the peer
 * publishes, fences, looks at our wish, rings. Either we see its publication or it sees our wish. A
 * ring that comes too late only wakes us for nothing. tests/model has the same code under a
 * weak-memory checker.
 */
#define _GNU_SOURCE
#include "event/wait.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "event/wait_fd.h"
#include "shm/proc.h"

/* Looks in vain, at all hot words together, after which one is looked at in turn only: some 20 us.
 */
#define LOOKS_TO_COLD 16384u
/* Rounds of the first microsecond or two, in which most answers of a peer who is awake come:
 * without a look at the clock. */
#define EAGER_ROUNDS     64u
#define EAGER_PROBES     4u /* the same with system calls */
#define HOT_ALWAYS       2u /* so few words are never demoted: looking at them is cheaper than arming */
#define ROUNDS_PER_CLOCK 16u

static struct mbr__watch *watch_of(struct mbr__list *node)
{
    return mbr__container_of(node, struct mbr__watch, node);
}

/* Of a ring's index any other value is news, of a count those that are not behind the awaited one.
 */
#define SPAN_OF_INDEX (UINT64_MAX - 1)
#define SPAN_OF_COUNT ((uint64_t)INT64_MAX)

static bool ready(const struct mbr__watch *w)
{
    return mbr_load_acquire(w->word) - w->seen - 1 <= w->span;
}

/* Shows the wish; a full fence must follow before the word is looked at again. */
static void arm(struct mbr__waitset *ws, struct mbr__watch *w)
{
    if (++ws->arming == 0)
        ws->arming = 1;
    w->armed = w->token != 0 ? w->token : ws->arming;
    mbr_store_relaxed(w->wish, w->armed);
}

static void disarm(struct mbr__watch *w)
{
    if (w->armed != 0) {
        w->armed = 0;
        mbr_store_relaxed(w->wish, 0);
    }
}

static void disarm_hot(struct mbr__waitset *ws)
{
    struct mbr__list *node;

    ws->shown = false;
    mbr__list_for_each (node, &ws->hot)
        disarm(watch_of(node));
}

static void begin_word(struct mbr__waitset *ws, struct mbr__watch *w, struct mbr__watch as)
{
    MBR_ASSERT(w->kind == MBR__WATCH_NONE);
    *w = as;
    w->kind = MBR__WATCH_WORD;
    w->fd = -1;
    mbr__list_push_back(&ws->hot, &w->node);
    ws->nhot++;
}

void mbr__watch_word(struct mbr__waitset *ws, struct mbr__watch *w, const uint64_t *word,
                     uint64_t seen, struct mbr__want_shm *own, enum mbr__watch_side side,
                     const struct mbr__want_shm *peer, mbr__watch_fn *fire)
{
    begin_word(ws, w,
               (struct mbr__watch){
                   .fire = fire,
                   .word = word,
                   .seen = seen,
                   .span = SPAN_OF_INDEX,
                   .wish = side == MBR__WANT_DATA ? &own->data : &own->space,
                   .own = own,
                   .peer = peer,
               });
}

void mbr__watch_reach(struct mbr__waitset *ws, struct mbr__watch *w, const uint64_t *word,
                      uint64_t value, uint32_t *wish, uint32_t token, mbr__watch_fn *fire)
{
    begin_word(ws, w,
               (struct mbr__watch){
                   .fire = fire,
                   .word = word,
                   .seen = value - 1,
                   .span = SPAN_OF_COUNT,
                   .wish = wish,
                   .token = token,
               });
}

/* Takes a word's node out of its list; a round under way goes on behind it. */
static void unlink_word(struct mbr__waitset *ws, struct mbr__watch *w)
{
    if (ws->walk == &w->node)
        ws->walk = w->node.next;
    mbr__list_del(&w->node);
    if (w->cold)
        ws->ncold--;
    else
        ws->nhot--;
}

void mbr__watch_heat(struct mbr__waitset *ws, struct mbr__watch *w)
{
    w->misses = 0;
    if (w->kind != MBR__WATCH_WORD || !w->cold)
        return;
    disarm(w);
    unlink_word(ws, w);
    w->cold = false;
    mbr__list_push_back(&ws->hot, &w->node);
    ws->nhot++;
}

void mbr__watch_reach_next(struct mbr__waitset *ws, struct mbr__watch *w, uint64_t value,
                           uint32_t token)
{
    mbr__watch_heat(ws, w);
    disarm(w); /* it shows the old token */
    w->seen = value - 1;
    w->token = token;
}

/* The word stays armed from here on, so its peer rings even while we are awake. */
static void chill(struct mbr__waitset *ws, struct mbr__watch *w)
{
    arm(ws, w);
    mbr_fence_full(); /* pair B */
    if (ready(w)) {
        disarm(w);
        w->misses = 0;
        return;
    }
    unlink_word(ws, w);
    w->cold = true;
    mbr__list_push_back(&ws->cold, &w->node);
    ws->ncold++;
}

void mbr__watch_end(struct mbr__waitset *ws, struct mbr__watch *w)
{
    if (w->kind == MBR__WATCH_WORD) {
        /* A forked child has inherited the list but not the shared memory. */
        if (w->armed != 0 && ws->fork_mark == mbr__fork_mark())
            disarm(w);
        unlink_word(ws, w);
    } else if (w->kind == MBR__WATCH_FD) {
        mbr__waitset_fd_end(ws, w);
    }
    w->kind = MBR__WATCH_NONE;
}

static int poll_hot(struct mbr__waitset *ws)
{
    int fired = 0;

    for (struct mbr__list *node = ws->hot.next; node != &ws->hot; node = ws->walk) {
        struct mbr__watch *w = watch_of(node);

        ws->walk = node->next;
        if (ready(w)) {
            w->misses = 0;
            fired++;
            w->fire(w, 0);
        } else {
            /* A record begins with its word and goes on in the next line: both shall be on their
             * way when it comes. */
            __builtin_prefetch((const uint8_t *)w->word + MBR_CACHELINE);
            if (++w->misses * ws->nhot >= LOOKS_TO_COLD && ws->nhot > HOT_ALWAYS)
                chill(ws, w);
        }
    }
    ws->walk = NULL;
    return fired;
}

/* Looks at the cold word whose turn it is; what has spoken becomes hot and fires. */
static int poll_cold_one(struct mbr__waitset *ws)
{
    struct mbr__list *node = mbr__list_first(&ws->cold);

    if (node == NULL)
        return 0;
    struct mbr__watch *w = watch_of(node);

    if (!ready(w)) {
        mbr__list_del(node);
        mbr__list_push_back(&ws->cold, node);
        return 0;
    }
    mbr__watch_heat(ws, w);
    w->fire(w, 0);
    return 1;
}

static int sweep_cold(struct mbr__waitset *ws)
{
    int fired = 0;

    ws->sweep = false;
    for (uint32_t n = ws->ncold; n > 0; n--)
        fired += poll_cold_one(ws);
    return fired;
}

void mbr__probe_begin(struct mbr__waitset *ws, struct mbr__probe *p,
                      bool (*look)(struct mbr__probe *p))
{
    if (p->look == NULL) {
        p->look = look;
        ws->nprobes++;
    } else {
        mbr__list_del(&p->node);
    }
    mbr__list_push_front(&ws->probes, &p->node);
}

void mbr__probe_end(struct mbr__waitset *ws, struct mbr__probe *p)
{
    if (p->look == NULL)
        return;
    p->look = NULL;
    ws->nprobes--;
    mbr__list_del(&p->node);
}

static int poll_probe(struct mbr__waitset *ws)
{
    struct mbr__probe *p = mbr__container_of(ws->probes.next, struct mbr__probe, node);

    return p->look(p) ? 1 : 0;
}

static int poll_words(struct mbr__waitset *ws)
{
    int fired = poll_hot(ws);

    if (__builtin_expect(ws->nprobes > 0, 0))
        fired += poll_probe(ws);

    if (__builtin_expect(ws->ncold > 0, 0))
        fired += ws->sweep ? sweep_cold(ws) : poll_cold_one(ws);
    return fired;
}

static int poll_timers(struct mbr__waitset *ws)
{
    if (mbr__timers_next_ns(&ws->timers) == MBR__NEVER)
        return 0;
    return (int)mbr__timers_expire(&ws->timers, mbr__now_ns());
}

int mbr__waitset_poll(struct mbr__waitset *ws, bool kernel)
{
    if (ws->shown)
        disarm_hot(ws);
    int fired = poll_words(ws) + poll_timers(ws);

    if (kernel)
        fired += mbr__waitset_collect(ws, 0);
    return fired;
}

/* Spinning helps only if somebody who runs elsewhere may answer. */
static bool spin_can_help(struct mbr__waitset *ws)
{
    struct mbr__list *node;
    uint32_t cpu = UINT32_MAX;

    if (ws->spin.budget == 0 || (ws->nhot == 0 && ws->nprobes == 0))
        return false;
    if (ws->nprobes > 0)
        return true;
    mbr__list_for_each (node, &ws->hot) {
        const struct mbr__watch *w = watch_of(node);
        uint32_t theirs = w->peer == NULL ? UINT32_MAX : mbr_load_relaxed(&w->peer->cpu);

        if (theirs == UINT32_MAX)
            return true;
        if (cpu == UINT32_MAX)
            cpu = (uint32_t)sched_getcpu();
        if (theirs != cpu)
            return true;
    }
    return false;
}

bool mbr__waitset_may_glance(struct mbr__waitset *ws, const struct mbr__want_shm *peer)
{
    if (ws->spin.budget == 0 || ws->nhot > HOT_ALWAYS || mbr_load_relaxed(&ws->interrupted) != 0)
        return false;
    uint32_t theirs = mbr_load_relaxed(&peer->cpu);

    return theirs == UINT32_MAX || theirs != (uint32_t)sched_getcpu();
}

int mbr__waitset_look(struct mbr__waitset *ws)
{
    uint32_t rounds = ws->nprobes > 0 ? EAGER_PROBES : EAGER_ROUNDS;
    int fired = poll_words(ws);

    for (uint32_t i = 0; i < rounds && fired == 0; i++)
        fired = poll_words(mbr_cpu_gap(ws));
    /* What it bought cost too little to be accounted for. */
    if (fired > 0)
        ws->spin.in_vain = 0;
    return fired;
}

/* Spins until something fires (its number) or the budget or the deadline is used up (0). *spun is
 * the time it took. */
static int spin(struct mbr__waitset *ws, uint64_t deadline, uint64_t *spun)
{
    int fired = mbr__waitset_look(ws);

    *spun = 0;
    if (fired > 0)
        return fired;
    uint64_t start = mbr__ticks();
    uint64_t limit = ws->spin.budget;
    uint64_t now = deadline == MBR__NEVER ? 0 : mbr__now_ns();
    uint64_t ns = 0;

    if (deadline != MBR__NEVER)
        limit = deadline <= now ? 0 : (deadline - now < limit ? deadline - now : limit);
    /* A gap, not a pause: in a virtual machine many pauses in a row leave the guest. */
    while (ns < limit && mbr_load_relaxed(&ws->interrupted) == 0) {
        for (uint32_t i = 0; i < ROUNDS_PER_CLOCK && fired == 0; i++)
            fired = poll_words(mbr_cpu_gap(ws));
        /* A probe looks at one descriptor; the others shall not wait for it to speak. */
        if (fired == 0 && ws->nprobes > 0 && ws->nfds > 1)
            fired = mbr__waitset_collect(ws, 0);
        ns = mbr__ticks_to_ns(mbr__ticks() - start);
        if (fired > 0) {
            mbr__spin_won(&ws->spin, ns);
            break;
        }
    }
    *spun = ns;
    return fired;
}

/* Shows the wishes of all hot words. True if one of them has spoken meanwhile: do not sleep. */
static bool arm_hot(struct mbr__waitset *ws)
{
    uint32_t cpu = (uint32_t)sched_getcpu();
    struct mbr__list *node;

    mbr__list_for_each (node, &ws->hot) {
        struct mbr__watch *w = watch_of(node);

        if (w->own != NULL)
            mbr_store_relaxed(&w->own->cpu, cpu);
        arm(ws, w);
    }
    mbr_fence_full(); /* pair B with mbr__ring_publish() and mbr__ring_retire() */
    mbr__list_for_each (node, &ws->hot) {
        if (ready(watch_of(node)))
            return true;
    }
    return ws->sweep && ws->ncold > 0;
}

/* Shows the wishes, sleeps until the bell, a descriptor, a timer or the deadline, and takes the
 * wishes back. */
static int park(struct mbr__waitset *ws, uint64_t deadline)
{
    uint64_t timer = mbr__timers_next_ns(&ws->timers);
    uint64_t until = timer < deadline ? timer : deadline;
    int fired = 0;

    if (!arm_hot(ws) && mbr_load_acquire(&ws->interrupted) == 0)
        fired = mbr__waitset_collect(ws, until);
    disarm_hot(ws);
    return fired + poll_words(ws) + poll_timers(ws);
}

/* True once per interruption. */
static bool take_interrupt(struct mbr__waitset *ws)
{
    return mbr_load_relaxed(&ws->interrupted) != 0 && mbr_exchange(&ws->interrupted, 0) != 0;
}

/* One spin and one park. Returns what fired; 0 is a wake-up for nothing or the deadline. */
static int spin_then_park(struct mbr__waitset *ws, uint64_t deadline)
{
    uint64_t spun = 0;

    if (spin_can_help(ws)) {
        int fired = spin(ws, deadline, &spun);

        if (fired > 0)
            return fired;
    }
    uint64_t start = mbr__ticks();
    int fired = park(ws, deadline);

    if (fired > 0)
        mbr__spin_lost(&ws->spin, spun, mbr__ticks_to_ns(mbr__ticks() - start));
    return fired;
}

int mbr__waitset_wait(struct mbr__waitset *ws, uint64_t deadline)
{
    if (ws->shown)
        disarm_hot(ws);
    for (;;) {
        int fired = poll_words(ws) + poll_timers(ws);

        if (fired == 0 && deadline == 0)
            fired = mbr__waitset_collect(ws, 0) + poll_words(ws); /* a bell may have named words */
        if (fired == 0 && deadline != 0)
            fired = spin_then_park(ws, deadline);
        if (fired > 0)
            return fired;
        if (take_interrupt(ws))
            return -EINTR;
        if (deadline != MBR__NEVER && mbr__now_ns() >= deadline)
            return -ETIMEDOUT;
    }
}

int mbr__waitset_prepare(struct mbr__waitset *ws)
{
    int r = mbr__waitset_timer_fd(ws, mbr__timers_next_ns(&ws->timers));

    if (r < 0)
        return r;
    ws->shown = true;
    return arm_hot(ws) || mbr_load_acquire(&ws->interrupted) != 0 ? 1 : 0;
}

void mbr__waitset_interrupt(struct mbr__waitset *ws)
{
    (void)mbr_exchange(&ws->interrupted, 1);
    mbr__bell_ring(ws->bell, 0);
}
