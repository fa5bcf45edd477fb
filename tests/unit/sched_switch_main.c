/* SPDX-License-Identifier: MIT */
/*
 * Switches tasks a given number of times, for sched_switch_cost.sh, which counts the instructions.
 *
 *   sched_switch_main alone|pair|crowd SWITCHES
 *
 * alone: one task that wakes itself. pair: two that wake each other. crowd: 1,000 idle ones beside
 * the pair, which lie at both ends of the table. Prints the number of calls. Exit status 77 if it
 * was built so that its instructions say nothing: unoptimised, or with a sanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "countable.h"
#include "sched/sched.h"

#define CROWD 1000

struct player {
    struct mbr__task task;
    struct player *other;
    unsigned long calls;
};

static enum mbr__task_result play(struct mbr__task *task)
{
    struct player *player = mbr__container_of(task, struct player, task);

    player->calls++;
    mbr__sched_wake(&player->other->task);
    return MBR__TASK_PENDING;
}

static enum mbr__task_result idle(struct mbr__task *task)
{
    return task ? MBR__TASK_PENDING : MBR__TASK_DONE;
}

static void add(struct mbr__sched *sched, struct mbr__task *task,
                enum mbr__task_result (*poll)(struct mbr__task *self))
{
    mbr__task_init(task, poll);
    if (mbr__sched_add(sched, task) != 0)
        abort();
}

/* Plays SWITCHES calls of this kind of game; returns how often the players were called. */
static unsigned long play_game(const char *kind, size_t switches)
{
    static struct mbr__task crowd[CROWD];
    static struct player players[2];
    const bool alone = strcmp(kind, "alone") == 0;
    struct mbr__sched sched;
    unsigned long before;

    mbr__sched_init(&sched);
    players[0].other = &players[alone ? 0 : 1];
    players[1].other = &players[0];
    add(&sched, &players[0].task, play);
    if (strcmp(kind, "crowd") == 0)
        for (size_t i = 0; i < CROWD; i++)
            add(&sched, &crowd[i], idle);
    if (!alone)
        add(&sched, &players[1].task, play);
    /* Everybody is called once after being added; the run that is measured begins behind it. */
    (void)mbr__sched_run(&sched, mbr__sched_count(&sched));
    before = players[0].calls + players[1].calls;
    if (mbr__sched_run(&sched, switches) != switches)
        abort();
    mbr__sched_fini(&sched);
    return players[0].calls + players[1].calls - before;
}

int main(int argc, char **argv)
{
    if (UNFIT)
        return 77;
    if (argc != 3)
        return 2;
    printf("%lu\n", play_game(argv[1], strtoul(argv[2], NULL, 10)));
    return 0;
}
