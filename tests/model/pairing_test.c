/* SPDX-License-Identifier: MIT */
/*
 * Sockets of catloop under every schedule: servers that bind, listen, accept and close and clients
 * that connect, talk and close run the real code in the world of session_world.h, are preempted at
 * any step and killed at any step, and what they have seen is judged at the end.
 *
 *   - never two living owners of an address, never more in a queue than its backlog;
 *   - every connect of a survivor ends: with success, or refused, and refused only if the queue was
 *     full or nobody was there at some time;
 *   - who is connected talks to the one it connected to: what it says of itself comes back, and the
 *     server sees its address; a connection is accepted once;
 *   - a server that goes on serves everybody who is connected; a client is told when it dies or
 *     closes;
 *   - nobody who ends leaves a descriptor or memory behind;
 *   - afterwards a newcomer can bind the address, and mbr_gc() leaves the directory empty.
 *
 * The argument `full` goes deeper. Not here: how data travels (session_test.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include <membrane/socket.h>

#include "queue/catloop/catloop.h"
#include "session_world.h"

#define PATIENCE UINT64_C(1000000000000) /* of every wait: longer than anything helps itself */
#define ROUNDS   2                       /* connections of a client, at most */

/* What a script does, as bits of its argument; the lowest four are a server's backlog. */
#define BACKLOG   15
#define TWICE     16   /* a client: connects again afterwards */
#define SILENT    32   /* a client: closes as soon as it is connected */
#define IMPATIENT 64   /* a client: closes before it has waited for its connect */
#define ONE       128  /* a server: closes after the first connection */
#define NONE      256  /* a server: closes without an accept */
#define EXIT      512  /* leaves the close to that of its instance */
#define AT_ONCE   1024 /* a client: does not wait until somebody listens */
#define CLOSES    2048 /* a server: closes connections without reading them */

static bool deep;

/* What the scripts have done and seen, beside the world's log. */
struct seen {
    bool server;
    bool owns;  /* the address */
    bool tried; /* has listened, or could not */
    int backlog, listener;
    int connects[ROUNDS];   /* results; NOT_TRIED */
    int exchanges[ROUNDS];  /* 0 the answer came; or how it ended */
    uint16_t ports[ROUNDS]; /* own ones */
    int served[ACTORS_MAX][ROUNDS];
    int bound;
    int ended; /* connections that the server has closed */
};

static struct seen seen[ACTORS_MAX];

static struct seen *of(const struct actor *a)
{
    return &seen[a - actors];
}

