/* SPDX-License-Identifier: MIT */
/*
 * See io.h. The path of mbr_object_get() and mbr_object_put() is straight: each step is a few
 * instructions, what rarely happens is out of line.
 */
#include "object/io.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

#define HOLDS_PER_PAGE (MBR__OBJ_PAGE / sizeof(struct mbr__hold))

/* ---- holds ----------------------------------------------------------------------------------- */

/* The memory of a hold that was never used, and others' knowledge of it. */
static int extend_holds(struct mbr__container *c, uint32_t hold)
{
    struct mbr__member_shm *m = mbr__member_at(c, c->world.self);
    uint64_t at = MBR__OBJ_MEMBERS_AT + MBR__OBJ_MEMBER_STRIDE * c->world.self + MBR__OBJ_HOLDS_AT;
    uint32_t known = mbr_load_relaxed(&m->holds);
    int rc = 0;

    (void)pthread_mutex_lock(&c->maps);
    while (rc == 0 && hold >= c->holds_allocated) {
        rc = mbr__container_allocate(c, at + c->holds_allocated * sizeof(struct mbr__hold),
                                     MBR__OBJ_PAGE);
        if (rc == 0)
            c->holds_allocated += HOLDS_PER_PAGE;
    }
    (void)pthread_mutex_unlock(&c->maps);
    while (rc == 0 && known <= hold && !mbr_cas(&m->holds, &known, hold + 1))
        ;
    return rc;
}

static inline int take_hold(struct mbr__container *c, uint32_t *out)
{
    for (uint32_t w = 0; w < MBR__OBJ_HOLDS / 64; w++) {
        uint64_t seen = mbr_load_relaxed(&c->holds[w]);

        while (seen != UINT64_MAX) {
            uint32_t b = (uint32_t)__builtin_ctzll(~seen);

            if (!mbr_cas(&c->holds[w], &seen, seen | UINT64_C(1) << b))
                continue;
            *out = w * 64 + b;
            return 0;
        }
    }
    return -EMFILE;
}

static inline void give_hold(struct mbr__container *c, uint32_t hold)
{
    (void)mbr_fetch_and(&c->holds[hold / 64], ~(UINT64_C(1) << hold % 64));
}

static __attribute__((noinline)) uint32_t name_thread(uint32_t *own)
{
    static uint32_t last;

    do
        *own = mbr_fetch_add(&last, 1) + 1;
    while (*own == 0);
    return *own;
}

/* A number that no other thread of this process has, never 0. */
static inline uint32_t thread_number(void)
{
    static __thread uint32_t own __attribute__((tls_model("initial-exec")));

    return __builtin_expect(own != 0, 1) ? own : name_thread(&own);
}

static inline int new_hold(struct mbr__container *c, uint32_t *out)
{
    uint32_t hold = 0;
    int rc = take_hold(c, &hold);

    if (__builtin_expect(rc < 0, 0))
        return rc;
    if (__builtin_expect(hold >= mbr_load_relaxed(&mbr__member_at(c, c->world.self)->holds), 0)) {
        rc = extend_holds(c, hold);
        if (rc < 0) {
            give_hold(c, hold);
            return rc;
        }
    }
    mbr_store_relaxed(&mbr__holds_at(c, c->world.self)[hold].thread, thread_number());
    *out = hold;
    return 0;
}

int mbr__hold_take(struct mbr__container *c, uint32_t *hold)
{
    return new_hold(c, hold);
}

void mbr__hold_give(struct mbr__container *c, uint32_t hold)
{
    give_hold(c, hold);
}

/* ---- regions --------------------------------------------------------------------------------- */

static inline bool in_range(uint64_t offset, uint64_t size, uint64_t limit)
{
    return offset <= limit && size <= limit - offset;
}

