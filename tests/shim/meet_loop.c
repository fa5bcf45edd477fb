/* SPDX-License-Identifier: MIT */
/*
 * Catloop's side of meet.sh: servers and clients on the native calls, by operations and by
 * readiness. The other side is meet_sock.c, under the shim, or any program.
 *
 *   meet_loop echo PORT CONNECTIONS [BACKLOG]   echoes, says "ready", ends after so many
 *   meet_loop pages PORT CONNECTIONS BYTES      answers each HTTP request with so many bytes
 *   meet_loop deaf PORT BACKLOG                 listens, waits, accepts nobody
 *   meet_loop client PORT BYTES                 there and back, half-closes, expects the end
 *   meet_loop many PORT CONNECTIONS             one after the other, 64 bytes each
 *   meet_loop talk PORT                         sends standard input, prints what comes till the
 * end meet_loop abandoned PORT                    says "up", and waits for the peer's death
 *   meet_loop refused PORT                      expects ECONNREFUSED
 *   meet_loop taken PORT                        expects EADDRINUSE
 */
#define _GNU_SOURCE
#include <membrane/socket.h>
#include <sys/socket.h>

#include "meet.h"

#define MOST      64
#define PATIENCE  UINT64_C(30000000000)
#define PIECE     3000
#define OPERATION 64

static struct mbr_libos *libos;

static int new_socket(void)
{
    int qd = -1;
    int r = mbr_socket(libos, AF_INET, SOCK_STREAM, 0, &qd);

    MUST(r == 0, -r);
    return qd;
}

static demi_qresult_t finish(demi_qtoken_t qt)
{
    demi_qresult_t qr = {0};
    int r = mbr_wait(libos, qt, PATIENCE, &qr);

    MUST(r == 0, -r);
    return qr;
}

static demi_qtoken_t start_pop(int qd)
{
    demi_qtoken_t qt = 0;
    int r = mbr_pop(libos, qd, 0, &qt);

    MUST(r == 0, -r);
    return qt;
}

static int listening(const char *port, int backlog)
{
    struct sockaddr_in a = meet_address(port);
    int qd = new_socket();
    int r = mbr_bind(libos, qd, (struct sockaddr *)&a, sizeof(a));

    MUST(r == 0, -r);
    r = mbr_listen(libos, qd, backlog);
    MUST(r == 0, -r);
    return qd;
}

static demi_qresult_t connect_to(const char *port, int *qd)
{
    struct sockaddr_in a = meet_address(port);
    demi_qtoken_t qt = 0;

    *qd = new_socket();
    int r = mbr_connect(libos, *qd, (struct sockaddr *)&a, sizeof(a), &qt);

    MUST(r == 0, -r);
    return finish(qt);
}

static void show_names(int qd, bool client)
{
    struct sockaddr_in own, peer;
    socklen_t size = sizeof(own);
    int r = mbr_getsockname(libos, qd, (struct sockaddr *)&own, &size);

    MUST(r == 0, -r);
    size = sizeof(peer);
    r = mbr_getpeername(libos, qd, (struct sockaddr *)&peer, &size);
    MUST(r == 0, -r);
    meet_names(client ? &own : &peer, client ? &peer : &own);
}

/* ---- servers --------------------------------------------------------------------------------- */

/* Gives back what was popped. False: the connection is over. */
static bool give_back(demi_qresult_t *qr)
{
    demi_qtoken_t qt = 0;
    bool more = qr->qr_opcode == DEMI_OPC_POP && qr->qr_value.sga.sga_segs[0].sgaseg_len > 0;

    if (more) {
        int r = mbr_push(libos, qr->qr_qd, &qr->qr_value.sga, &qt);

        MUST(r == 0, -r);
        more = finish(qt).qr_opcode == DEMI_OPC_PUSH;
    }
    if (qr->qr_opcode == DEMI_OPC_POP)
        (void)mbr_sga_free(&qr->qr_value.sga);
    if (!more)
        (void)mbr_close(libos, qr->qr_qd);
    return more;
}

static void echo(const char *port, int connections, int backlog)
{
    demi_qtoken_t qts[MOST + 1];
    int listener = listening(port, backlog);
    int n = 1;

    MUST(mbr_accept(libos, listener, &qts[0]) == 0, 0);
    meet_say("ready");
    while (connections > 0) {
        demi_qresult_t qr;
        int at = 0;
        int r = mbr_wait_any(libos, qts, n, PATIENCE, &qr, &at);

        MUST(r == 0, -r);
        if (qr.qr_opcode == DEMI_OPC_ACCEPT) {
            MUST(n <= MOST, 0);
            show_names(qr.qr_value.ares.qd, false);
            qts[n++] = start_pop(qr.qr_value.ares.qd);
            MUST(mbr_accept(libos, listener, &qts[0]) == 0, 0);
        } else if (give_back(&qr)) {
            qts[at] = start_pop(qr.qr_qd);
        } else {
            qts[at] = qts[--n];
            connections--;
        }
    }
}

