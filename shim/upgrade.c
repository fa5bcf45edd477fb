/* SPDX-License-Identifier: MIT */
/*
 * How the two ends of a connection find each other's memory.
 *
 * Both know the connection's addresses and ports, and nobody else in this network namespace has the
 * same. The client's end makes a region and puts a link "tcp....a" into the directory of names; the
 * server's end looks for it, maps the region, makes its own, which names the client's, and puts
 * "tcp....b" beside it; the client finds that, maps it and commits both (`attached`). Until then,
 * and for ever if the other end is not under the shim or belongs to another user, the connection
 * stays the kernel's. Nobody waits: each step is done after a transfer of its end, at first after
 * every one from the third turn on (sent, received, sent) or the sixteenth transfer, then ever more
 * rarely; a connection that carries one request and its answer, in however many pieces, never pays
 * for any of it.
 *
 * Not here: what is in the regions (stream_shm.h), what happens afterwards (stream.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conn.h"
#include "directory.h"
#include "offers.h"
#include "real.h"
#include "shm/names.h"
#include "shm/proc.h"

#define FIRST_TURN   3u      /* a second request, or the answer to the first one of two ... */
#define FIRST_OP     16u     /* ... or a stream */
#define EACH_TILL    32u     /* then only at powers of two, ... */
#define LAST_OP      4096u   /* ... and then no more */
#define DECIDE_LOOKS 1000000 /* at a client that was asked to make up its mind: milliseconds */
#define CAPACITY_MAX (1u << 30)

/* ---- the connection's name ------------------------------------------------------------------- */

struct end {
    struct in6_addr address; /* of IPv4: mapped, so that both ends write the same */
    uint16_t port;
};

static bool end_of(const struct sockaddr_storage *ss, struct end *out)
{
    memset(out, 0, sizeof(*out));
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)ss;

        out->address.s6_addr[10] = out->address.s6_addr[11] = 0xff;
        memcpy(&out->address.s6_addr[12], &in->sin_addr, 4);
        out->port = ntohs(in->sin_port);
        return true;
    }
    if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)ss;

        out->address = in->sin6_addr;
        out->port = ntohs(in->sin6_port);
        return true;
    }
    return false;
}

