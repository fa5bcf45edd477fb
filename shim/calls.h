/* SPDX-License-Identifier: MIT */
/* Calls of the shim that other files of the shim call, too: by these names, since the C library's
 * mean the C library here (wrap.c). */
#ifndef MBR_SHIM_CALLS_H
#define MBR_SHIM_CALLS_H

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* gcc wants to hear that an alias throws as little as what it stands for. */
#if defined(__has_attribute) && __has_attribute(copy)
#define SHIM_ALIAS(name) __typeof(name) shim_##name __attribute__((alias(#name), copy(name)))
#else
#define SHIM_ALIAS(name) __typeof(name) shim_##name __attribute__((alias(#name)))
#endif

__typeof(socket) shim_socket;
__typeof(bind) shim_bind;
__typeof(listen) shim_listen;
__typeof(accept) shim_accept;
__typeof(accept4) shim_accept4;
__typeof(connect) shim_connect;
__typeof(getpeername) shim_getpeername;
__typeof(shutdown) shim_shutdown;
__typeof(getsockopt) shim_getsockopt;
__typeof(setsockopt) shim_setsockopt;
__typeof(close) shim_close;
__typeof(close_range) shim_close_range;
__typeof(dup) shim_dup;
__typeof(dup2) shim_dup2;
__typeof(dup3) shim_dup3;
__typeof(fcntl) shim_fcntl;
__typeof(ioctl) shim_ioctl;
__typeof(read) shim_read;
__typeof(readv) shim_readv;
__typeof(write) shim_write;
__typeof(writev) shim_writev;
__typeof(recvfrom) shim_recvfrom;
__typeof(recvmsg) shim_recvmsg;
__typeof(recvmmsg) shim_recvmmsg;
__typeof(sendto) shim_sendto;
__typeof(sendmsg) shim_sendmsg;
__typeof(sendmmsg) shim_sendmmsg;
__typeof(sendfile) shim_sendfile;
__typeof(splice) shim_splice;
__typeof(poll) shim_poll;
__typeof(execve) shim_execve;
__typeof(execveat) shim_execveat;
__typeof(epoll_create) shim_epoll_create;
__typeof(epoll_create1) shim_epoll_create1;
__typeof(epoll_ctl) shim_epoll_ctl;
__typeof(epoll_wait) shim_epoll_wait;
__typeof(epoll_pwait) shim_epoll_pwait;
__typeof(epoll_pwait2) shim_epoll_pwait2;

#endif
