/* SPDX-License-Identifier: MIT */
/*
 * Sockets through the Demikernel API: catnap beside the kernel's own TCP, catloop beside pipes; and
 * how long it takes to set a connection up and to end it, beside TCP. Side A listens at an address
 * of this measurement's own, side B connects.
 */
#include "bench/membrane/membrane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

#include "bench/lib/roles.h"
#include "bench/membrane/meet.h"

#define PORT    7000
#define BACKLOG 64

struct end {
    struct bench_met met;
    demi_sgarray_t got; /* what the last pop brought, of a stream of bytes ... */
    size_t at;          /* ... and how much of it was looked at */
    char *whole;        /* a message that came in parts */
};

static int listener = -1;
static struct sockaddr_in address;

/* An address of 127.0.0.0/8 that both sides know: the keeper is the parent of both. */
static void choose_address(void)
{
    uint32_t id = (uint32_t)getppid();

    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT)};
    address.sin_addr.s_addr =
        htonl(UINT32_C(0x7f000000) | (1 + (id >> 16) % 250) << 16 | (id & 0xff00) | (1 + id % 250));
}

BENCH_INLINE int outcome(int error, const demi_qresult_t *qr)
{
    if (__builtin_expect(error == 0 && qr->qr_opcode == DEMI_OPC_FAILED, 0)) {
        return -(int)qr->qr_ret;
    }
    return -error;
}

static int wait_for(void *lib, demi_qtoken_t qt, demi_qresult_t *qr)
{
    (void)lib;
    return outcome(demi_wait(qr, qt, NULL), qr);
}

static int listen_once(void)
{
    int error = 0;

    if (listener >= 0) {
        return 0;
    }
    error = demi_socket(&listener, AF_INET, SOCK_STREAM, 0);
    if (error == 0) {
        error = demi_bind(listener, (struct sockaddr *)&address, sizeof(address));
    }
    if (error == 0) {
        error = demi_listen(listener, BACKLOG);
    }
    return -error;
}

static int accept_one(int *qd)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = -demi_accept(&qt, listener);

    if (result == 0) {
        result = wait_for(NULL, qt, &qr);
    }
    if (result == 0) {
        *qd = qr.qr_value.ares.qd;
    }
    return result;
}

static int create(void *lib, const char *name, uint64_t capacity, int *qd)
{
    int result = listen_once();

    (void)lib;
    (void)name;
    (void)capacity;
    return result != 0 ? result : accept_one(qd);
}

static int open_sock(void *lib, const char *name, int *qd)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int made;
    int result = -demi_socket(&made, AF_INET, SOCK_STREAM, 0);

    (void)lib;
    (void)name;
    if (result != 0) {
        return result;
    }
    result = -demi_connect(&qt, made, (struct sockaddr *)&address, sizeof(address));
    if (result == 0) {
        result = wait_for(NULL, qt, &qr);
    }
    if (result != 0) {
        (void)demi_close(made);
        return result == -ECONNREFUSED ? -ENOENT : result; /* not yet */
    }
    *qd = made;
    return 0;
}

static int push(void *lib, int qd, const demi_sgarray_t *sga, demi_qtoken_t *qt)
{
    (void)lib;
    return -demi_push(qt, qd, sga);
}

static int pop(void *lib, int qd, demi_qtoken_t *qt)
{
    (void)lib;
    return -demi_pop(qt, qd);
}

static int sga_free(demi_sgarray_t *sga)
{
    return -demi_sgafree(sga);
}

static const struct bench_calls calls = {
    .create = create,
    .open = open_sock,
    .alloc = demi_sgaalloc,
    .free = sga_free,
    .push = push,
    .pop = pop,
    .wait = wait_for,
};

static int begin(const struct bench_subject *self)
{
    const struct demi_args args = {.argc = 0};
    char host[INET_ADDRSTRLEN];

    choose_address();
    if (inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host)) == NULL ||
        setenv("LIBOS", self->config, 1) != 0 || setenv("LOCAL_IPV4_ADDR", host, 1) != 0) {
        return -errno;
    }
    return -demi_init(&args);
}

static int open_as(const struct bench_subject *self, enum bench_side side,
                   const struct bench_case *bc, void **end)
{
    struct end *made = calloc(1, sizeof(*made));
    int result = made == NULL ? -ENOMEM : begin(self);

    if (result == 0) {
        made->whole = aligned_alloc(64, (bc->size + 63) & ~(size_t)63);
        result = made->whole == NULL ? -ENOMEM : 0;
    }
    if (result == 0) {
        result = bench_meet(&calls, NULL, side, bc, &made->met);
    }
    if (result != 0) {
        if (made != NULL) {
            free(made->whole);
        }
        free(made);
        return result;
    }
    *end = made;
    return 0;
}

static int open_catnap(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    (void)shared;
    return open_as(&bench_catnap, side, bc, end);
}

static int open_catloop(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    (void)shared;
    return open_as(&bench_catloop, side, bc, end);
}

