/* SPDX-License-Identifier: MIT */
/*
 * Native instances and pipes: options, threads, interrupting, sized pops, one-way pipes, the
 * descriptor for foreign event loops, and cleaning up the directory of names. Not here: ends
 * (native_close_test.c), in place and by reference (native_place_test.c).
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../multi/native_util.h"

#include <cmocka.h>

static struct mbr_libos *l;

static int make_libos(void **state)
{
    l = open_libos();
    return 0;
}

static int drop_libos(void **state)
{
    mbr_libos_close(l);
    return 0;
}

/* ---- options ---- */

static void libos_open_errors(void **state)
{
    struct mbr_libos_options options = {.size = sizeof(options)};
    struct mbr_libos *other = NULL;

    CHECK_INT(mbr_libos_open("nonesuch", NULL, &other), -ENOTSUP);
    CHECK_INT(mbr_libos_open("", NULL, &other), -ENOTSUP);
    CHECK(mbr_libos_open(NULL, NULL, &other) < 0);
    options.size = 0;
    CHECK_INT(mbr_libos_open("catmem", &options, &other), -EINVAL);
    options.size = sizeof(options);
    options.capacity = MBR_PIPE_CAPACITY_MAX + 1;
    CHECK_INT(mbr_libos_open("catmem", &options, &other), -EINVAL);
    CHECK(other == NULL);
    mbr_libos_close(NULL);
}

/* Messages of 1 KiB that fit into the ring of QD while nobody pops. */
static uint64_t kibibytes_that_fit(int qd)
{
    demi_sgarray_t sga = native_filled(1024, 0);
    demi_qresult_t qr;
    demi_qtoken_t qt;
    uint64_t n = 0;

    for (;; n++) {
        CHECK_INT(mbr_push(l, qd, &sga, &qt), 0);
        if (mbr_wait(l, qt, 0, &qr) == -ETIMEDOUT)
            break;
        native_expect(&qr, DEMI_OPC_PUSH, 0);
    }
    CHECK_INT(mbr_sga_free(&sga), 0);
    return n;
}

static void expect_capacity(int qd, uint64_t capacity)
{
    uint64_t n = kibibytes_that_fit(qd);

    /* Each message has a header; how much that is, is not promised. */
    CHECK(n <= capacity / 1024);
    CHECK(n >= capacity / 1024 * 3 / 4 - 1);
}

static void capacity_of_the_instance(void **state)
{
    static const uint64_t given[][2] = {
        {0, MBR_PIPE_CAPACITY_DEFAULT}, {1, 4096}, {4097, 8192}, {1u << 20, 1u << 20}};
    struct mbr_libos_options options = {.size = sizeof(options)};

    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        mbr_libos_close(l);
        options.capacity = given[i][0];
        CHECK_INT(mbr_libos_open("catmem", &options, &l), 0);
        int made = native_create(l, "capacity");
        int opened = native_open(l, "capacity");
        expect_capacity(made, given[i][1]);
        expect_capacity(opened, given[i][1]);
    }
}

static void capacity_of_the_environment(void **state)
{
    static const struct {
        const char *text;
        uint64_t capacity;
    } given[] = {{"8192", 8192}, {"16K", 16384}, {"1M", 1u << 20}};

    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        mbr_libos_close(l);
        setenv("MEMBRANE_CAPACITY", given[i].text, 1);
        l = open_libos();
        unsetenv("MEMBRANE_CAPACITY");
        expect_capacity(native_create(l, "capacity"), given[i].capacity);
    }
}

