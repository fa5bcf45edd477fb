/* SPDX-License-Identifier: MIT */
/*
 * See control.h. The engine must not be called from its own callback, so what makes connections or
 * ends the process is only noted there, and carried out at the end of the turn.
 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "append.h"
#include "base/strbuf.h"
#include "conn.h"
#include "log.h"
#include "ring.h"
#include "update.h"
#include "user.h"

const char control_help[] = "connect         <domid>\n"
                            "ring            <domid>\n"
                            "live-update     [-f <file>|-c <arguments>|-a|"
                            "-s [-F] [-t <seconds>] [-v <version>]]\n"
                            "logfile         <file>\n";

enum call_kind { CALL_CONNECT, CALL_RING, CALL_UPDATE };

struct control_call {
    enum call_kind kind;
    uint32_t domid;
};

/* ---- noting ------------------------------------------------------------------------------------
 */

static int parse_domid(const char *text, uint32_t *out)
{
    char *end;
    unsigned long value;

    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    value = strtoul(text, &end, 0);
    if (*end != '\0' || value == 0 || value >= MBR__STORE_DOMID_FIRST_RESERVED)
        return -EINVAL;
    *out = (uint32_t)value;
    return 0;
}

static int put_off(struct conn *conn, enum call_kind kind, uint32_t domid)
{
    struct control_call *call = malloc(sizeof(*call));

    if (call == NULL)
        return -ENOMEM;
    *call = (struct control_call){.kind = kind, .domid = domid};
    conn->call = call;
    mbr__list_push_back(&conn->server->later, &conn->later);
    return MBR__STORE_LATER;
}

static int note_connection(struct conn *conn, enum call_kind kind, int argc,
                           const char *const *argv)
{
    uint32_t domid;

    if (argc != 2 || parse_domid(argv[1], &domid) != 0)
        return -EINVAL;
    if (conn->ring != NULL)
        return -EINVAL; /* descriptors go over sockets only */
    return put_off(conn, kind, domid);
}

/* A file's name, as xenstored takes it: a relative one is in the directory of the socket. Who asks
 * learns only that it was refused if the reason has no name in the protocol; the log tells more. */
