/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer of catloop's sockets: it connects and is connected to as it should be, and writes
 * random and adversarial values, and records that look right, over everything of its own that its
 * victim reads, while connections are made, used, ended and made again and datagrams travel. The
 * victim may end a connection with a typed error or carry on; it must not crash, hang, lose a
 * descriptor, or harm the connection it has with an honest peer. Best run under ASan. The argument
 * is the number of seconds. The twin of hostile_test.c, which is about pipes.
 */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <membrane/socket.h>

#include "../multi/native_util.h"
#include "assault.h"
#include "ring/ring_shm.h"
#include "scribble.h"

#include <cmocka.h>

#define VICTIM   7300 /* ports; those of datagrams are the same */
#define ATTACKER 7301
#define HONEST   7302
#define PEACEFUL 20 /* turns that an attacker is connected before it begins */

static unsigned int seconds = 20;

/* All choices of one round; the same in every process. */
struct round {
    uint64_t random;
    bool attacker_serves; /* the victim connects, else the attacker does */
    bool heads_only;      /* scribbles where indices are, not over records */
    bool forges;          /* writes headers of records, too */
    bool storms;          /* without pause, else now and then */
    bool datagrams;
};

static struct round round_of(uint64_t index)
{
    uint64_t random = stage_seed() + index * 1000003;

    return (struct round){
        .attacker_serves = stage_below(&random, 2),
        .heads_only = stage_below(&random, 3) == 0,
        .forges = stage_below(&random, 2),
        .storms = stage_below(&random, 2),
        .datagrams = stage_below(&random, 3) == 0,
        .random = stage_random(&random),
    };
}

static struct sockaddr_in address(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static struct mbr_libos *open_catloop(void)
{
    const struct mbr_libos_options options = {.size = sizeof(options), .capacity = 65536};
    struct mbr_libos *l = NULL;

    CHECK_INT(mbr_libos_open("catloop", &options, &l), 0);
    return l;
}

static int bound(struct mbr_libos *l, int type, uint16_t port)
{
    struct sockaddr_in a = address(port);
    int qd = -1;

    CHECK_INT(mbr_socket(l, AF_INET, type, 0, &qd), 0);
    CHECK_INT(mbr_bind(l, qd, (struct sockaddr *)&a, sizeof(a)), 0);
    if (type == SOCK_STREAM)
        CHECK_INT(mbr_listen(l, qd, 8), 0);
    return qd;
}

static void turn(struct mbr_libos *l)
{
    demi_qresult_t qr;
    int offset;

    (void)mbr_wait_any(l, &(demi_qtoken_t){0}, 0, 0, &qr, &offset);
}

/* ---- the attacker: its own library may notice, fail or crash ---- */

struct attacker {
    struct mbr_libos *l;
    int listener, conn, datagram;
};

static bool is_connected(struct mbr_libos *l, int qd)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);

    return qd >= 0 && mbr_getpeername(l, qd, (struct sockaddr *)&peer, &size) == 0;
}

static void attacker_goes_on(struct attacker *a, const struct round *r, uint64_t *random)
{
    struct sockaddr_in victim = address(VICTIM);
    char data[3000] = {0};

    turn(a->l);
    if (a->conn < 0 && r->attacker_serves)
        (void)mbr_sock_accept(a->l, a->listener, &a->conn);
    if (a->conn < 0 && !r->attacker_serves &&
        mbr_socket(a->l, AF_INET, SOCK_STREAM, 0, &a->conn) == 0)
        (void)mbr_sock_connect(a->l, a->conn, (struct sockaddr *)&victim, sizeof(victim));
    if (a->conn >= 0) {
        (void)mbr_sock_send(a->l, a->conn, data, 1 + stage_below(random, sizeof(data)), NULL, 0);
        (void)mbr_sock_recv(a->l, a->conn, data, sizeof(data), 0, NULL, NULL);
    }
    if (is_connected(a->l, a->conn) ? stage_below(random, 8) == 0
                                    : a->conn >= 0 && stage_below(random, 200) == 0) {
        (void)mbr_close(a->l, a->conn);
        a->conn = -1;
    }
    if (r->datagrams)
        (void)mbr_sock_send(a->l, a->datagram, data, stage_below(random, sizeof(data)),
                            (struct sockaddr *)&victim, sizeof(victim));
}

