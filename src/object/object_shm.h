/* SPDX-License-Identifier: MIT */
/*
 * Layout of a container's memory, version 1.
 *
 * One memfd, from the start as large as it can ever be and sealed against growing and shrinking: an
 * access within it never raises SIGBUS, and nobody can take from the others what they have mapped.
 * Places that are not in use are holes and cost nothing; growing allocates, removing punches. So
 * there is no allocator, nothing that a crash could leave half linked: the place of everything
 * follows from its number.
 *
 *     0             header, one page
 *     BUCKETS_AT    hash buckets: index + 1 of the first object of a chain, or 0
 *     MEMBERS_AT    members: MEMBER_STRIDE bytes each: the member's page, then its holds
 *     ENTRIES_AT    objects: entry i
 *     JOINED_AT     what each member has joined: JOINED_STRIDE bytes each
 *     RANGE * (i+1) object i: one page with its first locks, then its data; far behind, at
 *                   LOCKS_AT, the other locks, and at MAPS_AT what a versioned object needs
 *
 * Everything up to TABLES_END is mapped by each member as a whole.
 *
 * All members may write everything. What is read from here is read once, bounded, then used; the
 * worst that a hostile member does to others is wrong data, or a call that ends with -EPROTO or
 * waits for its deadline. What only a member itself relies on it keeps in its own memory as well.
 *
 * Who holds what is never counted: each member says in its own part what it holds, has joined and
 * is about to change, and whoever finds it dead undoes it from there (member.h).
 */
#ifndef MBR_OBJECT_OBJECT_SHM_H
#define MBR_OBJECT_OBJECT_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/objects.h>

#define MBR__OBJECT_MAGIC   UINT64_C(0x6a626f2e72626d00) /* "\0mbr.obj" */
#define MBR__OBJECT_VERSION 1u

#define MBR__OBJ_PAGE          UINT64_C(4096)
#define MBR__OBJ_BUCKETS       (UINT32_C(1) << 16)
#define MBR__OBJ_BUCKETS_AT    (UINT64_C(1) << 16)
#define MBR__OBJ_MEMBERS_AT    (UINT64_C(1) << 20)
#define MBR__OBJ_MEMBER_STRIDE (UINT64_C(1) << 16)
#define MBR__OBJ_HOLDS_AT      MBR__OBJ_PAGE /* within a member's part */
#define MBR__OBJ_ENTRIES_AT    (UINT64_C(1) << 28)
#define MBR__OBJ_TABLES_END    (UINT64_C(1) << 30)
#define MBR__OBJ_JOINED_AT     (UINT64_C(1) << 33)
#define MBR__OBJ_JOINED_STRIDE (UINT64_C(4) * MBR_CONTAINER_OBJECTS)
#define MBR__OBJ_RANGE         (UINT64_C(1) << 38)
#define MBR__OBJ_DATA_AT       MBR__OBJ_PAGE        /* within an object's range */
#define MBR__OBJ_LOCKS_AT      (UINT64_C(7) << 35)  /* within an object's range */
#define MBR__OBJ_MAPS_AT       (UINT64_C(15) << 34) /* within an object's range */
#define MBR__OBJ_FILE_SIZE     (MBR__OBJ_RANGE * (MBR_CONTAINER_OBJECTS + 1))

#define MBR__OBJ_NEAR_LOCKS 12u   /* locks of the first blocks, in the page before the data */
#define MBR__OBJ_HOLDS      2048u /* of a member: its accesses, and calls that are under way */

/*
 * The lock of a table (of objects, of members, of an object's publication): 0 free, else
 * mbr__holder() of who has it. Taken by compare-and-swap, slept on as a futex (turn); whoever finds
 * its holder dead mends what he was changing and frees it (member.h).
 */
struct mbr__shm_mutex {
    uint32_t word;    /* the number in it: which of the member's tickets, and above a count */
    uint32_t turn;    /* futex: grows at each release that found sleepers */
    uint32_t waiters; /* not 0: somebody may sleep on turn; set by sleepers, cleared by who wakes */
    uint32_t reserved;
};

