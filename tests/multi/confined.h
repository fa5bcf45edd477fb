/* SPDX-License-Identifier: MIT */
/*
 * What the tests of processes that cannot see each other through /proc share: actors without
 * privilege, whose names are in a directory of their own, and what two of them send each other. Not
 * here: how they are connected.
 */
#ifndef MBR_TESTS_CONFINED_H
#define MBR_TESTS_CONFINED_H

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native_util.h"

#define CONFINED_USER 65534 /* nobody */

/* A directory of names of its own for the actors' user. */
static inline void confined_names(void)
{
    char dir[PATH_MAX];

    snprintf(dir, sizeof(dir), "%s/unprivileged", stage_dir());
    if (mkdir(dir, 0700) != 0)
        return;
    if (geteuid() == 0)
        CHECK(chown(dir, CONFINED_USER, CONFINED_USER) == 0 && chmod(stage_dir(), 0711) == 0);
    setenv("MEMBRANE_DIR", dir, 1);
}

/* Without the privilege that would open /proc all the same: as root the actor becomes somebody
 * else. */
static inline void confined_become(bool dumpable)
{
    if (geteuid() == 0)
        CHECK(setgid(CONFINED_USER) == 0 && setuid(CONFINED_USER) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0) == 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* which a change of user cancels */
}

/* So many messages of many sizes there and back; one side is the first. */
static inline void confined_exchange(struct mbr_libos *l, int qd, bool first, uint64_t trips)
{
    for (uint64_t i = 0; i < trips; i++) {
        size_t size = i % 50 == 49 ? 300000 : 1 + i * 20;

        if (first)
            native_push(l, qd, size, i);
        native_pop(l, qd, size, first ? ~i : i);
        if (!first)
            native_push(l, qd, size, ~i);
    }
}

#endif
