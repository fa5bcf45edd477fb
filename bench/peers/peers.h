/* SPDX-License-Identifier: MIT */
/*
 * Messaging libraries of others as subjects, each used as its own documentation shows: a pair of
 * sockets over its transport between processes of one machine, one message a call. What a system
 * does not have installed is left out of the program.
 *
 * Not here: tuning beyond what a user would do in an afternoon, and libraries that Debian does not
 * have.
 */
#ifndef BENCH_PEERS_PEERS_H
#define BENCH_PEERS_PEERS_H

#include "bench/lib/subject.h"

extern const struct bench_subject bench_zmq;
extern const struct bench_subject bench_nng;
extern const struct bench_subject bench_nanomsg;

/* Where the two sides meet: a private directory and addresses in it. In the keeper. */
struct bench_place_name {
    char dir[64];
    char path[96];     /* of a socket */
    char address[112]; /* "ipc://" and the path */
};

int bench_peers_start(const struct bench_subject *self, const struct bench_case *bc, void **shared);
void bench_peers_stop(void *shared);

#endif