#define MBR__MUTEX_TICKETS     512u
#define MBR__MUTEX_TICKET_BITS 9

/* A holder: member's slot + 1 in the low 12 bits, above it a number that differs for each attempt
 * of that member (wraps), so that a word that was freed and taken again is not mistaken. */
#define MBR__HOLDER_BITS 12

/*
 * The lock of a block. `writer` names the one writer that has it or waits for its readers to go.
 * A reader writes nothing here once its bit in `readers` is set: it says in a hold of its own which
 * blocks it reads, makes a full fence, and looks whether there is a writer; a writer takes the
 * word, makes a full fence, and looks at the holds of all members whose bits are set (pair B). So
 * readers do not slow each other. The bits stay: one of a member that is gone costs a look.
 */
struct mbr__block_lock {
    uint32_t writer;
    uint32_t turn;    /* futex: grows when a writer releases, and when a reader leaves that a writer
                         waits for */
    uint32_t waiters; /* MBR__WAITS_...: who may sleep on turn */
    uint32_t torn;    /* 0 sound, else MBR__TORN... and others below */
    uint64_t version; /* grows with each write that has ended */
    uint32_t next;    /* a writer that was passed too often: after it who has the word now */
    uint32_t reserved;
    uint64_t synced; /* persistent: the version that is on the disk; written by who has the turn */
    uint32_t reserved2[6];
    uint64_t readers[MBR_CONTAINER_MEMBERS / 64]; /* member's slot s: bit s % 64 of word s / 64 */
};
/* Set by who is about to sleep; the first is cleared by who wakes writers, the second by a writer
 * that is about to grant. */
#define MBR__WAITS_WRITER 1u
#define MBR__WAITS_READER 2u

/* Why a block's bytes are not those of a write that has ended. Whatever is not 0 keeps readers from
 * the short way. The first two are told by the lock; of the others it knows nothing (persist.h). */
#define MBR__TORN      1u /* half written, nobody told */
#define MBR__TORN_TOLD 2u
#define MBR__ABSENT    4u /* on the disk alone; changed with the block locked for writing */
#define MBR__LOST      5u /* it could not be read, and is not on the disk any more */

/*
 * A hold: what one access or call of a member has, or waits for, of one object's blocks. Written by
 * the member alone, except that whoever releases a block as its writer may grant it to a waiting
 * reader (compare-and-swap of `what`), and that a dead member's are cleared. One word says it all,
 * so nobody sees half of it:
 *
 *     bits 0 to 15   first block      \ of a versioned object's hold, bits 0 to 37:
 *     bits 16 to 32  blocks held      / the low bits of the version pinned
 *     bits 38 to 58  object: index + 1 of its entry
 *     bits 59 to 63  flags; 0 as a whole: nothing
 *
 * ticket: the mbr__holder() of this attempt to write, written before `what`: only a word that is
 * equal to it was taken by this hold. thread: which thread of the member it was taken by, for that
 * member alone; 0 unknown.
 */
struct mbr__hold {
    uint64_t what;
    uint32_t ticket;
    uint32_t thread;
};
#define MBR__HOLD_HELD_SHIFT   16
#define MBR__HOLD_OBJECT_SHIFT 38
#define MBR__HOLD_IN_USE       (UINT64_C(1) << 63)
#define MBR__HOLD_WRITE        (UINT64_C(1) << 62) /* as a writer; else as a reader */
#define MBR__HOLD_WRITING      (UINT64_C(1) << 61) /* being changed: who dies now leaves it torn */
#define MBR__HOLD_WAITING      (UINT64_C(1) << 60) /* for the block after those held */
#define MBR__HOLD_VERSION      (UINT64_C(1) << 59) /* versioned */

static inline uint32_t mbr__hold_first(uint64_t what)
{
    return (uint32_t)(what & 0xffff);
}

static inline uint32_t mbr__hold_held(uint64_t what)
{
    return (uint32_t)(what >> MBR__HOLD_HELD_SHIFT & 0x1ffff);
}

