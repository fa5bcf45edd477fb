/* SPDX-License-Identifier: MIT */
/*
 * A connection and its two ends, in the memory of space.h: between back_test.c, where the ends
 * live, and back_kernel.c, which has the sockets, and the clock, which goes on when nobody else
 * does.
 *
 * Bytes of the stream have the value of their place in it, from 1 on; bells are 0.
 */
#ifndef MBR_TESTS_BACK_H
#define MBR_TESTS_BACK_H

#include "../../shim/conn.h"
#include "space.h"

#define BACK_RING_MAX  8  /* bytes */
#define BACK_QUEUE_MAX 24 /* of the kernel, when its buffer has been enlarged */
#define BACK_FD        40 /* of end 0; the next one of end 1 */

/* One direction of the kernel's, named after who receives. */
struct back_queue {
    uint8_t bytes[BACK_QUEUE_MAX];
    uint32_t n;
    uint32_t here;  /* of them have arrived */
    uint32_t ended; /* 1: then comes the end; 2: it has arrived */
};

struct back_socket {
    struct back_queue in;
    uint32_t error;  /* to be told once */
    uint32_t dead;   /* nothing can be sent any more */
    uint32_t shut;   /* SHIM_SHUT_WR */
    uint32_t closed; /* nobody has it any more */
    uint32_t linger; /* closing is a reset */
    uint32_t more;   /* SO_SNDBUF was enlarged */
};

/* What the checks know of an end. */
struct back_end {
    uint32_t tried;  /* bytes that it has begun to send, */
    uint32_t sent;   /* ... that it was told are sent */
    uint32_t got;    /* bytes of the other */
    uint32_t over;   /* 1: it was told that nothing more comes */
    uint32_t shut;   /* it sends no more */
    uint32_t closed; /* it has begun to close */
    uint32_t killed;
    uint32_t failed; /* returns to the kernel that did not succeed */
};

struct back {
    struct shim_half half[2];
    uint8_t ring[2][2 * BACK_RING_MAX];
    struct shim_conn conn[2];
    struct back_socket socket[2];
    struct back_end end[2];
    int errors[SPACE_ACTORS];
    uint32_t events[SPACE_ACTORS]; /* what is waited for in the kernel */
    uint32_t *latch[SPACE_ACTORS]; /* or else */
    uint64_t clock;
    uint32_t of[SPACE_ACTORS]; /* which end an actor belongs to */
    uint32_t alone;            /* 1: nobody else does anything any more */
    uint32_t pad;
};
extern struct back back;

/* What is alike in all states of a case. */
struct back_knobs {
    uint32_t ring;     /* bytes */
    uint32_t room;     /* of the kernel's queue */
    uint32_t enlarged; /* and when SO_SNDBUF has been set; 0: that fails */
    bool slow;         /* bytes arrive some time after they were sent */
    bool crowd;        /* an end has several threads */
};
extern struct back_knobs back_knobs;

static inline uint32_t back_self(void)
{
    return back.of[space_self()];
}

/* Puts the calls in their places; once. */
void back_kernel_init(void);
/* What is under way arrives: direction to `end`. */
bool back_may_arrive(int end);
void back_arrive(int end);
/* The last descriptor of an end is closed. */
void back_close(uint32_t end);
/* What is wrong about the bytes that the kernel has for it, if anything is. */
void back_check_queue(uint32_t end);

#endif
