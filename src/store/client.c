/* SPDX-License-Identifier: MIT */
/*
 * The life of a client's handle, its place in an event loop, and the dispatch of callbacks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/proc.h"
#include "store/client.h"

#define DISPATCH_MAX 1024
#define SECOND       UINT64_C(1000000000)

/* ---- making ---- */

int mbr__client_new(const struct mbr_store_options *options, struct mbr_store **out)
{
    static const struct mbr_store_options none = {.size = sizeof(none)};
    struct mbr_store *s;

    if (options == NULL)
        options = &none;
    if (options->size < sizeof(*options) ||
        (options->flags & ~(unsigned)MBR_STORE_STAY_CLOSED) != 0)
        return -EINVAL;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->input = malloc(MBR__CLIENT_INPUT);
    if (s->input == NULL) {
        free(s);
        return -ENOMEM;
    }
    s->fork_mark = mbr__fork_mark();
    s->flags = options->flags;
    s->timeout_ns = options->timeout_ns != 0 ? options->timeout_ns : MBR_STORE_TIMEOUT_DEFAULT;
    s->fd = s->epoll = s->timer = s->passed = -1;
    s->era = 1;
    mbr__list_init(&s->pending);
    s->unsent = &s->pending;
    mbr__list_init(&s->ready);
    mbr__list_init(&s->polled);
    mbr__client_watches_init(s);
    *out = s;
    return 0;
}

int mbr_store_open(const char *path, const struct mbr_store_options *options,
                   struct mbr_store **out)
{
    char standard[108]; /* what fits into a socket's address */
    struct mbr_store *s = NULL;
    int rc = 0;