/* Takes the blocks of the region for writing; those that it covers need not be sound. */
static int lock_write(const struct mbr__object *o, const struct mbr__io *io, uint64_t offset,
                      uint64_t deadline)
{
    uint64_t end = offset + io->size;
    uint32_t whole_end = (uint32_t)(end / MBR_OBJECT_BLOCK);
    uint64_t limit = mbr_load_relaxed(&o->entry->size);

    /* The last block may be a short one. */
    if (end >= limit)
        whole_end = io->first + io->count;
    return mbr__lock_write(&io->view->set, io->hold, io->first, io->count, mbr__blocks_of(offset),
                           whole_end, deadline);
}

static inline int lock_region(struct mbr__object *o, const struct mbr__io *io, uint64_t offset,
                              uint64_t deadline)
{
    struct mbr__container *c = o->c;
    int rc;

    if (io->write)
        rc = lock_write(o, io, offset, deadline);
    else
        rc = mbr__lock_read_inline(&io->view->set, mbr__holds_at(c, c->world.self) + io->hold,
                                   io->hold, io->first, io->count, deadline);
    if (rc < 0)
        return rc;
    /* It may have become smaller before we had the blocks; from now on it cannot. */
    if (__builtin_expect(!in_range(offset, io->size, mbr_load_relaxed(&o->entry->size)), 0)) {
        mbr__unlock(&io->view->set, io->hold);
        return -ERANGE;
    }
    return 0;
}

/* io->handle is the caller's to set. */
static inline int io_lock(struct mbr__handle *h, uint64_t offset, size_t size, bool write,
                          uint64_t deadline, struct mbr__io *io)
{
    struct mbr__object *o = h->what;
    int rc;

    if (__builtin_expect(!in_range(offset, size, mbr_load_relaxed(&o->entry->size)), 0))
        return -ERANGE;
    rc = mbr__object_view(o, offset + size, &io->view);
    if (__builtin_expect(rc < 0, 0))
        return rc;
    io->size = size;
    io->bytes = io->view->data + offset;
    io->write = write;
    io->first = (uint32_t)(offset / MBR_OBJECT_BLOCK);
    io->count = 0;
    if (__builtin_expect(size == 0, 0))
        return 0;
    io->count = (uint32_t)((offset + size - 1) / MBR_OBJECT_BLOCK) - io->first + 1;
    rc = new_hold(o->c, &io->hold);
    if (__builtin_expect(rc < 0, 0))
        return rc;
    rc = lock_region(o, io, offset, deadline);
    if (__builtin_expect(rc < 0, 0))
        give_hold(o->c, io->hold);
    else if (write)
        mbr__lock_writing(&io->view->set, io->hold);
    return rc;
}

static inline void io_unlock(const struct mbr__io *io)
{
    struct mbr__container *c = ((struct mbr__object *)io->handle->what)->c;

    if (__builtin_expect(io->count == 0, 0))
        return;
    if (io->write)
        mbr__unlock(&io->view->set, io->hold);
    else
        mbr__unlock_read(&io->view->set, mbr__holds_at(c, c->world.self) + io->hold, io->first,
                         io->count);
    give_hold(c, io->hold);
}

int mbr__io_lock(struct mbr__handle *h, size_t offset, size_t size, bool write, uint64_t deadline,
                 struct mbr__io *io)
{
    io->handle = h;
    return io_lock(h, offset, size, write, deadline, io);
}

void mbr__io_unlock(struct mbr__io *io)
{
    io_unlock(io);
}

int mbr__io_begin(int object, size_t offset, size_t size, bool write, uint64_t deadline,
                  struct mbr__io *io)
{
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc < 0)
        return rc;
    rc = mbr__io_lock(h, offset, size, write, deadline, io);
    if (rc < 0)
        mbr__handle_exit(h);
    return rc;
}

void mbr__io_end(struct mbr__io *io)
{
    io_unlock(io);
    mbr__handle_exit(io->handle);
}

/* ---- copying --------------------------------------------------------------------------------- */

