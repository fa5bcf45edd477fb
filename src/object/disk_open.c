/* SPDX-License-Identifier: MIT */
/*
 * Finding a persistent container's directory, taking it for a set of processes, beginning one,
 * removing it.
 *
 * Who comes first holds the directory's lock alone for a moment, writes its set's id, and shares
 * the lock then. Turning the one into the other lets go of it in between, so the id is read again
 * afterwards: of two that came at once, the one whose id stands there has it.
 */
#include "object/disk_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object/disk_file.h"
#include "object/disk_served.h"

/* ---- whose it is ----------------------------------------------------------------------------- */

static int try_lock(int dir, int how)
{
    while (flock(dir, how | LOCK_NB) < 0) {
        if (errno != EINTR)
            return errno == EWOULDBLOCK ? -EEXIST : -errno;
    }
    return 0;
}

static int has_set(int dir, const uint64_t set[2])
{
    uint64_t there[2];
    int fd = mbr__disk_open_file(dir, MBR__DISK_SET, 0);
    int err;

    if (fd < 0)
        return fd == -ENOENT ? -ESTALE : fd;
    err = mbr__disk_read_at(fd, there, sizeof(there), 0);
    close(fd);
    if (err < 0)
        return err;
    return there[0] == set[0] && there[1] == set[1] ? 0 : -ESTALE;
}

/* With the lock held alone. The file need not be on the disk: after a crash nobody has it. */
static int put_set(int dir, const uint64_t set[2])
{
    int fd = mbr__disk_open_file(dir, MBR__DISK_SET, O_CREAT);
    int err;

    if (fd < 0)
        return fd;
    err = mbr__disk_write_at(fd, set, 2 * sizeof(*set), 0);
    close(fd);
    return err;
}

static int claim(int dir, const uint64_t set[2])
{
    int err = put_set(dir, set);

    if (err == 0)
        err = try_lock(dir, LOCK_SH);
    if (err == 0)
        err = has_set(dir, set);
    return err == -ESTALE ? -EEXIST : err;
}

/* ---- what is there --------------------------------------------------------------------------- */