    if (out == NULL)
        return -EINVAL;
    if (path == NULL) {
        rc = mbr_store_path(standard, sizeof(standard));
        path = standard;
    }
    if (rc == 0)
        rc = mbr__client_new(options, &s);
    if (rc < 0)
        return rc;
    s->path = strdup(path);
    rc = s->path == NULL ? -ENOMEM : mbr__client_connect(s, mbr__deadline_ns(s->timeout_ns));
    if (rc < 0) {
        mbr__client_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int mbr_store_open_fd(int fd, const struct mbr_store_options *options, struct mbr_store **out)
{
    struct mbr_store *s = NULL;
    struct sockaddr_storage peer;
    int type = 0;
    socklen_t length = sizeof(type);
    int rc;

    if (out == NULL)
        return -EINVAL;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
        return errno == EBADF ? -EBADF : -ENOTSOCK;
    if (type != SOCK_STREAM)
        return -ENOTSOCK;
    length = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &length) < 0)
        return -errno;
    rc = mbr__client_new(options, &s);
    if (rc < 0)
        return rc;
    s->nonblocking = (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
    mbr__client_connected(s, fd);
    *out = s;
    return 0;
}

int mbr_store_path(char *path, size_t size)
{
    const char *set = getenv("XENSTORED_PATH");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *directory = "/run";
    const char *rest = "/membrane/store";

    if (path == NULL || size == 0)
        return -EINVAL;
    if (set != NULL && set[0] != '\0') {
        directory = set;
        rest = "";
    } else if (geteuid() != 0) {
        if (runtime == NULL || runtime[0] == '\0')
            return -ENOENT;
        directory = runtime;
    }
    if (strlen(directory) + strlen(rest) >= size)
        return -ENAMETOOLONG;
    (void)snprintf(path, size, "%s%s", directory, rest);
    return 0;
}

int mbr_store_set_timeout(struct mbr_store *s, uint64_t timeout_ns)
{
    int rc = mbr__client_enter(s);

    if (rc < 0)
        return rc;
    if (timeout_ns == 0)
        return -EINVAL;
    s->timeout_ns = timeout_ns;
    return 0;
}

int mbr__client_reachable(const struct mbr_store *s)
{
    if (s->embedded != NULL)
        return s->conn != NULL ? 0 : -ENOTCONN;
    if (s->fd >= 0 || (s->path != NULL && (s->flags & MBR_STORE_STAY_CLOSED) == 0))
        return 0;
    return -ENOTCONN;
}

int mbr__client_enter(const struct mbr_store *s)
{
    if (s == NULL)
        return -EINVAL;
    if (s->fork_mark != mbr__fork_mark())
        return -EPERM;
    return s->closing ? -ENOTCONN : 0;
}

/* ---- handing out ---- */

static void hand_event(struct mbr_store *s, struct mbr__client_event *e)
{
    struct mbr_store_watcher *w = e->watch;
    const struct mbr_store_event event = {w, w->arg, mbr__client_event_path(e), e->error};

    mbr__client_event_take(s, e);
    s->handed = e;
    w->fn(s, &event);
    s->handed = NULL;
    mbr__client_event_free(e);
}

static void hand_result(struct mbr_store *s, struct mbr__client_msg *m)
{
    const struct mbr_store_result result = {
        .error = m->error,
        .tx = m->tx,
        .data = m->data != NULL ? m->data : "",
        .length = m->length,
    };

    mbr__list_del(&m->ready.node);
    if (m->fn != NULL)
        m->fn(s, m->arg, &result);
    mbr__client_msg_free(m);
}

/* Calls what is ready, and what becomes so meanwhile; returns how many. */
static int dispatch(struct mbr_store *s)
{
    struct mbr__list *node;
    int n = 0;

    s->dispatching = true;
    while (n < DISPATCH_MAX && !s->closing && (node = mbr__list_first(&s->ready)) != NULL) {
        struct mbr__client_ready *r = mbr__container_of(node, struct mbr__client_ready, node);

        n++;
        if (r->is_event)
            hand_event(s, mbr__container_of(r, struct mbr__client_event, ready));
        else
            hand_result(s, mbr__container_of(r, struct mbr__client_msg, ready));
    }
    s->dispatching = false;
    return n;
}

/* ---- ending ---- */

void mbr__client_free(struct mbr_store *s)
{
    struct mbr__client_event *fetched = s->fetched;
    struct mbr__list *node;

    mbr__client_watches_free(s);
    mbr__client_event_free(fetched);
    while ((node = mbr__list_first(&s->pending)) != NULL) {
        struct mbr__client_msg *m = mbr__container_of(node, struct mbr__client_msg, ready.node);

        mbr__client_msg_unqueue(s, m);
        mbr__client_msg_free(m);
    }
    while ((node = mbr__list_pop_front(&s->ready)) != NULL)
        mbr__client_msg_free(mbr__container_of(node, struct mbr__client_msg, ready.node));
    if (s->fd >= 0)
        (void)close(s->fd);
    if (s->passed >= 0)
        (void)close(s->passed);
    if (s->timer >= 0)
        (void)close(s->timer);
    if (s->epoll >= 0)
        (void)close(s->epoll);
    mbr__bytes_map_fini(&s->waiting);
    mbr__slab_fini(&s->watches);
    free(s->path);
    free(s->input);
    free(s);
}

/* Everybody who waits for an answer hears that none will come. */
static void cancel_all(struct mbr_store *s)
{
    struct mbr__list *node;
    struct mbr__list *after;

    mbr__list_for_each_safe (node, after, &s->pending) {
        struct mbr__client_msg *m = mbr__container_of(node, struct mbr__client_msg, ready.node);

        if (m->owner == MBR__CLIENT_ASYNC)
            mbr__client_finish(s, m, -ECANCELED);
    }
    mbr__client_watches_free(s);
    s->dispatching = true;
    while ((node = mbr__list_first(&s->ready)) != NULL)
        hand_result(s, mbr__container_of(node, struct mbr__client_msg, ready.node));
}

void mbr_store_close(struct mbr_store *s)
{
    if (s == NULL)
        return;
    if (s->fork_mark == mbr__fork_mark()) {
        s->closing = true;
        if (s->dispatching)
            return; /* process() does it when the callback has returned */
        cancel_all(s);
    }
    mbr__client_embedded_close(s);
    mbr__client_free(s);
}

/* ---- event loops ---- */

/* When process() has something to do without anything coming from the socket: 0 never, 1 now. */
static uint64_t next_alarm(const struct mbr_store *s)
{
    if (s->news || !mbr__list_empty(&s->ready) || !mbr__list_empty(&s->polled))
        return 1;
    if (s->embedded != NULL)
        return mbr__client_embedded_when(s);
    if (s->fd >= 0 || mbr__client_reachable(s) < 0)
        return 0;
    if (s->pending_count == 0 && mbr__slab_count(&s->watches) == 0)
        return 0;
    return s->retry_at > 0 ? s->retry_at : 1;
}

static void set_alarm(struct mbr_store *s)
{
    uint64_t when = next_alarm(s);
    struct itimerspec ts = {
        .it_value = {(time_t)(when / SECOND), (long)(when % SECOND)},
    };

    if (when == s->alarm)
        return;
    if (timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &ts, NULL) == 0)
        s->alarm = when;
}