/* The header of a record that could stand there. */
static void forge(const struct target *t, uint64_t *random)
{
    static const uint32_t lengths[] = {0, 1, 4, 8, 64, 63, 2000, 65536, UINT32_MAX};
    uint64_t kind = stage_below(random, 8) == 0 ? MBR__RECORD_END : stage_below(random, 20);

    t->words[stage_below(random, t->count)] =
        kind << 32 | lengths[stage_below(random, sizeof(lengths) / sizeof(lengths[0]))];
}

static void attack(struct stage_actor *parent, void *arg)
{
    struct round r = round_of(*(uint64_t *)arg);
    struct target targets[TARGETS_MAX];
    struct attacker a = {.l = open_catloop(), .conn = -1};
    uint64_t told = 0, met = 0;
    int n = 0;

    a.listener = bound(a.l, SOCK_STREAM, ATTACKER);
    a.datagram = bound(a.l, SOCK_DGRAM, ATTACKER);
    stage_say(parent, 1);
    for (uint64_t i = 0;; i++) {
        /* Connections go well for a while, and then some do between the blows. */
        if (met < PEACEFUL || i % 64 == 0) {
            attacker_goes_on(&a, &r, &r.random);
            met += is_connected(a.l, a.conn);
        }
        if (i % 1024 == 0 || met == PEACEFUL)
            n = find_targets(targets, r.heads_only);
        if (n == 0 || met < PEACEFUL)
            continue;
        if (told++ == 0) {
            stage_say(parent, 2);
            /* From now on this process may crash, and nobody wants to read about it. */
            CHECK(freopen("/dev/null", "w", stderr) != NULL);
            CHECK(freopen("/dev/null", "w", stdout) != NULL);
        }
        struct target *t = &targets[stage_below(&r.random, (uint64_t)n)];

        if (r.forges && stage_below(&r.random, 4) == 0)
            forge(t, &r.random);
        else
            scribble(t, &r.random);
        for (volatile int pause = 0; !r.storms && pause < 30000; pause++)
            continue;
    }
}

/* ---- the victim ---- */

struct victim {
    struct mbr_libos *l;
    int listener, datagram, honest, conn;
    uint64_t random, honest_count, ended, connected;
    demi_qtoken_t push, pop, sent, got; /* 0: none under way; the latter two are datagrams' */
};

static bool is_typed(int error)
{
    return error == EPROTO || error == ECONNRESET || error == EBADF || error == EPIPE ||
           error == ECONNREFUSED || error == ENOTCONN || error == ENOMEM || error == EADDRINUSE;
}

static void accept_error(int64_t r)
{
    /* A record of which recv has taken a part is not for a pop: -EBUSY. */
    if (r < 0 && r != -EAGAIN && r != -EINPROGRESS && r != -EALREADY && r != -EBUSY &&
        !is_typed((int)-r))
        stage_fail_int(__FILE__, __LINE__, "a hostile peer's error", r, -EPROTO);
}

/* Reads every byte, as a program would: ASan sees one that is not there. */
static void touch(const void *data, uint64_t n)
{
    const volatile unsigned char *p = data;
    unsigned int sum = 0;

    for (uint64_t i = 0; i < n; i++)
        sum += p[i];
    (void)sum;
}

/* What has come of an operation, if it has ended. */
static void look(struct victim *v, demi_qtoken_t *qt)
{
    demi_qresult_t qr;
    int r = *qt == 0 ? -ETIMEDOUT : mbr_wait(v->l, *qt, stage_below(&v->random, 2) * 50000, &qr);

    if (r == -ETIMEDOUT)
        return;
    CHECK_INT(r, 0);
    *qt = 0;
    if (qr.qr_opcode == DEMI_OPC_FAILED)
        accept_error(-qr.qr_ret);
    if (qr.qr_opcode == DEMI_OPC_POP) {
        CHECK(qr.qr_value.sga.sga_segs[0].sgaseg_len <= MBR_MESSAGE_MAX);
        touch(qr.qr_value.sga.sga_segs[0].sgaseg_buf, qr.qr_value.sga.sga_segs[0].sgaseg_len);
        CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
    }
}

static void talk_honestly(struct victim *v)
{
    for (int i = 0; i < 3; i++) {
        size_t size = 1 + v->honest_count * 977 % 9000;

        native_push(v->l, v->honest, size, v->honest_count);
        native_pop(v->l, v->honest, size, v->honest_count);
        v->honest_count++;
    }
}

