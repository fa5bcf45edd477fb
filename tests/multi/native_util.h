/* SPDX-License-Identifier: MIT */
/*
 * What most tests of the native queues do over and over: open an instance, push filled messages,
 * pop and compare them. All of it checks as it goes. The twin of conformance/demi_util.h, which
 * does the same through the Demikernel C API. Not here: processes (stage.h).
 */
#ifndef MBR_TESTS_NATIVE_UTIL_H
#define MBR_TESTS_NATIVE_UTIL_H

#include <errno.h>
#include <membrane/queue.h>
#include <sched.h>
#include <string.h>

#include "stage.h"

/* An operation that fails at once and one that fails later are the same to most tests. */
struct outcome {
    int error; /* 0, or positive */
    demi_qresult_t qr;
};

static inline struct mbr_libos *open_libos(void)
{
    struct mbr_libos *l = NULL;

    CHECK_INT(mbr_libos_open("catmem", NULL, &l), 0);
    return l;
}

static inline int native_create(struct mbr_libos *l, const char *name)
{
    int qd = -1;

    CHECK_INT(mbr_pipe_create(l, name, NULL, &qd), 0);
    return qd;
}

static inline int native_open(struct mbr_libos *l, const char *name)
{
    int qd = -1;

    CHECK_INT(mbr_pipe_open(l, name, NULL, &qd), 0);
    return qd;
}

/* Opens a pipe that its creator may not have made yet. */
static inline int native_open_soon(struct mbr_libos *l, const char *name)
{
    int qd = -1, rc;

    while ((rc = mbr_pipe_open(l, name, NULL, &qd)) == -ENOENT)
        sched_yield();
    CHECK_INT(rc, 0);
    return qd;
}

static inline demi_sgarray_t native_filled(size_t n, uint64_t key)
{
    demi_sgarray_t sga = mbr_sga_alloc(n);

    CHECK(sga.sga_buf != NULL && sga.sga_numsegs == 1);
    stage_fill(sga.sga_segs[0].sgaseg_buf, n, key);
    return sga;
}

static inline demi_qtoken_t native_start_push(struct mbr_libos *l, int qd, size_t n, uint64_t key)
{
    demi_sgarray_t sga = native_filled(n, key);
    demi_qtoken_t qt = 0;

    CHECK_INT(mbr_push(l, qd, &sga, &qt), 0);
    CHECK_INT(mbr_sga_free(&sga), 0);
    return qt;
}

static inline demi_qtoken_t native_start_pop(struct mbr_libos *l, int qd, size_t max)
{
    demi_qtoken_t qt = 0;

    CHECK_INT(mbr_pop(l, qd, max, &qt), 0);
    return qt;
}

static inline demi_qresult_t native_finish(struct mbr_libos *l, demi_qtoken_t qt)
{
    demi_qresult_t qr;

    CHECK_INT(mbr_wait(l, qt, MBR_FOREVER, &qr), 0);
    CHECK(qr.qr_qt == qt);
    return qr;
}

static inline void native_expect_pending(struct mbr_libos *l, demi_qtoken_t qt)
{
    demi_qresult_t qr;

    CHECK_INT(mbr_wait(l, qt, 0, &qr), -ETIMEDOUT);
}

static inline void native_expect(const demi_qresult_t *qr, demi_opcode_t opcode, int64_t ret)
{
    CHECK_INT(qr->qr_opcode, opcode);
    CHECK_INT(qr->qr_ret, ret);
}

static inline void native_expect_message(demi_qresult_t *qr, size_t n, uint64_t key)
{
    native_expect(qr, DEMI_OPC_POP, 0);
    CHECK_INT(qr->qr_value.sga.sga_segs[0].sgaseg_len, n);
    CHECK(n == 0 || stage_filled(qr->qr_value.sga.sga_segs[0].sgaseg_buf, n, key));
    CHECK_INT(mbr_sga_free(&qr->qr_value.sga), 0);
}

static inline void native_push(struct mbr_libos *l, int qd, size_t n, uint64_t key)
{
    demi_qresult_t qr = native_finish(l, native_start_push(l, qd, n, key));

    native_expect(&qr, DEMI_OPC_PUSH, 0);
}

static inline void native_pop(struct mbr_libos *l, int qd, size_t n, uint64_t key)
{
    demi_qresult_t qr = native_finish(l, native_start_pop(l, qd, 0));

    native_expect_message(&qr, n, key);
}

static inline void native_pop_eof(struct mbr_libos *l, int qd)
{
    native_pop(l, qd, 0, 0);
}

static inline void native_pop_fails(struct mbr_libos *l, int qd, int error)
{
    demi_qresult_t qr = native_finish(l, native_start_pop(l, qd, 0));

    native_expect(&qr, DEMI_OPC_FAILED, error);
}

/* Pushes back what it pops until the peer has ended its sending. */
static inline void native_echo(struct mbr_libos *l, int qd)
{
    for (bool end = false; !end;) {
        demi_qresult_t qr = native_finish(l, native_start_pop(l, qd, 0));
        demi_sgarray_t sga = qr.qr_value.sga;
        demi_qtoken_t qt;

        native_expect(&qr, DEMI_OPC_POP, 0);
        end = sga.sga_segs[0].sgaseg_len == 0;
        if (!end)
            CHECK_INT(mbr_push(l, qd, &sga, &qt), 0);
        CHECK_INT(mbr_sga_free(&sga), 0);
        if (!end) {
            qr = native_finish(l, qt);
            native_expect(&qr, DEMI_OPC_PUSH, 0);
        }
    }
}

static inline struct outcome native_outcome(struct mbr_libos *l, int rc, demi_qtoken_t qt)
{
    struct outcome o = {.error = -rc};

    CHECK(rc <= 0);
    if (rc == 0) {
        o.qr = native_finish(l, qt);
        o.error = o.qr.qr_opcode == DEMI_OPC_FAILED ? (int)o.qr.qr_ret : 0;
    }
    return o;
}

static inline struct outcome native_try_pop(struct mbr_libos *l, int qd)
{
    demi_qtoken_t qt = 0;
    int rc = mbr_pop(l, qd, 0, &qt);

    return native_outcome(l, rc, qt);
}

static inline struct outcome native_try_push(struct mbr_libos *l, int qd, size_t n, uint64_t key)
{
    demi_sgarray_t sga = native_filled(n, key);
    demi_qtoken_t qt = 0;
    int rc = mbr_push(l, qd, &sga, &qt);

    CHECK_INT(mbr_sga_free(&sga), 0);
    return native_outcome(l, rc, qt);
}

#endif
