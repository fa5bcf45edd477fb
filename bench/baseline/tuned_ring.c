/* SPDX-License-Identifier: MIT */
/*
 * Memory of the hand-tuned rings: index lines in one anonymous mapping, data in a memfd mapped
 * twice back to back, all populated before anybody measures.
 */
#include "bench/baseline/tuned_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t round_up(size_t capacity)
{
    size_t rounded = (size_t)sysconf(_SC_PAGESIZE);

    while (rounded < capacity) {
        rounded *= 2;
    }
    return rounded;
}

/* Maps `fd` over both halves of a reservation, so that a record never has to be split. */
static int map_twice(int fd, size_t capacity, char **data)
{
    char *base = mmap(NULL, 2 * capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED) {
        return -errno;
    }
    for (size_t half = 0; half < 2; half++) {
        void *at = mmap(base + half * capacity, capacity, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);

        if (at == MAP_FAILED) {
            int error = -errno;

            (void)munmap(base, 2 * capacity);
            return error;
        }
    }
    *data = base;
    return 0;
}

static int make_data(size_t capacity, char **data)
{
    int fd = memfd_create("bench-ring", MFD_CLOEXEC);
    int result;

    if (fd < 0) {
        return -errno;
    }
    result = ftruncate(fd, (off_t)capacity) == 0 ? map_twice(fd, capacity, data) : -errno;
    (void)close(fd);
    return result;
}

int tuned_ring_make(struct tuned_ring *ring, size_t capacity)
{
    struct tuned_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    size_t rounded = round_up(capacity);
    char *data = NULL;
    int result;

    if (shared == MAP_FAILED) {
        return -errno;
    }
    result = make_data(rounded, &data);
    if (result != 0) {
        (void)munmap(shared, sizeof(*shared));
        return result;
    }
    *ring = (struct tuned_ring){shared, data, rounded};
    return 0;
}

void tuned_ring_free(struct tuned_ring *ring)
{
    (void)munmap(ring->data, 2 * ring->capacity);
    (void)munmap(ring->shared, sizeof(*ring->shared));
}

void tuned_end_init(struct tuned_end *end, const struct tuned_ring *ring, uint64_t batch)
{
    *end = (struct tuned_end){
        .shared = ring->shared,
        .data = ring->data,
        .mask = ring->capacity - 1,
        /* One word stays free for the mark behind the last record (TUNED_SLOT). */
        .room = ring->capacity - TUNED_HEADER,
        .batch = batch,
    };
}
