/* SPDX-License-Identifier: MIT */
/*
 * The rendezvous directory: finding and verifying it, its lock, and the links in it.
 *
 * The directory may stand where everybody can write (/dev/shm), so what is found there is looked at
 * after it was opened, never before, and all access goes through that descriptor.
 *
 * Not here: the text of links (link.c), the sockets in the directory (post.c).
 */
#include "shm/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

/* Pauses between two tries at the lock, in nanoseconds. Whoever holds it makes a few system calls;
 * the longest pause bounds the delay that a waiter adds after a longer hold. */
#define PAUSE_FIRST 20000
#define PAUSE_LAST  2000000

/* ---- where ----------------------------------------------------------------------------------- */

static int put_path(char *out, const char *dir, const char *rest)
{
    int n = snprintf(out, PATH_MAX, "%s%s", dir, rest);

    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* A path that the user names. A trailing slash would make the kernel follow a symbolic link in
 * spite of O_NOFOLLOW, and "." at the end hides which component is the last. */
static int put_users_path(char *out, const char *path)
{
    const char *last;
    size_t len = strlen(path);

    if (path[0] != '/')
        return -EINVAL;
    if (len >= PATH_MAX)
        return -ENAMETOOLONG;
    while (len > 0 && path[len - 1] == '/')
        len--;
    memcpy(out, path, len);
    out[len] = '\0';
    last = strrchr(out, '/');
    if (last == NULL || strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
        return -EINVAL;
    return 0;
}

static bool is_our_directory(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static int choose_path(char *out)
{
    const char *named = secure_getenv("MEMBRANE_DIR");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    unsigned uid = (unsigned)geteuid();
    char text[48];

    if (named != NULL && named[0] != '\0')
        return put_users_path(out, named);
    if (uid == 0)
        return put_path(out, "/run/membrane", "");
    /* The XDG specification: a relative path counts as not set. */
    if (runtime != NULL && runtime[0] == '/')
        return put_path(out, runtime, "/membrane");
    snprintf(text, sizeof(text), "/run/user/%u", uid);
    if (is_our_directory(text))
        return put_path(out, text, "/membrane");
    snprintf(text, sizeof(text), "/dev/shm/membrane-%u", uid);
    return put_path(out, text, "");
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Set-group-ID is inherited from the parent on some systems and harmless here. 0711 lets others
 * through to what they know the name of, which is how they reach membraned's socket in
 * /run/membrane; they can neither list nor change what is there. */
static int verify_directory(int dir)
{
    struct stat st;

    if (fstat(dir, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid() || ((st.st_mode & 0777) != 0700 && (st.st_mode & 0777) != 0711))
        return -EPERM;
    return 0;
}

/* Opens the directory without making it. */
static int open_directory(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (dir >= 0)
        return dir;
    /* A link or a file in the directory's place; ENOTDIR may also mean one of its parents. */
    if (errno == ELOOP || (errno == ENOTDIR && lstat(path, &st) == 0))
        return -EPERM;
    return -errno;
}

/* Opens a directory that we have just made, and undoes what the umask took away from us. */
static int open_made(const char *path)
{
    int dir = open_directory(path);
    struct stat st;

    if (dir >= 0 && fstat(dir, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0777) != 0700)
        (void)fchmod(dir, 0700); /* verify_directory() sees whether it worked */
    if (dir == -EACCES)
        (void)rmdir(path);
    return dir;
}

static int find_or_make(const char *path)
{
    int dir = open_directory(path);

    if (dir != -ENOENT)
        return dir;
    if (mkdir(path, 0700) == 0)
        return open_made(path);
    return errno == EEXIST ? open_directory(path) : -errno;
}

int mbr__names_open(struct mbr__names *out)
{
    char path[PATH_MAX];
    int dir;
    int err = choose_path(path);

    if (err < 0)
        return err;
    dir = find_or_make(path);
    if (dir < 0)
        return dir;
    err = verify_directory(dir);
    if (err < 0) {
        close(dir);
        return err;
    }
    out->dir = dir;
    out->mark = mbr__fork_mark();
    out->locked = false;
    memcpy(out->path, path, sizeof(path));
    return 0;
}

void mbr__names_close(struct mbr__names *n)
{
    /* The path tells a handle of all zeroes, whose descriptor 0 is not ours, from an open one. */
    if (n == NULL || n->dir < 0 || n->path[0] == '\0')
        return;
    mbr__names_unlock(n);
    close(n->dir);
    n->dir = -1;
}

/* ---- the lock -------------------------------------------------------------------------------- */

/* 0, or -EAGAIN if somebody else has it. */
static int try_lock(int dir)
{
    while (flock(dir, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EINTR)
            return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    return 0;
}

static void pause_ns(uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

    /* Cut short by a signal: then we try again sooner. */
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

int mbr__names_lock(struct mbr__names *n, uint64_t patience_ns)
{
    uint64_t deadline = mbr__deadline_ns(patience_ns);
    uint64_t pause = PAUSE_FIRST;
    int err;

    MBR_ASSERT(!n->locked || n->mark != mbr__fork_mark());
    if (n->mark != mbr__fork_mark())
        return -ESTALE;

    while ((err = try_lock(n->dir)) == -EAGAIN) {
        uint64_t now = mbr__now_ns();

        if (now >= deadline)
            return -ETIMEDOUT;
        pause_ns(pause < deadline - now ? pause : deadline - now);
        pause = pause * 2 < PAUSE_LAST ? pause * 2 : PAUSE_LAST;
    }
    if (err == 0)
        n->locked = true;
    return err;
}

void mbr__names_unlock(struct mbr__names *n)
{
    if (!n->locked)
        return;
    /* A child shares the description: it would take the lock from its parent. */
    if (n->mark == mbr__fork_mark())
        (void)flock(n->dir, LOCK_UN);
    n->locked = false;
}

/* ---- links ----------------------------------------------------------------------------------- */

static bool is_bare(const char *file)
{
    return file[0] != '\0' && strchr(file, '/') == NULL && strcmp(file, ".") != 0 &&
           strcmp(file, "..") != 0;
}

int mbr__names_read(struct mbr__names *n, const char *file, struct mbr__link *out)
{
    char text[MBR__LINK_TEXT];
    ssize_t len;

    if (!is_bare(file))
        return -EINVAL;
    len = readlinkat(n->dir, file, text, sizeof(text));
    if (len < 0)
        return errno == EINVAL ? -EPROTO : -errno; /* EINVAL: no symbolic link */
    /* A text that fills the buffer was cut off. */
    if ((size_t)len == sizeof(text))
        return -EPROTO;
    return mbr__link_parse(text, (size_t)len, out);
}

/* Makes the temporary link, in place of one that a killed writer may have left. */
static int make_temp(int dir, const char *text)
{
    if (symlinkat(text, dir, MBR__NAMES_TEMP) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (unlinkat(dir, MBR__NAMES_TEMP, 0) < 0 && errno != ENOENT)
        return errno == EISDIR ? -EPROTO : -errno;
    return symlinkat(text, dir, MBR__NAMES_TEMP) < 0 ? -errno : 0;
}

int mbr__names_write(struct mbr__names *n, const char *file, const struct mbr__link *l)
{
    char text[MBR__LINK_TEXT];
    struct mbr__link old;
    int err = mbr__link_format(l, text);

    if (err < 0)
        return err;
    err = mbr__names_read(n, file, &old);
    if (err < 0 && err != -ENOENT)
        return err;
    err = make_temp(n->dir, text);
    if (err < 0)
        return err;
    if (renameat(n->dir, MBR__NAMES_TEMP, n->dir, file) < 0) {
        err = -errno;
        (void)unlinkat(n->dir, MBR__NAMES_TEMP, 0);
    }
    return err;
}

int mbr__names_remove(struct mbr__names *n, const char *file)
{
    struct mbr__link old;
    int err = mbr__names_read(n, file, &old);

    if (err < 0)
        return err;
    return unlinkat(n->dir, file, 0) < 0 ? -errno : 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int each_entry(DIR *stream, int (*fn)(void *arg, const char *file), void *arg)
{
    for (;;) {
        struct dirent *entry;
        int stop;

        errno = 0; /* readdir() has no other way to tell an error from the end */
        entry = readdir(stream);
        if (entry == NULL)
            return -errno;
        if (!is_bare(entry->d_name))
            continue;
        stop = fn(arg, entry->d_name);
        if (stop != 0)
            return stop;
    }
}

int mbr__names_each(struct mbr__names *n, int (*fn)(void *arg, const char *file), void *arg)
{
    /* Opened anew: a duplicate would share the position with the handle and with other callers. */
    int fd = openat(n->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream;
    int result;

    if (fd < 0)
        return -errno;
    stream = fdopendir(fd);
    if (stream == NULL) {
        int err = -errno;

        close(fd);
        return err;
    }
    result = each_entry(stream, fn, arg);
    closedir(stream);
    return result;
}

/* Where a sandbox has no getrandom(): not secret, but different for each call and process. (The
 * finaliser of splitmix64, Steele, Lea and Flood 2014.) */
static uint64_t guess_id(void)
{
    static uint64_t calls;
    uint64_t x = mbr__now_ns() ^ (uint64_t)getpid() << 40 ^ (uint64_t)(uintptr_t)&x;

    x += (mbr_fetch_add(&calls, 1) + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t mbr__random_id(void)
{
    uint64_t id = 0;

    do {
        ssize_t n = getrandom(&id, sizeof(id), 0);

        if (n < 0 && errno != EINTR)
            id = guess_id();
        else if (n != (ssize_t)sizeof(id))
            id = 0;
    } while (id == 0);
    return id;
}