/* Each end's ring has a size of its own; an opener that does not say takes the creator's. */
static void capacity_of_a_pipe(void **state)
{
    struct mbr_pipe_options options = {.size = sizeof(options), .capacity = 8192};
    int made, opened;

    CHECK_INT(mbr_pipe_create(l, "capacity", &options, &made), 0);
    opened = native_open(l, "capacity");
    expect_capacity(made, 8192);
    expect_capacity(opened, 8192);
    CHECK_INT(mbr_close(l, opened), 0);
    CHECK_INT(mbr_close(l, made), 0);

    CHECK_INT(mbr_pipe_create(l, "capacity", &options, &made), 0);
    options.capacity = 256 << 10;
    CHECK_INT(mbr_pipe_open(l, "capacity", &options, &opened), 0);
    expect_capacity(made, 8192);
    expect_capacity(opened, 256 << 10);
}

static void pipe_options_errors(void **state)
{
    struct mbr_pipe_options options = {.size = 0};
    int qd = 77;

    CHECK_INT(mbr_pipe_create(l, "options", &options, &qd), -EINVAL);
    options.size = sizeof(options);
    options.capacity = MBR_PIPE_CAPACITY_MAX + 1;
    CHECK_INT(mbr_pipe_create(l, "options", &options, &qd), -EINVAL);
    options.capacity = 0;
    options.flags = 4;
    CHECK_INT(mbr_pipe_create(l, "options", &options, &qd), -EINVAL);
    options.flags = MBR_PIPE_SEND | MBR_PIPE_RECV;
    CHECK_INT(mbr_pipe_create(l, "options", &options, &qd), -EINVAL);
    CHECK_INT(mbr_pipe_open(l, "options", NULL, &qd), -ENOENT);
    CHECK_INT(qd, 77);
}

/* ---- threads ---- */

static void foreign_thread(void *arg)
{
    const int *qd = arg;
    demi_sgarray_t sga = native_filled(8, 0);
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int out;

    CHECK_INT(mbr_pipe_create(l, "foreign", NULL, &out), -EPERM);
    CHECK_INT(mbr_pipe_open(l, "foreign", NULL, &out), -EPERM);
    CHECK_INT(mbr_push(l, *qd, &sga, &qt), -EPERM);
    CHECK_INT(mbr_pop(l, *qd, 0, &qt), -EPERM);
    CHECK_INT(mbr_close(l, *qd), -EPERM);
    CHECK_INT(mbr_shutdown(l, *qd, MBR_SHUT_BOTH), -EPERM);
    CHECK_INT(mbr_wait(l, 5, 0, &qr), -EPERM);
    CHECK_INT(mbr_wait_any(l, NULL, 0, 0, &qr, &out), -EPERM);
    CHECK_INT(mbr_wait_next_n(l, 1, 0, &qr, &out), -EPERM);
    CHECK_INT(mbr_sga_free(&sga), 0); /* memory is from and for any thread */
}

static void adopting_thread(void *arg)
{
    const int *qds = arg;

    CHECK_INT(mbr_libos_adopt(l), 0);
    native_push(l, qds[0], 100, 1);
    native_pop(l, qds[1], 100, 1);
}

static void instance_belongs_to_a_thread(void **state)
{
    int qds[2] = {native_create(l, "thread"), native_open(l, "thread")};
    demi_qresult_t qr;

    stage_in_thread(foreign_thread, qds);
    native_push(l, qds[0], 10, 1);
    native_pop(l, qds[1], 10, 1);
    stage_in_thread(adopting_thread, qds);
    CHECK_INT(mbr_wait(l, 5, 0, &qr), -EPERM);
    CHECK_INT(mbr_libos_adopt(l), 0);
    native_push(l, qds[1], 10, 1);
    native_pop(l, qds[0], 10, 1);
}

static void thread_that_leaves_an_instance(void *arg)
{
    struct mbr_libos **out = arg;

    *out = open_libos();
    (void)native_start_pop(*out, native_create(*out, "left"), 0);
}

static void instance_of_a_thread_that_has_ended(void **state)
{
    struct mbr_libos *left;

    stage_in_thread(thread_that_leaves_an_instance, &left);
    mbr_libos_close(left);
    CHECK_INT(mbr_close(l, native_create(l, "left")), 0);
}

/* ---- interrupting ---- */