static inline uint32_t mbr__hold_object(uint64_t what)
{
    return (uint32_t)(what >> MBR__HOLD_OBJECT_SHIFT & 0x1fffff);
}

/* The word for `held` blocks from `first` on; flags are or'ed to it, MBR__HOLD_IN_USE is there. */
static inline uint64_t mbr__hold_of(uint32_t object, uint32_t first, uint32_t held)
{
    return MBR__HOLD_IN_USE | (uint64_t)object << MBR__HOLD_OBJECT_SHIFT |
           (uint64_t)held << MBR__HOLD_HELD_SHIFT | first;
}

enum mbr__member_state {
    MBR__MEMBER_FREE = 0,
    MBR__MEMBER_JOINING,
    MBR__MEMBER_HERE,
    MBR__MEMBER_GONE
};

/*
 * A member's own page. claim: whose slot this is: 0 nobody's; else the pid, and above it the low
 * half of its namespaces' number; taken by compare-and-swap, given back as the last step. start,
 * ns: who that is exactly (mbr__proc), and fd: its descriptor for this memory; written before state
 * becomes HERE.
 * holds: how many of its holds may be in use, from the first on; grows only.
 * joined: the same for its list at JOINED_AT of entries (index + 1, 0 free).
 * intent, intent_arg, intent_name: what it is changing under the container's mutex, 0 nothing: see
 * table.c.
 */
struct mbr__member_shm {
    uint32_t state;
    uint32_t holds;
    uint32_t joined;
    uint32_t uid;
    uint64_t start;
    uint64_t ns;
    uint64_t claim;
    int32_t fd;
    uint32_t nonce; /* the last mbr__holder() number it used */
    uint64_t intent;
    uint64_t intent_arg[2];
    uint32_t passed; /* grows when one of its threads reads once more what a writer waits for */
    uint32_t reserved[15];
    char intent_name[MBR_OBJECT_NAME_MAX + 8];
    uint32_t tickets[MBR__MUTEX_TICKETS]; /* words of mutexes it takes, has, or gives back */
};

enum mbr__entry_state {
    MBR__ENTRY_FREE = 0,
    MBR__ENTRY_MAKING, /* not in any chain, nobody else sees it */
    MBR__ENTRY_LIVE,
    MBR__ENTRY_DYING,   /* in its chain; nobody may join any more */
    MBR__ENTRY_UNLINKED /* has no name any more, lives until the last user leaves */
};

/* What of an object's bytes is on the disk alone. A versioned object goes from 1 to 0. */
enum mbr__unloaded {
    MBR__LOADED = 0,
    MBR__NOT_JOINED, /* everything; nobody has joined it yet */
    MBR__IN_BLOCKS,  /* what blocks say that are MBR__ABSENT */
    MBR__PARTLY_LOST /* nothing, but there are blocks that are MBR__LOST */
};

/* An object. Changed under the container's mutex only; state, size and version are also read
 * without. */
struct mbr__entry {
    uint32_t state;
    uint32_t next; /* in the chain of its bucket, or of free entries: index + 1, 0 the last */
    uint32_t hash;
    uint32_t policy;
    uint64_t size;
    uint64_t id; /* never the same twice in one container: tells whether an index was used again */
    uint64_t current;             /* versioned: the version published last, see version.h */
    struct mbr__shm_mutex writer; /* versioned: the one writer */
    uint32_t destroyer;           /* who has made it DYING: slot + 1 */
    uint32_t unloaded;            /* persistent: enum mbr__unloaded */
    uint32_t resizing; /* persistent: slot + 1 of who, having `writer`, changes its size there and
                          here */
    uint32_t reserved;
    char name[MBR_OBJECT_NAME_MAX + 8];
    uint64_t users[MBR_CONTAINER_MEMBERS / 64]; /* bit s: member s has joined it */
};

enum mbr__container_state { MBR__CONTAINER_LIVE = 1, MBR__CONTAINER_DYING, MBR__CONTAINER_DEAD };

