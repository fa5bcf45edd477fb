/* SPDX-License-Identifier: MIT */
/*
 * The monotonic clock, and the choice and calibration of the tick counter. The kernel decides
 * whether the time stamp counter can be trusted (it watches it against other clocks): we use it
 * only where the kernel does, and where this process may execute the instruction.
 */
#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

#define NS_PER_SECOND 1000000000u

uint64_t mbr__now_ns(void)
{
    struct timespec now;

    /* Fails for no valid clock and no valid address; the time is positive and fits for 584 years.
     */
    MBR_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t mbr__deadline_ns(uint64_t timeout_ns)
{
    uint64_t deadline;

    if (timeout_ns == MBR__NEVER || __builtin_add_overflow(mbr__now_ns(), timeout_ns, &deadline))
        return MBR__NEVER;
    return deadline;
}

uint32_t mbr__ticks_source = MBR__TICKS_UNKNOWN;
static pthread_once_t ticks_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)

#include <cpuid.h>

/* From here on the rate is known well enough to be kept: two readings err by < 10 us together. */
#define CALIBRATION_NS 10000000u
/* A pair of readings further apart than this was interrupted (at 1 GHz: 2 us; at 5 GHz: 0.4 us). */
#define PAIR_TICKS    2000u
#define PAIR_ATTEMPTS 8

struct reading {
    uint64_t ticks;
    uint64_t ns;
};

/* The origin of the calibration; written once, before mbr__ticks_source. */
static struct reading anchor;

/* Nanoseconds per tick as a binary fraction with 32 places; 0 until fixed. */
static uint64_t fixed_rate;

/*
 * Both clocks at one instant, as nearly as the machine lets us: the tick count is the middle of two
 * around the clock's reading, and the tightest of a few attempts is taken. OK says whether it is
 * tight enough to be kept.
 */
static struct reading read_both(bool *ok)
{
    struct reading best = {0, 0};
    uint64_t best_width = UINT64_MAX;

    for (int i = 0; i < PAIR_ATTEMPTS && best_width > PAIR_TICKS; i++) {
        uint64_t before = __builtin_ia32_rdtsc();
        uint64_t ns = mbr__now_ns();
        uint64_t width = __builtin_ia32_rdtsc() - before;

        if (width < best_width) {
            best_width = width;
            best = (struct reading){before + width / 2, ns};
        }
    }
    *ok = best_width <= PAIR_TICKS;
    return best;
}

/* The kernel runs its own clock on the counter only while the counter behaves. */
static bool kernel_trusts_tsc(void)
{
    static const char path[] = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    char name[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return false;
    length = read(fd, name, sizeof(name) - 1);
    (void)close(fd);
    return length >= 4 && memcmp(name, "tsc\n", 4) == 0;
}

static bool tsc_is_usable(void)
{
    unsigned int eax, ebx, ecx, edx;
    int mode = 0;

    /* A process may be forbidden to read the counter: it would get SIGSEGV. */
    if (prctl(PR_GET_TSC, &mode) != 0 || mode != PR_TSC_ENABLE)
        return false;
    /* Bit 8: it counts at one rate in all power states. */
    if (!__get_cpuid(0x80000007u, &eax, &ebx, &ecx, &edx) || !(edx & (1u << 8)))
        return false;
    return kernel_trusts_tsc();
}

static void choose_ticks(void)
{
    bool tight = false;

    if (tsc_is_usable())
        anchor = read_both(&tight);
    mbr_store_release(&mbr__ticks_source, tight ? (uint32_t)MBR__TICKS_TSC : MBR__TICKS_NS);
}

/* The rate since the anchor, or 0 when nothing useful can be said. */
static uint64_t measure_rate(void)
{
    bool tight;
    struct reading now = read_both(&tight);
    uint64_t ticks = now.ticks - anchor.ticks;
    uint64_t ns = now.ns - anchor.ns;
    unsigned __int128 rate;

    if (ticks == 0 || (int64_t)ticks < 0)
        return 0;
    rate = ((unsigned __int128)ns << 32) / ticks;
    /* 0.1 to 10 GHz is all there is: anything else comes of a machine that was suspended. */
    if (rate < (1ull << 32) / 10 || rate > (10ull << 32))
        return 0;
    if (tight && ns >= CALIBRATION_NS)
        mbr_store_relaxed(&fixed_rate, (uint64_t)rate);
    return (uint64_t)rate;
}

uint64_t mbr__ticks_to_ns(uint64_t ticks)
{
    uint64_t rate;

    if ((int64_t)ticks < 0)
        return 0;
    if (mbr_load_acquire(&mbr__ticks_source) != MBR__TICKS_TSC)
        return ticks;
    rate = mbr_load_relaxed(&fixed_rate);
    if (rate == 0)
        rate = measure_rate();
    /* Without any measure yet, one tick is taken for one nanosecond: too long rather than lost. */
    if (rate == 0)
        return ticks;
    return (uint64_t)(((unsigned __int128)ticks * rate) >> 32);
}

#else

static void choose_ticks(void)
{
    mbr_store_release(&mbr__ticks_source, (uint32_t)MBR__TICKS_NS);
}

uint64_t mbr__ticks_to_ns(uint64_t ticks)
{
    return (int64_t)ticks < 0 ? 0 : ticks;
}

#endif

uint64_t mbr__ticks_slow(void)
{
    MBR_ASSERT(pthread_once(&ticks_once, choose_ticks) == 0);
#if defined(__x86_64__)
    if (mbr_load_acquire(&mbr__ticks_source) == MBR__TICKS_TSC)
        return __builtin_ia32_rdtsc();
#endif
    return mbr__now_ns();
}
