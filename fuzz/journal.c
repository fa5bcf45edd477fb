/* SPDX-License-Identifier: MIT */
/*
 * The journal of a persistent container. The first byte says whether checksums are made right
 * first, so that what is behind them is reached. What is read must be consistent, and a journal
 * written anew from it must read as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "object/catalog.h"
#include "object/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* Where journal.c has lengths and checksums. */
static void mend(uint8_t *data, size_t size)
{
    size_t at = MBR__JOURNAL_HEADER;

    if (size < MBR__JOURNAL_HEADER)
        return;
    put32(data + 92, mbr__crc32c(0, data, 92));
    while (size - at >= 32) {
        uint32_t length = get32(data + at + 4);

        if (length < 32 || length > size - at)
            return;
        put32(data + at + 20, 0);
        put32(data + at + 20, mbr__crc32c(0, data + at, length));
        at += length;
    }
}

static void check(bool good)
{
    if (!good)
        abort();
}

static void compare_objects(const struct mbr__catalog_object *a,
                            const struct mbr__catalog_object *b)
{
    check(b != NULL && a->id == b->id && a->size == b->size && a->policy == b->policy);
    check(a->held == b->held && a->name_len == b->name_len && strcmp(a->name, b->name) == 0);
    for (uint32_t i = 0; i < a->places; i++) {
        struct mbr__catalog_place p = mbr__catalog_place(a, i);
        struct mbr__catalog_place q = mbr__catalog_place(b, i);

        check(p.slot == q.slot && p.stored == q.stored && p.valid == q.valid && p.sum == q.sum);
    }
}

/* Each place has its slot, each slot in use its place. */
static void check_slots(const struct mbr__catalog *c)
{
    const struct mbr__catalog_object *o;
    size_t held = 0;
    size_t used = 0;

    for (o = mbr__catalog_next(c, NULL); o != NULL; o = mbr__catalog_next(c, o)) {
        held += o->held;
        check(mbr__catalog_find(c, o->name, o->name_len) == o);
        for (uint32_t i = 0; i < o->places; i++)
            check(o->place[i].slot == 0 || mbr__catalog_slot_used(c, o->place[i].slot - 1));
    }
    for (uint32_t word = 0; word < c->room / 64; word++)
        used += (size_t)__builtin_popcountll(c->used[word]);
    check(held == used);
}

static void write_and_read(const struct mbr__catalog *c)
{
    const struct mbr__catalog_object *o;
    struct mbr__catalog again;
    unsigned char *bytes;
    uint64_t next;
    size_t used = MBR__JOURNAL_HEADER;

    if (mbr__catalog_write(c, 1, &bytes, &next) < 0)
        return;
    mbr__catalog_init(&again);
    check(mbr__catalog_read(&again, bytes, c->live, &used) == 0 && used == c->live);
    check(again.next == next && again.live == c->live && again.by_id.count == c->by_id.count);
    for (o = mbr__catalog_next(c, NULL); o != NULL; o = mbr__catalog_next(c, o))
        compare_objects(o, mbr__catalog_by_id(&again, o->id));
    check_slots(&again);
    mbr__catalog_fini(&again);
    free(bytes);
}

static void read_journal(const uint8_t *data, size_t size)
{
    struct mbr__journal_header header;
    struct mbr__catalog c;
    size_t used = MBR__JOURNAL_HEADER;

    if (mbr__journal_get_header(data, size, &header) < 0)
        return;
    mbr__catalog_init(&c);
    c.next = header.first;
    (void)mbr__catalog_read(&c, data, size, &used);
    check(used <= size);
    check_slots(&c);
    write_and_read(&c);
    mbr__catalog_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size == 0)
        return 0;
    copy = malloc(size);
    if (copy == NULL)
        return 0;
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1)
        mend(copy, size - 1);
    read_journal(copy, size - 1);
    free(copy);
    return 0;
}
