/* SPDX-License-Identifier: MIT */
/*
 * What membrane send and membrane recv have in common: one end of a pipe, one file, what was moved,
 * and how it is told to people, to programs and to the other side.
 *
 * Functions that return int return 0 or an exit code (exits.h) after an error message, unless they
 * say otherwise. Not here: finding the other side (meet.h), the messages (stream.h).
 */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <membrane/queue.h>

#include "options.h"
#include "progress.h"
#include "stream.h"

struct transfer {
    const struct tool_args *args;
    enum stream_role role;
    const char *name; /* of the pipe */
    const char *path; /* of the file; NULL: a standard stream */
    const char *file; /* the same for messages */
    int fd;
    bool made;  /* the file was not there before */
    bool open;  /* qd is a pipe */
    bool begun; /* the other side has come */
    struct mbr_libos *libos;
    int qd;
    uint64_t capacity;   /* of our ring */
    uint64_t timeout_ns; /* of each wait for the other side */
    uint64_t size;       /* bytes that will come, or STREAM_SIZE_UNKNOWN */
    uint64_t moved;      /* sender: read and handed to the ring; receiver: written */
    uint64_t messages;
    uint64_t started; /* ns */
    FILE *json;       /* where the JSON object goes, or NULL */
    struct progress progress;
};

/* "sender" or "receiver": what the other side is. */
const char *transfer_peer(const struct transfer *t);

/* Reads the options that both verbs have, prepares signals and opens the library. `t` is zeroed but
 * for args, role, path, file, fd and capacity. */
int transfer_open(struct transfer *t);

/* The other side has come: from here on time and bytes count. */
void transfer_begin(struct transfer *t, uint64_t size);

/*
 * Waits until the pipe is readable or writable for `len` bytes (enum mbr_ready), drawing progress.
 * 0, or a negative errno: -ETIMEDOUT after --timeout, -EINTR when a signal asks for the end.
 */
int transfer_await(struct transfer *t, unsigned what, uint32_t len);

/* Sends a small message, waiting for room. 0 or a negative errno. */
int transfer_put(struct transfer *t, const void *message, uint32_t len);

/* Tells the other side why we give up, if there is room: else it will see that we are gone. */
void transfer_give_up(struct transfer *t, int error);

/* The other side has said FAIL: what it was. Returns the exit code. */
int transfer_peer_failed(struct transfer *t, const struct stream_total *why);

/* An error of waiting or of the pipe (negative errno) in the middle of the stream. Returns the exit
 * code. */
int transfer_broken(struct transfer *t, int error);

/* Closes everything, ends the progress line and prints the JSON object. Returns the exit code; does
 * not return after a signal. */
int transfer_finish(struct transfer *t, int code);

/* Copies a message out of shared memory if it is of this type and exactly this long. False if not.
 */
bool transfer_copy(enum stream_type type, const void *data, uint32_t len, uint64_t left, void *out,
                   uint32_t size);

#endif
