/* SPDX-License-Identifier: MIT */
/*
 * Defects that Demikernel's Catmem is known to have, one test each, named after the defect: each
 * fails on upstream's library. Through the Demikernel C API, with real processes. Where upstream's
 * behaviour takes 120 s to show, the test shows instead that nothing but the awaited event ends the
 * wait. Not here: large streams (multi/stream_test.c), random deaths (fault/kill_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <membrane/queue.h>

#include "demi_util.h"

#include <cmocka.h>

/* Larger than any ring: it stays pending until the other end pops. */
#define LARGE (8u << 20)

static void await_order(struct stage_actor *actor)
{
    (void)stage_hear(actor);
}

static void report(struct stage_actor *actor)
{
    stage_say(actor, 1);
}

/* An orderly start: the creator has made its pipe before the opener begins. */
static void spawn_after(struct stage_actor *first, struct stage_actor *second, stage_role *role,
                        void *arg)
{
    await_order(first);
    stage_spawn(second, role, arg);
}

/* ---- messages above 8,192 bytes poison the pipe, above 65,513 they never complete ---- */

static const size_t sizes[] = {8191,   8192,   8193,   9000,    65513,         65514,    65519,
                               65520,  65531,  65532,  65535,   65536,         65537,    100000,
                               131072, 131073, 500001, 1 << 20, (1 << 20) + 1, 10 << 20, 100 << 20};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void send_sizes(int qd)
{
    for (size_t i = 0; i < SIZES; i++) {
        push_message(qd, sizes[i], i);
        push_message(qd, 1, i);
    }
    CHECK_INT(demi_close(qd), 0);
}

static void receive_sizes(int qd)
{
    for (size_t i = 0; i < SIZES; i++) {
        pop_message(qd, sizes[i], i);
        pop_message(qd, 1, i);
    }
    pop_eof(qd);
    CHECK_INT(demi_close(qd), 0);
}

static void create_for_sizes(struct stage_actor *parent, void *arg)
{
    const bool *sends = arg;

    start_demi();
    int qd = create_pipe("sizes");
    report(parent);
    (*sends ? send_sizes : receive_sizes)(qd);
}

static void open_for_sizes(struct stage_actor *parent, void *arg)
{
    const bool *creator_sends = arg;

    start_demi();
    (*creator_sends ? receive_sizes : send_sizes)(open_pipe("sizes"));
}

static void messages_above_8192_bytes_poison_the_pipe(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct stage_actor creator, opener;
        bool creator_sends = i == 0;

        stage_spawn(&creator, create_for_sizes, &creator_sends);
        spawn_after(&creator, &opener, open_for_sizes, &creator_sends);
        stage_join_ok(&creator);
        stage_join_ok(&opener);
    }
}

/* ---- a message pushed before the peer opens is lost ---- */

static void push_early(struct stage_actor *parent, void *arg)
{
    start_demi();
    int qd = create_pipe("early");

    for (uint64_t i = 0; i < 10; i++)
        push_message(qd, 100, i);
    demi_qtoken_t large = start_push(qd, LARGE, 10);
    expect_pending(large);
    report(parent);
    demi_qresult_t qr = finish(large);
    expect_push(&qr, qd);
    CHECK_INT(demi_close(qd), 0);
}

static void pop_late(struct stage_actor *parent, void *arg)
{
    start_demi();
    int qd = open_pipe("early");

    for (uint64_t i = 0; i < 10; i++)
        pop_message(qd, 100, i);
    pop_message(qd, LARGE, 10);
    pop_eof(qd);
    CHECK_INT(demi_close(qd), 0);
}

static void message_pushed_before_the_peer_opens_is_lost(void **state)
{
    struct stage_actor creator, opener;

    stage_spawn(&creator, push_early, NULL);
    spawn_after(&creator, &opener, pop_late, NULL);
    stage_join_ok(&opener);
    stage_join_ok(&creator);
}

