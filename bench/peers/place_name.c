/* SPDX-License-Identifier: MIT */
/* A directory of our own for the sockets of peers, removed with what is in it. */
#include "bench/peers/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int bench_peers_start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    struct bench_place_name *place = calloc(1, sizeof(*place));

    (void)self;
    (void)bc;
    if (place == NULL) {
        return -ENOMEM;
    }
    snprintf(place->dir, sizeof(place->dir), "/tmp/membrane-bench.XXXXXX");
    if (mkdtemp(place->dir) == NULL) {
        int error = -errno;

        free(place);
        return error;
    }
    snprintf(place->path, sizeof(place->path), "%s/socket", place->dir);
    snprintf(place->address, sizeof(place->address), "ipc://%s", place->path);
    *shared = place;
    return 0;
}

void bench_peers_stop(void *shared)
{
    struct bench_place_name *place = shared;

    (void)unlink(place->path);
    (void)rmdir(place->dir);
    free(place);
}
