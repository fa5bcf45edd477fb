/* SPDX-License-Identifier: MIT */
/*
 * A store in the caller's own process: the same engine that the daemon serves, called instead of
 * connected to. Requests are handed over and answers taken in one go, so that a call never waits.
 *
 * All handles of one embedded store share its engine; each has a connection of its own there. The
 * engine calls back while it carries out somebody's request, perhaps for another handle than the
 * one that is being used; then only a note is made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/clock.h"
#include "store/client.h"
#include "store/engine.h"

#define WORK_BUDGET 256 /* nodes removed in passing, with each run */
#define SECOND      UINT64_C(1000000000)

struct mbr__client_embedded {
    struct mbr__store *engine;
    unsigned handles;
    uint64_t last_id;
    bool more; /* background work is left */
};

/* ---- what the engine says ---- */

static void note(struct mbr__store_conn *conn, bool broken)
{
    struct mbr_store *s = mbr__store_conn_user(conn);

    if (s == NULL)
        return;
    s->alert = true;
    s->broken |= broken;
    mbr__client_leave(s);
}

static void on_output(void *user, struct mbr__store_conn *conn)
{
    (void)user;
    note(conn, false);
}

static void on_broken(void *user, struct mbr__store_conn *conn, int error)
{
    (void)user;
    (void)error;
    note(conn, true);
}

/* ---- making ---- */

static int join(struct mbr_store *s, struct mbr__client_embedded *e, uint32_t domid)
{
    int rc = domid != 0 ? mbr__store_introduce(e->engine, domid) : 0;

    if (rc == 0)
        rc = mbr__store_conn_new(e->engine, ++e->last_id, domid,
                                 domid == 0 ? MBR__STORE_PRIVILEGED : 0, s, &s->conn);
    if (rc < 0 && domid != 0 && mbr__store_domain_conns(e->engine, domid) == 0)
        (void)mbr__store_release(e->engine, domid);
    if (rc < 0)
        return rc;
    e->handles++;
    s->embedded = e;
    return 0;
}