/* ---- close on a full ring loses the end of file, succeeds twice and leaks the queue ---- */

struct filler {
    const char *name;
    bool creates;
};

static void fill_and_close(struct stage_actor *parent, void *arg)
{
    const struct filler *filler = arg;
    demi_qresult_t qr;
    demi_qtoken_t qt;
    uint64_t n = 0;

    start_demi();
    if (!filler->creates)
        await_order(parent);
    int qd = filler->creates ? create_pipe(filler->name) : open_pipe(filler->name);
    report(parent);
    await_order(parent); /* the other end is open, and pops nothing */
    for (;; n++) {
        qt = start_push(qd, 64, n);
        if (demi_wait(&qr, qt, &at_once) != 0)
            break;
        expect_push(&qr, qd);
    }
    CHECK_INT(demi_close(qd), 0);
    CHECK_INT(demi_close(qd), EBADF);
    qr = finish(qt);
    expect_failed(&qr, qd, EBADF);
    stage_say(parent, n);
}

/* What was pushed is there, in order, then the end; what had failed is not there. */
static void drain(int qd, uint64_t n)
{
    CHECK(n > 100);
    for (uint64_t i = 0; i < n; i++)
        pop_message(qd, 64, i);
    pop_eof(qd);
    CHECK_INT(demi_close(qd), 0);
}

static void drain_of_opener(struct stage_actor *parent, void *arg)
{
    struct filler filler = {"full", false};
    struct stage_actor opener;

    stage_spawn(&opener, fill_and_close, &filler);
    start_demi();
    int qd = create_pipe("full");
    report(&opener);
    await_order(&opener);
    report(&opener);
    drain(qd, stage_hear(&opener));
    stage_join_ok(&opener);
}

static void drain_of_creator(struct stage_actor *parent, void *arg)
{
    struct filler filler = {"full", true};
    struct stage_actor creator;

    stage_spawn(&creator, fill_and_close, &filler);
    await_order(&creator);
    start_demi();
    int qd = open_pipe("full");
    report(&creator);
    drain(qd, stage_hear(&creator));
    stage_join_ok(&creator);
}

static void close_on_a_full_ring_loses_end_of_file(void **state)
{
    stage_role *const roles[] = {drain_of_opener, drain_of_creator};

    for (int i = 0; i < 2; i++) {
        struct stage_actor actor;

        print_message("the %s fills the ring\n", i == 0 ? "opener" : "creator");
        stage_spawn(&actor, roles[i], NULL);
        stage_join_ok(&actor);
    }
}

/* ---- a NULL timeout ends after 120 s ---- */

static void wait_for_late_push(struct stage_actor *parent, void *arg)
{
    start_demi();
    int qd = create_pipe("late");
    demi_qtoken_t qt = start_pop(qd);

    report(parent);
    demi_qresult_t qr = finish(qt);
    expect_message(&qr, qd, 10, 1);
    report(parent);
}

static void push_on_order(struct stage_actor *parent, void *arg)
{
    start_demi();
    int qd = open_pipe("late");

    report(parent);
    await_order(parent);
    push_message(qd, 10, 1);
    CHECK_INT(demi_close(qd), 0);
}

static void null_timeout_ends_after_120_seconds(void **state)
{
    struct stage_actor waiter, pusher;

    stage_spawn(&waiter, wait_for_late_push, NULL);
    spawn_after(&waiter, &pusher, push_on_order, NULL);
    await_order(&pusher);
    for (int i = 0; i < 5; i++) {
        stage_await_parked(waiter.pid);
        CHECK(!stage_peek(&waiter));
    }
    report(&pusher);
    (void)stage_hear(&waiter);
    stage_join_ok(&waiter);
    stage_join_ok(&pusher);
}

/* ---- idle operations time out by themselves ---- */

