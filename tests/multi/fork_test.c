/* SPDX-License-Identifier: MIT */
/*
 * What becomes of queues when their process forks: the child's handles are dead, whatever the child
 * does with them or however it ends harms nobody, it keeps nothing alive, and it may begin anew.
 * Also that nothing is inherited by a program that is executed. Not here: threads.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native_util.h"

#include <cmocka.h>

static struct mbr_libos *l;
static int made, opened;

static void make_ends(void)
{
    l = open_libos();
    made = native_create(l, "fork");
    opened = native_open(l, "fork");
}

static void exchange(void)
{
    for (uint64_t i = 0; i < 200; i++) {
        native_push(l, made, 1 + 37 * i, i);
        native_push(l, opened, 1 + i, ~i);
        native_pop(l, opened, 1 + 37 * i, i);
        native_pop(l, made, 1 + i, ~i);
    }
}

static void expect_dead_handles(void)
{
    demi_sgarray_t sga = native_filled(8, 0);
    demi_qresult_t qr;
    demi_qtoken_t qt;
    uint64_t left;
    const void *at;
    uint32_t len;
    void *data;
    int out;

    CHECK_INT(mbr_pipe_create(l, "new", NULL, &out), -EPERM);
    CHECK_INT(mbr_pipe_open(l, "fork", NULL, &out), -EPERM);
    CHECK_INT(mbr_push(l, made, &sga, &qt), -EPERM);
    CHECK_INT(mbr_pop(l, made, 0, &qt), -EPERM);
    CHECK_INT(mbr_pop_in_place(l, made, &qt), -EPERM);
    CHECK_INT(mbr_shutdown(l, made, MBR_SHUT_BOTH), -EPERM);
    CHECK_INT(mbr_close_async(l, made, &qt), -EPERM);
    CHECK_INT(mbr_wait(l, 5, 0, &qr), -EPERM);
    CHECK_INT(mbr_wait_next_n(l, 1, 0, &qr, &out), -EPERM);
    CHECK_INT(mbr_pipe_reserve(l, made, 8, &data), -EPERM);
    CHECK_INT(mbr_pipe_flush(l, made), -EPERM);
    CHECK_INT(mbr_pipe_peek(l, made, &at, &len, &left), -EPERM);
    CHECK_INT(mbr_lend_alloc(l, made, 8, &sga), -EPERM);
    CHECK_INT(mbr_libos_adopt(l), -EPERM);
    CHECK_INT(mbr_close(l, made), -EPERM);
    mbr_libos_interrupt(l);
}

/* ---- what a child may do ---- */

static void child_does_nothing(struct stage_actor *parent, void *arg)
{
}

static void child_ends_at_once(struct stage_actor *parent, void *arg)
{
    _exit(0);
}

static void child_tries_everything(struct stage_actor *parent, void *arg)
{
    expect_dead_handles();
}

static void child_closes_the_instance(struct stage_actor *parent, void *arg)
{
    mbr_libos_close(l);
}

static void child_tries_and_closes(struct stage_actor *parent, void *arg)
{
    expect_dead_handles();
    mbr_libos_close(l);
}

/* A child of the child: the marks of two forks are not taken for none. */
static void child_forks_again(struct stage_actor *parent, void *arg)
{
    struct stage_actor child;

    stage_spawn(&child, child_tries_and_closes, NULL);
    stage_join_ok(&child);
    child_tries_and_closes(parent, arg);
}

static void child_begins_anew(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *mine = open_libos();
    int a = native_create(mine, "child"), b = native_open(mine, "child"), qd = -1;

    CHECK_INT(mbr_pipe_create(mine, "fork", NULL, &qd), -EEXIST);
    CHECK_INT(mbr_pipe_open(mine, "fork", NULL, &qd), -EBUSY);
    for (uint64_t i = 0; i < 100; i++) {
        native_push(mine, a, 100, i);
        native_pop(mine, b, 100, i);
    }
    mbr_libos_close(mine);
    expect_dead_handles();
}