static void end_connection(struct victim *v)
{
    if (v->conn >= 0)
        CHECK_INT(mbr_close(v->l, v->conn), 0);
    v->conn = -1;
    /* What was under way has ended with it, if not before. */
    for (int i = 0; i < 2; i++) {
        demi_qtoken_t *qt = i == 0 ? &v->push : &v->pop;

        if (*qt != 0)
            look(v, qt);
        CHECK(*qt == 0);
    }
    v->ended++;
}

static void begin_connection(struct victim *v, const struct round *r)
{
    struct sockaddr_in to = address(ATTACKER);

    if (r->attacker_serves) {
        CHECK_INT(mbr_socket(v->l, AF_INET, SOCK_STREAM, 0, &v->conn), 0);
        int rc = mbr_sock_connect(v->l, v->conn, (struct sockaddr *)&to, sizeof(to));

        accept_error(rc);
        if (rc != 0 && rc != -EINPROGRESS)
            end_connection(v);
    } else {
        accept_error(mbr_sock_accept(v->l, v->listener, &v->conn));
    }
}

static void push_something(struct victim *v)
{
    demi_sgarray_t sga;

    look(v, &v->push);
    if (v->push != 0)
        return;
    sga = mbr_sga_alloc(1 + stage_below(&v->random, 9000));
    CHECK(sga.sga_buf != NULL);
    memset(sga.sga_segs[0].sgaseg_buf, 1, sga.sga_segs[0].sgaseg_len);
    accept_error(mbr_push(v->l, v->conn, &sga, &v->push));
    CHECK_INT(mbr_sga_free(&sga), 0);
}

static void use_connection(struct victim *v)
{
    char data[5000];
    size_t bytes = 0;
    int64_t r;

    v->connected += is_connected(v->l, v->conn);
    switch (stage_below(&v->random, 8)) {
    case 0:
    case 1:
        push_something(v);
        return;
    case 2:
    case 3:
        look(v, &v->pop);
        if (v->pop == 0)
            accept_error(mbr_pop(v->l, v->conn, stage_below(&v->random, 3) * 100, &v->pop));
        return;
    case 4:
        memset(data, 3, sizeof(data));
        r = mbr_sock_send(v->l, v->conn, data, stage_below(&v->random, sizeof(data)), NULL, 0);
        accept_error(r);
        return;
    case 5:
    case 6:
        r = mbr_sock_recv(v->l, v->conn, data, stage_below(&v->random, sizeof(data)),
                          stage_below(&v->random, 4) == 0 ? MBR_SOCK_PEEK : 0, NULL, NULL);
        accept_error(r);
        touch(data, r > 0 ? (uint64_t)r : 0);
        return;
    default:
        r = mbr_sock_ready(v->l, v->conn, &bytes);
        CHECK(r >= 0 && bytes <= MBR_MESSAGE_MAX);
        if (stage_below(&v->random, 8) == 0)
            accept_error(mbr_shutdown(v->l, v->conn, MBR_SHUT_SEND));
        return;
    }
}

static void use_datagrams(struct victim *v)
{
    struct sockaddr_in to = address(ATTACKER);

    look(v, &v->sent);
    look(v, &v->got);
    if (v->sent == 0) {
        demi_sgarray_t sga = mbr_sga_alloc(1 + stage_below(&v->random, 60000));

        CHECK(sga.sga_buf != NULL);
        memset(sga.sga_segs[0].sgaseg_buf, 2, sga.sga_segs[0].sgaseg_len);
        CHECK_INT(mbr_pushto(v->l, v->datagram, &sga, (struct sockaddr *)&to, sizeof(to), &v->sent),
                  0);
        CHECK_INT(mbr_sga_free(&sga), 0);
    }
    if (v->got == 0)
        CHECK_INT(mbr_pop(v->l, v->datagram, 0, &v->got), 0);
}

static void suffer(struct victim *v, const struct round *r, struct stage_actor *parent)
{
    while (!stage_peek(parent)) {
        turn(v->l);
        if (v->conn < 0)
            begin_connection(v, r);
        else if (stage_below(&v->random, 40) == 0)
            end_connection(v);
        else
            use_connection(v);
        if (r->datagrams && stage_below(&v->random, 4) == 0)
            use_datagrams(v);
        if (stage_below(&v->random, 64) == 0)
            talk_honestly(v);
    }
    (void)stage_hear(parent);
    end_connection(v);
    talk_honestly(v);
}

