/* SPDX-License-Identifier: MIT */
/*
 * Sockets, natively: what the demi_* socket calls are made of, and what they cannot express.
 *
 * An instance of the kind "catnap" has sockets of the kernel, TCP and UDP; one of the kind
 * "catloop" has sockets between processes of one user on one machine, over shared memory. Both may
 * have pipes too (<membrane/queue.h>), and all of them are pushed, popped and waited for by the
 * same calls: mbr_push(), mbr_pop(), mbr_wait(), mbr_wait_any(), mbr_wait_next_n(), mbr_cancel(),
 * mbr_shutdown(), mbr_close(), mbr_close_async(). Who may call, and that nothing blocks, is as
 * said there. Several instances may be open in one process, of any kinds.
 *
 * All functions return 0 (or what is said) or a negative errno and leave their outputs untouched
 * when they fail. Common to all: -EINVAL `l` is NULL; -EPERM, -EBUSY as in queue.h; -EBADF no such
 * descriptor, or a socket that is closing or whose connect has failed; -ENOTSUP the instance is of
 * the kind "catmem", or the descriptor is a pipe.
 *
 * Messages. catnap: a stream is bytes; a pop takes what there is, up to `max` or 8192 bytes. A
 * datagram is popped whole, up to 65,507 bytes; one longer than `max` is cut. catloop: one push is
 * one pop, on both types; `max` works as for pipes; but a connection with a program under `membrane
 * shim` is the kernel's at both ends, and is as catnap's are. End of file is a pop of length 0; it
 * repeats. Results of the demi types hold IPv4 addresses only: of a peer with an IPv6 address they
 * are zero, and mbr_getpeername() tells (of a datagram: mbr_sock_recv()).
 */
#ifndef MEMBRANE_SOCKET_H
#define MEMBRANE_SOCKET_H

#include <membrane/queue.h>
#include <sys/socket.h>

MBR_BEGIN_DECLS

/*
 * A new socket: domain AF_INET or AF_INET6; type SOCK_STREAM or SOCK_DGRAM, bare; protocol is not
 * looked at. -EINVAL NULL; -ENOTSUP another domain or type; -ENOMEM, -EMFILE, -ENFILE, -ENOBUFS;
 * -EAFNOSUPPORT catnap: the kernel has no such family.
 */
MBR_API int mbr_socket(struct mbr_libos *l, int domain, int type, int protocol, int *qd);

/*
 * Gives the socket its address, of its own family and exactly of its size. The wildcard address and
 * port 0 are allowed; port 0 is an ephemeral port then (mbr_getsockname() tells). Checked in this
 * order: -EINVAL NULL or size; -ENOTSUP a family that is neither AF_INET nor AF_INET6; -EINVAL not
 * the socket's family; -EADDRNOTAVAIL no address of this machine; -EADDRINUSE taken (also by this
 * socket itself); -EINVAL bound already, listening or connecting; -EISCONN; -EACCES a port for
 * which rights are missing (catnap). catloop also: what mbr_pipe_create() says of the directory of
 * names, and -EADDRINUSE when no ephemeral port is left.
 */
MBR_API int mbr_bind(struct mbr_libos *l, int qd, const struct sockaddr *addr, socklen_t size);

/*
 * Lets clients connect: up to `backlog` connections wait for an accept, more are refused
 * (ECONNREFUSED; catnap: what the kernel does). A backlog above SOMAXCONN is SOMAXCONN. -EINVAL
 * backlog below 1; -EDESTADDRREQ not bound; -EADDRINUSE listening already, or connecting;
 * -EISCONN; -EOPNOTSUPP a datagram socket.
 */
MBR_API int mbr_listen(struct mbr_libos *l, int qd, int backlog);

/*
 * Starts to accept one connection; any number may be pending. Completes as DEMI_OPC_ACCEPT: qr_qd
 * is the listening socket, qr_value.ares.qd the new one, ares.addr its peer; or FAILED: EBADF the
 * socket was closed, EMFILE, ENFILE, ENOMEM. -EINVAL NULL, or not listening; -EOPNOTSUPP a datagram
 * socket; -ENOMEM.
 */
