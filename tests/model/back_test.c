/* SPDX-License-Identifier: MIT */
/*
 * A connection that has moved into memory, and goes back to the kernel: all states of its two ends
 * (space.h). The real stream.c, leave.c, sleep.c and conn.c of the shim, over sockets with room for
 * a few bytes (back_kernel.c) and rings of two or four.
 *
 * What must hold: each end gets exactly the bytes that the other has sent, in their order, and what
 * was sent is never lost as long as both live; a bell is never taken for a byte, nor the other way
 * round; nobody sleeps for ever while there is something to be read, or room, without any nap's
 * running out that stream_shm.h does not speak of; an end is told that the stream is over when it
 * is, and that it is broken only if the other died, or closed without having read everything; a
 * connection that has gone back has in the kernel's queues what has not been read, and no bells.
 *
 * A program that is built with changed sources should find what is wrong with them:
 * back_mutants.py.
 */
#include "back_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "back.h"

#include "../../shim/real.h"

#define MOST 8 /* bytes that an operation moves at a time */

/* What each actor does, one letter for each operation: see act(). */
static const char *scripts[SPACE_ACTORS];

/* ---- the world ------------------------------------------------------------------------------- */

static bool within(const void *p, const void *from, size_t size)
{
    return (const char *)p >= (const char *)from && (const char *)p < (const char *)from + size;
}

/* What threads of one end look at without a lock. */
static bool is_for_threads(const void *word, uint32_t self)
{
    const struct shim_conn *c = &back.conn[self];
    const struct shim_half *h = &back.half[self];

    return word == &c->mode || word == &c->rx_ring || word == &c->tx_ring || word == &c->rx_end ||
           word == &c->asleep || word == &c->rung || word == &c->bell || word == &c->followers ||
           word == &c->pumps || word == &c->sleepers || word == &h->left || word == &h->frozen ||
           word == &h->rx_done || word == &h->head || word == &h->tail;
}

/* What an end says to the other goes through the buffer, what the other says is a point; what its
 * threads say to each other is both, if there are several. */
static bool is_shared(const void *word, const char *label)
{
    uint32_t self = back_self();

    if (back.alone)
        return false;
    if (within(word, &back.half[!self], sizeof(back.half[0])))
        return true;
    if (within(word, &back.half[self], offsetof(struct shim_half, skipped)) && label == NULL)
        return true;
    return back_knobs.crowd && is_for_threads(word, self);
}

static void reset(void)
{
    uint32_t of[SPACE_ACTORS];

    memcpy(of, back.of, sizeof(of));
    memset(&back, 0, sizeof(back));
    memcpy(back.of, of, sizeof(of));
    back.clock = 1;
    for (int e = 0; e < 2; e++) {
        struct shim_conn *c = &back.conn[e];

        c->object.kind = SHIM_CONN;
        c->object.refs = 2;
        c->mode = SHIM_ELIGIBLE;
        c->role = e == 0 ? SHIM_CLIENT : SHIM_SERVER;
        c->mine.fd = c->theirs.fd = -1;
        c->mine.base = back.ring[e];
        c->theirs.base = back.ring[!e];
        c->own = &back.half[e];
        c->peer = &back.half[!e];
        c->size = c->peer_size = back_knobs.ring;
        c->epoch = back.half[e].rx_parked = 1;
    }
}

static void killed(int actor)
{
    uint32_t e = back.of[actor];

    back.end[e].killed = back.end[e].closed = 1;
    back_close(e);
}

/* ---- what must hold -------------------------------------------------------------------------- */

/* Whether the other end may be told that the connection is broken by e, and may miss something. */
static bool is_broken_by(uint32_t e)
{
    const struct back_end *end = &back.end[e];

    return end->killed || (end->closed && end->got < back.end[!e].tried);
}

static void check_bytes(const uint8_t *bytes, size_t n)
{
    uint32_t self = back_self();

    for (uint32_t i = 0; i < n; i++) {
        uint32_t want = back.end[self].got + 1 + i;

        if (bytes[i] != want)
            space_violation("end %u gets %u, not byte %u", self, bytes[i], want);
        if (want > back.end[!self].tried)
            space_violation("end %u gets byte %u, which was never sent", self, want);
    }
}

