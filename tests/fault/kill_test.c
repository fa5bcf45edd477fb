/* SPDX-License-Identifier: MIT */
/*
 * Random deaths: a long-lived survivor meets one victim after the other; each is killed with -9
 * after a random number of messages and a random moment more. The survivor must learn of each death
 * as ECONNRESET, however it was busy or asleep then; what the victim knew to be pushed must have
 * been popped, whole and in order; nothing may be left but names of the dead. The argument is the
 * number of deaths. Not here: orderly ends, hostile peers (hostile_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../multi/native_util.h"

#include <cmocka.h>

static uint64_t deaths = 1000;

/* All choices of one round; the same in every process. */
struct round {
    uint64_t random; /* for sizes */
    bool victim_creates;
    bool victim_pushes, victim_pops; /* at least one */
    uint64_t kill_after;             /* messages of the victim; 0: perhaps before it has a pipe */
    uint64_t spins;                  /* and so much longer */
    char name[16];
};

static struct round round_of(uint64_t index)
{
    uint64_t random = stage_seed() + index * 1000003;
    struct round r = {.random = 0};

    r.victim_creates = stage_below(&random, 2);
    uint64_t ways = 1 + stage_below(&random, 3);
    r.victim_pushes = ways & 1;
    r.victim_pops = ways & 2;
    /* One in eight is killed while pipes are made and opened. */
    r.kill_after = stage_below(&random, 8) ? 1 + stage_below(&random, 60) : 0;
    r.spins = stage_below(&random, 4) ? stage_below(&random, 20000) : stage_below(&random, 500000);
    snprintf(r.name, sizeof(r.name), "kill-%d", (int)stage_below(&random, 8));
    r.random = stage_random(&random);
    return r;
}

/* Small ones, middling ones, and some that go through the ring in pieces. */
static size_t size_of(const struct round *r, uint64_t key)
{
    uint64_t random = r->random + key * 7919;
    uint64_t kind = stage_below(&random, 10);

    return 1 + stage_below(&random, kind < 6 ? 300 : kind < 9 ? 8192 : 200000);
}

/* ---- the victim ---- */

/* Two words on the line each time: messages pushed and popped, both completed. */
static void tell_progress(struct stage_actor *parent, uint64_t pushed, uint64_t popped)
{
    stage_say(parent, pushed << 32 | popped);
}

static void be_victim(struct stage_actor *parent, void *arg)
{
    struct round r = round_of(*(uint64_t *)arg);
    struct mbr_libos *l = open_libos();
    int qd = r.victim_creates ? native_create(l, r.name) : native_open_soon(l, r.name);
    uint64_t pushed = 0, popped = 0;
    demi_qtoken_t qts[2];
    bool pushes[2];
    int n = 0, at;

    tell_progress(parent, 0, 0);
    if (r.victim_pushes) {
        pushes[n] = true;
        qts[n++] = native_start_push(l, qd, size_of(&r, 0), 0);
    }
    if (r.victim_pops) {
        pushes[n] = false;
        qts[n++] = native_start_pop(l, qd, 0);
    }
    for (;;) {
        demi_qresult_t qr;
        CHECK_INT(mbr_wait_any(l, qts, n, MBR_FOREVER, &qr, &at), 0);
        if (pushes[at]) {
            native_expect(&qr, DEMI_OPC_PUSH, 0);
            pushed++;
            qts[at] = native_start_push(l, qd, size_of(&r, pushed), pushed);
        } else {
            native_expect_message(&qr, size_of(&r, ~popped), ~popped);
            popped++;
            qts[at] = native_start_pop(l, qd, 0);
        }
        tell_progress(parent, pushed, popped);
    }
}

/* ---- the survivor ---- */

/* How a round ended for the survivor. */
enum end { RESET = 1, NOBODY_CAME = 2 };

struct meeting {
    struct mbr_libos *l;
    struct stage_actor *parent;
    struct round r;
    int qd;
    uint64_t pushed, popped;
    demi_qtoken_t push, pop;
    bool pushing, popping;
};

/* Opens the victim's pipe, unless the victim dies before there is one. */
static bool open_victims_pipe(struct meeting *m)
{
    for (;;) {
        bool dead = stage_peek(m->parent);
        int rc = mbr_pipe_open(m->l, m->r.name, NULL, &m->qd);
        if (rc == 0)
            return true;
        CHECK_INT(rc, -ENOENT);
        if (dead)
            return false;
    }
}

static void start_push(struct meeting *m)
{
    uint64_t key = ~m->pushed;

    m->push = native_start_push(m->l, m->qd, size_of(&m->r, key), key);
}

/* What has completed; false when it was the end. */
static bool handle(struct meeting *m, demi_qresult_t *qr)
{
    bool was_push = m->pushing && qr->qr_qt == m->push;

    if (qr->qr_opcode == DEMI_OPC_FAILED) {
        native_expect(qr, DEMI_OPC_FAILED, ECONNRESET);
        *(was_push ? &m->pushing : &m->popping) = false;
        return m->pushing || m->popping;
    }
    if (was_push) {
        native_expect(qr, DEMI_OPC_PUSH, 0);
        m->pushed++;
        start_push(m);
    } else {
        native_expect_message(qr, size_of(&m->r, m->popped), m->popped);
        m->popped++;
        m->pop = native_start_pop(m->l, m->qd, 0);
    }
    return true;
}

