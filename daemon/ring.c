/* SPDX-License-Identifier: MIT */
/*
 * See ring.h.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "conn.h"
#include "log.h"

#define SIZE sizeof(struct mbr__store_ring_shm)

/* Looks at all awake rings between two looks at the descriptors. */
#define LOOKS 64

/* ... of which so many at most have found something: then it is the sockets' turn. */
#define SERVED 16

/* ---- making and ending -------------------------------------------------------------------------
 */

static void rung(struct source *self, uint32_t events)
{
    struct ring *ring = mbr__container_of(self, struct ring, source);

    (void)events;
    ring_look(ring);
}

/* Nobody can change its size, so no access can fault. */
static int make_memory(int *out)
{
    int fd = memfd_create("membrane:store-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, SIZE) != 0 || fallocate(fd, 0, 0, SIZE) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int error = errno;

        (void)close(fd);
        return -error;
    }
    *out = fd;
    return 0;
}

static int map(struct ring *ring)
{
    void *shm = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ring->memory, 0);

    if (shm == MAP_FAILED)
        return -errno;
    mbr__store_ring_init(&ring->page, shm, true);
    return 0;
}

/* The loop's interest is in edges: the counter is never read, each write is one more edge. */
static int watch(struct ring *ring)
{
    return server_add(ring->server, ring->to_server, &ring->source, EPOLLIN | EPOLLET);
}

static struct ring *make(struct server *server)
{
    struct ring *ring = calloc(1, sizeof(*ring));

    if (ring == NULL)
        return NULL;
    ring->source.ready = rung;
    ring->server = server;
    ring->memory = -1;
    ring->to_server = -1;
    ring->to_client = -1;
    mbr__spin_init(&ring->spin);
    return ring;
}

int ring_new(struct server *server, uint32_t domid, struct ring **out)
{
    struct ring *ring = make(server);
    int rc;

    if (ring == NULL)
        return -ENOMEM;
    rc = make_memory(&ring->memory);
    if (rc == 0) {
        ring->to_server = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ring->to_client = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (ring->to_server < 0 || ring->to_client < 0)
            rc = -errno;
    }
    if (rc == 0)
        rc = map(ring);
    if (rc == 0)
        rc = watch(ring);
    if (rc != 0) {
        ring_free(ring);
        return rc;
    }
    mbr_store_relaxed(&ring->page.shm->features, mbr__store_domain_features(server->store, domid));
    mbr_store_relaxed(&ring->page.shm->client_asleep, 1);
    *out = ring;
    return 0;
}

int ring_adopt(struct server *server, const int fds[3], struct ring **out)
{
    struct ring *ring = make(server);
    struct stat st;
    int rc;

    if (ring == NULL) {
        for (int i = 0; i < 3; i++)
            (void)close(fds[i]);
        return -ENOMEM;
    }
    ring->memory = fds[0];
    ring->to_server = fds[1];
    ring->to_client = fds[2];
    rc = fstat(fds[0], &st) == 0 && st.st_size == (off_t)SIZE ? map(ring) : -EBADMSG;
    if (rc == 0)
        rc = watch(ring);
    if (rc != 0) {
        ring_free(ring);
        return rc;
    }
    *out = ring;
    return 0;
}

void ring_free(struct ring *ring)
{
    if (ring == NULL)
        return;
    if (ring->page.shm != NULL)
        (void)munmap(ring->page.shm, SIZE);
    if (ring->memory >= 0)
        (void)close(ring->memory);
    if (ring->to_server >= 0) {
        server_remove(ring->server, ring->to_server); /* the client has it too */
        (void)close(ring->to_server);
    }
    if (ring->to_client >= 0)
        (void)close(ring->to_client);
    free(ring);
}

void ring_attach(struct ring *ring, struct conn *conn)
{
    ring->conn = conn;
    ring_look(ring);
}

/* ---- awake and asleep --------------------------------------------------------------------------
 */

static void bell(struct ring *ring)
{
    static const uint64_t one = 1;

    if (!ring->moved)
        return;
    ring->moved = false;
    if (mbr__store_ring_must_wake(&ring->page) && write(ring->to_client, &one, sizeof(one)) < 0)
        (void)0; /* the counter is full: it is readable */
}

void ring_look(struct ring *ring)
{
    struct conn *conn = ring->conn;
    uint64_t now;

    if (conn == NULL || conn->dead || !mbr__list_empty(&conn->closing))
        return; /* it is awake already */
    mbr__store_ring_sleep(&ring->page, false);
    now = mbr__now_ns();
    if (ring->parked != 0)
        mbr__spin_lost(&ring->spin, ring->parked - ring->active, now - ring->parked);
    ring->parked = 0;
    ring->active = now;
    mbr__list_push_back(&ring->server->rings, &conn->closing);
}

