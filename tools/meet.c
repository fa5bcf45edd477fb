/* SPDX-License-Identifier: MIT */
/*
 * The meeting of sender and receiver: open the pipe; if there is none, create it and wait; if it is
 * in use, wait until it is not. stream.h says who greets first, and why.
 */
#include "meet.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "exits.h"
#include "names.h"
#include "say.h"
#include "stop.h"
#include "units.h"

#define PAUSE_FIRST_MS 1
/* Ends that leave no trace in the directory, such as a kill -9, are noticed after this at most. */
#define PAUSE_MOST_MS 250
#define NOTE_NS       TOOL_SECOND /* who waits longer than this is told what for */

/* Negative outcomes beside errnos: the pipe has gone again, or an exit code was decided. */
enum outcome { MET, GONE, DECIDED };

struct meeting {
    struct transfer *t;
    struct stream_hello mine;
    struct stream_hello *peer;
    uint64_t from;    /* when it began */
    uint64_t allowed; /* --timeout, ns */
    int inotify;      /* of the directory of names; -1 */
    char names[PATH_MAX];
    int pause_ms;
    bool noted;
    int code; /* DECIDED */
};

static enum outcome decide(struct meeting *m, int code)
{
    m->code = code;
    return DECIDED;
}

/* ---- waiting ---- */

static uint64_t left_ns(const struct meeting *m)
{
    uint64_t gone = tool_now_ns() - m->from;

    if (m->allowed == MBR_FOREVER)
        return MBR_FOREVER;
    return gone < m->allowed ? m->allowed - gone : 0;
}

static enum outcome nobody_came(struct meeting *m, int error)
{
    struct transfer *t = m->t;

    if (error == -ETIMEDOUT)
        return decide(m, tool_error(TOOL_EXIT_TIMEOUT, "start it, or allow more time",
                                    "%s: no %s has come within %s s", t->name, transfer_peer(t),
                                    t->args->value[OPT_TIMEOUT]));
    return decide(m, tool_error(TOOL_EXIT_NEGATIVE, NULL, "%s: interrupted before a %s came",
                                t->name, transfer_peer(t)));
}

/* Tells a person, once, what is waited for. */
static void note_waiting(struct meeting *m, bool in_use)
{
    if (m->noted || tool_now_ns() - m->from < NOTE_NS || isatty(STDERR_FILENO) != 1)
        return;
    m->noted = true;
    if (in_use)
        tool_note("%s: in use by another pair; waiting until it has finished", m->t->name);
    else
        tool_note("%s: waiting for a %s", m->t->name, transfer_peer(m->t));
}

/* Waits for something to read. 0 or a negative errno. */
static int await_word(struct meeting *m)
{
    for (;;) {
        uint64_t left = left_ns(m);
        uint64_t slice = !m->noted && left > NOTE_NS ? NOTE_NS : left;

        if (tool_stopped())
            return -EINTR;

        int rc = mbr_pipe_await(m->t->libos, m->t->qd, MBR_READABLE, 0, slice);

        if (rc >= 0)
            return 0;
        if (rc != -EINTR && (rc != -ETIMEDOUT || slice == left))
            return rc;
        note_waiting(m, false);
    }
}

static void watch_names(struct meeting *m)
{
    m->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (m->inotify >= 0)
        (void)inotify_add_watch(m->inotify, m->names, IN_CREATE | IN_DELETE | IN_MOVED_TO);
}

/* Whether something has happened to links of our pipe; reads what inotify has to say. */
static bool names_changed(struct meeting *m)
{
    _Alignas(struct inotify_event) char events[4096];
    size_t length = strlen(m->t->name);
    bool ours = false;
    ssize_t n;

    while ((n = read(m->inotify, events, sizeof(events))) > 0) {
        for (char *at = events; at < events + n;) {
            const struct inotify_event *event = (const void *)at;

            if (event->len > length && event->name[length] == '.' &&
                memcmp(event->name, m->t->name, length) == 0)
                ours = true;
            at += sizeof(*event) + event->len;
        }
    }
    return ours;
}

/* Waits until the links of the pipe change, or for a growing pause. 0, -ETIMEDOUT or -EINTR. */
static int pause_until_change(struct meeting *m)
{
    uint64_t left = left_ns(m);
    int ms = m->pause_ms;
    struct pollfd pfd = {.events = POLLIN};

    if (tool_stopped())
        return -EINTR;
    if (left == 0)
        return -ETIMEDOUT;
    if (m->inotify < 0)
        watch_names(m);
    if (left / 1000000 < (uint64_t)ms)
        ms = (int)(left / 1000000) + 1;
    m->pause_ms = m->pause_ms * 2 < PAUSE_MOST_MS ? m->pause_ms * 2 : PAUSE_MOST_MS;
    pfd.fd = m->inotify;

    uint64_t until = tool_now_ns() + (uint64_t)ms * 1000000;
    uint64_t now;

    while ((now = tool_now_ns()) < until && !tool_stopped()) {
        if (poll(&pfd, 1, (int)((until - now) / 1000000) + 1) > 0 && names_changed(m))
            break;
    }
    note_waiting(m, true);
    return 0;
}

/* ---- greetings ---- */