static void interrupt_before_a_wait(void **state)
{
    demi_qtoken_t pop = native_start_pop(l, native_create(l, "interrupt"), 0);
    demi_qresult_t qr;

    /* Not lost, whoever comes first; and once is once. */
    mbr_libos_interrupt(l);
    CHECK_INT(mbr_wait(l, pop, MBR_FOREVER, &qr), -EINTR);
    CHECK_INT(mbr_wait(l, pop, 0, &qr), -ETIMEDOUT);
}

static void *interrupting_thread(void *arg)
{
    const pid_t *waiter = arg;

    stage_await_parked(*waiter);
    mbr_libos_interrupt(l);
    return NULL;
}

static void interrupt_a_parked_wait(void **state)
{
    demi_qtoken_t pop = native_start_pop(l, native_create(l, "interrupt"), 0);
    pid_t self = getpid();
    demi_qresult_t qr;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, interrupting_thread, &self) == 0);
    CHECK_INT(mbr_wait(l, pop, MBR_FOREVER, &qr), -EINTR);
    CHECK(pthread_join(thread, NULL) == 0);
    native_expect_pending(l, pop);
}

static void on_signal(int sig)
{
    mbr_libos_interrupt(l);
}

static void *signalling_thread(void *arg)
{
    const pthread_t *waiter = arg;

    stage_await_parked(getpid());
    pthread_kill(*waiter, SIGUSR1);
    return NULL;
}

static void interrupt_from_a_signal_handler(void **state)
{
    demi_qtoken_t pop = native_start_pop(l, native_create(l, "interrupt"), 0);
    pthread_t thread, self = pthread_self();
    demi_qresult_t qr;

    signal(SIGUSR1, on_signal);
    CHECK(pthread_create(&thread, NULL, signalling_thread, &self) == 0);
    CHECK_INT(mbr_wait(l, pop, MBR_FOREVER, &qr), -EINTR);
    CHECK(pthread_join(thread, NULL) == 0);
    signal(SIGUSR1, SIG_DFL);
    native_expect_pending(l, pop);
}

/* ---- sized pops ---- */

static void expect_left(int qd, uint64_t wanted)
{
    uint64_t left = 77;

    CHECK_INT(mbr_message_left(l, qd, &left), 0);
    CHECK_INT(left, wanted);
}

static void expect_part(const unsigned char *whole, int qd, size_t max, size_t from, size_t n)
{
    demi_qresult_t qr = native_finish(l, native_start_pop(l, qd, max));

    native_expect(&qr, DEMI_OPC_POP, 0);
    CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, n);
    CHECK(memcmp(qr.qr_value.sga.sga_segs[0].sgaseg_buf, whole + from, n) == 0);
    CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
}

static void sized_pop(void **state)
{
    int made = native_create(l, "sized"), opened = native_open(l, "sized");
    unsigned char whole[1000];

    stage_fill(whole, sizeof(whole), 1);
    native_push(l, made, 1000, 1);
    native_push(l, made, 1000, 1);
    native_push(l, made, 5, 2);
    expect_left(opened, 0);
    expect_part(whole, opened, 300, 0, 300);
    expect_left(opened, 700);
    expect_part(whole, opened, 1, 300, 1);
    expect_left(opened, 699);
    expect_part(whole, opened, 0, 301, 699); /* what is left of the message */
    expect_left(opened, 0);
    expect_part(whole, opened, 999, 0, 999);
    expect_part(whole, opened, 5000, 999, 1); /* never into the next message */
    expect_left(opened, 0);
    native_pop(l, opened, 5, 2);
    CHECK_INT(mbr_message_left(l, -1, &(uint64_t){0}), -EBADF);
}

