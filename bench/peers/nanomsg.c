/* SPDX-License-Identifier: MIT */
/* nanomsg: a PAIR of sockets over ipc. */
#include "bench/peers/peers.h"

#include <errno.h>
#include <stdlib.h>

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include "bench/lib/roles.h"

struct end {
    int socket;
    char *buffer;
    size_t size;
};

static void close_end(void *end)
{
    struct end *nn = end;

    (void)nn_close(nn->socket);
    free(nn->buffer);
    free(nn);
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    const struct bench_place_name *place = shared;
    struct end *nn = calloc(1, sizeof(*nn));
    int unlimited = -1;

    if (nn == NULL) {
        return -ENOMEM;
    }
    nn->size = bc->size;
    nn->buffer = malloc(bc->size);
    nn->socket = nn_socket(AF_SP, NN_PAIR);
    if (nn->buffer == NULL || nn->socket < 0 ||
        nn_setsockopt(nn->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &unlimited, sizeof(unlimited)) <
            0 ||
        (side == BENCH_A ? nn_bind : nn_connect)(nn->socket, place->address) < 0) {
        int error = nn->buffer == NULL ? ENOMEM : nn_errno();

        close_end(nn);
        return -error;
    }
    *end = nn;
    return 0;
}

BENCH_INLINE int pair_put(void *end, struct bench_probe *probe, uint64_t word)
{
    struct end *nn = end;

    bench_fill(nn->buffer, nn->size, word);
    while (nn_send(nn->socket, nn->buffer, nn->size, probe->blocking ? 0 : NN_DONTWAIT) < 0) {
        int error = nn_errno();
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
    struct end *nn = end;
    int got;

    while ((got = nn_recv(nn->socket, nn->buffer, nn->size, probe->blocking ? 0 : NN_DONTWAIT)) <
           0) {
        int error = nn_errno();
        int result = error == EAGAIN ? bench_spin(probe) : error == EINTR ? 0 : -error;

        if (result != 0) {
            return result;
        }
    }
    return (size_t)got == nn->size ? bench_check(nn->buffer, nn->size, word) : -EBADMSG;
}

BENCH_ROLES(pair)

const struct bench_subject bench_nanomsg = {
    .name = "nanomsg",
    .about = "nanomsg, PAIR over ipc",
    .flags = BENCH_SPINS | BENCH_BLOCKS,
    .start = bench_peers_start,
    .stop = bench_peers_stop,
    .open = open_end,
    .close = close_end,
    BENCH_ROLES_OF(pair),
};
