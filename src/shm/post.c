/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes: listening, connecting, and who is on the other side.
 *
 * A mailbox polls one descriptor, an epoll set of its listening socket and of the connections that
 * have not said anything yet. Those are few: a sender says its note right after it has connected,
 * and is only met in between if it was preempted there, stopped, or means harm.
 *
 * Not here: the message format of a note (note.c).
 */
#include "shm/post.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections looked at in one call of mbr__mailbox_take(): a flood of silent ones must not keep
 * its caller from its work. */
#define TAKE_TRIES (2 * MBR__POST_SILENT)

#define FILE_NAME_MAX 32

static void file_name(uint64_t inst, char out[FILE_NAME_MAX])
{
    snprintf(out, FILE_NAME_MAX, "i.%016" PRIx64, inst);
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Whether /proc/self/fd/N leads to the directory. */
static bool reaches(const char *path, int dir)
{
    struct stat a;
    struct stat b;

    return stat(path, &a) == 0 && fstat(dir, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int address(const struct mbr__names *n, uint64_t inst, struct sockaddr_un *out)
{
    char file[FILE_NAME_MAX];
    char dir[32];
    int len;

    memset(out, 0, sizeof(*out));
    out->sun_family = AF_UNIX;
    file_name(inst, file);
    len = snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", n->path, file);
    if (len > 0 && (size_t)len < sizeof(out->sun_path))
        return 0;
    snprintf(dir, sizeof(dir), "/proc/self/fd/%d", n->dir);
    if (!reaches(dir, n->dir))
        return -ENAMETOOLONG;
    snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", dir, file);
    return 0;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

/* 0 if the other side is of our user or root's, else -EPERM. */
static int check_user(int conn)
{
    struct ucred who;
    socklen_t len = sizeof(who);

    if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return -EPERM;
    return who.uid == geteuid() || who.uid == 0 ? 0 : -EPERM;
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Binds to a new name; the number is random, so a second try is for a broken generator only. */
static int bind_new(struct mbr__names *n, int fd, uint64_t *inst)
{
    struct sockaddr_un addr;

    for (int tries = 0; tries < 4; tries++) {
        int err;

        *inst = mbr__random_id();
        err = address(n, *inst, &addr);
        if (err < 0)
            return err;
        if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
            return 0;
        if (errno != EADDRINUSE)
            return -errno;
    }
    return -EADDRINUSE;
}

static int watch(int set, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* Makes the bound socket a mailbox: *set polls it. The file's mode was left to the umask, in a
 * directory that nobody else may enter. */
static int start_listening(struct mbr__names *n, int fd, uint64_t inst, int *set)
{
    char file[FILE_NAME_MAX];
    int err;

    file_name(inst, file);
    if (fchmodat(n->dir, file, 0600, 0) < 0 || listen(fd, SOMAXCONN) < 0)
        return -errno;
    *set = epoll_create1(EPOLL_CLOEXEC);
    if (*set < 0)
        return -errno;
    err = watch(*set, fd);
    if (err < 0)
        close(*set);
    return err;
}

/* With the lock: whoever looks for dead mailboxes must not see the file of one that does not listen
 * yet. */
static int bind_and_listen(struct mbr__names *n, int fd, uint64_t *inst, int *set)
{
    bool locked = n->locked;
    int err = locked ? 0 : mbr__names_lock(n, MBR__LOCK_NS);

    if (err < 0)
        return err;
    err = bind_new(n, fd, inst);
    if (err == 0) {
        err = start_listening(n, fd, *inst, set);
        if (err < 0)
            (void)mbr__mailbox_unlink(n, *inst);
    }
    if (!locked)
        mbr__names_unlock(n);
    return err;
}

int mbr__mailbox_open(struct mbr__names *n, struct mbr__mailbox *out)
{
    uint64_t inst = 0;
    int set = -1;
    int fd = new_socket();
    int err;

    if (fd < 0)
        return fd;
    err = bind_and_listen(n, fd, &inst, &set);
    if (err < 0) {
        close(fd);
        return err;
    }
    *out = (struct mbr__mailbox){.fd = set, .listen = fd, .mark = mbr__fork_mark(), .inst = inst};
    for (int i = 0; i < MBR__POST_SILENT; i++)
        out->silent[i] = -1;
    return 0;
}

void mbr__mailbox_close(struct mbr__names *n, struct mbr__mailbox *m)
{
    /* A number is never 0, so this also spares a mailbox of all zeroes. */
    if (m == NULL || m->inst == 0 || m->listen < 0)
        return;
    if (m->mark == mbr__fork_mark())
        (void)mbr__mailbox_unlink(n, m->inst);
    for (int i = 0; i < MBR__POST_SILENT && m->silent[i] >= 0; i++)
        close(m->silent[i]);
    close(m->listen);
    close(m->fd);
    m->listen = -1;
    m->fd = -1;
}

int mbr__mailbox_unlink(struct mbr__names *n, uint64_t inst)
{
    char file[FILE_NAME_MAX];
    struct stat st;

    file_name(inst, file);
    if (fstatat(n->dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EPROTO;
    return unlinkat(n->dir, file, 0) < 0 ? -errno : 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

static int connect_to(struct mbr__names *n, uint64_t inst, int fd)
{
    struct sockaddr_un addr;
    int err = address(n, inst, &addr);

    if (err < 0)
        return err;
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        /* A socket of another type is none of ours; nobody of ours is there. */
        return errno == EPROTOTYPE ? -ECONNREFUSED : -errno;
    }
    return check_user(fd);
}

bool mbr__mailbox_dead(struct mbr__names *n, uint64_t inst)
{
    int fd = new_socket();
    bool dead;

    if (fd < 0)
        return false;
    dead = connect_to(n, inst, fd) == -ECONNREFUSED;
    close(fd);
    return dead;
}

int mbr__post_send(struct mbr__names *n, uint64_t inst, const struct mbr__note *note, int *conn_out)
{
    int fd = new_socket();
    int err;

    if (fd < 0)
        return fd;
    err = connect_to(n, inst, fd);
    if (err == 0) {
        err = mbr__conn_send(fd, note);
        if (err == -ECONNRESET)
            err = -ECONNREFUSED; /* it was closed just now */
    }
    if (err == 0 && conn_out != NULL)
        *conn_out = fd;
    else
        close(fd);
    return err;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* Forgets a connection without closing it. It must leave the set explicitly: as long as a forked
 * child has a copy of the descriptor, closing ours does not. */
static void forget(struct mbr__mailbox *m, int conn)
{
    int i = 0;

    while (i < MBR__POST_SILENT && m->silent[i] != conn)
        i++;
    if (i == MBR__POST_SILENT)
        return;
    (void)epoll_ctl(m->fd, EPOLL_CTL_DEL, conn, NULL);
    memmove(&m->silent[i], &m->silent[i + 1],
            (size_t)(MBR__POST_SILENT - 1 - i) * sizeof(m->silent[0]));
    m->silent[MBR__POST_SILENT - 1] = -1;
}

/* Keeps a connection that has not said anything yet. */
static int keep(struct mbr__mailbox *m, int conn)
{
    int oldest = m->silent[0];
    int i = 0;
    int err;

    if (m->silent[MBR__POST_SILENT - 1] >= 0) {
        forget(m, oldest);
        close(oldest);
    }
    err = watch(m->fd, conn);
    if (err < 0) {
        close(conn);
        return err;
    }
    while (m->silent[i] >= 0)
        i++;
    m->silent[i] = conn;
    return 0;
}

/* Accepts the next connection of somebody who may send. */
static int accept_next(struct mbr__mailbox *m)
{
    int conn = accept4(m->listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int err;

    if (conn < 0) {
        /* Gone again, or taken by another: look for the next. */
        return errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
    }
    err = check_user(conn);
    if (err < 0) {
        close(conn);
        return err;
    }
    return conn;
}

/* Reads from a connection, new or known. -EAGAIN: nothing for the caller, go on. */
static int read_conn(struct mbr__mailbox *m, int conn, bool known, struct mbr__note *out)
{
    int err = mbr__conn_recv(conn, out);

    if (err == -EAGAIN || err == -EMFILE || err == -ENFILE || err == -ENOMEM) {
        /* Nothing is lost: it stays readable. */
        int kept = known ? 0 : keep(m, conn);

        return kept < 0 ? kept : err;
    }
    if (known)
        forget(m, conn);
    if (err < 0)
        close(conn);
    return err == -ECONNRESET ? -EAGAIN : err;
}

int mbr__mailbox_take(struct mbr__mailbox *m, struct mbr__note *out, int *conn_out)
{
    for (int tries = 0; tries < TAKE_TRIES; tries++) {
        struct epoll_event ev;
        int conn;
        int err;

        if (epoll_wait(m->fd, &ev, 1, 0) <= 0)
            return -EAGAIN;
        conn = ev.data.fd;
        if (conn == m->listen)
            conn = accept_next(m);
        err = conn < 0 ? conn : read_conn(m, conn, ev.data.fd != m->listen, out);
        if (err == 0) {
            if (conn_out != NULL)
                *conn_out = conn;
            else
                close(conn);
        }
        if (err != -EAGAIN)
            return err;
    }
    return -EAGAIN;
}

/* ---- without descriptors --------------------------------------------------------------------- */

static bool to_be_refused(int conn, bool (*refuse)(const void *data, size_t len))
{
    uint8_t data[MBR__POST_MAX];
    ssize_t n = mbr__conn_glance(conn, data, sizeof(data));

    return n == -ECONNRESET || (n > 0 && refuse(data, (size_t)n));
}

/* Accepts where no descriptor is left: in the spare one's place. */
static int accept_instead(struct mbr__mailbox *m, int *spare)
{
    int conn = accept_next(m);

    if ((conn == -EMFILE || conn == -ENFILE) && *spare >= 0) {
        close(*spare);
        *spare = -1;
        conn = accept_next(m);
    }
    return conn;
}

void mbr__mailbox_shed(struct mbr__mailbox *m, int *spare,
                       bool (*refuse)(const void *data, size_t len))
{
    int conn = 0;

    for (int i = 0; i < MBR__POST_SILENT && m->silent[i] >= 0;) {
        conn = m->silent[i];
        if (to_be_refused(conn, refuse)) {
            forget(m, conn);
            close(conn);
        } else {
            i++;
        }
    }
    /* One that is kept costs a descriptor: the next call goes on behind it. */
    bool kept = m->silent[MBR__POST_SILENT - 1] >= 0;

    for (int tries = 0; tries < TAKE_TRIES && conn >= 0 && !kept; tries++) {
        conn = accept_instead(m, spare);
        kept = conn >= 0 && !to_be_refused(conn, refuse);
        if (kept)
            (void)keep(m, conn);
        else if (conn >= 0)
            close(conn);
    }
    if (*spare < 0)
        *spare = fcntl(m->listen, F_DUPFD_CLOEXEC, 0);
}
