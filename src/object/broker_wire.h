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
    /* Of a container that the daemon has on disk, by a member of it: mbr__broker_disk. */
    MBR__BROKER_DISK_OPEN,    /* descriptors to read with; my desk comes along, the first time */
    MBR__BROKER_DISK_STATE,   /* how far is it? */
    MBR__BROKER_DISK_CREATE,  /* id, size, more: enum mbr_write_policy, name */
    MBR__BROKER_DISK_REMOVE,  /* id */
    MBR__BROKER_DISK_RENAME,  /* id, name */
    MBR__BROKER_DISK_RESIZE,  /* id, size, more: not after that, ns of CLOCK_MONOTONIC */
    MBR__BROKER_DISK_BEGIN,   /* id, the size it has: blocks of it follow; others are dropped */
    MBR__BROKER_DISK_BLOCK,   /* id, more: the block whose bytes are on my desk */
    MBR__BROKER_DISK_COMMIT,  /* id: all of them together */
    MBR__BROKER_DISK_ABANDON, /* none of them */
    MBR__BROKER_DISK_DESTROY, /* the container, with its files: by its owner */
    MBR__BROKER_DISK_END,     /* one more than the last */
    /* name, the memory: of a container on disk, by a member of it whose daemon has died: count us
     * in again, and if nobody has the container yet keep this memory, not another made anew */
    MBR__BROKER_REJOIN = 0x62724f61,
};

/* A request; a name follows, without a NUL, to the end of the note. */
struct mbr__broker_request {
    uint32_t op;
    int32_t group;   /* CREATE: a gid, or -1 for its owner alone */
    uint32_t flags;  /* CREATE: MBR_CONTAINER_KEPT, _PERSISTENT, _CHECKSUMS */
    uint32_t cursor; /* LIST: 0 begins; CREATE: enum mbr_write_policy */
};

/* A reply; to JOIN the memory is passed along, to LIST the name follows. */
struct mbr__broker_reply {
    int32_t status; /* 0 or a negative errno; -EINPROGRESS: the disk is at work, another follows */
    uint32_t uid;   /* of the container's owner */
    int32_t group;
    uint32_t flags;
    uint32_t cursor;  /* LIST: where to go on */
    uint32_t members; /* LIST: connections that belong to it */
};

/* A request about the disk; a name follows as above. */
struct mbr__broker_disk {
    uint32_t op;
    uint32_t seq; /* comes back: a reply that nobody waits for any more is known by it */
    uint64_t id;  /* of the object */
    uint64_t size;
    uint64_t more;
};

/* Its reply; to OPEN journal and blocks are passed along, for reading. */
struct mbr__broker_disk_reply {
    int32_t status; /* as above */
    uint32_t seq;
    uint64_t generation; /* of the journal: another one is another file */
    uint64_t end;        /* so many bytes of it are durable, and no others may be read */
};

/* A desk: memory of the size of a block, sealed as a container's is. */
#define MBR__BROKER_DESK MBR_OBJECT_BLOCK

static_assert(sizeof(struct mbr__broker_disk) == 32, "version 1");
static_assert(sizeof(struct mbr__broker_disk_reply) == 24, "version 1");
static_assert(sizeof(struct mbr__broker_request) == 16, "version 1");
static_assert(sizeof(struct mbr__broker_reply) == 24, "version 1");

#endif
