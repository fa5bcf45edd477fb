/* SPDX-License-Identifier: MIT */
/*
 * The daemon's directory of containers: opened, looked through, and one made or removed in it; see
 * shelf.h.
 *
 *     0123456789abcdef        a container: its files, and "membrane-owner"
 *     new-0123456789abcdef    one that is being made: it is there once it has its name
 *     old-0123456789abcdef    one that was destroyed: it is gone once it has lost it
 *
 * membrane-owner, numbers little-endian: magic "\0mbr.oO1", version 1, uid, group (ffffffff none),
 * flags, policy, bytes of the name (4 bytes each); 240 bytes that are the name and then zeroes;
 * CRC-32C of all that. 276 bytes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "container.h"
#include "log.h"
#include "object/crc32c.h"
#include "object/disk_file.h"
#include "object/disk_state.h"
#include "object/memory.h"
#include "shelf_impl.h"
#include "shm/names.h"

#define MAGIC_SIZE 8u
#define NAME_AT    32u
#define SUM_AT     (NAME_AT + MBR_OBJECT_NAME_MAX)
#define OWNER_SIZE (SUM_AT + 4u)
#define NAME_SIZE  32 /* "new-", 16 digits, 0 */
#define GROUP_NONE UINT32_MAX
#define ALWAYS     (MBR_CONTAINER_KEPT | MBR_CONTAINER_PERSISTENT)
#define FLAGS      (ALWAYS | MBR_CONTAINER_CHECKSUMS)

static const char magic[MAGIC_SIZE] = {0, 'm', 'b', 'r', '.', 'o', 'O', '1'};

static void name_of(const char *prefix, uint64_t number, char out[NAME_SIZE])
{
    (void)snprintf(out, NAME_SIZE, "%s%016llx", prefix, (unsigned long long)number);
}

/* ---- whose it is ------------------------------------------------------------------------------
 */

static void put32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t get32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void pack(const struct stored_what *what, unsigned char out[OWNER_SIZE])
{
    size_t length = strlen(what->name);

    memset(out, 0, OWNER_SIZE);
    memcpy(out, magic, MAGIC_SIZE);
    put32(out + 8, 1);
    put32(out + 12, what->uid);
    put32(out + 16, what->group < 0 ? GROUP_NONE : (uint32_t)what->group);
    put32(out + 20, what->flags);
    put32(out + 24, what->policy);
    put32(out + 28, (uint32_t)length);
    memcpy(out + NAME_AT, what->name, length);
    put32(out + SUM_AT, mbr__crc32c(0, out, SUM_AT));
}

static int unpack(const unsigned char data[OWNER_SIZE], struct stored_what *what)
{
    uint32_t length = get32(data + 28);
    uint32_t group = get32(data + 16);

    if (memcmp(data, magic, MAGIC_SIZE) != 0 ||
        get32(data + SUM_AT) != mbr__crc32c(0, data, SUM_AT))
        return -EBADMSG;
    if (get32(data + 8) != 1)
        return -EPROTONOSUPPORT;
    what->uid = get32(data + 12);
    what->group = group == GROUP_NONE ? -1 : (int32_t)group;
    what->flags = get32(data + 20);
    what->policy = get32(data + 24);
    if (length > MBR_OBJECT_NAME_MAX || (what->flags & ~FLAGS) != 0 ||
        (what->flags & ALWAYS) != ALWAYS || what->policy > MBR_WRITE_VERSIONED ||
        (group != GROUP_NONE && group > INT32_MAX))
        return -EBADMSG;
    memcpy(what->name, data + NAME_AT, length);
    what->name[length] = '\0';
    /* One with a NUL in it would be served under its beginning, which may be another's. */
    return strlen(what->name) == length && mbr__name_check(what->name) == 0 ? 0 : -EBADMSG;
}

