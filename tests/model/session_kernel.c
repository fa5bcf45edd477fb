/* SPDX-License-Identifier: MIT */
/*
 * The kernel of the interleaver's world: descriptors, pipes, epoll and poll, and malloc, as far as
 * the code under test uses them. Each actor has its own descriptor table with the lowest free
 * number first, as a process has.
 *
 * What calls of these names do outside of an actor is left to the real ones (--wrap, see
 * CMakeLists.txt). Not here: src/shm (session_shm.c).
 */
#include "session_world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "queue/catmem/pipe.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KERNEL_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define KERNEL_ASAN 1
#endif
#ifdef KERNEL_ASAN
#include <sanitizer/asan_interface.h>
#define guard(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#else
#define guard(p, n)                       ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
/* Whoever uses it all the same shall notice. */
#define ASAN_POISON_MEMORY_REGION(p, n)   memset((p), 0xdb, (n) < 256 ? (n) : 256)
#endif

struct knobs knobs;

/* ---- memory: a bump arena, emptied before each schedule ---------------------------------------
 */

struct block {
    size_t size;
    struct actor *owner;
};

static uint8_t arena[ARENA_BYTES] __attribute__((aligned(64)));
static size_t arena_used;

void *arena_alloc(size_t size)
{
    void *p = arena + arena_used;

    arena_used += (size + 63) & ~(size_t)63;
    MBR_ASSERT(arena_used <= sizeof(arena));
    return p;
}

static bool in_arena(const void *p)
{
    return (const uint8_t *)p >= arena && (const uint8_t *)p < arena + sizeof(arena);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
    struct actor *a = world_self();

    if (a == NULL)
        return __real_malloc(size);
    struct block *b = arena_alloc(64 + size + 64);

    *b = (struct block){.size = size, .owner = a};
    guard((uint8_t *)b + sizeof(*b), 64 - sizeof(*b));
    guard((uint8_t *)b + 64 + size, 64);
    a->live_allocations++;
    return (uint8_t *)b + 64;
}

static struct block *block_of(void *p)
{
    return (struct block *)(void *)((uint8_t *)p - 64);
}

void *__wrap_calloc(size_t n, size_t size)
{
    if (world_self() == NULL)
        return __real_calloc(n, size);
    void *p = __wrap_malloc(n * size);

    memset(p, 0, n * size);
    return p;
}

void __wrap_free(void *p)
{
    if (p == NULL)
        return;
    if (!in_arena(p)) {
        __real_free(p);
        return;
    }
    block_of(p)->owner->live_allocations--;
    ASAN_POISON_MEMORY_REGION(p, block_of(p)->size);
}

