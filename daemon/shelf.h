/* SPDX-License-Identifier: MIT */
/*
 * Containers on disk: a directory of the daemon's own with one directory in it for each, and the
 * thread that does what is to be done there (docs/objects.md tells the whole).
 *
 * A container is `stored`: what is known of it never changes. Who asks for something has a `desk`,
 * of which a request is part: it is filled in, put on the shelf's queue, and comes back among the
 * finished with an answer. Requests are carried out one at a time in the order in which they came,
 * and each is short: at most 1 MiB and one wait for the disk, but for reading a catalogue when a
 * container is used first.
 *
 * What clients say is checked here as what stands on a disk is: by the catalogue (object/disk.h).
 * Nothing here looks into a container's memory, or maps what a client has made.
 *
 * Everything is for the loop's thread but what the thread does itself. Not here: who may ask.
 */
#ifndef DAEMON_SHELF_H
#define DAEMON_SHELF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "object/broker_wire.h"

struct shelf;
struct stored;
struct mbr__disk_write;

/* What stands in a container's file "membrane-owner". */
struct stored_what {
    uint64_t number; /* the name of its directory */
    uint32_t uid;
    int32_t group;
    uint32_t flags; /* MBR_CONTAINER_KEPT, _PERSISTENT, perhaps _CHECKSUMS */
    uint32_t policy;
    char name[MBR_OBJECT_NAME_MAX + 1];
};

enum desk_job {
    DESK_MAKE = 1, /* the container's directory; its memory is `lent` */
    DESK_REVIVE,   /* makes its memory anew: fds[0]; none if it has some again by now */
    DESK_ADOPT,    /* may `lent` be its memory? -ESTALE: it is not the last one that it had */
    DESK_DISK,     /* asked: answer, and perhaps fds */
    DESK_LEAVE,    /* whoever had the desk is gone: his blocks are given back */
};

struct desk {
    /* the loop's */
    void *session;   /* NULL: gone */
    void *container; /* struct container, which stays while it has desks */
    bool busy;       /* on the queue: all that follows is the thread's */

    struct mbr__list node;
    struct stored *stored;
    enum desk_job job;
    struct mbr__broker_disk asked;
    char name[MBR_OBJECT_NAME_MAX + 1];
    int lent; /* a descriptor that came along; -1 none */
    struct mbr__broker_disk_reply answer;
    int fds[2]; /* that go along, to be closed afterwards; -1 none */

    /* the thread's from one request to the next */
    int memory; /* of the one who has the desk; -1 none yet */
    struct mbr__disk_write *write;
    uint64_t size; /* that the object had when that was begun */
};

/*
 * Opens the directory DIR, makes it if it is missing, and calls FOUND for each container in it, who
 * has it then (stored_free() gives it back). What cannot be read is logged and left alone. LIMIT:
 * bytes for each user, 0 none. An exit code, after an error message unless it is 0.
 */
int shelf_open(const char *dir, uint64_t limit, struct shelf **out);
int shelf_scan(struct shelf *shelf, void (*found)(void *user, struct stored *stored), void *user);

/* Whether one of them could not be read for a reason that may pass: its name is not known then, and
 * may be any. */
bool shelf_unread(const struct shelf *shelf);
/* FOUND could not take one for such a reason. */
void shelf_mark_unread(struct shelf *shelf);
/* Looks for those once more, also while the thread runs. KNOWN: whether the container with this
 * number is there already. */
void shelf_scan_again(struct shelf *shelf, bool (*known)(void *user, uint64_t number),
                      void (*found)(void *user, struct stored *stored), void *user);

/* Starts the thread. As above. */
int shelf_start(struct shelf *shelf);

/* Ends it after the request it is at; those behind it are finished with -ECANCELED. */
void shelf_stop(struct shelf *shelf);
/* After that, when nothing is stored any more. NULL is fine. */
void shelf_close(struct shelf *shelf);

/* One to be made, or one known from a live update (its number not 0). NULL: no memory. */
struct stored *stored_new(struct shelf *shelf, const struct stored_what *what);
/* FOUND, which ends, is the same as KNOWN: what was found out about it is KNOWN's. */
void stored_replace(struct stored *known, struct stored *found);
/* Nothing of it is on the queue. NULL is fine. */
void stored_free(struct stored *stored);
const struct stored_what *stored_what(const struct stored *stored);

/* A desk without requests, for the container; NULL: no memory. */
struct desk *desk_new(struct stored *stored);
/* One that is not busy, and that DESK_LEAVE was done for, or whose thread has ended. */
void desk_free(struct desk *desk);
/* Closes what goes along. */
void desk_close_fds(struct desk *desk);

/* Puts its request on the queue. */
void shelf_submit(struct shelf *shelf, struct desk *desk);
/* The next that is finished, not busy any more; NULL none. */
struct desk *shelf_finished(struct shelf *shelf);
/* Readable (a level) while there are some. */
int shelf_descriptor(const struct shelf *shelf);
/* Waits until all are finished, for some seconds; false: they are not. */
bool shelf_wait(struct shelf *shelf);

#endif
