/* SPDX-License-Identifier: MIT */
/*
 * Sockets when memory or descriptors run out, at each point in turn: every call returns an errno, a
 * connection that is being set up completes with success or a typed error, nothing leaks
 * (AddressSanitizer looks), and everything works again afterwards. And a stranger who writes
 * whatever he likes to an instance's mailbox.
 *
 *   test_sock_resources catnap|catloop
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <membrane/socket.h>

#include "../multi/stage.h"
#include "../unit/failalloc.h"
#include "queue/catmem/half_shm.h"
#include "queue/catmem/hello.h"
#include "queue/libos.h"
#include "shm/post.h"
#include "shm/region.h"

#include <cmocka.h>

static const char *kind;

static struct sockaddr_in host(uint16_t port)
{
    unsigned id = (unsigned)getpid();
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    a.sin_addr.s_addr =
        htonl(0x7f000000u | (1 + (id >> 16) % 250) << 16 | (id & 0xff00) | (1 + id % 250));
    return a;
}

static bool is_shortage(int64_t error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -ENOBUFS ||
           error == -ENOSPC;
}

/* A failed operation has a reason that a shortage can have. */
static int outcome(int r, const demi_qresult_t *qr)
{
    if (r == 0 && qr->qr_opcode == DEMI_OPC_FAILED) {
        r = -(int)qr->qr_ret;
        CHECK(is_shortage(r) || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE);
    }
    return r;
}

/* Everything once, in one instance: bind, listen, connect, accept, push, pop, close. 0 or the first
 * error. Whatever happens, all that was made is closed with the instance. */
static int whole_life(struct mbr_libos *l)
{
    struct sockaddr_in a = host(0);
    socklen_t size = sizeof(a);
    demi_qtoken_t accept, connect, push, pop;
    demi_qresult_t qr;
    int listener, client, server = -1;
    int r = mbr_socket(l, AF_INET, SOCK_STREAM, 0, &listener);

    if (r == 0)
        r = mbr_bind(l, listener, (struct sockaddr *)&a, size);
    if (r == 0)
        r = mbr_listen(l, listener, 4);
    if (r == 0)
        r = mbr_getsockname(l, listener, (struct sockaddr *)&a, &size);
    if (r == 0)
        r = mbr_socket(l, AF_INET, SOCK_STREAM, 0, &client);
    if (r == 0)
        r = mbr_accept(l, listener, &accept);
    if (r == 0)
        r = mbr_connect(l, client, (struct sockaddr *)&a, size, &connect);
    if (r == 0)
        r = outcome(mbr_wait(l, connect, UINT64_C(2000000000), &qr), &qr);
    if (r == 0)
        r = outcome(mbr_wait(l, accept, UINT64_C(2000000000), &qr), &qr);
    if (r == 0)
        server = qr.qr_value.ares.qd;
    demi_sgarray_t sga = mbr_sga_alloc(64);

    if (r == 0 && sga.sga_buf == NULL)
        r = -ENOMEM;
    if (r == 0)
        r = mbr_push(l, client, &sga, &push);
    if (r == 0)
        r = outcome(mbr_wait(l, push, MBR_FOREVER, &qr), &qr);
    if (sga.sga_buf != NULL)
        CHECK_INT(mbr_sga_free(&sga), 0);
    if (r == 0)
        r = mbr_pop(l, server, 0, &pop);
    if (r == 0)
        r = outcome(mbr_wait(l, pop, UINT64_C(2000000000), &qr), &qr);
    if (r == 0)
        CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
    return r;
}

static void memory_runs_out(void **state)
{
    bool hit = true;

    for (unsigned n = 0; hit; n++) {
        struct mbr_libos *l = NULL;

        failalloc_arm(n);
        int r = mbr_libos_open(kind, NULL, &l);

        if (r == 0)
            r = whole_life(l);
        hit = failalloc_disarm();
        /* A connection may wait for the other side in vain: it had no memory to be told of. */
        CHECK(r == 0 || is_shortage(r) || r == -ETIMEDOUT || r == -ECONNREFUSED ||
              r == -ECONNRESET);
        CHECK(hit || r == 0);
        mbr_libos_close(l);
    }
}

