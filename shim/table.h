/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table: which of the process's descriptors the shim has something to do with.
 *
 * Every entry stands for a real descriptor of the kernel with the same number. A look-up is
 * lock-free: two loads when there is nothing. Objects are counted; their memory is never given back
 * to the system, only used again for objects of the same kind, so that a look-up which lost a race
 * with close() reads a dead count and not somebody else's memory. Any thread, also in a signal
 * handler, except shim_table_set().
 */
#ifndef MBR_SHIM_TABLE_H
#define MBR_SHIM_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum shim_kind { SHIM_CONN = 1, SHIM_EPOLL = 2 };

/* Stands first in what is in the table. */
struct shim_object {
    uint32_t kind;  /* fixed for the life of the memory */
    uint32_t refs;  /* 0: dead. One for each entry and each call under way */
    uint32_t slots; /* entries: descriptors that mean this object */
    struct shim_object *next_free;
};

/* The object of fd without a reference: only for a look at words that are safe in a dead object. */
struct shim_object *shim_table_peek(int fd);

/* The object of fd with a reference, or NULL. */
struct shim_object *shim_table_get(int fd);

/* Makes fd mean `o` (NULL: nothing), which gains a reference and a slot; what it meant before loses
 * them. False: no memory; then nothing has changed (and fd passes through the shim). *last says
 * whether the last slot of the old object went; its reference is then handed to the caller in
 * *old. Both may be NULL when the caller knows that there is no old one that matters. */
bool shim_table_set(int fd, struct shim_object *o, struct shim_object **old);

/* Gives back a reference. */
void shim_unref(struct shim_object *o);

/* Calls fn for each descriptor below `end` that has an object, from `from` on. */
void shim_table_each(int from, int end, void (*fn)(int fd, struct shim_object *o, void *arg),
                     void *arg);

/* One more than the highest descriptor that ever had an object. */
int shim_table_end(void);

/* A dead object to be used again, or NULL; puts a dead one there. */
struct shim_object *shim_free_list_take(enum shim_kind kind);
void shim_free_list_put(struct shim_object *o);

/* In a forked child: the lock may have been held by a thread that is not there any more. */
void shim_table_forked(void);

#endif
