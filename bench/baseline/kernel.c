/* SPDX-License-Identifier: MIT */
/*
 * The kernel's channels as subjects. A message is one write and as many reads as it takes; the
 * buffered variant packs messages into 64 KiB writes, which changes what a message costs and is
 * therefore a subject of its own. Spinning cases use non-blocking descriptors and try again.
 */
#include "bench/baseline/baseline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/baseline/fds.h"

#define BUFFER_BYTES 65536u

struct end {
    int in, out;
    char *buffer; /* the message, or 64 KiB of them */
};

static int start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    const struct bench_fds_kind *kind = self->config;
    struct bench_fds *fds = malloc(sizeof(*fds));
    int result;

    if (fds == NULL) {
        return -ENOMEM;
    }
    result = kind->make(bc, fds);
    if (result != 0) {
        free(fds);
        return result;
    }
    *shared = fds;
    return 0;
}

static void close_side(const struct bench_fds *fds, enum bench_side side)
{
    (void)close(fds->in[side]);
    if (fds->out[side] != fds->in[side]) {
        (void)close(fds->out[side]);
    }
}

/* Only the two sides may hold the ends, or nobody ever sees the other one's end of file. */
static void parted(void *shared)
{
    close_side(shared, BENCH_A);
    close_side(shared, BENCH_B);
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    const struct bench_fds *fds = shared;
    struct end *made = malloc(sizeof(*made));
    size_t bytes = bc->size > BUFFER_BYTES ? bc->size : BUFFER_BYTES;

    if (made == NULL) {
        return -ENOMEM;
    }
    *made =
        (struct end){fds->in[side], fds->out[side], aligned_alloc(4096, (bytes + 4095) & ~4095ul)};
    if (made->buffer == NULL) {
        free(made);
        return -ENOMEM;
    }
    memset(made->buffer, 0, bytes);
    close_side(fds, side == BENCH_A ? BENCH_B : BENCH_A);
    *end = made;
    return 0;
}

static void close_end(void *end)
{
    struct end *fds = end;

    (void)close(fds->in);
    if (fds->out != fds->in) {
        (void)close(fds->out);
    }
    free(fds->buffer);
    free(fds);
}

static int put(const struct end *end, struct bench_probe *probe, uint64_t word)
{
    bench_fill(end->buffer, probe->size, word);
    return bench_write_all(end->out, end->buffer, probe->size, probe);
}

static int take(const struct end *end, struct bench_probe *probe, uint64_t word)
{
    int result = bench_read_all(end->in, end->buffer, probe->size, probe);

    return result != 0 ? result : bench_check(end->buffer, probe->size, word);
}

static int ping(void *end, struct bench_probe *probe)
{
    uint64_t word = 0;
    int result;

    bench_lap_start(probe);
    do {
        result = put(end, probe, word);
        if (result == 0) {
            result = take(end, probe, word++);
        }
        if (result != 0) {
            return result < 0 ? result : -EPROTO;
        }
    } while (bench_lap(probe));
    return put(end, probe, BENCH_END);
}

static int pong(void *end, struct bench_probe *probe)
{
    for (uint64_t word = 0;; word++) {
        int result = take(end, probe, word);

        if (result != 0) {
            return result < 0 ? result : 0;
        }
        bench_rest(probe);
        result = put(end, probe, word);
        if (result != 0) {
            return result;
        }
    }
}

static int send_each(void *end, struct bench_probe *probe)
{
    for (uint64_t seq = 0; bench_more(probe, seq); seq++) {
        int result = put(end, probe, seq);

        if (result != 0) {
            return result;
        }
    }
    return put(end, probe, BENCH_END);
}

static int recv_each(void *end, struct bench_probe *probe)
{
    for (uint64_t seq = 0;; seq++) {
        int result = take(end, probe, seq);

        if (result != 0) {
            bench_took_end(probe, seq);
            return result < 0 ? result : 0;
        }
        bench_took(probe, seq);
    }
}

