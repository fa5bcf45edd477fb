/* SPDX-License-Identifier: MIT */
/*
 * What a libOS of shared memory says to the calls for networks, and Demikernel's sixteen calls with
 * invalid arguments (its test "syscalls"), each of which must fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "demi_util.h"

#include <cmocka.h>

static int made;

static int init_demi(void **state)
{
    start_demi();
    made = create_pipe("network");
    return 0;
}

static void socket_is_not_supported(void **state)
{
    int qd = 77;

    CHECK_INT(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), ENOTSUP);
    CHECK_INT(demi_socket(&qd, AF_INET, SOCK_DGRAM, 0), ENOTSUP);
    CHECK_INT(demi_socket(&qd, AF_INET6, SOCK_STREAM, 0), ENOTSUP);
    CHECK_INT(demi_socket(&qd, AF_UNIX, SOCK_STREAM, 0), ENOTSUP);
    CHECK_INT(demi_socket(&qd, -1, -1, -1), ENOTSUP);
    CHECK_INT(qd, 77);
}

/* With arguments that are right for a socket: only the kind of libOS is in the way. */
static void calls_on_a_pipe_are_not_supported(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = 80};
    const struct sockaddr *sa = (struct sockaddr *)&in;
    struct sockaddr_in peer;
    struct linger linger = {1, 1};
    socklen_t size = sizeof(in);
    demi_sgarray_t sga = filled_sga(64, 0);
    demi_qtoken_t qt = 77;

    CHECK_INT(demi_bind(made, sa, size), ENOTSUP);
    CHECK_INT(demi_listen(made, 16), ENOTSUP);
    CHECK_INT(demi_accept(&qt, made), ENOTSUP);
    CHECK_INT(demi_connect(&qt, made, sa, size), ENOTSUP);
    CHECK_INT(demi_pushto(&qt, made, &sga, sa, size), ENOTSUP);
    CHECK_INT(demi_setsockopt(made, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), ENOTSUP);
    size = sizeof(linger);
    CHECK_INT(demi_getsockopt(made, SOL_SOCKET, SO_LINGER, &linger, &size), ENOTSUP);
    CHECK_INT(size, sizeof(linger));
    size = sizeof(peer);
    CHECK_INT(demi_getpeername(made, (struct sockaddr *)&peer, &size), ENOTSUP);
    CHECK_INT(demi_getsockname(made, (struct sockaddr *)&peer, &size), ENOSYS);
    CHECK(qt == 77);
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void invalid_calls_fail(void **state)
{
    static const int invalid[] = {-1, 0, 499, 12345};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = 80};
    struct sockaddr *sa = (struct sockaddr *)&in;
    demi_qtoken_t qt;
    socklen_t size = sizeof(in);

    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        int qd = invalid[i];
        CHECK(demi_bind(qd, sa, size) > 0);
        CHECK(demi_listen(qd, 1) > 0);
        CHECK(demi_accept(&qt, qd) > 0);
        CHECK(demi_connect(&qt, qd, sa, size) > 0);
        CHECK(demi_getpeername(qd, sa, &size) > 0);
    }
}

/* Upstream's list; a positive errno each, where NULL is nobody's memory. */
static void syscalls(void **state)
{
    demi_sgarray_t none = demi_sgaalloc(0);

    CHECK(demi_socket(NULL, -1, -1, -1) > 0);
    CHECK(demi_accept(NULL, -1) > 0);
    CHECK(demi_bind(-1, NULL, 0) > 0);
    CHECK(demi_close(-1) > 0);
    CHECK(demi_connect(NULL, -1, NULL, 0) > 0);
    CHECK(demi_listen(-1, -1) > 0);
    CHECK(demi_pop(NULL, -1) > 0);
    CHECK(demi_push(NULL, -1, NULL) > 0);
    CHECK(demi_pushto(NULL, -1, NULL, NULL, 0) > 0);
    CHECK(demi_getpeername(-1, NULL, NULL) > 0);
    CHECK(demi_setsockopt(-1, -1, -1, NULL, 0) > 0);
    CHECK(demi_getsockopt(-1, -1, -1, NULL, NULL) > 0);
    CHECK(none.sga_buf == NULL);
    CHECK(demi_sgafree(NULL) > 0);
    CHECK(demi_wait(NULL, (demi_qtoken_t)-1, NULL) > 0);
    CHECK(demi_wait_any(NULL, NULL, NULL, -1, NULL) > 0);
}

