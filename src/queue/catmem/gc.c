/* SPDX-License-Identifier: MIT */
/*
 * Cleaning the directory of names. A link whose owner is dead, a mailbox nobody listens on and a
 * temporary link are removed; what is not ours is reported and kept. A link NAME.b stays as long as
 * NAME.a's owner lives, since it tells him and the next opener how the last session ended.
 */
#define _GNU_SOURCE
#include "queue/catmem/gc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/queue.h>

#include "queue/catloop/address.h"
#include "queue/catloop/listens.h"
#include "shm/names.h"
#include "shm/post.h"

#define SOME 64u /* entries a newcomer looks at */

struct sweep {
    struct mbr__names *n;
    bool dry;
    unsigned budget; /* entries still to be looked at */
    int count;
    void (*report)(void *arg, const struct mbr_gc_entry *e);
    void *arg;
};

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s);
    size_t m = strlen(suffix);

    return n > m && strcmp(s + n - m, suffix) == 0;
}

static void tell(struct sweep *s, const char *file, const char *what, int pid, bool removed)
{
    if (s->report != NULL)
        s->report(s->arg, &(struct mbr_gc_entry){
                              .path = file, .what = what, .pid = pid, .removed = removed});
}

static void stale_link(struct sweep *s, const char *file, const char *what, int pid)
{
    s->count++;
    tell(s, file, what, pid, !s->dry && mbr__names_remove(s->n, file) == 0);
}

/* Whether the pipe that a link NAME.b belongs to has a living creator. */
static bool creator_lives(struct sweep *s, const char *file)
{
    char a[MBR__NAME_MAX + 3];
    struct mbr__link l;
    size_t len = strlen(file);

    if (len >= sizeof(a))
        return false;
    memcpy(a, file, len + 1);
    a[len - 1] = 'a';
    return mbr__names_read(s->n, a, &l) == 0 && mbr__proc_alive(&l.owner) != 0;
}

/* The name of a listening socket of the kernel, which its maker's children may still have. */
static bool is_in_use(const char *file, const struct mbr__link *l)
{
    union mbr__addr a;

    return l->state == MBR__NAME_KERNEL && mbr__address_parse(file, &a) &&
           mbr__listens_still(l, &a);
}

static void look_at_link(struct sweep *s, const char *file, const char *what)
{
    struct mbr__link l;
    bool opener = ends_with(file, ".b");
    int r = mbr__names_read(s->n, file, &l);

    if (r == -ENOENT)
        return;
    if (r < 0)
        tell(s, file, "unknown", 0, false);
    else if (mbr__proc_alive(&l.owner) == 0 && !is_in_use(file, &l) &&
             !(opener && creator_lives(s, file)))
        stale_link(s, file, what, (int)l.owner.pid);
}

/* The length of NAME if a file is called NAME.c or NAME.c.NUMBER, else 0. */
static size_t container_name(const char *file)
{
    const char *dot = strrchr(file, '.');
    size_t n = dot == NULL ? 0 : (size_t)(dot - file);

    if (n == 0)
        return 0;
    if (strcmp(dot, ".c") == 0)
        return n;
    if (dot[1] == '\0' || strspn(dot + 1, "0123456789") != strlen(dot + 1))
        return 0;
    return n > 2 && memcmp(dot - 2, ".c", 2) == 0 ? n - 2 : 0;
}

struct members {
    struct mbr__names *n;
    const char *file; /* NAME.c */
};

/* Whether an entry is the link of a living member of the container. */
static int member_lives(void *arg, const char *file)
{
    const struct members *m = arg;
    size_t n = strlen(m->file);
    struct mbr__link l;

    return strncmp(file, m->file, n) == 0 && file[n] == '.' && container_name(file) == n - 2 &&
           mbr__names_read(m->n, file, &l) == 0 && mbr__proc_alive(&l.owner) != 0;
}

/* A link of a container whose owner is dead. NAME.c stays while another member lives: whoever joins
 * next finds that member through it. */
static void look_at_container(struct sweep *s, const char *file)
{
    struct members m = {.n = s->n, .file = file};
    struct mbr__link l;
    int r = mbr__names_read(s->n, file, &l);

    if (r == -ENOENT)
        return;
    if (r < 0)
        tell(s, file, "unknown", 0, false);
    else if (mbr__proc_alive(&l.owner) == 0 &&
             !(ends_with(file, ".c") && mbr__names_each(s->n, member_lives, &m) != 0))
        stale_link(s, file, "container", (int)l.owner.pid);
}

static void look_at_mailbox(struct sweep *s, const char *file)
{
    uint64_t inst = strtoull(file + 2, NULL, 16);

    if (!mbr__mailbox_dead(s->n, inst))
        return;
    s->count++;
    tell(s, file, "mailbox", 0, !s->dry && mbr__mailbox_unlink(s->n, inst) == 0);
}

static int look(void *arg, const char *file)
{
    struct sweep *s = arg;

    if (s->budget == 0)
        return 1;
    s->budget--;
    if (strncmp(file, "i.", 2) == 0 && strlen(file) == 18 &&
        strspn(file + 2, "0123456789abcdef") == 16)
        look_at_mailbox(s, file);
    else if (ends_with(file, ".a") || ends_with(file, ".b"))
        look_at_link(s, file, ends_with(file, ".b") ? "opener" : "pipe");
    else if (ends_with(file, ".s") || ends_with(file, ".d"))
        look_at_link(s, file, "socket");
    else if (container_name(file) != 0)
        look_at_container(s, file);
    else if (strcmp(file, MBR__NAMES_TEMP) == 0)
        stale_link(s, file, "temporary", 0); /* we hold the lock: nobody is about to rename it */
    else
        tell(s, file, "unknown", 0, false);
    return 0;
}

static int sweep(struct sweep *s, uint64_t patience)
{
    int r = mbr__names_lock(s->n, patience);

    if (r < 0)
        return r;
    r = mbr__names_each(s->n, look, s);
    mbr__names_unlock(s->n);
    return r < 0 ? r : s->count;
}

void mbr__gc_some(struct mbr__names *n)
{
    struct sweep s = {.n = n, .budget = SOME};

    (void)sweep(&s, 0);
}

int mbr_gc(int dry_run, void (*report)(void *arg, const struct mbr_gc_entry *e), void *arg)
{
    struct mbr__names n;
    struct sweep s = {
        .n = &n, .dry = dry_run != 0, .budget = UINT32_MAX, .report = report, .arg = arg};
    int r = mbr__names_open(&n);

    if (r < 0)
        return r;
    r = sweep(&s, MBR__LOCK_NS);
    mbr__names_close(&n);
    return r;
}

int mbr_names_path(char *path, size_t size)
{
    struct mbr__names n;
    int r = path == NULL ? -EINVAL : mbr__names_open(&n);

    if (r < 0)
        return r;
    size_t len = strlen(n.path);

    if (len >= size)
        r = -ENAMETOOLONG;
    else
        memcpy(path, n.path, len + 1);
    mbr__names_close(&n);
    return r;
}