MBR_API int mbr_accept(struct mbr_libos *l, int qd, demi_qtoken_t *qt);

/*
 * Starts to connect. The wildcard address is this machine: by the address that the socket is bound
 * to, else (catloop) by the configured one, else by loopback; so also in mbr_pushto(). Completes as
 * DEMI_OPC_CONNECT or FAILED: ECONNREFUSED nobody listens there, or its backlog is full;
 * EADDRNOTAVAIL there is a connection of these two addresses, or no ephemeral port is left;
 * EADDRINUSE catloop, to a program under `membrane shim`: the kernel has the address that the
 * socket is bound to; ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ... as the network says
 * (catnap); EBADF the socket was closed meanwhile. After a failure the socket can only be closed. A
 * socket that is not bound gets an ephemeral port. A bound stream that connects to its own address
 * is connected with itself by the kernel (catnap), and refused by catloop, where one end never is
 * both: nobody listens there. A datagram socket gets a default destination,
 * and receives from there only. -EINVAL NULL or size; -ENOTSUP family; -EINVAL not the socket's
 * family; -EOPNOTSUPP listening; -EINPROGRESS connecting; -EISCONN; -ENOMEM.
 */
MBR_API int mbr_connect(struct mbr_libos *l, int qd, const struct sockaddr *addr, socklen_t size,
                        demi_qtoken_t *qt);

/*
 * As mbr_push(), to `addr`. On a stream the address is checked and not looked at. A datagram gives
 * a socket that is not bound an ephemeral port. A datagram that nobody can take is lost without an
 * error; catloop: one for somebody whose memory is full waits until he pops. -EINVAL, -ENOTSUP the
 * address, as in mbr_bind(); -ENOTCONN a stream that is not connected. FAILED: EMSGSIZE above
 * 65,507 bytes (65,527 with IPv6); others as the network says. mbr_push() on a datagram socket that
 * has no default destination: -EDESTADDRREQ; mbr_pop() on one that is neither bound nor connected:
 * -EDESTADDRREQ; on a stream that is not connected: -ENOTCONN.
 */
MBR_API int mbr_pushto(struct mbr_libos *l, int qd, const demi_sgarray_t *sga,
                       const struct sockaddr *addr, socklen_t size, demi_qtoken_t *qt);

/*
 * Options, with the meanings and types of socket(7) and tcp(7): SOL_SOCKET: SO_LINGER,
 * SO_KEEPALIVE, SO_REUSEADDR, SO_REUSEPORT, SO_RCVBUF, SO_SNDBUF, SO_BROADCAST; to be read only:
 * SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_DOMAIN. IPPROTO_TCP: TCP_NODELAY, and on catnap
 * TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT. IPPROTO_IPV6: IPV6_V6ONLY. catloop keeps what is set
 * and gives it back; SO_SNDBUF (bytes of a connection's ring, made with the next connect or accept)
 * and SO_REUSEPORT (before the bind: up to 64 sockets that have all set it share an address) have
 * their effect, and so has SO_LINGER with a time of 0: a close breaks the connection off, what has
 * not been pushed by then is not, and the peer gets -ECONNRESET after what came. With any other
 * time, or none, a close loses nothing and does not wait. The others mean nothing in shared memory.
 * Order of the checks: the descriptor; -ENOTSUP another level; -ENOPROTOOPT another option; -EINVAL
 * NULL, a wrong size, or a buffer of negative size; catnap: then what the kernel says.
 */
MBR_API int mbr_setsockopt(struct mbr_libos *l, int qd, int level, int name, const void *value,
                           socklen_t size);
MBR_API int mbr_getsockopt(struct mbr_libos *l, int qd, int level, int name, void *value,
                           socklen_t *size);

/*
 * The socket's own address and its peer's. *size is the room and becomes the address's size; a
 * longer address is cut, as in getsockname(2). A socket that is not bound has the wildcard address
 * and port 0. -EINVAL NULL, or *size is 0; -ENOTCONN (peer).
 */
MBR_API int mbr_getsockname(struct mbr_libos *l, int qd, struct sockaddr *addr, socklen_t *size);
MBR_API int mbr_getpeername(struct mbr_libos *l, int qd, struct sockaddr *addr, socklen_t *size);

