/* SPDX-License-Identifier: MIT */
/*
 * See io.h. The path of mbr_object_get() and mbr_object_put() is straight: each step is a few
 * instructions, what rarely happens is out of line.
 */
#include "object/io.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "object/persist.h"
#include "object/version.h"

/* Accesses with numbers below this can be got the short way: the first word of the numbers. */
#define MBR__QUICK     64u
#define HOLDS_PER_PAGE (MBR__OBJ_PAGE / sizeof(struct mbr__hold))

/* ---- holds ----------------------------------------------------------------------------------- */

/* A number that no other thread of this process has; 0 not yet. */
static __thread uint32_t thread_number __attribute__((tls_model("initial-exec")));

static void name_thread(void)
{
    static uint32_t last;

    while (thread_number == 0)
        thread_number = mbr_fetch_add(&last, 1) + 1;
}

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

/* Makes a hold ready for use. */
static int prepare_hold(struct mbr__container *c, uint32_t hold)
{
    int rc = hold < mbr_load_relaxed(&mbr__member_at(c, c->world.self)->holds)
                 ? 0
                 : extend_holds(c, hold);

    if (rc < 0)
        return rc;
    name_thread();
    mbr_store_relaxed(&c->own_holds[hold].thread, thread_number);
    return 0;
}

static int take_odd(struct mbr__container *c, uint32_t *out)
{
    for (uint32_t w = 0; w < MBR__OBJ_HOLDS / 2 / 64; w++) {
        uint64_t seen = mbr_load_relaxed(&c->holds[w]);

        while (seen != UINT64_MAX) {
            uint32_t b = (uint32_t)__builtin_ctzll(~seen);

            if (!mbr_cas(&c->holds[w], &seen, seen | UINT64_C(1) << b))
                continue;
            *out = 2 * (w * 64 + b) + 1;
            return 0;
        }
    }
    return -EMFILE;
}

static void give_hold(struct mbr__container *c, uint32_t hold)
{
    if (hold % 2 != 0)
        (void)mbr_fetch_and(&c->holds[hold / 2 / 64], ~(UINT64_C(1) << hold / 2 % 64));
}

