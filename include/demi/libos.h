/* SPDX-License-Identifier: MIT */
/*
 * The Demikernel C API: queues. All calls return 0 or a positive errno value and leave their
 * outputs untouched when they fail. The state is the calling thread's: each thread that uses the
 * API calls demi_init() first (else: ENOSYS) and has queues, tokens and waits of its own. A call
 * made from within another call of the same thread fails with EBUSY, one on an instance inherited
 * by fork() with EPERM until the child calls demi_init(). The man pages demi_*(3) describe each
 * call; docs/divergences.md says where we differ from Microsoft's library and why.
 *
 * Nothing here blocks, except demi_create_pipe(), demi_open_pipe() and demi_close(): they take the
 * lock on the directory of names, and wait for it up to 5 s if somebody keeps it. A creator that
 * finds that its opener has left without having pushed may wait 0.1 s for it.
 */
#ifndef DEMI_LIBOS_H_IS_INCLUDED
#define DEMI_LIBOS_H_IS_INCLUDED

#include <demi/cc.h>
#include <demi/types.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Starts the library in this thread. The environment says how: LIBOS is the kind ("catmem",
 * "catloop" or "catnap"; any letter case) and CONFIG_PATH a file with one YAML document. `args` is
 * not looked at, and NULL is accepted, but compilers warn of a literal NULL since the attribute is
 * upstream's. In a forked child it drops what was inherited and starts anew. Errors: EEXIST this
 * thread has started it before; EINVAL LIBOS or CONFIG_PATH is missing, the kind unknown, the file
 * not one YAML document, or a capacity (in the file or MEMBRANE_CAPACITY) is not 1 byte to 1 GiB;
 * ENOENT, EACCES, ... the file cannot be opened; ENOENT also: /proc is not mounted; ENOMEM, EMFILE,
 * ENFILE.
 */
ATTR_NONNULL(1)
extern int demi_init(_In_ const struct demi_args *args);

/*
 * Creates a pipe and opens its first end. Blocks for the lock, up to 5 s. Errors: EINVAL NULL,
 * empty name, '/' or no UTF-8 in it, or MEMBRANE_DIR is no absolute path; ENAMETOOLONG above 240
 * bytes; EEXIST a living process has this name, or something that is not ours stands there; EPROTO
 * the same, in its opener's place; ETIMEDOUT the directory of names stayed locked. EPERM the
 * directory of names is not ours or its mode neither 0700 nor 0711, or a sandbox refuses; EACCES,
 * EROFS, ENOSPC, ENOENT it cannot be made, opened or written to; ENOENT also: /proc is not mounted.
 * ENOSYS the kernel lacks something (membrane doctor). EMFILE, ENFILE; ENOMEM, also of tmpfs or the
 * memory control group.
 */
ATTR_NONNULL(1, 2)
extern int demi_create_pipe(_Out_ int *memqd_out, _In_z_ const char *name);

/* Opens the second end of a pipe. Blocks for the lock, up to 5 s, and up to 5 s for an owner that
 * only its mailbox reaches. Errors as above without EEXIST, and: ENOENT no such pipe, or it has
 * ended; EBUSY its second end is open already; ETIMEDOUT that owner does not answer; EACCES its
 * mailbox cannot be reached; EPROTO what the name leads to is no pipe of this version. */
ATTR_NONNULL(1, 2)
extern int demi_open_pipe(_Out_ int *memqd_out, _In_z_ const char *name);

/*
 * The socket calls, for LIBOS=catloop and catnap. A memory libOS looks at pointers, sizes and the
 * backlog (EINVAL) and then refuses (ENOTSUP): it never looks at the descriptor, so no EBADF. What
 * is said of an address holds for each: EINVAL when it is NULL, its size is not that of a
 * sockaddr_in or its family is AF_INET6; ENOTSUP when it is of another family.
 *
 * Creates a socket. Errors: EINVAL NULL; ENOTSUP a domain other than AF_INET, a type other than
 * SOCK_STREAM and SOCK_DGRAM (also with flags); EMFILE, ENFILE, ENOMEM.
 */
ATTR_NONNULL(1)
extern int demi_socket(_Out_ int *sockqd_out, _In_ int domain, _In_ int type, _In_ int protocol);

/* Makes a bound socket a listening one. Errors: EINVAL backlog < 1; EBADF; EDESTADDRREQ not bound;
 * EADDRINUSE listening or connecting; EISCONN; EOPNOTSUPP a datagram socket; ENOTSUP. */
extern int demi_listen(_In_ int sockqd, _In_ int backlog);

/* Binds a socket to the configured address or the wildcard; port 0 is any free one. Errors: EINVAL,
 * ENOTSUP the address (above); EBADF; EADDRNOTAVAIL no address of ours; EADDRINUSE it is taken;
 * EINVAL the socket has another one, or listens or connects; EISCONN; EACCES. */
