/* SPDX-License-Identifier: MIT */
/*
 * The service manager's protocols, spoken directly (sd_notify(3), sd_listen_fds(3)): datagrams to
 * $NOTIFY_SOCKET, and listening sockets passed as descriptors from 3 on.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

/* Sends TEXT ("READY=1", several lines are fine). Without $NOTIFY_SOCKET nothing happens. */
void notify_send(const char *text);

/* Half the interval at which the manager wants to hear WATCHDOG=1, in ns; 0: it does not. */
uint64_t notify_watchdog_ns(void);

/*
 * The listening sockets that were passed to this process, close-on-exec and non-blocking: *STORE a
 * unix stream socket, *CONTAINERS a unix seqpacket socket, or -1 if none of these was. -ENOENT if
 * nothing was passed; -EINVAL if anything else was, two of a kind, or no stream socket.
 */
int notify_listeners(int *store, int *containers);

#endif