int mbr_store_open_embedded(const struct mbr_store_options *options, struct mbr_store **out)
{
    const struct mbr__store_options engine = {
        .output = on_output, .resume = on_output, .broken = on_broken};
    struct mbr__client_embedded *e;
    struct mbr_store *s = NULL;
    int rc = out == NULL ? -EINVAL : mbr__client_new(options, &s);

    if (rc < 0)
        return rc;
    e = calloc(1, sizeof(*e));
    rc = e == NULL ? -ENOMEM : mbr__store_new(&engine, &e->engine);
    if (rc == 0)
        rc = join(s, e, 0);
    if (rc < 0) {
        if (e != NULL)
            mbr__store_free(e->engine);
        free(e);
        mbr__client_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int mbr_store_open_again(struct mbr_store *s, uint32_t domid, struct mbr_store **out)
{
    const struct mbr_store_options options = {.size = sizeof(options),
                                              .timeout_ns = s != NULL ? s->timeout_ns : 0};
    struct mbr_store *other = NULL;
    int rc = s == NULL ? -EINVAL : mbr__client_enter(s);

    if (rc < 0)
        return rc;
    if (s == NULL || out == NULL || domid >= MBR__STORE_DOMID_FIRST_RESERVED)
        return -EINVAL;
    if (s->embedded == NULL)
        return -ENOTSUP;
    rc = mbr__client_new(&options, &other);
    if (rc < 0)
        return rc;
    rc = join(other, s->embedded, domid);
    if (rc < 0) {
        mbr__client_free(other);
        return rc;
    }
    *out = other;
    return 0;
}

/* Leaves the engine, and releases the domain with its last handle. */
static void part(struct mbr_store *s)
{
    struct mbr__store *engine = s->embedded->engine;
    uint32_t domid;

    if (s->conn == NULL)
        return;
    domid = mbr__store_conn_domid(s->conn);
    mbr__store_conn_free(s->conn);
    s->conn = NULL;
    if (domid != 0 && mbr__store_domain_conns(engine, domid) == 0)
        (void)mbr__store_release(engine, domid);
}

void mbr__client_embedded_close(struct mbr_store *s)
{
    struct mbr__client_embedded *e = s->embedded;

    if (e == NULL)
        return;
    part(s);
    s->embedded = NULL;
    if (--e->handles == 0) {
        mbr__store_free(e->engine);
        free(e);
    }
}

/* ---- running ---- */

/* The connection is no more: because its domain was released, or because it read too slowly. */
static void renew(struct mbr_store *s)
{
    uint32_t domid = mbr__store_conn_domid(s->conn);

    s->broken = false;
    mbr__client_lose(s, -ECONNRESET);
    if (domid != 0 && !mbr__store_domain_known(s->embedded->engine, domid)) {
        mbr__store_conn_free(s->conn);
        s->conn = NULL;
        return;
    }
    mbr__store_conn_reset(s->conn);
    mbr__client_watches_again(s);
    s->unsent = s->pending.next;
}

/* Offers what is pending; true if the engine has taken something. */
static bool offer(struct mbr_store *s)
{
    bool some = false;

    while (s->conn != NULL && s->unsent != &s->pending) {
        struct mbr__client_msg *m =
            mbr__container_of(s->unsent, struct mbr__client_msg, ready.node);
        const struct mbr__store_header h = {m->type, m->id, m->wire_tx,
                                            (uint32_t)(m->size - MBR__STORE_HEADER_SIZE)};
        struct mbr__list *next = s->unsent->next;
        int rc = mbr__store_request(s->conn, &h, m->wire + MBR__STORE_HEADER_SIZE);

        if (rc == -EPIPE) {
            renew(s);
            continue;
        }
        if (rc == -ENOMEM)
            mbr__client_finish(s, m, rc); /* nothing has changed there */
        else if (rc < 0)
            break;
        else
            s->unsent = next;
        some = true;
    }
    return some;
}

/* Takes what the engine has for this handle; true if there was something. */
static bool take(struct mbr_store *s)
{
    struct iovec iov[2];
    bool some = false;

    while (s->conn != NULL && mbr__store_conn_peek(s->conn, iov) > 0) {
        size_t room = MBR__CLIENT_INPUT - s->input_length;
        size_t n = iov[0].iov_len < room ? iov[0].iov_len : room;

        memcpy(s->input + s->input_length, iov[0].iov_base, n);
        s->input_length += n;
        mbr__store_conn_consume(s->conn, n);
        some = true;
        if (mbr__client_parse(s) < 0) {
            s->broken = true;
            break;
        }
    }
    return some;
}

bool mbr__client_embedded_run(struct mbr_store *s)
{
    struct mbr__client_embedded *e = s->embedded;
    bool any = false;
    bool some;

    do {
        s->alert = false;
        if (s->broken && s->conn != NULL)
            renew(s);
        some = offer(s);
        some |= take(s);
        any |= some;
        e->more = mbr__store_work(e->engine, WORK_BUDGET);
    } while (some || (s->broken && s->conn != NULL));
    if (s->conn == NULL && !mbr__list_empty(&s->pending)) {
        mbr__client_lose(s, -ENOTCONN);
        any = true;
    }
    return any;
}

uint64_t mbr__client_embedded_when(const struct mbr_store *s)
{
    uint64_t due;

    if (s->conn == NULL)
        return 0;
    if (s->alert || s->embedded->more)
        return 1;
    due = mbr__store_deadline(s->embedded->engine);
    return due == MBR__NEVER ? 0 : due > 0 ? due : 1;
}

int mbr__client_embedded_wait(struct mbr_store *s, uint64_t left)
{
    uint64_t when = mbr__client_embedded_when(s);
    uint64_t until;
    struct timespec ts;

    if (left == 0)
        return -ETIMEDOUT;
    if (s->conn == NULL)
        return -ENOTCONN;
    if (when == 1 || !mbr__list_empty(&s->ready) || !mbr__list_empty(&s->polled))
        return 0;
    until = mbr__deadline_ns(left);
    if (when != 0 && when < until)
        until = when;
    ts.tv_sec = (time_t)(until / SECOND);
    ts.tv_nsec = (long)(until % SECOND);
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    return 0;
}
