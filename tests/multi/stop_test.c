/* SPDX-License-Identifier: MIT */
/*
 * A stopped peer (SIGSTOP) is alive: it is waited for as long as one cares to wait, deadlines pass
 * as they should, other pipes do not notice, its pipe can be opened without its help, and when it
 * goes on all goes on. Also that one killed while stopped is dead. Not here: locks that a stopped
 * process keeps (fault/resources_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "native_util.h"

#include <cmocka.h>

#define LARGE (4u << 20)

static void stop(struct stage_actor *actor)
{
    int status;

    CHECK(kill(actor->pid, SIGSTOP) == 0);
    CHECK(waitpid(actor->pid, &status, WUNTRACED) == actor->pid && WIFSTOPPED(status));
}

/* Echoes until the pipe ends. */
static void echo(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_open_soon(l, "stop");

    stage_say(parent, 1);
    native_echo(l, qd);
    mbr_libos_close(l);
}

static void trips(struct mbr_libos *l, int from, int to)
{
    for (uint64_t i = 0; i < 100; i++) {
        native_push(l, from, 1 + i * 100, i);
        native_pop(l, to, 1 + i * 100, i);
    }
}

static void deadlines_pass(struct mbr_libos *l, demi_qtoken_t qt)
{
    demi_qresult_t qr;

    for (uint64_t timeout = 0; timeout <= 10000000; timeout = timeout * 10 + 1000)
        CHECK_INT(mbr_wait(l, qt, timeout, &qr), -ETIMEDOUT);
}

static void be_patient(struct stage_actor *parent, void *arg)
{
    struct stage_actor peer;

    stage_spawn(&peer, echo, NULL);
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "stop"), a = native_create(l, "other"), b = native_open(l, "other");
    (void)stage_hear(&peer);
    trips(l, qd, qd);
    stop(&peer);

    demi_qtoken_t pop = native_start_pop(l, qd, 0), push = native_start_push(l, qd, LARGE, 1);
    deadlines_pass(l, pop);
    deadlines_pass(l, push);
    trips(l, a, b);
    CHECK(kill(peer.pid, SIGCONT) == 0);
    demi_qresult_t qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    qr = native_finish(l, pop);
    native_expect_message(&qr, LARGE, 1);
    trips(l, qd, qd);

    /* Closing does not wait for it either. */
    stop(&peer);
    CHECK_INT(mbr_close(l, qd), 0);
    CHECK(kill(peer.pid, SIGCONT) == 0);
    stage_join_ok(&peer);
    mbr_libos_close(l);
}

static void stopped_peer_is_waited_for(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, be_patient, NULL);
    stage_join_ok(&actor);
}

static void create_and_push(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "stopped");

    native_push(l, qd, 100, 1);
    stage_say(parent, 1);
    /* Woken up, it finds an opener that has gone ahead without it. */
    native_pop(l, qd, 100, 2);
    native_pop_eof(l, qd);
    mbr_libos_close(l);
}

static void open_without_help(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_open(l, "stopped");

    native_pop(l, qd, 100, 1);
    native_push(l, qd, 100, 2);
    CHECK_INT(mbr_close(l, qd), 0);
    mbr_libos_close(l);
}

static void stopped_owners_pipe_can_be_opened(void **state)
{
    struct stage_actor owner, opener;

    stage_spawn(&owner, create_and_push, NULL);
    (void)stage_hear(&owner);
    stop(&owner);
    stage_spawn(&opener, open_without_help, NULL);
    stage_join_ok(&opener);
    CHECK(kill(owner.pid, SIGCONT) == 0);
    stage_join_ok(&owner);
}

static void mourn(struct stage_actor *parent, void *arg)
{
    struct stage_actor peer;

    stage_spawn(&peer, echo, NULL);
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "stop");
    (void)stage_hear(&peer);
    trips(l, qd, qd);
    stop(&peer);
    demi_qtoken_t pop = native_start_pop(l, qd, 0);
    deadlines_pass(l, pop);
    CHECK(kill(peer.pid, SIGKILL) == 0);
    demi_qresult_t qr = native_finish(l, pop);
    native_expect(&qr, DEMI_OPC_FAILED, ECONNRESET);
    (void)stage_join(&peer);
    mbr_libos_close(l);
}

static void killed_while_stopped_is_dead(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, mourn, NULL);
    stage_join_ok(&actor);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_peer_is_waited_for),
        cmocka_unit_test(stopped_owners_pipe_can_be_opened),
        cmocka_unit_test(killed_while_stopped_is_dead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
