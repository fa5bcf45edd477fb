/* SPDX-License-Identifier: MIT */
/*
 * Containers that membraned hands out: those of a group, and those that outlive their members.
 *
 * membraned keeps a descriptor of the memory and a name for it, and asks the kernel who wants it
 * (SO_PEERCRED, SO_PEERGROUPS); it never looks into the memory, but for its id if it has the files.
 * A member keeps its connection, the session, as long as it is one: whoever dies has left. The
 * socket is beside the store's: that of $XENSTORED_PATH; or else of the system's daemon, which
 * alone can serve several users, and then of the user's own.
 *
 * Each function makes a connection of its own and waits for one reply, for MBR__BROKER_NS at most.
 * Any thread. Not here: what is in the memory.
 */
#ifndef MBR_OBJECT_BROKER_H
#define MBR_OBJECT_BROKER_H

#include <stddef.h>
#include <stdint.h>

#include "object/broker_wire.h"

#define MBR__BROKER_NS UINT64_C(5000000000)

struct mbr__broker_found {
    int memory;  /* verified (mbr__object_memory_check); the caller's */
    int session; /* the caller's: closed when it leaves */
    uint32_t uid;
    int32_t group;
    uint32_t flags; /* MBR_CONTAINER_KEPT, _PERSISTENT, _CHECKSUMS */
};

/* An entry of the list. */
struct mbr__broker_entry {
    uint32_t uid;
    int32_t group;
    uint32_t flags;
    uint32_t members;
    char name[MBR_OBJECT_NAME_MAX + 1];
};

/*
 * Hands a container over. *session as above. Errors: -EEXIST the name is taken; -EPERM the caller
 * is neither root nor in the group; -EDQUOT he has as many containers there as he may; -EACCES the
 * daemon's socket is not for him; -ECONNREFUSED no daemon; -ETIMEDOUT it does not answer;
 * -EPROTO it answers nonsense; -EMFILE, -ENFILE, -ENOMEM. With MBR_CONTAINER_PERSISTENT it waits
 * for the disk, as long as that takes: -EOPNOTSUPP the daemon has no place for containers; -ENOSPC,
 * -EDQUOT, -EIO and so on. POLICY is for that alone.
 */
int mbr__broker_create(const char *name, int group, uint32_t flags, uint32_t policy, int memory,
                       int *session);

/* -ENOENT no such container, -EACCES not for the caller, -EUSERS no more members; others as above.
 * One that is on disk and not in memory is read first: -EBADMSG, -EIO, -ENOMEM.
 * -ECONNREFUSED: no daemon. */
int mbr__broker_join(const char *name, struct mbr__broker_found *out);

/*
 * What to do when the daemon has died and another one is there: offers it the memory of a container
 * that it keeps on disk, and puts a new connection to it, at the address of the old one, into the
 * place of SESSION. -ESTALE it has made other memory meanwhile, knows nothing of the container, or
 * cannot do this; -ECONNREFUSED there is none yet; -EACCES not for the caller any more; -ETIMEDOUT
 * it does not answer until DEADLINE, or in MBR__BROKER_NS; others as above.
 */
int mbr__broker_rejoin(const char *name, int memory, uint64_t deadline, int session);

/* What they have in common with requests about the disk (disk_served.h): sends a note, takes
 * the next one, until DEADLINE. -ECONNREFUSED the daemon has gone; -ETIMEDOUT; -EPROTO. */
struct mbr__note;
int mbr__broker_send(int session, const struct mbr__note *note, uint64_t deadline);
int mbr__broker_receive(int session, struct mbr__note *note, uint64_t deadline);

/* The name is free from now on; the memory goes with its last member. -EACCES not the owner's;
 * -ENOENT it was removed already. */
int mbr__broker_remove(int session);

/* The next container that the caller may join after *cursor, which begins at 0: 1 there was one, 0
 * that was all. Errors as above. */
int mbr__broker_list(uint64_t *cursor, struct mbr__broker_entry *out);

#endif
