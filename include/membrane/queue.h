/* SPDX-License-Identifier: MIT */
/*
 * Queues, natively: what the demi_* calls are made of, and what they cannot express.
 *
 * A libOS instance owns queues (small ints from 500 on), operations (tokens) and one wait set. It
 * is used by one thread at a time, the thread that opened it or that called mbr_libos_adopt() last;
 * calls from another thread fail with -EPERM, a call from within another with -EBUSY. Buffers and
 * results are those of <demi/types.h>. All functions return 0 or a negative errno and leave their
 * outputs untouched when they fail; none blocks unless it says so.
 *
 * Pipes (catmem): a name joins two ends, of one process or two of the same user. Each end writes a
 * ring of its own that the other reads; messages are whole, in order, 1 byte to 1 GiB, whatever the
 * ring's capacity. A pipe lives as long as its creator keeps it: one opener at a time; an opener
 * that leaves without having pushed makes room for the next, one that pushed ends the pipe (the
 * creator pops what was pushed, then end of file). A peer that dies is reported as ECONNRESET,
 * after what it had sent. After fork() the child's instances are dead (-EPERM) and harm nobody.
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
                          to 1 GiB */
};

/*
 * Opens an instance of `kind`: "catmem". options may be NULL. The environment variable
 * MEMBRANE_CAPACITY (bytes, or with K, M, G) sets the default capacity. Errors: -EINVAL options;
 * -ENOTSUP unknown kind; -ENOMEM, -EMFILE, -ENFILE.
 */
MBR_API int mbr_libos_open(const char *kind, const struct mbr_libos_options *options,
                           struct mbr_libos **out);

/* Closes all its queues, drops all its operations and results and frees it. NULL is fine. From its
 * thread, or any thread once its own has ended. */
MBR_API void mbr_libos_close(struct mbr_libos *l);

/* Makes the calling thread the instance's thread. The caller sees to it that no other uses it.
 * -EPERM in a forked child. */
MBR_API int mbr_libos_adopt(struct mbr_libos *l);

/* ---- pipes ---- */

enum mbr_pipe_flags {
    MBR_PIPE_SEND = 1, /* one-way: this end only pushes; popping gives -EBADF, no memory for the
                          other way is used */
    MBR_PIPE_RECV = 2, /* one-way: this end only pops */
};

struct mbr_pipe_options {
    size_t size;       /* sizeof(struct mbr_pipe_options) */
    uint64_t capacity; /* bytes of this end's ring, as in mbr_libos_options; an opener's default is
                          the creator's */
    unsigned flags;    /* enum mbr_pipe_flags, 0 both ways */
};

/* As demi_create_pipe() and demi_open_pipe() (<demi/libos.h>), errors negated. options may be NULL.
 * May block for the lock on the directory of names, at most 5 s, and for an owner whom only a
 * socket reaches, at most 5 s: -ETIMEDOUT. */
MBR_API int mbr_pipe_create(struct mbr_libos *l, const char *name,
                            const struct mbr_pipe_options *options, int *qd);
MBR_API int mbr_pipe_open(struct mbr_libos *l, const char *name,
                          const struct mbr_pipe_options *options, int *qd);

/* ---- operations ---- */

/* As demi_push(). */
MBR_API int mbr_push(struct mbr_libos *l, int qd, const demi_sgarray_t *sga, demi_qtoken_t *qt);

/* As demi_pop(), but at most `max` bytes (0: the whole message): what is left of a longer message
 * is given to the pops that follow, and mbr_message_left() tells how much that is. */
MBR_API int mbr_pop(struct mbr_libos *l, int qd, size_t max, demi_qtoken_t *qt);
MBR_API int mbr_message_left(struct mbr_libos *l, int qd, uint64_t *bytes);

/* Ends one direction or both, as shutdown(2): MBR_SHUT_SEND lets the peer pop what was pushed, then
 * end of file; MBR_SHUT_RECV makes its pushes fail with ECONNRESET. Pending operations of that
 * direction complete as FAILED with EBADF. Errors: -EBADF, -EINVAL. */
