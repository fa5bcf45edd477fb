/* SPDX-License-Identifier: MIT */
/*
 * What the daemon gives up once it has started: new privileges, and every system call it does not
 * need. A call that is not on the list fails as if the kernel did not have it (ENOSYS), which the C
 * library knows how to deal with. The list holds over a live update.
 */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include <stdbool.h>

/* PROGRAMS: other programs may be started, which a live update does. 0 or a negative errno. Under a
 * sanitizer, whose run-time needs other calls, nothing is given up. */
int sandbox_enter(bool programs);

#endif
