/* SPDX-License-Identifier: MIT */
/*
 * The client library and a membraned that is really killed, started anew, updated or stopped:
 * watches that begin again, what is repeated and what is told, a descriptor that stays the same in
 * a wait set beside a pipe, deadlines in every call, and connections that the daemon makes for
 * domains.
 *
 * Not here: daemons that lie (hostile_test.c); the contract while all goes well (client_test.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <membrane/event.h>
#include <membrane/queue.h>
#include <membrane/store.h>

#include "daemon_util.h"

#define MS   UINT64_C(1000000)
#define LONG (60000 * MS) /* longer than anything takes */

static struct daemon_util d;

static struct mbr_store *connect_with(uint64_t timeout_ns)
{
    const struct mbr_store_options options = {.size = sizeof(options), .timeout_ns = timeout_ns};
    struct mbr_store *s = NULL;

    assert_int_equal(mbr_store_open(d.socket, &options, &s), 0);
    return s;
}

static int setup(void **state)
{
    return daemon_util_init(&d, *state != NULL) ? 0 : -1;
}

static int teardown(void **state)
{
    daemon_util_fini(&d);
    return 0;
}

static void restart(void)
{
    daemon_util_kill(&d, SIGKILL);
    daemon_util_start(&d);
}

/* Returns when it does nothing any more. */
static void stop(void)
{
    int status;

    assert_int_equal(kill(d.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(d.pid, &status, WUNTRACED), d.pid);
    assert_true(WIFSTOPPED(status));
}

/* ---- watches ---- */

struct notes {
    unsigned count;
    char path[64];
    int error;
};

static void note(struct mbr_store *s, const struct mbr_store_event *e)
{
    struct notes *n = e->arg;

    n->count++;
    n->error = e->error;
    (void)snprintf(n->path, sizeof(n->path), "%s", e->path);
}

static void until(struct mbr_store *s, const struct notes *n, unsigned count)
{
    while (n->count < count) {
        int rc = mbr_store_wait(s, LONG);

        if (rc < 0)
            fail_msg("waiting: %d", rc);
    }
    assert_int_equal(n->count, count);
    assert_int_equal(n->error, 0);
}

/* Nobody but the daemon knows of the new connection; each watch reports once, then as before. */
static void watches_outlive_the_daemon(void **state)
{
    struct mbr_store *s = connect_with(LONG);
    struct mbr_store *other = connect_with(LONG);
    struct mbr_store_watcher *deep = NULL;
    struct mbr_store_watcher *flat = NULL;
    struct mbr_store_watcher *polled = NULL;
    struct mbr_store_event e;
    struct notes at_all = {0};
    struct notes at_one = {0};

    assert_int_equal(mbr_store_watch(s, "/w", MBR_STORE_ALL_DEPTHS, note, &at_all, &deep), 0);
    assert_int_equal(mbr_store_watch(s, "/w", 0, note, &at_one, &flat), 0);
    assert_int_equal(mbr_store_watch(s, "/w/p", 0, NULL, NULL, &polled), 0);
    until(s, &at_all, 1);
    until(s, &at_one, 1);
    assert_int_equal(mbr_store_next_event(s, LONG, &e), 0);
    for (unsigned round = 1; round <= 3; round++) {
        restart();
        until(s, &at_all, 2 * round);
        assert_string_equal(at_all.path, "/w");
        until(s, &at_one, round + 1);
        assert_int_equal(mbr_store_next_event(s, LONG, &e), 0);
        assert_ptr_equal(e.watch, polled);
        assert_int_equal(mbr_store_write(other, 0, "/w/p", "x", 1), 0);
        until(s, &at_all, 2 * round + 1);
        assert_string_equal(at_all.path, "/w/p");
        assert_int_equal(mbr_store_next_event(s, LONG, &e), 0);
        assert_string_equal(e.path, "/w/p");
        assert_int_equal(mbr_store_next_event(s, 0, &e), -ETIMEDOUT);
    }
    mbr_store_unwatch(flat);
    restart();
    until(s, &at_all, 8);
    mbr_store_close(other);
    mbr_store_close(s);
}

/* ---- requests ---- */

struct outcome {
    bool done;
    int error;
    char text[16];
};

static void keep(struct mbr_store *s, void *arg, const struct mbr_store_result *r)
{
    struct outcome *o = arg;

    o->done = true;
    o->error = r->error;
    (void)snprintf(o->text, sizeof(o->text), "%s", r->data);
}

static void submit(struct mbr_store *s, enum mbr_store_op op, uint64_t tx, struct outcome *o)
{
    const struct mbr_store_request r = {
        .size = sizeof(r), .op = op, .tx = tx, .path = "/kept", .value = "new", .length = 3};

    *o = (struct outcome){.done = false};
    assert_int_equal(mbr_store_submit(s, &r, keep, o), 0);
}

/* All of it was sent to a daemon that was stopped, and then killed. */
static void reads_are_repeated_writes_are_told(void **state)
{
    struct mbr_store *s = connect_with(LONG);
    struct outcome read, write, begin, in_tx;
    uint64_t tx = 0;

    assert_int_equal(mbr_store_write(s, 0, "/kept", "old", 3), 0);
    assert_int_equal(mbr_store_begin(s, &tx), 0);
    stop();
    submit(s, MBR_STORE_OP_READ, 0, &read);
    submit(s, MBR_STORE_OP_WRITE, 0, &write);
    submit(s, MBR_STORE_OP_READ, tx, &in_tx);
    submit(s, MBR_STORE_OP_BEGIN, 0, &begin);
    restart();
    while (!read.done || !write.done || !begin.done || !in_tx.done)
        assert_true(mbr_store_wait(s, LONG) > 0);
    assert_int_equal(read.error, 0);
    assert_string_equal(read.text, "old"); /* the daemon is a durable one */
    assert_int_equal(write.error, -ECONNRESET);
    assert_int_equal(in_tx.error, -ECONNRESET);
    assert_int_equal(begin.error, 0);
    assert_int_equal(mbr_store_end(s, tx, 1), -ECONNRESET);
    mbr_store_close(s);
}

static int killed_once(struct mbr_store *s, uint64_t tx, void *arg)
{
    unsigned *attempts = arg;
    int rc;

    if (++*attempts == 1)
        restart();
    rc = mbr_store_write(s, tx, "/t/a", "1", 1);
    if (*attempts == 2 && rc == 0)
        restart(); /* nothing of the commit was sent: it is tried again */
    return rc == 0 && *attempts != 2 ? mbr_store_write(s, tx, "/t/b", "2", 1) : rc;
}

static void transactions_are_tried_again(void **state)
{
    struct mbr_store *s = connect_with(LONG);
    unsigned attempts = 0;

    assert_int_equal(mbr_store_transact(s, killed_once, &attempts, MBR_FOREVER), 0);
    assert_int_equal(attempts, 3);
    assert_int_equal(mbr_store_exists(s, 0, "/t/b"), 1);
    mbr_store_close(s);
}

/* A live update ends nothing: neither transactions nor what is on its way. */
static void updates_end_nothing(void **state)
{
    struct mbr_store *s = connect_with(LONG);
    struct mbr_store_watcher *w = NULL;
    struct outcome read, write;
    struct notes seen = {0};
    uint64_t tx = 0;

    assert_int_equal(mbr_store_write(s, 0, "/kept", "old", 3), 0);
    assert_int_equal(mbr_store_watch(s, "/kept", 0, note, &seen, &w), 0);
    until(s, &seen, 1);
    assert_int_equal(mbr_store_begin(s, &tx), 0);
    stop();
    submit(s, MBR_STORE_OP_READ, tx, &read);
    submit(s, MBR_STORE_OP_WRITE, tx, &write);
    assert_int_equal(kill(d.pid, SIGUSR2), 0);
    assert_int_equal(kill(d.pid, SIGCONT), 0);
    while (!read.done || !write.done)
        assert_true(mbr_store_wait(s, LONG) > 0);
    assert_int_equal(read.error, 0);
    assert_int_equal(write.error, 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(mbr_store_end(s, tx, 1), 0);
    until(s, &seen, 2);
    mbr_store_close(s);
}

/* ---- in a wait set ---- */

struct mixed {
    struct mbr_store *s;
    struct mbr_libos *libos;
    demi_qtoken_t pop;
    unsigned popped;
};

static void on_store(struct mbr_watch *w, uint32_t events)
{
    struct mixed *m = w->data;

    (void)mbr_store_process(m->s); /* while the daemon is away: an error, and again later */
}

static void on_pipe(struct mbr_watch *w, uint32_t events)
{
    struct mixed *m = w->data;
    demi_qresult_t qr;

    if (m->pop == 0 || mbr_wait(m->libos, m->pop, 0, &qr) < 0)
        return;
    assert_int_equal(qr.qr_opcode, DEMI_OPC_POP);
    assert_int_equal(mbr_sga_free(&qr.qr_value.sga), 0);
    m->pop = 0;
    m->popped++;
}

static void turn(struct mbr_waitset *ws, struct mixed *m, struct mbr_watch *pipe)
{
    if (mbr_libos_prepare(m->libos) != 0)
        on_pipe(pipe, 0);
    else
        assert_true(mbr_waitset_wait(ws, LONG) > 0);
}

static void push_one(struct mixed *m, int qd)
{
    demi_sgarray_t sga = mbr_sga_alloc(5);
    demi_qresult_t qr;
    demi_qtoken_t qt;

    assert_int_equal(mbr_push(m->libos, qd, &sga, &qt), 0);
    assert_int_equal(mbr_wait(m->libos, qt, LONG, &qr), 0);
    assert_int_equal(mbr_sga_free(&sga), 0);
}

/* Requests, a watch and a pipe in one set; the daemon goes and comes, the descriptor stays. */
static void lives_beside_a_pipe(void **state)
{
    struct mixed m = {.s = connect_with(LONG)};
    struct mbr_watch store = {.data = &m};
    struct mbr_watch pipe = {.data = &m};
    struct mbr_store_watcher *w = NULL;
    struct mbr_waitset *ws = NULL;
    struct outcome o;
    struct notes seen = {0};
    char name[48];
    int near, far;
    int fd = mbr_store_fd(m.s);

    (void)snprintf(name, sizeof(name), "store-kill-%d", (int)getpid());
    assert_int_equal(mbr_libos_open("catmem", NULL, &m.libos), 0);
    assert_int_equal(mbr_pipe_create(m.libos, name, NULL, &near), 0);
    assert_int_equal(mbr_pipe_open(m.libos, name, NULL, &far), 0);
    assert_int_equal(mbr_waitset_new(&ws), 0);
    assert_int_equal(mbr_watch_fd(ws, &store, fd, EPOLLIN, on_store), 0);
    assert_int_equal(mbr_watch_fd(ws, &pipe, mbr_libos_fd(m.libos), EPOLLIN, on_pipe), 0);
    assert_int_equal(mbr_store_watch_start(m.s, "/kept", 0, note, &seen, &w), 0);
    for (unsigned round = 1; round <= 4; round++) {
        assert_int_equal(mbr_pop(m.libos, near, 0, &m.pop), 0);
        if (round % 2 == 0)
            daemon_util_kill(&d, SIGKILL);
        submit(m.s, MBR_STORE_OP_READ, 0, &o);
        push_one(&m, far);
        while (m.popped < round) /* whether there is a daemon or not */
            turn(ws, &m, &pipe);
        if (round % 2 == 0)
            daemon_util_start(&d);
        while (!o.done || seen.count < 1 + round / 2)
            turn(ws, &m, &pipe);
        assert_int_equal(o.error, -ENOENT);
        assert_int_equal(mbr_store_fd(m.s), fd);
    }
    mbr_watch_end(&store);
    mbr_watch_end(&pipe);
    mbr_waitset_free(ws);
    mbr_libos_close(m.libos);
    mbr_store_close(m.s);
}

/* ---- deadlines ---- */

static int nothing_in_it(struct mbr_store *s, uint64_t tx, void *arg)
{
    return 0;
}

/* Every call that waits, against a daemon that is there and does nothing. */
static void every_call_ends(void **state)
{
    struct mbr_store *s = connect_with(LONG);
    static const char *const words[] = {"help"};
    const struct mbr_store_perm perm = {0, MBR_STORE_NONE};
    struct mbr_store_perm *perms = NULL;
    struct mbr_store_watcher *w = NULL;
    struct mbr_store_event e;
    char *text = NULL;
    char **names = NULL;
    uint64_t number = 0, tx = 0;
    uint32_t bits = 0;
    size_t count = 0;
    int fd = -1;

    assert_int_equal(mbr_store_begin(s, &tx), 0);
    assert_int_equal(mbr_store_set_timeout(s, 5 * MS), 0);
    stop();
#define ENDS(call) assert_int_equal((call), -ETIMEDOUT)
    ENDS(mbr_store_read(s, 0, "/x", &text, NULL));
    ENDS(mbr_store_read(s, tx, "/x", &text, NULL));
    ENDS(mbr_store_write(s, 0, "/x", "v", 1));
    ENDS(mbr_store_mkdir(s, 0, "/x"));
    ENDS(mbr_store_rm(s, 0, "/x"));
    ENDS(mbr_store_exists(s, 0, "/x"));
    ENDS(mbr_store_list(s, 0, "/x", &names, &count));
    ENDS(mbr_store_get_perms(s, 0, "/x", &perms, &count));
    ENDS(mbr_store_set_perms(s, 0, "/x", &perm, 1));
    ENDS(mbr_store_begin(s, &number));
    ENDS(mbr_store_end(s, tx, 1));
    ENDS(mbr_store_transact(s, nothing_in_it, NULL, MBR_FOREVER));
    ENDS(mbr_store_watch(s, "/x", 0, note, NULL, &w));
    ENDS(mbr_store_next_event(s, 5 * MS, &e));
    ENDS(mbr_store_wait(s, 5 * MS));
    ENDS(mbr_store_domain_introduce(s, 1, 1, 1));
    ENDS(mbr_store_domain_connect(s, 2, &fd));
    ENDS(mbr_store_domain_release(s, 1));
    ENDS(mbr_store_domain_resume(s, 1));
    ENDS(mbr_store_domain_target(s, 1, 2));
    ENDS(mbr_store_domain_introduced(s, 1));
    ENDS(mbr_store_domain_path(s, 1, &text));
    ENDS(mbr_store_control(s, words, 1, &text, NULL));
    ENDS(mbr_store_get_features(s, 1, &bits));
    ENDS(mbr_store_set_features(s, 1, 0));
    ENDS(mbr_store_quota_names(s, &names, &count));
    ENDS(mbr_store_get_quota(s, 1, "nodes", &number));
    ENDS(mbr_store_set_quota(s, 1, "nodes", 1));
    ENDS(mbr_store_reset(s));
#undef ENDS
    assert_int_equal(mbr_store_process(s), 0);
    assert_int_equal(kill(d.pid, SIGCONT), 0);
    /* Late answers are nobody's, and what was asked for was done. */
    assert_int_equal(mbr_store_set_timeout(s, LONG), 0);
    assert_int_equal(mbr_store_exists(s, 0, "/x"), 0);
    assert_int_equal(mbr_store_domain_introduced(s, 1), 0);
    assert_int_equal(fd, -1);
    mbr_store_close(s);
}

/* A transaction that was begun too late for him who wanted it does not stay open at the daemon. */
static void late_transactions_are_dropped(void **state)
{
    struct mbr_store *boss = connect_with(LONG);
    struct mbr_store *guest = NULL;
    uint64_t tx = 0;
    int fd = -1;

    assert_int_equal(mbr_store_domain_connect(boss, 5, &fd), 0);
    assert_int_equal(mbr_store_open_fd(fd, NULL, &guest), 0);
    for (int round = 0; round < 3; round++) {
        stop();
        assert_int_equal(mbr_store_set_timeout(guest, MS), 0);
        for (int i = 0; i < 8; i++)
            assert_int_equal(mbr_store_begin(guest, &tx), -ETIMEDOUT);
        assert_int_equal(kill(d.pid, SIGCONT), 0);
        assert_int_equal(mbr_store_set_timeout(guest, LONG), 0);
        /* The answers to those come first, and what they are answered with goes before: */
        assert_int_equal(mbr_store_exists(guest, 0, "/local"), -EACCES);
    }
    for (int i = 0; i < 10; i++) /* as many as a guest may have */
        assert_int_equal(mbr_store_begin(guest, &tx), 0);
    mbr_store_close(guest);
    mbr_store_close(boss);
}

/* ---- connections for domains ---- */

static void domains_are_connected(void **state)
{
    struct mbr_store *boss = connect_with(LONG);
    struct mbr_store *guest = NULL;
    struct mbr_store_watcher *w = NULL;
    struct notes gone = {0};
    char *path = NULL;
    int fd = -1;

    assert_int_equal(mbr_store_watch(boss, "@releaseDomain", MBR_STORE_ALL_DEPTHS, note, &gone, &w),
                     0);
    until(boss, &gone, 1);
    assert_int_equal(mbr_store_domain_connect(boss, 7, &fd), 0);
    assert_int_equal(mbr_store_domain_introduced(boss, 7), 1);
    assert_int_equal(mbr_store_open_fd(fd, NULL, &guest), 0);
    assert_int_equal(mbr_store_mkdir(boss, 0, "/local/domain/7"), 0);
    assert_int_equal(mbr_store_set_perms(boss, 0, "/local/domain/7",
                                         &(const struct mbr_store_perm){7, MBR_STORE_NONE}, 1),
                     0);
    assert_int_equal(mbr_store_write(guest, 0, "mine", "x", 1), 0);
    assert_int_equal(mbr_store_exists(boss, 0, "/local/domain/7/mine"), 1);
    assert_int_equal(mbr_store_domain_path(guest, 7, &path), 0);
    free(path);
    assert_int_equal(mbr_store_domain_introduced(guest, 7), -EACCES);
    assert_int_equal(mbr_store_domain_connect(guest, 8, &fd), -EACCES);
    mbr_store_close(guest);
    until(boss, &gone, 2); /* with its last connection */
    assert_int_equal(mbr_store_domain_introduced(boss, 7), 0);
    assert_int_equal(mbr_store_domain_connect(boss, 0, &fd), -EINVAL);
    assert_int_equal(mbr_store_domain_connect(boss, 0x7ff0, &fd), -EINVAL);
    assert_int_equal(mbr_store_domain_connect(boss, 7, NULL), -EINVAL);
    mbr_store_close(boss);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += dup2(fd, fd) == fd;
    return n;
}

/* Neither a caller who does not take it, nor one who has no room, keeps a descriptor. */
static void descriptors_are_not_kept(void **state)
{
    static const char *const words[] = {"connect", "9"};
    struct mbr_store *boss = connect_with(LONG);
    unsigned before = open_descriptors();
    struct rlimit limit, few;
    char *text = NULL;
    int fd = -1;

    assert_int_equal(mbr_store_control(boss, words, 2, &text, NULL), 0);
    assert_string_equal(text, "OK");
    free(text);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(mbr_store_domain_connect(boss, 9, &fd), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(mbr_store_domain_connect(boss, 9, &fd), 0);
    assert_int_equal(open_descriptors(), before + 1);
    (void)close(fd);
    /* One that comes when nobody waits for it any more. */
    stop();
    assert_int_equal(mbr_store_set_timeout(boss, 5 * MS), 0);
    assert_int_equal(mbr_store_domain_connect(boss, 9, &fd), -ETIMEDOUT);
    assert_int_equal(kill(d.pid, SIGCONT), 0);
    assert_int_equal(mbr_store_set_timeout(boss, LONG), 0);
    assert_int_equal(mbr_store_exists(boss, 0, "/none"), 0);
    assert_int_equal(open_descriptors(), before);
    mbr_store_close(boss);
}

#define WITH(state, f) cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, state)

int main(void)
{
    static char durable[] = "durable";
    const struct CMUnitTest tests[] = {
        WITH(NULL, watches_outlive_the_daemon),
        WITH(durable, reads_are_repeated_writes_are_told),
        WITH(NULL, transactions_are_tried_again),
        WITH(NULL, updates_end_nothing),
        WITH(NULL, lives_beside_a_pipe),
        WITH(NULL, every_call_ends),
        WITH(NULL, late_transactions_are_dropped),
        WITH(NULL, domains_are_connected),
        WITH(NULL, descriptors_are_not_kept),
    };

    if (!daemon_util_init(&d, false)) {
        puts("skipped: no membraned in this build");
        return 77;
    }
    daemon_util_fini(&d);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
