/* SPDX-License-Identifier: MIT */
/*
 * Catloop between processes that cannot see each other through /proc: ones that are not dumpable,
 * and, where we may make one, another PID namespace. A unix socket passes the same descriptors, and
 * connections, data and the news of a death are as ever. The twin of confined_test.c for sockets.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>

#include <membrane/socket.h>

#include "confined.h"

#include <cmocka.h>

#define PORT  7000
#define TRIPS 100

enum way { VISIBLE, NOT_DUMPABLE, OTHER_NAMESPACE };

struct pair {
    enum way server, client;
};

static struct sockaddr_in address(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* A child in a PID namespace of its own, with a /proc that shows it; we wait for it. Both its death
 * and ours are the other's. */
static void enter_namespace(void)
{
    int status = 0;

    CHECK(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0);
    pid_t child = fork();

    CHECK(child >= 0);
    if (child > 0) {
        CHECK(waitpid(child, &status, 0) == child);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
}

static void become(enum way way)
{
    if (way == OTHER_NAMESPACE)
        enter_namespace();
    confined_become(way != NOT_DUMPABLE);
}

static struct mbr_libos *open_catloop(void)
{
    struct mbr_libos *l = NULL;

    CHECK_INT(mbr_libos_open("catloop", NULL, &l), 0);
    return l;
}

static void be_server(struct stage_actor *parent, void *arg)
{
    const struct pair *pair = arg;
    struct sockaddr_in a = address();
    demi_qtoken_t qt;
    int listener = -1;

    become(pair->server);
    struct mbr_libos *l = open_catloop();

    CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &listener), 0);
    CHECK_INT(mbr_bind(l, listener, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(mbr_listen(l, listener, 4), 0);
    stage_say(parent, 1);
    for (int round = 0; round < 2; round++) {
        CHECK_INT(mbr_accept(l, listener, &qt), 0);
        demi_qresult_t qr = native_finish(l, qt);

        CHECK_INT(qr.qr_opcode, DEMI_OPC_ACCEPT);
        int qd = qr.qr_value.ares.qd;

        confined_exchange(l, qd, true, TRIPS);
        if (round == 0) {
            native_pop_eof(l, qd);
        } else {
            stage_say(parent, 2);
            native_pop_fails(l, qd, ECONNRESET);
        }
        CHECK_INT(mbr_close(l, qd), 0);
    }
    mbr_libos_close(l);
}

static void be_client(struct stage_actor *parent, void *arg)
{
    const struct pair *pair = arg;
    struct sockaddr_in a = address();
    demi_qtoken_t qt;
    int qd = -1;

    become(pair->client);
    struct mbr_libos *l = open_catloop();

    for (int round = 0; round < 2; round++) {
        CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
        CHECK_INT(mbr_connect(l, qd, (struct sockaddr *)&a, sizeof(a), &qt), 0);
        demi_qresult_t qr = native_finish(l, qt);

        native_expect(&qr, DEMI_OPC_CONNECT, 0);
        confined_exchange(l, qd, false, TRIPS);
        if (round == 0)
            CHECK_INT(mbr_close(l, qd), 0);
    }
    (void)stage_hear(parent); /* killed */
}

static void play(enum way of_server, enum way of_client)
{
    struct pair pair = {of_server, of_client};
    struct stage_actor server, client;

    confined_names();
    stage_spawn(&server, be_server, &pair);
    (void)stage_hear(&server);
    stage_spawn(&client, be_client, &pair);
    (void)stage_hear(&server);
    stage_kill(&client);
    stage_join_ok(&server);
}

static void server_not_dumpable(void **state)
{
    play(NOT_DUMPABLE, VISIBLE);
}

static void client_not_dumpable(void **state)
{
    play(VISIBLE, NOT_DUMPABLE);
}

static void neither_dumpable(void **state)
{
    play(NOT_DUMPABLE, NOT_DUMPABLE);
}

static bool namespaces_allowed(void)
{
    pid_t child = fork();
    int status = 1;

    CHECK(child >= 0);
    if (child == 0)
        _exit(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0 &&
                      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
                  ? 0
                  : 1);
    CHECK(waitpid(child, &status, 0) == child);
    return status == 0;
}

static void server_in_a_namespace(void **state)
{
    if (!namespaces_allowed())
        skip();
    play(OTHER_NAMESPACE, VISIBLE);
}

static void client_in_a_namespace(void **state)
{
    if (!namespaces_allowed())
        skip();
    play(VISIBLE, OTHER_NAMESPACE);
}

static void both_in_namespaces(void **state)
{
    if (!namespaces_allowed())
        skip();
    play(OTHER_NAMESPACE, OTHER_NAMESPACE);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_not_dumpable),   cmocka_unit_test(client_not_dumpable),
        cmocka_unit_test(neither_dumpable),      cmocka_unit_test(server_in_a_namespace),
        cmocka_unit_test(client_in_a_namespace), cmocka_unit_test(both_in_namespaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
