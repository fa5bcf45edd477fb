/* SPDX-License-Identifier: MIT */
/*
 * Layouts of the Demikernel C API as programs compiled against upstream's headers know them: sizes,
 * offsets, alignments and values. All of it is checked by the compiler; running it says so.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/types.h>
#include <demi/wait.h>

#include <cmocka.h>

#define AT(type, member, place) static_assert(offsetof(type, member) == (place), #type "." #member)
#define SIZE(type, size)                          \
    static_assert(sizeof(type) == (size), #type); \
    static_assert(_Alignof(type) == 1, #type " is packed")

SIZE(demi_sgaseg_t, 12);
AT(demi_sgaseg_t, sgaseg_buf, 0);
AT(demi_sgaseg_t, sgaseg_len, 8);

SIZE(demi_sgarray_t, 40);
AT(demi_sgarray_t, sga_buf, 0);
AT(demi_sgarray_t, sga_numsegs, 8);
AT(demi_sgarray_t, sga_segs, 12);
AT(demi_sgarray_t, sga_addr, 24);

SIZE(demi_accept_result_t, 20);
AT(demi_accept_result_t, qd, 0);
AT(demi_accept_result_t, addr, 4);

SIZE(demi_qresult_t, 64);
AT(demi_qresult_t, qr_opcode, 0);
AT(demi_qresult_t, qr_qd, 4);
AT(demi_qresult_t, qr_qt, 8);
AT(demi_qresult_t, qr_ret, 16);
AT(demi_qresult_t, qr_value, 24);
AT(demi_qresult_t, qr_value.sga, 24);
AT(demi_qresult_t, qr_value.ares, 24);

SIZE(struct demi_args, 20);
AT(struct demi_args, argc, 0);
AT(struct demi_args, argv, 4);
AT(struct demi_args, callback, 12);

static_assert(sizeof(demi_qtoken_t) == 8 && (demi_qtoken_t)-1 > 0, "tokens are 64 bits, unsigned");
static_assert(sizeof(enum demi_opcode) == 4 && sizeof(demi_opcode_t) == 4, "opcodes are 32 bits");
static_assert(DEMI_SGARRAY_MAXSIZE == 1, "arrays have one segment");
static_assert(DEMI_OPC_INVALID == 0 && DEMI_OPC_PUSH == 1 && DEMI_OPC_POP == 2, "opcodes");
static_assert(DEMI_OPC_ACCEPT == 3 && DEMI_OPC_CONNECT == 4 && DEMI_OPC_CLOSE == 5, "opcodes");
static_assert(DEMI_OPC_FAILED == 6, "opcodes");

/* The tags exist beside the typedefs. */
static_assert(sizeof(struct demi_sgaseg) == 12 && sizeof(struct demi_sgarray) == 40, "tags");
static_assert(sizeof(struct demi_qresult) == 64 && sizeof(struct demi_accept_result) == 20, "tags");

/* Signed and unsigned where upstream has them so. */
static void members_have_their_signs(void **state)
{
    demi_qresult_t qr = {.qr_qd = -1, .qr_ret = -1};
    demi_sgarray_t sga = {.sga_numsegs = UINT32_MAX, .sga_segs = {{NULL, UINT32_MAX}}};

    assert_true(qr.qr_qd < 0 && qr.qr_ret < 0);
    assert_true(sga.sga_numsegs > 0 && sga.sga_segs[0].sgaseg_len > 0);
}

/* The prototypes, to the letter: an assignment to another type does not compile. */
static void functions_have_their_prototypes(void **state)
{
    int (*init)(const struct demi_args *) = demi_init;
    int (*name[])(int *, const char *) = {demi_create_pipe, demi_open_pipe};
    int (*sock)(int *, int, int, int) = demi_socket;
    int (*bind_)(int, const struct sockaddr *, socklen_t) = demi_bind;
    int (*start[])(demi_qtoken_t *, int) = {demi_accept, demi_pop};
    int (*conn)(demi_qtoken_t *, int, const struct sockaddr *, socklen_t) = demi_connect;
    int (*push)(demi_qtoken_t *, int, const demi_sgarray_t *) = demi_push;
    int (*pushto)(demi_qtoken_t *, int, const demi_sgarray_t *, const struct sockaddr *,
                  socklen_t) = demi_pushto;
    int (*set)(int, int, int, const void *, socklen_t) = demi_setsockopt;
    int (*get)(int, int, int, void *, socklen_t *) = demi_getsockopt;
    int (*peer)(int, struct sockaddr *, socklen_t *) = demi_getpeername;
    int (*close_)(int) = demi_close;
    int (*listen_)(int, int) = demi_listen;
    demi_sgarray_t (*alloc)(size_t) = demi_sgaalloc;
    int (*free_)(demi_sgarray_t *) = demi_sgafree;
    int (*wait1)(demi_qresult_t *, demi_qtoken_t, const struct timespec *) = demi_wait;
    int (*any)(demi_qresult_t *, int *, const demi_qtoken_t[], int, const struct timespec *) =
        demi_wait_any;
    int (*next)(demi_qresult_t *, int, int *, const struct timespec *) = demi_wait_next_n;

    assert_true(init && name[0] && name[1] && sock && bind_ && start[0] && start[1] && conn);
    assert_true(push && pushto && set && get && peer && close_ && listen_ && alloc && free_);
    assert_true(wait1 && any && next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_have_their_signs),
        cmocka_unit_test(functions_have_their_prototypes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
