/* SPDX-License-Identifier: MIT */
/*
 * Sockets inside an instance: what every libOS's sockets have in common, and the table of functions
 * by which they differ. Checks and states are in sock_api.c, in the order of the published errnos;
 * the functions of a transport only do the work.
 *
 * A socket lives in the slab of pipes and so shares their descriptors. One of catloop that is
 * connected has a pipe (catmem/pipe.h) on which its data travels as that of any pipe: then this
 * layer is not on the path of a message.
 */
#ifndef MBR_QUEUE_SOCK_H
#define MBR_QUEUE_SOCK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <membrane/socket.h>

#include "base/list.h"
#include "queue/libos.h"
#include "queue/sock_state.h"
#include "sched/sched.h"

#define MBR__DATAGRAM_MAX  65507u /* bytes: what UDP over IPv4 can carry */
#define MBR__DATAGRAM6_MAX 65527u
#define MBR__STREAM_POP    8192u /* bytes of a pop that does not say how many */

struct mbr__transport;
struct mbr__catloop;

/* Catnap's part of a socket. */
struct mbr__catnap {
    int fd;
    struct mbr__watch watch;
    struct mbr__probe probe; /* while a pop waits */
    uint32_t events;         /* that are watched for */
    bool shut_recv;          /* MBR_SHUT_RECV was called */
    int error;               /* of a connect, until SO_ERROR is read; positive */
};

struct mbr__sock {
    uint8_t kind; /* MBR__QUEUE_SOCK */
    uint8_t shut; /* directions that were shut down, of enum mbr_shut */
    uint8_t domain;
    uint8_t type;
    struct mbr__sock_fsm state;
    int qd;
    int backlog;
    struct mbr_libos *l;
    const struct mbr__transport *t;
    struct mbr__task task;
    union mbr__addr local;  /* family AF_UNSPEC while there is none */
    union mbr__addr remote; /* likewise */
    struct mbr__list pops;  /* pending accepts, or pops */
    struct mbr__list pushes;
    struct mbr__op *connect_op;
    struct mbr__op *close_op;
    unsigned watched; /* what the program wants to be told of; 0 nothing */
    void *watch_data;
    struct mbr__list ready; /* in the instance's list */
    union {
        struct mbr__catnap nap;
        struct mbr__catloop *loop;
    } u;
};

/*
 * What a libOS does for its sockets. The state has been checked. All return 0 or a negative errno,
 * and change nothing when they fail.
 */
struct mbr__transport {
    int (*open)(struct mbr__sock *s);
    /* Binds; *addr becomes the true address. */
    int (*bind)(struct mbr__sock *s, union mbr__addr *addr);
    int (*listen)(struct mbr__sock *s);
    /* 0 connected, -EINPROGRESS, or why not. *to, which is s->remote on a stream, becomes the true
     * address if it was the wildcard. */
    int (*connect)(struct mbr__sock *s, union mbr__addr *to);
    /* Goes as far as possible with a connect and everything that is pending. */
    void (*progress)(struct mbr__sock *s);
    /* Takes a connection: 0 and the new socket, -EAGAIN, or why not. */
    int (*accept)(struct mbr__sock *s, struct mbr__sock **out);
    /* Tries an operation that is in no list: true if it has completed. */
    bool (*push)(struct mbr__sock *s, struct mbr__op *op);
    bool (*pop)(struct mbr__sock *s, struct mbr__op *op);
    /* Operations wait now: have the task woken when they can go on. */
    void (*await)(struct mbr__sock *s);
    int (*shutdown)(struct mbr__sock *s, unsigned how);
    /* Ends everything; operations have been completed. */
    void (*close)(struct mbr__sock *s);
    int (*setopt)(struct mbr__sock *s, int level, int name, const void *value, socklen_t size);
    int (*getopt)(struct mbr__sock *s, int level, int name, void *value, socklen_t *size);
    int64_t (*recv)(struct mbr__sock *s, void *data, size_t len, unsigned flags,
                    union mbr__addr *from);
    int64_t (*send)(struct mbr__sock *s, const void *data, size_t len, const union mbr__addr *to);
    unsigned (*ready)(struct mbr__sock *s, size_t *bytes);
    /* Has the task woken when one of `what` may hold. */
    int (*watch)(struct mbr__sock *s, unsigned what);
};

extern const struct mbr__transport mbr__catnap_transport;
extern const struct mbr__transport mbr__catloop_transport;

/* ---- sock.c ---- */

/* A socket without a transport's part, in the first state. -ENOMEM. */
int mbr__sock_new(struct mbr_libos *l, int domain, int type, struct mbr__sock **out);
/* Frees what mbr__sock_new() has made. */
void mbr__sock_free(struct mbr__sock *s);
/* The connect that was under way has ended: 0 or a negative errno. */
void mbr__sock_connected(struct mbr__sock *s, int error);
/* Fails the operations of a list. */
void mbr__sock_fail(struct mbr__sock *s, struct mbr__list *ops, int error);
/* Tries the operations of the lists, in order; what remains awaits. */
void mbr__sock_progress(struct mbr__sock *s);
/* Accepts as many connections as are there and wanted. */
void mbr__sock_progress_accepts(struct mbr__sock *s);
/* What the program watches for may hold. */
void mbr__sock_maybe_ready(struct mbr__sock *s);

int mbr__sock_push(struct mbr_libos *l, int qd, struct mbr__buf *buf, const demi_sgaseg_t *seg,
                   const union mbr__addr *to, demi_qtoken_t *qt);
int mbr__sock_pop(struct mbr_libos *l, int qd, size_t max, demi_qtoken_t *qt);
int mbr__sock_shutdown(struct mbr__sock *s, unsigned how);
int mbr__sock_close(struct mbr__sock *s);
int mbr__sock_close_async(struct mbr__sock *s, demi_qtoken_t *qt);

/* ---- sock_addr.c ---- */

/* An address from outside: -EINVAL NULL or size; -ENOTSUP family. */
int mbr__addr_read(const struct sockaddr *addr, socklen_t size, union mbr__addr *out);
socklen_t mbr__addr_size(const union mbr__addr *a);
uint16_t mbr__addr_port(const union mbr__addr *a);
void mbr__addr_set_port(union mbr__addr *a, uint16_t port);
bool mbr__addr_is_any(const union mbr__addr *a);
bool mbr__addr_equal(const union mbr__addr *a, const union mbr__addr *b);
/* The same address, whatever the port. */
bool mbr__addr_same_host(const union mbr__addr *a, const union mbr__addr *b);
/* The wildcard address and port 0 of a family. */
void mbr__addr_any(int family, union mbr__addr *out);
/* Hands an address out as getsockname(2) does. -EINVAL. */
int mbr__addr_write(const union mbr__addr *a, struct sockaddr *out, socklen_t *size);

#endif
