/* SPDX-License-Identifier: MIT */
/*
 * What the thread of asynchronous operations does to objects: the region of an operation is taken
 * without waiting, copied in pieces between which it may be cancelled, and given back.
 *
 * Not here: when (async_worker.c).
 */
#ifndef MBR_OBJECT_ASYNC_IO_H
#define MBR_OBJECT_ASYNC_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbr__handle;

/* An object's number, which we are inside of: it stays what it is until it is unpinned. */
struct mbr__async_at {
    struct mbr__handle *handle;
    int number;
};

/* Checks a region and keeps its object. -EBADF, -EPERM, -ERANGE. */
int mbr__async_pin(int number, size_t offset, size_t size, struct mbr__async_at *at);
void mbr__async_unpin(const struct mbr__async_at *at);

/* Whether the two are of one object, also through different numbers. */
bool mbr__async_same(const struct mbr__async_at *x, const struct mbr__async_at *y);

/*
 * Copies the region if its blocks can be had by `deadline` (0: now), all of it as one. Between two
 * blocks it looks whether *canceled is set, and stops then; *done grows with each block. (A
 * versioned object's write is prepared and published as a whole, or not at all.) 0 also when it has
 * stopped; -ETIMEDOUT they cannot be had, nothing has changed; or another error of
 * mbr_object_read() or mbr_object_write(), -ECANCELED if the number is being given back.
 */
int mbr__async_copy(const struct mbr__async_at *at, bool write, size_t offset, size_t size,
                    char *buf, uint64_t deadline, const uint32_t *canceled, uint64_t *done);

#endif
