/* SPDX-License-Identifier: MIT */
/*
 * See wake.h. The sleeper is told through shared memory what to sleep for, and says when it is
 * about to; it is given time to fall asleep, while the waker spins: so its CPU is awake.
 */
#define _GNU_SOURCE
#include "bench/objects/wake.h"

#include <errno.h>
#include <linux/futex.h>
#include <membrane/objects.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/lib/clock.h"
#include "bench/lib/pin.h"
#include "bench/lib/plan.h"

#define ASLEEP_NS (300 * BENCH_US) /* enough to fall asleep: a nap of the locks is 4 ms */
#define COUNT_MAX 1000

static struct {
    struct shared {
        uint32_t round; /* what the waker has begun */
        uint32_t about; /* the round that the sleeper is about to sleep in */
        uint32_t ended; /* the one it has woken from */
        uint32_t way;
        uint32_t word; /* the bare futex */
        uint32_t failed;
        uint64_t woken; /* when */
    } * shared;
    pid_t sleeper;
    char container[64];
    int id, object;
} wake;

static uint32_t look(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void say(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* ---- the sleeper ---- */

static bool sleep_for(struct shared *s, int object, enum wake_way way)
{
    char *bytes;
    int access = 0;

    if (way == WAKE_FUTEX) {
        while (look(&s->word) == 0)
            (void)syscall(SYS_futex, &s->word, FUTEX_WAIT, 0, NULL, NULL, 0);
        s->woken = bench_now_ns();
        return true;
    }
    access = way == WAKE_READER ? mbr_object_get(object, 0, 64, &bytes)
                                : mbr_object_edit(object, 0, 64, &bytes);
    s->woken = bench_now_ns();
    return access >= 0 && mbr_object_put(access) == 0;
}

static void sleeper(struct shared *s, const char *container, int cpu)
{
    int object;
    uint32_t round = 0;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)bench_pin(cpu);
    object = mbr_container_join(container);
    if (object >= 0)
        object = mbr_object_join(object, "o");
    for (;;) {
        while (look(&s->round) == round)
            (void)sched_yield();
        round = look(&s->round);
        say(&s->about, round);
        if (!sleep_for(s, object, (enum wake_way)look(&s->way)))
            say(&s->failed, 1);
        say(&s->ended, round);
    }
}

/* ---- the waker ---- */

int wake_begin(void)
{
    struct bench_place place = {.cpu = {0, 0}};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -errno;
    wake.shared = page;
    (void)bench_place_choose(&place);
    (void)bench_pin(place.cpu[0]);
    (void)snprintf(wake.container, sizeof(wake.container), "bench wake %d", (int)getpid());
    wake.id = mbr_container_create(wake.container, -1);
    wake.object = wake.id < 0 ? wake.id : mbr_object_create(wake.id, "o", MBR_OBJECT_BLOCK);
    if (wake.object < 0)
        return wake.object;
    wake.sleeper = fork();
    if (wake.sleeper == 0)
        sleeper(page, wake.container, place.cpu[1]);
    return wake.sleeper < 0 ? -errno : 0;
}

static void spin_until(uint64_t when)
{
    while (bench_now_ns() < when)
        continue;
}

/* One wake-up, in nanoseconds; negative: it failed. */
static double one(enum wake_way way)
{
    struct shared *s = wake.shared;
    uint32_t round = s->round + 1;
    uint64_t begun;
    char *bytes;
    int access = 0;

    if (way != WAKE_FUTEX)
        access = mbr_object_edit(wake.object, 0, 64, &bytes);
    if (access < 0)
        return access;
    s->word = 0;
    s->way = way;
    say(&s->round, round);
    while (look(&s->about) != round)
        continue;
    spin_until(bench_now_ns() + ASLEEP_NS);
    begun = bench_now_ns();
    if (way == WAKE_FUTEX) {
        say(&s->word, 1);
        (void)syscall(SYS_futex, &s->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    } else {
        (void)mbr_object_put(access);
    }
    while (look(&s->ended) != round)
        continue;
    return look(&s->failed) ? -EIO : (double)(s->woken - begun);
}

double wake_once(enum wake_way way, int count)
{
    double taken[COUNT_MAX];

    if (count < 1 || count > COUNT_MAX)
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        taken[i] = one(way);
        if (taken[i] < 0)
            return taken[i];
    }
    return bench_median(taken, (size_t)count);
}

void wake_end(void)
{
    if (wake.sleeper > 0) {
        (void)kill(wake.sleeper, SIGKILL);
        (void)waitpid(wake.sleeper, NULL, 0);
    }
    if (wake.id >= 0)
        (void)mbr_container_leave(wake.id);
    if (wake.shared != NULL)
        (void)munmap(wake.shared, 4096);
}
