/* SPDX-License-Identifier: MIT */
/*
 * Two ways to have the kernel read our own memory: process_vm_readv(), and, where a sandbox forbids
 * that, a pipe. Neither dereferences FROM here.
 */
#include "types/peek.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Page sizes are multiples of this; a piece within one is readable as a whole or not at all. */
#define PIECE 4096u

static int through_pipe(char *to, const char *from, size_t size)
{
    int result = 0;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    while (size > 0 && result == 0) {
        size_t piece = size < PIECE ? size : PIECE;
        ssize_t put = write(ends[1], from, piece);

        if (put <= 0 || read(ends[0], to, (size_t)put) != put) {
            result = put < 0 ? -errno : -EIO;
            break;
        }
        to += put;
        from += put;
        size -= (size_t)put;
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    return result;
}

int mbr__peek(void *to, const void *from, size_t size)
{
    struct iovec here = {to, size};
    struct iovec there = {(void *)(uintptr_t)from, size};
    ssize_t got;

    if (size == 0)
        return 0;
    if (size > SSIZE_MAX || (uintptr_t)from > UINTPTR_MAX - size)
        return -EFAULT;
    got = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    if (got >= 0)
        return (size_t)got == size ? 0 : -EFAULT;
    return errno == EFAULT ? -EFAULT : through_pipe(to, from, size);
}

int mbr__peek_string(char *to, size_t size, const char *from)
{
    size_t length = 0;

    while (length < size) {
        size_t piece = PIECE - (uintptr_t)(from + length) % PIECE;
        const char *end;
        int result;

        if (piece > 64)
            piece = 64;
        if (piece > size - length)
            piece = size - length;
        result = mbr__peek(to + length, from + length, piece);
        if (result < 0)
            return result;
        end = memchr(to + length, '\0', piece);
        if (end)
            return (int)(end - to);
        length += piece;
    }
    return -E2BIG;
}
