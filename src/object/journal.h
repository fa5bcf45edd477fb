/* SPDX-License-Identifier: MIT */
/*
 * The journal of a persistent container: how its header and its records are written as bytes and
 * read again. All numbers are little-endian.
 *
 *     header, 96 bytes: what the file is, and how far its first part goes, which was written and
 *     made durable as a whole before the file got its name
 *     records, each a multiple of 8 bytes, numbered without gaps; each is one change that is made
 *     as a whole or not at all, with a checksum over all of it
 *
 * What is read is distrusted: a record that decodes lies within the bytes given, its numbers are
 * within their limits, its name is a name. Whether it makes sense after those before it is for
 * catalog.h.
 *
 * Not here: files (disk.h), what the records add up to (catalog.h).
 */
#ifndef MBR_OBJECT_JOURNAL_H
#define MBR_OBJECT_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/objects.h>

#define MBR__JOURNAL_VERSION    1u
#define MBR__JOURNAL_HEADER     96u /* bytes */
#define MBR__JOURNAL_BLOCKS_MAX ((uint32_t)(MBR_OBJECT_SIZE_MAX / MBR_OBJECT_BLOCK))
#define MBR__JOURNAL_SLOTS_MAX  (UINT32_C(1) << 26) /* places in the file of blocks: 64 TiB */

/* flags */
#define MBR__JOURNAL_CHECKSUMS 1u /* blocks are verified when they are read */
#define MBR__JOURNAL_DEAD      2u /* the container is destroyed; what is left is rubbish */

struct mbr__journal_header {
    uint32_t flags;
    uint64_t id[2];      /* of the container: random */
    uint64_t generation; /* of the file: grows each time it is written anew */
    uint64_t last_id;    /* no object with a higher id has ever been */
    uint64_t first;      /* the number of the first record */
    uint64_t whole;      /* so many bytes, from the beginning of the file, were durable at once */
};

enum mbr__journal_kind {
    MBR__JOURNAL_CREATE = 1, /* id, size, policy, name */
    MBR__JOURNAL_REMOVE,     /* id */
    MBR__JOURNAL_RENAME,     /* id, name */
    MBR__JOURNAL_RESIZE,     /* id, size */
    MBR__JOURNAL_BLOCKS      /* id, blocks: where they are from now on */
};

/* Where a block is. Its first `valid` bytes are those stored, the others zero: an object that was
 * made smaller and larger again does not get its old bytes back. */
struct mbr__journal_block {
    uint32_t block;  /* of the object */
    uint32_t slot;   /* of the file of blocks, MBR_OBJECT_BLOCK bytes each */
    uint32_t stored; /* bytes there, 1 to MBR_OBJECT_BLOCK */
    uint32_t valid;  /* of them */
    uint32_t sum;    /* CRC-32C of the bytes stored */
};

struct mbr__journal_record {
    uint64_t number;
    enum mbr__journal_kind kind;
    uint64_t id; /* of the object, not 0 */
    uint64_t size;
    uint32_t policy;
    uint32_t name_len;
    const char *name;            /* points into the bytes it was read from; no NUL */
    uint32_t count;              /* of blocks */
    const unsigned char *blocks; /* as bytes: mbr__journal_block() */
    size_t length;               /* bytes of the whole record */
};

void mbr__journal_put_header(unsigned char out[MBR__JOURNAL_HEADER],
                             const struct mbr__journal_header *header);

/* -EBADMSG no such header, or damaged; -EPROTONOSUPPORT of another version. */
int mbr__journal_get_header(const unsigned char *data, size_t length,
                            struct mbr__journal_header *out);

/* Bytes that a record takes. */
size_t mbr__journal_record_size(enum mbr__journal_kind kind, uint32_t name_len, uint32_t count);

/* Writes RECORD, with BLOCKS (RECORD->count of them) in place of RECORD->blocks. OUT has room for
 * mbr__journal_record_size() bytes. */
void mbr__journal_put_record(unsigned char *out, const struct mbr__journal_record *record,
                             const struct mbr__journal_block *blocks);

/* Reads a record from its first byte on. -EBADMSG: there is none, or it is cut off or damaged. */
int mbr__journal_get_record(const unsigned char *data, size_t length,
                            struct mbr__journal_record *out);

/* The Ith block of a record that was read. */
struct mbr__journal_block mbr__journal_block(const struct mbr__journal_record *record, uint32_t i);

/* Whether anywhere in DATA, at a multiple of 8, is a sound record with number AFTER or above. */
bool mbr__journal_more(const unsigned char *data, size_t length, uint64_t after);

/* 0, or -EINVAL, -ENAMETOOLONG: not a name for an object. */
int mbr__journal_check_name(const char *name, size_t length);

#endif
