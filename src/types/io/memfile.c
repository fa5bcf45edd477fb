/* SPDX-License-Identifier: MIT */
/*
 * MemFile and MemFileMod: a file in a heap. Its readers and writers share the contents under one
 * lock, which is recursive, so that who holds it by Lock may open, read and write all the same. The
 * contents live until the file is disposed of and the last of its streams is closed.
 */
#include <errno.h>
#include <string.h>

#include <middl/MemFile.h>
#include <middl/MemFileMod.h>

#include "base/list.h"
#include "types/heap_use.h"
#include "types/io/rd.h"
#include "types/io/wr.h"
#include "types/modules.h"

struct file {
    MemFile_cl cl;
    Heap_clp heap;
    pthread_mutex_t lock;
    uint64_t users; /* the file itself, until it is disposed of, and its open streams */
    bool dirty;
    char *data;
    uint64_t size;
    uint64_t capacity;
};

struct file_rd {
    struct mbr__rd rd;
    struct file *file;
    uint64_t next; /* rd.at, or one more when a character was pushed back */
};

struct file_wr {
    struct mbr__wr wr;
    struct file *file;
};

static void lock(struct file *file)
{
    pthread_mutex_lock(&file->lock);
}

static void unlock(struct file *file)
{
    pthread_mutex_unlock(&file->lock);
}

static void join(struct file *file)
{
    lock(file);
    file->users++;
    unlock(file);
}

static void leave(struct file *file)
{
    bool last;

    lock(file);
    last = --file->users == 0;
    unlock(file);
    if (!last)
        return;
    pthread_mutex_destroy(&file->lock);
    mbr__heap_free(file->heap, file->data);
    mbr__heap_free(file->heap, file);
}

static struct file_rd *rd_of(struct mbr__rd *rd)
{
    return mbr__container_of(rd, struct file_rd, rd);
}

static struct file *file_of(struct mbr__wr *wr)
{
    return mbr__container_of(wr, struct file_wr, wr)->file;
}

static uint64_t rd_read(struct mbr__rd *rd, char *buf, uint64_t nb, bool line)
{
    struct file_rd *from = rd_of(rd);
    struct file *file = from->file;
    uint64_t n;

    lock(file);
    n = file->size - from->next;
    n = nb < n ? nb : n;
    if (n > 0) {
        n = mbr__rd_wanted(file->data + from->next, n, line);
        memcpy(buf, file->data + from->next, (size_t)n);
        from->next += n;
    }
    unlock(file);
    return n;
}

static uint64_t rd_length(struct mbr__rd *rd)
{
    struct file *file = rd_of(rd)->file;
    uint64_t size;

    lock(file);
    size = file->size;
    unlock(file);
    return size;
}

static bool rd_at_end(struct mbr__rd *rd)
{
    return rd_of(rd)->next == rd_length(rd);
}

static uint64_t rd_ready(struct mbr__rd *rd)
{
    return rd_length(rd) - rd_of(rd)->next + 1;
}

static uint64_t rd_seek(struct mbr__rd *rd, uint64_t n)
{
    uint64_t length = rd_length(rd);

    return rd_of(rd)->next = n < length ? n : length;
}

static void rd_close(struct mbr__rd *rd)
{
    leave(rd_of(rd)->file);
}

/* 0, or why there is no room for SIZE bytes; then nothing has changed. */
static uint32_t reserve(struct file *file, uint64_t size)
{
    uint64_t capacity = file->capacity < 64 ? 64 : file->capacity;
    char *data;

    if (size > INT64_MAX / 2)
        return EFBIG;
    if (size <= file->capacity)
        return 0;
    while (capacity < size)
        capacity *= 2;
    data = mbr__heap_resize(file->heap, file->data, (size_t)capacity);
    if (!data)
        return ENOMEM;
    file->data = data;
    file->capacity = capacity;
    return 0;
}

static void wr_write(struct mbr__wr *wr, const char *text, uint64_t nb)
{
    struct file *file = file_of(wr);
    uint32_t why = EFBIG;

    lock(file);
    if (nb <= UINT64_MAX - wr->at)
        why = reserve(file, wr->at + nb);
    if (!why) {
        memcpy(file->data + wr->at, text, (size_t)nb);
        wr->at += nb;
        if (file->size < wr->at)
            file->size = wr->at;
        file->dirty = true;
    }
    unlock(file);
    if (why)
        RAISE(Wr_Failure, why);
}

static uint64_t wr_length(struct mbr__wr *wr)
{
    struct file *file = file_of(wr);
    uint64_t size;

    lock(file);
    size = file->size;
    unlock(file);
    return size;
}

static uint64_t wr_seek(struct mbr__wr *wr, uint64_t n)
{
    uint64_t length = wr_length(wr);

    return n < length ? n : length;
}

static void wr_close(struct mbr__wr *wr)
{
    leave(file_of(wr));
}

static const struct mbr__rd_kind rd_kind = {.read = rd_read,
                                            .at_end = rd_at_end,
                                            .ready = rd_ready,
                                            .seek = rd_seek,
                                            .length = rd_length,
                                            .close = rd_close};

static const struct mbr__wr_kind wr_kind = {
    .write = wr_write, .seek = wr_seek, .length = wr_length, .close = wr_close};

static Rd_clp open_rd(MemFile_clp self, Heap_clp h)
{
    struct file_rd *rd = mbr__heap_need(h, sizeof(*rd));

    rd->file = self->st;
    join(rd->file);
    mbr__rd_init(&rd->rd, &rd_kind, h, 0);
    return &rd->rd.cl;
}

static Wr_clp open_wr(MemFile_clp self, Heap_clp h)
{
    struct file_wr *wr = mbr__heap_need(h, sizeof(*wr));

    wr->file = self->st;
    join(wr->file);
    mbr__wr_init(&wr->wr, &wr_kind, h);
    return &wr->wr.cl;
}

static Rd_clp file_open_rd(File_clp self)
{
    struct file *file = self->st;

    return open_rd(&file->cl, file->heap);
}

static Wr_clp file_open_wr(File_clp self)
{
    struct file *file = self->st;

    return open_wr(&file->cl, file->heap);
}

static void file_dispose(File_clp self)
{
    leave(self->st);
}

static void file_lock(MemFile_clp self)
{
    lock(self->st);
}

static void file_unlock(MemFile_clp self)
{
    unlock(self->st);
}

static bool is_dirty(MemFile_clp self)
{
    struct file *file = self->st;
    bool dirty;

    lock(file);
    dirty = file->dirty;
    unlock(file);
    return dirty;
}

static void mark_clean(MemFile_clp self)
{
    struct file *file = self->st;

    lock(file);
    file->dirty = false;
    unlock(file);
}

static const MemFile_op file_op = {.OpenRd = file_open_rd,
                                   .OpenWr = file_open_wr,
                                   .Dispose = file_dispose,
                                   .Lock = file_lock,
                                   .Unlock = file_unlock,
                                   .IsDirty = is_dirty,
                                   .MarkClean = mark_clean,
                                   .LOpenRd = open_rd,
                                   .LOpenWr = open_wr};

static MemFile_clp new_file(MemFileMod_clp self, Heap_clp h)
{
    struct file *file = mbr__heap_need(h, sizeof(*file));
    pthread_mutexattr_t recursive;

    (void)self;
    file->cl = (MemFile_cl){&file_op, file};
    file->heap = h;
    file->users = 1;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&file->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return &file->cl;
}

static const MemFileMod_op module_op = {.New = new_file};

MemFileMod_cl mbr__module_MemFileMod = {&module_op, NULL};
