/* SPDX-License-Identifier: MIT */
/* See ids.h. Numbers are claimed by compare-and-swap in a bitmap of three levels. */
#define _GNU_SOURCE
#include "object/ids.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object/futex.h"
#include "object/object_shm.h"

#define FULL UINT64_MAX

struct mbr__process *mbr__process_state;

static const uint32_t no_mark;
static struct {
    uint32_t mark;
    const uint32_t *page;
} nobody = {1, &no_mark};
static_assert(offsetof(struct mbr__process, page) == sizeof(void *), "as in nobody");
struct mbr__process *mbr__process_quick = (struct mbr__process *)(void *)&nobody;

/* ---- bitmaps --------------------------------------------------------------------------------- */

/* Sets the bits above a leaf that has become full. */
static void mark_full(struct mbr__ids *ids, uint32_t leaf)
{
    uint32_t mid = leaf / 64;
    uint64_t bit = UINT64_C(1) << leaf % 64;

    if (leaf == 0)
        return;
    (void)mbr_fetch_or(&ids->mid[mid], bit);
    mbr_fence_full(); /* pair B with mbr__ids_give() */
    if (mbr_load_relaxed(&ids->leaf[leaf]) != FULL)
        (void)mbr_fetch_and(&ids->mid[mid], ~bit);
    if (mbr_load_relaxed(&ids->mid[mid]) != FULL)
        return;
    bit = UINT64_C(1) << mid % 64;
    (void)mbr_fetch_or(&ids->root[mid / 64], bit);
    mbr_fence_full(); /* pair B with mbr__ids_give() */
    if (mbr_load_relaxed(&ids->mid[mid]) != FULL)
        (void)mbr_fetch_and(&ids->root[mid / 64], ~bit);
}

/* Claims the lowest free number of a leaf; -1 if there is none. */
static int claim_in(struct mbr__ids *ids, uint32_t leaf)
{
    uint64_t seen = mbr_load_relaxed(&ids->leaf[leaf]);

    while (seen != FULL) {
        uint32_t b = (uint32_t)__builtin_ctzll(~seen);
        uint64_t now = seen | UINT64_C(1) << b;

        if (!mbr_cas(&ids->leaf[leaf], &seen, now))
            continue;
        if (__builtin_expect(now == FULL, 0))
            mark_full(ids, leaf);
        return (int)(leaf * 64 + b);
    }
    return -1;
}

/* The first leaf that seems to have room; -1 none. */
static int find_leaf(struct mbr__ids *ids)
{
    for (uint32_t r = 0; r < sizeof(ids->root) / sizeof(ids->root[0]); r++) {
        uint64_t root = mbr_load_relaxed(&ids->root[r]);
        uint32_t m;
        uint64_t mid;

        if (root == FULL)
            continue;
        m = r * 64 + (uint32_t)__builtin_ctzll(~root);
        mid = mbr_load_relaxed(&ids->mid[m]);
        if (mid == FULL)
            return (int)(m *
                         64); /* its bit is about to be set: the leaf will say that it is full */
        return (int)(m * 64 + (uint32_t)__builtin_ctzll(~mid));
    }
    return -1;
}

static int claim(struct mbr__ids *ids)
{
    int id = claim_in(ids, 0);

    while (id < 0) {
        int leaf = find_leaf(ids);

        if (leaf < 0 || (uint32_t)leaf >= ids->limit / 64)
            return -EMFILE;
        id = claim_in(ids, (uint32_t)leaf);
        if (id < 0)
            mark_full(ids, (uint32_t)leaf);
    }
    return id;
}

void mbr__ids_init(struct mbr__ids *ids, uint32_t limit)
{
    ids->limit = limit;
    ids->mid[0] = 1; /* find_leaf() never finds the first one, claim() has tried it */
}

/* ---- numbers --------------------------------------------------------------------------------- */

static int make_chunk(struct mbr__ids *ids, uint32_t chunk)
{
    uint8_t *seen = NULL;
    uint8_t *mine = aligned_alloc(MBR__IDS_SLOT, MBR__IDS_SLOT << MBR__IDS_CHUNK_BITS);

    if (mine == NULL)
        return -ENOMEM;
    memset(mine, 0, MBR__IDS_SLOT << MBR__IDS_CHUNK_BITS);
    if (!mbr_cas(&ids->chunks[chunk], &seen, mine))
        free(mine);
    return 0;
}

int mbr__ids_take(struct mbr__ids *ids, uint32_t *id, void **slot)
{
    int got = claim(ids);

    if (got < 0)
        return got;
    *slot = mbr__ids_at(ids, got);
    if (__builtin_expect(*slot == NULL, 0)) {
        if (make_chunk(ids, (uint32_t)got >> MBR__IDS_CHUNK_BITS) < 0) {
            mbr__ids_give(ids, (uint32_t)got);
            return -ENOMEM;
        }
        *slot = mbr__ids_at(ids, got);
    }
    *id = (uint32_t)got;
    return 0;
}

void mbr__ids_give(struct mbr__ids *ids, uint32_t id)
{
    uint32_t leaf = id / 64;

    if (mbr_fetch_and(&ids->leaf[leaf], ~(UINT64_C(1) << id % 64)) != FULL || leaf == 0)
        return;
    mbr_fence_full(); /* pair B with mark_full() */
    (void)mbr_fetch_and(&ids->mid[leaf / 64], ~(UINT64_C(1) << leaf % 64));
    mbr_fence_full();
    (void)mbr_fetch_and(&ids->root[leaf / 64 / 64], ~(UINT64_C(1) << leaf / 64 % 64));
}

