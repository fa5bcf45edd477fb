/* SPDX-License-Identifier: MIT */
/*
 * Pipes in one process: the cases of Demikernel's pipe-test (run mode standalone), under their
 * names, and what its C API says about names and descriptors. Where a case cannot be said in C,
 * such as dropping a library instance, its nearest form is taken: the end of a thread or of a
 * process. Not here: its modes with two processes (demi_pipe_modes_test.c), asynchronous close
 * (native_close_test.c).
 */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demi_util.h"

#include <cmocka.h>

#define UNTOUCHED 123456

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

static void refused_names(int (*call)(int *qd, const char *name))
{
    /* Overlong forms and surrogates are no UTF-8 (RFC 3629), a lone continuation byte neither. */
    static const char *const invalid[] = {
        "", "/", "a/b", "/a", "a/", "\xff\xfe", "a\x80", "\xc0\x80", "\xed\xa0\x80", "\xe2\x82",
    };
    char name[301];
    int qd = UNTOUCHED;

    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        CHECK_INT(call(&qd, invalid[i]), EINVAL);
    for (size_t length = 241; length <= 300; length += 59) {
        memset(name, 'n', length);
        name[length] = '\0';
        CHECK_INT(call(&qd, name), ENAMETOOLONG);
    }
    CHECK_INT(call(&qd, NULL), EINVAL);
    CHECK_INT(call(NULL, "create_pipe_with_invalid_name"), EINVAL);
    CHECK_INT(qd, UNTOUCHED);
}

static void create_pipe_with_invalid_name(void **state)
{
    refused_names(demi_create_pipe);
}

static void open_pipe_with_invalid_name(void **state)
{
    refused_names(demi_open_pipe);
}

/* Whatever is not excluded is a name, also what would mean something to a shell or a file system.
 */
static void create_pipe_with_unusual_names(void **state)
{
    static const char *const names[] = {
        ".",
        "..",
        ".hidden",
        "-rf",
        " ",
        "a b",
        "*",
        "%s%n",
        "\n",
        "\x7f",
        "\\",
        "n:rx",
        "n:tx",
        "\xc3\xa9",
        "\xf0\x9f\x90\x8d",
        "lock",
        "i.0123456789abcdef",
    };
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    int made[COUNT], opened[COUNT];

    /* All at once: none may be mistaken for another. */
    for (size_t i = 0; i < COUNT; i++)
        made[i] = create_pipe(names[i]);
    for (size_t i = 0; i < COUNT; i++) {
        opened[i] = open_pipe(names[i]);
        push_message(opened[i], 8, i);
    }
    for (size_t i = 0; i < COUNT; i++) {
        pop_message(made[i], 8, i);
        CHECK_INT(demi_close(opened[i]), 0);
        CHECK_INT(demi_close(made[i]), 0);
    }
}

static void create_pipe_with_longest_name(void **state)
{
    char name[241];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    int made = create_pipe(name), opened = open_pipe(name);

    push_message(made, 100, 1);
    pop_message(opened, 100, 1);
    /* One byte less is another name. */
    name[sizeof(name) - 2] = '\0';
    int other = create_pipe(name);

    CHECK_INT(demi_close(other), 0);
    CHECK_INT(demi_close(opened), 0);
    CHECK_INT(demi_close(made), 0);
}

static void create_pipe_with_same_name(void **state)
{
    int made = create_pipe("same"), qd = UNTOUCHED;

    CHECK_INT(demi_create_pipe(&qd, "same"), EEXIST);
    CHECK_INT(qd, UNTOUCHED);
    CHECK_INT(demi_close(made), 0);
    made = create_pipe("same");
    CHECK_INT(demi_close(made), 0);
}

/* A library instance that ends with a pipe open and an operation pending. */
static void instance_without_close(void *arg)
{
    int made;

    start_demi();
    made = create_pipe("two-liboses");
    (void)start_pop(made);
}

static void create_pipe_with_same_name_in_two_liboses(void **state)
{
    size_t before = stage_count_entries(stage_names_dir()); /* this thread's instance has some */

    stage_in_thread(instance_without_close, NULL);
    CHECK_INT(stage_count_entries(stage_names_dir()), before);
    int made = create_pipe("two-liboses");
    CHECK_INT(demi_close(made), 0);
}

static void actor_without_close(struct stage_actor *parent, void *arg)
{
    const int *how = arg;

    /* A thread of its own, because the main thread's instance is inherited and dead. */
    stage_in_thread(instance_without_close, NULL);
    if (*how == 1)
        _exit(0);
    if (*how == 2)
        raise(SIGKILL);
}

/* Unlike the above, the thread lives when the process ends. */
static void instance_and_end(void *arg)
{
    const int *how = arg;

    instance_without_close(NULL);
    if (*how == 0)
        exit(0);
    if (*how == 1)
        _exit(0);
    raise(SIGKILL);
}

