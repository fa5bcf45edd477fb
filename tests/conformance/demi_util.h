/* SPDX-License-Identifier: MIT */
/*
 * What most tests of the Demikernel C API do over and over: push filled messages, pop and compare
 * them, wait for ends. All of it checks as it goes. A wait without limit that never ends is ended
 * by the stage. Not here: processes (multi/stage.h).
 */
#ifndef MBR_TESTS_DEMI_UTIL_H
#define MBR_TESTS_DEMI_UTIL_H

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>
#include <errno.h>
#include <string.h>

#include "../multi/stage.h"

extern int demi_getsockname(int qd, struct sockaddr *addr, socklen_t *size);

static const struct timespec at_once = {0, 0};

static inline void start_demi(void)
{
    CHECK_INT(demi_init(NULL), 0);
}

static inline int create_pipe(const char *name)
{
    int qd = -1;

    CHECK_INT(demi_create_pipe(&qd, name), 0);
    CHECK(qd >= 500);
    return qd;
}

static inline int open_pipe(const char *name)
{
    int qd = -1;

    CHECK_INT(demi_open_pipe(&qd, name), 0);
    CHECK(qd >= 500);
    return qd;
}

static inline demi_sgarray_t filled_sga(size_t n, uint64_t key)
{
    demi_sgarray_t sga = demi_sgaalloc(n);

    CHECK(sga.sga_buf != NULL && sga.sga_numsegs == 1);
    CHECK_INT(sga.sga_segs[0].sgaseg_len, n);
    stage_fill(sga.sga_segs[0].sgaseg_buf, n, key);
    return sga;
}

/* Starts to push a message; its buffer is given back at once. */
static inline demi_qtoken_t start_push(int qd, size_t n, uint64_t key)
{
    demi_sgarray_t sga = filled_sga(n, key);
    demi_qtoken_t qt = 0;

    CHECK_INT(demi_push(&qt, qd, &sga), 0);
    CHECK(qt != 0 && qt != UINT64_MAX);
    CHECK_INT(demi_sgafree(&sga), 0);
    return qt;
}

static inline demi_qtoken_t start_pop(int qd)
{
    demi_qtoken_t qt = 0;

    CHECK_INT(demi_pop(&qt, qd), 0);
    CHECK(qt != 0 && qt != UINT64_MAX);
    return qt;
}

static inline demi_qresult_t finish(demi_qtoken_t qt)
{
    demi_qresult_t qr;

    memset(&qr, 0xee, sizeof(qr));
    CHECK_INT(demi_wait(&qr, qt, NULL), 0);
    CHECK(qr.qr_qt == qt);
    return qr;
}

static inline void expect_push(const demi_qresult_t *qr, int qd)
{
    static const demi_sgarray_t zero;

    CHECK_INT(qr->qr_opcode, DEMI_OPC_PUSH);
    CHECK_INT(qr->qr_qd, qd);
    CHECK_INT(qr->qr_ret, 0);
    CHECK(memcmp(&qr->qr_value.sga, &zero, sizeof(zero)) == 0);
}

/* Takes the message of a result, of N bytes filled with KEY, and frees it. */
static inline void expect_message(demi_qresult_t *qr, int qd, size_t n, uint64_t key)
{
    static const struct sockaddr_in nobody;
    demi_sgarray_t *sga = &qr->qr_value.sga;

    CHECK_INT(qr->qr_opcode, DEMI_OPC_POP);
    CHECK_INT(qr->qr_qd, qd);
    CHECK_INT(qr->qr_ret, 0);
    CHECK_INT(sga->sga_numsegs, 1);
    CHECK_INT(sga->sga_segs[0].sgaseg_len, n);
    CHECK(n == 0 || stage_filled(sga->sga_segs[0].sgaseg_buf, n, key));
    CHECK(memcmp(&sga->sga_addr, &nobody, sizeof(nobody)) == 0);
    CHECK_INT(demi_sgafree(sga), 0);
}

static inline void expect_eof(demi_qresult_t *qr, int qd)
{
    expect_message(qr, qd, 0, 0);
}

static inline void expect_failed(const demi_qresult_t *qr, int qd, int error)
{
    CHECK_INT(qr->qr_opcode, DEMI_OPC_FAILED);
    CHECK_INT(qr->qr_qd, qd);
    CHECK_INT(qr->qr_ret, error);
}

static inline void push_message(int qd, size_t n, uint64_t key)
{
    demi_qresult_t qr = finish(start_push(qd, n, key));

    expect_push(&qr, qd);
}

static inline void pop_message(int qd, size_t n, uint64_t key)
{
    demi_qresult_t qr = finish(start_pop(qd));

    expect_message(&qr, qd, n, key);
}

static inline void pop_eof(int qd)
{
    demi_qresult_t qr = finish(start_pop(qd));

    expect_eof(&qr, qd);
}

static inline void pop_fails(int qd, int error)
{
    demi_qresult_t qr = finish(start_pop(qd));

    expect_failed(&qr, qd, error);
}

static inline void expect_pending(demi_qtoken_t qt)
{
    demi_qresult_t qr;

    CHECK_INT(demi_wait(&qr, qt, &at_once), ETIMEDOUT);
}

#endif