static bool is_loopback(const struct in6_addr *a)
{
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

static int put_end(char *out, const struct end *e)
{
    int n = 0;

    for (int i = 0; i < 16; i++)
        n += sprintf(out + n, "%02x", e->address.s6_addr[i]);
    return n + sprintf(out + n, "%04x", e->port);
}

/* The file name without its last letter. False: the peer is not on this machine, or not known. */
static bool name_of(struct shim_conn *c, int fd, char out[MBR__NAME_MAX])
{
    struct sockaddr_storage here = {0};
    struct sockaddr_storage there = {0};
    socklen_t here_len = sizeof(here);
    socklen_t there_len = sizeof(there);
    struct end ends[2];
    struct stat net;
    bool client = c->role == SHIM_CLIENT;
    int n;

    if (getsockname(fd, (struct sockaddr *)&here, &here_len) < 0 ||
        real.getpeername(fd, (struct sockaddr *)&there, &there_len) < 0 ||
        !end_of(&here, &ends[!client]) || !end_of(&there, &ends[client]))
        return false;
    if (!is_loopback(&ends[0].address) &&
        memcmp(&ends[0].address, &ends[1].address, sizeof(ends[0].address)) != 0)
        return false;
    /* Two network namespaces may have a connection with the same ends. */
    if (stat("/proc/self/ns/net", &net) < 0)
        return false;
    n = sprintf(out, "tcp.%lx.", (unsigned long)net.st_ino);
    n += put_end(out + n, &ends[0]);
    out[n++] = '.';
    n += put_end(out + n, &ends[1]);
    out[n++] = '.';
    out[n] = '\0';
    return true;
}

static void add_letter(char *name, char letter)
{
    size_t n = strlen(name);

    name[n] = letter;
    name[n + 1] = '\0';
}

/* ---- the directory --------------------------------------------------------------------------- */

/* No other connection has this name as long as ours is open, so the directory's lock, which keeps
 * two owners of one name apart, is not needed: what stands there was left by somebody who is gone.
 */
static int publish(const char *name, const struct mbr__link *link)
{
    char text[MBR__LINK_TEXT];
    int err = mbr__link_format(link, text);

    if (err < 0)
        return err;
    if (!shim_names_open())
        err = -ENOENT;
    else if (symlinkat(text, shim_names.dir, name) == 0)
        err = 0;
    else if (errno == EEXIST && unlinkat(shim_names.dir, name, 0) == 0)
        err = symlinkat(text, shim_names.dir, name) < 0 ? -errno : 0;
    else
        err = -errno;
    return err;
}

static int find(const char *name, struct mbr__link *out)
{
    return shim_names_open() ? mbr__names_read(&shim_names, name, out) : -ENOENT;
}

/* Removes our link, if it is still ours. Under shim_names_latch. */
static void withdraw(struct shim_conn *c)
{
    const char *name = c->name;
    struct mbr__link l;

    if (!c->named || c->own == NULL)
        return;
    mbr_store_relaxed(&c->named, (uint32_t)0);
    if (shim_names_open() && mbr__names_read(&shim_names, name, &l) == 0 &&
        l.id[0] == c->own->id[0] && l.id[1] == c->own->id[1])
        (void)unlinkat(shim_names.dir, name, 0);
}

/* ---- the regions ----------------------------------------------------------------------------- */

/* Who reads meanwhile may not have seen that there is a region to say it in, and a peer. */
static void catch_up(struct shim_conn *c)
{
    uint64_t taken = mbr_load_relaxed(&c->own->taken);
    uint64_t count;

    mbr_fence_full();
    count = mbr_load_relaxed(&c->rx_tcp);
    while (taken < count && !mbr_cas(&c->own->taken, &taken, count))
        ;
}

static int make_region(struct shim_conn *c, const uint64_t peer_id[2])
{
    int err = mbr__region_create("membrane-shim", SHIM_HALF_HEAD, shim_settings.capacity, &c->mine);
    struct shim_half *half;

    if (err < 0)
        return err;
    half = (struct shim_half *)(void *)c->mine.base;
    half->id[0] = mbr__random_id();
    half->id[1] = mbr__random_id();
    half->peer_id[0] = peer_id[0];
    half->peer_id[1] = peer_id[1];
    half->capacity = shim_settings.capacity;
    half->rx_parked = 1; /* reads from the kernel: the first byte of the ring is announced there */
    half->taken = mbr_load_relaxed(&c->rx_tcp);
    half->magic = SHIM_HALF_MAGIC;
    c->size = shim_settings.capacity;
    (void)shim_latch(&c->park, true);
    c->epoch = 1;
    mbr_store_release(&c->own, half);
    shim_unlatch(&c->park);
    catch_up(c);
    return 0;
}

/* The other end has not answered, and is not to any more. Under up and shim_names_latch. */
static void take_back(struct shim_conn *c)
{
    if (c->own == NULL)
        return;
    withdraw(c);
    shim_offers_remove(c);
    if (c->peer != NULL) { /* who has it may be looking at ours */
        mbr__region_drop_fd(&c->mine);
        return;
    }
    mbr_store_release(&c->own->attached, (uint32_t)SHIM_ATTACH_REFUSED);
    (void)shim_latch(&c->park, true);
    mbr_store_relaxed(&c->own, (struct shim_half *)NULL);
    shim_unlatch(&c->park);
    mbr__region_release(&c->mine);
}

/* A client may try again when it has had many more transfers. */
static void evict(struct shim_conn *c)
{
    if (c->role == SHIM_SERVER || c->peer != NULL)
        (void)shim_conn_pin(c);
    else if (c->ops <= EACH_TILL)
        c->ops = EACH_TILL + 1;
    take_back(c);
}

static void make_place(struct shim_conn *c)
{
    struct shim_conn *old = shim_offers_add(c);

    if (old == NULL)
        return;
    if (shim_latch(&old->up, false) == 0) {
        evict(old);
        shim_unlatch(&old->up);
    }
    shim_conn_put(old);
}

static int offer(struct shim_conn *c, int fd, const char *name, const uint64_t peer_id[2])
{
    struct mbr__link l = {.wake = -1, .state = 't'};
    struct stat st;
    int err = make_region(c, peer_id);
    int one = 1;
    int had = 0;
    socklen_t len = sizeof(had);

    if (err < 0)
        return err;
    if (real.getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &had, &len) == 0)
        c->no_delay = had != 0;
    /* Wake-up bytes must not wait for others to share a packet with. */
    mbr_store_relaxed(&c->rushed, (uint32_t)1);
    (void)real.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* It must stay where the peer looks for it. */
    c->mine.fd = shim_move_up(c->mine.fd);
    c->inode = fstat(fd, &st) == 0 ? st.st_ino : 0;
    err = mbr__proc_self(&l.owner);
    l.fd = c->mine.fd;
    l.id[0] = c->own->id[0];
    l.id[1] = c->own->id[1];
    if (err == 0)
        err = publish(name, &l);
    if (err == 0) {
        snprintf(c->name, sizeof(c->name), "%s", name);
        mbr_store_relaxed(&c->named, (uint32_t)1);
        make_place(c);
    }
    return err;
}

