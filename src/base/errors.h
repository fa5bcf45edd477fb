/* SPDX-License-Identifier: MIT */
/*
 * The one table of the errors Membrane returns: MBR__ERRORS(X) calls X(code, text, what to try) for
 * each. An errno that a function of ours may return stands here, with what it means in this library
 * rather than what the kernel means by it. The documentation's list is made from the same rows.
 */
#ifndef MBR_BASE_ERRORS_H
#define MBR_BASE_ERRORS_H

/* clang-format off */
#define MBR__ERRORS(X) \
    X(EPERM, "operation not permitted", \
      "Check who owns the object and which rights were granted to this domain.") \
    X(ENOENT, "no such name or entry", \
      "Check the spelling, and that the other side has created it.") \
    X(ESRCH, "no such process", \
      "The owner has ended; start it again.") \
    X(EINTR, "interrupted by a signal", \
      "Call again.") \
    X(EIO, "input or output error", \
      "Look into the kernel's log for the device.") \
    X(ENXIO, "no such device or address", \
      "The other end is not there; start it, then try again.") \
    X(E2BIG, "larger than the limit", \
      "Use something smaller, or raise the limit.") \
    X(EBADF, "not an open queue or descriptor", \
      "Check that it was opened, and not closed before.") \
    X(ECHILD, "no such child process", \
      "") \
    X(EAGAIN, "not ready now", \
      "Wait until it is ready, then try again.") \
    X(ENOMEM, "out of memory", \
      "Free memory, or raise the memory limit of the process, its control group or /dev/shm.") \
    X(EACCES, "permission denied", \
      "Check the modes and the owner of the object; both sides must run as users that may share it.") \
    X(EFAULT, "bad address", \
      "") \
    X(EBUSY, "already in use", \
      "Wait until its present user has finished, or choose another name.") \
    X(EEXIST, "already exists", \
      "Choose another name, or remove the old one.") \
    X(EXDEV, "not on the same file system", \
      "") \
    X(ENODEV, "no such device", \
      "") \
    X(ENOTDIR, "not a directory", \
      "Check each directory on the path.") \
    X(EISDIR, "is a directory", \
      "Name a file.") \
    X(EINVAL, "invalid argument", \
      "Check the arguments against the documentation of the call.") \
    X(ENFILE, "too many files open in the system", \
      "Close some, or raise fs.file-max.") \
    X(ETOOMANYREFS, "too many descriptors on their way between processes", \
      "Let the other side read its mailbox, or raise the limit (ulimit -n).") \
    X(EMFILE, "too many descriptors open in this process", \
      "Close some, or raise the limit (ulimit -n).") \
    X(ENOTTY, "wrong kind of descriptor", \
      "") \
    X(EFBIG, "file too large", \
      "Use a smaller size, or raise the limit (ulimit -f).") \
    X(ENOSPC, "no space or no free slot left", \
      "Free some, or raise the limit.") \
    X(ESPIPE, "cannot seek", \
      "") \
    X(EROFS, "read-only", \
      "Ask the owner for the right to write.") \
    X(EMLINK, "too many links", \
      "") \
    X(EPIPE, "the peer no longer reads", \
      "Open the pipe again.") \
    X(EDOM, "outside the domain of the operation", \
      "") \
    X(ERANGE, "outside the allowed range", \
      "Check the value against the documented range.") \
    X(EDEADLK, "would wait for itself", \
      "Release what is held before asking for more.") \
    X(ENAMETOOLONG, "name too long", \
      "Choose a shorter name.") \
    X(ENOSYS, "not provided by this kernel", \
      "See `membrane doctor` for what the kernel lacks.") \
    X(ENOTEMPTY, "not empty", \
      "Remove what is in it.") \
    X(ELOOP, "unexpected symbolic link", \
      "Check who has put a link there.") \
    X(ENODATA, "no data", \
      "") \
    X(ETIME, "timer expired", \
      "") \
    X(EPROTO, "the peer broke the protocol", \
      "Both sides should run the same version; if they do, do not trust the peer.") \
    X(EBADMSG, "malformed message", \
      "Both sides should run the same version.") \
    X(EOVERFLOW, "value too large for its type", \
      "Use a smaller value.") \
    X(EILSEQ, "invalid text encoding", \
      "Use valid UTF-8.") \
    X(EUSERS, "too many users", \
      "") \
    X(ENOTSOCK, "not a socket", \
      "Use a queue made by socket().") \
    X(EDESTADDRREQ, "destination address needed", \
      "Connect first, or name the destination.") \
    X(EMSGSIZE, "message too long", \
      "Send a smaller message, or choose a larger capacity.") \
    X(EPROTOTYPE, "wrong protocol for this socket", \
      "") \
    X(ENOPROTOOPT, "no such option", \
      "") \
    X(EPROTONOSUPPORT, "protocol not supported", \
      "Check the version of the other side.") \
    X(ESOCKTNOSUPPORT, "socket type not supported", \
      "") \
    X(EOPNOTSUPP, "not supported by this kind of queue", \
      "Use another kind of queue.") \
    X(EPFNOSUPPORT, "protocol family not supported", \
      "") \
    X(EAFNOSUPPORT, "address family not supported", \
      "Use an IPv4 address.") \
    X(EADDRINUSE, "address already in use", \
      "Choose another address, or end the program that uses it.") \
    X(EADDRNOTAVAIL, "address not available here", \
      "Use an address of this machine.") \
    X(ENETDOWN, "network is down", \
      "") \
    X(ENETUNREACH, "network unreachable", \
      "Check the routes.") \
    X(ENETRESET, "connection dropped by the network", \
      "Connect again.") \
    X(ECONNABORTED, "connection aborted", \
      "Connect again.") \
    X(ECONNRESET, "the peer has gone", \
      "Start the peer again and connect anew.") \
    X(ENOBUFS, "no buffers left", \
      "Free buffers that are no longer needed, or choose a larger pool.") \
    X(EISCONN, "already connected", \
      "") \
    X(ENOTCONN, "not connected", \
      "Connect first.") \
    X(ESHUTDOWN, "already shut down", \
      "") \
    X(ETIMEDOUT, "deadline passed", \
      "Try again, or allow more time.") \
    X(ECONNREFUSED, "nobody listens there", \
      "Start the other side first.") \
    X(EHOSTDOWN, "host is down", \
      "") \
    X(EHOSTUNREACH, "host unreachable", \
      "Check the routes.") \
    X(EALREADY, "already under way", \
      "Wait for the first operation to end.") \
    X(EINPROGRESS, "under way", \
      "Wait for it to end.") \
    X(ESTALE, "no longer what it was", \
      "It was replaced or reused; look it up again.") \
    X(ENOTUNIQ, "not unique", \
      "Something else has this name or code; give it another.") \
    X(EDQUOT, "quota exceeded", \
      "Free what this domain holds, or ask for a larger quota.") \
    X(ECANCELED, "canceled", \
      "") \
    X(EOWNERDEAD, "the owner has died", \
      "Run `membrane gc`, then try again.") \
    X(ENOTRECOVERABLE, "state lost", \
      "Remove it and create it anew.")
/* clang-format on */

#endif
