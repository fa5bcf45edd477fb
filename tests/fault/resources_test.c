/* SPDX-License-Identifier: MIT */
/*
 * When there are no descriptors, no address space, no memory, or no room in the directory of names:
 * each call then returns a typed error, has changed nothing, has leaked nothing, and works when
 * there is room again. Descriptors and allocations are taken away at every point in turn. Not here:
 * the constructors of single modules, which have unit tests of the same kind.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../multi/native_util.h"
#include "../unit/failalloc.h"

#include <cmocka.h>

/* ---- what is tried again and again ---- */

struct bench {
    struct mbr_libos *l;
    int made; /* the pipe "there", whose other end nobody has opened */
    int qd;   /* what the step made */
    demi_qtoken_t qt;
};

/* A step that needs resources, and how it is undone. */
struct step {
    const char *name;
    int (*call)(struct bench *b);
    void (*undo)(struct bench *b);
};

static int call_open(struct bench *b)
{
    struct mbr_libos *l = NULL;
    int rc = mbr_libos_open("catmem", NULL, &l);

    CHECK(rc == 0 || l == NULL);
    mbr_libos_close(l);
    return rc;
}

static void undo_nothing(struct bench *b)
{
}

static int call_create(struct bench *b)
{
    return mbr_pipe_create(b->l, "made", NULL, &b->qd);
}

static int call_open_pipe(struct bench *b)
{
    return mbr_pipe_open(b->l, "there", NULL, &b->qd);
}

static void undo_pipe(struct bench *b)
{
    CHECK_INT(mbr_close(b->l, b->qd), 0);
}

static int call_names(struct bench *b)
{
    char path[PATH_MAX];

    return mbr_names_path(path, sizeof(path));
}

static int call_gc(struct bench *b)
{
    int rc = mbr_gc(1, NULL, NULL);

    return rc > 0 ? 0 : rc;
}

static int call_pop(struct bench *b)
{
    return mbr_pop(b->l, b->made, 0, &b->qt);
}

static void undo_operation(struct bench *b)
{
    CHECK_INT(mbr_cancel(b->l, b->qt), 0);
    demi_qresult_t qr = native_finish(b->l, b->qt);
    native_expect(&qr, DEMI_OPC_FAILED, ECANCELED);
}

static int call_descriptor(struct bench *b)
{
    int fd = mbr_libos_fd(b->l);

    return fd < 0 ? fd : 0;
}