static bool push(int qd, const void *bytes, size_t n)
{
    demi_sgarray_t sga = mbr_sga_alloc(n);
    demi_qtoken_t qt = 0;

    MUST(sga.sga_buf != NULL, 0);
    memcpy(sga.sga_segs[0].sgaseg_buf, bytes, n);
    int r = mbr_push(libos, qd, &sga, &qt);

    MUST(r == 0, -r);
    (void)mbr_sga_free(&sga);
    return finish(qt).qr_opcode == DEMI_OPC_PUSH;
}

/* Reads a request, which ends with an empty line, and answers it. */
static void serve_page(int qd, uint64_t size)
{
    static const char head[] = "HTTP/1.0 200 OK\r\n\r\n";
    uint8_t piece[PIECE];
    char end[4] = "";

    while (memcmp(end, "\r\n\r\n", sizeof(end)) != 0) {
        demi_qresult_t qr = finish(start_pop(qd));
        demi_sgaseg_t *seg = &qr.qr_value.sga.sga_segs[0];

        MUST(qr.qr_opcode == DEMI_OPC_POP && seg->sgaseg_len >= sizeof(end), (int)qr.qr_ret);
        memcpy(end, (uint8_t *)seg->sgaseg_buf + seg->sgaseg_len - sizeof(end), sizeof(end));
        (void)mbr_sga_free(&qr.qr_value.sga);
    }
    MUST(push(qd, head, sizeof(head) - 1), 0);
    for (uint64_t at = 0, n; at < size; at += n) {
        n = size - at < PIECE ? size - at : PIECE;
        meet_fill(piece, at, n);
        MUST(push(qd, piece, n), 0);
    }
    MUST(mbr_close(libos, qd) == 0, 0);
}

static void pages(const char *port, int connections, uint64_t size)
{
    demi_qtoken_t qt = 0;
    int listener = listening(port, 32);

    meet_say("ready");
    for (; connections > 0; connections--) {
        MUST(mbr_accept(libos, listener, &qt) == 0, 0);
        demi_qresult_t qr = finish(qt);

        MUST(qr.qr_opcode == DEMI_OPC_ACCEPT, (int)qr.qr_ret);
        serve_page(qr.qr_value.ares.qd, size);
    }
}

static void deaf(const char *port, int backlog)
{
    struct mbr_ready_event event;

    (void)listening(port, backlog);
    meet_say("ready");
    for (;;)
        (void)mbr_ready_next(libos, MBR_FOREVER, &event, 1);
}

/* ---- clients --------------------------------------------------------------------------------- */

struct stream {
    int qd;
    const uint8_t *bytes; /* what is sent; NULL: meet_fill() says */
    uint64_t size;
    uint64_t sent;
    uint64_t got;
    bool ended;
};

/* As far as it goes at once. */
static void send_some(struct stream *s)
{
    uint8_t piece[PIECE];
    int64_t n = 1;

    while (s->sent < s->size && n > 0) {
        size_t len = s->size - s->sent < PIECE ? (size_t)(s->size - s->sent) : PIECE;

        if (s->bytes == NULL)
            meet_fill(piece, s->sent, len);
        n = mbr_sock_send(libos, s->qd, s->bytes == NULL ? piece : s->bytes + s->sent, len, NULL,
                          0);
        MUST(n > 0 || n == -EAGAIN, (int)-n);
        s->sent += n > 0 ? (uint64_t)n : 0;
        if (s->sent == s->size && s->bytes == NULL)
            MUST(mbr_shutdown(libos, s->qd, MBR_SHUT_SEND) == 0, 0);
    }
}

static void receive_some(struct stream *s)
{
    uint8_t piece[PIECE];
    int64_t n;

    while ((n = mbr_sock_recv(libos, s->qd, piece, sizeof(piece), 0, NULL, NULL)) > 0) {
        if (s->bytes == NULL)
            MUST(meet_same(piece, s->got, (size_t)n), 0);
        else
            MUST(fwrite(piece, 1, (size_t)n, stdout) == (size_t)n, 0);
        s->got += (uint64_t)n;
    }
    MUST(n == 0 || n == -EAGAIN, (int)-n);
    s->ended = n == 0;
}

static void run(struct stream *s)
{
    while (!s->ended) {
        struct mbr_ready_event event;
        unsigned what = MBR_READABLE | (s->sent < s->size ? (unsigned)MBR_WRITABLE : 0u);

        MUST(mbr_sock_watch(libos, s->qd, what, NULL) == 0, 0);
        int r = mbr_ready_next(libos, PATIENCE, &event, 1);

        MUST(r == 1, -r);
        send_some(s);
        receive_some(s);
    }
}

