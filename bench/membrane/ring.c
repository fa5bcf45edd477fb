/* SPDX-License-Identifier: MIT */
/*
 * The bare record ring as a subject: two regions, each written by one side, and nothing of a pipe
 * around them. Each side makes its own region and passes it over a socket that both inherit,
 * because a sealed region cannot be mapped writable a second time.
 *
 * "Armed" means that the peer's wish to be woken is looked at after each publication, as a pipe has
 * to; the peer is awake all the time. What is released is always retired with that look.
 */
#include "bench/membrane/membrane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/lib/roles.h"
#include "ring/ring.h"
#include "shm/region.h"

#define HEAD_BYTES 4096u
#define RECORD     1u /* the kind of all our records */

/* As the hand-tuned rings: bytes published at once, and the part of the ring given back at once. */
#define PUBLISH_BYTES 2048u
#define RETIRE_PART   8u

struct config {
    bool armed;
    uint64_t publish; /* bytes; 0: each record by itself */
};

/* The first page of each region. */
struct head {
    struct mbr__ring_rx_shm rx;
    struct mbr__want_shm want;
};

struct meeting {
    const struct config *config;
    int socket[2]; /* by side */
};

struct end {
    _Alignas(128) struct mbr__ring_tx tx;
    uint64_t held; /* bytes committed, not published */
    uint64_t hold;
    _Alignas(128) struct mbr__ring_rx rx;
    uint64_t retired; /* the head that the peer can see */
    uint64_t keep;
    uint64_t wishes; /* that there should have been none of */
    struct mbr__region own, theirs;
};

static int start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    struct meeting *meeting = malloc(sizeof(*meeting));

    (void)bc;
    if (meeting == NULL) {
        return -ENOMEM;
    }
    meeting->config = self->config;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, meeting->socket) != 0) {
        int result = -errno;

        free(meeting);
        return result;
    }
    *shared = meeting;
    return 0;
}

/* A side that waits for the other one's region must see it when that one dies. */
static void parted(void *shared)
{
    const struct meeting *meeting = shared;

    (void)close(meeting->socket[0]);
    (void)close(meeting->socket[1]);
}

/* ---- passing a descriptor ---- */

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static int pass_fd(int socket, int fd)
{
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union control control = {.bytes = {0}};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    return sendmsg(socket, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int take_fd(int socket, int *fd)
{
    char byte;
    struct iovec iov = {&byte, 1};
    union control control;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

    if (got != 1 || header == NULL || header->cmsg_type != SCM_RIGHTS) {
        return got < 0 ? -errno : -ECONNRESET;
    }
    memcpy(fd, CMSG_DATA(header), sizeof(*fd));
    return 0;
}

/* ---- opening ---- */

static int join(struct end *end, bool armed, uint64_t capacity)
{
    struct head *mine = (struct head *)(void *)end->own.base;
    const struct head *theirs = (const struct head *)(const void *)end->theirs.base;

    mbr__ring_tx_init(&end->tx, mbr__region_body(&end->own), capacity);
    mbr__ring_rx_init(&end->rx, mbr__region_body(&end->theirs), capacity, &mine->rx, &theirs->want,
                      0);
    return mbr__ring_tx_attach(&end->tx, &theirs->rx, armed ? &theirs->want : NULL, 0);
}

static int swap_regions(struct end *end, int socket, uint64_t capacity)
{
    int fd = -1;
    int result = mbr__region_create("bench:ring", HEAD_BYTES, capacity, &end->own);

    if (result == 0) {
        result = pass_fd(socket, end->own.fd);
    }
    if (result == 0) {
        result = take_fd(socket, &fd);
    }
    if (result == 0) {
        result = mbr__region_attach(fd, HEAD_BYTES, capacity, &end->theirs);
        (void)close(fd);
    }
    return result;
}

static void close_end(void *end)
{
    struct end *made = end;

    mbr__region_release(&made->own);
    mbr__region_release(&made->theirs);
    free(made);
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    const struct meeting *meeting = shared;
    uint64_t capacity = bench_ring_bytes(bc);
    uint64_t hold = meeting->config->publish;
    struct end *made = aligned_alloc(128, sizeof(*made));
    int result;

    if (made == NULL) {
        return -ENOMEM;
    }
    (void)close(meeting->socket[side == BENCH_A ? BENCH_B : BENCH_A]);
    *made = (struct end){
        .hold = hold < capacity / RETIRE_PART ? hold : capacity / RETIRE_PART,
        .keep = capacity / RETIRE_PART,
        .own.fd = -1,
        .theirs.fd = -1,
    };
    result = swap_regions(made, meeting->socket[side], capacity);
    (void)close(meeting->socket[side]);
    if (result == 0) {
        result = join(made, meeting->config->armed, capacity);
    }
    if (result != 0) {
        close_end(made);
        return result;
    }
    *end = made;
    return 0;
}

/* ---- messages ---- */

BENCH_INLINE void publish(struct end *end)
{
    end->wishes += mbr__ring_publish(&end->tx) != 0;
    end->held = 0;
}

BENCH_INLINE void retire(struct end *end)
{
    end->wishes += mbr__ring_retire(&end->rx) != 0;
    end->retired = end->rx.head;
}

BENCH_INLINE int ring_put(void *end, struct bench_probe *probe, uint64_t word)
{
    struct end *e = end;
    uint32_t size = (uint32_t)probe->size;
    void *to;

    while ((to = mbr__ring_reserve(&e->tx, size)) == NULL) {
        int result;

        if (e->held != 0) {
            publish(e);
        }
        result = bench_spin(probe);
        if (result != 0) {
            return result;
        }
    }
    bench_fill(to, size, word);
    mbr__ring_commit(&e->tx, size, RECORD);
    e->held += size;
    if (e->held >= e->hold) {
        publish(e);
    }
    return 0;
}

BENCH_INLINE int ring_show(void *end)
{
    struct end *e = end;

    if (e->held != 0) {
        publish(e);
    }
    return 0;
}

BENCH_INLINE int ring_take(void *end, struct bench_probe *probe, uint64_t word)
{
    struct end *e = end;
    struct mbr__record record;
    int result;

    while ((result = mbr__ring_peek(&e->rx, &record)) == 0) {
        if (e->rx.head != e->retired) {
            retire(e);
        }
        result = bench_spin(probe);
        if (result != 0) {
            return result;
        }
    }
    if (result < 0) {
        return result;
    }
    result = bench_check(record.data, record.len, word);
    mbr__ring_release(&e->rx, &record);
    if (e->rx.head - e->retired >= e->keep) {
        retire(e);
    }
    return result;
}

BENCH_ROLES(ring)

static const struct config bare = {.publish = PUBLISH_BYTES};
static const struct config armed = {.armed = true, .publish = PUBLISH_BYTES};
static const struct config each = {.armed = true};

#define RING_ENDS                                                                           \
    .flags = BENCH_SPINS, .start = start, .parted = parted, .stop = free, .open = open_end, \
    .close = close_end

const struct bench_subject bench_ring = {
    .name = "ring",
    .about = "bare record ring, in place",
    .config = &bare,
    RING_ENDS,
    BENCH_ROLES_OF(ring),
};

const struct bench_subject bench_ring_armed = {
    .name = "ring-armed",
    .about = "the same, looking whether the peer wants to be woken",
    .config = &armed,
    RING_ENDS,
    BENCH_ROLES_OF(ring),
};

const struct bench_subject bench_ring_each = {
    .name = "ring-each",
    .about = "the same, publishing each record by itself",
    .max_message = 64,
    .config = &each,
    RING_ENDS,
    BENCH_ROLES_OF(ring),
};
