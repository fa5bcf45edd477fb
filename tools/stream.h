/* SPDX-License-Identifier: MIT */
/*
 * What membrane send and membrane recv say to each other through a pipe, version 1.
 *
 * Each message begins with a struct stream_head: its type, and how many bytes follow. Numbers are
 * in the machine's own byte order, since both sides share its memory.
 *
 *   who created the pipe          HELLO   at once, before anybody has come
 *   who opened it                 HELLO   after it has read the other's and found it fitting
 *   sender                        DATA    1 byte or more of the stream, any number of times
 *                                 END     how many bytes that were in all
 *   receiver                      DONE    how many it has written; both then end with exit code 0
 *   either, instead of the rest   FAIL    why it gives up (an errno), and how far it came
 *
 * An opener that meets its own role (a second sender) or a strange greeting leaves without a word
 * and without having released the greeting: so the pipe is as it was, and the creator waits on for
 * one that fits. A side that ends without END, DONE or FAIL has died.
 *
 * Everything received is copied once and checked before it is believed; DATA is written out where
 * it lies. Not here: how the two find each other (meet.h).
 */
#ifndef TOOLS_STREAM_H
#define TOOLS_STREAM_H

#include <assert.h>
#include <stdint.h>

#define STREAM_MAGIC   UINT64_C(0x6d61657274736d4d) /* "Mmstream" in memory */
#define STREAM_VERSION 1u

enum stream_type {
    STREAM_HELLO = 1,
    STREAM_DATA = 2,
    STREAM_END = 3,
    STREAM_DONE = 4,
    STREAM_FAIL = 5,
};

enum stream_role {
    STREAM_SENDER = 1,
    STREAM_RECEIVER = 2,
};

#define STREAM_SIZE_UNKNOWN UINT64_MAX

struct stream_head {
    uint32_t type;
    uint32_t length; /* bytes that follow; with the head, the length of the message */
};

struct stream_hello {
    struct stream_head head;
    uint64_t magic;
    uint32_t version;
    uint32_t role;
    uint64_t size; /* sender: bytes that will come, for the progress line only; or unknown */
    uint32_t pid;  /* for messages to people only */
    uint32_t zero;
};

/* END, DONE and FAIL. */
struct stream_total {
    struct stream_head head;
    uint64_t bytes; /* sender: read and sent; receiver: written */
    uint32_t error; /* FAIL: a positive errno, ECANCELED when a signal ended it; else 0 */
    uint32_t zero;
};

static_assert(sizeof(struct stream_head) == 8, "no padding");
static_assert(sizeof(struct stream_hello) == 40, "no padding");
static_assert(sizeof(struct stream_total) == 24, "no padding");

#endif