void *__wrap_realloc(void *p, size_t size)
{
    if (world_self() == NULL)
        return __real_realloc(p, size);
    void *q = __wrap_malloc(size);

    if (p != NULL) {
        memcpy(q, p, size < block_of(p)->size ? size : block_of(p)->size);
        __wrap_free(p);
    }
    return q;
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct file pool[FILE_POOL];
static int pool_used;

struct file *file_new(enum file_kind kind)
{
    MBR_ASSERT(pool_used < FILE_POOL);
    struct file *f = &pool[pool_used++];

    *f = (struct file){.kind = kind, .refs = 1};
    if (kind == FILE_EPOLL)
        f->items = arena_alloc(EPOLL_ITEMS * sizeof(f->items[0]));
    if (kind == FILE_BOX || kind == FILE_CONN) {
        f->mail = arena_alloc(sizeof(*f->mail));
        f->mail->count = 0;
    }
    return f;
}

/* epoll forgets a file when its last descriptor is closed. */
static void leave_epolls(const struct file *f)
{
    for (int i = 0; i < pool_used; i++) {
        struct file *ep = &pool[i];

        for (int k = 0; ep->kind == FILE_EPOLL && k < ep->nitems; k++) {
            if (ep->items[k].file == f)
                ep->items[k--] = ep->items[--ep->nitems];
        }
    }
}

static void drop_letters(struct queue_of_letters *q)
{
    for (int i = 0; i < q->count; i++) {
        for (int k = 0; k < q->at[i].nfds; k++)
            file_unref(q->at[i].files[k]);
        if (q->at[i].conn != NULL)
            file_unref(q->at[i].conn);
    }
    q->count = 0;
}

void file_unref(struct file *f)
{
    if (--f->refs > 0)
        return;
    leave_epolls(f);
    if (f->mail != NULL)
        drop_letters(f->mail);
    if (f->partner != NULL)
        f->partner->partner = NULL;
    f->partner = NULL;
}

int file_install(struct file *f)
{
    struct actor *a = world_self();

    for (int fd = FIRST_FD; fd < FILES_MAX; fd++) {
        if (a->files[fd] == NULL) {
            a->files[fd] = f;
            return fd;
        }
    }
    MBR_UNREACHABLE("an actor has too many descriptors");
}

struct file *file_at(const struct actor *a, int fd)
{
    return fd < 0 || fd >= FILES_MAX ? NULL : a->files[fd];
}

int kernel_open_files(const struct actor *a)
{
    int n = 0;

    for (int fd = 0; fd < FILES_MAX; fd++)
        n += a->files[fd] != NULL;
    return n;
}

void kernel_exit(struct actor *a)
{
    for (int fd = 0; fd < FILES_MAX; fd++) {
        struct file *f = a->files[fd];

        a->files[fd] = NULL;
        if (f != NULL)
            file_unref(f);
    }
}

void kernel_reset(void)
{
    ASAN_UNPOISON_MEMORY_REGION(arena, arena_used);
    arena_used = 0;
    pool_used = 0;
    memset(&knobs, 0, sizeof(knobs));
}

/* ---- descriptors' calls ---------------------------------------------------------------------- */

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_fcntl(int fd, int command, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_pipe2(int ends[2], int flags);
ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __wrap_read(int fd, void *to, size_t n);
ssize_t __real_write(int fd, const void *from, size_t n);
ssize_t __wrap_write(int fd, const void *from, size_t n);

int __wrap_close(int fd)
{
    struct actor *a = world_self();

    if (a == NULL)
        return __real_close(fd);
    struct file *f = file_at(a, fd);

    if (f == NULL) {
        world_violation("%s closes descriptor %d, which is not open", a->name, fd);
        errno = EBADF;
        return -1;
    }
    a->files[fd] = NULL;
    file_unref(f);
    return 0;
}

/* Only F_DUPFD_CLOEXEC. */
int __wrap_fcntl(int fd, int command, ...)
{
    struct file *f = file_at(world_self(), fd);

    MBR_ASSERT(command == F_DUPFD_CLOEXEC && f != NULL);
    f->refs++;
    return file_install(f);
}

static struct file *pipe_file(struct pipe_node *node)
{
    struct file *f = file_new(FILE_PIPE);

    f->pipe = node;
    return f;
}

int __wrap_pipe2(int ends[2], int flags)
{
    struct pipe_node *node = arena_alloc(sizeof(*node));

    (void)flags;
    *node = (struct pipe_node){.count = 0};
    ends[0] = file_install(pipe_file(node));
    ends[1] = file_install(pipe_file(node));
    return 0;
}

/* A pipe anew, by /proc/self/fd/N. */
int __wrap_open(const char *path, int flags, ...)
{
    int fd = -1;

    if (world_self() == NULL)
        return __real_open(path, flags);
    MBR_ASSERT(sscanf(path, "/proc/self/fd/%d", &fd) == 1);
    struct file *f = file_at(world_self(), fd);

    MBR_ASSERT(f != NULL && f->kind == FILE_PIPE);
    return file_install(pipe_file(f->pipe));
}

/* A ring of the bell. */
ssize_t __wrap_write(int fd, const void *from, size_t n)
{
    struct actor *a = world_self();

    if (a == NULL)
        return __real_write(fd, from, n);
    struct file *f = file_at(a, fd);

    MBR_ASSERT(n == sizeof(uint32_t));
    if (f == NULL || f->kind != FILE_PIPE) {
        world_violation("%s rings descriptor %d, which is no pipe", a->name, fd);
        errno = EBADF;
        return -1;
    }
    if (f->pipe->count == BELL_ROOM) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(&f->pipe->rings[f->pipe->count++], from, n);
    f->pipe->edges++;
    return (ssize_t)n;
}

ssize_t __wrap_read(int fd, void *to, size_t n)
{
    struct actor *a = world_self();

    if (a == NULL)
        return __real_read(fd, to, n);
    struct file *f = file_at(a, fd);

    MBR_ASSERT(f != NULL && f->kind == FILE_PIPE && n >= sizeof(f->pipe->rings));
    if (f->pipe->count == 0) {
        errno = EAGAIN;
        return -1;
    }
    n = (size_t)f->pipe->count * sizeof(uint32_t);
    memcpy(to, f->pipe->rings, n);
    f->pipe->count = 0;
    return (ssize_t)n;
}

/* ---- epoll and poll -------------------------------------------------------------------------- */

int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
int __wrap_epoll_pwait2(int ep, struct epoll_event *out, int max, const struct timespec *timeout,
                        const sigset_t *mask);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

int __wrap_epoll_create1(int flags)
{
    (void)flags;
    return file_install(file_new(FILE_EPOLL));
}

static struct epoll_item *find_item(struct file *ep, int fd)
{
    for (int i = 0; i < ep->nitems; i++) {
        if (ep->items[i].fd == fd)
            return &ep->items[i];
    }
    return NULL;
}

int __wrap_epoll_ctl(int ep_fd, int op, int fd, struct epoll_event *ev)
{
    struct file *ep = file_at(world_self(), ep_fd);
    struct file *f = file_at(world_self(), fd);

    MBR_ASSERT(ep != NULL && ep->kind == FILE_EPOLL);
    struct epoll_item *item = find_item(ep, fd);

    if (f == NULL || (op == EPOLL_CTL_ADD) != (item == NULL)) {
        world_violation("%s: epoll_ctl(%d, %d) does not fit", world_self()->name, op, fd);
        errno = EBADF;
        return -1;
    }
    if (op == EPOLL_CTL_DEL) {
        *item = ep->items[--ep->nitems];
        return 0;
    }
    if (item == NULL) {
        MBR_ASSERT(ep->nitems < EPOLL_ITEMS);
        item = &ep->items[ep->nitems++];
    }
    *item = (struct epoll_item){.file = f, .fd = fd, .events = ev->events, .data = ev->data.ptr};
    return 0;
}

static uint32_t events_of(const struct file *f)
{
    switch (f->kind) {
    case FILE_PIPE: /* a little room in its last page does not make a pipe writable */
        return (f->pipe->count > 0 ? EPOLLIN : 0u) |
               (f->pipe->count < BELL_ROOM - 1 ? EPOLLOUT : 0u);
    case FILE_PIDFD:
        return actor_lives(f->process) ? 0u : EPOLLIN;
    case FILE_BOX:
        return f->mail->count > 0 ? EPOLLIN : 0u;
    case FILE_CONN:
        return (f->mail->count > 0 ? EPOLLIN : 0u) | (f->partner == NULL ? EPOLLIN | EPOLLHUP : 0u);
    default:
        return 0;
    }
}

/* What epoll would report of an item. Only pipes are watched for edges. */
static uint32_t report(const struct epoll_item *item)
{
    uint32_t events = events_of(item->file) & item->events;

    if ((item->events & EPOLLET) != 0 && item->file->pipe->edges == item->seen)
        return 0;
    return events;
}

static bool epoll_ready(void *arg)
{
    const struct file *ep = arg;

    for (int i = 0; i < ep->nitems; i++) {
        if (report(&ep->items[i]) != 0)
            return true;
    }
    return false;
}

static int epoll_take(struct file *ep, struct epoll_event *out, int max)
{
    int n = 0;

    for (int i = 0; i < ep->nitems && n < max; i++) {
        struct epoll_item *item = &ep->items[i];
        uint32_t events = report(item);

        if (events == 0)
            continue;
        if ((item->events & EPOLLET) != 0)
            item->seen = item->file->pipe->edges;
        out[n++] = (struct epoll_event){.events = events, .data.ptr = item->data};
    }
    return n;
}

int __wrap_epoll_pwait2(int ep_fd, struct epoll_event *out, int max, const struct timespec *timeout,
                        const sigset_t *mask)
{
    struct file *ep = file_at(world_self(), ep_fd);
    uint64_t ns = UINT64_MAX;

    (void)mask;
    if (timeout != NULL)
        ns = (uint64_t)timeout->tv_sec * 1000000000u + (uint64_t)timeout->tv_nsec;
    if (ns == 0)
        world_step("look");
    else
        (void)world_block("sleep", epoll_ready, ep,
                          ns == UINT64_MAX ? UINT64_MAX : world_now() + ns);
    return epoll_take(ep, out, max);
}

static bool poll_ready(void *arg)
{
    return events_of(arg) != 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct file *f = file_at(world_self(), fds[0].fd);

    MBR_ASSERT(n == 1 && f != NULL);
    (void)world_block("poll", poll_ready, f, world_now() + (uint64_t)timeout_ms * 1000000u);
    fds[0].revents = (short)events_of(f);
    return fds[0].revents != 0;
}

/* ---- scheduling points in shared memory ------------------------------------------------------ */

uint32_t __real_mbr__ring_end(struct mbr__ring_tx *r, uint64_t flags);
uint32_t __real_mbr__ring_refuse(struct mbr__ring_rx *r, struct mbr__want_shm *own, uint64_t flags);
uint32_t __wrap_mbr__ring_end(struct mbr__ring_tx *r, uint64_t flags);
uint32_t __wrap_mbr__ring_refuse(struct mbr__ring_rx *r, struct mbr__want_shm *own, uint64_t flags);
void __real_mbr__peer_ring(struct mbr__peer *peer, uint32_t bell);
void __wrap_mbr__peer_ring(struct mbr__peer *peer, uint32_t bell);

uint32_t __wrap_mbr__ring_end(struct mbr__ring_tx *r, uint64_t flags)
{
    world_step("end");
    return __real_mbr__ring_end(r, flags);
}

uint32_t __wrap_mbr__ring_refuse(struct mbr__ring_rx *r, struct mbr__want_shm *own, uint64_t flags)
{
    world_step("refuse");
    return __real_mbr__ring_refuse(r, own, flags);
}

void __wrap_mbr__peer_ring(struct mbr__peer *peer, uint32_t bell)
{
    world_step("ring");
    __real_mbr__peer_ring(peer, bell);
}
