/* SPDX-License-Identifier: MIT */
/*
 * Connections about containers and what they ask; see container.h.
 *
 * A request is a note and gets one reply. A client that does not read its replies is not waited
 * for: it loses its connection.
 */
#include "container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "object/memory.h"
#include "shm/names.h"
#include "shm/post.h"

#define FLAGS (MBR_CONTAINER_KEPT | MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_CHECKSUMS)

#define BURST 64 /* notes of one connection read in one turn */

/* ---- requests ---------------------------------------------------------------------------------
 */

/* A request as it came: what it says, its name, its descriptors. */
struct asked {
    struct mbr__broker_request head;
    struct mbr__note *note;
    const char *name;
    size_t name_length;
};

/* Reply and what goes with it. */
struct answer {
    struct mbr__broker_reply head;
    const struct container *named; /* its name goes along */
    int memory;                    /* a descriptor that goes along, not given away; -1 none */
};

void container_describe(const struct container *container, struct mbr__broker_reply *out)
{
    out->uid = container->owner->uid;
    out->group = container->group;
    out->flags = container->flags;
    out->members = container->members;
}

static int check_name(const struct asked *asked)
{
    char name[MBR_OBJECT_NAME_MAX + 1];

    if (asked->name_length > MBR_OBJECT_NAME_MAX)
        return -ENAMETOOLONG;
    if (memchr(asked->name, '\0', asked->name_length) != NULL)
        return -EINVAL;
    memcpy(name, asked->name, asked->name_length);
    name[asked->name_length] = '\0';
    return mbr__name_check(name);
}

static int may_create(struct session *session, const struct asked *asked)
{
    const struct mbr__broker_request *head = &asked->head;
    int rc = check_name(asked);

    if (rc != 0)
        return rc;
    if (session->container != NULL || asked->note->nfds != 1 || head->group < -1 ||
        (head->flags & ~FLAGS) != 0 || head->cursor > MBR_WRITE_VERSIONED)
        return -EINVAL;
    if ((head->flags & MBR_CONTAINER_PERSISTENT) == 0 && (head->flags & ~MBR_CONTAINER_KEPT) != 0)
        return -EINVAL;
    if (head->group >= 0 && session->user->uid != 0 &&
        !session_in_group(session, (gid_t)head->group))
        return -EPERM;
    return mbr__object_memory_check(asked->note->fds[0]);
}

static bool has_enough(const struct session *session)
{
    uint64_t most =
        settings_number(session->containers->server->settings, SETTING_CONTAINERS_PER_USER);

    return session->user->containers >= most && !container_user_privileged(session->user->uid);
}

static int create(struct session *session, const struct asked *asked)
{
    struct containers *c = session->containers;
    struct container like = {
        .name = (char *)(uintptr_t)asked->name, /* only read */
        .name_length = asked->name_length,
        .owner = session->user,
        .group = asked->head.group,
        .flags = asked->head.flags,
        .number = c->last + 1,
        .memory = asked->note->fds[0],
    };
    struct container *made;
    int rc = may_create(session, asked);

    /* Whoever may make no more may still be told that it is there, and join it. */
    if (rc == 0 && mbr__bytes_map_get(&c->named, asked->name, asked->name_length) != NULL)
        rc = -EEXIST;
    if (rc == 0 && has_enough(session))
        rc = -EDQUOT;
    if (rc == 0 && !containers_complete(c))
        rc = -EIO;
    if (rc == 0 && (like.flags & MBR_CONTAINER_PERSISTENT) != 0) {
        rc = stored_create(session, &like, asked->head.cursor);
        if (rc == -EINPROGRESS)
            asked->note->nfds = 0; /* kept */
        return rc;
    }
    if (rc == 0)
        rc = container_new(c, &like, &made);
    if (rc != 0)
        return rc;
    c->last = like.number;
    asked->note->nfds = 0; /* kept */
    container_enter(made, session);
    return 0;
}

/* -ENOENT none has the name; -EIO one that could not be read may have it. */
static int find(struct containers *c, const struct asked *asked, struct container **out)
{
    struct container *container = mbr__bytes_map_get(&c->named, asked->name, asked->name_length);
    bool complete = true;

    if (container == NULL) {
        complete = containers_complete(c);
        container = mbr__bytes_map_get(&c->named, asked->name, asked->name_length);
    }
    if (container == NULL && !complete)
        return -EIO;
    if (container == NULL || container->making)
        return -ENOENT;
    *out = container;
    return 0;
}