static void descriptors_run_out(void **state)
{
    struct rlimit old, few;
    int r = -1;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (rlim_t n = stage_count_fds(); r != 0 && n < 200; n++) {
        struct mbr_libos *l = NULL;

        few = (struct rlimit){n, old.rlim_max};
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
        r = mbr_libos_open(kind, NULL, &l);
        if (r == 0)
            r = whole_life(l);
        CHECK(r == 0 || is_shortage(r) || r == -ECONNREFUSED || r == -ENOENT);
        mbr_libos_close(l);
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
    }
    CHECK_INT(r, 0);
}

static void allow_more_descriptors(rlim_t more)
{
    struct rlimit limit;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = fcntl(0, F_DUPFD_CLOEXEC, 0);

    CHECK(next >= 0 && close(next) == 0);
    limit.rlim_cur = (rlim_t)next + more;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

#define ROUNDS 8

static int64_t cpu_ns(void)
{
    struct timespec t;

    CHECK_INT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Waits for 200 ms in vain, and sleeps for most of it. */
static void expect_sleep(struct mbr_libos *l, demi_qtoken_t qt)
{
    demi_qresult_t qr;
    int64_t before = cpu_ns();

    CHECK_INT(mbr_wait(l, qt, UINT64_C(200000000), &qr), -ETIMEDOUT);
    CHECK(cpu_ns() - before < INT64_C(100000000));
}

/* A server that has few descriptors left; more in each round, until its client has been answered.
 */
static void serve_without_descriptors(struct stage_actor *parent, void *arg)
{
    struct sockaddr_in a = *(struct sockaddr_in *)arg;
    struct mbr_libos *l = NULL;
    demi_qtoken_t accept;
    demi_qresult_t qr;
    int listener;

    CHECK_INT(mbr_libos_open(kind, NULL, &l), 0);
    CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &listener), 0);
    CHECK_INT(mbr_bind(l, listener, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(mbr_listen(l, listener, 4), 0);
    CHECK_INT(mbr_accept(l, listener, &accept), 0);
    for (rlim_t more = 0; more < ROUNDS; more++) {
        allow_more_descriptors(more < ROUNDS - 1 ? more : 100);
        stage_say(parent, more);
        while (!stage_peek(parent)) {
            int r = mbr_wait(l, accept, UINT64_C(10000000), &qr);

            if (r == 0) {
                CHECK_INT(qr.qr_opcode, DEMI_OPC_ACCEPT);
                CHECK_INT(mbr_close(l, qr.qr_value.ares.qd), 0);
                r = mbr_accept(l, listener, &accept);
            }
            CHECK(r == 0 || r == -ETIMEDOUT);
        }
        CHECK_INT(stage_hear(parent), more);
    }
    mbr_libos_close(l);
}

/* "Every connect completes with success or a typed error", and nobody spins. */
static void server_without_descriptors(void **state)
{
    struct sockaddr_in a = host(7001);
    struct mbr_libos *l = NULL;
    struct stage_actor server;

    if (strcmp(kind, "catloop") != 0)
        return; /* the kernel accepts by itself */
    stage_spawn(&server, serve_without_descriptors, &a);
    CHECK_INT(mbr_libos_open(kind, NULL, &l), 0);
    for (int i = 0; i < ROUNDS; i++) {
        demi_qtoken_t connect;
        demi_qresult_t qr;
        int qd;

        CHECK_INT(stage_hear(&server), i);
        CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
        CHECK_INT(mbr_connect(l, qd, (struct sockaddr *)&a, sizeof(a), &connect), 0);
        CHECK_INT(mbr_wait(l, connect, MBR_FOREVER, &qr), 0);
        if (i == ROUNDS - 1 || qr.qr_ret == 0)
            CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
        else
            CHECK_INT(qr.qr_ret, ECONNREFUSED);
        CHECK_INT(mbr_close(l, qd), 0);
        stage_say(&server, (uint64_t)i);
    }
    stage_join_ok(&server);
    mbr_libos_close(l);
}

/* A creator without descriptors learns of its opener as soon as it has some, and sleeps until
 * then. */
static void creator_without_descriptors(void **state)
{
    struct mbr_libos *l = NULL, *other = NULL;
    struct rlimit old;
    demi_qtoken_t pop, push;
    demi_qresult_t qr;
    int made, opened;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_INT(mbr_libos_open(kind, NULL, &l), 0);
    CHECK_INT(mbr_libos_open(kind, NULL, &other), 0);
    CHECK_INT(mbr_pipe_create(l, "few", NULL, &made), 0);
    CHECK_INT(mbr_pop(l, made, 0, &pop), 0);
    CHECK_INT(mbr_pipe_open(other, "few", NULL, &opened), 0);
    demi_sgarray_t sga = mbr_sga_alloc(64);

    CHECK_INT(mbr_push(other, opened, &sga, &push), 0);
    CHECK_INT(mbr_sga_free(&sga), 0);
    allow_more_descriptors(0);
    expect_sleep(l, pop);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_INT(mbr_wait(l, pop, MBR_FOREVER, &qr), 0);
    CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
    CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
    mbr_libos_close(other);
    mbr_libos_close(l);
}

/* ---- a stranger ---- */

/* A note that looks like one of ours but for a few fields. */
static void send_nonsense(struct mbr__names *names, uint64_t inst, uint64_t *seed)
{
    struct mbr__region region = {.fd = -1};
    struct mbr__hello h;
    struct mbr__note note = {.len = sizeof(h)};
    uint64_t words[sizeof(h) / 8 + 1];

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        words[i] = stage_random(seed);
    memcpy(&h, words, sizeof(h));
    h.magic = MBR__HELLO_MAGIC;
    h.kind = stage_below(seed, 3) == 0 ? (uint32_t)stage_below(seed, 9)
                                       : MBR__HELLO_CONNECT + (uint32_t)stage_below(seed, 2);
    if (stage_below(seed, 2) == 0) {
        h.capacity = 4096;
        h.pid = (int32_t)getpid();
        h.wake = (int32_t)stage_below(seed, 8);
    }
    CHECK_INT(mbr__region_create("nonsense", MBR__HALF_HEAD, 4096, &region), 0);
    uint64_t *body = (uint64_t *)(void *)region.base;

    for (size_t i = 0; i < 1024; i++) /* the writable mapping outlives the seals */
        body[i] = stage_random(seed);
    if (stage_below(seed, 2) == 0) {
        struct mbr__half_shm *half = (struct mbr__half_shm *)(void *)region.base;

        half->magic = MBR__HALF_MAGIC;
        half->version = MBR__HALF_VERSION;
        half->head_size = MBR__HALF_HEAD;
        half->capacity = 4096;
        half->id[0] = h.id[0];
        half->id[1] = h.id[1];
        /* The first record: of any kind, small enough to be looked at. */
        body[MBR__HALF_HEAD / 8] =
            (uint64_t)(14 + stage_below(seed, 6)) << 32 | (stage_below(seed, 2) == 0 ? 64 : 4);
    }
    int fd = region.fd;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    note.nfds = (int)stage_below(seed, 4);
    for (int i = 0; i < note.nfds; i++)
        note.fds[i] = i == 0 ? fd : null;
    memcpy(note.data, &h, sizeof(h));
    int r = mbr__post_send(names, inst, &note, NULL);

    CHECK(r == 0 || r == -EAGAIN || r == -ETOOMANYREFS);
    close(null);
    mbr__region_release(&region);
}

static void a_stranger_is_not_believed(void **state)
{
    uint64_t seed = stage_seed();
    struct mbr_libos *l = NULL;
    struct mbr__names names;
    struct sockaddr_in a = host(0);
    int qd = -1, offset;
    demi_qresult_t qr;

    if (strcmp(kind, "catloop") != 0)
        return; /* kernel sockets have no mailbox */
    CHECK_INT(mbr_libos_open(kind, NULL, &l), 0);
    CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
    CHECK_INT(mbr_bind(l, qd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(mbr_listen(l, qd, 4), 0);
    CHECK_INT(mbr__names_open(&names), 0);
    for (unsigned i = 0; i < 2000 / stage_slowness(); i++) {
        send_nonsense(&names, l->box.inst, &seed);
        if (i % 4 == 0)
            CHECK_INT(mbr_wait_any(l, &(demi_qtoken_t){0}, 0, 0, &qr, &offset), -ETIMEDOUT);
    }
    CHECK_INT(mbr_wait_any(l, &(demi_qtoken_t){0}, 0, 1000000, &qr, &offset), -ETIMEDOUT);
    mbr__names_close(&names);
    CHECK_INT(whole_life(l), 0); /* and those who behave are served */
    mbr_libos_close(l);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(descriptors_run_out),
        cmocka_unit_test(server_without_descriptors),
        cmocka_unit_test(creator_without_descriptors),
        cmocka_unit_test(a_stranger_is_not_believed),
    };

    CHECK_INT(argc, 2);
    kind = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(100, argc, argv, run);
}