/* As many messages as fit are written at once. */
static int send_buffered(void *end, struct bench_probe *probe)
{
    const struct end *fds = end;
    size_t used = 0;
    uint64_t word = 0;

    for (uint64_t seq = 0; word != BENCH_END; seq++) {
        word = bench_more(probe, seq) ? seq : BENCH_END;
        bench_fill(fds->buffer + used, probe->size, word);
        used += probe->size;
        if (used + probe->size > BUFFER_BYTES || word == BENCH_END) {
            int result = bench_write_all(fds->out, fds->buffer, used, probe);

            if (result != 0) {
                return result;
            }
            used = 0;
        }
    }
    return 0;
}

/* Reads whatever is there, at least one message; a part of one stays for the next time. */
static int recv_buffered(void *end, struct bench_probe *probe)
{
    const struct end *fds = end;
    size_t held = 0;
    uint64_t seq = 0;

    for (;;) {
        ssize_t got = read(fds->in, fds->buffer + held, BUFFER_BYTES - held);
        size_t at = 0;
        int result = 0;

        if (got <= 0) {
            result = got == 0 ? -EPIPE : errno == EAGAIN ? bench_spin(probe) : -errno;
        }
        held += got > 0 ? (size_t)got : 0;
        while (result == 0 && held - at >= probe->size) {
            result = bench_check(fds->buffer + at, probe->size, seq);
            if (result == 0) {
                bench_took(probe, seq++);
                at += probe->size;
            }
        }
        if (result != 0) {
            bench_took_end(probe, seq);
            return result < 0 ? result : 0;
        }
        held -= at;
        memmove(fds->buffer, fds->buffer + at, held);
    }
}

/* Parked in read(2) until the kernel says that nobody will write again. */
static int await_death(void *end, struct bench_probe *probe)
{
    const struct end *fds = end;

    for (;;) {
        ssize_t got = read(fds->in, fds->buffer, BUFFER_BYTES);
        int result;

        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            return 0;
        }
        result = got > 0 ? -EPROTO : errno == EAGAIN ? bench_spin(probe) : -errno;
        if (result != 0 && result != -EINTR) {
            return result;
        }
    }
}

#define FDS_SUBJECT                                                                      \
    .flags = BENCH_SPINS | BENCH_BLOCKS | BENCH_RESTS, .start = start, .parted = parted, \
    .stop = free, .open = open_end, .close = close_end, .ping = ping, .pong = pong,      \
    .await_death = await_death

static const struct bench_fds_kind pipes = {bench_make_pipes};
static const struct bench_fds_kind unix_pair = {bench_make_unix};
static const struct bench_fds_kind tcp = {bench_make_tcp};

const struct bench_subject bench_pipe = {
    .name = "pipe",
    .about = "kernel pipe",
    .config = &pipes,
    FDS_SUBJECT,
    .send = send_each,
    .recv = recv_each,
};

const struct bench_subject bench_unix = {
    .name = "unix",
    .about = "unix stream socket",
    .config = &unix_pair,
    FDS_SUBJECT,
    .send = send_each,
    .recv = recv_each,
};

const struct bench_subject bench_tcp = {
    .name = "tcp",
    .about = "TCP over loopback, TCP_NODELAY",
    .config = &tcp,
    FDS_SUBJECT,
    .send = send_each,
    .recv = recv_each,
};

const struct bench_subject bench_unix_buffered = {
    .name = "unix-buffered",
    .about = "unix stream socket through 64 KiB user buffers",
    .max_message = BUFFER_BYTES,
    .config = &unix_pair,
    .flags = BENCH_SPINS | BENCH_BLOCKS,
    .start = start,
    .parted = parted,
    .stop = free,
    .open = open_end,
    .close = close_end,
    .send = send_buffered,
    .recv = recv_buffered,
};
