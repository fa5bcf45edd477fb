/* SPDX-License-Identifier: MIT */
/*
 * Who talks to whom. Several servers, each a process with a port of its own at one address, and
 * clients that connect to any of them at the same time, while servers and clients are killed at
 * random moments, most of them in the midst of a handshake. In its first message each connection
 * says who it is, and the answer must be that very one, from the server that was meant; what a
 * server sees as its peer's address must be the client's own.
 *
 *   test_sock_identity catnap|catloop [KILLS]
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "../conformance/sock_util.h"

#include <cmocka.h>

#define PORT        6100
#define SERVERS     3
#define CLIENTS     4
#define MOST        400   /* connections of a server at one time */
#define AT_ONCE     40    /* connections that a client begins at the same moment */
#define CROWD       6     /* clients that do so: hundreds of connections */
#define SERVER_EACH 5     /* of so many kills one is a server's */
#define MAX_DELAY   20000 /* rounds of the loop before a kill */
#define SLACK       40    /* descriptors that may come and go */

static uint64_t kills = 1000;

/* What travels, there and back. */
struct word {
    uint64_t magic;
    uint64_t client; /* process, and which of its connections */
    uint64_t number;
    uint16_t server; /* the one that is meant, and the one that answers */
    uint16_t port;   /* the client's own; as the server sees it */
    uint32_t held;   /* descriptors of the server */
    uint64_t padding[4];
};

#define MAGIC UINT64_C(0x77686f6973776865)

static uint16_t port_of(const struct sockaddr_in *a)
{
    return ntohs(a->sin_port);
}

/* ---- servers --------------------------------------------------------------------------------- */

struct guest {
    demi_qtoken_t qt;
    uint16_t port; /* of its peer, as the accept has told it */
};

/* A pop has completed: whether the connection goes on. */
static bool serve(demi_qresult_t *qr, const struct guest *g, uint16_t server)
{
    demi_sgarray_t *sga = &qr->qr_value.sga;
    demi_qtoken_t qt;
    bool goes_on = false;

    if (qr->qr_opcode != DEMI_OPC_POP)
        return false;
    if (sga->sga_segs[0].sgaseg_len > 0) {
        struct word w;

        CHECK_INT(sga->sga_segs[0].sgaseg_len, sizeof(w));
        memcpy(&w, sga->sga_segs[0].sgaseg_buf, sizeof(w));
        CHECK(w.magic == MAGIC);
        CHECK_INT(w.port, g->port);
        CHECK_INT(w.server, server);
        w.held = (uint32_t)stage_count_fds();
        memcpy(sga->sga_segs[0].sgaseg_buf, &w, sizeof(w));
        if (demi_push(&qt, qr->qr_qd, sga) == 0) {
            demi_qresult_t done = finish(qt);

            goes_on = done.qr_opcode == DEMI_OPC_PUSH;
        }
    }
    CHECK_INT(demi_sgafree(sga), 0);
    return goes_on;
}

