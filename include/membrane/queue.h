/* SPDX-License-Identifier: MIT */
/*
 * Queues, natively: what the demi_* calls are made of, and what they cannot express.
 *
 * A libOS instance owns queues (small ints from 500 on), operations (tokens) and one wait set. It
 * is used by one thread at a time, the thread that opened it or that called mbr_libos_adopt() last;
 * calls from another thread fail with -EPERM, a call from within another with -EBUSY. Buffers and
 * results are those of <demi/types.h>. All functions return 0 or a negative errno and leave their
 * outputs untouched when they fail (an `l` of NULL: -EINVAL); none blocks unless it says so. With
 * one exception: a creator that finds, in any call or wait, that its opener has left without having
 * pushed may wait 0.1 s for the lock on the directory of names.
 *
 * Pipes (catmem): a name joins two ends, of one process or two of the same user. Each end writes a
 * ring of its own that the other reads; messages are whole, in order, 1 byte to 1 GiB, whatever the
 * ring's capacity. A pipe lives as long as its creator keeps it: one opener at a time; an opener
 * that closes without having pushed leaves no trace and makes room for the next, one that pushed
 * ends the pipe (the creator pops what was pushed, then end of file). A peer that dies is reported
 * as ECONNRESET, after what it had sent; an opener also if it never pushed. After fork() the
 * child's instances are dead (-EPERM) and harm nobody.
 */
#ifndef MEMBRANE_QUEUE_H
#define MEMBRANE_QUEUE_H

#include <demi/types.h>
#include <membrane/base.h>
#include <stddef.h>
#include <stdint.h>

MBR_BEGIN_DECLS

struct mbr_libos;

#define MBR_PIPE_CAPACITY_DEFAULT UINT64_C(65536) /* bytes of ring each way */
#define MBR_PIPE_CAPACITY_MAX     (UINT64_C(1) << 30)
#define MBR_MESSAGE_MAX           (UINT64_C(1) << 30) /* bytes of one message */

/* Settings of an instance; zero means the default. `size` is sizeof(struct mbr_libos_options), for
 * growth. */
struct mbr_libos_options {
    size_t size;
    uint64_t capacity; /* of the rings of its pipes, bytes; rounded up to a power of two from 4096
                          to 1 GiB; above 1 GiB: -EINVAL */
    unsigned sockets;  /* enum mbr_libos_sockets: what new sockets begin with */
    uint32_t linger_s; /* MBR_SOCKETS_LINGER: seconds */
    uint32_t keepalive_ms; /* MBR_SOCKETS_KEEPALIVE: idle time before the first probe, ... */
    uint32_t keepalive_interval_ms; /* ... and between probes; whole seconds, rounded up */
    struct in_addr local_addr;      /* the one IPv4 address that sockets may be bound to beside the
                                       wildcard; 0: any of this machine's */
};

enum mbr_libos_sockets {
    MBR_SOCKETS_DELAY = 1, /* without TCP_NODELAY, which is set otherwise */
    MBR_SOCKETS_LINGER = 2,
    MBR_SOCKETS_KEEPALIVE = 4,
};

/*
 * Opens an instance of `kind`: "catmem" has pipes, "catloop" and "catnap" have sockets as well
 * (<membrane/socket.h>); case does not matter. options may be NULL. The environment variable
 * MEMBRANE_CAPACITY (bytes, or with K, M, G) sets the default capacity. Errors: -EINVAL NULL,
 * options->size too small, a capacity above 1 GiB, or the variable is needed and no such size;
 * -ENOTSUP unknown kind; -ENOENT /proc is not mounted; -ENOMEM, -EMFILE, -ENFILE.
 */
MBR_API int mbr_libos_open(const char *kind, const struct mbr_libos_options *options,
                           struct mbr_libos **out);

/* Closes all its queues, drops all its operations and results and frees it. NULL is fine. From its
 * thread, or any thread once its own has ended. Blocks as mbr_close(), for each queue. */
