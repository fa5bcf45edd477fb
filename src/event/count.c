/* SPDX-License-Identifier: MIT */
/*
 * Event counts and sequencers: reading, advancing, awaiting. membrane/event.h has the contract,
 * count_shm.h what each word is for; watchers, which sleep in a wait set, are in count_watcher.c.
 */
#define _GNU_SOURCE
#include "event/count.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "event/spin.h"

#define NS_PER_S         UINT64_C(1000000000)
#define BUCKETS          32u
#define ROUNDS_PER_CLOCK 16u

/* A count has no room for what its awaiters have learned, and each thread awaits on its own. */
static _Thread_local struct mbr__spin spin_budget = {.budget = MBR__SPIN_FIRST_NS};

void mbr_count_init(struct mbr_count *c, uint64_t value)
{
    *c = (struct mbr_count){.value = value};
}

uint64_t mbr_count_read(const struct mbr_count *c)
{
    return mbr_load_acquire(&c->value);
}

/* ---- the futex ------------------------------------------------------------------------------- */

/* Not private: the count may lie in shared memory. Returns how many were woken. */
static int futex_wake(struct mbr_count *c, uint32_t buckets)
{
    int saved = errno;

    (void)mbr_fetch_add(&c->wakes, 1);
    long n = syscall(SYS_futex, &c->wakes, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, buckets);

    errno = saved;
    return n > 0 ? (int)n : 0;
}

/* 0 woken, or not asleep because `wakes` is no longer `seen`; -ETIMEDOUT. */
static int futex_wait(struct mbr_count *c, uint32_t seen, uint32_t buckets, uint64_t deadline)
{
    struct timespec at = {.tv_sec = (time_t)(deadline / NS_PER_S),
                          .tv_nsec = (long)(deadline % NS_PER_S)};
    int saved = errno;
    long n = syscall(SYS_futex, &c->wakes, FUTEX_WAIT_BITSET, seen,
                     deadline == MBR__NEVER ? NULL : &at, NULL, buckets);
    int r = n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;

    errno = saved;
    return r;
}

/* ---- advancing ------------------------------------------------------------------------------- */

/* The buckets of the values passed by an advance of `n` from `old`. */
static uint32_t passed(uint64_t old, uint64_t n)
{
    uint32_t first = (uint32_t)(old + 1) % BUCKETS;

    if (n >= BUCKETS)
        return UINT32_MAX;
    uint32_t run = (UINT32_C(1) << n) - 1;

    return run << first | run >> ((BUCKETS - first) % BUCKETS);
}

/*
 * The bits stay set when somebody was woken: others may be on their way to sleep. When nobody was,
 * they may be left over from sleepers who have gone, and would cost a system call for ever: so they
 * are cleared, then a second wake-up follows. Who set his bit before the clearing had read `wakes`
 * before that, too, and cannot fall asleep any more once it has changed; if he slept already, the
 * second wake-up finds him.
 */
static void wake_sleepers(struct mbr_count *c, uint32_t buckets)
{
    buckets &= mbr_load_relaxed(&c->sleepers);
    if (buckets == 0 || futex_wake(c, buckets) > 0)
        return;
    (void)mbr_fetch_and(&c->sleepers, ~buckets);
    (void)futex_wake(c, buckets);
}

__attribute__((noinline)) static void tell(struct mbr_count *c, uint64_t old, uint64_t n)
{
    wake_sleepers(c, passed(old, n));
    mbr__watchers_ring(c, n);
}

uint64_t mbr_count_advance(struct mbr_count *c, uint64_t n)
{
    uint64_t old = mbr_fetch_add(&c->value, n);

    mbr_fence_full(); /* pair B with park() and with the wait set's arming */
    uint32_t wanted = mbr_load_relaxed(&c->sleepers);

    for (int i = 0; i < MBR_COUNT_WATCHERS; i++)
        wanted |= mbr_load_relaxed(&c->watcher[i].armed);
    if (__builtin_expect(wanted != 0, 0))
        tell(c, old, n);
    return old + n;
}

/* ---- awaiting -------------------------------------------------------------------------------- */

static bool reached(const struct mbr_count *c, uint64_t value)
{
    return mbr__count_reached(mbr_load_acquire(&c->value), value);
}

/* Spins until the value is reached (true) or the budget or the deadline is used up. *spun is the
 * time it took. */
static bool spin(const struct mbr_count *c, uint64_t value, uint64_t deadline, uint64_t *spun)
{
    uint64_t limit = spin_budget.budget;
    uint64_t start = mbr__ticks();
    uint64_t now = deadline == MBR__NEVER ? 0 : mbr__now_ns();
    uint64_t ns = 0;
    bool done = false;

    if (deadline != MBR__NEVER && (deadline <= now || deadline - now < limit))
        limit = deadline <= now ? 0 : deadline - now;
    while (!done && ns < limit) {
        for (uint32_t i = 0; i < ROUNDS_PER_CLOCK && !done; i++) {
            mbr_cpu_relax();
            done = reached(c, value);
        }
        ns = mbr__ticks_to_ns(mbr__ticks() - start);
    }
    if (done)
        mbr__spin_won(&spin_budget, ns);
    *spun = ns;
    return done;
}

static int park(struct mbr_count *c, uint64_t value, uint64_t deadline)
{
    uint32_t bucket = UINT32_C(1) << value % BUCKETS;
    int r;

    do {
        /* In this order: see wake_sleepers(). */
        uint32_t seen = mbr_load_acquire(&c->wakes);

        (void)mbr_fetch_or(&c->sleepers, bucket);
        mbr_fence_full(); /* pair B with mbr_count_advance() */
        if (reached(c, value))
            return 0;
        r = futex_wait(c, seen, bucket, deadline);
        if (reached(c, value))
            return 0;
    } while (r == 0);
    return r;
}

int mbr_count_await_until(struct mbr_count *c, uint64_t value, uint64_t deadline_ns)
{
    uint64_t spun = 0;

    if (reached(c, value))
        return 0;
    if (deadline_ns == 0)
        return -ETIMEDOUT;
    if (spin_budget.budget > 0 && spin(c, value, deadline_ns, &spun))
        return 0;
    uint64_t start = mbr__ticks();
    int r = park(c, value, deadline_ns);

    if (r == 0)
        mbr__spin_lost(&spin_budget, spun, mbr__ticks_to_ns(mbr__ticks() - start));
    return r;
}

int mbr_count_await(struct mbr_count *c, uint64_t value, uint64_t timeout_ns)
{
    if (reached(c, value))
        return 0;
    return mbr_count_await_until(c, value, timeout_ns == 0 ? 0 : mbr__deadline_ns(timeout_ns));
}

/* ---- sequencers ------------------------------------------------------------------------------ */

void mbr_sequencer_init(struct mbr_sequencer *s, uint64_t first)
{
    *s = (struct mbr_sequencer){.next = first};
}

uint64_t mbr_sequencer_ticket(struct mbr_sequencer *s)
{
    return mbr_fetch_add(&s->next, 1);
}
