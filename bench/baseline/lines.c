/* SPDX-License-Identifier: MIT */
/*
 * The bare cache-line ping-pong as a subject: the floor under every round trip. No message is
 * carried, so the message size of the case is ignored.
 */
#include "bench/baseline/baseline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/lib/linecheck.h"

#define STOP UINT64_MAX
/* No message is carried; this keeps the subject out of tables of larger ones. */
#define NOMINAL_BYTES 64

struct end {
    uint64_t *mine;   /* the line this side writes */
    uint64_t *theirs; /* the line it waits on; the same in the one-line game */
};

static int start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    struct bench_lines *lines = mmap(NULL, sizeof(*lines), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    (void)self;
    (void)bc;
    if (lines == MAP_FAILED) {
        return -errno;
    }
    *shared = lines;
    return 0;
}

static void stop(void *shared)
{
    (void)munmap(shared, sizeof(struct bench_lines));
}

static int make_end(uint64_t *mine, uint64_t *theirs, void **end)
{
    struct end *made = malloc(sizeof(*made));

    if (made == NULL) {
        return -ENOMEM;
    }
    *made = (struct end){mine, theirs};
    *end = made;
    return 0;
}

static int open_one(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    struct bench_lines *lines = shared;

    (void)side;
    (void)bc;
    return make_end(&lines->a, &lines->a, end);
}

static int open_two(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    struct bench_lines *lines = shared;

    (void)bc;
    return side == BENCH_A ? make_end(&lines->a, &lines->b, end)
                           : make_end(&lines->b, &lines->a, end);
}

/* Waits for `value`: 0, or 1 when the other side has stopped. */
static inline int await(const uint64_t *word, uint64_t value, struct bench_probe *probe)
{
    for (;;) {
        uint64_t now = mbr_load_acquire(word);
        int result;

        if (now == value) {
            return 0;
        }
        if (now == STOP) {
            return 1;
        }
        result = bench_spin(probe);
        if (result != 0) {
            return result;
        }
    }
}

/* Odd numbers go, even ones come back. */
static int ping(void *end, struct bench_probe *probe)
{
    const struct end *lines = end;
    uint64_t value = 1;

    bench_lap_start(probe);
    do {
        int result;

        mbr_store_release(lines->mine, value);
        result = await(lines->theirs, value + 1, probe);
        if (result != 0) {
            return result < 0 ? result : -EPROTO;
        }
        value += 2;
    } while (bench_lap(probe));
    mbr_store_release(lines->mine, STOP);
    return 0;
}

static int pong(void *end, struct bench_probe *probe)
{
    const struct end *lines = end;

    for (uint64_t value = 1;; value += 2) {
        int result = await(lines->theirs, value, probe);

        if (result != 0) {
            return result < 0 ? result : 0;
        }
        mbr_store_release(lines->mine, value + 1);
    }
}

const struct bench_subject bench_line1 = {
    .name = "line1",
    .about = "bare cache-line ping-pong, one line written in turn",
    .flags = BENCH_SPINS,
    .max_message = NOMINAL_BYTES,
    .start = start,
    .stop = stop,
    .open = open_one,
    .close = free,
    .ping = ping,
    .pong = pong,
};

const struct bench_subject bench_line2 = {
    .name = "line2",
    .about = "bare cache-line ping-pong, two lines with one writer each",
    .flags = BENCH_SPINS,
    .max_message = NOMINAL_BYTES,
    .start = start,
    .stop = stop,
    .open = open_two,
    .close = free,
    .ping = ping,
    .pong = pong,
};