static int new_hold(struct mbr__container *c, uint32_t *out)
{
    uint32_t hold = 0;
    int rc = take_odd(c, &hold);

    if (rc < 0)
        return rc;
    rc = prepare_hold(c, hold);
    if (rc < 0)
        give_hold(c, hold);
    else
        *out = hold;
    return rc;
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

static int lock_region(struct mbr__object *o, const struct mbr__io *io, uint64_t offset,
                       uint64_t deadline)
{
    struct mbr__container *c = o->c;
    int rc;

    if (io->write)
        rc = lock_write(o, io, offset, deadline);
    else
        rc = mbr__lock_read_inline(&io->view->set, &c->own_holds[io->hold], io->hold, io->first,
                                   io->count, deadline);
    if (rc < 0)
        return rc;
    /* It may have become smaller before we had the blocks; from now on it cannot. */
    if (__builtin_expect(!in_range(offset, io->size, mbr_load_relaxed(&o->entry->size)), 0)) {
        mbr__unlock(&io->view->set, io->hold);
        return -ERANGE;
    }
    return 0;
}

#define ANY_HOLD UINT32_MAX

static const enum mbr__persist_want wanted[] = {[MBR__IO_READ] = MBR__WANT_BYTES,
                                                [MBR__IO_LOOK] = MBR__WANT_AS_THEY_ARE,
                                                [MBR__IO_EDIT] = MBR__WANT_BYTES,
                                                [MBR__IO_WRITE] = MBR__WANT_TO_WRITE};

/* io->handle is the caller's to set, and io->hold, if it is not ANY_HOLD. */
static int io_lock(struct mbr__handle *h, uint64_t offset, size_t size, enum mbr__io_how how,
                   uint64_t deadline, struct mbr__io *io)
{
    struct mbr__object *o = h->what;
    bool write = how == MBR__IO_EDIT || how == MBR__IO_WRITE;
    int rc;

    if (__builtin_expect(o->versions != NULL, 0))
        return write ? -EOPNOTSUPP : mbr__version_get(o, offset, size, io);
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
    rc = mbr__persist_bring(o, io->view, offset, size, wanted[how], deadline);
    if (__builtin_expect(rc < 0, 0))
        return rc;
    rc = io->hold == ANY_HOLD ? new_hold(o->c, &io->hold) : prepare_hold(o->c, io->hold);
    if (__builtin_expect(rc < 0, 0))
        return rc;
    rc = lock_region(o, io, offset, deadline);
    if (__builtin_expect(rc < 0, 0))
        give_hold(o->c, io->hold);
    else if (write)
        mbr__lock_writing(&io->view->set, io->hold);
    return rc;
}

static void io_unlock(const struct mbr__io *io)
{
    struct mbr__object *o = io->handle->what;
    struct mbr__container *c = o->c;

    if (__builtin_expect(io->count == 0, 0))
        return;
    if (__builtin_expect(o->versions != NULL, 0)) {
        mbr__version_put(o, io);
        return;
    }
    if (io->write)
        mbr__unlock(&io->view->set, io->hold);
    else
        mbr__unlock_read(&io->view->set, &c->own_holds[io->hold], io->first, io->count);
    give_hold(c, io->hold);
}

int mbr__io_lock(struct mbr__handle *h, size_t offset, size_t size, enum mbr__io_how how,
                 uint64_t deadline, struct mbr__io *io)
{
    io->handle = h;
    io->hold = ANY_HOLD;
    return io_lock(h, offset, size, how, deadline, io);
}

void mbr__io_unlock(struct mbr__io *io)
{
    io_unlock(io);
}

/* ---- copying --------------------------------------------------------------------------------- */

static int io_write(struct mbr__handle *h, size_t offset, const void *buf, size_t size,
                    uint64_t deadline)
{
    struct mbr__object *o = h->what;
    struct mbr__io io;
    int rc;

    if (o->versions != NULL)
        return mbr__version_write(o, offset, buf, size, deadline);
    rc = mbr__io_lock(h, offset, size, MBR__IO_WRITE, deadline, &io);
    if (rc < 0)
        return rc;
    mbr__view_touch(io.view, offset, size);
    if (size != 0)
        memcpy(io.bytes, buf, size);
    io_unlock(&io);
    return 0;
}

static int io_read(struct mbr__handle *h, size_t offset, void *buf, size_t size, uint64_t deadline)
{
    struct mbr__object *o = h->what;
    struct mbr__io io;
    int rc;

    if (o->versions != NULL)
        return mbr__version_read(o, offset, buf, size);
    rc = mbr__io_lock(h, offset, size, MBR__IO_READ, deadline, &io);
    if (rc < 0)
        return rc;
    mbr__view_touch(io.view, offset, size);
    if (size != 0)
        memcpy(buf, io.bytes, size);
    io_unlock(&io);
    return 0;
}

int mbr_object_write_until(int object, size_t offset, const void *buf, size_t size,
                           uint64_t deadline_ns)
{
    struct mbr__handle *h = NULL;
    int rc = buf == NULL && size != 0 ? -EINVAL : mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc < 0)
        return rc;
    rc = io_write(h, offset, buf, size, deadline_ns);
    mbr__handle_exit(h);
    return rc;
}

int mbr_object_read_until(int object, size_t offset, void *buf, size_t size, uint64_t deadline_ns)
{
    struct mbr__handle *h = NULL;
    int rc = buf == NULL && size != 0 ? -EINVAL : mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc < 0)
        return rc;
    rc = io_read(h, offset, buf, size, deadline_ns);
    mbr__handle_exit(h);
    return rc;
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

/*
 * In the slot of an access's number. word says how it was got: the short way, of which lock, hold,
 * view and handle are known; or the long way, of which io is.
 */
struct access {
    uint32_t word;
    uint32_t id; /* of the first ones from open_short_way() on */
    struct mbr__block_lock *lock;
    struct mbr__hold *hold;
    struct mbr__view *view;
    struct mbr__handle *handle;
    struct mbr__io io;
};
static_assert(sizeof(struct access) <= MBR__IDS_SLOT, "fits into its slot");

#define ACCESS_BUSY  1u /* one thread has it */
#define ACCESS_SHORT MBR__OPEN
#define ACCESS_LONG  (MBR__OPEN + 2u)

static struct mbr__container *container_of(const struct mbr__handle *h)
{
    return ((struct mbr__object *)h->what)->c;
}

static inline struct mbr__ids *accesses_of(struct mbr__process *p)
{
    return &p->ids[MBR__KIND_ACCESS];
}