/* ---- without tokens: for programs that ask whether something can be done, and do it ---- */

/*
 * At once or not at all: -EAGAIN what is asked for cannot be done now; also while operations of the
 * same direction are pending, which go first. mbr_sock_accept() gives the new descriptor.
 * mbr_sock_connect() gives 0 connected, -EINPROGRESS under way: then the socket becomes writable,
 * SO_ERROR says how it went, and a second call gives -EALREADY or, as said in mbr_connect(), how it
 * ended.
 */
MBR_API int mbr_sock_accept(struct mbr_libos *l, int qd, int *new_qd);
MBR_API int mbr_sock_connect(struct mbr_libos *l, int qd, const struct sockaddr *addr,
                             socklen_t size);

enum mbr_sock_flags {
    MBR_SOCK_PEEK = 1,  /* what is received stays there */
    MBR_SOCK_TRUNC = 2, /* of a datagram the true length is returned, also if it was cut */
};

/*
 * Receives into, or sends from, the caller's memory; nothing is allocated. Streams are streams of
 * bytes here, on catloop too: a push may be received in parts, and several at once. Returns the
 * number of bytes; receive: 0 is end of file (or an empty datagram); send: may be less than `len`
 * on a stream. from/fromlen (both may be NULL) get the sender's address; to (may be NULL) is as in
 * mbr_pushto(). -EAGAIN; -EPIPE this direction of sending was shut down, or the peer has closed (no
 * signal); -ECONNRESET; -ENOTCONN; -EDESTADDRREQ; -EMSGSIZE; -EINVAL NULL, flags, or `to`; -EBUSY a
 * message is shown in place. catloop also: -EPROTO the peer broke the rules; -ENOMEM.
 */
MBR_API int64_t mbr_sock_recv(struct mbr_libos *l, int qd, void *data, size_t len, unsigned flags,
                              struct sockaddr *from, socklen_t *fromlen);
MBR_API int64_t mbr_sock_send(struct mbr_libos *l, int qd, const void *data, size_t len,
                              const struct sockaddr *to, socklen_t tolen);

/* What a socket (or pipe) is ready for: MBR_READABLE, MBR_WRITABLE and these. */
enum mbr_sock_ready {
    MBR_SOCK_ERROR = 4,  /* an error is to be had: SO_ERROR */
    MBR_SOCK_HANGUP = 8, /* both directions have ended */
    MBR_SOCK_RDHUP = 16, /* the peer will send no more */
};

/* What can be done now: a set of the above. *bytes (may be NULL): how many can be received; of a
 * datagram socket, the next one's. -EBADF. One system call on catnap, none on catloop. */
MBR_API int mbr_sock_ready(struct mbr_libos *l, int qd, size_t *bytes);

/* What a socket has become ready for. */
struct mbr_ready_event {
    int qd;
    unsigned what;
    void *data; /* as given */
};

/*
 * Readiness without an operation. mbr_sock_watch() asks to be told once when any of `what` holds
 * (ERROR, HANGUP always do), from now on if it does already; again replaces, `what` 0 takes it
 * back, as closing does. mbr_ready_next() takes up to `max` of those that hold, and waits for the
 * first one, at most timeout_ns; it also drives everything else, as any wait does. It returns how
 * many there are, 1 or more; -ETIMEDOUT, -EINTR; also -EINTR when an operation has completed. What
 * was told of is not watched any more. mbr_libos_prepare() counts them as something to do.
 * -EINVAL; -ENOMEM.
 */
MBR_API int mbr_sock_watch(struct mbr_libos *l, int qd, unsigned what, void *data);
MBR_API int mbr_ready_next(struct mbr_libos *l, uint64_t timeout_ns, struct mbr_ready_event *events,
                           int max);

/* catnap, and connections of catloop that are the kernel's: its descriptor of the socket, which
 * stays the instance's and non-blocking: for poll(2), options and calls that this interface lacks.
 * -EOPNOTSUPP other sockets of catloop. */
MBR_API int mbr_sock_fd(struct mbr_libos *l, int qd);

MBR_END_DECLS

#endif