static int join(struct session *session, const struct asked *asked, struct answer *answer)
{
    struct container *container;
    int rc;

    if (session->container != NULL)
        return -EINVAL;
    rc = find(session->containers, asked, &container);
    if (rc != 0)
        return rc;
    if (!session_may_join(session, container))
        return -EACCES;
    if (container->memory < 0)
        return stored_join(session, container);
    container_enter(container, session);
    answer->memory = container->memory;
    container_describe(container, &answer->head);
    return 0;
}

/* By a member whose daemon has died. Whoever may join may say what is in the memory, as any member
 * may; that it is the last one is seen on the disk. */
static int rejoin(struct session *session, const struct asked *asked)
{
    struct container *container;
    int rc = check_name(asked);

    if (rc == 0 && (session->container != NULL || asked->note->nfds != 1))
        rc = -EINVAL;
    if (rc == 0)
        rc = mbr__object_memory_check(asked->note->fds[0]);
    if (rc == 0)
        rc = find(session->containers, asked, &container);
    if (rc == -ENOENT)
        return -ESTALE;
    if (rc != 0)
        return rc;
    if (container->stored == NULL)
        return -ESTALE;
    if (!session_may_join(session, container))
        return -EACCES;
    rc = stored_rejoin(session, container, asked->note->fds[0]);
    if (rc == -EINPROGRESS)
        asked->note->nfds = 0; /* kept */
    return rc;
}

static int remove_name(struct session *session)
{
    struct container *container = session->container;
    uid_t uid = session->user->uid;

    if (container == NULL)
        return -EINVAL;
    if (uid != container->owner->uid && !container_user_privileged(uid))
        return -EACCES;
    if (container->stored != NULL)
        return -EINVAL; /* MBR__BROKER_DISK_DESTROY is the way */
    return container_remove(session->containers, container);
}

/* Those who may not join one do not hear of it. */
static int list(struct session *session, const struct asked *asked, struct answer *answer)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &session->containers->all) {
        const struct container *container = mbr__container_of(node, struct container, node);

        if (container->number <= asked->head.cursor || container->removed || container->making ||
            !session_may_join(session, container))
            continue;
        container_describe(container, &answer->head);
        answer->head.cursor = container->number;
        answer->named = container;
        return 0;
    }
    return -ENOENT;
}

static int carry_out(struct session *session, const struct asked *asked, struct answer *answer)
{
    switch (asked->head.op) {
    case MBR__BROKER_CREATE:
        return create(session, asked);
    case MBR__BROKER_JOIN:
        return join(session, asked, answer);
    case MBR__BROKER_REMOVE:
        return remove_name(session);
    case MBR__BROKER_REJOIN:
        return rejoin(session, asked);
    case MBR__BROKER_LIST:
        return list(session, asked, answer);
    default:
        return -EOPNOTSUPP;
    }
}

/* ---- sessions ---------------------------------------------------------------------------------
 */

static int reply(struct session *session, const struct answer *answer)
{
    struct mbr__note note = {.len = sizeof(answer->head)};

    memcpy(note.data, &answer->head, sizeof(answer->head));
    if (answer->named != NULL) {
        memcpy(note.data + note.len, answer->named->name, answer->named->name_length);
        note.len += answer->named->name_length;
    }
    if (answer->memory >= 0) {
        note.fds[0] = answer->memory;
        note.nfds = 1;
    }
    return mbr__conn_send(session->fd, &note);
}

int session_reply(struct session *session, const struct mbr__broker_reply *head, int memory)
{
    struct answer answer = {.head = *head, .memory = memory};

    return reply(session, &answer);
}

static int serve_request(struct session *session, struct mbr__note *note)
{
    struct asked asked = {.note = note};
    struct answer answer = {.memory = -1};

    memcpy(&asked.head, note->data, sizeof(asked.head));
    asked.name = (const char *)note->data + sizeof(asked.head);
    asked.name_length = note->len - sizeof(asked.head);
    answer.head.status = carry_out(session, &asked, &answer);
    return reply(session, &answer);
}