/* Maps the region a link leads to and believes it only if it says the same as the link. */
static int attach(struct shim_conn *c, const struct mbr__link *l, const uint64_t answers[2])
{
    const struct shim_half *half;
    int fd = -1;
    int err = mbr__proc_open_fd(&l->owner, l->fd, 'm', O_RDONLY, &fd);

    if (err < 0)
        return err;
    err = mbr__region_attach_any(fd, SHIM_HALF_HEAD, CAPACITY_MAX, &c->theirs);
    real.close(fd);
    if (err < 0)
        return err;
    half = (const struct shim_half *)(const void *)c->theirs.base;
    if (half->magic != SHIM_HALF_MAGIC || half->id[0] != l->id[0] || half->id[1] != l->id[1] ||
        half->peer_id[0] != answers[0] || half->peer_id[1] != answers[1] || c->theirs.body == 0) {
        mbr__region_release(&c->theirs);
        return -EPROTO;
    }
    c->peer_size = c->theirs.body;
    mbr_store_release(&c->peer, half);
    if (c->own != NULL)
        catch_up(c);
    return 0;
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* Both ends are committed: what served to find each other goes. */
static void finish(struct shim_conn *c)
{
    withdraw(c);
    shim_offers_remove(c);
    mbr__region_drop_fd(&c->mine);
}

bool shim_upgrade_done(struct shim_conn *c)
{
    const struct shim_half *peer = mbr_load_acquire(&c->peer);
    uint32_t mode = SHIM_ELIGIBLE;

    if (mbr_load_relaxed(&c->mode) == SHIM_RING)
        return true;
    if (c->role != SHIM_SERVER || peer == NULL || c->own == NULL ||
        mbr_load_acquire(&peer->attached) != SHIM_ATTACH_DONE)
        return false;
    return mbr_cas(&c->mode, &mode, (uint32_t)SHIM_RING) || mode == SHIM_RING;
}

/* The commitment. Either the server refuses before it has seen it done, or it sees it (pair B). */
static void commit(struct shim_conn *c)
{
    uint32_t mode = SHIM_ELIGIBLE;

    mbr_store_relaxed(&c->own->attached, (uint32_t)SHIM_ATTACH_ASKED);
    mbr_fence_full();
    if (mbr_load_acquire(&c->peer->refuse) || mbr_load_relaxed(&c->mode) != SHIM_ELIGIBLE) {
        mbr_store_release(&c->own->attached, (uint32_t)SHIM_ATTACH_REFUSED);
        (void)mbr_cas(&c->mode, &mode, (uint32_t)SHIM_PLAIN);
        return;
    }
    if (!mbr_cas(&c->mode, &mode, (uint32_t)SHIM_RING)) {
        mbr_store_release(&c->own->attached, (uint32_t)SHIM_ATTACH_REFUSED);
        return;
    }
    mbr_store_release(&c->own->attached, (uint32_t)SHIM_ATTACH_DONE);
    finish(c);
}

static void client_step(struct shim_conn *c, int fd, char *name)
{
    static const uint64_t nobody[2];
    struct mbr__link l;

    if (c->own == NULL) {
        add_letter(name, 'a');
        if (offer(c, fd, name, nobody) < 0)
            (void)shim_conn_pin(c);
        return;
    }
    add_letter(name, 'b');
    if (find(name, &l) < 0)
        return;
    if (attach(c, &l, c->own->id) < 0)
        (void)shim_conn_pin(c);
    else
        commit(c);
}

static void server_step(struct shim_conn *c, int fd, char *name)
{
    static const uint64_t nobody[2];
    struct mbr__link l;
    char *letter = name + strlen(name);

    if (c->own != NULL) { /* the client's turn */
        if (mbr_load_acquire(&c->peer->attached) == SHIM_ATTACH_REFUSED)
            (void)shim_conn_pin(c);
        return;
    }
    add_letter(name, 'a');
    if (find(name, &l) < 0)
        return;
    if (attach(c, &l, nobody) < 0) {
        (void)shim_conn_pin(c);
        return;
    }
    *letter = 'b';
    if (offer(c, fd, name, c->peer->id) < 0)
        (void)shim_conn_pin(c);
}

/* With ops 0 it is only tidied up. Under up and shim_names_latch. */
static void step(struct shim_conn *c, int fd, uint32_t ops)
{
    char name[MBR__NAME_MAX];

    if (mbr_load_acquire(&c->mode) == SHIM_RING && c->named)
        finish(c);
    if (mbr_load_acquire(&c->mode) != SHIM_ELIGIBLE || ops == 0)
        return;
    if (ops >= LAST_OP || !name_of(c, fd, name))
        (void)shim_conn_pin(c);
    else if (c->role == SHIM_CLIENT)
        client_step(c, fd, name);
    else
        server_step(c, fd, name);
    if (mbr_load_acquire(&c->mode) == SHIM_PLAIN)
        take_back(c);
}

/* Under up: whether this transfer, c->ops, is one after which to take a step. */
static bool is_due(const struct shim_conn *c)
{
    uint32_t ops = c->ops;

    return (c->turns >= FIRST_TURN || ops >= FIRST_OP) &&
           (ops <= EACH_TILL || (ops & (ops - 1)) == 0);
}

static void count(struct shim_conn *c, bool sent)
{
    c->ops++;
    if (c->turns >= FIRST_TURN || (c->turns > 0 && c->sent == sent))
        return;
    c->turns++;
    c->sent = sent;
}

void shim_upgrade(struct shim_conn *c, int fd, bool sent)
{
    bool due;
    int cancel;

    if (shim_latch(&c->up, false) < 0)
        return;
    count(c, sent);
    due = is_due(c);
    /* Somebody else is in the directory (this thread, if a signal handler sends): at the next
     * transfer, then. A cancelled thread leaves when all is done. */
    if ((due || c->named) && shim_latch(&shim_names_latch, false) == 0) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        step(c, fd, due ? c->ops : 0);
        pthread_setcancelstate(cancel, &cancel);
        shim_unlatch(&shim_names_latch);
    } else if (due) {
        c->ops--;
    }
    shim_unlatch(&c->up);
}