static void sized_pops_that_wait(void **state)
{
    int made = native_create(l, "sized"), opened = native_open(l, "sized");
    static const size_t sizes[] = {300, 300, 100, 300};
    demi_qtoken_t pops[4];
    unsigned char whole[700];

    stage_fill(whole, sizeof(whole), 1);
    for (int i = 0; i < 4; i++)
        pops[i] = native_start_pop(l, opened, 300);
    native_push(l, made, 700, 1);
    native_push(l, made, 300, 2);
    for (size_t i = 0, at = 0; i < 3; at += sizes[i++]) {
        demi_qresult_t qr = native_finish(l, pops[i]);
        CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, sizes[i]);
        CHECK(memcmp(qr.qr_value.sga.sga_segs[0].sgaseg_buf, whole + at, sizes[i]) == 0);
        CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
    }
    demi_qresult_t qr = native_finish(l, pops[3]);
    native_expect_message(&qr, 300, 2);
}

static void sized_pops_of_a_large_message(void **state)
{
    int made = native_create(l, "sized"), opened = native_open(l, "sized");
    const size_t size = 1000003, step = 7000;
    unsigned char *whole = malloc(size);

    stage_fill(whole, size, 1);
    demi_qtoken_t push = native_start_push(l, made, size, 1);
    for (size_t at = 0; at < size; at += step)
        expect_part(whole, opened, step, at, size - at < step ? size - at : step);
    expect_left(opened, 0);
    demi_qresult_t qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    free(whole);
}

/* ---- one-way pipes ---- */

static void one_way_pipes(void **state)
{
    struct mbr_pipe_options send = {.size = sizeof(send), .flags = MBR_PIPE_SEND};
    struct mbr_pipe_options recv = {.size = sizeof(recv), .flags = MBR_PIPE_RECV};

    for (int creator_sends = 0; creator_sends < 2; creator_sends++) {
        int made, opened;
        CHECK_INT(mbr_pipe_create(l, "one-way", creator_sends ? &send : &recv, &made), 0);
        CHECK_INT(mbr_pipe_open(l, "one-way", creator_sends ? &recv : &send, &opened), 0);
        int from = creator_sends ? made : opened, to = creator_sends ? opened : made;

        for (uint64_t i = 0; i < 500; i++) {
            native_push(l, from, 1 + i, i);
            native_pop(l, to, 1 + i, i);
        }
        CHECK_INT(mbr_pop(l, from, 0, &(demi_qtoken_t){0}), -EBADF);
        CHECK_INT(native_try_push(l, to, 8, 0).error, EBADF);
        CHECK_INT(mbr_close(l, from), 0);
        native_pop_eof(l, to);
        CHECK_INT(mbr_close(l, to), 0);
    }
}

/* ---- foreign event loops ---- */

static bool readable(int fd, int milliseconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, milliseconds) == 1 && (p.revents & POLLIN);
}

static void push_when_told(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *mine = open_libos();
    int qd = native_open(mine, "foreign-loop");
    uint64_t key;

    while (stage_listen(parent, &key))
        native_push(mine, qd, 32, key);
}

/* Sleeps in poll() only; the deadline of the stage is the only other way out. */
static void descriptor_for_foreign_loops(void **state)
{
    struct stage_actor actor;
    int made = native_create(l, "foreign-loop"), fd = mbr_libos_fd(l), offset;
    demi_qresult_t qr;

    CHECK(fd >= 0);
    stage_spawn(&actor, push_when_told, NULL);
    demi_qtoken_t pop = native_start_pop(l, made, 0);
    for (uint64_t i = 0; i < 2000; i++) {
        stage_say(&actor, i);
        while (mbr_wait_any(l, &pop, 1, 0, &qr, &offset) == -ETIMEDOUT) {
            int rc = mbr_libos_prepare(l);
            CHECK(rc == 0 || rc == 1);
            if (rc == 0)
                CHECK(readable(fd, -1));
        }
        native_expect_message(&qr, 32, i);
        pop = native_start_pop(l, made, 0);
    }
    CHECK_INT(mbr_libos_fd(l), fd);
    /* The end of the peer is something to do, too. */
    CHECK_INT(kill(actor.pid, SIGKILL), 0);
    while (mbr_wait_any(l, &pop, 1, 0, &qr, &offset) == -ETIMEDOUT) {
        if (mbr_libos_prepare(l) == 0)
            CHECK(readable(fd, -1));
    }
    native_expect(&qr, DEMI_OPC_FAILED, ECONNRESET);
    (void)stage_join(&actor);
}

