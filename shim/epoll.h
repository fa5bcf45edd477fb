/* SPDX-License-Identifier: MIT */
/*
 * epoll over the kernel's epoll.
 *
 * The kernel's epoll holds everything the program has put in. What is no TCP socket keeps the
 * program's own data there and is never looked at here. A TCP socket is a *member*: the kernel
 * holds a ticket instead. A member that is not upgraded is the kernel's; an upgraded one is *hot*,
 * looked at in memory at every wait, or *cold*: its peer has been told to wake us, so the kernel
 * will say when there is something. Before a wait sleeps, all hot members become cold; a cold one
 * for which the kernel has news becomes hot. So a thousand idle connections cost nothing, and a
 * busy one costs no system call.
 */
#ifndef MBR_SHIM_EPOLL_H
#define MBR_SHIM_EPOLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch.h"
#include "spin.h"
#include "table.h"

struct shim_conn;

struct shim_member {
    struct shim_conn *c; /* with a reference; NULL: the program's data looked like a ticket */
    int fd;              /* as it was added; -1: free, and data is the next free one */
    uint32_t events;     /* what the program asked for */
    uint64_t data;       /* what it wants to be told */
    uint32_t generation; /* of the ticket */
    uint32_t kernel;     /* what the kernel was asked for */
    bool hot;
    bool removed;      /* the program has taken it out; hot, and disabled */
    bool disabled;     /* EPOLLONESHOT has fired */
    bool fresh;        /* edges: nothing was reported since it was added or modified */
    uint32_t seen_out; /* edges: starved when it was last reported */
    uint64_t seen_in;  /* edges: what had come when it was last reported */
    uint64_t wait;     /* the last wait that reported it, and where */
    int place;
};

struct shim_epoll {
    struct shim_object object;
    int fd;
    uint32_t lock; /* a latch, of all that follows; never held while waiting */
    struct shim_member *members;
    uint32_t n_members; /* entries of it */
    uint32_t used;
    int free;   /* first free one, or -1 */
    int *slots; /* by descriptor: index in members, or -1 */
    int n_slots;
    uint32_t *hot; /* indices of hot members; as many entries as members */
    uint32_t n_hot;
    uint32_t first_hot; /* where the next round begins */
    uint32_t rounds;    /* waits that were served from memory since the kernel was asked */
    uint64_t asked;     /* ticks when it was, for that reason */
    uint32_t waiting;   /* threads in the kernel's wait */
    uint64_t waits;     /* how many there have been */
    uint32_t watched;   /* 1: somebody waits for the epoll descriptor itself */
    bool inherited;     /* from the parent, who may have the kernel's epoll, too */
    struct shim_spin spin;
    struct shim_epoll *next; /* of all there are */
};

/* False: this thread has it already, and a handler that could not be put off (signals.c) asks. */
static inline bool shim_epoll_lock(struct shim_epoll *e)
{
    return shim_latch(&e->lock, true) == 0;
}

static inline void shim_epoll_unlock(struct shim_epoll *e)
{
    shim_unlatch(&e->lock);
}

void shim_epoll_dead(struct shim_epoll *e);
void shim_epoll_forked(struct shim_epoll *e);

/* fd, the connection's last descriptor, is being closed: it leaves all epolls. */
void shim_epoll_forget(struct shim_conn *c, int fd);

/* Wake-up bytes for c were taken by a reader: its members are to be looked at. */
void shim_epoll_heat(struct shim_conn *c, int fd);

/* c has gone back to the kernel: its members are the kernel's again. No lock is held. */
void shim_epoll_home(struct shim_conn *c);

/* Somebody is about to wait for the epoll descriptor: from now on, whenever no wait of ours is
 * under way, the kernel knows whether something is ready. */
void shim_epoll_watched(struct shim_epoll *e);

#endif