static void close_end(void *arg)
{
    struct end *end = arg;

    (void)demi_close(end->met.qd);
    if (end->got.sga_buf != NULL) {
        (void)demi_sgafree(&end->got);
    }
    bench_part(&calls, &end->met);
    free(end->whole);
    free(end);
}

BENCH_INLINE int sock_put(void *arg, struct bench_probe *probe, uint64_t word)
{
    struct end *end = arg;
    demi_qtoken_t qt;
    demi_qresult_t qr;

    bench_fill(end->met.sga.sga_segs[0].sgaseg_buf, probe->size, word);
    int error = demi_push(&qt, end->met.qd, &end->met.sga);

    return error != 0 ? -error : outcome(demi_wait(&qr, qt, NULL), &qr);
}

BENCH_INLINE int sock_show(void *arg)
{
    (void)arg; /* each push is seen at once */
    return 0;
}

static int pop_more(struct end *end)
{
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int result = -demi_pop(&qt, end->met.qd);

    if (end->got.sga_buf != NULL) {
        (void)demi_sgafree(&end->got);
        end->got.sga_buf = NULL;
    }
    if (result == 0) {
        result = outcome(demi_wait(&qr, qt, NULL), &qr);
    }
    if (result != 0) {
        return result;
    }
    end->got = qr.qr_value.sga;
    end->at = 0;
    return end->got.sga_segs[0].sgaseg_len > 0 ? 0 : -EPIPE;
}

/* The next message of a stream: where it was popped to if it lies there whole. */
BENCH_INLINE int sock_take(void *arg, struct bench_probe *probe, uint64_t word)
{
    struct end *end = arg;
    size_t have = 0;

    for (;;) {
        size_t there = end->got.sga_buf == NULL ? 0 : end->got.sga_segs[0].sgaseg_len - end->at;
        const char *from = there == 0 ? NULL : (char *)end->got.sga_segs[0].sgaseg_buf + end->at;

        if (have == 0 && there >= probe->size) {
            end->at += probe->size;
            return bench_check(from, probe->size, word);
        }
        size_t n = there < probe->size - have ? there : probe->size - have;

        if (n > 0) {
            memcpy(end->whole + have, from, n);
        }
        have += n;
        end->at += n;
        if (have == probe->size) {
            return bench_check(end->whole, probe->size, word);
        }
        int result = pop_more(end);

        if (result != 0) {
            return result;
        }
    }
}

BENCH_ROLES(sock)

#define SOCK_SUBJECT(KIND)                                                           \
    .flags = BENCH_SPINS | BENCH_BLOCKS | BENCH_IDLES | BENCH_RESTS, .config = KIND, \
    .start = bench_meet_start, .stop = bench_meet_stop, .close = close_end, BENCH_ROLES_OF(sock)

const struct bench_subject bench_catnap = {
    .name = "catnap",
    .about = "TCP socket, demi_push, demi_pop and demi_wait",
    SOCK_SUBJECT("catnap"),
    .open = open_catnap,
};

const struct bench_subject bench_catloop = {
    .name = "catloop",
    .about = "socket over shared memory, with the same calls",
    SOCK_SUBJECT("catloop"),
    .open = open_catloop,
};

/* ---- connections ---- */

/*
 * A lap is a whole connection: side B connects and closes, side A accepts, sees the end and closes.
 * Side B measures; the last connection carries BENCH_END. Messages are what tells them apart.
 */

static int connect_and_close(struct end *end, struct bench_probe *probe, uint64_t word)
{
    int result = open_sock(NULL, NULL, &end->met.qd);

    if (result == 0) {
        result = sock_put(end, probe, word);
    }
    if (result == 0) {
        result = sock_take(end, probe, word);
    }
    if (end->got.sga_buf != NULL) {
        (void)demi_sgafree(&end->got);
        end->got.sga_buf = NULL;
    }
    (void)demi_close(end->met.qd);
    return result == BENCH_ENDED ? 0 : result;
}

static int connections_ping(void *arg, struct bench_probe *probe)
{
    struct end *end = arg;
    uint64_t word = 0;
    int result;

    bench_lap_start(probe);
    do {
        result = connect_and_close(end, probe, word++);
    } while (result == 0 && bench_lap(probe));
    return result != 0 ? result : connect_and_close(end, probe, BENCH_END);
}

static int connections_pong(void *arg, struct bench_probe *probe)
{
    struct end *end = arg;

    for (uint64_t word = 0;; word++) {
        int result = accept_one(&end->met.qd);
        int ended = result != 0 ? result : sock_take(end, probe, word);

        if (ended < 0) {
            return ended;
        }
        result = sock_put(end, probe, ended == BENCH_ENDED ? BENCH_END : word);
        if (result == 0) {
            result = pop_more(end);
        }
        if (result != -EPIPE) {
            return result < 0 ? result : -EPROTO;
        }
        (void)demi_sgafree(&end->got);
        end->got.sga_buf = NULL;
        (void)demi_close(end->met.qd);
        if (ended == BENCH_ENDED) {
            return 0;
        }
    }
}

