/* SPDX-License-Identifier: MIT */
/*
 * A persistent container as a test sees it: what objects there should be and, for each block, the
 * seed that its bytes follow from; steps that change it; comparison with what mbr__disk_ says.
 *
 * Include after cmocka.h and prop.h, in one file of a test program.
 */
#ifndef MBR_TESTS_DISK_MODEL_H
#define MBR_TESTS_DISK_MODEL_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "object/disk.h"

#define MODEL_OBJECTS 6
#define MODEL_BLOCKS  3

struct model_block {
    uint32_t seed;
    uint32_t valid; /* bytes that follow from it; the others are zero */
};

struct model_object {
    uint64_t id; /* 0: none */
    uint64_t size;
    uint32_t policy;
    uint32_t name; /* a number: model_name() */
    struct model_block block[MODEL_BLOCKS];
};

struct model {
    uint64_t last_id;
    struct model_object object[MODEL_OBJECTS];
};

enum model_kind { MODEL_CREATE, MODEL_REMOVE, MODEL_RENAME, MODEL_RESIZE, MODEL_SYNC };

struct model_step {
    enum model_kind kind;
    uint64_t id;
    uint64_t size;
    uint32_t policy;
    uint32_t name;
    uint32_t blocks; /* bits: those that are written */
    uint32_t seed;
};

static inline const char *model_name(uint32_t number, char text[16])
{
    snprintf(text, 16, "name-%u", number);
    return text;
}

static inline void model_fill(unsigned char *buf, uint32_t seed, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        buf[i] = (unsigned char)(seed * 2654435761u >> (i & 15) ^ i ^ i >> 8);
}

static inline struct model_object *model_by_id(struct model *m, uint64_t id)
{
    for (int i = 0; i < MODEL_OBJECTS; i++) {
        if (m->object[i].id == id)
            return &m->object[i];
    }
    return NULL;
}

