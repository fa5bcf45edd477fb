/* SPDX-License-Identifier: MIT */
/* ZeroMQ: a PAIR of sockets over ipc. */
#include "bench/peers/peers.h"

#include <errno.h>
#include <stdlib.h>

#include <zmq.h>

#include "bench/lib/roles.h"

struct end {
    void *context;
    void *socket;
    char *buffer;
    size_t size;
};

static void close_end(void *end)
{
    struct end *zmq = end;

    if (zmq->socket != NULL) {
        (void)zmq_close(zmq->socket);
    }
    if (zmq->context != NULL) {
        (void)zmq_ctx_term(zmq->context);
    }
    free(zmq->buffer);
    free(zmq);
}

static int meet(const struct end *zmq, const char *address, enum bench_side side)
{
    int linger = 1000;

    if (zmq_setsockopt(zmq->socket, ZMQ_LINGER, &linger, sizeof(linger)) != 0) {
        return -zmq_errno();
    }
    if ((side == BENCH_A ? zmq_bind : zmq_connect)(zmq->socket, address) != 0) {
        return -zmq_errno();
    }
    return 0;
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    const struct bench_place_name *place = shared;
    struct end *zmq = calloc(1, sizeof(*zmq));
    int result = -ENOMEM;

    if (zmq == NULL) {
        return result;
    }
    zmq->size = bc->size;
    zmq->buffer = malloc(bc->size);
    zmq->context = zmq_ctx_new();
    if (zmq->context != NULL) {
        zmq->socket = zmq_socket(zmq->context, ZMQ_PAIR);
    }
    if (zmq->buffer != NULL && zmq->socket != NULL) {
        result = meet(zmq, place->address, side);
    }
    if (result != 0) {
        close_end(zmq);
        return result;
    }
    *end = zmq;
    return 0;
}

BENCH_INLINE int pair_put(void *end, struct bench_probe *probe, uint64_t word)
{
    struct end *zmq = end;

    bench_fill(zmq->buffer, zmq->size, word);
    while (zmq_send(zmq->socket, zmq->buffer, zmq->size, probe->blocking ? 0 : ZMQ_DONTWAIT) < 0) {
        int error = zmq_errno();
        int result = error == EAGAIN ? bench_spin(probe) : error == EINTR ? 0 : -error;

        if (result != 0) {
            return result;
        }
    }
    return 0;
}

BENCH_INLINE int pair_show(void *end)
{
    (void)end; /* each message goes its way at once */
    return 0;
}

BENCH_INLINE int pair_take(void *end, struct bench_probe *probe, uint64_t word)
{
    struct end *zmq = end;
    int got;

    while ((got = zmq_recv(zmq->socket, zmq->buffer, zmq->size,
                           probe->blocking ? 0 : ZMQ_DONTWAIT)) < 0) {
        int error = zmq_errno();
        int result = error == EAGAIN ? bench_spin(probe) : error == EINTR ? 0 : -error;

        if (result != 0) {
            return result;
        }
    }
    return (size_t)got == zmq->size ? bench_check(zmq->buffer, zmq->size, word) : -EBADMSG;
}

BENCH_ROLES(pair)

const struct bench_subject bench_zmq = {
    .name = "zeromq",
    .about = "ZeroMQ, PAIR over ipc",
    .flags = BENCH_SPINS | BENCH_BLOCKS,
    .start = bench_peers_start,
    .stop = bench_peers_stop,
    .open = open_end,
    .close = close_end,
    BENCH_ROLES_OF(pair),
};
