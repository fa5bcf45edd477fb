/* SPDX-License-Identifier: MIT */
/* The table of a socket's states, cell by cell, and its transitions in two steps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "queue/sock_state.h"

#include <cmocka.h>

enum { UN, BO, LI, CO, ES, CG, CD };

/* As the reference prints it: bind, listen, connect, established, close, closed. */
static const int wanted[MBR__SOCK_STATES][MBR__SOCK_OPS] = {
    {BO, -EDESTADDRREQ, CO, ES, CG, -EBUSY},
    {-EINVAL, LI, CO, CO, CG, -EBUSY},
    {-EINVAL, -EADDRINUSE, -EOPNOTSUPP, -EINVAL, CG, -EBUSY},
    {-EINVAL, -EADDRINUSE, -EINPROGRESS, ES, CG, CD},
    {-EISCONN, -EISCONN, -EISCONN, -EISCONN, CG, CD},
    {-EBADF, -EBADF, -EBADF, -EBADF, CG, CD},
    {-EBADF, -EBADF, -EBADF, -EBADF, CD, CD},
};

static void each_cell(void **state)
{
    for (int s = 0; s < MBR__SOCK_STATES; s++) {
        for (int op = 0; op < MBR__SOCK_OPS; op++) {
            struct mbr__sock_fsm fsm = {.current = (uint8_t)s};
            int next = mbr__sock_next((enum mbr__sock_state)s, (enum mbr__sock_op)op);

            assert_int_equal(next, wanted[s][op]);
            int r = mbr__sock_prepare(&fsm, (enum mbr__sock_op)op);

            assert_int_equal(r, next < 0 ? next : 0);
            assert_int_equal(fsm.current, s); /* nothing has happened yet */
            if (r < 0)
                continue;
            mbr__sock_commit(&fsm);
            assert_int_equal(fsm.current, next);
            mbr__sock_rollback(&fsm);
            assert_int_equal(fsm.current, s);
        }
    }
}

static void one_at_a_time(void **state)
{
    struct mbr__sock_fsm fsm = {0};

    assert_int_equal(mbr__sock_prepare(&fsm, MBR__SOCK_OP_BIND), 0);
    assert_int_equal(mbr__sock_prepare(&fsm, MBR__SOCK_OP_CONNECT), -EBUSY);
    assert_int_equal(mbr__sock_prepare(&fsm, MBR__SOCK_OP_CLOSE), 0); /* never refused */
    mbr__sock_commit(&fsm);
    assert_int_equal(fsm.current, MBR__SOCK_CLOSING);
    assert_int_equal(mbr__sock_prepare(&fsm, MBR__SOCK_OP_BIND), -EBADF);
}

static void aborted(void **state)
{
    struct mbr__sock_fsm fsm = {0};

    assert_int_equal(mbr__sock_prepare(&fsm, MBR__SOCK_OP_BIND), 0);
    mbr__sock_abort(&fsm);
    assert_int_equal(fsm.current, MBR__SOCK_UNBOUND);
    assert_int_equal(mbr__sock_prepare(&fsm, MBR__SOCK_OP_CONNECT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cell),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(aborted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
