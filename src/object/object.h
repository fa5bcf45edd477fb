/* SPDX-License-Identifier: MIT */
/*
 * Objects that this process has joined: one struct for each, however many numbers it has for it.
 *
 * Not here: the table of all objects (table.h), reading and writing (io.h).
 */
#ifndef MBR_OBJECT_OBJECT_H
#define MBR_OBJECT_OBJECT_H

#include "object/container.h"
#include "object/data.h"
#include "object/ids.h"

struct mbr__object {
    struct mbr__container *c;
    struct mbr__entry *entry;
    struct mbr__view *view;         /* the largest; replaced under c->maps, read without */
    struct mbr__versions *versions; /* of a versioned one, else NULL */
    uint32_t index;
    uint32_t policy;  /* enum mbr_write_policy */
    uint32_t numbers; /* under c->lock */
    uint32_t place;   /* in our list of what we have joined */
};

/* The view that shows the first `end` bytes, made if there is none yet. -ENOMEM; -EPROTO. */
int mbr__object_view_slow(struct mbr__object *o, uint64_t end, struct mbr__view **out);

static inline int mbr__object_view(struct mbr__object *o, uint64_t end, struct mbr__view **out)
{
    struct mbr__view *v = mbr_load_acquire(&o->view); /* pair A with its making */

    if (__builtin_expect(end > v->capacity, 0))
        return mbr__object_view_slow(o, end, out);
    *out = v;
    return 0;
}

/* The lock of an object's size, entry.writer, whose last holder may have died half-way. */
int mbr__object_lock_size(struct mbr__object *o, uint64_t deadline);

/*
 * With the container's lock, which may be given back and taken again: we are no user of the entry
 * any more. Its memory, if it was the last use, is freed without the lock, since that may take
 * long; nobody else can come to use it meanwhile, because it has no name.
 */
void mbr__object_stop_using(struct mbr__container *c, uint32_t index, uint32_t place);

/*
 * With the container's lock: the object of this name that can be joined, which this process uses
 * from now on once more than before. -ENOENT; as mbr_object_join().
 */
int mbr__object_find(struct mbr__container *c, const char *name, struct mbr__object **out);
/* Without it: one use less; the object is left with the last one. */
void mbr__object_drop(struct mbr__object *o);

/* Ends everything that goes on through an object's number, which is closed and which the caller is
 * inside of `own` times, and gives it back. */
void mbr__object_finish(struct mbr__process *p, struct mbr__handle *h, uint32_t own);

/* The same for all objects that were got through a container's number, which is closed. */
void mbr__object_finish_all(struct mbr__process *p, struct mbr__handle *container);

#endif
