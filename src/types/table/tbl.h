/* SPDX-License-Identifier: MIT */
/*
 * What WordTbl, LongCardTbl and StringTbl have in common: a map from bytes to addresses that keeps
 * its entries in the order in which they came, all in one heap. The hash is keyed (base/hash.h), so
 * keys chosen by a stranger collide no more than others.
 *
 * Iterators survive every change of the table: an entry that is deleted is not returned, one that
 * is added comes at the end, none comes twice.
 *
 * Threads: changes must exclude everything else; looking up and iterating exclude nothing. Not
 * here: the closures (table/closures.h).
 */
#ifndef MBR_TYPES_TABLE_TBL_H
#define MBR_TYPES_TABLE_TBL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <middl/Heap.h>

#include "base/hash.h"
#include "base/list.h"

struct mbr__tbl_entry {
    struct mbr__list link; /* in mbr__tbl.entries */
    void *val;
    size_t length;
    _Alignas(max_align_t) unsigned char key[]; /* length bytes, then a NUL */
};

struct mbr__tbl {
    Heap_clp heap;
    struct mbr__hash_memory memory; /* the heap, for the map */
    struct mbr__bytes_map map;
    struct mbr__list entries; /* in the order of their coming */
    struct mbr__list iters;   /* those in use */
    /* Two readers may make or free iterators at one time; all else in the table is a reader's to
     * look at, not to change. */
    pthread_mutex_t iters_lock;
};

struct mbr__tbl_iter {
    struct mbr__list link;       /* in mbr__tbl.iters */
    struct mbr__tbl *tbl;        /* NULL when the table is gone */
    struct mbr__tbl_entry *next; /* what comes next; NULL at the end */
};

/* An empty table, whose entries will be in HEAP (NULL: malloc). Allocates nothing. */
void mbr__tbl_init(struct mbr__tbl *tbl, Heap_clp heap);

/* Frees the entries, not what they map to. Iterators that are left find nothing any more. */
void mbr__tbl_fini(struct mbr__tbl *tbl);

/* Whether LENGTH bytes at KEY are mapped; if so, to *VAL. */
bool mbr__tbl_get(const struct mbr__tbl *tbl, const void *key, size_t length, void **val);

/* Maps them to VAL: 1 if they were mapped before, 0 if not; -ENOMEM, nothing changed. */
int mbr__tbl_put(struct mbr__tbl *tbl, const void *key, size_t length, void *val);

/* Takes them out; whether they were mapped, and if so, to *VAL. */
bool mbr__tbl_del(struct mbr__tbl *tbl, const void *key, size_t length, void **val);

/* How many are mapped. */
uint32_t mbr__tbl_size(const struct mbr__tbl *tbl);

/* An iterator at the first entry. */
void mbr__tbl_iter_init(struct mbr__tbl_iter *iter, struct mbr__tbl *tbl);
void mbr__tbl_iter_fini(struct mbr__tbl_iter *iter);

/* The next entry, or NULL when there is none left, and for ever after. */
const struct mbr__tbl_entry *mbr__tbl_iter_next(struct mbr__tbl_iter *iter);

#endif
