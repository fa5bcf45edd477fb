/* SPDX-License-Identifier: MIT */
/* Receiving so many bytes of a stream, for tests that speak a protocol. Not here: any protocol. */
#ifndef MBR_TESTS_RECEIVE_H
#define MBR_TESTS_RECEIVE_H

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Blocks until all of them are there. False: the stream ended before, or failed. */
static inline bool receive_all(int fd, void *data, size_t length)
{
    char *at = data;

    while (length > 0) {
        ssize_t n = recv(fd, at, length, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

#endif
