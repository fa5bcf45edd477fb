/* SPDX-License-Identifier: MIT */
/*
 * Races for a name: several processes at once create what a dead process has left, exactly one gets
 * it; several at once open it, exactly one gets the second end; and both while others look and
 * clean up. What the winners get must be one pipe. Not here: names that lie
 * (fault/rendezvous_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "native_util.h"

#include <cmocka.h>

#define RACERS 4
#define ROUNDS 300
#define NAME   "race"

enum order { CREATE, OPEN, USE, LEAVE };

/* The two ends push first and pop then: it is one pipe, and nobody else's. */
static void use(struct mbr_libos *l, int qd, uint64_t key, bool creator)
{
    native_push(l, qd, 100, creator ? key : ~key);
    native_pop(l, qd, 100, creator ? ~key : key);
}

static void race(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    bool creator = false;
    uint64_t word;
    int qd = -1;

    while (stage_listen(parent, &word)) {
        alarm(60 * stage_slowness());
        int rc = 0;
        switch ((enum order)(word & 3)) {
        case CREATE:
            rc = mbr_pipe_create(l, NAME, NULL, &qd);
            creator = rc == 0;
            break;
        case OPEN:
            rc = mbr_pipe_open(l, NAME, NULL, &qd);
            break;
        case USE:
            use(l, qd, word, creator);
            break;
        case LEAVE:
            CHECK_INT(mbr_close(l, qd), 0);
            break;
        }
        stage_say(parent, (uint64_t)-rc);
    }
    mbr_libos_close(l);
}

/* Cleans up in the middle of it all: it must never take away what somebody lives in. Now and then
 * only, since it keeps the directory locked, and a lock that is never free is no race. */
static void clean_up(struct stage_actor *parent, void *arg)
{
    uint64_t round;

    alarm(0);
    while (stage_listen(parent, &round)) {
        for (uint64_t i = 0; i <= round % 3; i++)
            CHECK(mbr_gc(0, NULL, NULL) >= 0);
    }
}

static void leave_a_name(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int made = native_create(l, NAME);

    if (*(int *)arg % 2)
        (void)native_open(l, NAME);
    native_push(l, made, 10, 1);
    raise(SIGKILL);
}

/* All at once; the one that gets 0. All others must get ERROR. */
static int winner(struct stage_actor *racers, enum order order, int except, int error)
{
    int first = -1;

    for (int i = 0; i < RACERS; i++) {
        if (i != except)
            stage_say(&racers[i], order);
    }
    for (int i = 0; i < RACERS; i++) {
        if (i == except)
            continue;
        int rc = (int)stage_hear(&racers[i]);
        if (rc != 0) {
            CHECK_INT(rc, error);
            continue;
        }
        CHECK_INT(first, -1);
        first = i;
    }
    CHECK(first >= 0);
    return first;
}

static void tell(struct stage_actor *racer, uint64_t word)
{
    stage_say(racer, word);
    CHECK_INT(stage_hear(racer), 0);
}

static void race_for_a_name(void **state)
{
    struct stage_actor racers[RACERS], cleaner;

    for (int i = 0; i < RACERS; i++)
        stage_spawn(&racers[i], race, NULL);
    stage_spawn(&cleaner, clean_up, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        struct stage_actor dead;
        stage_spawn(&dead, leave_a_name, &round);
        CHECK_INT(stage_join(&dead), SIGKILL);
        stage_say(&cleaner, (uint64_t)round);
        int creator = winner(racers, CREATE, -1, EEXIST);
        int opener = winner(racers, OPEN, creator, EBUSY);
        stage_say(&racers[creator], (uint64_t)round << 2 | USE);
        tell(&racers[opener], (uint64_t)round << 2 | USE);
        CHECK_INT(stage_hear(&racers[creator]), 0);
        bool creator_first = round % 3;
        tell(&racers[creator_first ? creator : opener], LEAVE);
        tell(&racers[creator_first ? opener : creator], LEAVE);
    }
    stage_join_ok(&cleaner);
    for (int i = 0; i < RACERS; i++)
        stage_join_ok(&racers[i]);
    CHECK(mbr_gc(0, NULL, NULL) >= 0);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(race_for_a_name)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
