/* SPDX-License-Identifier: MIT */
/*
 * The maps: linear probing in an array of a power of two, at most three quarters full. Deleting
 * moves the following entries back instead of leaving a mark, so a map that is filled and emptied
 * for ever stays as fast as a new one and never needs rebuilding.
 */
#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"

#define FIRST_CAPACITY ((size_t)8)

/* Whether an entry with the right key is the one that is looked for. */
struct probe {
    const struct mbr__bytes_map *map; /* NULL: the key decides */
    const void *bytes;
    size_t length;
};

/* Spreads numbers that differ in few bits over all of them: a bijection (multiply by an odd number,
 * fold the upper half into the lower), so different keys stay different. */
static uint64_t mix(uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u;
    key ^= key >> 29;
    key *= 0xd6e8feb86659fd93u;
    return key ^ key >> 32;
}

static size_t home_of(const struct mbr__hash *hash, uint64_t key)
{
    return (size_t)mix(key) & (hash->capacity - 1);
}

static bool is_match(const struct mbr__hash_entry *entry, uint64_t key, const struct probe *probe)
{
    const void *bytes;
    size_t length;

    if (entry->key != key)
        return false;
    if (!probe->map)
        return true;
    bytes = probe->map->key_of(entry->value, &length);
    return length == probe->length && (length == 0 || memcmp(bytes, probe->bytes, length) == 0);
}

/* The place of the entry, or the empty place that ends the search. There always is an empty one. */
static size_t find(const struct mbr__hash *hash, uint64_t key, const struct probe *probe)
{
    size_t at = home_of(hash, key);

    while (hash->entries[at].value && !is_match(&hash->entries[at], key, probe))
        at = (at + 1) & (hash->capacity - 1);
    return at;
}

/* Puts an entry that is known not to be there into the first empty place. */
static void place(struct mbr__hash *hash, struct mbr__hash_entry entry)
{
    size_t at = home_of(hash, entry.key);

    while (hash->entries[at].value)
        at = (at + 1) & (hash->capacity - 1);
    hash->entries[at] = entry;
}

void mbr__hash_init(struct mbr__hash *hash)
{
    mbr__hash_init_in(hash, NULL);
}

void mbr__hash_init_in(struct mbr__hash *hash, const struct mbr__hash_memory *memory)
{
    *hash = (struct mbr__hash){.memory = memory};
}

static void free_entries(struct mbr__hash *hash)
{
    if (hash->memory)
        hash->memory->free(hash->memory->self, hash->entries);
    else
        free(hash->entries);
}

static void *new_entries(const struct mbr__hash *hash)
{
    size_t size = sizeof(*hash->entries);

    return hash->memory ? hash->memory->zalloc(hash->memory->self, hash->capacity, size)
                        : calloc(hash->capacity, size);
}

void mbr__hash_fini(struct mbr__hash *hash)
{
    free_entries(hash);
    mbr__hash_init_in(hash, hash->memory);
}

static size_t load_limit(size_t capacity)
{
    return capacity / 4 * 3;
}

int mbr__hash_reserve(struct mbr__hash *hash, size_t count)
{
    struct mbr__hash grown = {.capacity = hash->capacity ? hash->capacity : FIRST_CAPACITY,
                              .count = hash->count,
                              .memory = hash->memory};

    if (count <= load_limit(hash->capacity))
        return 0;
    while (load_limit(grown.capacity) < count) {
        if (grown.capacity > SIZE_MAX / 2)
            return -ENOMEM;
        grown.capacity *= 2;
    }
    grown.entries = new_entries(&grown);
    if (!grown.entries)
        return -ENOMEM;
    for (size_t i = 0; i < hash->capacity; i++)
        if (hash->entries[i].value)
            place(&grown, hash->entries[i]);
    free_entries(hash);
    *hash = grown;
    return 0;
}

static void *get(const struct mbr__hash *hash, uint64_t key, const struct probe *probe)
{
    return hash->count ? hash->entries[find(hash, key, probe)].value : NULL;
}

static int put(struct mbr__hash *hash, uint64_t key, void *value, const struct probe *probe)
{
    int error;

    MBR_ASSERT(value);
    if (get(hash, key, probe))
        return -EEXIST;
    error = mbr__hash_reserve(hash, hash->count + 1);
    if (error)
        return error;
    place(hash, (struct mbr__hash_entry){key, value});
    hash->count++;
    return 0;
}

/*
 * Closes the hole at HOLE. An entry further on may move into it unless its home lies between the
 * hole and itself, cyclically: from there the search would no longer come by.
 */
static void close_hole(struct mbr__hash *hash, size_t hole)
{
    size_t mask = hash->capacity - 1;

    for (size_t at = (hole + 1) & mask; hash->entries[at].value; at = (at + 1) & mask) {
        size_t distance = (at - home_of(hash, hash->entries[at].key)) & mask;

        if (distance < ((at - hole) & mask))
            continue;
        hash->entries[hole] = hash->entries[at];
        hole = at;
    }
    hash->entries[hole].value = NULL;
}

static void *del(struct mbr__hash *hash, uint64_t key, const struct probe *probe)
{
    size_t at;
    void *value;

    if (hash->count == 0)
        return NULL;
    at = find(hash, key, probe);
    value = hash->entries[at].value;
    if (!value)
        return NULL;
    close_hole(hash, at);
    hash->count--;
    return value;
}