static void talk(const char *port)
{
    static uint8_t bytes[1 << 20];
    struct stream s = {.bytes = bytes, .size = fread(bytes, 1, sizeof(bytes), stdin)};
    demi_qresult_t qr = connect_to(port, &s.qd);

    MUST(qr.qr_opcode == DEMI_OPC_CONNECT, (int)qr.qr_ret);
    run(&s);
    MUST(mbr_close(libos, s.qd) == 0, 0);
}

static void there_and_back(const char *port, uint64_t size)
{
    struct stream s = {.size = size};
    demi_qresult_t qr = connect_to(port, &s.qd);

    MUST(qr.qr_opcode == DEMI_OPC_CONNECT, (int)qr.qr_ret);
    show_names(s.qd, true);
    run(&s);
    MUST(s.got == s.size && s.sent == s.size, 0);
    MUST(mbr_close(libos, s.qd) == 0, 0);
}

/* Sends a message and takes as many bytes back, in whatever pieces. */
static void exchange(int qd)
{
    uint8_t bytes[OPERATION];
    size_t got = 0;

    meet_fill(bytes, 0, sizeof(bytes));
    MUST(push(qd, bytes, sizeof(bytes)), 0);
    while (got < OPERATION) {
        demi_qresult_t qr = finish(start_pop(qd));

        MUST(qr.qr_opcode == DEMI_OPC_POP, (int)qr.qr_ret);
        demi_sgarray_t sga = qr.qr_value.sga;

        MUST(sga.sga_segs[0].sgaseg_len > 0 && sga.sga_segs[0].sgaseg_len <= OPERATION - got, 0);
        MUST(meet_same(sga.sga_segs[0].sgaseg_buf, got, sga.sga_segs[0].sgaseg_len), 0);
        got += sga.sga_segs[0].sgaseg_len;
        (void)mbr_sga_free(&sga);
    }
}

static void many(const char *port, int connections)
{
    for (int i = 0; i < connections; i++) {
        int qd = -1;
        demi_qresult_t qr = connect_to(port, &qd);

        MUST(qr.qr_opcode == DEMI_OPC_CONNECT, (int)qr.qr_ret);
        exchange(qd);
        MUST(mbr_close(libos, qd) == 0, 0);
    }
}

static void abandoned(const char *port)
{
    int qd = -1;
    demi_qresult_t qr = connect_to(port, &qd);

    MUST(qr.qr_opcode == DEMI_OPC_CONNECT, (int)qr.qr_ret);
    exchange(qd);
    meet_say("up");
    qr = finish(start_pop(qd));
    if (qr.qr_opcode == DEMI_OPC_POP)
        MUST(qr.qr_value.sga.sga_segs[0].sgaseg_len == 0, 0);
    else
        MUST(qr.qr_ret == ECONNRESET, (int)qr.qr_ret);
}

int main(int argc, char **argv)
{
    MUST(argc >= 3, 0);
    int r = mbr_libos_open("catloop", NULL, &libos);
    int n = argc > 3 ? atoi(argv[3]) : 0;
    int qd = -1;
    const char *what = argv[1];

    MUST(r == 0, -r);
    if (strcmp(what, "echo") == 0) {
        echo(argv[2], n, argc > 4 ? atoi(argv[4]) : 32);
    } else if (strcmp(what, "pages") == 0) {
        pages(argv[2], n, argc > 4 ? (uint64_t)atoll(argv[4]) : 0);
    } else if (strcmp(what, "deaf") == 0) {
        deaf(argv[2], n);
    } else if (strcmp(what, "client") == 0) {
        there_and_back(argv[2], (uint64_t)n);
    } else if (strcmp(what, "talk") == 0) {
        talk(argv[2]);
    } else if (strcmp(what, "many") == 0) {
        many(argv[2], n);
    } else if (strcmp(what, "abandoned") == 0) {
        abandoned(argv[2]);
    } else if (strcmp(what, "refused") == 0) {
        demi_qresult_t qr = connect_to(argv[2], &qd);

        MUST(qr.qr_opcode == DEMI_OPC_FAILED && qr.qr_ret == ECONNREFUSED, (int)qr.qr_ret);
    } else {
        struct sockaddr_in a = meet_address(argv[2]);

        MUST(strcmp(what, "taken") == 0, 0);
        r = mbr_bind(libos, new_socket(), (struct sockaddr *)&a, sizeof(a));
        MUST(r == -EADDRINUSE, -r);
    }
    mbr_libos_close(libos);
    return 0;
}