static void idle_descriptor_is_not_readable(void **state)
{
    int made = native_create(l, "idle"), opened = native_open(l, "idle");
    demi_qtoken_t pop = native_start_pop(l, made, 0);

    native_expect_pending(l, pop);
    /* What has happened so far may still have to be looked at. */
    while (mbr_libos_prepare(l) == 1)
        native_expect_pending(l, pop);
    CHECK(!readable(mbr_libos_fd(l), 0));
    native_push(l, opened, 8, 1);
    CHECK_INT(mbr_libos_prepare(l), 1);
    demi_qresult_t qr = native_finish(l, pop);
    native_expect_message(&qr, 8, 1);
}

/* ---- the directory of names ---- */

static void names_path(void **state)
{
    char path[PATH_MAX];

    CHECK_INT(mbr_names_path(path, sizeof(path)), 0);
    assert_string_equal(path, stage_names_dir());
    CHECK_INT(mbr_names_path(path, strlen(stage_names_dir()) + 1), 0);
    CHECK_INT(mbr_names_path(path, strlen(stage_names_dir())), -ENAMETOOLONG);
    CHECK_INT(mbr_names_path(path, 0), -ENAMETOOLONG);
}

static int create_in(const char *dir)
{
    char *good = strdup(getenv("MEMBRANE_DIR"));
    struct mbr_libos *other = NULL;
    int qd;

    setenv("MEMBRANE_DIR", dir, 1);
    int rc = mbr_libos_open("catmem", NULL, &other);
    if (rc == 0)
        rc = mbr_pipe_create(other, "where", NULL, &qd);
    mbr_libos_close(other);
    setenv("MEMBRANE_DIR", good, 1);
    free(good);
    return rc;
}

/* Somebody else's directory, or one that others may enter, is not used. */
static void unsafe_directories(void **state)
{
    char dir[PATH_MAX], other[PATH_MAX];

    CHECK_INT(create_in("relative/names"), -EINVAL);
    snprintf(dir, sizeof(dir), "%s/nonesuch/names", stage_dir());
    CHECK_INT(create_in(dir), -ENOENT);
    snprintf(dir, sizeof(dir), "%s/config.yaml", stage_dir());
    CHECK(create_in(dir) < 0);
    snprintf(dir, sizeof(dir), "%s/open", stage_dir());
    static const mode_t modes[] = {0755, 0777, 0750, 0701, 0710, 0500, 0600};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        CHECK(mkdir(dir, 0700) == 0 && chmod(dir, modes[i]) == 0);
        CHECK_INT(create_in(dir), -EPERM);
        CHECK_INT(stage_count_entries(dir), 0);
        CHECK(rmdir(dir) == 0);
    }
    snprintf(other, sizeof(other), "%s/link", stage_dir());
    CHECK(mkdir(dir, 0700) == 0 && symlink(dir, other) == 0);
    CHECK(create_in(other) < 0);
    CHECK_INT(create_in(dir), 0);
    CHECK_INT(stage_count_entries(dir), 0);
    if (geteuid() == 0) {
        CHECK(chown(dir, 65534, 65534) == 0);
        CHECK_INT(create_in(dir), -EPERM);
    }
}

/* ---- cleaning up ---- */

static void leave_names(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *mine = open_libos();
    char name[32];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "left-%d", i);
        int made = native_create(mine, name);
        native_push(mine, made, 100, 1);
        if (i % 2)
            native_push(mine, native_open(mine, name), 100, 1);
    }
    native_push(mine, native_open(mine, "alive"), 100, 1);
    raise(SIGKILL);
}