static void try_child(stage_role *role)
{
    struct stage_actor child;
    size_t fds = stage_count_fds(), names = stage_count_entries(stage_names_dir());

    demi_qtoken_t pop = native_start_pop(l, made, 0);
    stage_spawn(&child, role, NULL);
    stage_join_ok(&child);
    native_expect_pending(l, pop);
    native_push(l, opened, 10, 1);
    demi_qresult_t qr = native_finish(l, pop);
    native_expect_message(&qr, 10, 1);
    exchange();
    CHECK_INT(stage_count_fds(), fds);
    CHECK_INT(stage_count_entries(stage_names_dir()), names);
}

static void children_harm_nobody_here(struct stage_actor *parent, void *arg)
{
    stage_role *const roles[] = {child_does_nothing,     child_ends_at_once,
                                 child_tries_everything, child_closes_the_instance,
                                 child_tries_and_closes, child_forks_again,
                                 child_begins_anew};

    make_ends();
    exchange();
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        try_child(roles[i]);
    mbr_libos_close(l);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

static void children_harm_nobody(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, children_harm_nobody_here, NULL);
    stage_join_ok(&actor);
}

/* ---- a child keeps nothing alive ---- */

static void linger_on(struct stage_actor *parent, void *arg)
{
    uint64_t unused;

    (void)stage_listen(parent, &unused); /* until the line ends or this process is killed */
}

/* Forks a child that outlives it. */
static void die_with_a_child(struct stage_actor *parent, void *arg)
{
    l = open_libos();
    int qd = native_open(l, "survivor");

    native_push(l, qd, 10, 1);
    (void)native_start_pop(l, qd, 0);
    pid_t child = fork();
    if (child == 0) {
        close(parent->to);
        linger_on(parent, NULL);
        _exit(0);
    }
    stage_say(parent, (uint64_t)child);
    (void)stage_hear(parent);
}

static void wait_for_the_end(struct stage_actor *parent, void *arg)
{
    l = open_libos();
    int qd = native_create(l, "survivor");

    stage_say(parent, 1);
    native_pop(l, qd, 10, 1);
    demi_qtoken_t pop = native_start_pop(l, qd, 0);
    stage_say(parent, 1);
    demi_qresult_t qr = native_finish(l, pop);
    native_expect(&qr, DEMI_OPC_FAILED, ECONNRESET);
    mbr_libos_close(l);
}

static void child_does_not_hide_a_death(void **state)
{
    struct stage_actor survivor, victim;

    stage_spawn(&survivor, wait_for_the_end, NULL);
    (void)stage_hear(&survivor);
    stage_spawn(&victim, die_with_a_child, NULL);
    pid_t orphan = (pid_t)stage_hear(&victim);
    (void)stage_hear(&survivor);
    stage_await_parked(survivor.pid);
    kill(victim.pid, SIGKILL);
    stage_join_ok(&survivor);
    CHECK_INT(kill(orphan, 0), 0); /* it still lives: it has not been needed */
    kill(orphan, SIGKILL);
    CHECK_INT(WTERMSIG(stage_join(&victim)), SIGKILL);
    int qd = -1;
    l = open_libos();
    CHECK_INT(mbr_pipe_create(l, "survivor", NULL, &qd), 0);
    mbr_libos_close(l);
}

/* ---- programs ---- */

/* Every descriptor that the library opens is closed when another program is executed. */
static void programs_inherit_nothing_here(struct stage_actor *parent, void *arg)
{
    enum { HIGHEST = 1024 };
    static bool before[HIGHEST];
    int found = 0;

    for (int fd = 0; fd < HIGHEST; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    make_ends();
    exchange();
    (void)native_start_pop(l, made, 0);
    (void)mbr_libos_fd(l);
    for (int fd = 0; fd < HIGHEST; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || before[fd])
            continue;
        CHECK(flags & FD_CLOEXEC);
        found++;
    }
    CHECK(found > 0);
    mbr_libos_close(l);
}

static void programs_inherit_nothing(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, programs_inherit_nothing_here, NULL);
    stage_join_ok(&actor);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_harm_nobody),
        cmocka_unit_test(child_does_not_hide_a_death),
        cmocka_unit_test(programs_inherit_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