/* The other side's greeting: is it one, and of the other role? */
static enum outcome judge(struct meeting *m)
{
    struct transfer *t = m->t;
    const struct stream_hello *peer = m->peer;

    if (peer->magic != STREAM_MAGIC || peer->version != STREAM_VERSION)
        return decide(m, tool_error(TOOL_EXIT_INCOMPATIBLE, "the same version on both sides",
                                    "%s: at the other end is another version, or another program",
                                    t->name));
    if (peer->role == t->role)
        return decide(m,
                      tool_error(TOOL_EXIT_NEGATIVE, "another name, or start the other side there",
                                 "%s: another %s waits there already (process %u)", t->name,
                                 t->role == STREAM_SENDER ? "sender" : "receiver", peer->pid));
    return MET;
}

/* Reads the greeting and leaves it in the pipe. */
static enum outcome hear(struct meeting *m)
{
    struct transfer *t = m->t;
    const void *data;
    uint64_t left;
    uint32_t len;
    int rc = mbr_pipe_peek(t->libos, t->qd, &data, &len, &left);

    while (rc == -EAGAIN) {
        rc = await_word(m);
        if (rc == -ETIMEDOUT || rc == -EINTR)
            return nobody_came(m, rc);
        rc = mbr_pipe_peek(t->libos, t->qd, &data, &len, &left);
    }
    if (rc == -ECONNRESET || rc == -ENODATA || rc == -EBADF)
        return GONE;
    if (rc < 0)
        return decide(m, tool_error_library(rc, "%s", t->name));
    /* A greeting of another length is no greeting; judge() then says so. */
    if (!transfer_copy(STREAM_HELLO, data, len, left, m->peer, sizeof(*m->peer)))
        memset(m->peer, 0, sizeof(*m->peer));
    return judge(m);
}

/* Greets. A creator's ring is empty; an opener's peer has just greeted. */
static enum outcome speak(struct meeting *m)
{
    int rc = transfer_put(m->t, &m->mine, sizeof(m->mine));

    if (rc == 0)
        return MET;
    if (rc == -ECONNRESET || rc == -ENODATA)
        return GONE;
    if (rc == -ETIMEDOUT || rc == -EINTR)
        return nobody_came(m, rc);
    return decide(m, tool_error_library(rc, "%s", m->t->name));
}

/* ---- opening ---- */

static enum outcome cannot_open(struct meeting *m, int error)
{
    int code;

    if (names_refused(error, m->t->name, &code))
        return decide(m, code);
    return decide(m, tool_error_library(error, "%s", m->t->name));
}

/* One attempt. *creator tells who greets first. 0 or a negative errno. */
static int open_or_create(struct transfer *t, bool *creator)
{
    const struct mbr_pipe_options options = {.size = sizeof(options), .capacity = t->capacity};
    int rc = mbr_pipe_open(t->libos, t->name, &options, &t->qd);

    *creator = rc == -ENOENT;
    if (*creator)
        rc = mbr_pipe_create(t->libos, t->name, &options, &t->qd);
    t->open = rc == 0;
    return rc;
}

static enum outcome greet(struct meeting *m, bool creator)
{
    enum outcome outcome = creator ? speak(m) : hear(m);

    if (outcome == MET)
        outcome = creator ? hear(m) : speak(m);
    if (outcome == MET) {
        /* Only now: an opener that could not answer leaves the greeting to the next one. */
        (void)mbr_pipe_release(m->t->libos, m->t->qd);
        (void)mbr_pipe_retire(m->t->libos, m->t->qd);
    } else {
        (void)mbr_close(m->t->libos, m->t->qd);
        m->t->open = false;
    }
    return outcome;
}

static enum outcome attempt(struct meeting *m)
{
    bool creator;
    int rc = open_or_create(m->t, &creator);

    if (rc == 0)
        return greet(m, creator);
    /* Two that created at once, a pair at work, or one that is about to leave. */
    if (rc == -EEXIST || rc == -EBUSY || rc == -ECONNRESET || rc == -ECONNREFUSED)
        return GONE;
    return cannot_open(m, rc);
}

int meet(struct transfer *t, uint64_t size, struct stream_hello *peer)
{
    struct meeting m = {
        .t = t,
        .mine = {.head = {STREAM_HELLO, sizeof(m.mine) - sizeof(m.mine.head)},
                 .magic = STREAM_MAGIC,
                 .version = STREAM_VERSION,
                 .role = t->role,
                 .size = size,
                 .pid = (uint32_t)getpid()},
        .peer = peer,
        .from = tool_now_ns(),
        .allowed = t->timeout_ns,
        .inotify = -1,
        .pause_ms = PAUSE_FIRST_MS,
    };
    enum outcome outcome;
    int names = mbr_names_path(m.names, sizeof(m.names));

    if (names < 0)
        return names_no_directory(names);
    while ((outcome = attempt(&m)) == GONE) {
        int rc = pause_until_change(&m);

        if (rc < 0) {
            outcome = nobody_came(&m, rc);
            break;
        }
    }
    if (m.inotify >= 0)
        (void)close(m.inotify);
    return outcome == MET ? TOOL_EXIT_OK : m.code;
}
