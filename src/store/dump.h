/* SPDX-License-Identifier: MIT */
/*
 * The stream of a live update: numbers of eight bytes in little-endian order, and strings with
 * their length in front, in the order in which dump.c writes and restore.c reads them.
 *
 * Version 2 adds to the output of each connection which events are remembered, so that equal ones
 * are superfluous, and to whom the output is charged.
 *
 * Not here: how the stream gets from one program to the next (daemon/).
 */
#ifndef MBR_STORE_DUMP_H
#define MBR_STORE_DUMP_H

#include <stdint.h>

#define MBR__ST_DUMP_MAGIC   UINT64_C(0x65726f7473726d62) /* "bmrstore" */
#define MBR__ST_DUMP_VERSION 2u
#define MBR__ST_DUMP_OLDEST  1u                       /* that is read; without what is new in 2 */
#define MBR__ST_DUMP_END     UINT64_C(0x646e65646e65) /* "endend" */

/* Flags of an access of a transaction. */
enum {
    MBR__ST_DUMP_BASE = 1, /* it was there */
    MBR__ST_DUMP_WORK = 2, /* it is there now ... */
    MBR__ST_DUMP_OWN = 4,  /* ... in a version of its own, which follows */
    MBR__ST_DUMP_DEEP = 8,
    MBR__ST_DUMP_MODIFIED = 16,
    MBR__ST_DUMP_VALUE_SET = 32,
    MBR__ST_DUMP_PERMS_SET = 64,
    MBR__ST_DUMP_FIRE = 128,
    MBR__ST_DUMP_EXACT = 256, /* of older programs, without a meaning now */
    MBR__ST_DUMP_SHADOWED = 512,
    MBR__ST_DUMP_OPAQUE = 1024,
    MBR__ST_DUMP_OLD_PERMS = 2048,
    MBR__ST_DUMP_ALL = 4095
};

/* Flags of a connection. */
enum { MBR__ST_DUMP_PRIVILEGED = 1, MBR__ST_DUMP_BROKEN = 2, MBR__ST_DUMP_LATER = 4 };

#endif