/* What a directory may have beside the journal: rests of one that was begun, or of a change. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {".",
                                        "..",
                                        MBR__DISK_JOURNAL,
                                        MBR__DISK_JOURNAL_NEW,
                                        MBR__DISK_BLOCKS,
                                        MBR__DISK_SET,
                                        MBR__DISK_OWNER,
                                        MBR__DISK_MEMORY,
                                        "lost+found"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static int only_ours(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int err = 0;

    if (list == NULL) {
        err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    errno = 0;
    while (err == 0 && (entry = readdir(list)) != NULL) {
        if (!is_ours(entry->d_name))
            err = -ENOTEMPTY;
    }
    if (err == 0)
        err = -errno;
    closedir(list);
    return err;
}

/* 1 a container is there, 0 nothing. */
static int look(int dir)
{
    struct stat st;
    int err;

    if (fstatat(dir, MBR__DISK_JOURNAL, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    if (errno != ENOENT)
        return -errno;
    err = only_ours(dir);
    if (err < 0)
        return err;
    /* Blocks are written only where a journal is, and go before it. */
    if (fstatat(dir, MBR__DISK_BLOCKS, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
        return -EBADMSG;
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

struct mbr__disk *mbr__disk_new(void)
{
    struct mbr__disk *d = calloc(1, sizeof(*d));

    if (d != NULL)
        d->dir = d->journal = d->blocks = -1;
    return d;
}

void mbr__disk_close(struct mbr__disk *d)
{
    struct mbr__disk_write *w;

    if (d == NULL)
        return;
    while ((w = d->limbo) != NULL) {
        d->limbo = w->next;
        mbr__disk_write_free(w);
    }
    mbr__served_free(d->served);
    if (d->catalog != NULL)
        mbr__catalog_fini(d->catalog);
    free(d->catalog);
    if (d->journal >= 0)
        close(d->journal);
    if (d->blocks >= 0)
        close(d->blocks);
    if (d->dir >= 0) {
        /* A child of ours may still have the descriptor. */
        (void)flock(d->dir, LOCK_UN);
        close(d->dir);
    }
    free(d);
}

static int open_blocks(struct mbr__disk *d, int flags)
{
    int fd = mbr__disk_open_file(d->dir, MBR__DISK_BLOCKS, flags);

    if (fd < 0)
        return fd == -ENOENT ? -EBADMSG : fd;
    d->blocks = fd;
    return 0;
}

static int open_journal(struct mbr__disk *d)
{
    int fd = mbr__disk_open_file(d->dir, MBR__DISK_JOURNAL, 0);

    if (fd < 0)
        return fd;
    d->journal = fd;
    return mbr__disk_load(d, MBR__DISK_WHOLE);
}

/* An empty container. Its journal comes last: without one there is nothing. */
static int begin(struct mbr__disk *d, uint32_t flags, const uint64_t set[2])
{
    struct mbr__catalog *c = d->catalog;
    int err = open_blocks(d, O_CREAT);

    if (err == 0)
        err = mbr__disk_set_size(d->blocks, 0);
    if (err < 0)
        return err;
    if (c == NULL)
        c = malloc(sizeof(*c));
    else
        mbr__catalog_fini(c);
    if (c == NULL)
        return -ENOMEM;
    mbr__catalog_init(c);
    d->catalog = c;
    d->dead = false;
    d->header = (struct mbr__journal_header){.flags = flags, .id = {set[0], set[1]}};
    return mbr__disk_rewrite(d, false);
}

/* Space that nothing refers to: of writes that were never made known, and of changes whose author
 * died before he gave it back. */
static void tidy(struct mbr__disk *d)
{
    uint32_t slots = mbr__catalog_slots(d->catalog);
    uint32_t from = 0;
    struct stat st;

    for (uint32_t slot = 0; slot < slots; slot++) {
        if (!mbr__catalog_slot_used(d->catalog, slot))
            continue;
        if (from < slot)
            mbr__disk_punch(d->blocks, from * (uint64_t)MBR_OBJECT_BLOCK,
                            (slot - from) * (uint64_t)MBR_OBJECT_BLOCK);
        from = slot + 1;
    }
    if (fstat(d->blocks, &st) == 0 && (uint64_t)st.st_size > slots * (uint64_t)MBR_OBJECT_BLOCK)
        (void)mbr__disk_set_size(d->blocks, slots * (uint64_t)MBR_OBJECT_BLOCK);
}

/* Makes sure that what was read is on the disk, and not only in the kernel's memory after all that
 * have written it were killed: a new journal, or, on a full disk, a sync of this one. */
static int make_durable(struct mbr__disk *d)
{
    int err = mbr__disk_rewrite(d, false);

    if (err != -ENOSPC && err != -EDQUOT)
        return err;
    err = mbr__disk_set_size(d->journal, d->end);
    if (err == 0)
        err = mbr__disk_sync_data(d->journal);
    if (err == 0)
        err = mbr__disk_sync_all(d->dir);
    d->doubt = err < 0;
    return err;
}

static int take_over(struct mbr__disk *d, uint32_t flags, const uint64_t set[2])
{
    int err = open_journal(d);

    if (err == 0 && d->dead)
        return begin(d, flags, set); /* its removal was not finished */
    if (err == 0)
        err = open_blocks(d, 0);
    if (err == 0)
        err = make_durable(d);
    if (err == 0)
        tidy(d);
    return err;
}

static int open_first(struct mbr__disk *d, const char *path, uint32_t flags, const uint64_t set[2])
{
    int err = d->dir = mbr__disk_open_dir(path);
    int there;

    if (err < 0)
        return err;
    err = try_lock(d->dir, LOCK_EX);
    if (err < 0)
        return err;
    there = look(d->dir);
    if (there < 0)
        return there;
    err = claim(d->dir, set);
    if (err < 0)
        return err;
    return there ? take_over(d, flags, set) : begin(d, flags, set);
}

static int open_next(struct mbr__disk *d, const char *path, const uint64_t set[2])
{
    int err = d->dir = mbr__disk_open_dir(path);

    if (err < 0)
        return err;
    err = try_lock(d->dir, LOCK_SH);
    if (err == 0)
        err = has_set(d->dir, set);
    if (err < 0)
        return err == -EEXIST ? -ESTALE : err;
    err = open_journal(d);
    if (err == 0)
        err = d->dead ? -ESTALE : open_blocks(d, 0);
    return err;
}

int mbr__disk_open(const char *path, uint32_t flags, const uint64_t set[2], struct mbr__disk **out)
{
    struct mbr__disk *d = mbr__disk_new();
    int err;

    if (d == NULL)
        return -ENOMEM;
    err = open_first(d, path, flags, set);
    if (err < 0) {
        mbr__disk_close(d);
        return err;
    }
    *out = d;
    return 0;
}

int mbr__disk_join(const char *path, const uint64_t set[2], struct mbr__disk **out)
{
    struct mbr__disk *d = mbr__disk_new();
    int err;

    if (d == NULL)
        return -ENOMEM;
    err = open_next(d, path, set);
    if (err < 0) {
        mbr__disk_close(d);
        return err;
    }
    *out = d;
    return 0;
}

/* ---- removing -------------------------------------------------------------------------------- */

static int drop(int dir, const char *name)
{
    return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* From the journal that says so on, it is gone, whatever files are left: who finds that journal
 * begins anew. It goes last, so that blocks without a journal are always a loss and never this. */
int mbr__disk_destroy(struct mbr__disk *d)
{
    int err = 0;

    if (d->served != NULL)
        return mbr__served_destroy(d);
    if (!d->dead || d->doubt)
        err = mbr__disk_rewrite(d, true);
    d->dead = d->dead || (d->header.flags & MBR__JOURNAL_DEAD) != 0;
    if (err == 0)
        err = drop(d->dir, MBR__DISK_BLOCKS);
    if (err == 0)
        err = mbr__disk_sync_all(d->dir);
    if (err == 0)
        err = drop(d->dir, MBR__DISK_JOURNAL_NEW);
    if (err == 0)
        err = drop(d->dir, MBR__DISK_JOURNAL);
    if (err == 0)
        err = drop(d->dir, MBR__DISK_SET);
    if (err == 0)
        err = mbr__disk_sync_all(d->dir);
    return err;
}