/* Descriptors of the victim when it has had time to look at everything that was sent to it. What
 * waits in the queue of the listener, and datagrams that were not popped, are part of what an
 * attacker has left: they are taken. */
static size_t settled_fds(struct victim *v)
{
    demi_qresult_t qr;
    int qd = -1;
    int offset;

    talk_honestly(v);
    for (int i = 0; i < 5; i++) {
        int r = mbr_wait_any(v->l, &(demi_qtoken_t){0}, 0, 1000000, &qr, &offset);

        CHECK_INT(r, -ETIMEDOUT);
        look(v, &v->sent);
        for (int k = 0; k < 1000; k++) {
            if (v->got == 0)
                CHECK_INT(mbr_pop(v->l, v->datagram, 0, &v->got), 0);
            look(v, &v->got);
            if (v->got != 0)
                break;
        }
        while (mbr_sock_accept(v->l, v->listener, &qd) == 0)
            CHECK_INT(mbr_close(v->l, qd), 0);
    }
    return stage_count_fds();
}

static void be_victim(struct stage_actor *parent, void *arg)
{
    struct victim v = {.l = open_catloop(), .conn = -1};
    struct sockaddr_in honest = address(HONEST);
    uint64_t index;
    demi_qtoken_t qt;

    v.listener = bound(v.l, SOCK_STREAM, VICTIM);
    v.datagram = bound(v.l, SOCK_DGRAM, VICTIM);
    CHECK_INT(mbr_socket(v.l, AF_INET, SOCK_STREAM, 0, &v.honest), 0);
    CHECK_INT(mbr_connect(v.l, v.honest, (struct sockaddr *)&honest, sizeof(honest), &qt), 0);
    demi_qresult_t qr = native_finish(v.l, qt);

    native_expect(&qr, DEMI_OPC_CONNECT, 0);
    stage_say(parent, settled_fds(&v));
    while (stage_listen(parent, &index)) {
        struct round r = round_of(index);

        v.random = ~r.random;
        alarm(30 * stage_slowness()); /* a hang is the end of the test */
        suffer(&v, &r, parent);
        stage_say(parent, v.connected > 0);
        v.connected = 0;
        /* Once the attacker is dead nothing may be left of it. */
        (void)stage_hear(parent);
        stage_say(parent, settled_fds(&v));
    }
    mbr_libos_close(v.l);
}

static void be_honest(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_catloop();
    int listener = bound(l, SOCK_STREAM, HONEST);
    demi_qtoken_t qt;

    alarm(0); /* it lives as long as the test */
    CHECK_INT(mbr_accept(l, listener, &qt), 0);
    stage_say(parent, 1);
    demi_qresult_t qr = native_finish(l, qt);

    native_echo(l, qr.qr_value.ares.qd);
    mbr_libos_close(l);
}

/* ---- the test ---- */

static void play_round(struct stage_actor *victim, uint64_t index, struct assault *assault)
{
    struct stage_actor attacker;
    uint64_t word;

    stage_spawn(&attacker, attack, &index);
    CHECK_INT(stage_hear(&attacker), 1);
    stage_say(victim, index);
    assault_goes_on(150 + (unsigned int)(index % 5) * 40);
    if (index % 3)
        kill(attacker.pid, SIGKILL); /* else it goes on while the victim closes */
    stage_say(victim, 1);
    assault->met += stage_hear(victim);
    kill(attacker.pid, SIGKILL);
    while (stage_listen(&attacker, &word))
        assault->scribbled += word == 2;
    (void)stage_join(&attacker); /* however it ended */
    stage_say(victim, 1);
    assault_check_fds(assault, victim, stage_hear(victim));
}

static void scribbling_peer(void **state)
{
    struct stage_actor victim, honest;

    (void)stage_seed();
    stage_spawn(&honest, be_honest, NULL);
    CHECK_INT(stage_hear(&honest), 1);
    stage_spawn(&victim, be_victim, NULL);
    struct assault assault = assault_run(seconds, &victim, &honest, play_round);

    CHECK(assault.scribbled > assault.rounds / 4 && assault.met > assault.rounds / 4);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scribbling_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = (unsigned int)strtoul(argv[1], NULL, 10);
    return stage_main(60 + seconds, argc, argv, run);
}
