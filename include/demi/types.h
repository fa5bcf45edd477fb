/* SPDX-License-Identifier: MIT */
/*
 * Data types of the Demikernel C API (version 1.5), layout for layout: packed, so that programs
 * compiled against other copies of these headers keep working. Sizes and offsets are checked where
 * the library is compiled (src/queue/demi).
 */
#ifndef DEMI_TYPES_H_IS_INCLUDED
#define DEMI_TYPES_H_IS_INCLUDED

#include <demi/cc.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Segments a scatter-gather array can have. */
#define DEMI_SGARRAY_MAXSIZE 1

/* Names a pending or completed operation until it has been waited for. 0 and UINT64_MAX never name
 * one. */
typedef uint64_t demi_qtoken_t;

/* One segment: where the data begins and how many bytes there are. A program may narrow it within
 * its buffer. */
typedef struct __attribute__((packed)) demi_sgaseg {
    void *sgaseg_buf;
    uint32_t sgaseg_len;
} demi_sgaseg_t;

/* A scatter-gather array. sga_buf belongs to the library; sga_addr is the sender of a datagram,
 * else zero. */
typedef struct __attribute__((packed)) demi_sgarray {
    void *sga_buf;
    uint32_t sga_numsegs;
    demi_sgaseg_t sga_segs[DEMI_SGARRAY_MAXSIZE];
    struct sockaddr_in sga_addr;
} demi_sgarray_t;

/* What an operation was; FAILED means that qr_ret is its error. */
typedef enum demi_opcode {
    DEMI_OPC_INVALID = 0,
    DEMI_OPC_PUSH,
    DEMI_OPC_POP,
    DEMI_OPC_ACCEPT,
    DEMI_OPC_CONNECT,
    DEMI_OPC_CLOSE,
    DEMI_OPC_FAILED,
} demi_opcode_t;

/* Result of an accept: the new queue and its peer. */
typedef struct __attribute__((packed)) demi_accept_result {
    int32_t qd;
    struct sockaddr_in addr;
} demi_accept_result_t;

/*
 * Result of an operation. qr_ret is 0, or a positive errno value when qr_opcode is DEMI_OPC_FAILED.
 * For a pop, sga is the message and belongs to the program, which gives it back with
 * demi_sgafree(), also when its length is 0 (end of file). For a push qr_value is zero.
 */
typedef struct __attribute__((packed)) demi_qresult {
    enum demi_opcode qr_opcode;
    int32_t qr_qd;
    demi_qtoken_t qr_qt;
    int64_t qr_ret;
    union {
        demi_sgarray_t sga;
        demi_accept_result_t ares;
    } qr_value;
} demi_qresult_t;

/* Reports a scope's name, its length in bytes and its duration in CPU cycles; used by profiling
 * builds only. */
typedef void (*demi_callback_t)(const char *, uint32_t, uint64_t);

/* Arguments of demi_init(). argc and argv are ignored; the environment configures the library. */
struct __attribute__((packed)) demi_args {
    int argc;
    char *const *argv;
    demi_callback_t callback;
};

#ifdef __cplusplus
}
#endif

#endif
