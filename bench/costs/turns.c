/* SPDX-License-Identifier: MIT */
/* Turns in one thread, and a stream between two processes. */
#include "bench/costs/turns.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

#define STREAM_BYTES 64u

static int finish(demi_qtoken_t qt, demi_qresult_t *qr)
{
    int error = demi_wait(qr, qt, NULL);

    return error == 0 && qr->qr_opcode == DEMI_OPC_FAILED ? -(int)qr->qr_ret : -error;
}

int costs_open(struct costs_pipe *pipe)
{
    const struct demi_args args = {.argc = 0};
    int result = -demi_init(&args);

    if (result == 0) {
        result = -demi_create_pipe(&pipe->in, "turns");
    }
    if (result == 0) {
        result = -demi_open_pipe(&pipe->out, "turns");
    }
    return result;
}

void costs_close(const struct costs_pipe *pipe)
{
    (void)demi_close(pipe->out);
    (void)demi_close(pipe->in);
}

static int take(int qd)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = -demi_pop(&qt, qd);

    if (result == 0) {
        result = finish(qt, &qr);
    }
    return result == 0 ? -demi_sgafree(&qr.qr_value.sga) : result;
}

static int put(int qd, const demi_sgarray_t *sga)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = -demi_push(&qt, qd, sga);

    return result == 0 ? finish(qt, &qr) : result;
}

int costs_turns(const struct costs_pipe *pipe, uint64_t count, size_t size)
{
    demi_sgarray_t sga = demi_sgaalloc(size);
    int result = sga.sga_numsegs == 1 ? 0 : -ENOMEM;

    for (uint64_t i = 0; i < count && result == 0; i++) {
        result = put(pipe->out, &sga);
        if (result == 0) {
            result = take(pipe->in);
        }
    }
    if (sga.sga_numsegs == 1) {
        (void)demi_sgafree(&sga);
    }
    return result;
}

/* The sender: opens once the other side has said that there is something to open. */
static int stream_out(int told, uint64_t count)
{
    const struct demi_args args = {.argc = 0};
    demi_sgarray_t sga;
    char byte;
    int qd;
    int result = read(told, &byte, 1) == 1 ? -demi_init(&args) : -EPIPE;

    if (result == 0) {
        result = -demi_open_pipe(&qd, "stream");
    }
    if (result != 0) {
        return result;
    }
    sga = demi_sgaalloc(STREAM_BYTES);
    for (uint64_t i = 0; i < count && result == 0; i++) {
        result = put(qd, &sga);
    }
    (void)demi_sgafree(&sga);
    (void)demi_close(qd);
    return result;
}

static int stream_in(int tell, uint64_t count)
{
    const struct demi_args args = {.argc = 0};
    int qd;
    int result = -demi_init(&args);

    if (result == 0) {
        result = -demi_create_pipe(&qd, "stream");
    }
    if (result != 0) {
        return result;
    }
    result = write(tell, "", 1) == 1 ? 0 : -errno;
    for (uint64_t i = 0; i < count && result == 0; i++) {
        result = take(qd);
    }
    (void)demi_close(qd);
    return result;
}

int costs_stream(uint64_t count)
{
    int ends[2];
    int status = 1;
    int result;
    pid_t pid;

    if (pipe(ends) != 0) {
        return -errno;
    }
    pid = fork();
    if (pid == 0) {
        (void)close(ends[1]);
        _exit(stream_out(ends[0], count) == 0 ? 0 : 1);
    }
    (void)close(ends[0]);
    result = pid < 0 ? -errno : stream_in(ends[1], count);
    (void)close(ends[1]);
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status != 0 && result == 0) {
        result = -EIO;
    }
    return result;
}
