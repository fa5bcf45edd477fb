/* SPDX-License-Identifier: MIT */
/*
 * A world for a few processes inside one: coroutines that run the real queue/, sched/, event/ and
 * ring/ code over a kernel, a directory of names and a clock that are kept in memory and whose
 * every call is a point where another process may go on, or one may be killed.
 *
 * session_sched.c walks through all schedules up to a bound, session_kernel.c has descriptors,
 * epoll, pipes and malloc, session_shm.c stands in for src/shm (its contracts are the headers
 * there), session_test.c has what the processes do and what must hold.
 *
 * The stand-ins take the place of archive members: the test defines their functions, so the linker
 * does not fetch the real ones. A function that is added to such a file and not here is a link
 * error, not a hole.
 */
#ifndef MBR_TESTS_SESSION_WORLD_H
#define MBR_TESTS_SESSION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/names.h"
#include "shm/post.h"

#define ACTORS_MAX 5
#define FILES_MAX  48 /* descriptors of an actor */
#define PID_BASE   101
#define FIRST_FD   3

struct mbr_libos;

/* ---- processes ------------------------------------------------------------------------------- */

enum actor_state { ACTOR_RUNS, ACTOR_BLOCKED, ACTOR_DONE, ACTOR_KILLED };

struct file;

/* What an actor's script has done and seen; session_test.c fills it in and judges it. */
struct actor_log {
    int made; /* result of create or open; NOT_TRIED */
    bool creator;
    bool has;         /* its pipe is open: set after the call, cleared before the close */
    bool contended;   /* another opener had the second end when it began to open */
    bool closed;      /* it has begun to close its pipe */
    bool shut;        /* it has ended its sending direction */
    bool lingers;     /* it does nothing any more but keeps its instance open */
    uint64_t id[2];   /* of the creator's half: whose pipe this is */
    int tried, acked; /* pushes */
    int push_end;     /* the negative errno that ended pushing */
    int got;          /* messages popped, from whom and which */
    uint8_t from[16], number[16];
    int pop_end; /* END_..., or the negative errno that ended popping; 0 not ended */
};

#define NOT_TRIED 1
#define END_WAITS 1 /* nothing more came until nobody had anything left to do */
#define END_FILE  2

struct actor {
    const char *name;
    void (*script)(struct actor *self);
    int argument;
    bool immortal; /* is never killed */
    bool last;     /* starts when all others have ended */
    bool late;     /* blocks until nobody else can go on */
    /* the rest is the world's */
    int number;
    enum actor_state state;
    bool begun;
    bool (*ready)(void *arg); /* what a blocked one waits for */
    void *ready_arg;
    uint64_t deadline;
    struct file *files[FILES_MAX];
    int live_allocations;
    struct mbr_libos *libos; /* set and cleared by the script */
    struct actor_log log;
};

extern struct actor actors[ACTORS_MAX];
extern int nactors;

/* The actor that runs; NULL outside of all. */
struct actor *world_self(void);
uint64_t world_now(void);

/* A scheduling point before what `label` says: others may go on first, anybody may be killed. */
void world_step(const char *label);
/* Waits until ready(arg) (true) or the deadline (false). */
bool world_block(const char *label, bool (*ready)(void *arg), void *arg, uint64_t deadline);
/* A note in the printed schedule. */
void world_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something is wrong; told once for each text. */
void world_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether nobody but `a` could go on now. */
bool world_quiet(const struct actor *a);

static inline bool actor_lives(const struct actor *a)
{
    return a->state == ACTOR_RUNS || a->state == ACTOR_BLOCKED;
}

/* The actor with this identity, or NULL. */
struct actor *world_process(const struct mbr__proc *p);

/* ---- exploring ------------------------------------------------------------------------------- */

struct scenario {
    const char *name;
    void (*setup)(void); /* fills actors, nactors and knobs; everything was zeroed */
    void (*check)(void); /* when all have ended */
    void (*watch)(void); /* at every step */
};

struct tally {
    uint64_t schedules, steps;
    unsigned violations;
};

/* Runs every schedule with up to that many delays (choices of somebody else than who would run if
 * nothing interfered) and kills, and adds to the tally. */
void world_explore(const struct scenario *s, int delays, int kills, struct tally *tally);

/* ---- the kernel's knobs and state (session_kernel.c, session_shm.c) ---------------------------
 */

struct knobs {
    bool no_proc;  /* descriptors of others cannot be opened through /proc */
    bool no_pidfd; /* nor can it be told who they are */
    int post_room; /* letters a mailbox holds; 0 plenty */
    int crowd;     /* files of others in the directory, before ours */
};
extern struct knobs knobs;

void kernel_reset(void);
void kernel_exit(struct actor *a); /* closes what it had, gives up its lock */
void shm_reset(void);
void shm_exit(struct actor *a);
/* Entries in the directory; the name of one of them, or NULL. */
int shm_entries(const char **one);
int kernel_open_files(const struct actor *a);

/* ---- files ----------------------------------------------------------------------------------- */

enum file_kind { FILE_MEMORY = 1, FILE_PIPE, FILE_PIDFD, FILE_EPOLL, FILE_BOX, FILE_CONN };

#define BELL_ROOM     4 /* rings a pipe holds; few, so that it fills up */
#define EPOLL_ITEMS   12
#define LETTERS_MAX   8
#define CONN_LETTERS  2
#define FILE_POOL     256
#define PIPE_POOL     32
#define ARENA_BYTES   (8u << 20)
#define MEMORY_IMAGES 64

struct pipe_node {
    uint32_t rings[BELL_ROOM];
    int count;
    uint64_t edges; /* writes that went in */
};

struct memory {
    uint8_t *base;
    size_t head, body;
};

struct letter {
    size_t len;
    uint8_t data[MBR__POST_MAX];
    int nfds;
    struct file *files[MBR__POST_FDS];
    struct file *conn; /* the sender's end's partner, or NULL */
    int sender;        /* an actor's number */
};

struct queue_of_letters {
    struct letter at[LETTERS_MAX];
    int count;
};

struct epoll_item {
    struct file *file;
    int fd;
    uint32_t events;
    uint64_t seen; /* edges */
    void *data;
};

struct file {
    enum file_kind kind;
    int refs; /* descriptors, letters */
    struct pipe_node *pipe;
    struct memory *memory;
    struct actor *process;         /* of a pidfd; of a mailbox its owner */
    struct file *partner;          /* of a connection */
    struct queue_of_letters *mail; /* of a mailbox or a connection's end: what has arrived */
    uint64_t inst;                 /* of a mailbox */
    struct epoll_item *items;      /* of an epoll */
    int nitems;
};

struct file *file_new(enum file_kind kind); /* with one reference */
void file_unref(struct file *f);
int file_install(struct file *f); /* the reference becomes the descriptor's */
struct file *file_at(const struct actor *a, int fd);
void *arena_alloc(size_t size);

#endif
