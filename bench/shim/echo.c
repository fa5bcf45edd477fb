/* SPDX-License-Identifier: MIT */
/*
 * A server of catloop that gives back what it gets, on one connection: the peer that bench/shim.py
 * has a program under the shim meet. Prints its port, is pinned as the server of turns.c is, and
 * ends with its connection.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <membrane/socket.h>

static struct mbr_libos *libos;

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %d\n", what, r);
    exit(1);
}

static void pin(void)
{
    cpu_set_t all;
    cpu_set_t one;
    size_t cpu = 0;

    if (getenv("UNPINNED") != NULL || sched_getaffinity(0, sizeof(all), &all) < 0)
        return;
    while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
}

static demi_qresult_t finish(demi_qtoken_t qt)
{
    demi_qresult_t qr = {0};

    must(mbr_wait(libos, qt, MBR_FOREVER, &qr), "wait");
    return qr;
}

/* False: the peer is gone. */
static bool answer(int qd)
{
    demi_qtoken_t qt = 0;
    demi_qresult_t qr;
    bool more;

    must(mbr_pop(libos, qd, 0, &qt), "pop");
    qr = finish(qt);
    if (qr.qr_opcode != DEMI_OPC_POP)
        return false;
    more = qr.qr_value.sga.sga_segs[0].sgaseg_len > 0;
    if (more) {
        must(mbr_push(libos, qd, &qr.qr_value.sga, &qt), "push");
        more = finish(qt).qr_opcode == DEMI_OPC_PUSH;
    }
    (void)mbr_sga_free(&qr.qr_value.sga);
    return more;
}

int main(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof(a);
    demi_qtoken_t qt = 0;
    int listener = -1;
    int qd;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pin();
    must(mbr_libos_open("catloop", NULL, &libos), "open");
    must(mbr_socket(libos, AF_INET, SOCK_STREAM, 0, &listener), "socket");
    must(mbr_bind(libos, listener, (struct sockaddr *)&a, size), "bind");
    must(mbr_listen(libos, listener, 1), "listen");
    must(mbr_getsockname(libos, listener, (struct sockaddr *)&a, &size), "getsockname");
    printf("%u\n", ntohs(a.sin_port));
    fflush(stdout);
    must(mbr_accept(libos, listener, &qt), "accept");
    qd = finish(qt).qr_value.ares.qd;
    while (answer(qd))
        ;
    mbr_libos_close(libos);
    return 0;
}