struct mbr__container_shm {
    uint64_t magic;
    uint32_t version;
    uint32_t state; /* enum mbr__container_state */
    uint64_t id[2]; /* random */
    uint32_t uid;
    int32_t group;
    uint32_t policy;
    uint32_t flags;              /* MBR_CONTAINER_... */
    struct mbr__shm_mutex mutex; /* of the tables of members and objects */
    uint32_t members;            /* slots that have ever been used, from the first on */
    uint32_t entries;            /* the same for entries */
    uint32_t free_entry; /* first of the chain of free entries below that: index + 1, 0 none */
    uint32_t live_entries;
    uint64_t last_id;
    uint32_t changes;         /* futex: grows whenever a member leaves or an object is left */
    uint32_t changes_awaited; /* not 0: somebody may sleep on it */
    uint32_t destroyer;       /* who has made it DYING: slot + 1 */
    uint32_t look;            /* the member whose life is looked at next, when somebody does */
    uint64_t taken[MBR_CONTAINER_MEMBERS / 64]; /* bit s: slot s is probably not free */
    struct mbr__shm_mutex disk;                 /* persistent: of the directory */
    uint32_t disk_doubt;  /* 1: somebody may have failed or died while he wrote there */
    uint32_t disk_behind; /* 1: a change that was completed here is not yet there */
    char directory[2048]; /* its path; before the container can be found */
    char name[MBR_OBJECT_NAME_MAX + 8];
};

static_assert(sizeof(struct mbr__shm_mutex) == 16, "layout version 1");
static_assert(sizeof(struct mbr__block_lock) == 64 + MBR_CONTAINER_MEMBERS / 8, "layout version 1");
static_assert(sizeof(struct mbr__block_lock) * MBR__OBJ_NEAR_LOCKS <= 4096, "fit into a page");
static_assert(sizeof(struct mbr__hold) == 16, "layout version 1");
static_assert(1u << MBR__MUTEX_TICKET_BITS == MBR__MUTEX_TICKETS, "a word names a ticket");
static_assert(sizeof(struct mbr__member_shm) <= MBR__OBJ_HOLDS_AT, "a member's page");
static_assert(sizeof(struct mbr__container_shm) <= MBR__OBJ_PAGE, "the header");
static_assert(sizeof(struct mbr__entry) * 64 % MBR__OBJ_PAGE == 0, "64 entries fill whole pages");
static_assert(MBR__OBJ_HOLDS_AT + MBR__OBJ_HOLDS * UINT64_C(16) <= MBR__OBJ_MEMBER_STRIDE,
              "holds fit");
static_assert(MBR__OBJ_BUCKETS_AT + 4 * (uint64_t)MBR__OBJ_BUCKETS <= MBR__OBJ_MEMBERS_AT,
              "buckets lie before the members");
static_assert(MBR_OBJECT_SIZE_MAX / MBR_OBJECT_BLOCK <= UINT32_C(1) << 16, "a hold names a block");
static_assert(MBR_CONTAINER_OBJECTS < UINT32_C(1) << 21, "a hold names an object");
static_assert(MBR__OBJ_MEMBERS_AT + MBR__OBJ_MEMBER_STRIDE * MBR_CONTAINER_MEMBERS <=
                  MBR__OBJ_ENTRIES_AT,
              "members lie before the entries");
static_assert(MBR__OBJ_ENTRIES_AT + sizeof(struct mbr__entry) * MBR_CONTAINER_OBJECTS <=
                  MBR__OBJ_TABLES_END,
              "entries lie before the end of the tables");
static_assert(MBR__OBJ_JOINED_AT + MBR__OBJ_JOINED_STRIDE * MBR_CONTAINER_MEMBERS <= MBR__OBJ_RANGE,
              "what members have joined lies before the objects");
static_assert(MBR__OBJ_DATA_AT + 2 * MBR_OBJECT_SIZE_MAX <= MBR__OBJ_LOCKS_AT, "data fits, twice");

#endif