MBR_API void mbr_libos_close(struct mbr_libos *l);

/* Makes the calling thread the instance's thread. The caller sees to it that no other uses it.
 * -EPERM in a forked child. */
MBR_API int mbr_libos_adopt(struct mbr_libos *l);

/* ---- pipes ---- */

enum mbr_pipe_flags {
    MBR_PIPE_SEND = 1, /* one-way: this end only pushes; popping gives -EBADF, and a peer that
                          pushes all the same gets ECONNRESET */
    MBR_PIPE_RECV = 2, /* one-way: this end only pops; pushing gives -EBADF, and its own ring is the
                          smallest there is (4096 bytes), whatever `capacity` says */
};

struct mbr_pipe_options {
    size_t size;       /* sizeof(struct mbr_pipe_options) */
    uint64_t capacity; /* bytes of this end's ring, as in mbr_libos_options; an opener's default is
                          the creator's; above 1 GiB: -EINVAL */
    unsigned flags;    /* one of enum mbr_pipe_flags, 0 both ways */
};

/*
 * As demi_create_pipe() and demi_open_pipe() (<demi/libos.h>), errors negated. options may be NULL.
 * Both block for the lock on the directory of names, at most 5 s, and opening also for an owner
 * whom only a socket reaches, at most 5 s. Errors: -EINVAL name or options; -ENAMETOOLONG; create:
 * -EEXIST; open: -ENOENT no such pipe or it has ended, -EBUSY its second end is open, -EPROTO no
 * pipe of this version; -ETIMEDOUT; -EPERM the directory is not ours or its mode not 0700, or a
 * sandbox refuses; -EACCES, -EROFS, -ENOSPC, -ENOENT it cannot be made, opened or written to, or
 * the owner's mailbox not reached; -ENOENT also: no /proc; -ENOSYS; -ENOMEM, -EMFILE, -ENFILE.
 */
MBR_API int mbr_pipe_create(struct mbr_libos *l, const char *name,
                            const struct mbr_pipe_options *options, int *qd);
MBR_API int mbr_pipe_open(struct mbr_libos *l, const char *name,
                          const struct mbr_pipe_options *options, int *qd);

/* ---- operations ---- */

/* As demi_push(), errors negated; also -EBUSY room is reserved and not committed; -EBADF also: the
 * other kind of one-way end, shut down in this direction, or closing. */
MBR_API int mbr_push(struct mbr_libos *l, int qd, const demi_sgarray_t *sga, demi_qtoken_t *qt);

/* As demi_pop(), but at most `max` bytes (0: the whole message): what is left of a longer message
 * is given to the pops that follow, and mbr_message_left() tells how much that is. -EBUSY a message
 * is peeked at, or only a part of it was released; -EBADF as in mbr_push(). */
MBR_API int mbr_pop(struct mbr_libos *l, int qd, size_t max, demi_qtoken_t *qt);
MBR_API int mbr_message_left(struct mbr_libos *l, int qd, uint64_t *bytes);

/* Ends one direction or both, as shutdown(2): MBR_SHUT_SEND lets the peer pop what was pushed, then
 * end of file; MBR_SHUT_RECV makes its pushes fail with ECONNRESET. The other direction goes on.
 * Pending operations of that direction complete as FAILED with EBADF, and nothing of such a push
 * reaches the peer. Twice is fine. Errors: -EBADF not open; -EINVAL how; -EAGAIN an opener that
 * found the creator's mailbox full when it opened and still does: nothing was shut down. */
enum mbr_shut { MBR_SHUT_SEND = 1, MBR_SHUT_RECV = 2, MBR_SHUT_BOTH = 3 };
MBR_API int mbr_shutdown(struct mbr_libos *l, int qd, unsigned how);

