/* SPDX-License-Identifier: MIT */
/* The descriptor table: two levels of arrays, so that a thousand descriptors cost a page or two.
 * table.h says how it may be used. */
#include "table.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "conn.h"
#include "epoll.h"

#define PART  4096 /* entries of one array */
#define PARTS 512  /* two million descriptors; what is above passes through */

static struct shim_object **parts[PARTS];
static int table_end;
static struct shim_object *free_objects[3];
static uint32_t free_latch;

static struct shim_object **entry(int fd)
{
    struct shim_object **part;

    if ((unsigned)fd >= PART * PARTS)
        return NULL;
    part = mbr_load_acquire(&parts[fd / PART]);
    return part != NULL ? &part[fd % PART] : NULL;
}

static struct shim_object **entry_made(int fd)
{
    struct shim_object **have = NULL;
    void *fresh;

    if ((unsigned)fd >= PART * PARTS)
        return NULL;
    if (mbr_load_acquire(&parts[fd / PART]) != NULL)
        return entry(fd);
    fresh = calloc(PART, sizeof(struct shim_object *));
    if (fresh == NULL)
        return NULL;
    if (!mbr_cas(&parts[fd / PART], &have, (struct shim_object **)fresh))
        free(fresh);
    return entry(fd);
}

struct shim_object *shim_table_peek(int fd)
{
    struct shim_object **e = entry(fd);

    return e != NULL ? mbr_load_acquire(e) : NULL;
}

struct shim_object *shim_table_get(int fd)
{
    struct shim_object **e = entry(fd);
    struct shim_object *o;

    if (e == NULL)
        return NULL;
    while ((o = mbr_load_acquire(e)) != NULL) {
        uint32_t refs = mbr_load_relaxed(&o->refs);

        /* Dead, or about to be another descriptor's: the entry has changed, look again. */
        while (refs != 0 && !mbr_cas(&o->refs, &refs, refs + 1))
            ;
        if (refs == 0)
            continue;
        if (mbr_load_acquire(e) == o)
            return o;
        shim_unref(o);
    }
    return NULL;
}

static void note_end(int fd)
{
    int end = mbr_load_relaxed(&table_end);

    while (end <= fd && !mbr_cas(&table_end, &end, fd + 1))
        ;
}

bool shim_table_set(int fd, struct shim_object *o, struct shim_object **old)
{
    struct shim_object **e = o != NULL ? entry_made(fd) : entry(fd);
    struct shim_object *was;

    if (old != NULL)
        *old = NULL;
    if (e == NULL)
        return o == NULL;
    if (o != NULL) {
        mbr_fetch_add(&o->refs, 1);
        mbr_fetch_add(&o->slots, 1);
        note_end(fd);
    }
    was = mbr_exchange(e, o);
    if (was != NULL) {
        bool last = mbr_fetch_add(&was->slots, UINT32_MAX) == 1;

        if (last && old != NULL)
            *old = was;
        else
            shim_unref(was);
    }
    return true;
}

void shim_unref(struct shim_object *o)
{
    if (mbr_fetch_add(&o->refs, UINT32_MAX) != 1)
        return;
    if (o->kind == SHIM_CONN)
        shim_conn_dead((struct shim_conn *)(void *)o);
    else
        shim_epoll_dead((struct shim_epoll *)(void *)o);
}

void shim_table_each(int from, int end, void (*fn)(int fd, struct shim_object *o, void *arg),
                     void *arg)
{
    if (end > shim_table_end())
        end = shim_table_end();
    for (int fd = from < 0 ? 0 : from; fd < end; fd++) {
        struct shim_object *o = shim_table_get(fd);

        if (o == NULL)
            continue;
        fn(fd, o, arg);
        shim_unref(o);
    }
}

int shim_table_end(void)
{
    return mbr_load_relaxed(&table_end);
}

/* A signal handler whose thread has the latch does without: it makes a new one, or lets it lie. */
struct shim_object *shim_free_list_take(enum shim_kind kind)
{
    struct shim_object *o;

    if (shim_latch(&free_latch, true) < 0)
        return NULL;
    o = free_objects[kind];
    if (o != NULL)
        free_objects[kind] = o->next_free;
    shim_unlatch(&free_latch);
    return o;
}

void shim_free_list_put(struct shim_object *o)
{
    if (shim_latch(&free_latch, true) < 0)
        return;
    o->next_free = free_objects[o->kind];
    free_objects[o->kind] = o;
    shim_unlatch(&free_latch);
}

void shim_table_forked(void)
{
    free_latch = 0;
}
