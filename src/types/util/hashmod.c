/* SPDX-License-Identifier: MIT */
/* Hash and HashMod: SHA-256 as a closure. What Finalise returns is allocated at the beginning, so
 * that it cannot fail. */
#include <middl/Hash.h>
#include <middl/HashMod.h>

#include "base/sha256.h"
#include "types/heap_use.h"
#include "types/modules.h"

struct hash {
    Hash_cl cl;
    struct mbr__sha256 sum;
    uint8_t *digest;
};

static void add_bytes(Hash_clp self, uint8_t *bytes, uint32_t length)
{
    struct hash *hash = self->st;

    mbr__sha256_add(&hash->sum, bytes, length);
}

static uint8_t *finalise(Hash_clp self, uint32_t *length)
{
    struct hash *hash = self->st;
    uint8_t *digest = hash->digest;

    mbr__sha256_end(&hash->sum, digest);
    mbr__heap_free(NULL, hash);
    *length = MBR__SHA256_SIZE;
    return digest;
}

static const Hash_op hash_op = {.AddBytes = add_bytes, .Finalise = finalise};

static Hash_clp new_hash(HashMod_clp self)
{
    struct hash *hash = mbr__heap_need(NULL, sizeof(*hash));

    (void)self;
    hash->digest = mbr__heap_try(NULL, MBR__SHA256_SIZE);
    if (!hash->digest) {
        mbr__heap_free(NULL, hash);
        RAISE(Heap_NoMemory);
    }
    hash->cl = (Hash_cl){&hash_op, hash};
    mbr__sha256_init(&hash->sum);
    return &hash->cl;
}

static uint32_t get_length(HashMod_clp self)
{
    (void)self;
    return MBR__SHA256_SIZE;
}

static const HashMod_op module_op = {.New = new_hash, .GetLength = get_length};

HashMod_cl mbr__module_HashMod = {&module_op, NULL};
