/* SPDX-License-Identifier: MIT */
/*
 * Two subjects for the benchmarks' harness: a pipe of this library used in place, and used with
 * push and pop. Side A creates the pipe, side B opens it and greets, so that both know each other
 * before anything is measured.
 */
#include "subjects.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <membrane/queue.h>

struct end {
    struct mbr_libos *libos;
    int qd;
    demi_sgarray_t sga; /* what is pushed */
};

struct place {
    char name[48];
};

/* ---- connecting ---- */

static int start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    static unsigned count;
    struct place *place = malloc(sizeof(*place));

    (void)bc;
    if (place == NULL)
        return -ENOMEM;
    (void)snprintf(place->name, sizeof(place->name), "bench.%d.%u.%s", (int)getpid(), ++count,
                   self->name);
    *shared = place;
    return 0;
}

static int greet(struct end *end)
{
    void *room;
    int rc = mbr_pipe_reserve(end->libos, end->qd, 8, &room);

    if (rc < 0)
        return rc;
    *(uint64_t *)room = 0;
    rc = mbr_pipe_commit(end->libos, end->qd, 8);
    return rc < 0 ? rc : mbr_pipe_flush(end->libos, end->qd);
}

static int hear(struct end *end)
{
    const void *data;
    uint64_t left;
    uint32_t len;
    int rc;

    while ((rc = mbr_pipe_peek(end->libos, end->qd, &data, &len, &left)) == -EAGAIN) {
        rc = mbr_pipe_await(end->libos, end->qd, MBR_READABLE, 0, MBR_FOREVER);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        rc = mbr_pipe_release(end->libos, end->qd);
    return rc < 0 ? rc : mbr_pipe_retire(end->libos, end->qd);
}

static int connect_pipe(struct end *end, const struct place *place, enum bench_side side)
{
    int rc;

    if (side == BENCH_A) {
        rc = mbr_pipe_create(end->libos, place->name, NULL, &end->qd);
        return rc < 0 ? rc : hear(end);
    }
    while ((rc = mbr_pipe_open(end->libos, place->name, NULL, &end->qd)) == -ENOENT)
        (void)sched_yield(); /* the other side is just creating it */
    return rc < 0 ? rc : greet(end);
}

static void close_end(void *arg)
{
    struct end *end = arg;

    (void)mbr_sga_free(&end->sga);
    mbr_libos_close(end->libos);
    free(end);
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **out)
{
    struct mbr_libos_options options = {.size = sizeof(options)};
    struct end *end = calloc(1, sizeof(*end));
    int rc;

    if (end == NULL)
        return -ENOMEM;
    options.capacity = bench_ring_bytes(bc);
    end->sga = mbr_sga_alloc(bc->size);
    rc = end->sga.sga_numsegs == 0 ? -ENOMEM : mbr_libos_open("catmem", &options, &end->libos);
    if (rc == 0)
        rc = connect_pipe(end, shared, side);
    if (rc < 0) {
        close_end(end);
        return rc;
    }
    *out = end;
    return 0;
}

/* ---- in place ---- */

static int wait_until(struct end *end, struct bench_probe *probe, unsigned what)
{
    if (!probe->blocking)
        return bench_spin(probe);

    int rc = mbr_pipe_await(end->libos, end->qd, what, (uint32_t)probe->size, MBR_FOREVER);

    return rc < 0 ? rc : 0;
}

static int put_in_place(struct end *end, struct bench_probe *probe, uint64_t word)
{
    void *room;
    int rc;

    while ((rc = mbr_pipe_reserve(end->libos, end->qd, (uint32_t)probe->size, &room)) == -EAGAIN) {
        rc = wait_until(end, probe, MBR_WRITABLE);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    bench_fill(room, probe->size, word);
    rc = mbr_pipe_commit(end->libos, end->qd, (uint32_t)probe->size);
    return rc < 0 ? rc : mbr_pipe_flush(end->libos, end->qd);
}

static int take_in_place(struct end *end, struct bench_probe *probe, uint64_t word)
{
    const void *data;
    uint64_t left;
    uint32_t len;
    int rc;

    while ((rc = mbr_pipe_peek(end->libos, end->qd, &data, &len, &left)) == -EAGAIN) {
        rc = wait_until(end, probe, MBR_READABLE);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;

    int result = len == probe->size && left == 0 ? bench_check(data, len, word) : -EBADMSG;

    rc = mbr_pipe_release(end->libos, end->qd);
    if (rc == 0)
        rc = mbr_pipe_retire(end->libos, end->qd);
    return rc < 0 ? rc : result;
}

/* ---- push and pop ---- */

/* Waits as programs do: a wait looks at its ring for a while by itself, and a dead peer ends it. To
 * ask again and again with no time to wait would be a look at the kernel each time. */
static int complete(struct end *end, demi_qtoken_t qt, demi_qresult_t *qr)
{
    int rc = mbr_wait(end->libos, qt, MBR_FOREVER, qr);

    if (rc != 0)
        return rc;
    return qr->qr_opcode == DEMI_OPC_FAILED ? -(int)qr->qr_ret : 0;
}

static int put_copy(struct end *end, struct bench_probe *probe, uint64_t word)
{
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int rc;

    bench_fill(end->sga.sga_segs[0].sgaseg_buf, probe->size, word);
    rc = mbr_push(end->libos, end->qd, &end->sga, &qt);
    return rc < 0 ? rc : complete(end, qt, &qr);
}

static int take_copy(struct end *end, struct bench_probe *probe, uint64_t word)
{
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int rc = mbr_pop(end->libos, end->qd, 0, &qt);

    if (rc == 0)
        rc = complete(end, qt, &qr);
    if (rc != 0)
        return rc;

    const demi_sgaseg_t *segment = &qr.qr_value.sga.sga_segs[0];

    rc = segment->sgaseg_len == probe->size
             ? bench_check(segment->sgaseg_buf, segment->sgaseg_len, word)
             : -EBADMSG;
    (void)mbr_sga_free(&qr.qr_value.sga);
    return rc;
}

/* ---- roles ---- */

typedef int put_fn(struct end *end, struct bench_probe *probe, uint64_t word);
typedef int take_fn(struct end *end, struct bench_probe *probe, uint64_t word);

static inline __attribute__((always_inline)) int ping(struct end *end, struct bench_probe *probe,
                                                      put_fn *put, take_fn *take)
{
    uint64_t word = 0;

    bench_lap_start(probe);
    do {
        int rc = put(end, probe, word);

        if (rc == 0)
            rc = take(end, probe, word++);
        if (rc != 0)
            return rc < 0 ? rc : -EPROTO;
    } while (bench_lap(probe));
    return put(end, probe, BENCH_END);
}

static inline __attribute__((always_inline)) int pong(struct end *end, struct bench_probe *probe,
                                                      put_fn *put, take_fn *take)
{
    for (uint64_t word = 0;; word++) {
        int rc = take(end, probe, word);

        if (rc != 0)
            return rc < 0 ? rc : 0;
        rc = put(end, probe, word);
        if (rc != 0)
            return rc;
    }
}

static inline __attribute__((always_inline)) int stream(struct end *end, struct bench_probe *probe,
                                                        put_fn *put)
{
    for (uint64_t seq = 0; bench_more(probe, seq); seq++) {
        int rc = put(end, probe, seq);

        if (rc != 0)
            return rc;
    }
    return put(end, probe, BENCH_END);
}

static inline __attribute__((always_inline)) int drain(struct end *end, struct bench_probe *probe,
                                                       take_fn *take)
{
    for (uint64_t seq = 0;; seq++) {
        int rc = take(end, probe, seq);

        if (rc != 0) {
            bench_took_end(probe, seq);
            return rc < 0 ? rc : 0;
        }
        bench_took(probe, seq);
    }
}

static int ping_in_place(void *end, struct bench_probe *probe)
{
    return ping(end, probe, put_in_place, take_in_place);
}

static int pong_in_place(void *end, struct bench_probe *probe)
{
    return pong(end, probe, put_in_place, take_in_place);
}

static int send_in_place(void *end, struct bench_probe *probe)
{
    return stream(end, probe, put_in_place);
}

static int recv_in_place(void *end, struct bench_probe *probe)
{
    return drain(end, probe, take_in_place);
}

static int ping_copy(void *end, struct bench_probe *probe)
{
    return ping(end, probe, put_copy, take_copy);
}

static int pong_copy(void *end, struct bench_probe *probe)
{
    return pong(end, probe, put_copy, take_copy);
}

static int send_copy(void *end, struct bench_probe *probe)
{
    return stream(end, probe, put_copy);
}

static int recv_copy(void *end, struct bench_probe *probe)
{
    return drain(end, probe, take_copy);
}

const struct bench_subject tool_subjects[TOOL_SUBJECTS] = {
    {
        .name = "membrane",
        .about = "membrane pipe, in place",
        .flags = BENCH_SPINS | BENCH_BLOCKS,
        .start = start,
        .stop = free,
        .open = open_end,
        .close = close_end,
        .ping = ping_in_place,
        .pong = pong_in_place,
        .send = send_in_place,
        .recv = recv_in_place,
    },
    {
        .name = "membrane-copy",
        .about = "membrane pipe, push and pop",
        .flags = BENCH_SPINS | BENCH_BLOCKS,
        .start = start,
        .stop = free,
        .open = open_end,
        .close = close_end,
        .ping = ping_copy,
        .pong = pong_copy,
        .send = send_copy,
        .recv = recv_copy,
    },
};