/* Through thousands of waits, with traffic beside it and without, and parked: they stay pending. */
static void keep_operations_pending(struct stage_actor *parent, void *arg)
{
    const struct timespec moment = {0, 100000};
    demi_qresult_t qr;

    start_demi();
    int idle = create_pipe("idle"), idle_peer = open_pipe("idle");
    int busy = create_pipe("busy"), busy_peer = open_pipe("busy");
    demi_qtoken_t pop = start_pop(idle), push = start_push(idle, LARGE, 1);

    for (uint64_t i = 0; i < 3000; i++) {
        CHECK_INT(demi_wait(&qr, pop, i % 10 ? &at_once : &moment), ETIMEDOUT);
        CHECK_INT(demi_wait(&qr, push, i % 10 ? &at_once : &moment), ETIMEDOUT);
        push_message(busy, 10, i);
        pop_message(busy_peer, 10, i);
    }
    push_message(idle_peer, 10, 2);
    qr = finish(pop);
    expect_message(&qr, idle, 10, 2);
    pop_message(idle_peer, LARGE, 1);
    qr = finish(push);
    expect_push(&qr, idle);
}

static void idle_operations_time_out(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, keep_operations_pending, NULL);
    stage_join_ok(&actor);
}

/* ---- a process that ends leaves its segments and its name behind ---- */

enum ending { RETURNS, EXITS, IS_KILLED, ENDINGS };

static void end_with_pipes(struct stage_actor *parent, void *arg)
{
    const enum ending *ending = arg;

    start_demi();
    int a = create_pipe("left-a"), b = create_pipe("left-b"), c = open_pipe("left-b");
    (void)start_pop(a);
    (void)start_pop(b);
    (void)start_push(c, LARGE, 1);
    (void)start_push(a, LARGE, 1);
    if (*ending == EXITS)
        _exit(0);
    if (*ending == IS_KILLED)
        raise(SIGKILL);
}

/* Kibibytes of shared memory in use on this machine. */
static uint64_t shared_memory(void)
{
    char line[128];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");

    CHECK(f != NULL);
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Shmem:", 6) == 0)
            kib = strtoull(line + 6, NULL, 10);
    }
    fclose(f);
    return kib;
}

/* Names may be left, but of the dead only; of memory, which others use as well, 1.9 GiB would be.
 */
static void segments_are_left_behind(void **state)
{
    struct stage_actor actor;
    size_t shm = stage_count_entries("/dev/shm");
    uint64_t before = shared_memory();

    setenv("MEMBRANE_CAPACITY", "32M", 1);
    for (int i = 0; i < 5 * ENDINGS; i++) {
        enum ending ending = (enum ending)(i % ENDINGS);
        stage_spawn(&actor, end_with_pipes, &ending);
        (void)stage_join(&actor);
        CHECK_INT(mbr_gc(1, NULL, NULL), stage_count_entries(stage_names_dir()));
    }
    unsetenv("MEMBRANE_CAPACITY");
    CHECK(shared_memory() < before + (1u << 20));
    CHECK(mbr_gc(0, NULL, NULL) >= 0);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
    CHECK_INT(stage_count_entries("/dev/shm"), shm);
}

/* ---- the peer's death goes unnoticed ---- */

struct victim {
    bool creates;     /* else it opens */
    uint64_t pushes;  /* messages it pushes before it is killed */
    size_t size;      /* of each */
    bool large_after; /* and the beginning of one that does not fit */
};

static void be_killed(struct stage_actor *parent, void *arg)
{
    const struct victim *victim = arg;

    start_demi();
    int qd = victim->creates ? create_pipe("death") : open_pipe("death");
    report(parent);
    await_order(parent);
    for (uint64_t i = 0; i < victim->pushes; i++)
        push_message(qd, victim->size, i);
    if (victim->large_after)
        expect_pending(start_push(qd, LARGE, 99));
    report(parent);
    await_order(parent); /* never: killed */
}

