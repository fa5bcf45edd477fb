/* SPDX-License-Identifier: MIT */
/*
 * The records by which sockets connect. They travel in the rings of a pair (pair.h), between
 * connections.
 */
#ifndef MBR_CATLOOP_CONNECT_SHM_H
#define MBR_CATLOOP_CONNECT_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of records beside those of catmem/half_shm.h. */
#define MBR__REC_CONNECT 16 /* client: struct mbr__connect_shm */
#define MBR__REC_ACCEPT  17 /* server: 4 bytes, 0 */
#define MBR__REC_REFUSE  18 /* server: 4 bytes, the positive errno */

/* An address as it lies in shared memory. */
struct mbr__addr_shm {
    uint16_t family; /* 4 or 6 */
    uint16_t port;   /* host order */
    uint8_t host[16];
};

/*
 * Written by the client before it is published, read once into a local by the server. Hostile: a
 * target that is none of the server's sockets is refused; the addresses are what the client says
 * they are, which among processes of one user is as good as anything.
 */
struct mbr__connect_shm {
    uint64_t target[2]; /* random identity of the listening, or datagram, socket */
    struct mbr__addr_shm from;
    struct mbr__addr_shm to;
    uint64_t reserved;
};

static_assert(sizeof(struct mbr__addr_shm) == 20, "no padding");
static_assert(sizeof(struct mbr__connect_shm) == 64 &&
                  offsetof(struct mbr__connect_shm, from) == 16 &&
                  offsetof(struct mbr__connect_shm, to) == 36,
              "layout version 1");

#endif
