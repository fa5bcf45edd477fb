/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4), in pieces or at once, for fingerprints. Not for secrets: nothing here tries
 * to take the same time for all data.
 */
#ifndef MBR_BASE_SHA256_H
#define MBR_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define MBR__SHA256_SIZE 32 /* bytes of a digest */

struct mbr__sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};

/* The state before the first byte. */
void mbr__sha256_init(struct mbr__sha256 *hash);

/* Adds LENGTH bytes at DATA, which may be NULL if LENGTH is 0. */
void mbr__sha256_add(struct mbr__sha256 *hash, const void *data, size_t length);

/* The digest of everything added. The state must be initialised again before it is used. */
void mbr__sha256_end(struct mbr__sha256 *hash, uint8_t digest[MBR__SHA256_SIZE]);

/* The digest of LENGTH bytes at DATA. */
void mbr__sha256(const void *data, size_t length, uint8_t digest[MBR__SHA256_SIZE]);

#endif