/* Until every operation has ended. A victim that may not have come is not waited for for ever. */
static enum end meet(struct meeting *m)
{
    bool certain = m->r.victim_creates || m->r.kill_after > 1;
    int quiet = 0;

    m->pushing = m->r.victim_pops;
    m->popping = m->r.victim_pushes;
    if (m->pushing)
        start_push(m);
    if (m->popping)
        m->pop = native_start_pop(m->l, m->qd, 0);
    for (;;) {
        demi_qtoken_t qts[2];
        demi_qresult_t qr;
        int n = 0, at;
        if (m->pushing)
            qts[n++] = m->push;
        if (m->popping)
            qts[n++] = m->pop;
        int rc = mbr_wait_any(m->l, qts, n, certain ? MBR_FOREVER : 2000000, &qr, &at);
        if (rc == -ETIMEDOUT) {
            quiet = stage_peek(m->parent) ? quiet + 1 : 0;
            if (quiet > 2)
                return NOBODY_CAME;
            continue;
        }
        CHECK_INT(rc, 0);
        if (!handle(m, &qr))
            return RESET;
    }
}

/* Each round: its number comes, then, once the victim is dead, a word; the answer is three words.
 */
static void be_survivor(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    uint64_t index;

    while (stage_listen(parent, &index)) {
        struct meeting m = {.l = l, .parent = parent, .r = round_of(index)};
        enum end end = NOBODY_CAME;

        alarm(60 * stage_slowness()); /* the deadline of each round */
        bool open = true;
        if (m.r.victim_creates)
            open = open_victims_pipe(&m);
        else
            m.qd = native_create(l, m.r.name);
        stage_say(parent, open);
        if (open) {
            end = meet(&m);
            CHECK_INT(mbr_close(l, m.qd), 0);
        }
        (void)stage_hear(parent);
        stage_say(parent, m.popped);
        stage_say(parent, (uint64_t)end);
        stage_say(parent, stage_count_fds());
    }
    mbr_libos_close(l);
}

/* ---- the test ---- */

struct progress {
    uint64_t pushed, popped;
};

/* Reads the victim's progress up to the moment of its death, and after it. */
static struct progress kill_victim(struct stage_actor *victim, const struct round *r)
{
    struct progress p = {0};
    uint64_t word, seen = 0;

    while (seen < r->kill_after && stage_listen(victim, &word)) {
        p = (struct progress){word >> 32, word & UINT32_MAX};
        seen++;
    }
    for (volatile uint64_t i = 0; i < r->spins; i++)
        continue;
    CHECK_INT(kill(victim->pid, SIGKILL), 0);
    while (stage_listen(victim, &word))
        p = (struct progress){word >> 32, word & UINT32_MAX};
    CHECK_INT(stage_join(victim), SIGKILL);
    return p;
}

static uint64_t play_round(struct stage_actor *survivor, uint64_t index)
{
    struct round r = round_of(index);
    struct stage_actor victim;

    bool open = true;

    stage_say(survivor, index);
    /* The survivor's pipe is there before somebody opens it; the victim's is not waited for. */
    if (!r.victim_creates)
        open = stage_hear(survivor);
    stage_spawn(&victim, be_victim, &index);
    struct progress p = kill_victim(&victim, &r);
    stage_say(survivor, 1);
    if (r.victim_creates)
        open = stage_hear(survivor);
    uint64_t popped = stage_hear(survivor);
    enum end end = (enum end)stage_hear(survivor);
    uint64_t fds = stage_hear(survivor);

    /* A creator may die before anybody came, an opener before it has said or heard anything (that
     * one is in upstream_defects_test.c); whoever has met the victim knows of its death. */
    if (open && (r.victim_creates || p.pushed + p.popped > 0))
        CHECK_INT(end, RESET);
    CHECK(!r.victim_pushes || end != RESET || popped >= p.pushed);
    /* One push may have completed and the next one, too, since the victim's last word. */
    CHECK(popped <= p.pushed + 2);
    return fds;
}

static void random_deaths(void **state)
{
    struct stage_actor survivor;
    uint64_t fds = 0;

    (void)stage_seed();
    stage_spawn(&survivor, be_survivor, NULL);
    for (uint64_t i = 0; i < deaths; i++) {
        uint64_t now = play_round(&survivor, i);
        /* What is opened once for all is open after some rounds. */
        if (i < 20)
            fds = now;
        CHECK_INT(now, fds);
    }
    stage_join_ok(&survivor);
    int left = (int)stage_count_entries(stage_names_dir());
    CHECK_INT(mbr_gc(1, NULL, NULL), left);
    CHECK_INT(mbr_gc(0, NULL, NULL), left);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
    print_message("%llu deaths, %d names of the dead\n", (unsigned long long)deaths, left);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_deaths)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        deaths = strtoull(argv[1], NULL, 10);
    return stage_main(60 + (unsigned int)(deaths / 20), argc, argv, run);
}
