/* SPDX-License-Identifier: MIT */
/*
 * Processes whose descriptors cannot be opened through /proc, here because they are not dumpable: a
 * unix socket passes the same descriptors, and everything works as ever. Not here: sandboxes, other
 * PID namespaces, which fail in the same place.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include "confined.h"

#include <cmocka.h>

struct pair {
    bool creator_dumpable, opener_dumpable;
};

static void be_creator(struct stage_actor *parent, void *arg)
{
    const struct pair *pair = arg;

    confined_become(pair->creator_dumpable);
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "confined");
    stage_say(parent, 1);
    /* Whoever asks is answered out of this process's waits. */
    native_pop(l, qd, 10, 1);
    confined_exchange(l, qd, true, 300);
    demi_qtoken_t pop = native_start_pop(l, qd, 0);
    stage_say(parent, 1);
    demi_qresult_t qr = native_finish(l, pop);
    native_expect(&qr, DEMI_OPC_FAILED, ECONNRESET);
    mbr_libos_close(l);
}

static void be_opener(struct stage_actor *parent, void *arg)
{
    const struct pair *pair = arg;

    confined_become(pair->opener_dumpable);
    struct mbr_libos *l = open_libos();
    int qd = native_open(l, "confined");
    native_push(l, qd, 10, 1);
    confined_exchange(l, qd, false, 300);
    stage_say(parent, 1);
    (void)stage_hear(parent); /* killed */
}

static void play(bool creator_dumpable, bool opener_dumpable)
{
    struct pair pair = {creator_dumpable, opener_dumpable};
    struct stage_actor creator, opener;

    confined_names();
    stage_spawn(&creator, be_creator, &pair);
    (void)stage_hear(&creator);
    stage_spawn(&opener, be_opener, &pair);
    (void)stage_hear(&opener);
    (void)stage_hear(&creator);
    stage_kill(&opener);
    stage_join_ok(&creator);
}

static void both_open_to_proc(void **state)
{
    play(true, true);
}

static void creator_closed_to_proc(void **state)
{
    play(false, true);
}

static void opener_closed_to_proc(void **state)
{
    play(true, false);
}

static void both_closed_to_proc(void **state)
{
    play(false, false);
}

/* ---- an owner that does not answer ---- */

static void own_silently(struct stage_actor *parent, void *arg)
{
    confined_become(false);
    struct mbr_libos *l = open_libos();
    (void)native_create(l, "silent");
    stage_say(parent, 1);
    (void)stage_hear(parent); /* without waiting for anything in the library */
    mbr_libos_close(l);
}

static void ask_in_vain(struct stage_actor *parent, void *arg)
{
    int qd = 77;

    confined_become(true);
    struct mbr_libos *l = open_libos();
    (void)native_create(l, "own"); /* what an instance opens once is open now */
    size_t fds = stage_count_fds();
    CHECK_INT(mbr_pipe_open(l, "silent", NULL, &qd), -ETIMEDOUT);
    CHECK_INT(qd, 77);
    CHECK_INT(stage_count_fds(), fds);
    mbr_libos_close(l);
}

static void owner_that_does_not_answer(void **state)
{
    struct stage_actor owner, opener;

    confined_names();
    stage_spawn(&owner, own_silently, NULL);
    (void)stage_hear(&owner);
    stage_spawn(&opener, ask_in_vain, NULL);
    stage_join_ok(&opener);
    stage_say(&owner, 1);
    stage_join_ok(&owner);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_open_to_proc),          cmocka_unit_test(creator_closed_to_proc),
        cmocka_unit_test(opener_closed_to_proc),      cmocka_unit_test(both_closed_to_proc),
        cmocka_unit_test(owner_that_does_not_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
