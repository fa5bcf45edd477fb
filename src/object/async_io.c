/* SPDX-License-Identifier: MIT */
/* Copying for the thread of asynchronous operations. See async_io.h. */
#include "object/async_io.h"

#include <errno.h>
#include <string.h>

#include <membrane/objects.h>

#include "object/io.h"

int mbr__async_pin(int number, size_t offset, size_t size, struct mbr__async_at *at)
{
    const struct mbr__object *o;
    struct mbr__handle *h = NULL;
    uint64_t limit;
    int rc = mbr__handle_enter(MBR__KIND_OBJECT, number, &h);

    if (rc < 0)
        return rc;
    o = h->what;
    limit = mbr_load_relaxed(&o->entry->size);
    if (offset > limit || size > limit - offset) {
        mbr__handle_exit(h);
        return -ERANGE;
    }
    *at = (struct mbr__async_at){.handle = h, .number = number};
    return 0;
}

void mbr__async_unpin(const struct mbr__async_at *at)
{
    mbr__handle_exit(at->handle);
}

bool mbr__async_same(const struct mbr__async_at *x, const struct mbr__async_at *y)
{
    return x->handle->what == y->handle->what;
}

/* Whether it may be left half done: giving back what was written makes all of it sound, so blocks
 * that were torn must be written to their end. */
static bool may_stop(const struct mbr__io *io)
{
    for (uint32_t b = io->first; io->write && b < io->first + io->count; b++) {
        if (mbr_load_relaxed(&mbr__lock_of(&io->view->set, b)->torn) != 0)
            return false;
    }
    return true;
}

static void copy_blocks(const struct mbr__io *io, size_t offset, char *buf,
                        const uint32_t *canceled, uint64_t *done)
{
    bool stoppable = may_stop(io);
    size_t n = MBR_OBJECT_BLOCK - offset % MBR_OBJECT_BLOCK;

    for (size_t at = 0; at < io->size; at += n, n = MBR_OBJECT_BLOCK) {
        if (stoppable && mbr_load_relaxed(canceled) != 0)
            return;
        if (n > io->size - at)
            n = io->size - at;
        if (io->write)
            memcpy(io->bytes + at, buf + at, n);
        else
            memcpy(buf + at, io->bytes + at, n);
        mbr_store_release(done, at + n); /* pair A with mbr_object_opdone() */
    }
}

/* The number is not needed once the handle is: but that is all that the functions for versions
 * take. If it is being given back they refuse it, and so the operation has not begun. */
static int copy_version(const struct mbr__async_at *at, bool write, size_t offset, size_t size,
                        char *buf, uint64_t deadline, uint64_t *done)
{
    int rc = write ? mbr_object_write_until(at->number, offset, buf, size, deadline)
                   : mbr_object_read_until(at->number, offset, buf, size, deadline);

    if (rc == 0)
        mbr_store_release(done, size);
    return rc == -EBADF ? -ECANCELED : rc;
}

int mbr__async_copy(const struct mbr__async_at *at, bool write, size_t offset, size_t size,
                    char *buf, uint64_t deadline, const uint32_t *canceled, uint64_t *done)
{
    const struct mbr__object *o = at->handle->what;
    struct mbr__io io;
    int rc;

    if (o->policy == MBR_WRITE_VERSIONED || size == 0)
        return copy_version(at, write, offset, size, buf, deadline, done);
    rc =
        mbr__io_lock(at->handle, offset, size, write ? MBR__IO_WRITE : MBR__IO_READ, deadline, &io);
    if (rc < 0)
        return rc;
    copy_blocks(&io, offset, buf, canceled, done);
    mbr__io_unlock(&io);
    return 0;
}