/* Side A pings, so here side B listens. */
static int open_connections(void *shared, enum bench_side side, const struct bench_case *bc,
                            void **end)
{
    struct end *made = calloc(1, sizeof(*made));
    int result = made == NULL ? -ENOMEM : begin(&bench_catloop_connect);

    (void)shared;
    if (result == 0) {
        made->whole = aligned_alloc(64, (bc->size + 63) & ~(size_t)63);
        made->met.sga = demi_sgaalloc(bc->size);
        result = made->whole == NULL || made->met.sga.sga_numsegs != 1 ? -ENOMEM : 0;
    }
    if (result == 0 && side == BENCH_B) {
        result = listen_once();
    }
    if (result != 0) {
        free(made);
        return result;
    }
    *end = made;
    return 0;
}

static void close_connections(void *arg)
{
    struct end *end = arg;

    (void)demi_sgafree(&end->met.sga);
    free(end->whole);
    free(end);
}

const struct bench_subject bench_catloop_connect = {
    .name = "catloop-connect",
    .about = "connect, one message each way, close; over shared memory",
    .flags = BENCH_SPINS,
    .config = "catloop",
    .max_message = 64,
    .start = bench_meet_start,
    .stop = bench_meet_stop,
    .open = open_connections,
    .close = close_connections,
    .ping = connections_ping,
    .pong = connections_pong,
};

/* The same with the kernel's sockets, non-blocking and spinning. */

static int raw_open(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    int *fd = malloc(sizeof(*fd));
    int on = 1;

    (void)shared;
    (void)bc;
    if (fd == NULL) {
        return -ENOMEM;
    }
    choose_address();
    *fd = -1;
    if (side == BENCH_B) {
        *fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(*fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(*fd, BACKLOG) < 0) {
            int error = -errno;

            if (*fd >= 0) {
                (void)close(*fd);
            }
            free(fd);
            return error;
        }
    }
    *end = fd;
    return 0;
}

static void raw_close(void *end)
{
    int *fd = end;

    if (*fd >= 0) {
        (void)close(*fd);
    }
    free(fd);
}

/* Receives a message, or the end of file (1). */
static int raw_take(int fd, char *data, size_t size, struct bench_probe *probe)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = recv(fd, data + got, size - got, MSG_DONTWAIT);

        if (n == 0) {
            return got == 0 ? 1 : -EPIPE;
        }
        if (n < 0 && errno != EAGAIN) {
            return -errno;
        }
        got += n > 0 ? (size_t)n : 0;
        if (n < 0) {
            int result = bench_spin(probe);

            if (result != 0) {
                return result;
            }
        }
    }
    return 0;
}

static int raw_put(int fd, char *data, size_t size, uint64_t word)
{
    bench_fill(data, size, word);
    return send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size ? 0 : -EPIPE;
}

static int raw_connect(struct bench_probe *probe, uint64_t word)
{
    _Alignas(16) char data[64];
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = 0;

    if (fd < 0) {
        return -errno;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && result == 0) {
        if (errno == EISCONN) {
            break;
        }
        result = errno == EINPROGRESS || errno == EALREADY ? bench_spin(probe) : -errno;
    }
    if (result == 0) {
        result = raw_put(fd, data, probe->size, word);
    }
    if (result == 0) {
        result = raw_take(fd, data, probe->size, probe);
    }
    (void)close(fd);
    return result > 0 ? -EPIPE : result;
}

static int raw_ping(void *end, struct bench_probe *probe)
{
    uint64_t word = 0;
    int result;

    (void)end;
    bench_lap_start(probe);
    do {
        result = raw_connect(probe, word++);
    } while (result == 0 && bench_lap(probe));
    return result != 0 ? result : raw_connect(probe, BENCH_END);
}

static int raw_serve(int fd, struct bench_probe *probe, uint64_t word)
{
    _Alignas(16) char data[64];
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int result = raw_take(fd, data, probe->size, probe);
    int ended = result != 0 ? -EPIPE : bench_check(data, probe->size, word);

    if (ended >= 0) {
        result = raw_put(fd, data, probe->size, ended == BENCH_ENDED ? BENCH_END : word);
    }
    if (ended >= 0 && result == 0 && raw_take(fd, data, probe->size, probe) != 1) {
        ended = -EPROTO;
    }
    return ended;
}

static int raw_pong(void *end, struct bench_probe *probe)
{
    const int *fd = end;

    for (uint64_t word = 0;; word++) {
        int conn;
        int result = 0;

        while ((conn = accept4(*fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
            result = errno == EAGAIN ? bench_spin(probe) : -errno;
            if (result != 0) {
                return result;
            }
        }
        result = raw_serve(conn, probe, word);
        (void)close(conn);
        if (result != 0) {
            return result < 0 ? result : 0;
        }
    }
}

const struct bench_subject bench_tcp_connect = {
    .name = "tcp-connect",
    .about = "the same with the kernel's TCP",
    .flags = BENCH_SPINS,
    .max_message = 64,
    .open = raw_open,
    .close = raw_close,
    .ping = raw_ping,
    .pong = raw_pong,
};
