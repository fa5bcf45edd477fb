/* SPDX-License-Identifier: MIT */
/* Compile-time proof that our types have the layouts of Demikernel's C API, byte for byte. No code.
 */
#include <assert.h>
#include <stddef.h>

#include <demi/types.h>

static_assert(sizeof(demi_sgaseg_t) == 12 && offsetof(demi_sgaseg_t, sgaseg_len) == 8,
              "demi_sgaseg_t");
static_assert(sizeof(demi_sgarray_t) == 40 && offsetof(demi_sgarray_t, sga_numsegs) == 8 &&
                  offsetof(demi_sgarray_t, sga_segs) == 12 &&
                  offsetof(demi_sgarray_t, sga_addr) == 24,
              "demi_sgarray_t");
static_assert(sizeof(demi_accept_result_t) == 20 && offsetof(demi_accept_result_t, addr) == 4,
              "demi_accept_result_t");
static_assert(sizeof(demi_qresult_t) == 64 && offsetof(demi_qresult_t, qr_qd) == 4 &&
                  offsetof(demi_qresult_t, qr_qt) == 8 && offsetof(demi_qresult_t, qr_ret) == 16 &&
                  offsetof(demi_qresult_t, qr_value) == 24,
              "demi_qresult_t");
static_assert(sizeof(struct demi_args) == 20 && offsetof(struct demi_args, argv) == 4 &&
                  offsetof(struct demi_args, callback) == 12,
              "struct demi_args");
static_assert(DEMI_OPC_INVALID == 0 && DEMI_OPC_PUSH == 1 && DEMI_OPC_POP == 2 &&
                  DEMI_OPC_ACCEPT == 3 && DEMI_OPC_CONNECT == 4 && DEMI_OPC_CLOSE == 5 &&
                  DEMI_OPC_FAILED == 6,
              "enum demi_opcode");