int mbr__hash_put(struct mbr__hash *hash, uint64_t key, void *value)
{
    return put(hash, key, value, &(struct probe){.map = NULL});
}

void *mbr__hash_get(const struct mbr__hash *hash, uint64_t key)
{
    return get(hash, key, &(struct probe){.map = NULL});
}

void *mbr__hash_del(struct mbr__hash *hash, uint64_t key)
{
    return del(hash, key, &(struct probe){.map = NULL});
}

void *mbr__hash_next(const struct mbr__hash *hash, size_t *cursor)
{
    while (*cursor < hash->capacity) {
        void *value = hash->entries[(*cursor)++].value;

        if (value)
            return value;
    }
    return NULL;
}

static uint64_t rotate_left(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

/* The four words of SipHash's state. */
struct sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *v)
{
    v->a += v->b;
    v->c += v->d;
    v->b = rotate_left(v->b, 13) ^ v->a;
    v->d = rotate_left(v->d, 16) ^ v->c;
    v->a = rotate_left(v->a, 32);
    v->c += v->b;
    v->a += v->d;
    v->b = rotate_left(v->b, 17) ^ v->c;
    v->d = rotate_left(v->d, 21) ^ v->a;
    v->c = rotate_left(v->c, 32);
}

static inline void sip_rounds(struct sip *v, int rounds)
{
    for (int i = 0; i < rounds; i++)
        sip_round(v);
}

/* Eight bytes as a little-endian number. */
static uint64_t get_word(const unsigned char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Up to 7 bytes as a little-endian number. */
static uint64_t get_tail(const unsigned char *bytes, size_t length)
{
    uint64_t word = 0;

    for (size_t i = length; i-- > 0;)
        word = word << 8 | bytes[i];
    return word;
}

/* COMPRESS rounds for each word, FINAL at the end: inlined with both known. */
static inline uint64_t sip(const uint64_t key[2], const void *data, size_t length, int compress,
                           int final)
{
    /* The constants are the ASCII text "somepseudorandomlygeneratedbytes". */
    struct sip v = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                    key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    const unsigned char *bytes = data;
    size_t left = length;
    uint64_t word;

    for (; left >= 8; left -= 8, bytes += 8) {
        word = get_word(bytes);
        v.d ^= word;
        sip_rounds(&v, compress);
        v.a ^= word;
    }
    word = (uint64_t)length << 56 | get_tail(bytes, left);
    v.d ^= word;
    sip_rounds(&v, compress);
    v.a ^= word;
    v.c ^= 0xff;
    sip_rounds(&v, final);
    return v.a ^ v.b ^ v.c ^ v.d;
}

uint64_t mbr__siphash(const uint64_t key[2], const void *data, size_t length)
{
    return sip(key, data, length, 2, 4);
}

uint64_t mbr__siphash13(const uint64_t key[2], const void *data, size_t length)
{
    return sip(key, data, length, 1, 3);
}

static uint64_t secret[2];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void make_secret(void)
{
    /* Early in the boot there may be no randomness yet: the address space layout and the clock are
     * then what a stranger knows least about. It must not block, and cannot fail the caller. */
    if (getrandom(secret, sizeof(secret), GRND_NONBLOCK) == (ssize_t)sizeof(secret))
        return;
    secret[0] = mix((uint64_t)(uintptr_t)&secret ^ mbr__now_ns());
    secret[1] = mix((uint64_t)(uintptr_t)make_secret + secret[0]);
}

void mbr__bytes_map_init(struct mbr__bytes_map *map,
                         const void *(*key_of)(const void *value, size_t *length))
{
    mbr__bytes_map_init_in(map, key_of, NULL);
}

void mbr__bytes_map_init_in(struct mbr__bytes_map *map,
                            const void *(*key_of)(const void *value, size_t *length),
                            const struct mbr__hash_memory *memory)
{
    MBR_ASSERT(pthread_once(&secret_once, make_secret) == 0);
    mbr__hash_init_in(&map->hash, memory);
    map->key_of = key_of;
}

void mbr__bytes_map_fini(struct mbr__bytes_map *map)
{
    mbr__hash_fini(&map->hash);
}

int mbr__bytes_map_reserve(struct mbr__bytes_map *map, size_t count)
{
    return mbr__hash_reserve(&map->hash, count);
}

int mbr__bytes_map_put(struct mbr__bytes_map *map, void *value)
{
    struct probe probe = {.map = map};

    MBR_ASSERT(value);
    probe.bytes = map->key_of(value, &probe.length);
    return put(&map->hash, mbr__siphash13(secret, probe.bytes, probe.length), value, &probe);
}

void *mbr__bytes_map_get(const struct mbr__bytes_map *map, const void *key, size_t length)
{
    return get(&map->hash, mbr__siphash13(secret, key, length), &(struct probe){map, key, length});
}

void *mbr__bytes_map_del(struct mbr__bytes_map *map, const void *key, size_t length)
{
    return del(&map->hash, mbr__siphash13(secret, key, length), &(struct probe){map, key, length});
}

void *mbr__bytes_map_next(const struct mbr__bytes_map *map, size_t *cursor)
{
    return mbr__hash_next(&map->hash, cursor);
}