static int write_owner(int dir, const struct stored_what *what)
{
    unsigned char data[OWNER_SIZE];
    int fd = mbr__disk_open_file(dir, MBR__DISK_OWNER, O_CREAT | O_EXCL);
    int rc;

    if (fd < 0)
        return fd;
    pack(what, data);
    rc = mbr__disk_write_at(fd, data, sizeof(data), 0);
    if (rc == 0)
        rc = mbr__disk_sync_all(fd);
    (void)close(fd);
    return rc;
}

static int read_owner(int shelf, const char *name, struct stored_what *what)
{
    unsigned char data[OWNER_SIZE];
    int dir = openat(shelf, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd = dir >= 0 ? mbr__disk_open_file(dir, MBR__DISK_OWNER, 0) : -errno;
    struct stat st;
    int rc = fd < 0 ? fd : fstat(fd, &st) != 0 ? -errno : 0;

    if (rc == 0)
        rc = st.st_size == OWNER_SIZE ? mbr__disk_read_at(fd, data, sizeof(data), 0) : -EBADMSG;

    if (fd >= 0)
        (void)close(fd);
    if (dir >= 0)
        (void)close(dir);
    return rc == 0 ? unpack(data, what) : rc;
}

/* ---- its memory -------------------------------------------------------------------------------
 */

/* What cannot be written is not there: then no memory is the last one. */
int shelf_remember(struct stored *stored, int memory)
{
    int dir = stored->disk->dir;
    uint64_t id[2];
    int fd;

    if (unlinkat(dir, MBR__DISK_MEMORY, 0) != 0 && errno != ENOENT)
        return -errno;
    if (mbr__object_memory_id(memory, id) != 0)
        return 0;
    fd = mbr__disk_open_file(dir, MBR__DISK_MEMORY, O_CREAT | O_EXCL);
    if (fd < 0)
        return 0;
    if (mbr__disk_write_at(fd, id, sizeof(id), 0) != 0)
        (void)unlinkat(dir, MBR__DISK_MEMORY, 0);
    (void)close(fd);
    return 0;
}

int shelf_remembers(struct stored *stored, int memory)
{
    uint64_t there[2];
    uint64_t id[2];
    int fd = mbr__disk_open_file(stored->disk->dir, MBR__DISK_MEMORY, 0);
    int rc = fd;

    if (fd >= 0) {
        rc = mbr__disk_read_at(fd, there, sizeof(there), 0);
        (void)close(fd);
    }
    if (rc == 0)
        rc = mbr__object_memory_id(memory, id);
    if (rc != 0)
        return rc == -ENOENT || rc == -EIO ? -ESTALE : rc;
    return memcmp(id, there, sizeof(id)) == 0 ? 0 : -ESTALE;
}

/* ---- one of them ------------------------------------------------------------------------------
 */

/* Removes a directory that has no name of a container; what is left of it is removed at the next
 * start. */
static void sweep(int shelf, const char *name)
{
    static const char *const files[] = {MBR__DISK_JOURNAL_NEW, MBR__DISK_BLOCKS, MBR__DISK_JOURNAL,
                                        MBR__DISK_SET,         MBR__DISK_MEMORY, MBR__DISK_OWNER};
    int dir = openat(shelf, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    for (size_t i = 0; dir >= 0 && i < sizeof(files) / sizeof(files[0]); i++)
        (void)unlinkat(dir, files[i], 0);
    if (dir >= 0)
        (void)close(dir);
    (void)unlinkat(shelf, name, AT_REMOVEDIR);
}

static int open_at(struct stored *stored, const char *name)
{
    uint64_t set[2] = {mbr__random_id(), mbr__random_id() | 1};
    uint32_t flags = stored->what.flags & MBR_CONTAINER_CHECKSUMS ? MBR__JOURNAL_CHECKSUMS : 0;
    char path[4200];

    if (snprintf(path, sizeof(path), "%s/%s", stored->shelf->path, name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return mbr__disk_open(path, flags, set, &stored->disk);
}

/* Its files, durable but for the directory's own name. */
static int furnish(struct stored *stored, const char *name)
{
    int dir = openat(stored->shelf->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = dir >= 0 ? write_owner(dir, &stored->what) : -errno;

    if (dir >= 0)
        (void)close(dir);
    return rc == 0 ? open_at(stored, name) : rc;
}

static int rename_and_sync(struct shelf *shelf, const char *from, const char *to)
{
    int rc = renameat(shelf->dir, from, shelf->dir, to) == 0 ? 0 : -errno;

    if (rc != 0)
        return rc;
    rc = mbr__disk_sync_all(shelf->dir);
    if (rc != 0)
        (void)renameat(shelf->dir, to, shelf->dir, from);
    return rc;
}

int shelf_make(struct stored *stored, int memory)
{
    struct shelf *shelf = stored->shelf;
    char making[NAME_SIZE];
    char name[NAME_SIZE];
    int rc;

    if (shelf->last == UINT64_MAX)
        return -ENOSPC; /* 0 is none's, and the others may be there */
    stored->what.number = ++shelf->last;
    name_of("new-", stored->what.number, making);
    name_of("", stored->what.number, name);
    if (mkdirat(shelf->dir, making, 0700) != 0)
        return -errno;
    rc = furnish(stored, making);
    if (rc == 0)
        rc = shelf_remember(stored, memory);
    if (rc == 0)
        rc = rename_and_sync(shelf, making, name);
    if (rc != 0) {
        mbr__disk_close(stored->disk);
        stored->disk = NULL;
        sweep(shelf->dir, making);
    }
    return rc;
}

int shelf_open_disk(struct stored *stored)
{
    char name[NAME_SIZE];

    if (stored->disk != NULL)
        return 0;
    name_of("", stored->what.number, name);
    return open_at(stored, name);
}

int shelf_remove(struct stored *stored)
{
    struct shelf *shelf = stored->shelf;
    char name[NAME_SIZE];
    char gone[NAME_SIZE];
    int rc;

    name_of("", stored->what.number, name);
    name_of("old-", stored->what.number, gone);
    rc = rename_and_sync(shelf, name, gone);
    if (rc == 0)
        sweep(shelf->dir, gone);
    return rc;
}

uint64_t shelf_bytes_of(const struct stored *stored)
{
    static const char *const files[] = {MBR__DISK_BLOCKS, MBR__DISK_JOURNAL};
    char name[NAME_SIZE];
    struct stat st;
    uint64_t bytes = 0;
    int dir;

    name_of("", stored->what.number, name);
    dir = openat(stored->shelf->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (int i = 0; dir >= 0 && i < 2; i++) {
        if (fstatat(dir, files[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    if (dir >= 0)
        (void)close(dir);
    return bytes;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static bool is_number(const char *name, uint64_t *number)
{
    char *end;

    if (strspn(name, "0123456789abcdef") != 16 || name[16] != '\0')
        return false;
    *number = strtoull(name, &end, 16);
    return *number != 0;
}

/* Whether the same may go well later: then it is not known what name the container has. */
static bool passes(int error)
{
    switch (error) {
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -ENOBUFS:
    case -EINTR:
    case -EAGAIN:
    case -EIO:
        return true;
    default:
        return false;
    }
}

/* What a look through the directory is for. */
struct look {
    bool again; /* while the thread runs: only what is older, and not known */
    bool (*known)(void *user, uint64_t number);
    void (*found)(void *user, struct stored *stored);
    void *user;
};

/* What is left of making or removing one. */
static void sweep_rest(const struct shelf *shelf, const char *name)
{
    uint64_t number;

    if ((strncmp(name, "new-", 4) == 0 || strncmp(name, "old-", 4) == 0) &&
        is_number(name + 4, &number))
        sweep(shelf->dir, name);
}

static void look_at(struct shelf *shelf, const char *name, const struct look *look)
{
    struct stored_what what = {0};
    struct stored *stored;
    int rc;

    if (!is_number(name, &what.number)) {
        if (!look->again)
            sweep_rest(shelf, name);
        return;
    }
    if (look->again && (what.number > shelf->scanned || look->known(look->user, what.number)))
        return;
    shelf->scanned = what.number > shelf->scanned ? what.number : shelf->scanned;
    rc = read_owner(shelf->dir, name, &what);
    stored = rc == 0 ? stored_new(shelf, &what) : NULL;
    if (stored == NULL) {
        rc = rc < 0 ? rc : -ENOMEM;
        shelf->unread = shelf->unread || passes(rc);
        if (!look->again)
            log_error("%s/%s: not served: %s", shelf->path, name, strerror(-rc));
        return;
    }
    shelf_charge(stored, shelf_bytes_of(stored));
    look->found(look->user, stored);
}

static int look_through(struct shelf *shelf, const struct look *look)
{
    int fd = openat(shelf->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    int rc;

    if (list == NULL) {
        rc = -errno;
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    /* errno alone tells the end from a failure; looking sets it, too. */
    while (errno = 0, (entry = readdir(list)) != NULL)
        look_at(shelf, entry->d_name, look);
    rc = -errno;
    (void)closedir(list);
    return rc;
}

int shelf_scan(struct shelf *shelf, void (*found)(void *user, struct stored *stored), void *user)
{
    const struct look look = {.found = found, .user = user};
    int rc;

    shelf->unread = false;
    rc = look_through(shelf, &look);
    shelf->last = shelf->scanned > shelf->last ? shelf->scanned : shelf->last;
    return rc == 0 ? TOOL_EXIT_OK : tool_error_system(-rc, "%s", shelf->path);
}

bool shelf_unread(const struct shelf *shelf)
{
    return shelf->unread;
}

void shelf_mark_unread(struct shelf *shelf)
{
    shelf->unread = true;
}

void shelf_scan_again(struct shelf *shelf, bool (*known)(void *user, uint64_t number),
                      void (*found)(void *user, struct stored *stored), void *user)
{
    const struct look look = {.again = true, .known = known, .found = found, .user = user};

    shelf->unread = false;
    if (look_through(shelf, &look) != 0)
        shelf->unread = true;
}

static int open_dir(struct shelf *shelf, const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -errno;
    shelf->dir = mbr__disk_open_dir(path);
    if (shelf->dir < 0)
        return shelf->dir;
    /* Another daemon would choose the same numbers. */
    return flock(shelf->dir, LOCK_EX | LOCK_NB) == 0 ? 0 : errno == EWOULDBLOCK ? -EBUSY : -errno;
}

static int make(const char *dir, struct shelf *shelf)
{
    pthread_condattr_t attributes;

    (void)pthread_mutex_init(&shelf->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&shelf->work, &attributes);
    (void)pthread_cond_init(&shelf->idle, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    mbr__list_init(&shelf->queue);
    mbr__list_init(&shelf->finished);
    mbr__hash_init(&shelf->owners);
    shelf->dir = -1;
    shelf->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shelf->event < 0)
        return -errno;
    shelf->path = strdup(dir);
    shelf->block = malloc(MBR_OBJECT_BLOCK);
    if (shelf->path == NULL || shelf->block == NULL)
        return -ENOMEM;
    return open_dir(shelf, dir);
}

int shelf_open(const char *dir, uint64_t limit, struct shelf **out)
{
    struct shelf *shelf = calloc(1, sizeof(*shelf));
    int rc;

    if (shelf == NULL)
        return tool_error_system(ENOMEM, "%s", dir);
    rc = make(dir, shelf);
    if (rc != 0) {
        shelf_close(shelf);
        if (rc == -EBUSY)
            return tool_error(TOOL_EXIT_LIMIT, "another directory for one of them",
                              "%s: another membraned has it", dir);
        return tool_error_system(rc, "%s", dir);
    }
    shelf->limit = limit;
    *out = shelf;
    return TOOL_EXIT_OK;
}