/* Whether one access more is allowed that has not a hold of its own number: those that have are
 * counted by their holds. */
static bool count_one_more(struct mbr__container *c)
{
    uint32_t open = mbr_fetch_add(&c->more_accesses, 1);
    uint32_t holds = mbr_load_relaxed(&mbr__member_at(c, c->world.self)->holds);

    for (uint32_t i = 0; i < MBR_ACCESS_MAX && 2 * i < holds; i++)
        open += mbr_load_relaxed(&c->own_holds[2 * (size_t)i].what) != 0;
    if (open < MBR_ACCESS_MAX)
        return true;
    (void)mbr_fetch_add(&c->more_accesses, UINT32_MAX);
    return false;
}

static int new_access(struct mbr__process *p, struct mbr__handle *h, struct access **out,
                      uint32_t *out_id)
{
    struct access *a = NULL;
    void *slot = NULL;
    uint32_t id = 0;
    int rc = mbr__ids_take(accesses_of(p), &id, &slot);

    if (rc < 0)
        return rc;
    if (id >= MBR_ACCESS_MAX && !count_one_more(container_of(h))) {
        mbr__ids_give(accesses_of(p), id);
        return -EMFILE;
    }
    a = slot;
    a->io.handle = h;
    a->io.hold = id < MBR_ACCESS_MAX ? 2 * id : ANY_HOLD;
    mbr_store_relaxed(&a->handle, h);
    *out = a;
    *out_id = id;
    return 0;
}

static void free_access(struct mbr__process *p, struct access *a, uint32_t id)
{
    if (id >= MBR_ACCESS_MAX)
        (void)mbr_fetch_add(&container_of(a->handle)->more_accesses, UINT32_MAX);
    mbr_store_release(&a->word, 0);
    mbr__ids_give(accesses_of(p), id);
}

/* From now on the short way leads to what this view shows, as soon as the holds for it are there.
 */
static void open_short_way(struct mbr__process *p, struct mbr__container *c, struct mbr__view *v)
{
    if (mbr_load_relaxed(&v->quick) != 0 || extend_holds(c, 2 * MBR__QUICK - 2) < 0)
        return;
    for (uint32_t i = 0; i < MBR__QUICK; i++) {
        struct access *a = mbr__ids_at(accesses_of(p), (int)i);

        mbr_store_relaxed(&a->id, i);
    }
    mbr_store_release(&v->quick, v->capacity); /* pair A with get() */
}

/* The long way, for whatever the short one does not do. We are inside. */
static int get_inside(struct mbr__process *p, struct mbr__handle *h, size_t offset, size_t size,
                      bool write, uint64_t deadline, char **buf)
{
    struct access *a = NULL;
    uint32_t id = 0;
    int rc = new_access(p, h, &a, &id);

    if (rc == 0) {
        rc = io_lock(h, offset, size, write ? MBR__IO_EDIT : MBR__IO_READ, deadline, &a->io);
        if (rc < 0)
            free_access(p, a, id);
    }
    if (rc < 0) {
        mbr__handle_exit(h);
        return rc;
    }
    if (a->io.view != NULL) /* else it is versioned */
        open_short_way(p, container_of(h), a->io.view);
    *buf = (char *)a->io.bytes;
    mbr_store_release(&a->word, ACCESS_LONG); /* pair C with seize() */
    return (int)id;
}

/* The block of a lock. */
static uint32_t block_of(const struct mbr__view *v, const struct mbr__block_lock *l)
{
    ptrdiff_t near = l - v->set.near;

    return near >= 0 && near < (ptrdiff_t)MBR__OBJ_NEAR_LOCKS
               ? (uint32_t)near
               : (uint32_t)(l - v->set.far) + MBR__OBJ_NEAR_LOCKS;
}

/* Whether a reader that has said so is in: its bit is set, no writer there, the block sound. */
static inline bool is_in(const struct mbr__view *v, const struct mbr__block_lock *l)
{
    /* Pair A with the next writer, who takes the word before it clears this. */
    uint32_t taken = mbr_load_acquire(&l->next);

    /* Pair A with a writer's release of the word: what it wrote is seen. */
    taken |= mbr_load_acquire(&l->writer);
    return (taken | mbr_load_relaxed(&l->torn)) == 0 &&
           (mbr_load_relaxed((const uint64_t *)(const void *)((const char *)l + v->reader_at)) &
            v->reader_bit) != 0;
}

