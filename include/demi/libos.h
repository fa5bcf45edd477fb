/* SPDX-License-Identifier: MIT */
/*
 * The Demikernel C API: queues. All calls return 0 or a positive errno value and leave their
 * outputs untouched when they fail. The state is the calling thread's: each thread that uses the
 * API calls demi_init() first (else: ENOSYS) and has queues, tokens and waits of its own. A call
 * made from within another call of the same thread fails with EBUSY. The man pages demi_*(3)
 * describe each call; docs/divergences.md says where we differ from Microsoft's library and why.
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
 * Starts the library in this thread. The environment says how: LIBOS is the kind ("catmem"; any
 * letter case) and CONFIG_PATH a YAML file. `args` may be NULL. Errors: EINVAL LIBOS or CONFIG_PATH
 * is missing, unknown or unreadable as YAML; ENOENT, EACCES the file cannot be opened; EEXIST this
 * thread has started it before; ENOMEM, EMFILE, ENFILE.
 */
ATTR_NONNULL(1)
extern int demi_init(_In_ const struct demi_args *args);

/* Creates a pipe and opens its first end. Errors: EINVAL NULL, empty name, '/' or no UTF-8 in it;
 * ENAMETOOLONG above 240 bytes; EEXIST a living process has this name; ENOTSUP not a memory libOS;
 * EMFILE, ENFILE, ENOMEM; ETIMEDOUT the directory of names stayed locked. */
ATTR_NONNULL(1, 2)
extern int demi_create_pipe(_Out_ int *memqd_out, _In_z_ const char *name);

/* Opens the second end of a pipe. Errors as above, but: ENOENT no such pipe, or it has ended; EBUSY
 * its second end is open already; EPROTO what the name leads to is no pipe of this version. */
ATTR_NONNULL(1, 2)
extern int demi_open_pipe(_Out_ int *memqd_out, _In_z_ const char *name);

/* Creates a socket. Errors: ENOTSUP a memory libOS, or not AF_INET with exactly SOCK_STREAM or
 * SOCK_DGRAM. */
ATTR_NONNULL(1)
extern int demi_socket(_Out_ int *sockqd_out, _In_ int domain, _In_ int type, _In_ int protocol);

/* Makes a bound socket a listening one. Errors: EINVAL backlog < 1; EBADF; ENOTSUP a memory libOS.
 */
extern int demi_listen(_In_ int sockqd, _In_ int backlog);

/* Binds a socket. Errors: EINVAL NULL or a bad size; EBADF; ENOTSUP another family, or a memory
 * libOS. */
ATTR_NONNULL(2)
extern int demi_bind(_In_ int sockqd, _In_reads_bytes_(size) const struct sockaddr *addr,
                     _In_ socklen_t size);

/* Starts to accept a connection. Errors: EINVAL NULL; EBADF; ENOTSUP a memory libOS. */
ATTR_NONNULL(1)
extern int demi_accept(_Out_ demi_qtoken_t *qt_out, _In_ int sockqd);

/* Starts to connect. Errors: EINVAL NULL or a bad size; EBADF; ENOTSUP another family, or a memory
 * libOS. */
ATTR_NONNULL(1, 3)
extern int demi_connect(_Out_ demi_qtoken_t *qt_out, _In_ int sockqd,
                        _In_reads_bytes_(size) const struct sockaddr *addr, _In_ socklen_t size);

/* Closes a queue. What was pushed stays readable for a peer that has the pipe open, followed by end
 * of file; pending operations of this end complete as FAILED with EBADF. Errors: EBADF. */
extern int demi_close(_In_ int qd);

/*
 * Starts to push: one push is one pop at the other end, 1 byte to 1 GiB. The buffer is the
 * library's until the push completes, but may be given back with demi_sgafree() at once. A program
 * may push a part of the buffer by narrowing the segment. Errors: EINVAL NULL, not one segment, no
 * buffer, length 0 or the segment is not within the buffer; EBADF; ENOMEM. FAILED later: EBADF
 * closed; ECONNRESET the peer has closed or died; EPROTO it broke the rules.
 */
ATTR_NONNULL(1, 3)
extern int demi_push(_Out_ demi_qtoken_t *qt_out, _In_ int qd, _In_ const demi_sgarray_t *sga);

/* Starts to push to an address. Errors: as demi_push(); ENOTSUP a memory libOS. */
ATTR_NONNULL(1, 3, 4)
extern int demi_pushto(_Out_ demi_qtoken_t *qt_out, _In_ int sockqd, _In_ const demi_sgarray_t *sga,
                       _In_reads_bytes_(size) const struct sockaddr *dest, _In_ socklen_t size);

/*
 * Starts to pop one message. It completes as POP with memory of our own, that the peer cannot
 * write; with length 0 at end of file. Errors: EINVAL NULL; EBADF; ENOMEM. FAILED later: EBADF
 * closed, or end of file was popped already; ECONNRESET the peer died (after all it had sent was
 * popped); EPROTO it broke the rules; ENOMEM.
 */
ATTR_NONNULL(1)
extern int demi_pop(_Out_ demi_qtoken_t *qt_out, _In_ int qd);

/* Socket options. Errors: ENOTSUP a memory libOS. */
ATTR_NONNULL(4)
extern int demi_setsockopt(_In_ int qd, _In_ int level, _In_ int optname,
                           _In_reads_bytes_(optlen) const void *optval, _In_ socklen_t optlen);
ATTR_NONNULL(4)
extern int demi_getsockopt(_In_ int qd, _In_ int level, _In_ int optname, _Out_ void *optval,
                           _Out_ socklen_t *optlen);

/* The peer's address. Errors: EINVAL NULL; ENOTSUP a memory libOS. */
ATTR_NONNULL(2)
extern int demi_getpeername(_In_ int qd, _Out_ struct sockaddr *addr, _Out_ socklen_t *addrlen);

#ifdef __cplusplus
}
#endif

#endif
