/* SPDX-License-Identifier: MIT */
/*
 * Two maps with open addressing and no tombstones, from a 64-bit number or from bytes to a pointer.
 * They own neither values nor keys: a value is the caller's object, and the bytes a value is found
 * by stay inside it. NULL cannot be a value.
 *
 * Numbers are mixed by a fixed function: use that map for numbers we make ourselves, not for ones a
 * stranger may choose. The bytes' hash is keyed with a secret of the process, so that nobody
 * outside can choose names that collide.
 *
 * For one thread. Not here: order of any kind.
 */
#ifndef MBR_BASE_HASH_H
#define MBR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbr__hash_entry {
    uint64_t key; /* the number, or the hash of the bytes */
    void *value;  /* NULL in an empty place */
};

/* Where a map's array comes from, if not from calloc and free. */
struct mbr__hash_memory {
    void *(*zalloc)(void *self, size_t count, size_t size); /* zeroed; NULL if there is none */
    void (*free)(void *self, void *block);                  /* BLOCK may be NULL */
    void *self;
};

struct mbr__hash {
    struct mbr__hash_entry *entries; /* NULL while the capacity is 0 */
    size_t capacity;                 /* 0 or a power of two */
    size_t count;
    const struct mbr__hash_memory *memory; /* NULL: calloc and free */
};

/* An empty map; allocates nothing. */
void mbr__hash_init(struct mbr__hash *hash);

/* The same, with an array from MEMORY, which must outlive the map. */
void mbr__hash_init_in(struct mbr__hash *hash, const struct mbr__hash_memory *memory);

/* Frees the map, not the values; it is then empty and usable again. */
void mbr__hash_fini(struct mbr__hash *hash);

/* Grows until COUNT values fit: puts up to that number cannot fail. -ENOMEM, nothing changed. */
int mbr__hash_reserve(struct mbr__hash *hash, size_t count);

/* Adds VALUE, not NULL, under KEY. -EEXIST if KEY is there, -ENOMEM; either way nothing changed. */
int mbr__hash_put(struct mbr__hash *hash, uint64_t key, void *value);

/* The value under KEY, or NULL. */
void *mbr__hash_get(const struct mbr__hash *hash, uint64_t key);

/* Takes out the value under KEY and returns it, or NULL. Never allocates nor frees. */
void *mbr__hash_del(struct mbr__hash *hash, uint64_t key);

/*
 * Walks over all values, in no order: starts with *CURSOR at 0, NULL at the end. The map must not
 * change on the way.
 */
void *mbr__hash_next(const struct mbr__hash *hash, size_t *cursor);

/* A map whose keys are bytes inside the values. */
struct mbr__bytes_map {
    struct mbr__hash hash;
    /* The bytes VALUE is found by, and their number. They must not change while it is in the map.
     */
    const void *(*key_of)(const void *value, size_t *length);
};

/* As the functions above; mbr__bytes_map_put takes the key from VALUE. */
void mbr__bytes_map_init(struct mbr__bytes_map *map,
                         const void *(*key_of)(const void *value, size_t *length));
void mbr__bytes_map_init_in(struct mbr__bytes_map *map,
                            const void *(*key_of)(const void *value, size_t *length),
                            const struct mbr__hash_memory *memory);
void mbr__bytes_map_fini(struct mbr__bytes_map *map);
int mbr__bytes_map_reserve(struct mbr__bytes_map *map, size_t count);
int mbr__bytes_map_put(struct mbr__bytes_map *map, void *value);
void *mbr__bytes_map_get(const struct mbr__bytes_map *map, const void *key, size_t length);
void *mbr__bytes_map_del(struct mbr__bytes_map *map, const void *key, size_t length);
void *mbr__bytes_map_next(const struct mbr__bytes_map *map, size_t *cursor);

/* SipHash-2-4 of LENGTH bytes at DATA, with a 128-bit key (Aumasson and Bernstein, 2012). */
uint64_t mbr__siphash(const uint64_t key[2], const void *data, size_t length);

/* SipHash-1-3, half the work: for tables in memory, where nobody sees a hash, but keys that collide
 * must not be found without the key. */
uint64_t mbr__siphash13(const uint64_t key[2], const void *data, size_t length);

#endif