/* What a connection that stays with the kernel has no use for, unless somebody is at it: then it
 * goes with the connection. Under up. */
static void settle(struct shim_conn *c)
{
    int cancel;

    if (mbr_load_relaxed(&c->own) == NULL)
        return;
    if (shim_latch(&shim_names_latch, false) == 0) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        take_back(c);
        pthread_setcancelstate(cancel, &cancel);
        shim_unlatch(&shim_names_latch);
    }
}

/* Under up: or another thread might be making a region to which the client commits afterwards. */
static bool pin(struct shim_conn *c)
{
    uint32_t mode = SHIM_ELIGIBLE;
    bool plain;

    if (c->role == SHIM_SERVER && mbr_load_acquire(&c->own) != NULL) {
        mbr_store_relaxed(&c->own->refuse, (uint32_t)1);
        mbr_fence_full();
        /* Between asking and being told a client takes some instructions: it may see neither. */
        for (int i = 0; i < DECIDE_LOOKS && c->peer != NULL &&
                        mbr_load_acquire(&c->peer->attached) == SHIM_ATTACH_ASKED;
             i++)
            mbr_cpu_relax();
        if (shim_upgrade_done(c))
            return false;
    }
    plain = mbr_cas(&c->mode, &mode, (uint32_t)SHIM_PLAIN) || mode == SHIM_PLAIN;
    if (plain)
        settle(c);
    return plain;
}

bool shim_conn_pin(struct shim_conn *c)
{
    bool mine = shim_latch(&c->up, true) == 0;
    bool plain = pin(c);

    if (mine)
        shim_unlatch(&c->up);
    return plain;
}

void shim_upgrade_withdraw(struct shim_conn *c)
{
    /* In a signal handler whose thread has one of them: it does not go on before we are done. */
    bool up = shim_latch(&c->up, true) == 0;
    bool mine = shim_latch(&shim_names_latch, true) == 0;

    withdraw(c);
    if (mine)
        shim_unlatch(&shim_names_latch);
    if (up)
        shim_unlatch(&c->up);
}

void shim_upgrade_tidy(struct shim_conn *c)
{
    bool up = shim_latch(&c->up, true) == 0;
    bool mine = shim_latch(&shim_names_latch, true) == 0;

    finish(c);
    if (mine)
        shim_unlatch(&shim_names_latch);
    if (up)
        shim_unlatch(&c->up);
}

void shim_upgrade_drop(struct shim_conn *c)
{
    shim_kin_drop(c);
    shim_offers_remove(c);
    c->peer = NULL;
    c->own = NULL;
    if (mbr_load_relaxed(&shim_confined)) /* the memory is kept until the program ends */
        return;
    mbr__region_release(&c->mine);
    mbr__region_release(&c->theirs);
}