struct found {
    pid_t dead;
    int pipes, removed, unknown, others;
};

static void count_found(void *arg, const struct mbr_gc_entry *e)
{
    struct found *found = arg;

    CHECK(e->path != NULL && e->what != NULL);
    CHECK(strncmp(e->path, "/", 1) != 0);
    if (strcmp(e->what, "unknown") == 0) {
        found->unknown++;
        CHECK(!e->removed);
        return;
    }
    CHECK(e->pid == 0 || e->pid == found->dead);
    found->removed += e->removed;
    if (strcmp(e->what, "pipe") == 0)
        found->pipes++;
    else
        found->others++;
}

static void gc_removes_what_dead_processes_left(void **state)
{
    struct stage_actor actor;
    struct found dry = {0}, real = {0}, again = {0};
    char junk[PATH_MAX];

    (void)native_create(l, "first"); /* with the first pipe, an instance may get a mailbox */
    size_t before_pipe = stage_count_entries(stage_names_dir());
    int alive = native_create(l, "alive");
    stage_spawn(&actor, leave_names, NULL);
    dry.dead = real.dead = actor.pid;
    CHECK_INT(WTERMSIG(stage_join(&actor)), SIGKILL);
    snprintf(junk, sizeof(junk), "%s/junk", stage_names_dir());
    close(open(junk, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    size_t before = stage_count_entries(stage_names_dir());

    int n = mbr_gc(1, count_found, &dry);
    CHECK(n > 0);
    CHECK_INT(dry.removed, 0);
    CHECK_INT(dry.pipes, 20);
    CHECK_INT(dry.unknown, 1);
    CHECK_INT(stage_count_entries(stage_names_dir()), before);
    CHECK_INT(mbr_gc(0, count_found, &real), n);
    CHECK_INT(real.removed, n);
    CHECK_INT(real.pipes, 20);
    CHECK_INT(real.unknown, 1);
    CHECK_INT(mbr_gc(0, count_found, &again), 0);
    CHECK_INT(mbr_gc(0, NULL, NULL), 0);
    CHECK(unlink(junk) == 0);
    /* The living pipe is as it was: its dead opener had pushed. */
    native_pop(l, alive, 100, 1);
    CHECK_INT(native_try_pop(l, alive).error, ECONNRESET);
    /* What the opener left was the living creator's to remove, and goes with it at the latest. */
    CHECK_INT(mbr_close(l, alive), 0);
    CHECK_INT(stage_count_entries(stage_names_dir()), before_pipe);
}

static int run(int argc, char **argv)
{
#define WITH_LIBOS(f) cmocka_unit_test_setup_teardown(f, make_libos, drop_libos)
    const struct CMUnitTest tests[] = {
        WITH_LIBOS(libos_open_errors),
        WITH_LIBOS(capacity_of_the_instance),
        WITH_LIBOS(capacity_of_the_environment),
        WITH_LIBOS(capacity_of_a_pipe),
        WITH_LIBOS(pipe_options_errors),
        WITH_LIBOS(instance_belongs_to_a_thread),
        WITH_LIBOS(instance_of_a_thread_that_has_ended),
        WITH_LIBOS(interrupt_before_a_wait),
        WITH_LIBOS(interrupt_a_parked_wait),
        WITH_LIBOS(interrupt_from_a_signal_handler),
        WITH_LIBOS(sized_pop),
        WITH_LIBOS(sized_pops_that_wait),
        WITH_LIBOS(sized_pops_of_a_large_message),
        WITH_LIBOS(one_way_pipes),
        WITH_LIBOS(descriptor_for_foreign_loops),
        WITH_LIBOS(idle_descriptor_is_not_readable),
        WITH_LIBOS(names_path),
        WITH_LIBOS(unsafe_directories),
        WITH_LIBOS(gc_removes_what_dead_processes_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