/* As demi_close(), also in blocking for the lock, up to 5 s. mbr_close_async() completes as
 * DEMI_OPC_CLOSE once everything pushed before was handed to the ring, or the peer is gone; it is
 * the wait in which it does that blocks for the lock. It ends receiving at once: pending pops fail
 * with EBADF, the peer's pushes with ECONNRESET. -EBADF not open, or (async) closing already;
 * -EINVAL, -ENOMEM (async). */
MBR_API int mbr_close(struct mbr_libos *l, int qd);
MBR_API int mbr_close_async(struct mbr_libos *l, int qd, demi_qtoken_t *qt);

/* Cancels a pending operation: it completes as FAILED with ECANCELED and nothing of it has
 * happened. -EINVAL no such token; -EALREADY it has completed, is a close, or part of its message
 * has gone and the rest must follow. */
MBR_API int mbr_cancel(struct mbr_libos *l, demi_qtoken_t qt);

/* As the demi_wait*() calls, with a timeout in nanoseconds (MBR_FOREVER, 0 looks once); -EINTR
 * after mbr_libos_interrupt(), which another thread or a signal handler may call. These block. */
MBR_API int mbr_wait(struct mbr_libos *l, demi_qtoken_t qt, uint64_t timeout_ns,
                     demi_qresult_t *qr);
MBR_API int mbr_wait_any(struct mbr_libos *l, const demi_qtoken_t *qts, int n, uint64_t timeout_ns,
                         demi_qresult_t *qr, int *offset);
MBR_API int mbr_wait_next_n(struct mbr_libos *l, int max, uint64_t timeout_ns, demi_qresult_t *qrs,
                            int *n);
MBR_API void mbr_libos_interrupt(struct mbr_libos *l);

/* ---- in place: no token, no copy ---- */

/*
 * Room for one message of `len` bytes in the ring itself, to be filled and committed with at most
 * that length; nothing is visible to the peer before mbr_pipe_flush(), so several messages cost one
 * notification. Until the commit pushes give -EBUSY; reserving again gives the same place. -EAGAIN
 * no room now (flush and wait), or pushes are pending; -EMSGSIZE more than the ring can ever hold
 * in one piece (its capacity less 16 bytes); -EINVAL NULL, length 0, or commit of more than was
 * reserved; -EBADF as mbr_push(), also: the peer has closed and its end of file was popped;
 * -ECONNRESET; -EPROTO.
 */
MBR_API int mbr_pipe_reserve(struct mbr_libos *l, int qd, uint32_t len, void **data);
MBR_API int mbr_pipe_commit(struct mbr_libos *l, int qd, uint32_t len);
MBR_API int mbr_pipe_flush(struct mbr_libos *l, int qd);

/*
 * The next message where it lies, in memory that the peer may still write: read it once, believe
 * nothing twice. Valid until released. A message that came in pieces is shown piece by piece; *left
 * is what follows of it. One that was lent is shown in its lender's memory. Until it is released to
 * its end pops give -EBUSY. -EAGAIN nothing there; -ENODATA end of file; -ECONNRESET the peer died,
 * or left before the rest of a message of which a piece was shown; -EPROTO; -EBADF as mbr_pop(),
 * also: end of file was popped; -EBUSY pops are pending, or a message was popped in part; -EINVAL
 * NULL; -ENOMEM (lent).
 */
MBR_API int mbr_pipe_peek(struct mbr_libos *l, int qd, const void **data, uint32_t *len,
                          uint64_t *left);
/* Done with the peeked message; several may be released before mbr_pipe_retire() gives the room
 * back to the peer. -EINVAL nothing is peeked at; -ENOMEM it was lent: call again; -EBADF. */
MBR_API int mbr_pipe_release(struct mbr_libos *l, int qd);
MBR_API int mbr_pipe_retire(struct mbr_libos *l, int qd);

/* Blocks until the pipe is readable and/or writable for `len` bytes (what: 1 readable, 2 writable,
 * 3 either). Returns which; once what was asked for has ended, by end of file or error, it is both,
 * whatever was asked for: the next call tells. -EMSGSIZE writable, and `len` can never fit (as in
 * mbr_pipe_reserve()); -EINVAL what; -ETIMEDOUT, -EINTR, -EBADF. */