static int name_file(const struct server *server, const char *name, char *path, size_t size)
{
    const char *socket = settings_text(server->settings, SETTING_SOCKET);
    const char *slash = socket != NULL ? strrchr(socket, '/') : NULL;
    int n;

    if (name[0] == '/')
        n = snprintf(path, size, "%s", name);
    else if (slash != NULL)
        n = snprintf(path, size, "%.*s/%s", (int)(slash - socket), socket, name);
    else
        return -EINVAL;
    return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int change_log(const struct server *server, int argc, const char *const *argv)
{
    char path[PATH_MAX];
    int rc = argc == 2 ? name_file(server, argv[1], path, sizeof(path)) : -EINVAL;

    if (rc == 0)
        rc = log_to_named(path);
    if (rc != 0)
        log_warning("logfile refused: %s", strerror(-rc));
    return rc;
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

static int report_memory(struct server *server, int argc, const char *const *argv)
{
    char path[PATH_MAX];
    struct mbr__strbuf text;
    int rc = argc == 2 ? name_file(server, argv[1], path, sizeof(path)) : -EINVAL;
    int fd = rc == 0 ? append_open(path) : rc;

    if (fd < 0) {
        log_warning("memreport refused: %s", strerror(-fd));
        return fd;
    }
    mbr__strbuf_init(&text, MBR__STORE_REPORT_MAX);
    mbr__store_report(server->store, &text);
    rc = mbr__strbuf_error(&text);
    if (rc == 0)
        rc = write_all(fd, mbr__strbuf_text(&text), text.length);
    mbr__strbuf_fini(&text);
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

int control_called(void *user, struct mbr__store_conn *store_conn, int argc,
                   const char *const *argv, struct mbr__strbuf *reply)
{
    struct server *server = user;
    struct conn *conn = mbr__store_conn_user(store_conn);
    int rc;

    if (conn == NULL || argc < 1)
        return -EINVAL;
    if (strcmp(argv[0], "connect") == 0)
        return note_connection(conn, CALL_CONNECT, argc, argv);
    if (strcmp(argv[0], "ring") == 0)
        return note_connection(conn, CALL_RING, argc, argv);
    if (strcmp(argv[0], "logfile") == 0)
        return change_log(server, argc, argv);
    if (strcmp(argv[0], "memreport") == 0)
        return report_memory(server, argc, argv);
    if (strcmp(argv[0], "live-update") != 0)
        return -EINVAL;
    rc = update_command(server, argc - 1, argv + 1, reply);
    return rc == 1 ? put_off(conn, CALL_UPDATE, 0) : rc;
}

void control_drop(struct conn *conn)
{
    if (conn->call != NULL && conn->call->kind == CALL_UPDATE)
        update_forget(conn->server->update, conn);
    free(conn->call);
    conn->call = NULL;
}

/* ---- carrying out ------------------------------------------------------------------------------
 */

/* The domain exists and is introduced when this returns 0. It may be known before that, by
 * SET_FEATURE. */
static int ensure_domain(struct server *server, uint32_t domid)
{
    int rc;

    if (mbr__store_domain_introduced(server->store, domid))
        return 0;
    rc = guest_add(server, domid);
    if (rc == 0)
        rc = mbr__store_introduce(server->store, domid);
    if (rc != 0)
        guest_drop(server, domid);
    return rc;
}

static int give_socket(struct conn *conn, uint32_t domid)
{
    struct conn *made;
    int ends[2];
    int rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    rc = conn_open(conn->server, ends[0], domid, false, NULL, &made);
    if (rc != 0) {
        (void)close(ends[1]);
        return rc;
    }
    rc = conn_pass(conn, &ends[1], 1);
    if (rc != 0)
        conn_close(made);
    return rc;
}

static int give_ring(struct conn *conn, uint32_t domid)
{
    struct conn *made;
    struct ring *ring;
    int fds[3];
    int rc = ring_new(conn->server, domid, &ring);

    if (rc != 0)
        return rc;
    fds[0] = fcntl(ring->memory, F_DUPFD_CLOEXEC, 3);
    fds[1] = fcntl(ring->to_server, F_DUPFD_CLOEXEC, 3);
    fds[2] = fcntl(ring->to_client, F_DUPFD_CLOEXEC, 3);
    rc = fds[0] < 0 || fds[1] < 0 || fds[2] < 0 ? -EMFILE : 0;
    if (rc == 0)
        rc = conn_open_ring(conn->server, ring, domid, &made);
    if (rc != 0) {
        for (int i = 0; i < 3; i++) {
            if (fds[i] >= 0)
                (void)close(fds[i]);
        }
        ring_free(ring);
        return rc;
    }
    rc = conn_pass(conn, fds, 3);
    if (rc != 0)
        conn_close(made);
    return rc;
}

static int give(struct conn *conn, const struct control_call *call)
{
    struct server *server = conn->server;
    int rc = ensure_domain(server, call->domid);

    if (rc != 0)
        return rc;
    rc = call->kind == CALL_RING ? give_ring(conn, call->domid) : give_socket(conn, call->domid);
    /* A guest that was made known for nothing goes again. */
    if (rc != 0)
        guest_drop(server, call->domid);
    return rc;
}

void control_answer(struct conn *conn, int error, const char *why)
{
    control_drop(conn);
    if (mbr__store_control_done(conn->store_conn, error, why) != 0)
        conn_close(conn); /* no memory even for an answer */
    else if (mbr__list_empty(&conn->resumable))
        mbr__list_push_back(&conn->server->resumable, &conn->resumable);
}

void control_run(struct conn *conn)
{
    struct control_call *call = conn->call;
    char why[256] = "";

    mbr__list_del(&conn->later);
    if (call->kind != CALL_UPDATE)
        control_answer(conn, give(conn, call), why);
    else if (update_begin(conn->server, conn, why, sizeof(why)) != 0)
        control_answer(conn, 0, why); /* xenstore-control shows a text that is not "OK" */
}