/* ---- the process ----------------------------------------------------------------------------- */

/* A forked child keeps the memory of its parent's containers alive unless it closes it. It may have
 * done that itself, and have something else there. */
static void close_inherited(struct mbr__process *parent)
{
    struct mbr__ids *ids = &parent->ids[MBR__KIND_CONTAINER];

    for (int id = 0; mbr__ids_at(ids, id) != NULL; id += 1) {
        const struct mbr__handle *h = mbr__ids_at(ids, id);
        struct stat st;

        if ((h->word & MBR__OPEN) != 0 && fstat(h->fd, &st) == 0 && st.st_dev == h->dev &&
            st.st_ino == h->ino)
            (void)close(h->fd);
    }
}

static void init_ids(struct mbr__process *p)
{
    static const uint32_t limits[MBR__KINDS] = {4096, MBR__IDS_MAX, 1u << 16, 4096};

    for (int k = 0; k < MBR__KINDS; k++)
        mbr__ids_init(&p->ids[k], limits[k]);
}

int mbr__process_get(struct mbr__process **out)
{
    struct mbr__process *seen = mbr_load_acquire(&mbr__process_state);
    uint32_t mark = mbr__fork_mark();
    struct mbr__process *p = NULL;

    if (seen != NULL && seen->mark == mark) {
        *out = seen;
        return 0;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return -ENOMEM;
    p->mark = mark;
    p->page = mbr_load_acquire(&mbr__fork_page);
    p->parent = seen;
    (void)pthread_mutex_init(&p->lock, NULL);
    mbr__list_init(&p->containers);
    init_ids(p);
    if (mbr_cas(&mbr__process_state, &seen, p)) {
        if (p->parent != NULL)
            close_inherited(p->parent);
        *out = p;
    } else { /* another thread of this process was faster */
        (void)pthread_mutex_destroy(&p->lock);
        free(p);
        *out = seen;
    }
    mbr_store_release(&mbr__process_quick, *out); /* pair A with get() and put() in io.c */
    return 0;
}

struct mbr__process *mbr__process_own_slow(void)
{
    struct mbr__process *p = mbr_load_acquire(&mbr__process_state);

    /* Where the kernel cannot wipe pages, the page never has the mark. */
    return p != NULL && p->mark == mbr__fork_mark() ? p : NULL;
}

/* ---- handles --------------------------------------------------------------------------------- */

bool mbr__handle_inherited(enum mbr__kind kind, int id)
{
    uint32_t mark = mbr__fork_mark();

    for (struct mbr__process *p = mbr_load_acquire(&mbr__process_state); p != NULL; p = p->parent) {
        struct mbr__handle *h = p->mark == mark ? NULL : mbr__ids_at(&p->ids[kind], id);

        if (h != NULL && (mbr_load_relaxed(&h->word) & MBR__OPEN) != 0)
            return true;
    }
    return false;
}

int mbr__handle_new(enum mbr__kind kind, struct mbr__process **p, struct mbr__handle **out)
{
    void *slot = NULL;
    uint32_t id = 0;
    int rc = mbr__process_get(p);

    if (rc == 0)
        rc = mbr__ids_take(&(*p)->ids[kind], &id, &slot);
    if (rc < 0)
        return rc;
    *out = slot;
    (*out)->id = id;
    (*out)->what = NULL;
    (*out)->parent = NULL;
    (*out)->fd = -1;
    mbr__list_init(&(*out)->siblings);
    mbr__list_init(&(*out)->children);
    return 0;
}

void mbr__handle_free(struct mbr__process *p, enum mbr__kind kind, struct mbr__handle *h)
{
    uint32_t id = h->id;

    (void)mbr_fetch_and(&h->word, ~MBR__CLOSING);
    mbr__ids_give(&p->ids[kind], id);
}

void mbr__handle_wake(struct mbr__handle *h)
{
    mbr__futex_wake(&h->word, MBR__FUTEX_ALL);
}

bool mbr__handle_shut(struct mbr__handle *h)
{
    uint32_t seen = mbr_load_acquire(&h->word);

    while ((seen & MBR__OPEN) != 0) {
        if (mbr_cas(&h->word, &seen, (seen & ~MBR__OPEN) | MBR__CLOSING))
            return true;
    }
    return false;
}

int mbr__handle_close(enum mbr__kind kind, int id, struct mbr__process **p,
                      struct mbr__handle **out)
{
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_enter(kind, id, &h);

    if (rc < 0)
        return rc;
    *p = mbr_load_acquire(&mbr__process_state);
    if (!mbr__handle_shut(h)) {
        mbr__handle_exit(h);
        return mbr__handle_missing(kind, id);
    }
    mbr__handle_exit(h);
    *out = h;
    return 0;
}

void mbr__handle_drain(struct mbr__handle *h, uint32_t own)
{
    for (;;) {
        uint32_t seen = mbr_load_acquire(&h->word);

        if ((seen & (MBR__CLOSING - 1)) <= own)
            return;
        (void)mbr__futex_wait(&h->word, seen, MBR__FUTEX_ALL, UINT64_MAX);
    }
}