static const struct step steps[] = {
    {"libos_open", call_open, undo_nothing},
    {"pipe_create", call_create, undo_pipe},
    {"pipe_open", call_open_pipe, undo_pipe},
    {"names_path", call_names, undo_nothing},
    {"gc", call_gc, undo_nothing},
    {"pop", call_pop, undo_operation},
    {"libos_fd", call_descriptor, undo_nothing},
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void make_bench(struct bench *b)
{
    b->l = open_libos();
    b->made = native_create(b->l, "there");
}

/* All is as it was, and works. */
static void expect_unchanged(struct bench *b, const struct step *step, size_t fds, size_t names)
{
    if (stage_count_fds() != fds || stage_count_entries(stage_names_dir()) != names)
        stage_fail(__FILE__, __LINE__, step->name);
}

static void expect_working(struct bench *b)
{
    for (size_t i = 0; i < STEPS; i++) {
        CHECK_INT(steps[i].call(b), 0);
        steps[i].undo(b);
    }
    int opened = native_open(b->l, "there");
    CHECK_INT(mbr_close(b->l, opened), 0);
}

static void wrong_error(const struct step *step, int rc)
{
    stage_fail_int(__FILE__, __LINE__, step->name, rc, 0);
}

/* ---- descriptors ---- */

static void limit_descriptors(rlim_t n)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = n;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* The lowest numbers are all taken, so that the limit counts what is opened from now on. */
static int first_free(void)
{
    int fd = dup(STDERR_FILENO);

    CHECK(fd >= 0);
    close(fd);
    return fd;
}

static void step_without_descriptors(struct bench *b, const struct step *step)
{
    for (int spare = 0;; spare++) {
        size_t fds = stage_count_fds(), names = stage_count_entries(stage_names_dir());
        limit_descriptors((rlim_t)(first_free() + spare));
        int rc = step->call(b);
        limit_descriptors(1000);
        if (rc == 0) {
            step->undo(b);
            return;
        }
        if (rc != -EMFILE || spare > 50)
            wrong_error(step, rc);
        expect_unchanged(b, step, fds, names);
    }
}

static void no_descriptors_here(struct stage_actor *parent, void *arg)
{
    struct bench b;

    limit_descriptors(1000);
    make_bench(&b);
    for (size_t i = 0; i < STEPS; i++)
        step_without_descriptors(&b, &steps[i]);
    expect_working(&b);
    mbr_libos_close(b.l);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

static void play(stage_role *role)
{
    struct stage_actor actor;

    stage_spawn(&actor, role, NULL);
    int status = stage_join(&actor);
    if (WIFEXITED(status) && WEXITSTATUS(status) == STAGE_SKIPPED)
        skip();
    CHECK_INT(status, 0);
}

static void no_descriptors(void **state)
{
    play(no_descriptors_here);
}

/* A pipe that works goes on working when not one descriptor is left. */
static void working_pipe_without_descriptors_here(struct stage_actor *parent, void *arg)
{
    struct bench b;

    make_bench(&b);
    int opened = native_open(b.l, "there");
    native_push(b.l, b.made, 100, 1);
    native_pop(b.l, opened, 100, 1);
    limit_descriptors((rlim_t)first_free());
    for (uint64_t i = 0; i < 200; i++) {
        demi_qtoken_t push = native_start_push(b.l, b.made, 1 + i * 3000, i);
        native_pop(b.l, opened, 1 + i * 3000, i);
        demi_qresult_t qr = native_finish(b.l, push);
        native_expect(&qr, DEMI_OPC_PUSH, 0);
        demi_qtoken_t pop = native_start_pop(b.l, b.made, 0);
        CHECK_INT(mbr_wait(b.l, pop, 100000, &qr), -ETIMEDOUT);
        native_push(b.l, opened, 10, i);
        qr = native_finish(b.l, pop);
        native_expect_message(&qr, 10, i);
    }
    CHECK_INT(mbr_close(b.l, opened), 0);
    native_pop_eof(b.l, b.made);
    limit_descriptors(1000);
    mbr_libos_close(b.l);
}

static void working_pipe_without_descriptors(void **state)
{
    play(working_pipe_without_descriptors_here);
}

/* ---- allocations ---- */

static void step_without_memory(struct bench *b, const struct step *step)
{
    for (unsigned int after = 0;; after++) {
        size_t fds = stage_count_fds(), names = stage_count_entries(stage_names_dir());
        failalloc_arm(after);
        int rc = step->call(b);
        bool failed = failalloc_disarm();
        if (rc == 0)
            step->undo(b);
        if (!failed) {
            CHECK_INT(rc, 0);
            return;
        }
        /* An allocation may be one that can be done without. */
        if (rc != 0 && rc != -ENOMEM)
            wrong_error(step, rc);
        expect_unchanged(b, step, fds, names);
    }
}

/* Messages while allocations fail: an operation is refused or fails, and its message is not lost.
 */
static void messages_without_memory(struct bench *b)
{
    int opened = native_open(b->l, "there");
    demi_sgarray_t sga = native_filled(300000, 5);

    for (unsigned int after = 0; after < 12; after++) {
        demi_qtoken_t push, pop;
        demi_qresult_t qr;

        failalloc_arm(after);
        int rc = mbr_push(b->l, b->made, &sga, &push);
        (void)failalloc_disarm();
        CHECK(rc == 0 || rc == -ENOMEM);
        if (rc != 0)
            CHECK_INT(mbr_push(b->l, b->made, &sga, &push), 0);
        failalloc_arm(after);
        rc = mbr_pop(b->l, opened, 0, &pop);
        int waited = rc == 0 ? mbr_wait(b->l, pop, MBR_FOREVER, &qr) : 0;
        (void)failalloc_disarm();
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_INT(waited, 0);
        if (rc == 0 && qr.qr_opcode == DEMI_OPC_FAILED)
            native_expect(&qr, DEMI_OPC_FAILED, ENOMEM);
        if (rc != 0 || qr.qr_opcode == DEMI_OPC_FAILED)
            qr = native_finish(b->l, native_start_pop(b->l, opened, 0));
        native_expect_message(&qr, 300000, 5);
        qr = native_finish(b->l, push);
        native_expect(&qr, DEMI_OPC_PUSH, 0);
    }
    CHECK_INT(mbr_sga_free(&sga), 0);
    CHECK_INT(mbr_close(b->l, opened), 0);
}

static void no_allocations_here(struct stage_actor *parent, void *arg)
{
    struct bench b;

    make_bench(&b);
    for (size_t i = 0; i < STEPS; i++)
        step_without_memory(&b, &steps[i]);
    messages_without_memory(&b);
    expect_working(&b);
    mbr_libos_close(b.l);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

static void no_allocations(void **state)
{
    play(no_allocations_here);
}

/* ---- address space ---- */

static uint64_t address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    CHECK(f && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    return (uint64_t)pages * 4096;
}

static void limit_address_space(uint64_t bytes)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void step_without_address_space(struct bench *b, const struct step *step)
{
    for (uint64_t spare = 0; spare < 64u << 20; spare += 4096) {
        size_t fds = stage_count_fds(), names = stage_count_entries(stage_names_dir());
        limit_address_space(address_space() + spare);
        int rc = step->call(b);
        limit_address_space(RLIM_INFINITY);
        if (rc == 0) {
            step->undo(b);
            return;
        }
        if (rc != -ENOMEM)
            wrong_error(step, rc);
        expect_unchanged(b, step, fds, names);
    }
    stage_fail(__FILE__, __LINE__, step->name);
}

/* A message that is larger than the receiver's memory is not popped, and not lost. */
static void message_without_memory(struct bench *b)
{
    const size_t size = 40u << 20;
    int opened = native_open(b->l, "there");
    demi_qtoken_t push = native_start_push(b->l, b->made, size, 1), pop;
    demi_qresult_t qr;

    limit_address_space(address_space() + (10u << 20));
    int rc = mbr_pop(b->l, opened, 0, &pop);
    CHECK(rc == 0 || rc == -ENOMEM);
    if (rc == 0) {
        CHECK_INT(mbr_wait(b->l, pop, MBR_FOREVER, &qr), 0);
        native_expect(&qr, DEMI_OPC_FAILED, ENOMEM);
    }
    demi_sgarray_t none = mbr_sga_alloc(size);
    CHECK(none.sga_buf == NULL && none.sga_numsegs == 0);
    limit_address_space(RLIM_INFINITY);
    native_pop(b->l, opened, size, 1);
    qr = native_finish(b->l, push);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    CHECK_INT(mbr_close(b->l, opened), 0);
}

static void no_address_space_here(struct stage_actor *parent, void *arg)
{
    struct bench b;

    make_bench(&b);
    for (size_t i = 0; i < STEPS; i++)
        step_without_address_space(&b, &steps[i]);
    message_without_memory(&b);
    expect_working(&b);
    mbr_libos_close(b.l);
}

static void no_address_space(void **state)
{
    if (stage_sanitized()) /* sanitizers need terabytes of it */
        skip();
    play(no_address_space_here);
}

/* A capacity that no machine has. */
static void ring_larger_than_memory(struct stage_actor *parent, void *arg)
{
    struct mbr_pipe_options options = {.size = sizeof(options), .capacity = MBR_PIPE_CAPACITY_MAX};
    struct bench b;
    int qd = 77;

    make_bench(&b);
    size_t fds = stage_count_fds(), names = stage_count_entries(stage_names_dir());
    limit_address_space(address_space() + (100u << 20));
    CHECK_INT(mbr_pipe_create(b.l, "large", &options, &qd), -ENOMEM);
    limit_address_space(RLIM_INFINITY);
    CHECK_INT(qd, 77);
    CHECK_INT(stage_count_fds(), fds);
    CHECK_INT(stage_count_entries(stage_names_dir()), names);
    mbr_libos_close(b.l);
}

static void no_memory_for_a_ring(void **state)
{
    if (stage_sanitized())
        skip();
    play(ring_larger_than_memory);
}

/* ---- the directory of names ---- */

/* In a mount namespace of its own: a file system with room for hardly anything, then for none. */
static void full_directory_here(struct stage_actor *parent, void *arg)
{
    char dir[PATH_MAX], path[PATH_MAX + 32];
    int n = 0, rc;

    snprintf(dir, sizeof(dir), "%s/small", stage_dir());
    CHECK(mkdir(dir, 0700) == 0);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("small", dir, "tmpfs", 0, "mode=0700,nr_inodes=12,size=64k") != 0)
        _exit(STAGE_SKIPPED);
    snprintf(path, sizeof(path), "%s/names", dir);
    setenv("MEMBRANE_DIR", path, 1);

    struct mbr_libos *l = open_libos();
    int qds[32];
    char name[32];
    for (;; n++) {
        snprintf(name, sizeof(name), "full-%d", n);
        size_t fds = stage_count_fds(), names = stage_count_entries(path);
        rc = mbr_pipe_create(l, name, NULL, &qds[n]);
        if (rc != 0) {
            CHECK_INT(stage_count_fds(), fds);
            CHECK_INT(stage_count_entries(path), names);
            break;
        }
        CHECK(n < 31);
    }
    CHECK_INT(rc, -ENOSPC);
    CHECK(n > 0);
    CHECK_INT(mbr_close(l, qds[0]), 0);
    CHECK_INT(mbr_pipe_create(l, name, NULL, &qds[0]), 0);
    CHECK(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    CHECK_INT(mbr_pipe_create(l, "read-only", NULL, &rc), -EROFS);
    CHECK(mount(NULL, dir, NULL, MS_REMOUNT, NULL) == 0);
    mbr_libos_close(l);
    CHECK_INT(stage_count_entries(path), 0);
}

static void full_directory(void **state)
{
    play(full_directory_here);
}

/* Somebody keeps the lock on the directory, stopped perhaps: whoever needs it gives up after 5 s
 * and says so. What needs no names is not concerned. */
static void hold_the_lock(struct stage_actor *parent, void *arg)
{
    int fd = open(stage_names_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
    stage_say(parent, 1);
    (void)stage_hear(parent);
}

static void locked_directory_here(struct stage_actor *parent, void *arg)
{
    struct stage_actor holder;
    struct bench b;
    int qd = 77;

    make_bench(&b);
    int opened = native_open(b.l, "there");
    stage_spawn(&holder, hold_the_lock, NULL);
    (void)stage_hear(&holder);
    for (uint64_t i = 0; i < 100; i++) {
        native_push(b.l, b.made, 100, i);
        native_pop(b.l, opened, 100, i);
    }
    size_t fds = stage_count_fds(), names = stage_count_entries(stage_names_dir());
    CHECK_INT(mbr_pipe_create(b.l, "locked", NULL, &qd), -ETIMEDOUT);
    CHECK_INT(qd, 77);
    CHECK_INT(stage_count_fds(), fds);
    CHECK_INT(stage_count_entries(stage_names_dir()), names);
    stage_kill(&holder); /* a lock does not outlive its holder */
    CHECK_INT(mbr_pipe_create(b.l, "locked", NULL, &qd), 0);
    mbr_libos_close(b.l);
}

static void locked_directory(void **state)
{
    play(locked_directory_here);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_descriptors),       cmocka_unit_test(working_pipe_without_descriptors),
        cmocka_unit_test(no_allocations),       cmocka_unit_test(no_address_space),
        cmocka_unit_test(no_memory_for_a_ring), cmocka_unit_test(full_directory),
        cmocka_unit_test(locked_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
