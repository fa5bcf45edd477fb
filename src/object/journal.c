/* SPDX-License-Identifier: MIT */
/*
 * The journal's header and records as bytes.
 *
 *     header   0 magic, 8 version, 12 flags, 16 id, 32 generation, 40 last id, 48 first number,
 *              56 whole, 64 size of a block, 68 zeroes, 92 checksum of the 92 bytes before it
 *     record   0 mark, 4 length, 8 number, 16 kind, 20 checksum (of the record with these four
 *              bytes zero), 24 object, 32 the rest by kind:
 *              create: size (8), policy (4), length of the name (4), name
 *              rename: length of the name (4), zero (4), name
 *              resize: size (8)
 *              blocks: count (4), zero (4), 20 bytes each
 *              then zeroes up to a multiple of 8
 */
#include "object/journal.h"

#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "object/crc32c.h"

#define MAGIC       UINT64_C(0x314a6f2e72626d00) /* "\0mbr.oJ1" */
#define MARK        UINT32_C(0x6a72626d)         /* "mbrj" */
#define RECORD_HEAD 32u
#define BLOCK_BYTES 20u
#define RECORD_MAX  ((size_t)RECORD_HEAD + 16 + (size_t)MBR__JOURNAL_BLOCKS_MAX * BLOCK_BYTES)

