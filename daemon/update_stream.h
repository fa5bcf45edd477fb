/* SPDX-License-Identifier: MIT */
/*
 * The daemon's part of the state that goes through a live update: numbers of 64 bits in
 * little-endian order, and bytes. The engine's part follows it in the same file.
 */
#ifndef DAEMON_UPDATE_STREAM_H
#define DAEMON_UPDATE_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* Writing is buffered; the first failure is kept and later calls do nothing. */
struct stream_out {
    int fd;
    int error;
    size_t used;
    unsigned char buffer[65536];
};

void stream_put(struct stream_out *out, uint64_t number);
void stream_put_bytes(struct stream_out *out, const void *data, size_t length);
/* Writes out what is buffered; 0 or the first failure. */
int stream_finish(struct stream_out *out);
/* As mbr__store_writer, with a stream_out. */
int stream_writer(void *user, const void *data, size_t length);

/* Reading, from a mapping; bounded. */
struct stream_in {
    const unsigned char *at;
    size_t left;
    int error;
};

/* 0 after the first failure, which is kept: -EBADMSG. */
uint64_t stream_get(struct stream_in *in);
/* As stream_get(), and above MAX is a failure too. */
uint64_t stream_get_most(struct stream_in *in, uint64_t max);
/* LENGTH bytes in place, or NULL. */
const unsigned char *stream_get_bytes(struct stream_in *in, size_t length);
/* As mbr__store_reader, with a stream_in. */
int stream_reader(void *user, void *data, size_t length);

#endif