static void actor_that_ends(struct stage_actor *parent, void *arg)
{
    stage_in_thread(instance_and_end, arg);
}

static void create_pipe_with_same_name_in_two_processes(void **state)
{
    struct stage_actor actor;

    for (int how = 0; how < 3; how++) {
        stage_role *const roles[] = {actor_without_close, actor_that_ends};
        for (int r = 0; r < 2; r++) {
            stage_spawn(&actor, roles[r], &how);
            int status = stage_join(&actor);
            CHECK(how == 2 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : status == 0);
            int made = create_pipe("two-liboses");
            CHECK_INT(demi_close(made), 0);
        }
    }
}

static void open_pipe_that_does_not_exist(void **state)
{
    int qd = UNTOUCHED;

    CHECK_INT(demi_open_pipe(&qd, "does-not-exist"), ENOENT);
    int made = create_pipe("does-not-exist");
    CHECK_INT(demi_close(made), 0);
    CHECK_INT(demi_open_pipe(&qd, "does-not-exist"), ENOENT);
    CHECK_INT(qd, UNTOUCHED);
}

static void open_pipe_multiple_times(void **state)
{
    int made = create_pipe("multiple"), first = open_pipe("multiple");
    size_t fds;

    CHECK_INT(demi_close(first), 0);
    fds = stage_count_fds();
    for (int i = 1; i < 128; i++) {
        int qd = open_pipe("multiple");
        CHECK_INT(qd, first); /* numbers are reused, the last freed one first */
        CHECK_INT(demi_close(qd), 0);
    }
    CHECK_INT(stage_count_fds(), fds);
    CHECK_INT(demi_close(made), 0);
}

static void close_invalid_pipe(void **state)
{
    static const int invalid[] = {0, -1, 1, 499, 500, 501, 1000000, INT_MAX, INT_MIN};

    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        CHECK_INT(demi_close(invalid[i]), EBADF);
}

static void close_pipe_multiple_times(void **state)
{
    int made = create_pipe("closed");

    CHECK_INT(demi_close(made), 0);
    CHECK_INT(demi_close(made), EBADF);
    made = create_pipe("closed");
    int opened = open_pipe("closed");
    CHECK_INT(demi_close(opened), 0);
    CHECK_INT(demi_close(opened), EBADF);
    CHECK_INT(demi_close(made), 0);
    CHECK_INT(demi_close(made), EBADF);
}

static void descriptors_begin_at_500_and_are_reused_last_freed_first(void **state)
{
    int a = create_pipe("a"), b = create_pipe("b"), c = create_pipe("c");

    CHECK_INT(a, 500);
    CHECK_INT(b, 501);
    CHECK_INT(c, 502);
    CHECK_INT(demi_close(a), 0);
    CHECK_INT(demi_close(b), 0);
    CHECK_INT(create_pipe("d"), b);
    CHECK_INT(create_pipe("e"), a);
    CHECK_INT(demi_close(a), 0);
    CHECK_INT(demi_close(b), 0);
    CHECK_INT(demi_close(c), 0);
}

static void operations_on_invalid_pipes(void **state)
{
    static const int invalid[] = {0, -1, 499, 500, 1000000, INT_MAX, INT_MIN};
    demi_sgarray_t sga = filled_sga(8, 0);
    demi_qtoken_t qt = UNTOUCHED;

    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        CHECK_INT(demi_pop(&qt, invalid[i]), EBADF);
        CHECK_INT(demi_push(&qt, invalid[i], &sga), EBADF);
    }
    CHECK(qt == UNTOUCHED);
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void pending_operations_of_a_closed_pipe(void **state)
{
    int made = create_pipe("pending"), opened = open_pipe("pending");
    demi_qtoken_t pops[3];
    demi_qresult_t qr;

    for (int i = 0; i < 3; i++)
        pops[i] = start_pop(opened);
    /* Larger than the ring: it cannot complete while nobody pops. */
    demi_qtoken_t push = start_push(opened, 10u << 20, 1);
    expect_pending(push);
    CHECK_INT(demi_close(opened), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(demi_wait(&qr, pops[i], &at_once), 0);
        expect_failed(&qr, opened, EBADF);
    }
    CHECK_INT(demi_wait(&qr, push, &at_once), 0);
    expect_failed(&qr, opened, EBADF);
    CHECK_INT(demi_close(made), 0);
}

static void both_ends_in_one_process(void **state)
{
    int made = create_pipe("both"), opened = open_pipe("both");

    for (uint64_t i = 0; i < 1000; i++) {
        push_message(made, 1 + i, i);
        push_message(opened, 1 + i, ~i);
        pop_message(made, 1 + i, ~i);
        pop_message(opened, 1 + i, i);
    }
    CHECK_INT(demi_close(made), 0);
    pop_eof(opened);
    CHECK_INT(demi_close(opened), 0);
}

