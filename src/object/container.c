/* SPDX-License-Identifier: MIT */
/* See container.h: the memory of a container and the lock of its tables. What programs call is in
 * container_api.c. */
#define _GNU_SOURCE
#include "object/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "object/futex.h"
#include "object/member.h"
#include "object/persist.h"
#include "object/table.h"

/* fallocate() gives back everything when a signal interrupts it; in pieces a program with a busy
 * timer gets on all the same. */
#define PIECE (UINT64_C(4) << 20)

#define NS_PER_S UINT64_C(1000000000)

/* ---- memory ---------------------------------------------------------------------------------- */

int mbr__container_allocate(const struct mbr__container *c, uint64_t offset, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        uint64_t n = size - done < PIECE ? size - done : PIECE;

        if (fallocate(c->fd, FALLOC_FL_KEEP_SIZE, (off_t)(offset + done), (off_t)n) == 0)
            done += n;
        else if (errno != EINTR)
            return errno == ENOSPC || errno == ENOMEM ? -errno : -ENOMEM;
    }
    return 0;
}

void mbr__container_punch(const struct mbr__container *c, uint64_t offset, uint64_t size)
{
    while (size != 0 &&
           fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)size) != 0 &&
           errno == EINTR)
        ;
}

int mbr__container_map(const struct mbr__container *c, uint64_t offset, uint64_t size,
                       uint8_t **out)
{
    void *at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, c->fd, (off_t)offset);

    if (at == MAP_FAILED)
        return -ENOMEM;
    if (madvise(at, size, MADV_DONTFORK) < 0) {
        (void)munmap(at, size);
        return -ENOMEM;
    }
    *out = at;
    return 0;
}

/* ---- the lock of the tables ------------------------------------------------------------------ */

#if defined(MBR__TSAN)
/* Whose run-time does not know pthread_mutex_clocklock(), and takes the unlocking for a fault. */
static int lock_until(pthread_mutex_t *m, uint64_t deadline)
{
    int r;

    while ((r = pthread_mutex_trylock(m)) == EBUSY && mbr__now_ns() < deadline)
        (void)sched_yield();
    return r;
}
#else
static int lock_until(pthread_mutex_t *m, uint64_t deadline)
{
    struct timespec at = {.tv_sec = (time_t)(deadline / NS_PER_S),
                          .tv_nsec = (long)(deadline % NS_PER_S)};

    return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &at);
}
#endif

int mbr__container_lock_own(pthread_mutex_t *m, uint64_t deadline)
{
    if (pthread_mutex_trylock(m) == 0)
        return 0;
    if (deadline == MBR_FOREVER)
        return -pthread_mutex_lock(m);
    return lock_until(m, deadline) == 0 ? 0 : -ETIMEDOUT;
}

int mbr__container_lock(struct mbr__container *c, uint64_t deadline)
{
    uint32_t dead = 0;
    int rc = mbr__container_lock_own(&c->lock, deadline);

    if (rc < 0)
        return rc;
    rc = mbr__shm_lock(&c->world, &c->shm->mutex, deadline, &dead);
    if (rc == -EOWNERDEAD) {
        mbr__table_mend(c, dead);
        mbr__persist_mend(c);
        rc = 0;
    }
    if (rc < 0)
        (void)pthread_mutex_unlock(&c->lock);
    return rc;
}

void mbr__container_unlock(struct mbr__container *c)
{
    mbr__shm_unlock(&c->world, &c->shm->mutex);
    (void)pthread_mutex_unlock(&c->lock);
}

void mbr__container_changed(struct mbr__container *c)
{
    (void)mbr_fetch_add(&c->shm->changes, 1);
    mbr_fence_full(); /* pair B with mbr__container_await() */
    if (mbr_load_relaxed(&c->shm->changes_awaited) == 0)
        return;
    mbr_store_relaxed(&c->shm->changes_awaited, 0);
    mbr__futex_wake(&c->shm->changes, MBR__FUTEX_ALL);
}

uint32_t mbr__container_changes(struct mbr__container *c)
{
    mbr_store_relaxed(&c->shm->changes_awaited, 1);
    mbr_fence_full(); /* pair B with mbr__container_changed() */
    return mbr_load_acquire(&c->shm->changes);
}

int mbr__container_await(struct mbr__container *c, uint32_t seen, uint64_t deadline)
{
    uint64_t now = mbr__now_ns();
    uint64_t look = now + MBR__LOCK_LOOK_NS;

    if (now >= deadline)
        return -ETIMEDOUT;
    (void)mbr__futex_wait(&c->shm->changes, seen, MBR__FUTEX_ALL,
                          look < deadline ? look : deadline);
    mbr__member_look(c, MBR__LOOK_AT);
    return 0;
}

/* ---- a container of this process ------------------------------------------------------------- */

int mbr__container_new(int fd, struct mbr__container **out)
{
    struct mbr__container *c = calloc(1, sizeof(*c));
    struct stat st;
    int rc = c == NULL ? -ENOMEM : 0;

    if (rc == 0 && fstat(fd, &st) < 0)
        rc = -errno;
    if (rc < 0) {
        free(c);
        return rc;
    }
    c->fd = fd;
    rc = mbr__container_map(c, 0, MBR__OBJ_TABLES_END, &c->tables);
    if (rc < 0) {
        free(c);
        return rc;
    }
    c->shm = (struct mbr__container_shm *)(void *)c->tables;
    c->dev = st.st_dev;
    c->ino = st.st_ino;
    c->names.dir = -1;
    c->session = -1;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_mutex_init(&c->maps, NULL);
    (void)pthread_mutex_init(&c->disk_lock, NULL);
    mbr__hash_init(&c->objects);
    mbr__list_init(&c->node);
    *out = c;
    return 0;
}

int mbr__container_furnish(struct mbr__container *c, uint32_t policy)
{
    struct mbr__container_shm *s = c->shm;
    int rc = mbr__container_allocate(c, 0, MBR__OBJ_PAGE);

    if (rc == 0)
        rc = mbr__container_allocate(c, MBR__OBJ_BUCKETS_AT, MBR__OBJ_BUCKETS * sizeof(uint32_t));
    if (rc != 0)
        return rc;
    c->id[0] = s->id[0] = mbr__random_id();
    c->id[1] = s->id[1] = mbr__random_id();
    s->uid = (uint32_t)geteuid();
    s->group = -1;
    s->policy = policy;
    s->flags = 0;
    memcpy(s->name, c->name, sizeof(c->name));
    s->version = MBR__OBJECT_VERSION;
    s->state = MBR__CONTAINER_LIVE;
    mbr_store_release(&s->magic, MBR__OBJECT_MAGIC);
    return 0;
}

void mbr__container_free(struct mbr__container *c)
{
    if (c == NULL)
        return;
    mbr__persist_end(c);
    mbr__names_close(&c->names);
    if (c->session >= 0)
        (void)close(c->session);
    mbr__hash_fini(&c->objects);
    if (c->joined != NULL)
        (void)munmap(c->joined, MBR__OBJ_JOINED_STRIDE);
    free(c->joined_free);
    (void)munmap(c->tables, MBR__OBJ_TABLES_END);
    (void)close(c->fd);
    (void)pthread_mutex_destroy(&c->lock);
    (void)pthread_mutex_destroy(&c->maps);
    (void)pthread_mutex_destroy(&c->disk_lock);
    free(c);
}