/* ---- numbers --------------------------------------------------------------------------------- */

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static void put64(unsigned char *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const unsigned char *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* ---- header ---------------------------------------------------------------------------------- */

void mbr__journal_put_header(unsigned char out[MBR__JOURNAL_HEADER],
                             const struct mbr__journal_header *header)
{
    memset(out, 0, MBR__JOURNAL_HEADER);
    put64(out, MAGIC);
    put32(out + 8, MBR__JOURNAL_VERSION);
    put32(out + 12, header->flags);
    put64(out + 16, header->id[0]);
    put64(out + 24, header->id[1]);
    put64(out + 32, header->generation);
    put64(out + 40, header->last_id);
    put64(out + 48, header->first);
    put64(out + 56, header->whole);
    put32(out + 64, (uint32_t)MBR_OBJECT_BLOCK);
    put32(out + 92, mbr__crc32c(0, out, 92));
}

int mbr__journal_get_header(const unsigned char *data, size_t length,
                            struct mbr__journal_header *out)
{
    if (length < MBR__JOURNAL_HEADER || get64(data) != MAGIC)
        return -EBADMSG;
    /* A later version may have another header, so its checksum cannot be asked for first. */
    if (get32(data + 8) != MBR__JOURNAL_VERSION)
        return get32(data + 8) > MBR__JOURNAL_VERSION ? -EPROTONOSUPPORT : -EBADMSG;
    if (get32(data + 92) != mbr__crc32c(0, data, 92) || get32(data + 64) != MBR_OBJECT_BLOCK)
        return -EBADMSG;
    *out = (struct mbr__journal_header){
        .flags = get32(data + 12),
        .id = {get64(data + 16), get64(data + 24)},
        .generation = get64(data + 32),
        .last_id = get64(data + 40),
        .first = get64(data + 48),
        .whole = get64(data + 56),
    };
    if (out->flags & ~(MBR__JOURNAL_CHECKSUMS | MBR__JOURNAL_DEAD))
        return -EPROTONOSUPPORT;
    return out->whole < MBR__JOURNAL_HEADER ? -EBADMSG : 0;
}

/* ---- records --------------------------------------------------------------------------------- */

size_t mbr__journal_record_size(enum mbr__journal_kind kind, uint32_t name_len, uint32_t count)
{
    size_t n = RECORD_HEAD;

    switch (kind) {
    case MBR__JOURNAL_CREATE:
        n += 16 + name_len;
        break;
    case MBR__JOURNAL_RENAME:
        n += 8 + name_len;
        break;
    case MBR__JOURNAL_RESIZE:
        n += 8;
        break;
    case MBR__JOURNAL_BLOCKS:
        n += 8 + (size_t)count * BLOCK_BYTES;
        break;
    case MBR__JOURNAL_REMOVE:
        break;
    }
    return (n + 7) & ~(size_t)7;
}

static void put_blocks(unsigned char *out, const struct mbr__journal_block *blocks, uint32_t count)
{
    put32(out, count);
    out += 8;
    for (uint32_t i = 0; i < count; i++, out += BLOCK_BYTES) {
        put32(out, blocks[i].block);
        put32(out + 4, blocks[i].slot);
        put32(out + 8, blocks[i].stored);
        put32(out + 12, blocks[i].valid);
        put32(out + 16, blocks[i].sum);
    }
}

/* What differs by kind, behind the head. */
static void put_body(unsigned char *body, const struct mbr__journal_record *record,
                     const struct mbr__journal_block *blocks)
{
    switch (record->kind) {
    case MBR__JOURNAL_CREATE:
        put64(body, record->size);
        put32(body + 8, record->policy);
        put32(body + 12, record->name_len);
        memcpy(body + 16, record->name, record->name_len);
        break;
    case MBR__JOURNAL_RENAME:
        put32(body, record->name_len);
        memcpy(body + 8, record->name, record->name_len);
        break;
    case MBR__JOURNAL_RESIZE:
        put64(body, record->size);
        break;
    case MBR__JOURNAL_BLOCKS:
        put_blocks(body, blocks, record->count);
        break;
    case MBR__JOURNAL_REMOVE:
        break;
    }
}

void mbr__journal_put_record(unsigned char *out, const struct mbr__journal_record *record,
                             const struct mbr__journal_block *blocks)
{
    size_t n = mbr__journal_record_size(record->kind, record->name_len, record->count);

    memset(out, 0, n);
    put32(out, MARK);
    put32(out + 4, (uint32_t)n);
    put64(out + 8, record->number);
    put32(out + 16, (uint32_t)record->kind);
    put64(out + 24, record->id);
    put_body(out + RECORD_HEAD, record, blocks);
    put32(out + 20, mbr__crc32c(0, out, n));
}

int mbr__journal_check_name(const char *name, size_t length)
{
    if (length > MBR_OBJECT_NAME_MAX)
        return -ENAMETOOLONG;
    if (length == 0 || memchr(name, '/', length) != NULL || memchr(name, '\0', length) != NULL)
        return -EINVAL;
    return mbr__utf8_valid(name, length) ? 0 : -EINVAL;
}

static bool block_is_sound(struct mbr__journal_block b)
{
    return b.block < MBR__JOURNAL_BLOCKS_MAX && b.slot < MBR__JOURNAL_SLOTS_MAX && b.stored > 0 &&
           b.stored <= MBR_OBJECT_BLOCK && b.valid <= b.stored;
}

/* Ascending, so that no block stands in it twice. */
static bool blocks_are_sound(const struct mbr__journal_record *record)
{
    uint32_t least = 0;

    for (uint32_t i = 0; i < record->count; i++) {
        struct mbr__journal_block b = mbr__journal_block(record, i);

        if (!block_is_sound(b) || b.block < least)
            return false;
        least = b.block + 1;
    }
    return record->count > 0;
}

/* Reads the body, LENGTH bytes, at least 0 of them; sets what the record's size follows from. */
static bool get_body(const unsigned char *body, size_t length, struct mbr__journal_record *r)
{
    switch (r->kind) {
    case MBR__JOURNAL_REMOVE:
        return true;
    case MBR__JOURNAL_CREATE:
        if (length < 16)
            return false;
        r->size = get64(body);
        r->policy = get32(body + 8);
        r->name_len = get32(body + 12);
        r->name = (const char *)body + 16;
        return r->name_len <= length - 16;
    case MBR__JOURNAL_RENAME:
        if (length < 8)
            return false;
        r->name_len = get32(body);
        r->name = (const char *)body + 8;
        return r->name_len <= length - 8;
    case MBR__JOURNAL_RESIZE:
        if (length < 8)
            return false;
        r->size = get64(body);
        return true;
    case MBR__JOURNAL_BLOCKS:
        if (length < 8)
            return false;
        r->count = get32(body);
        r->blocks = body + 8;
        return r->count <= MBR__JOURNAL_BLOCKS_MAX && r->count <= (length - 8) / BLOCK_BYTES;
    }
    return false;
}

static bool record_is_sound(const struct mbr__journal_record *r)
{
    bool named = r->kind == MBR__JOURNAL_CREATE || r->kind == MBR__JOURNAL_RENAME;
    bool sized = r->kind == MBR__JOURNAL_CREATE || r->kind == MBR__JOURNAL_RESIZE;

    if (r->id == 0 || r->length != mbr__journal_record_size(r->kind, r->name_len, r->count))
        return false;
    if (named && mbr__journal_check_name(r->name, r->name_len) < 0)
        return false;
    if (sized && (r->size == 0 || r->size > MBR_OBJECT_SIZE_MAX))
        return false;
    return r->policy <= MBR_WRITE_VERSIONED &&
           (r->kind != MBR__JOURNAL_BLOCKS || blocks_are_sound(r));
}

/* The checksum of a record, its own place taken for zeroes. */
static uint32_t sum_of(const unsigned char *data, size_t length)
{
    static const unsigned char zeroes[4];
    uint32_t sum = mbr__crc32c(0, data, 20);

    sum = mbr__crc32c(sum, zeroes, 4);
    return mbr__crc32c(sum, data + 24, length - 24);
}

int mbr__journal_get_record(const unsigned char *data, size_t length,
                            struct mbr__journal_record *out)
{
    struct mbr__journal_record r = {0};

    if (length < RECORD_HEAD || get32(data) != MARK)
        return -EBADMSG;
    r.length = get32(data + 4);
    if (r.length < RECORD_HEAD || r.length > length || r.length > RECORD_MAX || r.length % 8 != 0 ||
        get32(data + 20) != sum_of(data, r.length))
        return -EBADMSG;
    r.number = get64(data + 8);
    r.kind = (enum mbr__journal_kind)get32(data + 16);
    r.id = get64(data + 24);
    if (!get_body(data + RECORD_HEAD, r.length - RECORD_HEAD, &r) || !record_is_sound(&r))
        return -EBADMSG;
    *out = r;
    return 0;
}

struct mbr__journal_block mbr__journal_block(const struct mbr__journal_record *record, uint32_t i)
{
    const unsigned char *p = record->blocks + (size_t)i * BLOCK_BYTES;

    return (struct mbr__journal_block){get32(p), get32(p + 4), get32(p + 8), get32(p + 12),
                                       get32(p + 16)};
}

bool mbr__journal_more(const unsigned char *data, size_t length, uint64_t after)
{
    struct mbr__journal_record record;

    for (size_t at = 0; at + RECORD_HEAD <= length; at += 8) {
        if (get32(data + at) == MARK && get64(data + at + 8) >= after &&
            mbr__journal_get_record(data + at, length - at, &record) == 0)
            return true;
    }
    return false;
}