int mbr_object_write_until(int object, size_t offset, const void *buf, size_t size,
                           uint64_t deadline_ns)
{
    struct mbr__io io;
    int rc;

    if (buf == NULL && size != 0)
        return -EINVAL;
    rc = mbr__io_begin(object, offset, size, true, deadline_ns, &io);
    if (rc < 0)
        return rc;
    if (size != 0)
        memcpy(io.bytes, buf, size);
    mbr__io_end(&io);
    return 0;
}

int mbr_object_read_until(int object, size_t offset, void *buf, size_t size, uint64_t deadline_ns)
{
    struct mbr__io io;
    int rc;

    if (buf == NULL && size != 0)
        return -EINVAL;
    rc = mbr__io_begin(object, offset, size, false, deadline_ns, &io);
    if (rc < 0)
        return rc;
    if (size != 0)
        memcpy(buf, io.bytes, size);
    mbr__io_end(&io);
    return 0;
}

int mbr_object_write(int object, size_t offset, const void *buf, size_t size)
{
    return mbr_object_write_until(object, offset, buf, size, MBR_FOREVER);
}

int mbr_object_read(int object, size_t offset, void *buf, size_t size)
{
    return mbr_object_read_until(object, offset, buf, size, MBR_FOREVER);
}

/* ---- direct access --------------------------------------------------------------------------- */

/* In the slot of an access's number. word: MBR__OPEN, or ACCESS_BUSY while one thread has it. */
struct access {
    uint32_t word;
    uint32_t id;
    struct mbr__io io;
};
static_assert(sizeof(struct access) <= MBR__IDS_SLOT, "fits into its slot");

#define ACCESS_BUSY 1u

static inline struct mbr__ids *accesses_of_process(void)
{
    return &mbr_load_relaxed(&mbr__process_state)->ids[MBR__KIND_ACCESS];
}

/* A number for an access to come; from now on whoever closes the object's number sees it. */
static inline int new_access(struct mbr__handle *h, struct access **out)
{
    struct mbr__container *c = ((struct mbr__object *)h->what)->c;
    struct access *a = NULL;
    void *slot = NULL;
    uint32_t id = 0;
    int rc;

    if (__builtin_expect(mbr_fetch_add(&c->accesses, 1) >= MBR_ACCESS_MAX, 0)) {
        (void)mbr_fetch_add(&c->accesses, UINT32_MAX);
        return -EMFILE;
    }
    rc = mbr__ids_take(accesses_of_process(), &id, &slot);
    if (__builtin_expect(rc < 0, 0)) {
        (void)mbr_fetch_add(&c->accesses, UINT32_MAX);
        return rc;
    }
    a = slot;
    a->id = id;
    mbr_store_relaxed(&a->io.handle, h);
    mbr_store_release(&a->word, ACCESS_BUSY);
    *out = a;
    return 0;
}

static inline void free_access(struct access *a, struct mbr__handle *h)
{
    struct mbr__container *c = ((struct mbr__object *)h->what)->c;
    uint32_t id = a->id;

    mbr_store_release(&a->word, 0);
    mbr__ids_give(accesses_of_process(), id);
    (void)mbr_fetch_add(&c->accesses, UINT32_MAX);
    mbr__handle_exit(h);
}

/* The object's number was given back while we got access through it. */
static __attribute__((noinline)) int too_late(struct access *a, struct mbr__handle *h, int rc)
{
    if (rc == 0)
        io_unlock(&a->io);
    free_access(a, h);
    return rc == 0 ? -EBADF : rc;
}