ATTR_NONNULL(2)
extern int demi_bind(_In_ int sockqd, _In_reads_bytes_(size) const struct sockaddr *addr,
                     _In_ socklen_t size);

/* Starts to accept a connection. Errors: EINVAL NULL, or not listening; EBADF; EOPNOTSUPP a
 * datagram socket; ENOTSUP; ENOMEM. */
ATTR_NONNULL(1)
extern int demi_accept(_Out_ demi_qtoken_t *qt_out, _In_ int sockqd);

/* Starts to connect. Errors: EINVAL, ENOTSUP the address (above); EBADF; EISCONN; EINPROGRESS;
 * EOPNOTSUPP it listens; ENOMEM. FAILED later: ECONNREFUSED nobody listens there, or the backlog is
 * full; EBADF closed on this side; others as the network says. */
ATTR_NONNULL(1, 3)
extern int demi_connect(_Out_ demi_qtoken_t *qt_out, _In_ int sockqd,
                        _In_reads_bytes_(size) const struct sockaddr *addr, _In_ socklen_t size);

/* Closes a queue. What was pushed stays readable for a peer that has the pipe open, followed by end
 * of file; pending operations of this end complete as FAILED with EBADF, and nothing of such a push
 * reaches the peer (but what the kernel had taken, on a stream of catnap). Blocks for the lock, up
 * to 5 s; then the name stays taken until the process ends, which is no error. Errors: EBADF. */
extern int demi_close(_In_ int qd);

/*
 * Starts to push: one push is one pop at the other end, 1 byte to 1 GiB (a stream of catnap is
 * bytes). The buffer is the library's until the push completes, but may be given back with
 * demi_sgafree() at once. A program may push a part of the buffer by narrowing the segment. Errors,
 * in this order: EINVAL NULL, not one segment, no live buffer, length 0 or the segment is not
 * within the size that was asked for; EBADF; sockets: ENOTCONN, EDESTADDRREQ; ENOMEM. FAILED later:
 * EBADF closed on this side, or the peer has closed and its end of file was popped (sockets:
 * EPIPE); ECONNRESET the peer has closed, died or reads no more; EPROTO it broke the rules.
 */
ATTR_NONNULL(1, 3)
extern int demi_push(_Out_ demi_qtoken_t *qt_out, _In_ int qd, _In_ const demi_sgarray_t *sga);

/* Starts to push a datagram to an address. Errors: EINVAL, ENOTSUP the address (above), and as
 * demi_push(). FAILED later: EMSGSIZE above 65,507 bytes. */
ATTR_NONNULL(1, 3, 4)
extern int demi_pushto(_Out_ demi_qtoken_t *qt_out, _In_ int sockqd, _In_ const demi_sgarray_t *sga,
                       _In_reads_bytes_(size) const struct sockaddr *dest, _In_ socklen_t size);

/*
 * Starts to pop one message. It completes as POP with memory of our own, that the peer cannot
 * write; with length 0 at end of file. Errors: EINVAL NULL; EBADF; sockets: ENOTCONN, EDESTADDRREQ
 * (a datagram socket that is neither bound nor connected); ENOMEM. FAILED later: EBADF closed on
 * this side, or (pipes) end of file was popped already; ECONNRESET the peer died (after all it
 * had sent was popped; an opener's death also if it never pushed); EPROTO it broke the rules;
 * ENOMEM no memory for the message, which stays in the pipe.
 */
ATTR_NONNULL(1)
extern int demi_pop(_Out_ demi_qtoken_t *qt_out, _In_ int qd);

/* Socket options (demi_sockopt(3)). Errors, in this order: ENOTSUP another level; ENOPROTOOPT
 * another option; EINVAL NULL, or a wrong size (which demi_getsockopt() ignores for SO_LINGER);
 * EBADF; EBUSY closing. */
ATTR_NONNULL(4)
extern int demi_setsockopt(_In_ int qd, _In_ int level, _In_ int optname,
                           _In_reads_bytes_(optlen) const void *optval, _In_ socklen_t optlen);
ATTR_NONNULL(4)
extern int demi_getsockopt(_In_ int qd, _In_ int level, _In_ int optname, _Out_ void *optval,
                           _Out_ socklen_t *optlen);

/* The peer's address. Errors: EINVAL NULL, or *addrlen is not that of a sockaddr_in; EBADF;
 * ENOTCONN; ENOTSUP. */
ATTR_NONNULL(2)
extern int demi_getpeername(_In_ int qd, _Out_ struct sockaddr *addr, _Out_ socklen_t *addrlen);

/* The socket's own address; upstream exports it undeclared and without function. Errors: EINVAL
 * NULL, or *addrlen is not that of a sockaddr_in; EBADF; ENOSYS with catmem. */
ATTR_NONNULL(2)
extern int demi_getsockname(_In_ int qd, _Out_ struct sockaddr *addr, _Out_ socklen_t *addrlen);

#ifdef __cplusplus
}
#endif

#endif
