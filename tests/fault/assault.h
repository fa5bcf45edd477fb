/* SPDX-License-Identifier: MIT */
/*
 * An assault: for so many seconds, one hostile process after the other is let loose on a victim
 * that has an honest peer as well; all of it counted. Used by the tests of pipes and of sockets.
 * Not here: what a round is, and what the three do.
 */
#ifndef MBR_TESTS_ASSAULT_H
#define MBR_TESTS_ASSAULT_H

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../multi/stage.h"

#include <cmocka.h>

struct assault {
    uint64_t rounds, scribbled, met, ended;
    uint64_t fds; /* of the victim, before the first round */
};

typedef void assault_round(struct stage_actor *victim, uint64_t index, struct assault *assault);

/* Lets an attack go on for so many milliseconds: this is what is tested, not a way to wait. */
static inline void assault_goes_on(unsigned int milliseconds)
{
    struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000L};

    nanosleep(&t, NULL);
}

/* The victim says how many descriptors it has after a round. What has leaked is printed, for
 * whoever has to find out why. */
static inline void assault_check_fds(const struct assault *assault,
                                     const struct stage_actor *victim, uint64_t fds)
{
    /* One more may be the honest peer's bell, which is opened when it is first rung. */
    bool leaked = fds > assault->fds + 1;

    for (int fd = 0; leaked && fd < 100; fd++) {
        char path[64], link[PATH_MAX];

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)victim->pid, fd);
        ssize_t n = readlink(path, link, sizeof(link) - 1);

        if (n > 0)
            print_error("descriptor %d: %.*s\n", fd, (int)n, link);
    }
    if (leaked)
        print_error("%llu descriptors, not %llu\n", (unsigned long long)fds,
                    (unsigned long long)assault->fds);
    CHECK(!leaked);
}

/* Rounds until the time is up. Both actors have been spawned; they are joined. */
static inline struct assault assault_run(unsigned int seconds, struct stage_actor *victim,
                                         struct stage_actor *honest, assault_round *round)
{
    struct assault assault = {.fds = stage_hear(victim)};
    struct timespec now, end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    do {
        round(victim, assault.rounds, &assault);
        assault.rounds++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    stage_join_ok(victim);
    stage_join_ok(honest);
    print_message("%llu attackers, %llu scribbled, %llu met, %llu ended it\n",
                  (unsigned long long)assault.rounds, (unsigned long long)assault.scribbled,
                  (unsigned long long)assault.met, (unsigned long long)assault.ended);
    return assault;
}

#endif