/* An operation that nobody but a dead peer could complete must not wait for long. */
static void expect_reset(int qd, demi_qtoken_t qt)
{
    const struct timespec long_enough = {20, 0};
    demi_qresult_t qr;

    CHECK_INT(demi_wait(&qr, qt, &long_enough), 0);
    expect_failed(&qr, qd, ECONNRESET);
}

/* Pops what the victim pushed, then learns of its death, wherever it is then. */
static void survive(struct stage_actor *parent, void *arg)
{
    const struct victim *victim = arg;

    start_demi();
    int qd = victim->creates ? open_pipe("death") : create_pipe("death");
    report(parent);
    await_order(parent);
    for (uint64_t i = 0; i < victim->pushes; i++)
        pop_message(qd, victim->size, i);
    demi_qtoken_t pops[2] = {start_pop(qd), start_pop(qd)};
    demi_qtoken_t push = start_push(qd, LARGE, 1);
    report(parent);
    for (int i = 0; i < 2; i++)
        expect_reset(qd, pops[i]);
    expect_reset(qd, push);
    /* And so does what is started now. */
    expect_reset(qd, start_pop(qd));
    expect_reset(qd, start_push(qd, 10, 1));
    CHECK_INT(demi_close(qd), 0);
}

static void kill_peer(const struct victim *how, bool parked)
{
    struct stage_actor victim, survivor;
    struct victim copy = *how;

    print_message("the victim %s, pushes %d messages%s, the survivor %s\n",
                  how->creates ? "creates" : "opens", (int)how->pushes,
                  how->large_after ? " and a part" : "", parked ? "sleeps" : "comes later");
    stage_spawn(how->creates ? &victim : &survivor, how->creates ? be_killed : survive, &copy);
    spawn_after(how->creates ? &victim : &survivor, how->creates ? &survivor : &victim,
                how->creates ? survive : be_killed, &copy);
    await_order(how->creates ? &survivor : &victim);
    report(&victim);
    await_order(&victim); /* it has pushed */
    if (parked) {
        report(&survivor);
        await_order(&survivor);
        stage_await_parked(survivor.pid);
        stage_kill(&victim);
    } else {
        stage_kill(&victim);
        report(&survivor);
        await_order(&survivor);
    }
    stage_join_ok(&survivor);
}

static void peers_death_is_never_noticed(void **state)
{
    for (int i = 0; i < 16; i++) {
        struct victim how = {
            .creates = i & 1, .pushes = i & 2 ? 20 : 0, .size = 1000, .large_after = i & 4};
        if (how.creates || how.pushes || how.large_after)
            kill_peer(&how, i & 8);
    }
}

/* "A peer that dies is reported as ECONNRESET": leaving without a word is not the same. */
static void death_of_a_silent_opener_is_never_noticed(void **state)
{
    struct victim how = {.creates = false, .pushes = 0};

    kill_peer(&how, true);
    kill_peer(&how, false);
}

/* ---- an outstanding pop at exit keeps the name for ever ---- */

static void outstanding_pop_at_exit_keeps_the_name(void **state)
{
    for (int i = 0; i < 2 * ENDINGS; i++) {
        struct stage_actor actor;
        enum ending ending = (enum ending)(i % ENDINGS);

        /* Each creates the name that the one before had when it ended. */
        stage_spawn(&actor, end_with_pipes, &ending);
        int status = stage_join(&actor);
        CHECK(ending == IS_KILLED ? WTERMSIG(status) == SIGKILL : status == 0);
    }
}

/* ---- a second opener corrupts the pipe of the first ---- */

static void open_when_told(struct stage_actor *parent, void *arg)
{
    int qd = 77;

    await_order(parent);
    start_demi();
    CHECK_INT(demi_open_pipe(&qd, "busy"), EBUSY);
    CHECK_INT(qd, 77);
    report(parent);
    await_order(parent);
    qd = open_pipe("busy");
    pop_message(qd, 10, 3);
    CHECK_INT(demi_close(qd), 0);
}