static void pops_are_served_in_order(void **state)
{
    enum { COUNT = 50 };
    int made = create_pipe("order"), opened = open_pipe("order");
    demi_qtoken_t pops[COUNT], pushes[COUNT];

    for (int i = 0; i < COUNT; i++)
        pops[i] = start_pop(made);
    for (int i = 0; i < COUNT; i++)
        pushes[i] = start_push(opened, 20, (uint64_t)i);
    /* Waited for from the last to the first: the order of waiting is not the order of messages. */
    for (int i = COUNT; i-- > 0;) {
        demi_qresult_t qr = finish(pops[i]);
        expect_message(&qr, made, 20, (uint64_t)i);
        qr = finish(pushes[i]);
        expect_push(&qr, opened);
    }
    CHECK_INT(demi_close(opened), 0);
    CHECK_INT(demi_close(made), 0);
}

static void end_of_file_and_after(void **state)
{
    int made = create_pipe("eof"), opened = open_pipe("eof"), qd = UNTOUCHED;
    demi_qtoken_t qt;

    push_message(opened, 5, 1);
    CHECK_INT(demi_close(opened), 0);
    pop_message(made, 5, 1);
    pop_eof(made);
    pop_fails(made, EBADF);
    pop_fails(made, EBADF);
    demi_sgarray_t sga = filled_sga(1, 0);
    CHECK_INT(demi_push(&qt, made, &sga), 0);
    demi_qresult_t qr = finish(qt);
    CHECK_INT(qr.qr_opcode, DEMI_OPC_FAILED);
    /* Upstream's EBADF, or the general rule for a peer that has closed. */
    CHECK(qr.qr_ret == EBADF || qr.qr_ret == ECONNRESET);
    CHECK_INT(demi_sgafree(&sga), 0);
    /* The pipe has ended: it has no second end any more. */
    CHECK_INT(demi_open_pipe(&qd, "eof"), ENOENT);
    CHECK_INT(demi_close(made), 0);
}

static void push_after_the_peer_has_closed(void **state)
{
    int made = create_pipe("gone"), opened = open_pipe("gone");

    push_message(made, 5, 1);
    CHECK_INT(demi_close(made), 0);
    demi_qresult_t qr = finish(start_push(opened, 5, 2));
    expect_failed(&qr, opened, ECONNRESET);
    pop_message(opened, 5, 1);
    pop_eof(opened);
    CHECK_INT(demi_close(opened), 0);
}

/* Its end cannot be popped by anybody; what was pushed behind it can. */
static void message_that_an_opener_has_begun_to_take(void **state)
{
    const size_t longer_than_the_ring = 3000000;
    int made = create_pipe("begun"), opened = open_pipe("begun");
    demi_qtoken_t begun = start_push(made, longer_than_the_ring, 1);
    demi_qtoken_t next = start_push(made, 5, 2);
    demi_qtoken_t cut = start_pop(opened);
    demi_qresult_t qr;

    CHECK_INT(demi_close(opened), 0);
    qr = finish(cut);
    expect_failed(&qr, opened, EBADF);
    opened = open_pipe("begun");
    pop_message(opened, 5, 2);
    qr = finish(begun);
    expect_push(&qr, made);
    qr = finish(next);
    expect_push(&qr, made);
    next = start_push(made, longer_than_the_ring, 3);
    pop_message(opened, longer_than_the_ring, 3);
    qr = finish(next);
    expect_push(&qr, made);
    CHECK_INT(demi_close(opened), 0);
    CHECK_INT(demi_close(made), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_begin_at_500_and_are_reused_last_freed_first),
        cmocka_unit_test(create_pipe_with_invalid_name),
        cmocka_unit_test(open_pipe_with_invalid_name),
        cmocka_unit_test(create_pipe_with_unusual_names),
        cmocka_unit_test(create_pipe_with_longest_name),
        cmocka_unit_test(create_pipe_with_same_name),
        cmocka_unit_test(create_pipe_with_same_name_in_two_liboses),
        cmocka_unit_test(create_pipe_with_same_name_in_two_processes),
        cmocka_unit_test(open_pipe_that_does_not_exist),
        cmocka_unit_test(open_pipe_multiple_times),
        cmocka_unit_test(close_invalid_pipe),
        cmocka_unit_test(close_pipe_multiple_times),
        cmocka_unit_test(operations_on_invalid_pipes),
        cmocka_unit_test(pending_operations_of_a_closed_pipe),
        cmocka_unit_test(both_ends_in_one_process),
        cmocka_unit_test(pops_are_served_in_order),
        cmocka_unit_test(end_of_file_and_after),
        cmocka_unit_test(push_after_the_peer_has_closed),
        cmocka_unit_test(message_that_an_opener_has_begun_to_take),
    };

    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
