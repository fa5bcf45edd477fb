/* SPDX-License-Identifier: MIT */
/*
 * Two futex words and nothing else: how long waking a sleeping process takes here, on one CPU and
 * across two. In a virtual machine the second is mostly the hypervisor's time.
 */
#include "bench/baseline/baseline.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STOP UINT32_MAX
/* No message is carried; this keeps the subject out of tables of larger ones. */
#define NOMINAL_BYTES 64

struct words {
    alignas(128) uint32_t a; /* written by side A */
    alignas(128) uint32_t b; /* written by side B */
};

struct end {
    uint32_t *mine;
    uint32_t *theirs;
};

static int start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    struct words *words = mmap(NULL, sizeof(*words), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    (void)self;
    (void)bc;
    if (words == MAP_FAILED) {
        return -errno;
    }
    *shared = words;
    return 0;
}

static void stop(void *shared)
{
    (void)munmap(shared, sizeof(struct words));
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    struct words *words = shared;
    struct end *made = malloc(sizeof(*made));

    (void)bc;
    if (made == NULL) {
        return -ENOMEM;
    }
    *made =
        side == BENCH_A ? (struct end){&words->a, &words->b} : (struct end){&words->b, &words->a};
    *end = made;
    return 0;
}

static void tell(uint32_t *word, uint32_t value)
{
    mbr_store_release(word, value);
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Sleeps until the word has another value than `old`, in naps of a second for the deadline. */
static int await(uint32_t *word, uint32_t old, struct bench_probe *probe, uint32_t *value)
{
    static const struct timespec nap = {.tv_sec = 1};
    uint32_t now;

    while ((now = mbr_load_acquire(word)) == old) {
        if (syscall(SYS_futex, word, FUTEX_WAIT, old, &nap, NULL, 0) != 0 && errno == ETIMEDOUT) {
            int result = bench_spin_slow(probe);

            if (result != 0) {
                return result;
            }
        }
    }
    *value = now;
    return 0;
}

static int ping(void *end, struct bench_probe *probe)
{
    const struct end *words = end;
    uint32_t turn = 0;

    bench_lap_start(probe);
    do {
        uint32_t answer;
        int result;

        tell(words->mine, turn + 1);
        result = await(words->theirs, turn, probe, &answer);
        if (result != 0) {
            return result;
        }
        turn++;
        if (answer != turn) {
            return -EPROTO;
        }
    } while (bench_lap(probe));
    tell(words->mine, STOP);
    return 0;
}

static int pong(void *end, struct bench_probe *probe)
{
    const struct end *words = end;

    for (uint32_t turn = 0;; turn++) {
        uint32_t value;
        int result = await(words->theirs, turn, probe, &value);

        if (result != 0) {
            return result;
        }
        if (value == STOP) {
            return 0;
        }
        bench_rest(probe);
        tell(words->mine, value);
    }
}

const struct bench_subject bench_futex = {
    .name = "futex",
    .about = "bare futex wait and wake, no message",
    .flags = BENCH_BLOCKS | BENCH_RESTS,
    .max_message = NOMINAL_BYTES,
    .start = start,
    .stop = stop,
    .open = open_end,
    .close = free,
    .ping = ping,
    .pong = pong,
};
