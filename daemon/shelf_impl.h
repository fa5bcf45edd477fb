/* SPDX-License-Identifier: MIT */
/*
 * Inside of the shelf: for shelf.c (queue and thread), shelf_dir.c (directories) and shelf_work.c
 * (requests). See shelf.h.
 */
#ifndef DAEMON_SHELF_IMPL_H
#define DAEMON_SHELF_IMPL_H

#include <pthread.h>

#include "base/hash.h"
#include "object/disk.h"
#include "shelf.h"

/* What the containers of a user take. */
struct shelf_owner {
    uint32_t uid;
    uint64_t bytes;
};

struct shelf {
    char *path;
    int dir;
    uint64_t limit;
    uint64_t last;        /* the highest number there is: the thread's once it runs */
    unsigned char *block; /* MBR_OBJECT_BLOCK bytes: what is written is copied here first */

    /* the loop's */
    uint64_t scanned; /* the highest number that there was at the start */
    bool unread;      /* of those, one could not be read, for a reason that may pass */

    int event;
    bool started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_cond_t idle;
    /* under the mutex */
    struct mbr__hash owners; /* struct shelf_owner by uid + 1 */
    struct mbr__list queue;
    struct mbr__list finished;
    bool working;
    bool stop;
};

struct stored {
    struct shelf *shelf;
    struct stored_what what;
    /* the thread's */
    struct mbr__disk *disk; /* NULL: not opened yet */
    uint64_t bytes;         /* that its owner is charged for */
    bool gone;              /* destroyed */
    bool remembered;        /* it has memory, and the directory says which */
};

/* ---- directories: 0 or a negative errno ---- */

/* A new one, with its first journal, for MEMORY; the number is chosen. -EDQUOT and what the file
 * system says: nothing is left then. */
int shelf_make(struct stored *stored, int memory);
/* Opens the files. */
int shelf_open_disk(struct stored *stored);
/*
 * Which memory is the container's: the last that was made for it, as its random id in a file. All
 * that was changed since was changed by members of that; so after this process has died they may go
 * on with it, and those of any older one may not. It need not be on the disk: when the machine
 * stops, all memory has gone.
 *
 * shelf_remember(): MEMORY, from now on and before anybody gets it; what stood there counts no
 * more. -errno: it does still. shelf_remembers(): 0, or -ESTALE it is another.
 */
int shelf_remember(struct stored *stored, int memory);
int shelf_remembers(struct stored *stored, int memory);
/* Removes it: as a whole or not at all. */
int shelf_remove(struct stored *stored);
/* What a container that is not open takes, about. */
uint64_t shelf_bytes_of(const struct stored *stored);

/* ---- requests ---- */

/* Carries it out, and sets answer and fds. */
void shelf_work(struct desk *desk);

/* Charges the owner for so many bytes instead of those so far. */
void shelf_charge(struct stored *stored, uint64_t bytes);
/* Whether he may have MORE. */
bool shelf_may(const struct stored *stored, uint64_t more);

#endif
