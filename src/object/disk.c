/* SPDX-License-Identifier: MIT */
/*
 * The journal as a file: read, appended to, written anew; and the changes that need nothing else.
 */
#include "object/disk_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "object/disk_file.h"
#include "object/disk_served.h"

#define JOURNAL_MAX   (UINT64_C(1) << 33) /* nothing that we write comes near */
#define SHRINK_LEAST  (UINT64_C(64) << 10)
#define SHRINK_FACTOR 4 /* longer than so many times what is needed: written anew */

static uint64_t shrink_limit(const struct mbr__disk *d)
{
    return SHRINK_LEAST + SHRINK_FACTOR * d->catalog->live;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The bytes from AT to UNTIL or the file's end, to be freed. */
static int read_from(int fd, uint64_t at, uint64_t until, unsigned char **out, size_t *length)
{
    unsigned char *data;
    struct stat st;
    int err;

    if (fstat(fd, &st) < 0)
        return -errno;
    uint64_t size = (uint64_t)st.st_size;

    if (until != MBR__DISK_WHOLE && until > size)
        return -EIO; /* it was cut off */
    size = until != MBR__DISK_WHOLE ? until : size;
    if (size < at)
        return -EIO;
    if (size > JOURNAL_MAX)
        return -EBADMSG;
    data = malloc(size - at + 1);
    if (data == NULL)
        return -ENOMEM;
    err = mbr__disk_read_at(fd, data, size - at, at);
    if (err < 0) {
        free(data);
        return err;
    }
    *out = data;
    *length = size - at;
    return 0;
}

/* Header, the part that was durable at once, then what was appended. USED: how far it is good. */
static int parse(struct mbr__catalog *c, const unsigned char *data, size_t length,
                 struct mbr__journal_header *header, size_t *used)
{
    int err = mbr__journal_get_header(data, length, header);

    if (err < 0)
        return err;
    if (header->whole > length)
        return -EBADMSG;
    c->next = header->first;
    *used = MBR__JOURNAL_HEADER;
    err = mbr__catalog_read(c, data, header->whole, used);
    if (err < 0)
        return err;
    if (*used != header->whole || c->last_id > header->last_id)
        return -EBADMSG;
    c->last_id = header->last_id;
    err = mbr__catalog_read(c, data, length, used);
    mbr__catalog_forget_freed(c);
    return err;
}

static void forget_limbo(struct mbr__disk *d)
{
    struct mbr__disk_write *w;

    while ((w = d->limbo) != NULL) {
        d->limbo = w->next;
        mbr__disk_write_free(w);
    }
}

int mbr__disk_load(struct mbr__disk *d, uint64_t until)
{
    struct mbr__catalog *c = malloc(sizeof(*c));
    struct mbr__journal_header header = {0};
    unsigned char *data = NULL;
    size_t length = 0;
    size_t used = 0;
    int err;

    if (c == NULL)
        return -ENOMEM;
    mbr__catalog_init(c);
    err = read_from(d->journal, 0, until, &data, &length);
    if (err == 0)
        err = parse(c, data, length, &header, &used);
    free(data);
    if (err < 0) {
        mbr__catalog_fini(c);
        free(c);
        return err;
    }
    if (d->catalog != NULL)
        mbr__catalog_fini(d->catalog);
    free(d->catalog);
    forget_limbo(d);
    d->catalog = c;
    d->header = header;
    d->end = used;
    d->shrink_at = shrink_limit(d);
    d->doubt = d->doubt || used < length;
    d->dead = (header.flags & MBR__JOURNAL_DEAD) != 0;
    return 0;
}

int mbr__disk_read_tail(struct mbr__disk *d, uint64_t until)
{
    unsigned char *data = NULL;
    size_t length = 0;
    size_t used = 0;
    int err = read_from(d->journal, d->end, until, &data, &length);

    if (err < 0)
        return err;
    err = mbr__catalog_read(d->catalog, data, length, &used);
    mbr__catalog_forget_freed(d->catalog);
    free(data);
    d->end += used;
    /* What is left was cut off on its way: the next change gets rid of it. */
    d->doubt = d->doubt || used < length;
    return err;
}

/* Another process has written a new journal. */
static int reopen(struct mbr__disk *d)
{
    int old = d->journal;
    int fd = mbr__disk_open_file(d->dir, MBR__DISK_JOURNAL, 0);
    int err;

    if (fd < 0)
        return fd == -ENOENT ? -EIO : fd;
    d->journal = fd;
    err = mbr__disk_load(d, MBR__DISK_WHOLE);
    if (err < 0) {
        d->journal = old;
        close(fd);
        return err;
    }
    close(old);
    /* It may have died before the new name was on the disk. */
    if (mbr__disk_sync_all(d->dir) < 0)
        d->doubt = true;
    return d->dead ? -ESTALE : 0;
}

int mbr__disk_refresh(struct mbr__disk *d, bool doubt)
{
    struct stat st;

    if (d->served != NULL)
        return mbr__served_refresh(d);
    if (d->dead)
        return -ESTALE;
    d->doubt = d->doubt || doubt;
    if (fstat(d->journal, &st) < 0)
        return -errno;
    if (st.st_nlink == 0)
        return reopen(d);
    if ((uint64_t)st.st_size < d->end)
        return -EIO;
    return (uint64_t)st.st_size > d->end ? mbr__disk_read_tail(d, MBR__DISK_WHOLE) : 0;
}

bool mbr__disk_doubt(const struct mbr__disk *d)
{
    return d->doubt;
}

const struct mbr__catalog *mbr__disk_catalog(const struct mbr__disk *d)
{
    return d->catalog;
}

uint32_t mbr__disk_flags(const struct mbr__disk *d)
{
    return d->header.flags & MBR__JOURNAL_CHECKSUMS;
}

/* ---- writing anew ---------------------------------------------------------------------------- */

/* A file of these bytes, durable, without its final name. Its descriptor. */
static int write_file(int dir, const unsigned char *data, size_t length)
{
    int err;
    int fd;

    if (unlinkat(dir, MBR__DISK_JOURNAL_NEW, 0) < 0 && errno != ENOENT)
        return -errno;
    fd = mbr__disk_open_file(dir, MBR__DISK_JOURNAL_NEW, O_CREAT | O_EXCL);
    if (fd < 0)
        return fd;
    err = mbr__disk_write_at(fd, data, length, 0);
    if (err == 0)
        err = mbr__disk_sync_all(fd);
    if (err == 0 && renameat(dir, MBR__DISK_JOURNAL_NEW, dir, MBR__DISK_JOURNAL) < 0)
        err = -errno;
    if (err == 0)
        return fd;
    close(fd);
    (void)unlinkat(dir, MBR__DISK_JOURNAL_NEW, 0);
    return err;
}

/* Slots in limbo are free, now that the journal which may have named them is gone. */
static void end_limbo(struct mbr__disk *d)
{
    for (struct mbr__disk_write *w = d->limbo; w != NULL; w = w->next) {
        for (uint32_t i = 0; i < w->count; i++)
            mbr__catalog_give(d->catalog, w->block[i].slot);
    }
    forget_limbo(d);
}

/* The new file has the name. */
static int adopt(struct mbr__disk *d, int fd, const struct mbr__journal_header *header,
                 uint64_t next)
{
    int err;

    if (d->journal >= 0)
        close(d->journal);
    d->journal = fd;
    d->header = *header;
    d->end = header->whole;
    d->catalog->next = next;
    d->shrink_at = shrink_limit(d);
    d->doubt = true;
    err = mbr__disk_sync_all(d->dir);
    if (err < 0)
        return err; /* in doubt: which of the two has the name on the disk */
    d->doubt = false;
    end_limbo(d);
    return 0;
}

int mbr__disk_rewrite(struct mbr__disk *d, bool dead)
{
    struct mbr__journal_header header = d->header;
    unsigned char *data;
    uint64_t next;
    int err;
    int fd;

    err = mbr__catalog_write(d->catalog, d->catalog->next, &data, &next);
    if (err < 0)
        return err;
    header.generation++;
    header.last_id = d->catalog->last_id;
    header.first = d->catalog->next;
    header.whole = dead ? MBR__JOURNAL_HEADER : d->catalog->live;
    header.flags |= dead ? MBR__JOURNAL_DEAD : 0;
    mbr__journal_put_header(data, &header);
    fd = write_file(d->dir, data, header.whole);
    free(data);
    return fd < 0 ? fd : adopt(d, fd, &header, next);
}

int mbr__disk_settle(struct mbr__disk *d)
{
    int err;

    if (d->dead)
        return -ESTALE;
    if (!d->doubt && d->end <= d->shrink_at)
        return 0;
    err = mbr__disk_rewrite(d, false);
    if (err < 0 && !d->doubt) {
        /* It was only for the space; not again at every change. */
        d->shrink_at = 2 * d->end;
        return 0;
    }
    return err;
}

/* ---- appending ------------------------------------------------------------------------------- */

/* Takes back what may have been appended, so that nobody reads it. */
static void undo(struct mbr__disk *d)
{
    static const unsigned char zeroes[8];
    int err = mbr__disk_set_size(d->journal, d->end);

    if (err == 0)
        err = mbr__disk_sync_data(d->journal);
    else
        (void)mbr__disk_write_at(d->journal, zeroes, sizeof(zeroes), d->end);
    if (err < 0)
        d->doubt = true;
}

static void punch_freed(struct mbr__disk *d)
{
    for (size_t i = 0; i < d->catalog->freed_count; i++)
        mbr__disk_punch(d->blocks, d->catalog->freed[i] * (uint64_t)MBR_OBJECT_BLOCK,
                        MBR_OBJECT_BLOCK);
    mbr__catalog_forget_freed(d->catalog);
}

/* DATA is the record as bytes. */
static int append_bytes(struct mbr__disk *d, const unsigned char *data, size_t length)
{
    struct mbr__journal_record record;
    int err = mbr__journal_get_record(data, length, &record);

    if (err < 0)
        return -EINVAL; /* arguments that no record may have */
    err = mbr__catalog_check(d->catalog, &record, true);
    if (err < 0)
        return err;
    err = mbr__disk_write_at(d->journal, data, length, d->end);
    if (err == 0)
        err = mbr__disk_sync_data(d->journal);
    if (err < 0) {
        mbr__catalog_cancel(d->catalog);
        undo(d);
        return err;
    }
    mbr__catalog_apply(d->catalog, &record);
    d->end += length;
    punch_freed(d);
    return 0;
}

int mbr__disk_append(struct mbr__disk *d, struct mbr__journal_record *record,
                     const struct mbr__journal_block *blocks)
{
    size_t length = mbr__journal_record_size(record->kind, record->name_len, record->count);
    unsigned char *data;
    int err;

    if (d->served != NULL)
        return mbr__served_change(d, record);
    err = mbr__disk_settle(d);
    if (err < 0)
        return err;
    data = malloc(length);
    if (data == NULL)
        return -ENOMEM;
    record->number = d->catalog->next;
    mbr__journal_put_record(data, record, blocks);
    err = append_bytes(d, data, length);
    free(data);
    return err;
}

/* ---- changes --------------------------------------------------------------------------------- */

static int check_size(uint64_t size)
{
    if (size == 0)
        return -EINVAL;
    return size > MBR_OBJECT_SIZE_MAX ? -EFBIG : 0;
}

int mbr__disk_create(struct mbr__disk *d, uint64_t id, const char *name, uint64_t size,
                     uint32_t policy)
{
    size_t length = strnlen(name, MBR_OBJECT_NAME_MAX + 1);
    struct mbr__journal_record record = {.kind = MBR__JOURNAL_CREATE,
                                         .id = id,
                                         .size = size,
                                         .policy = policy,
                                         .name = name,
                                         .name_len = (uint32_t)length};
    int err = mbr__journal_check_name(name, length);

    if (err == 0)
        err = check_size(size);
    return err < 0 ? err : mbr__disk_append(d, &record, NULL);
}

int mbr__disk_remove(struct mbr__disk *d, uint64_t id)
{
    struct mbr__journal_record record = {.kind = MBR__JOURNAL_REMOVE, .id = id};

    return mbr__disk_append(d, &record, NULL);
}

int mbr__disk_rename(struct mbr__disk *d, uint64_t id, const char *name)
{
    size_t length = strnlen(name, MBR_OBJECT_NAME_MAX + 1);
    struct mbr__journal_record record = {
        .kind = MBR__JOURNAL_RENAME, .id = id, .name = name, .name_len = (uint32_t)length};
    int err = mbr__journal_check_name(name, length);

    return err < 0 ? err : mbr__disk_append(d, &record, NULL);
}

int mbr__disk_resize(struct mbr__disk *d, uint64_t id, uint64_t size)
{
    struct mbr__journal_record record = {.kind = MBR__JOURNAL_RESIZE, .id = id, .size = size};
    int err = check_size(size);

    return err < 0 ? err : mbr__disk_append(d, &record, NULL);
}