static void invalid_addresses(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr *sa = (struct sockaddr *)&in;
    demi_sgarray_t sga = filled_sga(64, 0);
    demi_qtoken_t qt;
    socklen_t size = sizeof(in);

    CHECK(demi_bind(made, NULL, sizeof(in)) > 0);
    CHECK(demi_bind(made, sa, 0) > 0);
    CHECK(demi_bind(made, sa, 1) > 0);
    CHECK(demi_bind(made, sa, UINT32_MAX) > 0);
    CHECK(demi_connect(&qt, made, NULL, sizeof(in)) > 0);
    CHECK(demi_connect(&qt, made, sa, 1) > 0);
    CHECK(demi_connect(NULL, made, sa, sizeof(in)) > 0);
    CHECK(demi_pushto(&qt, made, &sga, NULL, sizeof(in)) > 0);
    CHECK(demi_pushto(&qt, made, NULL, sa, sizeof(in)) > 0);
    CHECK(demi_getpeername(made, NULL, &size) > 0);
    CHECK(demi_getpeername(made, sa, NULL) > 0);
    CHECK_INT(demi_sgafree(&sga), 0);
}

/* Arguments are looked at before it matters that there are no sockets, as in every libOS. */
static void arguments_come_first(void **state)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET}, other = {.sin_family = AF_APPLETALK};
    struct sockaddr *sa = (struct sockaddr *)&in;
    struct linger linger = {1, 1};
    demi_sgarray_t sga = filled_sga(64, 0);
    demi_qtoken_t qt;
    socklen_t size;

    for (int qd = -1; qd <= made; qd += made + 1) {
        CHECK_INT(demi_bind(qd, sa, sizeof(in) - 1), EINVAL);
        CHECK_INT(demi_bind(qd, sa, sizeof(in) + 1), EINVAL);
        CHECK_INT(demi_bind(qd, (struct sockaddr *)&six, sizeof(six)), EINVAL);
        CHECK_INT(demi_bind(qd, (struct sockaddr *)&other, sizeof(other)), ENOTSUP);
        CHECK_INT(demi_connect(&qt, qd, sa, sizeof(in) - 1), EINVAL);
        CHECK_INT(demi_connect(&qt, qd, (struct sockaddr *)&six, sizeof(six)), EINVAL);
        CHECK_INT(demi_pushto(&qt, qd, &sga, sa, sizeof(in) - 1), EINVAL);
        CHECK_INT(demi_listen(qd, 0), EINVAL);
        CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, NULL, sizeof(linger)), EINVAL);
        CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, 1), EINVAL);
        CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, 12345, NULL, 0), ENOPROTOOPT);
        CHECK_INT(demi_setsockopt(qd, 12345, SO_LINGER, NULL, 0), ENOTSUP);
        CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, NULL, &size), EINVAL);
        CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, NULL), EINVAL);
        CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, 12345, NULL, NULL), ENOPROTOOPT);
        CHECK_INT(demi_getsockopt(qd, 12345, SO_LINGER, NULL, NULL), ENOTSUP);
        size = sizeof(in) - 1;
        CHECK_INT(demi_getpeername(qd, sa, &size), EINVAL);
        CHECK_INT(demi_pop(NULL, qd), EINVAL);
        CHECK_INT(demi_push(NULL, qd, &sga), EINVAL);
    }
    CHECK_INT(demi_sgafree(&sga), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socket_is_not_supported),
        cmocka_unit_test(calls_on_a_pipe_are_not_supported),
        cmocka_unit_test(invalid_calls_fail),
        cmocka_unit_test(syscalls),
        cmocka_unit_test(invalid_addresses),
        cmocka_unit_test(arguments_come_first),
    };

    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(30, argc, argv, run);
}