static void second_opener_corrupts_the_pipe(struct stage_actor *parent, void *arg)
{
    struct stage_actor second;
    int qd = 77;

    stage_spawn(&second, open_when_told, NULL);
    start_demi();
    int made = create_pipe("busy"), opened = open_pipe("busy");
    push_message(made, 10, 1);
    report(&second);
    await_order(&second);
    CHECK_INT(demi_open_pipe(&qd, "busy"), EBUSY);
    pop_message(opened, 10, 1);
    push_message(made, 10, 3);
    CHECK_INT(demi_close(opened), 0);
    report(&second);
    stage_join_ok(&second);
    CHECK_INT(demi_close(made), 0);
}

static void second_opener_spoils_the_pipe(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, second_opener_corrupts_the_pipe, NULL);
    stage_join_ok(&actor);
}

/* ---- an opener that leaves leaves an end of file behind ---- */

struct guest {
    uint64_t pops, first, pushes;
};

static void visit(struct stage_actor *parent, void *arg)
{
    const struct guest *guest = arg;

    start_demi();
    int qd = open_pipe("guests");
    for (uint64_t i = 0; i < guest->pops; i++)
        pop_message(qd, 1 + (guest->first + i) % 3000, guest->first + i);
    for (uint64_t i = 0; i < guest->pushes; i++)
        push_message(qd, 10, i);
    CHECK_INT(demi_close(qd), 0);
}

static void receive_guest(uint64_t first, uint64_t pops, uint64_t pushes)
{
    struct guest guest = {.first = first, .pops = pops, .pushes = pushes};
    struct stage_actor actor;

    stage_spawn(&actor, visit, &guest);
    stage_join_ok(&actor);
}

/* The host of silent guests pops all the time, and says what came. */
static void host_silent_guests(struct stage_actor *parent, void *arg)
{
    start_demi();
    int qd = create_pipe("guests");
    demi_qtoken_t pop = start_pop(qd);

    push_message(qd, 1, 0);
    report(parent);
    while (stage_hear(parent) == 0) {
        expect_pending(pop);
        report(parent);
    }
    demi_qresult_t qr = finish(pop);
    expect_message(&qr, qd, 10, 0);
    pop_eof(qd);
    CHECK_INT(demi_close(qd), 0);
}

static void opener_that_leaves_leaves_end_of_file(void **state)
{
    struct stage_actor host;

    stage_spawn(&host, host_silent_guests, NULL);
    await_order(&host);
    for (int i = 0; i < 12; i++) {
        receive_guest(0, i == 6, 0);
        if (i % 2) {
            stage_say(&host, 0);
            await_order(&host);
        }
    }
    /* One that says something is the last. */
    receive_guest(0, 0, 1);
    stage_say(&host, 1);
    stage_join_ok(&host);
}

/* ---- opening again wipes what is in the ring ---- */

enum { AHEAD = 20, LAST_GUEST = 1000 };

/* Some messages wait in the ring for the next guest, some for the one after it. */
static void host_hungry_guests(struct stage_actor *parent, void *arg)
{
    demi_qtoken_t pushes[AHEAD];
    uint64_t sent = 0, taken = 0, pops;

    start_demi();
    int qd = create_pipe("guests");
    for (;;) {
        for (; sent < taken + AHEAD; sent++)
            pushes[sent % AHEAD] = start_push(qd, 1 + sent % 3000, sent);
        report(parent);
        pops = stage_hear(parent);
        if (pops == LAST_GUEST)
            break;
        for (; pops > 0; pops--, taken++) {
            demi_qresult_t qr = finish(pushes[taken % AHEAD]);
            expect_push(&qr, qd);
        }
    }
    CHECK_INT(demi_close(qd), 0);
}

