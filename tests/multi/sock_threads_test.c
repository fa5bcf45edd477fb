/* SPDX-License-Identifier: MIT */
/*
 * Instances of all kinds in many threads of one process: servers and clients of catnap and catloop
 * and pipes of catmem at the same time, each thread with its own instances through the native
 * handles; and waits of sockets that another thread interrupts. Best run under TSan. The twin of
 * threads_test.c, which is about pipes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <membrane/socket.h>

#include "native_util.h"

#include <cmocka.h>

#define CLIENTS 3 /* of each kind */
#define ROUNDS  8 /* connections of each */
#define TRIPS   40

static const char *const kinds[] = {"catnap", "catloop"};

/* Ports that the servers of this process have been given; 0 not yet. */
static atomic_uint ports[2];

static struct sockaddr_in address(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static struct mbr_libos *open_kind(const char *kind)
{
    struct mbr_libos *l = NULL;

    CHECK_INT(mbr_libos_open(kind, NULL, &l), 0);
    return l;
}

/* Pops until so many bytes have come: a stream may give them in pieces. */
static void pop_bytes(struct mbr_libos *l, int qd, size_t n)
{
    while (n > 0) {
        demi_qresult_t qr = native_finish(l, native_start_pop(l, qd, n));

        native_expect(&qr, DEMI_OPC_POP, 0);
        size_t len = qr.qr_value.sga.sga_segs[0].sgaseg_len;

        CHECK(len > 0 && len <= n);
        n -= len;
        CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
    }
}

static void echo_connection(struct mbr_libos *l, int qd)
{
    for (uint64_t i = 0; i < TRIPS; i++) {
        pop_bytes(l, qd, 100 + i);
        native_push(l, qd, 100 + i, i);
    }
    native_pop_eof(l, qd);
    CHECK_INT(mbr_close(l, qd), 0);
}

static void *be_server(void *arg)
{
    int which = *(const int *)arg;
    struct mbr_libos *l = open_kind(kinds[which]);
    struct sockaddr_in a = address(0);
    socklen_t size = sizeof(a);
    demi_qtoken_t qt;
    int listener = -1;

    CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &listener), 0);
    CHECK_INT(mbr_bind(l, listener, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(mbr_listen(l, listener, 64), 0);
    CHECK_INT(mbr_getsockname(l, listener, (struct sockaddr *)&a, &size), 0);
    atomic_store(&ports[which], ntohs(a.sin_port));
    for (int i = 0; i < CLIENTS * ROUNDS; i++) {
        CHECK_INT(mbr_accept(l, listener, &qt), 0);
        demi_qresult_t qr = native_finish(l, qt);

        CHECK_INT(qr.qr_opcode, DEMI_OPC_ACCEPT);
        echo_connection(l, qr.qr_value.ares.qd);
    }
    mbr_libos_close(l);
    return NULL;
}

static void *be_client(void *arg)
{
    int which = *(const int *)arg;
    struct mbr_libos *l = open_kind(kinds[which]);
    struct mbr_libos *pipes = open_kind("catmem"); /* a second instance in the same thread */
    char name[40];
    unsigned port;

    snprintf(name, sizeof(name), "client-%p", (void *)l);
    int created = native_create(pipes, name);
    int opened = native_open(pipes, name);

    while ((port = atomic_load(&ports[which])) == 0)
        sched_yield();
    struct sockaddr_in to = address(port);

    for (int round = 0; round < ROUNDS; round++) {
        demi_qtoken_t qt;
        int qd = -1;

        CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
        CHECK_INT(mbr_connect(l, qd, (struct sockaddr *)&to, sizeof(to), &qt), 0);
        demi_qresult_t qr = native_finish(l, qt);

        native_expect(&qr, DEMI_OPC_CONNECT, 0);
        for (uint64_t i = 0; i < TRIPS; i++) {
            native_push(l, qd, 100 + i, i);
            pop_bytes(l, qd, 100 + i);
            native_push(pipes, created, 50, i);
            native_pop(pipes, opened, 50, i);
        }
        CHECK_INT(mbr_close(l, qd), 0);
    }
    mbr_libos_close(l);
    mbr_libos_close(pipes);
    return NULL;
}

static void all_kinds_at_once(void **state)
{
    pthread_t threads[2 * (CLIENTS + 1)];
    static int which[2] = {0, 1};
    int n = 0;

    for (int k = 0; k < 2; k++) {
        CHECK(pthread_create(&threads[n++], NULL, be_server, &which[k]) == 0);
        for (int i = 0; i < CLIENTS; i++)
            CHECK(pthread_create(&threads[n++], NULL, be_client, &which[k]) == 0);
    }
    while (n > 0)
        CHECK(pthread_join(threads[--n], NULL) == 0);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

/* ---- interrupting ---- */

struct waiter {
    const char *kind;
    _Atomic(struct mbr_libos *) l;
    atomic_int heard;
};

/* Waits for an accept that never comes, and for readiness; each ends by an interrupt alone. */
static void *wait_in_vain(void *arg)
{
    struct waiter *w = arg;
    struct mbr_libos *l = open_kind(w->kind);
    struct sockaddr_in a = address(0);
    struct mbr_ready_event event;
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int qd = -1;

    CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
    CHECK_INT(mbr_bind(l, qd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(mbr_listen(l, qd, 1), 0);
    CHECK_INT(mbr_accept(l, qd, &qt), 0);
    atomic_store(&w->l, l);
    for (int i = 0; i < 50; i++) {
        int r = i % 2 == 0 ? mbr_wait(l, qt, MBR_FOREVER, &qr)
                           : mbr_ready_next(l, MBR_FOREVER, &event, 1);

        CHECK_INT(r, -EINTR);
        atomic_fetch_add(&w->heard, 1);
    }
    atomic_store(&w->l, NULL);
    while (atomic_load(&w->heard) >= 0) /* until nobody interrupts it any more */
        sched_yield();
    mbr_libos_close(l);
    return NULL;
}

static void interrupt_from_another_thread(void **state)
{
    for (int k = 0; k < 2; k++) {
        struct waiter w = {.kind = kinds[k]};
        pthread_t thread;
        struct mbr_libos *l = NULL;

        CHECK(pthread_create(&thread, NULL, wait_in_vain, &w) == 0);
        while ((l = atomic_load(&w.l)) == NULL)
            sched_yield();
        /* One at a time, each as soon as the last one was heard: before, in and after its wait. */
        for (int i = 0; i < 50; i++) {
            mbr_libos_interrupt(l);
            while (atomic_load(&w.heard) == i)
                sched_yield();
        }
        atomic_store(&w.heard, -1);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_at_once),
        cmocka_unit_test(interrupt_from_another_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
