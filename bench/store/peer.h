/* SPDX-License-Identifier: MIT */
/*
 * What is measured, each in a process of its own that ends with this one: membraned, and the floor,
 * an echo server that does nothing but answer the same bytes over the same kind of socket, with
 * epoll as membraned does, and pass on what is written below PEER_FAN to who has watched. Also
 * connections to them, and raw messages.
 */
#ifndef BENCH_STORE_PEER_H
#define BENCH_STORE_PEER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/wire.h"

struct peer {
    char directory[64];
    char socket[80];
    pid_t pid;
};

#define PEER_VALUE "sixteen bytes..." /* what is read: 16 bytes */
#define PEER_FAN   "/fan"             /* what the floor tells watchers of: writes below it */
#define PEER_TOKEN "token"

/* Starts the floor. Negative errno. */
int peer_floor(struct peer *p);
/* Starts membraned, which must be beside this program; durable: with --state. -ENOENT, -EIO. */
int peer_store(struct peer *p, int durable);
void peer_end(struct peer *p);
/* Process PID, 0 for the caller, runs on CPU from now on; on -1: on those that were allowed when
 * this was first called. Negative errno. */
int peer_place(pid_t pid, int cpu);
/* Resident memory in bytes; 0 if it cannot be told. */
uint64_t peer_memory(const struct peer *p);

/* A blocking connection, or a negative errno. */
int peer_connect(const struct peer *p);

/* Lays a message out at `at`, which has room, and returns its size. */
size_t peer_message(unsigned char *at, uint32_t type, uint32_t tx, const void *payload,
                    size_t length);
/* All of it, or a negative errno. */
int peer_send(int fd, const void *bytes, size_t length);
int peer_receive(int fd, void *bytes, size_t length);
/* One message into `payload` (room for MBR__STORE_PAYLOAD_MAX); -EIO for an error of the store. */
int peer_answer(int fd, struct mbr__store_header *head, void *payload);
/* Asks and waits for the answer. */
int peer_ask(int fd, uint32_t type, uint32_t tx, const void *payload, size_t length,
             char answer[MBR__STORE_PAYLOAD_MAX]);

#endif
