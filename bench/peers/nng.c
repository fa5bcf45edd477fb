/* SPDX-License-Identifier: MIT */
/* nng: a pair of version 0 over ipc. */
#include "bench/peers/peers.h"

#include <errno.h>
#include <stdlib.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "bench/lib/roles.h"

struct end {
    nng_socket socket;
    char *buffer;
    size_t size;
};

static void close_end(void *end)
{
    struct end *nng = end;

    (void)nng_close(nng->socket);
    free(nng->buffer);
    free(nng);
}

/* nng's own numbers are those of errno where there is such an errno. */
static int negative(int error)
{
    return error == 0 ? 0 : error < 1000 && error > 0 ? -error : -EIO;
}

/* The one who dials may come first: the library tries again until there is somebody. */
static int meet(const struct end *nng, const char *address, enum bench_side side)
{
    if (side == BENCH_A) {
        return negative(nng_listen(nng->socket, address, NULL, 0));
    }
    return negative(nng_dial(nng->socket, address, NULL, NNG_FLAG_NONBLOCK));
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    const struct bench_place_name *place = shared;
    struct end *nng = calloc(1, sizeof(*nng));
    int result;

    if (nng == NULL) {
        return -ENOMEM;
    }
    nng->size = bc->size;
    nng->buffer = malloc(bc->size);
    result = nng->buffer == NULL ? -ENOMEM : negative(nng_pair0_open(&nng->socket));
    if (result != 0) {
        free(nng->buffer);
        free(nng);
        return result;
    }
    result = meet(nng, place->address, side);
    if (result != 0) {
        close_end(nng);
        return result;
    }
    *end = nng;
    return 0;
}

BENCH_INLINE int pair_put(void *end, struct bench_probe *probe, uint64_t word)
{
    struct end *nng = end;
    int error;

    bench_fill(nng->buffer, nng->size, word);
    while ((error = nng_send(nng->socket, nng->buffer, nng->size,
                             probe->blocking ? 0 : NNG_FLAG_NONBLOCK)) != 0) {
        int result = error == NNG_EAGAIN ? bench_spin(probe) : negative(error);

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
    struct end *nng = end;
    size_t got = nng->size;
    int error;

    while ((error = nng_recv(nng->socket, nng->buffer, &got,
                             probe->blocking ? 0 : NNG_FLAG_NONBLOCK)) != 0) {
        int result = error == NNG_EAGAIN ? bench_spin(probe) : negative(error);

        if (result != 0) {
            return result;
        }
        got = nng->size;
    }
    return got == nng->size ? bench_check(nng->buffer, nng->size, word) : -EBADMSG;
}

BENCH_ROLES(pair)

const struct bench_subject bench_nng = {
    .name = "nng",
    .about = "nng, pair0 over ipc",
    .flags = BENCH_SPINS | BENCH_BLOCKS,
    .max_message = 1 << 20, /* the library refuses longer ones unless told */
    .start = bench_peers_start,
    .stop = bench_peers_stop,
    .open = open_end,
    .close = close_end,
    BENCH_ROLES_OF(pair),
};