static void check_over(ssize_t r)
{
    uint32_t self = back_self();
    struct back_end *me = &back.end[self];
    const struct back_end *other = &back.end[!self];

    me->over = 1;
    if (r == 0 && !other->closed && !other->shut)
        space_violation("end %u is told that the stream is over", self);
    if (r == 0 && me->got != other->sent && !is_broken_by(!self))
        space_violation("end %u is told that the stream is over after %u of %u bytes", self,
                        me->got, other->sent);
    if (r < 0 && (r != -ECONNRESET || !is_broken_by(!self)))
        space_violation("end %u cannot read: %zd", self, r);
}

/* ---- what the ends do ------------------------------------------------------------------------ */

static struct shim_conn *conn(void)
{
    return &back.conn[back_self()];
}

static int fd_of_self(void)
{
    return BACK_FD + (int)back_self();
}

static bool is_plain(void)
{
    return mbr_load_acquire(&conn()->mode) == SHIM_PLAIN;
}

static ssize_t do_receive(void *buf, size_t n, int flags)
{
    struct iovec iov = {buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r;

    if (!is_plain())
        return shim_receive(conn(), fd_of_self(), &iov, 1, flags);
    r = real.recvmsg(fd_of_self(), &m, flags);
    return r < 0 ? -errno : r;
}

/* Whether something was received. */
static bool receive(size_t n, int flags)
{
    struct back_end *me = &back.end[back_self()];
    uint8_t bytes[MOST] = {0};
    ssize_t r;

    if (me->over)
        return false;
    r = do_receive(bytes, n, flags);
    if (r == -EAGAIN && (flags & MSG_DONTWAIT))
        return false;
    if (r <= 0) {
        check_over(r);
        return false;
    }
    if (!(flags & MSG_TRUNC))
        check_bytes(bytes, (size_t)r);
    if (!(flags & MSG_PEEK))
        me->got += (uint32_t)r;
    space_progress();
    return true;
}

static void do_send(size_t n, int flags)
{
    uint32_t self = back_self();
    struct back_end *me = &back.end[self];
    uint8_t bytes[MOST];
    struct iovec iov = {bytes, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r;

    for (uint32_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(me->sent + 1 + i);
    me->tried = me->sent + (uint32_t)n;
    if (is_plain()) {
        r = real.sendmsg(fd_of_self(), &m, flags | MSG_NOSIGNAL);
        r = r < 0 ? -errno : r;
    } else {
        r = shim_send(conn(), fd_of_self(), &iov, 1, flags | MSG_NOSIGNAL);
    }
    me->sent += r > 0 ? (uint32_t)r : 0;
    me->tried = me->sent;
    if (r < 0 && !(r == -EAGAIN && (flags & MSG_DONTWAIT)) && !back.end[!self].closed)
        space_violation("end %u cannot send: %zd", self, r);
    space_progress();
}

static void commit(void)
{
    struct shim_conn *c = conn();

    mbr_store_relaxed(&c->mode, (uint32_t)SHIM_RING);
    mbr_store_release(&c->own->attached, (uint32_t)SHIM_ATTACH_DONE);
}

/* As shutdown() does it for an end that has moved. */
static void shut(void)
{
    struct shim_conn *c = conn();
    int fd = fd_of_self();

    back.end[back_self()].shut = 1;
    if (is_plain() || (!shim_upgrade_done(c))) {
        (void)real.shutdown(fd, SHUT_WR);
        return;
    }
    (void)shim_lock(c, &c->tx, true);
    shim_shut_more(c, SHIM_SHUT_WR);
    if (!c->tx_ring && !shim_switch_tx(c)) {
        (void)real.shutdown(fd, SHUT_WR);
    } else {
        if (shim_unsettled(c))
            shim_settle_tx(c, fd, false);
        if (!shim_has_left(c->own))
            shim_send_end(c, fd);
    }
    shim_unlock(&c->tx);
}

static void finish(void)
{
    back.end[back_self()].closed = 1;
    if (!is_plain())
        shim_conn_bye(conn(), fd_of_self());
    space_fence();
    space_point("close");
    back_close(back_self());
    space_progress();
}

static void go_back(bool alone)
{
    struct back_end *me = &back.end[back_self()];

    if (is_plain() || !shim_upgrade_done(conn()))
        return;
    if (!shim_return(conn(), fd_of_self(), alone))
        me->failed++;
    else if (!is_plain())
        space_violation("end %u is back, and is not", back_self());
    space_progress();
}

static void act(char op)
{
    switch (op) {
    case 'm': /* the client commits: from now on both may move */
        commit();
        break;
    case 's':
    case 'S':
    case 'T':
        do_send(op == 's' ? 1 : op == 'S' ? 2 : 3, 0);
        break;
    case 'n':
    case 'N':
        do_send(op == 'n' ? 1 : 2, MSG_DONTWAIT);
        break;
    case 'r':
    case 'R':
        (void)receive(op == 'r' ? 1 : 3, 0);
        break;
    case 'q':
        (void)receive(2, MSG_DONTWAIT);
        break;
    case 'p':
        (void)receive(1, MSG_PEEK);
        break;
    case 't':
        (void)receive(1, MSG_TRUNC);
        break;
    case 'a':
        (void)receive(2, MSG_WAITALL);
        break;
    case 'E': /* to the end */
        while (receive(2, 0))
            ;
        break;
    case 'l':
        if (!is_plain() && shim_upgrade_done(conn()))
            (void)shim_leave(conn(), fd_of_self(), mbr__deadline_ns(SHIM_RETURN_NS));
        break;
    case 'x':
    case 'X': /* without looking at other threads */
        go_back(op == 'X');
        break;
    case 'f':
        shut();
        break;
    case 'c':
        finish();
        break;
    default:
        abort();
    }
}

/* After all others: nothing is lost. */
static void check_all(int actor)
{
    back.alone = 1;
    for (int round = 0; round < 4; round++) {
        for (uint32_t e = 0; e < 2; e++) {
            back.of[actor] = e;
            if (back.end[e].closed)
                continue;
            if (!is_plain())
                (void)shim_settle(conn(), fd_of_self());
            while (receive(3, MSG_DONTWAIT))
                ;
        }
    }
    for (uint32_t e = 0; e < 2; e++) {
        const struct back_end *end = &back.end[e];

        if (!end->closed && end->got != back.end[!e].sent && !is_broken_by(!e))
            space_violation("end %u has got %u of %u bytes", e, end->got, back.end[!e].sent);
        if (!end->closed && !end->over && (back.end[!e].closed || back.end[!e].shut))
            space_violation("end %u does not hear of the end", e);
    }
}

static void run(int actor)
{
    const char *op = scripts[actor];

    if (op == NULL) {
        check_all(actor);
        return;
    }
    for (; *op != 0; op++)
        act(*op);
}

/* ---- cases ----------------------------------------------------------------------------------- */

/*
 * Two scripts, and what is put into them, one letter at a time, at every place behind the
 * commitment and before the end: so one end, or both at once, leaves or returns at each point of
 * the conversation. A script that begins with a digit belongs to that end, as another thread.
 */
struct kase {
    const char *name;
    const char *scripts[SPACE_ACTORS - 1];
    const char *more[2]; /* letters for ends 0 and 1 */
    bool kills;          /* any end may be, once */
    bool restless;
    bool slow;
    uint32_t ring;     /* 0 is 2 bytes */
    uint32_t room;     /* 0 is 3 bytes */
    uint32_t enlarged; /* 0 is 12 */
    bool full;         /* many states */
    bool bounded;      /* too many to look at all of them */
};

static const struct kase kases[] = {
    {.name = "a byte, and the end", .scripts = {"msE", "rc"}, .more = {"x", "x"}},
    {.name = "a byte before the ring", .scripts = {"smsE", "rrc"}, .more = {"", "x"}},
    {.name = "into a full ring", .scripts = {"mTE", "rrrc"}, .more = {"", ""}},
    {.name = "without waiting", .scripts = {"mNE", "qqc"}, .more = {"", "x"}},
    {.name = "peeking", .scripts = {"mSE", "prrc"}, .more = {"", "x"}},
    {.name = "throwing away", .scripts = {"mSE", "trc"}, .more = {"x", ""}},
    {.name = "restless", .scripts = {"msE", "rc"}, .more = {"", "x"}, .restless = true},
    {.name = "a killed end", .scripts = {"msc", "rE"}, .more = {"x", ""}, .kills = true},
    {.name = "no room in the kernel",
     .scripts = {"mSlsE", "rrrc"},
     .more = {"", ""},
     .room = 1,
     .enlarged = 1},
    {.name = "bytes under way", .scripts = {"msE", "rc"}, .more = {"", ""}, .slow = true},

    {.name = "both write", .scripts = {"msrE", "src"}, .more = {"lx", "lx"}, .full = true},
    {.name = "two bytes, an answer",
     .scripts = {"mssE", "rrsc"},
     .more = {"lx", "lx"},
     .full = true},
    {.name = "a longer way before the ring",
     .scripts = {"ssmsE", "rrrc"},
     .more = {"lx", "lx"},
     .full = true},
    /* Without kills: a reader that is killed after it has taken the last bytes from before the
     * ring, and before it has said so, leaves a writer without room waiting (docs/shim.md). */
    {.name = "reading more than one byte",
     .scripts = {"smSsc", "RRRRc"},
     .more = {"l", ""},
     .full = true},
    {.name = "all in one", .scripts = {"mSE", "asc"}, .more = {"lx", "lx"}, .full = true},
    {.name = "half closed", .scripts = {"msfE", "rEc"}, .more = {"lx", "lx"}, .full = true},
    {.name = "half closed the other way",
     .scripts = {"msE", "rfc"},
     .more = {"lx", "lx"},
     .full = true},
    {.name = "closing at once", .scripts = {"mssc", "E"}, .more = {"lx", "lx"}, .full = true},
    {.name = "into a full ring, both",
     .scripts = {"mTE", "rrrc"},
     .more = {"lx", "lx"},
     .full = true},
    {.name = "a ring of four",
     .scripts = {"mTTE", "rrrrrrc"},
     .more = {"l", "x"},
     .ring = 4,
     .full = true},
    {.name = "killed at any point",
     .scripts = {"msc", "rE"},
     .more = {"lx", "lx"},
     .kills = true,
     .full = true},
    {.name = "killed, bytes before the ring",
     .scripts = {"ssmsc", "rE"},
     .more = {"lx", "lx"},
     .kills = true,
     .full = true},
    {.name = "killed, bytes under way",
     .scripts = {"msc", "rE"},
     .more = {"lx", "x"},
     .kills = true,
     .slow = true,
     .full = true},
    {.name = "bytes under way, both",
     .scripts = {"msE", "rc"},
     .more = {"lx", "lx"},
     .slow = true,
     .full = true},
    {.name = "restless, both",
     .scripts = {"mssE", "rrc"},
     .more = {"lx", "lx"},
     .restless = true,
     .full = true},
    {.name = "no room, restless",
     .scripts = {"mSsE", "rrrc"},
     .more = {"lx", "x"},
     .restless = true,
     .room = 1,
     .enlarged = 1,
     .full = true},
    {.name = "a thread that reads, one that returns",
     .scripts = {"msc", "rE", "1x"},
     .more = {"", ""},
     .full = true,
     .bounded = true},
    {.name = "a thread that reads, one that leaves",
     .scripts = {"msc", "rE", "1l"},
     .more = {"", ""},
     .full = true,
     .bounded = true},
};

#define LIMIT         UINT64_C(8000000) /* states */
#define SCRIPT_LENGTH 16

static const struct space_range memory[] = {{&back, sizeof(back)}, {NULL, 0}};

static bool deep;
static bool stop_at_once;

static struct space_tally explore(const struct kase *k, const char *name, int actors)
{
    struct space_case c = {.name = name,
                           .actors = actors + 1,
                           .reset = reset,
                           .run = run,
                           .killed = killed,
                           .kills = k->kills,
                           .restless = k->restless,
                           .idle = 200, /* a second, in naps */
                           .clock = &back.clock,
                           .may_happen = k->slow ? back_may_arrive : NULL,
                           .happen = back_arrive};

    for (int i = 0; i < actors; i++)
        c.mortal[i] = true;
    c.last[actors] = true;
    scripts[actors] = NULL;
    space_memory = memory;
    space_is_shared = is_shared;
    return space_explore(&c, LIMIT);
}

/* How many scripts there are with one of `more` in it, and without. */
static int variants(const char *base, const char *more)
{
    const char *commit = strchr(base, 'm');
    size_t first = commit != NULL ? (size_t)(commit - base) + 1 : 0;
    size_t end = strlen(base) - (strchr("cE", base[strlen(base) - 1]) != NULL);

    return 1 + (int)(strlen(more) * (end + 1 - first));
}

static void variant(const char *base, const char *more, int number, char *out)
{
    const char *commit = strchr(base, 'm');
    size_t at = commit != NULL ? (size_t)(commit - base) + 1 : 0;
    size_t n = strlen(more);

    if (number == 0) {
        memcpy(out, base, strlen(base) + 1);
        return;
    }
    at += (size_t)(number - 1) / n;
    memcpy(out, base, at);
    out[at] = more[(size_t)(number - 1) % n];
    memcpy(out + at + 1, base + at, strlen(base) - at + 1);
}

/* The states of one choice of scripts. */
static void explore_scripts(const struct kase *k, const char *const *chosen,
                            struct space_tally *sum)
{
    char name[100];
    int actors = 0;
    struct space_tally t;

    memset(back.of, 0, sizeof(back.of));
    for (; actors < SPACE_ACTORS - 1 && chosen[actors] != NULL; actors++) {
        const char *script = chosen[actors];

        back.of[actors] = actors < 2 ? (uint32_t)actors : (uint32_t)(script[0] - '0');
        scripts[actors] = script + (actors >= 2);
    }
    back_knobs.crowd = actors > 2;
    snprintf(name, sizeof(name), "%s: %s %s", k->name, chosen[0], chosen[1]);
    t = explore(k, name, actors);
    sum->states += t.states;
    sum->transitions += t.transitions;
    sum->violated |= t.violated;
    sum->complete &= t.complete;
    if (t.deepest > sum->deepest)
        sum->deepest = t.deepest;
}

static void explore_case(void **state)
{
    const struct kase *k = *state;
    char one[SCRIPT_LENGTH], two[SCRIPT_LENGTH];
    const char *chosen[SPACE_ACTORS] = {one, two, k->scripts[2]};
    struct space_tally sum = {.complete = true};

    back_knobs = (struct back_knobs){.ring = k->ring ? k->ring : 2,
                                     .room = k->room ? k->room : 3,
                                     .enlarged = k->enlarged ? k->enlarged : 12,
                                     .slow = k->slow};
    for (int i = 0; i < variants(k->scripts[0], k->more[0]) && !sum.violated; i++) {
        for (int j = 0; j < variants(k->scripts[1], k->more[1]) && !sum.violated; j++) {
            variant(k->scripts[0], k->more[0], i, one);
            variant(k->scripts[1], k->more[1], j, two);
            explore_scripts(k, chosen, &sum);
        }
    }
    printf("  %s: %llu states, %llu transitions, depth %u%s\n", k->name,
           (unsigned long long)sum.states, (unsigned long long)sum.transitions, sum.deepest,
           sum.complete ? "" : ", not all");
    fflush(stdout);
    if (sum.violated && stop_at_once)
        exit(1);
    assert_false(sum.violated);
    assert_true(sum.complete || k->full); /* some of those have more states than are looked at */
}

/* `full` looks at all cases, `first` at all but those that are too many, up to the first violation;
 * a name at that case. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[sizeof(kases) / sizeof(kases[0])];
    size_t n = 0;

    deep = argc > 1 && strcmp(argv[1], "full") == 0;
    stop_at_once = argc > 1 && strcmp(argv[1], "first") == 0;
    back_kernel_init();
    for (size_t i = 0; i < sizeof(kases) / sizeof(kases[0]); i++) {
        bool wanted = !kases[i].full || deep || (stop_at_once && !kases[i].bounded);

        if (argc > 2)
            wanted = strcmp(argv[2], kases[i].name) == 0;
        if (wanted)
            tests[n++] = (struct CMUnitTest){.name = kases[i].name,
                                             .test_func = explore_case,
                                             .initial_state = (void *)(uintptr_t)&kases[i]};
    }
    return _cmocka_run_group_tests("back", tests, n, NULL, NULL);
}