static void server(struct stage_actor *parent, void *arg)
{
    static struct guest guests[MOST];
    static demi_qtoken_t qts[MOST + 1];
    uint16_t me = *(uint16_t *)arg;
    demi_qresult_t qr;
    int n = 0, at;

    start_demi();
    alarm(0); /* it lives until it is killed */
    int listener = sock_listening((uint16_t)(PORT + me), SOMAXCONN);

    qts[0] = start_accept(listener);
    stage_say(parent, 1);
    for (;;) {
        CHECK_INT(demi_wait_any(&qr, &at, qts, n + 1, NULL), 0);
        if (at == 0) {
            CHECK_INT(qr.qr_opcode, DEMI_OPC_ACCEPT);
            CHECK(n < MOST);
            struct sockaddr_in from = qr.qr_value.ares.addr;

            guests[n].port = port_of(&from);
            qts[++n] = start_pop(qr.qr_value.ares.qd);
            qts[0] = start_accept(listener);
        } else if (serve(&qr, &guests[at - 1], me)) {
            qts[at] = start_pop(qr.qr_qd);
        } else {
            CHECK_INT(demi_close(qr.qr_qd), 0);
            qts[at] = qts[n];
            guests[at - 1] = guests[--n];
        }
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

static bool is_told(const demi_qresult_t *qr)
{
    return qr->qr_opcode == DEMI_OPC_FAILED &&
           (qr->qr_ret == ECONNREFUSED || qr->qr_ret == ECONNRESET || qr->qr_ret == EPIPE ||
            qr->qr_ret == EADDRNOTAVAIL);
}

/* Says who this is over a connection, and hears it again. 1, or 0 and it was told that the server
 * has gone. */
static int introduce(int qd, uint16_t to, uint64_t number, uint32_t *held)
{
    struct word mine = {.magic = MAGIC, .client = (uint64_t)getpid(), .number = number};
    struct sockaddr_in own;
    socklen_t size = sizeof(own);
    demi_sgarray_t sga = demi_sgaalloc(sizeof(mine));
    demi_qtoken_t qt;

    CHECK_INT(demi_getsockname(qd, (struct sockaddr *)&own, &size), 0);
    mine.port = port_of(&own);
    mine.server = to;
    memcpy(sga.sga_segs[0].sgaseg_buf, &mine, sizeof(mine));
    CHECK_INT(demi_push(&qt, qd, &sga), 0);
    CHECK_INT(demi_sgafree(&sga), 0);
    demi_qresult_t qr = finish(qt);

    CHECK(qr.qr_opcode == DEMI_OPC_PUSH || is_told(&qr));
    if (qr.qr_opcode != DEMI_OPC_PUSH)
        return 0;
    qr = finish(start_pop(qd));
    CHECK(qr.qr_opcode == DEMI_OPC_POP || is_told(&qr));
    if (qr.qr_opcode != DEMI_OPC_POP)
        return 0;
    struct word back = {0};
    uint32_t len = qr.qr_value.sga.sga_segs[0].sgaseg_len;

    CHECK(len == sizeof(back) || len == 0);
    if (len > 0)
        memcpy(&back, qr.qr_value.sga.sga_segs[0].sgaseg_buf, sizeof(back));
    CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    if (len == 0)
        return 0;
    *held = back.held;
    back.held = 0;
    CHECK(memcmp(&back, &mine, sizeof(back)) == 0); /* or it was matched to somebody else */
    return 1;
}

static int talk(uint16_t to, uint64_t number, uint32_t *held)
{
    int qd = sock_new(SOCK_STREAM);
    demi_qresult_t qr = finish(start_connect(qd, (uint16_t)(PORT + to)));
    int well = qr.qr_opcode == DEMI_OPC_CONNECT;

    CHECK(well || is_told(&qr));
    if (well)
        well = introduce(qd, to, number, held);
    CHECK_INT(demi_close(qd), 0);
    return well;
}

static void client(struct stage_actor *parent, void *arg)
{
    uint64_t seed = (uint64_t)getpid() * 7919;
    uint32_t held;

    start_demi();
    alarm(0); /* it lives until it is killed */
    stage_say(parent, 1);
    for (uint64_t number = 0;; number++)
        (void)talk((uint16_t)stage_below(&seed, SERVERS), number, &held);
}

/* Begins many connections before it waits for any, at a sign that all get at once. */
static void one_of_a_crowd(struct stage_actor *parent, void *arg)
{
    demi_qtoken_t qts[AT_ONCE];
    int qds[AT_ONCE];
    uint32_t held;

    start_demi();
    stage_say(parent, 1);
    (void)stage_hear(parent);
    for (int i = 0; i < AT_ONCE; i++) {
        qds[i] = sock_new(SOCK_STREAM);
        qts[i] = start_connect(qds[i], (uint16_t)(PORT + i % SERVERS));
    }
    for (int i = 0; i < AT_ONCE; i++) {
        demi_qresult_t qr = finish(qts[i]);

        expect_connected(&qr, qds[i]);
    }
    for (int i = AT_ONCE - 1; i >= 0; i--)
        CHECK_INT(introduce(qds[i], (uint16_t)(i % SERVERS), (uint64_t)i, &held), 1);
    for (int i = 0; i < AT_ONCE; i++)
        CHECK_INT(demi_close(qds[i]), 0);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static struct stage_actor servers[SERVERS], clients[CLIENTS];

static void start_server(uint16_t i)
{
    stage_spawn(&servers[i], server, &i);
    CHECK_INT(stage_hear(&servers[i]), 1);
}

static void start_client(int i)
{
    stage_spawn(&clients[i], client, NULL);
    CHECK_INT(stage_hear(&clients[i]), 1);
}

/* Nobody ends but by this: whoever has seen something wrong has ended by itself. */
static void end_actor(struct stage_actor *a)
{
    CHECK(kill(a->pid, SIGKILL) == 0);
    int status = stage_join(a);

    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void linger_a_moment(uint64_t *seed)
{
    for (uint64_t n = stage_below(seed, MAX_DELAY); n > 0; n--)
        __asm__ volatile("" ::: "memory");
}

static void hundreds_at_once(void **state)
{
    struct stage_actor crowd[CROWD];

    for (uint16_t i = 0; i < SERVERS; i++)
        start_server(i);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++) {
            stage_spawn(&crowd[i], one_of_a_crowd, NULL);
            CHECK_INT(stage_hear(&crowd[i]), 1);
        }
        for (int i = 0; i < CROWD; i++)
            stage_say(&crowd[i], 1);
        for (int i = 0; i < CROWD; i++)
            stage_join_ok(&crowd[i]);
    }
    for (int i = 0; i < SERVERS; i++)
        end_actor(&servers[i]);
}

static void nobody_is_taken_for_another(void **state)
{
    uint64_t seed = stage_seed();
    uint32_t first[SERVERS] = {0}, held = 0;

    for (uint16_t i = 0; i < SERVERS; i++)
        start_server(i);
    for (uint16_t i = 0; i < SERVERS; i++)
        CHECK_INT(talk(i, i, &first[i]), 1);
    for (int i = 0; i < CLIENTS; i++)
        start_client(i);
    for (uint64_t n = 1; n <= kills; n++) {
        uint16_t which = (uint16_t)stage_below(&seed, SERVERS);

        linger_a_moment(&seed);
        if (n % SERVER_EACH != 0) {
            int i = (int)stage_below(&seed, CLIENTS);

            end_actor(&clients[i]);
            start_client(i);
        } else {
            CHECK_INT(talk(which, n, &held), 1);
            CHECK(held <= first[which] + SLACK);
            end_actor(&servers[which]);
            start_server(which); /* at the same address, while clients try */
        }
        CHECK_INT(talk(which, n, &held), 1);
    }
    for (int i = 0; i < CLIENTS; i++)
        end_actor(&clients[i]);
    for (int i = 0; i < SERVERS; i++)
        end_actor(&servers[i]);
}

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundreds_at_once),
        cmocka_unit_test(nobody_is_taken_for_another),
    };

    CHECK(argc == 2 || argc == 3);
    kills = argc == 3 ? strtoull(argv[2], NULL, 10) : kills / stage_slowness();
    sock_setup(argv[1]);
    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(argc == 3 ? 900 : 100, argc, argv, run);
}
