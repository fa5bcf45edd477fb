/* SPDX-License-Identifier: MIT */
/*
 * The only place that names memory orderings. Macros over the compiler's __atomic operations on
 * plain uint32_t, uint64_t and pointers: plain types, because most of these words live in shared
 * memory whose layout is a format, and because models compile the same code with other atomics.
 *
 * A model checker defines MBR_ATOMIC_MODEL as the name of a header ("model_atomic.h", with its
 * quotes) before anything of ours is included. That header then defines every macro below, and what
 * it forgets is a compile error here rather than a hole in the model.
 *
 * Not here: locks, futexes, or any algorithm. Each use says which pair (A to C) it forms and with
 * which line on the other side.
 */
#ifndef MBR_BASE_ATOMIC_H
#define MBR_BASE_ATOMIC_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* Words that different CPUs write are kept this far apart (and pairs of lines are prefetched
 * together on x86, so what is really hot goes twice as far). */
#define MBR_CACHELINE 64

#ifdef MBR_ATOMIC_MODEL

#include MBR_ATOMIC_MODEL

#if !defined(mbr_load_relaxed) || !defined(mbr_store_relaxed) || !defined(mbr_load_acquire) || \
    !defined(mbr_store_release) || !defined(mbr_fence_full) || !defined(mbr_fetch_add) ||      \
    !defined(mbr_fetch_or) || !defined(mbr_fetch_and) || !defined(mbr_exchange) ||             \
    !defined(mbr_cas) || !defined(mbr_cpu_relax) || !defined(mbr_cpu_gap) ||                   \
    !defined(mbr_prefetch_write)
#error "the header named by MBR_ATOMIC_MODEL must define every macro of base/atomic.h"
#endif

#else

/* A lock inside an atomic operation would be private to each process: useless in shared memory. */
static_assert(__atomic_always_lock_free(sizeof(uint32_t), 0), "32-bit atomics need a lock");
static_assert(__atomic_always_lock_free(sizeof(uint64_t), 0), "64-bit atomics need a lock");
static_assert(__atomic_always_lock_free(sizeof(void *), 0), "pointer atomics need a lock");

/* Passes P through, refusing words of any size but the three above. */
#define MBR__ATOMIC_WORD(p)                                                                   \
    __extension__({                                                                           \
        static_assert(sizeof(*(p)) == 4 || sizeof(*(p)) == 8, "not a 32-bit or 64-bit word"); \
        (p);                                                                                  \
    })

/*
 * No pair: the value alone matters. For words only this thread writes, for hints, and for reading a
 * peer's word exactly once (the compiler may neither repeat nor split the access).
 */
#define mbr_load_relaxed(p)     __atomic_load_n(MBR__ATOMIC_WORD(p), __ATOMIC_RELAXED)
#define mbr_store_relaxed(p, v) __atomic_store_n(MBR__ATOMIC_WORD(p), (v), __ATOMIC_RELAXED)

/*
 * Pair A, publication: what was written before mbr_store_release() is seen by whoever reads the
 * stored value with mbr_load_acquire(). The read-modify-write operations below do both, so each can
 * stand on either side of this pair.
 */
#define mbr_load_acquire(p)     __atomic_load_n(MBR__ATOMIC_WORD(p), __ATOMIC_ACQUIRE)
#define mbr_store_release(p, v) __atomic_store_n(MBR__ATOMIC_WORD(p), (v), __ATOMIC_RELEASE)

/*
 * Pair B, "I wrote mine, now I read yours": with a full fence between its own store and its load on
 * both sides, at least one of two threads sees the other's store. This is what keeps a wake-up from
 * being lost: the producer stores its index and then loads the parked flag, the consumer stores the
 * flag and then loads the index.
 */
#define mbr_fence_full()        mbr__fence_full()

/*
 * Pair C, hand-over: acquire and release in one step; each returns the value before it. For words
 * that several threads or processes write: tickets, flags, reference counts.
 */
#define mbr_fetch_add(p, v)     __atomic_fetch_add(MBR__ATOMIC_WORD(p), (v), __ATOMIC_ACQ_REL)
#define mbr_fetch_or(p, v)      __atomic_fetch_or(MBR__ATOMIC_WORD(p), (v), __ATOMIC_ACQ_REL)
#define mbr_fetch_and(p, v)     __atomic_fetch_and(MBR__ATOMIC_WORD(p), (v), __ATOMIC_ACQ_REL)
#define mbr_exchange(p, v)      __atomic_exchange_n(MBR__ATOMIC_WORD(p), (v), __ATOMIC_ACQ_REL)

/*
 * Stores DESIRED if *P equals *EXPECTED and returns true; else copies *P to *EXPECTED, an acquire,
 * and returns false. Never fails spuriously. Forms pair C.
 */
#define mbr_cas(p, expected, desired)                                              \
    __atomic_compare_exchange_n(MBR__ATOMIC_WORD(p), (expected), (desired), false, \
                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* Asks for the line at P, to be written soon; harmless for any address. Orders nothing. */
#define mbr_prefetch_write(p) mbr__prefetch_write(p)

/* Inside a spin loop: lets the other hardware thread run and saves power. Orders nothing. */
#define mbr_cpu_relax()       mbr__cpu_relax()

/*
 * Between two looks at what another CPU is about to write: gives P back, but some 20 ns later, so
 * that a look through it cannot come earlier. Each look takes the line from its writer, who must
 * fetch it back to write: looking back to back delays what one waits for (a round trip of 170 ns
 * became one of 120, docs/performance.md). A pause would do, but takes from 10 to 140 cycles, by
 * processor. Orders nothing.
 */
#define mbr_cpu_gap(p)        ((__typeof__(p))(void *)((char *)(uintptr_t)(p) + mbr__cpu_gap()))

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MBR__TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define MBR__TSAN 1
#endif

static inline void mbr__fence_full(void)
{
#if defined(__x86_64__) && !defined(MBR__TSAN)
    /* Any locked operation is a full fence for ordinary memory, and costs about half of the MFENCE
     * some compilers choose. It goes to the red zone, so that it waits for no recent store. */
    __asm__ volatile("lock addl $0, -8(%%rsp)" ::: "memory", "cc");
#else
/* ThreadSanitizer does not model fences, and gcc warns of it. Pair B orders flags, never data, so
 * nothing it could report is hidden; the models check pair B. */
#if defined(MBR__TSAN) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#if defined(MBR__TSAN) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
}

static inline void mbr__cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static inline void mbr__prefetch_write(const void *p)
{
#if defined(__x86_64__)
    /* The compiler takes it for one to read unless told that every processor has it, which is so
     * since 2014; older ones take it for no operation. */
    __asm__ volatile("prefetchw %0" ::"m"(*(const char *)p));
#else
    __builtin_prefetch(p, 1);
#endif
}

/* Multiplications that wait for each other: three cycles each on all processors in use today, and
 * next to nothing taken from the core's other thread. */
#define MBR__GAP_STEPS 20

/* Zero, which neither the compiler nor the processor knows before it is computed. */
static inline uint64_t mbr__cpu_gap(void)
{
    uint64_t zero = 0;

    __asm__ volatile("" : "+r"(zero));
    for (int i = 0; i < MBR__GAP_STEPS; i++)
        zero *= zero;
    return zero;
}

#endif /* MBR_ATOMIC_MODEL */

#endif
