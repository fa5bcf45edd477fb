/* SPDX-License-Identifier: MIT */
/*
 * What members of containers and membraned say to each other, on a seqpacket socket whose path is
 * that of the store with ".objects" behind it. A note (shm/post.h) is one request or one reply;
 * each request gets one reply. A connection belongs to one container at most, and its end says that
 * the process behind it has left.
 *
 * Both sides bound what they read: a note is at least its head and at most head and name.
 */
#ifndef MBR_OBJECT_BROKER_WIRE_H
#define MBR_OBJECT_BROKER_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MBR_OBJECTS_NO_SHORT_NAMES
#define MBR_OBJECTS_NO_SHORT_NAMES /* the daemon has names of its own */
#endif
#include <membrane/objects.h>

#define MBR__BROKER_SUFFIX ".objects"

enum mbr__broker_op {
    MBR__BROKER_CREATE = 0x62724f31, /* name, group, flags, the memory: keep it, and count us in */
    MBR__BROKER_JOIN,                /* name: give me the memory, and count me in */
    MBR__BROKER_REMOVE,              /* of this connection: forget the container's name */
    MBR__BROKER_LIST,                /* the first container that I may join after number `cursor` */
};

/* A request; a name follows, without a NUL, to the end of the note. */
struct mbr__broker_request {
    uint32_t op;
    int32_t group;   /* CREATE: a gid, or -1 for its owner alone */
    uint32_t flags;  /* CREATE: MBR_CONTAINER_KEPT */
    uint32_t cursor; /* LIST: 0 begins */
};

/* A reply; to JOIN the memory is passed along, to LIST the name follows. */
struct mbr__broker_reply {
    int32_t status; /* 0 or a negative errno */
    uint32_t uid;   /* of the container's owner */
    int32_t group;
    uint32_t flags;
    uint32_t cursor;  /* LIST: where to go on */
    uint32_t members; /* LIST: connections that belong to it */
};

static_assert(sizeof(struct mbr__broker_request) == 16, "version 1");
static_assert(sizeof(struct mbr__broker_reply) == 24, "version 1");

#endif
