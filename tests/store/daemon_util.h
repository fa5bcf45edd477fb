/* SPDX-License-Identifier: MIT */
/*
 * A membraned of a test's own: in a directory of its own, started, killed, started again, and gone
 * at the end. What it needs it finds in the environment of the test (MEMBRANE_BIN_DIR).
 */
#ifndef MBR_TESTS_STORE_DAEMON_UTIL_H
#define MBR_TESTS_STORE_DAEMON_UTIL_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon_util {
    char directory[64];
    char socket[80];
    char state[80]; /* for --state, if durable */
    bool durable;
    pid_t pid; /* 0: not running */
};

/* Makes the directory and starts the daemon; returns when it says that it is ready. False: there is
 * no membraned in this build. Fails the test if it does not start. */
bool daemon_util_init(struct daemon_util *d, bool durable);
/* Starts it again after a kill. */
void daemon_util_start(struct daemon_util *d);
/* Ends it with this signal and waits until it is dead. */
void daemon_util_kill(struct daemon_util *d, int number);
/* Kills it and removes the directory. */
void daemon_util_fini(struct daemon_util *d);

#endif