/* 0, or a negative errno with the socket not watched. */
static int set_interest(struct mbr_store *s)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (s->fd < 0)
        return 0;
    if (s->unsent != &s->pending)
        event.events |= EPOLLOUT;
    if (s->registered && event.events == s->interest)
        return 0;
    if (epoll_ctl(s->epoll, s->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event) < 0)
        return -errno;
    s->registered = true;
    s->interest = event.events;
    return 0;
}

void mbr__client_leave(struct mbr_store *s)
{
    if (s->epoll < 0)
        return;
    if (set_interest(s) < 0)
        s->news = true; /* no memory in the kernel: process() tries again */
    set_alarm(s);
}

static int make_loop(struct mbr_store *s)
{
    struct epoll_event event = {.events = EPOLLIN};
    int rc = 0;

    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0)
        return -errno;
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->timer < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &event) < 0)
        rc = -errno;
    s->registered = false;
    if (rc == 0)
        rc = set_interest(s);
    if (rc == 0)
        return 0;
    if (s->timer >= 0)
        (void)close(s->timer);
    (void)close(s->epoll);
    s->timer = s->epoll = -1;
    s->registered = false;
    return rc;
}

int mbr_store_fd(struct mbr_store *s)
{
    int rc = mbr__client_enter(s);

    if (rc == 0 && s->epoll < 0)
        rc = make_loop(s);
    if (rc < 0)
        return rc;
    mbr__client_leave(s);
    return s->epoll;
}

/* Frees a handle that one of its callbacks has closed. True: it is gone. */
static bool close_late(struct mbr_store *s)
{
    if (!s->closing)
        return false;
    mbr_store_close(s);
    return true;
}

/* Input, output and callbacks, without blocking: how many, or why there is no connection. */
static int turn(struct mbr_store *s)
{
    int rc = mbr__client_revive(s, 0);
    int n;

    s->news = false;
    for (int i = 0; rc == 0 && i < MBR__CLIENT_RECEIVES; i++) {
        mbr__client_flush(s);
        if (s->fd < 0 || mbr__client_receive(s, 0) < 0)
            break;
    }
    n = dispatch(s);
    return n > 0 ? n : rc;
}

int mbr_store_process(struct mbr_store *s)
{
    int rc = mbr__client_enter(s);

    if (rc < 0)
        return rc;
    if (s->dispatching)
        return -EBUSY;
    rc = turn(s);
    if (!close_late(s))
        mbr__client_leave(s);
    return rc;
}

int mbr_store_wait(struct mbr_store *s, uint64_t timeout_ns)
{
    uint64_t deadline = mbr__deadline_ns(timeout_ns);
    int rc = mbr__client_enter(s);

    if (rc < 0)
        return rc;
    if (s->dispatching)
        return -EBUSY;
    for (;;) {
        rc = turn(s);
        if (rc > 0 || rc == -ENOTCONN)
            break;
        rc = mbr__client_revive(s, deadline);
        if (rc == 0 && mbr__list_empty(&s->ready))
            rc = mbr__client_receive(s, deadline);
        if (rc < 0 && mbr__list_empty(&s->ready))
            break;
    }
    if (!close_late(s))
        mbr__client_leave(s);
    return rc;
}

int mbr_store_submit(struct mbr_store *s, const struct mbr_store_request *request,
                     mbr_store_done_fn *fn, void *arg)
{
    struct mbr__client_msg *m = NULL;
    int rc = mbr__client_enter(s);

    if (rc < 0)
        return rc;
    if (request == NULL || request->size < sizeof(*request))
        return -EINVAL;
    rc = mbr__client_reachable(s);
    if (rc == 0)
        rc = mbr__client_msg_of(s, request, MBR__CLIENT_ASYNC, &m);
    if (rc < 0)
        return rc;
    m->fn = fn;
    m->arg = arg;
    mbr__client_msg_queue(s, m);
    /* One system call for each only while nothing waits: what comes in a burst goes in a burst. */
    if (s->unsent == &m->ready.node)
        mbr__client_flush(s);
    mbr__client_leave(s);
    return 0;
}