static struct sockaddr_in address(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* ---- what scripts do ------------------------------------------------------------------------- */

static void open_libos(struct actor *a)
{
    const struct mbr_libos_options options = {.size = sizeof(options), .capacity = 4096};

    if (mbr_libos_open("catloop", &options, &a->libos) != 0)
        world_violation("no instance");
}

static void close_libos(struct actor *a)
{
    mbr_libos_close(a->libos);
    a->libos = NULL;
}

static int wait_for(struct actor *a, demi_qtoken_t qt, demi_qresult_t *qr)
{
    uint64_t patience = PATIENCE + (uint64_t)a->number; /* not all at the same moment */
    uint64_t before = world_now();
    int r;

    world_step("wait");
    r = mbr_wait(a->libos, qt, patience, qr);
    if (r != -ETIMEDOUT && world_now() - before >= patience)
        world_violation("%s slept although there was something to do", a->name);
    return r == 0 && qr->qr_opcode == DEMI_OPC_FAILED ? -(int)qr->qr_ret : r;
}

/* Who talks, in which of its connections, and from where. */
struct token {
    uint8_t actor, round;
    uint16_t port;
};

static int push_token(struct actor *a, int qd, struct token t)
{
    demi_sgarray_t sga = mbr_sga_alloc(sizeof(t));
    demi_qresult_t qr;
    demi_qtoken_t qt;

    memcpy(sga.sga_segs[0].sgaseg_buf, &t, sizeof(t));
    world_step("push");
    int r = mbr_push(a->libos, qd, &sga, &qt);

    if (r == 0)
        r = wait_for(a, qt, &qr);
    mbr_sga_free(&sga);
    world_note("push %d", r);
    return r;
}

/* 0, END_FILE, END_WAITS or a negative errno. */
static int pop_token(struct actor *a, int qd, struct token *t)
{
    demi_qresult_t qr;
    demi_qtoken_t qt;

    world_step("pop");
    int r = mbr_pop(a->libos, qd, 0, &qt);

    if (r == 0)
        r = wait_for(a, qt, &qr);
    world_note("pop %d", r);
    if (r < 0)
        return r == -ETIMEDOUT ? END_WAITS : r;
    const demi_sgaseg_t *seg = &qr.qr_value.sga.sga_segs[0];

    if (seg->sgaseg_len == 0)
        r = END_FILE;
    else if (seg->sgaseg_len != sizeof(*t))
        world_violation("%s popped what nobody pushed", a->name);
    else
        memcpy(t, seg->sgaseg_buf, sizeof(*t));
    mbr_sga_free(&qr.qr_value.sga);
    return r;
}

static void close_queue(struct actor *a, int qd)
{
    world_step("close");
    int r = mbr_close(a->libos, qd);

    if (r != 0)
        world_violation("%s: close returns %d", a->name, r);
}

/* ---- servers --------------------------------------------------------------------------------- */

static int start_server(struct actor *a)
{
    struct sockaddr_in addr = address();
    struct seen *s = of(a);

    s->server = true;
    s->backlog = a->argument & BACKLOG;
    open_libos(a);
    if (mbr_socket(a->libos, AF_INET, SOCK_STREAM, 0, &s->listener) != 0)
        world_violation("%s: no socket", a->name);
    world_step("bind");
    s->bound = mbr_bind(a->libos, s->listener, (struct sockaddr *)&addr, sizeof(addr));
    world_note("bind %d", s->bound);
    s->tried = s->bound < 0;
    if (s->bound < 0)
        return s->bound;
    s->owns = true;
    world_step("listen");
    int r = mbr_listen(a->libos, s->listener, s->backlog);

    if (r != 0)
        world_violation("%s: listen returns %d", a->name, r);
    s->tried = true;
    return r;
}

/* A connection from its accept to its end. */
static void serve(struct actor *a, const demi_accept_result_t *accepted)
{
    struct seen *s = of(a);
    struct sockaddr_in from = accepted->addr;
    struct token t = {0};
    int qd = accepted->qd;
    int r = (a->argument & CLOSES) != 0 ? END_FILE : pop_token(a, qd, &t);

    if (r == 0 && (t.actor >= nactors || t.round >= ROUNDS)) {
        world_violation("%s popped what nobody pushed", a->name);
        r = END_FILE;
    }
    if (r == 0 && ntohs(from.sin_port) != t.port)
        world_violation("%s accepted a connection of port %u, but who talks has %u", a->name,
                        ntohs(from.sin_port), t.port);
    if (r == 0 && ++s->served[t.actor][t.round] != 1)
        world_violation("%s accepted a connection of %s twice", a->name, actors[t.actor].name);
    if (r == 0)
        r = push_token(a, qd, t);
    if (r == 0)
        r = pop_token(a, qd, &t);
    if (r == END_WAITS)
        world_violation("%s is not told of the end of a connection", a->name);
    if (r < 0 && r != -ECONNRESET && r != -EPIPE)
        world_violation("%s: a connection fails with %d", a->name, r);
    close_queue(a, qd);
    s->ended++;
}

/* Accepts until nobody comes any more. */
static void accept_all(struct actor *a)
{
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int left = (a->argument & NONE) != 0 ? 0 : (a->argument & ONE) != 0 ? 1 : 100;

    while (left-- > 0) {
        world_step("accept");
        int r = mbr_accept(a->libos, of(a)->listener, &qt);

        if (r == 0)
            r = wait_for(a, qt, &qr);
        world_note("accept %d", r);
        if (r == -ETIMEDOUT)
            return;
        if (r < 0) {
            world_violation("%s: accept fails with %d", a->name, r);
            return;
        }
        serve(a, &qr.qr_value.ares);
    }
}

static bool others_done(void)
{
    for (int i = 0; i < nactors; i++) {
        if (!seen[i].server && actor_lives(&actors[i]) && !actors[i].last)
            return false;
    }
    return true;
}

/* Whoever has closed its listener still waits for something, now and then. */
static void go_on(struct actor *a)
{
    demi_qresult_t qr;
    int offset;

    while (!others_done())
        (void)mbr_wait_any(a->libos, &(demi_qtoken_t){0}, 0, PATIENCE * 2, &qr, &offset);
}

static void server(struct actor *a)
{
    if (start_server(a) == 0)
        accept_all(a);
    of(a)->owns = false;
    if ((a->argument & EXIT) == 0) {
        close_queue(a, of(a)->listener);
        go_on(a);
    }
    close_libos(a);
}

/* ---- clients --------------------------------------------------------------------------------- */

/* Until all servers listen, or have, or are dead. */
static bool all_listen(void *arg)
{
    (void)arg;
    for (int i = 0; i < nactors; i++) {
        if (seen[i].server && actor_lives(&actors[i]) && !seen[i].tried)
            return false;
    }
    return true;
}

static int connect_once(struct actor *a, int qd, int round)
{
    struct sockaddr_in to = address();
    struct sockaddr_in mine = {0};
    socklen_t size = sizeof(mine);
    demi_qresult_t qr;
    demi_qtoken_t qt;

    world_step("connect");
    int r = mbr_connect(a->libos, qd, (struct sockaddr *)&to, sizeof(to), &qt);

    if (r == 0 && (a->argument & IMPATIENT) != 0)
        return NOT_TRIED;
    if (r == 0)
        r = wait_for(a, qt, &qr);
    world_note("connect %d", r);
    if (r == 0 && mbr_getsockname(a->libos, qd, (struct sockaddr *)&mine, &size) != 0)
        world_violation("%s: no name", a->name);
    of(a)->ports[round] = ntohs(mine.sin_port);
    return r;
}

/* Says who it is, and wants to hear that again. */
static int exchange(struct actor *a, int qd, int round)
{
    struct token mine = {(uint8_t)a->number, (uint8_t)round, of(a)->ports[round]};
    struct token back = {0};
    int r = push_token(a, qd, mine);

    if (r == 0)
        r = pop_token(a, qd, &back);
    if (r == 0 && memcmp(&mine, &back, sizeof(mine)) != 0)
        world_violation("%s was matched to %s", a->name,
                        back.actor < nactors ? actors[back.actor].name : "nobody");
    return r;
}

/* Until a server has closed a connection, or nobody can go on. */
static bool one_ended(void *arg)
{
    for (int i = 0; i < nactors; i++) {
        if (seen[i].ended > 0)
            return true;
    }
    return world_quiet(arg);
}

/* Between connections: so that the next one finds what the last one has left. */
static void pause_between(struct actor *a)
{
    demi_qresult_t qr;
    int offset;

    a->late = true;
    (void)world_block("pause", one_ended, a, UINT64_MAX);
    a->late = false;
    (void)mbr_wait_any(a->libos, &(demi_qtoken_t){0}, 0, 0, &qr, &offset);
}

static void client(struct actor *a)
{
    struct seen *s = of(a);
    int rounds = (a->argument & TWICE) != 0 ? 2 : 1;

    open_libos(a);
    if ((a->argument & AT_ONCE) == 0)
        (void)world_block("later", all_listen, NULL, UINT64_MAX);
    for (int round = 0; round < rounds; round++) {
        int qd = -1;

        if (round > 0)
            pause_between(a);
        if (mbr_socket(a->libos, AF_INET, SOCK_STREAM, 0, &qd) != 0)
            world_violation("%s: no socket", a->name);
        s->connects[round] = connect_once(a, qd, round);
        if (s->connects[round] == 0 && (a->argument & SILENT) == 0)
            s->exchanges[round] = exchange(a, qd, round);
        if ((a->argument & EXIT) == 0)
            close_queue(a, qd);
    }
    close_libos(a);
}

static void newcomer(struct actor *a)
{
    struct sockaddr_in addr = address();
    const char *left = NULL;
    int qd = -1;

    open_libos(a);
    int r = mbr_socket(a->libos, AF_INET, SOCK_STREAM, 0, &qd);

    if (r == 0)
        r = mbr_bind(a->libos, qd, (struct sockaddr *)&addr, sizeof(addr));
    if (r == 0)
        r = mbr_listen(a->libos, qd, 1);
    if (r == 0)
        r = mbr_close(a->libos, qd);
    if (r != 0)
        world_violation("a newcomer cannot have the address: %d", r);
    close_libos(a);
    r = mbr_gc(0, NULL, NULL);
    if (r < 0 || shm_entries(&left) != 0)
        world_violation("mbr_gc() returns %d and leaves %s", r, left == NULL ? "nothing" : left);
}

/* ---- what must hold -------------------------------------------------------------------------- */

static void watch(void)
{
    int owners = 0;

    for (int i = 0; i < nactors; i++) {
        if (!actor_lives(&actors[i]) || !seen[i].owns)
            continue;
        owners++;
        struct mbr__sock *s = mbr__libos_sock(actors[i].libos, seen[i].listener);

        if (s != NULL && s->state.current == MBR__SOCK_LISTENING &&
            s->u.loop->queued > seen[i].backlog)
            world_violation("%s: %d in a queue for %d", actors[i].name, s->u.loop->queued,
                            seen[i].backlog);
    }
    if (owners > 1)
        world_violation("two own the address");
}

static bool killed(const struct actor *a)
{
    return a->state == ACTOR_KILLED;
}

/* Whether everybody could have been served: one server, that goes on to the end. */
static bool served_by_all(void)
{
    int bound = 0;

    for (int i = 0; i < nactors; i++) {
        if (!seen[i].server || seen[i].bound < 0)
            continue;
        bound++;
        if (killed(&actors[i]) || (actors[i].argument & (ONE | NONE | EXIT | CLOSES)) != 0)
            return false;
    }
    return bound == 1;
}

static int room(void)
{
    int most = 0;

    for (int i = 0; i < nactors; i++)
        most = seen[i].backlog > most ? seen[i].backlog : most;
    return most;
}

static int clients(void)
{
    int n = 0;

    for (int i = 0; i < nactors; i++)
        n += !seen[i].server && !actors[i].last;
    return n;
}

static void judge_round(const struct actor *a, int round)
{
    const struct seen *s = of(a);
    int r = s->connects[round];
    int e = s->exchanges[round];
    int served = 0;

    for (int i = 0; i < nactors; i++)
        served += seen[i].served[a->number][round];
    if (r != 0 && r != NOT_TRIED && r != -ECONNREFUSED)
        world_violation("%s: connect fails with %d", a->name, r);
    if (r == -ECONNREFUSED && served_by_all() && room() >= clients() &&
        (a->argument & AT_ONCE) == 0)
        world_violation("%s is refused although there was room", a->name);
    if (r != 0 && served > 0)
        world_violation("%s was served without being connected", a->name);
    if (r != 0 || e == NOT_TRIED)
        return;
    if (e != 0 && served_by_all())
        world_violation("%s is connected and not served: %d", a->name, e);
    if (e == END_WAITS)
        world_violation("%s waits for an answer for ever", a->name);
    if (e < 0 && e != -ECONNRESET && e != -EPIPE)
        world_violation("%s: its connection fails with %d", a->name, e);
    if (e == 0 && served != 1)
        world_violation("%s was answered by nobody", a->name);
}

static void check(void)
{
    for (int i = 0; i < nactors; i++) {
        const struct actor *a = &actors[i];

        if (seen[i].server && seen[i].bound != 0 && seen[i].bound != NOT_TRIED &&
            seen[i].bound != -EADDRINUSE)
            world_violation("%s: bind fails with %d", a->name, seen[i].bound);
        if (seen[i].server || a->last || killed(a))
            continue;
        for (int round = 0; round < ROUNDS; round++)
            judge_round(a, round);
    }
}

/* ---- scenarios ------------------------------------------------------------------------------- */

static void add(const char *name, void (*script)(struct actor *), int argument)
{
    seen[nactors] = (struct seen){.server = script == server,
                                  .listener = -1,
                                  .bound = NOT_TRIED,
                                  .connects = {NOT_TRIED, NOT_TRIED},
                                  .exchanges = {NOT_TRIED, NOT_TRIED}};
    actors[nactors++] = (struct actor){.name = name,
                                       .script = script,
                                       .argument = argument,
                                       .immortal = script == newcomer,
                                       .last = script == newcomer};
}

static void one_client(void)
{
    add("S", server, 4);
    add("A", client, 0);
    add("N", newcomer, 0);
}

static void one_client_twice(void)
{
    add("S", server, 4);
    add("A", client, TWICE);
    add("N", newcomer, 0);
}

static void two_clients(void)
{
    add("S", server, 4);
    add("A", client, 0);
    add("B", client, 0);
    add("N", newcomer, 0);
}

static void two_clients_twice(void)
{
    add("S", server, 4);
    add("A", client, TWICE);
    add("B", client, TWICE);
    add("N", newcomer, 0);
}

static void room_for_one(void)
{
    add("S", server, 1);
    add("A", client, 0);
    add("B", client, 0);
    add("C", client, 0);
    add("N", newcomer, 0);
}

static void silent_client(void)
{
    add("S", server, 4);
    add("A", client, SILENT | TWICE);
    add("B", client, 0);
    add("N", newcomer, 0);
}

static void impatient_client(void)
{
    add("S", server, 4);
    add("A", client, IMPATIENT | TWICE);
    add("B", client, 0);
    add("N", newcomer, 0);
}

static void ending_client(void)
{
    add("S", server, 4);
    add("A", client, SILENT | EXIT);
    add("B", client, EXIT);
    add("N", newcomer, 0);
}

static void early_client(void)
{
    add("S", server, 4);
    add("A", client, AT_ONCE | TWICE);
    add("N", newcomer, 0);
}

static void server_of_one(void)
{
    add("S", server, 4 | ONE);
    add("A", client, TWICE);
    add("B", client, 0);
    add("N", newcomer, 0);
}

static void server_of_none(void)
{
    add("S", server, 4 | NONE);
    add("A", client, TWICE);
    add("B", client, 0);
    add("N", newcomer, 0);
}

static void server_that_closes(void)
{
    add("S", server, 4 | CLOSES);
    add("A", client, TWICE);
    add("N", newcomer, 0);
}

static void silence_on_both_sides(void)
{
    add("S", server, 4 | CLOSES);
    add("A", client, SILENT | TWICE);
    add("B", client, TWICE);
    add("N", newcomer, 0);
}

static void ending_server(void)
{
    add("S", server, 4 | ONE | EXIT);
    add("A", client, 0);
    add("B", client, 0);
    add("N", newcomer, 0);
}

static void server_that_ends_at_once(void)
{
    add("S", server, 4 | NONE | EXIT);
    add("A", client, TWICE);
    add("N", newcomer, 0);
}

static void two_servers(void)
{
    add("S", server, 4);
    add("T", server, 4);
    add("A", client, 0);
    add("N", newcomer, 0);
}

static void server_and_successor(void)
{
    add("S", server, 4 | ONE);
    add("T", server, 4);
    add("A", client, TWICE);
    add("B", client, 0);
    add("N", newcomer, 0);
}

static void full_mailbox(void)
{
    two_clients();
    knobs.post_room = 1;
}

static void without_proc(void)
{
    two_clients();
    knobs.no_proc = true;
}

static void hidden_processes(void)
{
    two_clients();
    knobs.no_proc = true;
    knobs.no_pidfd = true;
}

struct case_ {
    const char *name;
    void (*setup)(void);
    bool small; /* goes deeper also in the quick walk */
};

static const struct case_ cases[] = {
    {"one client", one_client, true},
    {"one client, twice", one_client_twice, true},
    {"two clients", two_clients, false},
    {"two clients, twice", two_clients_twice, false},
    {"room for one", room_for_one, false},
    {"a silent client", silent_client, false},
    {"an impatient client", impatient_client, false},
    {"clients that end", ending_client, false},
    {"a client that comes early", early_client, true},
    {"a server of one", server_of_one, false},
    {"a server of none", server_of_none, false},
    {"a server that closes", server_that_closes, true},
    {"silence on both sides", silence_on_both_sides, false},
    {"a server that ends", ending_server, false},
    {"a server that ends at once", server_that_ends_at_once, true},
    {"two servers", two_servers, true},
    {"a server and its successor", server_and_successor, false},
    {"a full mailbox", full_mailbox, false},
    {"without /proc", without_proc, false},
    {"hidden processes", hidden_processes, false},
};

/* Delays and kills; the shallowest first, so that the first schedule found is a short one. */
static const int quick_bounds[][2] = {{0, 0}, {1, 0}, {0, 1}};
static const int small_bounds[][2] = {{1, 1}};
static const int full_bounds[][2] = {{0, 2}};
static const int small_full_bounds[][2] = {{2, 0}};

static void walk(const struct scenario *s, const int (*bounds)[2], size_t n, struct tally *tally)
{
    for (size_t i = 0; i < n; i++)
        world_explore(s, bounds[i][0], bounds[i][1], tally);
}

static void explore(void **state)
{
    const struct case_ *k = *state;
    const struct scenario s = {.name = k->name, .setup = k->setup, .check = check, .watch = watch};
    struct tally tally = {0};

    walk(&s, quick_bounds, sizeof(quick_bounds) / sizeof(quick_bounds[0]), &tally);
    if (k->small || deep)
        walk(&s, small_bounds, sizeof(small_bounds) / sizeof(small_bounds[0]), &tally);
    if (deep)
        walk(&s, full_bounds, sizeof(full_bounds) / sizeof(full_bounds[0]), &tally);
    if (k->small && deep)
        walk(&s, small_full_bounds, sizeof(small_full_bounds) / sizeof(small_full_bounds[0]),
             &tally);
    print_message("  %s: %llu schedules, %llu steps\n", k->name,
                  (unsigned long long)tally.schedules, (unsigned long long)tally.steps);
    assert_int_equal(tally.violations, 0);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[sizeof(cases) / sizeof(cases[0])];
    size_t n = 0;

    deep = argc > 1 && strcmp(argv[1], "full") == 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (argc > 2 && strcmp(argv[2], cases[i].name) != 0)
            continue;
        tests[n++] = (struct CMUnitTest){.name = cases[i].name,
                                         .test_func = explore,
                                         .initial_state = (void *)(uintptr_t)&cases[i]};
    }
    return _cmocka_run_group_tests("pairing", tests, n, NULL, NULL);
}