static inline bool model_name_taken(const struct model *m, uint32_t name)
{
    for (int i = 0; i < MODEL_OBJECTS; i++) {
        if (m->object[i].id != 0 && m->object[i].name == name)
            return true;
    }
    return false;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* CHOOSE(state, limit) gives a number below limit. */
typedef uint32_t model_choice(void *state, uint32_t limit);

static inline uint64_t model_size(model_choice *choose, void *state)
{
    switch (choose(state, 12)) {
    case 0:
        return 1 + choose(state, (uint32_t)(MODEL_BLOCKS * MBR_OBJECT_BLOCK));
    case 1:
        return MBR_OBJECT_BLOCK * (1 + choose(state, MODEL_BLOCKS));
    default:
        return 1 + choose(state, 9000);
    }
}

/* A step that must succeed; kinds that cannot now become others. */
static inline struct model_step model_choose(const struct model *m, model_choice *choose,
                                             void *state)
{
    const struct model_object *o = &m->object[choose(state, MODEL_OBJECTS)];
    struct model_step s = {.seed = 1 + choose(state, 1000000)};
    uint32_t kind = choose(state, 10);

    s.size = model_size(choose, state);
    s.name = choose(state, 3 * MODEL_OBJECTS);
    while (model_name_taken(m, s.name))
        s.name++;
    s.policy = choose(state, 2);
    s.blocks = 1 + choose(state, (1 << MODEL_BLOCKS) - 1);
    if (o->id == 0) {
        s.kind = MODEL_CREATE;
        s.id = m->last_id + 1 + choose(state, 3);
        return s;
    }
    s.id = o->id;
    s.kind = kind < 1   ? MODEL_REMOVE
             : kind < 3 ? MODEL_RENAME
             : kind < 5 ? MODEL_RESIZE
                        : MODEL_SYNC;
    for (uint32_t b = 0; b < MODEL_BLOCKS; b++) {
        if (mbr__catalog_block_bytes(o->size, b) == 0)
            s.blocks &= ~(1u << b);
    }
    if (s.blocks == 0)
        s.blocks = 1;
    return s;
}

static inline void model_resize(struct model_object *o, uint64_t size)
{
    o->size = size;
    for (uint32_t b = 0; b < MODEL_BLOCKS; b++) {
        uint32_t bytes = mbr__catalog_block_bytes(size, b);

        if (o->block[b].valid > bytes)
            o->block[b].valid = bytes;
    }
}

static inline void model_apply(struct model *m, const struct model_step *s)
{
    struct model_object *o = model_by_id(m, s->kind == MODEL_CREATE ? 0 : s->id);

    assert_non_null(o);
    switch (s->kind) {
    case MODEL_CREATE:
        *o = (struct model_object){
            .id = s->id, .size = s->size, .policy = s->policy, .name = s->name};
        m->last_id = s->id;
        break;
    case MODEL_REMOVE:
        *o = (struct model_object){0};
        break;
    case MODEL_RENAME:
        o->name = s->name;
        break;
    case MODEL_RESIZE:
        model_resize(o, s->size);
        break;
    case MODEL_SYNC:
        for (uint32_t b = 0; b < MODEL_BLOCKS; b++) {
            if (s->blocks >> b & 1)
                o->block[b] =
                    (struct model_block){s->seed + b, mbr__catalog_block_bytes(o->size, b)};
        }
        break;
    }
}

static inline int model_sync(struct mbr__disk *d, const struct model_step *s)
{
    static unsigned char bytes[MODEL_BLOCKS][MBR_OBJECT_BLOCK];
    const struct mbr__catalog_object *o = mbr__catalog_by_id(mbr__disk_catalog(d), s->id);
    struct mbr__disk_dirty dirty[MODEL_BLOCKS];
    struct mbr__disk_write *write;
    uint32_t count = 0;
    int err;

    if (o == NULL)
        return -ENOENT;
    for (uint32_t b = 0; b < MODEL_BLOCKS; b++) {
        if (!(s->blocks >> b & 1))
            continue;
        model_fill(bytes[b], s->seed + b, mbr__catalog_block_bytes(o->size, b));
        dirty[count++] = (struct mbr__disk_dirty){b, bytes[b]};
    }
    err = mbr__disk_write(d, s->id, dirty, count, &write);
    return err < 0 ? err : mbr__disk_commit(d, write);
}

static inline int model_run(struct mbr__disk *d, const struct model_step *s)
{
    char text[16];

    switch (s->kind) {
    case MODEL_CREATE:
        return mbr__disk_create(d, s->id, model_name(s->name, text), s->size, s->policy);
    case MODEL_REMOVE:
        return mbr__disk_remove(d, s->id);
    case MODEL_RENAME:
        return mbr__disk_rename(d, s->id, model_name(s->name, text));
    case MODEL_RESIZE:
        return mbr__disk_resize(d, s->id, s->size);
    case MODEL_SYNC:
        return model_sync(d, s);
    }
    return -EINVAL;
}

/* ---- comparison ------------------------------------------------------------------------------ */

static inline bool model_block_same(struct mbr__disk *d, const struct model_object *o, uint32_t b)
{
    static unsigned char is[MBR_OBJECT_BLOCK];
    static unsigned char should[MBR_OBJECT_BLOCK];
    uint32_t bytes = mbr__catalog_block_bytes(o->size, b);

    if (bytes == 0)
        return mbr__disk_read(d, o->id, b, is) == -ERANGE;
    if (mbr__disk_read(d, o->id, b, is) != 0)
        return false;
    model_fill(should, o->block[b].seed, o->block[b].valid);
    memset(should + o->block[b].valid, 0, bytes - o->block[b].valid);
    return memcmp(is, should, bytes) == 0;
}

/* Whether D holds what M says; BYTES: also block for block. */
static inline bool model_same(struct mbr__disk *d, const struct model *m, bool bytes)
{
    const struct mbr__catalog *c = mbr__disk_catalog(d);
    size_t count = 0;
    char text[16];

    for (int i = 0; i < MODEL_OBJECTS; i++) {
        const struct model_object *o = &m->object[i];
        const struct mbr__catalog_object *found;

        if (o->id == 0)
            continue;
        count++;
        model_name(o->name, text);
        found = mbr__catalog_find(c, text, strlen(text));
        if (found == NULL || found->id != o->id || found->size != o->size ||
            found->policy != o->policy)
            return false;
        for (uint32_t b = 0; bytes && b < MODEL_BLOCKS; b++) {
            if (!model_block_same(d, o, b))
                return false;
        }
    }
    return c->by_id.count == count;
}

/* ---- directories ----------------------------------------------------------------------------- */

static inline int model_rm(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void model_remove_tree(const char *path)
{
    (void)nftw(path, model_rm, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
