/* SPDX-License-Identifier: MIT */
/*
 * A server with many clients, through the Demikernel C API as its users write it: an array of
 * tokens, demi_wait_any, the token replaced by the next one. Some clients close, some are killed,
 * some come back under their old name; the server serves the others. Not here: two processes alone.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../conformance/demi_util.h"

#include <cmocka.h>

#define CLIENTS 12
#define VISITS  3
#define TRIPS   200

/* One pipe for each client, made anew when the client has gone. */
struct server {
    int qds[CLIENTS];
    demi_qtoken_t qts[CLIENTS];
    int closed, reset;
};

static void welcome(struct server *s, int i)
{
    char name[32];

    snprintf(name, sizeof(name), "client-%d", i);
    s->qds[i] = create_pipe(name);
    s->qts[i] = start_pop(s->qds[i]);
}

/* The echo is pushed and not waited for: its token is dropped by what follows. */
static void answer(struct server *s, int i, demi_qresult_t *qr)
{
    demi_qtoken_t push;

    if (qr->qr_opcode == DEMI_OPC_FAILED) {
        expect_failed(qr, s->qds[i], ECONNRESET);
        s->reset++;
    } else if (qr->qr_value.sga.sga_segs[0].sgaseg_len == 0) {
        expect_eof(qr, s->qds[i]);
        s->closed++;
    } else {
        CHECK_INT(demi_push(&push, s->qds[i], &qr->qr_value.sga), 0);
        CHECK_INT(demi_sgafree(&qr->qr_value.sga), 0);
        demi_qresult_t pushed = finish(push);
        CHECK(pushed.qr_opcode == DEMI_OPC_PUSH || pushed.qr_ret == ECONNRESET);
        s->qts[i] = start_pop(s->qds[i]);
        return;
    }
    CHECK_INT(demi_close(s->qds[i]), 0);
    welcome(s, i);
}

static void serve(struct stage_actor *parent, void *arg)
{
    struct server s = {.closed = 0};

    alarm(0);
    start_demi();
    for (int i = 0; i < CLIENTS; i++)
        welcome(&s, i);
    stage_say(parent, 1);
    while (s.closed + s.reset < CLIENTS * VISITS) {
        demi_qresult_t qr;
        int i = -1;
        CHECK_INT(demi_wait_any(&qr, &i, s.qts, CLIENTS, NULL), 0);
        CHECK(i >= 0 && i < CLIENTS && qr.qr_qd == s.qds[i]);
        answer(&s, i, &qr);
    }
    stage_say(parent, (uint64_t)s.closed);
    stage_say(parent, (uint64_t)s.reset);
}

static void visit(struct stage_actor *parent, void *arg)
{
    int number = *(int *)arg, qd = -1, rc;
    char name[32];

    start_demi();
    snprintf(name, sizeof(name), "client-%d", number % CLIENTS);
    /* The client before this one may not have been seen off yet. */
    while ((rc = demi_open_pipe(&qd, name)) == EBUSY || rc == ENOENT)
        sched_yield();
    CHECK_INT(rc, 0);
    for (uint64_t i = 0; i < TRIPS; i++) {
        push_message(qd, 1 + i * (uint64_t)number, i);
        pop_message(qd, 1 + i * (uint64_t)number, i);
    }
    if (number % 3 == 0)
        raise(SIGKILL);
    CHECK_INT(demi_close(qd), 0);
}

static void server_with_many_clients(void **state)
{
    struct stage_actor server, clients[CLIENTS];
    int killed = 0;

    stage_spawn(&server, serve, NULL);
    (void)stage_hear(&server);
    for (int visit_number = 0; visit_number < VISITS; visit_number++) {
        for (int i = 0; i < CLIENTS; i++) {
            int number = visit_number * CLIENTS + i;
            stage_spawn(&clients[i], visit, &number);
            killed += number % 3 == 0;
        }
        for (int i = 0; i < CLIENTS; i++) {
            int status = stage_join(&clients[i]);
            CHECK_INT(status, i % 3 == 0 ? SIGKILL : 0);
        }
    }
    CHECK_INT(stage_hear(&server), CLIENTS * VISITS - killed);
    CHECK_INT(stage_hear(&server), killed);
    stage_join_ok(&server);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(server_with_many_clients)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
