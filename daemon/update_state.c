/* SPDX-License-Identifier: MIT */
/*
 * What of the daemon goes through a live update, written and read: descriptors, users,
 * connections with what they have received and not taken, descriptors that are on their way to
 * clients. Starting the new binary: update.c.
 */
#include "update_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "containers.h"
#include "fallback.h"
#include "log.h"
#include "ring.h"
#include "update_stream.h"
#include "user.h"

#define MAGIC UINT64_C(0x336576696c72626d) /* "mbrlive3" */

#define NO_FD UINT64_MAX

static void put_fd(struct stream_out *out, int fd)
{
    stream_put(out, fd >= 0 ? (uint64_t)fd : NO_FD);
}

/* -1 for none. */
static int get_fd(struct stream_in *in)
{
    uint64_t fd = stream_get(in);

    if (fd == NO_FD)
        return -1;
    if (fd > INT32_MAX)
        in->error = -EBADMSG;
    return in->error == 0 ? (int)fd : -1;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static void put_path(struct stream_out *out, const char *path)
{
    size_t length = path != NULL ? strlen(path) : 0;

    stream_put(out, length);
    stream_put_bytes(out, path, length);
}

static void put_users(struct stream_out *out, const struct server *server)
{
    size_t cursor = 0;
    const struct user *user;

    stream_put(out, server->domains.count);
    while ((user = mbr__hash_next(&server->domains, &cursor)) != NULL) {
        stream_put(out, user->guest ? 1 : 0);
        stream_put(out, user->guest ? 0 : user->uid);
        stream_put(out, user->domid);
    }
}

static void put_passed(struct stream_out *out, const struct conn *conn)
{
    const struct mbr__list *node;
    uint64_t count = 0;

    mbr__list_for_each (node, &conn->passed)
        count++;
    stream_put(out, count);
    mbr__list_for_each (node, &conn->passed) {
        const struct passed *passed = mbr__container_of(node, struct passed, node);

        stream_put(out, passed->place - conn->sent);
        stream_put(out, (uint64_t)passed->count);
        for (int i = 0; i < passed->count; i++)
            put_fd(out, passed->fds[i]);
    }
}

static void put_conn(struct stream_out *out, const struct conn *conn)
{
    stream_put(out, mbr__store_conn_id(conn->store_conn));
    stream_put(out, conn->ring != NULL ? 1 : 0);
    if (conn->ring != NULL) {
        put_fd(out, conn->ring->memory);
        put_fd(out, conn->ring->to_server);
        put_fd(out, conn->ring->to_client);
        stream_put(out, conn->ring->failed ? 1 : 0);
    } else {
        put_fd(out, conn->fd);
    }
    stream_put(out, conn->user != NULL ? conn->user->domid : 0);
    stream_put(out, conn->ended ? 1 : 0);
    stream_put(out, conn->pending_length);
    stream_put_bytes(out, conn->pending, conn->pending_length);
    put_passed(out, conn);
}

static void put_conns(struct stream_out *out, const struct server *server)
{
    const struct mbr__list *node;
    uint64_t count = 0;

    mbr__list_for_each (node, &server->conns) {
        count += !mbr__container_of(node, struct conn, node)->dead;
    }
    stream_put(out, count);
    mbr__list_for_each (node, &server->conns) {
        const struct conn *conn = mbr__container_of(node, struct conn, node);

        if (!conn->dead)
            put_conn(out, conn);
    }
}

int update_state_write(struct server *server, const struct conn *asking, int fd)
{
    struct stream_out *out = malloc(sizeof(*out));
    int rc;

    if (out == NULL)
        return -ENOMEM;
    out->fd = fd;
    out->error = 0;
    out->used = 0;
    stream_put(out, MAGIC);
    put_path(out, settings_text(server->settings, SETTING_STATE));
    put_path(out, settings_text(server->settings, SETTING_OBJECTS));
    stream_put(out, server->sandboxed ? 1 : 0);
    stream_put(out, server->next_conn);
    stream_put(out, server->next_domid);
    stream_put(out, asking != NULL ? mbr__store_conn_id(asking->store_conn) : 0);
    put_fd(out, server->listener);
    put_fd(out, server->lock);
    put_users(out, server);
    put_conns(out, server);
    containers_put(server->containers, out);
    rc = out->error;
    if (rc == 0)
        rc = mbr__store_dump(server->store, stream_writer, out);
    if (rc == 0)
        rc = stream_finish(out);
    free(out);
    return rc;
}

void update_state_each_fd(struct server *server, void (*visit)(int fd, void *user), void *user)
{
    const struct mbr__list *node;
    const struct mbr__list *inner;

    visit(server->listener, user);
    visit(server->lock, user);
    containers_each_fd(server->containers, visit, user);
    mbr__list_for_each (node, &server->conns) {
        const struct conn *conn = mbr__container_of(node, struct conn, node);

        if (conn->dead)
            continue;
        visit(conn->fd, user);
        if (conn->ring != NULL) {
            visit(conn->ring->memory, user);
            visit(conn->ring->to_server, user);
            visit(conn->ring->to_client, user);
        }
        mbr__list_for_each (inner, &conn->passed) {
            const struct passed *passed = mbr__container_of(inner, struct passed, node);

            for (int i = 0; i < passed->count; i++)
                visit(passed->fds[i], user);
        }
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* One connection as the stream has it. */
struct conn_record {
    uint64_t id;
    bool is_ring;
    int fds[3];
    bool failed;
    uint32_t user;
    bool ended;
    const unsigned char *pending;
    size_t pending_length;
};

static void get_record(struct stream_in *in, struct conn_record *record)
{
    *record = (struct conn_record){.id = stream_get(in)};
    record->is_ring = stream_get_most(in, 1) == 1;
    for (int i = 0; i < (record->is_ring ? 3 : 1); i++)
        record->fds[i] = get_fd(in);
    if (record->is_ring)
        record->failed = stream_get_most(in, 1) == 1;
    record->user = (uint32_t)stream_get_most(in, MBR__STORE_DOMID_FIRST_RESERVED);
    record->ended = stream_get_most(in, 1) == 1;
    record->pending_length = stream_get_most(in, SERVER_INPUT);
    record->pending = stream_get_bytes(in, record->pending_length);
}

/* Descriptors on their way; CONN NULL: only checks. */
static int get_passed(struct stream_in *in, struct conn *conn)
{
    uint64_t count = stream_get_most(in, 65536);

    for (uint64_t i = 0; i < count && in->error == 0; i++) {
        struct passed record = {.place = stream_get(in)};

        record.count = (int)stream_get_most(in, PASSED_MAX);
        for (int j = 0; j < record.count; j++)
            record.fds[j] = get_fd(in);
        if (conn == NULL || in->error != 0)
            continue;

        struct passed *passed = malloc(sizeof(*passed));

        if (passed == NULL)
            return -ENOMEM;
        *passed = record;
        mbr__list_push_back(&conn->passed, &passed->node);
    }
    return in->error;
}

/* Makes the connection again; NULL in *OUT if the engine does not know it any more. */
static int adopt(struct server *server, const struct conn_record *record, struct conn **out)
{
    struct mbr__store_conn *store_conn = mbr__store_conn_find(server->store, record->id);
    struct user *user = record->user != 0 ? mbr__hash_get(&server->domains, record->user) : NULL;
    struct ring *ring = NULL;
    int rc;

    *out = NULL;
    if (store_conn == NULL)
        return -EBADMSG;
    if (record->is_ring) {
        rc = ring_adopt(server, record->fds, &ring);
        if (rc != 0)
            return rc;
        ring->failed = record->failed;
    }
    rc = conn_adopt(server, store_conn, record->is_ring ? -1 : record->fds[0], ring, user, out);
    if (rc != 0)
        return rc;
    (*out)->ended = record->ended;
    return conn_keep(*out, record->pending, record->pending_length);
}

static int get_conns(struct stream_in *in, struct server *server)
{
    uint64_t count = stream_get_most(in, UINT32_MAX);
    int rc = in->error;

    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct conn_record record;
        struct conn *conn = NULL;

        get_record(in, &record);
        rc = in->error;
        if (rc == 0 && server != NULL)
            rc = adopt(server, &record, &conn);
        if (rc == 0)
            rc = get_passed(in, conn);
    }
    return rc;
}

static int get_users(struct stream_in *in, struct server *server)
{
    uint64_t count = stream_get_most(in, MBR__STORE_DOMID_FIRST_RESERVED);
    int rc = in->error;

    for (uint64_t i = 0; i < count && rc == 0; i++) {
        bool guest = stream_get_most(in, 1) == 1;
        uint64_t uid = stream_get_most(in, UINT32_MAX);
        uint64_t domid = stream_get_most(in, MBR__STORE_DOMID_FIRST_RESERVED - 1);
        struct user *user;

        rc = in->error;
        if (rc != 0 || server == NULL)
            continue;
        rc = guest ? guest_add(server, (uint32_t)domid)
                   : user_restore(server, (uid_t)uid, (uint32_t)domid, &user);
    }
    return rc;
}

/* The numbers at the head. */
struct head {
    const unsigned char *state;
    size_t state_length;
    const unsigned char *objects;
    size_t objects_length;
    bool sandboxed;
    uint64_t next_conn;
    uint64_t next_domid;
    uint64_t asking;
    int listener;
    int lock;
};

static int get_head(struct stream_in *in, struct head *head)
{
    if (stream_get(in) != MAGIC && in->error == 0)
        return -EPROTONOSUPPORT;
    head->state_length = stream_get_most(in, 4096);
    head->state = stream_get_bytes(in, head->state_length);
    head->objects_length = stream_get_most(in, 4096);
    head->objects = stream_get_bytes(in, head->objects_length);
    head->sandboxed = stream_get_most(in, 1) == 1;
    head->next_conn = stream_get(in);
    head->next_domid = stream_get_most(in, UINT16_MAX);
    head->asking = stream_get(in);
    head->listener = get_fd(in);
    head->lock = get_fd(in);
    return in->error;
}

/* The journal must go on where it is. */
static bool is_path(const char *path, const unsigned char *text, size_t length)
{
    return (path != NULL ? strlen(path) : 0) == length &&
           (length == 0 || memcmp(path, text, length) == 0);
}

/* Containers on disk have numbers in their directory; where there was none there are none. */
static int check_state(const struct settings *settings, const struct head *head)
{
    if (!is_path(settings_text(settings, SETTING_STATE), head->state, head->state_length))
        return -EXDEV;
    return head->objects_length == 0 || is_path(settings_text(settings, SETTING_OBJECTS),
                                                head->objects, head->objects_length)
               ? 0
               : -EXDEV;
}

/* The engine's part comes last, and what belongs to it must be known before: so it is restored from
 * the end of the daemon's part, which is read twice. */
static int restore_engine(struct mbr__store *store, struct stream_in in)
{
    int rc = get_users(&in, NULL);

    if (rc == 0)
        rc = get_conns(&in, NULL);
    if (rc == 0)
        rc = containers_get(NULL, &in);
    if (rc == 0)
        rc = mbr__store_restore(store, stream_reader, &in);
    return rc == 0 && in.left != 0 ? -EBADMSG : rc;
}

int update_state_check(const struct settings *settings, struct mbr__store *store,
                       struct stream_in *in)
{
    struct head head;
    int rc = get_head(in, &head);

    if (rc == 0)
        rc = check_state(settings, &head);
    return rc == 0 ? restore_engine(store, *in) : rc;
}

/* Whoever was not taken over has lost his descriptor: his connection was closing. */
static void drop_strangers(struct server *server)
{
    struct mbr__store_conn *conn;
    size_t cursor = 0;

    while ((conn = mbr__store_conn_next(server->store, &cursor)) != NULL) {
        if (mbr__store_conn_user(conn) != NULL)
            continue;
        mbr__store_conn_free(conn);
        cursor = 0; /* nothing may be freed on the way */
    }
}

/* All are looked at once: what was readable stays so, but output and pending requests wait for
 * nobody. */
static void wake_all(struct server *server)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &server->conns) {
        struct conn *conn = mbr__container_of(node, struct conn, node);

        conn->blocked = true;
        if (mbr__list_empty(&conn->dirty))
            mbr__list_push_back(&server->dirty, &conn->dirty);
        if (mbr__list_empty(&conn->resumable))
            mbr__list_push_back(&server->resumable, &conn->resumable);
    }
}

int update_state_read(struct server *server, struct stream_in *in)
{
    struct head head;
    int rc = get_head(in, &head);

    if (rc == 0)
        rc = check_state(server->settings, &head);
    if (rc == 0)
        rc = restore_engine(server->store, *in);
    if (rc != 0)
        return rc;
    server->sandboxed = head.sandboxed;
    server->next_conn = head.next_conn;
    server->next_domid = (uint32_t)head.next_domid;
    server->listener = head.listener;
    server->lock = head.lock;
    rc = get_users(in, server);
    if (rc == 0)
        rc = get_conns(in, server);
    if (rc == 0)
        rc = containers_get(server->containers, in);
    if (rc != 0)
        return rc;
    drop_strangers(server);
    wake_all(server);

    struct mbr__store_conn *asking =
        head.asking != 0 ? mbr__store_conn_find(server->store, head.asking) : NULL;

    if (asking != NULL)
        (void)mbr__store_control_done(asking, 0,
                                      fallback_happened() ? "the new program has failed after its "
                                                            "trial; the old one goes on"
                                                          : NULL);
    return 0;
}