/* Whether a region lies in one block; `size` is not 0 then. */
static inline bool in_one_block(size_t offset, size_t size)
{
    return size - 1 < MBR_OBJECT_BLOCK - offset % MBR_OBJECT_BLOCK;
}

/* Takes a number whose hold is ready for use; NULL: the long way makes one. */
static inline struct access *take_ready(struct mbr__process *p, const struct mbr__container *c,
                                        uint32_t *id)
{
    void *slot = NULL;

    if (mbr__ids_take(accesses_of(p), id, &slot) < 0)
        return NULL;
    if (*id < MBR_ACCESS_MAX &&
        2 * *id < mbr_load_relaxed(&mbr__member_at(c, c->world.self)->holds))
        return slot;
    mbr__ids_give(accesses_of(p), *id);
    return NULL;
}

/* Says that the access reads the block of `offset`; whether it is in. */
static inline bool state_hold(struct access *a, struct mbr__handle *h, struct mbr__view *v,
                              uint32_t id, size_t offset)
{
    struct mbr__hold *hold = &v->own_holds[2 * (size_t)id];
    struct mbr__block_lock *l = mbr__lock_of(&v->set, (uint32_t)(offset / MBR_OBJECT_BLOCK));

    a->id = id;
    a->lock = l;
    a->hold = hold;
    a->view = v;
    mbr_store_relaxed(&a->handle, h);
    mbr_store_relaxed(&hold->thread, thread_number);
    mbr_store_release(&hold->what, v->hold_of_one | offset / MBR_OBJECT_BLOCK); /* pair B */
    mbr_fence_full(); /* pair B as in get() */
    return is_in(v, l);
}

/*
 * The short way with any number of an object and any of an access: a little longer than get(),
 * which leaves to it what it cannot do with the first ones. We are inside, and the region lies in
 * one block, the last byte of which is at `last`.
 */
static __attribute__((noinline)) int get_far(struct mbr__process *p, struct mbr__handle *h,
                                             size_t offset, size_t last, char **buf,
                                             uint64_t deadline)
{
    struct mbr__object *o = h->what;
    struct mbr__view *v = mbr_load_acquire(&o->view); /* pair A with its making */
    struct access *a = NULL;
    uint32_t id = 0;

    if (last < mbr_load_acquire(&v->quick) && thread_number != 0)
        a = take_ready(p, o->c, &id);
    if (a == NULL)
        return get_inside(p, h, offset, last - offset + 1, false, deadline, buf);
    if (__builtin_expect(!state_hold(a, h, v, id, offset) || last >= mbr_load_relaxed(v->size),
                         0)) {
        mbr__unlock_read(&v->set, a->hold, block_of(v, a->lock), 1);
        mbr__ids_give(accesses_of(p), id);
        return get_inside(p, h, offset, last - offset + 1, false, deadline, buf);
    }
    *buf = (char *)v->data + offset;
    mbr_store_release(&a->word, ACCESS_SHORT); /* pair C with seize() */
    return (int)id;
}

static __attribute__((noinline)) int get_slow(int object, size_t offset, size_t size, char **buf,
                                              uint64_t deadline, bool write)
{
    struct mbr__handle *h = NULL;
    int rc = buf == NULL ? -EINVAL : mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc < 0)
        return rc;
    if (!write && in_one_block(offset, size))
        return get_far(mbr__process_own(), h, offset, offset + size - 1, buf, deadline);
    return get_inside(mbr__process_own(), h, offset, size, write, deadline, buf);
}

int mbr_object_edit_until(int object, size_t offset, size_t size, char **buf, uint64_t deadline_ns)
{
    return get_slow(object, offset, size, buf, deadline_ns, true);
}

int mbr_object_edit(int object, size_t offset, size_t size, char **buf)
{
    return get_slow(object, offset, size, buf, MBR_FOREVER, true);
}

/* We have gone inside of a number that is not open. */
static __attribute__((noinline)) int get_shut(struct mbr__handle *h, int object)
{
    mbr__handle_exit(h);
    return mbr__handle_missing(MBR__KIND_OBJECT, object);
}

/* The short way came to a block that is not free, or to the end of the object: undoes it, and goes
 * the long one. */