/* Whether there is anything to do for this ring. */
static bool has_work(const struct ring *ring)
{
    const struct conn *conn = ring->conn;

    if (ring->failed)
        return false;
    if (mbr_load_relaxed(&ring->page.shm->connection) == MBR__STORE_RING_RECONNECT)
        return true;
    if (!conn->blocked && mbr__store_ring_readable(&ring->page))
        return true;
    return (conn->events & EPOLLOUT) != 0 && mbr__store_ring_writable(&ring->page);
}

static void park(struct ring *ring, uint64_t now)
{
    mbr__store_ring_sleep(&ring->page, true);
    if (has_work(ring)) {
        mbr__store_ring_sleep(&ring->page, false);
        return;
    }
    ring->parked = now;
    mbr__list_del(&ring->conn->closing);
}

/* The client asks for a fresh start: nothing of what was before remains. */
static void reconnect(struct ring *ring)
{
    struct conn *conn = ring->conn;

    mbr__store_conn_reset(conn->store_conn);
    mbr__store_ring_restart(&ring->page);
    (void)conn_keep(conn, NULL, 0);
    conn->blocked = false;
    conn->events &= ~(uint32_t)EPOLLOUT;
    ring->failed = false;
    mbr_store_relaxed(&ring->page.shm->error, MBR__STORE_RING_OK);
    mbr_store_release(&ring->page.shm->connection, MBR__STORE_RING_CONNECTED);
    ring->moved = true;
    bell(ring);
}

void ring_rebind(struct ring *ring)
{
    reconnect(ring);
    ring_look(ring);
}

void ring_fail(struct ring *ring, uint32_t error)
{
    if (ring->failed)
        return;
    ring->failed = true;
    conn_complain(ring->conn, error == RING_ERROR_INDEX ? "impossible ring indices"
                                                        : "a breach of the protocol");
    mbr_store_release(&ring->page.shm->error, error);
    ring->moved = true;
    bell(ring);
}

static void serve(struct ring *ring)
{
    struct conn *conn = ring->conn;

    if (mbr_load_acquire(&ring->page.shm->connection) == MBR__STORE_RING_RECONNECT) {
        reconnect(ring);
        return;
    }
    if ((conn->events & EPOLLOUT) != 0 && mbr__store_ring_writable(&ring->page))
        conn_flush(conn);
    if (!conn->blocked && mbr__store_ring_readable(&ring->page))
        conn_receive(conn);
    server_settle(ring->server);
    bell(ring);
}

/* One look at each ring that is awake; whether any had something. */
static bool look_at_all(struct server *server, uint64_t now)
{
    struct mbr__list *node;
    struct mbr__list *after;
    bool any = false;

    mbr__list_for_each_safe (node, after, &server->rings) {
        struct ring *ring = mbr__container_of(node, struct conn, closing)->ring;

        if (has_work(ring)) {
            mbr__spin_won(&ring->spin, now - ring->active);
            ring->active = now;
            serve(ring);
            any = true;
            /* Serving may have ended its successor: what is left is looked at in the next round. */
            break;
        }
        if (now - ring->active > ring->spin.budget)
            park(ring, now);
    }
    return any;
}

/* So that each has its turn although a round ends with the first that has something. */
static void rotate(struct server *server)
{
    struct mbr__list *first = mbr__list_pop_front(&server->rings);

    if (first != NULL)
        mbr__list_push_back(&server->rings, first);
}

bool rings_serve(struct server *server)
{
    int served = 0;

    for (int i = 0; i < LOOKS && served < SERVED && !mbr__list_empty(&server->rings); i++) {
        if (look_at_all(server, mbr__now_ns())) {
            rotate(server);
            served++;
        } else {
            mbr_cpu_relax();
        }
    }
    /* Whoever is to write may be waiting for this CPU. */
    if (served == 0 && !mbr__list_empty(&server->rings))
        (void)sched_yield();
    return !mbr__list_empty(&server->rings);
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

ssize_t ring_receive(struct ring *ring, void *into, size_t size)
{
    ssize_t n = ring->failed ? -EAGAIN : mbr__store_ring_read(&ring->page, into, size);

    if (n == -EPROTO) {
        ring_fail(ring, RING_ERROR_INDEX);
        return -EAGAIN;
    }
    ring->moved = ring->moved || n > 0;
    return n;
}

ssize_t ring_send(struct ring *ring, const struct iovec *iov, int count)
{
    ssize_t n = ring->failed ? -EAGAIN : mbr__store_ring_write(&ring->page, iov, count);

    if (n == -EPROTO) {
        ring_fail(ring, RING_ERROR_INDEX);
        return -EAGAIN;
    }
    if (n > 0) {
        ring->moved = true;
        bell(ring);
    }
    return n;
}