/* 128 openers take a few messages each out of one stream: none is lost, none comes twice. */
static void opening_again_wipes_the_ring(void **state)
{
    uint64_t random = stage_seed(), taken = 0;
    struct stage_actor host;

    stage_spawn(&host, host_hungry_guests, NULL);
    await_order(&host);
    for (int i = 0; i < 128; i++) {
        uint64_t pops = stage_below(&random, AHEAD / 2);
        stage_say(&host, pops);
        receive_guest(taken, pops, 0);
        taken += pops;
        await_order(&host);
    }
    stage_say(&host, LAST_GUEST);
    stage_join_ok(&host);
}

/* ---- what an opener pushed before the creator looked is lost when it is gone ---- */

static void push_and_go(struct stage_actor *parent, void *arg)
{
    const int *how = arg;

    await_order(parent);
    start_demi();
    int qd = open_pipe("hasty");
    for (uint64_t i = 0; i < 50; i++)
        push_message(qd, 500, i);
    if (*how == 0)
        CHECK_INT(demi_close(qd), 0);
    if (*how == 2)
        _exit(0);
    if (*how == 3)
        raise(SIGKILL);
}

static void look_late(struct stage_actor *parent, void *arg)
{
    int *how = arg;
    struct stage_actor opener;

    stage_spawn(&opener, push_and_go, how);
    start_demi();
    int qd = create_pipe("hasty");
    report(&opener);
    (void)stage_join(&opener); /* this process has not called the library since */
    for (uint64_t i = 0; i < 50; i++)
        pop_message(qd, 500, i);
    demi_qresult_t qr = finish(start_pop(qd));
    if (*how == 0 || qr.qr_opcode == DEMI_OPC_POP)
        expect_eof(&qr, qd);
    else
        expect_failed(&qr, qd, ECONNRESET);
    /* An end that was not closed may look like either, a kill only like what it is. */
    CHECK(*how != 3 || qr.qr_opcode == DEMI_OPC_FAILED);
    CHECK_INT(demi_close(qd), 0);
}

static void opener_is_gone_before_the_creator_looked(void **state)
{
    for (int how = 0; how < 4; how++) {
        struct stage_actor actor;

        stage_spawn(&actor, look_late, &how);
        stage_join_ok(&actor);
    }
}

/* ---- errors of demi_init are negative, or abort ---- */

static void errors_of_init(struct stage_actor *parent, void *arg)
{
    char *config = strdup(getenv("CONFIG_PATH"));

    unsetenv("CONFIG_PATH");
    CHECK_INT(demi_init(NULL), EINVAL);
    setenv("CONFIG_PATH", "/nonesuch", 1);
    CHECK_INT(demi_init(NULL), ENOENT);
    setenv("CONFIG_PATH", config, 1);
    setenv("LIBOS", "nonesuch", 1);
    CHECK_INT(demi_init(NULL), EINVAL);
    unsetenv("LIBOS");
    CHECK_INT(demi_init(NULL), EINVAL);
    free(config);
}

static void errors_of_init_are_negative_or_abort(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, errors_of_init, NULL);
    stage_join_ok(&actor);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_above_8192_bytes_poison_the_pipe),
        cmocka_unit_test(message_pushed_before_the_peer_opens_is_lost),
        cmocka_unit_test(close_on_a_full_ring_loses_end_of_file),
        cmocka_unit_test(null_timeout_ends_after_120_seconds),
        cmocka_unit_test(idle_operations_time_out),
        cmocka_unit_test(segments_are_left_behind),
        cmocka_unit_test(peers_death_is_never_noticed),
        cmocka_unit_test(death_of_a_silent_opener_is_never_noticed),
        cmocka_unit_test(outstanding_pop_at_exit_keeps_the_name),
        cmocka_unit_test(second_opener_spoils_the_pipe),
        cmocka_unit_test(opener_that_leaves_leaves_end_of_file),
        cmocka_unit_test(opening_again_wipes_the_ring),
        cmocka_unit_test(opener_is_gone_before_the_creator_looked),
        cmocka_unit_test(errors_of_init_are_negative_or_abort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(100, argc, argv, run);
}