static inline int access_region(int object, size_t offset, size_t size, bool write,
                                uint64_t deadline, char **buf)
{
    struct mbr__handle *h = NULL;
    struct access *a = NULL;
    int rc;

    if (__builtin_expect(buf == NULL, 0))
        return -EINVAL;
    rc = mbr__handle_enter(MBR__KIND_OBJECT, object, &h);
    if (__builtin_expect(rc < 0, 0))
        return rc;
    rc = new_access(h, &a);
    if (__builtin_expect(rc < 0, 0)) {
        mbr__handle_exit(h);
        return rc;
    }
    rc = io_lock(h, offset, size, write, deadline, &a->io);
    /* Pair B, by the fence in the lock: either we see that the number is being given back, or who
     * does that sees our access and waits for what becomes of it. */
    if (__builtin_expect(rc < 0 || (mbr_load_acquire(&h->word) & MBR__OPEN) == 0, 0))
        return too_late(a, h, rc);
    *buf = (char *)a->io.bytes;
    rc = (int)a->id;
    mbr_store_release(&a->word, MBR__OPEN);
    return rc;
}

int mbr_object_get_until(int object, size_t offset, size_t size, char **buf, uint64_t deadline_ns)
{
    return access_region(object, offset, size, false, deadline_ns, buf);
}

int mbr_object_get(int object, size_t offset, size_t size, char **buf)
{
    return access_region(object, offset, size, false, MBR_FOREVER, buf);
}

int mbr_object_edit_until(int object, size_t offset, size_t size, char **buf, uint64_t deadline_ns)
{
    return access_region(object, offset, size, true, deadline_ns, buf);
}

int mbr_object_edit(int object, size_t offset, size_t size, char **buf)
{
    return mbr_object_edit_until(object, offset, size, buf, MBR_FOREVER);
}

/* Makes an open access ours; false if it is not open. */
static inline bool seize(struct access *a)
{
    uint32_t open = MBR__OPEN;

    return mbr_cas(&a->word, &open, ACCESS_BUSY); /* pair C with access_region() */
}

static inline void end_access(struct access *a)
{
    struct mbr__handle *h = a->io.handle;

    io_unlock(&a->io);
    free_access(a, h);
}

int mbr_object_put(int access)
{
    struct mbr__process *p = mbr_load_acquire(&mbr__process_state);
    struct access *a = NULL;

    if (__builtin_expect(p == NULL || p->mark != mbr__fork_mark(), 0))
        return mbr__handle_missing(MBR__KIND_ACCESS, access);
    a = mbr__ids_at(&p->ids[MBR__KIND_ACCESS], access);
    if (__builtin_expect(a == NULL || !seize(a), 0))
        return mbr__handle_missing(MBR__KIND_ACCESS, access);
    end_access(a);
    return 0;
}

void mbr__io_end_accesses(struct mbr__process *p, struct mbr__handle *h)
{
    struct mbr__ids *ids = &p->ids[MBR__KIND_ACCESS];

    for (uint32_t w = 0; w < ids->limit / 64; w++) {
        uint64_t taken = mbr_load_acquire(&ids->leaf[w]);

        for (; taken != 0; taken &= taken - 1) {
            struct access *a = mbr__ids_at(ids, (int)(w * 64 + (uint32_t)__builtin_ctzll(taken)));

            if (a != NULL && mbr_load_relaxed(&a->io.handle) == h && seize(a)) {
                /* It may have become another's between the look and the seizure. */
                if (a->io.handle == h)
                    end_access(a);
                else
                    mbr_store_release(&a->word, MBR__OPEN);
            }
        }
    }
}

int mbr_object_repair(int object, size_t offset, size_t size)
{
    struct mbr__handle *h = NULL;
    struct mbr__object *o = NULL;
    struct mbr__view *v = NULL;
    int rc = mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc < 0)
        return rc;
    o = h->what;
    if (!in_range(offset, size, mbr_load_relaxed(&o->entry->size)))
        rc = -ERANGE;
    else
        rc = mbr__object_view(o, (uint64_t)offset + size, &v);
    if (rc == 0 && size != 0)
        (void)mbr__lock_repair(&v->set, (uint32_t)(offset / MBR_OBJECT_BLOCK),
                               (uint32_t)((offset + size - 1) / MBR_OBJECT_BLOCK) -
                                   (uint32_t)(offset / MBR_OBJECT_BLOCK) + 1);
    mbr__handle_exit(h);
    return rc;
}
