/* SPDX-License-Identifier: MIT */
/*
 * The Xenstore protocol on the wire: a header of four 32-bit words in little-endian order, then LEN
 * bytes. Message types, limits and the names of errors, for both ends (source: xs_wire.h and
 * docs/misc/xenstore.txt of Xen, 4.23).
 *
 * Not here: what a payload means (request_*.c), reading from a stream.
 */
#ifndef MBR_STORE_WIRE_H
#define MBR_STORE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define MBR__STORE_HEADER_SIZE  16u
#define MBR__STORE_PAYLOAD_MAX  4096u
#define MBR__STORE_ABS_PATH_MAX 3072u /* without the NUL */
#define MBR__STORE_REL_PATH_MAX 2048u

enum mbr__store_type {
    MBR__XS_CONTROL = 0,
    MBR__XS_DIRECTORY = 1,
    MBR__XS_READ = 2,
    MBR__XS_GET_PERMS = 3,
    MBR__XS_WATCH = 4,
    MBR__XS_UNWATCH = 5,
    MBR__XS_TRANSACTION_START = 6,
    MBR__XS_TRANSACTION_END = 7,
    MBR__XS_INTRODUCE = 8,
    MBR__XS_RELEASE = 9,
    MBR__XS_GET_DOMAIN_PATH = 10,
    MBR__XS_WRITE = 11,
    MBR__XS_MKDIR = 12,
    MBR__XS_RM = 13,
    MBR__XS_SET_PERMS = 14,
    MBR__XS_WATCH_EVENT = 15,
    MBR__XS_ERROR = 16,
    MBR__XS_IS_DOMAIN_INTRODUCED = 17,
    MBR__XS_RESUME = 18,
    MBR__XS_SET_TARGET = 19,
    /* 20 was RESTRICT */
    MBR__XS_RESET_WATCHES = 21,
    MBR__XS_DIRECTORY_PART = 22,
    MBR__XS_GET_FEATURE = 23,
    MBR__XS_SET_FEATURE = 24,
    MBR__XS_GET_QUOTA = 25,
    MBR__XS_SET_QUOTA = 26,
    MBR__XS_TYPES = 27,
    MBR__XS_INVALID = 65535 /* never a type */
};

/* Bits of GET_FEATURE, and of the features word in the shared page. */
#define MBR__XS_FEATURE_RECONNECTION 1u
#define MBR__XS_FEATURE_ERROR        2u
#define MBR__XS_FEATURE_WATCH_DEPTH  4u
#define MBR__XS_FEATURE_DOMID_ANY    8u
#define MBR__XS_FEATURES             15u

struct mbr__store_header {
    uint32_t type;
    uint32_t req_id; /* echoed */
    uint32_t tx_id;  /* 0: no transaction; echoed */
    uint32_t len;    /* of the payload */
};

/* Packs HEADER into the 16 bytes at OUT, and back. Neither can fail: LEN is not checked. */
void mbr__store_header_pack(unsigned char out[MBR__STORE_HEADER_SIZE],
                            const struct mbr__store_header *header);
void mbr__store_header_parse(struct mbr__store_header *header,
                             const unsigned char in[MBR__STORE_HEADER_SIZE]);

/* The name of a negative errno as it goes over the wire; "EINVAL" for those the protocol lacks. */
const char *mbr__store_error_name(int error);

/* The negative errno for a name of LENGTH bytes without NUL; -EINVAL for an unknown one. */
int mbr__store_error_number(const char *name, size_t length);

/* NUMBER in decimal digits, as all numbers on the wire are, and a NUL, into OUT; the digits'
 * number. */
#define MBR__STORE_DIGITS 21
size_t mbr__store_digits(char out[MBR__STORE_DIGITS], uint64_t number);

/* "READ" and so on; "?" for what is no type. */
const char *mbr__store_type_name(uint32_t type);

#endif