static __attribute__((noinline)) int get_again(struct access *a, size_t offset, size_t last,
                                               char **buf, uint64_t deadline)
{
    struct mbr__process *p = mbr__process_own();
    struct mbr__handle *h = a->handle;

    mbr__unlock_read(&a->view->set, a->hold, block_of(a->view, a->lock), 1);
    mbr__ids_give(accesses_of(p), a->id);
    return get_inside(p, h, offset, last - offset + 1, false, deadline, buf);
}

/*
 * The short way: a region inside one block that nobody writes, with one of the first numbers of
 * accesses. It is
 * written for few instructions: it calls nothing, keeps little at a time, so it saves (nearly) no
 * registers, and before it has a number of its own there is nothing to undo but being inside.
 */
static inline __attribute__((always_inline)) int get(int object, size_t offset, size_t size,
                                                     char **buf, uint64_t deadline)
{
    struct mbr__process *p = mbr_load_acquire(&mbr__process_quick);
    size_t last = offset + size - 1;
    uint32_t thread;
    uint64_t seen;
    uint64_t bit;
    uint64_t id;
    struct mbr__handle *h;
    struct mbr__view *v;
    struct mbr__block_lock *l;
    struct mbr__hold *hold;
    struct access *a;

    if (__builtin_expect(
            mbr_load_relaxed(p->page) != p->mark || buf == NULL || !in_one_block(offset, size), 0))
        return get_slow(object, offset, size, buf, deadline, false);
    h = mbr__ids_at(&p->ids[MBR__KIND_OBJECT], object);
    if (__builtin_expect(h == NULL, 0))
        return get_slow(object, offset, size, buf, deadline, false);
    if (__builtin_expect((int32_t)(mbr_fetch_add(&h->word, 1) + 1) >= 0, 0))
        return get_shut(h, object);
    v = mbr_load_acquire(&((struct mbr__object *)h->what)->view); /* pair A with its making */
    seen = mbr_load_relaxed(&accesses_of(p)->leaf[0]);
    if (__builtin_expect(last >= mbr_load_acquire(&v->quick) || seen == UINT64_MAX, 0))
        return get_far(p, h, offset, last, buf, deadline);
    id = (uint64_t)__builtin_ctzll(~seen) & 63;
    __asm__("" : "+r"(id)); /* else the compiler keeps several copies of it, of different widths */
    bit = UINT64_C(1) << id;
    if (__builtin_expect((mbr_fetch_or(&accesses_of(p)->leaf[0], bit) & bit) != 0, 0))
        return get_far(p, h, offset, last, buf, deadline); /* another thread was faster */
    a = (struct access *)(void *)(accesses_of(p)->first + MBR__IDS_SLOT * id);
    hold = &v->own_holds[2 * id];
    l = mbr__lock_of(&v->set, (uint32_t)(offset / MBR_OBJECT_BLOCK));
    a->lock = l;
    a->hold = hold;
    a->view = v;
    mbr_store_relaxed(&a->handle, h);
    thread = thread_number;
    mbr_store_relaxed(&hold->thread, thread);
    /* Pair B with a writer that takes the word and then looks at the holds: either we see the word
     * or it sees the hold. */
    mbr_store_release(&hold->what, v->hold_of_one | offset / MBR_OBJECT_BLOCK);
    mbr_fence_full();
    if (__builtin_expect(!is_in(v, l) || last >= mbr_load_relaxed(v->size) || thread == 0, 0))
        return get_again(a, offset, last, buf, deadline);
    *buf = (char *)v->data + offset;
    mbr_store_release(&a->word, ACCESS_SHORT); /* pair C with seizing it */
    return (int)a->id;
}

int mbr_object_get_until(int object, size_t offset, size_t size, char **buf, uint64_t deadline_ns)
{
    return get(object, offset, size, buf, deadline_ns);
}

int mbr_object_get(int object, size_t offset, size_t size, char **buf)
{
    return get(object, offset, size, buf, MBR_FOREVER);
}

/* Makes an open access ours, and says how it was got; 0 if it is not open. */
static uint32_t seize(struct access *a)
{
    uint32_t word = mbr_load_acquire(&a->word);

    while ((word & MBR__OPEN) != 0) {
        if (mbr_cas(&a->word, &word, ACCESS_BUSY)) /* pair C with its opening */
            return word;
    }
    return 0;
}

/* Ends an access that we have seized, and that was got that way. */
static void end_access(struct mbr__process *p, struct access *a, uint32_t id, uint32_t way)
{
    struct mbr__handle *h = a->handle;

    if (way == ACCESS_SHORT)
        mbr__unlock_read(&a->view->set, a->hold, block_of(a->view, a->lock), 1);
    else
        io_unlock(&a->io);
    free_access(p, a, id);
    mbr__handle_exit(h);
}