enum mbr_ready { MBR_READABLE = 1, MBR_WRITABLE = 2 };
MBR_API int mbr_pipe_await(struct mbr_libos *l, int qd, unsigned what, uint32_t len,
                           uint64_t timeout_ns);

/* ---- by reference ---- */

/*
 * A buffer out of memory that is shown to this pipe's peer: mbr_push() of it passes no data but its
 * place; it comes back when the peer has freed it, left, or died. The memory was sent to the peer's
 * mailbox, so a message outlives its lender; pushed to a later opener of the pipe, a buffer taken
 * for an earlier one is copied. Sizes are rounded up to powers of two from 4096; memory is taken in
 * regions of one size, 1 MiB at least, kept for it until the pipe is closed, 64 MiB and 32 regions
 * at most for each pipe. -EAGAIN no more may be lent until some comes back, or the mailbox is full;
 * -ENOTCONN no peer yet; -ECONNRESET the peer has closed or died; -EPROTO; -EINVAL NULL, size 0 or
 * above 64 MiB; -ENOMEM, -EMFILE, -ENFILE, -ETOOMANYREFS; -EBADF; -EOPNOTSUPP a connection of
 * catloop (any other socket is no pipe: -EBADF).
 */
MBR_API int mbr_lend_alloc(struct mbr_libos *l, int qd, size_t size, demi_sgarray_t *sga);

/* As mbr_pop(), but a message that was lent is given as it lies, in the peer's memory, until
 * mbr_sga_free(). */
MBR_API int mbr_pop_in_place(struct mbr_libos *l, int qd, demi_qtoken_t *qt);

/* ---- memory ---- */

/* As demi_sgaalloc() and demi_sgafree(), from any thread and without an instance. Freeing, also by
 * demi_sgafree(), sets sga_buf to NULL. */
MBR_API demi_sgarray_t mbr_sga_alloc(size_t size);
MBR_API int mbr_sga_free(demi_sgarray_t *sga);

/* ---- foreign event loops ---- */

/* A descriptor that becomes readable when the instance has something to do; valid as long as the
 * instance. Before each sleep in the foreign loop call mbr_libos_prepare(): 1 there is something to
 * do already, 0 go to sleep. Afterwards any wait, for instance mbr_wait_any() with timeout 0. */
MBR_API int mbr_libos_fd(struct mbr_libos *l);
MBR_API int mbr_libos_prepare(struct mbr_libos *l);

/* ---- clean-up ---- */

/* What mbr_gc() found: a name or mailbox whose owner is dead, or something unknown (kept). */
struct mbr_gc_entry {
    const char *path; /* within the directory of names */
    const char
        *what;   /* "pipe", "opener", "socket", "container", "mailbox", "temporary", "unknown" */
    int pid;     /* of the dead owner, 0 unknown */
    int removed; /* 1 removed, 0 would be (dry run) or kept */
};

/* Removes what dead processes left in the caller's directory of names; with dry_run only reports.
 * The link of a dead opener is kept as long as the pipe's creator lives, who is still to be told.
 * `report` (may be NULL) is called for each, with the lock held. Returns the number of entries (to
 * be) removed or a negative errno: -EPERM the directory is not ours or its mode not 0700;
 * -ETIMEDOUT; -EINVAL MEMBRANE_DIR; -ENOENT, -EACCES, -EROFS, -ENOSPC, -EMFILE, -ENFILE it cannot
 * be opened or made. Any thread. Blocks for the lock, 5 s at most. */
MBR_API int mbr_gc(int dry_run, void (*report)(void *arg, const struct mbr_gc_entry *e), void *arg);

/* Where the names are: the path, at most size - 1 bytes, 0-terminated. Errors as opening the
 * directory; -ENAMETOOLONG. */
MBR_API int mbr_names_path(char *path, size_t size);

MBR_END_DECLS

#endif