enum mbr_shut { MBR_SHUT_SEND = 1, MBR_SHUT_RECV = 2, MBR_SHUT_BOTH = 3 };
MBR_API int mbr_shutdown(struct mbr_libos *l, int qd, unsigned how);

/* As demi_close(); mbr_close_async() completes as DEMI_OPC_CLOSE once everything pushed before was
 * handed to the ring, or the peer is gone. -EBADF. */
MBR_API int mbr_close(struct mbr_libos *l, int qd);
MBR_API int mbr_close_async(struct mbr_libos *l, int qd, demi_qtoken_t *qt);

/* Cancels a pending operation: it completes as FAILED with ECANCELED and nothing of it has
 * happened. -EINVAL no such token; -EALREADY it has completed, or part of its message has gone and
 * the rest must follow. */
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
 * notification. -EAGAIN no room now (flush and wait); -EMSGSIZE more than the ring can ever hold in
 * one piece; -EBADF; -ECONNRESET; -EPROTO.
 */
MBR_API int mbr_pipe_reserve(struct mbr_libos *l, int qd, uint32_t len, void **data);
MBR_API int mbr_pipe_commit(struct mbr_libos *l, int qd, uint32_t len);
MBR_API int mbr_pipe_flush(struct mbr_libos *l, int qd);

/*
 * The next message where it lies, in memory that the peer may still write: read it once, believe
 * nothing twice. Valid until released. A message that came in pieces is shown piece by piece; *left
 * is what follows of it. -EAGAIN nothing there; -ENODATA end of file; -ECONNRESET; -EPROTO; -EBADF;
 * -EBUSY pops are pending.
 */
MBR_API int mbr_pipe_peek(struct mbr_libos *l, int qd, const void **data, uint32_t *len,
                          uint64_t *left);
/* Done with the peeked message; several may be released before mbr_pipe_retire() gives the room
 * back to the peer. */
MBR_API int mbr_pipe_release(struct mbr_libos *l, int qd);
MBR_API int mbr_pipe_retire(struct mbr_libos *l, int qd);

/* Blocks until the pipe is readable and/or writable for `len` bytes (what: 1 readable, 2 writable,
 * 3 either). Returns which; at end of file and after errors it is both. -ETIMEDOUT, -EINTR, -EBADF.
 */
enum mbr_ready { MBR_READABLE = 1, MBR_WRITABLE = 2 };
MBR_API int mbr_pipe_await(struct mbr_libos *l, int qd, unsigned what, uint32_t len,
                           uint64_t timeout_ns);

/* ---- by reference ---- */

/* A buffer out of memory that this pipe's peer, and nobody else, may read: mbr_push() of it passes
 * no data but its place; it comes back when the peer has freed it, or died. -EAGAIN no memory is
 * left of what may be lent to a peer (64 MiB by default) until some comes back; -ENOTCONN no peer
 * yet; -EINVAL, -ENOMEM, -EBADF. */
MBR_API int mbr_lend_alloc(struct mbr_libos *l, int qd, size_t size, demi_sgarray_t *sga);

/* As mbr_pop(), but a message that was lent is given as it lies, in the peer's memory, until
 * mbr_sga_free(). */
MBR_API int mbr_pop_in_place(struct mbr_libos *l, int qd, demi_qtoken_t *qt);

/* ---- memory ---- */

/* As demi_sgaalloc() and demi_sgafree(), from any thread. */
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
    const char *what; /* "pipe", "opener", "mailbox", "temporary", "unknown" */
    int pid;          /* of the dead owner, 0 unknown */
    int removed;      /* 1 removed, 0 would be (dry run) or kept */
};

/* Removes what dead processes left in the caller's directory of names; with dry_run only reports.
 * `report` (may be NULL) is called for each. Returns the number of entries (to be) removed or a
 * negative errno. Blocks for the lock, 5 s at most. */
MBR_API int mbr_gc(int dry_run, void (*report)(void *arg, const struct mbr_gc_entry *e), void *arg);

/* Where the names are: the path, at most size - 1 bytes, 0-terminated. Errors as opening the
 * directory; -ENAMETOOLONG. */
MBR_API int mbr_names_path(char *path, size_t size);

MBR_END_DECLS

#endif