static __attribute__((noinline)) int put_slow(int access)
{
    struct mbr__process *p = mbr__process_own();
    struct access *a = p == NULL ? NULL : mbr__ids_at(accesses_of(p), access);
    uint32_t way = a == NULL ? 0 : seize(a);

    if (way == 0)
        return mbr__handle_missing(MBR__KIND_ACCESS, access);
    end_access(p, a, (uint32_t)access, way);
    return 0;
}

/* A writer waits for us, the hold is given back already: doing that again wakes it. */
static __attribute__((noinline)) int put_waking(struct mbr__process *p, struct access *a,
                                                int access)
{
    end_access(p, a, (uint32_t)access, ACCESS_SHORT);
    return 0;
}

static __attribute__((noinline)) int put_closing(struct mbr__handle *h)
{
    mbr__handle_wake(h);
    return 0;
}

/* The short way back for numbers that are not among the first. */
static __attribute__((noinline)) int put_far(struct mbr__process *p, int access)
{
    struct access *a = mbr__ids_at(accesses_of(p), access);
    uint32_t word = ACCESS_SHORT;
    struct mbr__handle *h;

    if (a == NULL || !mbr_cas(&a->word, &word, ACCESS_BUSY)) /* pair C with its opening */
        return put_slow(access);
    h = a->handle;
    mbr_store_release(&a->hold->what, 0); /* pairs A and B as in mbr_object_put() */
    mbr_fence_full();
    if (__builtin_expect(mbr_load_relaxed(&a->lock->waiters) & MBR__WAITS_WRITER, 0))
        return put_waking(p, a, access);
    mbr_store_release(&a->word, 0);
    mbr__ids_give(accesses_of(p), (uint32_t)access);
    return __builtin_expect(mbr__handle_exits(h), 0) ? put_closing(h) : 0;
}

/* The short way back, for those that came by it. */
int mbr_object_put(int access)
{
    struct mbr__process *p = mbr_load_acquire(&mbr__process_quick);
    uint32_t word = ACCESS_SHORT;
    struct mbr__handle *h = NULL;
    struct access *a = NULL;

    if (__builtin_expect(mbr_load_relaxed(p->page) != p->mark, 0))
        return put_slow(access);
    if (__builtin_expect((uint32_t)access >= MBR__QUICK, 0))
        return put_far(p, access);
    a = (struct access *)(void *)(accesses_of(p)->first + MBR__IDS_SLOT * (uint32_t)access);
    if (__builtin_expect(!mbr_cas(&a->word, &word, ACCESS_BUSY), 0)) /* pair C with its opening */
        return put_slow(access);
    h = a->handle;
    /* Pair A with a writer's look at the hold: our reading was before its writing. Pair B with a
     * writer that says it waits and then looks at the hold. */
    mbr_store_release(&a->hold->what, 0);
    mbr_fence_full();
    if (__builtin_expect(mbr_load_relaxed(&a->lock->waiters) & MBR__WAITS_WRITER, 0))
        return put_waking(p, a, access);
    mbr_store_release(&a->word, 0);
    /* As mbr__ids_give(): clears the number's bit, which is set. */
    (void)mbr_fetch_add(&accesses_of(p)->leaf[0], UINT64_MAX << access);
    return __builtin_expect(mbr__handle_exits(h), 0) ? put_closing(h) : 0;
}

void mbr__io_end_accesses(struct mbr__process *p, struct mbr__handle *h)
{
    struct mbr__ids *ids = accesses_of(p);

    for (uint32_t w = 0; w < ids->limit / 64; w++) {
        uint64_t taken = mbr_load_acquire(&ids->leaf[w]);

        for (; taken != 0; taken &= taken - 1) {
            uint32_t id = w * 64 + (uint32_t)__builtin_ctzll(taken);
            struct access *a = mbr__ids_at(ids, (int)id);
            uint32_t way = a == NULL || mbr_load_relaxed(&a->handle) != h ? 0 : seize(a);

            /* It may have become another's between the look and the seizure. */
            if (way != 0 && a->handle == h)
                end_access(p, a, id, way);
            else if (way != 0)
                mbr_store_release(&a->word, way);
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