/* One about the disk has a reply of its own kind, and mostly later. */
static int serve_disk(struct session *session, struct mbr__note *note)
{
    struct mbr__note out = {.len = sizeof(struct mbr__broker_disk_reply)};
    struct mbr__broker_disk_reply answer = {0};
    struct mbr__broker_disk asked;
    int rc;

    if (note->len < sizeof(asked) || note->nfds > 1)
        return -EPROTO;
    memcpy(&asked, note->data, sizeof(asked));
    rc = stored_ask(session, &asked, (const char *)note->data + sizeof(asked),
                    note->len - sizeof(asked), note->nfds == 1 ? note->fds[0] : -1);
    if (rc == -EINPROGRESS) {
        note->nfds = 0; /* it is on the desk */
        return 0;
    }
    if (rc == -ECONNRESET)
        return rc;
    answer.status = rc;
    answer.seq = asked.seq;
    memcpy(out.data, &answer, sizeof(answer));
    return mbr__conn_send(session->fd, &out);
}

/* Serves one note. Not 0: the connection has ended, or is to. */
static int serve_note(struct session *session)
{
    struct mbr__note note;
    uint32_t op;
    int rc = mbr__conn_recv(session->fd, &note);

    if (rc != 0)
        return rc;
    if (note.len < sizeof(struct mbr__broker_request)) {
        rc = -EPROTO;
    } else {
        memcpy(&op, note.data, sizeof(op));
        rc = op >= MBR__BROKER_DISK_OPEN && op < MBR__BROKER_DISK_END
                 ? serve_disk(session, &note)
                 : serve_request(session, &note);
        rc = rc == -EAGAIN ? -EPROTO : rc;
    }
    mbr__note_close(&note);
    return rc;
}

bool session_serve(struct session *session, int most)
{
    int rc = 0;

    for (int i = 0; i < most && rc == 0 && !session_busy(session); i++)
        rc = serve_note(session);
    if (rc == 0 || rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE)
        return true; /* what has no room for its descriptors is read later */
    if (rc != -ECONNRESET)
        log_warning("containers: a connection of uid=%u is closed: %s",
                    (unsigned)session->user->uid, strerror(-rc));
    session_close(session);
    return false;
}

static void session_ready(struct source *self, uint32_t events)
{
    struct session *session = mbr__container_of(self, struct session, source);

    if (session->dead)
        return;
    /* What the other end has asked for before it went is done, as far as it was read. */
    if (session_busy(session) && (events & (EPOLLHUP | EPOLLERR)) != 0)
        session_close(session);
    else
        (void)session_serve(session, BURST);
}

int session_pause(struct session *session, bool pause)
{
    struct epoll_event event = {.events = pause ? 0 : EPOLLIN, .data.ptr = &session->source};

    return epoll_ctl(session->containers->server->epoll, EPOLL_CTL_MOD, session->fd, &event) == 0
               ? 0
               : -errno;
}

int session_open(struct containers *c, int fd, struct session **out)
{
    struct session *session = calloc(1, sizeof(*session));
    struct ucred peer;
    socklen_t size = sizeof(peer);
    int rc = 0;

    if (session == NULL)
        return -ENOMEM;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        rc = -errno;
    if (rc == 0)
        rc = container_user_enter(c, peer.uid, &session->user);
    if (rc == 0) {
        session->containers = c;
        session->fd = fd;
        session->source.ready = session_ready;
        mbr__list_init(&session->peer);
        rc = server_add(c->server, fd, &session->source, EPOLLIN);
        if (rc != 0)
            container_user_leave(c, session->user);
    }
    if (rc != 0) {
        free(session);
        return rc;
    }
    mbr__list_push_back(&c->sessions, &session->node);
    c->count++;
    *out = session;
    return 0;
}

void session_free(struct session *session)
{
    free(session);
}

void session_close(struct session *session)
{
    struct containers *c = session->containers;

    if (session->dead)
        return;
    session->dead = true;
    stored_leave(session);
    container_leave(session);
    server_remove(c->server, session->fd);
    (void)close(session->fd);
    session->fd = -1;
    mbr__list_del(&session->node);
    mbr__list_push_back(&c->ended, &session->node);
    c->count--;
    container_user_leave(c, session->user);
    server_accept_again(c->server);
}
